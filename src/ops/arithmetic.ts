/**
 * Arithmetic of two operands: sums, products, quotients, remainders, powers, extrema.
 *
 * Operands broadcast and promote; integers wrap around, division by an integer 0 yields 0. Each has the overload with a tensor (where a number
 * is a wrapped scalar) and, where ATen has one, the overload with a scalar. In gradients the other operand may be a
 * plain number, so only functions that take numbers touch it. Mirrors `BinaryOps.cpp` of ATen.
 */
import { bool, type DType } from "../core/mod.ts";
import { ops, type Value } from "../loops/mod.ts";
import { definePointwise, defineScalarOverload, type Promotion } from "./combinators.ts";
import { divisor } from "./conditions.ts";
import type { MetaInput } from "./define.ts";
import { reduceGrad } from "./gradient.ts";
import { binarySamples } from "./sample_sets.ts";
import { promotedScalar, scalarValue } from "./scalars.ts";

function addValues(a: Value, b: Value): Value {
  return a.dtype === bool ? ops.bitwiseOr(a, b) : ops.add(a, b);
}

function mulValues(a: Value, b: Value): Value {
  return a.dtype === bool ? ops.bitwiseAnd(a, b) : ops.mul(a, b);
}

function refuseBools(where: string) {
  return ({ self, other }: { readonly self: MetaInput; readonly other: MetaInput }): void => {
    if (self.dtype === bool && other.dtype === bool) {
      throw new TypeError(`${where}: does not take two bool tensors; use logicalXor() instead`);
    }
    if (self.dtype === bool || other.dtype === bool) {
      throw new TypeError(
        `${where}: does not take a bool tensor, got ${self.dtype.name} and ${other.dtype.name}; invert a mask with logicalNot(), or convert it with .to() first`,
      );
    }
  };
}

const add = definePointwise({
  schema: "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
  doc: "self + alpha × other, broadcast.",
  inplace: true,
  body: (_, { self, other, alpha }, compute) => addValues(self, mulValues(other, scalarValue(alpha, compute))),
  vjp: ({ self, other, alpha }, { grad }) => ({
    self: () => reduceGrad(grad, self),
    other: () => reduceGrad(alpha === 1 ? grad : grad.mul(alpha), other),
  }),
  samples: (g) => [
    ...binarySamples(g),
    { name: "alpha", args: { self: g.tensor([3, 4]), other: g.tensor([4]), alpha: 2 } },
  ],
});
defineScalarOverload(add, "aten::add.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", { inplace: true });

const sub = definePointwise({
  schema: "aten::sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
  doc: "self - alpha × other, broadcast.",
  inplace: true,
  check: refuseBools("sub"),
  body: (_, { self, other, alpha }, compute) => ops.sub(self, ops.mul(other, scalarValue(alpha, compute))),
  vjp: ({ self, other, alpha }, { grad }) => ({
    self: () => reduceGrad(grad, self),
    other: () => reduceGrad(alpha === 1 ? grad.neg() : grad.neg().mul(alpha), other),
  }),
  samples: (g) => [
    ...binarySamples(g),
    { name: "alpha", args: { self: g.tensor([3, 4]), other: g.tensor([4]), alpha: 2 } },
  ],
});
defineScalarOverload(sub, "aten::sub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", { inplace: true });

const rsub = definePointwise({
  schema: "aten::rsub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
  doc: "other - alpha × self, broadcast.",
  check: refuseBools("rsub"),
  body: (_, { self, other, alpha }, compute) => ops.sub(other, ops.mul(self, scalarValue(alpha, compute))),
  vjp: ({ self, other, alpha }, { grad }) => ({
    self: () => reduceGrad(alpha === 1 ? grad.neg() : grad.neg().mul(alpha), self),
    other: () => reduceGrad(grad, other),
  }),
  samples: (g) => binarySamples(g, { args: { alpha: 2 } }),
});
defineScalarOverload(rsub, "aten::rsub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor");

for (const name of ["mul", "multiply"] as const) {
  const mul = definePointwise({
    schema: `aten::${name}.Tensor(Tensor self, Tensor other) -> Tensor`,
    doc: "self × other, broadcast.",
    inplace: true,
    body: (_, { self, other }) => mulValues(self, other),
    vjp: ({ self, other }, { grad }) => ({
      self: () => reduceGrad(grad.mul(other), self),
      other: () => reduceGrad(grad.mul(self), other),
    }),
    samples: (g) => binarySamples(g),
  });
  defineScalarOverload(mul, `aten::${name}.Scalar(Tensor self, Scalar other) -> Tensor`, { inplace: true });
}

