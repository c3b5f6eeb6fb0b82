/**
 * Sums over rows beside reductions along them, in one reading: blocks take row after row and keep the column sums of their rows in registers.
 *
 * Enters: a kernel whose outermost loops are rows, whose inner passes walk one set of axes, and what follows from the sums after them. Leaves two launches. In the first a thread
 * has the same columns in every row, so the arrays of accumulators are its registers; at the end each piece, the threads that share rows, writes its sums to scratch
 * memory. The second adds the pieces up in a fixed order, as many blocks as there are columns side by side, and computes what follows. So results do not
 * depend on timing. `cuda_veto.ts` lets only such groups be made that {@linkcode crossShape} has a shape for.
 */
import { InternalError } from "../../../core/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import { ceilDiv, constant, constantValue, dependsOn, type Expr, substitute } from "../../../symbolic/mod.ts";
import type { Axis, TileArrayOp, TileKernel, TileReduceOp, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { combineRow, combineRows, declareCaches, guarded, writePass } from "./emit_rows.ts";
import type { RowShape } from "./row_shape.ts";
import { fewerPasses } from "./fewer_passes.ts";
import { CudaFunction } from "./function.ts";
import { writesHalves } from "./halves.ts";
import { type CudaKernelText, type EmitContext, line, signature } from "./kernel_text.ts";
import type { CudaArg } from "./launch.ts";
import { extentsOf, lanesFor, type Part, partsOf, type Pass } from "./nests.ts";
import { LONG_ROW, rowRuns, writeFirstRuns, writeNextRun, writeRunDone, writeWaitRun } from "./row_runs.ts";
import { isAlignedRun } from "./vectors.ts";
import { combineLambda, neutralText, scalarType } from "./texts.ts";

/** Registers of a multiprocessor, and those of a thread that hold neither sums nor rows. */
const REGISTERS = 65536;
const OTHER_REGISTERS = 52;
/** Those where rows are halves in shared memory: two blocks of 512 threads fit then (layer norm's gradients of 4096 bfloat16 0.157 ms; three of 256 0.179). */
const OTHER_OF_HALVES = 48;
/** Registers of a thread that may hold sums and rows. */
const MOST_HELD = 64;
/** Rows of a piece at least: its sums are written and read once. */
const LEAST_ROWS = 8;
/** Threads of the second launch, and how many of them have columns side by side: few where there are few columns, so that all multiprocessors take part. */
const PIECE_THREADS = 1024;
const [COLUMNS, FEW_COLUMNS] = [32, 8];
const ARRAY_OPS: readonly TileArrayOp[] = ["sum", "prod", "max", "min"];

/** How rows are taken. */
export interface CrossShape {
  /** Threads a row. */
  readonly threads: number;
  readonly rowsEach: number;
  readonly blocksEach: number;
  readonly pieces: number;
}

/**
 * The shape for `rows` rows of `length` elements, of which a thread holds `held` registers an element; null if registers do not suffice.
 */
export function crossShape(rows: number, length: number, held: number, multiprocessors: number): CrossShape | null {
  let best: CrossShape | null = null;
  let most = 0;
  for (const threads of [32, 64, 128, 256, 512]) {
    const registers = Math.ceil(length / (threads * 4)) * 4 * held;
    if (registers > MOST_HELD || threads * 4 > length) continue;
    const rowsEach = threads === 32 ? 4 : 1;
    const block = threads * rowsEach;
    const blocksEach = Math.min(16, Math.floor(REGISTERS / (block * (registers + OTHER_REGISTERS))));
    // Rows that are on their way at a time, and little idleness at barriers.
    const score = blocksEach * rowsEach * Math.min(length, 4096) /
      (threads > 32 ? 1 + 0.1 * Math.log2(threads / 32) : 1);
    if (blocksEach < 1 || score <= most) continue;
    const pieces = Math.max(1, Math.min(multiprocessors * blocksEach, Math.floor(rows / (LEAST_ROWS * rowsEach)))) *
      rowsEach;
    best = { threads, rowsEach, blocksEach, pieces };
    most = score;
  }
  return best;
}

/**
 * The shape where rows are brought to shared memory: they are read there again, so that registers hold the sums alone, and what counts is how many threads run at a time.
 * Null where they are not brought.
 */
function runShape(
  kernel: TileKernel,
  cross: CrossKernel,
  passes: readonly Pass[],
  rows: number,
  length: number,
  arrays: number,
  context: EmitContext,
): CrossShape | null {
  let best: CrossShape | null = null;
  const other = kernel.reads.every(({ dtype }) => dtype.bytes <= 2) ? OTHER_OF_HALVES : OTHER_REGISTERS;
  for (const threads of [64, 128, 256, 512]) {
    const registers = Math.ceil(length / (threads * 4)) * 4 * arrays;
    const most = Math.min(16, Math.floor(REGISTERS / (threads * (registers + other))));
    if (registers > MOST_HELD || threads * 4 > length || firstWait(cross, passes) === undefined) continue;
    for (let blocksEach = most; blocksEach > 0; blocksEach--) {
      if (rowRuns(kernel, passes, cross.rows, blocksEach, context.arch) === null) continue;
      if (best !== null && best.threads * best.blocksEach > threads * blocksEach) break;
      const pieces = Math.max(1, Math.min(context.multiprocessors * blocksEach, Math.floor(rows / LEAST_ROWS)));
      best = { threads, rowsEach: 1, blocksEach, pieces };
      break;
    }
  }
  return best;
}

/** The first part that waits for all threads of a row: it says when the row before is done with. */
function firstWait(cross: CrossKernel, passes: readonly Pass[]): Part | undefined {
  const declared = cross.before.flatMap((s) => s.kind === "accumulator" || s.kind === "accumulators" ? [s.out] : []);
  const outer = new Set<TileValue>(declared);
  const isOwn = (st: TileStatement): boolean => st.kind === "accumulate" && !outer.has(st.accumulator);
  return passes.length === 0
    ? undefined
    : cross.parts.find((part) => part.kind === "pass" && part.pass.body.some(isOwn));
}

/** The parts of a kernel with sums over rows. */
interface CrossKernel {
  /** Sums, with what stands before the rows. */
  readonly before: readonly TileStatement[];
  readonly rows: readonly Axis[];
  readonly parts: readonly Part[];
  /** What follows: once, or once for each column. */
  readonly after: readonly Part[];
}

function readCross(kernel: TileKernel): CrossKernel {
  const at = kernel.body.findIndex((s) => s.kind === "for");
  const before = kernel.body.slice(0, at);
  const rows: Axis[] = [];
  let body: readonly TileStatement[] = [kernel.body[at] as TileStatement];
  const inner = new Set(innermostAxes(body));
  for (;;) {
    const [only] = body;
    if (body.length !== 1 || only?.kind !== "for" || inner.has(only.axis)) break;
    rows.push(only.axis);
    body = only.body;
  }
  const own = partsOf(body);
  const parts = own === null ? null : fewerPasses(own, new Set(kernel.writes));
  const after = partsOf(kernel.body.slice(at + 1));
  if (parts === null || after === null || rows.length === 0) {
    throw new InternalError(`${kernel.name}: rows are nested otherwise`);
  }
  return { before, rows, parts, after };
}

/** The axes of loops that hold no other loop and stand beside other statements, that is of passes along a row. */
function innermostAxes(body: readonly TileStatement[]): Axis[] {
  const [only] = body;
  if (body.length === 1 && only?.kind === "for" && only.body.some((s) => s.kind === "for")) {
    return innermostAxes(only.body);
  }
  return body.flatMap((s): Axis[] => s.kind === "for" ? [s.axis, ...innermostAxes(s.body)] : []);
}

/** A sum over rows: a number, or an array of them. */
interface Sum {
  readonly v: TileValue;
  readonly op: TileArrayOp;
  readonly isArray: boolean;
  /** Whether passes combine into it, so that every thread has a part. */
  readonly inPasses: boolean;
}

function sumsOf(cross: CrossKernel): Sum[] {
  const inPasses = new Set<TileValue>();
  for (const part of cross.parts) {
    if (part.kind !== "pass") continue;
    for (const s of part.pass.body) if (s.kind === "accumulate") inPasses.add(s.accumulator);
  }
  return cross.before.flatMap((s): Sum[] => {
    if (s.kind === "accumulators") return [{ v: s.out, op: s.op, isArray: true, inPasses: true }];
    if (s.kind !== "accumulator") return [];
    const op = ARRAY_OPS.find((known) => known === s.op);
    if (op === undefined) throw new InternalError(`${s.op} is not carried over rows`);
    return [{ v: s.out, op, isArray: false, inPasses: inPasses.has(s.out) }];
  });
}

/** Whether a kernel sums over its rows. */
export function isCross(kernel: TileKernel): boolean {
  if (kernel.body.some((s) => s.kind === "accumulators")) return true;
  // A sum of everything has nothing but its own accumulator.
  const ofOneRow = (body: readonly TileStatement[]): boolean =>
    body.some((s) => s.kind === "for" && (s.body.some((b) => b.kind === "accumulator") || ofOneRow(s.body)));
  return kernel.axes.every((axis) => axis.role !== "grid") && kernel.body.some((s) => s.kind === "accumulator") &&
    ofOneRow(kernel.body);
}

/** Emits the two launches. */
export function emitCross(kernel: TileKernel, context: EmitContext): CudaKernelText[] {
  const cross = readCross(kernel);
  const passes = cross.parts.flatMap((part) => part.kind === "pass" ? [part.pass] : []);
  const [first] = passes;
  const rows = constantValue(extentsOf(cross.rows));
  const length = first === undefined ? null : constantValue(extentsOf(first.axes));
  if (first === undefined || rows === null || length === null) {
    throw new InternalError(`${kernel.name}: sizes are not known`);
  }
  const sums = sumsOf(cross);
  const arrays = sums.filter((s) => s.isArray);
  const shape = runShape(kernel, cross, passes, rows, length, arrays.length, context) ??
    crossShape(rows, length, arrays.length + rowsHeld(passes, cross.rows), context.multiprocessors);
  if (shape === null) throw new InternalError(`${kernel.name}: ${rows} rows of ${length} have no shape`);
  const id = context.scratchId();
  // Arrays of all pieces one after the other, then single sums.
  let bytes = 0;
  const places = new Map(sums.map((sum) => {
    const at = bytes;
    bytes += Math.ceil((sum.isArray ? length : 1) * shape.pieces * widthOf(sum.v) / 16) * 16;
    return [sum.v, at];
  }));
  const scratch = {
    arg: { kind: "scratch", bytes: constant(bytes), zeroed: false, id } satisfies CudaArg,
    text: "char* partial",
  };
  return [
    emitRowsOfPieces({ kernel, cross, passes, sums, shape, rows, length, places, scratch, context }),
    emitPieces({ kernel, cross, passes, sums, shape, rows, length, places, scratch, context }),
  ];
}

interface Launch {
  readonly kernel: TileKernel;
  readonly cross: CrossKernel;
  readonly passes: readonly Pass[];
  readonly sums: readonly Sum[];
  readonly shape: CrossShape;
  readonly rows: number;
  readonly length: number;
  readonly places: ReadonlyMap<TileValue, number>;
  readonly scratch: { readonly arg: CudaArg; readonly text: string };
  readonly context: EmitContext;
}

function widthOf(v: TileValue): number {
  return v.dtype.bytes < 4 ? 4 : v.dtype.bytes;
}

/** Registers an element that hold the row between passes. */
function rowsHeld(passes: readonly Pass[], rows: readonly Axis[]): number {
  const seen = new Map<string, { count: number; registers: number }>();
  for (const { body } of passes) {
    for (const s of body) {
      if (s.kind !== "load" || s.mask !== null || !rows.some((axis) => dependsOn(s.index, axis.symbol))) continue;
      const key = `${s.buffer.id}/${s.index.id}`;
      const found = seen.get(key) ?? { count: 0, registers: s.buffer.dtype.bytes / 4 };
      found.count++;
      seen.set(key, found);
    }
  }
  return [...seen.values()].reduce((n, { count, registers }) => n + (count > 1 ? registers : 0), 0);
}

function placeOf({ places, length }: Launch, sum: Sum, piece: string, position: string): string {
  const type = scalarType(sum.v.dtype);
  const start = `(${type}*)(partial + ${places.get(sum.v) ?? 0})`;
  return sum.isArray ? `(${start} + (long)${piece} * ${length} + ${position})` : `(${start} + ${piece})`;
}

/** Rows, piece by piece. */
function emitRowsOfPieces(launch: Launch): CudaKernelText {
  const { kernel, cross, passes, sums, shape, rows, length, scratch, context } = launch;
  const { threads, rowsEach, pieces } = shape;
  const axis = (pass: Pass): Axis => pass.axes[pass.axes.length - 1] as Axis;
  const all = passes.flatMap((p) => p.body);
  const widest = lanesFor(all, axis(passes[0] as Pass), false);
  // Where longer runs would leave threads without one, shorter ones.
  const lanes = widest === 8 && (length / widest) % threads !== 0 ? 4 : widest;
  const units = length / lanes;
  const kept = Math.ceil(units / threads);
  const slot = { text: "0" };
  const lane = { text: "0" };
  const names = new Map<TileValue, string>();
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, {
    shared: context.shared,
    arrays: (v) => `${names.get(v)}[(${slot.text}) * ${lanes} + ${lane.text}]`,
  });
  const s = f.scopes;
  s.line(`const int tx = (int)threadIdx.x${rowsEach > 1 ? ` & ${threads - 1}` : ""};`);
  s.line(`const int piece = (int)blockIdx.x * ${rowsEach} + (int)threadIdx.x / ${threads};`);
  for (const st of cross.before) {
    if (st.kind !== "accumulators") {
      f.statement(st);
      continue;
    }
    const name = s.fresh("a");
    names.set(st.out, name);
    s.line(`${scalarType(st.out.dtype)} ${name}[${kept * lanes}];`);
    s.line(
      `#pragma unroll\nfor (int i = 0; i < ${kept * lanes}; i++) ${name}[i] = ${neutralText(st.op, st.out.dtype)};`,
    );
  }
  const outer = new Set(sums.map(({ v }) => v));
  const rowShape: RowShape = { threads, rowsEach, lanes: passes.map(() => lanes), kept, sharedBytes: 0, pieces: 1 };
  const waits = firstWait(cross, passes);
  const runs = waits === undefined || threads <= 32
    ? null
    : rowRuns(kernel, passes, cross.rows, shape.blocksEach, context.arch);
  if (runs !== null) writeFirstRuns(f, runs, "piece", rows, pieces);
  s.open(`for (${f.index} row = piece; row < ${rows}; row += ${pieces}) {`);
  if (runs !== null) writeWaitRun(f, runs, "row");
  else writePrefetch(f, launch, passes, lanes);
  f.decompose(cross.rows, "row", (a) => f.extent(a.extent));
  // What lies in shared memory is read there again.
  const cached = runs !== null ? new Map() : declareCaches(f, kernel, cross.parts, rowShape, slot, cross.rows);
  const exp = writesHalves(kernel) ? "tsr_short_exp" : "tsr_exp";
  // With several reductions a row, the memory of one is free when the next row comes to it.
  const isReused =
    passes.filter((pass) => pass.body.some((st) => st.kind === "accumulate" && !outer.has(st.accumulator))).length < 2;
  for (const part of cross.parts) {
    if (part.kind === "statements") {
      guarded(f, part.body, "tx == 0");
      continue;
    }
    writePass(f, part.pass, lanes, rowShape, cached, null, slot, exp, { before: (u) => lane.text = u });
    const own = new Map<TileValue, TileReduceOp>();
    for (const st of part.pass.body) {
      if (st.kind === "accumulate" && !outer.has(st.accumulator)) own.set(st.accumulator, st.op);
    }
    combineRows(f, [...own], threads, isReused);
    if (runs !== null && part === waits) writeNextRun(f, runs, "row", rows, pieces);
  }
  if (runs !== null) writeRunDone(f, runs);
  s.close();
  const joined = sums.filter((sum) => joinsRows(shape, length, sum));
  if (joined.length > 0) {
    const bytes = Math.max(...joined.map(({ v }) => rowsEach * length * widthOf(v)));
    s.line(`__shared__ uint4 room[${Math.ceil(bytes / 16)}];`);
  }
  for (const sum of sums) {
    if (!sum.isArray) {
      if (sum.inPasses) combineRow(f, sum.v, sum.op, threads);
      s.line(`if (tx == 0) *${placeOf(launch, sum, "piece", "0")} = ${f.accumulator(sum.v)};`);
      continue;
    }
    const type = scalarType(sum.v.dtype);
    const name = names.get(sum.v);
    const write = (to: string): void => {
      s.open(`#pragma unroll\nfor (int c = 0; c < ${kept}; c++) {`);
      s.line(`const int q = c * ${threads} + tx;`);
      s.line(
        `if (q < ${units}) for (int u = 0; u < ${lanes}; u++) (${to})[q * ${lanes} + u] = ${name}[c * ${lanes} + u];`,
      );
      s.close();
    };
    if (!joined.includes(sum)) {
      write(placeOf(launch, sum, "piece", "0"));
      continue;
    }
    // The block's rows are one piece.
    const room = `((${type}*)room)`;
    write(`${room} + (int)threadIdx.x / ${threads} * ${length}`);
    s.line("__syncthreads();");
    s.open(`for (int q = (int)threadIdx.x; q < ${length}; q += ${threads * rowsEach}) {`);
    s.line(`${type} w = ${room}[q];`);
    const lambda = combineLambda(sum.op, sum.v.dtype);
    s.line(`for (int r = 1; r < ${rowsEach}; r++) w = (${lambda})(w, ${room}[r * ${length} + q]);`);
    s.line(`*${placeOf(launch, sum, "blockIdx.x", "q")} = w;`);
    s.close();
    s.line("__syncthreads();");
  }
  const { args, parameters } = signature(f, [scratch]);
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(runs === null ? ["collectives"] : ["collectives", "hopper", "runs"]),
    args,
    grid: line(constant(pieces / rowsEach)),
    block: [threads * rowsEach, 1, 1],
    sharedBytes: runs === null ? 0 : runs.stages * runs.stageBytes,
    ...(shape.blocksEach > 1 ? { blocksEach: shape.blocksEach } : {}),
  };
}

