/**
 * Plans for CUDA on disk, across processes: a second one neither lowers, nor emits, nor compiles, and computes the same; damaged entries are dropped.
 * On the emulated device where there is no GPU.
 */
import assert from "node:assert/strict";
import { cudaTest } from "../../helpers/cuda_test.ts";
import { filesOf, runProgram } from "../../helpers/run_script.ts";

const at = (path: string): string => new URL(`../../../${path}`, import.meta.url).href;

const PROGRAM = `
import { emulateCuda } from "${at("tests/runtime/cuda/emulator/mod.ts")}";
emulateCuda();
const { compile, manualSeed, nn, noGrad, onCompile, optim, randn } = await import("${at("mod.ts")}");
const { nvrtcCompiler } = await import("${at("src/runtime/cuda/mod.ts")}");
const compiler = Object.getPrototypeOf(nvrtcCompiler());
let compiled = 0;
for (const name of ["compile", "compileSync", "compileUncached", "cached"]) {
  const before = compiler[name];
  compiler[name] = function (...args) { compiled++; return before.apply(this, args); };
}
manualSeed(0);
const model = new nn.Sequential(new nn.Linear(6, 5), new nn.GELU(), new nn.Linear(5, 3)).to("cuda");
const opt = new optim.AdamW(model.parameters(), { lr: 0.01 });
const x = randn([4, 6]).to("cuda");
const graphs = [];
onCompile((r) => graphs.push(r.graph));
const infer = compile((x) => model.forward(x).softmax(1), { fullgraph: true });
const step = compile((x) => {
  const loss = model.forward(x).pow(2).mean();
  loss.backward();
  opt.step();
  opt.zeroGrad();
  return loss;
}, { fullgraph: true });
const values = noGrad(() => infer(x)).cpu().toArray().flat();
// What is eager compiles kernels of its own: only what follows is counted.
for (let i = 0; i < 3; i++) values.push(step(x).item());
values.push(...noGrad(() => infer(x)).cpu().toArray().flat());
// What explain() asks of a kept graph: the plan, made anew.
const kernels = graphs.map((g) => g.cuda.modules.steps.length);
console.log(JSON.stringify({ values, cached: graphs.map((g) => g.cached), compiled, kernels }));
`;

interface Outcome {
  readonly values: readonly number[];
  readonly cached: readonly boolean[];
  readonly compiled: number;
  readonly kernels: readonly number[];
}

const runIn = (directory: string): Promise<Outcome> => runProgram(PROGRAM, directory);

cudaTest("a second process takes its plans for CUDA from the disk and asks no compiler for them", async () => {
  const directory = await Deno.makeTempDir();
  const first = await runIn(directory);
  assert.deepEqual(first.cached, [false, false]);
  const second = await runIn(directory);
  assert.deepEqual(second.cached, [true, true]);
  assert.deepEqual(second.values, first.values);
  assert.deepEqual(second.kernels, first.kernels, "a kept graph has the same plan when it is made anew");
  assert.ok(
    second.compiled < first.compiled,
    `${second.compiled} questions of the compiler, first ${first.compiled}`,
  );
  let damaged = 0;
  for (const path of filesOf(`${directory}/cache`, /\.cuda\w+$/)) {
    Deno.chmodSync(path, 0o600);
    Deno.writeTextFileSync(path, "nonsense");
    damaged++;
  }
  assert.ok(damaged >= 2, "plans for CUDA are kept with their code");
  const third = await runIn(directory);
  assert.deepEqual(third.cached, [false, false]);
  assert.deepEqual(third.values, first.values);
  await Deno.remove(directory, { recursive: true });
});
