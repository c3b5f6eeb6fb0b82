/**
 * Max pooling under ATen's names, with flat indices, and its inverse.
 *
 * The values come from `tessera::max_pool`, the indices from its taps; whoever does not use the indices does not compute them in a
 * compiled graph. Mirrors ATen's DilatedMaxPool and MaxUnpooling.
 */
import { int64 } from "../core/mod.ts";
import { sameShape, shapeToText, type Size, sizeIsZero, sizeProd } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { distinct, flatIndexGrad, type PoolArgs, pooledShape, poolWindow } from "./max_pool.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";
import { lastDimensions } from "./window.ts";

type Args<T> = PoolArgs & { readonly self: T };

function spec(where: string, rank: number, args: Args<MetaInput>): TensorSpec {
  return { shape: pooledShape(where, args.self.shape, poolWindow(where, rank, args)), dtype: args.self.dtype };
}

function values(where: string, rank: number, args: Args<TensorValue>, F: Functional): TensorValue {
  const w = poolWindow(where, rank, args);
  return F.maxPool(args.self, w.kernel, w.stride, w.padding, w.dilation, w.ceilMode);
}

function withIndices(where: string, rank: number, args: Args<TensorValue>, F: Functional): TensorValue[] {
  const { self } = args;
  const w = poolWindow(where, rank, args);
  const taps = F.maxPoolTaps(self, w.kernel, w.stride, w.padding, w.dilation, w.ceilMode);
  const size = self.shape.slice(self.ndim - rank);
  const indices = F.maxPoolTapIndices(taps, size, w.kernel, w.stride, w.padding, w.dilation);
  return [F.maxPool(self, w.kernel, w.stride, w.padding, w.dilation, w.ceilMode), indices];
}

function samples(g: SampleGenerator, rank: number): Sample[] {
  const cube = (n: number): number[] => new Array<number>(rank).fill(n);
  return [
    { args: { self: distinct(g, [2, 3, ...cube(4)]), kernelSize: [2] } },
    { name: "padded", args: { self: distinct(g, [1, 2, ...cube(5)]), kernelSize: cube(3), stride: [2], padding: [1] } },
    {
      name: "ceil mode",
      args: { self: distinct(g, [2, ...cube(5)]), kernelSize: cube(2), stride: [2], ceilMode: true },
    },
    {
      name: "dilated",
      args: { self: distinct(g, [1, 1, ...cube(5)]), kernelSize: cube(2), stride: [1], dilation: [2] },
    },
  ];
}

/** Values at flat positions of the last `rank` dimensions. */
function gatherPlane(x: TensorValue, indices: TensorValue, rank: number): TensorValue {
  if (rank === 1) return x.gather(-1, indices);
  return x.flatten(x.ndim - rank).gather(-1, indices.flatten(indices.ndim - rank)).reshape(indices.shape);
}

/** The shape of an unpooled tensor. */
function unpooledShape(
  where: string,
  rank: number,
  self: MetaInput,
  indices: MetaInput,
  size: readonly Size[],
): Size[] {
  if (indices.dtype !== int64) throw new TypeError(`${where}: indices must be int64, got ${indices.dtype.name}`);
  if (self.shape.some((s, d) => sizeIsZero(s) && (d > 0 || self.shape.length === rank + 1))) {
    throw new TypeError(`${where}: ${shapeToText(self.shape)} has an empty dimension other than the batch`);
  }
  if (shapeToText(self.shape) !== shapeToText(indices.shape)) {
    throw new TypeError(
      `${where}: input ${shapeToText(self.shape)} and indices ${shapeToText(indices.shape)} must have one shape`,
    );
  }
  if (size.length !== rank) {
    throw new TypeError(`${where}: output_size needs ${rank} numbers, got ${shapeToText(size)}`);
  }
  return [...self.shape.slice(0, self.shape.length - rank), ...size];
}

function unpool(self: TensorValue, indices: TensorValue, size: readonly Size[]): TensorValue {
  const rank = size.length;
  const lead = self.shape.slice(0, self.ndim - rank);
  const at = self.ndim - rank;
  return self.newZeros([...lead, sizeProd(size)]).scatter(-1, indices.flatten(at), self.flatten(at))
    .reshape([...lead, ...size]);
}

/** `rank` numbers of a schema with defaults, as ATen writes them. */
function windowArguments(rank: number): string {
  const list = (name: string, fallback: string): string => `int[${rank}] ${name}=${fallback}`;
  return `int[${rank}] kernel_size, ${list("stride", "[]")}, ${list("padding", "0")}, ${
    list("dilation", "1")
  }, bool ceil_mode=False`;
}

