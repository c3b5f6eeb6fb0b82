/**
 * Max pooling and its gradient.
 *
 * Small windows are unrolled, so that pooling is pointwise and fuses. Instead of positions in the plane, the tap of each window that won
 * is what the gradient needs (a byte): every input element then gathers from the windows that hold it and whose winner it is,
 * which is deterministic and pointwise too. ATen's flat indices follow from taps by arithmetic. NaN wins, as in ATen;
 * of equals the first does.
 */
import { computeType, type DType, int32, int64, uint8 } from "../core/mod.ts";
import { type LoopInput, type LoopNode, ops, pointwise, reduction, type Value } from "../loops/mod.ts";
import {
  add,
  asExpr,
  type Expr,
  floorDiv,
  mod,
  mul,
  shapeToText,
  type Size,
  sizeIsZero,
  sizeLe,
  sub,
} from "../symbolic/mod.ts";
import { defineOp, type TensorSpec } from "./define.ts";
import type { SampleGenerator, TensorSample } from "./samples.ts";
import {
  both,
  exprsOf,
  insideCondition,
  insideShape,
  maskedBy,
  product,
  UNROLL_LIMIT,
  windowCount,
  windowList,
  windowPositions,
} from "./window.ts";

const ZERO = asExpr(0);

/** A pooling window, one number for each spatial dimension. */
export interface PoolWindow {
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly ceilMode: boolean;
}

/** Pooling arguments as ATen gives them. */
export interface PoolArgs {
  readonly kernelSize: readonly Size[];
  readonly stride: readonly Size[];
  readonly padding: readonly Size[];
  readonly dilation?: readonly Size[];
  readonly ceilMode: boolean;
}

/** Reads and checks pooling arguments. */
export function poolWindow(where: string, rank: number, args: PoolArgs): PoolWindow {
  const kernel = windowList(where, "kernel_size", args.kernelSize, rank, 1);
  const stride = windowList(where, "stride", args.stride, rank, 1, kernel);
  const padding = windowList(where, "padding", args.padding, rank, 0);
  const dilation = windowList(where, "dilation", args.dilation ?? [1], rank, 1);
  padding.forEach((p, d) => {
    if (p * 2 > (kernel[d] ?? 1)) {
      throw new RangeError(`${where}: padding ${p} must be at most half of the kernel size ${kernel[d]}`);
    }
  });
  return { kernel, stride, padding, dilation, ceilMode: args.ceilMode };
}

/** The result's shape: leading dimensions stay, spatial ones become numbers of windows. */
export function pooledShape(where: string, shape: readonly Size[], w: PoolWindow): Size[] {
  const rank = w.kernel.length;
  if (shape.length !== rank + 1 && shape.length !== rank + 2) {
    throw new TypeError(
      `${where}: needs an input with ${rank + 1} or ${rank + 2} dimensions, got ${shapeToText(shape)}`,
    );
  }
  const lead = shape.length - rank;
  // Only a batch may be empty.
  if (shape.some((s, d) => sizeIsZero(s) && (d > 0 || shape.length === rank + 1))) {
    throw new TypeError(`${where}: ${shapeToText(shape)} has an empty dimension other than the batch`);
  }
  const spatial = w.kernel.map((k, d) => {
    const p = w.padding[d] ?? 0;
    const count = windowCount(shape[lead + d] ?? 1, k, w.stride[d] ?? 1, [p, p], w.dilation[d] ?? 1, w.ceilMode);
    if (typeof count === "number" ? count < 1 : sizeLe(count, 0)) {
      throw new TypeError(
        `${where}: the window ${shapeToText(w.kernel)} is larger than the input ${
          shapeToText(shape)
        }; pad it or make the window smaller`,
      );
    }
    return count;
  });
  return [...shape.slice(0, lead), ...spatial];
}

/** Input position of a tap: stride·at + dilation·tap - padding. */
function tapIndex(w: PoolWindow, at: readonly Expr[], tap: readonly Expr[]): Expr[] {
  return at.map((e, d) => add(mul(e, w.stride[d] ?? 1), mul(tap[d] ?? ZERO, w.dilation[d] ?? 1), -(w.padding[d] ?? 0)));
}

/** Splits an index into leading dimensions and `rank` spatial ones. */
function splitIndex(index: readonly Expr[], rank: number): [Expr[], Expr[]] {
  return [index.slice(0, index.length - rank), index.slice(index.length - rank)];
}

/** The lowest value of a dtype: what padding yields. */
function lowest(dtype: DType): number {
  return dtype.isFloat ? -Infinity : dtype.min;
}

