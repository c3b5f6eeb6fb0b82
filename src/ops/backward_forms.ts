/**
 * Gradients of elementwise operators under their own names, as graphs of training steps hold them: gelu_backward, threshold_backward, ….
 *
 * Each is the `vjp` of its operator, written with other operators: one source for both. Mirrors the `*_backward` functions of ATen that
 * `derivatives.yaml` names.
 */
import { getDefaultDtype, InternalError } from "../core/mod.ts";
import { broadcastShapes, sameShape, shapeToText } from "../symbolic/mod.ts";
import { promotedDtype, promotionOperand } from "./combinators.ts";
import { defineOp, findOp, type MetaInput, type NamedArgs, type Operator } from "./define.ts";
import { elementwiseStride } from "./layout.ts";
import type { Sample, SampleArg } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** The operator, the parameters of its gradient after grad_output, and arguments for a sample. */
const OF_INPUT: readonly (readonly [
  name: string,
  parameters: string,
  sample: Readonly<Record<string, SampleArg>>,
])[] = [
  ["threshold", "Tensor self, Scalar threshold", { threshold: 0.5 }],
  ["gelu", "Tensor self, *, str approximate='none'", { approximate: "tanh" }],
  ["silu", "Tensor self", {}],
  ["mish", "Tensor self", {}],
  ["hardswish", "Tensor self", {}],
  ["hardsigmoid", "Tensor self", {}],
  ["hardtanh", "Tensor self, Scalar min_val, Scalar max_val", { minVal: -1, maxVal: 1 }],
  ["leaky_relu", "Tensor self, Scalar negative_slope, bool self_is_result", {
    negativeSlope: 0.1,
    selfIsResult: false,
  }],
  ["softplus", "Tensor self, Scalar beta, Scalar threshold", { beta: 2, threshold: 20 }],
  ["softshrink", "Tensor self, Scalar lambd", { lambd: 0.5 }],
  ["hardshrink", "Tensor self, Scalar lambd", { lambd: 0.5 }],
  ["logit", "Tensor self, float? eps=None", { eps: 0.1 }],
  ["log_sigmoid", "Tensor self, Tensor buffer", {}],
];

function forward(name: string): Operator {
  const op = findOp(`aten.${name}.default`);
  if (op === null || op.vjp === null) throw new InternalError(`${name}_backward: ${name} has no gradient of its own`);
  return op;
}

function checkMeets(where: string, gradOutput: MetaInput, self: MetaInput): void {
  if (!sameShape(gradOutput.shape, self.shape)) {
    throw new TypeError(
      `${where}: grad_output ${shapeToText(gradOutput.shape)} must have the shape of self ${shapeToText(self.shape)}`,
    );
  }
}

for (const [name, parameters, sample] of OF_INPUT) {
  const where = `${name}_backward`;
  // ATen's one exception.
  const gradName = name === "hardshrink" ? "grad_out" : "grad_output";
  const gradKey = name === "hardshrink" ? "gradOut" : "gradOutput";
  const op = forward(name);
  const schema = `aten::${where}(Tensor ${gradName}, ${parameters}) -> Tensor`;
  defineOp({
    schema: schema as "aten::silu_backward(Tensor grad_output, Tensor self) -> Tensor",
    doc: `The gradient of ${name}.`,
    meta: (args) => {
      const grad = (args as unknown as Readonly<Record<string, MetaInput>>)[gradKey] ?? args.gradOutput;
      checkMeets(where, grad, args.self);
      const dtype = promotedDtype(where, [grad, args.self].map(promotionOperand), "default");
      return { shape: args.self.shape, dtype, stride: elementwiseStride(args.self.shape, [grad, args.self]) };
    },
    decompose: (args, F) => {
      const given = args as unknown as NamedArgs<TensorValue>;
      const grad = given[gradKey] as TensorValue;
      const own = Object.fromEntries(op.schema.args.map((a) => [a.key, given[a.key] ?? a.defaultValue]));
      // Rules that read the result of the operator get it.
      const context = {
        grad,
        grads: [grad],
        F,
        get out(): TensorValue {
          return op.target === "aten.threshold.default" ? args.self : resultOf(name, args.self, own, F);
        },
        get outs(): readonly TensorValue[] {
          return [context.out];
        },
      };
      const rule = op.vjp?.(own as NamedArgs<TensorValue>, context)["self"]?.();
      if (rule === null || rule === undefined || !("shape" in rule)) {
        throw new InternalError(`${where}: ${name} gave no gradient`);
      }
      return rule;
    },
    samples: (g): readonly Sample[] =>
      g.dtype.isFloat
        ? [{
          args: {
            [gradKey]: g.tensor([2, 3]),
            self: name === "logit" ? g.tensor([2, 3], { values: "uniform", low: 0.2, high: 0.8 }) : g.tensor([2, 3]),
            ...(name === "log_sigmoid" ? { buffer: g.tensor([0], { requiresGrad: false }) } : {}),
            ...sample,
          },
          differentiate: false,
        }]
        : [],
  });
}

