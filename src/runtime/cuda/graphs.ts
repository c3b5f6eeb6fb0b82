/**
 * CUDA graphs: work that is recorded once and sent again with one call.
 *
 * Enters: a function that sends work to a stream. Leaves: {@linkcode CudaGraph}, which replays it, and changes the arguments and
 * shapes of its kernels without recording again. What the recorded function allocates comes from a private pool, because the graph
 * goes on using those addresses; the graph keeps its pool for as long as it lives. Mirrors `torch.cuda.CUDAGraph`.
 */

import { InternalError } from "../../core/mod.ts";
import type { CudaContext } from "./context.ts";
import { handleFrom } from "./driver.ts";
import type { LaunchRecord } from "./errors.ts";
import type { Launchable } from "./launchable.ts";
import { clearedBefore } from "./library_nodes.ts";
import type { CudaArguments, LaunchShape } from "./layout.ts";
import type { CudaBuffer, PrivatePool } from "./memory.ts";
import { releaseWith } from "./remains.ts";
import type { CudaStream } from "./stream.ts";
import type { Handle } from "./symbols.ts";

/** Calls that are unsafe in general are allowed: the allocator's own are known to be safe. */
const RELAXED = 2;

/** One kernel of a graph, in the order of its launch. */
export interface GraphKernel {
  readonly fn: Launchable;
  readonly node: Handle;
}

/** How to record. */
export interface CaptureOptions {
  /** The stream that is recorded. Default: a stream of its own, which is best. */
  readonly stream?: CudaStream;
  /** Where memory comes from. Default: a pool of the graph's own, disposed with it. Graphs of one function share one. */
  readonly pool?: PrivatePool;
}

/** A recorded graph, ready to run. */
export class CudaGraph implements Disposable {
  readonly context: CudaContext;
  /** Its kernels in the order of their launch. */
  readonly kernels: readonly GraphKernel[];
  /** All its nodes: kernels, copies, fills, waits. */
  readonly nodeCount: number;
  readonly #exec: Handle;
  readonly #release: () => void;
  readonly #held: Set<CudaBuffer>;
  #disposed = false;

