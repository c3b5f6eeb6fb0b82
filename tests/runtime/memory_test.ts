import assert from "node:assert/strict";
import fc from "fast-check";
import { formatBytes, OutOfMemoryError } from "../../src/runtime/buffer.ts";
import { CpuAllocator, CpuBuffer, hasFfi } from "../../src/runtime/cpu/memory.ts";

Deno.test("allocate() gives 64-byte aligned memory of any size that every view shows", () => {
  const memory = new CpuAllocator();
  fc.assert(fc.property(fc.integer({ min: 0, max: 100_000 }), (bytes) => {
    using buffer = memory.allocate(bytes);
    if (hasFfi()) assert.equal(buffer.address % 64, 0);
    assert.equal(buffer.uint8.length, bytes);
    assert.equal(buffer.float32.length, Math.floor(bytes / 4));
    assert.equal(buffer.float64.length, Math.floor(bytes / 8));
    assert.equal(buffer.float16.length, Math.floor(bytes / 2));
    buffer.uint8.fill(0xff);
    if (bytes >= 8) assert.equal(buffer.int64[0], -1n);
  }));
  assert.equal(memory.stats().liveBytes, 0);
});

Deno.test("a disposed buffer's memory serves the next buffer of its class, and no earlier one", () => {
  const memory = new CpuAllocator();
  const first = memory.allocate(4000), second = memory.allocate(4000);
  assert.notEqual(first.address, second.address);
  const address = first.address;
  first.dispose();
  assert.equal(memory.stats().cachedBytes, 4096);
  const third = memory.allocate(4001);
  assert.equal(third.address, address);
  assert.equal(third.uint8.length, 4001);
  assert.deepEqual([memory.stats().cacheHits, memory.stats().liveBytes, memory.stats().peakBytes], [1, 8001, 8001]);
  second.dispose();
  third.dispose();
  memory.resetPeak();
  assert.equal(memory.stats().peakBytes, 0);
});

Deno.test("allocateZeroed() clears recycled memory", () => {
  const memory = new CpuAllocator();
  const dirty = memory.allocate(256);
  dirty.uint8.fill(9);
  dirty.dispose();
  const clean = memory.allocateZeroed(256);
  assert.equal(memory.stats().cacheHits, 1);
  assert.ok(clean.uint8.every((byte) => byte === 0));
});

Deno.test("use after dispose() is an error that says what to do, and disposing twice is none", () => {
  const buffer = new CpuAllocator().allocate(12);
  buffer.dispose();
  buffer.dispose();
  assert.equal(buffer.disposed, true);
  for (const use of [() => buffer.float32, () => buffer.address, () => buffer.view("int8"), () => buffer.pin()]) {
    assert.throws(use, { name: "TypeError", message: /12 bytes was disposed .* clone it/ });
  }
});

Deno.test("a pinned buffer is not recycled while a view of it can be reached", () => {
  const memory = new CpuAllocator();
  const buffer = memory.allocate(1024);
  const view = buffer.pin().float32;
  view.fill(3);
  buffer.dispose();
  const next = memory.allocate(1024);
  next.float32.fill(4);
  assert.ok(view.every((value) => value === 3));
});

Deno.test("emptyCache() frees at once: escaped views become empty instead of dangling", () => {
  const memory = new CpuAllocator();
  const buffer = memory.allocate(1024);
  const escaped = buffer.float32;
  buffer.dispose();
  memory.emptyCache();
  assert.equal(escaped.length, 0);
  assert.equal(memory.stats().cachedBytes, 0);
});

Deno.test("memory beyond the cache limit is freed when disposed", () => {
  const memory = new CpuAllocator({ cacheLimit: 1000 });
  memory.allocate(900).dispose();
  assert.equal(memory.stats().cachedBytes, 896 + 64);
  memory.allocate(100).dispose();
  assert.equal(memory.stats().cachedBytes, 960);
});

