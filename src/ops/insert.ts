/**
 * Putting a part back: the scatter twins of select, slice, diagonal, unfold and as_strided, and their gradients.
 *
 * `slice_scatter(self, src)` is self with src in the place of the slice; `slice_backward(grad)` is the same over zeros. Each is one pointwise
 * loop that asks at every element whether it lies in the part, so it fuses with its neighbours. Mirrors the `*_scatter` and
 * `*_backward` functions of ATen.
 */
import { type DType, float32, int64 } from "../core/mod.ts";
import { type LoopInput, type LoopNode, ops, pointwise, reduction, scatter, type Value } from "../loops/mod.ts";
import {
  add,
  ceilDiv,
  constant,
  contiguousStride,
  type Expr,
  exprOf,
  floorDiv,
  min,
  mod,
  mul,
  sub,
} from "../symbolic/mod.ts";
import {
  isContiguous,
  sameShape,
  shapeToText,
  type Size,
  sizeAdd,
  sizeEq,
  sizeIsZero,
  sizeLe,
  sizeLt,
  sizeMax,
  sizeMul,
  sizeSub,
} from "../symbolic/mod.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";
import { axisOf } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import {
  checkStrided,
  checkWholeStorage,
  diagonalOf,
  positionExpr,
  sliceRange,
  sliceStartExpr,
  stridedPosition,
  unravel,
} from "./view_slice.ts";

/** All of the conditions. */
export function allOf(conditions: readonly Value[]): Value {
  return conditions.reduce((a, b) => ops.bitwiseAnd(a, b));
}

/** A tensor of one number, as loops load it. */
export function filled(shape: readonly Expr[], dtype: DType, value: number): LoopInput {
  return { shape, dtype, load: () => ops.constant(value, dtype) };
}

const at = (e: Expr): Value => ops.index(e);

/** Elements of `src` where `place` says they lie, elsewhere those of `base`. */
function inserted(
  base: LoopInput,
  src: LoopInput,
  place: (index: readonly Expr[]) => { readonly inside: readonly Value[]; readonly index: readonly Expr[] },
): LoopNode {
  return pointwise(base.shape, (index) => {
    const part = place(index);
    const load = (): Value => ops.cast(src.load(part.index), base.dtype);
    if (part.inside.length === 0) return load();
    const mask = allOf(part.inside);
    return ops.where(mask, ops.masked(mask, load(), 0), base.load(index));
  });
}

function slicePlace(axis: number, start: Expr, step: Size, length: Expr) {
  return (index: readonly Expr[]) => {
    const distance = sub(index[axis] ?? constant(0), start);
    const every = exprOf(step);
    const inside = [ops.ge(at(distance), 0), ops.lt(at(distance), at(mul(length, every)))];
    if (step !== 1) inside.push(ops.eq(at(mod(distance, every)), 0));
    return { inside, index: index.with(axis, step === 1 ? distance : floorDiv(distance, every)) };
  };
}

function selectPlace(axis: number, position: Expr) {
  return (index: readonly Expr[]) => ({
    inside: [ops.eq(at(index[axis] ?? constant(0)), at(position))],
    index: index.toSpliced(axis, 1),
  });
}

function diagonalPlace(rank: number, offset: Size, dim1: Size, dim2: Size) {
  const first = axisOf("diagonal", dim1, rank);
  const second = axisOf("diagonal", dim2, rank);
  const k = Number(offset);
  return (index: readonly Expr[]) => {
    const row = index[first] ?? constant(0);
    const column = index[second] ?? constant(0);
    const along = k >= 0 ? row : column;
    return {
      inside: [ops.eq(at(sub(column, row)), k)],
      index: [...index.filter((_, i) => i !== first && i !== second), along],
    };
  };
}

function checkPart(where: string, src: MetaInput, expected: readonly Size[]): void {
  if (!sameShape(src.shape, expected)) {
    throw new TypeError(
      `${where}: src is ${shapeToText(src.shape)}, but the part to replace is ${shapeToText(expected)}`,
    );
  }
}

