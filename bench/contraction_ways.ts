/**
 * Every way that max-autotune knows for contractions, measured: what `cuda_contractions.ts` and `cuda_convolutions.ts` share.
 */
import { GraphRecorder } from "../src/aot_autograd/recorder.ts";
import { cpu, type DType } from "../src/core/mod.ts";
import {
  type Candidate,
  candidateContext,
  compileCandidates,
  type Measured,
  requestOf,
  Workbench,
} from "../src/inductor/autotune/candidates.ts";
import { tuningTarget } from "../src/inductor/autotune/tuner.ts";
import { CUDA_TARGET } from "../src/inductor/codegen/cuda/emit_tile.ts";
import { compileGraphToPlan } from "../src/inductor/compile_plan.ts";
import { contractionChoices, emitChoice } from "../src/inductor/templates/cuda_choices.ts";
import { reorderK } from "../src/inductor/templates/cuda_reorder.ts";
import { lowerGroup } from "../src/inductor/tile/lower_group.ts";
import type { ContractionKernel } from "../src/inductor/tile/tile_ir.ts";
import { type CudaContext, CudaDeviceMemory, type NvrtcRequest } from "../src/runtime/cuda/mod.ts";
import { contiguousStride } from "../src/symbolic/mod.ts";
import { installOperators, type Tensor, withMode } from "../src/tensor/mod.ts";
import "../src/ops/mod.ts";

installOperators();

/** An input of a contraction's graph. */
export type Input = (name: string, size: number[], stride?: number[], dtype?: DType) => Tensor;

/** The kernel that a product is lowered to, its ending included. */
export function contractionOf(what: string, dtype: DType, build: (input: Input) => Tensor): ContractionKernel {
  const r = new GraphRecorder();
  const input: Input = (name, size, stride = contiguousStride(size) as number[], own = dtype) =>
    r.placeholder(name, { shape: size, stride, storageOffset: 0, dtype: own, device: cpu }, true);
  const result = withMode(r, (): Tensor => build(input));
  r.graph.setOutput([r.nodeOf(result)]);
  for (const { group } of compileGraphToPlan(r.graph, { crossReductions: false }).plan.steps) {
    for (const kernel of lowerGroup(group, CUDA_TARGET)) if (kernel.kind === "contraction") return reorderK(kernel);
  }
  throw new Error(`${what} is no contraction`);
}

/** Measures all ways of some kernels, which are compiled together. Caches are cold; results of all ways are compared with each other. */
export function measureWays(
  context: CudaContext,
  kernels: readonly ContractionKernel[],
  algorithms: Parameters<typeof contractionChoices>[2],
  shapes = Infinity,
): Measured[][] {
  const { capability, attributes } = context.info;
  const requests: NvrtcRequest[] = [];
  const work = kernels.map((kernel) => {
    const options = { arch: capability, multiprocessors: attributes.multiprocessors, allowTf32: true };
    let generated = 0;
    const candidates = contractionChoices(kernel, candidateContext(options), algorithms).flatMap((choice) => {
      const isLibrary = choice.template === "cublaslt" || choice.template === "cudnn";
      if (!isLibrary && generated++ >= shapes) return [];
      const texts = emitChoice(kernel, choice, candidateContext(options));
      return texts === null ? [] : [{ choice, texts } satisfies Candidate];
    });
    const places = candidates.map(({ texts }) =>
      texts.map((t) => t.library === undefined ? requests.push(requestOf(t, tuningTarget(capability))) - 1 : -1)
    );
    return { kernel, candidates, places };
  });
  const images = compileCandidates(requests);
  return work.map(({ kernel, candidates, places }) => {
    using bench = new Workbench(context, new CudaDeviceMemory(() => context), kernel);
    return candidates.map((c, i) => bench.measure(c, (places[i] ?? []).map((p) => images[p] ?? null), 10));
  });
}

/** The fastest of the ways that a test takes. */
export function fastest(ways: readonly Measured[], test: (way: Measured) => boolean): Measured | undefined {
  return ways.filter((w) => w.ms !== null && test(w)).sort((x, y) => (x.ms ?? 0) - (y.ms ?? 0))[0];
}

/** Microseconds and TFLOP/s, for a table. */
export function rate(way: Measured | undefined, flops: number): string {
  if (way === undefined || way.ms === null) return "—".padStart(20);
  return `${(1000 * way.ms).toFixed(1).padStart(8)} µs ${(flops / way.ms / 1e9).toFixed(0).padStart(4)} TF/s`;
}
