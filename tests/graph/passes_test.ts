/** Graph text, verifier, interpreter and passes, on graphs built by hand from schemas alone. */
import assert from "node:assert/strict";
import { cpu, float16, float32, int64, VerifyError } from "../../src/core/mod.ts";
import {
  Graph,
  graphToText,
  Interpreter,
  type OpTarget,
  parseSchema,
  rewriteCommonSubexpressions,
  rewriteDeadCode,
  rewriteScalars,
  roundTo,
  type TensorMeta,
  verifyGraph,
} from "../../src/graph/mod.ts";

const op = (text: string, more: Record<string, unknown> = {}): OpTarget => ({ schema: parseSchema(text), ...more });
const add = op("aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor");
const mul = op("aten::mul.Tensor(Tensor self, Tensor other) -> Tensor");
const mulInto = op("aten::mul_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)");
const transpose = op("aten::t(Tensor(a) self) -> Tensor(a)");
const rand = op("aten::rand(SymInt[] size) -> Tensor", { isRandom: true });
const topk = op("aten::topk(Tensor self, int k, int dim=-1) -> (Tensor, Tensor)");
const full = op(
  "aten::full(SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None, Device? device=None) -> Tensor",
);

function meta(shape: number[], stride?: number[], dtype = float32): TensorMeta {
  const usual = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  return { shape, stride: stride ?? usual, storageOffset: 0, dtype, device: cpu };
}

Deno.test("graphToText() shows names, arguments that differ from their defaults, dtypes, unusual strides and several results", () => {
  const g = new Graph();
  const x = g.placeholder("x", meta([2, 3]));
  const w = g.getAttr("layer.weight", meta([3, 2]));
  const t = g.call(transpose, [w], meta([2, 3], [1, 2]));
  const s = g.call(add, [x, t, 2], meta([2, 3]));
  const p = g.call(add, [s, 1, 1], meta([2, 3]));
  const k = g.call(topk, [p, 2, 0], [meta([2, 3]), meta([2, 3], undefined, int64)]);
  const item = g.getItem(k, 1, meta([2, 3], undefined, int64));
  g.setOutput([item, p]);
  verifyGraph(g);
  assert.equal(
    graphToText(g),
    `graph {
  x: f32[2, 3] = input
  layer_weight: f32[3, 2] = attribute "layer.weight"
  t: f32[2, 3](1, 2) = aten.t.default(layer_weight)
  add: f32[2, 3] = aten.add.Tensor(x, t, alpha=2)
  add_1: f32[2, 3] = aten.add.Tensor(add, 1)
  topk: (f32[2, 3], i64[2, 3]) = aten.topk.default(add_1, 2, 0)
  getitem: i64[2, 3] = topk[1]
  return getitem, add_1
}`,
  );
});

Deno.test("verifyGraph() names the rule that is broken", () => {
  const fails = (build: (g: Graph) => void, rule: RegExp): void => {
    const g = new Graph();
    build(g);
    assert.throws(() => verifyGraph(g), (e: unknown) => e instanceof VerifyError && rule.test(e.message));
  };
  const other = new Graph().placeholder("y", meta([2]));
  fails((g) => g.placeholder("x", meta([2])), /has no output/);
  fails((g) => g.setOutput([other]), /before its definition, or belongs to another graph/);
  fails((g) => {
    const x = g.placeholder("x", meta([2]));
    g.setOutput([g.call(add, [x, x], meta([2]))]);
  }, /takes 3 arguments, has 2/);
  fails((g) => {
    const x = g.placeholder("x", meta([2]));
    g.setOutput([g.call(add, [x, "two", 1], meta([2]))]);
  }, /argument other must be Tensor, is "two"/);
  fails((g) => {
    const x = g.placeholder("x", meta([2]));
    const y = g.call(add, [x, x, 1], meta([2]));
    g.placeholder("z", meta([2]));
    g.setOutput([y]);
  }, /inputs must stand before calls/);
  fails((g) => {
    const x = g.placeholder("x", meta([2]));
    x.users.add(g.setOutput([]));
  }, /lists output as a user/);
  fails((g) => {
    const x = g.placeholder("x", meta([2], [1, 1]));
    g.setOutput([x]);
  }, /different lengths/);
});

