/**
 * Orthogonal factorisations and what follows from them: QR, eigenvalues of symmetric matrices, singular values, pseudo-inverse, least squares.
 *
 * Factorisations run on the host in float64 (`matrices.ts`, `singular_values.ts`). Signs of Q follow LAPACK; those of eigenvectors and singular vectors are
 * open, as in PyTorch. Gradients are written with matrix products; they are infinite where eigenvalues meet. Mirrors `linalg_qr`, `linalg_eigh`,
 * `linalg_svd`, `linalg_pinv` and `linalg_lstsq` of ATen.
 */
import { float32, int64 } from "../core/mod.ts";
import { sameShape, shapeToText, type Size, sizeEq, sizeLe, sizeMin } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { regularMatrices, wide } from "./linalg.ts";
import { matrixShape, squareShape } from "./linalg_checks.ts";
import {
  batchOf,
  completeBasis,
  hostResult,
  matricesResult,
  Matrix,
  qrFactor,
  readMatrices,
  symmetricEigen,
} from "./matrices.ts";
import type { SampleGenerator, TensorSample } from "./samples.ts";
import { thinDecomposition } from "./singular_values.ts";
import type { TensorValue } from "./value.ts";

function cut(m: Matrix, rows: number, columns: number): Matrix {
  return Matrix.from(rows, columns, (i, j) => m.at(i, j));
}

function qrShapes(where: string, A: MetaInput, mode: string): [TensorSpec, TensorSpec] {
  const { batch, rows, columns } = matrixShape(where, A);
  const k = sizeMin(rows, columns);
  const { dtype } = A;
  switch (mode) {
    case "reduced":
      return [{ shape: [...batch, rows, k], dtype }, { shape: [...batch, k, columns], dtype }];
    case "complete":
      return [{ shape: [...batch, rows, rows], dtype }, { shape: [...batch, rows, columns], dtype }];
    case "r":
      return [{ shape: [0], dtype }, { shape: [...batch, k, columns], dtype }];
    default:
      throw new RangeError(`${where}: mode must be reduced, complete or r, got "${mode}"`);
  }
}

/** tril(X) + tril(X, -1)ᵀ. */
function copyLower(x: TensorValue): TensorValue {
  return x.tril().add(x.tril(-1).mT());
}

function qrGrad(
  q: TensorValue,
  r: TensorValue,
  gq: TensorValue | null,
  gr: TensorValue | null,
  F: Functional,
): TensorValue {
  const a = gr === null ? null : r.matmul(gr.mT()), b = gq === null ? null : gq.mT().matmul(q);
  const m = a === null ? b?.neg() ?? r : b === null ? a : a.sub(b);
  const inner = gq === null ? q.matmul(copyLower(m)) : gq.add(q.matmul(copyLower(m)));
  return F.linalgSolveTriangular(r.mT(), inner, { upper: false, left: false });
}

defineOp({
  schema: "aten::linalg_qr(Tensor A, str mode='reduced') -> (Tensor Q, Tensor R)",
  doc: "A = Q R with orthonormal columns of Q and upper triangular R.",
  meta: ({ A, mode }) => qrShapes("linalg_qr", A, mode),
  host: ({ A, mode }, outs) => {
    const [rows = 0, columns = 0] = A.shape.slice(-2).map(Number);
    const k = mode === "complete" ? rows : Math.min(rows, columns);
    const factors = readMatrices(A).map(qrFactor);
    const batch = batchOf(A);
    const r = matricesResult(A.dtype, batch, k, columns, factors.map((f) => cut(f.r, k, columns)));
    if (mode === "r") return [hostResult(outs[0]?.dtype ?? A.dtype, [0], []), r];
    return [matricesResult(A.dtype, batch, rows, k, factors.map((f) => cut(f.q, rows, k))), r];
  },
  vjp: ({ A, mode }, { outs, grads, F }) => ({
    A: () => {
      const [q, r] = outs;
      const [gq = null, gr = null] = grads;
      if (q === undefined || r === undefined || (gq === null && gr === null)) return null;
      const { rows, columns } = matrixShape("linalg_qr", A);
      if (mode === "r" || (mode === "complete" && !sizeLe(rows, columns))) {
        throw new TypeError(
          `linalg_qr: mode "${mode}" has no gradient for ${shapeToText(A.shape)}; use mode "reduced"`,
        );
      }
      if (sizeLe(columns, rows)) return qrGrad(q, r, gq, gr, F);
      // Wide: A = [X | Y], R = [U | V], V = Qᵀ Y.
      const rest = Number(columns) - Number(rows);
      const gu = gr?.narrow(-1, 0, rows) ?? null, gv = gr?.narrow(-1, rows, rest) ?? null;
      const gqAll = gv === null ? gq : A.narrow(-1, rows, rest).matmul(gv.mT()).add(gq ?? 0);
      const gx = qrGrad(q, r.narrow(-1, 0, rows), gqAll, gu, F);
      return F.cat([gx, gv === null ? A.narrow(-1, rows, rest).zerosLike() : q.matmul(gv)], -1);
    },
  }),
  samples: (g) =>
    wide(g, () => [
      { args: { A: regularMatrices(g, 2, 3) } },
      { args: { A: g.tensor([4, 2], { values: [1, 2, -1, 0.5, 2, 2, 0, 1] }) }, name: "tall" },
      { args: { A: g.tensor([2, 3], { values: [1, 2, -1, 0.5, 2, 2] }) }, name: "wide" },
      { args: { A: g.tensor([4, 2], { requiresGrad: false }), mode: "complete" }, differentiate: false },
      { args: { A: g.tensor([3, 2], { requiresGrad: false }), mode: "r" }, differentiate: false },
    ]),
});

