/**
 * Multi-head attention and the encoder layer of a transformer: Vaswani et al. 2017, with PyTorch's parameters and keys.
 */
import { empty, full, type Tensor, zeros } from "../tensor/mod.ts";
import { Dropout } from "./activation.ts";
import { gelu, relu, softmax } from "./functional/activation.ts";
import { scaledDotProductAttention } from "./functional/attention.ts";
import { linear } from "./functional/convolution.ts";
import { dropout } from "./functional/dropout.ts";
import { xavierUniform_, zeros_ } from "./init.ts";
import { type FactoryOptions, Linear, placement, randomness } from "./linear.ts";
import { Module } from "./module.ts";
import { LayerNorm } from "./normalization.ts";
import { type Parameter, parameter } from "./parameter.ts";

/** Options of {@linkcode MultiheadAttention}. */
export interface MultiheadAttentionOptions extends FactoryOptions {
  /** Dropout of the attention weights. Default 0. */
  readonly dropout?: number;
  /** Default true. */
  readonly bias?: boolean;
  /** Inputs are [batch, sequence, dim] instead of [sequence, batch, dim]. Default false, as in PyTorch. */
  readonly batchFirst?: boolean;
}

/** What a call of attention may say. */
export interface AttentionCallOptions {
  /** Bool (true: may NOT attend, as in PyTorch's layer) or numbers added to the scores; [queries, keys] or [batch·heads, queries, keys]. */
  readonly attnMask?: Tensor | null;
  /** [batch, keys]; true means: this key is padding. */
  readonly keyPaddingMask?: Tensor | null;
  /** A query sees no later key. */
  readonly isCausal?: boolean;
  /** Also return the weights, averaged over heads. Default false (PyTorch: true). */
  readonly needWeights?: boolean;
}

/**
 * Attention with several heads.
 *
 * @example
 * ```ts
 * import { nn, randn } from "@tessera/tessera";
 * const attention = new nn.MultiheadAttention(16, 4, { batchFirst: true });
 * const x = randn([2, 5, 16]);
 * const [y] = attention.forward(x, x, x);
 * console.assert(y.shape.join() === "2,5,16");
 * ```
 */
export class MultiheadAttention extends Module {
  readonly embedDim: number;
  readonly numHeads: number;
  readonly dropout: number;
  readonly batchFirst: boolean;
  inProjWeight: Parameter;
  inProjBias: Parameter | null;
  readonly outProj: Linear;

  constructor(embedDim: number, numHeads: number, options: MultiheadAttentionOptions = {}) {
    super();
    if (embedDim % numHeads !== 0) {
      throw new RangeError(`MultiheadAttention: dim ${embedDim} is not divisible by ${numHeads} heads`);
    }
    this.embedDim = embedDim;
    this.numHeads = numHeads;
    this.dropout = options.dropout ?? 0;
    this.batchFirst = options.batchFirst ?? false;
    const where = placement(options);
    const bias = options.bias ?? true;
    this.inProjWeight = parameter(xavierUniform_(empty([3 * embedDim, embedDim], where), 1, randomness(options)));
    this.inProjBias = bias ? parameter(zeros_(empty([3 * embedDim], where))) : null;
    this.outProj = new Linear(embedDim, embedDim, options);
    if (this.outProj.bias !== null) zeros_(this.outProj.bias);
  }

