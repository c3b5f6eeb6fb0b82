/**
 * Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), with AMSGrad (Reddi et al. 2018).
 *
 * Bias corrections are computed from the step count, a tensor, by `expm1`: exact to the last bits of float32 where 1 - β^t cancels.
 */
import { F, Tensor, tracked } from "../tensor/mod.ts";
import {
  checkRange,
  type CommonOptions,
  learningRate,
  Optimizer,
  type ParamGroup,
  type Params,
  type ParamState,
  rateOver,
  stateOf,
  stepCount,
  stepOf,
  withDecay,
  zeroState,
} from "./optimizer.ts";

/** Options of {@linkcode Adam} and {@linkcode AdamW}. */
export interface AdamOptions extends CommonOptions {
  /** Decay of the averages of the gradient and of its square. Default [0.9, 0.999]. */
  betas: readonly [number, number];
  /** Default 1e-8. */
  eps: number;
  /** Default 0 for Adam, 0.01 for AdamW. */
  weightDecay: number;
  /** Divide by the largest average so far. Default false. */
  amsgrad: boolean;
}

const DEFAULTS: AdamOptions = {
  lr: 1e-3,
  betas: [0.9, 0.999],
  eps: 1e-8,
  weightDecay: 0,
  amsgrad: false,
  maximize: false,
};

/** What both share. */
abstract class AdamBase extends Optimizer<AdamOptions> {
  /** Shrinks the weights, or adds the decay to the gradient, which is returned. */
  protected abstract decay(param: Tensor, grad: Tensor, lr: number | Tensor, weightDecay: number): Tensor;

  protected override checkOptions(o: AdamOptions): void {
    const where = this.constructor.name;
    checkRange(where, "betas[0]", o.betas[0], 0, 1);
    checkRange(where, "betas[1]", o.betas[1], 0, 1);
    checkRange(where, "eps", o.eps, 0);
    checkRange(where, "weightDecay", o.weightDecay, 0);
  }

  protected override createState(param: Tensor, o: AdamOptions): ParamState {
    const state: ParamState = { step: stepCount(param), exp_avg: zeroState(param), exp_avg_sq: zeroState(param) };
    return o.amsgrad ? { ...state, max_exp_avg_sq: zeroState(param) } : state;
  }

  protected override updateGroup(group: ParamGroup<AdamOptions>): void {
    const lr = learningRate(group);
    const betas = tracked(group, "betas");
    const beta1 = tracked(betas, 0);
    const beta2 = tracked(betas, 1);
    const eps = tracked(group, "eps");
    const weightDecay = tracked(group, "weightDecay");
    const amsgrad = tracked(group, "amsgrad");
    this.countSteps(group);
    const corrections = new Map<Tensor, { readonly size: Tensor; readonly root: Tensor }>();
    for (const { param, grad, state } of this.updates(group)) {
      const step = stepOf(state);
      let correction = corrections.get(step);
      if (correction === undefined) {
        const first = biasCorrection(step, beta1);
        correction = { size: rateOver(lr, first), root: biasCorrection(step, beta2).sqrt() };
        corrections.set(step, correction);
      }
      const g = this.decay(param, grad, lr, weightDecay);
      const average = stateOf(state, "exp_avg");
      let square = stateOf(state, "exp_avg_sq");
      average.lerp_(g, 1 - beta1);
      square.mul_(beta2).addcmul_(g, g, { value: 1 - beta2 });
      if (amsgrad) square = stateOf(state, "max_exp_avg_sq").copy_(F.maximum(stateOf(state, "max_exp_avg_sq"), square));
      const denominator = square.sqrt().div(correction.root).add(eps);
      param.sub_(average.div(denominator).mul(correction.size));
    }
  }
}

/** 1 - beta^step. */
function biasCorrection(step: Tensor, beta: number): Tensor {
  // β = 0 corrects nothing: its logarithm is -∞, and -expm1(-∞) is 1.
  return step.mul(Math.log(beta)).expm1().neg();
}

/**
 * Adam; weight decay adds to the gradient.
 *
 * @example
 * ```ts
 * import { optim, tensor } from "@tessera/tessera";
 * const w = tensor([1.5, -2]).requiresGrad_();
 * const opt = new optim.Adam([w], { lr: 0.5 });
 * w.mul(w).sum().backward();
 * opt.step(); // the first step has the size of the learning rate
 * console.assert(Math.abs(w.at(0).item() - 1) < 1e-5);
 * ```
 */
export class Adam extends AdamBase {
  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(params, { ...DEFAULTS, ...options });
  }

  protected override decay(param: Tensor, grad: Tensor, _lr: number | Tensor, weightDecay: number): Tensor {
    return withDecay(grad, param, weightDecay);
  }
}

/** AdamW: Adam whose weight decay shrinks the weights directly. */
export class AdamW extends AdamBase {
  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(params, { ...DEFAULTS, weightDecay: 1e-2, ...options });
  }

  protected override decay(param: Tensor, grad: Tensor, lr: number | Tensor, weightDecay: number): Tensor {
    if (weightDecay !== 0) {
      param.mul_(lr instanceof Tensor ? lr.mul(-weightDecay).add(1) : 1 - lr * weightDecay);
    }
    return grad;
  }
}
