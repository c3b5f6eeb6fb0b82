/**
 * From values of the loop IR to statements of the tile IR.
 *
 * A {@linkcode Builder} holds a stack of frames: the kernel's body and the `for` loops that are open. A value is emitted in the outermost
 * frame in which everything that it depends on is known, so what does not vary in a loop is computed before it; equal values (they are
 * hash-consed) are computed once a frame. Loads under a mask touch memory only where the mask holds.
 */
import { bool, type DType, InternalError } from "../../core/mod.ts";
import { type BufferRef, indirectPayload, type PrimitiveName, type Value } from "../../loops/mod.ts";
import { type Expr, freeSymbols, newSym, substitute, type Sym, symbol } from "../../symbolic/mod.ts";
import type { Axis, TileArrayOp, TileReduceOp, TileStatement, TileValue } from "./tile_ir.ts";

interface Frame {
  readonly axis: Axis | null;
  readonly split: boolean;
  readonly statements: TileStatement[];
  readonly values: Map<string, TileValue>;
  readonly bound: Map<string, Sym>;
}

/** Collects the statements of one kernel. */
export class Builder {
  readonly #axes: readonly Axis[];
  readonly #frames: Frame[] = [newFrame(null, false)];
  readonly #axisOf = new Map<Sym, Axis>();
  readonly #symbolDepth = new Map<Sym, number>();
  readonly #symbolAxes = new Map<Sym, readonly Axis[]>();
  readonly #valueDepth = new Map<TileValue, number>();
  readonly #forwarded = new Map<BufferRef, Map<Expr, TileValue>>();
  #nextId = 0;

  /** @param axes all axes of the kernel in order */
  constructor(axes: readonly Axis[]) {
    this.#axes = axes;
    for (const axis of axes) {
      this.#axisOf.set(axis.symbol, axis);
      if (axis.block > 1) this.#symbolAxes.set(axis.symbol, [axis]);
    }
  }

  /** Opens a `for` over a loop axis. */
  open(axis: Axis, split = false): void {
    this.#symbolDepth.set(axis.symbol, this.#frames.length);
    this.#frames.push(newFrame(axis, split));
  }

  /** Closes the innermost `for`. */
  close(): void {
    const frame = this.#frames.pop();
    if (frame === undefined || frame.axis === null) throw new InternalError("close() without an open loop");
    this.#symbolDepth.delete(frame.axis.symbol);
    this.#top().statements.push({ kind: "for", axis: frame.axis, split: frame.split, body: frame.statements });
  }

