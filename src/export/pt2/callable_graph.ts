/**
 * An exported program as compilers take it: a graph of tensors only, with its writes inside.
 *
 * Enters: a program. Leaves: a copy of its graph whose placeholders are the tensor inputs, whose mutations are `copy_` calls at the end and whose
 * results are the user's alone; optionally in another float dtype. Programs that such a graph cannot express are told with the
 * reason. Invariant: the program's own graph stays as it was read. Mirrors the unlifting of `ExportedProgram.module()`.
 */
import { type DType, InternalError } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  Graph,
  isNode,
  isTensorMeta,
  type Node,
  type NodeValue,
  type PlaceholderNode,
} from "../../graph/mod.ts";
import { getOp, isOperator } from "../../ops/mod.ts";
import { freeSymbols, isSymInt, type Sym } from "../../symbolic/mod.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { ExportedProgram } from "./program.ts";
import { isControl, isItem } from "./targets.ts";

/** A graph for a compiler. */
export interface CallableGraph {
  readonly graph: Graph;
  /** The placeholders that are left, as positions among the program's inputs: the tensors. */
  readonly tensorInputs: readonly number[];
  /** Of those, the ones that a call writes: positions among the program's inputs. */
  readonly writtenInputs: ReadonlySet<number>;
}

/** Other dtypes than the program was exported in: what to put in the place of what. */
export interface DTypeChange {
  readonly from: DType;
  readonly to: DType;
}

/** What keeps a program from being one graph of tensors, as sentences with the user's line; empty if nothing does. */
export function whatNeedsInterpreter(program: ExportedProgram): string[] {
  const reasons = new Map<string, number>();
  const note = (node: CallNode, what: string): void => {
    const at = node.location === null ? "" : ` at ${node.location.file}:${node.location.line}`;
    const text = `${node.target.schema.target} ${what}${at}`;
    reasons.set(text, (reasons.get(text) ?? 0) + 1);
  };
  for (const node of program.graph.calls) {
    const { target } = node;
    if (isControl(target)) note(node, "chooses what to run");
    else if (isItem(target)) note(node, "reads a number out of a tensor");
    else if (isOperator(target) && target.isDataDependent) note(node, "yields a size that depends on data");
  }
  const out = [...reasons].map(([text, count]) => count === 1 ? text : `${text} (${count} times)`);
  if (out.length > 0) return out;
  const readable = new Set<Sym>();
  for (const { value } of program.userInputs) {
    if (!isTensorMeta(value)) continue;
    for (const size of value.shape) if (isSymInt(size) && size.expr.kind === "symbol") readable.add(size.expr.symbol);
  }
  const missing = new Set<Sym>();
  for (const node of program.graph.nodes) {
    forEachSymbol(node, (sym) => {
      if (!readable.has(sym)) missing.add(sym);
    });
  }
  return [...missing].map((sym) => `the size ${sym.name} is no dimension of an input tensor`);
}

function forEachSymbol(node: Node, visit: (sym: Sym) => void): void {
  const look = (value: unknown): void => {
    if (isSymInt(value)) { for (const sym of freeSymbols(value.expr)) visit(sym); }
    else if (Array.isArray(value)) value.forEach(look);
    else if (isTensorMeta(value)) {
      value.shape.forEach(look);
      value.stride.forEach(look);
    }
  };
  // An input that is a size by itself matters where it is used.
  if (node.op === "placeholder" && isSymInt(node.value)) return;
  look(node.value);
  if (node.op === "call") node.args.forEach(look);
  if (node.op === "output") node.results.forEach(look);
}

class Copier {
  readonly graph: Graph = new Graph();
  readonly #map = new Map<Node, Argument>();
  readonly #change: DTypeChange | null;

  constructor(change: DTypeChange | null) {
    this.#change = change;
  }

  dtype(dtype: DType): DType {
    return this.#change !== null && dtype === this.#change.from ? this.#change.to : dtype;
  }

