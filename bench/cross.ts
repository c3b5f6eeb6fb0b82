/**
 * Reductions over rows and columns in one kernel, beside PyTorch eager and beside the copy bandwidth of the machine.
 *
 * `deno task bench cross [-- --seconds N --no-peer]`. Layer norm's and RMS norm's gradients (of input and parameters), cross entropy forward, and forward with
 * the gradient; float32; the fastest calls of both sides. Counted are bytes of inputs read once and of results written once; the floor is their time at the bandwidth of a copy.
 */
import { parseArgs } from "node:util";
import { compile, F, float32, manualSeed, noGrad, randint, randn, type Tensor, zeros } from "../mod.ts";
import { findPeer, print, printTable, runPeer, timed } from "./support.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seconds: { type: "string", default: "0.5" },
    threads: { type: "string", default: String(navigator.hardwareConcurrency) },
    "no-peer": { type: "boolean", default: false },
  },
});
const seconds = Number(values.seconds);

/** The fastest of the calls within the given time: what other load on the machine disturbs least. */
function fastest(fn: () => void): number {
  let best = Infinity;
  const until = performance.now() + seconds * 1000;
  do best = Math.min(best, timed(fn)); while (performance.now() < until);
  return best;
}

const SHAPES = [[8192, 768], [1024, 32000]] as const;

interface Case {
  readonly name: string;
  /** Tensors of the shape that are read or written, at least. */
  readonly passes: number;
  readonly make: (rows: number, columns: number) => readonly Tensor[];
  readonly run: (...args: Tensor[]) => Tensor[];
}

const layerNormBackward = (dy: Tensor, x: Tensor, mean: Tensor, inverse: Tensor, w: Tensor, b: Tensor): Tensor[] =>
  [
    ...F.nativeLayerNormBackward(dy, x, [Number(x.shape[1])], mean, inverse, w, b, [true, true, true]),
  ].filter((t): t is Tensor => t !== null);

const rmsNormBackward = (dy: Tensor, x: Tensor, w: Tensor): Tensor[] => {
  const inverse = x.mul(x).mean([1], true).add(1e-6).rsqrt();
  const normal = x.mul(inverse);
  const g = dy.mul(w);
  return [g.sub(normal.mul(g.mul(normal).mean([1], true))).mul(inverse), dy.mul(normal).sum([0])];
};

const CASES: readonly Case[] = [
  {
    name: "layer norm backward",
    passes: 3,
    make: (r, c) => [random(r, c), random(r, c), zeros([r, 1]), randn([r, 1]).abs(), randn([c]), randn([c])],
    run: layerNormBackward,
  },
  {
    name: "RMS norm backward",
    passes: 3,
    make: (r, c) => [random(r, c), random(r, c), randn([c])],
    run: rmsNormBackward,
  },
  {
    name: "cross entropy",
    passes: 1,
    make: (r, c) => [random(r, c), randint(0, c, [r])],
    run: (x, t) => [F.crossEntropyLoss(x, t)],
  },
  {
    name: "cross entropy, with gradient",
    passes: 2,
    make: (r, c) => [random(r, c).requiresGrad_(), randint(0, c, [r])],
    run: (x, t) => {
      const loss = F.crossEntropyLoss(x, t);
      loss.backward();
      const { grad } = x;
      x.grad = null;
      return grad === null ? [loss] : [loss, grad];
    },
  },
];

interface Row {
  readonly name: string;
  readonly shape: string;
  readonly ms: number;
  readonly floor: number;
}

manualSeed(1);
/** Random numbers, by a kernel: the eager ones would take longer than what is measured. */
const random = compile((r: number, c: number) => randn([r, c]), { mode: "aot", dynamic: true });
const rows: Row[] = [];

for (const [r, c] of SHAPES) {
  const [from, to] = [random(r, c), zeros([r, c])];
  const copy = compile((a: Tensor, b: Tensor) => b.copy_(a), { mode: "aot" });
  copy(from, to);
  const copied = fastest(() => noGrad(() => copy(from, to)));
  const copyBytesAMs = 2 * r * c * float32.bytes / copied;
  print(`copy of [${r}, ${c}]: ${(copyBytesAMs / 1e6).toFixed(1)} GB/s`);
  for (const { name, passes, make, run } of CASES) {
    const args = make(r, c);
    const compiled = compile(run, { mode: "aot", fullgraph: true });
    for (const result of compiled(...args)) result.dispose();
    // Results are given back at once, so that the next call's lie in the same memory, as PyTorch's would by counting references.
    const ms = fastest(() => {
      for (const result of compiled(...args)) result.dispose();
    });
    const bytes = passes * r * c * float32.bytes;
    rows.push({ name, shape: `[${r}, ${c}]`, ms, floor: bytes / copyBytesAMs });
  }
}
const python = values["no-peer"] ? null : await findPeer();
const peer = python === null ? {} : await runPeer<Record<string, number>>(python, "cross.py", [
  "--threads",
  values.threads,
  "--seconds",
  values.seconds,
]);
printTable(
  ["what", "shape", "Tessera ms", "PyTorch eager ms", "×", "floor ms", "of the copy's bandwidth"],
  rows.map(({ name, shape, ms, floor }) => {
    const other = peer[`${name} ${shape}`];
    return [
      name,
      shape,
      ms.toFixed(2),
      other === undefined ? "" : other.toFixed(2),
      other === undefined ? "" : (other / ms).toFixed(1),
      floor.toFixed(2),
      `${(100 * floor / ms).toFixed(0)} %`,
    ];
  }),
);
