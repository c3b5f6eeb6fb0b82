/**
 * Reductions that need no loop: over one element, or over so few that adding them up in place lets the consumer inline them.
 */
import { bool, InternalError } from "../core/mod.ts";
import { extentOf, ops, type ReductionLoop, substituteValue, type Value } from "../loops/mod.ts";
import { constant, type Expr, type Sym } from "../symbolic/mod.ts";
import { costOf } from "./lowered.ts";
import { MAX_READS, MAX_UNROLLED } from "./realize.ts";

/** An unrolled body heavier than this stays a reduction: consumers would repeat it. */
const MAX_UNROLLED_WEIGHT = 24;

/**
 * The reduction as a pointwise value over its outer symbols, or null if it should stay one. Over a single element it always
 * is; over up to eight only if a smaller result is computed from it (`feedsSmaller`) and the body is light: a consumer of the same size would
 * run in the reduction's kernel anyway, and one that broadcasts it back over the reduced axis has to.
 */
export function unrollReduction(loop: ReductionLoop, feedsSmaller: boolean): Value | null {
  const extents: number[] = [];
  let total = 1;
  for (const v of loop.reduceVars) {
    const extent = extentOf(v);
    if (extent.kind !== "const") return null;
    extents.push(extent.value);
    total *= extent.value;
  }
  if (total === 1) return single(loop);
  if (total < 1 || total > MAX_UNROLLED || !feedsSmaller || loop.op === "argmax" || loop.op === "argmin") return null;
  const cost = costOf(loop.value);
  if (cost.weight * total > MAX_UNROLLED_WEIGHT || cost.reads * total > MAX_READS) return null;
  let result: Value | null = null;
  for (let at = 0; at < total; at++) {
    const symbols = new Map<Sym, Expr>();
    let rest = at;
    for (let d = extents.length - 1; d >= 0; d--) {
      const sym = loop.reduceVars[d];
      const extent = extents[d] ?? 1;
      if (sym !== undefined) symbols.set(sym, constant(rest % extent));
      rest = Math.floor(rest / extent);
    }
    const element = asOperand(loop, substituteValue(loop.value, symbols));
    result = result === null ? element : combine(loop, result, element);
  }
  return result === null ? null : ops.cast(result, loop.dtype);
}

/** What a reduction over one element yields. */
function single(loop: ReductionLoop): Value {
  switch (loop.op) {
    case "argmax":
    case "argmin":
      return ops.constant(0, loop.dtype);
    case "any":
      return ops.cast(ops.cast(loop.value, bool), loop.dtype);
    case "sum":
    case "prod":
    case "max":
    case "min":
      return ops.cast(loop.value, loop.dtype);
    default:
      return loop.op satisfies never;
  }
}

function asOperand(loop: ReductionLoop, value: Value): Value {
  return loop.op === "any" ? ops.cast(value, bool) : value;
}

function combine(loop: ReductionLoop, a: Value, b: Value): Value {
  switch (loop.op) {
    case "sum":
      return ops.add(a, b);
    case "prod":
      return ops.mul(a, b);
    case "max":
      return ops.maximum(a, b);
    case "min":
      return ops.minimum(a, b);
    case "any":
      return ops.bitwiseOr(a, b);
    case "argmax":
    case "argmin":
      throw new InternalError(`${loop.op} is not unrolled`);
    default:
      return loop.op satisfies never;
  }
}
