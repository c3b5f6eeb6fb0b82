/**
 * Training steps on a CUDA device: ResNet-50, ViT-B, GPT-2 small and BERT-base under bfloat16 autocast, forward, loss and backward in one compiled function.
 *
 *     deno run -A bench/cuda_training.ts [NAME…] [--tiny] [--adamw] [--profile] [--weights DIR] [--peer MODES] [--out FILE]
 *
 * `--adamw` adds the step with the optimiser. `--profile` lists what each kernel takes beside its floor. `--peer eager,default` runs the same in PyTorch
 * (`bench/peers/cuda_training.py`, a Python with PyTorch, timm and transformers in `TESSERA_PEERS_PYTHON`); it writes weights, inputs and float32 gradients to DIR, and our
 * gradients are compared with them. Milliseconds are between events on the stream, medians.
 */
import {
  autocast,
  bfloat16,
  compile,
  manualSeed,
  type nn,
  noGrad,
  onCompile,
  openSafetensors,
  optim,
  type Tensor,
} from "../mod.ts";
import { withConfig } from "../src/core/mod.ts";
import type { CompiledGraph } from "../src/inductor/mod.ts";
import { cudaContext } from "../src/runtime/cuda/mod.ts";
import { countsOf, timeCalls, waitForTurn, warmUp } from "./cuda_support.ts";
import { findPeer, print, printTable } from "./support.ts";
import { makeTrainingModel, TRAINING_NAMES, type TrainingModel } from "./models/zoo/training.ts";

function option(name: string): string | null {
  const at = Deno.args.indexOf(name);
  return at < 0 ? null : Deno.args[at + 1] ?? null;
}

const has = (name: string): boolean => Deno.args.includes(name);
const tiny = has("--tiny");
const weights = option("--weights");
const given = Deno.args.filter((a) => TRAINING_NAMES.includes(a));
const names = given.length > 0 ? given : TRAINING_NAMES;
const context = cudaContext();
const rows: string[][] = [];
const results: Record<string, unknown>[] = [];
const GIB = 2 ** 30;

function forget(parameters: readonly nn.Parameter[]): void {
  for (const p of parameters) {
    p.grad?.dispose();
    p.grad = null;
  }
}

/** How far gradients are from PyTorch's in float32: ‖ours − theirs‖ / ‖theirs‖ over all parameters. */
async function compare(made: TrainingModel, file: ReadonlyMap<string, Tensor>): Promise<number> {
  let all = 0;
  let wrong = 0;
  for (const [name, p] of made.model.namedParameters()) {
    const theirs = file.get(`grad.${name}`);
    if (theirs === undefined || p.grad === null) {
      print(`no gradient of ${name} ${theirs === undefined ? "there" : "here"}`);
      continue;
    }
    const a = await p.grad.data() as Float32Array;
    const b = await theirs.data() as Float32Array;
    for (let i = 0; i < b.length; i++) {
      const d = (a[i] ?? NaN) - (b[i] ?? 0);
      wrong += d * d;
      all += (b[i] ?? 0) ** 2;
    }
  }
  return Math.sqrt(wrong / all);
}

/** Copies PyTorch's parameters; what it does not have stays as it is. */
function take(made: TrainingModel, file: ReadonlyMap<string, Tensor>): void {
  noGrad(() => {
    for (const [name, own] of made.model.stateEntries()) {
      const theirs = file.get(`model.${name}`);
      if (theirs !== undefined) own.copy_(theirs);
      else print(`PyTorch has no ${name}`);
    }
  });
}

function profile(graph: CompiledGraph, calls: number): void {
  const times = graph.readProfile() ?? [];
  const merged = new Map<string, { ms: number; count: number; gflop: number; mebibytes: number }>();
  for (const t of times) {
    const key = `${t.what} ${t.functions.join("+")}`;
    const row = merged.get(key) ?? { ms: 0, count: 0, gflop: t.gflop, mebibytes: t.mebibytes };
    row.ms += t.wallMs / calls;
    row.count++;
    merged.set(key, row);
  }
  const sorted = [...merged].sort((a, b) => b[1].ms - a[1].ms);
  printTable(
    ["kernel", "count", "ms", "floor ms", "TFLOP/s", "GB/s"],
    sorted.slice(0, 45).map(([what, { ms, count, gflop, mebibytes }]) => [
      what.slice(0, 150),
      String(count),
      ms.toFixed(3),
      (count * Math.max(gflop / 700, mebibytes * 1.048576 / 2920)).toFixed(3),
      (count * gflop / ms).toFixed(0),
      (count * mebibytes * 1.048576 / ms).toFixed(0),
    ]),
  );
}

