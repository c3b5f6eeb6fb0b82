/** Compiled plans on CUDA memory: addresses, scratch, graphs, host steps, errors of kernels. On the fake driver, whose memory is the host's. */
import assert from "node:assert/strict";
import { withConfig } from "../../../src/core/mod.ts";
import { CpuBuffer } from "../../../src/runtime/cpu/mod.ts";
import { type CudaBuffer, type CudaPlan, type CudaPlanArg, type CudaPlanStep } from "../../../src/runtime/cuda/mod.ts";
import { BYTES, external, ONES, PlanBench, slot, times } from "./plan_bench.ts";
import { fakeTest } from "./support.ts";

fakeTest("a plan runs on the buffers of each call, replayed as a graph from the second one on", () => {
  const bench = new PlanBench();
  const launches = [0, 1, 2, 3].map(() => bench.axpy(slot(0), slot(1)));
  const executable = bench.executable(
    bench.plan({ steps: [{ kind: "launches", launches }], sources: [external, external] }),
  );
  const x = bench.buffer(ONES);
  const outs = Array.from({ length: 5 }, () => bench.buffer(ONES));
  outs.forEach((out, i) => {
    executable.run([x, out], []);
    assert.equal(executable.recorded, i === 0 ? 0 : 1);
  });
  // Each call wrote to its own result and to no other.
  for (const out of outs) assert.deepEqual(bench.read(out), times(ONES, 5));
  executable.run([outs[0], outs[1]], []);
  assert.deepEqual(bench.read(outs[1] as CudaBuffer), times(ONES, 25));
  assert.deepEqual(bench.read(outs[0] as CudaBuffer), times(ONES, 5));
  executable.dispose();
});

fakeTest("few launches, and plans that do not want it, are not recorded", () => {
  const bench = new PlanBench();
  for (const [count, graphs] of [[2, true], [6, false]] as const) {
    const launches = Array.from({ length: count }, () => bench.axpy(slot(0), slot(1)));
    const executable = bench.executable(
      bench.plan({ steps: [{ kind: "launches", launches }], sources: [external, external] }),
      graphs,
    );
    const [x, y] = [bench.buffer(ONES), bench.buffer(ONES)];
    for (let i = 0; i < 3; i++) executable.run([x, y], []);
    assert.equal(executable.recorded, 0);
    assert.deepEqual(bench.read(y), times(ONES, 1 + 3 * count));
  }
});

fakeTest("kernels that wait by themselves begin before the one ahead has ended, on devices that can", (fake) => {
  const overlaps = (waits: readonly boolean[], between: readonly CudaPlanStep[] = []): number | undefined => {
    const bench = new PlanBench();
    const launches = waits.map((w) => ({ ...bench.axpy(slot(0), slot(1)), waits: w }));
    const steps = launches.map((launch): CudaPlanStep => ({ kind: "launches", launches: [launch] }));
    steps.splice(1, 0, ...between);
    const executable = bench.executable(bench.plan({ steps, sources: [external, external] }));
    const [x, y] = [bench.buffer(ONES), bench.buffer(ONES)];
    for (let i = 0; i < 3; i++) executable.run([x, y], []);
    assert.deepEqual(bench.read(y), times(ONES, 1 + 3 * waits.length));
    return fake.lastLaunch()[9];
  };
  assert.equal(overlaps([true]), 0);
  assert.equal(overlaps([false, true]), 1);
  assert.equal(overlaps([true, false]), 0);
  assert.equal(overlaps([true, true], [{ kind: "host", name: "host", reads: [], writes: [], run: () => {} }]), 0);
  using _ = withConfig({ disabled: new Set(["dependent_launch" as const]) });
  assert.equal(overlaps([true, true]), 0);
});

fakeTest(
  "memory that kernels write is read by none before it waits, and devices that cannot wait start kernels in turn",
  (fake) => {
    const bench = new PlanBench();
    const early = { ...bench.axpy(slot(0), slot(1)), waits: true, early: [0] };
    const plan = (sources: CudaPlan["sources"]): CudaPlan =>
      bench.plan({ steps: [{ kind: "launches", launches: [early, early] }], sources });
    const [x, y] = [bench.buffer(ONES), bench.buffer(ONES)];
    bench.executable(plan([external, external])).run([x, y], []);
    assert.equal(fake.lastLaunch()[9], 1);
    const arena = { kind: "arena", offset: () => 0, bytes: () => BYTES } as const;
    for (const written of [[external, { kind: "alias", of: 0 }], [arena, external]] as const) {
      assert.throws(() => bench.executable(plan(written)).run([x, y], []), {
        name: "InternalError",
        message: /slot 0/,
      });
    }
    fake.set("capability", 80);
    const old = new PlanBench();
    const launches = [0, 1].map(() => ({ ...old.axpy(slot(0), slot(1)), waits: true }));
    const executable = old.executable(
      old.plan({ steps: [{ kind: "launches", launches }], sources: [external, external] }),
    );
    executable.run([old.buffer(ONES), old.buffer(ONES)], []);
    assert.equal(fake.lastLaunch()[9], 0);
    fake.set("capability", 90);
  },
);

fakeTest("sizes have their own launches; the least recently used go", () => {
  const bench = new PlanBench();
  const launches = Array.from({ length: 4 }, () => bench.axpy(slot(0), slot(1)));
  const executable = bench.executable(bench.plan({
    steps: [{ kind: "launches", launches }],
    sources: [external, external],
    slotBytes: [(s) => 4 * (s[0] ?? 0), (s) => 4 * (s[0] ?? 0)],
  }));
  const x = bench.buffer(ONES);
  for (let n = 0; n <= 8; n++) {
    const y = bench.buffer(ONES);
    for (let i = 0; i < 6; i++) executable.run([x, y], [n]);
    assert.deepEqual(bench.read(y), ONES.map((v, i) => i < n ? 25 * v : v));
  }
  assert.equal(executable.recorded, 8);
});

