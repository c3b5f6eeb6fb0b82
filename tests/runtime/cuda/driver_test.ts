import assert from "node:assert/strict";
import { device } from "../../../src/core/device.ts";
import { CudaContext } from "../../../src/runtime/cuda/context.ts";
import { CudaDeviceMemory } from "../../../src/runtime/cuda/device_memory.ts";
import { diagnose } from "../../../src/runtime/cuda/diagnosis.ts";
import { initialize } from "../../../src/runtime/cuda/driver.ts";
import { CudaError, CudaOutOfMemoryError, isSticky } from "../../../src/runtime/cuda/errors.ts";
import { CudaGraph } from "../../../src/runtime/cuda/graphs.ts";
import { CudaArguments, type LaunchShape } from "../../../src/runtime/cuda/layout.ts";
import { type Found, type NvrtcLibrary, openDriver, openNvrtc } from "../../../src/runtime/cuda/libraries.ts";
import { CudaModule } from "../../../src/runtime/cuda/module.ts";
import { encodeIm2col, encodeTiled } from "../../../src/runtime/cuda/tensor_map.ts";
import type { DeviceMemory } from "../../../src/tensor/memory.ts";
import { fakeContext, fakeTest } from "./support.ts";

const image = new TextEncoder().encode("fake code");
const shape: LaunchShape = { grid: [1, 1, 1], block: [32, 1, 1] };
const floats = (bytes: Uint8Array<ArrayBuffer>): number[] => [...new Float32Array(bytes.buffer)];
const bytesOf = (values: readonly number[]): Uint8Array<ArrayBuffer> => new Uint8Array(new Float32Array(values).buffer);

fakeTest("a driver that shows no device, is too old, or refuses is a problem, not an exception", (fake) => {
  fake.set("devices", 0);
  const none = initialize(openDriver([fake.path]));
  assert.ok(!none.ok && none.problem.kind === "no-device");
  assert.match(none.ok ? "" : none.problem.remedy, /CUDA_VISIBLE_DEVICES/);
  fake.set("initStatus", 803);
  const mismatch = initialize(openDriver([fake.path]));
  assert.ok(!mismatch.ok && mismatch.problem.kind === "driver-fails");
  assert.match(
    mismatch.ok ? "" : mismatch.problem.problem,
    /cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH \(803\).*reboot/,
  );
  fake.set("version", 11_020);
  const old = openDriver([fake.path]);
  assert.ok(!old.ok && old.problem.kind === "driver-too-old");
  assert.match(old.ok ? "" : old.problem.problem, /serves CUDA 11\.2; 11\.4 is the oldest/);
});

fakeTest("the diagnosis lists what there is and, in order, what is to be mended", (fake) => {
  const driver = openDriver([fake.path]);
  const nvrtc = { ok: true, value: { path: "n", version: 13_000, architectures: [80, 90] } } as unknown as Found<
    NvrtcLibrary
  >;
  const well = diagnose(driver, nvrtc);
  assert.deepEqual([well.usable, well.problems, well.devices[0]?.target?.arch], [true, [], "sm_90a"]);
  const old = { ok: true, value: { path: "n", version: 13_000, architectures: [100] } } as unknown as Found<
    NvrtcLibrary
  >;
  const unfit = diagnose(driver, old);
  assert.equal(unfit.usable, false);
  assert.match(
    unfit.problems[0]?.problem ?? "",
    /cuda:0 \(Fake H100\): nvrtc 13\.0 no longer compiles for compute capability 9\.0/,
  );
  fake.set("devices", 0);
  const nothing = diagnose(driver, openNvrtc([], 13_000));
  assert.deepEqual(nothing.problems.map((p) => p.kind), ["no-device", "no-nvrtc"]);
  assert.equal(diagnose(openDriver([]), openNvrtc([], null)).driver, null);
});

