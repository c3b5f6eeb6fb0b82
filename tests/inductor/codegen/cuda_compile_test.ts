/**
 * Every kernel that the samples of all operators lead to compiles for CUDA, and none of them spills much.
 *
 * Needs nvrtc (pip's `nvidia-cuda-nvrtc` is enough), no GPU; without it the tests are skipped with the reason. Kernels of equal text are compiled once.
 */
import assert from "node:assert/strict";
import { GraphRecorder } from "../../../src/aot_autograd/recorder.ts";
import { gradOf } from "../../../src/autograd/mod.ts";
import { bfloat16, CompileError, cpu, type DType, float16, float32, float64, int64 } from "../../../src/core/mod.ts";
import type { Graph } from "../../../src/graph/mod.ts";
import { emitCudaModules } from "../../../src/inductor/codegen/cuda/emit_module.ts";
import { compileGraphToPlan } from "../../../src/inductor/compile_plan.ts";
import type { HostPlan } from "../../../src/inductor/host_plan.ts";
import {
  allOps,
  type Operator,
  type Sample,
  type SampleArg,
  SampleGenerator,
  type TensorSample,
} from "../../../src/ops/mod.ts";
import { findNvrtc } from "../../../src/runtime/cuda/libraries.ts";
import { NvrtcCompiler } from "../../../src/runtime/cuda/nvrtc.ts";
import { dispatchComplete, F, installOperators, normalizeNamed, Tensor, withMode } from "../../../src/tensor/mod.ts";
import { planOf } from "./harness.ts";
import { convForward, convWeightGradient, matmul } from "../templates/contractions.ts";

installOperators();

const found = findNvrtc();
const reason = found.ok ? "" : ` [skipped: ${found.problem.problem}]`;
const SETTINGS = { 80: { arch: 80, multiprocessors: 108 }, 90: { arch: 90, multiprocessors: 132 } } as const;

function isTensorSample(arg: SampleArg): arg is TensorSample {
  return typeof arg === "object" && arg !== null && "kind" in arg && arg.kind === "tensor";
}

/** The graph of one call, or null where the operator needs real data. */
function graphOfSample(op: Operator, sample: Sample): Graph | null {
  const r = new GraphRecorder();
  let count = 0;
  const twin = (arg: SampleArg): unknown => {
    if (Array.isArray(arg)) return arg.map(twin);
    if (!isTensorSample(arg)) return arg;
    const order = arg.permuted ?? arg.shape.map((_, d) => d);
    const inner = new Array<number>(order.length).fill(1);
    order.forEach((p, d) => inner[p] = arg.shape[d] ?? 1);
    const rowMajor = inner.map((_, d) => inner.slice(d + 1).reduce((a, b) => a * Math.max(b, 1), 1));
    const stride = order.map((p) => rowMajor[p] ?? 1);
    return r.placeholder(`x${count++}`, { shape: arg.shape, stride, storageOffset: 0, dtype: arg.dtype, device: cpu });
  };
  const args = Object.fromEntries(Object.entries(sample.args).map(([k, v]) => [k, twin(v)]));
  const result = withMode(r, () => dispatchComplete(op, normalizeNamed(op, args)));
  const list = (Array.isArray(result) ? result : [result]).filter((t): t is Tensor => t instanceof Tensor);
  if (list.length === 0) return null;
  r.graph.setOutput(list.map((t) => r.nodeOf(t)));
  return r.graph;
}

function record(shapes: readonly (readonly [readonly number[], DType])[], body: (x: Tensor[]) => Tensor[]): HostPlan {
  const r = new GraphRecorder();
  const results = withMode(r, () =>
    body(shapes.map(([shape, dtype], i) => {
      const stride = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
      return r.placeholder(`x${i}`, { shape, stride, storageOffset: 0, dtype, device: cpu }, dtype.isFloat);
    })));
  r.graph.setOutput(results.map((t) => r.nodeOf(t)));
  return compileGraphToPlan(r.graph, { crossReductions: false }).plan;
}

