/**
 * The cross entropy of a linear layer's scores in one call, which PyTorch 2.13 computes in chunks of rows so that the scores are never all in memory.
 *
 * What it means is linear and cross_entropy_loss in the dtype of accumulation; how many rows a chunk has changes nothing. Gradients that the call is asked to yield
 * beside the loss are those for an upstream gradient of 1. Mirrors `torch/nn/modules/linear_cross_entropy.py`.
 */
import type { DType } from "../core/mod.ts";
import { shapeToText, type Size, sizeEq } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

interface Scores<T> {
  readonly input: T;
  readonly linearWeight: T;
  readonly target: T;
  readonly linearBias: T | null;
  readonly weight: T | null;
  readonly ignoreIndex: Size;
  readonly accDtype: DType;
}

const REDUCTIONS = ["none", "mean", "sum"] as const;

function reductionCode(where: string, reduction: string): number {
  const code = REDUCTIONS.indexOf(reduction as (typeof REDUCTIONS)[number]);
  if (code < 1) throw new RangeError(`${where}: reduction must be "mean" or "sum", got "${reduction}"`);
  return code;
}

/** @throws {TypeError} if rows, classes and widths do not fit each other. */
function checkScores(where: string, { input, linearWeight, target, linearBias, weight }: Scores<MetaInput>): void {
  const [rows = 0, width = 0] = input.shape, [classes = 0] = linearWeight.shape;
  const perClass = [linearBias, weight].every((t) =>
    t === null || (t.shape.length === 1 && sizeEq(t.shape[0] ?? 0, classes))
  );
  const fits = input.shape.length === 2 && linearWeight.shape.length === 2 &&
    sizeEq(width, linearWeight.shape[1] ?? 0) &&
    target.shape.length === 1 && sizeEq(target.shape[0] ?? 0, rows) && perClass;
  if (!fits || !target.dtype.isIntegral) {
    throw new TypeError(
      `${where}: needs input [rows, width], linear_weight [classes, width], a class for each row and a bias and weight for each class, got ${
        [input, linearWeight, target, linearBias, weight].map((t) =>
          t === null ? "none" : t.dtype.name + shapeToText(t.shape)
        )
          .join(", ")
      }`,
    );
  }
}

function scoresOf({ input, linearWeight, linearBias, accDtype }: Scores<TensorValue>, F: Functional): TensorValue {
  return F.linear(input.to(accDtype), linearWeight.to(accDtype), linearBias?.to(accDtype) ?? null);
}

/** The gradient of the reduced loss by the scores. */
function scoreGradient(
  args: Scores<TensorValue>,
  scores: TensorValue,
  smoothing: number,
  mean: boolean,
  F: Functional,
): TensorValue {
  const { target, weight, ignoreIndex, accDtype } = args;
  const classes = scores.shape[1] ?? 1;
  const counts = target.ne(Number(ignoreIndex));
  const at = target.maskedFill(counts.logicalNot(), 0);
  const perClass = weight?.to(accDtype) ?? scores.newOnes([classes]);
  const rows = perClass.indexSelect(0, at).mul(counts.to(accDtype));
  const p = scores.softmax(-1);
  const own = p.sub(at.unsqueeze(1).eq(F.arange(classes, { device: scores.device })).to(accDtype)).mul(
    rows.unsqueeze(1),
  );
  const even = p.mul(perClass.sum()).sub(perClass).mul(counts.unsqueeze(1).to(accDtype)).div(classes);
  const sum = own.mul(1 - smoothing).add(even.mul(smoothing));
  return mean ? sum.div(rows.sum()) : sum;
}

const SCORES = "Tensor input, Tensor linear_weight, Tensor target, Tensor? linear_bias, Tensor? weight";
const NAME = "_linear_cross_entropy_batch_chunked";

defineOp({
  schema:
    `torch_nn::${NAME}(${SCORES}, str reduction, SymInt ignore_index, float label_smoothing, SymInt batch_chunk_size, str acc_policy, ScalarType acc_dtype, bool allow_retain_graph, bool compute_input_grad, bool compute_linear_weight_grad, bool compute_linear_bias_grad) -> (Tensor, Tensor, Tensor, Tensor)`,
  doc: "cross_entropy_loss of linear, and its gradients by input, weight and bias (empty where not asked for).",
  public: false,
  meta: (args): TensorSpec[] => {
    checkScores(NAME, args);
    reductionCode(NAME, args.reduction);
    const { input: { shape, dtype }, linearWeight, computeInputGrad, computeLinearWeightGrad, computeLinearBiasGrad } =
      args;
    return [
      { shape: [], dtype },
      { shape: computeInputGrad ? shape : [0, 0], dtype },
      { shape: computeLinearWeightGrad ? linearWeight.shape : [0, 0], dtype },
      { shape: computeLinearBiasGrad ? linearWeight.shape.slice(0, 1) : [0], dtype },
    ];
  },
  decompose: (args, F) => {
    const { input, linearWeight, target, weight, reduction, ignoreIndex, labelSmoothing, accDtype } = args;
    const scores = scoresOf(args, F), code = reductionCode(NAME, reduction);
    const loss = F.crossEntropyLoss(scores, target, weight?.to(accDtype) ?? null, code, ignoreIndex, labelSmoothing);
    const { dtype } = input;
    let found: TensorValue | null = null;
    const grad = (): TensorValue => {
      const { input, linearWeight, linearBias } = args;
      const still = {
        ...args,
        input: input.detach(),
        linearWeight: linearWeight.detach(),
        linearBias: linearBias?.detach() ?? null,
      };
      return found ??= scoreGradient(args, scoresOf(still, F), labelSmoothing, code === 1, F);
    };
    const none = (shape: number[]): TensorValue => input.detach().newEmpty(shape);
    return [
      loss.to(dtype),
      args.computeInputGrad ? grad().matmul(linearWeight.detach().to(accDtype)).to(dtype) : none([0, 0]),
      args.computeLinearWeightGrad
        ? grad().transpose(0, 1).matmul(input.detach().to(accDtype)).to(dtype)
        : none([0, 0]),
      args.computeLinearBiasGrad ? grad().sum([0]).to(dtype) : none([0]),
    ];
  },
  samples: () => [],
});

defineOp({
  schema:
    `torch_nn::${NAME}_no_reduction(${SCORES}, SymInt ignore_index, SymInt batch_chunk_size, str acc_policy, ScalarType acc_dtype) -> Tensor`,
  doc: "cross_entropy_loss of linear, one loss a row.",
  public: false,
  meta: (args) => {
    checkScores(`${NAME}_no_reduction`, args);
    return { shape: args.input.shape.slice(0, 1), dtype: args.input.dtype };
  },
  decompose: (args, F) =>
    F.crossEntropyLoss(scoresOf(args, F), args.target, args.weight?.to(args.accDtype) ?? null, 0, args.ignoreIndex)
      .to(args.input.dtype),
  samples: () => [],
});
