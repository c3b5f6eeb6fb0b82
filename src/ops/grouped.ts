/**
 * Products of groups of rows, each with a matrix of its own: mixtures of experts.
 *
 * Where the groups end is data, so no shape depends on it. On CUDA each of the two operators here is one kernel that finds its tiles on the device
 * (`codegen/cuda/algorithms/grouped.ts`); elsewhere every group's product is computed and rows choose. Mirrors `_grouped_mm` of ATen.
 */
import { float32, int64 } from "../core/mod.ts";
import { shapeToText, type Size, sizeEq } from "../symbolic/mod.ts";
import { defineOp, type MetaInput } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { SampleGenerator, TensorSample } from "./samples.ts";
import type { TensorValue } from "./value.ts";

function size(t: { readonly shape: readonly Size[] }, d: number): Size {
  return t.shape[d] ?? 1;
}

function checkGroups(where: string, tensors: readonly MetaInput[], offs: MetaInput): void {
  const [first] = tensors;
  for (const t of tensors) {
    if (t.dtype !== first?.dtype || !t.dtype.isFloat) {
      throw new TypeError(`${where}: needs floats of one dtype, got ${tensors.map((x) => x.dtype.name).join(" and ")}`);
    }
  }
  if (offs.shape.length !== 1 || !offs.dtype.isIntegral || offs.dtype.bytes < 4) {
    throw new TypeError(
      `${where}: offs must be a vector of int32 or int64, one end a group, got ${offs.dtype.name}${
        shapeToText(offs.shape)
      }`,
    );
  }
}

/** The number of each row's group, [rows, 1]: how many groups end at or before it. */
function groupOfRows(rows: Size, offs: TensorValue, F: Functional): TensorValue {
  const row = F.arange(rows, { device: offs.device, dtype: int64 });
  return offs.unsqueeze(0).le(row.unsqueeze(1)).sum([1], true);
}

function ends(g: SampleGenerator): TensorSample {
  return g.tensor([3], { dtype: int64, values: [2, 2, 4], requiresGrad: false });
}

defineOp({
  schema: "tessera::grouped_rows(Tensor input, Tensor weight, Tensor offs, bool transposed) -> Tensor",
  doc:
    "Rows of input times the matrix of their group, [in, out] or, transposed, [out, in]: group g ends before row offs[g]; rows beyond the last group are 0.",
  meta: ({ input, weight, offs, transposed }) => {
    const [inner, outer] = transposed ? [2, 1] : [1, 2];
    if (
      input.shape.length !== 2 || weight.shape.length !== 3 || !sizeEq(size(input, 1), size(weight, inner)) ||
      !sizeEq(size(offs, 0), size(weight, 0))
    ) {
      throw new TypeError(
        `grouped_rows: needs an input [rows, in], weights ${
          transposed ? "[groups, out, in]" : "[groups, in, out]"
        } and offs [groups], got ${shapeToText(input.shape)}, ${shapeToText(weight.shape)} and ${
          shapeToText(offs.shape)
        }`,
      );
    }
    checkGroups("grouped_rows", [input, weight], offs);
    return { shape: [size(input, 0), size(weight, outer)], dtype: input.dtype };
  },
  decompose: ({ input, weight, offs, transposed }, F) => {
    const group = groupOfRows(size(input, 0), offs, F);
    let out = input.newZeros([size(input, 0), size(weight, transposed ? 1 : 2)]);
    for (let g = 0; g < Number(size(weight, 0)); g++) {
      const matrix = weight.select(0, g);
      out = F.where(group.eq(g), input.matmul(transposed ? matrix.t() : matrix), out);
    }
    return out;
  },
  vjp: ({ input, weight, offs, transposed }, { grad, F }) => ({
    input: () => F.groupedRows(grad, weight, offs, !transposed),
    weight: () => transposed ? F.groupedOuter(grad, input, offs) : F.groupedOuter(input, grad, offs),
  }),
  samples: (g) =>
    g.dtype === float32 || g.dtype.bytes === 8 && g.dtype.isFloat
      ? [
        { args: { input: g.tensor([5, 3]), weight: g.tensor([3, 3, 2]), offs: ends(g), transposed: false } },
        { args: { input: g.tensor([4, 3]), weight: g.tensor([3, 2, 3]), offs: ends(g), transposed: true } },
      ]
      : [],
});

defineOp({
  schema: "tessera::grouped_outer(Tensor a, Tensor b, Tensor offs) -> Tensor",
  doc:
    "For each group of rows the product of the transposed rows of a with those of b: [groups, columns of a, columns of b].",
  meta: ({ a, b, offs }) => {
    if (a.shape.length !== 2 || b.shape.length !== 2 || !sizeEq(size(a, 0), size(b, 0))) {
      throw new TypeError(
        `grouped_outer: needs [rows, m] and [rows, n], got ${shapeToText(a.shape)} and ${shapeToText(b.shape)}`,
      );
    }
    checkGroups("grouped_outer", [a, b], offs);
    return { shape: [size(offs, 0), size(a, 1), size(b, 1)], dtype: a.dtype };
  },
  decompose: ({ a, b, offs }, F) => {
    const group = groupOfRows(size(a, 0), offs, F);
    const none = a.newZeros([]);
    return F.stack(
      Array.from({ length: Number(size(offs, 0)) }, (_, g) => F.where(group.eq(g), a, none).t().matmul(b)),
    );
  },
  vjp: ({ a, b, offs }, { grad, F }) => ({
    a: () => F.groupedRows(b, grad, offs, true),
    b: () => F.groupedRows(a, grad, offs, false),
  }),
  samples: (g) =>
    g.dtype === float32 || g.dtype.bytes === 8 && g.dtype.isFloat
      ? [{ args: { a: g.tensor([4, 3]), b: g.tensor([4, 2]), offs: ends(g) } }]
      : [],
});

