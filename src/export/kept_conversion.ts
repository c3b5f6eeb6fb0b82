/**
 * Weights of a program that runs in another float dtype than its file: they are converted on their device, after they were read there as they lie in the file.
 *
 * Enters: tensors in the file's dtype. Leaves: the same in the program's, in one allocation. The kernel converts a fixed number of elements, so that one serves all
 * programs; it is compiled, kept and found as those of programs are. Invariant: what is read lies in whole runs of that number, and both sides have the same elements at the same
 * positions.
 */
import type { CompiledFunction, CompilerBackend } from "../capture/mod.ts";
import { type Device, type DType, dtypeFromName } from "../core/mod.ts";
import { type Argument, Graph } from "../graph/mod.ts";
import { getOp } from "../ops/mod.ts";
import { CudaBuffer, cudaContext, type FilePiece } from "../runtime/cuda/mod.ts";
import { contiguousStride } from "../symbolic/mod.ts";
import { allocateStorage, cudaMemory, fakeTensor, noGrad, Storage, Tensor } from "../tensor/mod.ts";
import type { FileJoin, KeptTensor } from "./kept_uploads.ts";
import type { DTypeChange } from "./pt2/callable_graph.ts";

/** Elements that one call converts. */
const RUN = 2 ** 22;
/** Tensors start at multiples of so many elements. */
const ALIGN = 256;

/** How weights are converted, as an entry says it. */
export interface StoredConversion {
  readonly from: string;
  readonly to: string;
  /** The name under which the backend keeps the kernel. */
  readonly program: string;
}

/** The same with the kernel found. */
export interface KeptConversion {
  readonly from: DType;
  readonly to: DType;
  readonly convert: CompiledFunction;
}

const CONTEXT = { mode: "default", options: {} } as const;

/** Compiles the conversion; null if the backend keeps nothing. */
export function compileConversion(
  compiler: CompilerBackend,
  { from, to }: DTypeChange,
  device: Device,
): { readonly stored: StoredConversion; ready(): Promise<void> } | null {
  const graph = new Graph();
  const meta = { shape: [RUN], stride: [1], storageOffset: 0, device };
  const given = graph.placeholder("x", { ...meta, dtype: from });
  const cast = getOp("aten._to_copy.default");
  const args = cast.schema.args.map(({ key }): Argument =>
    key === "self" ? given : key === "dtype" ? to : key === "nonBlocking" ? false : null
  );
  graph.setOutput([graph.call(cast, args, { ...meta, dtype: to })]);
  const module = { graph, attributes: new Map(), recorded: new Set<never>(), differentiable: [false] };
  const examples = [fakeTensor({ ...meta, dtype: from })];
  const program = compiler.kept?.nameOf(module, examples, CONTEXT) ?? null;
  if (program === null) return null;
  const compiled = compiler(module, examples, CONTEXT);
  return {
    stored: { from: from.name, to: to.name, program },
    ready: async () => {
      await compiled.ready?.();
    },
  };
}

/** Finds the kernel; null if the cache does not have it. */
export function openConversion(
  compiler: CompilerBackend,
  { from, to, program }: StoredConversion,
): KeptConversion | null {
  const convert = compiler.kept?.restore(program, new Map(), CONTEXT) ?? null;
  return convert === null ? null : { from: dtypeFromName(from), to: dtypeFromName(to), convert };
}

/** A tensor as an entry describes it. */
export function tensorOver(t: KeptTensor, device: Device, storage: Storage): Tensor {
  const { shape, stride, storageOffset } = t;
  return new Tensor({ shape, stride, storageOffset, dtype: dtypeFromName(t.dtype), device, storage });
}

/** A row-major tensor over memory that begins with it. */
export function rowMajor(shape: readonly number[], dtype: DType, device: Device, storage: Storage): Tensor {
  return new Tensor({ shape, stride: contiguousStride(shape), storageOffset: 0, dtype, device, storage });
}

/** What fills a join from the file, from a position of a buffer on. Its zeros are written at once. */
export function joinPieces({ parts }: FileJoin, to: CudaBuffer, start: number): FilePiece[] {
  return parts.flatMap(({ offset, byteLength, at }) => {
    if (byteLength === 0) return [];
    if (offset !== null) return [{ offset, byteLength, to, at: start + at }];
    cudaContext(to.device.index).fill(to.address + start + at, 0, byteLength);
    return [];
  });
}

/** Elements from the first to the last of a tensor. */
function extentOf({ shape, stride }: Pick<KeptTensor, "shape" | "stride">): number {
  if (shape.includes(0)) return 0;
  return 1 + shape.reduce((n, size, d) => n + (size - 1) * (stride[d] ?? 0), 0);
}

