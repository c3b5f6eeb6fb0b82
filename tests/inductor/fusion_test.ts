/**
 * Legality, profit, veto and the records of fusion; verifiers of groups.
 */
import assert from "node:assert/strict";
import { VerifyError, withConfig } from "../../src/core/mod.ts";
import type { Argument, Node } from "../../src/graph/mod.ts";
import { compileGraphToPlan } from "../../src/inductor/compile_plan.ts";
import { canFuse } from "../../src/inductor/fusion.ts";
import type { LoopGroup } from "../../src/inductor/groups.ts";
import { lowerGraph } from "../../src/inductor/lower.ts";
import type { FusionDecision } from "../../src/inductor/scheduler.ts";
import { verifyGroup } from "../../src/inductor/verify.ts";
import { isMixedRadix } from "../../src/inductor/loop_maps.ts";
import { splitAxes } from "../../src/inductor/loop_space.ts";
import { loopVar } from "../../src/loops/mod.ts";
import { add, floorDiv, mod, mul, substitute, symbol, toText } from "../../src/symbolic/mod.ts";
import "../../src/ops/mod.ts";
import { type GraphBuilder, graphOf } from "../helpers/graph_builder.ts";

const call = (b: GraphBuilder, name: string, ...args: Argument[]): Node => b.call(`aten.${name}`, args);

Deno.test("canFuse() rejects a shifted read", () => {
  const lowering = lowerGraph(graphOf((g) => {
    const s = call(g, "sum.dim_IntList", g.input([12, 16]), [1], false);
    return call(g, "sub.Tensor", s, call(g, "flip.default", s, [0]));
  }));
  const [a, b] = lowering.groups;
  assert.ok(a !== undefined && b !== undefined);
  const answer = canFuse(a, b, lowering.hint);
  assert.ok(!answer.ok);
  assert.match(answer.reason, /reads sum at another element than the one just written/);
});

Deno.test("canFuse() accepts the element that was just written, in another order of dimensions", () => {
  const lowering = lowerGraph(graphOf((g) => {
    const s = call(g, "sum.dim_IntList", g.input([6, 8, 3]), [2], false);
    return [call(g, "cos.default", call(g, "t.default", s))];
  }));
  const [a, b] = lowering.groups;
  assert.ok(a !== undefined && b !== undefined);
  const answer = canFuse(a, b, lowering.hint);
  assert.ok(answer.ok);
  assert.equal(answer.kind, "vertical");
});

Deno.test("canFuse() rejects a reduction over a contraction's rows", () => {
  const lowering = lowerGraph(graphOf((g) => {
    const p = call(g, "mm.default", g.input([4, 16]), g.input([16, 12]));
    return call(g, "sum.dim_IntList", p, [1], false);
  }));
  const [a, b] = lowering.groups;
  assert.ok(a !== undefined && b !== undefined);
  const answer = canFuse(a, b, lowering.hint);
  assert.ok(!answer.ok);
  assert.match(answer.reason, /whole rows/);
});

Deno.test("scheduleGroups() keeps a sentence for every decision and obeys the backend's veto", () => {
  const graph = graphOf((g) => {
    const x = g.input([16, 16]);
    return [call(g, "sum.dim_IntList", x, [1], false), call(g, "cos.default", x)];
  });
  const decisions: FusionDecision[] = [];
  const fused = compileGraphToPlan(graph, { explain: (d) => decisions.push(d) });
  assert.equal(fused.counters.kernels, 1);
  assert.match(fused.groups[0]?.reasons.join() ?? "", /read in0 in the same order: saves 1024 bytes/);
  assert.ok(decisions.some((d) => d.fused && d.savedBytes === 1024));
  decisions.length = 0;
  const vetoed = compileGraphToPlan(graph, { veto: () => "too large for a block", explain: (d) => decisions.push(d) });
  assert.equal(vetoed.counters.kernels, 2);
  assert.ok(decisions.some((d) => !d.fused && d.reason === "the backend declines: too large for a block"));
});

Deno.test("verifyGroup() finds a value that is kept in registers but read in a later pass", () => {
  using _ = withConfig({ verify: true });
  const { groups } = compileGraphToPlan(graphOf((g) => {
    const x = g.input([16, 16]);
    const c = call(g, "cos.default", x);
    return [c, call(g, "sub.Tensor", c, call(g, "sum.dim_IntList", c, [1], true))];
  }));
  const [group] = groups;
  assert.ok(group?.kind === "loops");
  verifyGroup(group);
  const stage = group.stages.find((s) =>
    s.kind === "pointwise" && group.stages.some((t) => t !== s && t.kind === "pointwise")
  );
  assert.ok(stage !== undefined);
  const backwards: LoopGroup = { ...group, stages: [...group.stages].reverse() };
  assert.throws(() => verifyGroup(backwards), VerifyError);
});

Deno.test("isMixedRadix() accepts each digit exactly once, in any order of significance", () => {
  const [i, j] = [loopVar(4), loopVar(6)];
  assert.ok(isMixedRadix(add(mul(symbol(i), 6), symbol(j)), [i, j]));
  assert.ok(isMixedRadix(add(mul(symbol(j), 4), symbol(i)), [i, j]));
  assert.ok(!isMixedRadix(add(mul(symbol(i), 5), symbol(j)), [i, j]));
  assert.ok(!isMixedRadix(symbol(i), [i, j]));
});

Deno.test("splitAxes() removes divisions by splitting the axis that is divided", () => {
  const i = loopVar(24);
  const e = add(mul(floorDiv(symbol(i), 12), 100), mul(mod(floorDiv(symbol(i), 4), 3), 10), mod(symbol(i), 4));
  const { axes, symbols } = splitAxes([i], [e]);
  assert.equal(axes.length, 3);
  assert.doesNotMatch(toText(substitute(e, symbols)), /%|\/\//);
});
