/** What only a device can show. Each test stands for itself: a fault would take the process's context with it, so it runs in another. */
import assert from "node:assert/strict";
import type { CudaContext } from "../../../src/runtime/cuda/context.ts";
import { cudaContext } from "../../../src/runtime/cuda/context.ts";
import { CudaDeviceMemory } from "../../../src/runtime/cuda/device_memory.ts";
import { diagnoseCuda } from "../../../src/runtime/cuda/diagnosis.ts";
import { CudaOutOfMemoryError } from "../../../src/runtime/cuda/errors.ts";
import { CudaGraph } from "../../../src/runtime/cuda/graphs.ts";
import { CudaArguments } from "../../../src/runtime/cuda/layout.ts";
import { chooseTarget } from "../../../src/runtime/cuda/libraries.ts";
import { type CudaFunction, CudaModule } from "../../../src/runtime/cuda/module.ts";
import { nvrtcCompiler } from "../../../src/runtime/cuda/nvrtc.ts";
import { encodeTiled } from "../../../src/runtime/cuda/tensor_map.ts";
import { gpuTest, nvrtcTest } from "./support.ts";

const SOURCE = `
extern "C" __global__ void axpy(const float* x, float* y, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] += a * x[i];
}
extern "C" __global__ void kinds(char* out, int a, unsigned b, long long c, float d, double e) {
  *(int*)out = a; *(unsigned*)(out + 4) = b; *(long long*)(out + 8) = c; *(float*)(out + 16) = d; *(double*)(out + 24) = e;
}
extern "C" __global__ void spin(long long nanoseconds) {
  long long start, now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(start));
  do { asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now)); } while (now - start < nanoseconds);
}
extern "C" __global__ void shared_sum(float* out, int n) {
  extern __shared__ float tile[];
  for (int i = threadIdx.x; i < n; i += blockDim.x) tile[i] = i;
  __syncthreads();
  if (threadIdx.x == 0) { float s = 0; for (int i = 0; i < n; i++) s += tile[i] == i; *out = s; }
}
extern "C" __global__ void store(float* p) { p[threadIdx.x] = 1; }
`;

const HOPPER = `
struct __align__(128) Map { unsigned long long words[16]; };
extern "C" __global__ void cluster_rank(unsigned* out) {
  unsigned rank, count;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(count));
  out[blockIdx.x] = rank * 100 + count;
}
extern "C" __global__ void load_box(float* out, const __grid_constant__ Map map) {
  __shared__ __align__(128) float tile[8 * 32];
  __shared__ __align__(8) unsigned long long barrier;
  unsigned b = (unsigned)__cvta_generic_to_shared(&barrier), t = (unsigned)__cvta_generic_to_shared(tile);
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(b) : "memory");
    asm volatile("fence.proxy.async;" ::: "memory");
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(b), "r"(8 * 32 * 4) : "memory");
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
                 ::"r"(t), "l"(&map), "r"(32), "r"(4), "r"(b) : "memory");
  }
  unsigned done = 0;
  while (!done) {
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0; selp.u32 %0, 1, 0, p; }"
                 : "=r"(done) : "r"(b) : "memory");
  }
  for (int i = threadIdx.x; i < 8 * 32; i += blockDim.x) out[i] = tile[i];
}
`;

nvrtcTest("the kernels of the device tests compile for sm_80 and sm_90a", async (compiler) => {
  for (const [source, arch] of [[SOURCE, "sm_80"], [SOURCE, "sm_90a"], [HOPPER, "sm_90a"]] as const) {
    await compiler.compile({ source, name: "device_tests", target: { arch, kind: "cubin" } });
  }
});

const memory = new CudaDeviceMemory();
const modules = new Map<string, CudaModule>();

async function kernel(context: CudaContext, name: string, source = SOURCE): Promise<CudaFunction> {
  let module = modules.get(source + context.device);
  if (module === undefined) {
    const compiler = nvrtcCompiler();
    const target = chooseTarget(context.info.capability, compiler.library, context.driver.version);
    if (!target.ok) throw new Error(target.problem.problem);
    const { bytes } = await compiler.compile({ source, name: "device_tests", target: target.value });
    modules.set(source + context.device, module = await CudaModule.loadAsync(context, bytes, "device_tests"));
  }
  return module.function(name, "gpu_test.ts");
}

function upload(context: CudaContext, values: Float32Array<ArrayBuffer>): ReturnType<CudaDeviceMemory["allocate"]> {
  const buffer = memory.allocate(context.device, values.byteLength);
  memory.write(buffer, 0, new Uint8Array(values.buffer));
  return buffer;
}

async function download(buffer: ReturnType<CudaDeviceMemory["allocate"]>): Promise<Float32Array<ArrayBuffer>> {
  return new Float32Array((await memory.read(buffer, 0, buffer.byteLength)).buffer);
}

