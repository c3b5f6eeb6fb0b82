/**
 * C++ types and operations for the dtypes of the tile IR, on scalars and on vectors.
 *
 * `prelude.h` overloads its functions, so most text is the same for both; what differs (masks, constants, broadcasts) is decided here.
 */
import {
  bfloat16,
  bool,
  type DType,
  float16,
  float64,
  float8_e4m3fn,
  float8_e5m2,
  int16,
  int32,
  int64,
  int8,
  InternalError,
  uint32,
  uint8,
} from "../../../core/mod.ts";
import type { CombineOp, PrimitiveName } from "../../../loops/mod.ts";
import type { TileReduceOp } from "../../tile/tile_ir.ts";

/** How values of a dtype are computed on. `n64` is an int64 whose range fits a 32-bit lane (vectors only). */
export type Lane = "f32" | "f64" | "i32" | "u32" | "i64" | "n64" | "mask";

/** The lane of a dtype. */
export function laneOf(dtype: DType, narrow: boolean): Lane {
  if (dtype === bool) return "mask";
  // Complex numbers are only moved: 8 bytes at a time.
  if (dtype === float64 || dtype.isComplex) return "f64";
  if (dtype.isFloat) return "f32";
  if (dtype === int64) return narrow ? "n64" : "i64";
  return dtype === uint32 ? "u32" : "i32";
}

const VECTOR: Record<Lane, string> = {
  f32: "vf32",
  f64: "vd2",
  i32: "vi32",
  u32: "vu32",
  i64: "vl2",
  n64: "vi32",
  mask: "vi32",
};
const SCALAR: Record<Lane, string> = {
  f32: "float",
  f64: "double",
  i32: "int",
  u32: "unsigned",
  i64: "long",
  n64: "long",
  mask: "int",
};

/** The C++ type of a value. */
export function typeText(lane: Lane, vector: boolean): string {
  return vector ? VECTOR[lane] : SCALAR[lane];
}

/** The C++ type of an element in memory. */
export function memoryType(dtype: DType): string {
  switch (dtype.name) {
    case "bool":
      return "bool";
    case "uint8":
      return "unsigned char";
    case "int8":
      return "signed char";
    case "int16":
      return "short";
    case "int32":
      return "int";
    case "uint32":
      return "unsigned";
    case "int64":
      return "long";
    case "float16":
      return "f16";
    case "bfloat16":
      return "bf16";
    case "float8_e4m3fn":
      return "e4m3";
    case "float8_e5m2":
      return "e5m2";
    case "float32":
      return "float";
    case "float64":
    case "complex64":
      return "double";
    default:
      throw new InternalError(`${dtype.name} has no kernels yet`);
  }
}

/** A scalar literal. */
export function literal(value: number | bigint, lane: Lane): string {
  if (lane === "mask") return Number(value) !== 0 ? "1" : "0";
  if (lane === "i64" || lane === "n64") {
    const big = BigInt(value);
    return big <= -(2n ** 63n) ? "(-0x7fffffffffffffffl - 1)" : `${big < 0n ? `(${big}l)` : `${big}l`}`;
  }
  const number = Number(value);
  if (lane === "i32") return number <= -2147483648 ? "(-2147483647 - 1)" : number < 0 ? `(${number})` : String(number);
  if (lane === "u32") return `${number >>> 0}u`;
  const suffix = lane === "f32" ? "f" : "";
  if (Number.isNaN(number)) return lane === "f32" ? '__builtin_nanf("")' : '__builtin_nan("")';
  if (number === Infinity || number === -Infinity) return `(${number < 0 ? "-" : ""}__builtin_inf${suffix}())`;
  const rounded = lane === "f32" ? Math.fround(number) : number;
  if (lane === "f32" && Math.abs(rounded) === Infinity) return `(${rounded < 0 ? "-" : ""}__builtin_inff())`;
  const digits = String(rounded);
  const text = Object.is(rounded, -0) ? "-0.0" : /[.e]/.test(digits) ? digits : `${digits}.0`;
  return text.startsWith("-") ? `(${text}${suffix})` : `${text}${suffix}`;
}

/** A scalar as a vector. */
export function broadcast(text: string, lane: Lane): string {
  switch (lane) {
    case "mask":
      return `tsr_mask(${text})`;
    case "n64":
      return `tsr_set((int)${text})`;
    case "i64":
      return `tsr_set((long)${text})`;
    default:
      return `tsr_set(${text})`;
  }
}

/** Wraps integers of fewer than 32 bits, and rounds half types. */
function wrapTo(text: string, dtype: DType): string {
  switch (dtype) {
    case int16:
      return `tsr_wrap_i16(${text})`;
    case int8:
      return `tsr_wrap_i8(${text})`;
    case uint8:
      return `tsr_wrap_u8(${text})`;
    case float16:
      return `tsr_round_f16(${text})`;
    case bfloat16:
      return `tsr_round_bf16(${text})`;
    case float8_e4m3fn:
      return `tsr_round_e4m3(${text})`;
    case float8_e5m2:
      return `tsr_round_e5m2(${text})`;
    default:
      return text;
  }
}

