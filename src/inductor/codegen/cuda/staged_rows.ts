/**
 * Short rows that begin anywhere: where their length is no multiple of a vector, several together are one.
 *
 * Enters: a kernel whose rows lie one after the other. A block copies eight whole rows, which begin at a multiple of 16 bytes whatever their length, to shared memory in
 * vectors; threads read and write there, and the results are copied out in vectors again. Indices stay what they are: pointers are moved instead.
 */
import type { BufferRef } from "../../../loops/mod.ts";
import { add, constantValue, mul, symbol } from "../../../symbolic/mod.ts";
import { walkStatements } from "../../tile/parameters.ts";
import type { TileKernel } from "../../tile/tile_ir.ts";
import { memoryType } from "../cpp/types.ts";
import type { CudaFunction } from "./function.ts";
import type { EmitContext } from "./kernel_text.ts";
import type { Pass } from "./nests.ts";

/** Rows of a block: as many as make a vector of the smallest elements that are staged. */
export const STAGED_ROWS = 8;
/** Shared memory of a block at most: several blocks have to fit. */
const MOST_BYTES = 48 << 10;

/** What is staged. */
export interface StagedRows {
  readonly reads: readonly BufferRef[];
  readonly writes: readonly BufferRef[];
  readonly rows: number;
  readonly length: number;
  readonly bytes: number;
}

/** Decides; `lanes` is what accesses along a row would have. */
export function stagedRows(
  kernel: TileKernel,
  passes: readonly Pass[],
  lanes: readonly number[],
  context: EmitContext,
): StagedRows | null {
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const [row] = grid;
  const columns = passes.flatMap((pass) => pass.axes);
  if (row === undefined || grid.length > 1 || columns.length !== passes.length || kernel.sizes.length > 0) return null;
  const [rows, length] = [constantValue(row.extent), constantValue(columns[0]?.extent ?? row.extent)];
  if (rows === null || length === null || columns.some((axis) => constantValue(axis.extent) !== length)) return null;
  // Few rows are rather spread over the device.
  if (rows < STAGED_ROWS * context.multiprocessors) return null;
  const at = new Set(columns.map((axis) => add(mul(symbol(row.symbol), length), symbol(axis.symbol))));
  const flat = new Map<BufferRef, boolean>();
  let others = false;
  walkStatements(kernel.body, (s) => {
    if (s.kind === "combine" || s.kind === "bind") others = true;
    if (s.kind !== "load" && s.kind !== "store") return;
    flat.set(s.buffer, (flat.get(s.buffer) ?? true) && at.has(s.index));
  });
  // A warp's accesses of words of 4 bytes are long enough, wherever they begin (measured: 86 % of a copy directly, 74 % through shared memory).
  const isStaged = (b: BufferRef): boolean => flat.get(b) === true && b.dtype.bytes === 2;
  const [reads, writes] = [kernel.reads.filter(isStaged), kernel.writes.filter(isStaged)];
  // What is read and written by the same kernel would have to be both.
  if (others || reads.length === 0 || reads.some((b) => writes.includes(b))) return null;
  const all = [...reads, ...writes];
  if (Math.max(...lanes) > 2) return null;
  const bytes = all.reduce((n, b) => n + roomOf(b, length), 0);
  return bytes > MOST_BYTES ? null : { reads, writes, rows, length, bytes };
}

function roomOf(b: BufferRef, length: number): number {
  return STAGED_ROWS * length * b.dtype.bytes;
}

/** Copies a block's rows in; from here on accesses go to shared memory. */
export function writeStagedReads(f: CudaFunction, staged: StagedRows, threads: number): void {
  const s = f.scopes;
  const { length, rows } = staged;
  s.line("TSR_DYNAMIC(room);");
  s.line(`const ${f.index} begin = (${f.index})blockIdx.x * ${STAGED_ROWS * length};`);
  s.line(`const int size = (int)tsr_min((${f.index})${STAGED_ROWS * length}, (${f.index})${rows * length} - begin);`);
  let offset = 0;
  for (const b of staged.reads) {
    const name = s.fresh("r");
    s.line(`${memoryType(b.dtype)}* const ${name} = (${memoryType(b.dtype)}*)(room + ${offset});`);
    s.line(`tsr_copy_run<${threads}>(${name}, ${f.pointer(b)} + begin, size);`);
    f.replacePointer(b, `(${name} - begin)`);
    offset += roomOf(b, length);
  }
  s.line("__syncthreads();");
  for (const b of staged.writes) {
    const name = s.fresh("w");
    s.line(`${memoryType(b.dtype)}* const ${name} = (${memoryType(b.dtype)}*)(room + ${offset});`);
    s.line(`${memoryType(b.dtype)}* const ${name}out = ${f.pointer(b)};`);
    f.replacePointer(b, `(${name} - begin)`);
    offset += roomOf(b, length);
  }
}

/** Copies a block's results out. */
export function writeStagedResults(f: CudaFunction, staged: StagedRows, threads: number): void {
  if (staged.writes.length === 0) return;
  f.scopes.line("__syncthreads();");
  for (const b of staged.writes) {
    const name = f.pointer(b).slice(1, f.pointer(b).indexOf(" "));
    f.scopes.line(`tsr_copy_run<${threads}>(${name}out + begin, ${name}, size);`);
  }
}
