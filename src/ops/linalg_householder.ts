/**
 * Products of Householder reflections, symmetric indefinite factors, and linear systems of tensors: geqrf, householder_product, ormqr, LDL.
 *
 * Reflections are kept as LAPACK keeps them: below the diagonal of the factored matrix, with their scales in `tau`. What applies them is written with matrix
 * products, one reflection after the other, and is differentiable; factorisations run on the host in float64. Mirrors `BatchLinearAlgebra.cpp` of ATen.
 */
import { int32 } from "../core/mod.ts";
import { sameShape, shapeToText, type Size, sizeEq, sizeLe, sizeMin, sizeProd } from "../symbolic/mod.ts";
import { defineOp, type MetaInput } from "./define.ts";
import type { Functional } from "./functional.ts";
import { indefiniteFactor, solveIndefinite } from "./indefinite.ts";
import { regularMatrices, wide } from "./linalg.ts";
import { matrixShape, solutionShape, squareShape, transposeIf } from "./linalg_checks.ts";
import { batchOf, hostResult, householderFactor, matricesResult, Matrix, readMatrices } from "./matrices.ts";
import type { SampleGenerator, TensorSample } from "./samples.ts";
import type { TensorValue } from "./value.ts";

defineOp({
  schema: "aten::geqrf(Tensor self) -> (Tensor a, Tensor tau)",
  doc: "R in the upper triangle, the reflections that make Q below it, and their scales.",
  meta: ({ self }) => {
    const { batch, rows, columns } = matrixShape("geqrf", self);
    return [{ shape: self.shape, dtype: self.dtype }, {
      shape: [...batch, sizeMin(rows, columns)],
      dtype: self.dtype,
    }];
  },
  host: ({ self }) => {
    const [rows = 0, columns = 0] = self.shape.slice(-2).map(Number);
    const factors = readMatrices(self).map(householderFactor);
    return [
      matricesResult(self.dtype, batchOf(self), rows, columns, factors.map((f) => f.packed)),
      hostResult(self.dtype, [...batchOf(self), Math.min(rows, columns)], factors.map((f) => f.tau)),
    ];
  },
  samples: (g) =>
    wide(g, () => [
      { args: { self: regularMatrices(g, 2, 3) }, differentiate: false },
      { name: "tall", args: { self: g.tensor([4, 2]) }, differentiate: false },
      { name: "wide", args: { self: g.tensor([2, 3]) }, differentiate: false },
    ]),
});

function checkReflections(where: string, input: MetaInput, tau: MetaInput, tall: boolean): void {
  const { batch, rows, columns } = matrixShape(where, input);
  const count = tau.shape[tau.shape.length - 1] ?? 0;
  const fits = tau.dtype === input.dtype && tau.shape.length === input.shape.length - 1 &&
    sameShape(tau.shape.slice(0, -1), batch) && sizeLe(count, rows) && sizeLe(count, columns) &&
    (!tall || sizeLe(columns, rows));
  if (!fits) {
    throw new TypeError(
      `${where}: reflections ${input.dtype.name}${shapeToText(input.shape)} and their scales ${tau.dtype.name}${
        shapeToText(tau.shape)
      } do not meet; needs [..., m, n]${
        tall ? " with m >= n" : ""
      } and [..., k] with k no larger than m and n, of one dtype and batch`,
    );
  }
}

/** H₁ H₂ … Hₖ X, or (transposed) Hₖ … H₁ X, where Hᵢ = I - τᵢ vᵢ vᵢᵀ and vᵢ is column i of `input` below its diagonal, with a 1 on it. */
function reflect(
  input: TensorValue,
  tau: TensorValue,
  x: TensorValue,
  transposed: boolean,
  F: Functional,
): TensorValue {
  const [rows = 1, columns = 1] = input.shape.slice(-2);
  const v = input.tril(-1).add(F.eye(rows, columns, { dtype: input.dtype, device: input.device }));
  const count = Number(tau.shape[tau.ndim - 1] ?? 0);
  let out = x;
  for (let step = 0; step < count; step++) {
    const i = transposed ? step : count - 1 - step;
    const column = v.narrow(-1, i, 1);
    const scaled = column.mul(tau.narrow(-1, i, 1).unsqueeze(-1));
    out = out.sub(scaled.matmul(column.mT().matmul(out)));
  }
  return out;
}

