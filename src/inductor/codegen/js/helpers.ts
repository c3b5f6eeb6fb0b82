/**
 * Functions that generated JavaScript calls: what the language lacks.
 *
 * Each is reached as a local constant of the generated module; only those used are passed in. Meaning: the evaluators of `src/loops/primitives.ts`.
 */
import { digamma, erf, erfc, erfinv, lgamma, PRIMITIVES, roundHalfEven } from "../../../loops/mod.ts";
import { float8_e4m3fn, float8_e5m2, indexErrorText, type NarrowFloat, narrowFloat } from "../../../core/mod.ts";
import { philoxWord } from "../../../loops/philox.ts";

const [e4m3, e5m2] = [float8_e4m3fn, float8_e5m2].map((dtype) => narrowFloat(dtype) as NarrowFloat) as [
  NarrowFloat,
  NarrowFloat,
];
const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);
const i32 = new Int32Array(f32.buffer);
const f64 = new Float64Array(1);
const i64 = new BigInt64Array(f64.buffer);
const f16 = new Float16Array(1);
const u16 = new Uint16Array(f16.buffer);

/** A float32 from the bits of a bfloat16. */
function fromBfloat16(bits: number): number {
  u32[0] = bits << 16;
  return f32[0] as number;
}

/** The bits of the nearest bfloat16. */
function toBfloat16(value: number): number {
  f32[0] = value;
  if (value !== value) return 0x7fc0;
  const bits = u32[0] as number;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** A number of type float32 rounded to float16. Engines call a function for `Math.f16round`; where the result is normal, this is integer arithmetic. */
function roundToFloat16(value: number): number {
  f32[0] = value;
  const bits = i32[0] as number;
  const magnitude = bits & 0x7fffffff;
  // From 2^-14, the least normal number, to 65520, from where on the nearest is infinity.
  if (magnitude < 0x38800000 || magnitude >= 0x477ff000) return Math.f16round(f32[0] as number);
  i32[0] = (bits + 0xfff + ((bits >>> 13) & 1)) & 0xffffe000;
  return f32[0] as number;
}

/** A number of type float32 rounded to bfloat16. */
function roundToBfloat16(value: number): number {
  f32[0] = value;
  const bits = i32[0] as number;
  if ((bits & 0x7fffffff) > 0x7f800000) return NaN;
  i32[0] = (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000;
  return f32[0] as number;
}

/** erf to 2e-11: more than float32 can hold, in a fixed number of steps. */
function erfFast(x: number): number {
  const a = Math.abs(x);
  if (a < 1) {
    const z = x * x;
    return x * 1.1283791670955126 *
      (1 + z * (-1 / 3 + z * (1 / 10 + z * (-1 / 42 + z * (1 / 216 + z * (-1 / 1320 +
                            z *
                              (1 / 9360 +
                                z * (-1 / 75600 + z * (1 / 685440 + z * (-1 / 6894720 + z / 76204800))))))))));
  }
  if (a !== a) return a;
  if (a > 6) return x < 0 ? -1 : 1;
  return x < 0 ? erfc(a) - 1 : 1 - erfc(a);
}

/** The next float32 after `a` towards `b`. */
function nextafter32(a: number, b: number): number {
  if (a !== a || b !== b) return NaN;
  if (a === b) return b;
  f32[0] = a;
  if (a === 0) u32[0] = b > 0 ? 1 : 0x80000001;
  else if ((a < b) === (a > 0)) u32[0] = (u32[0] as number) + 1;
  else u32[0] = (u32[0] as number) - 1;
  return f32[0] as number;
}

/** The next float64 after `a` towards `b`. */
function nextafter64(a: number, b: number): number {
  if (a !== a || b !== b) return NaN;
  if (a === b) return b;
  f64[0] = a;
  if (a === 0) i64[0] = b > 0 ? 1n : -0x7fffffffffffffffn;
  else if ((a < b) === (a > 0)) i64[0] = (i64[0] as bigint) + 1n;
  else i64[0] = (i64[0] as bigint) - 1n;
  return f64[0] as number;
}

function bitsToFloat32(bits: number): number {
  i32[0] = bits;
  return f32[0] as number;
}
function bitsOfFloat32(value: number): number {
  f32[0] = value;
  return i32[0] as number;
}
function bitsToFloat64(bits: bigint | number): number {
  i64[0] = BigInt(bits);
  return f64[0] as number;
}
function bitsOfFloat64(value: number): bigint {
  f64[0] = value;
  return i64[0] as bigint;
}
function bitsToFloat16(bits: number): number {
  u16[0] = bits;
  return f16[0] as number;
}
function bitsOfFloat16(value: number): number {
  f16[0] = value;
  return (u16[0] as number) << 16 >> 16;
}

/** Truncates to an integer and wraps at 64 bits; what is not finite becomes 0. */
function toBigint(value: number): bigint {
  return Number.isFinite(value) ? BigInt.asIntN(64, BigInt(Math.trunc(value))) : 0n;
}

/** Truncates to an integer of at most 32 bits before it wraps; what is not finite becomes 0. */
function toInt32(value: number): number {
  return Math.abs(value) < 2 ** 53
    ? value | 0
    : Number.isFinite(value)
    ? Number(BigInt.asIntN(32, BigInt(Math.trunc(value))))
    : 0;
}

function bigAbs(a: bigint): bigint {
  return a < 0n ? -a : a;
}
const big = (op: "gcd" | "floorDiv" | "floorMod" | "truncDiv" | "truncMod" | "shiftLeft" | "shiftRight") =>
  PRIMITIVES[op].evaluateBigInt as (a: bigint, b: bigint) => bigint;

function bigPow(base: bigint, exponent: bigint): bigint {
  if (exponent < 0n) return base === 1n ? 1n : base === -1n ? (exponent % 2n === 0n ? 1n : -1n) : 0n;
  let result = 1n;
  let b = base;
  for (let e = exponent; e > 0n; e >>= 1n) {
    if (e & 1n) result = BigInt.asIntN(64, result * b);
    b = BigInt.asIntN(64, b * b);
  }
  return result;
}

function intFloorMod(a: number, b: number): number {
  if (b === 0) return 0;
  const r = a % b;
  return r !== 0 && (r < 0) !== (b < 0) ? r + b : r + 0;
}
function intFloorDiv(a: number, b: number): number {
  return b === 0 ? 0 : (a - intFloorMod(a, b)) / b;
}
function intTruncDiv(a: number, b: number): number {
  return b === 0 ? 0 : (a - a % b) / b + 0;
}
function intTruncMod(a: number, b: number): number {
  return b === 0 ? 0 : a % b + 0;
}
function intPow(a: number, b: number): number {
  return Number(bigPow(BigInt(a), BigInt(b)) & 0xffffffffn) | 0;
}

function indexError(value: number | bigint, size: number): never {
  throw new RangeError(indexErrorText(value, size));
}

const scratchArrays: Float64Array[] = [];

/** Working memory of at least `count` numbers; the same for every call with this slot, with undefined content. */
function scratch(slot: number, count: number): Float64Array {
  let array = scratchArrays[slot];
  if (array === undefined || array.length < count) scratchArrays[slot] = array = new Float64Array(count);
  return array;
}

function logAddExp(a: number, b: number): number {
  return a === b ? a + Math.LN2 : Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
}

/** Everything generated code may call, by the name it has there. */
export const JS_HELPERS = {
  erf,
  erfFast,
  erfc,
  erfinv,
  lgamma,
  digamma,
  roundHalfEven,
  roundToFloat16,
  roundToBfloat16,
  fromBfloat16,
  roundToFloat8E4M3: e4m3.round,
  fromFloat8E4M3: e4m3.fromBits,
  toFloat8E4M3: e4m3.toBits,
  roundToFloat8E5M2: e5m2.round,
  fromFloat8E5M2: e5m2.fromBits,
  toFloat8E5M2: e5m2.toBits,
  toBfloat16,
  nextafter32,
  nextafter64,
  bitsToFloat32,
  bitsOfFloat32,
  bitsToFloat64,
  bitsOfFloat64,
  bitsToFloat16,
  bitsOfFloat16,
  toBigint,
  toInt32,
  bigAbs,
  bigFloorDiv: big("floorDiv"),
  bigFloorMod: big("floorMod"),
  bigTruncDiv: big("truncDiv"),
  bigTruncMod: big("truncMod"),
  bigShiftLeft: big("shiftLeft"),
  bigShiftRight: big("shiftRight"),
  bigPow,
  bigGcd: big("gcd"),
  intGcd: PRIMITIVES.gcd.evaluate,
  intFloorMod,
  intFloorDiv,
  intTruncDiv,
  intTruncMod,
  intPow,
  floatFloorDiv: PRIMITIVES.floorDiv.evaluate,
  floatFloorMod: PRIMITIVES.floorMod.evaluate,
  floatPow: PRIMITIVES.pow.evaluate,
  copysign: PRIMITIVES.copysign.evaluate,
  indexError,
  philoxWord,
  scratch,
  logAddExp,
} as const;

/** The name of a helper. */
export type JsHelper = keyof typeof JS_HELPERS;
