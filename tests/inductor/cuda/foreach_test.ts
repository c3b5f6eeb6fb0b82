/**
 * Updates of many tensors as few launches: kernels that compute alike have one text, whatever order their operands came in; sums over rows fill the device once.
 */
import assert from "node:assert/strict";
import { cudaTest } from "../../helpers/cuda_test.ts";
import { compile, CompiledGraph, nn, onCompile, optim, tensor } from "../../../mod.ts";
import { emitForeach } from "../../../src/inductor/codegen/cuda/emit_foreach.ts";
import { emitCudaModules } from "../../../src/inductor/codegen/cuda/emit_module.ts";
import { SameOrder } from "../../../src/inductor/codegen/cuda/same_order.ts";
import { CUDA_TARGET } from "../../../src/inductor/codegen/cuda/emit_tile.ts";
import { compileGraphToPlan } from "../../../src/inductor/compile_plan.ts";
import { cudaVeto } from "../../../src/inductor/cuda_veto.ts";
import type { HostPlan } from "../../../src/inductor/host_plan.ts";
import { lowerGroup } from "../../../src/inductor/tile/lower_group.ts";
import { tileToText } from "../../../src/inductor/tile/print.ts";
import type { TileKernel, TileStatement } from "../../../src/inductor/tile/tile_ir.ts";
import { bfloat16, type DType, float32, int64 } from "../../../src/core/mod.ts";
import { constantValue, type Expr } from "../../../src/symbolic/mod.ts";
import { F, type Tensor } from "../../../src/tensor/mod.ts";
import { record } from "../../../bench/cuda_cases.ts";

function planOf(shapes: readonly (readonly number[])[], body: (x: Tensor[]) => Tensor[], dtype: DType): HostPlan {
  const graph = record(shapes.map((shape) => [shape, dtype] as const), (inputs) => body([...inputs]));
  return compileGraphToPlan(graph, { veto: cudaVeto }).plan;
}

const OPTIONS = { arch: 90, multiprocessors: 132 } as const;

/** An update: `x·0.9 + g·g·0.1`, and its root. */
function update(numel: number): TileKernel {
  const plan = planOf([[numel], [numel]], ([x, g]) => {
    const y = F.add(F.mul(x as Tensor, 0.9), F.mul(g as Tensor, F.mul(g as Tensor, 0.1)));
    return [y, F.sqrt(y)];
  }, float32);
  const [step] = plan.steps;
  assert.ok(step !== undefined && plan.steps.length === 1);
  const [kernel] = lowerGroup(step.group, CUDA_TARGET);
  assert.ok(kernel?.kind === "tile");
  return kernel;
}

/** The same, operands of sums and products the other way round. */
function turned(kernel: TileKernel): TileKernel {
  const body = kernel.body.map((s): TileStatement =>
    s.kind === "pointwise" && (s.op === "add" || s.op === "mul") ? { ...s, args: [...s.args].reverse() } : s
  );
  return { ...kernel, body };
}

Deno.test("kernels that differ in the order of operands alone share a launch", () => {
  const kernels = [update(1000), turned(update(1000)), update(4096), turned(update(333))];
  assert.notEqual(tileToText(kernels[0] as TileKernel), tileToText(kernels[1] as TileKernel));
  const order = new SameOrder();
  assert.equal(
    tileToText(order.rewrite(kernels[0] as TileKernel)),
    tileToText(order.rewrite(kernels[1] as TileKernel)),
  );
  const context = { ...OPTIONS, shared: new Set<never>(), scratchId: () => 0 };
  const { joined, rest } = emitForeach(kernels, context);
  assert.equal(joined.length, 1);
  assert.equal(rest.length, 0);
});

Deno.test("with parameters of 32 KB all updates are one launch, with 4 KB several", () => {
  const kernels = Array.from({ length: 200 }, (_, i) => update(100 + i));
  const context = { ...OPTIONS, shared: new Set<never>(), scratchId: () => 0 };
  const all = emitForeach(kernels, { ...context, parameterBytes: 32764 }).joined;
  assert.equal(all.length, 1);
  assert.equal(all[0]?.args.length, 800);
  const several = emitForeach(kernels, context).joined;
  assert.ok(several.length > 1 && several.every(({ args }) => args.length * 8 <= 4096));
});

