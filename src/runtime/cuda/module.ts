/**
 * Compiled code on a device: modules, functions, launches.
 *
 * Enters: a cubin or PTX. Leaves: {@linkcode CudaFunction}, whose `launch` costs one native call. Code is loaded as a library of
 * the driver where that exists (CUDA 12): such loading needs no current context, so it can run on another thread.
 */

import type { CudaContext } from "./context.ts";
import { handleFrom } from "./driver.ts";
import { releaseWith } from "./remains.ts";
import type { Launchable, NodeParams } from "./launchable.ts";
import {
  type CudaArguments,
  type Dim3,
  kernelNodeParams,
  launchConfig,
  type LaunchShape,
  needsLaunchConfig,
} from "./layout.ts";
import type { CudaStream } from "./stream.ts";
import type { Handle } from "./symbols.ts";

/** Numbers of `CUfunction_attribute`. */
const FUNCTION_ATTRIBUTE = {
  maxThreadsPerBlock: 0,
  sharedBytes: 1,
  constantBytes: 2,
  localBytes: 3,
  registers: 4,
} as const;
const MAX_DYNAMIC_SHARED = 8;
const NON_PORTABLE_CLUSTER = 14;
/** More dynamic shared memory than this is asked for: 48 KiB need no asking, but what a kernel has of its own is among them. */
const SHARED_WITHOUT_ASKING = 16 * 1024;

/** What a function needs; sizes in bytes. `localBytes` above 0 means that registers are spilled. */
export type CudaFunctionAttributes = { readonly [name in keyof typeof FUNCTION_ATTRIBUTE]: number };

