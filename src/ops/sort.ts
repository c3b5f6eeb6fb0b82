/**
 * Sorting and selecting along a dimension: sort, argsort, msort, topk, kthvalue, median, mode.
 *
 * They run on the host's memory. Values are gathered from the input, so their gradient is scattered back by the indices. Sorting is stable
 * always; NaN counts as the largest. Mirrors ATen's Sorting.cpp.
 */
import { bool, int64, normalizeAxis } from "../core/mod.ts";
import { shapeToText, type Size, sizeIsZero, sizeLe } from "../symbolic/mod.ts";
import {
  defineOp,
  type HostResult,
  type HostTensor,
  type MetaInput,
  type TensorSpec,
  type VjpContext,
  type VjpResult,
} from "./define.ts";
import {
  type AxisLine,
  axisLines,
  compareHost,
  hostArray,
  hostShape,
  isNaNElement,
  readHost,
  sortedPositions,
  writeHost,
} from "./host_axis.ts";
import type { SampleGenerator, TensorSample } from "./samples.ts";
import { distinct } from "./max_pool.ts";
import { type Before, firstPositions, rankPosition } from "./select_order.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

/** Which of two positions of a line comes first; NaN counts as the largest. */
function ordered(self: HostTensor, line: AxisLine, largest: boolean): Before {
  const values = Array.from({ length: line.length }, (_, i) => readHost(self.data, line.start + i * line.step));
  const sign = largest ? -1 : 1;
  return (a, b) => sign * compareHost(values[a] ?? 0, values[b] ?? 0) < 0;
}

/** Values and int64 indices of one shape. */
function pairSpec(self: MetaInput, shape: readonly Size[]): [TensorSpec, TensorSpec] {
  return [{ shape, dtype: self.dtype }, { shape, dtype: int64 }];
}

/** The shape with `dim` replaced by `size` (null: removed). */
function withDim(shape: readonly Size[], axis: number, size: Size | null): Size[] {
  if (shape.length === 0) return [];
  return shape.flatMap((s, d) => d === axis ? (size === null ? [] : [size]) : [s]);
}

/** The gradient of values that were taken along `dim` at `indices`. */
function takenGrad(self: TensorValue, dim: Size, keepdim: boolean, { outs, grads }: VjpContext): VjpResult {
  const [, indices] = outs;
  const grad = grads[0] ?? null;
  return {
    self: () => {
      if (grad === null || indices === undefined) return null;
      if (self.ndim === 0) return grad;
      const g = keepdim ? grad : grad.unsqueeze(dim), at = keepdim ? indices : indices.unsqueeze(dim);
      return self.zerosLike().scatter(dim, at, g);
    },
  };
}

/** Takes from each line the elements at the positions that `choose` returns, always `count` of them. */
function takeAlong(
  self: HostTensor,
  dim: Size,
  count: number,
  shape: readonly Size[],
  choose: (line: AxisLine) => ArrayLike<number>,
): HostResult[] {
  const from = hostShape(self);
  const axis = normalizeAxis(Number(dim), from.length, "sort");
  const to = from.length === 0 ? [] : from.map((s, d) => d === axis ? count : s);
  const total = to.reduce((a, b) => a * b, 1);
  const values = hostArray(self.dtype, total);
  const indices = new BigInt64Array(total);
  const targets = axisLines(to, axis);
  for (const line of axisLines(from, axis)) {
    const target = targets.next().value;
    if (target === undefined) break;
    const chosen = choose(line);
    for (let i = 0; i < chosen.length; i++) {
      const at = target.start + i * target.step, position = chosen[i] as number;
      writeHost(values, at, readHost(self.data, line.start + position * line.step));
      indices[at] = BigInt(position);
    }
  }
  const numbers = shape.map(Number);
  return [{ shape: numbers, data: values }, { shape: numbers, data: indices }];
}

function sortHost(self: HostTensor, dim: Size, descending: boolean): HostResult[] {
  const shape = hostShape(self);
  const axis = normalizeAxis(Number(dim), shape.length, "sort");
  return takeAlong(self, dim, shape[axis] ?? 1, shape, (line) => sortedPositions(self.data, line, descending));
}

function sortSpec(where: string, self: MetaInput, dim: Size): [TensorSpec, TensorSpec] {
  normalizeAxis(Number(dim), self.shape.length, where);
  return pairSpec(self, self.shape);
}

function sample(g: SampleGenerator): TensorSample {
  return distinct(g, [3, 5]);
}

