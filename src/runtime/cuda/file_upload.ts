/**
 * Parts of a file on their way to a device.
 *
 * Enters: pieces, each a range of a file and the device memory that it fills. Leaves: chunks, each one read of the file and the copies out of what was read. Neighbours
 * of a file share a chunk, what lies between them and is small is read along; long pieces are cut. Invariant: every byte of every piece is in exactly one chunk.
 */

import type { CudaBuffer } from "./memory.ts";

/** A range of a file and where it belongs. */
export interface FilePiece {
  readonly offset: number;
  readonly byteLength: number;
  readonly to: CudaBuffer;
  /** Where in the buffer. */
  readonly at: number;
}

/** One read. */
export interface FileChunk {
  readonly offset: number;
  readonly byteLength: number;
  /** What is copied, with offsets in the file. */
  readonly pieces: readonly FilePiece[];
}

/** Bytes between two pieces that are cheaper to read than to leave out. */
const GAP = 64 * 1024;

/** The reads for some pieces, each of at most `most` bytes. */
export function fileChunks(pieces: readonly FilePiece[], most: number): FileChunk[] {
  const chunks: FileChunk[] = [];
  let current: FilePiece[] = [];
  let start = 0;
  let end = 0;
  const close = (): void => {
    if (current.length > 0) chunks.push({ offset: start, byteLength: end - start, pieces: current });
    current = [];
  };
  for (const piece of [...pieces].sort((a, b) => a.offset - b.offset)) {
    for (let done = 0; done < piece.byteLength;) {
      const offset = piece.offset + done;
      if (current.length > 0 && (offset - end > GAP || offset < start || offset >= start + most)) close();
      if (current.length === 0) start = end = offset;
      const byteLength = Math.min(piece.byteLength - done, start + most - offset);
      current.push({ offset, byteLength, to: piece.to, at: piece.at + done });
      end = Math.max(end, offset + byteLength);
      done += byteLength;
    }
  }
  close();
  return chunks;
}
