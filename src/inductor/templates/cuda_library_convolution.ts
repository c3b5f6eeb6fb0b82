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
import { coefficient, constant, constantValue, type Expr, gcd, mul, sub, symbol } from "../../symbolic/mod.ts";
import type { CudaKernelText, EmitContext } from "../codegen/cuda/kernel_text.ts";
import type { Axis, ContractionKernel, OperandProgram, TileStatement, TileValue } from "../tile/tile_ir.ts";
import { affineOf, swapped } from "./cuda_hopper_plan.ts";
import { biasPlace, libraryLaunch, type Place } from "./cuda_library.ts";
import { planOperand } from "./cuda_operands.ts";
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

/** An axis with its distance in memory. */
interface Run {
  readonly extent: number;
  readonly stride: number;
}

interface AxisRun extends Run {
  readonly axis: Axis;
}

/** An index as distances of axes and an offset; null unless all of it is known. */
function runsOf(index: Expr, axes: readonly Axis[]): { readonly runs: AxisRun[]; readonly offset: number } | null {
  let rest = index;
  const runs: AxisRun[] = [];
  for (const axis of axes) {
    const c = coefficient(index, axis.symbol);
    const [stride, extent] = [c === null ? null : constantValue(c), constantValue(axis.extent)];
    if (c === null || stride === null || stride < 0 || extent === null) return null;
    rest = sub(rest, mul(c, symbol(axis.symbol)));
    runs.push({ axis, extent, stride });
  }
  const offset = constantValue(rest);
  return offset === null ? null : { runs, offset };
}

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

/** Conditions on positions: each expression with its bounds. */
interface Bound {
  readonly position: Expr;
  readonly below: number | null;
}

/** The conditions that a mask is made of; null where it is something else. */
function boundsOf(program: OperandProgram, mask: TileValue): Bound[] | null {
  const definition = (v: TileValue | undefined): TileStatement | undefined =>
    program.body.find((s) => "out" in s && s.out === v);
  const own = definition(mask);
  if (own?.kind !== "pointwise") return null;
  const [left, right] = own.args;
  if (own.op === "bitwiseAnd") {
    if (left === undefined || right === undefined) return null;
    const [a, b] = [boundsOf(program, left), boundsOf(program, right)];
    return a === null || b === null ? null : [...a, ...b];
  }
  const [position, limit] = [definition(left), definition(right)];
  const at = limit?.kind === "constant"
    ? Number(limit.value)
    : limit?.kind === "index"
    ? constantValue(limit.expr)
    : null;
  if (position?.kind !== "index" || at === null) return null;
  if (own.op === "ge" && at === 0) return [{ position: position.expr, below: null }];
  return own.op === "lt" ? [{ position: position.expr, below: at }] : null;
}

/** One spatial dimension. */
interface Spatial {
  readonly output: number;
  readonly window: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly behind: number;
  readonly size: number;
  /** Between neighbours of x. */
  readonly distance: number;
}

/** How much of x takes part, and what is behind it. `most` is where x ends, if that is known. */
function extentOf(d: Omit<Spatial, "behind" | "size">, most: number | null): Pick<Spatial, "behind" | "size"> {
  const needed = (d.output - 1) * d.stride + (d.window - 1) * d.dilation + 1 - d.before;
  // Up to a step more changes nothing, and may make rows lie one after the other.
  const size = most === null ? needed : Math.min(most, needed + d.stride - 1);
  const behind = Math.max(0, needed - size);
  // The same on both sides is what most engines know.
  const reach = (size + 2 * d.before - (d.window - 1) * d.dilation - 1) / d.stride;
  return { size, behind: Math.floor(reach) + 1 === d.output ? d.before : behind };
}

/** What addresses of pixels say of the dimensions; outermost first. */
function spatialOf(
  rows: readonly AxisRun[],
  windows: readonly AxisRun[],
  bounds: readonly Bound[] | null,
  channels: number,
): Spatial[] | null {
  const pairs = rows.map((row, i) => {
    const bound = bounds?.filter(({ position }) => mentions(position, row.axis)) ?? [];
    const window = windows.find((w) => bound.some(({ position }) => mentions(position, w.axis))) ??
      (windows.length === rows.length ? windows[i] : undefined);
    return { row, window, bound };
  });
  if (windows.some((w) => pairs.filter((p) => p.window === w).length !== 1)) return null;
  const out: Spatial[] = [];
  for (const { row, window, bound } of [...pairs].reverse()) {
    const inner = out[0];
    const [output, places] = [row.extent, window?.extent ?? 1];
    let [stride, dilation, before] = [1, 1, 0];
    let most: number | null = null;
    const [first] = bound;
    if (first !== undefined) {
      // All conditions speak of one position.
      if (bound.some(({ position }) => position !== first.position)) return null;
      const axes = window === undefined ? [row] : [row, window];
      let rest = first.position;
      const steps = axes.map(({ axis }) => {
        const c = coefficient(first.position, axis.symbol) ?? constant(0);
        rest = sub(rest, mul(c, symbol(axis.symbol)));
        return constantValue(c) ?? 0;
      });
      const start = constantValue(rest);
      [stride = 0, dilation = 1] = steps;
      if (start === null || start > 0 || stride < 1 || dilation < 1) return null;
      before = -start;
      most = bound.reduce<number | null>((m, { below }) => below === null ? m : Math.min(m ?? below, below), null);
    } else if (window !== undefined) {
      const distance = gcd(row.stride, window.stride);
      [stride, dilation] = [row.stride / distance, window.stride / distance];
    } else if (inner === undefined) stride = row.stride % channels === 0 ? row.stride / channels : 1;
    else if (row.stride % inner.stride === 0) ({ stride } = inner);
    const distance = row.stride / stride;
    if (!Number.isInteger(distance) || (window !== undefined && window.stride !== distance * dilation)) return null;
    const base = { output, window: places, stride, dilation, before, distance };
    out.unshift({ ...base, ...extentOf(base, most) });
  }
  return out;
}

