/**
 * Loop groups to kernels: passes over the reduced axes, values forwarded from stage to stage.
 *
 * Stages are partitioned into passes: a reduction, or a store, that needs the result of a reduction runs in the pass after it (softmax: maximum,
 * sum, write). A pass is one nest of loops inside of the outer axes, which make the grid. What a stage writes and a later one loads at the same
 * index never goes through memory: pointwise stages are inlined as values, so equal work is done once; reductions hand on their accumulator.
 * Mirrors the code generation of `SIMDScheduling` and `CppKernel` in TorchInductor.
 */
import { type BufferRef, foldValue, loadsOf, type LoopVar, ops, rewriteValues, type Value } from "../../loops/mod.ts";
import { add, constant, type Expr, mul, symbol } from "../../symbolic/mod.ts";
import type { LoopGroup, PointwiseStage, Stage } from "../groups.ts";
import { exprsOf, extent, mergeAxes, rewriteIndex, throughValue } from "./axes.ts";
import { Builder } from "./builder.ts";
import { cutAxes } from "./cut.ts";
import { hasCross, lowerCross } from "./lower_cross.ts";
import { commentOf, nameOf, parametersOf } from "./parameters.ts";
import { emitPasses } from "./passes.ts";
import type { TileTarget } from "./target.ts";
import type { TileKernel } from "./tile_ir.ts";

/** A loop group with stages forwarded and axes merged. */
export interface LoopSpace {
  readonly axes: readonly LoopVar[];
  readonly reduceAxes: readonly LoopVar[];
  readonly stages: readonly Stage[];
  /** The pass of each stage. */
  readonly passes: readonly number[];
  readonly stored: ReadonlySet<BufferRef>;
  /** The linear position within the reduced axes, for argmax. */
  readonly position: Expr;
}

/** Lowers a loop group to one kernel. */
export function lowerLoops(group: LoopGroup, target: TileTarget): TileKernel {
  const space = mergeSpace(group);
  if (hasCross(space)) return lowerCross(group, space, target);
  const cut = cutAxes(space, target);
  const axes = [...cut.grid, ...cut.loops];
  const builder = new Builder(axes);
  emitPasses(builder, space, { all: axes, loops: cut.loops, split: cut.split }, new Map());
  const body = builder.finish();
  return {
    kind: "tile",
    name: nameOf(group, space.reduceAxes.length > 0 ? "reduce" : "loop"),
    ...parametersOf([body], axes),
    axes,
    body,
    parallelAxes: cut.parallelAxes,
    comment: commentOf(group),
  };
}

/** A stage and the pass in which it runs: how many reductions in a row it waits for. */
interface Placed {
  readonly stage: Stage;
  readonly pass: number;
}

/**
 * Replaces loads of what earlier pointwise stages wrote by their values. A value that is stored in one pass and read in a later one stays a load: it is
 * cheaper than computing again, and what it was computed from may be overwritten by then.
 */
function placeStages(group: LoopGroup): Placed[] {
  const written = new Map<
    BufferRef,
    Map<Expr, { readonly value: Value; readonly pass: number; readonly kept: boolean }>
  >();
  const ready = new Map<BufferRef, number>();
  return group.stages.map((stage) => {
    let pass = 0;
    for (const load of loadsOf([stage.value, ops.index(stage.index)])) {
      pass = Math.max(pass, ready.get(load.buffer) ?? written.get(load.buffer)?.get(load.index)?.pass ?? 0);
    }
    const load = (buffer: BufferRef, index: Expr): Value | null => {
      const found = written.get(buffer)?.get(index);
      return found === undefined || (found.kept && found.pass < pass) ? null : found.value;
    };
    const value = written.size === 0 ? stage.value : rewriteValues([stage.value], { load })[0] as Value;
    const index = written.size === 0 ? stage.index : throughValue(stage.index, { load });
    if (stage.kind === "reduction") ready.set(stage.out, pass + 1);
    if (stage.kind !== "pointwise") return { stage: { ...stage, index, value }, pass };
    const cast = ops.cast(value, stage.out.dtype);
    let byIndex = written.get(stage.out);
    if (byIndex === undefined) written.set(stage.out, byIndex = new Map());
    byIndex.set(index, { value: cast, pass, kept: stage.space === "inner" && group.stored.has(stage.out) });
    return { stage: { ...stage, index, value: cast }, pass };
  });
}

/** As {@linkcode placeStages} for stages without reductions: everything is forwarded. */
export function forwardStages(stages: readonly PointwiseStage[]): PointwiseStage[] {
  const written = new Map<BufferRef, Map<Expr, Value>>();
  const load = (buffer: BufferRef, index: Expr): Value | null => written.get(buffer)?.get(index) ?? null;
  return stages.map((stage) => {
    const value = ops.cast(rewriteValues([stage.value], { load })[0] as Value, stage.out.dtype);
    let byIndex = written.get(stage.out);
    if (byIndex === undefined) written.set(stage.out, byIndex = new Map());
    byIndex.set(stage.index, value);
    return { ...stage, value };
  });
}

function linearPosition(vars: readonly LoopVar[]): Expr {
  let position: Expr = constant(0);
  for (const v of vars) position = add(mul(position, extent(v)), symbol(v));
  return position;
}

/** Forwards stages and merges neighbouring axes. */
function mergeSpace(group: LoopGroup): LoopSpace {
  const placed = placeStages(group);
  const stages = placed.map((p) => p.stage);
  const passes = placed.map((p) => p.pass);
  const position = linearPosition(group.reduceAxes);
  const { exprs } = exprsOf(stages.map((s) => s.value));
  for (const stage of stages) for (const e of exprsOf([ops.index(stage.index)]).exprs) exprs.add(e);
  exprs.add(position);
  const { lists, symbols } = mergeAxes([group.axes, group.reduceAxes], exprs);
  const [axes = [], reduceAxes = []] = lists;
  const space = { axes, reduceAxes, passes, stored: group.stored };
  if (symbols.size === 0) return { ...space, stages, position };
  const values = rewriteValues(stages.map((s) => s.value), { symbols });
  return {
    ...space,
    stages: stages.map((s, i) => ({ ...s, value: values[i] ?? s.value, index: rewriteIndex(s.index, symbols) })),
    position: rewriteIndex(position, symbols),
  };
}

/** How much work one element is, in additions. */
export function workOf(values: readonly Value[]): number {
  let work = 0;
  foldValue(values, () => {
    work++;
    return null;
  });
  return work;
}
