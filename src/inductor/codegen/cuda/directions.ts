/**
 * Which steps of a plan take their elements from the end on.
 *
 * A step that reads what the step before it has read or written, from one end of memory to the other, finds the beginning gone from the second cache where
 * the buffer does not fit there, and by reading on drives out the rest just before it comes to it. From the end on it finds what was touched last. Enters: a plan; leaves: a direction
 * a step. Only steps without reductions turn: whatever else they do is the same in any order.
 */
import { constantValue } from "../../../symbolic/mod.ts";
import type { HostPlan } from "../../host_plan.ts";

/** Bytes from which on a buffer does not stay in the second cache beside what is written meanwhile. */
const LARGE = 16 << 20;

/** Whether each step goes backwards. */
export function backwardSteps({ steps }: HostPlan): readonly boolean[] {
  const directions: boolean[] = [];
  steps.forEach((step, i) => {
    const before = steps[i - 1];
    const { group } = step;
    const turns = group.kind === "loops" && group.reduceAxes.length === 0 &&
      group.stages.every((stage) => stage.kind === "pointwise");
    const touched = new Set(before === undefined ? [] : [...before.reads, ...before.writes]);
    const meets = step.reads.some((b) => touched.has(b) && (constantValue(b.numel) ?? 0) * b.dtype.bytes >= LARGE);
    directions.push(turns && meets && directions[i - 1] !== true);
  });
  return directions;
}
