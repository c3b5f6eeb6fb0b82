/**
 * What a call does beside yielding its results: the question every pass asks before it drops, merges or moves a node.
 */
import type { CallNode, OpTarget } from "../node.ts";

/** What passes need to know of a random operator; `Operator` of `src/ops` has it. */
interface MaybeRandom extends OpTarget {
  readonly isRandom?: boolean;
  readonly hasEffects?: boolean;
}

/** Writes to one of its arguments. */
export function isMutating(target: OpTarget): boolean {
  return target.schema.args.some((a) => a.mutated);
}

/** Yields other numbers when run again. */
export function isRandom(target: MaybeRandom): boolean {
  return target.isRandom === true;
}

/** Does something that its results do not show, so that it must stay even if nobody reads them. */
export function hasEffects(node: CallNode): boolean {
  const target: MaybeRandom = node.target;
  return isMutating(target) || isRandom(target) || target.hasEffects === true;
}
