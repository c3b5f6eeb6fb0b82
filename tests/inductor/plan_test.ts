/**
 * Host plans: results as views, donated memory, reuse in place, symbolic sizes.
 */
import assert from "node:assert/strict";
import { CompileError, int64, type StageName, withConfig } from "../../src/core/mod.ts";
import type { Graph, Node } from "../../src/graph/mod.ts";
import { mayFail } from "../../src/inductor/check_first.ts";
import { emitCppModule } from "../../src/inductor/codegen/cpp/emit_module.ts";
import { compileGraphToPlan } from "../../src/inductor/compile_plan.ts";
import { planToText } from "../../src/inductor/print.ts";
import { verifyPlan } from "../../src/inductor/verify.ts";
import { getOp } from "../../src/ops/mod.ts";
import { evaluate } from "../../src/symbolic/mod.ts";
import { type GraphBuilder, graphOf, metaOf } from "../helpers/graph_builder.ts";
import { runPlan } from "../helpers/run_plan.ts";
import { ExampleEnv } from "../helpers/symbolic_env.ts";

const add = (b: GraphBuilder, x: Node, y: Node | number): Node => b.call("aten.add.Tensor", [x, y]);
const mul = (b: GraphBuilder, x: Node, y: Node | number): Node => b.call("aten.mul.Tensor", [x, y]);

Deno.test("compileGraphToPlan() returns a view of an input without a launch", () => {
  using _ = withConfig({ verify: true });
  const { plan, groups } = compileGraphToPlan(graphOf((b) => b.call("aten.t.default", [b.input([2, 3])])));
  assert.equal(groups.length, 0);
  assert.deepEqual(runPlan(plan, { inputs: [[1, 2, 3, 4, 5, 6]] }).results, [[1, 4, 2, 5, 3, 6]]);
});

Deno.test("compileGraphToPlan() returns a value and its view from one buffer", () => {
  using _ = withConfig({ verify: true });
  const { plan, groups } = compileGraphToPlan(graphOf((b) => {
    const y = add(b, b.input([2, 3]), 1);
    return [y, b.call("aten.select.int", [y, 1, 2])];
  }));
  assert.equal(groups.length, 1);
  assert.equal(plan.slots.filter((s) => s.kind === "output").length, 1);
  assert.deepEqual(runPlan(plan, { inputs: [[1, 2, 3, 4, 5, 6]] }).results, [[2, 3, 4, 5, 6, 7], [4, 7]]);
});

Deno.test("compileGraphToPlan() passes numbers, sizes and nulls through", () => {
  const env = new ExampleEnv();
  const s = env.size("s", 5);
  const { plan } = compileGraphToPlan(graphOf((b) => {
    b.input([s]);
    return [null, 3, s.mul(2) as number];
  }));
  assert.deepEqual(plan.results.map((r) => r.kind), ["constant", "constant", "size"]);
});

/** Momentum and update: m = 0.9 m + g; p = p - 0.1 m. */
function momentum(b: GraphBuilder, p: Node, m: Node, g: Node): [Node, Node] {
  const next = add(b, mul(b, m, 0.5), g);
  return [b.call("aten.sub.Tensor", [p, mul(b, next, 0.25)]), next];
}

Deno.test("compileGraphToPlan() updates donated parameters and momenta in place, all in one launch", () => {
  using _ = withConfig({ verify: true });
  const graph = graphOf((b) => {
    const results: Node[] = [];
    const inputs = [4, 6, 8].map((n) => [b.attribute(`p${n}`, [n]), b.attribute(`m${n}`, [n]), b.input([n])] as const);
    for (const [p, m, g] of inputs) results.push(...momentum(b, p, m, g));
    return results;
  });
  const donate = new Map([0, 1, 2, 3, 4, 5].map((i) => [i, { kind: "attribute" as const, index: i }]));
  const { plan, counters } = compileGraphToPlan(graph, { donate });
  assert.equal(counters.kernels, 1);
  assert.equal(plan.slots.filter((s) => s.kind === "donated").length, 6);
  assert.equal(plan.slots.filter((s) => s.kind === "output" || s.kind === "arena").length, 0);
  assert.equal(plan.steps[0]?.aliases.length, 6);
  const fill = (n: number, v: number): number[] => new Array<number>(n).fill(v);
  const run = runPlan(plan, {
    inputs: [4, 6, 8].map((n) => fill(n, 1)),
    attributes: [4, 6, 8].flatMap((n) => [fill(n, 3), fill(n, 2)]),
  });
  assert.deepEqual(run.attributes.map((a) => a[0]), [2.5, 2, 2.5, 2, 2.5, 2]);
});

