/**
 * Normalisation: over the batch (Ioffe & Szegedy 2015), a layer (Ba et al. 2016), groups (Wu & He 2018), root mean square (Zhang & Sennrich 2019).
 */
import { shapeToText } from "../../symbolic/mod.ts";
import { F, type Tensor } from "../../tensor/mod.ts";

/** Options of {@linkcode batchNorm}. */
export interface BatchNormOptions {
  readonly weight?: Tensor | null;
  readonly bias?: Tensor | null;
  /** Normalise by the batch and update the running statistics. Default false. */
  readonly training?: boolean;
  /** Share of the new value in the running statistics. Default 0.1. */
  readonly momentum?: number;
  /** Default 1e-5. */
  readonly eps?: number;
}

/** Normalises each channel (dimension 1) over all other dimensions. Running statistics are written in training. */
export function batchNorm(
  x: Tensor,
  runningMean: Tensor | null,
  runningVar: Tensor | null,
  options: BatchNormOptions = {},
): Tensor {
  const { weight = null, bias = null, training = false, momentum = 0.1, eps = 1e-5 } = options;
  if (!(eps > 0)) throw new RangeError(`batchNorm: eps must be positive, got ${eps}`);
  if (training && x.shape.every((size, d) => d === 1 || size === 1)) {
    throw new TypeError(
      `batchNorm: training needs more than one value for each channel, got the input ${
        shapeToText(x.shape)
      }; use a larger batch, or eval()`,
    );
  }
  return F.batchNorm(x, weight, bias, runningMean, runningVar, training, momentum, eps, false);
}

/** Normalises over the last dimensions, whose shape is `normalizedShape`. */
export function layerNorm(
  x: Tensor,
  normalizedShape: readonly number[],
  options: { readonly weight?: Tensor | null; readonly bias?: Tensor | null; readonly eps?: number } = {},
): Tensor {
  return F.layerNorm(x, normalizedShape, options.weight ?? null, options.bias ?? null, options.eps ?? 1e-5);
}

/** Normalises groups of channels (dimension 1) of each sample. */
export function groupNorm(
  x: Tensor,
  numGroups: number,
  options: { readonly weight?: Tensor | null; readonly bias?: Tensor | null; readonly eps?: number } = {},
): Tensor {
  return F.groupNorm(x, numGroups, options.weight ?? null, options.bias ?? null, options.eps ?? 1e-5);
}

/** Normalises each channel of each sample. */
export function instanceNorm(
  x: Tensor,
  options: { readonly weight?: Tensor | null; readonly bias?: Tensor | null; readonly eps?: number } = {},
): Tensor {
  return groupNorm(x, Number(x.shape[1]), options);
}

/** Divides by the root of the mean square over the last dimensions; `eps` defaults to that of the dtype. */
export function rmsNorm(
  x: Tensor,
  normalizedShape: readonly number[],
  options: { readonly weight?: Tensor | null; readonly eps?: number | null } = {},
): Tensor {
  return F.rmsNorm(x, normalizedShape, options.weight ?? null, options.eps ?? null);
}

/** Divides by the p-norm along `dim`, or by `eps` if that is larger. */
export function normalize(
  x: Tensor,
  options: { readonly p?: number; readonly dim?: number; readonly eps?: number } = {},
): Tensor {
  const { p = 2, dim = 1, eps = 1e-12 } = options;
  const norm = p === 2 ? x.mul(x).sum([dim], true).sqrt() : x.abs().pow(p).sum([dim], true).pow(1 / p);
  return x.div(norm.clampMin(eps));
}
