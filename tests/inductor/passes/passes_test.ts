/** Passes over programs with known parameters: what goes, what stays, and that results do not change. */
import assert from "node:assert/strict";
import { callOperator, type RunValue } from "../../../src/capture/mod.ts";
import { float32, int64, type StageName, withConfig } from "../../../src/core/mod.ts";
import { type Graph, Interpreter, verifyGraph } from "../../../src/graph/mod.ts";
import { freezeProgram } from "../../../src/inductor/passes/mod.ts";
import "../../../mod.ts";
import { noGrad, type Tensor, tensorFrom } from "../../../src/tensor/mod.ts";
import { type GraphBuilder, graphOf } from "../../helpers/graph_builder.ts";

const wave = (shape: readonly number[], start = 0.3, shift = 0): Tensor =>
  tensorFrom(
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 1.7 + start) + shift),
    float32,
  );

function run(graph: Graph, inputs: readonly Tensor[], attributes: ReadonlyMap<string, Tensor>): number[][] {
  const interpreter = new Interpreter<RunValue>(graph, (_, args, node) => callOperator(node, args));
  const results = noGrad(() => interpreter.run(inputs, attributes as ReadonlyMap<string, RunValue>));
  return results.map((r) => [...(r as Tensor).dataSync()].map(Number));
}

function assertNear(a: readonly number[][], b: readonly number[][]): void {
  assert.deepEqual(a.map((r) => r.length), b.map((r) => r.length));
  a.forEach((list, i) =>
    list.forEach((v, j) => {
      const w = b[i]?.[j] ?? NaN;
      assert.ok(Math.abs(v - w) <= 1e-5 * Math.max(1, Math.abs(w)), `result ${i}, element ${j}: ${v} is not ${w}`);
    })
  );
}

const targets = (graph: Graph): string[] => graph.calls.map((n) => n.target.schema.name);

/** Freezes a graph, and checks that it computes what it did; returns what is left. */
function check(
  make: () => Graph,
  attributes: ReadonlyMap<string, Tensor>,
  inputs: readonly Tensor[],
  disabled: readonly StageName[] = [],
): { readonly graph: Graph; readonly refresh: () => number; readonly again: () => void } {
  using _ = withConfig({ disabled: new Set(disabled), verify: true });
  const graph = make();
  const frozen = freezeProgram(graph, attributes);
  verifyGraph(graph);
  const again = (): void => assertNear(run(graph, inputs, frozen.attributes), run(make(), inputs, attributes));
  again();
  return { graph, again, refresh: () => frozen.refresh() };
}

const NORM = ["gamma", "beta", "mean", "variance"] as const;

/** conv2d and batch norm, then whatever `more` does with the result. */
function convolutionAndNorm(bias: boolean, channels: number, inner: number, more?: (b: GraphBuilder) => void): Graph {
  return graphOf((b) => {
    const x = b.input([2, inner, 5, 5]);
    const w = b.attribute("w", [channels, inner, 3, 3]);
    const convBias = bias ? b.attribute("b", [channels]) : null;
    const conv = b.call("aten.conv2d.default", [x, w, convBias, [1, 1], [1, 1], [1, 1], 1]);
    const [gamma, beta, mean, variance] = NORM.map((name) => b.attribute(name, [channels]));
    more?.(b);
    const norm = b.call("aten.batch_norm.default", [
      conv,
      gamma as never,
      beta as never,
      mean as never,
      variance as never,
      false,
      0.1,
      1e-5,
      true,
    ]);
    return [b.call("aten.relu.default", [norm])];
  });
}

function parametersOf(channels: number, inner: number): Map<string, Tensor> {
  return new Map([
    ["w", wave([channels, inner, 3, 3])],
    ["b", wave([channels], 1)],
    ...NORM.map((name, i) => [name, wave([channels], i, name === "variance" ? 2 : 0)] as const),
  ]);
}

Deno.test("freezeProgram() folds a batch norm into the weight of the convolution before it", () => {
  for (const bias of [true, false]) {
    const { graph } = check(() => convolutionAndNorm(bias, 4, 3), parametersOf(4, 3), [wave([2, 3, 5, 5])]);
    assert.deepEqual(targets(graph), ["conv2d", "relu"]);
  }
});

Deno.test("freezeProgram() leaves a large weight where it is, and scales the sum", () => {
  const { graph } = check(() => convolutionAndNorm(true, 128, 64), parametersOf(128, 64), [wave([2, 64, 5, 5])]);
  assert.deepEqual(targets(graph), ["conv2d", "mul", "add", "relu"]);
  assert.ok(graph.attributes.some((a) => a.path === "w"));
});

