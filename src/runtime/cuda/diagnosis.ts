/**
 * Whether CUDA works here, as data for `doctor`.
 *
 * Looks for the libraries, initialises the driver, reads the devices and matches them with nvrtc. Makes no context, so a device
 * that is full or busy does not matter. Never throws.
 */

import { type CudaDriver, initialize, loadDriver } from "./driver.ts";
import {
  chooseTarget,
  type CompileTarget,
  type CudaProblem,
  type DriverLibrary,
  findDriver,
  findNvrtc,
  type Found,
  type NvrtcLibrary,
} from "./libraries.ts";

/** One device and what is compiled for it. */
export interface DeviceDiagnosis {
  readonly ordinal: number;
  readonly name: string;
  /** 10 × major + minor. */
  readonly capability: number;
  readonly totalBytes: number;
  /** Null if nvrtc cannot compile for it; the reason is among the problems. */
  readonly target: CompileTarget | null;
}

/** What there is of CUDA on this machine. */
export interface CudaDiagnosis {
  /** Whether "cuda" can be used, at least on one device. */
  readonly usable: boolean;
  readonly driver: { readonly path: string; readonly version: number } | null;
  readonly nvrtc: { readonly path: string; readonly version: number } | null;
  readonly devices: readonly DeviceDiagnosis[];
  /** In the order in which they should be mended. */
  readonly problems: readonly CudaProblem[];
}

/** Looks at this machine. The first call takes about 0.2 s. */
export function diagnoseCuda(): CudaDiagnosis {
  return diagnose(findDriver(), findNvrtc(), loadDriver);
}

/** The diagnosis of libraries that were looked for. */
export function diagnose(
  driver: Found<DriverLibrary>,
  nvrtc: Found<NvrtcLibrary>,
  load: () => Found<CudaDriver> = () => initialize(driver),
): CudaDiagnosis {
  const problems: CudaProblem[] = [];
  const devices: DeviceDiagnosis[] = [];
  const loaded = driver.ok ? load() : driver;
  if (!loaded.ok) problems.push(loaded.problem);
  if (!nvrtc.ok) problems.push(nvrtc.problem);
  for (const { ordinal, name, capability, totalBytes } of loaded.ok ? loaded.value.devices : []) {
    const target = nvrtc.ok && driver.ok ? chooseTarget(capability, nvrtc.value, driver.value.version) : null;
    if (target !== null && !target.ok) {
      problems.push({ ...target.problem, problem: `cuda:${ordinal} (${name}): ${target.problem.problem}` });
    }
    devices.push({ ordinal, name, capability, totalBytes, target: target?.ok === true ? target.value : null });
  }
  return {
    usable: devices.some((device) => device.target !== null),
    driver: driver.ok ? { path: driver.value.path, version: driver.value.version } : null,
    nvrtc: nvrtc.ok ? { path: nvrtc.value.path, version: nvrtc.value.version } : null,
    devices,
    problems,
  };
}
