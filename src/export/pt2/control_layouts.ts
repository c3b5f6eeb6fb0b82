/**
 * Layouts of tensors that cross into a graph of control flow and out of it.
 *
 * Enters: a node whose tensor lies in row-major order, as hosts hand it over, and the strides that the program states. Leaves: a node with these strides. Calls
 * that follow were checked against them: views of a transposed tensor may be impossible of its row-major copy, and results are laid out as operands are.
 * Gaps between elements are closed (the order of dimensions stays); dimensions of stride 0 stay expanded. Mirrors `require_stride_order` of `torch._inductor`.
 */
import { InternalError } from "../../core/mod.ts";
import {
  type Argument,
  type Graph,
  isTensorMeta,
  type Node,
  type NodeValue,
  type TensorMeta,
} from "../../graph/mod.ts";
import { getOp } from "../../ops/mod.ts";
import { contiguousStride, hintOf, type Size, sizeSame } from "../../symbolic/mod.ts";

/** What the host hands over lies in row-major order. */
export function rowMajor(value: NodeValue): TensorMeta {
  if (!isTensorMeta(value)) throw new InternalError("an operand of control flow is no tensor");
  return { ...value, stride: contiguousStride(value.shape), storageOffset: 0 };
}

/** Tells whether a tensor lies in row-major order. */
export function isRowMajor(meta: TensorMeta): boolean {
  const { stride } = rowMajor(meta);
  return meta.stride.every((s, d) => sizeSame(s, stride[d] ?? 1) || meta.shape[d] === 1);
}

/** A row-major copy of a tensor, or the tensor itself if it is one. */
export function inRowMajor(graph: Graph, node: Node): Node {
  if (!isTensorMeta(node.value) || isRowMajor(node.value)) return node;
  return call(graph, "aten.contiguous.default", { self: node }, rowMajor(node.value));
}

/**
 * A tensor of the elements of `node`, which lies in row-major order, with the strides of `wanted`.
 *
 * @example
 * ```ts
 * import { cpu, float32 } from "../../core/mod.ts";
 * import { Graph } from "../../graph/mod.ts";
 * import { layOut, rowMajor } from "./control_layouts.ts";
 * const wanted = { shape: [2, 3], stride: [1, 2], storageOffset: 0, dtype: float32, device: cpu };
 * const graph = new Graph();
 * layOut(graph, graph.placeholder("x", rowMajor(wanted)), wanted).value; // strides [1, 2]
 * ```
 */
export function layOut(graph: Graph, node: Node, wanted: TensorMeta): Node {
  if (isRowMajor(wanted)) return node;
  const { shape, stride } = wanted;
  let made = node;
  const step = (target: string, args: Readonly<Record<string, Argument>>, size: Size[], strides: Size[]): void => {
    const value = { ...wanted, shape: size, stride: strides, storageOffset: 0 };
    made = call(graph, target, { ...args, self: made }, value);
  };
  const repeated = shape.map((size, d) => stride[d] === 0 && size !== 1);
  const own = shape.map((size, d): Size => repeated[d] === true ? 1 : size);
  repeated.forEach((is, d) => {
    if (!is) return;
    const cut = { dim: d, start: 0, end: 1, step: 1 };
    step("aten.slice.Tensor", cut, shape.map((size, at) => at <= d ? own[at] ?? 1 : size), contiguousStride(shape));
  });
  const order = shape.map((_, d) => d);
  order.sort((x, y) => hintOf(stride[y] ?? 0) - hintOf(stride[x] ?? 0) || x - y);
  const back = order.map((_, d) => order.indexOf(d));
  const pick = (list: readonly Size[], dims: readonly number[]): Size[] => dims.map((d) => list[d] ?? 1);
  const sorted = pick(own, order), dense = contiguousStride(sorted);
  step("aten.permute.default", { dims: order }, sorted, pick(contiguousStride(shape), order));
  step("aten.contiguous.default", {}, sorted, dense);
  step("aten.permute.default", { dims: back }, own, pick(dense, back));
  if (repeated.includes(true)) {
    const zeros = pick(dense, back).map((s, d): Size => repeated[d] === true ? 0 : s);
    step("aten.expand.default", { size: [...shape] }, [...shape], zeros);
  }
  return made;
}

function call(graph: Graph, target: string, args: Readonly<Record<string, Argument>>, value: TensorMeta): Node {
  const op = getOp(target);
  return graph.call(op, op.schema.args.map((arg): Argument => args[arg.key] ?? arg.defaultValue), value);
}