  private constructor(
    context: CudaContext,
    graph: Handle,
    exec: Handle,
    kernels: readonly GraphKernel[],
    nodeCount: number,
    pool: PrivatePool | null,
  ) {
    this.context = context;
    this.#exec = exec;
    this.kernels = kernels;
    this.nodeCount = nodeCount;
    this.#held = new Set();
    this.#release = releaseWith(this, context, () => {
      context.check(context.api.cuGraphExecDestroy(exec), "cuGraphExecDestroy");
      context.check(context.api.cuGraphDestroy(graph), "cuGraphDestroy");
      pool?.dispose();
    }, kernels);
    this.#record = {
      name: "a CUDA graph",
      get origin(): string {
        return contentText(kernels);
      },
    };
  }

  /**
   * Records what `fn` sends to the stream, which it is passed and which is current meanwhile. Nothing runs.
   *
   * `fn` must not synchronise, read from the device, or load modules: do that once before.
   *
   * @throws {CudaError} if something in `fn` cannot be recorded
   */
  static capture(context: CudaContext, fn: (stream: CudaStream) => void, options: CaptureOptions = {}): CudaGraph {
    const { api, allocator } = context;
    context.activate();
    using own = options.stream === undefined ? context.createStream() : null;
    const stream = options.stream ?? own;
    if (stream === null) throw new TypeError("capture() has no stream");
    if (stream.capturing) throw new TypeError("the stream is being captured already; graphs cannot be nested");
    const pool = options.pool ?? allocator.createPool();
    const kernels: GraphKernel[] = [];
    let graph: Handle | null = null;
    try {
      context.check(api.cuStreamBeginCapture_v2(stream.handle, RELAXED), "cuStreamBeginCapture");
      try {
        stream.recorder = (launched) => kernels.push({ fn: launched, node: lastNode(context, stream) });
        context.withStream(stream, () => allocator.withPool(pool, () => fn(stream)));
      } finally {
        stream.recorder = null;
        graph = endCapture(context, stream);
      }
      if (graph === null) throw context.driver.failure(901, "cuStreamEndCapture");
      const made = graph;
      const exec = handleFrom(
        (out) => api.cuGraphInstantiateWithFlags(out, made, 0n),
        (status) => context.check(status, "cuGraphInstantiateWithFlags", `${kernels.length} kernels`),
      );
      const owned = options.pool === undefined ? pool : null;
      return new CudaGraph(context, made, exec, kernels, countNodes(context, made), owned);
    } catch (error) {
      if (graph !== null) api.cuGraphDestroy(graph);
      if (options.pool === undefined) pool.dispose();
      throw error;
    }
  }

  /** Keeps buffers alive as long as the graph: those whose addresses it contains and that are not of its pool. */
  hold(...buffers: readonly CudaBuffer[]): void {
    for (const buffer of buffers) this.#held.add(buffer);
  }

  /** Sends the graph's description to the device, so that the first replay is as quick as the next. */
  upload(stream: CudaStream = this.context.currentStream): void {
    this.context.activate();
    this.context.check(this.context.api.cuGraphUpload(this.#live(), stream.handle), "cuGraphUpload");
  }

  /** Sends the whole graph to a stream. */
  replay(stream: CudaStream = this.context.currentStream): void {
    const { context } = this;
    context.activate();
    const status = context.api.cuGraphLaunch(this.#live(), stream.handle);
    context.noteLaunch(this.#record);
    if (status !== 0) context.check(status, "cuGraphLaunch", `${this.kernels.length} kernels`);
    if (context.launchBlocking) stream.synchronize();
  }

  /**
   * Changes the arguments and the shape of one kernel for the replays from here on. The values are copied.
   *
   * @throws {RangeError} if there is no such kernel
   * @throws {CudaError} if the change is not possible, as another cluster shape
   */
  update(index: number, shape: LaunchShape, args: CudaArguments): void {
    const kernel = this.kernels[index];
    if (kernel === undefined) {
      throw new RangeError(`the graph has ${this.kernels.length} kernels; there is no ${index}`);
    }
    const { api } = this.context;
    const set = api.cuGraphExecKernelNodeSetParams_v2 ?? api.cuGraphExecKernelNodeSetParams;
    this.context.activate();
    const what = `kernel ${index}, ${kernel.fn.name}`;
    kernel.fn.withNodeParams(shape, args, (params) => {
      const status = set(this.#live(), kernel.node, params.kernel);
      this.context.check(status, "cuGraphExecKernelNodeSetParams", what);
      if (params.clear === null) return;
      const node = clearedBefore(this.context, kernel.node);
      if (node === null) throw new InternalError(`${what} was recorded without a clearing of its memory`);
      const cleared = api.cuGraphExecMemsetNodeSetParams(this.#live(), node, params.clear, this.context.handle);
      this.context.check(cleared, "cuGraphExecMemsetNodeSetParams", what);
    });
  }

  /** Waits for the device and gives back the graph and its memory. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#release();
    this.#held.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Written down at each replay; a fault names what the graph has in it. */
  readonly #record: LaunchRecord;

  #live(): Handle {
    if (this.#disposed) throw new TypeError("this CUDA graph was disposed; capture it anew");
    return this.#exec;
  }
}

/** How many kernels of a graph an error names. */
const NAMED = 24;

/** The kernels of a graph with their origins, for errors. */
function contentText(kernels: readonly GraphKernel[]): string {
  const names = kernels.map(({ fn }) => `\n    ${fn.name}${fn.origin === "" ? "" : ` from ${fn.origin}`}`);
  const more = names.length > NAMED ? `\n    and ${names.length - NAMED} more` : "";
  return `${kernels.length} kernels:${names.slice(0, NAMED).join("")}${more}`;
}

/** What the driver says of a capture is asked for after each launch: it is written here. */
const captureInfo = {
  status: new Int32Array(new ArrayBuffer(8)),
  id: new BigUint64Array(new ArrayBuffer(8)),
  graph: new BigUint64Array(new ArrayBuffer(8)),
  nodes: new BigUint64Array(new ArrayBuffer(8)),
  count: new BigUint64Array(new ArrayBuffer(8)),
};

/** The node that the last call added: what the next one will depend on. */
function lastNode(context: CudaContext, stream: CudaStream): Handle {
  const { status, id, graph, nodes, count } = captureInfo;
  const result = context.api.cuStreamGetCaptureInfo_v2(stream.handle, status, id, graph, nodes, count);
  context.check(result, "cuStreamGetCaptureInfo");
  const list = Deno.UnsafePointer.create(nodes[0] ?? 0n);
  if (list === null || count[0] === 0n) throw new TypeError("cuStreamGetCaptureInfo: the launch left no node");
  const node = Deno.UnsafePointer.create(new Deno.UnsafePointerView(list).getBigUint64(8 * (Number(count[0]) - 1)));
  if (node === null) throw new TypeError("cuStreamGetCaptureInfo: the node is null");
  return node;
}

/** Ends a capture, also one that failed; null if it was invalidated. */
function endCapture(context: CudaContext, stream: CudaStream): Handle | null {
  const out = new BigUint64Array(new ArrayBuffer(8));
  const status = context.api.cuStreamEndCapture(stream.handle, out);
  return status === 0 ? Deno.UnsafePointer.create(out[0] ?? 0n) : null;
}

function countNodes(context: CudaContext, graph: Handle): number {
  const count = new BigUint64Array(new ArrayBuffer(8));
  context.check(context.api.cuGraphGetNodes(graph, null, count), "cuGraphGetNodes");
  return Number(count[0]);
}
