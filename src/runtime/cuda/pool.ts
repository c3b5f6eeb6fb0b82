/**
 * Blocks of device memory and the lists of those that are free.
 *
 * Enters: blocks that nobody uses any more, by the stream that they belong to. Leaves: one of a class, the latest first, or the one at an address that the caller would like to have again.
 * What may be put back, and when, is the allocator's to know (`memory.ts`).
 */
import type { DeviceHeap, OrderedStream } from "./ordering.ts";

/** One range of memory that wanders between buffers and free lists. */
export class Block {
  requested = 0;
  label = "";
  /** Streams other than its own that use it since it was handed out. */
  uses: Set<OrderedStream> | null = null;
  constructor(readonly address: number, readonly capacity: number, public stream: OrderedStream, readonly pool: Pool) {}
}

/** The list of blocks that any stream may have: in a private pool, those of streams that are gone. */
export const ANY_STREAM = 0;

/** Free lists by stream and capacity, over one heap. */
export class Pool {
  readonly free: Map<number, Map<number, Block[]>> = new Map();
  closed = false;
  constructor(readonly heap: DeviceHeap, readonly isPrivate: boolean) {}

  /** A free block: the one at `wanted` if it is among the latest, else the latest. */
  take(stream: OrderedStream, capacity: number, wanted: number): Block | undefined {
    const own = this.free.get(stream.id)?.get(capacity);
    if (own !== undefined && wanted !== 0) bringLast(own, wanted);
    return own?.pop() ?? this.free.get(ANY_STREAM)?.get(capacity)?.pop();
  }

  put(block: Block, stream: number = block.stream.id): void {
    let lists = this.free.get(stream);
    if (lists === undefined) this.free.set(stream, lists = new Map());
    const list = lists.get(block.capacity);
    if (list === undefined) lists.set(block.capacity, [block]);
    else list.push(block);
  }
}

/** How many free blocks are looked at for the one at a certain address. */
const LOOKED_AT = 64;

/** Makes the block at an address the one that is taken next, if it is near the end of the list. */
function bringLast(list: Block[], address: number): void {
  const last = list.length - 1;
  for (let i = last; i >= 0 && i > last - LOOKED_AT; i--) {
    const found = list[i] as Block;
    if (found.address !== address) continue;
    list[i] = list[last] as Block;
    list[last] = found;
    return;
  }
}
