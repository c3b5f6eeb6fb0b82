/**
 * DLRM, a recommendation model: Naumov et al. 2019, with the names of its published code (`emb_l`, `bot_l`, `top_l`).
 */
import { F, nn, type Tensor, tensor } from "../../../mod.ts";

/** What decides a network's shape. */
export interface DLRMConfig {
  /** Rows of each embedding table. */
  readonly tables: readonly number[];
  readonly embeddingDim: number;
  /** Sizes of the network of dense features, from their number to `embeddingDim`. */
  readonly bottom: readonly number[];
  /** Hidden sizes of the last network; its input size follows from the rest, its result is one probability. */
  readonly top: readonly number[];
}

function mlp(sizes: readonly number[], last: nn.UnaryModule): nn.Sequential {
  const layers = sizes.slice(1).flatMap((size, i) => [
    new nn.Linear(sizes[i] ?? 0, size),
    i === sizes.length - 2 ? last : new nn.ReLU(),
  ]);
  return new nn.Sequential(...layers);
}

/** Dense features [batch, features] and one bag of rows for each table → click probabilities [batch, 1]. */
export class DLRM extends nn.Module {
  readonly emb_l: nn.ModuleList<nn.EmbeddingBag>;
  readonly bot_l: nn.Sequential;
  readonly top_l: nn.Sequential;
  /** Where the products of different vectors stand in the flattened matrix of all products: below its diagonal. */
  declare pairs: Tensor;

  constructor(config: DLRMConfig) {
    super();
    const { tables, embeddingDim, bottom, top } = config;
    if (bottom.at(-1) !== embeddingDim) {
      throw new RangeError(`DLRM: the bottom network ends with ${bottom.at(-1)}, tables have ${embeddingDim} columns`);
    }
    this.emb_l = new nn.ModuleList(tables.map((rows) => new nn.EmbeddingBag(rows, embeddingDim, { mode: "sum" })));
    this.bot_l = mlp(bottom, new nn.ReLU());
    const count = tables.length + 1;
    this.top_l = mlp([embeddingDim + count * (count - 1) / 2, ...top, 1], new nn.Sigmoid());
    const below = Array.from({ length: count }, (_, i) => Array.from({ length: i }, (_, j) => i * count + j)).flat();
    this.registerBuffer("pairs", tensor(below), { persistent: false });
  }

  /** `picks` [tables, batch] takes one row a table; [tables, batch, n] takes bags of n. */
  override forward(dense: Tensor, picks: Tensor): Tensor {
    const x = this.bot_l.forward(dense);
    const bags = picks.unbind(0).map((rows, i) => this.emb_l.at(i).forward(rows.ndim === 1 ? rows.unsqueeze(1) : rows));
    const vectors = F.stack([x, ...bags], 1);
    const products = vectors.matmul(vectors.transpose(1, 2));
    const [batch = 0, count = 0] = vectors.shape;
    const interactions = products.reshape([batch, Number(count) ** 2]).indexSelect(1, this.pairs);
    return this.top_l.forward(F.cat([x, interactions], 1));
  }
}
