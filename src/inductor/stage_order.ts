/**
 * The last word on a group's stages: what reaches memory, in which order stages come, what is computed again.
 *
 * Stages are sorted into passes (see `groups.ts`). An inner value that is not stored but read in a later pass is substituted into its
 * readers: on a row that is in cache, computing again beats writing. What nobody reads any more is dropped.
 */
import { type BufferRef, rewriteValues, type Value } from "../loops/mod.ts";
import type { Expr } from "../symbolic/mod.ts";
import { readsOf, targetValues } from "./dependencies.ts";
import type { Group, LoopGroup, PointwiseStage, ScanStep, Stage } from "./groups.ts";

/** Where a stage runs: outer stages at even positions before pass `rank / 2`, inner ones at odd positions. */
export function isInner(stage: Stage): boolean {
  return stage.kind === "reduction" || stage.space === "inner";
}

/** Whether a stage runs after all iterations. */
export function isFinal(stage: Stage): boolean {
  return stage.kind === "pointwise" && stage.space === "final";
}

/** The position of final stages: after all others. */
const FINAL_RANK = Number.MAX_SAFE_INTEGER;

/**
 * Positions of stages in the order of execution: `2·level` for outer stages, `2·pass + 1` for inner stages and reductions, final stages last.
 */
export function stageRanks(stages: readonly Stage[]): number[] {
  const ranks: number[] = [];
  const writers = new Map<BufferRef, number[]>();
  stages.forEach((stage, at) => {
    if (isFinal(stage)) {
      ranks.push(FINAL_RANK);
      return;
    }
    let level = 0;
    for (const { buffer } of readsOf([stage.value, ...targetValues(stage.index)])) {
      for (const writer of writers.get(buffer) ?? []) {
        const from = stages[writer];
        const rank = ranks[writer] ?? 0;
        // After a reduction (rank 2p + 1) comes level p + 1; an inner value stays in its pass; an outer value (rank 2l) is there from level l on.
        const needs = from?.kind === "reduction" ? (rank + 1) / 2 : Math.floor(rank / 2);
        level = Math.max(level, needs);
      }
    }
    ranks.push(isInner(stage) ? 2 * level + 1 : 2 * level);
    const list = writers.get(stage.out);
    if (list === undefined) writers.set(stage.out, [at]);
    else list.push(at);
  });
  return ranks;
}

/** Sorts stages into passes, keeping the order within each. */
function orderStages(stages: readonly Stage[]): Stage[] {
  const ranks = stageRanks(stages);
  const order = stages.map((_, i) => i).sort((x, y) => (ranks[x] ?? 0) - (ranks[y] ?? 0) || x - y);
  return order.map((i) => stages[i] as Stage);
}

function storeKey(buffer: BufferRef, index: Expr): string {
  return `${buffer.id},${index.id}`;
}

/** Substitutes inner values that are not stored into readers of later passes. */
function recomputeAcrossPasses(stages: readonly Stage[], stored: ReadonlySet<BufferRef>): Stage[] {
  const ranks = stageRanks(stages);
  const values = new Map<string, { value: Value; rank: number }>();
  /** `value` as a stage of this rank may compute it; what it substitutes may itself read earlier passes. */
  const expand = (value: Value, rank: number): Value =>
    rewriteValues([value], {
      load: (buffer, index) => {
        const found = values.get(storeKey(buffer, index));
        return found !== undefined && found.rank < rank ? expand(found.value, rank) : null;
      },
    })[0] ?? value;
  return stages.map((stage, at): Stage => {
    const rank = ranks[at] ?? 0;
    const value = expand(stage.value, rank);
    if (stage.kind === "pointwise" && stage.space === "inner" && !stored.has(stage.out)) {
      values.set(storeKey(stage.out, stage.index), { value: stage.value, rank });
    }
    return value === stage.value ? stage : { ...stage, value };
  });
}

/** Drops stages whose buffer is neither stored nor read by a later stage. */
function dropUnread<S extends Stage | ScanStep>(stages: readonly S[], stored: ReadonlySet<BufferRef>): S[] {
  const read = new Set<BufferRef>();
  const kept: S[] = [];
  for (const stage of [...stages].reverse()) {
    if (!stored.has(stage.out) && !read.has(stage.out)) continue;
    for (const { buffer } of readsOf([stage.value, ...targetValues(stage.index)])) read.add(buffer);
    kept.push(stage);
  }
  return kept.reverse();
}

/** Settles a group, given which of its buffers others read. */
export function settleGroup(group: Group, stored: ReadonlySet<BufferRef>): Group {
  const own = new Set([...group.stored].filter((b) => stored.has(b)));
  switch (group.kind) {
    case "loops":
      return settleLoops(group, own);
    case "contraction": {
      const epilogue = dropUnread(group.epilogue, own) as PointwiseStage[];
      return { ...group, stored: own, epilogue };
    }
    case "attention":
      // One kernel has both gradients, whether or not somebody reads both.
      return group.role === "keys" ? group : { ...group, stored: own };
    case "scan": {
      if (group.then === undefined) return { ...group, stored: own };
      // The first step stays, whether or not it is read: it gives the group its axis.
      const then = dropUnread(group.then, own);
      return { ...group, stored: own, then };
    }
    case "host":
    case "blocks":
      return { ...group, stored: own };
    case "foreach":
      return { ...group, stored: own, members: group.members.map((m) => settleLoops(m, own)) };
    default:
      return group satisfies never;
  }
}

function settleLoops(group: LoopGroup, stored: ReadonlySet<BufferRef>): LoopGroup {
  const own = new Set([...group.stored].filter((b) => stored.has(b)));
  const ordered = orderStages(group.stages);
  const recomputed = recomputeAcrossPasses(ordered, own);
  return { ...group, stored: own, stages: orderStages(dropUnread(recomputed, own)) };
}
