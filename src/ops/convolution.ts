/**
 * Convolution in one, two and three dimensions.
 *
 * `tessera::conv` is one contraction: batch = groups, m = output channels of a group, n = batch and output positions, k = input channels
 * of a group and kernel positions; loads are masked where the window leaves the input. Where each group has one input channel
 * (depthwise), products are few and the loop is pointwise or a plain reduction instead. `aten::convolution` and the named forms are
 * written with it; a transposed convolution is the input gradient of a plain one. Gradients are in `convolution_backward.ts`.
 * Mirrors ATen's Convolution.cpp.
 */
import { computeType } from "../core/mod.ts";
import { contraction, type LoopInput, type LoopNode, ops, pointwise, reduction, type Value } from "../loops/mod.ts";
import {
  add,
  asExpr,
  type Expr,
  floorDiv,
  mul,
  shapeToText,
  type Size,
  sizeAdd,
  sizeEq,
  sizeIsZero,
  sizeMul,
  sizeSub,
} from "../symbolic/mod.ts";
import type { ArgsOf, TensorMeta } from "../graph/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { checkSameDtype } from "./matmul.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";
import { loadPadded, product, UNROLL_LIMIT, windowCount, windowList, windowPositions } from "./window.ts";

/** Padding before and after a dimension. */
export type PaddingPair = readonly [number, number];

/** Stride, padding before, and dilation of each spatial dimension. */
export interface ConvGeometry {
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly groups: number;
}

/** Reads the lists of an internal convolution, whose lengths are known to be right. */
export function convGeometry(args: {
  readonly stride: readonly Size[];
  readonly padding: readonly Size[];
  readonly dilation: readonly Size[];
  readonly groups: Size;
}): ConvGeometry {
  return {
    stride: args.stride.map(Number),
    padding: args.padding.map(Number),
    dilation: args.dilation.map(Number),
    groups: Number(args.groups),
  };
}

/** The index into the input, at output position `at` and kernel position `k`: stride·at + dilation·k - padding. */
export function convInputIndex(g: ConvGeometry, at: readonly Expr[], k: readonly Expr[]): Expr[] {
  return at.map((e, d) =>
    add(mul(e, g.stride[d] ?? 1), mul(k[d] ?? asExpr(0), g.dilation[d] ?? 1), -(g.padding[d] ?? 0))
  );
}

/** Channel `c` of group `g`, of groups with `size` channels. */
export function groupChannel(g: Expr | undefined, size: Expr, c: Expr | undefined): Expr {
  return add(mul(g ?? asExpr(0), size), c ?? asExpr(0));
}

/** Channels of one group. */
export function perGroup(channels: Expr | undefined, groups: number): Expr {
  return floorDiv(channels ?? asExpr(1), groups);
}

/** Tells whether each group has one input channel and there are several groups. */
export function isDepthwise(inPerGroup: Expr | undefined, groups: number): boolean {
  return groups > 1 && inPerGroup?.kind === "const" && inPerGroup.value === 1;
}

/** Numeric kernel sizes, or null if one is symbolic. */
export function staticKernel(kernel: readonly Expr[]): number[] | null {
  const out: number[] = [];
  for (const e of kernel) {
    if (e.kind !== "const") return null;
    out.push(e.value);
  }
  return out;
}

/** Sums `term` over kernel positions: unrolled if they are no more than `limit`. */
export function sumOverKernel(
  out: TensorMeta,
  kernel: readonly Expr[],
  term: (index: readonly Expr[], k: readonly Expr[]) => Value,
  limit: number = UNROLL_LIMIT,
): LoopNode {
  const sizes = staticKernel(kernel);
  if (sizes === null || product(sizes) > limit) return reduction("sum", out.shape, kernel, term, out.dtype);
  return pointwise(out.shape, (index) => {
    const terms = windowPositions(sizes).map((k) => term(index, k.map(asExpr)));
    const [first, ...rest] = terms;
    const sum = first === undefined
      ? ops.constant(0, computeType(out.dtype))
      : rest.reduce((a, b) => ops.add(a, b), first);
    return ops.cast(sum, out.dtype);
  });
}

/** Depthwise windows of more places than this stay loops on the CPU. */
const SMALL_WINDOW = 16;

