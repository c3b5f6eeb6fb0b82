/**
 * Weights of linear layers whose rows begin at no multiple of 16 bytes get longer rows: the copy engine and vectors of eight halves read no others.
 *
 * Enters: a graph of inference on a CUDA device. A weight `[out, 196]` of halves becomes a slice of a constant `[out, 200]` that is made once, on the host; its shape
 * stays, and so does what is computed. Tokens that are mixed by such weights (MLP-Mixer has 14² of them) go through Hopper's tensor cores then. TorchInductor pads such operands with
 * `pad_mm`, at each call.
 */
import { type GetAttrNode, type Graph, isNode, isTensorMeta, type Node } from "../../graph/mod.ts";
import { getOp } from "../../ops/mod.ts";
import type { FrozenConstants } from "./frozen.ts";
import { packed } from "./pack_weights.ts";

/** Elements of a half type that one access moves. */
const LANES = 8;
/** Sums below which nothing is gained: tensor cores of Hopper take steps of 64. */
const LEAST = 64;

/** Pads in place; returns how many weights got longer rows. `written` are nodes whose memory the graph writes. */
export function padRows(graph: Graph, constants: FrozenConstants, written: ReadonlySet<Node>): number {
  const known = new Map<string, GetAttrNode>();
  let count = 0;
  for (const node of [...graph.nodes]) {
    if (node.op !== "call" || node.target.schema.target !== "aten.linear.default") continue;
    const [, weight] = node.args;
    if (!isNode(weight) || weight.op !== "getAttr" || written.has(weight) || !isTensorMeta(weight.value)) continue;
    const { value, path } = weight;
    const [outputs, inputs] = value.shape;
    if (value.shape.length !== 2 || typeof outputs !== "number" || typeof inputs !== "number") continue;
    if (value.dtype.bytes !== 2 || inputs < LEAST || inputs % LANES === 0) continue;
    const channels = Math.ceil(inputs / LANES) * LANES;
    const replaced = graph.insertBefore(node, () => {
      const constant = known.get(path) ??
        constants.add({
          sources: [path],
          compute: (read) => packed(read(path), [0, 1], channels),
          ...(constants.recipe(path) === null
            ? { stored: { kind: "packed", source: path, order: [0, 1], channels } }
            : {}),
        });
      known.set(path, constant);
      const slice = graph.call(
        getOp("aten.slice.Tensor"),
        [constant, 1, 0, inputs, 1],
        { ...value, stride: [channels, 1], storageOffset: 0 },
        node.location,
      );
      const args = [...node.args];
      args[1] = slice;
      return graph.call(node.target, args, node.value, node.location);
    });
    graph.replaceAllUses(node, replaced);
    graph.erase(node);
    count++;
  }
  return count;
}
