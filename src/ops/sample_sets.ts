/**
 * Sets of samples that families of operators share: elementwise in one or two operands, reductions.
 *
 * Each set covers the ordinary case, broadcasting, 0-dim and empty tensors, tensors that are not contiguous, and the values at which
 * functions turn (signed zeros, infinities, NaN). Mirrors the sample generators of PyTorch's OpInfo.
 */
import type { Sample, SampleArg, SampleGenerator, TensorSampleOptions } from "./samples.ts";

/** Options of {@linkcode unarySamples}. */
export interface UnarySampleOptions {
  /** Draw values uniformly from [low, high): the domain on which the function is smooth. */
  readonly low?: number;
  readonly high?: number;
  /** Arguments beside `self`. */
  readonly args?: Readonly<Record<string, SampleArg>>;
  /** Values at which only the result is compared, for floating point dtypes. */
  readonly edges?: readonly number[];
  readonly tolerance?: number;
  readonly differentiate?: boolean;
}

const EDGES: readonly number[] = [0, -0, 1, -1, 0.5, -2.5, Infinity, -Infinity, NaN, 1e-3, 30];

/** Samples of a function of `self`. */
export function unarySamples(g: SampleGenerator, options: UnarySampleOptions = {}): Sample[] {
  const { low, high, args = {}, edges = EDGES, tolerance, differentiate } = options;
  const domain: TensorSampleOptions = low === undefined || high === undefined
    ? {}
    : g.dtype.isFloat
    ? { values: "uniform", low, high }
    : { low: Math.ceil(low), high: Math.max(Math.floor(high), Math.ceil(low) + 1) };
  const more = {
    ...(tolerance === undefined ? {} : { tolerance }),
    ...(differentiate === undefined ? {} : { differentiate }),
  };
  const samples: Sample[] = [
    { name: "matrix", args: { self: g.tensor([3, 5], domain), ...args }, ...more },
    { name: "0-dim", args: { self: g.tensor([], domain), ...args }, ...more },
    { name: "empty", args: { self: g.tensor([2, 0], domain), ...args }, ...more },
    { name: "permuted", args: { self: g.tensor([2, 3, 4], { ...domain, permuted: [2, 0, 1] }), ...args }, ...more },
  ];
  if (g.dtype.isFloat && edges.length > 0) {
    samples.push({
      name: "edge values",
      args: { self: g.tensor([edges.length], { values: edges, requiresGrad: false }), ...args },
      ...more,
      differentiate: false,
    });
  }
  return samples;
}

/** Options of {@linkcode binarySamples}. */
export interface BinarySampleOptions {
  /** Domain of the second operand (and, with `both`, of the first). */
  readonly low?: number;
  readonly high?: number;
  readonly both?: boolean;
  readonly args?: Readonly<Record<string, SampleArg>>;
  /** A number as second operand. */
  readonly scalar?: number;
  readonly edges?: boolean;
  readonly differentiate?: boolean;
  readonly tolerance?: number;
}

/** Samples of a function of `self` and `other`. */
export function binarySamples(g: SampleGenerator, options: BinarySampleOptions = {}): Sample[] {
  const { low, high, both = false, args = {}, scalar = 2, edges = true, differentiate, tolerance } = options;
  const domain: TensorSampleOptions = low === undefined || high === undefined
    ? {}
    : g.dtype.isFloat
    ? { values: "uniform", low, high }
    : { low: Math.ceil(low), high: Math.max(Math.floor(high), Math.ceil(low) + 1) };
  const first = both ? domain : {};
  const more = {
    ...(differentiate === undefined ? {} : { differentiate }),
    ...(tolerance === undefined ? {} : { tolerance }),
  };
  const pair = (name: string, a: readonly number[], b: readonly number[], permuted?: readonly number[]): Sample => ({
    name,
    args: {
      self: g.tensor(a, permuted === undefined ? first : { ...first, permuted }),
      other: g.tensor(b, domain),
      ...args,
    },
    ...more,
  });
  const samples: Sample[] = [
    pair("same shape", [3, 4], [3, 4]),
    pair("broadcast", [3, 1, 4], [2, 1]),
    pair("0-dim", [2, 3], []),
    pair("empty", [2, 0], [1]),
    pair("permuted", [4, 3], [4, 3], [1, 0]),
    { name: "number", args: { self: g.tensor([3, 4], first), other: scalar, ...args }, ...more },
  ];
  if (edges && g.dtype.isFloat) {
    const a = [0, -0, 1, -1, Infinity, -Infinity, NaN, 2.5];
    const self = a.flatMap((x) => a.map(() => x));
    const other = a.flatMap(() => a);
    samples.push({
      name: "edge values",
      args: {
        self: g.tensor([self.length], { values: self, requiresGrad: false }),
        other: g.tensor([other.length], { values: other, requiresGrad: false }),
        ...args,
      },
      ...more,
      differentiate: false,
    });
  }
  return samples;
}

/** Samples of a reduction of `self` over `dim`. */
export function reductionSamples(
  g: SampleGenerator,
  options: {
    readonly dims?: readonly SampleArg[];
    readonly keepdim?: boolean;
    readonly empty?: boolean;
    readonly args?: Readonly<Record<string, SampleArg>>;
    readonly differentiate?: boolean;
    readonly tolerance?: number;
  } = {},
): Sample[] {
  const { dims = [], keepdim = dims.length > 0, empty = true, args = {}, differentiate, tolerance } = options;
  const more = {
    ...(differentiate === undefined ? {} : { differentiate }),
    ...(tolerance === undefined ? {} : { tolerance }),
  };
  const samples: Sample[] = [];
  for (const dim of dims.length === 0 ? [undefined] : dims) {
    const at = dim === undefined ? {} : { dim };
    samples.push({ name: `dim ${String(dim)}`, args: { self: g.tensor([3, 4, 2]), ...at, ...args }, ...more });
    if (keepdim) {
      samples.push({
        name: `dim ${String(dim)}, kept`,
        args: { self: g.tensor([3, 4, 2], { permuted: [2, 1, 0] }), ...at, keepdim: true, ...args },
        ...more,
      });
    }
  }
  const first = dims[0];
  const scalarDim = typeof first === "number" ? { dim: 0 } : Array.isArray(first) ? { dim: [0] } : {};
  samples.push({ name: "0-dim", args: { self: g.tensor([]), ...scalarDim, ...args }, ...more });
  if (empty) samples.push({ name: "empty", args: { self: g.tensor([0, 3]), ...scalarDim, ...args }, ...more });
  return samples;
}
