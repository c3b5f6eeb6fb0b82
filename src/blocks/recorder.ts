/**
 * What records a block program while its function runs: open loops, statements in order, and which values may be used where.
 *
 * Enters: calls of {@linkcode Recorder} by the language in `record.ts`. Leaves: statements. A value is known in the loop that computes it and in
 * loops inside of that; what must outlive an iteration is a variable.
 */
import { bool, computeType, type DType, float32, float64, int64 } from "../core/mod.ts";
import { primitive, type PrimitiveName } from "../loops/mod.ts";
import { add, ceilDiv, constant, constantValue, type Expr, freeSymbols, mul, newSym, symbol } from "../symbolic/mod.ts";
import type { BlockAxis, BlockReduceOp, BlockStatement, BlockValue } from "./block_ir.ts";

/** The most positions of one axis's block. */
const MAX_BLOCK = 65536;

/** Arithmetic on halves happens in float32. */
function arithmeticType(dtype: DType): DType {
  return computeType(dtype);
}

function rankOf(dtype: DType): number {
  if (dtype === bool) return 0;
  return dtype.isFloat ? 100 + dtype.bytes : dtype.bytes * 2 + (dtype.kind === "uint" ? 0 : 1);
}

/** The statements of a program that is being recorded. */
export class Recorder {
  readonly name: string;
  readonly axes: BlockAxis[] = [];
  readonly #frames: BlockStatement[][] = [[]];
  /** What a number is that stands by itself. */
  readonly numbers: DType;
  readonly #known: Set<BlockValue>[] = [new Set()];
  readonly #open = new Set<BlockAxis>();
  readonly #zeroOutside = new Set<BlockValue>();
  #nextId = 0;

  constructor(name: string, numbers: DType = float32) {
    this.name = name;
    this.numbers = numbers;
  }

  /** Throws a TypeError that names the kernel. */
  fail(message: string): never {
    throw new TypeError(`kernel ${this.name}: ${message}`);
  }

  /** Makes an axis. */
  axis(role: BlockAxis["role"], size: Expr, block: number): BlockAxis {
    if (!Number.isInteger(block) || block < 1 || block > MAX_BLOCK || (block & (block - 1)) !== 0) {
      this.fail(`a block covers ${block} positions: make it a power of two from 1 to ${MAX_BLOCK}`);
    }
    const known = constantValue(size);
    if (role === "whole" && (known === null || known > block)) {
      this.fail(`a range of ${known ?? "unknown many"} positions does not fit a block of ${block}`);
    }
    const label = `x${this.axes.length}`;
    // A block covers its positions even where the axis has none, or the only one would be 0.
    const padded = known === 0 ? constant(block) : mul(ceilDiv(size, block), block);
    const origin = newSym(`${label}o`, {
      kind: "index",
      lower: 0,
      ...(role === "whole" ? { upper: 0 } : { extent: add(padded, 1 - block) }),
    });
    const position = block === 1 ? origin : newSym(label, { kind: "index", extent: padded });
    // A range covers its block even where it is empty; the others run for no block then.
    const ragged = block > 1 && (known === null || known % block !== 0 || (role === "whole" && known === 0));
    const axis: BlockAxis = { symbol: position, origin, extent: size, block, role, ragged };
    this.axes.push(axis);
    if (role !== "loop") this.#open.add(axis);
    return axis;
  }

  /** The axes of more than one position that expressions and values vary over, in order. */
  axesOf(exprs: readonly Expr[], values: readonly (BlockValue | null)[] = []): readonly BlockAxis[] {
    const found = new Set<BlockAxis>();
    for (const e of exprs) {
      for (const sym of freeSymbols(e)) {
        const axis = this.axes.find((a) => a.symbol === sym || a.origin === sym);
        if (axis === undefined) continue;
        this.checkOpen(axis);
        if (axis.symbol === sym && axis.block > 1) found.add(axis);
      }
    }
    for (const v of values) for (const axis of v?.axes ?? []) found.add(axis);
    return this.axes.filter((axis) => found.has(axis));
  }

