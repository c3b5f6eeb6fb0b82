/**
 * Chebyshev series: how smooth functions without a primitive become loop bodies.
 *
 * A function on [-1, 1] is fitted from its values at the Chebyshev nodes, and summed by Clenshaw's recurrence.
 */
import { ops, type Value } from "../loops/mod.ts";

/** Coefficients of the series of `count` terms that meets `f` at the Chebyshev nodes. */
export function chebyshevFit(f: (t: number) => number, count: number): number[] {
  const nodes = Array.from({ length: count }, (_, k) => Math.cos(Math.PI * (k + 0.5) / count));
  const values = nodes.map(f);
  return Array.from({ length: count }, (_, j) => {
    let sum = 0;
    for (let k = 0; k < count; k++) sum += (values[k] ?? 0) * Math.cos(Math.PI * j * (k + 0.5) / count);
    return (j === 0 ? 1 : 2) * sum / count;
  });
}

/** What is summed by Clenshaw's recurrence at once in float32: each of its steps waits for the one before. */
const MOST_TERMS = 6;

/** The sum of a series at `t`; terms too small for the type are left out. */
export function chebyshevSum(coefficients: readonly number[], t: Value): Value {
  const isWide = t.dtype.bytes >= 8;
  const least = isWide ? 1e-17 : 1e-9;
  let last = coefficients.length - 1;
  while (last > 1 && Math.abs(coefficients[last] ?? 0) < least) last--;
  const terms = coefficients.slice(0, last + 1);
  return isWide || terms.length <= MOST_TERMS ? clenshaw(terms, t) : halves(terms, t);
}

/** A number less a value, which is known before what it is added to. */
function less(c: number, v: Value): Value {
  return ops.sub(ops.constant(c, v.dtype), v);
}

function clenshaw(terms: readonly number[], t: Value): Value {
  const twice = ops.mul(t, 2);
  const last = terms.length - 1;
  let b1: Value = ops.constant(last === 0 ? 0 : terms[last] ?? 0, t.dtype), b2: Value = ops.constant(0, t.dtype);
  for (let j = last - 1; j > 0; j--) {
    [b1, b2] = [ops.fma(twice, b1, less(terms[j] ?? 0, b2)), b1];
  }
  return ops.fma(t, b1, less(terms[0] ?? 0, b2));
}

/** Even and odd terms apart, both series of half as many terms at 2t² - 1: T₂ₖ(t) = Tₖ(2t² - 1), and T₂ₖ₊₁(t) = t (2 Tₖ - 2 Tₖ₋₁ + … ± T₀)(2t² - 1). */
function halves(terms: readonly number[], t: Value): Value {
  if (terms.length <= MOST_TERMS) return clenshaw(terms, t);
  const even = terms.filter((_, k) => k % 2 === 0), odd = terms.filter((_, k) => k % 2 === 1);
  let sum = 0;
  const factors = odd.map((_, k) => k).reverse().map((k) => sum = (odd[k] ?? 0) - sum).reverse().map((c, k) =>
    k === 0 ? c : 2 * c
  );
  const at = ops.fma(ops.mul(t, 2), t, -1);
  return ops.fma(t, halves(factors, at), halves(even, at));
}

/**
 * The sum of a series at `t`, by powers of `t`: even and odd ones apart, so that half as many operations wait for each other. For functions that are nearly
 * constant: else coefficients of powers cancel where those of the series do not.
 */
export function chebyshevPowers(coefficients: readonly number[], t: Value): Value {
  const least = t.dtype.bytes >= 8 ? 1e-17 : 1e-9;
  let last = coefficients.length - 1;
  while (last > 1 && Math.abs(coefficients[last] ?? 0) < least) last--;
  const powers = new Array<number>(last + 1).fill(0);
  // T₀ = 1, T₁ = t, Tₖ₊₁ = 2 t Tₖ - Tₖ₋₁
  let before: number[] = [1], own: number[] = [0, 1];
  powers[0] = coefficients[0] ?? 0;
  for (let k = 1; k <= last; k++) {
    own.forEach((c, i) => powers[i] = (powers[i] ?? 0) + c * (coefficients[k] ?? 0));
    const older = before, old = own;
    [before, own] = [old, [0, ...old.map((c) => 2 * c)].map((c, i) => c - (older[i] ?? 0))];
  }
  const square = ops.mul(t, t);
  const sum = (first: number): Value => {
    const top = last - (last - first) % 2;
    let out: Value = ops.constant(powers[top] ?? 0, t.dtype);
    for (let k = top - 2; k >= 0; k -= 2) out = ops.fma(out, square, powers[k] ?? 0);
    return out;
  };
  return ops.fma(sum(1), t, sum(0));
}
