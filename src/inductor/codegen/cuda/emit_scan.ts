/**
 * Scans that several threads share: a block has a row, or columns side by side, and takes them in pieces; threads scan runs of their own, then their totals.
 *
 * Short scans, and those of so many columns that each can have a thread, run as loops of one thread (`emit_points.ts`): neighbouring threads have neighbouring columns.
 */
import { InternalError } from "../../../core/mod.ts";
import { ceilDiv, constantValue } from "../../../symbolic/mod.ts";
import { guess, vectorScore } from "../../tile/axes.ts";
import type { Axis, TileKernel, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { emitPoints } from "./emit_points.ts";
import { CudaFunction } from "./function.ts";
import { combineLambda, isArg, neutralText, scalarType } from "./texts.ts";
import { type CudaKernelText, type EmitContext, line, signature } from "./kernel_text.ts";
import { accessesIn, bestColumn, extentsOf, lanesFor } from "./nests.ts";
import { operandsOf } from "./vectors.ts";

interface ScanLoop {
  readonly axis: Axis;
  readonly before: readonly TileStatement[];
  readonly accumulate: TileStatement & { readonly kind: "accumulate" };
  readonly after: readonly TileStatement[];
}

/** The parts of a body that is one scan; null if it is anything else. */
function scanLoop(kernel: TileKernel): ScanLoop | null {
  const loops = kernel.body.filter((s) => s.kind === "for");
  const [loop] = loops;
  if (loop?.kind !== "for" || loops.length > 1 || kernel.body[kernel.body.length - 1] !== loop) return null;
  const at = loop.body.findIndex((s) => s.kind === "accumulate");
  const accumulate = loop.body[at];
  if (accumulate?.kind !== "accumulate" || isArg(accumulate.op)) return null;
  const before = loop.body.slice(0, at);
  const after = loop.body.slice(at + 1);
  if (after.some((s) => s.kind === "accumulate" || s.kind === "for" || s.kind === "dot")) return null;
  const early = new Set<TileValue>();
  for (const s of before) {
    if ("out" in s) early.add(s.out);
    if (s.kind === "for" || s.kind === "store" || s.kind === "combine" || s.kind === "bind") return null;
  }
  if (after.some((s) => operandsOf(s).some((v) => v !== null && early.has(v)))) return null;
  return { axis: loop.axis, before, accumulate, after };
}

/** Emits a kernel that reads an accumulator within its loop. */
export function emitScan(kernel: TileKernel, context: EmitContext): CudaKernelText[] {
  const scan = scanLoop(kernel);
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  if (scan === null) return emitPoints(kernel, context);
  const length = guess(scan.axis.extent);
  const score = vectorScore(accessesIn([...scan.before, ...scan.after]), scan.axis.symbol);
  const column = bestColumn(kernel, [{
    kind: "pass",
    pass: { axes: [scan.axis], body: [...scan.before, ...scan.after] },
  }]);
  const columns = guess(extentsOf(grid));
  const { axis } = column;
  const isAcross = axis !== null && column.score > score && columns >= COLUMNS;
  if (length < 64 || (isAcross && columns >= context.multiprocessors * MANY_COLUMNS)) {
    const ordered = axis === null ? grid : [...grid.filter((a) => a !== axis), axis];
    return emitPoints({ ...kernel, axes: [...ordered, ...kernel.axes.filter((a) => a.role === "loop")] }, context);
  }
  return [emitBlockScan(kernel, scan, isAcross ? [...grid.filter((a) => a !== axis), axis] : grid, isAcross, context)];
}

/** Columns of a block, threads that share each, and how many positions one of them has at a time. */
const [COLUMNS, DOWN, RUN] = [32, 16, 8];
/** Columns a multiprocessor from which on a thread each fills the device. */
const MANY_COLUMNS = 1024;

function emitBlockScan(
  kernel: TileKernel,
  scan: ScanLoop,
  grid: readonly Axis[],
  isAcross: boolean,
  context: EmitContext,
): CudaKernelText {
  const { axis, accumulate } = scan;
  const length = guess(axis.extent);
  const lanes = isAcross ? RUN : Math.max(4, lanesFor([...scan.before, ...scan.after], axis, true));
  const down = isAcross
    ? DOWN
    : length <= 32 * lanes
    ? 32
    : length <= 128 * lanes
    ? 128
    : length <= 4096 * lanes
    ? 256
    : 512;
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, { shared: context.shared });
  const s = f.scopes;
  const rows = f.extent(extentsOf(grid));
  if (isAcross) {
    s.line(`const int tx = (int)threadIdx.x % ${COLUMNS}, thread = (int)threadIdx.x / ${COLUMNS};`);
    s.line(`const ${f.index} at = (${f.index})blockIdx.x * ${COLUMNS} + tx, row = tsr_min(at, ${rows} - 1);`);
  } else s.line(`const int thread = (int)threadIdx.x;\nconst ${f.index} row = (${f.index})blockIdx.x;`);
  f.decompose(grid, "row", (a) => f.extent(a.extent));
  for (const st of kernel.body) if (st.kind !== "for") f.statement(st);
  const v = accumulate.accumulator;
  const { op } = accumulate;
  if (isArg(op)) throw new InternalError("a scan of positions");
  const type = scalarType(v.dtype);
  const neutral = neutralText(op, v.dtype);
  const lambda = combineLambda(op, v.dtype);
  const extent = f.extent(axis.extent);
  s.line(`__shared__ ${type} room[${isAcross ? COLUMNS * DOWN : 32}];`);
  s.line(`${type} carry = ${neutral};`);
  s.open(`for (${f.index} start = 0; start < ${extent}; start += ${down * lanes}) {`);
  s.line(`const ${f.index} base = start + (${f.index})thread * ${lanes};`);
  s.line(`${type} run = ${neutral}, part[${lanes}], total;`);
  const known = constantValue(axis.extent);
  const columns = constantValue(extentsOf(grid));
  const isWhole = !isAcross || (columns !== null && columns % COLUMNS === 0);
  const limited = known === null || known % (down * lanes) !== 0 || !isWhole;
  const count = s.fresh("n");
  if (limited) {
    const own = `(int)tsr_max(tsr_min((long)${extent} - base, ${lanes}l), 0l)`;
    s.line(`const int ${count} = ${isWhole ? own : `at < ${rows} ? ${own} : 0`};`);
  }
  const shape = { symbol: axis.symbol, lanes, base: "base", ...(limited ? { count } : {}) };
  f.renameAccumulator(v, "run");
  f.chunk([...scan.before, accumulate], { ...shape, after: (u) => s.line(`part[${u}] = run;`) });
  const collective = isAcross ? `tsr_column_scan<${COLUMNS}, ${DOWN}>` : `tsr_block_scan<${down}>`;
  s.line(`${type} before = ${collective}(run, (${type})${neutral}, total, room, ${lambda});`);
  s.line(`before = (${lambda})(carry, before);`);
  s.line(`carry = (${lambda})(carry, total);`);
  const after = scan.after;
  // What the accumulator holds at a lane is the lane's own part behind all that stands before the thread.
  s.line("#pragma unroll");
  s.line(`for (int u = 0; u < ${lanes}; u++) part[u] = (${lambda})(before, part[u]);`);
  s.line("int lane = 0;");
  f.renameAccumulator(v, "part[lane++]");
  f.chunk(after, shape);
  s.close();
  const { args, parameters } = signature(f);
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(["collectives"]),
    args,
    grid: line(isAcross ? ceilDiv(extentsOf(grid), COLUMNS) : extentsOf(grid)),
    block: [isAcross ? COLUMNS * DOWN : down, 1, 1],
    sharedBytes: 0,
  };
}
