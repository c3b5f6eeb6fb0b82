/**
 * Fusion of two groups: legality, profit, and the merge itself. Nothing here decides; the scheduler does.
 *
 * {@linkcode canFuse} answers with a plan (how both run over one space) or with the reason against it, as a sentence;
 * {@linkcode scoreFusion} says what it saves; {@linkcode fuseGroups} carries a plan out. Legal means: every read of what the other one writes is of the
 * very element that the same iteration wrote. Mirrors `can_fuse` and `score_fusion` of TorchInductor's scheduler.
 */
import { InternalError } from "../core/mod.ts";
import { type BufferRef, type LoopVar, rewriteValues } from "../loops/mod.ts";
import { coefficient, constant, type Expr, substitute, toText } from "../symbolic/mod.ts";
import { type Access, accessesOf, accessNumel } from "./dependencies.ts";
import type { ContractionGroup, Group, LoopGroup, PointwiseStage, Stage } from "./groups.ts";
import { candidateMaps, cutAtStrides, type LoopMap, type SharedAccess } from "./loop_maps.ts";
import { crossProblem, crossStages, crossUnifications, finalUnifications, hasCross, readsLate } from "./cross.ts";
import { hasOrderedReduction, type Hint, substituteStages } from "./loop_space.ts";
import { isFinal } from "./stage_order.ts";
import { partitionByUse, type Space, type Unification, unifySpaces } from "./unify.ts";

/** More stages than this are not put into one kernel. */
const MAX_STAGES = 64;
/** More buffers than this are not walked side by side for shared reads alone: memory systems follow only so many streams. */
const MAX_STREAMS = 32;

/** How two groups become one. */
export interface FusionPlan {
  readonly ok: true;
  /** The producer's values are used at once, or the two only share reads. */
  readonly kind: "vertical" | "horizontal" | "epilogue";
  readonly unified: Unification | EpilogueUnification;
  /** Reads of one that the other makes unnecessary, as (buffer, elements). */
  readonly forwarded: readonly Access[];
  readonly shared: readonly Access[];
}

/** Pointwise stages over a contraction's output. */
export interface EpilogueUnification {
  readonly classes: readonly (readonly LoopVar[])[];
  readonly mapA: LoopMap;
  readonly mapB: LoopMap;
}

/** An answer. */
export type FusionAnswer = FusionPlan | { readonly ok: false; readonly reason: string };

const refuse = (reason: string): FusionAnswer => ({ ok: false, reason });

/**
 * Tells whether `b` can run in `a`'s kernel, after it. Nothing may lie between them; the scheduler checks that.
 *
 * @param crossReductions whether the backend can carry reductions over rows
 */
export function canFuse(a: Group, b: Group, hint: Hint, crossReductions = true): FusionAnswer {
  if (a.kind === "loops" && b.kind === "loops") return canFuseLoops(a, b, hint, crossReductions);
  if (a.kind === "contraction" && b.kind === "loops") return canFuseEpilogue(a, b, hint);
  if (b.kind === "contraction") {
    return refuse("a contraction computes its operands' values itself or reads them from memory");
  }
  return refuse(`${a.kind} and ${b.kind} groups have no common loop nest`);
}

/** Accesses of the same buffers by both groups: written by `a` and read by `b` first, then read by both. */
function sharedAccesses(a: Group, b: Group): SharedAccess[] {
  const byBuffer = new Map<BufferRef, Expr>();
  for (const w of accessesOf(a).writes) if (w.index !== null && !w.indirect) byBuffer.set(w.buffer, w.index);
  const out: SharedAccess[] = [];
  const reads = accessesOf(b).reads;
  const collect = (): void => {
    for (const r of reads) {
      const to = byBuffer.get(r.buffer);
      if (to !== undefined && r.index !== null && !r.indirect) out.push({ from: r.index, to });
    }
  };
  collect();
  byBuffer.clear();
  for (const r of accessesOf(a).reads) {
    if (r.index !== null && !r.indirect && !byBuffer.has(r.buffer)) byBuffer.set(r.buffer, r.index);
  }
  collect();
  return out;
}

