/**
 * Selection whose size depends on data, by operators that devices have: nonzero, unique, bincount, repeat_interleave.
 *
 * Enters: tensors on a device. Leaves: the results, on it. A running count says where each chosen element goes; its end is the size, the one number that is read, and a
 * search in it finds the element of each place. So nothing but that number is copied to the host. Mirrors the compactions of ATen's `cuda/Nonzero.cu` and `cuda/Unique.cu`.
 */
import { bool, type DType, int64 } from "../core/mod.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

/** The elements of a small tensor of integers. Where data is not known, as under capture, this is a break. */
export function numbersIn(t: TensorValue): number[] {
  const known = t as TensorValue & { dataSync(): ArrayLike<number | bigint> };
  return Array.from(known.dataSync(), Number);
}

function sizeOf(t: TensorValue): number {
  return t.shape.reduce<number>((n, s) => n * Number(s), 1);
}

/** Where a vector of truth values holds, ascending, and the running count. */
function placesOf(flags: TensorValue, F: Functional): { readonly places: TensorValue; readonly running: TensorValue } {
  const n = sizeOf(flags);
  const running = flags.cumsum(0, { dtype: int64 });
  const [count = 0] = n === 0 ? [0] : numbersIn(running.narrow(0, n - 1, 1));
  // The first place at which k were counted is that of the k-th.
  const places = F.searchsorted(running, F.arange(1, count + 1, { dtype: int64, device: flags.device }));
  return { places, running };
}

/** `nonzero`. */
export function nonzeroOnDevice(self: TensorValue, F: Functional): TensorValue {
  const flags = (self.dtype === bool ? self : self.ne(0)).reshape([-1]);
  let { places: rest } = placesOf(flags, F);
  const columns: TensorValue[] = [];
  for (const size of self.shape.map(Number).reverse()) {
    columns.unshift(rest.remainder(size));
    rest = rest.floorDivide(size);
  }
  return columns.length === 0 ? rest.newEmpty([Number(rest.shape[0]), 0]) : F.stack(columns, 1);
}

/** What `_unique2` and `unique_consecutive` give. */
export interface UniqueOptions {
  /** Equal elements are gathered first. */
  readonly sort: boolean;
  readonly inverse: boolean;
  readonly counts: boolean;
}

/** The distinct elements, of runs of equal ones; which of them each element is; how often each occurs. NaN differs from NaN. */
export function uniqueOnDevice(self: TensorValue, options: UniqueOptions, F: Functional): TensorValue[] {
  const flat = self.reshape([-1]), n = sizeOf(flat);
  const none = (): TensorValue => F.zeros([0], { dtype: int64, device: self.device });
  const [values, order] = options.sort ? F.sort(flat, { stable: true, dim: 0 }) : [flat, null];
  const head = F.ones([Math.min(n, 1)], { dtype: bool, device: self.device });
  const starts = n === 0 ? head : F.cat([head, values.narrow(0, 1, n - 1).ne(values.narrow(0, 0, n - 1))], 0);
  const { places, running } = placesOf(starts, F);
  const group = running.sub(1);
  const inverse = !options.inverse
    ? none()
    : (order === null ? group : group.zerosLike().scatter(0, order, group)).reshape(self.shape);
  const ends = F.cat([places, F.full([1], n, { dtype: int64, device: self.device })], 0);
  const counts = options.counts ? ends.narrow(0, 1, Number(places.shape[0])).sub(places) : none();
  return [values.indexSelect(0, places), inverse, counts];
}

/** `bincount` of a vector of integers. */
export function bincountOnDevice(
  self: TensorValue,
  weights: TensorValue | null,
  minlength: number,
  dtype: DType,
  F: Functional,
): TensorValue {
  const n = sizeOf(self);
  const [low = 0, high = -1] = n === 0 ? [0, -1] : numbersIn(F.stack([self.amin(), self.amax()], 0));
  if (low < 0) throw new RangeError(`bincount: an element is ${low}; elements must not be negative`);
  const size = Math.max(minlength, high + 1);
  const one = weights === null ? F.ones([n], { dtype, device: self.device }) : weights.to(dtype);
  return F.zeros([size], { dtype, device: self.device }).scatterAdd(0, self.to(int64), one);
}

/** `repeat_interleave` of positions. */
export function repeatOnDevice(repeats: TensorValue, F: Functional): TensorValue {
  const n = sizeOf(repeats);
  const running = repeats.cumsum(0, { dtype: int64 });
  const [low = 0, total = 0] = n === 0
    ? [0, 0]
    : numbersIn(F.stack([repeats.amin().to(int64), running.select(0, n - 1)], 0));
  if (low < 0) throw new RangeError(`repeat_interleave: cannot repeat an element ${low} times`);
  const places = F.arange(total, { dtype: int64, device: repeats.device });
  return F.searchsorted(running, places, { right: true }).to(repeats.dtype);
}
