import assert from "node:assert/strict";
import { bfloat16, bool, float64, int32 } from "../../src/core/mod.ts";
import { arange, tensor, zeros } from "../../src/tensor/mod.ts";
import "../../src/autograd/mod.ts";

const cases: readonly [string, () => unknown, string][] = [
  ["floats with four decimals", () => tensor([1.5, -2]), "tensor([ 1.5000, -2.0000])"],
  ["whole floats with a point", () => zeros([2]), "tensor([0., 0.])"],
  ["a 0-dim tensor", () => tensor(2.5), "tensor(2.5000)"],
  ["integers aligned", () => tensor([1, -20]), "tensor([  1, -20])"],
  ["bool as Python does", () => tensor([true, false]), "tensor([ True, False])"],
  ["scientific where the range is wide", () => tensor([1e-5, 1]), "tensor([1.0000e-05, 1.0000e+00])"],
  ["nan and zeros narrower than the column", () => tensor([NaN, 0, 1.5]), "tensor([   nan, 0.0000, 1.5000])"],
  ["no room for a sign that only a zero or nan needs", () => tensor([NaN, 1, -0]), "tensor([nan, 1., -0.])"],
  ["empty rows as nothing", () => zeros([2, 0, 3]), "tensor([], size=(2, 0, 3))"],
  [
    "as many zeros in a row as PyTorch",
    () => zeros([25]),
    `tensor([${"0., ".repeat(24).trimEnd()}\n        0.])`,
  ],
  ["nan and inf", () => tensor([NaN, Infinity, 1.5]), "tensor([   nan,    inf, 1.5000])"],
  [
    "the dtype if it is not implied",
    () => tensor([1.5], { dtype: float64 }),
    "tensor([1.5000], dtype=tessera.float64)",
  ],
  ["bfloat16", () => tensor([1.5], { dtype: bfloat16 }), "tensor([1.5000], dtype=tessera.bfloat16)"],
  ["int32", () => tensor([1], { dtype: int32 }), "tensor([1], dtype=tessera.int32)"],
  ["empty", () => tensor([]), "tensor([])"],
  ["empty with a shape", () => zeros([0, 3]), "tensor([], size=(0, 3))"],
  ["empty bool", () => zeros([0], { dtype: bool }), "tensor([], dtype=tessera.bool)"],
  ["rows under each other", () => tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"],
  [
    "matrices with an empty line between",
    () => tensor([[[1]], [[2]]]),
    "tensor([[[1]],\n\n        [[2]]])",
  ],
  ["the edges of more than 1000 elements", () => arange(1001), "tensor([   0,    1,    2,  ...,  998,  999, 1000])"],
  ["requires_grad", () => tensor([1.5]).requiresGrad_(), "tensor([1.5000], requires_grad=True)"],
  ["grad_fn", () => tensor([1.5]).requiresGrad_().mul(2), "tensor([3.], grad_fn=<MulBackward0>)"],
];

for (const [name, make, text] of cases) {
  Deno.test(`printing shows ${name}`, () => assert.equal(String(make()), text));
}

Deno.test("long rows break at 80 columns", () => {
  const lines = String(arange(40)).split("\n");
  assert.ok(lines.length > 1 && lines.every((l) => l.length <= 80), lines.join("\n"));
  assert.ok(lines[1]?.startsWith(" ".repeat("tensor([".length)));
});
