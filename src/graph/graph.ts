/**
 * An FX graph: a straight list of nodes in execution order.
 *
 * Enters: calls recorded by the tracer or read from an exported program. Leaves: the input of every pass. The invariants
 * (each use after its definition, users kept, names unique, one output at the end) are checked by `verifyGraph`.
 * Mirrors `torch.fx.Graph`.
 */
import { InternalError } from "../core/mod.ts";
import type {
  Argument,
  CallNode,
  GetAttrNode,
  GetItemNode,
  Node,
  NodeValue,
  OpTarget,
  OutputNode,
  PlaceholderNode,
  SourceLocation,
} from "./node.ts";
import { isNode } from "./node.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Calls `visit` for every node in an argument, nested lists included. */
export function forEachNode(argument: Argument, visit: (node: Node) => void): void {
  if (Array.isArray(argument)) { for (const item of argument) forEachNode(item, visit); }
  else if (isNode(argument)) visit(argument);
}

/** Replaces every node in an argument. */
export function mapNodes(argument: Argument, replace: (node: Node) => Argument): Argument {
  if (Array.isArray(argument)) return argument.map((item: Argument) => mapNodes(item, replace));
  return isNode(argument) ? replace(argument) : argument;
}

/** The nodes that a node reads, in order, repeated where read twice. */
export function inputsOf(node: Node): Node[] {
  const out: Node[] = [];
  const push = (n: Node): void => {
    out.push(n);
  };
  switch (node.op) {
    case "call":
      for (const arg of node.args) forEachNode(arg, push);
      break;
    case "getItem":
      out.push(node.source);
      break;
    case "output":
      for (const arg of node.results) forEachNode(arg, push);
      break;
    case "placeholder":
    case "getAttr":
      break;
    default:
      node satisfies never;
  }
  return out;
}

/** A graph of operator calls. */
export class Graph {
  #nodes: Node[] = [];
  #names = new Set<string>();
  /** The next number to try for a name, so that many nodes of one name stay cheap. */
  #suffixes = new Map<string, number>();
  #nextId = 0;
  /** Index before which new nodes are placed; null for the end. */
  #cursor: Node | null = null;

  /** The nodes in execution order. */
  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  /** The inputs, in order. */
  get placeholders(): PlaceholderNode[] {
    return this.#nodes.filter((n): n is PlaceholderNode => n.op === "placeholder");
  }

  /** The captured tensors, in order. */
  get attributes(): GetAttrNode[] {
    return this.#nodes.filter((n): n is GetAttrNode => n.op === "getAttr");
  }

  /** The calls, in order. */
  get calls(): CallNode[] {
    return this.#nodes.filter((n): n is CallNode => n.op === "call");
  }

  /** The output node. */
  get output(): OutputNode {
    const last = this.#nodes.at(-1);
    if (last === undefined || last.op !== "output") throw new InternalError("the graph has no output node yet");
    return last;
  }

  /** Appends an input. */
  placeholder(name: string, value: NodeValue): PlaceholderNode {
    return this.#insert({ op: "placeholder", ...this.#base(name, value) });
  }

  /** Appends a captured tensor. */
  getAttr(path: string, value: NodeValue): GetAttrNode {
    return this.#insert({ op: "getAttr", path, ...this.#base(path, value) });
  }

  /** Appends a call; `args` are in schema order, complete. */
  call(
    target: OpTarget,
    args: readonly Argument[],
    value: NodeValue,
    location: SourceLocation | null = null,
  ): CallNode {
    const node: CallNode = { op: "call", target, args, ...this.#base(target.schema.name, value) };
    node.location = location;
    return this.#insert(node);
  }

  /** Appends the choice of one of several results. */
  getItem(source: Node, index: number, value: NodeValue): GetItemNode {
    return this.#insert({ op: "getItem", source, index, ...this.#base("getitem", value) });
  }

  /** Ends the graph. */
  setOutput(results: readonly Argument[]): OutputNode {
    const last = this.#nodes.at(-1);
    if (last?.op === "output") this.erase(last);
    return this.#insert({ op: "output", results, ...this.#base("output", null) });
  }

  /** Runs `body` with new nodes placed before `node`. */
  insertBefore<T>(node: Node, body: () => T): T {
    const before = this.#cursor;
    this.#cursor = node;
    try {
      return body();
    } finally {
      this.#cursor = before;
    }
  }

  /** Replaces every use of `old` by `replacement`, except in nodes for which `except` holds. */
  replaceAllUses(old: Node, replacement: Argument, except: (user: Node) => boolean = () => false): void {
    for (const user of [...old.users]) {
      if (except(user)) continue;
      this.#rewrite(user, (n) => n === old ? replacement : n);
    }
  }

  /** Replaces the arguments of a call. */
  setArgs(node: CallNode, args: readonly Argument[]): void {
    for (const input of inputsOf(node)) input.users.delete(node);
    (node as Mutable<CallNode>).args = args;
    for (const input of inputsOf(node)) input.users.add(node);
  }

  /** Removes nodes nobody uses. */
  erase(...nodes: readonly Node[]): void {
    const gone = new Set<Node>(nodes);
    for (const node of nodes) {
      for (const user of node.users) {
        if (!gone.has(user)) throw new InternalError(`cannot erase ${node.name}: ${user.name} uses it`);
      }
      for (const input of inputsOf(node)) input.users.delete(node);
      this.#names.delete(node.name);
    }
    this.#nodes = this.#nodes.filter((n) => !gone.has(n));
  }

  /** Puts the nodes in the given order (the same nodes, in an order that respects definitions). */
  reorder(nodes: readonly Node[]): void {
    if (nodes.length !== this.#nodes.length) throw new InternalError("reorder: not the same nodes");
    this.#nodes = [...nodes];
  }

  #rewrite(node: Node, replace: (n: Node) => Argument): void {
    for (const input of inputsOf(node)) input.users.delete(node);
    switch (node.op) {
      case "call":
        (node as Mutable<CallNode>).args = node.args.map((a) => mapNodes(a, replace));
        break;
      case "output":
        (node as Mutable<OutputNode>).results = node.results.map((a) => mapNodes(a, replace));
        break;
      case "getItem": {
        const source = replace(node.source);
        if (!isNode(source)) throw new InternalError(`${node.name}: its source was replaced by a constant`);
        (node as Mutable<GetItemNode>).source = source;
        break;
      }
      case "placeholder":
      case "getAttr":
        break;
      default:
        node satisfies never;
    }
    for (const input of inputsOf(node)) input.users.add(node);
  }

  #base(name: string, value: NodeValue): Omit<PlaceholderNode, "op"> {
    return { name: this.#unique(name), id: this.#nextId++, value, location: null, users: new Set<Node>() };
  }

  #unique(wanted: string): string {
    const base = wanted.replace(/[^A-Za-z0-9_]/g, "_").replace(/^(?=\d)/, "_").replace(/_+$/, "") || "value";
    let name = base;
    let i = this.#suffixes.get(base) ?? 1;
    for (; this.#names.has(name); i++) name = `${base}_${i}`;
    this.#suffixes.set(base, i);
    this.#names.add(name);
    return name;
  }

  #insert<N extends Node>(node: N): N {
    for (const input of inputsOf(node)) input.users.add(node);
    if (this.#cursor === null) {
      const last = this.#nodes.at(-1);
      if (last?.op === "output" && node.op !== "output") this.#nodes.splice(this.#nodes.length - 1, 0, node);
      else this.#nodes.push(node);
    } else {
      this.#nodes.splice(this.#nodes.indexOf(this.#cursor), 0, node);
    }
    return node;
  }
}
