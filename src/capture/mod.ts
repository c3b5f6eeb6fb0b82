/**
 * Capture: `compile()`, its backends, dynamic sizes, and what explains them.
 *
 * @module
 */
export * from "./backends.ts";
export {
  captureStats,
  compile,
  type Compiled,
  type CompileOptions,
  entryCount,
  explain,
  type Explanation,
  reset,
} from "./compile.ts";
export { cond, scan, type ScanOptions, type Tree, whileLoop } from "./control_flow.ts";
export { markDynamic, markStatic } from "./dynamic.ts";
export { GraphBreak } from "./graph_break.ts";
export { registerLibrary } from "./library.ts";
export { canReadScopes } from "./scopes.ts";
export { type DimRange, ShapeEnv, type ShapeGuard } from "./shape_env.ts";
