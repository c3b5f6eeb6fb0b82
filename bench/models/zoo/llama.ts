/**
 * LLaMA: Touvron et al. 2023, with the names of transformers' `LlamaForCausalLM`: rotary positions, grouped keys and values, SwiGLU.
 */
import { arange, F, nn, type Tensor } from "../../../mod.ts";
import { cachedAttention, type Decoder, type LayerCache, makeKVCache } from "./kv_cache.ts";

/** What decides a network's shape; the names of transformers' `LlamaConfig`. */
export interface LlamaConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  /** Default: as many as `numAttentionHeads`. */
  readonly numKeyValueHeads?: number;
  /** Default `hiddenSize / numAttentionHeads`. */
  readonly headDim?: number;
  /** Default 2048. */
  readonly maxPositionEmbeddings?: number;
  /** Default 1e-6. */
  readonly rmsNormEps?: number;
  /** Default 10000. */
  readonly ropeTheta?: number;
  /** Default false. */
  readonly tieWordEmbeddings?: boolean;
}

/** Cosines and sines [positions, dim] that turn queries and keys. */
type Rotation = readonly [cos: Tensor, sin: Tensor];

function headDimOf(config: LlamaConfig): number {
  return config.headDim ?? config.hiddenSize / config.numAttentionHeads;
}

/** Rotary position embedding (Su et al. 2021), halves of a head as real and imaginary parts. */
class RotaryEmbedding extends nn.Module {
  declare invFreq: Tensor;

  constructor(config: LlamaConfig) {
    super();
    const dim = headDimOf(config);
    const exponents = arange(0, dim, 2).mul(-1 / dim);
    this.registerBuffer("invFreq", F.pow(config.ropeTheta ?? 10000, exponents), { persistent: false });
  }

  override forward(positions: Tensor): Rotation {
    const angles = positions.unsqueeze(1).mul(this.invFreq);
    const both = F.cat([angles, angles], -1);
    return [both.cos(), both.sin()];
  }
}

function rotated(x: Tensor, [cos, sin]: Rotation): Tensor {
  const [a, b] = x.chunk(2, -1);
  if (a === undefined || b === undefined) throw new TypeError("rotated: a head has no two halves");
  return x.mul(cos).add(F.cat([b.neg(), a], -1).mul(sin));
}

class Attention extends nn.Module {
  readonly headDim: number;
  readonly qProj: nn.Linear;
  readonly kProj: nn.Linear;
  readonly vProj: nn.Linear;
  readonly oProj: nn.Linear;

  constructor(config: LlamaConfig) {
    super();
    const { hiddenSize, numAttentionHeads, numKeyValueHeads = numAttentionHeads } = config;
    this.headDim = headDimOf(config);
    const bias = false;
    this.qProj = new nn.Linear(hiddenSize, numAttentionHeads * this.headDim, { bias });
    this.kProj = new nn.Linear(hiddenSize, numKeyValueHeads * this.headDim, { bias });
    this.vProj = new nn.Linear(hiddenSize, numKeyValueHeads * this.headDim, { bias });
    this.oProj = new nn.Linear(numAttentionHeads * this.headDim, hiddenSize, { bias });
  }

  override forward(x: Tensor, rotation: Rotation, positions: Tensor | null, cache: LayerCache | null): Tensor {
    const [batch = 0, length = 0] = x.shape;
    const split = (layer: nn.Linear): Tensor =>
      layer.forward(x).reshape([batch, length, layer.outFeatures / this.headDim, this.headDim]).transpose(1, 2);
    const q = rotated(split(this.qProj), rotation);
    const k = rotated(split(this.kProj), rotation);
    const y = cachedAttention(q, k, split(this.vProj), positions, cache);
    return this.oProj.forward(y.transpose(1, 2).reshape([batch, length, this.oProj.inFeatures]));
  }
}

class Mlp extends nn.Module {
  readonly gateProj: nn.Linear;
  readonly upProj: nn.Linear;
  readonly downProj: nn.Linear;

  constructor(config: LlamaConfig) {
    super();
    const { hiddenSize, intermediateSize } = config;
    this.gateProj = new nn.Linear(hiddenSize, intermediateSize, { bias: false });
    this.upProj = new nn.Linear(hiddenSize, intermediateSize, { bias: false });
    this.downProj = new nn.Linear(intermediateSize, hiddenSize, { bias: false });
  }

