/**
 * Padding and resampling of images.
 */
import { F, type Tensor, tensor } from "../../tensor/mod.ts";

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
  const scales = scaleFactor === undefined ? null : pair(scaleFactor);
  const sizes = size === undefined ? null : pair(size);
  let out = x;
  for (const axis of [2, 3]) {
    const from = Number(x.shape[axis]);
    const scale = scales?.[axis - 2] ?? null;
    const to = sizes?.[axis - 2] ?? Math.floor(from * (scale ?? 1));
    if (!Number.isInteger(to) || to < 1) {
      throw new RangeError(`interpolate: the output size ${to} of dimension ${axis} must be a positive integer`);
    }
    // As in PyTorch, a given scale is used as it is, even if it does not lead exactly to the size.
    out = mode === "nearest"
      ? pickNearest(out, axis, from, to, scale)
      : mixLinear(out, axis, from, to, scale, alignCorners);
  }
  return out;
}

function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

function pickNearest(x: Tensor, axis: number, from: number, to: number, scale: number | null): Tensor {
  const step = scale === null ? from / to : 1 / scale;
  const picked = range(to).map((i) => Math.min(Math.floor(i * step), from - 1));
  return x.indexSelect(axis, tensor(picked, { device: x.device }));
}

/** Interpolates along one axis: bilinear is linear along both. */
function mixLinear(
  x: Tensor,
  axis: number,
  from: number,
  to: number,
  scale: number | null,
  alignCorners: boolean,
): Tensor {
  const step = alignCorners ? (to > 1 ? (from - 1) / (to - 1) : 0) : scale === null ? from / to : 1 / scale;
  const places = range(to).map((i) => alignCorners ? i * step : Math.max((i + 0.5) * step - 0.5, 0));
  const low = places.map((p) => Math.min(Math.floor(p), from - 1));
  const high = low.map((l) => Math.min(l + 1, from - 1));
  const { device, dtype } = x;
  const share = tensor(places.map((p, i) => p - (low[i] ?? 0)), { device, dtype })
    .reshape(axis === 3 ? [to] : [to, 1]);
  return F.lerp(x.indexSelect(axis, tensor(low, { device })), x.indexSelect(axis, tensor(high, { device })), share);
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
