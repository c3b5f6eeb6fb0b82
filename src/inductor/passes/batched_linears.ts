/**
 * Linear layers between transposes become batched products, which read and write memory in the order that it has.
 *
 * Enters: a graph of inference on a CUDA device. `linear(x.transpose(1, 2), w).transpose(1, 2)`, as models that mix tokens have it, is one product over all rows only if the input is
 * laid out anew, by a copy whose reads or writes are scattered, and whoever reads the result across its rows scatters his reads as well: together half of MLP-Mixer's time. A product
 * for each element of the batch needs neither: `x @ wᵀ` reads transposed matrices as they lie, `w @ xᵀ` writes transposed ones. `torch.matmul` too folds batches only where that is
 * a view.
 */
import {
  type Argument,
  type CallNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type TensorMeta,
} from "../../graph/mod.ts";
import { addCall } from "./add_call.ts";

/** Rows, and sums, below which tiles would be empty. */
const LEAST = 64;
/** Elements of a half type that one access moves. */
const LANES = 8;

/** A static layer over a batch of matrices of halves. */
interface Layer {
  readonly node: CallNode;
  readonly input: Node & { readonly value: TensorMeta };
  readonly weight: Node & { readonly value: TensorMeta };
  readonly bias: Argument;
  readonly batch: number;
  readonly rows: number;
  readonly k: number;
  readonly outputs: number;
}

function hasMeta(node: Argument): node is Node & { readonly value: TensorMeta } {
  return isNode(node) && isTensorMeta(node.value);
}

function layerOf(node: Node): Layer | null {
  if (node.op !== "call" || node.target.schema.target !== "aten.linear.default") return null;
  const [input = null, weight = null, bias = null] = node.args;
  if (!hasMeta(input) || !hasMeta(weight)) return null;
  const { shape, dtype } = input.value;
  const [batch, rows, k] = shape;
  const [outputs] = weight.value.shape;
  if (shape.length !== 3 || typeof batch !== "number" || typeof rows !== "number" || typeof k !== "number") return null;
  if (weight.value.shape.length !== 2 || typeof outputs !== "number") return null;
  const fits = dtype.bytes === 2 && dtype.isFloat && batch > 1 && rows >= LEAST && k >= LEAST && rows % LANES === 0;
  return fits ? { node, input, weight, bias, batch, rows, k, outputs } : null;
}

/** The transpose of the last two dimensions through which alone a layer's result is read, perhaps after dropout that does nothing; else null. */
function readTransposed(node: Node): CallNode | null {
  const [user, ...others] = node.users;
  if (user === undefined || others.length > 0 || user.op !== "call") return null;
  const [, first, second] = user.args;
  switch (user.target.schema.target) {
    case "aten.dropout.default":
      return second === false || first === 0 ? readTransposed(user) : null;
    case "aten.transpose.int":
      return [first, second].every((d) => typeof d === "number") &&
          [first, second].map((d) => (Number(d) + 3) % 3).sort().join() === "1,2"
        ? user
        : null;
    default:
      return null;
  }
}

/** `x @ wᵀ + bias` for each element of the batch. */
function rowsByOutputs(graph: Graph, { node, input, weight, bias, batch, k, outputs }: Layer): Node {
  const call = (target: string, ...args: Argument[]): Node => addCall(graph, target, args, node.location);
  const weights = call("aten.expand.default", call("aten.transpose.int", weight, 0, 1), [batch, k, outputs]);
  const product = call("aten.bmm.default", input, weights);
  return bias === null ? product : call("aten.add.Tensor", product, bias);
}

/** `w @ xᵀ + bias` for each element of the batch. */
function outputsByRows(graph: Graph, { node, input, weight, bias, batch, k, outputs }: Layer): Node {
  const call = (target: string, ...args: Argument[]): Node => addCall(graph, target, args, node.location);
  const weights = call("aten.expand.default", weight, [batch, outputs, k]);
  const product = call("aten.bmm.default", weights, call("aten.transpose.int", input, 1, 2));
  return bias === null ? product : call("aten.add.Tensor", product, call("aten.unsqueeze.default", bias, 1));
}

/** Rewrites in place; returns how many layers became batched products. */
export function batchLinears(graph: Graph): number {
  let count = 0;
  for (const node of [...graph.nodes]) {
    const layer = layerOf(node);
    if (layer === null) continue;
    const { stride } = layer.input.value;
    const isTransposed = stride[1] === 1 && stride[2] === layer.rows;
    const read = readTransposed(node);
    const isDense = stride[2] === 1 && stride[1] === layer.k;
    if (read !== null && (isDense || isTransposed)) {
      const chain: Node[] = [];
      const product = graph.insertBefore(node, () => outputsByRows(graph, layer));
      graph.replaceAllUses(read, product);
      // From the last to the layer: each has no other reader.
      for (let last: Argument = read; last !== node && isNode(last) && last.op === "call"; [last = null] = last.args) {
        chain.push(last);
      }
      for (const last of [...chain, node]) graph.erase(last);
    } else if (isTransposed) {
      const product = graph.insertBefore(node, () => rowsByOutputs(graph, layer));
      graph.replaceAllUses(node, product);
      graph.erase(node);
    } else continue;
    count++;
  }
  return count;
}
