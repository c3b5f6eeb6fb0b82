/**
 * Dense matrices on the host, in float64: what the linear algebra operators share.
 *
 * Enter and leave row-major batches [..., m, n]. Factorisations follow LAPACK's choices, so that results agree in sign: Cholesky without pivots,
 * LU with partial pivoting, QR by Householder reflections (R's diagonal takes the sign opposite to the column's head), eigenvalues of symmetric
 * matrices by Jacobi rotations in ascending order. All are cubic and run in JavaScript: for small matrices.
 */
import type { DType } from "../core/mod.ts";
import type { HostResult, HostTensor } from "./define.ts";
import { hostArray, hostShape, readHost, writeHost } from "./host_axis.ts";

/** A matrix in row-major order. */
export class Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;

  constructor(rows: number, columns: number, data: Float64Array = new Float64Array(rows * columns)) {
    this.rows = rows;
    this.columns = columns;
    this.data = data;
  }

  /** The matrix whose element (i, j) is `f(i, j)`. */
  static from(rows: number, columns: number, f: (i: number, j: number) => number): Matrix {
    const out = new Matrix(rows, columns);
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out.set(i, j, f(i, j));
    return out;
  }

  static identity(n: number): Matrix {
    return Matrix.from(n, n, (i, j) => i === j ? 1 : 0);
  }

  at(i: number, j: number): number {
    return this.data[i * this.columns + j] ?? 0;
  }

  set(i: number, j: number, value: number): void {
    this.data[i * this.columns + j] = value;
  }

  copy(): Matrix {
    return new Matrix(this.rows, this.columns, this.data.slice());
  }

  transposed(): Matrix {
    return Matrix.from(this.columns, this.rows, (i, j) => this.at(j, i));
  }

  times(other: Matrix): Matrix {
    return Matrix.from(this.rows, other.columns, (i, j) => {
      let sum = 0;
      for (let k = 0; k < this.columns; k++) sum += this.at(i, k) * other.at(k, j);
      return sum;
    });
  }

  swapRows(a: number, b: number): void {
    if (a === b) return;
    for (let j = 0; j < this.columns; j++) {
      const kept = this.at(a, j);
      this.set(a, j, this.at(b, j));
      this.set(b, j, kept);
    }
  }
}

/** The matrices of a tensor [..., m, n]. */
export function readMatrices(t: HostTensor): Matrix[] {
  const shape = hostShape(t);
  const rows = shape[shape.length - 2] ?? 1, columns = shape[shape.length - 1] ?? 1;
  const count = shape.slice(0, -2).reduce((a, b) => a * b, 1);
  return Array.from({ length: count }, (_, b) => {
    const m = new Matrix(rows, columns);
    for (let i = 0; i < m.data.length; i++) m.data[i] = Number(readHost(t.data, b * rows * columns + i));
    return m;
  });
}

/** The dimensions of a tensor [..., m, n] before its matrices. */
export function batchOf(t: HostTensor): number[] {
  return hostShape(t).slice(0, -2);
}

/** Rows of numbers, one a matrix of the batch, as a result of `shape`. */
export function hostResult(dtype: DType, shape: readonly number[], parts: readonly ArrayLike<number>[]): HostResult {
  const data = hostArray(dtype, shape.reduce((a, b) => a * b, 1));
  let at = 0;
  for (const part of parts) for (let i = 0; i < part.length; i++) writeHost(data, at++, part[i] ?? 0);
  return { shape, data };
}

/** Matrices of one shape as a result. */
export function matricesResult(
  dtype: DType,
  batch: readonly number[],
  rows: number,
  columns: number,
  matrices: readonly Matrix[],
): HostResult {
  return hostResult(dtype, [...batch, rows, columns], matrices.map((m) => m.data));
}

/** The lower factor of a symmetric positive definite matrix, of which the lower half is read; `info` is the first minor that is not positive. */
export function choleskyFactor(a: Matrix): { readonly lower: Matrix; readonly info: number } {
  const n = a.rows;
  const l = new Matrix(n, n);
  for (let j = 0; j < n; j++) {
    let d = a.at(j, j);
    for (let k = 0; k < j; k++) d -= l.at(j, k) ** 2;
    if (!(d > 0)) return { lower: l, info: j + 1 };
    const root = Math.sqrt(d);
    l.set(j, j, root);
    for (let i = j + 1; i < n; i++) {
      let s = a.at(i, j);
      for (let k = 0; k < j; k++) s -= l.at(i, k) * l.at(j, k);
      l.set(i, j, s / root);
    }
  }
  return { lower: l, info: 0 };
}