/** A tap's element and whether it lies in the input (null: always). */
function tapValue(input: LoopInput, index: readonly Expr[]): { readonly valid: Value | null; readonly value: Value } {
  const valid = insideShape(index, input.shape);
  return { valid, value: maskedBy(valid, input.load(index), lowest(input.dtype)) };
}

function maxPoolLoop(input: LoopInput, w: PoolWindow, shape: readonly Size[]): LoopNode {
  const rank = w.kernel.length;
  const compute = computeType(input.dtype);
  const at = (index: readonly Expr[], tap: readonly Expr[]): Value => {
    const [lead, spatial] = splitIndex(index, rank);
    return ops.cast(tapValue(input, [...lead, ...tapIndex(w, spatial, tap)]).value, compute);
  };
  if (product(w.kernel) > UNROLL_LIMIT) return reduction("max", shape, w.kernel, at, input.dtype);
  return pointwise(shape, (index) => {
    const values = windowPositions(w.kernel).map((tap) => at(index, tap.map(asExpr)));
    return ops.cast(values.reduce((a, b) => ops.maximum(a, b)), input.dtype);
  });
}

/** The dtype of taps: a byte where it holds them. */
function tapDtype(kernel: readonly number[]): DType {
  return product(kernel) <= 256 ? uint8 : int32;
}

function maxPoolTapsLoop(input: LoopInput, w: PoolWindow, shape: readonly Size[], dtype: DType): LoopNode {
  const rank = w.kernel.length;
  const compute = computeType(input.dtype);
  if (product(w.kernel) > UNROLL_LIMIT) {
    return reduction("argmax", shape, w.kernel, (index, tap) => {
      const [lead, spatial] = splitIndex(index, rank);
      const from = [...lead, ...tapIndex(w, spatial, tap)];
      const { valid, value } = tapValue(input, from);
      // What is outside loses against what is inside, -∞ included.
      if (valid === null || !compute.isFloat) return ops.cast(value, compute);
      return maskedBy(valid, ops.maximum(ops.cast(input.load(from), compute), compute.min), -Infinity);
    }, dtype);
  }
  return pointwise(shape, (index) => {
    const [lead, spatial] = splitIndex(index, rank);
    let best: Value | null = null;
    let winner: Value = ops.constant(0, int32);
    let found: Value | null = null; // Whether some tap was inside; null: yes.
    windowPositions(w.kernel).forEach((tap, number) => {
      const { valid, value: raw } = tapValue(input, [...lead, ...tapIndex(w, spatial, tap.map(asExpr))]);
      const value = ops.cast(raw, compute);
      const here = ops.constant(number, int32);
      if (best === null) {
        best = value;
        winner = here;
        found = valid;
        return;
      }
      let wins = ops.gt(value, best);
      if (compute.isFloat) wins = ops.bitwiseOr(wins, ops.isnan(value));
      // A window that was outside so far takes the first tap inside, whatever its value.
      if (found !== null) wins = ops.bitwiseOr(wins, ops.not(found));
      if (valid !== null) wins = ops.bitwiseAnd(wins, valid);
      best = ops.where(wins, value, best);
      winner = ops.where(wins, here, winner);
      if (found !== null) found = valid === null ? null : ops.bitwiseOr(found, valid);
    });
    return ops.cast(winner, dtype);
  });
}

/** One candidate window of an input position: its index, the tap at which it holds the position, and when it does. */
interface Candidate {
  readonly window: Expr[];
  readonly tap: Value;
  readonly valid: Value | null;
}

/** Number of windows that can hold one element, by dimension. */
function candidateCounts(w: PoolWindow): number[] {
  return w.kernel.map((k, d) => Math.ceil(((w.dilation[d] ?? 1) * (k - 1) + 1) / (w.stride[d] ?? 1)));
}

/** Candidate `c` (0: the last window that starts at or before the position). */
function candidate(w: PoolWindow, at: readonly Expr[], c: readonly Expr[], windows: readonly Expr[]): Candidate {
  let valid: Value | null = null;
  let tap: Expr = ZERO;
  const window = at.map((e, d) => {
    const stride = w.stride[d] ?? 1, dilation = w.dilation[d] ?? 1, kernel = w.kernel[d] ?? 1;
    const shifted = add(e, w.padding[d] ?? 0);
    const o = sub(floorDiv(shifted, stride), c[d] ?? ZERO);
    const offset = add(mod(shifted, stride), mul(c[d] ?? ZERO, stride));
    valid = both(valid, insideCondition(o, windows[d] ?? ZERO));
    if (dilation > 1) valid = both(valid, ops.eq(ops.index(mod(offset, dilation)), 0));
    const t = floorDiv(offset, dilation);
    valid = both(valid, insideCondition(t, asExpr(kernel)));
    tap = add(mul(tap, kernel), t);
    return o;
  });
  return { window, tap: ops.index(tap), valid };
}

