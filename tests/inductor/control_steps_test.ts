/** Graphs of control flow are compiled with the graph that calls them, where somebody waits for that. */
import assert from "node:assert/strict";
import { compile, type CompiledGraph, cond, onCompile, randn, type Tensor, whileLoop } from "../../mod.ts";
import { withConfig } from "../../src/core/mod.ts";
import { findToolchain } from "../../src/runtime/cpu/mod.ts";
import { noGrad } from "../../src/tensor/mod.ts";

const ignore = !findToolchain().ok;

const branches = (x: Tensor): Tensor =>
  cond(x.sum().gt(0), (y: Tensor) => y.sin().add(1), (y: Tensor) => y.cos().mul(2).sub(y), [x]) as Tensor;

const rounds = (x: Tensor): Tensor =>
  (whileLoop((y: Tensor) => y.sum().lt(100), (y: Tensor) => [y.abs().add(1)], [x]) as Tensor[])[0] as Tensor;

for (const [name, f, graphs] of [["both branches", branches, 2], ["condition and body", rounds, 2]] as const) {
  for (const how of ["ready()", "mode aot"]) {
    Deno.test({
      name: `${how} compiles ${name} of control flow`,
      ignore,
      async fn() {
        using _config = withConfig({ disabled: new Set(["cache"]), verify: true });
        const made: CompiledGraph[] = [];
        using _ = onCompile(({ graph }) => made.push(graph));
        const run = compile(f, how === "mode aot" ? { mode: "aot" } : {});
        const x = randn([4, 3]).abs();
        const first = noGrad(() => run(x));
        await run.ready();
        assert.equal(made.length, 1 + graphs);
        assert.deepEqual(made.map((g) => g.cpp?.state), made.map(() => "ready"));
        noGrad(() => {
          for (const input of [x, x.neg().sub(1)]) {
            assert.ok(Number(run(input).sub(f(input)).abs().max().item()) < 1e-5);
          }
          assert.ok(Number(first.sub(f(x)).abs().max().item()) < 1e-5);
        });
        // The second branch had not run before, and nothing was compiled for it now.
        assert.equal(made.length, 1 + graphs);
      },
    });
  }
}
