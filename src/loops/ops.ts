/**
 * Constructors of loop values: the vocabulary in which operators are defined.
 *
 * `ops.add(x, 1)` and friends build hash-consed {@linkcode Value}s, check dtypes, fold constants and drop what does
 * nothing. Plain numbers become constants of the other operand's dtype. What an analysis or an emitter needs is got by walking the
 * data ({@linkcode foldValue}); operator bodies never see a backend. Mirrors the `ops` namespace of TorchInductor.
 */
import { bool, type DType, float32, int32, int64, InternalError, uint32 } from "../core/mod.ts";
import {
  constant as exprConstant,
  type Expr,
  newSym,
  provablyLe,
  provablyLt,
  type Sym,
  symbol,
} from "../symbolic/mod.ts";
import { evaluatePrimitive, roundToDtype } from "./numbers.ts";
import { intern } from "./intern.ts";
import { primitive, type PrimitiveName } from "./primitives.ts";
import type { BufferRef, ConstantValue, IndirectPayload, MaskedValue, PointwiseValue, Value } from "./value.ts";

/** An operand: a value, or a number that takes the dtype of the operand beside it. */
export type Operand = Value | number;

function constant(value: number | bigint | boolean, dtype: DType): Value {
  const number = typeof value === "boolean" ? (value ? 1 : 0) : value;
  const rounded = roundToDtype(number, dtype);
  const key = Object.is(rounded, -0) ? "-0" : String(rounded);
  return intern(`c${typeof rounded === "bigint" ? "n" : ""}${key}:${dtype.name}`, {
    kind: "constant",
    dtype,
    value: rounded,
  });
}

/** An integer expression as a value. As a float or bool it is an integer that is converted, so that index values themselves are integers always. */
function index(expr: Expr | number, dtype: DType = int64): Value {
  const e = typeof expr === "number" ? exprConstant(expr) : expr;
  if (e.kind === "const") return constant(e.value, dtype);
  if (!dtype.isIntegral || dtype === bool) return cast(index(e), dtype);
  return intern(`i${e.id}:${dtype.name}`, { kind: "index", dtype, expr: e });
}

function load(buffer: BufferRef, at: Expr): Value {
  return intern(`l${buffer.id},${at.id}`, { kind: "load", dtype: buffer.dtype, buffer, index: at });
}

/**
 * Converts. A round trip through a half type stays, because its rounding is part of the value: whether a kernel stores a half, keeps it in a register or
 * computes it again, every reader sees the same number. It is dropped where there is nothing to round ({@linkcode isExactIn}).
 */
function cast(arg: Value, dtype: DType): Value {
  if (arg.dtype === dtype) return arg;
  if (arg.kind === "constant") return constant(castNumber(arg.value, arg.dtype, dtype), dtype);
  if (arg.kind === "index" && !dtype.isFloat && dtype !== bool) return index(arg.expr, dtype);
  if (arg.kind === "cast" && arg.arg.dtype === dtype && isExactIn(arg.arg, arg.dtype)) return arg.arg;
  return intern(`t${arg.id}:${dtype.name}`, { kind: "cast", dtype, arg });
}

/** Operators that yield one of their operands, its negation, or a whole number no farther from 0 than the next one. */
const KEEPS_EXACT: ReadonlySet<PrimitiveName> = new Set([
  "neg",
  "abs",
  "maximum",
  "minimum",
  "copysign",
  "floor",
  "ceil",
  "trunc",
  "round",
]);

const exactIn = new WeakMap<Value, Map<DType, boolean>>();

/** Tells whether a value of a wider float type is a number of the half type for sure, so that rounding to it changes nothing. */
function isExactIn(value: Value, half: DType): boolean {
  if (!half.isFloat || half.bytes !== 2 || !value.dtype.isFloat || value.dtype.bytes <= half.bytes) return false;
  switch (value.kind) {
    case "constant":
      return Object.is(roundToDtype(value.value, half), value.value);
    case "cast":
      // Whole numbers of 8 bits have places in both half types.
      return value.arg.dtype === half || (!value.arg.dtype.isFloat && value.arg.dtype.bytes === 1);
    case "pointwise":
    case "masked": {
      let known = exactIn.get(value);
      if (known === undefined) exactIn.set(value, known = new Map());
      let exact = known.get(half);
      if (exact === undefined) known.set(half, exact = isExactResult(value, half));
      return exact;
    }
    default:
      return false;
  }
}

