/**
 * Average pooling, its gradient, and adaptive pooling.
 *
 * Small windows are unrolled and so is the gradient, which gathers from the windows that hold an element. Adaptive pooling whose
 * sizes divide is plain pooling, to one element it is a mean; otherwise windows of unequal size are masked to the
 * largest. Mirrors ATen's AveragePool and AdaptiveAveragePooling.
 */
import { computeType } from "../core/mod.ts";
import { type LoopNode, ops, pointwise, reduction, type Value } from "../loops/mod.ts";
import {
  add,
  asExpr,
  ceilDiv,
  type Expr,
  exprOf,
  floorDiv,
  max,
  min,
  mul,
  shapeToText,
  type Size,
  sizeIsZero,
  sizeLt,
  sub,
} from "../symbolic/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { pooledShape, type PoolWindow, poolWindow, sumOverCandidates } from "./max_pool.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";
import { exprsOf, loadPadded, product, UNROLL_LIMIT, windowPositions } from "./window.ts";

const ZERO = asExpr(0);

/** How averages are divided. */
interface Divisor {
  readonly countIncludePad: boolean;
  readonly divisorOverride: Size | null;
}

/** The number by which the sum of a window is divided. */
function divisor(w: PoolWindow, d: Divisor, at: readonly Expr[], sizes: readonly Expr[]): Expr {
  if (d.divisorOverride !== null) return asExpr(Number(d.divisorOverride));
  const isPadded = w.padding.some((p) => p > 0);
  if (!w.ceilMode && (d.countIncludePad || !isPadded)) return asExpr(product(w.kernel));
  let count = asExpr(1);
  at.forEach((e, i) => {
    const size = sizes[i] ?? ZERO, p = w.padding[i] ?? 0;
    const start = add(mul(e, w.stride[i] ?? 1), -p);
    const end = min(add(start, w.kernel[i] ?? 1), add(size, p));
    count = mul(count, d.countIncludePad ? sub(end, start) : sub(min(end, size), max(start, 0)));
  });
  return count;
}

function splitIndex(index: readonly Expr[], rank: number): [Expr[], Expr[]] {
  return [index.slice(0, index.length - rank), index.slice(index.length - rank)];
}

function checkOverride(where: string, divisorOverride: Size | null): void {
  if (divisorOverride !== null && Number(divisorOverride) === 0) {
    throw new RangeError(`${where}: divisor_override must not be 0`);
  }
}

defineOp({
  schema:
    "tessera::avg_pool(Tensor input, int[] kernel_size, int[] stride, int[] padding, bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor",
  doc: "The mean of each window over the last dimensions.",
  meta: ({ input, ...args }) => {
    const w = poolWindow("avg_pool", args.kernelSize.length, args);
    checkOverride("avg_pool", args.divisorOverride);
    return { shape: pooledShape("avg_pool", input.shape, w), dtype: input.dtype };
  },
  loop: ({ input, ...args }, out) => {
    const w = poolWindow("avg_pool", args.kernelSize.length, args);
    const rank = w.kernel.length;
    const compute = computeType(out.dtype);
    const sizes = input.shape.slice(input.shape.length - rank);
    const load = (index: readonly Expr[], tap: readonly Expr[]): Value => {
      const [lead, spatial] = splitIndex(index, rank);
      const at = spatial.map((e, d) => add(mul(e, w.stride[d] ?? 1), tap[d] ?? ZERO, -(w.padding[d] ?? 0)));
      return ops.cast(loadPadded(input, [...lead, ...at], 0), compute);
    };
    const divide = (value: Value, index: readonly Expr[]): Value => {
      const [, spatial] = splitIndex(index, rank);
      const by = ops.index(divisor(w, args, spatial, sizes), compute);
      return compute.isFloat ? ops.div(value, by) : ops.truncDiv(value, by);
    };
    // Integers round once, after the sum.
    if (product(w.kernel) > UNROLL_LIMIT && compute.isFloat) {
      return reduction("sum", out.shape, w.kernel, (index, tap) => divide(load(index, tap), index), out.dtype);
    }
    return pointwise(out.shape, (index) => {
      const terms = windowPositions(w.kernel).map((tap) => load(index, tap.map(asExpr)));
      return ops.cast(divide(terms.reduce((a, b) => ops.add(a, b)), index), out.dtype);
    });
  },
  vjp: (args, { grad, F }) => ({
    input: () => {
      const { input, kernelSize, stride, padding, ceilMode, countIncludePad, divisorOverride } = args;
      const size = input.shape.slice(input.ndim - kernelSize.length);
      return F.avgPoolInputGrad(grad, size, kernelSize, stride, padding, ceilMode, countIncludePad, divisorOverride);
    },
  }),
  samples: (g) => [
    {
      args: {
        input: g.tensor([2, 3, 6]),
        kernelSize: [3],
        stride: [2],
        padding: [1],
        ceilMode: false,
        countIncludePad: true,
        divisorOverride: null,
      },
    },
  ],
});

