/** The flags `--mode` and `--device` of commands: which mode of `compile` and which device a word names. */
import type { CompileMode } from "../capture/backends.ts";
import { type Device, device } from "../core/mod.ts";
import { UsageError } from "./output.ts";

const MODES: readonly CompileMode[] = ["default", "reduce-overhead", "max-autotune", "aot"];

/** The mode. @throws {UsageError} listing the modes there are */
export function modeOf(command: string, text: string): CompileMode {
  const found = MODES.find((m) => m === text);
  if (found === undefined) throw new UsageError(`${command}: --mode ${text}: use one of ${MODES.join(", ")}`);
  return found;
}

/**
 * The device that a program can run on.
 *
 * @throws {UsageError} for words that name none, and for "meta", whose tensors have no elements; {Error} for WebGPU, which has no backend yet
 */
export function deviceOf(command: string, text: string): Device {
  let found: Device;
  try {
    found = device(text);
  } catch (error) {
    throw new UsageError(`${command}: --device: ${error instanceof Error ? error.message : error}`);
  }
  if (found.type === "meta") {
    throw new UsageError(`${command}: --device meta: nothing is computed there; use cpu or cuda`);
  }
  if (found.type === "webgpu") {
    throw new Error(`${command}: --device webgpu: there is no backend for it yet; use cpu or cuda`);
  }
  return found;
}
