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
import { GraphRecorder } from "../../aot_autograd/mod.ts";
import { type ArgValue, getOp, isOperator, type NamedArgs, type Operator } from "../../ops/mod.ts";
import { freeSymbols, isSymInt, type Sym, type SymInt } from "../../symbolic/mod.ts";
import { dispatchComplete, noGrad, type OpResult, Tensor, withMode } from "../../tensor/mod.ts";
import type { ExportedProgram } from "./program.ts";
import { isControl, isItem } from "./targets.ts";

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
  if (node.op === "call") node.args.forEach(look);
  if (node.op === "output") node.results.forEach(look);
}

/**
 * Records what an operator comes down to that writes beside its results: running statistics, the state of the generator. A compiler
 * wants to see these writes as calls.
 */
class WriteRecorder extends GraphRecorder {
  override dispatch(op: Operator, args: NamedArgs<Tensor>): OpResult {
    const mutated = op.schema.args.find((a) => a.mutated);
    if (mutated === undefined) return super.dispatch(op, args);
    const self = args[mutated.key];
    if (!(self instanceof Tensor)) throw new InternalError(`${op.target}: nothing to write to`);
    const argument = (value: ArgValue<Tensor>): Argument => {
      if (Array.isArray(value)) return value.map((v: ArgValue<Tensor>) => argument(v));
      if (!(value instanceof Tensor)) return value as Argument;
      return value.wrapped !== null ? value.wrapped : this.nodeOf(value);
    };
    const call = op.schema.args.map((arg) => argument(args[arg.key] ?? null));
    this.graph.call(op, call, this.nodeOf(self).value, this.location);
    return self;
  }
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

  /** One result of a call. */
  item(source: Node, index: number, value: NodeValue): Argument {
    const found = this.#map.get(source);
    if (Array.isArray(found)) return found[index] ?? null;
    return this.graph.getItem(this.node(source), index, this.value(value));
  }

  /**
   * Puts what an operator comes down to in its place, if it writes beside its results; tells whether it did. `getAttr` makes attributes of the tensors
   * that it brings along: generators' states.
   */
  expand(node: CallNode, op: Operator, getAttr: (tensor: Tensor) => Node): boolean {
    if (op.decompose === null || (!op.isRandom && op.writesArguments === null)) return false;
    const recorder = new WriteRecorder(() => true);
    recorder.location = node.location;
    const outer = new Map<Node, Node>();
    const twins = new Map<Node, Tensor>();
    const traced = (argument: Argument): ArgValue<Tensor> => {
      if (Array.isArray(argument)) return argument.map((a: Argument) => traced(a));
      if (!isNode(argument)) return argument as ArgValue<Tensor>;
      if (!isTensorMeta(argument.value)) throw new InternalError(`${argument.name} is no tensor`);
      const known = twins.get(argument);
      if (known !== undefined) return known;
      const tensor = recorder.placeholder(argument.name, argument.value);
      outer.set(recorder.nodeOf(tensor), argument);
      twins.set(argument, tensor);
      return tensor;
    };
    const given = op.schema.args.map((arg, i) => [arg.key, traced(this.argument(node.args[i] ?? null))]);
    const args = Object.fromEntries(given) as NamedArgs<Tensor>;
    if (!op.isRandom && op.writesArguments?.(args) !== true) return false;
    const result = withMode(recorder, () => noGrad(() => dispatchComplete(op, args)));
    const inner = new Map<Node, Node>(outer);
    const place = (argument: Argument): Argument => {
      if (Array.isArray(argument)) return argument.map((a: Argument) => place(a));
      return isNode(argument) ? inner.get(argument) ?? null : argument;
    };
    for (const n of recorder.graph.nodes) {
      if (n.op === "getAttr") {
        const tensor = recorder.constants.get(n.path);
        if (tensor === undefined) throw new InternalError(`${op.target}: the constant ${n.path} is missing`);
        inner.set(n, getAttr(tensor));
      } else if (n.op === "call") {
        const made = this.graph.call(n.target, n.args.map(place), n.value, n.location);
        inner.set(n, made);
      } else if (n.op === "getItem") {
        const source = inner.get(n.source);
        if (source === undefined) throw new InternalError(`${op.target}: a result is missing`);
        inner.set(n, this.graph.getItem(source, n.index, n.value));
      }
    }
    const counterpart = (t: Tensor): Node => {
      const made = inner.get(recorder.nodeOf(t));
      if (made === undefined) throw new InternalError(`${op.target}: a result is missing`);
      return made;
    };
    this.#map.set(node, result instanceof Tensor ? counterpart(result) : result.map(counterpart));
    return true;
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
        if (isOperator(node.target) && copier.expand(node, node.target, stateAttr)) break;
        const args = node.args.map((a) => copier.argument(a));
        copier.set(node, graph.call(node.target, args, copier.value(node.value), node.location));
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
