/**
 * Operators that exported programs contain beside ATen's arithmetic: assertions on metadata, and a grouped matrix product of a model library.
 *
 * Assertions have no result; they are decided from shapes and dtypes before anything is recorded, so that captured graphs do not hold them.
 */
import { float32, int64 } from "../core/mod.ts";
import { shapeToText, sizeEq } from "../symbolic/mod.ts";
import { defineOp } from "./define.ts";

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

defineOp({
  schema: "transformers::grouped_mm_fallback(Tensor input, Tensor weight, Tensor offs) -> Tensor",
  doc:
    "Rows of input times the matrix of their group: group g ends before row offs[g]; rows beyond the last group are 0.",
  meta: ({ input, weight, offs }) => {
    if (
      input.shape.length !== 2 || weight.shape.length !== 3 || offs.shape.length !== 1 ||
      !sizeEq(input.shape[1] ?? 1, weight.shape[1] ?? 1) || !sizeEq(offs.shape[0] ?? 1, weight.shape[0] ?? 1)
    ) {
      throw new TypeError(
        `grouped_mm_fallback: needs an input [rows, in], weights [groups, in, out] and offsets [groups], got ${
          shapeToText(input.shape)
        }, ${shapeToText(weight.shape)} and ${shapeToText(offs.shape)}`,
      );
    }
    return { shape: [input.shape[0] ?? 1, weight.shape[2] ?? 1], dtype: input.dtype };
  },
  decompose: ({ input, weight, offs }, F) => {
    const rows = F.arange(input.shape[0] ?? 1, { device: input.device, dtype: int64 });
    // [rows, groups]: how many groups end at or before a row is the number of its group.
    const group = offs.unsqueeze(0).le(rows.unsqueeze(1)).sum([1], true);
    let out = input.newZeros([input.shape[0] ?? 1, weight.shape[2] ?? 1]);
    for (let g = 0; g < Number(weight.shape[0]); g++) {
      out = F.where(group.eq(g), input.matmul(weight.select(0, g)), out);
    }
    return out;
  },
  samples: (g) =>
    g.dtype === float32 || g.dtype.bytes === 8 && g.dtype.isFloat
      ? [{
        args: {
          input: g.tensor([5, 3]),
          weight: g.tensor([3, 3, 2]),
          offs: g.tensor([3], { dtype: int64, values: [2, 2, 4], requiresGrad: false }),
        },
      }]
      : [],
});
