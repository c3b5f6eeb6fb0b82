/** Quantisation gives PyTorch's numbers, gradients and refusals; compiled as well. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { float32, int32, int8, uint8 } from "../../src/core/mod.ts";
import { findOp } from "../../src/ops/mod.ts";
import { dispatch, F, type Tensor, tensor } from "../../src/tensor/mod.ts";

const input = (): Tensor => tensor([[-3, -1.3, -0.126, 0.1249], [0.375, 0.626, 1.49, 9]]).requiresGrad_();
const scales = tensor([0.1, 0.2, 0.3, 0.25]), zeros = tensor([0, 1, -2, 3], { dtype: int32 });

const numbers = (x: Tensor | null): number[] =>
  [...(x as Tensor).detach().contiguous().dataSync()].map((v) => Math.round(Number(v) * 1e5) / 1e5 + 0);

const WHOLE = [-2.25, -1.25, -0.25, 0, 0.5, 0.75, 1.5, 1.5];
const CHANNELS = [-0.8, -1.2, 0, 0, 0.4, 0.6, 1.5, 1];

Deno.test("fakeQuantize…() rounds to PyTorch's grid, and its gradient stops at the ends", () => {
  const cases: readonly [(x: Tensor) => Tensor, readonly number[]][] = [
    [(x) => F.fakeQuantizePerTensorAffine(x, 0.25, 1, -8, 7), WHOLE],
    [(x) => F.fakeQuantizePerTensorAffine(x, tensor([0.25]), tensor([1], { dtype: int32 }), -8, 7), WHOLE],
    [(x) => F.fakeQuantizePerChannelAffine(x, scales, zeros, 1, -8, 7), CHANNELS],
  ];
  for (const [run, wanted] of cases) {
    for (const fn of [run, compile(run, { fullgraph: true })]) {
      const x = input();
      const y = fn(x);
      assert.deepEqual(numbers(y), wanted);
      y.sum().backward();
      assert.deepEqual(numbers(x.grad), [0, 1, 1, 1, 1, 1, 1, 0]);
    }
  }
});

Deno.test("quantized_decomposed operators store and read PyTorch's integers", () => {
  const call = (name: string, args: Record<string, unknown>): Tensor => {
    const op = findOp(`quantized_decomposed.${name}`);
    assert.ok(op !== null, name);
    return dispatch(op, args) as Tensor;
  };
  const x = input().detach();
  const whole = { scale: 0.25, zeroPoint: 1, quantMin: -128, quantMax: 127, dtype: int8 };
  const q = call("quantize_per_tensor.default", { input: x, ...whole });
  assert.equal(q.dtype, int8);
  assert.deepEqual(numbers(q), [-11, -4, 0, 1, 3, 4, 7, 37]);
  assert.deepEqual(numbers(call("dequantize_per_tensor.default", { input: q, ...whole })), [
    -3,
    -1.25,
    -0.25,
    0,
    0.5,
    0.75,
    1.5,
    9,
  ]);
  // PyTorch: scale 12 / 255, zero point 64.
  const [scale, zeroPoint] = call("choose_qparams.tensor", {
    input: x,
    quantMin: 0,
    quantMax: 255,
    eps: 1e-7,
    dtype: uint8,
  }) as unknown as [Tensor, Tensor];
  assert.deepEqual([scale.dtype.name, zeroPoint.dtype.name, scale.shape, zeroPoint.shape], ["float64", "int64", [1], [
    1,
  ]]);
  assert.deepEqual([numbers(scale), numbers(zeroPoint)], [[0.04706], [64]]);
  const each = { scales, zeroPoints: zeros, axis: 1, quantMin: -8, quantMax: 7, dtype: int8 };
  const c = call("quantize_per_channel.default", { input: x, ...each });
  assert.deepEqual(numbers(c), [-8, -5, -2, 3, 4, 4, 3, 7]);
  const read = call("dequantize_per_channel.default", { input: c, ...each });
  assert.equal(read.dtype, float32);
  assert.deepEqual(numbers(read), CHANNELS);
});

Deno.test("fakeQuantize…() refuses what PyTorch refuses", () => {
  const x = input();
  assert.throws(() => F.fakeQuantizePerTensorAffine(x, 0.25, 9, -8, 7), /zero_point 9 is not in .*\[-8, 7\]/);
  assert.throws(() => F.fakeQuantizePerTensorAffine(x, 0.25, 1, 7, -8), /quant_min 7 is greater/);
  assert.throws(() => F.fakeQuantizePerChannelAffine(x, tensor([1, 2]), zeros, 1, -8, 7), /4 channels/);
  assert.throws(() => F.fakeQuantizePerTensorAffine(x.to(int32), 0.25, 1, -8, 7), /needs a float tensor/);
});
