/**
 * Memory for the duration of one call, shared by everything that runs in one stream.
 *
 * Intermediate buffers and scratch memory of a compiled graph are dead when its last kernel has run, and the next graph in the stream starts after that: so one
 * arena as large as the largest graph's serves them all, and its address stays, which recorded graphs need. The zeros are another such range: every kernel
 * that uses them leaves them zero. Where memory runs out, arenas that no call is using are given up. A graph that runs while another is half done, as control flow's do, has a workspace of its own, one for each depth.
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

  /** Gives the arena's memory back; whoever needs it next makes another. */
  giveUp(): void {
    this.#arena?.dispose();
    this.#arena = null;
  }

  dispose(): void {
    this.giveUp();
    this.#zeros?.dispose();
    this.#zeros = null;
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

/** The workspaces of a stream, outermost first, how many graphs are half done, and how many calls are being sent. */
interface Depths {
  readonly all: Workspace[];
  depth: number;
  calls: number;
}

const workspaces = new WeakMap<CudaStream, Depths>();

function depthsOf(stream: CudaStream): Depths {
  let found = workspaces.get(stream);
  if (found === undefined) workspaces.set(stream, found = { all: [], depth: 0, calls: 0 });
  return found;
}

/** Contexts whose workspaces are given up where memory runs out. */
const yielding = new WeakSet<CudaContext>();

/** Arenas that no call is using: the next one takes memory anew. The order of their stream protects what still runs in them. */
function giveUpArenas(context: CudaContext): void {
  for (const stream of context.streams) {
    const depths = workspaces.get(stream);
    depths?.all.slice(depths.calls).forEach((workspace) => workspace.giveUp());
  }
}

/** Gives everything of a stream back, before it goes. */
export function dropWorkspaces(stream: CudaStream): void {
  for (const workspace of workspaces.get(stream)?.all ?? []) workspace.dispose();
  workspaces.delete(stream);
}

/** Says that a call is being sent, so that its workspace stays where it is; the end of the call is said to what is returned. */
export function beginCall(context: CudaContext, stream: CudaStream): { calls: number } {
  if (!yielding.has(context)) {
    yielding.add(context);
    context.allocator.onPressure(() => giveUpArenas(context));
  }
  const depths = depthsOf(stream);
  depths.calls++;
  return depths;
}

/** The workspace of a stream for what runs now. */
export function workspaceOf(context: CudaContext, stream: CudaStream): Workspace {
  const { all, depth } = depthsOf(stream);
  return all[depth] ??= new Workspace(context, stream);
}

/** Runs `fn` while a graph is half done: what runs in it leaves the graph's memory alone. */
export function withinGraph(stream: CudaStream, fn: () => void): void {
  const depths = depthsOf(stream);
  depths.depth++;
  try {
    fn();
  } finally {
    depths.depth--;
  }
}
