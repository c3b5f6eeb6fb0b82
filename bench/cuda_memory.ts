/**
 * What generated kernels that are bound by memory reach, beside a copy that moves as many bytes.
 *
 *     deno run -A bench/cuda_memory.ts [FILTER…]
 *
 * Needs a GPU and nvrtc, no packages. Every case is a graph of one function, compiled as `compile` does it, checked at a small size against the JavaScript
 * kernels first. "copy" is the device's own, of half as many bytes (they are read and written), sent as the kernels are.
 */
import { gradOf } from "../src/autograd/mod.ts";
import { bfloat16, type DType, float32, int64 } from "../src/core/mod.ts";
import { F, type Tensor } from "../src/tensor/mod.ts";
import { DevicePlan } from "../tests/helpers/cuda_device.ts";
import { print } from "./support.ts";
import { bytesOf, type Case, check, fill, planFor } from "./cuda_cases.ts";

const filters = Deno.args;
let failures = 0;
const copies = new Map<number, number>();

/** Milliseconds of a copy that moves `bytes` in all. */
function copyTime(device: DevicePlan, bytes: number): number {
  let ms = copies.get(bytes);
  if (ms !== undefined) return ms;
  const half = Math.floor(bytes / 2);
  const from = device.allocate(half, 1);
  const to = device.allocate(half, 2);
  copies.set(bytes, ms = device.timeOf(() => device.context.copy(to.address, from.address, half)));
  from.dispose();
  to.dispose();
  return ms;
}

function bandwidth(c: Case): void {
  if (filters.length > 0 && !filters.some((f) => c.name.includes(f))) return;
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
    const copy = copyTime(device, bytes);
    const ok = error <= (c.tolerance ?? 1e-5) ? "" : "  WRONG";
    if (ok !== "") failures++;
    print(
      `${c.name.padEnd(38)} ${ms.toFixed(4).padStart(9)} ms ${rate.toFixed(0).padStart(6)} GB/s ${
        (100 * copy / ms).toFixed(0).padStart(4)
      } % of a copy  kernels ${device.launches}  error ${error.toExponential(1)}${ok}  compiled in ${
        device.compileMs.toFixed(0)
      } ms`,
    );
    for (const own of device.buffers) own?.dispose();
  } catch (e) {
    failures++;
    print(`${c.name.padEnd(38)} FAILED ${e instanceof Error ? e.message.slice(0, 600) : e}`);
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
for (const [rowsOf, c, dtype] of [[16384, 4096, float32], [65536, 768, float32], [65536, 768, bfloat16]] as const) {
  const shapes = (n: number): Case["inputs"] => [[[n, c], dtype], [[c], dtype], [[c], dtype], [[n, c], dtype]];
  bandwidth({
    name: `layer norm gradient ${dtype.short} ${rowsOf}x${c}`,
    inputs: shapes(rowsOf),
    small: shapes(40),
    body: ([x, w, b, d]) => {
      if (x === undefined || w === undefined || b === undefined || d === undefined) return [];
      const gradients = gradOf([F.layerNorm(x, [c], w, b)], [x, w, b], { gradOutputs: [d] });
      return gradients.filter((t): t is Tensor => t !== null);
    },
    tolerance: dtype === float32 ? 2e-5 : 8e-3,
  });
}
bandwidth({
  name: "gelu gradient and sum bf16 25216x3072",
  inputs: [[[25216, 3072], bfloat16], [[25216, 3072], bfloat16]],
  small: [[[300, 3072], bfloat16], [[300, 3072], bfloat16]],
  body: ([x, d]) => {
    if (x === undefined || d === undefined) return [];
    const [g = null] = gradOf([F.gelu(x)], [x], { gradOutputs: [d] });
    return g === null ? [] : [g, F.sum(g, [0])];
  },
  tolerance: 8e-3,
});
bandwidth({
  name: "rotary bf16 8x32x2048x128",
  inputs: [[[8, 32, 2048, 128], bfloat16], [[2048, 128], bfloat16], [[2048, 128], bfloat16]],
  small: [[[1, 2, 24, 128], bfloat16], [[24, 128], bfloat16], [[24, 128], bfloat16]],
  body: ([q, cos, sin]) => {
    if (q === undefined || cos === undefined || sin === undefined) return [];
    const turned = F.cat([F.neg(F.narrow(q, 3, 64, 64)), F.narrow(q, 3, 0, 64)], 3);
    return [F.add(F.mul(q, cos), F.mul(turned, sin))];
  },
  tolerance: 8e-3,
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

if (failures > 0) Deno.exit(1);
