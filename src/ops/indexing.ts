/**
 * Reading elements that other tensors name: index, index_select, gather, take.
 *
 * Indices are loaded and stand in the address of another load (indirect symbols), so a lookup is a pointwise loop and fuses like one. Negative indices
 * count from the end in index, take, take_along_dim and index_fill; elsewhere they are refused, as in ATen. Masks have a result whose size depends on data: they are
 * read on the host. Mirrors `TensorAdvancedIndexing.cpp` of ATen.
 */
import { bool, type DType, int32, int64, uint8 } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import { type LoopInput, ops, pointwise } from "../loops/mod.ts";
import {
  broadcastShapes,
  constant,
  type Expr,
  mul,
  numelOf,
  shapeToText,
  type Size,
  sizeEq,
  sizeIsOne,
  sizeLe,
} from "../symbolic/mod.ts";
import { axisOf, loadBroadcast } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import { onlyElement } from "./only_element.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import { unravel } from "./view_slice.ts";
import type { TensorValue } from "./value.ts";

function checkIndex(where: string, argument: string, dtype: DType): void {
  if (!dtype.isIntegral || dtype === bool) {
    throw new TypeError(`${where}: ${argument} must hold integers, got ${dtype.name}; convert with .to(int64)`);
  }
}

/** The position that an index tensor names at `at`; negative ones are refused unless they count from the end. */
function position(index: LoopInput, at: readonly Expr[], size: Expr, options?: { readonly fromEnd: boolean }): Expr {
  return ops.indirect(ops.cast(index.load(at), int64), size, options);
}

defineOp({
  schema: "aten::index_select(Tensor self, int dim, Tensor index) -> Tensor",
  doc: "The slices of self along dim that index names, in its order.",
  meta: ({ self, dim, index }) => {
    if (index.dtype !== int64 && index.dtype !== int32) {
      throw new TypeError(
        `index_select: index must be int64 or int32, got ${index.dtype.name}; convert with .to(int64)`,
      );
    }
    if (index.shape.length > 1) {
      throw new TypeError(`index_select: index must have at most 1 dimension, got ${shapeToText(index.shape)}`);
    }
    if (self.shape.length === 0) {
      axisOf("index_select", dim, 0);
      if (!sizeIsOne(numelOf(index.shape))) {
        throw new TypeError(
          `index_select: a 0-dim tensor is selected from by one index, got ${shapeToText(index.shape)}`,
        );
      }
      return { shape: [], dtype: self.dtype };
    }
    const axis = axisOf("index_select", dim, self.shape.length);
    return { shape: self.shape.with(axis, numelOf(index.shape)), dtype: self.dtype };
  },
  loop: ({ self, dim, index }, out) => {
    if (self.shape.length === 0) {
      const at = index.shape.map(() => constant(0));
      return pointwise([], () => onlyElement(self.load([]), position(index, at, constant(1))));
    }
    const axis = axisOf("index_select", dim, self.shape.length);
    return pointwise(out.shape, (at) => {
      const from = index.shape.length === 0 ? [] : [at[axis] ?? constant(0)];
      return self.load(at.with(axis, position(index, from, self.shape[axis] ?? constant(1))));
    });
  },
  vjp: ({ self, dim, index }, { grad, F }) => ({
    self: () => self.ndim === 0 ? grad : F.indexAdd(grad.newZeros(self.shape), dim, index, grad),
  }),
  samples: (g) => [
    { args: { self: g.tensor([4, 3]), dim: 0, index: g.indices([5], 4) } },
    { name: "last", args: { self: g.tensor([2, 3, 4], { permuted: [2, 0, 1] }), dim: -1, index: g.indices([2], 3) } },
  ],
});

