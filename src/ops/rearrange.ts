/**
 * Copies in another arrangement: cat, stack, flip, roll, repeat, tile.
 *
 * Each is a pointwise loop over the result that says where every element comes from, so it fuses with producers and consumers; a concatenation loads from
 * each input only inside its part. Mirrors `TensorShape.cpp` and `TensorTransformations.cpp` of ATen.
 */
import { bool, normalizeAxes, resultType } from "../core/mod.ts";
import { type LoopInput, ops, pointwise, type Value } from "../loops/mod.ts";
import { add, constant, contiguousStride, type Expr, exprOf, isContiguous, mod, sub } from "../symbolic/mod.ts";
import {
  shapeToText,
  type Size,
  sizeAdd,
  sizeEq,
  sizeLt,
  sizeMul,
  sizeNeg,
  sizeSub,
  sizeSum,
} from "../symbolic/mod.ts";
import { axisOf, promotionOperand } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import { castGrad } from "./gradient.ts";
import { denseStride } from "./layout.ts";
import type { SampleGenerator } from "./samples.ts";

/** Empty vectors count as nothing in a concatenation, whatever the rank of the others: an old rule that PyTorch keeps. */
function isLegacyEmpty(shape: readonly (Size | Expr)[]): boolean {
  const [size] = shape;
  if (shape.length !== 1 || size === undefined) return false;
  return size === 0 || (typeof size === "object" && "kind" in size && size.kind === "const" && size.value === 0);
}

function catSpec(tensors: readonly MetaInput[], dim: Size): TensorSpec {
  const [any] = tensors;
  if (any === undefined) throw new TypeError("cat: needs at least one tensor");
  const dtype = resultType(tensors.map(promotionOperand));
  const parts = tensors.filter((t) => !isLegacyEmpty(t.shape));
  const [first] = parts;
  if (first === undefined) return { shape: [0], dtype };
  if (first.shape.length === 0) throw new TypeError("cat: 0-dim tensors cannot be concatenated; use stack()");
  const axis = axisOf("cat", dim, first.shape.length);
  for (const t of parts) {
    const fits = t.shape.length === first.shape.length &&
      t.shape.every((size, i) => i === axis || sizeEq(size, first.shape[i] ?? 1));
    if (!fits) {
      throw new TypeError(
        `cat: shapes ${shapeToText(first.shape)} and ${shapeToText(t.shape)} must agree in all dimensions but ${axis}`,
      );
    }
  }
  const shape = first.shape.with(axis, sizeSum(parts.map((t) => t.shape[axis] ?? 1)));
  return { shape, dtype, stride: catStride(shape, parts) };
}

/** Channels-last inputs give a channels-last result, as in PyTorch. */
function catStride(shape: readonly Size[], parts: readonly MetaInput[]): Size[] {
  const order = shape.length === 4 ? [1, 3, 2, 0] : shape.length === 5 ? [1, 4, 3, 2, 0] : null;
  if (order === null || parts.some((p) => isContiguous(p.shape, p.stride))) return contiguousStride(shape);
  const isLast = (p: MetaInput): boolean =>
    denseStride(p.shape, order).every((s, i) => p.shape[i] === 1 || sizeEq(s, p.stride[i] ?? 0));
  return parts.every(isLast) ? denseStride(shape, order) : contiguousStride(shape);
}

