/**
 * Which of equal elements a selection takes, and in which order: as PyTorch does on the CPU.
 *
 * Enters: a comparison of two positions. Leaves: positions, partly ordered. A router whose weights are zero gives every expert the same score, so results of a whole model hang on
 * this choice. PyTorch selects by the C++ library's `nth_element`, `partial_sort` and `sort`, whose order of equals follows from their algorithms (selection and sorting by
 * medians of three, heaps, insertion for short ranges), and `kthvalue` by Hoare's selection; these are written here on an array of positions.
 */

/** Whether the element at the first position comes strictly before that at the second. */
export type Before = (a: number, b: number) => boolean;

/** Positions that are moved about; the algorithms work in place on a range `[first, last)`. */
type Positions = Int32Array;

/** Ranges up to this length are sorted by insertion. */
const SHORT = 16;

const at = (p: Positions, i: number): number => p[i] as number;

function swap(p: Positions, i: number, j: number): void {
  const kept = at(p, i);
  p[i] = at(p, j);
  p[j] = kept;
}

function depthLimit(length: number): number {
  return 2 * Math.floor(Math.log2(length));
}

/** Shifts the element at `last` down to its place; something before it stops the walk. */
function insertUnguarded(p: Positions, last: number, before: Before): void {
  const value = at(p, last);
  let hole = last;
  while (before(value, at(p, hole - 1))) {
    p[hole] = at(p, hole - 1);
    hole--;
  }
  p[hole] = value;
}

function insertionSort(p: Positions, first: number, last: number, before: Before): void {
  for (let i = first + 1; i < last; i++) {
    if (before(at(p, i), at(p, first))) {
      const value = at(p, i);
      p.copyWithin(first + 1, first, i);
      p[first] = value;
    } else insertUnguarded(p, i, before);
  }
}

/** Brings the median of three to the front and parts the rest by it. */
function part(p: Positions, first: number, last: number, before: Before): number {
  const a = first + 1, b = first + Math.floor((last - first) / 2), c = last - 1;
  const less = (i: number, j: number): boolean => before(at(p, i), at(p, j));
  const median = less(a, b) ? (less(b, c) ? b : less(a, c) ? c : a) : less(a, c) ? a : less(b, c) ? c : b;
  swap(p, first, median);
  const pivot = at(p, first);
  let low = first + 1, high = last;
  for (;;) {
    while (before(at(p, low), pivot)) low++;
    high--;
    while (before(pivot, at(p, high))) high--;
    if (low >= high) return low;
    swap(p, low, high);
    low++;
  }
}

/** Puts `value` where the hole sinks to in the heap of `length` elements from `first` on. */
function sink(p: Positions, first: number, hole: number, length: number, value: number, before: Before): void {
  const top = hole;
  let child = hole;
  while (child < Math.floor((length - 1) / 2)) {
    child = 2 * (child + 1);
    if (before(at(p, first + child), at(p, first + child - 1))) child--;
    p[first + hole] = at(p, first + child);
    hole = child;
  }
  if (length % 2 === 0 && child === (length - 2) / 2) {
    child = 2 * (child + 1);
    p[first + hole] = at(p, first + child - 1);
    hole = child - 1;
  }
  for (let parent = (hole - 1) >> 1; hole > top && before(at(p, first + parent), value); parent = (hole - 1) >> 1) {
    p[first + hole] = at(p, first + parent);
    hole = parent;
  }
  p[first + hole] = value;
}

/** The first `middle - first` elements in order, all others behind them as a heap leaves them. */
function partialSort(p: Positions, first: number, middle: number, last: number, before: Before, sorted = true): void {
  const length = middle - first;
  const pop = (end: number, to: number): void => {
    const value = at(p, to);
    p[to] = at(p, first);
    sink(p, first, 0, end - first, value, before);
  };
  for (let parent = (length - 2) >> 1; parent >= 0; parent--) {
    sink(p, first, parent, length, at(p, first + parent), before);
  }
  for (let i = middle; i < last; i++) if (before(at(p, i), at(p, first))) pop(middle, i);
  if (sorted) { for (let end = middle - 1; end > first; end--) pop(end, end); }
}

/** Brings the element of rank `nth` to its place, smaller ones before it. */
function nthElement(p: Positions, nth: number, length: number, before: Before): void {
  let first = 0, last = length;
  if (nth >= last) return;
  for (let depth = depthLimit(length); last - first > 3; depth--) {
    if (depth === 0) {
      partialSort(p, first, nth + 1, last, before, false);
      swap(p, first, nth);
      return;
    }
    const cut = part(p, first, last, before);
    if (cut <= nth) first = cut;
    else last = cut;
  }
  insertionSort(p, first, last, before);
}

function sortLong(p: Positions, first: number, last: number, depth: number, before: Before): void {
  while (last - first > SHORT) {
    if (depth === 0) return partialSort(p, first, last, last, before);
    depth--;
    const cut = part(p, first, last, before);
    sortLong(p, cut, last, depth, before);
    last = cut;
  }
}

function sort(p: Positions, length: number, before: Before): void {
  if (length < 2) return;
  sortLong(p, 0, length, depthLimit(length), before);
  insertionSort(p, 0, Math.min(length, SHORT), before);
  for (let i = SHORT; i < length; i++) insertUnguarded(p, i, before);
}

/** The positions of the first `count` of `length` elements, in order if that is asked for; as `topk` takes them. */
export function firstPositions(length: number, count: number, sorted: boolean, before: Before): Positions {
  const p = Int32Array.from({ length }, (_, i) => i);
  if (count > 0) {
    // Few of many: ATen's own rule.
    if (count * 64 <= length) partialSort(p, 0, count, length, before);
    else {
      nthElement(p, count - 1, length, before);
      if (sorted) sort(p, count - 1, before);
    }
  }
  return p.subarray(0, count);
}

/** The position of the element of rank `nth`, as `kthvalue` takes it. */
export function rankPosition(length: number, nth: number, before: Before): number {
  const p = Int32Array.from({ length }, (_, i) => i);
  const after = (i: number, j: number): boolean => before(at(p, j), at(p, i));
  let low = 0, high = length - 1;
  while (high > low) {
    if (high === low + 1) {
      if (after(low, high)) swap(p, low, high);
      break;
    }
    swap(p, low + Math.floor((high - low) / 2), low + 1);
    if (after(low + 1, high)) swap(p, low + 1, high);
    if (after(low, high)) swap(p, low, high);
    if (after(low + 1, low)) swap(p, low + 1, low);
    let i = low + 1, j = high;
    for (;;) {
      do i++; while (after(low, i));
      do j--; while (after(j, low));
      if (j < i) break;
      swap(p, i, j);
    }
    swap(p, low, j);
    if (j <= nth) low = i;
    if (j >= nth) high = j - 1;
  }
  return at(p, nth);
}
