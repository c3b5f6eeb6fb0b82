/**
 * JavaScript's operators on sizes of a trace: what is written `n * 2` or `n < 100` stays a symbol, or becomes a condition on one, where the engine would convert
 * the size to its number and so make a form of the function for each.
 *
 * Only where the answer is the engine's for every size: whole numbers, products of what is not negative (else there is -0), remainders and quotients by positive numbers.
 */
import {
  exprOf,
  isSymInt,
  type Size,
  sizeAdd,
  sizeCeilDiv,
  sizeFloorDiv,
  sizeMod,
  sizeMul,
  sizeSub,
  SymInt,
} from "../symbolic/mod.ts";

/** Products of larger numbers are not exact. */
const MOST = 2 ** 31;

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && Math.abs(value) <= MOST && !Object.is(value, -0);
}

function isPositive(value: unknown): value is number {
  return isWhole(value) && value > 0;
}

/** Two whole numbers of which one is a size that changes. */
function areSizes(a: unknown, b: unknown): boolean {
  return isSymInt(a) ? isSymInt(b) || isWhole(b) : isSymInt(b) && isWhole(a);
}

/** A size as it is in shapes: never negative. */
function isPlain(value: unknown): value is SymInt {
  return isSymInt(value) && exprOf(value).kind === "symbol";
}

/** Whether it is not negative, guarded. */
function isNatural(value: unknown): value is SymInt {
  return isSymInt(value) && value.hint >= 0 && value.ge(0);
}

function compared(
  a: unknown,
  b: unknown,
  name: "lt" | "le" | "gt" | "ge",
  flipped: "lt" | "le" | "gt" | "ge",
): boolean {
  return isSymInt(a) ? a[name](b as Size) : (b as SymInt)[flipped](a as Size);
}

type Operand = number;

/** What rewritten text calls in the place of operators. Operands may be anything: the engine's own operator decides for others. */
export const sizeArithmetic = {
  numeral: (a: unknown): unknown => isSymInt(a) ? a : Number(a),
  plus: (a: unknown, b: unknown): unknown =>
    areSizes(a, b) ? sizeAdd(a as Size, b as Size) : (a as Operand) + (b as Operand),
  minus: (a: unknown, b: unknown): unknown =>
    areSizes(a, b) ? sizeSub(a as Size, b as Size) : (a as Operand) - (b as Operand),
  times: (a: unknown, b: unknown): unknown =>
    (isSymInt(a) && isPositive(b)) || (isPositive(a) && isSymInt(b)) || (isPlain(a) && isPlain(b))
      ? sizeMul(a as Size, b as Size)
      : (a as Operand) * (b as Operand),
  rest: (a: unknown, b: unknown): unknown =>
    isPositive(b) && isNatural(a) ? sizeMod(a, b) : (a as Operand) % (b as Operand),
  less: (a: unknown, b: unknown): boolean =>
    areSizes(a, b) ? compared(a, b, "lt", "gt") : (a as Operand) < (b as Operand),
  atMost: (a: unknown, b: unknown): boolean =>
    areSizes(a, b) ? compared(a, b, "le", "ge") : (a as Operand) <= (b as Operand),
  more: (a: unknown, b: unknown): boolean =>
    areSizes(a, b) ? compared(a, b, "gt", "lt") : (a as Operand) > (b as Operand),
  atLeast: (a: unknown, b: unknown): boolean =>
    areSizes(a, b) ? compared(a, b, "ge", "le") : (a as Operand) >= (b as Operand),
  floorOf: (a: unknown, b: unknown): unknown =>
    isPositive(b) && isNatural(a) ? sizeFloorDiv(a, b) : Math.floor((a as Operand) / (b as Operand)),
  ceilOf: (a: unknown, b: unknown): unknown =>
    isPositive(b) && isNatural(a) ? sizeCeilDiv(a, b) : Math.ceil((a as Operand) / (b as Operand)),
} as const;
