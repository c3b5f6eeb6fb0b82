/**
 * Running extrema with their positions, quantiles, and trapezoidal integrals along a dimension.
 *
 * cummax and cummin are scans, of the numbers and of their positions. Quantiles sort and interpolate between neighbours.
 * Integrals are sums of neighbours. Mirrors `ReduceOps.cpp` (cummax), `Sorting.cpp` (quantile) and `Integration.cpp` of ATen.
 */
import { bool, type DType, getDefaultDtype, int32, int64, normalizeAxis } from "../core/mod.ts";
import { contiguousStride, shapeToText, type Size, sizeEq, sizeIsZero, sizeMul, sizeSub } from "../symbolic/mod.ts";
import { axisOf, promotedDtype, promotionOperand, reducedShape } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { distinct } from "./max_pool.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import { scalarDtype, scalarNumber } from "./scalars.ts";
import type { TensorValue } from "./value.ts";

for (const name of ["cummax", "cummin"] as const) {
  defineOp({
    schema: `aten::${name}(Tensor self, int dim) -> (Tensor values, Tensor indices)`,
    doc: `The ${name === "cummax" ? "largest" : "smallest"} element so far along dim, and its position.`,
    meta: ({ self, dim }) => {
      axisOf(name, dim, self.shape.length);
      return [{ shape: self.shape, dtype: self.dtype }, { shape: self.shape, dtype: int64 }];
    },
    decompose: ({ self, dim }, F) => {
      const axis = axisOf(name, dim, self.ndim);
      const isMax = name === "cummax";
      // Truth values are ordered as the numbers that stand for them.
      const x = self.dtype === bool ? self.to(int32) : self;
      const values = isMax ? F.runningMax(x, axis) : F.runningMin(x, axis);
      // The latest of equal elements wins, and of NaN the latest too: positions of what is the extremum where it stands only ever grow.
      const size = self.shape[axis] ?? 1;
      const own = x.eq(values).logicalOr(x.isnan());
      const shape = self.shape.map((_, i) => i === axis ? size : 1);
      // Numbers of 32 bits are scanned in registers.
      const dtype = typeof size === "number" && size < 2 ** 31 ? int32 : int64;
      const places = F.arange(size, { dtype, device: self.device }).view(shape);
      const positions = F.runningMax(F.where(own, places, 0), axis).to(int64);
      return [values.dtype === self.dtype ? values : values.to(self.dtype), positions];
    },
    vjp: ({ self, dim }, { outs, grads }) => ({
      self: () => {
        const [, indices] = outs;
        const grad = grads[0] ?? null;
        if (grad === null || indices === undefined) return null;
        return self.ndim === 0 ? grad : self.zerosLike().scatterAdd(dim, indices, grad);
      },
    }),
    samples: (g: SampleGenerator) => [
      { args: { self: distinct(g, [3, 4]), dim: 1 } },
      { args: { self: distinct(g, [4, 3]), dim: 0 } },
      { name: "0-dim", args: { self: g.tensor([]), dim: 0 } },
    ],
  });
}

interface QuantileArgs {
  readonly dim: Size | null;
  readonly keepdim: boolean;
  readonly interpolation: string;
}

const INTERPOLATIONS: readonly string[] = ["linear", "lower", "higher", "midpoint", "nearest"];

function quantileSpec(where: string, self: MetaInput, q: readonly Size[], args: QuantileArgs): TensorSpec {
  if (!self.dtype.isFloat || self.dtype.bytes < 4) {
    throw new TypeError(`${where}: needs float32 or float64, got ${self.dtype.name}`);
  }
  if (self.shape.some(sizeIsZero)) throw new TypeError(`${where}: self ${shapeToText(self.shape)} has no elements`);
  if (q.length > 1) throw new TypeError(`${where}: q must be a number or a vector, got ${shapeToText(q)}`);
  if (!INTERPOLATIONS.includes(args.interpolation)) {
    throw new RangeError(
      `${where}: interpolation must be one of ${INTERPOLATIONS.join(", ")}, got "${args.interpolation}"`,
    );
  }
  const rank = self.shape.length;
  const shape = args.dim === null
    ? (args.keepdim ? self.shape.map(() => 1) : [])
    : rank === 0
    ? (axisOf(where, args.dim, 1), [])
    : reducedShape(self.shape, [axisOf(where, args.dim, rank)], args.keepdim);
  const [quantiles] = q;
  if (quantiles === undefined) return { shape, dtype: self.dtype };
  // Quantiles are computed as the last dimension and shown as the first.
  const stride = [1, ...contiguousStride(shape).map((s) => sizeMul(s, quantiles))];
  return { shape: [quantiles, ...shape], dtype: self.dtype, stride };
}

