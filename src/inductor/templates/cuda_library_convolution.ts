/**
 * Contractions as convolutions of cuDNN: which ones are, read back from how their operands are addressed.
 *
 * Enters: a contraction of known sizes, one operand of which is a matrix of weights, while the rows of the other are pixels and its k are places of a window and, innermost,
 * channels. Leaves: the library's description of it, and where its tensors are. What padding there is, the mask of the pixels says; without a mask any view that addresses
 * the same elements is the convolution. Of the epilogue, biases, a tensor that is added, and clamping at zero are the library's to do.
 */
import { bfloat16, type DType, float16, float32 } from "../../core/mod.ts";
import type { ConvolutionSpec, ConvolutionStep, ConvolutionType } from "../../core/convolution_spec.ts";
import { CUDNN_WORKSPACE } from "../../runtime/cuda/mod.ts";
import { constantValue, type Expr } from "../../symbolic/mod.ts";
import type { CudaKernelText, EmitContext } from "../codegen/cuda/kernel_text.ts";
import type { ContractionKernel, TileStatement } from "../tile/tile_ir.ts";
import { affineOf, swapped } from "./cuda_hopper_plan.ts";
import { biasPlace, libraryLaunch, type Place } from "./cuda_library.ts";
import { planOperand } from "./cuda_operands.ts";
import { pixelsOf, type Run, runsOf } from "./cuda_pixels.ts";
import { libraryEnding } from "./library_epilogue.ts";

/** A convolution that the library can compute. */
export interface LibraryConvolution {
  readonly spec: ConvolutionSpec;
  readonly x: Place;
  readonly w: Place;
  readonly y: Place;
  /** What the steps read, in their order. */
  readonly extras: readonly Place[];
}

const TYPES: ReadonlyMap<DType, ConvolutionType> = new Map<DType, ConvolutionType>([
  [float16, "float16"],
  [bfloat16, "bfloat16"],
  [float32, "float32"],
]);

/** The distances of dimensions of given sizes that lie one after the other over runs; null where a dimension ends within one. */
function stridesOver(sizes: readonly number[], runs: readonly Run[]): number[] | null {
  const left = runs.filter(({ extent }) => extent > 1).map((run) => ({ ...run }));
  const out: number[] = [];
  for (const size of [...sizes].reverse()) {
    let last = left.at(-1);
    // Runs that lie one after the other are one.
    while (last !== undefined && last.extent < size) {
      const before = left.at(-2);
      if (before === undefined || before.stride !== last.stride * last.extent) return null;
      left.splice(-2, 2, last = { extent: before.extent * last.extent, stride: last.stride });
    }
    if (size === 1 || last === undefined) {
      if (size !== 1) return null;
      out.unshift(out[0] ?? 1);
      continue;
    }
    if (last.extent % size !== 0) return null;
    out.unshift(last.stride);
    left.pop();
    if (last.extent > size) left.push({ extent: last.extent / size, stride: last.stride * size });
  }
  return left.length === 0 ? out : null;
}

interface Ending {
  readonly steps: readonly ConvolutionStep[];
  readonly extras: readonly Place[];
  readonly store: TileStatement & { readonly kind: "store" };
}

/** The epilogue as steps of the library; `sizes` are those of [batch, ...output]. */
function endingOf(kernel: ContractionKernel, sizes: readonly number[]): Ending | null {
  const ending = libraryEnding(kernel, (load): { place: Place; step: ConvolutionStep } | null => {
    const { dtype } = load.buffer;
    const type = TYPES.get(dtype);
    if (type === undefined || load.mask !== null) return null;
    const bias = biasPlace(load, [...kernel.batch, ...kernel.epilogue.n]);
    if (bias !== null) return { place: bias, step: { kind: "bias", type } };
    const there = tensorOf(kernel, dtype, load.index, sizes);
    if (there === null) return null;
    const { strides, bytes } = there;
    return { place: { buffer: load.buffer, bytes }, step: { kind: "add", type, strides } };
  });
  if (ending === null) return null;
  const { steps, store } = ending;
  return {
    steps: steps.map((s) => s.kind === "add" ? s.load.step : s),
    extras: steps.flatMap((s) => s.kind === "add" ? [s.load.place] : []),
    store,
  };
}

