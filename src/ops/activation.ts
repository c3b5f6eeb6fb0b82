/**
 * Activation functions.
 *
 * Pointwise, computed in float32 for half types. Gradients are written in terms of the result where that saves keeping the input alive.
 * Mirrors `Activation.cpp` of ATen and its entries in `derivatives.yaml`.
 */
import { bool } from "../core/mod.ts";
import { type Ops, ops, type Value } from "../loops/mod.ts";
import { shapeToText, sizeEq, sizeFloorDiv, sizeIsOne, sizeIsZero, sizeMod } from "../symbolic/mod.ts";
import { axisOf, definePointwise, type Promotion } from "./combinators.ts";
import { defineOp, type MetaInput, type VjpContext } from "./define.ts";
import { reduceGrad } from "./gradient.ts";
import { elementwiseStride } from "./layout.ts";
import { unarySamples } from "./sample_sets.ts";
import { checkFits, scalarNumber } from "./scalars.ts";
import type { TensorValue } from "./value.ts";

/** An activation without parameters. */
function defineActivation<const N extends string>(definition: {
  readonly name: N;
  readonly doc: string;
  readonly promotion?: Promotion;
  readonly inplace?: boolean;
  readonly body: (x: Value, ops: Ops) => Value;
  readonly vjp: (context: VjpContext, self: TensorValue) => TensorValue;
}): void {
  const { name, doc, promotion = "default", inplace = true, body, vjp } = definition;
  definePointwise({
    schema: `aten::${name}(Tensor self) -> Tensor`,
    ...(name === "relu6" ? { check: ({ self }: { readonly self: MetaInput }) => refuseBool("relu6", self) } : {}),
    doc,
    promotion,
    inplace,
    body: (_, { self }) => body(self, ops),
    vjp: ({ self }: { readonly self: TensorValue }, context) => ({ self: () => vjp(context, self) }),
    samples: (g) => promotion === "float" || g.dtype.isFloat ? unarySamples(g) : [],
  });
}

defineActivation({
  name: "sigmoid",
  doc: "The logistic function, 1 / (1 + exp(-x)).",
  promotion: "float",
  body: (x) => ops.sigmoid(x),
  vjp: ({ grad, out }) => grad.mul(out.mul(out.neg().add(1))),
});

defineActivation({
  name: "tanh",
  doc: "The hyperbolic tangent.",
  promotion: "float",
  body: (x) => ops.tanh(x),
  vjp: ({ grad, out }) => grad.mul(out.mul(out).neg().add(1)),
});

/** Bounded ramps have no meaning for truth values. */
function refuseBool(where: string, self: MetaInput): void {
  if (self.dtype === bool) throw new TypeError(`${where}: needs numbers, got bool; convert with .to(float32)`);
}

definePointwise({
  schema: "aten::relu(Tensor self) -> Tensor",
  doc: "max(x, 0); NaN stays NaN.",
  inplace: true,
  check: ({ self }) => refuseBool("relu", self),
  body: (_, { self }) => ops.maximum(self, 0),
  vjp: (_, { grad, out, F }) => ({ self: () => F.where(out.le(0), 0, grad) }),
  samples: (g) => unarySamples(g),
});

defineActivation({
  name: "relu6",
  doc: "min(max(x, 0), 6).",
  body: (x) => ops.minimum(ops.maximum(x, 0), 6),
  vjp: ({ grad, F }, self) => F.where(self.gt(0).logicalAnd(self.lt(6)), grad, 0),
});