const reflectionSamples = (g: SampleGenerator): { readonly input: TensorSample; readonly tau: TensorSample } => ({
  input: g.tensor([2, 4, 3]),
  tau: g.tensor([2, 3], { values: [0.5, 1.25, -0.5, 1, 0.75, 0.25] }),
});

const product = defineOp({
  schema: "aten::linalg_householder_product(Tensor input, Tensor tau) -> Tensor",
  doc: "The first columns of the product of Householder reflections: Q of geqrf().",
  meta: ({ input, tau }) => {
    checkReflections("linalg_householder_product", input, tau, true);
    return { shape: input.shape, dtype: input.dtype };
  },
  decompose: ({ input, tau }, F) => {
    const [rows = 1, columns = 1] = input.shape.slice(-2);
    const unit = input.newZeros(input.shape).add(F.eye(rows, columns, { dtype: input.dtype, device: input.device }));
    return reflect(input, tau, unit, false, F);
  },
  samples: (g) => wide(g, () => [{ args: { ...reflectionSamples(g) } }]),
});

defineOp({
  schema: "aten::orgqr(Tensor self, Tensor input2) -> Tensor",
  doc: "Another name of linalg_householder_product.",
  meta: ({ self, input2 }) => product.meta({ input: self, tau: input2 }),
  decompose: ({ self, input2 }, F) => F.linalgHouseholderProduct(self, input2),
  samples: () => [],
});

defineOp({
  schema: "aten::ormqr(Tensor self, Tensor input2, Tensor input3, bool left=True, bool transpose=False) -> Tensor",
  doc: "Q C, Qᵀ C, C Q or C Qᵀ, where self and input2 are the reflections and scales of Q and input3 is C.",
  meta: ({ self, input2, input3, left }) => {
    checkReflections("ormqr", self, input2, false);
    const { batch, rows } = matrixShape("ormqr", self);
    const other = matrixShape("ormqr", input3);
    const meets = sizeEq(left ? other.rows : other.columns, rows) && sameShape(batch, other.batch);
    if (!meets || input3.dtype !== self.dtype) {
      throw new TypeError(
        `ormqr: reflections ${self.dtype.name}${shapeToText(self.shape)} and input3 ${input3.dtype.name}${
          shapeToText(input3.shape)
        } do not meet; the ${
          left ? "rows" : "columns"
        } of input3 must be those of the reflections, of one dtype and batch`,
      );
    }
    return { shape: input3.shape, dtype: input3.dtype };
  },
  decompose: ({ self, input2, input3, left, transpose }, F) => {
    // C Q = (Qᵀ Cᵀ)ᵀ
    const out = reflect(self, input2, transposeIf(input3, !left), transpose === left, F);
    return transposeIf(out, !left).contiguous();
  },
  samples: (g) =>
    wide(g, () => {
      const { input, tau } = reflectionSamples(g);
      return [
        { args: { self: input, input2: tau, input3: g.tensor([2, 4, 2]) } },
        { args: { self: input, input2: tau, input3: g.tensor([2, 2, 4]), left: false, transpose: true } },
      ];
    }),
});

