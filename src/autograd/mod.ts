/**
 * Automatic differentiation: the tape, functional transforms, custom functions, gradient checking. Importing it installs the tape.
 *
 * @module
 */
import "./backward_operators.ts";

export { enableGrad, isGradEnabled, noGrad } from "../tensor/mod.ts";
export * from "./custom.ts";
export { currentStep, gradOf, type GradOptions, recordFunction } from "./engine.ts";
export * from "./gradcheck.ts";
export {
  type Edge,
  edgeOf,
  FunctionNode,
  hasGradHooks,
  MissingRuleError,
  setSpentHistory,
  type TapeNode,
  versionOf,
  type WrittenNeed,
  writtenSince,
} from "./node.ts";
export * from "./transform.ts";
