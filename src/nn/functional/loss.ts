/**
 * Loss functions.
 */
import { F, type Tensor } from "../../tensor/mod.ts";

/** What becomes of the losses of the elements. */
export type Reduction = "none" | "mean" | "sum";

/** Options of all losses. */
export interface LossOptions {
  /** Default `"mean"`. */
  readonly reduction?: Reduction;
}

/** Options of losses over classes. */
export interface ClassLossOptions extends LossOptions {
  /** A weight for each class. */
  readonly weight?: Tensor | null;
  /** Targets of this value do not count. Default -100. */
  readonly ignoreIndex?: number;
}

/** ATen's number of a reduction. */
export function reductionCode(reduction: Reduction = "mean"): number {
  switch (reduction) {
    case "none":
      return 0;
    case "mean":
      return 1;
    case "sum":
      return 2;
    default:
      throw new RangeError(`reduction: "${reduction satisfies never}" is not known: use "none", "mean" or "sum"`);
  }
}

function reduce(loss: Tensor, reduction: Reduction = "mean"): Tensor {
  const code = reductionCode(reduction);
  return code === 0 ? loss : code === 1 ? loss.mean() : loss.sum();
}

/**
 * Cross entropy between logits [batch, classes, …] and targets: class numbers [batch, …], or probabilities of the logits' shape.
 *
 * @example
 * ```ts
 * import { nn, tensor } from "@tessera/tessera";
 * const loss = nn.functional.crossEntropy(tensor([[0.5, 0.5]]), tensor([1]));
 * console.assert(Math.abs(loss.item() - Math.log(2)) < 1e-6);
 * ```
 */
export function crossEntropy(
  logits: Tensor,
  target: Tensor,
  options: ClassLossOptions & { readonly labelSmoothing?: number } = {},
): Tensor {
  const { weight = null, ignoreIndex = -100, labelSmoothing = 0 } = options;
  return F.crossEntropyLoss(logits, target, weight, reductionCode(options.reduction), ignoreIndex, labelSmoothing);
}

/** The negative of the log-probabilities [batch, classes, …] at the target classes [batch, …]. */
export function nllLoss(logProbabilities: Tensor, target: Tensor, options: ClassLossOptions = {}): Tensor {
  const { weight = null, ignoreIndex = -100 } = options;
  return F.nllLossNd(logProbabilities, target, weight, reductionCode(options.reduction), ignoreIndex);
}

/** (x - y)². */
export function mseLoss(x: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  return F.mseLoss(x, target, reductionCode(options.reduction));
}

/** |x - y|. */
export function l1Loss(x: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  return F.l1Loss(x, target, reductionCode(options.reduction));
}

/** Quadratic within `beta` of the target, then linear with slope 1. */
export function smoothL1Loss(
  x: Tensor,
  target: Tensor,
  options: LossOptions & { readonly beta?: number } = {},
): Tensor {
  return F.smoothL1Loss(x, target, reductionCode(options.reduction), options.beta ?? 1);
}

/** Quadratic within `delta` of the target, then linear with slope `delta`. */
export function huberLoss(x: Tensor, target: Tensor, options: LossOptions & { readonly delta?: number } = {}): Tensor {
  return F.huberLoss(x, target, reductionCode(options.reduction), options.delta ?? 1);
}

/** Cross entropy of probabilities in [0, 1]. */
export function binaryCrossEntropy(
  x: Tensor,
  target: Tensor,
  options: LossOptions & { readonly weight?: Tensor | null } = {},
): Tensor {
  return F.binaryCrossEntropy(x, target, options.weight ?? null, reductionCode(options.reduction));
}

/** Cross entropy of sigmoid(x), without its loss of precision. */
export function binaryCrossEntropyWithLogits(
  x: Tensor,
  target: Tensor,
  options: LossOptions & { readonly weight?: Tensor | null; readonly posWeight?: Tensor | null } = {},
): Tensor {
  const { weight = null, posWeight = null } = options;
  return F.binaryCrossEntropyWithLogits(x, target, weight, posWeight, reductionCode(options.reduction));
}

/** Divergence of the distribution `target` from the one whose logarithm is `x`. `"batchmean"` divides the sum by the batch. */
export function klDiv(
  x: Tensor,
  target: Tensor,
  options: { readonly reduction?: Reduction | "batchmean"; readonly logTarget?: boolean } = {},
): Tensor {
  const { reduction = "mean", logTarget = false } = options;
  const element = logTarget ? target.exp().mul(target.sub(x)) : F.xlogy(target, target).sub(target.mul(x));
  if (reduction === "batchmean") return element.sum().div(Number(x.shape[0]));
  return reduce(element, reduction);
}
