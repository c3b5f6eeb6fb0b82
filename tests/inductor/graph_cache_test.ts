/** The cache of compiled graphs, across processes: what a second process finds, and what it does with damaged entries. */
import assert from "node:assert/strict";
import { findToolchain } from "../../src/runtime/cpu/mod.ts";
import { filesOf, runProgram } from "../helpers/run_script.ts";

const toolchain = findToolchain();
const ignore = !toolchain.ok;
const suffix = toolchain.ok ? "" : ` (skipped: ${toolchain.problem})`;

const PROGRAM = `
import { compile, manualSeed, nn, onCompile, optim, randn } from "${new URL("../../mod.ts", import.meta.url).href}";
manualSeed(0);
const model = new nn.Sequential(new nn.Linear(6, 5), new nn.ReLU(), new nn.Linear(5, 3));
const opt = new optim.AdamW(model.parameters(), { lr: 0.01 });
const x = randn([4, 6]);
const graphs = [];
onCompile((r) => graphs.push(r.graph));
const step = compile((x) => {
  const loss = model.forward(x).pow(2).mean();
  loss.backward();
  opt.step();
  opt.zeroGrad();
  return loss;
}, { fullgraph: true });
const losses = [step(x).item()];
await step.ready();
for (let i = 0; i < 3; i++) losses.push(step(x).item());
console.log(JSON.stringify({ losses, cached: graphs.map((g) => g.cached), tiers: graphs.map((g) => g.tier) }));
`;

interface Outcome {
  readonly losses: readonly number[];
  readonly cached: readonly boolean[];
  readonly tiers: readonly string[];
}

const runIn = (directory: string): Promise<Outcome> => runProgram(PROGRAM, directory);

Deno.test({
  name: `a second process neither lowers nor compiles, and computes the same${suffix}`,
  ignore,
  fn: async () => {
    const directory = await Deno.makeTempDir();
    const first = await runIn(directory);
    assert.deepEqual(first.cached, [false]);
    assert.deepEqual(first.tiers, ["cpp"]);
    const second = await runIn(directory);
    assert.deepEqual(second.cached, [true]);
    assert.deepEqual(second.tiers, ["cpp"]);
    second.losses.forEach((loss, i) => assert.ok(Math.abs(loss - (first.losses[i] ?? 0)) < 1e-6));
    await Deno.remove(directory, { recursive: true });
  },
});

Deno.test({
  name: `damaged cache entries are dropped and made again${suffix}`,
  ignore,
  fn: async () => {
    const directory = await Deno.makeTempDir();
    const first = await runIn(directory);
    let damaged = 0;
    for (const path of filesOf(`${directory}/cache`, /\.(program|graph|so)$/)) {
      Deno.chmodSync(path, 0o600);
      const bytes = Deno.readFileSync(path);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0xff;
      Deno.writeFileSync(path, bytes);
      damaged++;
    }
    assert.ok(damaged > 0, "the cache holds nothing to damage");
    const again = await runIn(directory);
    assert.deepEqual(again.cached, [false]);
    again.losses.forEach((loss, i) => assert.ok(Math.abs(loss - (first.losses[i] ?? 0)) < 1e-6));
    await Deno.remove(directory, { recursive: true });
  },
});
