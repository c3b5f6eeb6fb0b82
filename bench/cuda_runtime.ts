/**
 * What the CUDA runtime itself costs: compiling, loading, launching, replaying, copying, allocating.
 *
 *     deno run -A bench/cuda_runtime.ts
 *
 * Each section stands for itself: one that fails is reported with its error, and the others go on. Prints a table last and exits
 * with 1 if a section failed. Times are medians unless a row says otherwise.
 */
import {
  chooseTarget,
  CudaArguments,
  type CudaContext,
  cudaContext,
  CudaDeviceMemory,
  type CudaFunction,
  CudaGraph,
  CudaModule,
  findDriver,
  findNvrtc,
  NvrtcCompiler,
  type NvrtcRequest,
  PinnedPool,
  versionText,
} from "../src/runtime/cuda/mod.ts";
import { DiskCache } from "../src/runtime/disk_cache.ts";

const rows: (readonly [name: string, value: string])[] = [];
const failures: string[] = [];

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

function row(name: string, value: number, unit: string): void {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  rows.push([name, `${value.toFixed(digits)} ${unit}`]);
}

async function section(name: string, fn: () => void | Promise<void>): Promise<void> {
  try {
    await fn();
  } catch (error) {
    failures.push(`${name}: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`);
    rows.push([name, "FAILED"]);
  }
}

/** Median of `rounds` measurements. */
function median(rounds: number, measure: () => number): number {
  const times = Array.from({ length: rounds }, measure).sort((a, b) => a - b);
  return times[times.length >> 1] ?? NaN;
}

/** Milliseconds that `fn` takes. */
function timed(fn: () => void): number {
  const start = performance.now();
  fn();
  return performance.now() - start;
}

/** Milliseconds of the device for what `fn` sends to the current stream. */
function onDevice(context: CudaContext, fn: () => void): number {
  using start = context.stream.record({ timing: true });
  fn();
  using end = context.stream.record({ timing: true });
  end.synchronize();
  return end.millisecondsSince(start);
}

const source = (n: number): string => `
extern "C" __global__ void empty(float* p) {}
extern "C" __global__ void copy(const float4* from, float4* to, long long n) {
  long long stride = (long long)gridDim.x * blockDim.x;
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride) to[i] = from[i];
}
extern "C" __global__ void gelu(const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) { float v = x[i]; y[i] = 0.5f * v * (1.0f + erff(v * 0.70710678f)) + ${n}.0f; }
}`;

/** What later sections use; a section that needs what is missing fails with a sentence. */
function need<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`skipped: ${what} is missing`);
  return value;
}

const directory = Deno.makeTempDirSync({ prefix: "tessera-bench-" });
let context: CudaContext | undefined;
let compiler: NvrtcCompiler | undefined;
let code: Uint8Array<ArrayBuffer> | undefined;
let empty: CudaFunction | undefined;
let module: CudaModule | undefined;

await section("find libraries", () => {
  const start = performance.now();
  const driver = findDriver(), nvrtc = findNvrtc();
  row("find and open libraries", performance.now() - start, "ms");
  if (nvrtc.ok) {
    print(`nvrtc: ${versionText(nvrtc.value.version)}, ${nvrtc.value.path}`);
    compiler = new NvrtcCompiler(nvrtc.value, { cache: new DiskCache({ directory }) });
  }
  if (driver.ok) print(`driver: CUDA ${versionText(driver.value.version)}, ${driver.value.path}`);
  for (const found of [driver, nvrtc]) {
    if (!found.ok) {
      throw new Error(`${found.problem.problem} ${found.problem.remedy}\n  ${found.problem.tried.join("\n  ")}`);
    }
  }
});

await section("context", () => {
  const start = performance.now();
  context = cudaContext(0);
  row("make the context", performance.now() - start, "ms");
  const { info } = context;
  print(
    `device: ${info.name}, ${info.attributes.multiprocessors} multiprocessors, ${
      (info.totalBytes / 2 ** 30).toFixed(1)
    } GiB`,
  );
});

const request = (n: number): NvrtcRequest => {
  const { library } = need(compiler, "nvrtc");
  // Without a device, what a Hopper would get.
  const target = chooseTarget(context?.info.capability ?? 90, library, context?.driver.version ?? null);
  if (!target.ok) throw new Error(target.problem.problem);
  return { source: source(n), target: target.value, name: `bench_${n}` };
};

