/**
 * Regression losses and binary cross entropy.
 *
 * A loss is a pointwise distance and a reduction: 0 none, 1 mean, 2 sum. Where the derivative of the formula as written would be
 * undefined or unstable, the distance is an operator with its own gradient. Mirrors ATen's Loss.cpp.
 */
import { bool } from "../core/mod.ts";
import { broadcastShapes, sameShape, shapeToText, type Size } from "../symbolic/mod.ts";
import { definePointwise, promotedDtype, promotionOperand } from "./combinators.ts";
import { elementwiseStride } from "./layout.ts";
import { required } from "./conditions.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** Reads `reduction`. @throws {RangeError} unless it is 0, 1 or 2. */
export function reductionKind(where: string, reduction: Size): "none" | "mean" | "sum" {
  switch (Number(reduction)) {
    case 0:
      return "none";
    case 1:
      return "mean";
    case 2:
      return "sum";
    default:
      throw new RangeError(`${where}: reduction must be 0 (none), 1 (mean) or 2 (sum), got ${reduction}`);
  }
}

/** The shape of a reduced loss. */
export function reducedLossShape(where: string, shape: readonly Size[], reduction: Size): readonly Size[] {
  return reductionKind(where, reduction) === "none" ? shape : [];
}

/** Applies a reduction to the losses of all elements. */
export function reduceLoss(where: string, losses: TensorValue, reduction: Size): TensorValue {
  const kind = reductionKind(where, reduction);
  return kind === "none" ? losses : kind === "mean" ? losses.mean() : losses.sum();
}

/** Shape and dtype of a loss between tensors that broadcast. */
export function lossSpec(
  where: string,
  inputs: readonly (MetaInput | null)[],
  reduction: Size,
  needsFloat = true,
): TensorSpec {
  const tensors = inputs.filter((i) => i !== null);
  const shape = broadcastShapes(where, ...tensors.map((i) => i.shape));
  const dtype = promotedDtype(where, tensors.map(promotionOperand), "default");
  if (!dtype.isFloat && (needsFloat || reductionKind(where, reduction) === "mean")) {
    throw new TypeError(`${where}: needs floating point tensors, got ${dtype.name}; convert with .to(float32)`);
  }
  const isReduced = reductionKind(where, reduction) !== "none";
  return isReduced ? { shape: [], dtype } : { shape, dtype, stride: elementwiseStride(shape, tensors) };
}

/** One sample for each reduction. */
function lossSamples(g: SampleGenerator, more: Sample["args"] = {}): Sample[] {
  return [0, 1, 2].map((reduction) => ({
    args: { self: g.tensor([3, 4]), target: g.tensor([3, 4]), reduction, ...more },
  }));
}

defineOp({
  schema: "aten::mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
  doc: "The squared difference, averaged unless asked otherwise.",
  meta: ({ self, target, reduction }) => lossSpec("mse_loss", [self, target], reduction, false),
  decompose: ({ self, target, reduction }) => {
    const d = difference(self, target);
    return reduceLoss("mse_loss", d.mul(d), reduction);
  },
  samples: (g) => [
    ...lossSamples(g),
    { name: "broadcast", args: { self: g.tensor([3, 4]), target: g.tensor([4]) } },
  ],
});

defineOp({
  schema: "aten::l1_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
  doc: "The absolute difference, averaged unless asked otherwise.",
  meta: ({ self, target, reduction }) => lossSpec("l1_loss", [self, target], reduction, false),
  decompose: ({ self, target, reduction }) => reduceLoss("l1_loss", self.sub(target).abs(), reduction),
  samples: (g) => lossSamples(g),
});

/** The distance of two tensors, of which one may be bool. */
function distance(self: TensorValue, target: TensorValue): TensorValue {
  return difference(self, target).abs();
}

/** self - target, of which one may be bool. */
function difference(self: TensorValue, target: TensorValue): TensorValue {
  if (target.dtype === bool && self.dtype !== bool) return self.sub(target.to(self.dtype));
  if (self.dtype === bool && target.dtype !== bool) return self.to(target.dtype).sub(target);
  return self.sub(target);
}

