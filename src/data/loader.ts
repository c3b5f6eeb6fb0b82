/**
 * The data loader: a data set in batches, in order or shuffled.
 */
import { type Generator, randperm, type Tensor } from "../tensor/mod.ts";
import { collate, type Dataset } from "./dataset.ts";

/** Options of {@linkcode DataLoader}. */
export interface DataLoaderOptions {
  /** Default 1. */
  readonly batchSize?: number;
  /** A new random order for each iteration. Default false. */
  readonly shuffle?: boolean;
  /** Leave out a last batch that is not full. Default false. */
  readonly dropLast?: boolean;
  /** Decides the order. Default: the global generator. */
  readonly generator?: Generator;
}

/**
 * Iterates over batches, with `for … of` or `for await … of`; the latter lets other work run between batches.
 *
 * @example
 * ```ts
 * import { arange, data } from "@tessera/tessera";
 * const loader = new data.DataLoader(new data.TensorDataset(arange(10)), { batchSize: 4 });
 * console.assert([...loader].map(([x]) => Number(x?.shape[0])).join() === "4,4,2");
 * ```
 */
export class DataLoader implements Iterable<readonly Tensor[]>, AsyncIterable<readonly Tensor[]> {
  readonly dataset: Dataset;
  readonly batchSize: number;
  readonly shuffle: boolean;
  readonly dropLast: boolean;
  readonly generator: Generator | null;

  constructor(dataset: Dataset, options: DataLoaderOptions = {}) {
    const { batchSize = 1, shuffle = false, dropLast = false, generator = null } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw new RangeError(`DataLoader: batchSize must be a positive integer, got ${batchSize}`);
    }
    this.dataset = dataset;
    this.batchSize = batchSize;
    this.shuffle = shuffle;
    this.dropLast = dropLast;
    this.generator = generator;
  }

  /** Number of batches. */
  get length(): number {
    const batches = this.dataset.length / this.batchSize;
    return this.dropLast ? Math.floor(batches) : Math.ceil(batches);
  }

  *[Symbol.iterator](): IterableIterator<readonly Tensor[]> {
    const n = this.dataset.length;
    const order = this.shuffle && n > 0
      ? Array.from(randperm(n, this.generator === null ? {} : { generator: this.generator }).dataSync(), Number)
      : Array.from({ length: n }, (_, i) => i);
    for (let batch = 0; batch < this.length; batch++) {
      yield collate(this.dataset, order.slice(batch * this.batchSize, (batch + 1) * this.batchSize));
    }
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<readonly Tensor[]> {
    for (const batch of this) {
      yield batch;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
}
