/**
 * Patches of images as columns, and back: im2col and col2im (unfold and fold of `torch.nn`).
 *
 * im2col is a pointwise loop over index arithmetic, so it fuses with what uses it; col2im adds every element of a column up where it came from,
 * and each is the other's gradient. Mirrors `Im2Col.cpp` and `Col2Im.cpp` of ATen.
 */
import { ops, pointwise, scatter, type Value } from "../loops/mod.ts";
import { add, constant, type Expr, exprOf, floorDiv, mod, mul, sub } from "../symbolic/mod.ts";
import { shapeToText, type Size, sizeAdd, sizeEq, sizeFloorDiv, sizeLt, sizeMul, sizeSub } from "../symbolic/mod.ts";
import { defineOp } from "./define.ts";
import { zerosInput } from "./embedding.ts";
import { allOf } from "./insert.ts";

interface Geometry {
  readonly kernelSize: readonly Size[];
  readonly dilation: readonly Size[];
  readonly padding: readonly Size[];
  readonly stride: readonly Size[];
}

function at(list: readonly Size[], axis: number): Size {
  return list[axis] ?? list[0] ?? 1;
}

function checkGeometry(where: string, { kernelSize, dilation, padding, stride }: Geometry): void {
  for (
    const [name, list, least] of [["kernel_size", kernelSize, 1], ["dilation", dilation, 1], ["padding", padding, 0], [
      "stride",
      stride,
      1,
    ]] as const
  ) {
    if (list.length !== 2) throw new TypeError(`${where}: ${name} needs two numbers, got [${list.join(", ")}]`);
    if (list.some((s) => sizeLt(s, least))) {
      throw new RangeError(`${where}: ${name} must be at least ${least}, got [${list.join(", ")}]`);
    }
  }
}

/** How many patches fit along each of two dimensions. */
function patchCounts(where: string, image: readonly Size[], g: Geometry): [Size, Size] {
  const count = (axis: number): Size => {
    const span = sizeAdd(sizeMul(at(g.dilation, axis), sizeSub(at(g.kernelSize, axis), 1)), 1);
    const room = sizeSub(sizeAdd(image[axis] ?? 1, sizeMul(2, at(g.padding, axis))), span);
    if (sizeLt(room, 0)) {
      throw new RangeError(
        `${where}: patches of ${span} elements do not fit into dimension ${axis} of the image ${shapeToText(image)}`,
      );
    }
    return sizeAdd(sizeFloorDiv(room, at(g.stride, axis)), 1);
  };
  return [count(0), count(1)];
}

/** Where element (column `q` of the patch, patch `l`) of the columns lies in the image, padding not yet checked. */
function position(
  q: Expr,
  l: Expr,
  across: Expr,
  g: Geometry,
): { readonly channel: Expr; readonly y: Expr; readonly x: Expr } {
  const kh = exprOf(at(g.kernelSize, 0)), kw = exprOf(at(g.kernelSize, 1));
  const along = (patch: Expr, tap: Expr, axis: number): Expr =>
    sub(
      add(mul(patch, exprOf(at(g.stride, axis))), mul(tap, exprOf(at(g.dilation, axis)))),
      exprOf(at(g.padding, axis)),
    );
  return {
    channel: floorDiv(q, mul(kh, kw)),
    y: along(floorDiv(l, across), mod(floorDiv(q, kw), kh), 0),
    x: along(mod(l, across), mod(q, kw), 1),
  };
}

function inside(y: Expr, x: Expr, height: Expr, width: Expr): Value {
  return allOf([
    ops.ge(ops.index(y), 0),
    ops.lt(ops.index(y), ops.index(height)),
    ops.ge(ops.index(x), 0),
    ops.lt(ops.index(x), ops.index(width)),
  ]);
}

const GEOMETRY = { kernelSize: [2, 3], dilation: [1, 1], padding: [0, 1], stride: [2, 1] };
const WIDE = { kernelSize: [2, 2], dilation: [2, 1], padding: [1, 1], stride: [1, 2] };

