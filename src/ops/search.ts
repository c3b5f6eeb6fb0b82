/**
 * Searching and data-dependent selection: nonzero, masked_select, unique, searchsorted, bucketize.
 *
 * All run on the host's memory. The shapes of the first three depend on the data: eager only, a graph break under capture.
 * `meta` gives the largest shape that is possible. Mirrors ATen's Unique.cpp, Bucketization.cpp and Indexing.
 */
import { bool, int32, int64, normalizeAxis } from "../core/mod.ts";
import { broadcastShapes, sameShape, shapeToText, sizeEq, sizeProd } from "../symbolic/mod.ts";
import { defineOp, type HostResult, type HostTensor, type MetaInput, type TensorSpec } from "./define.ts";
import { compareHost, hostArray, type HostNumber, hostShape, readHost, writeHost } from "./host_axis.ts";
import { nonzeroOnDevice, uniqueOnDevice, uniqueSlicesOnDevice } from "./device_selection.ts";
import { distinct } from "./max_pool.ts";

function count(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

defineOp({
  schema: "aten::nonzero(Tensor self) -> Tensor",
  doc: "The positions of elements that are not 0, [number, dimensions], in row-major order.",
  dataDependent: true,
  meta: ({ self }) => ({ shape: [sizeProd(self.shape), self.shape.length], dtype: int64 }),
  host: ({ self }) => {
    const shape = hostShape(self);
    const found: number[] = [];
    const total = count(shape);
    for (let i = 0; i < total; i++) if (Number(readHost(self.data, i)) !== 0) found.push(i);
    const data = new BigInt64Array(found.length * shape.length);
    found.forEach((flat, row) => {
      let rest = flat;
      for (let d = shape.length - 1; d >= 0; d--) {
        const size = shape[d] ?? 1;
        data[row * shape.length + d] = BigInt(rest % size);
        rest = Math.floor(rest / size);
      }
    });
    return [{ shape: [found.length, shape.length], data }];
  },
  onDevice: ({ self }, F) => nonzeroOnDevice(self, F),
  samples: (g) => [{ args: { self: g.tensor([3, 4], { values: "integers", low: 0, high: 2, requiresGrad: false }) } }],
});

defineOp({
  schema: "aten::masked_select(Tensor self, Tensor mask) -> Tensor",
  doc: "The elements where a mask holds, as a vector; both broadcast.",
  dataDependent: true,
  meta: ({ self, mask }) => {
    if (mask.dtype !== bool) throw new TypeError(`masked_select: mask must be bool, got ${mask.dtype.name}`);
    return { shape: [sizeProd(broadcastShapes("masked_select", self.shape, mask.shape))], dtype: self.dtype };
  },
  decompose: ({ self, mask }) => {
    const shape = broadcastShapes("masked_select", self.shape, mask.shape);
    const flat = self.expand(shape).reshape([-1]);
    return flat.indexSelect(0, mask.expand(shape).reshape([-1]).nonzero().reshape([-1]));
  },
  samples: (g) => [
    {
      args: {
        self: g.tensor([2, 3]),
        mask: g.tensor([3], { dtype: bool, values: [1, 0, 1], requiresGrad: false }),
      },
    },
  ],
});

/** Distinct elements with the inverse and the counts. */
interface Distinct {
  readonly first: readonly number[];
  readonly inverse: BigInt64Array;
  readonly counts: BigInt64Array;
}

/** Groups `n` items by `compare`, over `order`; equal items must be adjacent in it. */
function groupRuns(n: number, order: readonly number[], compare: (a: number, b: number) => number): Distinct {
  const first: number[] = [];
  const counts: number[] = [];
  const inverse = new BigInt64Array(n);
  order.forEach((item, i) => {
    const before = order[i - 1];
    if (before === undefined || compare(before, item) !== 0) {
      first.push(item);
      counts.push(0);
    }
    const group = first.length - 1;
    counts[group] = (counts[group] ?? 0) + 1;
    inverse[item] = BigInt(group);
  });
  return { first, inverse, counts: BigInt64Array.from(counts.map(BigInt)) };
}

function elementOrder(self: HostTensor): { readonly n: number; readonly compare: (a: number, b: number) => number } {
  const n = count(hostShape(self));
  const compare = (a: number, b: number): number => {
    const x = readHost(self.data, a), y = readHost(self.data, b);
    // NaN differs from NaN, as in PyTorch.
    return compareHost(x, y) || (x !== x ? a - b : 0);
  };
  return { n, compare };
}

function picked(self: HostTensor, positions: readonly number[]): HostResult {
  const data = hostArray(self.dtype, positions.length);
  positions.forEach((p, i) => writeHost(data, i, readHost(self.data, p)));
  return { shape: [positions.length], data };
}

function optional(wanted: boolean, data: BigInt64Array, shape: readonly number[]): HostResult {
  return wanted ? { shape, data } : { shape: [0], data: new BigInt64Array(0) };
}

function uniqueSpecs(self: MetaInput): TensorSpec[] {
  const all = sizeProd(self.shape);
  return [{ shape: [all], dtype: self.dtype }, { shape: self.shape, dtype: int64 }, { shape: [all], dtype: int64 }];
}

defineOp({
  schema:
    "aten::_unique2(Tensor self, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> (Tensor, Tensor, Tensor)",
  doc: "The distinct elements in ascending order; on demand which of them each element is, and how often each occurs.",
  dataDependent: true,
  meta: ({ self }) => uniqueSpecs(self),
  host: ({ self, returnInverse, returnCounts }) => {
    const { n, compare } = elementOrder(self);
    const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => compare(a, b) || a - b);
    const { first, inverse, counts } = groupRuns(n, order, compare);
    return [
      picked(self, first),
      // Of bool tensors PyTorch's algorithm counts by way of the positions, and returns them too.
      optional(returnInverse || (returnCounts && self.dtype === bool), inverse, hostShape(self)),
      optional(returnCounts, counts, [counts.length]),
    ];
  },
  onDevice: ({ self, returnInverse, returnCounts }, F) => {
    const inverse = returnInverse || (returnCounts && self.dtype === bool);
    return uniqueOnDevice(self, { sort: true, inverse, counts: returnCounts }, F);
  },
  samples: (g) => [
    {
      args: {
        self: g.tensor([8], { values: "integers", requiresGrad: false }),
        returnInverse: true,
        returnCounts: true,
      },
    },
  ],
});

