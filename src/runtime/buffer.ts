/**
 * What every device's memory has in common: a `Buffer` is one owned range of device memory, an `Allocator` hands them out.
 *
 * Invariant: a buffer's memory stays valid as long as the buffer, or any host view taken from it, can be reached and
 * `dispose()` has not been called. `dispose()` is a promise by its caller that nobody uses the memory afterwards; a
 * caller who gave a view away first calls `pin()`, which turns `dispose()` into "the garbage collector decides".
 * Mirrors c10's `Storage` and `Allocator` without reference counting by hand.
 *
 * @module
 */

import type { Device } from "../core/device.ts";

/** One owned range of memory on one device. */
export interface Buffer extends Disposable {
  readonly device: Device;
  /** Size in bytes, as asked for. Zero is allowed. */
  readonly byteLength: number;
  /** True after {@link Buffer.dispose}. */
  readonly disposed: boolean;
  /** What the memory is for, shown when memory runs out; on devices that tell. */
  label?: string;
  /** Gives the memory back to the allocator. Later use of the buffer throws. Calling it twice is allowed. */
  dispose(): void;
}

/** Figures about one allocator, in bytes unless named otherwise. */
export interface AllocatorStats {
  /** Bytes asked for by buffers that are not disposed (nor collected, once the event loop has turned). */
  readonly liveBytes: number;
  /** The highest `liveBytes` since the start or the last {@link Allocator.resetPeak}. */
  readonly peakBytes: number;
  /** Bytes that wait in the free lists. */
  readonly cachedBytes: number;
  /** Number of allocations in all. */
  readonly allocations: number;
  /** Allocations that a free list served. */
  readonly cacheHits: number;
}

/** A source of buffers on one device. */
export interface Allocator<B extends Buffer = Buffer> {
  readonly device: Device;
  /**
   * Allocates `byteLength` bytes with undefined content.
   *
   * @throws {RangeError} if `byteLength` is not a non-negative safe integer
   * @throws {OutOfMemoryError} if the device has no such room, even after its caches were emptied
   */
  allocate(byteLength: number): B;
  /** As {@link Allocator.allocate}, every byte zero. */
  allocateZeroed(byteLength: number): B;
  /** Gives all cached memory back to the system. */
  emptyCache(): void;
  stats(): AllocatorStats;
  /** Sets the peak to the bytes live now. */
  resetPeak(): void;
}

/** Memory ran out. Its message names the bytes asked for and the bytes live. */
export class OutOfMemoryError extends RangeError {
  override readonly name = "OutOfMemoryError";
  /** Bytes the failed allocation asked for. */
  readonly requestedBytes: number;
  /** Bytes that were live at that moment. */
  readonly liveBytes: number;

  constructor(device: string, requestedBytes: number, liveBytes: number, limitBytes?: number) {
    const limit = limitBytes === undefined ? "" : ` under a limit of ${formatBytes(limitBytes)}`;
    super(
      `${device} is out of memory: asked for ${formatBytes(requestedBytes)} (${requestedBytes} bytes) while ` +
        `${formatBytes(liveBytes)} are live${limit}, with all caches emptied. ` +
        `Use smaller batches, or free tensors earlier with scope() or dispose().`,
    );
    this.requestedBytes = requestedBytes;
    this.liveBytes = liveBytes;
  }
}

/**
 * Bytes as people read them.
 *
 * @example
 * ```ts
 * import { formatBytes } from "./buffer.ts";
 * import assert from "node:assert/strict";
 * assert.equal(formatBytes(1536), "1.5 KiB");
 * ```
 */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : Number(value.toFixed(value < 10 ? 2 : 1))} ${units[unit]}`;
}

/** @throws {RangeError} if `byteLength` is no size */
export function checkByteLength(byteLength: number): void {
  if (!Number.isSafeInteger(byteLength) || byteLength < 0) {
    throw new RangeError(`allocate() needs a non-negative whole number of bytes, got ${byteLength}`);
  }
}
