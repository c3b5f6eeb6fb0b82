/**
 * What follows when a tensor of a graph gets other strides: descriptions of those who read it are worked out again.
 *
 * Enters: a graph and which nodes are about to be replaced by tensors of the same shape and dtype that lie otherwise in memory. Leaves: the new descriptions, or null where the
 * change may not be made: the caller would see it, a view is impossible over the new strides, or control flow states its own. Nothing is changed here.
 */
import {
  type Argument,
  type CallNode,
  type Graph,
  isControl,
  isNode,
  isTensorMeta,
  type Node,
  type NodeValue,
  type TensorMeta,
} from "../../graph/mod.ts";
import { type ArgValue, isOperator, type NamedArgs } from "../../ops/mod.ts";
import { sizeSame } from "../../symbolic/mod.ts";
import { fakeTensor, inferMeta, type Tensor } from "../../tensor/mod.ts";

/** Descriptions by node. */
export type NewLayouts = ReadonlyMap<Node, NodeValue>;

function same(a: NodeValue, b: NodeValue): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((v: NodeValue, i) => same(v, b[i]));
  if (!isTensorMeta(a) || !isTensorMeta(b)) return a === b;
  const equal = (x: TensorMeta["shape"], y: TensorMeta["shape"]): boolean =>
    x.length === y.length && x.every((s, i) => sizeSame(s, y[i] ?? -1));
  return a.dtype === b.dtype && equal(a.shape, b.shape) && equal(a.stride, b.stride) &&
    sizeSame(a.storageOffset, b.storageOffset);
}

function inferAgain(node: CallNode, valueOf: (node: Node) => NodeValue): NodeValue | undefined {
  const { target } = node;
  if (!isOperator(target) || isControl(target) || target.schema.args.some((a) => a.mutated)) return undefined;
  const argument = (arg: Argument): unknown => {
    if (Array.isArray(arg)) return (arg as readonly Argument[]).map(argument);
    if (!isNode(arg)) return arg;
    const value = valueOf(arg);
    return isTensorMeta(value) ? fakeTensor(value) : value;
  };
  const named = Object.fromEntries(
    target.schema.args.map(({ key }, i) => [key, argument(node.args[i] ?? null) as ArgValue<Tensor>]),
  ) as NamedArgs<Tensor>;
  try {
    const metas = inferMeta(target, named);
    return Array.isArray(node.value) ? metas : metas[0];
  } catch (error) {
    // Such a view needs strides that the tensor no longer has.
    if (error instanceof TypeError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** New descriptions of all nodes that `changed` leads to, those of `changed` included; null if one of them cannot be. */
export function newLayouts(graph: Graph, positions: ReadonlyMap<Node, number>, changed: NewLayouts): NewLayouts | null {
  const values = new Map(changed);
  const valueOf = (node: Node): NodeValue => values.has(node) ? values.get(node) ?? null : node.value;
  const at = (node: Node): number => positions.get(node) ?? -1;
  const waiting = new Set<Node>();
  const note = (node: Node): void => node.users.forEach((user) => waiting.add(user));
  for (const [node, value] of changed) if (!same(value, node.value)) note(node);
  const { output } = graph;
  while (waiting.size > 0) {
    // What comes first in the graph comes first; chains are short, they end where something is computed.
    let node: Node = output;
    for (const other of waiting) if (node === output || (other !== output && at(other) < at(node))) node = other;
    waiting.delete(node);
    let value: NodeValue | undefined;
    if (node.op === "call") value = inferAgain(node, valueOf);
    else if (node.op === "getItem") {
      const list = valueOf(node.source);
      value = Array.isArray(list) ? list[node.index] as NodeValue : undefined;
    }
    if (value === undefined) return null;
    if (same(value, node.value)) continue;
    values.set(node, value);
    note(node);
  }
  return values;
}
