/**
 * Copies: to another dtype, device or layout, into another tensor, filled with a number.
 *
 * What changes nothing returns its input, as in PyTorch; everything else is one pointwise loop with a cast. Mirrors
 * `TensorConversions.cpp`, `Copy.cpp` and `Fill.cpp` of ATen.
 */
import { bool, type Device, type DType, float64, int32 } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import { type LoopInput, type LoopNode, ops, pointwise } from "../loops/mod.ts";
import { broadcastShapes, isContiguous, sameShape, shapeToText, type Size, sizeSame } from "../symbolic/mod.ts";
import { loadBroadcast } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import { reduceGrad } from "./gradient.ts";
import { formatStride } from "./layout.ts";
import type { SampleGenerator } from "./samples.ts";
import { scalarValue } from "./scalars.ts";
import type { TensorValue } from "./value.ts";

function castLoop(self: LoopInput, out: TensorMeta): LoopNode {
  return pointwise(out.shape, (index) => ops.cast(self.load(index), out.dtype));
}

defineOp({
  schema: "aten::clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor",
  doc: "A copy, with the same strides where they leave no gaps unless a memory format is given.",
  meta: ({ self, memoryFormat }) => ({
    shape: self.shape,
    dtype: self.dtype,
    stride: formatStride("clone", self, memoryFormat),
  }),
  loop: ({ self }, out) => castLoop(self, out),
  vjp: (_, { grad }) => ({ self: () => grad }),
  samples: (g) => [
    { args: { self: g.tensor([2, 3]) } },
    { name: "permuted", args: { self: g.tensor([2, 3, 4], { permuted: [2, 0, 1] }) } },
    { name: "empty", args: { self: g.tensor([0]) } },
    { name: "channels last", args: { self: g.tensor([2, 3, 2, 2]), memoryFormat: "channels_last" } },
  ],
});

for (const name of ["lift_fresh_copy", "lift_fresh"] as const) {
  defineOp({
    schema: `aten::${name}(Tensor self) -> Tensor`,
    doc: "A fresh copy of a constant of the program.",
    meta: ({ self }) => ({ shape: self.shape, dtype: self.dtype, stride: formatStride(name, self, null) }),
    decompose: ({ self }) => self.clone(),
    samples: (g: SampleGenerator) => [{ args: { self: g.tensor([2, 3]) } }],
  });
}

defineOp({
  schema: "aten::detach_(Tensor(a!) self) -> Tensor(a!)",
  doc: "The tensor itself, from which no gradient flows further.",
  meta: ({ self }) => ({ ...self }),
  decompose: ({ self }) => self,
  public: false,
  samples: () => [],
});

/** Tells whether a tensor already lies as a memory format asks. */
function hasFormat(
  self: { readonly shape: readonly Size[]; readonly stride: readonly Size[] },
  format: string | null,
): boolean {
  if (format === null || format.endsWith("preserve_format")) return true;
  if (format.endsWith("contiguous_format")) return isContiguous(self.shape, self.stride);
  const wanted = formatStride("to", self, format);
  return wanted.every((s, i) => sizeSame(s, self.stride[i] ?? 0));
}

defineOp({
  schema: "aten::contiguous(Tensor(a) self, *, MemoryFormat memory_format=contiguous_format) -> Tensor(a)",
  doc: "self if its elements lie in order, else a copy in which they do.",
  meta: ({ self, memoryFormat }) =>
    hasFormat(self, memoryFormat)
      ? { shape: self.shape, stride: self.stride, storageOffset: self.storageOffset, dtype: self.dtype }
      : { shape: self.shape, dtype: self.dtype, stride: formatStride("contiguous", self, memoryFormat) },
  decompose: ({ self, memoryFormat }) => hasFormat(self, memoryFormat) ? self : self.clone({ memoryFormat }),
  samples: (g) => [
    { args: { self: g.tensor([2, 3]) } },
    { name: "permuted", args: { self: g.tensor([2, 3, 4], { permuted: [2, 0, 1] }) } },
  ],
});

defineOp({
  schema:
    "aten::_to_copy(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor",
  doc: "A copy in another dtype, on another device, or in another memory format. Floats become integers by truncation.",
  meta: ({ self, dtype, device, memoryFormat }) => ({
    shape: self.shape,
    dtype: dtype ?? self.dtype,
    device: device ?? self.device,
    stride: formatStride("to", self, memoryFormat),
  }),
  loop: ({ self }, out) => castLoop(self, out),
  vjp: ({ self }, { grad, F }) => ({
    self: () =>
      grad.device === self.device ? grad.to(self.dtype) : F._toCopy(grad, { dtype: self.dtype, device: self.device }),
  }),
  samples: (g) => [
    { args: { self: g.tensor([2, 3]), dtype: float64 } },
    { name: "to integers", args: { self: g.tensor([2, 3]), dtype: int32 } },
    { name: "to bool", args: { self: g.tensor([2, 3]), dtype: bool } },
  ],
});

