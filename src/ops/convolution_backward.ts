/**
 * Gradients of convolution: each one loop, each differentiable itself.
 *
 * The input gradient gathers, for every input element, the windows that hold it. With stride 1 its index is affine. With a larger
 * stride, where the input's size divides by it, the residue of the position is a batch index, so that only kernel elements that can
 * meet it are visited (the sub-pixel form); otherwise positions that do not divide are masked. The weight gradient
 * contracts over samples and positions. The three operators close under differentiation: conv is linear in both operands.
 */
import { computeType } from "../core/mod.ts";
import { contraction, type LoopInput, type LoopNode, ops, reduction, type Value } from "../loops/mod.ts";
import { add, asExpr, type Expr, floorDiv, mod, mul, shapeToText, type Size, sizeMul, sub } from "../symbolic/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import {
  type ConvGeometry,
  convGeometry,
  convInputIndex,
  groupChannel,
  isDepthwise,
  perGroup,
  sumOverKernel,
} from "./convolution.ts";
import { defineOp } from "./define.ts";
import { checkSameDtype } from "./matmul.ts";
import type { Sample } from "./samples.ts";
import { both, exprsOf, insideCondition, insideShape, loadPadded, maskedBy, windowList } from "./window.ts";

const ZERO = asExpr(0);

/** Positions of the windows that hold input position `at` at kernel position `k`, and when there is one. */
function windowsHolding(
  g: ConvGeometry,
  at: readonly Expr[],
  k: readonly Expr[],
  sizes: readonly Expr[],
): { readonly index: Expr[]; readonly valid: Value | null } {
  let valid: Value | null = null;
  const index = at.map((e, d) => {
    const stride = g.stride[d] ?? 1;
    const offset = sub(add(e, g.padding[d] ?? 0), mul(k[d] ?? ZERO, g.dilation[d] ?? 1));
    const window = stride === 1 ? offset : floorDiv(offset, stride);
    if (stride > 1) valid = both(valid, ops.eq(ops.index(mod(offset, stride)), 0));
    valid = both(valid, insideCondition(window, sizes[d] ?? ZERO));
    return window;
  });
  return { index, valid };
}

/** The sub-pixel form: residues of each dimension are batch indices, kernel positions step by the stride. */
function subPixelInputGrad(
  grad: LoopInput,
  weight: LoopInput,
  g: ConvGeometry,
  kernel: readonly number[],
  out: TensorMeta,
): LoopNode {
  const accumulate = computeType(out.dtype);
  const [outChannels, inPerGroup = asExpr(1)] = weight.shape;
  const outPerGroup = perGroup(outChannels, g.groups);
  const strideOf = (d: number): number => g.stride[d] ?? 1;
  // Input position s·q + r, window q + (r + p) div s - j, kernel position (r + p) mod s + s·j.
  const kernelIndex = (r: readonly Expr[], j: readonly Expr[]): Expr[] =>
    j.map((e, d) => add(mod(add(r[d] ?? ZERO, g.padding[d] ?? 0), strideOf(d)), mul(e, strideOf(d))));
  return contraction({
    dtype: out.dtype,
    accumulate,
    batch: [g.groups, ...g.stride],
    m: [inPerGroup],
    n: [out.shape[0] ?? 1, ...exprsOf(out.shape.slice(2)).map((e, d) => floorDiv(e, strideOf(d)))],
    k: [outPerGroup, ...kernel.map((size, d) => Math.ceil(size / strideOf(d)))],
    a: ({ batch: [group, ...r], m: [c], k: [o, ...j] }) => {
      const at = kernelIndex(r, j);
      const load = weight.load([groupChannel(group, outPerGroup, o), c ?? ZERO, ...at]);
      return ops.cast(maskedBy(insideShape(at, kernel.map(asExpr)), load, 0), accumulate);
    },
    b: ({ batch: [group, ...r], n: [sample, ...q], k: [o, ...j] }) => {
      const window = q.map((e, d) =>
        sub(add(e, floorDiv(add(r[d] ?? ZERO, g.padding[d] ?? 0), strideOf(d))), j[d] ?? ZERO)
      );
      const x = loadPadded(grad, [sample ?? ZERO, groupChannel(group, outPerGroup, o), ...window], 0);
      return ops.cast(x, accumulate);
    },
    out: ({ batch: [group, ...r], m: [c], n: [sample, ...q] }) => [
      sample ?? ZERO,
      groupChannel(group, inPerGroup, c),
      ...q.map((e, d) => add(mul(e, strideOf(d)), r[d] ?? ZERO)),
    ],
  });
}