  /** The finished body. */
  finish(): TileStatement[] {
    if (this.#frames.length !== 1) throw new InternalError("a loop is still open");
    return this.#top().statements;
  }

  /** Makes loads of `buffer` at `index` yield a value of the kernel. */
  forward(buffer: BufferRef, index: Expr, value: TileValue): void {
    let byIndex = this.#forwarded.get(buffer);
    if (byIndex === undefined) this.#forwarded.set(buffer, byIndex = new Map());
    byIndex.set(index, value);
  }

  /** A value that a template defines. */
  external(dtype: DType, axes: readonly Axis[]): TileValue {
    return this.#make(dtype, axes, this.#frames.length - 1);
  }

  /** Emits a value. */
  value(v: Value): TileValue {
    return this.#emit(v, null);
  }

  /** Emits a store into the innermost frame. */
  store(buffer: BufferRef, index: Expr, value: TileValue): void {
    const resolved = this.#resolve(index, null);
    this.#top().statements.push({
      kind: "store",
      buffer,
      index: resolved,
      value: this.#cast(value, buffer.dtype),
    });
  }

  /** Emits a combination with memory into the innermost frame. */
  combine(op: "sum" | "prod" | "max" | "min" | "set", buffer: BufferRef, index: Expr, value: TileValue): void {
    const resolved = this.#resolve(index, null);
    this.#top().statements.push({
      kind: "combine",
      op,
      buffer,
      index: resolved,
      value: this.#cast(value, buffer.dtype),
    });
  }

  /** Emits an accumulator into the innermost frame; `axes` are those of the values it will take. */
  accumulator(op: TileReduceOp, dtype: DType, axes: readonly Axis[]): TileValue {
    const out = this.#make(dtype, axes, this.#frames.length - 1);
    this.#top().statements.push({ kind: "accumulator", out, op });
    return out;
  }

  /** Combines into an accumulator in the innermost frame. */
  accumulate(accumulator: TileValue, op: TileReduceOp, value: TileValue, position: Expr | null): void {
    const resolved = position === null ? null : this.#resolve(position, null);
    this.#top().statements.push({
      kind: "accumulate",
      accumulator,
      op,
      value: this.#cast(value, accumulator.dtype),
      position: resolved,
    });
  }

  /** Adds a product to an accumulator in the innermost frame. */
  dot(accumulator: TileValue, a: TileValue, b: TileValue, contract: Axis | null): void {
    this.#top().statements.push({
      kind: "dot",
      accumulator,
      a: this.#cast(a, accumulator.dtype),
      b: this.#cast(b, accumulator.dtype),
      contract,
    });
  }

  /** Reads an accumulator in the innermost frame. */
  read(accumulator: TileValue, op: TileReduceOp, dtype: DType): TileValue {
    const isPosition = op === "argmax" || op === "argmin";
    const axes = accumulator.axes.filter((axis) => axis.role === "grid" || this.#symbolDepth.has(axis.symbol));
    const out = this.#make(isPosition ? dtype : accumulator.dtype, axes, this.#frames.length - 1);
    this.#top().statements.push({ kind: "finish", out, accumulator, op });
    return out;
  }

  /** Emits an array of accumulators into the innermost frame. */
  accumulators(op: TileArrayOp, dtype: DType, size: Expr): TileValue {
    const out = this.#make(dtype, [], this.#frames.length - 1);
    this.#top().statements.push({ kind: "accumulators", out, op, size });
    return out;
  }

  /** Combines into an accumulator of an array, in the innermost frame. */
  accumulateAt(accumulators: TileValue, op: TileArrayOp, index: Expr, value: TileValue): void {
    this.#top().statements.push({
      kind: "accumulateAt",
      accumulators,
      op,
      index,
      value: this.#cast(value, accumulators.dtype),
    });
  }

  /** Reads an accumulator of an array, in the innermost frame. */
  readAt(accumulators: TileValue, op: TileArrayOp, index: Expr): TileValue {
    const out = this.#make(accumulators.dtype, this.axesOf([index]), this.#frames.length - 1);
    this.#top().statements.push({ kind: "finishAt", out, accumulators, op, index });
    return out;
  }

  /** Emits a cast. */
  cast(value: TileValue, dtype: DType): TileValue {
    return this.#cast(value, dtype);
  }

  /** The axes with blocks over which a value will vary. */
  axesOf(exprs: readonly Expr[]): Axis[] {
    const found = new Set<Axis>();
    for (const e of exprs) {
      for (const sym of freeSymbols(e)) for (const axis of this.#symbolAxes.get(sym) ?? []) found.add(axis);
    }
    return this.#ordered(found);
  }

  #top(): Frame {
    return this.#frames[this.#frames.length - 1] as Frame;
  }

  #frame(depth: number): Frame {
    return this.#frames[depth] as Frame;
  }

  #make(dtype: DType, axes: readonly Axis[], depth: number): TileValue {
    const out: TileValue = { id: this.#nextId++, dtype, axes };
    this.#valueDepth.set(out, depth);
    return out;
  }

  #depth(value: TileValue): number {
    return this.#valueDepth.get(value) ?? 0;
  }

  #ordered(set: ReadonlySet<Axis>): Axis[] {
    return set.size < 2 ? [...set] : this.#axes.filter((axis) => set.has(axis));
  }

  #union(values: readonly TileValue[]): readonly Axis[] {
    const [first] = values;
    if (first !== undefined && values.every((v) => v.axes === first.axes || v.axes.length === 0)) return first.axes;
    const all = new Set<Axis>();
    for (const v of values) for (const axis of v.axes) all.add(axis);
    return this.#ordered(all);
  }

  #exprDepth(e: Expr): number {
    let depth = 0;
    for (const sym of freeSymbols(e)) depth = Math.max(depth, this.#symbolDepth.get(sym) ?? 0);
    return depth;
  }

  #find(key: string): TileValue | undefined {
    for (let i = this.#frames.length - 1; i >= 0; i--) {
      const found = this.#frame(i).values.get(key);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #put(key: string, out: TileValue, statement: TileStatement): TileValue {
    const frame = this.#frame(this.#depth(out));
    frame.statements.push(statement);
    frame.values.set(key, out);
    return out;
  }

  #emit(v: Value, mask: TileValue | null): TileValue {
    const plain = `${v.id}`;
    const key = mask === null ? plain : `${v.id}/${mask.id}`;
    const known = this.#find(key) ?? (mask === null ? undefined : this.#find(plain));
    if (known !== undefined) return known;
    switch (v.kind) {
      case "constant": {
        const out = this.#make(v.dtype, [], 0);
        return this.#put(plain, out, { kind: "constant", out, value: v.value });
      }
      case "index": {
        const expr = this.#resolve(v.expr, mask);
        const out = this.#make(v.dtype, this.axesOf([expr]), this.#exprDepth(expr));
        return this.#put(key, out, { kind: "index", out, expr });
      }
      case "load": {
        const forwarded = this.#forwarded.get(v.buffer);
        if (forwarded !== undefined) {
          const value = forwarded.get(v.index);
          if (value !== undefined) return this.#cast(value, v.dtype);
          throw new InternalError(
            `a kernel reads ${v.buffer.label} at another index than the one at which it wrote it`,
          );
        }
        const index = this.#resolve(v.index, mask);
        const axes = this.axesOf([index]);
        const all = mask === null ? axes : this.#ordered(new Set([...axes, ...mask.axes]));
        const depth = Math.max(this.#exprDepth(index), mask === null ? 0 : this.#depth(mask));
        const out = this.#make(v.dtype, all, depth);
        return this.#put(key, out, { kind: "load", out, buffer: v.buffer, index, mask });
      }
      case "pointwise": {
        const args = v.args.map((arg) => this.#emit(arg, mask));
        return this.#pointwise(key, v.op, args, v.dtype);
      }
      case "cast":
        return this.#cast(this.#emit(v.arg, mask), v.dtype);
      case "bitcast": {
        const arg = this.#emit(v.arg, mask);
        const out = this.#make(v.dtype, arg.axes, this.#depth(arg));
        return this.#put(key, out, { kind: "bitcast", out, arg });
      }
      case "lookup": {
        const at = this.#emit(v.at, mask);
        const out = this.#make(v.dtype, at.axes, this.#depth(at));
        return this.#put(key, out, { kind: "lookup", out, table: v.table, at });
      }
      case "masked": {
        const own = this.#emit(v.mask, mask);
        const both = mask === null ? own : this.#pointwise(`and${own.id},${mask.id}`, "bitwiseAnd", [mask, own], bool);
        const body = this.#emit(v.body, both);
        const otherKey = `const${Object.is(v.other, -0) ? "-0" : v.other}:${v.dtype.name}`;
        let other = this.#find(otherKey);
        if (other === undefined) {
          const out = this.#make(v.dtype, [], 0);
          other = this.#put(otherKey, out, { kind: "constant", out, value: v.other });
        }
        return this.#pointwise(key, "where", [own, body, other], v.dtype);
      }
      case "philox": {
        const seed = this.#emit(v.seed, mask);
        const stream = this.#emit(v.stream, mask);
        const position = this.#emit(v.position, mask);
        const operands = [seed, stream, position];
        const out = this.#make(v.dtype, this.#union(operands), Math.max(...operands.map((o) => this.#depth(o))));
        return this.#put(key, out, { kind: "philox", out, seed, stream, position });
      }
      default:
        return v satisfies never;
    }
  }

  #pointwise(key: string, op: PrimitiveName, args: readonly TileValue[], dtype: DType): TileValue {
    const structural = `${op}(${args.map((a) => a.id).join(",")})`;
    const known = this.#find(structural);
    if (known !== undefined) {
      // Remembered under the value too: without it, walking a shared graph below a mask would take exponential time.
      this.#frame(this.#depth(known)).values.set(key, known);
      return known;
    }
    let depth = 0;
    for (const arg of args) depth = Math.max(depth, this.#depth(arg));
    const out = this.#make(dtype, this.#union(args), depth);
    this.#frame(depth).values.set(structural, out);
    return this.#put(key, out, { kind: "pointwise", out, op, args });
  }

  #cast(arg: TileValue, dtype: DType): TileValue {
    if (arg.dtype === dtype) return arg;
    const key = `cast${arg.id}:${dtype.name}`;
    const known = this.#find(key);
    if (known !== undefined) return known;
    const out = this.#make(dtype, arg.axes, this.#depth(arg));
    return this.#put(key, out, { kind: "cast", out, arg });
  }

  /** Replaces indirect symbols by symbols that are bound in this kernel. */
  #resolve(e: Expr, mask: TileValue | null): Expr {
    let map: Map<Sym, Expr> | null = null;
    for (const sym of freeSymbols(e)) {
      if (sym.kind === "indirect" && !this.#symbolDepth.has(sym)) (map ??= new Map()).set(sym, this.#bind(sym, mask));
    }
    return map === null ? e : substitute(e, map);
  }

  #bind(sym: Sym, mask: TileValue | null): Expr {
    const key = mask === null ? `${sym.id}` : `${sym.id}/${mask.id}`;
    for (let i = this.#frames.length - 1; i >= 0; i--) {
      const found = this.#frame(i).bound.get(key) ?? this.#frame(i).bound.get(`${sym.id}`);
      if (found !== undefined) return symbol(found);
    }
    const payload = indirectPayload(sym);
    const value = this.#emit(payload.value, mask);
    const size = this.#resolve(payload.size, mask);
    const depth = Math.max(this.#depth(value), this.#exprDepth(size), mask === null ? 0 : this.#depth(mask));
    const bound = newSym(sym.name, { kind: "indirect", lower: 0, extent: size, payload });
    const frame = this.#frame(depth);
    frame.bound.set(key, bound);
    frame.statements.push({ kind: "bind", symbol: bound, value, size, fromEnd: payload.fromEnd, mask });
    this.#symbolDepth.set(bound, depth);
    const axes = mask === null ? value.axes : this.#union([value, mask]);
    if (axes.length > 0) this.#symbolAxes.set(bound, axes);
    return symbol(bound);
  }
}

function newFrame(axis: Axis | null, split: boolean): Frame {
  return { axis, split, statements: [], values: new Map(), bound: new Map() };
}