/** Slices without elements are all alike, which leaves open how many are distinct. */
function checkSlices(where: string, self: MetaInput, axis: number): void {
  if (self.shape.length === 0 || self.shape.some((s, d) => d !== axis && sizeEq(s, 0))) {
    throw new TypeError(`${where}: ${shapeToText(self.shape)} has no slices with elements along dimension ${axis}`);
  }
}

/** Slices along an axis as items: their number, order and elements. */
function sliceItems(self: HostTensor, axis: number): {
  readonly n: number;
  readonly compare: (a: number, b: number) => number;
  readonly take: (positions: readonly number[]) => HostResult;
} {
  const shape = hostShape(self);
  const n = shape[axis] ?? 1;
  const inner = count(shape.slice(axis + 1)), outer = count(shape.slice(0, axis));
  const element = (item: number, o: number, i: number): HostNumber => readHost(self.data, (o * n + item) * inner + i);
  return {
    n,
    compare: (a, b) => {
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) {
          const order = compareHost(element(a, o, i), element(b, o, i));
          if (order !== 0) return order;
        }
      }
      return 0;
    },
    take: (positions) => {
      const to = shape.map((s, d) => d === axis ? positions.length : s);
      const data = hostArray(self.dtype, count(to));
      positions.forEach((item, p) => {
        for (let o = 0; o < outer; o++) {
          for (let i = 0; i < inner; i++) writeHost(data, (o * positions.length + p) * inner + i, element(item, o, i));
        }
      });
      return { shape: to, data };
    },
  };
}

defineOp({
  schema:
    "aten::unique_dim(Tensor self, int dim, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> (Tensor, Tensor, Tensor)",
  doc:
    "The distinct slices along a dimension, in lexicographic order, with inverse and counts whether asked for or not.",
  dataDependent: true,
  meta: ({ self, dim }) => {
    const axis = normalizeAxis(Number(dim), self.shape.length, "unique_dim");
    checkSlices("unique_dim", self, axis);
    const index = { shape: [self.shape[axis] ?? 1], dtype: int64 };
    return [{ shape: self.shape, dtype: self.dtype }, index, index];
  },
  host: ({ self, dim }) => {
    const items = sliceItems(self, normalizeAxis(Number(dim), self.shape.length, "unique_dim"));
    const order = Array.from({ length: items.n }, (_, i) => i).sort((a, b) => items.compare(a, b) || a - b);
    const { first, inverse, counts } = groupRuns(items.n, order, items.compare);
    return [
      items.take(first),
      { shape: [items.n], data: inverse },
      { shape: [counts.length], data: counts },
    ];
  },
  onDevice: ({ self, dim }, F) =>
    uniqueSlicesOnDevice(self, normalizeAxis(Number(dim), self.shape.length, "unique_dim"), { sort: true }, F),
  samples: (g) => [
    {
      args: {
        self: g.tensor([5, 2], { values: "integers", low: 0, high: 2, requiresGrad: false }),
        dim: 0,
        returnInverse: true,
        returnCounts: true,
      },
    },
  ],
});

