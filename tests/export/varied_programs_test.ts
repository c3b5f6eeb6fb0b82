/** Exported programs of many kinds give PyTorch's results, at the sizes of the export and at others: called one operator at a time, and compiled. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compileExported } from "../../src/export/mod.ts";
import type { Tensor } from "../../src/tensor/mod.ts";
import { assertClose, read, recorded } from "./support.ts";

/** What is particular about a program, its file, and the recordings of its results. */
const PROGRAMS = [
  {
    title: "bags of rows whose last offset ends them, as many as a symbol says",
    file: "bags",
    recordings: ["bags", "bags_other"],
  },
  {
    title: "samples at positions, spectra and quantiles of images of any size",
    file: "signals",
    recordings: ["signals", "signals_other"],
  },
  {
    title: "fractions of sizes, among its results too",
    file: "fractions",
    recordings: ["fractions", "fractions_other"],
  },
  {
    title: "complex numbers of Python's, and fractions of sizes where operators take numbers alone",
    file: "python_numbers",
    recordings: ["python_numbers", "python_numbers_other"],
  },
  {
    title: "pieces of a dimension whose size is a symbol",
    file: "pieces",
    recordings: ["pieces", "pieces_other"],
  },
  {
    title: "windows cropped to what fits, which at some sizes is everything",
    file: "crops",
    recordings: ["crops", "crops_other"],
  },
  {
    title: "complex tensors that are made, filled, written to and multiplied",
    file: "complex_structures",
    recordings: ["complex_structures"],
  },
  {
    title: "calls that tokens put in order, and a tensor that must not be 0",
    file: "effects",
    recordings: ["effects"],
  },
] as const;

function check(name: string, results: readonly unknown[]): void {
  const { output } = recorded(name);
  const tensors = results.filter((r) => typeof r === "object" && r !== null);
  assert.ok(tensors.length > 0 && output(tensors.length - 1) !== null && output(tensors.length) === null);
  tensors.forEach((result, i) => assertClose(result, output(i) as Tensor, `${name}: result ${i}`));
}

for (const { title, file, recordings } of PROGRAMS) {
  Deno.test(`a program with ${title} is called`, async () => {
    const program = await read(file);
    assert.deepEqual(program.problems, []);
    for (const name of recordings) check(name, program.callFlat(recorded(name).inputs));
  });
  for (const tier of ["js", "aot"]) {
    Deno.test(`a program with ${title} is compiled (tier ${tier})`, async () => {
      const run = compileExported(await read(file), { options: { tier } });
      assert.equal(run.kind, "compiled", run.reason ?? "");
      for (const name of recordings) check(name, run(recorded(name).inputs));
    });
  }
}

Deno.test("a program whose assertion of data does not hold says so", async () => {
  const { inputs } = recorded("effects");
  const [x, p] = inputs as [Tensor, Tensor];
  const program = await read("effects");
  for (const call of [compileExported(program), (given: Tensor[]) => program.callFlat(given)]) {
    assert.throws(() => call([x, p.neg()]), /p has no positive sum/);
  }
});

Deno.test("what a program was read for names the call that asked", async () => {
  const { constraints } = (await read("crops")).conditions;
  assert.match(constraints.map(({ text }) => text).join("\n"), /asked by ==, for aten\.view\.default/);
});
