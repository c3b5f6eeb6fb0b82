/**
 * Convolutions on the processor beside PyTorch's, layer by layer: ResNet, VGG, U-Net, ConvNeXt, EfficientNet, RegNet, dilated and transposed ones.
 *
 * `deno task bench convolutions [-- --only TEXT --rounds N --threads N --cpu --grad --no-peer]`. Float32 with a bias, weights kept packed. Both sides take turns
 * of some milliseconds, so that other load on the machine disturbs both, and the quickest call of each counts; only ratios are meant. On a loaded machine
 * pin all to one core (`taskset -c 0 …`) and pass `--cpu`: both sides then count processor time. The peak is that of fused multiply-adds between
 * registers (`PEAK`), which a core reaches alone.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { compile, F, manualSeed, noGrad, randn, type Tensor } from "../mod.ts";
import { findPeer, print, printTable, timed } from "./support.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    only: { type: "string", default: "" },
    rounds: { type: "string", default: "6" },
    ms: { type: "string", default: "60" },
    threads: { type: "string", default: String(navigator.hardwareConcurrency) },
    cpu: { type: "boolean", default: false },
    grad: { type: "boolean", default: false },
    "no-peer": { type: "boolean", default: false },
  },
});

/** GFLOP/s of a core. */
const PEAK = 235;

interface Case {
  readonly name: string;
  readonly input: number[];
  readonly weight: number[];
  readonly options: {
    readonly stride?: number;
    readonly padding?: number;
    readonly dilation?: number;
    readonly groups?: number;
  };
  readonly transposed?: boolean;
}

function layer(from: number, to: number, size: number, window: number, options: Case["options"] = {}, batch = 2): Case {
  const { stride = 1, groups = 1, dilation = 1 } = options;
  const padding = options.padding ?? (stride === window ? 0 : (window - 1) / 2 * dilation);
  const more = [
    stride > 1 ? `step ${stride}` : "",
    dilation > 1 ? `apart ${dilation}` : "",
    groups > 1 ? `${groups} groups` : "",
    batch === 2 ? "" : `batch ${batch}`,
  ].filter((text) => text !== "");
  return {
    name: [`${window}×${window}, ${from} to ${to}, ${size}²`, ...more].join(", "),
    input: [batch, from, size, size],
    weight: [to, from / groups, window, window],
    options: { ...options, padding },
  };
}

function transposed(from: number, to: number, size: number, window: number, stride: number): Case {
  return {
    name: `transposed ${window}×${window}, ${from} to ${to}, ${size}², step ${stride}`,
    input: [2, from, size, size],
    weight: [from, to, window, window],
    options: { stride, padding: (window - stride) / 2 },
    transposed: true,
  };
}

const CASES: readonly Case[] = [
  // ResNet-18 and ResNet-50.
  layer(3, 64, 224, 7, { stride: 2 }),
  layer(64, 64, 56, 3),
  layer(128, 128, 28, 3),
  layer(256, 256, 14, 3),
  layer(512, 512, 7, 3),
  layer(64, 64, 56, 3, {}, 1),
  layer(256, 256, 14, 3, {}, 1),
  layer(512, 512, 7, 3, {}, 1),
  layer(128, 128, 28, 3, {}, 16),
  layer(64, 128, 56, 3, { stride: 2 }),
  layer(128, 256, 28, 3, { stride: 2 }),
  layer(256, 512, 14, 3, { stride: 2 }),
  layer(128, 128, 56, 3, { stride: 2 }),
  layer(64, 64, 56, 1),
  layer(64, 256, 56, 1),
  layer(256, 64, 56, 1),
  layer(512, 128, 28, 1),
  layer(128, 512, 28, 1),
  layer(1024, 256, 14, 1),
  layer(256, 1024, 14, 1),
  layer(2048, 512, 7, 1),
  layer(512, 2048, 7, 1),
  layer(256, 512, 56, 1, { stride: 2 }),
  // VGG and U-Net.
  layer(3, 64, 224, 3),
  layer(64, 64, 224, 3, {}, 1),
  layer(128, 128, 112, 3, {}, 1),
  layer(256, 256, 56, 3, {}, 1),
  layer(512, 512, 28, 3, {}, 1),
  layer(512, 512, 14, 3, {}, 1),
  layer(64, 32, 128, 3, {}, 1),
  layer(320, 320, 32, 3, {}, 1),
  layer(32, 32, 112, 3),
  // ConvNeXt, EfficientNet, RegNet, Inception.
  layer(3, 96, 224, 4, { stride: 4 }),
  layer(96, 96, 56, 7, { groups: 96 }),
  layer(384, 384, 14, 7, { groups: 384 }),
  layer(240, 240, 14, 5, { groups: 240 }),
  layer(144, 144, 56, 5, { groups: 144, stride: 2, padding: 2 }),
  layer(672, 672, 14, 5, { groups: 672, stride: 2, padding: 2 }),
  layer(96, 96, 112, 3, { groups: 96, stride: 2 }),
  layer(144, 144, 56, 3, { groups: 144 }),
  layer(3, 32, 224, 3, { stride: 2 }),
  layer(40, 240, 28, 1),
  layer(112, 672, 14, 1),
  layer(672, 192, 14, 1),
  layer(192, 192, 28, 3, { groups: 8 }),
  layer(128, 128, 56, 3, { groups: 32, stride: 2 }),
  layer(48, 64, 35, 5),
  // Dilated and transposed.
  layer(256, 256, 28, 3, { dilation: 2 }),
  transposed(256, 128, 28, 2, 2),
  transposed(128, 64, 32, 4, 2),
];

