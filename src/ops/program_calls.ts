/**
 * Operators that exported programs contain beside ATen's arithmetic: sizes and numbers of tensors, assertions on metadata.
 *
 * Sizes are read from the tensor's description (symbolic while capturing), numbers from its data, which ends a captured graph; neither is a node of a graph.
 * Assertions have no result; they are decided from shapes and dtypes before anything is recorded, so that captured graphs do not hold them.
 */
import { bool } from "../core/mod.ts";
import { sameShape, shapeToText, type Size, sizeProd } from "../symbolic/mod.ts";
import { axisOf } from "./combinators.ts";
import { defineOp } from "./define.ts";
import type { TensorValue } from "./value.ts";

defineOp({
  schema:
    "aten::_assert_tensor_metadata(Tensor a, SymInt[]? size=None, SymInt[]? stride=None, ScalarType? dtype=None, *, Device? device=None, Layout? layout=None) -> ()",
  doc: "Raises unless a tensor has the given size, stride, dtype and device.",
  meta: ({ a, size, stride, dtype, device }) => {
    const where = "_assert_tensor_metadata";
    const differs = (want: readonly unknown[], have: readonly unknown[]): boolean =>
      want.length !== have.length || want.some((w, i) => Number(w) !== Number(have[i]));
    if (size !== null && differs(size, a.shape)) {
      throw new TypeError(`${where}: the size is ${shapeToText(a.shape)}, not ${shapeToText(size)}`);
    }
    if (stride !== null && differs(stride, a.stride)) {
      throw new TypeError(`${where}: the stride is ${shapeToText(a.stride)}, not ${shapeToText(stride)}`);
    }
    if (dtype !== null && a.dtype !== dtype) {
      throw new TypeError(`${where}: the dtype is ${a.dtype.name}, not ${dtype.name}`);
    }
    if (device !== null && a.device.type !== device.type) {
      throw new TypeError(`${where}: the device is ${a.device}, not ${device}`);
    }
    return [];
  },
  decompose: () => [],
  samples: () => [],
});

defineOp({
  schema: "aten::_assert_scalar(Scalar self, str assert_msg) -> ()",
  doc: "Raises with a message if a number is 0.",
  meta: ({ self, assertMsg }) => {
    if (Number(self) === 0) throw new RangeError(`_assert_scalar: ${assertMsg}`);
    return [];
  },
  decompose: () => [],
  samples: () => [],
});

/** Sizes of a tensor, as graphs of exported programs ask for them. */
const SIZES = [
  ["sym_size.int(Tensor self, int dim) -> SymInt", "The size of a dimension.", (t, d) => t.shape[d] ?? 1],
  ["sym_stride.int(Tensor self, int dim) -> SymInt", "The stride of a dimension.", (t, d) => t.stride[d] ?? 1],
  ["sym_numel(Tensor self) -> SymInt", "The number of elements.", (t) => sizeProd(t.shape)],
  ["sym_storage_offset(Tensor self) -> SymInt", "Where the first element lies in its memory.", (t) => t.storageOffset],
] as const satisfies readonly (readonly [string, string, (t: TensorValue, dim: number) => Size])[];

for (const [schema, doc, read] of SIZES) {
  const where = schema.split(/[.(]/)[0] ?? schema;
  defineOp({
    schema: `aten::${schema}` as "aten::sym_size.int(Tensor self, int dim) -> SymInt",
    doc,
    meta: () => [],
    number: ({ self, ...rest }) => {
      const { dim } = rest as { readonly dim?: Size };
      return read(self, dim === undefined ? 0 : axisOf(where, dim, self.ndim));
    },
    samples: () => [],
  });
}

for (const name of ["item", "_local_scalar_dense"] as const) {
  defineOp({
    schema: `aten::${name}(Tensor self) -> Scalar`,
    doc: "The number of a tensor of one element. Under compile it ends the graph: what follows is captured again.",
    // Tensor has its own.
    public: false,
    meta: () => [],
    number: ({ self }) => self.item(),
    samples: () => [],
  });
}

defineOp({
  schema: "aten::is_nonzero(Tensor self) -> bool",
  doc: "Whether the number of a tensor of one element is not 0. Reads data, as item does.",
  meta: () => [],
  number: ({ self }) => self.item() !== 0,
  samples: () => [],
});

defineOp({
  schema: "aten::equal(Tensor self, Tensor other) -> bool",
  doc: "Whether shape and elements are the same; NaN equals nothing. Reads data, as item does.",
  // Tensor has its own.
  public: false,
  meta: () => [],
  number: ({ self, other }) => sameShape(self.shape, other.shape) && self.eq(other).all().item() === 1,
  samples: () => [],
});

defineOp({
  schema: "aten::allclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> bool",
  doc: "Whether all elements are close: |self - other| <= atol + rtol × |other|. Reads data, as item does.",
  // Tensor has its own.
  public: false,
  meta: () => [],
  number: ({ self, other, rtol, atol, equalNan }) => self.isclose(other, rtol, atol, equalNan).all().item() === 1,
  samples: () => [],
});

defineOp({
  schema: "aten::is_same_size(Tensor self, Tensor other) -> bool",
  doc: "Whether two tensors have one shape.",
  meta: () => [],
  number: ({ self, other }) => sameShape(self.shape, other.shape),
  samples: () => [],
});

defineOp({
  schema: "aten::narrow.Tensor(Tensor(a) self, int dim, Tensor start, SymInt length) -> Tensor(a)",
  doc: "narrow, from a position that a tensor holds. Reads data, as item does.",
  checksItself: true,
  meta: ({ self, dim, start, length }) => {
    if (start.shape.length !== 0 || !start.dtype.isIntegral || start.dtype === bool) {
      throw new TypeError(
        `narrow: start must be a 0-dim tensor of an integer, got ${start.dtype.name}${shapeToText(start.shape)}`,
      );
    }
    const axis = axisOf("narrow", dim, self.shape.length);
    return { shape: self.shape.with(axis, length), dtype: self.dtype, stride: self.stride };
  },
  decompose: ({ self, dim, start, length }) => {
    if (start.ndim !== 0 || !start.dtype.isIntegral || start.dtype === bool) {
      throw new TypeError(
        `narrow: start must be a 0-dim tensor of an integer, got ${start.dtype.name}${shapeToText(start.shape)}`,
      );
    }
    return self.narrow(dim, start.item(), length);
  },
  samples: () => [],
});