definePointwise({
  schema: "aten::hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor",
  doc: "min(max(x, minVal), maxVal).",
  inplace: true,
  check: ({ self, minVal, maxVal }) => {
    refuseBool("hardtanh", self);
    checkFits("hardtanh", "minVal", minVal, self.dtype);
    checkFits("hardtanh", "maxVal", maxVal, self.dtype);
    if (self.dtype.kind === "uint" && Math.trunc(scalarNumber(minVal)) < 0) {
      throw new RangeError(`hardtanh: minVal ${minVal} does not fit self of ${self.dtype.name}, which has no sign`);
    }
  },
  body: (_, { self, minVal, maxVal }) => ops.minimum(ops.maximum(self, scalarNumber(minVal)), scalarNumber(maxVal)),
  vjp: ({ self, minVal, maxVal }, { grad, F }) => ({
    self: () => F.where(self.gt(minVal).logicalAnd(self.lt(maxVal)), grad, 0),
  }),
  samples: (g) =>
    g.dtype.isFloat ? [...unarySamples(g), ...unarySamples(g, { args: { minVal: -0.5, maxVal: 0.3 } })] : [],
});

definePointwise({
  schema: "aten::leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor",
  doc: "x where it is positive, else negativeSlope × x.",
  inplace: true,
  body: (_, { self, negativeSlope }) => ops.where(ops.gt(self, 0), self, ops.mul(self, scalarNumber(negativeSlope))),
  vjp: ({ self, negativeSlope }, { grad, F }) => ({
    self: () => F.where(self.gt(0), grad, grad.mul(negativeSlope)),
  }),
  samples: (g) => g.dtype.isFloat ? [...unarySamples(g), ...unarySamples(g, { args: { negativeSlope: 0.3 } })] : [],
});

definePointwise({
  schema: "aten::elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor",
  doc: "scale × x where x is positive, else scale × alpha × (exp(inputScale × x) - 1).",
  inplace: true,
  body: (_, { self, alpha, scale, inputScale }) =>
    ops.where(
      ops.gt(self, 0),
      ops.mul(self, scalarNumber(scale)),
      ops.mul(ops.expm1(ops.mul(self, scalarNumber(inputScale))), scalarNumber(alpha) * scalarNumber(scale)),
    ),
  vjp: ({ self, alpha, scale, inputScale }, { grad, F }) => ({
    self: () => {
      const factor = scalarNumber(alpha) * scalarNumber(scale) * scalarNumber(inputScale);
      const slope = self.mul(inputScale).exp().mul(factor);
      return grad.mul(F.where(self.gt(0), scale, slope));
    },
  }),
  samples: (g) =>
    g.dtype.isFloat
      ? [...unarySamples(g), ...unarySamples(g, { args: { alpha: 1.5, scale: 1.2, inputScale: 0.7 } })]
      : [],
});

definePointwise({
  schema: "aten::celu(Tensor self, Scalar alpha=1.0) -> Tensor",
  doc: "x where it is positive, else alpha × (exp(x / alpha) - 1).",
  inplace: true,
  check: ({ alpha }) => {
    if (scalarNumber(alpha) === 0) throw new RangeError("celu: alpha must not be 0");
  },
  body: (_, { self, alpha }) => {
    const a = scalarNumber(alpha);
    return ops.where(ops.gt(self, 0), self, ops.mul(ops.expm1(ops.mul(self, 1 / a)), a));
  },
  vjp: ({ self, alpha }, { grad, F }) => ({
    self: () => grad.mul(F.where(self.gt(0), 1, self.mul(1 / scalarNumber(alpha)).exp())),
  }),
  samples: (g) => g.dtype.isFloat ? [...unarySamples(g), ...unarySamples(g, { args: { alpha: 1.5 } })] : [],
});

const SELU_ALPHA = 1.6732632423543772848170429916717;
const SELU_SCALE = 1.0507009873554804934193349852946;

defineActivation({
  name: "selu",
  doc: "ELU with the constants that keep mean 0 and variance 1.",
  body: (x) => ops.where(ops.gt(x, 0), ops.mul(x, SELU_SCALE), ops.mul(ops.expm1(x), SELU_ALPHA * SELU_SCALE)),
  vjp: ({ grad, out, F }) => grad.mul(F.where(out.gt(0), SELU_SCALE, out.add(SELU_ALPHA * SELU_SCALE))),
});

