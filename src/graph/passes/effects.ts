/**
 * What a call does beside yielding its results: the question every pass asks before it drops, merges or moves a node.
 */
import type { CallNode, Node, OpTarget } from "../node.ts";

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

/** Whether a result of the graph is this value or a view of it: then it must stay memory of its own. */
export function isShown(node: Node): boolean {
  return [...node.users].some((user) => user.op === "output" || isShowing(user, node));
}

/** Whether a user of a value is a view of it, or one of its parts, that a result of the graph shows. */
export function isShowing(user: Node, node: Node): boolean {
  if (user.op === "getItem") return isShown(user);
  if (user.op !== "call") return false;
  return user.target.schema.args.some((arg, i) => arg.alias !== null && !arg.mutated && user.args[i] === node) &&
    isShown(user);
}
