/**
 * Elements that compiled graphs move, against the numbers that PyTorch's own compiler reaches (lower is better).
 */
import assert from "node:assert/strict";
import { withConfig } from "../../src/core/mod.ts";
import type { Argument, Node } from "../../src/graph/mod.ts";
import { compileGraphToPlan } from "../../src/inductor/compile_plan.ts";
import "../../src/ops/mod.ts";
import { int64 } from "../../src/core/mod.ts";
import { type GraphBuilder, graphOf } from "../helpers/graph_builder.ts";

interface Case {
  readonly name: string;
  /** Elements read plus written, at most. */
  readonly elements: number;
  readonly kernels: number;
  readonly body: (b: GraphBuilder) => Argument | readonly Argument[];
}

const cos = (b: GraphBuilder, x: Argument): Node => b.call("aten.cos.default", [x]);
const sin = (b: GraphBuilder, x: Argument): Node => b.call("aten.sin.default", [x]);
const add = (b: GraphBuilder, x: Argument, y: Argument): Node => b.call("aten.add.Tensor", [x, y]);
const mul = (b: GraphBuilder, x: Argument, y: Argument): Node => b.call("aten.mul.Tensor", [x, y]);
const sub = (b: GraphBuilder, x: Argument, y: Argument): Node => b.call("aten.sub.Tensor", [x, y]);
const div = (b: GraphBuilder, x: Argument, y: Argument): Node => b.call("aten.div.Tensor", [x, y]);
const mm = (b: GraphBuilder, x: Argument, y: Argument): Node => b.call("aten.mm.default", [x, y]);
const cat = (b: GraphBuilder, xs: readonly Argument[]): Node => b.call("aten.cat.default", [xs, 0]);
const sum = (b: GraphBuilder, x: Argument, dim: number, keepdim = false): Node =>
  b.call("aten.sum.dim_IntList", [x, [dim], keepdim]);
const amax = (b: GraphBuilder, x: Argument, dim: number, keepdim = false): Node =>
  b.call("aten.amax.default", [x, [dim], keepdim]);

function softmax(b: GraphBuilder, x: Argument): Node {
  const e = b.call("aten.exp.default", [sub(b, x, amax(b, x, 1, true))]);
  return div(b, e, sum(b, e, 1, true));
}

