/**
 * Losses that compare pairs, and losses over margins: ranking, embedding, triplet, hinge, Poisson.
 *
 * Each is a pointwise distance and a reduction (0 none, 1 mean, 2 sum), written with other operators in the order in which ATen applies them, so that half
 * types round where PyTorch's do. Mirrors `Loss.cpp`, `LossMultiMargin.cpp` and `LossMultiLabelMargin.cpp` of ATen.
 */
import { bool, getDefaultDtype, int64 } from "../core/mod.ts";
import { broadcastShapes, sameShape, shapeToText, type Size, sizeEq } from "../symbolic/mod.ts";
import { promotedDtype, promotionOperand } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { castGrad } from "./gradient.ts";
import { elementwiseStride } from "./layout.ts";
import { lossSpec, reducedLossShape, reduceLoss, reductionKind } from "./loss.ts";
import type { Sample, SampleGenerator, TensorSample } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** Integers as the default float, because a margin is a float. */
function asFloat(x: TensorValue): TensorValue {
  return x.dtype.isIntegral ? x.to(getDefaultDtype()) : x;
}

/** A loss of tensors that broadcast; integers give the default float. */
function floatLossSpec(where: string, inputs: readonly MetaInput[], reduction: Size): TensorSpec {
  if (inputs.every((i) => i.dtype === bool)) {
    throw new TypeError(`${where}: needs numbers, got bool; convert with .to(float32)`);
  }
  const shape = broadcastShapes(where, ...inputs.map((i) => i.shape));
  const dtype = promotedDtype(where, inputs.map(promotionOperand), "float");
  const isReduced = reductionKind(where, reduction) !== "none";
  return isReduced ? { shape: [], dtype } : { shape, dtype, stride: elementwiseStride(shape, inputs) };
}

/** A target of -1 and 1. */
function signs(g: SampleGenerator, shape: readonly number[]): TensorSample {
  const n = shape.reduce((a, b) => a * b, 1);
  return g.tensor(shape, { values: Array.from({ length: n }, (_, i) => i % 3 === 0 ? -1 : 1), requiresGrad: false });
}

const reductions = (args: (g: SampleGenerator) => Sample["args"]) => (g: SampleGenerator): Sample[] =>
  g.dtype.isFloat ? [0, 1, 2].map((reduction) => ({ args: { ...args(g), reduction } })) : [];

defineOp({
  schema:
    "aten::margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=1) -> Tensor",
  doc:
    "max(0, margin - target · (input1 - input2)): input1 should rank higher where target is 1, lower where it is -1.",
  meta: ({ input1, input2, target, reduction }) => {
    if (input1.shape.length !== input2.shape.length || input1.shape.length !== target.shape.length) {
      throw new TypeError(
        `margin_ranking_loss: input1 ${shapeToText(input1.shape)}, input2 ${shapeToText(input2.shape)} and target ${
          shapeToText(target.shape)
        } must have the same number of dimensions`,
      );
    }
    return floatLossSpec("margin_ranking_loss", [input1, input2, target], reduction);
  },
  decompose: ({ input1, input2, target, margin, reduction }) => {
    const signed = target.neg().mul(input1.sub(input2));
    return reduceLoss("margin_ranking_loss", asFloat(signed).add(margin).clampMin(0), reduction);
  },
  samples: reductions((g) => ({
    input1: g.tensor([3, 4]),
    input2: g.tensor([3, 4]),
    target: signs(g, [3, 4]),
    margin: 0.3,
  })),
});

defineOp({
  schema:
    "aten::cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=1) -> Tensor",
  doc: "1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1.",
  meta: ({ input1, input2, target, reduction }) => {
    const rank = target.shape.length;
    if (rank > 1 || input1.shape.length !== rank + 1 || input2.shape.length !== rank + 1) {
      throw new TypeError(
        `cosine_embedding_loss: needs vectors with a 0-dim target or matrices with a vector of targets, got ${
          shapeToText(input1.shape)
        }, ${shapeToText(input2.shape)} and target ${shapeToText(target.shape)}`,
      );
    }
    const rows = broadcastShapes("cosine_embedding_loss", input1.shape, input2.shape).slice(0, rank);
    const dtype = promotedDtype("cosine_embedding_loss", [input1, input2].map(promotionOperand), "float");
    broadcastShapes("cosine_embedding_loss", rows, target.shape);
    return { shape: reducedLossShape("cosine_embedding_loss", rows, reduction), dtype };
  },
  decompose: ({ input1, input2, target, margin, reduction }, F) => {
    const dim = target.ndim;
    const a = asFloat(input1), b = asFloat(input2);
    const tiny = 1e-12;
    const length = a.mul(a).sum([dim]).add(tiny).mul(b.mul(b).sum([dim]).add(tiny)).sqrt();
    const cos = a.mul(b).sum([dim]).div(length);
    const near = F.where(target.eq(1), cos.neg().add(1), 0);
    const far = F.where(target.eq(-1), cos.sub(margin).clampMin(0), 0);
    return reduceLoss("cosine_embedding_loss", near.add(far), reduction);
  },
  samples: reductions((g) => ({
    input1: g.tensor([3, 4]),
    input2: g.tensor([3, 4]),
    target: signs(g, [3]),
    margin: 0.1,
  })),
});

