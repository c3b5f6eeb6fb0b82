/**
 * Comparing tensors with expected numbers.
 */
import assert from "node:assert/strict";
import { float32, type Tensor, tensorFrom } from "../../mod.ts";

/** All elements as numbers, row-major. */
export function flat(t: Tensor): number[] {
  return Array.from(t.detach().dataSync() as ArrayLike<number | bigint>, Number);
}

/** Asserts equality within `tolerance`, absolute or relative to 1. */
export function assertClose(actual: Tensor | readonly number[], expected: readonly number[], tolerance = 2e-5): void {
  const got = Array.isArray(actual) ? actual as readonly number[] : flat(actual as Tensor);
  assert.equal(got.length, expected.length, `${got.length} elements, expected ${expected.length}`);
  expected.forEach((e, i) => {
    const difference = Math.abs((got[i] ?? NaN) - e);
    assert.ok(
      difference <= tolerance * Math.max(1, Math.abs(e)),
      `element ${i}: got ${got[i]}, expected ${e} (all: ${got.map((v) => v.toPrecision(6)).join(", ")})`,
    );
  });
}

/** A float32 tensor of this shape. */
export function t(shape: readonly number[], values: readonly number[]): Tensor {
  return tensorFrom(shape, values, float32);
}

/** 0, 1, 2, … mapped by `fn`. */
export function sequence(shape: readonly number[], fn: (i: number) => number): Tensor {
  const n = shape.reduce((a, b) => a * b, 1);
  return t(shape, Array.from({ length: n }, (_, i) => fn(i)));
}
