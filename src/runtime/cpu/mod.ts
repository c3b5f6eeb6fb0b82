/**
 * The CPU runtime: memory, the C++ toolchain, compilation in the background, shared libraries and the thread pool.
 *
 * @module
 */
export * from "./memory.ts";
export * from "./toolchain.ts";
