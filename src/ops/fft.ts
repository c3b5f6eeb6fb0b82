/**
 * Fourier transforms under the names of `torch.fft`: complex and real, forward and inverse, in one, two or any number of dimensions.
 *
 * All rest on one host operator over pairs of real numbers, `tessera::fft_pairs`, which is linear: its gradient is the transform in the other direction. Real
 * transforms drop or rebuild the half of the spectrum that symmetry gives. Mirrors `SpectralOps.cpp` of ATen.
 */
import { complex64, float32, float64, getDefaultDtype, normalizeAxes } from "../core/mod.ts";
import {
  shapeToText,
  type Size,
  sizeAdd,
  sizeFloorDiv,
  sizeLe,
  sizeLt,
  sizeMul,
  sizeProd,
  sizeSub,
} from "../symbolic/mod.ts";
import { defineOp, type HostResult, type HostTensor, type MetaInput, type TensorSpec } from "./define.ts";
import { transformLine } from "./fft_lines.ts";
import type { Functional } from "./functional.ts";
import { axisLines, hostArray, hostShape } from "./host_axis.ts";
import type { SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

function transformPairs(self: HostTensor, dims: readonly number[], forward: boolean, scale: number): HostResult {
  const shape = hostShape(self);
  const inner = shape.slice(0, -1);
  const data = Float64Array.from(self.data as ArrayLike<number>, Number);
  for (const axis of dims) {
    for (const line of axisLines(inner, axis)) {
      const re = new Float64Array(line.length), im = new Float64Array(line.length);
      for (let i = 0; i < line.length; i++) {
        const at = 2 * (line.start + i * line.step);
        re[i] = data[at] ?? 0;
        im[i] = data[at + 1] ?? 0;
      }
      const out = transformLine({ re, im }, forward ? -1 : 1);
      for (let i = 0; i < line.length; i++) {
        const at = 2 * (line.start + i * line.step);
        data[at] = out.re[i] ?? 0;
        data[at + 1] = out.im[i] ?? 0;
      }
    }
  }
  const result = hostArray(self.dtype, data.length);
  for (let i = 0; i < data.length; i++) result[i] = (data[i] ?? 0) * scale;
  return { shape, data: result };
}

defineOp({
  schema: "tessera::fft_pairs(Tensor self, int[] dims, bool forward, float scale) -> Tensor",
  doc: "The Fourier transform over dimensions of pairs of real numbers, times a factor.",
  meta: ({ self, dims }) => {
    const rank = self.shape.length - 1;
    if (rank < 0 || Number(self.shape[rank]) !== 2 || !self.dtype.isFloat) {
      throw new TypeError(`fft_pairs: needs pairs of real numbers, got ${self.dtype.name}${shapeToText(self.shape)}`);
    }
    normalizeAxes(dims.map(Number), rank, "fft_pairs");
    return { shape: self.shape, dtype: self.dtype };
  },
  host: ({ self, dims, forward, scale }) => {
    const rank = self.shape.length - 1;
    return [transformPairs(self, normalizeAxes(dims.map(Number), rank, "fft_pairs"), forward, scale)];
  },
  vjp: ({ dims, forward, scale }, { grad, F }) => ({ self: () => F.fftPairs(grad, dims, !forward, scale) }),
  samples: (g) =>
    g.dtype === float32 || g.dtype === float64
      ? [
        { args: { self: g.tensor([3, 4, 2]), dims: [1], forward: true, scale: 1 } },
        { args: { self: g.tensor([6, 5, 2]), dims: [0, 1], forward: false, scale: 0.5 } },
      ]
      : [],
});

/** To which power of the number of elements a transform multiplies its result. */
type Norm = 0 | -0.5 | -1;

/** The norm argument. */
function normOf(where: string, norm: string | null, forward: boolean): Norm {
  switch (norm) {
    case null:
    case "backward":
      return forward ? 0 : -1;
    case "forward":
      return forward ? -1 : 0;
    case "ortho":
      return -0.5;
    default:
      throw new RangeError(`${where}: norm must be backward, forward or ortho, got "${norm}"`);
  }
}

/** `_fft_*` count normalisations: none, by the root, by the number of elements. */
function normByMode(mode: Size): Norm {
  return Number(mode) === 0 ? 0 : Number(mode) === 1 ? -0.5 : -1;
}

function toPairs(x: TensorValue, F: Functional): TensorValue {
  if (x.dtype.isComplex) return x.viewAsReal();
  const real = x.dtype === float32 || x.dtype === float64 ? x : x.to(float32);
  return F.stack([real, real.zerosLike()], -1);
}

/** Cut or padded with zeros to a size along an axis. */
function resize(x: TensorValue, axis: number, size: Size, F: Functional): TensorValue {
  const have = x.shape[axis] ?? 1;
  if (sizeLe(size, have)) return x.narrow(axis, 0, size);
  const shape = x.shape.map((s, d) => d === axis ? sizeSub(size, have) : s);
  const rest = x.narrow(axis, 0, 1).mul(0).expand(shape);
  return F.cat([x, rest], axis);
}

function half(n: Size): Size {
  return sizeAdd(sizeFloorDiv(n, 2), 1);
}

/** What a transform reads and yields. */
type Kind = "c2c" | "r2c" | "c2r";

interface Plan {
  readonly kind: Kind;
  readonly forward: boolean;
  readonly axes: readonly number[];
  /** Sizes of the transform along the axes. */
  readonly sizes: readonly Size[];
}

function transform(self: TensorValue, plan: Plan, norm: Norm, F: Functional): TensorValue {
  const { kind, forward, axes, sizes } = plan;
  const count = sizeProd(sizes);
  const isKnown = norm === 0 || typeof count === "number";
  const scale = norm === 0 || !isKnown ? 1 : norm === -1 ? 1 / Number(count) : 1 / Math.sqrt(Number(count));
  /** A factor that only the run knows follows the transform. */
  const scaled = (pairs: TensorValue): TensorValue =>
    isKnown
      ? pairs
      : pairs.div(norm === -1 ? count : F.full([], count, { dtype: pairs.dtype, device: pairs.device }).sqrt());
  const last = axes[axes.length - 1] ?? 0;
  const n = sizes[sizes.length - 1] ?? 1;
  let pairs = toPairs(self, F);
  axes.forEach((axis, i) => {
    const size = kind === "c2r" && axis === last && i === axes.length - 1 ? half(n) : sizes[i] ?? 1;
    pairs = resize(pairs, axis, size, F);
  });
  if (kind !== "c2r") {
    const out = scaled(F.fftPairs(pairs, axes, forward, scale));
    const kept = kind === "r2c" ? out.narrow(last, 0, half(n)) : out;
    return kept.contiguous().viewAsComplex();
  }
  const others = axes.slice(0, -1);
  const rows = others.length === 0 ? pairs : F.fftPairs(pairs, others, forward, 1);
  // The other half is the mirror image, conjugated.
  const mirrored = sizeSub(n, half(n));
  const sign = F.stack([rows.select(-1, 0), rows.select(-1, 1).neg()], -1);
  const full = sizeLe(mirrored, 0) ? rows : F.cat([rows, sign.narrow(last, 1, mirrored).flip([last])], last);
  return scaled(F.fftPairs(full, [last], forward, scale).select(-1, 0)).contiguous();
}

function planSpec(where: string, self: MetaInput, plan: Plan): TensorSpec {
  if (plan.kind === "r2c" && self.dtype.isComplex) {
    throw new TypeError(`${where}: needs real numbers, got ${self.dtype.name}`);
  }
  if (self.dtype.isFloat && self.dtype.bytes < 4) {
    throw new TypeError(`${where}: needs float32, got ${self.dtype.name}; convert with .to(float32)`);
  }
  if (plan.axes.length === 0 && plan.kind !== "c2c") throw new TypeError(`${where}: needs at least one dimension`);
  if (self.dtype === float64 && plan.kind !== "c2r") {
    throw new TypeError(`${where}: float64 has no complex dtype here; convert to float32`);
  }
  for (const size of plan.sizes) {
    if (sizeLe(size, 0)) {
      throw new RangeError(`${where}: cannot transform ${size} elements of ${shapeToText(self.shape)}`);
    }
  }
  const shape: Size[] = [...self.shape];
  plan.axes.forEach((axis, i) => {
    shape[axis] = plan.sizes[i] ?? 1;
  });
  const last = plan.axes[plan.axes.length - 1];
  if (plan.kind === "r2c" && last !== undefined) shape[last] = half(shape[last] ?? 1);
  return { shape, dtype: plan.kind !== "c2r" ? complex64 : self.dtype === float64 ? float64 : float32 };
}

function sizesOf(
  self: { readonly shape: readonly Size[] },
  axes: readonly number[],
  given: readonly Size[] | null,
  kind: Kind,
): Size[] {
  return axes.map((axis, i) => {
    const size = given?.[i];
    if (size !== undefined && size !== -1) return size;
    const have = self.shape[axis] ?? 1;
    return kind === "c2r" && i === axes.length - 1 ? sizeMul(2, sizeSub(have, 1)) : have;
  });
}

const ONE: readonly (readonly [string, Kind, boolean])[] = [
  ["fft_fft", "c2c", true],
  ["fft_ifft", "c2c", false],
  ["fft_rfft", "r2c", true],
  ["fft_irfft", "c2r", false],
];

const words = (kind: Kind, forward: boolean): string =>
  `The ${forward ? "" : "inverse "}Fourier transform${
    kind === "c2c" ? "" : kind === "r2c" ? " of real numbers, half of the spectrum" : ", to real numbers"
  }`;

const samplesFor = (kind: Kind, extra: object = {}) => (g: SampleGenerator) =>
  g.dtype === float32 && kind !== "c2r" ? [{ args: { self: g.tensor([3, 6]), ...extra } }] : [];

for (const [name, kind, forward] of ONE) {
  const plan = (self: { readonly shape: readonly Size[] }, n: Size | null, dim: Size): Plan => {
    const axes = normalizeAxes([Number(dim)], self.shape.length, name);
    return { kind, forward, axes, sizes: sizesOf(self, axes, n === null ? null : [n], kind) };
  };
  defineOp({
    schema: `aten::${name}(Tensor self, SymInt? n=None, int dim=-1, str? norm=None) -> Tensor`,
    doc: `${words(kind, forward)}, along one dimension.`,
    meta: ({ self, n, dim }) => {
      if (n !== null && sizeLt(n, 1)) throw new RangeError(`${name}: n must be positive, got ${n}`);
      return planSpec(name, self, plan(self, n, dim));
    },
    decompose: ({ self, n, dim, norm }, F) => {
      const p = plan(self, n, dim);
      return transform(self, p, normOf(name, norm, forward), F);
    },
    samples: samplesFor(kind, { n: 8 }),
  });
  for (
    const [suffix, head] of [["2", "SymInt[1]? s=None, int[1] dim=[-2,-1]"], [
      "n",
      "SymInt[1]? s=None, int[1]? dim=None",
    ]]
  ) {
    const many = `${name}${suffix}`;
    const planMany = (
      self: { readonly shape: readonly Size[] },
      s: readonly Size[] | null,
      dim: readonly Size[] | null,
    ): Plan => {
      const rank = self.shape.length;
      const dims = dim === null
        ? Array.from({ length: s?.length ?? rank }, (_, i) => rank - (s?.length ?? rank) + i)
        : dim.map(Number);
      const axes = normalizeAxes(dims, rank, many);
      if (s !== null && s.length !== axes.length) {
        throw new TypeError(`${many}: ${s.length} sizes for ${axes.length} dimensions`);
      }
      return { kind, forward, axes, sizes: sizesOf(self, axes, s, kind) };
    };
    defineOp({
      schema:
        `aten::${many}(Tensor self, ${head}, str? norm=None) -> Tensor` as "aten::fft_fftn(Tensor self, SymInt[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor",
      doc: `${words(kind, forward)}, along ${suffix === "2" ? "two" : "several"} dimensions.`,
      meta: ({ self, s, dim }) => planSpec(many, self, planMany(self, s, dim)),
      decompose: ({ self, s, dim, norm }, F) => {
        const p = planMany(self, s, dim);
        return transform(self, p, normOf(many, norm, forward), F);
      },
      samples: samplesFor(kind, { norm: "ortho" }),
    });
  }
}

defineOp({
  schema: "aten::_fft_c2c(Tensor self, SymInt[] dim, int normalization, bool forward) -> Tensor",
  doc: "The Fourier transform of complex numbers.",
  meta: ({ self, dim, forward }) => {
    const axes = normalizeAxes(dim.map(Number), self.shape.length, "_fft_c2c");
    return planSpec("_fft_c2c", self, { kind: "c2c", forward, axes, sizes: sizesOf(self, axes, null, "c2c") });
  },
  decompose: ({ self, dim, normalization, forward }, F) => {
    const axes = normalizeAxes(dim.map(Number), self.ndim, "_fft_c2c");
    return transform(
      self,
      { kind: "c2c", forward, axes, sizes: sizesOf(self, axes, null, "c2c") },
      normByMode(normalization),
      F,
    );
  },
  samples: () => [],
});

defineOp({
  schema: "aten::_fft_r2c(Tensor self, int[] dim, int normalization, bool onesided) -> Tensor",
  doc: "The Fourier transform of real numbers; onesided gives half of the last dimension.",
  meta: ({ self, dim, onesided }) => {
    const axes = normalizeAxes(dim.map(Number), self.shape.length, "_fft_r2c");
    const kind = onesided ? "r2c" : "c2c";
    return planSpec("_fft_r2c", self, { kind, forward: true, axes, sizes: sizesOf(self, axes, null, kind) });
  },
  decompose: ({ self, dim, normalization, onesided }, F) => {
    const axes = normalizeAxes(dim.map(Number), self.ndim, "_fft_r2c");
    const kind = onesided ? "r2c" : "c2c";
    return transform(
      self,
      { kind, forward: true, axes, sizes: sizesOf(self, axes, null, kind) },
      normByMode(normalization),
      F,
    );
  },
  samples: (g) =>
    g.dtype === float32 ? [{ args: { self: g.tensor([3, 4]), dim: [0, 1], normalization: 1, onesided: true } }] : [],
});

defineOp({
  schema: "aten::_fft_c2r(Tensor self, int[] dim, int normalization, SymInt last_dim_size) -> Tensor",
  doc: "The inverse Fourier transform of half a spectrum, to real numbers.",
  meta: ({ self, dim, lastDimSize }) => {
    const axes = normalizeAxes(dim.map(Number), self.shape.length, "_fft_c2r");
    const sizes = axes.map((axis, i) => i === axes.length - 1 ? lastDimSize : self.shape[axis] ?? 1);
    return planSpec("_fft_c2r", self, { kind: "c2r", forward: false, axes, sizes });
  },
  decompose: ({ self, dim, normalization, lastDimSize }, F) => {
    const axes = normalizeAxes(dim.map(Number), self.ndim, "_fft_c2r");
    const sizes = axes.map((axis, i) => i === axes.length - 1 ? lastDimSize : self.shape[axis] ?? 1);
    return transform(self, { kind: "c2r", forward: false, axes, sizes }, normByMode(normalization), F);
  },
  samples: () => [],
});

for (const name of ["fft_fftshift", "fft_ifftshift"] as const) {
  defineOp({
    schema: `aten::${name}(Tensor self, int[1]? dim=None) -> Tensor`,
    doc: `${name === "fft_fftshift" ? "Moves" : "Moves back"} frequency 0 ${
      name === "fft_fftshift" ? "to the middle" : "from the middle"
    } of dimensions.`,
    meta: ({ self, dim }) => {
      if (dim !== null) {
        normalizeAxes(dim.map(Number), self.shape.length, name);
        if (dim.length === 0) throw new TypeError(`${name}: dim is empty; name dimensions, or leave it out for all`);
      }
      return { shape: self.shape, dtype: self.dtype };
    },
    decompose: ({ self, dim }) => {
      const axes = dim === null ? self.shape.map((_, d) => d) : normalizeAxes(dim.map(Number), self.ndim, name);
      const by = axes.map((axis) => {
        const size = self.shape[axis] ?? 1;
        return sizeFloorDiv(name === "fft_fftshift" ? size : sizeAdd(size, 1), 2);
      });
      return axes.length === 0 ? self.clone() : self.roll(by, axes);
    },
    samples: (g: SampleGenerator) => [{ args: { self: g.tensor([4, 5]) } }],
  });
}

const OPTIONS = "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None";

for (const name of ["fft_fftfreq", "fft_rfftfreq"] as const) {
  const isHalf = name === "fft_rfftfreq";
  defineOp({
    schema: `aten::${name}(int n, float d=1.0, *, ${OPTIONS}) -> Tensor`,
    doc: "The frequencies of a transform of n elements that are d apart.",
    meta: ({ n, dtype, device }) => {
      if (!(Number(n) > 0)) throw new RangeError(`${name}: n must be positive, got ${n}`);
      return {
        shape: [isHalf ? half(n) : n],
        dtype: dtype ?? getDefaultDtype(),
        ...(device === null ? {} : { device }),
      };
    },
    decompose: ({ n, d, dtype, device }, F) => {
      const options = { dtype: dtype ?? getDefaultDtype(), device };
      const size = Number(n);
      const steps = isHalf
        ? F.arange(half(n), options)
        : F.cat([F.arange(Math.ceil(size / 2), options), F.arange(-Math.floor(size / 2), 0, options)], 0);
      return steps.div(size * d);
    },
    samples: () => [{ args: { n: 5, d: 0.5 } }, { args: { n: 4 } }],
  });
}