/** L without its diagonal of ones, and U, in one matrix; `pivots[i]` is the row (from 1) that row i was exchanged with. */
export interface LuFactors {
  readonly packed: Matrix;
  readonly pivots: readonly number[];
  /** The first zero on U's diagonal, counted from 1; 0 if there is none. */
  readonly info: number;
}

/** LU with partial pivoting, or without pivots. */
export function luFactor(a: Matrix, pivot = true): LuFactors {
  const packed = a.copy();
  const k = Math.min(a.rows, a.columns);
  const pivots: number[] = [];
  let info = 0;
  for (let j = 0; j < k; j++) {
    let best = j;
    if (pivot) {
      for (let i = j + 1; i < a.rows; i++) if (Math.abs(packed.at(i, j)) > Math.abs(packed.at(best, j))) best = i;
    }
    pivots.push(best + 1);
    packed.swapRows(j, best);
    const head = packed.at(j, j);
    if (head === 0) {
      if (info === 0) info = j + 1;
      continue;
    }
    for (let i = j + 1; i < a.rows; i++) {
      const factor = packed.at(i, j) / head;
      packed.set(i, j, factor);
      if (factor === 0) continue;
      for (let c = j + 1; c < a.columns; c++) packed.set(i, c, packed.at(i, c) - factor * packed.at(j, c));
    }
  }
  return { packed, pivots, info };
}

/** Row `i` of the permuted matrix is row `order[i]` of the original. */
export function pivotOrder(pivots: ArrayLike<number>, rows: number): number[] {
  const order = Array.from({ length: rows }, (_, i) => i);
  for (let i = 0; i < pivots.length; i++) {
    const other = (pivots[i] ?? 1) - 1;
    [order[i], order[other]] = [order[other] ?? 0, order[i] ?? 0];
  }
  return order;
}

/** X with T X = B, where T is triangular and only that half of it is read. */
export function solveTriangular(t: Matrix, b: Matrix, upper: boolean, unit: boolean): Matrix {
  const n = t.rows;
  const x = b.copy();
  for (let step = 0; step < n; step++) {
    const i = upper ? n - 1 - step : step;
    for (let c = 0; c < x.columns; c++) {
      let s = x.at(i, c);
      for (let k = upper ? i + 1 : 0; k < (upper ? n : i); k++) s -= t.at(i, k) * x.at(k, c);
      x.set(i, c, unit ? s : s / t.at(i, i));
    }
  }
  return x;
}

/** X with A X = B, from A's factors. */
export function solveFactored({ packed, pivots }: Pick<LuFactors, "packed" | "pivots">, b: Matrix): Matrix {
  const order = pivotOrder(pivots, b.rows);
  const permuted = Matrix.from(b.rows, b.columns, (i, j) => b.at(order[i] ?? 0, j));
  return solveTriangular(packed, solveTriangular(packed, permuted, false, true), true, false);
}

/** The determinant as its sign and the logarithm of its size. */
export function determinantOf({ packed, pivots }: LuFactors): { readonly sign: number; readonly log: number } {
  let sign = 1, log = 0;
  for (let i = 0; i < packed.rows; i++) {
    const d = packed.at(i, i);
    sign *= Math.sign(d) * (pivots[i] === i + 1 ? 1 : -1);
    log += Math.log(Math.abs(d));
  }
  return { sign, log };
}

/** R in the upper triangle, below it the reflections that make Q (I - τ v vᵀ, v with a 1 on the diagonal), and their scales. */
export function householderFactor(a: Matrix): { readonly packed: Matrix; readonly tau: Float64Array } {
  const packed = a.copy();
  const tau = new Float64Array(Math.min(a.rows, a.columns));
  for (let j = 0; j < Math.min(a.rows - 1, a.columns); j++) {
    let tail = 0;
    for (let i = j + 1; i < a.rows; i++) tail += packed.at(i, j) ** 2;
    if (tail === 0) continue;
    const head = packed.at(j, j);
    const beta = (head >= 0 ? -1 : 1) * Math.sqrt(head * head + tail);
    const scale = (beta - head) / beta;
    tau[j] = scale;
    for (let i = j + 1; i < a.rows; i++) packed.set(i, j, packed.at(i, j) / (head - beta));
    packed.set(j, j, beta);
    for (let c = j + 1; c < a.columns; c++) {
      let s = packed.at(j, c);
      for (let i = j + 1; i < a.rows; i++) s += packed.at(i, j) * packed.at(i, c);
      packed.set(j, c, packed.at(j, c) - scale * s);
      for (let i = j + 1; i < a.rows; i++) packed.set(i, c, packed.at(i, c) - scale * s * packed.at(i, j));
    }
  }
  return { packed, tau };
}

