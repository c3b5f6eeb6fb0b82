/**
 * Decides whether a result is the expected one, and says how not.
 *
 * float32 and float64: 1e-5 of the output's norm (the largest expected magnitude, the strictest of the usual norms for one element) plus 1e-6. Half
 * types: 2 units in the last place of what is not a subnormal float16; where 0 is expected of a bfloat16, what float32 cannot tell from 0 beside 1. Integers and bool: equal. NaN and infinities must stand in the same places.
 */
import type { DType } from "../../src/core/mod.ts";
import type { HostArray } from "../../src/ops/mod.ts";

/** The first difference as a sentence, or null. */
export function difference(dtype: DType, got: HostArray, expected: HostArray, slack = 1): string | null {
  if (got.length !== expected.length) return `${got.length} elements, expected ${expected.length}`;
  if (!dtype.isFloat && !dtype.isComplex) {
    for (let i = 0; i < expected.length; i++) {
      if (got[i] !== expected[i]) return `element ${i} is ${got[i]}, expected ${expected[i]}`;
    }
    return null;
  }
  let largest = 0;
  for (const v of expected) if (Number.isFinite(Number(v))) largest = Math.max(largest, Math.abs(Number(v)));
  for (let i = 0; i < expected.length; i++) {
    const a = Number(got[i]);
    const b = Number(expected[i]);
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const tolerance = dtype.bytes === 2
      ? 2 * dtype.eps *
        Math.max(Math.abs(b), largest * 2 ** -6, dtype.name === "float16" ? 2 ** -14 : b === 0 ? 2 ** -24 : 1e-30)
      : 1e-5 * largest + 1e-6;
    if (!(Math.abs(a - b) <= tolerance * slack)) return `element ${i} is ${a}, expected ${b}`;
  }
  return null;
}
