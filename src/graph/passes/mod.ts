/** Passes that stay on the graph level; each rewrites its graph in place and returns how much it changed. */
export * from "./common_subexpressions.ts";
export * from "./dead_code.ts";
export * from "./effects.ts";
export * from "./fold_scalars.ts";
