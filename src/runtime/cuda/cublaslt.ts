/**
 * A matrix product by cuBLASLt, as something that a plan launches.
 *
 * Enters: a {@linkcode MatmulSpec}, plain data over row-major matrices. Leaves: {@linkcode CublasLtMatmul}, whose launches take the arguments `a, b, d, workspace` and
 * then `bias` where the epilogue has one. Nothing is allocated a launch. Which of the library's algorithms runs is a number in the order of its own heuristics: plans on disk
 * hold that number, never the library's own structures. In a recorded graph a product is its one kernel, whose arguments are read from a recording of its own.
 */
import type { MatmulEpilogue, MatmulOperand, MatmulSpec, MatmulType } from "../../core/matmul_spec.ts";
import type { CudaContext } from "./context.ts";
import { checkCublas, type CublasLtLibrary, findCublasLt } from "./cublaslt_library.ts";
import { handleFrom } from "./driver.ts";
import type { Launchable, NodeParams } from "./launchable.ts";
import type { CudaArguments, LaunchShape } from "./layout.ts";
import { type LibrarySession, librarySessions } from "./library_session.ts";
import { writeAddress } from "./layout.ts";
import { withLibraryNodes } from "./library_nodes.ts";
import type { CudaStream } from "./stream.ts";
import type { Handle } from "./symbols.ts";

export type { MatmulEpilogue, MatmulOperand, MatmulSpec, MatmulType };

/** Bytes of device memory that algorithms may use; what NVIDIA advises for Hopper. */
export const CUBLASLT_WORKSPACE = 32 * 2 ** 20;
/** Algorithms that are asked for. */
export const CUBLASLT_ALGORITHMS = 8;

const DATA_TYPE: Readonly<Record<MatmulType, number>> = {
  float32: 0,
  float64: 1,
  float16: 2,
  int8: 3,
  int32: 10,
  bfloat16: 14,
};
const EPILOGUE: Readonly<Record<MatmulEpilogue, number>> = {
  none: 1,
  relu: 2,
  bias: 4,
  relu_bias: 6,
  gelu: 32,
  gelu_bias: 36,
};
const COMPUTE = { float32: 68, tf32: 77, float64: 70, int32: 72 } as const;
const DESC = { transA: 3, transB: 4, epilogue: 7, biasPointer: 8, biasType: 26 } as const;
const LAYOUT = { batchCount: 5, batchStride: 6 } as const;
const PREFERENCE_WORKSPACE = 1;
const PREFERENCE_ALIGNMENTS = [5, 6, 7, 8];
/** Alignment that all operands have. */
const ALIGN = 16;
/** `cublasLtMatmulHeuristicResult_t`: 64 bytes of algorithm, workspace, state, waves, reserve. */
const RESULT_BYTES = 96;

const TYPES: ReadonlySet<unknown> = new Set(Object.keys(DATA_TYPE));
const EPILOGUES: ReadonlySet<unknown> = new Set(Object.keys(EPILOGUE));

/** Checks a spec that was read from a file. @throws {TypeError} if it is none */
export function checkMatmulSpec(spec: MatmulSpec): MatmulSpec {
  const numbers = [
    ...[spec.m, spec.n, spec.k, spec.batch, spec.algorithm],
    ...[spec.a, spec.b].flatMap((x) => [x?.stride, x?.batchStride]),
    ...[spec.d?.stride, spec.d?.batchStride],
  ];
  const along = [spec.a?.along, spec.b?.along].every((x) => x === "k" || x === "rows");
  const whole = numbers.every((x) => Number.isSafeInteger(x) && x >= 0) && spec.algorithm < CUBLASLT_ALGORITHMS;
  if (
    along && whole && TYPES.has(spec.type) && TYPES.has(spec.result) && EPILOGUES.has(spec.epilogue) &&
    typeof spec.tf32 === "boolean" && Math.min(spec.m, spec.n, spec.k, spec.batch) > 0
  ) return spec;
  throw new TypeError("a stored plan holds a call of cuBLASLt that is none");
}

function word(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(8));
  writeAddress(new DataView(bytes.buffer), 0, value);
  return bytes;
}

const sessionOf = librarySessions<CublasLtLibrary>({
  name: "cuBLASLt",
  find: () => findCublasLt(),
  create: ({ api }, out) => api.cublasLtCreate(out),
  check: ({ api }, status, what) => checkCublas(api, status, "cublasLtCreate", what),
});

