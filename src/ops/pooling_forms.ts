/**
 * Average and adaptive pooling under ATen's names.
 *
 * Averages are `tessera::avg_pool`; adaptive maxima are found by their position and then gathered, so that their gradient is that of a
 * gather.
 */
import { computeType, int64 } from "../core/mod.ts";
import { ops, pointwise, reduction, type Value } from "../loops/mod.ts";
import { add, asExpr, type Expr, shapeToText, type Size, sizeLt } from "../symbolic/mod.ts";
import { adaptiveAverage, adaptiveSpec, adaptiveWindow, avgPoolSamples, windowExtent } from "./avg_pool.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { distinct, type PoolArgs, pooledShape, poolWindow } from "./max_pool.ts";
import type { TensorValue } from "./value.ts";
import { exprsOf, windowList } from "./window.ts";

const ZERO = asExpr(0);

type AvgArgs<T> = PoolArgs & {
  readonly self: T;
  readonly countIncludePad: boolean;
  readonly divisorOverride?: Size | null;
};

function averageSpec(where: string, rank: number, args: AvgArgs<MetaInput>): TensorSpec {
  if (args.divisorOverride !== undefined && args.divisorOverride !== null && Number(args.divisorOverride) === 0) {
    throw new RangeError(`${where}: divisor_override must not be 0`);
  }
  return { shape: pooledShape(where, args.self.shape, poolWindow(where, rank, args)), dtype: args.self.dtype };
}

function average(where: string, rank: number, args: AvgArgs<TensorValue>, F: Functional): TensorValue {
  const w = poolWindow(where, rank, args);
  const { countIncludePad, divisorOverride = null } = args;
  return F.avgPool(args.self, w.kernel, w.stride, w.padding, w.ceilMode, countIncludePad, divisorOverride);
}

/** The window and position extents of an adaptive maximum. */
function adaptiveTaps(sizes: readonly Expr[], outputSize: readonly Size[]): Expr[] {
  return sizes.map((e, d) => windowExtent(e, outputSize[d] ?? 1));
}

defineOp({
  schema: "tessera::adaptive_max_pool_taps(Tensor input, SymInt[] output_size) -> Tensor",
  doc: "Which element of its window each adaptive maximum is, within the largest window.",
  meta: ({ input, outputSize }) => ({
    shape: [...input.shape.slice(0, input.shape.length - outputSize.length), ...outputSize],
    dtype: int64,
  }),
  loop: ({ input, outputSize }, out) => {
    const rank = outputSize.length;
    const sizes = input.shape.slice(input.shape.length - rank);
    const outputs = exprsOf(outputSize);
    return reduction("argmax", out.shape, adaptiveTaps(sizes, outputSize), (index, tap) => {
      const lead = index.slice(0, index.length - rank);
      const windows = index.slice(index.length - rank).map((e, d) =>
        adaptiveWindow(e, sizes[d] ?? ZERO, outputs[d] ?? asExpr(1))
      );
      const at = windows.map((w, d) => add(w.start, tap[d] ?? ZERO));
      const inside = windows.map((w, d) => ops.lt(ops.index(at[d] ?? ZERO), ops.index(w.end)));
      const value = ops.cast(input.load([...lead, ...at]), computeType(input.dtype));
      const least = value.dtype.isFloat ? -Infinity : value.dtype.min;
      return ops.masked(inside.reduce((a, b) => ops.bitwiseAnd(a, b)), value, least);
    }, int64);
  },
  samples: (g) => [{ args: { input: distinct(g, [2, 5, 7]), outputSize: [3, 2] } }],
});

