/**
 * What linear algebra operators check and share: matrices of floats, square ones, batches that broadcast.
 */
import { float32, float64 } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import { broadcastShapes, sameShape, shapeToText, type Size, sizeEq } from "../symbolic/mod.ts";
import type { TensorValue } from "./value.ts";

/** Rows, columns and batch of matrices. @throws {TypeError} unless `a` has two dimensions or more, of float32 or float64 (with `halves`, any float). */
export function matrixShape(
  where: string,
  a: TensorMeta,
  halves = false,
): { readonly batch: readonly Size[]; readonly rows: Size; readonly columns: Size } {
  const rank = a.shape.length;
  if (rank < 2) throw new TypeError(`${where}: needs matrices, got ${shapeToText(a.shape)}`);
  if (halves ? !a.dtype.isFloat : a.dtype !== float32 && a.dtype !== float64) {
    throw new TypeError(`${where}: needs float32 or float64, got ${a.dtype.name}; convert with .to(float32)`);
  }
  return { batch: a.shape.slice(0, -2), rows: a.shape[rank - 2] ?? 1, columns: a.shape[rank - 1] ?? 1 };
}

/** The size of square matrices and their batch. @throws {TypeError} unless square. */
export function squareShape(
  where: string,
  a: TensorMeta,
  halves = false,
): { readonly batch: readonly Size[]; readonly n: Size } {
  const { batch, rows, columns } = matrixShape(where, a, halves);
  if (!sizeEq(rows, columns)) throw new TypeError(`${where}: needs square matrices, got ${shapeToText(a.shape)}`);
  return { batch, n: rows };
}

/** The shape of the solution of A X = B (or X A = B), whose batches broadcast. @throws {TypeError} on shapes or dtypes that do not meet. */
export function solutionShape(where: string, a: TensorMeta, b: TensorMeta, left = true): Size[] {
  const { batch, n } = squareShape(where, a);
  const { batch: other, rows, columns } = matrixShape(where, b);
  if (a.dtype !== b.dtype || !sizeEq(n, left ? rows : columns)) {
    throw new TypeError(
      `${where}: A ${a.dtype.name}${shapeToText(a.shape)} and B ${b.dtype.name}${
        shapeToText(b.shape)
      } do not meet; the ${left ? "rows" : "columns"} of B must be those of A, of one dtype`,
    );
  }
  return [...broadcastShapes(where, batch, other), rows, columns];
}

/** Both with the batch to which their batches broadcast. */
export function alignBatches(where: string, a: TensorValue, b: TensorValue): [TensorValue, TensorValue] {
  const batch = broadcastShapes(where, a.shape.slice(0, -2), b.shape.slice(0, -2));
  const grown = (t: TensorValue): TensorValue =>
    sameShape(t.shape.slice(0, -2), batch) ? t : t.expand([...batch, ...t.shape.slice(-2)]);
  return [grown(a), grown(b)];
}

/** Matrices of which `dim` says that the last two dimensions are transposed. */
export function transposeIf(t: TensorValue, condition: boolean): TensorValue {
  return condition ? t.transpose(-2, -1) : t;
}
