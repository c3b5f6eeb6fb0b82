/**
 * Padding and resampling of images.
 */
import { F, type Tensor } from "../../tensor/mod.ts";

type PerDim = number | readonly number[];

/** How {@linkcode interpolate} finds values between pixels. */
export type InterpolateMode = "nearest" | "bilinear";

/** Zeros (or `value`) around a tensor: pairs of counts, the last dimension first. Negative counts crop. */
export function pad(x: Tensor, counts: readonly number[], value = 0): Tensor {
  if (counts.length % 2 !== 0 || counts.length > 2 * x.ndim) {
    throw new TypeError(
      `pad: needs pairs of counts for at most ${x.ndim} dimensions, got ${counts.length} numbers [${counts.join(", ")}]`,
    );
  }
  return F.constantPadNd(x, counts, value);
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
  if (x.ndim !== 4) throw new TypeError(`interpolate: needs [batch, channels, height, width], got [${x.shape.join(", ")}]`);
  const { size, scaleFactor, mode = "nearest", alignCorners = false } = options;
  if ((size === undefined) === (scaleFactor === undefined)) {
    throw new TypeError("interpolate: give either size or scaleFactor");
  }
  const pair = (value: PerDim): readonly number[] => typeof value === "number" ? [value, value] : value;
  const scale = scaleFactor === undefined ? null : pair(scaleFactor);
  const output = size !== undefined
    ? pair(size)
    : (scale ?? []).map((s, i) => Math.floor(Number(x.shape[i + 2]) * s));
  switch (mode) {
    case "nearest":
      return F.upsampleNearest2d(x, output, { scalesH: scale?.[0] ?? null, scalesW: scale?.[1] ?? null });
    case "bilinear":
      return F.upsampleBilinear2d(x, output, alignCorners, { scalesH: scale?.[0] ?? null, scalesW: scale?.[1] ?? null });
    default:
      return mode satisfies never;
  }
}

/** [*, C·r², H, W] → [*, C, H·r, W·r]. */
export function pixelShuffle(x: Tensor, upscaleFactor: number): Tensor {
  const r = upscaleFactor;
  const [h, w] = x.shape.slice(-2);
  const c = x.shape[x.ndim - 3];
  if (c === undefined || h === undefined || w === undefined || Number(c) % (r * r) !== 0) {
    throw new TypeError(
      `pixelShuffle: needs [*, C·${r * r}, H, W] for factor ${r}, got [${x.shape.join(", ")}]`,
    );
  }
  const lead = x.shape.slice(0, -3).map(Number);
  const [channels, height, width] = [Number(c) / (r * r), Number(h), Number(w)];
  const n = lead.length;
  return x.reshape([...lead, channels, r, r, height, width])
    .permute([...lead.keys(), n, n + 3, n + 1, n + 4, n + 2])
    .reshape([...lead, channels, height * r, width * r]);
}
