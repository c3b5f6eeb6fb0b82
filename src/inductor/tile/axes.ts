/**
 * Decisions about iteration spaces: which axes can be one, which one the vector runs along, which may run at once.
 *
 * All of them read strides: the coefficient of an axis in the index of an access. Two axes are one where every index steps along the outer as
 * the inner would go on stepping; a vector wants stride 1; instances that scatter may run at once along an axis whose positions never meet.
 */
import { float32 } from "../../core/mod.ts";
import {
  type BufferRef,
  indirectPayload,
  type LoopVar,
  loopVar,
  ops,
  rewriteValues,
  type Value,
} from "../../loops/mod.ts";
import { foldValue } from "../../loops/mod.ts";
import {
  coefficient,
  constant,
  constantTerm,
  constantValue,
  dependsOn,
  type Expr,
  freeSymbols,
  mod,
  mul,
  sizeHint,
  sub,
  substitute,
  type Sym,
  symbol,
} from "../../symbolic/mod.ts";

/** A place where memory is touched. */
export interface Access {
  readonly buffer: BufferRef;
  readonly index: Expr;
  readonly write: boolean;
}

/** What a size symbol counts as where a decision needs a number. */
const SIZE_GUESS = 256;

/** A number for an extent. */
export function guess(e: Expr): number {
  return sizeHint(e, SIZE_GUESS);
}

/** A number for the product of extents. */
export function guessProduct(vars: readonly LoopVar[]): number {
  return vars.reduce((product, v) => product * guess(extent(v)), 1);
}

/** The extent of an axis symbol. */
export function extent(v: LoopVar): Expr {
  return v.extent ?? constant(1);
}

/** Every index expression and every load below the values. */
export function exprsOf(values: readonly Value[]): { exprs: Set<Expr>; loads: Access[] } {
  const exprs = new Set<Expr>();
  const loads: Access[] = [];
  const addExpr = (e: Expr): void => {
    exprs.add(e);
    for (const sym of freeSymbols(e)) if (sym.kind === "indirect") exprs.add(indirectPayload(sym).size);
  };
  foldValue(values, (value) => {
    if (value.kind === "load") {
      addExpr(value.index);
      loads.push({ buffer: value.buffer, index: value.index, write: false });
    } else if (value.kind === "index") addExpr(value.expr);
    return null;
  });
  return { exprs, loads };
}

/** Rewrites symbols in an index expression, inside of indirect symbols too. */
export function rewriteIndex(e: Expr, symbols: ReadonlyMap<Sym, Expr>): Expr {
  for (const sym of freeSymbols(e)) if (sym.kind === "indirect") return throughValue(e, { symbols });
  return substitute(e, symbols);
}

/** Applies a rewrite of values to an index expression. */
export function throughValue(e: Expr, rewrite: Parameters<typeof rewriteValues>[1]): Expr {
  const [value] = rewriteValues([ops.index(e)], rewrite);
  if (value?.kind === "index") return value.expr;
  return constant(value?.kind === "constant" ? Number(value.value) : 0);
}

/** Axes after merging, and what stands for the old ones. */
export interface MergedAxes {
  readonly lists: readonly (readonly LoopVar[])[];
  readonly symbols: ReadonlyMap<Sym, Expr>;
}

/** Makes neighbours one axis where all expressions allow it, in each list by itself; axes of extent 1 vanish. */
export function mergeAxes(lists: readonly (readonly LoopVar[])[], exprs: Iterable<Expr>): MergedAxes {
  const symbols = new Map<Sym, Expr>();
  let current = [...exprs];
  const merged = lists.map((list) => {
    const kept: LoopVar[] = [];
    for (const next of list) {
      if (constantValue(extent(next)) === 1) continue;
      const previous = kept[kept.length - 1];
      if (previous === undefined || !canMerge(previous, next, current)) {
        kept.push(next);
        continue;
      }
      const both = loopVar(mul(extent(previous), extent(next)));
      const step = new Map<Sym, Expr>([[previous, constant(0)], [next, symbol(both)]]);
      current = current.map((e) => substitute(e, step));
      for (const [sym, e] of symbols) symbols.set(sym, substitute(e, step));
      symbols.set(previous, constant(0));
      symbols.set(next, symbol(both));
      kept[kept.length - 1] = both;
    }
    return kept;
  });
  return { lists: merged, symbols };
}

