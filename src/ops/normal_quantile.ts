/**
 * The inverse of the standard normal distribution function, accurate in both tails.
 *
 * Near one half it is an odd series in p - 1/2; in the tails, with z = √(-2 log p), it is z - log(z)/z less a rational function of 1/z. Coefficients after Cephes
 * (`ndtri`), which ATen follows. By way of erfinv(2p - 1), probabilities below the spacing of numbers near 1 would be lost.
 */
import { float32 } from "../core/mod.ts";
import { ops, type Value } from "../loops/mod.ts";
import { evaluate, intervalFit, type Intervals, intervalSum, isInside } from "./interval_fit.ts";

/** Where the series around one half ends. */
const TAIL = Math.exp(-2);

// deno-fmt-ignore -- coefficients, highest power first
const MIDDLE = {
  above: [-59.9633501014107895267, 98.0010754185999661536, -56.6762857469070293439, 13.9312609387279679503, -1.23916583867381258016],
  below: [1, 1.95448858338141759834, 4.67627912898881538453, 86.3602421390890590575, -225.462687854119370527, 200.260212380060660359,
    -82.0372256168333339912, 15.9056225126211695515, -1.18331621121330003142],
};
// deno-fmt-ignore
const NEAR = {
  above: [4.05544892305962419923, 31.5251094599893866154, 57.1628192246421288162, 44.0805073893200834700, 14.6849561928858024014,
    2.18663306850790267539, -0.140256079171354495875, -0.0350424626827848203418, -8.57456785154685413611e-4],
  below: [1, 15.7799883256466749731, 45.3907635128879210584, 41.3172038254672030440, 15.0425385692907503408, 2.50464946208309415979,
    -0.142182922854787788574, -0.0380806407691578277194, -9.33259480895457427372e-4],
};
// deno-fmt-ignore
const FAR = {
  above: [3.23774891776946035970, 6.91522889068984211695, 3.93881025292474443415, 1.33303460815807542389, 0.201485389549179081538,
    0.0123716634817820021358, 3.01581553508235416007e-4, 2.65806974686737550832e-6, 6.23974539184983293730e-9],
  below: [1, 6.02427039364742014255, 3.67983563856160859403, 1.37702099489081330271, 0.216236993594496635890, 0.0134204006088543189037,
    3.28014464682127739104e-4, 2.89247864745380683936e-6, 6.79019408009981274425e-9],
};

interface Rational {
  readonly above: readonly number[];
  readonly below: readonly number[];
}

function rational(x: Value, { above, below }: Rational): Value {
  const polynomial = (coefficients: readonly number[]): Value =>
    coefficients.slice(1).reduce<Value>((sum, c) => ops.fma(sum, x, c), ops.constant(coefficients[0] ?? 0, x.dtype));
  return ops.div(polynomial(above), polynomial(below));
}

/** Where 4p(1 - p) is, and the quantile is 2p - 1 times a polynomial of it by intervals, in float32: p from 0.001 to 0.999. */
const FITTED: Intervals = { first: -8, parts: 4, count: 32 };

/** The number below which a standard normal variable stays with probability `p`; -∞ at 0, ∞ at 1, NaN outside. */
export function normalQuantile(p: Value): Value {
  const value = quantileByRanges(p);
  if (p.dtype !== float32) return value;
  const fit = intervalFit(
    "normal quantile",
    (q) => {
      const root = Math.sqrt(1 - q);
      return -evaluate(quantileByRanges, q / (2 + 2 * root)) / root;
    },
    FITTED,
    7,
  );
  const q = ops.mul(ops.mul(p, 4), ops.sub(1, p));
  return ops.where(isInside(fit, q), ops.mul(ops.fma(p, ops.constant(2, float32), -1), intervalSum(fit, q)), value);
}

function quantileByRanges(p: Value): Value {
  const centred = ops.sub(p, 0.5), square = ops.mul(centred, centred);
  const middle = ops.mul(
    ops.fma(centred, ops.mul(square, rational(square, MIDDLE)), centred),
    Math.sqrt(2 * Math.PI),
  );
  const rest = ops.sub(1, p);
  const tail = ops.minimum(p, rest);
  const z = ops.sqrt(ops.mul(ops.log(ops.minimum(tail, TAIL)), -2));
  const inverse = ops.div(1, z);
  const correction = ops.mul(inverse, ops.where(ops.lt(z, 8), rational(inverse, NEAR), rational(inverse, FAR)));
  const size = ops.sub(ops.sub(z, ops.mul(ops.log(z), inverse)), correction);
  const outer = ops.where(ops.lt(p, rest), ops.neg(size), size);
  const inside = ops.where(ops.gt(tail, TAIL), middle, outer);
  return ops.where(ops.eq(p, 0), -Infinity, ops.where(ops.eq(p, 1), Infinity, inside));
}
