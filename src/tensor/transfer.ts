/**
 * Copies elements between tensors, whatever their strides, dtypes and devices.
 *
 * On one device that is not the CPU nothing passes through the host: bytes are copied by the device where they lie alike, else the backend runs the copy
 * operator. Two devices of one type copy directly. Between other devices elements travel in row-major order; a dtype is changed on the host. Mirrors `aten::copy_`.
 */
import type { Device } from "../core/mod.ts";
import { getOp } from "../ops/mod.ts";
import { contiguousStride } from "../symbolic/mod.ts";
import { eagerBackend } from "./backend.ts";
import { emptyTensor } from "./dispatch.ts";
import type { Buffer } from "../runtime/mod.ts";
import { cpuBuffer, deviceMemory, hostFromRaw, type RawArray, rawFromHost } from "./memory.ts";
import { readElements, spanOf, storageArray, writeElements } from "./read.ts";
import type { Tensor } from "./tensor.ts";

/** A copy of a tensor on another device, contiguous. */
export function moveTo(t: Tensor, device: Device): Tensor {
  deviceMemory(device);
  const out = emptyTensor(t.shape, contiguousStride(t.shape), t.dtype, device);
  if (device.type !== "cpu") labelMemory(out, `${t.dtype.name}[${t.shape.join(", ")}] moved from ${t.device}`);
  copyElements(out, t);
  return out;
}

/** Says what a tensor's memory is for, where its device tells that when memory runs out. */
export function labelMemory(t: Tensor, label: string): void {
  const buffer = t.isDense ? t.storage.buffer : null;
  if (buffer !== null && "label" in buffer) buffer.label = label;
}

/** Copies elements of `source` (same shape) into `target`, converting the dtype. */
export function copyElements(target: Tensor, source: Tensor): void {
  if (target.numel === 0) return;
  if (target.device === source.device && target.device.type !== "cpu") {
    copyOnDevice(target, source);
    return;
  }
  if (target.device.type === source.device.type && deviceMemory(target.device).copy !== undefined) {
    copyBetween(target, source);
    return;
  }
  const raw = rawElements(source);
  writeElements(
    target,
    source.dtype === target.dtype ? raw : rawFromHost(target.dtype, hostFromRaw(source.dtype, raw)),
  );
}

/** A view of the bytes that a dense tensor of the CPU spans, from its first element to its last. */
export function contiguousRange(t: Tensor): Uint8Array<ArrayBuffer> {
  const span = t.numel === 0 ? 0 : spanOf(t.shape.map(Number), t.stride.map(Number));
  const { bytes } = t.dtype;
  const from = Number(t.storageOffset) * bytes;
  return cpuBuffer(t.storage.buffer as Buffer).uint8.subarray(from, from + span * bytes);
}

/** The raw elements in row-major order; a view of them where they are written elsewhere at once. */
function rawElements(t: Tensor): RawArray {
  if (t.device.type !== "cpu" || !t.isContiguous) return readElements(t);
  const per = t.dtype.isComplex ? 2 : 1;
  const from = Number(t.storageOffset) * per;
  return storageArray(t).subarray(from, from + t.numel * per) as RawArray;
}

function copyOnDevice(target: Tensor, source: Tensor): void {
  if (
    source.storage.buffer !== target.storage.buffer && source.dtype === target.dtype && source.isContiguous &&
    target.isContiguous && copyBytes(target, source)
  ) return;
  const op = getOp("aten.copy.default");
  const backend = eagerBackend(target.device);
  if (backend.executeInPlace?.(op, { self: target, src: source, nonBlocking: false }, target) === true) return;
  // Where the two overlap there is no writing in place.
  const whole = emptyTensor(source.shape, contiguousStride(source.shape), target.dtype, target.device);
  backend.execute(op, { self: whole, src: source, nonBlocking: false }, [whole]);
  if (backend.executeInPlace?.(op, { self: target, src: whole, nonBlocking: false }, target) === true) return;
  writeElements(target, readElements(whole));
}

/** Has the memory of a type of device copy elements that lie alike; false where it cannot. */
function copyBytes(target: Tensor, source: Tensor): boolean {
  const memory = deviceMemory(target.device);
  const from = source.storage.buffer;
  const to = target.storage.buffer;
  if (memory.copy === undefined || from === null || to === null) return false;
  const { bytes } = source.dtype;
  memory.copy(
    to,
    Number(target.storageOffset) * bytes,
    from,
    Number(source.storageOffset) * bytes,
    source.numel * bytes,
  );
  return true;
}

/** Between two devices of one type: row-major order and the dtype are made on the source's, strides on the target's. */
function copyBetween(target: Tensor, source: Tensor): void {
  const alike = (dtype: Tensor["dtype"], device: Device): Tensor =>
    emptyTensor(source.shape, contiguousStride(source.shape), dtype, device);
  let from = source;
  if (!source.isContiguous || source.dtype !== target.dtype) {
    from = alike(target.dtype, source.device);
    copyOnDevice(from, source);
  }
  if (target.isContiguous) {
    copyBytes(target, from);
    return;
  }
  const whole = alike(target.dtype, target.device);
  copyBytes(whole, from);
  copyOnDevice(target, whole);
}