/** Translation units of many kernels each: the prelude is compiled only once for all of them. */
function gather(plans: readonly HostPlan[], arch: 80 | 90): string[] {
  const kernels = new Map<string, string>();
  const units = new Set<string>();
  for (const plan of plans) {
    for (const { source } of emitCudaModules(plan, SETTINGS[arch]).modules) {
      // With functions of its own a module stays as it is.
      if (source.includes("template <int TA")) {
        units.add(source);
        continue;
      }
      const at = source.search(/extern "C" __global__/);
      for (const part of source.slice(at).split(/(?=extern "C" __global__)/)) {
        kernels.set(part.replace(/ k\d+\(/, " @("), source.slice(0, at));
      }
    }
  }
  for (const head of new Set(kernels.values())) {
    const own = [...kernels].filter(([, h]) => h === head).map(([text], i) => text.replace(" @(", ` k${i}(`));
    for (let i = 0; i < own.length; i += 40) units.add(head + own.slice(i, i + 40).join("\n"));
  }
  return [...units];
}

function compileAll(units: readonly string[], arch: string): void {
  if (!found.ok) return;
  const compiler = new NvrtcCompiler(found.value);
  units.forEach((source, i) => {
    const { bytes, log } = compiler.compileSync({ source, target: { arch, kind: "cubin" }, name: `unit ${i}` });
    assert.ok(bytes.length > 0);
    assert.doesNotMatch(log, /error|serialized|ignored/i);
  });
}

Deno.test({
  name: `every operator's samples compile for sm_90a${reason}`,
  ignore: !found.ok,
  fn: () => {
    const plans: HostPlan[] = [];
    for (const op of allOps()) {
      for (const dtype of [float32, float16, float64, int64]) {
        const samples = op.samples?.(new SampleGenerator(dtype)) ?? [];
        for (const sample of samples.slice(0, dtype === float32 ? 3 : 1)) {
          try {
            const graph = graphOfSample(op, sample);
            if (graph === null) continue;
            const { plan } = compileGraphToPlan(graph, { crossReductions: false });
            emitCudaModules(plan, SETTINGS[90]);
            plans.push(plan);
          } catch (error) {
            // Operators on dtypes that they do not take, or with results that depend on data: the tests of operators judge those.
            if (!(error instanceof TypeError || error instanceof RangeError || error instanceof CompileError)) {
              throw error;
            }
          }
        }
      }
    }
    assert.ok(plans.length > 300, `${plans.length} plans`);
    compileAll(gather(plans, 90), "sm_90a");
  },
});

for (const arch of [80, 90] as const) {
  Deno.test({
    name: `what networks are made of compiles for sm_${arch}${reason}`,
    ignore: !found.ok,
    fn: () => {
      const plans: HostPlan[] = [];
      for (const dtype of [float32, bfloat16]) {
        plans.push(
          record([[[64, 1024], dtype]], ([x]) => x === undefined ? [] : [F.softmax(x, 1)]),
          record([[[64, 50257], dtype], [[64], int64]], ([x, y]) => {
            if (x === undefined || y === undefined) return [];
            const loss = F.crossEntropyLoss(x, y);
            return [loss, ...gradOf([loss], [x], {}).filter((t): t is Tensor => t !== null)];
          }),
          record([[[4, 512, 768], dtype], [[768], dtype], [[768], dtype], [[4, 512, 768], dtype]], ([x, w, b, d]) => {
            if (x === undefined || w === undefined || b === undefined || d === undefined) return [];
            const y = F.layerNorm(x, [768], w, b);
            return [y, ...gradOf([y], [x, w, b], { gradOutputs: [d] }).filter((t): t is Tensor => t !== null)];
          }),
        );
        for (const tb of [false, true]) {
          for (
            const size of [[1, 2048, 2048, 1024], [1, 100, 70, 50], [1, 64, 64, 8192], [12, 512, 512, 64]] as const
          ) {
            const c = matmul(size, dtype, { tb, bias: true });
            plans.push(planOf([c.group], [c.a, c.b, c.out, ...c.extra], []));
          }
        }
        const image = { n: 8, ci: 64, co: 64, h: 28, w: 28, kernel: 3, padding: 1, stride: 1 };
        for (const c of [convForward(image, dtype), convWeightGradient(image, dtype)]) {
          plans.push(planOf([c.group], [c.a, c.b, c.out, ...c.extra], []));
        }
      }
      const units = gather(plans, arch);
      const all = units.join("");
      assert.match(all, /tsr_mma_tile<bf16/);
      assert.equal(/wgmma\.mma_async/.test(all), arch === 90);
      compileAll(units, arch === 90 ? "sm_90a" : "sm_80");
    },
  });
}

Deno.test("a plain bf16 product on an H100 is wgmma from tiles that the copy engine brings", () => {
  const c = matmul([1, 2048, 2048, 2048], bfloat16, { tb: true });
  const { modules, steps } = emitCudaModules(planOf([c.group], [c.a, c.b, c.out], []), SETTINGS[90]);
  const [step] = steps;
  assert.ok(step?.kind === "launches");
  const maps = step.launches[0]?.args.filter((a) => a.kind === "tensorMap") ?? [];
  assert.equal(maps.length, 2);
  assert.match(modules[0]?.source ?? "", /m64n(128|256)k16/);
});