/** Names the first element that is not what it should be. */
function assertEach(actual: Float32Array, expected: (i: number) => number): void {
  const i = actual.findIndex((value, at) => value !== expected(at));
  if (i >= 0) assert.fail(`element ${i} of ${actual.length} is ${actual[i]}, not ${expected(i)}`);
}

function axpyArguments(
  x: ReturnType<typeof upload>,
  y: ReturnType<typeof upload>,
  a: number,
  n: number,
): CudaArguments {
  const args = new CudaArguments(["pointer", "pointer", "f32", "i32"]);
  args.setBuffer(0, x);
  args.setBuffer(1, y);
  args.setFloat(2, a);
  args.setInt(3, n);
  return args;
}

gpuTest("device: a kernel computes what it should", async (context) => {
  const n = 100_003;
  const [x, y] = [
    upload(context, Float32Array.from({ length: n }, (_, i) => i)),
    upload(context, new Float32Array(n).fill(1)),
  ];
  const axpy = await kernel(context, "axpy");
  axpy.launch({ grid: [Math.ceil(n / 256), 1, 1], block: [256, 1, 1] }, axpyArguments(x, y, 2, n));
  assertEach(await download(y), (i) => 1 + 2 * i);
  assert.ok(axpy.attributes.registers > 0 && axpy.attributes.localBytes === 0);
  assert.ok(axpy.occupancy(256) >= 1);
});

gpuTest("device: every kind of parameter arrives", async (context) => {
  const out = context.allocator.allocateZeroed(32);
  const args = new CudaArguments(["pointer", "i32", "u32", "i64", "f32", "f64"]);
  args.setBuffer(0, out);
  args.setInt(1, -7);
  args.setInt(2, 0xffff_fffe);
  args.setLong(3, -(2 ** 40) - 1);
  args.setFloat(4, 1.5);
  args.setDouble(5, Math.PI);
  (await kernel(context, "kinds")).launch({ grid: [1, 1, 1], block: [1, 1, 1] }, args);
  const view = new DataView(memory.readSync(out, 0, 32).buffer);
  assert.deepEqual([view.getInt32(0, true), view.getUint32(4, true), view.getBigInt64(8, true)], [
    -7,
    0xffff_fffe,
    -(2n ** 40n) - 1n,
  ]);
  assert.deepEqual([view.getFloat32(16, true), view.getFloat64(24, true)], [1.5, Math.PI]);
});

gpuTest("device: large copies round trip, with and without waiting, in order with fills", async (context) => {
  const data = new Uint8Array(60_000_001).map((_, i) => i * 31 + (i >> 12));
  using buffer = memory.allocate(context.device, data.length);
  memory.write(buffer, 0, data);
  assert.ok(equal(memory.readSync(buffer, 0, data.length), data), "readSync");
  context.fill(buffer.address + 1000, 9, 5);
  const back = await memory.read(buffer, 999, 7);
  assert.deepEqual([...back], [data[999], 9, 9, 9, 9, 9, data[1005]]);
});

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

gpuTest("device: waiting for a stream leaves the event loop free", async (context) => {
  const spin = await kernel(context, "spin");
  const args = new CudaArguments(["i64"]);
  args.setLong(0, 100e6);
  let turns = 0;
  const timer = setInterval(() => turns++, 5);
  spin.launch({ grid: [1, 1, 1], block: [1, 1, 1] }, args);
  const started = performance.now();
  await context.stream.finished();
  clearInterval(timer);
  assert.ok(performance.now() - started > 60, "it returned before the kernel had ended");
  assert.ok(turns >= 2, `only ${turns} turns of the event loop while the kernel ran`);
});

gpuTest("device: events measure time and order streams", async (context) => {
  const spin = await kernel(context, "spin");
  const args = new CudaArguments(["i64"]);
  args.setLong(0, 20e6);
  const shape = { grid: [1, 1, 1], block: [1, 1, 1] } as const;
  using other = context.createStream();
  using start = context.stream.record({ timing: true });
  spin.launch(shape, args);
  using middle = context.stream.record({ timing: true });
  other.wait(middle);
  spin.launch(shape, args, other);
  using end = other.record({ timing: true });
  assert.equal(end.isDone(), false);
  end.synchronize();
  const [first, both] = [middle.millisecondsSince(start), end.millisecondsSince(start)];
  assert.ok(first >= 19 && first < 60 && both >= 39 && both < 120, `${first} and ${both} ms`);
});

