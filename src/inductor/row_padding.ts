/**
 * Rows that begin at multiples of 16 bytes: which tensors inside of a CUDA graph have room at the end of each row.
 *
 * Enters: a functional graph; leaves: the nodes whose rows are filled up in memory. The copy engine and vectors need aligned rows, and a vocabulary of 50,257
 * halves has none: the scores of a language model and their gradients would be read half by half. Nothing is written to the room and nothing reads it. Only matrices of
 * halves that products make or read; what the caller gets is copied into the strides that it was promised. Mirrors `pad_mm` of TorchInductor, which copies instead.
 */
import { forEachNode, type Graph, isTensorMeta, type Node } from "../graph/mod.ts";
import { isOperator } from "../ops/mod.ts";
import { add, constant, type Expr, floorDiv, mul } from "../symbolic/mod.ts";
import type { Layout } from "./lowered.ts";

const PRODUCTS: ReadonlySet<string> = new Set(["mm", "bmm", "addmm", "baddbmm"]);
/** Halves in 16 bytes. */
const VECTOR = 8;
/** Shorter rows are not worth it. */
const LEAST = 64;
/** Views that are looked through. */
const MOST_VIEWS = 6;

function isRagged(node: Node): boolean {
  if (!isTensorMeta(node.value)) return false;
  const { shape, dtype } = node.value;
  const last = shape.at(-1);
  return shape.length >= 2 && dtype.bytes === 2 && dtype.isFloat && typeof last === "number" && last >= LEAST &&
    last % VECTOR !== 0;
}

function feedsProduct(node: Node, depth = 0): boolean {
  for (const user of node.users) {
    if (user.op !== "call" || !isOperator(user.target)) continue;
    if (PRODUCTS.has(user.target.schema.name)) return true;
    if (user.target.view !== null && depth < MOST_VIEWS && feedsProduct(user, depth + 1)) return true;
  }
  return false;
}

/** The nodes whose rows are filled up. */
export function paddedRows(graph: Graph): ReadonlySet<Node> {
  const returned = new Set<Node>();
  for (const result of graph.output.results) forEachNode(result, (node) => void returned.add(node));
  const found = new Set<Node>();
  for (const node of graph.nodes) {
    if (node.op !== "call" || !isOperator(node.target) || node.target.view !== null) continue;
    if (returned.has(node) || !isRagged(node)) continue;
    if (PRODUCTS.has(node.target.schema.name) || feedsProduct(node)) found.add(node);
  }
  return found;
}

/** A row-major layout with room at the end of each row; others stay as they are. */
export function padRows(layout: Layout): Layout {
  const { shape, stride } = layout;
  const last = shape.length - 1;
  let running: Expr = constant(1);
  for (let d = last; d >= 0; d--) {
    if (stride[d] !== running) return layout;
    running = mul(running, shape[d] ?? running);
  }
  const row = mul(floorDiv(add(shape[last] ?? constant(1), VECTOR - 1), VECTOR), VECTOR);
  const wide = new Array<Expr>(shape.length).fill(constant(1));
  let step = row;
  for (let d = last - 1; d >= 0; d--) {
    wide[d] = step;
    step = mul(step, shape[d] ?? step);
  }
  return { ...layout, stride: wide };
}
