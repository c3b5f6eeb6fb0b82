/**
 * Operators on lists are their operators on each element: results, in-place forms, what they refuse.
 */
import assert from "node:assert/strict";
import { compile, float32, type Tensor, tensor as made } from "../../mod.ts";
import { allOps, getOp } from "../../src/ops/mod.ts";
import { dispatch } from "../../src/tensor/mod.ts";

const tensor = (data: Parameters<typeof made>[0]): Tensor => made(data, { dtype: float32 });
const numbersOf = (list: readonly Tensor[]): number[][] => list.map((t) => [...t.dataSync() as Float32Array]);

function call(target: string, args: Record<string, unknown>): Tensor[] {
  return [...dispatch(getOp(`aten.${target}`), args) as readonly Tensor[]];
}

const pair = (): Tensor[] => [tensor([[1, 4], [0.25, 2]]), tensor([3, 0.5])];
const other = (): Tensor[] => [tensor([[2, 0.5], [1, 1]]), tensor([-1, 4])];

Deno.test("every operator on one list is its operator on each element", () => {
  const unary = allOps().filter((op) =>
    op.schema.name.startsWith("_foreach_") && op.functional === null && op.schema.args.length === 1 &&
    !op.schema.name.endsWith("_")
  );
  assert.ok(unary.length > 25);
  for (const op of unary) {
    const name = op.schema.name.slice("_foreach_".length);
    const expected = pair().map((x) => dispatch(getOp(`aten.${name}.default`), { self: x }) as Tensor);
    assert.deepEqual(numbersOf(call(`${op.schema.name}.default`, { self: pair() })), numbersOf(expected), name);
    if (name === "max") continue;
    const written = pair();
    assert.deepEqual(call(`${op.schema.name}_.default`, { self: written }), []);
    assert.deepEqual(numbersOf(written), numbersOf(expected), `${name}_`);
  }
});

Deno.test("operators on two lists take lists, a number, a list of numbers, a tensor", () => {
  const [self, second] = [pair(), other()];
  const cases: readonly (readonly [string, Record<string, unknown>, number[][]])[] = [
    ["_foreach_add.List", { other: second, alpha: 2 }, [[5, 5, 2.25, 4], [1, 8.5]]],
    ["_foreach_sub.Scalar", { scalar: 1 }, [[0, 3, -0.75, 1], [2, -0.5]]],
    ["_foreach_mul.ScalarList", { scalars: [2, -1] }, [[2, 8, 0.5, 4], [-3, -0.5]]],
    ["_foreach_div.Tensor", { other: tensor(0.5) }, [[2, 8, 0.5, 4], [6, 1]]],
    ["_foreach_maximum.Scalar", { scalar: 1 }, [[1, 4, 1, 2], [3, 1]]],
    ["_foreach_minimum.List", { other: second }, [[1, 0.5, 0.25, 1], [-1, 0.5]]],
    ["_foreach_clamp_min.ScalarList", { scalars: [2, 1] }, [[2, 4, 2, 2], [3, 1]]],
    ["_foreach_clamp_max.List", { other: second }, [[1, 0.5, 0.25, 1], [-1, 0.5]]],
    ["_foreach_pow.List", { exponent: second }, [[1, 2, 0.25, 2], [Math.fround(1 / 3), 0.0625]]],
    ["_foreach_pow.Scalar", { exponent: 2 }, [[1, 16, 0.0625, 4], [9, 0.25]]],
    ["_foreach_lerp.Scalar", { tensors1: second, weight: 0.5 }, [[1.5, 2.25, 0.625, 1.5], [1, 2.25]]],
    ["_foreach_lerp.List", { tensors1: second, weights: second.map((t) => t.mul(0).add(1)) }, numbersOf(second)],
    ["_foreach_addcmul.Scalar", { tensor1: second, tensor2: second, value: 1 }, [[5, 4.25, 1.25, 3], [4, 16.5]]],
    ["_foreach_addcdiv.ScalarList", { tensor1: self, tensor2: self, scalars: [1, 2] }, [[2, 5, 1.25, 3], [5, 2.5]]],
    ["_foreach_addcmul.Tensor", { tensor1: second, tensor2: second, scalars: tensor([0, 1]) }, [[1, 4, 0.25, 2], [
      4,
      16.5,
    ]]],
    ["_foreach_copy.default", { src: second }, numbersOf(second)],
  ];
  for (const [target, args, expected] of cases) {
    assert.deepEqual(numbersOf(call(target, { self, ...args })), expected, target);
    const written = pair();
    call(target.replace(".default", "_.default").replace(/(?<!_)\.(?!default)/, "_."), { self: written, ...args });
    assert.deepEqual(numbersOf(written), expected, `${target} in place`);
  }
  assert.deepEqual(numbersOf(call("_foreach_norm.Scalar", { self: [tensor([3, 4])] })), [[5]]);
  assert.deepEqual(
    numbersOf(call("_foreach_pow.ScalarAndTensor", { self: 2, exponent: [tensor([1, 3])] })),
    [[2, 8]],
  );
  assert.deepEqual(numbersOf(call("_foreach_mm.default", { self: [pair()[0]], mat2: [pair()[0]] })), [[
    2,
    12,
    0.75,
    5,
  ]]);
});

Deno.test("a compiled step writes its lists in place", () => {
  const step = compile((a: Tensor, b: Tensor, g: Tensor) => {
    call("_foreach_mul_.Scalar", { self: [a, b], scalar: 0.5 });
    call("_foreach_add_.List", { self: [a, b], other: [g, g], alpha: -1 });
  }, { fullgraph: true });
  const [a, b] = [tensor([2, 4]), tensor([6, 8])];
  step(a, b, tensor([1, 1]));
  assert.deepEqual(numbersOf([a, b]), [[0, 1], [2, 3]]);
});

Deno.test("lists of different lengths are refused", () => {
  assert.throws(
    () => call("_foreach_add.List", { self: pair(), other: [tensor([1])] }),
    { name: "TypeError", message: /_foreach_add: self has 2 tensors, other 1/ },
  );
  assert.throws(() => call("_foreach_abs.default", { self: [] }), { message: /at least one tensor/ });
});