gpuTest("device: more than 48 KiB of shared memory", async (context) => {
  const out = context.allocator.allocateZeroed(4);
  const n = Math.floor(context.info.attributes.sharedBytesPerBlockOptIn / 4) - 256;
  const args = new CudaArguments(["pointer", "i32"]);
  args.setBuffer(0, out);
  args.setInt(1, n);
  (await kernel(context, "shared_sum")).launch({ grid: [1, 1, 1], block: [128, 1, 1], sharedBytes: 4 * n }, args);
  assert.equal((await download(out))[0], n);
});

gpuTest("device: a graph replays, keeps its own memory, and takes new arguments", async (context) => {
  const n = 1000;
  const [x, y] = [upload(context, new Float32Array(n).fill(1)), upload(context, new Float32Array(n))];
  const axpy = await kernel(context, "axpy");
  const shape = { grid: [4, 1, 1], block: [256, 1, 1] } as const;
  using graph = CudaGraph.capture(context, () => {
    using t = context.allocator.allocateZeroed(4 * n);
    axpy.launch(shape, axpyArguments(x, t, 3, n));
    axpy.launch(shape, axpyArguments(t, y, 1, n));
  });
  graph.hold(x, y);
  assert.deepEqual([graph.kernels.length, graph.nodeCount], [2, 3]);
  graph.upload();
  assertEach(await download(y), () => 0);
  graph.replay();
  graph.replay();
  assertEach(await download(y), () => 6);
  const other = upload(context, new Float32Array(n).fill(10));
  graph.update(1, shape, axpyArguments(other, y, 2, n));
  graph.replay();
  assertEach(await download(y), () => 26);
});

gpuTest("device: two graphs share one pool", async (context) => {
  const axpy = await kernel(context, "axpy");
  const n = 256;
  const x = upload(context, new Float32Array(n).fill(2));
  const y = upload(context, new Float32Array(n));
  using pool = context.allocator.createPool();
  const record = (): CudaGraph =>
    CudaGraph.capture(context, () => {
      using t = context.allocator.allocateZeroed(4 * n);
      axpy.launch({ grid: [1, 1, 1], block: [n, 1, 1] }, axpyArguments(x, t, 1, n));
      axpy.launch({ grid: [1, 1, 1], block: [n, 1, 1] }, axpyArguments(t, y, 1, n));
    }, { pool });
  using a = record();
  const bytes = pool.reservedBytes;
  using b = record();
  assert.equal(pool.reservedBytes, bytes);
  for (const graph of [a, b, a]) graph.replay();
  assertEach(await download(y), () => 6);
});

gpuTest("device: out of memory is an error with the figures, and work goes on after it", async (context) => {
  const { allocator } = context;
  const held = allocator.allocate(1 << 20, "a megabyte");
  assert.throws(() => allocator.allocate(2 ** 44), (error: unknown) => {
    assert.ok(error instanceof CudaOutOfMemoryError, String(error));
    assert.match(
      error.message,
      /cuda:0 is out of memory: asked for 16 TiB[\s\S]*The device has [\d.]+ GiB[\s\S]*a megabyte/,
    );
    return true;
  });
  held.dispose();
  assertEach(await download(allocator.allocateZeroed(64)), () => 0);
});

gpuTest("device: memory is reused in stream order and comes back to the device", async (context) => {
  const { allocator } = context;
  const first = allocator.allocate(64 << 20);
  const address = first.address;
  first.dispose();
  assert.equal(allocator.allocate(64 << 20).address, address);
  await allocator.collect();
  allocator.emptyCache();
  assert.equal(allocator.stats().cachedBytes, 0);
});

gpuTest("device: PTX is translated by the driver", async (context) => {
  const compiler = nvrtcCompiler();
  if (context.driver.version < compiler.library.version) return;
  const { bytes } = await compiler.compile({
    source: SOURCE,
    name: "ptx",
    target: { arch: "compute_80", kind: "ptx" },
  });
  using module = await CudaModule.loadAsync(context, bytes, "ptx");
  const y = upload(context, new Float32Array(32));
  const args = new CudaArguments(["pointer"]);
  args.setBuffer(0, y);
  module.function("store").launch({ grid: [1, 1, 1], block: [32, 1, 1] }, args);
  assertEach(await download(y), () => 1);
});

