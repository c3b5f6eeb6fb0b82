/**
 * Finds and opens libcuda and nvrtc, and says what is wrong where that fails.
 *
 * Nothing here throws for what is missing on a machine: an answer is either a library or a {@linkcode CudaProblem}, a
 * sentence and a remedy that `doctor` prints and that an attempt to use "cuda" shows. Nothing is opened at import.
 * The pair must fit: code from nvrtc of one major version runs on drivers of that major version and later ones.
 */

import { hasFfi } from "../cpu/memory.ts";
import { openLasting } from "../lasting_library.ts";
import { CudaError } from "./errors.ts";
import { driverCandidates, machine, type NvrtcCandidate, nvrtcCandidates, type SearchWorld } from "./paths.ts";
import { DRIVER_SYMBOLS, type DriverApi, NVRTC_SYMBOLS, type NvrtcApi } from "./symbols.ts";

/** Kinds of trouble, for programs; the sentences are for people. */
export type CudaProblemKind =
  | "no-ffi"
  | "no-driver"
  | "driver-too-old"
  | "driver-fails"
  | "no-device"
  | "no-nvrtc"
  | "driver-older-than-nvrtc"
  | "unsupported-architecture"
  | "no-cublaslt"
  | "no-cudnn";

/** Why CUDA cannot be used, and what mends it. */
export interface CudaProblem {
  readonly kind: CudaProblemKind;
  /** One sentence. */
  readonly problem: string;
  /** What to do, a command where there is one. */
  readonly remedy: string;
  /** What was tried, each with its outcome. */
  readonly tried: readonly string[];
}

/** Something, or the reason why it is not there. */
export type Found<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: CudaProblem };

/** libcuda, opened but not initialised. */
export interface DriverLibrary {
  readonly path: string;
  readonly api: DriverApi;
  /** The newest CUDA it serves, as 1000 × major + 10 × minor. */
  readonly version: number;
}

/** nvrtc, opened. */
export interface NvrtcLibrary {
  readonly path: string;
  readonly api: NvrtcApi;
  /** As 1000 × major + 10 × minor. */
  readonly version: number;
  /** Architectures that it makes machine code for, as 10 × major + minor, ascending. */
  readonly architectures: readonly number[];
}

/** The oldest driver that has stream-ordered memory, graphs and capture information: CUDA 11.4. */
const OLDEST_DRIVER = 11_040;

/** `12040` as `"12.4"`. */
export function versionText(version: number): string {
  return `${Math.floor(version / 1000)}.${Math.floor(version % 1000 / 10)}`;
}

/** `90` as `"9.0"`. */
export function capabilityText(capability: number): string {
  return `${Math.floor(capability / 10)}.${capability % 10}`;
}

function problem<T>(kind: CudaProblemKind, text: string, remedy: string, tried: readonly string[] = []): Found<T> {
  return { ok: false, problem: { kind, problem: text, remedy, tried } };
}

const NO_FFI: readonly [CudaProblemKind, string, string] = [
  "no-ffi",
  "Deno may not call native libraries.",
  "Run with --allow-ffi (and --allow-read, --allow-env to find the libraries).",
];

/** Opens the driver library among `candidates`. No device is touched. */
export function openDriver(candidates: readonly string[]): Found<DriverLibrary> {
  if (!hasFfi()) return problem(...NO_FFI);
  const tried: string[] = [];
  for (const path of candidates) {
    let api: DriverApi;
    try {
      api = openLasting(path, DRIVER_SYMBOLS);
    } catch (error) {
      tried.push(`${path}: ${messageOf(error)}`);
      const version = probeVersion(path);
      if (version !== null && version < OLDEST_DRIVER) return tooOld(path, version, tried);
      continue;
    }
    const version = new Int32Array(new ArrayBuffer(8));
    const status = api.cuDriverGetVersion(version);
    if (status !== 0) {
      // A stub for linking opens like the real one and refuses every call.
      tried.push(new CudaError("cuDriverGetVersion", status, { what: path }).message);
      continue;
    }
    const found = version[0] ?? 0;
    if (found < OLDEST_DRIVER) return tooOld(path, found, tried);
    return { ok: true, value: { path, api, version: found } };
  }
  return problem(
    "no-driver",
    "The NVIDIA driver's library, libcuda.so.1, was not found.",
    "Install the NVIDIA driver (`nvidia-smi` must work); in a container, start it with the GPUs passed in " +
      "(`docker run --gpus all`). If it lies in an unusual folder, set TESSERA_CUDA_PATH to that folder.",
    tried,
  );
}

