/**
 * Initial values of parameters. Every function writes into its tensor, without recording, and returns it.
 *
 * Formulas and defaults are those of `torch.nn.init`: Glorot & Bengio 2010 (xavier), He et al. 2015 (kaiming), Saxe et al. 2013 (orthogonal).
 */
import { shapeText } from "../core/mod.ts";
import { type Generator, noGrad, rand, randn, type Tensor, tensor } from "../tensor/mod.ts";

/** What follows the layer; decides the gain. */
export type Nonlinearity = "linear" | "sigmoid" | "tanh" | "relu" | "leaky_relu" | "selu";

/** Options of functions that draw numbers. */
export interface RandomOptions {
  /** Default: the global generator, see `manualSeed`. */
  readonly generator?: Generator;
}

/** Options of `kaimingUniform_` and `kaimingNormal_`. */
export interface KaimingOptions extends RandomOptions {
  /** Negative slope of the rectifier that follows. Default 0. */
  readonly a?: number;
  /** Keep the variance in the forward pass (`"fan_in"`, default) or in the backward pass. */
  readonly mode?: "fan_in" | "fan_out";
  readonly nonlinearity?: Nonlinearity;
}

/**
 * The factor by which a nonlinearity asks its weights to be larger.
 *
 * @param param Negative slope of a leaky rectifier, default 0.01.
 */
export function calculateGain(nonlinearity: Nonlinearity, param?: number): number {
  switch (nonlinearity) {
    case "linear":
    case "sigmoid":
      return 1;
    case "tanh":
      return 5 / 3;
    case "relu":
      return Math.SQRT2;
    case "leaky_relu":
      return Math.sqrt(2 / (1 + (param ?? 0.01) ** 2));
    case "selu":
      return 3 / 4;
    default:
      return nonlinearity satisfies never;
  }
}

/** Inputs and outputs that one unit is connected to. @throws {TypeError} for fewer than two dimensions. */
export function fanInAndFanOut(t: Tensor): { readonly fanIn: number; readonly fanOut: number } {
  const [out, inp, ...window] = t.shape.map(Number);
  if (out === undefined || inp === undefined) {
    throw new TypeError(`init: fan needs a tensor of at least 2 dimensions, got ${shapeText(t.shape)}`);
  }
  const receptive = window.reduce((n, size) => n * size, 1);
  return { fanIn: inp * receptive, fanOut: out * receptive };
}

/** Uniform in [low, high). */
export function uniform_(t: Tensor, low = 0, high = 1, options: RandomOptions = {}): Tensor {
  return noGrad(() =>
    t.copy_(rand(t.shape, { dtype: t.dtype, device: t.device, ...options }).mul(high - low).add(low))
  );
}

/** Normal of this mean and standard deviation. */
export function normal_(t: Tensor, mean = 0, std = 1, options: RandomOptions = {}): Tensor {
  return noGrad(() => t.copy_(randn(t.shape, { dtype: t.dtype, device: t.device, ...options }).mul(std).add(mean)));
}

/** Every element becomes `value`. */
export function constant_(t: Tensor, value: number): Tensor {
  return noGrad(() => t.fill_(value));
}

/** Every element becomes 0. */
export function zeros_(t: Tensor): Tensor {
  return constant_(t, 0);
}

/** Every element becomes 1. */
export function ones_(t: Tensor): Tensor {
  return constant_(t, 1);
}

/** Uniform in ±gain·√(6 / (fanIn + fanOut)). */
export function xavierUniform_(t: Tensor, gain = 1, options: RandomOptions = {}): Tensor {
  const { fanIn, fanOut } = fanInAndFanOut(t);
  const bound = gain * Math.sqrt(6 / (fanIn + fanOut));
  return uniform_(t, -bound, bound, options);
}

/** Normal of standard deviation gain·√(2 / (fanIn + fanOut)). */
export function xavierNormal_(t: Tensor, gain = 1, options: RandomOptions = {}): Tensor {
  const { fanIn, fanOut } = fanInAndFanOut(t);
  return normal_(t, 0, gain * Math.sqrt(2 / (fanIn + fanOut)), options);
}

function kaimingStd(t: Tensor, options: KaimingOptions): number {
  const { fanIn, fanOut } = fanInAndFanOut(t);
  const fan = (options.mode ?? "fan_in") === "fan_in" ? fanIn : fanOut;
  return calculateGain(options.nonlinearity ?? "leaky_relu", options.a ?? 0) / Math.sqrt(fan);
}

function randomOf(options: RandomOptions): RandomOptions {
  return options.generator === undefined ? {} : { generator: options.generator };
}

