/**
 * CUDA memory: a caching allocator in stream order.
 *
 * Enters: sizes, streams, a {@linkcode DeviceHeap} that hands out device memory. Leaves: {@linkcode CudaBuffer}.
 * Invariants: two live buffers never overlap; a block is handed out again only to the stream that it was made on, where the order of
 * the stream protects it, and only after every other stream that used it (`recordUse`) has passed the point of its release;
 * memory of a private pool never leaves it, because recorded graphs go on using its addresses.
 * Size classes at most 12.5 % apart, 6.25 % above 32 MiB. Mirrors c10's CUDACachingAllocator, with the driver's pools in place of
 * segments that are split by hand.
 *
 * Buffers that nobody disposes come back when V8 has collected them: at the next turn of the event loop, or, where much memory is live or none is left,
 * at once.
 */

import type { Device } from "../../core/device.ts";
import { countChange } from "../../core/reliance.ts";
import { type Allocator, type AllocatorStats, type Buffer, checkByteLength } from "../buffer.ts";
import { CudaOutOfMemoryError, type LiveAllocation } from "./errors.ts";
import { collectGarbage, DeathWatch } from "./garbage.ts";
import { ANY_STREAM, Block, Pool } from "./pool.ts";
import type { DeviceHeap, OrderedStream, StreamMark } from "./ordering.ts";
import { sizeClass } from "./size_class.ts";

export { sizeClass } from "./size_class.ts";

/** What the finalizer of a buffer gets: a way to the block that does not hold the buffer. */
interface Lease {
  block: Block | null;
  /** Whether somebody relies on the memory being there, and so is told when it goes. */
  relied: boolean;
}

/** Buffers of this size and more are watched: what died of them is known without a turn of the event loop. */
const WATCHED_BYTES = 64 * 1024;

/** A released block that other streams may still use. */
interface Waiting {
  readonly block: Block;
  readonly marks: StreamMark[];
  /** Streams that are being captured: no mark can be set in them before that ends. */
  readonly captured: OrderedStream[];
}

/** One buffer in the memory of one CUDA device. */
export class CudaBuffer implements Buffer {
  readonly device: Device;
  readonly byteLength: number;
  readonly #lease: Lease;
  readonly #release: (block: Block, lease: Lease) => void;
  /** Set in a part of a buffer, which keeps the whole alive. */
  readonly #whole: CudaBuffer | null;
  readonly #offset: number;
  /** Of a whole buffer until it is disposed; negative else. */
  #address: number;

  /** Made by {@linkcode CudaAllocator.allocate}. */
  constructor(
    device: Device,
    byteLength: number,
    lease: Lease,
    release: (block: Block, lease: Lease) => void,
    whole: CudaBuffer | null = null,
    offset = 0,
  ) {
    this.device = device;
    this.byteLength = byteLength;
    this.#lease = lease;
    this.#release = release;
    this.#whole = whole;
    this.#offset = offset;
    this.#address = whole === null && lease.block !== null ? lease.block.address : -1;
  }

  get disposed(): boolean {
    return this.#lease.block === null;
  }

  /** The device address; a multiple of 256, but for parts. */
  get address(): number {
    // Of the parameters of a model at each call: without a look at its block, which lies elsewhere.
    return this.#address >= 0 ? this.#address : this.#live().address + this.#offset;
  }

