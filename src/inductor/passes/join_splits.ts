/**
 * Drops splits whose pieces are only put together again: `cat(split(x))` is `x`.
 *
 * The pieces must be all of one split, in order, along the dimension that they are concatenated in, and `x` must have the strides of the concatenation. What the
 * graph writes to or returns keeps memory of its own. Mirrors `merge_splits` and `normalize_cat` of TorchInductor's split_cat passes.
 */
import { type Argument, type CallNode, type Graph, isNode, isTensorMeta, type Node } from "../../graph/mod.ts";
import { sizeSame } from "../../symbolic/mod.ts";
import { returnedNodes } from "./returned.ts";

const SPLITS: ReadonlySet<string> = new Set([
  "split",
  "split_with_sizes",
  "chunk",
  "unsafe_chunk",
  "unsafe_split",
  "tensor_split",
]);

function named(node: CallNode, key: string): Argument {
  const at = node.target.schema.args.findIndex((a) => a.key === key);
  return at < 0 ? null : node.args[at] ?? null;
}

/** The dimension counted from the front; null if it is not a number. */
function dimension(value: Argument, rank: number): number | null {
  return typeof value === "number" ? (value < 0 ? value + rank : value) : null;
}

/** What a concatenation puts together again; null if it is no such concatenation. */
function wholeOf(node: CallNode): Node | null {
  const list = node.target.schema.target === "aten.cat.default" ? node.args[0] : null;
  if (!Array.isArray(list) || !isTensorMeta(node.value)) return null;
  const pieces = list as readonly Argument[];
  const [first] = pieces;
  if (!isNode(first) || first.op !== "getItem" || first.source.op !== "call") return null;
  const split = first.source;
  const { schema } = split.target;
  if (schema.namespace !== "aten" || !SPLITS.has(schema.name)) return null;
  if (!Array.isArray(split.value) || split.value.length !== pieces.length) return null;
  if (!pieces.every((p, i) => isNode(p) && p.op === "getItem" && p.source === split && p.index === i)) return null;
  const rank = node.value.shape.length;
  if (dimension(named(node, "dim"), rank) !== dimension(named(split, "dim"), rank)) return null;
  const whole = split.args[0] ?? null;
  if (!isNode(whole) || !isTensorMeta(whole.value)) return null;
  const { shape, stride } = whole.value;
  const sameStrides = stride.length === rank &&
    node.value.stride.every((s, i) => sizeSame(s, stride[i] ?? -1) || sizeSame(shape[i] ?? -1, 1));
  return sameStrides ? whole : null;
}

/** Rewrites in place; returns how many concatenations went. `written` are nodes whose memory the graph writes. */
export function joinSplits(graph: Graph, written: ReadonlySet<Node>): number {
  const returned = returnedNodes(graph);
  const gone: Node[] = [];
  for (const node of [...graph.nodes]) {
    if (node.op !== "call" || returned.has(node) || written.has(node)) continue;
    const whole = wholeOf(node);
    if (whole === null || written.has(whole)) continue;
    graph.replaceAllUses(node, whole);
    gone.push(node);
  }
  if (gone.length > 0) graph.erase(...gone);
  return gone.length;
}
