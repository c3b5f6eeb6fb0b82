/**
 * The JavaScript tier of a compiled graph: turns emitted text into something that runs.
 */
import type { BufferRef } from "../loops/mod.ts";
import { type HostStep, type JsEntry, JsExecutable } from "../runtime/js/executable.ts";
import { JS_HELPERS } from "./codegen/js/helpers.ts";
import type { JsModule } from "./codegen/js/emit_module.ts";
import { slotNumbers } from "./codegen/slots.ts";
import type { BlocksGroup, HostGroup } from "./groups.ts";
import type { HostPlan } from "./host_plan.ts";
import { layoutOf, sourcesOf } from "./plan_layout.ts";

/** Makes the step that runs a group without kernels. */
export type HostRunner = (group: HostGroup | BlocksGroup, slotOf: (buffer: BufferRef) => number) => HostStep;

/** Refuses host steps: for plans that have none. */
const noHost: HostRunner = (group) => {
  throw new TypeError(`the plan runs ${group.node.name} on the host, but nobody said how`);
};

/** The steps of host groups, in order. */
export function hostSteps(
  plan: HostPlan,
  groups: readonly (HostGroup | BlocksGroup)[],
  runHost: HostRunner,
): HostStep[] {
  const numbers = slotNumbers(plan);
  return groups.map((group) => runHost(group, (buffer) => numbers.get(buffer) ?? -1));
}

/** Compiles a module's text. The text holds counters and numbers only; no name of a graph is in it. */
export function instantiateJs(module: JsModule, plan: HostPlan, runHost: HostRunner = noHost): JsExecutable {
  const make = new Function("h", module.source) as (h: typeof JS_HELPERS) => JsEntry;
  const layout = layoutOf(plan, NO_COUNTERS);
  return new JsExecutable(
    make(JS_HELPERS),
    sourcesOf(layout),
    layout.arenaBytes,
    hostSteps(plan, module.hostGroups, runHost),
  );
}

const NO_COUNTERS = { kernels: 0, kernelsUnfused: 0, bytesRead: 0, bytesWritten: 0, elementsMoved: 0, peakBytes: 0 };
