/**
 * Compile time: against depth, cold for the demo's whole training step, and warm from the cache.
 *
 *     deno run -A bench/compile_time.ts
 *
 * Every figure is a process of its own. `compile` counts the first call of the training step of an MLP of that depth, less a second call;
 * `cold` waits for C++ with an empty cache; `warm` is the time from the compiled function's first call to its result with a full one, for the
 * demo's step and for a tree of 75 layers with 150 parameters.
 */
import { compile, manualSeed, nn, optim, rand, randn, type Tensor, tensor } from "../mod.ts";
import { eagerStep } from "../examples/digits/measure.ts";
import { print, printTable, timed } from "./support.ts";

const DEPTHS = [8, 16, 32, 64];

function mlpStep(depth: number): (x: Tensor, y: Tensor) => Tensor {
  manualSeed(0);
  const layers = Array.from({ length: depth }, () => [new nn.Linear(32, 32), new nn.ReLU()]).flat();
  const model = new nn.Sequential(...layers, new nn.Linear(32, 10));
  const opt = new optim.AdamW(model.parameters());
  return (x, y) => {
    const loss = nn.functional.crossEntropy(model.forward(x), y);
    loss.backward();
    opt.step();
    opt.zeroGrad();
    return loss;
  };
}

const [kind, argument] = Deno.args;
if (kind === "depth") {
  const step = compile(mlpStep(Number(argument)), { fullgraph: true, options: { tier: "js" } });
  const x = randn([16, 32]);
  const y = tensor(Array.from({ length: 16 }, (_, i) => i % 10));
  // A small one first, so that the compiler's own code is warm and depth alone is measured.
  compile(mlpStep(2), { fullgraph: true, options: { tier: "js" } })(x, y).item();
  const first = timed(() => step(x, y).item());
  const second = timed(() => step(x, y).item());
  print(JSON.stringify(first - second));
  Deno.exit(0);
}
if (kind === "digits") {
  const x = rand([64, 1, 28, 28]);
  const y = tensor(Array.from({ length: 64 }, (_, i) => i % 10));
  const step = compile(eagerStep(), { fullgraph: true, mode: "aot" });
  print(JSON.stringify(timed(() => step(x, y).item())));
  Deno.exit(0);
}
if (kind === "tree") {
  const model = new nn.Sequential(...Array.from({ length: 75 }, () => [new nn.Linear(32, 32), new nn.ReLU()]).flat());
  const x = rand([16, 32]);
  const f = compile((x: Tensor) => model.forward(x), { fullgraph: true, mode: "aot" });
  print(JSON.stringify(timed(() => (f(x) as Tensor).sum().item())));
  Deno.exit(0);
}

async function inProcess(args: readonly string[], cache: string): Promise<number> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL(import.meta.url).pathname, ...args],
    env: { TESSERA_CACHE_DIR: cache },
    stdout: "piped",
    stderr: "inherit",
  }).output();
  return Number(JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1) ?? "null"));
}

const cache = await Deno.makeTempDir();
const depths: { depth: number; ms: number }[] = [];
for (const depth of DEPTHS) {
  const ms = Math.min(await inProcess(["depth", `${depth}`], cache), await inProcess(["depth", `${depth}`], cache));
  depths.push({ depth, ms });
}
const cold = await inProcess(["digits"], await Deno.makeTempDir());
const warmCache = await Deno.makeTempDir();
await inProcess(["digits"], warmCache);
const warm = await inProcess(["digits"], warmCache);
const coldTree = await inProcess(["tree"], warmCache);
const warmTree = await inProcess(["tree"], warmCache);
printTable(
  ["MLP training step", "ms", "ms a layer", "× the half"],
  depths.map(({ depth, ms }, i) => {
    const before = depths[i - 1];
    return [
      `${depth} layers`,
      ms.toFixed(0),
      (ms / depth).toFixed(2),
      before === undefined ? "" : (ms / before.ms).toFixed(2),
    ];
  }),
);
printTable(["C++, ms to the first result", "cold", "warm cache"], [
  ["digits training step", cold.toFixed(0), warm.toFixed(0)],
  ["75 linear layers, 150 parameters", coldTree.toFixed(0), warmTree.toFixed(0)],
]);
await Deno.remove(cache, { recursive: true });
print(JSON.stringify({ bench: "compile_time", depths, cold_ms: cold, warm_ms: warm, warm_tree_ms: warmTree }));
