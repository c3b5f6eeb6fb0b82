/** Inputs that move from call to call: what is copied, what is corrected, and when. On the fake driver, whose memory is the host's. */
import assert from "node:assert/strict";
import { CudaGraph, type CudaPlan } from "../../../src/runtime/cuda/mod.ts";
import { isWorthParking } from "../../../src/runtime/cuda/parking.ts";
import { fakeTest } from "./support.ts";
import { BYTES, external, ONES, PlanBench, slot, times } from "./plan_bench.ts";

const given = { kind: "external", given: true } as const;

/** Counts the corrections of recorded kernels while `fn` runs. */
function corrections(fn: () => void): number {
  const real = CudaGraph.prototype.update;
  let count = 0;
  CudaGraph.prototype.update = function (this: CudaGraph, ...args: Parameters<typeof real>): void {
    count++;
    real.apply(this, args);
  };
  try {
    fn();
  } finally {
    CudaGraph.prototype.update = real;
  }
  return count;
}

/** A plan of 40 kernels that add an input to a result. */
function plan(bench: PlanBench, sources: CudaPlan["sources"]): CudaPlan {
  const launches = Array.from({ length: 40 }, () => bench.axpy(slot(0), slot(1)));
  return bench.plan({ steps: [{ kind: "launches", launches }], sources });
}

fakeTest(
  "an input that moves at each call is copied to one place, and no kernel is corrected",
  () => {
    const bench = new PlanBench();
    const executable = bench.executable(plan(bench, [given, external]));
    const out = bench.buffer(ONES);
    const inputs = Array.from({ length: 12 }, (_, i) => bench.buffer(times(ONES, i + 1)));
    let sum = 1;
    const call = (i: number): void => {
      executable.run([inputs[i], out], []);
      sum += 40 * (i + 1);
      assert.deepEqual(bench.read(out), times(ONES, sum), `call ${i}`);
    };
    for (let i = 0; i < 4; i++) call(i);
    assert.equal(
      corrections(() => {
        for (let i = 4; i < 12; i++) call(i);
      }),
      0,
    );
    // What the caller writes to its memory between two calls is seen.
    bench.memory.write(inputs[11] as never, 0, new Uint8Array(new Float32Array(ONES).buffer));
    executable.run([inputs[11], out], []);
    assert.deepEqual(bench.read(out), times(ONES, sum + 40));
    executable.dispose();
  },
);

fakeTest("an input that has come to rest is read where it is again", () => {
  const bench = new PlanBench();
  const executable = bench.executable(plan(bench, [given, external]));
  const [out, ...inputs] = Array.from({ length: 6 }, () => bench.buffer(ONES));
  for (const x of inputs) executable.run([x, out], []);
  const before = bench.context.allocator.stats().liveBytes;
  const more = corrections(() => {
    for (let i = 0; i < 300; i++) executable.run([inputs[0], out], []);
  });
  assert.equal(more, 40);
  assert.equal(bench.context.allocator.stats().liveBytes, before - BYTES);
});

fakeTest("what the plan may write, and what few kernels read, stays where it is", () => {
  const bench = new PlanBench();
  for (const sources of [[external, external], [given, external, { kind: "alias", of: 0 }]] as const) {
    const executable = bench.executable(plan(bench, sources));
    const [out, ...inputs] = Array.from({ length: 8 }, () => bench.buffer(ONES));
    assert.equal(
      corrections(() => {
        for (const x of inputs) executable.run([x, out, undefined], []);
      }),
      5 * 40,
    );
  }
  assert.equal(isWorthParking(1, 4), false);
  assert.equal(isWorthParking(2, 4), true);
  assert.equal(isWorthParking(4, 2 ** 30), false);
});

fakeTest("another stream reads the input itself: the copy is in the order of one stream alone", () => {
  const bench = new PlanBench();
  const executable = bench.executable(plan(bench, [given, external]));
  const out = bench.buffer(ONES);
  const inputs = Array.from({ length: 8 }, () => bench.buffer(ONES));
  for (const x of inputs) executable.run([x, out], []);
  using other = bench.context.createStream();
  const moved = corrections(() => bench.context.withStream(other, () => executable.run([inputs[0], out], [])));
  assert.equal(moved, 40);
  assert.deepEqual(bench.read(out), times(ONES, 1 + 9 * 40));
});

fakeTest("aligned copies of views lie where they lay in the call before", () => {
  const bench = new PlanBench();
  const launches = [0, 1, 0, 1].map((n) => bench.axpy(slot(n, 16), slot(2)));
  const executable = bench.executable(
    bench.plan({ steps: [{ kind: "launches", launches }], sources: [external, external, external] }),
  );
  const [a, b, out] = [bench.buffer([0, ...ONES]), bench.buffer([0, ...ONES]), bench.buffer(ONES)];
  const call = (): void => executable.run([a.part(4, BYTES), b.part(4, BYTES), out], []);
  for (let i = 0; i < 3; i++) call();
  assert.equal(
    corrections(() => {
      for (let i = 0; i < 4; i++) call();
    }),
    0,
  );
  assert.deepEqual(bench.read(out), times(ONES, 1 + 7 * 4));
});