/** Whether a converted tensor keeps its strides: each element has a place of its own, and no place is empty. */
export function keepsStrides(t: Pick<KeptTensor, "shape" | "stride">): boolean {
  let expected = 1;
  const dims = t.shape.map((size, d) => ({ size, stride: t.stride[d] ?? 0 })).filter(({ size }) => size !== 1);
  if (t.shape.includes(0)) return String(t.stride) === String(contiguousStride(t.shape));
  for (const { size, stride } of dims.sort((a, b) => a.stride - b.stride)) {
    if (stride !== expected) return false;
    expected *= size;
  }
  return true;
}

/** Tensors that are converted together. */
export class Conversion {
  readonly pieces: FilePiece[] = [];
  readonly #how: KeptConversion;
  readonly #device: Device;
  readonly #known = new Map<string, number>();
  #elements = 0;
  #read: CudaBuffer | null = null;
  #made: CudaBuffer | null = null;

  constructor(how: KeptConversion, device: Device) {
    this.#how = how;
    this.#device = device;
  }

  /** Reserves a place; the result, called when memory is there, gives the tensor to `set`. @throws {TypeError} if it is of another dtype */
  tensor(t: KeptTensor, set: (made: Tensor) => void): () => void {
    const { from, to } = this.#how;
    if (t.dtype !== from.name || t.as !== to.name) {
      throw new TypeError(`${t.path} is ${t.dtype} and wanted as ${t.as}, not ${from.name} as ${to.name}`);
    }
    const elements = extentOf(t);
    const offset = t.offset + t.storageOffset * from.bytes;
    if (elements * from.bytes + t.storageOffset * from.bytes > t.byteLength) {
      throw new RangeError(`${t.path} is larger than its memory`);
    }
    const key = `${offset} ${elements}`;
    const known = this.#known.get(key);
    const at = known ?? this.#reserve(elements);
    this.#known.set(key, at);
    return () => {
      const [read, made] = this.#buffers();
      const byteLength = elements * from.bytes;
      if (known === undefined && byteLength > 0) {
        this.pieces.push({ offset, byteLength, to: read, at: at * from.bytes });
      }
      const storage = new Storage(made.part(at * to.bytes, elements * to.bytes));
      set(tensorOver({ ...t, dtype: to.name, storageOffset: 0 }, this.#device, storage));
    };
  }

  /** The same of a join. */
  joined(join: FileJoin, set: (made: Tensor) => void): () => void {
    const { from, to } = this.#how;
    if (join.dtype !== from || join.as !== to) {
      throw new TypeError(`a join is ${join.dtype} and wanted as ${join.as}, not ${from.name} as ${to.name}`);
    }
    const elements = join.byteLength / from.bytes;
    const at = this.#reserve(elements);
    return () => {
      const [read, made] = this.#buffers();
      this.pieces.push(...joinPieces(join, read, at * from.bytes));
      set(rowMajor(join.shape, to, this.#device, new Storage(made.part(at * to.bytes, elements * to.bytes))));
    };
  }

  /** Memory for all that is reserved. */
  allocate(): void {
    const { from, to } = this.#how;
    const elements = Math.ceil(this.#elements / RUN) * RUN;
    const whole = (bytes: number): CudaBuffer => {
      const { buffer } = allocateStorage(this.#device, elements * bytes);
      if (!(buffer instanceof CudaBuffer)) throw new TypeError(`weights are converted on CUDA, not on ${this.#device}`);
      return buffer;
    };
    [this.#read, this.#made] = [whole(from.bytes), whole(to.bytes)];
  }

  /** Converts what was read, in order with what is sent to the device afterwards, and lets go of it. */
  run(): void {
    const { from, to, convert } = this.#how;
    const [read, made] = this.#buffers();
    for (let at = 0; at < this.#elements; at += RUN) {
      const storage = new Storage(read.part(at * from.bytes, RUN * from.bytes));
      const [result] = noGrad(() => convert([rowMajor([RUN], from, this.#device, storage)]));
      if (!(result instanceof Tensor) || result.storage.buffer === null) {
        throw new TypeError("the conversion of weights returned no tensor");
      }
      cudaMemory().copy(made, at * to.bytes, result.storage.buffer, 0, RUN * to.bytes);
    }
    this.#read = null;
    read.dispose();
  }

  #reserve(elements: number): number {
    const at = this.#elements;
    this.#elements += Math.ceil(elements / ALIGN) * ALIGN;
    return at;
  }

  #buffers(): readonly [read: CudaBuffer, made: CudaBuffer] {
    if (this.#read === null || this.#made === null) {
      throw new TypeError("weights are converted once, after memory was allocated");
    }
    return [this.#read, this.#made];
  }
}
