/**
 * The slots of a host plan as the runtime sees them.
 */
import { InternalError } from "../../core/mod.ts";
import type { BufferRef } from "../../loops/mod.ts";
import { constantValue, evaluate, type Expr } from "../../symbolic/mod.ts";
import type { HostPlan } from "../host_plan.ts";

/** The slot of each buffer. */
export function slotNumbers(plan: HostPlan): Map<BufferRef, number> {
  return new Map(plan.slots.map((slot, i) => [slot.buffer, i]));
}

/** A size expression as a function of the plan's sizes. */
export function sizeFunction(plan: HostPlan, e: Expr): (sizes: readonly number[]) => number {
  const known = constantValue(e);
  if (known !== null) return () => known;
  const position = new Map(plan.sizes.map((sym, i) => [sym, i]));
  return (sizes) =>
    evaluate(e, (sym) => {
      const value = sizes[position.get(sym) ?? -1];
      if (value === undefined) throw new InternalError(`the plan does not pass ${sym.name}`);
      return value;
    });
}
