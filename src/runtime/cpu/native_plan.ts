/**
 * A static plan on the CPU as data, and what runs it without tensors, graphs or a compiler.
 *
 * Enters: {@linkcode NativePlan}, which an earlier process wrote, its libraries, and the files in which its weights lie. Leaves: a function of buffers. Everything that is read back is
 * checked before the library is called with it: slots exist, ranges lie in their files and in the arena, results in their memory. Mirrors `AOTIModelRunner` of TorchInductor.
 */
import { type DType, dtypeFromName } from "../../core/dtype.ts";
import { CompileError } from "../../core/errors.ts";
import type { SlotSource } from "../kernel.ts";
import { forEachPosition } from "../positions.ts";
import { type ArgsPositions, CpuExecutable } from "./executable.ts";
import { Library } from "./library.ts";
import { isMapped } from "./mapped_file.ts";
import { cpuAllocator, CpuBuffer } from "./memory.ts";
import { type PackedPlace, PackedWeights } from "./packed_weights.ts";
import { openThreadPool } from "./thread_pool.ts";

/** A range of one of the plan's two files: the model, and the constants that were computed from it. */
export interface FileRange {
  readonly file: "model" | "constants";
  readonly offset: number;
  readonly byteLength: number;
}

/** Where a slot's memory comes from. */
export type NativeSlot =
  | { readonly kind: "input"; readonly index: number }
  | { readonly kind: "attribute"; readonly index: number }
  | { readonly kind: "output"; readonly bytes: number }
  | { readonly kind: "arena"; readonly offset: number; readonly bytes: number };

/** A result: elements of a slot. */
export interface NativeResult {
  readonly slot: number;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
  readonly offset: number;
}

/** A plan as JSON. */
export interface NativePlan {
  /** Exported functions of the library, in their order. */
  readonly exports: readonly string[];
  readonly args: ArgsPositions;
  readonly packed: readonly PackedPlace[];
  readonly slots: readonly NativeSlot[];
  readonly arenaBytes: number;
  /** Bytes that each input has at least. */
  readonly inputBytes: readonly number[];
  readonly attributes: readonly (FileRange & { readonly alignment: number })[];
  /** Results that are tensors. */
  readonly results: readonly NativeResult[];
}

/** A result of a call. */
export interface ResultBuffer {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Its elements in row-major order. */
  read(): Uint8Array<ArrayBuffer>;
}

/** The files that a plan reads. */
export interface NativeFiles {
  readonly library: string;
  readonly threadPool: string;
  readonly model: CpuBuffer;
  readonly constants: CpuBuffer | null;
}

function whole(n: unknown, most = Number.MAX_SAFE_INTEGER): number {
  if (typeof n === "number" && Number.isSafeInteger(n) && n >= 0 && n <= most) return n;
  throw new CompileError(`a kept plan holds ${String(n)} where a whole number up to ${most} belongs`);
}

/** The elements that a layout reaches: one past the last. */
function reach({ shape, stride, offset }: NativeResult): number {
  if (shape.length !== stride.length) throw new CompileError("a kept plan has a result of two ranks");
  if (shape.some((size) => whole(size) === 0)) return 0;
  return shape.reduce((end, size, d) => end + (size - 1) * whole(stride[d]), whole(offset) + 1);
}

/** A plan that can be called. */
export class NativeProgram {
  readonly #plan: NativePlan;
  readonly #executable: CpuExecutable;
  readonly #buffers: (CpuBuffer | undefined)[];
  /** Of the call before. */
  #outputs: CpuBuffer[] = [];

