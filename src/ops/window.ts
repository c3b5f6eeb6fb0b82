/**
 * Sliding windows: what convolution, pooling and their gradients share.
 *
 * Enters: kernel, stride, padding and dilation as ATen's lists; leaves: output sizes, index expressions, loads that are masked outside of
 * the input, and loops that either unroll a small window or reduce over a large one. Masks appear only where a bound cannot
 * be proved, so unpadded windows load without tests.
 */
import { bool } from "../core/mod.ts";
import { type LoopInput, ops, type Value } from "../loops/mod.ts";
import {
  type Expr,
  exprOf,
  isNonNegative,
  provablyLt,
  type Size,
  sizeAdd,
  sizeFloorDiv,
  sizeLe,
  sizeMul,
  sizeSub,
} from "../symbolic/mod.ts";

/** Windows of at most this many elements are unrolled, so that they fuse as pointwise. */
export const UNROLL_LIMIT = 25;

/**
 * Reads a list with one number for each spatial dimension; one number stands for all, an empty list for `fallback`.
 *
 * @throws {TypeError} on a wrong length; {RangeError} below `least`.
 */
export function windowList(
  where: string,
  name: string,
  value: readonly Size[],
  rank: number,
  least: number,
  fallback?: readonly number[],
): number[] {
  if (value.length === 0 && fallback !== undefined) return [...fallback];
  const list = value.length === 1 ? new Array<number>(rank).fill(Number(value[0])) : value.map(Number);
  if (list.length !== rank) {
    throw new TypeError(`${where}: ${name} needs 1 or ${rank} numbers, got [${list.join(", ")}]`);
  }
  for (const n of list) {
    if (!Number.isInteger(n) || n < least) {
      throw new RangeError(`${where}: ${name} must be at least ${least}, got [${list.join(", ")}]`);
    }
  }
  return list;
}

/** The last input element that a window needs: dilation · (kernel - 1) + 1. */
export function windowExtent(kernel: Size, dilation: number): Size {
  return sizeAdd(sizeMul(sizeSub(kernel, 1), dilation), 1);
}

/** Number of windows: floor((input + 2·padding - extent) / stride) + 1. With `ceilMode`, a last partial window that starts inside counts. */
export function windowCount(
  input: Size,
  kernel: Size,
  stride: number,
  padding: readonly [number, number],
  dilation: number,
  ceilMode = false,
): Size {
  const room = sizeSub(sizeAdd(input, padding[0] + padding[1]), windowExtent(kernel, dilation));
  if (!ceilMode) return sizeAdd(sizeFloorDiv(room, stride), 1);
  const count = sizeAdd(sizeFloorDiv(sizeAdd(room, stride - 1), stride), 1);
  const lastStart = sizeMul(sizeSub(count, 1), stride);
  return sizeLe(sizeAdd(input, padding[0]), lastStart) ? sizeSub(count, 1) : count;
}

/** `a and b` of conditions; null means always true. */
export function both(a: Value | null, b: Value | null): Value | null {
  if (a === null || isTrue(a)) return b === null || isTrue(b) ? null : b;
  if (b === null || isTrue(b)) return a;
  return ops.bitwiseAnd(a, b);
}

function isTrue(v: Value): boolean {
  return v.kind === "constant" && v.dtype === bool && v.value !== 0;
}

/** The condition 0 ≤ e < size, as far as it cannot be proved; null if it always holds. */
export function insideCondition(e: Expr, size: Expr): Value | null {
  const low = isNonNegative(e) ? null : ops.ge(ops.index(e), 0);
  const high = provablyLt(e, size) ? null : ops.lt(ops.index(e), ops.index(size));
  return both(low, high);
}

/** The condition that an index lies inside a shape; null if it always does. */
export function insideShape(index: readonly Expr[], shape: readonly Expr[]): Value | null {
  let all: Value | null = null;
  index.forEach((e, d) => {
    const size = shape[d];
    if (size !== undefined) all = both(all, insideCondition(e, size));
  });
  return all;
}

/** `body` where `condition` holds, else `other`. */
export function maskedBy(condition: Value | null, body: Value, other: number): Value {
  return condition === null ? body : ops.masked(condition, body, other);
}

/** Loads an element, or yields `other` outside of the input. */
export function loadPadded(input: LoopInput, index: readonly Expr[], other: number): Value {
  return maskedBy(insideShape(index, input.shape), input.load(index), other);
}

/** All positions of a window of these sizes, in row-major order. */
export function windowPositions(kernel: readonly number[]): number[][] {
  let out: number[][] = [[]];
  for (const k of kernel) out = out.flatMap((head) => Array.from({ length: k }, (_, i) => [...head, i]));
  return out;
}

/** Product of plain numbers. */
export function product(list: readonly number[]): number {
  return list.reduce((a, b) => a * b, 1);
}

/** Sizes as expressions. */
export function exprsOf(sizes: readonly Size[]): Expr[] {
  return sizes.map(exprOf);
}

/** The dimensions over which windows slide, in words for documentation. */
export function lastDimensions(rank: number): string {
  return rank === 1 ? "the last dimension" : `the last ${rank} dimensions`;
}
