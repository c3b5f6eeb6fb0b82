/**
 * Matrix products: mm and bmm are contraction loops, the others are written with them and with views.
 *
 * Operands of a product share their dtype; half types are accumulated in float32. `linear` has its own gradient, so that a layer is
 * one node of the tape and its bias becomes the epilogue of the product. Mirrors ATen's LinearAlgebra and the
 * decompositions of TorchInductor (`tuned_mm`, `tuned_bmm`, `tuned_addmm`).
 */
import { computeType, type DType, promoteTypes } from "../core/mod.ts";
import { contraction, ops, reduction } from "../loops/mod.ts";
import type { Scalar } from "../graph/mod.ts";
import { broadcastShapes, sameShape, shapeToText, type Size, sizeEq, sizeProd } from "../symbolic/mod.ts";
import { promotedDtype, promotionOperand } from "./combinators.ts";
import { defineOp, type TensorSpec } from "./define.ts";
import type { TensorValue } from "./value.ts";

/** What the checks need to know of an operand: its name, shape and dtype. */
interface Operand {
  readonly shape: readonly Size[];
  readonly dtype: DType;
}

/** Checks that operands of a product have one dtype. @throws {TypeError} */
export function checkSameDtype(where: string, a: Operand, b: Operand): DType {
  if (a.dtype !== b.dtype) {
    const common = promoteTypes(a.dtype, b.dtype).name;
    throw new TypeError(
      `${where}: the operands are ${a.dtype.name} and ${b.dtype.name}, and products do not promote: convert with .to(${common}) first`,
    );
  }
  return a.dtype;
}

/** Checks an operand's rank. @throws {TypeError} */
function checkRank(where: string, name: string, operand: Operand, rank: number): void {
  if (operand.shape.length !== rank) {
    throw new TypeError(
      `${where}: ${name} must have ${rank} dimension${rank === 1 ? "" : "s"}, got ${shapeToText(operand.shape)}`,
    );
  }
}

/** @throws {TypeError} unless what is added broadcasts to the product's shape. */
function checkBroadcastsTo(where: string, self: Operand, shape: readonly Size[]): void {
  if (!sameShape(broadcastShapes(where, shape, self.shape), shape)) {
    throw new TypeError(
      `${where}: self ${shapeToText(self.shape)} does not broadcast to the product ${shapeToText(shape)}`,
    );
  }
}

function cannotMultiply(where: string, a: readonly Size[], b: readonly Size[], needs: string): TypeError {
  return new TypeError(`${where}: cannot multiply ${shapeToText(a)} by ${shapeToText(b)}: needs ${needs}`);
}

/** The shape of a matrix product of any ranks, by the rules of `matmul`. */
function matmulShape(where: string, a: readonly Size[], b: readonly Size[]): Size[] {
  if (a.length === 0 || b.length === 0) {
    throw new TypeError(
      `${where}: both operands need at least 1 dimension, got ${shapeToText(a)} and ${shapeToText(b)}`,
    );
  }
  const k = a[a.length - 1] ?? 1;
  const k2 = (b.length === 1 ? b[0] : b[b.length - 2]) ?? 1;
  if (!sizeEq(k, k2)) throw cannotMultiply(where, a, b, "the inner dimensions to be equal");
  const batch = broadcastShapes(where, a.slice(0, -2), b.slice(0, -2));
  const rows = a.length === 1 ? [] : a.slice(-2, -1);
  const columns = b.length === 1 ? [] : b.slice(-1);
  return [...batch, ...rows, ...columns];
}

/**
 * `beta * self + alpha * product`, without what 0 and 1 make superfluous: beta 0 ignores even NaN in self. Half types are computed in
 * float32; with integers the factors are truncated.
 */
