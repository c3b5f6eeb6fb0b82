/** Integers are counted as PyTorch counts them on CUDA: routers of experts do it. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { bool, float32, int32 } from "../../src/core/mod.ts";
import { tensorFrom } from "../../src/tensor/mod.ts";

Deno.test("histc counts integers in integer arithmetic", () => {
  const x = tensorFrom([10], [0, 1, 1, 3, 7, 7, 7, 2, 5, 6], int32);
  const all = x.histc({ bins: 8, min: 0, max: 7 });
  assert.equal(all.dtype, int32);
  assert.deepEqual([...all.dataSync()].map(Number), [1, 2, 1, 1, 0, 1, 1, 3]);
  // 2 · 3 / 7 is 0, 3 · 3 / 7 is 1.
  assert.deepEqual([...x.histc({ bins: 3 }).dataSync()].map(Number), [4, 1, 5]);
  assert.deepEqual([...x.to(float32).histc({ bins: 3 }).dataSync()].map(Number), [4, 1, 5]);
  assert.throws(() => x.to(bool).histc({ bins: 3 }), { name: "TypeError", message: /histc: .* got bool/ });
});
