/**
 * The tracer: runs a function once and writes down the graph of what it did to tensors.
 *
 * It is a dispatch mode. Real tensors become twins whose node is an input or an attribute of the graph; operators on twins append calls. Values that the
 * function reads from its arguments, its closure and known objects go through {@linkcode Tracer.wrap}, which leaves checks at their sources. Nothing
 * real is written while tracing, so a trace that throws leaves no mark. Mirrors `torch._dynamo`'s OutputGraph with FX's proxy tensors.
 */
import { hasGradHooks } from "../autograd/mod.ts";
import { InternalError } from "../core/mod.ts";
import { type Argument, type CallNode, Graph, type Node, type TensorMeta } from "../graph/mod.ts";
import type { ArgValue, NamedArgs, Operator } from "../ops/mod.ts";
import { isSymInt } from "../symbolic/mod.ts";
import {
  decompose,
  type DispatchMode,
  inferMeta,
  isDType,
  isGradEnabled,
  isTensor,
  type OpResult,
  Storage,
  Tensor,
  withMode,
} from "../tensor/mod.ts";
import { isCollection, proxyCollection } from "./collections.ts";
import { DATA_REMEDY, GraphBreak, noteLocation, SHAPE_REMEDY } from "./graph_break.ts";
import { isIntrinsic } from "./intrinsics.ts";
import { settingOf } from "./settings.ts";
import { isLibraryFunction, isLibraryInstance, isLibraryNamespace } from "./library.ts";
import { type LiftedTensor, LiftedTensors, type TracePolicy } from "./lifted_tensors.ts";
import { proxyObject, type ProxyRecord, type Tracing } from "./objects.ts";
import type { ShapeEnv } from "./shape_env.ts";
import { type NotedCall, notedCall } from "./noted_call.ts";
import { type Source, SourceTree } from "./source.ts";
import { isOpaque, isPlainConstant, isProxy } from "./values.ts";

/** How functions and classes found by the trace are called. */
export interface FunctionPolicy {
  // deno-lint-ignore ban-types
  prepare(fn: Function, stated?: null, home?: object | null): Function;
  // deno-lint-ignore ban-types
  pin(cls: Function): void;
  readonly assigned: readonly { readonly write: (value: unknown) => void; readonly value: unknown }[];
}

/** A remark for `explain`: what capture could not see or guard. */
export interface Remark {
  readonly message: string;
}

/** One trace. */
export class Tracer implements DispatchMode, Tracing {
  readonly name = "capture";
  readonly graph: Graph = new Graph();
  readonly sources: SourceTree = new SourceTree();
  readonly env: ShapeEnv;
  /** Calls that were made while the tape was recording. */
  readonly recorded: Set<Node> = new Set();
  readonly remarks: Remark[] = [];
  /** Proxied objects that were written to. */
  readonly written: Set<ProxyRecord> = new Set();
  /** The first break, even if the function caught it. */
  graphBreak: GraphBreak | null = null;
  readonly #tensors: LiftedTensors;
  readonly #proxies = new Map<object, object>();
  readonly #records = new Map<object, ProxyRecord>();
  readonly #functions = new Map<unknown, unknown>();
  readonly #realFunctions = new Map<unknown, unknown>();
  #policyOfFunctions: FunctionPolicy | null = null;
  /** Writers of private members, by the symbol under which they stand in overlays. */
  readonly privateWriters: Map<symbol, (object: object, value: unknown) => void> = new Map();
  /** A class that compares by identity and runs as it is. */
  comparesUnseen: string | null = null;
  /** Calls to repeat after each run, in order. */
  readonly calls: NotedCall[] = [];
  /** Whether objects were compared, so that different ones must stay different. */
  comparedObjects = false;
  #writes = 0;
  #keptHere: string | null = null;

  constructor(env: ShapeEnv, policy: TracePolicy) {
    this.env = env;
    this.#tensors = new LiftedTensors(this.graph, this.sources, env, policy);
  }

  /** Sets how functions that the trace reads are prepared. */
  setFunctions(policy: FunctionPolicy): void {
    this.#policyOfFunctions = policy;
  }

  /** Outer variables that the trace assigned. */
  assigned(): FunctionPolicy["assigned"] {
    return this.#policyOfFunctions?.assigned ?? [];
  }