/** Converts between dtypes. `lane` is the operand's, `to` and `toLane` the result's. */
export function castText(text: string, lane: Lane, from: DType, to: DType, toLane: Lane, vector: boolean): string {
  if (toLane === "mask") {
    if (lane === "mask") return text;
    const zero = literal(0, vector && lane === "n64" ? "i32" : lane);
    return `(${text} != ${zero})`;
  }
  // A mask's lanes are 0 and -1.
  const number = lane === "mask" && vector ? `(${text} & 1)` : text;
  switch (toLane) {
    case "f32":
      return from === to ? number : wrapTo(`tsr_f32(${number})`, to);
    case "f64":
      return `tsr_f64(${number})`;
    case "i64":
      return `tsr_i64(${number})`;
    case "n64":
      return vector ? `tsr_i32(${number})` : `tsr_i64(${number})`;
    case "u32":
      return `tsr_u32(${number})`;
    case "i32":
      return to === int32 ? `tsr_i32(${number})` : wrapTo(`tsr_i32(${number})`, to);
    default:
      return toLane satisfies never;
  }
}

const COMPARISON: Partial<Record<PrimitiveName, string>> = { eq: "==", ne: "!=", lt: "<", le: "<=", gt: ">", ge: ">=" };
const SIGN: Partial<Record<PrimitiveName, string>> = { add: "+", sub: "-", mul: "*", div: "/" };

/** A primitive. Operands have been brought to one lane; `lane` is theirs, `dtype` the operands' dtype. */
export function primitiveText(
  op: PrimitiveName,
  args: readonly string[],
  dtype: DType,
  lane: Lane,
  vector: boolean,
): string {
  const [a = "", b = "", c = ""] = args;
  if (op === "where" || op === "fma") return `tsr_${op}(${a}, ${b}, ${c})`;
  if (lane === "mask") return maskText(op, a, b, vector);
  const comparison = COMPARISON[op];
  if (comparison !== undefined) return `(${a} ${comparison} ${b})`;
  const text = lane === "f32" || lane === "f64" ? floatText(op, a, b) : integerText(op, a, b, lane, vector);
  if (op === "isnan" || op === "isinf" || op === "signbit") return text;
  return wrapTo(text, dtype);
}

function maskText(op: PrimitiveName, a: string, b: string, vector: boolean): string {
  const not = vector ? "~" : "!";
  switch (op) {
    case "add":
    case "maximum":
    case "bitwiseOr":
      return `(${a} | ${b})`;
    case "mul":
    case "minimum":
    case "bitwiseAnd":
      return `(${a} & ${b})`;
    case "sub":
    case "bitwiseXor":
    case "ne":
      return `(${a} ^ ${b})`;
    case "eq":
      return vector ? `(~(${a} ^ ${b}))` : `(${a} == ${b})`;
    case "lt":
      return `(${not}${a} & ${b})`;
    case "le":
      return `(${not}${a} | ${b})`;
    case "gt":
      return `(${a} & ${not}${b})`;
    case "ge":
      return `(${a} | ${not}${b})`;
    case "bitwiseNot":
      return `(${not}${a})`;
    case "neg":
    case "abs":
      return a;
    case "isnan":
    case "isinf":
    case "signbit":
      return vector ? "(vi32){}" : "0";
    default:
      throw new TypeError(`${op} is not defined on bool: convert to a floating point dtype first`);
  }
}

function floatText(op: PrimitiveName, a: string, b: string): string {
  const sign = SIGN[op];
  if (sign !== undefined) return `(${a} ${sign} ${b})`;
  switch (op) {
    case "reciprocal":
      return `tsr_reciprocal(${a})`;
    case "truncDiv":
      return `tsr_trunc(${a} / ${b})`;
    case "floorDiv":
      return `tsr_ffloor_div(${a}, ${b})`;
    case "floorMod":
      return `tsr_ffloor_mod(${a}, ${b})`;
    case "truncMod":
      return `tsr_ftrunc_mod(${a}, ${b})`;
    case "isnan":
      return `(${a} != ${a})`;
    case "maximum":
    case "minimum":
    case "atan2":
    case "hypot":
    case "pow":
    case "copysign":
    case "nextafter":
      return `tsr_${op}(${a}, ${b})`;
    case "bitwiseNot":
    case "bitwiseAnd":
    case "bitwiseOr":
    case "bitwiseXor":
    case "shiftLeft":
    case "shiftRight":
      throw new TypeError(`${op} is not defined on floating point: convert to an integer dtype first`);
    default:
      return `tsr_${op}(${a})`;
  }
}

