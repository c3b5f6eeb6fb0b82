/**
 * Reductions of segments, positions of non-zero elements in a fixed number, masked reads, and pooling over regions that random numbers choose.
 *
 * All are written with gathers and scatters, so no shape depends on data and gradients follow. Mirrors `SegmentReduce.cpp`, `nonzero_static`,
 * `_unsafe_masked_index` and `FractionalMaxPool{2,3}d.cpp` of ATen.
 */
import { bool, computeType, int32, int64 } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import { ops, pointwise, type Value } from "../loops/mod.ts";
import {
  broadcastShapes,
  constant,
  sameShape,
  shapeToText,
  type Size,
  sizeAdd,
  sizeEq,
  sizeLt,
  sizeProd,
  sizeSub,
} from "../symbolic/mod.ts";
import { axisOf } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { checkIndexDtype } from "./scatter.ts";
import type { TensorValue } from "./value.ts";

const REDUCTIONS: Readonly<Record<string, { readonly scatter: string; readonly start: number }>> = {
  sum: { scatter: "sum", start: 0 },
  mean: { scatter: "sum", start: 0 },
  prod: { scatter: "prod", start: 1 },
  max: { scatter: "amax", start: -Infinity },
  min: { scatter: "amin", start: Infinity },
};

interface Segments<T> {
  readonly data: T;
  readonly lengths: T | null;
  readonly offsets: T | null;
  readonly axis: Size;
}

/** How many segments there are, and the tensor that says where they end. */
function segmentSpec(
  { data, lengths, offsets, axis }: Segments<MetaInput | TensorValue>,
): { readonly axis: number; readonly count: Size } {
  const where = "segment_reduce";
  const given = lengths ?? offsets;
  if (given === null) throw new TypeError(`${where}: needs lengths or offsets`);
  if (given.dtype !== int64 && given.dtype !== int32) {
    throw new TypeError(`${where}: lengths and offsets must be int64 or int32, got ${given.dtype.name}`);
  }
  const at = axisOf(where, axis, data.shape.length);
  if (given.shape.length !== at + 1 || !sameShape(given.shape.slice(0, -1), data.shape.slice(0, at))) {
    throw new TypeError(
      `${where}: ${lengths === null ? "offsets" : "lengths"} ${
        shapeToText(given.shape)
      } must have the dimensions of data ${shapeToText(data.shape)} before axis ${at}, and one for the segments`,
    );
  }
  const last = given.shape[at] ?? 0;
  return { axis: at, count: lengths === null ? sizeSub(last, 1) : last };
}

defineOp({
  schema:
    "aten::segment_reduce(Tensor data, str reduce, *, Tensor? lengths=None, Tensor? indices=None, Tensor? offsets=None, int axis=0, bool unsafe=False, Scalar? initial=None) -> Tensor",
  doc: "Sums, means, products, maxima or minima of segments along axis, which lengths or offsets delimit.",
  meta: ({ data, reduce, lengths, indices, offsets, axis }) => {
    if (REDUCTIONS[reduce] === undefined) {
      throw new RangeError(`segment_reduce: reduce must be ${Object.keys(REDUCTIONS).join(", ")}, got "${reduce}"`);
    }
    if (indices !== null) throw new TypeError("segment_reduce: indices are not supported; use lengths or offsets");
    if (!data.dtype.isFloat) {
      throw new TypeError(`segment_reduce: needs floating point numbers, got ${data.dtype.name}`);
    }
    const { axis: at, count } = segmentSpec({ data, lengths, offsets, axis });
    return { shape: data.shape.with(at, count), dtype: data.dtype };
  },
  decompose: ({ data, reduce, lengths, offsets, axis, initial }, F) => {
    const { axis: at, count } = segmentSpec({ data, lengths, offsets, axis });
    const { scatter, start } = REDUCTIONS[reduce] ?? { scatter: "sum", start: 0 };
    const ends = lengths === null ? (offsets ?? data).narrow(at, 1, count).to(int64) : lengths.to(int64).cumsum(at);
    const size = data.shape[at] ?? 0;
    const batch = data.shape.slice(0, at), inner = data.shape.slice(at + 1);
    const position = F.arange(size, { device: data.device, dtype: int64 });
    // As many segments end at or before an element as stand before its own.
    let segment = ends.unsqueeze(-2).le(position.unsqueeze(-1)).sum([-1]);
    // What lies before the first offset, or behind the last, belongs to none: it goes to a place that is dropped.
    if (offsets !== null && lengths === null) {
      segment = segment.maskedFill(offsets.narrow(at, 0, 1).gt(position), count);
    }
    const places = segment.reshape([...batch, size, ...inner.map(() => 1)]).expand(data.shape);
    const from = initial === null ? start : Number(initial);
    const slots = data.newFull([...batch, sizeAdd(count, 1), ...inner], from);
    const reduced = slots.scatterReduce(at, places, data, scatter).narrow(at, 0, count);
    if (reduce !== "mean") return reduced.contiguous();
    const sizes = lengths ?? (offsets ?? data).diff(1, at);
    const divisor = sizes.reshape([...batch, count, ...inner.map(() => 1)]).to(data.dtype);
    // Without an initial value the mean of nothing is NaN, as 0 / 0 is.
    return reduced.div(initial === null ? divisor : divisor.clampMin(1));
  },
  samples: (g) => {
    if (!g.dtype.isFloat) return [];
    const ints = (shape: readonly number[], values: readonly number[]) =>
      g.tensor(shape, { dtype: int64, values, requiresGrad: false });
    return [
      ...Object.keys(REDUCTIONS).map((reduce) => ({
        name: reduce,
        args: { data: g.tensor([5, 2]), reduce, lengths: ints([3], [2, 0, 3]), initial: reduce === "mean" ? 1 : null },
        differentiate: reduce !== "max" && reduce !== "min",
      })),
      {
        name: "offsets of rows",
        args: {
          data: g.tensor([2, 4]),
          reduce: "sum",
          offsets: ints([2, 3], [0, 1, 4, 1, 3, 4]),
          axis: 1,
          unsafe: true,
        },
      },
    ];
  },
});

