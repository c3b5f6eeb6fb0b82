/**
 * `torch.vmap` and `torch.associative_scan` in exported programs: regions of slices become calls on whole tensors. The fixture has nested regions, one over a size that is a symbol,
 * one whose operator is only known slice by slice, one that writes in place, and whole numbers written as floats.
 */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compileExported } from "../../src/export/mod.ts";
import type { Tensor } from "../../src/tensor/mod.ts";
import { assertClose, read, recorded } from "./support.ts";
import { partsOf, readParts } from "./rewrite.ts";

function check(name: string, results: readonly unknown[]): void {
  const { output } = recorded(name);
  assert.equal(results.length, 8);
  results.forEach((result, i) => assertClose(result, output(i) as Tensor, `result ${i}`));
}

Deno.test("regions of slices are read as calls on whole tensors, at other sizes too", async () => {
  const program = await read("batches");
  assert.deepEqual(program.problems, []);
  assert.deepEqual(program.graph.calls.filter(({ target }) => target.schema.namespace === "functorch"), []);
  check("batches", program.callFlat(recorded("batches").inputs));
  check("batches_other", program.callFlat(recorded("batches_other").inputs));
});

for (const tier of ["js", "aot"]) {
  Deno.test(`regions of slices are compiled (tier ${tier})`, async () => {
    const run = compileExported(await read("batches"), { options: { tier } });
    assert.equal(run.kind, "compiled", run.reason ?? "");
    assert.equal(run.stats.graphBreaks, 0);
    check("batches", run(recorded("batches").inputs));
    check("batches_other", run(recorded("batches_other").inputs));
  });
}

const SPOILT: readonly (readonly [string, (nodes: { target: string; inputs: unknown[] }[]) => void, RegExp])[] = [
  [
    "does not end",
    (nodes) => void nodes.splice(nodes.findLastIndex((n) => n.target.endsWith("decrement_nesting")), 1),
    /does not end/,
  ],
  [
    "does not begin",
    (nodes) => void nodes.splice(nodes.findIndex((n) => n.target.endsWith("increment_nesting")), 1),
    /outside of vmap/,
  ],
  [
    "enters a dimension that is not there",
    (nodes) => {
      const enter = nodes.find((n) => n.target.endsWith("_add_batch_dim"));
      if (enter !== undefined) enter.inputs[1] = { name: "", arg: { as_int: 9 }, kind: 1 };
    },
    /dimension|out of range/,
  ],
];

for (const [what, spoil, message] of SPOILT) {
  Deno.test(`a region of slices that ${what} is a problem of the program`, async () => {
    const parts = await partsOf("batches");
    spoil(parts.program.graph_module.graph.nodes);
    const { problems } = await readParts(parts);
    assert.match(problems.map((p) => `${p.target}: ${p.reason}`).join("\n"), message);
  });
}
