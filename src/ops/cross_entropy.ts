/**
 * Negative log likelihood and cross entropy.
 *
 * The logarithm of the sum of exponentials is kept for each row, never the log-probabilities of all classes: the forward pass reads the
 * logits once, the backward pass rebuilds softmax from them and subtracts the target. Classes are picked by an indexed load whose
 * gradient compares the class index with the target, so that nothing is scattered. Mirrors ATen's LossNLL.cpp.
 */
import { computeType, int64, uint8 } from "../core/mod.ts";
import { type LoopInput, ops, pointwise, type Value } from "../loops/mod.ts";
import { asExpr, type Expr, exprOf, sameShape, shapeToText, type Size, sizeEq } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { reducedLossShape, reduceLoss, reductionKind } from "./loss.ts";
import type { TensorValue } from "./value.ts";

/** The target class at an index, and whether it counts. */
function targetAt(
  target: LoopInput,
  at: readonly Expr[],
  ignoreIndex: Size,
): { readonly label: Value; readonly valid: Value } {
  const label = ops.cast(target.load(at), int64);
  return { label, valid: ops.ne(label, ops.index(exprOf(ignoreIndex))) };
}

/** Position of the class dimension. */
function classAxis(rank: number): number {
  return rank === 1 ? 0 : 1;
}

function checkTarget(where: string, self: MetaInput, target: MetaInput): void {
  const axis = classAxis(self.shape.length);
  const expected = self.shape.filter((_, d) => d !== axis);
  if (self.shape.length === 0 || !sameShape(target.shape, expected)) {
    throw new TypeError(
      `${where}: target ${shapeToText(target.shape)} does not fit the input ${shapeToText(self.shape)}: needs ${
        shapeToText(expected)
      }, one class for each position`,
    );
  }
  if (target.dtype !== int64 && target.dtype !== uint8) {
    throw new TypeError(
      `${where}: target must hold classes as int64, got ${target.dtype.name}; convert with .to(int64)`,
    );
  }
}

function checkWeight(where: string, self: MetaInput, weight: MetaInput | null): void {
  const classes = self.shape[classAxis(self.shape.length)] ?? 1;
  if (weight !== null && weight.dtype !== self.dtype) {
    throw new TypeError(`${where}: weight is ${weight.dtype.name}, the input ${self.dtype.name}: convert one of them`);
  }
  if (weight !== null && (weight.shape.length !== 1 || !sizeEq(weight.shape[0] ?? 0, classes))) {
    throw new TypeError(`${where}: weight ${shapeToText(weight.shape)} must be [${classes}], one for each class`);
  }
}

defineOp({
  schema: "tessera::pick_class(Tensor input, Tensor target, SymInt ignore_index) -> Tensor",
  doc: "The element of the target's class at each position; 0 where the target is ignored.",
  meta: ({ input, target }) => {
    checkTarget("pick_class", input, target);
    return { shape: target.shape, dtype: input.dtype };
  },
  loop: ({ input, target, ignoreIndex }, out) =>
    pointwise(out.shape, (index) => {
      const { label, valid } = targetAt(target, index, ignoreIndex);
      const axis = classAxis(input.shape.length);
      const at = ops.indirect(label, input.shape[axis] ?? asExpr(1));
      return ops.masked(valid, input.load([...index.slice(0, axis), at, ...index.slice(axis)]), 0);
    }),
  vjp: ({ input, target, ignoreIndex }, { grad, F }) => ({
    input: () => F.pickClassGrad(grad, target, input.shape[classAxis(input.ndim)] ?? 1, ignoreIndex),
  }),
  samples: (g) => [
    { args: { input: g.tensor([3, 5]), target: g.indices([3], 5), ignoreIndex: 2 } },
    { name: "planes", args: { input: g.tensor([2, 3, 4]), target: g.indices([2, 4], 3), ignoreIndex: -100 } },
  ],
});

