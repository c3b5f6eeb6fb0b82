/**
 * LU factors of matrices, and what follows from them: solutions, determinants.
 *
 * Factors are LAPACK's (partial pivoting, L and U in one matrix, exchanges counted from 1), found on the host; gradients are written with
 * triangular solves. Mirrors the LU part of `BatchLinearAlgebra.cpp` of ATen.
 */
import { float32, int32 } from "../core/mod.ts";
import { sameShape, shapeToText, type Size, sizeMin } from "../symbolic/mod.ts";
import { defineOp, type MetaInput } from "./define.ts";
import type { Functional } from "./functional.ts";
import { regularMatrices, wide } from "./linalg.ts";
import { matrixShape, solutionShape, squareShape, transposeIf } from "./linalg_checks.ts";
import {
  batchOf,
  cofactors,
  determinantOf,
  hostResult,
  luFactor,
  matricesResult,
  Matrix,
  pivotOrder,
  readMatrices,
} from "./matrices.ts";
import type { TensorValue } from "./value.ts";

/** The gradient of Pᵀ A from that of the packed factors; A may be tall or wide. */
function luGrad(l: TensorValue, u: TensorValue, grad: TensorValue, F: Functional): TensorValue {
  const rows = Number(l.shape[l.ndim - 2]), columns = Number(u.shape[u.ndim - 1]), k = Math.min(rows, columns);
  const l1 = l.narrow(-2, 0, k), u1 = u.narrow(-1, 0, k);
  const square = grad.narrow(-2, 0, k).narrow(-1, 0, k);
  const lower = l1.mT().matmul(square.tril(-1)), upper = square.triu().matmul(u1.mT());
  const fromLeft = (x: TensorValue): TensorValue =>
    F.linalgSolveTriangular(l1.mT(), x, { upper: true, unitriangular: true });
  const fromRight = (x: TensorValue): TensorValue => F.linalgSolveTriangular(u1.mT(), x, { upper: false, left: false });
  if (rows > columns) {
    const l2 = l.narrow(-2, k, rows - k), g2 = grad.narrow(-2, k, rows - k);
    const inner = lower.tril(-1).add(upper.sub(l2.mT().matmul(g2)).triu());
    return F.cat([fromRight(fromLeft(inner)), fromRight(g2)], -2);
  }
  if (rows === columns) return fromRight(fromLeft(lower.tril(-1).add(upper.triu())));
  const u2 = u.narrow(-1, k, columns - k), g2 = grad.narrow(-1, k, columns - k);
  const inner = lower.sub(g2.matmul(u2.mT())).tril(-1).add(upper.triu());
  return fromLeft(F.cat([fromRight(inner), g2], -1));
}

defineOp({
  schema:
    "aten::linalg_lu_factor_ex(Tensor A, *, bool pivot=True, bool check_errors=False) -> (Tensor LU, Tensor pivots, Tensor info)",
  doc: "L and U in one matrix, the rows exchanged, and the first zero pivot.",
  meta: ({ A }) => {
    const { batch, rows, columns } = matrixShape("linalg_lu_factor", A);
    return [{ shape: A.shape, dtype: A.dtype }, { shape: [...batch, sizeMin(rows, columns)], dtype: int32 }, {
      shape: batch,
      dtype: int32,
    }];
  },
  host: ({ A, pivot, checkErrors }) => {
    const factors = readMatrices(A).map((a) => luFactor(a, pivot));
    const [rows = 0, columns = 0] = A.shape.slice(-2).map(Number);
    const batch = batchOf(A);
    if (checkErrors && factors.some((f) => f.info !== 0)) {
      throw new RangeError(`linalg_lu_factor: a matrix of ${shapeToText(A.shape)} has a zero pivot`);
    }
    return [
      matricesResult(A.dtype, batch, rows, columns, factors.map((f) => f.packed)),
      hostResult(int32, [...batch, Math.min(rows, columns)], factors.map((f) => f.pivots)),
      hostResult(int32, batch, [factors.map((f) => f.info)]),
    ];
  },
  vjp: ({ A }, { outs, grads, F }) => ({
    A: () => {
      const [packed, pivots] = outs;
      const grad = grads[0] ?? null;
      if (grad === null || packed === undefined || pivots === undefined) return null;
      const [p, l, u] = F.luUnpack(packed, pivots);
      return p.matmul(luGrad(l, u, grad, F)).reshape(A.shape);
    },
  }),
  samples: (g) =>
    wide(g, () => [
      { args: { A: regularMatrices(g, 2, 3) } },
      { name: "tall", args: { A: g.tensor([4, 2], { values: [4, 1, 0.5, 3, 1, -1, 0.25, 2] }) } },
      { name: "wide", args: { A: g.tensor([2, 3], { values: [4, 1, 0.5, 1, -3, 2] }) } },
    ]),
});

