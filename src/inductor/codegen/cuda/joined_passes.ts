/**
 * Two passes over the same elements, the second of which uses what the first found, as one: what the ways of joining them have in common.
 *
 * Enters: the parts of a kernel and a function that joins a pair of passes; leaves: the parts with joined pairs. How a thread's value follows its elements is the business of `online.ts` (a maximum
 * and a sum of exponentials) and of `moments.ts` (a sum and the squares around the mean).
 */
import type { TileStatement, TileValue } from "../../tile/tile_ir.ts";
import type { Part, Pass } from "./nests.ts";
import { operandsOf } from "./vectors.ts";

/** What two passes over the same axes become, and what stood between them; null if they stay apart. */
export type JoinPair = (first: Pass, between: readonly TileStatement[], second: Pass) => Part[] | null;

/** Joins what can be joined. */
export function joinPasses(parts: readonly Part[], join: JoinPair): Part[] {
  const out: Part[] = [];
  for (let i = 0; i < parts.length; i++) {
    const [first, between, second] = parts.slice(i, i + 3);
    const joined = first?.kind === "pass" && between?.kind === "statements" && second?.kind === "pass" &&
        haveSameAxes(first.pass, second.pass)
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

function haveSameAxes(a: Pass, b: Pass): boolean {
  return a.axes.length === b.axes.length && a.axes.every((axis, i) => axis === b.axes[i]);
}

/** The joined pass behind the accumulator of the second one, and before the rest of what stood between; null if more accumulators begin there. */
export function inOnePass(pass: Pass, between: readonly TileStatement[], accumulator: TileValue): Part[] | null {
  const [declared, ...others] = between.filter((s) => s.kind === "accumulator");
  if (declared === undefined || others.length > 0 || declared.out !== accumulator) return null;
  return [
    { kind: "statements", body: [declared] },
    { kind: "pass", pass },
    { kind: "statements", body: between.filter((s) => s !== declared) },
  ];
}

/** The statements that make values between two passes and in the second. */
export function makersOf(between: readonly TileStatement[], second: Pass): ReadonlyMap<TileValue, TileStatement> {
  const made = new Map<TileValue, TileStatement>();
  for (const s of [...between, ...second.body]) if ("out" in s) made.set(s.out, s);
  return made;
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
