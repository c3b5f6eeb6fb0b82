/**
 * A total order over nodes that depends on structure and on the age of symbols only, never on when a node was interned:
 * the same program builds the same text in every process. Identical subtrees compare in O(1), as nodes are interned.
 */
import type { BoolExpr, Expr } from "./nodes.ts";

const rank = { symbol: 0, mul: 0, floorDiv: 1, mod: 2, min: 3, max: 4, where: 5, add: 6, const: 7 } as const;
const boolRank = { bool: 0, eq: 1, ne: 2, lt: 3, le: 4, and: 5, or: 6 } as const;

function compareLists(a: readonly Expr[], b: readonly Expr[]): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const order = compareExpr(a[i] as Expr, b[i] as Expr);
    if (order !== 0) return order;
  }
  return b.length - a.length; // the longer product first: i*s*t + i*s + i
}

/** Negative, zero or positive as `a` stands before, at, or after `b` in sums and products. */
export function compareExpr(a: Expr, b: Expr): number {
  if (a === b) return 0;
  if (a.kind === "symbol" && b.kind === "symbol") return a.symbol.id - b.symbol.id;
  if (a.kind === "mul" || b.kind === "mul") {
    return compareLists(a.kind === "mul" ? a.factors : [a], b.kind === "mul" ? b.factors : [b]);
  }
  const byKind = rank[a.kind] - rank[b.kind];
  if (byKind !== 0) return byKind;
  if (a.kind === "const" && b.kind === "const") return a.value - b.value;
  if ((a.kind === "floorDiv" && b.kind === "floorDiv") || (a.kind === "mod" && b.kind === "mod")) {
    return compareExpr(a.a, b.a) || compareExpr(a.b, b.b);
  }
  if ((a.kind === "min" && b.kind === "min") || (a.kind === "max" && b.kind === "max")) {
    return compareLists(a.args, b.args);
  }
  if (a.kind === "where" && b.kind === "where") {
    return compareBool(a.cond, b.cond) || compareExpr(a.a, b.a) || compareExpr(a.b, b.b);
  }
  if (a.kind === "add" && b.kind === "add") {
    const n = Math.min(a.terms.length, b.terms.length);
    for (let i = 0; i < n; i++) {
      const x = a.terms[i], y = b.terms[i];
      if (x === undefined || y === undefined) break;
      const order = compareExpr(x.factor, y.factor) || x.coefficient - y.coefficient;
      if (order !== 0) return order;
    }
    return b.terms.length - a.terms.length || a.constant - b.constant;
  }
  return 0;
}

/** The same order for conditions. */
export function compareBool(a: BoolExpr, b: BoolExpr): number {
  if (a === b) return 0;
  const byKind = boolRank[a.kind] - boolRank[b.kind];
  if (byKind !== 0) return byKind;
  if (a.kind === "bool" || b.kind === "bool") return 0;
  if ((a.kind === "and" || a.kind === "or") && (b.kind === "and" || b.kind === "or")) {
    const n = Math.min(a.args.length, b.args.length);
    for (let i = 0; i < n; i++) {
      const order = compareBool(a.args[i] as BoolExpr, b.args[i] as BoolExpr);
      if (order !== 0) return order;
    }
    return b.args.length - a.args.length;
  }
  if ("a" in a && "a" in b) return compareExpr(a.a, b.a) || compareExpr(a.b, b.b);
  return 0;
}
