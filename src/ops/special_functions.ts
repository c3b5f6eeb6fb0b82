/**
 * Bessel, error and gamma functions: i0, i0e, i1, i1e, erfcx, log_ndtr, ndtri, mvlgamma, igamma, igammac.
 *
 * Functions of one number are loops over Chebyshev series, so they fuse and run on every backend. The series are fitted once, when this module
 * loads, from slow exact evaluations in float64. The incomplete gamma functions iterate until they converge and run on the host. Mirrors the
 * special functions of ATen (`Math.h`, after Cephes).
 */
import { bool, computeType, type DType, float32, float64 } from "../core/mod.ts";
import { erfc, lgamma } from "../loops/primitives.ts";
import { ops, type Value } from "../loops/mod.ts";
import { broadcastShapes, shapeToText } from "../symbolic/mod.ts";
import { chebyshevFit, chebyshevPowers, chebyshevSum } from "./chebyshev.ts";
import { definePointwise, promotedDtype, promotionOperand } from "./combinators.ts";
import { defineOp, type HostTensor, type VjpContext } from "./define.ts";
import { hostArray, hostShape, readHost } from "./host_axis.ts";
import { reduceGrad } from "./gradient.ts";
import { endOf, evaluate, type IntervalFit, intervalFit, type Intervals, placeOf, tableSum } from "./interval_fit.ts";
import { elementwiseStride } from "./layout.ts";
import { type UnarySampleOptions, unarySamples } from "./sample_sets.ts";
import { normalQuantile } from "./normal_quantile.ts";
import type { TensorValue } from "./value.ts";

/** exp(-x)·I_n(x) for x ≥ 0, by its power series or its asymptotic series. */
function besselScaled(n: 0 | 1, x: number): number {
  if (x < 30) {
    let term = n === 0 ? 1 : x / 2;
    let sum = term;
    for (let k = 1; k < 400 && term > 1e-19 * sum; k++) sum += term *= x * x / 4 / (k * (k + n));
    return Math.exp(-x) * sum;
  }
  let term = 1, sum = 1;
  for (let k = 1; k < 40; k++) {
    const next = term * -((4 * n * n - (2 * k - 1) ** 2) / (k * 8 * x));
    if (Math.abs(next) > Math.abs(term)) break;
    sum += term = next;
  }
  return sum / Math.sqrt(2 * Math.PI * x);
}

/** exp(x²)·erfc(x) for x ≥ 0: Taylor steps of y' = 2xy - 2/√π are unstable, a continued fraction is not. */
function erfcxExact(x: number): number {
  if (x < 1.5) {
    // exp(x²) - 2/√π Σ 2ⁿ x^(2n+1) / (2n+1)!!
    let term = x, sum = x;
    for (let n = 1; n < 200 && Math.abs(term) > 1e-20; n++) sum += term *= 2 * x * x / (2 * n + 1);
    return Math.exp(x * x) - 2 / Math.sqrt(Math.PI) * sum;
  }
  let f = 0;
  for (let n = 400; n > 0; n--) f = n / 2 / (x + f);
  return 1 / Math.sqrt(Math.PI) / (x + f);
}

const SMALL = 8;
/** Fits on [0, 8], and on [8, ∞) in 8/x with the factor √x. */
const BESSEL = ([0, 1] as const).map((n) => ({
  // I_1 begins with x / 2: without that factor, so that small numbers keep their digits.
  near: chebyshevFit((t) => {
    const x = (t + 1) * SMALL / 2;
    return n === 0 ? besselScaled(0, x) : x === 0 ? 0.5 : besselScaled(1, x) / x;
  }, 36),
  far: chebyshevFit((t) => {
    const x = 2 * SMALL / (t + 1);
    return Number.isFinite(x) ? besselScaled(n, x) * Math.sqrt(x) : 1 / Math.sqrt(2 * Math.PI);
  }, 28),
}));
/** erfcx(x)·(x + 1) over t = (x - 2)/(x + 2), smooth on [-1, 1]. */
const ERFCX = chebyshevFit((t) => {
  const x = 2 * (1 + t) / (1 - t);
  return Number.isFinite(x) ? erfcxExact(x) * (x + 1) : 1 / Math.sqrt(Math.PI);
}, 48);

/** Terms of I_n's power series in (x/2)² that count in float32 up to x = 8; all are positive, so nothing cancels. */
const BESSEL_TERMS = 16;

