/**
 * Systems of linear equations: Cholesky, triangular solves, solve, inverse.
 *
 * Factorisations run on the host (`matrices.ts`) in float64; gradients are written with matrix products and solves, so they can be
 * differentiated again. Half types and complex matrices are refused. Mirrors `BatchLinearAlgebra.cpp` and `FunctionsManual.cpp` of PyTorch.
 */
import { float32, float64, int32 } from "../core/mod.ts";
import { sameShape, shapeToText, type Size, sizeEq } from "../symbolic/mod.ts";
import { defineOp, type HostResult } from "./define.ts";
import { alignBatches, solutionShape, squareShape, transposeIf } from "./linalg_checks.ts";
import {
  batchOf,
  choleskyFactor,
  hostResult,
  luFactor,
  matricesResult,
  Matrix,
  readMatrices,
  solveFactored,
  solveTriangular,
} from "./matrices.ts";
import type { Sample, SampleGenerator, TensorSample } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** Well-conditioned matrices that are not symmetric. */
export function regularMatrices(g: SampleGenerator, batch: number, n: number): TensorSample {
  const values = Array.from({ length: batch * n * n }, (_, at) => {
    const i = Math.floor(at / n) % n, j = at % n;
    return (i === j ? n : 0) + ((at * 37 + 11) % 17) / 17 - 0.4;
  });
  return g.tensor([batch, n, n], { values });
}

/** Symmetric positive definite matrices. */
function definiteMatrices(g: SampleGenerator, n: number): TensorSample {
  const values = Array.from({ length: n * n }, (_, at) => {
    const i = Math.floor(at / n), j = at % n;
    return (i === j ? n + i : 0) + ((i + j) * 5 % 7) / 7;
  });
  return g.tensor([1, n, n], { values, requiresGrad: false });
}

/** Samples for the dtypes that linear algebra takes. */
export function wide(g: SampleGenerator, samples: () => readonly Sample[]): readonly Sample[] {
  return g.dtype === float32 || g.dtype === float64 ? samples() : [];
}

defineOp({
  schema:
    "aten::linalg_cholesky_ex(Tensor self, *, bool upper=False, bool check_errors=False) -> (Tensor L, Tensor info)",
  doc:
    "The triangular factor of symmetric positive definite matrices, and for each the first minor that is not positive.",
  meta: ({ self }) => {
    const { batch } = squareShape("linalg_cholesky_ex", self);
    return [{ shape: self.shape, dtype: self.dtype }, { shape: batch, dtype: int32 }];
  },
  host: ({ self, upper, checkErrors }) => {
    const factors = readMatrices(self).map((m) => choleskyFactor(upper ? m.transposed() : m));
    const bad = factors.find((f) => f.info !== 0);
    if (checkErrors && bad !== undefined) {
      throw new RangeError(
        `linalg_cholesky: a matrix of ${
          shapeToText(self.shape)
        } is not positive definite: its leading minor of order ${bad.info} is not positive`,
      );
    }
    const batch = batchOf(self), n = factors[0]?.lower.rows ?? Number(self.shape[self.shape.length - 1]);
    return [
      matricesResult(self.dtype, batch, n, n, factors.map((f) => upper ? f.lower.transposed() : f.lower)),
      hostResult(int32, batch, [factors.map((f) => f.info)]),
    ];
  },
  vjp: ({ upper }, { out, grad, F }) => ({
    self: () => {
      const l = transposeIf(out, upper), g = transposeIf(grad, upper);
      const inner = l.mT().matmul(g).tril();
      const symmetric = inner.add(inner.tril(-1).mT());
      // L⁻ᵀ · symmetric · L⁻¹ / 2
      const half = F.linalgSolveTriangular(l.mT(), symmetric, { upper: true });
      return F.linalgSolveTriangular(l, half, { upper: false, left: false }).mul(0.5);
    },
  }),
  samples: (g) =>
    wide(g, () => [
      { args: { self: definiteMatrices(g, 3) }, differentiate: false },
      { args: { self: definiteMatrices(g, 4), upper: true }, differentiate: false },
    ]),
});