  /** Returns the result, and the weights [batch, queries, keys] or null. */
  override forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    options: AttentionCallOptions = {},
  ): [Tensor, Tensor | null] {
    if (query.ndim !== 3 || key.ndim !== 3 || value.ndim !== 3) {
      throw new TypeError(
        `MultiheadAttention: needs query, key and value of 3 dimensions, got ${query.ndim}, ${key.ndim} and ${value.ndim}`,
      );
    }
    const { embedDim, numHeads } = this;
    const weights = this.inProjWeight.chunk(3, 0);
    const biases = this.inProjBias?.chunk(3, 0) ?? [];
    const heads = [query, key, value].map((x, i) => {
      const projected = linear(x, weights[i] ?? x, biases[i] ?? null);
      const first = this.batchFirst ? projected : projected.transpose(0, 1);
      const [batch = 0, length = 0] = first.shape;
      return first.reshape([batch, length, numHeads, embedDim / numHeads]).transpose(1, 2);
    });
    const [q, k, v] = heads;
    if (q === undefined || k === undefined || v === undefined) throw new TypeError("MultiheadAttention: no heads");
    const mask = this.mask(q, k, options);
    const p = this.training ? this.dropout : 0;
    let context: Tensor;
    let averaged: Tensor | null = null;
    if (options.needWeights ?? false) {
      const scores = q.matmul(k.transpose(-2, -1)).mul(1 / Math.sqrt(embedDim / numHeads));
      const attention = softmax(mask === null ? scores : scores.add(mask), -1);
      averaged = attention.mean([1]);
      context = dropout(attention, p, this.training).matmul(v);
    } else if (mask === null) {
      context = scaledDotProductAttention(q, k, v, { dropoutP: p, isCausal: options.isCausal ?? false });
    } else {
      context = scaledDotProductAttention(q, k, v, { dropoutP: p, attnMask: mask });
    }
    const [batch = 0, , length = 0] = context.shape;
    const joined = context.transpose(1, 2).reshape([batch, length, embedDim]);
    const out = this.outProj.forward(joined);
    return [this.batchFirst ? out : out.transpose(0, 1), averaged];
  }

  /** All masks as one number that is added to the scores; null if there is none, or causality alone. */
  private mask(q: Tensor, k: Tensor, options: AttentionCallOptions): Tensor | null {
    const { attnMask = null, keyPaddingMask = null, isCausal = false, needWeights = false } = options;
    const [batch = 0, heads = 0, queries = 0] = q.shape;
    const keys = k.shape[2] ?? 0;
    const added = (mask: Tensor): Tensor =>
      mask.dtype.kind === "bool"
        ? zeros(mask.shape, { dtype: q.dtype, device: q.device }).maskedFill(mask, -Infinity)
        : mask;
    let out: Tensor | null = null;
    const join = (mask: Tensor): void => {
      out = out === null ? mask : out.add(mask);
    };
    if (attnMask !== null) {
      join(attnMask.ndim === 3 ? added(attnMask).reshape([batch, heads, queries, keys]) : added(attnMask));
    } else if (isCausal && (keyPaddingMask !== null || needWeights)) {
      join(full([queries, keys], -Infinity, { dtype: q.dtype, device: q.device }).triu(1));
    }
    if (keyPaddingMask !== null) join(added(keyPaddingMask).reshape([batch, 1, 1, keys]));
    return out;
  }

  override extraRepr(): string {
    return "";
  }
}

/** Options of {@linkcode TransformerEncoderLayer}. */
export interface TransformerEncoderLayerOptions extends FactoryOptions {
  /** Width of the hidden layer. Default 2048. */
  readonly dimFeedforward?: number;
  /** Default 0.1. */
  readonly dropout?: number;
  /** Default `"relu"`. */
  readonly activation?: "relu" | "gelu";
  /** Default 1e-5. */
  readonly layerNormEps?: number;
  /** Default false. */
  readonly batchFirst?: boolean;
  /** Normalise before attention and hidden layer instead of after. Default false. */
  readonly normFirst?: boolean;
}

/** Self-attention and a hidden layer, each with residual connection and normalisation. */
export class TransformerEncoderLayer extends Module {
  readonly activation: "relu" | "gelu";
  readonly normFirst: boolean;
  readonly selfAttn: MultiheadAttention;
  readonly linear1: Linear;
  readonly dropout: Dropout;
  readonly linear2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly dropout1: Dropout;
  readonly dropout2: Dropout;

  constructor(dModel: number, numHeads: number, options: TransformerEncoderLayerOptions = {}) {
    super();
    const { dimFeedforward = 2048, dropout: p = 0.1, layerNormEps: eps = 1e-5, batchFirst = false } = options;
    const factory: FactoryOptions = { ...placement(options), ...randomness(options) };
    this.activation = options.activation ?? "relu";
    this.normFirst = options.normFirst ?? false;
    this.selfAttn = new MultiheadAttention(dModel, numHeads, { ...factory, dropout: p, batchFirst });
    this.linear1 = new Linear(dModel, dimFeedforward, factory);
    this.dropout = new Dropout(p);
    this.linear2 = new Linear(dimFeedforward, dModel, factory);
    this.norm1 = new LayerNorm(dModel, { ...factory, eps });
    this.norm2 = new LayerNorm(dModel, { ...factory, eps });
    this.dropout1 = new Dropout(p);
    this.dropout2 = new Dropout(p);
  }

  override forward(x: Tensor, options: Omit<AttentionCallOptions, "needWeights"> = {}): Tensor {
    if (this.normFirst) {
      const attended = x.add(this.attend(this.norm1.forward(x), options));
      return attended.add(this.feed(this.norm2.forward(attended)));
    }
    const attended = this.norm1.forward(x.add(this.attend(x, options)));
    return this.norm2.forward(attended.add(this.feed(attended)));
  }

  private attend(x: Tensor, options: AttentionCallOptions): Tensor {
    const [out] = this.selfAttn.forward(x, x, x, options);
    return this.dropout1.forward(out);
  }

  private feed(x: Tensor): Tensor {
    const hidden = this.linear1.forward(x);
    const active = this.activation === "relu" ? relu(hidden) : gelu(hidden);
    return this.dropout2.forward(this.linear2.forward(this.dropout.forward(active)));
  }
}
