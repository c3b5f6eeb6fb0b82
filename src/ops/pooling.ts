/**
 * Max pooling under ATen's names, with flat indices, and its inverse.
 *
 * The values come from `tessera::max_pool`, the indices from its taps; whoever does not use the indices does not compute them in a
 * compiled graph. Mirrors ATen's DilatedMaxPool and MaxUnpooling.
 */
import { int64 } from "../core/mod.ts";
import { sameShape, shapeToText, type Size, sizeProd } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { distinct, flatIndexGrad, type PoolArgs, pooledShape, poolWindow } from "./max_pool.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

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

defineOp({
  schema:
    "aten::max_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] dilation=1, bool ceil_mode=False) -> Tensor",
  doc: "The maximum of each window over the last dimension; the stride defaults to the kernel size.",
  meta: (args) => spec("max_pool1d", 1, args),
  decompose: (args, F) => values("max_pool1d", 1, args, F),
  samples: (g) => samples(g, 1),
});

defineOp({
  schema:
    "aten::max_pool1d_with_indices(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
  doc: "max_pool1d, and the flat position of each maximum in its plane.",
  meta: (args) => {
    const values = spec("max_pool1d_with_indices", 1, args);
    return [values, { shape: values.shape, dtype: int64 }];
  },
  decompose: (args, F) => withIndices("max_pool1d_with_indices", 1, args, F),
  samples: (g) => samples(g, 1),
});

defineOp({
  schema:
    "aten::max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> Tensor",
  doc: "The maximum of each window over the last 2 dimensions; the stride defaults to the kernel size.",
  meta: (args) => spec("max_pool2d", 2, args),
  decompose: (args, F) => values("max_pool2d", 2, args, F),
  samples: (g) => samples(g, 2),
});

defineOp({
  schema:
    "aten::max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
  doc: "max_pool2d, and the flat position of each maximum in its plane.",
  meta: (args) => {
    const values = spec("max_pool2d_with_indices", 2, args);
    return [values, { shape: values.shape, dtype: int64 }];
  },
  decompose: (args, F) => withIndices("max_pool2d_with_indices", 2, args, F),
  samples: (g) => samples(g, 2),
});

defineOp({
  schema:
    "aten::max_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> Tensor",
  doc: "The maximum of each window over the last 3 dimensions; the stride defaults to the kernel size.",
  meta: (args) => spec("max_pool3d", 3, args),
  decompose: (args, F) => values("max_pool3d", 3, args, F),
  samples: (g) => samples(g, 3),
});

defineOp({
  schema:
    "aten::max_pool3d_with_indices(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
  doc: "max_pool3d, and the flat position of each maximum in its plane.",
  meta: (args) => {
    const values = spec("max_pool3d_with_indices", 3, args);
    return [values, { shape: values.shape, dtype: int64 }];
  },
  decompose: (args, F) => withIndices("max_pool3d_with_indices", 3, args, F),
  samples: (g) => samples(g, 3),
});

defineOp({
  schema:
    "aten::max_pool2d_with_indices_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, int[2] padding, int[2] dilation, bool ceil_mode, Tensor indices) -> Tensor",
  doc: "The gradient of max_pool2d_with_indices.",
  meta: ({ self, gradOutput, indices, ...args }) => {
    const where = "max_pool2d_with_indices_backward";
    if (gradOutput.dtype !== self.dtype || indices.dtype !== int64) {
      throw new TypeError(
        `${where}: self is ${self.dtype.name}, grad_output ${gradOutput.dtype.name}, indices ${indices.dtype.name}; needs one dtype, and int64 indices`,
      );
    }
    const pooled = pooledShape(where, self.shape, poolWindow(where, 2, args));
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
    flatIndexGrad(gradOutput, indices, poolWindow("max_pool2d_with_indices_backward", 2, args), out),
  vjp: ({ indices }, { grad }) => ({ gradOutput: () => gatherPlane(grad, indices, 2) }),
  samples: (g) => [
    {
      args: {
        gradOutput: g.tensor([1, 2, 2]),
        self: g.tensor([1, 4, 4], { requiresGrad: false }),
        kernelSize: [2, 2],
        stride: [2, 2],
        padding: [0, 0],
        dilation: [1, 1],
        ceilMode: false,
        indices: g.tensor([1, 2, 2], {
          dtype: int64,
          values: [0, 3, 8, 15],
          requiresGrad: false,
        }),
      },
    },
  ],
});

defineOp({
  schema:
    "aten::max_pool3d_with_indices_backward(Tensor grad_output, Tensor self, int[3] kernel_size, int[3] stride, int[3] padding, int[3] dilation, bool ceil_mode, Tensor indices) -> Tensor",
  doc: "The gradient of max_pool3d_with_indices.",
  meta: ({ self, gradOutput }) => ({ shape: self.shape, dtype: gradOutput.dtype }),
  loop: ({ gradOutput, indices, self: _self, ...args }, out) =>
    flatIndexGrad(gradOutput, indices, poolWindow("max_pool3d_with_indices_backward", 3, args), out),
  vjp: ({ indices }, { grad }) => ({ gradOutput: () => gatherPlane(grad, indices, 3) }),
  samples: (g) => [
    {
      args: {
        gradOutput: g.tensor([1, 2, 2, 2]),
        self: g.tensor([1, 4, 4, 4], { requiresGrad: false }),
        kernelSize: [2, 2, 2],
        stride: [2, 2, 2],
        padding: [0, 0, 0],
        dilation: [1, 1, 1],
        ceilMode: false,
        indices: g.tensor([1, 2, 2, 2], {
          dtype: int64,
          values: [0, 3, 8, 15, 32, 35, 40, 63],
          requiresGrad: false,
        }),
      },
    },
  ],
});

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