defineOp({
  schema: "aten::sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)",
  doc: "Sorts along a dimension; also the positions that the elements had.",
  meta: ({ self, dim }) => sortSpec("sort", self, dim),
  host: ({ self, dim, descending }) => sortHost(self, dim, descending),
  vjp: ({ self, dim }, context) => takenGrad(self, dim, true, context),
  samples: (g) => [{ args: { self: sample(g) } }, { args: { self: sample(g), dim: 0, descending: true } }],
});

defineOp({
  schema:
    "aten::sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)",
  doc: "Sorts along a dimension; equal elements keep their order.",
  meta: ({ self, dim }) => sortSpec("sort", self, dim),
  host: ({ self, dim, descending }) => sortHost(self, dim, descending),
  vjp: ({ self, dim }, context) => takenGrad(self, dim, true, context),
  samples: (g) => [{ args: { self: sample(g), stable: true, dim: 0 } }],
});

defineOp({
  schema: "aten::argsort(Tensor self, int dim=-1, bool descending=False) -> Tensor",
  doc: "The positions that sort a dimension.",
  meta: ({ self, dim }) => sortSpec("argsort", self, dim)[1],
  decompose: ({ self, dim, descending }) => self.detach().sort(dim, descending)[1],
  samples: (g) => [{ args: { self: sample(g) } }],
});

defineOp({
  schema: "aten::argsort.stable(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor",
  doc: "The positions that sort a dimension; equal elements keep their order.",
  meta: ({ self, dim }) => sortSpec("argsort", self, dim)[1],
  decompose: ({ self, dim, descending }) => self.detach().sort(dim, descending)[1],
  samples: (g) => [{ args: { self: sample(g), stable: true } }],
});

defineOp({
  schema: "aten::msort(Tensor self) -> Tensor",
  doc: "Sorts along the first dimension.",
  meta: ({ self }) => ({ shape: self.shape, dtype: self.dtype }),
  decompose: ({ self }) => self.sort(0)[0],
  samples: (g) => [{ args: { self: sample(g) } }],
});

function checkCount(where: string, self: MetaInput, dim: Size, k: Size, least: number): number {
  const axis = normalizeAxis(Number(dim), self.shape.length, where);
  const size = self.shape.length === 0 ? 1 : self.shape[axis] ?? 1;
  if (!sizeLe(least, k) || !sizeLe(k, size)) {
    throw new RangeError(`${where}: k = ${k} is out of range for dimension ${axis} of ${shapeToText(self.shape)}`);
  }
  return axis;
}

defineOp({
  schema:
    "aten::topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)",
  doc: "The k largest (or smallest) elements along a dimension, in order, and their positions.",
  meta: ({ self, k, dim }) => {
    if (self.dtype === bool) throw new TypeError("topk: needs numbers, got bool; convert with .to(uint8)");
    return pairSpec(self, withDim(self.shape, checkCount("topk", self, dim, k, 0), k));
  },
  host: ({ self, k, dim, largest, sorted }, [out]) =>
    takeAlong(
      self,
      dim,
      Number(k),
      out?.shape ?? [],
      (line) => firstPositions(line.length, Number(k), sorted, ordered(self, line, largest)),
    ),
  vjp: ({ self, dim }, context) => takenGrad(self, dim, true, context),
  samples: (g) => [
    { args: { self: sample(g), k: 2 } },
    { args: { self: sample(g), k: 1, dim: 0, largest: false } },
  ],
});

defineOp({
  schema: "aten::kthvalue(Tensor self, SymInt k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
  doc: "The k-th smallest element along a dimension (1 is the smallest), and its position.",
  meta: ({ self, k, dim, keepdim }) =>
    pairSpec(self, withDim(self.shape, checkCount("kthvalue", self, dim, k, 1), keepdim ? 1 : null)),
  host: ({ self, k, dim }, [out]) =>
    takeAlong(
      self,
      dim,
      1,
      out?.shape ?? [],
      (line) => line.length === 0 ? [] : [rankPosition(line.length, Number(k) - 1, ordered(self, line, false))],
    ),
  vjp: ({ self, dim, keepdim }, context) => takenGrad(self, dim, keepdim, context),
  samples: (g) => [{ args: { self: sample(g), k: 2 } }, { args: { self: sample(g), k: 1, dim: 0, keepdim: true } }],
});

/** Position of the lower median of a line; the first NaN if there is one, unless they are ignored. */
function medianPosition(self: HostTensor, line: AxisLine, ignoreNaN: boolean): number {
  const order = sortedPositions(self.data, line, false);
  const at = (i: number): number => order[i] ?? 0;
  const isNaNAt = (position: number): boolean => isNaNElement(readHost(self.data, line.start + position * line.step));
  const nans = order.filter(isNaNAt);
  if (nans.length > 0 && !ignoreNaN) return nans[0] ?? 0;
  const count = order.length - nans.length;
  return at(Math.max(Math.floor((count - 1) / 2), 0));
}

