/**
 * Views that reorder, add, drop or repeat dimensions: permute, transpose, expand, squeeze, unsqueeze, alias.
 *
 * Meta gives exact strides over the same storage; the loop is an index map without computation; `writeBack` says how a
 * changed view changes its base. Mirrors the view functions of `TensorShape.cpp` of ATen and their inverses in functionalization.
 */
import { normalizeAxes } from "../core/mod.ts";
import { view } from "../loops/mod.ts";
import {
  constant,
  type Expr,
  numelOf,
  shapeToText,
  type Size,
  sizeEq,
  sizeIsOne,
  sizeIsZero,
  sizeMul,
} from "../symbolic/mod.ts";
import { axisOf } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import { reduceGrad } from "./gradient.ts";
import type { SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** A view of `input` with another shape and stride at the same place of the same storage. */
export function viewSpec(input: MetaInput, shape: readonly Size[], stride: readonly Size[]): TensorSpec {
  return { shape, stride, storageOffset: input.storageOffset, dtype: input.dtype };
}

/** The view whose dimension i is dimension `order[i]` of `input`. */
function permutedSpec(input: MetaInput, order: readonly number[]): TensorSpec {
  return viewSpec(input, order.map((d) => input.shape[d] ?? 1), order.map((d) => input.stride[d] ?? 1));
}

/** Index into the base from an index of the permuted view. */
function unpermute(at: readonly Expr[], order: readonly number[]): Expr[] {
  const out = new Array<Expr>(order.length).fill(constant(0));
  order.forEach((d, i) => out[d] = at[i] ?? constant(0));
  return out;
}

/** The permutation that undoes `order`. */
export function inverseOrder(order: readonly number[]): number[] {
  const out = new Array<number>(order.length).fill(0);
  order.forEach((d, i) => out[d] = i);
  return out;
}

function permuteOrder(dims: readonly Size[], rank: number): number[] {
  if (dims.length !== rank) {
    throw new TypeError(
      `permute: dims [${dims.join(", ")}] name ${dims.length} dimensions of a tensor that has ${rank}`,
    );
  }
  return normalizeAxes(dims.map(Number), rank, "permute");
}

function swapped(where: string, rank: number, dim0: Size, dim1: Size): number[] {
  const order = Array.from({ length: rank }, (_, i) => i);
  const a = axisOf(where, dim0, rank);
  const b = axisOf(where, dim1, rank);
  if (rank > 0) [order[a], order[b]] = [b, a];
  return order;
}

defineOp({
  schema: "aten::permute(Tensor(a) self, int[] dims) -> Tensor(a)",
  doc: "A view whose dimension i is dimension dims[i] of self.",
  meta: ({ self, dims }) => permutedSpec(self, permuteOrder(dims, self.shape.length)),
  loop: ({ self, dims }, out) => {
    const order = permuteOrder(dims, self.shape.length);
    return view(self, out.shape, (at) => unpermute(at, order));
  },
  vjp: ({ self, dims }, { grad }) => ({ self: () => grad.permute(inverseOrder(permuteOrder(dims, self.ndim))) }),
  view: { writeBack: ({ self, dims }, changed) => changed.permute(inverseOrder(permuteOrder(dims, self.ndim))) },
  samples: (g) => [
    { args: { self: g.tensor([2, 3, 4]), dims: [2, 0, 1] } },
    { name: "negative", args: { self: g.tensor([2, 3]), dims: [-1, 0] } },
    { name: "0-dim", args: { self: g.tensor([]), dims: [] } },
  ],
});

for (
  const [name, first, second] of [
    ["transpose.int", "dim0", "dim1"],
    ["swapaxes", "axis0", "axis1"],
    ["swapdims", "dim0", "dim1"],
  ] as const
) {
  const where = name.split(".")[0] ?? name;
  defineOp({
    schema:
      `aten::${name}(Tensor(a) self, int ${first}, int ${second}) -> Tensor(a)` as "aten::transpose.int(Tensor(a) self, int dim0, int dim1) -> Tensor(a)",
    doc: `A view with dimensions ${first} and ${second} exchanged.`,
    meta: (args) => permutedSpec(args.self, swapped(where, args.self.shape.length, ...pairOf(args, first, second))),
    loop: (args, out) => {
      const order = swapped(where, args.self.shape.length, ...pairOf(args, first, second));
      return view(args.self, out.shape, (at) => unpermute(at, order));
    },
    vjp: (args, { grad }) => ({ self: () => grad.transpose(...pairOf(args, first, second)) }),
    view: { writeBack: (args, changed) => changed.transpose(...pairOf(args, first, second)) },
    samples: (g) => [
      { args: { self: g.tensor([2, 3, 4]), [first]: 0, [second]: -1 } },
      { name: "0-dim", args: { self: g.tensor([]), [first]: 0, [second]: -1 } },
    ],
  });
}

function pairOf(args: Readonly<Record<string, unknown>>, first: string, second: string): [Size, Size] {
  return [args[first] as Size, args[second] as Size];
}

defineOp({
  schema: "aten::t(Tensor(a) self) -> Tensor(a)",
  doc: "A matrix transposed; vectors and 0-dim tensors stay as they are.",
  meta: ({ self }) => {
    if (self.shape.length > 2) {
      throw new TypeError(
        `t: needs at most 2 dimensions, got ${shapeToText(self.shape)}; use transpose(dim0, dim1) or mT()`,
      );
    }
    return permutedSpec(self, self.shape.map((_, i) => self.shape.length - 1 - i));
  },
  loop: ({ self }, out) => view(self, out.shape, (at) => [...at].reverse()),
  vjp: (_, { grad }) => ({ self: () => grad.t() }),
  view: { writeBack: (_, changed) => changed.t() },
  samples: (g) => [{ args: { self: g.tensor([2, 3]) } }, { name: "vector", args: { self: g.tensor([3]) } }],
});

defineOp({
  schema: "aten::numpy_T(Tensor(a) self) -> Tensor(a)",
  doc: "A view with all dimensions in reverse order: PyTorch's x.T.",
  meta: ({ self }) => permutedSpec(self, self.shape.map((_, i) => self.shape.length - 1 - i)),
  loop: ({ self }, out) => view(self, out.shape, (at) => [...at].reverse()),
  vjp: (_, { grad }) => ({ self: () => grad.numpyT() }),
  view: { writeBack: (_, changed) => changed.numpyT() },
  samples: (g) => [{ args: { self: g.tensor([2, 3, 4]) } }],
});

for (const name of ["mT", "mH", "matrix_H", "adjoint"] as const) {
  defineOp({
    schema: `aten::${name}(Tensor(a) self) -> Tensor(a)`,
    doc: name === "mT"
      ? "A view with the last two dimensions exchanged: matrices transposed."
      : "Matrices transposed and, where complex, conjugated (a copy); those of real numbers are a view.",
    meta: ({ self }) => {
      const rank = self.shape.length;
      // A number is its own transpose, as in PyTorch.
      if ((rank < 2 && rank !== 0) || (name === "matrix_H" && rank > 2)) {
        throw new TypeError(
          `${name}: needs ${name === "matrix_H" ? "a matrix" : "matrices, at least 2 dimensions"}, got ${
            shapeToText(self.shape)
          }`,
        );
      }
      return permutedSpec(self, rank === 0 ? [] : swapped(name, rank, -2, -1));
    },
    decompose: ({ self }) =>
      (name !== "mT" && self.dtype.isComplex ? self.conjPhysical() : self).transpose(
        self.ndim === 0 ? 0 : -2,
        self.ndim === 0 ? 0 : -1,
      ),
    samples: (g: SampleGenerator) => [{ args: { self: g.tensor(name === "matrix_H" ? [3, 4] : [2, 3, 4]) } }],
  });
}

function moveOrder(where: string, rank: number, source: readonly Size[], destination: readonly Size[]): number[] {
  if (source.length !== destination.length) {
    throw new TypeError(`${where}: source names ${source.length} dimensions and destination ${destination.length}`);
  }
  const from = normalizeAxes(source.map(Number), rank, where);
  const to = normalizeAxes(destination.map(Number), rank, where);
  const order = new Array<number>(rank).fill(-1);
  to.forEach((d, i) => order[d] = from[i] ?? 0);
  const rest = Array.from({ length: rank }, (_, i) => i).filter((d) => !from.includes(d));
  return order.map((d) => d === -1 ? rest.shift() ?? 0 : d);
}

for (const name of ["movedim", "moveaxis"] as const) {
  defineOp({
    schema: `aten::${name}.intlist(Tensor(a) self, int[] source, int[] destination) -> Tensor(a)`,
    doc: "A view with dimensions moved to other positions; the others keep their order.",
    meta: ({ self, source, destination }) =>
      permutedSpec(self, moveOrder(name, self.shape.length, source, destination)),
    decompose: ({ self, source, destination }) => self.permute(moveOrder(name, self.ndim, source, destination)),
    samples: (g: SampleGenerator) => [{ args: { self: g.tensor([2, 3, 4]), source: [0, 1], destination: [-1, 0] } }],
  });
  defineOp({
    schema: `aten::${name}.int(Tensor(a) self, int source, int destination) -> Tensor(a)`,
    doc: "A view with one dimension moved to another position; the others keep their order.",
    meta: ({ self, source, destination }) =>
      permutedSpec(self, moveOrder(name, self.shape.length, [source], [destination])),
    decompose: ({ self, source, destination }) => self.permute(moveOrder(name, self.ndim, [source], [destination])),
    samples: (g: SampleGenerator) => [{ args: { self: g.tensor([2, 3, 4]), source: 0, destination: 2 } }],
  });
}

function expandedSpec(where: string, self: MetaInput, size: readonly Size[]): TensorSpec {
  const added = size.length - self.shape.length;
  const fail = (): never => {
    throw new TypeError(
      `${where}: ${shapeToText(self.shape)} does not expand to ${
        shapeToText(size)
      }: only dimensions of size 1 grow, new ones come first`,
    );
  };
  if (added < 0) fail();
  if (size.some((s) => typeof s === "number" && s < -1)) {
    throw new RangeError(`${where}: a size cannot be negative (-1 keeps one), got ${shapeToText(size)}`);
  }
  const shape: Size[] = [];
  const stride: Size[] = [];
  size.forEach((target, i) => {
    const source = self.shape[i - added];
    if (source === undefined) {
      if (target === -1) fail();
      shape.push(target);
      stride.push(0);
    } else if (target === -1 || sizeEq(target, source)) {
      shape.push(source);
      stride.push(self.stride[i - added] ?? 1);
    } else {
      if (!sizeIsOne(source)) fail();
      shape.push(target);
      stride.push(0);
    }
  });
  return viewSpec(self, shape, stride);
}

defineOp({
  schema: "aten::expand(Tensor(a) self, SymInt[] size, *, bool implicit=False) -> Tensor(a)",
  doc: "A view in which dimensions of size 1 repeat to the given size, without copying; -1 keeps a size.",
  meta: ({ self, size }) => expandedSpec("expand", self, size),
  loop: ({ self }, out) => {
    const added = out.shape.length - self.shape.length;
    return view(
      self,
      out.shape,
      (at) =>
        self.shape.map((size, i) =>
          size.kind === "const" && size.value === 1 ? constant(0) : at[i + added] ?? constant(0)
        ),
    );
  },
  vjp: ({ self }, { grad }) => ({ self: () => reduceGrad(grad, self) }),
  view: {
    mayOverlap: true,
    // Elements that share memory were written alike, so the first of each stands for all.
    writeBack: ({ self }, changed) => {
      if (sizeIsZero(numelOf(changed.shape))) return self;
      let base = changed;
      while (base.ndim > self.ndim) base = base.select(0, 0);
      self.shape.forEach((size, i) => {
        if (sizeIsOne(size) && !sizeIsOne(base.shape[i] ?? 1)) base = base.narrow(i, 0, 1);
      });
      return base;
    },
  },
  samples: (g) => [
    { args: { self: g.tensor([3, 1]), size: [2, -1, 4] } },
    { name: "0-dim", args: { self: g.tensor([]), size: [2, 3] } },
    { name: "empty", args: { self: g.tensor([1, 3]), size: [0, 3] } },
  ],
});

defineOp({
  schema: "aten::expand_as(Tensor(a) self, Tensor other) -> Tensor(a)",
  doc: "self expanded to the shape of other.",
  meta: ({ self, other }) => expandedSpec("expand_as", self, other.shape),
  decompose: ({ self, other }) => self.expand(other.shape),
  samples: (g) => [{ args: { self: g.tensor([3, 1]), other: g.tensor([2, 3, 4], { requiresGrad: false }) } }],
});

defineOp({
  schema: "aten::broadcast_to(Tensor(a) self, SymInt[] size) -> Tensor(a)",
  doc: "self expanded to a shape that it broadcasts to.",
  meta: ({ self, size }) => expandedSpec("broadcast_to", self, size),
  decompose: ({ self, size }) => self.expand(size),
  samples: (g) => [{ args: { self: g.tensor([3, 1]), size: [2, 3, 4] } }],
});

/** Which dimensions a squeeze drops: those of size 1, among `dims` if given. */
function squeezedAxes(where: string, shape: readonly Size[], dims: readonly Size[] | null): number[] {
  const asked = dims === null ? shape.map((_, i) => i) : normalizeAxes(dims.map(Number), shape.length, where);
  return asked.filter((axis) => axis < shape.length && sizeIsOne(shape[axis] ?? 1));
}

function squeezedSpec(self: MetaInput, dropped: readonly number[]): TensorSpec {
  const keep = <T>(list: readonly T[]): T[] => list.filter((_, i) => !dropped.includes(i));
  return viewSpec(self, keep(self.shape), keep(self.stride));
}

const SQUEEZES = [
  ["aten::squeeze(Tensor(a) self) -> Tensor(a)", (): null => null],
  ["aten::squeeze.dim(Tensor(a) self, int dim) -> Tensor(a)", (dim: unknown): Size[] => [dim as Size]],
  [
    "aten::squeeze.dims(Tensor(a) self, int[] dim) -> Tensor(a)",
    (dim: unknown): readonly Size[] => dim as readonly Size[],
  ],
] as const;

for (const [schema, dimsOf] of SQUEEZES) {
  const given = (args: object): readonly Size[] | null => dimsOf("dim" in args ? args.dim : null);
  defineOp({
    schema: schema as "aten::squeeze(Tensor(a) self) -> Tensor(a)",
    doc: "A view without dimensions of size 1: all of them, or those named if they are 1.",
    meta: (args) => squeezedSpec(args.self, squeezedAxes("squeeze", args.self.shape, given(args))),
    loop: (args, out) => {
      // A named dimension stays if its size is not 1; sizes that are 1 are known to be.
      const isOne = (size: Expr): boolean => size.kind === "const" && size.value === 1;
      const dims = given(args);
      const rank = args.self.shape.length;
      const asked = dims === null ? args.self.shape.map((_, i) => i) : normalizeAxes(dims.map(Number), rank, "squeeze");
      return view(args.self, out.shape, (at) => {
        let next = 0;
        return args.self.shape.map((size, i) =>
          asked.includes(i) && isOne(size) ? constant(0) : at[next++] ?? constant(0)
        );
      });
    },
    vjp: ({ self }, { grad }) => ({ self: () => grad.reshape(self.shape) }),
    view: { writeBack: ({ self }, changed) => changed.reshape(self.shape) },
    samples: (g) => {
      const self = g.tensor([1, 3, 1, 2]);
      if (schema.includes(".dims")) {
        return [{ args: { self, dim: [0, 2] } }, { name: "not 1", args: { self, dim: [1, -2] } }];
      }
      if (schema.includes(".dim(")) {
        return [{ args: { self, dim: 2 } }, { name: "not 1", args: { self, dim: 1 } }, {
          name: "0-dim",
          args: { self: g.tensor([]), dim: 0 },
        }];
      }
      return [{ args: { self } }, { name: "0-dim", args: { self: g.tensor([]) } }];
    },
  });
}

defineOp({
  schema: "aten::unsqueeze(Tensor(a) self, int dim) -> Tensor(a)",
  doc: "A view with a new dimension of size 1 before position dim.",
  meta: ({ self, dim }) => {
    const axis = axisOf("unsqueeze", dim, self.shape.length + 1);
    const next = self.shape[axis];
    const stride = next === undefined ? 1 : sizeMul(next, self.stride[axis] ?? 1);
    return viewSpec(self, self.shape.toSpliced(axis, 0, 1), self.stride.toSpliced(axis, 0, stride));
  },
  loop: ({ self, dim }, out) => {
    const axis = axisOf("unsqueeze", dim, out.shape.length);
    return view(self, out.shape, (at) => at.toSpliced(axis, 1));
  },
  vjp: ({ self, dim }, { grad }) => ({ self: () => grad.squeeze(axisOf("unsqueeze", dim, self.ndim + 1)) }),
  view: { writeBack: ({ self, dim }, changed) => changed.squeeze(axisOf("unsqueeze", dim, self.ndim + 1)) },
  samples: (g) => [
    { args: { self: g.tensor([2, 3]), dim: 1 } },
    { name: "last", args: { self: g.tensor([2, 3]), dim: -1 } },
    { name: "0-dim", args: { self: g.tensor([]), dim: 0 } },
  ],
});

const sameView = (self: MetaInput): TensorSpec => viewSpec(self, self.shape, self.stride);

defineOp({
  schema: "aten::alias(Tensor(a) self) -> Tensor(a)",
  doc: "A view of everything.",
  meta: ({ self }) => sameView(self),
  loop: ({ self }, out) => view(self, out.shape, (at) => at),
  vjp: (_, { grad }) => ({ self: () => grad }),
  view: { writeBack: (_, changed) => changed },
  samples: (g) => [{ args: { self: g.tensor([2, 3], { permuted: [1, 0] }) } }],
});

defineOp({
  schema: "aten::detach(Tensor(a) self) -> Tensor(a)",
  doc: "A view through which no gradient flows.",
  meta: ({ self }) => sameView(self),
  loop: ({ self }, out) => view(self, out.shape, (at) => at),
  vjp: (): Record<string, () => TensorValue | null> => ({ self: () => null }),
  view: { writeBack: (_, changed) => changed },
  samples: (g) => [{ args: { self: g.tensor([2, 3]) }, differentiate: false }],
});
