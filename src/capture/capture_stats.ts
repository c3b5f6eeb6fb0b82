/**
 * What became of compiled functions, in numbers: for tests, benchmarks and diagnostics.
 */
import { codeOf } from "./compile.ts";
import type { GraphBreak } from "./graph_break.ts";

/** What became of a compiled function. */
export interface CaptureStats {
  /** Graphs of the whole function. */
  readonly entries: number;
  /** Why each compilation after the first was needed, as the events said. */
  readonly recompilations: readonly string[];
  /** Why it was not one graph, each place once. */
  readonly breaks: readonly GraphBreak[];
  /** How often it was traced, and how often a capture of another process served instead. */
  readonly traced: number;
  readonly found: number;
  /** How many different segments have run, and how many of them are compiled. */
  readonly segments: number;
  readonly compiledSegments: number;
  /** How many calls ran in segments. */
  readonly segmentedCalls: number;
}

/** What became of a compiled function: its entries, its segments, and its breaks. */
export function captureStats(fn: (...args: never[]) => unknown): CaptureStats {
  const code = codeOf(fn);
  const segments = code?.segments;
  return {
    entries: code?.entries.length ?? 0,
    recompilations: code?.recompilations ?? [],
    breaks: code?.breaks ?? [],
    traced: code?.traced ?? 0,
    found: code?.found ?? 0,
    segments: segments?.ends.size ?? 0,
    compiledSegments: segments?.compiledCount ?? 0,
    segmentedCalls: segments?.calls ?? 0,
  };
}

/** The number of compiled entries of a function, for tests and diagnostics. */
export function entryCount(fn: (...args: never[]) => unknown): number {
  return codeOf(fn)?.entries.length ?? 0;
}