defineOp({
  schema:
    "aten::linalg_ldl_factor_ex(Tensor self, *, bool hermitian=False, bool check_errors=False) -> (Tensor LD, Tensor pivots, Tensor info)",
  doc:
    "A = P L D Lᵀ Pᵀ of symmetric matrices, of which the lower half is read; D has blocks of 1 or 2. Pivots as LAPACK writes them.",
  meta: ({ self }) => {
    const { batch } = squareShape("linalg_ldl_factor_ex", self);
    const int = { dtype: int32 };
    return [{ shape: self.shape, dtype: self.dtype }, { shape: self.shape.slice(0, -1), ...int }, {
      shape: batch,
      ...int,
    }];
  },
  host: ({ self, checkErrors }) => {
    const n = Number(self.shape[self.shape.length - 1]);
    const batch = batchOf(self);
    const factors = readMatrices(self).map(indefiniteFactor);
    const bad = factors.find((f) => f.info !== 0);
    if (checkErrors && bad !== undefined) {
      throw new RangeError(
        `linalg_ldl_factor: D of a matrix of ${shapeToText(self.shape)} is singular: its block ${bad.info} is 0`,
      );
    }
    return [
      matricesResult(self.dtype, batch, n, n, factors.map((f) => f.packed)),
      hostResult(int32, [...batch, n], factors.map((f) => f.pivots)),
      hostResult(int32, batch, [factors.map((f) => f.info)]),
    ];
  },
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 2, 3) }, differentiate: false }]),
});

defineOp({
  schema: "aten::linalg_ldl_factor(Tensor self, *, bool hermitian=False) -> (Tensor LD, Tensor pivots)",
  doc: "A = P L D Lᵀ Pᵀ of symmetric matrices, of which the lower half is read. Raises where D is singular.",
  meta: ({ self }) => {
    squareShape("linalg_ldl_factor", self);
    return [{ shape: self.shape, dtype: self.dtype }, { shape: self.shape.slice(0, -1), dtype: int32 }];
  },
  decompose: ({ self, hermitian }, F) => F.linalgLdlFactorEx(self, { hermitian, checkErrors: true }).slice(0, 2),
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 1, 3) }, differentiate: false }]),
});

defineOp({
  schema: "aten::linalg_ldl_solve(Tensor LD, Tensor pivots, Tensor B, *, bool hermitian=False) -> Tensor",
  doc: "X with A X = B, from the factors of a symmetric A that linalg_ldl_factor() gave.",
  meta: ({ LD, pivots, B }) => {
    const shape = solutionShape("linalg_ldl_solve", LD, B);
    if (pivots.dtype !== int32 || !sameShape(pivots.shape, LD.shape.slice(0, -1))) {
      throw new TypeError(
        `linalg_ldl_solve: pivots must be int32${shapeToText(LD.shape.slice(0, -1))}, got ${pivots.dtype.name}${
          shapeToText(pivots.shape)
        }`,
      );
    }
    return { shape, dtype: B.dtype };
  },
  host: ({ LD, pivots, B }, outs) => {
    const shape = (outs[0]?.shape ?? []).map(Number);
    const n = Number(LD.shape[LD.shape.length - 1]);
    const batch = shape.slice(0, -2), columns = shape[shape.length - 1] ?? 0;
    const factors = readMatrices(LD), right = readMatrices(B);
    const count = batch.reduce((a, b) => a * b, 1);
    const solutions = Array.from({ length: count }, (_, b) => {
      const at = broadcastIndex(batch, b, batchOf(LD));
      const packed = factors[at] ?? new Matrix(0, 0);
      const exchanged = Array.from(pivots.data.subarray(at * n, at * n + n), Number);
      return solveIndefinite(packed, exchanged, right[broadcastIndex(batch, b, batchOf(B))] ?? new Matrix(0, 0));
    });
    return [matricesResult(B.dtype, batch, n, columns, solutions)];
  },
  samples: (g) =>
    wide(g, () => [{
      args: {
        LD: g.tensor([2, 2], { values: [2, 0, 0.5, 3], requiresGrad: false }),
        pivots: g.tensor([2], { dtype: int32, values: [1, 2], requiresGrad: false }),
        B: g.tensor([2, 3], { requiresGrad: false }),
      },
      differentiate: false,
    }]),
});

