/**
 * Variance, standard deviation, norms and logsumexp: reductions over what another reduction found.
 *
 * Each is written with simpler reductions and computed in float32 for half types; gradients are given directly, so that the points where a
 * root is not differentiable yield 0 as in PyTorch. Mirrors `ReduceOps.cpp` and `linalg_vector_norm` of ATen.
 */
import { computeType, type DType, getDefaultDtype } from "../core/mod.ts";
import type { Scalar } from "../graph/mod.ts";
import { shapeToText, type Size, sizeMax, sizeSub } from "../symbolic/mod.ts";
import { reducedShape, reductionAxes } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec, type VjpContext } from "./define.ts";
import type { Functional } from "./functional.ts";
import { castGrad, restoreDims } from "./gradient.ts";
import { reducedCount } from "./reduction.ts";
import { reductionSamples } from "./sample_sets.ts";
import type { SampleArg } from "./samples.ts";
import { scalarNumber } from "./scalars.ts";
import { type Blocks, blocksOf } from "./reduction_blocks.ts";
import type { TensorValue } from "./value.ts";

/** Arguments of the variance family; each schema has some of them. */
interface VarianceArgs {
  readonly dim?: readonly Size[] | null;
  readonly correction?: Scalar | null;
  readonly unbiased?: boolean;
  readonly keepdim?: boolean;
}

interface Variance {
  readonly axes: readonly number[];
  readonly keepdim: boolean;
  /** Elements minus correction, at least 0. */
  readonly degrees: Size;
}

function needFloat(where: string, dtype: DType): void {
  if (!dtype.isFloat) {
    throw new TypeError(`${where}: needs floating point numbers, got ${dtype.name}; convert with .to(float32)`);
  }
}

function varianceOf(where: string, shape: readonly Size[], args: VarianceArgs): Variance {
  const axes = reductionAxes(where, args.dim ?? null, shape.length);
  const correction = args.unbiased === undefined ? scalarNumber(args.correction ?? 1) : args.unbiased ? 1 : 0;
  const count = reducedCount(shape, axes);
  // Without elements there is no variance, whatever the correction.
  const degrees = typeof count === "number"
    ? count === 0 ? 0 : Math.max(count - correction, 0)
    : Number.isInteger(correction)
    ? sizeMax(sizeSub(count, correction), 0)
    : Math.max(Number(count) - correction, 0);
  return { axes, keepdim: args.keepdim ?? false, degrees };
}

/** The mean, kept, in the type of the computation. */
function keptMean(self: TensorValue, axes: readonly number[]): TensorValue {
  const compute = computeType(self.dtype);
  return self.sum(axes, true, { dtype: compute }).div(reducedCount(self.shape, axes));
}

function varianceValue(self: TensorValue, v: Variance): { readonly variance: TensorValue; readonly mean: TensorValue } {
  const blocks = blocksOf(self, v.axes);
  if (blocks !== null) return blockedVariance(self, v, blocks);
  const mean = keptMean(self, v.axes);
  const distance = self.sub(mean);
  return { variance: distance.mul(distance).sum(v.axes, v.keepdim).div(v.degrees), mean };
}

/** Variances of blocks and of their means, added up (Chan, Golub and LeVeque, 1979): memory is read once. */
function blockedVariance(
  self: TensorValue,
  v: Variance,
  { x, inner, outer, size }: Blocks,
): { readonly variance: TensorValue; readonly mean: TensorValue } {
  const means = keptMean(x, inner), mean = keptMean(means, outer);
  const within = x.sub(means), between = means.sub(mean);
  const squares = within.mul(within).sum(inner, true).add(between.mul(between).mul(size)).sum(outer, true);
  return {
    variance: squares.div(v.degrees).view(reducedShape(self.shape, v.axes, v.keepdim)),
    mean: mean.view(reducedShape(self.shape, v.axes, true)),
  };
}

