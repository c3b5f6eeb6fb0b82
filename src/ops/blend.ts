/**
 * Choosing and mixing: clamp, where, lerp, fused multiply-adds, replacing NaN.
 *
 * Conditions are bool and broadcast with what they choose from; bounds take part in promotion. Mirrors `TensorCompare.cpp`, `Lerp.cpp` and
 * `PointwiseOps.cpp` of ATen.
 */
import { bool } from "../core/mod.ts";
import { ops, type Value } from "../loops/mod.ts";
import { definePointwise, defineScalarOverload } from "./combinators.ts";
import type { MetaInput } from "./define.ts";
import { castGrad, reduceGrad } from "./gradient.ts";
import { binarySamples, unarySamples } from "./sample_sets.ts";
import { promotedScalar, scalarNumber, scalarValue } from "./scalars.ts";

/** @throws {TypeError} unless both have one dtype; plain numbers fit any. */
function needSameDtype(where: string, a: MetaInput, b: MetaInput): void {
  if (a.dtype !== b.dtype && !a.isScalar && !b.isScalar) {
    throw new TypeError(`${where}: the dtypes ${a.dtype.name} and ${b.dtype.name} differ: convert one with .to()`);
  }
}

definePointwise({
  schema: "aten::clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor",
  doc: "self, but not below min nor above max; a bound that is null does not bound.",
  promote: ["self", "min", "max"],
  inplace: true,
  check: ({ min, max }) => {
    if (min === null && max === null) throw new TypeError("clamp: at least one of min and max must not be null");
  },
  body: (_, { self, min, max }) => {
    const raised = min === null ? self : ops.maximum(self, promotedScalar(min));
    return max === null ? raised : ops.minimum(raised, promotedScalar(max));
  },
  vjp: ({ self, min, max }, { grad, F }) => ({
    self: () => {
      const above = min === null ? null : self.ge(min);
      const below = max === null ? null : self.le(max);
      const inside = above === null ? below : below === null ? above : above.logicalAnd(below);
      return castGrad(inside === null ? grad : F.where(inside, grad, 0), self);
    },
  }),
  samples: (g) => [
    ...unarySamples(g, { args: { min: -1, max: 1 } }),
    { name: "below", args: { self: g.tensor([3, 4]), min: 0 } },
    { name: "above", args: { self: g.tensor([3, 4]), max: 1 } },
    { name: "float bounds", args: { self: g.tensor([3, 4]), min: -0.5, max: 0.75 } },
  ],
});

definePointwise({
  schema: "aten::clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor",
  doc: "self, but not below min nor above max, broadcast; a bound that is null does not bound.",
  inplace: true,
  check: ({ min, max }) => {
    if (min === null && max === null) throw new TypeError("clamp: at least one of min and max must not be null");
  },
  body: (_, { self, min, max }) => {
    const raised = min === null ? self : ops.maximum(self, min);
    return max === null ? raised : ops.minimum(raised, max);
  },
  vjp: ({ self, min, max }, { grad, F }) => {
    const zero = (): typeof grad => F.zerosLike(grad);
    return {
      self: () => {
        const above = min === null ? null : F.ge(self, min);
        const below = max === null ? null : F.le(self, max);
        const inside = above === null ? below : below === null ? above : above.logicalAnd(below);
        return reduceGrad(inside === null ? grad : F.where(inside, grad, 0), self);
      },
      min: () => {
        if (min === null) return null;
        const low = F.lt(self, min);
        return reduceGrad(F.where(max === null ? low : low.logicalAnd(F.lt(min, max)), grad, zero()), min);
      },
      max: () => {
        if (max === null) return null;
        const high = F.gt(self, max);
        return reduceGrad(F.where(min === null ? high : high.logicalOr(F.gt(min, max)), grad, zero()), max);
      },
    };
  },
  samples: (g) => [
    { args: { self: g.tensor([3, 4]), min: g.tensor([4], { low: -3, high: -1 }), max: g.tensor([3, 1]) } },
    { name: "below", args: { self: g.tensor([3, 4]), min: g.tensor([]) } },
    { name: "above", args: { self: g.tensor([3, 4]), max: g.tensor([4]) } },
  ],
});

