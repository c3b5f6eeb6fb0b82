/**
 * The graph of a branch, a loop's body or a region, and how it runs.
 *
 * Enters: what a {@linkcode SubTracer} recorded, and the operands that the call hands over. Leaves: a {@linkcode Body}, whose inputs are those operands in order, then
 * the sizes that no operand shows. A body writes none of its inputs: one that it wrote is copied first and given back at the end, for the call to write.
 */
import {
  type Argument,
  Graph,
  Interpreter,
  isTensorMeta,
  mapNodes,
  type Node,
  type RunArgument,
} from "../../graph/mod.ts";
import { getOp } from "../../ops/mod.ts";
import { evaluate, freeSymbols, isSymInt, type Size, type Sym, symbol, SymInt } from "../../symbolic/mod.ts";
import { enableGrad, isGradEnabled, noGrad, type OpResult, Tensor } from "../../tensor/mod.ts";
import { callOperator, type RunValue, sizeReader } from "../backends.ts";
import { metaOf } from "../tracer.ts";
import { withCarries } from "./kept_carries.ts";
import type { SubTracer } from "./sub_tracer.ts";

/** A graph without tensors of its own, and which of its calls the tape follows. */
export interface Body {
  readonly graph: Graph;
  readonly recorded: ReadonlySet<Node>;
}

/** What a sub-tracer left behind, with its results in order. */
export interface Recording {
  readonly sub: SubTracer;
  readonly inputs: readonly Node[];
  readonly results: readonly Tensor[];
}

/** Sizes that graphs speak of and that are no dimension of what they are given. */
export function hiddenSizes(recordings: readonly Recording[], shownBy: readonly Tensor[]): SymInt[] {
  const shown = new Set<Sym>();
  const show = (shape: readonly Size[]): void => {
    for (const s of shape) if (isSymInt(s) && s.expr.kind === "symbol") shown.add(s.expr.symbol);
  };
  for (const t of shownBy) show(t.shape);
  for (const { inputs } of recordings) for (const { value } of inputs) if (isTensorMeta(value)) show(value.shape);
  const hidden = new Map<Sym, SymInt>();
  const note = (value: unknown): void => {
    if (isSymInt(value)) {
      for (const sym of freeSymbols(value.expr)) {
        if (!shown.has(sym) && !hidden.has(sym)) hidden.set(sym, new SymInt(symbol(sym), value.env));
      }
    } else if (Array.isArray(value)) value.forEach(note);
    else if (isTensorMeta(value)) [...value.shape, ...value.stride].forEach(note);
  };
  for (const { sub } of recordings) {
    for (const node of sub.graph.nodes) {
      note(node.value);
      if (node.op === "call") node.args.forEach(note);
    }
  }
  return [...hidden.values()];
}

/** Makes the graph: own inputs, operands, sizes; the recorded calls; results, then what became of the operands in `written`. */
export function makeBody(
  { sub, inputs, results }: Recording,
  operands: readonly Tensor[],
  sizes: readonly SymInt[],
  written: readonly Tensor[] = [],
): Body {
  const graph = new Graph();
  const recorded = new Set<Node>();
  const map = new Map<Node, Node>();
  const placed = new Map<Tensor, Node>();
  for (const node of inputs) map.set(node, graph.placeholder(node.name, node.value));
  for (const t of operands) {
    const found = sub.operands.get(t);
    const node = graph.placeholder(found?.node.name ?? "unused", found?.node.value ?? metaOf(t));
    placed.set(t, node);
    if (found !== undefined) map.set(found.node, node);
  }
  for (const size of sizes) graph.placeholder(`size_${size}`, size);
  const clone = getOp("aten.clone.default");
  const copy = (node: Node): Node => {
    const made = graph.call(clone, [node, null], node.value);
    recorded.add(made);
    return made;
  };
  for (const t of sub.written.keys()) {
    const operand = sub.operands.get(t);
    const node = placed.get(t);
    if (operand !== undefined && node !== undefined) map.set(operand.node, copy(node));
  }
  const of = (node: Node): Node => map.get(node) ?? node;
  for (const node of sub.graph.nodes) {
    if (node.op === "call") {
      const made = graph.call(node.target, node.args.map((a) => mapNodes(a, of)), node.value, node.location);
      map.set(node, made);
      if (sub.recorded.has(node)) recorded.add(made);
    } else if (node.op === "getItem") map.set(node, graph.getItem(of(node.source), node.index, node.value));
  }
  const last = written.map((t): Argument => {
    const operand = sub.written.has(t) ? sub.operands.get(t) : undefined;
    return operand === undefined ? copy(placed.get(t) as Node) : of(operand.node);
  });
  graph.setOutput([...results.map((t) => of(sub.nodeOf(t))), ...last]);
  return { graph, recorded };
}

function needsGradient(value: unknown): boolean {
  if (value instanceof Tensor) return value.requiresGrad;
  return Array.isArray(value) && value.some(needsGradient);
}

/** Runs a body on tensors of any kind. With the tape on, it follows what it followed during capture. */
export function runBody({ graph, recorded }: Body, inputs: readonly (Tensor | Size)[]): Tensor[] {
  const isSymbolic = inputs.some((v) => v instanceof Tensor ? v.shape.some(isSymInt) : isSymInt(v));
  const read = isSymbolic ? null : sizeReader(graph)(inputs as readonly RunValue[]);
  const size = (s: SymInt): number | SymInt => read === null ? s : evaluate(s.expr, read);
  const tapes = isGradEnabled();
  const interpreter = new Interpreter<RunValue>(graph, (_, args: readonly RunArgument<RunValue>[], node) => {
    const taped = tapes && recorded.has(node) && needsGradient(args) ? withCarries(node) : null;
    const run = (): OpResult => callOperator(node, args, size, taped ?? node.target);
    return tapes ? recorded.has(node) ? enableGrad(run) : noGrad(run) : run();
  });
  return interpreter.run(inputs as readonly RunValue[]).map((r) => r as Tensor);
}