defineOp({
  schema: "aten::hinge_embedding_loss(Tensor self, Tensor target, float margin=1.0, int reduction=1) -> Tensor",
  doc: "self where target is 1, max(0, margin - self) where it is -1.",
  meta: ({ self, target, reduction }) => {
    if (self.dtype.isIntegral && reductionKind("hinge_embedding_loss", reduction) === "mean") {
      throw new TypeError(
        `hinge_embedding_loss: a mean needs floating point numbers, self is ${self.dtype.name}; convert with .to(float32)`,
      );
    }
    if (self.dtype === bool) {
      throw new TypeError("hinge_embedding_loss: self must hold numbers, got bool; convert with .to(float32)");
    }
    return floatLossSpec("hinge_embedding_loss", [self, target], reduction);
  },
  decompose: ({ self, target, margin, reduction }, F) => {
    const x = asFloat(self);
    const apart = F.where(target.ne(1), x.rsub(margin).clampMin(0), 0);
    const close = F.where(target.ne(-1), x, 0);
    return reduceLoss("hinge_embedding_loss", apart.add(close), reduction);
  },
  samples: reductions((g) => ({ self: g.tensor([3, 4]), target: signs(g, [3, 4]), margin: 0.7 })),
});

defineOp({
  schema:
    "aten::triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float margin=1.0, float p=2.0, float eps=1e-06, bool swap=False, int reduction=1) -> Tensor",
  doc:
    "max(0, margin + d(anchor, positive) - d(anchor, negative)); swap takes the nearer of anchor and positive to negative.",
  meta: ({ anchor, positive, negative, reduction }) => {
    const where = "triplet_margin_loss";
    if (anchor.shape.length !== positive.shape.length || anchor.shape.length !== negative.shape.length) {
      throw new TypeError(
        `${where}: anchor ${shapeToText(anchor.shape)}, positive ${shapeToText(positive.shape)} and negative ${
          shapeToText(negative.shape)
        } must have the same number of dimensions`,
      );
    }
    const shape = broadcastShapes(where, anchor.shape, positive.shape, negative.shape);
    const dtype = promotedDtype(where, [anchor, positive, negative].map(promotionOperand), "float");
    return { shape: reducedLossShape(where, shape.slice(0, -1), reduction), dtype };
  },
  decompose: ({ anchor, positive, negative, margin, p, eps, swap, reduction }, F) => {
    const near = F.pairwiseDistance(anchor, positive, p, eps);
    let far = F.pairwiseDistance(anchor, negative, p, eps);
    if (swap) far = far.minimum(F.pairwiseDistance(positive, negative, p, eps));
    return reduceLoss("triplet_margin_loss", near.add(margin).sub(far).clampMin(0), reduction);
  },
  samples: reductions((g) => ({
    anchor: g.tensor([3, 4]),
    positive: g.tensor([3, 4]),
    negative: g.tensor([3, 4]),
    margin: 1.5,
    swap: true,
  })),
});

