/**
 * A thread that compiles: takes requests from a common list until none is left, and posts each result.
 *
 * Enters: messages of {@linkcode CompileRound}. Leaves: {@linkcode CompileReport}s on the port, each followed by a step of the counter of finished
 * requests, which the waiting thread watches. The cache is the other side's.
 */

import { CompileError } from "../../core/errors.ts";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { type CompileReport, type CompileRound, FINISHED, NEXT } from "./compile_pool.ts";
import { openNvrtc } from "./libraries.ts";
import { NvrtcCompiler } from "./nvrtc.ts";

const { port, path } = workerData as { readonly port: MessagePort; readonly path: string };
let compiler: NvrtcCompiler | null = null;

/** The library that the process uses already. */
function open(): NvrtcCompiler {
  const found = openNvrtc([{ path, major: 0, builtins: null, chosen: true }], null);
  if (!found.ok) throw new CompileError(found.problem.problem);
  return new NvrtcCompiler(found.value);
}

parentPort?.on("message", ({ round, requests, counters }: CompileRound) => {
  const words = new Int32Array(counters);
  for (;;) {
    const index = Atomics.add(words, NEXT, 1);
    const request = requests[index];
    if (request === undefined) return;
    let report: CompileReport;
    try {
      report = { round, index, result: (compiler ??= open()).compileUncached(request), error: null };
    } catch (error) {
      report = { round, index, result: null, error: error instanceof Error ? error.message : String(error) };
    }
    port.postMessage(report);
    Atomics.add(words, FINISHED, 1);
    Atomics.notify(words, FINISHED);
  }
});
