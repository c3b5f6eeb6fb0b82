import assert from "node:assert/strict";
import { bool, int64, int8 } from "../../src/core/mod.ts";
import { evaluatePrimitive, roundToDtype } from "../../src/loops/mod.ts";

Deno.test("bitwiseNot on bool is logical negation", () => {
  assert.equal(evaluatePrimitive("bitwiseNot", [1], bool), 0);
  assert.equal(evaluatePrimitive("bitwiseNot", [0], bool), 1);
});

Deno.test("integers wrap around, int64 beyond the safe range stays exact", () => {
  assert.equal(evaluatePrimitive("add", [127, 1], int8), -128);
  assert.equal(evaluatePrimitive("mul", [2 ** 40, 2 ** 30], int64), 0);
  assert.equal(roundToDtype(2n ** 63n - 1n, int64), 2n ** 63n - 1n);
});