defineOp({
  schema: "aten::gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor",
  doc:
    "At each place of index, the element of self at the same place but with the position along dim that index names.",
  meta: ({ self, dim, index }) => {
    checkIndex("gather", "index", index.dtype);
    const rank = Math.max(self.shape.length, 1);
    const axis = axisOf("gather", dim, self.shape.length);
    const fits = Math.max(index.shape.length, 1) === rank &&
      index.shape.every((size, i) => i === axis || sizeLe(size, self.shape[i] ?? 1));
    if (!fits && !(numelOf(index.shape) === 0)) {
      throw new TypeError(
        `gather: index ${shapeToText(index.shape)} must have as many dimensions as self ${
          shapeToText(self.shape)
        } and be no larger outside of dimension ${axis}`,
      );
    }
    return { shape: index.shape, dtype: self.dtype };
  },
  loop: ({ self, dim, index }, out) => {
    const axis = axisOf("gather", dim, self.shape.length);
    return pointwise(out.shape, (at) => {
      if (self.shape.length === 0) return onlyElement(self.load([]), position(index, at, constant(1)));
      // An index without elements may have any number of dimensions: nothing is computed, and nothing can be addressed.
      if (Math.max(at.length, 1) !== self.shape.length) return ops.constant(0, self.dtype);
      const along = position(index, at, self.shape[axis] ?? constant(1));
      return self.load(at.length === 0 ? [along] : at.with(axis, along));
    });
  },
  vjp: ({ self, dim, index }, { grad, F }) => ({
    self: () => F.scatterAdd(grad.newZeros(self.shape), dim, index.to(int64), grad),
  }),
  samples: (g) => [
    { args: { self: g.tensor([3, 4]), dim: 1, index: g.indices([3, 2], 4) } },
    { name: "smaller", args: { self: g.tensor([3, 4]), dim: 0, index: g.indices([5, 2], 3) } },
    { name: "empty", args: { self: g.tensor([3, 4]), dim: 0, index: g.indices([0, 4], 1) } },
  ],
});

defineOp({
  schema: "aten::take(Tensor self, Tensor index) -> Tensor",
  doc: "The elements of the flattened self that index names.",
  meta: ({ self, index }) => {
    checkIndex("take", "index", index.dtype);
    if (numelOf(self.shape) === 0 && !(numelOf(index.shape) === 0)) {
      throw new RangeError(`take: ${shapeToText(self.shape)} has no elements, index ${shapeToText(index.shape)} has`);
    }
    return { shape: index.shape, dtype: self.dtype };
  },
  loop: ({ self, index }, out) =>
    pointwise(out.shape, (at) => {
      const numel = self.shape.reduce((n, s) => mul(n, s), constant(1));
      const flat = position(index, at, numel, { fromEnd: true });
      const value = self.load(unravel(flat, self.shape));
      return numel.kind === "const" && numel.value === 1 ? onlyElement(value, flat) : value;
    }),
  vjp: ({ self, index }, { grad, F }) => ({
    self: () =>
      F.indexPutInto(grad.newZeros([numelOf(self.shape)]), [index.reshape([-1])], grad.reshape([-1]), true).view(
        self.shape,
      ),
  }),
  samples: (g) => [{ args: { self: g.tensor([3, 4]), index: g.indices([2, 5], 12) } }],
});

defineOp({
  schema: "aten::take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor",
  doc:
    "gather() with broadcasting of self and indices outside of dim; over the flattened tensor if dim is null. Negative indices count from the end.",
  meta: ({ self, indices, dim }) => {
    if (indices.dtype !== int64) {
      throw new TypeError(`take_along_dim: indices must be int64, got ${indices.dtype.name}; convert with .to(int64)`);
    }
    if (dim === null) return { shape: [numelOf(indices.shape)], dtype: self.dtype };
    const shape = alongShape(self, indices, dim);
    const axis = axisOf("take_along_dim", dim, self.shape.length);
    return { shape: shape.with(axis, indices.shape[axis] ?? 1), dtype: self.dtype };
  },
  decompose: ({ self, indices, dim }, F) => {
    if (dim === null) return self.take(indices.reshape([-1]));
    const axis = axisOf("take_along_dim", dim, self.ndim);
    const shape = alongShape(self, indices, dim);
    const source = self.expand(shape.with(axis, self.shape[axis] ?? 1));
    const place = F.where(indices.lt(0), indices.add(self.shape[axis] ?? 1), indices);
    return source.gather(axis, place.expand(shape.with(axis, indices.shape[axis] ?? 1)));
  },
  samples: (g) => [
    { args: { self: g.tensor([3, 4]), indices: g.indices([3, 2], 4), dim: 1 } },
    { name: "broadcast", args: { self: g.tensor([3, 4]), indices: g.indices([1, 2], 4), dim: 1 } },
    { name: "flat", args: { self: g.tensor([3, 4]), indices: g.indices([5], 12) } },
  ],
});

