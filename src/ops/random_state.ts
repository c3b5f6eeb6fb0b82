/**
 * Which generator's state operators draw from when ATen's schema names none.
 *
 * The table sits below tensors and cannot own a generator, so the tensor layer installs a function that gives the default generator's state, int64[2] =
 * [seed, offset]. An operator that draws reads the state as it is and then advances it: what it computes stays a pure function of a
 * tensor, so eager and compiled programs draw the same numbers.
 */
import { InternalError } from "../core/mod.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

let source: (() => TensorValue) | null = null;

/** Installs the default generator's state. */
export function setDefaultState(state: () => TensorValue): void {
  source = state;
}

/** Draws with the default generator's state, then advances it. */
export function drawing(F: Functional, draw: (state: TensorValue) => TensorValue): TensorValue {
  if (source === null) throw new InternalError("no default generator is installed: import src/tensor/mod.ts");
  const state = source();
  const out = draw(state);
  F.advanceRng_(state);
  return out;
}
