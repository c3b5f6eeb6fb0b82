/**
 * A few operators of each kind of kernel, watched on the emulated device in three orders of threads: nothing is found, and results do not depend on the order.
 * `tools/sanitize.ts` does the same for whole folders of vectors.
 */
import assert from "node:assert/strict";
import { emulateCuda } from "../runtime/cuda/emulator/mod.ts";
import { Vectors } from "./vectors.ts";
import { watchCases } from "./watched.ts";

const reason = emulateCuda({ watched: true });
const TARGETS = /^aten\.(_?softmax|cumsum|mm|native_layer_norm|index_add|index_put|sort|var_mean|median|argmax)\./;

Deno.test({
  name: `watched kernels touch their tensors only, and race nowhere${reason === null ? "" : ` [skipped: ${reason}]`}`,
  ignore: reason !== null,
  sanitizeResources: false,
  sanitizeOps: false,
  fn: () => {
    const source = new Vectors(new URL("sample", import.meta.url).pathname);
    const perTarget = new Map(source.cases.filter((c) => TARGETS.test(c.target)).map((c) => [c.target, c]));
    const report = watchCases([...perTarget.values()], source, { orders: [0, 1, 7], batch: 24 });
    assert.ok(
      report.runs >= 4 * perTarget.size && perTarget.size >= 8,
      `${report.runs} runs of ${perTarget.size} cases`,
    );
    assert.deepEqual(report.findings, []);
    assert.deepEqual(report.unstable, []);
  },
});
