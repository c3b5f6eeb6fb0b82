/**
 * Views of a part: select, slice, narrow, diagonal, unfold, as_strided.
 *
 * Meta moves the storage offset and scales strides; negative positions count from the end, slices clamp as Python's do.
 * Mirrors the slicing functions of `TensorShape.cpp` of ATen; the functions that put a part back are in `insert.ts`.
 */
import { InternalError } from "../core/mod.ts";
import { view } from "../loops/mod.ts";
import { add, constant, contiguousStride, type Expr, exprOf, floorDiv, max, mod, mul } from "../symbolic/mod.ts";
import {
  isContiguous,
  shapeToText,
  type Size,
  sizeAdd,
  sizeCeilDiv,
  sizeFloorDiv,
  sizeLe,
  sizeLt,
  sizeMax,
  sizeMin,
  sizeMul,
  sizeSub,
} from "../symbolic/mod.ts";
import { axisOf } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";

/** A position with negative values counted from the end, as an expression. */
export function positionExpr(index: Size, size: Expr): Expr {
  return sizeLt(index, 0) ? add(exprOf(index), size) : exprOf(index);
}

/** Where a slice starts and how many elements it has, clamped as in Python. */
export function sliceRange(
  where: string,
  size: Size,
  start: Size | null,
  end: Size | null,
  step: Size,
): { readonly start: Size; readonly length: Size } {
  if (!sizeLt(0, step)) throw new RangeError(`${where}: step is ${step}; it must be positive`);
  const clamp = (position: Size | null, otherwise: Size): Size => {
    if (position === null) return otherwise;
    // Exported programs write "to the end" as the largest 64-bit integer, which is no safe number.
    if (typeof position === "number" && Math.abs(position) >= Number.MAX_SAFE_INTEGER) return position < 0 ? 0 : size;
    const wrapped = sizeLt(position, 0) ? sizeAdd(position, size) : position;
    if (sizeLt(wrapped, 0)) return 0;
    return sizeLt(size, wrapped) ? size : wrapped;
  };
  const from = clamp(start, 0);
  const to = clamp(end, size);
  return { start: from, length: sizeLe(to, from) ? 0 : sizeCeilDiv(sizeSub(to, from), step) };
}

/** The start of a slice as an expression, for loops, which know sizes only as expressions. */
export function sliceStartExpr(start: Size | null, size: Expr): Expr {
  if (start === null) return constant(0);
  if (typeof start === "number" && Math.abs(start) >= Number.MAX_SAFE_INTEGER) return start < 0 ? constant(0) : size;
  return sizeLt(start, 0) ? max(0, add(exprOf(start), size)) : exprOf(start);
}

function withDim(self: MetaInput, axis: number, size: Size, stride: Size, offset: Size): TensorSpec {
  return {
    shape: self.shape.with(axis, size),
    stride: self.stride.with(axis, stride),
    storageOffset: sizeAdd(self.storageOffset, offset),
    dtype: self.dtype,
  };
}

defineOp({
  schema: "aten::select.int(Tensor(a) self, int dim, SymInt index) -> Tensor(a)",
  doc: "The part of self at one index of dimension dim, without that dimension.",
  meta: ({ self, dim, index }) => {
    if (self.shape.length === 0) throw new TypeError("select: a 0-dim tensor has no dimension to select from");
    const axis = axisOf("select", dim, self.shape.length);
    const size = self.shape[axis] ?? 1;
    const at = sizeLt(index, 0) ? sizeAdd(index, size) : index;
    if (sizeLt(at, 0) || !sizeLt(at, size)) {
      throw new RangeError(
        `select: index ${index} is out of range for dimension ${axis} of ${shapeToText(self.shape)}`,
      );
    }
    return {
      shape: self.shape.toSpliced(axis, 1),
      stride: self.stride.toSpliced(axis, 1),
      storageOffset: sizeAdd(self.storageOffset, sizeMul(at, self.stride[axis] ?? 1)),
      dtype: self.dtype,
    };
  },
  loop: ({ self, dim, index }, out) => {
    const axis = axisOf("select", dim, self.shape.length);
    const position = positionExpr(index, self.shape[axis] ?? constant(1));
    return view(self, out.shape, (at) => at.toSpliced(axis, 0, position));
  },
  vjp: ({ self, dim, index }, { grad, F }) => ({ self: () => F.selectBackward(grad, self.shape, dim, index) }),
  view: { writeBack: ({ self, dim, index }, changed, F) => F.selectScatter(self, changed, dim, index) },
  samples: (g) => [
    { args: { self: g.tensor([3, 4]), dim: 0, index: 1 } },
    { name: "negative", args: { self: g.tensor([3, 4, 2], { permuted: [1, 2, 0] }), dim: -1, index: -2 } },
  ],
});

