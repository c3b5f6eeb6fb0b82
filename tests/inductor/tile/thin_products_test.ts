/** Along which axis the lanes of small products run. */
import assert from "node:assert/strict";
import { compileGraphToPlan } from "../../../src/inductor/compile_plan.ts";
import { emitCppModule } from "../../../src/inductor/codegen/cpp/emit_module.ts";
import { graphOf } from "../../helpers/graph_builder.ts";

function textOf(batch: number, m: number, n: number, k: number): string {
  const { plan } = compileGraphToPlan(
    graphOf((b) => b.call("aten.bmm.default", [b.input([batch, m, k]), b.input([batch, k, n])])),
  );
  const { source } = emitCppModule(plan, { lanes: 16, workers: 2 });
  return source.slice(source.indexOf("static void k0("));
}

Deno.test("a product of a short sum runs along its contiguous columns, though they do not fill a vector", () => {
  const text = textOf(64, 16, 6, 16);
  assert.doesNotMatch(text, /tsr_strided|tsr_sum\(/);
  assert.match(text, /tsr_fma/);
});

Deno.test("a product of a long sum with one column runs along the sum", () => {
  assert.match(textOf(1, 40, 1, 4096), /tsr_sum\(/);
});

/** `x · wᵀ`: a linear layer without bias. */
function linearText(rows: number, n: number, k: number): string {
  const { plan } = compileGraphToPlan(graphOf((b) => {
    const [x, w] = [b.input([rows, k]), b.attribute("w", [n, k])];
    return b.call("aten.mm.default", [x, b.call("aten.t.default", [w])]);
  }));
  return emitCppModule(plan, { lanes: 16, workers: 2 }).source;
}

Deno.test("few rows against a large weight read each of its rows once, and pack nothing", () => {
  for (const rows of [2, 3, 5, 8]) {
    const text = linearText(rows, 1024, 1024);
    assert.doesNotMatch(text, /tsr_contract</, `${rows} rows`);
    // The rows of x run inside of those of the weight.
    assert.match(text, new RegExp(`const long row = at / ${rows}, from`), `${rows} rows`);
  }
  assert.match(linearText(16, 1024, 1024), /tsr_contract</, "many rows");
  assert.match(linearText(8, 64, 1024), /tsr_contract</, "a small weight");
});