function tooOld(path: string, version: number, tried: readonly string[]): Found<DriverLibrary> {
  return problem(
    "driver-too-old",
    `The NVIDIA driver (${path}) serves CUDA ${versionText(version)}; ${
      versionText(OLDEST_DRIVER)
    } is the oldest that works.`,
    "Install a newer NVIDIA driver.",
    tried,
  );
}

/** The version of a driver that lacks functions; null if it is no driver at all. */
function probeVersion(path: string): number | null {
  try {
    const { symbols } = Deno.dlopen(path, { cuDriverGetVersion: DRIVER_SYMBOLS.cuDriverGetVersion });
    const version = new Int32Array(new ArrayBuffer(8));
    return symbols.cuDriverGetVersion(version) === 0 ? version[0] ?? null : null;
  } catch {
    return null;
  }
}

/**
 * Opens the nvrtc that fits best among `candidates`.
 *
 * @param driverVersion the driver's, or null to take the newest nvrtc: on a machine without GPU it still compiles
 */
export function openNvrtc(candidates: readonly NvrtcCandidate[], driverVersion: number | null): Found<NvrtcLibrary> {
  if (!hasFfi()) return problem(...NO_FFI);
  const driverMajor = driverVersion === null ? Infinity : Math.floor(driverVersion / 1000);
  // Place decides among equals; a newer major knows newer devices.
  const order = candidates.toSorted((a, b) => Number(b.chosen) - Number(a.chosen) || b.major - a.major);
  const tried: string[] = [];
  let newer: NvrtcLibrary | null = null;
  for (const candidate of order) {
    const opened = tryNvrtc(candidate);
    if (typeof opened === "string") {
      tried.push(`${candidate.path}: ${opened}`);
      continue;
    }
    if (Math.floor(opened.version / 1000) <= driverMajor) return { ok: true, value: opened };
    tried.push(`${candidate.path}: version ${versionText(opened.version)} is newer than the driver`);
    newer ??= opened;
  }
  if (newer !== null && driverVersion !== null) {
    return problem(
      "driver-older-than-nvrtc",
      `The driver serves CUDA ${versionText(driverVersion)}, but the only nvrtc found is ${
        versionText(newer.version)
      } ` +
        `(${newer.path}): the driver cannot load what it compiles.`,
      `Install a newer NVIDIA driver, or an nvrtc of CUDA ${driverMajor}: \`pip install ${pipPackage(driverMajor)}\`.`,
      tried,
    );
  }
  const major = driverVersion === null ? 13 : driverMajor;
  return problem(
    "no-nvrtc",
    "NVIDIA's run-time compiler, libnvrtc, was not found.",
    `Install it with \`pip install ${
      pipPackage(major)
    }\`, or with the CUDA toolkit; if it lies in an unusual folder, ` +
      "set TESSERA_CUDA_PATH to that folder.",
    tried,
  );
}

function pipPackage(major: number): string {
  return major >= 13 ? "nvidia-cuda-nvrtc" : `nvidia-cuda-nvrtc-cu${major}`;
}

/** The library, or why it cannot be used. */
function tryNvrtc(candidate: NvrtcCandidate): NvrtcLibrary | string {
  try {
    // Loaded first and kept: nvrtc asks for it by bare name, and the linker answers with what is loaded already.
    if (candidate.builtins !== null) openLasting(candidate.builtins, {});
    const api = openLasting(candidate.path, NVRTC_SYMBOLS);
    const numbers = new Int32Array(new ArrayBuffer(8));
    const status = api.nvrtcVersion(numbers.subarray(0, 1), numbers.subarray(1, 2));
    if (status !== 0) return `nvrtcVersion answers ${status}`;
    const version = 1000 * (numbers[0] ?? 0) + 10 * (numbers[1] ?? 0);
    return { path: candidate.path, api, version, architectures: architecturesOf(api) };
  } catch (error) {
    return messageOf(error);
  }
}

