/**
 * Runs a function of single slices on all slices at once.
 *
 * Enters: a function, and tensors with one dimension more in front than it expects. Leaves: what it gives, stacked. It is a dispatch mode: the function sees tensors without that
 * dimension, and each operator runs once, on all of them. What an operator does to the dimension is derived: elementwise loops broadcast (their loads say so), operators that are told
 * dimensions are told the next ones, composite ones are taken apart, products become batched products. What cannot be derived throws {@linkcode CannotBatch}, and the caller runs
 * slice by slice. Mirrors `torch.vmap`.
 */
import { type DType, InternalError, normalizeAxis } from "../../core/mod.ts";
import type { TensorMeta } from "../../graph/mod.ts";
import { type LoopInput, ops, symbolsOf, type Value } from "../../loops/mod.ts";
import { type ArgValue, getOp, type NamedArgs, type Operator } from "../../ops/mod.ts";
import { constant, contiguousStride, exprOf, type Size, sizeSame } from "../../symbolic/mod.ts";
import {
  decompose,
  dispatch,
  type DispatchMode,
  dtypeOfNumber,
  F,
  fakeTensor,
  inferMeta,
  type OpResult,
  suspendMode,
  Tensor,
  withMode,
} from "../../tensor/mod.ts";

/** Why a function cannot run on all slices at once. */
export class CannotBatch extends Error {
  override readonly name = "CannotBatch";
}

/** What stands behind a tensor that the function sees. */
interface Behind {
  readonly value: Tensor;
  readonly batched: boolean;
}

type Args = Record<string, ArgValue<Tensor>>;

/** Arguments that name dimensions of `self`. */
const DIMENSIONS: ReadonlySet<string> = new Set(["dim", "dims", "dim0", "dim1", "startDim", "endDim"]);
/** Arguments that state a shape. */
const SHAPES: ReadonlySet<string> = new Set(["size", "shape"]);

/** More slices than this are not taken one by one: each is a call in the graph. */
const MOST_SLICES = 64;

/** Runs each operator on all slices. */
export class BatchMode implements DispatchMode {
  readonly name = "all slices at once";
  readonly #behind = new WeakMap<Tensor, Behind>();
  readonly #twins = new Map<Tensor, Tensor>();
  readonly #size: Size;
  readonly #outer: DispatchMode | null;
  readonly #bySlices: boolean;

  /** `bySlices`: what is not known to run on all slices runs on each, if they are few. */
  constructor(size: Size, outer: DispatchMode | null, bySlices = false) {
    this.#size = size;
    this.#outer = outer;
    this.#bySlices = bySlices;
  }

  /** What the function sees of a tensor with a dimension more. */
  enter(value: Tensor): Tensor {
    return this.#see(value, true);
  }

  /** What stands behind what the function gave, with the dimension in front. */
  leave(given: Tensor): Tensor {
    const seen = this.#behind.get(this.wrapInput(given));
    if (seen === undefined) throw new InternalError("a tensor of another function met a batch");
    return this.#stacked(seen);
  }

  /** What stands behind a tensor that is the same for all slices. @throws {CannotBatch} if it is not. */
  whole(given: Tensor): Tensor {
    const seen = this.#behind.get(given);
    if (seen === undefined) return given;
    return seen.batched ? this.#stop("a slice leaves the function by itself") : seen.value;
  }

