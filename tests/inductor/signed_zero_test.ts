/** Zeros keep their signs where one number meets a vector, on both tiers; NaN has a place on a quantisation grid. */
import assert from "node:assert/strict";
import { compile, F, type Tensor, tensor } from "../../mod.ts";

for (const tier of ["js", "aot"]) {
  Deno.test(`-0 beside vectors keeps its sign (${tier})`, () => {
    const x = tensor(Array.from({ length: 40 }, (_, i) => i + 1)).reshape([2, 20]);
    const rows = tensor([[-0], [1]]);
    const fns: readonly ((x: Tensor, rows: Tensor) => Tensor)[] = [
      (x, rows) => F.copysign(x, rows),
      (x, rows) => F.atan2(rows, x.neg()),
      (x, rows) => x.double().copysign(rows.double()).float(),
      (x, rows) => x.mul(rows).reciprocal(),
    ];
    for (const [i, fn] of fns.entries()) {
      const compiled = compile(fn, { fullgraph: true, options: { tier } });
      assert.deepEqual(compiled(x, rows).tolist(), fn(x, rows).tolist(), `function ${i}`);
    }
    const signs = compile((x: Tensor, rows: Tensor) => F.copysign(x, rows), { options: { tier } })(x, rows);
    assert.deepEqual(signs.select(0, 0).tolist(), x.select(0, 0).neg().tolist());
  });
}

Deno.test("fake quantisation puts NaN at the first place of the grid, as PyTorch does", () => {
  const y = F.fakeQuantizePerTensorAffine(tensor([NaN, Infinity, -Infinity, 1]), 0.5, 0, -8, 7);
  assert.deepEqual(y.tolist(), [-4, 3.5, -4, 1]);
});
