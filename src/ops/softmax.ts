/**
 * Softmax and log-softmax along one dimension.
 *
 * Written with amax, exp and sum so that each direction fuses to one kernel over the reduced dimension; computed in float32 for half
 * types. The gradients need only the result. Mirrors ATen's SoftMax.cpp and Inductor's decompositions.
 */
import { computeType, type DType, float16, float32, normalizeAxis } from "../core/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";
import { sameShape, shapeToText, type Size, sizeIsZero } from "../symbolic/mod.ts";

function floatSpec(where: string, self: MetaInput, dim: Size, dtype: DType): TensorSpec {
  normalizeAxis(Number(dim), self.shape.length, where);
  if (!dtype.isFloat) {
    throw new TypeError(
      `${where}: needs a floating point tensor, got ${dtype.name}; name a dtype or convert with .to(float32)`,
    );
  }
  return { shape: self.shape, dtype };
}

/** Checks and result dtype of the forms that take `half_to_float`. */
function rawSpec(where: string, self: MetaInput, dim: Size, halfToFloat: boolean): TensorSpec {
  if (halfToFloat && self.dtype !== float16) {
    throw new TypeError(`${where}: half_to_float needs a float16 tensor, got ${self.dtype.name}`);
  }
  return floatSpec(where, self, dim, halfToFloat ? float32 : self.dtype);
}

/** The axis as a number in range. */
function axisOf(self: TensorValue, dim: Size): number {
  return normalizeAxis(Number(dim), self.ndim, "softmax");
}

/** Whether there is nothing to normalise. */
function isEmptyAlong(self: TensorValue, axis: number): boolean {
  const size = self.shape[axis];
  return size !== undefined && sizeIsZero(size);
}

function samples(g: SampleGenerator): Sample[] {
  return [
    { args: { self: g.tensor([3, 4]), dim: -1, halfToFloat: false } },
    { name: "middle", args: { self: g.tensor([2, 3, 4]), dim: 1, halfToFloat: false } },
  ];
}

function namedSamples(g: SampleGenerator): Sample[] {
  return [
    { args: { self: g.tensor([3, 4]), dim: -1 } },
    { name: "first", args: { self: g.tensor([3, 4], { permuted: [1, 0] }), dim: 0 } },
    { name: "scalar", args: { self: g.tensor([]), dim: 0 } },
    { name: "to float32", args: { self: g.tensor([3, 4]), dim: 1, dtype: float32 } },
    { name: "large", args: { self: g.tensor([1, 3], { values: [60000, 0, -60000] }), dim: 1 }, differentiate: false },
  ];
}

defineOp({
  schema: "aten::_softmax(Tensor self, int dim, bool half_to_float) -> Tensor",
  doc: "exp(x) / sum(exp(x)) along a dimension.",
  meta: ({ self, dim, halfToFloat }) => rawSpec("softmax", self, dim, halfToFloat),
  decompose: ({ self, dim, halfToFloat }) => {
    const axis = axisOf(self, dim);
    const dtype = halfToFloat ? float32 : self.dtype;
    if (isEmptyAlong(self, axis)) return self.to(dtype, false, true);
    const x = self.to(computeType(self.dtype));
    const e = x.sub(x.amax([axis], true)).exp();
    return e.div(e.sum([axis], true)).to(dtype).contiguous();
  },
  vjp: ({ self, dim }, { grad, out, F }) => ({
    self: () => F._softmaxBackwardData(grad, out, dim, self.dtype),
  }),
  samples,
});

function backwardSpec(
  where: string,
  { gradOutput, output, inputDtype }: {
    readonly gradOutput: MetaInput;
    readonly output: MetaInput;
    readonly inputDtype: DType;
  },
): TensorSpec {
  if (!sameShape(gradOutput.shape, output.shape)) {
    throw new TypeError(
      `${where}: grad_output ${shapeToText(gradOutput.shape)} must have the shape of output ${
        shapeToText(output.shape)
      }`,
    );
  }
  if (gradOutput.dtype !== output.dtype) {
    throw new TypeError(
      `${where}: grad_output is ${gradOutput.dtype.name}, output ${output.dtype.name}: convert one of them`,
    );
  }
  return { shape: output.shape, dtype: inputDtype };
}

defineOp({
  schema: "aten::_softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor",
  doc: "The gradient of softmax, from its result.",
  meta: (args) => backwardSpec("_softmax_backward_data", args),
  decompose: ({ gradOutput, output, dim, inputDtype }) => {
    const compute = computeType(output.dtype);
    const y = output.to(compute);
    const weighted = gradOutput.to(compute).mul(y);
    return weighted.sub(y.mul(weighted.sum([axisOf(output, dim)], true))).to(inputDtype).contiguous();
  },
  samples: (g) => [
    { args: { gradOutput: g.tensor([3, 4]), output: g.tensor([3, 4]), dim: 1, inputDtype: g.dtype } },
  ],
});

defineOp({
  schema: "aten::softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
  doc: "exp(x) / sum(exp(x)) along a dimension: non-negative numbers that sum to 1.",
  meta: ({ self, dim, dtype }) => floatSpec("softmax", self, dim, dtype ?? self.dtype),
  decompose: ({ self, dim, dtype }) => self.to(dtype ?? self.dtype)._softmax(dim, false),
  samples: namedSamples,
});

defineOp({
  schema: "aten::_log_softmax(Tensor self, int dim, bool half_to_float) -> Tensor",
  doc: "x - log(sum(exp(x))) along a dimension.",
  meta: ({ self, dim, halfToFloat }) => rawSpec("log_softmax", self, dim, halfToFloat),
  decompose: ({ self, dim, halfToFloat }) => {
    const axis = axisOf(self, dim);
    const dtype = halfToFloat ? float32 : self.dtype;
    if (isEmptyAlong(self, axis)) return self.to(dtype, false, true);
    const x = self.to(computeType(self.dtype));
    const shifted = x.sub(x.amax([axis], true));
    return shifted.sub(shifted.exp().sum([axis], true).log()).to(dtype).contiguous();
  },
  vjp: ({ self, dim }, { grad, out, F }) => ({
    self: () => F._logSoftmaxBackwardData(grad, out, dim, self.dtype),
  }),
  samples,
});

defineOp({
  schema:
    "aten::_log_softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor",
  doc: "The gradient of log_softmax, from its result.",
  meta: (args) => backwardSpec("_log_softmax_backward_data", args),
  decompose: ({ gradOutput, output, dim, inputDtype }) => {
    const compute = computeType(output.dtype);
    const g = gradOutput.to(compute);
    return g.sub(output.to(compute).exp().mul(g.sum([axisOf(output, dim)], true))).to(inputDtype).contiguous();
  },
  samples: (g) => [
    { args: { gradOutput: g.tensor([3, 4]), output: g.tensor([3, 4]), dim: 1, inputDtype: g.dtype } },
  ],
});

defineOp({
  schema: "aten::log_softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
  doc: "The logarithm of softmax, without its overflow.",
  meta: ({ self, dim, dtype }) => floatSpec("log_softmax", self, dim, dtype ?? self.dtype),
  decompose: ({ self, dim, dtype }) => self.to(dtype ?? self.dtype)._logSoftmax(dim, false),
  samples: namedSamples,
});