for (const name of ["div", "divide", "true_divide"] as const) {
  const div = definePointwise({
    schema: `aten::${name}.Tensor(Tensor self, Tensor other) -> Tensor`,
    doc: "self / other, broadcast; integers become the default float.",
    promotion: "float",
    inplace: true,
    body: (_, { self, other }) => ops.div(self, other),
    vjp: ({ self, other }, { grad, out }) => ({
      self: () => reduceGrad(grad.div(other), self),
      other: () => reduceGrad(grad.neg().mul(out).div(other), other),
    }),
    samples: (g) => binarySamples(g, { low: 1, high: 3 }),
  });
  defineScalarOverload(div, `aten::${name}.Scalar(Tensor self, Scalar other) -> Tensor`, { inplace: true });
}

/** Rounds a quotient down: Python's `//`. */
function floorQuotient(a: Value, b: Value): Value {
  return ops.floorDiv(a, divisor(b));
}

const divMode = definePointwise({
  schema: "aten::div.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor",
  doc: 'self / other, exact (null) or rounded: "trunc" towards 0, "floor" down.',
  promotion: ({ roundingMode }): Promotion => roundingMode === null ? "float" : "default",
  inplace: true,
  check: ({ roundingMode }) => {
    if (roundingMode !== null && roundingMode !== "trunc" && roundingMode !== "floor") {
      throw new RangeError(`div: roundingMode is "${roundingMode}": use null, "trunc" or "floor"`);
    }
  },
  body: (_, { self, other, roundingMode }) =>
    roundingMode === null
      ? ops.div(self, other)
      : roundingMode === "floor"
      ? floorQuotient(self, other)
      : ops.truncDiv(self, divisor(other)),
  vjp: ({ self, other, roundingMode }, { grad, out, F }) => ({
    self: () => reduceGrad(roundingMode === null ? grad.div(other) : F.zerosLike(grad), self),
    other: () => reduceGrad(roundingMode === null ? grad.neg().mul(out).div(other) : F.zerosLike(grad), other),
  }),
  samples: (g) => [
    ...binarySamples(g, { low: 1, high: 3, args: { roundingMode: "trunc" }, differentiate: false }),
    ...binarySamples(g, { low: 1, high: 3, args: { roundingMode: "floor" }, differentiate: false }),
    { name: "exact", args: { self: g.tensor([3]), other: 2, roundingMode: null } },
  ],
});
defineScalarOverload(divMode, "aten::div.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor", {
  inplace: true,
});

const floorDivide = definePointwise({
  schema: "aten::floor_divide(Tensor self, Tensor other) -> Tensor",
  doc: "self / other, rounded down; stays integer for integers.",
  inplace: "Tensor",
  body: (_, { self, other }) => floorQuotient(self, other),
  samples: (g) => binarySamples(g, { low: 1, high: 3, differentiate: false }),
});
defineScalarOverload(floorDivide, "aten::floor_divide.Scalar(Tensor self, Scalar other) -> Tensor", { inplace: true });

const remainder = definePointwise({
  schema: "aten::remainder.Tensor(Tensor self, Tensor other) -> Tensor",
  doc: "The remainder of division rounded down, with the sign of other: Python's `%`.",
  inplace: true,
  body: (_, { self, other }) => ops.floorMod(self, divisor(other)),
  vjp: ({ self, other }, { grad, F }) => ({
    self: () => reduceGrad(grad, self),
    other: () => reduceGrad(grad.neg().mul(F.div(self, other, { roundingMode: "floor" })), other),
  }),
  samples: (g) => binarySamples(g, { low: 1, high: 3, edges: false }),
});
defineScalarOverload(remainder, "aten::remainder.Scalar(Tensor self, Scalar other) -> Tensor", { inplace: true });

