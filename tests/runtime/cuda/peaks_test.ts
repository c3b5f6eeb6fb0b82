/** Limits of devices, from what their drivers say. */
import assert from "node:assert/strict";
import { floorShare, type LaunchTime } from "../../../src/inductor/mod.ts";
import { type CudaAttributes, peaksOf } from "../../../src/runtime/cuda/mod.ts";

Deno.test("peaksOf() gives an H100 3.35 TB/s and 1.07 PFLOP/s; floorShare() takes the longer floor", () => {
  const attributes = {
    memoryClockKilohertz: 2_619_000,
    memoryBusBits: 5120,
    clockKilohertz: 1_980_000,
    multiprocessors: 132,
  } as CudaAttributes;
  const peaks = peaksOf({ capability: 90, attributes });
  assert.equal(Math.round(peaks.bytesPerSecond / 1e9), 3352);
  assert.equal(Math.round(peaks.flopsPerSecond / 1e12), 1071);
  const row = { wallMs: 2, mebibytes: 3352e9 / 1000 / 2 ** 20, gflop: 0 } as LaunchTime;
  // 1 ms to move the bytes; two calls took 1 ms each.
  assert.ok(Math.abs(floorShare(row, 2, peaks) - 1) < 1e-3);
  assert.ok(Math.abs(floorShare({ ...row, gflop: 2 * 1071 }, 1, peaks) - 1) < 1e-3);
});
