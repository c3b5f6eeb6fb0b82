/**
 * Multi-tensor launches: independent pointwise kernels of any sizes become one.
 *
 * Members are kernels without a reduction whose results no other kernel reads (updates of parameters and optimiser state, mostly):
 * nothing can depend on them, so putting them together at the place of the last one closes no cycle. What one launch costs is then paid once for all
 * parameters of a model. Mirrors `ForeachKernelSchedulerNode` of TorchInductor.
 */
import type { BufferRef } from "../loops/mod.ts";
import { readBuffers, writtenBuffers } from "./dependencies.ts";
import type { ForeachGroup, Group, LoopGroup } from "./groups.ts";

/** Kernels in one launch at most: keeps parameter lists within what devices take. */
export const MAX_MEMBERS = 64;

function combine(members: readonly LoopGroup[]): ForeachGroup {
  return {
    kind: "foreach",
    origins: [...new Set(members.flatMap((m) => m.origins))].sort((x, y) => x.id - y.id),
    stored: new Set(members.flatMap((m) => [...m.stored])),
    reasons: [`${members.length} independent pointwise kernels whose results no other kernel reads share one launch`],
    members,
  };
}

/** Combines kernels. Groups come and leave in launch order. */
export function foreachGroups(groups: readonly Group[]): Group[] {
  const readers = new Map<BufferRef, number>();
  for (const group of groups) for (const b of readBuffers(group)) readers.set(b, (readers.get(b) ?? 0) + 1);
  const isMember = (group: Group): group is LoopGroup =>
    group.kind === "loops" && group.reduceAxes.length === 0 && group.stages.every((s) => s.kind === "pointwise") &&
    writtenBuffers(group).every((b) => !readers.has(b));
  const members = groups.filter(isMember);
  if (members.length < 2) return [...groups];
  const batches: LoopGroup[][] = [];
  for (let at = 0; at < members.length; at += MAX_MEMBERS) batches.push(members.slice(at, at + MAX_MEMBERS));
  const place = new Map<Group, Group>();
  for (const batch of batches) {
    const last = batch.at(-1);
    if (last !== undefined) place.set(last, batch.length === 1 ? last : combine(batch));
  }
  return groups.flatMap((group) => {
    const combined = place.get(group);
    if (combined !== undefined) return [combined];
    return isMember(group) ? [] : [group];
  });
}
