/**
 * Graphs as plain data: for caches that outlive the process.
 *
 * Enters: a graph of operators of the table, control flow included, sizes symbolic or not. Leaves: JSON, and the graph again in another process of the same version. Operators go by
 * name, and graphs of control flow stand inside their calls, with the calls that their tape follows.
 */
import { CompileError, type Device, device, type DType, dtypeFromName } from "../../core/mod.ts";
import {
  type Argument,
  CONTROL_GRAPHS,
  Graph,
  isNode,
  isTensorMeta,
  type Node,
  type NodeValue,
  type OpTarget,
  type TensorMeta,
} from "../../graph/mod.ts";
import { findOp } from "../../ops/mod.ts";
import { isSymInt } from "../../symbolic/mod.ts";
import { isDType } from "../../tensor/mod.ts";
import { SizeReader, SizeWriter, type StoredExpr, type StoredSymbol } from "../stored_sizes.ts";
import type { Body } from "./body.ts";
import { controlOperator, isControlOperator } from "./operator.ts";

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

interface StoredMeta {
  readonly [key: string]: Json;
  readonly shape: readonly StoredExpr[];
  readonly stride: readonly StoredExpr[];
  readonly offset: StoredExpr;
  readonly dtype: string;
  readonly device: string;
}

type StoredNode = readonly [
  op: "placeholder" | "getAttr" | "call" | "getItem" | "output",
  name: string,
  value: Json,
  ...rest: readonly Json[],
];

interface StoredNodes {
  readonly nodes: readonly StoredNode[];
  /** Calls that the tape follows, by position. */
  readonly recorded: readonly number[];
}

/** A graph as JSON. */
export interface StoredGraph extends StoredNodes {
  readonly symbols: readonly StoredSymbol[];
}

/** A graph, and which of its calls the tape follows. */
export interface FollowedGraph {
  readonly graph: Graph;
  readonly recorded: ReadonlySet<Node>;
}

/** The graph as JSON; null if it has operators that are not in the table of every process. */
export function storeGraph(graph: Graph, recorded: ReadonlySet<Node>): StoredGraph | null {
  const sizes = new SizeWriter();
  const stored = new Writer(sizes).graph(graph, recorded);
  return stored === null ? null : { ...stored, symbols: sizes.symbols };
}

/** Whether all operators of a graph, and of the graphs inside it, are the library's own. */
export function isOfLibrary(graph: Graph): boolean {
  return graph.calls.every(({ target }) => {
    if (isControlOperator(target)) return target.graphs.every(isOfLibrary);
    const { namespace } = target.schema;
    return namespace === "aten" || namespace === "tessera" || namespace === "prims";
  });
}

class Writer {
  readonly #sizes: SizeWriter;

  constructor(sizes: SizeWriter) {
    this.#sizes = sizes;
  }

  graph(graph: Graph, recorded: ReadonlySet<Node>): StoredNodes | null {
    if (!isOfLibrary(graph)) return null;
    const at = new Map<Node, number>();
    const nodes: StoredNode[] = [];
    const followed: number[] = [];
    for (const node of graph.nodes) {
      const stored = this.#node(node, at);
      if (stored === null) return null;
      if (recorded.has(node)) followed.push(nodes.length);
      at.set(node, nodes.push(stored) - 1);
    }
    return { nodes, recorded: followed };
  }

