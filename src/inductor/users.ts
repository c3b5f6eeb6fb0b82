/**
 * Who reads a node's result, as far as lowering decides by it. A view is nobody: it hands on to its own users.
 */
import { isTensorMeta, type Node, type TensorMeta } from "../graph/mod.ts";
import { isOperator } from "../ops/mod.ts";
import { product, shapeOf } from "./buffers.ts";
import type { Hint } from "./loop_space.ts";

function isView(node: Node): boolean {
  return node.op === "call" && isOperator(node.target) && node.target.view !== null;
}

/** Counts the users of tensors, each node once. */
export class UserCounts {
  readonly #known = new Map<Node, number>();

  /** Users of a tensor; views hand on to theirs. */
  of(node: Node): number {
    const known = this.#known.get(node);
    if (known !== undefined) return known;
    let users = 0;
    for (const user of node.users) users += isView(user) ? Math.max(1, this.of(user)) : 1;
    this.#known.set(node, users);
    return users;
  }
}

/** Tells whether the one user of a tensor, views aside, yields fewer elements: a reduction that could inline it. */
export function feedsSmaller(node: Node, meta: TensorMeta, hint: Hint): boolean {
  let user: Node = node;
  do {
    const [next] = user.users;
    if (user.users.size !== 1 || next === undefined) return false;
    user = next;
  } while (isView(user));
  return isTensorMeta(user.value) && hint(product(shapeOf(user.value))) < hint(product(shapeOf(meta)));
}
