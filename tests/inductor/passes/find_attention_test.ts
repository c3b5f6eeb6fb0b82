/** Attention written out: which forms become the operator, which stay, and that results do not change. */
import assert from "node:assert/strict";
import { GraphRecorder } from "../../../src/aot_autograd/recorder.ts";
import { callOperator, type RunValue } from "../../../src/capture/mod.ts";
import { device, type DType, float16, float32 } from "../../../src/core/mod.ts";
import { type Graph, graphToText, Interpreter, rewriteDeadCode, verifyGraph } from "../../../src/graph/mod.ts";
import { einsumProducts, findAttention } from "../../../src/inductor/passes/mod.ts";
import { contiguousStride } from "../../../src/symbolic/mod.ts";
import { F, noGrad, type Tensor, tensorFrom, withMode } from "../../../src/tensor/mod.ts";
import "../../../mod.ts";

type Body = (x: readonly Tensor[]) => Tensor;

const get = (x: readonly Tensor[], i: number): Tensor => {
  const found = x[i];
  assert(found !== undefined);
  return found;
};

/** The graph of a function of CUDA tensors, every operator as it was called. */
function record(shapes: readonly (readonly number[])[], body: Body, dtype: DType): Graph {
  const r = new GraphRecorder(() => true);
  const where = device("cuda:0");
  const out = withMode(
    r,
    () =>
      body(
        shapes.map((shape, i) =>
          r.placeholder(`x${i}`, { shape, stride: contiguousStride(shape), storageOffset: 0, dtype, device: where })
        ),
      ),
  );
  r.graph.setOutput([r.nodeOf(out)]);
  return r.graph;
}

function run(graph: Graph, inputs: readonly Tensor[]): number[] {
  const interpreter = new Interpreter<RunValue>(graph, (_, args, node) => callOperator(node, args));
  const [result] = noGrad(() => interpreter.run([...inputs], new Map()));
  return [...(result as Tensor).to(float32).dataSync()].map(Number);
}

/** Rewrites, and compares with the graph as it was; the number of attentions found. */
function check(shapes: readonly (readonly number[])[], body: Body, dtype: DType = float16): number {
  const graph = record(shapes, body, dtype);
  einsumProducts(graph, new Set());
  const count = findAttention(graph, new Set());
  rewriteDeadCode(graph);
  verifyGraph(graph);
  const inputs = shapes.map((shape, n) =>
    tensorFrom(
      shape,
      Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 1.7 + n)),
      dtype,
    )
  );
  const expected = run(record(shapes, body, dtype), inputs);
  run(graph, inputs).forEach((v, i) => {
    assert.ok(Math.abs(v - (expected[i] ?? NaN)) < 0.005, `element ${i}: ${v} is not ${expected[i]}`);
  });
  const names = graph.calls.map((n) => n.target.schema.name);
  assert.equal(names.filter((n) => n === "attention").length, count);
  if (count > 0) assert.ok(!names.includes("softmax") && !names.includes("matmul"), graphToText(graph));
  return count;
}

const QKV = [[2, 3, 10, 16], [2, 3, 12, 16], [2, 3, 12, 16]] as const;
const scores = (x: readonly Tensor[]): Tensor => F.matmul(get(x, 0), F.transpose(get(x, 1), -2, -1));

Deno.test("a scale of query, key or scores, with masks, dropout that does nothing, and casts", () => {
  const bodies: Body[] = [
    (x) => F.matmul(F.softmax(F.mul(scores(x), 0.25), -1), get(x, 2)),
    (x) => F.matmul(F.softmax(F.div(scores(x), 4), 3), get(x, 2)),
    (x) => F.matmul(F.softmax(scores([F.mul(get(x, 0), 0.25), get(x, 1)]), -1), get(x, 2)),
    (x) => F.matmul(F.dropout(F.softmax(F.add(F.mul(scores(x), 0.25), get(x, 3)), -1), 0.5, false), get(x, 2)),
    (x) => F.matmul(F.softmax(F.add(get(x, 3), scores(x)), -1), get(x, 2)),
    (x) => F.matmul(F.softmax(F.add(scores(x), get(x, 3)), -1, float32).to(float16), get(x, 2)),
  ];
  bodies.forEach((body, i) => assert.equal(check([...QKV, [1, 1, 10, 12]], body), 1, `form ${i}`));
});

