/**
 * The kernel language: what a kernel's function calls while it is recorded.
 *
 * {@linkcode recordBlocks} calls the function once with a {@linkcode Tile}, the tensors and the configuration, and leaves a {@linkcode BlockProgram}.
 * JavaScript's own control flow runs at that time: a loop over a configuration's numbers is unrolled, an `if` on a size chooses. Loops over data's axes
 * are `tile.loop`. Mirrors `triton.language`.
 */
import { bool, type DType, float32, float64, int64 } from "../core/mod.ts";
import { type BufferRef, type PrimitiveName } from "../loops/mod.ts";
import {
  add,
  constant,
  type Expr,
  exprOf,
  isNonNegative,
  min,
  mul,
  provablyLt,
  type Size,
  symbol,
} from "../symbolic/mod.ts";
import type {
  BlockAxis,
  BlockOptions,
  BlockParameter,
  BlockProgram,
  BlockValue,
  Gather,
  Place,
  PlaceCondition,
} from "./block_ir.ts";
import { Recorder } from "./recorder.ts";
import { verifyBlockProgram } from "./verify.ts";

/** What may stand where an element is chosen: positions of an axis, one number, or computed integers. */
export type IndexLike = BlockAxis | Block | Size;
/** What arithmetic takes beside blocks. */
export type Operand = Block | number;

function isAxis(x: unknown): x is BlockAxis {
  return typeof x === "object" && x !== null && "origin" in x && "role" in x;
}

/** Numbers, one for each position of some axes. Immutable: arithmetic makes new ones. Halves are computed on in float32. */
export class Block {
  readonly #recorder: Recorder;
  /** What it is in the program. */
  readonly value: BlockValue;
  /** Its numbers as an expression over positions, where they are one. */
  readonly expr: Expr | null;

  constructor(recorder: Recorder, value: BlockValue, expr: Expr | null = null) {
    this.#recorder = recorder;
    this.value = value;
    this.expr = expr;
  }

  get dtype(): DType {
    return this.value.dtype;
  }

  /** @throws {TypeError} always: JavaScript's operators would compute on the recording, not on numbers */
  [Symbol.toPrimitive](): never {
    this.#recorder.fail("a block has no value while it is recorded: write a.add(b), a.gt(b), tile.where(a, b, c)");
  }

