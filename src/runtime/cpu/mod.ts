/**
 * The CPU runtime: memory, the C++ toolchain, compilation in the background, shared libraries and the thread pool.
 *
 * @module
 */
export * from "./memory.ts";
export * from "./toolchain.ts";
export * from "./compile_service.ts";
export * from "./library.ts";
export * from "./native_sources.ts";
export * from "./thread_pool.ts";
export * from "./file_reader.ts";
export * from "./mapped_file.ts";
export * from "./packed_weights.ts";
export * from "./native_plan.ts";
export * from "./native_program.ts";
export * from "./spare_memory.ts";
export { prepareRunner } from "./prepare_runner.ts";
