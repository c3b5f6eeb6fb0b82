/**
 * Programs that an earlier process compiled for a CUDA device: what a warm process needs of them, found by the file alone.
 *
 * Enters: a path. Leaves: a callable, for which neither the archive's directory nor the program's JSON was read: the cache has its inputs, where its weights lie in the
 * file, how packed weights are made of them, and the name under which the backend keeps the launches. The driver starts on another thread meanwhile. An entry belongs to a
 * file of the same place, size, times and inode; weights were checked against their CRC when it was made. Programs whose sizes are symbols, or that write inputs or
 * parameters, are not kept. Mirrors what `torch._inductor.aoti_load_package` skips.
 */
import { type CompileMode, findBackend } from "../capture/mod.ts";
import {
  config,
  type Device,
  device as deviceOf,
  type DType,
  dtypeFromName,
  emitEvent,
  isStageEnabled,
} from "../core/mod.ts";
import { isTensorMeta } from "../graph/mod.ts";
import { computeStored, type FrozenConstants, sourcesOf, type StoredConstant } from "../inductor/mod.ts";
import { CpuBuffer, mapFile } from "../runtime/cpu/mod.ts";
import { startCuda } from "../runtime/cuda/mod.ts";
import { type CacheKey, cacheKey, diskCache, libraryVersion } from "../runtime/mod.ts";
import { contiguousStride } from "../symbolic/mod.ts";
import { allocateStorage, deviceMemory, fillExpanded, noGrad, Storage, Tensor } from "../tensor/mod.ts";
import type { CompiledExport, CompiledStats } from "./compile_program.ts";
import { fileIdentity } from "./file_identity.ts";
import { keepsStrides, openConversion, type StoredConversion, tensorOver } from "./kept_conversion.ts";
import {
  type FileJoin,
  joinedInFile,
  type KeptTensor,
  packConstants,
  unpackConstants,
  Uploads,
} from "./kept_uploads.ts";
import type { DTypeChange } from "./pt2/callable_graph.ts";
import type { RunValue } from "./pt2/execute.ts";
import type { ExportedProgram } from "./pt2/program.ts";

/** Raise it when the meaning of entries changes. */
const FORMAT = "3";

/** An input as the entry knows it. */
export interface KeptInput {
  readonly name: string;
  readonly dtype: string;
  /** What the compiled graph takes instead; absent where that is the same. Calls give either. */
  readonly as?: string;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
}

interface Entry {
  readonly name: string;
  readonly program: string;
  readonly inputs: readonly KeptInput[];
  /** Which of the inputs the compiled graph takes, in its order. */
  readonly tensorInputs: readonly number[];
  /** Parameters that are uploaded as they are. */
  readonly tensors: readonly KeptTensor[];
  /** Parameters that only constants are made of. */
  readonly sources: readonly KeptTensor[];
  readonly constants: readonly {
    readonly path: string;
    readonly recipe: StoredConstant;
    /** What must come out. */
    readonly geometry: string;
  }[];
  /** Constants that were computed, where they lie in an entry of their own; what is not among them, or not there any more, is computed anew. */
  readonly computed: readonly KeptTensor[];
  /** How weights are converted that say so; null if there are none. */
  readonly conversion: StoredConversion | null;
  readonly stats: CompiledStats;
}

/** A program as a warm process has it. */
export interface KeptProgram {
  readonly name: string;
  readonly inputs: readonly KeptInput[];
  readonly call: CompiledExport;
}

/** How a program is asked for. */
export interface KeptOptions {
  readonly device: Device;
  readonly mode: CompileMode;
  /** Which model of the file. */
  readonly model?: string;
  /** The float dtype that it runs in, as it was asked for. Default: as exported. */
  readonly dtype?: DType;
}

/** The key of the entry of a file, which is named by its identity; null if nothing may be kept or read now. */
function keyOf(file: string | null, { device, mode, model, dtype }: KeptOptions): CacheKey | null {
  const { disabled, profile } = config();
  if (!isStageEnabled("cache") || disabled.size > 0 || profile || device.type !== "cuda") return null;
  const compiler = libraryVersion();
  if (file === null || compiler === null) return null;
  const asked = [file, String(device), mode, model ?? null, dtype?.name ?? null];
  return cacheKey("opened", JSON.stringify(asked), { compiler, format: FORMAT });
}

