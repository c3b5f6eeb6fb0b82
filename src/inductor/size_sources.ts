/**
 * Where a compiled graph reads its sizes: each symbol of a plan is a size that is given, or a dimension or stride of an input.
 *
 * Enters: the graph and the symbols of its plan. Leaves: a source for each, which the cache keeps, and the function that reads it at a call. Mirrors how
 * TorchInductor's wrapper code binds symbols at its start.
 */
import { InternalError } from "../core/mod.ts";
import { type Graph, isTensorMeta } from "../graph/mod.ts";
import { type Expr, exprOf, isSymInt, type Sym } from "../symbolic/mod.ts";
import type { Tensor } from "../tensor/mod.ts";

/** What a compiled graph takes and returns: tensors, and numbers for symbolic sizes. */
export type GraphValue = Tensor | number | boolean | string | null;

/** Reads a size from the inputs of a call. */
export type SizeReader = (inputs: readonly GraphValue[]) => number;

/** Where a size symbol of a plan is read: an input that is a size, or a dimension of one. */
export type SizeSource = readonly [input: number, what: "size" | "shape" | "stride", dim: number];

/** Finds out where each size symbol of a plan is read. */
export function sizeSources(graph: Graph, sizes: readonly Sym[]): SizeSource[] {
  const found = new Map<Sym, SizeSource>();
  const note = (expr: Expr, source: SizeSource): void => {
    if (expr.kind === "symbol" && !found.has(expr.symbol)) found.set(expr.symbol, source);
  };
  graph.placeholders.forEach((node, i) => {
    const value = node.value;
    if (isSymInt(value)) {
      note(exprOf(value), [i, "size", 0]);
    } else if (isTensorMeta(value)) {
      value.shape.forEach((size, d) => {
        if (isSymInt(size)) note(exprOf(size), [i, "shape", d]);
      });
      value.stride.forEach((stride, d) => {
        if (isSymInt(stride)) note(exprOf(stride), [i, "stride", d]);
      });
    }
  });
  return sizes.map((sym) => {
    const source = found.get(sym);
    if (source === undefined) throw new InternalError(`no input of the graph shows the size ${sym.name}`);
    return source;
  });
}

/** The function that reads such a source. */
export function sizeReader([input, what, dim]: SizeSource): SizeReader {
  return what === "size" ? (inputs) => Number(inputs[input]) : (inputs) => Number((inputs[input] as Tensor)[what][dim]);
}
