/**
 * Constructors of integer expressions, which are also the simplifier: symbols, constants, sums, products, min, max.
 *
 * Whatever is built here is canonical: sums are linear combinations over sorted monomials, products of sums are
 * expanded while that stays small, and remainders that meet their quotients recombine (`k*(x//k) + x%k → x`). The
 * theory is that of TVM's and MLIR's affine simplifiers, on the integers with Python's floor semantics, as in PyTorch's
 * `torch.utils._sympy`. Division is in `divide.ts`, conditions are in `relations.ts`.
 */
import { isNonNegative } from "./bounds.ts";
import { floorDiv, mod } from "./divide.ts";
import { type Expr, internAdd, internConst, internMax, internMin, internMul, internSymbol } from "./nodes.ts";
import { internWhere, type Sym, type SymKind, type Term } from "./nodes.ts";
import type { BoolExpr } from "./nodes.ts";
import { compareExpr } from "./order.ts";
export type { AddExpr, BoolExpr, ConstExpr, Expr, FloorDivExpr, MaxExpr, MinExpr, ModExpr } from "./nodes.ts";
export type { JunctionExpr, MulExpr, RelationExpr, Sym, SymbolExpr, SymKind, Term, WhereExpr } from "./nodes.ts";

/** What constructors accept: an expression or a safe integer. */
export type ExprLike = Expr | number;

/** A product of sums is expanded while it has at most this many terms. */
const EXPANSION_LIMIT = 32;

let nextSymbolId = 0;

/** Options of {@linkcode newSym}; ranges are inclusive. */
export interface SymOptions {
  readonly kind?: SymKind;
  readonly lower?: number;
  readonly upper?: number;
  readonly extent?: ExprLike;
  readonly payload?: unknown;
}

/**
 * Makes a fresh symbol. Sizes are at least 2 unless told otherwise (0 and 1 are special), indices start at 0 and end at
 * `extent - 1`, values loaded from memory may be anything, and sizes known only at run time are at least 0.
 */
export function newSym(name: string, options: SymOptions = {}): Sym {
  const kind = options.kind ?? "size";
  const extent = options.extent === undefined ? undefined : asExpr(options.extent);
  const least = kind === "size" ? 2 : kind === "indirect" ? -Infinity : 0;
  const lower = options.lower ?? least;
  const upper = options.upper ?? (extent === undefined ? Infinity : Math.max(extent.upper - 1, lower));
  if (lower > upper) throw new RangeError(`symbol ${name}: the range ${lower} … ${upper} is empty`);
  const sym: Sym = { id: nextSymbolId++, name, kind, lower, upper, payload: options.payload };
  return extent === undefined ? sym : { ...sym, extent };
}

/** A size symbol as an expression; `lower` defaults to 2. */
export function sizeSymbol(name: string, options: Omit<SymOptions, "kind" | "extent"> = {}): Expr {
  return symbol(newSym(name, { ...options, kind: "size" }));
}

/** A loop index as an expression with the values 0 … extent-1; over an extent of 1 (or 0: never evaluated) it is 0. */
export function indexSymbol(name: string, extent: ExprLike): Expr {
  return symbol(newSym(name, { kind: "index", extent }));
}

/** The expression that a symbol stands for; a symbol whose range is one value is that value. */
export function symbol(sym: Sym): Expr {
  return sym.lower === sym.upper ? constant(sym.lower) : internSymbol(sym);
}

const SMALL = 256;
const smallConstants: Expr[] = [];
for (let value = -SMALL; value <= SMALL; value++) smallConstants.push(internConst(value));

/** The constant expression. Throws RangeError unless the value is a safe integer. */
export function constant(value: number): Expr {
  return smallConstants[value + SMALL] ?? internConst(value);
}

/** Turns a number into a constant and leaves expressions alone. */
export function asExpr(value: ExprLike): Expr {
  return typeof value === "number" ? constant(value) : value;
}

/** The value of a constant expression, otherwise null. */
export function constantValue(e: Expr): number | null {
  return e.kind === "const" ? e.value : null;
}

