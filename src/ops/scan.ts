/**
 * Scans: running sums and products along a dimension.
 *
 * Inclusive; half types run in float32 and are rounded once at the end. Gradients are scans from the other end, products
 * with zeros included. Mirrors `cumsum`, `cumprod` and `logcumsumexp` of ATen; `tessera::running_max` is half of its `cummax`.
 */
import { computeType, type DType, int64 } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import { type LoopInput, type LoopNode, ops, pointwise, scan, type ScanLoop } from "../loops/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import { axisOf } from "./combinators.ts";
import { defineOp } from "./define.ts";
import { castGrad } from "./gradient.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

function scanLoop(where: string, op: ScanLoop["op"], self: LoopInput, dim: Size, out: TensorMeta): LoopNode {
  const compute = computeType(out.dtype);
  const axis = axisOf(where, dim, self.shape.length);
  if (self.shape.length === 0) return pointwise([], () => ops.cast(self.load([]), out.dtype));
  return { ...scan(op, self.shape, axis, (index) => ops.cast(self.load(index), compute)), dtype: out.dtype };
}

/** The scan from the last element to the first. */
function reversed(x: TensorValue, axis: number, run: (x: TensorValue) => TensorValue): TensorValue {
  return run(x.flip([axis])).flip([axis]);
}

const scanDtype = (input: DType, dtype: DType | null): DType => dtype ?? (input.isIntegral ? int64 : input);

const scanSamples = (g: SampleGenerator): Sample[] => [
  { args: { self: g.tensor([3, 5]), dim: 1 } },
  { name: "dim 0", args: { self: g.tensor([4, 3], { permuted: [1, 0] }), dim: 0 } },
  { name: "0-dim", args: { self: g.tensor([]), dim: 0 } },
  { name: "empty", args: { self: g.tensor([2, 0]), dim: 1 } },
];

defineOp({
  schema: "aten::cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor",
  doc: "Running sums along dim; integers sum up in int64.",
  inplace: true,
  meta: ({ self, dim, dtype }) => {
    axisOf("cumsum", dim, self.shape.length);
    return { shape: self.shape, dtype: scanDtype(self.dtype, dtype) };
  },
  loop: ({ self, dim }, out) => scanLoop("cumsum", "sum", self, dim, out),
  vjp: ({ self, dim }, { grad }) => ({
    self: () => {
      if (self.ndim === 0) return castGrad(grad, self);
      const axis = axisOf("cumsum", dim, self.ndim);
      return castGrad(reversed(grad, axis, (g) => g.cumsum(axis)), self);
    },
  }),
  samples: scanSamples,
});

defineOp({
  schema: "aten::cumprod(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor",
  doc: "Running products along dim; integers multiply in int64.",
  inplace: true,
  meta: ({ self, dim, dtype }) => {
    axisOf("cumprod", dim, self.shape.length);
    return { shape: self.shape, dtype: scanDtype(self.dtype, dtype) };
  },
  loop: ({ self, dim }, out) => scanLoop("cumprod", "prod", self, dim, out),
  vjp: ({ self, dim }, { grad, out, F }) => ({
    self: () => {
      if (self.ndim === 0) return castGrad(grad, self);
      const axis = axisOf("cumprod", dim, self.ndim);
      const tail = (x: TensorValue): TensorValue => reversed(x, axis, (g) => g.cumsum(axis));
      // Before the first zero the products divide by self; at the first zero the products run without it; after it all are 0.
      const isZero = self.eq(0);
      const zeros = isZero.cumsum(axis);
      const first = isZero.logicalAnd(zeros.eq(1));
      const without = F.where(first, 1, self).cumprod(axis);
      const before = tail(grad.mul(out)).div(F.where(isZero, 1, self));
      const at = F.where(first, tail(F.where(zeros.ge(1), grad.mul(without), 0)), 0);
      return castGrad(F.where(zeros.eq(0), before, at), self);
    },
  }),
  samples: (g) => [
    ...scanSamples(g),
    { name: "zeros", args: { self: g.tensor([2, 4], { values: [1, 0, 2, 3, 2, 0, 0, 1] }), dim: 1 } },
  ],
});

for (const [name, op, word] of [["running_max", "max", "largest"], ["running_min", "min", "smallest"]] as const) {
  defineOp({
    schema:
      `tessera::${name}(Tensor input, int dim) -> Tensor` as "tessera::running_max(Tensor input, int dim) -> Tensor",
    doc: `The ${word} element so far along dim; NaN from the first NaN on.`,
    meta: ({ input, dim }) => {
      axisOf(name, dim, input.shape.length);
      return { shape: input.shape, dtype: input.dtype };
    },
    loop: ({ input, dim }, out) => scanLoop(name, op, input, dim, out),
    // Each result is the element that cummax or cummin points to.
    vjp: ({ input, dim }, { grad, F }) => ({
      input: () => {
        const [, positions] = op === "max" ? F.cummax(input, dim) : F.cummin(input, dim);
        return input.ndim === 0 ? grad : input.zerosLike().scatterAdd(dim, positions, grad);
      },
    }),
    samples: (g) => [
      { args: { input: g.tensor([3, 5]), dim: 1 } },
      { name: "dim 0", args: { input: g.tensor([4, 3]), dim: 0 } },
    ],
  });
}

defineOp({
  schema: "aten::logcumsumexp(Tensor self, int dim) -> Tensor",
  doc: "log of the running sums of exp(self) along dim, without overflow.",
  meta: ({ self, dim }) => {
    axisOf("logcumsumexp", dim, self.shape.length);
    if (!self.dtype.isFloat) {
      throw new TypeError(
        `logcumsumexp: needs floating point numbers, got ${self.dtype.name}; convert with .to(float32)`,
      );
    }
    return { shape: self.shape, dtype: self.dtype };
  },
  loop: ({ self, dim }, out) => scanLoop("logcumsumexp", "logaddexp", self, dim, out),
  vjp: ({ self, dim }, { grad, out, F }) => ({
    self: () => {
      if (self.ndim === 0) return grad;
      const axis = axisOf("logcumsumexp", dim, self.ndim);
      // The sum over k ≥ i of grad_k · exp(self_i - out_k), positive and negative gradients apart, in logarithms.
      const part = (g: TensorValue): TensorValue =>
        reversed(g.log().sub(out), axis, (x) => x.logcumsumexp(axis)).add(self).exp();
      const positive = F.where(grad.gt(0), grad, 0);
      const negative = F.where(grad.lt(0), grad.neg(), 0);
      return part(positive).sub(part(negative));
    },
  }),
  samples: (g) => g.dtype.isFloat ? scanSamples(g) : [],
});