for (const rank of [1, 2, 3]) {
  const name = `max_pool${rank}d`;
  defineOp({
    schema: `aten::${name}(Tensor self, ${
      windowArguments(rank)
    }) -> Tensor` as "aten::max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> Tensor",
    doc: `The maximum of each window over ${lastDimensions(rank)}; the stride defaults to the kernel size.`,
    meta: (args) => spec(name, rank, args),
    decompose: (args, F) => values(name, rank, args, F),
    samples: (g) => samples(g, rank),
  });
  const indexed = `${name}_with_indices`;
  defineOp({
    schema: `aten::${indexed}(Tensor self, ${
      windowArguments(rank)
    }) -> (Tensor, Tensor)` as "aten::max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
    doc: `${name}, and the flat position of each maximum in its ${rank === 1 ? "row" : "plane"}.`,
    meta: (args) => {
      const values = spec(indexed, rank, args);
      return [values, { shape: values.shape, dtype: int64 }];
    },
    decompose: (args, F) => withIndices(indexed, rank, args, F),
    samples: (g) => samples(g, rank),
  });
}

for (const rank of [2, 3]) {
  const where = `max_pool${rank}d_with_indices_backward`;
  const lists = ["kernel_size", "stride", "padding", "dilation"].map((list) => `int[${rank}] ${list}`).join(", ");
  defineOp({
    schema:
      `aten::${where}(Tensor grad_output, Tensor self, ${lists}, bool ceil_mode, Tensor indices) -> Tensor` as "aten::max_pool2d_with_indices_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, int[2] padding, int[2] dilation, bool ceil_mode, Tensor indices) -> Tensor",
    doc: `The gradient of max_pool${rank}d_with_indices.`,
    meta: ({ self, gradOutput, indices, ...args }) => {
      if (gradOutput.dtype !== self.dtype || indices.dtype !== int64) {
        throw new TypeError(
          `${where}: self is ${self.dtype.name}, grad_output ${gradOutput.dtype.name}, indices ${indices.dtype.name}; needs one dtype, and int64 indices`,
        );
      }
      const pooled = pooledShape(where, self.shape, poolWindow(where, rank, args));
      for (const [name, t] of [["grad_output", gradOutput], ["indices", indices]] as const) {
        if (!sameShape(t.shape, pooled)) {
          throw new TypeError(
            `${where}: ${name} is ${shapeToText(t.shape)}, but ${shapeToText(self.shape)} is pooled to ${
              shapeToText(pooled)
            }`,
          );
        }
      }
      return { shape: self.shape, dtype: gradOutput.dtype };
    },
    loop: ({ gradOutput, indices, self: _self, ...args }, out) =>
      flatIndexGrad(gradOutput, indices, poolWindow(where, rank, args), out),
    vjp: ({ indices }, { grad }) => ({ gradOutput: () => gatherPlane(grad, indices, rank) }),
    samples: (g) => {
      const cube = (n: number): number[] => new Array<number>(rank).fill(n);
      // Each maximum lies in its own window of two.
      const positions = rank === 2 ? [0, 3, 8, 15] : [0, 3, 8, 15, 32, 35, 40, 63];
      return [{
        args: {
          gradOutput: g.tensor([1, ...cube(2)]),
          self: g.tensor([1, ...cube(4)], { requiresGrad: false }),
          kernelSize: cube(2),
          stride: cube(2),
          padding: cube(0),
          dilation: cube(1),
          ceilMode: false,
          indices: g.tensor([1, ...cube(2)], { dtype: int64, values: positions, requiresGrad: false }),
        },
      }];
    },
  });
}

defineOp({
  schema: "aten::max_unpool2d(Tensor self, Tensor indices, SymInt[2] output_size) -> Tensor",
  doc: "Puts values at the flat positions that max pooling gave; zeros elsewhere.",
  meta: ({ self, indices, outputSize }) => ({
    shape: unpooledShape("max_unpool2d", 2, self, indices, outputSize),
    dtype: self.dtype,
  }),
  decompose: ({ self, indices, outputSize }) => unpool(self, indices, outputSize),
  samples: (g) => [
    {
      args: {
        self: g.tensor([1, 2, 2]),
        indices: g.tensor([1, 2, 2], { dtype: int64, values: [0, 3, 8, 15], requiresGrad: false }),
        outputSize: [4, 4],
      },
    },
  ],
});

defineOp({
  schema:
    "aten::max_unpool3d(Tensor self, Tensor indices, SymInt[3] output_size, int[3] stride, int[3] padding) -> Tensor",
  doc: "Puts values at the flat positions that max pooling gave; zeros elsewhere.",
  meta: ({ self, indices, outputSize, stride, padding }) => {
    for (const [name, list, least] of [["stride", stride, 1], ["padding", padding, 0]] as const) {
      if (list.length !== 3) throw new TypeError(`max_unpool3d: ${name} needs 3 numbers, got [${list.join(", ")}]`);
      if (list.some((n) => Number(n) < least)) {
        throw new RangeError(`max_unpool3d: ${name} must be at least ${least}, got [${list.join(", ")}]`);
      }
    }
    return { shape: unpooledShape("max_unpool3d", 3, self, indices, outputSize), dtype: self.dtype };
  },
  decompose: ({ self, indices, outputSize }) => unpool(self, indices, outputSize),
  samples: (g) => [
    {
      args: {
        self: g.tensor([1, 1, 2, 2]),
        indices: g.tensor([1, 1, 2, 2], { dtype: int64, values: [0, 3, 8, 15], requiresGrad: false }),
        outputSize: [1, 4, 4],
        stride: [1, 2, 2],
        padding: [0, 0, 0],
      },
    },
  ],
});
