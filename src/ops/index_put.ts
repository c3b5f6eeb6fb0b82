/**
 * Writing at lists of indices: index_put, with or without accumulation, and put.
 *
 * Index tensors broadcast together; dimensions without one stay. The broadcast dimensions stand where the index tensors stood if these
 * were adjacent, otherwise in front: PyTorch's and NumPy's rule. Boolean masks become positions first, which depends on data, unless one
 * number is written: that is a select.
 */
import { bool, int64 } from "../core/mod.ts";
import { ops, scatter } from "../loops/mod.ts";
import {
  asExpr,
  broadcastShapes,
  sameShape,
  shapeToText,
  type Size,
  sizeEq,
  sizeIsOne,
  sizeProd,
} from "../symbolic/mod.ts";
import { loadBroadcast } from "./combinators.ts";
import { defineOp, type MetaInput } from "./define.ts";
import type { Functional } from "./functional.ts";
import { checkIndices } from "./indexing.ts";
import { checkIndexDtype } from "./scatter.ts";
import type { TensorValue } from "./value.ts";

/** Where the broadcast dimensions of index tensors stand among those that stay. */
function broadcastPosition(indexed: readonly number[]): number {
  const first = indexed[0] ?? 0;
  return indexed.every((d, i) => d === first + i) ? first : 0;
}

/** The shape that a list of indices addresses. @throws {TypeError} if there are too many or they do not broadcast. */
function addressedShape(where: string, shape: readonly Size[], indices: readonly (MetaInput | null)[]): Size[] {
  if (indices.length > shape.length) {
    throw new TypeError(`${where}: ${indices.length} indices for ${shapeToText(shape)}`);
  }
  const indexed = indices.flatMap((i, d) => i === null ? [] : [d]);
  const broadcast = broadcastShapes(where, ...indices.filter((i) => i !== null).map((i) => i.shape));
  const rest = shape.filter((_, d) => !indexed.includes(d));
  const position = broadcastPosition(indexed);
  return [...rest.slice(0, position), ...broadcast, ...rest.slice(position)];
}

defineOp({
  schema: "tessera::index_put_into(Tensor input, Tensor?[] indices, Tensor values, bool accumulate) -> Tensor",
  doc: "index_put with integer indices only.",
  meta: ({ input, indices, values }) => {
    for (const i of indices) if (i !== null) checkIndexDtype("index_put", i);
    const shape = addressedShape("index_put", input.shape, indices);
    const joined = broadcastShapes("index_put", shape, values.shape);
    if (!sameShape(joined, shape)) {
      throw new TypeError(
        `index_put: values ${shapeToText(values.shape)} do not broadcast to the indexed shape ${shapeToText(shape)}`,
      );
    }
    if (values.dtype !== input.dtype) {
      throw new TypeError(`index_put: values are ${values.dtype.name}, self is ${input.dtype.name}: convert one first`);
    }
    return { shape: input.shape, dtype: input.dtype };
  },
  loop: ({ input, indices, values, accumulate }, out) => {
    const present = indices.filter((i) => i !== null);
    const rank = Math.max(0, ...present.map((i) => i.shape.length));
    const indexed = indices.flatMap((i, d) => i === null ? [] : [d]);
    const position = broadcastPosition(indexed);
    const broadcast = Array.from({ length: rank }, (_, d) => {
      const candidates = present.map((i) => i.shape[i.shape.length - rank + d]).filter((e) => e !== undefined);
      return candidates.find((e) => !(e.kind === "const" && e.value === 1)) ?? asExpr(1);
    });
    const rest = input.shape.filter((_, d) => !indexed.includes(d));
    const shape = [...rest.slice(0, position), ...broadcast, ...rest.slice(position)];
    return scatter(accumulate ? "sum" : "set", input, shape, (at) => {
      const common = at.slice(position, position + rank);
      const others = [...at.slice(0, position), ...at.slice(position + rank)];
      let next = 0;
      const target = out.shape.map((_, d) => {
        const index = indices[d] ?? null;
        if (index === null) return others[next++] ?? asExpr(0);
        const row = ops.cast(loadBroadcast(index, common), int64);
        return ops.indirect(row, input.shape[d] ?? asExpr(1), { fromEnd: true });
      });
      return { target, value: loadBroadcast(values, at) };
    });
  },
  vjp: ({ indices, values, accumulate }, { grad, F }) => ({
    input: () => accumulate ? grad : F.indexPutInto(grad, indices, values.newZeros([]), false),
    values: () => grad.index(indices).sumToSize(values.shape),
  }),
  samples: (g) => [
    {
      args: {
        input: g.tensor([4, 3]),
        indices: [g.tensor([2], { dtype: int64, values: [3, 1], requiresGrad: false })],
        values: g.tensor([2, 3]),
        accumulate: false,
      },
    },
    {
      name: "accumulates, None first",
      args: { input: g.tensor([2, 4, 3]), indices: [null, g.indices([5], 4)], values: g.tensor([3]), accumulate: true },
    },
    {
      name: "separated indices",
      args: {
        input: g.tensor([4, 2, 3]),
        indices: [g.indices([5, 1], 4), null, g.indices([2], 3)],
        values: g.tensor([5, 2, 2]),
        accumulate: true,
      },
    },
  ],
});

