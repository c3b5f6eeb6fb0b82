/**
 * What generated products, convolutions and attention reach on a CUDA device. What memory bounds is in `cuda_memory.ts`.
 *
 *     deno run -A bench/cuda_kernels.ts [FILTER] [--turn FILE]
 *
 * Needs a GPU and nvrtc, no packages. Every case is a graph of one function, compiled as `compile` does it, and checked at single elements in double precision.
 * All are compiled first; `--turn` waits then, where others compile beside it (`waitForTurn`).
 */
import { GraphRecorder } from "../src/aot_autograd/recorder.ts";
import { bfloat16, device as deviceOf, type DType, float16, float32 } from "../src/core/mod.ts";
import { Graph } from "../src/graph/mod.ts";
import { compileGraphToPlan } from "../src/inductor/compile_plan.ts";
import type { HostPlan } from "../src/inductor/host_plan.ts";
import { keepsAttention } from "../src/inductor/lower_attention.ts";
import { contiguousStride } from "../src/symbolic/mod.ts";
import { F, type Tensor, withMode } from "../src/tensor/mod.ts";
import { DevicePlan } from "../tests/helpers/cuda_device.ts";
import { bytesOf, fill, numbers, planFor } from "./cuda_cases.ts";
import { waitForTurn } from "./cuda_support.ts";
import { print } from "./support.ts";

const turnAt = Deno.args.indexOf("--turn");
const turn = turnAt < 0 ? null : Deno.args[turnAt + 1] ?? null;
const filter = Deno.args.filter((_, i) => turnAt < 0 || (i !== turnAt && i !== turnAt + 1))[0] ?? "";
let faults = 0;
/** What is left to do of each case: fill, check, time. */
const compiled: (() => void)[] = [];

/** Compiles a case now, and leaves the rest of it for later. */
function later(name: string, plan: () => HostPlan, run: (device: DevicePlan, plan: HostPlan) => void): void {
  const failed = (e: unknown): void => {
    faults++;
    print(`${name.padEnd(34)} FAILED ${e instanceof Error ? e.message.slice(0, 600) : e}`);
  };
  try {
    const made = plan();
    const device = new DevicePlan(made);
    compiled.push(() => {
      try {
        run(device, made);
      } catch (e) {
        failed(e);
      }
      for (const own of device.buffers) own?.dispose();
    });
  } catch (e) {
    failed(e);
  }
}

/** Runs a plan once; what it writes. */
function outputOf(plan: HostPlan, device: DevicePlan): Uint8Array<ArrayBuffer> {
  device.launch();
  device.context.synchronize();
  const at = plan.slots.findIndex((s) => s.kind === "output");
  const own = device.buffers[at];
  if (own === undefined) throw new Error("no result");
  return device.memory.readSync(own, 0, bytesOf(plan, at));
}

/** A row about arithmetic. */
function reach(name: string, flops: number, ms: number, worst: number, limit: number, device: DevicePlan): void {
  const rate = (flops / ms / 1e9).toFixed(0).padStart(6);
  const error = `error ${worst.toExponential(1)}${worst <= limit ? "" : "  WRONG"}`;
  const took = `compiled in ${device.compileMs.toFixed(0)} ms`;
  if (!(worst <= limit)) faults++;
  print(`${name.padEnd(34)} ${ms.toFixed(4).padStart(9)} ms ${rate} TFLOP/s  ${error}  ${took}`);
}

function product(
  name: string,
  [m, n, k]: readonly number[],
  dtype: DType,
  layout: "nt" | "nn" | "tn",
  batch = 1,
): void {
  if (!name.includes(filter) || m === undefined || n === undefined || k === undefined) return;
  const b = batch > 1 ? [batch] : [];
  const aShape = layout === "tn" ? [...b, k, m] : [...b, m, k];
  const bShape = layout === "nt" ? [...b, n, k] : [...b, k, n];
  const make = (): HostPlan =>
    planFor([[aShape, dtype], [bShape, dtype]], ([x, y]) => {
      if (x === undefined || y === undefined) return [];
      const p = layout === "tn" ? F.transpose(x, -2, -1) : x;
      const q = layout === "nt" ? F.transpose(y, -2, -1) : y;
      return [batch > 1 ? F.bmm(p, q) : F.mm(p, q)];
    });
  later(name, make, (device, plan) => {
    const given = fill(plan, device);
    const [x, y] = [given.get(0), given.get(1)];
    if (x === undefined || y === undefined) throw new Error("no buffers");
    const got = outputOf(plan, device);
    let worst = 0;
    for (let t = 0; t < 200; t++) {
      const [bi, i, j] = [t * 7 % batch, t * 7919 % m, (t * 104729 + 13) % n];
      let sum = 0;
      for (let l = 0; l < k; l++) {
        const a = numbers(x, dtype, bi * m * k + (layout === "tn" ? l * m + i : i * k + l));
        sum += a * numbers(y, dtype, bi * n * k + (layout === "nt" ? j * k + l : l * n + j));
      }
      const d = Math.abs(numbers(got, dtype, bi * m * n + i * n + j) - sum) / (Math.sqrt(k) + Math.abs(sum));
      if (!(d <= worst)) worst = d;
    }
    const ms = device.time(15, 3);
    const limit = dtype === float32 ? 1e-5 : dtype === float16 ? 1e-3 : 5e-3;
    reach(name, 2 * batch * m * n * k, ms, worst, limit, device);
  });
}

