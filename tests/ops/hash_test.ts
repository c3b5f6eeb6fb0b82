/** hash_tensor's results are uint64, which other operators refuse and views of other dtypes show; views of another dtype share memory. */
import assert from "node:assert/strict";
import { bfloat16, compile, F, float16, float32, int16, int64, tensor, uint64, uint8 } from "../../mod.ts";

Deno.test("hash_tensor gives PyTorch's bits, in any order, eagerly and compiled", () => {
  const x = tensor([-1, 5, -7]);
  assert.equal(F.hashTensor(x, 0).dataSync()[0], 3n);
  assert.equal(compile((t: typeof x) => F.hashTensor(t), { options: { tier: "js" } })(x).dataSync()[0], 3n);
  for (const dtype of [float32, bfloat16, float16]) {
    assert.equal(F.hashTensor(tensor([1.5, -2.25], { dtype })).dataSync()[0], 18445055223849287680n);
    assert.equal(F.hashTensor(tensor([-2.25, 1.5], { dtype })).dataSync()[0], 18445055223849287680n);
  }
  assert.throws(
    () => F.hashTensor(tensor([]).reshape([2, 0]), 1),
    /hash_tensor: dimension 1 of \[2, 0\] has no elements/,
  );
  assert.throws(() => F.hashTensor(x, { mode: 1 }), /hash_tensor: mode 1 is unknown/);
});

Deno.test("uint64 is viewed and read, not computed with", () => {
  const hash = F.hashTensor(tensor([[1, -2], [3, 4]]), 1);
  assert.equal(hash.dtype, uint64);
  assert.deepEqual([...hash.dataSync()], [BigInt.asUintN(64, 1n ^ -2n), 7n]);
  assert.deepEqual([...hash.view(int64).dataSync()], [-1n, 7n]);
  assert.equal(String(hash.at(0)).includes("18446744073709551615"), true);
  assert.throws(() => hash.add(hash), /add: an argument is uint64.*use \.view\(int64\)/);
  assert.throws(() => F.zeros([2], { dtype: uint64 }), /uint64/);
});

Deno.test("view(dtype) shows the same bytes: wider, narrower, written through, and compiled", () => {
  const x = tensor([[1, -2], [0.5, 3]]);
  assert.deepEqual(x.view(int16).toArray(), [[0, 16256, 0, -16384], [0, 16128, 0, 16448]]);
  assert.deepEqual(x.view(int64).shape, [2, 1]);
  assert.deepEqual(x.view(uint8).view(float32).toArray(), x.toArray());
  assert.deepEqual(x.view(bfloat16).view(float32).toArray(), x.toArray());
  const y = x.clone();
  y.view(int16).select(1, 1).zero_();
  assert.deepEqual(y.toArray(), [[0, -2], [0, 3]]);
  assert.throws(() => x.t().view(int16), /view: float32.*last dimension must have stride 1/);
  assert.throws(() => tensor([1, 2, 3]).to(float32).view(int64), /must be a multiple of 2/);
  const written = (t: typeof x): typeof x => {
    const z = t.mul(1);
    z.view(int16).select(1, 1).zero_();
    return z.add(1);
  };
  assert.deepEqual(compile(written, { options: { tier: "js" } })(x).toArray(), [[1, -1], [1, 4]]);
});
