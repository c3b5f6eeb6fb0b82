/**
 * Sums and squares around the mean of a few long rows, in one reading that several blocks share: batch norm's statistics where images lie plane by plane.
 *
 * Enters: a kernel whose only passes are those two, along memory. Leaves: one kernel; the blocks of a row take runs of it by turns, so that all together walk memory from one end to
 * the other, and the one that comes last combines their moments (`moments.ts`, `split.ts`). Rows for which there are blocks enough are `emit_rows.ts`'s, where a row that is
 * walked twice stays in registers.
 */
import { constant, constantValue } from "../../../symbolic/mod.ts";
import type { Axis, TileKernel } from "../../tile/tile_ir.ts";
import { combineRow, guarded } from "./emit_rows.ts";
import { CudaFunction } from "./function.ts";
import { type CudaKernelText, type EmitContext, signature } from "./kernel_text.ts";
import {
  combineMoments,
  hasMoments,
  joinMoments,
  type MomentsPass,
  type ThreadMoments,
  writeMoments,
} from "./moments.ts";
import { extentsOf, lanesFor, type Part } from "./nests.ts";
import { combineEach, combinePartials, type Partial, splitParameters, type Splitting } from "./split.ts";
import { onlyAccumulates, writeWalk } from "./walk.ts";

/** Threads of a block, blocks of a multiprocessor, and runs that a thread should have at least. */
const [THREADS, BLOCKS_EACH, LEAST_RUNS] = [256, 6, 4];

/** Emits such a kernel; null if it is none, or blocks need not share its rows. */
export function emitSharedRows(
  kernel: TileKernel,
  given: readonly Part[],
  context: EmitContext,
): CudaKernelText | null {
  const parts = joinMoments(given);
  const [pass, ...more] = parts.flatMap((p) => p.kind === "pass" ? [p.pass] : []);
  if (pass === undefined || more.length > 0 || !hasMoments(pass)) return null;
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const rows = constantValue(extentsOf(grid));
  const inner = pass.axes.at(-1) as Axis;
  const lanes = lanesFor(pass.body, inner, false);
  const total = constantValue(extentsOf(pass.axes));
  if (rows === null || total === null || (constantValue(inner.extent) ?? 1) % lanes !== 0) return null;
  if (!onlyAccumulates(pass.body)) return null;
  const units = total / lanes;
  const sharing = Math.floor(context.multiprocessors * BLOCKS_EACH / rows);
  const pieces = Math.min(sharing, Math.floor(units / (THREADS * LEAST_RUNS)), 512);
  if (pieces < 2) return null;
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, { shared: context.shared });
  const s = f.scopes;
  s.line("const int tx = (int)threadIdx.x;");
  s.line(`const ${f.index} row = (${f.index})blockIdx.x;`);
  f.decompose(grid, "row", (axis) => f.extent(axis.extent));
  const outputs = extentsOf(grid);
  const splitting: Splitting = {
    pieces,
    outputs,
    output: "row",
    id: context.scratchId(),
    tile: "blockIdx.x",
    tiles: outputs,
    block: THREADS,
  };
  const combine = (list: readonly Partial[]): void => combineEach(f, list, (v, op) => combineRow(f, v, op, THREADS));
  const share = (piece: string): string => `(${lanes} * tsr_share<int>(${units}, ${THREADS}, ${pieces}, ${piece}))`;
  for (const part of parts) {
    if (part.kind === "statements") {
      guarded(f, part.body, "tx == 0");
      continue;
    }
    const { own, moments } = writeRuns(f, pass, lanes, units, pieces);
    combineMoments(f, pass, [moments], own, share("(int)blockIdx.y"), combine);
    const list: Partial[] = [
      { v: pass.moments.sum, op: "sum", name: moments.sum },
      { v: pass.moments.squares, op: "sum", name: moments.squares },
    ];
    combinePartials(f, list, splitting, combine, "tx == 0", "tx", THREADS, { count: String(total), share });
  }
  const { args, parameters } = signature(f, splitParameters(2, splitting));
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(["collectives"]),
    args,
    grid: [outputs, constant(pieces), constant(1)],
    block: [THREADS, 1, 1],
    sharedBytes: 0,
    blocksEach: BLOCKS_EACH,
  };
}

function writeRuns(
  f: CudaFunction,
  pass: MomentsPass,
  lanes: number,
  units: number,
  pieces: number,
): { readonly own: string; readonly moments: ThreadMoments } {
  const s = f.scopes;
  const inner = pass.axes.at(-1) as Axis;
  const others = pass.axes.slice(0, -1);
  const across = (constantValue(inner.extent) ?? 1) / lanes;
  const [own, first] = [s.fresh("n"), s.fresh("q")];
  const [shift, differences] = [s.fresh("k"), s.fresh("d")];
  const { sum, squares, element } = pass.moments;
  const moments = { sum: f.accumulator(sum), squares: f.accumulator(squares), shift, differences };
  const step = THREADS * pieces;
  s.line(`const int ${first} = (int)blockIdx.y * ${THREADS} + tx;`);
  s.line(`const int ${own} = ${first} < ${units} ? (${units} - ${first} + ${step - 1}) / ${step} * ${lanes} : 0;`);
  s.line(`float ${shift} = 0, ${differences} = 0;`);
  const body = (at: string, after: (u: string) => void): void => {
    const [outer, base] = [s.fresh("o"), s.fresh("b")];
    s.line(`const ${f.index} ${outer} = ${at} / ${across}, ${base} = (${at} - ${outer} * ${across}) * ${lanes};`);
    f.decompose(others, outer, (axis) => f.extent(axis.extent));
    f.chunk(pass.body, { symbol: inner.symbol, lanes, base, after });
  };
  s.open(`if (${first} < ${units}) {`);
  body(first, (u) => s.line(`if (${u} == 0) ${shift} = ${f.text(element)};`));
  s.close();
  writeWalk(
    f,
    { first, end: String(units), step, count: Math.ceil(units / step), atOnce: 4 },
    (at) => body(at, () => writeMoments(f, moments, f.text(element))),
  );
  return { own, moments };
}