/** A kept mean as the result has it. */
function shapedMean(mean: TensorValue, self: TensorValue, v: Variance): TensorValue {
  const shaped = v.keepdim ? mean : mean.view(reducedShape(self.shape, v.axes, false));
  return castGrad(shaped, self);
}

function varianceGrad(self: TensorValue, v: Variance, grad: TensorValue): TensorValue {
  const g = restoreDims(grad, self.shape, v.axes, v.keepdim);
  return castGrad(self.sub(keptMean(self, v.axes)).mul(g).mul(2).div(v.degrees), self);
}

function deviationGrad(
  self: TensorValue,
  v: Variance,
  out: TensorValue,
  grad: TensorValue,
  F: Functional,
): TensorValue {
  return varianceGrad(self, v, F.where(out.eq(0), 0, grad.div(out.mul(2))));
}

const FORMS: readonly (readonly [string, string, Readonly<Record<string, SampleArg>>])[] = [
  ["", "(Tensor self, bool unbiased=True)", {}],
  [".dim", "(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False)", { unbiased: false }],
  [".correction", "(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False)", { correction: 2 }],
];

for (const [name, doc] of [["var", "variance"], ["std", "standard deviation"]] as const) {
  const isVar = name === "var";
  for (const [overload, parameters, extra] of FORMS) {
    const samples = { ...(overload === "" ? {} : { dims: [[1], [0, -1]] }), args: extra, empty: false };
    defineOp({
      schema:
        `aten::${name}${overload}${parameters} -> Tensor` as "aten::var(Tensor self, bool unbiased=True) -> Tensor",
      doc: `The ${doc} over dimensions, divided by the number of elements less a correction (1 unless told otherwise).`,
      meta: ({ self, ...args }): TensorSpec => {
        needFloat(name, self.dtype);
        const v = varianceOf(name, self.shape, args);
        return { shape: reducedShape(self.shape, v.axes, v.keepdim), dtype: self.dtype };
      },
      decompose: ({ self, ...args }) => {
        const { variance } = varianceValue(self, varianceOf(name, self.shape, args));
        return castGrad(isVar ? variance : variance.sqrt(), self);
      },
      vjp: ({ self, ...args }, { grad, out, F }) => ({
        self: () => {
          const v = varianceOf(name, self.shape, args);
          return isVar ? varianceGrad(self, v, grad) : deviationGrad(self, v, out, grad, F);
        },
      }),
      samples: (g) => g.dtype.isFloat ? reductionSamples(g, samples).filter((s) => s.name !== "0-dim") : [],
    });
    defineOp({
      schema:
        `aten::${name}_mean${overload}${parameters} -> (Tensor, Tensor)` as "aten::var_mean(Tensor self, bool unbiased=True) -> (Tensor, Tensor)",
      doc: `The ${doc} and the mean over dimensions.`,
      meta: ({ self, ...args }) => {
        needFloat(`${name}_mean`, self.dtype);
        const v = varianceOf(name, self.shape, args);
        const spec = { shape: reducedShape(self.shape, v.axes, v.keepdim), dtype: self.dtype };
        return [spec, spec];
      },
      decompose: ({ self, ...args }) => {
        const v = varianceOf(name, self.shape, args);
        const { variance, mean } = varianceValue(self, v);
        return [castGrad(isVar ? variance : variance.sqrt(), self), shapedMean(mean, self, v)];
      },
      vjp: ({ self, ...args }, context) => ({
        self: () => bothGrads(self, varianceOf(name, self.shape, args), context, isVar),
      }),
      samples: (g) => g.dtype.isFloat ? reductionSamples(g, samples).filter((s) => s.name !== "0-dim") : [],
    });
  }
}

