/**
 * `torch.gradient`: derivatives estimated by finite differences along dimensions, and weight normalisation.
 *
 * Inner points use second-order central differences, spacing uniform or by coordinates; edges use one-sided differences of the given
 * order. Mirrors the `gradient` functions of ATen's ReduceOps.cpp, and WeightNorm.cpp.
 */
import { bool, getDefaultDtype, uint8 } from "../core/mod.ts";
import type { Scalar } from "../graph/mod.ts";
import { shapeToText, type Size, sizeLe, sizeSub } from "../symbolic/mod.ts";
import { axisOf } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { SampleArg, SampleGenerator } from "./samples.ts";
import { scalarNumber } from "./scalars.ts";
import type { TensorValue } from "./value.ts";

interface GradientArgs<T> {
  readonly spacing?: Scalar | readonly Scalar[] | readonly T[] | null;
  readonly dim?: Size | readonly Size[] | null;
  readonly edgeOrder: Size;
}

function gradientAxes<T>(shape: readonly Size[], { dim }: GradientArgs<T>): number[] {
  const list = dim === null || dim === undefined
    ? shape.map((_, d) => d)
    : typeof dim === "object" && "length" in dim
    ? dim
    : [dim];
  return list.map((d) => axisOf("gradient", d, shape.length));
}

function gradientSpecs(self: MetaInput, args: GradientArgs<MetaInput>): TensorSpec[] {
  const order = Number(args.edgeOrder);
  if (self.dtype === uint8) throw new TypeError("gradient: does not take a uint8 tensor; convert with .to(int64)");
  if (order !== 1 && order !== 2) throw new RangeError(`gradient: edge_order must be 1 or 2, got ${order}`);
  const axes = gradientAxes(self.shape, args);
  if (new Set(axes).size !== axes.length) throw new RangeError(`gradient: dimensions [${axes}] repeat`);
  for (const axis of axes) {
    if (sizeLe(self.shape[axis] ?? 1, order)) {
      throw new RangeError(
        `gradient: dimension ${axis} of ${shapeToText(self.shape)} needs at least ${order + 1} elements`,
      );
    }
  }
  const { spacing } = args;
  if (Array.isArray(spacing) && spacing.length !== axes.length) {
    throw new TypeError(`gradient: ${spacing.length} spacings for ${axes.length} dimensions`);
  }
  const dtype = self.dtype.isIntegral ? getDefaultDtype() : self.dtype;
  return axes.map(() => ({ shape: self.shape, dtype }));
}

/** Derivative along `axis` at points `step` apart. Differences of integers wrap around before they are divided, as ATen's do. */
function uniform(x: TensorValue, axis: number, step: number, order: number, F: Functional): TensorValue {
  const n = x.shape[axis] ?? 1;
  const part = (from: Size): TensorValue => x.narrow(axis, from, 1);
  const inner = x.narrow(axis, 2, sizeSub(n, 2)).sub(x.narrow(axis, 0, sizeSub(n, 2))).div(2 * step);
  const edge = (a: Size, b: Size, c: Size, sign: number): TensorValue =>
    order === 1
      ? part(b).sub(part(a)).mul(sign).div(step)
      : part(b).mul(2).sub(part(a).mul(1.5)).sub(part(c).mul(0.5)).mul(sign).div(step);
  const last = edge(sizeSub(n, 1), sizeSub(n, 2), order === 1 ? sizeSub(n, 2) : sizeSub(n, 3), -1);
  return F.cat([edge(0, 1, order === 1 ? 1 : 2, 1), inner, last], axis);
}