/** The square of a distance where it is at most `limit`; beyond, where it is not looked at, finite, so that its gradient is 0 and not NaN. */
function squared(z: TensorValue, limit: number): TensorValue {
  const near = z.clampMax(limit);
  return near.mul(near);
}

defineOp({
  schema: "aten::smooth_l1_loss(Tensor self, Tensor target, int reduction=1, float beta=1.0) -> Tensor",
  doc: "Quadratic where the difference is below beta, linear beyond.",
  meta: ({ self, target, reduction, beta }) => {
    if (beta < 0) throw new RangeError(`smooth_l1_loss: beta must not be negative, got ${beta}`);
    return lossSpec("smooth_l1_loss", [self, target], reduction);
  },
  decompose: ({ self, target, reduction, beta }, F) => {
    const z = distance(self, target);
    if (beta === 0) return reduceLoss("smooth_l1_loss", z, reduction);
    const losses = F.where(z.lt(beta), squared(z, beta).mul(0.5 / beta), z.sub(0.5 * beta));
    return reduceLoss("smooth_l1_loss", losses, reduction);
  },
  samples: (g) => [...lossSamples(g), ...lossSamples(g, { beta: 0.5 })],
});

defineOp({
  schema: "aten::huber_loss(Tensor self, Tensor target, int reduction=1, float delta=1.0) -> Tensor",
  doc: "Half the square where the difference is below delta, linear beyond.",
  meta: ({ self, target, reduction, delta }) => {
    if (delta <= 0) throw new RangeError(`huber_loss: delta must be positive, got ${delta}`);
    if (!self.dtype.isFloat) {
      throw new TypeError(`huber_loss: self must be floating point, got ${self.dtype.name}; convert with .to(float32)`);
    }
    return { ...lossSpec("huber_loss", [self, target], reduction), dtype: self.dtype };
  },
  decompose: ({ self, target, reduction, delta }, F) => {
    const z = distance(self, target);
    const losses = F.where(z.le(delta), squared(z, delta).mul(0.5), z.sub(0.5 * delta).mul(delta));
    return reduceLoss("huber_loss", losses.to(self.dtype), reduction);
  },
  samples: (g) => [...lossSamples(g), ...lossSamples(g, { delta: 0.5 })],
});

definePointwise({
  schema: "tessera::binary_cross_entropy_terms(Tensor input, Tensor target) -> Tensor",
  doc: "-(t·log(x) + (1 - t)·log(1 - x)), logarithms bounded by -100.",
  body: (ops, given) => {
    const input = required(given.input, "probability"), target = required(given.target, "target");
    const logX = ops.maximum(ops.log(input), -100);
    const logNotX = ops.maximum(ops.log1p(ops.neg(input)), -100);
    return ops.sub(ops.mul(ops.sub(target, 1), logNotX), ops.mul(target, logX));
  },
  vjp: ({ input, target }, { grad }) => ({
    input: () => {
      const spread = input.mul(input.neg().add(1)).clampMin(1e-12);
      return grad.mul(input.sub(target)).div(spread).sumToSize(input.shape);
    },
    target: () => {
      const logX = input.log().clampMin(-100), logNotX = input.neg().log1p().clampMin(-100);
      return grad.mul(logNotX.sub(logX)).sumToSize(target.shape);
    },
  }),
  samples: (g) => [
    {
      args: {
        input: g.tensor([3, 4], { values: "uniform", low: 0.1, high: 0.9 }),
        target: g.tensor([3, 4], { values: "uniform", low: 0, high: 1 }),
      },
    },
  ],
});