/** The kernel's sizes if the sub-pixel form applies: some stride above 1, no dilation, an input that divides by the stride. */
function subPixelKernel(g: ConvGeometry, weight: LoopInput, size: readonly Size[]): number[] | null {
  if (g.stride.every((s) => s === 1) || g.dilation.some((d) => d !== 1)) return null;
  if (!size.every((n, d) => typeof n === "number" && n % (g.stride[d] ?? 1) === 0)) return null;
  const kernel = weight.shape.slice(2).map((e) => e.kind === "const" ? e.value : -1);
  return kernel.every((k) => k > 0) ? kernel : null;
}

/** How the windows of a sample lie. */
function geometry(
  stride: readonly number[],
  padding: readonly number[],
  dilation: readonly number[] = stride.map(() => 1),
  groups = 1,
): Sample["args"] {
  return { stride, padding, dilation, groups };
}

defineOp({
  schema:
    "tessera::conv_input_grad(Tensor grad, Tensor weight, SymInt[] input_size, int[] stride, int[] padding, int[] dilation, int groups) -> Tensor",
  doc: "The gradient of a convolution by its input; also the transposed convolution.",
  meta: ({ grad, weight, inputSize, groups }) => ({
    shape: [grad.shape[0] ?? 1, sizeMul(weight.shape[1] ?? 1, groups), ...inputSize],
    dtype: checkSameDtype("conv_input_grad", grad, weight),
  }),
  loop: ({ grad, weight, stride, padding, dilation, groups }, out) => {
    const g = convGeometry({ stride, padding, dilation, groups });
    const accumulate = computeType(out.dtype);
    const [outChannels, inPerGroup = asExpr(1), ...kernel] = weight.shape;
    const outPerGroup = perGroup(outChannels, g.groups);
    const windows = grad.shape.slice(2);
    if (isDepthwise(inPerGroup, g.groups)) {
      return sumOverKernel(out, [outPerGroup, ...kernel], ([n = ZERO, c, ...at], [o, ...k]) => {
        const channel = groupChannel(c, outPerGroup, o);
        const { index, valid } = windowsHolding(g, at, k, windows);
        const x = maskedBy(valid, grad.load([n, channel, ...index]), 0);
        return ops.mul(ops.cast(x, accumulate), ops.cast(weight.load([channel, ZERO, ...k]), accumulate));
      });
    }
    const subPixel = subPixelKernel(g, weight, out.shape.slice(2));
    if (subPixel !== null) return subPixelInputGrad(grad, weight, g, subPixel, out);
    return contraction({
      dtype: out.dtype,
      accumulate,
      batch: [g.groups],
      m: [inPerGroup],
      n: [out.shape[0] ?? 1, ...out.shape.slice(2)],
      k: [outPerGroup, ...kernel],
      a: ({ batch, m: [c], k: [o, ...k] }) =>
        ops.cast(weight.load([groupChannel(batch[0], outPerGroup, o), c ?? ZERO, ...k]), accumulate),
      b: ({ batch, n: [sample, ...at], k: [o, ...k] }) => {
        const { index, valid } = windowsHolding(g, at, k, windows);
        const x = grad.load([sample ?? ZERO, groupChannel(batch[0], outPerGroup, o), ...index]);
        return ops.cast(maskedBy(valid, x, 0), accumulate);
      },
      out: ({ batch, m, n: [sample, ...at] }) => [sample ?? ZERO, groupChannel(batch[0], inPerGroup, m[0]), ...at],
    });
  },
  vjp: (args, { grad, F }) => {
    const { stride, padding, dilation, groups } = args;
    return {
      grad: () => F.conv(grad, args.weight, args.grad.shape.slice(2), stride, padding, dilation, groups),
      weight: () => F.convWeightGrad(grad, args.grad, args.weight.shape.slice(2), stride, padding, dilation, groups),
    };
  },
  samples: (g) => [
    {
      args: {
        grad: g.tensor([2, 4, 5, 5]),
        weight: g.tensor([4, 3, 3, 3]),
        inputSize: [5, 5],
        ...geometry([1, 1], [1, 1]),
      },
    },
    {
      name: "stride that divides the input",
      args: {
        grad: g.tensor([1, 4, 3, 2]),
        weight: g.tensor([4, 1, 3, 2]),
        inputSize: [6, 4],
        ...geometry([2, 2], [1, 0]),
      },
    },
    {
      name: "stride that leaves a rest",
      args: {
        grad: g.tensor([1, 4, 3]),
        weight: g.tensor([4, 2, 3]),
        inputSize: [7],
        ...geometry([3], [1], [2], 2),
      },
    },
    {
      name: "depthwise",
      args: {
        grad: g.tensor([1, 4, 3]),
        weight: g.tensor([4, 1, 3]),
        inputSize: [5],
        ...geometry([2], [1], [1], 2),
      },
    },
  ],
});

