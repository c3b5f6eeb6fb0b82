/**
 * Counting: histc, histogram, bincount, and membership: isin.
 *
 * Counts run on the host, in float32 arithmetic for positions as ATen computes them; membership is a comparison with every candidate. Mirrors
 * `Histogram.cpp`, `SummaryOps.cpp` and `TensorCompare.cpp` of ATen.
 */
import { bool, type DType, float64, int64 } from "../core/mod.ts";
import type { Scalar } from "../graph/mod.ts";
import { roundToDtype } from "../loops/mod.ts";
import { sameShape, shapeToText, type Size } from "../symbolic/mod.ts";
import { defineOp, type HostResult, type HostTensor, type MetaInput, type TensorSpec } from "./define.ts";
import { bincountOnDevice } from "./device_selection.ts";
import { hostArray, readHost } from "./host_axis.ts";
import { scalarNumber } from "./scalars.ts";
import type { SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

export type Round = (x: number) => number;

/** The rounding to a dtype's numbers after each step. */
export function rounding(dtype: DType): Round {
  // Half types round after each step, as their C++ classes do; integers are cut off.
  return dtype.isFloat ? (x) => Number(roundToDtype(x, dtype)) : Math.trunc;
}

/** Smallest and largest element, or [0, 1] without elements; a single value gets room on both sides. */
function rangeOf(self: HostTensor, low: number, high: number, room: number): readonly [number, number] {
  let [from, to] = [low, high];
  if (from === to && self.data.length > 0) {
    from = Infinity;
    to = -Infinity;
    for (let i = 0; i < self.data.length; i++) {
      const v = Number(readHost(self.data, i));
      from = Math.min(from, v);
      to = Math.max(to, v);
    }
  }
  if (from === to) [from, to] = [from - room, to + room];
  if (!Number.isFinite(from) || !Number.isFinite(to)) {
    throw new RangeError(`histogram: the range [${from}, ${to}] is not finite`);
  }
  return [from, to];
}

/** The edges of `bins` equal bins, as linspace makes them. */
export function evenEdges(from: number, to: number, bins: number, round: Round): number[] {
  const step = round(round(to - from) / bins);
  return Array.from(
    { length: bins + 1 },
    (_, i) => i < (bins + 1) / 2 ? round(from + round(step * i)) : round(to - round(step * (bins - i))),
  );
}

/** The number of edges that are not above `x`, less one. */
function binByEdges(edges: readonly number[], x: number, low: number, high: number): number {
  let at = low;
  while (at < high && (edges[at] ?? 0) <= x) at++;
  return at - 1;
}

/** How a bin is found: its position is computed where bins are equal, and `exact` then looks at the neighbours' edges; null searches. */
export type BinSearch = "computed" | "exact" | null;

/** The bin of a number between the first and the last edge; the last edge belongs to the last bin. */
export function binOf(x: number, edges: readonly number[], even: BinSearch, round: Round): number {
  const bins = edges.length - 1;
  const from = edges[0] ?? 0, to = edges[bins] ?? 1;
  let bin: number;
  if (even === null) bin = binByEdges(edges, x, 0, bins + 1);
  else {
    bin = Math.trunc(round(round(round(x - from) * bins) / round(to - from)));
    if (even === "exact") bin = binByEdges(edges, x, Math.max(0, bin - 1), Math.min(bin + 2, bins + 1));
  }
  return bin === bins ? bin - 1 : bin;
}

interface Counting {
  readonly self: HostTensor;
  readonly weight: HostTensor | null;
  readonly edges: readonly number[];
  readonly even: BinSearch;
  readonly density: boolean;
}

function count({ self, weight, edges, even, density }: Counting): Float64Array {
  const bins = edges.length - 1;
  const round = rounding(self.dtype);
  const from = edges[0] ?? 0, to = edges[bins] ?? 1;
  const hist = new Float64Array(bins);
  for (let i = 0; i < self.data.length; i++) {
    const x = Number(readHost(self.data, i));
    if (!(x >= from && x <= to)) continue;
    const bin = binOf(x, edges, even, round);
    hist[bin] = (hist[bin] ?? 0) + (weight === null ? 1 : Number(readHost(weight.data, i)));
  }
  if (density) {
    const total = hist.reduce((a, b) => a + b, 0);
    for (let i = 0; i < bins; i++) hist[i] = (hist[i] ?? 0) / total / ((edges[i + 1] ?? 0) - (edges[i] ?? 0));
  }
  return hist;
}

function typed(dtype: DType, values: ArrayLike<number>): HostResult {
  const data = hostArray(dtype, values.length);
  for (let i = 0; i < values.length; i++) data[i] = values[i] ?? 0;
  return { shape: [values.length], data };
}

function checkHistogram(
  where: string,
  self: MetaInput,
  bins: Size,
  weight: MetaInput | null,
  fits: boolean = self.dtype.isFloat,
): void {
  if (!fits) throw new TypeError(`${where}: needs floating point numbers, got ${self.dtype.name}`);
  if (!(Number(bins) > 0)) throw new RangeError(`${where}: needs at least one bin, got ${bins}`);
  if (weight !== null && (!sameShape(weight.shape, self.shape) || weight.dtype !== self.dtype)) {
    throw new TypeError(
      `${where}: weight ${weight.dtype.name}${shapeToText(weight.shape)} must be like self ${self.dtype.name}${
        shapeToText(self.shape)
      }`,
    );
  }
}

defineOp({
  schema: "aten::histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor",
  doc:
    "How many elements fall into each of bins equal parts of [min, max]; of the elements' own range if both are equal.",
  meta: ({ self, bins, min, max }) => {
    // PyTorch counts integers on CUDA only; routers of experts do it.
    checkHistogram("histc", self, bins, null, self.dtype !== bool && !self.dtype.isComplex);
    if (Number(min) > Number(max)) throw new RangeError(`histc: min ${min} is above max ${max}`);
    return { shape: [bins], dtype: self.dtype };
  },
  host: ({ self, bins, min, max }) => {
    const [from, to] = rangeOf(self, scalarNumber(min), scalarNumber(max), 1);
    const edges = evenEdges(from, to, Number(bins), rounding(self.dtype));
    return [typed(self.dtype, count({ self, weight: null, edges, even: "computed", density: false }))];
  },
  samples: (g) =>
    g.dtype.isFloat ? [{ args: { self: g.tensor([20], { requiresGrad: false }), bins: 5, min: -2, max: 2 } }] : [],
});

defineOp({
  schema:
    "aten::histogram.bin_ct(Tensor self, int bins=100, *, float[]? range=None, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor bin_edges)",
  doc: "How many elements fall into each of bins equal parts of a range, and the edges of the parts.",
  meta: ({ self, bins, weight }): [TensorSpec, TensorSpec] => {
    checkHistogram("histogram", self, bins, weight);
    return [{ shape: [bins], dtype: self.dtype }, { shape: [Number(bins) + 1], dtype: self.dtype }];
  },
  host: ({ self, bins, range, weight, density }) => {
    const [from, to] = range === null
      ? self.data.length === 0 ? [0, 1] : rangeOf(self, 0, 0, 0.5)
      : rangeOf({ ...self, data: new Float64Array() }, range[0] ?? 0, range[1] ?? 1, 0.5);
    const edges = evenEdges(from, to, Number(bins), rounding(self.dtype));
    return [
      typed(self.dtype, count({ self, weight, edges, even: "exact", density })),
      typed(self.dtype, edges),
    ];
  },
  samples: (g) => g.dtype.isFloat ? [{ args: { self: g.tensor([20], { requiresGrad: false }), bins: 4 } }] : [],
});

defineOp({
  schema:
    "aten::histogram.bins_tensor(Tensor self, Tensor bins, *, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor bin_edges)",
  doc: "How many elements fall between the given ascending edges, and the edges.",
  meta: ({ self, bins, weight }): [TensorSpec, TensorSpec] => {
    if (bins.shape.length !== 1 || bins.dtype !== self.dtype) {
      throw new TypeError(
        `histogram: bins must be a vector of ${self.dtype.name}, got ${bins.dtype.name}${shapeToText(bins.shape)}`,
      );
    }
    const n = Number(bins.shape[0]);
    checkHistogram("histogram", self, n - 1, weight);
    return [{ shape: [n - 1], dtype: self.dtype }, { shape: [n], dtype: self.dtype }];
  },
  host: ({ self, bins, weight, density }) => {
    const edges = Array.from({ length: bins.data.length }, (_, i) => Number(readHost(bins.data, i)));
    return [typed(self.dtype, count({ self, weight, edges, even: null, density })), typed(self.dtype, edges)];
  },
  samples: (g) =>
    g.dtype.isFloat
      ? [{
        args: {
          self: g.tensor([20], { requiresGrad: false }),
          bins: g.tensor([4], { values: [-1, 0, 0.5, 2], requiresGrad: false }),
        },
      }]
      : [],
});

defineOp({
  schema: "aten::bincount(Tensor self, Tensor? weights=None, int minlength=0) -> Tensor",
  doc: "How often each of 0, 1, 2, … occurs in a vector; or the sums of their weights.",
  dataDependent: true,
  meta: ({ self, weights, minlength }) => {
    if (self.shape.length !== 1 || !self.dtype.isIntegral || self.dtype === bool) {
      throw new TypeError(`bincount: needs a vector of integers, got ${self.dtype.name}${shapeToText(self.shape)}`);
    }
    if (weights !== null && !sameShape(weights.shape, self.shape)) {
      throw new TypeError(
        `bincount: weights ${shapeToText(weights.shape)} must be like self ${shapeToText(self.shape)}`,
      );
    }
    if (Number(minlength) < 0) throw new RangeError(`bincount: minlength must not be negative, got ${minlength}`);
    return { shape: [minlength], dtype: countType(self, weights) };
  },
  host: ({ self, weights, minlength }) => {
    let size = Number(minlength);
    for (let i = 0; i < self.data.length; i++) {
      const v = Number(readHost(self.data, i));
      if (v < 0) throw new RangeError(`bincount: element ${i} is ${v}; elements must not be negative`);
      size = Math.max(size, v + 1);
    }
    const sums = new Float64Array(size);
    for (let i = 0; i < self.data.length; i++) {
      const v = Number(readHost(self.data, i));
      sums[v] = (sums[v] ?? 0) + (weights === null ? 1 : Number(readHost(weights.data, i)));
    }
    return [{
      shape: [size],
      data: countType(self, weights) === int64 ? BigInt64Array.from(sums, (n) => BigInt(n)) : sums,
    }];
  },
  onDevice: ({ self, weights, minlength }, F) =>
    bincountOnDevice(self, weights, Number(minlength), countType(self, weights), F),
  samples: (g) => [{ args: { self: g.indices([10], 5) } }],
});

/** Without elements nothing is weighed, and counts are counts. */
function countType(self: { readonly shape: readonly Size[] }, weights: { readonly dtype: DType } | null): DType {
  return weights === null || self.shape[0] === 0
    ? int64
    : weights.dtype.isFloat && weights.dtype.bytes === 4
    ? weights.dtype
    : float64;
}

const MEMBERSHIP = [["Tensor_Tensor", "Tensor elements, Tensor test_elements"], [
  "Tensor_Scalar",
  "Tensor elements, Scalar test_element",
], ["Scalar_Tensor", "Scalar element, Tensor test_elements"]] as const;

for (const [overload, parameters] of MEMBERSHIP) {
  const read = <T>(args: object): { readonly of: T | Scalar; readonly within: T | Scalar } => {
    const a = args as { readonly [key: string]: T | Scalar };
    return {
      of: (a["elements"] ?? a["element"]) as T | Scalar,
      within: (a["testElements"] ?? a["testElement"]) as T | Scalar,
    };
  };
  defineOp({
    schema:
      `aten::isin.${overload}(${parameters}, *, bool assume_unique=False, bool invert=False) -> Tensor` as "aten::isin.Tensor_Tensor(Tensor elements, Tensor test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor",
    doc: "Which elements are among the test elements.",
    meta: (args) => {
      const { of, within } = read<MetaInput>(args);
      for (const x of [of, within]) {
        if (typeof x === "object" && "dtype" in x && x.dtype === bool) {
          throw new TypeError("isin: needs numbers, got bool; convert with .to(uint8)");
        }
      }
      return { shape: typeof of === "object" && "shape" in of && "dtype" in of ? of.shape : [], dtype: bool };
    },
    decompose: ({ invert, ...args }) => {
      const { of, within } = read<TensorValue>(args);
      const isTensor = (x: TensorValue | Scalar): x is TensorValue => typeof x === "object" && "dtype" in x;
      let found: TensorValue;
      if (!isTensor(within)) {
        if (!isTensor(of)) throw new TypeError("isin: needs at least one tensor");
        found = of.eq(within);
      } else {
        const candidates = within.reshape([-1]);
        found = (isTensor(of) ? of.unsqueeze(-1).eq(candidates) : candidates.eq(of)).any(-1);
      }
      return invert ? found.logicalNot() : found;
    },
    samples: (g: SampleGenerator) => {
      const tensor = g.tensor([3, 4], { values: "integers", low: 0, high: 4, requiresGrad: false });
      const values = g.tensor([2], { values: [1, 2], requiresGrad: false });
      if (g.dtype === bool) return [];
      return overload === "Tensor_Tensor"
        ? [{ args: { elements: tensor, testElements: values } }, {
          args: { elements: tensor, testElements: values, invert: true },
        }]
        : overload === "Tensor_Scalar"
        ? [{ args: { elements: tensor, testElement: 2 } }]
        : [{ args: { element: 2, testElements: tensor } }];
    },
  });
}
