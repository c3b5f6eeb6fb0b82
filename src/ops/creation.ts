/**
 * Tensors from nothing: constants, ranges, identity, triangles, one-hot rows.
 *
 * Each is a pointwise loop over the index, so it fuses with what uses it and need never exist in memory. Without `dtype` a number decides
 * as PyTorch does: integers make int64, others the default float. Mirrors `TensorFactories.cpp` and `RangeFactories.cpp` of ATen.
 */
import { cpu, type Device, type DType, float32, float64, getDefaultDtype, int64 } from "../core/mod.ts";
import type { Scalar, TensorMeta } from "../graph/mod.ts";
import { type LoopNode, ops, pointwise } from "../loops/mod.ts";
import { add, constant, exprOf, isSymInt, mul, shapeToText, type Size, sub } from "../symbolic/mod.ts";
import { sizeCeilDiv, sizeLt, sizeMul, sizeSub } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import { formatStride } from "./layout.ts";
import type { SampleGenerator } from "./samples.ts";
import { scalarDtype, scalarNumber, scalarValue } from "./scalars.ts";

/** The arguments that every operator has that makes a tensor from nothing. */
export const OPTIONS = "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None";

/** Dtype and device that were asked for. */
export interface TensorOptions {
  readonly dtype: DType | null;
  readonly device: Device | null;
}

/** A new contiguous tensor. @throws {RangeError} on a negative size. */
export function fresh(where: string, size: readonly Size[], options: TensorOptions, dtype: DType): TensorSpec {
  for (const s of size) {
    if (sizeLt(s, 0)) throw new RangeError(`${where}: a size cannot be negative, got ${shapeToText(size)}`);
  }
  return { shape: size, dtype: options.dtype ?? dtype, device: options.device ?? cpu };
}

function constantLoop(value: Scalar, out: TensorMeta): LoopNode {
  return pointwise(out.shape, () => scalarValue(value, out.dtype));
}

defineOp({
  schema: `aten::full(SymInt[] size, Scalar fill_value, *, ${OPTIONS}) -> Tensor`,
  doc: "A tensor in which every element is fillValue.",
  meta: ({ size, fillValue, dtype, device }) => fresh("full", size, { dtype, device }, scalarDtype(fillValue)),
  loop: ({ fillValue }, out) => constantLoop(fillValue, out),
  samples: (g) => [
    { args: { size: [2, 3], fillValue: 2, dtype: g.dtype } },
    { name: "number decides", args: { size: [2], fillValue: 1.5 } },
    { name: "0-dim", args: { size: [], fillValue: true } },
  ],
});

const CONSTANTS = [["zeros", 0], ["ones", 1]] as const;

for (const [name, value] of CONSTANTS) {
  defineOp({
    schema: `aten::${name}(SymInt[] size, *, ${OPTIONS}) -> Tensor`,
    doc: `A tensor of ${name}.`,
    meta: ({ size, dtype, device }) => fresh(name, size, { dtype, device }, getDefaultDtype()),
    loop: (_, out) => constantLoop(value, out),
    samples: (
      g: SampleGenerator,
    ) => [{ args: { size: [2, 3], dtype: g.dtype } }, { name: "empty", args: { size: [0] } }],
  });
}

defineOp({
  schema: `aten::empty.memory_format(SymInt[] size, *, ${OPTIONS}, MemoryFormat? memory_format=None) -> Tensor`,
  doc: "A new tensor; its elements are 0, so that programs that read them behave the same every time.",
  meta: ({ size, dtype, device, memoryFormat }) => {
    const spec = fresh("empty", size, { dtype, device }, getDefaultDtype());
    const format = memoryFormat === null ? "contiguous_format" : memoryFormat;
    return { ...spec, stride: formatStride("empty", { shape: size, stride: [] }, format) };
  },
  loop: (_, out) => constantLoop(0, out),
  samples: (g) => [{ args: { size: [2, 3], dtype: g.dtype } }],
});

/** @throws {TypeError} if there is not one stride for each dimension; {RangeError} if one is negative. */
function stridesOf(where: string, size: readonly Size[], stride: readonly Size[]): readonly Size[] {
  if (size.length !== stride.length) {
    throw new TypeError(`${where}: size ${shapeToText(size)} and stride ${shapeToText(stride)} must be as long`);
  }
  if (stride.some((s) => sizeLt(s, 0))) {
    throw new RangeError(`${where}: a stride cannot be negative, got ${shapeToText(stride)}`);
  }
  return stride;
}

