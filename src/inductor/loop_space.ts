/**
 * Iteration spaces: which index expressions a group has, renaming its symbols, dropping, merging and ordering its axes.
 *
 * Enters a loop group as lowering or fusion made it; leaves the same computation over fewer, better ordered axes. An axis pair (i, j) is
 * merged where every index expression has `stride(i) = stride(j) · extent(j)`, so that one symbol k = i · extent(j) + j says the same. Order never
 * changes where it means something (argmax positions, scatters that set). Mirrors `simplify_and_reorder` and `_simplify_loops` of TorchInductor.
 */
import {
  extentOf,
  foldValue,
  indirectPayload,
  indirectValues,
  type LoopVar,
  loopVar,
  ops,
  rewriteValues,
} from "../loops/mod.ts";
import type { Value } from "../loops/mod.ts";
import {
  add,
  coefficient,
  constant,
  dependsOn,
  type Expr,
  floorDiv,
  freeSymbols,
  mul,
  substitute,
} from "../symbolic/mod.ts";
import { type Sym, symbol } from "../symbolic/mod.ts";
import type { ContractionGroup, LoopGroup, ScanGroup, Stage } from "./groups.ts";
import { withoutUnits } from "./lowered.ts";

/** A number for an expression, for heuristics only. */
export type Hint = (e: Expr) => number;

/** Every index expression that the values contain, those of gathers' indices too, and sizes of gathered dimensions. */
export function indexExpressions(values: readonly Value[]): Expr[] {
  const out = new Set<Expr>();
  const note = (e: Expr): void => {
    out.add(e);
    for (const sym of freeSymbols(e)) if (sym.kind === "indirect") out.add(indirectPayload(sym).size);
  };
  foldValue(values, (v) => {
    if (v.kind === "load") note(v.index);
    else if (v.kind === "index") note(v.expr);
    return null;
  });
  return [...out];
}

/** All index expressions of stages, those behind the gathers of a scatter's target too. */
export function stageExpressions(stages: readonly Stage[]): Expr[] {
  const values = stages.flatMap((s) => [s.value, ...indirectValues(s.index)]);
  return [...new Set([...stages.map((s) => s.index), ...indexExpressions(values)])];
}

/** Renames symbols in stages. */
export function substituteStages(stages: readonly Stage[], symbols: ReadonlyMap<Sym, Expr>): Stage[] {
  if (symbols.size === 0) return [...stages];
  const values = rewriteValues(stages.map((s) => s.value), { symbols });
  // A scatter's target may hold indirect symbols: they are rewritten with the value that stands at that place.
  const carriers = rewriteValues(stages.map((s) => ops.index(s.index)), { symbols });
  return stages.map((s, i): Stage => {
    const carrier = carriers[i];
    const index = carrier?.kind === "index" ? carrier.expr : substitute(s.index, symbols);
    return { ...s, index, value: values[i] ?? s.value };
  });
}

/** Divisors by which an axis is divided, quotient or remainder, in the expressions. */
function divisorsOf(axis: LoopVar, exprs: readonly Expr[]): Expr[] {
  const out = new Set<Expr>();
  const self = symbol(axis);
  const visit = (e: Expr): void => {
    if (!dependsOn(e, axis)) return;
    switch (e.kind) {
      case "floorDiv":
      case "mod":
        if (e.a === self && e.b !== extentOf(axis) && [...freeSymbols(e.b)].every((x) => x.kind === "size")) {
          out.add(e.b);
        }
        visit(e.a);
        return;
      case "add":
        return e.terms.forEach((t) => visit(t.factor));
      case "mul":
        return e.factors.forEach(visit);
      case "min":
      case "max":
        return e.args.forEach(visit);
      case "where":
        visit(e.a);
        return visit(e.b);
      case "const":
      case "symbol":
        return;
      default:
        e satisfies never;
    }
  };
  exprs.forEach(visit);
  return [...out];
}

/**
 * Splits axes that indices divide: where i // c and i % c occur and c divides the extent, i becomes c · j + k, and the divisions are gone. Yields
 * the new axes and the substitution.
 */