/** Throws RangeError if an integer computation left the safe integers. */
export function checkSafe(value: number): number {
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`symbolic: an integer overflowed 2^53 (${value}); check the sizes that are multiplied`);
  }
  return value + 0;
}

const noTerms: readonly Term[] = [];

/** The summands of an expression seen as a linear combination, without its constant. */
export function termsOf(e: Expr): readonly Term[] {
  return e.kind === "add" ? e.terms : e.kind === "const" ? noTerms : [{ coefficient: 1, factor: e }];
}

/** The constant summand: `constantTerm(4*i + 3) = 3`. */
export function constantTerm(e: Expr): number {
  return e.kind === "add" ? e.constant : e.kind === "const" ? e.value : 0;
}

/** The factors of a monomial, without its coefficient. */
export function factorsOf(e: Expr): readonly Expr[] {
  return e.kind === "mul" ? e.factors : [e];
}

function mergeTerms(a: readonly Term[], b: readonly Term[], scale: number): readonly Term[] {
  if (b.length === 0) return a;
  if (a.length === 0 && scale === 1) return b;
  const out: Term[] = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    const x = a[i], y = b[j];
    const order = x === undefined ? 1 : y === undefined ? -1 : compareExpr(x.factor, y.factor);
    if (x !== undefined && order < 0) {
      out.push(x);
      i++;
    } else if (y !== undefined && order > 0) {
      out.push(scale === 1 ? y : { coefficient: checkSafe(y.coefficient * scale), factor: y.factor });
      j++;
    } else if (x !== undefined && y !== undefined) {
      const coefficient = checkSafe(x.coefficient + y.coefficient * scale);
      if (coefficient !== 0) out.push({ coefficient, factor: x.factor });
      i++;
      j++;
    }
  }
  return out;
}

/** Builds the canonical sum of sorted terms with distinct factors; used where terms come from other sums. */
export function sumOfTerms(terms: readonly Term[], constantPart: number): Expr {
  const first = terms[0];
  if (first === undefined) return constant(constantPart);
  if (terms.length === 1 && constantPart === 0 && first.coefficient === 1) return first.factor;
  checkSafe(constantPart);
  return (terms.length > 1 ? recombine(terms, constantPart) : null) ?? internAdd(terms, constantPart + 0);
}

/** `a + b + …`, with like terms collected. */
export function add(...args: readonly ExprLike[]): Expr {
  let terms = noTerms;
  let total = 0;
  for (const arg of args) {
    if (typeof arg === "number") total = checkSafe(total + checkSafe(arg));
    else {
      total = checkSafe(total + constantTerm(arg));
      terms = mergeTerms(terms, termsOf(arg), 1);
    }
  }
  return sumOfTerms(terms, total);
}

/** `a - b`. */
export function sub(a: ExprLike, b: ExprLike): Expr {
  return addScaled(asExpr(a), asExpr(b), -1);
}

/** `-a`. */
export function neg(a: ExprLike): Expr {
  return scale(asExpr(a), -1);
}

/** `a + b * k` for a number k, in one pass. */
export function addScaled(a: Expr, b: Expr, k: number): Expr {
  if (k === 0) return a;
  const total = checkSafe(constantTerm(a) + checkSafe(constantTerm(b) * k));
  return sumOfTerms(mergeTerms(termsOf(a), termsOf(b), k), total);
}

function scale(e: Expr, k: number): Expr {
  if (k === 1) return e;
  if (k === 0) return constant(0);
  if (e.kind === "const") return constant(checkSafe(e.value * k));
  const terms = termsOf(e).map((t) => ({ coefficient: checkSafe(t.coefficient * k), factor: t.factor }));
  return sumOfTerms(terms, checkSafe(constantTerm(e) * k));
}

/** `a * b * …`; sums are multiplied out while the result stays small. */
export function mul(...args: readonly ExprLike[]): Expr {
  let acc: Expr = constant(1);
  for (const arg of args) acc = mulTwo(acc, asExpr(arg));
  return acc;
}