function resultOf(
  name: string,
  self: TensorValue,
  args: Readonly<Record<string, unknown>>,
  F: object,
): TensorValue {
  const camel = name.replace(/_(\w)/g, (_, c: string) => c.toUpperCase());
  const { self: _, ...rest } = args;
  return (F as Readonly<Record<string, (self: TensorValue, options: object) => TensorValue>>)[camel]?.(self, rest) ??
    self;
}

for (const name of ["sigmoid", "tanh"] as const) {
  defineOp({
    schema: `aten::${name}_backward(Tensor grad_output, Tensor output) -> Tensor`,
    doc: `The gradient of ${name}, from its result.`,
    meta: ({ gradOutput, output }) => {
      const shape = broadcastShapes(`${name}_backward`, gradOutput.shape, output.shape);
      const dtype = promotedDtype(`${name}_backward`, [gradOutput, output].map(promotionOperand), "default");
      return { shape, dtype, stride: elementwiseStride(shape, [gradOutput, output]) };
    },
    decompose: ({ gradOutput, output }) =>
      name === "sigmoid"
        // In this order a gradient of 0 stays 0 where the products of the output alone overflow.
        ? gradOutput.mul(output.neg().add(1)).mul(output)
        : gradOutput.mul(output.mul(output).neg().add(1)),
    samples: (g) => g.dtype.isFloat ? [{ args: { gradOutput: g.tensor([2, 3]), output: g.tensor([2, 3]) } }] : [],
  });
}

defineOp({
  schema:
    "aten::elu_backward(Tensor grad_output, Scalar alpha, Scalar scale, Scalar input_scale, bool is_result, Tensor self_or_result) -> Tensor",
  doc: "The gradient of elu, from its input or its result.",
  meta: ({ gradOutput, selfOrResult }) => {
    checkMeets("elu_backward", gradOutput, selfOrResult);
    return {
      shape: selfOrResult.shape,
      dtype: selfOrResult.dtype,
      stride: elementwiseStride(selfOrResult.shape, [gradOutput, selfOrResult]),
    };
  },
  decompose: ({ gradOutput, alpha, scale, inputScale, isResult, selfOrResult: x }, F) => {
    const a = Number(alpha), s = Number(scale), t = Number(inputScale);
    const below = isResult ? x.add(a * s).mul(t) : x.mul(t).exp().mul(a * s * t);
    return gradOutput.mul(F.where(x.gt(0), F.fullLike(x, s), below));
  },
  samples: (g) =>
    g.dtype.isFloat
      ? [false, true].map((isResult) => ({
        args: {
          gradOutput: g.tensor([2, 3]),
          alpha: 1,
          scale: 1.5,
          inputScale: 1,
          isResult,
          selfOrResult: g.tensor([2, 3]),
        },
        differentiate: false,
      }))
      : [],
});

defineOp({
  schema: "aten::native_dropout_backward(Tensor grad_output, Tensor mask, float scale) -> Tensor",
  doc: "The gradient of native_dropout: grad_output × mask × scale.",
  meta: ({ gradOutput, mask }) => {
    const shape = broadcastShapes("native_dropout_backward", gradOutput.shape, mask.shape);
    return {
      shape,
      dtype: gradOutput.dtype.isFloat ? gradOutput.dtype : getDefaultDtype(),
      stride: elementwiseStride(shape, [gradOutput, mask]),
    };
  },
  decompose: ({ gradOutput, mask, scale }) =>
    gradOutput.mul(mask.to(gradOutput.dtype.isFloat ? gradOutput.dtype : getDefaultDtype()).mul(scale)),
  samples: (g) =>
    g.dtype.isFloat
      ? [{
        args: {
          gradOutput: g.tensor([2, 3]),
          mask: g.tensor([2, 3], { values: [1, 0, 1, 1, 0, 1], requiresGrad: false }),
          scale: 2,
        },
      }]
      : [],
});