/** Q [m, m] and R [m, n] by Householder reflections. */
export function qrFactor(a: Matrix): { readonly q: Matrix; readonly r: Matrix } {
  const { packed, tau } = householderFactor(a);
  const q = Matrix.identity(a.rows);
  for (let j = 0; j < tau.length; j++) {
    const scale = tau[j] ?? 0;
    if (scale === 0) continue;
    const v = (i: number): number => i === j ? 1 : packed.at(i, j);
    for (let i = 0; i < a.rows; i++) {
      let s = 0;
      for (let k = j; k < a.rows; k++) s += q.at(i, k) * v(k);
      for (let k = j; k < a.rows; k++) q.set(i, k, q.at(i, k) - scale * s * v(k));
    }
  }
  return { q, r: Matrix.from(a.rows, a.columns, (i, j) => i <= j ? packed.at(i, j) : 0) };
}

/** Eigenvalues in ascending order and eigenvectors (columns) of a symmetric matrix, by cyclic Jacobi rotations. */
export function symmetricEigen(symmetric: Matrix): { readonly values: number[]; readonly vectors: Matrix } {
  const n = symmetric.rows;
  const a = symmetric.copy();
  const v = Matrix.identity(n);
  for (let sweep = 0; sweep < 60; sweep++) {
    let rest = 0, all = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        all += a.at(i, j) ** 2;
        if (i !== j) rest += a.at(i, j) ** 2;
      }
    }
    if (!(rest > 1e-32 * all)) break;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const apq = a.at(p, q);
        if (apq === 0) continue;
        const theta = (a.at(q, q) - a.at(p, p)) / (2 * apq);
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1), s = t * c;
        for (let k = 0; k < n; k++) {
          const x = a.at(k, p), y = a.at(k, q);
          a.set(k, p, c * x - s * y);
          a.set(k, q, s * x + c * y);
        }
        for (let k = 0; k < n; k++) {
          const x = a.at(p, k), y = a.at(q, k);
          a.set(p, k, c * x - s * y);
          a.set(q, k, s * x + c * y);
          const f = v.at(k, p), g = v.at(k, q);
          v.set(k, p, c * f - s * g);
          v.set(k, q, s * f + c * g);
        }
      }
    }
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a.at(i, i) - a.at(j, j));
  return {
    values: order.map((i) => a.at(i, i)),
    vectors: Matrix.from(n, n, (i, j) => v.at(i, order[j] ?? 0)),
  };
}

/** Columns are orthonormal or zero; zero ones are filled, so that all are orthonormal. */
export function completeBasis(q: Matrix): void {
  const norm = (j: number): number => {
    let s = 0;
    for (let i = 0; i < q.rows; i++) s += q.at(i, j) ** 2;
    return Math.sqrt(s);
  };
  const missing = Array.from({ length: q.columns }, (_, j) => j).filter((j) => norm(j) < 0.5);
  const done = Array.from({ length: q.columns }, (_, j) => j).filter((j) => !missing.includes(j));
  for (const j of missing) {
    for (let axis = 0; axis < q.rows; axis++) {
      const x = Float64Array.from({ length: q.rows }, (_, i) => i === axis ? 1 : 0);
      // Twice, so that rounding does not leave a part.
      for (let pass = 0; pass < 2; pass++) {
        for (const k of done) {
          let s = 0;
          for (let i = 0; i < q.rows; i++) s += (x[i] ?? 0) * q.at(i, k);
          for (let i = 0; i < q.rows; i++) x[i] = (x[i] ?? 0) - s * q.at(i, k);
        }
      }
      const length = Math.hypot(...x);
      // Some axis is at least this far from the span of the others.
      if (length * length < 0.5 / q.rows) continue;
      for (let i = 0; i < q.rows; i++) q.set(i, j, (x[i] ?? 0) / length);
      done.push(j);
      break;
    }
  }
}

/** The minors of a square matrix with alternating signs: det(A) A⁻ᵀ, defined for singular matrices too. */
export function cofactors(a: Matrix): Matrix {
  return Matrix.from(a.rows, a.columns, (i, j) => {
    const minor = Matrix.from(
      a.rows - 1,
      a.columns - 1,
      (r, c) => a.at(r < i ? r : r + 1, c < j ? c : c + 1),
    );
    const { sign, log } = determinantOf(luFactor(minor));
    return sign === 0 ? 0 : ((i + j) % 2 === 0 ? 1 : -1) * sign * Math.exp(log);
  });
}
