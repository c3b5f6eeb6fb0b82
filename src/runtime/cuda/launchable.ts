/**
 * What a plan can send to a stream: a kernel of our own, or a call of a library that sends kernels of its own.
 *
 * A recorded graph changes the arguments of a launch by its one node; so what a library sends must be one kernel, or it is not recorded.
 */
import type { LaunchRecord } from "./errors.ts";
import type { CudaArguments, LaunchShape } from "./layout.ts";
import type { CudaStream } from "./stream.ts";

/** Something that is launched with arguments. */
export interface Launchable extends LaunchRecord {
  /** Whether a launch is one kernel node of a graph. */
  readonly recordable: boolean;
  /** Sends a launch to a stream; tells the stream's recorder, if there is one. */
  launch(shape: LaunchShape, args: CudaArguments, stream?: CudaStream): void;
  /** Calls `use` with a `CUDA_KERNEL_NODE_PARAMS` of what a launch would send; it is valid meanwhile only. */
  withNodeParams(shape: LaunchShape, args: CudaArguments, use: (params: Uint8Array<ArrayBuffer>) => void): void;
}