  value(value: NodeValue): NodeValue {
    if (this.#change === null) return value;
    if (isTensorMeta(value)) return { ...value, dtype: this.dtype(value.dtype) };
    return Array.isArray(value) ? value.map((v: NodeValue) => this.value(v)) : value;
  }

  argument(argument: Argument): Argument {
    if (Array.isArray(argument)) return argument.map((a: Argument) => this.argument(a));
    if (isNode(argument)) {
      const found = this.#map.get(argument);
      if (found === undefined) throw new InternalError(`${argument.name} is used before it is defined`);
      return found;
    }
    if (this.#change !== null && argument === this.#change.from) return this.#change.to;
    return argument;
  }

  node(node: Node): Node {
    const found = this.#map.get(node);
    if (!isNode(found)) throw new InternalError(`${node.name} has no counterpart`);
    return found;
  }

  set(node: Node, counterpart: Argument): void {
    if (isNode(counterpart)) counterpart.location = node.location;
    this.#map.set(node, counterpart);
  }
}

/**
 * The program's graph for a compiler; its attributes have the geometry of `attributes`.
 *
 * @param attributes The loaded tensors, by path.
 */
export function callableGraph(
  program: ExportedProgram,
  attributes: ReadonlyMap<string, Tensor>,
  change: DTypeChange | null,
): CallableGraph {
  const copier = new Copier(change);
  const { graph } = copier;
  const tensorInputs: number[] = [];
  const inputOf = new Map<PlaceholderNode, number>();
  const byPath = new Map<string, Node>();
  const getAttr = (path: string): Node => {
    const known = byPath.get(path);
    if (known !== undefined) return known;
    const tensor = attributes.get(path);
    if (tensor === undefined) throw new InternalError(`the attribute ${path} was not loaded`);
    const { shape, stride, dtype, device } = tensor;
    const made = graph.getAttr(path, { shape, stride, storageOffset: 0, dtype, device });
    byPath.set(path, made);
    return made;
  };
  for (const node of program.graph.nodes) {
    switch (node.op) {
      case "placeholder": {
        const index = inputOf.size;
        inputOf.set(node, index);
        if (isTensorMeta(node.value)) {
          tensorInputs.push(index);
          const meta = copier.value(node.value);
          copier.set(node, graph.placeholder(node.name, isTensorMeta(meta) ? { ...meta, storageOffset: 0 } : meta));
        } else copier.set(node, isSymInt(node.value) ? node.value : null);
        break;
      }
      case "getAttr":
        copier.set(node, getAttr(node.path));
        break;
      case "call": {
        const args = node.args.map((a) => copier.argument(a));
        copier.set(node, graph.call(node.target, args, copier.value(node.value), node.location));
        break;
      }
      case "getItem":
        copier.set(node, graph.getItem(copier.node(node.source), node.index, copier.value(node.value)));
        break;
      case "output":
        break;
      default:
        node satisfies never;
    }
  }
  const copy = getOp("aten.copy_.default");
  const results: Argument[] = [];
  const writtenInputs = new Set<number>();
  const write = (target: Node, result: Argument): void => {
    if (target === result) return;
    const args = copy.schema.args.map((arg): Argument =>
      arg.key === "self" ? target : arg.key === "src" ? result : arg.defaultValue
    );
    graph.call(copy, args, target.value);
  };
  program.outputSpecs.forEach((spec, i) => {
    const result = copier.argument(program.graph.output.results[i] ?? null);
    switch (spec.kind) {
      case "userOutput":
      case "lossOutput":
        results.push(result);
        break;
      case "bufferMutation":
      case "parameterMutation":
        write(getAttr(spec.target), result);
        break;
      case "userInputMutation": {
        const input = program.inputSpecs.find((s) => s.name === spec.target);
        if (input?.kind !== "userInput") throw new InternalError(`the written input ${spec.target} is missing`);
        writtenInputs.add(inputOf.get(input.placeholder) ?? -1);
        write(copier.node(input.placeholder), result);
        break;
      }
      case "gradientToParameter":
      case "gradientToUserInput":
      case "token":
        break;
      default:
        spec satisfies never;
    }
  });
  graph.setOutput(results);
  return { graph, tensorInputs, writtenInputs };
}