defineOp({
  schema:
    "tessera::conv_weight_grad(Tensor input, Tensor grad, SymInt[] kernel_size, int[] stride, int[] padding, int[] dilation, int groups) -> Tensor",
  doc: "The gradient of a convolution by its weight.",
  meta: ({ input, grad, kernelSize, groups }) => {
    const channels = input.shape[1] ?? 1;
    const count = Number(groups);
    if (typeof channels === "number" && channels % count !== 0) {
      throw new TypeError(`conv_weight_grad: ${channels} channels do not divide into ${count} groups`);
    }
    return {
      shape: [
        grad.shape[1] ?? 1,
        typeof channels === "number" ? channels / count : channels.floorDiv(count),
        ...kernelSize,
      ],
      dtype: checkSameDtype("conv_weight_grad", input, grad),
    };
  },
  loop: ({ input, grad, stride, padding, dilation, groups }, out) => {
    const g = convGeometry({ stride, padding, dilation, groups });
    const accumulate = computeType(out.dtype);
    const [outChannels = asExpr(1), inPerGroup = asExpr(1), ...kernel] = exprsOf(out.shape);
    const outPerGroup = perGroup(outChannels, g.groups);
    const samples = grad.shape[0] ?? asExpr(1);
    const windows = grad.shape.slice(2);
    if (isDepthwise(inPerGroup, g.groups)) {
      return reduction("sum", out.shape, [samples, ...windows], ([o = ZERO, , ...k], [n = ZERO, ...at]) => {
        const x = loadPadded(input, [n, floorDiv(o, outPerGroup), ...convInputIndex(g, at, k)], 0);
        return ops.mul(ops.cast(x, accumulate), ops.cast(grad.load([n, o, ...at]), accumulate));
      }, out.dtype);
    }
    // On CUDA channels are innermost: neighbours in memory, which the copy engine brings for a place of the window.
    const channelsLast = out.device.type === "cuda";
    const split = (n: readonly Expr[]): { readonly c: Expr; readonly k: readonly Expr[] } =>
      channelsLast ? { c: n.at(-1) ?? ZERO, k: n.slice(0, -1) } : { c: n[0] ?? ZERO, k: n.slice(1) };
    return contraction({
      dtype: out.dtype,
      accumulate,
      batch: [g.groups],
      m: [outPerGroup],
      n: channelsLast ? [...kernel, inPerGroup] : [inPerGroup, ...kernel],
      k: [samples, ...windows],
      a: ({ batch, m, k: [n, ...at] }) =>
        ops.cast(grad.load([n ?? ZERO, groupChannel(batch[0], outPerGroup, m[0]), ...at]), accumulate),
      b: ({ batch, n: places, k: [n, ...at] }) => {
        const { c, k } = split(places);
        const x = loadPadded(input, [n ?? ZERO, groupChannel(batch[0], inPerGroup, c), ...convInputIndex(g, at, k)], 0);
        return ops.cast(x, accumulate);
      },
      out: ({ batch, m, n: places }) => {
        const { c, k } = split(places);
        return [groupChannel(batch[0], outPerGroup, m[0]), c, ...k];
      },
    });
  },
  vjp: (args, { grad, F }) => {
    const { input, stride, padding, dilation, groups } = args;
    return {
      input: () => F.convInputGrad(args.grad, grad, input.shape.slice(2), stride, padding, dilation, groups),
      grad: () => F.conv(input, grad, args.grad.shape.slice(2), stride, padding, dilation, groups),
    };
  },
  samples: (g) => [
    {
      args: {
        input: g.tensor([2, 3, 5, 4]),
        grad: g.tensor([2, 4, 3, 2]),
        kernelSize: [3, 3],
        ...geometry([2, 2], [1, 1]),
      },
    },
    {
      name: "depthwise",
      args: {
        input: g.tensor([2, 2, 5]),
        grad: g.tensor([2, 4, 3]),
        kernelSize: [3],
        ...geometry([2], [1], [1], 2),
      },
    },
  ],
});

