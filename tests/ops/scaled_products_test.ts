/** 8-bit floats and products of 8-bit numbers are PyTorch's: casts, scales, biases and results, on every executor of the CPU. Vectors: `scaled/make.py`. */
import assert from "node:assert/strict";
import {
  bfloat16,
  compile,
  type CompileOptions,
  dtypeFromName,
  float16,
  float32,
  float8_e4m3fn,
  float8_e5m2,
  int32,
  int8,
  nn,
  type Tensor,
  tensor,
  uint8,
} from "../../mod.ts";
import { F } from "../../src/tensor/mod.ts";
import VECTORS from "./scaled/vectors.json" with { type: "json" };

const WAYS: readonly (readonly [string, CompileOptions | null])[] = [
  ["eager", null],
  ["reference", { backend: "reference" }],
  ["JavaScript", { backend: "inductor" }],
  ["C++", { backend: "inductor", mode: "aot" }],
];

function through<A extends Tensor[], R>(fn: (...args: A) => R, options: CompileOptions | null): (...args: A) => R {
  return options === null ? fn : compile(fn, options) as (...args: A) => R;
}

function numbersOf(t: Tensor): number[] {
  return t.flatten().toArray() as number[];
}

function numberOf(text: string): number {
  return text === "inf" ? Infinity : text === "-inf" ? -Infinity : text === "nan" ? NaN : Number(text);
}

Deno.test("casts to 8-bit floats round, saturate and widen as PyTorch's, on every executor", () => {
  const given = VECTORS.casts.given.map(numberOf);
  for (const dtype of [float8_e4m3fn, float8_e5m2]) {
    const { bits, back } = VECTORS.casts[dtype.name as "float8_e5m2"];
    for (const [name, options] of WAYS) {
      const cast = through((x: Tensor) => [x.to(dtype), x.mul(1).to(dtype).to(float32)] as const, options);
      const [narrow, wide] = cast(tensor(given));
      assert.deepEqual(numbersOf(wide), back.map(numberOf), `${dtype.name} ${name}`);
      const got = numbersOf(narrow.view(uint8));
      given.forEach((x, i) => {
        // Of NaN, processors choose the sign.
        if (!Number.isNaN(x)) assert.equal(got[i], bits[i], `${dtype.name} of ${x}, ${name}`);
      });
    }
  }
});

function bitsOf(bits: readonly number[], dtype: string, shape: number[]): Tensor {
  return tensor(bits, { dtype: uint8 }).view(dtypeFromName(dtype)).view(shape);
}

Deno.test("_scaled_mm multiplies by scales of tensors and of rows, adds a bias and rounds once, as PyTorch", () => {
  for (const v of VECTORS.scaled) {
    const [m = 1, k = 1, n = 1] = v.shape;
    const result = dtypeFromName(v.result);
    const x = bitsOf(v.x, v.a, [m, k]);
    const w = bitsOf(v.w, v.b, [n, k]);
    const scale = (list: readonly string[], shape: number[]): Tensor =>
      tensor(list.map(Number)).view(v.rows ? shape : []);
    const [scaleA, scaleB] = [scale(v.scaleA, [m, 1]), scale(v.scaleB, [1, n])];
    const bias = v.bias === null ? null : tensor(v.bias.map(Number)).to(bfloat16);
    const scaleResult = v.scaleResult === false ? null : tensor(3);
    const eps = result === float32 ? 1e-6 : result.eps;
    for (const [name, options] of WAYS) {
      const product = through(
        (a: Tensor, b: Tensor, s: Tensor, t: Tensor): Tensor =>
          F._scaledMm(a, b.t(), s, t, { bias, scaleResult, outDtype: result }),
        options,
      );
      const got = product(x, w, scaleA, scaleB);
      assert.equal(got.dtype, result);
      const numbers = numbersOf(got.to(float32));
      v.expected.map(numberOf).forEach((y, i) => {
        const off = Math.abs((numbers[i] ?? NaN) - y);
        assert.ok(off <= eps * Math.abs(y) + 1e-5, `${v.a} ${v.b} to ${v.result}, ${name}: ${numbers[i]}, not ${y}`);
      });
    }
  }
});