/** The key of a program's computed constants. */
function constantsKey(program: CacheKey): CacheKey {
  return cacheKey("constants", program.id, { format: FORMAT });
}

/**
 * Opens a program that an earlier process compiled; null if the cache does not have it. Damaged entries count as absent, and say so.
 *
 * @throws {TypeError} without a working driver
 */
export async function openKept(path: string, options: KeptOptions): Promise<KeptProgram | null> {
  const key = keyOf(fileIdentity(path), options);
  const found = key === null ? null : diskCache().lookup(key);
  if (found === null || !found.hit) return null;
  const started = startCuda(options.device.index);
  try {
    const entry = JSON.parse(new TextDecoder().decode(found.bytes)) as Entry;
    const computed = entry.computed.length === 0 ? null : diskCache().lookup(constantsKey(key as CacheKey));
    return await restore(entry, path, started, options, computed?.hit === true ? computed.bytes : null);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    emitEvent({ kind: "cache", message: `${path}: what is kept of it cannot be used: ${why}` });
    await started;
    return null;
  }
}

async function restore(
  entry: Entry,
  path: string,
  started: Promise<void>,
  { device, mode }: KeptOptions,
  computed: Uint8Array<ArrayBuffer> | null,
): Promise<KeptProgram | null> {
  const file = mapFile(path).uint8;
  for (const t of [...entry.tensors, ...entry.sources]) {
    if (!(t.offset >= 0 && t.byteLength >= 0 && t.offset + t.byteLength <= file.length)) {
      throw new RangeError(`the memory of ${t.path} lies outside of the file`);
    }
  }
  const bytesOf = (t: KeptTensor): Uint8Array<ArrayBuffer> => file.subarray(t.offset, t.offset + t.byteLength);
  const cpu = deviceOf("cpu");
  const places = new Map([...entry.tensors, ...entry.sources].map((t) => [t.path, t]));
  const place = (path: string): KeptTensor => {
    const found = places.get(path);
    if (found === undefined) throw new RangeError(`a constant is made of ${path}, which is not kept`);
    return found;
  };
  const sources = new Map<string, Tensor>();
  const read = (path: string): Tensor => {
    const known = sources.get(path);
    if (known !== undefined) return known;
    const t = place(path);
    const bytes = bytesOf(t);
    const { bytes: alignment } = dtypeFromName(t.dtype);
    const own = bytes.byteOffset % alignment === 0 ? bytes : bytes.slice();
    const stored = tensorOver(t, cpu, new Storage(CpuBuffer.wrap(own)));
    const { as } = t;
    const tensor = as === undefined ? stored : noGrad(() => stored.to(dtypeFromName(as)));
    sources.set(path, tensor);
    return tensor;
  };
  // What needs no device is done while the driver starts. Layers that share their weights share what is made of them.
  const made = new Map<string, Tensor | FileJoin>();
  const known = new Set(computed === null ? [] : entry.computed.map(({ path }) => path));
  const constants = entry.constants.filter(({ path }) => !known.has(path)).map(({ path, recipe, geometry }) => {
    const key = JSON.stringify(recipe);
    let found = made.get(key);
    if (found === undefined) {
      made.set(key, found = joinedInFile(recipe, place) ?? noGrad(() => computeStored(recipe, read)));
    }
    const text = geometryOf(found);
    if (text !== geometry) throw new RangeError(`${path} is ${text} instead of ${geometry}`);
    return { path, made: found };
  });
  await started;
  const backend = findBackend("inductor");
  const conversion = entry.conversion === null ? null : openConversion(backend, entry.conversion);
  if (entry.conversion !== null && conversion === null) return null;
  const uploads = new Uploads(device, conversion);
  const joins = constants.flatMap(({ made }) => made instanceof Tensor ? [] : [made]);
  const placed = uploads.place(entry.tensors, new Set(joins));
  const attributes = new Map(placed.tensors);
  if (computed !== null) {
    for (const [path, t] of unpackConstants(entry.computed, computed, device)) attributes.set(path, t);
  }
  const uploaded = new Map<Tensor, Tensor>();
  for (const { path, made } of constants) {
    let tensor = made instanceof Tensor ? uploaded.get(made) : placed.joined.get(made);
    if (tensor === undefined && made instanceof Tensor) uploaded.set(made, tensor = onDevice(made, device));
    attributes.set(path, tensor as Tensor);
  }
  // Threads read the file while this one loads the kernels.
  const sent = uploads.send(path);
  // Where loading fails as well, that is the error.
  sent.catch(() => {});
  const compiled = backend.kept?.restore(entry.program, attributes, { mode, options: { freezing: true } }) ?? null;
  await compiled?.ready?.();
  await sent;
  if (compiled === null) return null;
  const run = (inputs: readonly RunValue[]): RunValue[] => {
    const tensors = entry.tensorInputs.map((at) => checked(inputs[at], entry, at, device));
    if (inputs.length !== entry.inputs.length) {
      throw new TypeError(`${entry.name}: takes ${entry.inputs.length} inputs, got ${inputs.length}`);
    }
    return [...noGrad(() => compiled(tensors))];
  };
  const call: CompiledExport = Object.assign(run, {
    kind: "compiled" as const,
    reason: null,
    stats: entry.stats,
    ready: async () => {
      await compiled.ready?.();
    },
    readProfile: () => [],
  });
  return { name: entry.name, inputs: entry.inputs, call };
}

