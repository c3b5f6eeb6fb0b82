/**
 * What names mean while a serialised graph is read: tensors, symbolic numbers, conditions.
 *
 * A name means an argument of the graph that is built, or one result of a call, picked by a `getItem` node only when it is used. Sizes become symbolic
 * expressions over the program's symbols. Invariant: a name is given its meaning once, and before it is used.
 */
import { cpu, type Device } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  type Graph,
  isNode,
  type Node,
  type NodeValue,
  type TensorMeta,
} from "../../graph/mod.ts";
import { asBool, type BoolExpr, constant, type Expr, freeSymbols, type Size, where } from "../../symbolic/mod.ts";
import { quoteName } from "../zip/archive.ts";
import { NoCounterpart, type Scope } from "./arguments.ts";
import type { JsonCursor } from "./json.ts";
import { complexNode } from "./number_tensors.ts";
import type { Problems } from "./problems.ts";
import type { DeviceData, GraphData, SymValue, TensorMetaData } from "./schema.ts";
import type { Constraint, ProgramShapes } from "./shape_env.ts";
import { deviceOf, dtypeCodeName, dtypeOfCode } from "./types.ts";

/** What all graphs of one program share. */
export interface ReadContext {
  readonly shapes: ProgramShapes;
  readonly problems: Problems;
  /** Conditions that calls check. */
  readonly constraints: Constraint[];
  /** Full stack traces of nodes. */
  readonly stackTraces: Map<Node, string>;
  /** Calls with a whole number that the file writes as a float: JavaScript has one kind of number, PyTorch promotes differently. */
  readonly floatCalls: Set<Node>;
  /** Where tensors are put instead of where the file says; null for as the file says. */
  readonly device: Device | null;
}

/** What a name stands for: an argument, or one result of a node that is only picked when it is used. */
type Named = { readonly argument: Argument } | {
  readonly source: CallNode;
  readonly path: readonly number[];
};

/** The names of one graph, or of a region of one. */
export class GraphNames implements Scope {
  /** Where nodes go. */
  readonly graph: Graph;
  protected readonly data: GraphData;
  protected readonly context: ReadContext;
  /** Set while a node is read, so that errors about names say where. */
  protected at: JsonCursor | null = null;
  readonly #named = new Map<string, Named>();
  readonly #metas = new Map<string, NodeValue>();

  constructor(data: GraphData, context: ReadContext, graph: Graph) {
    this.data = data;
    this.context = context;
    this.graph = graph;
  }

  /** Gives a name its meaning. @throws {FormatError} if it has one. */
  define(name: string, argument: Argument, at: JsonCursor = this.data.cursor): void {
    this.#define(name, { argument }, at);
  }

  /** Gives a name the meaning of one result of a call; the path leads into nested lists. */
  protected defineResult(name: string, source: CallNode, path: readonly number[], at: JsonCursor): void {
    this.#define(name, { source, path }, at);
  }

  #define(name: string, meaning: Named, at: JsonCursor): void {
    if (this.#named.has(name)) at.fail(`the name ${quoteName(name)} is defined twice`);
    this.#named.set(name, meaning);
  }

  /** What the file says of a tensor; null (and a problem) where Tessera has no such tensors. */
  metaOf(name: string, at: JsonCursor = this.data.cursor): NodeValue {
    const known = this.#metas.get(name);
    if (known !== undefined) return known;
    const data = this.data.tensorValues.get(name);
    if (data === undefined) return at.fail(`tensor_values has no entry for ${quoteName(name)}`);
    const meta = this.#tensorMeta(data, name);
    this.#metas.set(name, meta);
    return meta;
  }

  #tensorMeta(data: TensorMetaData, name: string): TensorMeta | null {
    const dtype = dtypeOfCode(data.dtype);
    const device = this.device(data.device);
    const missing = dtype === null
      ? `there are no tensors of ${dtypeCodeName(data.dtype)}`
      : device === null
      ? `there is no device ${data.device.type.slice(0, 20)}`
      : null;
    if (dtype === null || device === null) {
      this.context.problems.add(`tensor ${quoteName(name)}`, missing ?? "", null, null);
      return null;
    }
    return {
      shape: data.sizes.map((s) => this.#size(s)),
      stride: data.strides.map((s) => this.#size(s)),
      storageOffset: this.#size(data.storageOffset),
      dtype,
      device,
    };
  }

  #expr(value: SymValue<number>): Expr {
    if (typeof value === "number") return constant(value);
    return this.context.shapes.parse(value.text, typeof value.hint === "number" ? value.hint : null);
  }

