/**
 * What attention reaches on CUDA: forward and gradients, in TFLOP/s of the products that PyTorch counts (two forward, five backward; half of that if causal).
 *
 *     deno run -A bench/cuda_attention.ts [--quick] [--peer]
 *
 * Needs a GPU of compute capability 9.0 and nvrtc. Kernels are those that `compile` makes; sampled rows of the results are checked in double precision.
 * `--peer` also times PyTorch's flash and cuDNN kernels (`python3` with torch). `--quick` leaves most lengths out. Prints a table last.
 */
import { GraphRecorder } from "../src/aot_autograd/recorder.ts";
import { bfloat16, device as deviceOf, float32 } from "../src/core/mod.ts";
import { Graph } from "../src/graph/mod.ts";
import { compileGraphToPlan } from "../src/inductor/compile_plan.ts";
import type { HostPlan } from "../src/inductor/host_plan.ts";
import { keepsAttention } from "../src/inductor/lower_attention.ts";
import { constantValue, contiguousStride } from "../src/symbolic/mod.ts";
import { F, installOperators, type Tensor, withMode } from "../src/tensor/mod.ts";
import "../src/ops/mod.ts";
import { DevicePlan } from "../tests/helpers/cuda_device.ts";

installOperators();

interface Case {
  readonly heads: number;
  readonly length: number;
  readonly width: number;
  readonly causal: boolean;
}

const QUICK = Deno.args.includes("--quick");
const CASES: Case[] = [128, 64].flatMap((width) =>
  [false, true].flatMap((causal) =>
    (QUICK ? (width === 128 ? [4096, 16384] : [4096]) : [1024, 4096, 8192, 16384]).map((length): Case => ({
      heads: (width === 128 ? 16 : 32) * 16384 / length,
      length,
      width,
      causal,
    }))
  )
);

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

type Body = (x: readonly Tensor[]) => readonly Tensor[];
const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);
const widen = (half: number): number => (bits[0] = half << 16, floats[0] ?? NaN);

/** Normal numbers as bfloat16, repeated after a million. */
function randomHalves(count: number, seed: number): Uint16Array<ArrayBuffer> {
  let state = seed * 2654435761 >>> 0 || 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 0.5) / 2 ** 32;
  };
  const out = new Uint16Array(count);
  const period = Math.min(count, 1_000_003);
  for (let i = 0; i < period; i++) {
    floats[0] = Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next());
    out[i] = ((bits[0] ?? 0) + 0x8000) >>> 16;
  }
  for (let at = period; at < count; at += period) out.copyWithin(at, 0, Math.min(period, count - at));
  return out;
}

type Shape = "rows" | "matrix";

/** A plan over inputs of [heads, length, width], or [heads, length] in float32. */
function planOf(c: Case, inputs: readonly Shape[], body: Body): HostPlan {
  const r = new GraphRecorder(keepsAttention(new Graph()));
  const outs = withMode(r, () =>
    body(inputs.map((kind, i) => {
      const shape = kind === "rows" ? [c.heads, c.length] : [c.heads, c.length, c.width];
      const dtype = kind === "rows" ? float32 : bfloat16;
      const meta = { shape, stride: contiguousStride(shape), storageOffset: 0, dtype, device: deviceOf("cuda:0") };
      return r.placeholder(`x${i}`, meta);
    })));
  r.graph.setOutput(outs.map((t) => r.nodeOf(t)));
  return compileGraphToPlan(r.graph, { crossReductions: false }).plan;
}

class Run {
  readonly device: DevicePlan;
  readonly #plan: HostPlan;

  constructor(plan: HostPlan, inputs: readonly Uint8Array<ArrayBuffer>[]) {
    this.#plan = plan;
    this.device = new DevicePlan(plan);
    plan.slots.forEach((slot, i) => {
      if (slot.kind === "arena" || slot.kind === "donated") return;
      const bytes = (constantValue(slot.buffer.numel) ?? 0) * slot.buffer.dtype.bytes;
      const own = this.device.allocate(bytes, 0xff);
      this.device.buffers[i] = own;
      const given = slot.kind === "input" ? inputs[slot.index] : undefined;
      if (given !== undefined) this.device.memory.write(own, 0, given);
    });
    this.device.bind([]);
    this.device.launch();
    this.device.context.synchronize();
  }

