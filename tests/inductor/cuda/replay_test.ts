/** What replays of compiled functions find where it was: results at the addresses of the call before, inputs that move at one place. On an emulated device. */
import assert from "node:assert/strict";
import { compile, onCompile, randn, type Tensor } from "../../../mod.ts";
import { CudaBuffer, cudaContext, CudaGraph } from "../../../src/runtime/cuda/mod.ts";
import { emulateCuda } from "../../runtime/cuda/emulator/mod.ts";

const reason = emulateCuda();

function replayTest(name: string, fn: () => void | Promise<void>): void {
  Deno.test({
    name: reason === null ? name : `${name} [skipped: ${reason}]`,
    ignore: reason !== null,
    sanitizeResources: false,
    sanitizeOps: false,
    fn,
  });
}

function addressOf(t: Tensor): number {
  const { buffer } = t.storage;
  assert.ok(buffer instanceof CudaBuffer);
  return buffer.address;
}

replayTest("results that were disposed come back where they were, in whatever order that happened", () => {
  const f = compile((x: Tensor): Tensor[] => [x.add(1), x.mul(2), x.sub(3)]);
  const x = randn([64]).to("cuda");
  const first = f(x);
  const addresses = first.map(addressOf);
  for (const t of first) t.dispose();
  for (let i = 0; i < 4; i++) {
    const results = f(x);
    assert.deepEqual(results.map(addressOf), addresses);
    for (const t of i % 2 === 0 ? results : results.toReversed()) t.dispose();
  }
});

replayTest("an input that many kernels read may move at each call, and no recorded kernel is corrected for it", () => {
  const f = compile((x: Tensor): Tensor => {
    let y = x;
    for (let i = 0; i < 6; i++) y = y.softmax(1).matmul(x);
    return y;
  });
  const inputs = Array.from({ length: 8 }, () => randn([4, 4]));
  const there = inputs.map((x) => x.to("cuda"));
  const expected = inputs.map((x) => {
    let y = x;
    for (let i = 0; i < 6; i++) y = y.softmax(1).matmul(x);
    return y;
  });
  const real = CudaGraph.prototype.update;
  let corrections = 0;
  CudaGraph.prototype.update = function (this: CudaGraph, ...args: Parameters<typeof real>): void {
    corrections++;
    real.apply(this, args);
  };
  try {
    for (let i = 0; i < 24; i++) {
      if (i === 8) corrections = 0;
      const y = f(there[i % 8] as Tensor);
      const worst = y.to("cpu").sub(expected[i % 8] as Tensor).abs().max().item();
      assert.ok(Number(worst) < 1e-3, `call ${i} is off by ${worst}`);
      y.dispose();
    }
  } finally {
    CudaGraph.prototype.update = real;
  }
  assert.equal(corrections, 0);
});

replayTest("a compiled function that nobody reaches takes its kernels and recorded graphs with it", async () => {
  const collected = new Set<string>();
  const registry = new FinalizationRegistry<string>((what) => void collected.add(what));
  const x = randn([8, 8]).to("cuda");
  const use = (i: number): void => {
    using _ = onCompile(({ graph }) => {
      const { cuda } = graph;
      assert.ok(cuda !== null);
      registry.register(cuda.executable, `executable ${i}`);
    });
    const f = compile((t: Tensor): Tensor => {
      let y = t;
      for (let k = 0; k < 3; k++) y = y.softmax(1).matmul(t);
      return y;
    });
    for (let k = 0; k < 3; k++) f(x).dispose();
  };
  for (let i = 0; i < 4; i++) use(i);
  for (let k = 0; k < 3; k++) await cudaContext().allocator.collect();
  assert.ok(collected.size >= 3, `${collected.size} of 4 are collected`);
});
