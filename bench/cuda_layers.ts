/**
 * Convolutions and products as users write them, on CUDA, beside PyTorch's (cuDNN with its search for the best engine, cuBLAS).
 *
 *     deno run -A bench/cuda_layers.ts [FILTER…] [--part I/N] [--turn FILE] [--list]
 *
 * Needs a GPU and nvrtc. Every case is a graph of one function on the device, compiled as `compile` does it, so that copies around a kernel count; single elements are checked in
 * double precision. `--list` prints the cases for `bench/peers/cuda_layers.py`, which times the other side. All are compiled first; `--turn` waits then (`waitForTurn`).
 */
import { GraphRecorder } from "../src/aot_autograd/recorder.ts";
import { bfloat16, device as deviceOf, float16, setFloat32MatmulPrecision } from "../src/core/mod.ts";
import { compileGraphToPlan } from "../src/inductor/compile_plan.ts";
import { cudaVeto } from "../src/inductor/cuda_veto.ts";
import type { HostPlan } from "../src/inductor/host_plan.ts";
import { withMode } from "../src/tensor/mod.ts";
import { DevicePlan } from "../tests/helpers/cuda_device.ts";
import { bytesOf, fill, fillOnDevice, numbers } from "./cuda_cases.ts";
import { type Layer, LAYERS } from "./cuda_layer_cases.ts";
import { waitForTurn } from "./cuda_support.ts";
import { print } from "./support.ts";

const filters = Deno.args.filter((a, i) =>
  !a.startsWith("--") && !["--part", "--turn"].includes(Deno.args[i - 1] ?? "")
);
const optionOf = (name: string): string | null => {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? null : Deno.args[at + 1] ?? null;
};
const [part = 0, parts = 1] = (optionOf("part") ?? "0/1").split("/").map(Number);
let failures = 0;

function planOf(
  { inputs, body, tf32 }: Layer,
): { readonly plan: HostPlan; readonly stride: readonly number[]; readonly shape: readonly number[] } {
  const r = new GraphRecorder();
  const result = withMode(
    r,
    () =>
      body(
        inputs.map(({ shape, stride, dtype }, i) =>
          r.placeholder(`x${i}`, { shape, stride, storageOffset: 0, dtype, device: deviceOf("cuda:0") })
        ),
      ),
  );
  r.graph.setOutput([r.nodeOf(result)]);
  setFloat32MatmulPrecision(tf32 ? "high" : "highest");
  const { plan } = compileGraphToPlan(r.graph, { veto: cudaVeto });
  return { plan, stride: result.stride.map(Number), shape: result.shape.map(Number) };
}

/** Elements of the result that are computed on the host, at most so many terms in all. */
const TERMS = 4e5;

function errorOf(layer: Layer, own: ReturnType<typeof planOf>, device: DevicePlan): number {
  const given = fill(own.plan, device);
  device.launch();
  device.context.synchronize();
  const at = own.plan.slots.findIndex((slot) => slot.kind === "output");
  const buffer = device.buffers[at];
  if (buffer === undefined) throw new Error("no result");
  const got = device.memory.readSync(buffer, 0, bytesOf(own.plan, at));
  const slots = own.plan.slots.flatMap((slot, i) => slot.kind === "input" ? [i] : []);
  const read = (input: number, index: readonly number[]): number => {
    const { stride, dtype } = layer.inputs[input] ?? { stride: [], dtype: bfloat16 };
    const bytes = given.get(slots[input] ?? -1);
    if (bytes === undefined) throw new Error("an input that the plan has not");
    return numbers(bytes, dtype, index.reduce((n, v, d) => n + v * (stride[d] ?? 0), 0));
  };
  const dtype = layer.inputs[0]?.dtype ?? bfloat16;
  let worst = 0;
  for (let t = 0; t < Math.max(3, Math.min(60, TERMS / layer.terms)); t++) {
    const index = own.shape.map((n, d) => t === 0 ? 0 : t === 1 ? n - 1 : (t * 7919 + d * 104729 + t * t * 31) % n);
    const want = layer.element(index, read);
    const found = numbers(got, dtype, index.reduce((n, v, d) => n + v * (own.stride[d] ?? 0), 0));
    const difference = Math.abs(found - want) / (Math.sqrt(layer.terms) + Math.abs(want));
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}

function failed(layer: Layer, e: unknown): void {
  failures++;
  print(`${layer.name.padEnd(56)} FAILED ${e instanceof Error ? e.message.slice(0, 600) : e}`);
}

const wanted = LAYERS.filter((c) => filters.length === 0 || filters.some((f) => new RegExp(f).test(c.name)));
if (Deno.args.includes("--list")) {
  for (const { name, python, flops, tf32 } of wanted) print(JSON.stringify({ name, python, flops, tf32 }));
  Deno.exit(0);
}
const ready: { readonly layer: Layer; readonly run: () => void }[] = [];
for (const [i, layer] of wanted.entries()) {
  if (i % parts !== part) continue;
  try {
    const own = planOf(layer);
    const device = new DevicePlan(own.plan, { allowTf32: layer.tf32 });
    const release = (): void => device.buffers.forEach((buffer) => buffer?.dispose());
    const error = errorOf(layer, own, device);
    release();
    const dtype = layer.inputs[0]?.dtype;
    const limit = dtype === bfloat16 ? 8e-3 : dtype === float16 || layer.tf32 ? 1.5e-3 : 1e-5;
    if (!(error <= limit)) failures++;
    ready.push({
      layer,
      run: () => {
        fillOnDevice(own.plan, device);
        const ms = device.time(10, 4);
        const rate = (layer.flops / ms / 1e9).toFixed(0).padStart(5);
        const says = `error ${error.toExponential(1)}${error <= limit ? "" : "  WRONG"}`;
        print(
          `${layer.name.padEnd(56)} ${
            ms.toFixed(4).padStart(8)
          } ms ${rate} TFLOP/s  ${says}  kernels ${device.launches}`,
        );
        release();
      },
    });
  } catch (e) {
    failed(layer, e);
  }
}
await waitForTurn(optionOf("turn"));
for (const { layer, run } of ready) {
  try {
    run();
  } catch (e) {
    failed(layer, e);
  }
}
if (failures > 0) Deno.exit(1);