fakeTest("devices tell their name, capability and sizes, and a number that is none lists them", () => {
  const { driver, info } = fakeContext();
  assert.deepEqual([info.name, info.capability, info.totalBytes], ["Fake H100", 90, 2 ** 30]);
  assert.deepEqual([info.attributes.multiprocessors, info.attributes.sharedBytesPerBlockOptIn], [131, 232448]);
  // The fake driver does not know this attribute: then the feature is not there.
  assert.equal(info.attributes.tensorMaps, 0);
  assert.throws(() => driver.device(3), {
    name: "RangeError",
    message: /"cuda:3" does not exist: use cuda:0 \(Fake H100\)/,
  });
});

fakeTest("a launch hands every kind of parameter to the kernel at its place", (fake) => {
  const context = fakeContext();
  const kinds = CudaModule.load(context, image).function("kinds");
  const out = context.allocator.allocateZeroed(256);
  const args = new CudaArguments(["pointer", "i32", "u32", "i64", "f32", "f64", "tensorMap"]);
  args.setBuffer(0, out);
  args.setInt(1, -7);
  args.setInt(2, 0xffff_fffe);
  args.setLong(3, -(2 ** 40) - 1);
  args.setFloat(4, 1.5);
  args.setDouble(5, Math.PI);
  args.tensorMap(6).fill(0xab);
  kinds.launch({ grid: [3, 2, 1], block: [64, 4, 2], sharedBytes: 1000 }, args);
  assert.deepEqual(fake.lastLaunch().slice(0, 7), [3, 2, 1, 64, 4, 2, 1000]);
  const view = new DataView(new CudaDeviceMemory(() => context).readSync(out, 0, 168).buffer);
  assert.equal(Number(view.getBigUint64(0, true)), out.address);
  assert.equal(view.getInt32(8, true), -7);
  assert.equal(view.getUint32(12, true), 0xffff_fffe);
  assert.equal(view.getBigInt64(16, true), -(2n ** 40n) - 1n);
  assert.equal(view.getFloat32(24, true), 1.5);
  assert.equal(view.getFloat64(28, true), Math.PI);
  assert.ok([...Array(128).keys()].every((i) => view.getUint8(36 + i) === 0xab) && view.getUint8(164) === 0);
  assert.throws(() => args.setInt(7, 0), { name: "RangeError", message: /has 7 parameters; there is no 7/ });
  assert.throws(() => args.tensorMap(1), { name: "TypeError", message: /parameter 1 is i32/ });
});

fakeTest("clusters and cooperation go through the structure of cuLaunchKernelEx", (fake) => {
  const context = fakeContext();
  const fn = CudaModule.load(context, image).function("nothing");
  const cluster: LaunchShape = { grid: [8, 2, 1], block: [128, 1, 1], cluster: [2, 1, 1], cooperative: true };
  for (let i = 0; i < 2; i++) {
    fn.launch(cluster, new CudaArguments([]));
    assert.deepEqual(fake.lastLaunch(), [8, 2, 1, 128, 1, 1, 0, 211, 1, 0]);
  }
  using other = context.createStream({ urgent: true });
  fn.launch({ ...cluster, sharedBytes: 5, cluster: [4, 2, 1] }, new CudaArguments([]), other);
  assert.deepEqual(fake.lastLaunch(), [8, 2, 1, 128, 1, 1, 5, 421, 1, 0]);
  assert.equal(fn.clusterOccupancy(cluster), 66);
  assert.equal(fn.occupancy(256, 1000), 8);
});

fakeTest(
  "shared memory beyond 48 KiB is asked for, and more than the device has is refused with the figures",
  (fake) => {
    const context = fakeContext();
    const fn = CudaModule.load(context, image).function("nothing");
    // With what the kernel has of its own more than 48 KiB.
    fn.launch({ ...shape, sharedBytes: 45_000 }, new CudaArguments([]));
    fn.launch({ ...shape, sharedBytes: 200_000 }, new CudaArguments([]));
    assert.equal(fake.lastLaunch()[6], 200_000);
    assert.throws(() => fn.launch({ ...shape, sharedBytes: 300_000 }, new CudaArguments([])), {
      name: "RangeError",
      message: /kernel nothing wants 300000 bytes of dynamic shared memory; Fake H100 has 232448/,
    });
  },
);

