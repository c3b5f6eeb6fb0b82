/**
 * Distributions beyond uniform and normal: exponential, Cauchy, geometric, log-normal, normal with tensors of means, multinomial, and dropout of whole features.
 *
 * Each transforms uniform or normal numbers of a Philox operator, so captured graphs hold the generator's state and eager and compiled programs draw the same.
 * `name` gives a new tensor, `name_` fills self. Mirrors `Distributions.cpp` of ATen.
 */
import { bool, type DType, float32, float64, getDefaultDtype, int64 } from "../core/mod.ts";
import { broadcastShapes, shapeToText, type Size, sizeLt } from "../symbolic/mod.ts";
import { checkedWeights } from "./checked_values.ts";
import { promotedDtype, promotionOperand } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { drawing } from "./random_state.ts";
import type { TensorValue } from "./value.ts";

function uniformLike(F: Functional, x: TensorValue, dtype: DType = float32): TensorValue {
  return drawing(F, x.device, (state) => F.philoxUniform(state, x.shape, { dtype, device: x.device }));
}

function normalNumbers(F: Functional, shape: readonly Size[], dtype: DType, x: TensorValue): TensorValue {
  return drawing(F, x.device, (state) => F.philoxNormal(state, shape, { dtype, device: x.device }));
}

function computeDtype(x: TensorValue): DType {
  return x.dtype === float64 ? float64 : float32;
}

/** What a distribution with two numbers draws. */
interface Distribution {
  readonly doc: string;
  /** Parameters after self, with their defaults for the in-place form. */
  readonly parameters: string;
  readonly check: (args: Readonly<Record<string, number>>) => void;
  readonly draw: (self: TensorValue, args: Readonly<Record<string, number>>, F: Functional) => TensorValue;
  /** Integers can hold the numbers. */
  readonly integers: boolean;
}

function positive(name: string, argument: string, value: number | undefined): void {
  if (!(value !== undefined && value > 0)) {
    throw new RangeError(`${name}: ${argument} must be positive, got ${value}`);
  }
}

const DISTRIBUTIONS: Readonly<Record<string, Distribution>> = {
  uniform: {
    doc: "uniform in [from, to)",
    parameters: "float from=0, float to=1",
    check: ({ from = 0, to = 1 }) => {
      if (!(from <= to)) throw new RangeError(`uniform: the range [${from}, ${to}) is empty`);
    },
    draw: (self, { from = 0, to = 1 }, F) => uniformLike(F, self, self.dtype).mul(to - from).add(from),
    integers: false,
  },
  exponential: {
    doc: "exponentially distributed with rate lambd",
    parameters: "float lambd=1",
    check: ({ lambd }) => positive("exponential", "lambd", lambd),
    draw: (self, { lambd = 1 }, F) => uniformLike(F, self, computeDtype(self)).neg().log1p().mul(-1 / lambd),
    integers: false,
  },
  cauchy: {
    doc: "of the Cauchy distribution around median with scale sigma",
    parameters: "float median=0, float sigma=1",
    check: ({ sigma }) => positive("cauchy", "sigma", sigma),
    draw: (self, { median = 0, sigma = 1 }, F) =>
      uniformLike(F, self, computeDtype(self)).sub(0.5).mul(Math.PI).tan().mul(sigma).add(median),
    integers: false,
  },
  log_normal: {
    doc: "whose logarithms are normally distributed",
    parameters: "float mean=1, float std=2",
    check: ({ std }) => positive("log_normal", "std", std),
    draw: (self, { mean = 1, std = 2 }, F) =>
      normalNumbers(F, self.shape, computeDtype(self), self).mul(std).add(mean).exp(),
    integers: false,
  },
  geometric: {
    doc: "of trials until the first success, which has probability p",
    parameters: "float p",
    check: ({ p = 0 }) => {
      if (!(p > 0 && p < 1)) throw new RangeError(`geometric: p must lie between 0 and 1, got ${p}`);
    },
    draw: (self, { p = 0.5 }, F) =>
      uniformLike(F, self, computeDtype(self)).neg().log1p().div(Math.log1p(-p)).ceil().clampMin(1),
    integers: true,
  },
};

function filledSpec(where: string, self: MetaInput, integers: boolean): TensorSpec {
  if (!(self.dtype.isFloat || (integers && self.dtype !== bool))) {
    throw new TypeError(`${where}: needs a floating point tensor, got ${self.dtype.name}`);
  }
  return { shape: self.shape, dtype: self.dtype, stride: self.stride, storageOffset: self.storageOffset };
}