/** I_n(a) for a up to 8, in float32, even and odd terms apart: half as many operations wait for each other. */
function besselSeries(n: 0 | 1, a: Value): Value {
  const z = ops.mul(ops.mul(a, a), 0.25), square = ops.mul(z, z);
  const terms = [1];
  for (let k = 1; k < BESSEL_TERMS; k++) terms.push((terms[k - 1] ?? 0) / (k * (k + n)));
  const sum = (first: number): Value => {
    const top = BESSEL_TERMS - 2 + first;
    let out: Value = ops.constant(terms[top] ?? 0, a.dtype);
    for (let k = top - 2; k >= 0; k -= 2) out = ops.fma(out, square, terms[k] ?? 0);
    return out;
  };
  const series = ops.fma(sum(1), z, sum(0));
  return n === 0 ? series : ops.mul(series, ops.mul(a, 0.5));
}

/** Functions of |x| below 15, as polynomials by intervals of |x| + 1. */
const SHIFTED: Intervals = { first: 0, parts: 4, count: 16 };
const SHIFTED_END = endOf(SHIFTED) - 1;

/** The value of such a fit at `a`, whose last digits count though |x| + 1 loses them. */
function shiftedSum(fit: IntervalFit, a: Value): Value {
  const { at, start } = placeOf(SHIFTED, ops.add(a, 1));
  return tableSum(fit.tables, at, ops.sub(a, ops.sub(start, 1)));
}

/** I_n(x) and, scaled, exp(-|x|)·I_n(x): in float32 the power series needs no exponential. */
function bessel(n: 0 | 1, x: Value, scaled: boolean): Value {
  const a = ops.abs(x);
  if (x.dtype === float64) {
    const value = besselValue(n, x);
    return scaled ? value : ops.mul(value, ops.exp(a));
  }
  const far = besselTail(n, ops.maximum(a, SMALL));
  if (scaled) {
    const ratio = (u: number): number => u === 1 ? (n === 0 ? 1 : 0.5) : besselScaled(n, u - 1) / (n === 0 ? 1 : u - 1);
    const sum = shiftedSum(intervalFit(`i${n}e`, ratio, SHIFTED, 7), a);
    const outer = ops.where(ops.isinf(a), 0, far);
    const isNear = ops.lt(a, SHIFTED_END);
    if (n === 0) return ops.where(isNear, sum, outer);
    return ops.where(isNear, ops.mul(sum, x), ops.copysign(outer, x));
  }
  const near = besselSeries(n, ops.minimum(a, SMALL));
  const even = ops.where(ops.le(a, SMALL), near, ops.mul(far, ops.exp(a)));
  return n === 0 ? even : ops.copysign(even, x);
}

/** exp(-a)·I_n(a) for a from 8 on. */
function besselTail(n: 0 | 1, a: Value): Value {
  const t = ops.sub(ops.div(2 * SMALL, a), 1);
  const far = BESSEL[n]?.far ?? [];
  return ops.div(a.dtype === float64 ? chebyshevSum(far, t) : chebyshevPowers(far, t), ops.sqrt(a));
}

/** exp(-|x|)·I_n(|x|). */
export function besselValue(n: 0 | 1, x: Value): Value {
  const a = ops.abs(x);
  const fit = BESSEL[n] ?? { near: [], far: [] };
  const series = chebyshevSum(fit.near, ops.sub(ops.mul(ops.minimum(a, SMALL), 2 / SMALL), 1));
  const near = n === 0 ? series : ops.mul(series, a);
  const tail = besselTail(n, ops.maximum(a, SMALL));
  const even = ops.where(ops.le(a, SMALL), near, tail);
  const value = ops.where(ops.isinf(a), 0, even);
  return n === 0 ? value : ops.where(ops.lt(x, 0), ops.neg(value), value);
}

/** exp(x²)·erfc(x); in float32 between -15 and 15 by intervals of |x|, and what x² loses in rounding goes into a factor. */
function erfcx(x: Value): Value {
  if (x.dtype !== float32) return erfcxValue(x);
  const a = ops.abs(x), square = ops.mul(x, x), exp = ops.exp(square);
  const fit = intervalFit("erfcx", (u) => evaluate(erfcxValue, u - 1), SHIFTED, 7);
  const positive = shiftedSum(fit, a);
  const power = ops.mul(ops.fma(exp, ops.fma(x, x, ops.neg(square)), exp), 2);
  const near = ops.where(ops.lt(x, 0), ops.where(ops.isinf(exp), exp, ops.sub(power, positive)), positive);
  return ops.where(ops.lt(a, SHIFTED_END), near, ops.where(ops.lt(x, 0), Infinity, erfcxPositive(a)));
}

