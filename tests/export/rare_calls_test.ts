/** Calls that few programs contain give PyTorch's results in exported programs: results beside lists, Python's in-place operators, views of another dtype, hashes. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compileExported } from "../../src/export/mod.ts";
import type { Tensor } from "../../src/tensor/mod.ts";
import { assertClose, read, recorded } from "./support.ts";

const NAME = "rare_calls";

function check(results: readonly unknown[]): void {
  const { output } = recorded(NAME);
  assert.equal(results.length, 11);
  results.forEach((result, i) => assertClose(result, output(i) as Tensor, `result ${i}`));
}

Deno.test("rare calls are read and called", async () => {
  const program = await read(NAME);
  assert.deepEqual(program.problems, []);
  check(program.callFlat(recorded(NAME).inputs));
});

for (const tier of ["js", "aot"]) {
  Deno.test(`rare calls are compiled (tier ${tier})`, async () => {
    const run = compileExported(await read(NAME), { options: { tier } });
    assert.equal(run.kind, "compiled", run.reason ?? "");
    check(run(recorded(NAME).inputs));
  });
}
