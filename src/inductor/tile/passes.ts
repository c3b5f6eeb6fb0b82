/**
 * The passes of a loop group as statements: what each walk over the reduced axes computes, accumulates and stores.
 *
 * A pass opens the loops over the reduced axes once. A reduction has its accumulator before the loops; a cross reduction has one that the whole kernel
 * carries, or, where it keeps axes, an array of them: an element is combined there as far inside as the axes that it keeps go, so what is
 * summed further inside goes through an accumulator of its own first. Values are computed before stores: no store comes before a load of the
 * same iteration.
 */
import { computeType } from "../../core/mod.ts";
import { type LoopVar, ops } from "../../loops/mod.ts";
import { freeSymbols } from "../../symbolic/mod.ts";
import type { CrossStage, ReductionStage, Stage } from "../groups.ts";
import { isInner } from "../stage_order.ts";
import { exprsOf } from "./axes.ts";
import type { Builder } from "./builder.ts";
import type { LoopSpace } from "./lower_loops.ts";
import type { Axis, TileReduceOp, TileValue } from "./tile_ir.ts";

/** The loops of a kernel, for its passes. */
export interface PassLoops {
  /** All axes in the kernel's order. */
  readonly all: readonly Axis[];
  /** Over the reduced axes, outermost first. */
  readonly loops: readonly Axis[];
  /** Workers share the outermost of them. */
  readonly split: boolean;
}

/** What a kernel carries for a cross reduction. */
export interface Carried {
  readonly accumulator: TileValue;
  /** The axes that the result keeps; none: `accumulator` is one, else an array. */
  readonly kept: ReadonlySet<LoopVar>;
}

/** Accumulators of cross reductions. */
export type CarriedMap = ReadonlyMap<Stage, Carried>;

/** Emits all but what runs after all iterations. */
export function emitPasses(builder: Builder, space: LoopSpace, at: PassLoops, carried: CarriedMap): void {
  const placed = space.stages.map((stage, i) => ({ stage, pass: space.passes[i] ?? 0 }));
  const inner = placed.filter(({ stage }) => isInner(stage));
  const last = inner.reduce((most, { pass }) => Math.max(most, pass), -1);
  for (let pass = 0; pass <= last; pass++) {
    new Pass(builder, space, at, carried).emit(inner.filter((p) => p.pass === pass).map((p) => p.stage));
  }
  const outer = space.stages.filter((s) => s.kind !== "reduction" && s.space === "outer");
  const values = outer.map((s) => builder.value(s.value));
  outer.forEach((stage, i) => {
    const value = values[i] as TileValue;
    const own = carried.get(stage);
    if (stage.kind === "cross" && own !== undefined) carry(builder, stage, own, value);
    else emitStore(builder, space, stage, value);
  });
}

/** Emits a stage's effect on memory. */
export function emitStore(builder: Builder, space: LoopSpace, stage: Stage, value: TileValue): void {
  if (stage.kind === "scatter") builder.combine(stage.op, stage.out, stage.index, value);
  else if (space.stored.has(stage.out)) builder.store(stage.out, stage.index, value);
}

function carry(builder: Builder, stage: CrossStage, { accumulator, kept }: Carried, value: TileValue): void {
  if (kept.size === 0) builder.accumulate(accumulator, stage.op, value, null);
  else builder.accumulateAt(accumulator, stage.op, stage.index, value);
}

/** A reduction, or a cross reduction part of which is inside of the axes that it keeps: an accumulator of some of the loops. */
interface Local {
  readonly stage: ReductionStage | CrossStage;
  readonly accumulator: TileValue;
}

class Pass {
  readonly #builder: Builder;
  readonly #space: LoopSpace;
  readonly #at: PassLoops;
  readonly #carried: CarriedMap;

  constructor(builder: Builder, space: LoopSpace, at: PassLoops, carried: CarriedMap) {
    this.#builder = builder;
    this.#space = space;
    this.#at = at;
    this.#carried = carried;
  }

  emit(stages: readonly Stage[]): void {
    this.#level(0, stages, new Map());
  }

  /** How many loops are open where a stage's result is combined into what lies around: none for reductions, all for what needs no accumulator. */
  #levelOf(stage: Stage): number {
    const { loops } = this.#at;
    if (stage.kind === "reduction") return 0;
    const kept = this.#carried.get(stage)?.kept;
    if (stage.kind !== "cross" || kept === undefined || kept.size === 0) return loops.length;
    return loops.findLastIndex((axis) => kept.has(axis.symbol as LoopVar)) + 1;
  }

  #level(level: number, stages: readonly Stage[], locals: ReadonlyMap<Stage, Local>): void {
    const { loops, split } = this.#at;
    const axis = loops[level];
    if (axis === undefined) {
      this.#innermost(stages, locals);
      return;
    }
    const own: Local[] = [];
    for (const stage of stages) {
      if ((stage.kind !== "reduction" && stage.kind !== "cross") || this.#levelOf(stage) !== level) continue;
      own.push({ stage, accumulator: this.#accumulator(stage, stage.op, level) });
    }
    const isShared = split && level === 0 && stages.every((s) => s.kind !== "scatter");
    this.#builder.open(axis, isShared);
    this.#level(
      level + 1,
      stages,
      own.length === 0 ? locals : new Map([...locals, ...own.map((l) => [l.stage, l] as const)]),
    );
    this.#builder.close();
    for (const { stage, accumulator } of own) this.#finish(stage, accumulator);
  }

  #accumulator(stage: ReductionStage | CrossStage, op: TileReduceOp, level: number): TileValue {
    const axes = new Set<Axis>(this.#builder.axesOf([...exprsOf([stage.value]).exprs]));
    for (const axis of this.#at.loops.slice(level)) if (axis.block > 1) axes.add(axis);
    const dtype = op === "any" ? stage.value.dtype : computeType(stage.value.dtype);
    return this.#builder.accumulator(op, dtype, this.#at.all.filter((axis) => axes.has(axis)));
  }

  #finish(stage: ReductionStage | CrossStage, accumulator: TileValue): void {
    const builder = this.#builder;
    const value = builder.read(accumulator, stage.op, stage.out.dtype);
    const carried = this.#carried.get(stage);
    if (stage.kind === "cross" && carried !== undefined) {
      carry(builder, stage, carried, value);
      return;
    }
    const result = builder.cast(value, stage.out.dtype);
    builder.forward(stage.out, stage.index, result);
    if (this.#space.stored.has(stage.out)) builder.store(stage.out, stage.index, result);
  }

  #innermost(stages: readonly Stage[], locals: ReadonlyMap<Stage, Local>): void {
    const builder = this.#builder;
    const values = stages.map((s) => builder.value(s.value));
    // What is combined comes first: a store may overwrite what was loaded.
    stages.forEach((stage, i) => {
      const value = values[i] as TileValue;
      const local = locals.get(stage);
      const carried = this.#carried.get(stage);
      if (local !== undefined) {
        const isPosition = stage.kind === "reduction" && (stage.op === "argmax" || stage.op === "argmin");
        builder.accumulate(local.accumulator, local.stage.op, value, isPosition ? this.#space.position : null);
      } else if (stage.kind === "cross" && carried !== undefined) carry(builder, stage, carried, value);
      else emitStore(builder, this.#space, stage, value);
    });
  }
}

/** The loop symbols that a stage's index varies over, as a set. */
export function keptAxes(stage: Stage): Set<LoopVar> {
  const out = new Set<LoopVar>();
  for (const e of exprsOf([ops.index(stage.index)]).exprs) {
    for (const sym of freeSymbols(e)) if (sym.kind === "index") out.add(sym);
  }
  return out;
}
