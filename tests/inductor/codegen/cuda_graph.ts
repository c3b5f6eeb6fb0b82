/**
 * Functions of CUDA tensors as plans whose kernels run on the processor, compared with eager operators on the CPU in float32.
 */
import assert from "node:assert/strict";
import { GraphRecorder } from "../../../src/aot_autograd/recorder.ts";
import { bool, cpu, device, type DType, float32 } from "../../../src/core/mod.ts";
import { Graph } from "../../../src/graph/mod.ts";
import { compileGraphToPlan } from "../../../src/inductor/compile_plan.ts";
import { keepsAttention } from "../../../src/inductor/lower_attention.ts";
import { cpuAllocator, type CpuBuffer } from "../../../src/runtime/cpu/memory.ts";
import { constantValue, contiguousStride } from "../../../src/symbolic/mod.ts";
import { type Tensor, tensor, withMode } from "../../../src/tensor/mod.ts";
import "../../../mod.ts";
import { emulate } from "./cuda_emulator.ts";
import { fromBuffer, type Numbers, randomNumbers, randomSource, toBuffer } from "./harness.ts";

export type Input = readonly [shape: readonly number[], dtype: DType];
export type Body = (x: readonly Tensor[]) => Tensor;

/** An input that must be there. */
export function at(list: readonly Tensor[], i: number): Tensor {
  const found = list[i];
  assert(found !== undefined);
  return found;
}

/** The functional graph of a function of CUDA tensors. */
export function record(inputs: readonly Input[], body: Body): Graph {
  const r = new GraphRecorder(keepsAttention(new Graph()));
  const out = withMode(r, () =>
    body(inputs.map(([shape, dtype], i) =>
      r.placeholder(`x${i}`, {
        shape,
        stride: contiguousStride(shape),
        storageOffset: 0,
        dtype,
        device: device("cuda:0"),
      })
    )));
  r.graph.setOutput([r.nodeOf(out)]);
  return r.graph;
}

/** What came of it. */
export interface Outcome {
  readonly groups: readonly string[];
  readonly worst: number;
}

/** Runs a function by the emulator and eagerly; the largest difference. */
export function run(
  inputs: readonly Input[],
  body: Body,
  options: Parameters<typeof emulate>[1],
  given?: ReadonlyMap<number, Numbers>,
): Outcome {
  const next = randomSource(7);
  const numbers = inputs.map(([shape, dtype], i) =>
    given?.get(i) ?? randomNumbers(shape.reduce((a, b) => a * b, 1), dtype, next)
  );
  const eager = body(inputs.map(([shape, dtype], i) => {
    const wide = tensor((numbers[i] ?? []).map(Number), { dtype: float32, device: cpu }).reshape([...shape]);
    return dtype === bool ? wide.ne(0) : dtype.isFloat ? wide : wide.to(dtype);
  }));
  const expected = (eager.flatten().toArray() as number[]).map(Number);
  const { plan } = compileGraphToPlan(record(inputs, body), { crossReductions: false });
  const placed = new Map<number, CpuBuffer>();
  const buffers = plan.slots.map((slot, i): CpuBuffer => {
    const own = slot.kind === "input"
      ? toBuffer(slot.buffer.dtype, [...(numbers[slot.index] ?? [])])
      : cpuAllocator().allocateZeroed(Math.max(16, (constantValue(slot.buffer.numel) ?? 0) * slot.buffer.dtype.bytes));
    placed.set(i, own);
    return own;
  });
  emulate(plan, options).run(buffers, []);
  const result = plan.results[0];
  assert(result?.kind === "tensor");
  const slot = plan.slots.findIndex((x) => x.buffer === result.buffer);
  const flat = fromBuffer(result.buffer.dtype, placed.get(slot) as CpuBuffer, constantValue(result.buffer.numel) ?? 0);
  const shape = result.shape.map((e) => constantValue(e) ?? 0);
  const stride = result.stride.map((e) => constantValue(e) ?? 0);
  let worst = 0;
  assert.equal(expected.length, shape.reduce((a, b) => a * b, 1));
  expected.forEach((want, linear) => {
    let rest = linear, place = 0;
    for (let d = shape.length - 1; d >= 0; d--) {
      const size = shape[d] ?? 1;
      place += rest % size * (stride[d] ?? 0);
      rest = Math.floor(rest / size);
    }
    const difference = Math.abs(Number(flat[place]) - want);
    if (!(difference <= worst)) worst = difference;
  });
  return { groups: plan.steps.map((s) => s.group.kind), worst };
}
