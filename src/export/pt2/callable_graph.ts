/**
 * An exported program as compilers take it: a graph of tensors only, with its writes inside.
 *
 * Enters: a program. Leaves: a copy of its graph whose placeholders are the tensor inputs, whose mutations are `copy_` calls at the end and whose
 * results are the user's alone; optionally in another float dtype. Programs that such a graph cannot express are told with the
 * reason. Invariant: the program's own graph stays as it was read. Mirrors the unlifting of `ExportedProgram.module()`.
 */
import { InternalError } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  type Graph,
  isTensorMeta,
  type Node,
  type PlaceholderNode,
} from "../../graph/mod.ts";
import { getOp, isOperator } from "../../ops/mod.ts";
import { freeSymbols, isSymInt, type Sym, type SymInt } from "../../symbolic/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { copyControl, symbolsOf, uncompilable } from "./control_calls.ts";
import { type DTypeChange, GraphCopier } from "./graph_copier.ts";
import type { ExportedProgram } from "./program.ts";
import { isControl } from "./targets.ts";

export type { DTypeChange } from "./graph_copier.ts";

/** A graph for a compiler. */
export interface CallableGraph {
  readonly graph: Graph;
  /** The tensors behind its getAttr nodes, by path. */
  readonly attributes: ReadonlyMap<string, Tensor>;
  /** The placeholders that are left, as positions among the program's inputs: the tensors. */
  readonly tensorInputs: readonly number[];
  /** Sizes that follow the tensors as inputs, because no tensor shows them. */
  readonly sizeInputs: readonly SymInt[];
  /** Of those, the ones that a call writes: positions among the program's inputs. */
  readonly writtenInputs: ReadonlySet<number>;
}

/** What keeps a program from being one graph of tensors, as sentences with the user's line; empty if nothing does. */
export function whatNeedsInterpreter(program: ExportedProgram): string[] {
  const reasons = new Map<string, number>();
  const note = (node: CallNode, what: string): void => {
    const at = node.location === null ? "" : ` at ${node.location.file}:${node.location.line}`;
    const text = `${node.target.schema.target} ${what}${at}`;
    reasons.set(text, (reasons.get(text) ?? 0) + 1);
  };
  for (const { node, what } of uncompilable(program.graph)) note(node, what);
  return [...reasons].map(([text, count]) => count === 1 ? text : `${text} (${count} times)`);
}

/** The sizes that a graph speaks of and no input tensor shows as a dimension by itself. */
function hiddenSizes(program: ExportedProgram): SymInt[] {
  const shown = new Set<Sym>();
  for (const { value } of program.userInputs) {
    if (!isTensorMeta(value)) continue;
    for (const size of value.shape) if (isSymInt(size) && size.expr.kind === "symbol") shown.add(size.expr.symbol);
  }
  const hidden = new Set<Sym>();
  for (const node of program.graph.nodes) {
    forEachSymbol(node, (sym) => {
      if (!shown.has(sym)) hidden.add(sym);
    });
  }
  return [...hidden].flatMap((sym) => {
    const size = program.shapes.sizeOfSymbol(sym);
    return isSymInt(size) ? [size] : [];
  });
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
  if (node.op === "call") {
    node.args.forEach(look);
    if (isControl(node.target)) { for (const sym of node.target.graphs.flatMap((g) => [...symbolsOf(g)])) visit(sym); }
  }
  if (node.op === "output") node.results.forEach(look);
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
  const copier = new GraphCopier(change);
  const { graph } = copier;
  const tensorInputs: number[] = [];
  const inputOf = new Map<PlaceholderNode, number>();
  const byPath = new Map<string, Node>();
  const held = new Map<string, Tensor>();
  const states = new Map<Tensor, string>();
  const stateAttr = (tensor: Tensor): Node => {
    let path = states.get(tensor);
    if (path === undefined) {
      for (let i = states.size; path === undefined || attributes.has(path); i++) path = `generator_state_${i}`;
      states.set(tensor, path);
    }
    return getAttr(path, tensor);
  };
  const getAttr = (path: string, tensor: Tensor | undefined = attributes.get(path)): Node => {
    const known = byPath.get(path);
    if (known !== undefined) return known;
    if (tensor === undefined) throw new InternalError(`the attribute ${path} was not loaded`);
    held.set(path, tensor);
    const { shape, stride, dtype, device } = tensor;
    const made = graph.getAttr(path, { shape, stride, storageOffset: 0, dtype, device });
    byPath.set(path, made);
    return made;
  };
  for (const [index, node] of program.graph.placeholders.entries()) {
    inputOf.set(node, index);
    if (isTensorMeta(node.value)) {
      tensorInputs.push(index);
      const meta = copier.value(node.value);
      copier.set(node, graph.placeholder(node.name, isTensorMeta(meta) ? { ...meta, storageOffset: 0 } : meta));
    } else copier.set(node, isSymInt(node.value) ? node.value : null);
  }
  const sizeInputs = hiddenSizes(program);
  for (const size of sizeInputs) graph.placeholder(`size_${size}`, size);
  for (const node of program.graph.nodes) {
    switch (node.op) {
      case "placeholder":
        break;
      case "getAttr":
        copier.set(node, getAttr(node.path));
        break;
      case "call": {
        if (isControl(node.target)) {
          copyControl(node, node.target, copier, { change, sizeOf: (sym) => program.shapes.sizeOfSymbol(sym) });
          break;
        }
        if (isOperator(node.target) && copier.expand(node, node.target, stateAttr)) break;
        copier.call(node);
        break;
      }
      case "getItem":
        copier.set(node, copier.item(node.source, node.index, node.value));
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
  return { graph, attributes: held, tensorInputs, sizeInputs, writtenInputs };
}