export function splitAxes(
  axes: readonly LoopVar[],
  exprs: readonly Expr[],
): { readonly axes: LoopVar[]; readonly symbols: Map<Sym, Expr> } {
  const symbols = new Map<Sym, Expr>();
  const out: LoopVar[] = [];
  for (const axis of axes) {
    const extent = extentOf(axis);
    const fits = divisorsOf(axis, exprs).filter((c) => c.lower > 1 && mul(floorDiv(extent, c), c) === extent);
    const divisor = fits.sort((x, y) => x.lower - y.lower || x.id - y.id)[0];
    if (divisor === undefined) {
      out.push(axis);
      continue;
    }
    const prefix = axis.name.charAt(0);
    const [high, low] = [loopVar(floorDiv(extent, divisor), prefix), loopVar(divisor, prefix)];
    const joined = add(mul(symbol(high), divisor), symbol(low));
    const rest = exprs.filter((e) => dependsOn(e, axis)).map((e) => substitute(e, new Map([[axis, joined]])));
    if (divisorsOf(low, rest).length > 0) {
      out.push(axis);
      continue;
    }
    // What divides the quotient further is split in turn.
    const further = splitAxes([high], rest);
    out.push(...further.axes, low);
    symbols.set(axis, substitute(joined, further.symbols));
  }
  return { axes: out, symbols };
}

/** Runs of axes that may become one, as lists of consecutive symbols. */
function mergeRuns(axes: readonly LoopVar[], exprs: readonly Expr[]): LoopVar[][] {
  const runs: LoopVar[][] = [];
  for (const axis of axes) {
    const run = runs.at(-1);
    const previous = run?.at(-1);
    if (run !== undefined && previous !== undefined && canMerge(previous, axis, exprs)) run.push(axis);
    else runs.push([axis]);
  }
  return runs;
}

function canMerge(outer: LoopVar, inner: LoopVar, exprs: readonly Expr[]): boolean {
  const extent = extentOf(inner);
  if (isZero(extent) || isZero(extentOf(outer))) return false;
  for (const e of exprs) {
    const hasOuter = dependsOn(e, outer);
    const hasInner = dependsOn(e, inner);
    if (!hasOuter && !hasInner) continue;
    if (!hasOuter || !hasInner) return false;
    const a = coefficient(e, outer);
    const b = coefficient(e, inner);
    if (a === null || b === null || a !== mul(b, extent)) return false;
    if (dependsOn(b, outer) || dependsOn(a, inner)) return false;
  }
  return true;
}

function isOuter(s: Stage): boolean {
  return s.kind !== "reduction" && s.space === "outer";
}

function isZero(e: Expr): boolean {
  return e.kind === "const" && e.value === 0;
}

/** The substitution and the new axes that merging `runs` amounts to. */
export function mergeAxes(runs: readonly LoopVar[][]): { readonly axes: LoopVar[]; readonly symbols: Map<Sym, Expr> } {
  const symbols = new Map<Sym, Expr>();
  const axes = runs.map((run) => {
    const last = run.at(-1);
    if (last === undefined || run.length === 1) return last as LoopVar;
    const merged = loopVar(run.reduce((size, v) => mul(size, extentOf(v)), constant(1)), last.name.charAt(0));
    for (const v of run) symbols.set(v, constant(0));
    symbols.set(last, symbol(merged));
    return merged;
  });
  return { axes, symbols };
}

/** Sorts axes so that the greatest stride comes first. Strides are taken from the first expression that tells both apart. */
function orderByStride(axes: readonly LoopVar[], exprs: readonly Expr[], hint: Hint): LoopVar[] {
  if (axes.length < 2) return [...axes];
  const strides = exprs.map((e) => axes.map((v) => coefficient(e, v)));
  const usable = strides.filter((row) => row.every((c) => c !== null)).map((row) =>
    row.map((c) => Math.abs(hint(c as Expr)))
  );
  if (usable.length === 0) return [...axes];
  const rank = axes.map((_, i) => i);
  rank.sort((i, j) => {
    for (const row of usable) {
      const a = row[i] ?? 0;
      const b = row[j] ?? 0;
      if (a !== b && a !== 0 && b !== 0) return b - a;
    }
    return i - j;
  });
  // The comparison above need not be transitive over several expressions; keep the result only if it is a permutation by construction.
  return rank.map((i) => axes[i] as LoopVar);
}

/** Tells whether the order of the reduced axes, or of all axes, has a meaning that must be kept. */
export function hasOrderedReduction(stages: readonly Stage[]): boolean {
  return stages.some((s) => s.kind === "reduction" && (s.op === "argmax" || s.op === "argmin"));
}

