/**
 * Layer, RMS, group and instance normalisation.
 *
 * Each forward is mean, variance and scaling in float32, each gradient two means over the normalised dimensions and one pointwise
 * expression, so that either direction fuses to one kernel. Means and reciprocal deviations are results, as in ATen's `native_*`
 * operators, and their gradients are respected. Mirrors ATen's layer_norm.cpp and group_norm.cpp.
 */
import { computeType, type Device, type DType } from "../core/mod.ts";
import { sameShape, shapeToText, type Size, sizeEq, sizeFloorDiv, sizeMod, sizeProd } from "../symbolic/mod.ts";
import { defineOp, type MetaInput } from "./define.ts";
import type { TensorValue } from "./value.ts";

/** What normalising needs and yields, all in the type of computation. */
export interface Normalized {
  readonly mean: TensorValue;
  /** Mean of squared deviations. */
  readonly variance: TensorValue;
  /** 1 / sqrt(variance + eps). */
  readonly rstd: TensorValue;
  /** (x - mean) · rstd. */
  readonly scaled: TensorValue;
}

/** Normalises over `dims`; statistics keep these dimensions with size 1. */
export function normalizeOver(x: TensorValue, dims: readonly number[], eps: number): Normalized {
  const mean = x.mean(dims, true);
  const centred = x.sub(mean);
  const variance = centred.mul(centred).mean(dims, true);
  const rstd = variance.add(eps).rsqrt();
  return { mean, variance, rstd, scaled: centred.mul(rstd) };
}

/** Multiplies by weight and adds bias, where given; both already shaped to broadcast. */
export function scaleAndShift(x: TensorValue, weight: TensorValue | null, bias: TensorValue | null): TensorValue {
  const scaled = weight === null ? x : x.mul(weight);
  return bias === null ? scaled : scaled.add(bias);
}

/** Gradients that reach a normalisation, in the type of computation; null where nothing does. */
export interface NormGrads {
  /** Of the scaled result, times the weight. */
  readonly scaled: TensorValue | null;
  readonly mean: TensorValue | null;
  readonly rstd: TensorValue | null;
  readonly variance?: TensorValue | null;
}

/** What is known of the scaled result's gradient, where a weight of its own for each row of reduced elements is a factor of the whole. */
export interface NormSums {
  /** The sums of the gradient and of the gradient times the scaled result, reduced dimensions kept. */
  readonly ofGrad: TensorValue;
  readonly ofProduct: TensorValue;
  readonly weight: TensorValue | null;
}

/**
 * The gradient of {@linkcode normalizeOver} by x:
 * rstd · (g - mean(g) - x̂ · mean(g · x̂)), and what comes through the statistics themselves.
 */
export function normInputGrad(
  grads: NormGrads,
  scaled: TensorValue,
  rstd: TensorValue,
  dims: readonly number[],
  sums: NormSums | null = null,
): TensorValue {
  const count = sizeProd(dims.map((d) => scaled.shape[d] ?? 1));
  let total: TensorValue | null = null;
  const add = (term: TensorValue): void => {
    total = total === null ? term : total.add(term);
  };
  const g = grads.scaled;
  if (g !== null) {
    const mean = sums === null ? g.mean(dims, true) : sums.ofGrad.div(count);
    const product = sums === null ? g.mul(scaled).mean(dims, true) : sums.ofProduct.div(count);
    const weight = sums?.weight ?? null;
    add(g.sub(mean).sub(scaled.mul(product)).mul(weight === null ? rstd : rstd.mul(weight)));
  }
  if (grads.mean !== null) add(grads.mean.div(count).expand(scaled.shape));
  if (grads.rstd !== null) add(scaled.mul(grads.rstd.mul(rstd).mul(rstd).div(count).neg()));
  if (grads.variance !== undefined && grads.variance !== null) {
    add(scaled.mul(grads.variance.div(rstd).mul(2).div(count)));
  }
  return total ?? scaled.zerosLike();
}

/** Sums over `dims`; as it is if there are none. */
export function sumDims(x: TensorValue, dims: readonly number[]): TensorValue {
  return dims.length === 0 ? x : x.sum(dims);
}

/**
 * The dtype of statistics that are returned: that of the computation, except on the CPU, where PyTorch keeps those of half
 * precision with half parameters in half precision.
 */
