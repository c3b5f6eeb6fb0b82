/** Reductions, scans and statistics where PyTorch's semantics are easy to miss. */
import assert from "node:assert/strict";
import { bool, float16, float32, float64, int32, int64, uint8 } from "../../src/core/mod.ts";
import { tensor } from "../../src/tensor/mod.ts";
import "../../src/autograd/mod.ts";

Deno.test("sum() of integers and bools is int64; of float16 it accumulates in float32", () => {
  assert.equal(tensor([1, 2], { dtype: int32 }).sum().dtype, int64);
  assert.equal(tensor([true, true], { dtype: bool }).sum().item(), 2);
  const many = tensor(new Array<number>(4096).fill(1), { dtype: float16 });
  assert.equal(many.sum().item(), 4096);
  assert.equal(many.sum().dtype, float16);
});

Deno.test("reductions of nothing: sum 0, prod 1, mean NaN; extrema refuse", () => {
  const none = tensor([], { dtype: float32 });
  assert.equal(none.sum().item(), 0);
  assert.equal(none.prod().item(), 1);
  assert.ok(Number.isNaN(Number(none.mean().item())));
  assert.throws(() => none.amax(), { name: "RangeError", message: /amax: \[0\] has no elements/ });
  assert.throws(() => none.argmax(), { name: "RangeError", message: /argmax/ });
});

Deno.test("mean() refuses integers and says what to do", () => {
  assert.throws(() => tensor([1, 2], { dtype: int64 }).mean(), { name: "TypeError", message: /mean: .*int64.*dtype/ });
  assert.equal(tensor([1, 2], { dtype: int64 }).mean({ dtype: float64 }).item(), 1.5);
});

Deno.test("amax() yields NaN if there is one; argmax() finds the first NaN, else the first of equals", () => {
  assert.ok(Number.isNaN(Number(tensor([1, NaN, 3]).amax().item())));
  assert.equal(tensor([1, NaN, 3, NaN]).argmax().item(), 1);
  assert.equal(tensor([1, 3, 3]).argmax().item(), 1);
  assert.equal(tensor([2, 1, 1]).argmin().item(), 1);
});

Deno.test("amax() shares the gradient among equals, max(dim) gives it to the first", () => {
  const x = tensor([1, 3, 3], { dtype: float32 }).requiresGrad_();
  x.amax().backward();
  assert.deepEqual(x.grad?.toArray(), [0, 0.5, 0.5]);
  const y = tensor([1, 3, 3], { dtype: float32 }).requiresGrad_();
  const [values, indices] = y.max(0);
  assert.equal(indices.item(), 1);
  values.backward();
  assert.deepEqual(y.grad?.toArray(), [0, 1, 0]);
});

Deno.test("prod() and cumprod() have gradients at zeros", () => {
  const one = tensor([2, 0, 3], { dtype: float32 }).requiresGrad_();
  one.prod().backward();
  assert.deepEqual(one.grad?.toArray(), [0, 6, 0]);
  const two = tensor([2, 0, 3, 0], { dtype: float32 }).requiresGrad_();
  two.prod().backward();
  assert.deepEqual(two.grad?.toArray(), [0, 0, 0, 0]);
  const run = tensor([2, 0, 3], { dtype: float32 }).requiresGrad_();
  run.cumprod(0).sum().backward();
  assert.deepEqual(run.grad?.toArray(), [1, 2 + 6, 0]);
});

Deno.test("any() and all() of uint8 stay uint8, of others are bool", () => {
  assert.equal(tensor([0, 2], { dtype: uint8 }).any().dtype, uint8);
  assert.equal(tensor([1, 2], { dtype: uint8 }).all().dtype, uint8);
  assert.equal(tensor([0.5, 0]).any().item(), 1);
  assert.equal(tensor([0.5, 0]).all().item(), 0);
});

Deno.test("var() divides by n - 1 unless told otherwise; std() of equal numbers has gradient 0", () => {
  const x = tensor([1, 2, 3, 4], { dtype: float64 });
  assert.equal(x.var(null, { correction: 0 }).item(), 1.25);
  assert.ok(Math.abs(Number(x.var().item()) - 5 / 3) < 1e-12);
  const same = tensor([2, 2, 2], { dtype: float32 }).requiresGrad_();
  same.std().backward();
  assert.deepEqual(same.grad?.toArray(), [0, 0, 0]);
});

Deno.test("logsumexp() survives large numbers and infinities", () => {
  assert.equal(tensor([1000, 1000], { dtype: float64 }).logsumexp(0).item(), 1000 + Math.log(2));
  assert.equal(tensor([-Infinity, -Infinity]).logsumexp(0).item(), -Infinity);
});

Deno.test("cumsum() of float16 is rounded once, not at each step", () => {
  const x = tensor(new Array<number>(3000).fill(1), { dtype: float16 });
  assert.equal(x.cumsum(0).select(0, -1).item(), 3000);
});

Deno.test("sum() over a dimension out of range names operator and rank", () => {
  assert.throws(() => tensor([1, 2]).sum(1), { name: "RangeError", message: /sum: dimension 1 is out of range/ });
  assert.throws(() => tensor([[1]]).sum([0, -2]), { name: "RangeError", message: /sum: dimension appears twice/ });
});

Deno.test("sumToSize() undoes broadcasting", () => {
  const x = tensor([[1, 2, 3], [4, 5, 6]]);
  assert.deepEqual(x.sumToSize([3]).toArray(), [5, 7, 9]);
  assert.deepEqual(x.sumToSize([2, 1]).toArray(), [[6], [15]]);
  assert.throws(() => x.sumToSize([2]), { name: "TypeError", message: /sum_to_size: \[2, 3\]/ });
});
