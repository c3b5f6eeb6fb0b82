/**
 * Keeps what a process without a compiler needs to run an exported program on the CPU.
 *
 * Enters: a program that was compiled, with its tensors. Leaves: an entry of the cache (`native_entry.ts`), which names its plan and libraries and says where in the model's file the weights
 * lie; constants that were computed from them lie in an entry beside it. Sizes that change stand in it as texts, with the conditions that calls check. The state of the generator of random
 * numbers is new in each process. Programs that need operators between their kernels are not kept.
 */
import { SizeWriter, type StoredExpr } from "../capture/mod.ts";
import { CompileError, cpu, emitEvent } from "../core/mod.ts";
import { isTensorMeta, type TensorMeta } from "../graph/mod.ts";
import { type NativeParts, nativeParts } from "../inductor/mod.ts";
import { type CompileJob, type FileRange, type NativeAttribute, prepareRunner } from "../runtime/cpu/mod.ts";
import { diskCache } from "../runtime/mod.ts";
import { isSymInt, type Size, type SymInt } from "../symbolic/mod.ts";
import { cpuBuffer, defaultGenerator, type Storage } from "../tensor/mod.ts";
import { fileIdentity } from "./file_identity.ts";
import type { CompiledProgramParts } from "./kept_program.ts";
import {
  nativeConstantsKey,
  type NativeEntry,
  type NativeInput,
  nativeKey,
  type NativeOptions,
  type NativeSizes,
} from "./native_entry.ts";
import type { ExportedProgram } from "./pt2/program.ts";

/** Constants of one program take at most so much of the cache. */
const MOST_CONSTANT_BYTES = 2 ** 30;
/** Where constants start: a cache line. */
const ALIGN = 64;

/** What {@linkcode keepNative} writes down: constants are told from weights by their storages, so none are named. */
export interface NativeProgramParts
  extends Omit<CompiledProgramParts, "options" | "frozen" | "stats" | "change" | "conversion"> {
  readonly options: NativeOptions;
  readonly stats: NativeEntry["stats"];
  /** The tensors among the graph's inputs. */
  readonly metas: readonly TensorMeta[];
  /** Sizes that follow them as inputs. */
  readonly sizeInputs: readonly SymInt[];
}

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

/** Something that an entry cannot say. */
class Unfit extends Error {}

/** The program's inputs and sizes, as `writer` writes them. @throws {Unfit} if one is none of those that an entry knows */
function inputsOf(program: ExportedProgram, writer: SizeWriter): NativeInput[] {
  return program.userInputs.map(({ name, value }): NativeInput => {
    if (isTensorMeta(value)) {
      if (value.device !== cpu || value.storageOffset !== 0) throw new Unfit();
      const { shape, stride, dtype } = value;
      const write = (size: Size): StoredExpr => writer.size(size);
      return { kind: "tensor", name, dtype: dtype.name, shape: shape.map(write), stride: stride.map(write) };
    }
    if (isSymInt(value)) return { kind: "size", name, value: writer.size(value) };
    if (typeof value === "number") return { kind: "constant", name, value };
    throw new Unfit();
  });
}

function sizesOf(
  program: ExportedProgram,
  writer: SizeWriter,
  given: readonly SymInt[],
  { symbols: planSymbols, sources }: NativeParts,
): NativeSizes | null {
  const bound = (n: number): number | null => Number.isFinite(n) ? n : null;
  const { ranges, constraints } = program.conditions;
  const sizes = {
    ranges: ranges.filter(({ min, max }) => min !== -Infinity || max !== Infinity).map(({ text, expr, min, max }) => ({
      text,
      expr: writer.expr(expr),
      min: bound(min),
      max: bound(max),
    })),
    constraints: constraints.map(({ cond, text }) => ({ cond: writer.condition(cond), text })),
    given: given.map((size) => writer.size(size)),
    planSymbols,
    sources,
  };
  const { symbols } = writer;
  if (symbols.length === 0 && planSymbols.length === 0) return null;
  // What only data decide is no size of a call.
  if ([...symbols, ...planSymbols].some(([, lower]) => !Number.isSafeInteger(lower))) throw new Unfit();
  return { symbols, ...sizes };
}