for (const name of ["linalg_cholesky", "cholesky"] as const) {
  defineOp({
    schema: name === "cholesky"
      ? "aten::cholesky(Tensor self, bool upper=False) -> Tensor" as "aten::linalg_cholesky(Tensor self, *, bool upper=False) -> Tensor"
      : "aten::linalg_cholesky(Tensor self, *, bool upper=False) -> Tensor",
    doc: "The triangular factor of symmetric positive definite matrices.",
    meta: ({ self }) => {
      squareShape(name, self);
      return { shape: self.shape, dtype: self.dtype };
    },
    decompose: ({ self, upper }, F) => F.linalgCholeskyEx(self, { upper, checkErrors: true })[0],
    samples: (g) => wide(g, () => [{ args: { self: definiteMatrices(g, 3) }, differentiate: false }]),
  });
}

defineOp({
  schema: "aten::cholesky_solve(Tensor self, Tensor input2, bool upper=False) -> Tensor",
  doc: "X with A X = self, where input2 is the Cholesky factor of A.",
  meta: ({ self, input2 }) => ({ shape: solutionShape("cholesky_solve", input2, self), dtype: self.dtype }),
  decompose: ({ self, input2, upper }, F) => {
    const l = transposeIf(input2, upper);
    const y = F.linalgSolveTriangular(l, self, { upper: false });
    return F.linalgSolveTriangular(l.mT(), y, { upper: true });
  },
  // As a function of all of L in A = L Lᵀ, not of its triangle alone.
  vjp: ({ self, input2, upper }, { out, grad, F }) => {
    const solved = (): TensorValue => F.choleskySolve(grad, input2, { upper });
    return {
      self: () => solved().sumToSize(self.shape),
      input2: () => {
        const product = solved().matmul(out.mT());
        const both = product.add(product.mT());
        return (upper ? input2.matmul(both) : both.matmul(input2)).neg().sumToSize(input2.shape);
      },
    };
  },
  samples: (g) =>
    wide(g, () => [{ args: { self: g.tensor([3, 2]), input2: regularMatrices(g, 1, 3) }, differentiate: false }]),
});

defineOp({
  schema: "aten::cholesky_inverse(Tensor self, bool upper=False) -> Tensor",
  doc: "The inverse of the matrices whose Cholesky factor is self.",
  meta: ({ self }) => {
    squareShape("cholesky_inverse", self);
    return { shape: self.shape, dtype: self.dtype };
  },
  decompose: ({ self, upper }, F) => {
    const unit = F.eye(self.shape[self.ndim - 1] ?? 1, { dtype: self.dtype, device: self.device });
    return F.choleskySolve(unit.expand(self.shape), self, { upper });
  },
  vjp: ({ self, upper }, { out, grad }) => ({
    self: () => {
      const both = out.matmul(grad.add(grad.mT())).matmul(out);
      return (upper ? self.matmul(both) : both.matmul(self)).neg();
    },
  }),
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 1, 3) }, differentiate: false }]),
});

defineOp({
  schema: "tessera::solve_triangular(Tensor A, Tensor B, bool upper, bool unitriangular) -> Tensor",
  doc: "X with A X = B for triangular A, of which one half is read. A and B have one batch.",
  meta: ({ A, B }) => ({ shape: solutionShape("solve_triangular", A, B), dtype: B.dtype }),
  host: ({ A, B, upper, unitriangular }) => {
    const right = readMatrices(B);
    const x = readMatrices(A).map((a, i) => solveTriangular(a, right[i] ?? new Matrix(0, 0), upper, unitriangular));
    const [rows = 0, columns = 0] = B.shape.slice(-2).map(Number);
    return [matricesResult(B.dtype, batchOf(B), rows, columns, x)];
  },
  vjp: ({ A, upper, unitriangular }, { out, grad, F }) => {
    const solved = (): TensorValue => F.solveTriangular(A.mT(), grad, !upper, unitriangular);
    return {
      A: () => {
        const full = solved().matmul(out.mT()).neg();
        const skip = unitriangular ? 1 : 0;
        return upper ? full.triu(skip) : full.tril(-skip);
      },
      B: solved,
    };
  },
  samples: (g) =>
    wide(g, () => [
      { args: { A: regularMatrices(g, 2, 3), B: g.tensor([2, 3, 2]), upper: true, unitriangular: false } },
      { args: { A: regularMatrices(g, 1, 3), B: g.tensor([1, 3, 2]), upper: false, unitriangular: true } },
    ]),
});

