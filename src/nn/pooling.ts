/**
 * Pooling layers and layers that change the resolution of images.
 */
import type { Tensor } from "../tensor/mod.ts";
import { type PerDim, tupleText } from "./conv.ts";
import {
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  avgPool1d,
  avgPool2d,
  type AvgPoolOptions,
  maxPool1d,
  maxPool2d,
  type PoolOptions,
} from "./functional/pooling.ts";
import { interpolate, type InterpolateMode, pad, pixelShuffle } from "./functional/image.ts";
import { flag } from "./linear.ts";
import { Module } from "./module.ts";

function text(value: PerDim): string {
  return typeof value === "number" ? String(value) : tupleText(value);
}

abstract class Pool extends Module {
  readonly kernelSize: PerDim;
  /** Default: the window's size. */
  readonly stride: PerDim;
  readonly padding: PerDim;
  readonly ceilMode: boolean;

  constructor(kernelSize: PerDim, options: PoolOptions) {
    super();
    this.kernelSize = kernelSize;
    this.stride = options.stride ?? kernelSize;
    this.padding = options.padding ?? 0;
    this.ceilMode = options.ceilMode ?? false;
  }

  override extraRepr(): string {
    return `kernel_size=${text(this.kernelSize)}, stride=${text(this.stride)}, padding=${text(this.padding)}`;
  }
}

abstract class MaxPool extends Pool {
  readonly dilation: PerDim;

  constructor(kernelSize: PerDim, options: PoolOptions & { readonly dilation?: PerDim } = {}) {
    super(kernelSize, options);
    this.dilation = options.dilation ?? 1;
  }

  override extraRepr(): string {
    return `${super.extraRepr()}, dilation=${text(this.dilation)}, ceil_mode=${flag(this.ceilMode)}`;
  }
}

/** The largest value of each window of [batch, channels, length]. */
export class MaxPool1d extends MaxPool {
  override forward(x: Tensor): Tensor {
    return maxPool1d(x, this.kernelSize, this);
  }
}

/** The largest value of each window of [batch, channels, height, width]. */
export class MaxPool2d extends MaxPool {
  override forward(x: Tensor): Tensor {
    return maxPool2d(x, this.kernelSize, this);
  }
}

abstract class AvgPool extends Pool {
  /** Whether padding counts in the divisor. */
  readonly countIncludePad: boolean;

  constructor(kernelSize: PerDim, options: AvgPoolOptions = {}) {
    super(kernelSize, options);
    this.countIncludePad = options.countIncludePad ?? true;
  }
}

/** The mean of each window of [batch, channels, length]. */
export class AvgPool1d extends AvgPool {
  override forward(x: Tensor): Tensor {
    return avgPool1d(x, this.kernelSize, this);
  }
}

/** The mean of each window of [batch, channels, height, width]. */
export class AvgPool2d extends AvgPool {
  override forward(x: Tensor): Tensor {
    return avgPool2d(x, this.kernelSize, this);
  }
}

/** Means over windows chosen so that the output has a given length. */
export class AdaptiveAvgPool1d extends Module {
  readonly outputSize: PerDim;

  constructor(outputSize: PerDim) {
    super();
    this.outputSize = outputSize;
  }

  override forward(x: Tensor): Tensor {
    return adaptiveAvgPool1d(x, this.outputSize);
  }

  override extraRepr(): string {
    return `output_size=${text(this.outputSize)}`;
  }
}

/** Means over windows chosen so that the output has a given height and width. */
export class AdaptiveAvgPool2d extends Module {
  readonly outputSize: PerDim;

  constructor(outputSize: PerDim) {
    super();
    this.outputSize = outputSize;
  }

  override forward(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, this.outputSize);
  }

  override extraRepr(): string {
    return `output_size=${text(this.outputSize)}`;
  }
}

/** Enlarges images by nearest neighbour or bilinearly. */
export class Upsample extends Module {
  readonly size: PerDim | null;
  readonly scaleFactor: PerDim | null;
  readonly mode: InterpolateMode;
  readonly alignCorners: boolean;

  constructor(
    options: {
      readonly size?: PerDim;
      readonly scaleFactor?: PerDim;
      readonly mode?: InterpolateMode;
      readonly alignCorners?: boolean;
    },
  ) {
    super();
    if ((options.size === undefined) === (options.scaleFactor === undefined)) {
      throw new TypeError("Upsample: give either size or scaleFactor");
    }
    this.size = options.size ?? null;
    this.scaleFactor = options.scaleFactor ?? null;
    this.mode = options.mode ?? "nearest";
    this.alignCorners = options.alignCorners ?? false;
  }

  override forward(x: Tensor): Tensor {
    const { size, scaleFactor, mode, alignCorners } = this;
    return interpolate(x, {
      ...(size === null ? {} : { size }),
      ...(scaleFactor === null ? {} : { scaleFactor }),
      mode,
      alignCorners,
    });
  }

  override extraRepr(): string {
    const what = this.size !== null
      ? `size=${text(this.size)}`
      : `scale_factor=${this.scaleFactor === null ? "None" : text(this.scaleFactor)}`;
    return `${what}, mode='${this.mode}'`;
  }
}

/** [*, C·r², H, W] → [*, C, H·r, W·r]: channels become pixels (Shi et al. 2016). */
export class PixelShuffle extends Module {
  readonly upscaleFactor: number;

  constructor(upscaleFactor: number) {
    super();
    this.upscaleFactor = upscaleFactor;
  }

  override forward(x: Tensor): Tensor {
    return pixelShuffle(x, this.upscaleFactor);
  }

  override extraRepr(): string {
    return `upscale_factor=${this.upscaleFactor}`;
  }
}

/** Zeros around an image: one number, or left, right, top, bottom. */
export class ZeroPad2d extends Module {
  readonly padding: readonly [number, number, number, number];

  constructor(padding: number | readonly [number, number, number, number]) {
    super();
    this.padding = typeof padding === "number" ? [padding, padding, padding, padding] : padding;
  }

  override forward(x: Tensor): Tensor {
    return pad(x, this.padding);
  }

  override extraRepr(): string {
    return tupleText(this.padding);
  }
}
