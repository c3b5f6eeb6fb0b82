/**
 * Memory for the duration of one call, shared by everything that runs in one stream.
 *
 * Intermediate buffers and scratch memory of a compiled graph are dead when its last kernel has run, and the next graph in the stream starts after that: so one
 * arena as large as the largest graph's serves them all, and its address stays, which recorded graphs need. The zeros are another such range: every kernel
 * that uses them leaves them zero.
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

const workspaces = new WeakMap<CudaContext, Map<number, Workspace>>();

/** The workspace of a stream. */
export function workspaceOf(context: CudaContext, stream: CudaStream): Workspace {
  let streams = workspaces.get(context);
  if (streams === undefined) workspaces.set(context, streams = new Map());
  let found = streams.get(stream.id);
  if (found === undefined) streams.set(stream.id, found = new Workspace(context, stream));
  return found;
}