Deno.test("compileGraphToPlan() does not donate memory that a later kernel still reads", () => {
  using _ = withConfig({ verify: true });
  const graph = graphOf((b) => {
    const [p, g] = [b.attribute("p", [4, 4]), b.input([4, 4])];
    const next = add(b, p, b.call("aten.cos.default", [g]));
    const product = b.call("aten.mm.default", [next, p]);
    return [next, product];
  });
  const { plan } = compileGraphToPlan(graph, { donate: new Map([[0, { kind: "attribute", index: 0 }]]) });
  assert.equal(plan.slots.filter((s) => s.kind === "donated").length, 0);
});

Deno.test("compileGraphToPlan() does not donate memory that the same kernel reads at another element", () => {
  using _ = withConfig({ verify: true });
  const graph = graphOf((b) => {
    const p = b.attribute("p", [4, 4]);
    return [add(b, p, b.call("aten.t.default", [p]))];
  });
  const { plan } = compileGraphToPlan(graph, { donate: new Map([[0, { kind: "attribute", index: 0 }]]) });
  assert.equal(plan.slots.filter((s) => s.kind === "donated").length, 0);
});

Deno.test("compileGraphToPlan() does not donate memory that is returned as it was", () => {
  const graph = graphOf((b) => {
    const p = b.attribute("p", [4]);
    return [add(b, p, 1), p];
  });
  const { plan } = compileGraphToPlan(graph, { donate: new Map([[0, { kind: "attribute", index: 0 }]]) });
  assert.equal(plan.slots.filter((s) => s.kind === "donated").length, 0);
});

Deno.test("compileGraphToPlan() plans nothing for a copy of donated memory into itself, and says that it is filled", () => {
  using _ = withConfig({ verify: true });
  const graph = graphOf((b) => [b.call("aten.clone.default", [b.attribute("p", [4])])]);
  const { plan } = compileGraphToPlan(graph, { donate: new Map([[0, { kind: "attribute", index: 0 }]]) });
  assert.equal(plan.steps.length, 0);
  assert.match(planToText(plan), /clone: f32\[4\] = memory of p, filled/);
  assert.deepEqual(runPlan(plan, { inputs: [], attributes: [[1, 2, 3, 4]] }).results, [[1, 2, 3, 4]]);
});

Deno.test("verifyPlan() finds donated memory that is neither filled nor written", () => {
  const graph = graphOf((b) => [add(b, b.attribute("p", [4]), 1)]);
  const { plan } = compileGraphToPlan(graph, { donate: new Map([[0, { kind: "attribute", index: 0 }]]) });
  verifyPlan(plan);
  assert.throws(() => verifyPlan({ ...plan, steps: [] }), /the result add is never written/);
});

/** One row of a cache is replaced; `more` says what else comes out. */
function cacheStep(more: (b: GraphBuilder, cache: Node, next: Node) => Node[]): Graph {
  return graphOf((b) => {
    const cache = b.attribute("cache", [4, 3]);
    const [index, row] = [b.input([1], int64), b.input([1, 3])];
    const next = b.call("aten.index_copy.default", [cache, 0, index, row]);
    return [next, ...more(b, cache, next)];
  });
}

const CACHE = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
const CACHE_AFTER = [1, 2, 3, 4, 5, 6, 70, 80, 90, 10, 11, 12];
const DONATE_CACHE = { donate: new Map([[0, { kind: "attribute" as const, index: 0 }]]) };

Deno.test("compileGraphToPlan() writes a row into a donated cache without copying the rest", () => {
  using _ = withConfig({ verify: true });
  const { plan, counters } = compileGraphToPlan(cacheStep((b, _, next) => [mul(b, next, 2)]), DONATE_CACHE);
  assert.equal(plan.slots.filter((s) => s.kind === "donated").length, 1);
  assert.equal(counters.kernels, 3, "a look at the index, the row, and what reads the cache");
  assert.deepEqual(plan.steps[1]?.writes.map((b) => b.label), ["index_copy"]);
  const run = runPlan(plan, { inputs: [[2], [70, 80, 90]], attributes: [CACHE] });
  assert.deepEqual(run.results[1], CACHE_AFTER.map((v) => v * 2));
  assert.deepEqual(run.attributes, [CACHE_AFTER]);
});