/** Rows times the matrices of their groups, the weights as they lie in memory. */
function rowsTimes(input: TensorValue, weight: TensorValue, offs: TensorValue, F: Functional): TensorValue {
  const isTurned = weight.stride[1] === 1 && weight.shape[1] !== 1;
  return isTurned
    ? F.groupedRows(input, weight.transpose(1, 2), offs, true)
    : F.groupedRows(input, weight, offs, false);
}

defineOp({
  schema:
    "aten::_grouped_mm(Tensor self, Tensor mat2, Tensor? offs=None, Tensor? bias=None, ScalarType? out_dtype=None) -> Tensor",
  doc:
    "Products of groups. [rows, in] and [groups, in, out]: offs ends groups of rows. [groups, m, in] and [in, columns]: groups of columns. [m, k] and [k, n]: groups of k, [groups, m, n]. Of two three-dimensional tensors: bmm.",
  meta: ({ self, mat2, offs, bias, outDtype }) => {
    const where = "_grouped_mm";
    const [a, b] = [self.shape.length, mat2.shape.length];
    const shapes = `${shapeToText(self.shape)} and ${shapeToText(mat2.shape)}`;
    if (bias !== null) throw new TypeError(`${where}: takes no bias; add it to the result`);
    if (outDtype !== null && outDtype !== self.dtype) {
      throw new TypeError(`${where}: gives ${self.dtype.name}, not ${outDtype.name}; cast the result`);
    }
    if (a < 2 || a > 3 || b < 2 || b > 3) {
      throw new TypeError(`${where}: needs matrices or stacks of them, got ${shapes}`);
    }
    if ((offs === null) !== (a === 3 && b === 3)) {
      throw new TypeError(`${where}: ${offs === null ? "needs offs" : "takes no offs"} with ${shapes}`);
    }
    if (!sizeEq(size(self, a - 1), size(mat2, b - 2))) {
      throw new TypeError(`${where}: ${shapes} have no common inner size`);
    }
    if (offs !== null) checkGroups(where, [self, mat2], offs);
    const [m, n] = [size(self, a - 2), size(mat2, b - 1)];
    if (a === 2 && b === 2) return { shape: [size(offs as MetaInput, 0), m, n], dtype: self.dtype };
    return { shape: a === 3 && b === 3 ? [size(self, 0), m, n] : [m, n], dtype: self.dtype };
  },
  decompose: ({ self, mat2, offs }, F) => {
    if (offs === null) return self.bmm(mat2);
    if (self.ndim === 2 && mat2.ndim === 2) return F.groupedOuter(self.t(), mat2, offs);
    if (self.ndim === 2) return rowsTimes(self, mat2, offs, F);
    return rowsTimes(mat2.t(), self.transpose(1, 2), offs, F).t();
  },
  samples: (g) =>
    g.dtype === float32
      ? [
        { args: { self: g.tensor([4, 3]), mat2: g.tensor([3, 3, 2]), offs: ends(g) } },
        { args: { self: g.tensor([3, 2, 3]), mat2: g.tensor([3, 4]), offs: ends(g) } },
        { args: { self: g.tensor([3, 4]), mat2: g.tensor([4, 2]), offs: ends(g) } },
        { args: { self: g.tensor([2, 3, 4]), mat2: g.tensor([2, 4, 2]) } },
      ]
      : [],
});

defineOp({
  schema: "transformers::grouped_mm_fallback(Tensor input, Tensor weight, Tensor offs) -> Tensor",
  doc:
    "Rows of input times the matrix of their group: group g ends before row offs[g]; rows beyond the last group are 0.",
  meta: ({ input, weight, offs }) => {
    if (
      input.shape.length !== 2 || weight.shape.length !== 3 || offs.shape.length !== 1 ||
      !sizeEq(size(input, 1), size(weight, 1)) || !sizeEq(size(offs, 0), size(weight, 0))
    ) {
      throw new TypeError(
        `grouped_mm_fallback: needs an input [rows, in], weights [groups, in, out] and offsets [groups], got ${
          shapeToText(input.shape)
        }, ${shapeToText(weight.shape)} and ${shapeToText(offs.shape)}`,
      );
    }
    return { shape: [size(input, 0), size(weight, 2)], dtype: input.dtype };
  },
  decompose: ({ input, weight, offs }, F) => rowsTimes(input, weight, offs, F),
  samples: (g) =>
    g.dtype === float32 || g.dtype.bytes === 8 && g.dtype.isFloat
      ? [{ args: { input: g.tensor([5, 3]), weight: g.tensor([3, 3, 2]), offs: ends(g) } }]
      : [],
});
