/**
 * Scatters along a dimension: scatter, scatter_add, scatter_reduce, index_add, index_copy, index_fill, index_reduce.
 *
 * All are one loop form: a copy of self into which values are combined at indirect positions. What a mean or a product needs beyond
 * that is written with other operators. Mirrors ATen's ScatterGatherKernel.cpp and the formulas of derivatives.yaml.
 */
import { bool, int32, int64, normalizeAxis } from "../core/mod.ts";
import { type CombineOp, type LoopInput, type LoopNode, ops, pointwise, scatter, type Value } from "../loops/mod.ts";
import { asExpr, type Expr, shapeToText, type Size, sizeEq, sizeLe } from "../symbolic/mod.ts";
import type { Scalar } from "../graph/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import { checkFits } from "./scalars.ts";
import { onlyElement } from "./only_element.ts";
import type { SampleGenerator, TensorSample } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** Checks an index tensor's dtype. @throws {TypeError} */
export function checkIndexDtype(where: string, index: { readonly dtype: MetaInput["dtype"] }): void {
  if (index.dtype !== int64 && index.dtype !== int32) {
    throw new TypeError(`${where}: index must be int64, got ${index.dtype.name}; convert with .to(int64)`);
  }
}

/** Checks `index` against self and src, as gather and scatter need them. */
function scatterSpec(where: string, self: MetaInput, dim: Size, index: MetaInput, src: MetaInput | null): TensorSpec {
  const rank = Math.max(self.shape.length, 1);
  const axis = normalizeAxis(Number(dim), self.shape.length, where);
  checkIndexDtype(where, index);
  const spec = { shape: self.shape, dtype: self.dtype };
  if (index.shape.some((s) => s === 0)) return spec;
  const ranks = [Math.max(index.shape.length, 1), src === null ? rank : Math.max(src.shape.length, 1)];
  const text = (): string =>
    `self ${shapeToText(self.shape)}, index ${shapeToText(index.shape)}${
      src === null ? "" : `, src ${shapeToText(src.shape)}`
    }, dim ${axis}`;
  if (ranks.some((r) => r !== rank)) {
    throw new TypeError(`${where}: all tensors must have as many dimensions: ${text()}`);
  }
  index.shape.forEach((size, d) => {
    if (d !== axis && !sizeLe(size, self.shape[d] ?? 1)) {
      throw new TypeError(`${where}: index is larger than self in dimension ${d}: ${text()}`);
    }
    if (src !== null && !sizeLe(size, src.shape[d] ?? 1)) {
      throw new TypeError(`${where}: index is larger than src in dimension ${d}: ${text()}`);
    }
  });
  if (src !== null && src.dtype !== self.dtype) {
    throw new TypeError(`${where}: src is ${src.dtype.name}, self is ${self.dtype.name}: convert one first`);
  }
  return spec;
}

/** Scatters `value` at the positions that `index` names along `axis`. */
function scatterLoop(
  op: CombineOp,
  self: LoopInput,
  dim: Size,
  index: LoopInput,
  value: (at: readonly Expr[]) => Value,
): LoopNode {
  const axis = normalizeAxis(Number(dim), self.shape.length, "scatter");
  // An index without elements may have any number of dimensions: nothing can be addressed, and nothing is written.
  if (index.shape.some((size) => size.kind === "const" && size.value === 0)) {
    return pointwise(self.shape, (at) => self.load(at));
  }
  return scatter(op, self, index.shape, (at) => {
    const position = ops.indirect(ops.cast(index.load(at), int64), self.shape[axis] ?? asExpr(1));
    if (self.shape.length === 0) return { target: [], value: onlyElement(ops.cast(value(at), self.dtype), position) };
    // An index of no dimensions goes into a vector.
    const target = at.length < self.shape.length ? [position] : at.map((e, d) => d === axis ? position : e);
    return { target, value: ops.cast(value(at), self.dtype) };
  });
}

/** A plain number as a value of a dtype. */
function scalarValue(value: Scalar, dtype: LoopInput["dtype"]): Value {
  return ops.constant(typeof value === "bigint" || typeof value === "boolean" ? value : Number(value), dtype);
}

/** The gradient of a scatter by its source: gathered, and zero where src is larger than index. */
function sourceGrad(grad: TensorValue, dim: Size, index: TensorValue, src: TensorValue): TensorValue {
  const picked = grad.gather(dim, index);
  if (src.shape.every((s, d) => sizeEq(s, index.shape[d] ?? 1))) return picked;
  const missing = src.shape.map((s, d) => Number(s) - Number(index.shape[d] ?? 1));
  return picked.constantPadNd([...missing].reverse().flatMap((m) => [0, m]), 0);
}