/** Quantiles `q` (0-dim or a vector, of self's dtype) of self. */
function quantileValue(
  self: TensorValue,
  q: TensorValue,
  { dim, keepdim, interpolation }: QuantileArgs,
  ignoreNaN: boolean,
  F: Functional,
): TensorValue {
  const rank = self.ndim;
  const axis = dim === null || rank === 0 ? null : normalizeAxis(Number(dim), rank, "quantile");
  const lines = axis === null ? self.reshape([-1]) : self.movedim([axis], [-1]);
  const n = lines.shape[lines.ndim - 1] ?? 1;
  const sorted = lines.sort(-1, false)[0];
  const last = sizeSub(n, 1);
  const isNaN = sorted.isnan();
  // [..., quantiles]: where in the sorted line each quantile lies.
  const vector = q.ndim === 0 ? q.reshape([1]) : q;
  const counts = isNaN.logicalNot().sum([-1], true);
  const flat = sorted.narrow(-1, 0, 1).detach().mul(0).nanToNum();
  const rank_ = ignoreNaN
    ? counts.sub(1).clampMin(0).to(self.dtype).mul(vector)
    : F.where(isNaN.any(-1, true), last, flat.add(vector.mul(last)));
  const below = interpolation === "lower" || interpolation === "linear" || interpolation === "midpoint"
    ? rank_.floor()
    : interpolation === "higher"
    ? rank_.ceil()
    : rank_.round();
  let out = sorted.gather(-1, below.to(int64));
  if (interpolation === "linear" || interpolation === "midpoint") {
    const above = sorted.gather(-1, rank_.ceil().to(int64));
    out = interpolation === "midpoint" ? out.lerp(above, 0.5) : out.lerp(above, rank_.sub(below));
  }
  // Quantiles come first, the reduced dimension stays on demand.
  const kept = axis === null
    ? out.reshape([...(keepdim ? self.shape.map(() => 1) : []), out.shape[out.ndim - 1] ?? 1])
    : keepdim
    ? out.unsqueeze(axis)
    : out;
  return q.ndim === 0 ? kept.squeeze(-1) : kept.movedim([-1], [0]);
}

for (const name of ["quantile", "nanquantile"] as const) {
  const doc = `The q-quantile along dim, interpolated between neighbours${
    name === "quantile" ? "" : "; NaN is left out"
  }.`;
  const samples = (q: (g: SampleGenerator) => Sample["args"][string]) => (g: SampleGenerator): Sample[] =>
    g.dtype.isFloat && g.dtype.bytes >= 4
      ? INTERPOLATIONS.map((interpolation, i) => ({
        args: { self: distinct(g, [3, 5]), q: q(g), dim: i === 0 ? null : 1, keepdim: i === 2, interpolation },
      }))
      : [];
  defineOp({
    schema:
      `aten::${name}(Tensor self, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor`,
    doc,
    meta: ({ self, q, ...args }) => {
      if (q.dtype !== self.dtype) {
        throw new TypeError(`${name}: q is ${q.dtype.name}, self ${self.dtype.name}; they must be the same`);
      }
      return quantileSpec(name, self, q.shape, args);
    },
    decompose: ({ self, q, ...args }, F) =>
      quantileValue(self, F.require(q, "quantile"), args, name === "nanquantile", F),
    samples: samples((g) => g.tensor([2], { values: [0.3, 0.75], requiresGrad: false })),
  });
  defineOp({
    schema:
      `aten::${name}.scalar(Tensor self, float q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor`,
    doc,
    meta: ({ self, q, ...args }) => {
      if (!(q >= 0 && q <= 1)) throw new RangeError(`${name}: q must lie between 0 and 1, got ${q}`);
      return quantileSpec(name, self, [], args);
    },
    decompose: ({ self, q, ...args }, F) =>
      quantileValue(
        self,
        F.fullLike(self.reshape([-1]).narrow(0, 0, 1).reshape([]), q),
        args,
        name === "nanquantile",
        F,
      ),
    samples: samples(() => 0.4),
  });
}

/** The dtype of an integral: integers become floats, because halves are taken. */
function integralDtype(where: string, inputs: readonly MetaInput[]): DType {
  if (inputs.some((t) => t.dtype === bool)) throw new TypeError(`${where}: needs numbers, got bool`);
  return promotedDtype(where, inputs.map(promotionOperand), "float");
}

function neighbours(y: TensorValue, axis: number): readonly [TensorValue, TensorValue] {
  const size = y.shape[axis] ?? 1;
  const inner = size === 0 ? 0 : sizeSub(size, 1);
  if (inner === 0) return [y.narrow(axis, 0, 0), y.narrow(axis, 0, 0)];
  return [y.narrow(axis, 0, inner), y.narrow(axis, 1, inner)];
}

