/**
 * Losses as modules; each is its function in `nn.functional` with fixed options.
 */
import type { Tensor } from "../tensor/mod.ts";
import * as L from "./functional/loss.ts";
import type { LossOptions, Reduction } from "./functional/loss.ts";
import { Module } from "./module.ts";

abstract class Loss extends Module {
  readonly reduction: Reduction;

  constructor(options: LossOptions = {}) {
    super();
    this.reduction = options.reduction ?? "mean";
    L.reductionCode(this.reduction);
  }
}

abstract class WeightedLoss extends Loss {
  declare weight: Tensor | null;

  constructor(options: LossOptions & { readonly weight?: Tensor | null } = {}) {
    super(options);
    this.registerBuffer("weight", options.weight ?? null);
  }
}

/** Cross entropy between logits and classes, see `nn.functional.crossEntropy`. */
export class CrossEntropyLoss extends WeightedLoss {
  readonly ignoreIndex: number;
  readonly labelSmoothing: number;

  constructor(options: L.ClassLossOptions & { readonly labelSmoothing?: number } = {}) {
    super(options);
    this.ignoreIndex = options.ignoreIndex ?? -100;
    this.labelSmoothing = options.labelSmoothing ?? 0;
  }

  override forward(logits: Tensor, target: Tensor): Tensor {
    return L.crossEntropy(logits, target, this);
  }
}

/** The negative log-probability of the target class. */
export class NLLLoss extends WeightedLoss {
  readonly ignoreIndex: number;

  constructor(options: L.ClassLossOptions = {}) {
    super(options);
    this.ignoreIndex = options.ignoreIndex ?? -100;
  }

  override forward(logProbabilities: Tensor, target: Tensor): Tensor {
    return L.nllLoss(logProbabilities, target, this);
  }
}

/** (x - y)². */
export class MSELoss extends Loss {
  override forward(x: Tensor, target: Tensor): Tensor {
    return L.mseLoss(x, target, this);
  }
}

/** |x - y|. */
export class L1Loss extends Loss {
  override forward(x: Tensor, target: Tensor): Tensor {
    return L.l1Loss(x, target, this);
  }
}

/** Quadratic within `beta` of the target, then linear with slope 1. */
export class SmoothL1Loss extends Loss {
  readonly beta: number;

  constructor(options: LossOptions & { readonly beta?: number } = {}) {
    super(options);
    this.beta = options.beta ?? 1;
  }

  override forward(x: Tensor, target: Tensor): Tensor {
    return L.smoothL1Loss(x, target, this);
  }
}

/** Quadratic within `delta` of the target, then linear with slope `delta`. */
export class HuberLoss extends Loss {
  readonly delta: number;

  constructor(options: LossOptions & { readonly delta?: number } = {}) {
    super(options);
    this.delta = options.delta ?? 1;
  }

  override forward(x: Tensor, target: Tensor): Tensor {
    return L.huberLoss(x, target, this);
  }
}

/** Cross entropy of probabilities. */
export class BCELoss extends WeightedLoss {
  override forward(x: Tensor, target: Tensor): Tensor {
    return L.binaryCrossEntropy(x, target, this);
  }
}

/** Cross entropy of sigmoid(x). */
export class BCEWithLogitsLoss extends WeightedLoss {
  declare posWeight: Tensor | null;

  constructor(options: LossOptions & { readonly weight?: Tensor | null; readonly posWeight?: Tensor | null } = {}) {
    super(options);
    this.registerBuffer("posWeight", options.posWeight ?? null);
  }

  override forward(x: Tensor, target: Tensor): Tensor {
    return L.binaryCrossEntropyWithLogits(x, target, this);
  }
}

/** Divergence of the target distribution from the one whose logarithm is the input. */
export class KLDivLoss extends Module {
  readonly reduction: Reduction | "batchmean";
  readonly logTarget: boolean;

  constructor(options: { readonly reduction?: Reduction | "batchmean"; readonly logTarget?: boolean } = {}) {
    super();
    this.reduction = options.reduction ?? "mean";
    this.logTarget = options.logTarget ?? false;
  }

  override forward(x: Tensor, target: Tensor): Tensor {
    return L.klDiv(x, target, this);
  }
}