const asSelf = (self: MetaInput): TensorSpec => ({ shape: self.shape, dtype: self.dtype });
const zeros = (grad: MetaInput, sizes: readonly Size[]): TensorSpec => ({ shape: sizes, dtype: grad.dtype });
const zeroBase = (grad: LoopInput, sizes: readonly Size[]): LoopInput => filled(sizes.map(exprOf), grad.dtype, 0);

defineOp({
  schema: "aten::select_scatter(Tensor self, Tensor src, int dim, SymInt index) -> Tensor",
  doc: "self with src in the place of select(dim, index).",
  meta: ({ self, src, dim, index }) => {
    const axis = axisOf("select_scatter", dim, self.shape.length);
    const size = self.shape[axis] ?? 1;
    if (sizeLe(size, index) || sizeLt(index, sizeSub(0, size))) {
      throw new RangeError(
        `select_scatter: index ${index} is outside of dimension ${axis} of ${shapeToText(self.shape)}`,
      );
    }
    checkPart("select_scatter", src, self.shape.toSpliced(axis, 1));
    return asSelf(self);
  },
  loop: ({ self, src, dim, index }) => {
    const axis = axisOf("select_scatter", dim, self.shape.length);
    return inserted(self, src, selectPlace(axis, positionExpr(index, self.shape[axis] ?? constant(1))));
  },
  vjp: ({ src, dim, index }, { grad, F }) => ({
    self: () => F.selectScatter(grad, F.zerosLike(src), dim, index),
    src: () => grad.select(dim, index),
  }),
  samples: (g) => [{ args: { self: g.tensor([3, 4]), src: g.tensor([3]), dim: 1, index: -1 } }],
});

defineOp({
  schema: "aten::select_backward(Tensor grad_output, SymInt[] input_sizes, int dim, SymInt index) -> Tensor",
  doc: "Zeros with gradOutput in the place of select(dim, index).",
  meta: ({ gradOutput, inputSizes }) => zeros(gradOutput, inputSizes),
  loop: ({ gradOutput, inputSizes, dim, index }) => {
    const axis = axisOf("select_backward", dim, inputSizes.length);
    const position = positionExpr(index, exprOf(inputSizes[axis] ?? 1));
    return inserted(zeroBase(gradOutput, inputSizes), gradOutput, selectPlace(axis, position));
  },
  vjp: ({ dim, index }, { grad }) => ({ gradOutput: () => grad.select(dim, index) }),
  samples: (g) => [{ args: { gradOutput: g.tensor([3]), inputSizes: [3, 4], dim: 1, index: 2 } }],
});

defineOp({
  schema:
    "aten::slice_scatter(Tensor self, Tensor src, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor",
  doc: "self with src in the place of slice(dim, start, end, step).",
  meta: ({ self, src, dim, start, end, step }) => {
    const axis = axisOf("slice_scatter", dim, self.shape.length);
    const { length } = sliceRange("slice_scatter", self.shape[axis] ?? 1, start, end, step);
    checkPart("slice_scatter", src, self.shape.with(axis, length));
    return asSelf(self);
  },
  loop: ({ self, src, dim, start, step }) => {
    const axis = axisOf("slice_scatter", dim, self.shape.length);
    const from = sliceStartExpr(start, self.shape[axis] ?? constant(1));
    return inserted(self, src, slicePlace(axis, from, step, src.shape[axis] ?? constant(1)));
  },
  vjp: ({ src, dim, start, end, step }, { grad, F }) => ({
    self: () => F.sliceScatter(grad, F.zerosLike(src), dim, start, end, step),
    src: () => grad.slice(dim, start, end, step),
  }),
  samples: (g) => [
    { args: { self: g.tensor([5, 3]), src: g.tensor([2, 3]), dim: 0, start: 1, end: 3 } },
    { name: "steps", args: { self: g.tensor([3, 7]), src: g.tensor([3, 3]), dim: 1, start: -6, step: 2 } },
  ],
});

