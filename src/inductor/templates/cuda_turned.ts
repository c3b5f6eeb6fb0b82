/**
 * Products whose operands the copy engine cannot read or the tensor cores cannot turn: a kernel before them lays such operands along k.
 *
 * Enters: a contraction that Hopper's template refuses because elements of 8 or 32 bits lie along rows, or because rows begin anywhere. Leaves: the same contraction over scratch memory where they lie along k, and the
 * kernels that copy them there; null where that cannot be, or costs more than it saves. wgmma turns halves alone; mma.sync, which takes anything, has a third of its speed.
 */
import { InternalError } from "../../core/mod.ts";
import type { BufferRef } from "../../loops/mod.ts";
import {
  add,
  ceilDiv,
  coefficient,
  constant,
  constantValue,
  type Expr,
  freeSymbols,
  mul,
  symbol,
} from "../../symbolic/mod.ts";
import { newBuffer } from "../buffers.ts";
import { memoryType } from "../codegen/cpp/types.ts";
import { CudaFunction } from "../codegen/cuda/function.ts";
import { type CudaKernelText, type EmitContext, signature } from "../codegen/cuda/kernel_text.ts";
import type { CudaArg } from "../codegen/cuda/launch.ts";
import { guess, guessProduct } from "../tile/axes.ts";
import { parametersOf } from "../tile/parameters.ts";
import type { Axis, ContractionKernel, OperandProgram, TileStatement } from "../tile/tile_ir.ts";
import { prepareHopper, readableOperands } from "./cuda_hopper_plan.ts";
import { type OperandPlan, planOperand, productOf, ragged } from "./cuda_operands.ts";

/** A contraction over turned operands. */
export interface TurnedContraction {
  readonly kernel: ContractionKernel;
  /** The kernels that turn operands, and then those of the contraction. */
  readonly placed: (texts: readonly CudaKernelText[]) => CudaKernelText[];
}

/** What a product gains for each of its operations, and what copying costs, in microseconds: measured on an H100 (134 and 390 TFLOP/s, 2.5 TB/s). */
const GAIN = 4.9e-9;
/** The same of halves whose rows begin anywhere, one by one (55 and 350 TFLOP/s). */
const HALF_GAIN = 1.5e-8;
const BYTE = 4e-7;
const LAUNCH = 3;

interface Turned {
  readonly program: OperandProgram;
  readonly buffer: BufferRef;
  readonly bytes: Expr;
  /** From where, and the distance of rows there. */
  readonly load: TileStatement & { readonly kind: "load" };
  readonly along: OperandPlan["along"];
  readonly pitch: Expr;
  readonly batch: readonly Axis[];
  readonly cost: number;
}

/** Rows and columns that a block turns in shared memory. */
const SIDE = 64;
const THREADS = 256;

/** A position along axes as one number, innermost axis last. */
function linear(axes: readonly Axis[]): Expr {
  return axes.reduce<Expr>((at, axis) => add(mul(at, axis.extent), symbol(axis.symbol)), constant(0));
}

/** The operand in memory of its own, along k; null if it is not one plain load that has neighbours along its rows or along k. */
function turned(program: OperandProgram, batch: readonly Axis[]): Turned | null {
  const plan = planOperand(program, 8, true);
  const load = [plan, ...ragged(plan, plan.half ?? program.value.dtype)].find((p) => p.copy !== null)?.copy?.load;
  if (load === undefined || load.mask !== null) return null;
  const { dtype } = load.buffer;
  const isNext = (axis: Axis | undefined): boolean =>
    axis !== undefined && constantValue(coefficient(load.index, axis.symbol) ?? constant(0)) === 1;
  const along = isNext(program.k.at(-1)) ? "k" : isNext(program.rows.at(-1)) ? "rows" : null;
  if (along === null) return null;
  const used = batch.filter((axis) => freeSymbols(load.index).has(axis.symbol));
  const count = productOf([...used, ...program.rows].map((axis) => axis.extent));
  // Rows begin at multiples of 16 bytes; what is behind their end is not read.
  const unit = 16 / dtype.bytes;
  const pitch = mul(ceilDiv(productOf(program.k.map((axis) => axis.extent)), unit), unit);
  const buffer = newBuffer("turned", dtype, mul(count, pitch));
  const index = add(mul(linear([...used, ...program.rows]), pitch), linear(program.k));
  const axes = [...used, ...program.rows, ...program.k];
  const elements = guessProduct(axes.map((axis) => axis.symbol));
  return {
    program: {
      ...program,
      body: program.body.map((s): TileStatement => s === load ? { ...load, buffer, index } : s),
    },
    buffer,
    bytes: mul(buffer.numel, dtype.bytes),
    load,
    along,
    pitch,
    batch: used,
    cost: LAUNCH + 2 * BYTE * dtype.bytes * elements,
  };
}

