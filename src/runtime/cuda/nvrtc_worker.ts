/**
 * A thread that compiles: takes requests from a common list until none is left, and posts each result.
 *
 * Enters: messages of {@linkcode CompileRound}. Leaves: {@linkcode CompileReport}s on the port, each followed by a step of the counter of finished
 * requests, which the waiting thread watches. The cache is the other side's.
 */

import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { type CompileReport, type CompileRound, FINISHED, NEXT } from "./compile_pool.ts";
import { nvrtcCompiler } from "./nvrtc.ts";

const { port } = workerData as { readonly port: MessagePort };

parentPort?.on("message", ({ round, requests, counters }: CompileRound) => {
  const words = new Int32Array(counters);
  for (;;) {
    const index = Atomics.add(words, NEXT, 1);
    const request = requests[index];
    if (request === undefined) return;
    let report: CompileReport;
    try {
      report = { round, index, result: nvrtcCompiler().compileUncached(request), error: null };
    } catch (error) {
      report = { round, index, result: null, error: error instanceof Error ? error.message : String(error) };
    }
    port.postMessage(report);
    Atomics.add(words, FINISHED, 1);
    Atomics.notify(words, FINISHED);
  }
});
