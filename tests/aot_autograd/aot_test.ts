/** Functional graphs, joint graphs and the cut between forward and backward. */
import assert from "node:assert/strict";
import {
  aotBackend,
  type CompileRequest,
  functionalProgram,
  interpretProgram,
  jointProgram,
  partitionJoint,
} from "../../src/aot_autograd/mod.ts";
import { FlowNetwork } from "../../src/aot_autograd/max_flow.ts";
import { compile, findBackend, type GraphModule } from "../../src/capture/mod.ts";
import { withConfig } from "../../src/core/mod.ts";
import { graphToText } from "../../src/graph/mod.ts";
import * as nn from "../../src/nn/mod.ts";
import { ones, randn, Tensor, tensor } from "../../src/tensor/mod.ts";

/** The captured graph of a function. */
function captured(fn: (...args: Tensor[]) => unknown, args: readonly Tensor[]): GraphModule {
  let found: GraphModule | null = null;
  const f = compile(fn, {
    fullgraph: true,
    backend: (module, ...rest) => {
      found = module;
      return findBackend("eager")(module, ...rest);
    },
  });
  f(...args);
  if (found === null) throw new Error("nothing was captured");
  return found;
}

/** Programs given to the compiler, by kind. */
function programs(fn: (...args: Tensor[]) => unknown, args: readonly Tensor[]): Map<string, CompileRequest> {
  const out = new Map<string, CompileRequest>();
  const backend = aotBackend({
    forward: (request) => {
      out.set(request.kind, request);
      return interpretProgram(request);
    },
  });
  compile(fn, { backend, fullgraph: true })(...args);
  return out;
}

Deno.test("writes become results that are written back; views are read anew", () => {
  using _ = withConfig({ verify: true });
  const module = captured((x) => {
    const row = x.at(0);
    x.mul_(2);
    return row.add(1);
  }, [ones([2, 3])]);
  const program = functionalProgram(module, () => false);
  assert.equal(
    graphToText(program.graph),
    `graph {
  arg0: f32[2, 3] = input
  mul: f32[2, 3] = aten.mul.Scalar(arg0, 2)
  select_1: f32[3] = aten.select.int(mul, 0, 0)
  add: f32[3] = aten.add.Scalar(select_1, 1)
  return add, mul
}`,
  );
  assert.deepEqual(program.writes, [{ origin: { kind: "input", index: 0 }, result: 1 }]);
});

Deno.test("decompositions leave no operator that decomposes, unless it is kept whole", () => {
  const x = [randn([4, 5])];
  const fn = (t: Tensor): Tensor => nn.functional.logSoftmax(t, -1).contiguous();
  const names = (keep: boolean): string[] =>
    functionalProgram(captured(fn as (...args: Tensor[]) => unknown, x), () => keep).graph.calls.map((c) =>
      c.target.schema.name
    );
  assert.ok(!names(false).includes("contiguous"));
});

Deno.test("the joint graph returns results, then one gradient for each input that wants one", () => {
  const a = ones([3]).requiresGrad_();
  const module = captured((x, y, z) => x.mul(y).add(z), [a, ones([3]), ones([3]).requiresGrad_()]);
  const joint = jointProgram(module, (o) => o.kind === "input" && o.index !== 1, () => false);
  assert.equal(joint.forwardResults, 1);
  assert.equal(joint.tangents.length, 1);
  assert.deepEqual(joint.leaves, [{ kind: "input", index: 0 }, { kind: "input", index: 2 }]);
  assert.equal(joint.graph.output.results.length, 3);
});

Deno.test("min-cut keeps the input of a pointwise chain and computes the chain again", () => {
  const x = ones([10]).requiresGrad_();
  const parts = programs((t) => t.cos().cos().cos(), [x]);
  assert.equal(parts.get("forward")?.graph.output.results.length, 2);
  assert.deepEqual(parts.get("backward")?.graph.placeholders.map((p) => p.name), ["arg0", "tangent_0"]);
});

