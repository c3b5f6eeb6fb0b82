/**
 * The tensors of a trace: real ones that entered, with their twins and places in the graph, and those that the trace made.
 *
 * A tensor that comes with a call is an input, fetched from its source at each call; one that an object or closure holds is an attribute of the graph, until it has
 * been another one. What the function makes from plain data has no source. Twins of views share a storage as the tensors do.
 */
import { cpu, float64 } from "../core/mod.ts";
import type { CallNode, Graph, Node, TensorMeta } from "../graph/mod.ts";
import { exprOf } from "../symbolic/mod.ts";
import { autogradMeta, emptyTensor, Storage, storageClock, Tensor, writeElements } from "../tensor/mod.ts";
import type { InputSizes } from "./dynamic.ts";
import type { ShapeEnv } from "./shape_env.ts";
import type { Source, SourceTree } from "./source.ts";
import { isPlainPrototype } from "./values.ts";

/** A real tensor that entered the trace, and what stands for it. */
export interface LiftedTensor {
  readonly real: Tensor;
  readonly twin: Tensor;
  readonly node: Node;
  /** Null for tensors found by identity alone, as constants made in the function. */
  readonly source: Source | null;
  /** An attribute is the same tensor at each call; an input is fetched from its source; a number becomes a tensor at each call. */
  readonly kind: "input" | "attribute" | "number";
  /** The real `.grad` at the start, once it was asked for. */
  grad: { readonly twin: Tensor | null } | null;
}

/** What a tracer asks of the function cache. */
export interface TracePolicy {
  /** Sizes of an input tensor: numbers where they are static. */
  sizesOf(source: Source, t: Tensor, env: ShapeEnv): InputSizes;
  /** Whether the tensor at this source was another one before, so that it must be an input. */
  variesAt(source: Source): boolean;
  /** Remembers which tensor stood at a source. */
  noteTensor(source: Source, t: Tensor): void;
  /** Whether the number at this source was another one before, so that it must be an input. */
  numberVaries(source: Source, value: number): boolean;
}

/** A number as compiled graphs take it: 0-dim, float64, on the CPU. */
export function numberTensor(value: number): Tensor {
  const t = emptyTensor([], [], float64, cpu);
  writeElements(t, new Float64Array([value]));
  return t;
}

/** Keeps the tensors of one trace. */
export class LiftedTensors {
  readonly #graph: Graph;
  readonly #sources: SourceTree;
  readonly #env: ShapeEnv;
  readonly #policy: TracePolicy;
  readonly #lifted = new Map<Tensor, LiftedTensor>();
  readonly #byTwin = new Map<Tensor, LiftedTensor>();
  readonly #byStorage = new Map<Storage, Storage>();
  readonly #numbers = new Map<Source, Tensor>();
  readonly #owned = new WeakSet<Tensor>();
  readonly #names = new Map<Tensor, string>();
  /** How often each attribute path was asked for. */
  readonly #paths = new Map<string, number>();
  #firstCall: CallNode | null = null;
  readonly #start = storageClock();

  constructor(graph: Graph, sources: SourceTree, env: ShapeEnv, policy: TracePolicy) {
    this.#graph = graph;
    this.#sources = sources;
    this.#env = env;
    this.#policy = policy;
  }

