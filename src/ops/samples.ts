/**
 * Sample inputs of operators, from which tests and benchmarks are generated: PyTorch's OpInfo idea.
 *
 * A sample is plain data: tensors are described (shape, dtype, values), not made, so that this layer needs no runtime.
 */
import type { DType } from "../core/mod.ts";

/** Describes a tensor to make. */
export interface TensorSample {
  readonly kind: "tensor";
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** `"normal"`, `"uniform"` in [low, high), `"integers"` in [low, high), or the values themselves in row-major order. */
  readonly values: "normal" | "uniform" | "integers" | readonly number[];
  readonly low: number;
  readonly high: number;
  /** Apply this permutation of dimensions to a contiguous tensor, so that strides are not. */
  readonly permuted: readonly number[] | null;
  readonly requiresGrad: boolean;
}

/** An argument of a sample. */
export type SampleArg = TensorSample | number | bigint | boolean | string | null | DType | readonly SampleArg[];

/** One call to try: arguments by their JavaScript names; what is left out takes the schema's default. */
export interface Sample {
  readonly args: Readonly<Record<string, SampleArg>>;
  /** What the sample is about, for the test's name. */
  readonly name?: string;
  /** False if the gradient should not be compared with finite differences (kinks, integers). Default true. */
  readonly differentiate?: boolean;
  /** Absolute and relative tolerance beyond the dtype's usual one. */
  readonly tolerance?: number;
}

/** Options of {@linkcode SampleGenerator.tensor}. */
export interface TensorSampleOptions {
  readonly values?: TensorSample["values"];
  readonly low?: number;
  readonly high?: number;
  readonly dtype?: DType;
  readonly permuted?: readonly number[];
  readonly requiresGrad?: boolean;
}

/** Makes samples for one dtype: the generated tests call a definition's `samples` once for each dtype to try. */
export class SampleGenerator {
  /** The dtype under test. */
  readonly dtype: DType;

  constructor(dtype: DType) {
    this.dtype = dtype;
  }

  /** A tensor of `shape`, of the dtype under test unless `options` says otherwise. Integers get small integers. */
  tensor(shape: readonly number[], options: TensorSampleOptions = {}): TensorSample {
    const dtype = options.dtype ?? this.dtype;
    return {
      kind: "tensor",
      shape,
      dtype,
      values: options.values ?? (dtype.isFloat || dtype.isComplex ? "normal" : "integers"),
      low: options.low ?? (dtype.kind === "uint" || dtype.kind === "bool" ? 0 : -3),
      high: options.high ?? (dtype.kind === "bool" ? 2 : 4),
      permuted: options.permuted ?? null,
      requiresGrad: options.requiresGrad ?? dtype.isFloat,
    };
  }

  /** Indices in [0, high), int64, without gradient. */
  indices(shape: readonly number[], high: number): TensorSample {
    return this.tensor(shape, { values: "integers", low: 0, high, dtype: int64, requiresGrad: false });
  }
}

import { int64 } from "../core/mod.ts";
