/**
 * Reductions: sums, products, extrema, truth over all dimensions or some.
 *
 * A reduction is a combining operation, the value it combines and the dtype it accumulates in (float32 for half types); shapes, axes and
 * `keepdim` are the same for all. NaN wins in extrema, and the first of equals in arg-extrema. Mirrors `ReduceOps.cpp` of ATen.
 */
import { bool, computeType, type DType, int64, uint8 } from "../core/mod.ts";
import { type LoopInput, type LoopNode, ops, reduction, type ReductionOp, type Value } from "../loops/mod.ts";
import { sameShape, shapeToText, type Size, sizeEq, sizeIsOne, sizeIsZero, sizeProd } from "../symbolic/mod.ts";
import { axisOf, operatorName, pointwiseSpec, reducedShape, reductionAxes, reductionIndex } from "./combinators.ts";
import { defineOp, type Definition, type MetaInput, type Operator, type TensorSpec } from "./define.ts";
import { castGrad, restoreDims } from "./gradient.ts";
import type { SampleGenerator } from "./samples.ts";
import { reductionSamples } from "./sample_sets.ts";
import type { TensorValue } from "./value.ts";

/** The arguments that reductions have in common; what a schema lacks is undefined. */
interface ReductionArgs {
  readonly dim?: Size | readonly Size[] | null;
  readonly keepdim?: boolean;
  readonly dtype?: DType | null;
}

/** A reduction over `self`. */
export interface ReductionDefinition<S extends string> extends Pick<Definition<S>, "schema" | "doc" | "samples"> {
  readonly op: ReductionOp;
  /** The result's dtype. */
  readonly dtype: (input: DType, args: ReductionArgs) => DType;
  /** The type in which elements are combined; default float32 for half results, else the result's. */
  readonly accumulate?: (result: DType, input: DType) => DType;
  /** What is combined, from an element cast to the type of accumulation. */
  readonly body?: (x: Value) => Value;
  /** True if there is no result for no elements (extrema). */
  readonly needsElements?: boolean;
  readonly vjp?: NonNullable<Definition<S>["vjp"]>;
  readonly check?: (input: MetaInput) => void;
}

const argsOf = (args: object): ReductionArgs => args;

/** The reduced axes of a call. */
export function axesOf(where: string, args: object, rank: number): number[] {
  return reductionAxes(where, argsOf(args).dim ?? null, rank);
}

/** Defines a reduction. */
function defineReduction<const S extends string>(definition: ReductionDefinition<S>): Operator {
  const { schema, doc, samples, op, dtype, accumulate, body, needsElements = false, vjp, check } = definition;
  const where = operatorName(schema);
  const common = {
    schema,
    doc,
    samples,
    meta: (args: { readonly self: MetaInput }): TensorSpec => {
      const { self } = args;
      check?.(self);
      const axes = axesOf(where, args, self.shape.length);
      if (needsElements && axes.some((axis) => sizeIsZero(self.shape[axis] ?? 1))) {
        throw new RangeError(
          `${where}: ${shapeToText(self.shape)} has no elements to choose from along dimension ${axes.join(", ")}`,
        );
      }
      return {
        shape: reducedShape(self.shape, axes, argsOf(args).keepdim ?? false),
        dtype: dtype(self.dtype, argsOf(args)),
      };
    },
    loop: (
      args: { readonly self: LoopInput },
      out: { readonly shape: readonly Size[]; readonly dtype: DType },
    ): LoopNode => {
      const { self } = args;
      const rank = self.shape.length;
      const axes = axesOf(where, args, rank);
      const keepdim = argsOf(args).keepdim ?? false;
      const type = accumulate?.(out.dtype, self.dtype) ?? computeType(out.dtype);
      const extents = axes.flatMap((axis) => self.shape[axis] ?? []);
      return reduction(op, out.shape, extents, (index, reduceIndex) => {
        const x = ops.cast(self.load(reductionIndex(rank, axes, keepdim, index, reduceIndex)), type);
        return body?.(x) ?? x;
      }, out.dtype);
    },
    ...(vjp === undefined ? {} : { vjp }),
  };
  return defineOp(common as unknown as Definition<S>);
}

/** The dtype of sums and products: as asked, else int64 for integers. */
function sumDtype(input: DType, { dtype }: ReductionArgs): DType {
  return dtype ?? (input.isIntegral ? int64 : input);
}

/** A reduced gradient spread over the operand, or a reduced result aligned with it. */
function spread(where: string, reduced: TensorValue, self: TensorValue, args: object): TensorValue {
  return restoreDims(reduced, self.shape, axesOf(where, args, self.ndim), argsOf(args).keepdim ?? false);
}

const SUM_SCHEMAS = [
  "aten::sum(Tensor self, *, ScalarType? dtype=None) -> Tensor",
  "aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
] as const;