for (const name of ["cat", "concat", "concatenate"] as const) {
  defineOp({
    schema: `aten::${name}(Tensor[] tensors, int dim=0) -> Tensor`,
    doc: "Tensors one after the other along an existing dimension, promoted to one dtype.",
    meta: ({ tensors, dim }) => catSpec(tensors, dim),
    loop: ({ tensors, dim }, out) => {
      const axis = axisOf(name, dim, out.shape.length);
      const parts = tensors.filter((t) => !isLegacyEmpty(t.shape));
      return pointwise(out.shape, (index) => {
        const position = index[axis] ?? constant(0);
        let value: Value | null = null;
        let end: Expr = parts.reduce((sum: Expr, t) => add(sum, t.shape[axis] ?? constant(0)), constant(0));
        // From the last part to the first: each stands before what follows it.
        for (const part of [...parts].reverse()) {
          const size = part.shape[axis] ?? constant(0);
          const start = sub(end, size);
          if (!(size.kind === "const" && size.value === 0)) {
            value = placed(part, index, axis, position, start, end, value);
          }
          end = start;
        }
        return ops.cast(value ?? ops.constant(0, out.dtype), out.dtype);

        function placed(
          part: LoopInput,
          at: readonly Expr[],
          along: number,
          here: Expr,
          start: Expr,
          stop: Expr,
          rest: Value | null,
        ): Value {
          const load = ops.cast(part.load(at.with(along, sub(here, start))), out.dtype);
          const isFirst = start.kind === "const" && start.value === 0;
          if (rest === null && isFirst) return load;
          const after = ops.ge(ops.index(here), ops.index(start));
          const before = ops.lt(ops.index(here), ops.index(stop));
          if (rest === null) return ops.masked(after, load, 0);
          return ops.where(before, ops.masked(isFirst ? before : ops.bitwiseAnd(after, before), load, 0), rest);
        }
      });
    },
    vjp: ({ tensors, dim }, { grad }) => ({
      tensors: () => {
        const axis = axisOf(name, dim, grad.ndim);
        let start: Size = 0;
        return tensors.map((t) => {
          if (isLegacyEmpty(t.shape)) return castGrad(grad.newZeros(t.shape), t);
          const end = sizeAdd(start, t.shape[axis] ?? 0);
          const part = grad.slice(axis, start, end, 1);
          start = end;
          return castGrad(part, t);
        });
      },
    }),
    samples: (g: SampleGenerator) => [
      { args: { tensors: [g.tensor([2, 3]), g.tensor([1, 3]), g.tensor([3, 3])] } },
      { name: "dim 1", args: { tensors: [g.tensor([2, 1]), g.tensor([2, 0]), g.tensor([2, 3])], dim: -1 } },
      { name: "one", args: { tensors: [g.tensor([2, 3])], dim: 1 } },
      { name: "empty vector", args: { tensors: [g.tensor([0]), g.tensor([2, 3])] } },
      { name: "permuted", args: { tensors: [g.tensor([3, 2], { permuted: [1, 0] }), g.tensor([3, 1])], dim: 1 } },
    ],
  });
}

defineOp({
  schema: "aten::stack(Tensor[] tensors, int dim=0) -> Tensor",
  doc: "Tensors of one shape one after the other along a new dimension.",
  meta: ({ tensors, dim }) => {
    const [first] = tensors;
    if (first === undefined) throw new TypeError("stack: needs at least one tensor");
    for (const t of tensors) {
      if (t.shape.length !== first.shape.length || !t.shape.every((s, i) => sizeEq(s, first.shape[i] ?? 1))) {
        throw new TypeError(`stack: shapes ${shapeToText(first.shape)} and ${shapeToText(t.shape)} differ; use cat()`);
      }
    }
    const axis = axisOf("stack", dim, first.shape.length + 1);
    return {
      shape: first.shape.toSpliced(axis, 0, tensors.length),
      dtype: resultType(tensors.map(promotionOperand)),
    };
  },
  decompose: ({ tensors, dim }, F) => {
    const axis = axisOf("stack", dim, (tensors[0]?.ndim ?? 0) + 1);
    return F.cat(tensors.map((t) => t.unsqueeze(axis)), axis);
  },
  samples: (g) => [
    { args: { tensors: [g.tensor([2, 3]), g.tensor([2, 3])] } },
    { name: "last", args: { tensors: [g.tensor([2]), g.tensor([2]), g.tensor([2])], dim: -1 } },
    { name: "0-dim", args: { tensors: [g.tensor([]), g.tensor([])] } },
  ],
});

defineOp({
  schema: "aten::flip(Tensor self, int[] dims) -> Tensor",
  doc: "A copy with dimensions in reverse order.",
  meta: ({ self, dims }) => {
    normalizeAxes(dims.map(Number), self.shape.length, "flip");
    return { shape: self.shape, dtype: self.dtype };
  },
  loop: ({ self, dims }, out) => {
    const axes = normalizeAxes(dims.map(Number), self.shape.length, "flip");
    return pointwise(
      out.shape,
      (index) => self.load(index.map((i, k) => axes.includes(k) ? sub(sub(self.shape[k] ?? constant(1), 1), i) : i)),
    );
  },
  vjp: ({ dims }, { grad }) => ({ self: () => grad.flip(dims) }),
  samples: (g) => [
    { args: { self: g.tensor([3, 4]), dims: [0] } },
    { name: "two", args: { self: g.tensor([2, 3, 4], { permuted: [1, 0, 2] }), dims: [0, -1] } },
    { name: "none", args: { self: g.tensor([3]), dims: [] } },
    { name: "empty", args: { self: g.tensor([0, 2]), dims: [0] } },
  ],
});

for (const [name, axis, least] of [["fliplr", 1, 2], ["flipud", 0, 1]] as const) {
  defineOp({
    schema: `aten::${name}(Tensor self) -> Tensor`,
    doc: `A copy with dimension ${axis} in reverse order.`,
    meta: ({ self }) => {
      if (self.shape.length < least) {
        throw new TypeError(`${name}: needs at least ${least} dimensions, got ${shapeToText(self.shape)}`);
      }
      return { shape: self.shape, dtype: self.dtype };
    },
    decompose: ({ self }) => self.flip([axis]),
    samples: (g: SampleGenerator) => [{ args: { self: g.tensor([3, 4]) } }],
  });
}

