/**
 * Embeddings: rows of a table by index, and their gradient.
 *
 * The gradient adds rows into a table of zeros, in float32 for half types. Mirrors ATen's Embedding.cpp.
 */
import { computeType, float64, int32, int64 } from "../core/mod.ts";
import { type LoopInput, ops, pointwise, scatter } from "../loops/mod.ts";
import { asExpr, exprOf, shapeToText, type Size, sizeAdd, sizeLe, sizeLt, sizeMax, sizeSub } from "../symbolic/mod.ts";
import { defineOp, type MetaInput } from "./define.ts";
import type { TensorValue } from "./value.ts";

function checkIndices(where: string, indices: MetaInput): void {
  if (indices.dtype !== int64 && indices.dtype !== int32) {
    throw new TypeError(`${where}: indices must be int64 or int32, got ${indices.dtype.name}; convert with .to(int64)`);
  }
}

/** A base of zeros for a scatter. */
export function zerosInput(shape: readonly Size[], dtype: LoopInput["dtype"]): LoopInput {
  return { shape: shape.map(exprOf), dtype, load: () => ops.constant(0, dtype) };
}

defineOp({
  schema:
    "aten::embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor",
  doc: "Rows of a table, [rows, width], by index; rows at padding_idx get no gradient.",
  meta: ({ weight, indices }) => {
    if (weight.shape.length !== 2) {
      throw new TypeError(`embedding: weight must be [rows, width], got ${shapeToText(weight.shape)}`);
    }
    checkIndices("embedding", indices);
    return { shape: [...indices.shape, weight.shape[1] ?? 1], dtype: weight.dtype };
  },
  loop: ({ weight, indices }, out) =>
    pointwise(out.shape, (index) => {
      const row = ops.cast(indices.load(index.slice(0, -1)), int64);
      return weight.load([ops.indirect(row, weight.shape[0] ?? asExpr(1)), ...index.slice(-1)]);
    }),
  vjp: ({ weight, indices, paddingIdx, scaleGradByFreq }, { grad, F }) => ({
    weight: () => F.embeddingDenseBackward(grad, indices, weight.shape[0] ?? 1, paddingIdx, scaleGradByFreq),
  }),
  samples: (g) => [
    { args: { weight: g.tensor([5, 3]), indices: g.indices([4], 5) } },
    {
      name: "padding",
      args: { weight: g.tensor([5, 3]), indices: g.indices([2, 3], 5), paddingIdx: 2 },
      differentiate: false,
    },
  ],
});

defineOp({
  schema: "tessera::embedding_grad(Tensor grad, Tensor indices, SymInt num_weights, SymInt padding_idx) -> Tensor",
  doc: "Adds rows into a table of zeros at their indices, except those at padding_idx.",
  meta: ({ grad, indices, numWeights }) => {
    checkIndices("embedding_grad", indices);
    return { shape: [numWeights, grad.shape[grad.shape.length - 1] ?? 1], dtype: grad.dtype };
  },
  loop: ({ grad, indices, paddingIdx }, out) =>
    scatter("sum", zerosInput(out.shape, out.dtype), grad.shape, (index) => {
      const row = ops.cast(indices.load(index.slice(0, -1)), int64);
      const value = grad.load(index);
      return {
        target: [ops.indirect(row, exprOf(out.shape[0] ?? 1)), ...index.slice(-1)],
        value: paddingIdx === -1
          ? value
          : ops.where(ops.eq(row, ops.index(exprOf(paddingIdx))), ops.constant(0, value.dtype), value),
      };
    }),
  vjp: ({ indices, paddingIdx }, { grad, F }) => ({
    grad: () => {
      const rows = F.embedding(grad, indices);
      return paddingIdx === -1 ? rows : rows.mul(indices.ne(paddingIdx).unsqueeze(-1));
    },
  }),
  samples: (g) => [
    { args: { grad: g.tensor([4, 3]), indices: g.indices([4], 5), numWeights: 5, paddingIdx: -1 } },
    { args: { grad: g.tensor([2, 2, 3]), indices: g.indices([2, 2], 5), numWeights: 5, paddingIdx: 1 } },
  ],
});

