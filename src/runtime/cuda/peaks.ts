/**
 * What a device can do at most, from what its driver says of it: profiles set times against it.
 */
import type { CudaAttributes } from "./driver.ts";

/** Limits of a device. */
export interface DevicePeaks {
  /** Bytes that its memory can move. */
  readonly bytesPerSecond: number;
  /** Additions and multiplications of halves that its tensor cores can do. */
  readonly flopsPerSecond: number;
}

/** Operations on halves a clock and multiprocessor, by compute capability (tables of the CUDA C++ Programming Guide: dense, summed in float32). */
const OPERATIONS: readonly (readonly [capability: number, operations: number])[] = [
  [100, 8192],
  [90, 4096],
  [86, 1024],
  [80, 2048],
  [75, 1024],
];

/** A device's limits. */
export function peaksOf(device: { readonly capability: number; readonly attributes: CudaAttributes }): DevicePeaks {
  const { memoryClockKilohertz, memoryBusBits, clockKilohertz, multiprocessors } = device.attributes;
  const [, operations] = OPERATIONS.find(([capability]) => device.capability >= capability) ?? [0, 512];
  return {
    // Two transfers a clock.
    bytesPerSecond: memoryClockKilohertz * 1000 * 2 * memoryBusBits / 8,
    flopsPerSecond: clockKilohertz * 1000 * multiprocessors * operations,
  };
}