fakeTest("a fault names the operation, the meaning, and the launches before it with their origins", () => {
  const context = fakeContext();
  const module = CudaModule.load(context, image);
  const [first, fault] = [module.function("nothing", "relu at net.ts:12"), module.function("fault")];
  first.launch(shape, new CudaArguments([]));
  fault.launch(shape, new CudaArguments([]));
  assert.throws(() => context.stream.synchronize(), (error: unknown) => {
    assert.ok(error instanceof CudaError);
    assert.deepEqual([error.code, error.operation, error.sticky], [700, "cuStreamSynchronize", true]);
    assert.match(
      error.message,
      /CUDA_ERROR_ILLEGAL_ADDRESS \(700\), an illegal memory access was encountered; an earlier kernel/,
    );
    assert.match(error.message, /newest first.*\n {2}fault\n {2}nothing from relu at net\.ts:12$/);
    return true;
  });
});

fakeTest("a fault in a recorded graph names the kernels that it has in it", () => {
  const context = fakeContext();
  const module = CudaModule.load(context, image);
  using graph = CudaGraph.capture(context, () => {
    for (let i = 0; i < 30; i++) {
      module.function(i === 3 ? "fault" : "nothing", i === 3 ? "gelu at net.ts:7" : "").launch(
        shape,
        new CudaArguments([]),
      );
    }
  });
  // The fake driver runs a graph at once; a device tells of it later.
  assert.throws(() => graph.replay(), (error: unknown) => {
    assert.match(
      String(error),
      /newest first.*\n {2}a CUDA graph from 30 kernels:\n {4}nothing\n {4}nothing\n {4}nothing\n {4}fault from gelu at net\.ts:7\n[\s\S]*and 6 more/,
    );
    return true;
  });
});

fakeTest("launchBlocking reports a fault at its launch; giving memory back to a lost context is silent", () => {
  const context = fakeContext();
  context.launchBlocking = true;
  const buffer = context.allocator.allocate(100);
  assert.throws(
    () => CudaModule.load(context, image).function("fault").launch(shape, new CudaArguments([])),
    CudaError,
  );
  assert.ok(isSticky(700) && !isSticky(2));
  buffer.dispose();
});

fakeTest("code that the driver rejects is an error with the driver's log; a missing kernel is named", async () => {
  const context = fakeContext();
  const bad = new TextEncoder().encode(".version 99");
  const expected = {
    name: "CudaError",
    message: /cuLibraryLoadData \(net: line 7: no such instruction\): CUDA_ERROR_INVALID_PTX/,
  };
  assert.throws(() => CudaModule.load(context, bad, "net"), expected);
  await assert.rejects(CudaModule.loadAsync(context, bad, "net"), expected);
  const module = await CudaModule.loadAsync(context, image, "net");
  assert.throws(() => module.function("missing"), {
    message: /cuLibraryGetKernel \(missing in net\).*extern "C" __global__/,
  });
});

fakeTest("bytes written are read back, at offsets, in parts, with and without waiting", async () => {
  const context = fakeContext();
  // The tensor layer's interface, so that it can be registered there.
  const memory: DeviceMemory = new CudaDeviceMemory(() => context);
  const data = new Uint8Array(20_000_000).map((_, i) => i * 7 + (i >> 16));
  const buffer = memory.allocate(device("cuda"), data.length + 13);
  memory.write(buffer, 13, data);
  assert.deepEqual(memory.readSync(buffer, 13, data.length), data);
  const pending = memory.read(buffer, 113, data.length - 100);
  assert.deepEqual(await pending, data.subarray(100));
  assert.equal((await memory.read(buffer, 5, 0)).length, 0);
  assert.throws(() => memory.readSync(buffer, 10, data.length + 10), { name: "RangeError", message: /lie outside/ });
  buffer.dispose();
  assert.throws(() => memory.readSync(buffer, 0, 1), { name: "TypeError", message: /cuda:0 buffer .* was disposed/ });
});