/** Keeps a compiled program, if that can be; tells whether it was. */
export function keepNative(given: NativeProgramParts): boolean {
  try {
    return keep(given);
  } catch (error) {
    // An entry cannot say it, or two symbols share a name.
    if (error instanceof Unfit || error instanceof CompileError) return false;
    throw error;
  }
}

function keep(
  { program, path, options, kept, tensorInputs, sizeInputs, metas, held, stats }: NativeProgramParts,
): boolean {
  // A file that was replaced while its program was compiled is another one.
  const isSame = program.file !== null && program.file === fileIdentity(path);
  const key = isSame ? nativeKey(program.file, options) : null;
  if (key === null || kept === null) return false;
  const writer = new SizeWriter();
  const inputs = inputsOf(program, writer);
  const isTensor = program.outputSpecs
    .filter(({ kind }) => kind === "userOutput" || kind === "lossOutput")
    .map((spec) => !("isNumber" in spec && spec.isNumber === true));
  const parts = nativeParts(kept, { inputs: metas, attributes: held }, isTensor);
  if (parts === null || parts.inputOffsets.some((n) => n !== 0)) return false;
  const sizes = sizesOf(program, writer, sizeInputs, parts);
  const places = placesOf(program);
  const constants = new ConstantsFile();
  const generator = defaultGenerator(cpu).state.storage;
  const written = new Set(parts.plan.written);
  const attributes = parts.paths.map((path, i): NativeAttribute => {
    const t = held.get(path);
    if (t === undefined || t.device !== cpu || t.storage.buffer === null) throw new Unfit();
    const { dtype, storage } = t;
    if (storage === generator) return { file: "generator" };
    const place = places.get(storage);
    const { byteLength, uint8 } = cpuBuffer(t.storage.buffer);
    // The plan's indices may contain the offset.
    const skipped = (Number(t.storageOffset) - (parts.attributeOffsets[i] ?? 0)) * dtype.bytes;
    if (skipped < 0 || skipped > byteLength) throw new Unfit();
    const begin = place?.offset ?? constants.place(storage, uint8);
    const file: FileRange["file"] = place === undefined ? "constants" : "model";
    const alignment = dtype.isComplex ? dtype.bytes / 2 : dtype.bytes;
    const offset = begin + skipped;
    // A copy would part what is written from others that share its memory.
    if (written.has(i) && offset % alignment !== 0) throw new Unfit();
    return { file, offset, byteLength: byteLength - skipped, alignment };
  });
  if (constants.byteLength > MOST_CONSTANT_BYTES) return false;
  const library = hashOf(parts.library), threadPool = hashOf(parts.threadPool);
  if (library === null || threadPool === null) return false;
  const runner = prepareRunner();
  const hasConstants = constants.byteLength > 0;
  if (hasConstants) diskCache().putParts(nativeConstantsKey(key), constants.parts);
  const { kernels, peakBytes, attributeBytes, graphBreaks } = stats;
  const entry: NativeEntry = {
    name: program.name,
    plan: { ...parts.plan, attributes },
    sizes,
    library,
    threadPool,
    runner: runnerHash(runner),
    hasConstants,
    inputs,
    tensorInputs,
    stats: { kernels, peakBytes, attributeBytes, graphBreaks },
  };
  diskCache().put(key, new TextEncoder().encode(JSON.stringify(entry)));
  return true;
}

/** The program that runs plans, once it is built; null if it cannot be. */
function runnerHash(job: CompileJob): string | null {
  try {
    return hashOf(job.waitSync());
  } catch (error) {
    emitEvent({ kind: "cache", message: error instanceof Error ? error.message : String(error) });
    return null;
  }
}

/** The hash by which the cache names an object; null for a file that is none of its objects. */
function hashOf(path: string): string | null {
  const [, hash = null] = /\/objects\/[0-9a-f]{2}\/([0-9a-f]{64})\.so$/.exec(path) ?? [];
  return hash !== null && path.startsWith(diskCache().directory) ? hash : null;
}
