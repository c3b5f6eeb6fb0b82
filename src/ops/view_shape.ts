/**
 * Views that regroup dimensions: view, reshape, flatten, unflatten.
 *
 * A view keeps the row-major order of elements; meta finds the strides with which the same storage shows the new shape, or says that only a
 * copy can. Where leading or trailing dimensions agree, the index map passes them through, so that it stays simple. Mirrors
 * `computeStride` and `inferSize` of ATen.
 */
import { type LoopInput, type LoopNode, pointwise, view } from "../loops/mod.ts";
import {
  add,
  constant,
  contiguousStride,
  type Expr,
  exprOf,
  floorDiv,
  isContiguous,
  mod,
  mul,
} from "../symbolic/mod.ts";
import {
  numelOf,
  shapeToText,
  type Size,
  sizeEq,
  sizeEqForLayout,
  sizeFloorDiv,
  sizeIsZero,
  sizeMul,
  sizeProd,
  viewStride,
} from "../symbolic/mod.ts";
import { axisOf } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { SampleGenerator } from "./samples.ts";
import { viewSpec } from "./view.ts";

/** A target shape with its -1 replaced by what is left. @throws {TypeError} if the elements do not fit. */
function inferShape(where: string, shape: readonly Size[], target: readonly Size[]): Size[] {
  const fail = (): never => {
    throw new TypeError(
      `${where}: ${shapeToText(shape)} has ${numelOf(shape)} elements, which do not fit ${shapeToText(target)}`,
    );
  };
  const unknown = target.flatMap((size, i) => size === -1 ? [i] : []);
  if (unknown.length > 1) {
    throw new TypeError(`${where}: only one size of ${shapeToText(target)} can be inferred from -1`);
  }
  const bad = target.find((size) => typeof size === "number" && size < -1);
  if (bad !== undefined) throw new RangeError(`${where}: a size cannot be negative, got ${shapeToText(target)}`);
  const numel = numelOf(shape);
  const known = sizeProd(target.filter((size) => size !== -1));
  const [at] = unknown;
  if (at === undefined) {
    if (!sizeEq(known, numel)) fail();
    return [...target];
  }
  if (sizeIsZero(known)) {
    throw new TypeError(`${where}: the size -1 of ${shapeToText(target)} could be anything, as there are no elements`);
  }
  const inferred = sizeFloorDiv(numel, known);
  if (!sizeEq(sizeMul(inferred, known), numel)) fail();
  return target.map((size, i) => i === at ? inferred : size);
}

/** The index into `shape` of the element that stands at `at` in `target`, both in row-major order. */
function regroupIndex(shape: readonly Expr[], target: readonly Expr[], at: readonly Expr[]): Expr[] {
  let head = 0;
  const shorter = Math.min(shape.length, target.length);
  while (head < shorter && shape[head] === target[head]) head++;
  let tail = 0;
  while (tail < shorter - head && shape[shape.length - 1 - tail] === target[target.length - 1 - tail]) tail++;
  let flat: Expr = constant(0);
  for (let i = head; i < target.length - tail; i++) {
    flat = add(mul(flat, target[i] ?? constant(1)), at[i] ?? constant(0));
  }
  const middle: Expr[] = [];
  for (let i = shape.length - tail - 1; i >= head; i--) {
    const size = shape[i] ?? constant(1);
    if (i === head) middle.unshift(flat);
    else if (size.kind === "const" && size.value <= 1) middle.unshift(constant(0));
    else {
      middle.unshift(mod(flat, size));
      flat = floorDiv(flat, size);
    }
  }
  return [...at.slice(0, head), ...middle, ...at.slice(target.length - tail)];
}

/** The strides of a view of this shape, or null if the elements do not lie so that one exists. */
function regroupedStride(
  self: Pick<MetaInput, "shape" | "stride">,
  shape: readonly Size[],
  sameSize = sizeEq,
): Size[] | null {
  if (isContiguous(self.shape, self.stride)) return contiguousStride(shape);
  return viewStride(self.shape, self.stride, shape, sameSize);
}

function regroupedSpec(where: string, self: MetaInput, target: readonly Size[]): TensorSpec {
  const shape = inferShape(where, self.shape, target);
  // What is sure comes first: a question that need not be asked forbids no size.
  const stride = regroupedStride(self, shape, sizeEqForLayout) ?? regroupedStride(self, shape);
  if (stride === null) {
    throw new TypeError(
      `${where}: ${shapeToText(self.shape)} with strides ${shapeToText(self.stride)} cannot be seen as ${
        shapeToText(shape)
      } without a copy: use reshape()`,
    );
  }
  return viewSpec(self, shape, stride);
}

function regroupedLoop(self: LoopInput, shape: readonly Size[]): LoopNode {
  const target = shape.map(exprOf);
  return view(self, target, (at) => regroupIndex(self.shape, target, at));
}

defineOp({
  schema: "aten::view(Tensor(a) self, SymInt[] size) -> Tensor(a)",
  doc: "The same elements in another shape, without a copy; one size may be -1.",
  meta: ({ self, size }) => regroupedSpec("view", self, size),
  loop: ({ self }, out) => regroupedLoop(self, out.shape),
  vjp: ({ self }, { grad }) => ({ self: () => grad.reshape(self.shape) }),
  view: { writeBack: ({ self }, changed) => changed.reshape(self.shape) },
  samples: (g) => [
    { args: { self: g.tensor([2, 3, 4]), size: [6, -1] } },
    { name: "split", args: { self: g.tensor([2, 12]), size: [2, 3, 4] } },
    { name: "mixed", args: { self: g.tensor([4, 6]), size: [3, 8] } },
    { name: "0-dim", args: { self: g.tensor([]), size: [1, 1] } },
    { name: "empty", args: { self: g.tensor([0, 3]), size: [3, 0] } },
  ],
});