/** Shared memory in which a block adds up the sums of its rows. */
const JOINED_BYTES = 24 << 10;

/** Whether a block's rows write their sums as one piece. */
function joinsRows({ rowsEach }: CrossShape, length: number, sum: Sum): boolean {
  return rowsEach > 1 && sum.isArray && rowsEach * length * widthOf(sum.v) <= JOINED_BYTES;
}

/** Asks for the piece's next row while this one is worked on: between reductions memory would wait. */
function writePrefetch(f: CudaFunction, launch: Launch, passes: readonly Pass[], lanes: number): void {
  const { kernel, cross, rows, length, shape, context } = launch;
  const written = new Set<BufferRef>(kernel.writes);
  const found = new Map<string, { readonly buffer: BufferRef; readonly index: Expr }>();
  for (const { axes, body } of passes) {
    const inner = axes[axes.length - 1] as Axis;
    for (const st of body) {
      if (st.kind !== "load" || st.mask !== null || written.has(st.buffer) || axes.length > 1) continue;
      if (!cross.rows.some((axis) => dependsOn(st.index, axis.symbol))) continue;
      if (
        length * st.buffer.dtype.bytes < LONG_ROW || (length * st.buffer.dtype.bytes) % 16 !== 0 ||
        !isAlignedRun(st.index, inner.symbol, lanes)
      ) continue;
      const index = substitute(st.index, new Map([[inner.symbol, constant(0)]]));
      found.set(`${st.buffer.id}/${index.id}`, { buffer: st.buffer, index });
    }
  }
  if (context.arch < 90 || found.size === 0) return;
  const s = f.scopes;
  s.open(`if (tx == 0 && row + ${shape.pieces} < ${rows}) {`);
  f.decompose(cross.rows, `(row + ${shape.pieces})`, (a) => f.extent(a.extent));
  for (const { buffer, index } of found.values()) {
    s.line(`tsr_prefetch(${f.pointer(buffer)} + ${s.index(index)}, ${length * buffer.dtype.bytes});`);
  }
  s.close();
}

