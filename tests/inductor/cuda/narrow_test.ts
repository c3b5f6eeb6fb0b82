/** 8-bit floats and products of 8-bit numbers on CUDA give what they give on the CPU: stored by fused kernels, multiplied by tensor cores. On the emulated device where there is no GPU. */
import assert from "node:assert/strict";
import {
  bfloat16,
  compile,
  type DType,
  float32,
  float8_e4m3fn,
  float8_e5m2,
  int8,
  noGrad,
  randn,
  type Tensor,
  tensor,
  uint8,
} from "../../../mod.ts";
import { F } from "../../../src/tensor/mod.ts";
import { assertClose, cudaTest } from "../../helpers/cuda_test.ts";

const EDGES = [
  0,
  -0,
  Infinity,
  -Infinity,
  448,
  464,
  465,
  500,
  -1e9,
  57344,
  61439,
  61440,
  2 ** -9,
  2 ** -10,
  3 * 2 ** -10,
]
  .concat([2 ** -16, 2 ** -17, 3 * 2 ** -17, 1.0625, 1.1875, -1.125, 0.015, 0.0156]);

cudaTest("kernels store 8-bit floats as the CPU does, and read them", () => {
  const x = F.cat([tensor(EDGES), randn([233])]);
  for (const dtype of [float8_e4m3fn, float8_e5m2]) {
    const both = (t: Tensor): [Tensor, Tensor] => {
      const narrow = t.mul(1).to(dtype);
      return [narrow, narrow.to(float32).add(1)];
    };
    const [expected, wide] = both(x);
    for (const fn of [both, compile(both)]) {
      const [got, read] = noGrad(() => fn(x.cuda()));
      assert.equal(got.dtype, dtype);
      assert.deepEqual(got.cpu().view(uint8).toArray(), expected.view(uint8).toArray());
      assert.deepEqual(read.cpu().toArray(), wide.toArray());
    }
  }
});

function scaled(a: Tensor, b: Tensor, sa: Tensor, sb: Tensor, bias: Tensor): Tensor {
  return F._scaledMm(a, b.t(), sa, sb, { bias, outDtype: bfloat16 });
}

cudaTest("products of 8-bit floats with scales and a bias are one kernel, and the CPU's", () => {
  const [m, n, k] = [130, 72, 160];
  const kinds: readonly (readonly [DType, DType])[] = [[float8_e4m3fn, float8_e4m3fn], [float8_e5m2, float8_e4m3fn]];
  for (const [first, second] of kinds) {
    const args = [
      randn([m, k]).to(first),
      randn([n, k]).to(second),
      randn([m, 1]).abs(),
      randn([1, n]).abs(),
      randn([n]).to(bfloat16),
    ] as const;
    const expected = scaled(...args);
    const there = args.map((t) => t.cuda()) as unknown as Parameters<typeof scaled>;
    for (const fn of [scaled, compile(scaled)]) assertClose(noGrad(() => fn(...there)).cpu(), expected, 2e-2);
  }
});

cudaTest("int8 sums in int32 exactly, whatever is done to inputs and sums in the same function", () => {
  const layer = (x: Tensor, w: Tensor, scale: Tensor): Tensor =>
    F._intMm(x.div(scale).round().clamp(-127, 127).to(int8), w.t()).mul(3).relu();
  const x = randn([70, 96]);
  const w = randn([40, 96]).mul(40).round().to(int8);
  const scale = tensor(0.02);
  const expected = layer(x, w, scale).toArray();
  const f = compile(layer);
  assert.deepEqual(noGrad(() => f(x.cuda(), w.cuda(), scale.cuda())).cpu().toArray(), expected);
});
