/**
 * Multi-tensor launches: independent pointwise kernels of any sizes become one.
 *
 * Members are kernels without a reduction whose results no other kernel reads (updates of parameters and optimiser state, mostly), or that
 * write nothing but parts of one buffer (a concatenation) that nobody reads between them: none can depend on another, so putting them together at the place of the last one
 * closes no cycle. Reductions of whole tensors to single numbers (norms of gradients, whether they are finite) are members too, where nobody reads one before the last is there. What one launch costs is then paid once for all parameters of a model. Mirrors `ForeachKernelSchedulerNode` of TorchInductor.
 */
import type { BufferRef } from "../loops/mod.ts";
import { readBuffers, readsOf, scatteredBuffers, writtenBuffers } from "./dependencies.ts";
import type { ForeachGroup, Group, LoopGroup } from "./groups.ts";

/** Kernels in one launch at most: keeps parameter lists within what devices take. */
const MAX_MEMBERS = 64;
/** Stages in one launch at most: keeps its source small. */
const MAX_MEMBER_STAGES = 180;
/** Both where alike kernels have one text, as on CUDA. */
const MAX_ALIKE = 4096;

function combine(members: readonly LoopGroup[], reason: string): ForeachGroup {
  return {
    kind: "foreach",
    origins: [...new Set(members.flatMap((m) => m.origins))].sort((x, y) => x.id - y.id),
    stored: new Set(members.flatMap((m) => [...m.stored])),
    reasons: [`${members.length} ${reason}`],
    members,
  };
}

/** What independent kernels have in common: the key of their launch, and a sentence. Null for kernels that stay alone. */
type Family = (group: LoopGroup) => { readonly key: unknown; readonly reason: string } | null;

const SINKS = "sinks";
const OF_INPUTS = "of inputs";

function familyOf(groups: readonly Group[], joinInputs: boolean): Family {
  const readers = new Set<BufferRef>();
  const writers = new Map<BufferRef, number>();
  /** How many kernels before a group read what it writes. */
  const readBefore = new Map<Group, number>();
  const reads = new Map<BufferRef, number>();
  for (const group of groups) {
    readBefore.set(group, writtenBuffers(group).reduce((n, b) => n + (reads.get(b) ?? 0), 0));
    for (const b of readBuffers(group)) {
      readers.add(b);
      reads.set(b, (reads.get(b) ?? 0) + 1);
    }
    // A scatter needs what was written to its buffer before.
    for (const b of scatteredBuffers(group)) readers.add(b);
    for (const b of writtenBuffers(group)) writers.set(b, (writers.get(b) ?? 0) + 1);
  }
  return (group) => {
    if (group.reduceAxes.length > 0 || group.stages.some((s) => s.kind !== "pointwise")) return null;
    const written = writtenBuffers(group);
    const [only] = written;
    if (written.every((b) => !readers.has(b))) {
      return {
        key: SINKS,
        reason: "independent pointwise kernels whose results no other kernel reads share one launch",
      };
    }
    if (joinInputs && [...readBuffers(group)].every((b) => !writers.has(b))) {
      return { key: OF_INPUTS, reason: "pointwise kernels that read inputs alone share one launch" };
    }
    // Whoever reads the buffer needs all its writers so far, so none of those between two readers can need another.
    if (written.length === 1 && only !== undefined && (writers.get(only) ?? 0) > 1) {
      return {
        key: `${only.id}/${readBefore.get(group)}`,
        reason: `kernels that write parts of ${only.label} share one launch`,
      };
    }
    return null;
  };
}

/** Reductions of whole tensors in one launch at most: their parameters are few. */
const MAX_WHOLE = 200;

/** Whether a group reduces whole tensors, in one walk, to single numbers; it may write what it computes on the way. */
export function isWhole(group: Group): group is LoopGroup {
  if (group.kind !== "loops" || group.axes.length > 0 || group.reduceAxes.length === 0) return false;
  const results = new Set<BufferRef>();
  return group.stages.every((s) => {
    if (s.kind !== "reduction" && s.kind !== "pointwise") return false;
    if (s.kind === "pointwise" && s.space === "final") return false;
    if (s.kind === "reduction" || s.space === "outer") results.add(s.out);
    if (s.kind === "pointwise" && s.space === "outer") return true;
    // What needs a sum first is another walk.
    return readsOf([s.value]).every((r) => !results.has(r.buffer));
  });
}

