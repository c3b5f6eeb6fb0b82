/**
 * Products, powers, ranks and conditions of matrices: what is written with the factorisations and the matrix product.
 *
 * Pseudo-inverse and rank under ATen's overloads (tolerances as numbers or tensors), powers and exponential, chains of products. Mirrors
 * `LinearAlgebra.cpp` of ATen.
 */
import { bool, computeType, float32, int64 } from "../core/mod.ts";
import type { Scalar } from "../graph/mod.ts";
import { broadcastShapes, shapeToText, sizeAdd, sizeEq } from "../symbolic/mod.ts";
import { axisOf, promotedDtype, promotionOperand } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { regularMatrices, wide } from "./linalg.ts";
import { matrixShape, squareShape } from "./linalg_checks.ts";
import { rankTolerance } from "./linalg_spectral.ts";
import { batchOf, matricesResult, Matrix, readMatrices } from "./matrices.ts";
import { scalarNumber } from "./scalars.ts";
import type { TensorValue } from "./value.ts";
import { diagonalOf } from "./view_slice.ts";

/** Tolerances of ranks: numbers, tensors, or not given. */
interface Tolerances {
  readonly atol?: number | TensorValue | null;
  readonly rtol?: number | TensorValue | null;
}

/** Both as tensors. Without an absolute one, the relative one is the size of the matrix in units of rounding. */
function tolerancesOf(
  self: TensorValue,
  { atol = null, rtol = null }: Tolerances,
): [TensorValue, TensorValue] {
  const asTensor = (x: number | TensorValue): TensorValue =>
    typeof x === "number" ? self.newFull([], x) : x.to(self.dtype);
  return [asTensor(atol ?? 0), asTensor(rtol ?? (atol === null ? rankTolerance(self) : 0))];
}

/** The symmetric matrix whose lower half is self's. Its gradient is symmetric, as if both halves were read. */
function lowerSymmetric(self: TensorValue, hermitian: boolean): TensorValue {
  if (!hermitian) return self;
  const even = self.add(self.mT()).mul(0.5);
  return even.add(self.tril().add(self.tril(-1).mT()).sub(even).detach());
}

function pinvSpec(self: MetaInput, hermitian: boolean): TensorSpec {
  const { batch, rows, columns } = hermitian
    ? { ...matrixShape("linalg_pinv", self), ...squareShape("linalg_pinv", self) }
    : matrixShape("linalg_pinv", self);
  return { shape: [...batch, columns, rows], dtype: self.dtype };
}

function pinv(self: TensorValue, hermitian: boolean, tolerances: Tolerances, F: Functional): TensorValue {
  return F.pseudoInverse(lowerSymmetric(self, hermitian), ...tolerancesOf(self, tolerances));
}

defineOp({
  schema: "aten::linalg_pinv(Tensor self, float rcond, bool hermitian=False) -> Tensor",
  doc: "The pseudo-inverse; singular values up to rcond times the largest count as 0.",
  meta: ({ self, hermitian }) => pinvSpec(self, hermitian),
  decompose: ({ self, rcond, hermitian }, F) => pinv(self, hermitian, { atol: 0, rtol: rcond }, F),
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 1, 3), rcond: 1e-6 }, tolerance: 1e-4 }]),
});

defineOp({
  schema:
    "aten::linalg_pinv.atol_rtol_float(Tensor self, *, float? atol=None, float? rtol=None, bool hermitian=False) -> Tensor",
  doc: "The pseudo-inverse; singular values up to max(atol, rtol · largest) count as 0.",
  meta: ({ self, hermitian }) => pinvSpec(self, hermitian),
  decompose: ({ self, atol, rtol, hermitian }, F) => pinv(self, hermitian, { atol, rtol }, F),
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 1, 3), atol: 1e-3 }, tolerance: 1e-4 }]),
});

defineOp({
  schema:
    "aten::linalg_pinv.atol_rtol_tensor(Tensor self, *, Tensor? atol=None, Tensor? rtol=None, bool hermitian=False) -> Tensor",
  doc: "The pseudo-inverse; singular values up to max(atol, rtol · largest) count as 0.",
  meta: ({ self, hermitian }) => pinvSpec(self, hermitian),
  decompose: ({ self, atol, rtol, hermitian }, F) => pinv(self, hermitian, { atol, rtol }, F),
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 1, 3) }, tolerance: 1e-4 }]),
});

defineOp({
  schema: "aten::pinverse(Tensor self, float rcond=1e-15) -> Tensor",
  doc: "The pseudo-inverse.",
  meta: ({ self }) => pinvSpec(self, false),
  decompose: ({ self, rcond }, F) => pinv(self, false, { atol: 0, rtol: rcond }, F),
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 1, 3) }, tolerance: 1e-4 }]),
});

