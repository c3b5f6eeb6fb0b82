/**
 * One call of a kept program: the plan in numbers, and its inputs as the kernels expect them.
 *
 * Enters: an entry of the cache and the tensors of a file. Leaves: what `NativeProgram` takes. Null where the file holds other tensors than the program takes: the program itself complains of
 * them. Sizes that change are settled by `native_sizes.ts`.
 */
import type { StoredExpr } from "../capture/stored_sizes.ts";
import { dtypeFromName } from "../core/dtype.ts";
import { CompileError } from "../core/errors.ts";
import { CpuBuffer } from "../runtime/cpu/memory.ts";
import {
  type NativePlan,
  type NativeResult,
  type NativeSlot,
  placeBytes,
  strideReach,
} from "../runtime/cpu/native_plan.ts";
import { isRowMajor } from "../runtime/positions.ts";
import type { NativeEntry } from "./native_entry.ts";
import type { GivenInput } from "./native_sizes.ts";
import type { NamedBuffer } from "./safetensors/buffers.ts";

/** What a plan is called with. */
export interface NativeCall {
  readonly plan: NativePlan;
  readonly inputs: readonly CpuBuffer[];
}

/** Loads a module by its address: Deno reads what an import names when the process starts, needed or not. */
async function loadSizes(): Promise<typeof import("./native_sizes.ts")> {
  return await import(new URL("./native_sizes.ts", import.meta.url).href) as typeof import("./native_sizes.ts");
}

const asNumber = (stored: StoredExpr): number => {
  if (typeof stored === "number") return stored;
  throw new CompileError(`an entry of the cache has no size for ${stored}`);
};

/** What the file gives for each input, as far as its kind tells; null if it is something else. */
function givenInputs(entry: NativeEntry, file: ReadonlyMap<string, NamedBuffer>): GivenInput[] | null {
  if (file.size !== entry.inputs.length) return null;
  const given: GivenInput[] = [];
  for (const [i, input] of entry.inputs.entries()) {
    const tensor = file.get(`input_${i}`);
    if (tensor === undefined) return null;
    if (input.kind === "tensor") {
      if (tensor.dtype !== input.dtype || tensor.shape.length !== input.shape.length) return null;
      given.push(tensor.shape);
      continue;
    }
    const value = numberIn(tensor);
    if (value === null || (input.kind === "constant" && value !== input.value)) return null;
    given.push(value);
  }
  return given;
}

/** The whole number that a tensor of one element holds; null if it is none. */
function numberIn({ dtype, shape, buffer }: NamedBuffer): number | null {
  if (shape.some((size) => size !== 1)) return null;
  if (dtype === "int64") return Number(buffer.int64[0]);
  if (dtype === "int32") return buffer.int32[0] ?? null;
  return null;
}

/**
 * The call of a program on the tensors of a file.
 *
 * @throws {RangeError} naming the condition on sizes that does not hold; {CompileError} if the entry contradicts itself
 */
export async function nativeCall(
  entry: NativeEntry,
  file: ReadonlyMap<string, NamedBuffer>,
): Promise<NativeCall | null> {
  const given = givenInputs(entry, file);
  if (given === null) return null;
  const { ofProgram, ofPlan } = entry.sizes === null
    ? { ofProgram: asNumber, ofPlan: asNumber }
    : (await loadSizes()).numbersOfCall(entry, entry.sizes, given);
  const inputs: CpuBuffer[] = [];
  for (const at of entry.tensorInputs) {
    const input = entry.inputs[at], tensor = file.get(`input_${at}`);
    if (input?.kind !== "tensor" || tensor === undefined) return null;
    const shape = input.shape.map(ofProgram);
    if (String(shape) !== String(tensor.shape)) return null;
    inputs.push(inLayout(tensor, input.stride.map(ofProgram)));
  }
  return { plan: planFor(entry.plan, inputs, ofPlan), inputs };
}

/** The elements of a row-major tensor with other strides: its own memory if they are the same. */
function inLayout({ dtype, shape, buffer }: NamedBuffer, stride: readonly number[]): CpuBuffer {
  if (shape.includes(0) || isRowMajor(shape, stride)) return buffer;
  const { bytes } = dtypeFromName(dtype);
  const out = new Uint8Array(strideReach({ shape, stride, offset: 0 }) * bytes);
  placeBytes(buffer.uint8, out, bytes, { shape, stride, offset: 0 });
  return CpuBuffer.wrap(out);
}

function planFor(
  plan: NativeEntry["plan"],
  inputs: readonly CpuBuffer[],
  number: (stored: StoredExpr) => number,
): NativePlan {
  const layout = (r: NativeResult<StoredExpr>): NativeResult => ({
    ...r,
    shape: r.shape.map(number),
    stride: r.stride.map(number),
    offset: number(r.offset),
  });
  return {
    ...plan,
    arenaBytes: number(plan.arenaBytes),
    sizes: plan.sizes.map(number),
    inputBytes: inputs.map(({ byteLength }) => byteLength),
    slots: plan.slots.map((slot): NativeSlot => {
      switch (slot.kind) {
        case "output":
          return { kind: "output", bytes: number(slot.bytes) };
        case "arena":
          return { kind: "arena", offset: number(slot.offset), bytes: number(slot.bytes) };
        default:
          return slot;
      }
    }),
    results: plan.results.map(layout),
    writes: plan.writes.map(({ from, to }) => ({ from: layout(from), to: layout(to) })),
  };
}