defineOp({
  schema:
    "aten::linalg_solve_triangular(Tensor self, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> Tensor",
  doc: "X with self X = B (or, not left, X self = B) for triangular self.",
  meta: ({ self, B, left }) => ({ shape: solutionShape("linalg_solve_triangular", self, B, left), dtype: B.dtype }),
  decompose: ({ self, B, upper, left, unitriangular }, F) => {
    const [a, b] = alignBatches("linalg_solve_triangular", self, B);
    if (left) return F.solveTriangular(a, b, upper, unitriangular);
    return F.solveTriangular(a.mT(), b.mT(), !upper, unitriangular).mT().contiguous();
  },
  samples: (g) =>
    wide(
      g,
      () => [{ args: { self: regularMatrices(g, 1, 3), B: g.tensor([2, 2, 3]), upper: true, left: false } }],
    ),
});

defineOp({
  schema:
    "aten::triangular_solve(Tensor self, Tensor A, bool upper=True, bool transpose=False, bool unitriangular=False) -> (Tensor solution, Tensor cloned_coefficient)",
  doc: "X with A X = self for triangular A, and a copy of A.",
  meta: ({ self, A }) => {
    const shape = solutionShape("triangular_solve", A, self);
    return [{ shape, dtype: self.dtype }, { shape: [...shape.slice(0, -2), ...A.shape.slice(-2)], dtype: A.dtype }];
  },
  decompose: ({ self, A, upper, transpose, unitriangular }, F) => {
    const [a, b] = alignBatches("triangular_solve", A, self);
    return [
      F.solveTriangular(transposeIf(a, transpose), b, upper !== transpose, unitriangular),
      a.clone().contiguous(),
    ];
  },
  samples: (g) =>
    wide(g, () => [{ args: { self: g.tensor([2, 3, 2]), A: regularMatrices(g, 1, 3), transpose: true } }]),
});

defineOp({
  schema: "tessera::solve_square(Tensor A, Tensor B) -> (Tensor, Tensor)",
  doc: "X with A X = B, and for each A the first zero pivot (0: none). A and B have one batch.",
  meta: ({ A, B }) => [
    { shape: solutionShape("solve_square", A, B), dtype: B.dtype },
    { shape: A.shape.slice(0, -2), dtype: int32 },
  ],
  host: ({ A, B }) => {
    const right = readMatrices(B), info: number[] = [];
    const x = readMatrices(A).map((a, i) => {
      const factors = luFactor(a);
      info.push(factors.info);
      return solveFactored(factors, right[i] ?? new Matrix(0, 0));
    });
    const [rows = 0, columns = 0] = B.shape.slice(-2).map(Number);
    return [matricesResult(B.dtype, batchOf(B), rows, columns, x), hostResult(int32, batchOf(A), [info])];
  },
  vjp: ({ A }, { out, grad, F }) => {
    const solved = (): TensorValue => F.solveSquare(A.mT(), grad)[0];
    return { A: () => solved().matmul(out.mT()).neg(), B: solved };
  },
  samples: (g) => wide(g, () => [{ args: { A: regularMatrices(g, 2, 3), B: g.tensor([2, 3, 2]) } }]),
});

defineOp({
  schema: "tessera::assert_regular(Tensor value, Tensor info, str name) -> Tensor",
  doc: "value, if info is 0 everywhere; raises otherwise.",
  meta: ({ value }) => ({ shape: value.shape, dtype: value.dtype }),
  host: ({ value, info, name }): readonly HostResult[] => {
    const bad = Array.from(info.data, Number).findIndex((i) => i !== 0);
    if (bad !== -1) {
      throw new RangeError(
        `${name}: matrix ${bad} is singular: pivot ${Number(info.data[bad])} is 0; use linalg_pinv or linalg_lstsq`,
      );
    }
    return [{ shape: value.shape.map(Number), data: value.data }];
  },
  vjp: (_, { grad }) => ({ value: () => grad }),
  samples: (g) =>
    wide(g, () => [{
      args: {
        value: g.tensor([2, 3]),
        info: g.tensor([2], { dtype: int32, values: [0, 0], requiresGrad: false }),
        name: "solve",
      },
    }]),
});

