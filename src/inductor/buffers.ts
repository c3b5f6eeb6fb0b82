/**
 * Buffers of a graph under compilation, the layouts that tensors get in them, and sizes as numbers for heuristics.
 *
 * A fresh tensor gets the strides that its description promises where these are a dense permutation of row-major order, and row-major
 * strides otherwise. Mirrors `FixedLayout` and `stride_order` of TorchInductor.
 */
import type { DType } from "../core/mod.ts";
import { type Graph, isTensorMeta, type NodeValue, type TensorMeta } from "../graph/mod.ts";
import type { BufferRef } from "../loops/mod.ts";
import {
  add,
  constant,
  type Expr,
  exprOf,
  isSymInt,
  mul,
  type ShapeEnvLike,
  sizeHint,
  symbol,
} from "../symbolic/mod.ts";
import { type DimOrder, stridesInOrder } from "./layouts.ts";
import type { Hint } from "./loop_space.ts";
import { isConst, type Layout, rowMajorStride } from "./lowered.ts";

let nextBuffer = 1;

/** A new buffer. */
export function newBuffer(label: string, dtype: DType, numel: Expr): BufferRef {
  return Object.freeze({ id: nextBuffer++, dtype, numel, label });
}

/** The product of sizes. */
export function product(sizes: readonly Expr[]): Expr {
  return mul(constant(1), ...sizes);
}

/** Shape of a description as expressions. */
export function shapeOf(meta: TensorMeta): Expr[] {
  return meta.shape.map(exprOf);
}

/** The layout of a new tensor: the description's strides if they are dense, else row-major; at offset 0. */
export function denseLayout(meta: TensorMeta): Layout {
  const shape = shapeOf(meta);
  const stride = meta.stride.map(exprOf);
  return { shape, stride: isDense(shape, stride) ? stride : rowMajorStride(shape), offset: constant(0) };
}

/** The layout of a new tensor whose dimensions lie in a given order; without one, {@linkcode denseLayout}. */
export function layoutOf(meta: TensorMeta, order: DimOrder | undefined): Layout {
  if (order === undefined) return denseLayout(meta);
  const shape = shapeOf(meta);
  return { shape, stride: stridesInOrder(shape, order), offset: constant(0) };
}

/**
 * Tells whether every element has its own place and no place is left over, for all values of the symbols. The next dimension is found by its stride, not by
 * sorting: hints of different symbols may be equal.
 */
export function isDense(shape: readonly Expr[], stride: readonly Expr[]): boolean {
  if (shape.some((size) => isConst(size, 0))) return true;
  const rest = new Set(shape.keys().filter((d) => !isConst(shape[d] as Expr, 1)));
  let expected = constant(1);
  while (rest.size > 0) {
    const next = rest.values().find((d) => stride[d] === expected);
    if (next === undefined) return false;
    rest.delete(next);
    expected = mul(expected, shape[next] as Expr);
  }
  return true;
}

/** Tells whether a layout has these strides, where they matter. */
export function sameStrides(layout: Layout, stride: readonly Expr[]): boolean {
  return layout.shape.every((size, d) => isConst(size, 1) || layout.stride[d] === stride[d]);
}

function findEnv(value: NodeValue): ShapeEnvLike | null {
  if (isSymInt(value)) return value.env;
  if (isTensorMeta(value)) {
    for (const size of [...value.shape, ...value.stride, value.storageOffset]) if (isSymInt(size)) return size.env;
  } else if (Array.isArray(value)) {
    for (const item of value as readonly NodeValue[]) {
      const env = findEnv(item);
      if (env !== null) return env;
    }
  }
  return null;
}

const FALLBACK_SIZE = 64;

/** Sizes as numbers for heuristics: under the example inputs where the graph knows them. Never guards. */
export function sizeHints(graph: Graph): Hint {
  let env: ShapeEnvLike | null = null;
  for (const node of graph.nodes) {
    env = findEnv(node.value);
    if (env !== null) break;
  }
  const found = env;
  return (e) => {
    if (e.kind === "const") return e.value;
    return found === null ? sizeHint(e, FALLBACK_SIZE) : hintWith(found, e);
  };
}

/** Index symbols have no example value; strides and extents are free of them, so this is the exception. */
function hintWith(env: ShapeEnvLike, e: Expr): number {
  return sizeHint(e, (s) => s.kind === "size" || s.kind === "unbacked" ? env.hint(symbol(s)) : FALLBACK_SIZE);
}

/** Elements from a buffer's start to the last one of a tensor in it. */
export function storageSize(layout: Layout): Expr {
  if (layout.shape.some((s) => isConst(s, 0))) return layout.offset;
  return add(layout.offset, 1, ...layout.shape.map((size, d) => mul(add(size, -1), layout.stride[d] ?? constant(0))));
}
