/** Padding of convolutions in words becomes numbers where both sides are the same. */
import assert from "node:assert/strict";
import { callOperator, type RunValue } from "../../../src/capture/mod.ts";
import { float32 } from "../../../src/core/mod.ts";
import { type Graph, Interpreter, verifyGraph, writtenNodes } from "../../../src/graph/mod.ts";
import { numberPadding } from "../../../src/inductor/passes/mod.ts";
import "../../../mod.ts";
import { noGrad, type Tensor } from "../../../src/tensor/mod.ts";
import { graphOf } from "../../helpers/graph_builder.ts";
import { wave } from "../../helpers/wave.ts";

/** One after the other: an odd window with gaps, an even window, and no padding in steps of two. */
function network(): Graph {
  return graphOf((b) => {
    const conv = (
      from: Parameters<typeof b.call>[1][number],
      name: string,
      shape: number[],
      rest: [number, string, number],
    ) => {
      const [step, word, gap] = rest;
      return b.call("aten.conv2d.padding", [from, b.attribute(name, shape, float32), null, [step, step], word, [
        gap,
        gap,
      ], 1]);
    };
    const same = conv(b.input([1, 2, 9, 8], float32), "w1", [3, 2, 3, 5], [1, "same", 2]);
    const even = conv(same, "w2", [3, 3, 2, 3], [1, "same", 1]);
    return [conv(even, "w3", [2, 3, 3, 3], [2, "valid", 1])];
  });
}

function run(graph: Graph): Tensor {
  const interpreter = new Interpreter<RunValue>(graph, (_, args, node) => callOperator(node, args));
  const attributes = new Map<string, RunValue>([
    ["w1", wave([3, 2, 3, 5], 1.7, float32)],
    ["w2", wave([3, 3, 2, 3], 1.3, float32)],
    ["w3", wave([2, 3, 3, 3], 0.9, float32)],
  ]);
  return noGrad(() => interpreter.run([wave([1, 2, 9, 8], 2.1, float32)], attributes))[0] as Tensor;
}

Deno.test("numberPadding() writes numbers where both sides are padded alike, and changes no result", () => {
  const graph = network();
  assert.equal(numberPadding(graph, writtenNodes(graph)), 2);
  verifyGraph(graph);
  const padding = graph.calls.map(({ target, args }) => [target.schema.target, args[4]]);
  assert.deepEqual(padding, [["aten.conv2d.default", [2, 4]], ["aten.conv2d.padding", "same"], ["aten.conv2d.default", [
    0,
    0,
  ]]]);
  assert.deepEqual([...run(graph).dataSync()], [...run(network()).dataSync()]);
});