/** The kernel that lays an operand along k, a square at a time by way of shared memory. */
function emitTurn({ program, buffer, load, along, pitch, batch }: Turned, context: EmitContext): CudaKernelText {
  const { rows, k } = program;
  const axes = [...batch, ...rows, ...k];
  const base = parametersOf([[load, { kind: "store", buffer, index: constant(0), value: load.out }]], axes);
  const f = new CudaFunction({ ...base, name: "turned", comment: "" }, [[load]], axes, { shared: context.shared });
  const s = f.scopes;
  const extents = [rows, k].map((list) => productOf(list.map((axis) => axis.extent))) as [Expr, Expr];
  const [R, K] = extents.map((e) => f.extent(e)) as [string, string];
  const [tilesR, tilesK] = extents.map((e) => ceilDiv(e, SIDE)) as [Expr, Expr];
  const extent = (axis: Axis): string => f.extent(axis.extent);
  s.line(`const int across = ${f.extent(tilesR)}, all = across * ${f.extent(tilesK)};`);
  s.line("const int batch = (int)blockIdx.x / all, tile = (int)blockIdx.x - batch * all;");
  s.line(`const int r0 = tile % across * ${SIDE}, k0 = tile / across * ${SIDE}, fast = (int)threadIdx.x % ${SIDE};`);
  f.decompose(batch, "batch", extent);
  const each = (slow: string, quick: string, body: () => void): void => {
    s.open(
      `#pragma unroll 4\nfor (int slow = (int)threadIdx.x / ${SIDE}; slow < ${SIDE}; slow += ${THREADS / SIDE}) {`,
    );
    s.line(`const ${f.index} ${slow} = ${slow}0 + slow, ${quick} = ${quick}0 + fast;`);
    s.open(`if (r < ${R} && k < ${K}) {`);
    body();
    s.close();
    s.close();
  };
  const read = (): string => {
    f.decompose(rows, "r", extent);
    f.decompose(k, "k", extent);
    return `${f.pointer(load.buffer)}[${s.index(load.index)}]`;
  };
  const write = (value: string): void =>
    s.line(`${f.pointer(buffer)}[((long)batch * ${R} + r) * ${f.extent(pitch)} + k] = ${value};`);
  if (along === "k") each("r", "k", () => write(read()));
  else {
    s.line(`__shared__ ${memoryType(buffer.dtype)} square[${SIDE}][${SIDE + 1}];`);
    each("k", "r", () => s.line(`square[slow][fast] = ${read()};`));
    s.line("__syncthreads();");
    each("r", "k", () => write("square[fast][slow]"));
  }
  const { args, parameters } = signature(f);
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(),
    args,
    grid: [mul(productOf(batch.map((axis) => axis.extent)), tilesR, tilesK), constant(1), constant(1)],
    block: [THREADS, 1, 1],
    sharedBytes: 0,
  };
}

/** The contraction with operands along k; null where that is not possible, not needed, or, unless `anyway`, slower. */
export function turnOperands(
  kernel: ContractionKernel,
  context: EmitContext,
  anyway = false,
): TurnedContraction | null {
  if (context.arch !== 90 || prepareHopper(kernel, context) !== null) return null;
  const { batch, epilogue } = kernel;
  const readable = readableOperands(kernel, context.allowTf32 === true);
  if (readable === null) return null;
  const [a, b] = [readable[0] ? null : turned(kernel.a, batch), readable[1] ? null : turned(kernel.b, batch)];
  const found = [a, b].filter((t) => t !== null);
  if (found.length === 0) return null;
  const [first, second] = [a?.program ?? kernel.a, b?.program ?? kernel.b];
  const axes = [...batch, ...epilogue.m, ...epilogue.n, ...first.rows, ...first.k, ...second.rows, ...second.k];
  const result: ContractionKernel = {
    ...kernel,
    ...parametersOf([first.body, second.body, epilogue.body], axes),
    a: first,
    b: second,
  };
  if (prepareHopper(result, context) === null) return null;
  const each = 2 * guess(kernel.m) * guess(kernel.n) * guess(productOf(kernel.k)) *
    guessProduct(batch.map((axis) => axis.symbol));
  const isHalf = found.some(({ buffer }) => buffer.dtype.bytes === 2);
  if (!anyway && each * (isHalf ? HALF_GAIN : GAIN) < found.reduce((sum, t) => sum + t.cost, 0)) return null;
  const memory = new Map(found.map((t) => [t.buffer, { bytes: t.bytes, id: context.scratchId() }]));
  const own = (text: CudaKernelText): CudaKernelText => ({
    ...text,
    args: text.args.map((arg): CudaArg => {
      const there = arg.kind === "buffer" || arg.kind === "tensorMap" ? memory.get(arg.buffer) : undefined;
      if (there === undefined) return arg;
      if (arg.kind === "buffer") return { kind: "scratch", ...there, zeroed: false };
      if (arg.kind !== "tensorMap" || constantValue(arg.map.offset) !== 0) throw new InternalError("a turned operand");
      return { kind: "scratchMap", ...there, map: arg.map };
    }),
  });
  return {
    kernel: result,
    placed: (texts) =>
      [
        ...found.map((t) => emitTurn(t, context)),
        ...texts,
      ].map(own),
  };
}