defineOp({
  schema:
    "aten::slice_backward(Tensor grad_output, SymInt[] input_sizes, int dim, SymInt start, SymInt end, SymInt step) -> Tensor",
  doc: "Zeros with gradOutput in the place of slice(dim, start, end, step).",
  meta: ({ gradOutput, inputSizes }) => zeros(gradOutput, inputSizes),
  loop: ({ gradOutput, inputSizes, dim, start, step }) => {
    const axis = axisOf("slice_backward", dim, inputSizes.length);
    const from = sliceStartExpr(start, exprOf(inputSizes[axis] ?? 1));
    const place = slicePlace(axis, from, step, gradOutput.shape[axis] ?? constant(1));
    return inserted(zeroBase(gradOutput, inputSizes), gradOutput, place);
  },
  vjp: ({ dim, start, end, step }, { grad }) => ({ gradOutput: () => grad.slice(dim, start, end, step) }),
  samples: (g) => [
    { args: { gradOutput: g.tensor([2, 3]), inputSizes: [5, 3], dim: 0, start: 1, end: 4, step: 2 } },
  ],
});

defineOp({
  schema: "aten::diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor",
  doc: "self with src in the place of diagonal(offset, dim1, dim2).",
  meta: ({ self, src, offset, dim1, dim2 }) => {
    const d = diagonalOf("diagonal_scatter", self.shape, offset, dim1, dim2);
    checkPart("diagonal_scatter", src, [...self.shape.filter((_, i) => i !== d.first && i !== d.second), d.length]);
    return asSelf(self);
  },
  loop: ({ self, src, offset, dim1, dim2 }) =>
    inserted(self, src, diagonalPlace(self.shape.length, offset, dim1, dim2)),
  vjp: ({ src, offset, dim1, dim2 }, { grad, F }) => ({
    self: () => F.diagonalScatter(grad, F.zerosLike(src), offset, dim1, dim2),
    src: () => grad.diagonal(offset, dim1, dim2),
  }),
  samples: (g) => [
    { args: { self: g.tensor([3, 4]), src: g.tensor([3]) } },
    { name: "offset", args: { self: g.tensor([2, 4, 3]), src: g.tensor([2, 2]), offset: -2, dim1: 1, dim2: 2 } },
  ],
});

defineOp({
  schema: "aten::diagonal_backward(Tensor grad_output, SymInt[] input_sizes, int offset, int dim1, int dim2) -> Tensor",
  doc: "Zeros with gradOutput in the place of diagonal(offset, dim1, dim2).",
  meta: ({ gradOutput, inputSizes }) => zeros(gradOutput, inputSizes),
  loop: ({ gradOutput, inputSizes, offset, dim1, dim2 }) =>
    inserted(zeroBase(gradOutput, inputSizes), gradOutput, diagonalPlace(inputSizes.length, offset, dim1, dim2)),
  vjp: ({ offset, dim1, dim2 }, { grad }) => ({ gradOutput: () => grad.diagonal(offset, dim1, dim2) }),
  samples: (g) => [{ args: { gradOutput: g.tensor([3]), inputSizes: [3, 4], offset: 1, dim1: 0, dim2: 1 } }],
});

