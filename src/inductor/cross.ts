/**
 * Cross reductions: groups whose members reduce over different axes of one iteration space.
 *
 * A group of rows reduces along its `reduceAxes`; another one that sums columns, or everything, over the same iterations can run in its loops if
 * nothing needs its sums before the last row is done. Then its reductions become {@linkcode CrossStage}s, and what follows from them becomes final
 * stages. Layer norm's weight gradients beside its input gradient are the first example, cross entropy's mean over the batch the second.
 * TorchInductor has no such form (its "mix order reductions" of 2025 come nearest); Triton users write it by hand with partial buffers.
 */
import { type BufferRef, type LoopVar, symbolsOf } from "../loops/mod.ts";
import { coefficient, constantValue, type Expr, freeSymbols } from "../symbolic/mod.ts";
import { accessesOf, readsOf, targetValues } from "./dependencies.ts";
import type { CrossOp, CrossStage, LoopGroup, ReductionStage, Stage } from "./groups.ts";
import { candidateMaps, type LoopMap, type SharedAccess, spaceNumel } from "./loop_maps.ts";
import type { Hint } from "./loop_space.ts";
import { isFinal } from "./stage_order.ts";
import { partitionByUse, type Unification } from "./unify.ts";

/** Elements of one array of accumulators at most: one a worker has to stay in its cache. */
const MAX_ARRAY = 1 << 17;
/** Rows that workers must have to share, where there is work to share. */
const LEAST_ROWS = 16;
/** Iterations from which on sharing them matters. */
const SHARED_WORK = 32768;

/** A reduction that can be carried over rows. */
function isCrossOp(op: ReductionStage["op"]): op is CrossOp {
  return op === "sum" || op === "prod" || op === "max" || op === "min";
}

/** The loop symbols that an index varies over. */
export function indexAxes(index: Expr): Set<LoopVar> {
  const out = new Set<LoopVar>();
  for (const sym of freeSymbols(index)) if (sym.kind === "index") out.add(sym);
  return out;
}

/** What is there only when all iterations have run. */
function lateBuffers(stages: readonly Stage[]): Set<BufferRef> {
  return new Set(stages.filter((s) => s.kind === "cross" || isFinal(s)).map((s) => s.out));
}

/** Whether a group has results that are there only at its end. */
export function hasCross(group: LoopGroup): boolean {
  return group.stages.some((s) => s.kind === "cross");
}

/** Whether `b` reads what is there only when all of `a` has run. */
export function readsLate(a: LoopGroup, b: LoopGroup): boolean {
  if (!hasCross(a)) return false;
  const late = lateBuffers(a.stages);
  return accessesOf(b).reads.some((r) => late.has(r.buffer));
}

/** Why stages cannot run in one kernel because of what is there only at its end; null if they can. */
export function crossProblem(stages: readonly Stage[]): string | null {
  if (!stages.some((s) => s.kind === "cross")) {
    return stages.some(isFinal) ? "it has final stages but no cross reduction" : null;
  }
  const late = new Map<BufferRef, Expr>();
  const early = new Set<BufferRef>();
  for (const s of stages) {
    if (s.kind === "cross" || isFinal(s)) late.set(s.out, s.index);
    else early.add(s.out);
  }
  for (const stage of stages) {
    const reads = readsOf([stage.value, ...targetValues(stage.index)]);
    if (!isFinal(stage)) {
      const read = reads.find((r) => late.has(r.buffer));
      if (read !== undefined) return `${read.buffer.label} is complete only when all rows have been seen`;
      continue;
    }
    const own = indexAxes(stage.index);
    for (const sym of symbolsOf([stage.value])) {
      if (sym.kind === "index" && !own.has(sym)) return `${stage.out.label} would need another pass over the rows`;
    }
    for (const { buffer } of reads) {
      if (early.has(buffer)) {
        return `${stage.out.label} follows from sums over rows but reads ${buffer.label} of one row`;
      }
      const index = late.get(buffer);
      if (index === undefined) continue;
      const axes = indexAxes(index);
      if (axes.size > 0 && (axes.size !== own.size || [...axes].some((v) => !own.has(v)))) {
        return `${stage.out.label} would need another pass over ${buffer.label}`;
      }
    }
  }
  return null;
}

