/**
 * Which 64-bit integers of a kernel can be JavaScript numbers.
 *
 * A number holds an integer exactly up to 2^53. Index expressions, counts and what is widened from narrower types stay below by their ranges;
 * a loaded value may be rounded to a number where all its uses see no difference (as an index, converted to floating point, compared
 * with a number of the exact range, because rounding is monotone). All others are bigints that wrap at 64 bits.
 */
import { bool, type DType, int64 } from "../../../core/mod.ts";
import type { Axis, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { walkStatements } from "../../tile/parameters.ts";

const SAFE = Number.MAX_SAFE_INTEGER;
/** How much larger than a number a product of extents may look when a size is symbolic. */
const SYMBOLIC_EXTENT = 2 ** 31;

interface Range {
  readonly lower: number;
  readonly upper: number;
}

const FULL: Range = { lower: -Infinity, upper: Infinity };

function ofDtype(dtype: DType): Range {
  return dtype === bool
    ? { lower: 0, upper: 1 }
    : dtype.isFloat || dtype === int64
    ? FULL
    : { lower: dtype.min, upper: dtype.max };
}

function hull(...values: number[]): Range {
  const real = values.map((v) => Number.isNaN(v) ? 0 : v);
  return { lower: Math.min(...real), upper: Math.max(...real) };
}

/** The int64 values of a kernel that must be bigints. */
export function findBigints(bodies: readonly (readonly TileStatement[])[], axes: readonly Axis[]): Set<TileValue> {
  const ranges = new Map<TileValue, Range>();
  const rangeOf = (v: TileValue): Range => ranges.get(v) ?? ofDtype(v.dtype);
  const accumulated = new Map<TileValue, Range>();
  const loads = new Set<TileValue>();
  const exactUses = new Set<TileValue>();
  const all: TileValue[] = [];
  const steps = axes.filter((a) => a.role === "loop").reduce(
    (product, a) => product * (Number.isFinite(a.extent.upper) ? a.extent.upper : SYMBOLIC_EXTENT),
    1,
  );
  const isSafe = (r: Range): boolean => r.lower >= -SAFE && r.upper <= SAFE;
  const useExactly = (...values: readonly TileValue[]): void => values.forEach((v) => exactUses.add(v));

  // Accumulators are defined before what they accumulate is known: their range comes from a first walk.
  const visit = (s: TileStatement): void => {
    if ("out" in s) all.push(s.out);
    switch (s.kind) {
      case "constant":
        ranges.set(s.out, hull(Number(s.value)));
        break;
      case "index":
        ranges.set(s.out, { lower: s.expr.lower, upper: s.expr.upper });
        break;
      case "load":
        if (s.out.dtype === int64) loads.add(s.out);
        break;
      case "cast":
        if (s.out.dtype === int64) ranges.set(s.out, ofDtype(s.arg.dtype));
        if (!s.out.dtype.isFloat && s.out.dtype !== bool) useExactly(s.arg);
        break;
      case "pointwise": {
        const [a, b, c] = s.args;
        if (a === undefined) break;
        const x = rangeOf(a);
        const y = b === undefined ? x : rangeOf(b);
        if (s.out.dtype === bool) {
          // A comparison with something exact sees the same order after rounding.
          if (b === undefined || !(isSafe(x) || isSafe(y))) useExactly(...s.args);
          break;
        }
        useExactly(...s.args);
        switch (s.op) {
          case "add":
            ranges.set(s.out, { lower: x.lower + y.lower, upper: x.upper + y.upper });
            break;
          case "sub":
            ranges.set(s.out, { lower: x.lower - y.upper, upper: x.upper - y.lower });
            break;
          case "mul":
            ranges.set(s.out, hull(x.lower * y.lower, x.lower * y.upper, x.upper * y.lower, x.upper * y.upper));
            break;
          case "neg":
            ranges.set(s.out, { lower: -x.upper, upper: -x.lower });
            break;
          case "abs":
            ranges.set(s.out, { lower: 0, upper: Math.max(Math.abs(x.lower), Math.abs(x.upper)) });
            break;
          case "maximum":
          case "minimum":
            ranges.set(s.out, hull(x.lower, x.upper, y.lower, y.upper));
            break;
          case "where":
            if (c !== undefined) ranges.set(s.out, hull(y.lower, y.upper, rangeOf(c).lower, rangeOf(c).upper));
            break;
          case "floorDiv":
          case "truncDiv":
          case "truncMod":
          case "shiftRight": {
            const most = Math.max(Math.abs(x.lower), Math.abs(x.upper));
            ranges.set(s.out, { lower: -most - 1, upper: most });
            break;
          }
          case "floorMod": {
            const most = Math.max(Math.abs(y.lower), Math.abs(y.upper));
            ranges.set(s.out, { lower: -most, upper: most });
            break;
          }
          case "bitwiseAnd":
            if (y.lower >= 0) ranges.set(s.out, { lower: 0, upper: y.upper });
            else if (x.lower >= 0) ranges.set(s.out, { lower: 0, upper: x.upper });
            break;
          default:
            break;
        }
        break;
      }
      case "accumulate": {
        const r = rangeOf(s.value);
        const most = Math.max(Math.abs(r.lower), Math.abs(r.upper));
        const total = s.op === "sum"
          ? { lower: r.lower < 0 ? -most * steps : 0, upper: most * steps }
          : s.op === "prod"
          ? FULL
          : r;
        accumulated.set(s.accumulator, total);
        useExactly(s.value);
        break;
      }
      case "dot":
        useExactly(s.a, s.b);
        break;
      case "finish":
        if (s.op === "argmax" || s.op === "argmin") ranges.set(s.out, { lower: 0, upper: SAFE });
        else ranges.set(s.out, accumulated.get(s.accumulator) ?? ofDtype(s.out.dtype));
        break;
      case "store":
      case "combine":
        useExactly(s.value);
        break;
      case "philox":
        useExactly(s.seed, s.stream, s.position);
        break;
      case "bitcast":
        useExactly(s.arg);
        break;
      case "bind":
      case "accumulator":
      case "for":
        break;
      default:
        s satisfies never;
    }
  };
  for (const body of bodies) walkStatements(body, visit);
  const big = new Set<TileValue>();
  for (const v of all) {
    if (v.dtype !== int64) continue;
    if (loads.has(v) && !exactUses.has(v)) continue;
    if (!isSafe(accumulated.get(v) ?? rangeOf(v))) big.add(v);
  }
  return big;
}
