/**
 * What generated kernels that are bound by memory reach, beside a copy that moves as many bytes.
 *
 *     deno run -A bench/cuda_memory.ts [FILTER…] [--check] [--part I/N] [--turn FILE]
 *
 * Needs a GPU and nvrtc, no packages. Every case is a graph of one function, compiled as `compile` does it, checked at a small size against the JavaScript
 * kernels first. "copy" is the device's own, of half as many bytes (they are read and written), sent as the kernels are. `--check` stops after the checks; `--part`
 * takes every Nth case from the Ith on; all are compiled first, and with `--turn` they wait then, where others compile beside them (`waitForTurn`).
 */
import { DevicePlan } from "../tests/helpers/cuda_device.ts";
import { bytesOf, type Case, check, fillOnDevice, planFor } from "./cuda_cases.ts";
import { MEMORY_CASES } from "./cuda_memory_cases.ts";
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

/** Milliseconds of a copy that moves `bytes` in all. */
function copyTime(device: DevicePlan, bytes: number): number {
  let ms = copies.get(bytes);
  if (ms !== undefined) return ms;
  const half = Math.floor(bytes / 2);
  using from = device.allocate(half, 1);
  using to = device.allocate(half, 2);
  copies.set(bytes, ms = device.timeOf(() => device.context.copy(to.address, from.address, half), 12));
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
    fillOnDevice(plan, device, c.indices);
    const ms = device.time(12);
    const copy = copyTime(device, moved);
    const rate = (moved / ms / 1e6).toFixed(0).padStart(6);
    const fraction = (100 * copy / ms).toFixed(0).padStart(4);
    print(
      `${c.name.padEnd(62)} ${ms.toFixed(4).padStart(8)} ms ${rate} GB/s ${fraction} % of a copy  ` +
        `kernels ${device.launches}  ${says}  compiled in ${device.compileMs.toFixed(0)} ms`,
    );
    for (const own of device.buffers) own?.dispose();
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