  #operand(other: Operand): BlockValue {
    return typeof other === "number" ? this.#recorder.constantBeside(other, this.dtype) : other.value;
  }

  #apply(op: PrimitiveName, ...others: readonly Operand[]): Block {
    const operands = [this.value, ...others.map((o) => this.#operand(o))];
    return new Block(this.#recorder, this.#recorder.pointwise(op, operands));
  }

  #integer(op: PrimitiveName, other: Operand, build: (a: Expr, b: Expr) => Expr): Block {
    const b = typeof other === "number" ? (Number.isInteger(other) ? constant(other) : null) : other.expr;
    if (this.expr === null || b === null) return this.#apply(op, other);
    const expr = build(this.expr, b);
    return new Block(this.#recorder, this.#recorder.index(expr), expr);
  }

  add(other: Operand): Block {
    return this.#integer("add", other, add);
  }
  sub(other: Operand): Block {
    return this.#integer("sub", other, (a, b) => add(a, mul(b, -1)));
  }
  mul(other: Operand): Block {
    return this.#integer("mul", other, mul);
  }
  div(other: Operand): Block {
    return this.#apply("div", other);
  }
  /** Division rounded down. */
  floorDiv(other: Operand): Block {
    return this.#apply("floorDiv", other);
  }
  /** The remainder of {@linkcode floorDiv}. */
  mod(other: Operand): Block {
    return this.#apply("floorMod", other);
  }
  maximum(other: Operand): Block {
    return this.#apply("maximum", other);
  }
  minimum(other: Operand): Block {
    return this.#apply("minimum", other);
  }
  lt(other: Operand): Block {
    return this.#apply("lt", other);
  }
  le(other: Operand): Block {
    return this.#apply("le", other);
  }
  gt(other: Operand): Block {
    return this.#apply("gt", other);
  }
  ge(other: Operand): Block {
    return this.#apply("ge", other);
  }
  eq(other: Operand): Block {
    return this.#apply("eq", other);
  }
  ne(other: Operand): Block {
    return this.#apply("ne", other);
  }
  and(other: Operand): Block {
    return this.#apply("bitwiseAnd", other);
  }
  or(other: Operand): Block {
    return this.#apply("bitwiseOr", other);
  }
  not(): Block {
    return this.#apply("bitwiseNot");
  }
  neg(): Block {
    return this.#apply("neg");
  }
  abs(): Block {
    return this.#apply("abs");
  }
  exp(): Block {
    return this.#apply("exp");
  }
  exp2(): Block {
    return this.#apply("exp2");
  }
  log(): Block {
    return this.#apply("log");
  }
  log2(): Block {
    return this.#apply("log2");
  }
  sqrt(): Block {
    return this.#apply("sqrt");
  }
  rsqrt(): Block {
    return this.#apply("rsqrt");
  }
  reciprocal(): Block {
    return this.#apply("reciprocal");
  }
  sin(): Block {
    return this.#apply("sin");
  }
  cos(): Block {
    return this.#apply("cos");
  }
  tanh(): Block {
    return this.#apply("tanh");
  }
  sigmoid(): Block {
    return this.#apply("sigmoid");
  }
  erf(): Block {
    return this.#apply("erf");
  }
  floor(): Block {
    return this.#apply("floor");
  }
  /** The other types of numbers: floats to integers truncate, halves are rounded to. */
  to(dtype: DType): Block {
    return new Block(this.#recorder, this.#recorder.cast(this.value, dtype));
  }
  /** Sums along an axis, which the result no longer varies over. Sums and products of integers are int64. */
  sum(axis: BlockAxis): Block {
    return new Block(this.#recorder, this.#recorder.reduce("sum", this.value, axis));
  }
  prod(axis: BlockAxis): Block {
    return new Block(this.#recorder, this.#recorder.reduce("prod", this.value, axis));
  }
  max(axis: BlockAxis): Block {
    return new Block(this.#recorder, this.#recorder.reduce("max", this.value, axis));
  }
  min(axis: BlockAxis): Block {
    return new Block(this.#recorder, this.#recorder.reduce("min", this.value, axis));
  }
}

/** A block that changes, carried through loops. */
export class Variable {
  readonly #recorder: Recorder;
  readonly #variable: BlockValue;

  constructor(recorder: Recorder, init: BlockValue, axes: readonly BlockAxis[]) {
    this.#recorder = recorder;
    recorder.use(init);
    this.#variable = recorder.make(init.dtype, axes);
    recorder.push({ kind: "variable", out: this.#variable, init });
  }

  /** What it is now. */
  get value(): Block {
    const out = this.#recorder.make(this.#variable.dtype, this.#variable.axes);
    this.#recorder.push({ kind: "snapshot", out, variable: this.#variable });
    return new Block(this.#recorder, out);
  }

  set(value: Operand): void {
    const { dtype } = this.#variable;
    const cast = typeof value === "number"
      ? this.#recorder.constant(value, dtype)
      : this.#recorder.cast(value.value, dtype);
    if (cast.axes.some((axis) => !this.#variable.axes.includes(axis))) {
      this.#recorder.fail("a variable is set to a block that varies over more axes: make it with variable(init, axes)");
    }
    this.#recorder.push({ kind: "assign", variable: this.#variable, value: cast });
  }

  /** Adds. */
  add(value: Operand): void {
    this.set(this.value.add(value));
  }

  /** Adds the product of two matrices, contracted along `axis`. */
  addDot(a: Block, b: Block, axis: BlockAxis): void {
    const value = this.#recorder.dot(a.value, b.value, axis, this.#variable);
    this.#recorder.push({ kind: "assign", variable: this.#variable, value });
  }
}

/** Options of a load. */
export interface LoadOptions {
  /** Where it does not hold, memory is not touched. */
  readonly mask?: Block;
  /** What is read there, and outside of the tensor. Default 0. */
  readonly other?: number;
}

/** A tensor of a kernel. Elements are chosen by one index a dimension. */
export class BlockTensor {
  readonly #recorder: Recorder;
  readonly #parameter: BlockParameter;
  readonly shape: readonly Size[];

  constructor(recorder: Recorder, parameter: BlockParameter, shape: readonly Size[]) {
    this.#recorder = recorder;
    this.#parameter = parameter;
    this.shape = shape;
  }

  get dtype(): DType {
    return this.#parameter.buffer.dtype;
  }

  /** The size of a dimension. @throws {TypeError} if there is none of that number */
  size(dimension: number): Size {
    const found = this.shape[dimension];
    if (found === undefined) {
      this.#recorder.fail(
        `${this.#parameter.name} has ${this.shape.length} dimensions, there is no dimension ${dimension}`,
      );
    }
    return found;
  }

  /** Where elements are; `others` vary over axes as well, whose positions outside do not exist either. */
  #place(index: readonly IndexLike[], what: string, others: readonly (BlockValue | null)[] = []): Place {
    const { shape, stride, offset, buffer, name } = this.#parameter;
    const r = this.#recorder;
    if (index.length !== shape.length) {
      r.fail(`${what} of ${name} takes ${shape.length} indices, one a dimension, got ${index.length}`);
    }
    let flat = offset;
    const gathers: Gather[] = [];
    const chosen: Expr[] = [];
    const conditions: PlaceCondition[] = [];
    index.forEach((at, d) => {
      const [size, step] = [shape[d] ?? constant(1), stride[d] ?? constant(0)];
      const expr = isAxis(at) ? symbol(at.symbol) : at instanceof Block ? at.expr : exprOf(at);
      if (expr === null) {
        const { value } = at as Block;
        r.use(value);
        if (value.dtype.isFloat || value.dtype === bool) {
          r.fail(`${what} of ${name}: index ${d} is ${value.dtype.name}, not an integer`);
        }
        gathers.push({ value, size, stride: step });
        return;
      }
      if (isAxis(at)) r.checkOpen(at);
      flat = add(flat, mul(expr, step));
      // An expanded dimension has a stride of 0, and its block varies nevertheless.
      chosen.push(expr);
      const lower = !isNonNegative(expr);
      const upper = provablyLt(expr, size) ? null : size;
      if (lower || upper !== null) conditions.push({ expr, lower, upper });
    });
    const axes = r.axesOf(chosen, [...gathers.map((g) => g.value), ...others]);
    for (const axis of axes) {
      const known = conditions.some((c) => c.expr === symbol(axis.symbol) && c.upper === axis.extent);
      if (axis.ragged && !known) conditions.push({ expr: symbol(axis.symbol), lower: false, upper: axis.extent });
    }
    return { buffer, index: flat, gathers, conditions, axes };
  }

  #mask(mask: Block | undefined, what: string): BlockValue | null {
    if (mask === undefined) return null;
    this.#recorder.use(mask.value);
    if (mask.dtype !== bool) this.#recorder.fail(`the mask of a ${what} is ${mask.dtype.name}: compare something`);
    return mask.value;
  }

  /** Elements at the positions that the indices name; `other` outside of the tensor. */
  load(index: readonly IndexLike[], options: LoadOptions = {}): Block {
    const r = this.#recorder;
    if (this.#parameter.writes) r.fail(`${this.#parameter.name} is a result: a kernel cannot read what it writes`);
    const mask = this.#mask(options.mask, "load");
    const place = this.#place(index, "a load", [mask]);
    const other = options.other ?? 0;
    const out = r.make(this.dtype, place.axes);
    r.push({ kind: "load", out, place, mask, other });
    if (other === 0) r.isZeroOutside(out);
    return new Block(r, out);
  }

  #target(
    index: readonly IndexLike[],
    value: Operand,
    mask: Block | undefined,
    what: string,
  ): { readonly place: Place; readonly value: BlockValue; readonly mask: BlockValue | null } {
    const r = this.#recorder;
    if (!this.#parameter.writes) r.fail(`${this.#parameter.name} is an argument: a kernel writes to its results only`);
    const given = typeof value === "number" ? r.constant(value, this.dtype) : value.value;
    const cast = r.cast(given, this.dtype);
    const own = this.#mask(mask, what);
    const place = this.#place(index, `a ${what}`, what === "store" ? [] : [cast, own]);
    for (const v of [cast, own]) {
      if (v !== null && v.axes.some((axis) => !place.axes.includes(axis)) && what === "store") {
        r.fail(`a store to ${this.#parameter.name}: several elements of the block meet in one place; reduce it first`);
      }
    }
    return { place, value: cast, mask: own };
  }

  /** Writes a block, rounded to the tensor's type; positions outside of the tensor are left out. */
  store(index: readonly IndexLike[], value: Block | number, options: { readonly mask?: Block } = {}): void {
    this.#recorder.push({ kind: "store", ...this.#target(index, value, options.mask, "store") });
  }

  /** Adds to what is there; instances and elements may meet. The result starts as zeros. */
  atomicAdd(index: readonly IndexLike[], value: Block | number, options: { readonly mask?: Block } = {}): void {
    this.#recorder.push({ kind: "combine", op: "sum", ...this.#target(index, value, options.mask, "atomic addition") });
  }
}

/** What a kernel's function calls. */
export class Tile {
  readonly #recorder: Recorder;

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
  }

  /** An axis that instances divide among themselves, `block` positions each. */
  grid(extent: Size, block = 1): BlockAxis {
    return this.#recorder.axis("grid", exprOf(extent), block);
  }

  /** An axis that one block covers; by default the next power of two from 2 on, so that a matrix of one row is a matrix. A size that varies is taken as it is at hand: a compiled function makes a program for each. */
  range(extent: Size, block?: number): BlockAxis {
    const known = Number(extent);
    return this.#recorder.axis("whole", exprOf(known), block ?? 2 ** Math.ceil(Math.log2(Math.max(known, 2))));
  }

  /** Calls `body` once; it runs for each block of the axis, or of the part of it from `from` (rounded down to a block) to before `to`. */
  loop(
    extent: Size,
    block: number,
    body: (axis: BlockAxis) => void,
    part: { readonly from?: Block | Size; readonly to?: Block | Size } = {},
  ): void {
    const r = this.#recorder;
    const bound = (x: Block | Size | undefined, name: string): BlockValue | null => {
      if (x === undefined) return null;
      const value = x instanceof Block ? x.value : r.index(exprOf(x));
      if (value.axes.length > 0) r.fail(`${name} of a loop is a block: make it one number`);
      return value.dtype === int64 ? value : r.cast(value, int64);
    };
    const [from, to] = [bound(part.from, "from"), bound(part.to, "to")];
    const axis = r.axis("loop", exprOf(extent), block);
    r.loop(axis, from, to, () => body(axis));
  }

  #indexBlock(expr: Expr): Block {
    return new Block(this.#recorder, this.#recorder.index(expr), expr);
  }

  /** The positions of an axis, as integers. */
  position(axis: BlockAxis): Block {
    return this.#indexBlock(symbol(axis.symbol));
  }
  /** The first position of the block. */
  start(axis: BlockAxis): Block {
    return this.#indexBlock(symbol(axis.origin));
  }
  /** The position after the block's last. */
  end(axis: BlockAxis): Block {
    return this.#indexBlock(min(add(symbol(axis.origin), axis.block), axis.extent));
  }
  /** A size as a block. */
  size(size: Size): Block {
    return this.#indexBlock(exprOf(size));
  }

  /** A number as a block: float32, or float64 in a kernel whose tensors hold no other floating point numbers. */
  constant(value: number, dtype: DType = this.#recorder.numbers): Block {
    return new Block(this.#recorder, this.#recorder.constant(value, dtype));
  }

  /** A variable with the axes of its first value, or with others that it varies over later. `dtype` is for a number: as in {@linkcode constant}. */
  variable(init: Block | number, axes?: readonly BlockAxis[], dtype: DType = this.#recorder.numbers): Variable {
    const r = this.#recorder;
    const value = typeof init === "number" ? r.constant(init, dtype) : init.value;
    const wanted = axes === undefined ? value.axes : r.axes.filter((a) => axes.includes(a) && a.block > 1);
    for (const axis of axes ?? []) r.checkOpen(axis);
    if (value.axes.some((axis) => !wanted.includes(axis))) r.fail("variable(): the first value varies over more axes");
    return new Variable(r, value, wanted);
  }

  /** The product of two matrices, contracted along `axis`: tensor cores where operands are halves. */
  dot(a: Block, b: Block, axis: BlockAxis): Block {
    return new Block(this.#recorder, this.#recorder.dot(a.value, b.value, axis, null));
  }

  where(condition: Block, a: Operand, b: Operand): Block {
    const r = this.#recorder;
    const like = typeof a !== "number" ? a : typeof b !== "number" ? b : null;
    const value = (x: Operand): BlockValue =>
      typeof x === "number" ? r.constantBeside(x, like?.dtype ?? r.numbers) : x.value;
    return new Block(r, r.pointwise("where", [condition.value, value(a), value(b)]));
  }
}

/** A tensor that a program is recorded for. */
export interface RecordedTensor {
  readonly name: string;
  readonly buffer: BufferRef;
  readonly shape: readonly Size[];
  readonly stride: readonly Expr[];
  readonly offset: Expr;
  readonly writes: boolean;
}

/**
 * Records a kernel.
 *
 * @throws {TypeError} naming the kernel and what is wrong in it
 */
export function recordBlocks(
  name: string,
  tensors: readonly RecordedTensor[],
  options: BlockOptions,
  body: (tile: Tile, tensors: Readonly<Record<string, BlockTensor>>) => unknown,
): BlockProgram {
  const floats = tensors.map((t) => t.buffer.dtype).filter((dtype) => dtype.isFloat);
  const recorder = new Recorder(name, floats.length > 0 && floats.every((d) => d === float64) ? float64 : float32);
  const parameters = tensors.map(({ shape, ...rest }): BlockParameter => ({ ...rest, shape: shape.map(exprOf) }));
  const given = Object.fromEntries(
    parameters.map((p, i) => [p.name, new BlockTensor(recorder, p, tensors[i]?.shape ?? [])]),
  );
  const result = body(new Tile(recorder), given);
  if (result instanceof Promise) recorder.fail("its function is async: it is recorded, not run, so it cannot wait");
  const program: BlockProgram = { name, parameters, axes: recorder.axes, body: recorder.finish(), options };
  verifyBlockProgram(program);
  return program;
}
