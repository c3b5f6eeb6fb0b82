/**
 * Rows on their way to shared memory while earlier ones are worked on: the copy engine brings what a block reads next.
 *
 * Enters: a kernel whose blocks take row after row, each row of a buffer one run of bytes. Leaves: text that asks for rows a few turns ahead, and pointers into
 * shared memory in the place of those to device memory. A stage is asked for again after the first barrier of the next row, when no thread reads it any more.
 */
import type { BufferRef } from "../../../loops/mod.ts";
import { coefficient, constant, constantValue, dependsOn, type Expr, substitute } from "../../../symbolic/mod.ts";
import { walkStatements } from "../../tile/parameters.ts";
import type { Axis, TileKernel } from "../../tile/tile_ir.ts";
import { memoryType } from "../cpp/types.ts";
import type { CudaFunction } from "./function.ts";
import type { Pass } from "./nests.ts";
import { isAlignedRun } from "./vectors.ts";

/** Bytes of a row from which on it is brought: of shorter ones more are on their way than memory needs (measured: 0.134 ms instead of 0.122 for rows of 1.5 KB). */
export const LONG_ROW = 8192;
/** Shared memory of a multiprocessor that rows may take. */
const MOST_BYTES = 200 << 10;

/** One buffer's rows: row `r` begins at element `start + r · stride`. */
interface Run {
  readonly buffer: BufferRef;
  readonly start: number;
  readonly stride: number;
  readonly bytes: number;
  /** Where it lies in a stage. */
  readonly offset: number;
}

/** What is brought. */
export interface RowRuns {
  readonly list: readonly Run[];
  readonly stages: number;
  readonly stageBytes: number;
}

/** Decides. `blocksEach` blocks fit a multiprocessor, and each walks every `pieces`-th row. */
export function rowRuns(
  kernel: TileKernel,
  passes: readonly Pass[],
  rows: readonly Axis[],
  blocksEach: number,
  arch: number,
): RowRuns | null {
  const [row] = rows;
  const inner = passes[0]?.axes[0];
  if (arch < 90 || row === undefined || inner === undefined || rows.length > 1) return null;
  const length = constantValue(inner.extent);
  if (length === null || passes.some((p) => p.axes.length > 1)) return null;
  const columns = passes.map((p) => p.axes[0] as Axis);
  // A row's first element; an access of one kind has the same whatever pass it stands in.
  const first = (index: Expr): Expr => substitute(index, new Map(columns.map((axis) => [axis.symbol, constant(0)])));
  const found = new Map<BufferRef, Expr | null>();
  walkStatements(kernel.body, (s) => {
    if (s.kind === "store" || s.kind === "combine") found.set(s.buffer, null);
    if (s.kind !== "load") return;
    const own = first(s.index);
    const elements = 16 / s.buffer.dtype.bytes;
    const isRun = s.mask === null && dependsOn(s.index, row.symbol) && elements >= 1 &&
      columns.some((axis) => isAlignedRun(s.index, axis.symbol, elements));
    const known = found.get(s.buffer);
    found.set(s.buffer, isRun && (known === undefined || known === own) ? own : null);
  });
  const list: Run[] = [];
  let offset = 0;
  for (const [buffer, own] of found) {
    const step = own === null ? null : coefficient(own, row.symbol);
    const stride = step === null ? null : constantValue(step);
    const start = own === null ? null : constantValue(substitute(own, new Map([[row.symbol, constant(0)]])));
    if (stride === null || start === null) continue;
    const bytes = length * buffer.dtype.bytes;
    if ([bytes, start * buffer.dtype.bytes, stride * buffer.dtype.bytes].some((n) => n % 16 !== 0)) continue;
    list.push({ buffer, start, stride, bytes, offset });
    offset += bytes;
  }
  if (list.every(({ bytes }) => bytes < LONG_ROW)) return null;
  const stages = [3, 2].find((n) => n * offset * blocksEach <= MOST_BYTES);
  return list.length === 0 || stages === undefined ? null : { list, stages, stageBytes: offset };
}

/** Asks for the first rows. `row` is the block's first, `rows` is how many there are, `step` from one of its rows to the next. */
export function writeFirstRuns(f: CudaFunction, runs: RowRuns, row: string, rows: number, step: number): void {
  const s = f.scopes;
  s.line("TSR_DYNAMIC(room);");
  s.line(`__shared__ unsigned long ready[${runs.stages}];`);
  runs.list.forEach(({ buffer }, i) =>
    s.line(`const ${memoryType(buffer.dtype)}* const run${i} = ${f.pointer(buffer)};`)
  );
  s.open("if (threadIdx.x == 0) {");
  s.line(`for (int i = 0; i < ${runs.stages}; i++) tsr_barrier_init(tsr_smem(ready + i), 1);`);
  s.line("tsr_barrier_visible();");
  s.open(`for (int i = 0; i < ${runs.stages}; i++) {`);
  writeAsk(f, runs, `${row} + i * ${step}`, rows, "i");
  s.close();
  s.close();
  s.line("__syncthreads();");
  s.line("int stage = 0, phase = 0;");
}

/** Waits for the row that the block is at; from here on what is read of it lies in shared memory. */
export function writeWaitRun(f: CudaFunction, runs: RowRuns, row: string): void {
  const s = f.scopes;
  s.line("tsr_barrier_wait(tsr_smem(ready + stage), phase);");
  runs.list.forEach(({ buffer, offset, start, stride }, i) => {
    const type = memoryType(buffer.dtype);
    const place = `(const ${type}*)(room + stage * ${runs.stageBytes}${offset > 0 ? ` + ${offset}` : ""})`;
    s.line(`const ${type}* const near${i} = ${place} - (${row} * ${stride}${start > 0 ? ` + ${start}` : ""});`);
    f.replacePointer(buffer, `near${i}`);
  });
}

/** After a barrier within a row: nobody reads the row before it any more, so its stage takes the next one. */
export function writeNextRun(f: CudaFunction, runs: RowRuns, row: string, rows: number, step: number): void {
  const s = f.scopes;
  s.open(`if (threadIdx.x == 0 && ${row} >= ${step}) {`);
  writeAsk(f, runs, `${row} + ${(runs.stages - 1) * step}`, rows, `(stage == 0 ? ${runs.stages - 1} : stage - 1)`);
  s.close();
}

/** Goes on to the next stage. */
export function writeRunDone(f: CudaFunction, runs: RowRuns): void {
  f.scopes.line(`if (++stage == ${runs.stages}) { stage = 0; phase ^= 1; }`);
}

function writeAsk(f: CudaFunction, runs: RowRuns, row: string, rows: number, stage: string): void {
  const s = f.scopes;
  s.line(`const ${f.index} asked = ${row};`);
  s.line(`const int to = ${stage};`);
  s.open(`if (asked < ${rows}) {`);
  s.line(`tsr_barrier_expect(tsr_smem(ready + to), ${runs.stageBytes});`);
  runs.list.forEach(({ offset, start, stride, bytes }, i) => {
    const from = `run${i} + (asked * ${stride}${start > 0 ? ` + ${start}` : ""})`;
    s.line(`tsr_run(tsr_smem(room + to * ${runs.stageBytes} + ${offset}), ${from}, ${bytes}, tsr_smem(ready + to));`);
  });
  s.close();
}
