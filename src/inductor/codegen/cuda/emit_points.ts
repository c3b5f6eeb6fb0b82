/**
 * Kernels without reduced axes: a thread has a run of neighbouring elements along the innermost axis.
 *
 * Scatters combine with memory by atomics; with `deterministic` the axes along which places may meet are walked by one thread, in order. Where several
 * writes may meet, the last in order wins: a first launch notes the last position for each place, a second writes where it is its own.
 */
import { float32 } from "../../../core/mod.ts";
import { ceilDiv, coefficient, constant, constantValue, type Expr, floorDiv, mul } from "../../../symbolic/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import { guess } from "../../tile/axes.ts";
import { walkStatements } from "../../tile/parameters.ts";
import type { Axis, TileKernel } from "../../tile/tile_ir.ts";
import { CudaFunction } from "./function.ts";
import { type CudaKernelText, type EmitContext, line, signature } from "./kernel_text.ts";
import type { CudaArg } from "./launch.ts";
import { lanesFor } from "./nests.ts";
import { steppedAxis, transposedOrder } from "./point_order.ts";

const THREADS = 256;

/** Emits a kernel whose instances are independent; loops in it run in one thread. */
export function emitPoints(kernel: TileKernel, context: EmitContext): CudaKernelText[] {
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const meets = kernel.parallelAxes < grid.length;
  const sets = new Set<BufferRef>();
  walkStatements(kernel.body, (s) => {
    if (s.kind === "combine" && s.op === "set") sets.add(s.buffer);
  });
  const hasLoops = kernel.body.some((b) => b.kind === "for");
  const ordered = meets && context.deterministic === true;
  const held = meets && !ordered ? heldRows(kernel, grid, context) : null;
  if (held !== null) return [emitHeld(kernel, held, context)];
  if (!meets || sets.size === 0 || ordered) return [emitOnce(kernel, context, ordered, null)];
  const count = grid.reduce<Expr>((product, axis) => mul(product, axis.extent), constant(1));
  const [target] = sets;
  if (sets.size > 1 || hasLoops || target === undefined || !(count.upper < 2 ** 31)) {
    return [emitOnce(kernel, context, true, null)];
  }
  const id = context.scratchId() + 1;
  const arg: CudaArg = { kind: "scratch", bytes: mul(target.numel, 4), zeroed: true, id };
  return (["mark", "write"] as const).map((phase) => emitOnce(kernel, context, false, { phase, arg }));
}

/** Rows of a scatter that one thread takes at most. */
const HELD_ROWS = 16;

/** A scatter of sums into rows: threads stand along a row, and each takes several of them. */
interface Held {
  readonly column: Axis;
  readonly rows: readonly Axis[];
  readonly each: number;
}

/** How threads should take rows so that sums for one place meet in a register; null where the body is of another kind. */
function heldRows(kernel: TileKernel, grid: readonly Axis[], context: EmitContext): Held | null {
  const [only, ...more] = kernel.body.filter((b) => b.kind === "combine");
  if (only?.kind !== "combine" || more.length > 0 || only.op !== "sum" || only.buffer.dtype !== float32) return null;
  if (kernel.body.some((b) => b.kind === "for" || b.kind === "store")) return null;
  // Neighbouring threads stand side by side in memory.
  const column = grid.find((axis) => {
    const step = coefficient(only.index, axis.symbol);
    return step !== null && constantValue(step) === 1;
  });
  if (column === undefined) return null;
  const rows = grid.filter((axis) => axis !== column);
  const width = constantValue(column.extent) ?? 0;
  const count = constantValue(rows.reduce<Expr>((product, axis) => mul(product, axis.extent), constant(1)));
  if (count === null || width < 32) return null;
  const most = Math.min(HELD_ROWS, Math.floor(count * width / (context.multiprocessors * 1024)));
  for (let each = most; each > 1; each--) if (count % each === 0) return { column, rows, each };
  return null;
}

/** Rows of one place, as the positions of one token, cost one atomic addition together. */
function emitHeld(kernel: TileKernel, { column, rows, each }: Held, context: EmitContext): CudaKernelText {
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, { shared: context.shared, holds: true });
  const s = f.scopes;
  const width = f.extent(column.extent);
  const total = rows.reduce<Expr>((product, axis) => mul(product, axis.extent), constant(1));
  const count = mul(floorDiv(total, each), column.extent);
  s.line(`const ${f.index} t = (${f.index})blockIdx.x * ${THREADS} + (${f.index})threadIdx.x;`);
  s.line(`if (t >= ${f.extent(count)}) return;`);
  s.line(`const ${f.index} chunk = t / ${width}, column = t - chunk * ${width};`);
  s.define(column.symbol, "column");
  s.line("float* heldAt = nullptr;");
  s.line("float held = 0;");
  s.open(`for (int j = 0; j < ${each}; j++) {`);
  s.line(`const ${f.index} row = chunk * ${each} + j;`);
  f.decompose(rows, "row", (axis) => f.extent(axis.extent));
  f.statements(kernel.body);
  s.close();
  s.line("if (heldAt != nullptr) atomicAdd(heldAt, held);");
  const { args, parameters } = signature(f, []);
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(["collectives"]),
    args,
    grid: line(ceilDiv(count, THREADS)),
    block: [THREADS, 1, 1],
    sharedBytes: 0,
  };
}

interface LastWrite {
  readonly phase: "mark" | "write";
  readonly arg: CudaArg;
}