defineOp({
  schema: "aten::qr(Tensor self, bool some=True) -> (Tensor Q, Tensor R)",
  doc: "A = Q R, reduced or complete.",
  meta: ({ self, some }) => qrShapes("qr", self, some ? "reduced" : "complete"),
  decompose: ({ self, some }, F) => F.linalgQr(self, { mode: some ? "reduced" : "complete" }),
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 1, 3) } }]),
});

function half(where: string, uplo: string): boolean {
  if (!["L", "U", "l", "u"].includes(uplo)) throw new RangeError(`${where}: UPLO must be L or U, got "${uplo}"`);
  return uplo.toUpperCase() === "U";
}

defineOp({
  schema: 'aten::linalg_eigh(Tensor self, str UPLO="L") -> (Tensor eigenvalues, Tensor eigenvectors)',
  doc: "Eigenvalues (ascending) and eigenvectors (columns) of symmetric matrices, of which one half is read.",
  meta: ({ self, UPLO }) => {
    half("linalg_eigh", UPLO);
    const { batch, n } = squareShape("linalg_eigh", self);
    return [{ shape: [...batch, n], dtype: self.dtype }, { shape: self.shape, dtype: self.dtype }];
  },
  host: ({ self, UPLO }) => {
    const upper = half("linalg_eigh", UPLO);
    const n = Number(self.shape[self.shape.length - 1]);
    const all = readMatrices(self).map((m) =>
      symmetricEigen(Matrix.from(n, n, (i, j) => (i >= j) !== upper || i === j ? m.at(i, j) : m.at(j, i)))
    );
    const batch = batchOf(self);
    return [
      hostResult(self.dtype, [...batch, n], all.map((e) => e.values)),
      matricesResult(self.dtype, batch, n, n, all.map((e) => e.vectors)),
    ];
  },
  vjp: (_, { outs, grads, F }) => ({
    self: () => {
      const [values, v] = outs;
      const [gl = null, gv = null] = grads;
      if (values === undefined || v === undefined || (gl === null && gv === null)) return null;
      let inner = gl === null ? null : gl.diagEmbed();
      if (gv !== null) {
        const distance = values.unsqueeze(-2).sub(values.unsqueeze(-1));
        const safe = distance.add(F.eye(values.shape[values.ndim - 1] ?? 1, { dtype: values.dtype }));
        const turn = v.mT().matmul(gv);
        const off = turn.sub(turn.diagonal(0, -2, -1).diagEmbed()).div(safe);
        inner = inner === null ? off : inner.add(off);
      }
      return inner === null ? null : v.matmul(inner).matmul(v.mT());
    },
  }),
  samples: (g) =>
    wide(g, () => [{
      args: { self: g.tensor([1, 3, 3], { values: [2, 0, 0, 0.5, 3, 0, 1, -1, 5], requiresGrad: false }) },
      differentiate: false,
      tolerance: 1e-4,
    }]),
});