/** Distinct positions along dimension 0, so that the result does not depend on the order of writes. */
function permutation(g: SampleGenerator): TensorSample {
  return g.tensor([2, 3], { dtype: int64, values: [0, 3, 1, 2, 0, 3], requiresGrad: false });
}

defineOp({
  schema: "aten::scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
  doc: "self with a number written at the positions that index names along dim.",
  inplace: true,
  meta: ({ self, dim, index }) => scatterSpec("scatter", self, dim, index, null),
  loop: ({ self, dim, index, value }) => scatterLoop("set", self, dim, index, () => scalarValue(value, self.dtype)),
  vjp: ({ dim, index }, { grad }) => ({ self: () => grad.scatter(dim, index, 0) }),
  samples: (g) => [{ args: { self: g.tensor([4, 3]), dim: 0, index: permutation(g), value: 2 } }],
});

defineOp({
  schema: "aten::scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor",
  doc: "self with elements of src written at the positions that index names along dim.",
  inplace: true,
  meta: ({ self, dim, index, src }) => scatterSpec("scatter", self, dim, index, src),
  loop: ({ self, dim, index, src }) => scatterLoop("set", self, dim, index, (at) => src.load(at)),
  vjp: ({ dim, index, src }, { grad }) => ({
    self: () => grad.scatter(dim, index, 0),
    src: () => sourceGrad(grad, dim, index, src),
  }),
  samples: (g) => [{ args: { self: g.tensor([4, 3]), dim: 0, index: permutation(g), src: g.tensor([2, 3]) } }],
});

defineOp({
  schema: "aten::scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor",
  doc: "self with elements of src added at the positions that index names along dim.",
  inplace: true,
  meta: ({ self, dim, index, src }) => scatterSpec("scatter_add", self, dim, index, src),
  loop: ({ self, dim, index, src }) => scatterLoop("sum", self, dim, index, (at) => src.load(at)),
  vjp: ({ dim, index, src }, { grad }) => ({ self: () => grad, src: () => sourceGrad(grad, dim, index, src) }),
  samples: (g) => [
    { args: { self: g.tensor([4, 3]), dim: 0, index: g.indices([5, 3], 4), src: g.tensor([5, 3]) } },
    {
      name: "larger source",
      args: { self: g.tensor([4, 3]), dim: 1, index: g.indices([3, 2], 3), src: g.tensor([5, 3]) },
    },
  ],
});

const COMBINE: Readonly<Record<string, CombineOp>> = { prod: "prod", amax: "max", amin: "min", sum: "sum" };

defineOp({
  schema: "tessera::scatter_combine(Tensor input, int dim, Tensor index, Tensor src, str reduce) -> Tensor",
  doc: "Combines elements of src into input by sum, prod, amax or amin; without gradient.",
  meta: ({ input, dim, index, src, reduce }) => {
    if (COMBINE[reduce] === undefined) throw new RangeError(`scatter_combine: cannot reduce by "${reduce}"`);
    return scatterSpec("scatter_reduce", input, dim, index, src);
  },
  loop: ({ input, dim, index, src, reduce }) =>
    scatterLoop(COMBINE[reduce] ?? "sum", input, dim, index, (at) => src.load(at)),
  samples: (g) =>
    ["prod", "amax", "amin"].map((reduce) => ({
      args: { input: g.tensor([4, 3]), dim: 0, index: g.indices([5, 3], 4), src: g.tensor([5, 3]), reduce },
      differentiate: false,
    })),
});

/** What leaves a combination unchanged, for a dtype. */
function identityOf(reduce: string, self: TensorValue): number | bigint {
  if (reduce === "prod") return 1;
  if (self.dtype === int64 && reduce.startsWith("am")) return reduce === "amax" ? -(2n ** 63n) : 2n ** 63n - 1n;
  if (reduce === "amax") return self.dtype.isFloat ? -Infinity : self.dtype.min;
  if (reduce === "amin") return self.dtype.isFloat ? Infinity : self.dtype.max;
  return 0;
}

interface ReduceArgs {
  readonly self: TensorValue;
  readonly dim: Size;
  readonly index: TensorValue;
  readonly src: TensorValue;
  readonly reduce: string;
  readonly includeSelf: boolean;
}

/** The number of elements that each position combines, at least 1. */
function combinedCount({ self, dim, index, includeSelf }: ReduceArgs): TensorValue {
  const start = self.detach().newFull(self.shape, includeSelf ? 1 : 0);
  return start.scatterAdd(dim, index, start.newOnes(index.shape)).clampMin(1);
}