function emitOnce(
  kernel: TileKernel,
  context: EmitContext,
  ordered: boolean,
  last: LastWrite | null,
): CudaKernelText {
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const scatters = kernel.parallelAxes < grid.length;
  const parallel = ordered ? grid.slice(0, kernel.parallelAxes) : grid;
  const serial = ordered ? grid.slice(kernel.parallelAxes) : [];
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, {
    shared: context.shared,
    ordered,
    ...(last === null ? {} : { lastWrite: last.phase }),
  });
  const s = f.scopes;
  const inner = parallel[parallel.length - 1];
  const hasLoops = kernel.body.some((b) => b.kind === "for") || serial.length > 0;
  let lanes = inner === undefined || hasLoops || last !== null
    ? 1
    : lanesFor(kernel.body, inner, parallel.length === 1);
  const outer = parallel.slice(0, -1);
  const rows = outer.reduce<Expr>((product, axis) => mul(product, axis.extent), constant(1));
  // Few elements: more threads rather than wide ones.
  while (
    lanes > 1 && inner !== undefined && guess(rows) * guess(inner.extent) / lanes < context.multiprocessors * 512
  ) {
    lanes /= 2;
  }
  const runs = inner === undefined ? rows : mul(rows, ceilDiv(inner.extent, lanes));
  const isPlain = !scatters && !hasLoops && last === null;
  const order = !isPlain || inner === undefined ? null : transposedOrder(kernel, outer, inner, lanes);
  const steps = isPlain
    ? steppedAxis(kernel, order?.others ?? outer, lanes, constantValue(runs) ?? 0, context.multiprocessors * 2048)
    : null;
  const count = steps === null ? runs : floorDiv(runs, steps.count);
  const total = constantValue(count);
  const threads = total !== null && total < 2 * THREADS * context.multiprocessors ? 128 : THREADS;
  const block = context.backwards === true ? "(gridDim.x - 1 - blockIdx.x)" : "blockIdx.x";
  s.line(`const ${f.index} t = (${f.index})${block} * ${threads} + (${f.index})threadIdx.x;`);
  if (total === null || total % threads !== 0) s.line(`if (t >= ${f.extent(count)}) return;`);
  const inside = (i: number): void => {
    const axis = serial[i];
    if (axis === undefined) {
      f.statements(kernel.body);
      return;
    }
    const x = s.fresh("x");
    s.open(`for (${f.index} ${x} = 0; ${x} < ${f.extent(axis.extent)}; ${x}++) {`);
    s.define(axis.symbol, x);
    inside(i + 1);
    s.close();
  };
  // Of an axis with steps a thread has neighbouring positions.
  const first = steps === null ? null : { ...steps.axis, extent: floorDiv(steps.axis.extent, steps.count) };
  const shared = (axes: readonly Axis[]): Axis[] =>
    axes.map((axis) => first !== null && axis === steps?.axis ? first : axis);
  const stepped = (write: () => void): void => {
    if (steps === null) {
      write();
      return;
    }
    const [from, step, x] = [f.symbolText(steps.axis.symbol), s.fresh("j"), s.fresh("x")];
    s.open(`#pragma unroll\nfor (int ${step} = 0; ${step} < ${steps.count}; ${step}++) {`);
    s.line(`const ${f.index} ${x} = ${from} * ${steps.count} + ${step};`);
    s.define(steps.axis.symbol, x);
    write();
    s.close();
  };
  if (inner === undefined || lanes === 1) {
    f.decompose(shared(parallel), "t", (axis) => f.extent(axis.extent));
    stepped(() => inside(0));
  } else {
    const base = s.fresh("b");
    const across = f.extent(ceilDiv(inner.extent, lanes));
    if (order !== null) {
      f.decompose(shared(order.axes), "t", (axis) => f.extent(axis.extent));
      const run = `${f.symbolText(order.high.symbol)} * ${order.runs} + ${f.symbolText(order.low.symbol)}`;
      s.line(`const ${f.index} ${base} = (${run}) * ${lanes};`);
    } else if (outer.length === 0) s.line(`const ${f.index} ${base} = t * ${lanes};`);
    else {
      s.line(`const ${f.index} row = t / ${across};`);
      s.line(`const ${f.index} ${base} = (t - row * ${across}) * ${lanes};`);
      f.decompose(shared(outer), "row", (axis) => f.extent(axis.extent));
    }
    stepped(() => f.chunk(kernel.body, { symbol: inner.symbol, lanes, base, ...restOf(f, inner, lanes, base) }));
  }
  const { args, parameters } = signature(f, last === null ? [] : [{ arg: last.arg, text: "int* last" }]);
  const body = s.text("  ");
  const needed = scatters || kernel.body.some((b) => b.kind === "for") || body.includes("tsr_atomic");
  return {
    parameters,
    body,
    includes: new Set(needed ? ["collectives"] : []),
    args,
    grid: line(ceilDiv(count, threads)),
    block: [threads, 1, 1],
    sharedBytes: 0,
  };
}

/** How many positions of a run exist, where an extent is not a multiple of it. */
export function restOf(f: CudaFunction, axis: Axis, lanes: number, base: string): { readonly count?: string } {
  const extent = constantValue(axis.extent);
  if (extent !== null && extent % lanes === 0) return {};
  const name = f.scopes.fresh("n");
  f.scopes.line(`const int ${name} = (int)tsr_min((long)${f.extent(axis.extent)} - ${base}, ${lanes}l);`);
  return { count: name };
}
