/**
 * cuBLASLt as a library: found where the CUDA toolkit, pip or torch put it, opened when it is first asked for, never required.
 *
 * Enters: candidates by name. Leaves: {@linkcode CublasLtLibrary} or a {@linkcode CudaProblem}. The library must be of a major version that the driver serves,
 * and one whose functions are declared below: 12 or 13. Statuses become errors that name the function.
 */
import { openLasting } from "../lasting_library.ts";
import { hasFfi } from "../cpu/memory.ts";
import { findDriver, type Found } from "./libraries.ts";
import { type LibraryCandidate, libraryCandidates, machine, type SearchWorld } from "./paths.ts";

/** The functions that are used. All return a `cublasStatus_t` but those of version and text. */
const CUBLASLT_SYMBOLS = {
  cublasLtGetVersion: { parameters: [], result: "usize" },
  cublasLtGetStatusName: { parameters: ["i32"], result: "pointer" },
  cublasLtCreate: { parameters: ["buffer"], result: "i32" },
  cublasLtMatmulDescCreate: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  cublasLtMatmulDescDestroy: { parameters: ["pointer"], result: "i32" },
  cublasLtMatmulDescSetAttribute: { parameters: ["pointer", "i32", "buffer", "usize"], result: "i32" },
  cublasLtMatrixLayoutCreate: { parameters: ["buffer", "i32", "u64", "u64", "i64"], result: "i32" },
  cublasLtMatrixLayoutDestroy: { parameters: ["pointer"], result: "i32" },
  cublasLtMatrixLayoutSetAttribute: { parameters: ["pointer", "i32", "buffer", "usize"], result: "i32" },
  cublasLtMatmulPreferenceCreate: { parameters: ["buffer"], result: "i32" },
  cublasLtMatmulPreferenceDestroy: { parameters: ["pointer"], result: "i32" },
  cublasLtMatmulPreferenceSetAttribute: { parameters: ["pointer", "i32", "buffer", "usize"], result: "i32" },
  cublasLtMatmulAlgoGetHeuristic: {
    parameters: [
      "pointer",
      "pointer",
      "pointer",
      "pointer",
      "pointer",
      "pointer",
      "pointer",
      "i32",
      "buffer",
      "buffer",
    ],
    result: "i32",
  },
  cublasLtMatmul: {
    parameters: [
      "pointer",
      "pointer",
      "buffer",
      "u64",
      "pointer",
      "u64",
      "pointer",
      "buffer",
      "u64",
      "pointer",
      "u64",
      "pointer",
      "buffer",
      "u64",
      "usize",
      "pointer",
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** cuBLASLt, loaded. */
export type CublasLtApi = Deno.DynamicLibrary<typeof CUBLASLT_SYMBOLS>["symbols"];

/** cuBLASLt, opened. */
export interface CublasLtLibrary {
  readonly path: string;
  readonly api: CublasLtApi;
  /** As 10000 × major + 100 × minor + patch. */
  readonly version: number;
}

/** Majors whose functions are those above, newest first. */
const MAJORS: readonly number[] = [13, 12];

/** Opens the library that fits best among candidates. No device is touched. */
export function openCublasLt(
  candidates: readonly LibraryCandidate[],
  driverVersion: number | null,
): Found<CublasLtLibrary> {
  const tried: string[] = [];
  const most = driverVersion === null ? Infinity : Math.floor(driverVersion / 1000);
  for (const { path, major } of hasFfi() ? candidates : []) {
    if (major > most) {
      tried.push(`${path}: newer than the driver`);
      continue;
    }
    try {
      const api = openLasting(path, CUBLASLT_SYMBOLS);
      const version = Number(api.cublasLtGetVersion());
      if (MAJORS.includes(Math.floor(version / 10000))) return { ok: true, value: { path, api, version } };
      tried.push(`${path}: version ${version} is none of ${MAJORS.join(", ")}`);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      tried.push(`${path}: ${/No such file|cannot open shared object/.test(text) ? "not there" : text.split("\n")[0]}`);
    }
  }
  return {
    ok: false,
    problem: {
      kind: "no-cublaslt",
      problem: "cuBLASLt was not found: matrix products run on generated kernels alone.",
      remedy: "None is needed; to let max-autotune measure it too, `pip install nvidia-cublas`.",
      tried,
    },
  };
}

let found: Found<CublasLtLibrary> | undefined;

/** Takes this library as the machine's, or none of it. */
export function useCublasLt(library: Found<CublasLtLibrary>): void {
  found = library;
}

/** The cuBLASLt of this machine. Looked for once. */
export function findCublasLt(world: SearchWorld = machine): Found<CublasLtLibrary> {
  const driver = findDriver(world);
  const version = driver.ok ? driver.value.version : null;
  const candidates = (): LibraryCandidate[] => libraryCandidates("cublasLt", "cublas", MAJORS, world);
  if (world !== machine) return openCublasLt(candidates(), version);
  return found ??= openCublasLt(candidates(), version);
}

/** Throws unless `status` is success. @throws {TypeError} naming the function and the status */
export function checkCublas(api: CublasLtApi, status: number, operation: string, what: string): void {
  if (status === 0) return;
  const name = api.cublasLtGetStatusName(status);
  const text = name === null ? String(status) : Deno.UnsafePointerView.getCString(name);
  throw new TypeError(`${operation} answers ${text} for ${what}`);
}
