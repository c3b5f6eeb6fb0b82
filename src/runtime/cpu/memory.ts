/**
 * CPU memory: 64-byte aligned native memory with zero-copy typed-array views and a caching allocator.
 *
 * The memory is the backing store of an `ArrayBuffer` that V8 owns, over-allocated so that a 64-byte aligned start exists
 * in it. Why not `aligned_alloc`: memory outside V8 can be freed only by a FinalizationRegistry callback, and those run
 * only when the event loop turns; a synchronous training loop would never give anything back. V8 frees backing stores
 * inside its own collections and counts them as pressure, so such a loop stays flat.
 *
 * Invariant: native code gets addresses only from live buffers, and memory cannot be freed while any view of it can be
 * reached, because every view holds the `ArrayBuffer`. `dispose()` puts the block into a free list for the next buffer
 * (unless `pin()` was called); `emptyCache()` detaches what is in the lists, which frees it at once.
 * The FinalizationRegistry only keeps the statistics right for buffers nobody disposed.
 */

import { cpu, type Device } from "../../core/device.ts";
import { type Allocator, type AllocatorStats, type Buffer, checkByteLength, OutOfMemoryError } from "../buffer.ts";

/** Alignment of every CPU buffer: a cache line, and the width of an AVX-512 register. */
export const CPU_ALIGNMENT = 64;

/** The typed array each dtype is seen through; bf16 and 8-bit floats show their bits, complex64 pairs of floats. */
export interface ViewOf {
  bool: Uint8Array<ArrayBuffer>;
  uint8: Uint8Array<ArrayBuffer>;
  int8: Int8Array<ArrayBuffer>;
  int16: Int16Array<ArrayBuffer>;
  int32: Int32Array<ArrayBuffer>;
  int64: BigInt64Array<ArrayBuffer>;
  uint64: BigUint64Array<ArrayBuffer>;
  float16: Float16Array<ArrayBuffer>;
  bfloat16: Uint16Array<ArrayBuffer>;
  float8_e4m3fn: Uint8Array<ArrayBuffer>;
  float8_e5m2: Uint8Array<ArrayBuffer>;
  float32: Float32Array<ArrayBuffer>;
  float64: Float64Array<ArrayBuffer>;
  uint32: Uint32Array<ArrayBuffer>;
  complex64: Float32Array<ArrayBuffer>;
}
/** Name of a view, the same as the dtype's. */
export type ViewName = keyof ViewOf;

/** Bookkeeping that outlives the memory; must not reference it. Both are zero once the block was freed. */
interface Account {
  capacity: number;
  requested: number;
}

/** All views of one aligned range, made when first asked for. Shared by successive buffers of the same size. */
class Views {
  uint8: Uint8Array<ArrayBuffer> | undefined;
  int8: Int8Array<ArrayBuffer> | undefined;
  int16: Int16Array<ArrayBuffer> | undefined;
  int32: Int32Array<ArrayBuffer> | undefined;
  int64: BigInt64Array<ArrayBuffer> | undefined;
  uint64: BigUint64Array<ArrayBuffer> | undefined;
  float16: Float16Array<ArrayBuffer> | undefined;
  bfloat16: Uint16Array<ArrayBuffer> | undefined;
  float32: Float32Array<ArrayBuffer> | undefined;
  float64: Float64Array<ArrayBuffer> | undefined;
  uint32: Uint32Array<ArrayBuffer> | undefined;
  constructor(readonly storage: ArrayBuffer, readonly offset: number, readonly byteLength: number) {}
}

/** One range of memory that wanders between buffers and the free list. */
class Block {
  constructor(
    readonly storage: ArrayBuffer,
    readonly offset: number,
    readonly capacity: number,
    /** Address of the aligned start; 0 without FFI permission. */
    readonly address: number,
    readonly account: Account,
    public views: Views,
  ) {}
}

let ffi: boolean | undefined;

/** Whether native code can be called: FFI permission is granted. Without it there is no C++ tier and no address. */
export function hasFfi(): boolean {
  // Never prompt: a question in the middle of an allocation would be worse than the slower tier.
  return ffi ??= typeof Deno.dlopen === "function" && Deno.permissions.querySync({ name: "ffi" }).state === "granted";
}

/** Where the C library lies: glibc, musl, macOS. */
/** The C library's names, to be tried in order. */
export const LIBC_NAMES: readonly string[] = Deno.build.os === "darwin"
  ? ["libSystem.dylib"]
  : ["libc.so.6", "libc.so"];

let readAddress: ((view: ArrayBufferView<ArrayBuffer>) => number) | undefined;

/**
 * `labs` returns the address that it is handed: one direct call in place of `Deno.UnsafePointer`'s two slow ones, which
 * make up half the time of a fresh allocation.
 */
