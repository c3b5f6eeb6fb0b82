/**
 * Whole models on a CUDA device: what a call and a training step take, and what of it is the host's.
 *
 *     deno run -A bench/cuda_models.ts [--tiny] [--peer] [--turn FILE]
 *
 * A GPT-2 of 124 million parameters (inference and training step, bfloat16) and a chain of many small kernels, whose time is the launching. With
 * `--peer` the same models run in PyTorch, compiled, in a Python with PyTorch (`TESSERA_PEERS_PYTHON`). `--tiny` makes everything small, to see that it runs. With `--turn` both sides compile at once and wait before they are timed (`waitForTurn`).
 */
import {
  bfloat16,
  compile,
  int64,
  manualSeed,
  nn,
  noGrad,
  onCompile,
  optim,
  randint,
  randn,
  type Tensor,
} from "../mod.ts";
import { cudaContext } from "../src/runtime/cuda/mod.ts";
import type { CompiledGraph } from "../src/inductor/mod.ts";
import { countsOf, timeCalls, waitForFile, waitForTurn, warmUp } from "./cuda_support.ts";
import { findPeer, print, printTable } from "./support.ts";

const tiny = Deno.args.includes("--tiny");
const GPT = tiny
  ? { layers: 2, width: 32, heads: 2, vocabulary: 64, batch: 2, length: 16 }
  : { layers: 12, width: 768, heads: 12, vocabulary: 50304, batch: 8, length: 256 };

class Block extends nn.Module {
  readonly #heads: number;
  readonly norm1: nn.LayerNorm;
  readonly attention: nn.Linear;
  readonly output: nn.Linear;
  readonly norm2: nn.LayerNorm;
  readonly up: nn.Linear;
  readonly down: nn.Linear;

  constructor(width: number, heads: number) {
    super();
    this.#heads = heads;
    this.norm1 = new nn.LayerNorm(width);
    this.attention = new nn.Linear(width, 3 * width);
    this.output = new nn.Linear(width, width);
    this.norm2 = new nn.LayerNorm(width);
    this.up = new nn.Linear(width, 4 * width);
    this.down = new nn.Linear(4 * width, width);
  }

  override forward(x: Tensor): Tensor {
    const [batch = 0, length = 0, width = 0] = x.shape.map(Number);
    const split = (t: Tensor): Tensor => t.view([batch, length, this.heads, width / this.heads]).transpose(1, 2);
    const [q, k, v] = this.attention.forward(this.norm1.forward(x)).chunk(3, 2) as [Tensor, Tensor, Tensor];
    const mixed = nn.functional.scaledDotProductAttention(split(q), split(k), split(v), { isCausal: true });
    const y = x.add(this.output.forward(mixed.transpose(1, 2).reshape([batch, length, width])));
    return y.add(
      this.down.forward(nn.functional.gelu(this.up.forward(this.norm2.forward(y)), { approximate: "tanh" })),
    );
  }

  get heads(): number {
    return this.#heads;
  }
}

class Gpt extends nn.Module {
  readonly tokens = new nn.Embedding(GPT.vocabulary, GPT.width);
  readonly positions = new nn.Embedding(GPT.length, GPT.width);
  readonly blocks = new nn.ModuleList(Array.from({ length: GPT.layers }, () => new Block(GPT.width, GPT.heads)));
  readonly norm = new nn.LayerNorm(GPT.width);
  readonly head = new nn.Linear(GPT.width, GPT.vocabulary, { bias: false });

  override forward(tokens: Tensor): Tensor {
    let x = this.tokens.forward(tokens).add(this.positions.weight);
    for (const block of this.blocks) x = (block as Block).forward(x);
    return this.head.forward(this.norm.forward(x));
  }
}

const context = cudaContext();
const rows: string[][] = [];
const turnAt = Deno.args.indexOf("--turn");
const turn = turnAt < 0 ? null : Deno.args[turnAt + 1] ?? null;
const peer = startPeer(Deno.args.includes("--peer") ? await findPeer() : null);