function splitLoopGroup(group: LoopGroup): LoopGroup {
  const exprs = stageExpressions(group.stages);
  const outer = splitAxes(group.axes, exprs);
  const inner = splitAxes(group.reduceAxes, exprs);
  const symbols = new Map([...outer.symbols, ...inner.symbols]);
  if (symbols.size === 0) return group;
  return { ...group, axes: outer.axes, reduceAxes: inner.axes, stages: substituteStages(group.stages, symbols) };
}

/**
 * Replaces by zero what is never computed because an axis has no elements: emitters place work that does not vary before a loop, and reading the
 * first element of an empty tensor, or checking an index read from there, must not happen.
 */
function withoutEmptyWork(group: LoopGroup): LoopGroup {
  const empty = (axes: readonly LoopVar[]): boolean => axes.some((v) => isZero(extentOf(v)));
  const all = empty(group.axes);
  if (!all && !empty(group.reduceAxes)) return group;
  const zero = constant(0);
  const stages = group.stages.map((s): Stage => {
    const isFinal = s.kind === "pointwise" && s.space === "final";
    // What follows from cross reductions runs over the axes that they keep: with neutral elements if nothing was combined.
    if (isFinal ? ![...freeSymbols(s.index)].some((v) => empty([v as LoopVar])) : isOuter(s) && !all) return s;
    const index = indirectValues(s.index).length > 0 ? zero : s.index;
    return { ...s, index, value: ops.constant(0, s.value.dtype) };
  });
  return { ...group, stages };
}

/** Drops unit axes, orders the axes by stride, merges what can be merged. */
export function simplifyLoopGroup(given: LoopGroup, hint: Hint): LoopGroup {
  const group = splitLoopGroup(withoutEmptyWork(given));
  let axes = withoutUnits(group.axes);
  let reduceAxes = withoutUnits(group.reduceAxes);
  const stores = group.stages.map((s) => s.index);
  const exprs = stageExpressions(group.stages);
  const ordered = group.stages.some((s) => s.kind === "scatter");
  if (!ordered) axes = orderByStride(axes, [...stores, ...exprs], hint);
  if (!ordered && !hasOrderedReduction(group.stages)) reduceAxes = orderByStride(reduceAxes, exprs, hint);
  const outer = mergeAxes(mergeRuns(axes, exprs));
  const inner = mergeAxes(mergeRuns(reduceAxes, exprs));
  const symbols = new Map([...outer.symbols, ...inner.symbols]);
  return {
    ...group,
    axes: outer.axes,
    reduceAxes: inner.axes,
    stages: substituteStages(group.stages, symbols),
  };
}

/** Drops unit symbols, splits and merges within each of batch, m, n and k. */
export function simplifyContraction(group: ContractionGroup): ContractionGroup {
  return eachAxisList(
    eachAxisList(group, splitAxes),
    (vars, exprs) => mergeAxes(mergeRuns(withoutUnits(vars), exprs)),
  );
}

type AxisRewrite = (
  vars: readonly LoopVar[],
  exprs: readonly Expr[],
) => { readonly axes: LoopVar[]; readonly symbols: ReadonlyMap<Sym, Expr> };

function eachAxisList(group: ContractionGroup, rewrite: AxisRewrite): ContractionGroup {
  const exprs = [
    ...indexExpressions([group.a, group.b, ...group.epilogue.map((s) => s.value)]),
    group.resultIndex,
    ...group.epilogue.map((s) => s.index),
  ];
  const symbols = new Map<Sym, Expr>();
  const apply = (vars: readonly LoopVar[]): LoopVar[] => {
    const made = rewrite(vars, exprs);
    for (const [sym, e] of made.symbols) symbols.set(sym, e);
    return made.axes;
  };
  const [batch, m, n, k] = [apply(group.batch), apply(group.m), apply(group.n), apply(group.k)];
  const [a, b] = rewriteValues([group.a, group.b], { symbols });
  return {
    ...group,
    batch,
    m,
    n,
    k,
    a: a ?? group.a,
    b: b ?? group.b,
    resultIndex: substitute(group.resultIndex, symbols),
    epilogue: substituteStages(group.epilogue, symbols) as ContractionGroup["epilogue"],
  };
}

/** Drops unit axes other than the scanned one. */
export function simplifyScan(group: ScanGroup): ScanGroup {
  const keep = group.axes.filter((v) => v === group.scanAxis || withoutUnits([v]).length === 1);
  return { ...group, axes: keep };
}