  /** The objects behind proxies. */
  get records(): readonly ProxyRecord[] {
    return [...this.#records.values()];
  }

  /** Gives a tensor that is found by identity the name of its variable. */
  nameTensor(t: Tensor, name: string): void {
    this.#tensors.name(t, name);
  }

  /** The tensors that entered, in order. */
  get lifted(): readonly LiftedTensor[] {
    return this.#tensors.all;
  }

  /** The lifted tensor that a twin stands for. */
  liftedOf(twin: Tensor): LiftedTensor | null {
    return this.#tensors.ofTwin(twin);
  }

  /** The record behind a proxy of this trace. */
  recordOf(proxy: object): ProxyRecord | null {
    return this.#records.get(proxy) ?? null;
  }

  /** Why no other process may use what is captured here, or null. */
  get keptHere(): string | null {
    return this.#keptHere;
  }

  /** Notes that another process could not check again what the trace relies on. */
  keepHere(reason: string): void {
    this.#keptHere ??= reason;
  }

  /** Throws a break and remembers it. */
  breakGraph(reason: string, remedy: string): never {
    const error = new GraphBreak(reason, remedy);
    this.graphBreak ??= error;
    throw error;
  }

  /** Notes once what capture cannot see. */
  remark(message: string): void {
    if (!this.remarks.some((r) => r.message === message)) this.remarks.push({ message });
  }

  // --- Values from sources ---

  /** What the program sees for the value found at `source`; leaves the checks that make it valid again. */
  wrap(value: unknown, source: Source): unknown {
    if (typeof value === "object" && value !== null) return this.#wrapObject(value, source);
    source.check({ kind: "identical", value });
    return typeof value === "function" ? this.function(value) : value;
  }

  #wrapObject(value: object, source: Source): unknown {
    if (this.#records.has(value)) return value;
    // First of all, because any other question would be the Proxy's to answer.
    if (isProxy(value)) {
      return this.breakGraph(
        `${source} is a Proxy of the program's own, whose traps cannot be guarded`,
        "pass the object behind it",
      );
    }
    if (isTensor(value)) {
      return this.liftedOf(value) !== null || this.owns(value) ? value : this.lift(value, source).twin;
    }
    if (isDType(value) || isSymInt(value) || isPlainConstant(value) || isLibraryNamespace(value)) {
      source.check({ kind: "identical", value });
      return value;
    }
    const known = this.#proxies.get(value);
    if (known !== undefined) {
      const first = this.#records.get(known)?.source;
      if (first !== undefined && first !== source) source.check({ kind: "same", other: first });
      return known;
    }
    if (source.key.kind !== "constant") {
      source.check({ kind: "prototype", prototype: Reflect.getPrototypeOf(value) });
    }
    if (isOpaque(value)) return this.#wrapOpaque(value, source);
    return isCollection(value) ? proxyCollection(value, source, this) : proxyObject(value, source, this);
  }

  /** Objects whose content lives in engine slots: any use of them would freeze what they hold now. */
  #wrapOpaque(value: object, source: Source): object {
    const kind = Object.prototype.toString.call(value).slice(8, -1);
    const refuse = (): never =>
      this.breakGraph(
        `the function uses ${source}, a ${kind}, whose content cannot be guarded`,
        "pass tensors, numbers or plain objects into the compiled function, or do this outside of it",
      );
    source.check({ kind: "identical", value });
    const proxy = new Proxy(value, { get: refuse, set: refuse, has: refuse, ownKeys: refuse });
    this.register(proxy, {
      real: value,
      source,
      overlay: new Map(),
      again: new Set(),
      collection: null,
      appended: null,
    });
    return proxy;
  }

  /** What the program sees for a function. */
  // deno-lint-ignore ban-types
  function(fn: Function): unknown {
    let seen = this.#functions.get(fn);
    if (seen === undefined) {
      seen = this.#functionView(fn);
      this.#functions.set(fn, seen);
      this.#realFunctions.set(seen, fn);
    }
    return seen;
  }

  // deno-lint-ignore ban-types
  #functionView(fn: Function): unknown {
    const policy = this.#policyOfFunctions;
    const setting = settingOf(fn);
    if (setting !== null) {
      return () =>
        this.breakGraph(`${setting}, which a graph would not do again`, "call it outside of the compiled function");
    }
    if (policy === null || isLibraryFunction(fn) || this.#realFunctions.has(fn)) return fn;
    if (isIntrinsic(fn)) return policy.prepare(fn);
    if (isProxy(fn)) {
      return this.breakGraph("a Proxy of the program's own is called", "pass the object behind it");
    }
    const source = this.sources.root({ kind: "constant", value: fn, name: fn.name || "function" });
    return proxyObject(fn, source, this, {
      apply: (self, args) => Reflect.apply(policy.prepare(fn), self, args),
      construct: (args, newTarget) => {
        policy.pin(fn);
        const target = policy.prepare(fn);
        // deno-lint-ignore ban-types
        return Reflect.construct(target, args, newTarget === fn ? fn : newTarget as Function);
      },
    });
  }

