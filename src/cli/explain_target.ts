/**
 * The text of `tessera explain`: what capture saw, and the kernels that it becomes.
 *
 * Loaded only when needed, so that `doctor` and `cache` start fast and work even where the compiler does not.
 */
import { explain } from "../capture/mod.ts";
import { CompiledGraph, onCompile } from "../inductor/mod.ts";
import { groupToText } from "../inductor/print.ts";
import { formatBytes } from "../runtime/mod.ts";
import type { Target } from "./explain.ts";

/** Explains a function at its inputs. Nothing is run but the capture, and no C++ is compiled. */
export function explainTarget(target: Target): string {
  const graphs: [string, CompiledGraph][] = [];
  using _ = onCompile(({ kind, graph }) => {
    graphs.push([kind, graph]);
  });
  const fn = target.fn as (...args: unknown[]) => unknown;
  const explanation = explain(fn, { backend: "inductor", options: { tier: "js" } })(...target.inputs);
  const parts = [`graph of ${target.name}`, String(explanation)];
  for (const [kind, graph] of graphs) {
    const { counters, groups } = graph.compiled;
    parts.push(
      "",
      `compiled (${kind})`,
      `kernels    ${counters.kernels} (${counters.kernelsUnfused} unfused)`,
      `reads      ${formatBytes(counters.bytesRead)}`,
      `writes     ${formatBytes(counters.bytesWritten)}`,
      `peak       ${formatBytes(counters.peakBytes)}`,
      ...groups.map((group) =>
        [`\n${groupToText(group)}`, ...group.reasons.map((reason) => `  because ${reason}`)].join("\n")
      ),
    );
  }
  return parts.join("\n");
}