defineOp({
  schema:
    "aten::embedding_dense_backward(Tensor grad_output, Tensor indices, SymInt num_weights, SymInt padding_idx, bool scale_grad_by_freq) -> Tensor",
  doc: "The gradient of embedding by its table.",
  meta: ({ gradOutput, indices, numWeights }) => {
    checkIndices("embedding_dense_backward", indices);
    return { shape: [numWeights, gradOutput.shape[gradOutput.shape.length - 1] ?? 1], dtype: gradOutput.dtype };
  },
  decompose: ({ gradOutput, indices, numWeights, paddingIdx, scaleGradByFreq }, F) => {
    let rows = gradOutput.to(computeType(gradOutput.dtype));
    if (scaleGradByFreq) {
      const ones = rows.newOnes([...indices.shape, 1]);
      rows = rows.div(F.embedding(F.embeddingGrad(ones, indices, numWeights, -1), indices));
    }
    return F.embeddingGrad(rows, indices, numWeights, paddingIdx).to(gradOutput.dtype);
  },
  samples: (g) => [
    {
      args: {
        gradOutput: g.tensor([4, 3]),
        indices: g.indices([4], 5),
        numWeights: 5,
        paddingIdx: 2,
        scaleGradByFreq: true,
      },
    },
  ],
});

/** The bag of what stands before the first one: a position that scattering refuses. */
const NOWHERE = 2 ** 40;

/** Bag of each index, from the offsets at which bags start: how many offsets lie at or before it, less one. */
function bagOf(indices: TensorValue, offsets: TensorValue): TensorValue {
  const at = indices.newOnes([indices.shape[0] ?? 0], { dtype: int64 }).cumsum(0).sub(1);
  const bag = at.unsqueeze(1).ge(offsets.unsqueeze(0)).sum([1]).sub(1);
  return bag.maskedFill(bag.lt(0), NOWHERE);
}

