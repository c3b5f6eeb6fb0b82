/**
 * What generated CUDA kernels reach: memory-bound ones against the bandwidth of a copy, products against the arithmetic peak.
 *
 *     deno run -A bench/cuda_kernels.ts [FILTER]
 *
 * Needs a GPU and nvrtc, no packages. Every case is a graph of one function, compiled as `compile` does it; fused kernels are checked at a small size
 * against the JavaScript kernels first, products at single elements in double precision. Prints a table last.
 */
import { GraphRecorder } from "../src/aot_autograd/recorder.ts";
import { gradOf } from "../src/autograd/mod.ts";
import { bfloat16, cpu, device as deviceOf, type DType, float16, float32, int64 } from "../src/core/mod.ts";
import { Graph } from "../src/graph/mod.ts";
import { emitJsModule } from "../src/inductor/codegen/js/emit_module.ts";
import { compileGraphToPlan } from "../src/inductor/compile_plan.ts";
import type { HostPlan } from "../src/inductor/host_plan.ts";
import { keepsAttention } from "../src/inductor/lower_attention.ts";
import { instantiateJs } from "../src/inductor/js_tier.ts";
import { cpuAllocator, type CpuBuffer } from "../src/runtime/cpu/memory.ts";
import { constantValue, contiguousStride } from "../src/symbolic/mod.ts";
import { F, installOperators, type Tensor, withMode } from "../src/tensor/mod.ts";
import "../src/ops/mod.ts";
import { DevicePlan } from "../tests/helpers/cuda_device.ts";

installOperators();

const filter = Deno.args[0] ?? "";
const COPY_GBPS = 2920;
const rows: string[] = [];

interface Case {
  readonly name: string;
  readonly inputs: readonly (readonly [shape: readonly number[], dtype: DType])[];
  readonly small: readonly (readonly [shape: readonly number[], dtype: DType])[];
  readonly body: (inputs: readonly Tensor[]) => readonly Tensor[];
  /** Reads the inputs and writes the results once; several times for AdamW-like updates. */
  readonly tolerance?: number;
}

function record(shapes: Case["inputs"], body: Case["body"]): Graph {
  const r = new GraphRecorder();
  const results = withMode(r, () => {
    const inputs = shapes.map(([shape, dtype], i) =>
      r.placeholder(`x${i}`, {
        shape,
        stride: contiguousStride(shape),
        storageOffset: 0,
        dtype,
        device: cpu,
      }, dtype.isFloat)
    );
    return body(inputs);
  });
  r.graph.setOutput(results.map((t) => r.nodeOf(t)));
  return r.graph;
}

const bits = new Uint32Array(1);
const floats = new Float32Array(bits.buffer);

/** Bytes of `count` normal numbers of a dtype; indices below 1000 for int64. */
function content(count: number, dtype: DType, seed: number): Uint8Array<ArrayBuffer> {
  const period = Math.min(count, 1 << 20);
  const bytes = new Uint8Array(new ArrayBuffer(period * dtype.bytes));
  let state = seed * 2654435761 >>> 0 || 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return (state + 0.5) / 2 ** 32;
  };
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < period; i++) {
    const x = Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next());
    if (dtype === float32) view.setFloat32(4 * i, x, true);
    else if (dtype === float16) new Float16Array(bytes.buffer, 2 * i, 1)[0] = x;
    else if (dtype === bfloat16) {
      floats[0] = x;
      view.setUint16(2 * i, ((bits[0] ?? 0) + 0x8000) >>> 16, true);
    } else if (dtype === int64) view.setBigInt64(8 * i, BigInt(Math.floor(next() * 1000)), true);
    else throw new TypeError(dtype.name);
  }
  const all = new Uint8Array(new ArrayBuffer(count * dtype.bytes));
  for (let at = 0; at < all.length; at += bytes.length) {
    all.set(bytes.subarray(0, Math.min(bytes.length, all.length - at)), at);
  }
  return all;
}

function numbers(bytes: Uint8Array<ArrayBuffer>, dtype: DType, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (dtype === float32) return view.getFloat32(4 * at, true);
  if (dtype === float16) return new Float16Array(bytes.buffer, bytes.byteOffset + 2 * at, 1)[0] ?? NaN;
  if (dtype === bfloat16) {
    bits[0] = view.getUint16(2 * at, true) << 16;
    return floats[0] ?? NaN;
  }
  return Number(view.getBigInt64(8 * at, true));
}