function affine(self: TensorValue, product: TensorValue, beta: Scalar, alpha: Scalar): TensorValue {
  const factor = (x: Scalar): number => self.dtype.isIntegral ? Math.trunc(Number(x)) : Number(x);
  const a = factor(alpha), b = factor(beta);
  const compute = computeType(product.dtype);
  const x = product.to(compute);
  const scaled = a === 1 ? x : x.mul(a);
  if (b === 0) return scaled.to(self.dtype);
  const base = self.to(compute);
  return scaled.add(b === 1 ? base : base.mul(b)).to(self.dtype);
}

/**
 * A product to which something is added before it is rounded: on the processor the product of half types in float32. Tensor cores want the half
 * types, and round once more.
 */
function unrounded(
  a: TensorValue,
  b: TensorValue,
  multiply: (a: TensorValue, b: TensorValue) => TensorValue,
): TensorValue {
  const compute = computeType(a.dtype);
  return a.device.type === "cpu" ? multiply(a.to(compute), b.to(compute)) : multiply(a, b);
}

defineOp({
  schema: "aten::mm(Tensor self, Tensor mat2) -> Tensor",
  doc: "The product of two matrices, [n, k] by [k, p].",
  meta: ({ self, mat2 }) => {
    const [n, k] = self.shape;
    const [k2, p] = mat2.shape;
    if (
      n === undefined || k === undefined || k2 === undefined || p === undefined || self.shape.length !== 2 ||
      mat2.shape.length !== 2 || !sizeEq(k, k2)
    ) {
      throw cannotMultiply("mm", self.shape, mat2.shape, "[n, k] and [k, p]");
    }
    return { shape: [n, p], dtype: checkSameDtype("mm", self, mat2) };
  },
  loop: ({ self, mat2 }, out) => {
    const accumulate = computeType(out.dtype);
    return contraction({
      dtype: out.dtype,
      accumulate,
      batch: [],
      m: out.shape.slice(0, 1),
      n: out.shape.slice(1),
      k: self.shape.slice(1),
      a: ({ m, k }) => ops.cast(self.load([...m, ...k]), accumulate),
      b: ({ k, n }) => ops.cast(mat2.load([...k, ...n]), accumulate),
      out: ({ m, n }) => [...m, ...n],
    });
  },
  vjp: ({ self, mat2 }, { grad }) => ({
    self: () => grad.mm(mat2.transpose(0, 1)),
    mat2: () => self.transpose(0, 1).mm(grad),
  }),
  samples: (g) => [
    { args: { self: g.tensor([3, 4]), mat2: g.tensor([4, 5]) } },
    { name: "transposed", args: { self: g.tensor([3, 4], { permuted: [1, 0] }), mat2: g.tensor([4, 2]) } },
    { name: "empty inner dimension", args: { self: g.tensor([3, 0]), mat2: g.tensor([0, 5]) } },
  ],
});

defineOp({
  schema: "aten::bmm(Tensor self, Tensor mat2) -> Tensor",
  doc: "Products of matrices in a batch, [b, n, k] by [b, k, p].",
  meta: ({ self, mat2 }) => {
    const [b, n, k] = self.shape;
    const [b2, k2, p] = mat2.shape;
    if (
      b === undefined || n === undefined || k === undefined || b2 === undefined || k2 === undefined ||
      p === undefined ||
      self.shape.length !== 3 || mat2.shape.length !== 3 || !sizeEq(b, b2) || !sizeEq(k, k2)
    ) {
      throw cannotMultiply("bmm", self.shape, mat2.shape, "[b, n, k] and [b, k, p]");
    }
    return { shape: [b, n, p], dtype: checkSameDtype("bmm", self, mat2) };
  },
  loop: ({ self, mat2 }, out) => {
    const accumulate = computeType(out.dtype);
    return contraction({
      dtype: out.dtype,
      accumulate,
      batch: out.shape.slice(0, 1),
      m: out.shape.slice(1, 2),
      n: out.shape.slice(2),
      k: self.shape.slice(2),
      a: ({ batch, m, k }) => ops.cast(self.load([...batch, ...m, ...k]), accumulate),
      b: ({ batch, k, n }) => ops.cast(mat2.load([...batch, ...k, ...n]), accumulate),
      out: ({ batch, m, n }) => [...batch, ...m, ...n],
    });
  },
  vjp: ({ self, mat2 }, { grad }) => ({
    self: () => grad.bmm(mat2.transpose(1, 2)),
    mat2: () => self.transpose(1, 2).bmm(grad),
  }),
  samples: (g) => [{ args: { self: g.tensor([2, 3, 4]), mat2: g.tensor([2, 4, 5]) } }],
});

