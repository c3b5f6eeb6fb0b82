/**
 * Capture: `compile()`, its backends, dynamic sizes, and what explains them.
 *
 * @module
 */
export * from "./backends.ts";
export { type CaptureStats, captureStats, entryCount } from "./capture_stats.ts";
export { compile, type Compiled, type CompileOptions, reset } from "./compile.ts";
export * from "./control_flow.ts";
export { sizeFacts } from "./shape_env.ts";
export { SizeReader, SizeWriter, type StoredExpr, type StoredSymbol } from "./stored_sizes.ts";
export { functionOf, opcheck, type OpcheckOptions, type OperatorFunction } from "./custom_operators.ts";
export { defineOp, type Definition, type Operator } from "./custom_operators.ts";
export { allowInGraph, assumeConstant, disable, graphBreak, isCompiling } from "./directives.ts";
export { markDynamic, markStatic } from "./dynamic.ts";
export { type BreakReport, explain, type Explanation } from "./explain.ts";
export { GraphBreak } from "./graph_break.ts";
export { type CompiledRegions, compileRepeated } from "./regional.ts";
export { registerLibrary } from "./library.ts";
export { canReadScopes } from "./scopes.ts";
export { snapshotOf } from "./segment_snapshots.ts";
export type { SegmentReport } from "./segments.ts";
export { type CachePolicy, setStance, type Stance } from "./stance.ts";
export { type DimRange, ShapeEnv, type ShapeGuard } from "./shape_env.ts";
