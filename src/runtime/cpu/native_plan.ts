/**
 * A plan on the CPU as data, for those who have no tensors, graphs or compiler.
 *
 * {@linkcode NativePlan} is what an earlier process wrote. Everything that is read back is checked before a library is called with it: slots exist, ranges lie in their files and in the arena,
 * results in their memory. `native_program.ts` runs plans in this process, `plan_job.ts` writes them down for one that is nothing else.
 */
import { dtypeFromName } from "../../core/dtype.ts";
import { CompileError } from "../../core/errors.ts";
import { randomSeed } from "../../core/seed.ts";
import { forEachPosition, isRowMajor } from "../positions.ts";
import type { ArgsPositions } from "./executable.ts";
import type { CpuBuffer } from "./memory.ts";
import type { PackedPlace } from "./packed_weights.ts";

/** A range of one of the plan's two files: the model, and the constants that were computed from it. */
export interface FileRange {
  readonly file: "model" | "constants";
  readonly offset: number;
  readonly byteLength: number;
}

/** What a plan reads beside its inputs: a range of a file, or the state of the generator of random numbers, which is new in each process. */
export type NativeAttribute = (FileRange & { readonly alignment: number }) | { readonly file: "generator" };

/** Where a slot's memory comes from. `N` is a number, or what stands for one until sizes are known. */
export type NativeSlot<N = number> =
  | { readonly kind: "input"; readonly index: number }
  | { readonly kind: "attribute"; readonly index: number }
  | { readonly kind: "output"; readonly bytes: N }
  | { readonly kind: "arena"; readonly offset: N; readonly bytes: N }
  /** The memory of another slot, which a result is written into. */
  | { readonly kind: "donated"; readonly of: number };

/** Elements of a slot. */
export interface NativeResult<N = number> {
  readonly slot: number;
  readonly dtype: string;
  readonly shape: readonly N[];
  readonly stride: readonly N[];
  readonly offset: N;
}

/** Elements that a call copies when its kernels are done: what becomes of an input or attribute that the program writes. */
export interface NativeWrite<N = number> {
  readonly from: NativeResult<N>;
  readonly to: NativeResult<N>;
}

/** A plan as JSON. */
export interface NativePlan<N = number> {
  /** Exported functions of the library, in their order. */
  readonly exports: readonly string[];
  readonly args: ArgsPositions;
  readonly packed: readonly PackedPlace[];
  readonly slots: readonly NativeSlot<N>[];
  readonly arenaBytes: N;
  /** The sizes that kernels are told. */
  readonly sizes: readonly N[];
  /** Bytes that each input has at least. */
  readonly inputBytes: readonly N[];
  readonly attributes: readonly NativeAttribute[];
  /** Attributes that a call writes. */
  readonly written: readonly number[];
  readonly writes: readonly NativeWrite<N>[];
  /** Results that are tensors. */
  readonly results: readonly NativeResult<N>[];
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

/** The elements that a layout reaches: one past the last. @throws {CompileError} if it is none */
export function strideReach({ shape, stride, offset }: Pick<NativeResult, "shape" | "stride" | "offset">): number {
  if (shape.length !== stride.length) throw new CompileError("a kept plan has a result of two ranks");
  if (shape.some((size) => whole(size) === 0)) return 0;
  return shape.reduce((end, size, d) => end + (size - 1) * whole(stride[d]), whole(offset) + 1);
}

/** Bytes of the files that a plan reads; null for one that there is none of. */
export interface FileSizes {
  readonly model: number;
  readonly constants: number | null;
}

/** The state of a generator: a seed and how much was drawn. */
const GENERATOR_BYTES = 16;

/** The bytes of an attribute. */
function attributeBytes(attribute: NativeAttribute, sizes: FileSizes): number {
  if (attribute.file === "generator") return GENERATOR_BYTES;
  const { file, offset, byteLength } = attribute;
  const size = sizes[file];
  if (size === null) throw new CompileError("a kept plan reads constants that were not kept");
  return whole(byteLength, size - whole(offset, size));
}

/**
 * Checks that everything that a plan names exists, and lies in the memory that it names.
 *
 * @throws {CompileError} naming what does not
 */
export function verifyNativePlan(plan: NativePlan, files: FileSizes): void {
  const { slots, packed, args, attributes } = plan;
  const arenaBytes = whole(plan.arenaBytes), words = whole(args.length), count = slots.length;
  const held = attributes.map((a) => attributeBytes(a, files));
  for (const { attributes: sources, offset, bytes } of packed) {
    for (const at of sources) whole(at, held.length - 1);
    whole(offset);
    whole(bytes);
  }
  for (const at of plan.written) whole(at, held.length - 1);
  for (const size of plan.sizes) whole(size);
  for (const at of [...args.slots, args.arena, args.sizes, args.error, args.kept]) {
    if (at !== null) whole(at, words - 1);
  }
  if (args.slots.length !== count) throw new CompileError("a kept plan has arguments of other slots");
  const bytesOf = (slot: NativeSlot | undefined, deep = true): number => {
    switch (slot?.kind) {
      case "input":
        return whole(plan.inputBytes[whole(slot.index, plan.inputBytes.length - 1)]);
      case "attribute":
        return held[whole(slot.index, held.length - 1)] ?? 0;
      case "output":
        return whole(slot.bytes);
      case "arena":
        return whole(slot.bytes, arenaBytes - whole(slot.offset, arenaBytes));
      case "donated":
        if (deep) return bytesOf(slots[whole(slot.of, count - 1)], false);
        break;
      default:
        slot satisfies undefined;
    }
    throw new CompileError(`a kept plan has a slot of kind ${slot?.kind}`);
  };
  const capacities = slots.map((slot) => bytesOf(slot));
  for (const layout of [...plan.results, ...plan.writes.flatMap(({ from, to }) => [from, to])]) {
    const { bytes } = dtypeFromName(layout.dtype);
    if (strideReach(layout) * bytes > (capacities[whole(layout.slot, count - 1)] ?? 0)) {
      throw new CompileError(`a kept plan has a result outside of the memory of slot ${layout.slot}`);
    }
  }
  for (const { from, to } of plan.writes) {
    if (String(from.shape) !== String(to.shape) || from.dtype !== to.dtype) {
      throw new CompileError("a kept plan copies between two shapes or dtypes");
    }
  }
}

/** A generator's state that nobody can foretell. */
export function freshGeneratorState(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new BigInt64Array([randomSeed(), 0n]).buffer);
}

/** Writes row-major elements where a strided layout has them. */
export function placeBytes(
  elements: Uint8Array<ArrayBuffer>,
  target: Uint8Array<ArrayBuffer>,
  size: number,
  { shape, stride, offset }: Pick<NativeResult, "shape" | "stride" | "offset">,
): void {
  forEachPosition(shape, stride, offset, (position, linear) => {
    for (let b = 0; b < size; b++) target[position * size + b] = elements[linear * size + b] ?? 0;
  });
}

/** The bytes of a strided layout in row-major order: a view where they lie so, else a copy. */
export function rowMajorBytes(
  bytes: Uint8Array<ArrayBuffer>,
  size: number,
  shape: readonly number[],
  stride: readonly number[],
  offset: number,
): Uint8Array<ArrayBuffer> {
  const count = shape.reduce((n, length) => n * length, 1);
  if (isRowMajor(shape, stride)) return bytes.subarray(offset * size, (offset + count) * size);
  const out = new Uint8Array(count * size);
  forEachPosition(shape, stride, offset, (position, linear) => {
    for (let b = 0; b < size; b++) out[linear * size + b] = bytes[position * size + b] ?? 0;
  });
  return out;
}
