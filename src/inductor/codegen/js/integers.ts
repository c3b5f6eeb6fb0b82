/**
 * Which 64-bit integers of a kernel can be JavaScript numbers.
 *
 * A number holds an integer exactly up to 2^53. Index expressions, counts and what is widened from narrower types stay below by their ranges;
 * a loaded value may be rounded to a number where all its uses see no difference (as an index, converted to floating point, compared
 * with a number of the exact range, because rounding is monotone). All others are bigints that wrap at 64 bits.
 */
import { bool, int64 } from "../../../core/mod.ts";
import { walkStatements } from "../../tile/parameters.ts";
import type { Axis, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { findRanges, type Range, rangeOfDtype } from "../ranges.ts";

const SAFE = Number.MAX_SAFE_INTEGER;

/** The int64 values of a kernel that must be bigints. */
export function findBigints(bodies: readonly (readonly TileStatement[])[], axes: readonly Axis[]): Set<TileValue> {
  const ranges = findRanges(bodies, axes);
  const isSafe = (v: TileValue): boolean => {
    const r: Range = ranges.get(v) ?? rangeOfDtype(v.dtype);
    return r.lower >= -SAFE && r.upper <= SAFE;
  };
  const loads = new Set<TileValue>();
  const exact = new Set<TileValue>();
  const all: TileValue[] = [];
  const useExactly = (...values: readonly TileValue[]): void => values.forEach((v) => exact.add(v));
  const visit = (s: TileStatement): void => {
    if ("out" in s && s.out.dtype === int64) all.push(s.out);
    switch (s.kind) {
      case "load":
        loads.add(s.out);
        break;
      case "cast":
        if (!s.out.dtype.isFloat && s.out.dtype !== bool) useExactly(s.arg);
        break;
      case "pointwise":
        // A comparison with something exact sees the same order after rounding.
        if (s.out.dtype !== bool || s.args.length !== 2 || !s.args.some(isSafe)) useExactly(...s.args);
        break;
      case "accumulate":
      case "accumulateAt":
      case "store":
      case "combine":
        useExactly(s.value);
        break;
      case "dot":
        useExactly(s.a, s.b);
        break;
      case "philox":
        useExactly(s.seed, s.stream, s.position);
        break;
      case "bitcast":
        useExactly(s.arg);
        break;
      case "lookup":
      case "constant":
      case "index":
      case "finish":
      case "finishAt":
      case "bind":
      case "accumulator":
      case "accumulators":
      case "for":
        break;
      default:
        s satisfies never;
    }
  };
  for (const body of bodies) walkStatements(body, visit);
  return new Set(all.filter((v) => !isSafe(v) && (!loads.has(v) || exact.has(v))));
}
