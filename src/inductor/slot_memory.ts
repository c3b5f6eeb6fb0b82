/**
 * The memory of a call's inputs and attributes, slot by slot.
 *
 * Inputs are looked at in each call. Attributes are the same tensors in each call, and on a device a plan keeps their addresses: they are looked at when one of them may have moved, which
 * everybody who moves memory counts (`core/reliance.ts`), so that what a call costs does not grow with the number of parameters.
 */
import { InternalError } from "../core/mod.ts";
import type { Buffer } from "../runtime/mod.ts";
import { CpuBuffer } from "../runtime/cpu/mod.ts";
import { CudaBuffer } from "../runtime/cuda/mod.ts";
import { cpuBuffer, type Tensor } from "../tensor/mod.ts";
import type { CudaTier } from "./cuda_tier.ts";

/** Where an input's or attribute's memory goes. */
export interface InputSlot {
  readonly slot: number;
  readonly index: number;
  /** The storage offset that the plan's indices already contain, in elements. */
  readonly offset: number;
}

/** The attributes of a compiled graph. */
export class AttributeSlots {
  readonly #slots: readonly InputSlot[];
  /** Those of the call before. */
  #last: readonly Tensor[] | null = null;

  constructor(slots: readonly InputSlot[]) {
    this.#slots = slots;
  }

  /** Fills in memory of the CPU. */
  fill(buffers: (Buffer | undefined)[], attributes: readonly Tensor[]): void {
    for (const { slot, index, offset } of this.#slots) {
      buffers[slot] = bufferAt(attributes[index] as Tensor, offset);
    }
  }

  /** Lets go of the memory. */
  clear(buffers: (Buffer | undefined)[]): void {
    for (const { slot } of this.#slots) buffers[slot] = undefined;
  }

  /** Runs a plan on a device; inputs and results are filled in. `attributes` is the same list in each call, or they are looked at. */
  runOn(
    cuda: CudaTier,
    buffers: (CudaBuffer | undefined)[],
    attributes: readonly Tensor[],
    sizes: readonly number[],
  ): void {
    const isSame = attributes === this.#last;
    if (isSame && cuda.isHeld(sizes)) {
      cuda.run(buffers, sizes, true);
      return;
    }
    if (!isSame) cuda.letGo();
    this.#last = attributes;
    let marks = isSame && cuda.isWorthHolding(sizes);
    try {
      for (const attribute of this.#slots) {
        const t = attributes[attribute.index] as Tensor;
        if (marks) t.storage.isRelied = true;
        buffers[attribute.slot] = deviceMemory(cuda, t, attribute, sizes, true);
        const { bufferNow } = t.storage;
        // What lies on the CPU is looked at in each call: it may have been written.
        if (marks && bufferNow instanceof CudaBuffer) bufferNow.rely();
        else marks = false;
      }
      cuda.run(buffers, sizes);
    } finally {
      this.clear(buffers);
    }
    if (marks) cuda.hold();
  }
}

/** Memory of the device that holds an input or attribute; a copy of what lies on the CPU. What is `kept` is copied again only after it was written. */
export function deviceMemory(
  cuda: CudaTier,
  t: Tensor,
  { slot, offset }: InputSlot,
  sizes: readonly number[],
  kept: boolean,
): CudaBuffer {
  const { buffer } = t.storage;
  if (!(buffer instanceof CudaBuffer)) return cuda.upload(t.storage, bufferAt(t, offset), slot, sizes, kept);
  if (t.storageOffset === offset) return buffer;
  const delta = Math.min((Number(t.storageOffset) - offset) * t.dtype.bytes, buffer.byteLength);
  return delta === 0 ? buffer : buffer.part(delta, buffer.byteLength - delta);
}

/** The memory of a tensor from the element that the plan calls number 0. */
export function bufferAt(t: Tensor, offset: number): CpuBuffer {
  const whole = cpuBuffer(t.storage.buffer ?? fail(t));
  // An empty tensor may start behind the end of its memory.
  const delta = Math.min((Number(t.storageOffset) - offset) * t.dtype.bytes, whole.byteLength);
  if (delta === 0) return whole;
  return CpuBuffer.wrap(new Uint8Array(whole.pin().storage, whole.byteOffset + delta, whole.byteLength - delta));
}

function fail(t: Tensor): never {
  throw new InternalError(`a ${t.dtype.name} tensor without memory reached a compiled graph`);
}
