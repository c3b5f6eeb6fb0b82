/**
 * Donations: results that are written straight into the memory that they replace.
 *
 * Enters: scheduled groups, and which results the caller would copy over an input or attribute anyway. Leaves: which of them take over that memory, and the
 * groups without the copies that this makes needless. Safe where every read of the old value comes before, or at the same element in the same kernel. What is
 * scattered into a copy of the old value (a key-value cache that gets one row) is scattered into the old value itself: the copy is dropped, and the rest of
 * the memory is never touched. Mirrors `reinplace.py` of TorchInductor.
 */
import type { BufferRef } from "../loops/mod.ts";
import { constant } from "../symbolic/mod.ts";
import { ChecksFirst } from "./check_first.ts";
import { readBuffers, readsOf, targetValues, writtenBuffers } from "./dependencies.ts";
import type { Group, LoopGroup } from "./groups.ts";
import { inPlaceCandidates } from "./in_place.ts";
import { isConst } from "./lowered.ts";
import type { Lowering } from "./lowering.ts";

/** Which memory a donated result may be written into. */
export type DonationTarget =
  | { readonly kind: "input"; readonly index: number }
  | { readonly kind: "attribute"; readonly index: number };

/** Results (by position) and the memory that they may be written into, because nobody needs its old contents after the call. */
export type Donations = ReadonlyMap<number, DonationTarget>;

/** Buffers that a group writes to memory. */
export function storedBuffers(group: Group): BufferRef[] {
  return writtenBuffers(group).filter((b) => group.stored.has(b));
}

/** What {@linkcode acceptDonations} decided. */
export interface AcceptedDonations {
  /** The groups that are left, in order. */
  readonly groups: readonly Group[];
  /** Results that take over memory, and whose. */
  readonly donated: ReadonlyMap<BufferRef, BufferRef>;
  /** Those of them whose copy of the old value was dropped. */
  readonly filled: ReadonlySet<BufferRef>;
}

/** The positions of the groups that touch a buffer in memory, in order. */
interface Touches {
  readonly reads: number[];
  readonly writes: number[];
}

function touchesOf(groups: readonly Group[]): Map<BufferRef, Touches> {
  const touches = new Map<BufferRef, Touches>();
  groups.forEach((group, at) => {
    const entry = (b: BufferRef): Touches => {
      let found = touches.get(b);
      if (found === undefined) touches.set(b, found = { reads: [], writes: [] });
      return found;
    };
    for (const b of readBuffers(group)) entry(b).reads.push(at);
    for (const b of storedBuffers(group)) entry(b).writes.push(at);
  });
  return touches;
}

/**
 * The group without its stage that copies `old` to `copy`, element by element at the same places, if that is all it does to `copy` and nothing in the group
 * looks at it; null if there is nothing left then, undefined if there is no such stage.
 */
function withoutCopy(group: Group, copy: BufferRef, old: BufferRef): LoopGroup | null | undefined {
  if (group.kind !== "loops") return undefined;
  const own = group.stages.filter((s) => s.out === copy);
  const [stage] = own;
  if (stage === undefined || own.length > 1 || stage.kind !== "pointwise" || stage.space !== "outer") return undefined;
  const { value } = stage;
  if (value.kind !== "load" || value.buffer !== old || value.index !== stage.index) return undefined;
  const stages = group.stages.filter((s) => s !== stage);
  if (stages.length === 0) return null;
  if (readsOf(stages.flatMap((s) => [s.value, ...targetValues(s.index)])).some((r) => r.buffer === copy)) {
    return undefined;
  }
  const stored = new Set(group.stored);
  stored.delete(copy);
  return { ...group, stages, stored };
}

/**
 * Decides which donated results are written straight into the memory they replace, and drops the copies that become needless. With `checksFirst`, nothing is
 * written there before all that may fail has been looked at.
 */
export function acceptDonations(
  scheduled: readonly Group[],
  lowering: Lowering,
  donate: Donations,
  checksFirst: boolean,
): AcceptedDonations {
  const donated = new Map<BufferRef, BufferRef>();
  const filled = new Set<BufferRef>();
  if (donate.size === 0) return { groups: scheduled, donated, filled };
  const groups: (Group | null)[] = [...scheduled];
  const uses = new Map<BufferRef, number>();
  for (const r of lowering.results) if (r.kind === "tensor") uses.set(r.buffer, (uses.get(r.buffer) ?? 0) + 1);
  const touches = touchesOf(scheduled);
  const taken = new Set<BufferRef>();
  const given = new Set<BufferRef | null>([...lowering.inputs, ...lowering.attributes.map((a) => a.buffer)]);
  const checks = checksFirst
    ? new ChecksFirst(scheduled, (b) => given.has(b) ? [] : touches.get(b)?.writes ?? [Infinity])
    : null;
  for (const [at, target] of donate) {
    const result = lowering.results[at];
    if (result?.kind !== "tensor") continue;
    const layout = target.kind === "input"
      ? lowering.inputLayouts[target.index]
      : lowering.attributeLayouts[target.index];
    if (layout === undefined || layout === null || taken.has(layout.buffer) || uses.has(layout.buffer)) continue;
    if (uses.get(result.buffer) !== 1 || donated.has(result.buffer)) continue;
    const { buffer: old } = layout;
    const fits = old.dtype === result.buffer.dtype && old.numel === result.buffer.numel &&
      layout.layout.offset === result.offset && layout.layout.stride.length === result.stride.length &&
      layout.layout.stride.every((s, d) => s === result.stride[d] || isConst(layout.layout.shape[d] ?? constant(0), 1));
    const [writer, next] = touches.get(result.buffer)?.writes ?? [];
    if (!fits || writer === undefined) continue;
    const group = groups[writer];
    if (group === undefined || group === null) continue;
    const reads = touches.get(old)?.reads ?? [];
    const rest = withoutCopy(group, result.buffer, old);
    if (rest !== undefined) {
      // Until something else is written, both are the same.
      if (reads.some((r) => r >= (next ?? Infinity))) continue;
      if (next !== undefined && checks?.allow(next) === false) continue;
      groups[writer] = rest;
      filled.add(result.buffer);
    } else {
      if (reads.some((r) => r > writer)) continue;
      const isSafe = !reads.includes(writer) || inPlaceCandidates(group).get(result.buffer)?.includes(old) === true;
      if (!isSafe || checks?.allow(writer) === false) continue;
    }
    taken.add(old);
    donated.set(result.buffer, old);
  }
  return { groups: checks?.withChecks(groups) ?? groups.filter((g) => g !== null), donated, filled };
}
