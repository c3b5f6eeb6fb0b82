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
import { compile, float16, float32, int64, type Tensor, tensor, zeros } from "../mod.ts";
import { registerLibrary } from "../src/capture/mod.ts";
import { dispatch, tensorFrom } from "../src/tensor/mod.ts";
import { getOp } from "../src/ops/mod.ts";
import { findPeer, print, printTable, runPeer, timed } from "./support.ts";

/** Rows and columns of the operands: 16 Mi elements. */
const SIDE = 4096;
const ELEMENTS = SIDE * SIDE;
const ROUNDS = 12;
/** What an operator should reach of the copy's bandwidth. */
const AIM = 0.8;

const UNARY = [
  "abs",
  "acos",
  "acosh",
  "asin",
  "asinh",
  "atan",
  "atanh",
  "ceil",
  "cos",
  "cosh",
  "deg2rad",
  "digamma",
  "elu",
  "celu",
  "erf",
  "erfc",
  "erfinv",
  "exp",
  "exp2",
  "expm1",
  "floor",
  "frac",
  "gelu",
  "hardsigmoid",
  "hardswish",
  "hardtanh",
  "i0",
  "leaky_relu",
  "lgamma",
  "log",
  "log10",
  "log1p",
  "log2",
  "log_sigmoid",
  "logit",
  "mish",
  "nan_to_num",
  "neg",
  "reciprocal",
  "relu",
  "relu6",
  "round",
  "rsqrt",
  "selu",
  "sigmoid",
  "sign",
  "silu",
  "sin",
  "sinc",
  "sinh",
  "softplus",
  "softshrink",
  "hardshrink",
  "sqrt",
  "square",
  "tan",
  "tanh",
  "trunc",
  "isnan",
  "isfinite",
  "signbit",
  "logical_not",
] as const;
const BINARY = [
  "add.Tensor",
  "sub.Tensor",
  "mul.Tensor",
  "div.Tensor",
  "maximum",
  "minimum",
  "fmax",
  "fmin",
  "pow.Tensor_Tensor",
  "atan2",
  "fmod.Tensor",
  "remainder.Tensor",
  "floor_divide",
  "hypot",
  "copysign.Tensor",
  "logaddexp",
  "xlogy.Tensor",
  "nextafter",
  "eq.Tensor",
  "lt.Tensor",
  "logical_and",
] as const;

/** One row: what is run on two matrices, and the bytes that it has to move. */
interface Row {
  readonly name: string;
  readonly run: (x: Tensor, y: Tensor) => Tensor;
  /** Float32 operands read whole. */
  readonly reads: 1 | 2 | 3;
}

function target(name: string): ReturnType<typeof getOp> {
  return getOp(`aten.${name.includes(".") ? name : `${name}.default`}`);
}

function both(name: string, ...given: readonly unknown[]): readonly [Tensor, Tensor] {
  const op = target(name);
  const args = Object.fromEntries(given.map((value, i) => [op.schema.args[i]?.key ?? "", value]));
  const result: unknown = dispatch(op, args);
  return (Array.isArray(result) ? result : [result, result]) as unknown as readonly [Tensor, Tensor];
}

function call(name: string, ...given: readonly unknown[]): Tensor {
  return both(name, ...given)[0];
}

/** A reduction or scan with its arguments after `self`. */
function axis(name: string, label: string, ...rest: readonly unknown[]): Row {
  return { name: `${name.split(".")[0]} ${label}`, reads: 1, run: (x) => call(name, x, ...rest) };
}