const CASES: readonly Case[] = [
  { name: "cos", elements: 20, kernels: 1, body: (b) => cos(b, b.input([10])) },
  { name: "x + y", elements: 30, kernels: 1, body: (b) => add(b, b.input([10]), b.input([10])) },
  { name: "x + y, broadcast", elements: 210, kernels: 1, body: (b) => add(b, b.input([10, 10]), b.input([10])) },
  {
    name: "x + x",
    elements: 20,
    kernels: 1,
    body: (b) => {
      const x = b.input([10]);
      return add(b, x, x);
    },
  },
  {
    name: "x + x.t()",
    elements: 200,
    kernels: 1,
    body: (b) => {
      const x = b.input([10, 10]);
      return add(b, x, b.call("aten.t.default", [x]));
    },
  },
  {
    name: "a.cos(), b.sin() + c.sin()",
    elements: 50,
    kernels: 1,
    body: (b) => {
      const [x, y, z] = [b.input([10]), b.input([10]), b.input([10])];
      return [cos(b, x), add(b, sin(b, y), sin(b, z))];
    },
  },
  { name: "sum over rows", elements: 110, kernels: 1, body: (b) => sum(b, b.input([10, 10]), 1) },
  { name: "sum over columns", elements: 110, kernels: 1, body: (b) => sum(b, b.input([10, 10]), 0) },
  {
    name: "mm",
    elements: 200,
    kernels: 1,
    body: (b) => {
      const x = b.input([10, 10]);
      return mm(b, x, x);
    },
  },
  { name: "mm of two", elements: 300, kernels: 1, body: (b) => mm(b, b.input([10, 10]), b.input([10, 10])) },
  {
    name: "cos, mm, cos",
    elements: 400,
    kernels: 2,
    body: (b) => {
      const x = cos(b, b.input([10, 10]));
      return cos(b, mm(b, x, x));
    },
  },
  {
    name: "cat of two computed",
    elements: 40,
    kernels: 1,
    body: (b) => cat(b, [sin(b, b.input([10])), sin(b, b.input([10]))]),
  },
  { name: "cat of two", elements: 40, kernels: 1, body: (b) => cat(b, [b.input([10]), b.input([10])]) },
  {
    name: "cat of two that share their input",
    elements: 30,
    kernels: 1,
    body: (b) => {
      const x = b.input([10]);
      return cat(b, [cos(b, x), sin(b, x)]);
    },
  },
  {
    name: "cat of a product",
    elements: 400,
    kernels: 2,
    body: (b) => {
      const x = b.input([10, 10]);
      return cat(b, [mm(b, x, x), sin(b, b.input([10, 10]))]);
    },
  },
  {
    name: "cat of three, then + 10",
    elements: 600,
    kernels: 1,
    body: (b) => {
      const parts = [1, 2, 3].map((n) => add(b, b.input([10, 10]), n));
      return add(b, cat(b, parts), 10);
    },
  },
  {
    name: "cat of five, then + 10",
    elements: 2000,
    kernels: 2,
    body: (b) => {
      const parts = [1, 2, 3, 4, 5].map((n) => add(b, b.input([10, 10]), n));
      return add(b, cat(b, parts), 10);
    },
  },
  {
    name: "horizontal reduction and pointwise",
    elements: 210,
    kernels: 1,
    body: (b) => {
      const x = b.input([10, 10]);
      return [sum(b, x, 1), cos(b, x)];
    },
  },
  {
    name: "horizontal reduction and reduction",
    elements: 120,
    kernels: 1,
    body: (b) => {
      const x = b.input([10, 10]);
      return [sum(b, x, 1), amax(b, x, 1)];
    },
  },
  {
    name: "reduction, then pointwise with another input",
    elements: 120,
    kernels: 1,
    body: (b) => add(b, cos(b, b.input([10])), sum(b, b.input([10, 10]), 1)),
  },
  {
    name: "column reduction, then pointwise",
    elements: 120,
    kernels: 1,
    body: (b) => add(b, cos(b, b.input([10])), sum(b, b.input([10, 10]), 0)),
  },
  {
    name: "row sum times a broadcast vector",
    elements: 210,
    kernels: 1,
    body: (b) => mul(b, sum(b, b.input([10, 10]), 1, true), cos(b, b.input([10]))),
  },
  {
    name: "vertical pointwise, sum, pointwise",
    elements: 110,
    kernels: 1,
    body: (b) => cos(b, sum(b, cos(b, b.input([10, 10])), 1)),
  },
  {
    name: "norm chain",
    elements: 200,
    kernels: 1,
    body: (b) => {
      let x: Node = b.input([10, 10]);
      for (let i = 0; i < 3; i++) x = mul(b, x, sum(b, x, 1, true));
      return x;
    },
  },
  { name: "softmax", elements: 200, kernels: 1, body: (b) => softmax(b, b.input([10, 10])) },
  { name: "double softmax", elements: 200, kernels: 1, body: (b) => softmax(b, softmax(b, b.input([10, 10]))) },
  {
    name: "softmax backward",
    elements: 300,
    kernels: 1,
    body: (b) => {
      const [grad, out] = [b.input([10, 10]), b.input([10, 10])];
      const t = mul(b, grad, out);
      return sub(b, t, mul(b, out, sum(b, t, 1, true)));
    },
  },
  {
    name: "row sums and column sums",
    elements: 120,
    kernels: 1,
    body: (b) => {
      const x = b.input([10, 10]);
      return [sum(b, x, 1), sum(b, x, 0)];
    },
  },
  {
    name: "row sums, and the sum of all",
    elements: 111,
    kernels: 1,
    body: (b) => {
      const x = b.input([10, 10]);
      return [sum(b, x, 1), b.call("aten.sum.default", [x])];
    },
  },
  {
    name: "softmax and its column sums",
    elements: 210,
    kernels: 1,
    body: (b) => {
      const y = softmax(b, b.input([10, 10]));
      return [y, sum(b, y, 0)];
    },
  },
  {
    // Logits, labels with the logit that each picks, and the loss.
    name: "cross entropy with its mean",
    elements: 200 + 20 + 1,
    kernels: 1,
    body: (b) => {
      const [x, t] = [b.input([20, 10]), b.input([20, 1], int64)];
      const most = amax(b, x, 1, true);
      const total = b.call("aten.log.default", [sum(b, b.call("aten.exp.default", [sub(b, x, most)]), 1, true)]);
      const picked = sub(b, b.call("aten.gather.default", [x, 1, t]), most);
      return div(b, b.call("aten.sum.default", [sub(b, total, picked)]), 20);
    },
  },
  {
    // Gradient of the output, input, statistics and weight; the three gradients.
    name: "layer norm backward",
    elements: 2 * 200 + 2 * 20 + 10 + 200 + 2 * 10,
    kernels: 1,
    body: (b) => {
      const [dy, x, mean, inverse] = [b.input([20, 10]), b.input([20, 10]), b.input([20, 1]), b.input([20, 1])];
      const weight = b.input([10]);
      const normal = mul(b, sub(b, x, mean), inverse);
      const g = mul(b, dy, weight);
      const rows = (t: Node): Node => mul(b, sum(b, t, 1, true), 0.1);
      const inner = sub(b, sub(b, g, rows(g)), mul(b, normal, rows(mul(b, g, normal))));
      return [mul(b, inner, inverse), sum(b, mul(b, dy, normal), 0), sum(b, dy, 0)];
    },
  },
  {
    name: "neighbours: a small reduction under another one",
    elements: 90,
    kernels: 1,
    body: (b) => {
      const d = sub(b, b.input([10, 1, 4]), b.input([1, 10, 4]));
      return amax(b, sum(b, mul(b, d, d), -1), 1);
    },
  },
  {
    name: "reduction of constants",
    elements: 10,
    kernels: 1,
    body: (b) => sum(b, add(b, b.call("aten.ones.default", [[10]]), b.call("aten.ones.default", [[10, 10]])), -1),
  },
  {
    name: "a.add(c), b.add(a), two results",
    elements: 500,
    kernels: 1,
    body: (b) => {
      const [x, y, z] = [b.input([10, 10]), b.input([10, 10]), b.input([10, 10])];
      const first = add(b, x, z);
      return [first, add(b, y, first)];
    },
  },
  {
    name: "which side of a product to store, 1",
    elements: 700,
    kernels: 2,
    body: (b) => {
      const c = cos(b, b.input([10, 10]));
      return add(b, mm(b, c, c), cos(b, c));
    },
  },
  {
    name: "which side of a product to store, 2",
    elements: 620,
    kernels: 2,
    body: (b) => {
      const c = cos(b, b.input([10, 10]));
      return add(b, mm(b, c, c), sum(b, c, 1));
    },
  },
  {
    name: "which side of a product to store, 3",
    elements: 800,
    kernels: 2,
    body: (b) => {
      const x = b.input([10, 10]);
      const c = cos(b, x);
      const e = add(b, c, x);
      return [add(b, mm(b, c, c), e), e];
    },
  },
  {
    name: "a + b.t()",
    elements: 300,
    kernels: 1,
    body: (b) => add(b, b.input([10, 10]), b.call("aten.t.default", [b.input([10, 10])])),
  },
  {
    name: "three permutations",
    elements: 4000,
    kernels: 1,
    body: (b) => {
      const [x, y, z] = [b.input([10, 10, 10]), b.input([10, 10, 10]), b.input([10, 10, 10])];
      const first = add(b, x, b.call("aten.permute.default", [y, [1, 2, 0]]));
      return add(b, first, b.call("aten.permute.default", [z, [2, 0, 1]]));
    },
  },
  {
    name: "gather, cos",
    elements: 320,
    kernels: 1,
    body: (b) => cos(b, b.call("aten.index_select.default", [b.input([10, 10]), 0, b.input([20], int64)])),
  },
  {
    name: "gather, cos, sum",
    elements: 140,
    kernels: 1,
    body: (b) => {
      const g = b.call("aten.index_select.default", [b.input([10, 10]), 0, b.input([20], int64)]);
      return sum(b, cos(b, g), 1);
    },
  },
];

for (const { name, elements, kernels, body } of CASES) {
  Deno.test(`cost: ${name} moves at most ${elements} elements in ${kernels} kernel${kernels === 1 ? "" : "s"}`, () => {
    using _ = withConfig({ verify: true });
    const { counters } = compileGraphToPlan(graphOf(body));
    assert.ok(counters.elementsMoved <= elements, `moves ${counters.elementsMoved}`);
    assert.ok(counters.kernels <= kernels, `takes ${counters.kernels} kernels`);
  });
}
