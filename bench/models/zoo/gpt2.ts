/**
 * GPT-2: Radford et al. 2019, with the names of transformers' `GPT2LMHeadModel`.
 */
import { arange, nn, type Tensor, zeros } from "../../../mod.ts";
import { cachedAttention, type Decoder, type LayerCache, makeKVCache } from "./kv_cache.ts";

/** What decides a network's shape; the names of transformers' `GPT2Config`. */
export interface GPT2Config {
  readonly vocabSize: number;
  readonly nPositions: number;
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  /** Default 0.1. */
  readonly dropout?: number;
}

/** A linear layer whose weight is stored as [in, out], as in the first code of GPT-2. */
class Conv1D extends nn.Module {
  weight: nn.Parameter;
  bias: nn.Parameter;

  constructor(inSize: number, outSize: number) {
    super();
    this.weight = nn.parameter(nn.init.normal_(zeros([inSize, outSize]), 0, 0.02));
    this.bias = nn.parameter(zeros([outSize]));
  }

  override forward(x: Tensor): Tensor {
    return x.matmul(this.weight).add(this.bias);
  }
}

class Attention extends nn.Module {
  readonly numHeads: number;
  readonly cAttn: Conv1D;
  readonly cProj: Conv1D;
  readonly residDropout: nn.Dropout;

  constructor(config: GPT2Config) {
    super();
    this.numHeads = config.nHead;
    this.cAttn = new Conv1D(config.nEmbd, 3 * config.nEmbd);
    this.cProj = new Conv1D(config.nEmbd, config.nEmbd);
    this.residDropout = new nn.Dropout(config.dropout ?? 0.1);
  }

  override forward(x: Tensor, positions: Tensor | null, cache: LayerCache | null): Tensor {
    const [batch = 0, length = 0, width = 0] = x.shape;
    const split = (t: Tensor): Tensor =>
      t.reshape([batch, length, this.numHeads, Number(width) / this.numHeads]).transpose(1, 2);
    const [q, k, v] = this.cAttn.forward(x).split(Number(width), -1).map(split);
    if (q === undefined || k === undefined || v === undefined) throw new TypeError("Attention: no heads");
    const y = cachedAttention(q, k, v, positions, cache);
    return this.residDropout.forward(this.cProj.forward(y.transpose(1, 2).reshape([batch, length, width])));
  }
}

class Mlp extends nn.Module {
  readonly cFc: Conv1D;
  readonly cProj: Conv1D;
  readonly dropout: nn.Dropout;

  constructor(config: GPT2Config) {
    super();
    this.cFc = new Conv1D(config.nEmbd, 4 * config.nEmbd);
    this.cProj = new Conv1D(4 * config.nEmbd, config.nEmbd);
    this.dropout = new nn.Dropout(config.dropout ?? 0.1);
  }

  override forward(x: Tensor): Tensor {
    const hidden = nn.functional.gelu(this.cFc.forward(x), { approximate: "tanh" });
    return this.dropout.forward(this.cProj.forward(hidden));
  }
}

class Block extends nn.Module {
  readonly ln_1: nn.LayerNorm;
  readonly attn: Attention;
  readonly ln_2: nn.LayerNorm;
  readonly mlp: Mlp;

  constructor(config: GPT2Config) {
    super();
    this.ln_1 = new nn.LayerNorm(config.nEmbd);
    this.attn = new Attention(config);
    this.ln_2 = new nn.LayerNorm(config.nEmbd);
    this.mlp = new Mlp(config);
  }

  override forward(x: Tensor, positions: Tensor | null, cache: LayerCache | null): Tensor {
    const attended = x.add(this.attn.forward(this.ln_1.forward(x), positions, cache));
    return attended.add(this.mlp.forward(this.ln_2.forward(attended)));
  }
}

class Transformer extends nn.Module {
  readonly wte: nn.Embedding;
  readonly wpe: nn.Embedding;
  readonly drop: nn.Dropout;
  readonly h: nn.ModuleList<Block>;
  readonly ln_f: nn.LayerNorm;

  constructor(config: GPT2Config) {
    super();
    this.wte = new nn.Embedding(config.vocabSize, config.nEmbd);
    this.wpe = new nn.Embedding(config.nPositions, config.nEmbd);
    nn.init.normal_(this.wte.weight, 0, 0.02);
    nn.init.normal_(this.wpe.weight, 0, 0.02);
    this.drop = new nn.Dropout(config.dropout ?? 0.1);
    this.h = new nn.ModuleList(Array.from({ length: config.nLayer }, () => new Block(config)));
    this.ln_f = new nn.LayerNorm(config.nEmbd);
  }

  override forward(ids: Tensor, positions: Tensor | null, cache: readonly LayerCache[] | null): Tensor {
    const at = positions ?? arange(0, Number(ids.shape[1]), { device: ids.device });
    let out = this.drop.forward(this.wte.forward(ids).add(this.wpe.forward(at)));
    for (let i = 0; i < this.h.length; i++) out = this.h.at(i).forward(out, positions, cache?.[i] ?? null);
    return this.ln_f.forward(out);
  }
}

/** Token ids [batch, length] → logits [batch, length, vocabulary]. */
export class GPT2LMHeadModel extends nn.Module implements Decoder {
  readonly config: GPT2Config;
  readonly transformer: Transformer;
  readonly lmHead: nn.Linear;

  constructor(config: GPT2Config) {
    super();
    if (config.nEmbd % config.nHead !== 0) {
      throw new RangeError(`GPT2LMHeadModel: width ${config.nEmbd} is not divisible by ${config.nHead} heads`);
    }
    this.config = config;
    this.transformer = new Transformer(config);
    this.lmHead = new nn.Linear(config.nEmbd, config.vocabSize, { bias: false });
    this.lmHead.weight = this.transformer.wte.weight;
  }

  override forward(
    ids: Tensor,
    positions: Tensor | null = null,
    cache: readonly LayerCache[] | null = null,
  ): Tensor {
    return this.lmHead.forward(this.transformer.forward(ids, positions, cache));
  }

  get vocabSize(): number {
    return this.config.vocabSize;
  }

  get maxLength(): number {
    return this.config.nPositions;
  }

  makeCache(capacity: number, batch = 1): LayerCache[] {
    const { nLayer, nHead, nEmbd } = this.config;
    const { dtype, device } = this.lmHead.weight;
    return makeKVCache({ layers: nLayer, heads: nHead, headDim: nEmbd / nHead, capacity, batch, dtype, device });
  }
}

/** The smallest GPT-2 of the paper, 124 million parameters. */
export function gpt2Small(): GPT2LMHeadModel {
  return new GPT2LMHeadModel({ vocabSize: 50257, nPositions: 1024, nEmbd: 768, nLayer: 12, nHead: 12 });
}
