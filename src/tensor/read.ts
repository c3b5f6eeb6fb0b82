/**
 * Reads a tensor's elements to the host in row-major order, whatever its strides, and writes them.
 *
 * Arrays are raw: bfloat16 as bits. A contiguous tensor is one copy of bytes; a strided one on the CPU is gathered in place of being copied
 * twice; on other devices the spanned range is copied and gathered on the host.
 */
import { contiguousStride, isContiguous } from "../symbolic/mod.ts";
import { InternalError } from "../core/mod.ts";
import { cpuBuffer, deviceMemory, forEachPosition, type RawArray, rawOver } from "./memory.ts";
import type { Tensor } from "./tensor.ts";

function numbers(sizes: Tensor["shape"]): number[] {
  return sizes.map(Number);
}

/** Elements spanned in memory: one past the last position, minus the first. */
export function spanOf(shape: readonly number[], stride: readonly number[]): number {
  let span = 1;
  for (let i = 0; i < shape.length; i++) {
    const size = shape[i] ?? 0;
    if (size === 0) return 0;
    span += (size - 1) * (stride[i] ?? 0);
  }
  return span;
}

function gather(t: Tensor, raw: RawArray, offset: number): RawArray {
  const shape = numbers(t.shape);
  const per = t.dtype.isComplex ? 2 : 1;
  const out = rawOver(t.dtype, new Uint8Array(t.numel * t.dtype.bytes));
  forEachPosition(shape, numbers(t.stride), offset, (position, linear) => {
    for (let c = 0; c < per; c++) {
      (out as Float64Array)[linear * per + c] = (raw as Float64Array)[position * per + c] ?? 0;
    }
  });
  return out;
}

function range(t: Tensor): { from: number; length: number; strided: boolean } {
  const strided = !isContiguous(t.shape, t.stride);
  const span = strided ? spanOf(numbers(t.shape), numbers(t.stride)) : t.numel;
  return { from: Number(t.storageOffset) * t.dtype.bytes, length: span * t.dtype.bytes, strided };
}

/** The raw elements of a dense tensor over its own memory: position `i` is element `i` of the storage. CPU only. */
export function storageArray(t: Tensor): RawArray {
  const buffer = t.storage.buffer;
  if (buffer === null) throw new InternalError("a tensor without memory was read");
  return cpuBuffer(buffer).view(t.dtype.name);
}

/** A copy of the raw elements, row-major. */
export function readElements(t: Tensor): RawArray {
  const buffer = t.storage.buffer;
  if (buffer === null) throw new InternalError("a tensor without memory was read");
  const { from, length, strided } = range(t);
  if (t.device.type === "cpu" && strided) return gather(t, storageArray(t), Number(t.storageOffset));
  const raw = rawOver(t.dtype, deviceMemory(t.device).readSync(buffer, from, length));
  return strided ? gather(t, raw, 0) : raw;
}

/** As {@linkcode readElements}, for devices that answer later. */
export async function readElementsAsync(t: Tensor): Promise<RawArray> {
  const buffer = t.storage.buffer;
  if (buffer === null || t.device.type === "cpu") return readElements(t);
  const { from, length, strided } = range(t);
  const raw = rawOver(t.dtype, await deviceMemory(t.device).read(buffer, from, length));
  return strided ? gather(t, raw, 0) : raw;
}

/** Writes raw elements in row-major order into a dense tensor. */
export function writeElements(t: Tensor, raw: RawArray): void {
  t.storage.watch?.beforeWrite(t.storage);
  const buffer = t.storage.buffer;
  if (buffer === null) throw new InternalError("a tensor without memory was written");
  // An empty slice may begin behind the end of the memory.
  if (t.numel === 0) return;
  const memory = deviceMemory(t.device);
  const offset = Number(t.storageOffset);
  if (isContiguous(t.shape, t.stride)) {
    memory.write(buffer, offset * t.dtype.bytes, new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength));
    return;
  }
  const shape = numbers(t.shape);
  const stride = numbers(t.stride);
  const per = t.dtype.isComplex ? 2 : 1;
  if (t.device.type === "cpu") {
    const target = storageArray(t) as Float64Array;
    forEachPosition(shape, stride, offset, (position, linear) => {
      for (let c = 0; c < per; c++) target[position * per + c] = (raw as Float64Array)[linear * per + c] ?? 0;
    });
    return;
  }
  const length = spanOf(shape, stride) * t.dtype.bytes;
  const span = rawOver(t.dtype, memory.readSync(buffer, offset * t.dtype.bytes, length)) as Float64Array<ArrayBuffer>;
  forEachPosition(shape, stride, 0, (position, linear) => {
    for (let c = 0; c < per; c++) span[position * per + c] = (raw as Float64Array)[linear * per + c] ?? 0;
  });
  memory.write(buffer, offset * t.dtype.bytes, new Uint8Array(span.buffer, span.byteOffset, span.byteLength));
}

/** Strides of a fresh contiguous tensor of numbers. */
export function rowMajor(shape: readonly number[]): number[] {
  return contiguousStride(shape).map(Number);
}
