/**
 * The first call of a compiled function against the first eager call of the same function, in fresh processes.
 *
 *     deno run -A bench/first_call.ts
 *
 * Each measurement is a process of its own, so nothing is warm: not V8, not the caches of kernels. The C++ compiler works in the background.
 */
import { compile, manualSeed, nn, optim, rand, randn, type Tensor, tensor } from "../mod.ts";
import { eagerStep } from "../examples/digits/measure.ts";
import { median, print, printTable, timed } from "./support.ts";

const WORKLOADS: Readonly<Record<string, () => [(...args: Tensor[]) => Tensor, Tensor[]]>> = {
  "pointwise chain, 2^20": () => [(x) => x.mul(2).add(1).sigmoid().mul(x).tanh(), [randn([1 << 20])]],
  "softmax, 1024×1024": () => [(x) => x.softmax(1), [randn([1024, 1024])]],
  "MLP training step": () => {
    manualSeed(0);
    const model = new nn.Sequential(new nn.Linear(256, 256), new nn.GELU(), new nn.Linear(256, 10));
    const opt = new optim.AdamW(model.parameters());
    return [(x, y) => {
      if (y === undefined || x === undefined) throw new TypeError("needs two tensors");
      const loss = nn.functional.crossEntropy(model.forward(x), y);
      loss.backward();
      opt.step();
      opt.zeroGrad();
      return loss;
    }, [randn([128, 256]), tensor(Array.from({ length: 128 }, (_, i) => i % 10))]];
  },
  "digits training step, batch 64": () => {
    const step = eagerStep();
    return [
      (x, y) => {
        if (y === undefined || x === undefined) throw new TypeError("needs two tensors");
        return step(x, y);
      },
      [rand([64, 1, 28, 28]), tensor(Array.from({ length: 64 }, (_, i) => i % 10))],
    ];
  },
};

const [kind, name] = Deno.args;
if (kind !== undefined && name !== undefined) {
  const make = WORKLOADS[name];
  if (make === undefined) throw new RangeError(`no workload "${name}"`);
  const [fn, inputs] = make();
  const call = kind === "eager" ? fn : compile(fn);
  print(String(timed(() => call(...inputs).sum().item())));
  Deno.exit(0);
}

async function inProcess(kind: string, name: string): Promise<number> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL(import.meta.url).pathname, kind, name],
    env: { TESSERA_CACHE_DIR: await Deno.makeTempDir() },
    stdout: "piped",
    stderr: "inherit",
  }).output();
  return Number(new TextDecoder().decode(stdout).trim());
}

const results: { name: string; eager_ms: number; compiled_ms: number }[] = [];
for (const name of Object.keys(WORKLOADS)) {
  const eager: number[] = [];
  const compiled: number[] = [];
  // In turn, so that a slow moment of the machine meets both.
  for (let i = 0; i < 3; i++) {
    eager.push(await inProcess("eager", name));
    compiled.push(await inProcess("compiled", name));
  }
  results.push({ name, eager_ms: median(eager), compiled_ms: median(compiled) });
}
printTable(
  ["first call", "eager ms", "compiled ms", "ratio"],
  results.map((r) => [
    r.name,
    r.eager_ms.toFixed(1),
    r.compiled_ms.toFixed(1),
    (r.compiled_ms / r.eager_ms).toFixed(2),
  ]),
);
print(JSON.stringify({ bench: "first_call", results }));