/** Distances of [batch, features, ...output] of a tensor that the epilogue addresses. */
function tensorOf(
  { batch, epilogue }: ContractionKernel,
  dtype: DType,
  index: Expr,
  sizes: readonly number[],
): { readonly strides: number[]; readonly bytes: number } | null {
  const all = runsOf(index, [...batch, ...epilogue.n, ...epilogue.m]);
  if (all === null) return null;
  const features = all.runs.slice(0, batch.length + epilogue.n.length);
  const count = features.reduce((n, { extent }) => n * extent, 1);
  const feature = stridesOver([count], features);
  const pixels = stridesOver(sizes, all.runs.slice(features.length));
  const bytes = all.offset * dtype.bytes;
  if (feature === null || pixels === null || bytes < 0 || bytes % 16 !== 0) return null;
  return { strides: [pixels[0] ?? 0, feature[0] ?? 0, ...pixels.slice(1)], bytes };
}

/** With pixels in the rows and features in the columns. */
function convolutionOf(kernel: ContractionKernel, algorithm: number): LibraryConvolution | null {
  const { a, b, batch } = kernel;
  if (batch.length > 1 || kernel.accumulate !== float32 || kernel.sizes.length > 0) return null;
  const [pixels, weights] = [planOperand(a, 8, true), planOperand(b, 8, true)];
  const [from, filter] = [pixels.copy?.load, weights.copy?.load];
  if (from === undefined || filter === undefined || filter.mask !== null) return null;
  const { dtype } = from.buffer;
  const type = TYPES.get(dtype);
  if (pixels.along !== "k" || weights.along !== "k" || filter.buffer.dtype !== dtype || type === undefined) return null;
  const found = pixelsOf(a, from, batch, kernel.epilogue.m);
  const matrix = affineOf(filter.index, b.rows, b.k, batch);
  if (found === null || matrix === null) return null;
  const { image, dims, windows, channels: inner, groups: [group], start } = found;
  const sizes = [image.extent, ...dims.map(({ output }) => output)];
  const ending = endingOf(kernel, sizes);
  const y = ending === null ? null : tensorOf(kernel, ending.store.buffer.dtype, ending.store.index, sizes);
  const result = ending === null ? undefined : TYPES.get(ending.store.buffer.dtype);
  // Features are innermost: of two matrices, that tells which is the weights.
  if (ending === null || y === null || y.strides[1] !== 1 || result === undefined) return null;
  const [groups, features] = [group?.extent ?? 1, constantValue(kernel.n)];
  const wOffset = constantValue(matrix.offset);
  const pitch = windows.reduce((n, { extent }) => n * extent, inner.extent);
  const packedWeights = constantValue(matrix.rows) === pitch && constantValue(matrix.columns) === 1;
  if (features === null || wOffset === null || !packedWeights || start < 0) return null;
  if (start * dtype.bytes % 16 !== 0 || wOffset * dtype.bytes % 16 !== 0) return null;
  if (group !== undefined) {
    const next = matrix.batch[0] === undefined ? null : constantValue(matrix.batch[0].stride);
    if (group.stride !== inner.extent || next !== pitch * features) return null;
  }
  const w = dims.reduceRight<number[]>(
    (list, { window }) => [(list[0] ?? 0) * window, ...list],
    [inner.extent],
  );
  const spec: ConvolutionSpec = {
    kind: "convolution",
    batch: image.extent,
    groups,
    channels: groups * inner.extent,
    features: groups * features,
    size: dims.map(({ size }) => size),
    window: dims.map(({ window }) => window),
    output: dims.map(({ output }) => output),
    stride: dims.map(({ stride }) => stride),
    dilation: dims.map(({ dilation }) => dilation),
    before: dims.map(({ before }) => before),
    behind: dims.map(({ behind }) => behind),
    type,
    result,
    x: [image.stride, 1, ...dims.map(({ distance }) => distance)],
    w: [w[0] ?? 0, 1, ...w.slice(1)],
    y: y.strides,
    steps: ending.steps,
    algorithm,
  };
  return {
    spec,
    x: { buffer: from.buffer, bytes: start * dtype.bytes },
    w: { buffer: filter.buffer, bytes: wOffset * dtype.bytes },
    y: { buffer: ending.store.buffer, bytes: y.bytes },
    extras: ending.extras,
  };
}

/** The contraction as one call, result and all; null where it is none. */
export function libraryConvolution(kernel: ContractionKernel, algorithm = 0): LibraryConvolution | null {
  return convolutionOf(kernel, algorithm) ?? convolutionOf(swapped(kernel), algorithm);
}

/** The call as a launch. */
export function convolutionText({ spec, x, w, y, extras }: LibraryConvolution, context: EmitContext): CudaKernelText {
  return libraryLaunch(spec, [x, w, y], CUDNN_WORKSPACE, extras, context);
}
