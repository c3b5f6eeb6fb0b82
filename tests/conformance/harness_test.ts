/**
 * The harness compiles one function text over other cases again and again: each must be captured anew, whatever a cache holds. A process that dies or hangs fails
 * the cases that it had, and no others.
 */
import assert from "node:assert/strict";
import { compile, type Tensor, tensor } from "../../mod.ts";
import { registerLibrary } from "../../src/capture/mod.ts";
import { runJobs } from "./jobs.ts";
import type { VectorCase } from "./vectors.ts";

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

Deno.test("a worker that does not answer, or ends, fails its cases with the reason", async () => {
  // Only what the parent asks of a case.
  const cases = ["a", "b", "c"].map((id) => ({ id, grads: null }) as VectorCase);
  const pipes = { stdin: "piped", stdout: "piped" } as const;
  const workers = [["sleep", "60"], ["false"]].map(([name = "", ...args]) =>
    new Deno.Command(name, { args, ...pipes })
  );
  const begin = performance.now();
  const outcomes = await runJobs(cases, {
    jobs: 1,
    batch: 2,
    patience: 200,
    command: () => workers.shift() ?? new Deno.Command("false", pipes),
  });
  assert.ok(performance.now() - begin < 10_000);
  const reasons = outcomes.map(({ values }) => values.kind === "failed" ? values.reason : values.kind);
  assert.match(reasons[0] ?? "", /and 1 others did not answer within 0.2 s/);
  assert.equal(reasons[1], reasons[0]);
  assert.match(reasons[2] ?? "", /ended with code 1$/);
});
