/** Arithmetic against PyTorch's semantics: promotion, integer division, signed zeros, overloads with scalars, error texts. */
import assert from "node:assert/strict";
import { bfloat16, bool, float16, float32, float64, int32, int64, uint8 } from "../../src/core/mod.ts";
import { findOp } from "../../src/ops/mod.ts";
import { dispatch, Tensor, tensor } from "../../src/tensor/mod.ts";
import "../../src/autograd/mod.ts";

function call(target: string, args: Readonly<Record<string, unknown>>): Tensor {
  const op = findOp(target);
  assert.ok(op !== null, `${target} is not in the table`);
  const out = dispatch(op, args);
  assert.ok(out instanceof Tensor);
  return out;
}

function values(t: Tensor): unknown {
  return t.toArray();
}

Deno.test("add() promotes as PyTorch: a float number leaves float16, turns int64 into float32", () => {
  assert.equal(tensor([1, 2], { dtype: float16 }).add(0.5).dtype, float16);
  assert.equal(tensor([1, 2], { dtype: int64 }).add(0.5).dtype, float32);
  assert.equal(tensor([1, 2], { dtype: int32 }).add(tensor(1, { dtype: int64 })).dtype, int32);
  assert.equal(tensor([1], { dtype: float16 }).add(tensor([1], { dtype: bfloat16 })).dtype, float32);
  assert.equal(tensor([true], { dtype: bool }).add(1).dtype, int64);
});

Deno.test("add() of a number to a float64 tensor uses the number's double", () => {
  assert.deepEqual(values(tensor([0], { dtype: float64 }).add(0.1)), [0.1]);
});

Deno.test("mul() by a number beyond 2^53 does not wrap", () => {
  assert.deepEqual(values(tensor([2], { dtype: float64 }).mul(1e20)), [2e20]);
});

Deno.test("add() and mul() of bools are or and and", () => {
  const a = tensor([true, true, false], { dtype: bool });
  const b = tensor([true, false, false], { dtype: bool });
  assert.deepEqual(values(a.add(b)), [true, true, false]);
  assert.deepEqual(values(a.mul(b)), [true, false, false]);
});

Deno.test("sub() refuses two bool tensors and says what to use", () => {
  const a = tensor([true], { dtype: bool });
  assert.throws(() => a.sub(a), { name: "TypeError", message: /sub: .*logicalXor/ });
});

Deno.test("integers wrap around", () => {
  assert.deepEqual(values(tensor([250], { dtype: uint8 }).add(10)), [4]);
  assert.deepEqual(values(tensor([2 ** 31 - 1], { dtype: int32 }).add(1)), [-(2 ** 31)]);
});

Deno.test("div() of integers is a float; floor_divide() and remainder() round down", () => {
  const a = tensor([7, -7, 7, -7], { dtype: int64 });
  const b = tensor([2, 2, -2, -2], { dtype: int64 });
  assert.deepEqual(values(a.div(b)), [3.5, -3.5, -3.5, 3.5]);
  assert.deepEqual(values(a.floorDivide(b)), [3, -4, -4, 3]);
  assert.deepEqual(values(a.remainder(b)), [1, 1, -1, -1]);
  assert.deepEqual(values(a.fmod(b)), [1, -1, 1, -1]);
  assert.deepEqual(values(a.div(b, { roundingMode: "trunc" })), [3, -3, -3, 3]);
  assert.equal(a.div(b, { roundingMode: "floor" }).dtype, int64);
});

Deno.test("div() refuses an unknown rounding mode", () => {
  assert.throws(() => tensor([1]).div(2, { roundingMode: "up" }), {
    name: "RangeError",
    message: /roundingMode is "up"/,
  });
});

Deno.test("pow() of integers stays integer and refuses negative exponents", () => {
  assert.deepEqual(values(tensor([2, -3], { dtype: int64 }).pow(3)), [8, -27]);
  assert.throws(() => tensor([2], { dtype: int64 }).pow(-1), { name: "RangeError", message: /convert to a float/ });
  assert.deepEqual(values(tensor([4, 9]).pow(0.5)), [2, 3]);
  assert.equal(tensor([2], { dtype: int64 }).pow(0.5).dtype, float32);
});

Deno.test("maximum() yields NaN if either is, fmax() the number", () => {
  const a = tensor([NaN, 1, NaN]);
  const b = tensor([2, NaN, NaN]);
  assert.deepEqual(values(a.maximum(b)), [NaN, NaN, NaN]);
  assert.deepEqual(values(a.fmax(b)), [2, 1, NaN]);
});

Deno.test("copysign() sees the sign of -0", () => {
  assert.deepEqual(values(tensor([1, 1]).copysign(tensor([-0, 0]))), [-1, 1]);
});

Deno.test("broadcasting that does not fit names the operator, the shapes and the dimension", () => {
  assert.throws(() => tensor([[1, 2, 3]]).add(tensor([1, 2])), {
    name: "TypeError",
    message: /add: shapes \[1, 3\] and \[2\] do not broadcast: dimension 1/,
  });
});

Deno.test("scalar overloads give what their tensor forms give for a number", () => {
  const self = tensor([5, -3, 8], { dtype: int64 });
  const targets = [
    "add",
    "sub",
    "rsub",
    "mul",
    "div",
    "floor_divide",
    "remainder",
    "fmod",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
  ];
  for (const name of [...targets, "bitwise_and", "bitwise_or", "bitwise_xor", "__and__", "__or__", "__xor__"]) {
    const tensorForm = name === "floor_divide" ? "default" : "Tensor";
    const a = call(`aten.${name}.${tensorForm}`, { self, other: 3 });
    const b = call(`aten.${name}.Scalar`, { self, other: 3 });
    assert.equal(b.dtype, a.dtype, name);
    assert.deepEqual(values(b), values(a), name);
  }
});

Deno.test("scalar overloads have gradients", () => {
  const x = tensor([1, 2, 3], { dtype: float32 }).requiresGrad_();
  call("aten.mul.Scalar", { self: x, other: 4 }).sum().backward();
  assert.deepEqual(x.grad === null ? null : values(x.grad), [4, 4, 4]);
});

Deno.test("gradients of promoted operands come back in the operand's dtype", () => {
  const half = tensor([1, 2], { dtype: float16 }).requiresGrad_();
  const double = tensor([3, 4], { dtype: float64 }).requiresGrad_();
  half.mul(double).sum().backward();
  assert.equal(half.grad?.dtype, float16);
  assert.equal(double.grad?.dtype, float64);
});

Deno.test("the result of an elementwise operator keeps the order of dimensions in memory", () => {
  const x = tensor([[1, 2, 3], [4, 5, 6]]).t();
  assert.deepEqual(x.add(1).stride, [1, 3]);
  assert.deepEqual(x.add(x.contiguous()).stride, [1, 3]);
  assert.deepEqual(x.add(1).t().view([6]).shape, [6]);
});