fakeTest("read() lets the event loop turn while the device is busy", async (fake) => {
  const context = fakeContext();
  const memory = new CudaDeviceMemory(() => context);
  const buffer = context.allocator.allocateZeroed(64);
  fake.set("held", 1);
  let turned = false;
  setTimeout(() => turned = true, 0);
  const result = memory.read(buffer, 0, 64);
  assert.equal(turned, false);
  assert.equal((await result).length, 64);
});

fakeTest("a graph replays what was recorded, with new arguments after update()", () => {
  const context = fakeContext();
  const memory = new CudaDeviceMemory(() => context);
  const axpy = CudaModule.load(context, image).function("axpy");
  const [x, y] = [memory.allocate(device("cuda"), 16), memory.allocate(device("cuda"), 16)];
  memory.write(x, 0, bytesOf([1, 2, 3, 4]));
  memory.write(y, 0, bytesOf([0, 0, 0, 0]));
  const args = new CudaArguments(["pointer", "pointer", "f32", "i32"]);
  args.setBuffer(0, x);
  args.setBuffer(1, y);
  args.setFloat(2, 10);
  args.setInt(3, 4);
  using graph = CudaGraph.capture(context, () => {
    axpy.launch(shape, args);
    axpy.launch(shape, args);
  });
  assert.deepEqual([graph.kernels.length, graph.nodeCount], [2, 2]);
  assert.deepEqual(floats(memory.readSync(y, 0, 16)), [0, 0, 0, 0]);
  args.setFloat(2, 999);
  graph.replay();
  assert.deepEqual(floats(memory.readSync(y, 0, 16)), [20, 40, 60, 80]);
  args.setFloat(2, 1);
  args.setInt(3, 2);
  graph.update(1, shape, args);
  graph.replay();
  assert.deepEqual(floats(memory.readSync(y, 0, 16)), [31, 62, 90, 120]);
  assert.throws(() => graph.update(2, shape, args), { name: "RangeError", message: /has 2 kernels; there is no 2/ });
});

fakeTest("memory of a graph is private, shared by graphs that name one pool, and given back with it", (fake) => {
  const context = fakeContext();
  const { allocator } = context;
  const before = fake.used();
  let inside = 0;
  {
    using pool = allocator.createPool();
    using _first = CudaGraph.capture(context, () => {
      using t = allocator.allocate(1000);
      inside = t.address;
    }, { pool });
    assert.equal(pool.reservedBytes, 1024);
    // Free in the pool, yet nobody else may have it.
    assert.notEqual(allocator.allocate(1000).address, inside);
    using _second = CudaGraph.capture(context, () => assert.equal(allocator.allocate(1000).address, inside), { pool });
    assert.equal(pool.reservedBytes, 1024);
  }
  allocator.emptyCache();
  assert.ok(fake.used() <= before + 2048);
});

fakeTest("a capture that fails leaves the stream usable, and says why", () => {
  const context = fakeContext();
  assert.throws(
    () => CudaGraph.capture(context, (stream) => stream.synchronize()),
    { name: "CudaError", message: /cuStreamSynchronize: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED.*before the capture/ },
  );
  using graph = CudaGraph.capture(context, () => context.allocator.allocateZeroed(64));
  assert.equal(graph.nodeCount, 1);
  graph.dispose();
  assert.throws(() => graph.replay(), { name: "TypeError", message: /was disposed; capture it anew/ });
});

