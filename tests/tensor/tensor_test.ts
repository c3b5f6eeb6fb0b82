import assert from "node:assert/strict";
import { bfloat16, bool, float16, float32, float64, int32, int64, uint8 } from "../../src/core/mod.ts";
import {
  arange,
  ellipsis,
  F,
  fakeLike,
  FakeTensorMode,
  full,
  manualSeed,
  noGrad,
  ones,
  randn,
  slice,
  tensor,
  tensorFrom,
  withMode,
  zeros,
} from "../../src/tensor/mod.ts";
import "../../src/autograd/mod.ts";

Deno.test("tensor() infers dtypes from JavaScript values", () => {
  assert.equal(tensor([1, 2]).dtype, int64);
  assert.equal(tensor([1, 2.5]).dtype, float32);
  assert.equal(tensor([true, false]).dtype, bool);
  assert.equal(tensor([1n]).dtype, int64);
  assert.equal(tensor([]).dtype, float32);
  assert.equal(tensor(new Uint8Array(2)).dtype, uint8);
  assert.equal(tensor(new Float64Array(2)).dtype, float64);
  assert.deepEqual(tensor([[[1], [2]]]).shape, [1, 2, 1]);
});

Deno.test("tensor() refuses ragged arrays and strings", () => {
  assert.throws(() => tensor([[1, 2], [3]]), { name: "TypeError", message: /ragged/ });
  assert.throws(() => tensor([[1], 2]), { name: "TypeError", message: /ragged/ });
  assert.throws(() => tensor(["1" as unknown as number]), { name: "TypeError", message: /string/ });
  assert.throws(() => tensorFrom([2, 2], [1, 2, 3], float32), { message: /3 values do not fill the shape \[2, 2\]/ });
});

Deno.test("int64 stays exact beyond 2^53", () => {
  const big = 9007199254740993n;
  const t = tensor([big, -big]);
  assert.deepEqual([...t.add(1n).dataSync()], [big + 1n, -big + 1n]);
  assert.deepEqual(t.toArray(), [big, -big]);
  assert.deepEqual([...t.mul(t).dataSync()], [BigInt.asIntN(64, big * big), BigInt.asIntN(64, big * big)]);
  assert.throws(() => t.at(0).item(), { name: "RangeError", message: /dataSync/ });
});

Deno.test("half types round to nearest even", () => {
  assert.deepEqual([...tensor([1 + 2 ** -8, 1 + 3 * 2 ** -8], { dtype: bfloat16 }).dataSync()], [1, 1 + 2 ** -6]);
  assert.deepEqual([...tensor([1 + 2 ** -11, 70000], { dtype: float16 }).dataSync()], [1, Infinity]);
  const x = tensor([3], { dtype: bfloat16 });
  assert.equal(x.div(7).item(), Math.fround(0.427734375));
});

Deno.test("integers wrap around", () => {
  assert.deepEqual([...tensor([250], { dtype: uint8 }).add(10).dataSync()], [4]);
  assert.deepEqual([...tensor([2147483647], { dtype: int32 }).add(1).dataSync()], [-2147483648]);
});

Deno.test("a plain number takes part in promotion with the lowest rank", () => {
  assert.equal(tensor([1], { dtype: uint8 }).add(1).dtype, uint8);
  assert.equal(tensor([1]).add(1.5).dtype, float32);
  assert.equal(tensor([1.5], { dtype: float16 }).add(1.25).dtype, float16);
  assert.equal(tensor([0.5], { dtype: float64 }).mul(0.1).item(), 0.5 * 0.1);
});

Deno.test("named arguments follow the positional ones", () => {
  const x = tensor([1.5, 2]);
  assert.deepEqual(x.add(x, { alpha: 2 }).toArray(), [4.5, 6]);
  assert.deepEqual(F.add(x, x, { alpha: 2 }).toArray(), [4.5, 6]);
  const wrong = x as unknown as { add(...args: unknown[]): unknown };
  assert.throws(() => wrong.add(x, { beta: 2 }), { name: "TypeError", message: /fits no form/ });
  assert.throws(() => wrong.add("1"), { name: "TypeError", message: /aten::add.Tensor/ });
});

Deno.test("views share memory; writes through either are seen by both", () => {
  const base = arange(6).view([2, 3]);
  const row = base.at(1);
  row.add_(10);
  assert.deepEqual(base.toArray(), [[0, 1, 2], [13, 14, 15]]);
  base.t().at(0).zero_();
  assert.deepEqual(row.toArray(), [0, 14, 15]);
  assert.equal(row.storage, base.storage);
  assert.equal(base.version, 2);
});

