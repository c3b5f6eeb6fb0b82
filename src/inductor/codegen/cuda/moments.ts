/**
 * A sum and the squares around the mean that follows from it, in one pass: the two readings of a norm's statistics become one.
 *
 * Enters: the parts of a kernel; leaves: the same parts, a pass that sums elements and one that sums `(element - sum / count)²` of the same elements joined. A thread
 * sums what its elements differ from the first of them by, and the squares of that: its own element is never far from the others in terms of their spread, so that
 * nothing is lost (with n elements a thread, an error of n units in the last place at worst). Parts with their own means are combined by how far these lie from the common
 * mean, in two steps like the two passes that they stand for. After Chan, Golub and LeVeque, "Algorithms for computing the sample variance".
 */
import { float32 } from "../../../core/mod.ts";
import { constantValue, type Expr } from "../../../symbolic/mod.ts";
import type { TileStatement, TileValue } from "../../tile/tile_ir.ts";
import type { CudaFunction } from "./function.ts";
import { inOnePass, isSame, joinPasses, makersOf, onlyAccumulation } from "./joined_passes.ts";
import { extentsOf, type Part, type Pass } from "./nests.ts";
import type { Partial } from "./split.ts";
import { onlyIf } from "./texts.ts";

/** A pass whose body computes an element, of which a sum and the squares around the mean are made. */
export interface MomentsPass extends Pass {
  readonly moments: { readonly sum: TileValue; readonly squares: TileValue; readonly element: TileValue };
}

/** Tells whether a pass is a joined one. */
export function hasMoments(pass: Pass): pass is MomentsPass {
  return "moments" in pass;
}

/** Joins what can be joined. */
export function joinMoments(parts: readonly Part[]): Part[] {
  return joinPasses(parts, join);
}

function join(first: Pass, between: readonly TileStatement[], second: Pass): Part[] | null {
  const [sum, squares] = [onlyAccumulation(first), onlyAccumulation(second)];
  if (sum?.op !== "sum" || squares?.op !== "sum") return null;
  if (sum.accumulator.dtype !== float32 || squares.accumulator.dtype !== float32) return null;
  const made = makersOf(between, second);
  const square = made.get(squares.value);
  if (square?.kind !== "pointwise" || square.op !== "mul" || square.args[0] !== square.args[1]) return null;
  const difference = made.get(square.args[0] as TileValue);
  if (difference?.kind !== "pointwise" || difference.op !== "sub") return null;
  const [element, mean] = difference.args;
  if (element === undefined || mean === undefined || !isMean(mean, made, sum.accumulator, extentsOf(first.axes))) {
    return null;
  }
  if (!isSame(sum.value, first.body, element, second.body)) return null;
  const moments = { sum: sum.accumulator, squares: squares.accumulator, element: sum.value };
  const pass: MomentsPass = { axes: first.axes, body: first.body.filter((s) => s !== sum), moments };
  return inOnePass(pass, between, squares.accumulator);
}

/** Whether a value is an accumulator's sum over `count` elements divided by that count. */
function isMean(
  v: TileValue,
  made: ReadonlyMap<TileValue, TileStatement>,
  accumulator: TileValue,
  count: Expr,
): boolean {
  const s = made.get(v);
  if (s?.kind !== "pointwise" || (s.op !== "div" && s.op !== "mul")) return false;
  const [sum, by] = s.args;
  const total = sum === undefined ? undefined : made.get(sum);
  if (total?.kind !== "finish" || total.accumulator !== accumulator || by === undefined) return false;
  const number = numberOf(by, made);
  const known = constantValue(count);
  if (number === null) return false;
  if (typeof number !== "number") return s.op === "div" && number === count;
  return known !== null && Math.fround(s.op === "div" ? known : 1 / known) === Math.fround(number);
}

/** A constant, or the position that a value says, through casts. */
function numberOf(v: TileValue, made: ReadonlyMap<TileValue, TileStatement>): number | Expr | null {
  const s = made.get(v);
  if (s?.kind === "constant") return Number(s.value);
  if (s?.kind === "index") return s.expr;
  return s?.kind === "cast" ? numberOf(s.arg, made) : null;
}

/** What a thread has of the moments of one column or row: names in the text. */
export interface ThreadMoments {
  /** Sum of elements; sums of differences from `shift` and of their squares. */
  readonly sum: string;
  readonly squares: string;
  readonly differences: string;
  readonly shift: string;
}

/** Takes an element into a thread's moments, where it counts (`accumulateIf`). */
export function writeMoments(f: CudaFunction, m: ThreadMoments, element: string): void {
  const s = f.scopes;
  const d = s.fresh("d");
  const counted = (text: string): string => onlyIf(f.accumulateIf, text, "0.0f");
  s.line(`const float ${d} = ${counted(`${element} - ${m.shift}`)};`);
  s.line(`${m.sum} += ${counted(element)};`);
  s.line(`${m.differences} += ${d};`);
  s.line(`${m.squares} += ${d} * ${d};`);
}

/**
 * Combines the moments of a block's threads, of several columns side by side at once; all that share get the results. `own` and `count` are the texts of how many elements a thread and
 * all of them have; `reduce` combines variables over the threads.
 */
export function combineMoments(
  f: CudaFunction,
  pass: MomentsPass,
  list: readonly ThreadMoments[],
  own: string,
  count: string,
  reduce: (list: readonly Partial[]) => void,
): void {
  const { sum, squares } = pass.moments;
  const s = f.scopes;
  const means = list.map(({ differences }) => {
    const mean = s.fresh("m");
    s.line(`const float ${mean} = ${own} > 0 ? ${differences} / (float)${own} : 0.0f;`);
    return mean;
  });
  reduce(list.map((m) => ({ v: sum, op: "sum", name: m.sum })));
  for (const [i, m] of list.entries()) {
    const [apart, within] = [s.fresh("d"), s.fresh("w")];
    s.line(`const float ${apart} = ${m.shift} + ${means[i]} - ${m.sum} / (float)${count};`);
    s.line(`const float ${within} = ${m.squares} - ${m.differences} * ${means[i]};`);
    s.line(
      `${m.squares} = ${own} > 0 ? (${within} < 0.0f ? 0.0f : ${within}) + (float)${own} * ${apart} * ${apart} : 0.0f;`,
    );
  }
  reduce(list.map((m) => ({ v: squares, op: "sum", name: m.squares })));
}