/** Distances of points x, shaped to broadcast with what lies between neighbours of y. */
function spacing(y: TensorValue, x: TensorValue, axis: number): TensorValue {
  const aligned = x.ndim === 1 && y.ndim !== 1
    ? x.reshape(y.shape.map((_, d) => d === axis ? -1 : 1))
    : x.ndim < y.ndim
    ? x.reshape([...new Array<number>(y.ndim - x.ndim).fill(1), ...x.shape])
    : x;
  const [left, right] = neighbours(aligned, axis);
  return right.sub(left);
}

function integralShape(axis: number, shape: readonly Size[], isRunning: boolean): Size[] {
  return isRunning
    ? shape.map((s, d) => d === axis && s !== 0 ? sizeSub(s, 1) : s)
    : shape.filter((_, d) => d !== axis);
}

const INTEGRALS = ["trapezoid", "trapz", "cumulative_trapezoid"] as const;

for (const name of INTEGRALS) {
  const isRunning = name === "cumulative_trapezoid";
  const doc = `The ${isRunning ? "running " : ""}integral along dim by the trapezoidal rule`;
  defineOp({
    schema: `aten::${name}.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor`,
    doc: `${doc}, at the points x.`,
    meta: ({ y, x, dim }) => {
      const axis = axisOf(name, dim, y.shape.length);
      const dtype = integralDtype(name, [y, x]);
      if (x.shape.length === 1 && !sizeEq(x.shape[0] ?? 1, y.shape[axis] ?? 1)) {
        throw new TypeError(
          `${name}: ${x.shape[0]} points x do not go with dimension ${axis} of y ${shapeToText(y.shape)}`,
        );
      }
      if (y.shape[axis] === 0 && !isRunning) return { shape: y.shape.filter((_, d) => d !== axis), dtype: y.dtype };
      const shape = x.shape.length <= 1 ? y.shape : joint(y.shape, x.shape);
      return { shape: integralShape(axis, shape, isRunning), dtype };
    },
    decompose: ({ y, x, dim }) => {
      const axis = axisOf(name, dim, y.ndim);
      if (y.shape[axis] === 0 && !isRunning) return y.newZeros(y.shape.filter((_, d) => d !== axis));
      const [left, right] = neighbours(y, axis);
      const terms = left.add(right).mul(spacing(y, x, axis));
      return asFloat(isRunning ? terms.cumsum(axis) : terms.sum([axis])).div(2);
    },
    samples: (g: SampleGenerator) =>
      g.dtype.isFloat
        ? [
          { args: { y: g.tensor([3, 4]), x: g.tensor([4]) } },
          { args: { y: g.tensor([3, 4]), x: g.tensor([3, 4]), dim: 0 } },
        ]
        : [],
  });
  defineOp({
    schema: `aten::${name}.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor`,
    doc: `${doc}, at points dx apart.`,
    meta: ({ y, dx, dim }) => {
      const axis = axisOf(name, dim, y.shape.length);
      if (y.dtype === bool) throw new TypeError(`${name}: needs numbers, got bool`);
      if (y.shape[axis] === 0 && !isRunning) return { shape: y.shape.filter((_, d) => d !== axis), dtype: y.dtype };
      const dtype = promotedDtype(name, [promotionOperand(y), { dtype: scalarDtype(dx), rank: "scalar" }], "float");
      return { shape: integralShape(axis, y.shape, isRunning), dtype };
    },
    decompose: ({ y, dx, dim }) => {
      const axis = axisOf(name, dim, y.ndim);
      const step = scalarNumber(dx);
      const size = y.shape[axis] ?? 1;
      if (isRunning) {
        const [left, right] = neighbours(y, axis);
        return asFloat(left.add(right)).mul(step / 2).cumsum(axis);
      }
      if (size === 0) return y.newZeros(y.shape.filter((_, d) => d !== axis));
      const wide = asFloat(y);
      // Ends meet in their own dtype, in which small integers wrap around.
      const ends = asFloat(y.select(axis, 0).add(y.select(axis, -1)));
      return wide.sum([axis]).sub(ends.mul(0.5)).mul(step);
    },
    samples: (g: SampleGenerator) =>
      g.dtype.isFloat ? [{ args: { y: g.tensor([3, 4]), dx: 0.5 } }, { args: { y: g.tensor([3, 4]), dim: 0 } }] : [],
  });
}

function joint(a: readonly Size[], b: readonly Size[]): Size[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1, y = b[i - rank + b.length] ?? 1;
    return x === 1 ? y : x;
  });
}

function asFloat(x: TensorValue): TensorValue {
  return x.dtype.isFloat || x.dtype.isComplex ? x : x.to(getDefaultDtype());
}