await section("nvrtc", async () => {
  const nvrtc = need(compiler, "nvrtc");
  const first = nvrtc.compileSync(request(0));
  code = first.bytes;
  row("nvrtc, first module of 3 kernels", first.compileMs, "ms");
  let n = 1;
  row("nvrtc, later module of 3 kernels", median(7, () => nvrtc.compileSync(request(n++)).compileMs), "ms");
  const start = performance.now();
  await Promise.all(Array.from({ length: 32 }, () => nvrtc.compile(request(n++))));
  row(
    `nvrtc, 32 modules at once on ${navigator.hardwareConcurrency} cores, each`,
    (performance.now() - start) / 32,
    "ms",
  );
  row("nvrtc, from the disk cache", median(15, () => timed(() => nvrtc.compileSync(request(0)))), "ms");
});

await section("load", () => {
  const c = need(context, "the device"), image = need(code, "compiled code");
  module = CudaModule.load(c, image, "bench");
  empty = module.function("empty");
  row(
    "load a module and find a kernel",
    median(15, () => timed(() => CudaModule.load(c, image).function("empty"))),
    "ms",
  );
});

const one = { grid: [1, 1, 1], block: [32, 1, 1] } as const;
const cluster = { ...one, grid: [2, 1, 1], cluster: [2, 1, 1] } as const;

await section("launch", async () => {
  const c = need(context, "the device"), kernel = need(empty, "a kernel");
  const args = new CudaArguments(["pointer"]);
  const burst = (shape: typeof one | typeof cluster): number => {
    const ms = timed(() => {
      for (let i = 0; i < 500; i++) kernel.launch(shape, args);
    });
    c.stream.synchronize();
    return ms * 1000 / 500;
  };
  for (let i = 0; i < 10; i++) burst(one);
  row("launch through FFI, host", median(31, () => burst(one)), "µs");
  row("launch, device, back to back", median(11, () => onDevice(c, () => burst(one)) * 1000 / 500), "µs");
  if (c.info.capability >= 90) row("launch with a cluster, host", median(31, () => burst(cluster)), "µs");
  row("set 3 arguments", median(11, () => timed(() => setArguments(100_000)) * 1000 / 100_000), "µs");
  row(
    "launch and wait",
    median(101, () => timed(() => (kernel.launch(one, args), c.stream.synchronize())) * 1000),
    "µs",
  );
  const waits: number[] = [];
  for (let i = 0; i < 51; i++) {
    const start = performance.now();
    kernel.launch(one, args);
    await c.stream.finished();
    waits.push((performance.now() - start) * 1000);
  }
  row("launch and await", waits.sort((a, b) => a - b)[25] ?? NaN, "µs");
});

function setArguments(times: number): void {
  const args = new CudaArguments(["pointer", "i32", "f32"]);
  for (let i = 0; i < times; i++) {
    args.setAddress(0, 0x7f00_0000_0000 + i);
    args.setInt(1, i);
    args.setFloat(2, i);
  }
}

await section("graph", () => {
  const c = need(context, "the device"), kernel = need(empty, "a kernel");
  const args = new CudaArguments(["pointer"]);
  const start = performance.now();
  using graph = CudaGraph.capture(c, () => {
    for (let i = 0; i < 500; i++) kernel.launch(one, args);
  });
  row("capture and instantiate 500 kernels", performance.now() - start, "ms");
  graph.upload();
  graph.replay();
  c.stream.synchronize();
  const replay = (): number => {
    const ms = timed(() => graph.replay());
    c.stream.synchronize();
    return ms * 1000;
  };
  for (let i = 0; i < 20; i++) replay();
  row("replay 500 kernels, host", median(101, replay), "µs");
  row("replay, device, a kernel", median(31, () => onDevice(c, () => graph.replay()) * 1000 / 500), "µs");
  row("update a kernel's arguments", median(101, () => timed(() => graph.update(7, one, args)) * 1000), "µs");
});

