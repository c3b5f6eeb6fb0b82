/**
 * One device ready for work: its primary context, streams, events, memory, copies, and a journal of launches.
 *
 * Enters: a driver and a device's number. Leaves: {@linkcode CudaContext}. The primary context is the one that other CUDA
 * libraries of the process use too, so their memory can be shared. Invariant: a failing call names its operation, and if the
 * context is lost by it, the launches that may have done it.
 */

import { isStageEnabled } from "../../core/config.ts";
import { type Device, device } from "../../core/device.ts";
import { type CudaDevice, type CudaDriver, handleFrom, loadDriver } from "./driver.ts";
import { ErrorBoard } from "./error_board.ts";
import { CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, isSticky, type LaunchRecord } from "./errors.ts";
import { PlainHeap, PoolHeap } from "./heap.ts";
import { CudaAllocator } from "./memory.ts";
import { CudaEvent, type CudaEventOptions, CudaStream } from "./stream.ts";
import type { DriverApi, Handle } from "./symbols.ts";
import { dropWorkspaces } from "./workspace.ts";

/** How many launches an error can name. A power of two. */
const JOURNAL = 64;
const SHOWN = 12;
/** Numbers of `CUpointer_attribute` and `CUmemorytype`. */
const POINTER_MEMORY_TYPE = 2;
const POINTER_DEVICE = 9;
const MEMORY_TYPE_HOST = 1;

const out = new BigUint64Array(new ArrayBuffer(16));
const outInts = new Int32Array(out.buffer);

/** A device in use. Made by {@linkcode cudaContext}. */
export class CudaContext {
  readonly driver: CudaDriver;
  readonly api: DriverApi;
  readonly info: CudaDevice;
  readonly device: Device;
  readonly handle: Handle;
  /** The stream that everything goes to unless {@linkcode CudaContext.withStream} says otherwise. */
  readonly stream: CudaStream;
  readonly allocator: CudaAllocator;
  /** Where kernels report wrong indices; looked at whenever data are read. */
  readonly errors: ErrorBoard;
  /** Waits after every launch, so that a fault is reported by the launch that made it. Slow; for finding faults. Set by `TESSERA_DISABLE=cuda_async`. */
  launchBlocking: boolean = !isStageEnabled("cuda_async");
  #current: CudaStream;
  readonly #streams = new Set<CudaStream>();
  readonly #events: Handle[] = [];
  readonly #poolHeap: PoolHeap | null;
  readonly #peers = new Set<number>();
  readonly #journal: (LaunchRecord | undefined)[] = new Array<LaunchRecord | undefined>(JOURNAL).fill(undefined);
  #launches = 0;

  constructor(driver: CudaDriver, ordinal: number) {
    this.driver = driver;
    this.api = driver.api;
    this.info = driver.device(ordinal);
    this.device = device(`cuda:${ordinal}`);
    this.handle = handleFrom(
      (to) => driver.api.cuDevicePrimaryCtxRetain(to, ordinal),
      (status) => driver.check(status, "cuDevicePrimaryCtxRetain", `device ${ordinal}, ${this.info.name}`),
    );
    this.activate();
    this.stream = this.#current = new CudaStream(this);
    this.#streams.add(this.stream);
    this.errors = new ErrorBoard(this);
    const plain = new PlainHeap(this);
    this.#poolHeap = this.info.attributes.memoryPools === 1 ? new PoolHeap(this) : null;
    this.allocator = new CudaAllocator({
      device: this.device,
      heap: this.#poolHeap ?? plain,
      graphHeap: plain,
      stream: () => this.#current,
    });
  }

  /** Makes the context current on this thread. */
  activate(): void {
    this.driver.activate(this.handle);
  }

  /** Throws a {@linkcode CudaError} unless `status` is success. */
  check(status: number, operation: string, what?: string): void {
    if (status === 0) return;
    throw this.driver.failure(status, operation, what, isSticky(status) ? this.recentLaunches() : undefined);
  }

