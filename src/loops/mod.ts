/** The loop IR: values, loops, and walks over them. */
export * from "./loop_node.ts";
export * from "./numbers.ts";
export * from "./ops.ts";
export * from "./primitives.ts";
export * from "./print.ts";
export * from "./value.ts";
export * from "./verify.ts";
export * from "./walk.ts";
