/**
 * Training on "cuda": what decides which kernels a step has, and gradients of a small step on an emulated device.
 */
import assert from "node:assert/strict";
import { GraphRecorder } from "../../../src/aot_autograd/mod.ts";
import { bfloat16, device, type DType, float32, int64 } from "../../../src/core/mod.ts";
import { cudaVeto } from "../../../src/inductor/cuda_veto.ts";
import { compileGraphToPlan } from "../../../src/inductor/compile_plan.ts";
import type { Group } from "../../../src/inductor/groups.ts";
import { contiguousStride } from "../../../src/symbolic/mod.ts";
import {
  autocast,
  compile,
  type CompiledGraph,
  F,
  manualSeed,
  nn,
  onCompile,
  randint,
  randn,
  type Tensor,
} from "../../../mod.ts";
import { withMode } from "../../../src/tensor/mod.ts";
import { assertClose, cudaTest } from "../../helpers/cuda_test.ts";

function groupsOf(
  shapes: readonly (readonly [readonly number[], DType])[],
  body: (x: Tensor[]) => Tensor[],
): readonly Group[] {
  const r = new GraphRecorder();
  const results = withMode(r, () =>
    body(shapes.map(([shape, dtype], i) =>
      r.placeholder(`x${i}`, {
        shape,
        stride: contiguousStride(shape),
        storageOffset: 0,
        dtype,
        device: device("cuda"),
      })
    )));
  r.graph.setOutput(results.map((t) => r.nodeOf(t)));
  return compileGraphToPlan(r.graph, { crossReductions: false, veto: cudaVeto, joinInputs: true }).groups;
}

const kinds = (groups: readonly Group[]): string => groups.map((g) => g.kind).join(" ");

Deno.test("few channels are not walked twice by few blocks", () => {
  const normalise = ([x]: Tensor[]): Tensor[] => [(x as Tensor).sub((x as Tensor).mean([0, 2, 3], true))];
  assert.equal(groupsOf([[[32, 64, 56, 56], float32]], normalise).length, 2);
  // As many rows as there are multiprocessors, or little to do: one kernel.
  assert.equal(groupsOf([[[4096, 1024], float32]], ([x]) => [(x as Tensor).softmax(1)]).length, 1);
  assert.equal(groupsOf([[[2, 4, 8, 8], float32]], normalise).length, 1);
});

Deno.test("what tensor cores read is in memory as halves, and the casts share a launch", () => {
  const groups = groupsOf([[[256, 512], float32], [[512, 384], float32]], ([a, b]) => [
    (a as Tensor).to(bfloat16).mm((b as Tensor).to(bfloat16)),
  ]);
  assert.equal(kinds(groups), "foreach contraction");
});

Deno.test("an epilogue that takes longer than memory is a kernel of its own", () => {
  const product = (f: (t: Tensor) => Tensor): string =>
    kinds(groupsOf([[[256, 512], bfloat16], [[512, 384], bfloat16]], ([a, b]) => [f((a as Tensor).mm(b as Tensor))]));
  assert.equal(product((t) => t.relu()), "contraction");
  assert.equal(product((t) => F.gelu(t)), "contraction");
  assert.equal(product((t) => F.gelu(t).mul(F.gelu(t.mul(2)))), "contraction loops");
});

Deno.test("rows of halves that products read begin at whole vectors", () => {
  const groups = groupsOf([[[64, 128], bfloat16], [[128, 1001], bfloat16], [[1001, 64], bfloat16]], ([a, b, c]) => [
    (a as Tensor).mm(b as Tensor).softmax(1).mm(c as Tensor),
  ]);
  const widths = groups.flatMap((g) => g.kind === "contraction" ? [String(g.result.numel)] : []);
  // 63 rows of 1008 and one of 1001.
  assert.ok(groups[0]?.kind === "contraction");
  assert.equal(
    groups[0].result.numel.kind === "const" ? groups[0].result.numel.value : -1,
    63 * 1008 + 1001,
    `${widths}`,
  );
});

cudaTest("a step of embeddings and norms has the gradients of the CPU", () => {
  class Net extends nn.Module {
    readonly tokens = new nn.Embedding(7, 512);
    readonly types = new nn.Embedding(2, 512);
    readonly norm = new nn.LayerNorm(512);

    override forward(x: Tensor): Tensor {
      return this.norm.forward(this.tokens.forward(x).add(this.types.forward(x.mul(0))));
    }
  }
  const gradients: number[][][] = [];
  const graphs: CompiledGraph[] = [];
  for (const where of ["cpu", "cuda"] as const) {
    manualSeed(11);
    const net = new Net();
    const x = randint(0, 7, [8, 128], { dtype: int64 });
    const y = randint(0, 512, [8 * 128], { dtype: int64 });
    net.to(where);
    const [a, b] = [x.to(where), y.to(where)];
    const step = compile((p: Tensor, q: Tensor) => {
      const loss = autocast(
        "cuda",
        { dtype: bfloat16 },
        () => nn.functional.crossEntropy(net.forward(p).reshape([8 * 128, 512]), q),
      );
      loss.backward();
      return loss.detach();
    }, { fullgraph: true });
    using _ = onCompile(({ graph }) => void graphs.push(graph));
    step(a, b);
    gradients.push([...net.parameters()].map((p) => p.grad?.cpu().reshape([-1]).toArray() as number[]));
  }
  // Rows of one token meet in a register.
  const sources = graphs.flatMap((g) => g.cuda?.modules.modules.map((m) => m.source) ?? []);
  assert.ok(sources.some((text) => text.includes("tsr_hold(heldAt")));
  const [cpu = [], cuda = []] = gradients;
  cpu.forEach((g, i) => {
    let wrong = 0;
    let all = 0;
    g.forEach((v, j) => {
      wrong += (v - (cuda[i]?.[j] ?? NaN)) ** 2;
      all += v * v;
    });
    assert.ok(Math.sqrt(wrong / all) < 1e-4, `parameter ${i}: off by ${Math.sqrt(wrong / all)}`);
  });
});

cudaTest("a weight that is broadcast in some calls has the gradient that it has without compilation", () => {
  const plain = (x: Tensor, w: Tensor): Tensor => x.mul(w).tanh().sum();
  const step = compile(plain);
  // From the second size on it is a symbol: that of the weight is one that no kernel of the backward needs to know.
  for (const [length, rows] of [[1, 2], [1, 3], [4, 2], [4, 3], [1, 2], [1, 3]] as const) {
    const x = randn([rows, 4]), w = randn([length]);
    const [got, want] = [["cuda", step], ["cpu", plain]].map(([where, fn]) => {
      const weight = nn.parameter(w.to(device(where as string)));
      (fn as typeof plain)(x.to(device(where as string)), weight).backward();
      return weight.grad?.cpu();
    });
    assertClose(got as Tensor, want as Tensor);
  }
});
