/**
 * Runs a kept plan in this process, without tensors, graphs or a compiler.
 *
 * Enters: a plan in numbers, its libraries, and the files in which its weights lie. Leaves: a function of buffers. What the program writes of its weights stays in this process, for files are
 * mapped privately. Mirrors `AOTIModelRunner` of TorchInductor.
 */
import { type DType, dtypeFromName } from "../../core/dtype.ts";
import { CompileError } from "../../core/errors.ts";
import type { SlotSource } from "../kernel.ts";
import { CpuExecutable } from "./executable.ts";
import { Library } from "./library.ts";
import { isMapped } from "./mapped_file.ts";
import { cpuAllocator, CpuBuffer } from "./memory.ts";
import {
  freshGeneratorState,
  type NativeAttribute,
  type NativeFiles,
  type NativePlan,
  type NativeResult,
  placeBytes,
  rowMajorBytes,
  verifyNativePlan,
} from "./native_plan.ts";
import { type PackedPlace, PackedWeights } from "./packed_weights.ts";
import { openThreadPool } from "./thread_pool.ts";

/** A result of a call. */
export interface ResultBuffer {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Its elements in row-major order. */
  read(): Uint8Array<ArrayBuffer>;
}

/** A plan that can be called. */
export class NativeProgram {
  readonly #plan: NativePlan;
  readonly #executable: CpuExecutable;
  readonly #buffers: (CpuBuffer | undefined)[];
  /** Packed weights that are made of what calls write. */
  readonly #repack: () => void;
  /** Of the call before. */
  #outputs: CpuBuffer[] = [];

  /** @throws {CompileError} if the plan is none; {Error} if a library cannot be loaded */
  constructor(plan: NativePlan, files: NativeFiles) {
    verifyNativePlan(plan, { model: files.model.byteLength, constants: files.constants?.byteLength ?? null });
    this.#plan = plan;
    const attributes = plan.attributes.map((range) => attributeOf(range, files));
    const packed = plan.packed.length === 0 ? null : new PackedWeights(plan.packed);
    const written = new Set(plan.written);
    const isWritten = ({ attributes: sources }: PackedPlace): boolean => sources.some((at) => written.has(at));
    plan.packed.forEach((place, i) => {
      packed?.repack(i, !isWritten(place) && place.attributes.every((at) => isMapped(attributes[at] as CpuBuffer)));
    });
    const anew = plan.packed.flatMap((place, i) => isWritten(place) ? [i] : []);
    this.#repack = () => anew.forEach((i) => packed?.repack(i, false));
    const sources = plan.slots.map((slot): SlotSource => {
      if (slot.kind === "donated") return { kind: "alias", of: slot.of };
      if (slot.kind !== "arena") return { kind: "external" };
      return { kind: "arena", offset: () => slot.offset, bytes: () => slot.bytes };
    });
    this.#buffers = plan.slots.map((slot) => slot.kind === "attribute" ? attributes[slot.index] : undefined);
    openThreadPool(files.threadPool);
    this.#executable = new CpuExecutable({
      library: new Library(files.library, plan.exports),
      exports: plan.exports,
      host: [],
      layout: plan.args,
      sources,
      arenaBytes: () => plan.arenaBytes,
      ...(packed === null ? {} : { kept: packed.memory }),
    });
  }

  /**
   * Runs the plan. Results are good until the next call. What the program writes of its inputs is written.
   *
   * @throws {TypeError} if an input is missing or too short; {RangeError} if a gather or scatter meets an index outside of its dimension
   */
  run(inputs: readonly CpuBuffer[]): ResultBuffer[] {
    const { slots, inputBytes, results, sizes, writes } = this.#plan;
    inputBytes.forEach((bytes, i) => {
      const given = inputs[i];
      if (given === undefined || given.byteLength < bytes) {
        throw new TypeError(`input ${i} must have ${bytes} bytes, has ${given?.byteLength ?? 0}`);
      }
    });
    for (const buffer of this.#outputs) buffer.dispose();
    this.#outputs = [];
    const buffers = this.#buffers;
    slots.forEach((slot, i) => {
      if (slot.kind === "input") buffers[i] = inputs[slot.index];
      else if (slot.kind === "output") {
        const buffer = cpuAllocator().allocate(slot.bytes);
        this.#outputs.push(buffer);
        buffers[i] = buffer;
      }
    });
    slots.forEach((slot, i) => {
      if (slot.kind === "donated") buffers[i] = buffers[slot.of];
    });
    this.#repack();
    this.#executable.run(buffers, sizes);
    for (const { from, to } of writes) copyElements(from, buffers[from.slot], to, buffers[to.slot]);
    return results.map((result) => resultOf(result, buffers[result.slot]));
  }
}

/** An attribute where its file lies in memory; copied if that is not aligned. */
function attributeOf(attribute: NativeAttribute, files: NativeFiles): CpuBuffer {
  if (attribute.file === "generator") return CpuBuffer.wrap(freshGeneratorState());
  const { file, offset, byteLength, alignment } = attribute;
  const from = files[file];
  if (from === null) throw new CompileError("a kept plan reads constants that were not kept");
  const bytes = from.uint8.subarray(offset, offset + byteLength);
  return CpuBuffer.wrap(bytes.byteOffset % alignment === 0 ? bytes : bytes.slice());
}

function copyElements(
  from: NativeResult,
  source: CpuBuffer | undefined,
  to: NativeResult,
  target: CpuBuffer | undefined,
): void {
  if (source === undefined || target === undefined) throw new CompileError("a kept plan copies what no slot has");
  const { bytes } = dtypeFromName(from.dtype);
  const elements = rowMajorBytes(source.uint8, bytes, from.shape, from.stride, from.offset);
  // Where the two overlap, all is read before anything is written.
  placeBytes(source === target ? elements.slice() : elements, target.uint8, bytes, to);
}

function resultOf({ dtype: name, shape, stride, offset }: NativeResult, buffer: CpuBuffer | undefined): ResultBuffer {
  const dtype = dtypeFromName(name);
  if (buffer === undefined) throw new CompileError("a kept plan has a result that no slot has");
  return { dtype, shape, read: () => rowMajorBytes(buffer.uint8, dtype.bytes, shape, stride, offset) };
}