const fmod = definePointwise({
  schema: "aten::fmod.Tensor(Tensor self, Tensor other) -> Tensor",
  doc: "The remainder of division rounded towards 0, with the sign of self: C's fmod.",
  inplace: true,
  body: (_, { self, other }) => ops.truncMod(self, divisor(other)),
  vjp: ({ self, other }, { grad, F }) => ({
    self: () => reduceGrad(grad, self),
    other: () => reduceGrad(grad.neg().mul(F.div(self, other, { roundingMode: "trunc" })), other),
  }),
  samples: (g) => binarySamples(g, { low: 1, high: 3, edges: false }),
});
defineScalarOverload(fmod, "aten::fmod.Scalar(Tensor self, Scalar other) -> Tensor", { inplace: true });

/** The larger or smaller of two; equal operands share the gradient. */
function defineExtremum(name: "maximum" | "minimum" | "fmax" | "fmin", doc: string): void {
  const larger = name === "maximum" || name === "fmax";
  const pick = (a: Value, b: Value): Value =>
    a.dtype === bool
      ? larger ? ops.bitwiseOr(a, b) : ops.bitwiseAnd(a, b)
      : larger
      ? ops.maximum(a, b)
      : ops.minimum(a, b);
  const ignoresNan = name === "fmax" || name === "fmin";
  definePointwise({
    schema: `aten::${name}(Tensor self, Tensor other) -> Tensor`,
    doc,
    body: (_, { self, other }, compute) =>
      ignoresNan && compute.isFloat
        ? ops.where(ops.isnan(self), other, ops.where(ops.isnan(other), self, pick(self, other)))
        : pick(self, other),
    vjp: ({ self, other }, { grad, F }) => {
      if (ignoresNan) {
        const first = (): typeof grad => F.logicalOr(larger ? F.ge(self, other) : F.le(self, other), F.isnan(other));
        return {
          self: () => reduceGrad(F.where(first(), grad, 0), self),
          other: () => reduceGrad(F.where(first(), 0, grad), other),
        };
      }
      const shared = (): typeof grad => F.where(F.eq(self, other), grad.div(2), grad);
      return {
        self: () => reduceGrad(F.where(larger ? F.lt(self, other) : F.gt(self, other), 0, shared()), self),
        other: () => reduceGrad(F.where(larger ? F.gt(self, other) : F.lt(self, other), 0, shared()), other),
      };
    },
    samples: (g) => binarySamples(g),
  });
}

defineExtremum("maximum", "The larger of self and other; NaN if either is.");
defineExtremum("minimum", "The smaller of self and other; NaN if either is.");
defineExtremum("fmax", "The larger of self and other; a NaN gives way to a number.");
defineExtremum("fmin", "The smaller of self and other; a NaN gives way to a number.");

/** A power whose exponent is a number known beforehand. */
function powerByNumber(x: Value, exponent: number, compute: DType): Value {
  switch (exponent) {
    case 0:
      return ops.constant(1, compute);
    case 1:
      return x;
    case 2:
      return ops.mul(x, x);
    case 3:
      return ops.mul(ops.mul(x, x), x);
  }
  if (compute.isFloat) {
    if (exponent === 0.5) return ops.sqrt(x);
    if (exponent === -0.5) return ops.rsqrt(x);
    if (exponent === -1) return ops.reciprocal(x);
    if (exponent === -2) return ops.reciprocal(ops.mul(x, x));
  }
  return ops.pow(x, exponent);
}

definePointwise({
  schema: "aten::pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor",
  doc: "self to the power of exponent.",
  promote: ["self", "exponent"],
  inplace: "Scalar",
  check: ({ self, exponent }) => {
    if (self.dtype.isIntegral && Number.isInteger(Number(exponent)) && Number(exponent) < 0) {
      throw new RangeError(
        `pow: integers to the negative power ${exponent} are not integers: convert to a float first`,
      );
    }
  },
  body: (_, { self, exponent }, compute) => {
    const power = promotedScalar(exponent);
    return power.kind === "constant" ? powerByNumber(self, Number(power.value), compute) : ops.pow(self, power);
  },
  vjp: ({ self, exponent }, { grad, F }) => ({
    self: () => {
      const power = Number(exponent);
      if (power === 0) return F.zerosLike(grad);
      const slope = power === 2 ? self.mul(2) : self.pow(power - 1).mul(power);
      return grad.mul(slope);
    },
  }),
  samples: (g) => {
    const self = g.dtype.isFloat ? g.tensor([3, 4], { values: "uniform", low: 0.5, high: 2 }) : g.tensor([3, 4]);
    const exponents = g.dtype.isFloat ? [0, 1, 2, 3, 0.5, -0.5, -1, 2.5, -2] : [0, 1, 2, 3, 4];
    return [
      ...exponents.map((exponent) => ({ name: `to the ${exponent}`, args: { self, exponent } })),
      { name: "0-dim", args: { self: g.tensor([]), exponent: 2 } },
    ];
  },
});

