/**
 * What the benchmarks of whole functions on CUDA share: calls timed by events on the stream, and counts of what was compiled.
 */
import type { CompiledGraph } from "../src/inductor/mod.ts";
import type { CudaContext } from "../src/runtime/cuda/mod.ts";
import { median } from "./support.ts";

/** Milliseconds of a call: between events on the stream, and of the host's sending; medians. */
export interface CallTimes {
  readonly ms: number;
  readonly hostMs: number;
}

/** Calls once and waits, then a few times more. Milliseconds of the first call. */
export function warmUp(context: CudaContext, call: () => unknown, more = 3): number {
  const begin = performance.now();
  call();
  context.synchronize();
  const cold = performance.now() - begin;
  for (let i = 0; i < more; i++) call();
  context.synchronize();
  return cold;
}

/** Times calls one by one. */
export function timeCalls(context: CudaContext, call: () => unknown, calls: number): CallTimes {
  const device: number[] = [];
  const host: number[] = [];
  for (let i = 0; i < calls; i++) {
    using start = context.stream.record({ timing: true });
    const from = performance.now();
    call();
    host.push(performance.now() - from);
    using end = context.stream.record({ timing: true });
    end.synchronize();
    device.push(end.millisecondsSince(start));
  }
  return { ms: median(device), hostMs: median(host) };
}

/** Milliseconds of a call when many are sent without waiting, as within a loop of training. */
export function timeInARow(context: CudaContext, call: () => unknown, calls: number): number {
  const times = Array.from({ length: 5 }, () => {
    context.synchronize();
    const from = performance.now();
    for (let i = 0; i < calls; i++) call();
    context.synchronize();
    return (performance.now() - from) / calls;
  });
  return median(times);
}

/** Launches of all graphs, recorded graphs, and milliseconds that nvrtc took. */
export function countsOf(
  graphs: readonly CompiledGraph[],
): { readonly launches: number; readonly recorded: number; readonly nvrtcMs: number } {
  let [launches, recorded, nvrtcMs] = [0, 0, 0];
  for (const { cuda } of graphs) {
    for (const step of cuda?.modules.steps ?? []) if (step.kind === "launches") launches += step.launches.length;
    recorded += cuda?.executable.recorded ?? 0;
    nvrtcMs += cuda?.compileMs ?? 0;
  }
  return { launches, recorded, nvrtcMs };
}

/** Where several programs compile side by side, each is timed in its turn: says that it is ready (`FILE.ready`) and waits until FILE is there. Null: at once. */
export async function waitForTurn(turn: string | null): Promise<void> {
  if (turn === null) return;
  Deno.writeTextFileSync(`${turn}.ready`, "");
  await waitForFile(turn);
}

/** Waits until a file is there, for so many seconds at most. */
export async function waitForFile(path: string, seconds = Infinity): Promise<void> {
  const end = performance.now() + seconds * 1000;
  const isThere = (): boolean => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  };
  while (!isThere() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
}
