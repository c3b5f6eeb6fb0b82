/** Positions that a graph knows beforehand (constants, counted indices) are checked like any other: what lies outside is refused, not read. */
import assert from "node:assert/strict";
import { compile, F, type Tensor } from "../../mod.ts";

const table = (): Tensor => F.arange(30).view([10, 3]).mul(1.5);

for (const dynamic of [false, true]) {
  Deno.test(`constants and counted positions outside of a dimension are refused when compiled, dynamic ${dynamic}`, () => {
    for (
      const f of [
        (w: Tensor): Tensor => F.embedding(w, F.full([3], 10)),
        (w: Tensor): Tensor => F.embedding(w, F.arange(12)),
        (w: Tensor): Tensor => w.indexSelect(0, F.arange(9, 11)),
      ]
    ) {
      assert.throws(
        () => compile(f, { dynamic, options: { tier: "js" } })(table()).dataSync(),
        /an index is 10, but the dimension it selects from has 10 elements/,
      );
    }
  });

  Deno.test(`positions inside are read, negative ones from the end, dynamic ${dynamic}`, () => {
    for (
      const f of [
        (w: Tensor): Tensor => w.indexSelect(0, F.arange(10)),
        (w: Tensor): Tensor => w.index([F.arange(-3, 0)]),
        (w: Tensor): Tensor => F.embedding(w, F.full([2], 9)),
      ]
    ) {
      assert.deepEqual(compile(f, { dynamic, options: { tier: "js" } })(table()).toArray(), f(table()).toArray());
    }
  });
}