function canMerge(outer: LoopVar, inner: LoopVar, exprs: readonly Expr[]): boolean {
  for (const e of exprs) {
    const hasOuter = dependsOn(e, outer);
    const hasInner = dependsOn(e, inner);
    if (!hasOuter && !hasInner) continue;
    if (hasOuter !== hasInner) return false;
    const o = coefficient(e, outer);
    const i = coefficient(e, inner);
    if (o === null || i === null || o !== mul(i, extent(inner))) return false;
  }
  return true;
}

/** Bytes from which on what a kernel writes has left the caches before anybody reads it. */
const FAR_BYTES = 2 ** 25;
/** Numbers in a cache line. */
const LINE = 16;

/** Whether registers stored along `vector` are whole lines that may go past the caches: elsewhere its line would be read first, for nothing. */
export function isStreamed(buffer: BufferRef, index: Expr, vector: Sym, lanes: number): boolean {
  const count = constantValue(buffer.numel);
  if (
    lanes !== LINE || buffer.dtype !== float32 || count === null || 4 * count < FAR_BYTES ||
    constantTerm(index) % LINE !== 0
  ) {
    return false;
  }
  return [...freeSymbols(index)].every((sym) => {
    const step = coefficient(index, sym);
    const known = step === null ? null : constantValue(step);
    return known !== null && (sym === vector ? known === 1 : known % LINE === 0);
  });
}

/** How an access moves along an axis. */
export type Motion = "still" | "contiguous" | "strided" | "irregular";

/** How `index` moves when `v` goes up by one. Indirect symbols that vary with `v` make it irregular. */
export function motion(index: Expr, v: Sym): Motion {
  for (const sym of freeSymbols(index)) {
    if (sym.kind !== "indirect") continue;
    const { value } = indirectPayload(sym);
    const inner = exprsOf([value]);
    for (const e of inner.exprs) if (dependsOn(e, v)) return "irregular";
  }
  if (!dependsOn(index, v)) return "still";
  const c = coefficient(index, v);
  if (c === null) return "irregular";
  return constantValue(c) === 1 ? "contiguous" : "strided";
}

/** How well a vector along `v` fits the accesses: 1 where all are contiguous or still. */
export function vectorScore(accesses: readonly Access[], v: LoopVar): number {
  if (accesses.length === 0) return 1;
  let good = 0;
  let total = 0;
  let contiguous = 0;
  for (const { index, write } of accesses) {
    const weight = write ? 2 : 1;
    total += weight;
    switch (motion(index, v)) {
      case "contiguous":
        contiguous++;
        good += weight;
        break;
      case "still":
        good += write ? 0 : weight * 0.9;
        break;
      case "strided":
        good += weight * 0.15;
        break;
      case "irregular":
        good += weight * 0.1;
        break;
    }
  }
  return contiguous === 0 ? good / total * 0.5 : good / total;
}

/**
 * Whether two iterations that differ along `v` never touch the same element, whatever the rest of the index is: the rest moves in multiples of
 * all that `v` spans.
 */
export function isInjective(index: Expr, v: LoopVar): boolean {
  const c = coefficient(index, v);
  if (c === null || constantValue(c) === 0) return false;
  if (motion(index, v) === "irregular") return false;
  const rest = sub(index, mul(c, symbol(v)));
  const span = mul(c, extent(v));
  // The rest must be a multiple of the span plus something between 0 and the step that v makes.
  const low = mod(rest, span);
  return constantValue(low) === 0 ||
    (low.lower >= 0 && constantValue(c) !== null && low.upper < Number(constantValue(c)));
}