  /** Writes a launch down, for the error that it may cause later. */
  noteLaunch(record: LaunchRecord): void {
    this.#journal[this.#launches++ & (JOURNAL - 1)] = record;
  }

  /** The latest launches, newest first. */
  recentLaunches(): LaunchRecord[] {
    const list: LaunchRecord[] = [];
    for (let i = this.#launches - 1; i >= 0 && list.length < SHOWN; i--) {
      const record = this.#journal[i & (JOURNAL - 1)];
      if (record === undefined || this.#launches - i > JOURNAL) break;
      list.push(record);
    }
    return list;
  }

  /** The stream that work goes to now. */
  get currentStream(): CudaStream {
    return this.#current;
  }

  /** All streams that were not disposed. */
  get streams(): Iterable<CudaStream> {
    return this.#streams;
  }

  /** Runs `fn` with another current stream. */
  withStream<T>(stream: CudaStream, fn: () => T): T {
    if (stream.context !== this) {
      throw new TypeError(`the stream belongs to ${stream.context.device}, not ${this.device}`);
    }
    const before = this.#current;
    this.#current = stream;
    try {
      return fn();
    } finally {
      this.#current = before;
    }
  }

  /** A new stream. `urgent` ones go before others where blocks of both are waiting. */
  createStream(options: { readonly urgent?: boolean } = {}): CudaStream {
    let priority = 0;
    if (options.urgent === true) {
      this.activate();
      const status = this.api.cuCtxGetStreamPriorityRange(outInts.subarray(0, 1), outInts.subarray(1, 2));
      this.check(status, "cuCtxGetStreamPriorityRange");
      priority = outInts[1] ?? 0;
    }
    const stream = new CudaStream(this, priority);
    this.#streams.add(stream);
    return stream;
  }

  /** Internal: {@linkcode CudaStream.dispose}. */
  releaseStream(stream: CudaStream): void {
    stream.synchronize();
    this.#streams.delete(stream);
    dropWorkspaces(stream);
    this.allocator.adoptBlocksOf(stream, this.stream);
    this.check(this.api.cuStreamDestroy_v2(stream.handle), "cuStreamDestroy");
  }

  /** An event that was not recorded yet. */
  createEvent(options: CudaEventOptions = {}): CudaEvent {
    const timing = options.timing === true;
    return new CudaEvent(this, timing, timing ? undefined : this.#events.pop());
  }

  /** Internal: {@linkcode CudaEvent.dispose}. */
  releaseEvent(event: CudaEvent): void {
    if (!event.timing && this.#events.length < 256) {
      this.#events.push(event.handle);
      return;
    }
    const status = this.api.cuEventDestroy_v2(event.handle);
    if (!isSticky(status)) this.check(status, "cuEventDestroy");
  }

  /** Blocks until the device has done everything. */
  synchronize(): void {
    this.activate();
    this.check(this.api.cuCtxSynchronize(), "cuCtxSynchronize");
  }

  /** Free and total bytes on the device; null if the context is lost. */
  memoryInfo(): { readonly freeBytes: number; readonly totalBytes: number } | null {
    this.activate();
    if (this.api.cuMemGetInfo_v2(out.subarray(0, 1), out.subarray(1, 2)) !== 0) return null;
    return { freeBytes: Number(out[0]), totalBytes: Number(out[1]) };
  }

  /**
   * What the driver knows of an address: memory of a device, pinned host memory, or null for memory that it does not know.
   * For memory that other libraries hand over.
   */
  pointerInfo(address: number): { readonly kind: "device" | "host"; readonly ordinal: number } | null {
    this.activate();
    const at = BigInt(address);
    if (this.api.cuPointerGetAttribute(outInts, POINTER_MEMORY_TYPE, at) !== 0) return null;
    const kind = outInts[0] === MEMORY_TYPE_HOST ? "host" : "device";
    this.check(this.api.cuPointerGetAttribute(outInts, POINTER_DEVICE, at), "cuPointerGetAttribute");
    return { kind, ordinal: outInts[0] ?? 0 };
  }

  /** Sets bytes to one value. */
  fill(address: number, value: number, bytes: number, stream: CudaStream = this.#current): void {
    if (bytes === 0) return;
    this.activate();
    const status = this.api.cuMemsetD8Async(BigInt(address), value & 0xff, BigInt(bytes), stream.handle);
    this.check(status, "cuMemsetD8Async", `${bytes} bytes`);
  }

  /** Copies from host memory, which must be pinned to be asynchronous, and must stay as it is until the stream is past. */
  copyFromHost(to: number, from: Handle, bytes: number, stream: CudaStream = this.#current): void {
    if (bytes === 0) return;
    this.activate();
    const status = this.api.cuMemcpyHtoDAsync_v2(BigInt(to), from, BigInt(bytes), stream.handle);
    this.check(status, "cuMemcpyHtoDAsync", `${bytes} bytes`);
  }

  /** Copies to host memory, which must be pinned to be asynchronous. */
  copyToHost(to: Handle, from: number, bytes: number, stream: CudaStream = this.#current): void {
    if (bytes === 0) return;
    this.activate();
    const status = this.api.cuMemcpyDtoHAsync_v2(to, BigInt(from), BigInt(bytes), stream.handle);
    this.check(status, "cuMemcpyDtoHAsync", `${bytes} bytes`);
  }

  /** Copies inside the device. */
  copy(to: number, from: number, bytes: number, stream: CudaStream = this.#current): void {
    if (bytes === 0) return;
    this.activate();
    const status = this.api.cuMemcpyDtoDAsync_v2(BigInt(to), BigInt(from), BigInt(bytes), stream.handle);
    this.check(status, "cuMemcpyDtoDAsync", `${bytes} bytes`);
  }

  /**
   * Copies to another device, directly where the two can reach each other, else through the host. It runs in this device's
   * stream, after what the other device's current stream was sent so far; that stream waits for it.
   */
  copyToPeer(peer: CudaContext, to: number, from: number, bytes: number, stream: CudaStream = this.#current): void {
    if (bytes === 0) return;
    this.enablePeer(peer);
    using before = peer.currentStream.record();
    stream.wait(before);
    this.activate();
    const status = this.api.cuMemcpyPeerAsync(
      BigInt(to),
      peer.handle,
      BigInt(from),
      this.handle,
      BigInt(bytes),
      stream.handle,
    );
    this.check(status, "cuMemcpyPeerAsync", `${bytes} bytes from ${this.device} to ${peer.device}`);
    using after = stream.record();
    peer.currentStream.wait(after);
  }

  /** Lets each device reach the other's memory. Returns whether they can. */
  enablePeer(peer: CudaContext): boolean {
    const other = peer.info.ordinal;
    if (this.#peers.has(other)) return true;
    if (!this.driver.canAccessPeer(this.info.ordinal, other) || !this.driver.canAccessPeer(other, this.info.ordinal)) {
      return false;
    }
    this.#openTo(peer);
    peer.#openTo(this);
    return true;
  }

  #openTo(peer: CudaContext): void {
    this.activate();
    const status = this.api.cuCtxEnablePeerAccess(peer.handle, 0);
    if (status !== CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED) {
      this.check(status, "cuCtxEnablePeerAccess", `${this.device} to ${peer.device}`);
    }
    // Memory of pools is opened pool by pool.
    this.#poolHeap?.share(peer.info.ordinal);
    this.#peers.add(peer.info.ordinal);
  }
}

const contexts = new Map<number, CudaContext>();

/**
 * The context of a device; made when first asked for, which takes about 0.2 s.
 *
 * @throws {RangeError} if there is no device of that number
 * @throws {TypeError} without a working driver, with the remedy
 */
export function cudaContext(ordinal = 0): CudaContext {
  let context = contexts.get(ordinal);
  if (context === undefined) {
    const driver = loadDriver();
    if (!driver.ok) throw new TypeError(`device "cuda:${ordinal}": ${driver.problem.problem} ${driver.problem.remedy}`);
    contexts.set(ordinal, context = new CudaContext(driver.value, ordinal));
  }
  return context;
}
