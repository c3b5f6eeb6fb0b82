/**
 * Padding: with a constant, by reflection, by repeating the edge, around the end.
 *
 * Every padded element comes from one element of the input through index arithmetic, so padding is a pointwise loop and fuses into what uses it;
 * its gradient adds elements up where they came from. Padding lists start with the last dimension, two numbers a dimension; negative numbers
 * crop. Mirrors `PadNd.cpp`, `ReflectionPad.cpp` and `ReplicationPadding.cpp` of ATen.
 */
import { computeType } from "../core/mod.ts";
import { ops, pointwise, scatter, type Value } from "../loops/mod.ts";
import { add, constant, type Expr, exprOf, max, min, mod, sub } from "../symbolic/mod.ts";
import { shapeToText, type Size, sizeAdd, sizeIsZero, sizeLe, sizeLt, sizeNeg } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import { allOf, filled } from "./insert.ts";
import { elementwiseStride } from "./layout.ts";
import { scalarValue } from "./scalars.ts";
import type { SampleGenerator } from "./samples.ts";

/** How elements outside the input are found. */
type PadMode = "reflect" | "replicate" | "circular";

/** Padding before and after dimension `axis`, from a list that starts with the last dimension. */
function padsOf(pad: readonly Size[], rank: number, axis: number): readonly [Size, Size] {
  const at = 2 * (rank - 1 - axis);
  return [pad[at] ?? 0, pad[at + 1] ?? 0];
}

/** What negative padding takes away. */
function crop(pad: Size): Size {
  return typeof pad === "number" ? Math.min(pad, 0) : 0;
}

function paddedShape(where: string, self: { readonly shape: readonly Size[] }, pad: readonly Size[]): Size[] {
  const rank = self.shape.length;
  if (pad.length % 2 !== 0 || pad.length > 2 * rank) {
    throw new TypeError(
      `${where}: padding [${pad.join(", ")}] needs two numbers for each of at most ${rank} dimensions of ${
        shapeToText(self.shape)
      }`,
    );
  }
  return self.shape.map((size, axis) => {
    const [before, after] = padsOf(pad, rank, axis);
    const padded = sizeAdd(sizeAdd(size, before), after);
    const cropped = sizeAdd(sizeAdd(size, crop(before)), crop(after));
    if (sizeLt(padded, 0) || sizeLt(cropped, 0)) {
      throw new RangeError(
        `${where}: padding ${before} and ${after} crops more than dimension ${axis} of ${shapeToText(self.shape)}`,
      );
    }
    return padded;
  });
}

defineOp({
  schema: "aten::constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor",
  doc: "self with value around it; negative padding crops.",
  meta: ({ self, pad }): TensorSpec => {
    const shape = paddedShape("constant_pad_nd", self, pad);
    return { shape, dtype: self.dtype, stride: elementwiseStride(shape, [self]) };
  },
  loop: ({ self, pad, value }, out) => {
    const rank = self.shape.length;
    return pointwise(out.shape, (index) => {
      const from: Expr[] = [];
      const inside: Value[] = [];
      index.forEach((i, axis) => {
        const [before, after] = padsOf(pad, rank, axis);
        const at = sub(i, exprOf(before));
        from.push(at);
        if (!isAtMostZero(before)) inside.push(ops.ge(ops.index(at), 0));
        if (!isAtMostZero(after)) inside.push(ops.lt(ops.index(at), ops.index(self.shape[axis] ?? constant(1))));
      });
      if (inside.length === 0) return self.load(from);
      const mask = allOf(inside);
      const other = scalarValue(value, out.dtype);
      const load = self.load(from);
      return other.kind === "constant" && typeof other.value === "number"
        ? ops.masked(mask, load, other.value)
        : ops.where(mask, ops.masked(mask, load, 0), other);
    });
  },
  vjp: ({ pad }, { grad }) => ({ self: () => grad.constantPadNd(pad.map(sizeNeg), 0) }),
  samples: (g) => [
    { args: { self: g.tensor([2, 3]), pad: [1, 2], value: 3 } },
    { name: "two dimensions", args: { self: g.tensor([2, 3]), pad: [1, 0, 2, 1] } },
    { name: "crop", args: { self: g.tensor([3, 5]), pad: [-1, 2, 1, -1], value: 1 } },
    { name: "empty", args: { self: g.tensor([0, 2]), pad: [1, 1, 2, 0], value: 2 } },
  ],
});

