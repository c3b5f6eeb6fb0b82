/**
 * Lowering, scheduling and planning take time in proportion to the graph.
 */
import assert from "node:assert/strict";
import type { Graph, Node } from "../../src/graph/mod.ts";
import { compileGraphToPlan } from "../../src/inductor/compile_plan.ts";
import "../../src/ops/mod.ts";
import { graphOf } from "../helpers/graph_builder.ts";
import { bestMilliseconds } from "../helpers/thread_time.ts";

/** Layers of product, bias, activation, normalisation and residual: 10 calls each. */
function layers(count: number): Graph {
  return graphOf((b) => {
    let x: Node = b.input([32, 64]);
    for (let i = 0; i < count; i++) {
      const [w, bias] = [b.attribute(`w${i}`, [64, 64]), b.attribute(`b${i}`, [64])];
      let h = b.call("aten.relu.default", [b.call("aten.add.Tensor", [b.call("aten.mm.default", [x, w]), bias])]);
      const mean = b.call("aten.sum.dim_IntList", [h, [1], true]);
      const centred = b.call("aten.sub.Tensor", [h, mean]);
      const squares = b.call("aten.sum.dim_IntList", [b.call("aten.mul.Tensor", [centred, centred]), [1], true]);
      h = b.call("aten.mul.Tensor", [centred, b.call("aten.rsqrt.default", [squares])]);
      x = b.call("aten.add.Tensor", [h, x]);
    }
    return x;
  });
}

/** Everything reads one tensor, and every other result is summed up. */
function fan(count: number): Graph {
  return graphOf((b) => {
    const x = b.input([64, 64]);
    let total: Node = x;
    const results: Node[] = [];
    for (let i = 0; i < count / 2; i++) {
      const part = b.call("aten.mul.Tensor", [x, i + 2]);
      total = b.call("aten.add.Tensor", [total, part]);
      if (i % 2 === 0) results.push(part);
    }
    return [total, ...results];
  });
}

function bestTime(build: () => Graph): number {
  const graphs = [build(), build(), build()];
  return bestMilliseconds(graphs.length, () => void compileGraphToPlan(graphs.pop() ?? build()));
}

for (const [name, build, perNode] of [["layers", layers, 10], ["fan", fan, 1]] as const) {
  Deno.test(`compileGraphToPlan() is near-linear from 1,000 to 4,000 nodes (${name})`, () => {
    bestTime(() => build(200 / perNode));
    const small = bestTime(() => build(1000 / perNode));
    const large = bestTime(() => build(4000 / perNode));
    // Linear is 4; the rest is room for garbage collection and for caches that others use.
    assert.ok(large < small * 4 * 2, `${small.toFixed(0)} ms for 1,000 nodes, ${large.toFixed(0)} ms for 4,000`);
  });
}