/** A tensor of the CPU on a device, with the same strides. */
function onDevice(t: Tensor, device: Device): Tensor {
  const { buffer } = t.storage;
  if (!(buffer instanceof CpuBuffer)) throw new TypeError("a constant was not made on the CPU");
  const storage = allocateStorage(device, buffer.byteLength);
  if (storage.buffer !== null && buffer.byteLength > 0) deviceMemory(device).write(storage.buffer, 0, buffer.uint8);
  const { shape, stride, storageOffset, dtype } = t;
  return new Tensor({ shape, stride, storageOffset, dtype, device, storage });
}

function geometryOf(t: Tensor | FileJoin): string {
  const { shape } = t;
  const dtype = t instanceof Tensor ? t.dtype : t.as ?? t.dtype;
  const [stride, storageOffset] = t instanceof Tensor
    ? [t.stride, t.storageOffset]
    : [contiguousStride(shape.map(Number)), 0];
  return `${dtype.name}[${shape.join(", ")}] with strides [${stride.join(", ")}] from ${storageOffset}`;
}

/** An input in the layout that the graph was compiled for. */
function checked(value: RunValue | undefined, entry: Entry, at: number, device: Device): Tensor {
  const wanted = entry.inputs[at];
  if (wanted === undefined) throw new RangeError(`${entry.name}: an entry of the cache names input ${at}`);
  const text = `${wanted.dtype}[${wanted.shape.join(", ")}]`;
  if (
    !(value instanceof Tensor) || (value.dtype.name !== wanted.dtype && value.dtype.name !== wanted.as) ||
    String(value.shape.map(Number)) !== String(wanted.shape)
  ) {
    const got = value instanceof Tensor ? `${value.dtype.name}[${value.shape.join(", ")}]` : typeof value;
    throw new TypeError(`${entry.name}: input ${wanted.name} must be ${text}, got ${got}`);
  }
  const dtype = dtypeFromName(wanted.as ?? wanted.dtype);
  const moved = noGrad(() => (value.device === device ? value : value.to(device)).to(dtype));
  if (wanted.stride.every((s, d) => moved.stride[d] === s)) return moved;
  return noGrad(() => {
    const { shape, stride } = wanted;
    const made = new Tensor({
      shape,
      stride,
      storageOffset: 0,
      dtype,
      device,
      storage: allocateStorage(
        device,
        (1 + shape.reduce((n, s, d) => n + (s - 1) * (stride[d] ?? 0), 0)) * dtype.bytes,
      ),
    });
    return fillExpanded(made, moved);
  });
}