defineOp({
  schema: `aten::empty_strided(SymInt[] size, SymInt[] stride, *, ${OPTIONS}) -> Tensor`,
  doc: "A new tensor with the given strides; its elements are 0.",
  meta: ({ size, stride, dtype, device }) => ({
    ...fresh("empty_strided", size, { dtype, device }, getDefaultDtype()),
    stride: stridesOf("empty_strided", size, stride),
  }),
  loop: (_, out) => constantLoop(0, out),
  samples: (g) => [{ args: { size: [2, 3], stride: [1, 2], dtype: g.dtype } }],
});

function likeSpec(where: string, self: MetaInput, options: TensorOptions, memoryFormat: string | null): TensorSpec {
  return {
    shape: self.shape,
    dtype: options.dtype ?? self.dtype,
    device: options.device ?? self.device,
    stride: formatStride(where, self, memoryFormat),
  };
}

for (const [name, value] of [...CONSTANTS, ["empty", 0]] as const) {
  defineOp({
    schema: `aten::${name}_like(Tensor self, *, ${OPTIONS}, MemoryFormat? memory_format=None) -> Tensor`,
    doc: name === "empty" ? "A new tensor like self; its elements are 0." : `${name} in the shape and dtype of self.`,
    meta: ({ self, dtype, device, memoryFormat }) => likeSpec(`${name}_like`, self, { dtype, device }, memoryFormat),
    loop: (_, out) => constantLoop(value, out),
    vjp: () => ({ self: () => null }),
    samples: (g: SampleGenerator) => [
      { args: { self: g.tensor([2, 3], { permuted: [1, 0] }) }, differentiate: false },
      { name: "dtype", args: { self: g.tensor([2, 3]), dtype: int64 }, differentiate: false },
    ],
  });
  defineOp({
    schema: `aten::new_${name}(Tensor self, SymInt[] size, *, ${OPTIONS}) -> Tensor`,
    doc: `${name} of the given size, in the dtype and on the device of self.`,
    meta: ({ self, size, dtype, device }) =>
      fresh(`new_${name}`, size, { dtype: dtype ?? self.dtype, device: device ?? self.device }, self.dtype),
    loop: (_, out) => constantLoop(value, out),
    vjp: () => ({ self: () => null }),
    samples: (g: SampleGenerator) => [{ args: { self: g.tensor([2]), size: [2, 3] }, differentiate: false }],
  });
}

defineOp({
  schema: `aten::full_like(Tensor self, Scalar fill_value, *, ${OPTIONS}, MemoryFormat? memory_format=None) -> Tensor`,
  doc: "fillValue in the shape and dtype of self.",
  meta: ({ self, dtype, device, memoryFormat }) => likeSpec("full_like", self, { dtype, device }, memoryFormat),
  loop: ({ fillValue }, out) => constantLoop(fillValue, out),
  vjp: () => ({ self: () => null }),
  samples: (g) => [{ args: { self: g.tensor([2, 3]), fillValue: 2 }, differentiate: false }],
});

defineOp({
  schema: `aten::new_full(Tensor self, SymInt[] size, Scalar fill_value, *, ${OPTIONS}) -> Tensor`,
  doc: "fillValue in the given size, in the dtype and on the device of self.",
  meta: ({ self, size, dtype, device }) =>
    fresh("new_full", size, { dtype: dtype ?? self.dtype, device: device ?? self.device }, self.dtype),
  loop: ({ fillValue }, out) => constantLoop(fillValue, out),
  vjp: () => ({ self: () => null }),
  samples: (g) => [{ args: { self: g.tensor([2]), size: [2, 3], fillValue: 2 }, differentiate: false }],
});

defineOp({
  schema: `aten::scalar_tensor(Scalar s, *, ${OPTIONS}) -> Tensor`,
  doc: "A 0-dim tensor of one number, in the default float unless dtype says otherwise.",
  meta: ({ dtype, device }) => fresh("scalar_tensor", [], { dtype, device }, getDefaultDtype()),
  loop: ({ s }, out) => constantLoop(s, out),
  samples: (g) => [{ args: { s: 2, dtype: g.dtype } }],
});

function isInteger(value: Scalar): boolean {
  return isSymInt(value) || typeof value === "boolean" || typeof value === "bigint" || Number.isInteger(value);
}

function asSize(value: Scalar): Size {
  return isSymInt(value) ? value : Number(value);
}

