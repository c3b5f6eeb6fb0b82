/**
 * ATen's random operators, which draw from the default generator: rand, randn, randint, randperm, bernoulli, uniform_, normal_, dropout.
 *
 * Each decomposes onto a Philox operator of the generator's state and a step of that state (`random.ts`). They are decomposed before a
 * mode sees them, so that captured graphs hold the state as the tensor it is. Mirrors `Distributions.cpp` and `Dropout.cpp` of ATen.
 */
import { bool, type Device, type DType, float32, getDefaultDtype, int64 } from "../core/mod.ts";
import { shapeToText, type Size } from "../symbolic/mod.ts";
import { sizeLt } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { drawing } from "./random_state.ts";
import type { SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

const OPTIONS = "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None";

interface Drawn {
  readonly size: readonly Size[];
  readonly dtype: DType;
  readonly device: Device | null;
}

function drawnSpec(where: string, { size, dtype, device }: Drawn, needsFloat: boolean): TensorSpec {
  if (size.some((s) => sizeLt(s, 0))) {
    throw new RangeError(`${where}: a size cannot be negative, got ${shapeToText(size)}`);
  }
  if (needsFloat && !dtype.isFloat) {
    throw new TypeError(`${where}: needs a floating point dtype, got ${dtype.name}; use randint for integers`);
  }
  return { shape: size, dtype, ...(device === null ? {} : { device }) };
}

const DISTRIBUTIONS = [
  ["rand", "uniform in [0, 1)", "philoxUniform"],
  ["randn", "of the standard normal distribution", "philoxNormal"],
] as const;

const GENERATORS = [["", ""], [".generator", "Generator? generator, "]] as const;

for (const [name, doc, operator] of DISTRIBUTIONS) {
  // Exported programs may name a generator, which is none there: the default one draws.
  for (const [overload, generator] of GENERATORS) {
    defineOp({
      schema:
        `aten::${name}${overload}(SymInt[] size, *, ${generator}${OPTIONS}) -> Tensor` as `aten::rand(SymInt[] size, *, ${typeof OPTIONS}) -> Tensor`,
      doc: `Numbers ${doc}, from the default generator.`,
      random: true,
      meta: ({ size, dtype, device }) => drawnSpec(name, { size, dtype: dtype ?? getDefaultDtype(), device }, true),
      decompose: ({ size, dtype, device }, F) =>
        drawing(F, device, (state) => F[operator](state, size, { dtype: dtype ?? getDefaultDtype(), device })),
      samples: () => [],
    });
  }
  for (const [overload, generator] of GENERATORS) {
    defineOp({
      schema:
        `aten::${name}_like${overload}(Tensor self, *, ${generator}${OPTIONS}, MemoryFormat? memory_format=None) -> Tensor` as `aten::rand_like(Tensor self, *, ${typeof OPTIONS}, MemoryFormat? memory_format=None) -> Tensor`,
      doc: `Numbers ${doc}, in the shape of self, from the default generator.`,
      random: true,
      meta: ({ self, dtype, device }) =>
        drawnSpec(`${name}_like`, { size: self.shape, dtype: dtype ?? self.dtype, device }, true),
      decompose: ({ self, dtype, device }, F) =>
        drawing(
          F,
          device ?? self.device,
          (state) => F[operator](state, self.shape, { dtype: dtype ?? self.dtype, device: device ?? self.device }),
        ),
      samples: () => [],
    });
  }
}

function checkRange(where: string, low: Size, high: Size): void {
  if (!sizeLt(low, high)) throw new RangeError(`${where}: the range [${low}, ${high}) is empty`);
}

for (const [overload, generator] of GENERATORS) {
  defineOp({
    schema:
      `aten::randint${overload}(SymInt high, SymInt[] size, *, ${generator}${OPTIONS}) -> Tensor` as `aten::randint(SymInt high, SymInt[] size, *, ${typeof OPTIONS}) -> Tensor`,
    doc: "Integers in [0, high), from the default generator.",
    random: true,
    meta: ({ high, size, dtype, device }) => {
      checkRange("randint", 0, high);
      return drawnSpec("randint", { size, dtype: dtype ?? int64, device }, false);
    },
    decompose: ({ high, size, dtype, device }, F) =>
      drawing(F, device, (state) => F.philoxRandint(state, 0, high, size, { dtype: dtype ?? int64, device })),
    samples: () => [],
  });

  defineOp({
    schema: `aten::randint.low${
      overload.replace(".", "_")
    }(SymInt low, SymInt high, SymInt[] size, *, ${generator}${OPTIONS}) -> Tensor` as `aten::randint.low(SymInt low, SymInt high, SymInt[] size, *, ${typeof OPTIONS}) -> Tensor`,
    doc: "Integers in [low, high), from the default generator.",
    random: true,
    meta: ({ low, high, size, dtype, device }) => {
      checkRange("randint", low, high);
      return drawnSpec("randint", { size, dtype: dtype ?? int64, device }, false);
    },
    decompose: ({ low, high, size, dtype, device }, F) =>
      drawing(F, device, (state) => F.philoxRandint(state, low, high, size, { dtype: dtype ?? int64, device })),
    samples: () => [],
  });
}

for (
  const [overload, parameters, generator] of [
    ["", "SymInt high", ""],
    [".generator", "SymInt high", GENERATORS[1][1]],
    [".low_dtype", "SymInt low, SymInt high", ""],
    [".low_generator_dtype", "SymInt low, SymInt high", GENERATORS[1][1]],
  ] as const
) {
  const lowOf = (args: object): Size => (args as { readonly low?: Size }).low ?? 0;
  defineOp({
    schema:
      `aten::randint_like${overload}(Tensor self, ${parameters}, *, ${generator}${OPTIONS}, MemoryFormat? memory_format=None) -> Tensor` as `aten::randint_like(Tensor self, SymInt high, *, ${typeof OPTIONS}, MemoryFormat? memory_format=None) -> Tensor`,
    doc: "Integers in [low, high) in the shape of self, from the default generator.",
    random: true,
    meta: ({ self, high, dtype, device, ...rest }) => {
      checkRange("randint_like", lowOf(rest), high);
      return drawnSpec("randint_like", { size: self.shape, dtype: dtype ?? self.dtype, device }, false);
    },
    decompose: ({ self, high, dtype, device, ...rest }, F) =>
      drawing(F, device ?? self.device, (state) =>
        F.philoxRandint(state, lowOf(rest), high, self.shape, {
          dtype: dtype ?? self.dtype,
          device: device ?? self.device,
        })),
    samples: () => [],
  });
}

for (const [overload, generator] of GENERATORS) {
  defineOp({
    schema:
      `aten::randperm${overload}(SymInt n, *, ${generator}${OPTIONS}) -> Tensor` as `aten::randperm(SymInt n, *, ${typeof OPTIONS}) -> Tensor`,
    doc: "A random order of 0 … n-1, from the default generator.",
    random: true,
    meta: ({ n, dtype, device }) => drawnSpec("randperm", { size: [n], dtype: dtype ?? int64, device }, false),
    decompose: ({ n, dtype, device }, F) => {
      const order = drawing(F, device, (state) => F.philoxUniform(state, [n], { dtype: float32, device })).argsort();
      return dtype === null || dtype === int64 ? order : order.to(dtype);
    },
    samples: () => [],
  });
}

function filledSpec(where: string, self: MetaInput): TensorSpec {
  if (!self.dtype.isFloat) {
    throw new TypeError(`${where}: needs a floating point tensor, got ${self.dtype.name}`);
  }
  return { shape: self.shape, dtype: self.dtype, stride: self.stride, storageOffset: self.storageOffset };
}

defineOp({
  schema: "aten::uniform_(Tensor(a!) self, float from=0, float to=1, *, Generator? generator=None) -> Tensor(a!)",
  doc: "Fills self with numbers uniform in [from, to), from the default generator.",
  random: true,
  meta: ({ self, from, to }) => {
    if (!(from <= to)) throw new RangeError(`uniform_: the range [${from}, ${to}) is empty`);
    return filledSpec("uniform_", self);
  },
  decompose: ({ self, from, to }, F) =>
    self.copy_(
      drawing(F, self.device, (state) => F.philoxUniform(state, self.shape, { dtype: self.dtype, device: self.device }))
        .mul(to - from).add(from),
    ),
  samples: () => [],
});

defineOp({
  schema: "aten::normal_(Tensor(a!) self, float mean=0, float std=1, *, Generator? generator=None) -> Tensor(a!)",
  doc: "Fills self with normally distributed numbers, from the default generator.",
  random: true,
  meta: ({ self, std }) => {
    if (!(std >= 0)) throw new RangeError(`normal_: the standard deviation must not be negative, got ${std}`);
    return filledSpec("normal_", self);
  },
  decompose: ({ self, mean, std }, F) =>
    self.copy_(
      drawing(F, self.device, (state) => F.philoxNormal(state, self.shape, { dtype: self.dtype, device: self.device }))
        .mul(std).add(mean),
    ),
  samples: () => [],
});

function checkProbability(where: string, p: number): void {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`${where}: p is ${p}; a probability lies between 0 and 1`);
}