/** Sums `term` over the windows that can hold each input element: unrolled if they are few. */
export function sumOverCandidates(
  w: PoolWindow,
  shape: readonly Size[],
  windows: readonly Expr[],
  dtype: DType,
  term: (window: Expr[], tap: Value, lead: readonly Expr[], position: readonly Expr[]) => Value,
): LoopNode {
  const rank = w.kernel.length;
  const counts = candidateCounts(w);
  const compute = computeType(dtype);
  const at = (index: readonly Expr[], c: readonly Expr[]): Value => {
    const [lead, spatial] = splitIndex(index, rank);
    const { window, tap, valid } = candidate(w, spatial, c, windows);
    return maskedBy(valid, ops.cast(term(window, tap, lead, spatial), compute), 0);
  };
  if (product(counts) > UNROLL_LIMIT) return reduction("sum", shape, counts, at, dtype);
  return pointwise(shape, (index) => {
    const terms = windowPositions(counts).map((c) => at(index, c.map(asExpr)));
    return ops.cast(terms.reduce((a, b) => ops.add(a, b)), dtype);
  });
}

const TAPS =
  "tessera::max_pool_taps(Tensor input, int[] kernel_size, int[] stride, int[] padding, int[] dilation, bool ceil_mode) -> Tensor";

/** Arguments of a sample of the internal operators. */
function sampleArgs(kernel: readonly number[], stride: readonly number[], padding: readonly number[], dilation = 1): {
  readonly kernelSize: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly ceilMode: boolean;
} {
  return { kernelSize: kernel, stride, padding, dilation: kernel.map(() => dilation), ceilMode: false };
}

/** Distinct numbers, so that maxima have no ties. */
export function distinct(g: SampleGenerator, shape: readonly number[]): TensorSample {
  const count = product(shape);
  return g.tensor(shape, { values: Array.from({ length: count }, (_, i) => (i * 37 % count) / 4 - 2) });
}

defineOp({
  schema:
    "tessera::max_pool(Tensor input, int[] kernel_size, int[] stride, int[] padding, int[] dilation, bool ceil_mode) -> Tensor",
  doc: "The maximum of each window over the last dimensions.",
  meta: ({ input, ...args }): TensorSpec => {
    const w = poolWindow("max_pool", args.kernelSize.length, args);
    return { shape: pooledShape("max_pool", input.shape, w), dtype: input.dtype };
  },
  loop: ({ input, ...args }, out) =>
    maxPoolLoop(input, poolWindow("max_pool", args.kernelSize.length, args), out.shape),
  vjp: ({ input, kernelSize, stride, padding, dilation, ceilMode }, { grad, F }) => ({
    input: () => {
      const taps = F.maxPoolTaps(input, kernelSize, stride, padding, dilation, ceilMode);
      const size = input.shape.slice(input.ndim - kernelSize.length);
      return F.maxPoolInputGrad(grad, taps, size, kernelSize, stride, padding, dilation);
    },
  }),
  samples: (g) => [
    { args: { input: distinct(g, [2, 3, 6]), ...sampleArgs([3], [2], [1]) } },
    { name: "dilated", args: { input: distinct(g, [1, 2, 6, 7]), ...sampleArgs([2, 3], [1, 2], [1, 1], 2) } },
    { name: "large window", args: { input: distinct(g, [1, 8, 8]), ...sampleArgs([6, 5], [2, 2], [0, 0]) } },
  ],
});

defineOp({
  schema: TAPS,
  doc: "Which element of its window each maximum is, counted in row-major order within the window.",
  meta: ({ input, ...args }): TensorSpec => {
    const w = poolWindow("max_pool", args.kernelSize.length, args);
    return { shape: pooledShape("max_pool", input.shape, w), dtype: tapDtype(w.kernel) };
  },
  loop: ({ input, ...args }, out) =>
    maxPoolTapsLoop(input, poolWindow("max_pool", args.kernelSize.length, args), out.shape, out.dtype),
  samples: (g) => [{ args: { input: distinct(g, [2, 3, 6]), ...sampleArgs([3], [2], [1]) } }],
});

