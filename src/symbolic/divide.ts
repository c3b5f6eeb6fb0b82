/**
 * Floor division and remainder: the part of the simplifier that makes chains of views collapse.
 *
 * Both operators come from one decomposition. For a divisor b = g·D (g, D > 0) the dividend is split as
 * a = b·Q + g·S + R with 0 ≤ R < g proven; then a // b = Q + S // D and a % b = g·(S % D) + R. Static and symbolic
 * divisors share it: g ranges over the greatest common monomials of b and the terms of a, largest first.
 */
import { isNonNegative, proofDepth } from "./bounds.ts";
import { add, addScaled, asExpr, checkSafe, constant, constantTerm, type ExprLike, factorsOf, gcd } from "./expr.ts";
import { mul, neg, productOf, sub, sumOfTerms, termsOf } from "./expr.ts";
import { type Expr, internFloorDiv, internMod, type Term } from "./nodes.ts";

/** Python's `a // b` on numbers. Throws RangeError for b = 0. */
export function floorDivNumber(a: number, b: number): number {
  if (b === 0) throw new RangeError(`floorDiv(${a}, 0): division by zero`);
  const r = a % b;
  const q = Math.round((a - r) / b);
  return (r !== 0 && (r < 0) !== (b < 0) ? q - 1 : q) + 0;
}

/** Python's `a % b` on numbers: takes the divisor's sign. Throws RangeError for b = 0. */
export function modNumber(a: number, b: number): number {
  if (b === 0) throw new RangeError(`mod(${a}, 0): division by zero`);
  const r = a % b;
  return (r !== 0 && (r < 0) !== (b < 0) ? r + b : r) + 0;
}

/** A lossy cache from pairs of node ids to results: a collision overwrites, so its memory is fixed. */
class PairCache {
  static readonly #SIZE = 1 << 14;
  readonly #a = new Float64Array(PairCache.#SIZE).fill(-1);
  readonly #b = new Float64Array(PairCache.#SIZE).fill(-1);
  readonly #values: (Expr | undefined)[] = new Array<Expr | undefined>(PairCache.#SIZE).fill(undefined);

  get(a: Expr, b: Expr, compute: (a: Expr, b: Expr) => Expr): Expr {
    const slot = (Math.imul(a.id, 0x9e3779b1) ^ Math.imul(b.id, 0x85ebca6b)) >>> 18;
    if (this.#a[slot] === a.id && this.#b[slot] === b.id) {
      const hit = this.#values[slot];
      if (hit !== undefined) return hit;
    }
    const value = compute(a, b);
    if (proofDepth() > 0) return value; // a proof cut short by its depth must not weaken later results
    this.#a[slot] = a.id;
    this.#b[slot] = b.id;
    this.#values[slot] = value;
    return value;
  }
}

const quotients = new PairCache();
const remainders = new PairCache();

/** `a // b`, rounded towards minus infinity. Throws RangeError when b is the constant 0. */
export function floorDiv(a: ExprLike, b: ExprLike): Expr {
  const x = asExpr(a), y = asExpr(b);
  if (y.kind === "const") {
    if (x.kind === "const") return constant(floorDivNumber(x.value, y.value));
    if (y.value === 1) return x;
    if (y.value === 0) throw new RangeError("floorDiv: division by the constant 0");
  }
  return quotients.get(x, y, quotient);
}

/** `a % b` with the sign of b. Throws RangeError when b is the constant 0. */
export function mod(a: ExprLike, b: ExprLike): Expr {
  const x = asExpr(a), y = asExpr(b);
  if (y.kind === "const") {
    if (x.kind === "const") return constant(modNumber(x.value, y.value));
    if (y.value === 1) return constant(0);
    if (y.value === 0) throw new RangeError("mod: division by the constant 0");
  }
  return remainders.get(x, y, remainder);
}

/** `⌈a / b⌉`, as `-((-a) // b)`. */
export function ceilDiv(a: ExprLike, b: ExprLike): Expr {
  return neg(floorDiv(neg(a), b));
}

/** A monomial `coefficient * Π factors`, or null for a sum of several terms. */
interface Monomial {
  readonly coefficient: number;
  readonly factors: readonly Expr[];
}

function asMonomial(e: Expr): Monomial | null {
  if (e.kind === "const") return { coefficient: e.value, factors: [] };
  if (e.kind !== "add") return { coefficient: 1, factors: factorsOf(e) };
  const only = e.terms[0];
  return e.terms.length === 1 && e.constant === 0 && only !== undefined
    ? { coefficient: only.coefficient, factors: factorsOf(only.factor) }
    : null;
}