for (const [name, { doc, parameters, check, draw, integers }] of Object.entries(DISTRIBUTIONS)) {
  type Schema = "aten::uniform(Tensor self, float from=0, float to=1, *, Generator? generator=None) -> Tensor";
  const numbers = (args: object): Readonly<Record<string, number>> => args as Readonly<Record<string, number>>;
  defineOp({
    schema: `aten::${name}(Tensor self, ${parameters}, *, Generator? generator=None) -> Tensor` as Schema,
    doc: `Numbers ${doc}, in the shape of self, from the default generator.`,
    random: true,
    meta: ({ self, ...args }) => {
      check(numbers(args));
      return { shape: self.shape, dtype: filledSpec(name, self, integers).dtype };
    },
    decompose: ({ self, ...args }, F) => draw(self, numbers(args), F).to(self.dtype),
    samples: () => [],
  });
  // random_aten.ts has the most frequent one.
  if (name === "uniform") continue;
  defineOp({
    schema:
      `aten::${name}_(Tensor(a!) self, ${parameters}, *, Generator? generator=None) -> Tensor(a!)` as "aten::uniform_(Tensor(a!) self, float from=0, float to=1, *, Generator? generator=None) -> Tensor(a!)",
    doc: `Fills self with numbers ${doc}, from the default generator.`,
    random: true,
    meta: ({ self, ...args }) => {
      check(numbers(args));
      return filledSpec(`${name}_`, self, integers);
    },
    decompose: ({ self, ...args }, F) => self.copy_(draw(self, numbers(args), F).to(self.dtype)),
    samples: () => [],
  });
}

function checkDeviation(std: number | MetaInput): void {
  if (typeof std === "number" && !(std >= 0)) {
    throw new RangeError(`normal: the standard deviation must not be negative, got ${std}`);
  }
}

for (
  const [overload, first, second] of [["Tensor_Tensor", "Tensor", "Tensor"], ["Tensor_float", "Tensor", "float"], [
    "float_Tensor",
    "float",
    "Tensor",
  ]] as const
) {
  defineOp({
    schema: `aten::normal.${overload}(${first} mean, ${second} std${
      second === "float" ? "=1" : ""
    }, *, Generator? generator=None) -> Tensor` as "aten::normal.Tensor_Tensor(Tensor mean, Tensor std, *, Generator? generator=None) -> Tensor",
    doc:
      "Normally distributed numbers with a mean and a standard deviation for each element, from the default generator.",
    random: true,
    meta: ({ mean, std }) => {
      checkDeviation(std);
      const tensors = [mean, std].filter((t) => typeof t === "object");
      const dtype = promotedDtype("normal", tensors.map(promotionOperand), "default");
      if (!dtype.isFloat) throw new TypeError(`normal: needs floating point numbers, got ${dtype.name}`);
      return { shape: broadcastShapes("normal", ...tensors.map((t) => t.shape)), dtype };
    },
    decompose: ({ mean, std }, F) => {
      const tensors = [mean, std].filter((t) => typeof t === "object");
      const like = tensors[0] ?? mean;
      const dtype = promotedDtype(
        "normal",
        tensors.map((t) => ({ dtype: t.dtype, rank: "tensor" as const })),
        "default",
      );
      const shape = broadcastShapes("normal", ...tensors.map((t) => t.shape));
      return normalNumbers(F, shape, dtype, like).mul(
        typeof std === "number" ? std : F.require(std, "standardDeviation"),
      ).add(mean).to(dtype);
    },
    samples: () => [],
  });
}

defineOp({
  schema:
    "aten::normal.float_float(float mean, float std, SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
  doc: "Normally distributed numbers, from the default generator.",
  random: true,
  meta: ({ std, size, dtype, device }) => {
    checkDeviation(std);
    const chosen = dtype ?? getDefaultDtype();
    if (!chosen.isFloat) throw new TypeError(`normal: needs a floating point dtype, got ${chosen.name}`);
    return { shape: size, dtype: chosen, ...(device === null ? {} : { device }) };
  },
  decompose: ({ mean, std, size, dtype, device }, F) => F.randn(size, { dtype, device }).mul(std).add(mean),
  samples: () => [],
});

defineOp({
  schema: "aten::normal_functional(Tensor self, float mean=0, float std=1, *, Generator? generator=None) -> Tensor",
  doc: "Normally distributed numbers in the shape of self, from the default generator.",
  random: true,
  meta: ({ self, std }) => {
    checkDeviation(std);
    return { shape: self.shape, dtype: filledSpec("normal_functional", self, false).dtype };
  },
  decompose: ({ self, mean, std }, F) => normalNumbers(F, self.shape, self.dtype, self).mul(std).add(mean),
  samples: () => [],
});

for (const inplace of [false, true]) {
  const where = inplace ? "bernoulli_" : "bernoulli";
  defineOp({
    schema: (inplace
      ? "aten::bernoulli_.Tensor(Tensor(a!) self, Tensor p, *, Generator? generator=None) -> Tensor(a!)"
      : "aten::bernoulli.Tensor(Tensor self, Tensor p, *, Generator? generator=None) -> Tensor") as "aten::bernoulli.Tensor(Tensor self, Tensor p, *, Generator? generator=None) -> Tensor",
    doc: "1 with the probability that p holds at an element, else 0; from the default generator.",
    random: true,
    meta: ({ self, p }) => {
      const shape = broadcastShapes(where, self.shape, p.shape);
      if (shape.length !== self.shape.length || !p.dtype.isFloat) {
        throw new TypeError(
          `${where}: p ${p.dtype.name}${shapeToText(p.shape)} must hold floats and broadcast to self ${
            shapeToText(self.shape)
          }`,
        );
      }
      return { shape: self.shape, dtype: self.dtype, stride: self.stride };
    },
    decompose: ({ self, p }, F) => {
      const drawn = drawing(F, self.device, (state) =>
        F.philoxBernoulli(state, p.expand(self.shape))).to(self.dtype);
      return inplace ? self.copy_(drawn) : drawn;
    },
    samples: () => [],
  });
}