defineOp({
  schema:
    "aten::slice.Tensor(Tensor(a) self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor(a)",
  doc: "Elements start to end (exclusive) of dimension dim, every step-th; positions clamp as in Python.",
  meta: ({ self, dim, start, end, step }) => {
    if (self.shape.length === 0) throw new TypeError("slice: a 0-dim tensor has no dimension to slice");
    const axis = axisOf("slice", dim, self.shape.length);
    const range = sliceRange("slice", self.shape[axis] ?? 1, start, end, step);
    const stride = self.stride[axis] ?? 1;
    return withDim(self, axis, range.length, sizeMul(stride, step), sizeMul(range.start, stride));
  },
  loop: ({ self, dim, start, step }, out) => {
    const axis = axisOf("slice", dim, self.shape.length);
    const from = sliceStartExpr(start, self.shape[axis] ?? constant(1));
    return view(self, out.shape, (at) => at.map((i, k) => k === axis ? add(from, mul(i, exprOf(step))) : i));
  },
  vjp: ({ self, dim, start, end, step }, { grad, F }) => ({
    self: () => F.sliceBackward(grad, self.shape, dim, start ?? 0, end ?? Number.MAX_SAFE_INTEGER, step),
  }),
  view: {
    writeBack: ({ self, dim, start, end, step }, changed, F) => F.sliceScatter(self, changed, dim, start, end, step),
  },
  samples: (g) => [
    { args: { self: g.tensor([5, 3]), dim: 0, start: 1, end: 4 } },
    { name: "steps", args: { self: g.tensor([3, 7]), dim: 1, start: 1, step: 2 } },
    { name: "negative", args: { self: g.tensor([3, 7], { permuted: [1, 0] }), dim: -1, start: -4, end: -1 } },
    { name: "beyond", args: { self: g.tensor([3, 4]), dim: 0, start: -9, end: 9 } },
    { name: "nothing", args: { self: g.tensor([3, 4]), dim: 0, start: 3, end: 1 }, differentiate: false },
  ],
});

defineOp({
  schema: "aten::narrow(Tensor(a) self, int dim, SymInt start, SymInt length) -> Tensor(a)",
  doc: "length elements of dimension dim from start on.",
  meta: ({ self, dim, start, length }) => {
    if (self.shape.length === 0) throw new TypeError("narrow: a 0-dim tensor has no dimension to narrow");
    const axis = axisOf("narrow", dim, self.shape.length);
    const size = self.shape[axis] ?? 1;
    const from = sizeLt(start, 0) ? sizeAdd(start, size) : start;
    if (sizeLt(length, 0) || sizeLt(from, 0) || sizeLt(size, sizeAdd(from, length))) {
      throw new RangeError(
        `narrow: ${length} elements from ${start} exceed dimension ${axis} of ${shapeToText(self.shape)}`,
      );
    }
    const stride = self.stride[axis] ?? 1;
    return withDim(self, axis, length, stride, sizeMul(from, stride));
  },
  decompose: ({ self, dim, start, length }) => {
    const axis = axisOf("narrow", dim, self.ndim);
    const from = sizeLt(start, 0) ? sizeAdd(start, self.shape[axis] ?? 1) : start;
    return self.slice(axis, from, sizeAdd(from, length), 1);
  },
  samples: (g) => [
    { args: { self: g.tensor([5, 3]), dim: 0, start: 1, length: 3 } },
    { name: "negative", args: { self: g.tensor([5, 3]), dim: 1, start: -2, length: 1 } },
  ],
});

/** The two axes, in order, and the length of a diagonal. */
export function diagonalOf(
  where: string,
  shape: readonly Size[],
  offset: Size,
  dim1: Size,
  dim2: Size,
): {
  readonly first: number;
  readonly second: number;
  readonly row: Size;
  readonly column: Size;
  readonly length: Size;
} {
  const first = axisOf(where, dim1, shape.length);
  const second = axisOf(where, dim2, shape.length);
  if (first === second) {
    throw new RangeError(`${where}: dim1 and dim2 are both ${first}; a diagonal needs two dimensions`);
  }
  const rows = shape[first] ?? 1;
  const columns = shape[second] ?? 1;
  const k = Number(offset);
  const length = k >= 0 ? sizeMin(rows, sizeSub(columns, k)) : sizeMin(sizeAdd(rows, k), columns);
  return { first, second, row: Math.max(-k, 0), column: Math.max(k, 0), length: sizeMax(length, 0) };
}

