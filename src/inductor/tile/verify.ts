/**
 * The invariants of the tile IR, checked.
 *
 * Values are defined before they are used, in the same loop or one around it; symbols in index expressions are axes whose loops are open, sizes that
 * are parameters, or bound; the axes of a value are those with blocks that its operands vary over; buffers are parameters; accumulators
 * are combined with their own operation and only inside of their scope; dtypes match.
 */
import { verifyBlockProgram } from "../../blocks/mod.ts";
import { bool, computeType, config, type DType, float32, int32, VerifyError } from "../../core/mod.ts";
import { type BufferRef, primitive } from "../../loops/mod.ts";
import { coefficient, type Expr, freeSymbols, type Sym, toText } from "../../symbolic/mod.ts";
import { statementExprs } from "./parameters.ts";
import type {
  AttentionKernel,
  AttentionOperand,
  Axis,
  ContractionKernel,
  Kernel,
  TileKernel,
  TileReduceOp,
  TileStatement,
  TileValue,
} from "./tile_ir.ts";

class Checker {
  readonly #kernel: Kernel;
  readonly #values = new Set<TileValue>();
  readonly #symbols = new Set<Sym>();
  readonly #accumulators = new Map<TileValue, TileReduceOp>();
  readonly #arrays = new Map<TileValue, TileReduceOp>();
  readonly #blocks = new Map<Sym, readonly Axis[]>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    for (const sym of kernel.sizes) this.#symbols.add(sym);
  }

  fail(rule: string): never {
    throw new VerifyError(`kernel ${this.#kernel.name}: ${rule}`);
  }

  open(axis: Axis): void {
    if (!Number.isInteger(axis.block) || axis.block < 1) this.fail(`axis ${axis.symbol.name} has block ${axis.block}`);
    this.#expr(axis.extent);
    this.#symbols.add(axis.symbol);
    if (axis.block > 1) this.#blocks.set(axis.symbol, [axis]);
  }

  define(v: TileValue): void {
    if (this.#values.has(v)) this.fail(`value ${v.id} is defined twice`);
    this.#values.add(v);
  }

  body(statements: readonly TileStatement[]): void {
    const values = new Set(this.#values);
    const symbols = new Set(this.#symbols);
    for (const s of statements) this.#statement(s);
    for (const v of this.#values) if (!values.has(v)) this.#values.delete(v);
    for (const sym of this.#symbols) if (!symbols.has(sym)) this.#symbols.delete(sym);
  }

  /** A template's program: its value stays defined. */
  program(statements: readonly TileStatement[], value: TileValue): void {
    for (const s of statements) this.#statement(s);
    this.#use(value);
  }

  #expr(e: Expr): void {
    for (const sym of freeSymbols(e)) {
      if (!this.#symbols.has(sym)) this.fail(`${toText(e)} uses ${sym.name}, which is not known there`);
    }
  }

  /** An element of memory at an index over what is known. */
  place(buffer: BufferRef, index: Expr): void {
    this.#expr(index);
    if (!this.#kernel.reads.includes(buffer) && !this.#kernel.writes.includes(buffer)) {
      this.fail(`${buffer.label} is no parameter`);
    }
  }

  #use(...values: readonly (TileValue | null)[]): void {
    for (const v of values) {
      if (v !== null && !this.#values.has(v)) this.fail(`value ${v.id} is used before it is defined`);
    }
  }

  #varies(out: TileValue, values: readonly (TileValue | null)[], exprs: readonly Expr[] = []): void {
    const expected = new Set<Axis>();
    for (const v of values) for (const axis of v?.axes ?? []) expected.add(axis);
    for (const e of exprs) {
      for (const sym of freeSymbols(e)) for (const axis of this.#blocks.get(sym) ?? []) expected.add(axis);
    }
    if (expected.size !== out.axes.length || out.axes.some((axis) => !expected.has(axis))) {
      this.fail(`value ${out.id} has the wrong axes`);
    }
  }

  #mask(mask: TileValue | null): void {
    if (mask !== null && mask.dtype !== bool) this.fail(`the mask ${mask.id} is ${mask.dtype.name}`);
  }

  #statement(s: TileStatement): void {
    for (const e of statementExprs(s)) if (s.kind !== "for") this.#expr(e);
    switch (s.kind) {
      case "constant":
        break;
      case "index":
        this.#varies(s.out, [], [s.expr]);
        break;
      case "bind": {
        this.#use(s.value, s.mask);
        this.#symbols.add(s.symbol);
        const axes = [...new Set([...s.value.axes, ...(s.mask?.axes ?? [])])];
        if (axes.length > 0) this.#blocks.set(s.symbol, axes);
        if (s.value.dtype.isFloat) this.fail(`an index is ${s.value.dtype.name}`);
        return;
      }
      case "load":
        this.#use(s.mask);
        this.#mask(s.mask);
        if (!this.#kernel.reads.includes(s.buffer) && !this.#kernel.writes.includes(s.buffer)) {
          this.fail(`${s.buffer.label} is no parameter`);
        }
        if (s.out.dtype !== s.buffer.dtype) this.fail(`a load of ${s.buffer.label} yields ${s.out.dtype.name}`);
        this.#varies(s.out, [s.mask], [s.index]);
        break;
      case "store":
      case "combine":
        this.#use(s.value);
        if (!this.#kernel.writes.includes(s.buffer)) this.fail(`${s.buffer.label} is written but no parameter`);
        if (s.value.dtype !== s.buffer.dtype) {
          this.fail(`${s.value.dtype.name} is stored into ${s.buffer.label}: ${s.buffer.dtype.name}`);
        }
        return;
      case "pointwise": {
        this.#use(...s.args);
        const def = primitive(s.op);
        if (s.args.length !== def.arity) this.fail(`${s.op} has ${s.args.length} operands`);
        const operands = s.op === "where" ? s.args.slice(1) : s.args;
        if (operands.some((a) => a.dtype !== operands[0]?.dtype)) this.fail(`operands of ${s.op} differ in dtype`);
        const result = def.result === "bool" ? bool : operands[0]?.dtype;
        if (s.out.dtype !== result) this.fail(`${s.op} yields ${s.out.dtype.name}`);
        this.#varies(s.out, s.args);
        break;
      }
      case "cast":
      case "bitcast":
        this.#use(s.arg);
        this.#varies(s.out, [s.arg]);
        break;
      case "lookup":
        this.#use(s.at);
        if (s.at.dtype !== int32 || s.out.dtype !== float32) this.fail("a table has float32 at places of int32");
        if (s.table.length !== 16 && s.table.length !== 32) this.fail(`a table has ${s.table.length} entries`);
        this.#varies(s.out, [s.at]);
        break;
      case "philox":
        this.#use(s.seed, s.stream, s.position);
        this.#varies(s.out, [s.seed, s.stream, s.position]);
        break;
      case "accumulator":
        if (s.out.dtype !== computeType(s.out.dtype)) this.fail(`accumulator ${s.out.id} is ${s.out.dtype.name}`);
        this.#accumulators.set(s.out, s.op);
        break;
      case "accumulate":
        this.#accumulator(s.accumulator, s.op);
        this.#use(s.value);
        if (s.value.dtype !== s.accumulator.dtype) {
          this.fail(`accumulator ${s.accumulator.id} takes ${s.value.dtype.name}`);
        }
        if (s.value.axes.some((axis) => !s.accumulator.axes.includes(axis))) {
          this.fail(`accumulator ${s.accumulator.id} lacks an axis of value ${s.value.id}`);
        }
        if ((s.position !== null) !== (s.op === "argmax" || s.op === "argmin")) this.fail(`${s.op} and its position`);
        return;
      case "dot":
        this.#accumulator(s.accumulator, "sum");
        this.#use(s.a, s.b);
        if (s.a.dtype !== s.accumulator.dtype || s.b.dtype !== s.accumulator.dtype) this.fail("dtypes of a dot differ");
        return;
      case "finish":
        this.#accumulator(s.accumulator, s.op);
        break;
      case "accumulators":
        if (s.out.dtype !== computeType(s.out.dtype)) this.fail(`accumulators ${s.out.id} are ${s.out.dtype.name}`);
        if (s.out.axes.length > 0) this.fail(`the array of accumulators ${s.out.id} has axes`);
        if (this.#kernel.kind !== "tile" || this.#kernel.axes.some((axis) => axis.role === "grid")) {
          this.fail("arrays of accumulators in a kernel with a grid");
        }
        this.#arrays.set(s.out, s.op);
        break;
      case "accumulateAt": {
        this.#array(s.accumulators, s.op);
        this.#use(s.value);
        if (s.value.dtype !== s.accumulators.dtype) {
          this.fail(`accumulators ${s.accumulators.id} take ${s.value.dtype.name}`);
        }
        const own = new Set([...freeSymbols(s.index)].flatMap((sym) => this.#blocks.get(sym) ?? []));
        if (s.value.axes.some((axis) => !own.has(axis))) {
          this.fail(`several elements of value ${s.value.id} meet in one accumulator of ${s.accumulators.id}`);
        }
        return;
      }
      case "finishAt":
        this.#array(s.accumulators, s.op);
        this.#varies(s.out, [], [s.index]);
        break;
      case "for":
        if (s.axis.role !== "loop") this.fail(`a loop over the grid axis ${s.axis.symbol.name}`);
        if (this.#symbols.has(s.axis.symbol)) this.fail(`axis ${s.axis.symbol.name} is open already`);
        this.open(s.axis);
        this.body(s.body);
        this.#symbols.delete(s.axis.symbol);
        return;
      default:
        s satisfies never;
    }
    if ("out" in s) this.define(s.out);
  }

  #accumulator(v: TileValue, op: TileReduceOp): void {
    if (!this.#values.has(v)) this.fail(`accumulator ${v.id} is used before it is defined`);
    if (this.#accumulators.get(v) !== op) this.fail(`accumulator ${v.id} is used with ${op}`);
  }

  #array(v: TileValue, op: TileReduceOp): void {
    if (!this.#values.has(v)) this.fail(`accumulators ${v.id} are used before they are defined`);
    if (this.#arrays.get(v) !== op) this.fail(`accumulators ${v.id} are used with ${op}`);
  }
}

/**
 * Checks a kernel.
 *
 * @throws {VerifyError} naming the kernel and the rule that is broken
 */
export function verifyKernel(kernel: Kernel): void {
  if (!/^[A-Za-z_]\w*$/.test(kernel.name)) throw new VerifyError(`"${kernel.name}" is no name of a kernel`);
  if (kernel.kind === "tile") verifyTileKernel(kernel);
  else if (kernel.kind === "contraction") verifyContractionKernel(kernel);
  else if (kernel.kind === "attention") verifyAttentionKernel(kernel);
  else verifyBlockProgram(kernel.program);
}

/** {@linkcode verifyKernel} for kernels in tiles. */
export function verifyTileKernel(kernel: TileKernel): void {
  const checker = new Checker(kernel);
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  if (kernel.axes.slice(0, grid.length).some((axis) => axis.role !== "grid")) checker.fail("grid axes come first");
  if (kernel.parallelAxes < 0 || kernel.parallelAxes > grid.length) {
    checker.fail(`${kernel.parallelAxes} parallel axes of ${grid.length}`);
  }
  for (const axis of grid) checker.open(axis);
  checker.body(kernel.body);
}

function verifyContractionKernel(kernel: ContractionKernel): void {
  const open = (axes: readonly Axis[]): Checker => {
    const checker = new Checker(kernel);
    for (const axis of [...kernel.batch, ...axes]) {
      if (axis.block !== 1) checker.fail("a contraction's axes have blocks");
      checker.open(axis);
    }
    return checker;
  };
  for (const program of [kernel.a, kernel.b]) {
    const checker = open([...program.rows, ...program.k]);
    checker.program(program.body, program.value);
    if (program.value.dtype !== kernel.accumulate) checker.fail(`an operand is ${program.value.dtype.name}`);
  }
  const { m, n, accumulator, body } = kernel.epilogue;
  const checker = open([...m, ...n]);
  checker.define(accumulator);
  checker.body(body);
}

function verifyAttentionKernel(kernel: AttentionKernel): void {
  const { batch, m, n, d, e, query, key, value, mask, grad, lse, delta, out, second, role } = kernel;
  const check = (name: string, operand: AttentionOperand | null, axes: readonly Axis[], dtype: DType | null): void => {
    if (operand === null) return;
    const checker = new Checker(kernel);
    for (const axis of [...batch, ...axes]) {
      if (axis.block !== 1) checker.fail("the axes of attention have blocks");
      checker.open(axis);
    }
    checker.place(operand.buffer, operand.index);
    for (const axis of axes) {
      const stride = coefficient(operand.index, axis.symbol);
      if (stride === null || [...freeSymbols(stride)].some((sym) => sym.kind === "index")) {
        checker.fail(`the ${name} is not affine in ${axis.symbol.name}`);
      }
    }
    if (dtype !== null && operand.buffer.dtype !== dtype) checker.fail(`the ${name} is ${operand.buffer.dtype.name}`);
  };
  const half = query.buffer.dtype;
  check("query", query, [m, d], half);
  check("key", key, [n, d], half);
  check("value", value, [n, e], half);
  check("mask", mask, [m, n], null);
  check("grad", grad, [m, e], half);
  check("lse", lse, [m], float32);
  check("delta", delta, [m], float32);
  check("result", out, role === "forward" ? [m, e] : role === "query" ? [m, d] : [n, d], half);
  check("second result", second, role === "forward" ? [m] : [n, e], role === "forward" ? float32 : half);
}

/** Verifies if the settings ask for it. */
export function verifyWhenAsked(kernel: Kernel): void {
  if (config().verify) verifyKernel(kernel);
}
