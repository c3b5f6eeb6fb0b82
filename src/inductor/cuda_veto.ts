/**
 * Fusions that are legal and save memory traffic, and that a GPU should not make.
 *
 * A kernel that reduces and then uses the result over the same elements has several passes, and the blocks that hold a row (or a slab of columns) must do all of
 * them. Where there are fewer of these than multiprocessors, most of the device waits: batch norm of 64 channels would run on two blocks. Apart, the reductions are shared by as
 * many blocks as there are, and what follows is pointwise. Mirrors the split of outer reductions in TorchInductor, which also ends fusion there.
 */
import { computeType } from "../core/mod.ts";
import type { LoopVar } from "../loops/mod.ts";
import { coefficient, constantValue, dependsOn, type Expr } from "../symbolic/mod.ts";
import { crossShape } from "./codegen/cuda/emit_cross.ts";
import { shortPiece } from "./codegen/cuda/emit_groups.ts";
import { CUDA_TARGET } from "./codegen/cuda/emit_tile.ts";
import { joinMoments } from "./codegen/cuda/moments.ts";
import { partsOf } from "./codegen/cuda/nests.ts";
import { hasCross, indexAxes } from "./cross.ts";
import { accessesOf } from "./dependencies.ts";
import type { Group, LoopGroup } from "./groups.ts";
import { costOf } from "./lowered.ts";
import { spaceNumel } from "./loop_maps.ts";
import type { Hint } from "./loop_space.ts";
import { isFinal, isInner, settleGroup, stageRanks } from "./stage_order.ts";
import { extent } from "./tile/axes.ts";
import { lowerGroup } from "./tile/lower_group.ts";

/** Multiprocessors of the devices that matter, roughly. */
const MULTIPROCESSORS = 128;
/** Columns that a block walks side by side. */
const COLUMNS = 32;
/** Elements below which a launch costs more than idle multiprocessors. */
const SMALL = 1 << 16;

/** Additions' worth of work an element from which on an epilogue takes longer than writing the product and reading it again: the tensor cores wait meanwhile. */
const HEAVY = 32;

/** Whether most reads run along a reduced axis, so that a block has a row. */
function alongRows(group: LoopGroup): boolean {
  let along = 0;
  let across = 0;
  for (const { index } of accessesOf(group).reads) {
    if (index === null) continue;
    const isOne = (v: LoopGroup["axes"][number]): boolean => {
      const stride = coefficient(index, v);
      return stride !== null && constantValue(stride) === 1;
    };
    if (group.reduceAxes.some(isOne)) along++;
    else if (group.axes.some(isOne) && group.reduceAxes.some((v) => coefficient(index, v) !== null)) across++;
  }
  return along >= across;
}

/** How often a group walks its elements. */
function passesOf(group: LoopGroup): number {
  const ranks = stageRanks(group.stages);
  return new Set(ranks.filter((_, i) => {
    const stage = group.stages[i];
    return stage !== undefined && isInner(stage);
  })).size;
}

/** Bytes of the pieces in which rows lie, where the next one is the next row's; null where they do not. */
function pieceBytes(group: LoopGroup): number | null {
  const axesOf = (list: LoopGroup["axes"]): { symbol: LoopVar; extent: Expr }[] =>
    list.map((v) => ({ symbol: v, extent: extent(v) }));
  const reads = accessesOf(group).reads.flatMap(({ index, buffer }) =>
    index === null ? [] : [{ index, bytes: buffer.dtype.bytes }]
  );
  const found = shortPiece(reads, axesOf(group.axes), axesOf(group.reduceAxes));
  const piece = found === null ? undefined : group.reduceAxes[found.piece];
  const length = piece === undefined ? null : constantValue(extent(piece));
  return length === null ? null : length * Math.max(...reads.map(({ bytes }) => bytes));
}

