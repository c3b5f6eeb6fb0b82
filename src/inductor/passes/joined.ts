/**
 * Parameters put together along one dimension, in memory that they may become parts of.
 *
 * Enters: paths of parameters, where a path that is missing stands for zeros. Leaves: one row-major tensor. {@linkcode shareMemory} lets the parameters lie in it, so that
 * nothing is in memory twice and a write to a parameter is a write to the whole.
 */
import { InternalError } from "../../core/mod.ts";
import { CudaBuffer } from "../../runtime/cuda/mod.ts";
import { contiguousStride } from "../../symbolic/mod.ts";
import { allocateStorage, cudaMemory, Tensor } from "../../tensor/mod.ts";
import { rowMajorBytes, tensorOfBytes } from "./pack_weights.ts";

/** One part: a parameter, or zeros of a length. */
export interface JoinedPart {
  readonly path: string | null;
  /** How many zeros, where there is no path. */
  readonly length: number;
}

/** Copies inside of a device that cost less than bringing the parts to the host and back. */
const MOST_COPIES = 256;

/** The parts one after the other along `dim`. Bytes are copied where they are or moved on the host, which needs no kernel. */
export function joined(parts: readonly JoinedPart[], dim: number, read: (path: string) => Tensor): Tensor {
  const like = parts.flatMap(({ path }) => path === null ? [] : [read(path)])[0];
  if (like === undefined) throw new InternalError("nothing but zeros is put together");
  const there = joinedOnDevice(parts, dim, read, like);
  if (there !== null) return there;
  const { dtype } = like;
  const shape = like.shape.map(Number);
  const rows = shape.slice(0, dim).reduce((a, b) => a * b, 1);
  const inner = shape.slice(dim + 1).reduce((a, b) => a * b, dtype.bytes);
  const sources = parts.map(({ path, length }) => {
    const from = path === null ? null : read(path);
    const count = from === null ? length : Number(from.shape[dim]);
    return { bytes: from === null ? null : rowMajorBytes(from), count, width: count * inner };
  });
  const width = sources.reduce((n, s) => n + s.width, 0);
  const to = new Uint8Array(rows * width);
  let at = 0;
  for (const source of sources) {
    for (let row = 0; source.bytes !== null && row < rows; row++) {
      to.set(source.bytes.subarray(row * source.width, (row + 1) * source.width), row * width + at);
    }
    at += source.width;
  }
  const sizes = shape.map((s, d) => d === dim ? sources.reduce((n, { count }) => n + count, 0) : s);
  return tensorOfBytes(sizes, like, to);
}

/** The same by copies inside of the device on which all parts lie row by row; null where they do not, or are too many. */
function joinedOnDevice(
  parts: readonly JoinedPart[],
  dim: number,
  read: (path: string) => Tensor,
  like: Tensor,
): Tensor | null {
  const { dtype, device } = like;
  const shape = like.shape.map(Number);
  const rows = shape.slice(0, dim).reduce((a, b) => a * b, 1);
  const inner = shape.slice(dim + 1).reduce((a, b) => a * b, dtype.bytes);
  if (!(like.storage.buffer instanceof CudaBuffer) || rows * parts.length > MOST_COPIES) return null;
  const sources: { readonly from: CudaBuffer | null; readonly start: number; readonly count: number }[] = [];
  for (const { path, length } of parts) {
    const tensor = path === null ? null : read(path);
    const from = tensor?.storage.buffer ?? null;
    if (tensor !== null && !(from instanceof CudaBuffer && tensor.isContiguous && tensor.device === device)) {
      return null;
    }
    sources.push({
      from: from instanceof CudaBuffer ? from : null,
      start: Number(tensor?.storageOffset ?? 0) * dtype.bytes,
      count: tensor === null ? length : Number(tensor.shape[dim]),
    });
  }
  const length = sources.reduce((n, { count }) => n + count, 0);
  const storage = allocateStorage(device, rows * length * inner);
  const { buffer: to } = storage;
  if (!(to instanceof CudaBuffer)) return null;
  const memory = cudaMemory();
  for (let row = 0, at = 0; row < rows; row++) {
    for (const { from, start, count } of sources) {
      const bytes = count * inner;
      if (bytes > 0 && from === null) memory.write(to, at, new Uint8Array(bytes));
      else if (bytes > 0 && from !== null) memory.copy(to, at, from, start + row * bytes, bytes);
      at += bytes;
    }
  }
  const sizes = shape.map((s, d) => d === dim ? length : s);
  return new Tensor({ shape: sizes, stride: contiguousStride(sizes), storageOffset: 0, dtype, device, storage });
}

/** Whether a tensor is all of its storage, row by row. */
function fills(t: Tensor): boolean {
  const { buffer } = t.storage;
  return buffer instanceof CudaBuffer && t.isContiguous && Number(t.storageOffset) === 0 &&
    buffer.byteLength === t.numel * t.dtype.bytes;
}

/** Lets parts that were put together along their first dimension lie in the whole, and their own memory go. Returns how many could. */
export function shareMemory(whole: Tensor, parts: readonly Tensor[]): number {
  const { buffer } = whole.storage;
  if (!(buffer instanceof CudaBuffer)) return 0;
  let [at, count] = [0, 0];
  for (const part of parts) {
    const bytes = part.numel * part.dtype.bytes;
    if (fills(part)) {
      part.storage.adopt(buffer.part(at, bytes));
      count++;
    }
    at += bytes;
  }
  return count;
}
