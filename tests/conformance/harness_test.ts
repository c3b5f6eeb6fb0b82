/**
 * The harness compiles one function text over other cases again and again: each must be captured anew, whatever a cache holds.
 */
import assert from "node:assert/strict";
import { compile, type Tensor, tensor } from "../../mod.ts";
import { registerLibrary } from "../../src/capture/mod.ts";

Deno.test("functions of one text over other values, declared as the library's own, keep their own captures", () => {
  const bodies: readonly ((x: Tensor) => Tensor)[] = [(x) => x.abs(), (x) => x.mul(2), (x) => x.neg()];
  for (let round = 0; round < 2; round++) {
    const results = bodies.map((body) => {
      const run = (x: Tensor): Tensor => body(x);
      registerLibrary({ run });
      return Array.from(compile(run, { fullgraph: true })(tensor([-1.5])).dataSync() as Float32Array);
    });
    assert.deepEqual(results, [[1.5], [-3], [1.5]]);
  }
});
