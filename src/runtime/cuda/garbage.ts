/**
 * Asks V8 to collect, for device memory whose owners are small JavaScript objects.
 *
 * V8 sees a few hundred bytes where a gigabyte of device memory hangs, so it has no reason to collect. Nor may it tell
 * at once: callbacks of a FinalizationRegistry run only when the event loop turns. So this is half of the way;
 * the other half is a turn of the loop, which `await` gives.
 */

import v8 from "node:v8";
import vm from "node:vm";

let collector: (() => void) | null | undefined;

/** Collects garbage now. Returns false if this V8 does not let itself be asked. */
export function collectGarbage(): boolean {
  if (collector === undefined) {
    try {
      // The flag adds the function to contexts made after it.
      v8.setFlagsFromString("--expose-gc");
      const found: unknown = vm.runInNewContext("gc");
      collector = typeof found === "function" ? () => void found() : null;
    } catch {
      collector = null;
    }
  }
  if (collector === null) return false;
  collector();
  return true;
}
