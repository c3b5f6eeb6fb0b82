/**
 * Runs generated JavaScript on CPU buffers.
 *
 * The emitter's module has one function `run(buffers, sizes, host)` that takes the typed arrays out of the buffers and calls the kernels in
 * order; this class owns the slots around it.
 */
import type { CpuBuffer } from "../cpu/memory.ts";
import { type Executable, type SlotSource, SlotTable } from "../kernel.ts";

/** A step that is no kernel: it works on the slots' buffers itself. */
export interface HostStep {
  (buffers: readonly CpuBuffer[], sizes: readonly number[]): void;
  /** Compiles now what the step would compile when it first needs it; resolves when that is done. With `wait`, it is done when the call returns. */
  readonly prepare?: (wait: boolean) => Promise<void>;
  /** Takes the slots' memory wherever it is, and leaves its results there. */
  readonly onDevice?: true;
}

/** The entry of a generated module. */
export type JsEntry = (buffers: readonly CpuBuffer[], sizes: readonly number[], host: readonly HostStep[]) => void;

/** A plan in JavaScript. */
export class JsExecutable implements Executable {
  readonly tier = "js";
  readonly #entry: JsEntry;
  readonly #slots: SlotTable;
  readonly #host: readonly HostStep[];

  constructor(
    entry: JsEntry,
    sources: readonly SlotSource[],
    arenaBytes: (sizes: readonly number[]) => number,
    host: readonly HostStep[] = [],
  ) {
    this.#entry = entry;
    this.#slots = new SlotTable(sources, arenaBytes);
    this.#host = host;
  }

  run(buffers: readonly (CpuBuffer | undefined)[], sizes: readonly number[]): void {
    this.#slots.bind(buffers, sizes);
    this.#entry(this.#slots.buffers, sizes, this.#host);
  }
}