const GELU_CUBIC = 0.044715;

definePointwise({
  schema: "aten::gelu(Tensor self, *, str approximate='none') -> Tensor",
  doc: 'x × Φ(x), exact ("none") or approximated with tanh ("tanh").',
  inplace: true,
  check: ({ self, approximate }) => {
    if (approximate !== "none" && approximate !== "tanh") {
      throw new RangeError(`gelu: approximate is "${approximate}": use "none" or "tanh"`);
    }
    if (!self.dtype.isFloat) throw new TypeError(`gelu: needs floating point numbers, got ${self.dtype.name}`);
  },
  body: (_, { self, approximate }) => {
    if (approximate === "none") {
      return ops.mul(ops.mul(self, 0.5), ops.add(ops.erf(ops.mul(self, Math.SQRT1_2)), 1));
    }
    const cubic = ops.mul(ops.mul(ops.mul(self, self), self), GELU_CUBIC);
    // (1 + tanh y) / 2 is sigmoid 2y, which costs less and loses nothing where tanh is near -1.
    return ops.mul(self, ops.sigmoid(ops.mul(ops.add(self, cubic), 2 * Math.sqrt(2 / Math.PI))));
  },
  vjp: ({ self, approximate }, { grad }) => ({
    self: () => {
      if (approximate === "none") {
        const cdf = self.mul(Math.SQRT1_2).erf().add(1).mul(0.5);
        const density = self.mul(self).mul(-0.5).exp().mul(1 / Math.sqrt(2 * Math.PI));
        return grad.mul(cdf.add(self.mul(density)));
      }
      const k = Math.sqrt(2 / Math.PI);
      const squared = self.mul(self);
      const t = self.add(squared.mul(self).mul(GELU_CUBIC)).mul(k).tanh();
      const inner = squared.mul(3 * GELU_CUBIC).add(1).mul(k);
      const slope = self.mul(0.5).mul(t.mul(t).neg().add(1)).mul(inner);
      return grad.mul(t.add(1).mul(0.5).add(slope));
    },
  }),
  samples: (g) => g.dtype.isFloat ? [...unarySamples(g), ...unarySamples(g, { args: { approximate: "tanh" } })] : [],
});

defineActivation({
  name: "silu",
  doc: "x × sigmoid(x), also called swish.",
  body: (x) => ops.mul(x, ops.sigmoid(x)),
  vjp: ({ grad }, self) => {
    const s = self.sigmoid();
    return grad.mul(s.mul(self.mul(s.neg().add(1)).add(1)));
  },
});

defineActivation({
  name: "mish",
  doc: "x × tanh(log(1 + exp(x))).",
  // With e = exp(x), tanh(log(1 + e)) = n / (n + 2) where n = e (e + 2); it is 1 in every dtype from x = 20 on.
  body: (x) => {
    const e = ops.exp(ops.minimum(x, 20));
    const n = ops.mul(e, ops.add(e, 2));
    return ops.mul(x, ops.div(n, ops.add(n, 2)));
  },
  vjp: ({ grad }, self) => {
    const t = self.softplus().tanh();
    return grad.mul(t.add(self.mul(self.sigmoid()).mul(t.mul(t).neg().add(1))));
  },
});

defineActivation({
  name: "hardsigmoid",
  doc: "min(max(x + 3, 0), 6) / 6.",
  body: (x) => ops.div(ops.minimum(ops.maximum(ops.add(x, 3), 0), 6), 6),
  vjp: ({ grad, F }, self) => F.where(self.gt(-3).logicalAnd(self.lt(3)), grad.mul(1 / 6), 0),
});

defineActivation({
  name: "hardswish",
  doc: "x × min(max(x + 3, 0), 6) / 6.",
  body: (x) => ops.div(ops.mul(x, ops.minimum(ops.maximum(ops.add(x, 3), 0), 6)), 6),
  vjp: ({ grad, F }, self) => F.where(self.le(-3), 0, F.where(self.lt(3), grad.mul(self.div(3).add(0.5)), grad)),
});

