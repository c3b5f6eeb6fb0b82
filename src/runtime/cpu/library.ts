/**
 * Loads shared libraries and makes their kernels callable.
 *
 * A kernel is `void name(void** args)` (see `native/cpu/abi.h`). `args` travels as a "buffer" parameter, the kind for which
 * Deno compiles a direct call: measured at 10 to 20 ns.
 *
 * Invariant: buffers whose addresses lie in `args` stay reachable until the call returns, for
 * {@linkcode Library.asyncKernel} until its promise resolves. The collector does not see addresses: a buffer that is only an
 * address in an array is freed. {@linkcode KernelArguments} holds both.
 */

import type { CpuBuffer } from "./memory.ts";

/** Argument slots of 8 bytes each. */
export type KernelArgs = BigUint64Array<ArrayBuffer> | Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
/** A loaded kernel. */
export type NativeKernel = (args: KernelArgs) => void;
/** A loaded kernel that runs on another thread. */
export type AsyncNativeKernel = (args: KernelArgs) => Promise<void>;

/**
 * The arguments of one kernel, filled once and then changed slot by slot. Holds the buffers whose addresses it contains.
 *
 * @example
 * ```ts
 * import { KernelArguments } from "./library.ts";
 * import { cpuAllocator } from "./memory.ts";
 * const args = new KernelArguments(3);
 * args.setBuffer(1, cpuAllocator().allocate(64));
 * args.setLong(2, 16);
 * // kernel(args.words);
 * ```
 */
export class KernelArguments {
  /** What a kernel is called with: two little-endian words a slot. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly #doubles: Float64Array<ArrayBuffer>;
  readonly #buffers: (CpuBuffer | null)[];

  constructor(slots: number) {
    this.words = new Uint32Array(2 * slots);
    this.#doubles = new Float64Array(this.words.buffer);
    this.#buffers = new Array<CpuBuffer | null>(slots).fill(null);
  }

  /** Puts a buffer's address into a slot and keeps the buffer alive as long as it stands there. */
  setBuffer(slot: number, buffer: CpuBuffer): void {
    this.#buffers[slot] = buffer;
    buffer.writeAddress(this.words, slot);
  }

  /** Puts a 64-bit integer into a slot; exact for safe integers, negative ones included. */
  setLong(slot: number, value: number): void {
    this.words[2 * slot] = value;
    this.words[2 * slot + 1] = Math.floor(value / 0x1_0000_0000);
  }

  /** Puts a double into a slot. */
  setDouble(slot: number, value: number): void {
    this.#doubles[slot] = value;
  }

  /** Forgets all buffers, so that they can be collected. Their slots become null. */
  release(): void {
    for (let slot = 0; slot < this.#buffers.length; slot++) {
      if (this.#buffers[slot] === null) continue;
      this.#buffers[slot] = null;
      this.#doubles[slot] = 0;
    }
  }
}

/** A shared library. It stays loaded until {@linkcode Library.close}. */
export class Library {
  readonly path: string;
  readonly #handles: Disposable[] = [];
  readonly #kernels = new Map<string, NativeKernel>();
  readonly #asyncKernels = new Map<string, AsyncNativeKernel>();

  /**
   * @param names kernels to look up at once, which is faster than one by one
   * @throws {Error} if the file cannot be loaded or a name is not in it
   */
  constructor(path: string, names: readonly string[] = []) {
    this.path = path;
    const symbols: Record<string, { parameters: ["buffer"]; result: "void" }> = {};
    for (const name of names) symbols[name] = { parameters: ["buffer"], result: "void" };
    const opened = Deno.dlopen(path, symbols);
    this.#handles.push({ [Symbol.dispose]: () => opened.close() });
    for (const name of names) this.#kernels.set(name, opened.symbols[name] as NativeKernel);
  }

  /** The kernel of that name; the same function each time. */
  kernel(name: string): NativeKernel {
    let kernel = this.#kernels.get(name);
    if (kernel === undefined) {
      const opened = Deno.dlopen(this.path, { [name]: { parameters: ["buffer"], result: "void" } });
      this.#handles.push({ [Symbol.dispose]: () => opened.close() });
      kernel = opened.symbols[name] as NativeKernel;
      this.#kernels.set(name, kernel);
    }
    return kernel;
  }

  /** The kernel of that name as a function that runs on a thread of its own: for kernels of a millisecond and more. */
  asyncKernel(name: string): AsyncNativeKernel {
    let kernel = this.#asyncKernels.get(name);
    if (kernel === undefined) {
      const opened = Deno.dlopen(this.path, { [name]: { parameters: ["buffer"], result: "void", nonblocking: true } });
      this.#handles.push({ [Symbol.dispose]: () => opened.close() });
      kernel = opened.symbols[name] as AsyncNativeKernel;
      this.#asyncKernels.set(name, kernel);
    }
    return kernel;
  }

  /** Unloads the library. Its kernels must not be called any more. */
  close(): void {
    for (const handle of this.#handles.splice(0)) handle[Symbol.dispose]();
    this.#kernels.clear();
    this.#asyncKernels.clear();
  }
}