defineOp({
  schema: "aten::diagonal(Tensor(a) self, int offset=0, int dim1=0, int dim2=1) -> Tensor(a)",
  doc: "The diagonal of two dimensions as last dimension; offset moves it up (positive) or down.",
  meta: ({ self, offset, dim1, dim2 }) => {
    const d = diagonalOf("diagonal", self.shape, offset, dim1, dim2);
    const rest = <T>(list: readonly T[]): T[] => list.filter((_, i) => i !== d.first && i !== d.second);
    const s1 = self.stride[d.first] ?? 1;
    const s2 = self.stride[d.second] ?? 1;
    const skipped = d.length === 0 ? 0 : sizeAdd(sizeMul(d.row, s1), sizeMul(d.column, s2));
    return {
      shape: [...rest(self.shape), d.length],
      stride: [...rest(self.stride), sizeAdd(s1, s2)],
      storageOffset: sizeAdd(self.storageOffset, skipped),
      dtype: self.dtype,
    };
  },
  loop: ({ self, offset, dim1, dim2 }, out) => {
    const rank = self.shape.length;
    const first = axisOf("diagonal", dim1, rank);
    const second = axisOf("diagonal", dim2, rank);
    const k = Number(offset);
    return view(self, out.shape, (at) => {
      const last = at[at.length - 1] ?? constant(0);
      let next = 0;
      return Array.from(
        { length: rank },
        (_, i) =>
          i === first
            ? add(last, Math.max(-k, 0))
            : i === second
            ? add(last, Math.max(k, 0))
            : at[next++] ?? constant(0),
      );
    });
  },
  vjp: ({ self, offset, dim1, dim2 }, { grad, F }) => ({
    self: () => F.diagonalBackward(grad, self.shape, offset, dim1, dim2),
  }),
  view: {
    writeBack: ({ self, offset, dim1, dim2 }, changed, F) => F.diagonalScatter(self, changed, offset, dim1, dim2),
  },
  samples: (g) => [
    { args: { self: g.tensor([3, 4]) } },
    { name: "offset", args: { self: g.tensor([2, 3, 4]), offset: 1, dim1: -1, dim2: 0 } },
    { name: "below", args: { self: g.tensor([4, 3]), offset: -2 } },
  ],
});

defineOp({
  schema: "aten::unfold(Tensor(a) self, int dimension, int size, int step) -> Tensor(a)",
  doc: "All windows of size elements along a dimension, step apart; the window becomes the last dimension.",
  meta: ({ self, dimension, size, step }) => {
    const rank = self.shape.length;
    const axis = axisOf("unfold", dimension, rank);
    const whole = self.shape[axis] ?? 1;
    const stride = self.stride[axis] ?? 1;
    if (sizeLt(size, 0) || sizeLt(whole, size) || !sizeLt(0, step)) {
      throw new RangeError(
        `unfold: windows of ${size} with step ${step} do not fit dimension ${axis} of ${shapeToText(self.shape)}`,
      );
    }
    if (rank === 0) return { ...withWindow(self, size, 1) };
    const windows = sizeAdd(sizeFloorDiv(sizeSub(whole, size), step), 1);
    return {
      shape: [...self.shape.with(axis, windows), size],
      stride: [...self.stride.with(axis, sizeMul(stride, step)), stride],
      storageOffset: self.storageOffset,
      dtype: self.dtype,
    };
  },
  loop: ({ self, dimension, step }, out) => {
    const axis = axisOf("unfold", dimension, self.shape.length);
    return view(self, out.shape, (at) => {
      const inside = at[at.length - 1] ?? constant(0);
      return self.shape.map((_, i) => {
        const position = at[i] ?? constant(0);
        return i === axis ? add(mul(position, exprOf(step)), inside) : position;
      });
    });
  },
  vjp: ({ self, dimension, size, step }, { grad, F }) => ({
    self: () => self.ndim === 0 ? grad.sum() : F.unfoldBackward(grad, self.shape, dimension, size, step),
  }),
  view: {
    mayOverlap: true,
    writeBack: ({ self, dimension, size, step }, changed, F) => F.unfoldScatter(self, changed, dimension, size, step),
  },
  samples: (g) => [
    { args: { self: g.tensor([2, 7]), dimension: 1, size: 3, step: 2 } },
    { name: "overlapping", args: { self: g.tensor([5, 2]), dimension: 0, size: 3, step: 1 } },
    { name: "apart", args: { self: g.tensor([8]), dimension: -1, size: 2, step: 3 } },
  ],
});

function withWindow(self: MetaInput, size: Size, stride: Size): TensorSpec {
  return { shape: [size], stride: [stride], storageOffset: self.storageOffset, dtype: self.dtype };
}

/** The logical index of the element at a flat position of a contiguous tensor. */
export function unravel(flat: Expr, shape: readonly Expr[]): Expr[] {
  const out: Expr[] = [];
  let rest = flat;
  for (let i = shape.length - 1; i >= 0; i--) {
    const size = shape[i] ?? constant(1);
    if (size.kind === "const" && size.value <= 1) out.unshift(constant(0));
    else {
      out.unshift(i === 0 ? rest : mod(rest, size));
      rest = floorDiv(rest, size);
    }
  }
  return out;
}

