/**
 * Inputs that lie elsewhere at each call, brought to a place that stays.
 *
 * A recorded graph is corrected kernel by kernel where an address changes, which costs the host some microseconds for each kernel that reads it. So an input that many kernels read, and that
 * moves again and again, is copied to memory of the plan's own before a replay: one call instead of hundreds. One that has stopped moving is read where it is again. Only what the plan never
 * writes is parked: a copy at the beginning is then what its kernels would have read. Mirrors the static inputs of PyTorch's CUDA graph trees, which copy always.
 */
import type { CudaContext } from "./context.ts";
import { CudaOutOfMemoryError } from "./errors.ts";
import type { CudaBuffer } from "./memory.ts";
import type { CudaStream } from "./stream.ts";

/** Microseconds of the host: another argument of a recorded kernel, the sending of a copy; and bytes a microsecond that a device copies. As measured on an H100. */
const UPDATE_US = 4.3;
const COPY_US = 4;
const COPY_RATE = 1.25e6;

/** An input is parked when it is at its so-manieth address. */
const MOVES = 3;
/** It is read in place again after so many calls at one address. */
const STILL = 256;

/** Whether a copy at each call costs less than half of what correcting so many kernels does. */
export function isWorthParking(kernels: number, bytes: number): boolean {
  return kernels * UPDATE_US > 2 * (COPY_US + bytes / COPY_RATE);
}

/** One input at particular sizes. */
export class Parking {
  readonly #context: CudaContext;
  readonly #bytes: number;
  #last = -1;
  #moves = 0;
  #still = 0;
  #copy: CudaBuffer | null = null;
  #stream: CudaStream | null = null;

  /** @param bytes how much of the input the plan reads */
  constructor(context: CudaContext, bytes: number) {
    this.#context = context;
    this.#bytes = bytes;
  }

  /** Whether calls read a copy now. */
  get isParked(): boolean {
    return this.#copy !== null;
  }

  /** Where the kernels of this call read an input that the caller has at `address`; sends a copy of it to `stream` if that is elsewhere. */
  settle(address: number, stream: CudaStream): number {
    if (address !== this.#last) {
      this.#last = address;
      this.#still = 0;
      this.#moves++;
    } else if (++this.#still > STILL) {
      this.#moves = 0;
      this.dispose();
    }
    // The order of a stream protects the copy: another one reads the input itself.
    if (this.#copy !== null && this.#stream !== stream) this.dispose();
    if (this.#moves < MOVES) return address;
    const copy = this.#copy ??= this.#allocate(stream);
    if (copy === null) return address;
    this.#context.copy(copy.address, address, this.#bytes, stream);
    return copy.address;
  }

  /** Null if there is no memory for it: then nothing is copied. */
  #allocate(stream: CudaStream): CudaBuffer | null {
    this.#stream = stream;
    try {
      return this.#context.allocator.allocate(this.#bytes, "an input that moves from call to call", stream);
    } catch (error) {
      if (!(error instanceof CudaOutOfMemoryError)) throw error;
      this.#moves = -Infinity;
      return null;
    }
  }

  /** Gives the copy back. */
  dispose(): void {
    this.#copy?.dispose();
    this.#copy = null;
    this.#stream = null;
    this.#moves = Math.min(this.#moves, 0);
  }
}