  // deno-lint-ignore ban-types
  method(fn: Function, home: object): Function {
    return this.#policyOfFunctions?.prepare(fn, null, home) ?? fn;
  }

  isLibraryInstance(object: object): boolean {
    return isLibraryInstance(object);
  }

  /** The real function that a prepared one stands for, or null. */
  // deno-lint-ignore ban-types
  realFunction(fn: Function): unknown {
    return this.#realFunctions.get(fn) ?? null;
  }

  unwrap(value: unknown): unknown {
    if (value instanceof Tensor) return this.liftedOf(value)?.real ?? value;
    if (typeof value === "object" && value !== null) return this.#records.get(value)?.real ?? value;
    if (typeof value === "function") return this.#realFunctions.get(value) ?? value;
    return value;
  }

  /** Notes a call that prints its arguments. */
  noteCall(object: object, key: string, args: readonly unknown[]): void {
    const call = notedCall(this, object, key, args);
    // Below the objects that it prints anything might change.
    if (call.used.size > 0) this.comparedObjects = true;
    this.calls.push(call);
  }

  /** Changes whenever the trace writes, draws, prints or assigns anything. */
  mark(): string {
    const versions = this.lifted.reduce((n, l) => n + l.twin.storage.version, 0);
    let writes = 0;
    for (const record of this.written) writes += record.overlay.size + (record.collection?.size ?? 0) + 1;
    return [this.#writes, writes, versions, this.calls.length, this.assigned().length].join();
  }

  pinIdentity(seen: unknown, real: object): void {
    this.comparedObjects = true;
    const source = seen instanceof Tensor
      ? this.liftedOf(seen)?.source ?? null
      : typeof seen === "object" && seen !== null
      ? this.#records.get(seen)?.source ?? null
      : null;
    if (source !== null && source.key.kind !== "constant") source.check({ kind: "identical", value: real });
  }

  register(proxy: object, record: ProxyRecord): void {
    this.#records.set(proxy, record);
    this.#proxies.set(record.real, proxy);
  }

  noteWrite(record: ProxyRecord): void {
    this.#writes++;
    this.written.add(record);
  }

  /** Remembers that an outer variable was written to. */
  noteAssignment(): void {
    this.#writes++;
  }

  // --- Tensors ---

  /** Tells whether a tensor was made by this trace. */
  owns(t: Tensor): boolean {
    return this.#tensors.owns(t);
  }

  /** Gives a real tensor its place in the graph. */
  lift(real: Tensor, from: Source | null): LiftedTensor {
    return this.#tensors.lift(real, from);
  }

  /** A tensor made inside the function from plain data: each call needs a fresh one, so the graph copies it. */
  isFresh(t: Tensor): boolean {
    return this.#tensors.isFresh(t);
  }

  // --- DispatchMode ---

  wrapInput(t: Tensor): Tensor {
    if (t.wrapped !== null || this.liftedOf(t) !== null || this.owns(t)) return t;
    return this.lift(t, null).twin;
  }

  dispatch(op: Operator, args: NamedArgs<Tensor>): OpResult {
    if (op.isDataDependent) {
      this.breakGraph(
        `${op.schema.name}: the shape of its result depends on data`,
        SHAPE_REMEDY,
      );
    }
    const isParts = op.schema.returns[0]?.list === true;
    if (op.decompose !== null && op.view === null && mayAlias(op) && (isParts || !this.#isTaped(op, args))) {
      // What such an operator returns may be (a view of) its argument; its parts say which.
      return withMode(this, () => decompose(op, args));
    }
    const call = op.schema.args.map((arg) => this.#argument(args[arg.key] ?? null));
    const location = noteLocation();
    const mutated = op.schema.args.find((a) => a.mutated);
    if (mutated !== undefined) {
      const self = args[mutated.key];
      if (!(self instanceof Tensor)) throw new InternalError(`${op.target}: nothing to write to`);
      this.#refuseFreshWrite(self);
      this.#record(this.graph.call(op, call, metaOf(self), location));
      return self;
    }
    const metas = inferMeta(op, args);
    const { returns } = op.schema;
    const many = returns.length > 1 || returns[0]?.list === true;
    const first = metas[0];
    // A list of results may be empty (pieces of nothing): then there is nothing to record.
    if (first === undefined && many) return [];
    if (first === undefined) throw new InternalError(`${op.target}: meta gave no result`);
    const node = this.#record(this.graph.call(op, call, many ? metas : first, location));
    const outs = metas.map((meta, i) => {
      const own = many ? this.graph.getItem(node, i, meta) : node;
      const out = new Tensor({ ...meta, storage: new Storage(null), node: own });
      this.#tensors.own(out);
      return out;
    });
    return many ? outs : outs[0] as Tensor;
  }

  /** Whether the tape records this operator as a whole: then its results are tensors of their own, as in eager. */
  #isTaped(op: Operator, args: NamedArgs<Tensor>): boolean {
    if (op.vjp === null || !isGradEnabled()) return false;
    return op.schema.args.some((a) => {
      const v = args[a.key];
      return v instanceof Tensor && v.requiresGrad;
    });
  }

  #record(node: CallNode): CallNode {
    this.#tensors.noteCall(node);
    if (isGradEnabled()) this.recorded.add(node);
    return node;
  }

  /** Writing to a constant of the trace would change it for later calls. */
  #refuseFreshWrite(self: Tensor): void {
    let root = self;
    while (root.viewOf !== null) root = root.viewOf.base;
    const lifted = this.liftedOf(root);
    if (lifted === null || lifted.source !== null || !this.isFresh(lifted.real)) return;
    this.breakGraph(
      "a tensor that the function makes from plain data is written in place",
      "make it with zeros(), full() or clone() first",
    );
  }