/** What a conversion asks for; null keeps what is there. */
interface Wanted {
  readonly dtype: DType | null;
  readonly device: Device | null;
  readonly copy: boolean;
  readonly memoryFormat: string | null;
}

function changesNothing(self: MetaInput | TensorValue, wanted: Wanted): boolean {
  return !wanted.copy && (wanted.dtype ?? self.dtype) === self.dtype &&
    (wanted.device ?? self.device) === self.device &&
    hasFormat(self, wanted.memoryFormat);
}

function convertedSpec(self: MetaInput, wanted: Wanted): TensorSpec {
  if (changesNothing(self, wanted)) return { ...self };
  return {
    shape: self.shape,
    dtype: wanted.dtype ?? self.dtype,
    device: wanted.device ?? self.device,
    stride: formatStride("to", self, wanted.memoryFormat),
  };
}

function convert(self: TensorValue, wanted: Wanted): TensorValue {
  const { dtype, device, memoryFormat } = wanted;
  if (changesNothing(self, wanted)) return self;
  return self._toCopy({
    dtype: dtype ?? self.dtype,
    ...(device === null ? {} : { device }),
    ...(memoryFormat === null ? {} : { memoryFormat }),
  });
}

defineOp({
  schema:
    "aten::to.dtype(Tensor(a) self, ScalarType dtype, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)",
  doc: "self in another dtype; self itself where it has that dtype and copy is false.",
  meta: ({ self, dtype, copy, memoryFormat }) => convertedSpec(self, { dtype, device: null, copy, memoryFormat }),
  decompose: ({ self, dtype, copy, memoryFormat }) => convert(self, { dtype, device: null, copy, memoryFormat }),
  samples: (g) => [
    { args: { self: g.tensor([2, 3]), dtype: float64 } },
    { name: "same", args: { self: g.tensor([2, 3]), dtype: g.dtype } },
    { name: "edge values", args: { self: g.tensor([6], { values: [0, -1.9, 1.9, 300, -300, 7] }), dtype: int32 } },
  ],
});

defineOp({
  schema:
    "aten::to.device(Tensor(a) self, Device device, ScalarType dtype, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)",
  doc: "self on another device and in another dtype.",
  meta: ({ self, dtype, device, copy, memoryFormat }) => convertedSpec(self, { dtype, device, copy, memoryFormat }),
  decompose: ({ self, dtype, device, copy, memoryFormat }) => convert(self, { dtype, device, copy, memoryFormat }),
  samples: () => [],
});

defineOp({
  schema:
    "aten::to.dtype_layout(Tensor(a) self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)",
  doc: "self in another dtype, on another device, or in another memory format; what is not named stays.",
  meta: ({ self, dtype, device, copy, memoryFormat }) => convertedSpec(self, { dtype, device, copy, memoryFormat }),
  decompose: ({ self, dtype, device, copy, memoryFormat }) => convert(self, { dtype, device, copy, memoryFormat }),
  samples: (g) => [{ args: { self: g.tensor([2, 3]), dtype: float64 } }],
});

defineOp({
  schema:
    "aten::to.other(Tensor(a) self, Tensor other, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)",
  doc: "self in the dtype and on the device of other.",
  meta: ({ self, other, copy, memoryFormat }) =>
    convertedSpec(self, { dtype: other.dtype, device: other.device, copy, memoryFormat }),
  decompose: ({ self, other, copy, memoryFormat }) =>
    convert(self, { dtype: other.dtype, device: other.device, copy, memoryFormat }),
  samples: (g) => [{ args: { self: g.tensor([2, 3]), other: g.tensor([1], { dtype: float64, requiresGrad: false }) } }],
});

defineOp({
  schema: "aten::type_as(Tensor self, Tensor other) -> Tensor",
  doc: "self in the dtype and on the device of other.",
  meta: ({ self, other }) =>
    convertedSpec(self, { dtype: other.dtype, device: other.device, copy: false, memoryFormat: null }),
  decompose: ({ self, other }) =>
    convert(self, { dtype: other.dtype, device: other.device, copy: false, memoryFormat: null }),
  samples: (g) => [{ args: { self: g.tensor([2, 3]), other: g.tensor([1], { dtype: float64, requiresGrad: false }) } }],
});

defineOp({
  schema: "aten::copy(Tensor self, Tensor src, bool non_blocking=False) -> Tensor",
  doc: "src, broadcast to the shape of self and cast to its dtype.",
  inplace: true,
  meta: ({ self, src }) => {
    if (!sameShape(broadcastShapes("copy", self.shape, src.shape), self.shape)) {
      throw new TypeError(
        `copy: src of shape ${shapeToText(src.shape)} does not broadcast to ${shapeToText(self.shape)}`,
      );
    }
    return { shape: self.shape, dtype: self.dtype, stride: formatStride("copy", self, null), device: self.device };
  },
  loop: ({ src }, out) => pointwise(out.shape, (index) => ops.cast(loadBroadcast(src, index), out.dtype)),
  vjp: ({ src }, { grad, F }) => ({ self: () => F.zerosLike(grad), src: () => reduceGrad(grad, src) }),
  samples: (g) => [
    { args: { self: g.tensor([2, 3]), src: g.tensor([3]) } },
    { name: "cast", args: { self: g.tensor([2, 3]), src: g.tensor([2, 3], { dtype: float64 }) } },
  ],
});

