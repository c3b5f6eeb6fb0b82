/**
 * Records part of a trace as a graph of its own: a branch, the body of a loop, a region.
 *
 * It is a mode above the tracer. Tensors from outside become operands when they are first used; operators on them are calls of the sub-graph, and what is written in
 * place is noted by operand. Nothing is taped here: which calls were made while the tape was on is noted, and the graph is differentiated later, as a whole.
 * What a sub-graph cannot say throws {@linkcode CannotCapture}. Mirrors `speculate_subgraph` of TorchDynamo.
 */
import { InternalError } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  Graph,
  type Node,
  type PlaceholderNode,
  type TensorMeta,
} from "../../graph/mod.ts";
import { type ArgValue, getOp, type NamedArgs, type Operator } from "../../ops/mod.ts";
import { contiguousStride, sizeSame } from "../../symbolic/mod.ts";
import {
  activeMode,
  decompose,
  type DispatchMode,
  inferMeta,
  isGradEnabled,
  type OpResult,
  Storage,
  suspendMode,
  Tensor,
  withMode,
} from "../../tensor/mod.ts";
import { noteLocation } from "../graph_break.ts";
import { mayAlias, metaOf, Tracer } from "../tracer.ts";

/** Why something cannot be a sub-graph, and what to do. */
export class CannotCapture extends Error {
  override readonly name = "CannotCapture";
  readonly remedy: string;

  constructor(reason: string, remedy: string) {
    super(reason);
    this.remedy = remedy;
  }
}

/** A tensor from outside. */
export interface Operand {
  readonly node: PlaceholderNode;
  readonly twin: Tensor;
}

/** Tells whether a tensor's elements lie in row-major order without gaps. */
export function isRowMajor(t: Tensor): boolean {
  const usual = contiguousStride(t.shape);
  return t.stride.every((s, i) => sizeSame(t.shape[i] ?? 0, 1) || sizeSame(s, usual[i] ?? 0));
}

/** The trace that a mode belongs to: a branch is part of the function around it. */
export function tracerOf(mode: DispatchMode | null): Tracer | null {
  if (mode instanceof Tracer) return mode;
  return mode instanceof SubTracer ? mode.tracer : null;
}

/** Whether a gradient flows to a tensor of a mode. */
export function isFollowed(mode: DispatchMode | null, t: Tensor): boolean {
  if (t.requiresGrad) return true;
  // A branch is called with tensors of the graph around it.
  return mode instanceof SubTracer && (mode.follows(t) || isFollowed(mode.outer, t));
}

/** Records one graph. */
export class SubTracer implements DispatchMode {
  readonly name = "sub-graph";
  readonly graph: Graph = new Graph();
  /** Calls that were made while the tape was on. */
  readonly recorded: Set<Node> = new Set();
  /** Tensors from outside, in order of first use. */
  readonly operands: Map<Tensor, Operand> = new Map();
  /** Of those, the ones that were written, and whether a gradient flows through what was written. */
  readonly written: Map<Tensor, boolean> = new Map();
  /** Where tensors from outside come from; null if there may be none. */
  readonly outer: DispatchMode | null;
  /** The trace that this is part of. */
  readonly tracer: Tracer | null;
  /** Why this cannot be a sub-graph, even if the function caught it. */
  problem: CannotCapture | null = null;
  readonly #keepsLayout: boolean;
  readonly #twins = new Map<Tensor, Tensor>();
  readonly #owned = new WeakSet<Tensor>();
  readonly #inputTwins: Tensor[] = [];
  /** Tensors that a gradient flows through, and memory that such a value was written to. */
  readonly #taped = new WeakSet<Tensor>();
  readonly #tapedStorages = new WeakSet<Storage>();
  #firstCall: CallNode | null = null;

  /** `keepsLayout`: operands and results have the strides that they have outside; else they are contiguous. */
  constructor(outer: DispatchMode | null, keepsLayout = false) {
    this.outer = outer;
    this.tracer = tracerOf(outer);
    this.#keepsLayout = keepsLayout;
  }

  /** Gives up. */
  stop(reason: string, remedy: string): never {
    const error = new CannotCapture(reason, remedy);
    this.problem ??= error;
    throw error;
  }

