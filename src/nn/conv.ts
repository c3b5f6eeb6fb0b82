/**
 * Convolution layers in one, two and three dimensions, and the transposed one in two.
 *
 * Weights are [out, in/groups, …window], as in PyTorch; transposed ones [in, out/groups, …window]. Inputs are [batch, channels, …], or without batch.
 */
import type { Tensor } from "../tensor/mod.ts";
import { conv1d, conv2d, conv3d, convTranspose2d } from "./functional/convolution.ts";
import { pad } from "./functional/image.ts";
import { defaultBias, defaultWeight, type FactoryOptions, flag } from "./linear.ts";
import { Module } from "./module.ts";
import type { Parameter } from "./parameter.ts";

/** A number for all dimensions, or one for each. */
export type PerDim = number | readonly number[];

/** What convolution layers put around their input. */
export type PaddingMode = "zeros" | "reflect" | "replicate" | "circular";

const PADDING_MODES: readonly string[] = ["zeros", "reflect", "replicate", "circular"] satisfies PaddingMode[];

/** Options of convolution layers. */
export interface ConvOptions extends FactoryOptions {
  /** Default 1. */
  readonly stride?: PerDim;
  /** Zeros around the input: numbers, `"same"` or `"valid"`. Default 0. */
  readonly padding?: PerDim | "same" | "valid";
  /** What stands in the padding: zeros, the input mirrored, its border, or its other end. Default `"zeros"`. */
  readonly paddingMode?: PaddingMode;
  /** Default 1. */
  readonly dilation?: PerDim;
  /** Default 1. */
  readonly groups?: number;
  /** Default true. */
  readonly bias?: boolean;
}

/** Options of transposed convolutions. */
export interface ConvTransposeOptions extends Omit<ConvOptions, "padding" | "paddingMode"> {
  readonly padding?: PerDim;
  /** Added to one side of the output size. Default 0. */
  readonly outputPadding?: PerDim;
}

/** Expands a number to one for each dimension. @throws {TypeError} for a list of another length. */
function perDim(where: string, name: string, value: PerDim, n: number): readonly number[] {
  if (typeof value === "number") return new Array<number>(n).fill(value);
  if (value.length !== n) {
    throw new TypeError(`${where}: ${name} needs a number or ${n} numbers, got [${value.join(", ")}]`);
  }
  return value;
}

/** How PyTorch prints sizes: `(3, 3)`, `(3,)`. */
export function tupleText(values: readonly number[]): string {
  return values.length === 1 ? `(${values[0]},)` : `(${values.join(", ")})`;
}

abstract class ConvBase extends Module {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[] | "same" | "valid";
  readonly paddingMode: PaddingMode;
  readonly outputPadding: readonly number[];
  readonly dilation: readonly number[];
  readonly groups: number;
  weight: Parameter;
  bias: Parameter | null;

  constructor(
    dims: number,
    transposed: boolean,
    inChannels: number,
    outChannels: number,
    kernelSize: PerDim,
    options: ConvOptions & { readonly outputPadding?: PerDim },
  ) {
    super();
    const where = this.typeName();
    const groups = options.groups ?? 1;
    if (groups < 1 || inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new RangeError(
        `${where}: inChannels ${inChannels} and outChannels ${outChannels} must be divisible by groups ${groups}`,
      );
    }
    this.inChannels = inChannels;
    this.outChannels = outChannels;
    this.groups = groups;
    this.kernelSize = perDim(where, "kernelSize", kernelSize, dims);
    this.stride = perDim(where, "stride", options.stride ?? 1, dims);
    this.dilation = perDim(where, "dilation", options.dilation ?? 1, dims);
    this.outputPadding = perDim(where, "outputPadding", options.outputPadding ?? 0, dims);
    const padding = options.padding ?? 0;
    this.padding = typeof padding === "string" ? padding : perDim(where, "padding", padding, dims);
    if (padding === "same" && this.stride.some((s) => s !== 1)) {
      throw new RangeError(`${where}: padding "same" needs stride 1, got ${tupleText(this.stride)}`);
    }
    this.paddingMode = options.paddingMode ?? "zeros";
    if (!PADDING_MODES.includes(this.paddingMode)) {
      throw new RangeError(`${where}: paddingMode is "${this.paddingMode}": use ${PADDING_MODES.join(", ")}`);
    }
    const shape = transposed ? [inChannels, outChannels / groups] : [outChannels, inChannels / groups];
    this.weight = defaultWeight([...shape, ...this.kernelSize], options);
    // PyTorch takes the fan from the second dimension of the weight, for transposed convolutions too.
    const fanIn = this.kernelSize.reduce((n, k) => n * k, shape[1] ?? 1);
    this.bias = options.bias ?? true ? defaultBias(outChannels, fanIn, options) : null;
  }

