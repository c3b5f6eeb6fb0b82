/**
 * Walking one axis of host arrays: what sorting and searching operators share.
 *
 * Numbers are compared with NaN last, as PyTorch sorts; int64 elements are bigints and compare exactly.
 */
import { bool, type DType, float16, float64, int16, int32, int64, int8, uint64, uint8 } from "../core/mod.ts";
import type { HostArray, HostTensor } from "./define.ts";

/** An element: a bigint for int64. */
export type HostNumber = number | bigint;

/** A host array of `count` zeros for a dtype; bfloat16 is widened. */
export function hostArray(dtype: DType, count: number): HostArray {
  switch (dtype) {
    case bool:
    case uint8:
      return new Uint8Array(count);
    case int8:
      return new Int8Array(count);
    case int16:
      return new Int16Array(count);
    case int32:
      return new Int32Array(count);
    case int64:
      return new BigInt64Array(count);
    case uint64:
      return new BigUint64Array(count);
    case float16:
      return new Float16Array(count);
    case float64:
      return new Float64Array(count);
    default:
      return new Float32Array(count);
  }
}

/** Writes an element. */
export function writeHost(array: HostArray, at: number, value: HostNumber): void {
  if (array instanceof BigInt64Array || array instanceof BigUint64Array) array[at] = BigInt(value);
  else array[at] = Number(value);
}

/** Reads an element. */
export function readHost(array: HostArray, at: number): HostNumber {
  return array[at] ?? 0;
}

/** Whether an element is NaN. */
export function isNaNElement(value: HostNumber): boolean {
  return typeof value === "number" && Number.isNaN(value);
}

/** Orders elements, NaN last. */
export function compareHost(a: HostNumber, b: HostNumber): number {
  if (isNaNElement(a)) return isNaNElement(b) ? 0 : 1;
  if (isNaNElement(b)) return -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Sizes as numbers: host operators see only known ones. */
export function hostShape(t: HostTensor): number[] {
  return t.shape.map(Number);
}

/** One line along an axis: element `i` is at `start + i * step`. */
export interface AxisLine {
  readonly start: number;
  readonly step: number;
  readonly length: number;
  /** Number of the line, in row-major order of the other dimensions. */
  readonly line: number;
}

/** All lines along `axis` of a row-major shape. */
export function* axisLines(shape: readonly number[], axis: number): Generator<AxisLine> {
  const length = shape[axis] ?? 1;
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) yield { start: o * length * inner + i, step: inner, length, line: o * inner + i };
  }
}

/** Positions of a line's elements in order; equal elements keep theirs. */
export function sortedPositions(data: HostArray, line: AxisLine, descending: boolean): number[] {
  const values = Array.from({ length: line.length }, (_, i) => readHost(data, line.start + i * line.step));
  const order = values.map((_, i) => i);
  const sign = descending ? -1 : 1;
  return order.sort((a, b) => sign * compareHost(values[a] ?? 0, values[b] ?? 0) || a - b);
}