/** The stages of a group whose reductions are carried over another group's rows: its iterations run in that group's `space`. */
export function crossStages(group: LoopGroup, space: "outer" | "inner"): Stage[] {
  return group.stages.map((s): Stage => {
    if (s.kind === "reduction") return { ...s, kind: "cross", space, op: s.op as CrossOp } satisfies CrossStage;
    if (s.kind === "cross") return { ...s, space };
    if (s.kind === "pointwise") return { ...s, space: s.space === "inner" ? space : "final" };
    return s;
  });
}

/** Why a group's reductions cannot be carried over another group's rows, whatever the spaces are; null if they can. */
function cannotCross(group: LoopGroup): string | null {
  if (group.reduceAxes.length === 0) return "it reduces nothing";
  for (const s of group.stages) {
    if (s.kind === "cross" && s.space === "outer") return `${s.out.label} sums up over what is summed up itself`;
    if (s.kind === "reduction" && !isCrossOp(s.op)) return `${s.op} is not carried over rows`;
  }
  return null;
}

/**
 * Why carrying a group's reductions over the rows `axes` would cost more than it saves; null if not: arrays of accumulators must stay in
 * caches and be small beside what is walked, and workers must have rows to share.
 */
function crossCost(group: LoopGroup, axes: readonly LoopVar[], hint: Hint): string | null {
  const product = (vars: readonly LoopVar[]): number => hint(spaceNumel(vars));
  const kept = product(group.axes);
  const iterations = kept * product(group.reduceAxes);
  const arrays = kept * group.stages.filter((s) => s.kind === "reduction").length;
  if (kept > 1 && arrays > MAX_ARRAY) return `accumulators for ${arrays} columns would not stay in caches`;
  if (kept > 1 && arrays * 2 > iterations) return "there would be as many accumulators as elements";
  if (product(axes) < LEAST_ROWS && iterations >= SHARED_WORK) return `${product(axes)} rows are too few to share`;
  return null;
}

/** Whether a group reduces along memory: then its rows should be the rows of a common kernel. */
function isRowwise(group: LoopGroup): boolean {
  return accessesOf(group).reads.some(({ index }) => {
    if (index === null) return false;
    return group.reduceAxes.some((v) => {
      const stride = coefficient(index, v);
      return stride !== null && constantValue(stride) === 1;
    });
  });
}

/** Whether a group reduces across memory: what runs along vectors then are its outer axes, as long as nothing is carried over them. */
function isColumnwise(group: LoopGroup): boolean {
  if (group.reduceAxes.length === 0 || isRowwise(group)) return false;
  return accessesOf(group).reads.some(({ index }) =>
    index !== null && group.reduceAxes.some((v) => indexAxes(index).has(v)) && group.axes.some((v) => {
      const stride = coefficient(index, v);
      return stride !== null && constantValue(stride) === 1;
    })
  );
}

const NO_MAP: LoopMap = new Map();

function all(group: LoopGroup): LoopVar[] {
  return [...group.axes, ...group.reduceAxes];
}