  /** Refuses an axis outside of its loop. */
  checkOpen(axis: BlockAxis): void {
    if (typeof axis !== "object") this.fail("an axis of grid(), range() or loop() is missing where one is needed");
    if (!this.axes.includes(axis)) this.fail("an axis of another kernel, or of another call of it, is used");
    if (!this.#open.has(axis)) this.fail("the axis of a loop is used outside of the loop");
  }

  /** Refuses a value that is not known here. */
  use(...values: readonly (BlockValue | null)[]): void {
    for (const v of values) {
      if (v === undefined) {
        this.fail(
          "an operand is neither a block nor a number: a tensor must be an argument of the schema, an axis is " +
            "tile.position(axis), a size is tile.size(size)",
        );
      }
      if (v !== null && !this.#known.some((set) => set.has(v))) {
        this.fail(
          "a block that was made inside of a loop (or in another kernel) is used outside: keep it in a variable()",
        );
      }
    }
  }

  /** Makes a value that the next statement defines. */
  make(dtype: DType, axes: readonly BlockAxis[]): BlockValue {
    const value: BlockValue = { id: this.#nextId++, dtype, axes };
    this.#known[this.#known.length - 1]?.add(value);
    return value;
  }

  push(statement: BlockStatement): void {
    this.#frames[this.#frames.length - 1]?.push(statement);
  }

  /** Records a loop's body. */
  loop(axis: BlockAxis, from: BlockValue | null, to: BlockValue | null, body: () => void): void {
    this.use(from, to);
    this.#open.add(axis);
    this.#frames.push([]);
    this.#known.push(new Set());
    try {
      body();
    } finally {
      this.#known.pop();
      this.#open.delete(axis);
    }
    const statements = this.#frames.pop() ?? [];
    this.push({ kind: "for", axis, from, to, body: statements });
  }

  /** The finished body. */
  finish(): readonly BlockStatement[] {
    return this.#frames[0] ?? [];
  }

  /** Notes that a value is 0 outside of its axes. */
  isZeroOutside(value: BlockValue): void {
    this.#zeroOutside.add(value);
  }

  constant(value: number, dtype: DType): BlockValue {
    const out = this.make(dtype, []);
    this.push({ kind: "constant", out, value });
    return out;
  }

  index(expr: Expr): BlockValue {
    const out = this.make(int64, this.axesOf([expr]));
    this.push({ kind: "index", out, expr });
    return out;
  }

  cast(arg: BlockValue, dtype: DType): BlockValue {
    this.use(arg);
    if (arg.dtype === dtype) return arg;
    const out = this.make(dtype, arg.axes);
    this.push({ kind: "cast", out, arg });
    return out;
  }

  /** A primitive of operands that are brought to one dtype first. */
  pointwise(op: PrimitiveName, operands: readonly BlockValue[]): BlockValue {
    this.use(...operands);
    const [condition, ...chosen] = operands;
    const numbers = op === "where" ? chosen : operands;
    let dtype = numbers.reduce(
      (best, v) => rankOf(v.dtype) > rankOf(best) ? v.dtype : best,
      numbers[0]?.dtype ?? float32,
    );
    dtype = arithmeticType(dtype);
    if (!dtype.isFloat && FLOAT_ONLY.has(op)) dtype = float32;
    const args = numbers.map((v) => this.cast(v, dtype));
    if (op === "where" && condition !== undefined) args.unshift(this.cast(condition, bool));
    const out = this.make(primitive(op).result === "bool" ? bool : dtype, this.axesOf([], args));
    this.push({ kind: "pointwise", out, op, args });
    return out;
  }

  /** A number beside operands of a dtype, as the type that they are computed in. */
  constantBeside(value: number, like: DType): BlockValue {
    if (like.isFloat) return this.constant(value, arithmeticType(like));
    return this.constant(value, !Number.isInteger(value) ? float32 : like === bool ? int64 : like);
  }

  /** Combines along an axis; positions outside of it are left out. */
  reduce(op: BlockReduceOp, operand: BlockValue, axis: BlockAxis): BlockValue {
    this.use(operand);
    this.checkOpen(axis);
    const { dtype } = operand;
    // Many small integers make a large one.
    const grows = !dtype.isFloat && (op === "sum" || op === "prod");
    const arg = this.cast(operand, dtype === bool || grows ? int64 : arithmeticType(dtype));
    if (axis.block === 1) return arg;
    if (!arg.axes.includes(axis)) this.fail(`${op}() along an axis that the block does not vary over`);
    const out = this.make(arg.dtype, arg.axes.filter((a) => a !== axis));
    const inside = this.inside(arg, axis, () => this.#neutral(op, arg.dtype));
    this.push({ kind: "reduce", out, arg: inside, axis, op });
    return out;
  }

  /** What changes nothing that it is combined with. */
  #neutral(op: BlockReduceOp, dtype: DType): BlockValue {
    if (op === "sum" || op === "prod") return this.constant(op === "sum" ? 0 : 1, dtype);
    if (dtype.isFloat) return this.constant(op === "max" ? -Infinity : Infinity, dtype);
    const least = this.constant(dtype.kind === "uint" ? 0 : -(2 ** (dtype.bytes * 8 - 1)), dtype);
    // The largest int64 is no number of JavaScript's: all its bits are the others of the least one's.
    return op === "max" ? least : this.pointwise("bitwiseNot", [least]);
  }

  /** The value where its position is on the axis, else another. */
  inside(value: BlockValue, axis: BlockAxis, other: () => BlockValue): BlockValue {
    if (!axis.ragged) return value;
    const position = this.index(symbol(axis.symbol));
    const within = this.pointwise("lt", [position, this.index(axis.extent)]);
    return this.pointwise("where", [within, value, other()]);
  }

  dot(a: BlockValue, b: BlockValue, contract: BlockAxis, addTo: BlockValue | null): BlockValue {
    this.use(a, b, addTo);
    this.checkOpen(contract);
    if (contract.block === 1) this.fail("dot() contracts blocks of at least 2 positions");
    for (const [v, name] of [[a, "first"], [b, "second"]] as const) {
      if (!v.axes.includes(contract)) this.fail(`the ${name} operand of dot() does not vary over the contracted axis`);
      if (v.axes.length !== 2) {
        this.fail(
          `the ${name} operand of dot() varies over ${v.axes.length} axes: it must be a matrix ` +
            "(an axis of one position counts for nothing: give grid() or range() a block of at least 2)",
        );
      }
      if (!v.dtype.isFloat) {
        this.fail(`the ${name} operand of dot() is ${v.dtype.name}: cast it to a floating point type`);
      }
    }
    const [m] = a.axes.filter((axis) => axis !== contract);
    const [n] = b.axes.filter((axis) => axis !== contract);
    if (m === undefined || n === undefined || m === n) {
      this.fail("the operands of dot() share more than the contracted axis");
    }
    const dtype = a.dtype === float64 || b.dtype === float64 ? float64 : float32;
    const [x, y] = [a, b].map((v) => {
      // What is outside of the contracted axis must add nothing: loads are 0 there, computed values may be anything.
      const own = this.#zeroOutside.has(v)
        ? v
        : this.cast(this.inside(v, contract, () => this.constant(0, v.dtype)), v.dtype);
      return a.dtype === b.dtype ? own : this.cast(own, dtype);
    }) as [BlockValue, BlockValue];
    const axes = this.axes.filter((axis) => axis === m || axis === n);
    if (
      addTo !== null && (addTo.dtype !== dtype || addTo.axes.length !== 2 || addTo.axes.some((x) => !axes.includes(x)))
    ) {
      this.fail(`dot() adds to a ${addTo.dtype.name} block of other axes; it yields ${dtype.name}`);
    }
    const out = this.make(dtype, axes);
    this.push({ kind: "dot", out, a: x, b: y, contract, add: addTo });
    return out;
  }
}

const FLOAT_ONLY: ReadonlySet<PrimitiveName> = new Set([
  "div",
  "sqrt",
  "rsqrt",
  "reciprocal",
  "exp",
  "exp2",
  "expm1",
  "log",
  "log2",
  "log1p",
  "sin",
  "cos",
  "tan",
  "tanh",
  "sigmoid",
  "erf",
]);
