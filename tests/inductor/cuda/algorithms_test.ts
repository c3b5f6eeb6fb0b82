/**
 * Algorithms with kernels of their own on "cuda", on an emulated device: what the host's algorithms give, positions too but where
 * equal elements leave a choice, and nothing is copied to the host.
 */
import assert from "node:assert/strict";
import {
  bfloat16,
  bool,
  compile,
  type DType,
  explain,
  F,
  float16,
  float32,
  float64,
  int16,
  int32,
  int64,
  int8,
  onEvent,
  randn,
  type Tensor,
  tensor,
  uint8,
} from "../../../mod.ts";
import { cudaTest } from "../../helpers/cuda_test.ts";

let seed = 1;
function random(n: number): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor(seed / 2 ** 32 * n);
}

/** Numbers of which some are equal; among floats NaN, both zeros and infinities. */
function mixed(shape: readonly number[], dtype: DType): Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  const special = [NaN, 0, -0, Infinity, -Infinity, NaN];
  const values = Array.from({ length: count }, () => {
    if (dtype === bool) return random(2);
    if (dtype === uint8) return random(200);
    if (!dtype.isFloat) return random(240) - 120;
    return random(10) < 2 ? special[random(special.length)] as number : (random(4000) - 2000) / 8;
  });
  return tensor(values).to(dtype).reshape([...shape]);
}

/** Asserts that two tensors have the same elements: NaN is NaN, and zeros have their signs. */
function same(got: Tensor, want: Tensor, what: string): void {
  assert.equal(got.device.type, "cuda", what);
  const [a, b] = [got.cpu(), want].map((t) => t.reshape([-1]).toArray() as readonly (number | bigint)[]);
  assert.equal(a?.length, b?.length, what);
  const at = (a ?? []).findIndex((x, i) => !Object.is(x, b?.[i]));
  assert.equal(at, -1, `${what}: element ${at} is ${a?.[at]}, not ${b?.[at]}`);
}

/** Runs a function of tensors on both, on CUDA compiled, and eagerly where asked: those are the same kernels, in modules of their own. */
function check(what: string, fn: (x: Tensor) => readonly Tensor[], x: Tensor, eagerly = false): void {
  const messages: string[] = [];
  using _ = onEvent((e) => messages.push(e.message));
  const want = fn(x);
  const there = x.cuda();
  compile(fn)(there).forEach((t, i) => same(t, want[i] as Tensor, `${what}, compiled, result ${i}`));
  if (eagerly) fn(there).forEach((t, i) => same(t, want[i] as Tensor, `${what}, eager, result ${i}`));
  assert.deepEqual(messages.filter((m) => /host/.test(m)), [], what);
}

/**
 * Of a selection, its values, the elements at its positions and how often the most frequent position was given: which of equal elements are selected is the
 * processor's own order (PyTorch's is another on each device). Zeros lose their signs, since these are equal.
 */
function selected(x: Tensor, axis: number, [values, places]: readonly Tensor[], kept = true): readonly Tensor[] {
  if (values === undefined || places === undefined) throw new Error("a selection has two results");
  const [v, at] = kept ? [values, places] : [values.unsqueeze(axis), places.unsqueeze(axis)];
  const counts = F.zerosLike(x, { dtype: int32 }).scatterAdd(axis, at, F.onesLike(at, { dtype: int32 }));
  return [v.add(0), x.gather(axis, at).add(0), counts.amax()];
}

const dtypes = [bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64];

cudaTest("sort() of short rows of every dtype, in both directions", () => {
  for (const dtype of dtypes) {
    check(`sort ${dtype.name}`, (x) => [...x.sort(-1), ...x.sort(-1, true)], mixed([3, 45], dtype), dtype === float32);
  }
});

cudaTest("sort() along other dimensions, of a number, of nothing", () => {
  const x = mixed([5, 70, 3], float32);
  check("sort 1", (t) => [...t.sort(1), ...t.sort(0, true), t.argsort(2), t.msort()], x, true);
  check("sort of a number", (t) => t.sort(), tensor(2));
  check("sort of nothing", (t) => [...t.narrow(1, 0, 0).sort(1)], x);
  check("rows with gaps", (t) => t.transpose(0, 1).sort(1), x);
});

cudaTest("sort() of rows for a block of every width of dtype", () => {
  for (const dtype of [bool, int8, int64, bfloat16, float64]) {
    check(`sort ${dtype.name}`, (x) => [...x.sort(-1), ...x.sort(-1, true)], mixed([2, 300], dtype));
  }
});

cudaTest("sort() of every size of block", () => {
  for (const n of [129, 400, 1000, 1025, 4000, 8192]) check(`sort ${n}`, (x) => x.sort(-1), mixed([2, n], float32));
});

