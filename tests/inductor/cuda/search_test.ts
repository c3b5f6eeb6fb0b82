/**
 * Searching, drawing and selecting on "cuda", emulated where there is no GPU: what the host's algorithms give, and no tensor is copied to the host.
 */
import assert from "node:assert/strict";
import {
  bfloat16,
  bool,
  compile,
  F,
  float16,
  float32,
  int32,
  int64,
  manualSeed,
  onEvent,
  rand,
  randn,
  type Tensor,
  tensor,
} from "../../../mod.ts";
import { cudaTest } from "../../helpers/cuda_test.ts";

/** Runs a function on both, eagerly and compiled; all elements, dtypes and shapes agree. */
function check(
  what: string,
  fn: (...inputs: Tensor[]) => readonly Tensor[],
  inputs: readonly Tensor[],
  options: { readonly compiled: boolean } = { compiled: true },
): void {
  const messages: string[] = [];
  using _ = onEvent((e) => messages.push(e.message));
  const want = fn(...inputs), there = inputs.map((x) => x.cuda());
  const runs = options.compiled ? [fn(...there), compile(fn, { fullgraph: true })(...there)] : [fn(...there)];
  for (const got of runs) {
    got.forEach((t, i) => {
      assert.equal(t.device.type, "cuda", what);
      assert.equal(t.dtype, want[i]?.dtype, what);
      assert.deepEqual(t.shape, want[i]?.shape, what);
      assert.deepEqual(t.cpu().toArray(), want[i]?.toArray(), `${what}, result ${i}`);
    });
  }
  assert.deepEqual(messages.filter((m) => /host/.test(m)), [], what);
}

cudaTest("searchsorted() and bucketize() of vectors, rows, numbers, NaN, by an order", () => {
  const line = tensor([-2, 0, 0, 1.5, 4, Infinity, NaN]), values = tensor([[0, -3, NaN], [4, 1.5, 5]]);
  check("a vector", (l, v) => [F.searchsorted(l, v), F.searchsorted(l, v, { right: true, outInt32: true })], [
    line,
    values,
  ]);
  check("buckets", (l, v) => [v.bucketize(l), v.bucketize(l, { right: true })], [line, values]);
  check("a number", (l) => [F.searchsorted(l, 0), F.searchsorted(l, 0.5, { side: "right" })], [line]);
  const rows = randn([3, 20]);
  check("rows by an order", (r, o, v) => [F.searchsorted(r, v, { sorter: o })], [rows, rows.argsort(1), randn([3, 5])]);
  const whole = tensor([1, 5, 2 ** 53 - 1], { dtype: int64 });
  check("whole numbers", (l, v) => [F.searchsorted(l, v)], [whole, tensor([2 ** 53 - 2, 5], { dtype: int64 })]);
  check("whole numbers in halves", (l, v) => [v.bucketize(l)], [
    tensor([1, 2, 3], { dtype: float16 }),
    tensor([2, 9], { dtype: int32 }),
  ]);
});

cudaTest("mode() takes the smallest of the most frequent elements, and its last position", () => {
  const x = randn([4, 70, 3]).mul(3).round();
  check("rows", (x) => [...x.mode(1), ...x.mode(-1, true), ...x.mode(0)], [x]);
  check("NaN is one value", (x) => [...x.mode(0)], [tensor([NaN, 1, NaN, 1, NaN, 2])]);
  check("halves and whole numbers", (x, y, z) => [...x.mode(1), ...y.mode(1), ...z.mode(1)], [
    x.to(bfloat16),
    x.to(int64),
    x.gt(0),
  ]);
});

cudaTest("multinomial() draws what the host draws", () => {
  const weights = rand([5, 300]).mul(rand([5, 300]).gt(0.4));
  for (const [samples, again] of [[1, true], [40, true], [25, false]] as const) {
    const draw = (x: Tensor): Tensor => {
      manualSeed(5);
      return x.multinomial(samples, again);
    };
    assert.deepEqual(draw(weights.cuda()).cpu().toArray(), draw(weights).toArray(), `${samples} ${again}`);
  }
});

cudaTest("nonzero(), masked_select() and masks as indices", () => {
  const x = randn([4, 5, 6]).round();
  const alone = { compiled: false };
  check("nonzero", (x) => [x.nonzero(), x.gt(0).argwhere()], [x], alone);
  check("a number, nothing", (x) => [x.nonzero(), x.reshape([1]).narrow(0, 0, 0).nonzero()], [tensor(3)], alone);
  check("masked_select", (x, m) => [x.maskedSelect(m), x.gt(9).nonzero()], [x, x.lt(0)], alone);
});

cudaTest("unique() and unique_consecutive() with inverse and counts", () => {
  const alone = { compiled: false };
  const unique = (x: Tensor): readonly Tensor[] => F._unique2(x, true, true, true);
  for (const dtype of [float32, bool]) {
    check(`unique ${dtype.name}`, unique, [
      dtype === bool ? randn([50]).gt(0) : F.where(randn([50]).gt(1), NaN, randn([50]).round()),
    ], alone);
  }
  check("runs", (x) => F.uniqueConsecutive(x, true, true), [tensor([1, 1, 2, 2, 2, 1, 3])], alone);
  check(
    "values alone, nothing",
    (x) => [
      F._unique2(x)[0],
      F._unique2(x.narrow(0, 0, 0), true, true, true)[1],
    ],
    [tensor([3, 1, 3])],
    alone,
  );
});

cudaTest("bincount() and repeat_interleave()", () => {
  const alone = { compiled: false };
  const x = tensor([3, 0, 3, 7, 1], { dtype: int64 });
  check(
    "bincount",
    (x, w) => [x.bincount(), x.bincount(null, 12), x.bincount(w)],
    [x, tensor([1, 2, 3, 4, 0.5])],
    alone,
  );
  check("nothing to count", (x) => [x.narrow(0, 0, 0).bincount(null, 3)], [x], alone);
  assert.throws(() => tensor([1, -2], { dtype: int64 }).cuda().bincount(), /bincount: an element is -2/);
  check(
    "repeat_interleave",
    (x, y) => [F.repeatInterleave(x), y.repeatInterleave(x, { dim: 0 })],
    [x, randn([5, 2])],
    alone,
  );
});
