/**
 * What generated kernels that are bound by memory reach, beside a copy that moves as many bytes.
 *
 *     deno run -A bench/cuda_memory.ts [FILTER…] [--check] [--part I/N] [--turn FILE]
 *
 * Needs a GPU and nvrtc, no packages. Every case is a graph of one function, compiled as `compile` does it, checked at a small size against the JavaScript
 * kernels first. "copy" is the device's own, of half as many bytes (they are read and written), sent as the kernels are: five calls as one recorded graph, which take
 * other tensors by turns where the second cache would keep them. `--check` stops after the checks; `--part`
 * takes every Nth case from the Ith on; all are compiled first, and with `--turn` they wait then, where others compile beside them (`waitForTurn`).
 */
import { DevicePlan } from "../tests/helpers/cuda_device.ts";
import { bytesOf, type Case, check, fillOnDevice, planFor } from "./cuda_cases.ts";
import { MEMORY_CASES } from "./cuda_memory_cases.ts";
import type { CudaBuffer } from "../src/runtime/cuda/mod.ts";
import { waitForTurn } from "./cuda_support.ts";
import { print } from "./support.ts";

const filters = Deno.args.filter((a, i) =>
  !a.startsWith("--") && !["--part", "--turn"].includes(Deno.args[i - 1] ?? "")
);
const optionOf = (name: string): string | null => {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? null : Deno.args[at + 1] ?? null;
};
const turn = optionOf("turn");
const [part = 0, parts = 1] = (optionOf("part") ?? "0/1").split("/").map(Number);
const copies = new Map<number, number>();
let failures = 0;
/** Calls between two events, and how often they are timed. */
const [CALLS, ROUNDS] = [5, 12];
/** Bytes that no cache keeps from one call to the next: with fewer, calls take other tensors by turns. */
const COLD = 256 << 20;
const setsFor = (bytes: number): number => Math.min(CALLS, Math.ceil(COLD / Math.max(1, bytes)));

/** Milliseconds of a copy that moves `bytes` in all. */
function copyTime(device: DevicePlan, bytes: number): number {
  let ms = copies.get(bytes);
  if (ms !== undefined) return ms;
  // Of whole vectors: a copy of odd bytes takes a fifth longer.
  const half = Math.floor(bytes / 32) * 16;
  const sets = Array.from(
    { length: setsFor(bytes) },
    () => [device.allocate(half, 1), device.allocate(half, 2)] as const,
  );
  const send = (i: number): void => {
    const [from, to] = sets[i % sets.length] ?? [];
    if (from !== undefined && to !== undefined) device.context.copy(to.address, from.address, half);
  };
  copies.set(bytes, ms = device.timeOf(send, ROUNDS, CALLS));
  for (const buffer of sets.flat()) buffer.dispose();
  return ms;
}

/** Checks a case and compiles it; leaves what times it. */
function prepare(c: Case): () => void {
  const error = check(c);
  const wrong = error <= (c.tolerance ?? 1e-5) ? "" : "  WRONG";
  if (wrong !== "") failures++;
  const says = `error ${error.toExponential(1)}${wrong}`;
  if (Deno.args.includes("--check")) return () => print(`${c.name.padEnd(62)} ${says}`);
  const plan = planFor(c.inputs, c.body);
  const device = new DevicePlan(plan);
  let bytes = 0;
  plan.slots.forEach((slot, i) => {
    if (slot.kind !== "arena") bytes += bytesOf(plan, i);
  });
  const moved = c.bytes ?? bytes;
  return () => {
    const all: CudaBuffer[] = [];
    const sets = Array.from({ length: setsFor(moved) }, () => {
      fillOnDevice(plan, device, c.indices);
      all.push(...device.buffers.filter((own) => own !== undefined));
      return device.bound();
    });
    const ms = device.timeOf((i) => sets[i % sets.length]?.(), ROUNDS, CALLS);
    const copy = copyTime(device, moved);
    const rate = (moved / ms / 1e6).toFixed(0).padStart(6);
    const fraction = (100 * copy / ms).toFixed(0).padStart(4);
    print(
      `${c.name.padEnd(62)} ${ms.toFixed(4).padStart(8)} ms ${rate} GB/s ${fraction} % of a copy  ` +
        `kernels ${device.launches}  ${says}  compiled in ${device.compileMs.toFixed(0)} ms`,
    );
    for (const own of all) own.dispose();
  };
}

function failed(c: Case, e: unknown): void {
  failures++;
  print(`${c.name.padEnd(62)} FAILED ${e instanceof Error ? e.message.slice(0, 600) : e}`);
}

const wanted = MEMORY_CASES.filter((c) => filters.length === 0 || filters.some((f) => c.name.includes(f)));
const ready: { readonly c: Case; readonly run: () => void }[] = [];
wanted.forEach((c, i) => {
  if (i % parts !== part) return;
  try {
    ready.push({ c, run: prepare(c) });
  } catch (e) {
    failed(c, e);
  }
});
await waitForTurn(turn);
for (const { c, run } of ready) {
  try {
    run();
  } catch (e) {
    failed(c, e);
  }
}
if (failures > 0) Deno.exit(1);