defineOp({
  schema:
    "tessera::avg_pool_input_grad(Tensor grad, SymInt[] input_size, int[] kernel_size, int[] stride, int[] padding, bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor",
  doc: "The gradient of average pooling: each input element gathers from the windows that hold it.",
  meta: ({ grad, inputSize }) => ({
    shape: [...grad.shape.slice(0, grad.shape.length - inputSize.length), ...inputSize],
    dtype: grad.dtype,
  }),
  loop: ({ grad, inputSize, ...args }, out) => {
    const w = poolWindow("avg_pool", args.kernelSize.length, args);
    const compute = computeType(out.dtype);
    const windows = grad.shape.slice(grad.shape.length - w.kernel.length);
    const sizes = exprsOf(inputSize);
    return sumOverCandidates(w, out.shape, windows, out.dtype, (window, _tap, lead) =>
      ops.div(
        ops.cast(grad.load([...lead, ...window]), compute),
        ops.index(divisor(w, args, window, sizes), compute),
      ));
  },
  vjp: (args, { grad, F }) => ({
    grad: () => {
      const { kernelSize, stride, padding, ceilMode, countIncludePad, divisorOverride } = args;
      return F.avgPool(grad, kernelSize, stride, padding, ceilMode, countIncludePad, divisorOverride);
    },
  }),
  samples: (g) => [
    {
      args: {
        grad: g.tensor([2, 3, 3]),
        inputSize: [6],
        kernelSize: [3],
        stride: [2],
        padding: [1],
        ceilMode: false,
        countIncludePad: false,
        divisorOverride: null,
      },
    },
  ],
});

/** Where the window of an adaptive pooling starts and ends (exclusive). */
export function adaptiveWindow(at: Expr, input: Expr, output: Expr): { readonly start: Expr; readonly end: Expr } {
  return { start: floorDiv(mul(at, input), output), end: ceilDiv(mul(add(at, 1), input), output) };
}

/** The largest window of an adaptive pooling; of sizes that are symbols, a bound of it, beyond which terms are masked. */
export function windowExtent(input: Expr, output: Size): Expr {
  const parts = exprOf(output);
  if (input.kind !== "const" || parts.kind !== "const") return add(ceilDiv(input, parts), 1);
  let largest = 1;
  for (let o = 0; o < parts.value; o++) {
    const end = Math.ceil((o + 1) * input.value / parts.value);
    largest = Math.max(largest, end - Math.floor(o * input.value / parts.value));
  }
  return asExpr(largest);
}

/** Sums over small static extents by unrolling, otherwise by a reduction. */
function sumOver(
  out: TensorMeta,
  extents: readonly Expr[],
  term: (index: readonly Expr[], at: readonly Expr[]) => Value,
): LoopNode {
  const fixed = extents.flatMap((e) => e.kind === "const" ? [e.value] : []);
  if (fixed.length < extents.length || product(fixed) > UNROLL_LIMIT) {
    return reduction("sum", out.shape, extents, term, out.dtype);
  }
  return pointwise(out.shape, (index) => {
    const terms = windowPositions(fixed).map((at) => term(index, at.map(asExpr)));
    return ops.cast(terms.reduce((a, b) => ops.add(a, b)), out.dtype);
  });
}

/** The element of `load` where every condition on positions holds, divided by the window's count. */
function adaptiveTerm(value: () => Value, inside: readonly Value[], count: Expr): Value {
  const loaded = value();
  const scaled = ops.mul(loaded, ops.reciprocal(ops.index(count, loaded.dtype)));
  const condition = inside.reduce<Value | null>((a, b) => a === null ? b : ops.bitwiseAnd(a, b), null);
  return condition === null ? scaled : ops.masked(condition, scaled, 0);
}

defineOp({
  schema: "tessera::adaptive_avg_pool(Tensor input, SymInt[] output_size) -> Tensor",
  doc: "Means over windows that divide the last dimensions into output_size overlapping parts.",
  meta: ({ input, outputSize }) => ({
    shape: [...input.shape.slice(0, input.shape.length - outputSize.length), ...outputSize],
    dtype: input.dtype,
  }),
  loop: ({ input, outputSize }, out) => {
    const rank = outputSize.length;
    const compute = computeType(out.dtype);
    const sizes = input.shape.slice(input.shape.length - rank);
    const outputs = exprsOf(outputSize);
    const extents = sizes.map((e, d) => windowExtent(e, outputSize[d] ?? 1));
    return sumOver(out, extents, (index, tap) => {
      const [lead, spatial] = splitIndex(index, rank);
      const windows = spatial.map((e, d) => adaptiveWindow(e, sizes[d] ?? ZERO, outputs[d] ?? asExpr(1)));
      const at = windows.map((w, d) => add(w.start, tap[d] ?? ZERO));
      const inside = windows.map((w, d) => ops.lt(ops.index(at[d] ?? ZERO), ops.index(w.end)));
      const count = windows.reduce((a, w) => mul(a, sub(w.end, w.start)), asExpr(1));
      return adaptiveTerm(() => ops.cast(input.load([...lead, ...at]), compute), inside, count);
    });
  },
  vjp: ({ input, outputSize }, { grad, F }) => ({
    input: () => F.adaptiveAvgPoolInputGrad(grad, input.shape.slice(input.ndim - outputSize.length)),
  }),
  samples: (g) => [{ args: { input: g.tensor([2, 5, 7]), outputSize: [3, 2] } }],
});

