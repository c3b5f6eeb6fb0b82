/**
 * Putting tensors together and taking them apart by other rules than cat and split: diagonal blocks, products and combinations of sets,
 * chunks side by side, pieces at positions that a tensor names, repetition by counts, writing where a mask holds, cross products.
 *
 * All decompose onto views, cat, gather and comparison. What depends on data (how often to repeat, where to split) reads it on the host, which
 * is a graph break under capture. Mirrors parts of `TensorShape.cpp`, `Repeat.cpp`, `Cross.cpp` of ATen.
 */
import { bool, type DType, int64, resultType } from "../core/mod.ts";
import {
  broadcastShapes,
  contiguousStride,
  shapeToText,
  type Size,
  sizeAdd,
  sizeEq,
  sizeIsZero,
  sizeLt,
  sizeProd,
  sizeSum,
} from "../symbolic/mod.ts";
import { axisOf, promotedDtype, promotionOperand } from "./combinators.ts";
import { defineOp, type MetaInput } from "./define.ts";
import { numbersIn, repeatOnDevice } from "./device_selection.ts";
import { readHost } from "./host_axis.ts";
import type { SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** A tensor's shape as a block: vectors are rows. */
function blockShape(where: string, shape: readonly Size[]): readonly [Size, Size] {
  if (shape.length > 2) throw new TypeError(`${where}: blocks have at most 2 dimensions, got ${shapeToText(shape)}`);
  return [shape.length === 2 ? shape[0] ?? 1 : 1, shape[shape.length - 1] ?? 1];
}

function commonDtype(
  where: string,
  tensors: readonly { readonly dtype: DType; readonly shape: readonly Size[] }[],
): DType {
  if (tensors.length === 0) throw new TypeError(`${where}: needs at least one tensor`);
  return resultType(tensors.map((t) => ({ dtype: t.dtype, rank: t.shape.length === 0 ? "zeroDim" : "tensor" })));
}

defineOp({
  schema: "aten::block_diag(Tensor[] tensors) -> Tensor",
  doc: "A matrix with the tensors as blocks on its diagonal, zeros elsewhere.",
  meta: ({ tensors }) => {
    const blocks = tensors.map((t) => blockShape("block_diag", t.shape));
    return {
      shape: [sizeSum(blocks.map((b) => b[0])), sizeSum(blocks.map((b) => b[1]))],
      dtype: commonDtype("block_diag", tensors),
    };
  },
  decompose: ({ tensors }, F) => {
    const widths = tensors.map((t) => blockShape("block_diag", t.shape)[1]);
    const dtype = commonDtype("block_diag", tensors);
    const rows = tensors.map((t, i) => {
      const block = t.reshape([...blockShape("block_diag", t.shape)]);
      const wide = block.constantPadNd([sizeSum(widths.slice(0, i)), sizeSum(widths.slice(i + 1))]);
      return wide.dtype === dtype ? wide : wide.to(dtype);
    });
    return F.cat(rows, 0);
  },
  samples: (g) => [{ args: { tensors: [g.tensor([2, 3]), g.tensor([2]), g.tensor([])] } }],
});

defineOp({
  schema: "aten::cartesian_prod(Tensor[] tensors) -> Tensor",
  doc: "All tuples of one element of each vector, as rows; a single vector stays as it is.",
  meta: ({ tensors }) => {
    for (const t of tensors) {
      if (t.shape.length !== 1) throw new TypeError(`cartesian_prod: needs vectors, got ${shapeToText(t.shape)}`);
    }
    const dtype = commonDtype("cartesian_prod", tensors);
    const count = sizeProd(tensors.map((t) => t.shape[0] ?? 1));
    return { shape: tensors.length === 1 ? [count] : [count, tensors.length], dtype };
  },
  decompose: ({ tensors }, F) => {
    const [only] = tensors;
    if (tensors.length === 1 && only !== undefined) return only.clone();
    const grid = F.meshgrid(tensors, { indexing: "ij" });
    return F.stack(grid.map((t) => t.reshape([-1])), 1);
  },
  samples: (g) => [{ args: { tensors: [g.tensor([2]), g.tensor([3]), g.tensor([2])] } }],
});

/** All ascending choices of `r` of `n` positions. */
function choices(n: number, r: number, withReplacement: boolean): number[][] {
  let all: number[][] = [[]];
  for (let i = 0; i < r; i++) {
    all = all.flatMap((head) => {
      const last = head[head.length - 1];
      const first = last === undefined ? 0 : withReplacement ? last : last + 1;
      return Array.from({ length: Math.max(n - first, 0) }, (_, k) => [...head, first + k]);
    });
  }
  return all;
}

function choiceCount(n: number, r: number, withReplacement: boolean): number {
  const from = withReplacement ? n + r - 1 : n;
  let count = 1;
  for (let i = 0; i < r; i++) count = count * (from - i) / (i + 1);
  return r > from ? 0 : Math.round(count);
}

defineOp({
  schema: "tessera::combination_positions(int n, int r, bool with_replacement) -> Tensor",
  doc: "All ascending choices of r of n positions, as rows.",
  meta: ({ n, r, withReplacement }) => ({
    shape: [choiceCount(Number(n), Number(r), withReplacement), Number(r)],
    dtype: int64,
  }),
  host: ({ n, r, withReplacement }) => {
    const rows = choices(Number(n), Number(r), withReplacement);
    return [{ shape: [rows.length, Number(r)], data: BigInt64Array.from(rows.flat(), (i) => BigInt(i)) }];
  },
  samples: () => [{ args: { n: 4, r: 2, withReplacement: false } }, { args: { n: 3, r: 2, withReplacement: true } }],
});

defineOp({
  schema: "aten::combinations(Tensor self, int r=2, bool with_replacement=False) -> Tensor",
  doc: "All choices of r elements of a vector, in order of position, as rows.",
  meta: ({ self, r, withReplacement }) => {
    if (self.shape.length !== 1) throw new TypeError(`combinations: needs a vector, got ${shapeToText(self.shape)}`);
    if (Number(r) < 0) throw new RangeError(`combinations: r must not be negative, got ${r}`);
    const n = Number(self.shape[0]);
    const count = choiceCount(n, Number(r), withReplacement);
    if (!(count * Math.max(Number(r), 1) < 2 ** 31) || Number(r) * Math.log2(Math.max(n, 1)) >= 63) {
      throw new RangeError(`combinations: ${r} of ${n} elements are ${count} choices, too many`);
    }
    return {
      shape: r === 0 ? [0] : [choiceCount(n, Number(r), withReplacement), Number(r)],
      dtype: self.dtype,
    };
  },
  decompose: ({ self, r, withReplacement }, F) => {
    if (r === 0) return self.narrow(0, 0, 0).clone();
    const at = F.combinationPositions(self.shape[0] ?? 1, r, withReplacement).to(self.device);
    return self.indexSelect(0, at.reshape([-1])).view(at.shape);
  },
  samples: (g) => [
    { args: { self: g.tensor([4]) } },
    { args: { self: g.tensor([3]), r: 3, withReplacement: true } },
    { args: { self: g.tensor([2]), r: 1 } },
  ],
});

defineOp({
  schema: "aten::_chunk_cat(Tensor[] tensors, int dim, int num_chunks) -> Tensor",
  doc: "Each tensor in num_chunks chunks along dim, padded with zeros and flattened, side by side.",
  meta: ({ tensors, dim, numChunks }) => {
    const [first] = tensors;
    if (first === undefined) throw new TypeError("_chunk_cat: needs at least one tensor");
    if (!(Number(numChunks) >= 1)) throw new RangeError(`_chunk_cat: num_chunks must be positive, got ${numChunks}`);
    const axis = axisOf("_chunk_cat", dim, first.shape.length);
    if (sizeLt(dim, 0) && tensors.some((t) => t.shape.length !== first.shape.length)) {
      throw new TypeError(
        `_chunk_cat: dim ${dim} counts from the end, which differs for ${
          tensors.map((t) => shapeToText(t.shape)).join(", ")
        }`,
      );
    }
    const chunks = Number(numChunks);
    let total = 0;
    for (const t of tensors) {
      if (t.dtype !== first.dtype) throw new TypeError(`_chunk_cat: dtypes ${first.dtype} and ${t.dtype} differ`);
      if (axis >= t.shape.length || t.shape.slice(0, axis).some((s, d) => !sizeEq(s, first.shape[d] ?? 1))) {
        throw new TypeError(
          `_chunk_cat: ${shapeToText(t.shape)} and ${shapeToText(first.shape)} differ before dimension ${axis}`,
        );
      }
      if (t.shape.some((s) => sizeEq(s, 0))) {
        throw new TypeError(`_chunk_cat: a tensor of shape ${shapeToText(t.shape)} has no elements to be split`);
      }
      const rest = t.shape.slice(axis + 1).reduce((a: number, s) => a * Number(s), 1);
      total += Math.ceil(Number(t.shape[axis]) / chunks) * rest;
    }
    return { shape: [...first.shape.slice(0, axis), chunks, total], dtype: first.dtype };
  },
  decompose: ({ tensors, dim, numChunks }, F) => {
    const chunks = Number(numChunks);
    const parts = tensors.map((t) => {
      const axis = axisOf("_chunk_cat", dim, tensors[0]?.ndim ?? 1);
      const size = Number(t.shape[axis]);
      const missing = Math.ceil(size / chunks) * chunks - size;
      const behind = new Array<number>(2 * (t.ndim - 1 - axis)).fill(0);
      const padded = missing === 0 ? t : t.constantPadNd([...behind, 0, missing]);
      return padded.reshape([...t.shape.slice(0, axis), chunks, -1]);
    });
    return F.cat(parts, -1);
  },
  samples: (g) => [
    { args: { tensors: [g.tensor([2, 3]), g.tensor([5]), g.tensor([3, 1, 2])], dim: 0, numChunks: 3 } },
  ],
});

const masks = (g: SampleGenerator, shape: readonly number[]) => {
  const n = shape.reduce((a, b) => a * b, 1);
  return g.tensor(shape, { dtype: bool, values: Array.from({ length: n }, (_, i) => i % 2), requiresGrad: false });
};

defineOp({
  schema: "tessera::assert_enough(Tensor wanted, SymInt available, str name) -> Tensor",
  doc: "wanted, a count, if there are so many elements; raises otherwise.",
  meta: ({ wanted }) => ({ shape: wanted.shape, dtype: wanted.dtype }),
  host: ({ wanted, available, name }) => {
    const count = Number(readHost(wanted.data, 0));
    if (count > Number(available)) {
      throw new RangeError(`${name}: the mask holds ${count} times, but source has ${available} elements`);
    }
    return [{ shape: wanted.shape.map(Number), data: wanted.data }];
  },
  samples: (g) => [
    {
      args: {
        wanted: g.tensor([], { dtype: int64, values: [2], requiresGrad: false }),
        available: 2,
        name: "masked_scatter",
      },
    },
  ],
});

defineOp({
  schema: "aten::masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor",
  doc: "self, with the elements of source in order where mask holds.",
  inplace: true,
  meta: ({ self, mask, source }) => {
    if (mask.dtype !== bool) throw new TypeError(`masked_scatter: mask must be bool, got ${mask.dtype.name}`);
    if (self.dtype !== source.dtype) {
      throw new TypeError(`masked_scatter: self is ${self.dtype.name} but source ${source.dtype.name}`);
    }
    return { shape: broadcastShapes("masked_scatter", self.shape, mask.shape), dtype: self.dtype };
  },
  decompose: ({ self, mask, source }, F) => {
    const shape = broadcastShapes("masked_scatter", self.shape, mask.shape);
    const wide = self.expand(shape).contiguous();
    if (sizeEq(sizeProd(shape), 0)) return wide.clone();
    const holds = mask.expand(shape);
    if (sizeEq(sizeProd(source.shape), 0)) {
      // Nothing is taken, or the count is refused.
      return F.where(holds, F.assertEnough(holds.sum(), 0, "masked_scatter").to(self.dtype), wide);
    }
    const flat = holds.reshape([-1]);
    const available = sizeProd(source.shape);
    const ranks = flat.cumsum(0);
    // A source as long as the mask is long enough whatever the mask holds. Devices would wait for the processor to count: there the last element repeats.
    const isShort = self.device.type === "cpu" && sizeLt(available, sizeProd(shape));
    const last = isShort
      ? F.assertEnough(ranks.select(0, -1), available, "masked_scatter").sub(1)
      : F.fullLike(flat, sizeAdd(available, -1), { dtype: int64 });
    const at = ranks.sub(1).minimum(last).clamp(0);
    const taken = source.reshape([-1]).indexSelect(0, at).view(shape);
    return F.where(holds, taken, wide);
  },
  samples: (g) => [
    { args: { self: g.tensor([3, 4]), mask: masks(g, [3, 4]), source: g.tensor([3, 4]) } },
    { args: { self: g.tensor([3, 4]), mask: masks(g, [4]), source: g.tensor([10]) } },
  ],
});

function crossAxis(where: string, a: readonly Size[], b: readonly Size[], dim: Size): number {
  if (a.length !== b.length) {
    throw new TypeError(`${where}: ${shapeToText(a)} and ${shapeToText(b)} must have the same number of dimensions`);
  }
  const axis = axisOf(where, dim, a.length);
  if (!sizeEq(a[axis] ?? 1, 3) || !sizeEq(b[axis] ?? 1, 3)) {
    throw new TypeError(`${where}: dimension ${axis} of ${shapeToText(a)} and ${shapeToText(b)} must be of size 3`);
  }
  return axis;
}

function crossProduct(self: TensorValue, other: TensorValue, axis: number): TensorValue {
  const shape = broadcastShapes("linalg_cross", self.shape, other.shape);
  const a = self.expand(shape), b = other.expand(shape);
  const turned = (x: TensorValue, by: number): TensorValue => x.roll([by], [axis]);
  return turned(a, -1).mul(turned(b, -2)).sub(turned(a, -2).mul(turned(b, -1)));
}

function crossSpec(where: string, self: MetaInput, other: MetaInput, dim: Size) {
  crossAxis(where, self.shape, other.shape, dim);
  if (self.dtype !== other.dtype && !self.isScalar && !other.isScalar) {
    throw new TypeError(`${where}: self is ${self.dtype.name}, other ${other.dtype.name}; convert one with .to()`);
  }
  return {
    shape: broadcastShapes(where, self.shape, other.shape),
    dtype: promotedDtype(where, [self, other].map(promotionOperand), "default"),
  };
}

defineOp({
  schema: "aten::linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor",
  doc: "The cross product of vectors of 3 elements along dim.",
  meta: ({ self, other, dim }) => crossSpec("linalg_cross", self, other, dim),
  decompose: ({ self, other, dim }) =>
    crossProduct(self, other, crossAxis("linalg_cross", self.shape, other.shape, dim)),
  samples: (g) => [
    { args: { self: g.tensor([2, 3]), other: g.tensor([2, 3]) } },
    { args: { self: g.tensor([3, 4]), other: g.tensor([3, 1]), dim: 0 } },
  ],
});

/** The first dimension of size 3. */
function firstThree(self: { readonly shape: readonly Size[] }): number {
  const axis = self.shape.findIndex((s) => sizeEq(s, 3));
  if (axis < 0) throw new TypeError(`cross: no dimension of ${shapeToText(self.shape)} is of size 3`);
  return axis;
}

defineOp({
  schema: "aten::cross(Tensor self, Tensor other, int? dim=None) -> Tensor",
  doc: "The cross product along dim, by default the first dimension of size 3.",
  meta: ({ self, other, dim }) => crossSpec("cross", self, other, dim ?? firstThree(self)),
  decompose: ({ self, other, dim }, F) => F.linalgCross(self, other, { dim: dim ?? firstThree(self) }),
  samples: (g) => [{ args: { self: g.tensor([2, 3]), other: g.tensor([2, 3]) } }],
});

defineOp({
  schema: "aten::repeat_interleave.Tensor(Tensor repeats, *, SymInt? output_size=None) -> Tensor",
  doc: "Each position as often as repeats says: [2, 0, 1] gives 0, 0, 2.",
  dataDependent: true,
  meta: ({ repeats, outputSize }) => {
    if (repeats.shape.length !== 1 || !repeats.dtype.isIntegral || repeats.dtype === bool) {
      throw new TypeError(
        `repeat_interleave: repeats must be a vector of integers, got ${repeats.dtype.name}${
          shapeToText(repeats.shape)
        }`,
      );
    }
    return { shape: [outputSize ?? repeats.shape[0] ?? 1], dtype: repeats.dtype };
  },
  host: ({ repeats, outputSize }) => {
    const out: number[] = [];
    for (let i = 0; i < repeats.data.length; i++) {
      const times = Number(readHost(repeats.data, i));
      if (times < 0) throw new RangeError(`repeat_interleave: cannot repeat element ${i} ${times} times`);
      for (let k = 0; k < times; k++) out.push(i);
    }
    if (outputSize !== null && Number(outputSize) !== out.length) {
      throw new RangeError(`repeat_interleave: the repeats add up to ${out.length}, output_size is ${outputSize}`);
    }
    return [{ shape: [out.length], data: BigInt64Array.from(out, (i) => BigInt(i)) }];
  },
  onDevice: ({ repeats }, F) => repeatOnDevice(repeats, F),
  samples: (g) => [{ args: { repeats: g.indices([4], 3) } }],
});

defineOp({
  schema:
    "aten::repeat_interleave.self_Tensor(Tensor self, Tensor repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor",
  doc: "Each element along dim as often as repeats says.",
  dataDependent: true,
  meta: ({ self, repeats, dim, outputSize }) => {
    const shape = dim === null ? [sizeProd(self.shape)] : self.shape;
    const axis = dim === null ? 0 : axisOf("repeat_interleave", dim, self.shape.length);
    if (repeats.shape.length > 1) {
      throw new TypeError(
        `repeat_interleave: repeats must have at most 1 dimension, got ${shapeToText(repeats.shape)}`,
      );
    }
    const count = repeats.shape.length === 0 ? 1 : repeats.shape[0] ?? 1;
    if (!sizeEq(count, 1) && !sizeEq(count, shape[axis] ?? 1)) {
      throw new TypeError(
        `repeat_interleave: ${count} counts do not fit dimension ${axis} of ${shapeToText(shape)}`,
      );
    }
    return { shape: shape.map((s, d) => d === axis ? outputSize ?? s : s), dtype: self.dtype };
  },
  decompose: ({ self, repeats, dim, outputSize }, F) => {
    const x = dim === null ? self.reshape([-1]) : self;
    const axis = dim === null ? 0 : axisOf("repeat_interleave", dim, self.ndim);
    // Nothing to repeat, whatever number of elements was announced.
    if (sizeIsZero(x.shape[axis] ?? 1)) return x.clone();
    const counts = repeats.reshape([-1]).expand([x.shape[axis] ?? 1]);
    if (outputSize === null) return x.indexSelect(axis, F.repeatInterleave(counts));
    // With a known size no shape depends on data: position p belongs to the first element whose running count exceeds p.
    const running = counts.cumsum(0);
    const missing = F.require(running.narrow(0, -1, 1).sub(outputSize), "repeats");
    const at = F.searchsorted(running, F.arange(outputSize, { device: self.device }), { right: true });
    return x.indexSelect(axis, at.add(missing));
  },
  samples: (g) => [
    { args: { self: g.tensor([2, 3]), repeats: g.indices([3], 3), dim: 1 } },
    {
      args: {
        self: g.tensor([3]),
        repeats: g.tensor([3], { dtype: int64, values: [2, 0, 1], requiresGrad: false }),
        dim: 0,
        outputSize: 3,
      },
    },
  ],
});

defineOp({
  schema: "aten::argwhere(Tensor self) -> Tensor",
  doc: "The positions of elements that are not 0, [number, dimensions].",
  dataDependent: true,
  meta: ({ self }) => ({ shape: [sizeProd(self.shape), self.shape.length], dtype: int64 }),
  decompose: ({ self }) => self.nonzero(),
  samples: (g) => [{ args: { self: g.tensor([3, 4], { values: "integers", low: 0, high: 2, requiresGrad: false }) } }],
});

defineOp({
  schema: "aten::nonzero_numpy(Tensor self) -> Tensor[]",
  doc: "The positions of elements that are not 0, one vector a dimension.",
  dataDependent: true,
  meta: ({ self }) =>
    Array.from(
      { length: Math.max(self.shape.length, 1) },
      () => ({ shape: [sizeProd(self.shape)], dtype: int64, stride: [Math.max(self.shape.length, 1)] }),
    ),
  decompose: ({ self }) => (self.ndim === 0 ? self.unsqueeze(0) : self).nonzero().unbind(1),
  samples: () => [],
});

defineOp({
  schema:
    "aten::tensor_split.tensor_indices_or_sections(Tensor(a) self, Tensor tensor_indices_or_sections, int dim=0) -> Tensor(a)[]",
  doc: "Pieces along dim: as many as a 0-dim tensor says, or cut at the positions in a vector.",
  dataDependent: true,
  meta: ({ self, tensorIndicesOrSections: at, dim }) => {
    axisOf("tensor_split", dim, self.shape.length);
    if (at.dtype !== int64 || at.shape.length > 1) {
      throw new TypeError(
        `tensor_split: sections or indices must be int64 with at most 1 dimension, got ${at.dtype.name}${
          shapeToText(at.shape)
        }`,
      );
    }
    const pieces = at.shape.length === 0 ? 1 : Number(at.shape[0]) + 1;
    return Array.from({ length: pieces }, () => ({
      shape: self.shape,
      dtype: self.dtype,
      stride: contiguousStride(self.shape),
    }));
  },
  decompose: ({ self, tensorIndicesOrSections: at, dim }, F) => {
    const numbers = numbersIn(at);
    return at.ndim === 0 ? F.tensorSplit(self, numbers[0] ?? 1, dim) : F.tensorSplit(self, numbers, dim);
  },
  samples: () => [],
});