function architecturesOf(api: NvrtcApi): number[] {
  const count = new Int32Array(new ArrayBuffer(8));
  if (api.nvrtcGetNumSupportedArchs === null || api.nvrtcGetSupportedArchs === null) return [];
  if (api.nvrtcGetNumSupportedArchs(count) !== 0) return [];
  const list = new Int32Array(new ArrayBuffer(4 * Math.max(1, count[0] ?? 0)));
  return api.nvrtcGetSupportedArchs(list) === 0 ? [...list].sort((a, b) => a - b) : [];
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return /No such file|cannot open shared object/.test(text) ? "not there" : text.split("\n")[0] ?? "";
}

/** What machine code to ask nvrtc for. */
export interface CompileTarget {
  /** As nvrtc's `--gpu-architecture` takes it: `"sm_90a"`, or `"compute_120"` for PTX that the driver translates. */
  readonly arch: string;
  readonly kind: "cubin" | "ptx";
}

/**
 * Chooses the target for a device.
 *
 * Devices from 9.0 on get the architecture-specific form (`sm_90a`), which has wgmma and setmaxnreg. A device that is newer than
 * nvrtc gets PTX for the newest architecture that nvrtc knows, if the driver can read PTX of that version.
 *
 * @param capability 10 × major + minor, as 90 for Hopper
 */
export function chooseTarget(
  capability: number,
  nvrtc: Pick<NvrtcLibrary, "version" | "architectures">,
  driverVersion: number | null,
): Found<CompileTarget> {
  const known = nvrtc.architectures;
  if (known.includes(capability)) {
    // CUDA 11.8 knows sm_90 but not yet sm_90a.
    const suffix = capability >= 90 && nvrtc.version >= 12_000 ? "a" : "";
    return { ok: true, value: { arch: `sm_${capability}${suffix}`, kind: "cubin" } };
  }
  const older = known.filter((arch) => arch < capability).at(-1);
  const lowest = known[0];
  const name = capabilityText(capability);
  if (older === undefined) {
    return problem(
      "unsupported-architecture",
      `nvrtc ${versionText(nvrtc.version)} no longer compiles for compute capability ${name}` +
        `${lowest === undefined ? "" : ` (its oldest is ${capabilityText(lowest)})`}.`,
      `Install an older nvrtc: \`pip install ${pipPackage(12)}\`.`,
    );
  }
  if (driverVersion !== null && driverVersion < nvrtc.version) {
    return problem(
      "unsupported-architecture",
      `nvrtc ${
        versionText(nvrtc.version)
      } has no machine code for compute capability ${name}, and its PTX is too new for a ` +
        `driver of CUDA ${versionText(driverVersion)}.`,
      "Install the nvrtc of the driver's own version or a newer driver.",
    );
  }
  // Within one major version machine code runs upwards (8.6's on 8.9); PTX runs on every later one.
  return Math.floor(older / 10) === Math.floor(capability / 10)
    ? { ok: true, value: { arch: `sm_${older}`, kind: "cubin" } }
    : { ok: true, value: { arch: `compute_${older}`, kind: "ptx" } };
}

let driver: Found<DriverLibrary> | undefined;
let nvrtc: Found<NvrtcLibrary> | undefined;

/** Takes these libraries as the machine's. Call it before the first use of "cuda". */
export function useCudaLibraries(
  libraries: { readonly driver: Found<DriverLibrary>; readonly nvrtc: Found<NvrtcLibrary> },
): void {
  ({ driver, nvrtc } = libraries);
}

/** The driver library of this machine. Looked for once. */
export function findDriver(world: SearchWorld = machine): Found<DriverLibrary> {
  if (world !== machine) return openDriver(driverCandidates(world));
  return driver ??= openDriver(driverCandidates());
}

/** The nvrtc of this machine that fits its driver. Looked for once. */
export function findNvrtc(world: SearchWorld = machine): Found<NvrtcLibrary> {
  const found = findDriver(world);
  const version = found.ok ? found.value.version : null;
  if (world !== machine) return openNvrtc(nvrtcCandidates(world), version);
  return nvrtc ??= openNvrtc(nvrtcCandidates(), version);
}

/** Bytes that the parameters of a kernel may take: 4096, and from CUDA 12.1 on 32764. */
export function parameterBytes(): number {
  const allows = ({ ok, value }: { readonly ok: boolean; readonly value?: { readonly version: number } }): boolean =>
    ok && value !== undefined && value.version >= 12_010;
  return allows(findDriver()) && allows(findNvrtc()) ? 32_764 : 4096;
}