defineOp({
  schema: "aten::mv(Tensor self, Tensor vec) -> Tensor",
  doc: "A matrix times a vector.",
  meta: ({ self, vec }) => {
    const [n, k] = self.shape;
    const [k2] = vec.shape;
    if (
      n === undefined || k === undefined || k2 === undefined || self.shape.length !== 2 || vec.shape.length !== 1 ||
      !sizeEq(k, k2)
    ) throw cannotMultiply("mv", self.shape, vec.shape, "[n, k] and [k]");
    return { shape: [n], dtype: checkSameDtype("mv", self, vec) };
  },
  loop: ({ self, vec }, out) => {
    const compute = computeType(out.dtype);
    return reduction(
      "sum",
      out.shape,
      vec.shape,
      (index, k) => ops.mul(ops.cast(self.load([...index, ...k]), compute), ops.cast(vec.load(k), compute)),
      out.dtype,
    );
  },
  vjp: ({ self, vec }, { grad }) => ({
    self: () => grad.unsqueeze(1).mul(vec.unsqueeze(0)),
    vec: () => self.transpose(0, 1).mv(grad),
  }),
  samples: (g) => [{ args: { self: g.tensor([3, 4]), vec: g.tensor([4]) } }],
});

defineOp({
  schema: "aten::dot(Tensor self, Tensor tensor) -> Tensor",
  doc: "The inner product of two vectors.",
  meta: ({ self, tensor }) => {
    checkRank("dot", "self", self, 1);
    checkRank("dot", "tensor", tensor, 1);
    if (!sizeEq(self.shape[0] ?? 0, tensor.shape[0] ?? 0)) {
      throw cannotMultiply("dot", self.shape, tensor.shape, "vectors of one length");
    }
    return { shape: [], dtype: checkSameDtype("dot", self, tensor) };
  },
  loop: ({ self, tensor }, out) => {
    const compute = computeType(out.dtype);
    return reduction(
      "sum",
      [],
      self.shape,
      (_, k) => ops.mul(ops.cast(self.load(k), compute), ops.cast(tensor.load(k), compute)),
      out.dtype,
    );
  },
  vjp: ({ self, tensor }, { grad }) => ({ self: () => grad.mul(tensor), tensor: () => grad.mul(self) }),
  samples: (g) => [{ args: { self: g.tensor([5]), tensor: g.tensor([5]) } }],
});

defineOp({
  schema: "aten::vdot(Tensor self, Tensor other) -> Tensor",
  doc: "The inner product of two real vectors.",
  meta: ({ self, other }) => {
    checkRank("vdot", "self", self, 1);
    checkRank("vdot", "other", other, 1);
    if (!sizeEq(self.shape[0] ?? 0, other.shape[0] ?? 0)) {
      throw cannotMultiply("vdot", self.shape, other.shape, "vectors of one length");
    }
    return { shape: [], dtype: checkSameDtype("vdot", self, other) };
  },
  decompose: ({ self, other }) => self.dot(other),
  samples: (g) => [{ args: { self: g.tensor([5]), other: g.tensor([5]) } }],
});