defineOp({
  schema:
    "aten::poisson_nll_loss(Tensor input, Tensor target, bool log_input, bool full, float eps, int reduction) -> Tensor",
  doc: "The negative log likelihood of counts under Poisson distributions; full adds Stirling's term.",
  meta: ({ input, target, logInput, full, reduction }) => {
    if ((full && target.dtype === bool) || (!logInput && input.dtype === bool)) {
      throw new TypeError("poisson_nll_loss: needs numbers, got bool; convert with .to(float32)");
    }
    return floatLossSpec("poisson_nll_loss", [input, target], reduction);
  },
  decompose: ({ input, target, logInput, full, eps, reduction }, F) => {
    const x = asFloat(input);
    let loss = logInput ? x.exp().sub(target.mul(x)) : x.sub(target.mul(x.add(eps).log()));
    if (full) {
      const stirling = target.mul(target.log()).sub(target).add(target.mul(2 * Math.PI).log().mul(0.5));
      loss = loss.add(F.where(target.le(1), 0, stirling));
    }
    return reduceLoss("poisson_nll_loss", loss, reduction);
  },
  samples: (g) =>
    g.dtype.isFloat
      ? [[true, false], [true, true], [false, false]].map(([logInput, full], reduction) => ({
        args: {
          input: g.tensor([3, 4], { values: "uniform", low: 0.2, high: 2 }),
          target: g.tensor([3, 4], { values: "uniform", low: 1.2, high: 4 }),
          logInput: logInput === true,
          full: full === true,
          eps: 1e-8,
          reduction,
        },
      }))
      : [],
});

defineOp({
  schema: "aten::soft_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
  doc: "log(1 + exp(-target · self)).",
  meta: ({ self, target, reduction }) => {
    if (!sameShape(broadcastShapes("soft_margin_loss", self.shape, target.shape), self.shape)) {
      throw new TypeError(
        `soft_margin_loss: target ${shapeToText(target.shape)} does not broadcast to self ${shapeToText(self.shape)}`,
      );
    }
    if (!self.dtype.isFloat) {
      throw new TypeError(`soft_margin_loss: self must be floating point, got ${self.dtype.name}`);
    }
    return { ...lossSpec("soft_margin_loss", [self, target], reduction), dtype: self.dtype };
  },
  decompose: ({ self, target, reduction }) =>
    reduceLoss("soft_margin_loss", self.neg().mul(target).exp().log1p().to(self.dtype), reduction),
  samples: reductions((g) => ({ self: g.tensor([3, 4]), target: signs(g, [3, 4]) })),
});

/** Classes of a margin loss: a vector is one row. @throws {TypeError} if the target does not fit. */
function marginSpec(
  where: string,
  self: MetaInput,
  target: MetaInput,
  targetRank: number,
  reduction: Size,
): TensorSpec {
  if (!self.dtype.isFloat) throw new TypeError(`${where}: needs floating point scores, got ${self.dtype.name}`);
  if (target.dtype !== int64) throw new TypeError(`${where}: target must be int64, got ${target.dtype.name}`);
  if (self.shape.length > 2 || target.shape.length > Math.max(targetRank, 1)) {
    throw new TypeError(
      `${where}: needs scores [rows, classes] or [classes], got ${shapeToText(self.shape)} and target ${
        shapeToText(target.shape)
      }`,
    );
  }
  // One class a row, or a list of classes as long as the scores.
  const expected = targetRank === 2 ? self.shape : self.shape.slice(0, -1);
  const fits = sameShape(target.shape, expected) ||
    (targetRank === 1 && self.shape.length < 2 && target.shape.every((s) => sizeEq(s, 1)));
  const isOne = targetRank === 2 && self.shape.length === 0 && target.shape.every((s) => sizeEq(s, 1));
  if (!fits && !isOne) {
    throw new TypeError(
      `${where}: scores ${shapeToText(self.shape)} need a target ${shapeToText(expected)}, got ${
        shapeToText(target.shape)
      }`,
    );
  }
  if (self.shape.at(-1) === 0) throw new TypeError(`${where}: scores ${shapeToText(self.shape)} have no classes`);
  const rows = self.shape.length === 2 ? self.shape.slice(0, 1) : targetRank === 1 ? target.shape : [];
  return { shape: reducedLossShape(where, rows, reduction), dtype: self.dtype };
}

