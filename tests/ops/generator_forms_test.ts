/** Draws that name a generator, as exported programs do: none is given, and the default one draws. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { float32, int64 } from "../../src/core/mod.ts";
import { getOp } from "../../src/ops/mod.ts";
import { dispatch, manualSeed, type Tensor, tensor } from "../../src/tensor/mod.ts";

const rest = { dtype: null, layout: null, device: null, pinMemory: null };

for (
  const [plain, named, args, dtype] of [
    ["aten.rand.default", "aten.rand.generator", {}, float32],
    ["aten.randn.default", "aten.randn.generator", {}, float32],
    ["aten.randint.default", "aten.randint.generator", { high: 9 }, int64],
    ["aten.randint.low", "aten.randint.low_generator", { low: 3, high: 9 }, int64],
  ] as const
) {
  Deno.test(`${named} draws what ${plain} draws`, () => {
    const draw = (target: string, more: object): Tensor => {
      manualSeed(5);
      return dispatch(getOp(target), { ...args, size: [4, 2], ...more, ...rest }) as Tensor;
    };
    const got = draw(named, { generator: null });
    assert.equal(got.dtype, dtype);
    assert.deepEqual(got.tolist(), draw(plain, {}).tolist());
  });
}

for (
  const [plain, named, args] of [
    ["aten.rand_like.default", "aten.rand_like.generator", {}],
    ["aten.randn_like.default", "aten.randn_like.generator", {}],
    ["aten.randint_like.default", "aten.randint_like.generator", { high: 9 }],
    ["aten.randint_like.low_dtype", "aten.randint_like.low_generator_dtype", { low: 3, high: 9 }],
    ["aten.randperm.default", "aten.randperm.generator", { n: 7 }],
  ] as const
) {
  Deno.test(`${named} draws what ${plain} draws`, () => {
    const draw = (target: string, more: object): unknown => {
      manualSeed(5);
      const self = target.includes("like") ? { self: tensor([0.5, 0.5, 0.5]), memoryFormat: null } : {};
      return (dispatch(getOp(target), { ...self, ...args, ...more, ...rest }) as Tensor).tolist();
    };
    assert.deepEqual(draw(named, { generator: null }), draw(plain, {}));
  });
}
