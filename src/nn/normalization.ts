/**
 * Normalisation layers.
 *
 * Batch normalisation keeps running statistics in buffers that are written in place, in a compiled training step too. Options that
 * `forward` reads are plain properties, so that capture can guard them.
 */
import { int64 } from "../core/mod.ts";
import { noGrad, ones, type Tensor, zeros } from "../tensor/mod.ts";
import { batchNorm, groupNorm, instanceNorm, layerNorm, rmsNorm } from "./functional/normalization.ts";
import { type FactoryOptions, flag, placement } from "./linear.ts";
import { Module } from "./module.ts";
import { type Parameter, parameter } from "./parameter.ts";
import { tupleText } from "./conv.ts";

/** Options of batch normalisation. */
export interface BatchNormLayerOptions extends FactoryOptions {
  /** Default 1e-5. */
  readonly eps?: number;
  /** Share of a batch in the running statistics; null takes the mean over all batches. Default 0.1. */
  readonly momentum?: number | null;
  /** Learn a scale and a shift. Default true. */
  readonly affine?: boolean;
  /** Keep running statistics for evaluation. Default true. */
  readonly trackRunningStats?: boolean;
}

/** How PyTorch prints a number: `1e-05`, `0.1`. */
function numberText(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-4
    ? value.toExponential().replace(/e([-+])(\d)$/, "e$10$2")
    : String(value);
}

abstract class BatchNorm extends Module {
  readonly numFeatures: number;
  readonly eps: number;
  readonly momentum: number | null;
  readonly affine: boolean;
  readonly trackRunningStats: boolean;
  weight: Parameter | null;
  bias: Parameter | null;
  declare runningMean: Tensor | null;
  declare runningVar: Tensor | null;
  declare numBatchesTracked: Tensor | null;

  constructor(numFeatures: number, options: BatchNormLayerOptions = {}) {
    super();
    const where = placement(options);
    this.numFeatures = numFeatures;
    this.eps = options.eps ?? 1e-5;
    this.momentum = options.momentum === undefined ? 0.1 : options.momentum;
    this.affine = options.affine ?? true;
    this.trackRunningStats = options.trackRunningStats ?? true;
    this.weight = this.affine ? parameter(ones([numFeatures], where)) : null;
    this.bias = this.affine ? parameter(zeros([numFeatures], where)) : null;
    const track = this.trackRunningStats;
    this.registerBuffer("runningMean", track ? zeros([numFeatures], where) : null);
    this.registerBuffer("runningVar", track ? ones([numFeatures], where) : null);
    this.registerBuffer("numBatchesTracked", track ? zeros([], { ...where, dtype: int64 }) : null);
  }

  /** Dimensions that inputs may have. */
  protected abstract readonly ranks: readonly number[];

  override forward(x: Tensor): Tensor {
    if (!this.ranks.includes(x.ndim)) {
      throw new TypeError(
        `${this.typeName()}: needs ${this.ranks.join(" or ")} dimensions, got [${x.shape.join(", ")}]`,
      );
    }
    const { runningMean, runningVar, numBatchesTracked, training, eps } = this;
    if (training && numBatchesTracked !== null) numBatchesTracked.add_(1);
    const averages = training && this.momentum === null && numBatchesTracked !== null;
    // A plain average: the share of a batch is one by their number. It stays a tensor, so that compiled steps need not know it.
    const before = averages ? [runningMean?.clone() ?? null, runningVar?.clone() ?? null] as const : null;
    const y = batchNorm(x, runningMean, runningVar, {
      weight: this.weight,
      bias: this.bias,
      training: training || runningMean === null,
      momentum: averages ? 1 : this.momentum ?? 0,
      eps,
    });
    if (before !== null && numBatchesTracked !== null) {
      noGrad(() => {
        [runningMean, runningVar].forEach((batch, i) => {
          const old = before[i] ?? null;
          if (batch !== null && old !== null) batch.copy_(old.add(batch.sub(old).div(numBatchesTracked)));
        });
      });
    }
    return y;
  }

  override extraRepr(): string {
    return `${this.numFeatures}, eps=${numberText(this.eps)}, momentum=${this.momentum ?? "None"}, affine=${
      flag(this.affine)
    }, track_running_stats=${flag(this.trackRunningStats)}`;
  }
}

/** Batch normalisation over [batch, channels] or [batch, channels, length]. */
export class BatchNorm1d extends BatchNorm {
  protected override readonly ranks = [2, 3];
}

/**
 * Batch normalisation over [batch, channels, height, width].
 *
 * @example
 * ```ts
 * import { nn, randn } from "@tessera/tessera";
 * const norm = new nn.BatchNorm2d(3);
 * const y = norm.forward(randn([8, 3, 4, 4]).mul(5).add(2));
 * console.assert(Math.abs(y.mean().item()) < 1e-5);
 * console.assert(norm.numBatchesTracked?.item() === 1);
 * ```
 */
export class BatchNorm2d extends BatchNorm {
  protected override readonly ranks = [4];
}

/** Batch normalisation over [batch, channels, depth, height, width]. */
export class BatchNorm3d extends BatchNorm {
  protected override readonly ranks = [5];
}

