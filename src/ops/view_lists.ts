/**
 * Lists of views: split, chunk, unbind, tensor_split.
 *
 * Each piece is a slice or a select of the whole, so writes through a piece are found; the gradient of the list is one concatenation, not
 * a sum over padded pieces. Symbolic sizes are fixed where the number of pieces depends on them. Mirrors `TensorShape.cpp` of ATen.
 */
import {
  shapeToText,
  type Size,
  sizeAdd,
  sizeCeilDiv,
  sizeEq,
  sizeFloorDiv,
  sizeLt,
  sizeMax,
  sizeMin,
  sizeMod,
  sizeMul,
  sizeSub,
  sizeSum,
} from "../symbolic/mod.ts";
import { axisOf } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec, type VjpContext } from "./define.ts";
import type { SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

function sliceSpecs(self: MetaInput, axis: number, sizes: readonly Size[]): TensorSpec[] {
  const stride = self.stride[axis] ?? 1;
  let start: Size = 0;
  return sizes.map((size) => {
    const storageOffset = sizeAdd(self.storageOffset, sizeMul(start, stride));
    start = sizeAdd(start, size);
    return { shape: self.shape.with(axis, size), stride: self.stride, storageOffset, dtype: self.dtype };
  });
}

function slices(self: TensorValue, axis: number, sizes: readonly Size[]): TensorValue[] {
  let start: Size = 0;
  return sizes.map((size) => {
    const end = sizeAdd(start, size);
    const piece = self.slice(axis, start, end, 1);
    start = end;
    return piece;
  });
}

/** The gradient of pieces: pieces that nothing used count as zeros. */
function joined({ outs, grads, F }: VjpContext, axis: number): TensorValue {
  return F.cat(outs.map((out, i) => grads[i] ?? F.zerosLike(out)), axis);
}

function checkDims(where: string, rank: number): void {
  if (rank === 0) throw new TypeError(`${where}: a 0-dim tensor has no dimension to split`);
}

/** Pieces of `piece` elements; the last may be shorter. */
function evenPieces(where: string, whole: Size, piece: Size): Size[] {
  if (sizeLt(piece, 0)) throw new RangeError(`${where}: the size of a piece is ${piece}; it must not be negative`);
  if (sizeEq(piece, 0)) {
    if (!sizeEq(whole, 0)) throw new RangeError(`${where}: pieces of 0 elements do not make up ${whole}`);
    return [0];
  }
  const count = Math.max(Number(sizeCeilDiv(whole, piece)), 1);
  return Array.from({ length: count }, (_, i) => i < count - 1 ? piece : sizeSub(whole, sizeMul(piece, count - 1)));
}

function statedPieces(where: string, shape: readonly Size[], axis: number, sizes: readonly Size[]): Size[] {
  if (!sizeEq(sizeSum(sizes), shape[axis] ?? 1)) {
    throw new TypeError(
      `${where}: sizes ${shapeToText(sizes)} do not add up to dimension ${axis} of ${shapeToText(shape)}`,
    );
  }
  return [...sizes];
}

/** PyTorch's chunk: pieces of ceil(size / chunks), possibly fewer than asked. */
function chunkPieces(where: string, whole: Size, chunks: Size): Size[] {
  const count = Number(chunks);
  if (!(count > 0)) throw new RangeError(`${where}: chunks is ${chunks}; it must be positive`);
  const piece = sizeCeilDiv(whole, count);
  if (sizeEq(piece, 0)) return new Array<Size>(count).fill(0);
  return evenPieces(where, whole, piece);
}

/** The pieces that an operator cuts. */
type Cut = (shape: readonly Size[], axis: number, args: Readonly<Record<string, unknown>>) => Size[];

function defineSplit(
  schema: string,
  doc: string,
  cut: Cut,
  samples: (g: SampleGenerator) => Readonly<Record<string, number | number[]>>[],
): void {
  const where = schema.slice("aten::".length).split(/[.(]/)[0] ?? schema;
  defineOp({
    // Every schema here has self first and dim last; what lies between is read by `cut`.
    schema: schema as "aten::split.Tensor(Tensor(a) self, SymInt split_size, int dim=0) -> Tensor(a)[]",
    doc,
    meta: (args) => {
      checkDims(where, args.self.shape.length);
      const axis = axisOf(where, args.dim, args.self.shape.length);
      return sliceSpecs(args.self, axis, cut(args.self.shape, axis, args));
    },
    decompose: (args) => {
      const axis = axisOf(where, args.dim, args.self.ndim);
      return slices(args.self, axis, cut(args.self.shape, axis, args));
    },
    vjp: ({ self, dim }, context) => ({ self: () => joined(context, axisOf(where, dim, self.ndim)) }),
    samples: (g) => samples(g).map((args) => ({ args: { self: g.tensor([3, 7]), ...args } })),
  });
}

for (const [name, alias] of [["split", "(a)"], ["unsafe_split", ""]] as const) {
  defineSplit(
    `aten::${name}.Tensor(Tensor${alias} self, SymInt split_size, int dim=0) -> Tensor${alias}[]`,
    "Pieces of splitSize elements along dim; the last may be shorter.",
    (shape, axis, args) => evenPieces(name, shape[axis] ?? 1, args["splitSize"] as Size),
    () => [{ splitSize: 2 }, { splitSize: 3, dim: 1 }],
  );
}

for (
  const [name, overload, key, alias] of [
    ["split", ".sizes", "split_size", "(a)"],
    ["split_with_sizes", "", "split_sizes", "(a)"],
    ["unsafe_split_with_sizes", "", "split_sizes", ""],
  ] as const
) {
  const camel = key === "split_size" ? "splitSize" : "splitSizes";
  defineSplit(
    `aten::${name}${overload}(Tensor${alias} self, SymInt[] ${key}, int dim=0) -> Tensor${alias}[]`,
    "Pieces of the given sizes along dim.",
    (shape, axis, args) => statedPieces(name, shape, axis, args[camel] as readonly Size[]),
    () => [{ [camel]: [1, 4, 2], dim: 1 }, { [camel]: [0, 3] }],
  );
}

for (const [name, alias] of [["chunk", "(a)"], ["unsafe_chunk", ""]] as const) {
  defineSplit(
    `aten::${name}(Tensor${alias} self, int chunks, int dim=0) -> Tensor${alias}[]`,
    "At most chunks pieces of equal size along dim; the last may be shorter.",
    (shape, axis, args) => chunkPieces(name, shape[axis] ?? 1, args["chunks"] as Size),
    () => [{ chunks: 2 }, { chunks: 3, dim: -1 }, { chunks: 5, dim: 1 }],
  );
}

defineSplit(
  "aten::tensor_split.sections(Tensor(a) self, SymInt sections, int dim=0) -> Tensor(a)[]",
  "Exactly sections pieces along dim, the first ones larger by one if they cannot be equal.",
  (shape, axis, args) => {
    const count = Number(args["sections"] as Size);
    if (!(count > 0)) throw new RangeError(`tensor_split: sections is ${count}; it must be positive`);
    const whole = shape[axis] ?? 1;
    // Of the remainder each of the first pieces takes one.
    return Array.from({ length: count }, (_, i) => sizeFloorDiv(sizeAdd(whole, count - 1 - i), count));
  },
  () => [{ sections: 2 }, { sections: 3, dim: 1 }],
);

defineOp({
  schema: "aten::tensor_split.indices(Tensor(a) self, SymInt[] indices, int dim=0) -> Tensor(a)[]",
  doc: "Pieces along dim that end at the given indices, and the rest.",
  meta: ({ self, indices, dim }) => {
    checkDims("tensor_split", self.shape.length);
    const axis = axisOf("tensor_split", dim, self.shape.length);
    return cutAt(indices, self.shape[axis] ?? 1).map(([start, end]) => ({
      shape: self.shape.with(axis, sizeMax(0, sizeSub(end, start))),
      stride: self.stride,
      storageOffset: sizeAdd(self.storageOffset, sizeMul(start, self.stride[axis] ?? 1)),
      dtype: self.dtype,
    }));
  },
  decompose: ({ self, indices, dim }) => {
    const axis = axisOf("tensor_split", dim, self.ndim);
    return cutAt(indices, self.shape[axis] ?? 1).map(([start, end]) => self.slice(axis, start, end, 1));
  },
  samples: (g) => [
    { args: { self: g.tensor([3, 7]), indices: [2, 5], dim: 1 } },
    { name: "beyond", args: { self: g.tensor([3, 7]), indices: [1, -1, 9], dim: 1 } },
  ],
});

function cutAt(indices: readonly Size[], whole: Size): [Size, Size][] {
  const inside = (i: Size): Size =>
    sizeLt(i, 0) ? sizeLt(sizeAdd(i, whole), 0) ? 0 : sizeAdd(i, whole) : sizeMin(i, whole);
  const ends = [...indices.map(inside), whole];
  return ends.map((end, i) => [i === 0 ? 0 : ends[i - 1] ?? 0, end]);
}

defineOp({
  schema: "aten::unbind.int(Tensor(a) self, int dim=0) -> Tensor(a)[]",
  doc: "All slices along dim, without that dimension.",
  meta: ({ self, dim }) => {
    checkDims("unbind", self.shape.length);
    const axis = axisOf("unbind", dim, self.shape.length);
    return Array.from({ length: Number(self.shape[axis] ?? 1) }, (_, i) => ({
      shape: self.shape.toSpliced(axis, 1),
      stride: self.stride.toSpliced(axis, 1),
      storageOffset: sizeAdd(self.storageOffset, sizeMul(i, self.stride[axis] ?? 1)),
      dtype: self.dtype,
    }));
  },
  decompose: ({ self, dim }) => {
    const axis = axisOf("unbind", dim, self.ndim);
    return Array.from({ length: Number(self.shape[axis] ?? 1) }, (_, i) => self.select(axis, i));
  },
  vjp: ({ self, dim }, { outs, grads, F }) => ({
    self: () => F.stack(outs.map((out, i) => grads[i] ?? F.zerosLike(out)), axisOf("unbind", dim, self.ndim)),
  }),
  samples: (g) => [
    { args: { self: g.tensor([3, 4]) } },
    { name: "last", args: { self: g.tensor([2, 3, 2]), dim: -1 } },
  ],
});

/** Splits along a fixed dimension: hsplit the second (the first of vectors), vsplit the first, dsplit the third. */
for (
  const [name, rank, axisFor] of [["hsplit", 1, (r: number) => r === 1 ? 0 : 1], ["vsplit", 2, () => 0], [
    "dsplit",
    3,
    () => 2,
  ]] as const
) {
  const check = (given: number): void => {
    if (given < rank) {
      throw new TypeError(`${name}: needs at least ${rank} dimension${rank > 1 ? "s" : ""}, got ${given}`);
    }
  };
  defineOp({
    schema: `aten::${name}.int(Tensor(a) self, int sections) -> Tensor(a)[]`,
    doc: "Equal pieces along one dimension.",
    meta: ({ self, sections }) => {
      check(self.shape.length);
      const axis = axisFor(self.shape.length);
      const whole = self.shape[axis] ?? 1;
      if (!(Number(sections) > 0)) throw new RangeError(`${name}: sections must be positive, got ${sections}`);
      if (!sizeEq(sizeMod(whole, sections), 0)) {
        throw new TypeError(`${name}: dimension ${axis} of ${shapeToText(self.shape)} is no multiple of ${sections}`);
      }
      const count = Number(sections);
      return sliceSpecs(self, axis, new Array<Size>(count).fill(sizeFloorDiv(whole, count)));
    },
    decompose: ({ self, sections }) => self.tensorSplit(sections, axisFor(self.ndim)),
    samples: (g: SampleGenerator) => [{ args: { self: g.tensor([4, 4, 4]), sections: 2 } }],
  });
  defineOp({
    schema: `aten::${name}.array(Tensor(a) self, int[] indices) -> Tensor(a)[]`,
    doc: "Pieces along one dimension that end at the given indices, and the rest.",
    meta: ({ self, indices }) => {
      check(self.shape.length);
      const axis = axisFor(self.shape.length);
      const cuts = cutAt(indices, self.shape[axis] ?? 1);
      return cuts.map(([start, end]) => ({
        shape: self.shape.with(axis, sizeMax(0, sizeSub(end, start))),
        stride: self.stride,
        storageOffset: sizeAdd(self.storageOffset, sizeMul(start, self.stride[axis] ?? 1)),
        dtype: self.dtype,
      }));
    },
    decompose: ({ self, indices }) => self.tensorSplit(indices, axisFor(self.ndim)),
    samples: (g: SampleGenerator) => [{ args: { self: g.tensor([4, 4, 4]), indices: [1, 3] } }],
  });
}