definePointwise({
  schema: "aten::softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor",
  doc: "log(1 + exp(beta × x)) / beta; x itself where beta × x exceeds the threshold.",
  body: (_, { self, beta, threshold }) => {
    const scaled = ops.mul(self, scalarNumber(beta));
    // log(1 + e^y) = max(y, 0) + log(1 + e^-|y|), whose last term backends know as one function.
    const positive = ops.maximum(scaled, 0);
    const smooth = ops.div(ops.add(positive, ops.log1p(ops.exp(ops.neg(ops.abs(scaled))))), scalarNumber(beta));
    return ops.where(ops.gt(scaled, scalarNumber(threshold)), self, smooth);
  },
  vjp: ({ self, beta, threshold }, { grad, F }) => ({
    self: () => {
      const scaled = self.mul(beta);
      return F.where(scaled.gt(threshold), grad, grad.mul(scaled.sigmoid()));
    },
  }),
  samples: (g) => g.dtype.isFloat ? [...unarySamples(g), ...unarySamples(g, { args: { beta: 2, threshold: 1 } })] : [],
});

defineActivation({
  name: "log_sigmoid",
  doc: "log(sigmoid(x)), without overflow.",
  inplace: false,
  body: (x) => ops.sub(ops.minimum(x, 0), ops.log1p(ops.exp(ops.neg(ops.abs(x))))),
  vjp: ({ grad }, self) => grad.mul(self.neg().sigmoid()),
});

definePointwise({
  schema: "aten::threshold(Tensor self, Scalar threshold, Scalar value) -> Tensor",
  doc: "x where it is greater than the threshold, else value.",
  inplace: true,
  check: ({ self, threshold, value }) => {
    checkFits("threshold", "threshold", threshold, self.dtype);
    checkFits("threshold", "value", value, self.dtype);
  },
  body: (_, { self, threshold, value }) => ops.where(ops.le(self, scalarNumber(threshold)), scalarNumber(value), self),
  vjp: ({ self, threshold }, { grad, F }) => ({ self: () => F.where(self.le(threshold), 0, grad) }),
  samples: (g) => unarySamples(g, { args: { threshold: 1, value: 3 } }),
});

for (const name of ["softshrink", "hardshrink"] as const) {
  const soft = name === "softshrink";
  definePointwise({
    schema: `aten::${name}(Tensor self, Scalar lambd=0.5) -> Tensor`,
    doc: soft ? "x moved towards 0 by lambd; 0 within lambd of 0." : "x, but 0 within lambd of 0.",
    check: ({ lambd }) => {
      if (soft && !(scalarNumber(lambd) >= 0)) {
        throw new RangeError(`softshrink: lambd is ${lambd}; it must not be negative`);
      }
    },
    body: (_, { self, lambd }) => {
      const k = scalarNumber(lambd);
      if (!soft) {
        return ops.where(ops.bitwiseAnd(ops.ge(self, -k), ops.le(self, k)), 0, self);
      }
      const inside = ops.where(ops.isnan(self), self, 0);
      return ops.where(ops.gt(self, k), ops.sub(self, k), ops.where(ops.lt(self, -k), ops.add(self, k), inside));
    },
    vjp: ({ self, lambd }, { grad, F }) => ({
      self: () => F.where(self.ge(-scalarNumber(lambd)).logicalAnd(self.le(lambd)), 0, grad),
    }),
    samples: (g) => g.dtype.isFloat ? unarySamples(g) : [],
  });
}