await section("copies", () => {
  const c = need(context, "the device");
  const bytes = 256 * 2 ** 20;
  const pool = new PinnedPool(c, bytes);
  const block = pool.take(bytes);
  using device = c.allocator.allocate(bytes);
  const rate = (ms: number, moved: number): number => moved / ms / 1e6;
  const h2d = (): number => onDevice(c, () => c.copyFromHost(device.address, block.pointer, bytes));
  const d2h = (): number => onDevice(c, () => c.copyToHost(block.pointer, device.address, bytes));
  h2d();
  row("copy host to device, pinned, 256 MiB", rate(median(9, h2d), bytes), "GB/s");
  d2h();
  row("copy device to host, pinned, 256 MiB", rate(median(9, d2h), bytes), "GB/s");
  pool.release(block);
  pool.empty();
  const large = 2 ** 30;
  using a = c.allocator.allocate(large);
  using b = c.allocator.allocate(large);
  const d2d = (): number => onDevice(c, () => c.copy(b.address, a.address, large));
  d2d();
  row("copy device to device, 1 GiB, read + written", rate(median(15, d2d), 2 * large), "GB/s");
  const kernel = need(module, "a kernel").function("copy");
  const args = new CudaArguments(["pointer", "pointer", "i64"]);
  args.setBuffer(0, a);
  args.setBuffer(1, b);
  args.setLong(2, large / 16);
  const shape = { grid: [c.info.attributes.multiprocessors * 8, 1, 1], block: [256, 1, 1] } as const;
  const own = (): number => onDevice(c, () => kernel.launch(shape, args));
  own();
  row("the same by a kernel, 16 bytes a thread", rate(median(15, own), 2 * large), "GB/s");
});

await section("tensors", async () => {
  const c = need(context, "the device");
  const memory = new CudaDeviceMemory();
  const data = new Uint8Array(64 * 2 ** 20).fill(3);
  using buffer = memory.allocate(c.device, data.length);
  const write = (): number => timed(() => (memory.write(buffer, 0, data), c.stream.synchronize()));
  write();
  row("write 64 MiB from an array", data.length / median(7, write) / 1e6, "GB/s");
  const read = (): number => timed(() => void memory.readSync(buffer, 0, data.length));
  read();
  row("read 64 MiB into an array", data.length / median(7, read) / 1e6, "GB/s");
  row("read 4 bytes", median(101, () => timed(() => void memory.readSync(buffer, 0, 4)) * 1000), "µs");
  const times: number[] = [];
  for (let i = 0; i < 51; i++) {
    const start = performance.now();
    await memory.read(buffer, 0, 4);
    times.push((performance.now() - start) * 1000);
  }
  row("await the read of 4 bytes", times.sort((a, b) => a - b)[25] ?? NaN, "µs");
});

await section("allocation", () => {
  const c = need(context, "the device");
  const { allocator } = c;
  const cached = (): number =>
    timed(() => {
      for (let i = 0; i < 10_000; i++) allocator.allocate(1 << 20).dispose();
    }) * 1000 / 10_000;
  cached();
  row("allocate and dispose 1 MiB, cached", median(11, cached), "µs");
  const fresh = (): number => {
    allocator.emptyCache();
    const ms = timed(() => {
      for (let i = 0; i < 100; i++) held.push(allocator.allocate(1 << 20));
    });
    for (const buffer of held.splice(0)) buffer.dispose();
    return ms * 1000 / 100;
  };
  const held: { dispose(): void }[] = [];
  fresh();
  row("allocate 1 MiB, from the driver", median(11, fresh), "µs");
  row(
    "empty the cache of 100 blocks",
    median(5, () => {
      for (let i = 0; i < 100; i++) held.push(allocator.allocate(1 << 20));
      for (const buffer of held.splice(0)) buffer.dispose();
      return timed(() => allocator.emptyCache());
    }),
    "ms",
  );
});

Deno.removeSync(directory, { recursive: true });
const width = Math.max(...rows.map(([name]) => name.length));
const valueWidth = Math.max(...rows.map(([, value]) => value.length));
if (failures.length > 0) print(`\n${failures.map((text) => `FAILED ${text}`).join("\n")}`);
print("");
for (const [name, value] of rows) print(`${name.padEnd(width)}  ${value.padStart(valueWidth)}`);
Deno.exit(failures.length > 0 ? 1 : 0);
