/**
 * Descriptors of cuDNN's backend: opaque objects with typed attributes that are set, finalised, and then read.
 *
 * Enters: numbers, handles, other descriptors. Leaves: {@linkcode CudnnDescriptor}. The numbers are those of `cudnn_graph.h`, version 9.
 */
import { checkCudnn, type CudnnApi } from "./cudnn_library.ts";
import { handleFrom } from "./driver.ts";
import { writeAddress } from "./layout.ts";
import type { Handle } from "./symbols.ts";

/** `cudnnBackendDescriptorType_t`. */
const CUDNN_DESCRIPTOR = {
  pointwise: 0,
  convolution: 1,
  engineConfig: 3,
  engineHeuristics: 4,
  plan: 5,
  convolutionForward: 10,
  pointwiseOperation: 13,
  graph: 15,
  variantPack: 16,
  tensor: 17,
} as const;

/** `cudnnBackendAttributeName_t`. */
const CUDNN_ATTRIBUTE = {
  pointwiseMode: 0,
  pointwisePrecision: 1,
  convolutionType: 100,
  convolutionMode: 101,
  convolutionDilations: 102,
  convolutionStrides: 103,
  convolutionBehind: 104,
  convolutionBefore: 105,
  convolutionSpatial: 106,
  heuristicsMode: 200,
  heuristicsGraph: 201,
  heuristicsResults: 202,
  planHandle: 400,
  planEngine: 401,
  planWorkspace: 402,
  forwardAlpha: 700,
  forwardBeta: 701,
  forwardConvolution: 702,
  forwardW: 703,
  forwardX: 704,
  forwardY: 705,
  pointwiseDescriptor: 750,
  pointwiseX: 751,
  pointwiseB: 752,
  pointwiseY: 753,
  graphHandle: 800,
  graphOperations: 801,
  tensorAlignment: 900,
  tensorType: 901,
  tensorSizes: 902,
  tensorStrides: 903,
  tensorId: 906,
  tensorVirtual: 907,
  packIds: 1000,
  packPointers: 1001,
  packWorkspace: 1003,
} as const;

/** `cudnnBackendAttributeType_t`. */
const TYPE = {
  handle: 0,
  dataType: 1,
  boolean: 2,
  int64: 3,
  float: 4,
  pointer: 6,
  convolutionMode: 7,
  heuristicsMode: 8,
  pointwiseMode: 14,
  descriptor: 15,
} as const;

/** What an attribute holds. */
export type CudnnValue =
  | { readonly int64: readonly number[] }
  | { readonly float: number }
  | { readonly boolean: boolean }
  | { readonly dataType: number }
  | { readonly convolutionMode: number }
  | { readonly heuristicsMode: number }
  | { readonly pointwiseMode: number }
  | { readonly handle: Handle }
  | { readonly pointer: readonly number[] }
  | { readonly descriptor: readonly CudnnDescriptor[] };

function addresses(list: readonly number[]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(8 * Math.max(1, list.length)));
  list.forEach((x, i) => writeAddress(view, 8 * i, x));
  return new Uint8Array(view.buffer);
}

function encode(value: CudnnValue): { type: number; count: number; bytes: Uint8Array<ArrayBuffer> } {
  if ("int64" in value) {
    const bytes = new Uint8Array(BigInt64Array.from(value.int64, BigInt).buffer);
    return { type: TYPE.int64, count: value.int64.length, bytes };
  }
  if ("float" in value) {
    return { type: TYPE.float, count: 1, bytes: new Uint8Array(Float32Array.of(value.float).buffer) };
  }
  if ("boolean" in value) return { type: TYPE.boolean, count: 1, bytes: Uint8Array.of(value.boolean ? 1 : 0) };
  if ("pointer" in value) return { type: TYPE.pointer, count: value.pointer.length, bytes: addresses(value.pointer) };
  if ("descriptor" in value || "handle" in value) {
    const handles = "handle" in value ? [value.handle] : value.descriptor.map((d) => d.handle);
    const bytes = new Uint8Array(BigUint64Array.from(handles, (h) => Deno.UnsafePointer.value(h)).buffer);
    return { type: "handle" in value ? TYPE.handle : TYPE.descriptor, count: handles.length, bytes };
  }
  const [[key, number]] = Object.entries(value) as [[keyof typeof TYPE, number]];
  return { type: TYPE[key], count: 1, bytes: new Uint8Array(Int32Array.of(number).buffer) };
}

