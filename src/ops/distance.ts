/**
 * Distances, similarities and norms of matrices: pairwise_distance, cosine_similarity, cdist, pdist, dist, linalg_norm, renorm.
 *
 * All are norms of differences, so gradients come from `linalg_vector_norm` with its conventions at 0. Spectral and nuclear norms use the singular values
 * (`singular_values`). Mirrors `Distance.cpp`, `LinearAlgebra.cpp` and `Normalization.cpp` (renorm) of ATen.
 */
import { computeType, type DType, float64, getDefaultDtype, int32, int64 } from "../core/mod.ts";
import type { Scalar } from "../graph/mod.ts";
import { broadcastShapes, shapeToText, type Size, sizeEq } from "../symbolic/mod.ts";
import { axisOf, promotedDtype, promotionOperand, reducedShape, reductionAxes } from "./combinators.ts";
import { defineInplace, defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import { castGrad } from "./gradient.ts";
import { scalarNumber } from "./scalars.ts";
import type { TensorValue } from "./value.ts";

function floating(x: TensorValue): TensorValue {
  return x.dtype.isIntegral ? x.to(getDefaultDtype()) : x;
}

function needFloat(where: string, dtype: DType): void {
  if (!dtype.isFloat) {
    throw new TypeError(`${where}: needs floating point numbers, got ${dtype.name}; convert with .to(float32)`);
  }
}

defineOp({
  schema: "aten::pairwise_distance(Tensor x1, Tensor x2, float p=2, float eps=1e-06, bool keepdim=False) -> Tensor",
  doc: "The p-norm of x1 - x2 + eps along the last dimension.",
  meta: ({ x1, x2, keepdim }) => {
    const shape = broadcastShapes("pairwise_distance", x1.shape, x2.shape);
    return {
      shape: reducedShape(shape, shape.length === 0 ? [] : [shape.length - 1], keepdim),
      dtype: promotedDtype("pairwise_distance", [x1, x2].map(promotionOperand), "float"),
    };
  },
  decompose: ({ x1, x2, p, eps, keepdim }, F) => {
    const d = floating(x1.sub(x2)).add(eps);
    return F.linalgVectorNorm(d, p, d.ndim === 0 ? null : [-1], keepdim);
  },
  samples: (g) =>
    g.dtype.isFloat
      ? [{ args: { x1: g.tensor([3, 4]), x2: g.tensor([3, 4]) } }, {
        args: { x1: g.tensor([3, 4]), x2: g.tensor([4]), p: 1, keepdim: true },
      }]
      : [],
});

defineOp({
  schema: "aten::cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor",
  doc: "The cosine of the angle between x1 and x2 along dim; norms below eps count as eps.",
  meta: ({ x1, x2, dim }) => {
    const shape = broadcastShapes("cosine_similarity", x1.shape, x2.shape);
    const dtype = promotedDtype("cosine_similarity", [x1, x2].map(promotionOperand), "default");
    needFloat("cosine_similarity", dtype);
    const axis = axisOf("cosine_similarity", dim, shape.length);
    return { shape: shape.length === 0 ? [] : reducedShape(shape, [axis], false), dtype };
  },
  decompose: ({ x1, x2, dim, eps }, F) => {
    const shape = broadcastShapes("cosine_similarity", x1.shape, x2.shape);
    const dtype = promotedDtype(
      "cosine_similarity",
      [x1, x2].map((x) => ({ dtype: x.dtype, rank: "tensor" })),
      "default",
    );
    const unit = (x: TensorValue): TensorValue => {
      const wide = (x.dtype === dtype ? x : x.to(dtype)).expand(shape);
      const norm = F.linalgVectorNorm(wide, 2, shape.length === 0 ? null : [dim], true);
      // The bound is a constant to the gradient.
      return wide.div(norm.add(norm.clampMin(eps).sub(norm).detach()));
    };
    const product = unit(x1).mul(unit(x2));
    return shape.length === 0 ? product : product.sum([dim]);
  },
  samples: (g) =>
    g.dtype.isFloat
      ? [{ args: { x1: g.tensor([3, 4]), x2: g.tensor([3, 4]) } }, {
        args: { x1: g.tensor([2, 3]), x2: g.tensor([2, 1, 3]), dim: -1 },
      }]
      : [],
});

defineOp({
  schema: "aten::cdist(Tensor x1, Tensor x2, float p=2, int? compute_mode=None) -> Tensor",
  doc: "The p-norm distance of every row of x1 to every row of x2; leading dimensions broadcast.",
  meta: ({ x1, x2, p, computeMode }) => {
    const [r1, r2] = [x1.shape.length, x2.shape.length];
    if (r1 < 2 || r2 < 2 || !sizeEq(x1.shape[r1 - 1] ?? 1, x2.shape[r2 - 1] ?? 1)) {
      throw new TypeError(
        `cdist: needs matrices with rows of the same length, got ${shapeToText(x1.shape)} and ${shapeToText(x2.shape)}`,
      );
    }
    if (computeMode !== null && ![0, 1, 2].includes(Number(computeMode))) {
      throw new RangeError(`cdist: compute_mode must be 0, 1 or 2, got ${computeMode}`);
    }
    if (!(p >= 0)) throw new RangeError(`cdist: p must not be negative, got ${p}`);
    needFloat("cdist", x1.dtype);
    if (x1.dtype !== x2.dtype) {
      throw new TypeError(`cdist: x1 is ${x1.dtype.name}, x2 ${x2.dtype.name}; convert one of them`);
    }
    const batch = broadcastShapes("cdist", x1.shape.slice(0, -2), x2.shape.slice(0, -2));
    return {
      shape: [...batch, x1.shape[r1 - 2] ?? 1, x2.shape[r2 - 2] ?? 1],
      dtype: promotedDtype("cdist", [x1, x2].map(promotionOperand), "default"),
    };
  },
  decompose: ({ x1, x2, p }, F) => {
    const d = x1.unsqueeze(-2).sub(x2.unsqueeze(-3));
    return d.shape[d.ndim - 1] === 0 ? d.sum([-1]) : F.linalgVectorNorm(d, p, [-1]);
  },
  samples: (g) =>
    g.dtype.isFloat
      ? [1, 2, 3, Infinity].map((p) => ({ args: { x1: g.tensor([2, 3, 4]), x2: g.tensor([5, 4]), p } }))
      : [],
});

defineOp({
  schema: "aten::pdist(Tensor self, float p=2) -> Tensor",
  doc: "The p-norm distances of all pairs of rows, as a vector: (0, 1), (0, 2), …, (1, 2), ….",
  meta: ({ self, p }) => {
    if (self.shape.length !== 2) throw new TypeError(`pdist: needs a matrix, got ${shapeToText(self.shape)}`);
    if (!(p >= 0)) throw new RangeError(`pdist: p must not be negative, got ${p}`);
    needFloat("pdist", self.dtype);
    const n = Number(self.shape[0]);
    return { shape: [n * (n - 1) / 2], dtype: self.dtype };
  },
  decompose: ({ self, p }, F) => {
    const n = Number(self.shape[0]);
    if (n < 2) return self.reshape([-1]).narrow(0, 0, 0);
    // Row and column of the k-th entry above the diagonal.
    const k = F.arange(n * (n - 1) / 2, { device: self.device });
    const half = n - 0.5;
    const i = k.to(float64).mul(-2).add(half * half - 1).sqrt().neg().add(half).floor().to(int64);
    const j = k.sub(i.mul(n)).add(i.mul(i.add(1)).div(2, { roundingMode: "floor" })).add(i).add(1);
    const d = self.indexSelect(0, i).sub(self.indexSelect(0, j));
    return d.shape[1] === 0 ? d.sum([1]) : F.linalgVectorNorm(d, p, [1]);
  },
  samples: (g) => g.dtype.isFloat ? [1, 2, 3].map((p) => ({ args: { self: g.tensor([5, 3]), p } })) : [],
});

defineOp({
  schema: "aten::dist(Tensor self, Tensor other, Scalar p=2) -> Tensor",
  doc: "The p-norm of self - other over all elements.",
  meta: ({ self, other }) => {
    broadcastShapes("dist", self.shape, other.shape);
    const dtype = promotedDtype("dist", [self, other].map(promotionOperand), "default");
    needFloat("dist", dtype);
    return { shape: [], dtype };
  },
  decompose: ({ self, other, p }, F) => F.linalgVectorNorm(self.sub(other), p),
  samples: (g) =>
    g.dtype.isFloat
      ? [{ args: { self: g.tensor([3, 4]), other: g.tensor([4]) } }, {
        args: { self: g.tensor([3]), other: g.tensor([3]), p: 1 },
      }]
      : [],
});

interface MatrixNorm {
  readonly ord: number | string;
  readonly axes: readonly [number, number];
  readonly keepdim: boolean;
}

function matrixAxes(where: string, dim: readonly Size[] | null, rank: number): readonly [number, number] {
  const list = dim === null || dim.length === 0 ? [-2, -1] : dim;
  const [row, column] = [axisOf(where, list[0] ?? -2, rank), axisOf(where, list[1] ?? -1, rank)];
  if (list.length !== 2 || row === column || rank < 2) {
    throw new TypeError(`${where}: a matrix norm needs two different dimensions, got [${list.join(", ")}] of ${rank}`);
  }
  return [row, column];
}

function matrixNorm(x: TensorValue, { ord, axes, keepdim }: MatrixNorm): TensorValue {
  const [row, column] = axes;
  if (ord === "fro") return x.linalgVectorNorm(2, [row, column], keepdim);
  if (ord === "nuc" || ord === 2 || ord === -2) {
    const values = x.movedim([row, column], [-2, -1]).svdvals();
    // The largest of no singular values is 0.
    const none = values.shape[values.ndim - 1] === 0;
    const out = ord === "nuc" || (none && ord === 2)
      ? values.sum([-1])
      : ord === 2
      ? values.amax([-1])
      : values.amin([-1]);
    if (!keepdim) return out;
    return [row, column].sort((a, b) => a - b).reduce((t, axis) => t.unsqueeze(axis), out);
  }
  const order = typeof ord === "number" ? ord : NaN;
  const [summed, chosen] = Math.abs(order) === 1 ? [row, column] : [column, row];
  if (x.shape[chosen] === 0 && order > 0) return x.sum([row, column], keepdim);
  const sums = x.linalgVectorNorm(1, [summed], true);
  const out = order > 0 ? sums.amax([chosen], true) : sums.amin([chosen], true);
  return keepdim ? out : out.reshape(reducedShape(x.shape, axes, false));
}

function checkMatrixOrder(where: string, ord: number | string): void {
  if (ord === "fro" || ord === "nuc" || [1, -1, 2, -2, Infinity, -Infinity].includes(Number(ord))) return;
  throw new RangeError(`${where}: the order of a matrix norm is 1, -1, 2, -2, inf, -inf, "fro" or "nuc", got ${ord}`);
}

/** How linalg_norm reads its arguments: null is the vector norm over the returned axes. */
function normKind(
  self: MetaInput | TensorValue,
  ord: Scalar | string | null,
  dim: readonly Size[] | null,
): "vector" | "matrix" {
  if (typeof ord === "string") return "matrix";
  if (ord === null) return "vector";
  return dim === null ? (self.shape.length === 2 ? "matrix" : "vector") : dim.length === 2 ? "matrix" : "vector";
}

interface NormArguments {
  readonly ord: Scalar | string | null;
  readonly dim: readonly Size[] | null;
  readonly keepdim: boolean;
  readonly dtype: DType | null;
}

function normSpec(where: string, self: MetaInput, { ord, dim, keepdim, dtype }: NormArguments): TensorSpec {
  needFloat(where, dtype ?? self.dtype);
  const kind = where === "linalg_matrix_norm" ? "matrix" : normKind(self, ord, dim);
  if (kind === "matrix") {
    const order = typeof ord === "string" ? ord : scalarNumber(ord ?? 2);
    checkMatrixOrder(where, order);
    const dtypeOfSums = dtype ?? self.dtype;
    if ((order === "nuc" || Math.abs(Number(order)) === 2) && dtypeOfSums.bytes < 4) {
      throw new TypeError(
        `${where}: the order ${order} needs singular values, which are of float32 or float64, got ${dtypeOfSums.name}`,
      );
    }
    if (where === "linalg_norm" && dim === null && self.shape.length !== 2) {
      throw new TypeError(`${where}: the order "${order}" without dim needs a matrix, got ${shapeToText(self.shape)}`);
    }
  }
  if (where === "linalg_norm" && ord !== null && dim === null && ![1, 2].includes(self.shape.length)) {
    throw new TypeError(
      `${where}: the order ${ord} without dim needs a vector or a matrix, got ${shapeToText(self.shape)}`,
    );
  }
  const axes = kind === "matrix"
    ? matrixAxes(where, dim, self.shape.length)
    : reductionAxes(where, dim, self.shape.length);
  return { shape: reducedShape(self.shape, axes, keepdim), dtype: dtype ?? self.dtype };
}

function normValue(where: string, self: TensorValue, { ord, dim, keepdim, dtype }: NormArguments): TensorValue {
  const x = dtype === null || dtype === self.dtype ? self : self.to(dtype);
  const kind = where === "linalg_matrix_norm" ? "matrix" : normKind(self, ord, dim);
  if (kind === "vector") return x.linalgVectorNorm(ord === null ? 2 : Number(ord), dim, keepdim);
  const order = typeof ord === "string" ? ord : scalarNumber(ord ?? 2);
  return matrixNorm(x, { ord: order, axes: matrixAxes(where, dim, x.ndim), keepdim });
}

const NORMS = [
  ["aten::linalg_norm(Tensor self, Scalar? ord=None, int[1]? dim=None", [null, 1, Infinity, -1, 2]],
  ["aten::linalg_norm.ord_str(Tensor self, str ord, int[1]? dim=None", ["fro", "nuc"]],
  ["aten::linalg_matrix_norm(Tensor self, Scalar ord, int[] dim=[-2,-1]", [1, -2, Infinity]],
  ["aten::linalg_matrix_norm.str_ord(Tensor self, str ord='fro', int[] dim=[-2,-1]", ["fro", "nuc"]],
] as const;

for (const [head, orders] of NORMS) {
  const where = head.includes("matrix") ? "linalg_matrix_norm" : "linalg_norm";
  defineOp({
    schema:
      `${head}, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor` as "aten::linalg_norm(Tensor self, Scalar? ord=None, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    doc: where === "linalg_norm"
      ? "The norm of a vector or a matrix; without an order the vector norm of all elements."
      : "The norm of matrices: largest sums of rows or columns, singular values, or all elements.",
    meta: ({ self, ...args }) => normSpec(where, self, args),
    decompose: ({ self, ...args }) => normValue(where, self, args),
    samples: (g) =>
      g.dtype.isFloat && g.dtype.bytes >= 4
        ? orders.map((ord) => ({ args: { self: g.tensor([3, 4]), ord }, tolerance: 1e-4 }))
        : [],
  });
}

/** Factors that bring norms down to `maxnorm`. */
function shrink(norm: TensorValue, maxnorm: number): TensorValue {
  return norm.add(1e-7).reciprocal().mul(maxnorm);
}

defineOp({
  schema: "aten::renorm(Tensor self, Scalar p, int dim, Scalar maxnorm) -> Tensor",
  doc: "self with each slice along dim scaled down so that its p-norm is at most maxnorm.",
  inplace: true,
  meta: ({ self, p, dim, maxnorm }) => {
    needFloat("renorm", self.dtype);
    if (self.shape.length < 2) throw new TypeError(`renorm: needs at least 2 dimensions, got ${self.shape.length}`);
    axisOf("renorm", dim, self.shape.length);
    if (!(Number(p) > 0)) throw new RangeError(`renorm: p must be positive, got ${p}`);
    if (!(Number(maxnorm) >= 0)) throw new RangeError(`renorm: maxnorm must not be negative, got ${maxnorm}`);
    return { shape: self.shape, dtype: self.dtype };
  },
  decompose: ({ self, p, dim, maxnorm }, F) => {
    const axis = axisOf("renorm", dim, self.ndim);
    const others = self.shape.flatMap((_, d) => d === axis ? [] : [d]);
    const norm = F.linalgVectorNorm(self, p, others, true, { dtype: computeType(self.dtype) });
    const factor = F.where(norm.gt(Number(maxnorm)), shrink(norm, Number(maxnorm)), 1);
    return self.mul(castGrad(factor, self)).contiguous();
  },
  samples: (g) => g.dtype.isFloat ? [{ args: { self: g.tensor([3, 4, 2]), p: 2, dim: 1, maxnorm: 1.5 } }] : [],
});

const embeddingRenorm = defineOp({
  schema: "aten::embedding_renorm(Tensor self, Tensor indices, float max_norm, float norm_type) -> Tensor",
  doc: "self with the rows that indices name scaled so that their norms are at most max_norm.",
  meta: ({ self, indices }) => {
    if (self.shape.length !== 2) {
      throw new TypeError(`embedding_renorm: self must be a matrix, got ${shapeToText(self.shape)}`);
    }
    if (indices.dtype !== int64 && indices.dtype !== int32) {
      throw new TypeError(`embedding_renorm: indices must be int64 or int32, got ${indices.dtype.name}`);
    }
    return { shape: self.shape, dtype: self.dtype };
  },
  decompose: ({ self, indices, maxNorm, normType }, F) => {
    const wide = self.detach().to(computeType(self.dtype));
    const norm = F.linalgVectorNorm(wide, normType, [1], true);
    const named = self.newZeros([self.shape[0] ?? 1])
      .indexFill(0, indices.reshape([-1]), 1).gt(0).unsqueeze(1);
    const factor = F.where(named.logicalAnd(norm.gt(maxNorm)), shrink(norm, maxNorm), 1);
    return wide.mul(factor).to(self.dtype);
  },
  samples: (g) =>
    g.dtype.isFloat
      ? [{
        args: { self: g.tensor([4, 3]), indices: g.indices([2], 4), maxNorm: 0.5, normType: 2 },
        differentiate: false,
      }]
      : [],
});
defineInplace(
  embeddingRenorm,
  "aten::embedding_renorm_(Tensor(a!) self, Tensor indices, float max_norm, float norm_type) -> Tensor(a!)",
);