  /** @throws {CompileError} if the plan is none; {Error} if a library cannot be loaded */
  constructor(plan: NativePlan, files: NativeFiles) {
    this.#plan = plan;
    const arenaBytes = whole(plan.arenaBytes);
    const count = plan.slots.length;
    const attributes = plan.attributes.map((range) => attributeOf(range, files));
    const packed = plan.packed.length === 0 ? null : new PackedWeights(plan.packed.map(checkPlace));
    plan.packed.forEach((place, i) => {
      const sources = place.attributes.map((at) => attributes[whole(at, attributes.length - 1)] as CpuBuffer);
      packed?.repack(i, sources.every(isMapped));
    });
    const sources = plan.slots.map((slot): SlotSource => {
      if (slot.kind !== "arena") return { kind: "external" };
      const offset = whole(slot.offset, arenaBytes), bytes = whole(slot.bytes, arenaBytes - offset);
      return { kind: "arena", offset: () => offset, bytes: () => bytes };
    });
    const words = whole(plan.args.length);
    for (const at of [...plan.args.slots, plan.args.arena, plan.args.sizes, plan.args.error, plan.args.kept]) {
      if (at !== null) whole(at, words - 1);
    }
    if (plan.args.slots.length !== count) throw new CompileError("a kept plan has arguments of other slots");
    this.#buffers = plan.slots.map((slot) => {
      if (slot.kind === "input") whole(slot.index, plan.inputBytes.length - 1);
      if (slot.kind === "output") whole(slot.bytes);
      return slot.kind === "attribute" ? attributes[whole(slot.index, attributes.length - 1)] : undefined;
    });
    openThreadPool(files.threadPool);
    this.#executable = new CpuExecutable({
      library: new Library(files.library, plan.exports),
      exports: plan.exports,
      host: [],
      layout: plan.args,
      sources,
      arenaBytes: () => arenaBytes,
      ...(packed === null ? {} : { kept: packed.memory }),
    });
  }

  /**
   * Runs the plan. Results are good until the next call.
   *
   * @throws {TypeError} if an input is missing or too short; {RangeError} if a gather or scatter meets an index outside of its dimension
   */
  run(inputs: readonly CpuBuffer[]): ResultBuffer[] {
    const { slots, inputBytes, results } = this.#plan;
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
    this.#executable.run(buffers, []);
    return results.map((result) => resultOf(result, buffers[result.slot]));
  }
}

function checkPlace(place: PackedPlace): PackedPlace {
  whole(place.offset);
  whole(place.bytes);
  return place;
}

/** An attribute where its file lies in memory; copied if that is not aligned. */
function attributeOf(
  { file, offset, byteLength, alignment }: NativePlan["attributes"][number],
  files: NativeFiles,
): CpuBuffer {
  const from = files[file];
  if (from === null) throw new CompileError("a kept plan reads constants that were not kept");
  whole(byteLength, from.byteLength - whole(offset, from.byteLength));
  const bytes = from.uint8.subarray(offset, offset + byteLength);
  return CpuBuffer.wrap(bytes.byteOffset % alignment === 0 ? bytes : bytes.slice());
}

function resultOf(result: NativeResult, buffer: CpuBuffer | undefined): ResultBuffer {
  const dtype = dtypeFromName(result.dtype);
  const { shape, stride, offset } = result;
  if (buffer === undefined || reach(result) * dtype.bytes > buffer.byteLength) {
    throw new CompileError(`a kept plan has a result outside of the memory of slot ${result.slot}`);
  }
  return { dtype, shape, read: () => rowMajorBytes(buffer.uint8, dtype.bytes, shape, stride, offset) };
}

/** The bytes of a strided layout in row-major order: a view where they lie so, else a copy. */
export function rowMajorBytes(
  bytes: Uint8Array<ArrayBuffer>,
  size: number,
  shape: readonly number[],
  stride: readonly number[],
  offset: number,
): Uint8Array<ArrayBuffer> {
  let expected = 1;
  let isRowMajor = true;
  for (let d = shape.length - 1; d >= 0; d--) {
    const length = shape[d] ?? 0;
    if (length !== 1 && stride[d] !== expected) isRowMajor = false;
    expected *= length;
  }
  if (isRowMajor) return bytes.subarray(offset * size, (offset + expected) * size);
  const out = new Uint8Array(expected * size);
  forEachPosition(shape, stride, offset, (position, linear) => {
    for (let b = 0; b < size; b++) out[linear * size + b] = bytes[position * size + b] ?? 0;
  });
  return out;
}