/** One input channel a group: each output channel is a short sum over its window. */
function depthwise(input: LoopInput, weight: LoopInput, g: ConvGeometry, out: TensorMeta): LoopNode {
  const accumulate = computeType(out.dtype);
  const outPerGroup = perGroup(weight.shape[0], g.groups);
  return sumOverKernel(out, weight.shape.slice(2), ([n = asExpr(0), o = asExpr(0), ...at], k) => {
    const x = loadPadded(input, [n, floorDiv(o, outPerGroup), ...convInputIndex(g, at, k)], 0);
    return ops.mul(ops.cast(x, accumulate), ops.cast(weight.load([o, asExpr(0), ...k]), accumulate));
    // A window that slides shares its loads on CUDA, and its masks on the CPU, if it is still a loop there.
  }, out.device.type === "cuda" ? 1 : SMALL_WINDOW);
}

defineOp({
  schema:
    "tessera::conv(Tensor input, Tensor weight, SymInt[] output_size, int[] stride, int[] padding, int[] dilation, int groups) -> Tensor",
  doc: "Convolution without bias; padding is that before the first element, the output size says how far windows go.",
  meta: ({ input, weight, outputSize }) => ({
    shape: [input.shape[0] ?? 1, weight.shape[0] ?? 1, ...outputSize],
    dtype: checkSameDtype("conv", input, weight),
  }),
  loop: ({ input, weight, stride, padding, dilation, groups }, out) => {
    const g = convGeometry({ stride, padding, dilation, groups });
    const [outChannels, inPerGroup, ...kernel] = weight.shape;
    if (isDepthwise(inPerGroup, g.groups)) return depthwise(input, weight, g, out);
    const accumulate = computeType(out.dtype);
    const outPerGroup = perGroup(outChannels, g.groups);
    const inSize = inPerGroup ?? asExpr(1);
    return contraction({
      dtype: out.dtype,
      accumulate,
      batch: [g.groups],
      m: [outPerGroup],
      n: [out.shape[0] ?? 1, ...out.shape.slice(2)],
      k: [inSize, ...kernel],
      a: ({ batch, m, k }) => ops.cast(weight.load([groupChannel(batch[0], outPerGroup, m[0]), ...k]), accumulate),
      b: ({ batch, n: [sample, ...at], k: [c, ...k] }) =>
        ops.cast(
          loadPadded(
            input,
            [sample ?? asExpr(0), groupChannel(batch[0], inSize, c), ...convInputIndex(g, at, k)],
            0,
          ),
          accumulate,
        ),
      out: ({ batch, m, n: [sample, ...at] }) => [
        sample ?? asExpr(0),
        groupChannel(batch[0], outPerGroup, m[0]),
        ...at,
      ],
    });
  },
  vjp: ({ input, weight, stride, padding, dilation, groups }, { grad, F }) => ({
    input: () => F.convInputGrad(grad, weight, input.shape.slice(2), stride, padding, dilation, groups),
    weight: () => F.convWeightGrad(input, grad, weight.shape.slice(2), stride, padding, dilation, groups),
  }),
  samples: (g) => [
    {
      args: {
        input: g.tensor([2, 3, 5, 5]),
        weight: g.tensor([4, 3, 3, 3]),
        outputSize: [5, 5],
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
        groups: 1,
      },
    },
    {
      name: "depthwise, uneven padding",
      args: {
        input: g.tensor([1, 2, 6]),
        weight: g.tensor([4, 1, 4]),
        outputSize: [6],
        stride: [1],
        padding: [1],
        dilation: [1],
        groups: 2,
      },
    },
  ],
});