  #size(value: SymValue<number>): Size {
    return typeof value === "number" ? value : this.context.shapes.size(this.#expr(value));
  }

  // Scope: what names mean.

  tensor(name: string): Argument {
    const found = this.#named.get(name);
    if (found === undefined) return this.#undefined("tensor", name);
    if ("argument" in found) return found.argument;
    let node: Node = found.source;
    let value = found.source.value;
    for (const index of found.path) {
      value = Array.isArray(value) ? value[index] ?? null : null;
      node = this.graph.getItem(node, index, value);
    }
    this.#named.set(name, { argument: node });
    return node;
  }

  symInt(name: string): Argument {
    const value = this.data.symIntValues.get(name);
    if (value === undefined) {
      return this.#named.has(name) ? this.tensor(name) : this.#undefined("size", name);
    }
    if (typeof value === "number") return value;
    if (typeof value === "bigint") return Number(value);
    return this.#size(value);
  }

  symBool(name: string): Argument {
    const cond = this.condition(name);
    if (cond.kind === "bool") return cond.value;
    return this.context.shapes.size(where(cond, 1, 0));
  }

  /** Numbers that are nodes: what was read out of float tensors, and what is computed from that. */
  protected readonly numbers = new Set<Node>();
  readonly #numberOf = new Map<string, Node>();

  /** The node of a number that only the run knows, or null. */
  protected numberOf(name: string): Node | null {
    return this.#numberOf.get(name) ?? null;
  }

  /** Whether an argument is such a number. */
  isNumber(argument: Argument): boolean {
    return isNode(argument) && this.numbers.has(argument as Node);
  }

  /** Gives the name of a number its node. */
  protected defineNumber(name: string, node: Node, at: JsonCursor): void {
    if (this.#numberOf.has(name)) at.fail(`the name ${quoteName(name)} is defined twice`);
    this.#numberOf.set(name, node);
    this.numbers.add(node);
  }

  /** Whether a condition speaks of numbers that were read out of float tensors. */
  protected isOfNumbers(name: string): boolean {
    const value = this.data.symBoolValues.get(name);
    return typeof value === "object" && /'z[uf]\w*'/.test(value.text);
  }

  /** Whether a number computed from sizes is none that expressions can say: a quotient, a root. */
  protected isFraction(name: string): boolean {
    const value = this.data.symFloatValues.get(name);
    if (value === undefined || typeof value === "number") return false;
    try {
      this.#expr(value);
      return false;
    } catch {
      return true;
    }
  }

  symFloat(name: string): Argument {
    const number = this.#numberOf.get(name);
    if (number !== undefined) return number;
    const value = this.data.symFloatValues.get(name);
    if (value === undefined) return this.#undefined("number", name);
    if (typeof value === "number") return value;
    let expr: Expr;
    try {
      expr = this.#expr(value);
    } catch {
      throw new NoCounterpart(`the number ${quoteName(value.text)} depends on sizes in a way that is not supported`);
    }
    if ([...freeSymbols(expr)].some((s) => /^z[uf]/.test(s.name))) {
      throw new NoCounterpart("numbers that are read out of float tensors are not supported");
    }
    return this.context.shapes.size(expr);
  }

  complex(real: number, imaginary: number): Argument {
    const node = complexNode(this.graph, real, imaginary, this.context.device ?? cpu);
    this.numbers.add(node);
    return node;
  }

  device(data: DeviceData): Device | null {
    const found = deviceOf(data);
    return found === null || found.type === "meta" ? found : this.context.device ?? found;
  }

  /** The condition of this name. */
  protected condition(name: string): BoolExpr {
    const value = this.data.symBoolValues.get(name);
    if (value === undefined) return this.#undefined("condition", name);
    return typeof value === "boolean" ? asBool(value) : this.context.shapes.parseBool(value.text);
  }

  #undefined(what: string, name: string): never {
    return (this.at ?? this.data.cursor).fail(
      `the ${what} ${quoteName(name)} is used before anything defines it (a cycle, or a missing node)`,
    );
  }
}
