/** The tutorials' kernels on "cuda", on an emulated device where there is none. */
import assert from "node:assert/strict";
import { F, float16, float32, type KernelFunction, randn, type Tensor } from "../../mod.ts";
import { flashAttention, matmul } from "../../examples/kernels/kernels.ts";
import { type StageName, withConfig } from "../../src/core/mod.ts";
import { dispatch } from "../../src/tensor/mod.ts";
import { cudaTest, farthest } from "../helpers/cuda_test.ts";
import { check, tutorials } from "./tutorials.ts";

cudaTest(`the tutorials' kernels are right on "cuda"`, () => {
  // An emulated device has no fastest configuration.
  using _ = withConfig({ verify: true, disabled: new Set<StageName>(["autotune"]) });
  for (const t of tutorials()) check(t, (x) => x.cuda());
});

cudaTest('every configuration of a product and of attention is right on "cuda"', () => {
  const run = (fn: KernelFunction, config: number, ...args: readonly unknown[]): Tensor => {
    const named = Object.fromEntries(args.map((a, i) => [fn.op.schema.args[i]?.key ?? "", a]));
    return (dispatch(fn.op, { ...named, configIndex: config }) as Tensor).cpu().to(float32);
  };
  const half = (...shape: number[]): Tensor => randn(shape).to(float16);
  // Several tiles of k, so that all stages come round; the last ones reach beyond the ends.
  const [a, b] = [half(264, 456), half(456, 264)];
  const want = a.to(float32).matmul(b.to(float32));
  for (let config = 0; config < 5; config++) {
    const worst = farthest(run(matmul, config, a.cuda(), b.cuda()), want);
    assert.ok(worst < 0.1, `matmul ${config}: ${worst}`);
  }
  const [q, k, v] = [half(1, 2, 200, 64), half(1, 2, 200, 64), half(1, 2, 200, 64)];
  for (const causal of [false, true]) {
    const f = (t: Tensor): Tensor => t.to(float32);
    const right = F.scaledDotProductAttention(f(q), f(k), f(v), null, 0, causal);
    for (let config = 0; config < 3; config++) {
      const worst = farthest(run(flashAttention, config, q.cuda(), k.cuda(), v.cuda(), causal), right);
      assert.ok(worst < 5e-3, `attention ${config}: ${worst}`);
    }
  }
});