function erfcxValue(x: Value): Value {
  const positive = erfcxPositive(ops.abs(x));
  return ops.where(ops.ge(x, 0), positive, ops.sub(ops.mul(ops.exp(ops.mul(x, x)), 2), positive));
}

function erfcxPositive(a: Value): Value {
  const bounded = ops.minimum(a, 1e30);
  const t = ops.div(ops.sub(bounded, 2), ops.add(bounded, 2));
  return ops.div(chebyshevSum(ERFCX, t), ops.add(a, 1));
}

function logNdtrTail(x: Value): Value {
  const t = ops.mul(x, Math.SQRT1_2);
  return ops.sub(ops.log(ops.mul(erfcxValue(ops.neg(ops.minimum(t, 0))), 0.5)), ops.mul(t, t));
}

function logNdtrByErfc(x: Value): Value {
  const upper = ops.log1p(ops.mul(ops.erfc(ops.mul(x, Math.SQRT1_2)), -0.5));
  return ops.where(ops.lt(x, -1), logNdtrTail(x), upper);
}

/**
 * The logarithm of the standard normal distribution function Φ. In float32 above -15, with polynomials p by intervals of |x| + 1: p - x²/2 below 0, and
 * e^(-x²/2) p above, where what x² loses in rounding goes into a factor.
 */
function logNdtr(x: Value): Value {
  if (x.dtype !== float32) return logNdtrByErfc(x);
  const exact = (v: number): number => evaluate(logNdtrByErfc, v);
  const above = intervalFit("log_ndtr above 0", (u) => exact(u - 1) * Math.exp((u - 1) ** 2 / 2), SHIFTED, 7);
  const below = intervalFit("log_ndtr below 0", (u) => exact(1 - u) + (u - 1) ** 2 / 2, SHIFTED, 7);
  const a = ops.abs(x);
  const c = ops.where(ops.lt(a, SHIFTED_END), a, SHIFTED_END - 2 ** -20);
  const square = ops.mul(c, c);
  const left = ops.fma(square, ops.constant(-0.5, float32), shiftedSum(below, c));
  const p = shiftedSum(above, c), half = ops.mul(ops.fma(ops.neg(c), c, square), 0.5);
  const right = ops.mul(ops.exp(ops.mul(square, -0.5)), ops.fma(p, half, p));
  return ops.where(ops.gt(x, -SHIFTED_END), ops.where(ops.lt(x, 0), left, right), logNdtrTail(x));
}

interface SpecialFunction {
  readonly names: readonly string[];
  readonly doc: string;
  readonly body: (x: Value) => Value;
  readonly vjp?: (context: VjpContext, self: TensorValue) => TensorValue;
  readonly samples?: UnarySampleOptions;
}

const FUNCTIONS: readonly SpecialFunction[] = [
  {
    names: ["i0", "special_i0"],
    doc: "The modified Bessel function of the first kind of order 0.",
    body: (x) => bessel(0, x, false),
    vjp: ({ grad }, self) => grad.mul(self.specialI1()),
  },
  {
    names: ["special_i0e"],
    doc: "exp(-|self|) times the modified Bessel function of order 0.",
    body: (x) => bessel(0, x, true),
    vjp: ({ grad, out }, self) => grad.mul(self.specialI1e().sub(self.sgn().mul(out))),
  },
  {
    names: ["special_i1"],
    doc: "The modified Bessel function of the first kind of order 1.",
    body: (x) => bessel(1, x, false),
    vjp: ({ grad, out, F }, self) =>
      grad.mul(self.i0().sub(F.where(self.eq(0), 0.5, out.div(F.where(self.eq(0), 1, self))))),
  },
  {
    names: ["special_i1e"],
    doc: "exp(-|self|) times the modified Bessel function of order 1.",
    body: (x) => bessel(1, x, true),
    vjp: ({ grad, out, F }, self) => {
      const safe = F.where(self.eq(0), 1, self);
      const slope = self.specialI0e().sub(out.mul(self.sgn().add(safe.reciprocal())));
      return grad.mul(F.where(self.eq(0), 0.5, slope));
    },
  },
  {
    names: ["special_erfcx"],
    doc: "exp(self²) · erfc(self), without underflow.",
    body: erfcx,
    vjp: ({ grad, out }, self) => grad.mul(self.mul(out).mul(2).sub(2 / Math.sqrt(Math.PI))),
    samples: { edges: [0, 1, -1, 0.5, -2.5, Infinity, 30, NaN] },
  },
  {
    names: ["special_log_ndtr"],
    doc: "The logarithm of the standard normal distribution function, without underflow.",
    body: logNdtr,
    vjp: ({ grad }, self) => grad.div(self.mul(-Math.SQRT1_2).specialErfcx()).mul(Math.sqrt(2 / Math.PI)),
    samples: { edges: [0, 1, -1, 0.5, -2.5, Infinity, NaN, -30, 8] },
  },
  {
    names: ["special_ndtri"],
    doc: "The inverse of the standard normal distribution function.",
    body: normalQuantile,
    vjp: ({ grad, out }) => grad.mul(out.mul(out).mul(0.5).exp()).mul(Math.sqrt(2 * Math.PI)),
    samples: { low: 0.1, high: 0.9, edges: [0, 1, 0.5, -1, 2, NaN, 1e-3, 0.999, 1e-20, 0.97] },
  },
];