Deno.test("freezeProgram() computes constants anew when a parameter was written, and only then", () => {
  const parameters = parametersOf(4, 3);
  const { refresh, again } = check(() => convolutionAndNorm(true, 4, 3), parameters, [wave([2, 3, 5, 5])]);
  assert.equal(refresh(), 0);
  noGrad(() => parameters.get("gamma")?.mul_(3));
  assert.throws(again, /is not/, "the constants must not follow by themselves, or this test shows nothing");
  assert.equal(refresh(), 2);
  again();
  assert.equal(refresh(), 0);
});

Deno.test("freezeProgram() folds no batch norm whose statistics the graph writes, or that is told not to", () => {
  const written = (b: GraphBuilder): void => {
    b.call("aten.add_.Tensor", [b.graph.attributes.find((a) => a.path === "mean") as never, 1, 1]);
  };
  const parameters = parametersOf(4, 3);
  const graph = convolutionAndNorm(true, 4, 3, written);
  freezeProgram(graph, parameters);
  assert.ok(targets(graph).includes("batch_norm"));
  const off = check(() => convolutionAndNorm(true, 4, 3), parameters, [wave([2, 3, 5, 5])], ["batch_norm_folding"]);
  assert.ok(targets(off.graph).includes("batch_norm"));
});

/** A table of biases, looked up and turned: what swin transformers do in each block. */
const lookUp = (b: GraphBuilder, outside: (b: GraphBuilder, bias: never) => unknown): Graph["nodes"][number] => {
  const table = b.attribute("table", [5, 2]);
  const index = b.attribute("index", [9], int64);
  const rows = b.call("aten.index_select.default", [table, 0, index]);
  const turned = b.call("aten.permute.default", [b.call("aten.view.default", [rows, [3, 3, 2]]), [2, 0, 1]]);
  return outside(b, turned as never) as Graph["nodes"][number];
};
const tables = new Map([
  ["table", wave([5, 2])],
  ["index", tensorFrom([9], [0, 1, 2, 3, 4, 0, 1, 2, 3].map(BigInt), int64)],
]);

Deno.test("freezeProgram() computes what depends on parameters alone once, with the strides that the graph states", () => {
  const make = (): Graph =>
    graphOf((b) => {
      const x = b.input([2, 3, 3]);
      return [lookUp(b, (_, bias) => b.call("aten.add.Tensor", [x, b.call("aten.mul.Tensor", [bias, 2]), 1]))];
    });
  const { graph } = check(make, tables, [wave([2, 3, 3])]);
  assert.deepEqual(targets(graph), ["add"]);
  assert.deepEqual(targets(check(make, tables, [wave([2, 3, 3])], ["constant_folding"]).graph).length, 5);
});

Deno.test("freezeProgram() returns no constant: the caller may write to what it gets", () => {
  const { graph } = check(() => graphOf((b) => [lookUp(b, (_, bias) => bias)]), tables, []);
  assert.deepEqual(targets(graph), ["index_select", "view", "permute"]);
});

Deno.test("freezeProgram() keeps what draws at random, what is written, and what is cheaper to make than to read", () => {
  const make = (): Graph =>
    graphOf((b) => {
      const x = b.input([4]);
      const p = b.attribute("p", [4]);
      const doubled = b.call("aten.mul.Tensor", [p, 2]);
      const random = b.call("aten.rand_like.default", [p]);
      b.call("aten.add_.Tensor", [doubled, 1, 1]);
      const range = b.call("aten.add.Tensor", [b.call("aten.ones_like.default", [p]), 1, 1]);
      return [b.call("aten.add.Tensor", [x, doubled, 1]), random, b.call("aten.add.Tensor", [x, range, 1])];
    });
  const graph = make();
  freezeProgram(graph, new Map([["p", wave([4])]]));
  assert.ok(targets(graph).includes("rand_like"));
  assert.ok(targets(graph).includes("mul"));
});

Deno.test("freezeProgram() joins what was only split: all pieces, in order, along one dimension", () => {
  const split = (order: readonly number[], catDim: number): Graph =>
    graphOf((b) => {
      const x = b.input([6, 4]);
      const pieces = b.call("aten.split.Tensor", [b.call("aten.relu.default", [x]), 2, 0]);
      const list = order.map((i) => b.item(pieces, i));
      return [b.call("aten.neg.default", [b.call("aten.cat.default", [list, catDim])])];
    });
  const inputs = [wave([6, 4])];
  assert.deepEqual(targets(check(() => split([0, 1, 2], 0), new Map(), inputs).graph), ["relu", "neg"]);
  assert.ok(targets(check(() => split([0, 1, 2], -2), new Map(), inputs).graph).includes("neg"));
  for (const [order, dim] of [[[1, 0, 2], 0], [[0, 1], 0], [[0, 1, 2], 1]] as const) {
    assert.ok(
      targets(check(() => split(order, dim), new Map(), inputs).graph).includes("cat"),
      `${order} along ${dim}`,
    );
  }
  const off = check(() => split([0, 1, 2], 0), new Map(), inputs, ["split_joining"]);
  assert.ok(targets(off.graph).includes("cat"));
});
