/**
 * The time that this thread has spent on a processor, for tests of cost: on a machine that others use, waiting for a turn does not count.
 *
 * Linux says it in nanoseconds; elsewhere Deno does, in steps of milliseconds.
 */
import process from "node:process";

/** Milliseconds on a processor since the thread began. */
export function threadMilliseconds(): number {
  if (Deno.build.os === "linux") {
    try {
      return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e6;
    } catch {
      // A kernel that keeps no such counts.
    }
  }
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** What `run` takes at best in so many rounds. */
export function bestMilliseconds(rounds: number, run: () => void): number {
  let best = Infinity;
  for (let i = 0; i < rounds; i++) {
    const start = threadMilliseconds();
    run();
    best = Math.min(best, threadMilliseconds() - start);
  }
  return best;
}