defineOp({
  schema:
    "aten::scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor",
  doc: "Combines elements of src into self by sum, prod, mean, amax or amin; without include_self from nothing.",
  inplace: true,
  meta: ({ self, dim, index, src, reduce }) => {
    if (reduce !== "mean" && COMBINE[reduce] === undefined) {
      throw new RangeError(`scatter_reduce: reduce must be sum, prod, mean, amax or amin, got "${reduce}"`);
    }
    if (self.dtype === bool && reduce === "mean") {
      throw new TypeError("scatter_reduce: a mean needs numbers, got bool; convert with .to(int64)");
    }
    return scatterSpec("scatter_reduce", self, dim, index, src);
  },
  decompose: (args, F) => {
    const { self, dim, index, src, reduce, includeSelf } = args;
    const base = includeSelf ? self : self.scatter(dim, index, identityOf(reduce, self));
    if (reduce === "sum") return base.scatterAdd(dim, index, src);
    if (reduce !== "mean") return F.scatterCombine(base, dim, index, src, reduce);
    const sum = base.scatterAdd(dim, index, src);
    const count = combinedCount(args);
    return self.dtype.isFloat ? sum.div(count) : sum.div(count, { roundingMode: "floor" });
  },
  vjp: (args, { grad, out, F }) => {
    const { self, dim, index, src, reduce, includeSelf } = args;
    const untouched = (g: TensorValue): TensorValue => includeSelf ? g : g.scatter(dim, index, 0);
    switch (reduce) {
      case "sum":
        return { self: () => untouched(grad), src: () => sourceGrad(grad, dim, index, src) };
      case "mean":
        return {
          self: () => untouched(grad.div(combinedCount(args))),
          src: () => sourceGrad(grad.div(combinedCount(args)), dim, index, src),
        };
      case "prod":
        return {
          self: () => {
            const masked = self.maskedFill(self.eq(0), 1);
            const others = masked.scatterReduce(dim, index, src, "prod", { includeSelf });
            return untouched(grad.mul(others).div(masked));
          },
          src: () => {
            const isZero = src.eq(0);
            const zeros = self.zerosLike().scatterAdd(dim, index, isZero.to(self.dtype));
            const isOnlyZero = isZero.logicalAnd(zeros.gather(dim, index).eq(1));
            const withoutZero = self.scatterReduce(dim, index, src.maskedFill(isOnlyZero, 1), "prod", { includeSelf });
            const byOthers = sourceGrad(grad.mul(withoutZero), dim, index, src);
            const byDivision = sourceGrad(grad.mul(out), dim, index, src).div(src.maskedFill(isZero, 1));
            return F.where(isOnlyZero, byOthers, byDivision);
          },
        };
      default: {
        // Equal winners share the gradient.
        const srcWins = (): TensorValue => src.eq(out.gather(dim, index)).to(grad.dtype);
        const selfWins = (): TensorValue => untouched(self.eq(out).to(grad.dtype));
        const share = (): TensorValue => grad.div(selfWins().scatterAdd(dim, index, srcWins()).clampMin(1));
        return {
          self: () => includeSelf ? selfWins().mul(share()) : untouched(grad),
          src: () => srcWins().mul(share().gather(dim, index)),
        };
      }
    }
  },
  samples: (g) =>
    ["sum", "prod", "mean", "amax", "amin"].flatMap((reduce) =>
      [true, false].map((includeSelf) => ({
        args: {
          self: g.tensor([4, 3]),
          dim: 0,
          index: g.indices([5, 3], 4),
          src: g.tensor([5, 3]),
          reduce,
          includeSelf,
        },
      }))
    ),
});

/** Names that scatter.reduce uses. */
function oldReduce(reduce: string): string {
  if (reduce === "add") return "sum";
  if (reduce === "multiply") return "prod";
  throw new RangeError(`scatter: reduce must be "add" or "multiply", got "${reduce}"`);
}

defineOp({
  schema: "aten::scatter.reduce(Tensor self, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor",
  doc: "Combines elements of src into self by addition or multiplication.",
  inplace: true,
  meta: ({ self, dim, index, src, reduce }) => {
    oldReduce(reduce);
    return scatterSpec("scatter", self, dim, index, src);
  },
  decompose: ({ self, dim, index, src, reduce }) => self.scatterReduce(dim, index, src, oldReduce(reduce)),
  samples: (g) =>
    ["add", "multiply"].map((reduce) => ({
      args: { self: g.tensor([4, 3]), dim: 0, index: g.indices([5, 3], 4), src: g.tensor([5, 3]), reduce },
    })),
});