defineOp({
  schema: 'aten::linalg_eigvalsh(Tensor self, str UPLO="L") -> Tensor',
  doc: "Eigenvalues of symmetric matrices, ascending.",
  meta: ({ self, UPLO }) => {
    half("linalg_eigvalsh", UPLO);
    const { batch, n } = squareShape("linalg_eigvalsh", self);
    return { shape: [...batch, n], dtype: self.dtype };
  },
  decompose: ({ self, UPLO }, F) => F.linalgEigh(self, { UPLO })[0],
  samples: (g) =>
    wide(g, () => [{
      args: { self: g.tensor([3, 3], { values: [2, 0, 0, 0.5, 3, 0, 1, -1, 5], requiresGrad: false }) },
      differentiate: false,
      tolerance: 1e-4,
    }]),
});

function svdShapes(where: string, A: MetaInput, full: boolean): [TensorSpec, TensorSpec, TensorSpec] {
  const { batch, rows, columns } = matrixShape(where, A);
  const k = sizeMin(rows, columns);
  const { dtype } = A;
  return [{ shape: [...batch, rows, full ? rows : k], dtype }, { shape: [...batch, k], dtype }, {
    shape: [...batch, full ? columns : k, columns],
    dtype,
  }];
}

/** Matrices with singular values that are not near each other. */
function tallSample(g: SampleGenerator): TensorSample {
  return g.tensor([3, 2], { values: [3, 0.5, -0.25, 1, 0.5, 0.75] });
}

defineOp({
  schema: "aten::linalg_svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)",
  doc: "A = U diag(S) Vh, with singular values in descending order.",
  meta: ({ A, fullMatrices }) => svdShapes("linalg_svd", A, fullMatrices),
  host: ({ A, fullMatrices }) => {
    const [rows = 0, columns = 0] = A.shape.slice(-2).map(Number);
    const k = Math.min(rows, columns), batch = batchOf(A);
    const m = fullMatrices ? rows : k, n = fullMatrices ? columns : k;
    const parts = readMatrices(A).map((a) => {
      const { u, s, vh } = thinDecomposition(a);
      const left = Matrix.from(rows, m, (i, j) => j < k ? u.at(i, j) : 0);
      const right = Matrix.from(columns, n, (i, j) => j < k ? vh.at(j, i) : 0);
      completeBasis(left);
      completeBasis(right);
      return { left, s, right: right.transposed() };
    });
    return [
      matricesResult(A.dtype, batch, rows, m, parts.map((p) => p.left)),
      hostResult(A.dtype, [...batch, k], parts.map((p) => p.s)),
      matricesResult(A.dtype, batch, n, columns, parts.map((p) => p.right)),
    ];
  },
  vjp: ({ A }, { outs, grads, F }) => ({
    A: () => {
      const [allU, s, allVh] = outs;
      const [gAllU = null, gs = null, gAllVh = null] = grads;
      if (allU === undefined || s === undefined || allVh === undefined) return null;
      if (gs === null && gAllU === null && gAllVh === null) return null;
      const { rows, columns } = matrixShape("linalg_svd", A);
      const k = sizeMin(rows, columns);
      // The gradient sees the first k vectors: those that complete a basis are not determined by A.
      const u = allU.narrow(-1, 0, k), vh = allVh.narrow(-2, 0, k);
      const gu = gAllU?.narrow(-1, 0, k) ?? null, gvh = gAllVh?.narrow(-2, 0, k) ?? null;
      let inner = gs === null ? null : gs.diagEmbed();
      const add = (t: TensorValue): void => {
        inner = inner === null ? t : (inner as TensorValue).add(t);
      };
      const squares = s.mul(s);
      const gaps = squares.unsqueeze(-2).sub(squares.unsqueeze(-1)).add(F.eye(k, { dtype: s.dtype }));
      const skew = (x: TensorValue): TensorValue => x.sub(x.mT());
      if (gu !== null) add(skew(u.mT().matmul(gu)).div(gaps).mul(s.unsqueeze(-2)));
      if (gvh !== null) add(skew(vh.matmul(gvh.mT())).div(gaps).mul(s.unsqueeze(-1)));
      let out = u.matmul(inner ?? squares.diagEmbed()).matmul(vh);
      if (gu !== null && !sizeEq(rows, k)) {
        const rest = gu.sub(u.matmul(u.mT().matmul(gu))).div(s.unsqueeze(-2));
        out = out.add(rest.matmul(vh));
      }
      if (gvh !== null && !sizeEq(columns, k)) {
        const rest = gvh.sub(gvh.matmul(vh.mT()).matmul(vh)).div(s.unsqueeze(-1));
        out = out.add(u.matmul(rest));
      }
      return out;
    },
  }),
  samples: (g) =>
    wide(g, () => [
      { args: { A: tallSample(g), fullMatrices: false }, tolerance: 1e-3 },
      { args: { A: g.tensor([2, 3], { requiresGrad: false }) }, differentiate: false, tolerance: 1e-4 },
    ]),
});

