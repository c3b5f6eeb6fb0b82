/**
 * How the weights of a program that is kept reach their device: from the file, without being held or moved by the host.
 *
 * Enters: where tensors lie in a file. Leaves: storages on the device, and one promise for all that is on its way to them. What lies as it is read, and what
 * is put together of such tensors along its first dimension, is read straight to its place.
 */
import { type Device, type DType, dtypeFromName } from "../core/mod.ts";
import type { StoredConstant } from "../inductor/mod.ts";
import { CudaBuffer, type FilePiece } from "../runtime/cuda/mod.ts";
import { contiguousStride } from "../symbolic/mod.ts";
import { Conversion, joinPieces, type KeptConversion, rowMajor, tensorOver } from "./kept_conversion.ts";
import { allocateStorage, cudaMemory, Storage, Tensor } from "../tensor/mod.ts";

/** A tensor whose memory lies in the program's file. */
export interface KeptTensor {
  readonly path: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
  readonly storageOffset: number;
  /** Where its memory lies in the file. */
  readonly offset: number;
  readonly byteLength: number;
  /** The dtype that the program runs it in; absent where that is its own. */
  readonly as?: string;
}

/** A row-major tensor whose memory is ranges of a file one after the other, and zeros. */
export interface FileJoin {
  readonly shape: readonly number[];
  /** In the file. */
  readonly dtype: DType;
  /** Of the tensor; absent where that is the file's. */
  readonly as?: DType;
  readonly byteLength: number;
  /** `offset` is null for zeros. */
  readonly parts: readonly { readonly offset: number | null; readonly byteLength: number; readonly at: number }[];
}

/** What is placed: tensors by their paths, and joins. */
export interface Placed {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly joined: ReadonlyMap<FileJoin, Tensor>;
}

/** Memory starts at multiples of this, as allocations do. */
const ALIGN = 256;

/** A constant as ranges of the file; null if elements have to be moved or computed for it. */
export function joinedInFile(recipe: StoredConstant, find: (path: string) => KeptTensor): FileJoin | null {
  if (recipe.kind !== "joined") return null;
  const { dim } = recipe;
  const like = recipe.parts.flatMap(({ path }) => path === null ? [] : [find(path)])[0];
  if (like === undefined || like.shape.slice(0, dim).some((size) => size !== 1)) return null;
  const dtype = dtypeFromName(like.dtype);
  const inner = like.shape.slice(dim + 1).reduce((a, b) => a * b, dtype.bytes);
  const parts: FileJoin["parts"][number][] = [];
  let [at, length] = [0, 0];
  for (const part of recipe.parts) {
    const from = part.path === null ? null : find(part.path);
    const isRowMajor = from === null || String(from.stride) === String(contiguousStride(from.shape));
    if (!isRowMajor || (from !== null && (from.dtype !== like.dtype || from.as !== like.as))) return null;
    const count = from === null ? part.length : from.shape[dim] ?? 0;
    const offset = from === null ? null : from.offset + from.storageOffset * dtype.bytes;
    parts.push({ offset, byteLength: count * inner, at });
    at += count * inner;
    length += count;
  }
  const as = like.as === undefined ? {} : { as: dtypeFromName(like.as) };
  return { shape: like.shape.map((size, d) => d === dim ? length : size), dtype, ...as, byteLength: at, parts };
}

/** Computed constants that are kept beside a program take at most so much. */
const MOST_KEPT_BYTES = 256 * 2 ** 20;

/** Computed constants one behind the other, and where each lies; null if they are too large to be kept twice. */
export function packConstants(
  constants: ReadonlyMap<string, Tensor>,
): { readonly tensors: KeptTensor[]; readonly bytes: Uint8Array<ArrayBuffer> } | null {
  let end = 0;
  const tensors: KeptTensor[] = [];
  const buffers: CudaBuffer[] = [];
  for (const [path, t] of constants) {
    const { buffer } = t.storage;
    if (!(buffer instanceof CudaBuffer)) return null;
    tensors.push({
      path,
      dtype: t.dtype.name,
      shape: t.shape.map(Number),
      stride: t.stride.map(Number),
      storageOffset: Number(t.storageOffset),
      offset: end,
      byteLength: buffer.byteLength,
    });
    buffers.push(buffer);
    end += Math.ceil(buffer.byteLength / ALIGN) * ALIGN;
    if (end > MOST_KEPT_BYTES) return null;
  }
  const bytes = new Uint8Array(end);
  tensors.forEach(({ offset, byteLength }, i) => {
    if (byteLength > 0) bytes.set(cudaMemory().readSync(buffers[i] as CudaBuffer, 0, byteLength), offset);
  });
  return { tensors, bytes };
}

