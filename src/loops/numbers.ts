/**
 * What primitives mean on JavaScript numbers: rounding to a dtype, wrap-around of integers, evaluation.
 *
 * Folds constants and runs the reference executor, so that every backend is compared with one definition. 64-bit integers are
 * bigints where they leave the safe range.
 */
import {
  bool,
  type DType,
  float16,
  float32,
  int16,
  int32,
  int64,
  int8,
  InternalError,
  narrowFloat,
  roundToBfloat16,
  uint32,
  uint8,
} from "../core/mod.ts";
import { primitive, type PrimitiveName } from "./primitives.ts";

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

export { roundToBfloat16 };

/** Rounds to the nearest number of a dtype; integers wrap around. A safe int64 is a number, others are bigints. */
export function roundToDtype(value: number | bigint, dtype: DType): number | bigint {
  switch (dtype) {
    case float32:
      return Math.fround(Number(value));
    case float16:
      return Math.f16round(Number(value));
    case bool:
      return Number(value) !== 0 ? 1 : 0;
    case int32:
      return Number(BigInt.asIntN(32, toBigInt(value)));
    case int16:
      return Number(BigInt.asIntN(16, toBigInt(value)));
    case int8:
      return Number(BigInt.asIntN(8, toBigInt(value)));
    case uint8:
      return Number(BigInt.asUintN(8, toBigInt(value)));
    case uint32:
      return Number(BigInt.asUintN(32, toBigInt(value)));
    case int64: {
      if (typeof value === "number" && Number.isSafeInteger(value)) return value === 0 ? 0 : value;
      const wrapped = BigInt.asIntN(64, toBigInt(value));
      const number = Number(wrapped);
      return Number.isSafeInteger(number) ? number : wrapped;
    }
    default:
      return narrowFloat(dtype)?.round(Number(value)) ?? Number(value);
  }
}

function toBigInt(value: number | bigint): bigint {
  if (typeof value === "bigint") return value;
  return Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n;
}

/** The float32 next to `a` in the direction of `b`. */
function nextFloat(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return NaN;
  if (a === b) return b;
  if (a === 0) return b > 0 ? 2 ** -149 : -(2 ** -149);
  f32[0] = a;
  u32[0] = (u32[0] ?? 0) + ((b > a) === (a > 0) ? 1 : -1);
  return f32[0] ?? 0;
}

/** Evaluates a primitive on numbers of `dtype` (the operands' dtype), rounding the result. */
export function evaluatePrimitive(
  op: PrimitiveName,
  args: readonly (number | bigint)[],
  dtype: DType,
): number | bigint {
  const def = primitive(op);
  const [a = 0, b = 0, c = 0] = args;
  if (op === "bitwiseNot" && dtype === bool) return Number(a) !== 0 ? 0 : 1;
  if (op === "where") return Number(a) !== 0 ? b : c;
  if (op === "nextafter" && dtype === float32) return nextFloat(Number(a), Number(b));
  if (dtype.isIntegral && dtype !== bool && def.evaluateBigInt !== undefined) {
    const exact = def.evaluateBigInt(toBigInt(a), toBigInt(b));
    return def.result === "bool" ? Number(exact) : roundToDtype(exact, dtype);
  }
  if (typeof a === "bigint" || typeof b === "bigint") {
    if (dtype !== int64) throw new InternalError(`${op}: a bigint operand of type ${dtype.name}`);
  }
  const result = def.evaluate(Number(a), Number(b), Number(c));
  return def.result === "bool" ? result : roundToDtype(result, dtype);
}
