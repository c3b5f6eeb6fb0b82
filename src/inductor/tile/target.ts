/**
 * What the tiler needs to know of a device. Everything that is particular to one backend and decides how loops are cut stands here; the
 * rest is its emitter's.
 */
import type { PrimitiveName } from "../../loops/mod.ts";

/**
 * Functions of several registers at once: first the first half of each, then the rest, or steps of all in turn. A processor waits for the latency of long
 * chains, of which it sees only so many instructions at once, and for the ends of loops that it did not foresee.
 */
export const PHASED: ReadonlySet<PrimitiveName> = new Set<PrimitiveName>(["pow", "asinh", "acosh", "erfinv", "gcd"]);

/** A device's preferences. */
export interface TileTarget {
  readonly name: "js" | "cpp" | "cuda";
  /** Elements of 32 bits that one instruction works on; 1 for scalar code. */
  readonly vectorLanes: number;
  /** Workers that share a kernel. */
  readonly workers: number;
  /**
   * Reductions over the rows of a kernel beside reductions along them: one loop over rows that workers share, with accumulators, and arrays of them, that
   * are combined at the end. Without it the scheduler must not make such groups (`SchedulerOptions.crossReductions`).
   */
  readonly crossReductions: boolean;
  /** Contractions of at least this many multiplications go to the blocked template; smaller ones are plain loops. */
  readonly templateFlops: number;
  /** Whether the template has sums of int32. */
  readonly integerProducts?: boolean;
}

/** JavaScript: scalar loops over typed arrays. */
export const JS_TARGET: TileTarget = {
  name: "js",
  vectorLanes: 1,
  workers: 1,
  crossReductions: true,
  templateFlops: 16384,
};

/** C++ on vectors of `vectorLanes` floats. */
export function cppTarget(vectorLanes: number, workers: number): TileTarget {
  return { name: "cpp", vectorLanes, workers, crossReductions: true, templateFlops: 32768 };
}