function hasScatter(stages: readonly Stage[]): boolean {
  return stages.some((s) => s.kind === "scatter");
}

function spaceOf(group: LoopGroup): Space {
  return { axes: group.axes, reduceAxes: group.reduceAxes, orderedReduction: hasOrderedReduction(group.stages) };
}

function canFuseLoops(a: LoopGroup, b: LoopGroup, hint: Hint, crossReductions: boolean): FusionAnswer {
  if (hasScatter(a.stages) || hasScatter(b.stages)) {
    return refuse("a scatter writes to places that other iterations read");
  }
  if (a.stages.length + b.stages.length > MAX_STAGES) {
    return refuse(`the kernel would have more than ${MAX_STAGES} stages`);
  }
  let reason = "";
  let poor: FusionPlan | null = null;
  for (const unified of commonSpaces(a, b, hint, crossReductions)) {
    if (typeof unified === "string") {
      reason ||= unified;
      continue;
    }
    const found = checkAccesses(a, b, unified.mapA, unified.mapB);
    if (typeof found === "string") {
      reason ||= found;
      continue;
    }
    const kind = found.forwarded.length > 0 ? "vertical" : "horizontal";
    const problem = (kind === "horizontal" ? tooManyStreams(a, b) ?? stridedStore(a, b, unified) : null) ??
      lateProblem(a, b, unified);
    if (problem !== null) {
      reason ||= problem;
      continue;
    }
    const plan: FusionPlan = { ok: true, kind, unified, ...found };
    // Over a square of numbers there are two orders, and in one of them nothing but single numbers may meet.
    if (kind === "vertical" || found.shared.some((r) => r.vars.length > 0)) return plan;
    poor ??= plan;
  }
  return poor ?? refuse(reason || `the loops over ${spaceText(a)} and ${spaceText(b)} do not agree`);
}

/** Ways to run both groups in one loop nest, the plainest first; sentences where one is ruled out. */
function* commonSpaces(
  a: LoopGroup,
  b: LoopGroup,
  hint: Hint,
  crossReductions: boolean,
): Generator<Unification | string> {
  const shared = sharedAccesses(a, b);
  if (readsLate(a, b)) {
    yield* finalUnifications(a, b, shared, hint);
    yield "it needs sums that are complete only when all rows have been seen";
    return;
  }
  yield* unifySpaces(spaceOf(a), spaceOf(b), shared, hint);
  if (crossReductions) yield* crossUnifications(a, b, shared, hint);
}

function lateProblem(a: LoopGroup, b: LoopGroup, unified: Unification): string | null {
  const isPlain = unified.carried === undefined && !hasCross(a) && !hasCross(b);
  return isPlain ? null : crossProblem(mergedStages(a, b, unified));
}

