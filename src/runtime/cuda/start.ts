/**
 * Starts the driver while the thread does something else.
 *
 * Initialising the driver and making a device's context take a few hundred milliseconds of one thread. Here another one spends them: when the promise resolves, the
 * context's first use finds both done. Failing calls are left to that first use, which says what is wrong. The extra hold on the primary context lasts as long as the process.
 */
import { findDriver } from "./libraries.ts";

const started = new Map<number, Promise<void>>();

/** Resolves when the driver is initialised and the device's context is made, or cannot be. Never rejects. */
export function startCuda(ordinal = 0): Promise<void> {
  let promise = started.get(ordinal);
  if (promise === undefined) started.set(ordinal, promise = start(ordinal));
  return promise;
}

async function start(ordinal: number): Promise<void> {
  const found = findDriver();
  if (!found.ok) return;
  const { api } = found.value;
  if (await api.cuInitAsync(0) !== 0) return;
  // The handle is asked for again by who uses the context.
  const slot = new BigUint64Array(new ArrayBuffer(8));
  await api.cuDevicePrimaryCtxRetainAsync(slot, ordinal);
}
