/**
 * Walking loop values: folding, substitution, collecting loads.
 *
 * Values are graphs with sharing, so every walk is memoised by identity; each node is visited once. Indirect symbols inside index
 * expressions lead to further values: {@linkcode childrenOf} includes them, so no walk can forget a gather's index.
 */
import { type Expr, freeSymbols, substitute as substituteExpr, type Sym } from "../symbolic/mod.ts";
import { indirectPayload, ops } from "./ops.ts";
import type { BufferRef, LoadValue, Value } from "./value.ts";

/** The values behind indirect symbols of an index expression. */
export function indirectValues(expr: Expr): Value[] {
  const out: Value[] = [];
  for (const sym of freeSymbols(expr)) if (sym.kind === "indirect") out.push(indirectPayload(sym).value);
  return out;
}

/** The values that a value is computed from, those behind indirect indices first. */
export function childrenOf(value: Value): readonly Value[] {
  switch (value.kind) {
    case "constant":
      return [];
    case "index":
      return indirectValues(value.expr);
    case "load":
      return indirectValues(value.index);
    case "pointwise":
      return value.args;
    case "cast":
    case "bitcast":
      return [value.arg];
    case "masked":
      return [value.mask, value.body];
    case "philox":
      return [value.seed, value.stream, value.position];
    case "lookup":
      return [value.at];
    default:
      return value satisfies never;
  }
}

/** Computes something for every value below `roots`, operands first; shared values once. */
export function foldValue<T>(
  roots: readonly Value[],
  visit: (value: Value, of: (child: Value) => T) => T,
): Map<Value, T> {
  const done = new Map<Value, T>();
  const get = (child: Value): T => done.get(child) as T;
  for (const root of roots) {
    const stack: Value[] = [root];
    while (stack.length > 0) {
      const value = stack[stack.length - 1] as Value;
      if (done.has(value)) {
        stack.pop();
        continue;
      }
      let ready = true;
      for (const child of childrenOf(value)) {
        if (!done.has(child)) {
          stack.push(child);
          ready = false;
        }
      }
      if (!ready) continue;
      stack.pop();
      done.set(value, visit(value, get));
    }
  }
  return done;
}

/** All loads below the values, each once, in order of evaluation. */
export function loadsOf(roots: readonly Value[]): LoadValue[] {
  const out: LoadValue[] = [];
  foldValue(roots, (value) => {
    if (value.kind === "load") out.push(value);
    return null;
  });
  return out;
}

/** All symbols below the values, those inside indirect symbols too. */
export function symbolsOf(roots: readonly Value[]): Set<Sym> {
  const out = new Set<Sym>();
  const add = (expr: Expr): void => {
    for (const sym of freeSymbols(expr)) out.add(sym);
  };
  foldValue(roots, (value) => {
    if (value.kind === "load") add(value.index);
    else if (value.kind === "index") add(value.expr);
    return null;
  });
  return out;
}

/** How {@linkcode rewriteValue} changes values; what is left out stays. */
export interface ValueRewrite {
  /** Replaces index symbols. */
  readonly symbols?: ReadonlyMap<Sym, Expr>;
  /** Replaces a load (its index already rewritten); null keeps it. */
  readonly load?: (buffer: BufferRef, index: Expr) => Value | null;
}

/** Rewrites symbols and loads everywhere below the values, through indirect symbols too. */
export function rewriteValues(roots: readonly Value[], rewrite: ValueRewrite): Value[] {
  const rewriteExpr = (expr: Expr, of: (v: Value) => Value): Expr => {
    let map: Map<Sym, Expr> | null = null;
    for (const sym of freeSymbols(expr)) {
      const direct = rewrite.symbols?.get(sym);
      if (direct !== undefined) (map ??= new Map()).set(sym, direct);
      else if (sym.kind === "indirect") {
        const payload = indirectPayload(sym);
        const value = of(payload.value);
        const size = rewrite.symbols === undefined ? payload.size : substituteExpr(payload.size, rewrite.symbols);
        if (value !== payload.value || size !== payload.size) {
          (map ??= new Map()).set(sym, ops.indirect(value, size, payload));
        }
      }
    }
    return map === null ? expr : substituteExpr(expr, map);
  };
  const done = foldValue<Value>(roots, (value, of) => {
    switch (value.kind) {
      case "constant":
        return value;
      case "index":
        return ops.index(rewriteExpr(value.expr, of), value.dtype);
      case "load": {
        const index = rewriteExpr(value.index, of);
        return rewrite.load?.(value.buffer, index) ?? (index === value.index ? value : ops.load(value.buffer, index));
      }
      case "pointwise": {
        const args = value.args.map(of);
        return args.every((a, i) => a === value.args[i]) ? value : ops.apply(value.op, args);
      }
      case "cast":
        return ops.cast(of(value.arg), value.dtype);
      case "bitcast":
        return ops.bitcast(of(value.arg), value.dtype);
      case "masked":
        return ops.masked(of(value.mask), of(value.body), value.other);
      case "philox":
        return ops.philox(of(value.seed), of(value.stream), of(value.position));
      case "lookup":
        return ops.lookup(value.table, of(value.at));
      default:
        return value satisfies never;
    }
  });
  return roots.map((root) => done.get(root) as Value);
}

/** Replaces index symbols in one value. */
export function substituteValue(value: Value, symbols: ReadonlyMap<Sym, Expr>): Value {
  return rewriteValues([value], { symbols })[0] as Value;
}