defineOp({
  schema: "aten::rot90(Tensor self, int k=1, int[] dims=[0,1]) -> Tensor",
  doc: "A copy turned by k quarter turns in the plane of two dimensions, from the first towards the second.",
  meta: ({ self, k, dims }) => {
    const [a = 0, b = 1] = planeOf(dims, self.shape.length);
    const odd = Math.abs(Number(k)) % 2 === 1;
    const shape = self.shape.with(a, self.shape[odd ? b : a] ?? 1).with(b, self.shape[odd ? a : b] ?? 1);
    return { shape, dtype: self.dtype };
  },
  decompose: ({ self, k, dims }) => {
    const [a = 0, b = 1] = planeOf(dims, self.ndim);
    switch (((Number(k) % 4) + 4) % 4) {
      case 1:
        return self.flip([b]).transpose(a, b).clone({ memoryFormat: "contiguous_format" });
      case 2:
        return self.flip([a, b]);
      case 3:
        return self.flip([a]).transpose(a, b).clone({ memoryFormat: "contiguous_format" });
      default:
        return self.clone({ memoryFormat: "contiguous_format" });
    }
  },
  samples: (g) =>
    [0, 1, 2, 3, -1].map((k) => ({ name: `${k} turns`, args: { self: g.tensor([2, 3, 2]), k, dims: [0, 1] } })),
});

function planeOf(dims: readonly Size[], rank: number): number[] {
  if (dims.length !== 2 || rank < 2) {
    throw new TypeError(`rot90: needs 2 dimensions to turn in, got [${dims.join(", ")}] of ${rank}`);
  }
  return normalizeAxes(dims.map(Number), rank, "rot90");
}

defineOp({
  schema: "aten::roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor",
  doc: "A copy whose elements moved by shifts along dims, around the end; without dims the flattened tensor rolls.",
  meta: ({ self, shifts, dims }) => {
    if (shifts.length === 0) throw new TypeError("roll: needs at least one shift");
    if (dims.length === 0 ? shifts.length !== 1 : shifts.length !== dims.length) {
      throw new TypeError(`roll: ${shifts.length} shifts do not go with ${dims.length} dimensions`);
    }
    if (dims.length > 0 && self.shape.length === 0) {
      throw new RangeError(
        `roll: dims ${JSON.stringify(dims.map(Number))} do not go with a 0-dim self; leave them out`,
      );
    }
    dims.forEach((d) => axisOf("roll", d, self.shape.length));
    return { shape: self.shape, dtype: self.dtype };
  },
  decompose: ({ self, shifts, dims }, F) => {
    if (self.ndim === 0) return self.clone();
    if (dims.length === 0) return F.rollDims(self.flatten(), shifts, [0]).view(self.shape);
    return F.rollDims(self, shifts, dims);
  },
  vjp: ({ shifts, dims }, { grad }) => ({ self: () => grad.roll(shifts.map(sizeNeg), dims) }),
  samples: (g) => [
    { args: { self: g.tensor([3, 4]), shifts: [1], dims: [0] } },
    { name: "two", args: { self: g.tensor([3, 4]), shifts: [-1, 6], dims: [0, 1] } },
    { name: "flat", args: { self: g.tensor([3, 4]), shifts: [5] } },
    { name: "empty", args: { self: g.tensor([0, 2]), shifts: [1], dims: [0] } },
  ],
});

defineOp({
  schema: "tessera::roll_dims(Tensor self, SymInt[] shifts, int[] dims) -> Tensor",
  doc: "roll() with one shift for each named dimension.",
  meta: ({ self }) => ({ shape: self.shape, dtype: self.dtype }),
  loop: ({ self, shifts, dims }, out) =>
    pointwise(out.shape, (index) => {
      const from = [...index];
      dims.forEach((dim, k) => {
        const axis = axisOf("roll", dim, self.shape.length);
        const size = self.shape[axis] ?? constant(1);
        if (size.kind === "const" && size.value === 0) return;
        from[axis] = mod(sub(from[axis] ?? constant(0), exprOf(shifts[k] ?? 0)), size);
      });
      return self.load(from);
    }),
  vjp: ({ shifts, dims }, { grad, F }) => ({ self: () => F.rollDims(grad, shifts.map(sizeNeg), dims) }),
  samples: (g) => [{ args: { self: g.tensor([3, 4]), shifts: [1, -6], dims: [0, 1] } }],
});