defineOp({
  schema: "aten::svd(Tensor self, bool some=True, bool compute_uv=True) -> (Tensor U, Tensor S, Tensor V)",
  doc: "self = U diag(S) Vᵀ; without compute_uv, U and V are zeros.",
  meta: ({ self, some, computeUv }) => {
    const [u, s, vh] = svdShapes("svd", self, !some || !computeUv);
    return [u, s, { shape: [...vh.shape.slice(0, -2), ...vh.shape.slice(-2).reverse()], dtype: vh.dtype }];
  },
  decompose: ({ self, some, computeUv }, F) => {
    const [u, s, vh] = F.linalgSvd(self, { fullMatrices: !some || !computeUv });
    return computeUv ? [u, s, vh.mT().contiguous()] : [u.zerosLike(), s, vh.zerosLike().mT().contiguous()];
  },
  samples: (g) => wide(g, () => [{ args: { self: tallSample(g) }, tolerance: 1e-3 }]),
});

defineOp({
  schema: "tessera::pseudo_inverse(Tensor self, Tensor atol, Tensor rtol) -> Tensor",
  doc:
    "The pseudo-inverse; singular values up to max(atol, rtol · largest) count as 0. One tolerance, or one a matrix.",
  meta: ({ self, atol, rtol }) => {
    const { batch, rows, columns } = matrixShape("linalg_pinv", self);
    if (atol.shape.length > batch.length || rtol.shape.length > batch.length) {
      throw new TypeError(`linalg_pinv: tolerances have more dimensions than the batch of ${shapeToText(self.shape)}`);
    }
    return { shape: [...batch, columns, rows], dtype: self.dtype };
  },
  host: ({ self, atol, rtol }) => {
    const [rows = 0, columns = 0] = self.shape.slice(-2).map(Number);
    const at = self.data.findIndex((v: number | bigint) => !Number.isFinite(Number(v)));
    if (at >= 0) throw new RangeError(`linalg_pinv: element ${at} of ${shapeToText(self.shape)} is not finite`);
    const out = readMatrices(self).map((a, b) => {
      const { u, s, vh } = thinDecomposition(a);
      const tolerance = Math.max(
        Number(atol.data[b % Math.max(atol.data.length, 1)] ?? 0),
        Number(rtol.data[b % Math.max(rtol.data.length, 1)] ?? 0) * (s[0] ?? 0),
      );
      return Matrix.from(columns, rows, (i, j) => {
        let sum = 0;
        for (let k = 0; k < s.length; k++) {
          if ((s[k] ?? 0) > tolerance) sum += vh.at(k, i) * u.at(j, k) / (s[k] ?? 1);
        }
        return sum;
      });
    });
    return [matricesResult(self.dtype, batchOf(self), columns, rows, out)];
  },
  vjp: ({ self }, { out: p, grad: g }) => ({
    // Golub and Pereyra 1973.
    self: () => {
      const gt = g.mT(), pt = p.mT();
      const ppt = p.matmul(pt), ptp = pt.matmul(p);
      const first = pt.matmul(g).matmul(pt).neg();
      const second = gt.sub(self.matmul(p.matmul(gt))).matmul(ppt);
      const third = ptp.matmul(gt.sub(gt.matmul(p).matmul(self)));
      return first.add(second).add(third);
    },
  }),
  samples: (g) =>
    wide(g, () => [{
      args: {
        self: tallSample(g),
        atol: g.tensor([], { values: [0], requiresGrad: false }),
        rtol: g.tensor([], { values: [1e-6], requiresGrad: false }),
      },
      tolerance: 1e-4,
    }]),
});