Deno.test("what a backward of batch norm sums is read once, in halves side by side", () => {
  const inputs = [[4, 16, 16, 256], [4, 16, 16, 256]].map((shape) => [shape, bfloat16] as const);
  const floats = [1, 2, 3].map(() => [[256], float32] as const);
  const graph = record([...inputs, ...floats], ([x, d, w, mean, rstd]) => {
    const [of = x, given = d] = [x, d].map((t) => F.permute(t as Tensor, [0, 3, 1, 2]));
    const mask = [true, true, true] as const;
    const weight = w as Tensor;
    return F.nativeBatchNormBackward(
      given as Tensor,
      of as Tensor,
      weight,
      null,
      null,
      mean as Tensor,
      rstd as Tensor,
      true,
      1e-5,
      mask,
    );
  });
  const { plan } = compileGraphToPlan(graph, { veto: cudaVeto });
  const modules = emitCudaModules(plan, OPTIONS);
  const launches = modules.steps.flatMap((s) => s.kind === "launches" ? s.launches : []);
  assert.equal(launches.length, 2);
  const text = modules.modules.map((m) => m.source).join("");
  assert.equal(text.match(/tsr_load<4>\(\w+, p\d \+ i\d+\)/g)?.length, 2);
});

Deno.test("a loss of long rows leaves the sum of them to a launch of its own", () => {
  const graph = record(
    [[[2048, 8190], bfloat16], [[2048], int64]],
    ([x, y]) => [F.crossEntropyLoss(x as Tensor, y as Tensor)],
  );
  const { plan } = compileGraphToPlan(graph, { veto: cudaVeto });
  const [first] = emitCudaModules(plan, OPTIONS).steps.flatMap((s) => s.kind === "launches" ? s.launches : []);
  assert.equal(constantValue(first?.grid[0] as Expr), 2048);
});

const LENGTHS = [1, 70, 4099, 512, 33, 20000];

/** What is left of parameters after three steps whose gradients are clipped by their norm and scaled, the second of them infinite; and the launches of a step. */
function trained(where: "cpu" | "cuda"): { readonly values: number[]; readonly launches: number } {
  const ps = LENGTHS.map((n, i) =>
    nn.parameter(tensor(Array.from({ length: n }, (_, j) => Math.sin(i + j)), { dtype: float32 }).to(where))
  );
  const opt = new optim.AdamW(ps, { lr: 0.1 });
  const scaler = new optim.GradScaler(where, { initScale: 4 });
  const gradients = LENGTHS.map((n) => Array.from({ length: n }, (_, j) => Math.cos(j)));
  let launches = 0;
  using _ = onCompile(({ graph }) => {
    const modules = graph instanceof CompiledGraph ? graph.cuda?.modules : undefined;
    launches = 0;
    for (const step of modules?.steps ?? []) launches += step.kind === "launches" ? step.launches.length : 1;
  });
  const step = compile(() => {
    scaler.unscale(opt);
    nn.utils.clipGradNorm_(ps, 1);
    scaler.step(opt);
    scaler.update();
  }, { fullgraph: true });
  for (let round = 0; round < 3; round++) {
    ps.forEach((p, i) => {
      const own = [...gradients[i] as number[]];
      if (round === 1 && i === 2) own[4000] = Infinity;
      p.grad = tensor(own, { dtype: float32 }).to(where);
    });
    step();
  }
  return { values: ps.flatMap((p) => [...p.detach().cpu().dataSync()].map(Number)), launches };
}

cudaTest("whether gradients are finite, and their norms, take two launches each for all of them", () => {
  const [got, want] = [trained("cuda"), trained("cpu")];
  want.values.forEach((v, i) => {
    assert.ok(Math.abs(v - (got.values[i] ?? NaN)) < 1e-5, `element ${i}: ${got.values[i]} instead of ${v}`);
  });
  assert.ok(got.launches < 2 * LENGTHS.length, `${got.launches} launches`);
});

Deno.test("what a kernel writes and reads again keeps its order", () => {
  const kernel = update(64);
  const [out] = kernel.writes;
  const load = kernel.body.find((s) => s.kind === "load");
  assert.ok(out !== undefined && load?.kind === "load");
  const again: TileKernel = { ...kernel, body: [...kernel.body, { ...load, buffer: out }] };
  assert.equal(new SameOrder().rewrite(again), again);
});

Deno.test("sums over rows take as many blocks as run at the same time", () => {
  for (
    const [rows, columns, dtype] of [[16384, 8192, bfloat16], [16384, 8192, float32], [65536, 768, bfloat16]] as const
  ) {
    const plan = planOf([[rows, columns]], ([x]) => [F.sum(x as Tensor, [0])], dtype);
    const [step] = emitCudaModules(plan, OPTIONS).steps;
    assert.ok(step?.kind === "launches");
    const [launch] = step.launches;
    assert.ok(launch !== undefined);
    const blocks = launch.grid.reduce((n, e) => n * (constantValue(e) ?? 0), 1);
    const fit = 132 * 1536 / launch.block[0];
    assert.ok(blocks <= fit && blocks > 0.9 * fit, `${blocks} blocks where ${fit} fit`);
  }
});