defineOp({
  schema: "aten::binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor",
  doc: "Cross entropy of probabilities with binary targets.",
  meta: ({ self, target, weight, reduction }) => {
    broadcastShapes("binary_cross_entropy", self.shape, target.shape);
    if (
      weight !== null && !sameShape(broadcastShapes("binary_cross_entropy", self.shape, weight.shape), self.shape)
    ) {
      throw new TypeError(
        `binary_cross_entropy: weight ${shapeToText(weight.shape)} does not broadcast to self ${
          shapeToText(self.shape)
        }`,
      );
    }
    if (self.dtype !== target.dtype) {
      throw new TypeError(
        `binary_cross_entropy: self is ${self.dtype.name}, target ${target.dtype.name}; they must be the same`,
      );
    }
    return lossSpec("binary_cross_entropy", [self, target, weight], reduction);
  },
  decompose: ({ self, target, weight, reduction }, F) => {
    const terms = F.binaryCrossEntropyTerms(self, target);
    return reduceLoss("binary_cross_entropy", weight === null ? terms : terms.mul(weight), reduction);
  },
  samples: (g) => {
    const self = g.tensor([3, 4], { values: "uniform", low: 0.1, high: 0.9 });
    const target = g.tensor([3, 4], { values: "uniform", low: 0, high: 1 });
    return [
      { args: { self, target, reduction: 0 } },
      { args: { self, target } },
      { args: { self, target, weight: g.tensor([4]), reduction: 2 } },
    ];
  },
});

definePointwise({
  schema: "tessera::softplus_of_negative(Tensor input) -> Tensor",
  doc: "log(1 + exp(-x)), without overflow.",
  promotion: "float",
  body: (ops, { input }) => ops.add(ops.log1p(ops.exp(ops.neg(ops.abs(input)))), ops.maximum(ops.neg(input), 0)),
  vjp: ({ input }, { grad }) => ({ input: () => grad.mul(input.sigmoid().sub(1)) }),
  samples: (g) => [{ args: { input: g.tensor([3, 4]) } }],
});

defineOp({
  schema:
    "aten::binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=1) -> Tensor",
  doc: "Cross entropy of sigmoid(self) with binary targets, computed from the logits.",
  meta: ({ self, target, weight, posWeight, reduction }) => {
    const where = "binary_cross_entropy_with_logits";
    const all = [self, target, weight, posWeight].filter((t) => t !== null);
    if (!sameShape(broadcastShapes(where, ...all.map((t) => t.shape)), target.shape)) {
      throw new TypeError(
        `${where}: everything must broadcast to the target ${shapeToText(target.shape)}, got ${
          all.map((t) => shapeToText(t.shape)).join(", ")
        }`,
      );
    }
    return lossSpec(where, all, reduction);
  },
  decompose: ({ self, target, weight, posWeight, reduction }, F) => {
    const soft = F.softplusOfNegative(self);
    const scaled = posWeight === null ? soft : soft.mul(target.mul(posWeight.sub(1)).add(1));
    const losses = target.neg().add(1).mul(self).add(scaled);
    return reduceLoss("binary_cross_entropy_with_logits", weight === null ? losses : losses.mul(weight), reduction);
  },
  samples: (g) => [
    ...lossSamples(g),
    { args: { self: g.tensor([3, 4]), target: g.tensor([3, 4]), weight: g.tensor([4]), posWeight: g.tensor([4]) } },
  ],
});

defineOp({
  schema: "aten::kl_div(Tensor self, Tensor target, int reduction=1, *, bool log_target=False) -> Tensor",
  doc: "target · (log(target) - self), where self holds logarithms of probabilities.",
  meta: ({ self, target, reduction }) => {
    if (self.dtype.isIntegral || target.dtype.isIntegral) {
      throw new TypeError(`kl_div: needs floating point tensors, got ${self.dtype.name} and ${target.dtype.name}`);
    }
    return lossSpec("kl_div", [self, target], reduction);
  },
  decompose: ({ self, target, reduction, logTarget }) => {
    const losses = logTarget ? target.exp().mul(target.sub(self)) : target.xlogy(target).sub(target.mul(self));
    return reduceLoss("kl_div", losses, reduction);
  },
  samples: (g) => {
    const target = g.tensor([3, 4], { values: "uniform", low: 0.1, high: 1 });
    return [
      { args: { self: g.tensor([3, 4]), target } },
      { args: { self: g.tensor([3, 4]), target, reduction: 0 } },
      { args: { self: g.tensor([3, 4]), target: g.tensor([3, 4]), reduction: 2, logTarget: true } },
    ];
  },
});