function rankSpec(self: MetaInput): TensorSpec {
  return { shape: matrixShape("linalg_matrix_rank", self).batch, dtype: int64 };
}

function rank(self: TensorValue, hermitian: boolean, tolerances: Tolerances, F: Functional): TensorValue {
  const s = F.linalgSvdvals(lowerSymmetric(self, hermitian));
  if (Number(s.shape[s.ndim - 1]) === 0) return s.sum([-1]).to(int64);
  const [atol, rtol] = tolerancesOf(self, tolerances);
  const limit = F.maximum(atol, rtol.mul(s.select(-1, 0)));
  return s.gt(limit.unsqueeze(-1)).sum([-1]);
}

defineOp({
  schema: "aten::linalg_matrix_rank(Tensor self, float tol, bool hermitian=False) -> Tensor",
  doc: "The number of singular values above tol.",
  meta: ({ self }) => rankSpec(self),
  decompose: ({ self, tol, hermitian }, F) => rank(self, hermitian, { atol: tol, rtol: 0 }, F),
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 2, 3), tol: 0.1 } }]),
});

defineOp({
  schema:
    "aten::linalg_matrix_rank.atol_rtol_float(Tensor self, *, float? atol=None, float? rtol=None, bool hermitian=False) -> Tensor",
  doc: "The number of singular values above max(atol, rtol · largest).",
  meta: ({ self }) => rankSpec(self),
  decompose: ({ self, atol, rtol, hermitian }, F) => rank(self, hermitian, { atol, rtol }, F),
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 2, 3) } }]),
});

defineOp({
  schema:
    "aten::linalg_matrix_rank.atol_rtol_tensor(Tensor input, *, Tensor? atol=None, Tensor? rtol=None, bool hermitian=False) -> Tensor",
  doc: "The number of singular values above max(atol, rtol · largest).",
  meta: ({ input }) => rankSpec(input),
  decompose: ({ input, atol, rtol, hermitian }, F) => rank(input, hermitian, { atol, rtol }, F),
  samples: (g) => wide(g, () => [{ args: { input: regularMatrices(g, 2, 3) } }]),
});

for (const name of ["linalg_matrix_power", "matrix_power"] as const) {
  defineOp({
    schema: `aten::${name}(Tensor self, int n) -> Tensor` as "aten::matrix_power(Tensor self, int n) -> Tensor",
    doc: "The n-th power of square matrices; a negative one is of the inverse.",
    meta: ({ self, n }) => {
      // Integers have powers, but no inverses.
      const isWhole = self.dtype.isIntegral && self.dtype !== bool && Number(n) >= 0;
      squareShape(name, isWhole ? { ...self, dtype: float32 } : self);
      return { shape: self.shape, dtype: self.dtype };
    },
    decompose: ({ self, n }, F) => {
      let exponent = Math.abs(Number(n));
      let square = Number(n) < 0 ? self.inverse() : self;
      let out: TensorValue | null = null;
      for (; exponent > 0; exponent = Math.floor(exponent / 2)) {
        if (exponent % 2 === 1) out = out === null ? square : out.matmul(square);
        if (exponent > 1) square = square.matmul(square);
      }
      if (out !== null) return Number(n) === 1 ? self.clone() : out;
      const unit = F.eye(self.shape[self.ndim - 1] ?? 1, { dtype: self.dtype, device: self.device });
      // Nothing of self is in it, and its gradient is 0.
      return F.where(F.zerosLike(self, { dtype: bool }), self, unit);
    },
    samples: (g) =>
      wide(
        g,
        () =>
          [3, 0, -2, 1].map((n) => ({
            args: { self: regularMatrices(g, 1, 3), n },
            tolerance: 1e-3,
            differentiate: n !== 0,
          })),
      ),
  });
}

/** exp of a matrix: a Taylor polynomial of the scaled matrix, squared. */
function exponential(a: Matrix): Matrix {
  const n = a.rows;
  let norm = 0;
  for (let i = 0; i < n; i++) {
    let row = 0;
    for (let j = 0; j < n; j++) row += Math.abs(a.at(i, j));
    norm = Math.max(norm, row);
  }
  const squarings = Number.isFinite(norm) ? Math.max(0, Math.ceil(Math.log2(norm || 1)) + 2) : 0;
  const scaled = Matrix.from(n, n, (i, j) => a.at(i, j) / 2 ** squarings);
  let term = Matrix.identity(n), sum = Matrix.identity(n);
  // The norm is at most 1/4: 16 terms reach float64's precision.
  for (let k = 1; k <= 16; k++) {
    const product = term.times(scaled);
    term = Matrix.from(n, n, (i, j) => product.at(i, j) / k);
    const before = sum, next = term;
    sum = Matrix.from(n, n, (i, j) => before.at(i, j) + next.at(i, j));
  }
  for (let k = 0; k < squarings; k++) sum = sum.times(sum);
  return sum;
}

