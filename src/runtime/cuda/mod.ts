/**
 * The CUDA runtime: libraries, driver, compiler, memory, launches, graphs. Nothing is opened before it is asked for.
 *
 * @module
 */
export * from "./binding.ts";
export * from "./compile_pool.ts";
export * from "./context.ts";
export * from "./cublaslt.ts";
export * from "./cublaslt_library.ts";
export * from "./cudnn.ts";
export * from "./cudnn_library.ts";
export * from "./device_memory.ts";
export * from "./diagnosis.ts";
export * from "./driver.ts";
export * from "./error_board.ts";
export * from "./errors.ts";
export * from "./executable.ts";
export * from "./file_upload.ts";
export * from "./garbage.ts";
export * from "./graphs.ts";
export * from "./launchable.ts";
export * from "./layout.ts";
export * from "./libraries.ts";
export * from "./library_call.ts";
export * from "./measure.ts";
export * from "./memory.ts";
export * from "./module.ts";
export * from "./nvrtc.ts";
export * from "./ordering.ts";
export * from "./paths.ts";
export * from "./plan.ts";
export * from "./staging.ts";
export * from "./start.ts";
export * from "./stream.ts";
export * from "./tensor_map.ts";
export * from "./workspace.ts";
export type { CudaAttributes } from "./driver.ts";
export { type DevicePeaks, peaksOf } from "./peaks.ts";
