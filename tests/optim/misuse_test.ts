/** Optimisers, schedules and clipping say what they were given and what they need. */
import assert from "node:assert/strict";
import "../../src/autograd/mod.ts";
import { Linear, utils } from "../../src/nn/mod.ts";
import { SGD, StepLR } from "../../src/optim/mod.ts";
import { arange, ones, type Tensor } from "../../src/tensor/mod.ts";

// What no type-checked program would pass.
function wrong<T>(value: unknown): T {
  return value as T;
}

Deno.test("an optimiser names what it was given instead of parameters", () => {
  const make = (params: unknown) => () => new SGD(wrong<Tensor[]>(params), { lr: 1 });
  assert.throws(
    make(new Linear(2, 2)),
    /TypeError: SGD: params must be a list of tensors or groups, as model\.parameters\(\)/,
  );
  assert.throws(make(undefined), /TypeError: SGD: params must be a list/);
  assert.throws(make([3]), /TypeError: SGD: params holds number; give tensors or/);
  assert.throws(make([ones([2]).requiresGrad_().mul(2)]), /TypeError: SGD: .*; give a leaf, or its detach\(\)/);
});

Deno.test("a schedule needs an optimiser", () => {
  assert.throws(
    () => new StepLR(wrong<SGD>(3), { stepSize: 1 }),
    /TypeError: StepLR: the first argument must be an optimizer/,
  );
});

Deno.test("clipping refuses bounds below zero", () => {
  const w = ones([2]).requiresGrad_();
  w.sum().backward();
  assert.throws(() => utils.clipGradNorm_([w], -1), /RangeError: clipGradNorm_: maxNorm must be at least 0, got -1/);
  assert.throws(() => utils.clipGradValue_([w], NaN), /RangeError: clipGradValue_: value must be at least 0, got NaN/);
});

Deno.test("integers that shall have gradients are told how to become floats", () => {
  assert.throws(() => arange(3).requiresGrad_(), /TypeError: requiresGrad: .* int64; convert it with \.to\(float32\)/);
});