defineOp({
  schema: "aten::scatter.value_reduce(Tensor self, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor",
  doc: "Combines a number into self by addition or multiplication.",
  inplace: true,
  meta: ({ self, dim, index, reduce }) => {
    oldReduce(reduce);
    return scatterSpec("scatter", self, dim, index, null);
  },
  decompose: ({ self, dim, index, value, reduce }) =>
    self.scatterReduce(dim, index, self.detach().newFull(index.shape, value), oldReduce(reduce)),
  samples: (g) => [
    { args: { self: g.tensor([4, 3]), dim: 0, index: g.indices([5, 3], 4), value: 2, reduce: "multiply" } },
  ],
});

/** Checks `index` (one dimension, or a scalar) and a source that has its length along dim. */
function indexSpec(where: string, self: MetaInput, dim: Size, index: MetaInput, source: MetaInput | null): TensorSpec {
  const axis = normalizeAxis(Number(dim), self.shape.length, where);
  checkIndexDtype(where, index);
  if (where === "index_fill" && index.dtype !== int64) {
    throw new TypeError(`index_fill: index must be int64, got ${index.dtype.name}; convert with .to(int64)`);
  }
  const text = `self ${shapeToText(self.shape)}, index ${shapeToText(index.shape)}`;
  if (index.shape.length > 1) throw new TypeError(`${where}: index must have one dimension: ${text}`);
  if (source !== null) {
    const length = index.shape[0] ?? 1;
    const expected = self.shape.map((s, d) => d === axis ? length : s);
    const fits = source.shape.length === self.shape.length
      ? expected.every((s, d) => sizeEq(s, source.shape[d] ?? 1)) && (expected.length > 0 || sizeEq(length, 1))
      : source.shape.length === 0 && self.shape.length === 1 && sizeEq(length, 1);
    // A 0-dim self is written from a vector by index_copy alone.
    const isVector = where === "index_copy" && source.shape.length === 1 && self.shape.length === 0 &&
      sizeEq(source.shape[0] ?? 1, length);
    const isScalarRow = (where === "index_reduce" || where === "index_add") &&
      source.shape.length !== self.shape.length;
    if ((!fits && !isVector) || isScalarRow) {
      throw new TypeError(
        `${where}: source ${shapeToText(source.shape)} must be ${shapeToText(expected)} for ${text} and dim ${axis}`,
      );
    }
    if (source.dtype !== self.dtype) {
      throw new TypeError(`${where}: source is ${source.dtype.name}, self is ${self.dtype.name}: convert one first`);
    }
  }
  return { shape: self.shape, dtype: self.dtype };
}

/** Combines along `axis` at the positions of a one-dimensional index. */
function indexLoop(
  op: CombineOp,
  self: LoopInput,
  dim: Size,
  index: LoopInput,
  value: (at: readonly Expr[]) => Value,
  options?: { readonly fromEnd: boolean },
): LoopNode {
  const axis = normalizeAxis(Number(dim), self.shape.length, "index");
  const length = index.shape[0] ?? asExpr(1);
  const shape = self.shape.length === 0 ? [length] : self.shape.map((s, d) => d === axis ? length : s);
  return scatter(op, self, shape, (at) => {
    const row = ops.cast(index.load(index.shape.length === 0 ? [] : [at[axis] ?? asExpr(0)]), int64);
    const position = ops.indirect(row, self.shape[axis] ?? asExpr(1), options);
    if (self.shape.length === 0) return { target: [], value: onlyElement(ops.cast(value(at), self.dtype), position) };
    const target = at.map((e, d) => d === axis ? position : e);
    return { target, value: ops.cast(value(at), self.dtype) };
  });
}

/** The element of a source that may be a scalar. */
function sourceAt(source: LoopInput, at: readonly Expr[]): Value {
  return source.load(source.shape.length === 0 ? [] : at);
}

/** Rows of a gradient, in the shape of the source. */
function rowsGrad(grad: TensorValue, dim: Size, index: TensorValue, source: TensorValue): TensorValue {
  return grad.indexSelect(dim, index).reshape(source.shape);
}

defineOp({
  schema: "aten::index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor",
  doc: "self with alpha times slices of source added at the positions of index along dim.",
  inplace: true,
  meta: ({ self, dim, index, source }) => indexSpec("index_add", self, dim, index, source),
  loop: ({ self, dim, index, source, alpha }) =>
    indexLoop("sum", self, dim, index, (at) => {
      const value = sourceAt(source, at);
      return ops.mul(value, scalarValue(alpha, value.dtype));
    }),
  vjp: ({ dim, index, source, alpha }, { grad }) => ({
    self: () => grad,
    source: () => rowsGrad(grad, dim, index, source).mul(alpha),
  }),
  samples: (g) => [
    { args: { self: g.tensor([4, 3]), dim: 0, index: g.indices([5], 4), source: g.tensor([5, 3]), alpha: 2 } },
  ],
});

