/** Poisson, binomial, gamma and Dirichlet variables have the moments of their distributions, are the same eagerly and compiled, and differentiate. */
import assert from "node:assert/strict";
import { compile, F, float32, float64, manualSeed, type Tensor, tensor } from "../../mod.ts";

const N = 20000;

function moments(t: Tensor): { mean: number; variance: number } {
  const values = [...t.dataSync()].map(Number);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { mean, variance: values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length };
}

function near(t: Tensor, mean: number, variance: number): void {
  const found = moments(t);
  const spread = 6 * Math.sqrt(variance / N);
  assert.ok(Math.abs(found.mean - mean) < spread, `mean ${found.mean}, expected ${mean}`);
  assert.ok(Math.abs(found.variance / variance - 1) < 0.15, `variance ${found.variance}, expected ${variance}`);
}

Deno.test("variates have the mean and the variance of their distribution", () => {
  manualSeed(7);
  for (const rate of [0.3, 4, 25, 400]) near(F.poisson(F.full([N], rate, { dtype: float32 })), rate, rate);
  for (const [n, p] of [[5, 0.3], [40, 0.02], [100, 0.4], [200, 0.9]] as const) {
    near(F.binomial(F.full([N], n, { dtype: float32 }), F.full([N], p)), n * p, n * p * (1 - p));
  }
  for (const a of [0.4, 1, 3.5, 60]) near(F._standardGamma(F.full([N], a, { dtype: float32 })), a, a);
  const d = F._sampleDirichlet(tensor([1.5, 2.5, 4]).expand([N, 3]).contiguous());
  assert.ok(d.sum([1]).sub(1).abs().max().item() < 1e-5);
  near(d.select(1, 1), 2.5 / 8, 2.5 * 5.5 / (64 * 9));
});

Deno.test("variates are those of the generator's state, compiled too, and successive draws differ", () => {
  const fn = (rate: Tensor): Tensor[] => [
    F.poisson(rate),
    F.poisson(rate),
    F.binomial(rate.round(), rate.div(100)),
    F._standardGamma(rate),
    // Summed and divided by a kernel, whose order of sums is its own.
    F._sampleDirichlet(rate).mul(1000).round(),
  ];
  const rate = tensor([[0.5, 3, 20.5], [7, 90, 1.5]]);
  manualSeed(3);
  const eager = fn(rate).map((t) => t.toArray());
  assert.notDeepEqual(eager[0], eager[1]);
  const compiled = compile(fn, { options: { tier: "js" } });
  manualSeed(3);
  assert.deepEqual(compiled(rate).map((t) => t.toArray()), eager);
  assert.notDeepEqual(compiled(rate).map((t) => t.toArray()), eager);
});

Deno.test("the gamma variable's gradient is the quantile's slope; counts have gradient 0", () => {
  // From finite differences of the quantile: P(a + h, x') = P(a, x).
  const a = tensor([0.5, 2, 3, 8, 50]), x = tensor([0.1, 1.5, 6, 12, 45]);
  const slope = [...F._standardGammaGrad(a, x).dataSync()].map(Number);
  const lower = (s: Tensor, t: Tensor): number[] => [...F.igamma(s.to(float64), t.to(float64)).dataSync()].map(Number);
  const h = 1e-5;
  const before = lower(a.to(float64).sub(h), x), after = lower(a.to(float64).add(h), x);
  const left = lower(a, x.to(float64).sub(h)), right = lower(a, x.to(float64).add(h));
  slope.forEach((s, i) => {
    const byA = ((after[i] ?? 0) - (before[i] ?? 0)) / (2 * h), density = ((right[i] ?? 0) - (left[i] ?? 0)) / (2 * h);
    assert.ok(Math.abs(s + byA / density) < 1e-4 * Math.max(1, Math.abs(s)), `${s}, expected ${-byA / density}`);
  });
  const c = tensor([1.5, 4.0, 2.5]).requiresGrad_();
  F._standardGamma(c).sum().backward();
  assert.ok([...(c.grad as Tensor).dataSync()].every((g) => Number(g) > 0));
  const rate = tensor([1.5, 4.5]).requiresGrad_();
  F.poisson(rate).sum().backward();
  assert.deepEqual(rate.grad?.toArray(), [0, 0]);
  assert.throws(() => F.poisson(tensor([1.5, -2])), /poisson: element 1 is -2; rates and counts must not be negative/);
});