/** Dimension 0 of a vector means its elements. Written -1 it is a dimension like others, whose positions and counts are always returned, as in PyTorch. */
function isVectorAxis(self: { readonly shape: readonly unknown[] }, dim: unknown): boolean {
  return self.shape.length === 1 && Number(dim) === 0;
}

defineOp({
  schema:
    "aten::unique_consecutive(Tensor self, bool return_inverse=False, bool return_counts=False, int? dim=None) -> (Tensor, Tensor, Tensor)",
  doc: "Drops elements (or slices along dim) that equal the one before.",
  dataDependent: true,
  meta: ({ self, dim }) => {
    if (dim === null || isVectorAxis(self, dim)) return uniqueSpecs(self);
    const axis = normalizeAxis(Number(dim), self.shape.length, "unique_consecutive");
    checkSlices("unique_consecutive", self, axis);
    const index = { shape: [self.shape[axis] ?? 1], dtype: int64 };
    return [{ shape: self.shape, dtype: self.dtype }, index, index];
  },
  host: ({ self, dim: given, returnInverse, returnCounts }) => {
    const dim = given === null || isVectorAxis(self, given) ? null : given;
    const items = dim === null
      ? { ...elementOrder(self), take: (p: readonly number[]) => picked(self, p) }
      : sliceItems(self, normalizeAxis(Number(dim), self.shape.length, "unique_consecutive"));
    const order = Array.from({ length: items.n }, (_, i) => i);
    const { first, inverse, counts } = groupRuns(items.n, order, items.compare);
    return [
      items.take(first),
      optional(returnInverse || dim !== null, inverse, dim === null ? hostShape(self) : [items.n]),
      optional(returnCounts || dim !== null, counts, [counts.length]),
    ];
  },
  onDevice: ({ self, dim, returnInverse, returnCounts }, F) =>
    dim === null || isVectorAxis(self, dim)
      ? uniqueOnDevice(self, { sort: false, inverse: returnInverse, counts: returnCounts }, F)
      : uniqueSlicesOnDevice(
        self,
        normalizeAxis(Number(dim), self.shape.length, "unique_consecutive"),
        { sort: false },
        F,
      ),
  samples: (g) => [
    {
      args: {
        self: g.tensor([8], { values: "integers", low: 0, high: 2, requiresGrad: false }),
        returnInverse: true,
        returnCounts: true,
      },
    },
  ],
});

