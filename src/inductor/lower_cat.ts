/**
 * Concatenations, on their way through lowering: stores into slices of one buffer, each from its own producer, or masked loads in the one operator that reads it.
 */
import { InternalError } from "../core/mod.ts";
import {
  type Argument,
  type CallNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type TensorMeta,
} from "../graph/mod.ts";
import { asIndex, type BufferRef, type LoopVar, loopVar, ops } from "../loops/mod.ts";
import { add, constant, type Expr } from "../symbolic/mod.ts";
import { product, shapeOf } from "./buffers.ts";
import { type CatChains, catChains } from "./cat_chains.ts";
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

interface Place {
  readonly buffer: BufferRef;
  readonly layout: Layout;
}

/** What lowering lends. */
export interface CatHost {
  tensorOf(node: Node): LoweredTensor | null;
  /** Memory for the result of a node. */
  newTensor(node: Node, meta: TensorMeta, reason: string): Place;
  push(origins: ReadonlySet<Node>, vars: readonly LoopVar[], stage: Stage): void;
}

/** Stores tensors side by side; returns where the next one begins. */
function storeParts(
  node: Node,
  tensors: readonly LoweredTensor[],
  axis: number,
  { buffer, layout }: Place,
  from: Expr,
  host: CatHost,
): Expr {
  let start = from;
  for (const tensor of tensors) {
    if (!isConst(product(tensor.shape), 0)) {
      const vars = tensor.shape.map((s) => loopVar(s));
      const at = asIndex(vars);
      const index = flatIndex(layout, at.map((e, d) => d === axis ? add(e, start) : e));
      const value = ops.cast(tensor.load(at), buffer.dtype);
      const origins = new Set([...tensor.origins, node]);
      host.push(origins, vars, { kind: "pointwise", space: "outer", out: buffer, index, value });
    }
    start = add(start, tensor.shape[axis] ?? constant(0));
  }
  return start;
}

/** The concatenations of a graph, and how much of those that begin alike has been stored. */
export class Concatenations {
  readonly #host: CatHost;
  readonly #inlines: boolean;
  readonly #chains: CatChains | null;
  readonly #places = new Map<Node, Place & { parts: number; end: Expr }>();

  /** `chains`: let concatenations that begin alike share memory. */
  constructor(graph: Graph, host: CatHost, options: { readonly inlines: boolean; readonly chains: boolean }) {
    this.#host = host;
    this.#inlines = options.inlines;
    this.#chains = options.chains ? catChains(graph) : null;
  }

  /** Where a concatenation is stored; null if one user is to inline it as masked loads instead, which moves fewer bytes. */
  lower(node: CallNode, meta: TensorMeta): Place | null {
    return this.#inChain(node, meta) ?? lowerCat(node, meta, this.#inlines, this.#host);
  }

  /** The beginning of what its chain stores; null for a concatenation by itself. */
  #inChain(node: CallNode, meta: TensorMeta): Place | null {
    if (this.#chains === null) return null;
    const host = this.#host;
    const [root, own] = [this.#chains.rootOf(node), this.#chains.partsOf(node)];
    if (root === null || own === null || !isTensorMeta(root.value)) return null;
    let place = this.#places.get(root);
    if (place === undefined) {
      const made = host.newTensor(root, root.value, "concatenations that begin alike, written in place once");
      this.#places.set(root, place = { ...made, parts: 0, end: constant(0) });
    }
    const tensors = own.parts.slice(place.parts).map((part) => host.tensorOf(part));
    if (tensors.some((t) => t === null)) throw new InternalError(`${node.name}: a part is no tensor`);
    place.end = storeParts(node, tensors.filter((t) => t !== null), own.dim, place, place.end, host);
    place.parts = Math.max(place.parts, own.parts.length);
    const { buffer, layout: { stride, offset } } = place;
    return { buffer, layout: { shape: shapeOf(meta), stride, offset } };
  }
}

function lowerCat(node: CallNode, meta: TensorMeta, inlines: boolean, host: CatHost): Place | null {
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
  const place = host.newTensor(node, meta, "a concatenation whose inputs are written in place");
  storeParts(node, tensors.filter((t) => t !== null), axis, place, constant(0), host);
  return place;
}
