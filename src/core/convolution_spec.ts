/**
 * A convolution as plain data: what code generation asks of a library, and plans on disk hold. Nothing here knows a library.
 */
import type { MatmulSpec, MatmulType } from "./matmul_spec.ts";

/** Element types of a convolution's tensors. */
export type ConvolutionType = Extract<MatmulType, "float16" | "bfloat16" | "float32">;

/**
 * What is done to a sum before it is stored, in order: `bias` adds a vector over the features, `add` a tensor as large as the result, `relu` clamps at zero.
 */
export type ConvolutionStep =
  | { readonly kind: "bias"; readonly type: ConvolutionType }
  | { readonly kind: "add"; readonly type: ConvolutionType; readonly strides: readonly number[] }
  | { readonly kind: "relu" };

/**
 * y = steps(convolution of x with w), without flipping. Lists over spatial dimensions have two or three entries; strides are of [batch, channels, ...spatial], in
 * elements. `size` is what of x takes part: with the padding it fits the result exactly but for what a stride leaves over.
 */
export interface ConvolutionSpec {
  readonly kind: "convolution";
  readonly batch: number;
  readonly groups: number;
  /** Channels of x, of all groups. */
  readonly channels: number;
  /** Channels of y. */
  readonly features: number;
  readonly size: readonly number[];
  readonly window: readonly number[];
  readonly output: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  /** Zeros before and behind, for each spatial dimension. */
  readonly before: readonly number[];
  readonly behind: readonly number[];
  /** Of x and w. */
  readonly type: ConvolutionType;
  readonly result: ConvolutionType;
  readonly x: readonly number[];
  /** Of [features, channels of a group, ...spatial]. */
  readonly w: readonly number[];
  readonly y: readonly number[];
  readonly steps: readonly ConvolutionStep[];
  /** The engine's place in the library's heuristics. */
  readonly algorithm: number;
}

/** A call of a library. */
export type LibraryCall = MatmulSpec | ConvolutionSpec;