/** Options of normalisation layers with a scale and a shift. */
export interface NormOptions extends FactoryOptions {
  /** Default 1e-5. */
  readonly eps?: number;
  /** Default true. */
  readonly elementwiseAffine?: boolean;
  /** Have a shift beside the scale. Default true. */
  readonly bias?: boolean;
}

/** Normalises over the last dimensions, whose shape is `normalizedShape`. */
export class LayerNorm extends Module {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  weight: Parameter | null;
  bias: Parameter | null;

  constructor(normalizedShape: number | readonly number[], options: NormOptions = {}) {
    super();
    this.normalizedShape = typeof normalizedShape === "number" ? [normalizedShape] : normalizedShape;
    this.eps = options.eps ?? 1e-5;
    const affine = options.elementwiseAffine ?? true;
    const where = placement(options);
    this.weight = affine ? parameter(ones(this.normalizedShape, where)) : null;
    this.bias = affine && (options.bias ?? true) ? parameter(zeros(this.normalizedShape, where)) : null;
  }

  override forward(x: Tensor): Tensor {
    return layerNorm(x, this.normalizedShape, { weight: this.weight, bias: this.bias, eps: this.eps });
  }

  override extraRepr(): string {
    return `${tupleText(this.normalizedShape)}, eps=${numberText(this.eps)}, elementwise_affine=${
      flag(this.weight !== null)
    }, bias=${flag(this.bias !== null)}`;
  }
}

/** Normalises groups of channels of each sample. */
export class GroupNorm extends Module {
  readonly numGroups: number;
  readonly numChannels: number;
  readonly eps: number;
  weight: Parameter | null;
  bias: Parameter | null;

  constructor(
    numGroups: number,
    numChannels: number,
    options: FactoryOptions & { readonly eps?: number; readonly affine?: boolean } = {},
  ) {
    super();
    if (numChannels % numGroups !== 0) {
      throw new RangeError(`GroupNorm: ${numChannels} channels are not divisible into ${numGroups} groups`);
    }
    this.numGroups = numGroups;
    this.numChannels = numChannels;
    this.eps = options.eps ?? 1e-5;
    const affine = options.affine ?? true;
    this.weight = affine ? parameter(ones([numChannels], placement(options))) : null;
    this.bias = affine ? parameter(zeros([numChannels], placement(options))) : null;
  }

  override forward(x: Tensor): Tensor {
    return groupNorm(x, this.numGroups, { weight: this.weight, bias: this.bias, eps: this.eps });
  }

  override extraRepr(): string {
    return `${this.numGroups}, ${this.numChannels}, eps=${numberText(this.eps)}, affine=${flag(this.weight !== null)}`;
  }
}

/** Normalises each channel of each image by itself; without scale and shift unless asked for, as in PyTorch. */
export class InstanceNorm2d extends Module {
  readonly numFeatures: number;
  readonly eps: number;
  weight: Parameter | null;
  bias: Parameter | null;

  constructor(
    numFeatures: number,
    options: FactoryOptions & { readonly eps?: number; readonly affine?: boolean } = {},
  ) {
    super();
    this.numFeatures = numFeatures;
    this.eps = options.eps ?? 1e-5;
    const affine = options.affine ?? false;
    this.weight = affine ? parameter(ones([numFeatures], placement(options))) : null;
    this.bias = affine ? parameter(zeros([numFeatures], placement(options))) : null;
  }

  override forward(x: Tensor): Tensor {
    if (x.ndim !== 4 || Number(x.shape[1]) !== this.numFeatures) {
      throw new TypeError(
        `InstanceNorm2d: needs [batch, ${this.numFeatures}, height, width], got [${x.shape.join(", ")}]`,
      );
    }
    return instanceNorm(x, { weight: this.weight, bias: this.bias, eps: this.eps });
  }

  override extraRepr(): string {
    return `${this.numFeatures}, eps=${numberText(this.eps)}, momentum=0.1, affine=${
      flag(this.weight !== null)
    }, track_running_stats=False`;
  }
}

/** Divides by the root of the mean square over the last dimensions, and scales. */
export class RMSNorm extends Module {
  readonly normalizedShape: readonly number[];
  readonly eps: number | null;
  weight: Parameter | null;

  constructor(
    normalizedShape: number | readonly number[],
    options: FactoryOptions & { readonly eps?: number | null; readonly elementwiseAffine?: boolean } = {},
  ) {
    super();
    this.normalizedShape = typeof normalizedShape === "number" ? [normalizedShape] : normalizedShape;
    this.eps = options.eps ?? null;
    this.weight = options.elementwiseAffine ?? true ? parameter(ones(this.normalizedShape, placement(options))) : null;
  }

  override forward(x: Tensor): Tensor {
    return rmsNorm(x, this.normalizedShape, { weight: this.weight, eps: this.eps });
  }

  override extraRepr(): string {
    return `${tupleText(this.normalizedShape)}, eps=${
      this.eps === null ? "None" : numberText(this.eps)
    }, elementwise_affine=${flag(this.weight !== null)}`;
  }
}