/** Derivative along `axis` at the points of a vector. */
function irregular(x: TensorValue, axis: number, points: TensorValue, order: number, F: Functional): TensorValue {
  const n = x.shape[axis] ?? 1;
  const shape = x.shape.map((_, d) => d === axis ? -1 : 1);
  const gaps = points.diff(1, 0);
  const gap = (from: Size, size: Size): TensorValue => gaps.narrow(0, from, size).reshape(shape);
  const inside = sizeSub(n, 2);
  const part = (from: Size, size: Size = 1): TensorValue => x.narrow(axis, from, size);
  const g1 = gap(0, inside), g2 = gap(1, inside);
  const a = g2.neg().div(g1.mul(g1.add(g2)));
  const b = g2.sub(g1).div(g1.mul(g2));
  const c = g1.div(g2.mul(g1.add(g2)));
  const inner = part(0, inside).mul(a).add(part(1, inside).mul(b)).add(part(2, inside).mul(c));
  if (order === 1) {
    const first = part(1).sub(part(0)).div(gap(0, 1));
    const last = part(sizeSub(n, 1)).sub(part(sizeSub(n, 2))).div(gap(sizeSub(n, 2), 1));
    return F.cat([first, inner, last], axis);
  }
  const edge = (d1: TensorValue, d2: TensorValue, x0: TensorValue, x1: TensorValue, x2: TensorValue): TensorValue => {
    const sum = d1.add(d2);
    return x1.mul(sum.div(d1.mul(d2))).sub(x0.mul(d1.mul(2).add(d2).div(d1.mul(sum)))).sub(x2.mul(d1.div(d2.mul(sum))));
  };
  const first = edge(gap(0, 1), gap(1, 1), part(0), part(1), part(2));
  const last = edge(
    gap(sizeSub(n, 2), 1),
    gap(sizeSub(n, 3), 1),
    part(sizeSub(n, 1)),
    part(sizeSub(n, 2)),
    part(sizeSub(n, 3)),
  ).neg();
  return F.cat([first, inner, last], axis);
}

function isTensor(value: unknown): value is TensorValue {
  return typeof value === "object" && value !== null && "shape" in value;
}

function gradients(self: TensorValue, args: GradientArgs<TensorValue>, F: Functional): TensorValue[] {
  const x = self.dtype.isIntegral ? self.to(getDefaultDtype()) : self;
  const order = Number(args.edgeOrder);
  const { spacing } = args;
  return gradientAxes(self.shape, args).map((axis, i) => {
    const list = Array.isArray(spacing) ? spacing as readonly (Scalar | TensorValue)[] : null;
    const own = list === null ? (spacing as Scalar | null | undefined) ?? 1 : list[i] ?? 1;
    return isTensor(own) ? irregular(x, axis, own, order, F) : uniform(self, axis, scalarNumber(own), order, F);
  });
}

const FORMS: readonly (readonly [string, string, (g: SampleGenerator) => Readonly<Record<string, SampleArg>>])[] = [
  ["scalarint", "Scalar? spacing=None, int? dim=None", () => ({ spacing: 2, dim: 1 })],
  ["scalararray", "Scalar spacing, int[] dim", () => ({ spacing: 0.5, dim: [0, 1] })],
  ["array", "int[] dim", () => ({ dim: [1, 0], edgeOrder: 2 })],
  ["scalarrayint", "Scalar[] spacing, int? dim=None", () => ({ spacing: [2, 0.5] })],
  ["scalarrayarray", "Scalar[] spacing, int[] dim", () => ({ spacing: [0.5], dim: [-1], edgeOrder: 2 })],
  [
    "tensorarrayint",
    "Tensor[] spacing, int? dim=None",
    (g) => ({ spacing: [g.tensor([4], { values: [0, 1, 3, 4], requiresGrad: false })], dim: 0 }),
  ],
  [
    "tensorarray",
    "Tensor[] spacing, int[] dim",
    (g) => ({ spacing: [g.tensor([4], { values: [0, 1, 3, 4], requiresGrad: false })], dim: [1], edgeOrder: 2 }),
  ],
];

for (const [overload, parameters, extra] of FORMS) {
  defineOp({
    schema:
      `aten::gradient.${overload}(Tensor self, *, ${parameters}, int edge_order=1) -> Tensor[]` as "aten::gradient.scalarint(Tensor self, *, Scalar? spacing=None, int? dim=None, int edge_order=1) -> Tensor[]",
    doc: "Derivatives along dimensions, estimated by finite differences.",
    meta: ({ self, ...args }) => {
      if (self.dtype === bool) throw new TypeError("gradient: does not take a bool tensor; convert it first");
      const { spacing } = args as GradientArgs<MetaInput>;
      for (const x of Array.isArray(spacing) ? spacing as readonly (Scalar | MetaInput)[] : []) {
        if (typeof x === "object" && "dtype" in x && x.shape.length !== 1) {
          throw new TypeError(`gradient: spacing must be vectors of coordinates, got ${shapeToText(x.shape)}`);
        }
      }
      return gradientSpecs(self, args);
    },
    decompose: ({ self, ...args }, F) => gradients(self, args, F),
    samples: (g) => g.dtype.isFloat ? [{ args: { self: g.tensor([4, 4]), ...extra(g) } }] : [],
  });
}

