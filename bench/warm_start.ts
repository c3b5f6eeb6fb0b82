/**
 * The first compiled call of ResNet-50 on the CPU in a warm process: the caches of captures and kernels are full, the weights are there.
 *
 *     deno run -A bench/warm_start.ts [PROCESSES]
 *
 * The first process fills a cache of its own; each further one makes the network, calls the compiled function once and reports the call, with its kernels run, by the clock and in
 * processor time of all threads. The second call of the same process is the floor: it has nothing to look up.
 */
import process from "node:process";
import { captureStats, compile, manualSeed, noGrad, randn, type Tensor } from "../mod.ts";
import { resnet50 } from "./models/zoo/resnet.ts";
import { median, print, printTable } from "./support.ts";

interface Call {
  readonly wall_ms: number;
  readonly processor_ms: number;
}

interface Run {
  readonly found: number;
  readonly first: Call;
  readonly second: Call;
}

function measured(fn: () => void): Call {
  const before = process.cpuUsage();
  const start = performance.now();
  fn();
  const wall_ms = performance.now() - start;
  const { user, system } = process.cpuUsage(before);
  return { wall_ms, processor_ms: (user + system) / 1000 };
}

async function child(waits: boolean): Promise<void> {
  manualSeed(0);
  const model = resnet50();
  model.eval();
  const x = randn([1, 3, 224, 224]);
  // All pages of the weights are there before the clock starts.
  for (const p of model.parameters()) p.dataSync();
  const f = compile((t: Tensor) => noGrad(() => model.forward(t)), { fullgraph: true });
  const call = (): void => void f(x).dataSync();
  const first = measured(call);
  if (waits) await f.ready();
  const second = measured(call);
  print(JSON.stringify({ found: captureStats(f).found, first, second }));
}

async function run(cache: string, kind: string): Promise<Run> {
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL(import.meta.url).pathname, kind],
    env: { TESSERA_CACHE_DIR: cache },
    stdout: "piped",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`the ${kind} process failed`);
  return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1) ?? "") as Run;
}

const [kind = "5"] = Deno.args;
if (kind === "cold" || kind === "warm") {
  await child(kind === "cold");
  Deno.exit(0);
}
const cache = await Deno.makeTempDir();
try {
  const cold = await run(cache, "cold");
  const warm: Run[] = [];
  for (let i = 0; i < Number(kind); i++) warm.push(await run(cache, "warm"));
  if (warm.some((r) => r.found !== 1)) throw new Error("a warm process did not find the capture");
  const of = (pick: (r: Run) => number): string =>
    `${median(warm.map(pick)).toFixed(0)} (${Math.min(...warm.map(pick)).toFixed(0)})`;
  printTable(["ResNet-50, 224×224, batch 1", "clock ms", "processor ms"], [
    ["cold, first call", cold.first.wall_ms.toFixed(0), cold.first.processor_ms.toFixed(0)],
    ["warm, first call: median (best)", of((r) => r.first.wall_ms), of((r) => r.first.processor_ms)],
    ["warm, second call", of((r) => r.second.wall_ms), of((r) => r.second.processor_ms)],
  ]);
  print(JSON.stringify({ bench: "warm_start", cold, warm }));
} finally {
  await Deno.remove(cache, { recursive: true });
}
