/**
 * The operators that PyTorch's programs call: every target of about 190 exported models and of the public operator vectors is in the table under ATen's name, and
 * where PyTorch gives a gradient (recorded from its own samples), so does the operator here.
 */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile, registerLibrary } from "../../src/capture/mod.ts";
import { bool, float32, float64, int64 } from "../../src/core/mod.ts";
import { onCompile } from "../../src/inductor/mod.ts";
import { findOp, getOp, type Operator, SampleGenerator } from "../../src/ops/mod.ts";
import {
  dispatch,
  dispatchComplete,
  enableGrad,
  referenceBackend,
  Tensor,
  tensorFrom,
  withEagerBackend,
} from "../../src/tensor/mod.ts";
import { makeArgs } from "./harness.ts";
import targets from "./targets.json" with { type: "json" };

Deno.test("every target of exported models and of the public vectors is in the table", () => {
  const missing = [...targets.models, ...targets.vectors].filter((target) => findOp(target) === null);
  assert.deepEqual(missing, []);
  assert.ok(targets.models.length > 180 && targets.vectors.length > 470);
});

/** Whether a result of the operator's first sample has a history; null without a sample. */
function recordsGradient(op: Operator): boolean | null {
  const own = op.aliasOf ?? op.functional ?? op;
  const samples = own.samples(new SampleGenerator(float32));
  if (samples.length === 0) return null;
  return samples.some((sample) => {
    const args = makeArgs(own, sample, 3);
    for (const v of Object.values(args).flat()) if (v instanceof Tensor && v.dtype.isFloat) v.requiresGrad_();
    const result = withEagerBackend(referenceBackend, () => enableGrad(() => dispatchComplete(own, args)));
    return (result instanceof Tensor ? [result] : result).some((t) => t.requiresGrad);
  });
}

Deno.test("what PyTorch differentiates has a gradient here", () => {
  assert.ok(targets.differentiable.length > 450);
  const without = targets.differentiable.filter((target) => {
    const op = getOp(target);
    return !(recordsGradient(op) ?? ((op.aliasOf ?? op).vjp !== null || op.decompose !== null));
  });
  assert.deepEqual(without, []);
});

/** Targets of models whose operators have no samples of their own, or run on the host: called with symbolic sizes. */
const CALLS: Readonly<Record<string, (x: Tensor) => Readonly<Record<string, unknown>>>> = {
  "aten._assert_tensor_metadata.default": (x) => ({ a: x, dtype: float32 }),
  "aten.detach_.default": (x) => ({ self: x.mul(1) }),
  "aten.dropout_.default": (x) => ({ self: x.mul(1), p: 0.5, train: true }),
  "aten.eq.Scalar": (x) => ({ self: x, other: 1 }),
  "aten.ge.Scalar": (x) => ({ self: x, other: 1 }),
  "aten.gt.Scalar": (x) => ({ self: x, other: 1 }),
  "aten.le.Scalar": (x) => ({ self: x, other: 1 }),
  "aten.lt.Scalar": (x) => ({ self: x, other: 1 }),
  "aten.ne.Scalar": (x) => ({ self: x, other: 1 }),
  "aten.histc.default": (x) => ({ self: x, bins: 4, min: -2, max: 2 }),
  "aten.rand.default": (x) => ({ size: x.shape }),
  "aten.randn.default": (x) => ({ size: x.shape }),
  "aten.randn_like.default": (x) => ({ self: x }),
  "aten.rsub.Scalar": (x) => ({ self: x, other: 2 }),
  "aten.sort.default": (x) => ({ self: x, dim: 0 }),
  "aten.to.device": (x) => ({ self: x, device: x.device, dtype: float64 }),
  "aten.topk.default": (x) => ({ self: x, k: 2, dim: 0 }),
  "aten.uniform_.default": (x) => ({ self: x.mul(1) }),
  "aten.where.ScalarOther": (x) => ({ condition: x.gt(0), self: x, other: 1 }),
};

/** A size, or a number that is read from data, is no call of a graph. */
const NO_CALLS = new Set(["aten.sym_size.int", "aten.item.default", "aten._assert_scalar.default"]);

Deno.test("every target of exported models takes symbolic sizes", () => {
  const untested = targets.models.filter((target) => {
    const op = getOp(target), own = op.aliasOf ?? op.functional ?? op;
    const sampled = [float32, int64, bool].some((dtype) => own.samples(new SampleGenerator(dtype)).length > 0);
    // Those with samples are tried one by one in symbolic_test.ts.
    return (!sampled || own.kind === "host") && CALLS[target] === undefined && !NO_CALLS.has(target);
  });
  assert.deepEqual(untested, []);
  for (const [target, argsOf] of Object.entries(CALLS)) {
    const op = getOp(target);
    const fn = (x: Tensor): Tensor[] => {
      const result = dispatch(op, argsOf(x));
      return result instanceof Tensor ? [result] : [...result];
    };
    registerLibrary({ fn });
    const run = compile(fn, { dynamic: true, fullgraph: true, options: { tier: "js" } });
    let compiled = 0;
    using _ = onCompile(() => void compiled++);
    for (const n of [5, 7, 9]) {
      const x = tensorFrom([n, 3], Array.from({ length: 3 * n }, (_, i) => Math.sin(3 * i)), float32);
      const eager = fn(x), out = run(x);
      assert.deepEqual(out.map((t) => t.shape.map(Number)), eager.map((t) => t.shape), target);
      assert.deepEqual(out.map((t) => t.dtype), eager.map((t) => t.dtype), target);
      if (!op.isRandom) assert.deepEqual(out.map((t) => t.toArray()), eager.map((t) => t.toArray()), target);
    }
    assert.ok(compiled <= 1, `${target} was compiled ${compiled} times for three sizes`);
  }
});
