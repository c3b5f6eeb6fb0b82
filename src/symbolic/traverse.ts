/**
 * Walks over expressions: evaluation, substitution, free symbols, affine coefficients, size hints.
 *
 * Nothing here recurses into a subtree whose symbol mask proves that it has nothing to find.
 */
import { floorDiv, floorDivNumber, mod, modNumber } from "./divide.ts";
import { add, checkSafe, constant, constantTerm, factorsOf, max, min, mul, productOf, termsOf, where } from "./expr.ts";
import type { BoolExpr, Expr, Sym } from "./nodes.ts";
import { and, eq, le, lt, ne, or } from "./relations.ts";
export { constantTerm };

/**
 * The value of an expression under an assignment. Throws RangeError on division by zero and on overflow beyond 2^53.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { add, evaluate, mul, sizeSymbol } from "./mod.ts";
 * const s = sizeSymbol("s0");
 * assert.ok(evaluate(add(mul(s, 4), 1), () => 5) === 21);
 * ```
 */
export function evaluate(e: Expr, env: (s: Sym) => number): number {
  switch (e.kind) {
    case "const":
      return e.value;
    case "symbol":
      return env(e.symbol);
    case "add": {
      let total = e.constant;
      for (const { coefficient, factor } of e.terms) total += coefficient * evaluate(factor, env);
      return checkSafe(total);
    }
    case "mul": {
      let product = 1;
      for (const factor of e.factors) product *= evaluate(factor, env);
      return checkSafe(product);
    }
    case "floorDiv":
      return floorDivNumber(evaluate(e.a, env), evaluate(e.b, env));
    case "mod":
      return modNumber(evaluate(e.a, env), evaluate(e.b, env));
    case "min":
      return Math.min(...e.args.map((arg) => evaluate(arg, env)));
    case "max":
      return Math.max(...e.args.map((arg) => evaluate(arg, env)));
    case "where":
      return evaluateBool(e.cond, env) ? evaluate(e.a, env) : evaluate(e.b, env);
    default:
      return e satisfies never;
  }
}

/** The truth of a condition under an assignment. */
export function evaluateBool(e: BoolExpr, env: (s: Sym) => number): boolean {
  switch (e.kind) {
    case "bool":
      return e.value;
    case "eq":
      return evaluate(e.a, env) === evaluate(e.b, env);
    case "ne":
      return evaluate(e.a, env) !== evaluate(e.b, env);
    case "lt":
      return evaluate(e.a, env) < evaluate(e.b, env);
    case "le":
      return evaluate(e.a, env) <= evaluate(e.b, env);
    case "and":
      return e.args.every((arg) => evaluateBool(arg, env));
    case "or":
      return e.args.some((arg) => evaluateBool(arg, env));
    default:
      return e satisfies never;
  }
}

/** Replaces symbols by expressions, all at once, and simplifies again. */
export function substitute(e: Expr, map: ReadonlyMap<Sym, Expr>): Expr {
  return map.size === 0 ? e : new Substitution(map).apply(e);
}

/** {@linkcode substitute} for conditions. */
export function substituteBool(e: BoolExpr, map: ReadonlyMap<Sym, Expr>): BoolExpr {
  return map.size === 0 ? e : new Substitution(map).applyBool(e);
}

/** A substitution whose memo may be shared by many expressions. */
export class Substitution {
  readonly #map: ReadonlyMap<Sym, Expr>;
  readonly #mask: number;
  readonly #memo = new Map<Expr, Expr>();

  constructor(map: ReadonlyMap<Sym, Expr>) {
    this.#map = map;
    let mask = 0;
    for (const sym of map.keys()) mask |= 1 << (sym.id & 31);
    this.#mask = mask;
  }

