/**
 * Stochastic gradient descent with momentum (Sutskever et al. 2013), as PyTorch defines it.
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
  stateOf,
  stepCount,
  stepOf,
  withDecay,
  zeroState,
} from "./optimizer.ts";

/** Options of {@linkcode SGD}. */
export interface SGDOptions extends CommonOptions {
  /** Default 0. */
  momentum: number;
  /** Share of the gradient that is kept out of the momentum. Default 0. */
  dampening: number;
  /** Default 0. */
  weightDecay: number;
  /** Look ahead along the momentum. Default false. */
  nesterov: boolean;
}

/**
 * Stochastic gradient descent.
 *
 * @example
 * ```ts
 * import { optim, tensor } from "@tessera/tessera";
 * const w = tensor([1.5, 2]).requiresGrad_();
 * const opt = new optim.SGD([w], { lr: 0.1 });
 * w.mul(w).sum().backward();
 * opt.step();
 * console.assert(Math.abs(w.at(0).item() - 1.2) < 1e-6);
 * ```
 */
export class SGD extends Optimizer<SGDOptions> {
  constructor(params: Params<SGDOptions>, options: Partial<SGDOptions> = {}) {
    super(params, {
      lr: 1e-3,
      momentum: 0,
      dampening: 0,
      weightDecay: 0,
      nesterov: false,
      maximize: false,
      ...options,
    });
  }

  protected override checkOptions(o: SGDOptions): void {
    checkRange("SGD", "momentum", o.momentum, 0);
    checkRange("SGD", "weightDecay", o.weightDecay, 0);
    if (o.nesterov && (o.momentum === 0 || o.dampening !== 0)) {
      throw new RangeError(
        `SGD: nesterov needs a momentum and no dampening, got momentum ${o.momentum} and dampening ${o.dampening}`,
      );
    }
  }

  protected override createState(param: Tensor, o: SGDOptions): ParamState {
    if (o.momentum === 0) return {};
    const buffer = { momentum_buffer: zeroState(param) };
    return o.dampening === 0 ? buffer : { ...buffer, step: stepCount(param) };
  }

  protected override updateGroup(group: ParamGroup<SGDOptions>): void {
    const lr = learningRate(group);
    const momentum = tracked(group, "momentum");
    const dampening = tracked(group, "dampening");
    const weightDecay = tracked(group, "weightDecay");
    const nesterov = tracked(group, "nesterov");
    for (const { param, grad, state } of this.updates(group)) {
      const g = withDecay(grad, param, weightDecay);
      if (momentum === 0) {
        descend(param, g, lr);
        continue;
      }
      const buffer = stateOf(state, "momentum_buffer");
      if (dampening === 0) {
        buffer.mul_(momentum).add_(g);
      } else {
        // The first gradient enters whole: PyTorch starts the buffer as its copy.
        const kept = stepOf(state).eq(0).to(param.dtype).mul(dampening).add(1 - dampening);
        buffer.mul_(momentum).add_(g.mul(kept));
      }
      descend(param, nesterov ? g.add(buffer, { alpha: momentum }) : buffer, lr);
    }
    if (momentum !== 0 && dampening !== 0) this.countSteps(group);
  }
}
