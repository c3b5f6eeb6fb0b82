/** Attention in parts: which is cut, into what, and that results do not change. */
import assert from "node:assert/strict";
import { callOperator, type RunValue } from "../../../src/capture/mod.ts";
import { cpu, float32 } from "../../../src/core/mod.ts";
import { type Argument, Graph, Interpreter, isTensorMeta, verifyGraph } from "../../../src/graph/mod.ts";
import { splitScores } from "../../../src/inductor/passes/mod.ts";
import { getOp } from "../../../src/ops/mod.ts";
import { contiguousStride } from "../../../src/symbolic/mod.ts";
import { noGrad, type Tensor, tensorFrom } from "../../../src/tensor/mod.ts";
import "../../../mod.ts";

type Shape = readonly number[];

interface Case {
  readonly query: Shape;
  readonly key: Shape;
  readonly mask?: Shape;
  readonly isCausal?: boolean;
  /** The result's strides, if it is not row-major. */
  readonly stride?: Shape;
}

/** A graph of one attention. */
function graphOf({ query, key, mask, isCausal, stride }: Case): Graph {
  const graph = new Graph();
  const meta = (shape: Shape) => ({
    shape,
    stride: contiguousStride(shape),
    storageOffset: 0,
    dtype: float32,
    device: cpu,
  });
  const [q, k, v] = [query, key, key].map((shape, i) => graph.placeholder(`x${i}`, meta(shape)));
  const m = mask === undefined ? null : graph.placeholder("mask", meta(mask));
  const op = getOp("aten.scaled_dot_product_attention.default");
  const given: Record<string, Argument | undefined> = { query: q, key: k, value: v, attnMask: m, isCausal };
  const args = op.schema.args.map((arg): Argument => given[arg.key] ?? arg.defaultValue);
  const shape = [...query.slice(0, 3), key[3] ?? 0];
  graph.setOutput([graph.call(op, args, { ...meta(shape), ...(stride === undefined ? {} : { stride }) })]);
  return graph;
}

function run(graph: Graph, inputs: readonly Tensor[]): Tensor {
  const interpreter = new Interpreter<RunValue>(graph, (_, args, node) => callOperator(node, args));
  return noGrad(() => interpreter.run([...inputs], new Map()))[0] as Tensor;
}

/** Cuts, and compares with the whole; the shapes of the parts' queries. */
function parts(given: Case): string[] {
  const graph = graphOf(given);
  assert.equal(splitScores(graph, new Set(), LIMITS), 1);
  verifyGraph(graph);
  const { query, key, mask } = given;
  const inputs = [query, key, key, ...mask === undefined ? [] : [mask]].map((shape, n) =>
    tensorFrom(
      shape,
      Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1.7 * i + n)),
      float32,
    )
  );
  const [whole, cut] = [run(graphOf(given), inputs), run(graph, inputs)];
  assert.deepEqual(cut.shape, whole.shape);
  const [a, b] = [cut.contiguous().dataSync(), whole.contiguous().dataSync()];
  for (let i = 0; i < b.length; i++) assert.ok(Math.abs(Number(a[i]) - Number(b[i])) < 1e-5, `element ${i}`);
  if (given.stride !== undefined) assert.deepEqual(cut.stride, given.stride);
  return graph.calls.filter((n) => n.target.schema.name === "scaled_dot_product_attention").map(({ args: [q] }) => {
    const value = typeof q === "object" && q !== null && "value" in q ? q.value : null;
    return isTensorMeta(value) ? value.shape.join("x") : "";
  });
}

/** As for large models, in bytes of small ones. */
const LIMITS = { least: 32 << 7, part: 16 << 7, mostParts: 16 };

Deno.test("attention is cut by samples, by heads, by rows, whatever its mask", () => {
  const wide = [4, 2, 12, 4];
  assert.deepEqual(parts({ query: wide, key: wide }), new Array(4).fill("1x2x12x4"));
  const heads = [1, 3, 19, 4];
  const turned = [19 * 12, 4, 12, 1];
  for (const mask of [[1, 1, 1, 19], [19, 19], [1, 3, 19, 19]]) {
    assert.deepEqual(parts({ query: heads, key: heads, mask, stride: turned }), new Array(3).fill("1x1x19x4"));
  }
  assert.deepEqual(parts({ query: heads, key: heads, isCausal: true }), new Array(3).fill("1x1x19x4"));
  const long = [1, 1, 34, 4];
  assert.deepEqual(parts({ query: long, key: long, mask: [34, 1] }), ["1x1x12x4", "1x1x12x4", "1x1x10x4"]);
});

Deno.test("attention with few scores stays whole, and so does what the graph writes", () => {
  const small = { query: [1, 8, 900, 4], key: [1, 8, 900, 4] };
  assert.equal(splitScores(graphOf(small), new Set()), 0);
  assert.equal(splitScores(graphOf({ query: [1, 8, 1024, 4], key: [1, 8, 1024, 4] }), new Set()), 1);
  const large = { query: [1, 3, 19, 4], key: [1, 3, 19, 4] };
  const cut = (given: Case): number => splitScores(graphOf(given), new Set(), LIMITS);
  assert.equal(cut(large), 1);
  // Rows of a causal mask are counted from the first.
  assert.equal(cut({ query: [1, 1, 34, 4], key: [1, 1, 34, 4], isCausal: true }), 0);
  assert.equal(cut({ ...large, stride: [228, 1, 12, 3] }), 0);
  const graph = graphOf(large);
  assert.equal(splitScores(graph, new Set(graph.calls), LIMITS), 0);
});
