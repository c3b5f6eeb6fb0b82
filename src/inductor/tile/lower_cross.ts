/**
 * Loop groups with cross reductions to kernels: one loop over the rows that workers share, then what follows from the sums.
 *
 * There is no grid: the outer axes are loops too, the first of them shared. A cross reduction to one number is an accumulator before it; one that
 * keeps axes is an array of accumulators, indexed as its buffer is. After the loop each result is read, once an element, and final stages follow.
 */
import { computeType, InternalError } from "../../core/mod.ts";
import type { LoopVar } from "../../loops/mod.ts";
import type { CrossStage, LoopGroup, PointwiseStage, Stage } from "../groups.ts";
import { exprsOf } from "./axes.ts";
import { Builder } from "./builder.ts";
import { cutCross } from "./cut.ts";
import type { LoopSpace } from "./lower_loops.ts";
import { commentOf, nameOf, parametersOf } from "./parameters.ts";
import { type Carried, emitPasses, emitStore, keptAxes } from "./passes.ts";
import type { TileTarget } from "./target.ts";
import type { Axis, TileKernel } from "./tile_ir.ts";

/** Whether a group carries reductions over its rows. */
export function hasCross(space: LoopSpace): boolean {
  return space.stages.some((s) => s.kind === "cross");
}

/** Lowers a loop group with cross reductions. */
export function lowerCross(group: LoopGroup, space: LoopSpace, target: TileTarget): TileKernel {
  if (!target.crossReductions) throw new InternalError(`${target.name} kernels carry no reductions over rows`);
  const cut = cutCross(space, target);
  const axes = [...cut.rows, ...cut.loops];
  const builder = new Builder(axes);
  const carried = new Map<Stage, Carried>();
  const rows = new Set(cut.rows);
  for (const stage of space.stages) {
    if (stage.kind === "cross") carried.set(stage, declare(builder, stage, axes, rows));
  }
  cut.rows.forEach((axis, i) => builder.open(axis, cut.split && i === 0));
  const split = cut.split && cut.rows.length === 0;
  emitPasses(builder, space, { all: axes, loops: cut.loops, split }, carried);
  for (const _ of cut.rows) builder.close();
  emitResults(builder, space, axes, carried);
  const body = builder.finish();
  return {
    kind: "tile",
    name: nameOf(group, "cross"),
    ...parametersOf([body], axes),
    axes,
    body,
    parallelAxes: 0,
    comment: commentOf(group),
  };
}

function declare(builder: Builder, stage: CrossStage, axes: readonly Axis[], rows: ReadonlySet<Axis>): Carried {
  const kept = keptAxes(stage);
  const dtype = computeType(stage.value.dtype);
  // As many as the buffer has elements: the array is indexed as the buffer is.
  if (kept.size > 0) return { kept, accumulator: builder.accumulators(stage.op, dtype, stage.out.numel) };
  const varying = new Set<Axis>(builder.axesOf([...exprsOf([stage.value]).exprs]));
  // Lanes are iterations, whether the value differs in them or not.
  for (const axis of axes) if (axis.block > 1 && (stage.space === "inner" || rows.has(axis))) varying.add(axis);
  return { kept, accumulator: builder.accumulator(stage.op, dtype, axes.filter((axis) => varying.has(axis))) };
}

/** A walk over axes that results keep. */
interface Walk {
  readonly axes: readonly Axis[];
  readonly stages: (CrossStage | PointwiseStage)[];
}

/** Emits the results of cross reductions, and final stages: those that keep nothing first, then a walk for each set of kept axes. */
function emitResults(
  builder: Builder,
  space: LoopSpace,
  axes: readonly Axis[],
  carried: ReadonlyMap<Stage, Carried>,
): void {
  const walks = new Map<string, Walk>([["", { axes: [], stages: [] }]]);
  for (const stage of space.stages) {
    if (stage.kind !== "cross" && !(stage.kind === "pointwise" && stage.space === "final")) continue;
    const kept = keptAxes(stage);
    const own = axes.filter((axis) => kept.has(axis.symbol as LoopVar));
    const key = own.map((axis) => axis.symbol.id).join(",");
    const walk = walks.get(key);
    if (walk === undefined) walks.set(key, { axes: own, stages: [stage] });
    else walk.stages.push(stage);
  }
  for (const walk of walks.values()) {
    for (const axis of walk.axes) builder.open(axis);
    for (const stage of walk.stages) emitResult(builder, space, stage, carried.get(stage));
    for (const _ of walk.axes) builder.close();
  }
}

function emitResult(
  builder: Builder,
  space: LoopSpace,
  stage: CrossStage | PointwiseStage,
  own: Carried | undefined,
): void {
  if (stage.kind === "pointwise") {
    emitStore(builder, space, stage, builder.value(stage.value));
    return;
  }
  if (own === undefined) throw new InternalError(`${stage.out.label} has no accumulator`);
  const held = own.kept.size === 0
    ? builder.read(own.accumulator, stage.op, stage.out.dtype)
    : builder.readAt(own.accumulator, stage.op, stage.index);
  const value = builder.cast(held, stage.out.dtype);
  builder.forward(stage.out, stage.index, value);
  if (space.stored.has(stage.out)) builder.store(stage.out, stage.index, value);
}