/** The flat position in storage of an index of a strided view. */
export function stridedPosition(stride: readonly Size[], offset: Size, at: readonly Expr[]): Expr {
  return at.reduce((sum, i, k) => add(sum, mul(i, exprOf(stride[k] ?? 0))), exprOf(offset));
}

/** A tensor that has memory says how much. */
interface WithStorage {
  readonly storage?: { readonly buffer?: { readonly byteLength: number } | null };
}

/**
 * Checks that a part with its own strides lies in memory: within the storage where there is one, else within what self itself reaches.
 *
 * @throws {TypeError} for sizes and strides of different length; {RangeError} for negative numbers and elements beyond the memory.
 */
export function checkStrided(
  where: string,
  self: MetaInput,
  size: readonly Size[],
  stride: readonly Size[],
  offset: Size,
): void {
  if (size.length !== stride.length) {
    throw new TypeError(`${where}: size ${shapeToText(size)} and stride ${shapeToText(stride)} differ in length`);
  }
  for (const n of [...size, ...stride, offset]) {
    if (sizeLt(n, 0)) {
      throw new RangeError(
        `${where}: size ${shapeToText(size)}, stride ${shapeToText(stride)} and offset ${offset} must not be negative`,
      );
    }
  }
  const last = lastPosition(size, stride, offset);
  const bytes = (self as WithStorage).storage?.buffer?.byteLength;
  const limit = bytes !== undefined
    ? Math.floor(bytes / self.dtype.bytes)
    : lastPosition(self.shape, self.stride, self.storageOffset) + 1;
  // Symbolic sizes are NaN here: a guarded call has the memory that was traced.
  if (last >= limit) {
    throw new RangeError(
      `${where}: size ${shapeToText(size)}, stride ${
        shapeToText(stride)
      } and offset ${offset} reach element ${last}, but ` +
        `the memory of a tensor of shape ${shapeToText(self.shape)} has ${limit}`,
    );
  }
}

/** The largest position that strides reach; -1 for no elements, NaN where a size is symbolic. */
function lastPosition(size: readonly Size[], stride: readonly Size[], offset: Size): number {
  const number = (s: Size): number => typeof s === "number" ? s : NaN;
  if (size.some((s) => s === 0)) return -1;
  return size.reduce((at: number, s, d) => at + (number(s) - 1) * number(stride[d] ?? 0), number(offset));
}

defineOp({
  schema: "aten::as_strided(Tensor(a) self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor(a)",
  doc: "A view of self's storage with any shape, strides and offset.",
  meta: ({ self, size, stride, storageOffset }) => {
    checkStrided("as_strided", self, size, stride, storageOffset ?? self.storageOffset);
    return { shape: size, stride, storageOffset: storageOffset ?? self.storageOffset, dtype: self.dtype };
  },
  loop: ({ self, stride }, out) => {
    checkWholeStorage("as_strided", self);
    return view(self, out.shape, (at) => unravel(stridedPosition(stride, out.storageOffset, at), self.shape));
  },
  vjp: ({ self, size, stride, storageOffset }, { grad, F }) => ({
    self: () => F.asStridedBackward(grad, self.shape, size, stride, storageOffset ?? self.storageOffset),
  }),
  view: {
    mayOverlap: true,
    ofStorage: true,
    writeBack: ({ self, size, stride, storageOffset }, changed, F) =>
      F.asStridedPut(self, changed, size, stride, storageOffset ?? 0),
  },
  samples: (g) => [
    { args: { self: g.tensor([4, 5]), size: [3, 2], stride: [5, 2], storageOffset: 1 } },
    { name: "overlapping", args: { self: g.tensor([8]), size: [4, 3], stride: [1, 2] } },
  ],
});

/**
 * A loop addresses elements of its input, not storage: positions in storage are known only if the input is all of its storage in
 * row-major order. Inputs that tell their strides are checked.
 */
export function checkWholeStorage(where: string, self: object): void {
  const { shape, stride } = self as { readonly shape: readonly (Size | Expr)[]; readonly stride?: readonly Size[] };
  if (stride === undefined) return;
  const sizes: Size[] = shape.flatMap((s): Size[] =>
    typeof s === "number" ? [s] : "env" in s ? [s] : s.kind === "const" ? [s.value] : []
  );
  if (sizes.length === shape.length && !isContiguous(sizes, stride)) {
    throw new InternalError(
      `${where}: its input is a view; lower it over the base, whose strides are ${contiguousStride(sizes)}`,
    );
  }
}
