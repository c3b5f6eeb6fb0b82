/**
 * Bessel functions of order 0 and 1 under the names of `torch.special`, and the spherical one.
 *
 * Loops over Chebyshev series, so they fuse and run on every backend. Near 0 the series is of the regular part (Y and K have a logarithm beside it), far away
 * of the modulus-and-phase form (J, Y) or of the scaled function (K). The series are fitted when they are first needed, from integrals and
 * expansions in float64. In float32 what has a logarithm at 0 (Y, K) is a polynomial by intervals up to 8. Mirrors the special functions of ATen
 * (`Math.h`, after Cephes).
 */
import { float32 } from "../core/mod.ts";
import { ops, type Value } from "../loops/mod.ts";
import { chebyshevFit, chebyshevSum } from "./chebyshev.ts";
import { definePointwise } from "./combinators.ts";
import { evaluate, interpolate, intervalFit, type Intervals, intervalSum, isInside, powerSum } from "./interval_fit.ts";
import { unarySamples } from "./sample_sets.ts";
import { besselValue } from "./special_functions.ts";

type Order = 0 | 1;
const EULER = 0.57721566490153286061;

/** J_n by its integral, whose midpoint sums converge exponentially. */
function exactJ(n: number, x: number): number {
  const count = 64 + 2 * n;
  let sum = 0;
  for (let k = 0; k < count; k++) {
    const t = Math.PI * (k + 0.5) / count;
    sum += Math.cos(n * t - x * Math.sin(t));
  }
  return sum / count;
}

/** Y_n without its logarithm: Y_n - 2/π ln(x) J_n, by Neumann's series (Abramowitz and Stegun 9.1.88); for n = 1 also without its pole. */
function regularY(n: Order, x: number): number {
  const constant = EULER - Math.LN2;
  let sum = 0;
  if (n === 0) {
    for (let k = 1; k < 32; k++) sum += (k % 2 === 0 ? 1 : -1) * exactJ(2 * k, x) / k;
    return 2 / Math.PI * constant * exactJ(0, x) - 4 / Math.PI * sum;
  }
  for (let k = 1; k < 32; k++) sum += (k % 2 === 0 ? 1 : -1) * (2 * k + 1) / (k * (k + 1)) * exactJ(2 * k + 1, x);
  const pole = (1 - exactJ(0, x)) / x;
  return 2 / Math.PI * ((constant - 1) * exactJ(1, x) - sum + pole);
}

/** P and Q of J_n = √(2/πx) (P cos χ - Q sin χ), χ = x - (2n + 1) π/4, for x ≥ 8. */
function modulusParts(n: Order, x: number): { readonly p: number; readonly q: number } {
  if (x < 28) {
    const j = exactJ(n, x);
    const y = regularY(n, x) + 2 / Math.PI * Math.log(x) * j - (n === 1 ? 2 / (Math.PI * x) : 0);
    const phase = x - (2 * n + 1) * Math.PI / 4, scale = Math.sqrt(Math.PI * x / 2);
    return {
      p: scale * (j * Math.cos(phase) + y * Math.sin(phase)),
      q: scale * (y * Math.cos(phase) - j * Math.sin(phase)),
    };
  }
  let term = 1, p = 1, q = 0;
  for (let k = 1; k < 40; k++) {
    const next = term * (4 * n * n - (2 * k - 1) ** 2) / (k * 8 * x);
    if (Math.abs(next) >= Math.abs(term) || next === 0) break;
    term = next;
    // Signs go + - - + over q, p, q, p.
    if (k % 2 === 1) q += (k % 4 === 1 ? 1 : -1) * term;
    else p += (k % 4 === 0 ? 1 : -1) * term;
  }
  return { p, q };
}

/** exp(x) K_n(x), by its integral. */
export function scaledK(order: number, x: number): number {
  // The trapezoid rule converges exponentially once its steps are half as wide as the integrand, whose width is x^-1/2.
  const step = 1 / Math.max(32, 2 * Math.sqrt(x));
  let sum = 0.5;
  for (let k = 1; k < 4000; k++) {
    const t = k * step;
    const exponent = -x * (Math.cosh(t) - 1);
    if (exponent < -740) break;
    sum += Math.exp(exponent) * Math.cosh(order * t);
  }
  return sum * step;
}

/** I_n, for x ≤ 2. */
function exactI(n: Order, x: number): number {
  let term = n === 0 ? 1 : x / 2, sum = term;
  for (let k = 1; k < 40; k++) sum += term *= x * x / 4 / (k * (k + n));
  return sum;
}