Deno.test("min-cut keeps one sum in the place of four inputs", () => {
  const four = [1, 2, 3, 4].map((n) => ones([10]).mul(n).detach().requiresGrad_());
  const parts = programs((a, b, c, d) => a.add(b).add(c).add(d).cos().cos(), four);
  const backward = parts.get("backward")?.graph;
  assert.equal(backward?.placeholders.length, 2);
  assert.equal(new Set(backward?.output.results).size, 1);
});

Deno.test("matrix products and reductions are not computed again", () => {
  const parts = programs((x, w) => x.mm(w).relu().mm(w).sigmoid().sum(), [
    randn([8, 8]).requiresGrad_(),
    randn([8, 8]).requiresGrad_(),
  ]);
  const names = parts.get("backward")?.graph.calls.map((c) => c.target.schema.name) ?? [];
  assert.equal(names.filter((n) => n === "mm").length, 4);
  assert.ok(!names.includes("sum"));
});

Deno.test("partitionJoint() refuses nothing and drops what the backward does not need", () => {
  const module = captured((x) => x.mul(2).sum(), [ones([3]).requiresGrad_()]);
  const joint = jointProgram(module, () => true, () => false);
  const { forward, backward, saved } = partitionJoint(joint);
  assert.equal(saved.length, 0);
  assert.equal(forward.output.results.length, 1);
  assert.deepEqual(backward.placeholders.map((p) => p.name), ["tangent_0"]);
});

Deno.test("a tensor that was kept and then written is reported in backward", () => {
  const f = compile((x: Tensor) => x.mul(x).sum(), { backend: "aot_eager", fullgraph: true });
  const x = tensor([1, 2.5]).requiresGrad_();
  const y = x.mul(1);
  const loss = f(y);
  y.detach().add_(1);
  assert.throws(() => loss.backward(), /MulBackward0 needs a tensor .* was written in place/);
});

Deno.test("the backward of a compiled function runs once unless it is retained", () => {
  const f = compile((x: Tensor) => x.mul(x).sum(), { backend: "aot_eager", fullgraph: true });
  const x = tensor([1, 2.5]).requiresGrad_();
  const loss = f(x);
  loss.backward(null, { retainGraph: true });
  loss.backward();
  assert.deepEqual([...(x.grad?.dataSync() ?? [])], [4, 10]);
  assert.throws(() => loss.backward(), /already walked/);
});

Deno.test("the reference backend computes what eager does, forward and backward", () => {
  const f = compile((x: Tensor) => x.sigmoid().mul(x).sum(), { backend: "reference", fullgraph: true });
  const grads = [f, (x: Tensor) => x.sigmoid().mul(x).sum()].map((g) => {
    const x = tensor([1, 2.5, -1]).requiresGrad_();
    g(x).backward();
    return [...(x.grad?.dataSync() ?? [])];
  });
  assert.deepEqual(grads[0], grads[1]);
});

Deno.test("FlowNetwork finds the minimum cut", () => {
  const g = new FlowNetwork();
  const v = Array.from({ length: 6 }, () => g.vertex());
  const edges: [number, number, number][] = [
    [0, 1, 16],
    [0, 2, 13],
    [1, 3, 12],
    [2, 1, 4],
    [2, 4, 14],
    [3, 2, 9],
    [
      3,
      5,
      20,
    ],
    [4, 3, 7],
    [4, 5, 4],
  ];
  for (const [a, b, c] of edges) g.edge(v[a] ?? 0, v[b] ?? 0, c);
  const side = g.minimumCut(0, 5);
  assert.deepEqual([...side].sort(), [0, 1, 2, 4]);
  const cut = edges.filter(([a, b]) => side.has(a) && !side.has(b)).reduce((n, [, , c]) => n + c, 0);
  assert.equal(cut, 23);
});
