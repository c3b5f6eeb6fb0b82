/**
 * What lowering leaves: groups of one stage each in execution order, the buffers of inputs, attributes and results, and what was decided on the way.
 */
import type { BufferRef } from "../loops/mod.ts";
import { isSymInt } from "../symbolic/mod.ts";
import type { Group } from "./groups.ts";
import type { PlanResult } from "./host_plan.ts";
import type { Hint } from "./loop_space.ts";
import type { InMemory } from "./lowered.ts";

/** A result that is no tensor; null where it is something else. */
export function plainResult(value: unknown): PlanResult | null {
  if (isSymInt(value)) return { kind: "size", expr: value.expr };
  return typeof value === "number" || typeof value === "boolean" || typeof value === "string" || value === null
    ? { kind: "constant", value }
    : null;
}

/** A lowered graph. */
export interface Lowering {
  /** One stage each, in execution order. */
  readonly groups: readonly Group[];
  /** One for each placeholder; null where it is a number. */
  readonly inputs: readonly (BufferRef | null)[];
  readonly attributes: readonly { readonly path: string; readonly buffer: BufferRef }[];
  /** Where inputs and attributes lie in their buffers, in the same order. */
  readonly inputLayouts: readonly (InMemory | null)[];
  readonly attributeLayouts: readonly InMemory[];
  readonly results: readonly PlanResult[];
  readonly hint: Hint;
  /** Why buffers exist: sentences for `explain`. */
  readonly realized: ReadonlyMap<BufferRef, string>;
  /** Kernels that running each operator by itself would take. */
  readonly operators: number;
}
