/**
 * Further functions: polygamma, entropies, normal distribution, number theory, parts of complex numbers.
 *
 * Pointwise bodies of a few primitives. Series are cut where the rest is below the precision of float64 for arguments above -3. Mirrors the
 * `special_*` functions of ATen.
 */
import { float32, float64, int32 } from "../core/mod.ts";
import { ops, type Value } from "../loops/mod.ts";
import { broadcastShapes, sizeMul } from "../symbolic/mod.ts";
import { definePointwise, defineScalarOverload, isMetaInput } from "./combinators.ts";
import { defineOp } from "./define.ts";
import { reduceGrad } from "./gradient.ts";
import { endOf, evaluate, intervalFit, type Intervals, intervalSum } from "./interval_fit.ts";
import { binarySamples, unarySamples } from "./sample_sets.ts";
import type { SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** Bernoulli numbers B_2, B_4, … divided by (2k)!, of the Euler-Maclaurin series. */
const BERNOULLI = [1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000];
const SHIFT = 12;
/** Below it, derivatives of digamma are those of its mirror image. */
const LEAST_DIRECT = -2;

function power(x: Value, n: number): Value {
  let out = x;
  for (let i = 1; i < n; i++) out = ops.mul(out, x);
  return out;
}

/** Hurwitz zeta, Σ 1 / (x + k)^s over k ≥ 0, for integers s ≥ 2. */
function zeta(s: number, x: Value): Value {
  let sum: Value | null = null;
  for (let k = 0; k < SHIFT; k++) {
    const term = ops.reciprocal(power(ops.add(x, k), s));
    sum = sum === null ? term : ops.add(sum, term);
  }
  const w = ops.add(x, SHIFT);
  const tail = ops.reciprocal(power(w, s - 1));
  let rest = ops.add(ops.div(tail, s - 1), ops.div(ops.div(tail, w), 2));
  let factor = s;
  let term = ops.div(tail, ops.mul(w, w));
  BERNOULLI.forEach((b, k) => {
    rest = ops.add(rest, ops.mul(term, b * factor));
    term = ops.div(term, ops.mul(w, w));
    factor *= (s + 2 * k + 1) * (s + 2 * k + 2);
  });
  return sum === null ? rest : ops.add(sum, rest);
}

/** Where ζ(s, x + 1) is a polynomial, in float32: x + 1 from 1 to 16. */
const FITTED: Intervals = { first: 0, parts: 4, count: 16 };
/** Beyond this order such polynomials would have to be longer. */
const MOST_FITTED = 4;

/** The n-th derivative of digamma: of positive float32 below 15 as x^-(n + 1) + ζ(n + 1, x + 1), times n!. */
function polygamma(n: number, x: Value): Value {
  const value = polygammaSeries(n, x);
  if (x.dtype !== float32 || n === 0 || n > MOST_FITTED) return value;
  const fit = intervalFit(`polygamma ${n}`, (v) => evaluate((w) => polygammaSeries(n, w), v), FITTED, n < 3 ? 7 : 8);
  const factorial = [1, 1, -2, 6, -24][n] ?? NaN;
  const near = ops.add(intervalSum(fit, ops.add(x, 1)), ops.div(ops.constant(factorial, float32), power(x, n + 1)));
  const inside = ops.bitwiseAnd(ops.gt(x, 0), ops.lt(x, endOf(FITTED) - 1));
  return ops.where(inside, near, value);
}

function polygammaSeries(n: number, x: Value): Value {
  if (n === 0) return ops.digamma(x);
  if (n === 1) {
    // Below 1/2 the reflection formula: trigamma(x) + trigamma(1 - x) = (π / sin πx)².
    const reflected = ops.lt(x, 0.5);
    const value = zeta(2, ops.where(reflected, ops.sub(1, x), x));
    const p = ops.div(Math.PI, ops.sin(ops.mul(x, Math.PI)));
    return ops.where(reflected, ops.sub(ops.mul(p, p), value), value);
  }
  let factorial = 1;
  for (let i = 2; i <= n; i++) factorial *= i;
  const sign = n % 2 === 0 ? -1 : 1;
  // Where the series ends too early, the reflection formula: ψₙ(x) = (-1)ⁿ ψₙ(1 - x) - π dⁿ/dxⁿ cot πx.
  const reflected = ops.lt(x, LEAST_DIRECT);
  const value = ops.mul(zeta(n + 1, ops.where(reflected, ops.sub(1, x), x)), sign * factorial);
  const mirrored = ops.sub(ops.mul(value, -sign), slopeOfCotangent(n, x));
  const isPole = ops.eq(x, ops.floor(x));
  return ops.where(reflected, ops.where(isPole, sign * Infinity, mirrored), value);
}

/** π times the n-th derivative of cot πx: a polynomial P of the cotangent, of which P' (-1 - cot²) is the next one. */
function slopeOfCotangent(n: number, x: Value): Value {
  let powers = [0, 1];
  for (let i = 0; i < n; i++) {
    const next = new Array<number>(powers.length + 1).fill(0);
    for (let k = 1; k < powers.length; k++) {
      const slope = k * (powers[k] ?? 0);
      next[k - 1] = (next[k - 1] ?? 0) - slope;
      next[k + 1] = (next[k + 1] ?? 0) - slope;
    }
    powers = next;
  }
  // Nothing is lost in the distance from the next integer, nor in that from the middle, where the cotangent is 0.
  const rest = ops.sub(x, ops.round(x));
  const middle = ops.sub(0.5, ops.abs(rest));
  const cot = ops.div(ops.sin(ops.mul(middle, Math.PI)), ops.sin(ops.mul(rest, Math.PI)));
  const square = ops.mul(cot, cot);
  let sum: Value = ops.constant(powers[n + 1] ?? 0, x.dtype);
  for (let k = n - 1; k >= 0; k -= 2) sum = ops.fma(sum, square, powers[k] ?? 0);
  return ops.mul(n % 2 === 0 ? ops.mul(sum, cot) : sum, Math.PI ** (n + 1));
}

definePointwise({
  schema: "aten::polygamma(int n, Tensor self) -> Tensor",
  doc: "The n-th derivative of digamma.",
  promotion: "float",
  check: ({ n }) => {
    if (Number(n) < 0) throw new RangeError(`polygamma: n is ${n}; it must not be negative`);
  },
  body: (_, { n, self }) => polygamma(Number(n), self),
  vjp: ({ n, self }, { grad, F }) => ({ self: () => grad.mul(F.polygamma(Number(n) + 1, self)) }),
  samples: (g) =>
    [0, 1, 2, 4].map((n) => ({
      name: `order ${n}`,
      args: { n, self: g.tensor([3, 4], { values: "uniform", low: 0.5, high: 3 }) },
    })),
});

const xlog1py = definePointwise({
  schema: "aten::special_xlog1py(Tensor self, Tensor other) -> Tensor",
  doc: "self × log(1 + other), 0 where self is 0.",
  promotion: "float",
  body: (_, { self, other }) =>
    ops.where(ops.isnan(other), NaN, ops.where(ops.eq(self, 0), 0, ops.mul(self, ops.log1p(other)))),
  vjp: ({ self, other }, { grad, F }) => ({
    self: () => {
      const log = F.log1p(other), flat = F.logicalAnd(F.eq(self, 0), F.logicalNot(F.gt(log, -Infinity)));
      return reduceGrad(F.where(flat, 0, grad.mul(log)), self);
    },
    other: () => reduceGrad(grad.mul(F.div(self, F.add(other, 1))), other),
  }),
  samples: (g) => binarySamples(g, { low: 0.3, high: 3 }),
});
defineScalarOverload(xlog1py, "aten::special_xlog1py.self_scalar(Scalar self, Tensor other) -> Tensor");
defineScalarOverload(xlog1py, "aten::special_xlog1py.other_scalar(Tensor self, Scalar other) -> Tensor");

definePointwise({
  schema: "aten::special_entr(Tensor self) -> Tensor",
  doc: "-self × log(self); 0 at 0, -∞ below.",
  promotion: "float",
  body: (_, { self }) => {
    const positive = ops.mul(ops.neg(self), ops.log(self));
    return ops.where(
      ops.isnan(self),
      self,
      ops.where(ops.gt(self, 0), positive, ops.where(ops.eq(self, 0), 0, ops.constant(-Infinity, self.dtype))),
    );
  },
  vjp: ({ self }, { grad }) => ({ self: () => grad.mul(self.log().add(1).neg()) }),
  samples: (g) => unarySamples(g, { low: 0.2, high: 3 }),
});

definePointwise({
  schema: "aten::special_ndtr(Tensor self) -> Tensor",
  doc: "The distribution function of the standard normal distribution.",
  promotion: "float",
  body: (_, { self }) => ops.mul(ops.add(ops.erf(ops.mul(self, Math.SQRT1_2)), 1), 0.5),
  vjp: ({ self }, { grad }) => ({
    self: () => grad.mul(self.mul(self).mul(-0.5).exp().mul(1 / Math.sqrt(2 * Math.PI))),
  }),
  samples: (g) => unarySamples(g),
});

for (const name of ["gcd", "lcm"] as const) {
  definePointwise({
    schema: `aten::${name}(Tensor self, Tensor other) -> Tensor`,
    doc: name === "gcd" ? "The greatest common divisor." : "The least common multiple.",
    promotion: "integer",
    inplace: true,
    body: (_, { self, other }) => {
      if (name === "gcd") return ops.gcd(self, other);
      // Short integers overflow when they are stored, after their signs are gone.
      const isShort = self.dtype.bytes < 4;
      const [x, y] = isShort ? [ops.cast(self, int32), ops.cast(other, int32)] : [self, other];
      const a = ops.gcd(x, y);
      const least = ops.where(ops.eq(a, 0), 0, ops.abs(ops.mul(ops.truncDiv(x, a), y)));
      return isShort ? ops.cast(least, self.dtype) : least;
    },
    samples: (g: SampleGenerator) => g.dtype.kind === "int" ? binarySamples(g, { low: 1, high: 40, both: true }) : [],
  });
}

for (
  const [overload, self, exponent] of [["Tensor_Tensor", "Tensor", "Tensor"], ["Tensor_Scalar", "Tensor", "Scalar"], [
    "Scalar",
    "Scalar",
    "Tensor",
  ]] as const
) {
  defineOp({
    schema:
      `aten::float_power.${overload}(${self} self, ${exponent} exponent) -> Tensor` as "aten::float_power.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor",
    doc: "self to the power of exponent, in float64.",
    meta: (args) => {
      const tensors = Object.values(args).filter(isMetaInput);
      return { shape: broadcastShapes("float_power", ...tensors.map((t) => t.shape)), dtype: float64 };
    },
    decompose: ({ self: base, exponent: power }, F) => {
      const wide = (x: TensorValue): TensorValue => typeof x === "object" && "to" in x ? x.to(float64) : x;
      return F.pow(wide(base), wide(power)).to(float64);
    },
    samples: (g: SampleGenerator) => [{
      args: {
        self: self === "Tensor" ? g.tensor([3], { values: [1, 2, 3] }) : 2,
        exponent: exponent === "Tensor" ? g.tensor([3], { values: [2, 1, 3] }) : 2,
      },
    }],
  });
}

/** Real tensors are their own conjugates and real parts; `complex_forms.ts` says what becomes of complex ones. */
for (const name of ["real", "resolve_conj", "resolve_neg", "conj", "conj_physical"] as const) {
  const alias = name === "conj_physical" ? "" : "(a)";
  defineOp({
    schema: `aten::${name}(Tensor${alias} self) -> Tensor${alias}` as "aten::real(Tensor(a) self) -> Tensor(a)",
    doc: "The tensor itself: it is real.",
    meta: ({ self }) => {
      const { shape, dtype, stride, storageOffset } = self;
      // The pairs' first numbers; what other names mean on complex tensors keeps their type.
      if (dtype.isComplex && name === "real") {
        return {
          shape,
          dtype: float32,
          stride: stride.map((s) => sizeMul(s, 2)),
          storageOffset: sizeMul(storageOffset, 2),
        };
      }
      return { shape, dtype, stride, storageOffset };
    },
    decompose: ({ self }) => self,
    samples: (g: SampleGenerator) => [{ args: { self: g.tensor([2, 3]) } }],
  });
}

definePointwise({
  schema: "aten::angle(Tensor self) -> Tensor",
  doc: "π where self is negative, else 0; NaN stays NaN.",
  promotion: "float",
  body: (_, { self }) =>
    ops.where(ops.isnan(self), self, ops.where(ops.lt(self, 0), Math.PI, ops.constant(0, self.dtype))),
  vjp: (_, { grad, F }) => ({ self: () => F.zerosLike(grad) }),
  samples: (g) => unarySamples(g, { differentiate: false }),
});