function findReadAddress(): (view: ArrayBufferView<ArrayBuffer>) => number {
  for (const name of LIBC_NAMES) {
    try {
      const { symbols } = Deno.dlopen(name, { labs: { parameters: ["buffer"], result: "usize" } });
      return (view) => Number(symbols.labs(view));
    } catch {
      // Not this C library.
    }
  }
  return (view) => {
    const pointer = Deno.UnsafePointer.of(view);
    return pointer === null ? 0 : Number(Deno.UnsafePointer.value(pointer));
  };
}

/** Address of the first byte of a view as a number; addresses of user space lie below 2^53. Needs FFI permission. */
export function addressOf(view: ArrayBufferView<ArrayBuffer>): number {
  return (readAddress ??= findReadAddress())(view);
}

/** From this many bytes on, memory is asked for in huge pages: fewer faults when it is first written, fewer walks of page tables later. */
const HUGE_BYTES = 4 * 2 ** 20;
const PAGE = 4096;
const MADV_HUGEPAGE = 14;

let adviseHuge: ((start: number, length: number) => void) | undefined;

/** Linux gives huge pages to memory for which they are asked; elsewhere, and where the kernel does not want to, nothing happens. */
function findAdviseHuge(): (start: number, length: number) => void {
  if (Deno.build.os === "linux") {
    for (const name of LIBC_NAMES) {
      try {
        const { symbols } = Deno.dlopen(name, { madvise: { parameters: ["usize", "usize", "i32"], result: "i32" } });
        return (start, length) => void symbols.madvise(BigInt(start), BigInt(length), MADV_HUGEPAGE);
      } catch {
        // Not this C library.
      }
    }
  }
  return () => {};
}

/** Asks for huge pages for the whole pages of a range that nobody has touched yet. */
function wantHugePages(address: number, bytes: number): void {
  const start = Math.ceil(address / PAGE) * PAGE;
  const length = Math.floor((address + bytes - start) / PAGE) * PAGE;
  (adviseHuge ??= findAdviseHuge())(start, length);
}

/**
 * One buffer in CPU memory.
 *
 * @example
 * ```ts
 * import { cpuAllocator } from "./memory.ts";
 * using buffer = cpuAllocator().allocateZeroed(16);
 * buffer.float32[0] = 1;
 * console.assert(buffer.uint8[3] === 0x3f);
 * ```
 */
export class CpuBuffer implements Buffer {
  readonly device: Device = cpu;
  readonly byteLength: number;
  #block: Block | undefined;
  #release: ((block: Block) => void) | undefined;
  #pinned = false;

  /** Made by an allocator or by {@link CpuBuffer.wrap}; `block` is internal. */
  constructor(byteLength: number, block: Block, release?: (block: Block) => void) {
    this.byteLength = byteLength;
    this.#block = block;
    this.#release = release;
  }

  /**
   * A buffer over memory that already exists, without a copy: a typed array of the user, a mapped file. The buffer holds
   * the array's `ArrayBuffer`; `dispose()` only lets go of it. Its address is as aligned as the array was.
   */
  static wrap(view: ArrayBufferView<ArrayBuffer>): CpuBuffer {
    const { buffer, byteOffset, byteLength } = view;
    const account = { capacity: byteLength, requested: 0 };
    const address = byteLength > 0 && hasFfi() ? addressOf(new Uint8Array(buffer, byteOffset, byteLength)) : 0;
    const views = new Views(buffer, byteOffset, byteLength);
    return new CpuBuffer(byteLength, new Block(buffer, byteOffset, byteLength, address, account, views));
  }

  get disposed(): boolean {
    return this.#block === undefined;
  }

  /** Address of the first byte as a number; a multiple of 64 for allocated buffers. Needs FFI permission. */
  get address(): number {
    const block = this.#live();
    if (block.address === 0 && this.byteLength > 0) {
      throw new Error("a CPU buffer has no address without FFI permission; run with --allow-ffi for native kernels");
    }
    return block.address;
  }

  /** Low 32 bits of {@link CpuBuffer.address}. */
  get addressLow(): number {
    return this.address >>> 0;
  }

  /** High 32 bits of {@link CpuBuffer.address}. */
  get addressHigh(): number {
    return Math.floor(this.address / 0x1_0000_0000);
  }

  /** Writes the address into slot `slot` of a kernel's argument array, seen as little-endian 32-bit pairs. */
  writeAddress(args: Uint32Array, slot: number): void {
    const address = this.address;
    args[2 * slot] = address >>> 0;
    args[2 * slot + 1] = Math.floor(address / 0x1_0000_0000);
  }

  /** The `ArrayBuffer` underneath; the buffer's bytes start at {@link CpuBuffer.byteOffset} in it. */
  get storage(): ArrayBuffer {
    return this.#live().storage;
  }

  /** Where the buffer's bytes start in {@link CpuBuffer.storage}. */
  get byteOffset(): number {
    return this.#live().offset;
  }

