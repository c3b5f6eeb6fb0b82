/**
 * Symbolic integers: hash-consed expressions over sizes and indices, their simplifier, bounds, printers and `SymInt`.
 */
export * from "./expr.ts";
export { ceilDiv, floorDiv, floorDivNumber, mod, modNumber } from "./divide.ts";
export * from "./relations.ts";
export { type Bounds, bounds, isNonNegative, isPositive, provablyLe, provablyLt } from "./bounds.ts";
export { coefficient, dependsOn, evaluate, evaluateBool, freeSymbols, isAffineIn } from "./traverse.ts";
export { sizeHint, substitute, substituteBool, Substitution, withoutSymbol } from "./traverse.ts";
export * from "./print.ts";
export { compareBool, compareExpr } from "./order.ts";
export { ageInternTable, internedCount, sweepInternTable } from "./nodes.ts";
export { parseBool, parseExpr, type SymbolTable, Tokens } from "./parse.ts";
export * from "./sym_int.ts";
export * from "./shapes.ts";
