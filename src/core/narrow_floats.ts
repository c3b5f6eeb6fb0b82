/**
 * Floating point types of which JavaScript has no arrays: bfloat16 and the 8-bit types. Memory shows their bits; this is what bits stand for, and back.
 *
 * Enters and leaves: numbers. Rounding is to nearest even, by way of float32 as in PyTorch (`c10/util/Float8_e4m3fn.h`, `Float8_e5m2.h` of version 2.13): what is too
 * large for float8_e4m3fn, infinity included, becomes its largest number; float8_e5m2 has infinities.
 */
import { bfloat16, type DType, float8_e4m3fn, float8_e5m2 } from "./dtype.ts";

/** How numbers of a dtype are held as bits. */
export interface NarrowFloat {
  /** The number that bits stand for. */
  readonly fromBits: (bits: number) => number;
  /** The bits of the nearest number. */
  readonly toBits: (value: number) => number;
  /** The nearest number. */
  readonly round: (value: number) => number;
}

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** The number that bfloat16 bits stand for. */
export function bfloat16FromBits(bits: number): number {
  u32[0] = bits << 16;
  return f32[0] ?? 0;
}

/** The bits of a number rounded to bfloat16, to nearest even. */
export function bfloat16ToBits(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  f32[0] = value;
  const bits = u32[0] ?? 0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Rounds to bfloat16, to nearest even. */
export function roundToBfloat16(value: number): number {
  f32[0] = value;
  if (Number.isNaN(value)) return NaN;
  const bits = u32[0] ?? 0;
  u32[0] = (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000;
  return f32[0] ?? 0;
}

/** An 8-bit type of `mantissa` bits; `special` is the first pattern that is no finite number, `overflow` what is too large. */
function float8(mantissa: number, bias: number, special: number, overflow: number): NarrowFloat {
  const steps = 2 ** mantissa;
  const magnitudes = Float64Array.from({ length: 128 }, (_, bits) => {
    if (bits >= special) return bits === overflow ? Infinity : NaN;
    const [exponent, rest] = [bits >> mantissa, bits & (steps - 1)];
    return exponent === 0 ? rest / steps * 2 ** (1 - bias) : (1 + rest / steps) * 2 ** (exponent - bias);
  });
  const values = Float32Array.from({ length: 256 }, (_, bits) => {
    const magnitude = magnitudes[bits & 127] ?? 0;
    return bits < 128 ? magnitude : -magnitude;
  });
  const [least, unit] = [2 ** (1 - bias), 2 ** (1 - bias) / steps];
  const toBits = (value: number): number => {
    f32[0] = value;
    const sign = (u32[0] ?? 0) >>> 24 & 128;
    const x = Math.abs(f32[0] ?? 0);
    if (Number.isNaN(x)) return sign | 127;
    let bits: number;
    if (x < least) {
      // Units of subnormal numbers, to nearest even by adding a number whose last place one is.
      bits = x / unit + 2 ** 52 - 2 ** 52;
    } else {
      const whole = u32[0] ?? 0;
      const drop = 23 - mantissa;
      const rounded = ((whole & 0x7fffffff) + 2 ** (drop - 1) - 1 + ((whole >>> drop) & 1)) >>> drop;
      bits = rounded - ((127 - bias) << mantissa);
    }
    return sign | (bits >= special ? overflow : bits);
  };
  const fromBits = (bits: number): number => values[bits & 255] ?? 0;
  return { fromBits, toBits, round: (value) => fromBits(toBits(value)) };
}

const FLOATS: ReadonlyMap<DType, NarrowFloat> = new Map([
  [bfloat16, { fromBits: bfloat16FromBits, toBits: bfloat16ToBits, round: roundToBfloat16 }],
  [float8_e4m3fn, float8(3, 7, 127, 126)],
  [float8_e5m2, float8(2, 15, 124, 124)],
]);

/** How a dtype is held as bits, or null where arrays of JavaScript hold its numbers. */
export function narrowFloat(dtype: DType): NarrowFloat | null {
  return FLOATS.get(dtype) ?? null;
}
