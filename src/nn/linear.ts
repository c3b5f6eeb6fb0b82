/**
 * Layers that multiply by a matrix, and the embedding, which picks rows of one.
 */
import type { DeviceLike, DType } from "../core/mod.ts";
import { empty, F, type Generator, noGrad, type Tensor, zeros } from "../tensor/mod.ts";
import { kaimingUniform_, normal_, uniform_ } from "./init.ts";
import { Module } from "./module.ts";
import { type Parameter, parameter } from "./parameter.ts";

/** Where parameters are made, and with which random numbers. */
export interface FactoryOptions {
  readonly device?: DeviceLike;
  readonly dtype?: DType;
  /** Default: the global generator. */
  readonly generator?: Generator;
}

/** What tensor creation takes of the options. */
export function placement(options: FactoryOptions): { device?: DeviceLike; dtype?: DType } {
  return {
    ...(options.device === undefined ? {} : { device: options.device }),
    ...(options.dtype === undefined ? {} : { dtype: options.dtype }),
  };
}

/** What random initialisers take of the options. */
export function randomness(options: FactoryOptions): { generator?: Generator } {
  return options.generator === undefined ? {} : { generator: options.generator };
}

/** A parameter with PyTorch's default for weights: uniform in ±1/√fanIn. */
export function defaultWeight(shape: readonly number[], options: FactoryOptions): Parameter {
  return parameter(kaimingUniform_(empty(shape, placement(options)), { a: Math.sqrt(5), ...randomness(options) }));
}

/** A parameter with PyTorch's default for biases: uniform in ±1/√fanIn. */
export function defaultBias(size: number, fanIn: number, options: FactoryOptions): Parameter {
  const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0;
  return parameter(uniform_(empty([size], placement(options)), -bound, bound, randomness(options)));
}

/** How PyTorch prints a flag. */
export function flag(value: boolean): string {
  return value ? "True" : "False";
}

/**
 * y = x·Wᵀ + b on the last dimension.
 *
 * @example
 * ```ts
 * import { nn, randn } from "@tessera/tessera";
 * const layer = new nn.Linear(20, 30);
 * console.assert(layer.forward(randn([128, 20])).shape.join() === "128,30");
 * console.assert(String(layer) === "Linear(in_features=20, out_features=30, bias=True)");
 * ```
 */
export class Linear extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;
  weight: Parameter;
  bias: Parameter | null;

  constructor(inFeatures: number, outFeatures: number, options: FactoryOptions & { readonly bias?: boolean } = {}) {
    super();
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.weight = defaultWeight([outFeatures, inFeatures], options);
    this.bias = options.bias ?? true ? defaultBias(outFeatures, inFeatures, options) : null;
  }

  override forward(x: Tensor): Tensor {
    return F.linear(x, this.weight, this.bias);
  }

  override extraRepr(): string {
    return `in_features=${this.inFeatures}, out_features=${this.outFeatures}, bias=${flag(this.bias !== null)}`;
  }
}

/** y = x₁·A·x₂ + b, for two inputs that agree in all but their last dimension. */
export class Bilinear extends Module {
  readonly in1Features: number;
  readonly in2Features: number;
  readonly outFeatures: number;
  weight: Parameter;
  bias: Parameter | null;

  constructor(
    in1Features: number,
    in2Features: number,
    outFeatures: number,
    options: FactoryOptions & { readonly bias?: boolean } = {},
  ) {
    super();
    this.in1Features = in1Features;
    this.in2Features = in2Features;
    this.outFeatures = outFeatures;
    const bound = 1 / Math.sqrt(in1Features);
    const shape = [outFeatures, in1Features, in2Features];
    this.weight = parameter(uniform_(empty(shape, placement(options)), -bound, bound, randomness(options)));
    this.bias = options.bias ?? true ? defaultBias(outFeatures, in1Features, options) : null;
  }

  override forward(x1: Tensor, x2: Tensor): Tensor {
    return F.bilinear(x1, x2, this.weight, this.bias);
  }

  override extraRepr(): string {
    return `in1_features=${this.in1Features}, in2_features=${this.in2Features}, out_features=${this.outFeatures}, bias=${
      flag(this.bias !== null)
    }`;
  }
}

/**
 * A table of vectors, picked by integer. The row `paddingIdx` starts as zeros and takes no gradient.
 *
 * @example
 * ```ts
 * import { nn, tensor } from "@tessera/tessera";
 * const table = new nn.Embedding(10, 3);
 * console.assert(table.forward(tensor([[1, 2], [4, 9]])).shape.join() === "2,2,3");
 * ```
 */
export class Embedding extends Module {
  readonly numEmbeddings: number;
  readonly embeddingDim: number;
  readonly paddingIdx: number | null;
  weight: Parameter;

  constructor(
    numEmbeddings: number,
    embeddingDim: number,
    options: FactoryOptions & { readonly paddingIdx?: number } = {},
  ) {
    super();
    this.numEmbeddings = numEmbeddings;
    this.embeddingDim = embeddingDim;
    const padding = options.paddingIdx;
    if (padding !== undefined && (padding < -numEmbeddings || padding >= numEmbeddings)) {
      throw new RangeError(`Embedding: paddingIdx ${padding} is outside a table of ${numEmbeddings} rows`);
    }
    this.paddingIdx = padding === undefined ? null : padding < 0 ? padding + numEmbeddings : padding;
    const weight = normal_(empty([numEmbeddings, embeddingDim], placement(options)), 0, 1, randomness(options));
    if (this.paddingIdx !== null) {
      const row = this.paddingIdx;
      noGrad(() => weight.at(row).copy_(zeros([embeddingDim], placement(options))));
    }
    this.weight = parameter(weight);
  }

  override forward(indices: Tensor): Tensor {
    return F.embedding(this.weight, indices, this.paddingIdx ?? -1);
  }

  override extraRepr(): string {
    return `${this.numEmbeddings}, ${this.embeddingDim}${
      this.paddingIdx === null ? "" : `, padding_idx=${this.paddingIdx}`
    }`;
  }
}
