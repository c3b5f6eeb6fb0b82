/**
 * Functions that run on a CUDA device by themselves: their plans, their inputs, and whether results are right. For benchmarks of generated kernels.
 */
import { GraphRecorder } from "../src/aot_autograd/recorder.ts";
import { bfloat16, bool, cpu, type DType, float16, float32, int64, int8 } from "../src/core/mod.ts";
import type { Graph } from "../src/graph/mod.ts";
import { cudaVeto } from "../src/inductor/cuda_veto.ts";
import { emitJsModule } from "../src/inductor/codegen/js/emit_module.ts";
import { compileGraphToPlan } from "../src/inductor/compile_plan.ts";
import type { HostPlan } from "../src/inductor/host_plan.ts";
import { instantiateJs } from "../src/inductor/js_tier.ts";
import { cpuAllocator, type CpuBuffer } from "../src/runtime/cpu/memory.ts";
import { constantValue, contiguousStride } from "../src/symbolic/mod.ts";
import { installOperators, type Tensor, withMode } from "../src/tensor/mod.ts";
import "../src/ops/mod.ts";
import { DevicePlan } from "../tests/helpers/cuda_device.ts";

installOperators();

/** A function, the inputs at which it is timed, and those at which it is checked. */
export interface Case {
  readonly name: string;
  readonly inputs: readonly (readonly [shape: readonly number[], dtype: DType])[];
  readonly small: readonly (readonly [shape: readonly number[], dtype: DType])[];
  readonly body: (inputs: readonly Tensor[]) => readonly Tensor[];
  /** Reads the inputs and writes the results once; several times for AdamW-like updates. */
  readonly tolerance?: number;
  /** Bytes that are moved, where it is not all that the function is given and gives. */
  readonly bytes?: number;
  /** What indices are below; default 1000. */
  readonly indices?: number;
}

/** The graph of a function. */
export function record(shapes: Case["inputs"], body: Case["body"]): Graph {
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

/** Bytes of `count` normal numbers of a dtype; indices below `indices` for int64, one of two for bool. */
export function content(count: number, dtype: DType, seed: number, indices = 1000): Uint8Array<ArrayBuffer> {
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
    } else if (dtype === int64) view.setBigInt64(8 * i, BigInt(Math.floor(next() * indices)), true);
    else if (dtype === bool) bytes[i] = x > 0 ? 1 : 0;
    else if (dtype === int8) bytes[i] = Math.round(40 * x);
    else throw new TypeError(dtype.name);
  }
  const all = new Uint8Array(new ArrayBuffer(count * dtype.bytes));
  for (let at = 0; at < all.length; at += bytes.length) {
    all.set(bytes.subarray(0, Math.min(bytes.length, all.length - at)), at);
  }
  return all;
}

/** One element. */
export function numbers(bytes: Uint8Array<ArrayBuffer>, dtype: DType, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (dtype === float32) return view.getFloat32(4 * at, true);
  if (dtype === float16) return new Float16Array(bytes.buffer, bytes.byteOffset + 2 * at, 1)[0] ?? NaN;
  if (dtype === bfloat16) {
    bits[0] = view.getUint16(2 * at, true) << 16;
    return floats[0] ?? NaN;
  }
  if (dtype === bool) return bytes[at] ?? NaN;
  return dtype === int8 ? view.getInt8(at) : Number(view.getBigInt64(8 * at, true));
}

/** What `compile` would run on a device. */
export function planFor(shapes: Case["inputs"], body: Case["body"]): HostPlan {
  return compileGraphToPlan(record(shapes, body), { veto: cudaVeto }).plan;
}

/** Bytes of a slot. */
export function bytesOf(plan: HostPlan, i: number): number {
  const slot = plan.slots[i];
  if (slot === undefined) return 0;
  return (constantValue(slot.buffer.numel) ?? 0) * slot.buffer.dtype.bytes;
}

/** Fills a device plan; returns what stands in its inputs. */
export function fill(plan: HostPlan, device: DevicePlan, indices = 1000): Map<number, Uint8Array<ArrayBuffer>> {
  const given = new Map<number, Uint8Array<ArrayBuffer>>();
  plan.slots.forEach((slot, i) => {
    if (slot.kind === "arena" || slot.kind === "donated") return;
    const own = device.allocate(bytesOf(plan, i), 0xee);
    device.buffers[i] = own;
    if (slot.kind !== "input") return;
    const bytes = content(bytesOf(plan, i) / slot.buffer.dtype.bytes, slot.buffer.dtype, i + 1, indices);
    device.memory.write(own, 0, bytes);
    given.set(i, bytes);
  });
  device.bind([]);
  return given;
}

/** Fills a device plan for timing: each input repeats a short run of numbers, which the device copies by itself. */
export function fillOnDevice(plan: HostPlan, device: DevicePlan, indices = 1000): void {
  plan.slots.forEach((slot, i) => {
    if (slot.kind === "arena" || slot.kind === "donated") return;
    const own = device.allocate(bytesOf(plan, i), 0xee);
    device.buffers[i] = own;
    if (slot.kind !== "input") return;
    const { dtype } = slot.buffer;
    const all = bytesOf(plan, i);
    let done = Math.min(all, dtype.bytes << 16);
    device.memory.write(own, 0, content(done / dtype.bytes, dtype, i + 1, indices));
    for (; done < all; done *= 2) device.context.copy(own.address + done, own.address, Math.min(done, all - done));
  });
  device.bind([]);
}

/** The largest difference from the JavaScript kernels, relative to the largest magnitude. */
export function check(c: Case): number {
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
