/**
 * Compiles many sources at once while the calling thread waits.
 *
 * A call of a compiled function is synchronous, so its first one cannot await nvrtc; and one after the other the kernels of a model take seconds. Threads of
 * this pool and the calling one take requests from one list. The threads are started when there is first enough to do, and do not keep the process alive.
 * Where none can be started, the calling thread does all the work.
 */

import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import { CompileError } from "../../core/errors.ts";
import { log } from "../../core/log.ts";
import type { NvrtcCompiler, NvrtcRequest, NvrtcResult } from "./nvrtc.ts";

/** Positions in a round's counters: the next request to be taken, and how many were finished by threads. */
export const NEXT = 0;
export const FINISHED = 1;

/** What the threads are asked. */
export interface CompileRound {
  readonly round: number;
  readonly requests: readonly NvrtcRequest[];
  readonly counters: SharedArrayBuffer;
}

/** What a thread answers. */
export interface CompileReport {
  readonly round: number;
  readonly index: number;
  readonly result: NvrtcResult | null;
  readonly error: string | null;
}

/** Starting a thread costs about as much as compiling one kernel. */
const MOST_THREADS = 12;
/** A thread that is silent for so long has died. */
const PATIENCE_MS = 60_000;

/** How many threads compile at once, the calling one included. */
export function compilerThreads(): number {
  return Math.min(MOST_THREADS + 1, Math.max(1, navigator.hardwareConcurrency));
}

interface Thread {
  readonly worker: Worker;
  readonly port: MessagePort;
}

const threads: Thread[] = [];
let rounds = 0;

function grow(to: number, path: string): void {
  while (threads.length < to) {
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker(new URL("./nvrtc_worker.ts", import.meta.url), {
      workerData: { port: port2, path },
      transferList: [port2],
    });
    // What goes wrong in a thread shows as requests that nobody finished.
    worker.on("error", (error) => log("perf_hints", () => `a compiler thread ended: ${error}`));
    worker.unref();
    port1.unref();
    threads.push({ worker, port: port1 });
  }
}

/**
 * Compiles all requests, in any order, and waits.
 *
 * @throws {CompileError} for the first request that cannot be compiled
 */
export function compileAllSync(compiler: NvrtcCompiler, requests: readonly NvrtcRequest[]): NvrtcResult[] {
  const byIdentity = new Map<string, NvrtcResult | null>();
  const missing: NvrtcRequest[] = [];
  const identities = requests.map((request) => {
    const identity = compiler.identityOf(request);
    if (!byIdentity.has(identity)) {
      const known = compiler.cached(request);
      byIdentity.set(identity, known);
      if (known === null) missing.push(request);
    }
    return identity;
  });
  const made = missing.length < 3
    ? missing.map((r) => compiler.compileUncached(r))
    : compileTogether(compiler, missing);
  missing.forEach((request, i) => {
    const result = made[i] as NvrtcResult;
    compiler.keep(request, result);
    byIdentity.set(compiler.identityOf(request), result);
  });
  return identities.map((identity) => byIdentity.get(identity) as NvrtcResult);
}

function compileTogether(compiler: NvrtcCompiler, requests: readonly NvrtcRequest[]): NvrtcResult[] {
  const helpers = Math.min(compilerThreads() - 1, requests.length - 1);
  const counters = new SharedArrayBuffer(8);
  const words = new Int32Array(counters);
  const round = ++rounds;
  // The longest first, so that none is left alone at the end.
  const order = requests.map((_, i) => i).sort((a, b) => sourceLength(requests, b) - sourceLength(requests, a));
  const sorted = order.map((i) => requests[i] as NvrtcRequest);
  const results = new Array<NvrtcResult | undefined>(requests.length).fill(undefined);
  try {
    grow(helpers, compiler.library.path);
    for (const { worker } of threads) worker.postMessage({ round, requests: sorted, counters } satisfies CompileRound);
  } catch (error) {
    log("perf_hints", () => `no compiler threads: ${error}`);
  }
  let failure: unknown = null;
  const own = (index: number): void => {
    const request = sorted[index];
    if (request !== undefined) results[order[index] as number] = compiler.compileUncached(request);
  };
  let mine = 0;
  for (;;) {
    const index = Atomics.add(words, NEXT, 1);
    if (index >= sorted.length) break;
    mine++;
    try {
      own(index);
    } catch (error) {
      failure ??= error;
    }
  }
  const seen = new Set<number>();
  while (seen.size + mine < sorted.length) {
    const finished = Atomics.load(words, FINISHED);
    if (finished === seen.size && Atomics.wait(words, FINISHED, finished, PATIENCE_MS) === "timed-out") break;
    for (const { port } of threads) {
      for (let got = receiveMessageOnPort(port); got !== undefined; got = receiveMessageOnPort(port)) {
        const report = got.message as CompileReport;
        if (report.round !== round) continue;
        seen.add(report.index);
        if (report.result !== null) results[order[report.index] as number] = report.result;
        else failure ??= new CompileError(report.error ?? "a compiler thread failed");
      }
    }
  }
  if (failure !== null) throw failure;
  return results.map((result, i) => result ?? compiler.compileUncached(requests[i] as NvrtcRequest));
}

function sourceLength(requests: readonly NvrtcRequest[], i: number): number {
  return requests[i]?.source.length ?? 0;
}
