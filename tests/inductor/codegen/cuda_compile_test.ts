/**
 * Every kernel that the samples of all operators lead to compiles for CUDA, on Ampere and on Hopper, and none of them spills much.
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
import { dispatchComplete, F, installOperators, normalizeNamed, Tensor, withMode } from "../../../src/tensor/mod.ts";
import {
  type Architecture,
  type CompiledKernel,
  compileUnits,
  type CudaUnits,
  DEVICES,
  gatherUnits,
  unfit,
} from "../../helpers/cuda_kernels.ts";
import { planOf } from "./harness.ts";
import { convForward, convWeightGradient, matmul } from "../templates/contractions.ts";

installOperators();

const found = findNvrtc();
const reason = found.ok ? "" : ` [skipped: ${found.problem.problem}]`;

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

/** Plans of every operator's samples, made once for both architectures. */
function samplePlans(): HostPlan[] {
  const plans: HostPlan[] = [];
  for (const op of allOps()) {
    for (const dtype of [float32, float16, float64, int64]) {
      const samples = op.samples?.(new SampleGenerator(dtype)) ?? [];
      for (const sample of samples.slice(0, dtype === float32 ? 3 : 1)) {
        try {
          const graph = graphOfSample(op, sample);
          if (graph === null) continue;
          const { plan } = compileGraphToPlan(graph, { crossReductions: false });
          emitCudaModules(plan, DEVICES.sm_90a);
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
  return plans;
}

/** Compiles what the plans lead to; no kernel may spill more than a few registers, nor be too large for a multiprocessor. */
async function compileAll(plans: readonly HostPlan[], architecture: Architecture): Promise<CompiledKernel[]> {
  if (!found.ok) throw new Error("an ignored test ran");
  const kernels = await compileUnits(found.value, gatherUnits(plans, architecture));
  assert.deepEqual(unfit(kernels), []);
  return kernels;
}

let samples: HostPlan[] | null = null;

for (const arch of ["sm_80", "sm_90a"] as const) {
  Deno.test({
    name: `every operator's samples compile for ${arch}${reason}`,
    ignore: !found.ok,
    fn: async () => void await compileAll(samples ??= samplePlans(), arch),
  });

  Deno.test({
    name: `what networks are made of compiles for ${arch}${reason}`,
    ignore: !found.ok,
    fn: async () => {
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
      const kernels = await compileAll(plans, arch);
      const products = kernels.filter((k) => k.byWarps + k.byWarpgroups > 0);
      assert.ok(products.length >= 10, `${products.length} kernels use tensor cores`);
      assert.equal(products.some((k) => k.byWarpgroups > 0), arch === "sm_90a");
    },
  });
}

Deno.test("a plain bf16 product on an H100 is wgmma from tiles that the copy engine brings", () => {
  const c = matmul([1, 2048, 2048, 2048], bfloat16, { tb: true });
  const { modules, steps } = emitCudaModules(planOf([c.group], [c.a, c.b, c.out], []), DEVICES.sm_90a);
  const [step] = steps;
  assert.ok(step?.kind === "launches");
  const maps = step.launches[0]?.args.filter((a) => a.kind === "tensorMap") ?? [];
  assert.equal(maps.length, 2);
  assert.match(modules[0]?.source ?? "", /m64n(128|256)k16/);
});

Deno.test({
  name: `a kernel that reads before it waits, or does not wait, is found in its machine code${reason}`,
  ignore: !found.ok,
  fn: async () => {
    if (!found.ok) return;
    const unit = (first: string, then: string): CudaUnits => ({
      architecture: "sm_90a",
      sources: [
        `extern "C" __global__ void k0(const float* a, float* b) {\n${first} const float x = a[threadIdx.x]; ${then} b[threadIdx.x] = x;\n}`,
      ],
      flags: [],
    });
    const wait = 'asm volatile("griddepcontrol.wait;" ::: "memory");';
    assert.equal((await compileUnits(found.value, unit(wait, "")))[0]?.early, 0);
    for (const wrong of [unit("", wait), unit("", "")]) {
      await assert.rejects(compileUnits(found.value, wrong), { name: "AssertionError" });
    }
  },
});
