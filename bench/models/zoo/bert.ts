/**
 * BERT: Devlin et al. 2018, with the names of transformers' `BertModel`.
 */
import { arange, nn, type Tensor, zeros } from "../../../mod.ts";

/** What decides a network's shape; the names of transformers' `BertConfig`. */
export interface BertConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly intermediateSize: number;
  readonly maxPositionEmbeddings: number;
  /** Default 2. */
  readonly typeVocabSize?: number;
  /** Default 0.1. */
  readonly dropout?: number;
}

const EPS = 1e-12;

class Embeddings extends nn.Module {
  readonly wordEmbeddings: nn.Embedding;
  readonly positionEmbeddings: nn.Embedding;
  readonly tokenTypeEmbeddings: nn.Embedding;
  readonly LayerNorm: nn.LayerNorm;
  readonly dropout: nn.Dropout;

  constructor(config: BertConfig) {
    super();
    const { vocabSize, hiddenSize, maxPositionEmbeddings, typeVocabSize = 2 } = config;
    this.wordEmbeddings = new nn.Embedding(vocabSize, hiddenSize, { paddingIdx: 0 });
    this.positionEmbeddings = new nn.Embedding(maxPositionEmbeddings, hiddenSize);
    this.tokenTypeEmbeddings = new nn.Embedding(typeVocabSize, hiddenSize);
    this.LayerNorm = new nn.LayerNorm(hiddenSize, { eps: EPS });
    this.dropout = new nn.Dropout(config.dropout ?? 0.1);
  }

  override forward(ids: Tensor, types: Tensor | null): Tensor {
    const positions = arange(0, Number(ids.shape[1]), { device: ids.device });
    const sum = this.wordEmbeddings.forward(ids)
      .add(this.tokenTypeEmbeddings.forward(types ?? ids.mul(0)))
      .add(this.positionEmbeddings.forward(positions));
    return this.dropout.forward(this.LayerNorm.forward(sum));
  }
}

/** A linear layer, then the sum with what was there before, normalised. */
class Output extends nn.Module {
  readonly dense: nn.Linear;
  readonly LayerNorm: nn.LayerNorm;
  readonly dropout: nn.Dropout;

  constructor(inSize: number, config: BertConfig) {
    super();
    this.dense = new nn.Linear(inSize, config.hiddenSize);
    this.LayerNorm = new nn.LayerNorm(config.hiddenSize, { eps: EPS });
    this.dropout = new nn.Dropout(config.dropout ?? 0.1);
  }

  override forward(x: Tensor, before: Tensor): Tensor {
    return this.LayerNorm.forward(this.dropout.forward(this.dense.forward(x)).add(before));
  }
}

class SelfAttention extends nn.Module {
  readonly numHeads: number;
  readonly query: nn.Linear;
  readonly key: nn.Linear;
  readonly value: nn.Linear;
  readonly dropoutP: number;

  constructor(config: BertConfig) {
    super();
    const { hiddenSize: size, numAttentionHeads } = config;
    this.numHeads = numAttentionHeads;
    this.query = new nn.Linear(size, size);
    this.key = new nn.Linear(size, size);
    this.value = new nn.Linear(size, size);
    this.dropoutP = config.dropout ?? 0.1;
  }

  override forward(x: Tensor, mask: Tensor | null): Tensor {
    const [batch = 0, length = 0, size = 0] = x.shape;
    const split = (layer: nn.Linear): Tensor =>
      layer.forward(x).reshape([batch, length, this.numHeads, Number(size) / this.numHeads]).transpose(1, 2);
    const dropoutP = this.training ? this.dropoutP : 0;
    const y = nn.functional.scaledDotProductAttention(split(this.query), split(this.key), split(this.value), {
      attnMask: mask,
      dropoutP,
    });
    return y.transpose(1, 2).reshape([batch, length, size]);
  }
}

class Attention extends nn.Module {
  readonly self: SelfAttention;
  readonly output: Output;

  constructor(config: BertConfig) {
    super();
    this.self = new SelfAttention(config);
    this.output = new Output(config.hiddenSize, config);
  }

  override forward(x: Tensor, mask: Tensor | null): Tensor {
    return this.output.forward(this.self.forward(x, mask), x);
  }
}

class Intermediate extends nn.Module {
  readonly dense: nn.Linear;

  constructor(config: BertConfig) {
    super();
    this.dense = new nn.Linear(config.hiddenSize, config.intermediateSize);
  }

  override forward(x: Tensor): Tensor {
    return nn.functional.gelu(this.dense.forward(x));
  }
}

class Layer extends nn.Module {
  readonly attention: Attention;
  readonly intermediate: Intermediate;
  readonly output: Output;

  constructor(config: BertConfig) {
    super();
    this.attention = new Attention(config);
    this.intermediate = new Intermediate(config);
    this.output = new Output(config.intermediateSize, config);
  }

  override forward(x: Tensor, mask: Tensor | null): Tensor {
    const attended = this.attention.forward(x, mask);
    return this.output.forward(this.intermediate.forward(attended), attended);
  }
}

class Encoder extends nn.Module {
  readonly layer: nn.ModuleList<Layer>;

  constructor(config: BertConfig) {
    super();
    this.layer = new nn.ModuleList(Array.from({ length: config.numHiddenLayers }, () => new Layer(config)));
  }

  override forward(x: Tensor, mask: Tensor | null): Tensor {
    let out = x;
    for (const layer of this.layer) out = layer.forward(out, mask);
    return out;
  }
}

class Pooler extends nn.Module {
  readonly dense: nn.Linear;

  constructor(size: number) {
    super();
    this.dense = new nn.Linear(size, size);
  }

  override forward(x: Tensor): Tensor {
    return this.dense.forward(x.select(1, 0)).tanh();
  }
}

/** Token ids [batch, length] → states [batch, length, hidden] and the pooled first state [batch, hidden]. */
export class BertModel extends nn.Module {
  readonly embeddings: Embeddings;
  readonly encoder: Encoder;
  readonly pooler: Pooler;

  constructor(config: BertConfig) {
    super();
    this.embeddings = new Embeddings(config);
    this.encoder = new Encoder(config);
    this.pooler = new Pooler(config.hiddenSize);
  }

  /** `mask` [batch, length] is 1 for tokens and 0 for padding. */
  override forward(ids: Tensor, mask: Tensor | null = null, types: Tensor | null = null): [Tensor, Tensor] {
    let added: Tensor | null = null;
    if (mask !== null) {
      const [batch = 0, length = 0] = mask.shape;
      const { weight } = this.embeddings.wordEmbeddings;
      added = zeros([batch, 1, 1, length], { dtype: weight.dtype, device: ids.device })
        .maskedFill(mask.eq(0).reshape([batch, 1, 1, length]), -Infinity);
    }
    const states = this.encoder.forward(this.embeddings.forward(ids, types), added);
    return [states, this.pooler.forward(states)];
  }
}

/** transformers' `bert-base-uncased`. */
export function bertBase(): BertModel {
  return new BertModel({
    vocabSize: 30522,
    hiddenSize: 768,
    numHiddenLayers: 12,
    numAttentionHeads: 12,
    intermediateSize: 3072,
    maxPositionEmbeddings: 512,
  });
}
