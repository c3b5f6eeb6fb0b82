/**
 * What all optimisers share: parameter groups, state, saving and loading.
 *
 * State tensors exist from the start, and every step is in-place operators under `noGrad`, so a captured step is one graph and
 * nothing in it is frozen: step counts are 0-dim tensors, hyper-parameters are read with `tracked()`. State dicts have the layout
 * and the names of PyTorch's. Mirrors `torch.optim.Optimizer`.
 */
import { float32, shapeText } from "../core/mod.ts";
import { stateName } from "../nn/mod.ts";
import { F, noGrad, Tensor, tracked, trackedNumber, zeros } from "../tensor/mod.ts";

/** Options that every optimiser has. */
export interface CommonOptions {
  /** Learning rate; a 0-dim tensor can change without compiling again. */
  lr: number | Tensor;
  /** Ascend instead of descend. */
  maximize: boolean;
  /** What schedulers take as the start; set by them. */
  initialLr?: number;
}

/** State of one parameter by PyTorch's names, as `exp_avg`. */
export type ParamState = Record<string, Tensor>;

/** Parameters that share hyper-parameters, with their state in the same order. */
export type ParamGroup<O extends CommonOptions> = O & {
  readonly params: readonly Tensor[];
  readonly state: ParamState[];
};

/** What an optimiser is made for: parameters, or groups with options of their own. */
export type Params<O> = Iterable<Tensor> | Iterable<{ readonly params: Iterable<Tensor> } & Partial<O>>;

/** A saved optimiser, in PyTorch's layout. */
export interface OptimizerStateDict {
  readonly state: Readonly<Record<number, Readonly<ParamState>>>;
  readonly param_groups: readonly (Readonly<Record<string, unknown>> & { readonly params: readonly number[] })[];
}

/** Base class of optimisers. */
export abstract class Optimizer<O extends CommonOptions = CommonOptions> {
  readonly paramGroups: ParamGroup<O>[] = [];
  readonly defaults: O;

  constructor(params: Params<O>, defaults: O) {
    this.defaults = defaults;
    if (params instanceof Tensor) {
      throw new TypeError(`${this.constructor.name}: params is one tensor; pass a list, as in [w]`);
    }
    if (typeof Reflect.get(Object(params) as object, Symbol.iterator) !== "function") {
      throw new TypeError(
        `${this.constructor.name}: params must be a list of tensors or groups, as model.parameters()`,
      );
    }
    const list = [...params];
    if (list.length === 0) throw new TypeError(`${this.constructor.name}: got no parameters`);
    const plain: Tensor[] = [];
    for (const item of list) {
      if (item instanceof Tensor) plain.push(item);
      else if (typeof item === "object" && item !== null && "params" in item) this.addParamGroup(item);
      else {throw new TypeError(
          `${this.constructor.name}: params holds ${typeof item}; give tensors or { params: […] }`,
        );}
    }
    if (plain.length > 0) this.addParamGroup({ params: plain } as { params: Tensor[] } & Partial<O>);
  }

  /** State of a new parameter. */
  protected abstract createState(param: Tensor, group: O): ParamState;

  /** Updates the parameters of one group. */
  protected abstract updateGroup(group: ParamGroup<O>): void;

  /** Throws RangeError for hyper-parameters out of range. */
  protected abstract checkOptions(options: O): void;

  /**
   * Adds parameters with options of their own.
   *
   * @throws {TypeError} if a parameter is no leaf or stands in a group already; {RangeError} for bad options.
   */
  addParamGroup(group: { readonly params: Iterable<Tensor> } & Partial<O>): void {
    const where = this.constructor.name;
    const { params, ...own } = group;
    if (params instanceof Tensor) throw new TypeError(`${where}: params is one tensor; pass a list, as in [w]`);
    const options: O = { ...this.defaults, ...own };
    checkRange(where, "lr", options.lr instanceof Tensor ? 0 : options.lr, 0);
    this.checkOptions(options);
    const known = new Set(this.paramGroups.flatMap((g) => [...g.params]));
    const list = [...params];
    for (const p of list) {
      if (!(p instanceof Tensor)) throw new TypeError(`${where}: a parameter is ${typeof p}, not a tensor`);
      if (!p.isLeaf) {
        throw new TypeError(
          `${where}: a parameter of shape ${
            shapeText(p.shape)
          } is the result of operators; give a leaf, or its detach()`,
        );
      }
      if (known.has(p)) throw new TypeError(`${where}: a parameter of shape ${shapeText(p.shape)} is given twice`);
      known.add(p);
    }
    const state = noGrad(() => shareSteps(list.map((p) => this.createState(p, options))));
    this.paramGroups.push({ ...options, params: list, state });
  }

