/**
 * Pinned host memory through which tensors travel.
 *
 * Only from pinned memory can the device copy while the thread goes on. Blocks are kept: pinning costs about a
 * millisecond. A block comes back when the stream has passed its copy. Invariant: at most `limitBytes` are pinned, but for
 * one block that is larger by itself; who asks for more waits for the oldest copy.
 */

import type { CudaContext } from "./context.ts";
import { handleFrom } from "./driver.ts";
import { isSticky } from "./errors.ts";
import type { CudaEvent } from "./stream.ts";
import type { Handle } from "./symbols.ts";

/** Usable from every context of the process. */
const PORTABLE = 1;
const SMALLEST = 64 * 1024;

/** One block of pinned memory. */
export interface PinnedBlock {
  readonly pointer: Handle;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** The pinned blocks of one context. */
export class PinnedPool {
  readonly #context: CudaContext;
  readonly #limit: number;
  readonly #free = new Map<number, PinnedBlock[]>();
  #busy: { readonly block: PinnedBlock; readonly event: CudaEvent }[] = [];
  #pinned = 0;

  constructor(context: CudaContext, limitBytes = 256 * 2 ** 20) {
    this.#context = context;
    this.#limit = limitBytes;
  }

  /** Bytes that are pinned now. */
  get pinnedBytes(): number {
    return this.#pinned;
  }

  /** A block of at least `byteLength` bytes. Give it back with {@linkcode PinnedPool.release}. */
  take(byteLength: number): PinnedBlock {
    const size = 2 ** Math.ceil(Math.log2(Math.max(byteLength, SMALLEST)));
    this.#reclaim();
    let found = this.#free.get(size)?.pop();
    while (found === undefined && this.#pinned + size > this.#limit && this.#busy.length > 0) {
      this.#busy[0]?.event.synchronize();
      this.#reclaim();
      found = this.#free.get(size)?.pop();
    }
    if (found !== undefined) return found;
    if (this.#pinned + size > this.#limit) this.empty();
    return this.#pin(size);
  }

  /** Gives a block back; with an event, once its stream has passed that. The pool disposes of the event. */
  release(block: PinnedBlock, event?: CudaEvent): void {
    if (event === undefined) this.#store(block);
    else this.#busy.push({ block, event });
  }

  /** Unpins what is free. */
  empty(): void {
    this.#reclaim();
    for (const blocks of this.#free.values()) {
      for (const block of blocks) {
        this.#pinned -= block.bytes.length;
        const status = this.#context.api.cuMemFreeHost(block.pointer);
        if (!isSticky(status)) this.#context.check(status, "cuMemFreeHost");
      }
    }
    this.#free.clear();
  }

  #pin(size: number): PinnedBlock {
    const context = this.#context;
    context.activate();
    const pointer = handleFrom(
      (out) => context.api.cuMemHostAlloc(out, BigInt(size), PORTABLE),
      (status) => context.check(status, "cuMemHostAlloc", `${size} bytes of pinned host memory`),
    );
    this.#pinned += size;
    return { pointer, bytes: new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, size)) };
  }

  #store(block: PinnedBlock): void {
    const list = this.#free.get(block.bytes.length);
    if (list === undefined) this.#free.set(block.bytes.length, [block]);
    else list.push(block);
  }

  #reclaim(): void {
    this.#busy = this.#busy.filter(({ block, event }) => {
      if (!event.isDone()) return true;
      event.dispose();
      this.#store(block);
      return false;
    });
  }
}
