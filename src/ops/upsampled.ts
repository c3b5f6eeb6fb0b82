/**
 * Sizes and checks of interpolation, plain and antialiased.
 *
 * The `vec` overloads, which exported programs call, take an output size or scale factors; a factor rounds the size down.
 */
import { uint8 } from "../core/mod.ts";
import { shapeToText, type Size, sizeFloorDiv, sizeIsZero, sizeMul } from "../symbolic/mod.ts";
import type { MetaInput, TensorSpec } from "./define.ts";

/** The result of interpolating the last `rank` dimensions. @throws {TypeError} on wrong ranks or dtypes; {RangeError} on empty sizes. */
export function upsampledSpec(where: string, rank: number, input: MetaInput, size: readonly Size[]): TensorSpec {
  if (input.shape.length !== rank + 2 || size.length !== rank) {
    throw new TypeError(
      `${where}: needs an input with ${rank + 2} dimensions and ${rank} output sizes, got ${
        shapeToText(input.shape)
      } and ${shapeToText(size)}`,
    );
  }
  if (!where.includes("nearest") && !input.dtype.isFloat && input.dtype !== uint8) {
    throw new TypeError(
      `${where}: needs a floating point or uint8 input, got ${input.dtype.name}; convert with .to(float32)`,
    );
  }
  if (input.shape.slice(1).some(sizeIsZero)) {
    throw new TypeError(`${where}: ${shapeToText(input.shape)} has an empty dimension other than the batch`);
  }
  for (const s of size) {
    if (typeof s === "number" && s < 1) {
      throw new RangeError(`${where}: output sizes must be positive, got ${shapeToText(size)}`);
    }
  }
  return { shape: [...input.shape.slice(0, 2), ...size], dtype: input.dtype };
}

/** Output sizes of a `vec` overload: as given, or the input's times the factors, rounded down. */
export function upsampledSize(
  where: string,
  input: { readonly shape: readonly Size[] },
  outputSize: readonly Size[] | null,
  factors: readonly number[] | null,
): readonly Size[] {
  if (outputSize !== null && factors === null) return outputSize;
  if (outputSize !== null || factors === null) {
    throw new TypeError(`${where}: give either output_size or scale_factors`);
  }
  return factors.map((f, d) => {
    const size = input.shape[d + 2] ?? 1;
    if (Number.isInteger(f)) return sizeMul(size, f);
    const fraction = typeof size === "number" ? null : fractionOf(f);
    if (fraction === null) return Math.floor(Number(size) * f);
    return sizeFloorDiv(sizeMul(size, fraction[0]), fraction[1]);
  });
}

/** Denominators to try: sizes times a numerator stay whole numbers that a float64 holds. */
const MOST_DENOMINATOR = 4096;

/** The fraction that a factor was written as: the one of the smallest denominator that is the same float64; null if there is none. */
function fractionOf(f: number): readonly [number, number] | null {
  for (let q = 2; q <= MOST_DENOMINATOR; q++) {
    const p = Math.round(f * q);
    if (p / q === f) return [p, q];
  }
  return null;
}
