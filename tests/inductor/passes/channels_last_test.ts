/** Convolutions with channels innermost: packed weights compute what they did, and memory orders go through views and elementwise operators. */
import assert from "node:assert/strict";
import { callOperator, type RunValue } from "../../../src/capture/mod.ts";
import { type DType, float16, float32 } from "../../../src/core/mod.ts";
import { type Graph, Interpreter, verifyGraph, writtenNodes } from "../../../src/graph/mod.ts";
import { dimOrders } from "../../../src/inductor/layouts.ts";
import { FrozenConstants, packWeights } from "../../../src/inductor/passes/mod.ts";
import "../../../mod.ts";
import { noGrad, type Tensor, tensorFrom } from "../../../src/tensor/mod.ts";
import { ShapeEnv } from "../../../src/capture/shape_env.ts";
import { graphOf } from "../../helpers/graph_builder.ts";

const wave = (shape: readonly number[], dtype: DType): Tensor =>
  tensorFrom(shape, Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 1.7)), dtype);

function run(graph: Graph, input: Tensor, attributes: ReadonlyMap<string, Tensor>): number[] {
  const interpreter = new Interpreter<RunValue>(graph, (_, args, node) => callOperator(node, args));
  const [result] = noGrad(() => interpreter.run([input], attributes as ReadonlyMap<string, RunValue>));
  return [...(result as Tensor).dataSync()].map(Number);
}

function convolution(input: readonly number[], weight: readonly number[], groups: number, dtype: DType): () => Graph {
  return () =>
    graphOf((b) => {
      const x = b.input(input, dtype);
      const w = b.attribute("w", weight, dtype);
      return [b.call("aten.conv2d.default", [x, w, null, [1, 1], [1, 1], [1, 1], groups])];
    });
}

for (
  const [name, input, weight, groups, stride, dtype] of [
    ["lays a weight out with channels innermost", [2, 16, 5, 5], [8, 16, 3, 3], 1, [144, 1, 48, 16], float32],
    ["lays a depthwise weight out with channels innermost", [1, 6, 5, 5], [6, 1, 3, 3], 6, [1, 6, 18, 6], float32],
    ["gives images of three channels five of zeros", [1, 3, 6, 6], [4, 3, 3, 3], 1, [72, 1, 24, 8], float16],
  ] as const
) {
  Deno.test(`packWeights() ${name}`, () => {
    const attributes = new Map([["w", wave(weight, dtype)]]);
    const make = convolution(input, weight, groups, dtype);
    const graph = make();
    const constants = new FrozenConstants(graph, attributes);
    assert.equal(packWeights(graph, constants, writtenNodes(graph)), 1);
    verifyGraph(graph);
    const packed = constants.read("frozen_0");
    assert.deepEqual(
      packed.stride.filter((_, d) => Number(packed.shape[d]) > 1),
      stride.filter((_, d) => Number(packed.shape[d]) > 1),
    );
    const x = wave(input, dtype);
    const [a, b] = [run(graph, x, constants.attributes), run(make(), x, attributes)];
    assert.equal(a.length, b.length);
    a.forEach((v, i) =>
      assert.ok(Math.abs(v - (b[i] ?? NaN)) <= 2e-3 * Math.max(1, Math.abs(v)), `${i}: ${v} is not ${b[i]}`)
    );
  });
}

const images = new ShapeEnv().createSize(7, { min: 2, max: 1000 });

for (const [name, batch] of [["", 2], [", whose number of images may be a symbol", images]] as const) {
  Deno.test(`dimOrders() follows channels through views, copies and elementwise operators${name}`, () => {
    const graph = graphOf((b) => {
      const x = b.input([batch, 8, 4, 4]);
      const w = b.input([16, 8, 3, 3]);
      const conv = b.call("tessera.conv.default", [x, w, [4, 4], [1, 1], [1, 1], [1, 1], 1]);
      const relu = b.call("aten.relu.default", [conv]);
      const flat = b.call("aten.view.default", [relu, [batch, 16, 16]]);
      const rows = b.call("aten.transpose.int", [flat, 1, 2]);
      const tokens = b.call("aten.relu.default", [rows]);
      const last = b.call("aten.permute.default", [relu, [0, 2, 3, 1]]);
      return [tokens, b.call("aten.relu.default", [last])];
    });
    const orders = dimOrders(graph);
    const found = graph.calls.map((node) => [node.target.schema.name, orders.get(node) ?? null]);
    assert.deepEqual(found, [
      ["conv", [0, 2, 3, 1]],
      ["relu", [0, 2, 3, 1]],
      ["view", null],
      ["transpose", null],
      // Tokens of channels lie in rows already.
      ["relu", null],
      ["permute", null],
      ["relu", null],
    ]);
  });
}

Deno.test("packWeights() lays weights out where the number of images is a symbol", () => {
  const graph = graphOf((b) => {
    const w = b.attribute("w", [8, 16, 3, 3]);
    return [b.call("aten.conv2d.default", [b.input([images, 16, 5, 5]), w, null, [1, 1], [1, 1], [1, 1], 1])];
  });
  const constants = new FrozenConstants(graph, new Map([["w", wave([8, 16, 3, 3], float32)]]));
  assert.equal(packWeights(graph, constants, writtenNodes(graph)), 1);
  assert.deepEqual(constants.read("frozen_0").stride, [144, 1, 48, 16]);
});

Deno.test("dimOrders() leaves graphs without convolutions as they are", () => {
  const graph = graphOf((
    b,
  ) => [b.call("aten.relu.default", [b.call("aten.transpose.int", [b.input([2, 3, 4]), 1, 2])])]);
  assert.equal(dimOrders(graph).size, 0);
});