for (const [name, word] of [["clamp_min", "below"], ["clamp_max", "above"]] as const) {
  const isMin = name === "clamp_min";
  const bound = isMin ? "min" : "max";
  const limit = (a: Value, b: Value): Value => isMin ? ops.maximum(a, b) : ops.minimum(a, b);
  definePointwise({
    schema: isMin
      ? "aten::clamp_min(Tensor self, Scalar min) -> Tensor"
      : "aten::clamp_max(Tensor self, Scalar max) -> Tensor",
    doc: `self, but not ${word} ${bound}.`,
    promote: ["self", bound],
    inplace: true,
    body: (_, args) => limit(args.self, promotedScalar("min" in args ? args.min : args.max)),
    vjp: (args, { grad, F }) => ({
      self: () => {
        const inside = "min" in args ? args.self.ge(args.min) : args.self.le(args.max);
        return castGrad(F.where(inside, grad, 0), args.self);
      },
    }),
    samples: (g) => unarySamples(g, { args: { [bound]: 0.5 } }),
  });
  definePointwise({
    schema: isMin
      ? "aten::clamp_min.Tensor(Tensor self, Tensor min) -> Tensor"
      : "aten::clamp_max.Tensor(Tensor self, Tensor max) -> Tensor",
    doc: `self, but not ${word} ${bound}, broadcast.`,
    inplace: true,
    body: (_, args) => limit(args.self, "min" in args ? args.min : args.max),
    vjp: (args, { grad, F }) => {
      const other = "min" in args ? args.min : args.max;
      const inside = (): typeof grad => isMin ? F.ge(args.self, other) : F.le(args.self, other);
      return {
        self: () => reduceGrad(F.where(inside(), grad, 0), args.self),
        // Of NaN to neither.
        [bound]: () => reduceGrad(F.where(isMin ? F.lt(args.self, other) : F.gt(args.self, other), grad, 0), other),
      };
    },
    samples: (g) => [
      { args: { self: g.tensor([3, 4]), [bound]: g.tensor([4]) } },
      { name: "0-dim", args: { self: g.tensor([3, 4]), [bound]: g.tensor([]) } },
    ],
  });
}

const where = definePointwise({
  schema: "aten::where.self(Tensor condition, Tensor self, Tensor other) -> Tensor",
  doc: "self where the condition holds, else other, broadcast.",
  promote: ["self", "other"],
  check: ({ condition }) => {
    if (condition.dtype !== bool && condition.dtype.name !== "uint8") {
      throw new TypeError(
        `where: the condition must be a bool tensor, got ${condition.dtype.name}; compare it with 0 first`,
      );
    }
  },
  body: (_, { condition, self, other }) => ops.where(ops.cast(condition, bool), self, other),
  vjp: ({ condition, self, other }, { grad, F }) => ({
    self: () => reduceGrad(F.where(condition, grad, 0), self),
    other: () => reduceGrad(F.where(condition, 0, grad), other),
  }),
  samples: (g) => {
    const condition = g.tensor([3, 4], { dtype: bool, values: "integers", low: 0, high: 2, requiresGrad: false });
    return [
      { args: { condition, self: g.tensor([3, 4]), other: g.tensor([3, 4]) } },
      { name: "broadcast", args: { condition, self: g.tensor([4]), other: g.tensor([3, 1]) } },
      { name: "number", args: { condition, self: g.tensor([3, 4]), other: 0 } },
      { name: "0-dim", args: { condition, self: g.tensor([]), other: g.tensor([2, 1, 1]) } },
    ];
  },
});
defineScalarOverload(where, "aten::where.ScalarSelf(Tensor condition, Scalar self, Tensor other) -> Tensor");
defineScalarOverload(where, "aten::where.ScalarOther(Tensor condition, Tensor self, Scalar other) -> Tensor");
defineScalarOverload(where, "aten::where.Scalar(Tensor condition, Scalar self, Scalar other) -> Tensor");

/** PyTorch's two forms of the mix, each exact at its end. */
function lerpValues(start: Value, end: Value, weight: Value): Value {
  const difference = ops.sub(end, start);
  return ops.where(
    ops.lt(ops.abs(weight), 0.5),
    ops.add(start, ops.mul(weight, difference)),
    ops.sub(end, ops.mul(difference, ops.sub(1, weight))),
  );
}

