/**
 * Scan groups to kernels: an accumulator that is read in each step. Vectors run along an outer axis, where there is a good one, several registers
 * wide so that each row's part of memory is worth the jump to it; else along the scanned axis itself, where a step is a block and what is read are the
 * block's running results.
 */
import { computeType, float32 } from "../../core/mod.ts";
import type { LoopVar } from "../../loops/mod.ts";
import type { ScanGroup } from "../groups.ts";
import { dependsOn } from "../../symbolic/mod.ts";
import { type Access, exprsOf, extent, guess, motion, vectorScore } from "./axes.ts";
import { Builder } from "./builder.ts";
import { commentOf, nameOf, parametersOf } from "./parameters.ts";
import type { TileTarget } from "./target.ts";
import type { Axis, TileKernel } from "./tile_ir.ts";

/** Registers of a block along an outer axis, at most. */
const MOST_REGISTERS = 8;

/** Whether blocks of the scanned axis are vectors: float32 from and to neighbouring places, and no other use of positions. */
function scansBlocks(group: ScanGroup, target: TileTarget): boolean {
  const axis = group.scanAxis;
  if (target.vectorLanes === 1 || computeType(group.value.dtype) !== float32) return false;
  if (guess(extent(axis)) < 2 * target.vectorLanes || motion(group.index, axis) !== "contiguous") return false;
  const { exprs, loads } = exprsOf([group.value]);
  const indices = new Set(loads.map((l) => l.index));
  return loads.some((l) => motion(l.index, axis) === "contiguous") &&
    [...exprs].every((e) =>
      !dependsOn(e, axis) || (indices.has(e) && ["contiguous", "still"].includes(motion(e, axis)))
    );
}

/** Lowers a scan. */
export function lowerScan(group: ScanGroup, target: TileTarget): TileKernel {
  const outer = group.axes.filter((v) => v !== group.scanAxis);
  const { exprs, loads } = exprsOf([group.value]);
  const accesses: Access[] = [...loads, { buffer: group.out, index: group.index, write: true }];
  let vector: LoopVar | null = null;
  for (const v of outer) {
    if (guess(extent(v)) < target.vectorLanes || target.vectorLanes === 1) continue;
    if (vectorScore(accesses, v) > 0.7) vector = v;
  }
  let block = target.vectorLanes;
  if (vector !== null) {
    while (block < target.vectorLanes * MOST_REGISTERS && guess(extent(vector)) >= 2 * block * target.workers) {
      block *= 2;
    }
  }
  const ordered = vector === null ? outer : [...outer.filter((v) => v !== vector), vector];
  const grid = ordered.map((v): Axis => ({
    symbol: v,
    extent: extent(v),
    block: v === vector ? block : 1,
    role: "grid",
  }));
  const steps = vector === null && scansBlocks(group, target) ? target.vectorLanes : 1;
  const loop: Axis = { symbol: group.scanAxis, extent: extent(group.scanAxis), block: steps, role: "loop" };
  const axes = [...grid, loop];
  const builder = new Builder(axes);
  const accumulator = builder.accumulator(group.op, computeType(group.value.dtype), builder.axesOf([...exprs]));
  builder.open(loop);
  builder.accumulate(accumulator, group.op, builder.value(group.value), null);
  builder.store(group.out, group.index, builder.read(accumulator, group.op, group.out.dtype));
  builder.close();
  const body = builder.finish();
  return {
    kind: "tile",
    name: nameOf(group, "scan"),
    ...parametersOf([body], axes),
    axes,
    body,
    parallelAxes: grid.length,
    comment: commentOf(group),
  };
}