Deno.test("compileGraphToPlan() looks at an index once before two caches are written, and writes neither if it is wrong", () => {
  using _ = withConfig({ verify: true });
  const graph = graphOf((b) => {
    const caches = ["keys", "values"].map((name) => b.attribute(name, [4, 3]));
    const [index, row] = [b.input([1], int64), b.input([1, 3])];
    return caches.map((cache) => b.call("aten.index_copy.default", [cache, 0, index, row]));
  });
  const donate = new Map([0, 1].map((index) => [index, { kind: "attribute" as const, index }]));
  const { plan, counters } = compileGraphToPlan(graph, { donate });
  assert.equal(plan.slots.filter((s) => s.kind === "donated").length, 2);
  assert.equal(counters.kernels, 3);
  assert.match(emitCppModule(plan, { lanes: 8, workers: 2 }).source, /if \(tsr_error\[2\] != 0\) return;/);
  const attributes = [[...CACHE], [...CACHE]];
  assert.throws(() => runPlan(plan, { inputs: [[4], [70, 80, 90]], attributes }), /index 4 is out of range/);
  assert.deepEqual(attributes, [CACHE, CACHE]);
});

Deno.test("compileGraphToPlan() gives up a donation if an index is only known after the write", () => {
  using _ = withConfig({ verify: true });
  const graph = graphOf((b) => {
    const counts = b.attribute("counts", [3], int64);
    const next = b.call("aten.add.Tensor", [counts, 1]);
    return [next, b.call("aten.index_select.default", [b.input([4]), 0, next])];
  });
  const { plan } = compileGraphToPlan(graph, DONATE_CACHE);
  const donated = plan.slots.filter((s) => s.kind === "donated").length;
  const written = plan.steps.findIndex((s) => s.writes.some((b) => b.label === "add"));
  assert.ok(donated === 0 || plan.steps.slice(written).every((s) => !mayFail(s.group)), "written before the check");
});

Deno.test("compileGraphToPlan() lets the old cache be read before the row is written", () => {
  using _ = withConfig({ verify: true });
  const graph = cacheStep((b, cache, next) => [add(b, cache, 1), b.call("aten.t.default", [mul(b, next, 2)])]);
  const { plan } = compileGraphToPlan(graph, DONATE_CACHE);
  assert.equal(plan.slots.filter((s) => s.kind === "donated").length, 1);
  const run = runPlan(plan, { inputs: [[2], [70, 80, 90]], attributes: [CACHE] });
  assert.deepEqual(run.results[1], CACHE.map((v) => v + 1));
  assert.deepEqual(run.attributes, [CACHE_AFTER]);
});

Deno.test("compileGraphToPlan() copies a cache whose old rows are read after the write", () => {
  using _ = withConfig({ verify: true });
  const graph = cacheStep((b, cache, next) => [b.call("aten.mm.default", [cache, b.call("aten.t.default", [next])])]);
  const { plan } = compileGraphToPlan(graph, DONATE_CACHE);
  assert.equal(plan.slots.filter((s) => s.kind === "donated").length, 0);
  const run = runPlan(plan, { inputs: [[2], [70, 80, 90]], attributes: [CACHE] });
  assert.deepEqual(run.attributes, [CACHE]);
  assert.deepEqual(run.results[0], CACHE_AFTER);
});

Deno.test("compileGraphToPlan() copies a cache whose new row is read from its old rows", () => {
  using _ = withConfig({ verify: true });
  const graph = graphOf((b) => {
    const cache = b.attribute("cache", [4, 3]);
    const flipped = b.call("aten.flip.default", [cache, [0]]);
    return [b.call("aten.index_copy.default", [cache, 0, b.input([4], int64), flipped])];
  });
  const { plan } = compileGraphToPlan(graph, DONATE_CACHE);
  const run = runPlan(plan, { inputs: [[0, 1, 2, 3]], attributes: [CACHE] });
  assert.deepEqual(run.results[0], [10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3]);
});

Deno.test("compileGraphToPlan() swaps two donated buffers correctly", () => {
  using _ = withConfig({ verify: true });
  const graph = graphOf((b) => {
    const [x, y] = [b.attribute("x", [3]), b.attribute("y", [3])];
    return [mul(b, y, 2), mul(b, x, 3)];
  });
  const donate = new Map([0, 1].map((i) => [i, { kind: "attribute" as const, index: i }]));
  const { plan } = compileGraphToPlan(graph, { donate });
  const { results } = runPlan(plan, { inputs: [], attributes: [[1, 2, 3], [4, 5, 6]] });
  assert.deepEqual(results, [[8, 10, 12], [3, 6, 9]]);
});

