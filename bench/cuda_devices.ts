/**
 * Several GPUs: what a copy between two of them moves, and whether work on one waits for work on another.
 *
 *     deno run -A bench/cuda_devices.ts [--tiny]
 *
 * Needs two GPUs. The same compiled function runs on each alone and on all at once, each on its own stream and from its own memory.
 */
import { compile, float16, noGrad, randn, type Tensor } from "../mod.ts";
import { type CudaContext, cudaContext, loadDriver } from "../src/runtime/cuda/mod.ts";
import { median, print, printTable } from "./support.ts";

const tiny = Deno.args.includes("--tiny");
const driver = loadDriver();
if (!driver.ok) throw new Error(driver.problem.problem);
const { devices } = driver.value;
print(devices.map(({ ordinal, name }) => `cuda:${ordinal} ${name}`).join(", "));
const rows: string[][] = [];

/** Milliseconds until all contexts are done, the median of several rounds. */
function wall(contexts: readonly CudaContext[], send: () => void): number {
  const times: number[] = [];
  for (let i = 0; i < 7; i++) {
    for (const context of contexts) context.synchronize();
    const begin = performance.now();
    send();
    for (const context of contexts) context.synchronize();
    times.push(performance.now() - begin);
  }
  return median(times.slice(2));
}

const all = devices.map(({ ordinal }) => cudaContext(ordinal));
const n = tiny ? 64 : 8192;
const f = compile((x: Tensor, w: Tensor): Tensor => {
  let y = x;
  for (let i = 0; i < 4; i++) y = y.matmul(w).mul(0.01).tanh();
  return y;
});
const operands = all.map((
  { device },
) => [randn([n, n], { device }).to(float16), randn([n, n], { device }).to(float16)]);
const send = (list: readonly number[]): void => {
  for (const i of list) noGrad(() => f(...operands[i] as [Tensor, Tensor])).dispose();
};
const everywhere = all.map((_, i) => i);
send(everywhere);
for (const i of everywhere) {
  rows.push([`4 products of ${n}³ on cuda:${i} alone`, `${wall(all, () => send([i])).toFixed(2)} ms`]);
}
rows.push([`the same on all ${all.length} at once`, `${wall(all, () => send(everywhere)).toFixed(2)} ms`]);
if (all.length > 1) {
  const [a, b] = all as [CudaContext, CudaContext];
  const bytes = tiny ? 2 ** 16 : 2 ** 30;
  using from = a.allocator.allocate(bytes, "a copy's source");
  using to = b.allocator.allocate(bytes, "a copy's target");
  const there = wall([a, b], () => a.copyToPeer(b, to.address, from.address, bytes));
  const back = wall([a, b], () => b.copyToPeer(a, from.address, to.address, bytes));
  rows.push([`a copy of ${bytes / 2 ** 20} MiB, cuda:0 to cuda:1`, `${(bytes / there / 1e6).toFixed(0)} GB/s`]);
  rows.push(["and back", `${(bytes / back / 1e6).toFixed(0)} GB/s`]);
  const x = operands[0]?.[0] as Tensor;
  const moved = wall([a, b], () => x.to("cuda:1").dispose());
  rows.push([
    `a tensor of ${x.numel * 2 / 2 ** 20} MiB by .to("cuda:1")`,
    `${(x.numel * 2 / moved / 1e6).toFixed(0)} GB/s`,
  ]);
}
printTable(["what", "took"], rows);
