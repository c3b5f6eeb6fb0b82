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
  for (const given of self.shape.map(Number).reverse()) {
    const size = Math.max(given, 1); // without elements there are no places
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
  const { places, inverse, counts } = runsOf(starts, order, F);
  return [
    values.indexSelect(0, places),
    options.inverse ? inverse().reshape(self.shape) : none(),
    options.counts ? counts() : none(),
  ];
}

interface Runs {
  readonly places: TensorValue;
  /** Of each element, which run it is in. */
  readonly inverse: () => TensorValue;
  /** How long each run is. */
  readonly counts: () => TensorValue;
}

/** Runs of elements that begin where `starts` holds; `order` says which element stands where. */
function runsOf(starts: TensorValue, order: TensorValue | null, F: Functional): Runs {
  const { places, running } = placesOf(starts, F);
  return {
    places,
    inverse: () => {
      const group = running.sub(1);
      return order === null ? group : group.zerosLike().scatter(0, order, group);
    },
    counts: () => {
      const end = F.full([1], sizeOf(starts), { dtype: int64, device: starts.device });
      return F.cat([places, end], 0).narrow(0, 1, sizeOf(places)).sub(places);
    },
  };
}

/** Which rows along dimension 1 differ from the one before, the first included. NaN is like NaN. */
function changes(rows: TensorValue, F: Functional): TensorValue {
  const n = Number(rows.shape[1]);
  const [next, before] = [rows.narrow(1, 1, n - 1), rows.narrow(1, 0, n - 1)];
  const differ = next.dtype.isFloat
    ? next.ne(before).logicalAnd(next.eq(next).logicalOr(before.eq(before)))
    : next.ne(before);
  return F.cat([F.ones([Number(rows.shape[0]), 1], { dtype: bool, device: rows.device }), differ], 1);
}

/** The rank of each element among the distinct ones of its row, for rows `[c, n]`. */
function denseRanks(rows: TensorValue, F: Functional): TensorValue {
  const [values, order] = F.sort(rows, { stable: true, dim: 1 });
  const groups = changes(values, F).cumsum(1, { dtype: int64 }).sub(1);
  return groups.zerosLike().scatter(1, order, groups);
}

/**
 * The distinct slices along an axis, of runs of equal ones, with inverse and counts. To sort them in lexicographic order their elements are ranked, neighbours'
 * ranks make one number, and these are ranked again: as many rounds as the number of elements has digits.
 */
export function uniqueSlicesOnDevice(
  self: TensorValue,
  axis: number,
  options: Pick<UniqueOptions, "sort">,
  F: Functional,
): TensorValue[] | null {
  const n = Number(self.shape[axis]);
  if (n === 0) return null;
  const columns = self.movedim(axis, 0).reshape([n, -1]).mT();
  let starts = changes(columns, F).any(0);
  let order: TensorValue | null = null;
  if (options.sort) {
    let ranks = denseRanks(columns, F);
    while (Number(ranks.shape[0]) > 1) {
      const c = Number(ranks.shape[0]), pairs = c >> 1;
      const two = ranks.narrow(0, 0, 2 * pairs).reshape([pairs, 2, n]);
      const joined = denseRanks(two.select(1, 0).mul(n).add(two.select(1, 1)), F);
      ranks = c % 2 === 0 ? joined : F.cat([joined, ranks.narrow(0, c - 1, 1)], 0);
    }
    const [sorted, positions] = F.sort(ranks, { stable: true, dim: 1 });
    [starts, order] = [changes(sorted, F).reshape([n]), positions.reshape([n])];
  }
  const { places, inverse, counts } = runsOf(starts, order, F);
  const chosen = order === null ? places : order.indexSelect(0, places);
  return [self.indexSelect(axis, chosen), inverse(), counts()];
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
