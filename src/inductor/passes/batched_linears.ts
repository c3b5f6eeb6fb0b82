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
import { getOp } from "../../ops/mod.ts";

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

/** Writes calls with their metas. */
class Writer {
  readonly #graph: Graph;
  readonly #layer: Layer;

  constructor(graph: Graph, layer: Layer) {
    this.#graph = graph;
    this.#layer = layer;
  }

  #call(
    target: string,
    args: Argument[],
    of: TensorMeta,
    shape: readonly number[],
    stride: TensorMeta["stride"],
  ): Node {
    return this.#graph.call(getOp(target), args, { ...of, shape, stride }, this.#layer.node.location);
  }

  /** The weight for each element of the batch, transposed or not. */
  #weights(turned: boolean): Node {
    const { weight, batch, k, outputs } = this.#layer;
    const { value } = weight;
    const [outer = 1, inner = 1] = value.stride;
    const one = turned ? this.#call("aten.transpose.int", [weight, 0, 1], value, [k, outputs], [inner, outer]) : weight;
    const sizes = turned ? [k, outputs] : [outputs, k];
    const stride = turned ? [inner, outer] : [outer, inner];
    return this.#call("aten.expand.default", [one, [batch, ...sizes], false], value, [batch, ...sizes], [0, ...stride]);
  }

  #dense(target: string, args: Argument[], shape: readonly [number, number, number]): Node {
    const { node } = this.#layer;
    const value = { ...node.value as TensorMeta, storageOffset: 0 };
    return this.#call(target, args, value, shape, [shape[1] * shape[2], shape[2], 1]);
  }

  /** `x @ wᵀ + bias`. */
  rowsByOutputs(): Node {
    const { input, bias, batch, rows, outputs } = this.#layer;
    const shape = [batch, rows, outputs] as const;
    const product = this.#dense("aten.bmm.default", [input, this.#weights(true)], shape);
    return bias === null ? product : this.#dense("aten.add.Tensor", [product, bias, 1], shape);
  }

  /** `w @ xᵀ + bias`. */
  outputsByRows(): Node {
    const { input, bias, batch, rows, k, outputs } = this.#layer;
    const { value } = input;
    const [first = 0, outer = 1, inner = 1] = value.stride;
    const turned = this.#call("aten.transpose.int", [input, 1, 2], value, [batch, k, rows], [first, inner, outer]);
    const shape = [batch, outputs, rows] as const;
    const product = this.#dense("aten.bmm.default", [this.#weights(false), turned], shape);
    if (!hasMeta(bias)) return product;
    const column = this.#call("aten.unsqueeze.default", [bias, 1], bias.value, [outputs, 1], [
      bias.value.stride[0] ?? 1,
      1,
    ]);
    return this.#dense("aten.add.Tensor", [product, column, 1], shape);
  }
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
      const product = graph.insertBefore(node, () => new Writer(graph, layer).outputsByRows());
      graph.replaceAllUses(read, product);
      // From the last to the layer: each has no other reader.
      for (let last: Argument = read; last !== node && isNode(last) && last.op === "call"; [last = null] = last.args) {
        chain.push(last);
      }
      for (const last of [...chain, node]) graph.erase(last);
    } else if (isTransposed) {
      const product = graph.insertBefore(node, () => new Writer(graph, layer).rowsByOutputs());
      graph.replaceAllUses(node, product);
      graph.erase(node);
    } else continue;
    count++;
  }
  return count;
}