defineOp({
  schema: "aten::_unsafe_view(Tensor self, SymInt[] size) -> Tensor",
  doc: "The same elements in another shape, of a tensor that nothing else uses.",
  meta: ({ self, size }) => ({ shape: inferShape("_unsafe_view", self.shape, size), dtype: self.dtype }),
  loop: ({ self }, out) => {
    const target = out.shape.map(exprOf);
    return pointwise(target, (at) => self.load(regroupIndex(self.shape, target, at)));
  },
  vjp: ({ self }, { grad }) => ({ self: () => grad.reshape(self.shape) }),
  samples: (g) => [{ args: { self: g.tensor([2, 3, 4]), size: [6, -1] } }],
});

function reshapedSpec(where: string, self: MetaInput, target: readonly Size[]): TensorSpec {
  const shape = inferShape(where, self.shape, target);
  const stride = regroupedStride(self, shape, sizeEqForLayout);
  return stride === null ? { shape, dtype: self.dtype } : viewSpec(self, shape, stride);
}

defineOp({
  schema: "aten::reshape(Tensor(a) self, SymInt[] shape) -> Tensor(a)",
  doc: "The same elements in another shape: a view where that is possible, else a copy; one size may be -1.",
  meta: ({ self, shape }) => reshapedSpec("reshape", self, shape),
  decompose: ({ self, shape }) => {
    const target = inferShape("reshape", self.shape, shape);
    const canView = regroupedStride(self, target, sizeEqForLayout) !== null;
    return (canView ? self : self.clone({ memoryFormat: "contiguous_format" })).view(target);
  },
  samples: (g) => [
    { args: { self: g.tensor([2, 3, 4]), shape: [-1, 4] } },
    { name: "copy", args: { self: g.tensor([4, 6], { permuted: [1, 0] }), shape: [8, 3] } },
    { name: "0-dim", args: { self: g.tensor([1]), shape: [] } },
  ],
});

/** Shapes derived from another tensor or from the tensor itself. */
for (const name of ["view_as", "reshape_as"] as const) {
  defineOp({
    schema: `aten::${name}(Tensor(a) self, Tensor other) -> Tensor(a)`,
    doc: "The same elements in the shape of other.",
    meta: ({ self, other }) =>
      name === "view_as" ? regroupedSpec(name, self, other.shape) : reshapedSpec(name, self, other.shape),
    decompose: ({ self, other }) => name === "view_as" ? self.view(other.shape) : self.reshape(other.shape),
    samples: (g: SampleGenerator) => [
      { args: { self: g.tensor([2, 6]), other: g.tensor([3, 4], { requiresGrad: false }) } },
    ],
  });
}

function flattenedShape(shape: readonly Size[], startDim: Size, endDim: Size): Size[] {
  const first = axisOf("flatten", startDim, shape.length);
  const last = axisOf("flatten", endDim, shape.length);
  if (first > last) throw new RangeError(`flatten: startDim ${startDim} comes after endDim ${endDim}`);
  if (shape.length === 0) return [1];
  return [...shape.slice(0, first), sizeProd(shape.slice(first, last + 1)), ...shape.slice(last + 1)];
}

defineOp({
  schema: "aten::flatten.using_ints(Tensor(a) self, int start_dim=0, int end_dim=-1) -> Tensor(a)",
  doc: "Dimensions startDim to endDim joined to one: a view where that is possible, else a copy.",
  meta: ({ self, startDim, endDim }) => reshapedSpec("flatten", self, flattenedShape(self.shape, startDim, endDim)),
  decompose: ({ self, startDim, endDim }) => {
    const shape = flattenedShape(self.shape, startDim, endDim);
    return shape.length === self.ndim ? self : self.reshape(shape);
  },
  samples: (g) => [
    { args: { self: g.tensor([2, 3, 4]), startDim: 1 } },
    { name: "all", args: { self: g.tensor([2, 3, 4], { permuted: [2, 0, 1] }) } },
    { name: "0-dim", args: { self: g.tensor([]) } },
  ],
});

defineOp({
  schema: "aten::ravel(Tensor(a) self) -> Tensor(a)",
  doc: "All elements in one dimension: a view where that is possible, else a copy.",
  meta: ({ self }) => reshapedSpec("ravel", self, [numelOf(self.shape)]),
  decompose: ({ self }) => self.reshape([numelOf(self.shape)]),
  samples: (g) => [{ args: { self: g.tensor([2, 3], { permuted: [1, 0] }) } }],
});

function unflattenedShape(shape: readonly Size[], dim: Size, sizes: readonly Size[]): Size[] {
  if (sizes.length === 0) throw new TypeError("unflatten: sizes must not be empty");
  const axis = axisOf("unflatten", dim, shape.length);
  const parts = inferShape("unflatten", [shape[axis] ?? 1], sizes);
  return shape.toSpliced(axis, 1, ...parts);
}

defineOp({
  schema: "aten::unflatten.int(Tensor(a) self, int dim, SymInt[] sizes) -> Tensor(a)",
  doc: "Dimension dim split into several; one size may be -1.",
  meta: ({ self, dim, sizes }) => regroupedSpec("unflatten", self, unflattenedShape(self.shape, dim, sizes)),
  decompose: ({ self, dim, sizes }) => self.view(unflattenedShape(self.shape, dim, sizes)),
  samples: (g) => [{ args: { self: g.tensor([2, 12, 3]), dim: 1, sizes: [3, -1] } }],
});