defineOp({
  schema: "aten::fill.Scalar(Tensor self, Scalar value) -> Tensor",
  doc: "A tensor like self in which every element is value.",
  inplace: true,
  meta: ({ self }) => ({ shape: self.shape, dtype: self.dtype, stride: formatStride("fill", self, null) }),
  loop: ({ value }, out) => pointwise(out.shape, () => scalarValue(value, out.dtype)),
  vjp: (_, { grad, F }) => ({ self: () => F.zerosLike(grad) }),
  samples: (g) => [{ args: { self: g.tensor([2, 3]), value: 2 } }],
});

defineOp({
  schema: "aten::fill.Tensor(Tensor self, Tensor value) -> Tensor",
  doc: "A tensor like self in which every element is the 0-dim tensor value.",
  inplace: true,
  meta: ({ self, value }) => {
    if (value.shape.length !== 0) {
      throw new TypeError(`fill: value must be 0-dim, got ${shapeToText(value.shape)}; use copy_() to broadcast`);
    }
    return { shape: self.shape, dtype: self.dtype, stride: formatStride("fill", self, null) };
  },
  loop: ({ value }, out) => pointwise(out.shape, () => ops.cast(value.load([]), out.dtype)),
  vjp: ({ value }, { grad, F }) => ({ self: () => F.zerosLike(grad), value: () => reduceGrad(grad, value) }),
  samples: (g) => [{ args: { self: g.tensor([2, 3]), value: g.tensor([]) } }],
});

defineOp({
  schema: "aten::zero(Tensor self) -> Tensor",
  doc: "A tensor like self in which every element is 0.",
  inplace: true,
  meta: ({ self }) => ({ shape: self.shape, dtype: self.dtype, stride: formatStride("zero", self, null) }),
  loop: (_, out) => pointwise(out.shape, () => ops.constant(0, out.dtype)),
  vjp: (_, { grad, F }) => ({ self: () => F.zerosLike(grad) }),
  samples: (g) => [{ args: { self: g.tensor([2, 3]) } }],
});

function maskedShape(self: MetaInput, mask: MetaInput): readonly Size[] {
  if (mask.dtype !== bool) {
    throw new TypeError(`masked_fill: the mask must be bool, got ${mask.dtype.name}; compare it with 0 first`);
  }
  return broadcastShapes("masked_fill", self.shape, mask.shape);
}

defineOp({
  schema: "aten::masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor",
  doc: "value where the mask holds, else self.",
  inplace: true,
  meta: ({ self, mask }) => ({ shape: maskedShape(self, mask), dtype: self.dtype }),
  loop: ({ self, mask, value }, out) =>
    pointwise(
      out.shape,
      (index) => ops.where(loadBroadcast(mask, index), scalarValue(value, out.dtype), loadBroadcast(self, index)),
    ),
  vjp: ({ self, mask }, { grad }) => ({ self: () => reduceGrad(grad.maskedFill(mask, 0), self) }),
  samples: (g) => [
    { args: { self: g.tensor([3, 4]), mask: maskSample(g, [3, 4]), value: 2 } },
    { name: "broadcast", args: { self: g.tensor([3, 1]), mask: maskSample(g, [4]), value: -1 } },
  ],
});

defineOp({
  schema: "aten::masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor",
  doc: "The 0-dim tensor value where the mask holds, else self.",
  inplace: true,
  meta: ({ self, mask, value }) => {
    if (value.shape.length !== 0) {
      throw new TypeError(
        `masked_fill: value must be 0-dim, got ${shapeToText(value.shape)}; use where() to broadcast`,
      );
    }
    return { shape: maskedShape(self, mask), dtype: self.dtype };
  },
  loop: ({ self, mask, value }, out) =>
    pointwise(
      out.shape,
      (index) => ops.where(loadBroadcast(mask, index), ops.cast(value.load([]), out.dtype), loadBroadcast(self, index)),
    ),
  vjp: ({ self, mask, value }, { grad, F }) => ({
    self: () => reduceGrad(grad.maskedFill(mask, 0), self),
    value: () => reduceGrad(F.where(mask, grad, 0), value),
  }),
  samples: (g) => [{ args: { self: g.tensor([3, 4]), mask: maskSample(g, [3, 4]), value: g.tensor([]) } }],
});

function maskSample(g: SampleGenerator, shape: readonly number[]) {
  return g.tensor(shape, { dtype: bool, values: "integers", low: 0, high: 2, requiresGrad: false });
}
