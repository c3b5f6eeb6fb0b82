/**
 * The C++ tier of a compiled graph: compiled in the background, swapped in when its library is ready.
 *
 * A machine without a working compiler has no such tier, and a compiler that fails ends it; either is reported once, and the JavaScript kernels
 * stay in use. Polling is synchronous, so that a loop that never yields to the event loop gets faster too.
 */
import { CpuExecutable, type HostStep } from "../runtime/cpu/executable.ts";
import {
  type CompileJob,
  compileSharedLibrary,
  cpuAllocator,
  findToolchain,
  hasFfi,
  KernelArguments,
  Library,
  prepareThreadPool,
  type Toolchain,
  tryThreadPool,
} from "../runtime/cpu/mod.ts";
import type { Executable } from "../runtime/kernel.ts";
import type { StoredCpp } from "./cache/graph_cache.ts";
import { PROFILE_EXPORT } from "./codegen/cpp/emit_module.ts";
import { KeptWeights } from "./kept_weights.ts";
import { type PlanLayout, sourcesOf } from "./plan_layout.ts";

/** Where the tier stands. */
export type CppState = "compiling" | "ready" | "failed";

/** The C++ compiler, if C++ kernels can run here; else null, with a report. */
export function usableToolchain(report: (message: string) => void): Toolchain | null {
  if (!hasFfi()) {
    report("native kernels need --allow-ffi; running on JavaScript kernels");
    return null;
  }
  const found = findToolchain();
  if (found.ok) return found.toolchain;
  report(`no C++ kernels: ${found.problem} ${found.remedy}; running on JavaScript kernels`);
  return null;
}

/** What {@linkcode CppTier} is made of. */
export interface CppTierOptions {
  readonly name: string;
  readonly cpp: StoredCpp;
  readonly layout: PlanLayout;
  /** Steps between the exported functions. */
  readonly host: readonly HostStep[];
  readonly report: (message: string) => void;
}

/** A plan on its way to C++. */
export class CppTier {
  readonly #options: CppTierOptions;
  readonly #job: CompileJob | null = null;
  #state: CppState = "compiling";
  #executable: Executable | null = null;
  #library: Library | null = null;
  #weights: KeptWeights | null = null;

  /** Starts the compiler, unless the library is in its cache. */
  constructor(options: CppTierOptions) {
    this.#options = options;
    try {
      prepareThreadPool();
      const { source, parts, flags } = options.cpp;
      this.#job = compileSharedLibrary({ name: options.name, source, parts, flags });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The translation units. */
  get source(): string {
    return [this.#options.cpp.source, ...this.#options.cpp.parts].join("\n");
  }

  /**
   * What the clocks of a profiled library have counted since they were last read: for each, nanoseconds by the wall and of processors.
   * Null if the library has no clocks, or is not there yet.
   */
  readClocks(count: number): readonly (readonly [wall: number, processor: number])[] | null {
    if (this.#library === null || !this.#options.cpp.exports.includes(PROFILE_EXPORT)) return null;
    const counts = cpuAllocator().allocate(16 * Math.max(1, count));
    const args = new KernelArguments(1);
    args.setBuffer(0, counts);
    this.#library.kernel(PROFILE_EXPORT)(args.words);
    const words = new BigInt64Array(counts.storage, counts.byteOffset, 2 * count);
    return Array.from({ length: count }, (_, i) => [Number(words[2 * i]), Number(words[2 * i + 1])] as const);
  }

  /** Where the tier stands. */
  get state(): CppState {
    return this.#state;
  }

  /** The packed weights of the executable; null if it keeps none. */
  get weights(): KeptWeights | null {
    return this.#weights;
  }

  /** The executable, once {@linkcode CppTier.poll} or a wait has seen it. */
  get executable(): Executable | null {
    return this.#executable;
  }

  /** Milliseconds from the request to the library; null before. */
  get compileMs(): number | null {
    const timing = this.#job?.timing;
    return timing === undefined ? null : timing.queuedMs + timing.compileMs;
  }

  /** The executable if the compiler is done; never blocks. */
  poll(): Executable | null {
    if (this.#state !== "compiling" || this.#job === null) return this.#executable;
    const state = this.#job.poll();
    if (state.state === "failed") this.#fail(state.error);
    else if (state.state === "ready") this.#load(state.path, false);
    return this.#executable;
  }

  /** Blocks until the tier is ready or has failed. */
  waitSync(): void {
    for (const step of this.#options.host) void step.prepare?.(true);
    if (this.#state !== "compiling" || this.#job === null) return;
    try {
      this.#load(this.#job.waitSync(), true);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Resolves when the tier is ready or has failed. */
  async ready(): Promise<void> {
    // What steps compile is under way while this library is.
    const steps = this.#options.host.map((step) => step.prepare?.(false));
    await this.#settled();
    await Promise.all(steps);
  }

  async #settled(): Promise<void> {
    if (this.#state !== "compiling" || this.#job === null) return;
    try {
      const path = await this.#job.ready;
      await prepareThreadPool().ready;
      this.#load(path, true);
    } catch (error) {
      this.#fail(error);
    }
  }

  #load(path: string, wait: boolean): void {
    if (this.#state !== "compiling") return;
    try {
      if (wait) prepareThreadPool().waitSync();
      if (tryThreadPool() === null) return;
      const { cpp, layout, host } = this.#options;
      if (cpp.keeps.length > 0) this.#weights = new KeptWeights(cpp.keeps);
      this.#executable = new CpuExecutable({
        library: this.#library = new Library(path, cpp.exports),
        exports: cpp.exports.filter((name) => name !== PROFILE_EXPORT),
        host,
        layout: cpp.args,
        sources: sourcesOf(layout),
        arenaBytes: layout.arenaBytes,
        ...(this.#weights === null ? {} : { kept: this.#weights.memory }),
      });
      this.#state = "ready";
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#state !== "compiling") return;
    this.#state = "failed";
    this.#options.report(`the C++ kernels could not be built (${messageOf(error)}); running on JavaScript kernels`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
