/**
 * The pointwise primitives of the loop IR: the only arithmetic that backends must know.
 *
 * Each entry says how many operands it takes, what it yields, how it reads on plain numbers and, where 64-bit integers
 * need it, on bigints. The evaluators define the meaning that every emitter has to match: they fold constants and run the reference
 * executor. Operands of one primitive share a dtype; casts are explicit. Half types are computed in float32.
 */

/** How a primitive's result type follows from its operands'. */
export type ResultRule = "same" | "bool";

/** One primitive. */
export interface Primitive {
  readonly arity: 1 | 2 | 3;
  readonly result: ResultRule;
  /** Meaning on numbers (booleans are 0 and 1); rounding to the dtype follows. */
  readonly evaluate: (a: number, b: number, c: number) => number;
  /** Meaning on 64-bit integers, wrapped afterwards; absent for floating-point-only primitives. */
  readonly evaluateBigInt?: (a: bigint, b: bigint) => bigint;
  /** Relative cost of one evaluation, in additions: feeds the choice between recomputing and storing. */
  readonly cost: number;
}

const flag = (b: boolean): number => b ? 1 : 0;
const flagBig = (b: boolean): bigint => b ? 1n : 0n;

/** Rounds half to even, as IEEE and PyTorch do. */
export function roundHalfEven(x: number): number {
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 52) return x;
  const floor = Math.floor(x);
  const diff = x - floor;
  const rounded = diff < 0.5 ? floor : diff > 0.5 ? floor + 1 : floor % 2 === 0 ? floor : floor + 1;
  return rounded === 0 && (x < 0 || Object.is(x, -0)) ? -0 : rounded;
}

/** Python's remainder, but that 0 has the dividend's sign, as in PyTorch. */
function floorMod(a: number, b: number): number {
  const r = a % b;
  return r !== 0 && (r < 0) !== (b < 0) ? r + b : r;
}

/** Python's floor division on floats, as PyTorch computes it. */
function floorDiv(a: number, b: number): number {
  if (b === 0) return a / b;
  const mod = a % b;
  let div = (a - mod) / b;
  if (mod !== 0 && (b < 0) !== (mod < 0)) div -= 1;
  if (div === 0) return Object.is(a / b, -0) || a / b < 0 ? -0 : 0;
  const floored = Math.floor(div);
  return div - floored > 0.5 ? floored + 1 : floored;
}

function bigFloorDiv(a: bigint, b: bigint): bigint {
  if (b === 0n) return 0n;
  const q = a / b;
  return a % b !== 0n && (a < 0n) !== (b < 0n) ? q - 1n : q;
}

function bigFloorMod(a: bigint, b: bigint): bigint {
  if (b === 0n) return 0n;
  const r = a % b;
  return r !== 0n && (r < 0n) !== (b < 0n) ? r + b : r;
}

/** The greatest common divisor of absolute values; of 0 and a number, that number. */
function gcd(a: number, b: number): number {
  let [x, y] = [Math.abs(a), Math.abs(b)];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

function bigGcd(a: bigint, b: bigint): bigint {
  let [x, y] = [a < 0n ? -a : a, b < 0n ? -b : b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}

/** A power modulo 2^64: whole, it might have more digits than memory. */
function bigPower(a: bigint, b: bigint): bigint {
  let result = 1n, square = a;
  for (let rest = b; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = BigInt.asIntN(64, result * square);
    square = BigInt.asIntN(64, square * square);
  }
  return result;
}

/** erf to about 1 ulp of double: Maclaurin series near 0, a continued fraction of erfc elsewhere. */
export function erf(x: number): number {
  if (Number.isNaN(x) || x === 0) return x;
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 200; n++) {
      term *= -x * x / n;
      const add = term / (2 * n + 1);
      sum += add;
      if (Math.abs(add) < 1e-18 * Math.abs(sum)) break;
    }
    return 2 / Math.sqrt(Math.PI) * sum;
  }
  return Math.sign(x) * (1 - erfcTail(a));
}

