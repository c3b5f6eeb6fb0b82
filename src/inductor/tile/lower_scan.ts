/**
 * Scan groups to kernels: an accumulator that is read in each step. Vectors run along an outer axis, where there is a good one.
 */
import { computeType } from "../../core/mod.ts";
import type { LoopVar } from "../../loops/mod.ts";
import type { ScanGroup } from "../groups.ts";
import { type Access, exprsOf, extent, guess, vectorScore } from "./axes.ts";
import { Builder } from "./builder.ts";
import { commentOf, nameOf, parametersOf } from "./parameters.ts";
import type { TileTarget } from "./target.ts";
import type { Axis, TileKernel } from "./tile_ir.ts";

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
  const ordered = vector === null ? outer : [...outer.filter((v) => v !== vector), vector];
  const grid = ordered.map((v): Axis => ({
    symbol: v,
    extent: extent(v),
    block: v === vector ? target.vectorLanes : 1,
    role: "grid",
  }));
  const loop: Axis = { symbol: group.scanAxis, extent: extent(group.scanAxis), block: 1, role: "loop" };
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
