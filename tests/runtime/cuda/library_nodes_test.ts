/** What libraries send as nodes of recorded graphs: kernels behind a clearing of memory follow their arguments as others do. On a driver without a device. */
import assert from "node:assert/strict";
import type { CudaContext } from "../../../src/runtime/cuda/context.ts";
import { CudaGraph } from "../../../src/runtime/cuda/graphs.ts";
import { CudaArguments, type LaunchShape } from "../../../src/runtime/cuda/layout.ts";
import type { Launchable, NodeParams } from "../../../src/runtime/cuda/launchable.ts";
import { withLibraryNodes } from "../../../src/runtime/cuda/library_nodes.ts";
import { CudaModule } from "../../../src/runtime/cuda/module.ts";
import type { CudaStream } from "../../../src/runtime/cuda/stream.ts";
import { CudaDeviceMemory } from "../../../src/runtime/cuda/mod.ts";
import { fakeContext, fakeTest } from "./support.ts";

const shape: LaunchShape = { grid: [1, 1, 1], block: [32, 1, 1] };

/** Clears its result before it adds to it, as a library clears a few bytes of its workspace. */
class Cleared implements Launchable {
  readonly name = "cleared";
  readonly origin = "";
  readonly recordable = true;
  readonly #context: CudaContext;
  readonly #axpy: Launchable;
  readonly #probe: CudaStream;

  constructor(context: CudaContext) {
    this.#context = context;
    this.#axpy = CudaModule.load(context, new TextEncoder().encode("fake code")).function("axpy");
    this.#probe = context.createStream();
  }

  launch(shape: LaunchShape, args: CudaArguments, stream: CudaStream = this.#context.currentStream): void {
    const { recorder } = stream;
    // A library's kernels tell nobody.
    stream.recorder = null;
    this.#context.fill(args.addressIn(1), 0, 8, stream);
    this.#axpy.launch(shape, args, stream);
    stream.recorder = recorder;
    recorder?.(this);
  }

  withNodeParams(shape: LaunchShape, args: CudaArguments, use: (params: NodeParams) => void): void {
    assert.ok(withLibraryNodes(this.#context, this.#probe, () => this.launch(shape, args, this.#probe), use));
  }
}

fakeTest("a clearing that a library sends before its kernel follows the arguments of a recorded graph", () => {
  const context = fakeContext();
  const memory = new CudaDeviceMemory(() => context);
  const bytes = (values: readonly number[]): Uint8Array<ArrayBuffer> => new Uint8Array(new Float32Array(values).buffer);
  const buffers = [[1, 2, 3, 4], [5, 5, 5, 5], [7, 7, 7, 7]].map((values) => {
    const buffer = context.allocator.allocate(16);
    memory.write(buffer, 0, bytes(values));
    return buffer;
  });
  const [x, y, z] = buffers as [typeof buffers[0], typeof buffers[0], typeof buffers[0]];
  const read = (buffer: typeof x): number[] => [...new Float32Array(memory.readSync(buffer, 0, 16).buffer)];
  const cleared = new Cleared(context);
  const args = new CudaArguments(["pointer", "pointer", "f32", "i32"]);
  args.setBuffer(0, x);
  args.setBuffer(1, y);
  args.setFloat(2, 1);
  args.setInt(3, 4);
  using graph = CudaGraph.capture(context, (stream) => cleared.launch(shape, args, stream));
  assert.deepEqual([graph.kernels.length, graph.nodeCount], [1, 2]);
  graph.replay();
  assert.deepEqual(read(y), [1, 2, 8, 9]);
  graph.replay();
  assert.deepEqual(read(y), [1, 2, 11, 13]);
  args.setBuffer(1, z);
  args.setFloat(2, 10);
  graph.update(0, shape, args);
  graph.replay();
  assert.deepEqual(read(z), [10, 20, 37, 47]);
  assert.deepEqual(read(y), [1, 2, 11, 13]);
});

fakeTest("two kernels, or copies, are not what a graph can change", () => {
  const context = fakeContext();
  const nothing = CudaModule.load(context, new TextEncoder().encode("fake code")).function("nothing");
  const probe = context.createStream();
  const empty = new CudaArguments([]);
  const sent = (count: number): boolean =>
    withLibraryNodes(context, probe, () => {
      for (let i = 0; i < count; i++) nothing.launch(shape, empty, probe);
    }, null);
  assert.deepEqual([0, 1, 2, 3].map(sent), [false, true, false, false]);
  using room = context.allocator.allocate(16);
  assert.equal(withLibraryNodes(context, probe, () => context.fill(room.address, 0, 4, probe), null), false);
});