defineOp({
  schema: "aten::unfold_backward(Tensor grad_in, SymInt[] input_sizes, int dim, int size, int step) -> Tensor",
  doc: "The gradient of unfold: each element sums the windows that hold it.",
  meta: ({ gradIn, inputSizes }) => zeros(gradIn, inputSizes),
  loop: ({ gradIn, inputSizes, dim, size, step }, out) => {
    const axis = axisOf("unfold_backward", dim, inputSizes.length);
    const every = exprOf(step);
    const windows = gradIn.shape[axis] ?? constant(1);
    // An element at position i lies in the windows i//step, i//step - 1, … as far back as a window reaches.
    return reduction("sum", out.shape, [ceilDiv(exprOf(size), every)], (index, [back = constant(0)]) => {
      const position = index[axis] ?? constant(0);
      const window = sub(floorDiv(position, every), back);
      const inside = sub(position, mul(window, every));
      const mask = allOf([
        ops.ge(at(window), 0),
        ops.lt(at(window), at(windows)),
        ops.lt(at(inside), at(exprOf(size))),
      ]);
      const value = gradIn.load([...index.with(axis, window), inside]);
      return ops.masked(mask, gradIn.dtype.bytes === 2 ? ops.cast(value, float32) : value, 0);
    }, out.dtype);
  },
  vjp: ({ dim, size, step }, { grad }) => ({ gradIn: () => grad.unfold(dim, size, step) }),
  samples: (g) => [{ args: { gradIn: g.tensor([2, 3, 3]), inputSizes: [2, 7], dim: 1, size: 3, step: 2 } }],
});

defineOp({
  schema: "tessera::unfold_scatter(Tensor self, Tensor src, int dim, int size, int step) -> Tensor",
  doc: "self with src in the place of unfold(dim, size, step); where windows overlap, the last one counts.",
  meta: ({ self }) => asSelf(self),
  loop: ({ self, src, dim, size, step }) => {
    const axis = axisOf("unfold_scatter", dim, self.shape.length);
    const every = exprOf(step);
    const last = add(src.shape[axis] ?? constant(1), -1);
    return inserted(self, src, (index) => {
      const position = index[axis] ?? constant(0);
      const window = min(floorDiv(position, every), last);
      const inside = sub(position, mul(window, every));
      return { inside: [ops.lt(at(inside), at(exprOf(size)))], index: [...index.with(axis, window), inside] };
    });
  },
  vjp: ({ src, dim, size, step }, { grad, F }) => ({
    self: () => F.unfoldScatter(grad, F.zerosLike(src), dim, size, step),
    src: () => grad.unfold(dim, size, step),
  }),
  samples: (g) => [{ args: { self: g.tensor([8]), src: g.tensor([2, 3]), dim: 0, size: 3, step: 4 } }],
});

/** @throws {TypeError} if several elements are one place. */
function checkPlaces(size: readonly Size[], stride: readonly Size[]): void {
  if (!size.some((s, d) => sizeEq(stride[d] ?? 1, 0) && !sizeLe(s, 1))) return;
  throw new TypeError(
    `as_strided_scatter: several elements of size [${size.join(", ")}], stride [${
      stride.join(", ")
    }] are one place; writing to them is not defined`,
  );
}

/** Where the elements of strides lie in storage, in the order of their indices. */
function storagePositions(
  size: readonly Size[],
  stride: readonly Size[],
  offset: Size,
  like: TensorValue,
  F: Functional,
): TensorValue {
  const { device } = like;
  return size.reduce<TensorValue>((sum, n, d) => {
    const along = F.arange(n, { device }).mul(stride[d] ?? 0);
    return sum.add(along.reshape(size.map((_, e) => e === d ? -1 : 1)));
  }, F.full([], offset, { dtype: int64, device })).expand(size).reshape([-1]);
}

