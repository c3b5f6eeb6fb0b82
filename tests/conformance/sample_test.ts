/**
 * The sample of PyTorch's operator vectors that stays with the project, on every executor that this machine has: every case agrees with PyTorch.
 */
import assert from "node:assert/strict";
import "../../mod.ts";
import { findToolchain } from "../../src/runtime/cpu/toolchain.ts";
import { type Executor, inductorExecutor, referenceExecutor } from "./execute.ts";
import { reportOf, runCases } from "./report.ts";
import { Vectors } from "./vectors.ts";

const sample = new Vectors(new URL("./sample", import.meta.url).pathname);

/** Fails with a list of what differs. */
function checkAll(executor: Executor, batch: number): void {
  const { values, failures, skipped } = reportOf(runCases(sample.cases, sample, executor, { batch }));
  assert.deepEqual(failures, []);
  assert.deepEqual(skipped, []);
  assert.equal(values.passed, sample.cases.length);
}

Deno.test("the sample covers at least 400 cases and 400 operators", () => {
  assert.ok(sample.cases.length >= 400);
  assert.ok(new Set(sample.cases.map((c) => c.target)).size >= 400);
});

Deno.test("the sample agrees with PyTorch on the reference executor", () => checkAll(referenceExecutor, 64));

Deno.test("the sample agrees with PyTorch compiled to JavaScript", () => {
  checkAll(inductorExecutor({ tier: "js", dynamic: false }), 48);
});

Deno.test("the sample agrees with PyTorch compiled to JavaScript with symbolic sizes", () => {
  checkAll(inductorExecutor({ tier: "js", dynamic: true }), 48);
});

const toolchain = findToolchain();

Deno.test({
  name: `the sample agrees with PyTorch compiled to C++${toolchain.ok ? "" : ` (${toolchain.problem})`}`,
  ignore: !toolchain.ok,
  fn: () => checkAll(inductorExecutor({ tier: "cpp", dynamic: false }), 48),
});
