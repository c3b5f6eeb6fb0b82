/**
 * Calls of NVIDIA's libraries, whichever it is: what stands in a plan as data becomes something that is launched.
 */
import type { ConvolutionSpec, LibraryCall } from "../../core/convolution_spec.ts";
import type { MatmulSpec } from "../../core/matmul_spec.ts";
import { config } from "../../core/mod.ts";
import type { CudaContext } from "./context.ts";
import { checkMatmulSpec, CUBLASLT_ALGORITHMS, CublasLtMatmul } from "./cublaslt.ts";
import { findCublasLt } from "./cublaslt_library.ts";
import { checkConvolutionSpec, CUDNN_ALGORITHMS, CudnnConvolution } from "./cudnn.ts";
import { findCudnn } from "./cudnn_library.ts";
import type { Launchable } from "./launchable.ts";

export type { LibraryCall };

function isConvolution(call: LibraryCall): call is ConvolutionSpec {
  return "kind" in call;
}

/** What a plan launches for a call. @throws {TypeError} if the library is not there, or has no such algorithm */
export function libraryCall(context: CudaContext, call: LibraryCall, origin = ""): Launchable & Disposable {
  return isConvolution(call)
    ? new CudnnConvolution(context, call, origin)
    : new CublasLtMatmul(context, call as MatmulSpec, origin);
}

/** Checks what was read from a file. @throws {TypeError} if it is no call */
export function checkLibraryCall(call: LibraryCall): LibraryCall {
  return isConvolution(call) ? checkConvolutionSpec(call) : checkMatmulSpec(call);
}

/** How many algorithms of each library are worth measuring. */
export interface LibraryAlgorithms {
  readonly cublaslt: number;
  readonly cudnn: number;
}

/** As the settings and the machine allow. */
export function libraryAlgorithms(): LibraryAlgorithms {
  const { autotuneBackends: wanted } = config();
  return {
    cublaslt: wanted.has("cublaslt") && findCublasLt().ok ? CUBLASLT_ALGORITHMS / 2 : 0,
    cudnn: wanted.has("cudnn") && findCudnn().ok ? CUDNN_ALGORITHMS / 2 : 0,
  };
}

/** The libraries' versions, for keys of what was chosen among them. */
export function librariesKey(): string {
  const [blas, dnn] = [findCublasLt(), findCudnn()];
  return `${blas.ok ? blas.value.version : ""}/${dnn.ok ? dnn.value.version : ""}`;
}