function canFuseEpilogue(a: ContractionGroup, b: LoopGroup, hint: Hint): FusionAnswer {
  if (b.reduceAxes.length > 0) return refuse("a reduction needs whole rows of a contraction's result");
  if (hasScatter(b.stages)) return refuse("a scatter writes to places that other iterations read");
  if (a.epilogue.length + b.stages.length > MAX_STAGES) {
    return refuse(`the kernel would have more than ${MAX_STAGES} stages`);
  }
  const shared = sharedAccesses(a, b);
  const classes = [a.batch, a.m, a.n];
  const own = classes.flat();
  let reason = "";
  const attempt = (unified: EpilogueUnification): FusionAnswer | null => {
    const found = checkAccesses(a, b, unified.mapA, unified.mapB);
    if (typeof found === "string") {
      reason ||= found;
      return null;
    }
    if (found.forwarded.length === 0) {
      reason ||= "it does not use the contraction's result";
      return null;
    }
    return { ok: true, kind: "epilogue", unified, ...found };
  };
  for (const mapB of candidateMaps(b.axes, own, shared, hint)) {
    const answer = attempt({ classes, mapA: new Map(), mapB });
    if (answer !== null) return answer;
  }
  const reversed = shared.map(({ from, to }) => ({ from: to, to: from }));
  for (const mapA of candidateMaps(own, b.axes, reversed, hint)) {
    const parts = partitionByUse(classes, mapA, b.axes);
    const answer = parts === null ? null : attempt({ classes: parts, mapA, mapB: new Map() });
    if (answer !== null) return answer;
  }
  const cut = cutAtStrides(classes, b.axes, shared);
  for (const mapB of cut === null ? [] : candidateMaps(b.axes, cut.classes.flat(), cut.shared, hint)) {
    const answer = attempt({ classes: cut?.classes ?? [], mapA: cut?.map ?? new Map(), mapB });
    if (answer !== null) return answer;
  }
  return refuse(reason || `the contraction's output and the loops over ${spaceText(b)} do not agree`);
}

function spaceText(group: LoopGroup): string {
  const sizes = (vars: readonly LoopVar[]): string =>
    vars.map((v) => String(v.extent === undefined ? "?" : toText(v.extent))).join("×");
  const outer = sizes(group.axes);
  return group.reduceAxes.length === 0 ? `[${outer}]` : `[${outer} | ${sizes(group.reduceAxes)}]`;
}

interface Found {
  readonly forwarded: readonly Access[];
  readonly shared: readonly Access[];
}

/** Which reads of `b` are of what `a` wrote or read at the same iteration; a sentence if one is of another element. */
function checkAccesses(a: Group, b: Group, mapA: LoopMap, mapB: LoopMap): Found | string {
  const at = (access: Access, map: LoopMap): Expr | null =>
    access.index === null || access.indirect ? null : substitute(access.index, map);
  const written = new Map<BufferRef, Set<Expr | null>>();
  for (const w of accessesOf(a).writes) put(written, w.buffer, at(w, mapA));
  const read = new Map<BufferRef, Set<Expr | null>>();
  for (const r of accessesOf(a).reads) put(read, r.buffer, at(r, mapA));
  const overwritten = new Set(accessesOf(b).writes.map((w) => w.buffer));
  for (const { buffer } of accessesOf(a).reads) {
    if (overwritten.has(buffer)) return `it writes a part of ${buffer.label}, of which the other reads another part`;
  }
  const forwarded: Access[] = [];
  const shared: Access[] = [];
  for (const r of accessesOf(b).reads) {
    const index = at(r, mapB);
    const writers = written.get(r.buffer);
    if (writers !== undefined) {
      if (index === null) return `it reads ${r.buffer.label} at a computed place or as a whole`;
      if (!writers.has(index)) return `it reads ${r.buffer.label} at another element than the one just written`;
      forwarded.push(r);
    } else if (index !== null && read.get(r.buffer)?.has(index) === true) shared.push(r);
  }
  return { forwarded, shared };
}

function put<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

function tooManyStreams(a: LoopGroup, b: LoopGroup): string | null {
  const buffers = new Set<BufferRef>();
  for (const group of [a, b]) {
    const { reads, writes } = accessesOf(group);
    for (const access of [...reads, ...writes]) buffers.add(access.buffer);
  }
  return buffers.size > MAX_STREAMS ? `the kernel would walk ${buffers.size} buffers at once` : null;
}

/** Why fusing for shared reads alone would hurt: a store that ran along memory would jump. */
function stridedStore(a: LoopGroup, b: LoopGroup, unified: Unification): string | null {
  if (unified.reduceAxes.length > 0) return null;
  const innermost = unified.axes.at(-1);
  if (innermost === undefined) return null;
  for (const [group, map] of [[a, unified.mapA], [b, unified.mapB]] as const) {
    for (const stage of group.stages) {
      if (stage.kind === "cross" || isFinal(stage)) continue;
      const stride = coefficient(substitute(stage.index, map), innermost);
      if (stride !== constant(1)) return `its store to ${stage.out.label} would be strided in the common loop order`;
    }
  }
  return null;
}

