/**
 * RMSprop (Tieleman & Hinton 2012) and Adagrad (Duchi et al. 2011), as PyTorch defines them.
 */
import { type Tensor, tracked } from "../tensor/mod.ts";
import {
  checkRange,
  type CommonOptions,
  descend,
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

/** Options of {@linkcode RMSprop}. */
export interface RMSpropOptions extends CommonOptions {
  /** Decay of the average of squares. Default 0.99. */
  alpha: number;
  /** Default 1e-8. */
  eps: number;
  /** Default 0. */
  weightDecay: number;
  /** Default 0. */
  momentum: number;
  /** Divide by the variance instead of the mean square. Default false. */
  centered: boolean;
}

/** Divides gradients by a running root mean square. */
export class RMSprop extends Optimizer<RMSpropOptions> {
  constructor(params: Params<RMSpropOptions>, options: Partial<RMSpropOptions> = {}) {
    super(params, {
      lr: 1e-2,
      alpha: 0.99,
      eps: 1e-8,
      weightDecay: 0,
      momentum: 0,
      centered: false,
      maximize: false,
      ...options,
    });
  }

  protected override checkOptions(o: RMSpropOptions): void {
    checkRange("RMSprop", "alpha", o.alpha, 0);
    checkRange("RMSprop", "eps", o.eps, 0);
    checkRange("RMSprop", "momentum", o.momentum, 0);
    checkRange("RMSprop", "weightDecay", o.weightDecay, 0);
  }

  protected override createState(param: Tensor, o: RMSpropOptions): ParamState {
    return {
      square_avg: zeroState(param),
      ...(o.momentum > 0 ? { momentum_buffer: zeroState(param) } : {}),
      ...(o.centered ? { grad_avg: zeroState(param) } : {}),
    };
  }

  protected override updateGroup(group: ParamGroup<RMSpropOptions>): void {
    const lr = learningRate(group);
    const alpha = tracked(group, "alpha");
    const eps = tracked(group, "eps");
    const weightDecay = tracked(group, "weightDecay");
    const momentum = tracked(group, "momentum");
    const centered = tracked(group, "centered");
    for (const { param, grad, state } of this.updates(group)) {
      const g = withDecay(grad, param, weightDecay);
      const square = stateOf(state, "square_avg");
      square.mul_(alpha).addcmul_(g, g, { value: 1 - alpha });
      let average = square;
      if (centered) {
        const mean = stateOf(state, "grad_avg");
        mean.lerp_(g, 1 - alpha);
        average = square.sub(mean.mul(mean));
      }
      const update = g.div(average.sqrt().add(eps));
      descend(param, momentum > 0 ? stateOf(state, "momentum_buffer").mul_(momentum).add_(update) : update, lr);
    }
  }
}

/** Options of {@linkcode Adagrad}. */
export interface AdagradOptions extends CommonOptions {
  /** Default 0. */
  lrDecay: number;
  /** Default 0. */
  weightDecay: number;
  /** Where the sums of squares start. Default 0. */
  initialAccumulatorValue: number;
  /** Default 1e-10. */
  eps: number;
}

/** Divides gradients by the root of the sum of all their squares. */
export class Adagrad extends Optimizer<AdagradOptions> {
  constructor(params: Params<AdagradOptions>, options: Partial<AdagradOptions> = {}) {
    super(params, {
      lr: 1e-2,
      lrDecay: 0,
      weightDecay: 0,
      initialAccumulatorValue: 0,
      eps: 1e-10,
      maximize: false,
      ...options,
    });
  }

  protected override checkOptions(o: AdagradOptions): void {
    checkRange("Adagrad", "lrDecay", o.lrDecay, 0);
    checkRange("Adagrad", "weightDecay", o.weightDecay, 0);
    checkRange("Adagrad", "initialAccumulatorValue", o.initialAccumulatorValue, 0);
    checkRange("Adagrad", "eps", o.eps, 0);
  }

  protected override createState(param: Tensor, o: AdagradOptions): ParamState {
    return { step: stepCount(param), sum: zeroState(param).fill_(o.initialAccumulatorValue) };
  }

  protected override updateGroup(group: ParamGroup<AdagradOptions>): void {
    const lr = learningRate(group);
    const lrDecay = tracked(group, "lrDecay");
    const weightDecay = tracked(group, "weightDecay");
    const eps = tracked(group, "eps");
    this.countSteps(group);
    for (const { param, grad, state } of this.updates(group)) {
      const g = withDecay(grad, param, weightDecay);
      const sum = stateOf(state, "sum");
      sum.addcmul_(g, g);
      const rate = lrDecay === 0 ? lr : rateOver(lr, stepOf(state).sub(1).mul(lrDecay).add(1));
      descend(param, g.div(sum.sqrt().add(eps)), rate);
    }
  }
}