/** Tells that B is a vector (or a batch of vectors) beside A. */
function isVector(a: { readonly shape: readonly Size[] }, b: { readonly shape: readonly Size[] }): boolean {
  return b.shape.length === 1 ||
    (a.shape.length - 1 === b.shape.length && b.shape.every((s, i) => sizeEq(s, a.shape[i] ?? 1)));
}

function asColumns<T extends { readonly shape: TensorValue["shape"] }>(a: T, b: T): T {
  return isVector(a, b) ? { ...b, shape: [...b.shape, 1] } : b;
}

defineOp({
  schema:
    "aten::linalg_solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor result, Tensor info)",
  doc: "X with A X = B (or, not left, X A = B), and for each A the first zero pivot.",
  meta: ({ A, B, left }) => {
    const shape = solutionShape("linalg_solve", A, asColumns(A, B), left || isVector(A, B));
    return [{ shape: isVector(A, B) ? shape.slice(0, -1) : shape, dtype: B.dtype }, {
      shape: A.shape.slice(0, -2),
      dtype: int32,
    }];
  },
  decompose: ({ A, B, left, checkErrors }, F) => {
    const vector = isVector(A, B);
    const columns = vector ? B.unsqueeze(-1) : B;
    const [a, b] = alignBatches("linalg_solve", transposeIf(A, !left), transposeIf(columns, !left && !vector));
    const [x, info] = F.solveSquare(a, b);
    const checked = checkErrors ? F.assertRegular(x, info, "linalg_solve") : x;
    const shaped = transposeIf(checked, !left && !vector);
    const own = sameShape(info.shape, A.shape.slice(0, -2)) ? info : F.solveSquare(A, A)[1];
    return [(vector ? shaped.squeeze(-1) : shaped).contiguous(), own];
  },
  samples: (g) =>
    wide(g, () => [
      { args: { A: regularMatrices(g, 2, 3), B: g.tensor([3, 2]) } },
      { args: { A: regularMatrices(g, 1, 3), B: g.tensor([2, 2, 3]), left: false } },
      { args: { A: regularMatrices(g, 2, 3), B: g.tensor([2, 3]) } },
    ]),
});

defineOp({
  schema: "aten::linalg_solve(Tensor A, Tensor B, *, bool left=True) -> Tensor",
  doc: "X with A X = B (or, not left, X A = B).",
  meta: ({ A, B, left }) => {
    const shape = solutionShape("linalg_solve", A, asColumns(A, B), left || isVector(A, B));
    return { shape: isVector(A, B) ? shape.slice(0, -1) : shape, dtype: B.dtype };
  },
  decompose: ({ A, B, left }, F) => F.linalgSolveEx(A, B, { left, checkErrors: true })[0],
  samples: (g) => wide(g, () => [{ args: { A: regularMatrices(g, 2, 3), B: g.tensor([2, 3, 1]) } }]),
});

defineOp({
  schema: "aten::linalg_inv_ex(Tensor A, *, bool check_errors=False) -> (Tensor inverse, Tensor info)",
  doc: "The inverse of square matrices, and for each the first zero pivot.",
  meta: ({ A }) => {
    const { batch } = squareShape("linalg_inv", A);
    return [{ shape: A.shape, dtype: A.dtype }, { shape: batch, dtype: int32 }];
  },
  decompose: ({ A, checkErrors }, F) => {
    const unit = F.eye(A.shape[A.ndim - 1] ?? 1, { dtype: A.dtype, device: A.device }).expand(A.shape);
    const [x, info] = F.solveSquare(A, unit);
    return [checkErrors ? F.assertRegular(x, info, "linalg_inv") : x, info];
  },
  samples: (g) => wide(g, () => [{ args: { A: regularMatrices(g, 2, 3) } }]),
});

for (const [name, arg] of [["linalg_inv", "A"], ["inverse", "self"]] as const) {
  defineOp({
    schema: `aten::${name}(Tensor ${arg}) -> Tensor` as "aten::inverse(Tensor self) -> Tensor",
    doc: "The inverse of square matrices.",
    meta: (args) => {
      const a = Object.values(args)[0] ?? args.self;
      squareShape(name, a);
      return { shape: a.shape, dtype: a.dtype };
    },
    decompose: (args, F) => F.linalgInvEx(Object.values(args)[0] ?? args.self, { checkErrors: true })[0],
    samples: (g) => wide(g, () => [{ args: { [arg]: regularMatrices(g, 2, 3) } }]),
  });
}
