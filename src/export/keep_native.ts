/**
 * Keeps what a process without a compiler needs to run an exported program on the CPU.
 *
 * Enters: a program that was compiled, with its tensors. Leaves: an entry of the cache (`native_entry.ts`), which names its plan and libraries and says where in the model's file the weights
 * lie; constants that were computed from them lie in an entry beside it. Programs with symbolic sizes, other inputs than row-major tensors, or results that are
 * memory of the caller are not kept.
 */
import { cpu } from "../core/mod.ts";
import { isTensorMeta } from "../graph/mod.ts";
import { nativeParts } from "../inductor/mod.ts";
import type { FileRange, NativePlan } from "../runtime/cpu/mod.ts";
import { diskCache } from "../runtime/mod.ts";
import { contiguousStride } from "../symbolic/mod.ts";
import { cpuBuffer, type Storage } from "../tensor/mod.ts";
import { fileIdentity } from "./file_identity.ts";
import type { CompiledProgramParts } from "./kept_program.ts";
import {
  nativeConstantsKey,
  type NativeEntry,
  type NativeInput,
  nativeKey,
  type NativeOptions,
} from "./native_entry.ts";
import type { ExportedProgram } from "./pt2/program.ts";

/** Constants of one program take at most so much of the cache. */
const MOST_CONSTANT_BYTES = 2 ** 30;
/** Where constants start: a cache line. */
const ALIGN = 64;

/** What {@linkcode keepNative} writes down: constants are told from weights by their storages, so none are named. */
export interface NativeProgramParts extends Omit<CompiledProgramParts, "options" | "frozen" | "stats"> {
  readonly options: NativeOptions;
  readonly stats: NativeEntry["stats"];
}

type AttributeRange = NativePlan["attributes"][number];

/** Where in the model's file the storages of a program's tensors lie. */
function placesOf(
  program: ExportedProgram,
): ReadonlyMap<Storage, { readonly offset: number; readonly byteLength: number }> {
  const places = new Map<Storage, { readonly offset: number; readonly byteLength: number }>();
  for (const path of program.attributes.paths) {
    const place = program.attributes.place(path);
    const { storage } = program.attributes.tensor(path);
    if (place !== null && storage.version === 0) places.set(storage, place);
  }
  return places;
}

/** Constants one behind the other, each storage once. */
class ConstantsFile {
  readonly parts: Uint8Array<ArrayBuffer>[] = [];
  readonly #places = new Map<Storage, number>();
  byteLength = 0;

  /** Where the memory of a storage begins. */
  place(storage: Storage, bytes: Uint8Array<ArrayBuffer>): number {
    let at = this.#places.get(storage);
    if (at === undefined) {
      this.#places.set(storage, at = this.byteLength);
      const padding = (ALIGN - bytes.byteLength % ALIGN) % ALIGN;
      this.parts.push(bytes, new Uint8Array(padding));
      this.byteLength += bytes.byteLength + padding;
    }
    return at;
  }
}

/** The program's inputs, if each is a row-major tensor of fixed sizes. */
function inputsOf(program: ExportedProgram): NativeInput[] | null {
  const inputs: NativeInput[] = [];
  for (const { name, value } of program.userInputs) {
    if (!isTensorMeta(value) || value.device !== cpu || value.storageOffset !== 0) return null;
    const shape = value.shape.filter((size): size is number => typeof size === "number");
    if (shape.length < value.shape.length) return null;
    const rowMajor = contiguousStride(shape);
    if (value.stride.some((s, d) => shape[d] !== 1 && s !== rowMajor[d])) return null;
    inputs.push({ name, dtype: value.dtype.name, shape });
  }
  return inputs;
}

function bytesOf({ shape, dtype }: NativeInput, sizes: ReadonlyMap<string, number>): number {
  return shape.reduce((n, size) => n * size, sizes.get(dtype) ?? 1);
}

/** Keeps a compiled program, if that can be; tells whether it was. */
export function keepNative(
  { program, path, options, kept, tensorInputs, held, stats }: NativeProgramParts,
): boolean {
  const inputs = inputsOf(program);
  // A file that was replaced while its program was compiled is another one.
  const isSame = program.file !== null && program.file === fileIdentity(path);
  const key = inputs === null || !isSame ? null : nativeKey(program.file, options);
  const parts = key === null || kept === null ? null : nativeParts(kept);
  if (inputs === null || key === null || parts === null || parts.inputOffsets.some((n) => n !== 0)) return false;
  const places = placesOf(program);
  const constants = new ConstantsFile();
  const attributes: AttributeRange[] = [];
  for (const [i, path] of parts.paths.entries()) {
    const t = held.get(path);
    if (t === undefined || t.device !== cpu || t.storage.buffer === null) return false;
    const { dtype, storage } = t;
    const place = places.get(storage);
    const { byteLength, uint8 } = cpuBuffer(t.storage.buffer);
    // The plan's indices may contain the offset.
    const skipped = (Number(t.storageOffset) - (parts.attributeOffsets[i] ?? 0)) * dtype.bytes;
    if (skipped < 0 || skipped > byteLength) return false;
    const begin = place?.offset ?? constants.place(storage, uint8);
    const file: FileRange["file"] = place === undefined ? "constants" : "model";
    const alignment = dtype.isComplex ? dtype.bytes / 2 : dtype.bytes;
    attributes.push({ file, offset: begin + skipped, byteLength: byteLength - skipped, alignment });
  }
  if (constants.byteLength > MOST_CONSTANT_BYTES) return false;
  const library = hashOf(parts.library), threadPool = hashOf(parts.threadPool);
  if (library === null || threadPool === null) return false;
  const sizes = new Map(
    program.userInputs.flatMap(({ value }) =>
      isTensorMeta(value) ? [[value.dtype.name, value.dtype.bytes] as const] : []
    ),
  );
  const inputBytes = tensorInputs.map((at) => {
    const input = inputs[at];
    return input === undefined ? 0 : bytesOf(input, sizes);
  });
  const hasConstants = constants.byteLength > 0;
  if (hasConstants) diskCache().putParts(nativeConstantsKey(key), constants.parts);
  const { kernels, peakBytes, attributeBytes, graphBreaks } = stats;
  const entry: NativeEntry = {
    name: program.name,
    plan: { ...parts.plan, attributes, inputBytes },
    library,
    threadPool,
    hasConstants,
    inputs,
    tensorInputs,
    stats: { kernels, peakBytes, attributeBytes, graphBreaks },
  };
  diskCache().put(key, new TextEncoder().encode(JSON.stringify(entry)));
  return true;
}

/** The hash by which the cache names an object; null for a file that is none of its objects. */
function hashOf(path: string): string | null {
  const [, hash = null] = /\/objects\/[0-9a-f]{2}\/([0-9a-f]{64})\.so$/.exec(path) ?? [];
  return hash !== null && path.startsWith(diskCache().directory) ? hash : null;
}
