/**
 * A convolution by cuDNN, as something that a plan launches.
 *
 * Enters: a {@linkcode ConvolutionSpec}, plain data. Leaves: {@linkcode CudnnConvolution}, whose launches take the arguments `x, w, y, workspace` and then what the steps
 * read, in their order. The convolution and its steps are one graph of the library's backend, summed in float32; which of its engines runs is a number in the order of its
 * own heuristics: plans on disk hold that number alone. In a recorded graph a convolution is its one kernel; engines that send several are for calls without graphs.
 */
import type { ConvolutionSpec, ConvolutionStep, ConvolutionType } from "../../core/convolution_spec.ts";
import type { CudaContext } from "./context.ts";
import { CudnnDescriptor } from "./cudnn_descriptor.ts";
import { checkCudnn, type CudnnApi, type CudnnLibrary, findCudnn } from "./cudnn_library.ts";
import type { Launchable, NodeParams } from "./launchable.ts";
import type { CudaArguments, LaunchShape } from "./layout.ts";
import { type LibrarySession, librarySessions } from "./library_session.ts";
import { withLibraryNodes } from "./library_nodes.ts";
import type { CudaStream } from "./stream.ts";

export type { ConvolutionSpec, ConvolutionStep, ConvolutionType };

/** Bytes of device memory that engines may use. */
export const CUDNN_WORKSPACE = 32 * 2 ** 20;
/** Engines that are asked for. */
export const CUDNN_ALGORITHMS = 8;

const DATA_TYPE: Readonly<Record<ConvolutionType, number>> = { float32: 0, float16: 2, bfloat16: 9 };
const CROSS_CORRELATION = 1;
const POINTWISE = { add: 0, relu: 100 } as const;
const HEURISTICS_A = 3;
/** Alignment that all tensors have. */
const ALIGN = 16;
/** Numbers of tensors: x, w, y, then what steps read; behind them, what only the graph knows. */
const [X, W, Y, FIRST_EXTRA, FIRST_VIRTUAL] = [1, 2, 3, 4, 32];

/** Checks a spec that was read from a file. @throws {TypeError} if it is none */
export function checkConvolutionSpec(spec: ConvolutionSpec): ConvolutionSpec {
  const isType = (t: unknown): boolean => Object.hasOwn(DATA_TYPE, String(t));
  const whole = (x: unknown, least = 0): boolean => Number.isSafeInteger(x) && Number(x) >= least;
  const spatial = Array.isArray(spec.size) ? spec.size.length : 0;
  const list = (x: unknown, length: number, least: number): boolean =>
    Array.isArray(x) && x.length === length && x.every((e) => whole(e, least));
  const isStep = (step: unknown): boolean => {
    const { kind, type, strides } = Object(step) as Record<string, unknown>;
    return kind === "relu" || (kind === "bias" && isType(type)) ||
      (kind === "add" && isType(type) && list(strides, spatial + 2, 0));
  };
  const positive = [spec.size, spec.window, spec.output, spec.stride, spec.dilation].every((x) => list(x, spatial, 1));
  const paddings = [spec.before, spec.behind].every((x) => list(x, spatial, 0));
  const strides = [spec.x, spec.w, spec.y].every((x) => list(x, spatial + 2, 0));
  const counts = [spec.batch, spec.groups, spec.channels, spec.features].every((x) => whole(x, 1));
  const steps = Array.isArray(spec.steps) && spec.steps.length <= 8 && spec.steps.every(isStep);
  if (
    spec.kind === "convolution" && (spatial === 2 || spatial === 3) && positive && paddings && strides && counts &&
    steps && isType(spec.type) && isType(spec.result) && whole(spec.algorithm) && spec.algorithm < CUDNN_ALGORITHMS &&
    spec.channels % spec.groups === 0 && spec.features % spec.groups === 0
  ) return spec;
  throw new TypeError("a stored plan holds a call of cuDNN that is none");
}

const sessionOf = librarySessions<CudnnLibrary>({
  name: "cuDNN",
  find: () => findCudnn(),
  create: ({ api }, out) => api.cudnnCreate(out),
  check: ({ api }, status, what) => checkCudnn(api, status, "cudnnCreate", what),
});

