/**
 * Constructors of conditions over integer expressions: `eq ne lt le gt ge and or not`.
 *
 * Relations are canonical: everything moves to one side, is divided by its content (on the integers `2x ≤ 5` is
 * `x ≤ 2`), and is split into two sides with positive coefficients. What bounds can decide becomes a constant.
 * Negation is pushed inwards by De Morgan, so no node needs it.
 */
import { isNonNegative } from "./bounds.ts";
import { floorDivNumber } from "./divide.ts";
import { addScaled, asExpr, constantTerm, type ExprLike, gcd, sub, sumOfTerms, termsOf } from "./expr.ts";
import { type BoolExpr, type Expr, internBool, internJunction, internRelation, type Term } from "./nodes.ts";
import { compareBool } from "./order.ts";

/** The condition that always holds. */
export const TRUE: BoolExpr = internBool(true);
/** The condition that never holds. */
export const FALSE: BoolExpr = internBool(false);

/** A condition from a boolean. */
export function asBool(value: BoolExpr | boolean): BoolExpr {
  return typeof value === "boolean" ? (value ? TRUE : FALSE) : value;
}

/** `a == b`. */
export function eq(a: ExprLike, b: ExprLike): BoolExpr {
  const d = sub(a, b);
  if (d.kind === "const") return asBool(d.value === 0);
  if (d.lower > 0 || d.upper < 0) return FALSE;
  const g = content(d);
  const whole = constantTerm(d);
  if (whole % g !== 0) return FALSE;
  const first = termsOf(d)[0];
  const sign = first !== undefined && first.coefficient < 0 ? -1 : 1;
  const terms = termsOf(d).map((t) => ({ coefficient: t.coefficient * sign / g, factor: t.factor }));
  const normal = sumOfTerms(terms, whole * sign / g + 0);
  if (isNonNegative(sub(normal, 1)) || isNonNegative(sub(-1, normal))) return FALSE;
  const [left, right] = sides(normal);
  return internRelation("eq", left, right);
}

/** `a != b`. */
export function ne(a: ExprLike, b: ExprLike): BoolExpr {
  return not(eq(a, b));
}

/** `a <= b`. */
export function le(a: ExprLike, b: ExprLike): BoolExpr {
  const d = sub(b, a);
  if (isNonNegative(d)) return TRUE;
  if (d.upper < 0 || isNonNegative(sub(-1, d))) return FALSE;
  const g = content(d);
  // g·t + c ≥ 0 holds exactly where t + c//g ≥ 0.
  const terms = termsOf(d).map((t) => ({ coefficient: t.coefficient / g, factor: t.factor }));
  const normal = sumOfTerms(terms, floorDivNumber(constantTerm(d), g));
  const [right, left] = sides(normal);
  if (left.kind === "add" && left.constant === 1 && right.kind !== "const") {
    return internRelation("lt", addScaled(left, asExpr(1), -1), right);
  }
  return internRelation("le", left, right);
}

/** `a < b`. */
export function lt(a: ExprLike, b: ExprLike): BoolExpr {
  return le(addScaled(asExpr(a), asExpr(1), 1), b);
}

/** `a >= b`. */
export function ge(a: ExprLike, b: ExprLike): BoolExpr {
  return le(b, a);
}

/** `a > b`. */
export function gt(a: ExprLike, b: ExprLike): BoolExpr {
  return lt(b, a);
}

/** The greatest number that divides all coefficients, without the constant. */
function content(e: Expr): number {
  let g = 0;
  for (const term of termsOf(e)) g = gcd(g, term.coefficient);
  return g === 0 ? 1 : g;
}

/** Two sums without negative coefficients whose difference is e. */
function sides(e: Expr): [Expr, Expr] {
  const positive: Term[] = [], negative: Term[] = [];
  for (const { coefficient, factor } of termsOf(e)) {
    if (coefficient > 0) positive.push({ coefficient, factor });
    else negative.push({ coefficient: -coefficient, factor });
  }
  const c = constantTerm(e);
  return [sumOfTerms(positive, Math.max(c, 0)), sumOfTerms(negative, Math.max(-c, 0))];
}

/** The negation. */
export function not(e: BoolExpr | boolean): BoolExpr {
  if (typeof e === "boolean") return asBool(!e);
  switch (e.kind) {
    case "bool":
      return asBool(!e.value);
    case "eq":
      return internRelation("ne", e.a, e.b);
    case "ne":
      return internRelation("eq", e.a, e.b);
    case "lt":
      return le(e.b, e.a);
    case "le":
      return lt(e.b, e.a);
    case "and":
      return or(...e.args.map(not));
    case "or":
      return and(...e.args.map(not));
    default:
      return e satisfies never;
  }
}

/** All of the conditions hold. */
export function and(...args: readonly (BoolExpr | boolean)[]): BoolExpr {
  return junction("and", args);
}

/** At least one of the conditions holds. */
export function or(...args: readonly (BoolExpr | boolean)[]): BoolExpr {
  return junction("or", args);
}

function junction(kind: "and" | "or", args: readonly (BoolExpr | boolean)[]): BoolExpr {
  const absorbing = kind === "or";
  const kept = new Set<BoolExpr>();
  for (const arg of args.map(asBool)) {
    for (const e of arg.kind === kind ? arg.args : [arg]) {
      if (e.kind === "bool") {
        if (e.value === absorbing) return e;
        continue;
      }
      kept.add(e);
    }
  }
  for (const e of kept) {
    // Only relations are negated here, so this does not recurse.
    if (e.kind !== "and" && e.kind !== "or" && kept.has(not(e))) return asBool(absorbing);
  }
  const [only] = kept;
  if (only === undefined) return asBool(!absorbing);
  return kept.size === 1 ? only : internJunction(kind, [...kept].sort(compareBool));
}