Deno.test("a limit empties the caches first, then names bytes asked for and live", () => {
  const memory = new CpuAllocator({ memoryLimit: 10_000 });
  memory.allocate(4096).dispose();
  const live = memory.allocate(8192);
  assert.equal(memory.stats().cachedBytes, 0);
  assert.throws(() => memory.allocate(4096), (error: unknown) => {
    assert.ok(error instanceof OutOfMemoryError);
    assert.match(error.message, /cpu is out of memory: asked for 4 KiB \(4096 bytes\) while 8 KiB are live/);
    assert.deepEqual([error.requestedBytes, error.liveBytes], [4096, 8192]);
    return true;
  });
  live.dispose();
  memory.allocate(4096).dispose();
});

Deno.test("a size the machine does not have is an OutOfMemoryError, a size that is none a RangeError", () => {
  const memory = new CpuAllocator();
  assert.throws(() => memory.allocate(2 ** 46), OutOfMemoryError);
  for (const size of [-1, 1.5, NaN, Infinity]) {
    assert.throws(() => memory.allocate(size), { name: "RangeError", message: /non-negative whole number of bytes/ });
  }
});

Deno.test("a synchronous loop that disposes of nothing stays flat", () => {
  const memory = new CpuAllocator();
  const before = Deno.memoryUsage().rss;
  for (let i = 0; i < 300; i++) memory.allocate(8 << 20).float32.fill(1);
  const grown = Deno.memoryUsage().rss - before;
  assert.ok(grown < 1000e6, `2.4 GB allocated, ${formatBytes(grown)} kept`);
});

Deno.test("wrap() shares memory with the user's array", () => {
  const array = new Float32Array([1, 2, 3]);
  const buffer = CpuBuffer.wrap(array.subarray(1));
  assert.deepEqual([...buffer.float32], [2, 3]);
  buffer.float32[0] = 7;
  assert.equal(array[1], 7);
  buffer.dispose();
  assert.equal(array[1], 7);
});

Deno.test("without FFI permission buffers work and only addresses are refused", () => {
  const module = new URL("../../src/runtime/cpu/memory.ts", import.meta.url).href;
  const script = `import { cpuAllocator } from ${JSON.stringify(module)};
    const b = cpuAllocator().allocate(8); b.float32[1] = 2;
    let message = ""; try { b.address } catch (e) { message = e.message }
    Deno.stdout.writeSync(new TextEncoder().encode(b.float32[1] + message));`;
  const file = Deno.makeTempFileSync({ suffix: ".ts" });
  try {
    Deno.writeTextFileSync(file, script);
    const output = new Deno.Command(Deno.execPath(), { args: ["run", "--no-prompt", "--allow-read", file] })
      .outputSync();
    assert.match(new TextDecoder().decode(output.stdout), /^2a CPU buffer has no address without FFI permission/);
  } finally {
    Deno.removeSync(file);
  }
});

Deno.test({
  name: "allocate() asks for huge pages for large buffers only",
  ignore: Deno.build.os !== "linux" || !hugePagesAreGiven(),
  fn: () => {
    const memory = new CpuAllocator();
    const huge = (): number =>
      Number(/AnonHugePages:\s+(\d+)/.exec(Deno.readTextFileSync("/proc/self/smaps_rollup"))?.[1]);
    // The engine's own heap may take huge pages at any time: of several small allocations, some must leave the number as it is.
    let [before, taken] = [huge(), 0];
    for (let i = 0; i < 5; i++) {
      const small = memory.allocate(2 ** 20);
      small.uint8.fill(1);
      const now = huge();
      if (now !== before) taken++;
      before = now;
    }
    assert.ok(taken < 5, `${taken} of 5 small allocations came with huge pages`);
    const large = memory.allocate(64 * 2 ** 20);
    large.uint8.fill(1);
    // The first and the last part may be ordinary pages; a busy machine may have few huge ones left, but has some.
    assert.ok(huge() > before, `${huge()} kB after ${before} kB`);
    assert.equal(large.uint8.every((v) => v === 1), true);
    large.dispose();
    memory.emptyCache();
  },
});

/** Whether the kernel gives huge pages to those who ask, and says how many. */
function hugePagesAreGiven(): boolean {
  try {
    return !/\[never\]/.test(Deno.readTextFileSync("/sys/kernel/mm/transparent_hugepage/enabled")) &&
      Deno.readTextFileSync("/proc/self/smaps_rollup").includes("AnonHugePages");
  } catch {
    return false;
  }
}
