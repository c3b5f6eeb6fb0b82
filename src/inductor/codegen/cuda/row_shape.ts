/**
 * How threads take rows: how many have one, and whether it stays in their registers or in shared memory between the passes that read it.
 */
import type { BufferRef } from "../../../loops/mod.ts";
import { constantValue, dependsOn } from "../../../symbolic/mod.ts";
import { guess } from "../../tile/axes.ts";
import type { Axis, TileKernel, TileStatement } from "../../tile/tile_ir.ts";
import type { EmitContext } from "./kernel_text.ts";
import { accumulatorsOf, extentsOf, lanesFor, type Part, type Pass } from "./nests.ts";
import { LEAST_THREADS, type OddRows, oddRows } from "./odd_rows.ts";
import { isOnline, joinOnline } from "./online.ts";
import { type RowCluster, rowCluster } from "./row_cluster.ts";
import { isArg } from "./texts.ts";

/** Registers of a thread that may hold parts of rows. */
const MOST_KEPT = 40;

/** Bytes of a row from which on blocks share it: of whole vectors, and of a row that begins anywhere (softmax of 32768 float32 by one block 0.364 ms, by eight 0.379). */
const [LONG_ROW, LONG_ODD_ROW] = [144 << 10, 80 << 10];
/** Passes that make sharing worth it: with one sum a block is done before another fits (RMS norm of 50257 float32 by one block 0.172 ms, by eight 0.185). */
const SHARED_PASSES = 3;

/** Registers of a multiprocessor, and those of a thread that do not hold parts of rows. */
const REGISTERS = 65536;
const OTHER_REGISTERS = 40;
/** Registers that hold a row of which an online maximum is taken: with more, few blocks fit, and all wait at the same time. */
const ONLINE_KEPT = 24;

/** How rows are taken by threads. */
export interface RowShape {
  /** Threads a row. */
  readonly threads: number;
  readonly rowsEach: number;
  readonly lanes: readonly number[];
  /** Runs a thread has, if the row stays in registers; -1 if it stays in shared memory; null if it is read again. */
  readonly kept: number | null;
  readonly sharedBytes: number;
  readonly pieces: number;
  /** Blocks that should fit a multiprocessor: the compiler reads a row far ahead, and takes the registers of a second block for that. */
  readonly blocksEach?: number | null;
  /** Rows that begin anywhere. */
  readonly odd?: OddRows | null;
  /** Blocks that share a row; `threads` are those of all. */
  readonly cluster?: RowCluster;
}

function power(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, n)));
}

/** Loads that several passes repeat. */
export function repeatedLoads(
  kernel: TileKernel,
  passes: readonly Pass[],
  rows: readonly Axis[] = [],
): Map<string, TileStatement[]> {
  const written = new Set<BufferRef>(kernel.writes);
  const found = new Map<string, { first: number; list: TileStatement[] }>();
  passes.forEach((pass, i) => {
    for (const s of pass.body) {
      if (s.kind !== "load" || s.mask !== null || written.has(s.buffer)) continue;
      if (!pass.axes.some((axis) => varies(s, axis))) continue;
      if (rows.length > 0 && !rows.some((axis) => varies(s, axis))) continue;
      const key = `${s.buffer.id}/${s.index.id}`;
      const entry = found.get(key);
      if (entry === undefined) found.set(key, { first: i, list: [s] });
      else entry.list.push(s);
    }
  });
  const result = new Map<string, TileStatement[]>();
  for (const [key, { list }] of found) if (list.length > 1) result.set(key, list);
  return result;
}

function varies(s: TileStatement & { readonly kind: "load" }, axis: Axis): boolean {
  return dependsOn(s.index, axis.symbol);
}

/** How rows are taken, and the parts that take them so: a maximum and its sum are joined where no registers hold the row. */
export function chooseShape(
  kernel: TileKernel,
  given: readonly Part[],
  context: EmitContext,
): { readonly shape: RowShape; readonly parts: readonly Part[] } {
  const shared = sharedRow(kernel, passesOf(given), context);
  if (shared !== null) return { shape: shared, parts: given };
  const parts = joinOnline(given);
  return { shape: ownRow(kernel, passesOf(parts), context), parts };
}

function passesOf(parts: readonly Part[]): Pass[] {
  return parts.flatMap((p) => p.kind === "pass" ? [p.pass] : []);
}

/** A long row in the registers of several blocks; null where one block holds it well, or nothing is read again. */
function sharedRow(kernel: TileKernel, passes: readonly Pass[], context: EmitContext): RowShape | null {
  const [first] = passes;
  const axis = first?.axes[0];
  const length = axis === undefined ? null : constantValue(axis.extent);
  if (context.arch < 90 || axis === undefined || length === null || passes.length < SHARED_PASSES) return null;
  if (passes.some(({ axes }) => axes.length > 1 || axes[0] !== axis)) return null;
  if (passes.some((pass) => [...accumulatorsOf(pass).values()].some(isArg))) return null;
  const repeated = [...repeatedLoads(kernel, passes).values()].flatMap(([s]) => s?.kind === "load" ? [s.buffer] : []);
  const plain = lanesFor(passes.flatMap((p) => p.body), axis, true);
  const odd = oddRows(kernel, passes, passes.map(() => plain), true);
  const bytes = repeated.reduce((n, b) => n + b.dtype.bytes, 0) * length;
  if (bytes < (odd === null ? LONG_ROW : LONG_ODD_ROW)) return null;
  const lanes = odd?.lanes ?? plain;
  const run = repeated.reduce((n, b) => n + Math.max(1, lanes * b.dtype.bytes / 4), 0);
  const cluster = rowCluster(odd === null ? Math.ceil(length / lanes) : Math.floor(length / lanes), run);
  if (cluster === null) return null;
  const { blocks, threads, kept, blocksEach } = cluster;
  const all = passes.map(() => lanes);
  return {
    threads: threads * blocks,
    rowsEach: 1,
    lanes: all,
    kept,
    sharedBytes: 0,
    pieces: 1,
    blocksEach,
    odd,
    cluster,
  };
}