for (const name of ["linalg_matrix_exp", "matrix_exp"] as const) {
  defineOp({
    schema: `aten::${name}(Tensor self) -> Tensor` as "aten::matrix_exp(Tensor self) -> Tensor",
    doc: "The exponential of square matrices.",
    meta: ({ self }) => {
      squareShape(name, self, true);
      return { shape: self.shape, dtype: self.dtype };
    },
    host: ({ self }) => {
      const n = Number(self.shape[self.shape.length - 1]);
      return [matricesResult(self.dtype, batchOf(self), n, n, readMatrices(self).map(exponential))];
    },
    vjp: ({ self }, { grad, F }) => ({
      // The upper right block of exp([[Aᵀ, G], [0, Aᵀ]]).
      self: () => {
        const n = self.shape[self.ndim - 1] ?? 1;
        const t = self.mT();
        const block = F.cat([F.cat([t, grad], -1), F.cat([t.zerosLike(), t], -1)], -2);
        return F.matrixExp(block).narrow(-2, 0, n).narrow(-1, n, n);
      },
    }),
    samples: (g) => wide(g, () => [{ args: { self: g.tensor([2, 3, 3]) }, tolerance: 1e-3 }]),
  });
}

for (const [name, arg] of [["linalg_multi_dot", "tensors"], ["chain_matmul", "matrices"]] as const) {
  defineOp({
    schema: `aten::${name}(Tensor[] ${arg}) -> Tensor` as "aten::chain_matmul(Tensor[] matrices) -> Tensor",
    doc: "The product of a chain of matrices; the first and the last may be vectors.",
    meta: (args) => {
      const list: readonly MetaInput[] = Object.values(args)[0] ?? [];
      const [first] = list, last = list[list.length - 1];
      if (first === undefined || last === undefined || (list.length < 2 && name === "linalg_multi_dot")) {
        throw new TypeError(`${name}: needs at least two matrices, got ${list.length}`);
      }
      list.forEach((t, i) => {
        const isEnd = (i === 0 || i === list.length - 1) && name === "linalg_multi_dot";
        if (t.shape.length !== 2 && !(isEnd && t.shape.length === 1)) {
          throw new TypeError(`${name}: tensor ${i} must be a matrix, got ${shapeToText(t.shape)}`);
        }
        const before = list[i - 1];
        if (
          t.dtype !== first.dtype ||
          (before !== undefined && !sizeEq(before.shape[before.shape.length - 1] ?? 1, t.shape[0] ?? 1))
        ) {
          throw new TypeError(
            `${name}: tensors ${i - 1} and ${i} do not meet: ${shapeToText(before?.shape ?? [])} and ${
              shapeToText(t.shape)
            }`,
          );
        }
      });
      const shape = [...first.shape.slice(0, -1), ...(last.shape.length === 2 ? last.shape.slice(1) : [])];
      return { shape: list.length === 1 ? first.shape : shape, dtype: first.dtype };
    },
    decompose: (args) => {
      const list: readonly TensorValue[] = Object.values(args)[0] ?? [];
      const product = list.reduce((a, b) => a.matmul(b));
      return list.length === 1 ? product.clone() : product;
    },
    samples: (g) =>
      g.dtype.isFloat ? [{ args: { [arg]: [g.tensor([2, 3]), g.tensor([3, 4]), g.tensor([4, 2])] } }] : [],
  });
}

defineOp({
  schema: "aten::linalg_vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor",
  doc: "Inner products of vectors along dim; those of complex x are conjugated.",
  meta: ({ x, y, dim }) => {
    const shape = broadcastShapes("linalg_vecdot", x.shape, y.shape);
    const axis = axisOf("linalg_vecdot", dim, shape.length);
    if (x.dtype !== y.dtype) {
      throw new TypeError(`linalg_vecdot: x is ${x.dtype.name}, y ${y.dtype.name}; convert one`);
    }
    return {
      shape: shape.filter((_, d) => d !== axis),
      dtype: promotedDtype("linalg_vecdot", [x, y].map(promotionOperand), "default"),
    };
  },
  decompose: ({ x, y, dim }) => {
    if (x.dtype.isComplex) return x.conjPhysical().mul(y).sum([dim]);
    if (!x.dtype.isFloat) return x.mul(y).sum([dim], false, { dtype: x.dtype });
    const compute = computeType(x.dtype);
    return x.to(compute).mul(y.to(compute)).sum([dim]).to(x.dtype);
  },
  samples: (g) => g.dtype.isFloat ? [{ args: { x: g.tensor([2, 4]), y: g.tensor([3, 1, 4]) } }] : [],
});