/** The 2-norm of all but one dimension, kept; of everything for dim -1. */
function normExcept(v: TensorValue, dim: Size, F: Functional): TensorValue {
  if (Number(dim) === -1) return F.linalgVectorNorm(v, 2, v.shape.map((_, d) => d), true);
  const axis = axisOf("_weight_norm", dim, v.ndim);
  return F.linalgVectorNorm(v, 2, v.shape.flatMap((_, d) => d === axis ? [] : [d]), true);
}

defineOp({
  schema: "aten::norm_except_dim(Tensor v, int pow=2, int dim=0) -> Tensor",
  doc: "The norm over all dimensions but one, which stays.",
  meta: ({ v, dim }) => {
    const axis = Number(dim) === -1 ? -1 : axisOf("norm_except_dim", dim, v.shape.length);
    return { shape: v.shape.map((s, d) => d === axis ? s : 1), dtype: v.dtype };
  },
  decompose: ({ v, pow, dim }, F) => {
    if (Number(pow) === 2) return normExcept(v, dim, F);
    const axis = Number(dim) === -1 ? -1 : axisOf("norm_except_dim", dim, v.ndim);
    return F.linalgVectorNorm(v, Number(pow), v.shape.flatMap((_, d) => d === axis ? [] : [d]), true);
  },
  samples: (g) => g.dtype.isFloat ? [{ args: { v: g.tensor([3, 4]) } }] : [],
});

defineOp({
  schema: "aten::_weight_norm(Tensor v, Tensor g, int dim=0) -> Tensor",
  doc: "v scaled so that its norms over all dimensions but dim are g.",
  meta: ({ v, dim }) => {
    if (Number(dim) !== -1) axisOf("_weight_norm", dim, v.shape.length);
    return { shape: v.shape, dtype: v.dtype };
  },
  decompose: ({ v, g, dim }, F) => v.mul(g.div(normExcept(v, dim, F))).contiguous(),
  samples: (g) => g.dtype.isFloat ? [{ args: { v: g.tensor([3, 4]), g: g.tensor([3, 1]) } }] : [],
});

defineOp({
  schema: "aten::_weight_norm_interface(Tensor v, Tensor g, int dim=0) -> (Tensor, Tensor)",
  doc: "_weight_norm and the norms that v had.",
  meta: ({ v, g, dim }) => {
    if (Number(dim) !== -1) axisOf("_weight_norm_interface", dim, v.shape.length);
    return [{ shape: v.shape, dtype: v.dtype }, { shape: g.shape, dtype: g.dtype }];
  },
  decompose: ({ v, g, dim }, F) => {
    const norm = normExcept(v, dim, F);
    return [v.mul(g.div(norm)).contiguous(), norm];
  },
  samples: (g) => g.dtype.isFloat ? [{ args: { v: g.tensor([3, 4]), g: g.tensor([3, 1]) } }] : [],
});

for (const name of ["_is_all_true", "_is_any_true"] as const) {
  defineOp({
    schema: `aten::${name}(Tensor self) -> Tensor`,
    doc: `Whether ${name === "_is_all_true" ? "all elements" : "any element"} of a bool tensor hold.`,
    meta: ({ self }) => {
      if (self.dtype !== bool) throw new TypeError(`${name}: needs a bool tensor, got ${self.dtype.name}`);
      return { shape: [], dtype: bool };
    },
    decompose: ({ self }) => name === "_is_all_true" ? self.all() : self.any(),
    samples: (g: SampleGenerator) => g.dtype === bool ? [{ args: { self: g.tensor([2, 3]) } }] : [],
  });
}
