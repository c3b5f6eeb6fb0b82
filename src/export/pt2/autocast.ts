/**
 * Autocast regions of an exported program as explicit casts.
 *
 * PyTorch decides by lists of operators which of them compute in the low precision and which in float32. The file already says what came out: where a
 * result is low precision but a float32 tensor goes in, the operator casts down; where the result is float32 though all floating inputs are low,
 * it casts up. So the lists, which differ by device and version, are not needed. Operators that state a dtype or write in place never cast.
 */
import { type DType, float32, promoteTypes } from "../../core/mod.ts";
import {
  type Argument,
  type Graph,
  isNode,
  isTensorMeta,
  mapNodes,
  type Node,
  type NodeValue,
} from "../../graph/mod.ts";
import { getOp, type Operator, preservedStride } from "../../ops/mod.ts";

function floatDtype(node: Node): DType | null {
  return isTensorMeta(node.value) && node.value.dtype.isFloat ? node.value.dtype : null;
}

/** A node that casts another one. */
export function castTo(graph: Graph, node: Node, dtype: DType): Node {
  if (!isTensorMeta(node.value)) return node;
  const op = getOp("aten.to.dtype");
  const args = op.schema.args.map((arg): Argument => {
    if (arg.name === "self") return node;
    return arg.name === "dtype" ? dtype : arg.defaultValue;
  });
  return graph.call(op, args, { ...node.value, dtype, stride: preservedStride(node.value), storageOffset: 0 });
}

/** The arguments with the casts that an autocast region to `low` makes. */
export function autocastArguments(
  graph: Graph,
  op: Operator,
  args: readonly Argument[],
  value: NodeValue,
  low: DType,
): Argument[] {
  const first = Array.isArray(value) ? value[0] ?? null : value;
  const statesDtype = op.schema.args.some((arg, i) => arg.type === "ScalarType" && args[i] !== null);
  if (!isTensorMeta(first) || statesDtype || op.view !== null || op.schema.args.some((a) => a.mutated)) {
    return [...args];
  }
  const inputs = new Set<DType>();
  for (const arg of args) {
    mapNodes(arg, (node) => {
      const dtype = floatDtype(node);
      if (dtype !== null) inputs.add(dtype);
      return node;
    });
  }
  const promoted = [...inputs].reduce<DType | null>((a, b) => a === null ? b : promoteTypes(a, b), null);
  const target = first.dtype === low && inputs.has(float32)
    ? low
    : first.dtype === float32 && promoted !== null && promoted !== float32 && promoted.bytes < float32.bytes
    ? float32
    : null;
  if (target === null) return [...args];
  const from = target === low ? float32 : low;
  return args.map((arg) =>
    mapNodes(arg, (node) => isNode(node) && floatDtype(node) === from ? castTo(graph, node, target) : node)
  );
}