defineOp({
  schema: "tessera::pick_class_grad(Tensor grad, Tensor target, SymInt classes, SymInt ignore_index) -> Tensor",
  doc: "Puts each gradient at its target's class, zeros elsewhere.",
  meta: ({ grad, target, classes }) => {
    if (!sameShape(grad.shape, target.shape)) {
      throw new TypeError(
        `pick_class_grad: grad ${shapeToText(grad.shape)} and target ${shapeToText(target.shape)} must have one shape`,
      );
    }
    const axis = grad.shape.length === 0 ? 0 : 1;
    return { shape: [...grad.shape.slice(0, axis), classes, ...grad.shape.slice(axis)], dtype: grad.dtype };
  },
  loop: ({ grad, target, ignoreIndex }, out) =>
    pointwise(out.shape, (index) => {
      const axis = classAxis(index.length);
      const at = index.filter((_, d) => d !== axis);
      const { label, valid } = targetAt(target, at, ignoreIndex);
      const hit = ops.bitwiseAnd(valid, ops.eq(label, ops.index(index[axis] ?? asExpr(0))));
      return ops.where(hit, grad.load(at), 0);
    }),
  vjp: ({ target, ignoreIndex }, { grad, F }) => ({ grad: () => F.pickClass(grad, target, ignoreIndex) }),
  samples: (g) => [{ args: { grad: g.tensor([3]), target: g.indices([3], 5), classes: 5, ignoreIndex: 2 } }],
});

defineOp({
  schema: "tessera::pick_weight(Tensor weight, Tensor target, SymInt ignore_index) -> Tensor",
  doc: "The weight of each target's class; 0 where the target is ignored.",
  meta: ({ weight, target }) => ({ shape: target.shape, dtype: weight.dtype }),
  loop: ({ weight, target, ignoreIndex }, out) =>
    pointwise(out.shape, (index) => {
      const { label, valid } = targetAt(target, index, ignoreIndex);
      return ops.masked(valid, weight.load([ops.indirect(label, weight.shape[0] ?? asExpr(1))]), 0);
    }),
  samples: (g) => [
    { args: { weight: g.tensor([5], { requiresGrad: false }), target: g.indices([3], 5), ignoreIndex: 2 } },
  ],
});

/** The weight of all targets together: what a mean divides by. */
function totalWeight(target: TensorValue, weight: TensorValue | null, ignoreIndex: Size, F: Functional): TensorValue {
  return weight === null ? target.ne(ignoreIndex).sum() : F.pickWeight(weight, target, ignoreIndex).sum();
}

/** Reduces losses of positions; ignored ones are 0 already and do not count. */
function reducePositions(
  where: string,
  losses: TensorValue,
  reduction: Size,
  total: () => TensorValue,
): TensorValue {
  return reductionKind(where, reduction) === "mean" ? losses.sum().div(total()) : reduceLoss(where, losses, reduction);
}

/** -input[class] · weight[class] at each position. */
function nllLosses(
  self: TensorValue,
  target: TensorValue,
  weight: TensorValue | null,
  ignoreIndex: Size,
  F: Functional,
): TensorValue {
  const picked = F.pickClass(self, target, ignoreIndex).neg();
  return weight === null ? picked : picked.mul(F.pickWeight(weight, target, ignoreIndex));
}

function nllSpec(
  where: string,
  self: MetaInput,
  target: MetaInput,
  weight: MetaInput | null,
  reduction: Size,
): TensorSpec {
  checkTarget(where, self, target);
  checkWeight(where, self, weight);
  if (!self.dtype.isFloat) {
    throw new TypeError(`${where}: needs a floating point input, got ${self.dtype.name}; convert with .to(float32)`);
  }
  return { shape: reducedLossShape(where, target.shape, reduction), dtype: self.dtype };
}

defineOp({
  schema:
    "aten::nll_loss_nd(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor",
  doc: "Minus the log-probability of the target class; input [N, C, …] holds logarithms of probabilities.",
  meta: ({ self, target, weight, reduction }) => nllSpec("nll_loss", self, target, weight, reduction),
  decompose: ({ self, target, weight, reduction, ignoreIndex }, F) => {
    const losses = nllLosses(self, target, weight, ignoreIndex, F);
    return reducePositions("nll_loss", losses, reduction, () => totalWeight(target, weight, ignoreIndex, F));
  },
  samples: (g) => [
    ...[0, 1, 2].map((reduction) => ({ args: { self: g.tensor([4, 5]), target: g.indices([4], 5), reduction } })),
    {
      name: "weights",
      args: {
        self: g.tensor([2, 3, 4]),
        target: g.indices([2, 4], 3),
        weight: g.tensor([3], { values: [1, 2, 3], requiresGrad: false }),
        ignoreIndex: 1,
      },
    },
  ],
});

