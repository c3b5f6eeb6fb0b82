/**
 * What of the tensor layer belongs to the public surface.
 *
 * @module
 */
export { autocast, type AutocastDevice, autocastDtype, type AutocastOptions } from "./autocast.ts";
export * from "./create.ts";
export { enableGrad, isGradEnabled, noGrad } from "./engine.ts";
export type { BackwardOptions, GradFn, GradHook } from "./engine.ts";
export { fakeLike, FakeTensorMode } from "./fake.ts";
export { type Ellipsis, ellipsis, type Index, type Slice, slice } from "./indexing.ts";
export { F, installOperators } from "./methods.ts";
export { type DispatchMode, type OpResult, withMode } from "./mode.ts";
export {
  defaultGenerator,
  Generator,
  manualSeed,
  rand,
  randint,
  randn,
  type RandomOptions,
  randperm,
} from "./random.ts";
export { isTensor, type NestedArray, type Payload, Storage, Tensor } from "./tensor.ts";
export { setEagerBackend, withEagerBackend } from "./backend.ts";
export type { EagerBackend } from "./backend.ts";
export { referenceBackend } from "./reference.ts";
