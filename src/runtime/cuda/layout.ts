/**
 * The driver's structures as bytes.
 *
 * Enters: numbers and handles. Leaves: buffers laid out as `cuda.h` declares them for 64-bit little-endian machines; each
 * offset below stands beside the member's name. Buffers that are kept are never on V8's heap, because the driver, or a
 * structure in another buffer, holds their address.
 */

import { addressOf } from "../cpu/memory.ts";
import type { CudaBuffer } from "./memory.ts";

/** A grid or block. */
export type Dim3 = readonly [x: number, y: number, z: number];

/** What a launch needs besides its arguments. */
export interface LaunchShape {
  readonly grid: Dim3;
  readonly block: Dim3;
  /** Dynamic shared memory, in bytes. */
  readonly sharedBytes?: number;
  /** Blocks a cluster; compute capability 9.0 and later. */
  readonly cluster?: Dim3;
  /** All blocks run at once and may wait for each other. */
  readonly cooperative?: boolean;
  /** May start before the kernel ahead of it in the stream has ended (programmatic dependent launch). */
  readonly overlapPrevious?: boolean;
}

/** Writes a 64-bit address. Exact below 2^53. */
export function writeAddress(view: DataView, offset: number, address: number): void {
  view.setUint32(offset, address >>> 0, true);
  view.setUint32(offset + 4, Math.floor(address / 0x1_0000_0000), true);
}

const ATTRIBUTE_COOPERATIVE = 2;
const ATTRIBUTE_CLUSTER = 4;
const ATTRIBUTE_OVERLAP = 6;
const CONFIG_BYTES = 56;
const ATTRIBUTE_BYTES = 72;

/** A `CUlaunchConfig` with its attributes behind it. Addresses inside, so it must stay where it is. */
export function launchConfig(shape: LaunchShape, stream: number): Uint8Array<ArrayBuffer> {
  const buffer = new ArrayBuffer(CONFIG_BYTES + 3 * ATTRIBUTE_BYTES);
  const bytes = new Uint8Array(buffer);
  const view = new DataView(buffer);
  shape.grid.forEach((size, i) => view.setUint32(4 * i, size, true)); // gridDimX 0, Y 4, Z 8
  shape.block.forEach((size, i) => view.setUint32(12 + 4 * i, size, true)); // blockDimX 12, Y 16, Z 20
  view.setUint32(24, shape.sharedBytes ?? 0, true); // sharedMemBytes 24
  writeAddress(view, 32, stream); // hStream 32
  writeAddress(view, 40, addressOf(bytes) + CONFIG_BYTES); // attrs 40
  let count = 0;
  const attribute = (id: number, values: readonly number[]): void => {
    const base = CONFIG_BYTES + count++ * ATTRIBUTE_BYTES;
    view.setUint32(base, id, true); // id 0
    values.forEach((value, i) => view.setUint32(base + 8 + 4 * i, value, true)); // value 8
  };
  if (shape.cluster !== undefined) attribute(ATTRIBUTE_CLUSTER, shape.cluster);
  if (shape.cooperative === true) attribute(ATTRIBUTE_COOPERATIVE, [1]);
  if (shape.overlapPrevious === true) attribute(ATTRIBUTE_OVERLAP, [1]);
  view.setUint32(48, count, true); // numAttrs 48
  return bytes;
}

/** Whether a shape needs `cuLaunchKernelEx`. */
export function needsLaunchConfig(shape: LaunchShape): boolean {
  return shape.cluster !== undefined || shape.cooperative === true || shape.overlapPrevious === true;
}

/** A `CUDA_KERNEL_NODE_PARAMS_v2`; its first 56 bytes are the first version. */
export function kernelNodeParams(
  shape: LaunchShape,
  func: number,
  kernelParams: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(72));
  const view = new DataView(bytes.buffer);
  writeAddress(view, 0, func); // func 0
  shape.grid.forEach((size, i) => view.setUint32(8 + 4 * i, size, true)); // gridDimX 8, Y 12, Z 16
  shape.block.forEach((size, i) => view.setUint32(20 + 4 * i, size, true)); // blockDimX 20, Y 24, Z 28
  view.setUint32(32, shape.sharedBytes ?? 0, true); // sharedMemBytes 32
  writeAddress(view, 40, kernelParams); // kernelParams 40; extra 48, kern 56 and ctx 64 stay null
  return bytes;
}

/** A `CUmemPoolProps` for memory of one device. */
export function memoryPoolProps(ordinal: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(88));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 1, true); // allocType 0: pinned, the only kind; handleTypes 4: none
  view.setUint32(8, 1, true); // location.type 8: device
  view.setInt32(12, ordinal, true); // location.id 12
  return bytes;
}

/** A `CUmemAccessDesc` that lets another device read and write. */
export function memoryAccess(ordinal: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(12));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 1, true); // location.type 0: device
  view.setInt32(4, ordinal, true); // location.id 4
  view.setUint32(8, 3, true); // flags 8: read and write
  return bytes;
}

/** What a kernel's parameter is. */
export type ParameterKind = "pointer" | "i32" | "u32" | "i64" | "f32" | "f64" | "tensorMap";

const TENSOR_MAP_BYTES = 128;