defineOp({
  schema: "aten::nonzero_static(Tensor self, *, SymInt size, int fill_value=-1) -> Tensor",
  doc:
    "The positions of the first `size` elements that are not 0, [size, dimensions]; rows beyond them hold fill_value.",
  meta: ({ self, size }) => {
    if (sizeLt(size, 0)) throw new RangeError(`nonzero_static: size must not be negative, got ${size}`);
    return { shape: [size, self.shape.length], dtype: int64 };
  },
  decompose: ({ self, size, fillValue }, F) => {
    const numel = sizeProd(self.shape);
    if (self.ndim === 0 || numel === 0) return self.newFull([size, self.ndim], fillValue, { dtype: int64 });
    const flat = (self.dtype === bool ? self : self.ne(0)).reshape([numel]);
    const rank = flat.to(int64).cumsum(0).sub(1);
    // Elements that are 0, or too many, go to a row that is dropped.
    const row = F.where(flat.logicalAnd(rank.lt(size)), rank, size);
    const slots = rank.newFull([sizeAdd(size, 1)], -1).scatter(0, row, F.arange(numel, { device: self.device }));
    const found = slots.narrow(0, 0, size);
    let step: Size = 1;
    const columns: TensorValue[] = [];
    for (let d = self.ndim - 1; d >= 0; d--) {
      const extent = self.shape[d] ?? 1;
      columns.unshift(found.floorDivide(step).remainder(extent));
      step = sizeProd([step, extent]);
    }
    return F.where(found.ge(0).unsqueeze(1), F.stack(columns, 1), fillValue);
  },
  samples: (g) => [
    {
      args: { self: g.tensor([3, 4], { values: [1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1, 0] }), size: 3 },
      differentiate: false,
    },
    {
      name: "more",
      args: { self: g.tensor([4], { values: [0, 1, 0, 1] }), size: 5, fillValue: 9 },
      differentiate: false,
    },
  ],
});

/** Indices within bounds, so that places that the mask leaves out can be read. */
function clamped(self: TensorValue, indices: readonly (TensorValue | null)[]): (TensorValue | null)[] {
  return indices.map((index, d) => {
    if (index === null) return null;
    const size = Number(self.shape[d] ?? 1);
    return index.clamp(-size, size - 1);
  });
}

/** The shape that indices address; checks that the mask broadcasts to it. */
function checkMasked(
  where: string,
  self: TensorMeta,
  mask: TensorMeta,
  indices: readonly (TensorMeta | null)[],
): void {
  if (mask.dtype !== bool) throw new TypeError(`${where}: the mask must be bool, got ${mask.dtype.name}`);
  if (indices.length > self.shape.length) {
    throw new TypeError(`${where}: ${indices.length} indices for ${shapeToText(self.shape)}`);
  }
  for (const i of indices) if (i !== null) checkIndexDtype(where, i);
  broadcastShapes(where, ...indices.filter((i) => i !== null).map((i) => i.shape));
}