function integerText(op: PrimitiveName, a: string, b: string, lane: Lane, vector: boolean): string {
  switch (op) {
    case "add":
    case "sub":
    case "mul":
      return `(${a} ${SIGN[op]} ${b})`;
    case "neg":
      return `(-${a})`;
    case "abs":
      return `tsr_abs(${a})`;
    case "maximum":
    case "minimum":
      return `tsr_${op}(${a}, ${b})`;
    case "truncDiv":
      return `tsr_trunc_div(${a}, ${b})`;
    case "floorDiv":
      return `tsr_floor_div(${a}, ${b})`;
    case "floorMod":
      return `tsr_floor_mod(${a}, ${b})`;
    case "truncMod":
      return `tsr_trunc_mod(${a}, ${b})`;
    case "pow":
      return `tsr_ipow(${a}, ${b})`;
    case "gcd":
      return `tsr_gcd(${a}, ${b})`;
    case "bitwiseNot":
      return `(~${a})`;
    case "bitwiseAnd":
      return `(${a} & ${b})`;
    case "bitwiseOr":
      return `(${a} | ${b})`;
    case "bitwiseXor":
      return `(${a} ^ ${b})`;
    case "shiftLeft":
      return `tsr_shl(${a}, ${b})`;
    case "shiftRight":
      return `tsr_shr(${a}, ${b})`;
    case "isnan":
    case "isinf":
      return vector ? "(vi32){}" : "0";
    case "signbit":
      return vector ? `(${a} < ${literal(0, lane === "n64" ? "i32" : lane)})` : `(${a} < 0)`;
    case "trunc":
    case "floor":
    case "ceil":
    case "round":
      return a;
    default:
      throw new TypeError(`${op} is not defined on integers: convert to a floating point dtype first`);
  }
}

/** A value's bits as another type of the same width. */
export function bitcastText(text: string, from: DType, to: DType, vector: boolean): string {
  if (from.isFloat) {
    if (from.bytes === 8) return `tsr_bits_i64(${text})`;
    if (from.bytes === 4) return to.kind === "uint" ? `tsr_u32(tsr_bits_i32(${text}))` : `tsr_bits_i32(${text})`;
    return `tsr_bits_of_${from.name === "float16" ? "f16" : "bf16"}(${text})`;
  }
  if (to.isFloat) {
    if (to.bytes === 8) return `tsr_bits_f64(${text})`;
    if (to.bytes === 4) return `tsr_bits_f32(${text})`;
    return `tsr_${to.name === "float16" ? "f16" : "bf16"}_of_bits(${text})`;
  }
  return castText(text, laneOf(from, false), from, to, laneOf(to, false), vector);
}

/** The neutral element of a combination, as a scalar. */
export function neutral(op: TileReduceOp, lane: Lane): string {
  const integer = lane === "i32" || lane === "u32" || lane === "i64" || lane === "n64";
  switch (op) {
    case "sum":
    case "any":
      return literal(0, lane);
    case "prod":
      return literal(1, lane);
    case "max":
    case "argmax":
    case "logaddexp":
      if (lane === "mask" || lane === "u32") return literal(0, lane);
      return literal(integer ? (lane === "i32" ? -2147483648 : -(2n ** 63n)) : -Infinity, lane);
    case "min":
    case "argmin":
      if (lane === "mask") return "1";
      if (lane === "u32") return "4294967295u";
      return literal(integer ? (lane === "i32" ? 2147483647 : 2n ** 63n - 1n) : Infinity, lane);
    default:
      return op satisfies never;
  }
}

/** The combination of two values of one lane. */
export function combineText(
  op: Exclude<TileReduceOp, "argmax" | "argmin"> | CombineOp,
  a: string,
  b: string,
  dtype: DType,
  lane: Lane,
  vector: boolean,
): string {
  switch (op) {
    case "set":
      return b;
    case "any":
      return lane === "mask" ? `(${a} | ${b})` : primitiveText("maximum", [a, b], dtype, lane, vector);
    case "sum":
      return primitiveText("add", [a, b], dtype, lane, vector);
    case "prod":
      return primitiveText("mul", [a, b], dtype, lane, vector);
    case "max":
      return primitiveText("maximum", [a, b], dtype, lane, vector);
    case "min":
      return primitiveText("minimum", [a, b], dtype, lane, vector);
    case "logaddexp":
      return `tsr_logaddexp(${a}, ${b})`;
    default:
      return op satisfies never;
  }
}

/** Combines the lanes of a vector into a scalar. */
export function foldText(op: Exclude<TileReduceOp, "argmax" | "argmin">, text: string, lane: Lane): string {
  if (lane === "mask") return op === "prod" || op === "min" ? `(!tsr_any(~${text}))` : `tsr_any(${text})`;
  switch (op) {
    case "sum":
      return `tsr_sum(${text})`;
    case "prod":
      return `tsr_prod(${text})`;
    case "any":
    case "max":
      return `tsr_hmax(${text})`;
    case "min":
      return `tsr_hmin(${text})`;
    case "logaddexp":
      return `tsr_hlogaddexp(${text})`;
    default:
      return op satisfies never;
  }
}
