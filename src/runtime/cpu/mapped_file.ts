/**
 * Maps a file into memory as a CPU buffer, so that weights are read from disk when first touched and not copied.
 *
 * The mapping is private: a write to the buffer changes this process's copy of the page, never the file. It is page-aligned.
 * Invariant: the mapping lives until no view of it can be reached; only then the FinalizationRegistry unmaps it. If the file
 * is cut while mapped, touching the lost pages ends the process (as with every mapping), so map files nobody rewrites.
 */

import { addressOf, CpuBuffer, hasFfi } from "./memory.ts";

const PROT_READ_WRITE = 3;
const MAP_PRIVATE = 2;
/** Linux drops the pages and reads them again; elsewhere the number may mean less. */
const MADV_DONTNEED = 4;
/** Pages are at most this long on machines with an MMU of their own. */
const LONGEST_PAGE = 65536;

interface Libc {
  open(path: Uint8Array<ArrayBuffer>): number;
  mmap(length: bigint, fd: number): Deno.PointerValue;
  munmap(address: Deno.PointerValue, length: bigint): void;
  madvise(address: Deno.PointerValue, length: bigint, advice: number): void;
  close(fd: number): void;
}

let libc: Libc | null | undefined;

function openLibc(): Libc | null {
  if (!hasFfi() || Deno.build.os === "windows") return null;
  for (const name of Deno.build.os === "darwin" ? ["libSystem.dylib"] : ["libc.so.6", "libc.so"]) {
    try {
      const { symbols } = Deno.dlopen(name, {
        open: { parameters: ["buffer", "i32"], result: "i32" },
        mmap: { parameters: ["usize", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
        munmap: { parameters: ["pointer", "usize"], result: "i32" },
        madvise: { parameters: ["pointer", "usize", "i32"], result: "i32" },
        close: { parameters: ["i32"], result: "i32" },
      });
      return {
        open: (path) => symbols.open(path, 0),
        mmap: (length, fd) => symbols.mmap(0n, length, PROT_READ_WRITE, MAP_PRIVATE, fd, 0n),
        munmap: (address, length) => void symbols.munmap(address, length),
        madvise: (address, length, advice) => void symbols.madvise(address, length, advice),
        close: (fd) => void symbols.close(fd),
      };
    } catch {
      // Not this C library.
    }
  }
  return null;
}

const unmap = new FinalizationRegistry<{ readonly address: Deno.PointerValue; readonly length: bigint }>((mapping) => {
  libc?.munmap(mapping.address, mapping.length);
});

const mapped = new WeakSet<ArrayBufferLike>();

/** Whether a buffer is part of a mapped file: what of it was never written can be read again. */
export function isMapped(buffer: CpuBuffer): boolean {
  return mapped.has(buffer.storage);
}

/**
 * Takes bytes of a mapped file out of memory; they are read again where they are touched again. Nothing happens to bytes that are no part of a mapped file.
 *
 * Nobody may have written to them: what was written would be lost.
 */
export function giveBackPages(bytes: Uint8Array<ArrayBuffer>): void {
  if (!mapped.has(bytes.buffer) || Deno.build.os !== "linux") return;
  const address = addressOf(bytes);
  const start = Math.ceil(address / LONGEST_PAGE) * LONGEST_PAGE;
  const end = Math.floor((address + bytes.byteLength) / LONGEST_PAGE) * LONGEST_PAGE;
  if (start < end) libc?.madvise(Deno.UnsafePointer.create(BigInt(start)), BigInt(end - start), MADV_DONTNEED);
}

/**
 * The content of a file as a buffer: mapped where FFI permission and the system allow it, else read.
 *
 * @throws {Deno.errors.NotFound} and the other errors of `Deno.statSync`
 *
 * @example
 * ```ts
 * import { mapFile } from "./mapped_file.ts";
 * const path = Deno.makeTempFileSync();
 * Deno.writeFileSync(path, new Uint8Array(new Float32Array([1, 2]).buffer));
 * console.assert(mapFile(path).float32[1] === 2);
 * ```
 */
export function mapFile(path: string): CpuBuffer {
  const { size, isFile } = Deno.statSync(path);
  if (!isFile) throw new TypeError(`mapFile: ${path} is not a file`);
  libc ??= openLibc();
  if (size === 0 || libc === null) return CpuBuffer.wrap(Deno.readFileSync(path));
  const fd = libc.open(new TextEncoder().encode(`${path}\0`));
  if (fd < 0) return CpuBuffer.wrap(Deno.readFileSync(path));
  let address: Deno.PointerValue;
  try {
    address = libc.mmap(BigInt(size), fd);
  } finally {
    libc.close(fd);
  }
  // MAP_FAILED is -1: some file systems cannot map.
  if (address === null || BigInt.asIntN(64, Deno.UnsafePointer.value(address)) === -1n) {
    return CpuBuffer.wrap(Deno.readFileSync(path));
  }
  const storage = Deno.UnsafePointerView.getArrayBuffer(address, size);
  mapped.add(storage);
  unmap.register(storage, { address, length: BigInt(size) });
  return CpuBuffer.wrap(new Uint8Array(storage));
}
