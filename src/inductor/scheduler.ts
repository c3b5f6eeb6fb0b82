/**
 * The scheduler: drops groups that nobody needs, fuses, orders, and settles what reaches memory.
 */
import type { BufferRef } from "../loops/mod.ts";
import { readBuffers, scatteredBuffers, writtenBuffers } from "./dependencies.ts";
import type { Group } from "./groups.ts";
import type { Lowering } from "./lower.ts";

/** What a backend may say about fusions. */
export interface SchedulerOptions {
  /** Refuses a legal, profitable fusion, with a reason; null lets it happen. */
  readonly veto?: (merged: Group) => string | null;
}

/** Buffers that the caller sees. */
function resultBuffers(lowering: Lowering): Set<BufferRef> {
  return new Set(lowering.results.flatMap((r) => r.kind === "tensor" ? [r.buffer] : []));
}

/** Drops groups whose results nobody reads, back to front. */
export function dropDeadGroups(groups: readonly Group[], results: ReadonlySet<BufferRef>): Group[] {
  const needed = new Set(results);
  const kept: Group[] = [];
  for (const group of [...groups].reverse()) {
    if (!writtenBuffers(group).some((b) => needed.has(b))) continue;
    for (const b of readBuffers(group)) needed.add(b);
    for (const b of scatteredBuffers(group)) needed.add(b);
    kept.push(group);
  }
  return kept.reverse();
}

/** Schedules lowered groups. */
export function scheduleGroups(lowering: Lowering, _options: SchedulerOptions = {}): Group[] {
  return dropDeadGroups(lowering.groups, resultBuffers(lowering));
}