defineOp({
  schema:
    "aten::convolution_backward(Tensor grad_output, Tensor input, Tensor weight, SymInt[]? bias_sizes, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups, bool[3] output_mask) -> (Tensor, Tensor, Tensor)",
  doc: "Gradients of a convolution by input, weight and bias.",
  meta: ({ gradOutput, input, weight, transposed }) => {
    if (gradOutput.shape.length !== input.shape.length || input.shape.length !== weight.shape.length) {
      throw new TypeError(
        `convolution_backward: grad ${shapeToText(gradOutput.shape)}, input ${shapeToText(input.shape)} and weight ${
          shapeToText(weight.shape)
        } must have one rank`,
      );
    }
    const channels = gradOutput.shape[1] ?? 1;
    if (!input.dtype.isFloat) {
      throw new TypeError(`convolution_backward: needs floating point tensors, got ${input.dtype.name}`);
    }
    checkSameDtype(`convolution_backward${transposed ? " (transposed)" : ""}`, gradOutput, input);
    return [
      { shape: input.shape, dtype: input.dtype },
      { shape: weight.shape, dtype: weight.dtype },
      { shape: [channels], dtype: input.dtype },
    ];
  },
  decompose: (args, F) => {
    const { gradOutput, input, weight, transposed, groups } = args;
    const rank = weight.ndim - 2;
    const list = (name: string, value: readonly Size[], least: number): number[] =>
      windowList("convolution_backward", name, value, rank, least);
    const stride = list("stride", args.stride, 1);
    const padding = list("padding", args.padding, 0);
    const dilation = list("dilation", args.dilation, 1);
    const kernel = weight.shape.slice(2);
    const sumDims = [0, ...Array.from({ length: rank }, (_, d) => d + 2)];
    const bias = gradOutput.sum(sumDims);
    if (transposed) {
      return [
        F.conv(gradOutput, weight, input.shape.slice(2), stride, padding, dilation, groups),
        F.convWeightGrad(gradOutput, input, kernel, stride, padding, dilation, groups),
        bias,
      ];
    }
    return [
      F.convInputGrad(gradOutput, weight, input.shape.slice(2), stride, padding, dilation, groups),
      F.convWeightGrad(input, gradOutput, kernel, stride, padding, dilation, groups),
      bias,
    ];
  },
  samples: (g) => [
    {
      args: {
        gradOutput: g.tensor([2, 4, 3, 3]),
        input: g.tensor([2, 3, 5, 5]),
        weight: g.tensor([4, 3, 3, 3]),
        biasSizes: [4],
        stride: [2, 2],
        padding: [1, 1],
        dilation: [1, 1],
        transposed: false,
        outputPadding: [0, 0],
        groups: 1,
        outputMask: [true, true, true],
      },
    },
  ],
});
