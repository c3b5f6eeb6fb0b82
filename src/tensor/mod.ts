/**
 * Tensors: creation, operators as methods and functions, eager execution, modes.
 *
 * @module
 */
export * from "./arguments.ts";
export {
  autocast,
  type AutocastDevice,
  autocastDtype,
  autocastKey,
  type AutocastOptions,
  isAutocasting,
  withoutAutocast,
} from "./autocast.ts";
export { NO_HALVES } from "./autocast_lists.ts";
export * from "./backend.ts";
export * from "./create.ts";
export * from "./cuda.ts";
export * from "./dispatch.ts";
export {
  dtypeOfNumber,
  forEachTensor,
  inferMeta,
  inferSpecs,
  mapTensorArgs,
  ruleArguments,
  tensorArguments,
  tensorOf,
  wrapNumber,
} from "./operands.ts";
export * from "./engine.ts";
export * from "./fake.ts";
export * from "./graph_recording.ts";
export * from "./host.ts";
export * from "./indexing.ts";
export { blockMemory } from "./blocks.ts";
export * from "./memory.ts";
export * from "./methods.ts";
export * from "./mode.ts";
export * from "./print.ts";
export * from "./random.ts";
export * from "./read.ts";
export type { Shorthands } from "./shorthands.ts";
import "./shorthands.ts";
export { fillExpanded, restride, sameLayout } from "./restride.ts";
export * from "./reference.ts";
export * from "./tensor.ts";
export * from "./transfer.ts";