Deno.test("in-place operators read an overlapping operand before they write", () => {
  const t = tensor([1, 2, 3, 4]);
  t.at(slice(1)).add_(t.at(slice(0, 3)));
  assert.deepEqual(t.toArray(), [1, 3, 5, 7]);
  const m = arange(4).view([2, 2]);
  m.add_(m.t());
  assert.deepEqual(m.toArray(), [[0, 3], [3, 6]]);
});

Deno.test("in-place operators refuse results that do not fit", () => {
  assert.throws(() => tensor([1, 2]).add_(1.5), { name: "TypeError", message: /float32.*int64/ });
  assert.throws(() => tensor([1.5]).add_(tensor([1, 2])), { name: "TypeError", message: /\[2\].*\[1\]/ });
  assert.throws(() => ones([1, 2]).expand([3, 2]).add_(1), { name: "TypeError", message: /clone/ });
});

Deno.test("at() indexes with integers, slices, null, ellipsis, lists and masks", () => {
  const t = arange(24).view([2, 3, 4]);
  assert.deepEqual(t.at(1, -1).toArray(), [20, 21, 22, 23]);
  assert.deepEqual(t.at(ellipsis, slice(1, null, 2)).shape, [2, 3, 2]);
  assert.deepEqual(t.at(null, 0).shape, [1, 3, 4]);
  assert.deepEqual(t.at(0, [2, 0], 1).toArray(), [9, 1]);
  assert.deepEqual(t.at(t.gt(20)).toArray(), [21, 22, 23]);
  assert.deepEqual(t.at(slice(), tensor([1])).shape, [2, 1, 4]);
  assert.throws(() => t.at(0, 0, 0, 0), { name: "RangeError", message: /4 indices/ });
  assert.throws(() => t.at(2), { name: "RangeError" });
  assert.throws(() => slice(0, 1, 0), { name: "RangeError", message: /step/ });
});

Deno.test("assign() writes through views and through index tensors", () => {
  const t = zeros([2, 3]);
  t.assign([0], tensor([1, 2, 3]));
  t.assign([ellipsis, 0], 7);
  assert.deepEqual(t.toArray(), [[7, 2, 3], [7, 0, 0]]);
  t.assign([tensor([1, 0]), tensor([2, 1])], tensor([5, 6]));
  assert.deepEqual(t.toArray(), [[7, 6, 3], [7, 0, 5]]);
  t.assign([t.eq(7)], 0);
  assert.deepEqual(t.toArray(), [[0, 6, 3], [0, 0, 5]]);
});

Deno.test("reading gives row-major elements whatever the strides are", async () => {
  const t = arange(6).view([2, 3]).t();
  assert.deepEqual(t.stride, [1, 3]);
  assert.deepEqual([...await t.data()], [0n, 3n, 1n, 4n, 2n, 5n]);
  assert.deepEqual(t.toArray(), [[0, 3], [1, 4], [2, 5]]);
  assert.equal(full([], 2.5).item(), 2.5);
  assert.equal(Number(tensor(4)) + 1, 5);
  assert.throws(() => t.item(), { name: "TypeError", message: /one element/ });
});

Deno.test("a disposed tensor says so when it is used", () => {
  const t = tensor([1.5]);
  const view = t.at(0);
  t.dispose();
  assert.throws(() => t.add(1), { name: "TypeError", message: /disposed/ });
  assert.throws(() => view.item(), { name: "TypeError", message: /disposed/ });
  assert.match(String(t), /disposed/);
  {
    using inner = tensor([1]);
    assert.equal(inner.numel, 1);
  }
});

Deno.test("fake tensors have descriptions and no data", () => {
  const x = fakeLike(arange(6).view([2, 3]).t());
  const y = x.add(1.5);
  assert.deepEqual([y.shape, y.dtype, y.isDense], [[3, 2], float32, false]);
  assert.throws(() => y.toArray(), { name: "TypeError", message: /no data/ });
  const mode = new FakeTensorMode();
  const real = ones([2, 2]);
  const z = withMode(mode, () => real.mm(zeros([2, 5])));
  assert.deepEqual([z.shape, z.isDense], [[2, 5], false]);
  withMode(mode, () => real.add_(1));
  assert.deepEqual(real.toArray(), [[1, 1], [1, 1]]);
});

