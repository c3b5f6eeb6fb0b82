/**
 * Which written buffers of a group may lie where a read buffer lies.
 *
 * Safe where every read of the old buffer, anywhere in the group, has the very index of the one store, in the same space, and stands
 * before the store or in its value: then the iteration that overwrites an element is the only one to read it, and reads it first. A final stage
 * stores when all iterations are over: whatever they read is safe.
 */
import type { BufferRef } from "../loops/mod.ts";
import { readsOf, targetValues } from "./dependencies.ts";
import type { Group, PointwiseStage, Stage } from "./groups.ts";

interface ReadPlace {
  readonly at: number;
  readonly space: PointwiseStage["space"];
  readonly index: PointwiseStage["index"] | null;
}

function spaceOf(stage: Stage): PointwiseStage["space"] {
  return stage.kind === "reduction" ? "inner" : stage.space;
}

function candidates(stages: readonly Stage[], forbidden: ReadonlySet<BufferRef>): Map<BufferRef, BufferRef[]> {
  const reads = new Map<BufferRef, ReadPlace[]>();
  const writers = new Map<BufferRef, number>();
  stages.forEach((stage, at) => {
    writers.set(stage.out, (writers.get(stage.out) ?? 0) + 1);
    for (const { buffer, index } of readsOf([stage.value, ...targetValues(stage.index)])) {
      const place: ReadPlace = { at, space: spaceOf(stage), index };
      const list = reads.get(buffer);
      if (list === undefined) reads.set(buffer, [place]);
      else list.push(place);
    }
  });
  const out = new Map<BufferRef, BufferRef[]>();
  stages.forEach((stage, at) => {
    if (stage.kind !== "pointwise" || writers.get(stage.out) !== 1) return;
    for (const [buffer, places] of reads) {
      if (forbidden.has(buffer) || writers.has(buffer) || buffer.dtype.bytes !== stage.out.dtype.bytes) continue;
      if (buffer.numel !== stage.out.numel) continue;
      const isBefore = (p: ReadPlace): boolean =>
        (p.at <= at && p.space === stage.space && p.index === stage.index) ||
        (stage.space === "final" && p.space !== "final");
      if (!places.every(isBefore)) continue;
      const list = out.get(stage.out);
      if (list === undefined) out.set(stage.out, [buffer]);
      else list.push(buffer);
    }
  });
  return out;
}

/** For each written buffer the read buffers whose memory it may take over, if they die in this launch. */
export function inPlaceCandidates(group: Group): ReadonlyMap<BufferRef, readonly BufferRef[]> {
  switch (group.kind) {
    case "loops":
      return candidates(group.stages, new Set());
    case "contraction": {
      const operands = new Set(readsOf([group.a, group.b]).map((r) => r.buffer));
      return candidates(group.epilogue, operands);
    }
    case "foreach": {
      const out = new Map<BufferRef, readonly BufferRef[]>();
      const readers = new Map<BufferRef, number>();
      const members = group.members.map((m) => {
        const buffers = new Set(readsOf(m.stages.map((s) => s.value)).map((r) => r.buffer));
        for (const b of buffers) readers.set(b, (readers.get(b) ?? 0) + 1);
        return m;
      });
      for (const m of members) {
        for (const [written, read] of candidates(m.stages, new Set())) {
          const own = read.filter((b) => readers.get(b) === 1);
          if (own.length > 0) out.set(written, own);
        }
      }
      return out;
    }
    case "attention":
    case "scan":
    case "host":
    case "blocks":
      return new Map();
    default:
      return group satisfies never;
  }
}
