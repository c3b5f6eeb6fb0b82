/**
 * The text of `tessera explain`: what capture saw, and the kernels that it becomes.
 *
 * Loaded only when needed, so that `doctor` and `cache` start fast and work even where the compiler does not.
 */
import { compile, type CompileMode, explain } from "../capture/mod.ts";
import { noteLoadedFile } from "../capture/program_text.ts";
import { cpu, type Device, withConfig } from "../core/mod.ts";
import { type CompiledGraph, onCompile, profileToText, traceToJson } from "../inductor/mod.ts";
import { tunedToText } from "../inductor/autotune/tuner.ts";
import { groupToText } from "../inductor/print.ts";
import { cudaContext, peaksOf } from "../runtime/cuda/mod.ts";
import { formatBytes } from "../runtime/mod.ts";
import { isTensor } from "../tensor/mod.ts";
import type { Target } from "./explain.ts";
import { writeTrace } from "./output.ts";

/** Calls that are timed, after two that are not. */
const TIMED_CALLS = 5;

/** The inputs with their tensors on a device. */
function onDevice(value: unknown, device: Device): unknown {
  if (isTensor(value)) {
    const moved = value.detach().to(device);
    if (value.requiresGrad) moved.requiresGrad = true;
    return moved;
  }
  return Array.isArray(value) ? value.map((item) => onDevice(item, device)) : value;
}

/**
 * Times a compiled function and tells what each launch takes. `make` compiles it with clocks; what it makes is called on the inputs.
 */
export function measuredToText(
  make: () => () => unknown,
  device: Device,
  traceFile: string | null,
): string {
  using _ = withConfig({ profile: true });
  const graphs: CompiledGraph[] = [];
  using _graphs = onCompile(({ graph }) => void graphs.push(graph));
  const call = make();
  for (let n = 0; n < 2; n++) call();
  for (const graph of graphs) graph.readProfile();
  for (let n = 0; n < TIMED_CALLS; n++) call();
  // A backward that nobody asked for has not run.
  const traced = graphs.map((graph) => ({
    name: graph.name,
    rows: graph.readProfile() ?? [],
    calls: TIMED_CALLS,
  })).filter(({ rows }) => rows.some((r) => r.wallMs > 0));
  if (traceFile !== null) writeTrace(traceFile, traceToJson(traced, String(device)));
  const peaks = device.type === "cuda" ? peaksOf(cudaContext(device.index).info) : null;
  const tuned = graphs.flatMap(({ cuda }) => cuda?.tuned ?? []).map(tunedToText);
  return [
    ...traced.map(({ name, rows }) => `\nmeasured (${name})\n${profileToText(rows, TIMED_CALLS, peaks)}`),
    ...(tuned.length === 0 ? [] : ["\nchosen by measurement", ...tuned.map((line) => `  ${line}`)]),
  ].join("\n");
}

/** The kernels that a graph became, and why each group is one. */
export function compiledToText(kind: string, graph: CompiledGraph): string {
  const { counters, groups } = graph.compiled;
  return [
    "",
    `compiled (${kind})`,
    `kernels    ${counters.kernels} (${counters.kernelsUnfused} unfused)`,
    `reads      ${formatBytes(counters.bytesRead)}`,
    `writes     ${formatBytes(counters.bytesWritten)}`,
    `peak       ${formatBytes(counters.peakBytes)}`,
    ...groups.map((group) =>
      [`\n${groupToText(group)}`, ...group.reasons.map((reason) => `  because ${reason}`)].join("\n")
    ),
  ].join("\n");
}

/**
 * Explains a function at its inputs. On the CPU nothing is run but the capture, and no C++ is compiled; on a device the kernels are compiled, run and
 * timed as well. With `traceFile` they are on the CPU too, and a Chrome trace of them is written there. In the mode "max-autotune" the text says what was measured of each contraction.
 */
export function explainTarget(
  target: Target,
  device: Device = cpu,
  traceFile: string | null = null,
  mode: CompileMode = "default",
): string {
  noteLoadedFile(target.url);
  const inputs = device === cpu ? target.inputs : target.inputs.map((value) => onDevice(value, device));
  const graphs: [string, CompiledGraph][] = [];
  using _ = onCompile(({ kind, graph }) => {
    graphs.push([kind, graph]);
  });
  const fn = target.fn as (...args: unknown[]) => unknown;
  const explanation = explain(fn, { backend: "inductor", options: { tier: "js" } })(...inputs);
  const parts = [`graph of ${target.name}`, String(explanation)];
  for (const [kind, graph] of graphs) parts.push(compiledToText(kind, graph));
  if (device !== cpu || traceFile !== null) {
    // Only C++ kernels have clocks on the CPU.
    const options = { mode: device === cpu ? "aot" : mode } as const;
    parts.push(measuredToText(
      () => {
        const run = compile(fn, options);
        return () => run(...inputs);
      },
      device,
      traceFile,
    ));
  }
  return parts.join("\n");
}