defineOp({
  schema: "aten::linalg_lu_factor(Tensor A, *, bool pivot=True) -> (Tensor LU, Tensor pivots)",
  doc: "L and U in one matrix, and the rows exchanged.",
  meta: ({ A }) => {
    const { batch, rows, columns } = matrixShape("linalg_lu_factor", A);
    return [{ shape: A.shape, dtype: A.dtype }, { shape: [...batch, sizeMin(rows, columns)], dtype: int32 }];
  },
  decompose: ({ A, pivot }, F) => F.linalgLuFactorEx(A, { pivot, checkErrors: true }).slice(0, 2),
  samples: (g) => wide(g, () => [{ args: { A: regularMatrices(g, 1, 3) } }]),
});

defineOp({
  schema: "tessera::permutation_matrix(Tensor pivots, SymInt rows, ScalarType dtype) -> Tensor",
  doc: "The matrix that undoes row exchanges: A = P L U.",
  meta: ({ pivots, rows, dtype }) => ({ shape: [...pivots.shape.slice(0, -1), rows, rows], dtype }),
  host: ({ pivots, rows, dtype }) => {
    const n = Number(rows), k = Number(pivots.shape[pivots.shape.length - 1]);
    const batch = pivots.shape.slice(0, -1).map(Number);
    const count = batch.reduce((a, b) => a * b, 1);
    for (let i = 0; i < pivots.data.length; i++) {
      const pivot = Number(pivots.data[i]);
      if (!(pivot >= 1 && pivot <= n)) {
        throw new RangeError(`lu: pivot ${i} is ${pivot}; pivots of ${n} rows count from 1 to ${n}`);
      }
    }
    const matrices = Array.from({ length: count }, (_, b) => {
      const order = pivotOrder(Array.from(pivots.data.subarray(b * k, b * k + k), Number), n);
      return Matrix.from(n, n, (i, j) => order[j] === i ? 1 : 0);
    });
    return [matricesResult(dtype, batch, n, n, matrices)];
  },
  samples: (g) => [{
    args: { pivots: g.tensor([3], { dtype: int32, values: [2, 3, 3], requiresGrad: false }), rows: 3, dtype: float32 },
  }],
});

function unpackedShapes(where: string, LU: MetaInput): { readonly p: Size[]; readonly l: Size[]; readonly u: Size[] } {
  const { batch, rows, columns } = matrixShape(where, LU);
  const k = sizeMin(rows, columns);
  return { p: [...batch, rows, rows], l: [...batch, rows, k], u: [...batch, k, columns] };
}

defineOp({
  schema:
    "aten::lu_unpack(Tensor LU_data, Tensor LU_pivots, bool unpack_data=True, bool unpack_pivots=True) -> (Tensor P, Tensor L, Tensor U)",
  doc: "P, L and U with A = P L U; empty where not wanted.",
  meta: ({ LUData, LUPivots, unpackData, unpackPivots }) => {
    const { p, l, u } = unpackedShapes("lu_unpack", LUData);
    if (LUPivots.dtype !== int32) {
      throw new TypeError(
        `lu_unpack: LU_pivots must be int32, got ${LUPivots.dtype.name}; use those of linalg_lu_factor`,
      );
    }
    const { dtype } = LUData;
    return [{ shape: unpackPivots ? p : [0], dtype }, { shape: unpackData ? l : [0], dtype }, {
      shape: unpackData ? u : [0],
      dtype,
    }];
  },
  decompose: ({ LUData, LUPivots, unpackData, unpackPivots }, F) => {
    const rows = LUData.shape[LUData.ndim - 2] ?? 1, columns = LUData.shape[LUData.ndim - 1] ?? 1;
    const k = sizeMin(rows, columns);
    const none = (): TensorValue => LUData.newEmpty([0]);
    const unit = (): TensorValue => F.eye(rows, k, { dtype: LUData.dtype, device: LUData.device });
    return [
      unpackPivots ? F.permutationMatrix(LUPivots, rows, LUData.dtype) : none(),
      unpackData ? LUData.narrow(-1, 0, k).tril(-1).add(unit()) : none(),
      unpackData ? LUData.narrow(-2, 0, k).triu().contiguous() : none(),
    ];
  },
  samples: (g) =>
    wide(g, () => [{
      args: {
        LUData: regularMatrices(g, 1, 3),
        LUPivots: g.tensor([1, 3], { dtype: int32, values: [2, 3, 3], requiresGrad: false }),
      },
    }]),
});