/** Number of elements of a range. */
function rangeLength(start: Scalar, end: Scalar, step: Scalar): Size {
  const by = scalarNumber(step);
  if (by === 0 || Number.isNaN(by)) throw new RangeError(`arange: step is ${by}; it must not be 0`);
  if ([start, end, step].every(isInteger)) {
    const from = asSize(start);
    const to = asSize(end);
    if (by > 0 ? sizeLt(to, from) : sizeLt(from, to)) {
      throw new RangeError(
        `arange: from ${from} to ${to} with step ${by} leads away from the end: change the sign of step`,
      );
    }
    return by > 0 ? sizeCeilDiv(sizeSub(to, from), by) : sizeCeilDiv(sizeSub(from, to), -by);
  }
  const span = (scalarNumber(end) - scalarNumber(start)) / by;
  if (!Number.isFinite(span) || span < 0) {
    throw new RangeError(`arange: from ${start} to ${end} with step ${by} is no finite range`);
  }
  return Math.ceil(span);
}

function rangeSpec(start: Scalar, end: Scalar, step: Scalar, options: TensorOptions): TensorSpec {
  const dtype = [start, end, step].every(isInteger) ? int64 : getDefaultDtype();
  return fresh("arange", [rangeLength(start, end, step)], options, dtype);
}

function rangeLoop(start: Scalar, step: Scalar, out: TensorMeta): LoopNode {
  return pointwise(out.shape, ([i = constant(0)]) => {
    if (isInteger(start) && isInteger(step)) {
      return ops.cast(ops.index(add(exprOf(asSize(start)), mul(i, exprOf(asSize(step))))), out.dtype);
    }
    const compute = out.dtype.isFloat ? out.dtype === float64 ? float64 : float32 : float64;
    const offset = ops.mul(ops.cast(ops.index(i), compute), scalarValue(step, compute));
    return ops.cast(ops.add(scalarValue(start, compute), offset), out.dtype);
  });
}

defineOp({
  schema: `aten::arange(Scalar end, *, ${OPTIONS}) -> Tensor`,
  doc: "The integers from 0 to end (exclusive).",
  meta: ({ end, dtype, device }) => rangeSpec(0, end, 1, { dtype, device }),
  loop: (_, out) => rangeLoop(0, 1, out),
  samples: (g) => [{ args: { end: 5, dtype: g.dtype } }, { name: "fraction", args: { end: 2.5 } }],
});

defineOp({
  schema: `aten::arange.start(Scalar start, Scalar end, *, ${OPTIONS}) -> Tensor`,
  doc: "The numbers from start to end (exclusive), 1 apart.",
  meta: ({ start, end, dtype, device }) => rangeSpec(start, end, 1, { dtype, device }),
  loop: ({ start }, out) => rangeLoop(start, 1, out),
  samples: (g) => [{ args: { start: 2, end: 7, dtype: g.dtype } }, { name: "fraction", args: { start: 0.5, end: 3 } }],
});

defineOp({
  schema: `aten::arange.start_step(Scalar start, Scalar end, Scalar step=1, *, ${OPTIONS}) -> Tensor`,
  doc: "The numbers from start to end (exclusive), step apart.",
  meta: ({ start, end, step, dtype, device }) => rangeSpec(start, end, step, { dtype, device }),
  loop: ({ start, step }, out) => rangeLoop(start, step, out),
  samples: (g) => [
    { args: { start: 0, end: 10, step: 3, dtype: g.dtype } },
    { name: "down", args: { start: 5, end: 0, step: -2 } },
    { name: "fraction", args: { start: 0, end: 1, step: 0.25 } },
  ],
});

for (const [schema, square] of [["aten::eye(SymInt n", true], ["aten::eye.m(SymInt n, SymInt m", false]] as const) {
  defineOp({
    schema: `${schema}, *, ${OPTIONS}) -> Tensor`,
    doc: "A matrix with ones on its diagonal, zeros elsewhere.",
    meta: (args) => fresh("eye", [args.n, "m" in args ? args.m : args.n], args, getDefaultDtype()),
    loop: (_, out) =>
      pointwise(
        out.shape,
        ([row = constant(0), column = constant(0)]) => ops.cast(ops.eq(ops.index(row), ops.index(column)), out.dtype),
      ),
    samples: (g: SampleGenerator) => [{ args: square ? { n: 3, dtype: g.dtype } : { n: 2, m: 4, dtype: g.dtype } }],
  });
}