  /** A part of the memory, valid as long as the whole is; disposing of it does nothing. @throws {RangeError} if it lies outside */
  part(byteOffset: number, byteLength: number): CudaBuffer {
    if (byteOffset < 0 || byteLength < 0 || byteOffset + byteLength > this.byteLength) {
      throw new RangeError(
        `bytes ${byteOffset} to ${byteOffset + byteLength} lie outside of a buffer of ${this.byteLength} bytes`,
      );
    }
    const whole = this.#whole ?? this;
    return new CudaBuffer(this.device, byteLength, this.#lease, this.#release, whole, this.#offset + byteOffset);
  }

  /** What the memory is for, shown when memory runs out. */
  get label(): string {
    return this.#live().label;
  }
  set label(text: string) {
    this.#live().label = text;
  }

  /** Declares that another stream than its own uses the memory, so that it is not reused before that stream is done. */
  recordUse(stream: OrderedStream): void {
    const block = this.#live();
    if (stream.id !== block.stream.id) (block.uses ??= new Set()).add(stream);
  }

  /** Marks the memory, of which this may be a part: that it goes is counted as a change. */
  rely(): void {
    this.#lease.relied = true;
  }

  dispose(): void {
    const block = this.#lease.block;
    if (block === null || this.#whole !== null) return;
    if (this.#lease.relied) countChange();
    this.#lease.block = null;
    this.#address = -1;
    this.#release(block, this.#lease);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #live(): Block {
    const block = this.#lease.block;
    if (block === null) {
      throw new TypeError(
        `this ${this.device} buffer of ${this.byteLength} bytes was disposed and cannot be used any more; ` +
          `keep the tensor out of scope()/using, or clone it before it is disposed`,
      );
    }
    return block;
  }
}

/** Memory that belongs to recorded graphs. Its blocks are reused among the captures that name it, and by nobody else. */
export interface PrivatePool extends Disposable {
  /** Bytes that the pool holds, free or in use. */
  readonly reservedBytes: number;
  /** Gives the memory back: what is free now, what is in use when it is disposed. No graph may use it any more. */
  dispose(): void;
}

/** Options of {@linkcode CudaAllocator}. */
export interface CudaAllocatorOptions {
  readonly device: Device;
  readonly heap: DeviceHeap;
  /** Serves private pools: memory that stays where it is while a stream is captured. */
  readonly graphHeap: DeviceHeap;
  /** The stream of an allocation that names none. */
  readonly stream: () => OrderedStream;
  /** Live plus cached bytes that may not be exceeded. Default: the device's memory. */
  readonly memoryLimit?: number;
}

/** More figures about a CUDA allocator. */
export interface CudaAllocatorStats extends AllocatorStats {
  /** Bytes taken from the device: live, cached and waiting, each rounded up to its class. */
  readonly reservedBytes: number;
  /** Released blocks that wait for other streams. */
  readonly waitingBlocks: number;
  /** How often the caches were emptied because memory ran out. */
  readonly retries: number;
}

/** Caching allocator for the memory of one device. */
export class CudaAllocator implements Allocator<CudaBuffer> {
  readonly device: Device;
  readonly #heap: DeviceHeap;
  readonly #graphHeap: DeviceHeap;
  readonly #stream: () => OrderedStream;
  readonly #memoryLimit: number;
  readonly #main: Pool;
  #pool: Pool;
  readonly #private = new Set<Pool>();
  readonly #liveBlocks = new Set<Block>();
  #waiting: Waiting[] = [];
  readonly #pressure = new Set<(bytes: number) => void>();
  readonly #collected = new FinalizationRegistry<Lease>((lease) => this.#bury(lease));
  readonly #watch = new DeathWatch<Lease>((lease) => lease.block === null);
  readonly #release = (block: Block, lease: Lease): void => {
    // A loop that never awaits would heap up what nobody waits for.
    this.#collected.unregister(lease);
    this.#recycle(block);
  };
  readonly #collectionStep: number;
  #nextCollection: number;
  #live = 0;
  #peak = 0;
  #cached = 0;
  #reserved = 0;
  #allocations = 0;
  #hits = 0;
  #retries = 0;

  constructor(options: CudaAllocatorOptions) {
    this.device = options.device;
    this.#heap = options.heap;
    this.#graphHeap = options.graphHeap;
    this.#stream = options.stream;
    this.#memoryLimit = options.memoryLimit ?? Infinity;
    this.#pool = this.#main = new Pool(options.heap, false);
    const total = Math.min(options.heap.info()?.totalBytes ?? 8 * 2 ** 30, this.#memoryLimit);
    this.#nextCollection = this.#collectionStep = total / 4;
  }

  /**
   * Allocates memory whose content is undefined, for use in `stream`; other streams are declared with
   * {@linkcode CudaBuffer.recordUse}.
   *
   * @param label what it is for, shown when memory runs out
   * @param wanted an address that is preferred if it is free: a recorded graph whose results lie where they lay needs no correction
   * @throws {RangeError} if `byteLength` is not a non-negative safe integer
   * @throws {CudaOutOfMemoryError} naming the largest live allocations
   */
  allocate(byteLength: number, label = "", stream: OrderedStream = this.#stream(), wanted = 0): CudaBuffer {
    checkByteLength(byteLength);
    const capacity = sizeClass(byteLength);
    const pool = this.#pool;
    if (this.#waiting.length > 0) this.#reclaim();
    let block = pool.take(stream, capacity, wanted);
    if (block === undefined) {
      block = this.#reserve(capacity, byteLength, stream, pool);
    } else {
      this.#hits++;
      this.#cached -= capacity;
    }
    block.requested = byteLength;
    block.label = label;
    this.#liveBlocks.add(block);
    this.#allocations++;
    this.#live += byteLength;
    if (this.#live > this.#peak) this.#peak = this.#live;
    if (this.#live > this.#nextCollection) {
      this.#collectNow();
      this.#nextCollection = this.#live + this.#collectionStep;
    }
    const lease: Lease = { block, relied: false };
    const buffer = new CudaBuffer(this.device, byteLength, lease, this.#release);
    this.#collected.register(buffer, lease, lease);
    if (byteLength >= WATCHED_BYTES) this.#watch.watch(buffer, lease);
    return buffer;
  }

  /** Collects garbage and takes back what belonged to large buffers that nobody reaches. */
  #collectNow(): void {
    if (collectGarbage()) { for (const lease of this.#watch.dead()) this.#bury(lease); }
  }

  #bury(lease: Lease): void {
    const { block } = lease;
    if (block === null) return;
    lease.block = null;
    this.#recycle(block);
    this.#nextCollection = Math.min(this.#nextCollection, this.#live + this.#collectionStep);
  }

  allocateZeroed(byteLength: number, label = "", stream: OrderedStream = this.#stream()): CudaBuffer {
    const buffer = this.allocate(byteLength, label, stream);
    if (byteLength > 0) this.#pool.heap.clear(buffer.address, byteLength, stream);
    return buffer;
  }

  /** Waits for blocks that other streams use, and gives all cached memory of the common pool back to the device. */
  emptyCache(): void {
    this.#reclaim(true);
    this.#emptyPool(this.#main);
    this.#heap.trim();
  }

  /** Collects garbage, lets the event loop turn so that small buffers nobody disposed come back too, and resolves. */
  async collect(): Promise<void> {
    this.#collectNow();
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
    this.#reclaim();
  }

  /** Calls `handler` with the bytes missing before an allocation fails: it may dispose of buffers that can be made again. */
  onPressure(handler: (bytes: number) => void): Disposable {
    this.#pressure.add(handler);
    return { [Symbol.dispose]: () => void this.#pressure.delete(handler) };
  }

  /** A pool for the memory of recorded graphs. */
  createPool(): PrivatePool {
    const pool = new Pool(this.#graphHeap, true);
    this.#private.add(pool);
    const reserved = (): number => this.#reservedOf(pool);
    const close = (): void => this.#close(pool);
    return Object.assign(new PoolHandle(reserved, close), { [POOL]: pool });
  }

  /** Runs `fn`; what it allocates comes from `pool`. */
  withPool<T>(pool: PrivatePool, fn: () => T): T {
    const before = this.#pool;
    const inner = (pool as Partial<Record<typeof POOL, Pool>>)[POOL];
    if (inner === undefined || !this.#private.has(inner)) {
      throw new TypeError(`this memory pool was disposed, or belongs to another device than ${this.device}`);
    }
    this.#pool = inner;
    try {
      return fn();
    } finally {
      this.#pool = before;
    }
  }

  /** Called before a stream goes: its blocks pass to `heir`, once everything in the stream is done. */
  adoptBlocksOf(stream: OrderedStream, heir: OrderedStream): void {
    for (const pool of [this.#main, ...this.#private]) {
      const lists = pool.free.get(stream.id);
      pool.free.delete(stream.id);
      for (const block of [...lists?.values() ?? []].flat()) {
        block.stream = heir;
        // Graphs that share a pool are replayed one after the other, whatever stream each was recorded in.
        pool.put(block, pool.isPrivate ? ANY_STREAM : heir.id);
      }
    }
    for (const block of this.#liveBlocks) {
      if (block.stream.id === stream.id) block.stream = heir;
      block.uses?.delete(stream);
    }
    for (const { block } of this.#waiting) if (block.stream.id === stream.id) block.stream = heir;
  }

  stats(): CudaAllocatorStats {
    return {
      liveBytes: this.#live,
      peakBytes: this.#peak,
      cachedBytes: this.#cached,
      allocations: this.#allocations,
      cacheHits: this.#hits,
      reservedBytes: this.#reserved,
      waitingBlocks: this.#waiting.length,
      retries: this.#retries,
    };
  }

  resetPeak(): void {
    this.#peak = this.#live;
  }

  /** What most of the memory is used for: live allocations, equal labels of equal size together. */
  largest(count = 8): LiveAllocation[] {
    const kinds = new Map<string, { readonly bytes: number; readonly label: string; count: number }>();
    for (const { requested: bytes, label } of this.#liveBlocks) {
      const key = `${bytes} ${label}`;
      const known = kinds.get(key);
      if (known === undefined) kinds.set(key, { bytes, label, count: 1 });
      else known.count++;
    }
    return [...kinds.values()].sort((a, b) => b.bytes * b.count - a.bytes * a.count).slice(0, count);
  }

  #reserve(capacity: number, requested: number, stream: OrderedStream, pool: Pool): Block {
    let address = this.#ask(capacity, stream, pool);
    if (address === null) {
      this.#retries++;
      this.emptyCache();
      address = this.#ask(capacity, stream, pool);
    }
    if (address === null && this.#pressure.size > 0) {
      for (const handler of this.#pressure) handler(capacity);
      this.emptyCache();
      address = this.#ask(capacity, stream, pool);
    }
    if (address === null) {
      this.#collectNow();
      this.emptyCache();
      address = this.#ask(capacity, stream, pool);
    }
    if (address === null) {
      const info = this.#heap.info();
      throw new CudaOutOfMemoryError(String(this.device), {
        requestedBytes: requested,
        liveBytes: this.#live,
        freeBytes: info?.freeBytes ?? null,
        totalBytes: info?.totalBytes ?? null,
        largest: this.largest(),
      });
    }
    this.#reserved += capacity;
    return new Block(address, capacity, stream, pool);
  }

  #ask(capacity: number, stream: OrderedStream, pool: Pool): number | null {
    return this.#reserved + capacity > this.#memoryLimit ? null : pool.heap.allocate(capacity, stream);
  }

  #recycle(block: Block): void {
    this.#liveBlocks.delete(block);
    this.#live -= block.requested;
    const uses = block.uses;
    block.uses = null;
    if (uses === null || uses.size === 0) {
      this.#store(block);
      return;
    }
    const waiting: Waiting = { block, marks: [], captured: [] };
    for (const stream of uses) {
      if (stream.capturing) waiting.captured.push(stream);
      else waiting.marks.push(stream.mark());
    }
    this.#waiting.push(waiting);
  }

  /** Puts a block that nobody uses into its free list. */
  #store(block: Block): void {
    if (block.pool.closed) {
      this.#destroy(block);
      return;
    }
    this.#cached += block.capacity;
    block.pool.put(block);
  }

  #destroy(block: Block): void {
    this.#reserved -= block.capacity;
    block.pool.heap.free(block.address, block.capacity, block.stream);
  }

  /** Stores the waiting blocks whose streams are done; with `wait`, blocks until they are. */
  #reclaim(wait = false): void {
    const still: Waiting[] = [];
    for (const waiting of this.#waiting) {
      const captured = waiting.captured.filter((stream) => stream.capturing);
      for (const stream of waiting.captured) if (!stream.capturing) waiting.marks.push(stream.mark());
      const marks = waiting.marks.filter((mark) => {
        if (wait) mark.synchronize();
        if (!wait && !mark.isDone()) return true;
        mark.dispose();
        return false;
      });
      if (marks.length > 0 || captured.length > 0) still.push({ block: waiting.block, marks, captured });
      else this.#store(waiting.block);
    }
    this.#waiting = still;
  }

  #emptyPool(pool: Pool): void {
    for (const lists of pool.free.values()) {
      for (const list of lists.values()) {
        for (const block of list) {
          this.#cached -= block.capacity;
          this.#destroy(block);
        }
      }
    }
    pool.free.clear();
  }

  #close(pool: Pool): void {
    if (pool.closed) return;
    pool.closed = true;
    this.#private.delete(pool);
    this.#emptyPool(pool);
  }

  #reservedOf(pool: Pool): number {
    let bytes = 0;
    for (const lists of pool.free.values()) for (const [capacity, list] of lists) bytes += capacity * list.length;
    for (const block of this.#liveBlocks) if (block.pool === pool) bytes += block.capacity;
    for (const { block } of this.#waiting) if (block.pool === pool) bytes += block.capacity;
    return bytes;
  }
}

/** Leads from the public face of a pool to its lists. */
const POOL = Symbol("pool");

class PoolHandle implements PrivatePool {
  readonly #reserved: () => number;
  readonly #close: () => void;
  constructor(reserved: () => number, close: () => void) {
    this.#reserved = reserved;
    this.#close = close;
  }
  get reservedBytes(): number {
    return this.#reserved();
  }
  dispose(): void {
    this.#close();
  }
  [Symbol.dispose](): void {
    this.#close();
  }
}
