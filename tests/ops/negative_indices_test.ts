/**
 * Negative indices: counted from the end where PyTorch counts them, refused by name where it refuses them. Eager and compiled, C++ and CUDA alike.
 */
import assert from "node:assert/strict";
import { compile, nn, randn, type Tensor, tensor } from "../../mod.ts";
import { cudaTest } from "../helpers/cuda_test.ts";

type Indexed = (x: Tensor, i: Tensor) => Tensor;

/** By the operator that the message names; `i` has one element, x is [5, 3]. */
const refusing: Readonly<Record<string, Indexed>> = {
  embedding: (x, i) => nn.functional.embedding(i, x),
  gather: (x, i) => x.gather(0, i.unsqueeze(1)),
  index_select: (x, i) => x.indexSelect(0, i),
  scatter: (x, i) => x.scatter(0, i.unsqueeze(1), 1),
  scatter_add: (x, i) => x.scatterAdd(0, i.unsqueeze(1), x),
  index_add: (x, i) => x.indexAdd(0, i, x.narrow(0, 0, 1)),
  index_copy: (x, i) => x.indexCopy(0, i, x.narrow(0, 0, 1)),
  one_hot: (_, i) => nn.functional.oneHot(i, 5),
};
const counting: Readonly<Record<string, Indexed>> = {
  index: (x, i) => x.at(i),
  take: (x, i) => x.take(i),
  takeAlongDim: (x, i) => x.takeAlongDim(i.unsqueeze(1), 0),
  "takeAlongDim of all": (x, i) => x.takeAlongDim(i),
  indexFill: (x, i) => x.indexFill(0, i, 7),
  indexPut: (x, i) => x.indexPut([i], tensor(7.5, { device: x.device })),
};

function numbers(t: Tensor): number[] {
  return Array.from(t.cpu().dataSync() as Float32Array);
}

function testRefusals(device: string): void {
  const x = randn([5, 3], { device });
  for (const [name, f] of Object.entries(refusing)) {
    for (const call of [f, compile(f)]) {
      for (const wrong of [-1, -5, 5]) {
        assert.throws(
          () => numbers(call(x, tensor([wrong], { device }))),
          new RegExp(`^RangeError: ${name}[^:]*(:\\S+:\\d+:\\d+[^:]*)*: an index is ${wrong}, but the dimension`),
          `${name} of ${wrong} on ${device}`,
        );
      }
      call(x, tensor([4], { device })).toArray();
    }
  }
}

function testCounting(device: string): void {
  const x = randn([5, 3], { device });
  for (const [name, f] of Object.entries(counting)) {
    const length = name === "take" || name === "takeAlongDim of all" ? 15 : 5;
    for (const call of [f, compile(f)]) {
      for (const back of [1, length]) {
        const [negative, plain] = [-back, length - back].map((i) => tensor([i], { device }));
        assert.deepEqual(
          numbers(call(x, negative as Tensor)),
          numbers(call(x, plain as Tensor)),
          `${name} of ${-back}`,
        );
      }
      assert.throws(() => numbers(call(x, tensor([-length - 1], { device }))), RangeError, name);
    }
  }
}

Deno.test("operators that take no negative index in PyTorch refuse it by name", () => testRefusals("cpu"));
cudaTest("operators that take no negative index in PyTorch refuse it by name on CUDA", () => testRefusals("cuda"));

Deno.test("indexing, take, take_along_dim and index_fill count negative indices from the end", () =>
  testCounting("cpu"));
cudaTest("indexing, take, take_along_dim and index_fill count from the end on CUDA", () => testCounting("cuda"));

Deno.test("the C++ kernels refuse and count as JavaScript does, in vectors and at their ends", async () => {
  const x = randn([40, 4]);
  const [read, count] = [
    compile((x: Tensor, i: Tensor) => x.mul(2).gather(0, i).mul(3), { mode: "aot" }),
    compile((x: Tensor, i: Tensor) => x.mul(2).take(i).mul(3), { mode: "aot" }),
  ];
  const good = Array.from({ length: 37 }, (_, i) => i % 40);
  for (const at of [0, 20, 36]) {
    for (const call of [read, count]) {
      const one = tensor(good.with(at, -1).map((i) => call === read ? [i] : i));
      if (call === read) {
        assert.throws(() => call(x, one).toArray(), /^RangeError: .*an index is -1, but the dimension/);
      } else assert.deepEqual(numbers(call(x, one)), numbers(call(x, tensor(good.with(at, 159)))));
      await call.ready?.();
    }
  }
});

Deno.test("the gradient of take adds at negative indices, too", () => {
  const x = randn([2, 3]).requiresGrad_();
  x.take(tensor([-1, 5, 0])).sum().backward();
  assert.deepEqual(numbers(x.grad as Tensor), [1, 0, 0, 0, 0, 2]);
});

Deno.test("a target of the loss that is negative is refused, unless it is ignored", () => {
  const scores = randn([2, 4]);
  for (const f of [nn.functional.crossEntropy, compile(nn.functional.crossEntropy)]) {
    assert.throws(
      () => f(scores, tensor([1, -1])).item(),
      /^RangeError: cross_entropy: a target is -1, but there are 4/,
    );
    assert.equal(f(scores, tensor([1, -100])).item(), f(scores.narrow(0, 0, 1), tensor([1])).item());
  }
});
