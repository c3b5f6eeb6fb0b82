/**
 * Numbers at the ends of their ranges, with PyTorch's results: tails of the normal distribution, powers beyond 64 bits, infinities of half types, signs of zeros.
 */
import assert from "node:assert/strict";
import { compile, F, float16, float64, int64, int8, type Tensor, tensor } from "../../mod.ts";
import { getOp } from "../../src/ops/mod.ts";
import { dispatch } from "../../src/tensor/mod.ts";

/** The result of an expression, eagerly and on JavaScript kernels. */
function bothWays(f: (x: Tensor) => Tensor, x: Tensor): (number | bigint | boolean)[][] {
  return [f, compile(f, { options: { tier: "js" } })].map((run) => Array.from(run(x).dataSync() as Float64Array));
}

Deno.test("quantiles of the normal distribution keep their tails", () => {
  const p = [1e-300, 1e-20, 1e-10, 0.1, 0.5, 0.999];
  const expected = [-37.0470964, -9.26234009, -6.36134090, -1.28155157, 0, 3.09023231];
  for (const got of bothWays((x) => x.specialNdtri(), tensor(p, { dtype: float64 }))) {
    got.forEach((v, i) => assert.ok(Math.abs(Number(v) - (expected[i] ?? 0)) < 2e-7, `${p[i]}: ${v}`));
  }
});

Deno.test("powers of integers wrap around, whatever their size", () => {
  const x = tensor([3n, -2n, 2n], { dtype: int64 });
  for (const got of bothWays((x) => x.pow(tensor([1000n, 63n, 2n ** 62n], { dtype: int64 })), x)) {
    assert.deepEqual(got, [BigInt.asIntN(64, 3n ** 1000n), -(2n ** 63n), 0n]);
  }
});

Deno.test("infinities of half types become the largest number of the half type", () => {
  for (const got of bothWays((x) => x.nanToNum(), tensor([Infinity, -Infinity, NaN], { dtype: float16 }))) {
    assert.deepEqual(got.map(Number), [65504, -65504, 0]);
  }
});

Deno.test("a remainder of 0 has the dividend's sign, erf keeps that of 0", () => {
  const x = tensor([-0, 0, -3, 3], { dtype: float64 });
  for (const got of bothWays((x) => x.remainder(tensor([1, -1, 1.5, -1.5], { dtype: float64 })), x)) {
    assert.deepEqual(got, [-0, 0, -0, 0]);
  }
  for (const [first] of bothWays((x) => x.erf(), tensor([-0], { dtype: float64 }))) assert.ok(Object.is(first, -0));
});

Deno.test("Chebyshev polynomials of high degree take no longer than others", () => {
  const n = 2 ** 40;
  const x = tensor([0.5, 1, -1], { dtype: float64 });
  const value = dispatch(getOp("aten.special_chebyshev_polynomial_t.default"), {
    x,
    n: tensor([n], { dtype: float64 }),
  });
  const got = Array.from((value as Tensor).dataSync() as Float64Array);
  assert.ok(Math.abs((got[0] ?? 0) - Math.cos(n * Math.acos(0.5))) < 1e-3);
  assert.deepEqual(got.slice(1), [1, 1]);
});

Deno.test("incomplete gamma functions of huge arguments", () => {
  const a = tensor([1e30, 1e30, 2e6, 2e6], { dtype: float64 });
  const expected = [0.5, 1, 0.76028655, 0.49981194];
  for (const got of bothWays((x) => a.igamma(x), tensor([1e30, 2e30, 2.001e6, 2e6 - 1], { dtype: float64 }))) {
    got.forEach((v, i) => assert.ok(Math.abs(Number(v) - (expected[i] ?? 0)) < 1e-6, `${i}: ${v}`));
  }
});

Deno.test("derivatives of digamma far below 0, and at its poles", () => {
  const x = tensor([-12.25, -19.25, -100.75, -13, -2.5, -Infinity], { dtype: float64 });
  const expected = [
    [124.01896466745856, 124.02254467016166, -124.0252042649264, -Infinity, -0.1082040516417282, -Infinity],
    [1558.5444945580357, 1558.54519726173, 1558.5454546172969, Infinity, 194.74787621918756, Infinity],
  ];
  expected.forEach((wanted, i) => {
    for (const got of bothWays((x) => F.polygamma(i + 2, x), x)) {
      got.forEach((v, k) => {
        const w = wanted[k] ?? NaN;
        assert.ok(v === w || Math.abs(Number(v) - w) < 1e-11 * Math.abs(w), `order ${i + 2}, ${k}: ${v}, not ${w}`);
      });
    }
  });
});

Deno.test("least common multiples that a short integer does not hold wrap around with their sign gone before", () => {
  const other = tensor([-64, 3, 3, 5], { dtype: int8 });
  for (const got of bothWays((x) => x.lcm(other), tensor([-127, 127, 100, 0], { dtype: int8 }))) {
    assert.deepEqual(got, [-64, 125, 44, 0]);
  }
});

Deno.test("zeta of an infinity is its largest term", () => {
  const q = tensor([1, 0.5, 1e-45], { dtype: float64 });
  for (const got of bothWays((x) => F.specialZeta(x, q), tensor([Infinity], { dtype: float64 }))) {
    assert.deepEqual(got, [1, Infinity, Infinity]);
  }
});