for (const { names, doc, body, vjp, samples } of FUNCTIONS) {
  for (const name of names) {
    definePointwise({
      schema: `aten::${name}(Tensor self) -> Tensor`,
      doc,
      promotion: "float",
      body: (_, { self }) => body(self),
      ...(vjp === undefined ? {} : {
        vjp: ({ self }: { readonly self: TensorValue }, context: VjpContext) => ({
          self: () => vjp(context, self),
        }),
      }),
      samples: (g) => unarySamples(g, samples),
    });
  }
}

for (const name of ["mvlgamma", "special_multigammaln"] as const) {
  defineOp({
    schema: `aten::${name}(Tensor self, int p) -> Tensor`,
    doc: "The logarithm of the multivariate gamma function of dimension p.",
    meta: ({ self, p }) => {
      if (self.dtype === bool) throw new TypeError(`${name}: does not take a bool tensor`);
      if (!(Number(p) >= 1)) throw new RangeError(`${name}: p must be at least 1, got ${p}`);
      return { shape: self.shape, dtype: promotedDtype(name, [promotionOperand(self)], "float") };
    },
    decompose: ({ self, p }) => {
      const dimension = Number(p);
      const dtype = promotedDtype(name, [{ dtype: self.dtype, rank: "tensor" }], "float");
      const x = self.dtype === dtype ? self : self.to(dtype);
      const terms = Array.from({ length: dimension }, (_, j) => x.sub(j / 2).lgamma());
      const [first] = terms;
      const sum = first === undefined || terms.length === 1 ? first ?? x : wideSum(terms, dtype);
      return sum.add(dimension * (dimension - 1) / 4 * Math.log(Math.PI)).contiguous();
    },
    samples: (g) =>
      g.dtype.isFloat ? [{ args: { self: g.tensor([3, 4], { values: "uniform", low: 2, high: 6 }), p: 3 } }] : [],
  });
}

/** Half types are summed in float32 and rounded once. */
function wideSum(terms: readonly TensorValue[], dtype: DType): TensorValue {
  const wide = computeType(dtype);
  const parts = wide === dtype ? terms : terms.map((t) => t.to(wide));
  const sum = parts.reduce((a, b) => a.add(b));
  return wide === dtype ? sum : sum.to(dtype);
}

/** Beyond it a series needs thousands of terms, and differences of logarithms lose their digits. */
const LARGE_SHAPE = 1e6;

/** P or Q for a large first argument: Temme's uniform expansion (1979), of which the first correction is below 1e-9. */
function uniformGamma(a: number, x: number, upper: boolean): number {
  const mu = (x - a) / a;
  // mu - log(1 + mu), half the square of eta.
  const half = Math.abs(mu) < 1e-2
    ? mu * mu * (1 / 2 - mu * (1 / 3 - mu * (1 / 4 - mu * (1 / 5 - mu * (1 / 6 - mu * (1 / 7 - mu / 8))))))
    : mu - Math.log1p(mu);
  const eta = Math.sign(mu) * Math.sqrt(2 * half);
  const first = Math.abs(mu) < 1e-2 ? -1 / 3 + eta / 12 - eta * eta * 2 / 135 : 1 / mu - 1 / eta;
  const rest = Math.exp(-a * half) / Math.sqrt(2 * Math.PI * a) * first;
  const argument = eta * Math.sqrt(a / 2);
  return upper ? erfc(argument) / 2 + rest : erfc(-argument) / 2 - rest;
}