function mulTwo(a: Expr, b: Expr): Expr {
  if (a.kind === "const") return scale(b, a.value);
  if (b.kind === "const") return scale(a, b.value);
  const x = termsOf(a), y = termsOf(b);
  const p = constantTerm(a), q = constantTerm(b);
  if (x.length * y.length > EXPANSION_LIMIT) return keepProduct(a, b);
  let terms: readonly Term[] = noTerms;
  for (const s of x) {
    for (const t of y) {
      const product = monomial(factorsOf(s.factor), factorsOf(t.factor));
      const coefficient = checkSafe(s.coefficient * t.coefficient);
      terms = mergeTerms(terms, [{ coefficient, factor: product }], 1);
    }
  }
  if (q !== 0) terms = mergeTerms(terms, x, q);
  if (p !== 0) terms = mergeTerms(terms, y, p);
  return sumOfTerms(terms, checkSafe(p * q));
}

/** A product of large sums stays a product; each sum is divided by its content, so that the form is canonical. */
function keepProduct(a: Expr, b: Expr): Expr {
  let coefficient = 1;
  const primitive = (e: Expr): Expr => {
    if (e.kind !== "add") return e;
    let g = e.constant;
    for (const term of e.terms) g = gcd(g, term.coefficient);
    if ((e.terms[0]?.coefficient ?? 1) < 0) g = -g;
    coefficient = checkSafe(coefficient * g);
    if (g === 1) return e;
    const terms = e.terms.map((t) => ({ coefficient: t.coefficient / g, factor: t.factor }));
    return sumOfTerms(terms, e.constant / g);
  };
  const x = primitive(a), y = primitive(b);
  return scale(monomial(factorsOf(x), factorsOf(y)), coefficient);
}

function monomial(a: readonly Expr[], b: readonly Expr[]): Expr {
  return internMul([...a, ...b].sort(compareExpr));
}

/** The product of factors that are already monomial (no sums, no constants). */
export function productOf(factors: readonly Expr[]): Expr {
  const only = factors[0];
  if (only === undefined) return constant(1);
  return factors.length === 1 ? only : internMul([...factors].sort(compareExpr));
}