defineOp({
  schema:
    "tessera::max_pool_input_grad(Tensor grad, Tensor taps, SymInt[] input_size, int[] kernel_size, int[] stride, int[] padding, int[] dilation) -> Tensor",
  doc: "The gradient of max pooling: each input element gathers from the windows that it won.",
  meta: ({ grad, inputSize }) => ({
    shape: [...grad.shape.slice(0, grad.shape.length - inputSize.length), ...inputSize],
    dtype: grad.dtype,
  }),
  loop: ({ grad, taps, ...args }, out) => {
    const w = poolWindow("max_pool", args.kernelSize.length, { ...args, ceilMode: false });
    const windows = grad.shape.slice(grad.shape.length - w.kernel.length);
    return sumOverCandidates(w, out.shape, windows, out.dtype, (window, tap, lead) => {
      const at = [...lead, ...window];
      const value = ops.cast(grad.load(at), computeType(out.dtype));
      return ops.where(ops.eq(ops.cast(taps.load(at), int64), tap), value, 0);
    });
  },
  vjp: ({ taps, inputSize, kernelSize, stride, padding, dilation }, { grad, F }) => ({
    grad: () => {
      const indices = F.maxPoolTapIndices(taps, inputSize, kernelSize, stride, padding, dilation);
      const rank = inputSize.length;
      const flat = rank === 1 ? grad : grad.flatten(grad.ndim - rank);
      const at = rank === 1 ? indices : indices.flatten(indices.ndim - rank);
      return flat.gather(-1, at).reshape(indices.shape);
    },
  }),
  samples: (g) => [
    {
      args: {
        grad: g.tensor([2, 3, 3]),
        taps: g.tensor([2, 3, 3], { dtype: uint8, values: "integers", low: 1, high: 2, requiresGrad: false }),
        inputSize: [6],
        kernelSize: [3],
        stride: [2],
        padding: [1],
        dilation: [1],
      },
    },
  ],
});

defineOp({
  schema:
    "tessera::max_pool_tap_indices(Tensor taps, SymInt[] input_size, int[] kernel_size, int[] stride, int[] padding, int[] dilation) -> Tensor",
  doc: "Turns taps of windows into flat positions of the input plane, as ATen counts them.",
  meta: ({ taps }) => ({ shape: taps.shape, dtype: int64 }),
  loop: ({ taps, inputSize, ...args }, out) => {
    const w = poolWindow("max_pool", args.kernelSize.length, { ...args, ceilMode: false });
    const sizes = exprsOf(inputSize);
    return pointwise(out.shape, (index) => {
      const [, spatial] = splitIndex(index, w.kernel.length);
      const starts = tapIndex(w, spatial, []);
      let rest = ops.cast(taps.load(index), int64);
      let flat: Value = ops.constant(0, int64);
      let weight: Expr = asExpr(1);
      for (let d = w.kernel.length - 1; d >= 0; d--) {
        const kernel = w.kernel[d] ?? 1;
        const tap = d === 0 ? rest : ops.floorMod(rest, kernel);
        rest = d === 0 ? rest : ops.floorDiv(rest, kernel);
        const position = ops.add(ops.index(starts[d] ?? ZERO), ops.mul(tap, w.dilation[d] ?? 1));
        flat = ops.add(flat, ops.mul(position, ops.index(weight)));
        weight = mul(weight, sizes[d] ?? asExpr(1));
      }
      return flat;
    });
  },
  samples: (g) => [
    {
      args: {
        taps: g.tensor([2, 3, 3], { dtype: uint8, values: "integers", low: 1, high: 4, requiresGrad: false }),
        inputSize: [4, 4],
        kernelSize: [2, 2],
        stride: [1, 1],
        padding: [0, 0],
        dilation: [1, 1],
      },
    },
  ],
});

/** The gradient of max pooling by ATen's flat indices. */
export function flatIndexGrad(
  grad: LoopInput,
  indices: LoopInput,
  w: PoolWindow,
  out: { readonly shape: readonly Size[]; readonly dtype: DType },
): LoopNode {
  const rank = w.kernel.length;
  const sizes = exprsOf(out.shape.slice(out.shape.length - rank));
  const windows = grad.shape.slice(grad.shape.length - rank);
  return sumOverCandidates(w, out.shape, windows, out.dtype, (window, _tap, lead, position) => {
    const at = [...lead, ...window];
    const flat = position.reduce((sum, e, d) => add(mul(sum, sizes[d] ?? asExpr(1)), e), ZERO);
    const value = ops.cast(grad.load(at), computeType(out.dtype));
    return ops.where(ops.eq(indices.load(at), ops.index(flat)), value, 0);
  });
}