function planFor(shapes: Case["inputs"], body: Case["body"]): HostPlan {
  return compileGraphToPlan(record(shapes, body), { crossReductions: false }).plan;
}

function bytesOf(plan: HostPlan, i: number): number {
  const slot = plan.slots[i];
  if (slot === undefined) return 0;
  return (constantValue(slot.buffer.numel) ?? 0) * slot.buffer.dtype.bytes;
}

/** Fills a device plan; returns what stands in its inputs. */
function fill(plan: HostPlan, device: DevicePlan): Map<number, Uint8Array<ArrayBuffer>> {
  const given = new Map<number, Uint8Array<ArrayBuffer>>();
  plan.slots.forEach((slot, i) => {
    if (slot.kind === "arena" || slot.kind === "donated") return;
    const own = device.allocate(bytesOf(plan, i), 0xee);
    device.buffers[i] = own;
    if (slot.kind !== "input") return;
    const bytes = content(bytesOf(plan, i) / slot.buffer.dtype.bytes, slot.buffer.dtype, i + 1);
    device.memory.write(own, 0, bytes);
    given.set(i, bytes);
  });
  device.bind([]);
  return given;
}

/** The largest difference from the JavaScript kernels, relative to the largest magnitude. */
function check(c: Case): number {
  const plan = planFor(c.small, c.body);
  const device = new DevicePlan(plan);
  const given = fill(plan, device);
  const buffers: CpuBuffer[] = plan.slots.map((_, i) => {
    const own = cpuAllocator().allocateZeroed(Math.max(8, bytesOf(plan, i)));
    const bytes = given.get(i);
    if (bytes !== undefined) own.uint8.set(bytes);
    return own;
  });
  instantiateJs(emitJsModule(plan), plan).run(buffers, []);
  device.launch();
  device.context.synchronize();
  let worst = 0;
  plan.slots.forEach((slot, i) => {
    if (slot.kind !== "output") return;
    const own = device.buffers[i];
    if (own === undefined) return;
    const got = device.memory.readSync(own, 0, bytesOf(plan, i));
    const want = new Uint8Array((buffers[i] as CpuBuffer).uint8.slice().buffer);
    const count = bytesOf(plan, i) / slot.buffer.dtype.bytes;
    let largest = 1e-30;
    for (let k = 0; k < count; k++) largest = Math.max(largest, Math.abs(numbers(want, slot.buffer.dtype, k)));
    for (let k = 0; k < count; k++) {
      const d = Math.abs(numbers(got, slot.buffer.dtype, k) - numbers(want, slot.buffer.dtype, k)) / largest;
      if (!(d <= worst)) worst = d;
    }
  });
  return worst;
}