definePointwise({
  schema: "aten::pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor",
  doc: "self to the power of exponent, broadcast.",
  inplace: "Tensor",
  body: (_, { self, exponent }) =>
    self.dtype === bool ? ops.bitwiseOr(self, ops.not(exponent)) : ops.pow(self, exponent),
  vjp: ({ self, exponent }, { grad, out, F }) => ({
    self: () => {
      const slope = F.mul(exponent, F.pow(self, F.sub(exponent, 1)));
      return reduceGrad(F.where(F.eq(exponent, 0), 0, grad.mul(slope)), self);
    },
    exponent: () => {
      const flat = F.logicalAnd(F.eq(self, 0), F.ge(exponent, 0));
      return reduceGrad(grad.mul(F.where(flat, 0, out.mul(F.log(self)))), exponent);
    },
  }),
  samples: (g) => [
    {
      args: {
        self: g.tensor([3, 4], g.dtype.isFloat ? { values: "uniform", low: 0.5, high: 2 } : {}),
        exponent: g.tensor([4], { low: 0, high: 4 }),
      },
    },
    { name: "0-dim", args: { self: g.tensor([3], { values: [1, 2, 3] }), exponent: g.tensor([], { values: [2] }) } },
  ],
});

definePointwise({
  schema: "aten::pow.Scalar(Scalar self, Tensor exponent) -> Tensor",
  doc: "self to the power of exponent.",
  promote: ["self", "exponent"],
  body: (_, { self, exponent }) => ops.pow(promotedScalar(self), exponent),
  vjp: ({ self }, { grad, out, F }) => ({
    exponent: () => Number(self) === 0 ? F.zerosLike(grad) : grad.mul(out.mul(Math.log(Number(self)))),
  }),
  samples: (g) => [{ args: { self: 2, exponent: g.tensor([3, 4], { low: 0, high: 4 }) } }],
});

definePointwise({
  schema: "aten::atan2(Tensor self, Tensor other) -> Tensor",
  doc: "The angle of the point (other, self), in (-π, π].",
  promotion: "float",
  inplace: true,
  body: (_, { self, other }) => ops.atan2(self, other),
  vjp: ({ self, other }, { grad, F }) => {
    const recip = (): typeof grad => {
      const r2 = F.add(F.mul(self, self), F.mul(other, other));
      return F.where(r2.eq(0), 0, r2.reciprocal());
    };
    return {
      self: () => reduceGrad(grad.mul(F.mul(other, recip())), self),
      other: () => reduceGrad(grad.mul(F.mul(F.neg(self), recip())), other),
    };
  },
  samples: (g) => binarySamples(g, { low: 0.5, high: 2 }),
});

definePointwise({
  schema: "aten::hypot(Tensor self, Tensor other) -> Tensor",
  doc: "The length of the vector (self, other).",
  inplace: true,
  body: (_, { self, other }) => ops.hypot(self, other),
  vjp: ({ self, other }, { grad, out }) => ({
    self: () => reduceGrad(grad.mul(self.div(out)), self),
    other: () => reduceGrad(grad.mul(other.div(out)), other),
  }),
  samples: (g) => g.dtype.isFloat ? binarySamples(g, { low: 0.5, high: 2 }) : [],
});

const copysign = definePointwise({
  schema: "aten::copysign.Tensor(Tensor self, Tensor other) -> Tensor",
  doc: "The absolute value of self with the sign of other, signed zeros included.",
  promotion: "float",
  inplace: true,
  body: (_, { self, other }) => ops.copysign(self, other),
  vjp: ({ self, other }, { grad, out, F }) => ({
    self: () => reduceGrad(F.where(F.eq(self, 0), 0, grad.mul(F.div(out, self))), self),
    other: () => F.zerosLike(other),
  }),
  samples: (g) => binarySamples(g),
});
defineScalarOverload(copysign, "aten::copysign.Scalar(Tensor self, Scalar other) -> Tensor", { inplace: true });