const MOST_CATEGORIES = 2 ** 24;

defineOp({
  schema:
    "aten::multinomial(Tensor self, SymInt num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor",
  doc: "Categories drawn with probabilities in proportion to self, a vector or rows; with or without replacement.",
  random: true,
  meta: ({ self, numSamples, replacement }) => {
    const rank = self.shape.length;
    if ((rank !== 1 && rank !== 2) || !self.dtype.isFloat) {
      throw new TypeError(
        `multinomial: needs a vector or matrix of floats, got ${self.dtype.name}${shapeToText(self.shape)}`,
      );
    }
    const categories = self.shape[rank - 1] ?? 1;
    if (sizeLt(MOST_CATEGORIES, categories)) {
      throw new RangeError(`multinomial: ${categories} categories are too many; at most 2^24 can be told apart`);
    }
    if (sizeLt(numSamples, 1) || (!replacement && sizeLt(categories, numSamples))) {
      throw new RangeError(
        `multinomial: cannot draw ${numSamples} of ${categories} categories${
          replacement ? "" : " without replacement"
        }`,
      );
    }
    return { shape: [...self.shape.slice(0, -1), numSamples], dtype: int64 };
  },
  decompose: ({ self, numSamples, replacement }, F) => {
    const weights = checkedWeights("multinomial", self.to(computeDtype(self)), true, F);
    if (!replacement || numSamples === 1) {
      // The k smallest of exponentially distributed times with these rates are k draws without replacement.
      const rates = uniformLike(F, weights, weights.dtype).neg().log1p().neg().clampMin(1e-38);
      return weights.div(rates).topk(numSamples)[1];
    }
    const sums = weights.cumsum(-1);
    const total = sums.narrow(-1, Number(self.shape[self.ndim - 1]) - 1, 1);
    const drawn = drawing(
      F,
      self.device,
      (state) =>
        F.philoxUniform(state, [...self.shape.slice(0, -1), numSamples], { dtype: weights.dtype, device: self.device }),
    ).mul(total);
    return F.searchsorted(sums.contiguous(), drawn, { right: true }).clamp(0, Number(self.shape[self.ndim - 1]) - 1);
  },
  samples: () => [],
});

defineOp({
  schema: "aten::feature_alpha_dropout(Tensor input, float p, bool train) -> Tensor",
  doc: "alpha_dropout of whole channels.",
  random: true,
  meta: ({ input, p }) => {
    if (!(p >= 0 && p <= 1)) {
      throw new RangeError(`feature_alpha_dropout: p is ${p}; a probability lies between 0 and 1`);
    }
    if (input.shape.length < 2) {
      throw new TypeError(`feature_alpha_dropout: needs at least 2 dimensions, got ${shapeToText(input.shape)}`);
    }
    return { shape: input.shape, dtype: input.dtype, stride: input.stride };
  },
  decompose: ({ input, p, train }, F) => {
    if (!train || p === 0) return input;
    if (p === 1) return input.mul(0);
    const shape = input.shape.map((s, d) => d < 2 ? s : 1);
    const keep = drawing(
      F,
      input.device,
      (state) => F.philoxUniform(state, shape, { dtype: float32, device: input.device }),
    ).ge(p);
    const low = -1.7580993408473766;
    const a = 1 / Math.sqrt((low * low * p + 1) * (1 - p));
    return F.where(keep, input, low).mul(a).add(-a * low * p);
  },
  samples: (g) => g.dtype.isFloat ? [{ args: { input: g.tensor([3, 4]), p: 0.5, train: false } }] : [],
});

defineOp({
  schema:
    "aten::rrelu(Tensor self, Scalar lower=0.125, Scalar upper=0.33333333333333331, bool training=False, Generator? generator=None) -> Tensor",
  doc: "leaky_relu whose slope is drawn between lower and upper for each element in training, else their mean.",
  random: true,
  meta: ({ self, lower, upper }) => {
    if (!self.dtype.isFloat) throw new TypeError(`rrelu: needs floating point numbers, got ${self.dtype.name}`);
    if (Number(lower) > Number(upper)) throw new RangeError(`rrelu: lower ${lower} is above upper ${upper}`);
    return { shape: self.shape, dtype: self.dtype };
  },
  decompose: ({ self, lower, upper, training }, F) => {
    const low = Number(lower), high = Number(upper);
    if (!training) return F.leakyRelu(self, (low + high) / 2);
    const slope = uniformLike(F, self, self.dtype).mul(high - low).add(low);
    return F.where(self.le(0), self.mul(slope), self);
  },
  samples: (g) => g.dtype.isFloat ? [{ args: { self: g.tensor([3, 4]) } }] : [],
});