  #see(value: Tensor, batched: boolean): Tensor {
    const { dtype, device } = value;
    const shape = batched ? value.shape.slice(1) : value.shape;
    const twin = fakeTensor({ shape, stride: contiguousStride(shape), storageOffset: 0, dtype, device });
    this.#behind.set(twin, { value, batched });
    return twin;
  }

  #stacked({ value, batched }: Behind): Tensor {
    return batched ? value : value.unsqueeze(0).expand([this.#size, ...value.shape]);
  }

  #stop(reason: string): never {
    throw new CannotBatch(reason);
  }

  // --- DispatchMode ---

  wrapInput(t: Tensor): Tensor {
    if (t.wrapped !== null || this.#behind.has(t)) return t;
    let twin = this.#twins.get(t);
    if (twin === undefined) {
      const outer = this.#outer;
      this.#twins.set(t, twin = this.#see(outer === null ? t : suspendMode(outer, () => outer.wrapInput(t)), false));
    }
    return twin;
  }

  dispatch(op: Operator, args: NamedArgs<Tensor>): OpResult {
    if (op.schema.args.some((a) => a.mutated)) return this.#stop(`${op.schema.name} writes in place`);
    if (op.isDataDependent) return this.#stop(`${op.schema.name} gives a result whose shape depends on data`);
    if (op.isRandom) return this.#stop(`${op.schema.name} draws random numbers`);
    const batched = Object.values(args).some((v) => this.#isBatched(v));
    if (!batched) return this.#wrap(dispatch(op, this.#values(args)), false, null);
    const direct = RULES[op.target];
    const metas = inferMeta(op, args);
    const [meta] = metas;
    if (meta === undefined) return this.#stop(`${op.schema.name} has no result`);
    const call: Call = {
      op,
      args,
      meta,
      size: this.#size,
      of: (t) => this.#behindOf(t),
      stacked: (t) => this.leave(t),
    };
    const result = direct?.(call) ?? elementwise(call) ?? alongDimensions(call);
    if (result !== null && this.#fits(result, metas)) return this.#wrap(result, true, metas);
    if (op.decompose !== null) return withMode(this, () => decompose(op, args));
    const single = this.#sliceBySlice(op, args);
    if (single !== null) return this.#wrap(single, true, metas);
    return this.#stop(`${op.schema.name} is not known to run on several slices at once`);
  }

  #behindOf(t: Tensor): Behind {
    return this.#behind.get(t) ?? this.#stop("a number stands where a tensor is needed");
  }

  #isBatched(v: ArgValue<Tensor>): boolean {
    if (v instanceof Tensor) return this.#behind.get(v)?.batched === true;
    return Array.isArray(v) && v.some((x: ArgValue<Tensor>) => this.#isBatched(x));
  }

  /** What stands behind arguments; with `slice`, that slice of what is batched. */
  #values(args: NamedArgs<Tensor>, slice: number | null = null): Args {
    const value = (v: ArgValue<Tensor>): ArgValue<Tensor> => {
      if (v instanceof Tensor) {
        if (v.wrapped !== null) return v.wrapped;
        const { value, batched } = this.#behindOf(v);
        return batched && slice !== null ? value.select(0, slice) : value;
      }
      return Array.isArray(v) ? v.map((x: ArgValue<Tensor>) => value(x)) : v;
    };
    return Object.fromEntries(Object.entries(args).map(([k, v]) => [k, value(v)]));
  }

  /** Runs an operator on each slice; null if that is not wanted, or if there are too many. */
  #sliceBySlice(op: Operator, args: NamedArgs<Tensor>): OpResult | null {
    const count = this.#size;
    if (!this.#bySlices || typeof count !== "number" || count === 0 || count > MOST_SLICES) return null;
    const rows = Array.from({ length: count }, (_, i) => dispatch(op, this.#values(args, i)));
    const [first] = rows;
    if (first instanceof Tensor) return F.stack(rows as readonly Tensor[]);
    return (first ?? []).map((_, at) => F.stack(rows.map((row) => (row as readonly Tensor[])[at] as Tensor)));
  }

  /** Whether what an operator gave for all slices is, slice by slice, what it gives for one. */
  #fits(result: OpResult, metas: readonly TensorMeta[]): boolean {
    return (result instanceof Tensor ? [result] : result).every((t, i) => {
      const meta = metas[i];
      return meta === undefined || t.dtype === meta.dtype && t.ndim === meta.shape.length + 1 &&
          meta.shape.every((s, d) => sizeSame(s, t.shape[d + 1] ?? -1));
    });
  }

  #wrap(result: OpResult, batched: boolean, metas: readonly TensorMeta[] | null): OpResult {
    if (metas !== null && !this.#fits(result, metas)) this.#stop("an operator does not treat slices alike");
    return result instanceof Tensor ? this.#see(result, batched) : result.map((t) => this.#see(t, batched));
  }

  gradOwner(_: Tensor): Tensor {
    return this.#stop("it reads or writes .grad");
  }

  materialize(_: Tensor, reason: string): Tensor {
    return this.#stop(`${reason} reads data`);
  }

  trackRead(object: object, key: PropertyKey, value: unknown): unknown {
    const outer = this.#outer;
    return outer === null ? value : suspendMode(outer, () => outer.trackRead(object, key, value));
  }

  trackNumber(object: object, key: PropertyKey): Tensor | null {
    const outer = this.#outer;
    return outer === null ? null : suspendMode(outer, () => outer.trackNumber?.(object, key) ?? null);
  }

  customGradient(name: string): void {
    this.#stop(`${name} has a gradient of its own`);
  }
}

/** An operator that is asked for all slices. */
interface Call {
  readonly op: Operator;
  readonly args: NamedArgs<Tensor>;
  /** What it gives for one slice. */
  readonly meta: TensorMeta;
  readonly size: Size;
  readonly of: (t: Tensor) => Behind;
  readonly stacked: (t: Tensor) => Tensor;
}

type Rule = (call: Call) => OpResult | null;

function self({ args, of }: Call, key = "self"): Behind {
  return of(args[key] as Tensor);
}

/** Inner dimensions of a product; vectors become matrices. */
function product(call: Call, a: "row" | "matrix", b: "column" | "matrix", keys: readonly [string, string]): Tensor {
  const left = self(call, keys[0]).value;
  const right = self(call, keys[1]).value;
  const out = F.matmul(a === "row" ? left.unsqueeze(-2) : left, b === "column" ? right.unsqueeze(-1) : right);
  const thin = b === "column" ? out.squeeze(-1) : out;
  return a === "row" ? thin.squeeze(b === "column" ? -1 : -2) : thin;
}

function reduceAll(target: string): Rule {
  return (call) => {
    const { value } = self(call);
    const dim = value.shape.slice(1).map((_, d) => d + 1);
    if (dim.length === 0) return null;
    return dispatch(getOp(target), { ...call.args, self: value, dim, keepdim: false });
  };
}

/** A reduction over all elements that is told one dimension only. */
function reduceFlat(target: string): Rule {
  return (call) => {
    const { value } = self(call);
    return dispatch(getOp(target), { ...call.args, self: value.reshape([call.size, -1]), dim: 1, keepdim: false });
  };
}

/** The place of an extremum among all elements of a slice; in one dimension, the next one is told. */
const positionInAll: Rule = (call) => {
  if (call.args["dim"] !== null) return null;
  const { value } = self(call);
  return dispatch(call.op, { ...call.args, self: value.reshape([call.size, -1]), dim: 1, keepdim: false });
};

function ones(count: number): number[] {
  return new Array<number>(count).fill(1);
}

/** A shape with the new dimension in front; `self` gets as many dimensions as the shape has. */
const shaped: Rule = (call) => {
  const { args, op, size } = call;
  const key = op.schema.args.find((a) => SHAPES.has(a.key))?.key;
  const wanted = key === undefined ? null : args[key];
  if (!Array.isArray(wanted)) return null;
  const full = [size, ...wanted as readonly Size[]];
  const { value } = self(call);
  if (op.schema.name !== "expand") return value.reshape(full);
  const missing = full.length - value.ndim;
  const aligned = missing === 0 ? value : value.reshape([size, ...ones(missing), ...value.shape.slice(1)]);
  return aligned.expand(full);
};

const RULES: Readonly<Record<string, Rule>> = {
  "aten.mm.default": (call) => product(call, "matrix", "matrix", ["self", "mat2"]),
  "aten.bmm.default": (call) => product(call, "matrix", "matrix", ["self", "mat2"]),
  "aten.mv.default": (call) => product(call, "matrix", "column", ["self", "vec"]),
  "aten.dot.default": (call) => product(call, "row", "column", ["self", "tensor"]),
  "aten.t.default": (call) => self(call).value.ndim === 3 ? self(call).value.transpose(1, 2) : self(call).value,
  "aten.sum.default": reduceAll("aten.sum.dim_IntList"),
  "aten.mean.default": reduceAll("aten.mean.dim"),
  "aten.max.default": reduceAll("aten.amax.default"),
  "aten.min.default": reduceAll("aten.amin.default"),
  "aten.any.default": reduceFlat("aten.any.dim"),
  "aten.all.default": reduceFlat("aten.all.dim"),
  "aten.prod.default": reduceFlat("aten.prod.dim_int"),
  "aten.argmax.default": positionInAll,
  "aten.argmin.default": positionInAll,
  "aten.repeat.default": (call) => {
    const repeats = call.args["repeats"] as readonly Size[];
    const { value } = self(call);
    return value.reshape([call.size, ...ones(repeats.length + 1 - value.ndim), ...value.shape.slice(1)])
      .repeat([1, ...repeats]);
  },
  "aten.view.default": shaped,
  "aten.reshape.default": shaped,
  "aten.expand.default": shaped,
  "aten.permute.default": (call) => {
    const { value } = self(call);
    const dims = (call.args["dims"] as readonly number[]).map((d) => normalizeAxis(d, value.ndim - 1, "permute") + 1);
    return value.permute([0, ...dims]);
  },
};

/** Operators whose loops load each operand where broadcasting puts it. */
function elementwise(call: Call): OpResult | null {
  const { op, args, meta, size, of } = call;
  if (op.loop === null || op.view !== null || !broadcasts(op, args, meta)) return null;
  const rank = meta.shape.length;
  const align = (v: ArgValue<Tensor>): ArgValue<Tensor> => {
    if (Array.isArray(v)) return v.map((x: ArgValue<Tensor>) => align(x));
    if (!(v instanceof Tensor)) return v;
    if (v.wrapped !== null) return v.wrapped;
    const { value, batched } = of(v);
    const missing = rank - v.ndim;
    if (!batched || missing === 0) return value;
    return value.reshape([size, ...ones(missing), ...v.shape]);
  };
  return dispatch(op, Object.fromEntries(Object.entries(args).map(([k, v]) => [k, align(v)])));
}

/** Whether each element of a result is computed from the elements of the operands at the same place. */
function broadcasts(op: Operator, args: NamedArgs<Tensor>, meta: TensorMeta): boolean {
  const loads: { readonly shape: LoopInput["shape"]; readonly index: Parameters<LoopInput["load"]>[0] }[] = [];
  // Loads must not be folded: what is around them may ask where the element lies.
  const load = (dtype: DType): Value =>
    ops.load({ id: -1 - loads.length, dtype, numel: constant(1), label: "" }, constant(0));
  const input = (v: ArgValue<Tensor>, isTensor: boolean): unknown => {
    if (Array.isArray(v)) return v.map((x: ArgValue<Tensor>) => input(x, isTensor));
    if (!isTensor || v === null) return v;
    const number = v instanceof Tensor ? v.wrapped : v;
    if (number !== null) {
      const dtype = dtypeOfNumber(number as number);
      // A divisor of 0 would be refused; a size has no number yet.
      const known = typeof number === "number" || typeof number === "boolean" ? Number(number) : 1;
      return { shape: [], dtype, load: () => ops.constant(known, dtype), isScalar: true };
    }
    const { shape: sizes, dtype } = v as Tensor;
    const shape = sizes.map(exprOf);
    return {
      shape,
      dtype,
      load: (index: Parameters<LoopInput["load"]>[0]): Value => (loads.push({ shape, index }), load(dtype)),
      isScalar: false,
    };
  };
  const given = Object.fromEntries(op.schema.args.map((a) => [a.key, input(args[a.key] ?? null, a.type === "Tensor")]));
  const loop = op.loop?.(given as NamedArgs<LoopInput>, meta);
  if (loop?.kind !== "pointwise") return false;
  const used = symbolsOf([loop.value]);
  if (loop.vars.some((v) => used.has(v))) return false;
  const skip = (rank: number): number => loop.vars.length - rank;
  return loads.length > 0 && loads.every(({ shape, index }) =>
    index.every((e, d) => {
      const size = shape[d];
      if (size?.kind === "const" && size.value === 1) return true;
      return e.kind === "symbol" && e.symbol === loop.vars[skip(shape.length) + d];
    })
  );
}

/** Operators of one tensor, or of a list of them, that are told which dimensions they work on: in all slices these are the next ones. */
function alongDimensions(call: Call): OpResult | null {
  const { op, args, of, stacked } = call;
  const told: Args = {};
  let rank = -1;
  let named = false;
  for (const { key, type } of op.schema.args) {
    const v = args[key] ?? null;
    if (type !== "Tensor" || v === null) continue;
    if (v instanceof Tensor && v.wrapped === null) {
      const { value, batched } = of(v);
      // A second tensor, as the index of a gather, would have to lie beside the first.
      if (batched && rank >= 0) return null;
      if (batched) rank = v.ndim;
      told[key] = value;
    } else if (Array.isArray(v)) {
      const list = v as readonly Tensor[];
      rank = list[0]?.ndim ?? -1;
      if (list.some((t) => t.ndim !== rank)) return null;
      told[key] = list.map(stacked);
    } else told[key] = v instanceof Tensor ? v.wrapped : v;
  }
  const isNew = op.schema.name === "unsqueeze" || op.schema.name === "stack";
  const shift = (d: number): number => normalizeAxis(d, isNew ? rank + 1 : rank, op.schema.name) + 1;
  for (const { key, type } of op.schema.args) {
    if (type === "Tensor") continue;
    const v = args[key] ?? null;
    if (SHAPES.has(key)) return null;
    if (!DIMENSIONS.has(key)) told[key] = v;
    else if (typeof v === "number") {
      named = true;
      told[key] = shift(v);
    } else if (Array.isArray(v) && v.length > 0) {
      named = true;
      told[key] = (v as readonly number[]).map(shift);
    } else if (v === null && op.schema.name === "sum" || v === null && op.schema.name === "mean") {
      named = true;
      told[key] = Array.from({ length: rank }, (_, d) => d + 1);
    } else return null;
  }
  if (op.schema.name === "detach" || op.schema.name === "alias") named = true;
  return named && rank >= (isNew ? 0 : 1) ? dispatch(op, told) : null;
}

/** Runs a function of slices on all of them. @throws {CannotBatch} if it must be run slice by slice. */
export function runOnAll<R>(
  size: Size,
  outer: DispatchMode | null,
  fn: (mode: BatchMode) => R,
): { readonly mode: BatchMode; readonly result: R } {
  const mode = new BatchMode(size, outer);
  const result = withMode(mode, () => fn(mode));
  return { mode, result };
}
