/**
 * `SymInt`: a size that is not known yet, and arithmetic over `Size = number | SymInt`.
 *
 * Arithmetic stays symbolic; a comparison, or a coercion to a number, asks the shape environment, which answers with the
 * value at hand and records a guard. Sizes that are numbers take the fast path and need no environment. This mirrors
 * PyTorch's `torch.SymInt` and the part of `ShapeEnv` that it calls.
 */
import { ceilDiv, floorDiv, floorDivNumber, mod, modNumber } from "./divide.ts";
import { add, checkSafe, constant, type ExprLike, max, min, mul, neg, sub } from "./expr.ts";
import type { BoolExpr, Expr } from "./nodes.ts";
import { toText } from "./print.ts";
import { eq, le, lt, not } from "./relations.ts";

/** What a `SymInt` needs from the environment that made its symbols. */
export interface ShapeEnvLike {
  /** Decides a condition and guards on the decision. */
  evaluateBool(e: BoolExpr, reason: string): boolean;
  /** The value under the example inputs, without a guard; for heuristics. */
  hint(e: Expr): number;
  /** Fixes an expression to its value and guards on that. */
  evaluateInt(e: Expr, reason: string): number;
  /**
   * Whether a condition holds for sure, without a guard: where either answer gives a right program, and a guard would forbid sizes for good. Absent where guards only
   * ask for another compilation.
   */
  isSure?(e: BoolExpr): boolean;
  /** A plainer expression that the guards say is the same; absent, or `e` itself, if there is none. */
  known?(e: Expr): Expr;
  /** What a size is in a text that a program asks for; absent or null where nobody but the library reads it: it shows as an expression then. */
  textOf?(e: Expr): string | null;
}

/** A tensor size: a number, or an expression over sizes that change from call to call. */
export type Size = number | SymInt;

/** An integer known as an expression. Immutable; equal expressions are found by `a.expr === b.expr`. */
export class SymInt {
  readonly expr: Expr;
  readonly env: ShapeEnvLike;

  constructor(expr: Expr, env: ShapeEnvLike) {
    this.expr = expr;
    this.env = env;
  }

  #apply(other: Size, build: (a: ExprLike, b: ExprLike) => Expr): Size {
    return sizeOf(build(this.expr, exprOf(other)), this.env);
  }

  #decide(cond: BoolExpr, reason: string): boolean {
    return cond.kind === "bool" ? cond.value : this.env.evaluateBool(cond, reason);
  }

  add(other: Size): Size {
    return this.#apply(other, add);
  }

  sub(other: Size): Size {
    return this.#apply(other, sub);
  }

  mul(other: Size): Size {
    return this.#apply(other, mul);
  }

  /** Python's `//`. Throws RangeError for the constant 0. */
  floorDiv(other: Size): Size {
    return this.#apply(other, floorDiv);
  }

  /** Rounds towards plus infinity. Throws RangeError for the constant 0. */
  ceilDiv(other: Size): Size {
    return this.#apply(other, ceilDiv);
  }

  /** Python's `%`. Throws RangeError for the constant 0. */
  mod(other: Size): Size {
    return this.#apply(other, mod);
  }

  neg(): Size {
    return sizeOf(neg(this.expr), this.env);
  }

  min(other: Size): Size {
    return this.#apply(other, min);
  }

  max(other: Size): Size {
    return this.#apply(other, max);
  }

  /** Guards. */
  eq(other: Size): boolean {
    return this.#decide(eq(this.expr, exprOf(other)), "==");
  }

  /** Guards. */
  ne(other: Size): boolean {
    return !this.eq(other);
  }

  /** Guards. */
  lt(other: Size): boolean {
    return this.#decide(lt(this.expr, exprOf(other)), "<");
  }

  /** Guards. */
  le(other: Size): boolean {
    return this.#decide(le(this.expr, exprOf(other)), "<=");
  }

  /** Guards. */
  gt(other: Size): boolean {
    return this.#decide(not(le(this.expr, exprOf(other))), ">");
  }

  /** Guards. */
  ge(other: Size): boolean {
    return this.#decide(not(lt(this.expr, exprOf(other))), ">=");
  }

  /** The value under the example inputs; does not guard. */
  get hint(): number {
    return this.env.hint(this.expr);
  }

  /** The value, with a guard: `Number(size)`, `size * 2` and `array[size]` specialise. */
  [Symbol.toPrimitive](hint: string): number | string {
    if (hint === "string") return this.toString();
    return this.env.evaluateInt(this.expr, `a symbolic size was coerced to a number (${hint})`);
  }

  valueOf(): number {
    return this.env.evaluateInt(this.expr, "valueOf() of a symbolic size");
  }

  /** The number, with a guard, while a program runs that may look at it; the expression otherwise. */
  toString(): string {
    return this.env.textOf?.(this.expr) ?? toText(this.expr);
  }

  /** A number in JSON, with a guard. */
  toJSON(): number {
    return this.env.evaluateInt(this.expr, "a symbolic size was written as JSON");
  }

  /** Sizes are numbers to whoever asks their kind by `Object.prototype.toString`. */
  get [Symbol.toStringTag](): string {
    return "Number";
  }

  [Symbol.for("Deno.customInspect")](): string {
    return `SymInt(${toText(this.expr)})`;
  }
}

/** Whether a value is a `SymInt`. */
export function isSymInt(value: unknown): value is SymInt {
  return value instanceof SymInt;
}