defineOp({
  schema:
    "aten::embedding_bag.padding_idx(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq, int mode, bool sparse, Tensor? per_sample_weights, bool include_last_offset, int? padding_idx) -> (Tensor, Tensor, Tensor, Tensor)",
  doc:
    "Sums (mode 0), means (1) or maxima (2) of bags of rows; also the bag of each index, the sizes and the winners, as far as the mode needs them.",
  meta: ({ weight, indices, offsets, mode, perSampleWeights, includeLastOffset, paddingIdx }) => {
    checkIndices("embedding_bag", indices);
    checkIndices("embedding_bag", offsets);
    if (indices.shape.length !== 1 || offsets.shape.length !== 1 || weight.shape.length !== 2) {
      throw new TypeError(
        `embedding_bag: needs weight [rows, width], indices [n] and offsets [bags], got ${shapeToText(weight.shape)}, ${
          shapeToText(indices.shape)
        } and ${shapeToText(offsets.shape)}`,
      );
    }
    if (!weight.dtype.isFloat) {
      throw new TypeError(`embedding_bag: weight must be floating point, got ${weight.dtype.name}`);
    }
    if (perSampleWeights !== null && Number(mode) !== 0) {
      throw new TypeError("embedding_bag: per_sample_weights are only for mode 0 (sum)");
    }
    if (perSampleWeights !== null && perSampleWeights.dtype !== weight.dtype) {
      throw new TypeError(
        `embedding_bag: per_sample_weights are ${perSampleWeights.dtype.name}, weight is ${weight.dtype.name}: convert one`,
      );
    }
    const rows = weight.shape[0] ?? 0;
    if (paddingIdx !== null && (sizeLe(rows, paddingIdx) || sizeLt(paddingIdx, sizeSub(0, rows)))) {
      throw new RangeError(`embedding_bag: padding_idx ${paddingIdx} is no row of a table of ${rows}`);
    }
    if (![0, 1, 2].includes(Number(mode))) throw new RangeError(`embedding_bag: mode must be 0, 1 or 2, got ${mode}`);
    const count = offsets.shape[0] ?? 0;
    const bags: Size = includeLastOffset ? (typeof count === "number" ? count - 1 : count.sub(1)) : count;
    const shape = [bags, weight.shape[1] ?? 1];
    // Where a sum needs neither sizes nor winners, PyTorch returns zeros as long as the offsets.
    const unused = Number(mode) === 0 ? [count] : [bags];
    const winners = { shape: Number(mode) === 2 ? shape : unused, dtype: int64 };
    return [
      { shape, dtype: weight.dtype },
      {
        shape: Number(mode) === 0 && paddingIdx === null && weight.dtype !== float64 ? [0] : indices.shape,
        dtype: int64,
      },
      { shape: unused, dtype: int64 },
      winners,
    ];
  },
  decompose: (args, F) => {
    const { weight, indices, mode, perSampleWeights, includeLastOffset, paddingIdx } = args;
    const count = args.offsets.shape[0] ?? 0;
    const bags: Size = includeLastOffset ? (typeof count === "number" ? count - 1 : count.sub(1)) : count;
    const given = (includeLastOffset ? args.offsets.narrow(0, 0, bags) : args.offsets).to(int64);
    // Read as positions, so that offsets beyond the last index are refused.
    const places = sizeAdd(indices.shape[0] ?? 0, 1);
    const offsets = indices.newOnes([places], { dtype: int64 }).cumsum(0).sub(1).indexSelect(0, given);
    const width = weight.shape[1] ?? 1;
    const bag = bagOf(indices, offsets);
    const padding = paddingIdx === null
      ? null
      : Number(paddingIdx) < 0
      ? Number(weight.shape[0] ?? 0) + Number(paddingIdx)
      : Number(paddingIdx);
    const counted = padding === null ? indices.newOnes(indices.shape, { dtype: int64 }) : indices.ne(padding).to(int64);
    const sizes = offsets.newZeros([bags], { dtype: int64 }).scatterAdd(0, bag, counted);
    const rows = F.embedding(weight, indices, padding ?? -1, args.scaleGradByFreq);
    const at = bag.unsqueeze(1).expand([indices.shape[0] ?? 0, width]);
    if (Number(mode) === 2) {
      const visible = padding === null ? rows : rows.maskedFill(indices.eq(padding).unsqueeze(1), -Infinity);
      const best = visible.detach().newFull([bags, width], -Infinity).scatterReduce(0, at, visible, "amax");
      const empty = sizes.eq(0).unsqueeze(1);
      const isBest = visible.eq(best.gather(0, at));
      // The first row of each bag that reaches the maximum: the smallest position among equals.
      const n = indices.shape[0] ?? 0;
      const position = indices.newOnes([n], { dtype: int64 }).cumsum(0).sub(1).unsqueeze(1).expand([n, width]);
      const candidates = F.where(isBest, position, n);
      const first = candidates.newFull([bags, width], n).scatterReduce(0, at, candidates, "amin");
      const inRange = first.clampMax(sizeMax(sizeSub(n, 1), 0)).flatten(0);
      const winners = indices.to(int64).indexSelect(0, inRange).reshape([bags, width]).maskedFill(empty, 0);
      return [best.maskedFill(empty, 0), bag, sizes, winners];
    }
    // Sums of half types are kept in float32.
    const compute = computeType(weight.dtype);
    const wide = rows.to(compute);
    const weighted = perSampleWeights === null ? wide : wide.mul(perSampleWeights.to(compute).unsqueeze(1));
    const kept = padding === null ? weighted : weighted.mul(counted.unsqueeze(1).to(compute));
    const total = kept.detach().newZeros([bags, width]).scatterAdd(0, at, kept);
    const sums = (Number(mode) === 1 ? total.div(sizes.clampMin(1).unsqueeze(1)) : total).to(weight.dtype);
    if (Number(mode) === 1) return [sums, bag, sizes, sizes.clone()];
    // As in PyTorch, a sum needs neither sizes nor, without padding and in float64, the bags.
    const none = sizes.newZeros([count]);
    return [sums, padding === null && weight.dtype !== float64 ? bag.newZeros([0]) : bag, none, none.clone()];
  },
  samples: (g) => [
    ...[0, 1].map((mode) => ({
      args: {
        weight: g.tensor([5, 3]),
        indices: g.indices([6], 5),
        offsets: g.tensor([3], { dtype: int64, values: [0, 2, 3], requiresGrad: false }),
        scaleGradByFreq: false,
        mode,
        sparse: false,
        perSampleWeights: null,
        includeLastOffset: false,
        paddingIdx: null,
      },
    })),
  ],
});