  #node(node: Node, at: ReadonlyMap<Node, number>): StoredNode | null {
    const value = this.#value(node.value);
    const argument = (a: Argument): Json => this.#argument(a, at);
    switch (node.op) {
      case "placeholder":
        return [node.op, node.name, value];
      case "getAttr":
        return [node.op, node.name, value, node.path];
      case "getItem":
        return [node.op, node.name, value, at.get(node.source) ?? -1, node.index];
      case "output":
        return [node.op, node.name, value, node.results.map(argument)];
      case "call": {
        const target = this.#target(node.target);
        return target === null ? null : [node.op, node.name, value, target, node.args.map(argument)];
      }
      default:
        return node satisfies never;
    }
  }

  #target(target: OpTarget): Json {
    if (!isControlOperator(target)) {
      const name = target.schema.target;
      return findOp(name) === target ? name : null;
    }
    const bodies = target.bodies.map((b) => this.graph(b.graph, b.recorded));
    if (bodies.includes(null)) return null;
    const metas = (target.meta({}) as readonly TensorMeta[]).map((m) => this.#meta(m));
    return { control: target.control, savedCarries: target.savedCarries, metas, bodies: bodies as unknown as Json };
  }

  #meta({ shape, stride, storageOffset, dtype, device: place }: TensorMeta): StoredMeta {
    const size = (s: TensorMeta["storageOffset"]): StoredExpr => this.#sizes.size(s);
    return {
      shape: shape.map(size),
      stride: stride.map(size),
      offset: size(storageOffset),
      dtype: dtype.name,
      device: String(place),
    };
  }

  #value(value: NodeValue): Json {
    if (Array.isArray(value)) return { list: value.map((v: NodeValue) => this.#value(v)) };
    if (isTensorMeta(value)) return this.#meta(value);
    if (isSymInt(value)) return { size: this.#sizes.size(value) };
    return value as number | boolean | null;
  }

  #argument(a: Argument, at: ReadonlyMap<Node, number>): Json {
    if (a === null || typeof a === "boolean" || typeof a === "string") return a;
    if (typeof a === "number") {
      return Number.isFinite(a) && !Object.is(a, -0) ? a : { number: Object.is(a, -0) ? "-0" : String(a) };
    }
    if (typeof a === "bigint") return { bigint: String(a) };
    if (Array.isArray(a)) return a.map((x: Argument) => this.#argument(x, at));
    if (isNode(a)) return { node: at.get(a) ?? -1 };
    if (isSymInt(a)) return { size: this.#sizes.size(a) };
    return isDType(a) ? { dtype: a.name } : { device: String(a as Device) };
  }
}

/** Reads a graph back; `sizes` are its symbols, if somebody else needs them too. @throws {CompileError} if it is none, or names an operator that is not there; {SyntaxError} for sizes that cannot be read. */
export function restoreGraph(stored: StoredGraph, sizes: SizeReader = new SizeReader(stored.symbols)): FollowedGraph {
  return new Reader(sizes).graph(stored);
}

type Fields = { readonly [key: string]: Json };

function bad(what: string): never {
  throw new CompileError(`a stored graph has ${what}`);
}

function fields(value: Json | undefined): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Fields
    : bad("no object where one belongs");
}

function list(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : bad("no list where one belongs");
}

function text(value: Json | undefined): string {
  return typeof value === "string" ? value : bad("no text where one belongs");
}

class Reader {
  readonly #sizes: SizeReader;

  constructor(sizes: SizeReader) {
    this.#sizes = sizes;
  }

  graph(stored: StoredNodes): FollowedGraph {
    const graph = new Graph();
    const made: Node[] = [];
    for (const [op, name, value, a, b] of stored.nodes) made.push(this.#node(graph, made, [op, name, value], a, b));
    return { graph, recorded: new Set(stored.recorded.map((i) => made[i] ?? bad("no such call"))) };
  }

  #node(graph: Graph, made: readonly Node[], [op, name, stored]: StoredNode, a?: Json, b?: Json): Node {
    const value = this.#value(stored);
    switch (op) {
      case "placeholder":
        return graph.placeholder(name, value);
      case "getAttr":
        return graph.getAttr(text(a), value);
      case "getItem":
        return graph.getItem(made[Number(a)] ?? bad("no such node"), Number(b), value);
      case "output":
        return graph.setOutput(list(a).map((x) => this.#argument(x, made)));
      case "call":
        return graph.call(this.#target(a), list(b).map((x) => this.#argument(x, made)), value);
      default:
        return op satisfies never;
    }
  }

  #target(stored: Json | undefined): OpTarget {
    if (typeof stored === "string") return findOp(stored) ?? bad(`the operator ${stored}, which is not there`);
    const { control, savedCarries, metas, bodies } = fields(stored);
    const kind = text(control);
    if (!Object.hasOwn(CONTROL_GRAPHS, kind)) bad(`control flow of the kind ${kind}`);
    const read = list(bodies).map((body): Body => this.graph(body as unknown as StoredNodes));
    return controlOperator(
      kind as keyof typeof CONTROL_GRAPHS,
      read,
      list(metas).map((m) => this.#meta(fields(m))),
      Number(savedCarries),
    );
  }

  #meta(stored: Fields): TensorMeta {
    const size = (s: Json | undefined): TensorMeta["storageOffset"] => this.#sizes.size(s as StoredExpr);
    return {
      shape: list(stored["shape"]).map(size),
      stride: list(stored["stride"]).map(size),
      storageOffset: size(stored["offset"]),
      dtype: this.#dtype(stored["dtype"]),
      device: device(text(stored["device"])),
    };
  }

  #dtype(name: Json | undefined): DType {
    return dtypeFromName(text(name));
  }

  #value(stored: Json): NodeValue {
    if (typeof stored !== "object" || stored === null) return stored as number | boolean | null;
    const given = fields(stored);
    if ("list" in given) return list(given["list"]).map((v) => this.#value(v));
    if ("size" in given) return this.#sizes.size(given["size"] as StoredExpr) as NodeValue;
    return this.#meta(given);
  }

  #argument(stored: Json, made: readonly Node[]): Argument {
    if (Array.isArray(stored)) return stored.map((x: Json) => this.#argument(x, made));
    if (typeof stored !== "object" || stored === null) return stored as string | number | boolean | null;
    const given = fields(stored);
    const [key] = Object.keys(given);
    const value = given[key ?? ""];
    switch (key) {
      case "node":
        return made[Number(value)] ?? bad("no such node");
      case "number":
        return Number(value);
      case "bigint":
        return BigInt(text(value));
      case "size":
        return this.#sizes.size(value as StoredExpr);
      case "dtype":
        return this.#dtype(value);
      case "device":
        return device(text(value));
      default:
        return bad(`an argument of the kind ${String(key)}`);
    }
  }
}
