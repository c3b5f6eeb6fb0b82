/**
 * AOTAutograd: functionalisation, decomposition, joint graphs, the cut into forward and backward, and what makes compiled calls behave like eager ones.
 *
 * @module
 */
export * from "./compile_aot.ts";
export { type Origin, type ViewStep } from "./functionalize.ts";
export * from "./interpret.ts";
export {
  type FunctionalProgram,
  functionalProgram,
  type JointProgram,
  jointProgram,
  type ResultRecipe,
  type WriteBack,
} from "./joint_graph.ts";
export { type JointGraph, type Partition, partitionJoint } from "./partition.ts";
export { GraphRecorder, type KeepWhole } from "./recorder.ts";
export { type CompiledProgram } from "./runtime.ts";
export { type CallSizes, restoreRecipes, type StoredRecipes, storeRecipes } from "./stored_recipes.ts";
