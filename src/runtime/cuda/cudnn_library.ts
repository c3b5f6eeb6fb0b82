/**
 * cuDNN as a library: found where the CUDA toolkit, pip or torch put it, opened when it is first asked for, never required.
 *
 * Enters: candidates by name. Leaves: {@linkcode CudnnLibrary} or a {@linkcode CudaProblem}. Only version 9's backend interface is used: descriptors with attributes, whose
 * numbers are in `cudnn_descriptor.ts`. Statuses become errors that name the function. cuDNN ends the process where it looks for cuBLASLt in vain: without that it is not used.
 */
import { openLasting } from "../lasting_library.ts";
import { hasFfi } from "../cpu/memory.ts";
import { findCublasLt } from "./cublaslt_library.ts";
import { findDriver, type Found } from "./libraries.ts";
import { type LibraryCandidate, libraryCandidates, machine, type SearchWorld } from "./paths.ts";

/** The functions that are used. All return a `cudnnStatus_t` but those of versions and text. */
const CUDNN_SYMBOLS = {
  cudnnGetVersion: { parameters: [], result: "usize" },
  cudnnGetCudartVersion: { parameters: [], result: "usize" },
  cudnnGetErrorString: { parameters: ["i32"], result: "pointer" },
  cudnnGetLastErrorString: { parameters: ["buffer", "usize"], result: "void" },
  cudnnCreate: { parameters: ["buffer"], result: "i32" },
  cudnnSetStream: { parameters: ["pointer", "pointer"], result: "i32" },
  cudnnBackendCreateDescriptor: { parameters: ["i32", "buffer"], result: "i32" },
  cudnnBackendDestroyDescriptor: { parameters: ["pointer"], result: "i32" },
  cudnnBackendSetAttribute: { parameters: ["pointer", "i32", "i32", "i64", "buffer"], result: "i32" },
  cudnnBackendGetAttribute: { parameters: ["pointer", "i32", "i32", "i64", "buffer", "buffer"], result: "i32" },
  cudnnBackendFinalize: { parameters: ["pointer"], result: "i32" },
  cudnnBackendExecute: { parameters: ["pointer", "pointer", "pointer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** cuDNN, loaded. */
export type CudnnApi = Deno.DynamicLibrary<typeof CUDNN_SYMBOLS>["symbols"];

/** cuDNN, opened. */
export interface CudnnLibrary {
  readonly path: string;
  readonly api: CudnnApi;
  /** As 10000 × major + 100 × minor + patch. */
  readonly version: number;
}

/** Majors whose functions are those above. */
const MAJORS: readonly number[] = [9];

/** Opens the library that fits best among candidates. No device is touched. */
export function openCudnn(candidates: readonly LibraryCandidate[], driverVersion: number | null): Found<CudnnLibrary> {
  const tried: string[] = [];
  const most = driverVersion === null ? Infinity : Math.floor(driverVersion / 1000);
  for (const { path } of hasFfi() ? candidates : []) {
    try {
      const api = openLasting(path, CUDNN_SYMBOLS);
      const version = Number(api.cudnnGetVersion());
      const cuda = Number(api.cudnnGetCudartVersion());
      if (!MAJORS.includes(Math.floor(version / 10000))) {
        tried.push(`${path}: version ${version} is none of ${MAJORS.join(", ")}`);
      } else if (Math.floor(cuda / 1000) > most) tried.push(`${path}: for CUDA ${cuda}, newer than the driver`);
      else return { ok: true, value: { path, api, version } };
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      tried.push(`${path}: ${/No such file|cannot open shared object/.test(text) ? "not there" : text.split("\n")[0]}`);
    }
  }
  return absent(tried);
}

function absent(tried: readonly string[]): Found<CudnnLibrary> {
  return {
    ok: false,
    problem: {
      kind: "no-cudnn",
      problem: "cuDNN was not found: convolutions run on generated kernels alone.",
      remedy: "None is needed; to let max-autotune measure it too, `pip install nvidia-cudnn-cu13`.",
      tried,
    },
  };
}

let found: Found<CudnnLibrary> | undefined;

/** Takes this library as the machine's, or none of it. */
export function useCudnn(library: Found<CudnnLibrary>): void {
  found = library;
}

/** The cuDNN of this machine. Looked for once. */
export function findCudnn(world: SearchWorld = machine): Found<CudnnLibrary> {
  if (world !== machine) return search(world);
  return found ??= search(world);
}

function search(world: SearchWorld): Found<CudnnLibrary> {
  const driver = findDriver(world);
  const blas = findCublasLt(world);
  if (!blas.ok) return absent(["cuDNN needs cuBLASLt, which was not found", ...blas.problem.tried]);
  return openCudnn(libraryCandidates("cudnn", "cudnn", MAJORS, world), driver.ok ? driver.value.version : null);
}

/** Throws unless `status` is success. @throws {TypeError} naming the function, the status, and what the library says of it */
export function checkCudnn(api: CudnnApi, status: number, operation: string, what: string): void {
  if (status === 0) return;
  const name = api.cudnnGetErrorString(status);
  const text = name === null ? String(status) : Deno.UnsafePointerView.getCString(name);
  const message = new Uint8Array(new ArrayBuffer(1024));
  api.cudnnGetLastErrorString(message, 1023n);
  const said = new TextDecoder().decode(message.subarray(0, Math.max(0, message.indexOf(0)))).trim().split("\n")[0];
  throw new TypeError(`${operation} answers ${text} for ${what}${said === "" ? "" : ` (${said})`}`);
}