  #argument(value: ArgValue<Tensor>): Argument {
    if (value instanceof Tensor) {
      if (value.wrapped !== null) return value.wrapped;
      if (value.node === null || !this.owns(value)) throw new InternalError("a tensor without a node met the tracer");
      return value.node;
    }
    if (Array.isArray(value)) return value.map((v: ArgValue<Tensor>) => this.#argument(v));
    return value as Argument;
  }

  gradOwner(t: Tensor): Tensor {
    const owner = this.#tensors.gradOwner(t);
    const lifted = this.liftedOf(owner);
    if (lifted !== null) this.refuseHooks(lifted);
    return owner;
  }

  /** Hooks of a tensor from outside belong to the program: they run, or are put there, at each call. */
  refuseHooks({ real, twin, source }: LiftedTensor): void {
    if (!hasGradHooks(real) && !hasGradHooks(twin)) return;
    this.breakGraph(
      `the gradient of ${source ?? "a tensor"} has a hook`,
      "change the gradient after backward() instead, or call backward() outside of the compiled function",
    );
  }

  materialize(t: Tensor, reason: string): Tensor {
    const lifted = this.liftedOf(t);
    const real = lifted?.real ?? (t.node === null && t.isDense ? t : null);
    // Data that the function itself wrote down are constants.
    if (real !== null && this.isFresh(real) && (lifted === null || lifted.source === null)) return real;
    return this.breakGraph(
      `${reason} takes data out of the graph`,
      DATA_REMEDY,
    );
  }

  trackNumber(object: object, key: PropertyKey): Tensor | null {
    const record = this.#records.get(object) ?? null;
    const name = typeof key === "number" ? String(key) : key;
    const value: unknown = Reflect.getOwnPropertyDescriptor(record?.real ?? object, name)?.value;
    if (typeof value !== "number" || record?.overlay.has(name) === true) return null;
    const source = record?.source ?? this.#sourceOfReal(object);
    return this.#tensors.number(value, source.child({ kind: "property", key: name }));
  }

  #sourceOfReal(object: object): Source {
    const name = Reflect.getPrototypeOf(object)?.constructor?.name ?? "object";
    return this.sources.root({ kind: "constant", value: object, name });
  }

  trackRead(object: object, key: PropertyKey, value: unknown): unknown {
    const record = this.#records.get(object);
    // Read through a proxy: its trap has checked the value already.
    if (record !== undefined) return value;
    if (this.liftedOf(object as Tensor) !== null) return value;
    return this.wrap(
      value,
      this.#sourceOfReal(object).child({ kind: "property", key: typeof key === "number" ? String(key) : key }),
    );
  }
}

/** Results may share memory with an argument that is not written. */
export function mayAlias(op: Operator): boolean {
  return op.schema.args.some((a) => a.alias !== null && !a.mutated);
}

/** A description of a tensor, without the tensor. */
export function metaOf(t: Tensor): TensorMeta {
  const { shape, stride, storageOffset, dtype, device } = t;
  return { shape, stride, storageOffset, dtype, device };
}