interface Peer {
  /** Settles when it is compiled, or has died. */
  readonly ready: Promise<unknown>;
  readonly results: () => Promise<string>;
}

/** PyTorch's side. Starts at once if there are turns, so that it compiles meanwhile. */
function startPeer(python: string | null): Peer | null {
  if (python === null) return null;
  const args = [new URL("./peers/cuda_models.py", import.meta.url).pathname, ...turn === null ? [] : [`${turn}.peer`]];
  const command = new Deno.Command(python, { args, stdout: "piped", stderr: "piped" });
  const started = turn === null ? null : command.output();
  return {
    ready: Promise.race([started, turn === null ? null : waitForFile(`${turn}.peer.ready`)]),
    results: async () => {
      if (turn !== null) Deno.writeTextFileSync(`${turn}.peer`, "");
      const { code, stdout, stderr } = await (started ?? command.output());
      return new TextDecoder().decode(code === 0 ? stdout : stderr).trimEnd();
    },
  };
}

/** Compiles and warms up; what is returned times a call by events, and the host's sending of it. */
function prepare(name: string, call: () => unknown, calls: number): () => void {
  const graphs: CompiledGraph[] = [];
  using _ = onCompile(({ graph }) => void graphs.push(graph));
  const cold = warmUp(context, call);
  return () => {
    const { ms, hostMs } = timeCalls(context, call, calls);
    const { launches, recorded, nvrtcMs } = countsOf(graphs);
    const [host, first, nvrtc] = [1000 * hostMs, cold, nvrtcMs].map((x) => x.toFixed(0));
    rows.push([name, ms.toFixed(3), `${host}`, `${launches}`, `${recorded}`, `${first}`, `${nvrtc}`]);
  };
}

manualSeed(0);
const small = randn([64, 64], { device: "cuda" });
const depth = tiny ? 10 : 250;
const chain = compile((x: Tensor): Tensor => {
  let y = x;
  for (let i = 0; i < depth; i++) y = y.softmax(1).matmul(x);
  return y;
});
const measured: (() => void)[] = [];
// So many that most of them come after V8 has optimised what a call does on the host.
measured.push(prepare(`${depth} softmax and products of 64×64`, () => chain(small).dispose(), tiny ? 50 : 1000));

const model = new Gpt().to("cuda").to(bfloat16);
const tokens = randint(0, GPT.vocabulary, [GPT.batch, GPT.length], { dtype: int64 }).to("cuda");
const targets = randint(0, GPT.vocabulary, [GPT.batch * GPT.length], { dtype: int64 }).to("cuda");
const infer = compile((x: Tensor): Tensor => noGrad(() => model.forward(x)));
// What a loop that never awaits does not dispose stays allocated.
measured.push(prepare("GPT-2, inference", () => infer(tokens).dispose(), tiny ? 30 : 300));
const opt = new optim.AdamW(model.parameters(), { lr: 1e-4 });
const step = compile((x: Tensor, y: Tensor): Tensor => {
  const loss = nn.functional.crossEntropy(model.forward(x).view([-1, GPT.vocabulary]), y);
  loss.backward();
  opt.step();
  opt.zeroGrad();
  return loss;
});
const losses: Tensor[] = [];
measured.push(prepare("GPT-2, training step", () => void losses.push(step(tokens, targets)), 20));
await peer?.ready;
await waitForTurn(turn);
for (const measure of measured) measure();
print(`loss ${losses[0]?.item().toFixed(3)} before, ${losses.at(-1)?.item().toFixed(3)} after training`);
const { peakBytes, reservedBytes } = context.allocator.stats();
print(`peak ${(peakBytes / 2 ** 30).toFixed(2)} GiB of tensors, ${(reservedBytes / 2 ** 30).toFixed(2)} GiB reserved`);
printTable(["model", "device ms", "host µs", "launches", "graphs", "first call ms", "nvrtc ms"], rows);

if (peer !== null) print(await peer.results());
else if (Deno.args.includes("--peer")) print("no Python with PyTorch");
