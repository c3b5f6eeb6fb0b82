import assert from "node:assert/strict";
import { float64, int64 } from "../../src/core/mod.ts";
import { Generator, manualSeed, rand, randint, randn, randperm } from "../../src/tensor/mod.ts";
import { philoxWord } from "../../src/loops/philox.ts";

Deno.test("manualSeed() starts the same numbers again; draws differ from each other", () => {
  manualSeed(7);
  const first = [rand([4]).toArray(), randn([4]).toArray(), rand([4]).toArray()];
  manualSeed(7);
  const second = [rand([4]).toArray(), randn([4]).toArray(), rand([4]).toArray()];
  assert.deepEqual(first, second);
  assert.notDeepEqual(first[0], first[2]);
});

Deno.test("rand() is the Philox word of the element's position, in the stream of the draw", () => {
  const generator = new Generator(123456789012345n);
  for (let stream = 0; stream < 3; stream++) {
    const got = rand([2, 3], { generator }).dataSync();
    got.forEach((v, i) => assert.equal(v, (philoxWord(123456789012345n, stream, i) >>> 8) * 2 ** -24));
  }
  assert.deepEqual([...generator.state.dataSync()], [123456789012345n, 3n]);
});

Deno.test("a generator of its own leaves the default one alone", () => {
  manualSeed(1);
  const expected = rand([3]).toArray();
  manualSeed(1);
  rand([3], { generator: new Generator(1) });
  assert.deepEqual(rand([3]).toArray(), expected);
});

Deno.test("randn() has mean 0 and deviation 1; rand() stays in [0, 1)", () => {
  manualSeed(0);
  const normal = randn([40_000], { dtype: float64 });
  assert.ok(Math.abs(normal.mean().item()) < 0.02);
  assert.ok(Math.abs(normal.std().item() - 1) < 0.02);
  const uniform = rand([40_000]);
  assert.ok(uniform.min().item() >= 0 && uniform.max().item() < 1);
  assert.ok(Math.abs(uniform.mean().item() - 0.5) < 0.01);
});

Deno.test("randint() covers its range and randperm() is a permutation", () => {
  manualSeed(3);
  const values = randint(-2, 3, [500]);
  assert.equal(values.dtype, int64);
  assert.deepEqual([...new Set([...values.dataSync()].map(Number))].sort((a, b) => a - b), [-2, -1, 0, 1, 2]);
  assert.throws(() => randint(3, 3, [1]), { name: "RangeError", message: /empty/ });
  const order = [...randperm(50).dataSync()].map(Number);
  assert.notDeepEqual(order, [...order].sort((a, b) => a - b));
  assert.deepEqual([...order].sort((a, b) => a - b), Array.from({ length: 50 }, (_, i) => i));
});

Deno.test("a generator refuses a seed that is no integer", () => {
  assert.throws(() => new Generator(1.5), { name: "RangeError", message: /1.5/ });
});
