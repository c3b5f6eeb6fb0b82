/** Numbers that a program reads out of float tensors stay tensors, and what it asserts of numbers that are sizes is known where it asks for it. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compileExported } from "../../src/export/mod.ts";
import type { Tensor } from "../../src/tensor/mod.ts";
import { assertClose, read, recorded } from "./support.ts";

const NAMES = ["numbers", "numbers_other"];

function check(name: string, results: readonly unknown[]): void {
  const { output } = recorded(name);
  assert.equal(results.length, 6);
  results.forEach((result, i) => assertClose(result, output(i) as Tensor, `result ${i}`));
}

Deno.test("numbers that are read out of float tensors are tensors of the graph", async () => {
  const program = await read("numbers");
  assert.deepEqual(program.problems, []);
  const items = program.graph.calls.filter(({ target }) => target.schema.name === "item");
  // Those that are sizes are read.
  assert.equal(items.length, 2);
  for (const name of NAMES) check(name, program.callFlat(recorded(name).inputs));
});

for (const tier of ["js", "aot"]) {
  Deno.test(`programs with such numbers are compiled (tier ${tier})`, async () => {
    const run = compileExported(await read("numbers"), { options: { tier } });
    assert.equal(run.kind, "compiled", run.reason ?? "");
    for (const name of NAMES) check(name, run(recorded(name).inputs));
  });
}