defineOp({
  schema: "aten::matmul(Tensor self, Tensor other) -> Tensor",
  doc: "The matrix product over the last two dimensions; the leading ones broadcast, vectors are rows or columns.",
  meta: ({ self, other }) => ({
    shape: matmulShape("matmul", self.shape, other.shape),
    dtype: checkSameDtype("matmul", self, other),
  }),
  decompose: ({ self, other }) => {
    if (other.ndim === 1) {
      if (self.ndim === 1) return self.dot(other);
      if (self.ndim === 2) return self.mv(other);
      const lead = self.shape.slice(0, -1);
      return self.reshape([sizeProd(lead), self.shape[self.ndim - 1] ?? 1]).mv(other).reshape(lead);
    }
    if (self.ndim === 1) return self.unsqueeze(0).matmul(other).squeeze(-2);
    const shape = matmulShape("matmul", self.shape, other.shape);
    if (other.ndim === 2) {
      if (self.ndim === 2) return self.mm(other);
      // Leading dimensions are further rows.
      const rows = sizeProd(self.shape.slice(0, -1));
      return self.reshape([rows, self.shape[self.ndim - 1] ?? 1]).mm(other).reshape(shape);
    }
    const batch = shape.slice(0, -2);
    const count = sizeProd(batch);
    const flat = (x: TensorValue): TensorValue =>
      x.expand([...batch, ...x.shape.slice(-2)]).reshape([count, ...x.shape.slice(-2)]);
    return flat(self).bmm(flat(other)).reshape(shape);
  },
  samples: (g) => [
    { args: { self: g.tensor([3, 4]), other: g.tensor([4, 5]) } },
    { name: "vectors", args: { self: g.tensor([4]), other: g.tensor([4]) } },
    { name: "vector by matrix", args: { self: g.tensor([4]), other: g.tensor([4, 2]) } },
    { name: "vector by batch", args: { self: g.tensor([4]), other: g.tensor([2, 4, 3]) } },
    { name: "batch by vector", args: { self: g.tensor([2, 3, 4]), other: g.tensor([4]) } },
    { name: "batch by matrix", args: { self: g.tensor([2, 3, 4]), other: g.tensor([4, 5]) } },
    { name: "matrix by batch", args: { self: g.tensor([3, 4]), other: g.tensor([2, 4, 5]) } },
    { name: "broadcast batches", args: { self: g.tensor([2, 1, 3, 4]), other: g.tensor([5, 4, 2]) } },
  ],
});

defineOp({
  schema: "aten::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
  doc: "input @ weightᵀ + bias: a fully connected layer. Weight is [out, in].",
  meta: ({ input, weight, bias }): TensorSpec => {
    const k = input.shape[input.shape.length - 1];
    const k2 = weight.shape[weight.shape.length - 1];
    if (k === undefined || k2 === undefined || weight.shape.length > 2 || !sizeEq(k, k2)) {
      throw cannotMultiply("linear", input.shape, weight.shape, "input [..., in] and weight [out, in]");
    }
    const shape = [...input.shape.slice(0, -1), ...weight.shape.slice(0, -1)];
    const dtype = checkSameDtype("linear", input, weight);
    if (bias !== null) {
      checkSameDtype("linear", weight, bias);
      const last = weight.shape.length === 1 ? 1 : weight.shape[0] ?? 1;
      const size = bias.shape[bias.shape.length - 1] ?? 1;
      if (bias.shape.length > 1 || !(sizeEq(size, last) || sizeEq(size, 1))) {
        throw new TypeError(
          `linear: bias ${shapeToText(bias.shape)} does not fit the weight ${
            shapeToText(weight.shape)
          }: needs [${last}]`,
        );
      }
    }
    return { shape, dtype };
  },
  decompose: ({ input, weight, bias }) => {
    let out: TensorValue;
    if (weight.ndim === 1) out = input.matmul(weight);
    else {
      const lead = input.shape.slice(0, -1);
      const flat = input.ndim === 2 ? input : input.reshape([sizeProd(lead), input.shape[input.ndim - 1] ?? 1]);
      const by = weight.transpose(0, 1);
      // The bias is added to the flat product, so that it is an epilogue without a view between.
      out = bias === null
        ? flat.mm(by)
        : unrounded(flat, by, (a, b) => a.mm(b)).add(bias.to(computeType(bias.dtype))).to(input.dtype);
      return input.ndim === 2 ? out : out.reshape([...lead, weight.shape[0] ?? 1]);
    }
    return bias === null ? out : out.add(bias);
  },
  vjp: ({ input, weight, bias }, { grad }) => {
    if (weight.ndim === 1) {
      return {
        input: () => grad.unsqueeze(-1).mul(weight),
        weight: () => grad.unsqueeze(-1).mul(input).sumToSize(weight.shape),
        bias: () => bias === null ? null : grad.sumToSize(bias.shape),
      };
    }
    const rows = sizeProd(input.shape.slice(0, -1));
    const flatGrad = (): TensorValue => grad.ndim === 2 ? grad : grad.reshape([rows, weight.shape[0] ?? 1]);
    return {
      input: () => flatGrad().mm(weight).reshape(input.shape),
      weight: () => flatGrad().transpose(0, 1).mm(input.reshape([rows, input.shape[input.ndim - 1] ?? 1])),
      bias: () => bias === null ? null : flatGrad().sumToSize(bias.shape),
    };
  },
  samples: (g) => [
    { args: { input: g.tensor([3, 4]), weight: g.tensor([5, 4]), bias: g.tensor([5]) } },
    { name: "no bias, batch", args: { input: g.tensor([2, 3, 4]), weight: g.tensor([5, 4]) } },
    { name: "batch", args: { input: g.tensor([2, 3, 4]), weight: g.tensor([5, 4]), bias: g.tensor([5]) } },
    { name: "vector", args: { input: g.tensor([4]), weight: g.tensor([5, 4]), bias: g.tensor([5]) } },
    { name: "vector weight", args: { input: g.tensor([3, 4]), weight: g.tensor([4]) } },
  ],
});