Deno.test("_int_mm sums int8 in int32 exactly", () => {
  for (const { shape: [m = 1, k = 1, n = 1], x, w, expected } of VECTORS.integers) {
    for (const [name, options] of WAYS) {
      const product = through((a: Tensor, b: Tensor): Tensor => F._intMm(a, b), options);
      const got = product(tensor(x, { dtype: int8 }).view([m, k]), tensor(w, { dtype: int8 }).view([k, n]));
      assert.equal(got.dtype, int32);
      assert.deepEqual(numbersOf(got), expected, name);
    }
  }
});

Deno.test("8-bit floats do not promote, and products say what does not fit", () => {
  const x = tensor([1, 2]).to(float8_e4m3fn);
  assert.throws(() => x.add(tensor([1, 2])), /8-bit floats do not promote; convert with \.to\(\) first/);
  const [a, b] = [F.ones([4, 32]).to(float8_e4m3fn), F.ones([16, 32]).to(float8_e4m3fn)];
  const one = tensor(1, { dtype: float32 });
  assert.throws(() => F._scaledMm(a, b, one, one), /cannot multiply \[4, 32\] by \[16, 32\]/);
  assert.throws(() => F._scaledMm(a.to(float32), b.t(), one, one), /needs 8-bit floats, got float32/);
  assert.throws(
    () => F._scaledMm(a, b.t(), F.ones([4, 1]), one),
    /scale_b is float32\[\]; needs float32, .* \[1, 16\]/,
  );
  assert.throws(() => F._scaledMm(a, b.t(), one.to(float16), one), /scale_a is float16/);
  assert.throws(() => F._scaledMm(a, b.t(), one, one, { bias: F.ones([4]) }), /bias \[4\] must be a vector of 16/);
  assert.throws(() => F._intMm(a, b.t()), /needs int8 matrices, got float8_e4m3fn/);
});

Deno.test("a linear layer whose inputs are quantised to int8 at each call sums in int32 and is rescaled in one function", () => {
  const layer = (x: Tensor, w: Tensor): Tensor => {
    const [sx, sw] = [x.abs().amax([-1], true).div(127), w.abs().amax([-1], true).div(127)];
    const quantised = (t: Tensor, scale: Tensor): Tensor => t.div(scale).round().clamp(-127, 127).to(int8);
    return F._intMm(quantised(x, sx), quantised(w, sw).t()).to(float32).mul(sx).mul(sw.t());
  };
  const [x, w] = [F.linspace(-3, 2, 256).sin().view([8, 32]), F.linspace(-9, 7, 512).cos().view([16, 32])];
  const exact = nn.functional.linear(x, w);
  const expected = numbersOf(layer(x, w));
  for (const [name, options] of WAYS) {
    const got = through(layer, options)(x, w);
    assert.ok((got.sub(exact).abs().max().item() as number) < 0.1, name);
    numbersOf(got).forEach((y, i) => assert.ok(Math.abs(y - (expected[i] ?? NaN)) < 1e-5, `${name} ${i}`));
  }
});

Deno.test("a linear layer in 8 bits is quantised, multiplied and rescaled in one function", () => {
  const layer = (x: Tensor, w: Tensor): Tensor => {
    const scale = (t: Tensor): Tensor => t.abs().amax().div(448);
    const [sx, sw] = [scale(x), scale(w)];
    return F._scaledMm(x.div(sx).to(float8_e4m3fn), w.div(sw).to(float8_e4m3fn).t(), sx, sw, { outDtype: float32 });
  };
  const [x, w] = [F.linspace(-3, 2, 256).sin().view([8, 32]), F.linspace(-9, 7, 512).cos().view([16, 32])];
  const exact = nn.functional.linear(x, w);
  for (const [name, options] of WAYS) {
    const off = through(layer, options)(x, w).sub(exact).abs().max().item() as number;
    assert.ok(off > 0 && off < 0.5, `${name}: ${off}`);
  }
});