/**
 * The arguments of one kernel: an array of addresses, each of a value behind it.
 *
 * Made once a kernel; then slots are changed without allocating. Holds the buffers whose addresses it contains, as the collector
 * does not see addresses. The driver copies the values during the launch, so they may change right after it.
 *
 * @example
 * ```ts
 * import { CudaArguments } from "./layout.ts";
 * const args = new CudaArguments(["pointer", "pointer", "i32", "f32"]);
 * args.setAddress(0, 0x7f0000000000);
 * args.setInt(2, 1024);
 * args.setFloat(3, 0.5);
 * // kernel.launch(shape, args, stream);
 * ```
 */
export class CudaArguments {
  readonly kinds: readonly ParameterKind[];
  /** What the driver gets: `void** kernelParams`. */
  readonly pointers: Uint8Array<ArrayBuffer>;
  /** Address of {@linkcode CudaArguments.pointers}. */
  readonly address: number;
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #doubles: Float64Array<ArrayBuffer>;
  readonly #floats: Float32Array<ArrayBuffer>;
  /** Where each value starts, in words of 4 bytes. */
  readonly #slots: readonly number[];
  readonly #buffers: (CudaBuffer | null)[];

  constructor(kinds: readonly ParameterKind[]) {
    this.kinds = kinds;
    // One allocation: the pointers, then the values. Room to start at a multiple of 128, which tensor maps need.
    let bytes = 8 * kinds.length;
    const offsets = kinds.map((kind) => {
      const align = kind === "tensorMap" ? TENSOR_MAP_BYTES : 8;
      const offset = Math.ceil(bytes / align) * align;
      bytes = offset + (kind === "tensorMap" ? TENSOR_MAP_BYTES : 8);
      return offset;
    });
    const storage = new ArrayBuffer(bytes + TENSOR_MAP_BYTES);
    const start = addressOf(new Uint8Array(storage));
    const shift = (TENSOR_MAP_BYTES - start % TENSOR_MAP_BYTES) % TENSOR_MAP_BYTES;
    this.address = start + shift;
    this.pointers = new Uint8Array(storage, shift, Math.max(8, 8 * kinds.length));
    this.#words = new Uint32Array(storage);
    this.#floats = new Float32Array(storage);
    this.#doubles = new Float64Array(storage);
    const view = new DataView(storage);
    offsets.forEach((offset, i) => writeAddress(view, shift + 8 * i, this.address + offset));
    this.#slots = offsets.map((offset) => (shift + offset) / 4);
    this.#buffers = new Array<CudaBuffer | null>(kinds.length).fill(null);
  }

  /** Puts a buffer's address into a slot, plus an offset in bytes, and keeps the buffer alive as long as it stands there. */
  setBuffer(slot: number, buffer: CudaBuffer, byteOffset = 0): void {
    this.#buffers[slot] = buffer;
    this.#setWords(slot, buffer.address + byteOffset);
  }

  /** Puts an address into a slot. The caller keeps its memory alive. */
  setAddress(slot: number, address: number): void {
    this.#buffers[slot] = null;
    this.#setWords(slot, address);
  }

  /** The address in a slot. */
  addressIn(slot: number): number {
    const at = this.#at(slot);
    return (this.#words[at] ?? 0) + 0x1_0000_0000 * (this.#words[at + 1] ?? 0);
  }

  /** Puts a 32-bit integer into a slot, signed or unsigned. */
  setInt(slot: number, value: number): void {
    this.#words[this.#at(slot)] = value;
  }

  /** Puts a 64-bit integer into a slot; exact for safe integers, negative ones included. */
  setLong(slot: number, value: number): void {
    this.#setWords(slot, value);
  }

  /** Puts a 32-bit float into a slot. */
  setFloat(slot: number, value: number): void {
    this.#floats[this.#at(slot)] = value;
  }

  /** Puts a double into a slot. */
  setDouble(slot: number, value: number): void {
    this.#doubles[this.#at(slot) / 2] = value;
  }

  /** The 128 bytes of a tensor map's slot, at a multiple of 128 as the encoder wants them. */
  tensorMap(slot: number): Uint8Array<ArrayBuffer> {
    if (this.kinds[slot] !== "tensorMap") {
      throw new TypeError(`parameter ${slot} is ${this.kinds[slot]}, not a tensor map`);
    }
    return new Uint8Array(this.pointers.buffer, 4 * this.#at(slot), TENSOR_MAP_BYTES);
  }

  /** Keeps a buffer alive with a slot that holds its address indirectly, as a tensor map does. */
  hold(slot: number, buffer: CudaBuffer): void {
    this.#buffers[slot] = buffer;
  }

  /** Forgets all buffers, so that they can be collected. */
  release(): void {
    this.#buffers.fill(null);
  }

  #setWords(slot: number, value: number): void {
    const at = this.#at(slot);
    this.#words[at] = value;
    this.#words[at + 1] = Math.floor(value / 0x1_0000_0000);
  }

  #at(slot: number): number {
    const at = this.#slots[slot];
    if (at === undefined) throw new RangeError(`the kernel has ${this.kinds.length} parameters; there is no ${slot}`);
    return at;
  }
}