defineOp({
  schema: "tessera::adaptive_max_pool_tap_indices(Tensor taps, SymInt[] input_size, SymInt[] output_size) -> Tensor",
  doc: "Turns taps of adaptive windows into flat positions of the input plane.",
  meta: ({ taps }) => ({ shape: taps.shape, dtype: int64 }),
  loop: ({ taps, inputSize, outputSize }, out) => {
    const sizes = exprsOf(inputSize);
    const outputs = exprsOf(outputSize);
    const rank = sizes.length;
    const extents = adaptiveTaps(sizes, outputSize);
    return pointwise(out.shape, (index) => {
      const spatial = index.slice(index.length - rank);
      const positions: Value[] = [];
      let rest = taps.load(index);
      for (let d = rank - 1; d >= 0; d--) {
        const extent = ops.index(extents[d] ?? asExpr(1));
        const tap = d === 0 ? rest : ops.floorMod(rest, extent);
        rest = d === 0 ? rest : ops.floorDiv(rest, extent);
        const { start } = adaptiveWindow(spatial[d] ?? ZERO, sizes[d] ?? ZERO, outputs[d] ?? asExpr(1));
        positions[d] = ops.add(ops.index(start), tap);
      }
      return positions.reduce((sum, at, d) => ops.add(ops.mul(sum, ops.index(sizes[d] ?? asExpr(1))), at));
    });
  },
  samples: (g) => [
    {
      args: {
        taps: g.tensor([2, 3, 2], { dtype: int64, values: "integers", low: 0, high: 4, requiresGrad: false }),
        inputSize: [5, 7],
        outputSize: [3, 2],
      },
    },
  ],
});

/** Adaptive maxima and their flat positions. */
function adaptiveMaximum(self: TensorValue, size: readonly Size[], F: Functional): TensorValue[] {
  const rank = size.length;
  const at = self.ndim - rank;
  const indices = F.adaptiveMaxPoolTapIndices(F.adaptiveMaxPoolTaps(self, size), self.shape.slice(at), size);
  const values = rank === 1
    ? self.gather(-1, indices)
    : self.flatten(at).gather(-1, indices.flatten(at)).reshape(indices.shape);
  return [values, indices];
}

defineOp({
  schema:
    "aten::avg_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, bool ceil_mode=False, bool count_include_pad=True) -> Tensor",
  doc: "The mean of each window over the last dimension; the stride defaults to the kernel size.",
  meta: (args) => averageSpec("avg_pool1d", 1, args),
  decompose: (args, F) => average("avg_pool1d", 1, args, F),
  samples: (g) => avgPoolSamples(g, 1),
});

defineOp({
  schema:
    "aten::avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor",
  doc: "The mean of each window over the last 2 dimensions; the stride defaults to the kernel size.",
  meta: (args) => averageSpec("avg_pool2d", 2, args),
  decompose: (args, F) => average("avg_pool2d", 2, args, F),
  samples: (g) => avgPoolSamples(g, 2),
});

defineOp({
  schema:
    "aten::avg_pool2d_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, int[2] padding, bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor",
  doc: "The gradient of avg_pool2d.",
  meta: ({ gradOutput, self }) => ({ shape: self.shape, dtype: gradOutput.dtype }),
  decompose: ({ gradOutput, self, ceilMode, countIncludePad, divisorOverride, ...args }, F) => {
    const w = poolWindow("avg_pool2d_backward", 2, { ...args, ceilMode });
    const size = self.shape.slice(self.ndim - 2);
    return F.avgPoolInputGrad(
      gradOutput,
      size,
      w.kernel,
      w.stride,
      w.padding,
      ceilMode,
      countIncludePad,
      divisorOverride,
    );
  },
  samples: (g) => [
    {
      args: {
        gradOutput: g.tensor([1, 2, 2]),
        self: g.tensor([1, 4, 4], { requiresGrad: false }),
        kernelSize: [2, 2],
        stride: [2, 2],
        padding: [0, 0],
        ceilMode: false,
        countIncludePad: true,
        divisorOverride: null,
      },
    },
  ],
});