defineOp({
  schema: "aten::index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor",
  doc: "self with slices of source written at the positions of index along dim.",
  inplace: true,
  meta: ({ self, dim, index, source }) => indexSpec("index_copy", self, dim, index, source),
  loop: ({ self, dim, index, source }) => indexLoop("set", self, dim, index, (at) => sourceAt(source, at)),
  vjp: ({ dim, index, source }, { grad }) => ({
    self: () => grad.indexFill(dim, index, 0),
    source: () => rowsGrad(grad, dim, index, source),
  }),
  samples: (g) => [
    {
      args: {
        self: g.tensor([3, 4]),
        dim: 1,
        index: g.tensor([2], { dtype: int64, values: [3, 1], requiresGrad: false }),
        source: g.tensor([3, 2]),
      },
    },
  ],
});

defineOp({
  schema: "aten::index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
  doc: "self with a number written at the positions of index along dim.",
  inplace: true,
  meta: ({ self, dim, index, value }) => {
    checkFits("index_fill", "value", value, self.dtype);
    return indexSpec("index_fill", self, dim, index, null);
  },
  loop: ({ self, dim, index, value }) =>
    indexLoop("set", self, dim, index, () => scalarValue(value, self.dtype), { fromEnd: true }),
  vjp: ({ dim, index }, { grad }) => ({ self: () => grad.indexFill(dim, index, 0) }),
  samples: (g) => [{ args: { self: g.tensor([3, 4]), dim: 1, index: g.indices([2], 4), value: 2 } }],
});

defineOp({
  schema: "aten::index_fill.int_Tensor(Tensor self, int dim, Tensor index, Tensor value) -> Tensor",
  doc: "self with a tensor of one element written at the positions of index along dim.",
  inplace: true,
  meta: ({ self, dim, index, value }) => {
    if (value.shape.length !== 0) {
      throw new TypeError(`index_fill: value must have no dimensions, got ${shapeToText(value.shape)}`);
    }
    return indexSpec("index_fill", self, dim, index, null);
  },
  loop: ({ self, dim, index, value }) => indexLoop("set", self, dim, index, () => value.load([]), { fromEnd: true }),
  vjp: ({ dim, index }, { grad }) => ({
    self: () => grad.indexFill(dim, index, 0),
    // What is no more in the gradient of self; a position named twice counts once.
    value: () => grad.sub(grad.indexFill(dim, index, 0)).sum(),
  }),
  samples: (g) => [
    {
      args: {
        self: g.tensor([3, 4]),
        dim: 1,
        index: g.tensor([2], { dtype: int64, values: [3, 1], requiresGrad: false }),
        value: g.tensor([]),
      },
    },
  ],
});

defineOp({
  schema:
    "aten::index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor",
  doc: "Combines slices of source into self by prod, mean, amax or amin.",
  inplace: true,
  meta: ({ self, dim, index, source, reduce }) => {
    if (!["prod", "mean", "amax", "amin"].includes(reduce)) {
      throw new RangeError(`index_reduce: reduce must be prod, mean, amax or amin, got "${reduce}"`);
    }
    if (self.dtype === bool && reduce === "mean") {
      throw new TypeError("index_reduce: a mean needs numbers, got bool; convert with .to(int64)");
    }
    return indexSpec("index_reduce", self, dim, index, source);
  },
  decompose: ({ self, dim, index, source, reduce, includeSelf }) => {
    if (self.ndim === 0) {
      const one = self.reshape([1]).indexReduce(0, index.reshape([-1]), source.reshape([-1]), reduce, { includeSelf });
      return one.reshape([]);
    }
    const axis = normalizeAxis(Number(dim), self.ndim, "index_reduce");
    const src = source.ndim === 0 ? source.reshape([1]) : source;
    const at = index.reshape(self.shape.map((_, d) => d === axis ? index.shape[0] ?? 1 : 1)).expand(src.shape);
    return self.scatterReduce(axis, at, src, reduce, { includeSelf });
  },
  samples: (g) =>
    ["prod", "mean", "amax"].map((reduce) => ({
      args: { self: g.tensor([4, 3]), dim: 0, index: g.indices([5], 4), source: g.tensor([5, 3]), reduce },
    })),
});
