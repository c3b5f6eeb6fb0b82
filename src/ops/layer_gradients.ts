/**
 * Gradients of layers under their own names, as graphs of training steps hold them: native_group_norm_backward, adaptive_max_pool2d_backward, ….
 *
 * Those that save positions put the gradient back there; the others are the `vjp` of their operator or its formula, written with other operators. Mirrors the `*_backward`
 * functions of ATen that are neither elementwise (`backward_forms.ts`) nor convolutions or losses, which have files of their own.
 */
import { int32, int64, InternalError } from "../core/mod.ts";
import { broadcastShapes, sameShape, shapeToText, type Size, sizeEq, sizeProd } from "../symbolic/mod.ts";
import { axisOf } from "./combinators.ts";
import { defineOp, getOp, type MetaInput, type NamedArgs, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { elementwiseStride } from "./layout.ts";
import type { TensorValue } from "./value.ts";

const described = ({ shape, dtype }: MetaInput): TensorSpec => ({ shape, dtype });

/** @throws {TypeError} if two tensors differ in shape. */
function checkSame(where: string, names: readonly [string, string], a: MetaInput, b: MetaInput): void {
  if (sameShape(a.shape, b.shape)) return;
  throw new TypeError(
    `${where}: ${names[0]} ${shapeToText(a.shape)} and ${names[1]} ${shapeToText(b.shape)} must have one shape`,
  );
}

/** Adds values to zeros of a shape at flat positions of the last `rank` dimensions. */
function backToPlane(grad: TensorValue, indices: TensorValue, shape: readonly Size[], rank: number): TensorValue {
  const at = shape.length - rank;
  const lead = shape.slice(0, at), plane = shape.slice(at);
  return grad.newZeros([...lead, sizeProd(plane)]).scatterAdd(-1, indices.flatten(at), grad.flatten(at)).reshape(shape);
}

for (const rank of [2, 3]) {
  for (const kind of ["adaptive", "fractional"] as const) {
    const where = `${kind}_max_pool${rank}d_backward`;
    const sizes = kind === "adaptive" ? "" : `int[${rank}] kernel_size, int[${rank}] output_size, `;
    defineOp({
      schema:
        `aten::${where}(Tensor grad_output, Tensor self, ${sizes}Tensor indices) -> Tensor` as "aten::adaptive_max_pool2d_backward(Tensor grad_output, Tensor self, Tensor indices) -> Tensor",
      doc: `The gradient of ${kind}_max_pool${rank}d: each maximum's, at its place.`,
      public: false,
      meta: ({ gradOutput, self, indices }) => {
        if (indices.dtype !== int64) throw new TypeError(`${where}: indices must be int64, got ${indices.dtype.name}`);
        if (gradOutput.dtype !== self.dtype) {
          throw new TypeError(
            `${where}: grad_output is ${gradOutput.dtype.name}, self ${self.dtype.name}: convert one`,
          );
        }
        if (self.shape.length !== rank + 1 && self.shape.length !== rank + 2) {
          throw new TypeError(
            `${where}: self needs ${rank + 1} or ${rank + 2} dimensions, got ${shapeToText(self.shape)}`,
          );
        }
        checkSame(where, ["grad_output", "indices"], gradOutput, indices);
        const at = self.shape.length - rank;
        if (
          gradOutput.shape.length !== self.shape.length ||
          !sameShape(gradOutput.shape.slice(0, at), self.shape.slice(0, at))
        ) {
          throw new TypeError(
            `${where}: grad_output ${shapeToText(gradOutput.shape)} does not come from self ${shapeToText(self.shape)}`,
          );
        }
        return described(self);
      },
      decompose: ({ gradOutput, self, indices }) => backToPlane(gradOutput, indices, self.shape, rank),
      samples: () => [],
    });
  }
}

defineOp({
  schema:
    "aten::native_group_norm_backward(Tensor grad_out, Tensor input, Tensor mean, Tensor rstd, Tensor? weight, SymInt N, SymInt C, SymInt HxW, int group, bool[3] output_mask) -> (Tensor, Tensor, Tensor)",
  doc: "Gradients of native_group_norm by input, weight and bias; empty where output_mask is false.",
  public: false,
  meta: ({ gradOut, input, mean, rstd, weight, N, C, HxW, group, outputMask }) => {
    const where = "native_group_norm_backward";
    checkSame(where, ["grad_out", "input"], gradOut, input);
    getOp("aten.native_group_norm.default").meta({ input, weight, bias: null, N, C, HxW, group, eps: 0 });
    const stats = [N, Number(group)];
    for (const [name, t] of [["mean", mean], ["rstd", rstd]] as const) {
      if (!sameShape(t.shape, stats)) {
        throw new TypeError(`${where}: ${name} ${shapeToText(t.shape)} must be ${shapeToText(stats)}`);
      }
    }
    const parameter = weight?.dtype ?? input.dtype;
    const shapes = [input.shape, [C], [C]];
    return shapes.map((shape, i) => ({
      shape: outputMask[i] === false ? [0] : shape,
      dtype: i === 0 ? input.dtype : parameter,
    }));
  },
  decompose: ({ gradOut, input, mean, rstd, weight, N, C, HxW, group, outputMask }, F) => {
    // The rule has gradients of weight and bias only where they are given.
    const given = weight ?? input.newOnes([C]);
    const args = { input, weight: given, bias: given, N, C, HxW, group, eps: 0 };
    const rule = getOp("aten.native_group_norm.default").vjp;
    const context = { out: gradOut, outs: [gradOut, mean, rstd], grad: gradOut, grads: [gradOut, null, null], F };
    const grads = rule?.(args, context);
    return ["input", "weight", "bias"].map((name, i) => {
      if (outputMask[i] === false) return gradOut.newEmpty([0]);
      const found = grads?.[name]?.();
      if (found === null || found === undefined || !("shape" in found)) {
        throw new InternalError(`native_group_norm_backward: no gradient of ${name}`);
      }
      return found;
    });
  },
  samples: () => [],
});

defineOp({
  schema: "aten::_prelu_kernel_backward(Tensor grad_output, Tensor self, Tensor weight) -> (Tensor, Tensor)",
  doc: "Gradients of _prelu_kernel by self and weight, both in the broadcast shape.",
  public: false,
  meta: ({ gradOutput, self, weight }) => {
    const where = "_prelu_kernel_backward";
    const shape = broadcastShapes(where, gradOutput.shape, self.shape, weight.shape);
    if (gradOutput.dtype !== self.dtype || self.dtype !== weight.dtype) {
      throw new TypeError(
        `${where}: grad_output, self and weight must have one dtype, got ${gradOutput.dtype.name}, ${self.dtype.name}, ${weight.dtype.name}`,
      );
    }
    const spec = { shape, dtype: self.dtype, stride: elementwiseStride(shape, [self, gradOutput, weight]) };
    return [spec, spec];
  },
  decompose: ({ gradOutput, self, weight }, F) => {
    const positive = self.gt(0);
    return [F.where(positive, gradOutput, weight.mul(gradOutput)), F.where(positive, 0, self.mul(gradOutput))];
  },
  samples: () => [],
});

defineOp({
  schema: "aten::_masked_softmax_backward(Tensor grad_output, Tensor output, Tensor mask, int? dim=None) -> Tensor",
  doc: "The gradient of _masked_softmax; 0 where the mask is true.",
  public: false,
  meta: ({ gradOutput, output, mask, dim }) => {
    checkSame("_masked_softmax_backward", ["grad_output", "mask"], gradOutput, mask);
    checkSame("_masked_softmax_backward", ["grad_output", "output"], gradOutput, output);
    axisOf("_masked_softmax_backward", dim ?? -1, gradOutput.shape.length);
    return described(gradOutput);
  },
  decompose: ({ gradOutput, output, mask, dim }, F) => {
    const hidden = mask.ne(0);
    const seen = F._softmaxBackwardData(
      gradOutput.maskedFill(hidden, 0),
      output.maskedFill(hidden, 0),
      dim ?? -1,
      output.dtype,
    );
    return seen.maskedFill(hidden, 0);
  },
  samples: () => [],
});

defineOp({
  schema:
    "aten::rrelu_with_noise_backward(Tensor grad_output, Tensor self, Tensor noise, Scalar lower, Scalar upper, bool training, bool self_is_result) -> Tensor",
  doc: "The gradient of rrelu_with_noise: by the slopes that it drew, or by their mean outside of training.",
  public: false,
  meta: ({ gradOutput, self, noise }) => {
    checkSame("rrelu_with_noise_backward", ["grad_output", "self"], gradOutput, self);
    broadcastShapes("rrelu_with_noise_backward", noise.shape, self.shape);
    return described(gradOutput);
  },
  decompose: ({ gradOutput, self, noise, lower, upper, training, selfIsResult }, F) => {
    const [low, high] = [Number(lower), Number(upper)];
    if (training && high - low > 1e-6) return gradOutput.mul(noise);
    return F.leakyReluBackward(gradOutput, self, (low + high) / 2, selfIsResult);
  },
  samples: () => [],
});

defineOp({
  schema:
    "aten::batch_norm_backward(Tensor grad_out, Tensor input, Tensor weight, Tensor? running_mean, Tensor? running_var, Tensor? save_mean, Tensor? save_var, bool update, float eps, bool[3] output_mask, Tensor reserve) -> (Tensor, Tensor, Tensor)",
  doc: "native_batch_norm_backward, with a reserve of other devices.",
  public: false,
  meta: (args) => {
    const { reserve: _reserve, update, saveVar, ...rest } = args;
    return getOp("aten.native_batch_norm_backward.default").meta({ ...rest, saveInvstd: saveVar, train: update });
  },
  decompose: ({ gradOut, input, weight, runningMean, runningVar, saveMean, saveVar, update, eps, outputMask }, F) =>
    F.nativeBatchNormBackward(
      gradOut,
      input,
      weight,
      runningMean,
      runningVar,
      saveMean,
      saveVar,
      update,
      eps,
      outputMask,
    ),
  samples: () => [],
});

defineOp({
  schema:
    "aten::embedding_backward(Tensor grad, Tensor indices, SymInt num_weights, SymInt padding_idx, bool scale_grad_by_freq, bool sparse) -> Tensor",
  doc: "embedding_dense_backward; sparse gradients are dense here.",
  public: false,
  meta: ({ sparse: _sparse, grad, ...rest }) =>
    getOp("aten.embedding_dense_backward.default").meta({ gradOutput: grad, ...rest }),
  decompose: ({ grad, indices, numWeights, paddingIdx, scaleGradByFreq }, F) =>
    F.embeddingDenseBackward(grad, indices, numWeights, paddingIdx, scaleGradByFreq),
  samples: () => [],
});

/** Which bags' gradients rows get, by `mode`: 0 sums, 1 means, 2 maxima. */
function bagGradient(
  {
    grad,
    indices,
    offset2bag,
    bagSize,
    maximumIndices,
    numWeights,
    scaleGradByFreq,
    mode,
    perSampleWeights,
    paddingIdx,
  }:
    & Readonly<Record<"grad" | "indices" | "offset2bag" | "bagSize" | "maximumIndices", TensorValue>>
    & {
      readonly numWeights: Size;
      readonly scaleGradByFreq: boolean;
      readonly mode: Size;
      readonly perSampleWeights: TensorValue | null;
      readonly paddingIdx: Size;
    },
  F: Functional,
): TensorValue {
  const table = grad.newZeros([numWeights, grad.shape[1] ?? 1]);
  if (Number(mode) === 2) {
    // An empty bag has no winner.
    const empty = bagSize.eq(0).unsqueeze(1);
    return table.scatterAdd(0, maximumIndices.maskedFill(empty, 0).to(int64), grad.maskedFill(empty, 0));
  }
  let rows = grad.indexSelect(0, offset2bag);
  if (Number(mode) === 1) {
    rows = rows.div(bagSize.clampMin(1).to(grad.dtype).indexSelect(0, offset2bag).unsqueeze(1));
  }
  if (perSampleWeights !== null) rows = rows.mul(perSampleWeights.unsqueeze(1));
  if (scaleGradByFreq) {
    const counts = F.zeros([numWeights], { dtype: int64, device: grad.device }).indexAdd(
      0,
      indices.to(int64),
      F.ones(indices.shape, { dtype: int64, device: grad.device }),
    );
    rows = rows.div(counts.indexSelect(0, indices).to(grad.dtype).unsqueeze(1));
  }
  if (Number(paddingIdx) >= 0) rows = rows.maskedFill(indices.eq(Number(paddingIdx)).unsqueeze(1), 0);
  return table.indexAdd(0, indices.to(int64), rows);
}

const BAG = "SymInt num_weights, bool scale_grad_by_freq, int mode";

function bagMeta(
  where: string,
  { grad, indices, offset2bag, numWeights }: {
    readonly grad: MetaInput;
    readonly indices: MetaInput;
    readonly offset2bag: MetaInput;
    readonly numWeights: Size;
  },
): TensorSpec {
  if (grad.shape.length !== 2 || !grad.dtype.isFloat) {
    throw new TypeError(
      `${where}: grad must be floating point [bags, width], got ${grad.dtype.name}${shapeToText(grad.shape)}`,
    );
  }
  if (indices.shape.length !== 1 || (indices.dtype !== int64 && indices.dtype !== int32)) {
    throw new TypeError(
      `${where}: indices must be a list of int32 or int64, got ${indices.dtype.name}${shapeToText(indices.shape)}`,
    );
  }
  checkSame(where, ["indices", "offset2bag"], indices, offset2bag);
  return { shape: [numWeights, grad.shape[1] ?? 1], dtype: grad.dtype };
}

defineOp({
  schema:
    `aten::_embedding_bag_dense_backward(Tensor grad, Tensor indices, Tensor offset2bag, Tensor bag_size, Tensor maximum_indices, ${BAG}, Tensor? per_sample_weights, int padding_idx=-1) -> Tensor`,
  doc: "The gradient of _embedding_bag by its table.",
  public: false,
  meta: (args) => bagMeta("_embedding_bag_dense_backward", args),
  decompose: (args, F) => bagGradient(args, F),
  samples: () => [],
});

defineOp({
  schema:
    `aten::_embedding_bag_backward(Tensor grad, Tensor indices, Tensor offsets, Tensor offset2bag, Tensor bag_size, Tensor maximum_indices, ${BAG}, bool sparse, Tensor? per_sample_weights, int padding_idx=-1) -> Tensor`,
  doc: "The gradient of _embedding_bag by its table; sparse gradients are dense here.",
  public: false,
  meta: (args) => bagMeta("_embedding_bag_backward", args),
  decompose: (args, F) => bagGradient(args, F),
  samples: () => [],
});

defineOp({
  schema:
    "aten::_embedding_bag_per_sample_weights_backward(Tensor grad, Tensor weight, Tensor indices, Tensor offsets, Tensor offset2bag, int mode, int padding_idx=-1) -> Tensor",
  doc: "The gradient of _embedding_bag by its weights of samples.",
  public: false,
  meta: ({ grad, weight, indices, offset2bag, mode }) => {
    const where = "_embedding_bag_per_sample_weights_backward";
    bagMeta(where, { grad, indices, offset2bag, numWeights: weight.shape[0] ?? 0 });
    if (Number(mode) !== 0) throw new RangeError(`${where}: only sums (mode 0) weigh samples, got mode ${mode}`);
    if (weight.shape.length !== 2 || !sizeEq(weight.shape[1] ?? 0, grad.shape[1] ?? 0)) {
      throw new TypeError(
        `${where}: weight ${shapeToText(weight.shape)} must be as wide as grad ${shapeToText(grad.shape)}`,
      );
    }
    return { shape: indices.shape, dtype: grad.dtype };
  },
  decompose: ({ grad, weight, indices, offset2bag, paddingIdx }) => {
    const each = grad.indexSelect(0, offset2bag).mul(weight.indexSelect(0, indices)).sum([1]);
    return Number(paddingIdx) < 0 ? each : each.maskedFill(indices.eq(Number(paddingIdx)), 0);
  },
  samples: () => [],
});

defineOp({
  schema: "aten::affine_grid_generator_backward(Tensor grad, SymInt[] size, bool align_corners) -> Tensor",
  doc: "The gradient of affine_grid_generator by its maps.",
  public: false,
  meta: ({ grad, size }) => {
    const rank = size.length - 2;
    const wanted = [size[0] ?? 1, ...size.slice(2), rank];
    if ((rank !== 2 && rank !== 3) || !sameShape(grad.shape, wanted)) {
      throw new TypeError(
        `affine_grid_generator_backward: grad ${shapeToText(grad.shape)} is not of grids for ${shapeToText(size)}`,
      );
    }
    return { shape: [size[0] ?? 1, rank, rank + 1], dtype: grad.dtype };
  },
  decompose: ({ grad, size, alignCorners }, F) => {
    const rank = size.length - 2, n = size[0] ?? 1;
    // The grid of each unit map is one coordinate of the base grid; the gradient is its product with grad.
    const unit = F.eye(rank + 1, { dtype: grad.dtype, device: grad.device });
    const maps = unit.unsqueeze(1).expand([rank + 1, rank, rank + 1]).contiguous();
    const grids = F.affineGridGenerator(maps, [rank + 1, 1, ...size.slice(2)], alignCorners).select(-1, 0);
    const base = grids.reshape([rank + 1, -1]);
    return grad.reshape([n, -1, rank]).transpose(1, 2).matmul(base.transpose(0, 1));
  },
  samples: () => [],
});

/** Gradients that put or sum back along one axis. */
const INDEXED: readonly (readonly [
  schema: string,
  doc: string,
  shape: (args: NamedArgs<MetaInput>) => readonly Size[],
  compute: (args: Readonly<Record<string, TensorValue & readonly Size[] & number>>, zeros: TensorValue) => TensorValue,
])[] = [
  [
    "gather_backward(Tensor grad, Tensor self, int dim, Tensor index, bool sparse_grad) -> Tensor",
    "The gradient of gather.",
    (a) => (a["self"] as MetaInput).shape,
    (a, zeros) => zeros.scatterAdd(a["dim"] ?? 0, a["index"] as TensorValue, a["grad"] as TensorValue),
  ],
  [
    "index_select_backward(Tensor grad, SymInt[] self_sizes, int dim, Tensor index) -> Tensor",
    "The gradient of index_select.",
    (a) => a["selfSizes"] as readonly Size[],
    (a, zeros) => zeros.indexAdd(a["dim"] ?? 0, a["index"] as TensorValue, a["grad"] as TensorValue),
  ],
  [
    "cummaxmin_backward(Tensor grad, Tensor input, Tensor indices, int dim) -> Tensor",
    "The gradient of cummax and cummin.",
    (a) => (a["input"] as MetaInput).shape,
    (a, zeros) => zeros.scatterAdd(a["dim"] ?? 0, a["indices"] as TensorValue, a["grad"] as TensorValue),
  ],
  [
    "masked_select_backward(Tensor grad, Tensor input, Tensor mask) -> Tensor",
    "The gradient of masked_select.",
    (a) => broadcastShapes("masked_select_backward", (a["input"] as MetaInput).shape, (a["mask"] as MetaInput).shape),
    (a, zeros) => zeros.maskedScatter(a["mask"] as TensorValue, a["grad"] as TensorValue),
  ],
  [
    "trace_backward(Tensor grad, SymInt[] sizes) -> Tensor",
    "The gradient of trace: grad on the main diagonal.",
    (a) => a["sizes"] as readonly Size[],
    (a, zeros) => {
      const shown = zeros.diagonal();
      return zeros.diagonalScatter((a["grad"] as TensorValue).expand(shown.shape));
    },
  ],
  [
    "value_selecting_reduction_backward(Tensor grad, int dim, Tensor indices, SymInt[] sizes, bool keepdim) -> Tensor",
    "The gradient of max, min, median and mode along a dimension.",
    (a) => a["sizes"] as readonly Size[],
    (a, zeros) => {
      const { grad, indices, dim } = a as unknown as { grad: TensorValue; indices: TensorValue; dim: number };
      if (zeros.ndim === 0) return zeros.add(grad);
      const kept = a["keepdim"] as unknown as boolean;
      const row = (t: TensorValue): TensorValue => kept ? t : t.unsqueeze(dim);
      return zeros.scatterAdd(dim, row(indices), row(grad));
    },
  ],
];

for (const [schema, doc, shape, compute] of INDEXED) {
  defineOp({
    schema: `aten::${schema}` as "aten::trace_backward(Tensor grad, SymInt[] sizes) -> Tensor",
    doc,
    public: false,
    meta: (args) => ({ shape: shape(args as unknown as NamedArgs<MetaInput>), dtype: args.grad.dtype }),
    decompose: (args) => compute(args as never, args.grad.newZeros(shape(args as unknown as NamedArgs<MetaInput>))),
    samples: () => [],
  });
}

defineOp({
  schema: "aten::cumprod_backward(Tensor grad, Tensor input, int dim, Tensor output) -> Tensor",
  doc: "The gradient of cumprod.",
  public: false,
  meta: ({ grad, input, output, dim }) => {
    checkSame("cumprod_backward", ["grad", "input"], grad, input);
    checkSame("cumprod_backward", ["output", "input"], output, input);
    axisOf("cumprod_backward", dim, input.shape.length);
    return described(input);
  },
  decompose: ({ grad, input, dim, output }, F) => {
    const context = { grad, grads: [grad], out: output, outs: [output], F };
    const found = getOp("aten.cumprod.default").vjp?.({ self: input, dim, dtype: null }, context)["self"]?.();
    if (found === null || found === undefined || !("shape" in found)) {
      throw new InternalError("cumprod_backward: cumprod gave no gradient");
    }
    return found;
  },
  samples: () => [],
});