definePointwise({
  schema: "aten::lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor",
  doc: "self + weight × (end - self).",
  inplace: true,
  check: ({ self, end }) => needSameDtype("lerp", self, end),
  body: (_, { self, end, weight }, compute) => lerpValues(self, end, scalarValue(weight, compute)),
  vjp: ({ self, end, weight }, { grad }) => ({
    self: () => reduceGrad(grad.mul(1 - scalarNumber(weight)), self),
    end: () => reduceGrad(grad.mul(weight), end),
  }),
  samples: (g) =>
    g.dtype.isFloat
      ? [0.25, 0.75].map((weight) => ({ args: { self: g.tensor([3, 4]), end: g.tensor([4]), weight } }))
      : [],
});

definePointwise({
  schema: "aten::lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor",
  doc: "self + weight × (end - self), broadcast.",
  inplace: true,
  check: ({ self, end, weight }) => {
    needSameDtype("lerp", self, end);
    needSameDtype("lerp", self, weight);
  },
  body: (_, { self, end, weight }) => lerpValues(self, end, weight),
  vjp: ({ self, end, weight }, { grad, F }) => ({
    self: () => reduceGrad(grad.mul(F.rsub(weight, 1)), self),
    end: () => reduceGrad(grad.mul(weight), end),
    weight: () => reduceGrad(grad.mul(F.sub(end, self)), weight),
  }),
  samples: (g) =>
    g.dtype.isFloat ? [{ args: { self: g.tensor([3, 4]), end: g.tensor([4]), weight: g.tensor([3, 1]) } }] : [],
});

definePointwise({
  schema: "aten::addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
  doc: "self + value × tensor1 × tensor2, broadcast.",
  inplace: true,
  body: (_, { self, tensor1, tensor2, value }, compute) =>
    ops.add(self, ops.mul(ops.mul(scalarValue(value, compute), tensor1), tensor2)),
  vjp: ({ self, tensor1, tensor2, value }, { grad }) => ({
    self: () => reduceGrad(grad, self),
    tensor1: () => reduceGrad(grad.mul(tensor2).mul(value), tensor1),
    tensor2: () => reduceGrad(grad.mul(tensor1).mul(value), tensor2),
  }),
  samples: (g) => [
    { args: { self: g.tensor([3, 4]), tensor1: g.tensor([4]), tensor2: g.tensor([3, 1]), value: 2 } },
    { name: "0-dim", args: { self: g.tensor([]), tensor1: g.tensor([]), tensor2: g.tensor([2]) } },
  ],
});

definePointwise({
  schema: "aten::addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
  doc: "self + value × tensor1 / tensor2, broadcast; floating point only.",
  inplace: true,
  check: ({ tensor1, tensor2 }) => {
    if (tensor1.dtype.isIntegral && tensor2.dtype.isIntegral) {
      throw new TypeError("addcdiv: does not divide integers: convert one of tensor1 and tensor2 to a float first");
    }
  },
  body: (_, { self, tensor1, tensor2, value }, compute) =>
    ops.add(self, ops.mul(scalarValue(value, compute), ops.div(tensor1, tensor2))),
  vjp: ({ self, tensor1, tensor2, value }, { grad, F }) => ({
    self: () => reduceGrad(grad, self),
    tensor1: () => reduceGrad(grad.mul(F.div(value, tensor2)), tensor1),
    tensor2: () => reduceGrad(grad.mul(value).neg().mul(F.div(tensor1, F.mul(tensor2, tensor2))), tensor2),
  }),
  samples: (g) =>
    g.dtype.isFloat
      ? [{
        args: {
          self: g.tensor([3, 4]),
          tensor1: g.tensor([4]),
          tensor2: g.tensor([3, 1], { values: "uniform", low: 1, high: 3 }),
          value: 0.5,
        },
      }]
      : [],
});

