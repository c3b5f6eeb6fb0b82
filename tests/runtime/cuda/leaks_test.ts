/** What a long-lived process keeps: recorded graphs, code, words for errors, arenas. On the fake driver, which counts what it gave. */
import assert from "node:assert/strict";
import type { CudaExecutable, CudaPlanArg } from "../../../src/runtime/cuda/mod.ts";
import { external, ONES, PlanBench, slot } from "./plan_bench.ts";
import { fakeTest } from "./support.ts";

const error: CudaPlanArg = { kind: "error" };

/** An executable of five kernels that report errors, with an arena as large as its one size says. */
function makeExecutable(bench: PlanBench, arenaBytes = 1024): CudaExecutable {
  const launch = bench.axpy(slot(0), slot(1));
  const launches = Array.from({ length: 5 }, () => ({ ...launch, args: [...launch.args, error] }));
  const arena = { kind: "arena", offset: () => 0, bytes: () => arenaBytes } as const;
  return bench.executable(
    bench.plan({
      steps: [{ kind: "launches", launches }],
      sources: [external, external, arena],
      arenaBytes: () => arenaBytes,
    }),
  );
}

fakeTest("graphs, code and words of executables that nobody reaches are given back", async (fake) => {
  const bench = new PlanBench();
  const [x, y] = [bench.buffer(ONES), bench.buffer(ONES)];
  const [graphs, code] = [fake.alive("graphs"), fake.alive("code")];
  for (let i = 0; i < 60; i++) {
    const own = new PlanBench(bench.context);
    const executable = makeExecutable(own);
    for (let k = 0; k < 3; k++) executable.run([x, y], [8]);
    assert.equal(executable.recorded, 1);
    if (i % 10 === 9) await bench.context.allocator.collect();
  }
  // Code goes a turn after the graphs that need it.
  for (let k = 0; k < 3; k++) await bench.context.allocator.collect();
  // The latest may still be on the stack.
  assert.ok(fake.alive("graphs") - graphs <= 3, `${fake.alive("graphs") - graphs} graphs are alive`);
  assert.ok(fake.alive("code") - code <= 6, `${fake.alive("code") - code} modules are loaded`);
  const first = bench.context.errors.allocate("the first");
  const later = Array.from({ length: 20 }, () => bench.context.errors.allocate("a later one"));
  const span = Math.max(...[first, ...later].map((s) => s.address)) -
    Math.min(...[first, ...later].map((s) => s.address));
  assert.ok(span < 60 * 32, "words of executables that are gone are used again");
});

fakeTest("a device that has gone does not end the process when what was on it is collected", async (fake) => {
  const bench = new PlanBench();
  const [x, y] = [bench.buffer(ONES), bench.buffer(ONES)];
  const graphs = fake.alive("graphs");
  const use = (): void => {
    const executable = makeExecutable(new PlanBench(bench.context));
    for (let k = 0; k < 3; k++) executable.run([x, y], [8]);
  };
  for (let i = 0; i < 5; i++) use();
  // CUDA_ERROR_DEVICE_UNAVAILABLE, which is no fault of a kernel, and an illegal address, after which everything is lost.
  for (const status of [46, 700]) {
    fake.set("sticky", status);
    for (let k = 0; k < 3; k++) await bench.context.allocator.collect();
    assert.throws(() => bench.context.synchronize(), { name: "CudaError", code: status });
  }
  assert.ok(fake.alive("graphs") > graphs, "the device could give nothing back");
});

fakeTest("10,000 calls at changing sizes: memory and graphs stay as they were after the first hundred", (fake) => {
  const bench = new PlanBench();
  const executable = makeExecutable(bench);
  const [x, y] = [bench.buffer(ONES), bench.buffer(ONES)];
  let [memory, most] = [0, 0];
  for (let i = 0; i < 10_000; i++) {
    executable.run([x, y], [1 + Math.floor(i / 2) % 13]);
    most = Math.max(most, fake.alive("graphs"));
    if (i === 100) memory = fake.used();
  }
  assert.equal(fake.used(), memory);
  assert.ok(executable.recorded <= 8 && most <= 60, `${most} graphs at once`);
  executable.dispose();
});

fakeTest("sizes that come twice and go are not recorded again and again; one that stays is", () => {
  const bench = new PlanBench();
  const executable = makeExecutable(bench);
  const [x, y] = [bench.buffer(ONES), bench.buffer(ONES)];
  const recordedNow = (size: number, calls: number): number => {
    for (let i = 0; i < calls; i++) executable.run([x, y], [size]);
    return executable.recorded;
  };
  // Nine sizes, twice each: the first that is dropped had one replay.
  for (let size = 1; size <= 9; size++) recordedNow(size, 2);
  const before = executable.recorded;
  recordedNow(10, 2);
  assert.equal(executable.recorded, before - 1, "a size that came twice was recorded though none before it paid");
  recordedNow(11, 20);
  assert.equal(executable.recorded, before - 1, "a size that stays is recorded");
});

fakeTest("an arena of the past makes room where memory runs out, and the next call takes another", (fake) => {
  const bench = new PlanBench();
  fake.set("capacity", 64 * 2 ** 20);
  const executable = makeExecutable(bench, 40 * 2 ** 20);
  const [x, y] = [bench.buffer(ONES), bench.buffer([0, 0, 0, 0, 0, 0, 0, 0])];
  for (let i = 0; i < 3; i++) executable.run([x, y], [8]);
  const large = bench.context.allocator.allocate(40 * 2 ** 20, "a tensor");
  large.dispose();
  for (let i = 0; i < 2; i++) executable.run([x, y], [8]);
  assert.deepEqual(bench.read(y), ONES.map((v) => 25 * v));
});

fakeTest("a stream that is gone leaves no arena behind", () => {
  const bench = new PlanBench();
  const executable = makeExecutable(bench, 2 ** 20);
  const [x, y] = [bench.buffer(ONES), bench.buffer(ONES)];
  const callOn = (): void => {
    using stream = bench.context.createStream();
    bench.context.withStream(stream, () => executable.run([x, y], [8]));
  };
  for (let i = 0; i < 40; i++) {
    callOn();
  }
  assert.ok(bench.context.allocator.stats().liveBytes < 2 ** 20);
});
