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
import { extentsOf, type Part, type Pass } from "./nests.ts";
import { operandsOf } from "./vectors.ts";

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
  const out: Part[] = [];
  for (let i = 0; i < parts.length; i++) {
    const [first, between, second] = parts.slice(i, i + 3);
    const joined = first?.kind === "pass" && between?.kind === "statements" && second?.kind === "pass"
      ? join(first.pass, between.body, second.pass)
      : null;
    if (joined === null) {
      if (first !== undefined) out.push(first);
      continue;
    }
    out.push(...joined);
    i += 2;
  }
  return out;
}

function join(first: Pass, between: readonly TileStatement[], second: Pass): Part[] | null {
  if (first.axes.length !== second.axes.length || first.axes.some((axis, i) => axis !== second.axes[i])) return null;
  if ((constantValue(extentsOf(first.axes)) ?? 0) < LONG) return null;
  const [largest, sum] = [onlyAccumulation(first), onlyAccumulation(second)];
  if (largest?.op !== "max" || sum?.op !== "sum") return null;
  if (largest.accumulator.dtype !== float32 || sum.accumulator.dtype !== float32) return null;
  const made = new Map<TileValue, TileStatement>();
  for (const s of [...between, ...second.body]) if ("out" in s) made.set(s.out, s);
  const exp = made.get(sum.value);
  const difference = exp?.kind === "pointwise" && exp.op === "exp" ? made.get(exp.args[0] as TileValue) : undefined;
  if (difference?.kind !== "pointwise" || difference.op !== "sub") return null;
  const [element, base] = difference.args;
  const finish = base === undefined ? undefined : made.get(base);
  if (element === undefined || finish?.kind !== "finish" || finish.accumulator !== largest.accumulator) return null;
  if (!isSame(largest.value, first.body, element, second.body)) return null;
  const declared = between.filter((s) => s.kind === "accumulator");
  if (declared.length !== 1 || declared[0]?.out !== sum.accumulator) return null;
  const online = { max: largest.accumulator, sum: sum.accumulator, element: largest.value };
  const pass: OnlinePass = { axes: first.axes, body: first.body.filter((s) => s !== largest), online };
  return [
    { kind: "statements", body: declared },
    { kind: "pass", pass },
    { kind: "statements", body: between.filter((s) => s !== declared[0]) },
  ];
}

/** What a pass combines, if that is all that it does. */
export function onlyAccumulation(pass: Pass): TileStatement & { readonly kind: "accumulate" } | null {
  const effects = pass.body.filter((s) => ["accumulate", "store", "combine", "dot", "bind", "philox"].includes(s.kind));
  const [only] = effects;
  return effects.length === 1 && only?.kind === "accumulate" ? only : null;
}

/** Whether two values are computed alike, each in its own body; what comes from outside must be one value. */
export function isSame(
  x: TileValue,
  bodyX: readonly TileStatement[],
  y: TileValue,
  bodyY: readonly TileStatement[],
): boolean {
  const [a, b] = [bodyX.find((s) => "out" in s && s.out === x), bodyY.find((s) => "out" in s && s.out === y)];
  if (a === undefined || b === undefined) return x === y;
  if (a.kind !== b.kind || x.dtype !== y.dtype) return false;
  const own = ((): boolean => {
    switch (a.kind) {
      case "load":
        return b.kind === "load" && a.buffer === b.buffer && a.index === b.index;
      case "constant":
        return b.kind === "constant" && Object.is(a.value, b.value);
      case "index":
        return b.kind === "index" && a.expr === b.expr;
      case "pointwise":
        return b.kind === "pointwise" && a.op === b.op;
      case "lookup":
        return b.kind === "lookup" && a.table.join() === b.table.join();
      case "cast":
      case "bitcast":
        return true;
      default:
        return false;
    }
  })();
  const [inA, inB] = [operandsOf(a), operandsOf(b)];
  return own && inA.length === inB.length && inA.every((v, i) => {
    const w = inB[i];
    return v === null || w === null || w === undefined ? v === w : isSame(v, bodyX, w, bodyY);
  });
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
