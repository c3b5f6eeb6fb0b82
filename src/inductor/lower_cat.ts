/**
 * Concatenations, on their way through lowering: stores into slices of one buffer, each from its own producer, or masked loads in the one operator that reads it.
 */
import { type Argument, type CallNode, isNode, type Node, type TensorMeta } from "../graph/mod.ts";
import { asIndex, type BufferRef, type LoopVar, loopVar, ops } from "../loops/mod.ts";
import { add, constant } from "../symbolic/mod.ts";
import { product } from "./buffers.ts";
import type { Stage } from "./groups.ts";
import { flatIndex, isConst, type Layout, type LoweredTensor } from "./lowered.ts";

/** More inputs than this and a concatenation writes slices, even if one user could inline it. */
const MAX_MASKED_CAT = 4;

/** Tells whether a contraction should read a lazy tensor from several places: weights that are put together, which it packs once. */
export function joinsWeights(node: Node): boolean {
  if (node.op !== "call" || node.target.schema.name !== "cat") return false;
  const [list] = node.args;
  return Array.isArray(list) && list.length <= MAX_MASKED_CAT &&
    list.every((part: Argument) => isNode(part) && part.op === "getAttr");
}

/** What lowering lends. */
export interface CatHost {
  tensorOf(node: Node): LoweredTensor | null;
  newTensor(reason: string): { readonly buffer: BufferRef; readonly layout: Layout };
  push(origins: ReadonlySet<Node>, vars: readonly LoopVar[], stage: Stage): void;
}

/** Where a concatenation is stored; null if one user is to inline it as masked loads instead, which moves fewer bytes. */
export function lowerCat(
  node: CallNode,
  meta: TensorMeta,
  inlines: boolean,
  host: CatHost,
): { readonly buffer: BufferRef; readonly layout: Layout } | null {
  const [list, dim] = node.args;
  if (!Array.isArray(list) || typeof dim !== "number") return null;
  const users = [...node.users];
  const tensors = (list as readonly Argument[]).map((a) => isNode(a) ? host.tensorOf(a) : null);
  if (tensors.some((t) => t === null || t.shape.length !== meta.shape.length)) return null;
  const stays = users.length === 1 && users[0]?.op === "call" && inlines;
  if (stays && tensors.length <= MAX_MASKED_CAT) return null;
  // Where nothing is to be written, nobody would write it.
  if (tensors.every((t) => t === null || isConst(product(t.shape), 0))) return null;
  const axis = dim < 0 ? dim + meta.shape.length : dim;
  const { buffer, layout } = host.newTensor("a concatenation whose inputs are written in place");
  let start = constant(0);
  for (const tensor of tensors) {
    if (tensor === null) continue;
    if (!isConst(product(tensor.shape), 0)) {
      const vars = tensor.shape.map((s) => loopVar(s));
      const at = asIndex(vars);
      const index = flatIndex(layout, at.map((e, d) => d === axis ? add(e, start) : e));
      const value = ops.cast(tensor.load(at), meta.dtype);
      const origins = new Set([...tensor.origins, node]);
      host.push(origins, vars, { kind: "pointwise", space: "outer", out: buffer, index, value });
    }
    start = add(start, tensor.shape[axis] ?? constant(0));
  }
  return { buffer, layout };
}
