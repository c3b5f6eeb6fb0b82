/**
 * Gradient scaling: small gradients of float16 survive when the loss is multiplied by a large number, and steps whose gradients overflow are left out.
 *
 * Enters: a loss; leaves: one whose gradients are `scale` times as large. `step()` divides them again, looks for infinities and NaN, and lets the optimiser step if there are none;
 * `update()` halves the scale after a bad step and doubles it after many good ones. All state is tensors and nothing reads their data, so a captured training step
 * stays one graph: there the step is made, and what it changed is chosen against what it was. Eagerly the optimiser does not run. Nothing here is private to an object,
 * because capture sees objects through Proxies. Mirrors `torch.amp.GradScaler`.
 */
import { type Device, float32, int32, warnOnce } from "../core/mod.ts";
import { loadDriver } from "../runtime/cuda/driver.ts";
import { activeMode, F, noGrad, Tensor, zeros } from "../tensor/mod.ts";
import { checkRange, type CommonOptions, type Optimizer } from "./optimizer.ts";

/** Options of {@linkcode GradScaler}. */
export interface GradScalerOptions {
  /** Default 65536. */
  readonly initScale?: number;
  /** What the scale is multiplied by after `growthInterval` good steps; more than 1, default 2. */
  readonly growthFactor?: number;
  /** What the scale is multiplied by after a bad step; less than 1, default 0.5. */
  readonly backoffFactor?: number;
  /** Default 2000. */
  readonly growthInterval?: number;
  /** False makes everything a plain step. Default true. */
  readonly enabled?: boolean;
}

/** State of a scaler, with PyTorch's names. */
export interface GradScalerState {
  readonly scale: number;
  readonly growth_factor: number;
  readonly backoff_factor: number;
  readonly growth_interval: number;
  readonly _growth_tracker: number;
}

type AnyOptimizer = Optimizer<CommonOptions>;

/** What happened to an optimiser's gradients since the last `update()`. */
interface Progress {
  readonly optimizer: AnyOptimizer;
  /** 1 if a gradient was infinite or NaN. */
  readonly foundInf: Tensor;
  stepped: boolean;
}

/**
 * Scales losses and steps optimisers.
 *
 * @example
 * ```ts
 * import { autocast, float16, nn, optim, randn } from "../../mod.ts";
 *
 * const layer = new nn.Linear(4, 2);
 * const opt = new optim.SGD(layer.parameters(), { lr: 0.1 });
 * const scaler = new optim.GradScaler("cpu");
 * const loss = autocast("cpu", { dtype: float16 }, () => layer.forward(randn([3, 4]))).pow(2).mean();
 * scaler.scale(loss).backward();
 * scaler.step(opt);
 * scaler.update();
 * opt.zeroGrad();
 * console.log(scaler.getScale()); // 65536
 * ```
 */
export class GradScaler {
  readonly enabled: boolean;
  readonly growthFactor: number;
  readonly backoffFactor: number;
  readonly growthInterval: number;
  /** float32, no dimensions. */
  readonly scaleTensor: Tensor;
  /** int32, no dimensions: good steps since the scale changed. */
  readonly growthTracker: Tensor;
  readonly progress: Progress[] = [];

  /**
   * On "cuda" without a GPU it warns and is disabled.
   *
   * @throws {RangeError} for factors on the wrong side of 1, or an interval below 1.
   */
  constructor(device: Device | string = "cuda", options: GradScalerOptions = {}) {
    const { initScale = 65536, growthFactor = 2, backoffFactor = 0.5, growthInterval = 2000, enabled = true } = options;
    checkRange("GradScaler", "initScale", initScale, Number.MIN_VALUE);
    checkRange("GradScaler", "backoffFactor", backoffFactor, 0, 1);
    checkRange("GradScaler", "growthInterval", growthInterval, 1);
    if (!(growthFactor > 1)) throw new RangeError(`GradScaler: growthFactor must be more than 1, got ${growthFactor}`);
    // As in PyTorch, a program that asks for CUDA where there is none runs unscaled.
    const isThere = !String(device).startsWith("cuda") || loadDriver().ok;
    if (enabled && !isThere) {
      warnOnce("GradScaler: there is no CUDA here, so nothing is scaled; give it the device of the parameters");
    }
    this.enabled = enabled && isThere;
    this.growthFactor = growthFactor;
    this.backoffFactor = backoffFactor;
    this.growthInterval = growthInterval;
    const place = { device: this.enabled ? device as Device : "cpu" } as const;
    this.scaleTensor = zeros([], { dtype: float32, ...place }).fill_(initScale);
    this.growthTracker = zeros([], { dtype: int32, ...place });
  }

  /** The loss (or several tensors) times the scale. */
  scale(outputs: Tensor): Tensor;
  scale(outputs: readonly Tensor[]): Tensor[];
  scale(outputs: Tensor | readonly Tensor[]): Tensor | Tensor[] {
    const one = (t: Tensor): Tensor => this.enabled ? t.mul(this.scaleTensor.to(t.dtype)) : t;
    // A number of float16 cannot hold the scale: such a loss is scaled in float32, as promotion would.
    const wide = (t: Tensor): Tensor => t.dtype.bytes === 2 ? one(t.to(float32)) : one(t);
    return outputs instanceof Tensor ? wide(outputs) : outputs.map(wide);
  }

  /**
   * Divides the gradients of an optimiser's parameters by the scale, as before clipping them. `step()` does it where it was not done.
   *
   * @throws {Error} if it was done since the last `update()`; {TypeError} for gradients in float16.
   */
  unscale(optimizer: AnyOptimizer): void {
    if (!this.enabled) return;
    if (this.progressOf(optimizer) !== undefined) {
      throw new Error(
        "GradScaler: the gradients of this optimiser are unscaled already; call update() after each step()",
      );
    }
    this.takeGradients(optimizer);
  }

