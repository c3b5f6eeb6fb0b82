/**
 * Whether what a library sends to a stream is one kernel, and with which parameters.
 *
 * Enters: a function that sends to a stream kept for this. Leaves: a `CUDA_KERNEL_NODE_PARAMS`, so that a node of a recorded graph can get the arguments that the library
 * would pass. Nothing runs.
 */
import type { CudaContext } from "./context.ts";
import type { CudaStream } from "./stream.ts";

/** Calls that are unsafe in general are allowed: libraries allocate nothing here. */
const RELAXED = 2;

/** Records what `send` sends to `stream`. Whether it is one kernel; its parameters go to `use`, and are valid meanwhile only. */
export function withSingleNode(
  context: CudaContext,
  stream: CudaStream,
  send: () => void,
  use: ((params: Uint8Array<ArrayBuffer>) => void) | null,
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
    if (count[0] !== 1n) return false;
    context.check(api.cuGraphGetNodes(graph, out, count), "cuGraphGetNodes");
    const params = new Uint8Array(new ArrayBuffer(128));
    if (get(Deno.UnsafePointer.create(out[0] ?? 0n), params) !== 0) return false;
    use?.(params);
    return true;
  } finally {
    api.cuGraphDestroy(graph);
  }
}