/** The checks that all convolutions share, on batched input. */
function checkConv(
  where: string,
  input: MetaInput,
  weight: MetaInput,
  bias: MetaInput | null,
  groups: number,
  transposed: boolean,
): void {
  const shapes = `input ${shapeToText(input.shape)}, weight ${shapeToText(weight.shape)}, groups ${groups}`;
  if (!Number.isInteger(groups) || groups < 1) {
    throw new RangeError(`${where}: groups must be at least 1, got ${groups}`);
  }
  const inChannels = input.shape[1] ?? 1;
  const expected = transposed ? weight.shape[0] ?? 1 : sizeMul(weight.shape[1] ?? 1, groups);
  if (!sizeEq(inChannels, expected)) {
    throw new TypeError(
      `${where}: the weight expects ${expected} input channels, but the input has ${inChannels}: ${shapes}`,
    );
  }
  if (transposed && input.shape.slice(2).some(sizeIsZero)) {
    throw new TypeError(`${where}: the input has an empty dimension other than batch and channels: ${shapes}`);
  }
  const first = weight.shape[0] ?? 1;
  if (weight.shape.some((s, d) => sizeIsZero(s) && (d !== 1 || transposed))) {
    throw new TypeError(`${where}: the weight has an empty dimension: ${shapes}`);
  }
  if (typeof first === "number" && first % groups !== 0) {
    throw new TypeError(`${where}: ${first} channels of the weight do not divide into groups: ${shapes}`);
  }
  checkSameDtype(where, input, weight);
  if (bias !== null) {
    checkSameDtype(where, weight, bias);
    const channels = transposed ? sizeMul(weight.shape[1] ?? 1, groups) : first;
    if (bias.shape.length !== 1 || !sizeEq(bias.shape[0] ?? 0, channels)) {
      throw new TypeError(`${where}: bias ${shapeToText(bias.shape)} must be [${channels}]: ${shapes}`);
    }
  }
}

/** Size of a transposed convolution's result: what a plain convolution would need to give `size`. */
function transposedSize(
  size: Size,
  kernel: Size,
  stride: number,
  padding: number,
  dilation: number,
  extra: number,
): Size {
  const reach = sizeMul(sizeSub(kernel, 1), dilation);
  return sizeAdd(sizeAdd(sizeMul(sizeSub(size, 1), stride), reach), 1 + extra - 2 * padding);
}

/** Adds a bias to channels, which stand before `rank` spatial dimensions, and rounds to the bias' dtype. */
function addBias(out: TensorValue, bias: TensorValue | null, rank: number): TensorValue {
  if (bias === null) return out;
  const wide = bias.to(out.dtype).reshape([bias.shape[0] ?? 1, ...new Array<number>(rank).fill(1)]);
  return out.add(wide).to(bias.dtype);
}

/** An operand of a convolution to which a bias is added: in float32 on the processor, so that half types are rounded once. */
function beforeBias(operand: TensorValue, bias: TensorValue | null): TensorValue {
  return bias === null || operand.device.type !== "cpu" ? operand : operand.to(computeType(operand.dtype));
}

/** A plain convolution of batched or unbatched input, padded by (before, after) in each dimension. */
export function convWithBias(
  F: Functional,
  input: TensorValue,
  weight: TensorValue,
  bias: TensorValue | null,
  g: {
    readonly stride: readonly number[];
    readonly padding: readonly PaddingPair[];
    readonly dilation: readonly number[];
    readonly groups: Size;
  },
): TensorValue {
  const rank = weight.ndim - 2;
  const batched = input.ndim === rank + 2 ? input : input.unsqueeze(0);
  const size = g.stride.map((s, d) =>
    windowCount(batched.shape[d + 2] ?? 1, weight.shape[d + 2] ?? 1, s, g.padding[d] ?? [0, 0], g.dilation[d] ?? 1)
  );
  const [x, w] = [beforeBias(batched, bias), beforeBias(weight, bias)];
  const out = F.conv(x, w, size, g.stride, g.padding.map((p) => p[0]), g.dilation, g.groups);
  return addBias(input.ndim === rank + 2 ? out : out.squeeze(0), bias, rank);
}

type ConvolutionSchema =
  "aten::convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups) -> Tensor";