/** The default relative tolerance of ranks. */
export function rankTolerance(self: { readonly dtype: MetaInput["dtype"]; readonly shape: readonly Size[] }): number {
  const eps = self.dtype === float32 ? 2 ** -23 : 2 ** -52;
  return eps * Math.max(...self.shape.slice(-2).map(Number));
}

defineOp({
  schema: "tessera::full_rank_only(Tensor distances, Tensor ranks, SymInt full) -> Tensor",
  doc: "distances where every rank is full, else nothing.",
  dataDependent: true,
  meta: ({ distances }) => ({ shape: distances.shape, dtype: distances.dtype }),
  host: ({ distances, ranks, full }) => {
    const isFull = Array.from(ranks.data, Number).every((r) => r === Number(full));
    return [
      isFull ? { shape: distances.shape.map(Number), data: distances.data } : hostResult(distances.dtype, [0], []),
    ];
  },
  vjp: ({ distances }, { out, grad }) => ({
    distances: () => sameShape(out.shape, distances.shape) ? grad : null,
  }),
  samples: (g) =>
    wide(g, () => [{
      args: {
        distances: g.tensor([2, 3]),
        ranks: g.tensor([2], { dtype: int64, values: [2, 2], requiresGrad: false }),
        full: 2,
      },
    }]),
});

defineOp({
  schema:
    "aten::linalg_lstsq(Tensor self, Tensor b, float? rcond=None, *, str? driver=None) -> (Tensor solution, Tensor residuals, Tensor rank, Tensor singular_values)",
  doc: "The X of least norm that makes |self X - b| least, the squared distances, ranks, and singular values.",
  dataDependent: true,
  meta: ({ self, b, driver }) => {
    const { batch, rows, columns } = matrixShape("linalg_lstsq", self);
    const names = ["gels", "gelsy", "gelsd", "gelss"];
    if (driver !== null && !names.includes(driver)) {
      throw new RangeError(`linalg_lstsq: driver must be one of ${names.join(", ")}, got "${driver}"`);
    }
    const isVector = b.shape.length === self.shape.length - 1;
    const lead = isVector ? b.shape.slice(0, -1) : b.shape.slice(0, -2);
    const height = b.shape[b.shape.length - (isVector ? 1 : 2)] ?? 0;
    if (b.dtype !== self.dtype || !sizeEq(height, rows) || lead.length !== batch.length) {
      throw new TypeError(
        `linalg_lstsq: self ${self.dtype.name}${shapeToText(self.shape)} and b ${b.dtype.name}${
          shapeToText(b.shape)
        } do not meet; they need one dtype, one batch and one number of rows`,
      );
    }
    const { dtype } = self;
    const wide = isVector ? [] : [b.shape[b.shape.length - 1] ?? 1];
    return [
      { shape: [...batch, columns, ...wide], dtype },
      { shape: [0], dtype },
      { shape: driver === "gels" ? [0] : batch, dtype: int64 },
      { shape: [0], dtype },
    ];
  },
  decompose: ({ self, b, rcond, driver }, F) => {
    const { batch, rows, columns } = matrixShape("linalg_lstsq", self);
    const isVector = b.ndim === self.ndim - 1;
    const right = isVector ? b.unsqueeze(-1) : b;
    const tolerance = rcond ?? rankTolerance(self);
    const scalar = (x: number): TensorValue => self.newFull([], x);
    const x = F.pseudoInverse(self, scalar(0), scalar(tolerance)).matmul(right);
    const s = F.linalgSvdvals(self);
    const limit = s.narrow(-1, 0, 1).mul(tolerance);
    const ranks = s.gt(limit).sum([-1]);
    const isTall = sizeLe(columns, rows) && !sizeEq(rows, columns);
    const distance = self.matmul(x).sub(right);
    return [
      isVector ? x.squeeze(-1) : x,
      isTall ? F.fullRankOnly(distance.mul(distance).sum([-2]), ranks, columns) : self.newEmpty([0]),
      driver === "gels" ? F.zeros([0], { dtype: int64 }) : ranks.reshape(batch),
      driver === "gelsd" || driver === "gelss" ? s : self.newEmpty([0]),
    ];
  },
  samples: (g) =>
    wide(g, () => [{ args: { self: tallSample(g), b: g.tensor([3, 2]), driver: "gelsd" }, differentiate: false }]),
});