defineOp({
  schema: "aten::im2col(Tensor self, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor",
  doc: "The patches of an image as columns: [batch, channels · kernel, patches].",
  meta: ({ self, ...g }) => {
    checkGeometry("im2col", g);
    const rank = self.shape.length;
    if (rank !== 3 && rank !== 4) {
      throw new TypeError(`im2col: needs an image of 3 or 4 dimensions, got ${shapeToText(self.shape)}`);
    }
    // A batch may be empty, an image not.
    if (self.shape.slice(rank - 3).some((s) => s === 0)) {
      throw new TypeError(`im2col: the image must have elements, got ${shapeToText(self.shape)}`);
    }
    const [down, across] = patchCounts("im2col", self.shape.slice(-2), g);
    const rows = sizeMul(self.shape[rank - 3] ?? 1, sizeMul(at(g.kernelSize, 0), at(g.kernelSize, 1)));
    return { shape: [...self.shape.slice(0, -3), rows, sizeMul(down, across)], dtype: self.dtype };
  },
  loop: ({ self, ...g }, out) => {
    const [height, width] = [
      self.shape[self.shape.length - 2] ?? constant(1),
      self.shape[self.shape.length - 1] ?? constant(1),
    ];
    const span = exprOf(sizeAdd(sizeMul(at(g.dilation, 1), sizeSub(at(g.kernelSize, 1), 1)), 1));
    const room = sub(add(width, mul(constant(2), exprOf(at(g.padding, 1)))), span);
    const across = add(floorDiv(room, exprOf(at(g.stride, 1))), 1);
    return pointwise(out.shape, (index) => {
      const q = index[index.length - 2] ?? constant(0), l = index[index.length - 1] ?? constant(0);
      const { channel, y, x } = position(q, l, across, g);
      return ops.masked(inside(y, x, height, width), self.load([...index.slice(0, -2), channel, y, x]), 0);
    });
  },
  vjp: ({ self, kernelSize, dilation, padding, stride }, { grad, F }) => ({
    self: () => F.col2im(grad, self.shape.slice(-2), kernelSize, dilation, padding, stride),
  }),
  samples: (g) => [
    { args: { self: g.tensor([2, 3, 4, 5]), ...GEOMETRY } },
    { name: "no batch", args: { self: g.tensor([2, 4, 4], { permuted: [1, 0, 2] }), ...WIDE } },
  ],
});

defineOp({
  schema:
    "aten::col2im(Tensor self, SymInt[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor",
  doc: "Patches added up to the image that they came from.",
  meta: ({ self, outputSize, ...g }) => {
    checkGeometry("col2im", g);
    const rank = self.shape.length;
    if (rank !== 2 && rank !== 3) {
      throw new TypeError(`col2im: needs columns of 2 or 3 dimensions, got ${shapeToText(self.shape)}`);
    }
    const [down, across] = patchCounts("col2im", outputSize, g);
    if (!sizeEq(self.shape[rank - 1] ?? 1, sizeMul(down, across))) {
      throw new TypeError(
        `col2im: an image of ${shapeToText(outputSize)} has ${down} × ${across} patches, but self is ${
          shapeToText(self.shape)
        }`,
      );
    }
    const kernel = sizeMul(at(g.kernelSize, 0), at(g.kernelSize, 1));
    const channels = sizeFloorDiv(self.shape[rank - 2] ?? 1, kernel);
    if (!sizeEq(sizeMul(channels, kernel), self.shape[rank - 2] ?? 1)) {
      throw new TypeError(`col2im: ${self.shape[rank - 2]} rows are no multiple of the ${kernel} elements of a patch`);
    }
    return { shape: [...self.shape.slice(0, -2), channels, ...outputSize], dtype: self.dtype };
  },
  loop: ({ self, outputSize, ...g }, out) => {
    const [, across] = patchCounts("col2im", outputSize, g);
    const [height, width] = [exprOf(outputSize[0] ?? 1), exprOf(outputSize[1] ?? 1)];
    return scatter("sum", zerosInput(out.shape, out.dtype), self.shape, (index) => {
      const q = index[index.length - 2] ?? constant(0), l = index[index.length - 1] ?? constant(0);
      const { channel, y, x } = position(q, l, exprOf(across), g);
      const mask = inside(y, x, height, width);
      // What lies in the padding adds 0 to the first pixel.
      const safe = (e: Expr, size: Expr): Expr => ops.indirect(ops.where(mask, ops.index(e), 0), size);
      return {
        target: [...index.slice(0, -2), channel, safe(y, height), safe(x, width)],
        value: ops.where(mask, self.load(index), 0),
      };
    });
  },
  vjp: ({ kernelSize, dilation, padding, stride }, { grad, F }) => ({
    self: () => F.im2col(grad, kernelSize, dilation, padding, stride),
  }),
  samples: (g) => [
    { args: { self: g.tensor([2, 12, 10]), outputSize: [4, 5], ...GEOMETRY } },
    { name: "no batch", args: { self: g.tensor([8, 12]), outputSize: [4, 4], ...WIDE } },
  ],
});
