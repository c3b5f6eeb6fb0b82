/**
 * Data sets: things with a length whose items are rows of tensors.
 */
import { F, type Tensor } from "../tensor/mod.ts";

/** Items by number; an item is a list of tensors, as `[image, label]`. */
export interface Dataset {
  /** Number of items. */
  readonly length: number;
  /** One item. */
  get(index: number): readonly Tensor[];
  /** Many items, each tensor with a new first dimension; without it, items are got one by one and stacked. */
  batch?(indices: readonly number[]): readonly Tensor[];
}

/**
 * Tensors of equal length; item `i` is row `i` of each.
 *
 * @example
 * ```ts
 * import { data, tensor } from "@tessera/tessera";
 * const set = new data.TensorDataset(tensor([[1, 2], [3, 4]]), tensor([0, 1]));
 * console.assert(set.length === 2 && set.get(1)[1]?.item() === 1);
 * ```
 */
export class TensorDataset implements Dataset {
  readonly tensors: readonly Tensor[];
  readonly length: number;

  /** @throws {TypeError} if the tensors differ in their first dimension. */
  constructor(...tensors: readonly Tensor[]) {
    const lengths = tensors.map((t) => t.ndim === 0 ? -1 : Number(t.shape[0]));
    const [length] = lengths;
    if (length === undefined || length < 0 || lengths.some((n) => n !== length)) {
      throw new TypeError(
        `TensorDataset: needs tensors of equal length, got shapes ${
          tensors.map((t) => `[${t.shape.join(", ")}]`).join(", ")
        }`,
      );
    }
    this.tensors = tensors;
    this.length = length;
  }

  get(index: number): readonly Tensor[] {
    return this.tensors.map((t) => t.at(checkIndex(index, this.length)));
  }

  batch(indices: readonly number[]): readonly Tensor[] {
    for (const index of indices) checkIndex(index, this.length);
    return this.tensors.map((t) => t.at(indices));
  }
}

/** Some items of another data set. */
export class Subset implements Dataset {
  readonly dataset: Dataset;
  readonly indices: readonly number[];

  constructor(dataset: Dataset, indices: readonly number[]) {
    this.dataset = dataset;
    this.indices = indices;
  }

  get length(): number {
    return this.indices.length;
  }

  get(index: number): readonly Tensor[] {
    return this.dataset.get(this.indices[checkIndex(index, this.length)] ?? 0);
  }

  batch(indices: readonly number[]): readonly Tensor[] {
    return collate(this.dataset, indices.map((i) => this.indices[checkIndex(i, this.length)] ?? 0));
  }
}

/** Many items as one list of tensors with a new first dimension. */
export function collate(dataset: Dataset, indices: readonly number[]): readonly Tensor[] {
  if (dataset.batch !== undefined) return dataset.batch(indices);
  const items = indices.map((i) => dataset.get(i));
  return (items[0] ?? []).map((_, column) =>
    F.stack(
      items.map((item, row) => {
        const t = item[column];
        if (t === undefined) throw new TypeError(`DataLoader: item ${indices[row]} has no tensor ${column}`);
        return t;
      }),
      0,
    )
  );
}

function checkIndex(index: number, length: number): number {
  const i = index < 0 ? index + length : index;
  if (!Number.isInteger(i) || i < 0 || i >= length) {
    throw new RangeError(`data set: item ${index} is outside ${length} items`);
  }
  return i;
}