  /** The input, padded here if the mode is not zeros, and the options of the convolution that is left to do. */
  protected prepared(x: Tensor): [Tensor, Pick<ConvBase, "stride" | "padding" | "dilation" | "groups">] {
    const { stride, padding, paddingMode, dilation, groups } = this;
    if (paddingMode === "zeros") return [x, { stride, padding, dilation, groups }];
    const counts = this.kernelSize.flatMap((k, d) => {
      if (padding === "valid") return [0, 0];
      const total = padding === "same" ? (dilation[d] ?? 1) * (k - 1) : 2 * (padding[d] ?? 0);
      return [Math.ceil(total / 2), Math.floor(total / 2)];
    });
    // Counts stand in pairs, the last dimension first: reversed, right and left change places.
    return [pad(x, counts.reverse(), { mode: paddingMode }), { stride, padding: "valid", dilation, groups }];
  }

  override extraRepr(): string {
    const parts = [
      `${this.inChannels}, ${this.outChannels}`,
      `kernel_size=${tupleText(this.kernelSize)}`,
      `stride=${tupleText(this.stride)}`,
    ];
    if (typeof this.padding === "string") parts.push(`padding=${this.padding}`);
    else if (this.padding.some((p) => p !== 0)) parts.push(`padding=${tupleText(this.padding)}`);
    if (this.dilation.some((d) => d !== 1)) parts.push(`dilation=${tupleText(this.dilation)}`);
    if (this.outputPadding.some((p) => p !== 0)) parts.push(`output_padding=${tupleText(this.outputPadding)}`);
    if (this.groups !== 1) parts.push(`groups=${this.groups}`);
    if (this.bias === null) parts.push(`bias=${flag(false)}`);
    if (this.paddingMode !== "zeros") parts.push(`padding_mode=${this.paddingMode}`);
    return parts.join(", ");
  }
}

/** Convolution over [batch, channels, length]. */
export class Conv1d extends ConvBase {
  constructor(inChannels: number, outChannels: number, kernelSize: PerDim, options: ConvOptions = {}) {
    super(1, false, inChannels, outChannels, kernelSize, options);
  }

  override forward(x: Tensor): Tensor {
    const [input, options] = this.prepared(x);
    return conv1d(input, this.weight, this.bias, options);
  }
}

/**
 * Convolution over [batch, channels, height, width].
 *
 * @example
 * ```ts
 * import { nn, randn } from "@tessera/tessera";
 * const conv = new nn.Conv2d(3, 8, 3, { stride: 2, padding: 1 });
 * console.assert(conv.forward(randn([1, 3, 32, 32])).shape.join() === "1,8,16,16");
 * ```
 */
export class Conv2d extends ConvBase {
  constructor(inChannels: number, outChannels: number, kernelSize: PerDim, options: ConvOptions = {}) {
    super(2, false, inChannels, outChannels, kernelSize, options);
  }

  override forward(x: Tensor): Tensor {
    const [input, options] = this.prepared(x);
    return conv2d(input, this.weight, this.bias, options);
  }
}

/** Convolution over [batch, channels, depth, height, width]. */
export class Conv3d extends ConvBase {
  constructor(inChannels: number, outChannels: number, kernelSize: PerDim, options: ConvOptions = {}) {
    super(3, false, inChannels, outChannels, kernelSize, options);
  }

  override forward(x: Tensor): Tensor {
    const [input, options] = this.prepared(x);
    return conv3d(input, this.weight, this.bias, options);
  }
}

/** The transpose (gradient) of a convolution over [batch, channels, height, width]. */
export class ConvTranspose2d extends ConvBase {
  constructor(inChannels: number, outChannels: number, kernelSize: PerDim, options: ConvTransposeOptions = {}) {
    super(2, true, inChannels, outChannels, kernelSize, options);
  }

  override forward(x: Tensor): Tensor {
    const { stride, padding, outputPadding, dilation, groups } = this;
    if (typeof padding === "string") throw new TypeError("ConvTranspose2d: padding must be numbers");
    return convTranspose2d(x, this.weight, this.bias, { stride, padding, outputPadding, dilation, groups });
  }
}