gpuTest(
  "device: code for another architecture, a missing kernel and an impossible shape are explained",
  async (context) => {
    const { bytes } = nvrtcCompiler().compileSync({
      source: SOURCE,
      name: "other",
      target: { arch: context.info.capability === 80 ? "sm_90" : "sm_80", kind: "cubin" },
    });
    if (Math.floor(context.info.capability / 10) !== 8) {
      assert.throws(() => CudaModule.load(context, bytes, "other").function("store"), {
        name: "CudaError",
        message: /architecture/,
      });
    }
    const store = await kernel(context, "store");
    assert.throws(() => store.launch({ grid: [1, 1, 1], block: [4096, 1, 1] }, new CudaArguments(["pointer"])), {
      name: "CudaError",
      message: /cuLaunchKernel \(store, grid 1×1×1, block 4096×1×1/,
    });
    await assert.rejects(kernel(context, "no_such_kernel"), { name: "CudaError", message: /no_such_kernel/ });
  },
);

gpuTest("device: clusters launch on Hopper and later", async (context) => {
  if (context.info.capability < 90) return;
  const rank = await kernel(context, "cluster_rank", HOPPER);
  const out = context.allocator.allocateZeroed(32);
  const args = new CudaArguments(["pointer"]);
  args.setBuffer(0, out);
  const shape = { grid: [8, 1, 1], block: [32, 1, 1], cluster: [4, 1, 1] } as const;
  assert.ok(rank.clusterOccupancy(shape) >= 1);
  rank.launch(shape, args);
  const found = [...new Uint32Array(memory.readSync(out, 0, 32).buffer)];
  assert.deepEqual(found, [4, 104, 204, 304, 4, 104, 204, 304]);
});

gpuTest("device: a tensor map loads a box of a matrix on Hopper and later", async (context) => {
  if (context.info.capability < 90) return;
  const load = await kernel(context, "load_box", HOPPER);
  const matrix = upload(context, Float32Array.from({ length: 64 * 128 }, (_, i) => i));
  const out = context.allocator.allocateZeroed(4 * 8 * 32);
  const args = new CudaArguments(["pointer", "tensorMap"]);
  args.setBuffer(0, out);
  encodeTiled(context, {
    type: "float32",
    address: matrix.address,
    sizes: [128, 64],
    strideBytes: [512],
    box: [32, 8],
  }, args.tensorMap(1));
  args.hold(1, matrix);
  load.launch({ grid: [1, 1, 1], block: [64, 1, 1] }, args);
  assertEach(await download(out), (i) => (4 + Math.floor(i / 32)) * 128 + 32 + i % 32);
});

gpuTest("device: a kernel that faults, in another process beside this one, is named with its origin", () => {
  const module = new URL("../../../src/runtime/cuda/mod.ts", import.meta.url).href;
  const script = `import { chooseTarget, CudaArguments, cudaContext, CudaModule, nvrtcCompiler } from ${
    JSON.stringify(module)
  };
    const context = cudaContext(0), compiler = nvrtcCompiler();
    const target = chooseTarget(context.info.capability, compiler.library, context.driver.version).value;
    const source = 'extern "C" __global__ void wild(float* p) { p[threadIdx.x] = 1; }';
    const { bytes } = await compiler.compile({ source, name: "wild", target });
    const args = new CudaArguments(["pointer"]); args.setAddress(0, 0x1000);
    CudaModule.load(context, bytes).function("wild", "aten.add at net.ts:3").launch({ grid: [1, 1, 1], block: [32, 1, 1] }, args);
    let text = ""; try { await context.stream.finished(); } catch (error) { text = error.name + " " + error.sticky + " " + error.message; }
    Deno.stdout.writeSync(new TextEncoder().encode(text)); Deno.exit(0);`;
  const file = Deno.makeTempFileSync({ suffix: ".ts" });
  try {
    Deno.writeTextFileSync(file, script);
    const output = new Deno.Command(Deno.execPath(), { args: ["run", "-A", "--no-check", "--no-config", file] })
      .outputSync();
    const text = new TextDecoder().decode(output.stdout);
    assert.match(
      text,
      /^CudaError true .*CUDA_ERROR_ILLEGAL_ADDRESS \(700\)[\s\S]*\n {2}wild from aten\.add at net\.ts:3$/,
      new TextDecoder().decode(output.stderr),
    );
  } finally {
    Deno.removeSync(file);
  }
});

gpuTest("device: copies between two devices", async (context) => {
  const peer = cudaContext(1);
  const [from, to] = [upload(context, new Float32Array(1000).fill(5)), memory.allocate(peer.device, 4000)];
  context.copyToPeer(peer, to.address, from.address, 4000);
  assertEach(await download(to), () => 5);
}, 2);

gpuTest("device: the driver knows its own memory and pinned memory, and no other", (context) => {
  using buffer = context.allocator.allocate(100);
  assert.deepEqual(context.pointerInfo(buffer.address), { kind: "device", ordinal: 0 });
  assert.equal(context.pointerInfo(0x1000), null);
});

gpuTest("device: the diagnosis finds everything well", () => {
  const found = diagnoseCuda();
  assert.deepEqual([found.usable, found.problems], [true, []]);
  assert.match(found.devices[0]?.target?.arch ?? "", /^sm_\d+a?$/);
});

gpuTest("device: a number that is none is refused with those there are", () => {
  assert.throws(() => cudaContext(99), { name: "RangeError", message: /"cuda:99" does not exist: use cuda:0 \(/ });
});
