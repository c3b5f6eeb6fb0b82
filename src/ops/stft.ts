/**
 * Short-time Fourier transforms, and transforms of spectra that are real (`fft_hfft`, `fft_ihfft`).
 *
 * A signal is framed with a view, multiplied by the window, and transformed; the inverse adds up overlapping frames and divides by what the windows add
 * up to. Gradients follow from the parts. Mirrors `SpectralOps.cpp` of ATen.
 */
import { complex64, float32, float64, normalizeAxes } from "../core/mod.ts";
import { shapeToText, type Size, sizeAdd, sizeEq, sizeFloorDiv, sizeLt, sizeMul, sizeSub } from "../symbolic/mod.ts";
import { defineOp, type MetaInput } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

/** What the frames of a transform are. */
interface Frames {
  readonly size: number;
  readonly hop: number;
  readonly window: number;
  readonly oneSided: boolean;
}

interface FrameArguments {
  readonly nFft: Size;
  readonly hopLength: Size | null;
  readonly winLength: Size | null;
  readonly onesided: boolean | null;
}

function framesOf(where: string, { nFft, hopLength, winLength, onesided }: FrameArguments, isReal: boolean): Frames {
  const size = Number(nFft);
  const hop = hopLength === null ? Math.floor(size / 4) : Number(hopLength);
  const window = winLength === null ? size : Number(winLength);
  if (!(size > 0) || !(hop > 0) || !(window > 0 && window <= size)) {
    throw new RangeError(
      `${where}: needs n_fft > 0, hop_length > 0 and 0 < win_length <= n_fft, got ${size}, ${hop} and ${window}`,
    );
  }
  return { size, hop, window, oneSided: onesided ?? isReal };
}

/** The window in the middle of n_fft elements; ones without a window. */
function paddedWindow(window: TensorValue | null, frames: Frames, like: TensorValue): TensorValue {
  const { size, window: length } = frames;
  const own = window ?? like.newOnes([length], { dtype: float32 });
  const left = Math.floor((size - length) / 2);
  return length === size ? own : own.constantPadNd([left, size - length - left]);
}

function checkWindow(where: string, window: MetaInput | null, length: number): void {
  if (window === null) return;
  if (window.shape.length !== 1 || !sizeEq(window.shape[0] ?? 1, length) || !window.dtype.isFloat) {
    throw new TypeError(
      `${where}: the window must be a vector of ${length} floats, got ${window.dtype.name}${shapeToText(window.shape)}`,
    );
  }
}

function stftShape(
  self: MetaInput,
  window: MetaInput | null,
  frames: Frames,
  center: boolean,
  returnComplex: boolean | null,
): { readonly shape: readonly Size[]; readonly dtype: MetaInput["dtype"] } {
  if (self.dtype !== float32 || self.shape.length < 1 || self.shape.length > 2) {
    throw new TypeError(
      `stft: needs a signal of float32 in one or two dimensions, got ${self.dtype.name}${shapeToText(self.shape)}`,
    );
  }
  checkWindow("stft", window, frames.window);
  const { size, hop } = frames;
  const length = sizeAdd(self.shape[self.shape.length - 1] ?? 0, center ? 2 * Math.floor(size / 2) : 0);
  if (sizeLt(length, size)) throw new RangeError(`stft: the signal has ${length} elements, fewer than n_fft = ${size}`);
  const spectrum = [
    frames.oneSided ? Math.floor(size / 2) + 1 : size,
    sizeAdd(sizeFloorDiv(sizeSub(length, size), hop), 1),
  ];
  const shape = [...self.shape.slice(0, -1), ...spectrum];
  return returnComplex === true ? { shape, dtype: complex64 } : { shape: [...shape, 2], dtype: float32 };
}

function transformFrames(
  self: TensorValue,
  window: TensorValue | null,
  frames: Frames,
  normalized: boolean,
  returnComplex: boolean | null,
  F: Functional,
): TensorValue {
  const { size, hop, oneSided } = frames;
  const framed = self.unfold(-1, size, hop).mul(paddedWindow(window, frames, self));
  const norm = normalized ? "ortho" : "backward";
  const spectrum = oneSided ? F.fftRfft(framed, null, -1, norm) : F.fftFft(framed, null, -1, norm);
  const pairs = spectrum.viewAsReal().transpose(-3, -2).contiguous();
  return returnComplex === true ? pairs.viewAsComplex() : pairs;
}

const HEAD = "Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None";
const TAIL = "bool? onesided=None, bool? return_complex=None, bool? align_to_window=None";