/**
 * Mask and values in the shape of self, if a single mask chooses places and one value (or row) goes to all of them: then nothing need be counted, and a graph
 * needs no break. Null otherwise.
 */
function maskedPut(
  self: TensorValue,
  indices: readonly (TensorValue | null)[],
  values: TensorValue,
): { readonly mask: TensorValue; readonly values: TensorValue } | null {
  const at = indices.findIndex((i) => i !== null);
  const mask = indices[at];
  if (mask === undefined || mask === null || mask.dtype !== bool || indices.some((i, k) => i !== null && k !== at)) {
    return null;
  }
  const rest = self.ndim - at - mask.ndim;
  if (rest < 0 || !mask.shape.every((size, i) => sizeEq(size, self.shape[at + i] ?? 1))) return null;
  const chosen = values.ndim - rest - 1;
  if (chosen > at || (chosen >= 0 && !sizeIsOne(values.shape[chosen] ?? 1))) return null;
  const ones = (count: number): number[] => new Array<number>(count).fill(1);
  return {
    mask: mask.reshape([...mask.shape, ...ones(rest)]),
    values: chosen < 0
      ? values
      : values.reshape([...values.shape.slice(0, chosen), ...ones(mask.ndim), ...values.shape.slice(chosen + 1)]),
  };
}

/** The tensor's dtype for values, which may be of another one when they are written. */
function putValues(
  self: TensorValue,
  indices: readonly (TensorValue | null)[],
  values: TensorValue,
  accumulate: boolean,
  F: Functional,
): TensorValue {
  const masked = maskedPut(self, indices, values);
  if (masked !== null) {
    const put = masked.values.to(self.dtype);
    if (!sameShape(broadcastShapes("index_put", put.shape, self.shape), self.shape)) {
      throw new TypeError(
        `index_put: values ${shapeToText(values.shape)} do not broadcast to what the mask chooses of ${
          shapeToText(self.shape)
        }`,
      );
    }
    return F.where(masked.mask, accumulate ? self.add(put) : put, self);
  }
  const integers = indices.flatMap((i): readonly (TensorValue | null)[] =>
    i?.dtype === bool ? i.nonzero().unbind(1) : [i]
  );
  return F.indexPutInto(self, integers, values.to(self.dtype), accumulate);
}

defineOp({
  schema: "aten::index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
  doc: "self with values written (or added) at lists of indices, one tensor or None for each dimension.",
  inplace: true,
  meta: ({ self, indices, values }) => {
    checkIndices("index_put", self.shape, indices);
    if (values.dtype !== self.dtype) {
      throw new TypeError(
        `index_put: values are ${values.dtype.name}, self is ${self.dtype.name}: convert with .to(${self.dtype.name})`,
      );
    }
    return { shape: self.shape, dtype: self.dtype };
  },
  decompose: ({ self, indices, values, accumulate }, F) => putValues(self, indices, values, accumulate, F),
  samples: (g) => [
    {
      args: {
        self: g.tensor([4, 3]),
        indices: [g.tensor([2], { dtype: int64, values: [3, -3], requiresGrad: false })],
        values: g.tensor([2, 3]),
      },
    },
    { args: { self: g.tensor([4, 3]), indices: [g.indices([5], 4)], values: g.tensor([]), accumulate: true } },
    {
      name: "mask of rows",
      args: {
        self: g.tensor([4, 3]),
        indices: [g.tensor([4], { dtype: bool, values: [1, 0, 0, 1], requiresGrad: false })],
        values: g.tensor([3]),
        accumulate: true,
      },
    },
    {
      name: "mask of columns, one value a row",
      args: {
        self: g.tensor([2, 3, 2]),
        indices: [null, g.tensor([3], { dtype: bool, values: [1, 0, 1], requiresGrad: false })],
        values: g.tensor([2, 1, 2]),
      },
    },
    {
      name: "mask",
      args: {
        self: g.tensor([2, 2]),
        indices: [g.tensor([2, 2], { dtype: bool, values: [1, 0, 0, 1], requiresGrad: false })],
        values: g.tensor([]),
      },
    },
  ],
});

defineOp({
  schema: "aten::put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor",
  doc: "self with elements of source written (or added) at flat positions.",
  inplace: true,
  meta: ({ self, index, source }) => {
    if (index.dtype !== int64) {
      throw new TypeError(`put: index must be int64, got ${index.dtype.name}; convert with .to(int64)`);
    }
    if (!sizeEq(sizeProd(index.shape), sizeProd(source.shape))) {
      throw new TypeError(
        `put: index ${shapeToText(index.shape)} and source ${shapeToText(source.shape)} must have as many elements`,
      );
    }
    if (source.dtype !== self.dtype) {
      throw new TypeError(`put: source is ${source.dtype.name}, self is ${self.dtype.name}: convert one first`);
    }
    return { shape: self.shape, dtype: self.dtype };
  },
  decompose: ({ self, index, source, accumulate }, F) => {
    const count = sizeProd(index.shape);
    if (count === 0) return self.clone();
    const flat = self.reshape([sizeProd(self.shape)]);
    const put = F.indexPutInto(flat, [index.reshape([count])], source.reshape([count]), accumulate);
    return put.reshape(self.shape);
  },
  samples: (g) => [
    { args: { self: g.tensor([2, 3]), index: g.indices([4], 6), source: g.tensor([4]), accumulate: true } },
  ],
});