  override forward(x: Tensor): Tensor {
    return this.downProj.forward(nn.functional.silu(this.gateProj.forward(x)).mul(this.upProj.forward(x)));
  }
}

class DecoderLayer extends nn.Module {
  readonly selfAttn: Attention;
  readonly mlp: nn.UnaryModule;
  readonly inputLayernorm: nn.RMSNorm;
  readonly postAttentionLayernorm: nn.RMSNorm;

  constructor(config: LlamaConfig, mlp: nn.UnaryModule) {
    super();
    const eps = config.rmsNormEps ?? 1e-6;
    this.selfAttn = new Attention(config);
    this.mlp = mlp;
    this.inputLayernorm = new nn.RMSNorm(config.hiddenSize, { eps });
    this.postAttentionLayernorm = new nn.RMSNorm(config.hiddenSize, { eps });
  }

  override forward(x: Tensor, rotation: Rotation, positions: Tensor | null, cache: LayerCache | null): Tensor {
    const attended = x.add(this.selfAttn.forward(this.inputLayernorm.forward(x), rotation, positions, cache));
    return attended.add(this.mlp.forward(this.postAttentionLayernorm.forward(attended)));
  }
}

class LlamaModel extends nn.Module {
  readonly embedTokens: nn.Embedding;
  readonly layers: nn.ModuleList<DecoderLayer>;
  readonly norm: nn.RMSNorm;
  readonly rotaryEmb: RotaryEmbedding;

  constructor(config: LlamaConfig, makeMlp: () => nn.UnaryModule) {
    super();
    const { vocabSize, hiddenSize, numHiddenLayers } = config;
    this.embedTokens = new nn.Embedding(vocabSize, hiddenSize);
    nn.init.normal_(this.embedTokens.weight, 0, 0.02);
    this.layers = new nn.ModuleList(
      Array.from({ length: numHiddenLayers }, () => new DecoderLayer(config, makeMlp())),
    );
    this.norm = new nn.RMSNorm(hiddenSize, { eps: config.rmsNormEps ?? 1e-6 });
    this.rotaryEmb = new RotaryEmbedding(config);
  }

  override forward(ids: Tensor, positions: Tensor | null, cache: readonly LayerCache[] | null): Tensor {
    const rotation = this.rotaryEmb.forward(positions ?? arange(0, Number(ids.shape[1]), { device: ids.device }));
    let out = this.embedTokens.forward(ids);
    for (let i = 0; i < this.layers.length; i++) {
      out = this.layers.at(i).forward(out, rotation, positions, cache?.[i] ?? null);
    }
    return this.norm.forward(out);
  }
}

/** Token ids [batch, length] → logits [batch, length, vocabulary]. `makeMlp` puts other layers in the place of the SwiGLU ones. */
export class LlamaForCausalLM extends nn.Module implements Decoder {
  readonly config: LlamaConfig;
  readonly model: LlamaModel;
  readonly lmHead: nn.Linear;

  constructor(config: LlamaConfig, makeMlp: () => nn.UnaryModule = () => new Mlp(config)) {
    super();
    const { hiddenSize, vocabSize, numAttentionHeads, numKeyValueHeads = numAttentionHeads } = config;
    if (numAttentionHeads % numKeyValueHeads !== 0) {
      throw new RangeError(`LlamaForCausalLM: ${numAttentionHeads} heads cannot share ${numKeyValueHeads} of keys`);
    }
    this.config = config;
    this.model = new LlamaModel(config, makeMlp);
    this.lmHead = new nn.Linear(hiddenSize, vocabSize, { bias: false });
    if (config.tieWordEmbeddings === true) this.lmHead.weight = this.model.embedTokens.weight;
  }

  override forward(
    ids: Tensor,
    positions: Tensor | null = null,
    cache: readonly LayerCache[] | null = null,
  ): Tensor {
    return this.lmHead.forward(this.model.forward(ids, positions, cache));
  }

  get vocabSize(): number {
    return this.config.vocabSize;
  }

  get maxLength(): number {
    return this.config.maxPositionEmbeddings ?? 2048;
  }

  makeCache(capacity: number, batch = 1): LayerCache[] {
    const { numHiddenLayers: layers } = this.config;
    const heads = this.config.numKeyValueHeads ?? this.config.numAttentionHeads;
    const { dtype, device } = this.lmHead.weight;
    return makeKVCache({ layers, heads, headDim: headDimOf(this.config), capacity, batch, dtype, device });
  }
}