defineOp({
  schema: `aten::stft(${HEAD}, bool normalized=False, ${TAIL}) -> Tensor`,
  doc: "Spectra of overlapping windows of a signal: [..., frequencies, frames].",
  meta: ({ self, window, returnComplex, ...args }) =>
    stftShape(self, window, framesOf("stft", args, true), false, returnComplex),
  decompose: ({ self, window, normalized, returnComplex, ...args }, F) =>
    transformFrames(self, window, framesOf("stft", args, true), normalized, returnComplex, F),
  samples: (g) =>
    g.dtype === float32
      ? [{ args: { self: g.tensor([2, 20]), nFft: 8, hopLength: 3, window: g.tensor([8]), returnComplex: false } }]
      : [],
});

/** A signal with half a window of itself around it. */
function padded(self: TensorValue, size: number, mode: string): TensorValue {
  const by = Math.floor(size / 2);
  const rows = self.ndim === 1 ? self.unsqueeze(0) : self;
  const wide = mode === "constant" ? rows.constantPadNd([by, by]) : rows.pad([by, by], mode);
  return self.ndim === 1 ? wide.squeeze(0) : wide;
}

defineOp({
  schema:
    `aten::stft.center(${HEAD}, bool center=True, str pad_mode="reflect", bool normalized=False, ${TAIL}) -> Tensor`,
  doc: "Spectra of overlapping windows of a signal; with center, frame t is around element t · hop_length.",
  meta: ({ self, window, center, returnComplex, ...args }) =>
    stftShape(self, window, framesOf("stft", args, true), center, returnComplex),
  decompose: ({ self, window, center, padMode, normalized, returnComplex, ...args }, F) => {
    const frames = framesOf("stft", args, true);
    const signal = center ? padded(self, frames.size, padMode) : self;
    return transformFrames(signal, window, frames, normalized, returnComplex, F);
  },
  samples: (g) => g.dtype === float32 ? [{ args: { self: g.tensor([20]), nFft: 8, returnComplex: false } }] : [],
});

/** Adds frames [batch, frames, size] up at distances of `hop`. */
function overlapAdd(frames: TensorValue, hop: number): TensorValue {
  const [batch = 1] = frames.shape;
  const [count = 1, size = 1] = frames.shape.slice(1).map(Number);
  const length = size + hop * (count - 1);
  return frames.transpose(1, 2).col2im([1, length], [1, size], [1, 1], [0, 0], [1, hop]).reshape([batch, length]);
}

defineOp({
  schema:
    `aten::istft(${HEAD}, bool center=True, bool normalized=False, bool? onesided=None, int? length=None, bool return_complex=False) -> Tensor`,
  doc: "The signal whose short-time Fourier transform self is, by least squares.",
  meta: ({ self, window, center, length, returnComplex, ...args }) => {
    if (self.dtype !== complex64 || self.shape.length < 2 || self.shape.length > 3 || returnComplex) {
      throw new TypeError(
        `istft: needs complex64 spectra [..., frequencies, frames] of a real signal, got ${self.dtype.name}${
          shapeToText(self.shape)
        }`,
      );
    }
    const { size, hop, oneSided, window: own } = framesOf("istft", args, true);
    checkWindow("istft", window, own);
    const [frequencies = 0, count = 0] = self.shape.slice(-2).map(Number);
    if (self.shape.some((s) => s === 0)) {
      throw new TypeError(`istft: self ${shapeToText(self.shape)} has no elements`);
    }
    if (hop > own) {
      throw new RangeError(
        `istft: hop_length ${hop} is larger than win_length ${own}: elements between would be unknown`,
      );
    }
    if (frequencies !== (oneSided ? Math.floor(size / 2) + 1 : size)) {
      throw new TypeError(`istft: ${frequencies} frequencies do not go with n_fft = ${size}`);
    }
    const full = size + hop * (count - 1) - (center ? 2 * Math.floor(size / 2) : 0);
    return { shape: [...self.shape.slice(0, -2), length === null ? full : Number(length)], dtype: float32 };
  },
  decompose: ({ self, window, center, normalized, length, ...args }, F) => {
    const frames = framesOf("istft", args, true);
    const { size, hop, oneSided } = frames;
    const real = self.viewAsReal();
    const batched = self.ndim === 2 ? real.unsqueeze(0) : real;
    const spectra = batched.transpose(1, 2).contiguous().viewAsComplex();
    const norm = normalized ? "ortho" : "backward";
    // The other half of a full spectrum is not read: the signal is real.
    const half = oneSided
      ? spectra
      : spectra.viewAsReal().narrow(-2, 0, Math.floor(size / 2) + 1).contiguous().viewAsComplex();
    const signals = F.fftIrfft(half, size, -1, norm);
    const w = paddedWindow(window, frames, signals);
    const count = Number(signals.shape[1]);
    const sum = overlapAdd(signals.mul(w), hop);
    const weights = overlapAdd(w.mul(w).expand([1, count, size]), hop);
    const start = center ? Math.floor(size / 2) : 0;
    const total = Number(sum.shape[1]);
    const end = length !== null ? start + Number(length) : center ? total - Math.floor(size / 2) : total;
    const kept = Math.min(end, total) - start;
    const out = sum.narrow(1, start, kept).div(weights.narrow(1, start, kept));
    const wide = end > total ? out.constantPadNd([0, end - total]) : out;
    return (self.ndim === 2 ? wide.squeeze(0) : wide).contiguous();
  },
  samples: () => [],
});

