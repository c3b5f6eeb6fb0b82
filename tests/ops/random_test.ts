/** Random operators are functions of state and position, with the distributions they claim. */
import assert from "node:assert/strict";
import { bfloat16, type DType, float16, float32, float64, int64 } from "../../src/core/mod.ts";
import { getOp } from "../../src/ops/mod.ts";
import { dispatch, full, Tensor, tensor } from "../../src/tensor/mod.ts";

function call(target: string, args: Readonly<Record<string, unknown>>): Tensor {
  return dispatch(getOp(target), args) as Tensor;
}

const stateOf = (seed: number, offset: number): Tensor => tensor([seed, offset], { dtype: int64 });

function numbers(t: Tensor): number[] {
  return Array.from(t.to(float64).dataSync() as Float64Array);
}

Deno.test("philox_uniform() depends on seed, offset and position only", () => {
  const draw = (seed: number, offset: number, size: number[]): number[] =>
    numbers(call("tessera.philox_uniform.default", { state: stateOf(seed, offset), size }));
  assert.deepEqual(draw(1, 2, [12]), draw(1, 2, [3, 4]));
  assert.deepEqual(draw(1, 2, [20]).slice(0, 12), draw(1, 2, [12]));
  assert.notDeepEqual(draw(1, 2, [12]), draw(1, 3, [12]));
  assert.notDeepEqual(draw(1, 2, [12]), draw(2, 2, [12]));
});

for (const dtype of [float32, float64, float16, bfloat16] as DType[]) {
  Deno.test(`philox_uniform() of ${dtype.name} lies in [0, 1) with mean 1/2 and variance 1/12`, () => {
    const x = numbers(call("tessera.philox_uniform.default", { state: stateOf(7, 0), size: [20000], dtype }));
    assert.ok(x.every((v) => v >= 0 && v < 1));
    const mean = x.reduce((a, b) => a + b) / x.length;
    const variance = x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length;
    assert.ok(Math.abs(mean - 0.5) < 0.01, `mean ${mean}`);
    assert.ok(Math.abs(variance - 1 / 12) < 0.005, `variance ${variance}`);
  });
}

Deno.test("philox_normal() has mean 0, variance 1 and light tails", () => {
  const x = numbers(call("tessera.philox_normal.default", { state: stateOf(7, 1), size: [20000] }));
  const mean = x.reduce((a, b) => a + b) / x.length;
  const variance = x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length;
  assert.ok(Math.abs(mean) < 0.03 && Math.abs(variance - 1) < 0.05, `${mean}, ${variance}`);
  assert.ok(x.every((v) => Number.isFinite(v) && Math.abs(v) < 6));
});

Deno.test("philox_randint() covers its range evenly, negative bounds and wide ranges too", () => {
  const x = numbers(call("tessera.philox_randint.default", { state: stateOf(3, 0), low: -2, high: 3, size: [5000] }));
  for (let v = -2; v < 3; v++) assert.ok(Math.abs(x.filter((n) => n === v).length - 1000) < 150, String(v));
  const wide = numbers(
    call("tessera.philox_randint.default", { state: stateOf(3, 0), low: 0, high: 2 ** 40, size: [200] }),
  );
  assert.ok(wide.every((v) => v >= 0 && v < 2 ** 40) && wide.some((v) => v > 2 ** 39));
  assert.throws(
    () => call("tessera.philox_randint.default", { state: stateOf(3, 0), low: 2, high: 2, size: [1] }),
    { name: "RangeError", message: /\[2, 2\) is empty/ },
  );
});

Deno.test("advance_rng_() adds to the offset in place", () => {
  const state = stateOf(5, 1);
  call("tessera.advance_rng_.default", { state });
  call("tessera.advance_rng_.default", { state, by: 3 });
  assert.deepEqual(state.toArray(), [5, 5]);
});

Deno.test("dropout_with_state() drops a share p and scales the rest", () => {
  const x = call("tessera.dropout_with_state.default", { input: full([10000], 1), state: stateOf(1, 1), p: 0.25 });
  const kept = numbers(x).filter((v) => v !== 0);
  assert.ok(kept.every((v) => Math.abs(v - 4 / 3) < 1e-6));
  assert.ok(Math.abs(kept.length - 7500) < 150, String(kept.length));
  assert.throws(
    () => call("tessera.dropout_with_state.default", { input: full([1], 1), state: stateOf(1, 1), p: 1.5 }),
    { name: "RangeError", message: /p is 1.5/ },
  );
});

Deno.test("philox_bernoulli() follows each element's probability", () => {
  const probs = tensor([0, 1, 0.5]).unsqueeze(1).expand([3, 2000]).contiguous();
  const sums = call("tessera.philox_bernoulli.default", { state: stateOf(9, 9), probs }).sum(1).toArray() as number[];
  assert.equal(sums[0], 0);
  assert.equal(sums[1], 2000);
  assert.ok(Math.abs((sums[2] ?? 0) - 1000) < 100);
});

Deno.test("random operators refuse a state that is none", () => {
  assert.throws(() => call("tessera.philox_uniform.default", { state: tensor([1.5, 2]), size: [1] }), {
    name: "TypeError",
    message: /state must be int64\[2\]/,
  });
});