defineOp({
  schema: "aten::bernoulli(Tensor self, *, Generator? generator=None) -> Tensor",
  doc: "1 with the probability that self holds, else 0; from the default generator.",
  random: true,
  meta: ({ self }) => filledSpec("bernoulli", self),
  decompose: ({ self }, F) =>
    drawing(F, self.device, (state) => F.philoxBernoulli(state, F.require(self, "probability"))),
  samples: () => [],
});

defineOp({
  schema: "aten::bernoulli.p(Tensor self, float p, *, Generator? generator=None) -> Tensor",
  doc: "1 with probability p, else 0, in the shape of self; from the default generator.",
  random: true,
  meta: ({ self, p }) => {
    checkProbability("bernoulli", p);
    return { shape: self.shape, dtype: self.dtype };
  },
  decompose: ({ self, p }, F) => bernoulliLike(F, self, p),
  samples: () => [],
});

function bernoulliLike(F: Functional, self: TensorValue, p: number): TensorValue {
  const u = drawing(
    F,
    self.device,
    (state) => F.philoxUniform(state, self.shape, { dtype: float32, device: self.device }),
  );
  return u.lt(p).to(self.dtype);
}

defineOp({
  schema: "aten::bernoulli_.float(Tensor(a!) self, float p=0.5, *, Generator? generator=None) -> Tensor(a!)",
  doc: "Fills self with 1 with probability p, else 0; from the default generator.",
  random: true,
  meta: ({ self, p }) => {
    checkProbability("bernoulli_", p);
    return { shape: self.shape, dtype: self.dtype, stride: self.stride, storageOffset: self.storageOffset };
  },
  decompose: ({ self, p }, F) => self.copy_(bernoulliLike(F, self, p)),
  samples: () => [],
});