defineOp({
  schema: "aten::_unsafe_masked_index(Tensor self, Tensor mask, Tensor?[] indices, Scalar fill) -> Tensor",
  doc: "self at lists of indices where the mask holds, else fill: what the mask leaves out may lie out of bounds.",
  checksItself: true,
  meta: ({ self, mask, indices }) => {
    checkMasked("_unsafe_masked_index", self, mask, indices);
    return { shape: broadcastShapes("_unsafe_masked_index", mask.shape), dtype: self.dtype };
  },
  decompose: ({ self, mask, indices, fill }) => {
    checkMasked("_unsafe_masked_index", self, mask, indices);
    if (sizeProd(self.shape) === 0) return self.newFull(mask.shape, fill);
    return self.index(clamped(self, indices)).maskedFill(mask.logicalNot(), fill);
  },
  samples: (g) => [{
    args: {
      self: g.tensor([4, 3]),
      mask: g.tensor([2], { dtype: bool, values: [1, 0], requiresGrad: false }),
      indices: [
        g.tensor([2], { dtype: int64, values: [1, 9], requiresGrad: false }),
        g.tensor([2], { dtype: int64, values: [2, 0], requiresGrad: false }),
      ],
      fill: 7,
    },
  }],
});

defineOp({
  schema:
    "aten::_unsafe_masked_index_put_accumulate(Tensor self, Tensor mask, Tensor?[] indices, Tensor values) -> Tensor",
  doc: "self with values added at lists of indices where the mask holds: what it leaves out may lie out of bounds.",
  meta: ({ self, mask, indices }) => {
    checkMasked("_unsafe_masked_index_put_accumulate", self, mask, indices);
    return { shape: self.shape, dtype: self.dtype };
  },
  decompose: ({ self, mask, indices, values }) => {
    if (sizeProd(self.shape) === 0) return self.clone();
    return self.indexPut(clamped(self, indices), values.maskedFill(mask.logicalNot(), 0), true);
  },
  samples: (g) => [{
    args: {
      self: g.tensor([4]),
      mask: g.tensor([3], { dtype: bool, values: [1, 0, 1], requiresGrad: false }),
      indices: [g.tensor([3], { dtype: int64, values: [1, 9, 1], requiresGrad: false })],
      values: g.tensor([3]),
    },
  }],
});

interface Regions {
  readonly kernelSize: readonly Size[];
  readonly outputSize: readonly Size[];
}

function fractionalSpec(
  where: string,
  rank: number,
  self: MetaInput,
  samples: MetaInput,
  { kernelSize, outputSize }: Regions,
): readonly TensorSpec[] {
  const batched = self.shape.length === rank + 2;
  if (!batched && self.shape.length !== rank + 1) {
    throw new TypeError(
      `${where}: needs [channels, …] or [batch, channels, …] with ${rank} sizes, got ${shapeToText(self.shape)}`,
    );
  }
  const kernel = kernelSize.map(Number), output = outputSize.map(Number);
  for (const [name, list] of [["kernel_size", kernel], ["output_size", output]] as const) {
    if (list.length !== rank || list.some((n) => !(n > 0))) {
      throw new RangeError(`${where}: ${name} needs ${rank} positive numbers, got [${list.join(", ")}]`);
    }
  }
  const spatial = self.shape.slice(-rank);
  spatial.forEach((size, d) => {
    if (sizeLt(size, (kernel[d] ?? 1) + (output[d] ?? 1) - 1)) {
      throw new RangeError(
        `${where}: ${output[d]} windows of ${kernel[d]} do not fit into dimension ${self.shape.length - rank + d} of ${
          shapeToText(self.shape)
        }`,
      );
    }
  });
  const planes = self.shape.slice(0, -rank);
  const fits = samples.shape.length === 3 && sizeEq(samples.shape[2] ?? 0, rank) &&
    sizeEq(samples.shape[1] ?? 0, planes[planes.length - 1] ?? 1) &&
    (!batched || sizeEq(samples.shape[0] ?? 0, planes[0] ?? 1));
  if (!fits || samples.dtype !== self.dtype) {
    throw new TypeError(
      `${where}: random_samples must be ${self.dtype.name}[batch, channels, ${rank}], got ${samples.dtype.name}${
        shapeToText(samples.shape)
      } for ${shapeToText(self.shape)}`,
    );
  }
  const shape = [...planes, ...output];
  return [{ shape, dtype: self.dtype }, { shape, dtype: int64 }];
}