defineOp({
  schema: "aten::addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
  doc: "beta × self + alpha × (mat1 @ mat2); self broadcasts.",
  inplace: true,
  meta: ({ self, mat1, mat2 }) => {
    checkRank("addmm", "mat1", mat1, 2);
    checkRank("addmm", "mat2", mat2, 2);
    const shape = matmulShape("addmm", mat1.shape, mat2.shape);
    checkSameDtype("addmm", mat1, mat2);
    checkBroadcastsTo("addmm", self, shape);
    return { shape, dtype: checkSameDtype("addmm", mat1, self) };
  },
  decompose: ({ self, mat1, mat2, beta, alpha }) => affine(self, unrounded(mat1, mat2, (a, b) => a.mm(b)), beta, alpha),
  samples: (g) => [
    { args: { self: g.tensor([5]), mat1: g.tensor([3, 4]), mat2: g.tensor([4, 5]) } },
    { args: { self: g.tensor([3, 5]), mat1: g.tensor([3, 4]), mat2: g.tensor([4, 5]), beta: 2, alpha: 3 } },
  ],
});

defineOp({
  schema: "aten::baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
  doc: "beta × self + alpha × bmm(batch1, batch2); self broadcasts.",
  inplace: true,
  meta: ({ self, batch1, batch2 }) => {
    checkRank("baddbmm", "batch1", batch1, 3);
    checkRank("baddbmm", "batch2", batch2, 3);
    const shape = matmulShape("baddbmm", batch1.shape, batch2.shape);
    checkSameDtype("baddbmm", batch1, batch2);
    checkBroadcastsTo("baddbmm", self, shape);
    return { shape, dtype: checkSameDtype("baddbmm", batch1, self) };
  },
  decompose: ({ self, batch1, batch2, beta, alpha }) =>
    affine(self, unrounded(batch1, batch2, (a, b) => a.bmm(b)), beta, alpha),
  samples: (g) => [
    {
      args: { self: g.tensor([2, 3, 5]), batch1: g.tensor([2, 3, 4]), batch2: g.tensor([2, 4, 5]), beta: 2, alpha: 3 },
    },
    { args: { self: g.tensor([1, 5]), batch1: g.tensor([2, 3, 4]), batch2: g.tensor([2, 4, 5]), beta: 0 } },
  ],
});