function isExactResult(value: PointwiseValue | MaskedValue, half: DType): boolean {
  if (value.kind === "masked") {
    return Object.is(roundToDtype(value.other, half), value.other) && isExactIn(value.body, half);
  }
  if (value.op === "where") return value.args.slice(1).every((arg) => isExactIn(arg, half));
  return KEEPS_EXACT.has(value.op) && value.args.every((arg) => isExactIn(arg, half));
}

/** What a cast does to one number. */
export function castNumber(value: number | bigint, from: DType, to: DType): number | bigint {
  if (to === bool) return value !== 0 && value !== 0n ? 1 : 0;
  if (from.isFloat && !to.isFloat && typeof value === "number") {
    return roundToDtype(Number.isFinite(value) ? Math.trunc(value) : 0, to);
  }
  return roundToDtype(value, to);
}

function bitcast(arg: Value, dtype: DType): Value {
  if (arg.dtype === dtype) return arg;
  if (arg.dtype.bytes !== dtype.bytes) {
    throw new InternalError(`bitcast of ${arg.dtype.name} to ${dtype.name}: widths differ`);
  }
  return intern(`b${arg.id}:${dtype.name}`, { kind: "bitcast", dtype, arg });
}

function masked(mask: Value, body: Value, other: number): Value {
  if (mask.dtype !== bool) throw new InternalError(`masked: the mask is ${mask.dtype.name}, not bool`);
  if (mask.kind === "constant") return mask.value !== 0 ? body : constant(other, body.dtype);
  if (body.kind === "constant" && body.value === other) return body;
  return intern(`m${mask.id},${body.id},${Object.is(other, -0) ? "-0" : other}`, {
    kind: "masked",
    dtype: body.dtype,
    mask,
    body,
    other,
  });
}

function philox(seed: Value, stream: Value, position: Value): Value {
  const s = cast(seed, int64);
  const t = cast(stream, int64);
  const p = cast(position, int64);
  return intern(`p${s.id},${t.id},${p.id}`, { kind: "philox", dtype: uint32, seed: s, stream: t, position: p });
}

/** An entry of a table of 16 or 32 numbers, rounded to float32; of the position (an int32) only the low bits count. */
function lookup(table: readonly number[], at: Value): Value {
  if (at.dtype !== int32) throw new InternalError(`lookup: the position is ${at.dtype.name}, not int32`);
  if (table.length !== 16 && table.length !== 32) throw new InternalError(`lookup: a table of ${table.length} entries`);
  const rounded = table.map(Math.fround);
  if (at.kind === "constant") return constant(rounded[Number(at.value) & (table.length - 1)] ?? NaN, float32);
  const key = rounded.map((v) => Object.is(v, -0) ? "-0" : String(v)).join();
  return intern(`k${at.id}:${key}`, { kind: "lookup", dtype: float32, table: rounded, at });
}

const indirectSymbols = new Map<string, WeakRef<Sym>>();

/**
 * Uses a computed integer as an index into a dimension of `size` elements. One that is not in it is an error when the kernel runs, as is a negative one unless
 * those count from the end. The result stands in index expressions like any symbol.
 */
function indirect(value: Value, size: Expr, { fromEnd = false }: { readonly fromEnd?: boolean } = {}): Expr {
  // What is known to lie within needs no check when it runs.
  const known = value.kind === "index"
    ? value.expr
    : value.kind === "constant" && typeof value.value === "number"
    ? exprConstant(value.value)
    : null;
  if (known !== null && provablyLe(0, known) && provablyLt(known, size)) return known;
  const key = `${value.id},${size.id},${fromEnd}`;
  let sym = indirectSymbols.get(key)?.deref();
  if (sym === undefined) {
    const payload: IndirectPayload = { value, size, fromEnd };
    sym = newSym(`ind${value.id}`, { kind: "indirect", lower: 0, upper: Infinity, extent: size, payload });
    indirectSymbols.set(key, new WeakRef(sym));
  }
  return symbol(sym);
}

