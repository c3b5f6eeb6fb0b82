/**
 * What the CUDA driver's status codes mean, and the errors they become.
 *
 * Enters: a status, the operation that returned it. Leaves: a {@linkcode CudaError} whose message names the operation, the
 * status and what to do. A status is *sticky* when the context is lost with it: every later call returns it too, and only
 * a new process gets the device back. Such faults come from kernels that were launched earlier, so the error lists the
 * last launches with their origins. Statuses as in `cuda.h` of CUDA 13.
 */

import { formatBytes, OutOfMemoryError } from "../buffer.ts";

/** A status that gets advice of its own. */
interface Status {
  readonly name: string;
  readonly advice: string;
  readonly sticky?: true;
}

const FAULT =
  "an earlier kernel faulted: run under compute-sanitizer, or with TESSERA_DISABLE=cuda_async, which waits after each " +
  "launch, to find the kernel; this process cannot use the device any more";
const HARDWARE = "the device has a hardware fault: look at `nvidia-smi -q` and the kernel log, and reset the device";
const CAPTURE = "the operation may not run while a stream is captured into a graph: do it before the capture";

/** Statuses that people meet, by code. */
const STATUSES: ReadonlyMap<number, Status> = new Map<number, Status>([
  [1, { name: "CUDA_ERROR_INVALID_VALUE", advice: "an argument is out of range for this device or driver" }],
  [2, {
    name: "CUDA_ERROR_OUT_OF_MEMORY",
    advice: "free memory: use smaller batches, or end other processes that use the device; where nothing was " +
      "allocated yet, the address space may be limited (`ulimit -v`)",
  }],
  [3, { name: "CUDA_ERROR_NOT_INITIALIZED", advice: "cuInit was not called or failed" }],
  [4, {
    name: "CUDA_ERROR_DEINITIALIZED",
    advice: "the driver is shutting down: make no calls while the process ends",
  }],
  [34, {
    name: "CUDA_ERROR_STUB_LIBRARY",
    advice: "the libcuda that was loaded is a stub for linking: remove its folder from LD_LIBRARY_PATH",
  }],
  [36, { name: "CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER", advice: "install a newer NVIDIA driver" }],
  [46, {
    name: "CUDA_ERROR_DEVICE_UNAVAILABLE",
    advice: "another process holds the device exclusively, or it has vanished: look at `nvidia-smi`",
  }],
  [100, {
    name: "CUDA_ERROR_NO_DEVICE",
    advice: "no NVIDIA GPU is visible: look at `nvidia-smi` and CUDA_VISIBLE_DEVICES; in a container pass the GPUs in",
  }],
  [101, {
    name: "CUDA_ERROR_INVALID_DEVICE",
    advice: "there is no device of that number: look at `nvidia-smi` and CUDA_VISIBLE_DEVICES",
  }],
  [200, {
    name: "CUDA_ERROR_INVALID_IMAGE",
    advice: "the compiled kernel is damaged, or was made for another architecture: clear the cache",
  }],
  [201, { name: "CUDA_ERROR_INVALID_CONTEXT", advice: "no CUDA context is current on this thread" }],
  [209, {
    name: "CUDA_ERROR_NO_BINARY_FOR_GPU",
    advice: "the kernel was compiled for another architecture: compile it for this device's",
  }],
  [214, { name: "CUDA_ERROR_ECC_UNCORRECTABLE", advice: HARDWARE, sticky: true }],
  [218, { name: "CUDA_ERROR_INVALID_PTX", advice: "the driver rejected the PTX: its log names the line" }],
  [220, { name: "CUDA_ERROR_NVLINK_UNCORRECTABLE", advice: HARDWARE, sticky: true }],
  [222, {
    name: "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
    advice: "nvrtc is newer than the driver: install a newer driver, or an older nvrtc",
  }],
  [226, { name: "CUDA_ERROR_CONTAINED", advice: HARDWARE, sticky: true }],
  [400, {
    name: "CUDA_ERROR_INVALID_HANDLE",
    advice: "the object was destroyed already, or belongs to another context",
  }],
  [500, {
    name: "CUDA_ERROR_NOT_FOUND",
    advice: 'the module has no function of that name: declare it `extern "C" __global__`',
  }],
  [700, { name: "CUDA_ERROR_ILLEGAL_ADDRESS", advice: FAULT, sticky: true }],
  [701, {
    name: "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
    advice: "the block needs more registers or shared memory than the device has: use fewer threads or a smaller tile",
  }],
  [702, {
    name: "CUDA_ERROR_LAUNCH_TIMEOUT",
    advice: "the kernel ran longer than the display's time limit allows",
    sticky: true,
  }],
  [709, { name: "CUDA_ERROR_CONTEXT_IS_DESTROYED", advice: "the context was destroyed", sticky: true }],
  [710, {
    name: "CUDA_ERROR_ASSERT",
    advice: "an assertion in a kernel failed; this process cannot use the device any more",
    sticky: true,
  }],
  [714, { name: "CUDA_ERROR_HARDWARE_STACK_ERROR", advice: FAULT, sticky: true }],
  [715, { name: "CUDA_ERROR_ILLEGAL_INSTRUCTION", advice: FAULT, sticky: true }],
  [716, { name: "CUDA_ERROR_MISALIGNED_ADDRESS", advice: FAULT, sticky: true }],
  [717, { name: "CUDA_ERROR_INVALID_ADDRESS_SPACE", advice: FAULT, sticky: true }],
  [718, { name: "CUDA_ERROR_INVALID_PC", advice: FAULT, sticky: true }],
  [719, { name: "CUDA_ERROR_LAUNCH_FAILED", advice: FAULT, sticky: true }],
  [720, {
    name: "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE",
    advice: "a cooperative grid must fit on the device at once: launch fewer blocks",
  }],
  [800, { name: "CUDA_ERROR_NOT_PERMITTED", advice: "the operation is not permitted here" }],
  [801, { name: "CUDA_ERROR_NOT_SUPPORTED", advice: "this device or driver does not support the operation" }],
  [802, {
    name: "CUDA_ERROR_SYSTEM_NOT_READY",
    advice: "start the NVIDIA fabric manager or persistence daemon, then try again",
  }],
  [803, {
    name: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    advice:
      "libcuda and the kernel module have different versions: reboot after a driver update, or mount the host's libcuda",
  }],
  [804, {
    name: "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
    advice: "remove the forward-compatibility libcuda from LD_LIBRARY_PATH, or install a newer driver",
  }],
  [900, { name: "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", advice: CAPTURE }],
  [901, {
    name: "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
    advice: "an earlier operation broke the capture: capture again without it",
  }],
  [906, { name: "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", advice: CAPTURE }],
  [910, { name: "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE", advice: "the graph's structure changed: instantiate it anew" }],
  [912, {
    name: "CUDA_ERROR_INVALID_CLUSTER_SIZE",
    advice: "the cluster does not divide the grid, or is larger than the device allows (8 blocks, 16 if non-portable)",
  }],
  [999, {
    name: "CUDA_ERROR_UNKNOWN",
    advice: "look at the kernel log (`dmesg`); the device may have fallen off the bus",
  }],
]);