Deno.test("Interpreter runs on any values, several results included, and drops values after their last use", () => {
  const g = new Graph();
  const x = g.placeholder("x", meta([]));
  const w = g.getAttr("w", meta([]));
  const s = g.call(add, [x, w, 10], meta([]));
  const k = g.call(topk, [s, 1, -1], [meta([]), meta([])]);
  g.setOutput([g.getItem(k, 1, meta([])), [s, 5]]);
  const seen: string[] = [];
  const interpreter = new Interpreter<number>(g, (target, args) => {
    seen.push(target.schema.name);
    const [a, b, c] = args as number[];
    return target === add ? (a ?? 0) + (b ?? 0) * (c ?? 0) : [a ?? 0, -(a ?? 0)];
  });
  assert.deepEqual(interpreter.run([1], new Map([["w", 2]])), [-21, [21, 5]]);
  assert.deepEqual(seen, ["add", "topk"]);
  assert.throws(() => interpreter.run([]), /takes 1 inputs, got 0/);
  assert.throws(() => interpreter.run([1]), /attribute w/);
});

Deno.test("rewriteDeadCode() drops chains nobody reads but keeps writes and random draws", () => {
  const g = new Graph();
  const x = g.placeholder("x", meta([2]));
  g.getAttr("unused", meta([2]));
  const a = g.call(mul, [x, x], meta([2]));
  g.call(mul, [a, a], meta([2]));
  g.call(mulInto, [x, 2], meta([2]));
  g.call(rand, [[2]], meta([2]));
  g.setOutput([x]);
  assert.equal(rewriteDeadCode(g), 3);
  verifyGraph(g);
  assert.deepEqual(g.calls.map((n) => n.target.schema.name), ["mul_", "rand"]);
});

Deno.test("rewriteCommonSubexpressions() merges equal calls, not random ones, not reads of written tensors, not two results", () => {
  const g = new Graph();
  const x = g.placeholder("x", meta([2]));
  const y = g.placeholder("y", meta([2]));
  const a = g.call(mul, [x, 2], meta([2]));
  const b = g.call(mul, [x, 2], meta([2]));
  const c = g.call(mul, [x, -0], meta([2]));
  const d = g.call(mul, [x, 0], meta([2]));
  const r1 = g.call(rand, [[2]], meta([2]));
  const r2 = g.call(rand, [[2]], meta([2]));
  const before = g.call(mul, [y, 3], meta([2]));
  const view = g.call(transpose, [y], meta([2]));
  g.call(mulInto, [view, 2], meta([2]));
  const after = g.call(mul, [y, 3], meta([2]));
  const sum = g.call(add, [b, a, 1], meta([2]));
  g.setOutput([sum, c, d, r1, r2, before, after]);
  assert.equal(rewriteCommonSubexpressions(g), 1);
  verifyGraph(g);
  assert.deepEqual(sum.args, [a, a, 1]);

  const two = new Graph();
  const p = two.placeholder("p", meta([2]));
  const first = two.call(mul, [p, 2], meta([2]));
  const second = two.call(mul, [p, 2], meta([2]));
  two.setOutput([first, second]);
  assert.equal(rewriteCommonSubexpressions(two), 0);
  assert.deepEqual(two.output.results, [first, second]);
});

Deno.test("rewriteScalars() folds constants as the dtype rounds, drops exact identities, keeps x + 0 and results", () => {
  const g = new Graph();
  const x = g.placeholder("x", meta([2]));
  const ones = g.call(full, [[2], 1, float32, cpu], meta([2]));
  const third = g.call(mul, [ones, 1 / 3], meta([2]));
  const product = g.call(mul, [x, ones], meta([2]));
  const plusZero = g.call(add, [product, 0, 1], meta([2]));
  const result = g.call(mul, [x, 1], meta([2]));
  g.setOutput([plusZero, third, result]);
  rewriteScalars(g, full);
  verifyGraph(g);
  assert.equal(
    graphToText(g),
    `graph {
  x: f32[2] = input
  full: f32[2] = aten.full.default([2], ${Math.fround(1 / 3)}, dtype=f32, device=cpu)
  add: f32[2] = aten.add.Tensor(x, 0)
  mul_2: f32[2] = aten.mul.Tensor(x, 1)
  return add, full, mul_2
}`.replace("full:", "full_1:").replace("return add, full,", "return add, full_1,"),
  );
  assert.equal(roundTo(1 / 3, float16), 0.333251953125);
});