defineOp({
  schema: "tessera::adaptive_avg_pool_input_grad(Tensor grad, SymInt[] input_size) -> Tensor",
  doc: "The gradient of adaptive average pooling.",
  meta: ({ grad, inputSize }) => ({
    shape: [...grad.shape.slice(0, grad.shape.length - inputSize.length), ...inputSize],
    dtype: grad.dtype,
  }),
  loop: ({ grad, inputSize }, out) => {
    const rank = inputSize.length;
    const compute = computeType(out.dtype);
    const outputs = grad.shape.slice(grad.shape.length - rank);
    const sizes = exprsOf(inputSize);
    // The windows that hold position i start with floor(i·O / I); their number is bounded by the largest window of the inverse map.
    const extents = outputs.map((e, d) => windowExtent(e, inputSize[d] ?? 1));
    return sumOver(out, extents, (index, c) => {
      const [lead, spatial] = splitIndex(index, rank);
      const at = spatial.map((e, d) => add(floorDiv(mul(e, outputs[d] ?? ZERO), sizes[d] ?? asExpr(1)), c[d] ?? ZERO));
      const windows = at.map((e, d) => adaptiveWindow(e, sizes[d] ?? ZERO, outputs[d] ?? asExpr(1)));
      const inside = windows.flatMap((w, d) => [
        ops.le(ops.index(w.start), ops.index(spatial[d] ?? ZERO)),
        ops.lt(ops.index(spatial[d] ?? ZERO), ops.index(w.end)),
        ops.lt(ops.index(at[d] ?? ZERO), ops.index(outputs[d] ?? ZERO)),
      ]);
      const count = windows.reduce((a, w) => mul(a, sub(w.end, w.start)), asExpr(1));
      return adaptiveTerm(() => ops.cast(grad.load([...lead, ...at]), compute), inside, count);
    });
  },
  vjp: ({ grad: { shape }, inputSize }, { grad, F }) => ({
    grad: () => F.adaptiveAvgPool(grad, shape.slice(shape.length - inputSize.length)),
  }),
  samples: (g) => [{ args: { grad: g.tensor([2, 3, 2]), inputSize: [5, 7] } }],
});

/** Shape of an adaptive pooling; checks ranks. */
export function adaptiveSpec(where: string, rank: number, self: MetaInput, size: readonly Size[]): TensorSpec {
  if ((self.shape.length !== rank + 1 && self.shape.length !== rank + 2) || size.length !== rank) {
    throw new TypeError(
      `${where}: needs ${rank + 1} or ${rank + 2} dimensions and ${rank} output sizes, got ${
        shapeToText(self.shape)
      } and ${shapeToText(size)}`,
    );
  }
  if (size.some((s) => sizeLt(s, 0))) {
    throw new RangeError(`${where}: output_size ${shapeToText(size)} must not be negative`);
  }
  // Averages in one and two dimensions take inputs without channels.
  const from = /avg_pool[12]d$/.test(where) ? self.shape.length - rank : 1;
  if (self.shape.slice(from).some(sizeIsZero)) {
    throw new TypeError(`${where}: ${shapeToText(self.shape)} has an empty dimension other than the batch`);
  }
  return { shape: [...self.shape.slice(0, self.shape.length - rank), ...size], dtype: self.dtype };
}

/** Adaptive average pooling in the cheapest form that fits. */
export function adaptiveAverage(self: TensorValue, size: readonly Size[], F: Functional): TensorValue {
  const rank = size.length;
  const lead = self.ndim - rank;
  if (size.every((s) => s === 1)) return self.mean(size.map((_, d) => lead + d), true);
  const kernel = size.map((s, d) => {
    const input = self.shape[lead + d] ?? 1;
    return typeof s === "number" && typeof input === "number" && s > 0 && input % s === 0 ? input / s : 0;
  });
  if (kernel.every((k) => k > 0) && !self.shape.some(sizeIsZero)) {
    return F.avgPool(
      self,
      kernel,
      kernel,
      kernel.map(() => 0),
      false,
      true,
      null,
    );
  }
  return F.adaptiveAvgPool(self, size);
}

/** Samples of `avg_pool` forms. */
export function avgPoolSamples(g: SampleGenerator, rank: number): Sample[] {
  const cube = (n: number): number[] => new Array<number>(rank).fill(n);
  return [
    { args: { self: g.tensor([2, 3, ...cube(4)]), kernelSize: [2] } },
    {
      name: "padded, not counted",
      args: { self: g.tensor([2, ...cube(5)]), kernelSize: cube(3), stride: [2], padding: [1], countIncludePad: false },
    },
    { name: "ceil mode", args: { self: g.tensor([1, 2, ...cube(5)]), kernelSize: [2], stride: [2], ceilMode: true } },
  ];
}