/** No room on the device. */
export const CUDA_ERROR_OUT_OF_MEMORY = 2;
/** No context is current on the calling thread. */
export const CUDA_ERROR_INVALID_CONTEXT = 201;
/** The work is not done yet. */
export const CUDA_ERROR_NOT_READY = 600;
/** Access between two devices is on already. */
export const CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED = 704;

/** Whether a status means that the process has lost its context. */
export function isSticky(code: number): boolean {
  return STATUSES.get(code)?.sticky === true;
}

/** What was launched, for the errors of later calls. */
export interface LaunchRecord {
  /** The kernel's name. */
  readonly name: string;
  /** Where it comes from: operators, lines. Empty if unknown. */
  readonly origin: string;
}

/** More about a failure. */
export interface CudaErrorDetails {
  /** The driver's own name and sentence, where it gave them. */
  readonly name?: string | undefined;
  readonly text?: string | undefined;
  /** What exactly was asked for, as in `"grid 70000x1x1"`. */
  readonly what?: string | undefined;
  /** The latest launches, newest first. Told only for sticky statuses. */
  readonly launches?: readonly LaunchRecord[] | undefined;
}

/** A driver call failed. */
export class CudaError extends Error {
  override readonly name = "CudaError";
  /** The driver's status, as in `cuda.h`. */
  readonly code: number;
  /** Its name, as in `CUDA_ERROR_ILLEGAL_ADDRESS`. */
  readonly status: string;
  /** The driver function that returned it. */
  readonly operation: string;
  /** Whether this process can no longer use the device. */
  readonly sticky: boolean;

