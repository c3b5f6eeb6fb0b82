/**
 * Pooling functions.
 */
import { F, type Tensor } from "../../tensor/mod.ts";

type PerDim = number | readonly number[];

/** Options of pooling. */
export interface PoolOptions {
  /** Default: the window's size. */
  readonly stride?: PerDim;
  /** Default 0. */
  readonly padding?: PerDim;
  /** Let a last window hang over the end. Default false. */
  readonly ceilMode?: boolean;
}

/** Options of max pooling. */
export interface MaxPoolOptions extends PoolOptions {
  /** Default 1. */
  readonly dilation?: PerDim;
}

/** Options of average pooling. */
export interface AvgPoolOptions extends PoolOptions {
  /** Whether padding counts in the divisor. Default true. */
  readonly countIncludePad?: boolean;
}

/** The largest value of each window of [batch, channels, length]. */
export function maxPool1d(x: Tensor, kernelSize: PerDim, options: MaxPoolOptions = {}): Tensor {
  const { stride = kernelSize, padding = 0, dilation = 1, ceilMode = false } = options;
  return F.maxPool1d(x, kernelSize, stride, padding, dilation, ceilMode);
}

/** The largest value of each window of [batch, channels, height, width]. */
export function maxPool2d(x: Tensor, kernelSize: PerDim, options: MaxPoolOptions = {}): Tensor {
  const { stride = kernelSize, padding = 0, dilation = 1, ceilMode = false } = options;
  return F.maxPool2d(x, kernelSize, stride, padding, dilation, ceilMode);
}

/** The mean of each window of [batch, channels, length]. */
export function avgPool1d(x: Tensor, kernelSize: PerDim, options: AvgPoolOptions = {}): Tensor {
  const { stride = kernelSize, padding = 0, ceilMode = false, countIncludePad = true } = options;
  return F.avgPool1d(x, kernelSize, stride, padding, ceilMode, countIncludePad);
}

/** The mean of each window of [batch, channels, height, width]. */
export function avgPool2d(x: Tensor, kernelSize: PerDim, options: AvgPoolOptions = {}): Tensor {
  const { stride = kernelSize, padding = 0, ceilMode = false, countIncludePad = true } = options;
  return F.avgPool2d(x, kernelSize, stride, padding, ceilMode, countIncludePad);
}

/** Means over windows chosen so that the output has this length. */
export function adaptiveAvgPool1d(x: Tensor, outputSize: PerDim): Tensor {
  return F.adaptiveAvgPool1d(x, outputSize);
}

/** Means over windows chosen so that the output has this height and width. */
export function adaptiveAvgPool2d(x: Tensor, outputSize: PerDim): Tensor {
  return F.adaptiveAvgPool2d(x, outputSize);
}
