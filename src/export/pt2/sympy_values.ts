/**
 * What SymPy text stands for while it is read: integers, conditions, and quotients carried exactly as numerator and denominator.
 *
 * A fraction becomes an integer as soon as its denominator divides its numerator for sure ({@linkcode reduced}), so two equal numbers have one form.
 */
import {
  type BoolExpr,
  ceilDiv,
  constant,
  eq,
  type Expr,
  floorDiv,
  ge,
  gt,
  isNonNegative,
  le,
  lt,
  mod,
  ne,
  where,
} from "../../symbolic/mod.ts";

/** A rational that SymPy keeps; exact until something rounds it. */
export interface Fraction {
  readonly type: "fraction";
  readonly num: Expr;
  /** Positive. */
  readonly den: Expr;
}

/** What a piece of text stands for. */
export type Value =
  | { readonly type: "int"; readonly expr: Expr }
  | { readonly type: "bool"; readonly cond: BoolExpr }
  | Fraction;

/** Relations by their signs. */
export const relations: Readonly<Record<string, (a: Expr, b: Expr) => BoolExpr>> = {
  "==": eq,
  "!=": ne,
  "<": lt,
  "<=": le,
  ">": gt,
  ">=": ge,
};

/** SymPy's class names: `GreaterThan` is ≥. */
export const sympyRelations: Readonly<Record<string, (a: Expr, b: Expr) => BoolExpr>> = {
  Eq: eq,
  Equality: eq,
  Ne: ne,
  Unequality: ne,
  Lt: lt,
  StrictLessThan: lt,
  Le: le,
  LessThan: le,
  Gt: gt,
  StrictGreaterThan: gt,
  Ge: ge,
  GreaterThan: ge,
};

/** An integer. */
export function whole(expr: Expr): Value {
  return { type: "int", expr };
}

/** A condition. */
export function boolean(cond: BoolExpr): Value {
  return { type: "bool", cond };
}

/** A number as numerator and denominator. */
export function fraction(value: Exclude<Value, { type: "bool" }>): Fraction {
  return value.type === "int" ? { type: "fraction", num: value.expr, den: constant(1) } : value;
}

/** The quotient if the denominator divides the numerator for sure. */
export function exactQuotient({ num, den }: Fraction): Expr | null {
  if (den.kind === "const" && den.value === 1) return num;
  const rest = mod(num, den);
  return rest.kind === "const" && rest.value === 0 ? floorDiv(num, den) : null;
}

/** num/den, an integer where it is one for sure; `den` is positive. */
export function reduced(num: Expr, den: Expr): Value {
  const value: Fraction = { type: "fraction", num, den };
  const quotient = exactQuotient(value);
  return quotient === null ? value : whole(quotient);
}

/** A float as an exact fraction with a denominator of at most 2^20, or null. */
export function exactFraction(value: number): Value | null {
  for (let den = 1; den <= 2 ** 20; den *= 2) {
    const num = value * den;
    if (Number.isSafeInteger(num)) return den === 1 ? whole(constant(num)) : reduced(constant(num), constant(den));
  }
  return null;
}

/** A number rounded to an integer as the SymPy function `how` does. */
export function rounded(how: string, value: Exclude<Value, { type: "bool" }>): Expr {
  const { num, den } = fraction(value);
  if (how === "ceiling" || how === "CeilToInt") return ceilDiv(num, den);
  if (how === "floor" || how === "FloorToInt" || isNonNegative(num)) return floorDiv(num, den);
  return where(ge(num, 0), floorDiv(num, den), ceilDiv(num, den));
}
