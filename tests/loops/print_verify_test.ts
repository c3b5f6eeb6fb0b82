/**
 * Loops print the same text every time, and the verifier names what is wrong.
 */
import assert from "node:assert/strict";
import { bool, float32, float64, VerifyError } from "../../src/core/mod.ts";
import { newBuffer } from "../../src/inductor/buffers.ts";
import {
  contraction,
  type LoopInput,
  loopToText,
  loopVar,
  ops,
  pointwise,
  reduction,
  scatter,
  type Value,
  valueToText,
  verifyLoop,
  verifyValues,
} from "../../src/loops/mod.ts";
import { add, constant, mul, symbol } from "../../src/symbolic/mod.ts";

const x = newBuffer("x", float32, constant(32));

function input(): LoopInput {
  return {
    shape: [constant(4), constant(8)],
    dtype: float32,
    load: ([i, j]) => ops.load(x, add(mul(i ?? 0, 8), j ?? 0)),
  };
}

Deno.test("loopToText() names symbols by position and shares what is used twice", () => {
  const build = (): string =>
    loopToText(pointwise([4, 8], (at) => {
      const s = ops.sin(input().load(at));
      return ops.mul(s, ops.add(s, 1));
    }));
  assert.equal(
    build(),
    `pointwise f32 [i0 < 4, i1 < 8]
  %0 = sin(x[i0*8 + i1])
  yield mul(add(%0, 1:f32), %0)`,
  );
  assert.equal(build(), build());
});

Deno.test("loopToText() does not depend on the order in which operands were made", () => {
  const [y, z] = [newBuffer("y", float32, constant(4)), newBuffer("z", float32, constant(4))];
  const text = (first: typeof y, second: typeof y): string =>
    loopToText(pointwise([4], ([i = constant(0)]) => {
      const made = [ops.cos(ops.load(first, i)), ops.cos(ops.load(second, i))];
      const [cy, cz] = first === y ? made : made.reverse();
      return ops.mul(cy ?? 1, cz ?? 1);
    }));
  const one = text(y, z);
  const [y2, z2] = [newBuffer("y", float32, constant(4)), newBuffer("z", float32, constant(4))];
  const other = loopToText(pointwise([4], ([i = constant(0)]) => {
    const cz = ops.cos(ops.load(z2, i));
    return ops.mul(cz, ops.cos(ops.load(y2, i)));
  }));
  assert.equal(one, other);
});

Deno.test("loopToText() prints reductions, contractions and scatters with gathers", () => {
  const r = reduction("sum", [4], [8], ([i], [j]) => input().load([i ?? constant(0), j ?? constant(0)]));
  assert.equal(loopToText(r), "sum f32 [i0 < 4 | r0 < 8]\n  combine x[i0*8 + r0]");
  const c = contraction({
    dtype: float32,
    accumulate: float32,
    batch: [],
    m: [4],
    n: [4],
    k: [8],
    a: ({ m, k }) => input().load([...m, ...k]),
    b: ({ n, k }) => input().load([...n, ...k]),
    out: ({ m, n }) => [...m, ...n],
  });
  assert.equal(
    loopToText(c),
    "contraction f32 [m0 < 4, n0 < 4 | k0 < 8]\n  at [m0, n0] sum x[m0*8 + k0] * x[n0*8 + k0]",
  );
  const index = newBuffer("at", float32, constant(3));
  const s = scatter("sum", input(), [3], ([i]) => ({
    target: [ops.indirect(ops.cast(ops.load(index, i ?? constant(0)), bool), constant(4)), constant(0)],
    value: ops.constant(1, float32),
  }));
  assert.match(loopToText(s), /^scatter sum f32 \[i0 < 3\]\n {2}at \[ind0, 0\] combine 1:f32$/);
});

Deno.test("verifyLoop() accepts what the constructors build", () => {
  verifyLoop(pointwise([4, 8], (at) => ops.exp(input().load(at))));
  verifyLoop(reduction("max", [4], [8], ([i], [j]) => input().load([i ?? constant(0), j ?? constant(0)])));
});

Deno.test("verifyLoop() rejects symbols of another loop and operands that depend on the wrong axes", () => {
  const stray = symbol(loopVar(8));
  assert.throws(() => verifyLoop(pointwise([4], ([i]) => input().load([i ?? constant(0), stray]))), VerifyError);
  const wrong = contraction({
    dtype: float32,
    accumulate: float32,
    batch: [],
    m: [4],
    n: [4],
    k: [8],
    a: ({ n, k }) => input().load([...n, ...k]),
    b: ({ n, k }) => input().load([...n, ...k]),
    out: ({ m, n }) => [...m, ...n],
  });
  assert.throws(() => verifyLoop(wrong), /first operand/);
});

Deno.test("verifyValues() rejects mixed dtypes and masks that are not bool", () => {
  const f = ops.load(x, constant(0));
  const d = ops.constant(2, float64);
  const mixed: Value = { kind: "pointwise", id: -1, dtype: float32, op: "add", args: [f, d] };
  assert.throws(() => verifyValues("test", [mixed], new Set()), /operands differ in dtype/);
  const masked: Value = { kind: "masked", id: -2, dtype: float32, mask: f, body: f, other: 0 };
  assert.throws(() => verifyValues("test", [masked], new Set()), /mask is not bool/);
  assert.match(valueToText(f), /^x\[0\]$/);
});

Deno.test("index() is an integer that floats and bools are converted from; verifyValues() refuses others", () => {
  const i = symbol(loopVar(8));
  for (const dtype of [float32, float64, bool]) {
    const value = ops.index(i, dtype);
    assert.equal(value.kind, "cast");
    assert.equal(value.dtype, dtype);
    const raw = { ...ops.index(i), dtype } as Value;
    assert.throws(() => verifyValues("test", [raw], new Set()), VerifyError);
  }
});