  /**
   * Updates all parameters that have a gradient.
   *
   * @param closure Computes the loss and its gradients again; called first.
   * @returns What the closure returned.
   */
  step(): void;
  step<T>(closure: () => T): T;
  step<T>(closure?: () => T): T | void {
    const result = closure?.();
    noGrad(() => {
      for (const group of this.paramGroups) this.updateGroup(group);
    });
    return result;
  }

  /** Forgets all gradients; with `setToNone: false` fills them with zeros. */
  zeroGrad(options: { readonly setToNone?: boolean } = {}): void {
    const setToNone = options.setToNone ?? true;
    for (const group of this.paramGroups) {
      for (const p of group.params) {
        if (setToNone) p.grad = null;
        else noGrad(() => p.grad?.zero_());
      }
    }
  }

  /** Parameters of a group that have a gradient, with that gradient and their state. */
  protected *updates(group: ParamGroup<O>): IterableIterator<{ param: Tensor; grad: Tensor; state: ParamState }> {
    const negate = tracked(group, "maximize");
    for (const [i, param] of group.params.entries()) {
      const grad = param.grad;
      const state = group.state[i];
      if (grad !== null && state !== undefined) yield { param, grad: negate ? grad.neg() : grad, state };
    }
  }

  /**
   * Adds one to the step counts of parameters with a gradient, and returns each count once.
   *
   * Parameters share a count as long as they move together, so that what follows from it is computed once.
   */
  protected countSteps(group: ParamGroup<O>): void {
    const members = new Map<Tensor, number[]>();
    for (const [i, state] of group.state.entries()) {
      const step = stepOf(state);
      const list = members.get(step);
      if (list === undefined) members.set(step, [i]);
      else list.push(i);
    }
    for (const [step, indices] of members) {
      const waiting = indices.filter((i) => group.params[i]?.grad === null);
      if (waiting.length === indices.length) continue;
      if (waiting.length > 0) {
        const copy = step.clone();
        for (const i of waiting) {
          const state = group.state[i];
          if (state !== undefined) state["step"] = copy;
        }
      }
      step.add_(1);
    }
  }

  /** State and options in PyTorch's layout. The tensors are the optimiser's own: clone them to keep them. */
  stateDict(): OptimizerStateDict {
    const state: Record<number, ParamState> = {};
    const groups: (Record<string, unknown> & { params: number[] })[] = [];
    let next = 0;
    for (const { params, state: states, ...options } of this.paramGroups) {
      const indices = params.map(() => next++);
      indices.forEach((index, i) => state[index] = { ...states[i] });
      const named = Object.entries(options).map(([key, value]) => [stateName(key), value]);
      groups.push({ ...Object.fromEntries(named), params: indices });
    }
    return { state, param_groups: groups };
  }

