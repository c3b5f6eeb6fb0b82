/**
 * Control flow of exported graphs, as compilers take it: calls of higher-order operators whose graphs are compiled like any other.
 *
 * Enters: a call of `cond`, `while_loop`, `map_impl` or `scan` as the file has it. Leaves: the same call of an operator of capture, over copies of its graphs that take
 * tensors only: numbers among the operands become the sizes that they are, and sizes that no operand shows come last. Tensors cross in row-major order and have
 * the strides that the file states on either side. What that cannot express is told with a reason.
 * Mirrors the sub-graphs that `torch._inductor` lowers for higher-order operators.
 */
import { type Body, type ControlOperator, controlOperator } from "../../capture/mod.ts";
import { InternalError } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  type ControlTarget,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type NodeValue,
  type PlaceholderNode,
} from "../../graph/mod.ts";
import { isOperator } from "../../ops/mod.ts";
import { freeSymbols, isSymInt, type Size, type Sym } from "../../symbolic/mod.ts";
import { inRowMajor, layOut, rowMajor } from "./control_layouts.ts";
import { type DTypeChange, GraphCopier } from "./graph_copier.ts";
import { isControl, isItem } from "./targets.ts";

/** Why calls of a graph cannot be part of a compiled graph, each with its call; those of graphs of control flow too. */
export function uncompilable(graph: Graph): { readonly node: CallNode; readonly what: string }[] {
  return graph.calls.flatMap(uncompilableIn);
}

/** Why a call, or one in its graphs, cannot be part of a compiled graph. */
export function uncompilableIn(node: CallNode): { readonly node: CallNode; readonly what: string }[] {
  const { target } = node;
  if (isItem(target)) return [{ node, what: "reads a number out of a tensor" }];
  if (isControl(target)) {
    const what = whyInterpreted(node, target);
    return what === null ? target.graphs.flatMap(uncompilable) : [{ node, what }];
  }
  return isOperator(target) && target.isDataDependent ? [{ node, what: "yields a size that depends on data" }] : [];
}

/** Operands of a call in the order of its graphs' placeholders, and how many of them are the graphs' own at the front. */
function operandsOf(
  { args }: CallNode,
  { control }: ControlTarget,
): { readonly all: Argument[]; readonly own: number } {
  const lists = (control === "cond" ? args.slice(1) : args).map((list) =>
    Array.isArray(list) ? list as readonly Argument[] : []
  );
  const own = control === "cond" ? 0 : (lists[0]?.length ?? 0) + (control === "scan" ? lists[1]?.length ?? 0 : 0);
  return { all: lists.flat(), own };
}

function isTensorNode(arg: Argument | undefined): arg is Node {
  return isNode(arg ?? null) && isTensorMeta((arg as Node).value);
}

function whyInterpreted(node: CallNode, target: ControlTarget): string | null {
  if (target.control === "cond" && !isTensorNode(node.args[0])) return "chooses by a number what to run";
  const { all, own } = operandsOf(node, target);
  if (!all.slice(0, own).every(isTensorNode)) return "carries a number from round to round";
  if (!Array.isArray(node.value) || !node.value.every(isTensorMeta)) return "yields something that is no tensor";
  if (target.hasEffects) return "has graphs that write to tensors";
  for (const graph of target.graphs) {
    if (graph.placeholders.length !== all.length) return "has a graph with other inputs than operands";
    if (!graph.output.results.every(isTensorNode)) return "has a graph that yields something that is no tensor";
    if (graph.attributes.length > 0) return "has a graph with tensors of its own";
    if (graph.calls.some(({ target }) => isOperator(target) && target.isRandom)) return "draws random numbers";
    // Operands are handed over in row-major order: where their elements lay before is not known.
    if (graph.calls.some(({ target }) => isOperator(target) && target.view?.ofStorage === true)) {
      return "views the storage of a tensor";
    }
    for (const sym of symbolsOf(graph)) if (sym.kind !== "size") return "has sizes that depend on data";
  }
  return null;
}

/** Adds the symbols that a value or an argument speaks of. */
export function noteSymbols(into: Set<Sym>, value: NodeValue | Argument): void {
  if (isSymInt(value)) { for (const sym of freeSymbols(value.expr)) into.add(sym); }
  else if (Array.isArray(value)) { for (const v of value as readonly Argument[]) noteSymbols(into, v); }
  else if (isTensorMeta(value)) { for (const s of [...value.shape, ...value.stride]) noteSymbols(into, s); }
}

