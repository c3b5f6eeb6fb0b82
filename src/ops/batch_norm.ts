/**
 * Batch and instance normalisation, with running statistics.
 *
 * `tessera::batch_norm_train` normalises by the batch's own statistics and returns them; the forms with running statistics compute new
 * ones functionally and copy them over the old, so that only those mutate, as their schemas say. In inference a batch norm
 * is one scale and one shift for each channel. Mirrors ATen's Normalization.cpp.
 */
import { computeType, uint8 } from "../core/mod.ts";
import { shapeToText, type Size, sizeEq, sizeIsZero, sizeProd, sizeSub } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type NamedArgs, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { preservedStride } from "./layout.ts";
import {
  checkParameterDtypes,
  normalizeOver,
  normInputGrad,
  type NormSums,
  perChannel,
  scaleAndShift,
  statDtype,
  toCompute,
} from "./normalization.ts";
import type { SampleArg, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** Checks channels and dtype. */
function checkBatchNorm(where: string, input: MetaInput, perChannelInputs: readonly (MetaInput | null)[]): void {
  const channels = input.shape[1];
  // PyTorch lets an empty vector pass.
  if (input.shape.length === 1 && input.shape[0] === 0) return;
  if (channels === undefined) {
    throw new TypeError(`${where}: needs at least 2 dimensions [N, C, …], got ${shapeToText(input.shape)}`);
  }
  for (const p of perChannelInputs) {
    if (p !== null && (p.shape.length !== 1 || !sizeEq(p.shape[0] ?? 0, channels))) {
      throw new TypeError(
        `${where}: weight, bias and running statistics must be [${channels}] for the input ${
          shapeToText(input.shape)
        }, got ${shapeToText(p.shape)}`,
      );
    }
  }
  if (!input.dtype.isFloat) {
    throw new TypeError(`${where}: needs a floating point tensor, got ${input.dtype.name}; convert with .to(float32)`);
  }
  checkParameterDtypes(where, input, perChannelInputs);
}

/** All dimensions but the channels'. */
function otherDims(rank: number): number[] {
  return Array.from({ length: rank }, (_, d) => d).filter((d) => d !== 1);
}

function statSpec(input: MetaInput, weight: MetaInput | null): TensorSpec {
  return { shape: [input.shape[1] ?? 1], dtype: statDtype(input, weight) };
}

function sameSpec(input: MetaInput): TensorSpec {
  return { shape: input.shape, dtype: input.dtype, stride: preservedStride(input) };
}

/** Inference: x · scale + shift, with one scale and one shift for each channel. */
function inference(
  input: TensorValue,
  weight: TensorValue | null,
  bias: TensorValue | null,
  mean: TensorValue,
  variance: TensorValue,
  eps: number,
): TensorValue {
  if (input.ndim < 2) return input.clone();
  const inverse = toCompute(variance).add(eps).rsqrt();
  const scale = weight === null ? inverse : inverse.mul(weight);
  const offset = toCompute(mean).mul(scale).neg();
  const shift = bias === null ? offset : offset.add(bias);
  const x = toCompute(input);
  return x.mul(perChannel(scale, input.ndim)).add(perChannel(shift, input.ndim)).to(input.dtype);
}

/** Gradients of a normalisation whose statistics are given as [C]. */
function batchNormGrads(
  input: TensorValue,
  weight: TensorValue | null,
  mean: TensorValue,
  rstd: TensorValue,
  grads: {
    readonly out: TensorValue | null;
    readonly mean: TensorValue | null;
    readonly rstd: TensorValue | null;
    readonly variance: TensorValue | null;
  },
): {
  readonly input: () => TensorValue;
  readonly weight: () => TensorValue | null;
  readonly bias: () => TensorValue | null;
} {
  const rank = input.ndim;
  const dims = otherDims(rank);
  const spread = (x: TensorValue | null): TensorValue | null => x === null ? null : perChannel(x, rank);
  const r = perChannel(rstd, rank);
  const scaled = (): TensorValue => toCompute(input).sub(perChannel(mean, rank)).mul(r);
  const g = grads.out === null ? null : toCompute(grads.out);
  // The sums over a channel are those of weight and bias, and its weight is a factor of what follows from them: the elements are read once for all.
  let known: NormSums | null = null;
  const sums = (grad: TensorValue): NormSums =>
    known ??= {
      ofGrad: grad.sum(dims, true),
      ofProduct: grad.mul(scaled()).sum(dims, true),
      weight: weight === null ? null : perChannel(toCompute(weight), rank),
    };
  const channels = [input.shape[1] ?? 1];
  return {
    input: () => {
      const all = { scaled: g, mean: spread(grads.mean), rstd: spread(grads.rstd), variance: spread(grads.variance) };
      return normInputGrad(all, scaled(), r, dims, g === null ? null : sums(g)).to(input.dtype);
    },
    weight: () => g === null ? null : sums(g).ofProduct.reshape(channels),
    bias: () => g === null ? null : sums(g).ofGrad.reshape(channels),
  };
}

function parameters(g: SampleGenerator): Record<string, SampleArg> {
  return { input: g.tensor([3, 2, 4]), weight: g.tensor([2]), bias: g.tensor([2]) };
}

function running(g: SampleGenerator): Record<string, SampleArg> {
  return {
    runningMean: g.tensor([2], { requiresGrad: false }),
    runningVar: g.tensor([2], { values: "uniform", low: 0.5, high: 2, requiresGrad: false }),
  };
}

defineOp({
  schema:
    "tessera::batch_norm_train(Tensor input, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor, Tensor)",
  doc: "Batch normalisation by the batch's statistics; also their mean, reciprocal deviation and variance, [C].",
  meta: ({ input, weight, bias }) => {
    checkBatchNorm("batch_norm", input, [weight, bias]);
    const stats = statSpec(input, weight);
    return [sameSpec(input), stats, stats, { shape: stats.shape, dtype: computeType(input.dtype) }];
  },
  decompose: ({ input, weight, bias, eps }) => {
    const x = toCompute(input);
    const stats = normalizeOver(x, otherDims(input.ndim), eps);
    const { variance } = stats;
    // Statistics that are kept in half precision are used as they are kept.
    const kept = statDtype(input, weight);
    const mean = stats.mean.to(kept), rstd = stats.rstd.to(kept);
    const isExact = kept === x.dtype;
    const scaled = isExact ? stats.scaled : x.sub(mean.to(x.dtype)).mul(rstd.to(x.dtype));
    const w = weight === null ? null : perChannel(weight, input.ndim);
    const b = bias === null ? null : perChannel(bias, input.ndim);
    const out = scaleAndShift(scaled, w, b).to(input.dtype);
    const channels = [input.shape[1] ?? 1];
    return [out, mean.reshape(channels), rstd.reshape(channels), variance.reshape(channels)];
  },
  vjp: ({ input, weight, bias }, { outs, grads }) => {
    const [, mean, rstd] = outs;
    if (mean === undefined || rstd === undefined) return {};
    const [out = null, ofMean = null, ofRstd = null, variance = null] = grads;
    const all = { out, mean: ofMean, rstd: ofRstd, variance };
    const g = batchNormGrads(input, weight, toCompute(mean), toCompute(rstd), all);
    return {
      input: g.input,
      weight: () => weight === null ? null : g.weight()?.to(weight.dtype) ?? null,
      bias: () => bias === null ? null : g.bias()?.to(bias.dtype) ?? null,
    };
  },
  samples: (g) => [{ args: { ...parameters(g), eps: 1e-5 } }],
});

/** Running statistics after a batch: (1 - momentum) · old + momentum · new, the variance unbiased. */
function updatedStatistics(
  input: TensorValue,
  mean: TensorValue,
  variance: TensorValue,
  runningMean: TensorValue,
  runningVar: TensorValue,
  momentum: number,
): [TensorValue, TensorValue] {
  const count = sizeProd(otherDims(input.ndim).map((d) => input.shape[d] ?? 1));
  const unbiased = variance.detach().mul(count).div(sizeSub(count, 1));
  const blend = (old: TensorValue, now: TensorValue): TensorValue =>
    old.mul(1 - momentum).add(now.mul(momentum)).to(old.dtype);
  return [blend(runningMean, mean.detach()), blend(runningVar, unbiased)];
}

defineOp({
  schema:
    "aten::_native_batch_norm_legit_functional(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor, Tensor running_mean_out, Tensor running_var_out)",
  doc: "Batch normalisation that returns the new running statistics.",
  meta: ({ input, weight, bias, runningMean, runningVar, training }) => {
    checkBatchNorm("batch_norm", input, [weight, bias, runningMean, runningVar]);
    const stats = training ? statSpec(input, weight) : { shape: [0], dtype: statDtype(input, weight) };
    return [sameSpec(input), stats, stats, sameSpec(runningMean), sameSpec(runningVar)];
  },
  decompose: ({ input, weight, bias, runningMean, runningVar, training, momentum, eps }, F) => {
    if (!training) {
      const none = input.detach().newEmpty([0], { dtype: statDtype(input, weight) });
      const out = inference(input, weight, bias, runningMean, runningVar, eps);
      return [out, none, none, runningMean.clone(), runningVar.clone()];
    }
    const [out, mean, rstd, variance] = F.batchNormTrain(input, weight, bias, eps);
    return [out, mean, rstd, ...updatedStatistics(input, mean, variance, runningMean, runningVar, momentum)];
  },
  samples: (g) => [
    // The new running statistics are results without gradient, which finite differences would see.
    {
      args: { ...parameters(g), ...running(g), training: true, momentum: 0.1, eps: 1e-5 },
      differentiate: false,
    },
  ],
});

/** Training writes the running statistics, which ATen's schemas do not all say. */
function writesStatistics({ runningMean, training, useInputStats }: NamedArgs<unknown>): boolean {
  return runningMean !== null && runningMean !== undefined && training !== false && useInputStats !== false;
}

/** Normalises and writes new running statistics, where given and training. */
function trainOrInfer(
  args: {
    readonly input: TensorValue;
    readonly weight: TensorValue | null;
    readonly bias: TensorValue | null;
    readonly runningMean: TensorValue | null;
    readonly runningVar: TensorValue | null;
    readonly training: boolean;
    readonly momentum: number;
    readonly eps: number;
  },
  F: Functional,
): [TensorValue, TensorValue, TensorValue] {
  const { input, weight, bias, runningMean, runningVar, training, momentum, eps } = args;
  if (!training) {
    if (runningMean === null || runningVar === null) {
      throw new TypeError("batch_norm: inference needs running_mean and running_var; pass them, or training = true");
    }
    const none = input.detach().newEmpty([0], { dtype: statDtype(input, weight) });
    return [inference(input, weight, bias, runningMean, runningVar, eps), none, none];
  }
  const [out, mean, rstd, variance] = F.batchNormTrain(input, weight, bias, eps);
  if (runningMean !== null && runningVar !== null) {
    const [newMean, newVar] = updatedStatistics(input, mean, variance, runningMean, runningVar, momentum);
    runningMean.copy_(newMean);
    runningVar.copy_(newVar);
  }
  // As in PyTorch, statistics are no way for gradients.
  return [out, mean.detach(), rstd.detach()];
}

function batchNormSpecs(
  args: {
    readonly input: MetaInput;
    readonly weight: MetaInput | null;
    readonly bias: MetaInput | null;
    readonly runningMean: MetaInput | null;
    readonly runningVar: MetaInput | null;
    readonly training: boolean;
  },
  mayBeEmpty = false,
): [TensorSpec, TensorSpec, TensorSpec] {
  const { input, weight, bias, runningMean, runningVar, training } = args;
  checkBatchNorm("batch_norm", input, [weight, bias, runningMean, runningVar]);
  if (training && !mayBeEmpty && input.shape.some(sizeIsZero)) {
    throw new TypeError(`batch_norm: an input without elements, ${shapeToText(input.shape)}, has no statistics`);
  }
  const stats = training ? statSpec(input, weight) : { shape: [0], dtype: statDtype(input, weight) };
  return [sameSpec(input), stats, stats];
}

defineOp({
  schema:
    "aten::_native_batch_norm_legit(Tensor input, Tensor? weight, Tensor? bias, Tensor(a!) running_mean, Tensor(b!) running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
  doc: "Batch normalisation that updates the running statistics in place when training.",
  writesArguments: () => true,
  meta: (args) => batchNormSpecs(args),
  decompose: (args, F) => trainOrInfer(args, F),
  // Statistics are results without gradient, which finite differences would see.
  samples: (g) => [
    { args: { ...parameters(g), ...running(g), training: true, momentum: 0.1, eps: 1e-5 }, differentiate: false },
    { args: { ...parameters(g), ...running(g), training: false, momentum: 0.1, eps: 1e-5 } },
  ],
});

defineOp({
  schema:
    "aten::_native_batch_norm_legit.no_stats(Tensor input, Tensor? weight, Tensor? bias, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
  doc: "Batch normalisation without running statistics.",
  meta: (args) => batchNormSpecs({ ...args, training: true, runningMean: null, runningVar: null }),
  decompose: (args, F) => trainOrInfer({ ...args, training: true, runningMean: null, runningVar: null }, F),
  // Statistics are results without gradient, which finite differences would see.
  samples: (g) => [{ args: { ...parameters(g), training: true, momentum: 0.1, eps: 1e-5 }, differentiate: false }],
});

defineOp({
  schema:
    "aten::_native_batch_norm_legit_no_training(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
  doc: "Batch normalisation by the running statistics.",
  meta: (args) => batchNormSpecs({ ...args, training: false }),
  decompose: (args, F) => trainOrInfer({ ...args, training: false }, F),
  samples: (g) => [{ args: { ...parameters(g), ...running(g), momentum: 0.1, eps: 1e-5 } }],
});

defineOp({
  schema:
    "aten::native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
  doc: "Batch normalisation with its statistics; updates the running ones when training.",
  writesArguments: writesStatistics,
  meta: (args) => batchNormSpecs(args),
  decompose: (args, F) => trainOrInfer(args, F),
  // Statistics are results without gradient, which finite differences would see.
  samples: (g) => [
    {
      args: { ...parameters(g), runningMean: null, runningVar: null, training: true, momentum: 0.1, eps: 1e-5 },
      differentiate: false,
    },
    { args: { ...parameters(g), ...running(g), training: false, momentum: 0.1, eps: 1e-5 } },
  ],
});

defineOp({
  schema:
    "aten::_batch_norm_with_update(Tensor input, Tensor? weight, Tensor? bias, Tensor(a!) running_mean, Tensor(b!) running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor, Tensor)",
  doc: "Batch normalisation in training; the last result is an empty reserve.",
  writesArguments: () => true,
  meta: (args) => [...batchNormSpecs({ ...args, training: true }), { shape: [0], dtype: uint8 }],
  decompose: (args, F) => [
    ...trainOrInfer({ ...args, training: true }, F),
    args.input.detach().newEmpty([0], { dtype: uint8 }),
  ],
  // Statistics are results without gradient, which finite differences would see.
  samples: (g) => [{ args: { ...parameters(g), ...running(g), momentum: 0.1, eps: 1e-5 }, differentiate: false }],
});

defineOp({
  schema:
    "aten::batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps, bool cudnn_enabled) -> Tensor",
  doc: "Normalises each channel over the batch, or by running statistics; updates these when training.",
  writesArguments: writesStatistics,
  meta: (args) => batchNormSpecs(args, true)[0],
  decompose: (args, F) => trainOrInfer(args, F)[0],
  samples: (g) => [
    {
      args: {
        ...parameters(g),
        runningMean: null,
        runningVar: null,
        training: true,
        momentum: 0.1,
        eps: 1e-5,
        cudnnEnabled: false,
      },
    },
    { args: { ...parameters(g), ...running(g), training: false, momentum: 0.1, eps: 1e-5, cudnnEnabled: false } },
  ],
});

defineOp({
  schema:
    "aten::native_batch_norm_backward(Tensor grad_out, Tensor input, Tensor? weight, Tensor? running_mean, Tensor? running_var, Tensor? save_mean, Tensor? save_invstd, bool train, float eps, bool[3] output_mask) -> (Tensor, Tensor, Tensor)",
  doc: "Gradients of native_batch_norm by input, weight and bias.",
  meta: ({ input, weight, saveMean, saveInvstd, runningMean, runningVar, train }) => {
    if (train ? saveMean === null || saveInvstd === null : runningMean === null || runningVar === null) {
      throw new TypeError(
        `native_batch_norm_backward: needs ${train ? "save_mean and save_invstd" : "running_mean and running_var"}`,
      );
    }
    const stats = weight === null ? statSpec(input, null) : sameSpec(weight);
    return [sameSpec(input), stats, stats];
  },
  decompose: ({ gradOut, input, weight, runningMean, runningVar, saveMean, saveInvstd, train, eps }) => {
    const givenMean = train ? saveMean : runningMean;
    const mean = givenMean === null ? null : toCompute(givenMean);
    const rstd = train
      ? (saveInvstd === null ? null : toCompute(saveInvstd))
      : runningVar === null
      ? null
      : toCompute(runningVar).add(eps).rsqrt();
    if (mean === null || rstd === null) throw new TypeError("native_batch_norm_backward: statistics are missing");
    const g = batchNormGrads(input, weight, mean, rstd, { out: gradOut, mean: null, rstd: null, variance: null });
    const scale = weight === null ? rstd : rstd.mul(weight);
    const byInput = train ? g.input() : toCompute(gradOut).mul(perChannel(scale, input.ndim)).to(input.dtype);
    const dtype = weight?.dtype ?? computeType(input.dtype);
    const byBias = g.bias() ?? toCompute(gradOut).sum(otherDims(input.ndim));
    return [byInput, (g.weight() ?? byBias).to(dtype), byBias.to(dtype)];
  },
  samples: (g) => [
    {
      args: {
        gradOut: g.tensor([3, 2, 4]),
        input: g.tensor([3, 2, 4]),
        weight: g.tensor([2]),
        ...running(g),
        saveMean: null,
        saveInvstd: null,
        train: false,
        eps: 1e-5,
        outputMask: [true, true, true],
      },
    },
  ],
});

defineOp({
  schema:
    "aten::instance_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool use_input_stats, float momentum, float eps, bool cudnn_enabled) -> Tensor",
  doc: "Normalises each channel of each sample, or by running statistics.",
  writesArguments: writesStatistics,
  meta: ({ input, weight, bias, runningMean, runningVar, useInputStats }) => {
    checkBatchNorm("instance_norm", input, [weight, bias, runningMean, runningVar]);
    if (!useInputStats && (runningMean === null || runningVar === null)) {
      throw new TypeError("instance_norm: needs running_mean and running_var unless use_input_stats is true");
    }
    return sameSpec(input);
  },
  decompose: ({ input, weight, bias, runningMean, runningVar, useInputStats, momentum, eps }, F) => {
    if (!useInputStats) {
      return trainOrInfer({ input, weight, bias, runningMean, runningVar, training: false, momentum, eps }, F)[0];
    }
    const [n = 1, c = 1, ...spatial] = input.shape;
    const count = sizeProd(spatial);
    const [out, mean, rstd] = F.nativeGroupNorm(input, weight, bias, n, c, count, c, eps);
    if (runningMean !== null && runningVar !== null) {
      updateInstanceStatistics(mean, rstd, count, { runningMean, runningVar, momentum, eps });
    }
    return out;
  },
  samples: (g) => [
    {
      args: {
        ...parameters(g),
        runningMean: null,
        runningVar: null,
        useInputStats: true,
        momentum: 0.1,
        eps: 1e-5,
        cudnnEnabled: false,
      },
    },
    { args: { ...parameters(g), ...running(g), useInputStats: false, momentum: 0.1, eps: 1e-5, cudnnEnabled: false } },
  ],
});

/** Blends the mean over samples of their statistics into the running ones, in place. */
function updateInstanceStatistics(
  mean: TensorValue,
  rstd: TensorValue,
  count: Size,
  to: {
    readonly runningMean: TensorValue;
    readonly runningVar: TensorValue;
    readonly momentum: number;
    readonly eps: number;
  },
): void {
  const { runningMean, runningVar, momentum, eps } = to;
  const r = rstd.detach();
  const variance = r.mul(r).reciprocal().sub(eps).mul(count).div(sizeSub(count, 1));
  runningMean.copy_(runningMean.mul(1 - momentum).add(mean.detach().mean([0]).mul(momentum)));
  runningVar.copy_(runningVar.mul(1 - momentum).add(variance.mean([0]).mul(momentum)));
}