definePointwise({
  schema: "aten::nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor",
  doc:
    "self with NaN and infinities replaced: by 0, the largest and the smallest number of the dtype unless told otherwise.",
  inplace: true,
  // The largest number of a half type, not that of the float32 in which it is computed.
  body: (_, { self, nan, posinf, neginf }, compute, { max, min }) => {
    if (!compute.isFloat) return self;
    const infinite = ops.where(
      ops.eq(self, Infinity),
      posinf ?? max,
      ops.where(ops.eq(self, -Infinity), neginf ?? min, self),
    );
    return ops.where(ops.isnan(self), nan ?? 0, infinite);
  },
  vjp: ({ self }, { grad, F }) => ({ self: () => F.where(self.isfinite(), grad, 0) }),
  samples: (g) => [...unarySamples(g), ...unarySamples(g, { args: { nan: 1, posinf: 2, neginf: -2 } })],
});

definePointwise({
  schema: "aten::heaviside(Tensor self, Tensor values) -> Tensor",
  doc: "0 where self is negative, 1 where it is positive, values where it is 0.",
  inplace: true,
  check: ({ self, values }) => needSameDtype("heaviside", self, values),
  body: (_, { self, values }, compute) =>
    ops.where(
      ops.eq(self, 0),
      values,
      ops.cast(ops.gt(self, compute === bool ? ops.constant(false, bool) : 0), compute),
    ),
  samples: (g) => [{ args: { self: g.tensor([3, 4]), values: g.tensor([4]) }, differentiate: false }],
});

const xlogy = definePointwise({
  schema: "aten::xlogy.Tensor(Tensor self, Tensor other) -> Tensor",
  doc: "self × log(other), 0 where self is 0.",
  promotion: "float",
  inplace: true,
  body: (_, { self, other }) =>
    ops.where(
      ops.isnan(other),
      NaN,
      ops.where(ops.eq(self, 0), 0, ops.mul(self, ops.log(other))),
    ),
  vjp: ({ self, other }, { grad, F }) => ({
    self: () => {
      const flat = F.logicalAnd(F.eq(self, 0), F.le(other, 0));
      return reduceGrad(F.where(flat, 0, grad.mul(F.log(other))), self);
    },
    other: () => reduceGrad(grad.mul(F.div(self, other)), other),
  }),
  samples: (g) => binarySamples(g, { low: 0.3, high: 3 }),
});
defineScalarOverload(xlogy, "aten::xlogy.Scalar_Self(Scalar self, Tensor other) -> Tensor");
defineScalarOverload(xlogy, "aten::xlogy.Scalar_Other(Tensor self, Scalar other) -> Tensor", { inplace: true });

/** The logarithm of the sum of powers of a base whose natural logarithm is `unit`, stable; equal infinities stay. */
function logAddExp(a: Value, b: Value, unit = 1): Value {
  const larger = ops.maximum(a, b), same = ops.eq(a, b);
  const scaled = (x: Value, by: number): Value => by === 1 ? x : ops.mul(x, by);
  const distance = ops.abs(scaled(ops.sub(a, b), unit));
  const more = scaled(ops.log1p(ops.exp(ops.neg(distance))), 1 / unit);
  return ops.where(ops.bitwiseAnd(same, ops.isinf(a)), a, ops.add(larger, more));
}

definePointwise({
  schema: "aten::logaddexp(Tensor self, Tensor other) -> Tensor",
  doc: "log(exp(self) + exp(other)), without overflow.",
  promotion: "float",
  body: (_, { self, other }) => logAddExp(self, other),
  vjp: ({ self, other }, { grad, F }) => ({
    // By the difference of both: that to the result is NaN where it is infinite.
    self: () => reduceGrad(grad.div(F.exp(F.sub(other, self)).add(1)), self),
    other: () => reduceGrad(grad.div(F.exp(F.sub(self, other)).add(1)), other),
  }),
  samples: (g) => binarySamples(g),
});

definePointwise({
  schema: "aten::logaddexp2(Tensor self, Tensor other) -> Tensor",
  doc: "log2(2^self + 2^other), without overflow.",
  promotion: "float",
  body: (_, { self, other }) => logAddExp(self, other, Math.LN2),
  vjp: ({ self, other }, { grad, F }) => ({
    self: () => reduceGrad(grad.div(F.exp2(F.sub(other, self)).add(1)), self),
    other: () => reduceGrad(grad.div(F.exp2(F.sub(self, other)).add(1)), other),
  }),
  samples: (g) => binarySamples(g),
});
