/**
 * Large reductions of two readings, cut into blocks.
 *
 * A variance needs the mean, and a sum of exponentials the largest number, before it can begin: what does not fit a cache is read twice from memory. Cut
 * into blocks that fit, it is read once; what the blocks give is combined. Results differ from the plain form's by roundings only.
 */
import type { Size } from "../symbolic/mod.ts";
import type { TensorValue } from "./value.ts";

/** Elements from which on a second reading costs more than the combination of blocks. */
const LEAST_ELEMENTS = 1 << 22;
/** Elements of a block along the innermost dimension, and rows of one across it. */
const LONG = 4096, FEW = 32;

/** A tensor whose reduced dimensions are in two parts: first over `inner`, each result of which stands for `size` elements, then over `outer`. */
export interface Blocks {
  readonly x: TensorValue;
  readonly inner: readonly number[];
  readonly outer: readonly number[];
  readonly size: number;
}

function numbers(shape: readonly Size[]): readonly number[] | null {
  const known = shape.filter((s): s is number => typeof s === "number");
  return known.length === shape.length ? known : null;
}

/** The largest divisor of `n` up to `most`. */
function divisor(n: number, most: number): number {
  for (let d = Math.min(n, most); d > 1; d--) if (n % d === 0) return d;
  return 1;
}

/**
 * Blocks of a reduction over `axes`, or null where one block is as good. `rows` are those of a block across the innermost dimension: more where kernels
 * find both of its reductions in one reading.
 */
export function blocksOf(x: TensorValue, axes: readonly number[], rows = FEW): Blocks | null {
  const shape = numbers(x.shape);
  if (shape === null || shape.reduce((n, s) => n * s, 1) < LEAST_ELEMENTS) return null;
  const last = Math.max(...axes);
  const extent = shape[last] ?? 1;
  const isInnermost = last === shape.length - 1;
  if (axes.length > 1) {
    if (extent < LONG / 16 || extent > 4 * LONG || !isInnermost) return null;
    return { x, inner: [last], outer: axes.filter((a) => a !== last), size: extent };
  }
  if (isInnermost && extent <= 4 * LONG) return null;
  const size = divisor(extent, isInnermost ? LONG : rows);
  if (size < (isInnermost ? LONG / 16 : FEW / 4) || size === extent) return null;
  const cut = x.view([...shape.slice(0, last), extent / size, size, ...shape.slice(last + 1)]);
  return { x: cut, inner: [last + 1], outer: [last], size };
}