defineOp({
  schema:
    "aten::multi_margin_loss(Tensor self, Tensor target, Scalar p=1, Scalar margin=1, Tensor? weight=None, int reduction=1) -> Tensor",
  doc: "The mean over the wrong classes of max(0, margin - self[target] + self[class])^p, weighted by the right class.",
  meta: ({ self, target, p, weight, reduction }) => {
    if (Number(p) !== 1 && Number(p) !== 2) throw new RangeError(`multi_margin_loss: p must be 1 or 2, got ${p}`);
    if (weight !== null && weight.dtype !== self.dtype) {
      throw new TypeError(`multi_margin_loss: self is ${self.dtype.name}, weight ${weight.dtype.name}: convert one`);
    }
    const spec = marginSpec("multi_margin_loss", self, target, 1, reduction);
    const classes = self.shape.at(-1) ?? 1;
    if (weight !== null && (weight.shape.length !== 1 || !sizeEq(weight.shape[0] ?? 0, classes))) {
      throw new TypeError(
        `multi_margin_loss: weight ${shapeToText(weight.shape)} must be [${classes}], one for each class of self ${
          shapeToText(self.shape)
        }`,
      );
    }
    return spec;
  },
  decompose: ({ self, target, p, margin, weight, reduction }, F) => {
    const x = self.ndim === 2 ? self : self.reshape([1, -1]);
    const at = target.reshape([-1, 1]);
    const classes = x.shape[1] ?? 1;
    const gap = x.sub(x.gather(1, at)).add(Number(margin)).clampMin(0);
    let terms = Number(p) === 2 ? gap.mul(gap) : gap;
    if (weight !== null) terms = terms.mul(weight.indexSelect(0, at.reshape([-1])).unsqueeze(1));
    const wrong = at.ne(F.arange(classes, { device: self.device }));
    const rows = F.where(wrong, terms, 0).sum([1]).div(classes);
    return reduceLoss("multi_margin_loss", rows.view(self.ndim === 2 ? rows.shape : target.shape), reduction);
  },
  samples: (g) =>
    g.dtype.isFloat
      ? [
        { args: { self: g.tensor([3, 4]), target: g.indices([3], 4) } },
        { args: { self: g.tensor([3, 4]), target: g.indices([3], 4), p: 2, margin: 0.5, reduction: 0 } },
        { args: { self: g.tensor([3, 4]), target: g.indices([3], 4), weight: g.tensor([4]), reduction: 2 } },
        { args: { self: g.tensor([4]), target: g.indices([], 4) } },
      ]
      : [],
});

/** Which targets count (those before the first -1), the classes they name, and the losses of all rows. */
function multilabel(
  self: TensorValue,
  target: TensorValue,
  F: Functional,
): { readonly rows: TensorValue; readonly isTarget: TensorValue } {
  const x = self.ndim === 2 ? self : self.reshape([1, -1]);
  const named = self.ndim === 2 ? target : target.reshape([1, -1]);
  const valid = named.lt(0).cumsum(1).eq(0);
  const at = F.where(valid, named, 0);
  const isTarget = F.zerosLike(x).scatterAdd(1, at, valid.to(x.dtype)).gt(0);
  const margins = x.unsqueeze(1).sub(x.gather(1, at).unsqueeze(2)).add(1).clampMin(0);
  const counts = valid.unsqueeze(2).logicalAnd(isTarget.logicalNot().unsqueeze(1));
  const rows = F.where(counts, margins, 0).sum([1, 2]).div(x.shape[1] ?? 1);
  return { rows: self.ndim === 2 ? rows : rows.reshape([]), isTarget };
}

defineOp({
  schema: "aten::multilabel_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
  doc: "The mean over classes of max(0, 1 - self[target] + self[other]), for all targets before the first -1.",
  meta: ({ self, target, reduction }) => marginSpec("multilabel_margin_loss", self, target, 2, reduction),
  decompose: ({ self, target, reduction }, F) =>
    reduceLoss("multilabel_margin_loss", multilabel(self, target, F).rows, reduction),
  samples: (g) =>
    g.dtype.isFloat
      ? [0, 1, 2].map((reduction) => ({
        args: {
          self: g.tensor([2, 4]),
          target: g.tensor([2, 4], {
            dtype: g.indices([1], 1).dtype,
            values: [3, 0, -1, 1, 2, -1, 1, 0],
            requiresGrad: false,
          }),
          reduction,
        },
      }))
      : [],
});

defineOp({
  schema:
    "aten::multilabel_margin_loss_forward(Tensor self, Tensor target, int reduction) -> (Tensor output, Tensor is_target)",
  doc: "multilabel_margin_loss and which classes are targets.",
  meta: ({ self, target, reduction }) => [
    marginSpec("multilabel_margin_loss_forward", self, target, 2, reduction),
    { shape: target.shape, dtype: self.dtype },
  ],
  decompose: ({ self, target, reduction }, F) => {
    const { rows, isTarget } = multilabel(self, target, F);
    return [
      reduceLoss("multilabel_margin_loss_forward", rows, reduction),
      castGrad(isTarget, self).view(target.shape),
    ];
  },
  samples: (g) =>
    g.dtype.isFloat ? [{ args: { self: g.tensor([2, 3]), target: g.indices([2, 3], 3), reduction: 1 } }] : [],
});