function erfcTail(a: number): number {
  let f = 0;
  for (let n = 120; n > 0; n--) f = n / 2 / (a + f);
  return Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + f);
}

/** 1 - erf(x), without cancellation for large x. */
export function erfc(x: number): number {
  return x < 2.5 ? 1 - erf(x) : erfcTail(x);
}

/** The inverse of erf: a rational start value refined by Newton steps. */
export function erfinv(x: number): number {
  if (Number.isNaN(x) || Math.abs(x) > 1) return NaN;
  if (Math.abs(x) === 1) return x * Infinity;
  const w = Math.log(1 - x * x);
  const t = 2 / (Math.PI * 0.147) + w / 2;
  let y = Math.sign(x) * Math.sqrt(Math.sqrt(t * t - w / 0.147) - t);
  for (let i = 0; i < 4; i++) {
    const error = Math.abs(x) < 0.5 ? erf(y) - x : Math.sign(x) * ((1 - Math.abs(x)) - erfc(Math.abs(y)));
    y -= error / (2 / Math.sqrt(Math.PI) * Math.exp(-y * y));
  }
  return y;
}

const LANCZOS = [
  0.99999999999980993,
  676.5203681218851,
  -1259.1392167224028,
  771.32342877765313,
  -176.61502916214059,
  12.507343278686905,
  -0.13857109526572012,
  9.9843695780195716e-6,
  1.5056327351493116e-7,
];

/** Logarithm of the absolute value of the gamma function (Lanczos, g = 7). */
export function lgamma(x: number): number {
  if (x === 1 || x === 2) return 0;
  if (x === Infinity || x === -Infinity) return Infinity;
  if (x <= 0 && Number.isInteger(x)) return Infinity;
  if (x < 0.5) return Math.log(Math.PI / Math.abs(Math.sin(Math.PI * x))) - lgamma(1 - x);
  const z = x - 1;
  let sum = LANCZOS[0] ?? 0;
  for (let i = 1; i < LANCZOS.length; i++) sum += (LANCZOS[i] ?? 0) / (z + i);
  const t = z + 7.5;
  return 0.5 * Math.log(2 * Math.PI) + (z + 0.5) * Math.log(t) - t + Math.log(sum);
}

/** Derivative of lgamma: recurrence up to 10, then the asymptotic series. */
export function digamma(x: number): number {
  if (x === 0) return Object.is(x, -0) ? Infinity : -Infinity;
  if (x < 0) {
    if (Number.isInteger(x)) return NaN;
    return digamma(1 - x) - Math.PI / Math.tan(Math.PI * x);
  }
  let z = x;
  let shift = 0;
  while (z < 10) {
    shift -= 1 / z;
    z += 1;
  }
  const i2 = 1 / (z * z);
  const series = i2 * (1 / 12 - i2 * (1 / 120 - i2 * (1 / 252 - i2 * (1 / 240 - i2 * (1 / 132 - i2 * 691 / 32760)))));
  return shift + Math.log(z) - 0.5 / z - series;
}

const double = new Float64Array(1);
const doubleBits = new BigInt64Array(double.buffer);

/** The double next to `a` in the direction of `b`. */
function nextDouble(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return NaN;
  if (a === b) return b;
  if (a === 0) return b > 0 ? Number.MIN_VALUE : -Number.MIN_VALUE;
  double[0] = a;
  doubleBits[0] = (doubleBits[0] ?? 0n) + ((b > a) === (a > 0) ? 1n : -1n);
  return double[0] ?? 0;
}

const unary = (evaluate: (a: number) => number, cost = 1): Primitive => ({ arity: 1, result: "same", evaluate, cost });
const binary = (
  evaluate: (a: number, b: number) => number,
  evaluateBigInt?: (a: bigint, b: bigint) => bigint,
  cost = 1,
): Primitive => ({
  arity: 2,
  result: "same",
  evaluate,
  cost,
  ...(evaluateBigInt === undefined ? {} : { evaluateBigInt }),
});
const compare = (
  evaluate: (a: number, b: number) => boolean,
  evaluateBigInt: (a: bigint, b: bigint) => boolean,
): Primitive => ({
  arity: 2,
  result: "bool",
  evaluate: (a, b) => flag(evaluate(a, b)),
  evaluateBigInt: (a, b) => flagBig(evaluateBigInt(a, b)),
  cost: 1,
});

