/**
 * Factors of symmetric indefinite matrices on the host: A = P L D Lᵀ Pᵀ with blocks of one or two in D.
 *
 * Pivots are chosen by Bunch and Kaufman's rule (1977) and written as LAPACK's `sytrf` writes them, so that factors are exchangeable: a positive pivot is the
 * row (from 1) that was exchanged, two equal negative ones mark a block of two. The lower half is read and written.
 */
import { Matrix } from "./matrices.ts";

/** L below the diagonal, D on it and (for blocks of two) right below it. */
export interface IndefiniteFactors {
  readonly packed: Matrix;
  readonly pivots: readonly number[];
  /** The first block of D that is 0, counted from 1; 0 if there is none. */
  readonly info: number;
}

/** Where the growth of elements by a pivot of one and of two is the same. */
const ALPHA = (1 + Math.sqrt(17)) / 8;

/** The row of the largest element of column `j` from row `from` on, beside `skip`. */
function largestBelow(at: (i: number) => number, from: number, n: number, skip = -1): { row: number; size: number } {
  let row = -1, size = 0;
  for (let i = from; i < n; i++) {
    if (i === skip) continue;
    const x = Math.abs(at(i));
    if (row === -1 || x > size) [row, size] = [i, x];
  }
  return { row, size };
}

/** Exchanges rows and columns `a` < `b` of a symmetric matrix of which the lower half from column `from` on is stored. */
function exchange(m: Matrix, a: number, b: number, from: number): void {
  if (a === b) return;
  const swap = (i: number, j: number, k: number, l: number): void => {
    const kept = m.at(i, j);
    m.set(i, j, m.at(k, l));
    m.set(k, l, kept);
  };
  for (let i = b + 1; i < m.rows; i++) swap(i, a, i, b);
  for (let i = a + 1; i < b; i++) swap(i, a, b, i);
  swap(a, a, b, b);
  // With a block of two, its other column lies before.
  for (let j = from; j < a; j++) swap(a, j, b, j);
}

/** The factors of a symmetric matrix, of which the lower half is read. */
export function indefiniteFactor(a: Matrix): IndefiniteFactors {
  const n = a.rows;
  const m = Matrix.from(n, n, (i, j) => i >= j ? a.at(i, j) : 0);
  const pivots = new Array<number>(n).fill(0);
  let info = 0;
  for (let k = 0; k < n;) {
    const diagonal = Math.abs(m.at(k, k));
    const { row: r, size: column } = largestBelow((i) => m.at(i, k), k + 1, n);
    let width = 1, pivot = k;
    if (Math.max(diagonal, column) === 0 || Number.isNaN(diagonal)) {
      if (info === 0) info = k + 1;
    } else if (diagonal < ALPHA * column) {
      const element = (i: number): number => i < r ? m.at(r, i) : m.at(i, r);
      const { size: row } = largestBelow(element, k, n, r);
      if (diagonal >= ALPHA * column * (column / row)) pivot = k;
      else if (Math.abs(m.at(r, r)) >= ALPHA * row) pivot = r;
      else [width, pivot] = [2, r];
    }
    const moved = k + width - 1;
    exchange(m, moved, pivot, k);
    if (width === 1) {
      if (m.at(k, k) !== 0) eliminateOne(m, k);
      pivots[k] = pivot + 1;
    } else {
      eliminateTwo(m, k);
      pivots[k] = pivots[k + 1] = -(pivot + 1);
    }
    k += width;
  }
  return { packed: m, pivots, info };
}

function eliminateOne(m: Matrix, k: number): void {
  const d = m.at(k, k);
  for (let j = k + 1; j < m.rows; j++) {
    const factor = m.at(j, k) / d;
    for (let i = j; i < m.rows; i++) m.set(i, j, m.at(i, j) - m.at(i, k) * factor);
  }
  for (let i = k + 1; i < m.rows; i++) m.set(i, k, m.at(i, k) / d);
}

function eliminateTwo(m: Matrix, k: number): void {
  const a = m.at(k, k), b = m.at(k + 1, k), c = m.at(k + 1, k + 1);
  const det = a * c - b * b;
  for (let j = k + 2; j < m.rows; j++) {
    const x = m.at(j, k), y = m.at(j, k + 1);
    const first = (c * x - b * y) / det, second = (a * y - b * x) / det;
    for (let i = j; i < m.rows; i++) m.set(i, j, m.at(i, j) - m.at(i, k) * first - m.at(i, k + 1) * second);
    m.set(j, k, first);
    m.set(j, k + 1, second);
  }
}

/** X with A X = B. */
export function solveIndefinite(packed: Matrix, pivots: readonly number[], b: Matrix): Matrix {
  const n = packed.rows;
  const x = b.copy();
  const columns = x.columns;
  const subtract = (to: number, from: number, factor: number): void => {
    for (let c = 0; c < columns; c++) x.set(to, c, x.at(to, c) - factor * x.at(from, c));
  };
  for (let k = 0; k < n;) {
    const pivot = pivots[k] ?? k + 1;
    if (pivot > 0) {
      x.swapRows(k, pivot - 1);
      for (let i = k + 1; i < n; i++) subtract(i, k, packed.at(i, k));
      for (let c = 0; c < columns; c++) x.set(k, c, x.at(k, c) / packed.at(k, k));
      k += 1;
      continue;
    }
    x.swapRows(k + 1, -pivot - 1);
    for (let i = k + 2; i < n; i++) {
      subtract(i, k, packed.at(i, k));
      subtract(i, k + 1, packed.at(i, k + 1));
    }
    const p = packed.at(k, k), q = packed.at(k + 1, k), r = packed.at(k + 1, k + 1);
    const det = p * r - q * q;
    for (let c = 0; c < columns; c++) {
      const u = x.at(k, c), v = x.at(k + 1, c);
      x.set(k, c, (r * u - q * v) / det);
      x.set(k + 1, c, (p * v - q * u) / det);
    }
    k += 2;
  }
  for (let k = n - 1; k >= 0;) {
    const pivot = pivots[k] ?? k + 1;
    for (let i = k + 1; i < n; i++) subtract(k, i, packed.at(i, k));
    if (pivot > 0) {
      x.swapRows(k, pivot - 1);
      k -= 1;
      continue;
    }
    for (let i = k + 1; i < n; i++) subtract(k - 1, i, packed.at(i, k - 1));
    x.swapRows(k, -pivot - 1);
    k -= 2;
  }
  return x;
}
