/**
 * Random graphs: the fused plan gives what the plan without inlining, fusion and reuse gives.
 */
import assert from "node:assert/strict";
import { type StageName, withConfig } from "../../src/core/mod.ts";
import { compileGraphToPlan } from "../../src/inductor/compile_plan.ts";
import { planToText } from "../../src/inductor/print.ts";
import "../../src/ops/mod.ts";
import { randomGraph, randomInputs } from "../helpers/random_graph.ts";
import { runPlan } from "../helpers/run_plan.ts";

/** Compares one graph; throws with both plans on a difference. Returns kernels before and after. */
export function compareSeed(seed: number, size: number): { readonly before: number; readonly after: number } {
  const graph = randomGraph(seed, size);
  const inputs = randomInputs(graph, seed);
  const plain = ((): ReturnType<typeof compileGraphToPlan> => {
    using _ = withConfig({ verify: true, disabled: new Set<StageName>(["fusion", "inlining", "reuse"]) });
    return compileGraphToPlan(graph);
  })();
  using _ = withConfig({ verify: true });
  const fused = compileGraphToPlan(graph);
  const expected = runPlan(plain.plan, { inputs }).results;
  const got = runPlan(fused.plan, { inputs }).results;
  expected.forEach((want, i) => {
    want.forEach((w, j) => {
      const g = Number(got[i]?.[j]);
      const tolerance = 1e-4 * Math.max(1, Math.abs(Number(w)));
      const same = Number.isNaN(Number(w)) ? Number.isNaN(g) : g === Number(w) || Math.abs(g - Number(w)) <= tolerance;
      assert.ok(same, `seed ${seed}: result ${i}[${j}] is ${g}, not ${w}\n${planToText(fused.plan)}`);
    });
  });
  return { before: plain.groups.length, after: fused.groups.length };
}

Deno.test("compileGraphToPlan() keeps the meaning of 300 random graphs under inlining, fusion and memory reuse", () => {
  let before = 0;
  let after = 0;
  for (let seed = 0; seed < 300; seed++) {
    const result = compareSeed(seed, 6 + seed % 20);
    before += result.before;
    after += result.after;
  }
  assert.ok(after * 2 < before, `${before} kernels became ${after}`);
});
