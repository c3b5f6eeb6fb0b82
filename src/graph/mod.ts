/** The FX graph: nodes, schemas, printing, verification, interpretation, passes. */
export * from "./graph.ts";
export * from "./node.ts";
export * from "./schema.ts";
