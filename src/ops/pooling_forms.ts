/**
 * Average and adaptive pooling under ATen's names.
 *
 * Averages are `tessera::avg_pool`; adaptive maxima are found by their position and then gathered, so that their gradient is that of a
 * gather.
 */
import { computeType, int64 } from "../core/mod.ts";
import { ops, pointwise, reduction, type Value } from "../loops/mod.ts";
import { add, asExpr, type Expr, sameShape, shapeToText, type Size, sizeIsZero, sizeLt } from "../symbolic/mod.ts";
import { adaptiveAverage, adaptiveSpec, adaptiveWindow, avgPoolSamples, windowExtent } from "./avg_pool.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { distinct, type PoolArgs, pooledShape, poolWindow } from "./max_pool.ts";
import type { TensorValue } from "./value.ts";
import { exprsOf, lastDimensions, windowList } from "./window.ts";

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
  if (size.some(sizeIsZero)) {
    const shape = [...self.shape.slice(0, at), ...size];
    return [self.newZeros(shape), self.detach().newZeros(shape, { dtype: int64 })];
  }
  const indices = F.adaptiveMaxPoolTapIndices(F.adaptiveMaxPoolTaps(self, size), self.shape.slice(at), size);
  const values = rank === 1
    ? self.gather(-1, indices)
    : self.flatten(at).gather(-1, indices.flatten(at)).reshape(indices.shape);
  return [values, indices];
}

for (const rank of [1, 2, 3]) {
  const name = `avg_pool${rank}d`;
  defineOp({
    schema:
      `aten::${name}(Tensor self, int[${rank}] kernel_size, int[${rank}] stride=[], int[${rank}] padding=0, bool ceil_mode=False, bool count_include_pad=True${
        rank === 1 ? "" : ", int? divisor_override=None"
      }) -> Tensor` as "aten::avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor",
    doc: `The mean of each window over ${lastDimensions(rank)}; the stride defaults to the kernel size.`,
    meta: (args) => {
      const spec = averageSpec(name, rank, args);
      const kernel = windowList(name, "kernel_size", args.kernelSize, rank, 1);
      // PyTorch wants whole windows in three dimensions, whatever the padding.
      if (rank === 3 && args.self.shape.slice(-rank).some((size, d) => sizeLt(size, kernel[d] ?? 1))) {
        throw new RangeError(
          `${name}: windows of [${kernel.join(", ")}] are larger than ${shapeToText(args.self.shape)}`,
        );
      }
      return spec;
    },
    decompose: (args, F) => average(name, rank, args, F),
    samples: (g) => avgPoolSamples(g, rank),
  });
}

for (const rank of [2, 3]) {
  const where = `avg_pool${rank}d_backward`;
  defineOp({
    schema:
      `aten::${where}(Tensor grad_output, Tensor self, int[${rank}] kernel_size, int[${rank}] stride, int[${rank}] padding, bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor` as "aten::avg_pool2d_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, int[2] padding, bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor",
    doc: `The gradient of avg_pool${rank}d.`,
    meta: ({ gradOutput, self, ceilMode, ...args }) => {
      const pooled = pooledShape(where, self.shape, poolWindow(where, rank, { ...args, ceilMode }));
      if (!sameShape(gradOutput.shape, pooled)) {
        throw new TypeError(
          `${where}: grad_output is ${shapeToText(gradOutput.shape)}, but ${shapeToText(self.shape)} is pooled to ${
            shapeToText(pooled)
          }`,
        );
      }
      return { shape: self.shape, dtype: gradOutput.dtype };
    },
    decompose: ({ gradOutput, self, ceilMode, countIncludePad, divisorOverride, ...args }, F) => {
      const w = poolWindow(where, rank, { ...args, ceilMode });
      const size = self.shape.slice(self.ndim - rank);
      const { kernel, stride, padding } = w;
      return F.avgPoolInputGrad(gradOutput, size, kernel, stride, padding, ceilMode, countIncludePad, divisorOverride);
    },
    samples: (g) => {
      const cube = (n: number): number[] => new Array<number>(rank).fill(n);
      return [{
        args: {
          gradOutput: g.tensor([1, ...cube(2)]),
          self: g.tensor([1, ...cube(4)], { requiresGrad: false }),
          kernelSize: cube(2),
          stride: cube(2),
          padding: cube(0),
          ceilMode: false,
          countIncludePad: true,
          divisorOverride: null,
        },
      }];
    },
  });
}

for (const rank of [1, 2, 3]) {
  const take = (list: readonly number[]): number[] => list.slice(0, rank);
  const words = `windows that divide ${lastDimensions(rank)} into output_size parts`;
  // The forms with an underscore are what ATen dispatches to.
  for (const prefix of rank === 1 ? [""] : ["", "_"]) {
    const name = `${prefix}adaptive_avg_pool${rank}d`;
    defineOp({
      schema: `aten::${name}(Tensor self, ${
        rank === 1 ? "int" : "SymInt"
      }[${rank}] output_size) -> Tensor` as "aten::adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor",
      doc: `Means over ${words}.`,
      meta: ({ self, outputSize }) => adaptiveSpec(name, rank, self, outputSize),
      decompose: ({ self, outputSize }, F) => adaptiveAverage(self, outputSize, F),
      samples: (g) => [
        { name: "to one", args: { self: g.tensor([2, 3, ...take([4, 4, 4])]), outputSize: take([1, 1, 1]) } },
        { name: "divides", args: { self: g.tensor([2, ...take([4, 4, 4])]), outputSize: take([2, 2, 2]) } },
        { name: "overlaps", args: { self: g.tensor([1, 2, ...take([5, 4, 6])]), outputSize: take([3, 2, 4]) } },
      ],
    });
  }
  const name = `adaptive_max_pool${rank}d`;
  defineOp({
    schema:
      `aten::${name}(Tensor self, int[${rank}] output_size) -> (Tensor, Tensor)` as "aten::adaptive_max_pool2d(Tensor self, int[2] output_size) -> (Tensor, Tensor)",
    doc: `Maxima over ${words}, and their flat positions.`,
    meta: ({ self, outputSize }) => {
      const values = adaptiveSpec(name, rank, self, outputSize);
      return [values, { shape: values.shape, dtype: int64 }];
    },
    decompose: ({ self, outputSize }, F) => adaptiveMaximum(self, outputSize, F),
    samples: (g) => [
      { name: "divides", args: { self: distinct(g, [2, ...take([4, 4, 4])]), outputSize: take([2, 2, 2]) } },
      { name: "overlaps", args: { self: distinct(g, [1, 2, ...take([5, 4, 6])]), outputSize: take([3, 2, 4]) } },
    ],
  });
}
