/**
 * Schedules of the learning rate: PyTorch's `torch.optim.lr_scheduler`.
 *
 * Rates follow from the number of steps in closed form, so a schedule can start anywhere. Where the learning rate of a group is a tensor it is
 * written in place, which compiled steps see without compiling again.
 */
import { noGrad, Tensor } from "../tensor/mod.ts";
import type { CommonOptions, Optimizer, ParamGroup } from "./optimizer.ts";

function readLr(group: CommonOptions): number {
  return group.lr instanceof Tensor ? group.lr.item() : group.lr;
}

function writeLr(group: CommonOptions, value: number): void {
  const lr = group.lr;
  if (lr instanceof Tensor) noGrad(() => lr.fill_(value));
  else group.lr = value;
}

/** Base class of schedules that depend on the number of steps alone. */
export abstract class LRScheduler<O extends CommonOptions = CommonOptions> {
  readonly optimizer: Optimizer<O>;
  /** Learning rates of the groups where the schedule starts. */
  baseLrs: number[];
  /** Number of steps so far. */
  lastEpoch = 0;

  constructor(optimizer: Optimizer<O>) {
    if (!Array.isArray(Reflect.get(Object(optimizer) as object, "paramGroups"))) {
      throw new TypeError(`${this.constructor.name}: the first argument must be an optimizer`);
    }
    this.optimizer = optimizer;
    this.baseLrs = optimizer.paramGroups.map((group) => group.initialLr ??= readLr(group));
  }

  /** The rate of a group after `epoch` steps. */
  protected abstract rate(base: number, epoch: number, group: number): number;

  /** Sets the rates for the present step; subclasses call it when they are complete. */
  protected apply(): void {
    this.optimizer.paramGroups.forEach((group, i) => {
      writeLr(group, this.rate(this.baseLrs[i] ?? 0, this.lastEpoch, i));
    });
  }

  /** Goes one step on. Call it after the optimiser's step. */
  step(): void {
    this.lastEpoch++;
    this.apply();
  }

  /** The present rates of the groups. */
  getLastLr(): number[] {
    return this.optimizer.paramGroups.map(readLr);
  }

  stateDict(): { readonly last_epoch: number; readonly base_lrs: readonly number[] } {
    return { last_epoch: this.lastEpoch, base_lrs: [...this.baseLrs] };
  }

  loadStateDict(dict: { readonly last_epoch: number; readonly base_lrs: readonly number[] }): void {
    if (dict.base_lrs.length !== this.baseLrs.length) {
      throw new TypeError(`loadStateDict: ${dict.base_lrs.length} groups saved, ${this.baseLrs.length} here`);
    }
    this.lastEpoch = dict.last_epoch;
    this.baseLrs = [...dict.base_lrs];
    this.apply();
  }
}

/** Times `gamma` every `stepSize` steps. */
export class StepLR<O extends CommonOptions> extends LRScheduler<O> {
  readonly stepSize: number;
  readonly gamma: number;

  constructor(optimizer: Optimizer<O>, options: { readonly stepSize: number; readonly gamma?: number }) {
    super(optimizer);
    if (!(options.stepSize >= 1)) throw new RangeError(`StepLR: stepSize must be at least 1, got ${options.stepSize}`);
    this.stepSize = options.stepSize;
    this.gamma = options.gamma ?? 0.1;
    this.apply();
  }

  protected override rate(base: number, epoch: number): number {
    return base * this.gamma ** Math.floor(epoch / this.stepSize);
  }
}

/** Half a cosine from the base rate to `etaMin` in `tMax` steps (Loshchilov & Hutter 2017). */
export class CosineAnnealingLR<O extends CommonOptions> extends LRScheduler<O> {
  readonly tMax: number;
  readonly etaMin: number;

  constructor(optimizer: Optimizer<O>, options: { readonly tMax: number; readonly etaMin?: number }) {
    super(optimizer);
    if (!(options.tMax >= 1)) throw new RangeError(`CosineAnnealingLR: tMax must be at least 1, got ${options.tMax}`);
    this.tMax = options.tMax;
    this.etaMin = options.etaMin ?? 0;
    this.apply();
  }