/** What a fusion saves; higher is better, compared in this order. */
export interface FusionScore {
  readonly savedBytes: number;
  /** Negative distance in launch order. */
  readonly nearness: number;
}

/**
 * The profit of a plan: bytes that are no longer read, and no longer written where `isOnlyReader` says that nobody else reads them.
 */
export function scoreFusion(
  plan: FusionPlan,
  hint: Hint,
  distance: number,
  isOnlyReader: (buffer: BufferRef) => boolean,
): FusionScore {
  let savedBytes = 0;
  const counted = new Set<BufferRef>();
  const bytes = (r: Access): number => Math.min(hint(accessNumel(r)), hint(r.buffer.numel)) * r.buffer.dtype.bytes;
  for (const r of plan.shared) savedBytes += bytes(r);
  for (const r of plan.forwarded) {
    savedBytes += bytes(r);
    if (counted.has(r.buffer)) continue;
    counted.add(r.buffer);
    if (isOnlyReader(r.buffer)) savedBytes += hint(r.buffer.numel) * r.buffer.dtype.bytes;
  }
  return { savedBytes, nearness: -distance };
}

function mergeBase(a: Group, b: Group, reason: string): Pick<Group, "origins" | "stored" | "reasons"> {
  return {
    origins: [...new Set([...a.origins, ...b.origins])].sort((x, y) => x.id - y.id),
    stored: new Set([...a.stored, ...b.stored]),
    reasons: [...a.reasons, ...b.reasons, reason],
  };
}

function withSpace(stages: readonly Stage[], space: "outer" | "inner"): Stage[] {
  return stages.map((s): Stage => s.kind === "reduction" || isFinal(s) ? s : { ...s, space });
}

function stagesIn(group: LoopGroup, unified: Unification, which: "a" | "b"): Stage[] {
  const [map, space] = which === "a" ? [unified.mapA, unified.spaceA] : [unified.mapB, unified.spaceB];
  if (unified.carried === which) return substituteStages(crossStages(group, space), map);
  if (unified.isFinal === true && which === "b") {
    const stages = group.stages.map((s): Stage => s.kind === "pointwise" ? { ...s, space: "final" } : s);
    return substituteStages(stages, map);
  }
  return substituteStages(group.reduceAxes.length > 0 ? group.stages : withSpace(group.stages, space), map);
}

function mergedStages(a: LoopGroup, b: LoopGroup, unified: Unification): Stage[] {
  return [...stagesIn(a, unified, "a"), ...stagesIn(b, unified, "b")];
}

/** Carries a plan out. */
export function fuseGroups(a: Group, b: Group, plan: FusionPlan, reason: string): Group {
  const base = mergeBase(a, b, reason);
  if (a.kind === "contraction" && b.kind === "loops" && "classes" in plan.unified) {
    const { classes, mapA, mapB } = plan.unified;
    const [batch = [], m = [], n = []] = classes;
    const [va, vb] = rewriteValues([a.a, a.b], { symbols: mapA });
    return {
      ...a,
      ...base,
      batch,
      m,
      n,
      a: va ?? a.a,
      b: vb ?? a.b,
      resultIndex: substitute(a.resultIndex, mapA),
      epilogue: [...substituteStages(a.epilogue, mapA), ...substituteStages(b.stages, mapB)] as PointwiseStage[],
    };
  }
  if (a.kind === "loops" && b.kind === "loops" && "axes" in plan.unified) {
    const { axes, reduceAxes } = plan.unified;
    return { kind: "loops", ...base, axes, reduceAxes, stages: mergedStages(a, b, plan.unified) };
  }
  throw new InternalError(`a ${plan.kind} plan does not fit ${a.kind} and ${b.kind} groups`);
}
