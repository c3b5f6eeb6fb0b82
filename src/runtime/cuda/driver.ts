/**
 * The driver, initialised, and the devices it shows.
 *
 * Enters: an opened libcuda. Leaves: {@linkcode CudaDriver} with checked calls, {@linkcode CudaDevice} with its attributes.
 * Invariant: every status that is not success becomes a {@linkcode CudaError} naming the driver function. The driver keeps
 * one context current for each thread; {@linkcode CudaDriver.current} mirrors that of the JavaScript thread.
 */

import { CudaError, type CudaErrorDetails, type LaunchRecord } from "./errors.ts";
import { type CudaProblem, type DriverLibrary, findDriver, type Found, versionText } from "./libraries.ts";
import type { DriverApi, Handle } from "./symbols.ts";

/** Numbers of `CUdevice_attribute`. */
const ATTRIBUTE = {
  maxThreadsPerBlock: 1,
  maxGridY: 6,
  sharedBytesPerBlock: 8,
  warpSize: 10,
  clockKilohertz: 13,
  multiprocessors: 16,
  computeMode: 20,
  memoryClockKilohertz: 36,
  memoryBusBits: 37,
  l2Bytes: 38,
  threadsPerMultiprocessor: 39,
  capabilityMajor: 75,
  capabilityMinor: 76,
  sharedBytesPerMultiprocessor: 81,
  registersPerMultiprocessor: 82,
  cooperativeLaunch: 95,
  sharedBytesPerBlockOptIn: 97,
  blocksPerMultiprocessor: 106,
  memoryPools: 115,
  clusterLaunch: 120,
  tensorMaps: 127,
} as const;

/** What a device is and can do; sizes in bytes. */
export type CudaAttributes = { readonly [name in keyof typeof ATTRIBUTE]: number };

/** One device as the driver numbers it. */
export interface CudaDevice {
  readonly ordinal: number;
  readonly name: string;
  /** 10 × major + minor: 90 for an H100. */
  readonly capability: number;
  readonly totalBytes: number;
  readonly attributes: CudaAttributes;
}

/** Receives out-parameters of synchronous calls. Never on V8's heap: the driver writes to its address. */
const out = new BigUint64Array(new ArrayBuffer(64));
const outInts = new Int32Array(out.buffer);

/** The initialised driver. */
export class CudaDriver {
  readonly api: DriverApi;
  readonly path: string;
  /** As 1000 × major + 10 × minor. */
  readonly version: number;
  /** The context that is current on the JavaScript thread; null if none was set through this object. */
  current: Handle | null = null;
  readonly #devices: CudaDevice[] = [];

  /**
   * Initialises the library and reads its devices.
   *
   * @throws {CudaError} if the driver refuses: no device, a version that differs from the kernel module's
   */
  constructor(library: DriverLibrary) {
    this.api = library.api;
    this.path = library.path;
    this.version = library.version;
    this.check(this.api.cuInit(0), "cuInit");
    this.check(this.api.cuDeviceGetCount(outInts), "cuDeviceGetCount");
    const count = outInts[0] ?? 0;
    for (let ordinal = 0; ordinal < count; ordinal++) this.#devices.push(this.#describe(ordinal));
  }

  /** The devices, in the driver's order. */
  get devices(): readonly CudaDevice[] {
    return this.#devices;
  }

  /** The device of that number. @throws {RangeError} naming those there are */
  device(ordinal: number): CudaDevice {
    const device = this.#devices[ordinal];
    if (device === undefined) {
      const names = this.#devices.map((d) => `cuda:${d.ordinal} (${d.name})`).join(", ");
      throw new RangeError(`device "cuda:${ordinal}" does not exist: use ${names === "" ? `"cpu"` : names}`);
    }
    return device;
  }

  /** Throws unless `status` is success. */
  check(status: number, operation: string, what?: string): void {
    if (status !== 0) throw this.failure(status, operation, what);
  }

  /** The error for a status, with the driver's own words. */
  failure(status: number, operation: string, what?: string, launches?: readonly LaunchRecord[]): CudaError {
    const details: CudaErrorDetails = {
      name: this.#text(this.api.cuGetErrorName, status),
      text: this.#text(this.api.cuGetErrorString, status),
      what,
      launches,
    };
    return new CudaError(operation, status, details);
  }