  result(i: number): Uint8Array<ArrayBuffer> {
    const result = this.#plan.results[i];
    if (result?.kind !== "tensor") throw new Error(`no result ${i}`);
    const slot = this.#plan.slots.findIndex((s) => s.buffer === result.buffer);
    const own = this.device.buffers[slot];
    if (own === undefined) throw new Error(`no buffer of result ${i}`);
    return this.device.memory.readSync(own, 0, (constantValue(result.buffer.numel) ?? 0) * result.buffer.dtype.bytes);
  }

  time(rounds: number): number {
    return this.device.time(rounds, 1);
  }

  [Symbol.dispose](): void {
    for (const buffer of this.device.buffers) buffer?.[Symbol.dispose]?.();
  }
}

const as16 = (x: Uint8Array<ArrayBuffer>): Uint16Array<ArrayBuffer> => new Uint16Array(x.buffer);
const as32 = (x: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> => new Float32Array(x.buffer);

/** The largest error of sampled rows, relative to the largest value of their row. */
function worstError(
  c: Case,
  [q, k, v, g]: readonly Uint16Array<ArrayBuffer>[],
  lse: Float32Array,
  delta: Float32Array,
  got: Readonly<Record<"out" | "dq" | "dk" | "dv", Uint16Array<ArrayBuffer>>>,
): Record<string, number> {
  if (!q || !k || !v || !g) throw new Error("inputs are missing");
  const { length, width, causal } = c;
  const scale = 1 / Math.sqrt(width);
  const head = c.heads - 1;
  const at = (x: Uint16Array, row: number, d: number): number => widen(x[(head * length + row) * width + d] ?? 0);
  const dot = (x: Uint16Array, i: number, y: Uint16Array, j: number): number => {
    let sum = 0;
    for (let d = 0; d < width; d++) sum += at(x, i, d) * at(y, j, d);
    return sum;
  };
  const worst: Record<string, number> = { out: 0, lse: 0, dq: 0, dk: 0, dv: 0 };
  const note = (name: "out" | "dq" | "dk" | "dv", row: number, want: Float64Array): void => {
    // Some gradients are 0: who sees one key only.
    const largest = want.reduce((a, b) => Math.max(a, Math.abs(b)), 0.02);
    want.forEach((w, d) => {
      const error = Math.abs(at(got[name], row, d) - w) / largest;
      if (!(error <= (worst[name] ?? 0))) worst[name] = error;
    });
  };
  const add = (to: Float64Array, from: Uint16Array, row: number, by: number): void => {
    for (let d = 0; d < width; d++) to[d] = (to[d] ?? 0) + by * at(from, row, d);
  };
  for (const row of [0, 1, 63, 64, 127, 200, length >> 1, length - 1]) {
    const end = causal ? row + 1 : length;
    const scores = Array.from({ length: end }, (_, j) => scale * dot(q, row, k, j));
    const top = Math.max(...scores);
    const known = top + Math.log(scores.reduce((sum, s) => sum + Math.exp(s - top), 0));
    worst["lse"] = Math.max(worst["lse"] ?? 0, Math.abs((lse[head * length + row] ?? NaN) - known));
    const out = new Float64Array(width), dq = new Float64Array(width);
    scores.forEach((s, j) => add(out, v, j, Math.exp(s - known)));
    let own = 0;
    for (let d = 0; d < width; d++) own += (out[d] ?? 0) * at(g, row, d);
    scores.forEach((s, j) => add(dq, k, j, scale * Math.exp(s - known) * (dot(g, row, v, j) - own)));
    note("out", row, out);
    note("dq", row, dq);
    const dk = new Float64Array(width), dv = new Float64Array(width);
    for (let i = causal ? row : 0; i < length; i++) {
      const p = Math.exp(scale * dot(q, i, k, row) - (lse[head * length + i] ?? NaN));
      add(dv, g, i, p);
      add(dk, q, i, scale * p * (dot(g, i, v, row) - (delta[head * length + i] ?? NaN)));
    }
    note("dk", row, dk);
    note("dv", row, dv);
  }
  return worst;
}

interface Row {
  readonly name: string;
  readonly forward: number;
  readonly backward: number;
}

function measure(c: Case): Row {
  const { heads, length, width, causal } = c;
  const scale = 1 / Math.sqrt(width);
  const halves = [1, 2, 3, 4].map((seed) => randomHalves(heads * length * width, seed));
  const inputs = halves.map((x) => new Uint8Array(x.buffer));
  const flops = 4 * heads * length * length * width / (causal ? 2 : 1);
  const rounds = QUICK ? 9 : 15;
  const matrices = ["matrix", "matrix", "matrix"] as const;
  using there = new Run(
    planOf(c, matrices, ([q, k, v]) => {
      if (!q || !k || !v) throw new Error("inputs are missing");
      return F.attentionForward(q, k, v, null, causal, scale) as readonly Tensor[];
    }),
    inputs,
  );
  const [out, lse] = [there.result(0), there.result(1)];
  // Summing the rows of grad · out belongs to the backward.
  using back = new Run(
    planOf(c, [...matrices, "matrix", "matrix", "rows"], ([q, k, v, g, o, l]) => {
      if (!q || !k || !v || !g || !o || !l) throw new Error("inputs are missing");
      const delta = g.to(float32).mul(o.to(float32)).sum([-1]);
      const dq = F.attentionQueryGrad(g, q, k, v, l, delta, null, causal, scale);
      return [dq, ...(F.attentionKeyValueGrad(g, q, k, v, l, delta, null, causal, scale) as readonly Tensor[]), delta];
    }),
    [...inputs, out, lse],
  );
  const [forward, backward] = [there.time(rounds), back.time(rounds)];
  if (length <= 4096) {
    const got = { out: as16(out), dq: as16(back.result(0)), dk: as16(back.result(1)), dv: as16(back.result(2)) };
    const worst = worstError(c, halves, as32(lse), as32(back.result(3)), got);
    print(`${width} ${length} ${causal ? "causal" : ""} errors ${JSON.stringify(worst)}`);
    const bad = Object.entries(worst).filter(([name, e]) => !(e < (name === "lse" ? 1e-3 : 0.03)));
    if (bad.length > 0) throw new Error(`wrong results: ${JSON.stringify(bad)}`);
  }
  const rate = (by: number, ms: number): number => by * flops / ms / 1e9;
  const name = `${width} wide, ${length}${causal ? ", causal" : ""}`;
  return { name, forward: rate(1, forward), backward: rate(2.5, backward) };
}

const PEER = `
import json, torch
import torch.nn.functional as TF
from torch.nn.attention import sdpa_kernel, SDPBackend
def timed(fn, n=9):
    for _ in range(3): fn()
    ts = []
    for _ in range(n):
        a, b = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        a.record(); fn(); b.record(); torch.cuda.synchronize(); ts.append(a.elapsed_time(b))
    return sorted(ts)[n // 2]
import sys
for c in json.loads(sys.argv[1]):
    D, S, H, causal = c['width'], c['length'], c['heads'], c['causal']
    row = []
    for be in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):
        try:
            q, k, v = (torch.randn(1, H, S, D, device='cuda', dtype=torch.bfloat16, requires_grad=True) for _ in range(3)); g = torch.randn_like(q)
            fl = 4 * H * S * S * D * 1e-9 / (2 if causal else 1)
            with sdpa_kernel(be):
                with torch.no_grad(): f = timed(lambda: TF.scaled_dot_product_attention(q, k, v, is_causal=causal))
                y = TF.scaled_dot_product_attention(q, k, v, is_causal=causal)
                b = timed(lambda: torch.autograd.grad(y, (q, k, v), g, retain_graph=True))
            row += [fl / f, 2.5 * fl / b]
        except Exception: row += [0, 0]
    print('PEER ' + json.dumps(row), flush=True)
`;

const peers: (readonly number[])[] = [];
if (Deno.args.includes("--peer")) {
  const { stdout } = new Deno.Command("python3", { args: ["-c", PEER, JSON.stringify(CASES)], stderr: "null" })
    .outputSync();
  for (const line of new TextDecoder().decode(stdout).split("\n")) {
    if (line.startsWith("PEER ")) peers.push(JSON.parse(line.slice(5)) as number[]);
  }
}
const number = (x: number | undefined): string => (x === undefined || x === 0 ? "-" : x.toFixed(0)).padStart(6);
const lines = CASES.map((c, i) => {
  const row = measure(c);
  const [ff, fb, cf, cb] = peers[i] ?? [];
  const text = `${row.name.padEnd(26)} forward ${number(row.forward)} (flash ${number(ff)}, cuDNN ${
    number(cf)
  })  backward ${number(row.backward)} (${number(fb)}, ${number(cb)})`;
  print(text);
  return text;
});
print(["", "TFLOP/s", ...lines].join("\n"));