function isAtMostZero(size: Size): boolean {
  return typeof size === "number" && size <= 0;
}

/** The position in a dimension of `size` elements that shows at padded position `i`. */
function sourceOf(mode: PadMode, i: Expr, before: Size, after: Size, size: Expr): Expr {
  const at = sub(i, exprOf(before));
  const last = sub(size, 1);
  switch (mode) {
    case "replicate":
      return max(0, min(at, last));
    case "circular": {
      // What is cropped does not come around.
      const cropped = isAtMostZero(before) ? sub(0, exprOf(before)) : constant(0);
      const left = isAtMostZero(after) ? add(size, exprOf(after)) : size;
      return add(cropped, mod(sub(at, cropped), sub(left, cropped)));
    }
    case "reflect": {
      // |at| mirrors at the front, last - |last - at| at the back; absolute values as maxima.
      const front = isAtMostZero(before) ? at : max(at, sub(0, at));
      return isAtMostZero(after) ? front : min(front, sub(add(last, last), front));
    }
    default:
      return mode satisfies never;
  }
}

function sources(mode: PadMode, index: readonly Expr[], pad: readonly Size[], shape: readonly Expr[]): Expr[] {
  return index.map((i, axis) => {
    const [before, after] = padsOf(pad, shape.length, axis);
    if (before === 0 && after === 0) return i;
    return sourceOf(mode, i, before, after, shape[axis] ?? constant(1));
  });
}

function checkPad(where: string, mode: PadMode, self: MetaInput, pad: readonly Size[], dims: number | null): void {
  const rank = self.shape.length;
  if (dims !== null && (pad.length !== 2 * dims || (rank !== dims + 1 && rank !== dims + 2))) {
    throw new TypeError(
      `${where}: needs ${2 * dims} paddings and an input of ${dims + 1} or ${dims + 2} dimensions, got [${
        pad.join(", ")
      }] and ${shapeToText(self.shape)}`,
    );
  }
  const padded = pad.length / 2;
  // A batch may be empty, what is padded and its channels not.
  const empty = self.shape.findIndex((size, axis) => (axis > 0 || rank === padded + 1) && sizeIsZero(size));
  if (empty >= 0 && mode !== "circular") {
    throw new RangeError(
      `${where}: dimension ${empty} of ${shapeToText(self.shape)} has no elements; only a batch may be empty`,
    );
  }
  self.shape.forEach((size, axis) => {
    const [before, after] = padsOf(pad, rank, axis);
    if (before === 0 && after === 0) return;
    const fits = (p: Size): boolean =>
      mode === "replicate" ? sizeLt(0, size) : mode === "reflect" ? sizeLt(p, size) : sizeLe(p, size);
    if (!fits(before) || !fits(after)) {
      throw new RangeError(
        `${where}: padding ${before} and ${after} is too large for dimension ${axis} of ${shapeToText(self.shape)}`,
      );
    }
  });
}

function definePad(
  schema: string,
  mode: PadMode,
  dims: number | null,
  sample: readonly [readonly number[], readonly number[]],
): void {
  const where = schema.slice("aten::".length).split("(")[0] ?? schema;
  const key = schema.includes(" pad)") ? "pad" : "padding";
  const padOf = (args: object): readonly Size[] => (args as Readonly<Record<string, readonly Size[]>>)[key] ?? [];
  defineOp({
    schema: schema as "aten::reflection_pad1d(Tensor self, SymInt[2] padding) -> Tensor",
    doc: mode === "reflect"
      ? "self with its mirror image around it, the edge not repeated."
      : mode === "replicate"
      ? "self with its edge repeated around it."
      : "self with copies of itself around it.",
    meta: (args): TensorSpec => {
      checkPad(where, mode, args.self, padOf(args), dims);
      return { shape: paddedShape(where, args.self, padOf(args)), dtype: args.self.dtype };
    },
    loop: (args, out) =>
      pointwise(out.shape, (index) => args.self.load(sources(mode, index, padOf(args), args.self.shape))),
    vjp: (args, { grad, F }) => ({ self: () => F.padBackward(grad, args.self.shape, padOf(args), mode) }),
    samples: (g: SampleGenerator) => [{ args: { self: g.tensor(sample[0]), [key]: sample[1] } }],
  });
}

