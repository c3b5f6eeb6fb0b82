/**
 * No operator of the table falls silently to a slower path: each is compiled by its own samples, and every step of its plan that no kernel computes is named by
 * explain(), as is every operator at which a graph ends.
 */
import assert from "node:assert/strict";
import "../../mod.ts";
import { explain, registerLibrary } from "../../src/capture/mod.ts";
import { bool, float32, int64 } from "../../src/core/mod.ts";
import { onCompile } from "../../src/inductor/mod.ts";
import { allOps, type NamedArgs, type Operator, SampleGenerator } from "../../src/ops/mod.ts";
import { dispatchComplete, mapTensorArgs, noGrad, Tensor } from "../../src/tensor/mod.ts";
import { makeArgs } from "../ops/harness.ts";

/** Arguments of the first sample that an operator has for some dtype. */
function sampleOf(op: Operator): NamedArgs<Tensor> | null {
  for (const dtype of [float32, int64, bool]) {
    const [sample] = op.samples(new SampleGenerator(dtype));
    if (sample !== undefined) return makeArgs(op, sample, 3);
  }
  return null;
}

/** What is wrong with how explain() speaks of an operator; null if it names all that is slower. */
function silent(op: Operator, args: NamedArgs<Tensor>): string | null {
  const tensors: Tensor[] = [];
  const places = new Map<Tensor, number>();
  mapTensorArgs(op, args, (t) => {
    if (!places.has(t)) places.set(t, tensors.push(t.detach()) - 1);
    return t;
  });
  const run = (...given: Tensor[]): unknown =>
    noGrad(() => dispatchComplete(op, mapTensorArgs(op, args, (t) => given[places.get(t) ?? 0] ?? t)));
  registerLibrary({ run });
  const onHost = new Set<string>();
  using _ = onCompile(({ graph }) => {
    for (const { group } of graph.compiled.plan.steps) {
      if (group.kind === "host" && group.node.op === "call") onHost.add(group.node.target.schema.target);
    }
  });
  const report = explain(run)(...tensors);
  const said = [...report.fallbacks, ...report.breaks.map((b) => b.reason)].join("\n");
  const missing = [...onHost].filter((target) => !said.includes(target));
  if (missing.length > 0) return `${op.target}: explain() does not name ${missing.join(", ")}`;
  if (op.isDataDependent && !said.includes(op.schema.name)) {
    return `${op.target}: its result depends on data, and explain() does not name it: ${said}`;
  }
  if (report.graphs.length === 0 && report.breaks.length === 0) return `${op.target}: neither a graph nor a break`;
  return null;
}

Deno.test("explain() names whatever of an operator no kernel computes", () => {
  const wrong: string[] = [];
  let seen = 0, slower = 0;
  for (const op of allOps()) {
    if (op.functional !== null || op.number !== undefined) continue;
    const args = sampleOf(op);
    if (args === null) continue;
    seen++;
    if (op.kind === "host") slower++;
    try {
      const why = silent(op, args);
      if (why !== null) wrong.push(why);
    } catch (error) {
      wrong.push(`${op.target}: ${error}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(seen > 700, `only ${seen} operators have samples`);
  assert.ok(slower > 20, `only ${slower} of them run on the host`);
});
