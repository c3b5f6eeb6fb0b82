/**
 * Streams and events: the order in which a device works.
 *
 * What is sent to one stream runs in the order of sending; an event is a point in a stream that other streams, the thread or a
 * promise can wait for. All streams are explicit and do not wait for the legacy default stream, so that they can be captured.
 */

import type { CudaContext } from "./context.ts";
import { handleFrom } from "./driver.ts";
import { CUDA_ERROR_INVALID_CONTEXT, CUDA_ERROR_NOT_READY } from "./errors.ts";
import type { Launchable } from "./launchable.ts";
import type { OrderedStream, StreamMark } from "./ordering.ts";
import type { Handle } from "./symbols.ts";

const NON_BLOCKING = 1;
const DISABLE_TIMING = 2;
let streams = 0;

/** One stream of a context. Made by {@linkcode CudaContext.createStream}. */
export class CudaStream implements OrderedStream {
  readonly id: number = ++streams;
  readonly context: CudaContext;
  readonly handle: Handle;
  /** The handle as a number, for structures. */
  readonly address: number;
  /** Set while the stream is captured into a graph: told of each launch. */
  recorder: ((fn: Launchable) => void) | null = null;
  #disposed = false;

  constructor(context: CudaContext, priority = 0) {
    this.context = context;
    context.activate();
    this.handle = handleFrom(
      (out) => context.api.cuStreamCreateWithPriority(out, NON_BLOCKING, priority),
      (status) => context.check(status, "cuStreamCreateWithPriority"),
    );
    this.address = Number(Deno.UnsafePointer.value(this.handle));
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Whether what is sent to the stream is recorded into a graph instead of run. */
  get capturing(): boolean {
    return this.recorder !== null;
  }

  /** Whether everything sent so far is done. Never blocks. */
  isDone(): boolean {
    const status = this.context.api.cuStreamQuery(this.handle);
    if (status === CUDA_ERROR_NOT_READY) return false;
    this.context.check(status, "cuStreamQuery");
    return true;
  }

  /** Blocks the thread until everything sent so far is done. Faults of kernels come out here. */
  synchronize(): void {
    this.context.check(this.context.api.cuStreamSynchronize(this.handle), "cuStreamSynchronize");
  }

  /** Resolves when everything sent so far is done, without blocking the thread. */
  async finished(): Promise<void> {
    const event = this.record();
    try {
      await event.finished();
    } finally {
      event.dispose();
    }
  }

  /** An event at the point that was sent to so far. */
  record(options: CudaEventOptions = {}): CudaEvent {
    const event = this.context.createEvent(options);
    event.record(this);
    return event;
  }

  mark(): StreamMark {
    return this.record();
  }

  /** Makes what is sent from here on wait for an event, of this device or another. */
  wait(event: CudaEvent): void {
    const { context } = this;
    context.activate();
    context.check(context.api.cuStreamWaitEvent(this.handle, event.handle, 0), "cuStreamWaitEvent");
  }

  /** Waits for the stream and destroys it. Its memory goes on living in the context's main stream. */
  dispose(): void {
    if (this.#disposed) return;
    if (this === this.context.stream) throw new TypeError("the main stream of a CUDA context cannot be disposed");
    this.#disposed = true;
    this.context.releaseStream(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Options of an event. */
export interface CudaEventOptions {
  /** Whether times can be read from it; such an event costs a little more. */
  readonly timing?: boolean;
}

/** A point in a stream. Made by {@linkcode CudaStream.record} or {@linkcode CudaContext.createEvent}. */
export class CudaEvent implements StreamMark {
  readonly context: CudaContext;
  readonly handle: Handle;
  readonly timing: boolean;
  #disposed = false;

  constructor(context: CudaContext, timing: boolean, handle?: Handle) {
    this.context = context;
    this.timing = timing;
    context.activate();
    this.handle = handle ?? handleFrom(
      (out) => context.api.cuEventCreate(out, timing ? 0 : DISABLE_TIMING),
      (status) => context.check(status, "cuEventCreate"),
    );
  }

  /** Moves the event to the point that the stream was sent to so far. */
  record(stream: CudaStream): void {
    this.context.activate();
    this.context.check(this.context.api.cuEventRecord(this.handle, stream.handle), "cuEventRecord");
  }

  /** Whether the stream has passed the event. Never blocks. */
  isDone(): boolean {
    const status = this.context.api.cuEventQuery(this.handle);
    if (status === CUDA_ERROR_NOT_READY) return false;
    this.context.check(status, "cuEventQuery");
    return true;
  }

  /** Blocks the thread until the stream has passed the event. */
  synchronize(): void {
    this.context.check(this.context.api.cuEventSynchronize(this.handle), "cuEventSynchronize");
  }

  /** Resolves when the stream has passed the event. A thread of Deno's pool waits meanwhile. */
  async finished(): Promise<void> {
    if (this.isDone()) return;
    const status = await this.context.api.cuEventSynchronizeAsync(this.handle);
    if (status !== CUDA_ERROR_INVALID_CONTEXT) {
      this.context.activate();
      this.context.check(status, "cuEventSynchronize");
      return;
    }
    // This driver wants a current context on the waiting thread, which Deno's threads do not have: ask again and again.
    for (let pause = 0; !this.isDone(); pause = Math.min(pause + 1, 5)) {
      await new Promise<void>((resolve) => setTimeout(resolve, pause));
    }
  }

  /** Milliseconds from an earlier event to this one; both were made with `timing` and are done. */
  millisecondsSince(start: CudaEvent): number {
    if (!this.timing || !start.timing) {
      throw new TypeError("millisecondsSince() needs events made with { timing: true }");
    }
    const out = new Float32Array(new ArrayBuffer(4));
    const status = this.context.api.cuEventElapsedTime(out, start.handle, this.handle);
    this.context.check(status, "cuEventElapsedTime");
    return out[0] ?? 0;
  }

  /** Gives the event back to its context. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.context.releaseEvent(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