/** The norm of the transform in the other direction. */
function swappedNorm(where: string, norm: string | null): string {
  switch (norm) {
    case null:
    case "backward":
      return "forward";
    case "forward":
      return "backward";
    case "ortho":
      return "ortho";
    default:
      throw new RangeError(`${where}: norm must be backward, forward or ortho, got "${norm}"`);
  }
}

function refuseComplex(where: string, self: MetaInput): void {
  if (self.dtype.isComplex) throw new TypeError(`${where}: needs real numbers, got ${self.dtype.name}`);
  if (self.dtype === float64) throw new TypeError(`${where}: float64 has no complex dtype here; convert to float32`);
}

function conjugate(x: TensorValue): TensorValue {
  return x.dtype.isComplex ? x.conjPhysical() : x;
}

const MANY = [["2", "SymInt[1]? s=None, int[1] dim=[-2,-1]"], ["n", "SymInt[1]? s=None, int[1]? dim=None"]] as const;

/** Sizes after a transform of several dimensions; real to half a spectrum, or back. */
function manyShape(
  where: string,
  self: MetaInput,
  s: readonly Size[] | null,
  dim: readonly Size[] | null,
  inverse: boolean,
): Size[] {
  const rank = self.shape.length;
  const first = rank - (s?.length ?? rank);
  const dims = dim === null ? self.shape.map((_, d) => d).filter((d) => d >= first) : dim.map(Number);
  const axes = normalizeAxes(dims, rank, where);
  if (s !== null && s.length !== axes.length) {
    throw new TypeError(`${where}: ${s.length} sizes for ${axes.length} dimensions`);
  }
  const shape: Size[] = [...self.shape];
  axes.forEach((axis, i) => {
    const isLast = i === axes.length - 1, size = s?.[i];
    const given = size === undefined || size === -1 ? null : size;
    const have = shape[axis] ?? 1;
    const n = given ?? (isLast && !inverse ? sizeMul(2, sizeSub(have, 1)) : have);
    if (!sizeLt(0, n)) throw new RangeError(`${where}: cannot transform ${n} elements of ${shapeToText(self.shape)}`);
    shape[axis] = isLast && inverse ? sizeAdd(sizeFloorDiv(n, 2), 1) : n;
  });
  return shape;
}

for (const inverse of [false, true]) {
  const base = inverse ? "fft_ihfft" : "fft_hfft";
  const doc = inverse
    ? "The inverse of fft_hfft: half of the spectrum of real numbers, conjugated"
    : "The Fourier transform of half of a signal that is its own mirror image, conjugated: real numbers";
  defineOp({
    schema:
      `aten::${base}(Tensor self, SymInt? n=None, int dim=-1, str? norm=None) -> Tensor` as "aten::fft_hfft(Tensor self, SymInt? n=None, int dim=-1, str? norm=None) -> Tensor",
    doc: `${doc}, along one dimension.`,
    meta: ({ self, n, dim }) => {
      if (inverse) refuseComplex(base, self);
      const shape = manyShape(base, self, n === null ? null : [n], [dim], inverse);
      return { shape, dtype: inverse ? complex64 : self.dtype === float64 ? float64 : float32 };
    },
    decompose: ({ self, n, dim, norm }, F) => {
      const turned = swappedNorm(base, norm);
      return inverse ? F.fftRfft(self, n, dim, turned).conjPhysical() : F.fftIrfft(conjugate(self), n, dim, turned);
    },
    samples: (g) =>
      g.dtype === float32 ? [{ args: { self: g.tensor([2, 5]), norm: "ortho" }, differentiate: !inverse }] : [],
  });
  for (const [suffix, dims] of MANY) {
    const name = `${base}${suffix}`;
    defineOp({
      schema:
        `aten::${name}(Tensor self, ${dims}, str? norm=None) -> Tensor` as "aten::fft_hfftn(Tensor self, SymInt[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor",
      doc: `${doc}, along ${suffix === "2" ? "two" : "several"} dimensions.`,
      meta: ({ self, s, dim }) => {
        if (inverse) refuseComplex(name, self);
        const shape = manyShape(name, self, s, dim, inverse);
        return { shape, dtype: inverse ? complex64 : self.dtype === float64 ? float64 : float32 };
      },
      decompose: ({ self, s, dim, norm }, F) => {
        const turned = swappedNorm(name, norm);
        return inverse ? F.fftRfftn(self, s, dim, turned).conjPhysical() : F.fftIrfftn(conjugate(self), s, dim, turned);
      },
      samples: (g) => g.dtype === float32 ? [{ args: { self: g.tensor([3, 5]) }, differentiate: !inverse }] : [],
    });
  }
}
