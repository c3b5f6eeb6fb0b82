/**
 * What a call of a function of 500 kernels costs on the host, and which part of it takes how long.
 *
 *     deno run -A bench/cuda_host.ts [--idle] [--calls N] [--program FILE] [PART OF A NAME…]
 *
 * Every case is timed call by call after as many calls to warm up: the median and the 99th percentile. Then once more with the parts of a call noted by themselves: guards, making results, allocating,
 * binding addresses, correcting recorded kernels, and the replay. The device is waited for between calls, outside of the times, because a full queue makes the host wait. `--program` adds an
 * exported program (`bench/peers/many_kernels.py` makes it). `--idle` runs on an emulated device whose kernels do nothing, with a real nvrtc: what remains is JavaScript.
 */
import {
  compile,
  compileExported,
  manualSeed,
  nn,
  noGrad,
  onCompile,
  randn,
  readExportedProgram,
  type Tensor,
} from "../mod.ts";
import { CudaTier } from "../src/inductor/cuda_tier.ts";
import { CompiledGraph } from "../src/inductor/mod.ts";
import { CudaAllocator, cudaContext, CudaGraph } from "../src/runtime/cuda/mod.ts";
import { countsOf } from "./cuda_support.ts";
import { print, printTable } from "./support.ts";

const idle = Deno.args.includes("--idle");
if (idle) {
  const { emulateCuda } = await import("../tests/runtime/cuda/emulator/mod.ts");
  const problem = emulateCuda({ compiler: "real", memoryBytes: 2 ** 33 });
  if (problem !== null) throw new Error(problem);
}
const flag = (name: string): string | null => {
  const at = Deno.args.indexOf(name);
  return at < 0 ? null : Deno.args[at + 1] ?? null;
};
const CALLS = Number(flag("--calls") ?? 3000);
const PARAMETERS = 150;
const context = cudaContext();
const rows: string[][] = [];

const middle = (times: readonly number[], at: number): string =>
  (1000 * (times.toSorted((a, b) => a - b)[Math.floor(at * times.length)] ?? NaN)).toFixed(1);

/** Methods whose time within a call is noted, outermost first; what is noted is without that of those inside. */
const PARTS = [
  [CompiledGraph, "run", "results"],
  [CudaAllocator, "allocate", "allocate"],
  [CudaTier, "run", "bind"],
  [CudaGraph, "update", "update"],
  [CudaGraph, "replay", "replay"],
] as const;

/** Notes the time of each part of the calls that `fn` makes, until it is over. */
function withParts(fn: (take: () => ReadonlyMap<string, number>) => void): void {
  const spent = new Map<string, number>();
  let inner = 0;
  const undo = PARTS.map(([owner, name, part]) => {
    const methods = owner.prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
    const real = methods[name] as (...args: unknown[]) => unknown;
    methods[name] = function (this: unknown, ...args: unknown[]): unknown {
      const [start, before] = [performance.now(), inner];
      inner = 0;
      try {
        return Reflect.apply(real, this, args);
      } finally {
        const whole = performance.now() - start;
        spent.set(part, (spent.get(part) ?? 0) + whole - inner);
        inner = before + whole;
      }
    };
    return () => void (methods[name] = real);
  });
  try {
    fn(() => {
      const taken = new Map(spent);
      spent.clear();
      inner = 0;
      return taken;
    });
  } finally {
    for (const u of undo) u();
  }
}

