/**
 * Searching, drawing and selecting on "cuda", emulated where there is no GPU: what the host's algorithms give, and no tensor is copied to the host.
 */
import assert from "node:assert/strict";
import {
  bfloat16,
  compile,
  F,
  float16,
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

/** Runs a function on both, compiled, or eagerly where sizes depend on data; all elements, dtypes and shapes agree. */
function check(
  what: string,
  fn: (...inputs: Tensor[]) => readonly Tensor[],
  inputs: readonly Tensor[],
  way: "compiled" | "eagerly" = "compiled",
): void {
  const messages: string[] = [];
  using _ = onEvent((e) => messages.push(e.message));
  const want = fn(...inputs), there = inputs.map((x) => x.cuda());
  const got = way === "eagerly" ? fn(...there) : compile(fn, { fullgraph: true })(...there);
  got.forEach((t, i) => {
    assert.equal(t.device.type, "cuda", what);
    assert.equal(t.dtype, want[i]?.dtype, what);
    assert.deepEqual(t.shape, want[i]?.shape, what);
    assert.deepEqual(t.cpu().toArray(), want[i]?.toArray(), `${what}, result ${i}`);
  });
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
  check("rows", (x) => [...x.mode(1), ...x.mode(-1, true)], [x]);
  check("NaN is one value", (x) => [...x.mode(0)], [tensor([NaN, 1, NaN, 1, NaN, 2])]);
  check("halves", (x) => [...x.mode(1)], [x.to(bfloat16)]);
});

cudaTest("multinomial() with replacement draws what the host draws", () => {
  const weights = rand([5, 300]).mul(rand([5, 300]).gt(0.4));
  const draw = (x: Tensor): Tensor => {
    manualSeed(5);
    return x.multinomial(40, true);
  };
  assert.deepEqual(draw(weights.cuda()).cpu().toArray(), draw(weights).toArray());
});

cudaTest("nonzero(), of nothing too, and masked_select()", () => {
  const x = randn([4, 5, 6]).round();
  check("nonzero", (x) => [x.nonzero(), x.reshape([-1]).narrow(0, 0, 0).nonzero()], [x], "eagerly");
  check("masked_select", (x, m) => [x.maskedSelect(m)], [x, x.lt(0)], "eagerly");
});

cudaTest("unique() and unique_consecutive() with inverse and counts", () => {
  const x = F.where(randn([50]).gt(1), NaN, randn([50]).round());
  check("unique", (x) => F._unique2(x, true, true, true), [x], "eagerly");
  check("runs", (x) => F.uniqueConsecutive(x, true, true), [x], "eagerly");
  // Columns of two, whose ranks are ranked together.
  const columns = F.where(randn([2, 20]).gt(1.5), NaN, randn([2, 20]).gt(0));
  check("slices", (x) => F.uniqueDim(x, 1, true, true, true), [columns], "eagerly");
});

cudaTest("bincount() and repeat_interleave()", () => {
  const x = tensor([3, 0, 3, 7, 1], { dtype: int64 });
  check("bincount", (x, w) => [x.bincount(), x.narrow(0, 0, 0).bincount(w.narrow(0, 0, 0), 3)], [
    x,
    tensor([1, 2, 3, 4, 0.5]),
  ], "eagerly");
  assert.throws(() => tensor([1, -2], { dtype: int64 }).cuda().bincount(), /bincount: an element is -2/);
  check("repeat_interleave", (x, y) => [y.repeatInterleave(x, { dim: 0 })], [x, randn([5, 2])], "eagerly");
});
