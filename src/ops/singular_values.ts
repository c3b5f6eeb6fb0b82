/**
 * Singular values of matrices, by one-sided Jacobi rotations (Hestenes 1958) in float64 on the host.
 *
 * Enter matrices [..., m, n]; leave singular values in descending order and, for the gradient, the singular vectors. Small matrices only: the
 * cost is cubic and runs in JavaScript. Mirrors `torch.linalg.svdvals`.
 */
import { shapeToText, type Size, sizeMin } from "../symbolic/mod.ts";
import { defineOp, type HostResult, type HostTensor, type MetaInput, type TensorSpec } from "./define.ts";
import { hostShape } from "./host_axis.ts";
import { batchOf, completeBasis, hostResult, matricesResult, Matrix, readMatrices } from "./matrices.ts";

function checked(
  where: string,
  self: MetaInput,
): { readonly batch: readonly Size[]; readonly rows: Size; readonly columns: Size } {
  const rank = self.shape.length;
  if (rank < 2) throw new TypeError(`${where}: needs matrices, got ${shapeToText(self.shape)}`);
  if (!self.dtype.isFloat) throw new TypeError(`${where}: needs floating point numbers, got ${self.dtype.name}`);
  return { batch: self.shape.slice(0, -2), rows: self.shape[rank - 2] ?? 1, columns: self.shape[rank - 1] ?? 1 };
}

function specs(where: string, self: MetaInput): [TensorSpec, TensorSpec, TensorSpec] {
  const { batch, rows, columns } = checked(where, self);
  const k = sizeMin(rows, columns);
  const { dtype } = self;
  return [
    { shape: [...batch, rows, k], dtype },
    { shape: [...batch, k], dtype },
    { shape: [...batch, k, columns], dtype },
  ];
}

/** Rotates pairs of the `k` columns of `a` (each of length `m`) until all are orthogonal; `v` gathers the rotations. */
function orthogonalize(a: Float64Array[], v: Float64Array[]): void {
  const k = a.length;
  for (let sweep = 0; sweep < 60; sweep++) {
    let rotated = false;
    for (let p = 0; p < k; p++) {
      for (let q = p + 1; q < k; q++) {
        const x = a[p] ?? new Float64Array(), y = a[q] ?? new Float64Array();
        let xx = 0, yy = 0, xy = 0;
        for (let i = 0; i < x.length; i++) {
          xx += (x[i] ?? 0) ** 2;
          yy += (y[i] ?? 0) ** 2;
          xy += (x[i] ?? 0) * (y[i] ?? 0);
        }
        if (Math.abs(xy) <= 1e-15 * Math.sqrt(xx * yy) || xy === 0) continue;
        rotated = true;
        const zeta = (yy - xx) / (2 * xy);
        const t = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
        const c = 1 / Math.sqrt(1 + t * t), s = c * t;
        for (const [f, g] of [[x, y], [v[p], v[q]]]) {
          if (f === undefined || g === undefined) continue;
          for (let i = 0; i < f.length; i++) {
            const u = f[i] ?? 0, w = g[i] ?? 0;
            f[i] = c * u - s * w;
            g[i] = s * u + c * w;
          }
        }
      }
    }
    if (!rotated) return;
  }
}

/** A = U diag(s) Vh of one matrix; singular values descend, vectors of a singular value 0 are 0 on the longer side. */
export function thinDecomposition(
  matrix: Matrix,
): { readonly u: Matrix; readonly s: number[]; readonly vh: Matrix } {
  const { rows, columns } = matrix;
  const k = Math.min(rows, columns), long = Math.max(rows, columns);
  const isTall = rows >= columns;
  const a = Array.from(
    { length: k },
    (_, j) => Float64Array.from({ length: long }, (_, i) => isTall ? matrix.at(i, j) : matrix.at(j, i)),
  );
  const v = Array.from({ length: k }, (_, j) => Float64Array.from({ length: k }, (_, i) => i === j ? 1 : 0));
  orthogonalize(a, v);
  const norms = a.map((x) => Math.hypot(...x));
  const order = norms.map((_, i) => i).sort((i, j) => (norms[j] ?? 0) - (norms[i] ?? 0));
  const unit = (i: number, r: number): number => {
    const column = order[r] ?? 0, norm = norms[column] ?? 0;
    return norm === 0 ? 0 : (a[column]?.[i] ?? 0) / norm;
  };
  const turn = (i: number, r: number): number => v[order[r] ?? 0]?.[i] ?? 0;
  const [left, right] = isTall ? [unit, turn] : [turn, unit];
  return {
    u: Matrix.from(rows, k, left),
    s: order.map((column) => norms[column] ?? 0),
    vh: Matrix.from(k, columns, (r, i) => right(i, r)),
  };
}

/** Thin singular value decomposition of each matrix. */
function decomposeHost(self: HostTensor): HostResult[] {
  const [rows = 1, columns = 1] = hostShape(self).slice(-2);
  const batch = batchOf(self), k = Math.min(rows, columns);
  const parts = readMatrices(self).map((m) => {
    const { u, s, vh } = thinDecomposition(m);
    completeBasis(u);
    const v = vh.transposed();
    completeBasis(v);
    return { u, s, vh: v.transposed() };
  });
  return [
    matricesResult(self.dtype, batch, rows, k, parts.map((p) => p.u)),
    hostResult(self.dtype, [...batch, k], parts.map((p) => p.s)),
    matricesResult(self.dtype, batch, k, columns, parts.map((p) => p.vh)),
  ];
}

defineOp({
  schema: "tessera::thin_svd(Tensor self) -> (Tensor, Tensor, Tensor)",
  doc: "Thin singular value decomposition.",
  meta: ({ self }) => specs("thin_svd", self),
  host: ({ self }) => decomposeHost(self),
  // The gradient of the singular values alone; that of the vectors is not given.
  vjp: (_, { outs, grads }) => ({
    self: () => {
      const [u, , vh] = outs;
      const g = grads[1] ?? null;
      return g === null || u === undefined || vh === undefined ? null : u.mul(g.unsqueeze(-2)).matmul(vh);
    },
  }),
  samples: () => [],
});

defineOp({
  schema: "tessera::svdvals(Tensor self) -> Tensor",
  doc: "Singular values in descending order.",
  meta: ({ self }) => specs("svdvals", self)[1],
  decompose: ({ self }) => self.thinSvd()[1],
  samples: (g) =>
    g.dtype.isFloat && g.dtype.bytes >= 4 ? [{ args: { self: g.tensor([2, 3, 4]) }, tolerance: 1e-4 }] : [],
});

defineOp({
  schema: "aten::linalg_svdvals(Tensor A, *, str? driver=None) -> Tensor",
  doc: "Singular values in descending order.",
  meta: ({ A: self }) => specs("linalg_svdvals", self)[1],
  decompose: ({ A: self }) => self.svdvals(),
  samples: (g) => g.dtype.isFloat && g.dtype.bytes >= 4 ? [{ args: { A: g.tensor([3, 2]) }, tolerance: 1e-4 }] : [],
});
