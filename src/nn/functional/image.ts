/**
 * Padding and resampling of images.
 */
import { F, type Tensor } from "../../tensor/mod.ts";

type PerDim = number | readonly number[];

/** How {@linkcode interpolate} finds values between pixels. */
export type InterpolateMode = "nearest" | "bilinear";

/** How {@linkcode pad} fills. */
export interface PadOptions {
  /** Default `"constant"`. */
  readonly mode?: "constant" | "reflect" | "replicate" | "circular";
  /** For `"constant"`. Default 0. */
  readonly value?: number;
}

/**
 * Pads a tensor: pairs of counts, the last dimension first. Negative counts crop.
 *
 * @param fill The constant (default 0), or a mode: `{ mode: "reflect" }`.
 */
export function pad(x: Tensor, counts: readonly number[], fill: number | PadOptions = 0): Tensor {
  if (counts.length % 2 !== 0 || counts.length > 2 * x.ndim) {
    throw new TypeError(
      `pad: needs pairs of counts for at most ${x.ndim} dimensions, got ${counts.length} numbers [${
        counts.join(", ")
      }]`,
    );
  }
  const { mode = "constant", value = 0 } = typeof fill === "number" ? { value: fill } : fill;
  return mode === "constant" ? F.constantPadNd(x, counts, value) : F.pad(x, counts, mode);
}

/**
 * Resamples images of [batch, channels, height, width].
 *
 * @param options Either `size` or `scaleFactor`; `mode` default `"nearest"`; `alignCorners` (bilinear) makes corner pixels coincide.
 */
export function interpolate(
  x: Tensor,
  options: {
    readonly size?: PerDim;
    readonly scaleFactor?: PerDim;
    readonly mode?: InterpolateMode;
    readonly alignCorners?: boolean;
  },
): Tensor {
  if (x.ndim !== 4) {
    throw new TypeError(`interpolate: needs [batch, channels, height, width], got [${x.shape.join(", ")}]`);
  }
  const { size, scaleFactor, mode = "nearest", alignCorners = false } = options;
  if ((size === undefined) === (scaleFactor === undefined)) {
    throw new TypeError("interpolate: give either size or scaleFactor");
  }
  const pair = (value: PerDim): readonly number[] => typeof value === "number" ? [value, value] : value;
  const scales = scaleFactor === undefined ? null : pair(scaleFactor);
  const sizes = size === undefined ? null : pair(size);
  // As in PyTorch, a given scale is used as it is, even if it does not lead exactly to the size.
  const output = [0, 1].map((i) => sizes?.[i] ?? Math.floor(Number(x.shape[i + 2]) * (scales?.[i] ?? 1)));
  const given = { scalesH: scales?.[0] ?? null, scalesW: scales?.[1] ?? null };
  switch (mode) {
    case "nearest":
      return F.upsampleNearest2d(x, output, given);
    case "bilinear":
      return F.upsampleBilinear2d(x, output, alignCorners, given);
    default:
      return mode satisfies never;
  }
}

/** [*, C·r², H, W] → [*, C, H·r, W·r]. */
export function pixelShuffle(x: Tensor, upscaleFactor: number): Tensor {
  return F.pixelShuffle(x, upscaleFactor);
}