/** The pieces' sums, and what follows from them. */
function emitPieces(launch: Launch): CudaKernelText {
  const { kernel, cross, sums, shape, length, scratch, context } = launch;
  const { pieces } = shape;
  const held = new Map<TileValue, string>();
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, {
    shared: context.shared,
    arrays: (v) => held.get(v) ?? "0",
  });
  const s = f.scopes;
  const block = PIECE_THREADS;
  const columns = length / COLUMNS < context.multiprocessors / 2 ? FEW_COLUMNS : COLUMNS;
  const atOnce = block / columns;
  s.line(`const int tx = (int)threadIdx.x % ${columns}, ty = (int)threadIdx.x / ${columns};`);
  s.line(`const int at = (int)blockIdx.x * ${columns} + tx;`);
  s.line(`const int column = tsr_min(at, ${length} - 1);`);
  for (const st of cross.before) if (st.kind !== "accumulators") f.statement(st);
  const names = new Map(sums.map(({ v, op }) => {
    const name = s.fresh("w");
    s.line(`${scalarType(v.dtype)} ${name} = ${neutralText(op, v.dtype)};`);
    return [v, name];
  }));
  const add = (sum: Sum, column: string): void => {
    const name = names.get(sum.v);
    s.line(`${name} = (${combineLambda(sum.op, sum.v.dtype)})(${name}, *${placeOf(launch, sum, "piece", column)});`);
  };
  // Parts of all sums are on their way at a time.
  const countOf = (sum: Sum): number => joinsRows(shape, length, sum) ? pieces / shape.rowsEach : pieces;
  const arrays = sums.filter((sum) => sum.isArray);
  for (const count of new Set(arrays.map(countOf))) {
    s.open(`#pragma unroll 8\nfor (int piece = ty; piece < ${count}; piece += ${atOnce}) {`);
    for (const sum of arrays) if (countOf(sum) === count) add(sum, "column");
    s.close();
  }
  for (const sum of sums) {
    const type = scalarType(sum.v.dtype);
    const lambda = combineLambda(sum.op, sum.v.dtype);
    const name = names.get(sum.v) ?? "";
    if (sum.isArray) {
      s.line(`{ __shared__ ${type} room[${block}];`);
      s.line(`  ${name} = tsr_column_reduce<${columns}, ${atOnce}>(${name}, room, ${lambda}); }`);
      held.set(sum.v, name);
      continue;
    }
    s.open(`for (int piece = (int)threadIdx.x; piece < ${pieces}; piece += ${block}) {`);
    add(sum, "0");
    s.close();
    s.line(`{ __shared__ ${type} room[32]; ${name} = tsr_block_reduce<${block}>(${name}, room, ${lambda}); }`);
    f.renameAccumulator(sum.v, name);
  }
  for (const part of cross.after) {
    if (part.kind === "statements") {
      guarded(f, part.body, "blockIdx.x == 0 && threadIdx.x == 0");
      continue;
    }
    s.open(`if (ty == 0 && at < ${length}) {`);
    f.decompose(part.pass.axes, "column", (a) => f.extent(a.extent));
    f.statements(part.pass.body);
    s.close();
  }
  const { args, parameters } = signature(f, [scratch]);
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(["collectives"]),
    args,
    grid: line(arrays.length > 0 ? ceilDiv(constant(length), columns) : constant(1)),
    block: [block, 1, 1],
    sharedBytes: 0,
  };
}