  protected override rate(base: number, epoch: number): number {
    return this.etaMin + (base - this.etaMin) * (1 + Math.cos(Math.PI * epoch / this.tMax)) / 2;
  }
}

/** The base rate times a function of the number of steps; one function, or one a group. */
export class LambdaLR<O extends CommonOptions> extends LRScheduler<O> {
  readonly factors: readonly ((epoch: number) => number)[];

  constructor(optimizer: Optimizer<O>, factor: ((epoch: number) => number) | readonly ((epoch: number) => number)[]) {
    super(optimizer);
    const n = optimizer.paramGroups.length;
    this.factors = typeof factor === "function" ? new Array<(epoch: number) => number>(n).fill(factor) : factor;
    if (this.factors.length !== n) {
      throw new TypeError(`LambdaLR: ${this.factors.length} functions for ${n} groups`);
    }
    this.apply();
  }

  protected override rate(base: number, epoch: number, group: number): number {
    return base * (this.factors[group]?.(epoch) ?? 1);
  }
}

/** Options of {@linkcode OneCycleLR}. */
export interface OneCycleOptions {
  readonly maxLr: number | readonly number[];
  /** Length of the cycle in steps. */
  readonly totalSteps: number;
  /** Share of the cycle in which the rate rises. Default 0.3. */
  readonly pctStart?: number;
  /** Default `"cos"`. */
  readonly annealStrategy?: "cos" | "linear";
  /** Move momentum (or the first beta) the other way. Default true. */
  readonly cycleMomentum?: boolean;
  /** Default 0.85. */
  readonly baseMomentum?: number;
  /** Default 0.95. */
  readonly maxMomentum?: number;
  /** The rate starts at maxLr / divFactor. Default 25. */
  readonly divFactor?: number;
  /** The rate ends at the start divided by this. Default 1e4. */
  readonly finalDivFactor?: number;
}

/** Up to a maximum and down again in one cycle, momentum the other way (Smith & Topin 2018). One step a batch. */
export class OneCycleLR<O extends CommonOptions> extends LRScheduler<O> {
  readonly maxLrs: readonly number[];
  readonly options: Required<Omit<OneCycleOptions, "maxLr">>;

  constructor(optimizer: Optimizer<O>, options: OneCycleOptions) {
    super(optimizer);
    const { maxLr, ...rest } = options;
    const n = optimizer.paramGroups.length;
    this.maxLrs = typeof maxLr === "number" ? new Array<number>(n).fill(maxLr) : maxLr;
    this.options = {
      pctStart: 0.3,
      annealStrategy: "cos",
      cycleMomentum: true,
      baseMomentum: 0.85,
      maxMomentum: 0.95,
      divFactor: 25,
      finalDivFactor: 1e4,
      ...rest,
    };
    const { totalSteps, pctStart } = this.options;
    if (!Number.isInteger(totalSteps) || totalSteps < 1) {
      throw new RangeError(`OneCycleLR: totalSteps must be a positive integer, got ${totalSteps}`);
    }
    if (!(pctStart >= 0 && pctStart <= 1)) {
      throw new RangeError(`OneCycleLR: pctStart must be in [0, 1], got ${pctStart}`);
    }
    if (this.maxLrs.length !== n) {
      throw new TypeError(`OneCycleLR: ${this.maxLrs.length} values of maxLr for ${n} groups`);
    }
    this.baseLrs = this.maxLrs.map((rate) => rate / this.options.divFactor);
    optimizer.paramGroups.forEach((group, i) => group.initialLr = this.baseLrs[i] ?? 0);
    this.apply();
  }

  protected override apply(): void {
    super.apply();
    const { cycleMomentum, maxMomentum, baseMomentum } = this.options;
    if (!cycleMomentum) return;
    const momentum = this.between(this.lastEpoch, maxMomentum, baseMomentum, maxMomentum);
    for (const group of this.optimizer.paramGroups) writeMomentum(group, momentum);
  }

  protected override rate(base: number, epoch: number, group: number): number {
    return this.between(epoch, base, this.maxLrs[group] ?? base, base / this.options.finalDivFactor);
  }