function mentions(e: Expr, axis: Axis): boolean {
  const c = coefficient(e, axis.symbol);
  return c !== null && constantValue(c) !== 0;
}

/** Lets dimensions reach as far as the next one begins, where that is within what a step leaves over. */
function packed(dims: readonly Spatial[], image: number): Spatial[] {
  return dims.map((d, i) => {
    const outer = i === 0 ? image : dims[i - 1]?.distance ?? 0;
    const whole = outer / d.distance;
    const room = Number.isInteger(whole) && whole > d.size && whole - d.size < d.stride && d.behind + d.before === 0;
    return room ? { ...d, size: whole } : d;
  });
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
  const bounds = from.mask === null ? [] : boundsOf(a, from.mask);
  const there = runsOf(from.index, [...batch, ...a.rows, ...a.k]);
  const matrix = affineOf(filter.index, b.rows, b.k, batch);
  if (bounds === null || there === null || matrix === null) return null;
  const [group] = batch.length === 0 ? [] : there.runs;
  const rows = there.runs.slice(batch.length, batch.length + a.rows.length);
  const windows = there.runs.slice(batch.length + a.rows.length);
  const inner = windows.pop();
  if (inner === undefined || inner.stride !== 1 || rows.length === 0) return null;
  const images = imagesOf(rows, windows, kernel);
  const dims = images === null ? null : spatialOf(images.slice(1), windows, bounds, inner.extent);
  const [image] = images ?? [];
  if (image === undefined || dims === null || image.stride === 0) return null;
  // Places of x that overlap are no tensor.
  if ((dims.at(-1)?.distance ?? 0) < inner.extent * (group?.extent ?? 1)) return null;
  const whole = packed(dims, image.stride);
  const sizes = [image.extent, ...dims.map(({ output }) => output)];
  const ending = endingOf(kernel, sizes);
  const y = ending === null ? null : tensorOf(kernel, ending.store.buffer.dtype, ending.store.index, sizes);
  const result = ending === null ? undefined : TYPES.get(ending.store.buffer.dtype);
  // Features are innermost: of two matrices, that tells which is the weights.
  if (ending === null || y === null || y.strides[1] !== 1 || result === undefined) return null;
  const [groups, features] = [group?.extent ?? 1, constantValue(kernel.n)];
  const wOffset = constantValue(matrix.offset);
  const pitch = windows.reduce((n, { extent }) => n * extent, inner.extent);
  const start = there.offset + dims.reduce((n, { before, distance }) => n + before * distance, 0);
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
    size: whole.map(({ size }) => size),
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

/** The rows as [images, ...at least two dimensions]. Windows of one pixel let rows be one axis: images are then what the result says they are. */
function imagesOf(
  rows: readonly AxisRun[],
  windows: readonly AxisRun[],
  { epilogue }: ContractionKernel,
): AxisRun[] | null {
  if (rows.length > 4) return null;
  if (rows.length > 2) return [...rows];
  const [first, last] = rows;
  // An axis of one image is none.
  if (first !== undefined && rows.length === windows.length) {
    return [{ ...first, extent: 1, stride: first.stride * first.extent }, ...rows];
  }
  const outer = constantValue(epilogue.m[0]?.extent ?? constant(1)) ?? 1;
  if (first === undefined) return null;
  const one = (run: AxisRun, stride: number): AxisRun => ({ ...run, extent: 1, stride });
  if (last === undefined) {
    const images = first.extent % outer === 0 ? outer : 1;
    const rest = first.extent / images;
    const pixels = { ...first, extent: rest };
    return windows.length > 0
      ? null
      : [{ ...first, extent: images, stride: first.stride * rest }, one(first, first.stride * rest), pixels];
  }
  if (windows.length === 0 && first.extent % outer === 0 && first.extent > outer) {
    const rest = first.extent / outer;
    return [{ ...first, extent: outer, stride: first.stride * rest }, { ...first, extent: rest }, last];
  }
  return windows.length <= 1 ? [first, one(first, first.stride), last] : null;
}

/** The contraction as one call, result and all; null where it is none. */
export function libraryConvolution(kernel: ContractionKernel, algorithm = 0): LibraryConvolution | null {
  return convolutionOf(kernel, algorithm) ?? convolutionOf(swapped(kernel), algorithm);
}

/** The call as a launch. */
export function convolutionText({ spec, x, w, y, extras }: LibraryConvolution, context: EmitContext): CudaKernelText {
  return libraryLaunch(spec, [x, w, y], CUDNN_WORKSPACE, extras, context);
}
