/**
 * From a kernel in tiles to CUDA: which of the forms a kernel takes.
 *
 * Kernels come with blocks of 1: what a thread block covers is decided here, from how the accesses move along the axes.
 */
import { InternalError } from "../../../core/mod.ts";
import { constantValue } from "../../../symbolic/mod.ts";
import { walkStatements } from "../../tile/parameters.ts";
import type { TileTarget } from "../../tile/target.ts";
import type { TileKernel } from "../../tile/tile_ir.ts";
import { emitWindow } from "../../templates/cuda_window.ts";
import { emitWindowSums } from "../../templates/cuda_window_sums.ts";
import { emitColumns } from "./emit_columns.ts";
import { emitCross, isCross } from "./emit_cross.ts";
import { emitGroups } from "./emit_groups.ts";
import { emitPoints } from "./emit_points.ts";
import { emitRows } from "./emit_rows.ts";
import { emitSharedRows } from "./emit_shared_rows.ts";
import { emitScan } from "./emit_scan.ts";
import type { CudaKernelText, EmitContext } from "./kernel_text.ts";
import { bestColumn, extentsOf, partsOf, rowScore } from "./nests.ts";
import { orderPass } from "./pass_order.ts";

/** CUDA: kernels for one element an instance; the emitter spreads them over threads. */
export const CUDA_TARGET: TileTarget = {
  name: "cuda",
  vectorLanes: 1,
  workers: 1,
  crossReductions: true,
  templateFlops: 32768,
  integerProducts: true,
};

/** Emits a kernel in tiles. */
export function emitCudaTile(kernel: TileKernel, context: EmitContext): CudaKernelText[] {
  if (kernel.axes.some((axis) => axis.block !== 1)) throw new InternalError(`kernel ${kernel.name} has blocks already`);
  if (isCross(kernel)) return emitCross(kernel, context);
  const loops = kernel.body.filter((s) => s.kind === "for");
  if (loops.length === 0) return emitPoints(kernel, context);
  let combines = false;
  let readsInLoop = false;
  const inLoop = (body: TileKernel["body"]): void => {
    for (const s of body) {
      if (s.kind === "finish") readsInLoop = true;
      if (s.kind === "for") inLoop(s.body);
    }
  };
  for (const s of loops) if (s.kind === "for") inLoop(s.body);
  let sets = false;
  walkStatements(kernel.body, (s) => {
    if (s.kind !== "combine") return;
    combines = true;
    if (s.op === "set") sets = true;
  });
  if (readsInLoop) return emitScan(kernel, context);
  const given = partsOf(kernel.body);
  // One thread has all that must be in order.
  if (given === null || sets || (combines && context.deterministic === true)) return emitPoints(kernel, context);
  const window = emitWindow(kernel, given, context);
  if (window !== null) return [window];
  const windowSums = emitWindowSums(kernel, given, context);
  if (windowSums !== null) return windowSums;
  const parts = orderPass(given);
  const groups = emitGroups(kernel, given, context);
  if (groups !== null) return [groups];
  const column = bestColumn(kernel, parts);
  const rows = rowScore(parts);
  let longest = 0;
  for (const p of parts) {
    if (p.kind === "pass") longest = Math.max(longest, constantValue(extentsOf(p.pass.axes)) ?? Infinity);
  }
  const across = column.axis !== null && (column.score > rows || longest <= 4);
  const shared = across ? null : emitSharedRows(kernel, parts, context);
  if (shared !== null) return [shared];
  return [across ? emitColumns(kernel, parts, column.axis, context) : emitRows(kernel, parts, context)];
}