for (const [name, lower] of [["tril", true], ["triu", false]] as const) {
  defineOp({
    schema: `aten::${name}(Tensor self, int diagonal=0) -> Tensor`,
    doc: `The ${lower ? "lower" : "upper"} triangle of matrices, zeros elsewhere; diagonal moves the border up.`,
    inplace: true,
    meta: ({ self }) => {
      if (self.shape.length < 2) {
        throw new TypeError(`${name}: needs matrices, at least 2 dimensions, got ${shapeToText(self.shape)}`);
      }
      return { shape: self.shape, dtype: self.dtype };
    },
    loop: ({ self, diagonal }, out) =>
      pointwise(out.shape, (index) => {
        const row = index[index.length - 2] ?? constant(0);
        const column = index[index.length - 1] ?? constant(0);
        const distance = ops.index(sub(column, row));
        const border = ops.index(exprOf(diagonal));
        const keep = lower ? ops.le(distance, border) : ops.ge(distance, border);
        return ops.where(keep, self.load(index), 0);
      }),
    vjp: ({ diagonal }, { grad }) => ({ self: () => lower ? grad.tril(diagonal) : grad.triu(diagonal) }),
    samples: (g: SampleGenerator) => [
      { args: { self: g.tensor([3, 4]) } },
      { name: "diagonal", args: { self: g.tensor([2, 4, 3], { permuted: [0, 2, 1] }), diagonal: -1 } },
      { name: "above", args: { self: g.tensor([3, 4]), diagonal: 2 } },
    ],
  });
}

defineOp({
  schema: "aten::one_hot(Tensor self, int num_classes=-1) -> Tensor",
  doc: "A new last dimension with a 1 at the class that self names. numClasses must be given: it decides the shape.",
  meta: ({ self, numClasses }) => {
    if (self.dtype !== int64) {
      throw new TypeError(`one_hot: needs int64 classes, got ${self.dtype.name}; use .to(int64)`);
    }
    if (sizeLt(numClasses, 1)) {
      throw new RangeError(`one_hot: numClasses is ${numClasses}; give the number of classes, which decides the shape`);
    }
    return { shape: [...self.shape, numClasses], dtype: int64 };
  },
  loop: ({ self }, out) =>
    pointwise(out.shape, (index) => {
      const last = index[index.length - 1] ?? constant(0), classes = exprOf(out.shape[index.length - 1] ?? 1);
      const named = ops.cast(self.load(index.slice(0, -1)), int64);
      // As a position, so that its bounds are checked.
      const position = ops.indirect(named, classes);
      return ops.cast(ops.eq(ops.index(position), ops.index(last)), int64);
    }),
  samples: (g) => [{ args: { self: g.indices([2, 3], 4), numClasses: 5 } }],
});

/** How the indices of a triangle divide into rows of growing length and full rows; both triangles, numbers of elements. */
interface Triangle {
  /** Elements in rows that differ in length, and the length of the first of them. */
  readonly slanted: number;
  readonly first: number;
  /** Elements in rows of full length. */
  readonly full: number;
}

function lowerTriangle(rows: number, columns: number, offset: number): Triangle {
  if (rows === 0 || columns === 0) return { slanted: 0, first: 0, full: 0 };
  const first = offset > 0 ? Math.min(columns, 1 + offset) : rows + offset > 0 ? 1 : 0;
  const last = Math.max(0, Math.min(columns, rows + offset));
  const touched = Math.max(0, Math.min(rows, rows + offset));
  const count = last - first + 1;
  return { slanted: ((first + last) * count) / 2, first, full: Math.max(0, (touched - count) * columns) };
}

function upperTriangle(rows: number, columns: number, offset: number): Triangle {
  if (rows === 0 || columns === 0) return { slanted: 0, first: 0, full: 0 };
  const below = lowerTriangle(rows, columns, offset - 1);
  const full = Math.max(0, Math.min(rows, -offset) * columns);
  return {
    slanted: rows * columns - below.slanted - below.full - full,
    first: offset > 0 ? Math.max(0, columns - offset) : columns,
    full,
  };
}