/** The greatest common divisor, non-negative. */
export function gcd(a: number, b: number): number {
  let x = Math.abs(a), y = Math.abs(b);
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

/** Whether `part` (a sum without its constant) stands in the terms with exactly these coefficients. */
function containsTerms(terms: readonly Term[], part: readonly Term[]): boolean {
  return part.length > 0 &&
    part.every((p) => terms.some((t) => t.factor === p.factor && t.coefficient === p.coefficient));
}

/**
 * Joins remainders with their quotients:
 *   c·k·(x//k) + c·(x%k) → c·x,   c·k·((x//k)%m) + c·(x%k) → c·(x%(k·m)) for k, m > 0,   c·x - c·k·(x//k) → c·(x%k).
 */
function recombine(terms: readonly Term[], constantPart: number): Expr | null {
  let quotients = 0, remainders = 0;
  for (const { factor } of terms) {
    for (const f of factorsOf(factor)) {
      if (f.kind === "mod") remainders++;
      else if (f.kind === "floorDiv") quotients++;
    }
  }
  if (remainders + quotients < 1 || (remainders < 2 && quotients < 1)) return null;
  for (const term of terms) {
    const factors = factorsOf(term.factor);
    for (let at = 0; at < factors.length; at++) {
      const f = factors[at];
      if (f === undefined || (f.kind !== "mod" && f.kind !== "floorDiv")) continue;
      // A quotient needs a multiple of its divisor before it: reject the common case without building anything.
      if (f.kind === "floorDiv" && f.b.kind === "const" && term.coefficient % f.b.value !== 0) continue;
      const rest = scale(productOf(factors.filter((_, i) => i !== at)), term.coefficient);
      const joined = f.kind === "mod"
        ? joinRemainder(terms, constantPart, term, f.a, f.b, rest)
        : joinDifference(terms, constantPart, term, f.a, f.b, rest);
      if (joined !== null) return joined;
    }
  }
  return null;
}

function replaceTerms(
  terms: readonly Term[],
  constantPart: number,
  removed: readonly Term[],
  added: Expr,
  addedConstant: number,
): Expr {
  const left = terms.filter((t) => !removed.some((r) => r.factor === t.factor));
  return add(sumOfTerms(left, constantPart), added, -addedConstant);
}

function joinRemainder(
  terms: readonly Term[],
  constantPart: number,
  term: Term,
  x: Expr,
  k: Expr,
  rest: Expr,
): Expr | null {
  if (terms.length < 2) return null;
  const quotient = floorDiv(x, k);
  const target = mul(rest, k, quotient);
  if (containsTerms(terms, termsOf(target))) {
    return replaceTerms(terms, constantPart, [term, ...termsOf(target)], mul(rest, x), constantTerm(target));
  }
  if (k.lower <= 0) return null;
  for (const other of terms) {
    for (const f of factorsOf(other.factor)) {
      if (f.kind !== "mod" || f.a !== quotient || f.b.lower <= 0) continue;
      const upperPart = mul(rest, k, f);
      if (containsTerms(terms, termsOf(upperPart))) {
        const joined = mul(rest, mod(x, mul(k, f.b)));
        return replaceTerms(terms, constantPart, [term, ...termsOf(upperPart)], joined, constantTerm(upperPart));
      }
    }
  }
  return null;
}

function joinDifference(
  terms: readonly Term[],
  constantPart: number,
  term: Term,
  x: Expr,
  k: Expr,
  rest: Expr,
): Expr | null {
  // rest * (x//k) with rest = -c*k: look for c*x among the other terms.
  // A divisor of several terms multiplies out into several terms, none of which is this pattern alone.
  if (k.kind === "add" && (k.terms.length > 1 || k.constant !== 0)) return null;
  if (k.kind === "symbol" && !factorsOf(term.factor).includes(k)) return null;
  const c = neg(floorDiv(rest, k));
  if (mul(c, k) !== neg(rest)) return null;
  const whole = mul(c, x);
  const parts = termsOf(whole);
  if (parts.some((p) => p.factor === term.factor) || !containsTerms(terms, parts)) return null;
  return replaceTerms(terms, constantPart, [term, ...parts], mul(c, mod(x, k)), constantTerm(whole));
}

/** The smallest of its arguments; arguments that are provably not smaller than another one vanish. */
export function min(...args: readonly ExprLike[]): Expr {
  const kept = extremes(args, "min");
  const only = kept[0];
  return kept.length === 1 && only !== undefined ? only : internMin(kept);
}

/** The greatest of its arguments; arguments that are provably not greater than another one vanish. */
export function max(...args: readonly ExprLike[]): Expr {
  const kept = extremes(args, "max");
  const only = kept[0];
  return kept.length === 1 && only !== undefined ? only : internMax(kept);
}

function extremes(args: readonly ExprLike[], kind: "min" | "max"): Expr[] {
  if (args.length === 0) throw new RangeError(`${kind}() needs at least one argument`);
  const flat = args.map(asExpr).flatMap((e) => e.kind === kind ? e.args : [e]);
  const kept: Expr[] = [];
  for (const e of flat) {
    const beaten = (other: Expr): boolean => isNonNegative(kind === "min" ? sub(e, other) : sub(other, e));
    if (kept.some(beaten)) continue;
    const beats = (other: Expr): boolean => isNonNegative(kind === "min" ? sub(other, e) : sub(e, other));
    const left = kept.filter((other) => !beats(other));
    kept.length = 0;
    kept.push(...left, e);
  }
  return kept.sort(compareExpr);
}

/** `cond ? a : b`. */
export function where(cond: BoolExpr | boolean, a: ExprLike, b: ExprLike): Expr {
  const x = asExpr(a), y = asExpr(b);
  if (typeof cond === "boolean") return cond ? x : y;
  if (cond.kind === "bool") return cond.value ? x : y;
  return x === y ? x : internWhere(cond, x, y);
}