/** Reductions of whole tensors, of which none needs another and nobody needs one before the last of them is there. */
function wholeBatches(groups: readonly Group[]): LoopGroup[][] {
  const writers = new Map<BufferRef, Group[]>();
  for (const group of groups) {
    for (const b of writtenBuffers(group)) {
      const list = writers.get(b);
      if (list === undefined) writers.set(b, [group]);
      else list.push(group);
    }
  }
  /** How many such reductions stand on the way to a group. */
  const levels = new Map<Group, number>();
  const firstReader = new Map<BufferRef, number>();
  groups.forEach((group, at) => {
    let level = 0;
    for (const b of [...readBuffers(group), ...scatteredBuffers(group)]) {
      if (!firstReader.has(b)) firstReader.set(b, at);
      for (const w of writers.get(b) ?? []) {
        const own = levels.get(w);
        if (own !== undefined) level = Math.max(level, own + (isWhole(w) ? 1 : 0));
      }
    }
    levels.set(group, level);
  });
  const open = new Map<number, { members: LoopGroup[]; reader: number }>();
  const batches: LoopGroup[][] = [];
  groups.forEach((group, at) => {
    // Memory that is written several times is read at its place.
    if (!isWhole(group) || [...readBuffers(group)].some((b) => (writers.get(b)?.length ?? 0) > 1)) return;
    const level = levels.get(group) ?? 0;
    const reader = Math.min(...writtenBuffers(group).map((b) => firstReader.get(b) ?? Infinity));
    const batch = open.get(level);
    if (batch === undefined || at > batch.reader || batch.members.length === MAX_WHOLE) {
      const members = [group];
      batches.push(members);
      open.set(level, { members, reader });
      return;
    }
    batch.members.push(group);
    batch.reader = Math.min(batch.reader, reader);
  });
  return batches;
}

/**
 * Combines kernels. Groups come and leave in launch order. With `joinInputs`, kernels that read no other kernel's results stand where the first of them stood; with
 * `joinWhole`, where alike kernels have one text, reductions of whole tensors share launches too.
 */
export function foreachGroups(groups: readonly Group[], joinInputs = false, joinWhole = false): Group[] {
  const family = familyOf(groups, joinInputs);
  const families = new Map<unknown, { reason: string; members: LoopGroup[] }>();
  for (const group of groups) {
    if (group.kind !== "loops") continue;
    const found = family(group);
    if (found === null) continue;
    const entry = families.get(found.key);
    if (entry === undefined) families.set(found.key, { reason: found.reason, members: [group] });
    else entry.members.push(group);
  }
  const replaced = new Map<Group, Group | null>();
  for (const [key, { reason, members }] of families) {
    for (const batch of batchesOf(members, joinWhole)) {
      // Nothing can stand before what reads inputs alone, so that its place may be the first; all others wait for the last.
      const place = key === OF_INPUTS ? batch[0] : batch.at(-1);
      if (place === undefined || batch.length < 2) continue;
      for (const member of batch) replaced.set(member, null);
      replaced.set(place, combine(batch, reason));
    }
  }
  for (const members of joinWhole ? wholeBatches(groups) : []) {
    const last = members.at(-1);
    if (last === undefined || members.length < 2) continue;
    for (const member of members) replaced.set(member, null);
    replaced.set(last, combine(members, "independent reductions of whole tensors share one launch"));
  }
  return groups.flatMap((group) => {
    const made = replaced.get(group);
    return made === undefined ? [group] : made === null ? [] : [made];
  });
}

function batchesOf(members: readonly LoopGroup[], alike: boolean): LoopGroup[][] {
  const [mostMembers, mostStages] = alike ? [MAX_ALIKE, MAX_ALIKE] : [MAX_MEMBERS, MAX_MEMBER_STAGES];
  const batches: LoopGroup[][] = [];
  let stages = Infinity;
  for (const member of members) {
    const batch = batches.at(-1);
    stages += member.stages.length;
    if (batch === undefined || batch.length === mostMembers || stages > mostStages) {
      batches.push([member]);
      stages = member.stages.length;
    } else batch.push(member);
  }
  return batches;
}