function alongShape(
  self: { readonly shape: readonly Size[] },
  indices: { readonly shape: readonly Size[] },
  dim: Size,
): Size[] {
  if (self.shape.length !== indices.shape.length) {
    throw new TypeError(
      `take_along_dim: self ${shapeToText(self.shape)} and indices ${
        shapeToText(indices.shape)
      } must have as many dimensions`,
    );
  }
  const axis = axisOf("take_along_dim", dim, self.shape.length);
  return broadcastShapes("take_along_dim", self.shape.with(axis, 1), indices.shape.with(axis, 1));
}

/** Where the dimensions of indices go in the result of `index`. */
export interface IndexPlan {
  /** Dimensions of self that are indexed. */
  readonly indexed: readonly number[];
  /** The shape of the broadcast indices. */
  readonly shape: readonly Size[];
  /** Position of the indices' dimensions in the result: that of the first index if they are neighbours, else 0. */
  readonly at: number;
  /** The shape of the result. */
  readonly result: readonly Size[];
}

/** Plans an indexing of a tensor of `shape` by index tensors, null for a whole dimension. @throws {TypeError} on too many indices. */
function planIndex(
  where: string,
  shape: readonly Size[],
  indices: readonly ({ readonly shape: readonly Size[] } | null)[],
): IndexPlan {
  if (indices.length > shape.length) {
    throw new TypeError(`${where}: ${indices.length} indices for a tensor of shape ${shapeToText(shape)}`);
  }
  const given = indices.flatMap((index, axis) => index === null ? [] : [{ index, axis }]);
  const indexed = given.map((i) => i.axis);
  const broadcast = broadcastShapes(where, ...given.map((i) => i.index.shape));
  const adjacent = indexed.every((axis, i) => i === 0 || axis === (indexed[i - 1] ?? 0) + 1);
  const at = adjacent ? indexed[0] ?? 0 : 0;
  const rest = shape.filter((_, axis) => !indexed.includes(axis));
  return { indexed, shape: broadcast, at, result: rest.toSpliced(at, 0, ...broadcast) };
}

/** The index into self from an index of the result of `index`. */
function indexedPosition(
  self: { readonly shape: readonly Expr[] },
  indices: readonly (LoopInput | null)[],
  depth: number,
  at: readonly Expr[],
): Expr[] {
  const indexed = indices.flatMap((index, axis) => index === null ? [] : [axis]);
  const adjacent = indexed.every((axis, i) => i === 0 || axis === (indexed[i - 1] ?? 0) + 1);
  const start = adjacent ? indexed[0] ?? 0 : 0;
  const inner = at.slice(start, start + depth);
  const rest = at.toSpliced(start, depth);
  let next = 0;
  return self.shape.map((size, axis) => {
    const index = indices[axis] ?? null;
    if (index === null) return rest[next++] ?? constant(0);
    return ops.indirect(ops.cast(loadBroadcast(index, inner), int64), size, { fromEnd: true });
  });
}

const isMask = (dtype: DType): boolean => dtype === bool || dtype === uint8;