Deno.test("compileGraphToPlan() plans symbolic sizes once for every size, without guards", () => {
  using _ = withConfig({ verify: true });
  const env = new ExampleEnv();
  const [n, m] = [env.size("n", 4), env.size("m", 6)];
  const graph = graphOf((b) => {
    const x = b.input([n, m]);
    const e = b.call("aten.exp.default", [b.call("aten.sub.Tensor", [x, b.call("aten.amax.default", [x, [1], true])])]);
    const soft = b.call("aten.div.Tensor", [e, b.call("aten.sum.dim_IntList", [e, [1], true])]);
    return [soft, b.call("aten.mm.default", [soft, b.call("aten.t.default", [x])])];
  });
  const before = env.guards.length;
  const { plan, counters } = compileGraphToPlan(graph);
  assert.equal(env.guards.length, before, "compiling guards on nothing");
  assert.equal(counters.kernels, 2);
  assert.deepEqual(plan.sizes, [...env.examples.keys()]);
  for (const [rows, columns] of [[4, 6], [2, 3], [5, 2]] as const) {
    const input = Array.from({ length: rows * columns }, (_, i) => Math.sin(i));
    const sizes = new Map([...env.examples.keys()].map((s, i) => [s, i === 0 ? rows : columns]));
    const [soft] = runPlan(plan, { inputs: [input], sizes }).results;
    const first = (soft ?? []).slice(0, columns).reduce((a: number, v) => a + Number(v), 0);
    assert.ok(Math.abs(first - 1) < 1e-5, `the first row sums to ${first}`);
  }
});

Deno.test("compileGraphToPlan() reuses memory of symbolic size", () => {
  using _ = withConfig({ verify: true });
  const env = new ExampleEnv();
  const n = env.size("n", 8);
  const graph = graphOf((b) => {
    let x: Node = b.input([n, n]);
    for (let i = 0; i < 8; i++) x = b.call("aten.mm.default", [x, x]);
    return x;
  });
  const { plan } = compileGraphToPlan(graph);
  const bytes = evaluate(plan.arenaBytes, () => 8);
  assert.equal(bytes, 2 * 8 * 8 * 4);
});

Deno.test("compileGraphToPlan() runs every operator by itself with fusion and inlining turned off", () => {
  using _ = withConfig({ verify: true, disabled: new Set<StageName>(["fusion", "inlining"]) });
  const graph = graphOf((b) => {
    const x = b.input([4]);
    return b.call("aten.cos.default", [b.call("aten.sin.default", [add(b, x, 1)])]);
  });
  assert.equal(compileGraphToPlan(graph).counters.kernels, 3);
});

Deno.test("lowerGraph() names operators that have to be decomposed or functionalised first", () => {
  const decomposed = graphOf((b) => b.call("aten.softmax.int", [b.input([2, 2]), 1]));
  assert.throws(
    () => compileGraphToPlan(decomposed),
    (e: Error) => e instanceof CompileError && /aten\.softmax\.int/.test(e.message),
  );
  const inPlace = graphOf((b) => {
    const x = b.input([2]);
    return b.graph.call(getOp("aten.relu_.default"), [x], metaOf([2]));
  });
  assert.throws(() => compileGraphToPlan(inPlace), /aten\.relu_\.default writes to its argument/);
});

Deno.test("planToText() is stable from one compilation to the next", () => {
  const build = (): string =>
    planToText(
      compileGraphToPlan(graphOf((b) => {
        const x = b.input([4, 8]);
        return b.call("aten.cos.default", [
          b.call("aten.sum.dim_IntList", [b.call("aten.sin.default", [x]), [1], false]),
        ]);
      })).plan,
    );
  assert.equal(build(), build());
  assert.equal(
    build(),
    `plan() arena 0 bytes
  in0: f32[32] = input 0
  cos: f32[4] = output
launch (in0) -> (cos)
  loops [i0 < 4 | r0 < 8]
    reduce sum[i0] (kept) sum= sin(in0[i0*8 + r0])
    outer cos[i0] = cos(sum[i0])
return cos [4] strides [1] at 0`,
  );
});
