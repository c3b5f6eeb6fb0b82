/**
 * The two sources of device memory under the allocator.
 *
 * {@linkcode PoolHeap} takes memory from a driver pool in stream order: quick, and never a reason to wait for the device.
 * {@linkcode PlainHeap} takes memory that stays where it is: for graphs, whose addresses outlive every stream order, and for
 * devices without pools.
 */

import type { CudaContext } from "./context.ts";
import { handleFrom } from "./driver.ts";
import { CUDA_ERROR_OUT_OF_MEMORY, isSticky } from "./errors.ts";
import { memoryAccess, memoryPoolProps } from "./layout.ts";
import type { DeviceHeap, OrderedStream } from "./ordering.ts";
import { CudaStream } from "./stream.ts";
import type { Handle } from "./symbols.ts";

const RELEASE_THRESHOLD = 4;
const DEINITIALIZED = 4;
const out = new BigUint64Array(new ArrayBuffer(16));

abstract class Heap implements DeviceHeap {
  protected readonly context: CudaContext;

  constructor(context: CudaContext) {
    this.context = context;
  }

  abstract allocate(bytes: number, stream: OrderedStream): number | null;
  abstract free(address: number, bytes: number, stream: OrderedStream): void;
  abstract trim(): void;

  clear(address: number, bytes: number, stream: OrderedStream): void {
    this.context.fill(address, 0, bytes, streamOf(stream));
  }

  info(): { readonly freeBytes: number; readonly totalBytes: number } | null {
    return this.context.memoryInfo();
  }

  /** The address that a call left in `out`; null if there was no room. */
  protected allocated(status: number, operation: string, bytes: number): number | null {
    if (status === CUDA_ERROR_OUT_OF_MEMORY) return null;
    this.context.check(status, operation, `${bytes} bytes`);
    return Number(out[0]);
  }

  /** Memory of a lost context is gone anyway, and finalizers must not throw. */
  protected freed(status: number, operation: string): void {
    if (!isSticky(status) && status !== DEINITIALIZED) this.context.check(status, operation);
  }
}

/** Memory in stream order, from a pool of the driver that keeps what is freed until it is trimmed. */
export class PoolHeap extends Heap {
  readonly #pool: Handle;

  constructor(context: CudaContext) {
    super(context);
    context.activate();
    this.#pool = handleFrom(
      (to) => context.api.cuMemPoolCreate(to, memoryPoolProps(context.info.ordinal)),
      (status) => context.check(status, "cuMemPoolCreate"),
    );
    // Never give memory back on its own: a synchronisation would then cost an unmapping.
    out[0] = 0xffff_ffff_ffff_ffffn;
    context.check(context.api.cuMemPoolSetAttribute(this.#pool, RELEASE_THRESHOLD, out), "cuMemPoolSetAttribute");
  }

  allocate(bytes: number, stream: OrderedStream): number | null {
    const { context } = this;
    context.activate();
    const status = context.api.cuMemAllocFromPoolAsync(out, BigInt(bytes), this.#pool, streamOf(stream).handle);
    return this.allocated(status, "cuMemAllocFromPoolAsync", bytes);
  }

  free(address: number, _bytes: number, stream: OrderedStream): void {
    this.context.activate();
    this.freed(this.context.api.cuMemFreeAsync(BigInt(address), streamOf(stream).handle), "cuMemFreeAsync");
  }

  trim(): void {
    const { context } = this;
    context.activate();
    // Frees that a stream has not come to yet are not free.
    for (const stream of context.streams) if (!stream.capturing) stream.synchronize();
    context.check(context.api.cuMemPoolTrimTo(this.#pool, 0n), "cuMemPoolTrimTo");
  }

  /** Lets another device read and write the pool's memory. */
  share(ordinal: number): void {
    this.context.activate();
    this.context.check(
      this.context.api.cuMemPoolSetAccess(this.#pool, memoryAccess(ordinal), 1n),
      "cuMemPoolSetAccess",
      `access for device ${ordinal}`,
    );
  }
}

/** Memory by `cuMemAlloc`. Freeing waits for the device. */
export class PlainHeap extends Heap {
  allocate(bytes: number, _stream: OrderedStream): number | null {
    this.context.activate();
    return this.allocated(this.context.api.cuMemAlloc_v2(out, BigInt(bytes)), "cuMemAlloc", bytes);
  }

  free(address: number, _bytes: number, _stream: OrderedStream): void {
    this.context.activate();
    this.freed(this.context.api.cuMemFree_v2(BigInt(address)), "cuMemFree");
  }

  trim(): void {
    // Nothing is held back.
  }
}

function streamOf(stream: OrderedStream): CudaStream {
  if (stream instanceof CudaStream) return stream;
  throw new TypeError("CUDA memory needs a CUDA stream");
}