defineOp({
  schema:
    "aten::nll_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor",
  doc: "nll_loss_nd for input [N, C] or [C].",
  meta: ({ self, target, weight, reduction }) => nllSpec("nll_loss", self, target, weight, reduction),
  decompose: ({ self, target, weight, reduction, ignoreIndex }, F) =>
    F.nllLossNd(self, target, weight, reduction, ignoreIndex),
  samples: (g) => [{ args: { self: g.tensor([4, 5]), target: g.indices([4], 5) } }],
});

defineOp({
  schema:
    "aten::nll_loss2d(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor",
  doc: "nll_loss_nd for images, [N, C, H, W].",
  meta: ({ self, target, weight, reduction }) => nllSpec("nll_loss2d", self, target, weight, reduction),
  decompose: ({ self, target, weight, reduction, ignoreIndex }, F) =>
    F.nllLossNd(self, target, weight, reduction, ignoreIndex),
  samples: (g) => [{ args: { self: g.tensor([2, 3, 2, 2]), target: g.indices([2, 2, 2], 3) } }],
});

defineOp({
  schema:
    "aten::nll_loss_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) -> (Tensor output, Tensor total_weight)",
  doc: "nll_loss and the total weight that a mean divides by.",
  meta: ({ self, target, weight, reduction }) => [
    nllSpec("nll_loss_forward", self, target, weight, reduction),
    { shape: [], dtype: self.dtype },
  ],
  decompose: ({ self, target, weight, reduction, ignoreIndex }, F) => [
    F.nllLossNd(self, target, weight, reduction, ignoreIndex),
    totalWeight(target, weight, ignoreIndex, F).to(self.dtype),
  ],
  samples: (g) => [
    { args: { self: g.tensor([4, 5]), target: g.indices([4], 5), weight: null, reduction: 1, ignoreIndex: -100 } },
  ],
});

defineOp({
  schema:
    "aten::nll_loss_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index, Tensor total_weight) -> Tensor",
  doc: "The gradient of nll_loss_forward.",
  meta: ({ self, target, weight }) => ({
    shape: self.shape,
    dtype: nllSpec("nll_loss_backward", self, target, weight, 0).dtype,
  }),
  decompose: ({ gradOutput, self, target, weight, reduction, ignoreIndex, totalWeight: total }, F) => {
    const mean = reductionKind("nll_loss_backward", reduction) === "mean";
    const scaled = (mean ? gradOutput.div(total) : gradOutput).neg().expand(target.shape);
    const weighted = weight === null ? scaled : scaled.mul(F.pickWeight(weight, target, ignoreIndex));
    return F.pickClassGrad(weighted, target, self.shape[classAxis(self.ndim)] ?? 1, ignoreIndex);
  },
  samples: (g) => [
    {
      args: {
        gradOutput: g.tensor([]),
        self: g.tensor([4, 5], { requiresGrad: false }),
        target: g.indices([4], 5),
        weight: null,
        reduction: 1,
        ignoreIndex: -100,
        totalWeight: g.tensor([], { values: [4], requiresGrad: false }),
      },
    },
  ],
});

/** Cross entropy with probabilities as target. */
function probabilityLoss(
  args: {
    readonly self: TensorValue;
    readonly target: TensorValue;
    readonly weight: TensorValue | null;
    readonly reduction: Size;
    readonly labelSmoothing: number;
  },
): TensorValue {
  const { self, target, weight, reduction, labelSmoothing } = args;
  const axis = classAxis(self.ndim);
  const classes = self.shape[axis] ?? 1;
  const log = self.logSoftmax(axis);
  const smooth = labelSmoothing === 0 ? target : target.mul(1 - labelSmoothing).add(labelSmoothing / Number(classes));
  const spread = [classes, ...new Array<number>(self.ndim - axis - 1).fill(1)];
  const terms = log.mul(weight === null ? smooth : smooth.mul(weight.reshape(spread)));
  const losses = terms.sum([axis]).neg();
  return reduceLoss("cross_entropy_loss", losses, reduction);
}