/** The symbols that a graph speaks of, and those of its calls' graphs. */
export function symbolsOf(graph: Graph): Set<Sym> {
  const symbols = new Set<Sym>();
  for (const node of graph.nodes) {
    noteSymbols(symbols, node.value);
    if (node.op !== "call") continue;
    for (const arg of node.args) noteSymbols(symbols, arg);
    if (isControl(node.target)) {
      for (const inner of node.target.graphs.flatMap((g) => [...symbolsOf(g)])) symbols.add(inner);
    }
  }
  return symbols;
}

function shownBy(placeholders: readonly PlaceholderNode[]): Set<Sym> {
  const shown = new Set<Sym>();
  for (const { value } of placeholders) {
    if (!isTensorMeta(value)) continue;
    for (const s of value.shape) if (isSymInt(s) && s.expr.kind === "symbol") shown.add(s.expr.symbol);
  }
  return shown;
}

/** A copy of a graph of the call that takes the operands in `kept`, then `sizes`. */
function bodyOf(graph: Graph, kept: readonly boolean[], sizes: readonly Size[], context: ControlContext): Body {
  const copier = new GraphCopier(context.change);
  graph.placeholders.forEach((node, i) => {
    if (kept[i] === true) copier.set(node, copier.graph.placeholder(node.name, rowMajor(copier.value(node.value))));
    else copier.set(node, isSymInt(node.value) || typeof node.value === "number" ? node.value : null);
  });
  for (const size of sizes) copier.graph.placeholder(`size_${size}`, size);
  // Calls speak of the operands with the strides that the file states.
  graph.placeholders.forEach((node, i) => {
    const value = copier.value(node.value);
    if (kept[i] === true && isTensorMeta(value)) copier.set(node, layOut(copier.graph, copier.node(node), value));
  });
  for (const node of graph.nodes) {
    if (node.op === "call") {
      if (isControl(node.target)) copyControl(node, node.target, copier, context);
      else copier.call(node);
    } else if (node.op === "getItem") copier.set(node, copier.item(node.source, node.index, node.value));
  }
  copier.graph.setOutput(graph.output.results.map((r) => {
    const made = copier.argument(r);
    return isNode(made) ? inRowMajor(copier.graph, made) : made;
  }));
  return { graph: copier.graph, recorded: new Set() };
}

/** What copies of graphs need to know. */
export interface ControlContext {
  readonly change: DTypeChange | null;
  /** The size that a symbol of the program is. */
  readonly sizeOf: (sym: Sym) => Size;
}

/** Copies a call of control flow, with its graphs, for a compiler. {@linkcode uncompilable} has been asked before. */
export function copyControl(
  node: CallNode,
  target: ControlTarget,
  copier: GraphCopier,
  context: ControlContext,
): void {
  const { all } = operandsOf(node, target);
  const kept = all.map(isTensorNode);
  const hidden = new Set<Sym>();
  for (const graph of target.graphs) {
    const shown = shownBy(graph.placeholders);
    for (const sym of symbolsOf(graph)) if (!shown.has(sym)) hidden.add(sym);
  }
  const sizes = [...hidden].map(context.sizeOf).filter(isSymInt);
  const bodies = target.graphs.map((graph) => bodyOf(graph, kept, sizes, context));
  const metas = copier.value(node.value);
  if (!Array.isArray(metas)) throw new InternalError(`${node.name} yields no tensors`);
  const results = metas.map(rowMajor);
  const op: ControlOperator = controlOperator(target.control, bodies, results);
  const args = node.args.map((arg): Argument =>
    Array.isArray(arg)
      ? (arg as readonly Argument[]).filter(isTensorNode).map((a) => copier.argument(a))
      : copier.argument(arg)
  );
  // The last list is that of the sizes.
  const made = copier.graph.call(op, [...args.slice(0, -1), sizes], results, node.location);
  // What follows was checked against the strides that the file states.
  const placed = metas.map((meta: NodeValue, i): Argument => {
    const item = copier.graph.getItem(made, i, results[i] ?? null);
    return isTensorMeta(meta) ? layOut(copier.graph, item, meta) : item;
  });
  copier.set(node, placed);
}
