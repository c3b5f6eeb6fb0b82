/**
 * What the allocator knows of streams and of the source of memory: just enough to keep their order.
 *
 * Streams and heaps of the driver have these shapes; tests build slow ones that do what they are told, step by step.
 */

/** A point in a stream that can be waited for. */
export interface StreamMark {
  /** Whether the stream has passed it. Never blocks. */
  isDone(): boolean;
  /** Blocks until the stream has passed it. */
  synchronize(): void;
  dispose(): void;
}

/** What the allocator needs of a stream. */
export interface OrderedStream {
  /** Distinct among all streams of the process. */
  readonly id: number;
  /** Whether what is sent to it is recorded instead of run. */
  readonly capturing: boolean;
  /** Marks the point that the stream has been sent to so far. */
  mark(): StreamMark;
}

/** A source of device memory. */
export interface DeviceHeap {
  /** The address of `bytes` bytes that may be used from here on in the stream; null if there is no room. */
  allocate(bytes: number, stream: OrderedStream): number | null;
  /** Takes memory back, once the stream has come here. */
  free(address: number, bytes: number, stream: OrderedStream): void;
  /** Writes zeros in stream order. */
  clear(address: number, bytes: number, stream: OrderedStream): void;
  /** Waits for frees under way and gives what is unused back to the device. */
  trim(): void;
  /** Bytes on the device; null if it does not say. */
  info(): { readonly freeBytes: number; readonly totalBytes: number } | null;
}
