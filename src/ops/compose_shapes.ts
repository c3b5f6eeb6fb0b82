/**
 * Shapes composed of other shapes: diagonals as matrices, grids, stacks, repetition of elements.
 *
 * All of them decompose into views, concatenations and index arithmetic. Mirrors the composite functions of `TensorShape.cpp`,
 * `TensorFactories.cpp` and `Repeat.cpp` of ATen.
 */
import { type DType, int64, resultType } from "../core/mod.ts";
import { ops, pointwise } from "../loops/mod.ts";
import {
  broadcastShapes,
  constant,
  exprOf,
  floorDiv,
  shapeToText,
  type Size,
  sizeAdd,
  sizeLt,
  sizeMul,
  sub,
} from "../symbolic/mod.ts";
import { sizeProd } from "../symbolic/mod.ts";
import { axisOf, promotionOperand, reducedShape, reductionAxes } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";
import { diagonalOf } from "./view_slice.ts";

function embeddedShape(self: MetaInput, offset: Size, dim1: Size, dim2: Size): Size[] {
  const rank = self.shape.length + 1;
  const first = axisOf("diag_embed", dim1, rank);
  const second = axisOf("diag_embed", dim2, rank);
  if (first === second) {
    throw new RangeError(`diag_embed: dim1 and dim2 are both ${first}; a matrix needs two dimensions`);
  }
  const size = sizeAdd(self.shape.at(-1) ?? 1, Math.abs(Number(offset)));
  const rest = self.shape.slice(0, -1);
  return Array.from({ length: rank }, (_, i) => i === first || i === second ? size : rest.shift() ?? 1);
}

defineOp({
  schema: "aten::diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor",
  doc: "Matrices with the last dimension of self on a diagonal, zeros elsewhere.",
  meta: ({ self, offset, dim1, dim2 }) => {
    if (self.shape.length === 0) throw new TypeError("diag_embed: needs at least 1 dimension, got a 0-dim tensor");
    return { shape: embeddedShape(self, offset, dim1, dim2), dtype: self.dtype };
  },
  loop: ({ self, offset, dim1, dim2 }, out) => {
    const rank = out.shape.length;
    const first = axisOf("diag_embed", dim1, rank);
    const second = axisOf("diag_embed", dim2, rank);
    const k = Number(offset);
    return pointwise(out.shape, (index) => {
      const row = index[first] ?? constant(0);
      const column = index[second] ?? constant(0);
      const along = k >= 0 ? row : column;
      const inside = ops.eq(ops.index(sub(column, row)), k);
      const rest = index.filter((_, i) => i !== first && i !== second);
      return ops.masked(inside, self.load([...rest, along]), 0);
    });
  },
  vjp: ({ offset, dim1, dim2 }, { grad }) => ({ self: () => grad.diagonal(offset, dim1, dim2) }),
  samples: (g) => [
    { args: { self: g.tensor([2, 3]) } },
    { name: "offset", args: { self: g.tensor([2, 3]), offset: -1, dim1: 0, dim2: 2 } },
  ],
});

defineOp({
  schema: "aten::diag(Tensor self, int diagonal=0) -> Tensor",
  doc: "The diagonal of a matrix, or a matrix with the given vector on a diagonal.",
  meta: ({ self, diagonal }): TensorSpec => {
    const rank = self.shape.length;
    if (rank === 1) return { shape: embeddedShape(self, diagonal, 0, 1), dtype: self.dtype };
    if (rank !== 2) throw new TypeError(`diag: needs a vector or a matrix, got ${shapeToText(self.shape)}`);
    return { shape: [diagonalOf("diag", self.shape, diagonal, 0, 1).length], dtype: self.dtype };
  },
  decompose: ({ self, diagonal }, F) =>
    self.ndim === 1
      ? F.diagEmbed(self, diagonal)
      : self.diagonal(diagonal, 0, 1).clone({ memoryFormat: "contiguous_format" }),
  samples: (g) => [
    { args: { self: g.tensor([3]), diagonal: 1 } },
    { name: "matrix", args: { self: g.tensor([3, 4]), diagonal: -1 } },
  ],
});

defineOp({
  schema: "aten::diagflat(Tensor self, int offset=0) -> Tensor",
  doc: "A matrix with the flattened self on a diagonal.",
  meta: ({ self, offset }) => {
    const size = sizeAdd(sizeProd(self.shape), Math.abs(Number(offset)));
    return { shape: [size, size], dtype: self.dtype };
  },
  decompose: ({ self, offset }, F) => F.diagEmbed(self.reshape([sizeProd(self.shape)]), offset),
  samples: (g) => [{ args: { self: g.tensor([2, 2]), offset: 1 } }],
});

