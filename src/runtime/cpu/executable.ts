/**
 * Runs a compiled C++ plan on CPU buffers.
 *
 * The argument block is made once: a call writes the addresses of the caller's buffers, and no more where neither sizes nor arena have changed.
 * Errors that kernels meet come back in three words at the end.
 */
import { indexErrorText } from "../../core/mod.ts";
import type { HostStep } from "../js/executable.ts";
import { type Executable, type SlotSource, SlotTable } from "../kernel.ts";
import { OutOfMemoryError } from "../buffer.ts";
import { addressOf, cpuAllocator, type CpuBuffer } from "./memory.ts";
import type { Library, NativeKernel } from "./library.ts";
import { threadPool } from "./thread_pool.ts";

export type { HostStep } from "../js/executable.ts";

/** Where things stand in the argument block. */
export interface ArgsPositions {
  /** For each slot its position; null where the kernel finds the slot itself. */
  readonly slots: readonly (number | null)[];
  readonly arena: number;
  readonly sizes: number;
  readonly error: number;
  readonly kept: number;
  readonly length: number;
}

/** What makes an executable. */
export interface CpuExecutableOptions {
  readonly library: Library;
  /** Exported functions; between them the host steps run. */
  readonly exports: readonly string[];
  readonly host: readonly HostStep[];
  readonly layout: ArgsPositions;
  readonly sources: readonly SlotSource[];
  readonly arenaBytes: (sizes: readonly number[]) => number;
  /** Memory that kernels keep from call to call. */
  readonly kept?: CpuBuffer;
}

/** A plan in C++. */
export class CpuExecutable implements Executable {
  readonly tier = "cpp";
  readonly #kernels: readonly NativeKernel[];
  readonly #host: readonly HostStep[];
  readonly #layout: ArgsPositions;
  readonly #slots: SlotTable;
  readonly #args: Uint32Array<ArrayBuffer>;
  readonly #external: (readonly [slot: number, position: number])[] = [];
  #sizes = new BigInt64Array(8);
  readonly #error = new BigInt64Array(3);
  /** Keeps the code loaded. */
  readonly library: Library;
  /** Memory that kernels keep from call to call. */
  readonly kept: CpuBuffer | null;

  constructor(options: CpuExecutableOptions) {
    const { library, exports, host, layout, sources, arenaBytes } = options;
    this.library = library;
    this.#kernels = exports.map((name) => library.kernel(name));
    this.#host = host;
    this.#layout = layout;
    this.#slots = new SlotTable(sources, arenaBytes);
    this.#args = new Uint32Array(2 * layout.length);
    layout.slots.forEach((position, slot) => {
      if (position !== null) this.#external.push([slot, position]);
    });
    threadPool().writePointer(this.#args);
    this.kept = options.kept ?? null;
    if (this.kept !== null) this.kept.writeAddress(this.#args, layout.kept);
    this.#write(layout.error, addressOf(this.#error));
    this.#write(layout.sizes, addressOf(this.#sizes));
  }

  run(buffers: readonly (CpuBuffer | undefined)[], sizes: readonly number[]): void {
    const args = this.#args;
    if (this.#slots.bind(buffers, sizes)) {
      this.#write(this.#layout.arena, this.#slots.arenaAddress);
      if (sizes.length > this.#sizes.length) {
        this.#sizes = new BigInt64Array(sizes.length);
        this.#write(this.#layout.sizes, addressOf(this.#sizes));
      }
      for (let i = 0; i < sizes.length; i++) this.#sizes[i] = BigInt(sizes[i] ?? 0);
    }
    for (const [slot, position] of this.#external) (buffers[slot] as CpuBuffer).writeAddress(args, position);
    for (let i = 0; i < this.#kernels.length; i++) {
      if (i > 0) this.#host[i - 1]?.(this.#slots.buffers, sizes);
      this.#kernels[i]?.(args);
      if (this.#error[2] !== 0n) this.#fail();
    }
  }

  #fail(): never {
    const [value, size, kind] = this.#error;
    this.#error[2] = 0n;
    if (kind === 2n) throw new OutOfMemoryError("cpu", Number(value), cpuAllocator().stats().liveBytes);
    throw new RangeError(indexErrorText(value ?? 0n, size ?? 0n));
  }

  #write(position: number, address: number): void {
    this.#args[2 * position] = address >>> 0;
    this.#args[2 * position + 1] = Math.floor(address / 0x1_0000_0000);
  }
}
