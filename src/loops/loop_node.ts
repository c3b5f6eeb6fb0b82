/**
 * Loops: what an operator computes, before anything is fused, tiled or placed in memory.
 *
 * A {@linkcode LoopNode} is data: index symbols with their extents, and a hash-consed {@linkcode Value} over them. Operators build it from
 * {@linkcode LoopInput}s, whose `load` yields either a memory access or, where the producer has not been materialised, the producer's
 * own value at that index (inlining). Indices of inputs and outputs are logical, one expression a dimension; strides enter only where
 * memory is touched. Mirrors `Pointwise`, `Reduction`, `Scan`, `Scatter` and the templates of TorchInductor's IR.
 */
import { type DType, InternalError } from "../core/mod.ts";
import { type Expr, exprOf, newSym, type Size, type Sym, symbol } from "../symbolic/mod.ts";
import type { CombineOp, LoopVar, ReductionOp, Value } from "./value.ts";

/** A tensor as an operator body sees it. */
export interface LoopInput {
  readonly shape: readonly Expr[];
  readonly dtype: DType;
  /** The element at a logical index, one expression a dimension. */
  load(index: readonly Expr[]): Value;
}

/** Each element on its own. */
export interface PointwiseLoop {
  readonly kind: "pointwise";
  readonly dtype: DType;
  readonly vars: readonly LoopVar[];
  readonly value: Value;
}

/** Each element combines `value` over `reduceVars`. The accumulator has the value's dtype (float32 for halves). */
export interface ReductionLoop {
  readonly kind: "reduction";
  readonly dtype: DType;
  readonly vars: readonly LoopVar[];
  readonly reduceVars: readonly LoopVar[];
  readonly op: ReductionOp;
  readonly value: Value;
}

/** Inclusive prefix combination along `axis`, a position in `vars`. */
export interface ScanLoop {
  readonly kind: "scan";
  readonly dtype: DType;
  readonly vars: readonly LoopVar[];
  readonly axis: number;
  readonly op: Exclude<CombineOp, "set"> | "logaddexp";
  readonly value: Value;
}

/** Another index for an existing tensor: no computation. */
export interface ViewLoop {
  readonly kind: "view";
  readonly dtype: DType;
  readonly vars: readonly LoopVar[];
  readonly input: LoopInput;
  /** Index into `input`, over `vars`. */
  readonly index: readonly Expr[];
}

/** A copy of `base`, into which `value` is combined at `target` for every index of `vars`; later indices win for `"set"`. */
export interface ScatterLoop {
  readonly kind: "scatter";
  readonly dtype: DType;
  readonly base: LoopInput;
  readonly vars: readonly LoopVar[];
  /** Logical index into the output, over `vars`; may hold indirect symbols. */
  readonly target: readonly Expr[];
  readonly op: CombineOp;
  readonly value: Value;
}

/**
 * `out[batch, m, n] = Σ_k a[batch, m, k] · b[batch, k, n]`, each of batch, m, n, k a list of index symbols: matrix multiplication,
 * convolution and its gradients. Operands are values (prologues are inlined), accumulation is in `accumulate`.
 */
export interface ContractionLoop {
  readonly kind: "contraction";
  readonly dtype: DType;
  readonly accumulate: DType;
  readonly batch: readonly LoopVar[];
  readonly m: readonly LoopVar[];
  readonly n: readonly LoopVar[];
  readonly k: readonly LoopVar[];
  readonly a: Value;
  readonly b: Value;
  /** Logical index of the output over batch, m and n. */
  readonly out: readonly Expr[];
}

/** What an operator computes. */
export type LoopNode = PointwiseLoop | ReductionLoop | ScanLoop | ViewLoop | ScatterLoop | ContractionLoop;

let nextVar = 0;

/** A fresh index symbol that runs from 0 to `extent` - 1. */
export function loopVar(extent: Expr | Size, prefix = "i"): LoopVar {
  const e = toExpr(extent);
  const upper = e.kind === "const" ? Math.max(e.value - 1, 0) : Infinity;
  return newSym(`${prefix}${nextVar++}`, { kind: "index", lower: 0, upper, extent: e });
}

