/**
 * Parameters put together along one dimension, in memory that they may become parts of.
 *
 * Enters: paths of parameters, where a path that is missing stands for zeros. Leaves: one row-major tensor. {@linkcode shareMemory} lets the parameters lie in it, so that
 * nothing is in memory twice and a write to a parameter is a write to the whole.
 */
import { InternalError } from "../../core/mod.ts";
import { CudaBuffer } from "../../runtime/cuda/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { rowMajorBytes, tensorOfBytes } from "./pack_weights.ts";

/** One part: a parameter, or zeros of a length. */
export interface JoinedPart {
  readonly path: string | null;
  /** How many zeros, where there is no path. */
  readonly length: number;
}

/** The parts one after the other along `dim`. Bytes are moved on the host, which needs no kernel. */
export function joined(parts: readonly JoinedPart[], dim: number, read: (path: string) => Tensor): Tensor {
  const like = parts.flatMap(({ path }) => path === null ? [] : [read(path)])[0];
  if (like === undefined) throw new InternalError("nothing but zeros is put together");
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
