/**
 * Fusions that are legal and save memory traffic, and that a GPU should not make.
 *
 * A kernel that reduces and then uses the result over the same elements has several passes, and the blocks that hold a row (or a slab of columns) must do all of
 * them. Where there are fewer of these than multiprocessors, most of the device waits: batch norm of 64 channels would run on two blocks. Apart, the reductions are shared by as
 * many blocks as there are, and what follows is pointwise. Mirrors the split of outer reductions in TorchInductor, which also ends fusion there.
 */
import { coefficient, constantValue } from "../symbolic/mod.ts";
import { accessesOf } from "./dependencies.ts";
import type { Group, LoopGroup } from "./groups.ts";
import { costOf } from "./lowered.ts";
import { spaceNumel } from "./loop_maps.ts";
import type { Hint } from "./loop_space.ts";
import { isInner, stageRanks } from "./stage_order.ts";

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

/** Why a group should not be one kernel on CUDA; null if it may. */
export function cudaVeto(group: Group, hint: Hint): string | null {
  if (group.kind === "contraction") {
    const work = group.epilogue.reduce((sum, stage) => sum + costOf(stage.value).weight, 0);
    return work > HEAVY ? `its tensor cores would wait for work worth ${work} additions an element` : null;
  }
  if (group.kind !== "loops" || group.reduceAxes.length === 0) return null;
  const rows = hint(spaceNumel(group.axes));
  const length = hint(spaceNumel(group.reduceAxes));
  if (rows * length < SMALL) return null;
  const blocks = alongRows(group) ? rows : Math.ceil(rows / COLUMNS);
  if (blocks >= MULTIPROCESSORS || passesOf(group) < 2) return null;
  return `${blocks} blocks would each walk ${length} elements several times`;
}
