/**
 * Forward and backward of what networks are made of: kernels, and the same numbers as without fusion.
 */
import assert from "node:assert/strict";
import { GraphRecorder } from "../../src/aot_autograd/recorder.ts";
import { gradOf } from "../../src/autograd/mod.ts";
import { int64, type StageName, withConfig } from "../../src/core/mod.ts";
import { type Graph, isTensorMeta, type Node } from "../../src/graph/mod.ts";
import { compileGraphToPlan, type PlanOptions } from "../../src/inductor/compile_plan.ts";
import { F, installOperators, type Tensor, withMode } from "../../src/tensor/mod.ts";
import "../../src/ops/mod.ts";
import { metaOf } from "../helpers/graph_builder.ts";
import { Random } from "../helpers/random_graph.ts";
import { runPlan } from "../helpers/run_plan.ts";

installOperators();

interface Recording {
  readonly r: GraphRecorder;
  input(shape: readonly number[]): Tensor;
  labels(shape: readonly number[]): Tensor;
  parameter(shape: readonly number[]): Tensor;
}

function record(body: (g: Recording) => readonly Tensor[]): Graph {
  const r = new GraphRecorder();
  let count = 0;
  const recording: Recording = {
    r,
    input: (shape) => r.placeholder(`x${count++}`, metaOf(shape), true),
    labels: (shape) => r.placeholder(`t${count++}`, metaOf(shape, int64)),
    parameter: (shape) => r.attribute(`p${count++}`, metaOf(shape), true),
  };
  const results = withMode(r, () => body(recording));
  r.graph.setOutput(results.map((t) => r.nodeOf(t)));
  return r.graph;
}

function grads(y: Tensor, inputs: readonly Tensor[], gradient?: Tensor): Tensor[] {
  const made = gradOf([y], inputs, gradient === undefined ? {} : { gradOutputs: [gradient] });
  return made.filter((t): t is Tensor => t !== null);
}

function contents(nodes: readonly Node[], seed: number): number[][] {
  const r = new Random(seed);
  return nodes.map((node) => {
    if (!isTensorMeta(node.value)) return [];
    const { shape, dtype } = node.value;
    const numel = shape.reduce<number>((n, s) => n * Number(s), 1);
    return Array.from({ length: numel }, () => dtype === int64 ? r.below(5) : Math.fround(r.next() * 2 - 1));
  });
}

function check(graph: Graph, kernels: number, options: PlanOptions = {}): ReturnType<typeof compileGraphToPlan> {
  const plain = ((): ReturnType<typeof compileGraphToPlan> => {
    using _ = withConfig({ verify: true, disabled: new Set<StageName>(["fusion", "inlining", "reuse"]) });
    return compileGraphToPlan(graph);
  })();
  using _ = withConfig({ verify: true });
  const fused = compileGraphToPlan(graph, options);
  const given = { inputs: contents(graph.placeholders, 1), attributes: contents(graph.attributes, 2) };
  const expected = runPlan(plain.plan, given).results;
  runPlan(fused.plan, given).results.forEach((got, i) => {
    got.forEach((g, j) => {
      const want = Number(expected[i]?.[j]);
      assert.ok(
        Number.isFinite(want) && Math.abs(Number(g) - want) <= 1e-4 * Math.max(1, Math.abs(want)),
        `${i}[${j}]: ${g}, ${want}`,
      );
    });
  });
  assert.ok(fused.counters.kernels <= kernels, `takes ${fused.counters.kernels} kernels`);
  return fused;
}

Deno.test("layer norm, forward and all gradients, is one kernel", () => {
  const graph = (parameters: boolean): Graph =>
    record((g) => {
      const [x, w, b, d] = [g.input([4, 3, 6]), g.input([6]), g.input([6]), g.input([4, 3, 6])];
      const y = F.layerNorm(x, [6], w, b);
      return [y, ...grads(y, parameters ? [x, w, b] : [x], d)];
    });
  check(graph(false), 1);
  check(graph(true), 1);
});

Deno.test("softmax of few classes stays one kernel", () => {
  check(record((g) => [F.softmax(g.input([6, 5]), 1)]), 1);
});

Deno.test("cross entropy is one kernel, and with its gradient another one, which counts the labels that the gradient divides by", () => {
  const graph = (reduction: number, gradient: boolean): Graph =>
    record((g) => {
      const [x, t] = [g.input([5, 7]), g.labels([5])];
      const loss = F.crossEntropyLoss(x, t, null, reduction);
      return gradient ? [loss, ...grads(loss, [x])] : [loss];
    });
  check(graph(1, false), 1);
  check(graph(2, true), 1);
  // The first row's gradient needs the number of all rows' labels; they are read twice, the logits once.
  const { counters } = check(graph(1, true), 2);
  assert.ok(counters.elementsMoved <= 2 * 35 + 2 * 5 + 3, `moves ${counters.elementsMoved}`);
});

