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

/** The sum of a series at `t`; terms too small for the type are left out. */
export function chebyshevSum(coefficients: readonly number[], t: Value): Value {
  const least = t.dtype.bytes >= 8 ? 1e-17 : 1e-9;
  let last = coefficients.length - 1;
  while (last > 1 && Math.abs(coefficients[last] ?? 0) < least) last--;
  const twice = ops.mul(t, 2);
  let b1: Value = ops.constant(0, t.dtype), b2: Value = ops.constant(0, t.dtype);
  for (let j = last; j > 0; j--) [b1, b2] = [ops.add(ops.sub(ops.mul(twice, b1), b2), coefficients[j] ?? 0), b1];
  return ops.add(ops.sub(ops.mul(t, b1), b2), coefficients[0] ?? 0);
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
    let out: Value = ops.constant(0, t.dtype);
    for (let k = last - (last - first) % 2; k >= 0; k -= 2) out = ops.add(ops.mul(out, square), powers[k] ?? 0);
    return out;
  };
  return ops.add(ops.mul(sum(1), t), sum(0));
}
