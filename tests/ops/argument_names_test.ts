/** Operators that share an implementation keep ATen's names of arguments, by which exported programs pass them. */
import assert from "node:assert/strict";
import { tensor } from "../../mod.ts";
import { getOp } from "../../src/ops/mod.ts";
import { dispatch, type Tensor } from "../../src/tensor/mod.ts";

const ATEN = [
  ["aten.where.default", ["condition"]],
  ["aten.nonzero_numpy.default", ["self"]],
  ["aten._add_relu.Tensor", ["self", "other", "alpha"]],
  ["aten.special_log_softmax.default", ["self", "dim", "dtype"]],
] as const;

for (const [target, names] of ATEN) {
  Deno.test(`the arguments of ${target} are named as in ATen`, () => {
    assert.deepEqual(getOp(target).schema.args.map(({ name }) => name), names);
  });
}

Deno.test("where() of a condition alone gives positions, one vector a dimension", () => {
  const positions = (condition: Tensor): unknown =>
    (dispatch(getOp("aten.where.default"), { condition }) as readonly Tensor[]).map((t) => t.tolist());
  assert.deepEqual(positions(tensor([[true, false], [true, true]])), [[0, 1, 1], [0, 0, 1]]);
  assert.deepEqual(positions(tensor(true)), [[0]]);
  assert.deepEqual(positions(tensor([false])), [[]]);
});
