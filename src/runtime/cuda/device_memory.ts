/**
 * How elements reach CUDA memory and come back.
 *
 * Enters: host bytes, {@linkcode CudaBuffer}. All copies go through pinned memory in the current stream of the buffer's device, so
 * they are in order with its kernels: `write` returns as soon as the bytes are staged, `read` resolves when they have come,
 * and throws what kernels before it reported as a wrong index.
 * Copies larger than a chunk are cut, so that the host's half and the device's half overlap.
 * Has the shape of the tensor layer's `DeviceMemory`, which is registered with it where tensors are loaded.
 */

import type { Device } from "../../core/device.ts";
import type { Buffer } from "../buffer.ts";
import { FileReader } from "../cpu/file_reader.ts";
import { mapFile } from "../cpu/mapped_file.ts";
import { type CudaContext, cudaContext } from "./context.ts";
import { fileChunks, type FilePiece } from "./file_upload.ts";
import { CudaBuffer } from "./memory.ts";
import { type PinnedBlock, PinnedPool } from "./staging.ts";
import type { CudaEvent } from "./stream.ts";

const CHUNK = 8 * 2 ** 20;
/** Copies on the way at a time. */
const DEPTH = 16;
/** Of files: how many threads read, for one copies at a seventh of the bus's speed, and what each reads at a time. Pinning takes 0.6 ms for a megabyte. */
const FILE_READERS = 8;
const FILE_CHUNK = 2 ** 20;
const LARGE_FILE_CHUNK = 4 * FILE_CHUNK;
const LARGE_FILE = 2 ** 30;

interface Copy {
  readonly block: PinnedBlock;
  readonly event: CudaEvent;
  readonly at: number;
  readonly length: number;
}

/** Memory of CUDA devices for tensors. */
export class CudaDeviceMemory {
  readonly #contextOf: (ordinal: number) => CudaContext;
  readonly #pools = new Map<CudaContext, PinnedPool>();

  constructor(contextOf: (ordinal: number) => CudaContext = cudaContext) {
    this.#contextOf = contextOf;
  }

  /** Memory with undefined content, for the current stream. @throws {OutOfMemoryError} */
  allocate(device: Device, byteLength: number): CudaBuffer {
    return this.#contextOf(device.index).allocator.allocate(byteLength);
  }

  /** Copies bytes to the host and blocks the thread until they have come. */
  readSync(buffer: Buffer, byteOffset: number, byteLength: number): Uint8Array<ArrayBuffer> {
    const copies = new Reader(this.#contextFor(buffer), this.#poolFor(buffer), buffer, byteOffset, byteLength);
    for (let copy = copies.next(); copy !== null; copy = copies.next()) {
      copy.event.synchronize();
      copies.receive(copy);
    }
    this.#contextFor(buffer).errors.check();
    return copies.bytes;
  }

  /** Copies bytes to the host. */
  async read(buffer: Buffer, byteOffset: number, byteLength: number): Promise<Uint8Array<ArrayBuffer>> {
    const copies = new Reader(this.#contextFor(buffer), this.#poolFor(buffer), buffer, byteOffset, byteLength);
    for (let copy = copies.next(); copy !== null; copy = copies.next()) {
      await copy.event.finished();
      copies.receive(copy);
    }
    this.#contextFor(buffer).errors.check();
    return copies.bytes;
  }

  /** Copies bytes inside a device, or between two. */
  copy(to: Buffer, toOffset: number, from: Buffer, fromOffset: number, byteLength: number): void {
    const target = checkRange(to, toOffset, byteLength);
    const source = checkRange(from, fromOffset, byteLength);
    const context = this.#contextFor(from);
    const peer = this.#contextFor(to);
    const [at, start] = [target.address + toOffset, source.address + fromOffset];
    if (peer === context) context.copy(at, start, byteLength);
    else context.copyToPeer(peer, at, start, byteLength);
  }

  /** Copies bytes from the host. They may change as soon as it returns. */
  write(buffer: Buffer, byteOffset: number, bytes: Uint8Array<ArrayBuffer>): void {
    const target = checkRange(buffer, byteOffset, bytes.length);
    const context = this.#contextFor(buffer);
    const pool = this.#poolFor(buffer);
    for (let at = 0; at < bytes.length; at += CHUNK) {
      const part = bytes.subarray(at, at + CHUNK);
      const block = pool.take(part.length);
      block.bytes.set(part);
      context.copyFromHost(target.address + byteOffset + at, block.pointer, part.length);
      pool.release(block, context.currentStream.record());
    }
  }

  /**
   * Copies parts of a file to memory of one device; several threads read. Resolves when the last copy is on its way: what its current stream is sent from then on finds it done.
   *
   * @throws {RangeError} if the file ends before a part does
   */
  async writeFile(path: string, pieces: readonly FilePiece[]): Promise<void> {
    for (const { to, at, byteLength } of pieces) checkRange(to, at, byteLength);
    const target = pieces[0]?.to;
    if (target === undefined) return;
    using reader = FileReader.open(path);
    if (reader === null) {
      const { uint8 } = mapFile(path);
      for (const { to, at, offset, byteLength } of pieces) {
        this.write(to, at, uint8.subarray(offset, offset + byteLength));
      }
      return;
    }
    const bytes = pieces.reduce((n, { byteLength }) => n + byteLength, 0);
    const chunks = fileChunks(pieces, bytes < LARGE_FILE ? FILE_CHUNK : LARGE_FILE_CHUNK);
    const context = this.#contextFor(target);
    const pool = this.#poolFor(target);
    let next = 0;
    const work = async (): Promise<void> => {
      for (let chunk = chunks[next++]; chunk !== undefined; chunk = chunks[next++]) {
        const block = pool.take(chunk.byteLength);
        try {
          await reader.read(block.pointer, chunk.offset, chunk.byteLength);
        } catch (error) {
          pool.release(block);
          // Nothing is left for the others.
          next = chunks.length;
          throw error;
        }
        const address = Deno.UnsafePointer.value(block.pointer);
        for (const { to, at, offset, byteLength } of chunk.pieces) {
          const from = Deno.UnsafePointer.create(address + BigInt(offset - chunk.offset));
          if (from !== null) context.copyFromHost(to.address + at, from, byteLength);
        }
        pool.release(block, context.currentStream.record());
      }
    };
    const ends = await Promise.allSettled(Array.from({ length: Math.min(FILE_READERS, chunks.length) }, work));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }

  #contextFor(buffer: Buffer): CudaContext {
    return this.#contextOf(buffer.device.index);
  }

  #poolFor(buffer: Buffer): PinnedPool {
    const context = this.#contextFor(buffer);
    let pool = this.#pools.get(context);
    if (pool === undefined) this.#pools.set(context, pool = new PinnedPool(context));
    return pool;
  }
}

