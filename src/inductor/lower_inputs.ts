/**
 * What inputs and attributes of a graph are in memory.
 *
 * A complex input of which only the pairs are read is memory of real numbers, of twice as many elements and one more dimension; `view_as_real` of it is that memory.
 */
import { type DType, float32 } from "../core/mod.ts";
import { isNode, type Node, type TensorMeta } from "../graph/mod.ts";
import { constant, exprOf, mul } from "../symbolic/mod.ts";
import { shapeOf } from "./buffers.ts";
import type { Layout } from "./lowered.ts";
import { isReadAsPairs } from "./passes/complex_pairs.ts";

/** The layout of an input's memory, and the dtype of its elements. */
export function inputLayout(node: Node, meta: TensorMeta): Layout & { readonly dtype: DType } {
  const shape = shapeOf(meta), stride = meta.stride.map(exprOf), offset = exprOf(meta.storageOffset);
  if (!isReadAsPairs(node)) return { shape, stride, offset, dtype: meta.dtype };
  const two = constant(2);
  return {
    shape: [...shape, two],
    stride: [...stride.map((s) => mul(s, two)), constant(1)],
    offset: mul(offset, two),
    dtype: float32,
  };
}

/** The input whose pairs a node is; null if it is something else. */
export function pairsRead(node: Node): Node | null {
  if (node.op !== "call" || node.target.schema.target !== "aten.view_as_real.default") return null;
  const [input] = node.args;
  if (input === undefined || !isNode(input) || (input.op !== "placeholder" && input.op !== "getAttr")) return null;
  return isReadAsPairs(input) ? input : null;
}
