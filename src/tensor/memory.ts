/**
 * Where tensors get their memory and how their elements reach JavaScript.
 *
 * Each device type has one {@linkcode DeviceMemory}; the CPU's is here, others register theirs. Elements are read into contiguous, row-major
 * typed arrays (bfloat16 and 8-bit floats widened to float32) whatever the strides are, and written back the same way.
 */
import { type Device, type DeviceType, type DType, InternalError, narrowFloat } from "../core/mod.ts";
import type { HostArray } from "../ops/mod.ts";
import type { Buffer } from "../runtime/mod.ts";
import { cpuAllocator, CpuBuffer } from "../runtime/cpu/memory.ts";

export { forEachPosition } from "../runtime/positions.ts";

/** What a device must offer so that tensors can live on it. */
export interface DeviceMemory {
  /** Memory with undefined content. */
  allocate(device: Device, byteLength: number): Buffer;
  /** Copies bytes to the host; throws TypeError where the device cannot answer synchronously. */
  readSync(buffer: Buffer, byteOffset: number, byteLength: number): Uint8Array<ArrayBuffer>;
  /** Copies bytes to the host. */
  read(buffer: Buffer, byteOffset: number, byteLength: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Copies bytes from the host. */
  write(buffer: Buffer, byteOffset: number, bytes: Uint8Array<ArrayBuffer>): void;
  /** Copies bytes inside the device, in order with its kernels. */
  copy?(to: Buffer, toOffset: number, from: Buffer, fromOffset: number, byteLength: number): void;
}

const memories = new Map<DeviceType, DeviceMemory>();

/** Makes tensors possible on a type of device. */
export function registerDeviceMemory(type: DeviceType, memory: DeviceMemory): void {
  memories.set(type, memory);
}

/** The memory of a device. @throws {TypeError} if no runtime for it is loaded. */
export function deviceMemory(device: Device): DeviceMemory {
  const memory = memories.get(device.type);
  if (memory === undefined) {
    throw new TypeError(`device ${device}: its runtime is not loaded, so no tensor can live there; use "cpu"`);
  }
  return memory;
}

registerDeviceMemory("cpu", {
  allocate: (_, byteLength) => cpuAllocator().allocate(byteLength),
  readSync: (buffer, byteOffset, byteLength) => cpuBuffer(buffer).uint8.slice(byteOffset, byteOffset + byteLength),
  read: (buffer, byteOffset, byteLength) =>
    Promise.resolve(cpuBuffer(buffer).uint8.slice(byteOffset, byteOffset + byteLength)),
  write: (buffer, byteOffset, bytes) => cpuBuffer(buffer).uint8.set(bytes, byteOffset),
});

/** The buffer as CPU memory. @throws {InternalError} if it is not. */
export function cpuBuffer(buffer: Buffer): CpuBuffer {
  if (!(buffer instanceof CpuBuffer)) throw new InternalError(`expected CPU memory, got memory of ${buffer.device}`);
  return buffer;
}

export { bfloat16FromBits, bfloat16ToBits } from "../core/mod.ts";

/** Typed arrays that hold the raw elements of a dtype; bfloat16 and 8-bit floats as bits. */
export type RawArray =
  | Uint8Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/** Raw elements over bytes that start at a multiple of the element size. */
export function rawOver(dtype: DType, bytes: Uint8Array<ArrayBuffer>): RawArray {
  const { buffer, byteOffset } = bytes;
  const n = Math.floor(bytes.byteLength / dtype.bytes);
  switch (dtype.name) {
    case "bool":
    case "uint8":
    case "float8_e4m3fn":
    case "float8_e5m2":
      return new Uint8Array(buffer, byteOffset, n);
    case "int8":
      return new Int8Array(buffer, byteOffset, n);
    case "int16":
      return new Int16Array(buffer, byteOffset, n);
    case "int32":
      return new Int32Array(buffer, byteOffset, n);
    case "uint32":
      return new Uint32Array(buffer, byteOffset, n);
    case "int64":
      return new BigInt64Array(buffer, byteOffset, n);
    case "uint64":
      return new BigUint64Array(buffer, byteOffset, n);
    case "float16":
      return new Float16Array(buffer, byteOffset, n);
    case "bfloat16":
      return new Uint16Array(buffer, byteOffset, n);
    case "float32":
      return new Float32Array(buffer, byteOffset, n);
    case "float64":
      return new Float64Array(buffer, byteOffset, n);
    case "complex64":
      return new Float32Array(buffer, byteOffset, 2 * n);
    default:
      return dtype.name satisfies never;
  }
}

/** Widens bits of dtypes that have no arrays of their own; other arrays are returned as they are. */
export function hostFromRaw(dtype: DType, raw: RawArray): HostArray {
  const narrow = narrowFloat(dtype);
  if (narrow === null) return raw as HostArray;
  const out = new Float32Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = narrow.fromBits(Number(raw[i]));
  return out;
}

/** Raw elements of a dtype from numbers of any kind; values wrap or round as casts do. */
export function rawFromHost(dtype: DType, values: ArrayLike<number | bigint | boolean>): RawArray {
  if (dtype.isComplex) return Float32Array.from(values as ArrayLike<number>, Number);
  const n = values.length;
  const raw = rawOver(dtype, new Uint8Array(n * dtype.bytes));
  const narrow = narrowFloat(dtype);
  if (raw instanceof BigInt64Array || raw instanceof BigUint64Array) {
    for (let i = 0; i < n; i++) {
      const v = values[i] ?? 0;
      raw[i] = typeof v === "bigint" ? v : Number.isFinite(Number(v)) ? BigInt(Math.trunc(Number(v))) : 0n;
    }
  } else if (narrow !== null) {
    for (let i = 0; i < n; i++) raw[i] = narrow.toBits(Math.fround(Number(values[i] ?? 0)));
  } else if (dtype.kind === "bool") {
    for (let i = 0; i < n; i++) raw[i] = values[i] ? 1 : 0;
  } else if (dtype.isFloat) {
    for (let i = 0; i < n; i++) raw[i] = Number(values[i] ?? 0);
  } else {
    for (let i = 0; i < n; i++) {
      const v = values[i] ?? 0;
      raw[i] = typeof v === "bigint" ? Number(BigInt.asIntN(32, v)) : Math.trunc(Number(v));
    }
  }
  return raw;
}