/** One descriptor. */
export class CudnnDescriptor implements Disposable {
  readonly handle: Handle;
  readonly #api: CudnnApi;
  readonly #kind: keyof typeof CUDNN_DESCRIPTOR;
  #disposed = false;

  private constructor(api: CudnnApi, kind: keyof typeof CUDNN_DESCRIPTOR) {
    this.#api = api;
    this.#kind = kind;
    this.handle = handleFrom(
      (out) => api.cudnnBackendCreateDescriptor(CUDNN_DESCRIPTOR[kind], out),
      (status) => checkCudnn(api, status, "cudnnBackendCreateDescriptor", kind),
    );
  }

  /** An empty descriptor, as those are that the library fills. */
  static empty(api: CudnnApi, kind: keyof typeof CUDNN_DESCRIPTOR): CudnnDescriptor {
    return new CudnnDescriptor(api, kind);
  }

  /**
   * A descriptor with its attributes, finalised. The descriptors in them must stay until it is disposed.
   *
   * @throws {TypeError} if the library refuses one, or has nothing that fits
   */
  static make(
    api: CudnnApi,
    kind: keyof typeof CUDNN_DESCRIPTOR,
    attributes: Partial<Record<keyof typeof CUDNN_ATTRIBUTE, CudnnValue>>,
    what = "",
  ): CudnnDescriptor {
    const made = new CudnnDescriptor(api, kind);
    try {
      for (const [name, value] of Object.entries(attributes) as [keyof typeof CUDNN_ATTRIBUTE, CudnnValue][]) {
        const { type, count, bytes } = encode(value);
        const status = api.cudnnBackendSetAttribute(made.handle, CUDNN_ATTRIBUTE[name], type, BigInt(count), bytes);
        checkCudnn(api, status, "cudnnBackendSetAttribute", `${name} of ${kind}${what === "" ? "" : ` of ${what}`}`);
      }
      const status = api.cudnnBackendFinalize(made.handle);
      checkCudnn(api, status, "cudnnBackendFinalize", `${kind}${what === "" ? "" : ` of ${what}`}`);
      return made;
    } catch (error) {
      made[Symbol.dispose]();
      throw error;
    }
  }

  /** A whole number. */
  integer(name: keyof typeof CUDNN_ATTRIBUTE): number {
    const out = new BigInt64Array(new ArrayBuffer(8));
    this.#get(name, TYPE.int64, 1, new Uint8Array(out.buffer));
    return Number(out[0]);
  }

  /** Lets the library fill descriptors, as many as there are of `into`. Returns how many it filled. */
  fill(name: keyof typeof CUDNN_ATTRIBUTE, into: readonly CudnnDescriptor[]): number {
    const { bytes } = encode({ descriptor: into });
    return this.#get(name, TYPE.descriptor, into.length, bytes);
  }

  #get(name: keyof typeof CUDNN_ATTRIBUTE, type: number, count: number, bytes: Uint8Array<ArrayBuffer>): number {
    const got = new BigInt64Array(new ArrayBuffer(8));
    const status = this.#api.cudnnBackendGetAttribute(
      this.handle,
      CUDNN_ATTRIBUTE[name],
      type,
      BigInt(count),
      new Uint8Array(got.buffer),
      bytes,
    );
    checkCudnn(this.#api, status, "cudnnBackendGetAttribute", `${name} of ${this.#kind}`);
    return Number(got[0]);
  }

  /** Gives it back. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#api.cudnnBackendDestroyDescriptor(this.handle);
  }
}
