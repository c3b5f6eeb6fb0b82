/**
 * The native thread pool that compiled kernels run on (`native/cpu/thread_pool.cpp`).
 *
 * One pool a process, made when first asked for. Its `runtimePointer` is the `const tessera_runtime*` that goes into slot 0
 * of every kernel's arguments. Threads are native and never touch JavaScript; they end with the process.
 */

import { type CompileJob, compileSharedLibrary } from "./compile_service.ts";
import { Library, type NativeKernel } from "./library.ts";
import { THREAD_POOL_SOURCE } from "./native_sources.ts";

/** The pool of this process. */
export class ThreadPool {
  readonly #configure: NativeKernel;
  readonly #spin: NativeKernel;
  readonly #args = new Uint32Array(4);
  #numThreads = 1;
  #pointer = 0;

  /** Internal: use {@linkcode threadPool}. */
  constructor(library: Library) {
    this.#configure = library.kernel("tessera_pool_configure");
    this.#spin = library.kernel("tessera_pool_spin");
    this.setNumThreads(navigator.hardwareConcurrency);
  }

  /** Address of the `tessera_runtime`. */
  get runtimePointer(): number {
    return this.#pointer;
  }

  /** Threads that work on a kernel, the calling one included. */
  get numThreads(): number {
    return this.#numThreads;
  }

  /**
   * Changes the number of threads; at most 512. The system may grant fewer: read {@linkcode ThreadPool.numThreads} again.
   *
   * @throws {RangeError} if `count` is not a whole number from 1 to 512
   */
  setNumThreads(count: number): void {
    if (!Number.isInteger(count) || count < 1 || count > 512) {
      throw new RangeError(`setNumThreads() needs a whole number from 1 to 512, got ${count}`);
    }
    const args = this.#args;
    args[2] = count;
    args[3] = 0;
    this.#configure(args);
    this.#pointer = (args[0] ?? 0) + (args[1] ?? 0) * 0x1_0000_0000;
    this.#numThreads = args[2] ?? 1;
  }

  /** Writes the runtime's address into slot 0 of a kernel's arguments. */
  writePointer(args: Uint32Array): void {
    args[0] = this.#pointer >>> 0;
    args[1] = Math.floor(this.#pointer / 0x1_0000_0000);
  }

  /** Dispatches `times` empty tasks, to measure what a dispatch costs. */
  spin(times: number): void {
    const args = new Uint32Array(4);
    this.writePointer(args);
    args[2] = times;
    this.#spin(args);
  }
}

let pool: ThreadPool | undefined;

/** Starts building the pool in the background, if it is not in the cache. */
export function prepareThreadPool(): CompileJob {
  return compileSharedLibrary({
    name: "thread_pool",
    source: THREAD_POOL_SOURCE,
    flags: Deno.build.os === "linux" ? ["-Wl,-z,nodelete"] : [],
  });
}

/** Makes the pool of a library that an earlier process built, unless there is one. @throws {Error} if it cannot be loaded */
export function openThreadPool(path: string): ThreadPool {
  return pool ??= new ThreadPool(new Library(path));
}

/** The pool, or null while it is still being compiled. */
export function tryThreadPool(): ThreadPool | null {
  if (pool !== undefined) return pool;
  const state = prepareThreadPool().poll();
  if (state.state === "failed") throw state.error;
  return state.state === "ready" ? pool = new ThreadPool(new Library(state.path)) : null;
}

/**
 * The pool. Waits for its compilation the first time on a machine, about 0.1 s.
 *
 * @throws {CompileError} without a working compiler
 */
export function threadPool(): ThreadPool {
  return pool ??= new ThreadPool(new Library(prepareThreadPool().waitSync()));
}