defineOp({
  schema: "aten::trace(Tensor self) -> Tensor",
  doc: "The sum of the diagonal of a matrix.",
  meta: ({ self }) => {
    if (self.shape.length !== 2) throw new TypeError(`trace: needs a matrix, got ${shapeToText(self.shape)}`);
    return { shape: [], dtype: self.dtype.isIntegral ? int64 : self.dtype };
  },
  decompose: ({ self }) => self.diagonal().sum(),
  samples: (g) => [{ args: { self: g.tensor([3, 4]) } }],
});

/** The shape of a tensor brought to at least `rank` dimensions, as `atleast_*d` does. */
function atLeastShape(shape: readonly Size[], rank: number): Size[] {
  if (shape.length >= rank) return [...shape];
  if (shape.length === 0) return new Array<Size>(rank).fill(1);
  if (rank === 2) return [1, ...shape];
  return shape.length === 1 ? [1, ...shape, 1] : [...shape, 1];
}

const viewedAs = (self: MetaInput, rank: number): TensorSpec => {
  if (self.shape.length >= rank) {
    return { shape: self.shape, stride: self.stride, storageOffset: self.storageOffset, dtype: self.dtype };
  }
  const shape = atLeastShape(self.shape, rank);
  let next = self.shape.length;
  // Strides of new dimensions as unsqueeze() gives them, from the last one on.
  const stride = new Array<Size>(rank).fill(1);
  const isNew = newDims(self.shape.length, rank);
  for (let i = rank - 1; i >= 0; i--) {
    if (isNew[i] === true) stride[i] = i === rank - 1 ? 1 : sizeMul(shape[i + 1] ?? 1, stride[i + 1] ?? 1);
    else stride[i] = self.stride[--next] ?? 1;
  }
  return { shape, stride, storageOffset: self.storageOffset, dtype: self.dtype };
};

function newDims(from: number, rank: number): boolean[] {
  const out = new Array<boolean>(rank).fill(false);
  if (from === 0) return out.fill(true);
  if (rank === 2) out[0] = true;
  if (rank === 3 && from === 1) out[0] = true;
  if (rank === 3) out[2] = true;
  return out;
}

function atLeast(self: TensorValue, rank: number): TensorValue {
  if (self.ndim >= rank) return self;
  return newDims(self.ndim, rank).reduce((x, isNew, i) => isNew ? x.unsqueeze(i) : x, self);
}

for (const rank of [1, 2, 3]) {
  defineOp({
    schema: `aten::atleast_${rank}d(Tensor self) -> Tensor` as "aten::atleast_1d(Tensor self) -> Tensor",
    doc: `A view with at least ${rank} dimension${rank > 1 ? "s" : ""}.`,
    meta: ({ self }) => viewedAs(self, rank),
    decompose: ({ self }) => atLeast(self, rank),
    samples: (g: SampleGenerator) =>
      [[], [3], [2, 3], [2, 1, 2, 2]].map((shape) => ({ args: { self: g.tensor(shape) } })),
  });
  defineOp({
    schema:
      `aten::atleast_${rank}d.Sequence(Tensor[] tensors) -> Tensor[]` as "aten::atleast_1d.Sequence(Tensor[] tensors) -> Tensor[]",
    doc: `Views with at least ${rank} dimension${rank > 1 ? "s" : ""}.`,
    meta: ({ tensors }) => tensors.map((t) => viewedAs(t, rank)),
    decompose: ({ tensors }) => tensors.map((t) => atLeast(t, rank)),
    samples: (g: SampleGenerator) => [{ args: { tensors: [g.tensor([]), g.tensor([2])] } }],
  });
}

/** Stacks along a fixed dimension: tensors are brought to a rank first. */
const STACKS = [
  ["hstack", 1, (rank: number) => rank === 1 ? 0 : 1],
  ["vstack", 2, () => 0],
  ["dstack", 3, () => 2],
  ["column_stack", 2, () => 1],
] as const;

