/**
 * The largest element of a long row and the sum of exponentials relative to it, in one pass: two readings of the row become one.
 *
 * Enters: the parts of a kernel; leaves: the same parts, a pass that finds a maximum and one that sums `exp(x - maximum)` of the same elements joined. A thread keeps
 * a largest number and a sum relative to it, which is scaled when a larger one comes: for several elements together, so that it costs little. After Milakov
 * and Gimelshein, "Online normalizer calculation for softmax".
 */
import { float32 } from "../../../core/mod.ts";
import { constantValue } from "../../../symbolic/mod.ts";
import type { TileStatement, TileValue } from "../../tile/tile_ir.ts";
import type { CudaFunction } from "./function.ts";
import { inOnePass, isSame, joinPasses, makersOf, onlyAccumulation } from "./joined_passes.ts";
import { extentsOf, type Part, type Pass } from "./nests.ts";

/** A pass whose body computes an element, from which a maximum and a sum of exponentials are made. */
export interface OnlinePass extends Pass {
  readonly online: { readonly max: TileValue; readonly sum: TileValue; readonly element: TileValue };
}

/** Shorter rows stay in registers, where a second walk over them costs less than scaling. */
const LONG = 16384;

/** Tells whether a pass is a joined one. */
export function isOnline(pass: Pass): pass is OnlinePass {
  return "online" in pass;
}

/** Joins what can be joined. */
export function joinOnline(parts: readonly Part[]): Part[] {
  return joinPasses(parts, join);
}

function join(first: Pass, between: readonly TileStatement[], second: Pass): Part[] | null {
  if ((constantValue(extentsOf(first.axes)) ?? 0) < LONG) return null;
  const [largest, sum] = [onlyAccumulation(first), onlyAccumulation(second)];
  if (largest?.op !== "max" || sum?.op !== "sum") return null;
  if (largest.accumulator.dtype !== float32 || sum.accumulator.dtype !== float32) return null;
  const made = makersOf(between, second);
  const exp = made.get(sum.value);
  const difference = exp?.kind === "pointwise" && exp.op === "exp" ? made.get(exp.args[0] as TileValue) : undefined;
  if (difference?.kind !== "pointwise" || difference.op !== "sub") return null;
  const [element, base] = difference.args;
  const finish = base === undefined ? undefined : made.get(base);
  if (element === undefined || finish?.kind !== "finish" || finish.accumulator !== largest.accumulator) return null;
  if (!isSame(largest.value, first.body, element, second.body)) return null;
  const online = { max: largest.accumulator, sum: sum.accumulator, element: largest.value };
  const pass: OnlinePass = { axes: first.axes, body: first.body.filter((s) => s !== largest), online };
  return inOnePass(pass, between, sum.accumulator);
}

/** Takes `count` elements in the array `xs` into a thread's maximum and sum; elements that do not exist are minus infinity. */
export function writeOnline(f: CudaFunction, pass: OnlinePass, xs: string, count: number, exp: string): void {
  const s = f.scopes;
  const [m, sum] = [f.accumulator(pass.online.max), f.accumulator(pass.online.sum)];
  const [largest, base] = [s.fresh("m"), s.fresh("m")];
  s.line(`float ${largest} = ${m};`);
  s.line(`#pragma unroll\nfor (int u = 0; u < ${count}; u++) ${largest} = tsr_maximum(${largest}, ${xs}[u]);`);
  s.line(`const float ${base} = ${finite(largest)};`);
  s.line(`${sum} *= ${exp}(${m} - ${base});`);
  s.line(`${m} = ${largest};`);
  s.line(`#pragma unroll\nfor (int u = 0; u < ${count}; u++) ${sum} += ${exp}(${xs}[u] - ${base});`);
}

/** Lets all threads of a row have its maximum and its sum; `reduce` combines an accumulator over them. */
export function combineOnline(
  f: CudaFunction,
  pass: OnlinePass,
  exp: string,
  reduce: (v: TileValue, op: "max" | "sum") => void,
): void {
  const s = f.scopes;
  const [m, sum] = [f.accumulator(pass.online.max), f.accumulator(pass.online.sum)];
  const own = s.fresh("m");
  s.line(`const float ${own} = ${m};`);
  reduce(pass.online.max, "max");
  s.line(`${sum} *= ${exp}(${own} - ${finite(m)});`);
  reduce(pass.online.sum, "sum");
}

/** Where all elements are minus infinity, so that no difference of infinities is formed. */
function finite(m: string): string {
  return `(${m} == -__builtin_inff() ? 0.0f : ${m})`;
}