/** Times a case: `call` gets the number of the call. */
function measure(name: string, launches: number, call: (i: number) => void): void {
  for (let i = 0; i < CALLS; i++) {
    call(i);
    if (i % 50 === 0) context.synchronize();
  }
  const whole: number[] = [];
  for (let i = 0; i < CALLS; i++) {
    context.synchronize();
    const start = performance.now();
    call(i);
    whole.push(performance.now() - start);
  }
  const times = new Map<string, number[]>(["rest", ...PARTS.map((p) => p[2])].map((p) => [p, []]));
  withParts((take) => {
    for (let i = 0; i < CALLS; i++) {
      context.synchronize();
      take();
      const start = performance.now();
      call(i);
      let rest = performance.now() - start;
      const spent = take();
      for (const [, , part] of PARTS) {
        const time = spent.get(part) ?? 0;
        rest -= time;
        if (i >= CALLS / 2) times.get(part)?.push(time);
      }
      if (i >= CALLS / 2) times.get("rest")?.push(rest);
    }
  });
  rows.push([
    name,
    `${launches}`,
    middle(whole, 0.5),
    middle(whole, 0.99),
    ...[...times.values()].map((t) => middle(t, 0.5)),
  ]);
  print(rows.at(-1)?.join("  ") ?? "");
}

/** Compiles, and tells how many launches a call has. */
function launchesOf(call: () => void): number {
  const graphs: CompiledGraph[] = [];
  using _ = onCompile(({ graph }) => void graphs.push(graph));
  for (let i = 0; i < 3; i++) call();
  context.synchronize();
  return countsOf(graphs).launches;
}

/** 250 products, each with one of 75 layers, and a softmax behind each. */
class Deep extends nn.Module {
  readonly layers = new nn.ModuleList(Array.from({ length: PARAMETERS / 2 }, () => new nn.Linear(32, 32)));

  override forward(x: Tensor): Tensor {
    let y = x;
    for (let i = 0; i < 250; i++) y = (this.layers.at(i % this.layers.length) as nn.Linear).forward(y).softmax(1);
    return y;
  }
}

manualSeed(0);
const inputs = Array.from({ length: 3 }, () => randn([32, 32], { device: "cuda" }));
const at = (i: number): Tensor => inputs[i % inputs.length] as Tensor;
const wanted = Deno.args.filter((a, i) =>
  !a.startsWith("--") && !["--calls", "--program"].includes(Deno.args[i - 1] ?? "")
);
const isWanted = (name: string): boolean => wanted.length === 0 || wanted.some((w) => name.includes(w));
const chained = (x: Tensor): Tensor => {
  let y = x;
  for (let i = 0; i < 250; i++) y = y.softmax(1).matmul(x);
  return y;
};

/** A case: what is called, with the input that a call gets, and what becomes of its results. */
function run(name: string, fn: (x: Tensor) => Tensor, input: (i: number) => Tensor, keep = 0): void {
  if (!isWanted(name)) return;
  const kept: Tensor[] = [];
  const launches = launchesOf(() => fn(at(0)).dispose());
  measure(name, launches, (i) => {
    const y = fn(input(i));
    if (keep === 0) y.dispose();
    else {
      kept[i % keep]?.dispose();
      kept[i % keep] = y;
    }
  });
}

const chain = compile(chained);
run("one input", chain, () => at(0));
run("one input, results kept for 3 calls", chain, () => at(0), 3);
run("one input, of three in turn", chain, at);
run("one input, always a new one", chain, fresh());
const model = new Deep().to("cuda");
const infer = compile((x: Tensor): Tensor => noGrad(() => model.forward(x)));
run("150 parameters", infer, () => at(0));
run("150 parameters, input always a new one", infer, fresh());

/** Inputs whose addresses do not come again soon. */
function fresh(): (i: number) => Tensor {
  const many = Array.from({ length: 97 }, () => at(0).clone());
  return (i) => many[i % many.length] as Tensor;
}

const program = flag("--program");
if (program !== null) {
  const read = await readExportedProgram(program, { device: "cuda" });
  const ran = compileExported(read, { device: "cuda" });
  await ran.ready();
  const call = (x: Tensor): Tensor => ran([x])[0] as Tensor;
  run("exported, 150 parameters", call, () => at(0));
  run("exported, 150 parameters, input always a new one", call, fresh());
}
printTable(["call", "kernels", "µs", "99 %", "guards", ...PARTS.map((p) => p[2])], rows);