  /** The tensors that entered, in order. */
  get all(): readonly LiftedTensor[] {
    return [...this.#lifted.values()];
  }

  /** The lifted tensor that a twin stands for. */
  ofTwin(twin: Tensor): LiftedTensor | null {
    return this.#byTwin.get(twin) ?? null;
  }

  /** Gives a tensor that is found by identity the name of its variable. */
  name(t: Tensor, name: string): void {
    if (!this.#names.has(t)) this.#names.set(t, name);
  }

  /** Notes a tensor that the trace made. */
  own(t: Tensor): Tensor {
    this.#owned.add(t);
    return t;
  }

  /** Notes a call of the graph: inputs and attributes stand before the first. */
  noteCall(node: CallNode): void {
    this.#firstCall ??= node;
  }

  /** Tells whether a tensor was made by this trace. */
  owns(t: Tensor): boolean {
    return this.#owned.has(t);
  }

  /** Gives a real tensor its place in the graph. */
  lift(real: Tensor, from: Source | null): LiftedTensor {
    const known = this.#lifted.get(real);
    if (known !== undefined) {
      if (from !== null && from !== known.source) this.#checkAgain(known, from);
      return known;
    }
    // A tensor that was there before is known by its identity; what the function made itself has no source.
    const source = from ?? (this.isFresh(real) ? null : this.#constantSource(real));
    if (real.node !== null) {
      throw new TypeError("capture: a tensor of another capture is used; return it from that function instead");
    }
    if (source !== null && source.key.kind !== "grad" && source.key.kind !== "constant") {
      this.#policy.noteTensor(source, real);
    }
    const isInput = source !== null && this.#isInput(real, source);
    const requiresGrad = real.requiresGrad;
    let node: Node;
    if (isInput && source !== null) {
      const { shape, stride } = this.#policy.sizesOf(source, real, this.#env);
      source.check({
        kind: "tensor",
        dtype: real.dtype,
        device: real.device,
        requiresGrad,
        shape: shape.map(exprOf),
        stride: stride.map((s, i) => shape[i] === 1 ? null : exprOf(s)),
      });
      const meta: TensorMeta = { shape, stride, storageOffset: 0, dtype: real.dtype, device: real.device };
      node = this.#early(() => this.#graph.placeholder(nameOf(source), meta));
    } else {
      if (source !== null) {
        if (source.key.kind !== "constant") source.check({ kind: "identical", value: real });
        source.check({ kind: "requiresGrad", value: requiresGrad });
      }
      const { shape, stride, dtype, device } = real;
      const path = this.#attributePath(source);
      node = this.#early(() => this.#graph.getAttr(path, { shape, stride, storageOffset: 0, dtype, device }));
    }
    const twin = this.#twin(real, node);
    const lifted: LiftedTensor = { real, twin, node, source, kind: isInput ? "input" : "attribute", grad: null };
    this.#lifted.set(real, lifted);
    this.#byTwin.set(twin, lifted);
    return lifted;
  }

  /** The twin of a number that changes between calls; null while it has not. */
  number(value: number, source: Source): Tensor | null {
    if (!this.#policy.numberVaries(source, value)) return null;
    let twin = this.#numbers.get(source);
    if (twin === undefined) {
      source.check({ kind: "number" });
      const real = numberTensor(value);
      const meta: TensorMeta = { shape: [], stride: [], storageOffset: 0, dtype: real.dtype, device: real.device };
      const node = this.#early(() => this.#graph.placeholder(nameOf(source), meta));
      this.#numbers.set(source, twin = this.#twin(real, node));
      const lifted: LiftedTensor = { real, twin, node, source, kind: "number", grad: null };
      this.#lifted.set(real, lifted);
      this.#byTwin.set(twin, lifted);
    }
    return twin;
  }

  #checkAgain(known: LiftedTensor, source: Source): void {
    if (known.kind === "attribute") source.check({ kind: "identical", value: known.real });
    else if (known.source !== null) source.check({ kind: "same", other: known.source });
  }

  /** Inputs are tensors that callers hand over; what objects hold is the same tensor at each call, until it is not. */
  #isInput(real: Tensor, source: Source): boolean {
    if (this.#policy.variesAt(source) || source.key.kind === "grad") return true;
    if (real.isParameter) return false;
    for (let at: Source | null = source; at !== null; at = at.parent) {
      if (at.key.kind === "constant") return false;
      const prototype = at.checks.find((c) => c.kind === "prototype");
      if (at !== source && prototype !== undefined && !isPlainPrototype(prototype.prototype)) return false;
    }
    return true;
  }

  #attributePath(source: Source | null): string {
    const wanted = source?.toString() ?? "constant";
    const count = this.#paths.get(wanted) ?? 0;
    this.#paths.set(wanted, count + 1);
    // Paths of sources hold no "#", so this one is free.
    return count === 0 ? wanted : `${wanted}#${count}`;
  }

  #twin(real: Tensor, node: Node): Tensor {
    const meta = node.value as TensorMeta;
    let storage = this.#byStorage.get(real.storage);
    if (storage === undefined) this.#byStorage.set(real.storage, storage = new Storage(null));
    const twin = new Tensor({ ...meta, storage, node });
    if (real.requiresGrad) autogradMeta(twin).requiresGrad = true;
    twin.isParameter = real.isParameter;
    this.#owned.add(twin);
    return twin;
  }

  /** Places inputs and attributes before the first call. */
  #early<N extends Node>(make: () => N): N {
    return this.#firstCall === null ? make() : this.#graph.insertBefore(this.#firstCall, make);
  }

  /** A tensor made inside the function from plain data: each call needs a fresh one, so the graph copies it. */
  isFresh(t: Tensor): boolean {
    return t.storage.id >= this.#start;
  }

  /** The twin whose gradient stands for that of a tensor. */
  gradOwner(t: Tensor): Tensor {
    if (this.owns(t) && !this.#byTwin.has(t)) return t;
    const lifted = this.#byTwin.get(t) ?? this.lift(t, null);
    if (lifted.grad === null) {
      const source = lifted.source ?? this.#constantSource(lifted.real);
      if (lifted.real.requiresGrad) source.check({ kind: "unhooked" });
      const real = lifted.real.autograd?.grad ?? null;
      const at = source.child({ kind: "grad" });
      if (real === null) at.check({ kind: "identical", value: null });
      const twin = real === null ? null : this.lift(real, at).twin;
      lifted.grad = { twin };
      if (twin !== null) autogradMeta(lifted.twin).grad = twin;
    }
    return lifted.twin;
  }

  #constantSource(t: Tensor): Source {
    return this.#sources.root({ kind: "constant", value: t, name: this.#names.get(t) ?? "constant" });
  }
}

function nameOf(source: Source): string {
  const text = source.toString();
  return text.replace(/^args\[(\d+)\]/, "arg$1").replace(/[^A-Za-z0-9_]+/g, "_");
}
