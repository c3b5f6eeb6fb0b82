/**
 * Distributions that take a number of draws which depends on what is drawn: Poisson, binomial, gamma, Dirichlet.
 *
 * On the host, each element has a sequence of random words of its own (position = draw × elements + index), so that results are a function of the generator's state as
 * everywhere else and no element changes another. After Hörmann, "The transformed rejection method" (1993), and Marsaglia and Tsang, "A simple method for
 * generating gamma variables" (2000). Mirrors `Distributions.h` of ATen.
 */
import { float64 } from "../core/mod.ts";
import { digamma, lgamma } from "../loops/mod.ts";
import { philoxWord } from "../loops/philox.ts";
import { broadcastShapes, sameShape, shapeToText } from "../symbolic/mod.ts";
import { defineOp, type HostResult, type HostTensor, type MetaInput } from "./define.ts";
import { hostArray, hostShape, readHost, writeHost } from "./host_axis.ts";
import { drawing } from "./random_state.ts";
import { broadcastPositions } from "./special_functions.ts";

/** The next number of an element's sequence, uniform in (0, 1). */
type Uniform = () => number;

/** For each element of `shape`, a sequence of uniform numbers and its value. */
function drawEach(
  state: HostTensor,
  shape: readonly number[],
  dtype: MetaInput["dtype"],
  value: (i: number, uniform: Uniform) => number,
): HostResult[] {
  const numel = shape.reduce((a, b) => a * b, 1);
  const data = hostArray(dtype, numel);
  const seed = readHost(state.data, 0), stream = readHost(state.data, 1);
  for (let i = 0; i < numel; i++) {
    let at = i;
    const uniform = (): number => {
      const word = philoxWord(seed, stream, at);
      at += numel;
      return (word + 0.5) / 2 ** 32;
    };
    writeHost(data, i, value(i, uniform));
  }
  return [{ shape, data }];
}

function normal(uniform: Uniform): number {
  return Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

function poisson(rate: number, uniform: Uniform): number {
  if (!(rate > 0)) return 0;
  if (rate < 10) {
    const limit = Math.exp(-rate);
    let product = uniform(), count = 0;
    while (product > limit) {
      product *= uniform();
      count++;
    }
    return count;
  }
  const b = 0.931 + 2.53 * Math.sqrt(rate);
  const a = -0.059 + 0.02483 * b;
  const inverseAlpha = 1.1239 + 1.1328 / (b - 3.4);
  const sure = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    const u = uniform() - 0.5, v = uniform();
    const us = 0.5 - Math.abs(u);
    const k = Math.floor((2 * a / us + b) * u + rate + 0.43);
    if (us >= 0.07 && v <= sure) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    const bound = -rate + k * Math.log(rate) - lgamma(k + 1);
    if (Math.log(v) + Math.log(inverseAlpha) - Math.log(a / (us * us) + b) <= bound) return k;
  }
}

function binomial(count: number, prob: number, uniform: Uniform): number {
  if (!(count > 0) || !(prob > 0)) return Number.isNaN(prob) ? NaN : 0;
  if (prob >= 1) return count;
  if (prob > 0.5) return count - binomial(count, 1 - prob, uniform);
  if (count * prob < 10) {
    // Distances between successes are geometric.
    let sum = 0, successes = 0;
    for (;;) {
      sum += Math.ceil(Math.log(uniform()) / Math.log1p(-prob));
      if (sum > count) return successes;
      successes++;
    }
  }
  const spread = Math.sqrt(count * prob * (1 - prob));
  const b = 1.15 + 2.53 * spread;
  const a = -0.0873 + 0.0248 * b + 0.01 * prob;
  const centre = count * prob + 0.5;
  const sure = 0.92 - 4.2 / b;
  const odds = prob / (1 - prob);
  const alpha = (2.83 + 5.1 / b) * spread;
  const mode = Math.floor((count + 1) * prob);
  const likelihood = (k: number): number => k * Math.log(odds) - lgamma(k + 1) - lgamma(count - k + 1);
  for (;;) {
    const u = uniform() - 0.5, v = uniform();
    const us = 0.5 - Math.abs(u);
    const k = Math.floor((2 * a / us + b) * u + centre);
    if (us >= 0.07 && v <= sure) return k;
    if (k < 0 || k > count) continue;
    if (Math.log(v * alpha / (a / (us * us) + b)) <= likelihood(k) - likelihood(mode)) return k;
  }
}

