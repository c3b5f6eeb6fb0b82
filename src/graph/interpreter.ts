/**
 * Runs a graph, node by node, on any kind of value.
 *
 * Enters: a graph, and how to call an operator on `T` (real tensors, fake tensors, tensors traced into another graph). Leaves: the
 * results. A value is dropped after its last use, so that interpreting costs no more memory than eager. Subclasses override
 * single steps. Mirrors `torch.fx.Interpreter`.
 */
import { InternalError } from "../core/mod.ts";
import { type Graph, inputsOf } from "./graph.ts";
import type { Argument, CallNode, GetAttrNode, GetItemNode, Node, OpTarget, PlaceholderNode } from "./node.ts";
import { isNode } from "./node.ts";

/** An argument with values of the run in the place of nodes. */
export type RunArgument<T> = T | Exclude<Argument, Node | readonly Argument[]> | readonly RunArgument<T>[];

/** Calls an operator. Arguments are complete and in schema order; several results come as a list. */
export type CallOperator<T> = (
  target: OpTarget,
  args: readonly RunArgument<T>[],
  node: CallNode,
) => T | readonly T[] | void;

/** Runs graphs. */
export class Interpreter<T> {
  readonly graph: Graph;
  readonly #call: CallOperator<T>;
  readonly #lastUses: ReadonlyMap<Node, readonly Node[]>;
  #values = new Map<Node, T | readonly T[]>();
  #inputs: readonly T[] = [];
  #attributes: (path: string) => T;
  #nextInput = 0;

  /** `call` runs one operator; it may be left to a subclass's `runCall`. */
  constructor(graph: Graph, call: CallOperator<T>) {
    this.graph = graph;
    this.#call = call;
    this.#lastUses = lastUses(graph);
    this.#attributes = (path) => {
      throw new InternalError(`the graph reads the attribute ${path}, but none were given`);
    };
  }

  /** Runs the graph. `inputs` are in placeholder order; `attributes` yields captured tensors by path. */
  run(inputs: readonly T[], attributes?: ReadonlyMap<string, T>): RunArgument<T>[] {
    const wanted = this.graph.placeholders.length;
    if (inputs.length !== wanted) throw new TypeError(`the graph takes ${wanted} inputs, got ${inputs.length}`);
    this.#values = new Map();
    this.#inputs = inputs;
    this.#nextInput = 0;
    this.#attributes = (path) => {
      const found = attributes?.get(path);
      if (found === undefined) throw new InternalError(`the graph reads the attribute ${path}, which was not given`);
      return found;
    };
    try {
      for (const node of this.graph.nodes) {
        if (node.op === "output") return node.results.map((a) => this.argument(a));
        const value = this.runNode(node);
        if (value !== undefined) this.#values.set(node, value);
        for (const dead of this.#lastUses.get(node) ?? []) this.#values.delete(dead);
      }
      throw new InternalError("the graph has no output");
    } finally {
      this.#values = new Map();
    }
  }

  /** Runs one node; override to look at every node. */
  runNode(node: Exclude<Node, { op: "output" }>): T | readonly T[] | void {
    switch (node.op) {
      case "placeholder":
        return this.runPlaceholder(node);
      case "getAttr":
        return this.runGetAttr(node);
      case "call":
        return this.runCall(node);
      case "getItem":
        return this.runGetItem(node);
      default:
        return node satisfies never;
    }
  }

  /** The next input. */
  runPlaceholder(node: PlaceholderNode): T {
    const value = this.#inputs[this.#nextInput++];
    if (value === undefined) throw new InternalError(`the input ${node.name} is missing`);
    return value;
  }

  /** The captured tensor. */
  runGetAttr(node: GetAttrNode): T {
    return this.#attributes(node.path);
  }

  /** Calls the operator on the values of its arguments. */
  runCall(node: CallNode): T | readonly T[] | void {
    return this.#call(node.target, node.args.map((a) => this.argument(a)), node);
  }

  /** One of several results. */
  runGetItem(node: GetItemNode): T {
    const list = this.#values.get(node.source);
    const value = Array.isArray(list) ? (list as readonly T[])[node.index] : undefined;
    if (value === undefined) throw new InternalError(`${node.name}: ${node.source.name} yielded no item ${node.index}`);
    return value;
  }

  /** An argument with this run's values. */
  argument(argument: Argument): RunArgument<T> {
    if (isNode(argument)) return this.valueOf(argument);
    if (Array.isArray(argument)) return argument.map((a: Argument) => this.argument(a));
    return argument as Exclude<Argument, Node | readonly Argument[]>;
  }

  /** This run's value of a node that yields one value. */
  valueOf(node: Node): T {
    const value = this.#values.get(node);
    if (value === undefined || (Array.isArray(value) && Array.isArray(node.value))) {
      throw new InternalError(`${node.name} has no single value at this point`);
    }
    return value as T;
  }
}

/** For each node, the nodes whose last use it is. */
function lastUses(graph: Graph): Map<Node, Node[]> {
  const out = new Map<Node, Node[]>();
  const seen = new Set<Node>();
  for (const node of [...graph.nodes].reverse()) {
    for (const input of inputsOf(node)) {
      if (seen.has(input)) continue;
      seen.add(input);
      const list = out.get(node);
      if (list === undefined) out.set(node, [input]);
      else list.push(input);
    }
  }
  return out;
}
