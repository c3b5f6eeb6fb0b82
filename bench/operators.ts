/**
 * Bandwidth of the C++ kernels of elementwise and reduction operators on 16 Mi float32 elements, beside a plain copy in the same run.
 *
 * `deno task bench operators [-- NAME …]` or `deno run -A bench/operators.ts [--json] [--cpu] [--peer] [NAME …]`. Counted are the bytes of inputs read once and of
 * results written once; results go into memory that exists already, as in a plan that reuses buffers. The copy is the faster one of memmove
 * (`TypedArray.set`) and the compiled `out.copy_(x)`; each operator's calls alternate with copies, and the fastest of both count, which other load on the
 * machine disturbs least. With `--cpu` a kernel's and a copy's processor time are compared, all threads together, and medians of the rounds count: on a loaded machine a kernel that computes
 * waits for a core where a copy waits for memory, so that wall time says little. With `--peer` PyTorch eager runs the same operators afterwards.
 */
import process from "node:process";
import { compile, float32, int32, type Tensor, tensor, zeros } from "../mod.ts";
import { registerLibrary } from "../src/capture/mod.ts";
import { tensorFrom } from "../src/tensor/mod.ts";
import { ROWS } from "./operator_rows.ts";
import { findPeer, print, printTable, runPeer, timed } from "./support.ts";

/** Rows and columns of the operands: 16 Mi elements. */
const SIDE = 4096;
const ELEMENTS = SIDE * SIDE;
const ROUNDS = 12;
/** What an operator should reach of the copy's bandwidth. */
const AIM = 0.8;

/** Operators that raise where a divisor is 0 or a number is no probability. */
const REFUSING = ["floor_divide, whole", "remainder, whole", "fmod, whole", "binary_cross_entropy"];

const flags = Deno.args.filter((a) => a.startsWith("--"));
const asked = Deno.args.filter((a) => !a.startsWith("--"));
const rows = ROWS.filter((row) =>
  asked.length === 0 || asked.some((name) => row.name === name || row.name.split(" ")[0] === name)
);

const data = Float32Array.from(
  { length: ELEMENTS },
  (_, i) => 0.05 + 0.9 * ((i * 2654435761 % 4294967296) / 4294967296),
);
// In memory of the allocator, as results of other kernels would be.
const x = zeros([SIDE, SIDE]).copy_(tensorFrom([SIDE, SIDE], data, float32));
const y = zeros([SIDE, SIDE]).copy_(tensorFrom([SIDE, SIDE], data.toReversed(), float32));
// Whole numbers from 1 to 19, which shift as well as they divide.
const xs = x.mul(20).add(0.05).to(int32), ys = y.mul(20).add(0.05).to(int32);
const from = new Float32Array(ELEMENTS).fill(1);
const to = new Float32Array(ELEMENTS);
const copied = zeros([SIDE, SIDE]);
const copyKernel = compile((a: Tensor, out: Tensor) => void out.copy_(a), { mode: "aot" });
copyKernel(x, copied);
await copyKernel.ready();
const copyBytes = 2 * 4 * ELEMENTS;
/** Milliseconds of a call: by the wall, or of this process's threads together. */
function taken(run: () => void): number {
  if (!flags.includes("--cpu")) return timed(run);
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
/** Gigabytes a second of the faster copy. */
function copySpeed(): number {
  const ms = Math.min(taken(() => to.set(from)), taken(() => copyKernel(x, copied)));
  return copyBytes / ms / 1e6;
}

interface Measured {
  readonly name: string;
  readonly ms: number;
  readonly gb_s: number;
  readonly copy_gb_s: number;
  readonly share: number;
}
const measured: Measured[] = [];
for (const row of rows) {
  const [a, b] = row.isWhole === true ? [xs, ys] : [x, y];
  const small = row.run(
    tensor([[0.25, 0.5], [0.5, 0.25]]).to(a.dtype),
    tensor([[0.5, 0.5], [0.25, 0.75]]).add(row.isWhole === true ? 1 : 0).to(a.dtype),
  );
  // The result's shape, without an eager run over 16 Mi elements: reductions drop an axis, the others keep the operand's size.
  const shape = small.numel === 1 && small.ndim === 0 ? [] : small.ndim === 1 ? [SIDE] : [SIDE, SIDE];
  const out = zeros(shape, { dtype: small.dtype });
  // A scan is a kernel of its own and would be copied into the result by another one: it is returned instead, and its memory given back. So are results of
  // operators that refuse some data, whose operands would be read once more before memory that exists is written.
  const isReturned = row.name.includes("cum") || REFUSING.some((name) => row.name.startsWith(name));
  const step: (a: Tensor, b: Tensor, into: Tensor) => Tensor | undefined = isReturned
    ? (a, b) => row.run(a, b)
    : (a, b, into) => void into.copy_(row.run(a, b));
  // The function and what it holds are the benchmark's own: nothing of it can change between calls.
  registerLibrary({ step });
  const fn = compile(step, { mode: "aot", fullgraph: true });
  fn(a, b, out)?.dispose();
  await fn.ready();
  const bytes = row.reads * 4 * ELEMENTS + out.numel * small.dtype.bytes;
  const rounds = Array.from({ length: ROUNDS }, () => {
    const beside = copySpeed();
    let result: Tensor | undefined;
    const own = bytes / taken(() => {
      result = fn(a, b, out);
    }) / 1e6;
    result?.dispose();
    return { own, beside, share: own / beside };
  });
  const most = (values: readonly number[]): number => Math.max(...values);
  const middle = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
  const typical = flags.includes("--cpu") ? middle : most;
  const speed = typical(rounds.map((r) => r.own));
  const copy = typical(rounds.map((r) => r.beside));
  const share = flags.includes("--cpu") ? middle(rounds.map((r) => r.share)) : speed / copy;
  measured.push({ name: row.name, ms: bytes / speed / 1e6, gb_s: speed, copy_gb_s: copy, share });
  if (flags.includes("--progress")) {
    print(`${row.name}: ${speed.toFixed(1)} GB/s, copy ${copy.toFixed(1)}, ${(100 * share).toFixed(0)} %`);
  }
}
const python = flags.includes("--peer") ? await findPeer() : null;
const peer = python === null ? {} : await runPeer<Record<string, number>>(python, "operators.py", [
  ...flags.filter((flag) => flag === "--cpu"),
  ...measured.map((m) => m.name),
]);
/** How many times as long PyTorch takes. */
function times(m: Measured): string {
  const other = peer[m.name];
  return other === undefined ? "" : (other / m.ms).toFixed(1);
}
if (flags.includes("--json")) print(JSON.stringify(measured.map((m) => ({ ...m, peer_ms: peer[m.name] ?? null }))));
else {
  printTable(
    ["operator", "GB/s", "copy GB/s", "% of copy", "× PyTorch"],
    measured.map((m) => [m.name, m.gb_s.toFixed(1), m.copy_gb_s.toFixed(1), (100 * m.share).toFixed(0), times(m)]),
  );
  const slow = measured.filter((m) => m.share < AIM);
  print(
    `${measured.length - slow.length} of ${measured.length} reach ${AIM * 100} % of the copy; below: ${
      slow.map((m) => m.name).join(", ") || "none"
    }`,
  );
}
