/**
 * What a call of a function of 500 kernels costs on the host, and which part of it takes how long.
 *
 *     deno run -A bench/cuda_host.ts [--idle] [--rounds N] [--calls N] [--cold MIB] [--program FILE] [PART OF A NAME…]
 *
 * All cases take turns: each round times `--calls` calls of every case, so that a machine that is slow for a while is slow for all of them. A row has the median of all calls, the least and the
 * largest median of a round, and the 99th percentile. The device is waited for between calls, outside of the times, because a full queue makes the host wait. `--cold` reads so much memory before each
 * call: then the caches hold nothing of the call before, as in a program that does something else in between. Last, the parts of a call noted by themselves: guards, making results, allocating,
 * binding addresses, correcting recorded kernels, and the replay; noting them takes time of its own. `--program` adds an exported program (`bench/peers/many_kernels.py` makes it). `--idle` runs on an
 * emulated device that replays nothing and copies nothing, with a real nvrtc: what remains is JavaScript.
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
import { CudaAllocator, CudaContext, cudaContext, CudaGraph } from "../src/runtime/cuda/mod.ts";
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
const ROUNDS = Number(flag("--rounds") ?? 20);
const CALLS = Number(flag("--calls") ?? 100);
const PARAMETERS = 150;
/** Calls before anything is timed: V8 compiles what runs often. */
const WARM_UP = 2000;
const context = cudaContext();
const swept = new Float64Array(Number(flag("--cold") ?? 0) * 2 ** 17);
let sum = 0;

/** Fills the caches with other data. */
function sweep(): void {
  for (let i = 0; i < swept.length; i += 8) sum += swept[i] as number;
}

const at = (times: readonly number[], part: number): number =>
  1000 * (times.toSorted((a, b) => a - b)[Math.floor(part * times.length)] ?? NaN);
const text = (microseconds: number): string => microseconds.toFixed(1);

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

/** A case: `call` gets the number of the call. */
interface Case {
  readonly name: string;
  readonly launches: number;
  readonly call: (i: number) => void;
  /** The times of each round, in milliseconds. */
  readonly rounds: number[][];
}

/** Times some calls, one by one. `after` is called behind each. */
function timed({ call }: Case, after: (milliseconds: number) => void): void {
  for (let i = 0; i < CALLS; i++) {
    context.synchronize();
    sweep();
    const start = performance.now();
    call(i);
    after(performance.now() - start);
  }
}

/** The medians of the parts of a call, those that are not noted first. */
function partsOf(which: Case): number[] {
  const names = ["rest", ...PARTS.map((p) => p[2])];
  const times = new Map<string, number[]>(names.map((name) => [name, []]));
  withParts((take) => {
    // What notes the times must be compiled, too.
    for (let i = 0; i < WARM_UP / 4; i++) which.call(i);
    context.synchronize();
    take();
    for (let round = 0; round < 3; round++) {
      timed(which, (whole) => {
        const spent = take();
        const noted = PARTS.reduce((all, [, , part]) => all + (spent.get(part) ?? 0), 0);
        for (const name of names) times.get(name)?.push(name === "rest" ? whole - noted : spent.get(name) ?? 0);
      });
    }
  });
  return [...times.values()].map((t) => at(t, 0.5));
}

/** Runs all cases in turns and prints what they took. */
function measure(cases: readonly Case[]): void {
  for (const { call } of cases) {
    for (let i = 0; i < WARM_UP; i++) {
      call(i);
      if (i % 50 === 0) context.synchronize();
    }
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const c of cases) {
      const times: number[] = [];
      timed(c, (whole) => void times.push(whole));
      c.rounds.push(times);
    }
  }
  const rows = cases.map((c) => {
    const medians = c.rounds.map((times) => at(times, 0.5));
    const all = c.rounds.flat();
    const whole = [at(all, 0.5), Math.min(...medians), Math.max(...medians), at(all, 0.99)];
    print([c.name, ...whole.map(text)].join("  "));
    return [c.name, `${c.launches}`, ...whole.map(text)];
  });
  cases.forEach((c, i) => rows[i]?.push(...partsOf(c).map(text)));
  printTable(["call", "kernels", "µs", "least", "most", "99 %", "guards", ...PARTS.map((p) => p[2])], rows);
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
const inTurn = (i: number): Tensor => inputs[i % inputs.length] as Tensor;
const same = (): Tensor => inTurn(0);
const cases: Case[] = [];
const wanted = Deno.args.filter((a, i) =>
  !a.startsWith("--") && !["--rounds", "--calls", "--cold", "--program"].includes(Deno.args[i - 1] ?? "")
);
const isWanted = (name: string): boolean => wanted.length === 0 || wanted.some((w) => name.includes(w));
type Call = (x: Tensor) => Tensor;

/** Adds a case: what makes the function, which is this case's own, the input that a call gets, and for how many calls results are kept. */
async function add(
  name: string,
  make: () => Call | Promise<Call>,
  input: (i: number) => Tensor,
  keep = 0,
): Promise<void> {
  if (!isWanted(name)) return;
  const graphs: CompiledGraph[] = [];
  using _ = onCompile(({ graph }) => void graphs.push(graph));
  const fn = await make();
  for (let i = 0; i < 3; i++) fn(input(i)).dispose();
  context.synchronize();
  const kept: Tensor[] = [];
  const call = (i: number): void => {
    const y = fn(input(i));
    if (keep === 0) y.dispose();
    else {
      kept[i % keep]?.dispose();
      kept[i % keep] = y;
    }
  };
  cases.push({ name, launches: countsOf(graphs).launches, call, rounds: [] });
}

const chain = (): Call =>
  compile((x: Tensor): Tensor => {
    let y = x;
    for (let i = 0; i < 250; i++) y = y.softmax(1).matmul(x);
    return y;
  });
await add("one input", chain, same);
await add("one input, results kept for 3 calls", chain, same, 3);
await add("one input, of three in turn", chain, inTurn);
await add("one input, always a new one", chain, fresh());
const model = new Deep().to("cuda");
const infer = (): Call => compile((x: Tensor): Tensor => noGrad(() => model.forward(x)));
await add("150 parameters", infer, same);
await add("150 parameters, input always a new one", infer, fresh());

/** Inputs whose addresses do not come again soon. */
function fresh(): (i: number) => Tensor {
  const many = Array.from({ length: 97 }, () => same().clone());
  return (i) => many[i % many.length] as Tensor;
}

const program = flag("--program");
if (program !== null) {
  const exported = async (): Promise<Call> => {
    const ran = compileExported(await readExportedProgram(program, { device: "cuda" }), { device: "cuda" });
    await ran.ready();
    return (x) => ran([x])[0] as Tensor;
  };
  await add("exported, 150 parameters", exported, same);
  await add("exported, 150 parameters, input always a new one", exported, fresh());
}
if (idle) {
  // A graph is recorded by the second call at the latest.
  for (const { call } of cases) for (let i = 0; i < 4; i++) call(i);
  CudaGraph.prototype.replay = () => {};
  CudaContext.prototype.copy = () => {};
}
measure(cases);
if (Number.isNaN(sum)) print("memory that was zero is not");
