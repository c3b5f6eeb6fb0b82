/**
 * What capture costs: guards of a call, calls of the model zoo with a backend that only interprets, and compilations of functions whose lengths change.
 *
 *     deno run -A bench/capture.ts [guards | lengths | zoo [MODEL …]]
 *
 * Without a word, the first two.
 *
 * `zoo` calls each model eagerly and compiled with the backend `"eager"` in turn and compares processor time, which other load on the machine disturbs least: what the compiled
 * call takes more is guards and interpretation instead of the model's JavaScript. Each model is a process of its own.
 */
import process from "node:process";
import { captureStats, compile, type CompilerBackend, nn, noGrad, randn, type Tensor, zeros } from "../mod.ts";
import { makeZooModel, ZOO_NAMES } from "./models/zoo/mod.ts";
import { median, print, printTable } from "./support.ts";

/** Yields the same tensors at each call, so that only guards remain. */
const nothing: CompilerBackend = ({ graph }) => {
  const results = graph.output.results.map(() => zeros([1]));
  return () => results;
};

/** Processor time of this process in milliseconds. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Microseconds a call: the tenth percentile of batches. */
function microseconds(fn: () => void, count: number): number {
  for (let i = 0; i < 20 * count; i++) fn();
  const batches = Array.from({ length: 60 }, () => {
    const start = performance.now();
    for (let i = 0; i < count; i++) fn();
    return (performance.now() - start) / count * 1000;
  }).sort((a, b) => a - b);
  return batches[6] ?? NaN;
}

/** 75 layers with weight and bias. */
class Tree extends nn.Module {
  readonly layers = new nn.ModuleList(Array.from({ length: 75 }, () => new nn.Linear(2, 2)));
  forward(x: Tensor): Tensor {
    let y = x;
    for (const layer of this.layers) y = layer.forward(y);
    return y;
  }
}

function guards(): void {
  const [x, y, z] = [randn([3]), randn([3]), randn([3])];
  const three = compile((a: Tensor, b: Tensor, c: Tensor) => a.mul(b).add(c), { backend: nothing });
  const tree = new Tree();
  const batch = randn([2, 2]);
  const whole = compile((t: Tensor) => tree.forward(t), { backend: nothing });
  const results = {
    three_tensors_us: microseconds(() => void three(x, y, z), 1000),
    parameters_150_us: microseconds(() => void whole(batch), 100),
  };
  printTable(["guards of a call", "µs", "at most"], [
    ["3 tensors", results.three_tensors_us.toFixed(2), "2"],
    ["a tree of 75 modules with 150 parameters", results.parameters_150_us.toFixed(2), "10"],
  ]);
  print(JSON.stringify({ bench: "guards", results }));
}

function lengths(): void {
  const w = randn([8, 8]);
  const plain = (x: Tensor): Tensor => x.mm(w).relu().softmax(0).div(x.shape[0] ?? 1);
  const breaks = (x: Tensor): Tensor => {
    const y = x.mm(w).relu();
    return y.sum().item() > -1 ? y.softmax(0).div(x.shape[0] ?? 1) : y;
  };
  const [one, cut] = [plain, breaks].map((fn) => compile(fn, { options: { tier: "js" } }));
  for (let n = 2; n < 32; n++) for (const f of [one, cut]) f?.(randn([n, 8]));
  if (one === undefined || cut === undefined) return;
  const results = { graphs: captureStats(one).entries, segments: captureStats(cut).compiledSegments };
  printTable(["30 lengths", "compilations", "at most"], [
    ["one graph", String(results.graphs), "2"],
    ["two segments around a break", String(results.segments), "4"],
  ]);
  print(JSON.stringify({ bench: "lengths", results }));
}

/** One model in this process: milliseconds of processor time a call, eager and captured. */
function zooModel(name: string): void {
  const { inputs, forward } = makeZooModel(name);
  const call = (...xs: Tensor[]): Tensor => noGrad(() => forward(...xs));
  const captured = compile(call, { backend: "eager", fullgraph: true });
  const sides = [call, captured];
  for (let i = 0; i < 2; i++) for (const side of sides) side(...inputs);
  const times: [number[], number[]] = [[], []];
  const until = performance.now() + 12_000;
  for (let round = 0; round < 3 || (round < 40 && performance.now() < until); round++) {
    for (const side of round % 2 === 0 ? [0, 1] as const : [1, 0] as const) {
      const start = processorTime();
      sides[side]?.(...inputs);
      times[side].push(processorTime() - start);
    }
  }
  print(JSON.stringify({ eager_ms: median(times[0]), captured_ms: median(times[1]), rounds: times[0].length }));
}

async function zoo(names: readonly string[]): Promise<void> {
  const results: { name: string; eager_ms: number; captured_ms: number; rounds: number }[] = [];
  for (const name of names.length > 0 ? names : ZOO_NAMES) {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", new URL(import.meta.url).pathname, "model", name],
      stdout: "piped",
      stderr: "inherit",
    }).output();
    const line = new TextDecoder().decode(stdout).trim().split("\n").at(-1) ?? "{}";
    results.push({ name, ...JSON.parse(line) as Omit<typeof results[number], "name"> });
  }
  printTable(
    ["processor time a call", "eager ms", "captured ms", "overhead", "pairs"],
    results.map((r) => [
      r.name,
      r.eager_ms.toFixed(1),
      r.captured_ms.toFixed(1),
      `${((r.captured_ms / r.eager_ms - 1) * 100).toFixed(1)} %`,
      String(r.rounds),
    ]),
  );
  print(JSON.stringify({ bench: "capture_zoo", results }));
}

const [what = "", ...names] = Deno.args;
if (what === "model") zooModel(names[0] ?? "");
else {
  if (what === "" || what === "guards") guards();
  if (what === "" || what === "lengths") lengths();
  if (what === "zoo") await zoo(names);
}
