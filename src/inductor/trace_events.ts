/**
 * Profiles as Chrome traces, which Perfetto and `chrome://tracing` open: one bar a launch, with the user's line that it comes from.
 *
 * Enters: launches with the times of several calls. Leaves: the text of a JSON file that shows one call, launch after launch, each as long as it took on
 * average. Format: "Trace Event Format" of the Chromium project.
 */
import type { LaunchTime } from "./profile.ts";

/** A compiled graph's launches, and how many calls their times are of. */
export interface TracedGraph {
  readonly name: string;
  readonly rows: readonly LaunchTime[];
  readonly calls: number;
}

/** The JSON text of a trace: graphs are rows one below the other, one after the other in time. */
export function traceToJson(graphs: readonly TracedGraph[], device: string): string {
  const events: Record<string, unknown>[] = [{
    ph: "M",
    name: "process_name",
    pid: 1,
    args: { name: `Tessera on ${device}` },
  }];
  let at = 0;
  graphs.forEach(({ name, rows, calls }, graph) => {
    const tid = graph + 1;
    events.push({ ph: "M", name: "thread_name", pid: 1, tid, args: { name } });
    for (const row of rows) {
      const microseconds = row.wallMs * 1000 / Math.max(calls, 1);
      const seconds = Math.max(microseconds, 1e-3) / 1e6;
      events.push({
        ph: "X",
        name: row.name,
        cat: row.what.slice(0, row.what.indexOf(" ")),
        pid: 1,
        tid,
        ts: at,
        dur: microseconds,
        args: {
          operators: row.what,
          functions: row.functions.join(", "),
          ...(row.at === null ? {} : { source: row.at }),
          "MiB moved": Number(row.mebibytes.toFixed(3)),
          "GB/s": Number((row.mebibytes * 2 ** 20 / seconds / 1e9).toFixed(1)),
          ...(row.gflop > 0
            ? { GFLOP: Number(row.gflop.toFixed(4)), "TFLOP/s": Number((row.gflop / seconds / 1e3).toFixed(2)) }
            : {}),
        },
      });
      at += microseconds;
    }
  });
  return JSON.stringify({ displayTimeUnit: "ns", traceEvents: events });
}