for (const schema of SUM_SCHEMAS) {
  const dims = schema.includes("dim") && schema.includes("keepdim");
  defineReduction({
    schema,
    doc: dims
      ? "The sum over dimensions; integers sum up in int64."
      : "The sum of all elements; integers sum up in int64.",
    op: "sum",
    dtype: sumDtype,
    vjp: (args, { grad }) => ({
      self: () => castGrad(spread("sum", grad, args.self, args).expand(args.self.shape), args.self),
    }),
    samples: (g) => reductionSamples(g, dims ? { dims: [1, [0, -1], []] } : {}),
  });
}

const NANSUM_SCHEMA =
  "aten::nansum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
defineReduction({
  schema: NANSUM_SCHEMA,
  doc: "The sum over dimensions, NaN counted as 0.",
  op: "sum",
  dtype: sumDtype,
  body: (x) => x.dtype.isFloat ? ops.where(ops.isnan(x), 0, x) : x,
  vjp: (args, { grad }) => ({
    self: () => castGrad(spread("nansum", grad, args.self, args).mul(args.self.isnan().logicalNot()), args.self),
  }),
  samples: (g) => reductionSamples(g, { dims: [1, [0, -1]] }),
});

/** The number of elements that reducing `axes` combines. */
export function reducedCount(shape: readonly Size[], axes: readonly number[]): Size {
  return sizeProd(axes.map((axis) => shape[axis] ?? 1));
}

function meanDtype(input: DType, args: ReductionArgs): DType {
  const dtype = args.dtype ?? input;
  if (!dtype.isFloat) {
    throw new TypeError(
      `mean: needs floating point numbers, got ${dtype.name}; pass dtype or convert with .to(float32)`,
    );
  }
  return dtype;
}

const MEAN_SCHEMAS = [
  "aten::mean(Tensor self, *, ScalarType? dtype=None) -> Tensor",
  "aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
] as const;

for (const schema of MEAN_SCHEMAS) {
  const dims = schema.includes("keepdim");
  defineOp({
    schema: schema as typeof MEAN_SCHEMAS[0],
    doc: dims ? "The mean over dimensions." : "The mean of all elements.",
    meta: (args) => ({
      shape: reducedShape(args.self.shape, axesOf("mean", args, args.self.shape.length), argsOf(args).keepdim ?? false),
      dtype: meanDtype(args.self.dtype, args),
    }),
    decompose: (args) => {
      const { self } = args;
      const axes = axesOf("mean", args, self.ndim);
      const dtype = meanDtype(self.dtype, args);
      const sum = self.sum(axes, argsOf(args).keepdim ?? false, { dtype: computeType(dtype) });
      const mean = sum.div(reducedCount(self.shape, axes));
      return mean.dtype === dtype ? mean : mean.to(dtype);
    },
    vjp: (args, { grad }) => ({
      self: () => {
        const { self } = args;
        const count = reducedCount(self.shape, axesOf("mean", args, self.ndim));
        return castGrad(spread("mean", grad, self, args).expand(self.shape), self).div(count);
      },
    }),
    samples: (g) => g.dtype.isFloat ? reductionSamples(g, dims ? { dims: [1, [0, -1]] } : {}) : [],
  });
}

const PROD_SCHEMAS = [
  "aten::prod(Tensor self, *, ScalarType? dtype=None) -> Tensor",
  "aten::prod.dim_int(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
] as const;

for (const schema of PROD_SCHEMAS) {
  const dims = schema.includes("keepdim");
  defineReduction({
    schema,
    doc: dims ? "The product over a dimension." : "The product of all elements.",
    op: "prod",
    dtype: sumDtype,
    // With one zero only that element has a gradient, the product of the others; with more zeros none has.
    vjp: (args, { grad, out, F }) => ({
      self: () => {
        const { self } = args;
        const axes = axesOf("prod", args, self.ndim);
        const isZero = self.eq(0);
        const zeros = isZero.sum(axes, true);
        let others = F.where(isZero, 1, self);
        for (const axis of axes) others = others.prod(axis, true);
        const g = spread("prod", grad, self, args);
        const whole = g.mul(spread("prod", out, self, args)).div(F.where(isZero, 1, self));
        const single = F.where(isZero.logicalAnd(zeros.eq(1)), g.mul(others), 0);
        return castGrad(F.where(zeros.eq(0), whole, single), self);
      },
    }),
    samples: (g) => [
      ...reductionSamples(g, dims ? { dims: [1, -1] } : {}),
      {
        name: "zeros",
        args: { self: g.tensor([2, 3], { values: [1, 0, 2, 3, 0, 0] }), ...(dims ? { dim: 1 } : {}) },
        differentiate: false,
      },
    ],
  });
}