/** A process that runs PyTorch's side when it is asked to. */
class Peer {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(python: string, options: readonly string[]) {
    const script = new URL("peers/convolutions.py", import.meta.url).pathname;
    this.#child = new Deno.Command(python, {
      args: [script, ...options],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  async ask(message: unknown): Promise<number> {
    await this.#writer.write(new TextEncoder().encode(`${JSON.stringify(message)}\n`));
    while (!this.#text.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error("the peer ended");
      this.#text += value;
    }
    const end = this.#text.indexOf("\n");
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return Number(line);
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.#child.status;
  }
}

/** Our side of a case: a call that gives its results back at once. */
function prepare({ input, weight, options, transposed: isTransposed }: Case): () => void {
  const list = (n: number): [number, number] => [n, n];
  const [stride, padding, dilation] = [options.stride ?? 1, options.padding ?? 0, options.dilation ?? 1].map(list);
  const groups = options.groups ?? 1;
  // The weights are constants of the function, as a module's are.
  const w = randn(weight).mul(0.05), x = randn(input);
  const b = randn([weight[isTransposed === true ? 1 : 0] ?? 1]);
  const layer = { w, b };
  const forward = (t: Tensor): Tensor =>
    F.convolution(
      t,
      layer.w,
      layer.b,
      stride ?? [1],
      padding ?? [0],
      dilation ?? [1],
      isTransposed === true,
      [0, 0],
      groups,
    );
  const whole = { mode: "aot", fullgraph: true, options: { freezing: true } } as const;
  if (!values.grad || isTransposed === true) {
    const f = compile(forward, whole);
    return () => noGrad(() => f(x).dispose());
  }
  const g = noGrad(() => randn(forward(x).shape as number[]));
  const back = compile(
    (grad: Tensor, t: Tensor) =>
      F.convolutionBackward(
        grad,
        t,
        layer.w,
        [weight[0] ?? 1],
        stride ?? [1],
        padding ?? [0],
        dilation ?? [1],
        false,
        [0, 0],
        groups,
        [true, true, true],
      ),
    whole,
  );
  return () =>
    noGrad(() => {
      for (const result of back(g, x)) result?.dispose();
    });
}

/** Milliseconds of processor time, or by the wall. */
function timeOf(fn: () => void): number {
  if (!values.cpu) return timed(fn);
  const start = process.cpuUsage();
  fn();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

manualSeed(1);
const python = values["no-peer"] ? null : await findPeer();
const peer = python === null ? null : new Peer(python, ["--threads", values.threads, ...(values.cpu ? ["--cpu"] : [])]);
const ms = Number(values.ms);
const rows: string[][] = [];
let product = 1, count = 0;
for (const own of CASES.filter((c) => c.name.includes(values.only) && !(values.grad && c.transposed === true))) {
  const call = prepare(own);
  call();
  await peer?.ask({ ...own, grad: values.grad });
  let ours = Infinity, theirs = Infinity;
  for (let round = 0; round < Number(values.rounds); round++) {
    const until = performance.now() + ms;
    do ours = Math.min(ours, timeOf(call)); while (performance.now() < until);
    if (peer !== null) theirs = Math.min(theirs, await peer.ask(ms));
  }
  const { stride = 1, padding = 0, dilation = 1 } = own.options;
  const [n = 1, , size = 1] = own.input, [first = 1, second = 1, window = 1] = own.weight;
  const out = own.transposed === true
    ? size
    : Math.floor((size + 2 * padding - dilation * (window - 1) - 1) / stride) + 1;
  const flops = 2 * n * first * second * window * window * out * out * (values.grad ? 2 : 1);
  const rate = flops / ours / 1e6;
  if (peer !== null) {
    product *= theirs / ours;
    count++;
  }
  const row = [
    own.name,
    ours.toFixed(3),
    peer === null ? "" : theirs.toFixed(3),
    peer === null ? "" : (theirs / ours).toFixed(2),
    rate.toFixed(0),
    `${(100 * rate / PEAK / Number(values.threads)).toFixed(0)} %`,
  ];
  rows.push(row);
  await new Promise((resolve) => setTimeout(resolve, 0));
}
await peer?.close();
printTable(["layer", "Tessera ms", "PyTorch ms", "×", "GFLOP/s", "of the peak"], rows);
if (count > 0) print(`geometric mean of the ratios: ${(product ** (1 / count)).toFixed(2)}`);