/** The same tensors on a device, sent in one piece. @throws {RangeError} if one lies outside of the bytes */
export function unpackConstants(
  tensors: readonly KeptTensor[],
  bytes: Uint8Array<ArrayBuffer>,
  device: Device,
): Map<string, Tensor> {
  const { buffer: whole } = allocateStorage(device, bytes.length);
  if (!(whole instanceof CudaBuffer)) throw new TypeError(`constants are kept for CUDA, not for ${device}`);
  cudaMemory().write(whole, 0, bytes);
  return new Map(tensors.map(({ path, shape, stride, storageOffset, dtype, offset, byteLength }) => {
    const storage = new Storage(whole.part(offset, byteLength));
    return [path, new Tensor({ shape, stride, storageOffset, dtype: dtypeFromName(dtype), device, storage })];
  }));
}

/** What goes from one file to one device, with what is converted there. */
export class Uploads {
  readonly #device: Device;
  readonly #pieces: FilePiece[] = [];
  readonly #converted: Conversion | null;

  /** `conversion`: how those tensors are converted that say so; null if there are none. */
  constructor(device: Device, conversion: KeptConversion | null = null) {
    this.#device = device;
    this.#converted = conversion === null ? null : new Conversion(conversion, device);
  }

  /**
   * Tensors and joins on the device, before their elements are there. Tensors of one place share their memory; all lie in one allocation.
   *
   * @throws {TypeError} if something is converted and nothing says how
   */
  place(tensors: readonly KeptTensor[], joins: ReadonlySet<FileJoin>): Placed {
    const placed = new Map<string, Tensor>();
    const storages = this.#storages(tensors.filter(({ as }) => as === undefined));
    const joined = new Map<FileJoin, Tensor>();
    const later: (() => void)[] = [];
    for (const t of tensors) {
      const storage = storages.get(t.offset);
      if (t.as === undefined && storage !== undefined) placed.set(t.path, tensorOver(t, this.#device, storage));
      else later.push(this.#conversion().tensor(t, (made) => placed.set(t.path, made)));
    }
    for (const join of joins) {
      if (join.as === undefined) joined.set(join, this.#joined(join));
      else later.push(this.#conversion().joined(join, (made) => joined.set(join, made)));
    }
    this.#converted?.allocate();
    for (const finish of later) finish();
    return { tensors: placed, joined };
  }

  /** Reads and converts it all; resolves when what is sent to the device from then on finds it there. @throws {RangeError} if the file ends before */
  async send(path: string): Promise<void> {
    const converted = this.#converted;
    await cudaMemory().writeFile(path, [...this.#pieces, ...converted?.pieces ?? []]);
    converted?.run();
  }

  #conversion(): Conversion {
    if (this.#converted === null) throw new TypeError("tensors are to be converted, and nothing says how");
    return this.#converted;
  }

  /** Memory of tensors by their place in the file. */
  #storages(tensors: readonly KeptTensor[]): ReadonlyMap<number, Storage> {
    const places = new Map<number, { readonly byteLength: number; readonly at: number }>();
    let end = 0;
    for (const { offset, byteLength } of tensors) {
      if (places.has(offset)) continue;
      places.set(offset, { byteLength, at: end });
      end += Math.ceil(byteLength / ALIGN) * ALIGN;
    }
    const { buffer: whole } = allocateStorage(this.#device, end);
    return new Map(
      [...places].map(([offset, { byteLength, at }]) => {
        if (!(whole instanceof CudaBuffer)) return [offset, new Storage(whole)];
        if (byteLength > 0) this.#pieces.push({ offset, byteLength, to: whole, at });
        return [offset, new Storage(whole.part(at, byteLength))];
      }),
    );
  }

  /** A tensor that is put together of ranges of the file. */
  #joined(join: FileJoin): Tensor {
    const storage = allocateStorage(this.#device, join.byteLength);
    const { buffer } = storage;
    if (buffer instanceof CudaBuffer) this.#pieces.push(...joinPieces(join, buffer, 0));
    return rowMajor(join.shape, join.dtype, this.#device, storage);
  }
}