defineOp({
  schema: "aten::linalg_vander(Tensor x, *, SymInt? N=None) -> Tensor",
  doc: "Powers 0 to N - 1 of the elements, along a new last dimension.",
  meta: ({ x, N }) => {
    if (x.dtype === bool || x.dtype.isFloat && x.dtype.bytes === 2) {
      throw new TypeError(`linalg_vander: needs integers, float32 or float64, got ${x.dtype.name}; convert it`);
    }
    const shape = x.shape.length === 0 ? [1] : x.shape;
    const n = N ?? shape[shape.length - 1] ?? 1;
    if (N !== null && Number(n) <= 1) throw new RangeError(`linalg_vander: N must be greater than 1, got ${n}`);
    return { shape: [...shape, n], dtype: x.dtype.isIntegral ? int64 : x.dtype };
  },
  decompose: ({ x, N }, F) => {
    const row = x.ndim === 0 ? x.unsqueeze(0) : x;
    const n = Number(N ?? row.shape[row.ndim - 1] ?? 1);
    const wideRow = row.dtype.isIntegral ? row.to(int64) : row;
    const ones = wideRow.onesLike().unsqueeze(-1);
    if (n === 1) return ones;
    const rest = wideRow.unsqueeze(-1).expand([...wideRow.shape, n - 1]).cumprod(-1);
    return F.cat([ones, rest], -1);
  },
  samples: (g) =>
    g.dtype === bool || g.dtype.isFloat && g.dtype.bytes === 2 ? [] : [{ args: { x: g.tensor([2, 3]), N: 4 } }],
});

/** Singular values at both ends; the condition in the 2-norm (and its inverse). */
function spectralCondition(self: TensorValue, p: number, F: Functional): TensorValue {
  const s = F.linalgSvdvals(self);
  const largest = s.select(-1, 0), least = s.select(-1, -1);
  return p === -2 ? least.div(largest) : largest.div(least);
}

function conditionSpec(self: MetaInput, p: Scalar | string | null): TensorSpec {
  const { batch } = p === null || p === 2 || p === -2
    ? matrixShape("linalg_cond", self)
    : squareShape("linalg_cond", self);
  return { shape: batch, dtype: self.dtype };
}

/** Norm times the inverse's norm; infinite where there is no inverse. */
function normCondition(self: TensorValue, norm: (t: TensorValue) => TensorValue, F: Functional): TensorValue {
  const [inverse, info] = F.linalgInvEx(self);
  return F.where(info.eq(0), norm(self).mul(norm(inverse)), Infinity);
}

defineOp({
  schema: "aten::linalg_cond(Tensor self, Scalar? p=None) -> Tensor",
  doc: "The condition of matrices in the p-norm, by default the ratio of the extreme singular values.",
  meta: ({ self, p }) => conditionSpec(self, p),
  decompose: ({ self, p }, F) => {
    const kind = p === null ? 2 : scalarNumber(p);
    if (Math.abs(kind) === 2) return spectralCondition(self, kind, F);
    return normCondition(self, (t) => t.linalgMatrixNorm(kind), F);
  },
  samples: (g) =>
    wide(
      g,
      () => [{ args: { self: regularMatrices(g, 2, 3) }, tolerance: 1e-3 }, {
        args: { self: regularMatrices(g, 1, 3), p: 1 },
        tolerance: 1e-3,
      }],
    ),
});

defineOp({
  schema: "aten::linalg_cond.p_str(Tensor self, str p) -> Tensor",
  doc: "The condition of matrices in the Frobenius or nuclear norm.",
  meta: ({ self, p }) => conditionSpec(self, p),
  decompose: ({ self, p }, F) => normCondition(self, (t) => t.linalgMatrixNorm(p), F),
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 1, 3), p: "fro" }, tolerance: 1e-3 }]),
});

defineOp({
  schema: "aten::linalg_diagonal(Tensor(a) A, *, int offset=0, int dim1=-2, int dim2=-1) -> Tensor(a)",
  doc: "The diagonal of the last two dimensions, as a view.",
  meta: ({ A, offset, dim1, dim2 }) => {
    const d = diagonalOf("linalg_diagonal", A.shape, offset, dim1, dim2);
    const rest = <T>(list: readonly T[]): T[] => list.filter((_, i) => i !== d.first && i !== d.second);
    const step = sizeAdd(A.stride[d.first] ?? 1, A.stride[d.second] ?? 1);
    return { shape: [...rest(A.shape), d.length], stride: [...rest(A.stride), step], dtype: A.dtype };
  },
  decompose: ({ A, offset, dim1, dim2 }) => A.diagonal(offset, dim1, dim2),
  samples: (g) => [{ args: { A: g.tensor([2, 3, 4]), offset: 1 } }],
});
