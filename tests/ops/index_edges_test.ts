/** Indexing at its edges: indices without elements, masks under capture; gradients of mixed dtypes. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { bool, float16, float32, int64 } from "../../src/core/mod.ts";
import { manualSeed, noGrad, randn, type Tensor, tensor, zeros } from "../../src/tensor/mod.ts";

function numbers(t: Tensor): number[] {
  return Array.from(t.to(float32).dataSync() as Float32Array);
}

Deno.test("gather and scatter take an index without elements of any rank, eager and compiled", () => {
  const x = randn([3]);
  const none = zeros([2, 0, 3], { dtype: int64 });
  for (const wrap of [(f: (...a: Tensor[]) => Tensor) => f, (f: (...a: Tensor[]) => Tensor) => compile(f)]) {
    assert.deepEqual(wrap((a, i) => a.gather(0, i))(x, none).shape, [2, 0, 3]);
    assert.deepEqual(numbers(wrap((a, i) => a.scatter(0, i, 5))(x, none)), numbers(x));
    assert.deepEqual(numbers(wrap((a, i, s) => a.scatterAdd(0, i, s))(x, none, zeros([2, 0, 3]))), numbers(x));
    const leaf = randn([3]).requiresGrad_();
    wrap((a, i) => a.gather(0, i))(leaf, none).sum().backward();
    assert.deepEqual(numbers(leaf.grad as Tensor), [0, 0, 0]);
  }
});

Deno.test("a value written where a mask holds needs no graph break", () => {
  manualSeed(1);
  const x = randn([2, 3, 2]);
  const cases: readonly (readonly [(a: Tensor, v: Tensor) => Tensor, Tensor])[] = [
    [(a, v) => a.indexPut([a.gt(0)], v), tensor(5.5)],
    [(a, v) => a.indexPut([a.gt(0)], v), tensor([5.5])],
    [(a, v) => a.indexPut([a.gt(0)], v, true), tensor([5.5])],
    [(a, v) => a.indexPut([a.select(2, 0).gt(0)], v), tensor([5.5, 6.5])],
    [(a, v) => a.indexPut([null, tensor([true, false, true])], v), randn([2, 1, 2])],
    [(a, v) => a.clone().indexPut_([null, null, tensor([true, false])], v), randn([3, 1])],
  ];
  for (const [f, v] of cases) {
    const want = noGrad(() => f(x, v));
    for (const dynamic of [false, true]) {
      assert.deepEqual(numbers(noGrad(() => compile(f, { fullgraph: true, dynamic })(x, v))), numbers(want));
    }
  }
});

Deno.test("a mask of another shape than what it chooses from is refused", () => {
  const x = randn([2, 3]);
  assert.throws(() => x.indexPut([zeros([2, 1], { dtype: bool })], tensor(1.5)));
});

Deno.test("the gradient of hypot divides before it multiplies, so that halves near 1 stay 1", () => {
  const y = tensor(0.00048828125).to(float16);
  const x = tensor([0.29541015625]).to(float16).requiresGrad_();
  x.hypot(y).sum().backward();
  assert.deepEqual(numbers(x.grad as Tensor), [1]);
});