  /** One byte an element, 0 or 1. */
  get bool(): Uint8Array<ArrayBuffer> {
    return this.uint8;
  }
  get uint8(): Uint8Array<ArrayBuffer> {
    const v = this.#live().views;
    return v.uint8 ??= new Uint8Array(v.storage, v.offset, v.byteLength);
  }
  get int8(): Int8Array<ArrayBuffer> {
    const v = this.#live().views;
    return v.int8 ??= new Int8Array(v.storage, v.offset, v.byteLength);
  }
  get int16(): Int16Array<ArrayBuffer> {
    const v = this.#live().views;
    return v.int16 ??= new Int16Array(v.storage, v.offset, Math.floor(v.byteLength / 2));
  }
  get int32(): Int32Array<ArrayBuffer> {
    const v = this.#live().views;
    return v.int32 ??= new Int32Array(v.storage, v.offset, Math.floor(v.byteLength / 4));
  }
  get int64(): BigInt64Array<ArrayBuffer> {
    const v = this.#live().views;
    return v.int64 ??= new BigInt64Array(v.storage, v.offset, Math.floor(v.byteLength / 8));
  }
  get uint64(): BigUint64Array<ArrayBuffer> {
    const v = this.#live().views;
    return v.uint64 ??= new BigUint64Array(v.storage, v.offset, Math.floor(v.byteLength / 8));
  }
  get float16(): Float16Array<ArrayBuffer> {
    const v = this.#live().views;
    return v.float16 ??= new Float16Array(v.storage, v.offset, Math.floor(v.byteLength / 2));
  }
  /** The bits of bfloat16 numbers: JavaScript has no such array. */
  get bfloat16(): Uint16Array<ArrayBuffer> {
    const v = this.#live().views;
    return v.bfloat16 ??= new Uint16Array(v.storage, v.offset, Math.floor(v.byteLength / 2));
  }
  /** The bits of 8-bit floats. */
  get float8_e4m3fn(): Uint8Array<ArrayBuffer> {
    return this.uint8;
  }
  get float8_e5m2(): Uint8Array<ArrayBuffer> {
    return this.uint8;
  }
  get float32(): Float32Array<ArrayBuffer> {
    const v = this.#live().views;
    return v.float32 ??= new Float32Array(v.storage, v.offset, Math.floor(v.byteLength / 4));
  }
  get float64(): Float64Array<ArrayBuffer> {
    const v = this.#live().views;
    return v.float64 ??= new Float64Array(v.storage, v.offset, Math.floor(v.byteLength / 8));
  }

  get uint32(): Uint32Array<ArrayBuffer> {
    const v = this.#live().views;
    return v.uint32 ??= new Uint32Array(v.storage, v.offset, Math.floor(v.byteLength / 4));
  }
  /** Real and imaginary parts in turn, two floats an element. */
  get complex64(): Float32Array<ArrayBuffer> {
    return this.float32;
  }

  /** The view named after a dtype. */
  view<N extends ViewName>(name: N): ViewOf[N] {
    return this[name] as ViewOf[N];
  }

  /**
   * Declares that a view was given to somebody whose use cannot be followed. From now on `dispose()` no longer recycles
   * the memory: it is freed when neither the buffer nor any view can be reached.
   */
  pin(): this {
    this.#live();
    this.#pinned = true;
    return this;
  }

