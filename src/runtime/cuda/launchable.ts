/**
 * What a plan can send to a stream: a kernel of our own, or a call of a library that sends kernels of its own.
 *
 * A recorded graph changes the arguments of a launch by its node; so what a library sends must be one kernel, perhaps behind one clearing of memory, or it is not recorded.
 */
import type { LaunchRecord } from "./errors.ts";
import type { CudaArguments, LaunchShape } from "./layout.ts";
import type { CudaStream } from "./stream.ts";

/** What a launch would send, as the driver's structures for nodes. */
export interface NodeParams {
  /** A `CUDA_KERNEL_NODE_PARAMS`. */
  readonly kernel: Uint8Array<ArrayBuffer>;
  /** A `CUDA_MEMSET_NODE_PARAMS`: what is cleared before the kernel. */
  readonly clear: Uint8Array<ArrayBuffer> | null;
}

/** Something that is launched with arguments. */
export interface Launchable extends LaunchRecord {
  /** Whether a launch is one kernel node of a graph, perhaps behind one that clears memory for it. */
  readonly recordable: boolean;
  /** Sends a launch to a stream; tells the stream's recorder, if there is one. */
  launch(shape: LaunchShape, args: CudaArguments, stream?: CudaStream): void;
  /** Calls `use` with parameters of the nodes that a launch would send; they are valid meanwhile only. */
  withNodeParams(shape: LaunchShape, args: CudaArguments, use: (params: NodeParams) => void): void;
}