  constructor(operation: string, code: number, details: CudaErrorDetails = {}) {
    const known = STATUSES.get(code);
    const status = details.name ?? known?.name ?? `status ${code}`;
    const what = details.what === undefined ? "" : ` (${details.what})`;
    const text = details.text === undefined ? "" : `, ${details.text}`;
    const advice = known === undefined ? "" : `; ${known.advice}`;
    super(`${operation}${what}: ${status} (${code})${text}${advice}${launchText(known, details.launches)}`);
    this.code = code;
    this.status = status;
    this.operation = operation;
    this.sticky = known?.sticky === true;
  }
}

function launchText(status: Status | undefined, launches: readonly LaunchRecord[] | undefined): string {
  if (status?.sticky !== true || launches === undefined || launches.length === 0) return "";
  const lines = launches.map((l) => `\n  ${l.name}${l.origin === "" ? "" : ` from ${l.origin}`}`);
  return `\nLaunched last, newest first; the fault is in one of these or before them:${lines.join("")}`;
}

/** Live allocations of one size for one purpose, for the message of {@linkcode CudaOutOfMemoryError}. */
export interface LiveAllocation {
  /** Of each. */
  readonly bytes: number;
  readonly count: number;
  /** What it is for; empty if nobody said. */
  readonly label: string;
}

/** What memory looked like when it ran out, in bytes. */
export interface MemoryPicture {
  readonly requestedBytes: number;
  readonly liveBytes: number;
  /** Free on the device after the caches were emptied; null if the driver did not say. */
  readonly freeBytes: number | null;
  readonly totalBytes: number | null;
  /** The largest live allocations, those that take most first. */
  readonly largest: readonly LiveAllocation[];
}

/** A device's memory ran out, with caches emptied. */
export class CudaOutOfMemoryError extends OutOfMemoryError {
  readonly largest: readonly LiveAllocation[];

  constructor(device: string, picture: MemoryPicture) {
    super(device, picture.requestedBytes, picture.liveBytes);
    this.largest = picture.largest;
    if (picture.totalBytes !== null && picture.freeBytes !== null) {
      const others = picture.totalBytes - picture.freeBytes - picture.liveBytes;
      this.message +=
        ` The device has ${formatBytes(picture.totalBytes)}, ${formatBytes(picture.freeBytes)} of it free` +
        `${others > 2 ** 30 ? ` (${formatBytes(others)} belong to contexts, graphs and other processes)` : ""}.`;
    }
    if (picture.largest.length > 0) {
      const lines = picture.largest.map(({ bytes, count, label }) =>
        `\n  ${formatBytes(bytes)}${count === 1 ? "" : ` × ${count}`}${label === "" ? "" : `  ${label}`}`
      );
      this.message += `\nLargest live allocations:${lines.join("")}`;
    }
  }
}
