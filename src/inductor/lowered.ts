/**
 * What lowering knows of one tensor of the graph: where its elements are, or how they are computed.
 *
 * A {@linkcode LoweredTensor} is in memory (a buffer and a layout), lazy (a value at an index), or a view of another one. Loads of
 * lazy tensors inline by substitution; a lazy tensor is realised at most once, and whoever loads it later reads memory. Views never
 * copy: over memory they are stride arithmetic where that is possible and re-indexed loads where it is not.
 * Mirrors `TensorBox`, `StorageBox`, `BaseView` and `Layout` of TorchInductor, without mutation.
 */
import { type DType, InternalError } from "../core/mod.ts";
import type { Node } from "../graph/mod.ts";
import {
  asIndex,
  type BufferRef,
  extentOf,
  foldValue,
  type LoopVar,
  ops,
  primitive,
  type Value,
} from "../loops/mod.ts";
import { substituteValue } from "../loops/mod.ts";
import { add, coefficient, constant, type Expr, mul, substitute } from "../symbolic/mod.ts";

/** Where the elements of a tensor lie in its buffer, in elements. */
export interface Layout {
  readonly shape: readonly Expr[];
  readonly stride: readonly Expr[];
  readonly offset: Expr;
}

/** The flat element index of a logical index. */
export function flatIndex(layout: Layout, index: readonly Expr[]): Expr {
  const terms = layout.stride.map((stride, d) => mul(index[d] ?? constant(0), stride));
  return add(layout.offset, ...terms);
}

/** Row-major strides over expressions; a dimension of size 0 counts as 1. */
export function rowMajorStride(shape: readonly Expr[]): Expr[] {
  const out = new Array<Expr>(shape.length);
  let running = constant(1);
  for (let d = shape.length - 1; d >= 0; d--) {
    out[d] = running;
    const size = shape[d] ?? running;
    if (!(size.kind === "const" && size.value === 0)) running = mul(running, size);
  }
  return out;
}

/** Tells whether an expression is this number for sure. */
export function isConst(e: Expr, value: number): boolean {
  return e.kind === "const" && e.value === value;
}

/** What it takes to compute a value: decides between recomputing and storing. */
export interface ValueCost {
  /** Distinct memory reads. */
  readonly reads: number;
  /** Distinct operations. */
  readonly operations: number;
  /** Distinct conversions, which cost nothing beside a load. */
  readonly casts: number;
  /** Operations weighted by what they cost, in additions. */
  readonly weight: number;
}

const PHILOX_WEIGHT = 60;

/** Counts reads and operations below a value, each distinct one once. */
export function costOf(value: Value): ValueCost {
  let reads = 0;
  let operations = 0;
  let weight = 0;
  let casts = 0;
  foldValue([value], (v) => {
    switch (v.kind) {
      case "load":
        reads++;
        break;
      case "pointwise":
        operations++;
        weight += primitive(v.op).cost;
        break;
      case "masked":
      case "lookup":
        operations++;
        weight++;
        break;
      case "philox":
        operations++;
        weight += PHILOX_WEIGHT;
        break;
      case "cast":
      case "bitcast":
        casts++;
        break;
      case "constant":
      case "index":
        break;
      default:
        v satisfies never;
    }
    return null;
  });
  return { reads, operations, casts, weight };
}

/** Elements in memory. */
export interface InMemory {
  readonly kind: "memory";
  readonly buffer: BufferRef;
  readonly layout: Layout;
}

/** Elements as a computation over `vars`, one a dimension. */
export interface Lazy {
  readonly kind: "lazy";
  readonly vars: readonly LoopVar[];
  readonly value: Value;
  readonly cost: ValueCost;
}

/** Another index into `base`: `index` over `vars`. */
export interface ViewOf {
  readonly kind: "view";
  readonly base: LoweredTensor;
  readonly vars: readonly LoopVar[];
  readonly index: readonly Expr[];
}

/** One tensor of the graph on its way through lowering. */
export class LoweredTensor {
  readonly node: Node;
  readonly shape: readonly Expr[];
  readonly dtype: DType;
  /** Nodes whose computation a load of this tensor brings along. Empty once it is in memory. */
  #origins: ReadonlySet<Node>;
  #state: InMemory | Lazy | ViewOf;
  #lastIndex: readonly Expr[] | null = null;
  #lastValue: Value | null = null;