function bothGrads(self: TensorValue, v: Variance, { grads, outs, F }: VjpContext, isVar: boolean): TensorValue | null {
  const [ofSpread, ofMean] = grads;
  const [out] = outs;
  let total: TensorValue | null = null;
  if (ofSpread !== null && ofSpread !== undefined && out !== undefined) {
    total = isVar ? varianceGrad(self, v, ofSpread) : deviationGrad(self, v, out, ofSpread, F);
  }
  if (ofMean !== null && ofMean !== undefined) {
    const g = restoreDims(ofMean, self.shape, v.axes, v.keepdim).div(reducedCount(self.shape, v.axes));
    total = total === null ? g.expand(self.shape) : total.add(g);
  }
  return total;
}

interface NormArgs {
  readonly axes: readonly number[];
  readonly keepdim: boolean;
  readonly ord: number;
  readonly dtype: DType;
}

function normSpec(where: string, self: MetaInput, n: NormArgs): TensorSpec {
  needFloat(where, n.dtype);
  needFloat(where, self.dtype);
  const axes = n.axes;
  const noElements = (n.ord < 0 || n.ord === Infinity) && axes.some((axis) => self.shape[axis] === 0);
  if (noElements) {
    throw new RangeError(`${where}: the norm of order ${n.ord} of ${shapeToText(self.shape)} needs elements`);
  }
  return { shape: reducedShape(self.shape, axes, n.keepdim), dtype: n.dtype };
}

function normValue(self: TensorValue, { axes, keepdim, ord, dtype }: NormArgs): TensorValue {
  const compute = computeType(dtype);
  const x = self.dtype === compute || ord === 0 ? self : self.to(compute);
  const result = ord === Infinity
    ? x.abs().amax(axes, keepdim)
    : ord === -Infinity
    ? x.abs().amin(axes, keepdim)
    : ord === 0
    ? x.ne(0).sum(axes, keepdim, { dtype: compute })
    : ord === 1
    ? x.abs().sum(axes, keepdim)
    : ord === 2
    ? x.mul(x).sum(axes, keepdim).sqrt()
    : x.abs().pow(ord).sum(axes, keepdim).pow(1 / ord);
  return result.dtype === dtype ? result : result.to(dtype);
}

function normGrad(self: TensorValue, n: NormArgs, out: TensorValue, grad: TensorValue, F: Functional): TensorValue {
  const g = restoreDims(grad, self.shape, n.axes, n.keepdim);
  const norm = restoreDims(out, self.shape, n.axes, n.keepdim);
  const slope = (): TensorValue => {
    if (n.ord === 0) return F.zerosLike(self);
    if (n.ord === 1) return self.sign().mul(g);
    if (n.ord === 2) return self.mul(F.where(norm.eq(0), 0, g.div(norm)));
    if (Math.abs(n.ord) === Infinity) {
      const chosen = self.abs().eq(norm);
      // Of NaN no element is chosen.
      return F.where(chosen, self.sign().mul(g).div(chosen.sum(n.axes, true)), 0);
    }
    const powered = self.sign().mul(self.abs().pow(n.ord - 1));
    const scaled = powered.mul(F.where(norm.eq(0), 0, g.mul(norm.pow(1 - n.ord))));
    return n.ord < 1 ? F.where(self.eq(0), 0, scaled) : scaled;
  };
  return castGrad(slope(), self);
}

const NORMS = [
  [
    "aten::linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    "ord",
    [{ ord: 2 }, { ord: 1, dim: [1] }, { ord: 3, dim: [0, 1] }, { ord: Infinity, dim: [-1] }, { ord: 0.5 }],
  ],
  ["aten::norm.Scalar(Tensor self, Scalar p=2) -> Tensor", "p", [{ p: 2 }, { p: 1 }]],
  [
    "aten::norm.ScalarOpt_dim(Tensor self, Scalar? p, int[1] dim, bool keepdim=False) -> Tensor",
    "p",
    [{ p: null, dim: [1] }, { p: 3, dim: [0] }],
  ],
  [
    "aten::norm.ScalarOpt_dim_dtype(Tensor self, Scalar? p, int[1] dim, bool keepdim, *, ScalarType dtype) -> Tensor",
    "p",
    [],
  ],
] as const;

