/**
 * What the tiler needs to know of a device. Everything that is particular to one backend and decides how loops are cut stands here; the
 * rest is its emitter's.
 */

/** A device's preferences. */
export interface TileTarget {
  readonly name: "js" | "cpp";
  /** Elements of 32 bits that one instruction works on; 1 for scalar code. */
  readonly vectorLanes: number;
  /** Workers that share a kernel. */
  readonly workers: number;
  /** Contractions of at least this many multiplications go to the blocked template; smaller ones are plain loops. */
  readonly templateFlops: number;
}

/** JavaScript: scalar loops over typed arrays. */
export const JS_TARGET: TileTarget = { name: "js", vectorLanes: 1, workers: 1, templateFlops: 16384 };

/** C++ on vectors of `vectorLanes` floats. */
export function cppTarget(vectorLanes: number, workers: number): TileTarget {
  return { name: "cpp", vectorLanes, workers, templateFlops: 32768 };
}