defineOp({
  schema: "aten::linalg_lu(Tensor A, *, bool pivot=True) -> (Tensor P, Tensor L, Tensor U)",
  doc: "P, L and U with A = P L U; without pivots P is empty.",
  meta: ({ A, pivot }) => {
    const { p, l, u } = unpackedShapes("linalg_lu", A);
    const { dtype } = A;
    return [{ shape: pivot ? p : [0], dtype }, { shape: l, dtype }, { shape: u, dtype }];
  },
  decompose: ({ A, pivot }, F) => {
    const [packed, pivots] = F.linalgLuFactorEx(A, { pivot });
    return F.luUnpack(packed, pivots, { unpackPivots: pivot });
  },
  samples: (g) => wide(g, () => [{ args: { A: regularMatrices(g, 2, 3) } }]),
});

function checkPivots(where: string, LU: MetaInput, pivots: MetaInput): void {
  const expected = LU.shape.slice(0, -1);
  if (pivots.dtype !== int32 || !sameShape(pivots.shape, expected)) {
    throw new TypeError(
      `${where}: pivots must be int32${shapeToText(expected)} for factors ${
        shapeToText(LU.shape)
      }, got ${pivots.dtype.name}${shapeToText(pivots.shape)}`,
    );
  }
}

function solveWithFactors(
  packed: TensorValue,
  pivots: TensorValue,
  B: TensorValue,
  F: Functional,
  adjoint: boolean,
): TensorValue {
  const p = F.permutationMatrix(pivots, packed.shape[packed.ndim - 1] ?? 1, packed.dtype);
  if (adjoint) {
    const y = F.linalgSolveTriangular(packed.mT(), B, { upper: false });
    return p.matmul(F.linalgSolveTriangular(packed.mT(), y, { upper: true, unitriangular: true }));
  }
  const y = F.linalgSolveTriangular(packed, p.mT().matmul(B), { upper: false, unitriangular: true });
  return F.linalgSolveTriangular(packed, y, { upper: true });
}

defineOp({
  schema: "aten::linalg_lu_solve(Tensor LU, Tensor pivots, Tensor B, *, bool left=True, bool adjoint=False) -> Tensor",
  doc: "X with A X = B (or X A = B, or A transposed), from the factors of A.",
  meta: ({ LU, pivots, B, left }) => {
    checkPivots("linalg_lu_solve", LU, pivots);
    return { shape: solutionShape("linalg_lu_solve", LU, B, left), dtype: B.dtype };
  },
  decompose: ({ LU, pivots, B, left, adjoint }, F) =>
    transposeIf(solveWithFactors(LU, pivots, transposeIf(B, !left), F, adjoint === left), !left).contiguous(),
  samples: (g) =>
    wide(g, () =>
      [[true, false], [false, false], [true, true]].map(([left = true, adjoint = false]) => ({
        args: {
          LU: regularMatrices(g, 1, 3),
          pivots: g.tensor([1, 3], { dtype: int32, values: [2, 3, 3], requiresGrad: false }),
          B: g.tensor([1, 3, 3]),
          left,
          adjoint,
        },
      }))),
});

defineOp({
  schema: "aten::lu_solve(Tensor self, Tensor LU_data, Tensor LU_pivots) -> Tensor",
  doc: "X with A X = self, from the factors of A.",
  meta: ({ self, LUData, LUPivots }) => {
    checkPivots("lu_solve", LUData, LUPivots);
    return { shape: solutionShape("lu_solve", LUData, self), dtype: self.dtype };
  },
  decompose: ({ self, LUData, LUPivots }, F) => F.linalgLuSolve(LUData, LUPivots, self),
  samples: (g) =>
    wide(g, () => [{
      args: {
        self: g.tensor([3, 2]),
        LUData: regularMatrices(g, 1, 3),
        LUPivots: g.tensor([1, 3], { dtype: int32, values: [2, 3, 3], requiresGrad: false }),
      },
    }]),
});

