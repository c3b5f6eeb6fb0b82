/**
 * Counting in several dimensions: histogramdd, and the parts that ATen splits it into.
 *
 * The elements are points, one a row of the last dimension; each dimension has its own edges. A result of type `Tensor[]` beside another follows it in one list.
 * Mirrors `Histogram.cpp` of ATen.
 */
import { float32, float64 } from "../core/mod.ts";
import { sameShape, shapeToText, type Size } from "../symbolic/mod.ts";
import { defineOp, type HostResult, type HostTensor, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { binOf, type BinSearch, evenEdges, rounding } from "./histogram.ts";
import { hostArray, hostShape, readHost } from "./host_axis.ts";
import type { SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** The number of coordinates of a point. @throws {TypeError} where there are no points. */
function dimensionsOf(where: string, self: MetaInput, weight: MetaInput | null): number {
  const rank = self.shape.length;
  if (rank < 2) {
    throw new TypeError(`${where}: needs at least 2 dimensions, points last, got ${shapeToText(self.shape)}`);
  }
  if (self.dtype !== float32 && self.dtype !== float64) {
    throw new TypeError(`${where}: needs float32 or float64, got ${self.dtype.name}; convert with .to(float32)`);
  }
  if (weight !== null && (weight.dtype !== self.dtype || !sameShape(weight.shape, self.shape.slice(0, -1)))) {
    throw new TypeError(
      `${where}: weight ${weight.dtype.name}${
        shapeToText(weight.shape)
      } must be one ${self.dtype.name} a point of self ${shapeToText(self.shape)}`,
    );
  }
  return Number(self.shape[rank - 1]);
}

function checkCounts(
  where: string,
  self: MetaInput,
  bins: readonly Size[],
  range: readonly number[] | null,
  weight: MetaInput | null,
): void {
  const n = dimensionsOf(where, self, weight);
  if (bins.length !== n) {
    throw new TypeError(`${where}: bins [${bins.join(", ")}] must be ${n} numbers, one a dimension of the points`);
  }
  const bad = bins.find((b) => !(Number(b) > 0));
  if (bad !== undefined) throw new RangeError(`${where}: needs at least one bin, got ${bad}`);
  if (range === null) return;
  if (range.length !== 2 * n) {
    throw new TypeError(
      `${where}: range [${range.join(", ")}] must be ${2 * n} numbers, two a dimension of the points`,
    );
  }
  for (let d = 0; d < n; d++) {
    const from = range[2 * d] ?? 0, to = range[2 * d + 1] ?? 0;
    if (!Number.isFinite(from) || !Number.isFinite(to) || from > to) {
      throw new RangeError(`${where}: the range [${from}, ${to}] of dimension ${d} is not finite and ascending`);
    }
  }
}

function checkEdges(where: string, self: MetaInput, bins: readonly MetaInput[], weight: MetaInput | null): void {
  const n = dimensionsOf(where, self, weight);
  if (bins.length !== n) {
    throw new TypeError(`${where}: ${bins.length} tensors of bins for points ${shapeToText(self.shape)}; needs ${n}`);
  }
  bins.forEach((b, d) => {
    if (b.shape.length !== 1 || b.dtype !== self.dtype || Number(b.shape[0]) < 1) {
      throw new TypeError(
        `${where}: bins[${d}] must be a vector of ${self.dtype.name} with an edge, got ${b.dtype.name}${
          shapeToText(b.shape)
        }`,
      );
    }
  });
}

/** The edges of each dimension. */
function edgesOf(self: HostTensor, bins: readonly Size[], range: readonly number[] | null): number[][] {
  const n = bins.length;
  const points = self.data.length / Math.max(n, 1);
  return bins.map((count, d) => {
    let [from, to] = range === null ? [Infinity, -Infinity] : [range[2 * d] ?? 0, range[2 * d + 1] ?? 1];
    if (range === null) {
      for (let i = 0; i < points; i++) {
        const v = Number(readHost(self.data, i * n + d));
        from = Math.min(from, v);
        to = Math.max(to, v);
      }
      if (points === 0) [from, to] = [0, 1];
    }
    if (!Number.isFinite(from) || !Number.isFinite(to)) {
      throw new RangeError(
        `histogramdd: the elements of dimension ${d} range over [${from}, ${to}], which is not finite`,
      );
    }
    if (from === to) [from, to] = [from - 0.5, to + 0.5];
    return evenEdges(from, to, Number(count), rounding(self.dtype));
  });
}

function countPoints(
  self: HostTensor,
  edges: readonly (readonly number[])[],
  weight: HostTensor | null,
  density: boolean,
  even: BinSearch,
): HostResult {
  const n = edges.length;
  const round = rounding(self.dtype);
  const shape = edges.map((e) => e.length - 1);
  const hist = new Float64Array(shape.reduce((a, b) => a * b, 1));
  const points = n === 0 ? 0 : self.data.length / n;
  point: for (let i = 0; i < points; i++) {
    let at = 0;
    for (let d = 0; d < n; d++) {
      const own = edges[d] ?? [];
      const x = Number(readHost(self.data, i * n + d));
      if (!(x >= (own[0] ?? 0) && x <= (own[own.length - 1] ?? 0))) continue point;
      at = at * (own.length - 1) + binOf(x, own, even, round);
    }
    hist[at] = (hist[at] ?? 0) + (weight === null ? 1 : Number(readHost(weight.data, i)));
  }
  if (density) {
    const total = hist.reduce((a, b) => a + b, 0);
    for (let i = 0; i < hist.length; i++) {
      let volume = 1, rest = i;
      for (let d = n - 1; d >= 0; d--) {
        const size = shape[d] ?? 1, own = edges[d] ?? [], at = rest % size;
        volume *= (own[at + 1] ?? 0) - (own[at] ?? 0);
        rest = Math.floor(rest / size);
      }
      hist[i] = (hist[i] ?? 0) / total / volume;
    }
  }
  const data = hostArray(self.dtype, hist.length);
  hist.forEach((v, i) => data[i] = v);
  return { shape, data };
}

const POINTS = "int[] bins, *, float[]? range=None, Tensor? weight=None, bool density=False";

const edgeSpecs = (self: MetaInput, bins: readonly Size[]): TensorSpec[] =>
  bins.map((b) => ({ shape: [Number(b) + 1], dtype: self.dtype }));

const samples = (g: SampleGenerator, bins: number[] | number) =>
  g.dtype === float32 || g.dtype === float64
    ? [{ args: { self: g.tensor([10, 2], { requiresGrad: false }), bins } }]
    : [];

defineOp({
  schema: `aten::_histogramdd_bin_edges(Tensor self, ${POINTS}) -> Tensor[]`,
  doc: "The edges of equal bins of each dimension of points.",
  meta: ({ self, bins, range, weight }) => {
    checkCounts("histogramdd", self, bins, range, weight);
    return edgeSpecs(self, bins);
  },
  host: ({ self, bins, range }) =>
    edgesOf(self, bins, range).map((list) => {
      const data = hostArray(self.dtype, list.length);
      list.forEach((v, i) => data[i] = v);
      return { shape: [list.length], data };
    }),
  samples: (g) => samples(g, [3, 2]),
});

defineOp({
  schema: `aten::_histogramdd_from_bin_cts(Tensor self, ${POINTS}) -> Tensor`,
  doc: "How many points fall into each of equal bins in several dimensions.",
  meta: ({ self, bins, range, weight }) => {
    checkCounts("histogramdd", self, bins, range, weight);
    return { shape: bins, dtype: self.dtype };
  },
  host: ({ self, bins, range, weight, density }) => [
    countPoints(self, edgesOf(self, bins, range), weight, density, "exact"),
  ],
  samples: (g) => samples(g, [3, 2]),
});

defineOp({
  schema:
    "aten::_histogramdd_from_bin_tensors(Tensor self, Tensor[] bins, *, Tensor? weight=None, bool density=False) -> Tensor",
  doc: "How many points fall between given ascending edges in several dimensions.",
  meta: ({ self, bins, weight }) => {
    checkEdges("histogramdd", self, bins, weight);
    return { shape: bins.map((b) => Number(b.shape[0]) - 1), dtype: self.dtype };
  },
  host: ({ self, bins, weight, density }) => {
    const edges = bins.map((b) => Array.from({ length: hostShape(b)[0] ?? 0 }, (_, i) => Number(readHost(b.data, i))));
    return [countPoints(self, edges, weight, density, null)];
  },
  samples: () => [],
});

const TAIL = "float[]? range=None, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor[] bin_edges)";

function both(
  self: TensorValue,
  bins: readonly Size[],
  range: readonly number[] | null,
  weight: TensorValue | null,
  density: boolean,
  F: Functional,
): readonly TensorValue[] {
  const options = { range, weight, density };
  return [F._histogramddFromBinCts(self, bins, options), ...F._histogramddBinEdges(self, bins, options)];
}

/** One count of bins for every dimension of the points. */
const alike = (self: { readonly shape: readonly Size[] }, bins: Size): Size[] =>
  new Array<Size>(Number(self.shape[self.shape.length - 1] ?? 0)).fill(bins);

defineOp({
  schema: `aten::histogramdd(Tensor self, int[] bins, ${TAIL}`,
  doc: "How many points fall into each of equal bins in several dimensions, and then the edges of each dimension.",
  meta: ({ self, bins, range, weight }) => {
    checkCounts("histogramdd", self, bins, range, weight);
    return [{ shape: bins, dtype: self.dtype }, ...edgeSpecs(self, bins)];
  },
  decompose: ({ self, bins, range, weight, density }, F) => both(self, bins, range, weight, density, F),
  samples: (g) => samples(g, [3, 2]),
});

defineOp({
  schema: `aten::histogramdd.int_bins(Tensor self, int bins, ${TAIL}`,
  doc: "How many points fall into each of as many equal bins in every dimension, and then the edges of each dimension.",
  meta: ({ self, bins, range, weight }) => {
    const all = alike(self, bins);
    checkCounts("histogramdd", self, all, range, weight);
    return [{ shape: all, dtype: self.dtype }, ...edgeSpecs(self, all)];
  },
  decompose: ({ self, bins, range, weight, density }, F) => both(self, alike(self, bins), range, weight, density, F),
  samples: (g) => samples(g, 3),
});

defineOp({
  schema: `aten::histogramdd.TensorList_bins(Tensor self, Tensor[] bins, ${TAIL}`,
  doc: "How many points fall between given ascending edges in several dimensions, and then those edges.",
  meta: ({ self, bins, weight }) => {
    checkEdges("histogramdd", self, bins, weight);
    const shape = bins.map((b) => Number(b.shape[0]) - 1);
    return [{ shape, dtype: self.dtype }, ...bins.map((b) => ({ shape: b.shape, dtype: b.dtype }))];
  },
  decompose: ({ self, bins, weight, density }, F) => [
    F._histogramddFromBinTensors(self, bins, { weight, density }),
    ...bins,
  ],
  samples: () => [],
});