/** The regularised lower incomplete gamma function P(a, x), or with `upper` its complement Q(a, x). */
function incompleteGamma(a: number, x: number, upper: boolean): number {
  if (Number.isNaN(a) || Number.isNaN(x) || a < 0 || x < 0) return NaN;
  if (a === 0) return x > 0 ? (upper ? 0 : 1) : NaN;
  if (x === 0) return upper ? 1 : 0;
  if (a === Infinity) return x === Infinity ? NaN : (upper ? 1 : 0);
  if (x === Infinity) return upper ? 0 : 1;
  if (a > LARGE_SHAPE) return uniformGamma(a, x, upper);
  const scale = Math.exp(a * Math.log(x) - x - lgamma(a));
  if (x < a + 1) {
    let term = 1 / a, sum = term;
    for (let n = 1; n < 10000 && Math.abs(term) > 1e-17 * Math.abs(sum); n++) sum += term *= x / (a + n);
    const lower = sum * scale;
    return upper ? 1 - lower : lower;
  }
  // Lentz's evaluation of the continued fraction of Q.
  let b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
  for (let n = 1; n < 10000; n++) {
    const an = -n * (n - a);
    b += 2;
    d = an * d + b;
    if (Math.abs(d) < 1e-300) d = 1e-300;
    c = b + an / c;
    if (Math.abs(c) < 1e-300) c = 1e-300;
    d = 1 / d;
    const step = d * c;
    h *= step;
    if (Math.abs(step - 1) < 1e-16) break;
  }
  const tail = scale * h;
  return upper ? tail : 1 - tail;
}

/** Positions in a tensor that broadcasts to `shape`, for every element of `shape`. */
export function* broadcastPositions(t: HostTensor, shape: readonly number[]): Generator<number> {
  const own = hostShape(t);
  const total = shape.reduce((x, y) => x * y, 1);
  for (let i = 0; i < total; i++) {
    let rest = i, at = 0, step = 1;
    for (let d = shape.length - 1; d >= 0; d--) {
      const size = shape[d] ?? 1, coordinate = rest % size;
      rest = Math.floor(rest / size);
      const mine = own[d - shape.length + own.length] ?? 1;
      if (mine !== 1) at += coordinate * step;
      step *= mine;
    }
    yield at;
  }
}

for (const name of ["igamma", "igammac"] as const) {
  const upper = name === "igammac";
  defineOp({
    schema: `aten::${name}(Tensor self, Tensor other) -> Tensor`,
    doc: `The regularised ${upper ? "upper" : "lower"} incomplete gamma function of self at other.`,
    inplace: true,
    meta: ({ self, other }) => {
      const dtype = promotedDtype(name, [self, other].map(promotionOperand), "default");
      if (!dtype.isFloat) throw new TypeError(`${name}: needs floating point numbers, got ${dtype.name}`);
      const shape = broadcastShapes(name, self.shape, other.shape);
      return { shape, dtype, stride: elementwiseStride(shape, [self, other]) };
    },
    host: ({ self, other }, [out]) => {
      const shape = broadcastShapes(name, hostShape(self), hostShape(other)).map(Number);
      const data = hostArray(out?.dtype ?? float64, shape.reduce((x, y) => x * y, 1));
      const at = broadcastPositions(other, shape);
      let i = 0;
      for (const position of broadcastPositions(self, shape)) {
        const a = Number(readHost(self.data, position));
        const x = Number(readHost(other.data, Number(at.next().value ?? 0)));
        data[i++] = incompleteGamma(a, x, upper);
      }
      return [{ shape, data }];
    },
    vjp: ({ self, other }, { grad }) => ({
      self: () => {
        throw new TypeError(`${name}: is not differentiable in its first argument ${shapeToText(self.shape)}`);
      },
      other: () => {
        const density = other.log().mul(self.sub(1)).sub(other).sub(self.lgamma()).exp().mul(grad);
        return reduceGrad(upper ? density.neg() : density, other);
      },
    }),
    samples: (g) =>
      g.dtype.isFloat
        ? [{
          args: {
            self: g.tensor([3, 1], { values: "uniform", low: 0.5, high: 4, requiresGrad: false }),
            other: g.tensor([4], { values: "uniform", low: 0.5, high: 4 }),
          },
        }]
        : [],
  });
}
