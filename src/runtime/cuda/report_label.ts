/**
 * What begins the message of a wrong index that kernels found: the operators and the line of the program, where these are known.
 *
 * Kernels write numbers alone, and the host reads them when the call has long returned; so a plan's words are labelled by those of its kernels that can report.
 */
import type { CudaPlan } from "./plan.ts";

/** Places named at most; of more, what is left is counted. */
const NAMED = 3;

/** The label of a plan's words on the error board; null if none of its kernels reports. */
export function reportLabel(plan: CudaPlan): string | null {
  const origins = new Set<string>();
  let reports = false;
  for (const step of plan.steps) {
    if (step.kind !== "launches") continue;
    for (const { fn, args } of step.launches) {
      if (!args.some((a) => a.kind === "error")) continue;
      reports = true;
      if (fn.origin !== "") origins.add(fn.origin);
    }
  }
  if (!reports) return null;
  const all = [...origins];
  if (all.length === 0) return plan.name;
  const rest = all.length - NAMED;
  return `${all.slice(0, NAMED).join(", or ")}${rest > 0 ? `, or ${rest} other kernels` : ""}`;
}