/** The value behind an indirect symbol. */
export function indirectPayload(sym: Sym): IndirectPayload {
  if (sym.kind !== "indirect") throw new InternalError(`${sym.name} is not an indirect symbol`);
  return sym.payload as IndirectPayload;
}

function isConstant(v: Value, number: number): boolean {
  return v.kind === "constant" && Number(v.value) === number && !Object.is(v.value, -0);
}

/** Drops operations that change nothing; null if there is nothing to drop. Floats keep `x + 0`, which turns -0 into 0. */
function simplify(op: PrimitiveName, args: readonly Value[]): Value | null {
  const [a, b, c] = args;
  if (a === undefined) return null;
  switch (op) {
    case "mul":
      if (b !== undefined && isConstant(b, 1)) return a;
      if (isConstant(a, 1)) return b ?? null;
      return null;
    case "add":
      if (a.dtype.isFloat || b === undefined) return null;
      return isConstant(b, 0) ? a : isConstant(a, 0) ? b : null;
    case "sub":
      return b !== undefined && isConstant(b, 0) ? a : null;
    case "div":
    case "truncDiv":
      return b !== undefined && isConstant(b, 1) ? a : null;
    case "floorDiv":
      return b !== undefined && isConstant(b, 1) && !a.dtype.isFloat ? a : null;
    case "where":
      if (a.kind === "constant") return (a.value !== 0 ? b : c) ?? null;
      return b === c ? b ?? null : null;
    case "maximum":
    case "minimum":
    case "bitwiseAnd":
    case "bitwiseOr":
      return a === b ? a : null;
    default:
      return null;
  }
}

function apply(op: PrimitiveName, args: readonly Value[]): Value {
  const def = primitive(op);
  const [a, b] = args;
  if (args.length !== def.arity || a === undefined) {
    throw new InternalError(`${op} takes ${def.arity} operands, got ${args.length}`);
  }
  const operands = op === "where" ? args.slice(1) : args;
  const dtype = operands[0]?.dtype ?? a.dtype;
  for (const other of operands) {
    if (other.dtype !== dtype) {
      throw new InternalError(`${op}: operands are ${args.map((x) => x.dtype.name).join(", ")}; cast first`);
    }
  }
  if (op === "where" && a.dtype !== bool) throw new InternalError(`where: the condition is ${a.dtype.name}, not bool`);
  const simple = simplify(op, args);
  if (simple !== null) return simple;
  const result = def.result === "bool" ? bool : dtype;
  if (args.every((x): x is ConstantValue => x.kind === "constant") && op !== "nextafter") {
    return constant(evaluatePrimitive(op, args.map((x) => x.value), dtype), result);
  }
  if (b !== undefined && b.id < a.id && COMMUTATIVE.has(op)) return apply(op, [b, a]);
  return intern(`o${op}(${args.map((x) => x.id).join(",")})`, { kind: "pointwise", op, args, dtype: result });
}

const COMMUTATIVE: ReadonlySet<PrimitiveName> = new Set([
  "add",
  "mul",
  "eq",
  "ne",
  "bitwiseAnd",
  "bitwiseOr",
  "bitwiseXor",
]);

function unify(a: Operand, b: Operand): [Value, Value] {
  if (typeof a === "number") {
    if (typeof b === "number") {
      throw new InternalError("an operation on two plain numbers has no dtype: make one a constant");
    }
    return [constant(a, b.dtype), b];
  }
  return [a, typeof b === "number" ? constant(b, a.dtype) : b];
}

const unary = (op: PrimitiveName) => (a: Value): Value => apply(op, [a]);
const binary = (op: PrimitiveName) => (a: Operand, b: Operand): Value => apply(op, unify(a, b));

/** Uniform float32 in [0, 1) from 24 of 32 random bits. */
function uniformFromBits(bits: Value): Value {
  const high = cast(apply("shiftRight", [cast(bits, int64), constant(8, int64)]), int32);
  return apply("mul", [cast(high, float32), constant(2 ** -24, float32)]);
}

/** Functions of two values, or of a value and a number. */
type BinaryName =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "truncDiv"
  | "floorDiv"
  | "floorMod"
  | "truncMod"
  | "pow"
  | "maximum"
  | "minimum"
  | "atan2"
  | "hypot"
  | "copysign"
  | "nextafter"
  | "bitwiseAnd"
  | "bitwiseOr"
  | "bitwiseXor"
  | "shiftLeft"
  | "shiftRight"
  | "gcd"
  | "eq"
  | "ne"
  | "lt"
  | "le"
  | "gt"
  | "ge";

