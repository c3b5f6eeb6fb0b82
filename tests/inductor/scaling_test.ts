/**
 * Lowering, scheduling and planning take time in proportion to the graph.
 */
// First: it counts what is compiled after it.
import { blocksEntered } from "../helpers/block_counts.ts";
import assert from "node:assert/strict";
import type { Graph, Node } from "../../src/graph/mod.ts";
import { compileGraphToPlan } from "../../src/inductor/compile_plan.ts";
import "../../src/ops/mod.ts";
import { graphOf } from "../helpers/graph_builder.ts";

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

/** Each layer reads all layers before it, as those of a DenseNet do. */
function dense(count: number): Graph {
  return graphOf((b) => {
    const list: Node[] = [b.input([16, 8])];
    for (let i = 0; i < count; i++) {
      const all = b.call("aten.relu.default", [b.call("aten.cat.default", [[...list], 1])]);
      list.push(b.call("aten.mm.default", [all, b.attribute(`w${i}`, [8 * (i + 1), 8])]));
    }
    return b.call("aten.cat.default", [list, 1]);
  });
}

/** A recurrent cell, step by step: slices of one product, gates, and states that go on. */
function recurrent(count: number): Graph {
  return graphOf((b) => {
    const x = b.input([4, count, 64]);
    const weight = b.attribute("w", [16, 64]);
    let [h, c] = [b.input([4, 16]), b.input([4, 16])] as [Node, Node];
    const out: Node[] = [];
    for (let i = 0; i < count; i++) {
      const step = b.call("aten.select.int", [x, 1, i]);
      const gates = b.call("aten.add.Tensor", [step, b.call("aten.mm.default", [h, weight])]);
      const [g0, g1, g2, g3] = [0, 16, 32, 48].map((k) => b.call("aten.slice.Tensor", [gates, 1, k, k + 16, 1])) as [
        Node,
        Node,
        Node,
        Node,
      ];
      const [keep, put] = [b.call("aten.sigmoid.default", [g0]), b.call("aten.sigmoid.default", [g1])];
      c = b.call("aten.add.Tensor", [
        b.call("aten.mul.Tensor", [keep, c]),
        b.call("aten.mul.Tensor", [put, b.call("aten.tanh.default", [g2])]),
      ]);
      h = b.call("aten.mul.Tensor", [b.call("aten.sigmoid.default", [g3]), b.call("aten.tanh.default", [c])]);
      out.push(b.call("aten.unsqueeze.default", [h, 1]));
    }
    return b.call("aten.cat.default", [out, 1]);
  });
}

/** The work of compiling a graph, once what is made at first use is there. */
async function work(build: () => Graph): Promise<number> {
  compileGraphToPlan(build());
  const graph = build();
  return await blocksEntered(() => void compileGraphToPlan(graph));
}

for (
  const [name, build, count, most] of [
    // Linear is 2, quadratic 4.
    ["layers", layers, 60, 2.5],
    ["layers", layers, 200, 2.5],
    ["fan", fan, 2000, 2.5],
    ["recurrent", recurrent, 48, 2.5],
    // Twice as many layers that read all before them have four times as many operands.
    ["dense", dense, 64, 3.2],
  ] as const
) {
  Deno.test(`compileGraphToPlan() does at most ${most} times the work for twice as many layers (${name}, ${count})`, async () => {
    const small = await work(() => build(count));
    const large = await work(() => build(2 * count));
    assert.ok(small > 100 * count, `only ${small} blocks were counted`);
    assert.ok(
      large <= small * most,
      `${small} blocks entered for ${count} layers, ${large} (${(large / small).toFixed(2)} times) for ${2 * count}`,
    );
  });
}
