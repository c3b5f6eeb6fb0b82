/**
 * TorchInductor: functional graphs to fused kernels, host plans and running code.
 *
 * @module
 */
export { compileProgram, installInductor } from "./backend.ts";
export { CompiledGraph, type CompiledGraphOptions, type GraphValue, type TierPolicy } from "./compiled_graph.ts";
export { type CompiledPlan, compileGraphToPlan } from "./compile_plan.ts";
export { eagerReady, InductorEagerBackend } from "./eager_backend.ts";
export { computeStored, freezeProgram, type FrozenConstants, sourcesOf, type StoredConstant } from "./passes/mod.ts";
export { floorShare, type LaunchTime, profileToText } from "./profile.ts";
export { type TracedGraph, traceToJson } from "./trace_events.ts";
export { type NativeParts, nativeParts } from "./native_parts.ts";
export { type CompileRecord, onCompile } from "./observe.ts";
