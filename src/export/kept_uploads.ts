/**
 * How the weights of a program that is kept reach their device: from the file, without being held or moved by the host.
 *
 * Enters: where tensors lie in a file. Leaves: storages on the device, and one promise for all that is on its way to them. What lies as it is read, and what
 * is put together of such tensors along its first dimension, is read straight to its place.
 */
import { type Device, type DType, dtypeFromName } from "../core/mod.ts";
import type { StoredConstant } from "../inductor/mod.ts";
import { CudaBuffer, cudaContext, type FilePiece } from "../runtime/cuda/mod.ts";
import { contiguousStride } from "../symbolic/mod.ts";
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
}

/** A row-major tensor whose memory is ranges of a file one after the other, and zeros. */
export interface FileJoin {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly byteLength: number;
  /** `offset` is null for zeros. */
  readonly parts: readonly { readonly offset: number | null; readonly byteLength: number; readonly at: number }[];
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
    if (!isRowMajor || (from !== null && from.dtype !== like.dtype)) return null;
    const count = from === null ? part.length : from.shape[dim] ?? 0;
    const offset = from === null ? null : from.offset + from.storageOffset * dtype.bytes;
    parts.push({ offset, byteLength: count * inner, at });
    at += count * inner;
    length += count;
  }
  return { shape: like.shape.map((size, d) => d === dim ? length : size), dtype, byteLength: at, parts };
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

/** What goes from one file to one device. */
export class Uploads {
  readonly #device: Device;
  readonly #pieces: FilePiece[] = [];

  constructor(device: Device) {
    this.#device = device;
  }

  /** Memory of tensors by their place in the file. Those of one place share theirs; all lie in one allocation. */
  storages(tensors: readonly KeptTensor[]): ReadonlyMap<number, Storage> {
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
  joined({ shape, dtype, byteLength, parts }: FileJoin): Tensor {
    const storage = allocateStorage(this.#device, byteLength);
    const { buffer: to } = storage;
    if (to instanceof CudaBuffer) {
      for (const { offset, byteLength, at } of parts) {
        if (byteLength === 0) continue;
        if (offset === null) cudaContext(this.#device.index).fill(to.address + at, 0, byteLength);
        else this.#pieces.push({ offset, byteLength, to, at });
      }
    }
    return new Tensor({
      shape,
      stride: contiguousStride(shape),
      storageOffset: 0,
      dtype,
      device: this.#device,
      storage,
    });
  }

  /** Reads it all; resolves when what is sent to the device from then on finds it there. @throws {RangeError} if the file ends before */
  async send(path: string): Promise<void> {
    await cudaMemory().writeFile(path, this.#pieces);
  }
}