/** The operations of a convolution and its steps; every descriptor is told to `keep`. */
function operations(
  api: CudnnApi,
  spec: ConvolutionSpec,
  what: string,
  keep: (descriptor: CudnnDescriptor) => CudnnDescriptor,
): CudnnDescriptor[] {
  const make = (
    kind: Parameters<typeof CudnnDescriptor.make>[1],
    attributes: Parameters<typeof CudnnDescriptor.make>[2],
  ): CudnnDescriptor => keep(CudnnDescriptor.make(api, kind, attributes, what));
  const spatial = spec.size.length;
  const result = [spec.batch, spec.features, ...spec.output];
  const tensor = (
    id: number,
    type: ConvolutionType,
    sizes: readonly number[],
    strides: readonly number[],
  ): CudnnDescriptor =>
    make("tensor", {
      tensorId: { int64: [id] },
      tensorType: { dataType: DATA_TYPE[type] },
      tensorSizes: { int64: sizes },
      tensorStrides: { int64: strides },
      tensorAlignment: { int64: [ALIGN] },
      ...(id >= FIRST_VIRTUAL ? { tensorVirtual: { boolean: true } } : {}),
    });
  // Sums stay in float32 until the last step.
  const sumAfter = (i: number): CudnnDescriptor =>
    i === spec.steps.length
      ? tensor(Y, spec.result, result, spec.y)
      : tensor(FIRST_VIRTUAL + i, "float32", result, spec.y);
  let sum = sumAfter(0);
  const list = [make("convolutionForward", {
    forwardConvolution: {
      descriptor: [make("convolution", {
        convolutionType: { dataType: DATA_TYPE.float32 },
        convolutionMode: { convolutionMode: CROSS_CORRELATION },
        convolutionSpatial: { int64: [spatial] },
        convolutionDilations: { int64: spec.dilation },
        convolutionStrides: { int64: spec.stride },
        convolutionBefore: { int64: spec.before },
        convolutionBehind: { int64: spec.behind },
      })],
    },
    forwardX: { descriptor: [tensor(X, spec.type, [spec.batch, spec.channels, ...spec.size], spec.x)] },
    forwardW: {
      descriptor: [tensor(W, spec.type, [spec.features, spec.channels / spec.groups, ...spec.window], spec.w)],
    },
    forwardY: { descriptor: [sum] },
    forwardAlpha: { float: 1 },
    forwardBeta: { float: 0 },
  })];
  let extra = FIRST_EXTRA;
  spec.steps.forEach((step, i) => {
    const input = sum;
    sum = sumAfter(i + 1);
    const pointwise = make("pointwise", {
      pointwiseMode: { pointwiseMode: step.kind === "relu" ? POINTWISE.relu : POINTWISE.add },
      pointwisePrecision: { dataType: DATA_TYPE.float32 },
    });
    const ones = spec.output.map(() => 1);
    const other = step.kind === "relu"
      ? null
      : step.kind === "add"
      ? tensor(extra++, step.type, result, step.strides)
      : tensor(extra++, step.type, [1, spec.features, ...ones], [spec.features, 1, ...ones.map(() => spec.features)]);
    list.push(make("pointwiseOperation", {
      pointwiseDescriptor: { descriptor: [pointwise] },
      pointwiseX: { descriptor: [input] },
      ...(other === null ? {} : { pointwiseB: { descriptor: [other] } }),
      pointwiseY: { descriptor: [sum] },
    }));
  });
  return list;
}

/** One convolution. */
export class CudnnConvolution implements Launchable, Disposable {
  readonly name = "cudnnConvolution";
  readonly origin: string;
  readonly spec: ConvolutionSpec;
  /** Bytes of workspace that the engine takes. */
  readonly workspaceBytes: number;
  /** How many engines the library has for the convolution, at most {@linkcode CUDNN_ALGORITHMS}. */
  readonly algorithms: number;
  readonly #context: CudaContext;
  readonly #session: LibrarySession<CudnnLibrary>;
  readonly #plan: CudnnDescriptor;
  readonly #held: CudnnDescriptor[] = [];
  readonly #ids: readonly number[];
  #recordable: boolean | null = null;