function toExpr(size: Expr | Size): Expr {
  return typeof size === "object" && "kind" in size ? size : exprOf(size);
}

/** The extent of a loop symbol. */
export function extentOf(sym: Sym): Expr {
  if (sym.extent === undefined) throw new InternalError(`${sym.name} has no extent`);
  return sym.extent;
}

/** The symbols as expressions. */
export function asIndex(vars: readonly LoopVar[]): Expr[] {
  return vars.map(symbol);
}

/** Builds a pointwise loop over `shape`. The value's dtype is the result's. */
export function pointwise(shape: readonly (Expr | Size)[], body: (index: readonly Expr[]) => Value): PointwiseLoop {
  const vars = shape.map((s) => loopVar(s));
  const value = body(asIndex(vars));
  return { kind: "pointwise", dtype: value.dtype, vars, value };
}

/** Builds a reduction with results over `shape`, combining over `reduceShape`. `dtype` defaults to the value's. */
export function reduction(
  op: ReductionOp,
  shape: readonly (Expr | Size)[],
  reduceShape: readonly (Expr | Size)[],
  body: (index: readonly Expr[], reduceIndex: readonly Expr[]) => Value,
  dtype?: DType,
): ReductionLoop {
  const vars = shape.map((s) => loopVar(s));
  const reduceVars = reduceShape.map((s) => loopVar(s, "r"));
  const value = body(asIndex(vars), asIndex(reduceVars));
  return { kind: "reduction", dtype: dtype ?? value.dtype, vars, reduceVars, op, value };
}

/** Builds a view: `index` maps an index of the result to one of `input`. */
export function view(
  input: LoopInput,
  shape: readonly (Expr | Size)[],
  index: (at: readonly Expr[]) => readonly Expr[],
): ViewLoop {
  const vars = shape.map((s) => loopVar(s));
  return { kind: "view", dtype: input.dtype, vars, input, index: index(asIndex(vars)) };
}

/** Builds an inclusive scan along `axis`. */
export function scan(
  op: ScanLoop["op"],
  shape: readonly (Expr | Size)[],
  axis: number,
  body: (index: readonly Expr[]) => Value,
): ScanLoop {
  const vars = shape.map((s) => loopVar(s));
  const value = body(asIndex(vars));
  return { kind: "scan", dtype: value.dtype, vars, axis, op, value };
}

/** Builds a scatter of `updates`-shaped values into a copy of `base`. */
export function scatter(
  op: CombineOp,
  base: LoopInput,
  updates: readonly (Expr | Size)[],
  body: (index: readonly Expr[]) => { readonly target: readonly Expr[]; readonly value: Value },
): ScatterLoop {
  const vars = updates.map((s) => loopVar(s));
  const { target, value } = body(asIndex(vars));
  return { kind: "scatter", dtype: base.dtype, base, vars, target, op, value };
}

/** Index lists that a contraction's operands are functions of. */
export interface ContractionIndex {
  readonly batch: readonly Expr[];
  readonly m: readonly Expr[];
  readonly n: readonly Expr[];
  readonly k: readonly Expr[];
}

/** Builds a contraction from the extents of its index groups. */
export function contraction(options: {
  readonly dtype: DType;
  readonly accumulate: DType;
  readonly batch: readonly (Expr | Size)[];
  readonly m: readonly (Expr | Size)[];
  readonly n: readonly (Expr | Size)[];
  readonly k: readonly (Expr | Size)[];
  readonly a: (index: ContractionIndex) => Value;
  readonly b: (index: ContractionIndex) => Value;
  readonly out: (index: ContractionIndex) => readonly Expr[];
}): ContractionLoop {
  const batch = options.batch.map((s) => loopVar(s, "b"));
  const m = options.m.map((s) => loopVar(s, "m"));
  const n = options.n.map((s) => loopVar(s, "n"));
  const k = options.k.map((s) => loopVar(s, "k"));
  const index: ContractionIndex = { batch: asIndex(batch), m: asIndex(m), n: asIndex(n), k: asIndex(k) };
  return {
    kind: "contraction",
    dtype: options.dtype,
    accumulate: options.accumulate,
    batch,
    m,
    n,
    k,
    a: options.a(index),
    b: options.b(index),
    out: options.out(index),
  };
}