const dropSamples = (g: SampleGenerator) =>
  g.dtype.isFloat ? [{ args: { input: g.tensor([3, 4]), p: 0.5, train: false } }] : [];

function dropped(F: Functional, input: TensorValue, p: number): TensorValue {
  return drawing(F, input.device, (state) => F.dropoutWithState(input, state, p));
}

defineOp({
  schema: "aten::dropout(Tensor input, float p, bool train) -> Tensor",
  doc: "In training, elements set to 0 with probability p and the others divided by 1 - p; else the input.",
  random: true,
  meta: ({ input, p }) => {
    checkProbability("dropout", p);
    return { shape: input.shape, dtype: input.dtype, stride: input.stride };
  },
  decompose: ({ input, p, train }, F) => train && p > 0 ? dropped(F, input, p) : input,
  samples: dropSamples,
});

defineOp({
  schema: "aten::dropout_(Tensor(a!) self, float p, bool train) -> Tensor(a!)",
  doc: "dropout, in place.",
  random: true,
  meta: ({ self, p, train }) => {
    checkProbability("dropout_", p);
    if (train && p > 0 && !self.dtype.isFloat) {
      throw new TypeError(
        `dropout_: self is ${self.dtype.name} and cannot hold scaled numbers; convert with .to(float32)`,
      );
    }
    return { shape: self.shape, dtype: self.dtype, stride: self.stride, storageOffset: self.storageOffset };
  },
  decompose: ({ self, p, train }, F) => train && p > 0 ? self.copy_(dropped(F, self, p)) : self,
  samples: () => [],
});

defineOp({
  schema: "aten::native_dropout(Tensor input, float p, bool? train) -> (Tensor, Tensor)",
  doc: "Dropout and the mask of the elements that were kept.",
  random: true,
  meta: ({ input, p }) => {
    checkProbability("native_dropout", p);
    return [{ shape: input.shape, dtype: input.dtype }, { shape: input.shape, dtype: bool }];
  },
  decompose: ({ input, p, train }, F) => {
    if (train === false || p === 0) return [input.clone(), F.onesLike(input, { dtype: bool })];
    let mask: TensorValue = input;
    const out = drawing(F, input.device, (state) => {
      const [result, kept] = F.nativeDropoutWithState(input, state, p);
      mask = kept;
      return result;
    });
    return [out, mask];
  },
  samples: dropSamples,
});

for (const [name, channels] of [["feature_dropout", true], ["alpha_dropout", false]] as const) {
  defineOp({
    schema: `aten::${name}(Tensor input, float p, bool train) -> Tensor`,
    doc: channels
      ? "dropout of whole channels."
      : "Dropout that keeps mean and variance of SELU networks: elements become the negative saturation value.",
    random: true,
    meta: ({ input, p }) => {
      checkProbability(name, p);
      if (channels && input.shape.length < 2) {
        throw new TypeError(`${name}: needs at least 2 dimensions, got ${shapeToText(input.shape)}`);
      }
      return { shape: input.shape, dtype: input.dtype, stride: input.stride };
    },
    decompose: ({ input, p, train }, F) => {
      if (!train || p === 0) return input;
      if (p === 1) return input.mul(0);
      const shape = channels ? input.shape.map((s, d) => d < 2 ? s : 1) : input.shape;
      const keep = drawing(
        F,
        input.device,
        (state) => F.philoxUniform(state, shape, { dtype: float32, device: input.device }),
      ).ge(p);
      if (channels) return F.where(keep, input.mul(1 / (1 - p)), 0);
      const low = -1.7580993408473766;
      const a = 1 / Math.sqrt((low * low * p + 1) * (1 - p));
      return F.where(keep, input, low).mul(a).add(-a * low * p);
    },
    samples: dropSamples,
  });
}
