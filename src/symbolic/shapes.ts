/**
 * Shapes and strides over sizes that may be symbolic.
 *
 * Shapes are lists of {@linkcode Size}; strides count elements. Questions about symbolic sizes (is it 1, are they equal) guard
 * through the size's own environment; numbers never do. Mirrors the geometry helpers of `c10` and `torch._prims_common`.
 */
import { type Size, sizeEq, sizeEqForLayout, sizeIsOne, sizeMul } from "./sym_int.ts";

/** Row-major strides of a shape. Dimensions of size 0 count as 1, as in PyTorch. */
export function contiguousStride(shape: readonly Size[]): Size[] {
  const out = new Array<Size>(shape.length);
  let running: Size = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    out[i] = running;
    const size = shape[i] ?? 1;
    running = size === 0 ? running : sizeMul(running, size);
  }
  return out;
}

/** Number of elements. */
export function numelOf(shape: readonly Size[]): Size {
  let out: Size = 1;
  for (const size of shape) out = sizeMul(out, size);
  return out;
}

/** Tells whether elements lie in row-major order without gaps. Strides of dimensions of size 1 do not matter. */
export function isContiguous(shape: readonly Size[], stride: readonly Size[]): boolean {
  let expected: Size = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    const size = shape[i] ?? 1;
    if (size === 0) return true;
    if (sizeEqForLayout(size, 1)) continue;
    if (!sizeEqForLayout(stride[i] ?? 0, expected)) return false;
    expected = sizeMul(expected, size);
  }
  return true;
}

/** Tells whether two shapes are the same. */
export function sameShape(a: readonly Size[], b: readonly Size[]): boolean {
  return a.length === b.length && a.every((size, i) => sizeEq(size, b[i] ?? 0));
}

/** `[2, 3]`, as PyTorch prints shapes. */
export function shapeToText(shape: readonly Size[]): string {
  return `[${shape.map(String).join(", ")}]`;
}

/**
 * The shape that all shapes broadcast to.
 *
 * @throws {TypeError} naming the operator, the shapes and the dimension that does not fit.
 */
export function broadcastShapes(where: string, ...shapes: readonly (readonly Size[])[]): Size[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const out: Size[] = new Array<Size>(rank).fill(1);
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const at = rank - shape.length + i;
      const size = shape[i] ?? 1;
      const current = out[at] ?? 1;
      if (size === current || sizeIsOne(size)) continue;
      if (sizeIsOne(current)) out[at] = size;
      else if (!sizeEq(current, size)) {
        throw new TypeError(
          `${where}: shapes ${
            shapes.map(shapeToText).join(" and ")
          } do not broadcast: dimension ${at} is ${current} in one and ${size} in another; make them equal, or one of them 1`,
        );
      }
    }
  }
  return out;
}

/**
 * The strides with which a tensor of `shape` and `stride` shows itself as `target` (same number of elements) without a
 * copy, or null if only a copy can. The question of `Tensor.view`; where a copy is as good, `sameSize` may say no to what is not known.
 */
export function viewStride(
  shape: readonly Size[],
  stride: readonly Size[],
  target: readonly Size[],
  sameSize: (a: Size, b: Size) => boolean = sizeEq,
): Size[] | null {
  if (shape.some((s) => s === 0)) return contiguousStride(target);
  const isOne = (size: Size): boolean => sameSize(size, 1);
  const out = new Array<Size>(target.length).fill(1);
  let t = target.length - 1;
  let i = shape.length - 1;
  if (shape.length === 0) return out;
  let chunkStride: Size = stride[i] ?? 1;
  while (i >= 0) {
    // Grow a chunk of source dimensions that lie in memory as one.
    let chunk: Size = shape[i] ?? 1;
    chunkStride = stride[i] ?? 1;
    while (i > 0) {
      const outer = shape[i - 1] ?? 1;
      if (isOne(outer) || sameSize(stride[i - 1] ?? 0, sizeMul(chunk, chunkStride)) || isOne(chunk)) {
        if (isOne(chunk)) chunkStride = stride[i - 1] ?? 1;
        chunk = sizeMul(chunk, outer);
        i--;
      } else break;
    }
    let covered: Size = 1;
    while (t >= 0 && (!sameSize(covered, chunk) || isOne(target[t] ?? 1))) {
      out[t] = sizeMul(chunkStride, covered);
      covered = sizeMul(covered, target[t] ?? 1);
      t--;
    }
    if (!sameSize(covered, chunk)) return null;
    i--;
  }
  for (; t >= 0; t--) {
    if (!isOne(target[t] ?? 1)) return null;
    out[t] = 1;
  }
  return out;
}