for (const [name, least, axisFor] of STACKS) {
  const columns = name === "column_stack";
  const shapeFor = (shape: readonly Size[]): Size[] =>
    columns && shape.length <= 1 ? [shape[0] ?? 1, 1] : atLeastShape(shape, least);
  defineOp({
    schema: `aten::${name}(Tensor[] tensors) -> Tensor`,
    doc: "Tensors one after the other along a fixed dimension, which those that lack it get first.",
    meta: ({ tensors }) => {
      const shapes = tensors.map((t) => shapeFor(t.shape));
      const [first] = shapes;
      if (first === undefined) throw new TypeError(`${name}: needs at least one tensor`);
      const axis = axisFor(first.length);
      for (const shape of shapes) {
        if (shape.length !== first.length) {
          throw new TypeError(`${name}: ${shapeToText(first)} and ${shapeToText(shape)} differ in dimensions`);
        }
      }
      const total = shapes.reduce((sum: Size, s) => sizeAdd(sum, s[axis] ?? 1), 0);
      return { shape: first.with(axis, total), dtype: resultType(tensors.map(promotionOperand)) };
    },
    decompose: ({ tensors }, F) => {
      const parts = tensors.map((t) => columns && t.ndim <= 1 ? t.reshape(shapeFor(t.shape)) : atLeast(t, least));
      return F.cat(parts, axisFor(parts[0]?.ndim ?? 1));
    },
    samples: (g: SampleGenerator) => [
      { args: { tensors: [g.tensor([3]), g.tensor([3])] } },
      { name: "matrices", args: { tensors: [g.tensor([2, 3]), g.tensor([2, 3])] } },
      { name: "0-dim", args: { tensors: [g.tensor([]), g.tensor([])] } },
    ],
  });
}

defineOp({
  schema: "aten::broadcast_tensors(Tensor[] tensors) -> Tensor[]",
  doc: "Views of all tensors in the shape that they broadcast to.",
  meta: ({ tensors }) => {
    const shape = broadcastShapes("broadcast_tensors", ...tensors.map((t) => t.shape));
    return tensors.map((t) => ({
      shape,
      dtype: t.dtype,
      storageOffset: t.storageOffset,
      stride: shape.map((size, i): Size => {
        const at = i - (shape.length - t.shape.length);
        return at < 0 || (t.shape[at] === 1 && size !== 1) ? 0 : t.stride[at] ?? 1;
      }),
    }));
  },
  decompose: ({ tensors }) => {
    const shape = broadcastShapes("broadcast_tensors", ...tensors.map((t) => t.shape));
    return tensors.map((t) => t.expand(shape));
  },
  samples: (g) => [{ args: { tensors: [g.tensor([3, 1]), g.tensor([4])] } }],
});

function gridShape(
  tensors: readonly { readonly shape: readonly Size[]; readonly dtype: DType }[],
  indexing: string,
): Size[] {
  if (indexing !== "ij" && indexing !== "xy") {
    throw new RangeError(`meshgrid: indexing is "${indexing}": use "ij" (matrix) or "xy" (Cartesian)`);
  }
  const [first] = tensors;
  if (first === undefined) throw new TypeError("meshgrid: needs at least one tensor");
  for (const t of tensors) {
    if (t.dtype !== first.dtype) {
      throw new TypeError(`meshgrid: needs one dtype, got ${first.dtype.name} and ${t.dtype.name}`);
    }
    if (t.shape.length > 1) throw new TypeError(`meshgrid: needs vectors, got ${shapeToText(t.shape)}`);
  }
  return tensors.map((t) => t.shape[0] ?? 1);
}

/** Position of the k-th tensor's dimension in the grid before `xy` swaps the first two. */
function gridView(t: TensorValue, k: number, shape: readonly Size[], swap: boolean): TensorValue {
  const expanded = t.reshape(shape.map((_, i) => i === k ? -1 : 1)).expand(shape);
  return swap ? expanded.transpose(0, 1) : expanded;
}

