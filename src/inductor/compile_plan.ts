/**
 * From a functional graph to a host plan: lower, drop what nobody needs, fuse, plan memory, count.
 *
 * The passes of the front half of the compiler, in a straight list. What leaves is everything that code generators need; with verification on, every
 * group and the plan are checked. Mirrors `compile_fx_inner` up to code generation.
 */
import { config, isStageEnabled } from "../core/mod.ts";
import type { Graph } from "../graph/mod.ts";
import type { Donations } from "./donations.ts";
import { graphDevice } from "./graph_device.ts";
import type { Group } from "./groups.ts";
import type { HostPlan } from "./host_plan.ts";
import { lowerGraph } from "./lower.ts";
import { type PlanCounters, totalTraffic } from "./metrics.ts";
import { planHost } from "./plan_host.ts";
import { scheduleGroups, type SchedulerOptions } from "./scheduler.ts";
import { pairComplex } from "./passes/complex_pairs.ts";
import { rewriteConvolutions } from "./passes/convolution_products.ts";
import { verifyPlan } from "./verify.ts";

/** Options of {@linkcode compileGraphToPlan}. */
export interface PlanOptions extends SchedulerOptions {
  /** Results that may overwrite an input or attribute, because the caller would copy them there. */
  readonly donate?: Donations;
}

/** The front half's result. */
export interface CompiledPlan {
  readonly plan: HostPlan;
  readonly groups: readonly Group[];
  readonly counters: PlanCounters;
}

/**
 * Compiles a functional graph down to groups and a host plan.
 *
 * @throws {CompileError} naming an operator that cannot be lowered.
 */
export function compileGraphToPlan(graph: Graph, options: PlanOptions = {}): CompiledPlan {
  if (graphDevice(graph).type === "cuda" && isStageEnabled("layouts")) rewriteConvolutions(graph);
  pairComplex(graph);
  const lowering = lowerGraph(graph, options.donate?.keys());
  const scheduled = scheduleGroups(lowering, options);
  const checksFirst = graphDevice(graph).type === "cpu";
  const plan = planHost(
    scheduled,
    lowering,
    options.donate === undefined ? {} : { donate: options.donate, checksFirst },
  );
  const groups = plan.steps.map((step) => step.group);
  if (config().verify) verifyPlan(plan);
  const traffic = totalTraffic(groups, lowering.hint);
  let peakBytes = lowering.hint(plan.arenaBytes);
  for (const slot of plan.slots) if (slot.kind === "output") peakBytes += lowering.hint(slot.bytes);
  return {
    plan,
    groups,
    counters: {
      kernels: groups.length,
      kernelsUnfused: lowering.operators,
      bytesRead: traffic.bytesRead,
      bytesWritten: traffic.bytesWritten,
      elementsMoved: traffic.elementsRead + traffic.elementsWritten,
      peakBytes,
    },
  };
}