function bandwidth(c: Case): void {
  if (!c.name.includes(filter)) return;
  try {
    const error = check(c);
    const plan = planFor(c.inputs, c.body);
    const device = new DevicePlan(plan);
    fill(plan, device);
    let bytes = 0;
    plan.slots.forEach((slot, i) => {
      if (slot.kind !== "arena") bytes += bytesOf(plan, i);
    });
    const ms = device.time();
    const rate = bytes / ms / 1e6;
    const ok = error <= (c.tolerance ?? 1e-5) ? "" : "  WRONG";
    rows.push(
      `${c.name.padEnd(34)} ${ms.toFixed(4).padStart(9)} ms ${rate.toFixed(0).padStart(6)} GB/s ${
        (100 * rate / COPY_GBPS).toFixed(0).padStart(4)
      } %  kernels ${device.launches}  error ${error.toExponential(1)}${ok}  compiled in ${
        device.compileMs.toFixed(0)
      } ms`,
    );
    for (const own of device.buffers) own?.dispose();
  } catch (e) {
    rows.push(`${c.name.padEnd(34)} FAILED ${e instanceof Error ? e.message.slice(0, 600) : e}`);
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
  const compiled = `compiled in ${device.compileMs.toFixed(0)} ms`;
  rows.push(`${name.padEnd(34)} ${ms.toFixed(4).padStart(9)} ms ${rate} TFLOP/s  ${error}  ${compiled}`);
  for (const own of device.buffers) own?.dispose();
}

function product(
  name: string,
  [m, n, k]: readonly number[],
  dtype: DType,
  layout: "nt" | "nn" | "tn",
  batch = 1,
): void {
  if (!name.includes(filter) || m === undefined || n === undefined || k === undefined) return;
  try {
    const b = batch > 1 ? [batch] : [];
    const aShape = layout === "tn" ? [...b, k, m] : [...b, m, k];
    const bShape = layout === "nt" ? [...b, n, k] : [...b, k, n];
    const plan = planFor([[aShape, dtype], [bShape, dtype]], ([x, y]) => {
      if (x === undefined || y === undefined) return [];
      const p = layout === "tn" ? F.transpose(x, -2, -1) : x;
      const q = layout === "nt" ? F.transpose(y, -2, -1) : y;
      return [batch > 1 ? F.bmm(p, q) : F.mm(p, q)];
    });
    const device = new DevicePlan(plan);
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
  } catch (e) {
    rows.push(`${name.padEnd(34)} FAILED ${e instanceof Error ? e.message.slice(0, 600) : e}`);
  }
}

type One = (x: Tensor) => Tensor;
const same = (f: One) => (inputs: readonly Tensor[]): Tensor[] => inputs[0] === undefined ? [] : [f(inputs[0])];
const both = (large: number[], small: number[], dtype: DType): Pick<Case, "inputs" | "small"> => ({
  inputs: [[large, dtype]],
  small: [[small, dtype]],
});
const half = (t: number): { tolerance: number } => ({ tolerance: t });

for (const dtype of [float32, bfloat16]) {
  const t = dtype === float32 ? half(1e-5) : half(8e-3);
  const s = dtype.short;
  bandwidth({ name: `copy+1 ${s} 2^27`, ...both([1 << 27], [1000], dtype), body: same((x) => F.add(x, 1)), ...t });
  bandwidth({
    name: `gelu(x)*x ${s} 16384x4096`,
    ...both([16384, 4096], [13, 40], dtype),
    body: same((x) => F.mul(F.gelu(x), x)),
    ...t,
  });
  for (const [r, c] of [[16384, 4096], [65536, 1024], [4096, 32768], [32768, 257]] as const) {
    bandwidth({
      name: `softmax ${s} ${r}x${c}`,
      ...both([r, c], [7, c], dtype),
      body: same((x) => F.softmax(x, 1)),
      ...t,
    });
  }
  const norm = (rowsOf: number, c: number): Pick<Case, "inputs" | "small"> => ({
    inputs: [[[rowsOf, c], dtype], [[c], dtype], [[c], dtype]],
    small: [[[9, c], dtype], [[c], dtype], [[c], dtype]],
  });
  bandwidth({
    name: `layer norm ${s} 16384x4096`,
    ...norm(16384, 4096),
    body: ([x, w, b]) => x === undefined || w === undefined || b === undefined ? [] : [F.layerNorm(x, [4096], w, b)],
    ...t,
  });
  bandwidth({
    name: `rms norm ${s} 16384x4096`,
    ...norm(16384, 4096),
    body: ([x, w]) =>
      x === undefined || w === undefined
        ? []
        : [F.mul(F.mul(x, F.rsqrt(F.add(F.mean(F.mul(x, x), [1], true), 1e-6))), w)],
    ...t,
  });
  bandwidth({
    name: `sum rows ${s} 16384x8192`,
    ...both([16384, 8192], [5, 8192], dtype),
    body: same((x) => F.sum(x, [1])),
    ...t,
  });
  bandwidth({
    name: `sum columns ${s} 16384x8192`,
    ...both([16384, 8192], [300, 136], dtype),
    body: same((x) => F.sum(x, [0])),
    ...t,
  });
  bandwidth({
    name: `sum columns ${s} 65536x768`,
    ...both([65536, 768], [4000, 768], dtype),
    body: same((x) => F.sum(x, [0])),
    ...t,
  });
  bandwidth({ name: `sum all ${s} 2^27`, ...both([1 << 27], [100000], dtype), body: same((x) => F.sum(x)), ...t });
  bandwidth({
    name: `transpose ${s} 8192x8192`,
    ...both([8192, 8192], [70, 90], dtype),
    body: same((x) => F.add(F.transpose(x, 0, 1), 1)),
    ...t,
  });
}
bandwidth({
  name: "cross entropy f32 8192x50257",
  inputs: [[[8192, 50257], float32], [[8192], int64]],
  small: [[[6, 50257], float32], [[6], int64]],
  body: ([x, y]) => x === undefined || y === undefined ? [] : [F.crossEntropyLoss(x, y)],
});
bandwidth({
  name: "layer norm gradient f32 16384x4096",
  inputs: [[[16384, 4096], float32], [[4096], float32], [[4096], float32], [[16384, 4096], float32]],
  small: [[[40, 4096], float32], [[4096], float32], [[4096], float32], [[40, 4096], float32]],
  body: ([x, w, b, d]) => {
    if (x === undefined || w === undefined || b === undefined || d === undefined) return [];
    return gradOf([F.layerNorm(x, [x.shape[1] as number], w, b)], [x, w, b], { gradOutputs: [d] }).filter((
      t,
    ): t is Tensor => t !== null);
  },
  tolerance: 2e-5,
});
bandwidth({
  name: "cumsum f32 8192x8192",
  ...both([8192, 8192], [5, 8192], float32),
  body: same((x) => F.cumsum(x, 1)),
});
bandwidth({
  name: "adamw f32 2^26",
  inputs: [0, 1, 2, 3].map(() => [[1 << 26], float32] as const),
  small: [0, 1, 2, 3].map(() => [[1001], float32] as const),
  body: ([p, g, m, v]) => {
    if (p === undefined || g === undefined || m === undefined || v === undefined) return [];
    const m2 = F.add(F.mul(m, 0.9), F.mul(g, 0.1));
    const v2 = F.add(F.mul(F.abs(v), 0.999), F.mul(F.mul(g, g), 0.001));
    return [F.sub(F.mul(p, 0.99), F.mul(F.div(m2, F.add(F.sqrt(v2), 1e-8)), 1e-3)), m2, v2];
  },
});

/** A convolution with channels innermost; sizes: batch, channels in and out, image, filter, stride. */
function convolution(name: string, [n, ci, co, hw, kernel, stride]: readonly number[]): void {
  if (!name.includes(filter) || n === undefined || ci === undefined || co === undefined || hw === undefined) return;
  if (kernel === undefined || stride === undefined) return;
  try {
    const pad = kernel >> 1;
    const last = (s: readonly number[]): number[] => {
      const [, c = 1, h = 1, w = 1] = s;
      return [c * h * w, 1, w * c, c];
    };
    const r = new GraphRecorder();
    const input = (shape: readonly number[], i: number): Tensor =>
      r.placeholder(`x${i}`, { shape, stride: last(shape), storageOffset: 0, dtype: bfloat16, device: cpu });
    const y = withMode(r, () => {
      const [x, w] = [input([n, ci, hw, hw], 0), input([co, ci, kernel, kernel], 1)];
      return F.relu(F.conv2d(x, w, null, [stride, stride], [pad, pad]));
    });
    r.graph.setOutput([r.nodeOf(y)]);
    const { plan } = compileGraphToPlan(r.graph, { crossReductions: false });
    const device = new DevicePlan(plan);
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
  } catch (e) {
    rows.push(`${name.padEnd(34)} FAILED ${e instanceof Error ? e.message.slice(0, 600) : e}`);
  }
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
  try {
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
    const { plan } = compileGraphToPlan(r.graph, { crossReductions: false });
    const device = new DevicePlan(plan);
    const given = fill(plan, device);
    const [q, k, v] = [given.get(0), given.get(1), given.get(2)];
    if (q === undefined || k === undefined || v === undefined) throw new Error("no buffers");
    const got = outputOf(plan, device);
    let worst = 0;
    for (let t = 0; t < 20; t++) {
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
      const d = Math.abs(numbers(got, dtype, place(i, j)) - sum / parts.reduce((x, y) => x + y, 0));
      if (!(d <= worst)) worst = d;
    }
    const ms = device.time(15, 3);
    const flops = 4 * b * h * length * length * width / (isCausal ? 2 : 1);
    reach(name, flops, ms, worst, 2e-2, device);
  } catch (e) {
    rows.push(`${name.padEnd(34)} FAILED ${e instanceof Error ? e.message.slice(0, 600) : e}`);
  }
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

Deno.stdout.writeSync(new TextEncoder().encode(`${rows.join("\n")}\n`));
if (rows.some((r) => r.includes("WRONG") || r.includes("FAILED"))) Deno.exit(1);