/** One product. */
export class CublasLtMatmul implements Launchable, Disposable {
  readonly name = "cublasLtMatmul";
  readonly origin: string;
  readonly spec: MatmulSpec;
  /** Bytes of workspace that the algorithm takes. */
  readonly workspaceBytes: number;
  /** How many algorithms the library has for the product, at most {@linkcode CUBLASLT_ALGORITHMS}. */
  readonly algorithms: number;
  readonly #context: CudaContext;
  readonly #session: LibrarySession<CublasLtLibrary>;
  readonly #desc: Handle;
  readonly #layouts: readonly [a: Handle, b: Handle, d: Handle];
  readonly #algo: Uint8Array<ArrayBuffer>;
  readonly #alpha: Uint8Array<ArrayBuffer>;
  readonly #beta: Uint8Array<ArrayBuffer>;
  readonly #bias = new Uint8Array(new ArrayBuffer(8));
  #recordable: boolean | null = null;

  /** @throws {TypeError} if the library is not there, or has no such algorithm for the product */
  constructor(context: CudaContext, spec: MatmulSpec, origin = "") {
    this.#context = context;
    this.spec = spec;
    this.origin = origin;
    const session = this.#session = sessionOf(context);
    const { api } = session.library;
    const double = spec.type === "float64";
    const integer = spec.type === "int8";
    const compute = integer ? COMPUTE.int32 : double ? COMPUTE.float64 : spec.tf32 ? COMPUTE.tf32 : COMPUTE.float32;
    const scale = integer ? DATA_TYPE.int32 : double ? DATA_TYPE.float64 : DATA_TYPE.float32;
    const one = new ArrayBuffer(8);
    if (integer) new Int32Array(one)[0] = 1;
    else if (double) new Float64Array(one)[0] = 1;
    else new Float32Array(one)[0] = 1;
    this.#alpha = new Uint8Array(one);
    this.#beta = new Uint8Array(new ArrayBuffer(8));
    this.#desc = this.#handle("cublasLtMatmulDescCreate", (out) => api.cublasLtMatmulDescCreate(out, compute, scale));
    // The library's matrices have columns that are contiguous: it computes the transposed product, b first.
    this.#describe(DESC.transA, spec.b.along === "k" ? 1 : 0);
    this.#describe(DESC.transB, spec.a.along === "k" ? 0 : 1);
    this.#describe(DESC.epilogue, EPILOGUE[spec.epilogue]);
    if (this.hasBias) {
      this.#describe(DESC.biasType, DATA_TYPE[spec.result]);
      // Heuristics look at its alignment.
      this.#setBias(ALIGN);
    }
    const { m, n, k } = spec;
    this.#layouts = [
      spec.b.along === "k" ? this.#layout(k, n, spec.b) : this.#layout(n, k, spec.b),
      spec.a.along === "k" ? this.#layout(k, m, spec.a) : this.#layout(m, k, spec.a),
      this.#layout(n, m, spec.d, DATA_TYPE[spec.result]),
    ];
    const results = this.#heuristics();
    this.algorithms = results.length;
    const chosen = results[spec.algorithm];
    if (chosen === undefined) {
      throw new TypeError(
        `cuBLASLt has ${results.length} algorithms for ${this.#text()}; there is no ${spec.algorithm}`,
      );
    }
    this.#algo = chosen.algo;
    this.workspaceBytes = chosen.workspaceBytes;
  }

  get hasBias(): boolean {
    return this.spec.epilogue.endsWith("bias");
  }

  get recordable(): boolean {
    if (this.#recordable === null) {
      using room = this.#context.allocator.allocate(256, "an address");
      const { probe } = this.#session;
      const send = (): void =>
        this.#call([room.address, room.address, room.address, room.address, room.address], probe);
      this.#recordable = withLibraryNodes(this.#context, probe, send, null);
    }
    return this.#recordable;
  }

  launch(_shape: LaunchShape, args: CudaArguments, stream: CudaStream = this.#context.currentStream): void {
    const { hasBias } = this;
    this.#call(
      [args.addressIn(0), args.addressIn(1), args.addressIn(2), args.addressIn(3), hasBias ? args.addressIn(4) : 0],
      stream,
    );
    this.#context.noteLaunch(this);
    if (stream.recorder !== null) stream.recorder(this);
    else if (this.#context.launchBlocking) stream.synchronize();
  }

  withNodeParams(shape: LaunchShape, args: CudaArguments, use: (params: NodeParams) => void): void {
    const { probe } = this.#session;
    if (!withLibraryNodes(this.#context, probe, () => this.launch(shape, args, probe), use)) {
      throw new TypeError(`cuBLASLt does not send one kernel for ${this.#text()}`);
    }
  }

  /** Gives the library's descriptors back. What was recorded with it stays. */
  [Symbol.dispose](): void {
    const { api } = this.#session.library;
    for (const layout of this.#layouts) api.cublasLtMatrixLayoutDestroy(layout);
    api.cublasLtMatmulDescDestroy(this.#desc);
  }

  #call(
    addresses: readonly [a: number, b: number, d: number, workspace: number, bias: number],
    stream: CudaStream,
  ): void {
    const { library, handle } = this.#session;
    const [a, b, d, workspace, bias] = addresses;
    const [first, second, result] = this.#layouts;
    this.#context.activate();
    if (this.hasBias) this.#setBias(bias);
    const status = library.api.cublasLtMatmul(
      handle,
      this.#desc,
      this.#alpha,
      BigInt(b),
      first,
      BigInt(a),
      second,
      this.#beta,
      BigInt(d),
      result,
      BigInt(d),
      result,
      this.#algo,
      BigInt(workspace),
      BigInt(this.workspaceBytes),
      stream.handle,
    );
    if (status !== 0) checkCublas(library.api, status, "cublasLtMatmul", this.#text());
  }

  #heuristics(): { readonly algo: Uint8Array<ArrayBuffer>; readonly workspaceBytes: number }[] {
    const { library: { api }, handle } = this.#session;
    const preference = this.#handle(
      "cublasLtMatmulPreferenceCreate",
      (out) => api.cublasLtMatmulPreferenceCreate(out),
    );
    const prefer = (attribute: number, value: number, bytes: number): void => {
      const status = api.cublasLtMatmulPreferenceSetAttribute(preference, attribute, word(value), BigInt(bytes));
      checkCublas(api, status, "cublasLtMatmulPreferenceSetAttribute", `attribute ${attribute}`);
    };
    try {
      prefer(PREFERENCE_WORKSPACE, CUBLASLT_WORKSPACE, 8);
      for (const attribute of PREFERENCE_ALIGNMENTS) prefer(attribute, ALIGN, 4);
      const results = new Uint8Array(new ArrayBuffer(RESULT_BYTES * CUBLASLT_ALGORITHMS));
      const count = new Int32Array(new ArrayBuffer(8));
      const [a, b, d] = this.#layouts;
      const status = api.cublasLtMatmulAlgoGetHeuristic(
        handle,
        this.#desc,
        a,
        b,
        d,
        d,
        preference,
        CUBLASLT_ALGORITHMS,
        results,
        count,
      );
      checkCublas(api, status, "cublasLtMatmulAlgoGetHeuristic", this.#text());
      const view = new DataView(results.buffer);
      return Array.from({ length: count[0] ?? 0 }, (_, i) => RESULT_BYTES * i)
        .filter((at) => view.getInt32(at + 72, true) === 0)
        .map((at) => ({
          algo: results.slice(at, at + 64),
          workspaceBytes: Number(view.getBigUint64(at + 64, true)),
        }));
    } finally {
      api.cublasLtMatmulPreferenceDestroy(preference);
    }
  }

  #handle(operation: string, call: (out: BigUint64Array<ArrayBuffer>) => number): Handle {
    this.#context.activate();
    return handleFrom(call, (status) => checkCublas(this.#session.library.api, status, operation, this.#text()));
  }

  #describe(attribute: number, value: number): void {
    const { api } = this.#session.library;
    const status = api.cublasLtMatmulDescSetAttribute(this.#desc, attribute, word(value), 4n);
    checkCublas(api, status, "cublasLtMatmulDescSetAttribute", `attribute ${attribute}`);
  }

  #setBias(address: number): void {
    const { api } = this.#session.library;
    writeAddress(new DataView(this.#bias.buffer), 0, address);
    const status = api.cublasLtMatmulDescSetAttribute(this.#desc, DESC.biasPointer, this.#bias, 8n);
    checkCublas(api, status, "cublasLtMatmulDescSetAttribute", "the bias");
  }

  #layout(
    rows: number,
    columns: number,
    { stride, batchStride }: { readonly stride: number; readonly batchStride: number },
    type = DATA_TYPE[this.spec.type],
  ): Handle {
    const { api } = this.#session.library;
    const layout = this.#handle(
      "cublasLtMatrixLayoutCreate",
      (out) => api.cublasLtMatrixLayoutCreate(out, type, BigInt(rows), BigInt(columns), BigInt(stride)),
    );
    const set = (attribute: number, value: number, bytes: number): void => {
      const status = api.cublasLtMatrixLayoutSetAttribute(layout, attribute, word(value), BigInt(bytes));
      checkCublas(api, status, "cublasLtMatrixLayoutSetAttribute", `attribute ${attribute}`);
    };
    if (this.spec.batch > 1) {
      set(LAYOUT.batchCount, this.spec.batch, 4);
      set(LAYOUT.batchStride, batchStride, 8);
    }
    return layout;
  }

  #text(): string {
    const { m, n, k, batch, type, result, epilogue } = this.spec;
    return `${batch} × ${m} × ${n} × ${k} of ${type} to ${result}, epilogue ${epilogue}`;
  }
}
