/**
 * What `tessera run` tells, and how it takes times. Nothing here needs the compiler.
 */
import type { LaunchTime } from "../inductor/mod.ts";
import type { DevicePeaks } from "../runtime/cuda/mod.ts";
import { marker, type ReportValue } from "../runtime/cpu/plan_job.ts";
import { UsageError } from "./output.ts";

/** What a run tells. Times in milliseconds, sizes in bytes; null where nothing was timed. */
export interface RunReport {
  readonly handedOver?: false;
  readonly model: string;
  readonly device: string;
  readonly backend: string;
  readonly mode: string;
  /** The dtype that was asked for; null for as exported. */
  readonly dtype: string | null;
  readonly kind: "compiled" | "interpreted";
  readonly reason: string | null;
  /** Reading the file and its weights. */
  readonly load_ms: number;
  /** From the loaded file to a function with all kernels built. */
  readonly compile_ms: number;
  readonly first_call_ms: number;
  readonly median_ms: number | null;
  readonly p10_ms: number | null;
  readonly p90_ms: number | null;
  readonly iterations: number;
  readonly kernels: number;
  readonly graph_breaks: number;
  /** Weights, inputs, and what the plan holds at once. */
  readonly peak_bytes: number;
  /** The most memory that the process held; null where the system does not tell. */
  readonly peak_rss_bytes: number | null;
  /** The most memory that the process held which compiled for this one; null if this process compiled, or nothing was to be compiled. */
  readonly compiler_peak_rss_bytes: number | null;
  /** With `--profile`: the launches of the timed calls. */
  readonly profile?: readonly LaunchTime[];
  /** What the device can do at most, where its driver says so. */
  readonly peaks?: DevicePeaks;
}

/** Calls before the timed ones, unless they take longer than this. */
export const WARM_UP = { calls: 3, ms: 2000 } as const;

/** The number of timed calls. @throws {UsageError} if the text is none */
export function countOf(text: string | undefined): number {
  if (text === undefined) return 0;
  if (!/^\d{1,7}$/.test(text)) throw new UsageError(`run: --bench ${text}: give a number of calls, such as 20`);
  return Number(text);
}

function quantile(sorted: readonly number[], q: number): number | null {
  if (sorted.length === 0) return null;
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? null;
}

const rounded = (ms: number | null): number | null => ms === null ? null : Math.round(ms * 1e4) / 1e4;

/** The most memory that this process held; null where the system does not tell. */
export function peakRss(): number | null {
  try {
    const line = /^VmHWM:\s*(\d+) kB/m.exec(Deno.readTextFileSync("/proc/self/status"));
    return line === null ? null : Number(line[1]) * 1024;
  } catch {
    return null;
  }
}

/** What a report is made of. */
export interface RunFacts {
  readonly name: string;
  readonly path: string;
  readonly device: string;
  readonly backend: string;
  readonly mode: string;
  readonly dtype: string | null;
  readonly kind: RunReport["kind"];
  readonly reason: string | null;
  readonly stats: {
    readonly kernels: number;
    readonly peakBytes: number;
    readonly attributeBytes: number;
    readonly graphBreaks: number;
  };
  readonly inputBytes: number;
  readonly loadMs: number;
  readonly compileMs: number;
  readonly firstMs: number;
  /** Sorted. */
  readonly times: readonly number[];
  readonly compilerPeakRss: number | null;
}

/** The report of a run. */
export function reportOf(facts: RunFacts): RunReport {
  const { name, path, device, backend, mode, dtype, kind, reason, stats, times } = facts;
  return {
    model: name === "model" ? path.replace(/^.*\//, "") : name,
    device,
    backend,
    mode,
    dtype,
    kind,
    reason,
    load_ms: rounded(facts.loadMs) ?? 0,
    compile_ms: rounded(facts.compileMs) ?? 0,
    first_call_ms: rounded(facts.firstMs) ?? 0,
    median_ms: rounded(quantile(times, 0.5)),
    p10_ms: rounded(quantile(times, 0.1)),
    p90_ms: rounded(quantile(times, 0.9)),
    iterations: times.length,
    kernels: stats.kernels,
    graph_breaks: stats.graphBreaks,
    peak_bytes: stats.attributeBytes + facts.inputBytes + stats.peakBytes,
    peak_rss_bytes: peakRss(),
    compiler_peak_rss_bytes: facts.compilerPeakRss,
  };
}

/** Times of calls after warm-up, sorted. `warm` is called between the two. */
export function timedCalls(call: () => void, iterations: number, warm: () => void = () => {}): number[] {
  if (iterations === 0) return [];
  const begin = performance.now();
  for (let i = 0; i < WARM_UP.calls && performance.now() - begin < WARM_UP.ms; i++) call();
  warm();
  const times: number[] = [];
  for (let i = 0; i < iterations; i++) {
    const start = performance.now();
    call();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b);
}

/** A time for people. */
function msToText(value: number): string {
  return value < 10 ? `${value.toFixed(3)} ms` : `${value.toFixed(1)} ms`;
}

/** The report for people; `profile` is what launches take, as text, and `ms` writes times. */
export function runToText(
  report: RunReport,
  profile: string | null = null,
  ms: (value: number) => string = msToText,
): string {
  const lines = [
    `${report.model} on ${report.device}: ${
      report.kind === "compiled"
        ? `${report.kernels} kernels, built in ${ms(report.compile_ms)}`
        : `run node by node: ${report.reason}`
    }`,
    `loaded in ${ms(report.load_ms)}, first call ${ms(report.first_call_ms)}`,
  ];
  const { median_ms, p10_ms, p90_ms } = report;
  if (median_ms !== null && p10_ms !== null && p90_ms !== null) {
    lines.push(`${report.iterations} calls: median ${ms(median_ms)}, 10 % ${ms(p10_ms)}, 90 % ${ms(p90_ms)}`);
  }
  if (profile !== null) lines.push(profile);
  lines.push(`${(report.peak_bytes / 2 ** 20).toFixed(1)} MiB of tensors`);
  return lines.join("\n");
}

/** What is known only when another program has run the model. */
const LATER = { first_call_ms: "first", median_ms: "median", p10_ms: "p10", p90_ms: "p90" } as const;

/**
 * The report of a run that is still to be done by the program that runs plans: markers stand for its numbers.
 *
 * @param opening which time the program adds what opening takes to: of loading, or of compiling if this command line compiled
 */
export function reportForLater(report: RunReport, json: boolean, opening: "load_ms" | "compile_ms"): string {
  const values = new Map<keyof RunReport, ReportValue>([[opening, "open"]]);
  for (const [key, value] of Object.entries(LATER) as [keyof typeof LATER, ReportValue][]) {
    if (key === "first_call_ms" || report.iterations > 0) values.set(key, value);
  }
  if (json) {
    const fields = (Object.keys(report) as (keyof RunReport)[]).map((key) => {
      const value = values.get(key);
      const text = key === "peak_rss_bytes"
        ? marker("peak", "bytes")
        : value === undefined
        ? JSON.stringify(report[key])
        : marker(value, "json");
      return `${JSON.stringify(key)}:${text}`;
    });
    return `{${fields.join(",")}}`;
  }
  // Each time stands for its marker.
  const order = [...values];
  const stand = Object.fromEntries(order.map(([key], i) => [key, -1 - i]));
  const shown = { ...report, ...stand };
  return runToText(shown, null, (ms) => ms < 0 ? marker(order[-1 - ms]?.[1] ?? "open", "text") : msToText(ms));
}
