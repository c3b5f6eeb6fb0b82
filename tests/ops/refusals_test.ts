/**
 * What operators refuse rather than read wrongly: complex numbers in loops over real ones, and memory that a tensor does not have.
 */
import assert from "node:assert/strict";
import { F, tensor } from "../../mod.ts";

Deno.test("an operator that is not defined for complex numbers refuses them, by name", () => {
  const z = tensor([[1.5, 2], [3, 4]]).viewAsComplex();
  assert.throws(() => z.erf(), /^TypeError: erf: an argument is complex64/);
  assert.throws(() => z.sort(), /^TypeError: sort: an argument is complex64/);
  assert.deepEqual(Array.from(z.mul(z).viewAsReal().dataSync() as Float32Array), [-1.75, 6, -7, 24]);
});

Deno.test("as_strided() stays within the memory", () => {
  const x = tensor([1.5, 2, 3, 4]);
  assert.throws(() => x.asStrided([5], [1]), /^RangeError: as_strided: .* reach element 4, but the memory .* has 4/);
  assert.throws(() => x.asStrided([2], [-1]), /^RangeError: as_strided: .* must not be negative/);
  assert.deepEqual(Array.from(x.slice(0, 2, 4, 1).asStrided([4], [1], 0).dataSync() as Float32Array), [1.5, 2, 3, 4]);
});

Deno.test("arguments of host algorithms are checked before they index memory", () => {
  const sorted = tensor([1, 2, 3].map((v) => v + 0.5));
  assert.throws(
    () => F.searchsorted(sorted, tensor([2.5]), { sorter: tensor([0.5, 1.5, 2.5]) }),
    /^TypeError: searchsorted: sorter must be int64/,
  );
});