defineOp({
  schema: "aten::repeat(Tensor self, SymInt[] repeats) -> Tensor",
  doc: "self copied repeats[i] times along dimension i; extra repeats add dimensions in front.",
  meta: ({ self, repeats }) => {
    const added = repeats.length - self.shape.length;
    if (added < 0) {
      throw new TypeError(
        `repeat: ${repeats.length} repeats for a tensor of shape ${
          shapeToText(self.shape)
        }; give one for each dimension`,
      );
    }
    for (const r of repeats) {
      if (sizeLt(r, 0)) throw new RangeError(`repeat: repeats ${shapeToText(repeats)} must not be negative`);
    }
    return { shape: repeats.map((r, i) => sizeMul(r, self.shape[i - added] ?? 1)), dtype: self.dtype };
  },
  loop: ({ self, repeats }, out) => {
    const added = repeats.length - self.shape.length;
    return pointwise(out.shape, (index) =>
      self.load(self.shape.map((size, i) => {
        const at = index[i + added] ?? constant(0);
        if (size.kind === "const" && size.value <= 1) return constant(0);
        return repeats[i + added] === 1 ? at : mod(at, size);
      })));
  },
  vjp: ({ self, repeats }, { grad }) => ({
    self: () => {
      const added = repeats.length - self.ndim;
      const split = repeats.flatMap((r, i) => i < added ? [r] : [r, self.shape[i - added] ?? 1]);
      const copies = repeats.map((_, i) => i < added ? i : added + 2 * (i - added));
      return grad.reshape(split).sum(copies, false);
    },
  }),
  samples: (g) => [
    { args: { self: g.tensor([2, 3]), repeats: [2, 3] } },
    { name: "more dimensions", args: { self: g.tensor([3]), repeats: [2, 1, 2] } },
    { name: "0-dim", args: { self: g.tensor([]), repeats: [3] } },
    { name: "nothing", args: { self: g.tensor([2]), repeats: [0] }, differentiate: false },
  ],
});

defineOp({
  schema: "aten::tile(Tensor self, SymInt[] dims) -> Tensor",
  doc: "repeat(), with missing repeats in front counted as 1.",
  meta: ({ self, dims }) => {
    const repeats = tileRepeats(dims, self.shape.length);
    const added = repeats.length - self.shape.length;
    return { shape: repeats.map((r, i) => sizeMul(r, self.shape[i - added] ?? 1)), dtype: self.dtype };
  },
  decompose: ({ self, dims }) => self.repeat(tileRepeats(dims, self.ndim)),
  samples: (g) => [
    { args: { self: g.tensor([2, 3]), dims: [2] } },
    { name: "more dimensions", args: { self: g.tensor([3]), dims: [2, 2] } },
  ],
});

function tileRepeats(dims: readonly Size[], rank: number): Size[] {
  return [...new Array<Size>(Math.max(rank - dims.length, 0)).fill(1), ...dims];
}

defineOp({
  schema: "aten::diff(Tensor self, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor",
  doc: "The n-th difference of neighbours along dim, with other tensors put before and after first.",
  meta: ({ self, n, dim, prepend, append }) => {
    if (self.shape.length === 0) throw new TypeError("diff: needs at least 1 dimension, got a 0-dim tensor");
    const axis = axisOf("diff", dim, self.shape.length);
    if (sizeLt(n, 0)) throw new RangeError(`diff: n must be 0 or more, got ${n}`);
    const all = [prepend, self, append].filter((t) => t !== null);
    for (const t of all) {
      if (t.shape.length !== self.shape.length) {
        throw new TypeError(
          `diff: prepend and append must have ${self.shape.length} dimensions as self, got ${shapeToText(t.shape)}`,
        );
      }
    }
    if (n === 0) return { shape: self.shape, dtype: self.dtype };
    const whole = all.length === 1 ? self.shape[axis] ?? 1 : catSpec(all, axis).shape[axis] ?? 1;
    const count = sizeLt(whole, n) ? 0 : sizeSub(whole, n);
    return { shape: self.shape.with(axis, count), dtype: resultType(all.map(promotionOperand)) };
  },
  decompose: ({ self, n, dim, prepend, append }, F) => {
    const axis = axisOf("diff", dim, self.ndim);
    if (n === 0) return self.clone();
    const all = [prepend, self, append].filter((t) => t !== null);
    let x = all.length === 1 ? self : F.cat(all, axis);
    for (let k = 0; k < Number(n); k++) {
      const size = x.shape[axis] ?? 0;
      if (sizeEq(size, 0)) break;
      const after = x.slice(axis, 1, size, 1);
      const before = x.slice(axis, 0, sizeSub(size, 1), 1);
      x = x.dtype === bool ? after.logicalXor(before) : after.sub(before);
    }
    return x;
  },
  samples: (g) => [
    { args: { self: g.tensor([3, 5]) } },
    { name: "twice", args: { self: g.tensor([5, 2]), n: 2, dim: 0 } },
    { name: "prepend", args: { self: g.tensor([3, 4]), prepend: g.tensor([3, 1]), append: g.tensor([3, 2]) } },
  ],
});
