/**
 * What a block program means: an interpreter on the host, instance after instance, block after block.
 *
 * Runs kernels where there is no compiler, and is what emitted kernels are compared with. Blocks are arrays in row-major order of their axes; numbers are
 * rounded to their dtype after each step. Sums of a reduction and of a product are float64 before they are rounded.
 */
import { type DType, float16, float32, float64, InternalError, narrowFloat } from "../core/mod.ts";
import { castNumber, evaluatePrimitive, primitive, roundToDtype } from "../loops/mod.ts";
import { ceilDiv, evaluate, type Expr, type Sym } from "../symbolic/mod.ts";
import type { BlockAxis, BlockProgram, BlockStatement, BlockValue, Place } from "./block_ir.ts";
import { gridOf } from "./block_ir.ts";

/** Memory of one buffer: elements as numbers. */
export interface BlockMemory {
  get(at: number): number | bigint;
  set(at: number, value: number | bigint): void;
  readonly length: number;
}

type Numbers = (number | bigint)[] | Float64Array;

function sizeOf(axes: readonly BlockAxis[]): number {
  return axes.reduce((n, axis) => n * axis.block, 1);
}

function make(dtype: DType, length: number): Numbers {
  return dtype.isFloat ? new Float64Array(length) : new Array<number | bigint>(length).fill(0);
}

function rounder(dtype: DType): (x: number) => number {
  if (dtype === float32) return Math.fround;
  if (dtype === float64) return (x) => x;
  if (dtype === float16) return Math.f16round;
  const narrow = narrowFloat(dtype);
  if (narrow !== null) return narrow.round;
  return (x) => Number(roundToDtype(x, dtype));
}

class Instance {
  readonly #memory: (place: Place) => BlockMemory;
  readonly #symbols: Map<Sym, number>;
  readonly #values = new Map<BlockValue, Numbers>();
  readonly #maps = new Map<string, Int32Array>();

  constructor(memory: (place: Place) => BlockMemory, symbols: Map<Sym, number>) {
    this.#memory = memory;
    this.#symbols = symbols;
  }