function gamma(shape: number, uniform: Uniform): number {
  if (!(shape > 0)) return shape === 0 ? 0 : NaN;
  // Below 1, a gamma of shape + 1 times a power of a uniform number.
  if (shape < 1) return gamma(shape + 1, uniform) * uniform() ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(uniform);
    const y = 1 + c * x;
    if (y <= 0) continue;
    const v = y * y * y;
    if (Math.log(uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** The derivative of a gamma variable by its shape: -(∂P(a, x) / ∂a) / density(x), by the series or the continued fraction of P and their derivatives. */
function gammaSlope(a: number, x: number): number {
  if (!(a > 0) || !(x >= 0)) return NaN;
  if (x === 0) return 0;
  const log = Math.log(x) - digamma(a);
  if (x < a + 1) {
    let term = 1 / a, slope = -1 / (a * a), harmonic = 1 / a;
    let sum = term, sums = slope;
    for (let n = 1; n < 100000 && term * harmonic > 1e-17 * Math.abs(sums); n++) {
      term *= x / (a + n);
      harmonic += 1 / (a + n);
      slope = -term * harmonic;
      sum += term;
      sums += slope;
    }
    return -x * (log * sum + sums);
  }
  let b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
  let cs = 0, ds = d * d, hs = ds;
  for (let n = 1; n < 100000; n++) {
    const an = -n * (n - a);
    b += 2;
    const next = 1 / (an * d + b);
    ds = -next * next * (n * d + an * ds - 1);
    d = next;
    cs = -1 + n / c - an * cs / (c * c);
    c = b + an / c;
    const step = d * c, steps = ds * c + d * cs;
    hs = hs * step + h * steps;
    h *= step;
    if (Math.abs(step - 1) < 1e-15 && Math.abs(steps) < 1e-14) break;
  }
  return x * (log * h + hs);
}

function checkFloat(where: string, argument: string, t: MetaInput): void {
  if (!t.dtype.isFloat) {
    throw new TypeError(`${where}: ${argument} must be floating point, got ${t.dtype.name}; convert with .to(float32)`);
  }
}

function checkRates(where: string, data: HostTensor): void {
  for (let i = 0; i < data.data.length; i++) {
    const v = Number(readHost(data.data, i));
    if (v < 0) throw new RangeError(`${where}: element ${i} is ${v}; rates and counts must not be negative`);
  }
}

const like = (t: MetaInput): Pick<MetaInput, "shape" | "dtype"> => ({ shape: t.shape, dtype: t.dtype });

defineOp({
  schema: "tessera::philox_poisson(Tensor state, Tensor rate) -> Tensor",
  doc: "Counts of the Poisson distribution, a function of the generator's state.",

  random: true,
  meta: ({ rate }) => {
    checkFloat("poisson", "self", rate);
    return like(rate);
  },
  host: ({ state, rate }) => {
    checkRates("poisson", rate);
    return drawEach(state, hostShape(rate), rate.dtype, (i, u) => poisson(Number(readHost(rate.data, i)), u));
  },
  vjp: ({ rate }, { F }) => ({ rate: () => F.zerosLike(rate) }),
  samples: () => [],
});

defineOp({
  schema: "tessera::philox_binomial(Tensor state, Tensor count, Tensor prob) -> Tensor",
  doc: "Numbers of successes of count trials, a function of the generator's state.",
  random: true,
  meta: ({ count, prob }) => {
    checkFloat("binomial", "count", count);
    checkFloat("binomial", "prob", prob);
    if (count.dtype !== prob.dtype) {
      throw new TypeError(`binomial: count is ${count.dtype.name} and prob ${prob.dtype.name}: convert one of them`);
    }
    return { shape: broadcastShapes("binomial", count.shape, prob.shape), dtype: count.dtype };
  },
  host: ({ state, count, prob }) => {
    checkRates("binomial", count);
    const shape = broadcastShapes("binomial", hostShape(count), hostShape(prob)).map(Number);
    const of = [...broadcastPositions(count, shape)], by = [...broadcastPositions(prob, shape)];
    return drawEach(
      state,
      shape,
      count.dtype,
      (i, u) =>
        binomial(Math.floor(Number(readHost(count.data, of[i] ?? 0))), Number(readHost(prob.data, by[i] ?? 0)), u),
    );
  },
  vjp: ({ prob }, { F }) => ({ prob: () => F.zerosLike(prob) }),
  samples: () => [],
});

defineOp({
  schema: "tessera::philox_gamma(Tensor state, Tensor concentration) -> Tensor",
  doc: "Gamma variables of scale 1, a function of the generator's state; differentiable by the concentration.",
  random: true,
  meta: ({ concentration }) => {
    checkFloat("_standard_gamma", "self", concentration);
    return like(concentration);
  },
  host: ({ state, concentration: c }) =>
    drawEach(state, hostShape(c), c.dtype, (i, u) => Math.max(gamma(Number(readHost(c.data, i)), u), 1e-38)),
  vjp: ({ concentration }, { grad, out, F }) => ({
    concentration: () => grad.mul(F._standardGammaGrad(concentration, out)),
  }),
  samples: () => [],
});

defineOp({
  schema: "aten::_standard_gamma_grad(Tensor self, Tensor output) -> Tensor",
  doc: "The derivative of gamma variables by the concentrations that they were drawn with.",
  meta: ({ self, output }) => {
    checkFloat("_standard_gamma_grad", "self", self);
    if (!sameShape(self.shape, output.shape)) {
      throw new TypeError(
        `_standard_gamma_grad: output ${shapeToText(output.shape)} must have the shape of self ${
          shapeToText(self.shape)
        }`,
      );
    }
    return like(self);
  },
  host: ({ self, output }, [out]) => {
    const data = hostArray(out?.dtype ?? float64, self.data.length);
    for (let i = 0; i < data.length; i++) {
      writeHost(data, i, gammaSlope(Number(readHost(self.data, i)), Number(readHost(output.data, i))));
    }
    return [{ shape: hostShape(self), data }];
  },
  samples: (g) =>
    g.dtype.isFloat && g.dtype.bytes >= 4
      ? [{
        args: {
          self: g.tensor([4], { values: [0.5, 2, 3, 8], requiresGrad: false }),
          output: g.tensor([4], { values: [0.1, 1.5, 6, 12], requiresGrad: false }),
        },
      }]
      : [],
});

defineOp({
  schema: "aten::poisson(Tensor self, Generator? generator=None) -> Tensor",
  doc: "Counts of the Poisson distribution with the given rates, from the default generator.",
  random: true,
  meta: ({ self }) => {
    checkFloat("poisson", "self", self);
    return like(self);
  },
  decompose: ({ self }, F) => drawing(F, self.device, (state) => F.philoxPoisson(state, self)),
  samples: () => [],
});

defineOp({
  schema: "aten::binomial(Tensor count, Tensor prob, Generator? generator=None) -> Tensor",
  doc: "Numbers of successes of count trials that succeed with probability prob, from the default generator.",
  random: true,
  meta: ({ count, prob }) => ({ shape: broadcastShapes("binomial", count.shape, prob.shape), dtype: count.dtype }),
  decompose: ({ count, prob }, F) => drawing(F, count.device, (state) => F.philoxBinomial(state, count, prob)),
  samples: () => [],
});

defineOp({
  schema: "aten::_standard_gamma(Tensor self, Generator? generator=None) -> Tensor",
  doc: "Gamma variables with concentrations self and scale 1, from the default generator.",
  random: true,
  meta: ({ self }) => {
    checkFloat("_standard_gamma", "self", self);
    return like(self);
  },
  decompose: ({ self }, F) => drawing(F, self.device, (state) => F.philoxGamma(state, self)),
  samples: () => [],
});

defineOp({
  schema: "aten::_sample_dirichlet(Tensor self, Generator? generator=None) -> Tensor",
  doc:
    "Probabilities along the last dimension, of the Dirichlet distribution with concentrations self, from the default generator.",
  random: true,
  meta: ({ self }) => {
    checkFloat("_sample_dirichlet", "self", self);
    return like(self);
  },
  decompose: ({ self }, F) => {
    const parts = drawing(F, self.device, (state) => F.philoxGamma(state, self));
    return parts.div(parts.sum([-1], true));
  },
  samples: () => [],
});