Deno.test("scores that are filled with -∞: masked_fill, where on either side, a causal triangle, beside a mask that is added", () => {
  const holds = (x: readonly Tensor[]): Tensor => F.gt(get(x, 3), -0.9);
  const causal = (x: readonly Tensor[]): Tensor => F.tril(F.onesLike(get(x, 3)), 2);
  const half = (x: readonly Tensor[]): Tensor => F.mul(scores(x), 0.25);
  const filled: ((x: readonly Tensor[]) => Tensor)[] = [
    (x) => F.maskedFill(half(x), F.logicalNot(holds(x)), -Infinity),
    (x) => F.where(holds(x), half(x), -Infinity),
    (x) => F.where(F.logicalNot(holds(x)), -Infinity, half(x)),
    (x) => F.maskedFill(half(x), F.eq(causal(x), 0), -Infinity),
    (x) => F.mul(F.maskedFill(scores(x), F.eq(causal(x), 0), -Infinity), 0.25),
    (x) => F.add(F.maskedFill(half(x), F.eq(causal(x), 0), -Infinity), get(x, 3)),
    (x) => F.maskedFill(F.add(half(x), get(x, 3)), F.eq(causal(x), 0), -Infinity),
  ];
  filled.forEach((body, i) => {
    const whole: Body = (x) => F.matmul(F.softmax(body(x), -1), get(x, 2));
    assert.equal(check([...QKV, [1, 1, 10, 12]], whole), 1, `form ${i}`);
  });
  const stays: ((x: readonly Tensor[]) => Tensor)[] = [
    // A number that is no -∞ takes part.
    (x) => F.maskedFill(half(x), F.eq(causal(x), 0), -5),
    // What is filled turns to +∞.
    (x) => F.mul(F.maskedFill(scores(x), F.lt(causal(x), -1), -Infinity), -0.25),
  ];
  stays.forEach((body, i) => {
    const whole: Body = (x) => F.matmul(F.softmax(body(x), -1), get(x, 2));
    assert.equal(check([...QKV, [1, 1, 10, 12]], whole), 0, `form ${i}`);
  });
});

Deno.test("sums of products in Einstein's notation, heads behind positions and before them", () => {
  const bodies: [readonly (readonly number[])[], Body][] = [
    [
      QKV,
      (x) =>
        F.einsum("bhij,bhjd->bhid", [F.softmax(F.einsum("bhid,bhjd->bhij", [get(x, 0), get(x, 1)]), -1), get(x, 2)]),
    ],
    [
      [[2, 10, 3, 16], [2, 12, 3, 16], [2, 12, 3, 16]],
      (x) =>
        F.einsum("bhij,bjhd->bihd", [
          F.softmax(F.einsum("bihd,bjhd->bhij", [get(x, 0), get(x, 1)]).mul(0.25), -1),
          get(x, 2),
        ]),
    ],
  ];
  bodies.forEach(([shapes, body], i) => assert.equal(check(shapes, body), 1, `form ${i}`));
  // What is no product of matrices stays, and stays right.
  const [a, b] = [[2, 3, 4], [2, 4, 3]] as const;
  for (const equation of ["bij,bji->b", "bij,bjk->bk", "bij,bkl->bil"]) {
    const graph = record([a, b], (x) => F.einsum(equation, [get(x, 0), get(x, 1)]), float32);
    assert.equal(einsumProducts(graph, new Set()), 0, equation);
  }
});

Deno.test("products of three dimensions, the key turned already", () => {
  const body: Body = (x) => F.bmm(F.softmax(F.bmm(get(x, 0), get(x, 1)), -1), get(x, 2));
  assert.equal(check([[6, 10, 16], [6, 16, 12], [6, 12, 32]], body), 1);
});

Deno.test("shifted windows: a mask of each window, added where images and windows are apart", () => {
  const body: Body = (x) => {
    const biased = F.add(scores(x), get(x, 3));
    const apart = F.add(F.view(biased, [2, 4, 3, 10, 10]), F.unsqueeze(F.unsqueeze(get(x, 4), 1), 0));
    return F.matmul(F.softmax(F.view(apart, [8, 3, 10, 10]), -1), get(x, 2));
  };
  const windows = [8, 3, 10, 16];
  assert.equal(check([windows, windows, windows, [1, 3, 10, 10], [4, 10, 10]], body), 1);
});

Deno.test("what is not attention, or is read by others, stays", () => {
  const stays: Body[] = [
    // The mask is scaled as well.
    (x) => F.matmul(F.softmax(F.mul(F.add(scores(x), get(x, 3)), 0.25), -1), get(x, 2)),
    // Along queries.
    (x) => F.matmul(F.softmax(scores(x), -2), get(x, 2)),
    // Probabilities that drop.
    (x) => F.matmul(F.relu(F.softmax(scores(x), -1)), get(x, 2)),
    // Probabilities are read again.
    (x) => {
      const p = F.softmax(scores(x), -1);
      return F.add(F.matmul(p, get(x, 2)), F.sum(p));
    },
    // Values are added up the other way.
    (x) => F.matmul(F.transpose(get(x, 2), -2, -1), F.transpose(F.softmax(scores(x), -1), -2, -1)),
  ];
  stays.forEach((body, i) => assert.equal(check([...QKV, [1, 1, 10, 12]], body), 0, `form ${i}`));
  assert.equal(check(QKV, (x) => F.matmul(F.softmax(scores(x), -1), get(x, 2)), float32), 0, "float32");
});