  dispose(): void {
    const block = this.#block;
    if (block === undefined) return;
    this.#block = undefined;
    if (!this.#pinned) this.#release?.(block);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #live(): Block {
    const block = this.#block;
    if (block === undefined) {
      throw new TypeError(
        `this CPU buffer of ${this.byteLength} bytes was disposed and cannot be used any more; ` +
          `keep the tensor out of scope()/using, or clone it before it is disposed`,
      );
    }
    return block;
  }
}

/** Options of {@link CpuAllocator}. */
export interface CpuAllocatorOptions {
  /** Bytes that may wait in free lists; more is freed. Default: a quarter of the machine's memory, else 1 GiB. */
  readonly cacheLimit?: number;
  /**
   * Live plus cached bytes that may not be exceeded. Default: no limit but the machine's. Buffers that nobody disposed count
   * until the event loop turns after their collection.
   */
  readonly memoryLimit?: number;
}

/** Caching allocator for CPU memory: size classes at most 12.5 % apart, one free list a class. */
export class CpuAllocator implements Allocator<CpuBuffer> {
  readonly device: Device = cpu;
  readonly cacheLimit: number;
  readonly memoryLimit: number;
  readonly #free = new Map<number, Block[]>();
  readonly #collected = new FinalizationRegistry<Account>((account) => {
    this.#live -= account.requested;
    this.#reserved -= account.capacity;
  });
  #live = 0;
  #peak = 0;
  #cached = 0;
  /** Capacities of all blocks, live and cached. */
  #reserved = 0;
  #allocations = 0;
  #hits = 0;
  readonly #release = (block: Block): void => this.#recycle(block);

  constructor(options: CpuAllocatorOptions = {}) {
    this.cacheLimit = options.cacheLimit ?? defaultCacheLimit();
    this.memoryLimit = options.memoryLimit ?? Infinity;
  }

  allocate(byteLength: number): CpuBuffer {
    checkByteLength(byteLength);
    const capacity = sizeClass(byteLength);
    let block = this.#free.get(capacity)?.pop();
    if (block === undefined) {
      block = this.#reserve(capacity, byteLength);
    } else {
      this.#hits++;
      this.#cached -= capacity;
    }
    if (block.views.byteLength !== byteLength) block.views = new Views(block.storage, block.offset, byteLength);
    block.account.requested = byteLength;
    this.#allocations++;
    this.#live += byteLength;
    if (this.#live > this.#peak) this.#peak = this.#live;
    return new CpuBuffer(byteLength, block, this.#release);
  }

  allocateZeroed(byteLength: number): CpuBuffer {
    const hits = this.#hits;
    const buffer = this.allocate(byteLength);
    // Memory that comes fresh from V8 is zero already, and large blocks of it are not even touched.
    if (this.#hits !== hits) buffer.uint8.fill(0);
    return buffer;
  }

  emptyCache(): void {
    for (const blocks of this.#free.values()) {
      for (const block of blocks) this.#destroy(block);
    }
    this.#free.clear();
    this.#cached = 0;
  }

  stats(): AllocatorStats {
    return {
      liveBytes: this.#live,
      peakBytes: this.#peak,
      cachedBytes: this.#cached,
      allocations: this.#allocations,
      cacheHits: this.#hits,
    };
  }

  resetPeak(): void {
    this.#peak = this.#live;
  }

  #reserve(capacity: number, requested: number): Block {
    if (this.#reserved + capacity > this.memoryLimit) {
      this.emptyCache();
      if (this.#reserved + capacity > this.memoryLimit) {
        throw new OutOfMemoryError("cpu", requested, this.#live, this.memoryLimit);
      }
    }
    const native = hasFfi();
    const padded = native ? capacity + CPU_ALIGNMENT : capacity;
    let storage: ArrayBuffer;
    try {
      storage = new ArrayBuffer(padded);
    } catch {
      this.emptyCache();
      try {
        storage = new ArrayBuffer(padded);
      } catch {
        throw new OutOfMemoryError("cpu", requested, this.#live);
      }
    }
    let offset = 0;
    let address = 0;
    if (native) {
      const start = addressOf(new Uint8Array(storage));
      offset = (CPU_ALIGNMENT - start % CPU_ALIGNMENT) % CPU_ALIGNMENT;
      address = start + offset;
      if (capacity >= HUGE_BYTES) wantHugePages(address, capacity);
    }
    const account: Account = { capacity, requested };
    this.#reserved += capacity;
    this.#collected.register(storage, account);
    return new Block(storage, offset, capacity, address, account, new Views(storage, offset, requested));
  }

  #recycle(block: Block): void {
    this.#live -= block.account.requested;
    block.account.requested = 0;
    if (this.#cached + block.capacity > this.cacheLimit) {
      this.#destroy(block);
      return;
    }
    this.#cached += block.capacity;
    const list = this.#free.get(block.capacity);
    if (list === undefined) this.#free.set(block.capacity, [block]);
    else list.push(block);
  }

  /** Frees at once: detaching drops the backing store now, where dropping the reference would wait for a collection. */
  #destroy(block: Block): void {
    this.#reserved -= block.capacity;
    // Cheaper than an unregister token, which would make every registration four times slower.
    block.account.capacity = 0;
    block.account.requested = 0;
    block.storage.transfer(0);
  }
}

/** Rounds up to a multiple of 64 up to 512 bytes, above to the next of eight steps between powers of two. */
function sizeClass(byteLength: number): number {
  if (byteLength <= 512) return byteLength <= 64 ? 64 : (byteLength + 63) & ~63;
  const step = byteLength < 0x8000_0000
    ? 1 << (28 - Math.clz32(byteLength - 1))
    : 2 ** (Math.floor(Math.log2(byteLength - 1)) - 3);
  return Math.ceil(byteLength / step) * step;
}

function defaultCacheLimit(): number {
  const gibibyte = 2 ** 30;
  if (Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" }).state !== "granted") return gibibyte;
  return Math.max(gibibyte, Math.floor(Deno.systemMemoryInfo().total / 4));
}

let shared: CpuAllocator | undefined;

/** The allocator that tensors on the CPU use. */
export function cpuAllocator(): CpuAllocator {
  return shared ??= new CpuAllocator();
}