fakeTest("out of memory: caches are emptied, handlers asked, then the largest allocations are listed", (fake) => {
  fake.set("capacity", 10 * 2 ** 20);
  const { allocator } = fakeContext();
  const base = fake.used();
  fake.set("capacity", base + 10 * 2 ** 20);
  allocator.allocate(8 * 2 ** 20).dispose();
  const weights = allocator.allocate(6 * 2 ** 20, "weights of layer 3");
  assert.equal(allocator.stats().retries, 1);
  const spare = allocator.allocate(3 * 2 ** 20);
  using _ = allocator.onPressure(() => spare.dispose());
  const other = allocator.allocate(4 * 2 ** 20 - 512, "activations");
  assert.ok(spare.disposed);
  assert.throws(() => allocator.allocate(2 ** 20), (error: unknown) => {
    assert.ok(error instanceof CudaOutOfMemoryError);
    assert.match(error.message, /cuda:0 is out of memory: asked for 1 MiB/);
    assert.match(
      error.message,
      /Largest live allocations:\n {2}6 MiB {2}weights of layer 3\n {2}4 MiB {2}activations$/,
    );
    return true;
  });
  weights.dispose();
  other.dispose();
  allocator.emptyCache();
});

fakeTest("a device without pools gets memory the plain way", (fake) => {
  fake.set("pools", 0);
  const { allocator } = fakeContext();
  const before = fake.used();
  allocator.allocate(4096).dispose();
  assert.equal(fake.used(), before + 4096);
  allocator.emptyCache();
  assert.equal(fake.used(), before);
});

fakeTest("copies between devices keep the order of both", (fake) => {
  fake.set("devices", 2);
  const a = fakeContext(0);
  const b = new CudaContext(a.driver, 1);
  const memory = new CudaDeviceMemory((ordinal) => ordinal === 0 ? a : b);
  const [from, to] = [memory.allocate(device("cuda:0"), 8), memory.allocate(device("cuda:1"), 8)];
  assert.equal(to.device, device("cuda:1"));
  memory.write(from, 0, bytesOf([3, 4]));
  a.copyToPeer(b, to.address, from.address, 8);
  assert.deepEqual(floats(memory.readSync(to, 0, 8)), [3, 4]);
});

fakeTest("tensor maps reach the encoder as declared, and broken rules are named before it is asked", () => {
  const context = fakeContext();
  const slot = new CudaArguments(["pointer", "tensorMap"]).tensorMap(1);
  const map = {
    type: "bfloat16",
    address: 0x7000,
    sizes: [640, 48, 3],
    strideBytes: [1280, 61440],
    swizzle: 128,
  } as const;
  encodeTiled(context, { ...map, box: [64, 16, 2], l2Promotion: 256, nanOutside: true }, slot);
  const words = [...new BigUint64Array(slot.buffer, slot.byteOffset, 16)].map(Number);
  assert.deepEqual(words.slice(0, 13), [9, 3, 0x7000, 640, 3, 61440, 64, 2, 1, 0, 3, 3, 1]);
  encodeIm2col(context, {
    ...map,
    sizes: [64, 28, 28, 8],
    strideBytes: [128, 3584, 100_352],
    lowerCorner: [-1, -1],
    upperCorner: [1, -3],
    channelsPerPixel: 64,
    pixelsPerColumn: 128,
  }, slot);
  const im2col = [...new BigInt64Array(slot.buffer, slot.byteOffset, 16)].map(Number);
  assert.deepEqual(im2col.slice(0, 12), [9, 4, 0x7000, 64, 128, -1, -3, 64, 128, 1, 3, 0]);
  const broken: [Partial<typeof map> & { box?: number[] }, RegExp][] = [
    [{ box: [128, 1, 1] }, /with a swizzle of 128 bytes .* at most 128 bytes, got 256/],
    [{ box: [4, 1, 1] }, /innermost side of the box must be a multiple of 16 bytes, got 8/],
    [{ box: [64, 300, 1] }, /3 sides of 1 to 256 elements, got 64×300×1/],
    [{ address: 0x7008 as never, box: [64, 1, 1] }, /address must be a multiple of 16, got 0x7008/],
    [{ strideBytes: [1284, 61440] as never, box: [64, 1, 1] }, /multiples of 16 below 2\^40, got 1284/],
  ];
  for (const [change, message] of broken) {
    const whole = { ...map, box: [64, 1, 1], ...change };
    assert.throws(() => encodeTiled(context, whole, slot), { name: "RangeError", message });
  }
});
