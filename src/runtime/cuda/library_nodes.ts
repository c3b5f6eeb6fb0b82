/**
 * What a library sends to a stream, as nodes of a graph: one kernel, or one that a few bytes of the workspace are cleared for.
 *
 * Enters: a function that sends to a stream kept for this. Leaves: a `CUDA_KERNEL_NODE_PARAMS` and, where something is cleared, a `CUDA_MEMSET_NODE_PARAMS`, so that nodes of a recorded
 * graph can get the arguments that the library would pass. Nothing runs.
 */
import type { CudaContext } from "./context.ts";
import type { NodeParams } from "./launchable.ts";
import type { CudaStream } from "./stream.ts";
import type { Handle } from "./symbols.ts";

/** Calls that are unsafe in general are allowed: libraries allocate nothing here. */
const RELAXED = 2;
const KERNEL = 0;
const MEMSET = 2;

/** The kind of a node, as the driver numbers it. */
function kindOf(context: CudaContext, node: Handle): number {
  const out = new Int32Array(new ArrayBuffer(8));
  context.check(context.api.cuGraphNodeGetType(node, out), "cuGraphNodeGetType");
  return out[0] ?? -1;
}

function handles(list: BigUint64Array<ArrayBuffer>, count: number): Handle[] {
  return Array.from(list.subarray(0, count), (address) => {
    const handle = Deno.UnsafePointer.create(address);
    if (handle === null) throw new TypeError("a graph has a node that is null");
    return handle;
  });
}

/** The node that clears memory for a kernel of a graph: what it alone depends on; null if that is something else. */
export function clearedBefore(context: CudaContext, kernel: Handle): Handle | null {
  const { api } = context;
  const count = new BigUint64Array(new ArrayBuffer(8));
  context.check(api.cuGraphNodeGetDependencies(kernel, null, count), "cuGraphNodeGetDependencies");
  if (count[0] !== 1n) return null;
  const list = new BigUint64Array(new ArrayBuffer(8));
  context.check(api.cuGraphNodeGetDependencies(kernel, list, count), "cuGraphNodeGetDependencies");
  const [node] = handles(list, 1);
  return node !== undefined && kindOf(context, node) === MEMSET ? node : null;
}

/** Records what `send` sends to `stream`. Whether it is one kernel, perhaps behind a clearing; parameters go to `use`, and are valid meanwhile only. */
export function withLibraryNodes(
  context: CudaContext,
  stream: CudaStream,
  send: () => void,
  use: ((params: NodeParams) => void) | null,
): boolean {
  const { api } = context;
  const get = api.cuGraphKernelNodeGetParams_v2;
  if (get === null) return false;
  context.activate();
  context.check(api.cuStreamBeginCapture_v2(stream.handle, RELAXED), "cuStreamBeginCapture");
  const out = new BigUint64Array(new ArrayBuffer(8));
  try {
    send();
  } finally {
    context.check(api.cuStreamEndCapture(stream.handle, out), "cuStreamEndCapture");
  }
  const graph = Deno.UnsafePointer.create(out[0] ?? 0n);
  if (graph === null) return false;
  try {
    const count = new BigUint64Array(new ArrayBuffer(8));
    context.check(api.cuGraphGetNodes(graph, null, count), "cuGraphGetNodes");
    if (count[0] !== 1n && count[0] !== 2n) return false;
    const list = new BigUint64Array(new ArrayBuffer(16));
    context.check(api.cuGraphGetNodes(graph, list, count), "cuGraphGetNodes");
    const nodes = handles(list, Number(count[0]));
    const last = nodes.find((node) => kindOf(context, node) === KERNEL);
    if (last === undefined) return false;
    const clearing = nodes.length === 2 ? clearedBefore(context, last) : null;
    if (nodes.length === 2 && clearing === null) return false;
    const kernel = new Uint8Array(new ArrayBuffer(128));
    if (get(last, kernel) !== 0) return false;
    const clear = clearing === null ? null : new Uint8Array(new ArrayBuffer(64));
    if (clearing !== null && clear !== null && api.cuGraphMemsetNodeGetParams(clearing, clear) !== 0) return false;
    use?.({ kernel, clear });
    return true;
  } finally {
    api.cuGraphDestroy(graph);
  }
}
