/**
 * The functions of libcuda and nvrtc that this runtime calls, with their types.
 *
 * The names are those that the libraries export (`cuMemAlloc` is a macro for `cuMemAlloc_v2`). Handles travel as pointer
 * objects and structures as buffers, which Deno turns into direct calls of about 15 ns; 64-bit numbers travel as bigint,
 * because a `number` takes a slow path of 200 ns. Functions that came after CUDA 11.4 are optional: old drivers lack them.
 */

const SEVEN_U32 = ["u32", "u32", "u32", "u32", "u32", "u32", "u32"] as const;

/** libcuda. Every function returns a `CUresult`. */
export const DRIVER_SYMBOLS = {
  cuInit: { parameters: ["u32"], result: "i32" },
  cuInitAsync: { name: "cuInit", parameters: ["u32"], result: "i32", nonblocking: true },
  cuDriverGetVersion: { parameters: ["buffer"], result: "i32" },
  cuGetErrorName: { parameters: ["i32", "buffer"], result: "i32" },
  cuGetErrorString: { parameters: ["i32", "buffer"], result: "i32" },

  cuDeviceGetCount: { parameters: ["buffer"], result: "i32" },
  cuDeviceGet: { parameters: ["buffer", "i32"], result: "i32" },
  cuDeviceGetName: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  cuDeviceTotalMem_v2: { parameters: ["buffer", "i32"], result: "i32" },
  cuDeviceGetAttribute: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  cuDeviceCanAccessPeer: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  cuDevicePrimaryCtxRetain: { parameters: ["buffer", "i32"], result: "i32" },
  cuDevicePrimaryCtxRetainAsync: {
    name: "cuDevicePrimaryCtxRetain",
    parameters: ["buffer", "i32"],
    result: "i32",
    nonblocking: true,
  },
  cuCtxSetCurrent: { parameters: ["pointer"], result: "i32" },
  cuCtxSynchronize: { parameters: [], result: "i32" },
  cuCtxEnablePeerAccess: { parameters: ["pointer", "u32"], result: "i32" },
  cuCtxGetStreamPriorityRange: { parameters: ["buffer", "buffer"], result: "i32" },

  cuStreamCreateWithPriority: { parameters: ["buffer", "u32", "i32"], result: "i32" },
  cuStreamDestroy_v2: { parameters: ["pointer"], result: "i32" },
  cuStreamSynchronize: { parameters: ["pointer"], result: "i32" },
  cuStreamQuery: { parameters: ["pointer"], result: "i32" },
  cuStreamWaitEvent: { parameters: ["pointer", "pointer", "u32"], result: "i32" },
  cuEventCreate: { parameters: ["buffer", "u32"], result: "i32" },
  cuEventDestroy_v2: { parameters: ["pointer"], result: "i32" },
  cuEventRecord: { parameters: ["pointer", "pointer"], result: "i32" },
  cuEventQuery: { parameters: ["pointer"], result: "i32" },
  cuEventSynchronize: { parameters: ["pointer"], result: "i32" },
  cuEventSynchronizeAsync: {
    name: "cuEventSynchronize",
    parameters: ["pointer"],
    result: "i32",
    nonblocking: true,
  },
  cuEventElapsedTime: { parameters: ["buffer", "pointer", "pointer"], result: "i32" },

  cuMemGetInfo_v2: { parameters: ["buffer", "buffer"], result: "i32" },
  cuMemAlloc_v2: { parameters: ["buffer", "u64"], result: "i32" },
  cuMemFree_v2: { parameters: ["u64"], result: "i32" },
  cuMemAllocFromPoolAsync: { parameters: ["buffer", "u64", "pointer", "pointer"], result: "i32" },
  cuMemFreeAsync: { parameters: ["u64", "pointer"], result: "i32" },
  cuMemPoolCreate: { parameters: ["buffer", "buffer"], result: "i32" },
  cuMemPoolSetAttribute: { parameters: ["pointer", "i32", "buffer"], result: "i32" },
  cuMemPoolTrimTo: { parameters: ["pointer", "u64"], result: "i32" },
  cuMemPoolSetAccess: { parameters: ["pointer", "buffer", "u64"], result: "i32" },
  cuMemHostAlloc: { parameters: ["buffer", "u64", "u32"], result: "i32" },
  cuMemFreeHost: { parameters: ["pointer"], result: "i32" },
  cuMemcpyHtoDAsync_v2: { parameters: ["u64", "pointer", "u64", "pointer"], result: "i32" },
  cuMemcpyDtoHAsync_v2: { parameters: ["pointer", "u64", "u64", "pointer"], result: "i32" },
  cuMemcpyDtoDAsync_v2: { parameters: ["u64", "u64", "u64", "pointer"], result: "i32" },
  cuMemcpyPeerAsync: { parameters: ["u64", "pointer", "u64", "pointer", "u64", "pointer"], result: "i32" },
  cuMemsetD8Async: { parameters: ["u64", "u8", "u64", "pointer"], result: "i32" },
  cuPointerGetAttribute: { parameters: ["buffer", "i32", "u64"], result: "i32" },

  cuModuleLoadDataEx: { parameters: ["buffer", "buffer", "u32", "buffer", "buffer"], result: "i32" },
  cuModuleGetFunction: { parameters: ["buffer", "pointer", "buffer"], result: "i32" },
  cuModuleUnload: { parameters: ["pointer"], result: "i32" },
  cuLibraryLoadData: {
    parameters: ["buffer", "buffer", "buffer", "buffer", "u32", "buffer", "buffer", "u32"],
    result: "i32",
    optional: true,
  },
  cuLibraryLoadDataAsync: {
    name: "cuLibraryLoadData",
    parameters: ["buffer", "buffer", "buffer", "buffer", "u32", "buffer", "buffer", "u32"],
    result: "i32",
    nonblocking: true,
    optional: true,
  },
  cuLibraryGetKernel: { parameters: ["buffer", "pointer", "buffer"], result: "i32", optional: true },
  cuLibraryUnload: { parameters: ["pointer"], result: "i32", optional: true },
  cuKernelGetFunction: { parameters: ["buffer", "pointer"], result: "i32", optional: true },
  cuFuncGetAttribute: { parameters: ["buffer", "i32", "pointer"], result: "i32" },
  cuFuncSetAttribute: { parameters: ["pointer", "i32", "i32"], result: "i32" },
  cuOccupancyMaxActiveBlocksPerMultiprocessor: { parameters: ["buffer", "pointer", "i32", "u64"], result: "i32" },
  cuOccupancyMaxActiveClusters: { parameters: ["buffer", "pointer", "buffer"], result: "i32", optional: true },
  cuLaunchKernel: { parameters: ["pointer", ...SEVEN_U32, "pointer", "buffer", "pointer"], result: "i32" },
  cuLaunchKernelEx: { parameters: ["buffer", "pointer", "buffer", "pointer"], result: "i32", optional: true },

  cuStreamBeginCapture_v2: { parameters: ["pointer", "i32"], result: "i32" },
  cuStreamEndCapture: { parameters: ["pointer", "buffer"], result: "i32" },
  cuStreamGetCaptureInfo_v2: {
    parameters: ["pointer", "buffer", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  cuGraphGetNodes: { parameters: ["pointer", "buffer", "buffer"], result: "i32" },
  cuGraphNodeGetType: { parameters: ["pointer", "buffer"], result: "i32" },
  cuGraphNodeGetDependencies: { parameters: ["pointer", "buffer", "buffer"], result: "i32" },
  cuGraphMemsetNodeGetParams: { parameters: ["pointer", "buffer"], result: "i32" },
  cuGraphExecMemsetNodeSetParams: { parameters: ["pointer", "pointer", "buffer", "pointer"], result: "i32" },
  cuGraphInstantiateWithFlags: { parameters: ["buffer", "pointer", "u64"], result: "i32" },
  cuGraphUpload: { parameters: ["pointer", "pointer"], result: "i32" },
  cuGraphLaunch: { parameters: ["pointer", "pointer"], result: "i32" },
  cuGraphExecDestroy: { parameters: ["pointer"], result: "i32" },
  cuGraphDestroy: { parameters: ["pointer"], result: "i32" },
  cuGraphKernelNodeGetParams_v2: { parameters: ["pointer", "buffer"], result: "i32", optional: true },
  cuGraphExecKernelNodeSetParams: { parameters: ["pointer", "pointer", "buffer"], result: "i32" },
  cuGraphExecKernelNodeSetParams_v2: { parameters: ["pointer", "pointer", "buffer"], result: "i32", optional: true },

  cuTensorMapEncodeTiled: {
    parameters: [
      "buffer",
      "i32",
      "u32",
      "u64",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
      "i32",
      "i32",
      "i32",
      "i32",
    ],
    result: "i32",
    optional: true,
  },
  cuTensorMapEncodeIm2col: {
    parameters: [
      "buffer",
      "i32",
      "u32",
      "u64",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
      "u32",
      "u32",
      "buffer",
      "i32",
      "i32",
      "i32",
      "i32",
    ],
    result: "i32",
    optional: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** nvrtc. Every function but the error texts returns an `nvrtcResult`. */
export const NVRTC_SYMBOLS = {
  nvrtcVersion: { parameters: ["buffer", "buffer"], result: "i32" },
  nvrtcGetNumSupportedArchs: { parameters: ["buffer"], result: "i32", optional: true },
  nvrtcGetSupportedArchs: { parameters: ["buffer"], result: "i32", optional: true },
  nvrtcGetErrorString: { parameters: ["i32"], result: "pointer" },
  nvrtcCreateProgram: { parameters: ["buffer", "buffer", "buffer", "i32", "buffer", "buffer"], result: "i32" },
  nvrtcDestroyProgram: { parameters: ["buffer"], result: "i32" },
  nvrtcCompileProgram: { parameters: ["pointer", "i32", "buffer"], result: "i32" },
  nvrtcCompileProgramAsync: {
    name: "nvrtcCompileProgram",
    parameters: ["pointer", "i32", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  nvrtcGetProgramLogSize: { parameters: ["pointer", "buffer"], result: "i32" },
  nvrtcGetProgramLog: { parameters: ["pointer", "buffer"], result: "i32" },
  nvrtcGetPTXSize: { parameters: ["pointer", "buffer"], result: "i32" },
  nvrtcGetPTX: { parameters: ["pointer", "buffer"], result: "i32" },
  nvrtcGetCUBINSize: { parameters: ["pointer", "buffer"], result: "i32", optional: true },
  nvrtcGetCUBIN: { parameters: ["pointer", "buffer"], result: "i32", optional: true },
} as const satisfies Deno.ForeignLibraryInterface;

/** libcuda, loaded. */
export type DriverApi = Deno.DynamicLibrary<typeof DRIVER_SYMBOLS>["symbols"];
/** nvrtc, loaded. */
export type NvrtcApi = Deno.DynamicLibrary<typeof NVRTC_SYMBOLS>["symbols"];

/** A handle of the driver: a context, stream, event, module, function, graph. */
export type Handle = Deno.PointerObject;