/**
 * Uniform with variance gain²/fan.
 *
 * @example
 * ```ts
 * import { nn, zeros } from "@tessera/tessera";
 * const w = nn.init.kaimingUniform_(zeros([8, 6]), { a: Math.sqrt(5) }); // what Linear does: bound 1/√6
 * console.assert(w.abs().max().item() <= 1 / Math.sqrt(6));
 * ```
 */
export function kaimingUniform_(t: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = Math.sqrt(3) * kaimingStd(t, options);
  return uniform_(t, -bound, bound, randomOf(options));
}

/** Normal with variance gain²/fan. */
export function kaimingNormal_(t: Tensor, options: KaimingOptions = {}): Tensor {
  return normal_(t, 0, kaimingStd(t, options), randomOf(options));
}

/** Normal, cut off at `low` and `high` (absolute values, not multiples of `std`). */
export function truncNormal_(
  t: Tensor,
  mean = 0,
  std = 1,
  low = -2,
  high = 2,
  options: RandomOptions = {},
): Tensor {
  if (!(low < high)) throw new RangeError(`truncNormal_: low ${low} must be less than high ${high}`);
  const from = normalCdf((low - mean) / std);
  const to = normalCdf((high - mean) / std);
  const draws = Array.from(rand([t.numel], options).dataSync() as ArrayLike<number>);
  const values = draws.map((v) => {
    const x = mean + std * normalQuantile(from + v * (to - from));
    return Math.min(Math.max(x, low), high);
  });
  return noGrad(() => t.copy_(tensor(values, { dtype: t.dtype, device: t.device }).reshape(t.shape)));
}

/** Rows (or columns, if fewer) become orthonormal, times `gain`; dimensions after the first count as one. */
export function orthogonal_(t: Tensor, gain = 1, options: RandomOptions = {}): Tensor {
  if (t.ndim < 2) throw new TypeError(`orthogonal_: needs at least 2 dimensions, got ${shapeText(t.shape)}`);
  const rows = Number(t.shape[0]);
  const columns = rows === 0 ? 0 : t.numel / rows;
  const long = Math.max(rows, columns);
  const short = Math.min(rows, columns);
  const draws = randn([long * short], options).dataSync();
  const basis = orthonormalBasis(
    Array.from({ length: short }, (_, i) => Float64Array.from({ length: long }, (_, j) => Number(draws[i * long + j]))),
  );
  const values = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      values[i * columns + j] = gain * ((rows <= columns ? basis[i]?.[j] : basis[j]?.[i]) ?? 0);
    }
  }
  return noGrad(() => t.copy_(tensor([...values], { dtype: t.dtype, device: t.device }).reshape(t.shape)));
}

/** Gram-Schmidt, each vector cleaned twice: orthogonal to the last bit of a double (Giraud et al. 2005). */
function orthonormalBasis(vectors: readonly Float64Array[]): Float64Array[] {
  const done: Float64Array[] = [];
  for (const v of vectors) {
    for (let pass = 0; pass < 2; pass++) {
      for (const q of done) {
        const projection = q.reduce((sum, x, i) => sum + x * (v[i] ?? 0), 0);
        q.forEach((x, i) => v[i] = (v[i] ?? 0) - projection * x);
      }
    }
    const norm = Math.hypot(...v);
    v.forEach((x, i) => v[i] = x / norm);
    done.push(v);
  }
  return done;
}

/** The distribution function of the standard normal, by the continued fraction or series of erfc. */
function normalCdf(x: number): number {
  return x < 0 ? upperTail(-x) : 1 - upperTail(x);
}

function upperTail(x: number): number {
  if (x > 38) return 0;
  const density = Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
  if (x < 3) {
    let term = x;
    let sum = x;
    for (let n = 3; Math.abs(term) > 1e-17 * Math.abs(sum); n += 2) sum += term *= x * x / n;
    return 0.5 - density * sum;
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / (x + fraction);
  return density / (x + fraction);
}

/** The inverse of {@linkcode normalCdf}: bisection to start, then Newton's method. */
function normalQuantile(p: number): number {
  if (p <= 0) return -Infinity;
  if (p >= 1) return Infinity;
  let low = -40;
  let high = 40;
  for (let i = 0; i < 12; i++) {
    const mid = (low + high) / 2;
    if (normalCdf(mid) < p) low = mid;
    else high = mid;
  }
  let x = (low + high) / 2;
  for (let i = 0; i < 4; i++) {
    x -= (normalCdf(x) - p) * Math.sqrt(2 * Math.PI) * Math.exp(x * x / 2);
    if (!(x > low && x < high)) x = (low + high) / 2;
  }
  return x;
}