/** What {@linkcode keepProgram} writes down. */
export interface CompiledProgramParts {
  readonly program: ExportedProgram;
  readonly path: string;
  readonly options: KeptOptions;
  /** The name under which the backend keeps the launches. */
  readonly kept: string | null;
  readonly tensorInputs: readonly number[];
  /** The tensors that the graph reads, by path. */
  readonly held: ReadonlyMap<string, Tensor>;
  readonly frozen: FrozenConstants;
  readonly stats: CompiledStats;
  /** The dtypes of weights and inputs that were changed, and how weights are; null if none were. */
  readonly change: DTypeChange | null;
  readonly conversion: StoredConversion | null;
}

/** Keeps what a warm process needs, if the program can be kept; tells whether it was. */
export function keepProgram(
  { program, path, options, kept, tensorInputs, held, frozen, stats, change, conversion }: CompiledProgramParts,
): boolean {
  // A file that was replaced while its program was compiled is another one.
  const key = program.file === fileIdentity(path) ? keyOf(program.file, options) : null;
  if (key === null || kept === null) return false;
  const inputs: KeptInput[] = [];
  for (const { name, value } of program.userInputs) {
    if (!isTensorMeta(value)) return false;
    const { shape, stride, dtype } = value;
    if (![...shape, ...stride].every((s) => typeof s === "number")) return false;
    const as = dtype === change?.from ? { as: change.to.name } : {};
    inputs.push({ name, dtype: dtype.name, ...as, shape: shape as number[], stride: stride as number[] });
  }
  const describe = (path: string): KeptTensor | null => {
    const t = program.attributes.has(path) ? program.attributes.tensor(path) : null;
    const place = t === null ? null : program.attributes.place(path);
    if (t === null || place === null) return null;
    const { dtype } = t;
    const [shape, stride] = [t.shape.map(Number), t.stride.map(Number)];
    const isConverted = dtype === change?.from;
    if (isConverted && !keepsStrides({ shape, stride })) return null;
    const as = isConverted ? { as: change.to.name } : {};
    return { path, dtype: dtype.name, shape, stride, storageOffset: Number(t.storageOffset), ...place, ...as };
  };
  const tensors: KeptTensor[] = [];
  const sources = new Map<string, KeptTensor>();
  const constants: Entry["constants"][number][] = [];
  const recipes = frozen.stored;
  for (const [path, value] of held) {
    const recipe = recipes.get(path);
    if (recipe === undefined) {
      const tensor = describe(path);
      if (tensor === null) return false;
      tensors.push(tensor);
      continue;
    }
    if (recipe === null) return false;
    constants.push({ path, recipe, geometry: geometryOf(value) });
    for (const source of sourcesOf(recipe)) {
      const tensor = describe(source);
      if (tensor === null) return false;
      sources.set(source, tensor);
    }
  }
  for (const { path } of tensors) sources.delete(path);
  const isConverted = [...tensors, ...sources.values()].some(({ as }) => as !== undefined);
  if (isConverted && conversion === null) return false;
  const places = new Map([...tensors, ...sources.values()].map((t) => [t.path, t]));
  const moved = constants.filter(({ recipe }) =>
    joinedInFile(recipe, (path) => places.get(path) as KeptTensor) === null
  );
  const packed = packConstants(new Map(moved.map(({ path }) => [path, held.get(path) as Tensor])));
  if (packed !== null && packed.tensors.length > 0) diskCache().put(constantsKey(key), packed.bytes);
  const entry: Entry = {
    name: program.name,
    program: kept,
    inputs,
    tensorInputs,
    tensors,
    sources: [...sources.values()],
    constants,
    computed: packed?.tensors ?? [],
    conversion: isConverted ? conversion : null,
    stats,
  };
  diskCache().put(key, new TextEncoder().encode(JSON.stringify(entry)));
  return true;
}