defineOp({
  schema:
    "aten::cross_entropy_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100, float label_smoothing=0.0) -> Tensor",
  doc: "Cross entropy of softmax(self) along the classes [N, C, …] with classes [N, …] or probabilities [N, C, …].",
  meta: ({ self, target, weight, reduction, ignoreIndex, labelSmoothing }) => {
    const where = "cross_entropy_loss";
    if (labelSmoothing < 0 || labelSmoothing > 1) {
      throw new RangeError(`${where}: label_smoothing must be between 0 and 1, got ${labelSmoothing}`);
    }
    checkWeight(where, self, weight);
    if (target.shape.length === self.shape.length && sameShape(self.shape, target.shape)) {
      if (!target.dtype.isFloat) {
        throw new TypeError(`${where}: a target of probabilities must be floating point, got ${target.dtype.name}`);
      }
      if (Number(ignoreIndex) >= 0) {
        throw new TypeError(`${where}: ignore_index ${ignoreIndex} has no meaning with a target of probabilities`);
      }
      const axis = classAxis(self.shape.length);
      return {
        shape: reducedLossShape(where, self.shape.filter((_, d) => d !== axis), reduction),
        dtype: self.dtype,
      };
    }
    return nllSpec(where, self, target, weight, reduction);
  },
  decompose: (args, F) => {
    const { self, target, weight, reduction, ignoreIndex, labelSmoothing } = args;
    if (target.dtype.isFloat) return probabilityLoss(args);
    const axis = classAxis(self.ndim);
    const x = self.to(computeType(self.dtype));
    const shifted = x.sub(x.amax([axis], true).detach());
    const logSum = shifted.exp().sum([axis]).log();
    const valid = target.ne(ignoreIndex);
    const w = weight === null ? null : F.pickWeight(weight, target, ignoreIndex).to(x.dtype);
    const nll = logSum.sub(F.pickClass(shifted, target, ignoreIndex));
    // Ignored positions give 0, also where the logits are not finite.
    let losses = F.where(valid, w === null ? nll : nll.mul(w), 0);
    if (labelSmoothing > 0) {
      const classes = self.shape[axis] ?? 1;
      const spread = [classes, ...new Array<number>(self.ndim - axis - 1).fill(1)];
      const all = weight === null
        ? logSum.mul(classes).sub(shifted.sum([axis]))
        : logSum.unsqueeze(axis).sub(shifted).mul(weight.to(x.dtype).reshape(spread)).sum([axis]);
      const smooth = F.where(valid, all, 0).mul(labelSmoothing / Number(classes));
      losses = losses.mul(1 - labelSmoothing).add(smooth);
    }
    const total = (): TensorValue => weight === null ? valid.sum() : totalWeight(target, weight, ignoreIndex, F);
    return reducePositions("cross_entropy_loss", losses, reduction, total).to(self.dtype);
  },
  samples: (g) => [
    ...[0, 1, 2].map((reduction) => ({ args: { self: g.tensor([4, 5]), target: g.indices([4], 5), reduction } })),
    {
      name: "weights, ignored class, smoothing",
      args: {
        self: g.tensor([2, 3, 4]),
        target: g.indices([2, 4], 3),
        weight: g.tensor([3], { values: [1, 2, 3], requiresGrad: false }),
        ignoreIndex: 1,
        labelSmoothing: 0.1,
      },
    },
    { name: "smoothing", args: { self: g.tensor([4, 5]), target: g.indices([4], 5), labelSmoothing: 0.2 } },
    { name: "one sample", args: { self: g.tensor([5]), target: g.indices([], 5) } },
    {
      name: "probabilities",
      args: {
        self: g.tensor([2, 3, 2]),
        target: g.tensor([2, 3, 2], { values: "uniform", low: 0, high: 1 }),
        weight: g.tensor([3], { values: [1, 2, 3], requiresGrad: false }),
        labelSmoothing: 0.1,
      },
    },
  ],
});
