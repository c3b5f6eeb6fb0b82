/**
 * The JavaScript heap of a command: giving back what compiling left behind, before a model's memory is put beside it.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

let collect: (() => void) | null | undefined;

/** Collects garbage now; nothing happens where the engine does not let programs do that. */
export function collectGarbage(): void {
  if (collect === undefined) {
    try {
      setFlagsFromString("--expose-gc");
      const found: unknown = runInNewContext("gc");
      collect = typeof found === "function" ? () => void found() : null;
    } catch {
      collect = null;
    }
  }
  collect?.();
}
