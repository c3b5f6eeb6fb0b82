/** Odd numbers of channels are filled up between convolutions, and nothing that the caller sees changes. */
import assert from "node:assert/strict";
import { callOperator, type RunValue } from "../../../src/capture/mod.ts";
import { type DType, float16, float32 } from "../../../src/core/mod.ts";
import { type Graph, Interpreter, rewriteDeadCode, verifyGraph, writtenNodes } from "../../../src/graph/mod.ts";
import { computeStored, FrozenConstants, packWeights, padChannels } from "../../../src/inductor/passes/mod.ts";
import "../../../mod.ts";
import { noGrad, type Tensor, tensorFrom } from "../../../src/tensor/mod.ts";
import { graphOf } from "../../helpers/graph_builder.ts";

const wave = (shape: readonly number[], dtype: DType, step: number): Tensor =>
  tensorFrom(
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => 0.3 * Math.sin(i * step)),
    dtype,
  );

/** A stem, a residual block with its norm behind the convolution, a wider convolution, and a mean that knows of 18 channels only. */
function network(): Graph {
  return graphOf((b) => {
    const x = b.input([2, 16, 6, 6], float16);
    const conv = (from: Parameters<typeof b.call>[1][number], name: string, shape: readonly number[]) =>
      b.call("aten.conv2d.default", [from, b.attribute(name, shape, float16), null, [1, 1], [1, 1], [1, 1], 1]);
    const stem = b.call("aten.relu_.default", [conv(x, "w1", [18, 16, 3, 3])]);
    const scaled = b.call("aten.mul.Tensor", [
      conv(stem, "w2", [18, 18, 3, 3]),
      b.attribute("scale", [18, 1, 1], float32),
    ]);
    const half = b.call("aten._to_copy.default", [scaled, float16, null, null, null, false, null]);
    const block = b.call("aten.relu.default", [b.call("aten.add_.Tensor", [half, stem, 1])]);
    const wide = conv(block, "w3", [8, 18, 3, 3]);
    const mean = b.call("aten.mean.dim", [block, [2, 3], false, null]);
    return [wide, mean];
  });
}

const attributes = new Map([
  ["w1", wave([18, 16, 3, 3], float16, 1.7)],
  ["w2", wave([18, 18, 3, 3], float16, 1.3)],
  ["w3", wave([8, 18, 3, 3], float16, 0.9)],
  ["scale", wave([18, 1, 1], float32, 0.7)],
]);

function run(graph: Graph, constants: ReadonlyMap<string, Tensor>): number[][] {
  const interpreter = new Interpreter<RunValue>(graph, (_, args, node) => callOperator(node, args));
  const input = wave([2, 16, 6, 6], float16, 2.1);
  const results = noGrad(() => interpreter.run([input], constants as ReadonlyMap<string, RunValue>));
  return results.map((result) => [...(result as Tensor).dataSync()].map(Number));
}

Deno.test("padChannels() fills channels up to whole vectors and changes no result", () => {
  const graph = network();
  const constants = new FrozenConstants(graph, attributes);
  const written = writtenNodes(graph);
  assert.ok(padChannels(graph, constants, written) > 0);
  packWeights(graph, constants, written);
  rewriteDeadCode(graph);
  verifyGraph(graph);
  const channels = graph.calls.filter((n) => n.target.schema.name === "conv2d").map((n) =>
    (n.value as { shape: readonly number[] }).shape[1]
  );
  assert.deepEqual(channels, [24, 24, 8]);
  const [found, expected] = [run(graph, constants.attributes), run(network(), attributes)];
  found.forEach((list, r) => {
    assert.equal(list.length, expected[r]?.length);
    list.forEach((v, i) => {
      const other = expected[r]?.[i] ?? NaN;
      assert.ok(Math.abs(v - other) <= 4e-3 * Math.max(1, Math.abs(other)), `${r}, ${i}: ${v} is not ${other}`);
    });
  });
});

Deno.test("padChannels() writes down how its constants are made", () => {
  const graph = network();
  const constants = new FrozenConstants(graph, attributes);
  padChannels(graph, constants, writtenNodes(graph));
  const read = (path: string): Tensor => attributes.get(path) as Tensor;
  assert.ok(constants.stored.size >= 4);
  for (const [path, recipe] of constants.stored) {
    assert.ok(recipe !== null, path);
    const [again, made] = [noGrad(() => computeStored(recipe, read)), constants.read(path)];
    assert.deepEqual(again.stride, made.stride);
    assert.deepEqual([...again.dataSync()], [...made.dataSync()]);
  }
});

Deno.test("padChannels() leaves what no convolution reads, and what is returned", () => {
  const graph = graphOf((b) => {
    const x = b.input([2, 16, 6, 6], float16);
    const conv = (name: string) =>
      b.call("aten.conv2d.default", [x, b.attribute(name, [18, 16, 1, 1], float16), null, [1, 1], [0, 0], [1, 1], 1]);
    return [b.call("aten.relu.default", [conv("w1")]), conv("w2")];
  });
  const weights = new Map(["w1", "w2"].map((name) => [name, wave([18, 16, 1, 1], float16, 1.1)] as const));
  assert.equal(padChannels(graph, new FrozenConstants(graph, weights), writtenNodes(graph)), 0);
});