defineOp({
  schema: "aten::addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
  doc: "beta × self + alpha × the sum of the products of the batch.",
  inplace: true,
  meta: ({ self, batch1, batch2 }) => {
    checkRank("addbmm", "batch1", batch1, 3);
    checkRank("addbmm", "batch2", batch2, 3);
    const shape = matmulShape("addbmm", batch1.shape, batch2.shape).slice(1);
    checkSameDtype("addbmm", batch1, batch2);
    checkBroadcastsTo("addbmm", self, shape);
    return { shape, dtype: checkSameDtype("addbmm", batch1, self) };
  },
  decompose: ({ self, batch1, batch2, beta, alpha }) => {
    const [b = 1, n = 1, k = 1] = batch1.shape;
    const p = batch2.shape[2] ?? 1;
    const product = batch1.permute([1, 0, 2]).reshape([n, sizeProd([b, k])]).mm(batch2.reshape([sizeProd([b, k]), p]));
    return affine(self, product, beta, alpha);
  },
  samples: (g) => [
    { args: { self: g.tensor([3, 5]), batch1: g.tensor([2, 3, 4]), batch2: g.tensor([2, 4, 5]), beta: 2, alpha: 3 } },
  ],
});

defineOp({
  schema: "aten::addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
  doc: "beta × self + alpha × (mat @ vec).",
  inplace: true,
  meta: ({ self, mat, vec }) => {
    checkRank("addmv", "mat", mat, 2);
    checkRank("addmv", "vec", vec, 1);
    const shape = matmulShape("addmv", mat.shape, vec.shape);
    checkSameDtype("addmv", mat, vec);
    checkBroadcastsTo("addmv", self, shape);
    return { shape, dtype: checkSameDtype("addmv", mat, self) };
  },
  decompose: ({ self, mat, vec, beta, alpha }) => affine(self, unrounded(mat, vec, (a, b) => a.mv(b)), beta, alpha),
  samples: (g) => [{ args: { self: g.tensor([3]), mat: g.tensor([3, 4]), vec: g.tensor([4]), beta: 2, alpha: 3 } }],
});

defineOp({
  schema: "aten::addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
  doc: "beta × self + alpha × the outer product of two vectors.",
  inplace: true,
  meta: ({ self, vec1, vec2 }) => {
    checkRank("addr", "vec1", vec1, 1);
    checkRank("addr", "vec2", vec2, 1);
    const shape = [...vec1.shape, ...vec2.shape];
    checkBroadcastsTo("addr", self, shape);
    return { shape, dtype: promotedDtype("addr", [self, vec1, vec2].map(promotionOperand), "default") };
  },
  decompose: ({ self, vec1, vec2, beta, alpha }) => {
    const rank = self.ndim === 0 ? "zeroDim" : "tensor";
    const vectors = [vec1, vec2].map(({ dtype }) => ({ dtype, rank: "tensor" as const }));
    const dtype = promotedDtype("addr", [{ dtype: self.dtype, rank }, ...vectors], "default");
    const compute = computeType(dtype);
    const product = vec1.to(compute).unsqueeze(1).mul(vec2.to(compute).unsqueeze(0));
    return affine(self.to(dtype), product, beta, alpha);
  },
  samples: (g) => [{ args: { self: g.tensor([3, 4]), vec1: g.tensor([3]), vec2: g.tensor([4]), beta: 2, alpha: 3 } }],
});

defineOp({
  schema: "aten::outer(Tensor self, Tensor vec2) -> Tensor",
  doc: "The outer product of two vectors.",
  meta: ({ self, vec2 }) => {
    checkRank("outer", "self", self, 1);
    checkRank("outer", "vec2", vec2, 1);
    return {
      shape: [...self.shape, ...vec2.shape],
      dtype: promotedDtype("outer", [self, vec2].map(promotionOperand), "default"),
    };
  },
  decompose: ({ self, vec2 }) => self.unsqueeze(1).mul(vec2.unsqueeze(0)),
  samples: (g) => [{ args: { self: g.tensor([3]), vec2: g.tensor([4]) } }],
});
