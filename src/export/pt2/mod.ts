/** PyTorch's exported programs (`.pt2`): reading and calling. */
export { type AttributeInfo, Attributes } from "./attributes.ts";
export { Bindings, rangeText } from "./bindings.ts";
export { runGraph, type RunValue } from "./execute.ts";
export { type Problem, problemToText, UnsupportedError } from "./problems.ts";
export { ExportedProgram, type InputSpec, type OutputSpec } from "./program.ts";
export { readExportedProgram, type ReadOptions, readProgram } from "./reader.ts";
export type { ConstantData } from "./schema.ts";
export { type Constraint, ProgramShapes, type SymbolRange } from "./shape_env.ts";
export { parseSympy, parseSympyBool, type SymbolFacts, type SymbolLookup } from "./sympy_parser.ts";
export { type ControlKind, type ControlTarget, isControl, isItem, type ItemTarget } from "./targets.ts";
export type { UnsupportedTarget } from "./targets.ts";
export { flattenTree, leafCount, parseTreeSpec, type TreeSpec, unflattenTree } from "./tree_spec.ts";
