/**
 * `EmbeddingBag`: sums, means or maxima of the rows of a table, as recommendation models look up sparse features.
 *
 * Enters: indices as [bags, n], or all bags in a row with the offset at which each starts. It is written with differentiable operators, so that the compiler
 * fuses the look-up with the sum. Mirrors `torch.nn.EmbeddingBag`.
 */
import { arange, empty, F, type Tensor, zeros } from "../tensor/mod.ts";
import { normal_ } from "./init.ts";
import { type FactoryOptions, placement, randomness } from "./linear.ts";
import { Module } from "./module.ts";
import { type Parameter, parameter } from "./parameter.ts";

/** How the rows of a bag become one. */
export type BagMode = "sum" | "mean" | "max";

const MODES: readonly BagMode[] = ["sum", "mean", "max"];

/** Options of {@linkcode EmbeddingBag}. */
export interface EmbeddingBagOptions extends FactoryOptions {
  /** Default `"mean"`. */
  readonly mode?: BagMode;
}

/**
 * A table whose rows are picked in bags.
 *
 * @example
 * ```ts
 * import { nn, tensor } from "@tessera/tessera";
 * const table = new nn.EmbeddingBag(10, 3, { mode: "sum" });
 * console.assert(table.forward(tensor([[1, 2], [4, 9]])).shape.join() === "2,3");
 * console.assert(table.forward(tensor([1, 2, 4]), tensor([0, 2])).shape.join() === "2,3");
 * ```
 */
export class EmbeddingBag extends Module {
  readonly numEmbeddings: number;
  readonly embeddingDim: number;
  readonly mode: BagMode;
  weight: Parameter;

  constructor(numEmbeddings: number, embeddingDim: number, options: EmbeddingBagOptions = {}) {
    super();
    this.numEmbeddings = numEmbeddings;
    this.embeddingDim = embeddingDim;
    this.mode = options.mode ?? "mean";
    if (!MODES.includes(this.mode)) {
      throw new RangeError(`EmbeddingBag: mode is "${this.mode}": use ${MODES.join(", ")}`);
    }
    this.weight = parameter(
      normal_(empty([numEmbeddings, embeddingDim], placement(options)), 0, 1, randomness(options)),
    );
  }

  /**
   * One row a bag: [bags, dim]. A bag without indices gives zeros.
   *
   * @param indices [bags, n], or [indices] with `offsets`.
   * @param offsets [bags], where each bag starts in `indices`; the first is 0, and they do not fall.
   * @param perSampleWeights Factors of the rows, of the shape of `indices`; for sums only.
   * @throws {TypeError} for other shapes, or weights with another mode.
   */
  override forward(indices: Tensor, offsets: Tensor | null = null, perSampleWeights: Tensor | null = null): Tensor {
    if (indices.ndim !== (offsets === null ? 2 : 1) || (offsets !== null && offsets.ndim !== 1)) {
      throw new TypeError(
        `EmbeddingBag: needs indices [bags, n], or indices [n] and offsets [bags]; got indices of ${indices.ndim} dimensions and ${
          offsets === null ? "no offsets" : `offsets of ${offsets.ndim}`
        }`,
      );
    }
    if (perSampleWeights !== null && this.mode !== "sum") {
      throw new TypeError(`EmbeddingBag: perSampleWeights need mode "sum", the mode is "${this.mode}"`);
    }
    const picked = F.embedding(this.weight, indices);
    const rows = perSampleWeights === null ? picked : picked.mul(perSampleWeights.unsqueeze(-1));
    if (offsets !== null) return this.joinRuns(rows, offsets);
    if (this.mode === "max") return rows.amax([1]);
    return this.mode === "sum" ? rows.sum([1]) : rows.mean([1]);
  }

  /** Joins rows that stand in one list; bag i ends where the next begins. */
  private joinRuns(rows: Tensor, offsets: Tensor): Tensor {
    const { dtype, device } = rows;
    const places = arange(0, Number(rows.shape[0]), { device, dtype: offsets.dtype });
    const bags = F.searchsorted(offsets, places, { right: true }).sub(1);
    const out = zeros([offsets.shape[0] ?? 0, this.embeddingDim], { dtype, device });
    if (this.mode === "max") {
      return out.scatterReduce(0, bags.unsqueeze(1).expand(rows.shape), rows, "amax", { includeSelf: false });
    }
    const sums = out.indexAdd(0, bags, rows);
    if (this.mode === "sum") return sums;
    const counts = zeros([offsets.shape[0] ?? 0], { dtype, device }).indexAdd(0, bags, places.mul(0).add(1).to(dtype));
    return sums.div(counts.clampMin(1).unsqueeze(1));
  }

  override extraRepr(): string {
    return `${this.numEmbeddings}, ${this.embeddingDim}, mode='${this.mode}'`;
  }
}