  /** Takes over a saved state. @throws {TypeError} if groups, parameters or shapes differ; then nothing is changed. */
  loadStateDict(dict: OptimizerStateDict): void {
    const where = `${this.constructor.name}.loadStateDict`;
    if (dict.param_groups.length !== this.paramGroups.length) {
      throw new TypeError(`${where}: ${dict.param_groups.length} groups saved, ${this.paramGroups.length} here`);
    }
    const writes: (() => void)[] = [];
    for (const [g, group] of this.paramGroups.entries()) {
      const saved = dict.param_groups[g];
      if (saved === undefined || saved.params.length !== group.params.length) {
        throw new TypeError(
          `${where}: group ${g} has ${saved?.params.length} parameters saved, ${group.params.length} here`,
        );
      }
      for (const key of Object.keys(this.defaults)) {
        const value = saved[stateName(key)];
        if (value !== undefined) writes.push(() => Reflect.set(group, key, value));
      }
      const initial = saved["initial_lr"];
      if (initial !== undefined) writes.push(() => Reflect.set(group, "initialLr", initial));
      const steps = new Map<number, Tensor>();
      for (const [i, own] of group.state.entries()) {
        const from = dict.state[saved.params[i] ?? -1];
        if (from === undefined) continue;
        for (const [name, target] of Object.entries(own)) {
          const source = from[name];
          if (source === undefined) {
            throw new TypeError(`${where}: parameter ${i} of group ${g} has no "${name}" saved`);
          }
          if (name === "step") {
            const count = source.item();
            const shared = steps.get(count) ?? zeros([], { dtype: float32, device: target.device }).fill_(count);
            steps.set(count, shared);
            writes.push(() => own[name] = shared);
            continue;
          }
          if (source.shape.join() !== target.shape.join()) {
            throw new TypeError(
              `${where}: "${name}" of parameter ${i} of group ${g} has shape ${shapeText(source.shape)} saved, ${
                shapeText(target.shape)
              } here`,
            );
          }
          writes.push(() => target.copy_(source));
        }
      }
    }
    noGrad(() => writes.forEach((write) => write()));
  }

  toString(): string {
    const groups = this.paramGroups.map(({ params: _p, state: _s, ...options }, i) =>
      `Parameter Group ${i}\n${
        Object.entries(options).map(([k, v]) => `    ${stateName(k)}: ${v}`).sort().join("\n")
      }\n`
    );
    return `${this.constructor.name} (\n${groups.join("\n")})`;
  }
}

/** The step count of a parameter. */
export function stepOf(state: ParamState): Tensor {
  const step = state["step"];
  if (step === undefined) throw new TypeError("the state of a parameter has no step count");
  return step;
}

/** A tensor of the state. */
export function stateOf(state: ParamState, name: string): Tensor {
  const found = state[name];
  if (found === undefined) {
    throw new TypeError(`the state of a parameter has no "${name}": options that need state cannot be turned on later`);
  }
  return found;
}

/** Zeros like the parameter. */
export function zeroState(param: Tensor): Tensor {
  return zeros(param.shape, { dtype: param.dtype, device: param.device });
}

/** A count of steps: 0-dim float32, as PyTorch keeps it. */
export function stepCount(param: Tensor): Tensor {
  return zeros([], { dtype: float32, device: param.device });
}

/** Parameters of one device start with one common count. */
function shareSteps(states: ParamState[]): ParamState[] {
  const first = new Map<unknown, Tensor>();
  for (const state of states) {
    const step = state["step"];
    if (step === undefined) continue;
    const shared = first.get(step.device);
    if (shared === undefined) first.set(step.device, step);
    else state["step"] = shared;
  }
  return states;
}

/** The learning rate of a group. In a compiled function it becomes a tensor once it has changed. */
export function learningRate(group: ParamGroup<CommonOptions>): number | Tensor {
  // Such a tensor is on the CPU.
  const isHere = group.params[0]?.device.type === "cpu";
  return isHere ? trackedNumber(group, "lr") : tracked(group, "lr");
}

/** lr / divisor in the divisor's dtype, with a learning rate of either kind. */
export function rateOver(lr: number | Tensor, divisor: Tensor): Tensor {
  return F.div(lr instanceof Tensor ? lr.to(divisor.dtype) : lr, divisor);
}

/** The gradient of the loss with weightDecay/2 · |param|² added to it. */
export function withDecay(grad: Tensor, param: Tensor, weightDecay: number): Tensor {
  return weightDecay === 0 ? grad : grad.add(param, { alpha: weightDecay });
}

/** param -= lr·update, with a learning rate of either kind: rounded once, and alike. */
export function descend(param: Tensor, update: Tensor, lr: number | Tensor): void {
  if (lr instanceof Tensor) param.addcmul_(update, lr, { value: -1 });
  else param.add_(update, { alpha: -lr });
}

/** @throws {RangeError} unless low ≤ value < high. */
export function checkRange(where: string, name: string, value: number, low: number, high = Infinity): void {
  if (!(value >= low && value < high)) {
    throw new RangeError(`${where}: ${name} must be in [${low}, ${high}), got ${value}`);
  }
}
