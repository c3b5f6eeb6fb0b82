/**
 * Random expressions for property tests, as plain trees with a naive evaluator that shares no code with the simplifier.
 */
import fc from "fast-check";
import * as S from "../../src/symbolic/mod.ts";

export type Tree =
  | { readonly op: "const"; readonly value: number }
  | { readonly op: "symbol"; readonly symbol: S.Sym }
  | { readonly op: "+" | "-" | "*" | "//" | "%" | "min" | "max"; readonly a: Tree; readonly b: Tree }
  | {
    readonly op: "where";
    readonly relation: Relation;
    readonly p: Tree;
    readonly q: Tree;
    readonly a: Tree;
    readonly b: Tree;
  };

export type Relation = "eq" | "ne" | "lt" | "le" | "gt" | "ge";

/** Thrown by the naive evaluator where the value is undefined. */
export class Undefined extends Error {}

export const sizes = [S.newSym("s0"), S.newSym("s1"), S.newSym("s2", { upper: 40 })];
const sizeExprs = sizes.map(S.symbol);
export const indices = [
  S.newSym("i0", { kind: "index", extent: sizeExprs[0] ?? 2 }),
  S.newSym("i1", { kind: "index", extent: sizeExprs[1] ?? 2 }),
  S.newSym("i2", { kind: "index", extent: 8 }),
  S.newSym("i3", { kind: "index", extent: 3 }),
];
export const free = [S.newSym("t0", { kind: "indirect" }), S.newSym("t1", { kind: "indirect", lower: -5, upper: 5 })];
export const symbols = [...sizes, ...indices, ...free];

/** An assignment in which every index lies within its extent. */
export const assignments: fc.Arbitrary<ReadonlyMap<S.Sym, number>> = fc.record({
  sizes: fc.tuple(fc.integer({ min: 2, max: 9 }), fc.integer({ min: 2, max: 9 }), fc.integer({ min: 2, max: 40 })),
  parts: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 4, maxLength: 4 }),
  free: fc.tuple(fc.integer({ min: -50, max: 50 }), fc.integer({ min: -5, max: 5 })),
}).map(({ sizes: values, parts, free: others }) => {
  const env = new Map<S.Sym, number>();
  sizes.forEach((s, i) => env.set(s, values[i] ?? 2));
  const extents = [values[0], values[1], 8, 3];
  indices.forEach((s, i) => env.set(s, Math.floor((parts[i] ?? 0) * (extents[i] ?? 1))));
  free.forEach((s, i) => env.set(s, others[i] ?? 0));
  return env;
});

const relations: readonly Relation[] = ["eq", "ne", "lt", "le", "gt", "ge"];

export const trees: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree; leaf: Tree; divisor: Tree }>((tie) => ({
  leaf: fc.oneof(
    fc.integer({ min: -12, max: 12 }).map((value): Tree => ({ op: "const", value })),
    { arbitrary: fc.constantFrom(...symbols).map((symbol): Tree => ({ op: "symbol", symbol })), weight: 3 },
  ),
  divisor: fc.oneof(
    { arbitrary: fc.constantFrom(2, 3, 4, 6, 8, 12, -3).map((value): Tree => ({ op: "const", value })), weight: 4 },
    { arbitrary: fc.constantFrom(...sizes).map((symbol): Tree => ({ op: "symbol", symbol })), weight: 3 },
    tie("tree"),
  ),
  tree: fc.oneof(
    { maxDepth: 5, depthSize: "large", withCrossShrink: true },
    tie("leaf"),
    fc.record({ op: fc.constantFrom("+" as const, "-" as const, "*" as const), a: tie("tree"), b: tie("tree") }),
    fc.record({ op: fc.constantFrom("+" as const, "*" as const), a: tie("tree"), b: tie("leaf") }),
    fc.record({ op: fc.constantFrom("//" as const, "%" as const), a: tie("tree"), b: tie("divisor") }),
    fc.record({ op: fc.constantFrom("min" as const, "max" as const), a: tie("tree"), b: tie("tree") }),
    fc.record({
      op: fc.constant("where" as const),
      relation: fc.constantFrom(...relations),
      p: tie("tree"),
      q: tie("tree"),
      a: tie("tree"),
      b: tie("tree"),
    }),
  ),
})).tree;

/** The value by definition. Throws Undefined on division by zero. */
export function naive(t: Tree, env: ReadonlyMap<S.Sym, number>): number {
  switch (t.op) {
    case "const":
      return t.value;
    case "symbol":
      return env.get(t.symbol) ?? NaN;
    case "where":
      return naiveRelation(t.relation, naive(t.p, env), naive(t.q, env)) ? naive(t.a, env) : naive(t.b, env);
  }
  const a = naive(t.a, env), b = naive(t.b, env);
  if ((t.op === "//" || t.op === "%") && b === 0) throw new Undefined();
  switch (t.op) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b + 0;
    case "//":
      return Math.floor(a / b) + 0;
    case "%":
      return a - b * Math.floor(a / b) + 0;
    case "min":
      return Math.min(a, b);
    case "max":
      return Math.max(a, b);
    default:
      return t satisfies never;
  }
}

export function naiveRelation(relation: Relation, p: number, q: number): boolean {
  switch (relation) {
    case "eq":
      return p === q;
    case "ne":
      return p !== q;
    case "lt":
      return p < q;
    case "le":
      return p <= q;
    case "gt":
      return p > q;
    case "ge":
      return p >= q;
    default:
      return relation satisfies never;
  }
}

/** The same tree through the constructors. Throws RangeError on division by the constant 0. */
export function build(t: Tree): S.Expr {
  switch (t.op) {
    case "const":
      return S.constant(t.value);
    case "symbol":
      return S.symbol(t.symbol);
    case "+":
      return S.add(build(t.a), build(t.b));
    case "-":
      return S.sub(build(t.a), build(t.b));
    case "*":
      return S.mul(build(t.a), build(t.b));
    case "//":
      return S.floorDiv(build(t.a), build(t.b));
    case "%":
      return S.mod(build(t.a), build(t.b));
    case "min":
      return S.min(build(t.a), build(t.b));
    case "max":
      return S.max(build(t.a), build(t.b));
    case "where":
      return S.where(S[t.relation](build(t.p), build(t.q)), build(t.a), build(t.b));
    default:
      return t satisfies never;
  }
}

/** Whether an error is one that the constructors promise (and not, say, an exhausted stack). */
export function isExpected(error: unknown): boolean {
  return error instanceof RangeError && /division by|2\^53/.test(error.message);
}

/** Builds a tree, or returns null where it divides by the constant 0 (or overflows). */
export function tryBuild(t: Tree): S.Expr | null {
  try {
    return build(t);
  } catch (error) {
    if (isExpected(error)) return null;
    throw error;
  }
}

/** The naive value, or null where it is undefined or too large to be exact. */
export function tryNaive(t: Tree, env: ReadonlyMap<S.Sym, number>): number | null {
  try {
    const value = naive(t, env);
    return Math.abs(value) < 2 ** 40 ? value : null;
  } catch (error) {
    if (error instanceof Undefined) return null;
    throw error;
  }
}

/** An environment for `evaluate` from an assignment. */
export function lookup(env: ReadonlyMap<S.Sym, number>): (s: S.Sym) => number {
  return (s) => env.get(s) ?? NaN;
}