const ROWS: readonly Row[] = [
  ...UNARY.map((name): Row => ({ name, reads: 1, run: (x) => call(name, x) })),
  { name: "clamp", reads: 1, run: (x) => call("clamp", x, 0.25, 0.75) },
  { name: "pow 3", reads: 1, run: (x) => call("pow.Tensor_Scalar", x, 3) },
  { name: "pow 2.5", reads: 1, run: (x) => call("pow.Tensor_Scalar", x, 2.5) },
  { name: "add number", reads: 1, run: (x) => x.add(1.5) },
  { name: "gelu tanh", reads: 1, run: (x) => call("gelu", x, "tanh") },
  { name: "to float16", reads: 1, run: (x) => x.to(float16) },
  { name: "to int64", reads: 1, run: (x) => x.to(int64) },
  ...BINARY.map((name): Row => ({ name: name.split(".")[0] ?? name, reads: 2, run: (x, y) => call(name, x, y) })),
  { name: "lerp", reads: 2, run: (x, y) => call("lerp.Scalar", x, y, 0.3) },
  { name: "where", reads: 2, run: (x, y) => call("where.self", x.gt(0.5), x, y) },
  { name: "transpose copy", reads: 1, run: (x) => x.t().clone() },
  ...[
    "sum",
    "mean",
    "amax",
    "amin",
    "prod.dim_int",
    "logsumexp",
    "var.correction",
    "argmax",
    "linalg_vector_norm",
    "any.dim",
    "count_nonzero.dim_IntList",
  ]
    .flatMap((name): Row[] => {
      const single = ["prod.dim_int", "argmax", "any.dim"].includes(name);
      const full = name === "sum" || name === "mean"
        ? `${name}.dim_IntList`.replace("mean.dim_IntList", "mean.dim")
        : name;
      const at = (dim: number): unknown[] => {
        if (full === "linalg_vector_norm") return [2, [dim]];
        return [single ? dim : [dim]];
      };
      return [axis(full, "of rows", ...at(1)), axis(full, "of columns", ...at(0))];
    }),
  axis("sum", "of all"),
  axis("mean", "of all"),
  axis("max", "of all"),
  axis("min", "of all"),
  axis("argmax", "of all"),
  axis("prod", "of all"),
  axis("std", "of all"),
  axis("norm.Scalar", "of all"),
  axis("any", "of all"),
  axis("softmax.int", "of rows", 1),
  axis("softmax.int", "of columns", 0),
  axis("log_softmax.int", "of rows", 1),
  axis("cumsum", "of rows", 1),
  axis("cumsum", "of columns", 0),
  axis("cumprod", "of rows", 1),
  axis("logcumsumexp", "of rows", 1),
  axis("cummax", "of rows", 1),
  // Both results: the positions are made from the numbers.
  { name: "cummax, positions of rows", reads: 1, run: (x) => both("cummax", x, 1)[1] },
];

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
  const small = row.run(tensor([[0.25, 0.5], [0.5, 0.25]]), tensor([[0.5, 0.5], [0.25, 0.75]]));
  // The result's shape, without an eager run over 16 Mi elements: reductions drop an axis, the others keep the operand's size.
  const shape = small.numel === 1 && small.ndim === 0 ? [] : small.ndim === 1 ? [SIDE] : [SIDE, SIDE];
  const out = zeros(shape, { dtype: small.dtype });
  // A scan is a kernel of its own and would be copied into the result by another one: it is returned instead, and its memory given back.
  const isScan = row.name.includes("cum");
  const step: (a: Tensor, b: Tensor, into: Tensor) => Tensor | undefined = isScan
    ? (a, b) => row.run(a, b)
    : (a, b, into) => void into.copy_(row.run(a, b));
  // The function and what it holds are the benchmark's own: nothing of it can change between calls.
  registerLibrary({ step });
  const fn = compile(step, { mode: "aot", fullgraph: true });
  fn(x, y, out)?.dispose();
  await fn.ready();
  const bytes = row.reads * 4 * ELEMENTS + out.numel * small.dtype.bytes;
  const rounds = Array.from({ length: ROUNDS }, () => {
    const beside = copySpeed();
    let result: Tensor | undefined;
    const own = bytes / taken(() => {
      result = fn(x, y, out);
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
