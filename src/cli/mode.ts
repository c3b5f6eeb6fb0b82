/** The flag `--mode` of commands: which mode of `compile` a word names. */
import type { CompileMode } from "../capture/backends.ts";
import { UsageError } from "./output.ts";

const MODES: readonly CompileMode[] = ["default", "reduce-overhead", "max-autotune", "aot"];

/** The mode. @throws {UsageError} listing the modes there are */
export function modeOf(command: string, text: string): CompileMode {
  const found = MODES.find((m) => m === text);
  if (found === undefined) throw new UsageError(`${command}: --mode ${text}: use one of ${MODES.join(", ")}`);
  return found;
}