  /** Declares an input of its own. */
  input(name: string, meta: TensorMeta): Operand {
    const make = (): PlaceholderNode => this.graph.placeholder(name, meta);
    const node = this.#firstCall === null ? make() : this.graph.insertBefore(this.#firstCall, make);
    return { node, twin: this.#tensor(meta, node) };
  }

  /** Whether a tensor was made here. */
  owns(t: Tensor): boolean {
    return this.#owned.has(t);
  }

  /** The node behind a tensor of this graph. */
  nodeOf(t: Tensor): Node {
    if (t.node === null || !this.#owned.has(t)) throw new InternalError("a tensor of another graph met a sub-graph");
    return t.node;
  }

  /** Results with memory of their own: what is an operand, a view of one, or shares memory with a result before it is copied. */
  results(tensors: readonly Tensor[]): Tensor[] {
    const taken = new Set<Storage>([...this.operands.values()].map((o) => o.twin.storage));
    for (const node of this.#inputTwins) taken.add(node.storage);
    const clone = getOp("aten.clone.default");
    return tensors.map((given) => {
      const t = suspendMode(this, () => this.wrapInput(given));
      const fits = !taken.has(t.storage) && (this.#keepsLayout || isRowMajor(t));
      const memoryFormat = this.#keepsLayout ? null : "contiguous_format";
      const own = fits ? t : suspendMode(this, () => this.dispatch(clone, { self: t, memoryFormat })) as Tensor;
      taken.add(own.storage);
      return own;
    });
  }

  #tensor(meta: TensorMeta, node: Node): Tensor {
    const t = new Tensor({ ...meta, storage: new Storage(null), node });
    this.#owned.add(t);
    if (node.op === "placeholder") this.#inputTwins.push(t);
    return t;
  }

  // --- DispatchMode ---

  wrapInput(given: Tensor): Tensor {
    if (given.wrapped !== null || this.#owned.has(given)) return given;
    const { outer } = this;
    if (outer === null) return this.stop("a gradient rule brings in a tensor with data", "compute without a gradient");
    let t = this.#twins.get(given);
    if (t === undefined) {
      t = suspendMode(outer, () => outer.wrapInput(given));
      this.#twins.set(given, t);
    }
    let operand = this.operands.get(t);
    if (operand === undefined) {
      const { shape, dtype, device } = t;
      const stride = this.#keepsLayout ? t.stride : contiguousStride(shape);
      operand = this.input(t.node?.name ?? "operand", { shape, stride, storageOffset: 0, dtype, device });
      this.operands.set(t, operand);
      if (isFollowed(outer, t)) this.#taped.add(operand.twin);
    }
    return operand.twin;
  }

  dispatch(op: Operator, args: NamedArgs<Tensor>): OpResult {
    if (op.isDataDependent) {
      return this.stop(`${op.schema.name} gives a result whose shape depends on data`, "call it outside");
    }
    if (op.decompose !== null && op.view === null && mayAlias(op)) {
      return withMode(this, () => decompose(op, args));
    }
    const call = op.schema.args.map((arg) => this.#argument(args[arg.key] ?? null));
    const mutated = op.schema.args.find((a) => a.mutated);
    if (mutated !== undefined) {
      const self = args[mutated.key];
      if (!(self instanceof Tensor)) throw new InternalError(`${op.target}: nothing to write to`);
      const taped = this.#isTaped(op, args);
      if (taped) this.#tapedStorages.add(self.storage);
      for (const [outside, { twin }] of this.operands) {
        if (twin.storage === self.storage) this.written.set(outside, taped || this.written.get(outside) === true);
      }
      this.#record(this.graph.call(op, call, metaOf(self), noteLocation()));
      return self;
    }
    const metas = inferMeta(op, args);
    const { returns } = op.schema;
    const many = returns.length > 1 || returns[0]?.list === true;
    const [first] = metas;
    // A list of results may be empty (pieces of nothing): then there is nothing to record.
    if (first === undefined && many) return [];
    if (first === undefined) throw new InternalError(`${op.target}: meta gave no result`);
    const node = this.#record(this.graph.call(op, call, many ? metas : first, noteLocation()));
    const outs = metas.map((meta, i) => this.#tensor(meta, many ? this.graph.getItem(node, i, meta) : node));
    if (this.#isTaped(op, args)) { for (const out of outs) if (out.dtype.isFloat) this.#taped.add(out); }
    return many ? outs : outs[0] as Tensor;
  }

  /** Whether a gradient flows to a tensor of this graph: it is no leaf of any tape, but what comes from outside may be. */
  follows(t: Tensor): boolean {
    return this.#taped.has(t) || this.#tapedStorages.has(t.storage);
  }

  /** Says that a gradient flows to an input of its own. */
  follow(twin: Tensor): void {
    this.#taped.add(twin);
  }

  /** Whether a gradient would flow through a call. */
  #isTaped(op: Operator, args: NamedArgs<Tensor>): boolean {
    if (!isGradEnabled() || op.schema.name === "detach") return false;
    const flows = (v: unknown): boolean => v instanceof Tensor ? this.follows(v) : Array.isArray(v) && v.some(flows);
    return op.schema.args.some((a) => a.type === "Tensor" && flows(args[a.key]));
  }

  #record(node: CallNode): CallNode {
    this.#firstCall ??= node;
    if (isGradEnabled()) this.recorded.add(node);
    return node;
  }

  #argument(value: ArgValue<Tensor>): Argument {
    if (value instanceof Tensor) return value.wrapped !== null ? value.wrapped : this.nodeOf(value);
    if (Array.isArray(value)) return value.map((v: ArgValue<Tensor>) => this.#argument(v));
    return value as Argument;
  }

  gradOwner(_: Tensor): Tensor {
    return this.stop("reads or writes .grad", "do it outside");
  }

  materialize(t: Tensor, reason: string): Tensor {
    const { outer } = this;
    if (outer === null || this.#owned.has(t)) return this.stop(reason, "keep data as tensors inside");
    return suspendMode(outer, () => outer.materialize(t, reason));
  }

  trackRead(object: object, key: PropertyKey, value: unknown): unknown {
    const { outer } = this;
    return outer === null ? value : suspendMode(outer, () => outer.trackRead(object, key, value));
  }

  trackNumber(object: object, key: PropertyKey): Tensor | null {
    const { outer } = this;
    return outer === null ? null : suspendMode(outer, () => outer.trackNumber?.(object, key) ?? null);
  }

  customGradient(name: string): void {
    this.stop(`${name} has a gradient of its own`, "call it outside");
  }
}

/** The trace in force, and the mode at its top; null where functions run as they are. */
export function tracing(): { readonly tracer: Tracer; readonly mode: DispatchMode } | null {
  const mode = activeMode();
  const tracer = tracerOf(mode);
  return mode === null || tracer === null ? null : { tracer, mode };
}
