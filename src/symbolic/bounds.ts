/**
 * Proofs about the sign of expressions. Every node knows its interval (computed when it was interned); what intervals
 * cannot see, such as `i*t + j < s*t` for i < s and j < t, is proven by replacing index symbols and remainders by
 * their symbolic worst case and then looking at the polynomial in (size - least size), whose variables are ≥ 0.
 *
 * All answers are one-sided: `true` is a proof for all values within the symbols' ranges, `false` is ignorance.
 */
import { add, addScaled, asExpr, constant, constantTerm, type ExprLike, factorsOf, mul, productOf } from "./expr.ts";
import { sub, termsOf } from "./expr.ts";
import { floorDiv } from "./divide.ts";
import type { Expr, Term } from "./nodes.ts";

/** An inclusive interval; ends may be infinite. */
export interface Bounds {
  readonly lower: number;
  readonly upper: number;
}

/** The interval in which the value of an expression lies, for all values of its symbols within their ranges. */
export function bounds(e: Expr): Bounds {
  return { lower: e.lower, upper: e.upper };
}

/** How many proofs may be nested: simplifying a worst case may itself ask for a proof. */
const MAX_DEPTH = 3;
const MAX_ROUNDS = 12;
const MAX_TERMS = 16;
let depth = 0;

/** How many proofs are being made right now; results found below a proof are not worth remembering. */
export function proofDepth(): number {
  return depth;
}

/** Proves e ≥ 0. */
export function isNonNegative(e: Expr): boolean {
  if (e.lower >= 0) return true;
  if (e.upper < 0 || e.kind === "const" || depth >= MAX_DEPTH) return false;
  if (e.kind !== "add" || e.terms.length > MAX_TERMS) return false;
  depth++;
  try {
    return proveNonNegative(e);
  } finally {
    depth--;
  }
}

/** Proves e > 0. */
export function isPositive(e: Expr): boolean {
  return e.lower > 0 || isNonNegative(sub(e, 1));
}

/** Proves a < b. */
export function provablyLt(a: ExprLike, b: ExprLike): boolean {
  return isNonNegative(add(asExpr(b), sub(-1, a)));
}

/** Proves a ≤ b. */
export function provablyLe(a: ExprLike, b: ExprLike): boolean {
  return isNonNegative(sub(b, a));
}

function proveNonNegative(start: Expr): boolean {
  let e = start;
  const done = new Set<Expr>();
  for (let round = 0; round < MAX_ROUNDS; round++) {
    if (e.lower >= 0) return true;
    if (e.upper < 0) return false;
    const atom = nextAtom(e, done);
    if (atom === null) break;
    done.add(atom);
    e = withWorstCase(e, atom);
  }
  return e.lower >= 0 || hasNonNegativeCoefficients(e);
}

/** The youngest atom whose range is known better than its interval says, or that correlates terms. */
function nextAtom(e: Expr, done: ReadonlySet<Expr>): Expr | null {
  let found: Expr | null = null;
  for (const term of termsOf(e)) {
    for (const f of factorsOf(term.factor)) {
      if (done.has(f)) continue;
      const bounded = (f.kind === "symbol" && f.symbol.kind === "index") || f.kind === "mod" || f.kind === "floorDiv";
      if (bounded && (found === null || f.id > found.id)) found = f;
    }
  }
  return found;
}

/** Replaces the terms linear in the atom by their least value; e stays a lower bound of what it was. */
function withWorstCase(e: Expr, atom: Expr): Expr {
  const cofactors: Expr[] = [], rest: Term[] = [];
  for (const term of termsOf(e)) {
    const factors = factorsOf(term.factor);
    const at = factors.indexOf(atom);
    if (at < 0) rest.push(term);
    else cofactors.push(mul(term.coefficient, productOf(factors.filter((_, i) => i !== at))));
  }
  const slope = add(...cofactors);
  let other = constant(constantTerm(e));
  for (const term of rest) other = addScaled(other, term.factor, term.coefficient);
  if (isNonNegative(slope)) return Number.isFinite(atom.lower) ? add(other, mul(slope, atom.lower)) : e;
  if (!isNonNegative(sub(0, slope))) return e;
  const greatest = greatestOf(atom);
  return greatest === null ? e : add(other, mul(slope, greatest));
}

/** A symbolic upper bound of an atom, or null. */
function greatestOf(atom: Expr): Expr | null {
  if (atom.kind === "symbol") {
    const extent = atom.symbol.extent;
    if (extent !== undefined && extent.kind !== "const") return sub(extent, 1);
  } else if (atom.kind === "mod" && atom.b.lower > 0) {
    if (atom.b.kind !== "const") return sub(atom.b, 1);
  } else if (atom.kind === "floorDiv" && atom.b.lower > 0 && atom.upper === Infinity) {
    let most = atom.a;
    const done = new Set<Expr>();
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const inner = nextAtom(most, done);
      if (inner === null) break;
      done.add(inner);
      most = sub(0, withWorstCase(sub(0, most), inner));
    }
    return most === atom.a ? null : floorDiv(most, atom.b);
  }
  return Number.isFinite(atom.upper) ? constant(atom.upper) : null;
}

/** Shifts every atom by its least value; a polynomial in atoms ≥ 0 with coefficients ≥ 0 is ≥ 0. */
function hasNonNegativeCoefficients(e: Expr): boolean {
  if (termsOf(e).length > MAX_TERMS) return false;
  let shifted = constant(constantTerm(e));
  for (const term of termsOf(e)) {
    const factors = factorsOf(term.factor);
    if (factors.length > 4) return false;
    let product: Expr = constant(term.coefficient);
    for (const f of factors) {
      if (!Number.isFinite(f.lower)) return false;
      product = mul(product, f.kind === "symbol" ? add(f, f.lower) : f);
      if (f.kind !== "symbol" && f.lower < 0) return false;
    }
    shifted = add(shifted, product);
  }
  return constantTerm(shifted) >= 0 && termsOf(shifted).every((t) => t.coefficient >= 0);
}
