/**
 * What the driver keeps for objects that nobody reaches any more: recorded graphs, loaded code.
 *
 * Enters: an object and what gives its part of the driver back. Whoever disposes of the object says so, and nothing is done; else it happens at a turn of the event loop after V8 has
 * collected the object. The device is waited for first, because work that the object stood for may still be under way. Invariant: what gives back does not reach the object.
 */
import type { CudaContext } from "./context.ts";
import { CudaError } from "./errors.ts";

interface Remains {
  readonly context: CudaContext;
  /** What must be there until then. */
  readonly needs: unknown;
  readonly release: () => void;
}

const collected = new FinalizationRegistry<Remains>((remains) => {
  try {
    giveBack(remains);
  } catch (error) {
    // Nobody called, so that nobody could catch it: what is wrong with the device the next call will say.
    if (!(error instanceof CudaError)) throw error;
  }
});

/** Waits for the device and gives back; with a lost context everything in it is gone already. */
function giveBack({ context, release }: Remains): void {
  try {
    context.synchronize();
    release();
  } catch (error) {
    if (!(error instanceof CudaError && error.sticky)) throw error;
  }
}

/** Calls `release` when `object` is collected, or by the function that is returned, whichever comes first; once. `needs` is not collected before. */
export function releaseWith(object: object, context: CudaContext, release: () => void, needs?: unknown): () => void {
  const remains: Remains = { context, release, needs };
  let isOver = false;
  collected.register(object, remains, remains);
  return () => {
    if (isOver) return;
    isOver = true;
    collected.unregister(remains);
    giveBack(remains);
  };
}