defineOp({
  schema: "aten::prelu(Tensor self, Tensor weight) -> Tensor",
  doc: "x where it is positive, else weight × x, with one weight or one for each channel (dimension 1).",
  meta: ({ self, weight }) => {
    if (self.dtype !== weight.dtype) {
      throw new TypeError(`prelu: self is ${self.dtype.name} and weight ${weight.dtype.name}; convert one of them`);
    }
    if (weight.shape.length > 1) {
      throw new TypeError(`prelu: weight must have at most 1 dimension, got ${shapeToText(weight.shape)}`);
    }
    const weights = weight.shape[0] ?? 1;
    if (!sizeIsOne(weights) && (self.shape.length < 2 || !sizeEq(weights, self.shape[1] ?? 1))) {
      throw new TypeError(
        `prelu: ${weights} weights do not go with the channels (dimension 1) of ${shapeToText(self.shape)}`,
      );
    }
    return { shape: self.shape, dtype: self.dtype, stride: elementwiseStride(self.shape, [self]) };
  },
  decompose: ({ self, weight }, F) => {
    // One weight broadcasts as it is; several lie along the channels.
    const channels = weight.ndim === 1 && self.ndim > 1
      ? weight.view(self.shape.map((_, i) => i === 1 ? -1 : 1))
      : weight.ndim === 1 && self.ndim === 0
      ? weight.view([])
      : weight;
    // Bounded, so that an infinite element does not make the weight's gradient 0 · ∞.
    return F.where(self.gt(0), self, self.clampMax(0).mul(channels));
  },
  samples: (g) =>
    g.dtype.isFloat
      ? [
        { args: { self: g.tensor([2, 3, 4]), weight: g.tensor([3]) } },
        { name: "one weight", args: { self: g.tensor([2, 3]), weight: g.tensor([1]) } },
        { name: "0-dim", args: { self: g.tensor([]), weight: g.tensor([]) } },
      ]
      : [],
});

defineOp({
  schema: "aten::glu(Tensor self, int dim=-1) -> Tensor",
  doc: "The first half along dim, gated by the sigmoid of the second half.",
  meta: ({ self, dim }) => {
    const axis = axisOf("glu", dim, self.shape.length);
    const size = self.shape[axis];
    if (size === undefined) throw new TypeError("glu: does not take a 0-dim tensor, which cannot be halved");
    if (!sizeIsZero(sizeMod(size, 2))) {
      throw new TypeError(`glu: dimension ${axis} of ${shapeToText(self.shape)} must be even to be halved`);
    }
    const shape = self.shape.map((s, i) => i === axis ? sizeFloorDiv(s, 2) : s);
    return { shape, dtype: self.dtype, stride: elementwiseStride(shape, [{ shape, stride: self.stride }]) };
  },
  decompose: ({ self, dim }) => {
    const axis = axisOf("glu", dim, self.ndim);
    const half = sizeFloorDiv(self.shape[axis] ?? 0, 2);
    return self.narrow(axis, 0, half).mul(self.narrow(axis, half, half).sigmoid());
  },
  samples: (g) =>
    g.dtype.isFloat
      ? [{ args: { self: g.tensor([3, 4]) } }, { name: "dim 0", args: { self: g.tensor([4, 3, 2]), dim: 0 } }]
      : [],
});

const logit = (x: Value, eps: number | null): Value => {
  const z = eps === null ? x : ops.minimum(ops.maximum(x, eps), 1 - eps);
  return ops.log(ops.div(z, ops.sub(1, z)));
};

definePointwise({
  schema: "aten::logit(Tensor self, float? eps=None) -> Tensor",
  doc: "log(x / (1 - x)), with x clamped to [eps, 1 - eps] unless eps is null.",
  promotion: "float",
  inplace: true,
  body: (_, { self, eps }) => logit(self, eps),
  vjp: ({ self, eps }, { grad, F }) => ({
    self: () => {
      const slope = grad.div(self.mul(self.neg().add(1)));
      const [low, high] = eps === null ? [0, 1] : [eps, 1 - eps];
      const inside = self.ge(low).logicalAnd(self.le(high));
      return reduceGrad(F.where(inside, slope, eps === null ? NaN : 0), self);
    },
  }),
  samples: (g) => unarySamples(g, { low: 0.1, high: 0.9 }),
});