  constructor(
    node: Node,
    shape: readonly Expr[],
    dtype: DType,
    state: InMemory | Lazy | ViewOf,
    origins: ReadonlySet<Node> = new Set(),
  ) {
    this.node = node;
    this.shape = shape;
    this.dtype = dtype;
    this.#state = state;
    this.#origins = origins;
  }

  /** What the tensor is now. */
  get state(): InMemory | Lazy | ViewOf {
    return this.#state;
  }

  /** The tensor that a chain of views ends at; itself if it is no view. */
  get base(): LoweredTensor {
    return this.#state.kind === "view" ? this.#state.base.base : this;
  }

  /** Nodes that a load inlines. */
  get origins(): ReadonlySet<Node> {
    return this.base.#origins;
  }

  /** What a load costs beyond memory traffic. */
  get cost(): ValueCost {
    const state = this.base.#state;
    return state.kind === "lazy" ? state.cost : { reads: 1, operations: 0, casts: 0, weight: 0 };
  }

  /** Tells whether the elements (of the base, for views) are in memory. */
  get isInMemory(): boolean {
    return this.base.#state.kind === "memory";
  }

  /** From now on the elements are read from memory. */
  setRealized(buffer: BufferRef, layout: Layout): void {
    if (this.#state.kind === "memory") throw new InternalError(`${this.node.name} is in memory already`);
    this.#state = { kind: "memory", buffer, layout };
    this.#origins = new Set();
    this.#lastIndex = null;
    this.#lastValue = null;
  }

  /** The element at a logical index. */
  load(index: readonly Expr[]): Value {
    if (index.length !== this.shape.length) {
      throw new InternalError(`${this.node.name} has ${this.shape.length} dimensions, indexed with ${index.length}`);
    }
    const last = this.#lastIndex;
    if (this.#lastValue !== null && last !== null && last.every((e, i) => e === index[i])) return this.#lastValue;
    const value = this.#load(index);
    this.#lastIndex = [...index];
    this.#lastValue = this.#state.kind === "view" ? null : value;
    return value;
  }

  #load(index: readonly Expr[]): Value {
    const state = this.#state;
    switch (state.kind) {
      case "memory":
        return ops.load(state.buffer, flatIndex(state.layout, index));
      case "lazy":
        return substituteValue(state.value, bind(state.vars, index));
      case "view": {
        const map = bind(state.vars, index);
        return state.base.load(state.index.map((e) => substitute(e, map)));
      }
      default:
        return state satisfies never;
    }
  }

  /** The layout in memory, if the elements are there with one stride a dimension; null otherwise. */
  inMemory(): InMemory | null {
    const state = this.#state;
    if (state.kind === "memory") return state;
    if (state.kind === "lazy") return null;
    const base = state.base.inMemory();
    if (base === null) return null;
    const flat = flatIndex(base.layout, state.index);
    const stride: Expr[] = [];
    const zero = new Map(state.vars.map((v) => [v, constant(0)]));
    for (const v of state.vars) {
      const factor = coefficient(flat, v);
      if (factor === null || substitute(factor, zero) !== factor) return null;
      stride.push(factor);
    }
    const offset = substitute(flat, zero);
    return { kind: "memory", buffer: base.buffer, layout: { shape: this.shape, stride, offset } };
  }

  /** The elements as a value over index symbols: the lazy value, or loads. */
  asLoop(): { readonly vars: readonly LoopVar[]; readonly value: Value } {
    const state = this.#state;
    if (state.kind === "lazy") return state;
    if (state.kind === "view") return { vars: state.vars, value: this.load(asIndex(state.vars)) };
    throw new InternalError(`${this.node.name} is in memory; there is nothing to compute`);
  }
}

/** Maps index symbols to the index that takes their places. Symbols of extent 1 are 0 already. */
export function bind(vars: readonly LoopVar[], index: readonly Expr[]): Map<LoopVar, Expr> {
  const map = new Map<LoopVar, Expr>();
  vars.forEach((v, i) => {
    const e = index[i];
    if (e !== undefined) map.set(v, e);
  });
  return map;
}

/** Drops symbols whose extent is 1: they are the constant 0 wherever they stand. */
export function withoutUnits(vars: readonly LoopVar[]): LoopVar[] {
  return vars.filter((v) => !isConst(extentOf(v), 1));
}
