/**
 * Scan groups to kernels: an accumulator that is read in each step. Vectors run along an outer axis, where there is a good one, several registers
 * wide so that each row's part of memory is worth the jump to it; else along the scanned axis itself, where a step is a block and what is read are the
 * block's running results.
 */
import { computeType, type DType, float32, int32 } from "../../core/mod.ts";
import type { LoopVar } from "../../loops/mod.ts";
import type { ScanGroup } from "../groups.ts";
import { dependsOn, type Expr, freeSymbols } from "../../symbolic/mod.ts";
import { stepsOf } from "../dependencies.ts";
import { type Access, exprsOf, extent, guess, motion, vectorScore } from "./axes.ts";
import { Builder } from "./builder.ts";
import { commentOf, nameOf, parametersOf } from "./parameters.ts";
import type { TileTarget } from "./target.ts";
import type { Axis, TileKernel } from "./tile_ir.ts";

/** Registers of a block along an outer axis, at most. */
const MOST_REGISTERS = 8;

/** Registers of a block along the scanned axis; sums of exponentials have the longest chains. */
const SCAN_REGISTERS = 4, LONG_SCAN_REGISTERS = 8;
const LARGEST = 2 ** 31;

/** Whether lanes scan numbers of a type: float32, and the extrema of int32. */
function isScanned(op: ScanGroup["op"], dtype: DType): boolean {
  return dtype === float32 || (dtype === int32 && (op === "max" || op === "min"));
}

/** Whether blocks of the scanned axis are vectors: scans from and to neighbouring places. */
function scansBlocks(group: ScanGroup, target: TileTarget): boolean {
  const axis = group.scanAxis;
  const steps = stepsOf(group);
  if (target.vectorLanes === 1 || guess(extent(axis)) < 2 * target.vectorLanes) return false;
  if (steps.some((s) => s.kind === "scan" && !isScanned(s.op, computeType(s.value.dtype)))) return false;
  if (steps.some((s) => motion(s.index, axis) !== "contiguous")) return false;
  const { exprs, loads } = exprsOf(steps.map((s) => s.value));
  const indices = new Set(loads.map((l) => l.index));
  // A position is a number of its own in each lane, and has to fit it.
  const isPlain = (e: Expr): boolean =>
    indices.has(e) || (freeSymbols(e).size === 1 && e.lower > -LARGEST && e.upper < LARGEST);
  return loads.some((l) => motion(l.index, axis) === "contiguous") &&
    [...exprs].every((e) => !dependsOn(e, axis) || (isPlain(e) && ["contiguous", "still"].includes(motion(e, axis))));
}

/** Elements of a block of the scanned axis: several registers, so that the chains of one do not wait for those of the others. */
function blockOf(group: ScanGroup, target: TileTarget): number {
  const long = stepsOf(group).some((s) => s.kind === "scan" && s.op === "logaddexp");
  const block = (long ? LONG_SCAN_REGISTERS : SCAN_REGISTERS) * target.vectorLanes;
  return guess(extent(group.scanAxis)) >= 2 * block ? block : target.vectorLanes;
}

/** Lowers a scan. */
export function lowerScan(group: ScanGroup, target: TileTarget): TileKernel {
  const outer = group.axes.filter((v) => v !== group.scanAxis);
  const steps = stepsOf(group);
  const inner = new Set(steps.map((s) => s.out));
  const { exprs, loads } = exprsOf(steps.map((s) => s.value));
  const accesses: Access[] = [
    ...loads.filter((l) => !inner.has(l.buffer)),
    ...steps.filter((s) => group.stored.has(s.out)).map((s) => ({ buffer: s.out, index: s.index, write: true })),
  ];
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
  const lanes = vector === null && scansBlocks(group, target) ? blockOf(group, target) : 1;
  const loop: Axis = { symbol: group.scanAxis, extent: extent(group.scanAxis), block: lanes, role: "loop" };
  const axes = [...grid, loop];
  const builder = new Builder(axes);
  const accumulators = new Map(
    steps.flatMap((s) =>
      s.kind === "scan"
        ? [[s.out, builder.accumulator(s.op, computeType(s.value.dtype), builder.axesOf([...exprs]))]]
        : []
    ),
  );
  builder.open(loop);
  for (const step of steps) {
    let value = builder.value(step.value);
    const accumulator = accumulators.get(step.out);
    if (step.kind === "scan" && accumulator !== undefined) {
      builder.accumulate(accumulator, step.op, value, null);
      value = builder.read(accumulator, step.op, step.out.dtype);
    }
    if (group.stored.has(step.out)) builder.store(step.out, step.index, value);
    // A half is read as it would be from memory.
    builder.forward(step.out, step.index, builder.cast(value, step.out.dtype));
  }
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
