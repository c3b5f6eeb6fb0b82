/**
 * The strides of a decomposition's results are those that the operator's `meta` states.
 *
 * A graph keeps an operator whole where one executor decomposes it and another one does not, and views of its result are checked against
 * the strides that `meta` gave. So `meta` is right by definition: what a decomposition lays out otherwise is laid out again, which costs nothing where
 * it fuses. Strides along dimensions of one element, and of tensors without elements, mean nothing.
 */
import { InternalError } from "../core/mod.ts";
import type { TensorSpec } from "../ops/mod.ts";
import { contiguousStride, hintOf, type Size, sizeEq, sizeIsOne, sizeIsZero, sizeSame } from "../symbolic/mod.ts";
import type { OpResult } from "./mode.ts";
import { Tensor } from "./tensor.ts";

/**
 * Tells whether strides address the same elements of a tensor of this shape. Symbolic ones that are equal now but written differently are guarded to be
 * equal (mostly they are already: a guard fixed a size after one of them was computed).
 */
export function sameLayout(shape: readonly Size[], a: readonly Size[], b: readonly Size[]): boolean {
  const same = (x: Size, y: Size): boolean => sizeSame(x, y) || (hintOf(x) === hintOf(y) && sizeEq(x, y));
  return shape.some((size) => hintOf(size) === 0 && sizeIsZero(size)) ||
    shape.every((size, d) => (hintOf(size) === 1 && sizeIsOne(size)) || same(a[d] ?? 0, b[d] ?? 0));
}

/**
 * The tensor with these strides: itself if it has them, else a copy that has.
 *
 * @throws {InternalError} if the strides are not those of a dense tensor.
 */
export function restride(where: string, t: Tensor, stride: readonly Size[]): Tensor {
  if (sameLayout(t.shape, t.stride, stride)) return t;
  const order = t.shape.map((_, d) => d).sort((x, y) => hintOf(stride[y] ?? 0) - hintOf(stride[x] ?? 0) || x - y);
  const back = order.map((_, d) => order.indexOf(d));
  const out = t.permute(order).contiguous().permute(back);
  if (sameLayout(t.shape, out.stride, stride)) return out;
  throw new InternalError(
    `${where}: its description states strides [${stride.join(", ")}] for shape [${
      t.shape.join(", ")
    }], which leave gaps`,
  );
}

/** Results with the strides that descriptions state. */
export function restrideAs(where: string, result: OpResult, specs: readonly TensorSpec[]): OpResult {
  const one = (t: Tensor, i: number): Tensor => {
    const spec = specs[i];
    return spec === undefined ? t : restride(where, t, spec.stride ?? contiguousStride(spec.shape));
  };
  return result instanceof Tensor ? one(result, 0) : result.map(one);
}

/**
 * Fills a tensor with the elements of another one of the same shape. Where `into` is expanded, so that elements share memory, `from` must repeat itself
 * as well; each place is then written once, what `copy_` alone refuses.
 *
 * @example
 * ```ts
 * import { tensor, zeros } from "../../mod.ts";
 * import { fillExpanded } from "./restride.ts";
 * const row = zeros([1, 2]);
 * fillExpanded(row.expand([3, 2]), tensor([[1, 2], [1, 2], [1, 2]]));
 * console.assert(String(row.toArray()) === "1,2");
 * ```
 */
export function fillExpanded(into: Tensor, from: Tensor): Tensor {
  let once = into, values = from;
  into.stride.forEach((step, d) => {
    if (step !== 0 || Number(into.shape[d]) <= 1) return;
    once = once.narrow(d, 0, 1);
    values = values.narrow(d, 0, 1);
  });
  once.copy_(values);
  return into;
}
