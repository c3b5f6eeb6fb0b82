/**
 * Linear maps and convolutions as functions of input, weight and bias.
 */
import { F, type Tensor } from "../../tensor/mod.ts";

type PerDim = number | readonly number[];

/** Options of the convolution functions. */
export interface ConvFunctionOptions {
  /** Default 1. */
  readonly stride?: PerDim;
  /** Zeros around the input: numbers, `"same"` (the output is as large as the input) or `"valid"` (none). Default 0. */
  readonly padding?: PerDim | "same" | "valid";
  /** Default 1. */
  readonly dilation?: PerDim;
  /** Default 1. */
  readonly groups?: number;
}

/** Options of {@linkcode convTranspose2d}. */
export interface ConvTransposeFunctionOptions extends Omit<ConvFunctionOptions, "padding"> {
  readonly padding?: PerDim;
  readonly outputPadding?: PerDim;
}

/** x·weightᵀ + bias on the last dimension; `weight` is [out, in]. */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  return F.linear(x, weight, bias);
}

/** x₁·A·x₂ + bias; `weight` is [out, in1, in2]. */
export function bilinear(x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  return F.bilinear(x1, x2, weight, bias);
}

/** Rows of `weight` ([rows, dim]) picked by the integers in `indices`; the row `paddingIdx` takes no gradient. */
export function embedding(indices: Tensor, weight: Tensor, options: { readonly paddingIdx?: number } = {}): Tensor {
  const padding = options.paddingIdx ?? -1;
  return F.embedding(
    weight,
    indices,
    options.paddingIdx !== undefined && padding < 0 ? Number(weight.shape[0]) + padding : padding,
  );
}

function list(value: PerDim | undefined, fallback: number, dims: number): readonly number[] {
  if (value === undefined) return new Array<number>(dims).fill(fallback);
  return typeof value === "number" ? new Array<number>(dims).fill(value) : value;
}

/** The input, padded where only one side needs a zero, and the padding that is the same on both sides. */
function resolvePadding(
  x: Tensor,
  weight: Tensor,
  options: ConvFunctionOptions,
  dims: number,
): readonly [Tensor, readonly number[]] {
  const { padding } = options;
  if (typeof padding !== "string") return [x, list(padding, 0, dims)];
  if (padding === "valid") return [x, list(0, 0, dims)];
  const dilation = list(options.dilation, 1, dims);
  const totals = dilation.map((d, i) => d * (Number(weight.shape[i + 2]) - 1));
  // An even window needs one zero more at the end.
  const extra = totals.toReversed().flatMap((total) => [0, total % 2]);
  const padded = extra.some((e) => e !== 0) ? F.constantPadNd(x, extra, 0) : x;
  return [padded, totals.map((total) => Math.floor(total / 2))];
}

/** Convolution of [batch, channels, length] with [out, in/groups, window]. */
export function conv1d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options: ConvFunctionOptions = {},
): Tensor {
  const [input, padding] = resolvePadding(x, weight, options, 1);
  return F.conv1d(input, weight, bias, options.stride ?? 1, padding, options.dilation ?? 1, options.groups ?? 1);
}

/** Convolution of [batch, channels, height, width] with [out, in/groups, height, width]. */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options: ConvFunctionOptions = {},
): Tensor {
  const [input, padding] = resolvePadding(x, weight, options, 2);
  return F.conv2d(input, weight, bias, options.stride ?? 1, padding, options.dilation ?? 1, options.groups ?? 1);
}

/** Convolution of [batch, channels, depth, height, width] with [out, in/groups, depth, height, width]. */
export function conv3d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options: ConvFunctionOptions = {},
): Tensor {
  const [input, padding] = resolvePadding(x, weight, options, 3);
  return F.conv3d(input, weight, bias, options.stride ?? 1, padding, options.dilation ?? 1, options.groups ?? 1);
}

/** The transpose of a convolution; `weight` is [in, out/groups, height, width]. */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options: ConvTransposeFunctionOptions = {},
): Tensor {
  return F.convTranspose2d(
    x,
    weight,
    bias,
    options.stride ?? 1,
    options.padding ?? 0,
    options.outputPadding ?? 0,
    options.groups ?? 1,
    options.dilation ?? 1,
  );
}