/** Functions of one value: all others. */
type UnaryName = Exclude<PrimitiveName, BinaryName | "fma" | "where">;

/** The vocabulary of operator bodies. */
export type Ops =
  & Readonly<Record<UnaryName, (a: Value) => Value>>
  & Readonly<Record<BinaryName, (a: Operand, b: Operand) => Value>>
  & {
    readonly constant: typeof constant;
    readonly index: typeof index;
    readonly load: typeof load;
    readonly cast: typeof cast;
    readonly bitcast: typeof bitcast;
    readonly masked: typeof masked;
    readonly philox: typeof philox;
    readonly lookup: typeof lookup;
    readonly indirect: typeof indirect;
    readonly apply: typeof apply;
    readonly uniformFromBits: typeof uniformFromBits;
    readonly where: (condition: Value, a: Operand, b: Operand) => Value;
    /** a × b + c, rounded once where the machine can: for series, which need it neither more nor less exact. */
    readonly fma: (a: Value, b: Value, c: Operand) => Value;
    /** Logical negation of a bool. */
    readonly not: (a: Value) => Value;
  };

/** Constructors of loop values. */
export const ops: Ops = {
  constant,
  index,
  load,
  cast,
  bitcast,
  masked,
  philox,
  lookup,
  indirect,
  apply,
  uniformFromBits,
  where: (condition: Value, a: Operand, b: Operand): Value => apply("where", [condition, ...unify(a, b)]),
  fma: (a: Value, b: Value, c: Operand): Value => apply("fma", [a, ...unify(b, c)]),
  neg: unary("neg"),
  abs: unary("abs"),
  sqrt: unary("sqrt"),
  rsqrt: unary("rsqrt"),
  reciprocal: unary("reciprocal"),
  exp: unary("exp"),
  exp2: unary("exp2"),
  expm1: unary("expm1"),
  log: unary("log"),
  log2: unary("log2"),
  log10: unary("log10"),
  log1p: unary("log1p"),
  sin: unary("sin"),
  cos: unary("cos"),
  tan: unary("tan"),
  asin: unary("asin"),
  acos: unary("acos"),
  atan: unary("atan"),
  sinh: unary("sinh"),
  cosh: unary("cosh"),
  tanh: unary("tanh"),
  asinh: unary("asinh"),
  acosh: unary("acosh"),
  atanh: unary("atanh"),
  sigmoid: unary("sigmoid"),
  erf: unary("erf"),
  erfc: unary("erfc"),
  erfinv: unary("erfinv"),
  lgamma: unary("lgamma"),
  digamma: unary("digamma"),
  floor: unary("floor"),
  ceil: unary("ceil"),
  trunc: unary("trunc"),
  round: unary("round"),
  isnan: unary("isnan"),
  isinf: unary("isinf"),
  signbit: unary("signbit"),
  bitwiseNot: unary("bitwiseNot"),
  add: binary("add"),
  sub: binary("sub"),
  mul: binary("mul"),
  div: binary("div"),
  truncDiv: binary("truncDiv"),
  floorDiv: binary("floorDiv"),
  floorMod: binary("floorMod"),
  truncMod: binary("truncMod"),
  pow: binary("pow"),
  maximum: binary("maximum"),
  minimum: binary("minimum"),
  atan2: binary("atan2"),
  hypot: binary("hypot"),
  copysign: binary("copysign"),
  nextafter: binary("nextafter"),
  bitwiseAnd: binary("bitwiseAnd"),
  bitwiseOr: binary("bitwiseOr"),
  bitwiseXor: binary("bitwiseXor"),
  shiftLeft: binary("shiftLeft"),
  shiftRight: binary("shiftRight"),
  gcd: binary("gcd"),
  eq: binary("eq"),
  ne: binary("ne"),
  lt: binary("lt"),
  le: binary("le"),
  gt: binary("gt"),
  ge: binary("ge"),
  not: (a: Value): Value => apply("eq", [a, constant(0, a.dtype)]),
};