/** Extrema share the gradient equally among equals. */
function extremumGrad(
  where: string,
  args: { readonly self: TensorValue },
  out: TensorValue,
  grad: TensorValue,
): TensorValue {
  const { self } = args;
  const axes = axesOf(where, args, self.ndim);
  const chosen = self.eq(spread(where, out, self, args));
  const count = chosen.sum(axes, true);
  return castGrad(spread(where, grad, self, args).div(count).mul(chosen), self);
}

for (const [name, op, word] of [["amax", "max", "largest"], ["amin", "min", "smallest"]] as const) {
  defineReduction({
    schema: `aten::${name}(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor`,
    doc: `The ${word} element over dimensions; NaN if there is one. Equals share the gradient.`,
    op,
    dtype: (input) => input,
    needsElements: true,
    vjp: (args, { grad, out }) => ({ self: () => extremumGrad(name, args, out, grad) }),
    samples: (g) => reductionSamples(g, { dims: [[1], [0, -1], []], empty: false }),
  });
  defineReduction({
    schema: `aten::${op}(Tensor self) -> Tensor`,
    doc: `The ${word} element; NaN if there is one. Equals share the gradient.`,
    op,
    dtype: (input) => input,
    needsElements: true,
    vjp: (args, { grad, out }) => ({ self: () => extremumGrad(op, args, out, grad) }),
    samples: (g) => reductionSamples(g, { empty: false }),
  });
}

for (const [name, word] of [["argmax", "largest"], ["argmin", "smallest"]] as const) {
  defineReduction({
    schema: `aten::${name}(Tensor self, int? dim=None, bool keepdim=False) -> Tensor`,
    doc: `The index of the ${word} element along dim, the first of equals; of the flattened tensor if dim is null.`,
    op: name,
    dtype: () => int64,
    accumulate: (_, input) => computeType(input),
    needsElements: true,
    check: (self) => {
      if (self.dtype === bool) throw new TypeError(`${name}: needs numbers, got bool; convert with .to(uint8)`);
    },
    samples: (g) =>
      g.dtype === bool ? [] : reductionSamples(g, { dims: [1, -1, null], empty: false, differentiate: false }),
  });
}

for (const [name, word] of [["max", "largest"], ["min", "smallest"]] as const) {
  defineOp({
    schema: `aten::${name}.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)`,
    doc: `The ${word} elements along dim and where they stand, the first of equals.`,
    meta: ({ self, dim, keepdim }) => {
      const axis = axisOf(name, dim, self.shape.length);
      if (sizeIsZero(self.shape[axis] ?? 1)) {
        throw new RangeError(`${name}: dimension ${axis} of ${shapeToText(self.shape)} has no elements to choose from`);
      }
      const shape = self.shape.length === 0 ? [] : reducedShape(self.shape, [axis], keepdim);
      return [{ shape, dtype: self.dtype }, { shape, dtype: int64 }];
    },
    decompose: ({ self, dim, keepdim }) => {
      const values = name === "max" ? self.amax([dim], keepdim) : self.amin([dim], keepdim);
      const keys = self.dtype === bool ? self.to(uint8) : self;
      return [values, name === "max" ? keys.argmax(dim, keepdim) : keys.argmin(dim, keepdim)];
    },
    vjp: ({ self, dim, keepdim }, { grad, outs, F }) => ({
      self: () => {
        const indices = outs[1];
        if (self.ndim === 0 || indices === undefined) return grad;
        const axis = axisOf(name, dim, self.ndim);
        const along = self.shape.map((size, i) => i === axis ? size : 1);
        const positions = F.arange(self.shape[axis] ?? 1, { device: self.device }).view(along);
        const chosen = positions.eq(restoreDims(indices, self.shape, [axis], keepdim));
        return F.where(chosen, restoreDims(grad, self.shape, [axis], keepdim), 0);
      },
    }),
    samples: (g) => reductionSamples(g, { dims: [1, -1], empty: false }),
  });
  defineOp({
    schema: `aten::${name}.other(Tensor self, Tensor other) -> Tensor`,
    doc: `The ${word} of self and other, element by element.`,
    meta: ({ self, other }) => pointwiseSpec(name, [self, other], "default"),
    decompose: ({ self, other }) => name === "max" ? self.maximum(other) : self.minimum(other),
    samples: (g: SampleGenerator) => [{ args: { self: g.tensor([3, 4]), other: g.tensor([4]) } }],
  });
}