  #evaluate(e: Expr): number {
    return evaluate(e, (sym) => {
      const found = this.#symbols.get(sym);
      if (found === undefined) throw new InternalError(`${sym.name} has no value`);
      return found;
    });
  }

  #get(v: BlockValue): Numbers {
    const found = this.#values.get(v);
    if (found === undefined) throw new InternalError(`value ${v.id} is not computed`);
    return found;
  }

  /** For each element of `axes`, where an operand that varies over some of them has its element. */
  #map(operand: readonly BlockAxis[], axes: readonly BlockAxis[]): Int32Array {
    const key = `${operand.map((a) => a.symbol.id)}/${axes.map((a) => a.symbol.id)}`;
    const known = this.#maps.get(key);
    if (known !== undefined) return known;
    const out = new Int32Array(sizeOf(axes));
    const steps = axes.map((axis) => {
      const at = operand.indexOf(axis);
      return at < 0 ? 0 : operand.slice(at + 1).reduce((n, a) => n * a.block, 1);
    });
    for (let e = 0; e < out.length; e++) {
      let [rest, at] = [e, 0];
      for (let d = axes.length - 1; d >= 0; d--) {
        const { block } = axes[d] as BlockAxis;
        at += rest % block * (steps[d] as number);
        rest = Math.floor(rest / block);
      }
      out[e] = at;
    }
    this.#maps.set(key, out);
    return out;
  }

  /** Sets position symbols for the element of a block. */
  #at(axes: readonly BlockAxis[], element: number): void {
    let rest = element;
    for (let d = axes.length - 1; d >= 0; d--) {
      const axis = axes[d] as BlockAxis;
      this.#symbols.set(axis.symbol, (this.#symbols.get(axis.origin) ?? 0) + rest % axis.block);
      rest = Math.floor(rest / axis.block);
    }
  }

  /** Calls `each` for the elements of a place that are there, with their place in memory. */
  #over(
    place: Place,
    axes: readonly BlockAxis[],
    mask: BlockValue | null,
    each: (element: number, at: number) => void,
  ): void {
    const gathered = place.gathers.map((g) => ({
      numbers: this.#get(g.value),
      map: this.#map(g.value.axes, axes),
      size: this.#evaluate(g.size),
      stride: this.#evaluate(g.stride),
    }));
    const masks = mask === null ? null : { numbers: this.#get(mask), map: this.#map(mask.axes, axes) };
    const count = sizeOf(axes);
    elements: for (let e = 0; e < count; e++) {
      if (masks !== null && Number(masks.numbers[masks.map[e] as number]) === 0) continue;
      this.#at(axes, e);
      for (const { expr, lower, upper } of place.conditions) {
        const x = this.#evaluate(expr);
        if ((lower && x < 0) || (upper !== null && x >= this.#evaluate(upper))) continue elements;
      }
      let at = this.#evaluate(place.index);
      for (const { numbers, map, size, stride } of gathered) {
        const x = Number(numbers[map[e] as number]);
        if (x < 0 || x >= size) continue elements;
        at += x * stride;
      }
      each(e, at);
    }
  }

  /** Runs the instance of a linear number. */
  begin(program: BlockProgram, grid: readonly BlockAxis[], counts: readonly number[], number: number): void {
    let rest = number;
    for (let d = grid.length - 1; d >= 0; d--) {
      const [axis, count] = [grid[d] as BlockAxis, counts[d] as number];
      this.#symbols.set(axis.origin, rest % count * axis.block);
      rest = Math.floor(rest / count);
    }
    for (const axis of program.axes) if (axis.role === "whole") this.#symbols.set(axis.origin, 0);
    this.run(program.body);
  }

  run(body: readonly BlockStatement[]): void {
    for (const s of body) this.#statement(s);
  }

  #statement(s: BlockStatement): void {
    switch (s.kind) {
      case "constant":
        this.#values.set(s.out, [roundToDtype(s.value, s.out.dtype)]);
        return;
      case "index": {
        const out = make(s.out.dtype, sizeOf(s.out.axes));
        for (let e = 0; e < out.length; e++) {
          this.#at(s.out.axes, e);
          out[e] = this.#evaluate(s.expr);
        }
        this.#values.set(s.out, out);
        return;
      }
      case "load": {
        const out = make(s.out.dtype, sizeOf(s.out.axes)).fill(s.other as never);
        const memory = this.#memory(s.place);
        this.#over(s.place, s.out.axes, s.mask, (e, at) => out[e] = memory.get(at) as never);
        this.#values.set(s.out, out);
        return;
      }
      case "store":
      case "combine": {
        const { place, value, mask } = s;
        const axes = [...new Set([...place.axes, ...value.axes, ...(mask?.axes ?? [])])];
        const [numbers, map, memory] = [this.#get(value), this.#map(value.axes, axes), this.#memory(place)];
        this.#over(place, axes, mask, (e, at) => {
          const x = numbers[map[e] as number] as number;
          if (s.kind === "store") memory.set(at, x);
          else {
            const op = s.op === "sum" ? "add" : s.op === "max" ? "maximum" : "minimum";
            memory.set(at, evaluatePrimitive(op, [memory.get(at), x], value.dtype));
          }
        });
        return;
      }
      case "pointwise": {
        const operands = s.args.map((v) => ({ numbers: this.#get(v), map: this.#map(v.axes, s.out.axes) }));
        const out = make(s.out.dtype, sizeOf(s.out.axes));
        const dtype = (s.args[s.op === "where" ? 1 : 0] as BlockValue).dtype;
        const def = primitive(s.op);
        const round = dtype.isFloat && s.out.dtype.isFloat && s.op !== "nextafter" ? rounder(s.out.dtype) : null;
        const [a, b, c] = operands;
        for (let e = 0; e < out.length; e++) {
          const at = (o: typeof a): number => o === undefined ? 0 : o.numbers[o.map[e] as number] as number;
          out[e] = round !== null
            ? round(def.evaluate(at(a), at(b), at(c)))
            : evaluatePrimitive(s.op, [at(a), at(b), at(c)], dtype) as never;
        }
        this.#values.set(s.out, out);
        return;
      }
      case "cast": {
        const from = this.#get(s.arg);
        const out = make(s.out.dtype, from.length);
        for (let e = 0; e < out.length; e++) out[e] = castNumber(from[e] as number, s.arg.dtype, s.out.dtype) as never;
        this.#values.set(s.out, out);
        return;
      }
      case "reduce":
        this.#reduce(s);
        return;
      case "dot":
        this.#dot(s);
        return;
      case "variable":
        this.#values.set(s.out, this.#spread(s.init, s.out));
        return;
      case "assign":
        this.#values.set(s.variable, this.#spread(s.value, s.variable));
        return;
      case "snapshot":
        this.#values.set(s.out, this.#get(s.variable));
        return;
      case "for": {
        const { axis } = s;
        const scalar = (v: BlockValue | null, otherwise: number): number =>
          v === null ? otherwise : Number(this.#get(v)[0]);
        const extent = this.#evaluate(axis.extent);
        const first = Math.max(0, Math.floor(scalar(s.from, 0) / axis.block) * axis.block);
        const end = Math.min(extent, scalar(s.to, extent));
        for (let at = first; at < end; at += axis.block) {
          this.#symbols.set(axis.origin, at);
          this.run(s.body);
        }
        return;
      }
      default:
        s satisfies never;
    }
  }

  /** A copy of a value over the axes of another. */
  #spread(value: BlockValue, to: BlockValue): Numbers {
    const [numbers, map] = [this.#get(value), this.#map(value.axes, to.axes)];
    const out = make(to.dtype, map.length);
    for (let e = 0; e < out.length; e++) out[e] = numbers[map[e] as number] as never;
    return out;
  }

  #reduce(s: BlockStatement & { readonly kind: "reduce" }): void {
    const { arg, out, op } = s;
    const numbers = this.#get(arg);
    const map = this.#map(out.axes, arg.axes);
    const name = ({ sum: "add", prod: "mul", max: "maximum", min: "minimum" } as const)[op];
    const length = sizeOf(out.axes);
    const results: (number | bigint | null)[] = new Array<null>(length).fill(null);
    for (let e = 0; e < numbers.length; e++) {
      const [at, x] = [map[e] as number, numbers[e] as number];
      const old = results[at];
      results[at] = old === null || old === undefined
        ? x
        : evaluatePrimitive(name, [old, x], arg.dtype.isFloat ? float64 : arg.dtype);
    }
    const done = make(out.dtype, length);
    for (let e = 0; e < length; e++) done[e] = roundToDtype(results[e] ?? 0, out.dtype) as never;
    this.#values.set(out, done);
  }

  #dot(s: BlockStatement & { readonly kind: "dot" }): void {
    const { a, b, contract, add, out } = s;
    const all = [...out.axes, contract];
    const [x, y] = [this.#get(a), this.#get(b)];
    const [xm, ym] = [this.#map(a.axes, all), this.#map(b.axes, all)];
    const before = add === null ? null : this.#spread(add, out);
    const done = make(out.dtype, sizeOf(out.axes));
    const round = rounder(out.dtype);
    for (let e = 0; e < done.length; e++) {
      let sum = 0;
      const first = e * contract.block;
      for (let k = 0; k < contract.block; k++) {
        sum += Number(x[xm[first + k] as number]) * Number(y[ym[first + k] as number]);
      }
      done[e] = round(Number(before?.[e] ?? 0) + sum);
    }
    this.#values.set(out, done);
  }
}

/**
 * Runs a program.
 *
 * @param memory Elements of a parameter's buffer.
 * @param sizes Values of the size symbols.
 */
export function interpretBlocks(
  program: BlockProgram,
  memory: (place: Place) => BlockMemory,
  sizes: ReadonlyMap<Sym, number>,
): void {
  const grid = gridOf(program);
  const size = (e: Expr): number => evaluate(e, (sym) => sizes.get(sym) ?? NaN);
  const counts = grid.map((axis) => size(ceilDiv(axis.extent, axis.block)));
  const total = counts.reduce((n, c) => n * c, 1);
  const instance = new Instance(memory, new Map(sizes));
  for (let i = 0; i < total; i++) instance.begin(program, grid, counts, i);
}