// Half types round after every step, as ATen's numbers do: what is cut to an integer depends on it.
defineOp({
  schema: "tessera::window_starts(Tensor sample, int last, int output) -> Tensor",
  doc:
    "Starts of windows along one dimension, [planes, output]: int((i + sample) · step) - int(sample · step), the last at the end.",
  meta: ({ sample, output }) => ({ shape: [...sample.shape, output], dtype: int64 }),
  loop: ({ sample, last, output }, out) => {
    const { dtype } = sample;
    const compute = computeType(dtype);
    const round = (x: Value): Value => compute === dtype ? x : ops.cast(ops.cast(x, dtype), compute);
    const step = round(ops.constant(Number(last) / Math.max(Number(output) - 1, 1), compute));
    return pointwise(out.shape, (at) => {
      const x = ops.cast(sample.load(at.slice(0, -1)), compute);
      const i = at.at(-1) ?? constant(0);
      const whole = (v: Value): Value => ops.cast(ops.trunc(v), int64);
      const start = ops.sub(
        whole(round(ops.mul(round(ops.add(round(ops.cast(ops.index(i), compute)), x)), step))),
        whole(round(ops.mul(x, step))),
      );
      return ops.where(
        ops.eq(ops.cast(ops.index(i), int64), Number(output) - 1),
        ops.constant(Number(last), int64),
        start,
      );
    });
  },
  samples: () => [],
});

function fractionalPool(
  rank: number,
  self: TensorValue,
  samples: TensorValue,
  { kernelSize, outputSize }: Regions,
  F: Functional,
): readonly TensorValue[] {
  const kernel = kernelSize.map(Number), output = outputSize.map(Number);
  const planes = self.shape.slice(0, -rank), spatial = self.shape.slice(-rank).map(Number);
  // The samples of a plane are for its dimensions, innermost first; in three dimensions the outermost is first, then the others as they stand.
  const order = rank === 2 ? [1, 0] : [0, 1, 2];
  const chosen = samples.narrow(0, 0, self.ndim === rank + 2 ? planes[0] ?? 1 : 1).reshape([...planes, rank]);
  let flat: TensorValue | null = null;
  for (let d = 0; d < rank; d++) {
    const last = (spatial[d] ?? 1) - (kernel[d] ?? 1);
    const starts = F.windowStarts(chosen.select(-1, order[d] ?? 0), last, output[d] ?? 1);
    const within = F.arange(kernel[d] ?? 1, { device: self.device });
    // [planes, outputs…, kernels…] with ones for other dimensions.
    const shape = [
      ...planes,
      ...output.map((n, e) => e === d ? n : 1),
      ...kernel.map((n, e) => e === d ? n : 1),
    ];
    const positions = starts.unsqueeze(-1).add(within).reshape(shape);
    flat = flat === null ? positions : flat.mul(spatial[d] ?? 1).add(positions);
  }
  const count = output.reduce((a, b) => a * b, 1), taps = kernel.reduce((a, b) => a * b, 1);
  const full = [...planes, ...output, ...kernel];
  const index = (flat ?? self).expand(full).reshape([...planes, count * taps]);
  const values = self.reshape([...planes, spatial.reduce((a, b) => a * b, 1)]).gather(-1, index)
    .reshape([...planes, count, taps]);
  const [best, at] = values.max(-1);
  const places = index.reshape([...planes, count, taps]).gather(-1, at.unsqueeze(-1)).squeeze(-1);
  return [best.reshape([...planes, ...output]), places.reshape([...planes, ...output])];
}

for (const rank of [2, 3]) {
  const name = `fractional_max_pool${rank}d`;
  defineOp({
    schema:
      `aten::${name}(Tensor self, int[${rank}] kernel_size, int[${rank}] output_size, Tensor random_samples) -> (Tensor, Tensor)` as "aten::fractional_max_pool2d(Tensor self, int[2] kernel_size, int[2] output_size, Tensor random_samples) -> (Tensor, Tensor)",
    doc: "Maxima of windows whose places random_samples chooses, and their positions.",
    meta: ({ self, randomSamples, ...regions }) => fractionalSpec(name, rank, self, randomSamples, regions),
    decompose: ({ self, randomSamples, ...regions }, F) => fractionalPool(rank, self, randomSamples, regions, F),
    samples: (g) =>
      g.dtype.isFloat
        ? [{
          args: {
            self: g.tensor(rank === 2 ? [1, 2, 5, 6] : [2, 4, 4, 5]),
            kernelSize: 2,
            outputSize: rank === 2 ? [2, 3] : [2, 3, 2],
            randomSamples: g.tensor([1, 2, rank], { values: "uniform", low: 0, high: 1, requiresGrad: false }),
          },
          differentiate: g.dtype.bytes > 2,
        }]
        : [],
  });
}