/** Where element `at` of a batch stands in a smaller batch that broadcasts to it. */
function broadcastIndex(batch: readonly number[], at: number, smaller: readonly number[]): number {
  let out = 0, step = 1, rest = at;
  for (let d = batch.length - 1; d >= 0; d--) {
    const size = batch[d] ?? 1;
    const own = smaller[d - batch.length + smaller.length];
    const i = rest % size;
    rest = Math.floor(rest / size);
    if (own === undefined) continue;
    if (own !== 1) out += i * step;
    step *= own;
  }
  return out;
}

function inverseSplit(self: MetaInput | TensorValue, ind: Size): { readonly head: Size[]; readonly tail: Size[] } {
  const at = Number(ind);
  if (!(at > 0)) throw new RangeError(`linalg_tensorinv: ind must be positive, got ${ind}`);
  const head = self.shape.slice(0, at), tail = self.shape.slice(at);
  if (!sizeEq(sizeProd(head), sizeProd(tail))) {
    throw new TypeError(
      `linalg_tensorinv: the first ${at} dimensions of ${
        shapeToText(self.shape)
      } must have as many elements as the others`,
    );
  }
  return { head, tail };
}

defineOp({
  schema: "aten::linalg_tensorinv(Tensor self, int ind=2) -> Tensor",
  doc: "The inverse of self as a map from its last dimensions to its first ind ones.",
  meta: ({ self, ind }) => {
    const { head, tail } = inverseSplit(self, ind);
    return { shape: [...tail, ...head], dtype: self.dtype };
  },
  decompose: ({ self, ind }, F) => {
    const { head, tail } = inverseSplit(self, ind);
    return F.linalgInv(self.reshape([sizeProd(head), sizeProd(tail)])).reshape([...tail, ...head]);
  },
  samples: (g) => wide(g, () => [{ args: { self: { ...regularMatrices(g, 1, 6), shape: [2, 3, 6] } } }]),
});

/** The order of dimensions, and the shape of the solution. */
function tensorSystem(
  self: MetaInput | TensorValue,
  other: MetaInput | TensorValue,
  dims: readonly Size[] | null,
): { readonly order: number[]; readonly shape: Size[] } {
  const rank = self.shape.length;
  const moved = (dims ?? []).map((d) => Number(d) < 0 ? Number(d) + rank : Number(d));
  const order = [...Array.from({ length: rank }, (_, d) => d).filter((d) => !moved.includes(d)), ...moved];
  const shape = order.slice(other.shape.length).map((d) => self.shape[d] ?? 1);
  if (
    order.length !== rank || !sizeEq(sizeProd(shape), sizeProd(other.shape)) ||
    !sizeEq(sizeProd(self.shape.slice()), sizeProd([...shape, ...other.shape]))
  ) {
    throw new TypeError(
      `linalg_tensorsolve: self ${shapeToText(self.shape)} and other ${
        shapeToText(other.shape)
      } do not meet; self must have as many elements as other, squared`,
    );
  }
  return { order, shape };
}

defineOp({
  schema: "aten::linalg_tensorsolve(Tensor self, Tensor other, int[]? dims=None) -> Tensor",
  doc: "X with tensordot(self, X) = other; dims of self are moved to its end first.",
  meta: ({ self, other, dims }) => ({ shape: tensorSystem(self, other, dims).shape, dtype: self.dtype }),
  decompose: ({ self, other, dims }, F) => {
    const { order, shape } = tensorSystem(self, other, dims);
    const matrix = self.permute(order).reshape([sizeProd(other.shape), sizeProd(shape)]);
    return F.linalgSolve(matrix, other.reshape([-1])).reshape(shape);
  },
  samples: (g) =>
    wide(g, () => [{ args: { self: { ...regularMatrices(g, 1, 6), shape: [2, 3, 6] }, other: g.tensor([2, 3]) } }]),
});