/** How the iterations of `carried` are said over the loops of `rows`, or both over the finer of them. */
function* carriedMaps(rows: LoopGroup, carried: LoopGroup, shared: readonly SharedAccess[], hint: Hint): Generator<{
  readonly axes: readonly LoopVar[];
  readonly reduceAxes: readonly LoopVar[];
  readonly rowsMap: LoopMap;
  readonly carriedMap: LoopMap;
  readonly space: "outer" | "inner";
}> {
  const { axes, reduceAxes } = rows;
  const space = reduceAxes.length > 0 ? "inner" : "outer";
  for (const carriedMap of candidateMaps(all(carried), all(rows), shared, hint)) {
    yield { axes, reduceAxes, rowsMap: NO_MAP, carriedMap, space };
  }
  if (reduceAxes.length > 0) {
    for (const carriedMap of candidateMaps(all(carried), axes, shared, hint)) {
      yield { axes, reduceAxes, rowsMap: NO_MAP, carriedMap, space: "outer" };
    }
  }
  if (hasOrdered(rows)) return;
  const reversed = shared.map(({ from, to }) => ({ from: to, to: from }));
  for (const rowsMap of candidateMaps(all(rows), all(carried), reversed, hint)) {
    const [finer, inner] = partitionByUse([axes, reduceAxes], rowsMap, all(carried)) ?? [];
    if (finer === undefined || inner === undefined) continue;
    yield { axes: finer, reduceAxes: inner, rowsMap, carriedMap: NO_MAP, space };
  }
}

function hasOrdered(group: LoopGroup): boolean {
  return group.stages.some((s) => s.kind === "reduction" && !isCrossOp(s.op));
}

/**
 * Ways to run `b` in the rows of `a` or `a` in those of `b`, with its reductions carried over them; sentences where it would not pay. `shared` lists
 * accesses of one buffer (from b, to a).
 */
export function* crossUnifications(
  a: LoopGroup,
  b: LoopGroup,
  shared: readonly SharedAccess[],
  hint: Hint,
): Generator<Unification | string> {
  const order = isRowwise(a) || !isRowwise(b) ? (["b", "a"] as const) : (["a", "b"] as const);
  for (const carried of order) {
    const [rows, other] = carried === "b" ? [a, b] : [b, a];
    if (rows.reduceAxes.length === 0 && !hasCross(rows)) continue;
    const cannot = cannotCross(other);
    if (cannot !== null) {
      yield cannot;
      continue;
    }
    const accesses = carried === "b" ? shared : shared.map(({ from, to }) => ({ from: to, to: from }));
    for (const { axes, reduceAxes, rowsMap, carriedMap, space } of carriedMaps(rows, other, accesses, hint)) {
      const cost = crossCost(other, axes, hint);
      if (cost !== null) {
        yield cost;
        continue;
      }
      if (space === "outer" && isColumnwise(rows)) {
        yield "columns are summed up side by side in vectors, which a sum over them would take apart";
        continue;
      }
      const plain = rows.reduceAxes.length > 0 ? "outer" : space;
      yield carried === "b"
        ? { axes, reduceAxes, mapA: rowsMap, mapB: carriedMap, spaceA: plain, spaceB: space, carried }
        : { axes, reduceAxes, mapA: carriedMap, mapB: rowsMap, spaceA: space, spaceB: plain, carried };
    }
  }
}

/** Ways to run `b`, which reads what `a` carries over its rows, after them. */
export function* finalUnifications(
  a: LoopGroup,
  b: LoopGroup,
  shared: readonly SharedAccess[],
  hint: Hint,
): Generator<Unification> {
  if (b.reduceAxes.length > 0 || b.stages.some((s) => s.kind !== "pointwise")) return;
  const read = new Set(accessesOf(b).reads.map((r) => r.buffer));
  const tried = new Set<string>();
  for (const stage of a.stages) {
    if ((stage.kind !== "cross" && !isFinal(stage)) || !read.has(stage.out)) continue;
    const kept = [...indexAxes(stage.index)];
    const key = kept.map((v) => v.id).sort().join(",");
    if (tried.has(key)) continue;
    tried.add(key);
    for (const mapB of candidateMaps(b.axes, kept, shared, hint)) {
      const { axes, reduceAxes } = a;
      yield { axes, reduceAxes, mapA: NO_MAP, mapB, spaceA: "outer", spaceB: "outer", isFinal: true };
    }
  }
}