defineOp({
  schema: "aten::aminmax(Tensor self, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)",
  doc: "The smallest and the largest element.",
  meta: ({ self, dim, keepdim }) => {
    const axes = reductionAxes("aminmax", dim, self.shape.length);
    if (axes.some((axis) => sizeIsZero(self.shape[axis] ?? 1))) {
      throw new RangeError(`aminmax: ${shapeToText(self.shape)} has no elements to choose from`);
    }
    const spec = { shape: reducedShape(self.shape, axes, keepdim), dtype: self.dtype };
    return [spec, spec];
  },
  decompose: ({ self, dim, keepdim }) => {
    const dims = dim === null ? [] : [dim];
    return [self.amin(dims, keepdim), self.amax(dims, keepdim)];
  },
  samples: (g) => [
    { args: { self: g.tensor([3, 4]) } },
    { name: "dim", args: { self: g.tensor([3, 4]), dim: 1, keepdim: true } },
  ],
});

/** PyTorch keeps uint8 in `any` and `all`, from the days before bool. */
const truthDtype = (input: DType): DType => input === uint8 ? uint8 : bool;

const TRUTH_DIMS = [
  ["", "(Tensor self)"],
  [".dim", "(Tensor self, int dim, bool keepdim=False)"],
  [".dims", "(Tensor self, int[]? dim=None, bool keepdim=False)"],
] as const;

for (const [overload, parameters] of TRUTH_DIMS) {
  const dims = overload === ".dim" ? [1, -1] : overload === ".dims" ? [[0, 1], [-1]] : [];
  defineReduction({
    schema: `aten::any${overload}${parameters} -> Tensor` as "aten::any(Tensor self) -> Tensor",
    doc: "Whether any element is not 0.",
    op: "any",
    dtype: truthDtype,
    accumulate: () => bool,
    samples: (g) => reductionSamples(g, { dims, differentiate: false }),
  });
  defineOp({
    schema: `aten::all${overload}${parameters} -> Tensor` as "aten::all(Tensor self) -> Tensor",
    doc: "Whether all elements are not 0.",
    meta: (args) => ({
      shape: reducedShape(args.self.shape, axesOf("all", args, args.self.shape.length), argsOf(args).keepdim ?? false),
      dtype: truthDtype(args.self.dtype),
    }),
    decompose: ({ self, ...args }, F) => {
      const none = F.any(self.logicalNot(), axesOf("all", args, self.ndim), argsOf(args).keepdim ?? false);
      const all = none.logicalNot();
      return self.dtype === uint8 ? all.to(uint8) : all;
    },
    samples: (g) => reductionSamples(g, { dims, differentiate: false }),
  });
}

const COUNT_SCHEMAS = [
  "aten::count_nonzero(Tensor self, int? dim=None) -> Tensor",
  "aten::count_nonzero.dim_IntList(Tensor self, int[] dim) -> Tensor",
] as const;

for (const schema of COUNT_SCHEMAS) {
  defineReduction({
    schema,
    doc: "How many elements are not 0.",
    op: "sum",
    dtype: () => int64,
    accumulate: () => bool,
    body: (x) => ops.cast(x, int64),
    samples: (g) =>
      reductionSamples(g, {
        dims: schema === COUNT_SCHEMAS[0] ? [1, null] : [[0, 1]],
        keepdim: false,
        differentiate: false,
      }),
  });
}

defineOp({
  schema: "aten::sum_to_size(Tensor self, SymInt[] size) -> Tensor",
  doc:
    "self summed over the dimensions along which a tensor of the given size was broadcast to it: undoes broadcasting.",
  meta: ({ self, size }) => {
    summedAxes(self.shape, size);
    return {
      shape: size,
      dtype: size.length > 0 && sameShape(self.shape, size) ? self.dtype : sumDtype(self.dtype, {}),
    };
  },
  decompose: ({ self, size }) => {
    // PyTorch sums whatever it is asked to bring to no dimensions, so that bool becomes int64 even from 0-dim.
    if (size.length === 0) return self.sum();
    if (sameShape(self.shape, size)) return self;
    const axes = summedAxes(self.shape, size);
    if (axes.length === self.ndim - size.length) return self.sum(axes, false);
    const summed = self.sum(axes, true);
    return self.ndim === size.length ? summed : summed.view(size);
  },
  samples: (g) => [
    { args: { self: g.tensor([2, 3, 4]), size: [3, 1] } },
    { name: "same", args: { self: g.tensor([2, 3]), size: [2, 3] } },
    { name: "0-dim", args: { self: g.tensor([2, 3]), size: [] } },
  ],
});

function summedAxes(shape: readonly Size[], size: readonly Size[]): number[] {
  const added = shape.length - size.length;
  const fits = added >= 0 && size.every((s, i) => sizeIsOne(s) || sizeEq(s, shape[i + added] ?? 1));
  if (!fits) {
    throw new TypeError(`sum_to_size: ${shapeToText(shape)} does not come from broadcasting ${shapeToText(size)}`);
  }
  return shape.flatMap((s, i) => i < added || (sizeIsOne(size[i - added] ?? 1) && !sizeIsOne(s)) ? [i] : []);
}