Deno.test("a fake view shares the storage of its base", () => {
  const x = fakeLike(zeros([4]));
  assert.equal(x.at(slice(1)).storage, x.storage);
  assert.notEqual(x.add(1).storage, x.storage);
});

Deno.test("operators on several devices name both", () => {
  const meta = zeros([2], { device: "meta" });
  assert.throws(() => noGrad(() => tensor([1.5, 2]).add(meta)), { name: "TypeError", message: /cpu and meta/ });
  assert.deepEqual(meta.add(1).shape, [2]);
});

Deno.test("at() and assign() broadcast index tensors of different ranks", () => {
  const x = arange(12).reshape([3, 4]);
  const rows = tensor([[1, -2], [1, 0], [0, -1]], { dtype: int64 });
  assert.deepEqual(x.at(rows, [1, -4]).toArray(), [[5, 4], [5, 0], [1, 8]]);
  const y = zeros([3, 4]).assign([rows, [1, -4]], 1);
  assert.deepEqual(y.toArray(), [[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]]);
});

Deno.test("at() with no positions, and with false, is empty and reads nothing", () => {
  const x = arange(12).reshape([3, 4]);
  assert.deepEqual(x.at(tensor([], { dtype: int64 }), [1]).shape, [0]);
  assert.deepEqual(x.at(false).shape, [0, 3, 4]);
  assert.equal(x.indexSelect(0, tensor([], { dtype: int64 })).sum().item(), 0);
  assert.equal(x.assign([tensor([], { dtype: int64 })], 5).sum().item(), 66);
});

Deno.test("assign() to an empty slice behind the end writes nothing", () => {
  assert.equal(arange(12).reshape([3, 4]).assign([1, slice(5, null, 3)], 9).sum().item(), 66);
});

Deno.test("at() takes a 0-dim integer tensor as an integer: lists beside it stay where they are", () => {
  const x = arange(24).reshape([2, 3, 4]);
  assert.deepEqual(x.at(tensor(1), slice(), [0, 1]).shape, [3, 2]);
  assert.deepEqual(x.at(tensor(1), slice(), [0, 1]).toArray(), x.at(1, slice(), [0, 1]).toArray());
});

Deno.test("at() refuses masks and index tensors that do not fit, and says why", () => {
  const x = arange(12).reshape([3, 4]);
  assert.throws(
    () => x.at(tensor([true, false])),
    /mask of shape \[2\] does not fit dimensions 0 to 0, of sizes \[3\]/,
  );
  assert.throws(() => x.at(tensor([0.5])), /at: an index tensor holds integers or booleans, got float32/);
});

Deno.test("a tensor iterates over its first dimension, as views", () => {
  const x = arange(4).reshape([2, 2]);
  const [first, second] = x;
  assert.deepEqual([first?.toArray(), second?.toArray()], [[0, 1], [2, 3]]);
  for (const row of x) row.add_(1);
  assert.deepEqual(x.toArray(), [[1, 2], [3, 4]]);
  assert.throws(() => [...tensor(1)], /iteration: a 0-dim tensor has no parts/);
});

Deno.test("what newcomers write first is answered with what to write", () => {
  const untyped = { zeros, randn, manualSeed } as unknown as Record<string, (...args: unknown[]) => unknown>;
  assert.throws(() => untyped["zeros"]?.(2, 3), /zeros: the size must be an array, as in zeros\(\[2, 3\]\), got 2/);
  assert.throws(() => untyped["randn"]?.(3), /randn: the size must be an array/);
  assert.throws(() => untyped["zeros"]?.([2], { dtype: "float32" }), /import \{ float32 \} and pass it without quotes/);
  assert.throws(() => untyped["manualSeed"]?.("a"), /manualSeed: the seed must be a safe integer or a bigint, got a/);
  assert.throws(() => zeros([2, 3]).at("a" as unknown as number), /at: a is no index; use integers, slice/);
  assert.throws(() => zeros([2, 3]).at(1.5), /at: 1.5 is no index/);
});

Deno.test("equal() compares shapes and elements, allclose() within a tolerance", () => {
  const x = tensor([1.5, 2]);
  assert.ok(x.equal(x.clone()) && !x.equal(x.add(1e-3)) && !x.equal(x.unsqueeze(0)));
  assert.ok(x.allclose(x.add(1e-6)) && !x.allclose(x.add(1e-3)) && x.allclose(x.add(1e-3), { atol: 1e-2 }));
  const nan = tensor([NaN]);
  assert.ok(!nan.equal(nan) && !nan.allclose(nan) && nan.allclose(nan, { equalNan: true }));
});