Deno.test("normalisations with the gradients of their parameters are one kernel each", () => {
  check(
    record((g) => {
      const [x, w, d] = [g.input([6, 9]), g.input([9]), g.input([6, 9])];
      const y = F.mul(F.mul(x, F.rsqrt(F.add(F.mean(F.mul(x, x), [-1], true), 1e-6))), w);
      return [y, ...grads(y, [x, w], d)];
    }),
    1,
  );
  check(
    record((g) => {
      const [x, w, b, d] = [g.input([3, 6, 2, 4]), g.input([6]), g.input([6]), g.input([3, 6, 2, 4])];
      const y = F.groupNorm(x, 3, w, b);
      return [y, ...grads(y, [x, w, b], d)];
    }),
    1,
  );
});

Deno.test("the bias gradient below a layer norm is summed up where the gradient is computed", () => {
  check(
    record((g) => {
      const [x, b0, w, b, d] = [g.input([6, 9]), g.input([9]), g.input([9]), g.input([9]), g.input([6, 9])];
      const y = F.layerNorm(F.add(x, b0), [9], w, b);
      return [y, ...grads(y, [x, b0, w, b], d)];
    }),
    1,
  );
});

Deno.test("batch norm with relu, forward and backward, is one kernel", () => {
  check(
    record((g) => {
      const [x, w, b, d] = [g.input([3, 4, 5, 2]), g.input([4]), g.input([4]), g.input([3, 4, 5, 2])];
      const y = F.relu(F.batchNorm(x, w, b, null, null, true, 0.1, 1e-5, false));
      return [y, ...grads(y, [x, w, b], d)];
    }),
    1,
  );
});

Deno.test("convolution, relu and pooling, forward and backward", () => {
  check(
    record((g) => {
      const [x, w, b, d] = [g.input([2, 3, 6, 6]), g.input([4, 3, 3, 3]), g.input([4]), g.input([2, 4, 3, 3])];
      const y = F.maxPool2d(F.relu(F.conv2d(x, w, b, [1, 1], [1, 1])), [2, 2]);
      return [y, ...grads(y, [x, w, b], d)];
    }),
    5,
  );
});

Deno.test("attention: the gradients of query, key and value are written into one buffer by their products", () => {
  const { groups } = check(
    record((g) => {
      const [x, w, d] = [g.input([2, 5, 8]), g.input([24, 8]), g.input([2, 5, 8])];
      const heads = F.split(F.linear(x, w, null), 8, 2).map((t) =>
        F.transpose(F.view(t.contiguous(), [2, 5, 2, 4]), 1, 2)
      );
      const [q, k, v] = heads as [Tensor, Tensor, Tensor];
      const a = F.softmax(F.mul(F.matmul(q, F.transpose(k, -2, -1)), 0.5), -1);
      const y = F.layerNorm(F.add(F.reshape(F.transpose(F.matmul(a, v), 1, 2), [2, 5, 8]), x), [8]);
      return [y, ...grads(y, [x, w], d)];
    }),
    12,
  );
  assert.equal(groups.filter((group) => group.kind === "contraction").length, 9);
});

Deno.test("a training step updates donated parameters in place", () => {
  const graph = record((g) => {
    const [x, t] = [g.input([6, 9]), g.labels([6])];
    const ps = [[8, 9], [8], [5, 8], [5]].map((shape) => g.parameter(shape));
    const [w1, b1, w2, b2] = ps as [Tensor, Tensor, Tensor, Tensor];
    const loss = F.crossEntropyLoss(F.linear(F.relu(F.linear(x, w1, b1)), w2, b2), t);
    const all = grads(loss, ps);
    return [loss, ...ps.map((p, i) => F.sub(p, F.mul(all[i] as Tensor, 0.1)))];
  });
  const donate = new Map([1, 2, 3, 4].map((at) => [at, { kind: "attribute" as const, index: at - 1 }]));
  const { plan } = check(graph, 10, { donate });
  assert.equal(plan.slots.filter((s) => s.kind === "donated").length, 4);
});

Deno.test("moments and parameters are updated in place however many lie between them in the results", () => {
  const many = 50;
  const graph = record((g) => {
    const step = g.parameter([]);
    const ps = Array.from(
      { length: many },
      (_, i) => [g.parameter([6, 2 + i % 2]), g.parameter([6, 2 + i % 2])] as const,
    );
    const gradients = ps.map(([p]) => g.input(p.shape.map(Number)));
    const counted = F.add(step, 1);
    const moments = ps.map(([, m], i) => F.add(F.mul(m, 0.9), F.mul(gradients[i] as Tensor, 0.1)));
    const updated = ps.map(([p], i) => F.sub(p, F.mul(F.div(moments[i] as Tensor, counted), 0.01)));
    return [counted, ...updated, ...moments];
  });
  const at = (i: number): number => i === 0 ? 0 : i <= many ? 2 * i - 1 : 2 * (i - many);
  const donate = new Map(
    Array.from({ length: 2 * many + 1 }, (_, i) => [i, { kind: "attribute" as const, index: at(i) }]),
  );
  const { plan, groups } = compileGraphToPlan(graph, { donate });
  assert.equal(plan.slots.filter((s) => s.kind === "donated").length, 2 * many + 1);
  // The count, and the updates in one launch, each of them of one parameter: what they share is a number.
  assert.deepEqual(groups.map((g) => g.kind === "foreach" ? g.members.length : g.kind), ["loops", many]);
});
