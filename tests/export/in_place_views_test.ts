/**
 * Programs that change the shape of a tensor in place (`unsqueeze_`, `transpose_`, `resize_`, `set_`), and programs that write through what may be a view (`reshape`,
 * `flatten`, `chunk`, `to`), give PyTorch's results, called and compiled.
 */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compileExported } from "../../src/export/mod.ts";
import type { Tensor } from "../../src/tensor/mod.ts";
import { assertClose, read, recorded } from "./support.ts";

/** Name of the fixture, and the number of its results. */
const PROGRAMS = [["in_place_views", 8], ["written_aliases", 24]] as const;

function check(name: string, count: number, results: readonly unknown[]): void {
  const { output } = recorded(name);
  assert.equal(results.length, count);
  results.forEach((result, i) => assertClose(result, output(i) as Tensor, `result ${i}`));
}

for (const [name, count] of PROGRAMS) {
  Deno.test(`${name}.pt2 is read, and its calls write through views`, async () => {
    const program = await read(name);
    assert.deepEqual(program.problems, []);
    check(name, count, program.callFlat(recorded(name).inputs));
  });
  for (
    const options of [
      { backend: "eager" },
      { backend: "aot_eager" },
      { options: { tier: "js" } },
      { options: { tier: "aot" } },
    ]
  ) {
    Deno.test(`${name}.pt2 is functionalised and compiled (${JSON.stringify(options)})`, async () => {
      const run = compileExported(await read(name), options);
      assert.equal(run.kind, "compiled", run.reason ?? "");
      for (let call = 0; call < 2; call++) check(name, count, run(recorded(name).inputs));
      assert.equal(run.stats.graphBreaks, 0);
    });
  }
}