/** A convolution with channels innermost, as networks have it; sizes: batch, channels in and out, image, filter, stride. */
function convolution(name: string, [n, ci, co, hw, kernel, stride]: readonly number[]): void {
  if (!name.includes(filter) || n === undefined || ci === undefined || co === undefined || hw === undefined) return;
  if (kernel === undefined || stride === undefined) return;
  const pad = kernel >> 1;
  const last = (s: readonly number[]): number[] => {
    const [, c = 1, h = 1, w = 1] = s;
    return [c * h * w, 1, w * c, c];
  };
  const r = new GraphRecorder();
  const input = (shape: readonly number[], i: number): Tensor =>
    r.placeholder(`x${i}`, {
      shape,
      stride: last(shape),
      storageOffset: 0,
      dtype: bfloat16,
      device: deviceOf("cuda:0"),
    });
  const y = withMode(r, () => {
    const [x, w] = [input([n, ci, hw, hw], 0), input([co, ci, kernel, kernel], 1)];
    const found = F.relu(F.conv2d(x, w, null, [stride, stride], [pad, pad]));
    return F.permute(F.permute(found, [0, 2, 3, 1]).contiguous(), [0, 3, 1, 2]);
  });
  r.graph.setOutput([r.nodeOf(y)]);
  later(name, () => compileGraphToPlan(r.graph, { crossReductions: false }).plan, (device, plan) => {
    const given = fill(plan, device);
    const [x, w] = [given.get(0), given.get(1)];
    if (x === undefined || w === undefined) throw new Error("no buffers");
    const got = outputOf(plan, device);
    const out = Number(y.shape[2]);
    let worst = 0;
    for (let t = 0; t < 100; t++) {
      const [bi, o, i, j] = [t * 7 % n, t * 13 % co, t * 31 % out, t * 17 % out];
      let sum = 0;
      for (let u = 0; u < kernel; u++) {
        for (let v = 0; v < kernel; v++) {
          const [h, l] = [i * stride + u - pad, j * stride + v - pad];
          if (h < 0 || l < 0 || h >= hw || l >= hw) continue;
          for (let c = 0; c < ci; c++) {
            const a = numbers(x, bfloat16, ((bi * hw + h) * hw + l) * ci + c);
            sum += a * numbers(w, bfloat16, ((o * kernel + u) * kernel + v) * ci + c);
          }
        }
      }
      sum = Math.max(sum, 0);
      const [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = y.stride.map(Number);
      const d = Math.abs(numbers(got, bfloat16, bi * s0 + o * s1 + i * s2 + j * s3) - sum) /
        (Math.sqrt(ci * kernel * kernel) + Math.abs(sum));
      if (!(d <= worst)) worst = d;
    }
    const ms = device.time(15, 5);
    const flops = 2 * n * co * out * out * ci * kernel * kernel;
    reach(name, flops, ms, worst, 5e-3, device);
  });
}

for (
  const [what, sizes] of [
    ["3x3 64 at 56", [32, 64, 64, 56, 3, 1]],
    ["3x3 128 at 28", [32, 128, 128, 28, 3, 1]],
    ["3x3 256 at 14", [32, 256, 256, 14, 3, 1]],
    ["3x3 512 at 7", [32, 512, 512, 7, 3, 1]],
    ["1x1 256 to 64 at 56", [32, 256, 64, 56, 1, 1]],
    ["1x1 64 to 256 at 56", [32, 64, 256, 56, 1, 1]],
    ["7x7 3 to 64 at 224", [32, 3, 64, 224, 7, 2]],
  ] as const
) convolution(`conv bf16 ${what}`, sizes);

/** Attention of `[batch, heads, length, width]`, views of `[batch, length, heads, width]` as projections leave them. */
function attention(name: string, sizes: readonly number[], dtype: DType, isCausal = false): void {
  if (!name.includes(filter)) return;
  const [b = 1, h = 1, length = 1, width = 1] = sizes;
  const r = new GraphRecorder(keepsAttention(new Graph()));
  const shape = [b, length, h, width];
  const out = withMode(r, () => {
    const [q, k, v] = ["q", "k", "v"].map((n) =>
      r.placeholder(n, {
        shape,
        stride: contiguousStride(shape),
        storageOffset: 0,
        dtype,
        device: deviceOf("cuda:0"),
      })
    ).map((t) => F.transpose(t, 1, 2)) as [Tensor, Tensor, Tensor];
    return F.transpose(F.scaledDotProductAttention(q, k, v, null, 0, isCausal), 1, 2);
  });
  r.graph.setOutput([r.nodeOf(out)]);
  later(name, () => compileGraphToPlan(r.graph, { crossReductions: false }).plan, (device, plan) => {
    const given = fill(plan, device);
    const [q, k, v] = [given.get(0), given.get(1), given.get(2)];
    if (q === undefined || k === undefined || v === undefined) throw new Error("no buffers");
    const got = outputOf(plan, device);
    const [ofBatch = 0, ofRow = 0, ofHead = 0, ofColumn = 0] = out.stride.map(Number);
    let worst = 0;
    for (let t = 0; t < 8; t++) {
      const [bi, hi, i, j] = [t * 7 % b, t * 13 % h, t * 7919 % length, t * 31 % width];
      const place = (row: number, column: number): number => ((bi * length + row) * h + hi) * width + column;
      const scores: number[] = [];
      for (let n = 0; n < (isCausal ? i + 1 : length); n++) {
        let sum = 0;
        for (let d = 0; d < width; d++) sum += numbers(q, dtype, place(i, d)) * numbers(k, dtype, place(n, d));
        scores.push(sum / Math.sqrt(width));
      }
      const top = scores.reduce((x, y) => Math.max(x, y), -Infinity);
      const parts = scores.map((x) => Math.exp(x - top));
      const sum = parts.reduce((all, p, n) => all + p * numbers(v, dtype, place(n, j)), 0);
      const found = numbers(got, dtype, bi * ofBatch + i * ofRow + hi * ofHead + j * ofColumn);
      const d = Math.abs(found - sum / parts.reduce((x, y) => x + y, 0));
      if (!(d <= worst)) worst = d;
    }
    const ms = device.time(15, 3);
    const flops = 4 * b * h * length * length * width / (isCausal ? 2 : 1);
    reach(name, flops, ms, worst, 2e-2, device);
  });
}

for (const width of [64, 128]) {
  for (const length of [512, 2048, 8192]) {
    for (const isCausal of [false, true]) {
      const name = `attention bf16 ${width} at ${length}${isCausal ? " causal" : ""}`;
      attention(name, [Math.max(1, 16384 / length), 2048 / width, length, width], bfloat16, isCausal);
    }
  }
}
attention("attention f16 64 at 197 (ViT)", [32, 12, 197, 64], float16);

for (const dtype of [bfloat16, float16]) {
  for (const size of [4096, 8192]) {
    product(`mm ${dtype.short} nt ${size}`, [size, size, size], dtype, "nt");
    if (dtype === bfloat16) product(`mm ${dtype.short} nn ${size}`, [size, size, size], dtype, "nn");
  }
}
product("mm bf16 tn 4096", [4096, 4096, 4096], bfloat16, "tn");
product("mm bf16 nt 6304x768x768", [6304, 768, 768], bfloat16, "nt");
product("mm bf16 nt 6304x3072x768", [6304, 3072, 768], bfloat16, "nt");
product("mm bf16 nt 6304x768x3072", [6304, 768, 3072], bfloat16, "nt");
product("mm bf16 nt 2048x50304x768", [2048, 50304, 768], bfloat16, "nt");
product("mm bf16 nt 512x1024x8192", [512, 1024, 8192], bfloat16, "nt");
product("mm bf16 nt 256x768x768", [256, 768, 768], bfloat16, "nt");
product("bmm bf16 nt 96x512x512x64", [512, 512, 64], bfloat16, "nt", 96);
product("bmm bf16 nn 96x512x64x512", [512, 64, 512], bfloat16, "nn", 96);
product("mm f16 nt 1000x1000x1000", [1000, 1000, 1000], float16, "nt");
product("mm f16 nn 999x1001x500", [999, 1001, 500], float16, "nn");
product("mm f32 nn 4096", [4096, 4096, 4096], float32, "nn");
product("mm f32 nn 64x64x16384", [64, 64, 16384], float32, "nn");

await waitForTurn(turn);
for (const run of compiled) run();
print(`${compiled.length} cases, ${faults} of them wrong or failed`);
if (faults > 0) Deno.exit(1);
