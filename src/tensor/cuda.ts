/**
 * CUDA devices for tensors: their memory, and a generator's state where kernels can read it.
 *
 * Importing it opens no library; the first tensor on "cuda" does, and without a working driver it gets the error that says what to do.
 * The device's default generator is made with the first tensor there, so that it is older than any capture that draws from it.
 */
import { CudaDeviceMemory } from "../runtime/cuda/device_memory.ts";
import type { Device } from "../core/mod.ts";
import { registerDeviceMemory } from "./memory.ts";
import { defaultGenerator } from "./random.ts";

const seen = new Set<Device>();

class TensorCudaMemory extends CudaDeviceMemory {
  override allocate(device: Device, byteLength: number): ReturnType<CudaDeviceMemory["allocate"]> {
    if (!seen.has(device)) {
      const first = super.allocate(device, byteLength);
      seen.add(device);
      defaultGenerator(device);
      return first;
    }
    return super.allocate(device, byteLength);
  }
}

const memory = new TensorCudaMemory();
registerDeviceMemory("cuda", memory);

/** The memory of all CUDA devices. */
export function cudaMemory(): CudaDeviceMemory {
  return memory;
}
