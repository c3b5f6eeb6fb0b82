/**
 * What a kernel of attention reads and writes, whichever of its kernels it is: for passes that need not know more.
 */
import { loadsOf, type LoopVar, type Value } from "../loops/mod.ts";
import type { AttentionGroup, AttentionResult, LoadValue } from "./groups.ts";

/** An operand with the axes that it is over beside the batch. */
export interface AttentionPart {
  readonly name: "query" | "key" | "value" | "mask" | "grad" | "lse" | "delta";
  readonly load: LoadValue;
  readonly axes: readonly LoopVar[];
}

/** The operands that are there. */
export function attentionParts(group: AttentionGroup): AttentionPart[] {
  const { m, n, d, e } = group;
  const all = [
    ["query", group.query, [m, d]],
    ["key", group.key, [n, d]],
    ["value", group.value, [n, e]],
    ["mask", group.mask, [m, n]],
    ["grad", group.grad, [m, e]],
    ["lse", group.lse, [m]],
    ["delta", group.delta, [m]],
  ] as const;
  return all.flatMap(([name, load, axes]) => load === null ? [] : [{ name, load, axes }]);
}

/** What is computed of scores. */
function scoreValues({ scores }: AttentionGroup): Value[] {
  return scores === null ? [] : [scores.change, scores.keep, scores.back].filter((v) => v !== null);
}

/** Every load from memory. */
export function attentionLoads(group: AttentionGroup): LoadValue[] {
  const { scores, tiles } = group;
  const own = attentionParts(group).map((part) => part.load);
  if (tiles !== null) own.push(tiles.partialCount, tiles.partial, tiles.fullCount, tiles.full);
  const others = loadsOf(scoreValues(group)).filter((l) => l.buffer !== scores?.score && l.buffer !== scores?.grad);
  return [...own, ...others];
}

/** Where it writes, with the axes beside the batch. */
export function attentionResults(group: AttentionGroup): (AttentionResult & { readonly axes: readonly LoopVar[] })[] {
  const { role, m, n, d, e, out, index, second } = group;
  const first = { out, index, axes: role === "forward" ? [m, e] : role === "query" ? [m, d] : [n, d] };
  return second === null ? [first] : [first, { ...second, axes: role === "forward" ? [m] : [n, e] }];
}