for (const name of names) {
  manualSeed(0);
  const made = makeTrainingModel(name, { tiny });
  const file = weights === null ? null : openSafetensors(`${weights}/${name}.safetensors`);
  const stored = file === null ? null : file.tensors();
  if (stored !== null) take(made, stored);
  made.model.to("cuda");
  const [x, y] = stored === null
    ? made.inputs("cuda")
    : [stored.get("x"), stored.get("y")].map((t) => (t as Tensor).to("cuda")) as [Tensor, Tensor];
  const parameters = [...made.model.parameters()];
  const graphs: CompiledGraph[] = [];
  using _ = onCompile(({ graph }) => void graphs.push(graph));
  const lossOf = (a: Tensor, b: Tensor): Tensor => autocast("cuda", { dtype: bfloat16 }, () => made.loss(a, b));
  const step = compile((a: Tensor, b: Tensor): Tensor => {
    const loss = lossOf(a, b);
    loss.backward();
    return loss.detach();
  }, { fullgraph: true });
  let loss = NaN;
  let error: number | null = null;
  let firstMs: number | null = null;
  if (stored !== null) {
    const begin = performance.now();
    loss = step(x, y).item();
    firstMs = performance.now() - begin;
    error = await compare(made, stored);
    print(`${name}: loss ${loss} (PyTorch ${stored.get("loss")?.item()}), gradients off by ${error.toFixed(4)}`);
    forget(parameters);
  }
  const call = (): void => {
    step(x, y).dispose();
    forget(parameters);
  };
  const coldMs = firstMs ?? warmUp(context, call, 0);
  warmUp(context, call, 5);
  const { launches, nvrtcMs } = countsOf(graphs);
  let full: (() => void) | null = null;
  if (has("--adamw")) {
    const opt = new optim.AdamW(parameters, { lr: 1e-4 });
    const all = compile((a: Tensor, b: Tensor): Tensor => {
      const l = lossOf(a, b);
      l.backward();
      opt.step();
      opt.zeroGrad();
      return l.detach();
    }, { fullgraph: true });
    full = () => all(x, y).dispose();
    warmUp(context, full, 5);
  }
  await waitForTurn(option("--turn"));
  const calls = tiny ? 3 : 30;
  const timing = timeCalls(context, call, calls);
  const adamw = full === null ? null : timeCalls(context, full, calls);
  const row: Record<string, unknown> = { model: name, ...timing, coldMs, launches, nvrtcMs, error, loss, adamw };
  if (has("--profile")) {
    const timed: CompiledGraph[] = [];
    using __ = onCompile(({ graph }) => void timed.push(graph));
    using ___ = withConfig({ profile: true });
    const slow = compile((a: Tensor, b: Tensor): Tensor => {
      const l = lossOf(a, b);
      l.backward();
      return l.detach();
    }, { fullgraph: true });
    const repeats = 5;
    for (let i = 0; i <= repeats; i++) {
      slow(x, y).dispose();
      forget(parameters);
      if (i === 0) { for (const g of timed) g.readProfile(); }
    }
    print(`${name}: ${timing.ms.toFixed(3)} ms a step`);
    for (const g of timed) profile(g, repeats);
  }
  const { peakBytes } = context.allocator.stats();
  row["peakGiB"] = peakBytes / GIB;
  results.push(row);
  rows.push([
    name,
    timing.ms.toFixed(3),
    timing.hostMs.toFixed(2),
    String(launches),
    (coldMs / 1000).toFixed(1),
    (nvrtcMs / 1000).toFixed(1),
    error === null ? "" : error.toFixed(4),
    adamw === null ? "" : adamw.ms.toFixed(3),
    (peakBytes / GIB).toFixed(2),
  ]);
  print(JSON.stringify(row));
  noGrad(() => {
    for (const p of parameters) p.dispose();
  });
}
printTable(
  ["model", "step ms", "host ms", "launches", "cold s", "nvrtc s", "gradient error", "with AdamW ms", "peak GiB"],
  rows,
);
const out = option("--out");
if (out !== null) Deno.writeTextFileSync(out, JSON.stringify(results, null, 1));
const modes = option("--peer");
if (modes !== null) {
  const python = await findPeer();
  if (python === null) print("no Python with PyTorch");
  else {
    const script = new URL("./peers/cuda_training.py", import.meta.url).pathname;
    await new Deno.Command(python, { args: [script, modes, ...names], stdout: "inherit", stderr: "inherit" }).output();
  }
}