export function statDtype(input: StatInput, weight: { readonly dtype: DType } | null): DType {
  const isHalf = input.device.type === "cpu" && (weight === null || weight.dtype === input.dtype);
  return isHalf ? input.dtype : computeType(input.dtype);
}

/** What decides the dtype of statistics. */
export interface StatInput {
  readonly dtype: DType;
  readonly device: Device;
}

/** Casts to the type of computation. */
export function toCompute(x: TensorValue): TensorValue {
  return x.to(computeType(x.dtype));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

/** Weights, biases and statistics are of the input's dtype; beside half types they may be float32. */
export function checkParameterDtypes(
  where: string,
  input: MetaInput,
  parameters: readonly (MetaInput | null)[],
): void {
  const wide = computeType(input.dtype);
  const [first] = parameters.filter((p) => p !== null);
  for (const p of parameters) {
    if (p !== null && first !== undefined && p.dtype !== first.dtype) {
      throw new TypeError(
        `${where}: parameters are ${first.dtype.name} and ${p.dtype.name}; convert them to one dtype`,
      );
    }
    if (p !== null && p.dtype !== input.dtype && p.dtype !== wide) {
      throw new TypeError(
        `${where}: the input is ${input.dtype.name}, a parameter ${p.dtype.name}; convert it with .to(${input.dtype.name})`,
      );
    }
  }
}

/** Checks that the normalised shape is a suffix of the input's, and that weight and bias have it. */
function checkNormalized(
  where: string,
  input: MetaInput,
  normalized: readonly Size[],
  parameters: readonly (MetaInput | null)[],
): void {
  const lead = input.shape.length - normalized.length;
  if (normalized.length === 0 || lead < 0 || !sameShape(input.shape.slice(lead), normalized)) {
    throw new TypeError(
      `${where}: the input ${shapeToText(input.shape)} must end with normalized_shape ${shapeToText(normalized)}`,
    );
  }
  for (const parameter of parameters) {
    if (parameter !== null && !sameShape(parameter.shape, normalized)) {
      throw new TypeError(
        `${where}: weight and bias must have normalized_shape ${shapeToText(normalized)}, got ${
          shapeToText(parameter.shape)
        }`,
      );
    }
  }
  checkFloat(where, input.dtype);
  checkParameterDtypes(where, input, parameters);
}

function checkFloat(where: string, dtype: DType): void {
  if (!dtype.isFloat) {
    throw new TypeError(`${where}: needs a floating point tensor, got ${dtype.name}; convert with .to(float32)`);
  }
}

function statShape(shape: readonly Size[], count: number): Size[] {
  return shape.map((s, d) => d < shape.length - count ? s : 1);
}

interface LayerNormParts {
  readonly input: TensorValue;
  readonly weight: TensorValue | null;
  readonly mean: TensorValue;
  readonly rstd: TensorValue;
  readonly rank: number;
}

/** Gradients of layer normalisation, each on its own so that only those that are needed are computed. */
function layerNormGrads(
  p: LayerNormParts,
  grad: TensorValue | null,
): {
  readonly input: () => TensorValue;
  readonly weight: () => TensorValue | null;
  readonly bias: () => TensorValue | null;
} {
  const at = p.input.ndim - p.rank;
  const scaled = (): TensorValue => toCompute(p.input).sub(p.mean).mul(p.rstd);
  return {
    input: () => {
      const g = grad === null ? null : p.weight === null ? toCompute(grad) : toCompute(grad).mul(toCompute(p.weight));
      const grads = { scaled: g, mean: null, rstd: null };
      return normInputGrad(grads, scaled(), p.rstd, range(at, p.input.ndim)).to(p.input.dtype);
    },
    weight: () =>
      grad === null ? null : sumDims(toCompute(grad).mul(scaled()), range(0, at)).to(p.weight?.dtype ?? p.input.dtype),
    bias: () => grad === null ? null : sumDims(toCompute(grad), range(0, at)),
  };
}

defineOp({
  schema:
    "aten::native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)",
  doc: "layer_norm with its mean and reciprocal standard deviation.",
  meta: ({ input, normalizedShape, weight, bias }) => {
    checkNormalized("layer_norm", input, normalizedShape, [weight, bias]);
    const stats = { shape: statShape(input.shape, normalizedShape.length), dtype: statDtype(input, weight) };
    return [{ shape: input.shape, dtype: input.dtype }, stats, stats];
  },
  decompose: ({ input, normalizedShape, weight, bias, eps }) => {
    const dims = range(input.ndim - normalizedShape.length, input.ndim);
    const { mean, rstd, scaled } = normalizeOver(toCompute(input), dims, eps);
    const dtype = statDtype(input, weight);
    return [scaleAndShift(scaled, weight, bias).to(input.dtype).contiguous(), mean.to(dtype), rstd.to(dtype)];
  },
  vjp: ({ input, normalizedShape, weight, bias }, { outs, grads }) => {
    const [, mean, rstd] = outs;
    // As in PyTorch, statistics are no way for gradients.
    const [grad = null] = grads;
    if (mean === undefined || rstd === undefined) return {};
    const stats = { mean: toCompute(mean), rstd: toCompute(rstd) };
    const g = layerNormGrads({ input, weight, ...stats, rank: normalizedShape.length }, grad);
    return {
      input: g.input,
      weight: () => weight === null ? null : g.weight(),
      bias: () => bias === null ? null : g.bias()?.to(bias.dtype) ?? null,
    };
  },
  // Statistics are results without gradient, which finite differences would see.
  samples: (g) => [
    {
      args: { input: g.tensor([3, 4]), normalizedShape: [4], weight: g.tensor([4]), bias: g.tensor([4]), eps: 1e-5 },
      differentiate: false,
    },
    {
      args: { input: g.tensor([2, 3, 4]), normalizedShape: [3, 4], weight: null, bias: null, eps: 1e-3 },
      differentiate: false,
    },
  ],
});

defineOp({
  schema:
    "aten::native_layer_norm_backward(Tensor grad_out, Tensor input, SymInt[] normalized_shape, Tensor mean, Tensor rstd, Tensor? weight, Tensor? bias, bool[3] output_mask) -> (Tensor, Tensor, Tensor)",
  doc: "Gradients of native_layer_norm by input, weight and bias.",
  meta: ({ input, normalizedShape }) => {
    const parameter = { shape: normalizedShape, dtype: input.dtype };
    return [{ shape: input.shape, dtype: input.dtype }, parameter, parameter];
  },
  decompose: ({ gradOut, input, normalizedShape, mean, rstd, weight }) => {
    const stats = { mean: toCompute(mean), rstd: toCompute(rstd) };
    const g = layerNormGrads({ input, weight, ...stats, rank: normalizedShape.length }, gradOut);
    const byWeight = g.weight() ?? gradOut, byBias = g.bias() ?? gradOut;
    return [g.input(), byWeight.to(input.dtype), byBias.to(input.dtype)];
  },
  samples: (g) => [
    {
      args: {
        gradOut: g.tensor([3, 4]),
        input: g.tensor([3, 4]),
        normalizedShape: [4],
        mean: g.tensor([3, 1], { dtype: computeType(g.dtype) }),
        rstd: g.tensor([3, 1], { values: "uniform", low: 0.5, high: 1, dtype: computeType(g.dtype) }),
        weight: g.tensor([4]),
        bias: null,
        outputMask: [true, true, true],
      },
    },
  ],
});

defineOp({
  schema:
    "aten::layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enable=True) -> Tensor",
  doc: "(x - mean) / sqrt(variance + eps) · weight + bias over the last dimensions.",
  meta: ({ input, normalizedShape, weight, bias }) => {
    checkNormalized("layer_norm", input, normalizedShape, [weight, bias]);
    return { shape: input.shape, dtype: input.dtype };
  },
  decompose: ({ input, normalizedShape, weight, bias, eps }, F) =>
    F.nativeLayerNorm(input, normalizedShape, weight, bias, eps)[0],
  samples: (g) => [
    { args: { input: g.tensor([3, 4]), normalizedShape: [4], weight: g.tensor([4]), bias: g.tensor([4]) } },
    { args: { input: g.tensor([2, 3, 4]), normalizedShape: [3, 4] } },
  ],
});

defineOp({
  schema: "aten::_fused_rms_norm(Tensor input, int[] normalized_shape, Tensor? weight, float? eps) -> (Tensor, Tensor)",
  doc: "rms_norm with its reciprocal root mean square.",
  meta: ({ input, normalizedShape, weight }) => {
    checkNormalized("rms_norm", input, normalizedShape, [weight]);
    const stats = { shape: statShape(input.shape, normalizedShape.length), dtype: computeType(input.dtype) };
    return [{ shape: input.shape, dtype: input.dtype }, stats];
  },
  decompose: ({ input, normalizedShape, weight, eps }) => {
    const dims = range(input.ndim - normalizedShape.length, input.ndim);
    const x = toCompute(input);
    const rstd = x.mul(x).mean(dims, true).add(eps ?? input.dtype.eps).rsqrt();
    return [scaleAndShift(x.mul(rstd), weight, null).to(input.dtype).contiguous(), rstd];
  },
  vjp: ({ input, normalizedShape, weight }, { outs, grads }) => {
    const rstd = outs[1];
    const [grad = null, ofRstd = null] = grads;
    if (rstd === undefined) return {};
    const at = input.ndim - normalizedShape.length;
    const dims = range(at, input.ndim);
    const scaled = (): TensorValue => toCompute(input).mul(rstd);
    return {
      input: () => {
        const x = scaled();
        let total: TensorValue | null = null;
        if (grad !== null) {
          const g = weight === null ? toCompute(grad) : toCompute(grad).mul(toCompute(weight));
          total = g.sub(x.mul(g.mul(x).mean(dims, true))).mul(rstd);
        }
        if (ofRstd !== null) {
          const term = x.mul(ofRstd.mul(rstd).mul(rstd).div(sizeProd(normalizedShape)).neg());
          total = total === null ? term : total.add(term);
        }
        return total === null ? null : total.to(input.dtype);
      },
      weight: () =>
        weight === null || grad === null ? null : sumDims(toCompute(grad).mul(scaled()), range(0, at)).to(weight.dtype),
    };
  },
  samples: (g) => [
    { args: { input: g.tensor([3, 4]), normalizedShape: [4], weight: g.tensor([4]), eps: 1e-5 } },
  ],
});

defineOp({
  schema: "aten::rms_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor",
  doc: "x / sqrt(mean(x²) + eps) · weight over the last dimensions; eps defaults to the dtype's.",
  meta: ({ input, normalizedShape, weight }) => {
    checkNormalized("rms_norm", input, normalizedShape, [weight]);
    return { shape: input.shape, dtype: input.dtype };
  },
  decompose: ({ input, normalizedShape, weight, eps }, F) => F._fusedRmsNorm(input, normalizedShape, weight, eps)[0],
  samples: (g) => [
    { args: { input: g.tensor([3, 4]), normalizedShape: [4], weight: g.tensor([4]) } },
    { args: { input: g.tensor([2, 3, 4]), normalizedShape: [3, 4], eps: 1e-2 } },
  ],
});

/** Checks groups; returns the number of elements of a group. */
function checkGroups(where: string, input: MetaInput, groups: number, parameters: readonly (MetaInput | null)[]): void {
  const channels = input.shape[1] ?? 0;
  if (input.shape.length < 2 || groups < 1 || !sizeEq(sizeMod(channels, groups), 0)) {
    throw new TypeError(`${where}: the channels of ${shapeToText(input.shape)} do not divide into ${groups} groups`);
  }
  for (const p of parameters) {
    if (p !== null && (p.shape.length !== 1 || !sizeEq(p.shape[0] ?? 0, channels))) {
      throw new TypeError(`${where}: weight and bias must be [${channels}], got ${shapeToText(p.shape)}`);
    }
  }
  checkFloat(where, input.dtype);
  checkParameterDtypes(where, input, parameters);
}

/** A parameter of channels, shaped to broadcast against `rank` dimensions. */
export function perChannel(parameter: TensorValue, rank: number): TensorValue {
  return parameter.reshape([1, parameter.shape[0] ?? 1, ...new Array<number>(Math.max(rank - 2, 0)).fill(1)]);
}

/** [N, groups, elements of a group]. */
function groupedShape(shape: readonly Size[], groups: number): Size[] {
  return [shape[0] ?? 1, groups, sizeProd([sizeFloorDiv(shape[1] ?? 1, groups), ...shape.slice(2)])];
}

defineOp({
  schema:
    "aten::native_group_norm(Tensor input, Tensor? weight, Tensor? bias, SymInt N, SymInt C, SymInt HxW, int group, float eps) -> (Tensor, Tensor, Tensor)",
  doc: "group_norm with its mean and reciprocal standard deviation, [N, groups].",
  meta: ({ input, weight, bias, N, C, HxW, group }) => {
    checkGroups("group_norm", input, Number(group), [weight, bias]);
    const planes = sizeProd(input.shape.slice(2));
    if (!sizeEq(N, input.shape[0] ?? 1) || !sizeEq(C, input.shape[1] ?? 1) || !sizeEq(HxW, planes)) {
      throw new TypeError(
        `native_group_norm: N ${N}, C ${C} and HxW ${HxW} are not those of the input ${shapeToText(input.shape)}`,
      );
    }
    const stats = { shape: [input.shape[0] ?? 1, Number(group)], dtype: statDtype(input, weight) };
    return [{ shape: input.shape, dtype: input.dtype }, stats, stats];
  },
  decompose: ({ input, weight, bias, group, eps }) => {
    const x = toCompute(input).reshape(groupedShape(input.shape, Number(group)));
    const { mean, rstd, scaled } = normalizeOver(x, [2], eps);
    const w = weight === null ? null : perChannel(weight, input.ndim);
    const b = bias === null ? null : perChannel(bias, input.ndim);
    const dtype = statDtype(input, weight);
    const out = scaleAndShift(scaled.reshape(input.shape), w, b).to(input.dtype);
    return [out, mean.squeeze(2).to(dtype), rstd.squeeze(2).to(dtype)];
  },
  vjp: ({ input, weight, bias, group }, { outs, grads }) => {
    const [, mean, rstd] = outs;
    const [grad = null, ofMean = null, ofRstd = null] = grads;
    if (mean === undefined || rstd === undefined) return {};
    const shape = groupedShape(input.shape, Number(group));
    const r = toCompute(rstd).unsqueeze(2);
    const scaled = (): TensorValue => toCompute(input).reshape(shape).sub(toCompute(mean).unsqueeze(2)).mul(r);
    const others = input.shape.map((_, d) => d).filter((d) => d !== 1);
    return {
      input: () => {
        const c = grad === null ? null : toCompute(grad);
        const g = c === null || weight === null ? c : c.mul(toCompute(perChannel(weight, input.ndim)));
        const all = {
          scaled: g === null ? null : g.reshape(shape),
          mean: ofMean?.unsqueeze(2) ?? null,
          rstd: ofRstd?.unsqueeze(2) ?? null,
        };
        return normInputGrad(all, scaled(), r, [2]).reshape(input.shape).to(input.dtype);
      },
      weight: () =>
        weight === null || grad === null
          ? null
          : toCompute(grad).mul(scaled().reshape(input.shape)).sum(others).to(weight.dtype),
      bias: () => bias === null || grad === null ? null : toCompute(grad).sum(others).to(bias.dtype),
    };
  },
  samples: (g) => [
    {
      args: {
        input: g.tensor([2, 4, 3]),
        weight: g.tensor([4]),
        bias: g.tensor([4]),
        N: 2,
        C: 4,
        HxW: 3,
        group: 2,
        eps: 1e-5,
      },
    },
  ],
});

defineOp({
  schema:
    "aten::group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enabled=True) -> Tensor",
  doc: "Normalises each group of channels of each sample.",
  meta: ({ input, numGroups, weight, bias }) => {
    checkGroups("group_norm", input, Number(numGroups), [weight, bias]);
    return { shape: input.shape, dtype: input.dtype };
  },
  decompose: ({ input, numGroups, weight, bias, eps }, F) => {
    const [n = 1, c = 1, ...spatial] = input.shape;
    return F.nativeGroupNorm(input, weight, bias, n, c, sizeProd(spatial), numGroups, eps)[0];
  },
  samples: (g) => [
    { args: { input: g.tensor([2, 4, 3]), numGroups: 2, weight: g.tensor([4]), bias: g.tensor([4]) } },
    { args: { input: g.tensor([2, 6]), numGroups: 3 } },
  ],
});
