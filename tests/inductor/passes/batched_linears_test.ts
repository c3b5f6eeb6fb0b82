/** Layers between transposes are batched products without copies, weights with odd rows get longer ones, and nothing that the caller sees changes. */
import assert from "node:assert/strict";
import { callOperator, type RunValue } from "../../../src/capture/mod.ts";
import { type DType, float16, float32 } from "../../../src/core/mod.ts";
import { type Graph, Interpreter, rewriteDeadCode, verifyGraph, writtenNodes } from "../../../src/graph/mod.ts";
import { batchLinears, computeStored, FrozenConstants, padRows } from "../../../src/inductor/passes/mod.ts";
import "../../../mod.ts";
import { noGrad, type Tensor, tensorFrom } from "../../../src/tensor/mod.ts";
import { graphOf } from "../../helpers/graph_builder.ts";

const [BATCH, TOKENS, WIDTH, HIDDEN] = [2, 68, 64, 72];

const wave = (shape: readonly number[], step: number, dtype: DType): Tensor =>
  tensorFrom(
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => 0.3 * Math.sin(i * step)),
    dtype,
  );

/** Two layers that mix tokens, as MLP-Mixer has them, and one that does not. */
function mixer(dtype: DType): Graph {
  return graphOf((b) => {
    const x = b.input([BATCH, TOKENS, WIDTH], dtype);
    const linear = (from: Parameters<typeof b.call>[1][number], name: string, sizes: readonly number[]) =>
      b.call("aten.linear.default", [
        from,
        b.attribute(`${name}w`, sizes, dtype),
        b.attribute(`${name}b`, sizes.slice(0, 1), dtype),
      ]);
    const turned = b.call("aten.transpose.int", [x, 1, 2]);
    const hidden = b.call("aten.relu.default", [linear(turned, "a", [HIDDEN, TOKENS])]);
    const mixed = b.call("aten.dropout.default", [linear(hidden, "b", [TOKENS, HIDDEN]), 0.5, false]);
    const sum = b.call("aten.add.Tensor", [x, b.call("aten.transpose.int", [mixed, -1, -2]), 1]);
    return [sum, linear(sum, "c", [WIDTH, WIDTH])];
  });
}

const attributesOf = (dtype: DType): Map<string, Tensor> =>
  new Map([
    ["aw", wave([HIDDEN, TOKENS], 1.7, dtype)],
    ["ab", wave([HIDDEN], 0.7, dtype)],
    ["bw", wave([TOKENS, HIDDEN], 1.3, dtype)],
    ["bb", wave([TOKENS], 2.7, dtype)],
    ["cw", wave([WIDTH, WIDTH], 0.9, dtype)],
    ["cb", wave([WIDTH], 0.2, dtype)],
  ]);

function run(graph: Graph, constants: ReadonlyMap<string, Tensor>, dtype: DType): number[][] {
  const interpreter = new Interpreter<RunValue>(graph, (_, args, node) => callOperator(node, args));
  const results = noGrad(() =>
    interpreter.run([wave([BATCH, TOKENS, WIDTH], 2.1, dtype)], constants as ReadonlyMap<string, RunValue>)
  );
  return results.map((result) => [...(result as Tensor).contiguous().dataSync()].map(Number));
}

Deno.test("layers between transposes become batched products, whose weights have whole vectors for rows", () => {
  const attributes = attributesOf(float16);
  const graph = mixer(float16);
  const constants = new FrozenConstants(graph, attributes);
  assert.equal(padRows(graph, constants, writtenNodes(graph)), 1);
  assert.equal(batchLinears(graph), 2);
  rewriteDeadCode(graph);
  verifyGraph(graph);
  const names = graph.calls.map((n) => n.target.schema.name);
  assert.equal(names.filter((n) => n === "bmm").length, 2);
  assert.equal(names.filter((n) => n === "linear").length, 1);
  assert.ok(!names.includes("dropout"));
  const [found, expected] = [run(graph, constants.attributes, float16), run(mixer(float16), attributes, float16)];
  found.forEach((list, r) => {
    assert.equal(list.length, expected[r]?.length);
    list.forEach((v, i) => {
      const other = expected[r]?.[i] ?? NaN;
      assert.ok(Math.abs(v - other) <= 4e-3 * Math.max(1, Math.abs(other)), `${r}, ${i}: ${v} is not ${other}`);
    });
  });
  // A later process makes the same constants from the parameters.
  for (const [path, recipe] of constants.stored) {
    assert.ok(recipe !== null);
    const again = computeStored(recipe, (source) => attributes.get(source) ?? assert.fail(source));
    assert.deepEqual(again.stride, constants.attributes.get(path)?.stride);
    assert.deepEqual([...again.dataSync()], [...constants.attributes.get(path)?.dataSync() ?? []]);
  }
});

Deno.test("layers of float32, and transposed results that others read as they are, stay", () => {
  const wide = mixer(float32);
  assert.equal(padRows(wide, new FrozenConstants(wide, attributesOf(float32)), writtenNodes(wide)), 0);
  assert.equal(batchLinears(wide), 0);
  const graph = graphOf((b) => {
    const x = b.input([BATCH, WIDTH, HIDDEN], float16);
    const y = b.call("aten.linear.default", [x, b.attribute("bw", [TOKENS, HIDDEN], float16), null]);
    return [b.call("aten.transpose.int", [y, 1, 2]), y];
  });
  assert.equal(batchLinears(graph), 0);
});