const NEAR = 8, NEAR_K = 2;
const argument = (t: number, end: number): number => end * Math.sqrt((t + 1) / 2);

/** What a function makes, made when it is first asked for. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => made ??= make();
}

function bothOrders<T>(make: (n: Order) => T): readonly [T, T] {
  return [make(0), make(1)];
}

const jAndY = bothOrders((n) =>
  once(() => ({
    j: chebyshevFit((t) => exactJ(n, argument(t, NEAR)) / (n === 1 ? argument(t, NEAR) : 1), 24),
    y: chebyshevFit((t) => regularY(n, argument(t, NEAR)) / (n === 1 ? argument(t, NEAR) : 1), 24),
    p: chebyshevFit((t) => modulusParts(n, NEAR / argument(t, 1)).p, 20),
    q: chebyshevFit((t) => modulusParts(n, NEAR / argument(t, 1)).q / argument(t, 1), 20),
  }))
);

const scaledFits = bothOrders((n) =>
  once(() => ({
    near: chebyshevFit((t) => {
      const x = argument(t, NEAR_K);
      const k = Math.exp(-x) * scaledK(n, x), log = Math.log(x / 2) * exactI(n, x);
      return n === 0 ? k + log : x * (k - log);
    }, 18),
    far: chebyshevFit((t) => {
      const x = 2 * NEAR_K / (t + 1);
      return x > 1e5 ? Math.sqrt(Math.PI / 2) : scaledK(n, x) * Math.sqrt(x);
    }, 28),
  }))
);

/** Where functions with a logarithm at 0 are polynomials, in float32: from 2^-13 to 8. */
const FITTED: Intervals = { first: -13, parts: 2, count: 32 };
const FITTED_TERMS = 8;

/** Near 0 (|x| ≤ 8): the series at x². */
function nearSum(series: readonly number[], a: Value): Value {
  const bounded = ops.minimum(a, NEAR);
  return chebyshevSum(series, ops.sub(ops.mul(ops.mul(bounded, bounded), 2 / NEAR ** 2), 1));
}

/** The cylinder function of the first or second kind. */
function cylinder(n: Order, second: boolean, x: Value): Value {
  const fit = jAndY[n]();
  const a = ops.abs(x);
  const factor = (v: Value): Value => n === 1 ? ops.mul(v, ops.minimum(a, NEAR)) : v;
  const near = (): Value => {
    const j = factor(nearSum(fit.j, a));
    if (!second) return j;
    const log = ops.mul(ops.mul(ops.log(a), 2 / Math.PI), j);
    const regular = ops.add(factor(nearSum(fit.y, a)), log);
    return n === 0 ? regular : ops.sub(regular, ops.div(2 / Math.PI, a));
  };
  const big = ops.maximum(a, NEAR);
  const z = ops.div(NEAR, big);
  const t = ops.sub(ops.mul(ops.mul(z, z), 2), 1);
  const p = chebyshevSum(fit.p, t), q = ops.mul(chebyshevSum(fit.q, t), z);
  const phase = ops.sub(big, (2 * n + 1) * Math.PI / 4);
  const c = ops.cos(phase), s = ops.sin(phase);
  const wave = second ? ops.add(ops.mul(p, s), ops.mul(q, c)) : ops.sub(ops.mul(p, c), ops.mul(q, s));
  const far = ops.mul(wave, ops.sqrt(ops.div(2 / Math.PI, big)));
  const value = ops.where(ops.isinf(a), 0, ops.where(ops.le(a, NEAR), near(), far));
  if (second) {
    return ops.where(ops.lt(x, 0), NaN, ops.where(ops.eq(x, 0), -Infinity, value));
  }
  return n === 1 ? ops.where(ops.lt(x, 0), ops.neg(value), value) : value;
}

/** The cylinder function of the second kind. */
function second(n: Order, x: Value): Value {
  const value = cylinder(n, true, x);
  if (x.dtype !== float32) return value;
  const fit = intervalFit(`y${n}`, (v) => evaluate((w) => cylinder(n, true, w), v), FITTED, FITTED_TERMS);
  return ops.where(isInside(fit, x), intervalSum(fit, x), value);
}

/** The modified function of the second kind, times exp(x) if scaled. */
function modifiedSecond(n: Order, scaled: boolean, x: Value): Value {
  const value = modifiedSeries(n, scaled, x);
  if (x.dtype !== float32) return value;
  const fit = intervalFit(`k${n}`, (v) => evaluate((w) => modifiedSeries(n, true, w), v), FITTED, FITTED_TERMS);
  const sum = intervalSum(fit, x);
  return ops.where(isInside(fit, x), scaled ? sum : ops.mul(sum, ops.exp(ops.neg(x))), value);
}