for (const lower of [true, false]) {
  const name = lower ? "tril_indices" : "triu_indices";
  const parts = (row: Size, col: Size, offset: Size): Triangle =>
    (lower ? lowerTriangle : upperTriangle)(Number(row), Number(col), Number(offset));
  defineOp({
    schema:
      `aten::${name}(int row, int col, int offset=0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` as "aten::tril_indices(int row, int col, int offset=0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    doc: `Rows and columns, [2, n], of the ${lower ? "lower" : "upper"} triangle of a matrix.`,
    meta: ({ row, col, offset, dtype, device }) => {
      for (const [argument, n] of Object.entries({ row, col })) {
        if (sizeLt(n, 0)) throw new RangeError(`${name}: ${argument} must not be negative, got ${n}`);
      }
      const { slanted, full } = parts(row, col, offset);
      return fresh(name, [2, slanted + full], { dtype, device }, int64);
    },
    decompose: ({ row, col, offset, dtype, device }, F) => {
      const { slanted, first, full } = parts(row, col, offset);
      const width = Number(col), shift = Number(offset);
      // The k-th element of rows that grow (or shrink) by 1 solves a quadratic equation.
      const x = F.arange(slanted, { dtype: float64, device });
      const b = lower ? first - 0.5 : -0.5 - first;
      const root = lower ? x.mul(2).add(b * b).sqrt() : x.mul(-2).add(b * b).sqrt().neg();
      const r = root.sub(b).floor();
      const c = (lower ? r.add(2 * first - 1) : r.neg().add(2 * first - 1)).mul(r).mul(-0.5).add(x).floor();
      const rest = F.arange(full, { device });
      const wide = Math.max(width, 1);
      const fullRow = rest.floorDivide(wide), fullColumn = rest.remainder(wide);
      const halves = lower
        ? [
          F.cat([r.add(Math.max(0, -shift)).to(int64), fullRow.add(Number(row) - Math.floor(full / wide))]),
          F.cat([c.to(int64), fullColumn]),
        ]
        : [
          F.cat([fullRow, r.add(Math.floor(full / wide)).to(int64)]),
          F.cat([fullColumn, c.add(Math.max(0, shift)).to(int64)]),
        ];
      const out = F.stack(halves);
      return dtype === null || dtype === int64 ? out : out.to(dtype);
    },
    samples: () => [
      { args: { row: 3, col: 4 } },
      { name: "below", args: { row: 4, col: 3, offset: -1 } },
      { name: "above", args: { row: 3, col: 5, offset: 2 } },
      { name: "empty", args: { row: 0, col: 5 } },
    ],
  });
}

/** Strides of a tensor whose dimensions lie in memory in the given order, outermost first. */
function permutedStride(size: readonly Size[], layout: readonly Size[]): Size[] {
  const order = layout.map(Number);
  const isPermutation = order.length === size.length &&
    [...order].sort((a, b) => a - b).every((d, i) => d === i);
  if (!isPermutation) {
    throw new RangeError(
      `empty_permuted: physical_layout [${order.join(", ")}] is no order of the ${size.length} dimensions of ${
        shapeToText(size)
      }`,
    );
  }
  const stride: Size[] = new Array(size.length).fill(1);
  let step: Size = 1;
  for (const d of order.toReversed()) {
    stride[d] = step;
    step = sizeMul(step, size[d] ?? 1);
  }
  return stride;
}

defineOp({
  schema: `aten::empty_permuted(SymInt[] size, int[] physical_layout, *, ${OPTIONS}) -> Tensor`,
  doc: "A new tensor whose dimensions lie in memory in the given order; its elements are 0.",
  meta: ({ size, physicalLayout, dtype, device }) => ({
    ...fresh("empty_permuted", size, { dtype, device }, getDefaultDtype()),
    stride: permutedStride(size, physicalLayout),
  }),
  loop: (_, out) => constantLoop(0, out),
  samples: (g) => [{ args: { size: [2, 3, 4], physicalLayout: [0, 2, 1], dtype: g.dtype } }],
});

defineOp({
  schema: `aten::new_empty_strided(Tensor self, SymInt[] size, SymInt[] stride, *, ${OPTIONS}) -> Tensor`,
  doc: "A new tensor with the given strides, in the dtype and on the device of self; its elements are 0.",
  meta: ({ self, size, stride, dtype, device }) => ({
    ...fresh("new_empty_strided", size, { dtype: dtype ?? self.dtype, device: device ?? self.device }, self.dtype),
    stride: stridesOf("new_empty_strided", size, stride),
  }),
  loop: (_, out) => constantLoop(0, out),
  vjp: () => ({ self: () => null }),
  samples: (g) => [{ args: { self: g.tensor([2]), size: [2, 3], stride: [1, 2] }, differentiate: false }],
});