for (const overload of ["", ".indexing"] as const) {
  defineOp({
    schema: overload === ""
      ? "aten::meshgrid(Tensor[] tensors) -> Tensor[]"
      : "aten::meshgrid.indexing(Tensor[] tensors, *, str indexing) -> Tensor[]",
    doc: "The coordinates of a grid: each vector expanded over the dimensions of the others.",
    meta: (args) => {
      const indexing = "indexing" in args ? args.indexing : "ij";
      const shape = gridShape(args.tensors, indexing);
      const swap = indexing === "xy" && shape.length > 1;
      const turn = <T>(list: readonly T[]): T[] => {
        const [a, b, ...rest] = list;
        return swap && a !== undefined && b !== undefined ? [b, a, ...rest] : [...list];
      };
      return args.tensors.map((t, k) => ({
        shape: turn(shape),
        stride: turn(shape.map((_, i): Size => i === k ? t.stride[0] ?? 1 : shape[i] === 1 ? 1 : 0)),
        storageOffset: t.storageOffset,
        dtype: t.dtype,
      }));
    },
    decompose: (args) => {
      const indexing = "indexing" in args ? args.indexing : "ij";
      const shape = gridShape(args.tensors, indexing);
      return args.tensors.map((t, k) => gridView(t, k, shape, indexing === "xy" && shape.length > 1));
    },
    samples: (g: SampleGenerator) => [
      { args: { tensors: [g.tensor([3]), g.tensor([4])], ...(overload === "" ? {} : { indexing: "xy" }) } },
      {
        name: "three",
        args: { tensors: [g.tensor([2]), g.tensor([]), g.tensor([3])], ...(overload === "" ? {} : { indexing: "ij" }) },
      },
    ],
  });
}

defineOp({
  schema:
    "aten::repeat_interleave.self_int(Tensor self, SymInt repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor",
  doc: "Each element repeated in place along dim; the flattened tensor if dim is null.",
  meta: ({ self, repeats, dim }) => {
    if (sizeLt(repeats, 0)) throw new RangeError(`repeat_interleave: repeats must not be negative, got ${repeats}`);
    if (dim === null) return { shape: [sizeMul(sizeProd(self.shape), repeats)], dtype: self.dtype };
    const axis = axisOf("repeat_interleave", dim, self.shape.length);
    const size = self.shape[axis];
    return { shape: size === undefined ? [repeats] : self.shape.with(axis, sizeMul(size, repeats)), dtype: self.dtype };
  },
  decompose: ({ self, repeats, dim }, F) => {
    if (dim === null || self.ndim === 0) return F.repeatElements(self.reshape([sizeProd(self.shape)]), repeats, 0);
    return F.repeatElements(self, repeats, axisOf("repeat_interleave", dim, self.ndim));
  },
  samples: (g) => [
    { args: { self: g.tensor([2, 3]), repeats: 2, dim: 1 } },
    { name: "flat", args: { self: g.tensor([2, 3]), repeats: 3 } },
  ],
});

defineOp({
  schema: "tessera::repeat_elements(Tensor self, SymInt repeats, int dim) -> Tensor",
  doc: "Each element repeated in place along dim.",
  meta: ({ self, repeats, dim }) => {
    const axis = axisOf("repeat_elements", dim, self.shape.length);
    return { shape: self.shape.with(axis, sizeMul(self.shape[axis] ?? 1, repeats)), dtype: self.dtype };
  },
  loop: ({ self, repeats, dim }, out) => {
    const axis = axisOf("repeat_elements", dim, self.shape.length);
    return pointwise(
      out.shape,
      (index) => self.load(index.map((i, k) => k === axis && repeats !== 0 ? floorDiv(i, exprOf(repeats)) : i)),
    );
  },
  vjp: ({ self, repeats, dim }, { grad }) => ({
    self: () => {
      const axis = axisOf("repeat_elements", dim, self.ndim);
      return grad.reshape(self.shape.toSpliced(axis + 1, 0, repeats)).sum([axis + 1], false);
    },
  }),
  samples: (g) => [{ args: { self: g.tensor([2, 3]), repeats: 2, dim: 0 } }],
});

defineOp({
  schema: "aten::nanmean(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
  doc: "The mean over dimensions of what is not NaN.",
  meta: ({ self, dim, keepdim, dtype }) => {
    const result = dtype ?? self.dtype;
    if (!result.isFloat) throw new TypeError(`nanmean: needs floating point numbers, got ${result.name}; pass dtype`);
    const axes = reductionAxes("nanmean", dim, self.shape.length);
    return { shape: reducedShape(self.shape, axes, keepdim), dtype: result };
  },
  decompose: ({ self, dim, keepdim, dtype }) => {
    const axes = reductionAxes("nanmean", dim, self.ndim);
    const count = self.isnan().logicalNot().sum(axes, keepdim);
    return self.nansum(axes, keepdim, { dtype }).div(count);
  },
  samples: (g) =>
    g.dtype.isFloat
      ? [{ args: { self: g.tensor([2, 3], { values: [1, NaN, 3, 4, 5, NaN] }), dim: [1] }, differentiate: false }]
      : [],
});