/** The expression of a size. */
export function exprOf(size: Size): Expr {
  return typeof size === "number" ? constant(size) : size.env.known?.(size.expr) ?? size.expr;
}

/** The size of an expression: a number where it is constant. */
export function sizeOf(expr: Expr, env: ShapeEnvLike): Size {
  return expr.kind === "const" ? expr.value : new SymInt(expr, env);
}

/** A number for heuristics; does not guard. */
export function hintOf(size: Size): number {
  return typeof size === "number" ? size : size.hint;
}

/** Applies an operator to two sizes of which at least one is symbolic. */
function combine(a: Size, b: Size, build: (a: ExprLike, b: ExprLike) => Expr): Size {
  const env = typeof a !== "number" ? a.env : typeof b !== "number" ? b.env : null;
  const expr = build(exprOf(a), exprOf(b));
  if (expr.kind === "const") return expr.value;
  if (env === null) throw new TypeError(`symbolic: ${toText(expr)} has no environment`);
  return new SymInt(expr, env);
}

/** Decides a condition between two sizes; at least one of them is symbolic. */
function decide(a: Size, b: Size, build: (a: ExprLike, b: ExprLike) => BoolExpr, sign: string): boolean {
  const cond = build(exprOf(a), exprOf(b));
  if (cond.kind === "bool") return cond.value;
  const env = typeof a !== "number" ? a.env : typeof b !== "number" ? b.env : null;
  if (env === null) throw new TypeError(`symbolic: ${toText(cond)} has no environment`);
  return env.evaluateBool(cond, sign);
}

export function sizeAdd(a: Size, b: Size): Size {
  return typeof a === "number" && typeof b === "number" ? checkSafe(a + b) : combine(a, b, add);
}

export function sizeSub(a: Size, b: Size): Size {
  return typeof a === "number" && typeof b === "number" ? checkSafe(a - b) : combine(a, b, sub);
}

export function sizeMul(a: Size, b: Size): Size {
  return typeof a === "number" && typeof b === "number" ? checkSafe(a * b) : combine(a, b, mul);
}

/** Python's `//`. Throws RangeError for the constant 0. */
export function sizeFloorDiv(a: Size, b: Size): Size {
  return typeof a === "number" && typeof b === "number" ? floorDivNumber(a, b) : combine(a, b, floorDiv);
}

/** Rounds towards plus infinity. Throws RangeError for the constant 0. */
export function sizeCeilDiv(a: Size, b: Size): Size {
  return typeof a === "number" && typeof b === "number" ? 0 - floorDivNumber(0 - a, b) : combine(a, b, ceilDiv);
}

/** Python's `%`. Throws RangeError for the constant 0. */
export function sizeMod(a: Size, b: Size): Size {
  return typeof a === "number" && typeof b === "number" ? modNumber(a, b) : combine(a, b, mod);
}

export function sizeNeg(a: Size): Size {
  return typeof a === "number" ? 0 - a : a.neg();
}

export function sizeMin(a: Size, b: Size): Size {
  return typeof a === "number" && typeof b === "number" ? Math.min(a, b) : combine(a, b, min);
}

export function sizeMax(a: Size, b: Size): Size {
  return typeof a === "number" && typeof b === "number" ? Math.max(a, b) : combine(a, b, max);
}

/** Whether the sizes are equal; guards where that is not known. */
export function sizeEq(a: Size, b: Size): boolean {
  return typeof a === "number" && typeof b === "number" ? a === b : decide(a, b, eq, "==");
}

/** Whether the sizes are equal for sure: never guards, and false where it is not known. */
export function sizeSame(a: Size, b: Size): boolean {
  return a === b || exprOf(a) === exprOf(b);
}

/** Whether the sizes are equal, where a layout may be taken for either: guards only where that costs no more than another compilation. */
export function sizeEqForLayout(a: Size, b: Size): boolean {
  if (typeof a === "number" && typeof b === "number") return a === b;
  const env = typeof a !== "number" ? a.env : (b as SymInt).env;
  return env.isSure === undefined ? sizeEq(a, b) : env.isSure(eq(exprOf(a), exprOf(b)));
}

/** Guards where it is not known. */
export function sizeLt(a: Size, b: Size): boolean {
  return typeof a === "number" && typeof b === "number" ? a < b : decide(a, b, lt, "<");
}

/** Guards where it is not known. */
export function sizeLe(a: Size, b: Size): boolean {
  return typeof a === "number" && typeof b === "number" ? a <= b : decide(a, b, le, "<=");
}

/** Whether a size is 1; a size symbol is at least 2, so this rarely guards. */
export function sizeIsOne(a: Size): boolean {
  return typeof a === "number" ? a === 1 : a.eq(1);
}

/** Whether a size is 0; a size symbol is at least 2, so this rarely guards. */
export function sizeIsZero(a: Size): boolean {
  return typeof a === "number" ? a === 0 : a.eq(0);
}

/** The product of sizes; 1 for none. */
export function sizeProd(sizes: readonly Size[]): Size {
  let product: Size = 1;
  for (const size of sizes) product = sizeMul(product, size);
  return product;
}

/** The sum of sizes; 0 for none. */
export function sizeSum(sizes: readonly Size[]): Size {
  let sum: Size = 0;
  for (const size of sizes) sum = sizeAdd(sum, size);
  return sum;
}