defineOp({
  schema:
    "aten::avg_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor",
  doc: "The mean of each window over the last 3 dimensions; the stride defaults to the kernel size.",
  meta: (args) => {
    const spec = averageSpec("avg_pool3d", 3, args);
    const kernel = windowList("avg_pool3d", "kernel_size", args.kernelSize, 3, 1);
    // PyTorch wants whole windows in three dimensions, whatever the padding.
    if (args.self.shape.slice(-3).some((size, d) => sizeLt(size, kernel[d] ?? 1))) {
      throw new RangeError(
        `avg_pool3d: windows of [${kernel.join(", ")}] are larger than ${shapeToText(args.self.shape)}`,
      );
    }
    return spec;
  },
  decompose: (args, F) => average("avg_pool3d", 3, args, F),
  samples: (g) => avgPoolSamples(g, 3),
});

defineOp({
  schema:
    "aten::avg_pool3d_backward(Tensor grad_output, Tensor self, int[3] kernel_size, int[3] stride, int[3] padding, bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor",
  doc: "The gradient of avg_pool3d.",
  meta: ({ gradOutput, self }) => ({ shape: self.shape, dtype: gradOutput.dtype }),
  decompose: ({ gradOutput, self, ceilMode, countIncludePad, divisorOverride, ...args }, F) => {
    const w = poolWindow("avg_pool3d_backward", 3, { ...args, ceilMode });
    const size = self.shape.slice(self.ndim - 3);
    return F.avgPoolInputGrad(
      gradOutput,
      size,
      w.kernel,
      w.stride,
      w.padding,
      ceilMode,
      countIncludePad,
      divisorOverride,
    );
  },
  samples: (g) => [
    {
      args: {
        gradOutput: g.tensor([1, 2, 2, 2]),
        self: g.tensor([1, 4, 4, 4], { requiresGrad: false }),
        kernelSize: [2, 2, 2],
        stride: [2, 2, 2],
        padding: [0, 0, 0],
        ceilMode: false,
        countIncludePad: true,
        divisorOverride: null,
      },
    },
  ],
});

defineOp({
  schema: "aten::adaptive_avg_pool1d(Tensor self, int[1] output_size) -> Tensor",
  doc: "Means over windows that divide the last dimension into output_size parts.",
  meta: ({ self, outputSize }) => adaptiveSpec("adaptive_avg_pool1d", 1, self, outputSize),
  decompose: ({ self, outputSize }, F) => adaptiveAverage(self, outputSize, F),
  samples: (g) => [
    { name: "to one", args: { self: g.tensor([2, 3, 4]), outputSize: [1] } },
    { name: "divides", args: { self: g.tensor([2, 4]), outputSize: [2] } },
    { name: "overlaps", args: { self: g.tensor([1, 2, 5]), outputSize: [3] } },
  ],
});

defineOp({
  schema: "aten::adaptive_max_pool1d(Tensor self, int[1] output_size) -> (Tensor, Tensor)",
  doc: "Maxima over windows that divide the last dimension into output_size parts, and their flat positions.",
  meta: ({ self, outputSize }) => {
    const values = adaptiveSpec("adaptive_max_pool1d", 1, self, outputSize);
    return [values, { shape: values.shape, dtype: int64 }];
  },
  decompose: ({ self, outputSize }, F) => adaptiveMaximum(self, outputSize, F),
  samples: (g) => [
    { name: "divides", args: { self: distinct(g, [2, 4]), outputSize: [2] } },
    { name: "overlaps", args: { self: distinct(g, [1, 2, 5]), outputSize: [3] } },
  ],
});

defineOp({
  schema: "aten::adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor",
  doc: "Means over windows that divide the last 2 dimensions into output_size parts.",
  meta: ({ self, outputSize }) => adaptiveSpec("adaptive_avg_pool2d", 2, self, outputSize),
  decompose: ({ self, outputSize }, F) => adaptiveAverage(self, outputSize, F),
  samples: (g) => [
    { name: "to one", args: { self: g.tensor([2, 3, 4, 4]), outputSize: [1, 1] } },
    { name: "divides", args: { self: g.tensor([2, 4, 4]), outputSize: [2, 2] } },
    { name: "overlaps", args: { self: g.tensor([1, 2, 5, 4]), outputSize: [3, 2] } },
  ],
});