/** Whether all that a group reduces is a sum and the squares around its mean: the emitter reads elements once for both, and blocks share that. */
function isOneReading(group: LoopGroup): boolean {
  if (constantValue(spaceNumel([...group.axes, ...group.reduceAxes])) === null) return false;
  const reductions = group.stages.filter((s) => s.kind === "reduction");
  if (reductions.length !== 2 || reductions.some((s) => s.op !== "sum")) return false;
  if (
    group.stages.some((s) => s.kind === "scatter" || (s.kind === "pointwise" && group.stored.has(s.out) && isInner(s)))
  ) {
    return false;
  }
  const settled = settleGroup(group, group.stored);
  const [kernel] = lowerGroup(settled, CUDA_TARGET);
  const parts = kernel?.kind === "tile" ? partsOf(kernel.body) : null;
  return parts !== null && joinMoments(parts).filter(({ kind }) => kind === "pass").length === 1;
}

/** Rows from which on there are enough for every multiprocessor to have several, whose sums it keeps. */
const CROSS_ROWS = 1024;

/** Elements of a row from which on it is not held in registers only to save that launch. */
const LONG_ROW = 4096;

/** Why a group should not carry sums over its rows; null if `emit_cross.ts` can. */
function crossVeto(group: LoopGroup): string | null {
  const rows = constantValue(spaceNumel(group.axes));
  const length = constantValue(spaceNumel(group.reduceAxes));
  if (rows === null || length === null) return "sizes of sums over rows are not known";
  if (rows < CROSS_ROWS) return `${rows} rows are too few to share`;
  const inner = new Set(group.reduceAxes);
  const ofColumns = (axes: ReadonlySet<LoopGroup["axes"][number]>): boolean =>
    axes.size === inner.size && [...axes].every((v) => inner.has(v));
  let held = 0;
  let hasArray = false;
  for (const stage of group.stages) {
    if (stage.kind !== "cross" && stage.kind !== "reduction" && stage.kind !== "pointwise") {
      return `a ${stage.kind} stands beside sums over rows`;
    }
    if (stage.kind !== "cross" && !isFinal(stage)) continue;
    const kept = indexAxes(stage.index);
    if (kept.size === 0) continue;
    if (!ofColumns(kept) || constantValue(stage.out.numel) !== length) {
      return `${stage.out.label} keeps other axes than rows have`;
    }
    if (stage.kind !== "cross") continue;
    hasArray = true;
    held += Math.max(1, computeType(stage.value.dtype).bytes / 4);
  }
  if (!hasArray && !group.stages.some((s) => s.kind === "reduction")) return "nothing is reduced along rows";
  if (!hasArray && length >= LONG_ROW) {
    return `sums of what rows of ${length} elements give are a small launch of their own`;
  }
  const loads = new Map<string, number>();
  for (const { buffer, index } of accessesOf(group).reads) {
    const variesOver = (axes: readonly LoopGroup["axes"][number][]): boolean =>
      index !== null && axes.some((v) => dependsOn(index, v));
    if (index === null || !variesOver(group.reduceAxes) || !variesOver(group.axes)) continue;
    loads.set(`${buffer.id}/${index.id}`, buffer.dtype.bytes / 4);
  }
  for (const registers of loads.values()) held += registers;
  return crossShape(rows, length, held, MULTIPROCESSORS) === null
    ? `a row of ${length} elements and its sums do not fit registers`
    : null;
}

/** Why a group should not be one kernel on CUDA; null if it may. */
export function cudaVeto(group: Group, hint: Hint): string | null {
  if (group.kind === "contraction") {
    const work = group.epilogue.reduce((sum, stage) => sum + costOf(stage.value).weight, 0);
    return work > HEAVY ? `its tensor cores would wait for work worth ${work} additions an element` : null;
  }
  if (group.kind !== "loops" || group.reduceAxes.length === 0) return null;
  if (hasCross(group)) return crossVeto(group);
  const rows = hint(spaceNumel(group.axes));
  const length = hint(spaceNumel(group.reduceAxes));
  if (rows * length < SMALL) return null;
  const piece = passesOf(group) < 2 ? null : pieceBytes(group);
  if (piece !== null) return isOneReading(group) ? null : `rows lie in pieces of ${piece} bytes beside each other`;
  const blocks = alongRows(group) ? rows : Math.ceil(rows / COLUMNS);
  if (blocks >= MULTIPROCESSORS || passesOf(group) < 2 || isOneReading(group)) return null;
  return `${blocks} blocks would each walk ${length} elements several times`;
}