const outInts = new Int32Array(new ArrayBuffer(16));
const terminated = (name: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(`${name}\0`);

/** Code on a device. It stays loaded until it is disposed, or nobody reaches it or any of its kernels. */
export class CudaModule implements Disposable {
  readonly context: CudaContext;
  readonly name: string;
  readonly #handle: Handle;
  readonly #isLibrary: boolean;
  readonly #functions = new Map<string, CudaFunction>();
  readonly #release: () => void;
  #disposed = false;

  private constructor(context: CudaContext, name: string, handle: Handle, isLibrary: boolean) {
    this.context = context;
    this.name = name;
    this.#handle = handle;
    this.#isLibrary = isLibrary;
    this.#release = releaseWith(this, context, () => {
      const { cuLibraryUnload, cuModuleUnload } = context.api;
      if (isLibrary && cuLibraryUnload !== null) context.check(cuLibraryUnload(handle), "cuLibraryUnload", name);
      else context.check(cuModuleUnload(handle), "cuModuleUnload", name);
    });
  }

  /**
   * Loads code and blocks meanwhile: well under a millisecond for a cubin, as long as a compilation for PTX.
   *
   * @param image a cubin, or PTX with or without its final zero
   * @throws {CudaError} with the driver's log, if the code is for another architecture or is not valid
   */
  static load(context: CudaContext, image: Uint8Array<ArrayBuffer>, name = "module"): CudaModule {
    const { api } = context;
    const code = imageFor(image);
    context.activate();
    if (api.cuLibraryLoadData !== null) {
      const out = new BigUint64Array(new ArrayBuffer(8));
      const status = api.cuLibraryLoadData(out, code, null, null, 0, null, null, 0);
      if (status !== 0) throw explainLoad(context, status, code, name, "cuLibraryLoadData");
      return new CudaModule(context, name, handleIn(out), true);
    }
    return CudaModule.#loadModule(context, code, name);
  }

  /** As {@linkcode CudaModule.load}, on another thread where the driver can (CUDA 12 and later). */
  static async loadAsync(context: CudaContext, image: Uint8Array<ArrayBuffer>, name = "module"): Promise<CudaModule> {
    const { api } = context;
    const code = imageFor(image);
    if (api.cuLibraryLoadDataAsync === null) return CudaModule.#loadModule(context, code, name);
    const out = new BigUint64Array(new ArrayBuffer(8));
    const status = await api.cuLibraryLoadDataAsync(out, code, null, null, 0, null, null, 0);
    if (status !== 0) throw explainLoad(context, status, code, name, "cuLibraryLoadData");
    return new CudaModule(context, name, handleIn(out), true);
  }

  static #loadModule(context: CudaContext, code: Uint8Array<ArrayBuffer>, name: string): CudaModule {
    context.activate();
    const out = new BigUint64Array(new ArrayBuffer(8));
    const status = context.api.cuModuleLoadDataEx(out, code, 0, null, null);
    if (status !== 0) throw explainLoad(context, status, code, name, "cuModuleLoadDataEx");
    return new CudaModule(context, name, handleIn(out), false);
  }

  /**
   * The kernel of that name, declared `extern "C" __global__`; the same object each time.
   *
   * @param origin operators and lines that it comes from, for errors
   * @throws {CudaError} if the module has no such function
   */
  function(name: string, origin = ""): CudaFunction {
    let found = this.#functions.get(name);
    if (found === undefined) {
      if (this.#disposed) throw new TypeError(`the CUDA module ${this.name} was disposed; load it anew`);
      found = new CudaFunction(this, name, origin, this.#lookUp(name));
      this.#functions.set(name, found);
    }
    return found;
  }

  #lookUp(name: string): Handle {
    const { context } = this;
    const { api } = context;
    context.activate();
    const what = `${name} in ${this.name}`;
    const text = terminated(name);
    if (!this.#isLibrary || api.cuLibraryGetKernel === null || api.cuKernelGetFunction === null) {
      return handleFrom(
        (out) => api.cuModuleGetFunction(out, this.#handle, text),
        (status) => context.check(status, "cuModuleGetFunction", what),
      );
    }
    const { cuLibraryGetKernel, cuKernelGetFunction } = api;
    const kernel = handleFrom(
      (out) => cuLibraryGetKernel(out, this.#handle, text),
      (status) => context.check(status, "cuLibraryGetKernel", what),
    );
    return handleFrom(
      (out) => cuKernelGetFunction(out, kernel),
      (status) => context.check(status, "cuKernelGetFunction", what),
    );
  }

  /** Unloads the code, after the device has done everything. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#functions.clear();
    this.#release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A kernel on a device. Made by {@linkcode CudaModule.function}. */
export class CudaFunction implements Launchable {
  readonly recordable = true;
  /** The code that it is in, which stays loaded as long as the kernel is reached. */
  readonly module: CudaModule;
  readonly context: CudaContext;
  readonly name: string;
  readonly origin: string;
  readonly handle: Handle;
  /** The handle as a number, for structures. */
  readonly address: number;
  #sharedLimit = SHARED_WITHOUT_ASKING;
  #attributes: CudaFunctionAttributes | undefined;
  #config:
    | { readonly shape: LaunchShape; readonly stream: number; readonly bytes: Uint8Array<ArrayBuffer> }
    | undefined;

  /** Internal: use {@linkcode CudaModule.function}. */
  constructor(module: CudaModule, name: string, origin: string, handle: Handle) {
    this.module = module;
    this.context = module.context;
    this.name = name;
    this.origin = origin;
    this.handle = handle;
    this.address = Number(Deno.UnsafePointer.value(handle));
  }

  /** Registers, shared, constant and local memory, as compiled. */
  get attributes(): CudaFunctionAttributes {
    if (this.#attributes === undefined) {
      const found: Record<string, number> = {};
      this.context.activate();
      for (const [name, number] of Object.entries(FUNCTION_ATTRIBUTE)) {
        const status = this.context.api.cuFuncGetAttribute(outInts, number, this.handle);
        this.context.check(status, "cuFuncGetAttribute", `${name} of ${this.name}`);
        found[name] = outInts[0] ?? 0;
      }
      this.#attributes = found as CudaFunctionAttributes;
    }
    return this.#attributes;
  }

  /**
   * Asks for as much dynamic shared memory as a launch will use, beyond the 48 KiB that need no asking.
   *
   * @throws {RangeError} if the device has less for a block
   */
  allowSharedBytes(bytes: number): void {
    if (bytes <= this.#sharedLimit) return;
    const most = this.context.info.attributes.sharedBytesPerBlockOptIn;
    if (bytes > most) {
      throw new RangeError(
        `kernel ${this.name} wants ${bytes} bytes of dynamic shared memory; ${this.context.info.name} has ${most} for a block: ` +
          "use a smaller tile or fewer stages",
      );
    }
    this.context.activate();
    const status = this.context.api.cuFuncSetAttribute(this.handle, MAX_DYNAMIC_SHARED, bytes);
    this.context.check(status, "cuFuncSetAttribute", `${bytes} bytes of dynamic shared memory for ${this.name}`);
    this.#sharedLimit = bytes;
  }

  /** Allows clusters of more than 8 blocks, which not every device can run. */
  allowLargeClusters(): void {
    this.context.activate();
    const status = this.context.api.cuFuncSetAttribute(this.handle, NON_PORTABLE_CLUSTER, 1);
    this.context.check(status, "cuFuncSetAttribute", `large clusters for ${this.name}`);
  }

  /** Blocks of this size that one multiprocessor runs at a time. */
  occupancy(threads: number, sharedBytes = 0): number {
    this.context.activate();
    const status = this.context.api.cuOccupancyMaxActiveBlocksPerMultiprocessor(
      outInts,
      this.handle,
      threads,
      BigInt(sharedBytes),
    );
    this.context.check(status, "cuOccupancyMaxActiveBlocksPerMultiprocessor", this.name);
    return outInts[0] ?? 0;
  }

  /** Clusters that the device runs at a time, for a shape with a cluster. */
  clusterOccupancy(shape: LaunchShape): number {
    const { api } = this.context;
    if (api.cuOccupancyMaxActiveClusters === null) return 0;
    this.context.activate();
    const status = api.cuOccupancyMaxActiveClusters(outInts, this.handle, launchConfig(shape, 0));
    this.context.check(status, "cuOccupancyMaxActiveClusters", this.name);
    return outInts[0] ?? 0;
  }

  /**
   * Sends a launch to a stream. Returns before the kernel runs; its faults come out of later calls.
   *
   * Shapes with a cluster, cooperation or overlap keep their structure between launches while the same shape object is passed.
   *
   * @throws {CudaError} if the shape is not possible on the device
   */
  launch(shape: LaunchShape, args: CudaArguments, stream: CudaStream = this.context.currentStream): void {
    const { context } = this;
    const { api } = context;
    context.activate();
    const sharedBytes = shape.sharedBytes ?? 0;
    if (sharedBytes > this.#sharedLimit) this.allowSharedBytes(sharedBytes);
    let status: number;
    if (needsLaunchConfig(shape)) {
      if (api.cuLaunchKernelEx === null) {
        throw new TypeError(`kernel ${this.name}: clusters need a driver of CUDA 11.8`);
      }
      status = api.cuLaunchKernelEx(this.#configOf(shape, stream), this.handle, args.pointers, null);
    } else {
      const { grid, block } = shape;
      status = api.cuLaunchKernel(
        this.handle,
        grid[0],
        grid[1],
        grid[2],
        block[0],
        block[1],
        block[2],
        sharedBytes,
        stream.handle,
        args.pointers,
        null,
      );
    }
    context.noteLaunch(this);
    if (status !== 0) this.#fail(status, shape);
    if (stream.recorder !== null) stream.recorder(this);
    else if (context.launchBlocking) stream.synchronize();
  }

  withNodeParams(shape: LaunchShape, args: CudaArguments, use: (params: NodeParams) => void): void {
    this.allowSharedBytes(shape.sharedBytes ?? 0);
    use({ kernel: kernelNodeParams(shape, this.address, args.address), clear: null });
  }

  #configOf(shape: LaunchShape, stream: CudaStream): Uint8Array<ArrayBuffer> {
    let config = this.#config;
    if (config === undefined || config.shape !== shape || config.stream !== stream.address) {
      config = { shape, stream: stream.address, bytes: launchConfig(shape, stream.address) };
      this.#config = config;
    }
    return config.bytes;
  }

  #fail(status: number, shape: LaunchShape): never {
    const dims = (d: Dim3): string => d.join("×");
    const cluster = shape.cluster === undefined ? "" : `, cluster ${dims(shape.cluster)}`;
    const what = `${this.name}, grid ${dims(shape.grid)}, block ${dims(shape.block)}${cluster}, ` +
      `${shape.sharedBytes ?? 0} bytes of shared memory${this.origin === "" ? "" : `, from ${this.origin}`}`;
    this.context.check(status, "cuLaunchKernel", what);
    throw new TypeError("cuLaunchKernel: unreachable");
  }
}

/** PTX is text, which the driver reads up to a zero. */
function imageFor(image: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const isElf = image[0] === 0x7f && image[1] === 0x45;
  if (isElf || image.at(-1) === 0) return image;
  const text = new Uint8Array(new ArrayBuffer(image.length + 1));
  text.set(image);
  return text;
}

function handleIn(out: BigUint64Array<ArrayBuffer>): Handle {
  const handle = Deno.UnsafePointer.create(out[0] ?? 0n);
  if (handle === null) throw new TypeError("the CUDA driver loaded code and returned no handle");
  return handle;
}

const JIT_ERROR_LOG = 5;
const JIT_ERROR_LOG_BYTES = 6;

/** Loads once more in the way that leaves a log, and puts the log into the error. */
function explainLoad(
  context: CudaContext,
  status: number,
  code: Uint8Array<ArrayBuffer>,
  name: string,
  operation: string,
): Error {
  const log = new Uint8Array(new ArrayBuffer(8192));
  const options = new Int32Array(new ArrayBuffer(8));
  options.set([JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES]);
  const values = new BigUint64Array(new ArrayBuffer(16));
  values[0] = Deno.UnsafePointer.value(Deno.UnsafePointer.of(log));
  values[1] = BigInt(log.length);
  const out = new BigUint64Array(new ArrayBuffer(8));
  context.activate();
  if (context.api.cuModuleLoadDataEx(out, code, 2, options, values) === 0) {
    context.api.cuModuleUnload(handleIn(out));
  }
  const end = log.indexOf(0);
  const text = new TextDecoder().decode(log.subarray(0, Math.max(0, end))).trim();
  return context.driver.failure(status, operation, text === "" ? name : `${name}: ${text}`);
}
