/**
 * Memory for the duration of one call, shared by everything that runs in one stream.
 *
 * Intermediate buffers and scratch memory of a compiled graph are dead when its last kernel has run, and the next graph in the stream starts after that: so one
 * arena as large as the largest graph's serves them all, and its address stays, which recorded graphs need. The zeros are another such range: every kernel
 * that uses them leaves them zero. A graph that runs while another is half done, as control flow's do, has a workspace of its own, one for each depth.
 */

import type { CudaContext } from "./context.ts";
import type { CudaBuffer } from "./memory.ts";
import type { CudaStream } from "./stream.ts";

/** The working memory of one stream. */
export class Workspace {
  readonly #context: CudaContext;
  readonly #stream: CudaStream;
  #arena: CudaBuffer | null = null;
  #zeros: CudaBuffer | null = null;

  constructor(context: CudaContext, stream: CudaStream) {
    this.#context = context;
    this.#stream = stream;
  }

  /** The address of at least `bytes` bytes of undefined content; 0 for none. */
  arena(bytes: number): number {
    if (bytes === 0) return 0;
    if (this.#arena === null || this.#arena.byteLength < bytes) {
      this.#arena?.dispose();
      this.#arena = null;
      this.#arena = this.#context.allocator.allocate(bytes, "intermediate results of compiled graphs", this.#stream);
    }
    return this.#arena.address;
  }

  /** The arena itself, after {@linkcode Workspace.arena}. */
  get arenaBuffer(): CudaBuffer {
    if (this.#arena === null) throw new TypeError("the workspace has no arena yet");
    return this.#arena;
  }

  /** The address of at least `bytes` bytes that are all zero; 0 for none. */
  zeros(bytes: number): number {
    if (bytes === 0) return 0;
    if (this.#zeros === null || this.#zeros.byteLength < bytes) {
      this.#zeros?.dispose();
      this.#zeros = null;
      this.#zeros = this.#context.allocator.allocateZeroed(bytes, "counters of kernels", this.#stream);
    }
    return this.#zeros.address;
  }
}

/** The workspaces of a stream, outermost first, and how many graphs are half done. */
interface Depths {
  readonly all: Workspace[];
  depth: number;
}

const workspaces = new WeakMap<CudaContext, Map<number, Depths>>();

function depthsOf(context: CudaContext, stream: CudaStream): Depths {
  let streams = workspaces.get(context);
  if (streams === undefined) workspaces.set(context, streams = new Map());
  let found = streams.get(stream.id);
  if (found === undefined) streams.set(stream.id, found = { all: [], depth: 0 });
  return found;
}

/** The workspace of a stream for what runs now. */
export function workspaceOf(context: CudaContext, stream: CudaStream): Workspace {
  const { all, depth } = depthsOf(context, stream);
  return all[depth] ??= new Workspace(context, stream);
}

/** Runs `fn` while a graph is half done: what runs in it leaves the graph's memory alone. */
export function withinGraph(context: CudaContext, stream: CudaStream, fn: () => void): void {
  const depths = depthsOf(context, stream);
  depths.depth++;
  try {
    fn();
  } finally {
    depths.depth--;
  }
}
