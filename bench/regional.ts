/**
 * Regional compilation: what compiling one block for all its siblings saves, on a transformer of 12 equal blocks.
 *
 *     deno run -A bench/regional.ts [BLOCKS]
 *
 * Each figure is a process of its own with an empty cache. Processor time, which other load on the machine disturbs least: of capturing and lowering with JavaScript kernels
 * (the first call less the second), and from the first call to compiled C++ kernels, the compiler's processes included. Equal kernels are compiled once either
 * way; what regions save is capturing and lowering the other blocks. Then a call on C++.
 */
import { compile, compileRepeated, manualSeed, nn, noGrad, randn, type Tensor } from "../mod.ts";
import { callTimes, print, printTable } from "./support.ts";

class Block extends nn.Module {
  readonly norm1 = new nn.LayerNorm([64]);
  readonly qkv = new nn.Linear(64, 192);
  readonly out = new nn.Linear(64, 64);
  readonly norm2 = new nn.LayerNorm([64]);
  readonly up = new nn.Linear(64, 256);
  readonly down = new nn.Linear(256, 64);
  forward(x: Tensor): Tensor {
    const [b = 1, n = 1] = x.shape;
    const heads = this.qkv.forward(this.norm1.forward(x)).view([b, n, 3, 4, 16]).permute([2, 0, 3, 1, 4]);
    const [q, k, v] = [0, 1, 2].map((i) => heads.select(0, i)) as [Tensor, Tensor, Tensor];
    const mixed = nn.functional.scaledDotProductAttention(q, k, v).transpose(1, 2).reshape([b, n, 64]);
    const y = x.add(this.out.forward(mixed));
    return y.add(this.down.forward(nn.functional.gelu(this.up.forward(this.norm2.forward(y)))));
  }
}

class Transformer extends nn.Module {
  readonly blocks: nn.ModuleList<Block>;
  constructor(depth: number) {
    super();
    this.blocks = new nn.ModuleList(Array.from({ length: depth }, () => new Block()));
  }
  forward(x: Tensor): Tensor {
    let y = x;
    for (const block of this.blocks) y = block.forward(y);
    return y;
  }
}

/** Milliseconds of processor time of this process and those it waited for. */
function processorTime(): number {
  const fields = Deno.readTextFileSync("/proc/self/stat").replace(/^.*\) /, "").split(" ");
  // utime, stime, cutime, cstime in hundredths of a second.
  return [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0) * 10;
}

interface Row {
  readonly kind: string;
  readonly lower_ms: number;
  readonly ready_ms: number;
  readonly call_ms: number;
}

async function child(kind: string, tier: string, depth: number): Promise<void> {
  manualSeed(0);
  const model = new Transformer(depth);
  model.eval();
  const x = randn([2, 32, 64]);
  const options = { fullgraph: true, options: { tier } };
  const regions = kind === "regional" ? compileRepeated(model, options) : null;
  const whole = compile((t: Tensor) => noGrad(() => model.forward(t)), options);
  const call = (): unknown => regions === null ? whole(x) : noGrad(() => model.forward(x));
  const before = processorTime();
  call();
  await (regions ?? whole).ready();
  const first = processorTime() - before;
  call();
  const second = processorTime() - before - first;
  print(JSON.stringify({ first, second, call_ms: tier === "aot" ? callTimes(call, 2).p10_ms : 0 }));
}

async function run(
  kind: string,
  tier: string,
  depth: string,
): Promise<{ first: number; second: number; call_ms: number }> {
  const cache = await Deno.makeTempDir();
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL(import.meta.url).pathname, kind, tier, depth],
    env: { TESSERA_CACHE_DIR: cache },
    stdout: "piped",
    stderr: "inherit",
  }).output();
  await Deno.remove(cache, { recursive: true });
  return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1) ?? "");
}

const [first = "12", tier = "", depth = "12"] = Deno.args;
if (first === "whole" || first === "regional") {
  await child(first, tier, Number(depth));
  Deno.exit(0);
}
const results: Row[] = [];
for (const kind of ["whole", "regional"]) {
  const [js, cpp] = [await run(kind, "js", first), await run(kind, "aot", first)];
  results.push({ kind, lower_ms: js.first - js.second, ready_ms: cpp.first, call_ms: cpp.call_ms });
}
printTable(
  [`${first} equal blocks`, "capture and lower, processor ms", "to C++, processor ms", "a call, ms"],
  results.map((r) => [r.kind, r.lower_ms.toFixed(0), r.ready_ms.toFixed(0), r.call_ms.toFixed(2)]),
);
print(JSON.stringify({ bench: "regional", depth: Number(first), results }));