for (const [schema, key, samples] of NORMS) {
  const where = schema.includes("linalg") ? "linalg_vector_norm" : "norm";
  const read = (self: { readonly shape: readonly Size[]; readonly dtype: DType }, args: object): NormArgs => {
    const given = args as {
      readonly dim?: readonly Size[] | null;
      readonly keepdim?: boolean;
      readonly dtype?: DType | null;
      readonly [order: string]: unknown;
    };
    return {
      axes: reductionAxes(where, given.dim ?? null, self.shape.length),
      keepdim: given.keepdim ?? false,
      ord: scalarNumber((given[key] ?? 2) as Scalar),
      dtype: given.dtype ?? self.dtype,
    };
  };
  defineOp({
    schema: schema as "aten::norm.Scalar(Tensor self, Scalar p=2) -> Tensor",
    doc:
      "The vector norm over dimensions, (Σ |x|^p)^(1/p); the largest |x| for ∞, the number of elements that are not 0 for 0.",
    meta: ({ self, ...args }) => normSpec(where, self, read(self, args)),
    decompose: ({ self, ...args }) => normValue(self, read(self, args)),
    vjp: ({ self, ...args }, { grad, out, F }) => ({ self: () => normGrad(self, read(self, args), out, grad, F) }),
    samples: (g) => g.dtype.isFloat ? samples.map((s) => ({ args: { self: g.tensor([3, 4]), ...s } })) : [],
  });
}

defineOp({
  schema: "aten::logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor",
  doc: "log(Σ exp(self)) over dimensions, without overflow.",
  meta: ({ self, dim, keepdim }) => {
    const axes = reductionAxes("logsumexp", dim, self.shape.length);
    if (self.dtype.isComplex) throw new TypeError(`logsumexp: needs real numbers, got ${self.dtype.name}`);
    if (dim.length === 0 && !keepdim && self.shape.length > 0) {
      throw new TypeError(
        `logsumexp: no dimension is named for ${shapeToText(self.shape)}; name them, all of them if it is the whole`,
      );
    }
    return {
      shape: reducedShape(self.shape, axes, keepdim),
      dtype: self.dtype.isFloat ? self.dtype : getDefaultDtype(),
    };
  },
  decompose: ({ self, dim, keepdim }, F) => {
    const axes = reductionAxes("logsumexp", dim, self.ndim);
    const dtype = self.dtype.isFloat ? self.dtype : getDefaultDtype();
    const compute = computeType(dtype);
    const x = self.dtype === compute ? self : self.to(compute);
    if (axes.some((axis) => self.shape[axis] === 0)) {
      return castTo(x.exp().sum(axes, keepdim).log(), dtype);
    }
    const blocks = blocksOf(x, axes, 128);
    if (blocks !== null) {
      const sums = blocks.x.logsumexp(blocks.inner, true).logsumexp(blocks.outer, true);
      return castTo(sums.view(reducedShape(self.shape, axes, keepdim)), dtype);
    }
    const largest = x.amax(axes, true);
    const shift = F.where(largest.isinf(), 0, largest);
    const sum = x.sub(shift).exp().sum(axes, keepdim).log();
    const offset = keepdim ? shift : shift.view(reducedShape(self.shape, axes, false));
    return castTo(sum.add(offset), dtype);
  },
  vjp: ({ self, dim, keepdim }, { grad, out }) => ({
    self: () => {
      const axes = reductionAxes("logsumexp", dim, self.ndim);
      const g = restoreDims(grad, self.shape, axes, keepdim);
      return castGrad(g.mul(self.sub(restoreDims(out, self.shape, axes, keepdim)).exp()), self);
    },
  }),
  samples: (g) => reductionSamples(g, { dims: [[1], [0, -1]], empty: false }),
});

function castTo(x: TensorValue, dtype: DType): TensorValue {
  return x.dtype === dtype ? x : x.to(dtype);
}
