/**
 * Scans and what is made of them, in one kernel.
 *
 * A scan walks along its axis with what it has so far in registers; a scan of that, or pointwise loops over it, can walk along in the same steps, and what
 * nobody else reads never reaches memory: positions of running extrema are a scan of what the running extremum is made of. Legal where every
 * read of what the first group writes is of the element that the same step wrote. Runs after the fuser, which knows of loops alone, and for
 * backends that can walk several scans at once. TorchInductor's `SplitScan` has no such thing.
 */
import { log } from "../core/mod.ts";
import { type BufferRef, rewriteValues } from "../loops/mod.ts";
import { type Expr, substitute } from "../symbolic/mod.ts";
import { type Access, accessesOf, readBuffers, scatteredBuffers, stepsOf, writtenBuffers } from "./dependencies.ts";
import type { Group, LoopGroup, ScanGroup, ScanStep } from "./groups.ts";
import { candidateMaps, type LoopMap, type SharedAccess } from "./loop_maps.ts";
import type { Hint } from "./loop_space.ts";
import { groupName } from "./print.ts";

/** More steps than this are not put into one kernel. */
const MOST_STEPS = 16;

/** A group that may follow a scan in its kernel. */
type Follower = ScanGroup | LoopGroup;

function isFollower(group: Group | undefined): group is Follower {
  if (group?.kind === "scan") return true;
  return group?.kind === "loops" && group.reduceAxes.length === 0 &&
    group.stages.every((s) => s.kind === "pointwise" && s.space === "outer");
}

/** The steps of a follower, said with the axes of the scan; null where they do not agree. */
function stepsIn(scan: ScanGroup, next: Follower, hint: Hint): readonly ScanStep[] | null {
  const written = new Map<BufferRef, Expr>(stepsOf(scan).map((s) => [s.out, s.index]));
  const reads = accessesOf(next).reads.filter((r) => written.has(r.buffer));
  const fits = (map: LoopMap): boolean =>
    reads.every((r) => r.index !== null && !r.indirect && substitute(r.index, map) === written.get(r.buffer));
  const shared = reads.flatMap((r: Access): SharedAccess[] => {
    const to = written.get(r.buffer);
    return r.index === null || to === undefined ? [] : [{ from: r.index, to }];
  });
  for (const map of candidateMaps(next.axes, scan.axes, shared, hint)) {
    if (!fits(map)) continue;
    // A scan's axis has to be the same, and no part of another.
    if (next.kind === "scan") {
      const axis = map.get(next.scanAxis);
      if (axis === undefined || axis.kind !== "symbol" || axis.symbol !== scan.scanAxis) continue;
    }
    const steps = next.kind === "scan" ? stepsOf(next) : next.stages;
    const values = rewriteValues(steps.map((s) => s.value), { symbols: map });
    return steps.map((s, i) => ({ ...s, value: values[i] ?? s.value, index: substitute(s.index, map) }) as ScanStep);
  }
  return null;
}

function meet(a: Iterable<BufferRef>, b: Iterable<BufferRef>): boolean {
  const set = new Set(a);
  for (const buffer of b) if (set.has(buffer)) return true;
  return false;
}

/** Whether `next`, which comes after `between`, can run where `scan` does, or `scan` where `next` does. */
function place(scan: ScanGroup, between: readonly Group[], next: Follower): "first" | "second" | null {
  const touched = between.flatMap((g) => [...writtenBuffers(g), ...scatteredBuffers(g)]);
  const read = between.flatMap(readBuffers);
  const moves = (group: Group): boolean => !meet(touched, readBuffers(group)) && !meet(touched, writtenBuffers(group));
  if (moves(next) && !meet(read, writtenBuffers(next))) return "first";
  return moves(scan) && !meet(read, writtenBuffers(scan)) ? "second" : null;
}

/** Puts groups that read what a scan writes into its kernel, where they can walk along. */
export function fuseScans(groups: readonly Group[], hint: Hint): Group[] {
  const out = [...groups];
  for (let i = 0; i < out.length; i++) {
    for (let j = i + 1; j < out.length; j++) {
      const scan = out[i], next = out[j];
      if (scan?.kind !== "scan") break;
      if (!isFollower(next) || !meet(writtenBuffers(scan), readBuffers(next))) continue;
      // What the one reads and the other writes over would have to be read first.
      if (meet(readBuffers(scan), writtenBuffers(next))) continue;
      const steps = stepsIn(scan, next, hint);
      const at = steps === null ? null : place(scan, out.slice(i + 1, j), next);
      if (steps === null || at === null || steps.length + stepsOf(scan).length > MOST_STEPS) continue;
      const reason = `${groupName(next)} walks along with the scan ${groupName(scan)}, which has what it reads at hand`;
      log("fusion", () => `${groupName(scan)} + ${groupName(next)}: fused: ${reason}`);
      const both: ScanGroup = {
        ...scan,
        then: [...scan.then ?? [], ...steps],
        origins: [...new Set([...scan.origins, ...next.origins])].sort((x, y) => x.id - y.id),
        stored: new Set([...scan.stored, ...next.stored]),
        reasons: [...scan.reasons, ...next.reasons, reason],
      };
      out[at === "first" ? i : j] = both;
      out.splice(at === "first" ? j : i, 1);
      // Its readers are tried anew, from where it is now.
      i = (at === "first" ? i : j - 1) - 1;
      break;
    }
  }
  return out;
}