/** A row in the registers or the shared memory of one block; those that begin anywhere as vectors and ends, if threads suffice. */
function ownRow(kernel: TileKernel, passes: readonly Pass[], context: EmitContext): RowShape {
  const plain = shapeFor(kernel, passes, context, null);
  const odd = oddRows(kernel, passes, plain.lanes);
  const shape = odd === null ? plain : { ...shapeFor(kernel, passes, context, odd), odd };
  return shape.threads >= LEAST_THREADS && shape.pieces === 1 ? shape : plain;
}

function shapeFor(kernel: TileKernel, passes: readonly Pass[], context: EmitContext, odd: OddRows | null): RowShape {
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const rows = grid.reduce((n, axis) => n * guess(axis.extent), 1);
  const same = passes.every((p) =>
    p.axes.length === passes[0]?.axes.length && p.axes.every((a, i) => a === passes[0]?.axes[i])
  );
  const all = passes.flatMap((p) => p.body);
  const lanes = passes.map((pass) => {
    const axis = pass.axes[pass.axes.length - 1] as Axis;
    return odd !== null ? odd.lanes : lanesFor(same ? all : pass.body, axis, pass.axes.length === 1);
  });
  const length = constantValue(extentsOf(passes[0]?.axes ?? []));
  const units = Math.max(
    ...passes.map((p, i) =>
      odd !== null
        ? Math.floor(odd.length / odd.lanes)
        : Math.ceil(extentsOf(p.axes).kind === "const" ? guess(extentsOf(p.axes)) / (lanes[i] ?? 1) : 64)
    ),
  );
  const repeated = [...repeatedLoads(kernel, passes).values()].flatMap(([s]) => s?.kind === "load" ? [s.buffer] : []);
  const width = lanes[0] ?? 1;
  const online = passes.some(isOnline);
  if (passes.length > 1 && same && length !== null && repeated.length > 0) {
    const run = repeated.reduce((n, b) => n + Math.max(1, width * b.dtype.bytes / 4), 0);
    const threads = keptThreads(units, run);
    const kept = threads === null ? 0 : Math.ceil(units / threads);
    if (threads !== null && (!online || (width >= 4 && kept * run <= ONLINE_KEPT))) {
      const blocksEach = threads < 256 ? null : Math.floor(REGISTERS / (threads * (kept * run + OTHER_REGISTERS)));
      return { threads, rowsEach: rowsOf(threads), lanes, kept, sharedBytes: 0, pieces: 1, blocksEach };
    }
    const bytes = repeated.reduce((n, b) => n + Math.ceil(units * width * b.dtype.bytes / 16) * 16, 0);
    if (bytes <= sharedLimit(context.arch)) {
      const fits = online ? Math.floor(sharedLimit(context.arch) / bytes) : 1;
      const threads = bytes > 50_000 && fits < 3 ? 1024 : 512;
      return { threads, rowsEach: 1, lanes, kept: -1, sharedBytes: bytes, pieces: 1, blocksEach: Math.min(3, fits) };
    }
  }
  const atOnce = units <= 32 ? 1 : units <= 256 ? 2 : 4;
  let threads = Math.min(rows < context.multiprocessors * 2 ? 1024 : 512, power(Math.ceil(units / atOnce)));
  let pieces = 1;
  if (passes.length === 1 && !online && length !== null && rows * 2 < context.multiprocessors * 2 && units >= 2048) {
    threads = 256;
    const wanted = Math.ceil(context.multiprocessors * 4 / rows);
    pieces = Math.max(1, Math.min(wanted, Math.floor(units / (threads * 2)), 1024));
  }
  return { threads, rowsEach: rowsOf(threads), lanes, kept: null, sharedBytes: 0, pieces };
}

/** Shared memory that a block may have for a row. */
function sharedLimit(arch: number): number {
  return arch === 90 || arch === 100 ? 220_000 : arch === 80 ? 160_000 : 96_000;
}

/** Threads for rows that stay in registers: little waste, few barriers, several blocks a multiprocessor. Null where a row is too long. */
function keptThreads(units: number, registersEach: number): number | null {
  let best: number | null = null;
  let lowest = Infinity;
  for (let threads = 1; threads <= 1024; threads *= 2) {
    const own = Math.ceil(units / threads);
    const registers = own * registersEach;
    if (registers > MOST_KEPT || (threads === 1024 && registers > 32)) continue;
    const steps = threads > 32 ? 1 + 0.03 * Math.log2(threads / 32) : 1 + 0.02 * Math.log2(32 / threads);
    const cost = own * threads / units * steps * (registers > 16 ? 1.05 : 1) * (own < 2 && threads > 32 ? 1.05 : 1) *
      (threads === 1024 ? 1.1 : 1);
    if (cost < lowest) {
      best = threads;
      lowest = cost;
    }
  }
  return best;
}

function rowsOf(threads: number): number {
  return threads > 32 ? 1 : 128 / threads;
}