defineOp({
  schema: "aten::_adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor",
  doc: "Means over windows that divide the last 2 dimensions into output_size parts.",
  meta: ({ self, outputSize }) => adaptiveSpec("_adaptive_avg_pool2d", 2, self, outputSize),
  decompose: ({ self, outputSize }, F) => adaptiveAverage(self, outputSize, F),
  samples: (g) => [
    { name: "to one", args: { self: g.tensor([2, 3, 4, 4]), outputSize: [1, 1] } },
    { name: "divides", args: { self: g.tensor([2, 4, 4]), outputSize: [2, 2] } },
    { name: "overlaps", args: { self: g.tensor([1, 2, 5, 4]), outputSize: [3, 2] } },
  ],
});

defineOp({
  schema: "aten::adaptive_max_pool2d(Tensor self, int[2] output_size) -> (Tensor, Tensor)",
  doc: "Maxima over windows that divide the last 2 dimensions into output_size parts, and their flat positions.",
  meta: ({ self, outputSize }) => {
    const values = adaptiveSpec("adaptive_max_pool2d", 2, self, outputSize);
    return [values, { shape: values.shape, dtype: int64 }];
  },
  decompose: ({ self, outputSize }, F) => adaptiveMaximum(self, outputSize, F),
  samples: (g) => [
    { name: "divides", args: { self: distinct(g, [2, 4, 4]), outputSize: [2, 2] } },
    { name: "overlaps", args: { self: distinct(g, [1, 2, 5, 4]), outputSize: [3, 2] } },
  ],
});

defineOp({
  schema: "aten::adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor",
  doc: "Means over windows that divide the last 3 dimensions into output_size parts.",
  meta: ({ self, outputSize }) => adaptiveSpec("adaptive_avg_pool3d", 3, self, outputSize),
  decompose: ({ self, outputSize }, F) => adaptiveAverage(self, outputSize, F),
  samples: (g) => [
    { name: "to one", args: { self: g.tensor([2, 3, 4, 4, 4]), outputSize: [1, 1, 1] } },
    { name: "divides", args: { self: g.tensor([2, 4, 4, 4]), outputSize: [2, 2, 2] } },
    { name: "overlaps", args: { self: g.tensor([1, 2, 5, 4, 6]), outputSize: [3, 2, 4] } },
  ],
});

defineOp({
  schema: "aten::_adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor",
  doc: "Means over windows that divide the last 3 dimensions into output_size parts.",
  meta: ({ self, outputSize }) => adaptiveSpec("_adaptive_avg_pool3d", 3, self, outputSize),
  decompose: ({ self, outputSize }, F) => adaptiveAverage(self, outputSize, F),
  samples: (g) => [
    { name: "to one", args: { self: g.tensor([2, 3, 4, 4, 4]), outputSize: [1, 1, 1] } },
    { name: "divides", args: { self: g.tensor([2, 4, 4, 4]), outputSize: [2, 2, 2] } },
    { name: "overlaps", args: { self: g.tensor([1, 2, 5, 4, 6]), outputSize: [3, 2, 4] } },
  ],
});

defineOp({
  schema: "aten::adaptive_max_pool3d(Tensor self, int[3] output_size) -> (Tensor, Tensor)",
  doc: "Maxima over windows that divide the last 3 dimensions into output_size parts, and their flat positions.",
  meta: ({ self, outputSize }) => {
    const values = adaptiveSpec("adaptive_max_pool3d", 3, self, outputSize);
    return [values, { shape: values.shape, dtype: int64 }];
  },
  decompose: ({ self, outputSize }, F) => adaptiveMaximum(self, outputSize, F),
  samples: (g) => [
    { name: "divides", args: { self: distinct(g, [2, 4, 4, 4]), outputSize: [2, 2, 2] } },
    { name: "overlaps", args: { self: distinct(g, [1, 2, 5, 4, 6]), outputSize: [3, 2, 4] } },
  ],
});