for (const [word, mode] of [["reflection", "reflect"], ["replication", "replicate"]] as const) {
  definePad(`aten::${word}_pad1d(Tensor self, SymInt[2] padding) -> Tensor`, mode, 1, [[2, 4], [2, 1]]);
  definePad(`aten::${word}_pad2d(Tensor self, SymInt[4] padding) -> Tensor`, mode, 2, [[2, 3, 4], [1, 2, 0, 1]]);
  definePad(`aten::${word}_pad3d(Tensor self, SymInt[6] padding) -> Tensor`, mode, 3, [[1, 3, 2, 4], [
    1,
    2,
    1,
    0,
    2,
    1,
  ]]);
}
definePad("aten::_pad_circular(Tensor self, SymInt[] pad) -> Tensor", "circular", null, [[2, 3, 4], [2, 1, 1, 0]]);

defineOp({
  schema: "tessera::pad_backward(Tensor grad_output, SymInt[] input_sizes, SymInt[] pad, str mode) -> Tensor",
  doc: "The gradient of padding: what each input element shows in the padded tensor, added up.",
  meta: ({ gradOutput, inputSizes }) => ({ shape: inputSizes, dtype: computeType(gradOutput.dtype) }),
  loop: ({ gradOutput, inputSizes, pad, mode }, out) => {
    const shape = inputSizes.map(exprOf);
    return scatter("sum", filled(shape, out.dtype, 0), gradOutput.shape, (index) => ({
      target: sources(mode as PadMode, index, pad, shape),
      value: ops.cast(gradOutput.load(index), out.dtype),
    }));
  },
  samples: (g) =>
    g.dtype.isFloat
      ? [{
        args: { gradOutput: g.tensor([2, 7]), inputSizes: [2, 4], pad: [2, 1], mode: "reflect" },
        differentiate: false,
      }]
      : [],
});

const MODES: Readonly<Record<string, PadMode>> = { reflect: "reflect", replicate: "replicate", circular: "circular" };

defineOp({
  schema: 'aten::pad(Tensor self, SymInt[] pad, str mode="constant", float? value=None) -> Tensor',
  doc: 'self padded by mode: "constant" (with value), "reflect", "replicate" or "circular".',
  meta: ({ self, pad, mode }) => {
    if (mode === "constant") return { shape: paddedShape("pad", self, pad), dtype: self.dtype };
    const known = MODES[mode];
    if (known === undefined) {
      throw new RangeError(`pad: mode is "${mode}": use "constant", "reflect", "replicate" or "circular"`);
    }
    checkPad("pad", known, self, pad, null);
    return { shape: paddedShape("pad", self, pad), dtype: self.dtype };
  },
  decompose: ({ self, pad, mode, value }) => {
    if (mode === "constant") return self.constantPadNd(pad, value ?? 0);
    if (mode === "circular") return self._padCircular(pad);
    const dims = pad.length / 2;
    const reflect = mode === "reflect";
    switch (dims) {
      case 1:
        return reflect ? self.reflectionPad1d(pad) : self.replicationPad1d(pad);
      case 2:
        return reflect ? self.reflectionPad2d(pad) : self.replicationPad2d(pad);
      case 3:
        return reflect ? self.reflectionPad3d(pad) : self.replicationPad3d(pad);
      default:
        throw new TypeError(`pad: mode "${mode}" pads 1 to 3 dimensions, got padding [${pad.join(", ")}]`);
    }
  },
  samples: (g) => [
    { args: { self: g.tensor([2, 3]), pad: [1, 2], value: 1.5 } },
    { name: "reflect", args: { self: g.tensor([2, 3, 4]), pad: [1, 2, 2, 0], mode: "reflect" } },
    { name: "replicate", args: { self: g.tensor([2, 4]), pad: [3, 1], mode: "replicate" } },
    { name: "circular", args: { self: g.tensor([2, 3, 4]), pad: [2, 1], mode: "circular" } },
  ],
});
