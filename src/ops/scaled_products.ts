/**
 * Products whose sums are wider than their operands: int8 in int32, 8-bit floats in float32 with scales.
 *
 * One contraction reads operands as they lie in memory, so that tensor cores can multiply them as they are; scales, bias and the rounding are elementwise operators that a compiler fuses
 * into its epilogue. Mirrors `_scaled_mm`, `_int_mm` and the products with `out_dtype` of ATen; scales are one number a tensor, or one a row of each operand.
 */
import { type DType, float32, int32, isFloat8 } from "../core/mod.ts";
import { contraction, type ContractionLoop, type LoopInput, ops } from "../loops/mod.ts";
import { shapeToText, type Size, sizeEq } from "../symbolic/mod.ts";
import { defineOp, type MetaInput } from "./define.ts";

/** The shape of a product of matrices. @throws {TypeError} */
function productShape(where: string, { shape: a }: MetaInput, { shape: b }: MetaInput): [Size, Size] {
  const [m, k] = a;
  const [k2, n] = b;
  if (
    m === undefined || k === undefined || k2 === undefined || n === undefined || a.length !== 2 || b.length !== 2 ||
    !sizeEq(k, k2)
  ) {
    throw new TypeError(
      `${where}: cannot multiply ${shapeToText(a)} by ${shapeToText(b)}: needs matrices [m, k] and [k, n]`,
    );
  }
  return [m, n];
}

/** A product whose factors are cast to the dtype of the sums where they are read. */
function product(self: LoopInput, mat2: LoopInput, shape: readonly Size[], dtype: DType): ContractionLoop {
  return contraction({
    dtype,
    accumulate: dtype,
    batch: [],
    m: shape.slice(0, 1),
    n: shape.slice(1),
    k: self.shape.slice(1),
    a: ({ m, k }) => ops.cast(self.load([...m, ...k]), dtype),
    b: ({ k, n }) => ops.cast(mat2.load([...k, ...n]), dtype),
    out: ({ m, n }) => [...m, ...n],
  });
}

defineOp({
  schema: "aten::_int_mm(Tensor self, Tensor mat2) -> Tensor",
  doc: "The product of matrices of 8-bit integers, in int32.",
  meta: ({ self, mat2 }) => {
    if (self.dtype.bytes !== 1 || mat2.dtype.bytes !== 1 || !self.dtype.isIntegral || !mat2.dtype.isIntegral) {
      throw new TypeError(`_int_mm: needs int8 matrices, got ${self.dtype.name} and ${mat2.dtype.name}`);
    }
    return { shape: productShape("_int_mm", self, mat2), dtype: int32 };
  },
  loop: ({ self, mat2 }, out) => product(self, mat2, out.shape, int32),
  samples: () => [],
});

defineOp({
  schema: "tessera::float8_product(Tensor self, Tensor mat2) -> Tensor",
  doc: "The product of matrices of 8-bit floats, of either kind, in float32.",
  meta: ({ self, mat2 }) => ({ shape: productShape("_scaled_mm", self, mat2), dtype: float32 }),
  loop: ({ self, mat2 }, out) => product(self, mat2, out.shape, float32),
  samples: () => [],
});

/** @throws {TypeError} unless scales are float32: one number, or one a row of the operand */
function checkScale(name: string, scale: MetaInput, rowShape: readonly Size[], perRow: boolean): void {
  const { shape } = scale;
  const fits = perRow
    ? shape.length === 2 && shape.every((size, d) => sizeEq(size, rowShape[d] ?? 1))
    : shape.every((size) => sizeEq(size, 1));
  if (scale.dtype === float32 && fits) return;
  throw new TypeError(
    `_scaled_mm: ${name} is ${scale.dtype.name}${shapeToText(shape)}; needs float32, one number for each operand or ${
      shapeToText(rowShape)
    } for its rows, and both in the same way`,
  );
}

defineOp({
  schema:
    "aten::_scaled_mm(Tensor self, Tensor mat2, Tensor scale_a, Tensor scale_b, Tensor? bias=None, Tensor? scale_result=None, ScalarType? out_dtype=None, bool use_fast_accum=False) -> Tensor",
  doc:
    "The product of matrices of 8-bit floats times their scales, [m, k] by [k, n]; scales are one number each, or [m, 1] and [1, n]. Sums are float32, whatever use_fast_accum asks for; results in 8 bits are divided by scale_result.",
  meta: ({ self, mat2, scaleA, scaleB, bias, outDtype }) => {
    if (!isFloat8(self.dtype) || !isFloat8(mat2.dtype)) {
      throw new TypeError(`_scaled_mm: needs 8-bit floats, got ${self.dtype.name} and ${mat2.dtype.name}`);
    }
    const shape = productShape("_scaled_mm", self, mat2);
    const [m, n] = shape;
    const perRow = [...scaleA.shape, ...scaleB.shape].some((size) => !sizeEq(size, 1));
    checkScale("scale_a", scaleA, [m, 1], perRow);
    checkScale("scale_b", scaleB, [1, n], perRow);
    if (bias !== null && (bias.shape.length !== 1 || !sizeEq(bias.shape[0] ?? 1, n))) {
      throw new TypeError(`_scaled_mm: bias ${shapeToText(bias.shape)} must be a vector of ${n}, one a column`);
    }
    const dtype = outDtype ?? self.dtype;
    if (!dtype.isFloat) throw new TypeError(`_scaled_mm: out_dtype must be a floating point type, got ${dtype.name}`);
    return { shape, dtype };
  },
  decompose: ({ self, mat2, scaleA, scaleB, bias, scaleResult, outDtype }, F) => {
    const dtype = outDtype ?? self.dtype;
    const flat = (scale: typeof scaleA): typeof scaleA => scale.ndim === 1 ? scale.reshape([]) : scale;
    let out = F.float8Product(self, mat2).mul(flat(scaleA)).mul(flat(scaleB));
    if (bias !== null) out = out.add(bias.to(float32));
    if (scaleResult !== null && isFloat8(dtype)) out = out.div(scaleResult.reshape([]));
    return out.to(dtype);
  },
  samples: () => [],
});
