/**
 * A tensor's memory as elements of another dtype: `x.view(int32)`.
 *
 * Eagerly a view. Under a compiler the bytes are copied, on the host: kernels know one dtype of a buffer. A dtype of another width makes the last dimension longer or
 * shorter, which therefore has to lie in order. Mirrors `view_dtype` of ATen.
 */
import { type DType, InternalError, narrowFloat } from "../core/mod.ts";
import { shapeToText, type Size, sizeEq, sizeFloorDiv, sizeMod, sizeMul } from "../symbolic/mod.ts";
import { defineOp, type HostArray, type MetaInput, type TensorSpec } from "./define.ts";
import { hostArray, hostShape } from "./host_axis.ts";

function dtypeViewSpec({ shape, stride, storageOffset, dtype: from }: MetaInput, dtype: DType): TensorSpec {
  if (from.bytes === dtype.bytes) return { shape, stride, storageOffset, dtype };
  const last = shape.length - 1;
  const refuse = (why: string): never => {
    throw new TypeError(
      `view: ${from.name}${shapeToText(shape)} of strides ${
        shapeToText(stride)
      } cannot be seen as ${dtype.name}: ${why}`,
    );
  };
  if (last < 0) refuse("the widths differ, so there must be a last dimension to change");
  if (!sizeEq(stride[last] ?? 1, 1)) refuse("the widths differ, so the last dimension must have stride 1");
  if (from.bytes > dtype.bytes) {
    const parts = from.bytes / dtype.bytes;
    const times = (s: Size): Size => sizeMul(s, parts);
    return {
      shape: shape.with(last, times(shape[last] ?? 1)),
      stride: stride.map((s, d) => d === last ? 1 : times(s)),
      storageOffset: times(storageOffset),
      dtype,
    };
  }
  const joined = dtype.bytes / from.bytes;
  const divides = (s: Size): boolean => sizeEq(sizeMod(s, joined), 0);
  if (!divides(shape[last] ?? 1)) refuse(`the last dimension must be a multiple of ${joined}`);
  if (!divides(storageOffset) || !stride.every((s, d) => d === last || divides(s))) {
    refuse(`offset and strides must be multiples of ${joined}`);
  }
  const part = (s: Size): Size => sizeFloorDiv(s, joined);
  return {
    shape: shape.with(last, part(shape[last] ?? 1)),
    stride: stride.map((s, d) => d === last ? 1 : part(s)),
    storageOffset: part(storageOffset),
    dtype,
  };
}

/** The bytes of elements as they lie in memory. */
function bytesOf(dtype: DType, data: HostArray): Uint8Array<ArrayBuffer> {
  const narrow = narrowFloat(dtype);
  if (narrow !== null) {
    if (dtype.bytes === 1) return Uint8Array.from(data as Float32Array, narrow.toBits);
    const words = new Uint32Array(Float32Array.from(data as Float32Array).buffer);
    return new Uint8Array(Uint16Array.from(words, (w) => w >>> 16).buffer);
  }
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
}

/** Elements of `dtype` over bytes; bfloat16 and 8-bit floats widened. */
function elementsOf(dtype: DType, bytes: Uint8Array<ArrayBuffer>): HostArray {
  const narrow = narrowFloat(dtype);
  if (narrow !== null) {
    if (dtype.bytes === 1) return Float32Array.from(bytes, narrow.fromBits);
    return new Float32Array(Uint32Array.from(new Uint16Array(bytes.buffer), (h) => h << 16).buffer);
  }
  const out = hostArray(dtype, dtype.isComplex ? bytes.length / 4 : bytes.length / dtype.bytes);
  if (out.byteLength !== bytes.length) throw new InternalError(`view: ${dtype.name} does not divide the bytes`);
  new Uint8Array(out.buffer).set(bytes);
  return out;
}

defineOp({
  schema: "aten::view.dtype(Tensor(a) self, ScalarType dtype) -> Tensor(a)",
  doc: "The same memory as elements of another dtype; one of another width changes the last dimension.",
  meta: ({ self, dtype }) => dtypeViewSpec(self, dtype),
  host: ({ self, dtype }) => {
    const { shape } = dtypeViewSpec({ ...self, isScalar: false, requiresGrad: false }, dtype);
    return [{ shape: hostShape({ ...self, shape }), data: elementsOf(dtype, bytesOf(self.dtype, self.data)) }];
  },
  view: { writeBack: ({ self }, changed) => changed.contiguous().view(self.dtype) },
  samples: () => [],
});