/**
 * Checks that there is an index, and that masks have the shape of the dimensions from which they choose.
 *
 * @throws {TypeError} otherwise.
 */
export function checkIndices(where: string, shape: readonly Size[], indices: readonly (TensorMeta | null)[]): void {
  if (indices.every((i) => i === null || (isMask(i.dtype) && i.shape.length === 0))) {
    throw new TypeError(`${where}: needs at least one index for ${shapeToText(shape)}`);
  }
  let dims = 0;
  for (const i of indices) {
    const start = dims;
    dims += i !== null && isMask(i.dtype) ? i.shape.length : 1;
    if (i === null || !isMask(i.dtype) || dims > shape.length) continue;
    if (!i.shape.every((size, k) => sizeEq(size, shape[start + k] ?? 1))) {
      throw new TypeError(
        `${where}: a mask of shape ${shapeToText(i.shape)} cannot choose from dimensions ${start} to ${dims - 1} of ${
          shapeToText(shape)
        }: the sizes must be the same`,
      );
    }
  }
  if (dims > shape.length) {
    throw new TypeError(`${where}: the indices address ${dims} dimensions, self has ${shapeToText(shape)}`);
  }
}

function indexSpec(where: string, self: MetaInput, indices: readonly (MetaInput | null)[]): TensorSpec {
  for (const index of indices) {
    if (index !== null && isMask(index.dtype)) {
      throw new TypeError(
        `${where}: the result of a mask has a size that depends on data; keep the shape with where() or masked_fill(), or index outside of compiled code`,
      );
    }
    if (index !== null) checkIndex(where, "every index", index.dtype);
  }
  return { shape: planIndex(where, self.shape, indices).result, dtype: self.dtype };
}

defineOp({
  schema: "aten::index.Tensor(Tensor self, Tensor?[] indices) -> Tensor",
  doc:
    "self at the positions that index tensors name, broadcast together; null takes a whole dimension, a mask selects where it holds.",
  meta: ({ self, indices }) => {
    checkIndices("index", self.shape, indices);
    return indexSpec("index", self, indices);
  },
  // Masks can be read by the eager decomposition, though meta cannot know the result's shape.
  checksItself: true,
  decompose: ({ self, indices }, F) => {
    checkIndices("index", self.shape, indices);
    return F.indexPositions(
      self,
      indices.flatMap((i): readonly (TensorValue | null)[] =>
        i === null || !isMask(i.dtype) ? [i] : i.ne(0).nonzero().unbind(1)
      ),
    );
  },
  samples: indexSamples,
});

defineOp({
  schema: "tessera::index_positions(Tensor self, Tensor?[] indices) -> Tensor",
  doc: "index() by integers only.",
  meta: ({ self, indices }) => indexSpec("index", self, indices),
  loop: ({ self, indices }, out) => {
    const depth = Math.max(0, ...indices.map((index) => index?.shape.length ?? 0));
    return pointwise(out.shape, (at) => self.load(indexedPosition(self, indices, depth, at)));
  },
  vjp: ({ self, indices }, { grad, F }) => ({
    self: () => F.indexPut(grad.newZeros(self.shape), indices, grad, true),
  }),
  samples: indexSamples,
});

function indexSamples(g: SampleGenerator): Sample[] {
  return [
    { args: { self: g.tensor([4, 3]), indices: [g.indices([5], 4)] } },
    { name: "two", args: { self: g.tensor([4, 3]), indices: [g.indices([2, 2], 4), g.indices([2], 3)] } },
    { name: "apart", args: { self: g.tensor([4, 3, 2]), indices: [g.indices([5], 4), null, g.indices([5], 2)] } },
    { name: "whole", args: { self: g.tensor([4, 3, 2]), indices: [null, g.indices([2], 3)] } },
    {
      name: "negative",
      args: {
        self: g.tensor([4, 3]),
        indices: [g.tensor([2], { values: [-1, -4], dtype: int64, requiresGrad: false })],
      },
    },
  ];
}
