/**
 * complex64 between real numbers: view_as_complex, view_as_real, complex, polar, and the parts of complex tensors.
 *
 * A complex tensor is a view of pairs of float32 (last dimension 2, stride 1), and arithmetic is written on the pairs, so that gradients and promotion
 * are those of real tensors (the gradient of a complex number is the pair of its parts' gradients, PyTorch's convention) and no backend needs complex
 * kernels. Under a compiler the two views copy, on the host. Mirrors `ComplexHelper.h`.
 */
import { complex64, float32 } from "../core/mod.ts";
import { broadcastShapes, shapeToText, type Size, sizeEq, sizeFloorDiv, sizeMod, sizeMul } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { hostShape } from "./host_axis.ts";
import type { SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

function needComplex(where: string, self: { readonly dtype: MetaInput["dtype"] }): void {
  if (!self.dtype.isComplex) throw new TypeError(`${where}: needs a complex tensor, got ${self.dtype.name}`);
}

defineOp({
  schema: "aten::view_as_real(Tensor(a) self) -> Tensor(a)",
  doc: "A complex tensor as real pairs: one more dimension, of size 2.",
  meta: ({ self }): TensorSpec => {
    needComplex("view_as_real", self);
    return {
      shape: [...self.shape, 2],
      dtype: float32,
      stride: [...self.stride.map((s) => sizeMul(s, 2)), 1],
      storageOffset: sizeMul(self.storageOffset, 2),
    };
  },
  host: ({ self }) => [{ shape: [...hostShape(self), 2], data: self.data }],
  vjp: (_, { grad }) => ({ self: () => grad.contiguous().viewAsComplex() }),
  view: { writeBack: (_, changed) => changed.contiguous().viewAsComplex() },
  samples: () => [],
});

defineOp({
  schema: "aten::view_as_complex(Tensor(a) self) -> Tensor(a)",
  doc: "Real pairs, in a last dimension of size 2, as a complex tensor.",
  meta: ({ self }): TensorSpec => {
    const rank = self.shape.length;
    if (self.dtype !== float32) {
      throw new TypeError(
        `view_as_complex: needs float32 (complex64 is the one complex dtype), got ${self.dtype.name}`,
      );
    }
    if (rank === 0 || !sizeEq(self.shape[rank - 1] ?? 1, 2)) {
      throw new TypeError(`view_as_complex: the last dimension of ${shapeToText(self.shape)} must be of size 2`);
    }
    const stride = self.stride.slice(0, -1);
    const isPaired = sizeEq(self.stride[rank - 1] ?? 1, 1) && sizeEq(sizeMod(self.storageOffset, 2), 0) &&
      stride.every((s, d) => sizeEq(self.shape[d] ?? 1, 1) || sizeEq(sizeMod(s, 2), 0));
    if (!isPaired) {
      throw new TypeError(
        `view_as_complex: the pairs of a tensor with strides ${
          shapeToText(self.stride)
        } are not adjacent in memory; use contiguous() first`,
      );
    }
    return {
      shape: self.shape.slice(0, -1),
      dtype: complex64,
      stride: stride.map((s) => sizeFloorDiv(s, 2)),
      storageOffset: sizeFloorDiv(self.storageOffset, 2),
    };
  },
  host: ({ self }) => [{ shape: hostShape(self).slice(0, -1), data: self.data }],
  vjp: (_, { grad }) => ({ self: () => grad.viewAsReal() }),
  view: { writeBack: (_, changed) => changed.viewAsReal() },
  samples: () => [],
});

/** Real and imaginary part; the imaginary part of a real tensor is null. */
export interface Parts {
  readonly re: TensorValue;
  readonly im: TensorValue | null;
}

/** The parts of a tensor, as float32 if it is complex. */
export function partsOf(x: TensorValue): Parts {
  if (!x.dtype.isComplex) return { re: x, im: null };
  const pairs = x.viewAsReal();
  return { re: pairs.select(-1, 0), im: pairs.select(-1, 1) };
}

/** A complex tensor from its parts, which broadcast. */
export function fromParts(re: TensorValue, im: TensorValue | null, F: Functional): TensorValue {
  const a = re.dtype === float32 ? re : re.to(float32);
  const b = im === null ? a.mul(0) : im.dtype === float32 ? im : im.to(float32);
  const shape = broadcastShapes("complex", a.shape, b.shape);
  return F.stack([a.expand(shape), b.expand(shape)], -1).viewAsComplex();
}

function realPair(where: string, a: MetaInput, b: MetaInput): TensorSpec {
  for (const t of [a, b]) {
    if (t.dtype !== float32) {
      throw new TypeError(`${where}: needs float32 (complex64 is the one complex dtype), got ${t.dtype.name}`);
    }
  }
  return { shape: broadcastShapes(where, a.shape, b.shape), dtype: complex64 };
}

const pairSamples = (first: string, second: string) => (g: SampleGenerator) =>
  g.dtype === float32 ? [{ args: { [first]: g.tensor([2, 3]), [second]: g.tensor([3]) } }] : [];

defineOp({
  schema: "aten::complex(Tensor real, Tensor imag) -> Tensor",
  doc: "Complex numbers from real and imaginary parts.",
  meta: ({ real, imag }) => realPair("complex", real, imag),
  decompose: ({ real, imag }, F) => fromParts(real, imag, F),
  samples: pairSamples("real", "imag"),
});

defineOp({
  schema: "aten::polar(Tensor abs, Tensor angle) -> Tensor",
  doc: "Complex numbers from magnitudes and angles.",
  meta: ({ abs, angle }) => realPair("polar", abs, angle),
  decompose: ({ abs, angle }, F) => fromParts(abs.mul(angle.cos()), abs.mul(angle.sin()), F),
  samples: pairSamples("abs", "angle"),
});

defineOp({
  schema: "aten::imag(Tensor(a) self) -> Tensor(a)",
  doc: "The imaginary parts of a complex tensor, a view.",
  meta: ({ self }) => {
    needComplex("imag", self);
    return {
      shape: self.shape,
      dtype: float32,
      stride: self.stride.map((s) => sizeMul(s, 2)),
      storageOffset: sizeMul(self.storageOffset, 2),
    };
  },
  decompose: ({ self }) => self.viewAsReal().select(-1, 1),
  samples: () => [],
});

/** Shapes as numbers with one dimension replaced. */
export function resized(shape: readonly Size[], axis: number, size: Size): Size[] {
  return shape.map((s, d) => d === axis ? size : s);
}