fakeTest("the arena and scratch memory lie in one workspace, and zeros stay apart", () => {
  const bench = new PlanBench();
  const scratch: CudaPlanArg = { kind: "scratch", bytes: () => BYTES, zeroed: false, id: 1 };
  const zeroed: CudaPlanArg = { kind: "scratch", bytes: () => BYTES, zeroed: true, id: 2 };
  const executable = bench.executable(bench.plan({
    // From zeros to the result: nothing. From the input through the arena's slot to the result.
    steps: [
      { kind: "launches", launches: [bench.axpy(zeroed, slot(1)), bench.axpy(slot(0), slot(2))] },
      { kind: "launches", launches: [bench.axpy(slot(0), scratch), bench.axpy(slot(2), slot(1))] },
    ],
    sources: [external, external, { kind: "arena", offset: () => 256, bytes: () => BYTES }],
    arenaBytes: () => 512,
  }));
  const [x, y] = [bench.buffer(ONES), bench.buffer(ONES)];
  executable.run([x, y], []);
  const garbage = bench.read(y).map((v, i) => v - 2 * (ONES[i] ?? 0));
  // The arena held the fake driver's 0xcdcdcdcd before: the slot's own value is a huge number plus x.
  assert.ok(garbage.every((v) => v < -1e8), String(garbage));
});

fakeTest("a view at an odd address is copied to an aligned one, and back if it is written", () => {
  const bench = new PlanBench();
  const executable = bench.executable(bench.plan({
    steps: [{ kind: "launches", launches: [bench.axpy(slot(0, 16), slot(2, 16))] }],
    sources: [external, external, { kind: "alias", of: 1 }],
  }));
  const x = bench.buffer([0, ...ONES]);
  const y = bench.buffer([0, ...ONES, 9]);
  executable.run([x.part(4, BYTES), y.part(4, BYTES + 4)], []);
  assert.deepEqual(bench.read(y), [0, ...times(ONES, 2), 9]);
});

fakeTest("launches without blocks are left out", () => {
  const bench = new PlanBench();
  const launches = [0, 1, 0, 1, 1, 1].map((grid) => bench.axpy(slot(0), slot(1), grid));
  const executable = bench.executable(
    bench.plan({ steps: [{ kind: "launches", launches }], sources: [external, external] }),
  );
  const x = bench.buffer(ONES);
  for (let call = 0; call < 3; call++) {
    const y = bench.buffer(ONES);
    executable.run([x, y], []);
    assert.deepEqual(bench.read(y), times(ONES, 5));
  }
});

fakeTest("host steps cut the plan: they see host memory, and kernels after them their results", () => {
  const bench = new PlanBench();
  const launches = Array.from({ length: 4 }, () => bench.axpy(slot(0), slot(2)));
  const seen: number[][] = [];
  const executable = bench.executable(bench.plan({
    steps: [
      {
        kind: "host",
        name: "reverse",
        reads: [0],
        writes: [2],
        run: (buffers) => {
          const [from, to] = [buffers[0] as CpuBuffer, buffers[2] as CpuBuffer];
          seen.push([...from.view("float32") as Float32Array]);
          (to.view("float32") as Float32Array).set([...from.view("float32") as Float32Array].reverse());
        },
      },
      { kind: "launches", launches },
      {
        kind: "host",
        name: "copy",
        reads: [2],
        writes: [1],
        run: (buffers) => (buffers[1] as CpuBuffer).uint8.set((buffers[2] as CpuBuffer).uint8),
      },
    ],
    sources: [external, external, { kind: "arena", offset: () => 0, bytes: () => BYTES }],
    arenaBytes: () => BYTES,
  }));
  const x = bench.buffer(ONES);
  for (let call = 0; call < 3; call++) {
    const y = bench.buffer(times(ONES, 0));
    executable.run([x, y], []);
    assert.deepEqual(bench.read(y), ONES.map((v, i) => 4 * v + (ONES[7 - i] ?? 0)));
  }
  assert.deepEqual(seen, [ONES, ONES, ONES]);
  assert.equal(executable.recorded, 1);
});

fakeTest("what a kernel reports as a wrong index is thrown where data are read", () => {
  const bench = new PlanBench();
  const slotOf = bench.context.errors.allocate("index_select");
  const words = new BigInt64Array(
    Deno.UnsafePointerView.getArrayBuffer(
      Deno.UnsafePointer.create(BigInt(slotOf.address)) as Deno.PointerObject,
      32,
    ),
  );
  const x = bench.buffer(ONES);
  assert.deepEqual(bench.read(x), ONES);
  words.set([9n, 5n, 1n]);
  assert.throws(
    () => bench.read(x),
    /^RangeError: index_select: an index is 9, but the dimension it selects from has 5/,
  );
  assert.deepEqual(bench.read(x), ONES);
});

fakeTest("a part of a buffer keeps its place, and cannot dispose of the whole", () => {
  const bench = new PlanBench();
  const whole = bench.buffer(ONES);
  const part = whole.part(8, 16).part(4, 8);
  assert.equal(part.address, whole.address + 12);
  part.dispose();
  assert.equal(whole.disposed, false);
  assert.throws(() => whole.part(8, BYTES), /lie outside/);
  whole.dispose();
  assert.throws(() => part.address, /was disposed/);
});
