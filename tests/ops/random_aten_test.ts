/** ATen's random operators: reproducible, distributed as they say, and fresh at each call. */
import assert from "node:assert/strict";
import "../../src/autograd/mod.ts";
import { int64 } from "../../src/core/mod.ts";
import { F, manualSeed, type Tensor, zeros } from "../../src/tensor/mod.ts";

const numbers = (t: Tensor): number[] => Array.from(t.dataSync(), Number);
const mean = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0) / x.length;

Deno.test("rand() and randn() follow the seed and differ from call to call", () => {
  for (const name of ["rand", "randn"] as const) {
    manualSeed(7);
    const first = numbers(F[name]([2000]));
    const second = numbers(F[name]([2000]));
    manualSeed(7);
    assert.deepEqual(numbers(F[name]([2000])), first);
    assert.notDeepEqual(first, second);
    assert.ok(Math.abs(mean(first) - (name === "rand" ? 0.5 : 0)) < 0.08);
  }
});

Deno.test("randint() stays in its range and randperm() is a permutation", () => {
  manualSeed(8);
  const drawn = numbers(F.randint(3, 9, [500]));
  assert.deepEqual([...new Set(drawn)].sort(), [3, 4, 5, 6, 7, 8]);
  assert.deepEqual(numbers(F.randperm(20)).sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i));
  assert.equal(F.randperm(3).dtype, int64);
});

Deno.test("uniform_(), normal_() and bernoulli_() fill in place", () => {
  manualSeed(9);
  const x = zeros([1000]);
  assert.equal(x.uniform_(2, 4), x);
  assert.ok(numbers(x).every((v) => v >= 2 && v < 4) && Math.abs(mean(numbers(x)) - 3) < 0.1);
  x.normal_(5, 0.5);
  assert.ok(Math.abs(mean(numbers(x)) - 5) < 0.1);
  x.bernoulli_(0.25);
  assert.ok(Math.abs(mean(numbers(x)) - 0.25) < 0.06 && numbers(x).every((v) => v === 0 || v === 1));
});

Deno.test("dropout() scales what it keeps, passes gradients through its mask, and does nothing in evaluation", () => {
  manualSeed(10);
  const x = zeros([1000]).add(1).requiresGrad_();
  const out = F.dropout(x, 0.5, true);
  const kept = numbers(out);
  assert.ok(kept.every((v) => v === 0 || v === 2) && Math.abs(mean(kept) - 1) < 0.15);
  out.sum().backward();
  assert.deepEqual(numbers(x.grad as Tensor), kept);
  assert.equal(F.dropout(x, 0.5, false), x);
  assert.throws(() => F.dropout(x, 1.5, true), /a probability lies between 0 and 1/);
});