function fromMonomial(m: Monomial): Expr {
  return mul(m.coefficient, productOf(m.factors));
}

/** `factors` without `part`, or null when some factor of `part` is missing. */
function withoutFactors(factors: readonly Expr[], part: readonly Expr[]): readonly Expr[] | null {
  if (part.length === 0) return factors;
  const left = [...factors];
  for (const f of part) {
    const at = left.indexOf(f);
    if (at < 0) return null;
    left.splice(at, 1);
  }
  return left;
}

function commonFactors(a: readonly Expr[], b: readonly Expr[]): Expr[] {
  const left = [...b];
  return a.filter((f) => {
    const at = left.indexOf(f);
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
}

interface Split {
  readonly quotient: Expr;
  readonly rest: Expr;
}

/** Writes a = g·quotient + rest, taking into the quotient all whole multiples of g that stand in a's terms. */
function splitBy(a: Expr, g: Monomial): Split {
  const taken: Term[] = [], left: Term[] = [];
  let constants = 0;
  for (const term of termsOf(a)) {
    const factors = withoutFactors(factorsOf(term.factor), g.factors);
    const times = factors === null ? 0 : Math.trunc(term.coefficient / g.coefficient) + 0;
    if (factors === null || times === 0) {
      left.push(term);
      continue;
    }
    const over = term.coefficient - times * g.coefficient;
    if (over !== 0) left.push({ coefficient: over, factor: term.factor });
    if (factors.length === 0) constants += times;
    else taken.push({ coefficient: times, factor: productOf(factors) });
  }
  let rest = constantTerm(a);
  if (g.factors.length === 0) {
    const times = floorDivNumber(rest, g.coefficient);
    constants += times;
    rest -= times * g.coefficient;
  }
  if (taken.length === 0 && constants === 0) return { quotient: constant(0), rest: a };
  const quotient = add(...taken.map((t) => mul(t.coefficient, t.factor)), checkSafe(constants));
  return { quotient, rest: sumOfTerms(left, rest) };
}

/** Polynomial division by a sum: subtracts multiples of b's first term while that leaves fewer terms. */
function splitBySum(a: Expr, b: Expr): Split {
  const lead = termsOf(b)[0];
  let quotient = constant(0), rest = a;
  if (lead === undefined) return { quotient, rest };
  const g: Monomial = { coefficient: lead.coefficient, factors: factorsOf(lead.factor) };
  for (let round = 0; round < 8; round++) {
    let better: Split | null = null;
    for (const term of termsOf(rest)) {
      const factors = withoutFactors(factorsOf(term.factor), g.factors);
      if (factors === null || term.coefficient % g.coefficient !== 0) continue;
      const times = mul(term.coefficient / g.coefficient, productOf(factors));
      const next = sub(rest, mul(times, b));
      if (termsOf(next).length < termsOf(rest).length) {
        better = { quotient: add(quotient, times), rest: next };
        break;
      }
    }
    if (better === null) break;
    quotient = better.quotient;
    rest = better.rest;
  }
  return { quotient, rest };
}

/** The number t with t·g ≤ e < (t+1)·g, if that can be proven; g is positive. */
function blockOf(e: Expr, g: Expr): number | null {
  if (g.kind === "const") {
    if (Number.isFinite(e.lower) && Number.isFinite(e.upper)) {
      const low = floorDivNumber(e.lower, g.value);
      if (low === floorDivNumber(e.upper, g.value)) return low;
    }
  }
  if (e.lower >= 0 || e.upper === Infinity) {
    if (isNonNegative(e) && isNonNegative(add(g, neg(e), -1))) return 0;
  }
  if (e.upper < 0 && isNonNegative(add(e, g))) return -1;
  return null;
}

interface Division {
  /** a = b·quotient + rest, after which a // b = quotient + rest // b. */
  readonly quotient: Expr;
  readonly rest: Expr;
  /** Set when the rest is known to be less than b. */
  readonly exact: boolean;
}

function divide(a: Expr, b: Expr): Division {
  const g = asMonomial(b);
  const { quotient: first, rest } = g === null ? splitBySum(a, b) : splitBy(a, g);
  const done = rest.kind === "const" && rest.value === 0;
  if (done) return { quotient: first, rest, exact: true };
  if (b.lower > 0) {
    const block = blockOf(rest, b);
    if (block !== null) {
      return { quotient: add(first, block), rest: addScaled(rest, b, -block), exact: true };
    }
  }
  return { quotient: first, rest, exact: false };
}

interface Reduction {
  readonly divisor: Expr;
  readonly scale: Expr;
  readonly dividend: Expr;
  readonly rest: Expr;
}

/** Finds g, D, S, R with b = g·D, a = g·S + R, 0 ≤ R < g and g > 1. */
function reduce(a: Expr, b: Expr): Reduction | null {
  const whole = asMonomial(b);
  if (whole === null) return null;
  const seen = new Map<Expr, Monomial>();
  for (const term of termsOf(a)) {
    const factors = commonFactors(factorsOf(term.factor), whole.factors);
    const coefficient = gcd(term.coefficient, whole.coefficient);
    if (coefficient === 1 && factors.length === 0) continue;
    const g = { coefficient, factors };
    seen.set(fromMonomial(g), g);
  }
  if (seen.size === 0) return null;
  const candidates = [...seen].sort(([, x], [, y]) =>
    y.factors.length - x.factors.length || y.coefficient - x.coefficient
  );
  for (const [scale, g] of candidates) {
    if (scale === b) continue;
    const others = withoutFactors(whole.factors, g.factors);
    if (others === null || scale.lower <= 0) continue;
    const divisor = fromMonomial({ coefficient: whole.coefficient / g.coefficient, factors: others });
    const { quotient, rest } = splitBy(a, g);
    const block = rest.kind === "const" && rest.value === 0 ? 0 : blockOf(rest, scale);
    if (block === null) continue;
    return { divisor, scale, dividend: add(quotient, block), rest: addScaled(rest, scale, -block) };
  }
  return null;
}

function quotient(a: Expr, b: Expr): Expr {
  if (a.kind === "const" && a.value === 0) return a;
  if (b.upper < 0) return floorDiv(neg(a), neg(b));
  const { quotient: first, rest, exact } = divide(a, b);
  if (exact) return first;
  const smaller = reduce(rest, b);
  if (smaller !== null) return add(first, floorDiv(smaller.dividend, smaller.divisor));
  if (rest.kind === "floorDiv" && rest.b.lower > 0 && b.lower > 0) {
    return add(first, floorDiv(rest.a, mul(rest.b, b)));
  }
  if (rest.kind === "mod" && rest.b.lower > 0 && b.lower > 0) {
    const part = divide(rest.b, b);
    if (part.exact && part.rest.kind === "const" && part.rest.value === 0) {
      return add(first, mod(floorDiv(rest.a, b), part.quotient));
    }
  }
  if (rest !== a) return add(first, floorDiv(rest, b));
  return internFloorDiv(a, b);
}

/** Replaces `c·(x % m)` by `c·x` where b divides c·m: the difference is a multiple of b. */
function dropInnerRemainders(a: Expr, b: Expr): Expr {
  const g = asMonomial(b);
  if (g === null) return a;
  for (const term of termsOf(a)) {
    const factors = factorsOf(term.factor);
    for (let at = 0; at < factors.length; at++) {
      const f = factors[at];
      if (f === undefined || f.kind !== "mod") continue;
      const cofactor = mul(term.coefficient, productOf(factors.filter((_, i) => i !== at)));
      const multiple = splitBy(mul(cofactor, f.b), g).rest;
      if (multiple.kind !== "const" || multiple.value !== 0) continue;
      const without = addScaled(a, term.factor, -term.coefficient);
      return dropInnerRemainders(add(without, mul(cofactor, f.a)), b);
    }
  }
  return a;
}

function remainder(a: Expr, b: Expr): Expr {
  if (a.kind === "const" && a.value === 0) return a;
  if (b.upper < 0) return neg(mod(neg(a), neg(b)));
  if (a.kind === "mod" && a.b === b) return a;
  const plain = divide(a, b);
  if (plain.exact) return plain.rest;
  const stripped = dropInnerRemainders(plain.rest, b);
  const { rest, exact } = stripped === plain.rest ? plain : divide(stripped, b);
  if (exact) return rest;
  const smaller = reduce(rest, b);
  if (smaller !== null) {
    return add(mul(smaller.scale, mod(smaller.dividend, smaller.divisor)), smaller.rest);
  }
  if (rest !== a) return mod(rest, b);
  return internMod(a, b);
}