defineOp({
  schema:
    "aten::as_strided_scatter(Tensor self, Tensor src, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor",
  doc: "self with src in the place of as_strided(size, stride, storageOffset) in self's storage.",
  meta: ({ self, src, size, stride, storageOffset }) => {
    checkPart("as_strided_scatter", src, size);
    checkPlaces(size, stride);
    checkStrided("as_strided_scatter", self, size, stride, storageOffset ?? self.storageOffset);
    return asSelf(self);
  },
  decompose: ({ self, src, size, stride, storageOffset }, F) => {
    const offset = storageOffset ?? self.storageOffset;
    if (isContiguous(self.shape, self.stride) && sizeIsZero(self.storageOffset)) {
      return F.asStridedPut(self, src, size, stride, offset);
    }
    // Of elements that share memory ATen makes a copy in order first.
    if (self.shape.some((n, d) => sizeIsZero(self.stride[d] ?? 1) && !sizeLe(n, 1))) {
      return F.asStridedPut(self.contiguous(), src, size, stride, offset);
    }
    // Where in storage self's elements lie, and there src's. What lies between self's elements cannot be seen.
    const own = storagePositions(self.shape, self.stride, self.storageOffset, self, F);
    const places = storagePositions(size, stride, offset, self, F);
    const last = (n: readonly Size[], s: readonly Size[], from: Size): Size =>
      n.reduce<Size>((sum, size, d) => sizeAdd(sum, sizeMul(sizeSub(size, 1), s[d] ?? 0)), from);
    const end = sizeAdd(sizeMax(last(self.shape, self.stride, self.storageOffset), last(size, stride, offset)), 1);
    const storage = src.newZeros([end], { dtype: self.dtype })
      .scatter(0, own, self.reshape([-1])).scatter(0, places, src.to(self.dtype).reshape([-1]));
    return storage.indexSelect(0, own).reshape(self.shape);
  },
  samples: (g) => [
    { args: { self: g.tensor([4, 5]), src: g.tensor([3, 2]), size: [3, 2], stride: [5, 2], storageOffset: 1 } },
  ],
});

defineOp({
  schema:
    "tessera::as_strided_put(Tensor self, Tensor src, SymInt[] size, SymInt[] stride, SymInt storage_offset) -> Tensor",
  doc: "self with src in the place of as_strided(size, stride, storage_offset); self is all of its storage, in order.",
  meta: ({ self, src, size, stride, storageOffset }) => {
    checkPart("as_strided_scatter", src, size);
    checkPlaces(size, stride);
    const whole = { ...self, stride: contiguousStride(self.shape), storageOffset: 0 };
    checkStrided("as_strided_scatter", whole, size, stride, storageOffset);
    return asSelf(self);
  },
  loop: ({ self, src, size, stride, storageOffset }) => {
    checkWholeStorage("as_strided_scatter", self);
    return scatter("set", self, size, (index) => ({
      target: unravel(stridedPosition(stride, storageOffset, index), self.shape),
      value: ops.cast(src.load(index), self.dtype),
    }));
  },
  vjp: ({ src, size, stride, storageOffset }, { grad, F }) => ({
    self: () => F.asStridedPut(grad.contiguous(), F.zerosLike(src), size, stride, storageOffset),
    src: () => grad.contiguous().asStrided(size, stride, storageOffset),
  }),
  samples: (g) => [
    { args: { self: g.tensor([4, 5]), src: g.tensor([3, 2]), size: [3, 2], stride: [5, 2], storageOffset: 1 } },
  ],
});

defineOp({
  schema:
    "tessera::as_strided_backward(Tensor grad_output, SymInt[] input_sizes, SymInt[] size, SymInt[] stride, SymInt storage_offset) -> Tensor",
  doc: "The gradient of as_strided over contiguous storage: elements that share memory add up.",
  meta: ({ gradOutput, inputSizes }) => zeros(gradOutput, inputSizes),
  loop: ({ gradOutput, inputSizes, size, stride, storageOffset }) =>
    scatter("sum", zeroBase(gradOutput, inputSizes), size, (index) => ({
      target: unravel(stridedPosition(stride, storageOffset, index), inputSizes.map(exprOf)),
      value: gradOutput.load(index),
    })),
  vjp: ({ size, stride, storageOffset }, { grad }) => ({
    gradOutput: () => grad.contiguous().asStrided(size, stride, storageOffset),
  }),
  samples: (g) => [
    { args: { gradOutput: g.tensor([4, 3]), inputSizes: [8], size: [4, 3], stride: [1, 2], storageOffset: 0 } },
  ],
});