function modifiedSeries(n: Order, scaled: boolean, x: Value): Value {
  const fit = scaledFits[n]();
  const small = ops.minimum(ops.maximum(x, 0), NEAR_K);
  const regular = chebyshevSum(fit.near, ops.sub(ops.mul(ops.mul(small, small), 2 / NEAR_K ** 2), 1));
  const log = ops.mul(ops.mul(ops.log(ops.mul(small, 0.5)), besselValue(n, small)), ops.exp(small));
  const near = n === 0 ? ops.sub(regular, log) : ops.add(ops.div(regular, small), log);
  const big = ops.maximum(x, NEAR_K);
  const far = ops.div(chebyshevSum(fit.far, ops.sub(ops.div(2 * NEAR_K, big), 1)), ops.sqrt(big));
  const value = scaled
    ? ops.where(ops.le(x, NEAR_K), ops.mul(near, ops.exp(small)), far)
    : ops.where(ops.le(x, NEAR_K), near, ops.mul(far, ops.exp(ops.neg(big))));
  const bounded = ops.where(ops.eq(x, Infinity), 0, value);
  return ops.where(ops.lt(x, 0), NaN, ops.where(ops.eq(x, 0), Infinity, bounded));
}

/** sin(x)/x to x² = 10, as a polynomial of x². */
const SINC_END = 10;
const sincPowers = once(() => interpolate((z) => z === 0 ? 1 : Math.sin(Math.sqrt(z)) / Math.sqrt(z), 0, SINC_END, 7));

/** sin(x)/x. */
function spherical(x: Value): Value {
  const value = sphericalQuotient(x);
  if (x.dtype !== float32) return value;
  const square = ops.mul(x, x);
  return ops.where(ops.lt(square, SINC_END), powerSum(sincPowers(), square), value);
}

function sphericalQuotient(x: Value): Value {
  const square = ops.mul(x, x);
  const terms = [-1 / 39916800 / 156, 1 / 39916800, -1 / 362880, 1 / 5040, -1 / 120, 1 / 6].map((c) => -c);
  const series = [...terms.slice(1), 1].reduce<Value>(
    (sum, c) => ops.add(ops.mul(sum, square), c),
    ops.constant(terms[0] ?? 0, x.dtype),
  );
  const isSmall = ops.lt(ops.abs(x), 0.5);
  const value = ops.where(isSmall, series, ops.div(ops.sin(x), ops.where(isSmall, 1, x)));
  return ops.where(ops.isinf(x), 0, value);
}

const FUNCTIONS: readonly (readonly [name: string, arg: "self" | "x", doc: string, body: (x: Value) => Value])[] = [
  ...([0, 1] as const).flatMap((n) => {
    const order = `kind of order ${n}`;
    return [
      [`bessel_j${n}`, "self", `The Bessel function of the first ${order}.`, (x) => cylinder(n, false, x)],
      [
        `bessel_y${n}`,
        "self",
        `The Bessel function of the second ${order}.`,
        (x) => second(n, x),
      ],
      [
        `modified_bessel_i${n}`,
        "self",
        `The modified Bessel function of the first ${order}.`,
        (x) => ops.mul(besselValue(n, x), ops.exp(ops.abs(x))),
      ],
      [
        `modified_bessel_k${n}`,
        "self",
        `The modified Bessel function of the second ${order}.`,
        (x) => modifiedSecond(n, false, x),
      ],
      [
        `scaled_modified_bessel_k${n}`,
        "x",
        `exp(x) times the modified Bessel function of the second ${order}.`,
        (x) => modifiedSecond(n, true, x),
      ],
    ] as const satisfies readonly (readonly [string, string, string, (x: Value) => Value])[];
  }),
  ["spherical_bessel_j0", "x", "The spherical Bessel function of order 0, sin(x)/x.", spherical],
];

for (const [name, arg, doc, body] of FUNCTIONS) {
  definePointwise({
    schema: `aten::special_${name}(Tensor ${arg}) -> Tensor` as "aten::special_bessel_j0(Tensor self) -> Tensor",
    doc,
    promotion: "float",
    body: (_, args) => body(Object.values(args)[0] ?? args.self),
    samples: (g) =>
      unarySamples(g, { low: 0.25, high: 12, edges: [0, 1, 0.5, Infinity, NaN, 30, 8, 2], differentiate: false }).map((
        { args: { self = null, ...rest }, ...more },
      ) => ({ ...more, args: { ...rest, [arg]: self } })),
  });
}
