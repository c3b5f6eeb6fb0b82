/**
 * How much work a piece of code does, in numbers that no clock and no other process changes: V8's precise coverage, block by block.
 *
 * V8 counts the blocks of functions that it compiles after counting began. So a test imports this module before all that it measures,
 * and counting goes on for as long as its file runs.
 */
import { Session } from "node:inspector";

interface Coverage {
  result: { url: string; functions: { ranges: { count: number }[] }[] }[];
}

const session = new Session();
session.connect();
session.post("Profiler.enable");
session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });

/** What was counted since this was asked last. Deno runs the command at once and delivers its answer on the event loop. */
function taken(): Promise<Coverage> {
  return new Promise((resolve, reject) => {
    session.post("Profiler.takePreciseCoverage", (error: Error | null, answer?: object) => {
      if (error === null) resolve(answer as Coverage);
      else reject(error);
    });
  });
}

/**
 * How often blocks of code of `src/` are entered while `run` runs: calls of functions, turns of loops, branches taken. What built-in
 * functions do (`includes`, `sort`, copies of lists) counts as nothing. Counts differ by some percent between runs.
 */
export async function blocksEntered(run: () => void): Promise<number> {
  await taken();
  run();
  let entered = 0;
  for (const script of (await taken()).result) {
    if (!script.url.includes("/src/")) continue;
    for (const f of script.functions) for (const range of f.ranges) entered += range.count;
  }
  return entered;
}
