/**
 * Sums of products in Einstein's notation that are batched matrix products become those: attention is written so, too.
 *
 * Enters: a graph before it is functional. Two operands, each letter once in each; of the letters that are not batches, one is summed, one is the left operand's and one the right
 * operand's. Leaves: `matmul` between permutations, which are views. Everything else stays, and decomposes as it did. So that {@linkcode findAttention} knows one kind of
 * product.
 */
import { type Argument, type CallNode, type Graph, isNode, isTensorMeta, type Node } from "../../graph/mod.ts";
import { contiguousStride } from "../../symbolic/mod.ts";
import { addCall } from "./add_call.ts";

interface Product {
  readonly left: Node;
  readonly right: Node;
  /** Orders of dimensions for `[batch…, m, k]`, `[batch…, k, n]`, and from `[batch…, m, n]` to the result. */
  readonly orders: readonly [readonly number[], readonly number[], readonly number[]];
}

function productOf(node: CallNode): Product | null {
  const [equation, operands] = node.args;
  if (typeof equation !== "string" || !Array.isArray(operands) || operands.length !== 2) return null;
  const match = /^([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)$/.exec(equation.replaceAll(" ", ""));
  const [left, right] = operands as readonly Argument[];
  if (match === null || left === undefined || right === undefined || !isNode(left) || !isNode(right)) return null;
  const [a, b, out] = match.slice(1).map((text) => [...text]) as [string[], string[], string[]];
  if ([a, b, out].some((letters) => new Set(letters).size !== letters.length)) return null;
  const shapes = [left, right].map(({ value }) => isTensorMeta(value) ? value.shape : []);
  if (shapes[0]?.length !== a.length || shapes[1]?.length !== b.length) return null;
  const batch = out.filter((c) => a.includes(c) && b.includes(c));
  const [m, n] = [out.filter((c) => !b.includes(c)), out.filter((c) => !a.includes(c))];
  const k = a.filter((c) => b.includes(c) && !out.includes(c));
  if (m.length !== 1 || n.length !== 1 || k.length !== 1 || batch.length === 0) return null;
  // A letter of one operand that is summed alone is no product.
  if (a.length !== batch.length + 2 || b.length !== batch.length + 2 || out.length !== batch.length + 2) return null;
  // One element stands for many: that is a broadcast.
  const sizes = new Map<string, unknown>();
  for (const [letters, shape] of [[a, shapes[0]], [b, shapes[1]]] as const) {
    for (const [d, c] of letters.entries()) {
      const size = shape?.[d];
      if (typeof size !== "number" || (sizes.has(c) && sizes.get(c) !== size)) return null;
      sizes.set(c, size);
    }
  }
  const product = [...batch, ...m, ...n];
  return {
    left,
    right,
    orders: [
      [...batch, ...m, ...k].map((c) => a.indexOf(c)),
      [...batch, ...k, ...n].map((c) => b.indexOf(c)),
      out.map((c) => product.indexOf(c)),
    ],
  };
}

/** Rewrites in place; returns how many products there were. `written` are nodes whose memory the graph writes. */
export function einsumProducts(graph: Graph, written: ReadonlySet<Node>): number {
  const gone: Node[] = [];
  const call = (target: string, args: readonly Argument[]): CallNode => addCall(graph, target, args);
  const ordered = (node: Node, order: readonly number[]): Node =>
    order.every((d, i) => d === i) ? node : call("aten.permute.default", [node, order]);
  for (const node of [...graph.nodes]) {
    if (node.op !== "call" || node.target.schema.target !== "aten.einsum.default" || written.has(node)) continue;
    const product = productOf(node);
    if (product === null) continue;
    const { left, right, orders: [forLeft, forRight, back] } = product;
    // Views of the result were checked against its strides.
    const { value } = node;
    if (!isTensorMeta(value) || contiguousStride(value.shape).some((s, d) => s !== value.stride[d])) continue;
    const made = graph.insertBefore(node, () => {
      const whole = call("aten.matmul.default", [ordered(left, forLeft), ordered(right, forRight)]);
      whole.location = node.location;
      const turned = ordered(whole, back);
      return turned === whole ? whole : call("aten.contiguous.default", [turned]);
    });
    graph.replaceAllUses(node, made);
    gone.push(node);
  }
  if (gone.length > 0) graph.erase(...gone);
  return gone.length;
}