defineOp({
  schema: "tessera::cofactor_matrix(Tensor self) -> Tensor",
  doc: "The cofactors of square matrices: the gradient of the determinant, also where it is 0.",
  meta: ({ self }) => {
    squareShape("cofactor_matrix", self);
    return { shape: self.shape, dtype: self.dtype };
  },
  host: ({ self }) => {
    const n = Number(self.shape[self.shape.length - 1]);
    return [matricesResult(self.dtype, batchOf(self), n, n, readMatrices(self).map(cofactors))];
  },
  vjp: ({ self }, { out, grad }) => ({
    // d cof = (tr(A⁻¹ dA) cof - cof dAᵀ A⁻ᵀ), for regular matrices.
    self: () => {
      const inverse = self.inverse();
      const trace = grad.mul(out).sum([-2, -1], true);
      return trace.mul(inverse.mT()).sub(inverse.mT().matmul(grad.mT()).matmul(out));
    },
  }),
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 2, 3) } }]),
});

for (const [name, arg] of [["linalg_det", "A"], ["det", "self"]] as const) {
  defineOp({
    schema: `aten::${name}(Tensor ${arg}) -> Tensor` as "aten::det(Tensor self) -> Tensor",
    doc: "The determinant of square matrices.",
    meta: (args) => {
      const a = Object.values(args)[0] ?? args.self;
      return { shape: squareShape(name, a).batch, dtype: a.dtype };
    },
    host: (args) => {
      const a = Object.values(args)[0] ?? args.self;
      const values = readMatrices(a).map((m) => {
        const { sign, log } = determinantOf(luFactor(m));
        return sign === 0 ? 0 : sign * Math.exp(log);
      });
      return [hostResult(a.dtype, batchOf(a), [values])];
    },
    vjp: (args, { grad, F }) => ({
      [arg]: () => grad.unsqueeze(-1).unsqueeze(-1).mul(F.cofactorMatrix(Object.values(args)[0] ?? args.self)),
    }),
    samples: (g) =>
      wide(g, () => [
        { args: { [arg]: regularMatrices(g, 2, 3) } },
        { name: "singular", args: { [arg]: g.tensor([2, 2], { values: [1, 2, 2, 4] }) }, tolerance: 1e-4 },
      ]),
  });
}

for (const [name, arg] of [["linalg_slogdet", "A"], ["slogdet", "self"]] as const) {
  defineOp({
    schema:
      `aten::${name}(Tensor ${arg}) -> (Tensor sign, Tensor logabsdet)` as "aten::slogdet(Tensor self) -> (Tensor sign, Tensor logabsdet)",
    doc: "The determinant's sign and the logarithm of its size.",
    meta: (args) => {
      const a = Object.values(args)[0] ?? args.self;
      const { batch } = squareShape(name, a);
      return [{ shape: batch, dtype: a.dtype }, { shape: batch, dtype: a.dtype }];
    },
    host: (args) => {
      const a = Object.values(args)[0] ?? args.self;
      const parts = readMatrices(a).map((m) => determinantOf(luFactor(m)));
      return [parts.map((p) => p.sign), parts.map((p) => p.log)].map((v) => hostResult(a.dtype, batchOf(a), [v]));
    },
    vjp: (args, { grads }) => ({
      [arg]: () => {
        const g = grads[1] ?? null;
        const a = Object.values(args)[0] ?? args.self;
        return g === null ? null : g.unsqueeze(-1).unsqueeze(-1).mul(a.inverse().mT());
      },
    }),
    samples: (g) => wide(g, () => [{ args: { [arg]: regularMatrices(g, 2, 3) } }]),
  });
}

defineOp({
  schema: "aten::logdet(Tensor self) -> Tensor",
  doc: "The logarithm of the determinant; NaN where that is negative.",
  meta: ({ self }) => ({ shape: squareShape("logdet", self).batch, dtype: self.dtype }),
  decompose: ({ self }, F) => {
    const [sign, log] = F.slogdet(self);
    return F.where(sign.lt(0), NaN, log);
  },
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 2, 3) } }]),
});