function medianSpec(where: string, self: MetaInput, dim: Size, keepdim: boolean): [TensorSpec, TensorSpec] {
  const axis = normalizeAxis(Number(dim), self.shape.length, where);
  if (self.shape[axis] === 0) {
    throw new RangeError(`${where}: dimension ${axis} of ${shapeToText(self.shape)} is empty`);
  }
  return pairSpec(self, withDim(self.shape, axis, keepdim ? 1 : null));
}

defineOp({
  schema: "aten::median.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
  doc: "The lower median along a dimension and its position; NaN if there is one.",
  meta: ({ self, dim, keepdim }) => medianSpec("median", self, dim, keepdim),
  host: ({ self, dim }, [out]) =>
    takeAlong(self, dim, 1, out?.shape ?? [], (line) => [medianPosition(self, line, false)]),
  vjp: ({ self, dim, keepdim }, context) => takenGrad(self, dim, keepdim, context),
  samples: (g) => [{ args: { self: sample(g), dim: 1 } }],
});

defineOp({
  schema: "aten::nanmedian.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
  doc: "The lower median along a dimension and its position, without NaN.",
  meta: ({ self, dim, keepdim }) => medianSpec("nanmedian", self, dim, keepdim),
  host: ({ self, dim }, [out]) =>
    takeAlong(self, dim, 1, out?.shape ?? [], (line) => [medianPosition(self, line, true)]),
  vjp: ({ self, dim, keepdim }, context) => takenGrad(self, dim, keepdim, context),
  samples: (g) => [{ args: { self: sample(g), dim: 1 } }],
});

/** A median of all elements; NaN if there are none, of integers what PyTorch makes of it: the smallest. */
function ofAll(self: TensorValue, median: (flat: TensorValue) => TensorValue, F: Functional): TensorValue {
  if (!self.shape.some(sizeIsZero)) return median(self.reshape([-1]));
  const { dtype, device } = self;
  return F.full([], dtype.isFloat ? NaN : dtype.kind === "uint" || dtype === bool ? 0 : dtype.min, { dtype, device });
}

/** Of a median of all elements: equals share the gradient. */
function sharedGrad(self: TensorValue, out: TensorValue, grad: TensorValue, F: Functional): TensorValue {
  const chosen = F.where(out.isnan(), self.isnan(), self.eq(out));
  return grad.div(chosen.sum()).mul(chosen);
}

defineOp({
  schema: "aten::median(Tensor self) -> Tensor",
  doc: "The lower median of all elements; NaN if there is one.",
  meta: ({ self }) => ({ shape: [], dtype: self.dtype }),
  decompose: ({ self }, F) => ofAll(self, (flat) => flat.median(0)[0], F),
  vjp: ({ self }, { grad, out, F }) => ({ self: () => sharedGrad(self, out, grad, F) }),
  samples: (g) => [{ args: { self: sample(g) } }],
});

defineOp({
  schema: "aten::nanmedian(Tensor self) -> Tensor",
  doc: "The lower median of all elements, without NaN.",
  meta: ({ self }) => ({ shape: [], dtype: self.dtype }),
  decompose: ({ self }, F) => ofAll(self, (flat) => flat.nanmedian(0)[0], F),
  vjp: ({ self }, { grad, out, F }) => ({ self: () => sharedGrad(self, out, grad, F) }),
  samples: (g) => [{ args: { self: sample(g) } }],
});

/** Position of the smallest of the most frequent elements of a line; its last occurrence, as in PyTorch. */
function modePosition(self: HostTensor, line: AxisLine): number {
  const order = sortedPositions(self.data, line, false);
  const value = (position: number): ReturnType<typeof readHost> =>
    readHost(self.data, line.start + position * line.step);
  let best = order[0] ?? 0, bestCount = 0, start = 0;
  for (let i = 1; i <= order.length; i++) {
    const here = order[i], before = order[i - 1] ?? 0;
    if (here !== undefined && compareHost(value(here), value(before)) === 0) continue;
    if (i - start > bestCount) {
      bestCount = i - start;
      best = before;
    }
    start = i;
  }
  return best;
}

defineOp({
  schema: "aten::mode(Tensor self, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
  doc: "The most frequent element along a dimension (the smallest of several) and a position of it.",
  meta: ({ self, dim, keepdim }) => medianSpec("mode", self, dim, keepdim),
  host: ({ self, dim }, [out]) => takeAlong(self, dim, 1, out?.shape ?? [], (line) => [modePosition(self, line)]),
  vjp: ({ self, dim, keepdim }, context) => takenGrad(self, dim, keepdim, context),
  samples: (g) => [{ args: { self: sample(g), dim: 1 } }],
});
