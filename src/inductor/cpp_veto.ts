/**
 * Fusions that are legal and save memory traffic, and that a processor should not make.
 *
 * A sum over the results of a window that slides (the mean over an image behind a depthwise convolution, in blocks that squeeze and excite) would stand in the window's loops, whose order is then
 * that of the sum. Apart, the window has a template that shares what it reads among its results (`templates/cpp_slide.ts`), and the sum reads once more what the caches still have.
 */
import type { LoopVar } from "../loops/mod.ts";
import { coefficient, constant, constantValue } from "../symbolic/mod.ts";
import { hasCross } from "./cross.ts";
import { accessesOf } from "./dependencies.ts";
import type { Group, LoopGroup } from "./groups.ts";
import { spaceNumel } from "./loop_maps.ts";

/** Places of a window at most. */
const MOST_PLACES = 128;

/** Whether something is read where the sum of an axis, once or twice, and one of a window says, along two axes. */
function slides(group: LoopGroup): boolean {
  const places = constantValue(spaceNumel(group.reduceAxes));
  if (places === null || places > MOST_PLACES) return false;
  return accessesOf(group).reads.some(({ index }) => {
    if (index === null) return false;
    const step = (v: LoopVar): number => constantValue(coefficient(index, v) ?? constant(0)) ?? 0;
    const inside = group.reduceAxes.map(step);
    return inside.every((own) => own !== 0 && group.axes.some((v) => step(v) === own || step(v) === 2 * own)) &&
      inside.length >= 2;
  });
}

/** Why a group should not be one kernel of C++; null if it may. */
export function cppVeto(group: Group): string | null {
  if (group.kind !== "loops" || !hasCross(group) || !slides(group)) return null;
  return "its window shares what it reads among results only where nothing else is summed";
}