  /** Makes a context current on this thread, if it is not. */
  activate(context: Handle): void {
    if (this.current === context) return;
    this.check(this.api.cuCtxSetCurrent(context), "cuCtxSetCurrent");
    this.current = context;
  }

  /** Runs `fn` with a context current and puts back the one before. */
  withContext<T>(context: Handle, fn: () => T): T {
    const before = this.current;
    this.activate(context);
    try {
      return fn();
    } finally {
      if (before !== null && before !== context) this.activate(before);
    }
  }

  /** Whether `device` can reach the memory of `peer` directly. */
  canAccessPeer(device: number, peer: number): boolean {
    this.check(this.api.cuDeviceCanAccessPeer(outInts, device, peer), "cuDeviceCanAccessPeer");
    return outInts[0] === 1;
  }

  #describe(ordinal: number): CudaDevice {
    this.check(this.api.cuDeviceGet(outInts, ordinal), "cuDeviceGet", `device ${ordinal}`);
    const device = outInts[0] ?? 0;
    const text = new Uint8Array(new ArrayBuffer(256));
    this.check(this.api.cuDeviceGetName(text, text.length, device), "cuDeviceGetName");
    this.check(this.api.cuDeviceTotalMem_v2(out, device), "cuDeviceTotalMem");
    const totalBytes = Number(out[0]);
    const attributes: Record<string, number> = {};
    for (const [name, number] of Object.entries(ATTRIBUTE)) {
      // A driver that does not know an attribute does not have the feature.
      attributes[name] = this.api.cuDeviceGetAttribute(outInts, number, device) === 0 ? outInts[0] ?? 0 : 0;
    }
    const known = attributes as CudaAttributes;
    const name = new TextDecoder().decode(text.subarray(0, Math.max(0, text.indexOf(0))));
    const capability = 10 * known.capabilityMajor + known.capabilityMinor;
    return { ordinal, name, capability, totalBytes, attributes: known };
  }

  #text(read: (status: number, to: BigUint64Array<ArrayBuffer>) => number, status: number): string | undefined {
    const text = new BigUint64Array(new ArrayBuffer(8));
    if (read(status, text) !== 0) return undefined;
    const pointer = Deno.UnsafePointer.create(text[0] ?? 0n);
    return pointer === null ? undefined : Deno.UnsafePointerView.getCString(pointer);
  }
}

/** Runs a call with one handle as out-parameter and returns the handle. */
export function handleFrom(
  call: (out: BigUint64Array<ArrayBuffer>) => number,
  check: (status: number) => void,
): Handle {
  check(call(out));
  const handle = Deno.UnsafePointer.create(out[0] ?? 0n);
  if (handle === null) throw new TypeError("the CUDA driver returned success and no handle");
  return handle;
}

let loaded: Found<CudaDriver> | undefined;

/** The driver of this machine, initialised once, or why it cannot be used. Never throws. */
export function loadDriver(): Found<CudaDriver> {
  return loaded ??= initialize(findDriver());
}

/** Initialises a driver that was found. */
export function initialize(found: Found<DriverLibrary>): Found<CudaDriver> {
  if (!found.ok) return found;
  try {
    const driver = new CudaDriver(found.value);
    if (driver.devices.length > 0) return { ok: true, value: driver };
    return { ok: false, problem: noDevice(found.value, new CudaError("cuDeviceGetCount", 100)) };
  } catch (error) {
    if (!(error instanceof CudaError)) throw error;
    return { ok: false, problem: noDevice(found.value, error) };
  }
}

function noDevice(library: DriverLibrary, error: CudaError): CudaProblem {
  const nothing = error.code === 100 || error.code === 101;
  return {
    kind: nothing ? "no-device" : "driver-fails",
    problem: nothing
      ? `The NVIDIA driver (CUDA ${versionText(library.version)}) works but shows no device.`
      : `The NVIDIA driver (CUDA ${versionText(library.version)}) cannot be initialised: ${error.message}`,
    remedy: nothing
      ? "Look at `nvidia-smi` and CUDA_VISIBLE_DEVICES; in a container, start it with the GPUs passed in."
      : "Look at `nvidia-smi`; after an update of the driver, reboot.",
    tried: [library.path],
  };
}