/** First position in a sorted line at or after `value` (after all equals if `right`). */
function lowerBound(at: (i: number) => HostNumber, length: number, value: HostNumber, right: boolean): number {
  let low = 0, high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const order = compareHost(at(middle), value);
    if (order < 0 || (right && order === 0)) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface SearchArgs<T> {
  readonly sortedSequence: T;
  readonly right: boolean;
  readonly side: string | null;
  readonly sorter: T | null;
}

function isRight(args: SearchArgs<unknown>): boolean {
  if (args.side === null) return args.right;
  if (args.side !== "left" && args.side !== "right") {
    throw new RangeError(`searchsorted: side must be "left" or "right", got "${args.side}"`);
  }
  if (args.side === "left" && args.right) {
    throw new RangeError('searchsorted: side is "left" but right is true: give one of them');
  }
  return args.side === "right";
}

function searchHost(
  args: SearchArgs<HostTensor>,
  values: HostTensor,
  shape: readonly number[],
  small: boolean,
): HostResult[] {
  const { sortedSequence: sequence, sorter } = args;
  const right = isRight(args);
  const n = Number(sequence.shape[sequence.shape.length - 1] ?? 0);
  for (let i = 0; sorter !== null && i < sorter.data.length; i++) {
    const place = Number(readHost(sorter.data, i));
    if (place < 0 || place >= n) {
      throw new RangeError(`searchsorted: sorter names element ${place} of a sequence of ${n}`);
    }
  }
  const total = count(shape);
  const perLine = sequence.shape.length === 1 ? total : shape[shape.length - 1] ?? 1;
  const data = small ? new Int32Array(total) : new BigInt64Array(total);
  for (let i = 0; i < total; i++) {
    const base = sequence.shape.length === 1 ? 0 : Math.floor(i / Math.max(perLine, 1)) * n;
    const at = (j: number): HostNumber => {
      const place = sorter === null ? j : Number(readHost(sorter.data, base + j));
      return readHost(sequence.data, base + place);
    };
    writeHost(data, i, lowerBound(at, n, readHost(values.data, i), right));
  }
  return [{ shape, data }];
}

function checkSequence(where: string, sequence: MetaInput, self: MetaInput | null): void {
  if (sequence.shape.length === 0) throw new TypeError(`${where}: the sorted sequence needs at least one dimension`);
  if (sequence.shape.length === 1) return;
  const fits = self !== null && self.shape.length === sequence.shape.length &&
    self.shape.slice(0, -1).every((s, d) => sizeEq(s, sequence.shape[d] ?? 1));
  if (!fits) {
    throw new TypeError(
      `${where}: sorted_sequence ${shapeToText(sequence.shape)} must be a vector, or equal the values ${
        shapeToText(self?.shape ?? [])
      } in all but the last dimension`,
    );
  }
}

function checkSorter(where: string, sequence: MetaInput, sorter: MetaInput | null): void {
  if (sorter === null) return;
  if (sorter.dtype !== int64 || !sameShape(sorter.shape, sequence.shape)) {
    throw new TypeError(
      `${where}: sorter must be int64 of the sorted sequence's shape ${
        shapeToText(sequence.shape)
      }, got ${sorter.dtype.name}${shapeToText(sorter.shape)}`,
    );
  }
}

defineOp({
  schema:
    "aten::searchsorted.Tensor(Tensor sorted_sequence, Tensor self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor",
  doc: "Where values would have to be inserted into sorted rows to keep them sorted.",
  meta: ({ sortedSequence, self, outInt32, sorter }) => {
    checkSequence("searchsorted", sortedSequence, self);
    checkSorter("searchsorted", sortedSequence, sorter);
    return { shape: self.shape, dtype: outInt32 ? int32 : int64 };
  },
  host: (args) => searchHost(args, args.self, hostShape(args.self), args.outInt32),
  samples: (g) => [
    {
      args: {
        sortedSequence: g.tensor([4], { values: [0, 1, 2, 3], requiresGrad: false }),
        self: g.tensor([3], { requiresGrad: false }),
        right: true,
      },
    },
  ],
});

defineOp({
  schema:
    "aten::searchsorted.Scalar(Tensor sorted_sequence, Scalar self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor",
  doc: "Where a number would have to be inserted into a sorted vector to keep it sorted.",
  meta: ({ sortedSequence, outInt32, sorter }) => {
    checkSequence("searchsorted", sortedSequence, null);
    checkSorter("searchsorted", sortedSequence, sorter);
    return { shape: [], dtype: outInt32 ? int32 : int64 };
  },
  host: (args) => {
    const value = { ...args.sortedSequence, shape: [], data: Float64Array.of(Number(args.self)) };
    return searchHost(args, value, [], args.outInt32);
  },
  samples: (g) => [
    { args: { sortedSequence: g.tensor([4], { values: [0, 1, 2, 3], requiresGrad: false }), self: 2 } },
  ],
});

defineOp({
  schema: "aten::bucketize.Tensor(Tensor self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
  doc: "The bucket of each value, between sorted boundaries.",
  meta: ({ self, boundaries, outInt32 }) => {
    if (boundaries.shape.length !== 1) {
      throw new TypeError(`bucketize: boundaries must have one dimension, got ${shapeToText(boundaries.shape)}`);
    }
    return { shape: self.shape, dtype: outInt32 ? int32 : int64 };
  },
  host: ({ self, boundaries, outInt32, right }) =>
    searchHost({ sortedSequence: boundaries, right, side: null, sorter: null }, self, hostShape(self), outInt32),
  samples: (g) => [
    { args: { self: distinct(g, [3, 2]), boundaries: g.tensor([4], { values: [0, 1, 2, 3], requiresGrad: false }) } },
  ],
});