/** A copy to the host in parts: some are on the way while one is received. */
class Reader {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #context: CudaContext;
  readonly #pool: PinnedPool;
  readonly #buffer: CudaBuffer;
  readonly #offset: number;
  /** All parts belong to one stream, whatever is current later. */
  readonly #stream: CudaContext["currentStream"];
  readonly #onTheWay: Copy[] = [];
  #sent = 0;

  constructor(context: CudaContext, pool: PinnedPool, buffer: Buffer, byteOffset: number, byteLength: number) {
    this.#context = context;
    this.#pool = pool;
    this.#buffer = checkRange(buffer, byteOffset, byteLength);
    this.#offset = byteOffset;
    this.#stream = context.currentStream;
    this.bytes = new Uint8Array(byteLength);
    this.#send();
  }

  /** The oldest part on the way; null when all have come. */
  next(): Copy | null {
    return this.#onTheWay.shift() ?? null;
  }

  /** Takes over a part whose event is done, and sends another. */
  receive(copy: Copy): void {
    this.bytes.set(copy.block.bytes.subarray(0, copy.length), copy.at);
    copy.event.dispose();
    this.#pool.release(copy.block);
    this.#send();
  }

  #send(): void {
    while (this.#sent < this.bytes.length && this.#onTheWay.length < DEPTH) {
      const length = Math.min(CHUNK, this.bytes.length - this.#sent);
      const block = this.#pool.take(length);
      // A buffer that was disposed meanwhile throws here, instead of giving what is in its memory now.
      const from = this.#buffer.address + this.#offset + this.#sent;
      this.#context.copyToHost(block.pointer, from, length, this.#stream);
      this.#onTheWay.push({ block, event: this.#stream.record(), at: this.#sent, length });
      this.#sent += length;
    }
  }
}

function checkRange(buffer: Buffer, byteOffset: number, byteLength: number): CudaBuffer {
  if (!(buffer instanceof CudaBuffer)) throw new TypeError(`expected CUDA memory, got memory of ${buffer.device}`);
  // An empty tensor may start behind the end of its memory.
  if (byteLength === 0 && byteOffset >= 0) return buffer;
  if (byteOffset < 0 || byteLength < 0 || byteOffset + byteLength > buffer.byteLength) {
    throw new RangeError(
      `bytes ${byteOffset} to ${
        byteOffset + byteLength
      } lie outside of a ${buffer.device} buffer of ${buffer.byteLength} bytes`,
    );
  }
  return buffer;
}