  /**
   * Lets the optimiser step, unless a gradient is infinite or NaN.
   *
   * @param closure As `optimizer.step(closure)` takes it, for a scaler that is disabled.
   * @throws {Error} if it stepped since the last `update()`, or has no gradients; {TypeError} for a closure while it is enabled.
   */
  step(optimizer: AnyOptimizer, closure?: () => unknown): void {
    if (!this.enabled) {
      if (closure === undefined) optimizer.step();
      else optimizer.step(closure);
      return;
    }
    if (closure !== undefined) {
      throw new TypeError(
        "GradScaler: step() takes no closure, whose gradients would be scaled anew each time: " +
          "compute the loss, call scale(loss).backward(), then step(optimizer)",
      );
    }
    const progress = this.progressOf(optimizer) ?? this.takeGradients(optimizer);
    if (progress.stepped) {
      throw new Error("GradScaler: this optimiser has stepped already; call update() after each step()");
    }
    progress.stepped = true;
    const { foundInf } = progress;
    if (activeMode() === null) {
      if (foundInf.item() === 0) optimizer.step();
      return;
    }
    noGrad(() => {
      const written = tensorsOf(optimizer);
      const before = written.map((t) => t.clone());
      optimizer.step();
      const bad = foundInf.ne(0);
      written.forEach((t, i) => t.copy_(F.where(bad, before[i] as Tensor, t)));
    });
  }

  /**
   * Adapts the scale to what the steps since the last call have found, or sets it.
   *
   * @throws {Error} if no optimiser stepped.
   */
  update(newScale: number | null = null): void {
    if (!this.enabled) return;
    noGrad(() => {
      if (newScale !== null) {
        checkRange("GradScaler.update", "newScale", newScale, Number.MIN_VALUE);
        this.scaleTensor.fill_(newScale);
        this.growthTracker.zero_();
        return;
      }
      const [first, ...more] = this.progress.map((p) => p.foundInf.to(this.scaleTensor.device));
      if (first === undefined) {
        throw new Error("GradScaler: update() without a step(): nothing is known of any gradients");
      }
      const bad = more.reduce((a, b) => a.add(b), first).ne(0);
      const scale = this.scaleTensor.clone();
      const good = this.growthTracker.add(1);
      const grows = good.eq(this.growthInterval);
      const grown = scale.mul(this.growthFactor);
      // A scale that would be infinite stays.
      const next = F.where(grows.logicalAnd(grown.isfinite()), grown, scale);
      this.scaleTensor.copy_(F.where(bad, scale.mul(this.backoffFactor), next));
      this.growthTracker.copy_(F.where(bad.logicalOr(grows), good.mul(0), good));
    });
    this.progress.length = 0;
  }

  /** The scale; waits for the device. 1 if disabled. */
  getScale(): number {
    return this.enabled ? Number(this.scaleTensor.item()) : 1;
  }

  /** State in PyTorch's layout; empty if disabled. */
  stateDict(): GradScalerState | Record<string, never> {
    if (!this.enabled) return {};
    return {
      scale: this.getScale(),
      growth_factor: this.growthFactor,
      backoff_factor: this.backoffFactor,
      growth_interval: this.growthInterval,
      _growth_tracker: Number(this.growthTracker.item()),
    };
  }

  /** Takes over a saved state. @throws {TypeError} if it is empty because it was saved while disabled. */
  loadStateDict(state: Partial<GradScalerState>): void {
    if (!this.enabled) return;
    const { scale, _growth_tracker: tracker } = state;
    if (scale === undefined || tracker === undefined) {
      throw new TypeError("GradScaler.loadStateDict: the state is empty, possibly of a scaler that was disabled");
    }
    const { growth_factor, backoff_factor, growth_interval } = state;
    Object.assign(this, {
      growthFactor: growth_factor ?? this.growthFactor,
      backoffFactor: backoff_factor ?? this.backoffFactor,
      growthInterval: growth_interval ?? this.growthInterval,
    });
    noGrad(() => {
      this.scaleTensor.fill_(scale);
      this.growthTracker.fill_(tracker);
    });
  }

  protected progressOf(optimizer: AnyOptimizer): Progress | undefined {
    return this.progress.find((p) => p.optimizer === optimizer);
  }

  protected takeGradients(optimizer: AnyOptimizer): Progress {
    const grads = optimizer.paramGroups.flatMap((g) => [...g.params].flatMap((p) => p.grad === null ? [] : [p.grad]));
    const [first] = grads;
    if (first === undefined) {
      throw new Error("GradScaler: no parameter of this optimiser has a gradient; call backward() first");
    }
    if (grads.some((g) => g.dtype.bytes === 2 && g.dtype.name === "float16")) {
      throw new TypeError(
        "GradScaler: gradients are float16 and cannot be unscaled; keep parameters in float32 and use autocast()",
      );
    }
    const foundInf = noGrad(() => {
      const bad = grads.map((g) => g.isfinite().logicalNot().any().to(first.device));
      const inverse = this.scaleTensor.reciprocal();
      for (const g of grads) g.mul_(inverse.to(g.dtype).to(g.device));
      return F.stack(bad).any().to(float32);
    });
    const made: Progress = { optimizer, foundInf, stepped: false };
    this.progress.push(made);
    return made;
  }
}

/** What a step may write: parameters with a gradient, and state. */
function tensorsOf(optimizer: AnyOptimizer): Tensor[] {
  const found = new Set<Tensor>();
  for (const group of optimizer.paramGroups) {
    group.params.forEach((p, i) => {
      if (p.grad === null) return;
      found.add(p);
      for (const t of Object.values(group.state[i] ?? {})) found.add(t);
    });
  }
  return [...found];
}
