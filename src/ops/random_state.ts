/**
 * Which generator's state operators draw from when ATen's schema names none.
 *
 * The table sits below tensors and cannot own a generator, so the tensor layer installs a function that gives the default generator's state, int64[2] =
 * [seed, offset]. An operator that draws reads the state as it is and then advances it: what it computes stays a pure function of a
 * tensor, so eager and compiled programs draw the same numbers.
 */
import { type Device, InternalError } from "../core/mod.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

let source: ((device: Device | null) => TensorValue) | null = null;

/** Installs the default generators' states, by device; null stands for the CPU. */
export function setDefaultState(state: (device: Device | null) => TensorValue): void {
  source = state;
}

/** Draws with the state of a device's default generator, then advances it. */
export function drawing(
  F: Functional,
  device: Device | null,
  draw: (state: TensorValue) => TensorValue,
): TensorValue {
  if (source === null) throw new InternalError("no default generator is installed: import src/tensor/mod.ts");
  const state = source(device);
  const out = draw(state);
  F.advanceRng_(state);
  return out;
}
