/**
 * Primitives, casts, loads and stores as JavaScript expressions on scalars.
 *
 * Floats are numbers, rounded only where they are stored, where rounding is the point (casts) and where it shows (comparisons, whole parts); bools are booleans; integers of up to 32 bits are
 * numbers that are wrapped after each operation; int64 is a number or a bigint (see `integers.ts`).
 */
import {
  bfloat16,
  bool,
  type DType,
  float16,
  float32,
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
import type { JsHelper } from "./helpers.ts";

/** An expression and how an int64 is held in it. */
export interface Scalar {
  readonly text: string;
  readonly dtype: DType;
  readonly big: boolean;
}

/** Asks for a helper; returns its name. */
export type UseHelper = (name: JsHelper) => string;

/** Text of a constant. */
export function constantText(value: number | bigint, dtype: DType, big: boolean): string {
  if (dtype === bool) return Number(value) !== 0 ? "true" : "false";
  if (big) return `${BigInt(value)}n`;
  const number = Number(value);
  if (Object.is(number, -0)) return "-0";
  if (number === Infinity || number === -Infinity || Number.isNaN(number)) {
    return number < 0 ? "-Infinity" : String(number);
  }
  return number < 0 ? `(${number})` : String(number);
}

/** A scalar as a number (for indices and floating point). */
export function asNumber(s: Scalar): string {
  if (s.dtype === bool) return `(${s.text} ? 1 : 0)`;
  return s.big ? `Number(${s.text})` : s.text;
}

/** A scalar as a bigint. */
export function asBigint(s: Scalar): string {
  return s.big ? s.text : s.dtype === bool ? `(${s.text} ? 1n : 0n)` : `BigInt(${s.text})`;
}

/** Wraps the text of an integer to its type. */
function wrap(text: string, dtype: DType): string {
  switch (dtype) {
    case int32:
      return `(${text} | 0)`;
    case int16:
      return `(${text} << 16 >> 16)`;
    case int8:
      return `(${text} << 24 >> 24)`;
    case uint8:
      return `(${text} & 255)`;
    case uint32:
      return `(${text} >>> 0)`;
    default:
      return text;
  }
}

/** The end of helpers' names for a dtype whose elements are held as bits. */
export function narrowName(dtype: DType): "Bfloat16" | "Float8E4M3" | "Float8E5M2" | null {
  switch (dtype) {
    case bfloat16:
      return "Bfloat16";
    case float8_e4m3fn:
      return "Float8E4M3";
    case float8_e5m2:
      return "Float8E5M2";
    default:
      return null;
  }
}

/** Converts; `big` says how an int64 result is held. */
export function castText(s: Scalar, to: DType, big: boolean, use: UseHelper): string {
  const from = s.dtype;
  if (to === bool) {
    if (from === bool) return s.text;
    return s.big ? `(${s.text} !== 0n)` : `(${s.text} !== 0)`;
  }
  if (to.isFloat) {
    const number = asNumber(s);
    switch (to) {
      case float32:
        return from === float64 || from === int64 || from === int32 || from === uint32
          ? `Math.fround(${number})`
          : number;
      case float16:
        return from === float32 ? `${use("roundToFloat16")}(${number})` : `Math.f16round(${number})`;
      default: {
        const narrow = narrowName(to);
        if (narrow !== null) return from === bool ? number : `${use(`roundTo${narrow}`)}(${number})`;
        return from === float32 ? rounded(number) : number;
      }
    }
  }
  const given = from === float32 ? rounded(s.text) : s.text;
  if (to === int64) {
    if (from.isFloat) return big ? `${use("toBigint")}(${given})` : `Math.trunc(${given})`;
    return big ? asBigint(s) : asNumber(s);
  }
  if (from.isFloat) return wrap(`${use("toInt32")}(${given})`, to);
  if (s.big) {
    return to === uint8 || to === uint32
      ? `Number(BigInt.asUintN(${to.bytes * 8}, ${s.text}))`
      : `Number(BigInt.asIntN(${to.bytes * 8}, ${s.text}))`;
  }
  const number = asNumber(s);
  return from === bool ? number : wrap(number, to);
}

/** A primitive on operands of one type. `big` says how an int64 result is held. */
export function primitiveText(
  op: PrimitiveName,
  args: readonly Scalar[],
  dtype: DType,
  big: boolean,
  use: UseHelper,
): string {
  const [a, b, c] = args;
  if (a === undefined) throw new InternalError(`${op} has no operands`);
  if (op === "where") {
    if (b === undefined || c === undefined) throw new InternalError("where takes three operands");
    const pick = (s: Scalar): string => dtype !== int64 ? s.text : big ? asBigint(s) : asNumber(s);
    return `(${a.text} ? ${pick(b)} : ${pick(c)})`;
  }
  const type = a.dtype;
  if (type === bool) return boolText(op, a.text, b?.text ?? "");
  if (type.isFloat) {
    const operand = (s: Scalar | undefined): string =>
      s === undefined ? "" : type === float32 && ROUNDING_SHOWS.has(op) ? rounded(s.text) : s.text;
    const text = op === "fma"
      ? `(${a.text} * ${b?.text ?? ""} + ${c?.text ?? ""})`
      : floatText(op, operand(a), operand(b), type, use);
    if (dtype === float16) return `Math.f16round(${text})`;
    const narrow = narrowName(dtype);
    return narrow === null ? text : `${use(`roundTo${narrow}`)}(${text})`;
  }
  if (type === int64 && (big || args.some((x) => x.big))) {
    const text = bigintText(op, asBigint(a), b === undefined ? "" : asBigint(b), use);
    return dtype === bool || big ? text : `Number(${text})`;
  }
  return intText(op, a.text, b?.text ?? "", type, use);
}

/**
 * Operators whose result jumps: they see float32 operands rounded as if stored, so that a value that is computed again (the operand of a maximum, in
 * the maximum's gradient, say) equals the one in memory.
 */
const ROUNDING_SHOWS: ReadonlySet<PrimitiveName> = new Set<PrimitiveName>([
  "eq",
  "ne",
  "lt",
  "le",
  "gt",
  "ge",
  "floor",
  "ceil",
  "trunc",
  "round",
  "floorDiv",
  "truncDiv",
  "floorMod",
  "truncMod",
  "isinf",
]);

/** A float32 number as it would come back from memory. */
function rounded(text: string): string {
  return /^\(?-?[\d.]+\)?$/.test(text) ? text : `Math.fround(${text})`;
}

const COMPARISONS: Partial<Record<PrimitiveName, string>> = {
  eq: "===",
  ne: "!==",
  lt: "<",
  le: "<=",
  gt: ">",
  ge: ">=",
};

function boolText(op: PrimitiveName, a: string, b: string): string {
  const comparison = COMPARISONS[op];
  if (comparison !== undefined) return `(${a} ${comparison} ${b})`;
  switch (op) {
    case "add":
    case "maximum":
    case "bitwiseOr":
      return `(${a} || ${b})`;
    case "mul":
    case "minimum":
    case "bitwiseAnd":
      return `(${a} && ${b})`;
    case "sub":
    case "bitwiseXor":
      return `(${a} !== ${b})`;
    case "bitwiseNot":
      return `(!${a})`;
    case "neg":
    case "abs":
      return a;
    case "isnan":
    case "isinf":
    case "signbit":
      return "false";
    default:
      throw new TypeError(`${op} is not defined on bool: convert to a floating point dtype first`);
  }
}

const MATH: Partial<Record<PrimitiveName, string>> = {
  abs: "abs",
  sqrt: "sqrt",
  exp: "exp",
  expm1: "expm1",
  log: "log",
  log2: "log2",
  log10: "log10",
  log1p: "log1p",
  sin: "sin",
  cos: "cos",
  tan: "tan",
  asin: "asin",
  acos: "acos",
  atan: "atan",
  sinh: "sinh",
  cosh: "cosh",
  tanh: "tanh",
  asinh: "asinh",
  acosh: "acosh",
  atanh: "atanh",
  floor: "floor",
  ceil: "ceil",
  trunc: "trunc",
};

const SIGNS: Partial<Record<PrimitiveName, string>> = { add: "+", sub: "-", mul: "*", div: "/" };

function floatText(op: PrimitiveName, a: string, b: string, type: DType, use: UseHelper): string {
  const math = MATH[op];
  if (math !== undefined) return `Math.${math}(${a})`;
  const sign = SIGNS[op] ?? COMPARISONS[op];
  if (sign !== undefined) return `(${a} ${sign} ${b})`;
  switch (op) {
    case "neg":
      return `(-${a})`;
    case "maximum":
      return `Math.max(${a}, ${b})`;
    case "minimum":
      return `Math.min(${a}, ${b})`;
    case "truncDiv":
      return `Math.trunc(${a} / ${b})`;
    case "floorDiv":
      return `${use("floatFloorDiv")}(${a}, ${b})`;
    case "floorMod":
      return `${use("floatFloorMod")}(${a}, ${b})`;
    case "truncMod":
      return `(${a} % ${b})`;
    case "pow":
      return `${use("floatPow")}(${a}, ${b})`;
    case "rsqrt":
      return `(1 / Math.sqrt(${a}))`;
    case "reciprocal":
      return `(1 / ${a})`;
    case "exp2":
      return `(2 ** ${a})`;
    case "sigmoid":
      return `(1 / (1 + Math.exp(-${a})))`;
    case "erf":
      return `${use(type === float64 ? "erf" : "erfFast")}(${a})`;
    case "erfc":
    case "erfinv":
    case "lgamma":
    case "digamma":
      return `${use(op)}(${a})`;
    case "round":
      return `${use("roundHalfEven")}(${a})`;
    case "atan2":
      return `Math.atan2(${a}, ${b})`;
    case "hypot":
      return `Math.hypot(${a}, ${b})`;
    case "copysign":
      return `${use("copysign")}(${a}, ${b})`;
    case "nextafter":
      return `${use(type === float64 ? "nextafter64" : "nextafter32")}(${a}, ${b})`;
    case "isnan":
      return `(${a} !== ${a})`;
    case "isinf":
      return `(${a} === Infinity || ${a} === -Infinity)`;
    case "signbit":
      return `(${a} < 0 || ${a} === 0 && 1 / ${a} < 0)`;
    default:
      throw new TypeError(`${op} is not defined on ${type.name}: convert to a floating point dtype first`);
  }
}

function intText(op: PrimitiveName, a: string, b: string, type: DType, use: UseHelper): string {
  const comparison = COMPARISONS[op];
  if (comparison !== undefined) return `(${a} ${comparison} ${b})`;
  const wide = type === int64;
  switch (op) {
    case "neg":
      return wrap(wide ? `(0 - ${a})` : `-${a}`, type);
    case "abs":
      return wrap(`Math.abs(${a})`, type);
    case "add":
      return wrap(`(${a} + ${b})`, type);
    case "sub":
      return wrap(`(${a} - ${b})`, type);
    case "mul":
      return wide ? `(${a} * ${b} + 0)` : wrap(`Math.imul(${a}, ${b})`, type);
    case "maximum":
      return `Math.max(${a}, ${b})`;
    case "minimum":
      return `Math.min(${a}, ${b})`;
    case "truncDiv":
      return wrap(`${use("intTruncDiv")}(${a}, ${b})`, type);
    case "floorDiv":
      return wrap(`${use("intFloorDiv")}(${a}, ${b})`, type);
    case "floorMod":
      return wrap(`${use("intFloorMod")}(${a}, ${b})`, type);
    case "truncMod":
      return `${use("intTruncMod")}(${a}, ${b})`;
    case "pow":
      return wrap(`${use("intPow")}(${a}, ${b})`, type);
    case "gcd":
      return wrap(`${use("intGcd")}(${a}, ${b})`, type);
    case "bitwiseNot":
      return wide ? `(-1 - ${a})` : wrap(`~${a}`, type);
    case "bitwiseAnd":
      return wide ? wideBits(a, "&", b) : wrap(`(${a} & ${b})`, type);
    case "bitwiseOr":
      return wide ? wideBits(a, "|", b) : wrap(`(${a} | ${b})`, type);
    case "bitwiseXor":
      return wide ? wideBits(a, "^", b) : wrap(`(${a} ^ ${b})`, type);
    case "shiftLeft":
      return wide
        ? `Number(${use("bigShiftLeft")}(BigInt(${a}), BigInt(${b})))`
        : wrap(`((${b} >>> 0) > 31 ? 0 : ${a} << ${b})`, type);
    case "shiftRight":
      return wide
        ? `((${b} < 0 || ${b} > 63) ? (${a} < 0 ? -1 : 0) : Math.floor(${a} / 2 ** ${b}))`
        : `((${b} >>> 0) > 31 ? (${a} < 0 ? -1 : 0) : ${a} ${type === uint32 ? ">>>" : ">>"} ${b})`;
    case "isnan":
    case "isinf":
      return "false";
    case "signbit":
      return `(${a} < 0)`;
    case "trunc":
    case "floor":
    case "ceil":
    case "round":
      return a;
    default:
      throw new TypeError(`${op} is not defined on ${type.name}: convert to a floating point dtype first`);
  }
}

function wideBits(a: string, sign: string, b: string): string {
  return `Number(BigInt(${a}) ${sign} BigInt(${b}))`;
}

function bigintText(op: PrimitiveName, a: string, b: string, use: UseHelper): string {
  const comparison = COMPARISONS[op];
  if (comparison !== undefined) return `(${a} ${comparison} ${b})`;
  const wrapped = (text: string): string => `BigInt.asIntN(64, ${text})`;
  switch (op) {
    case "neg":
      return wrapped(`-${a}`);
    case "abs":
      return wrapped(`${use("bigAbs")}(${a})`);
    case "add":
      return wrapped(`${a} + ${b}`);
    case "sub":
      return wrapped(`${a} - ${b}`);
    case "mul":
      return wrapped(`${a} * ${b}`);
    case "maximum":
      return `(${a} > ${b} ? ${a} : ${b})`;
    case "minimum":
      return `(${a} < ${b} ? ${a} : ${b})`;
    case "truncDiv":
      return wrapped(`${use("bigTruncDiv")}(${a}, ${b})`);
    case "floorDiv":
      return wrapped(`${use("bigFloorDiv")}(${a}, ${b})`);
    case "floorMod":
      return `${use("bigFloorMod")}(${a}, ${b})`;
    case "truncMod":
      return `${use("bigTruncMod")}(${a}, ${b})`;
    case "pow":
      return `${use("bigPow")}(${a}, ${b})`;
    case "gcd":
      return wrapped(`${use("bigGcd")}(${a}, ${b})`);
    case "bitwiseNot":
      return `(~${a})`;
    case "bitwiseAnd":
      return `(${a} & ${b})`;
    case "bitwiseOr":
      return `(${a} | ${b})`;
    case "bitwiseXor":
      return `(${a} ^ ${b})`;
    case "shiftLeft":
      return wrapped(`${use("bigShiftLeft")}(${a}, ${b})`);
    case "shiftRight":
      return `${use("bigShiftRight")}(${a}, ${b})`;
    case "isnan":
    case "isinf":
      return "false";
    case "signbit":
      return `(${a} < 0n)`;
    case "trunc":
    case "floor":
    case "ceil":
    case "round":
      return a;
    default:
      throw new TypeError(`${op} is not defined on int64: convert to a floating point dtype first`);
  }
}

/** The neutral element of a combination. */
export function neutralText(op: TileReduceOp, dtype: DType, big: boolean): string {
  switch (op) {
    case "sum":
      return dtype === bool ? "false" : big ? "0n" : "0";
    case "any":
      return dtype === bool ? "false" : big ? "0n" : "0";
    case "prod":
      return dtype === bool ? "true" : big ? "1n" : "1";
    case "max":
    case "argmax":
      return dtype === bool
        ? "false"
        : big
        ? "-9223372036854775808n"
        : dtype.isIntegral
        ? String(dtype.min)
        : "-Infinity";
    case "min":
    case "argmin":
      return dtype === bool ? "true" : big ? "9223372036854775807n" : dtype.isIntegral ? String(dtype.max) : "Infinity";
    case "logaddexp":
      return "-Infinity";
    default:
      return op satisfies never;
  }
}

/** The combination of two scalars of one type, held alike. */
export function combineText(
  op: Exclude<TileReduceOp, "argmax" | "argmin"> | CombineOp,
  a: Scalar,
  b: Scalar,
  use: UseHelper,
): string {
  switch (op) {
    case "set":
      return b.text;
    case "any":
      return a.dtype === bool
        ? `(${a.text} || ${b.text})`
        : a.big
        ? `(${a.text} | ${b.text})`
        : `(${a.text} || ${b.text})`;
    case "sum":
      return primitiveText("add", [a, b], a.dtype, a.big, use);
    case "prod":
      return primitiveText("mul", [a, b], a.dtype, a.big, use);
    case "max":
      return primitiveText("maximum", [a, b], a.dtype, a.big, use);
    case "min":
      return primitiveText("minimum", [a, b], a.dtype, a.big, use);
    case "logaddexp":
      return `${use("logAddExp")}(${a.text}, ${b.text})`;
    default:
      return op satisfies never;
  }
}
