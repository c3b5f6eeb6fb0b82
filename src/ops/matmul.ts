/**
 * Matrix products.
 */
import { computeType } from "../core/mod.ts";
import { contraction, ops } from "../loops/mod.ts";
import { shapeToText, sizeEq } from "../symbolic/mod.ts";
import { defineOp } from "./define.ts";

defineOp({
  schema: "aten::mm(Tensor self, Tensor mat2) -> Tensor",
  doc: "The product of two matrices.",
  meta: ({ self, mat2 }) => {
    const [n, k] = self.shape;
    const [k2, p] = mat2.shape;
    if (
      n === undefined || k === undefined || k2 === undefined || p === undefined || self.shape.length !== 2 ||
      mat2.shape.length !== 2 || !sizeEq(k, k2)
    ) {
      throw new TypeError(
        `mm: cannot multiply ${shapeToText(self.shape)} by ${shapeToText(mat2.shape)}: needs [n, k] and [k, p]`,
      );
    }
    return { shape: [n, p], dtype: self.dtype };
  },
  loop: ({ self, mat2 }, out) => {
    const accumulate = computeType(out.dtype);
    return contraction({
      dtype: out.dtype,
      accumulate,
      batch: [],
      m: out.shape.slice(0, 1),
      n: out.shape.slice(1),
      k: self.shape.slice(1),
      a: ({ m, k }) => ops.cast(self.load([...m, ...k]), accumulate),
      b: ({ k, n }) => ops.cast(mat2.load([...k, ...n]), accumulate),
      out: ({ m, n }) => [...m, ...n],
    });
  },
  vjp: ({ self, mat2 }, { grad }) => ({
    self: () => grad.mm(mat2.t()),
    mat2: () => self.t().mm(grad),
  }),
  samples: (g) => [{ args: { self: g.tensor([3, 4]), mat2: g.tensor([4, 5]) } }],
});
