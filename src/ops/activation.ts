/**
 * Activation functions.
 */
import { definePointwise } from "./combinators.ts";

definePointwise({
  schema: "aten::sigmoid(Tensor self) -> Tensor",
  doc: "The logistic function, 1 / (1 + exp(-x)).",
  promotion: "float",
  inplace: true,
  body: (ops, { self }) => ops.sigmoid(self),
  vjp: (_, { grad, out }) => ({ self: () => grad.mul(out.mul(out.neg().add(1))) }),
  samples: (
    g,
  ) => [{ args: { self: g.tensor([3, 4]) } }, {
    args: { self: g.tensor([5], { values: [0, -0, 88, -88, NaN] }) },
    differentiate: false,
  }],
});

definePointwise({
  schema: "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
  doc: "self + alpha × other, broadcast.",
  inplace: true,
  body: (ops, { self, other, alpha }) => ops.add(self, ops.mul(other, Number(alpha))),
  vjp: ({ self, other, alpha }, { grad }) => ({
    self: () => grad.sumToSize(self.shape),
    other: () => grad.mul(alpha).sumToSize(other.shape),
  }),
  samples: (g) => [{ args: { self: g.tensor([3, 4]), other: g.tensor([4]), alpha: 2 } }],
});