  apply(e: Expr): Expr {
    if ((e.mask & this.#mask) === 0) return e;
    if (e.kind === "symbol") return this.#map.get(e.symbol) ?? e;
    const known = this.#memo.get(e);
    if (known !== undefined) return known;
    const result = this.#rebuild(e);
    this.#memo.set(e, result);
    return result;
  }

  #rebuild(e: Exclude<Expr, { kind: "symbol" }>): Expr {
    switch (e.kind) {
      case "const":
        return e;
      case "add":
        return add(...e.terms.map((t) => mul(t.coefficient, this.apply(t.factor))), e.constant);
      case "mul":
        return mul(...e.factors.map((f) => this.apply(f)));
      case "floorDiv":
        return floorDiv(this.apply(e.a), this.apply(e.b));
      case "mod":
        return mod(this.apply(e.a), this.apply(e.b));
      case "min":
        return min(...e.args.map((arg) => this.apply(arg)));
      case "max":
        return max(...e.args.map((arg) => this.apply(arg)));
      case "where": {
        // The branch that is not taken may be undefined (a division by zero) under this substitution.
        const cond = this.applyBool(e.cond);
        if (cond.kind === "bool") return this.apply(cond.value ? e.a : e.b);
        return where(cond, this.apply(e.a), this.apply(e.b));
      }
      default:
        return e satisfies never;
    }
  }

  applyBool(e: BoolExpr): BoolExpr {
    if ((e.mask & this.#mask) === 0) return e;
    switch (e.kind) {
      case "bool":
        return e;
      case "eq":
        return eq(this.apply(e.a), this.apply(e.b));
      case "ne":
        return ne(this.apply(e.a), this.apply(e.b));
      case "lt":
        return lt(this.apply(e.a), this.apply(e.b));
      case "le":
        return le(this.apply(e.a), this.apply(e.b));
      case "and":
        return and(...e.args.map((arg) => this.applyBool(arg)));
      case "or":
        return or(...e.args.map((arg) => this.applyBool(arg)));
      default:
        return e satisfies never;
    }
  }
}

function children(e: Expr | BoolExpr): readonly (Expr | BoolExpr)[] {
  switch (e.kind) {
    case "const":
    case "bool":
    case "symbol":
      return [];
    case "add":
      return e.terms.map((t) => t.factor);
    case "mul":
      return e.factors;
    case "floorDiv":
    case "mod":
    case "eq":
    case "ne":
    case "lt":
    case "le":
      return [e.a, e.b];
    case "min":
    case "max":
    case "and":
    case "or":
      return e.args;
    case "where":
      return [e.cond, e.a, e.b];
    default:
      return e satisfies never;
  }
}

/** The symbols that occur in an expression or condition, in order of first occurrence. */
export function freeSymbols(e: Expr | BoolExpr): ReadonlySet<Sym> {
  const found = new Set<Sym>();
  const seen = new Set<Expr | BoolExpr>();
  const visit = (node: Expr | BoolExpr): void => {
    if (node.mask === 0 || seen.has(node)) return;
    seen.add(node);
    if (node.kind === "symbol") found.add(node.symbol);
    else for (const child of children(node)) visit(child);
  };
  visit(e);
  return found;
}

/** Whether the symbol occurs in the expression. */
export function dependsOn(e: Expr | BoolExpr, sym: Sym): boolean {
  if ((e.mask & (1 << (sym.id & 31))) === 0) return false;
  if (e.kind === "symbol") return e.symbol === sym;
  return children(e).some((child) => dependsOn(child, sym));
}

/**
 * The factor of an affine symbol: its stride. 0 where the symbol does not occur, null where the expression is not affine
 * in it (`i//2`, `i*i`). The factor may contain other symbols.
 */
export function coefficient(e: Expr, sym: Sym): Expr | null {
  const parts: Expr[] = [];
  for (const term of termsOf(e)) {
    if (!dependsOn(term.factor, sym)) continue;
    const factors = factorsOf(term.factor);
    const at = factors.findIndex((f) => f.kind === "symbol" && f.symbol === sym);
    const others = factors.filter((_, i) => i !== at);
    if (at < 0 || others.some((f) => dependsOn(f, sym))) return null;
    parts.push(mul(term.coefficient, productOf(others)));
  }
  return parts.length === 0 ? constant(0) : add(...parts);
}

/** Whether the expression is `stride·sym + rest` with stride and rest free of the symbol. */
export function isAffineIn(e: Expr, sym: Sym): boolean {
  return coefficient(e, sym) !== null;
}

/** The part of an affine expression that does not contain the symbol, or null when it is not affine in it. */
export function withoutSymbol(e: Expr, sym: Sym): Expr | null {
  return isAffineIn(e, sym) ? substitute(e, new Map([[sym, constant(0)]])) : null;
}

/** A number for heuristics: the value with `fallback` (or the nearest value in range) for every symbol. */
export function sizeHint(e: Expr, fallback: number | ((s: Sym) => number)): number {
  if (e.kind === "const") return e.value;
  return evaluate(e, (s) => {
    const guess = typeof fallback === "number" ? fallback : fallback(s);
    return Math.min(Math.max(guess, s.lower), s.upper);
  });
}