/** Shape and dtype of a convolution; `input` may lack the batch dimension. `padding` is that of both sides. */
export function convolutionSpec(
  where: string,
  rank: number,
  args: ArgsOf<ConvolutionSchema, MetaInput>,
  paddings?: readonly PaddingPair[],
): TensorSpec {
  const { weight, bias, transposed } = args;
  if (
    weight.shape.length !== rank + 2 || (args.input.shape.length !== rank + 2 && args.input.shape.length !== rank + 1)
  ) {
    throw new TypeError(
      `${where}: needs an input with ${rank + 1} or ${rank + 2} dimensions and a weight with ${rank + 2}, got input ${
        shapeToText(args.input.shape)
      }, weight ${shapeToText(weight.shape)}`,
    );
  }
  const batched = args.input.shape.length === rank + 2;
  const input = batched ? args.input : { ...args.input, shape: [1, ...args.input.shape] };
  const groups = Number(args.groups);
  checkConv(where, input, weight, bias, groups, transposed);
  const stride = windowList(where, "stride", args.stride, rank, 1);
  const dilation = windowList(where, "dilation", args.dilation, rank, 1);
  const padding = paddings ?? windowList(where, "padding", args.padding, rank, 0).map((p) => [p, p] as const);
  const extra = windowList(where, "output_padding", args.outputPadding, rank, 0, new Array<number>(rank).fill(0));
  const spatial = Array.from({ length: rank }, (_, d): Size => {
    const size = input.shape[d + 2] ?? 1, kernel = weight.shape[d + 2] ?? 1;
    const s = stride[d] ?? 1, p = padding[d] ?? [0, 0] as const, dil = dilation[d] ?? 1, e = extra[d] ?? 0;
    if (!transposed) {
      const count = windowCount(size, kernel, s, p, dil);
      if (typeof count === "number" && count < 1) {
        throw new TypeError(
          `${where}: the kernel ${
            shapeToText(weight.shape.slice(2))
          } (dilation ${dil}) is larger than the padded input ${shapeToText(input.shape.slice(2))} (padding ${
            p.join(" and ")
          })`,
        );
      }
      return count;
    }
    if (e >= Math.max(s, dil)) {
      throw new RangeError(`${where}: output_padding ${e} must be smaller than the stride ${s} or the dilation ${dil}`);
    }
    return transposedSize(size, kernel, s, p[0], dil, e);
  });
  const channels = transposed ? sizeMul(weight.shape[1] ?? 1, groups) : weight.shape[0] ?? 1;
  const shape = [input.shape[0] ?? 1, channels, ...spatial];
  return { shape: batched ? shape : shape.slice(1), dtype: input.dtype };
}

defineOp({
  schema:
    "aten::convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups) -> Tensor",
  doc: "Convolution, plain or transposed, in one to three dimensions, with bias.",
  meta: (args) => convolutionSpec("convolution", args.weight.shape.length - 2, args),
  decompose: (args, F) => {
    const { input, weight, bias, transposed } = args;
    const rank = weight.ndim - 2;
    const at = (list: readonly Size[], name: string, least: number): number[] =>
      windowList("convolution", name, list, rank, least);
    const stride = at(args.stride, "stride", 1);
    const padding = at(args.padding, "padding", 0);
    const dilation = at(args.dilation, "dilation", 1);
    const extra = windowList("convolution", "output_padding", args.outputPadding, rank, 0, stride.map(() => 0));
    if (!transposed) {
      return convWithBias(F, input, weight, bias, {
        stride,
        padding: padding.map((p) => [p, p] as const),
        dilation,
        groups: args.groups,
      });
    }
    const size = stride.map((s, d) =>
      transposedSize(
        input.shape[input.ndim - rank + d] ?? 1,
        weight.shape[d + 2] ?? 1,
        s,
        padding[d] ?? 0,
        dilation[d] ?? 1,
        extra[d] ?? 0,
      )
    );
    const batched = input.ndim === rank + 2 ? input : input.unsqueeze(0);
    const [x, w] = [beforeBias(batched, bias), beforeBias(weight, bias)];
    const out = F.convInputGrad(x, w, size, stride, padding, dilation, args.groups);
    return addBias(input.ndim === rank + 2 ? out : out.squeeze(0), bias, rank);
  },
  samples: (g) => [
    sample(g, [1, 2, 5, 5], [3, 2, 3, 3], { stride: [2, 2], padding: [1, 1] }),
    sample(g, [1, 4, 5], [4, 3, 3], { transposed: true, stride: [2], outputPadding: [1], groups: 2 }),
  ],
});

/** A sample of `aten::convolution`. */
function sample(
  g: SampleGenerator,
  input: readonly number[],
  weight: readonly number[],
  options: Sample["args"] = {},
): Sample {
  const rank = weight.length - 2;
  const same = (n: number): number[] => new Array<number>(rank).fill(n);
  return {
    args: {
      input: g.tensor(input),
      weight: g.tensor(weight),
      bias: null,
      stride: same(1),
      padding: same(0),
      dilation: same(1),
      transposed: false,
      outputPadding: same(0),
      groups: 1,
      ...options,
    },
  };
}
