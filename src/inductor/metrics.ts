/**
 * The cost model: elements and bytes that kernels move, kernels, peak memory.
 *
 * A kernel counts each distinct element of a buffer once, read or written: an access counts the product of the extents that its index
 * varies over, and all accesses of one buffer together at most the buffer. A value that a kernel computes and uses itself moves
 * nothing unless it is stored. The same measure as `metrics.num_bytes_accessed` of TorchInductor.
 */
import { workOf } from "../blocks/mod.ts";
import { type BufferRef, extentOf } from "../loops/mod.ts";
import { sizeHint } from "../symbolic/mod.ts";
import type { Access } from "./dependencies.ts";
import { accessesOf, accessNumel } from "./dependencies.ts";
import type { Group } from "./groups.ts";
import type { Hint } from "./loop_space.ts";

/** What one kernel, or all of them, move. */
export interface Traffic {
  readonly elementsRead: number;
  readonly elementsWritten: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

/** Counters of a compiled graph. */
export interface PlanCounters {
  /** Launches a call. */
  readonly kernels: number;
  /** Launches if every operator ran by itself. */
  readonly kernelsUnfused: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Elements read plus elements written. */
  readonly elementsMoved: number;
  /** Arena and outputs together. */
  readonly peakBytes: number;
}

function count(accesses: readonly Access[], hint: Hint): Map<BufferRef, number> {
  const out = new Map<BufferRef, number>();
  const seen = new Set<string>();
  for (const a of accesses) {
    const key = `${a.buffer.id},${a.index?.id ?? "all"}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const most = hint(a.buffer.numel);
    out.set(a.buffer, Math.min(most, (out.get(a.buffer) ?? 0) + hint(accessNumel(a))));
  }
  return out;
}

/** What one launch of a group moves. */
export function trafficOf(group: Group, hint: Hint): Traffic {
  const { reads, writes } = accessesOf(group);
  let elementsRead = 0;
  let elementsWritten = 0;
  let bytesRead = 0;
  let bytesWritten = 0;
  for (const [buffer, elements] of count(reads, hint)) {
    elementsRead += elements;
    bytesRead += elements * buffer.dtype.bytes;
  }
  for (const [buffer, elements] of count(writes.filter((w) => group.stored.has(w.buffer)), hint)) {
    elementsWritten += elements;
    bytesWritten += elements * buffer.dtype.bytes;
  }
  return { elementsRead, elementsWritten, bytesRead, bytesWritten };
}

/** The sum over all groups. */
export function totalTraffic(groups: readonly Group[], hint: Hint): Traffic {
  let [elementsRead, elementsWritten, bytesRead, bytesWritten] = [0, 0, 0, 0];
  for (const group of groups) {
    const t = trafficOf(group, hint);
    elementsRead += t.elementsRead;
    elementsWritten += t.elementsWritten;
    bytesRead += t.bytesRead;
    bytesWritten += t.bytesWritten;
  }
  return { elementsRead, elementsWritten, bytesRead, bytesWritten };
}

/** Nanoseconds that a JavaScript kernel takes for one element read or written, and for one multiplication of a contraction. */
const JS_ELEMENT_NS = 4;
const JS_MULTIPLY_NS = 0.5;
/** The same where blocks are interpreted. */
const INTERPRETED_ELEMENT_NS = 60;
const INTERPRETED_MULTIPLY_NS = 10;

/** About how long one call takes on JavaScript kernels, in milliseconds: decides whether to wait for C++. */
export function estimateJsMs(groups: readonly Group[]): number {
  const hint: Hint = (e) => sizeHint(e, 32);
  let nanoseconds = totalTraffic(groups, hint).elementsRead * JS_ELEMENT_NS;
  for (const group of groups) {
    if (group.kind === "blocks") {
      const { elements, products } = workOf(group.program, hint);
      nanoseconds += elements * INTERPRETED_ELEMENT_NS + products * INTERPRETED_MULTIPLY_NS;
    }
    if (group.kind !== "contraction") continue;
    const extents = [...group.batch, ...group.m, ...group.n, ...group.k].map((v) => hint(extentOf(v)));
    nanoseconds += extents.reduce((a, b) => a * b, 1) * JS_MULTIPLY_NS;
  }
  return nanoseconds / 1e6;
}
