/**
 * The C++ tier of a compiled graph: emitted and compiled in the background, swapped in when its library is ready.
 *
 * A machine without a working compiler has no such tier, and a compiler that fails ends it; either is reported once, and the JavaScript kernels
 * stay in use. Polling is synchronous, so that a loop that never yields to the event loop gets faster too.
 */
import { log } from "../core/mod.ts";
import { CpuExecutable } from "../runtime/cpu/executable.ts";
import {
  type CompileJob,
  compileSharedLibrary,
  findToolchain,
  hasFfi,
  Library,
  prepareThreadPool,
  tryThreadPool,
} from "../runtime/cpu/mod.ts";
import type { Executable } from "../runtime/kernel.ts";
import { argsLayout, type CppModule, emitCppModule } from "./codegen/cpp/emit_module.ts";
import { sizeFunction, slotNumbers, slotSources } from "./codegen/slots.ts";
import type { HostPlan } from "./host_plan.ts";
import { hostRunner } from "./host_steps.ts";

/** Where the tier stands. */
export type CppState = "compiling" | "ready" | "failed";

/** A plan on its way to C++. */
export class CppTier {
  /** The emitted translation unit. */
  readonly module: CppModule;
  /** Milliseconds that emitting took. */
  readonly emitMs: number;
  readonly #plan: HostPlan;
  readonly #job: CompileJob;
  readonly #report: (message: string) => void;
  #state: CppState = "compiling";
  #executable: Executable | null = null;

  private constructor(
    plan: HostPlan,
    module: CppModule,
    emitMs: number,
    job: CompileJob,
    report: (message: string) => void,
  ) {
    this.#plan = plan;
    this.module = module;
    this.emitMs = emitMs;
    this.#job = job;
    this.#report = report;
  }

  /** Emits the plan and starts the compiler; null, with a report, where there is none. */
  static start(plan: HostPlan, name: string, report: (message: string) => void): CppTier | null {
    if (!hasFfi()) {
      report("native kernels need --allow-ffi; running on JavaScript kernels");
      return null;
    }
    const found = findToolchain();
    if (!found.ok) {
      report(`no C++ kernels: ${found.problem} ${found.remedy}; running on JavaScript kernels`);
      return null;
    }
    const start = performance.now();
    const module = emitCppModule(plan, {
      lanes: found.toolchain.isa.vectorBytes / 4,
      workers: navigator.hardwareConcurrency,
    });
    log("output_code", () => `${name} (C++)\n${module.source}`);
    const emitMs = performance.now() - start;
    let job: CompileJob;
    try {
      prepareThreadPool();
      job = compileSharedLibrary({ name, source: module.source, flags: module.flags });
    } catch (error) {
      report(`no C++ kernels: ${messageOf(error)}; running on JavaScript kernels`);
      return null;
    }
    return new CppTier(plan, module, emitMs, job, report);
  }

  /** Where the tier stands. */
  get state(): CppState {
    return this.#state;
  }

  /** The executable, once {@linkcode CppTier.poll} or a wait has seen it. */
  get executable(): Executable | null {
    return this.#executable;
  }

  /** Milliseconds from the request to the library; null before. */
  get compileMs(): number | null {
    const timing = this.#job.timing;
    return timing === undefined ? null : timing.queuedMs + timing.compileMs;
  }

  /** The executable if the compiler is done; never blocks. */
  poll(): Executable | null {
    if (this.#state !== "compiling") return this.#executable;
    const state = this.#job.poll();
    if (state.state === "failed") this.#fail(state.error);
    else if (state.state === "ready") this.#load(state.path, false);
    return this.#executable;
  }

  /** Blocks until the tier is ready or has failed. */
  waitSync(): void {
    if (this.#state !== "compiling") return;
    try {
      this.#load(this.#job.waitSync(), true);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Resolves when the tier is ready or has failed. */
  async ready(): Promise<void> {
    if (this.#state !== "compiling") return;
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
      const { exports, hostGroups } = this.module;
      const numbers = slotNumbers(this.#plan);
      const runHost = hostRunner(this.#plan);
      this.#executable = new CpuExecutable({
        library: new Library(path, exports),
        exports,
        host: hostGroups.map((group) => runHost(group, (buffer) => numbers.get(buffer) ?? -1)),
        layout: argsLayout(this.#plan),
        sources: slotSources(this.#plan),
        arenaBytes: sizeFunction(this.#plan, this.#plan.arenaBytes),
      });
      this.#state = "ready";
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#state !== "compiling") return;
    this.#state = "failed";
    this.#report(`the C++ kernels could not be built (${messageOf(error)}); running on JavaScript kernels`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
