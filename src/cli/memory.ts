/**
 * The memory of a command beside its model's: giving back what reading and compiling left behind, before the model's memory is put beside it.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { releaseSpareMemory } from "../runtime/cpu/mod.ts";

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

/** Gives back what the process does not need for calls of what it has compiled: garbage, free memory, machine code of the compiler. */
export function shrinkProcess(): void {
  collectGarbage();
  releaseSpareMemory();
}
