/**
 * Intervals of the integer values of a kernel: which int64 fits into a JavaScript number, or into a 32-bit lane.
 */
import { bool, type DType, int64 } from "../../core/mod.ts";
import { walkStatements } from "../tile/parameters.ts";
import type { Axis, TileStatement, TileValue } from "../tile/tile_ir.ts";

/** A closed interval. */
export interface Range {
  readonly lower: number;
  readonly upper: number;
}

/** How many steps an accumulator may see along an axis whose size is symbolic. */
const SYMBOLIC_EXTENT = 2 ** 31;
const FULL: Range = { lower: -Infinity, upper: Infinity };

/** The interval of a type; everything for int64 and floating point. */
export function rangeOfDtype(dtype: DType): Range {
  if (dtype === bool) return { lower: 0, upper: 1 };
  return dtype.isFloat || dtype === int64 ? FULL : { lower: dtype.min, upper: dtype.max };
}

function hull(...values: number[]): Range {
  // 0 × ∞ is 0 here: an infinite bound stands for a large number.
  const real = values.map((v) => Number.isNaN(v) ? 0 : v);
  return { lower: Math.min(...real), upper: Math.max(...real) };
}

/** The interval of each value; of accumulators, of what they hold at the end. */
export function findRanges(
  bodies: readonly (readonly TileStatement[])[],
  axes: readonly Axis[],
): Map<TileValue, Range> {
  const ranges = new Map<TileValue, Range>();
  const rangeOf = (v: TileValue): Range => ranges.get(v) ?? rangeOfDtype(v.dtype);
  const set = (v: TileValue, r: Range): void => {
    const all = rangeOfDtype(v.dtype);
    // What leaves the type wraps, and may be anything.
    ranges.set(v, r.lower < all.lower || r.upper > all.upper ? all : r);
  };
  const steps = axes.filter((a) => a.role === "loop").reduce(
    (product, a) => product * (Number.isFinite(a.extent.upper) ? a.extent.upper : SYMBOLIC_EXTENT),
    1,
  );
  const visit = (s: TileStatement): void => {
    switch (s.kind) {
      case "constant":
        set(s.out, hull(Number(s.value)));
        break;
      case "index":
        set(s.out, { lower: s.expr.lower, upper: s.expr.upper });
        break;
      case "cast":
        if (!s.arg.dtype.isFloat) set(s.out, rangeOf(s.arg));
        break;
      case "pointwise":
        if (s.out.dtype !== bool && !s.out.dtype.isFloat) set(s.out, pointwiseRange(s.op, s.args.map(rangeOf)));
        break;
      case "accumulate":
      case "accumulateAt": {
        const r = rangeOf(s.value);
        const lower = Math.min(r.lower, 0) * steps;
        const upper = Math.max(r.upper, 0) * steps;
        const total = s.op === "sum" ? { lower, upper } : s.op === "prod" ? FULL : r;
        ranges.set(s.kind === "accumulate" ? s.accumulator : s.accumulators, total);
        break;
      }
      case "finishAt":
        set(s.out, rangeOf(s.accumulators));
        break;
      case "finish":
        if (s.op === "argmax" || s.op === "argmin") set(s.out, { lower: 0, upper: Number.MAX_SAFE_INTEGER });
        else set(s.out, rangeOf(s.accumulator));
        break;
      default:
        break;
    }
  };
  for (const body of bodies) walkStatements(body, visit);
  return ranges;
}

function pointwiseRange(op: string, args: readonly Range[]): Range {
  const [x = FULL, y = x, z = y] = args;
  switch (op) {
    case "add":
      return { lower: x.lower + y.lower, upper: x.upper + y.upper };
    case "sub":
      return { lower: x.lower - y.upper, upper: x.upper - y.lower };
    case "mul":
      return hull(x.lower * y.lower, x.lower * y.upper, x.upper * y.lower, x.upper * y.upper);
    case "neg":
      return { lower: -x.upper, upper: -x.lower };
    case "abs":
      return { lower: 0, upper: Math.max(Math.abs(x.lower), Math.abs(x.upper)) };
    case "maximum":
    case "minimum":
      return hull(x.lower, x.upper, y.lower, y.upper);
    case "where":
      return hull(y.lower, y.upper, z.lower, z.upper);
    case "floorDiv":
    case "truncDiv":
    case "truncMod":
    case "shiftRight": {
      const most = Math.max(Math.abs(x.lower), Math.abs(x.upper));
      return { lower: x.lower >= 0 && y.lower >= 0 ? 0 : -most - 1, upper: most };
    }
    case "floorMod": {
      const most = Math.max(Math.abs(y.lower), Math.abs(y.upper));
      return { lower: y.lower >= 0 ? 0 : -most, upper: most };
    }
    case "gcd":
      return hull(0, Math.abs(x.lower), Math.abs(x.upper), Math.abs(y.lower), Math.abs(y.upper));
    case "bitwiseAnd":
      if (y.lower >= 0) return { lower: 0, upper: y.upper };
      return x.lower >= 0 ? { lower: 0, upper: x.upper } : FULL;
    default:
      return FULL;
  }
}
