/** Kernels of the program's own: operators written over blocks. */
export { kernel, type KernelConfig, type KernelDefinition, type KernelFunction, type KernelResults } from "./kernel.ts";
export type { Measurement } from "./tune.ts";