cudaTest("sort() of long rows sweeps over tiles", () => {
  for (const dtype of [uint8, float16, float32, int64]) {
    check(`sort ${dtype.name}`, (x) => [...x.sort(-1), ...x.sort(-1, true)], mixed([2, 9001], dtype));
  }
  check("sort along the first dimension", (x) => x.sort(0), mixed([8500, 2], float32));
});

cudaTest("topk() of short, middling and long rows", () => {
  const top = (x: Tensor, k: number, axis = -1, largest = true): readonly Tensor[] =>
    selected(x, axis, x.topk(k, axis, largest));
  const best = (x: Tensor): readonly Tensor[] => [...top(x, 3), ...top(x, 5, -1, false)];
  for (const n of [8, 64, 100, 500, 3000, 20000]) check(`topk ${n}`, best, mixed([3, n], float32));
  check("topk along 0", (x) => top(x, 4, 0), mixed([30, 5], bfloat16), true);
  check("many of a long row", (x) => top(x, 1500), mixed([1, 9000], float16));
  check("all of a long row", (x) => top(x, 9000, -1, false), mixed([1, 9000], int16));
  check("many equal", (x) => top(x, 700), mixed([1, 10000], int8));
});

cudaTest("kthvalue(), median() and nanmedian() of short, middling and long rows", () => {
  for (const n of [9, 1000, 9000]) {
    const x = mixed([2, n], float32);
    check(`kthvalue ${n}`, (t) => selected(t, -1, t.kthvalue(5), false), x);
    check(`median ${n}`, (t) => [...t.median(1), ...t.nanmedian(1), ...t.nanToNum().median(1, true)], x);
  }
  check("median of all", (t) => [t.median(), t.nanmedian()], mixed([7, 9], float32));
});

cudaTest("Fourier transforms of any lengths, over several dimensions, and their gradients", () => {
  for (
    const [shape, dims] of [[[3, 16, 12], [1, 2]], [[2, 101, 4], [1]], [[5, 1, 360], [-1, 0]], [[2, 7], [1]]] as const
  ) {
    const there = (x: Tensor): Tensor => x.fftFftn(null, dims).viewAsReal();
    const step = (x: Tensor): readonly Tensor[] => {
      const y = there(x);
      const z = y.viewAsComplex().fftIfftn(null, dims).viewAsReal().select(-1, 0).mul(2);
      z.mul(x).sum().backward();
      return [y.detach(), z.detach(), x.grad as Tensor];
    };
    const x = randn([...shape]);
    const want = step(x.clone().requiresGrad_());
    const messages: string[] = [];
    using _ = onEvent((e) => messages.push(e.message));
    const got = compile(step)(x.cuda().requiresGrad_());
    got.forEach((t, i) => {
      const scale = want[i]?.abs().max().item() as number;
      const error = t.cpu().sub(want[i] as Tensor).abs().max().item() as number;
      assert.ok(error <= scale * 2e-6, `${shape} ${i}: ${error} of ${scale}`);
    });
    assert.deepEqual(messages.filter((m) => /host/.test(m)), []);
  }
});

cudaTest("histc() of a given range, and of the elements' own", () => {
  for (const dtype of [float32, float16, bfloat16, float64]) {
    check(`histc ${dtype.name}`, (x) => [x.histc(7, -200, 200), x.histc(100, 0, 249.5)], mixed([3, 500], dtype), true);
  }
  check(
    "the elements' own range",
    (x) => [x.histc(9), x.mul(0).add(3).histc(4), x.narrow(0, 0, 0).histc(3)],
    randn([700]),
  );
  assert.throws(() => tensor([1, NaN]).cuda().histc(4).cpu(), /the range of the elements is not finite/);
  check("many bins", (x) => [x.histc(10000, -1, 1)], randn([700]));
});

cudaTest("gradients of sort() and topk() follow the positions", () => {
  const x = randn([4, 50]);
  const w = randn([4, 7]);
  const grad = (t: Tensor, weight: Tensor): Tensor => {
    t.topk(7)[0].mul(weight).sum().backward();
    return t.grad as Tensor;
  };
  const want = grad(x.clone().requiresGrad_(), w);
  const got = compile(grad)(x.cuda().requiresGrad_(), w.cuda());
  assert.deepEqual(got.cpu().toArray(), want.toArray());
});

cudaTest("sizes that vary: one kernel sorts rows of several lengths", () => {
  const sort = compile((x: Tensor) => x.sort(-1), { dynamic: true });
  for (const n of [300, 77, 9000]) {
    const x = mixed([2, n], float32);
    const want = x.sort(-1);
    sort(x.cuda()).forEach((t, i) => same(t, want[i] as Tensor, `length ${n}, result ${i}`));
  }
});

cudaTest("explain() names no fallback for what has kernels", () => {
  const report = explain((x: Tensor) => x.sort()[0].add(x.topk(4)[0].sum()))(randn([40]).cuda());
  assert.deepEqual(report.fallbacks, []);
});
