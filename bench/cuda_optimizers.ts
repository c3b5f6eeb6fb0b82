/**
 * Steps of optimisers on CUDA, compiled: many tensors in a few launches. The measure is a copy on the device, by bytes read and written.
 *
 *     deno run -A bench/cuda_optimizers.ts [--tiny] [NAME…]
 *
 * The parameters are those of the networks of `cuda_training.ts`, float32, each with a gradient. Clipping by the norm reads the gradients once more, and so does a `GradScaler`, which
 * looks for infinities; both write them. With a `GradScaler` every result is chosen against what was there. Small networks wait for the host, so that kernels are timed by themselves too.
 * "ms" is a call that waits for nothing and that nothing follows, "in a row" one of many that are sent without waiting. `bench/peers/cuda_optimizers.py` is PyTorch's side.
 */
import { compile, manualSeed, nn, onCompile, optim, randn } from "../mod.ts";
import { withConfig } from "../src/core/mod.ts";
import type { CompiledGraph } from "../src/inductor/mod.ts";
import { cudaContext } from "../src/runtime/cuda/mod.ts";
import { makeTrainingModel, TRAINING_NAMES } from "./models/zoo/training.ts";
import { countsOf, timeCalls, timeInARow, warmUp } from "./cuda_support.ts";
import { print, printTable } from "./support.ts";

const tiny = Deno.args.includes("--tiny");
const given = Deno.args.filter((a) => TRAINING_NAMES.includes(a));
const context = cudaContext();
const COPIED = (tiny ? 2 ** 20 : 2 ** 30) >>> 0;
const CALLS = tiny ? 3 : 30;
const WARM = tiny ? 3 : 300;

/** Bytes a millisecond of a large copy, read and written. */
function copyRate(): number {
  using from = context.allocator.allocate(COPIED, "a copy's source");
  using to = context.allocator.allocate(COPIED, "a copy's target");
  const call = (): void => context.copy(to.address, from.address, COPIED, context.currentStream);
  warmUp(context, call);
  return 2 * COPIED / timeCalls(context, call, CALLS).ms;
}

/** What a step moves, in tensors as large as the parameters: reads and writes. */
const OPTIMIZERS: readonly {
  readonly name: string;
  readonly moves: number;
  readonly make: (parameters: nn.Parameter[]) => () => void;
}[] = [
  {
    name: "SGD, momentum",
    moves: 5,
    make: (p) => {
      const opt = new optim.SGD(p, { lr: 1e-4, momentum: 0.9 });
      return () => opt.step();
    },
  },
  {
    name: "AdamW",
    moves: 7,
    make: (p) => {
      const opt = new optim.AdamW(p, { lr: 1e-4 });
      return () => opt.step();
    },
  },
  {
    name: "AdamW, clipped",
    moves: 9,
    make: (p) => {
      const opt = new optim.AdamW(p, { lr: 1e-4 });
      return () => {
        nn.utils.clipGradNorm_(p, 1);
        opt.step();
      };
    },
  },
  {
    name: "AdamW, GradScaler",
    moves: 9,
    make: (p) => {
      const opt = new optim.AdamW(p, { lr: 1e-4 });
      const scaler = new optim.GradScaler("cuda", { initScale: 1 });
      return () => {
        scaler.step(opt);
        scaler.update();
      };
    },
  },
];

/** Milliseconds of a step's kernels by themselves: small networks wait for the host. */
function kernelTime(body: () => void): number {
  const graphs: CompiledGraph[] = [];
  using _ = onCompile(({ graph }) => void graphs.push(graph));
  using __ = withConfig({ profile: true });
  const step = compile(body, { fullgraph: true });
  step();
  for (const g of graphs) g.readProfile();
  const calls = tiny ? 2 : 10;
  for (let i = 0; i < calls; i++) step();
  return graphs.reduce((n, g) => n + (g.readProfile() ?? []).reduce((m, t) => m + t.wallMs, 0), 0) / calls;
}

const rate = copyRate();
print(`copy: ${(rate / 1e6).toFixed(0)} GB/s read and written`);
const rows: string[][] = [];
for (const name of given.length > 0 ? given : TRAINING_NAMES) {
  manualSeed(0);
  const parameters = [...makeTrainingModel(name, { tiny }).model.to("cuda").parameters()];
  for (const p of parameters) p.grad = randn(p.shape.map(Number), { device: "cuda" }).mul(1e-3);
  const bytes = parameters.reduce((n, p) => n + 4 * p.numel, 0);
  for (const { name: optimizer, moves, make } of OPTIMIZERS) {
    const graphs: CompiledGraph[] = [];
    using _ = onCompile(({ graph }) => void graphs.push(graph));
    const step = compile(make(parameters), { fullgraph: true });
    const cold = warmUp(context, step);
    // The host's part is what a training has after some hundred steps, when V8 has compiled it.
    for (let i = 0; i < WARM; i++) step();
    context.synchronize();
    const { ms, hostMs } = timeCalls(context, step, CALLS);
    const inARow = timeInARow(context, step, CALLS);
    const { launches } = countsOf(graphs);
    const kernels = kernelTime(make(parameters));
    rows.push([
      name,
      optimizer,
      String(parameters.length),
      String(launches),
      ms.toFixed(3),
      hostMs.toFixed(3),
      inARow.toFixed(3),
      kernels.toFixed(3),
      (moves * bytes / kernels / 1e6).toFixed(0),
      `${(100 * moves * bytes / kernels / rate).toFixed(0)} %`,
      (cold / 1000).toFixed(1),
    ]);
    print(rows.at(-1)?.join("  "));
  }
}
printTable(
  [
    "parameters of",
    "step",
    "tensors",
    "launches",
    "ms",
    "host ms",
    "in a row ms",
    "kernels ms",
    "GB/s",
    "of a copy",
    "cold s",
  ],
  rows,
);