  /** From `start` to `middle` while rising, then to `end`. */
  private between(epoch: number, start: number, middle: number, end: number): number {
    const { totalSteps, pctStart, annealStrategy } = this.options;
    if (epoch > totalSteps) {
      throw new RangeError(`OneCycleLR: step ${epoch} is beyond the cycle of ${totalSteps} steps`);
    }
    const top = pctStart * totalSteps - 1;
    const last = totalSteps - 1;
    const [from, to, share] = epoch <= top || last === top
      ? [start, middle, top <= 0 ? 1 : epoch / top]
      : [middle, end, (epoch - top) / (last - top)];
    return annealStrategy === "linear"
      ? from + (to - from) * share
      : to + (from - to) * (1 + Math.cos(Math.PI * share)) / 2;
  }
}

function writeMomentum<O extends CommonOptions>(group: ParamGroup<O>, value: number): void {
  const betas: unknown = Reflect.get(group, "betas");
  if (Array.isArray(betas)) Reflect.set(group, "betas", [value, ...betas.slice(1)]);
  else if (typeof Reflect.get(group, "momentum") === "number") Reflect.set(group, "momentum", value);
  else throw new TypeError("OneCycleLR: the optimiser has no momentum to cycle; pass cycleMomentum: false");
}

/** Options of {@linkcode ReduceLROnPlateau}. */
export interface PlateauOptions {
  /** Whether smaller (`"min"`, default) or larger values are better. */
  readonly mode?: "min" | "max";
  /** Default 0.1. */
  readonly factor?: number;
  /** Steps without improvement that are let pass. Default 10. */
  readonly patience?: number;
  /** What counts as improvement. Default 1e-4. */
  readonly threshold?: number;
  /** Whether the threshold is a share of the best value. Default `"rel"`. */
  readonly thresholdMode?: "rel" | "abs";
  /** Steps after a reduction in which nothing is counted. Default 0. */
  readonly cooldown?: number;
  /** Default 0. */
  readonly minLr?: number;
  /** Smaller changes of the rate are not made. Default 1e-8. */
  readonly eps?: number;
}

/** Times `factor` when a metric has stopped to improve. */
export class ReduceLROnPlateau<O extends CommonOptions> {
  readonly optimizer: Optimizer<O>;
  readonly options: Required<PlateauOptions>;
  best: number;
  badEpochs = 0;
  cooldownLeft = 0;

  constructor(optimizer: Optimizer<O>, options: PlateauOptions = {}) {
    this.optimizer = optimizer;
    this.options = {
      mode: "min",
      factor: 0.1,
      patience: 10,
      threshold: 1e-4,
      thresholdMode: "rel",
      cooldown: 0,
      minLr: 0,
      eps: 1e-8,
      ...options,
    };
    if (!(this.options.factor < 1)) {
      throw new RangeError(`ReduceLROnPlateau: factor must be below 1, got ${options.factor}`);
    }
    this.best = this.options.mode === "min" ? Infinity : -Infinity;
  }

  /** Goes one step on with the metric's present value. */
  step(metric: number): void {
    const { factor, patience, cooldown, minLr, eps } = this.options;
    if (this.isBetter(metric)) {
      this.best = metric;
      this.badEpochs = 0;
    } else {
      this.badEpochs++;
    }
    if (this.cooldownLeft > 0) {
      this.cooldownLeft--;
      this.badEpochs = 0;
    }
    if (this.badEpochs <= patience) return;
    for (const group of this.optimizer.paramGroups) {
      const before = readLr(group);
      const after = Math.max(before * factor, minLr);
      if (before - after > eps) writeLr(group, after);
    }
    this.cooldownLeft = cooldown;
    this.badEpochs = 0;
  }

  /** The present rates of the groups. */
  getLastLr(): number[] {
    return this.optimizer.paramGroups.map(readLr);
  }

  private isBetter(value: number): boolean {
    const { mode, threshold, thresholdMode } = this.options;
    if (thresholdMode === "abs") {
      return mode === "min" ? value < this.best - threshold : value > this.best + threshold;
    }
    // As in PyTorch: an infinite best value stays infinite.
    return mode === "min" ? value < this.best * (1 - threshold) : value > this.best * (1 + threshold);
  }
}