  /** @throws {TypeError} if the library is not there, or has no such engine for the convolution */
  constructor(context: CudaContext, spec: ConvolutionSpec, origin = "") {
    this.#context = context;
    this.spec = spec;
    this.origin = origin;
    const session = this.#session = sessionOf(context);
    const { library: { api }, handle } = session;
    const what = convolutionToText(spec);
    const extras = spec.steps.filter((step) => step.kind !== "relu").length;
    this.#ids = [X, W, Y, ...Array.from({ length: extras }, (_, i) => FIRST_EXTRA + i)];
    context.activate();
    // Plans may look at what they were made of: all of it stays until the end.
    const held = this.#held;
    const keep = (descriptor: CudnnDescriptor): CudnnDescriptor => {
      held.push(descriptor);
      return descriptor;
    };
    try {
      const graph = keep(CudnnDescriptor.make(api, "graph", {
        graphHandle: { handle },
        graphOperations: { descriptor: operations(api, spec, what, keep) },
      }, what));
      const heuristics = keep(CudnnDescriptor.make(api, "engineHeuristics", {
        heuristicsGraph: { descriptor: [graph] },
        heuristicsMode: { heuristicsMode: HEURISTICS_A },
      }, what));
      const engines = Array.from({ length: CUDNN_ALGORITHMS }, () => keep(CudnnDescriptor.empty(api, "engineConfig")));
      this.algorithms = heuristics.fill("heuristicsResults", engines);
      const engine = engines[spec.algorithm];
      if (engine === undefined || spec.algorithm >= this.algorithms) {
        throw new TypeError(`cuDNN has ${this.algorithms} engines for ${what}; there is no ${spec.algorithm}`);
      }
      this.#plan = keep(CudnnDescriptor.make(api, "plan", {
        planHandle: { handle },
        planEngine: { descriptor: [engine] },
      }, what));
      this.workspaceBytes = this.#plan.integer("planWorkspace");
      if (this.workspaceBytes > CUDNN_WORKSPACE) {
        throw new TypeError(
          `cuDNN's engine ${spec.algorithm} takes ${this.workspaceBytes} bytes of workspace for ${what}`,
        );
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  get recordable(): boolean {
    if (this.#recordable === null) {
      using room = this.#context.allocator.allocate(256, "an address");
      const { probe } = this.#session;
      const send = (): void => this.#call(this.#ids.map(() => room.address), room.address, probe);
      this.#recordable = withLibraryNodes(this.#context, probe, send, null);
    }
    return this.#recordable;
  }

  launch(_shape: LaunchShape, args: CudaArguments, stream: CudaStream = this.#context.currentStream): void {
    // The workspace stands between the result and what steps read.
    const pointers = this.#ids.map((_, i) => args.addressIn(i < 3 ? i : i + 1));
    this.#call(pointers, args.addressIn(3), stream);
    this.#context.noteLaunch(this);
    if (stream.recorder !== null) stream.recorder(this);
    else if (this.#context.launchBlocking) stream.synchronize();
  }

  withNodeParams(shape: LaunchShape, args: CudaArguments, use: (params: NodeParams) => void): void {
    const { probe } = this.#session;
    if (!withLibraryNodes(this.#context, probe, () => this.launch(shape, args, probe), use)) {
      throw new TypeError(`cuDNN does not send one kernel for ${convolutionToText(this.spec)}`);
    }
  }

  /** Gives the library's descriptors back. What was recorded with it stays. */
  [Symbol.dispose](): void {
    for (const descriptor of this.#held.reverse()) descriptor[Symbol.dispose]();
    this.#held.length = 0;
  }

  #call(pointers: readonly number[], workspace: number, stream: CudaStream): void {
    const { library: { api }, handle } = this.#session;
    this.#context.activate();
    checkCudnn(api, api.cudnnSetStream(handle, stream.handle), "cudnnSetStream", String(this.#context.device));
    using pack = CudnnDescriptor.make(api, "variantPack", {
      packIds: { int64: this.#ids },
      packPointers: { pointer: pointers },
      packWorkspace: { pointer: [workspace] },
    });
    const status = api.cudnnBackendExecute(handle, this.#plan.handle, pack.handle);
    if (status !== 0) checkCudnn(api, status, "cudnnBackendExecute", convolutionToText(this.spec));
  }
}

/** A convolution in a line. */
function convolutionToText(spec: ConvolutionSpec): string {
  const { batch, channels, features, size, window, stride, groups, type, steps } = spec;
  const by = (list: readonly number[]): string => list.join("×");
  const ending = steps.map(({ kind }) => `, ${kind}`).join("");
  return `${batch}×${channels}×${by(size)} with ${features} windows of ${by(window)} in steps of ${by(stride)}${
    groups === 1 ? "" : ` in ${groups} groups`
  } of ${type}${ending}`;
}
