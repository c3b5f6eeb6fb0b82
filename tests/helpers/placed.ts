/** Puts tensors on a device as they are: strides, offsets and what lies between the elements stay. */
import { cpu, type Device } from "../../src/core/mod.ts";
import { allocateStorage, cpuBuffer, deviceMemory, Tensor } from "../../src/tensor/mod.ts";

/** A tensor with the same strides over memory of a device. */
export function placed(t: Tensor, device: Device): Tensor {
  const { buffer } = t.storage;
  if (device === cpu || buffer === null) return t;
  const { shape, stride, storageOffset, dtype } = t;
  const storage = allocateStorage(device, buffer.byteLength);
  if (storage.buffer !== null && buffer.byteLength > 0) {
    deviceMemory(device).write(storage.buffer, 0, cpuBuffer(buffer).uint8);
  }
  const out = new Tensor({ shape, stride, storageOffset, dtype, device, storage });
  if (t.requiresGrad) out.requiresGrad = true;
  return out;
}
