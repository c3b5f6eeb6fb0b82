/** The FX graph: nodes, schemas, printing, verification, interpretation, passes. */
export * from "./control.ts";
export * from "./graph.ts";
export * from "./interpreter.ts";
export * from "./node.ts";
export * from "./passes/mod.ts";
export * from "./print.ts";
export * from "./schema.ts";
export * from "./verify.ts";
