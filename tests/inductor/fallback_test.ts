/**
 * No operator leaves the fast path silently: whatever runs as an algorithm on the host is named by explain(), also inside decompositions.
 */
import assert from "node:assert/strict";
import { explain, randn, type Tensor } from "../../mod.ts";

Deno.test("explain() names operators that run on the host between kernels", () => {
  const report = explain((x: Tensor) => x.mul(2).sort()[0].sum())(randn([4]));
  assert.equal(report.fallbacks.length, 1);
  assert.match(report.fallbacks[0] ?? "", /aten\.sort.* is an algorithm, not a loop/);
  assert.match(String(report), /slower: aten\.sort/);
});

Deno.test("explain() names host operators inside a decomposition", () => {
  const report = explain((x: Tensor) => x.svdvals().sum())(randn([3, 2]));
  assert.match(report.fallbacks.join(), /thin_svd/);
});

Deno.test("explain() names no fallback where all operators become kernels", () => {
  const report = explain((x: Tensor) => x.softmax(-1).matmul(x.t()).sum())(randn([3, 4]));
  assert.deepEqual(report.fallbacks, []);
});