/** The name of a pointwise primitive. */
export type PrimitiveName =
  | "neg"
  | "abs"
  | "add"
  | "sub"
  | "mul"
  | "maximum"
  | "minimum"
  | "div"
  | "truncDiv"
  | "floorDiv"
  | "floorMod"
  | "truncMod"
  | "pow"
  | "sqrt"
  | "rsqrt"
  | "reciprocal"
  | "exp"
  | "exp2"
  | "expm1"
  | "log"
  | "log2"
  | "log10"
  | "log1p"
  | "sin"
  | "cos"
  | "tan"
  | "asin"
  | "acos"
  | "atan"
  | "sinh"
  | "cosh"
  | "tanh"
  | "asinh"
  | "acosh"
  | "atanh"
  | "sigmoid"
  | "erf"
  | "erfc"
  | "erfinv"
  | "lgamma"
  | "digamma"
  | "floor"
  | "ceil"
  | "trunc"
  | "round"
  | "atan2"
  | "hypot"
  | "copysign"
  | "nextafter"
  | "fma"
  | "isnan"
  | "isinf"
  | "signbit"
  | "bitwiseNot"
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
  | "ge"
  | "where";

/** All pointwise primitives. */
export const PRIMITIVES: Readonly<Record<PrimitiveName, Primitive>> = {
  // Arithmetic on every type.
  neg: { arity: 1, result: "same", evaluate: (a: number) => -a, evaluateBigInt: (a: bigint) => -a, cost: 1 },
  abs: { arity: 1, result: "same", evaluate: Math.abs, evaluateBigInt: (a: bigint) => a < 0n ? -a : a, cost: 1 },
  add: binary((a, b) => a + b, (a, b) => a + b),
  sub: binary((a, b) => a - b, (a, b) => a - b),
  mul: binary((a, b) => a * b, (a, b) => a * b),
  /** Larger of two, NaN if either is. */
  maximum: binary((a, b) => Math.max(a, b), (a, b) => a > b ? a : b),
  /** Smaller of two, NaN if either is. */
  minimum: binary((a, b) => Math.min(a, b), (a, b) => a < b ? a : b),
  /** True division; floating point only. */
  div: binary((a, b) => a / b, undefined, 4),
  /** Division rounded towards zero; integers give 0 where the divisor is 0. */
  truncDiv: binary((a, b) => Math.trunc(a / b), (a, b) => b === 0n ? 0n : a / b, 8),
  /** Division rounded down (Python's `//`); integers give 0 where the divisor is 0. */
  floorDiv: binary(floorDiv, bigFloorDiv, 8),
  /** Remainder with the divisor's sign (Python's `%`); integers give 0 where the divisor is 0. */
  floorMod: binary(floorMod, bigFloorMod, 8),
  /** Remainder with the dividend's sign (C's fmod and `%`); integers give 0 where the divisor is 0. */
  truncMod: binary((a, b) => a % b, (a, b) => b === 0n ? 0n : a % b, 8),
  pow: binary(
    (a, b) => a === 1 || b === 0 ? 1 : (Math.abs(a) === 1 && !Number.isFinite(b) && !Number.isNaN(b)) ? 1 : a ** b,
    (a, b) => b >= 0n ? bigPower(a, b) : a === 1n ? 1n : a === -1n ? (b % 2n === 0n ? 1n : -1n) : 0n,
    40,
  ),
  // Floating point.
  sqrt: unary(Math.sqrt, 6),
  rsqrt: unary((a) => 1 / Math.sqrt(a), 8),
  reciprocal: unary((a) => 1 / a, 4),
  exp: unary(Math.exp, 12),
  exp2: unary((a) => 2 ** a, 12),
  expm1: unary(Math.expm1, 14),
  log: unary(Math.log, 12),
  log2: unary(Math.log2, 12),
  log10: unary(Math.log10, 12),
  log1p: unary(Math.log1p, 14),
  sin: unary(Math.sin, 16),
  cos: unary(Math.cos, 16),
  tan: unary(Math.tan, 20),
  asin: unary(Math.asin, 20),
  acos: unary(Math.acos, 20),
  atan: unary(Math.atan, 20),
  sinh: unary(Math.sinh, 20),
  cosh: unary(Math.cosh, 20),
  tanh: unary(Math.tanh, 16),
  asinh: unary(Math.asinh, 24),
  acosh: unary(Math.acosh, 24),
  atanh: unary(Math.atanh, 24),
  sigmoid: unary((a) => 1 / (1 + Math.exp(-a)), 16),
  erf: unary(erf, 20),
  erfc: unary(erfc, 24),
  erfinv: unary(erfinv, 40),
  lgamma: unary(lgamma, 60),
  digamma: unary(digamma, 60),
  floor: unary(Math.floor),
  ceil: unary(Math.ceil),
  trunc: unary(Math.trunc),
  /** Rounds half to even. */
  round: unary(roundHalfEven),
  atan2: binary(Math.atan2, undefined, 30),
  hypot: binary((a, b) => Math.hypot(a, b), undefined, 10),
  copysign: binary((a, b) => (b < 0 || Object.is(b, -0)) === (a < 0 || Object.is(a, -0)) ? a : -a),
  /** The neighbour of `a` towards `b` among numbers of the operands' dtype; on plain numbers, among doubles. */
  nextafter: binary(nextDouble, undefined, 4),
  /** a × b + c of floating point numbers, rounded once where the machine can. */
  fma: { arity: 3, result: "same", evaluate: (a: number, b: number, c: number) => a * b + c, cost: 1 },
  isnan: { arity: 1, result: "bool", evaluate: (a: number) => flag(Number.isNaN(a)), cost: 1 },
  isinf: { arity: 1, result: "bool", evaluate: (a: number) => flag(a === Infinity || a === -Infinity), cost: 1 },
  /** True for negative numbers and -0. */
  signbit: { arity: 1, result: "bool", evaluate: (a: number) => flag(a < 0 || Object.is(a, -0)), cost: 1 },
  // Bits: integers and bool.
  bitwiseNot: { arity: 1, result: "same", evaluate: (a: number) => ~a, evaluateBigInt: (a: bigint) => ~a, cost: 1 },
  bitwiseAnd: binary((a, b) => a & b, (a, b) => a & b),
  bitwiseOr: binary((a, b) => a | b, (a, b) => a | b),
  bitwiseXor: binary((a, b) => a ^ b, (a, b) => a ^ b),
  shiftLeft: binary((a, b) => b < 0 || b > 31 ? 0 : a << b, (a, b) => b < 0n || b > 63n ? 0n : a << b),
  shiftRight: binary(
    (a, b) => b < 0 || b > 31 ? (a < 0 ? -1 : 0) : a >> b,
    (a, b) => b < 0n || b > 63n ? (a < 0n ? -1n : 0n) : a >> b,
  ),
  /** The greatest common divisor of absolute values; integers only. */
  gcd: binary(gcd, bigGcd, 40),
  // Comparisons.
  eq: compare((a, b) => a === b, (a, b) => a === b),
  ne: compare((a, b) => a !== b, (a, b) => a !== b),
  lt: compare((a, b) => a < b, (a, b) => a < b),
  le: compare((a, b) => a <= b, (a, b) => a <= b),
  gt: compare((a, b) => a > b, (a, b) => a > b),
  ge: compare((a, b) => a >= b, (a, b) => a >= b),
  /** `where(condition, a, b)`: condition is bool, a and b share the result's type. */
  where: { arity: 3, result: "same", evaluate: (c: number, a: number, b: number) => c !== 0 ? a : b, cost: 1 },
};

/** Looks a primitive up by name. */
export function primitive(name: PrimitiveName): Primitive {
  return PRIMITIVES[name];
}
