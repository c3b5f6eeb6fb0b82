/**
 * Reads parts of a file into memory at an address while the JavaScript thread goes on.
 *
 * Enters: a path; places in the file, addresses. Leaves: promises that resolve when the bytes are there. Each read is a call of `pread` on a thread of Deno's pool, so several
 * run side by side, and what the system has in its cache is copied at memory's speed rather than page fault by page fault, as through a mapping.
 */

import { hasFfi } from "./memory.ts";

interface Pread {
  open(path: Uint8Array<ArrayBuffer>): number;
  pread(fd: number, to: Deno.PointerValue, bytes: number, offset: number): Promise<number>;
  close(fd: number): void;
}

let libc: Pread | null | undefined;

function openLibc(): Pread | null {
  if (!hasFfi() || Deno.build.os === "windows") return null;
  for (const name of Deno.build.os === "darwin" ? ["libSystem.dylib"] : ["libc.so.6", "libc.so"]) {
    try {
      const { symbols } = Deno.dlopen(name, {
        open: { parameters: ["buffer", "i32"], result: "i32" },
        pread: { parameters: ["i32", "pointer", "usize", "i64"], result: "isize", nonblocking: true },
        close: { parameters: ["i32"], result: "i32" },
      });
      return {
        open: (path) => symbols.open(path, 0),
        pread: async (fd, to, bytes, offset) => Number(await symbols.pread(fd, to, BigInt(bytes), BigInt(offset))),
        close: (fd) => void symbols.close(fd),
      };
    } catch {
      // Not this C library.
    }
  }
  return null;
}

/** An open file. */
export class FileReader implements Disposable {
  readonly path: string;
  readonly #system: Pread;
  #fd: number;

  private constructor(path: string, system: Pread, fd: number) {
    this.path = path;
    this.#system = system;
    this.#fd = fd;
  }

  /**
   * Opens a file; null where the system or the permissions have no such reads, or the file cannot be opened.
   *
   * @example
   * ```ts
   * import { FileReader } from "./file_reader.ts";
   * const path = Deno.makeTempFileSync();
   * Deno.writeTextFileSync(path, "abcdef");
   * using reader = FileReader.open(path);
   * const to = new Uint8Array(new ArrayBuffer(3));
   * await reader?.read(Deno.UnsafePointer.of(to), 2, 3);
   * console.assert(reader === null || new TextDecoder().decode(to) === "cde");
   * ```
   */
  static open(path: string): FileReader | null {
    libc ??= openLibc();
    if (libc === null) return null;
    const fd = libc.open(new TextEncoder().encode(`${path}\0`));
    return fd < 0 ? null : new FileReader(path, libc, fd);
  }

  /**
   * Reads `bytes` bytes from `offset` on to an address, whose memory must stay until then.
   *
   * @throws {RangeError} if the file ends before
   */
  async read(to: Deno.PointerValue, offset: number, bytes: number): Promise<void> {
    if (this.#fd < 0) throw new TypeError(`${this.path} was closed`);
    const start = Deno.UnsafePointer.value(to);
    for (let done = 0; done < bytes;) {
      const at = done === 0 ? to : Deno.UnsafePointer.create(start + BigInt(done));
      const got = await this.#system.pread(this.#fd, at, bytes - done, offset + done);
      if (got <= 0) {
        throw new RangeError(
          `${this.path}: bytes ${offset} to ${offset + bytes} cannot be read beyond ${offset + done}`,
        );
      }
      done += got;
    }
  }

  /** Closes the file. No read may be under way. */
  close(): void {
    if (this.#fd >= 0) this.#system.close(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
