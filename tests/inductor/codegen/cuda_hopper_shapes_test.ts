/**
 * Tiles of the Hopper template on the emulated device: high ones, and pairs of blocks that read columns for each other. Blocks of a pair follow each other there, so what one reads
 * for the other each reads itself: places and counts are tested, not who waits for whom.
 */
import assert from "node:assert/strict";
import { bfloat16, float16, float32 } from "../../../src/core/mod.ts";
import { candidateContext } from "../../../src/inductor/autotune/candidates.ts";
import { emitHopperContraction } from "../../../src/inductor/templates/cuda_hopper.ts";
import {
  bestShape,
  type HopperShape,
  prepareHopper,
  shapesOf,
  sumsOf,
} from "../../../src/inductor/templates/cuda_hopper_plan.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";
import { matmul } from "../templates/contractions.ts";
import { kernelOf, run } from "./cuda_products.ts";

const plain = { pieces: 1, tail: false, turns: false, mates: false } as const;

const CASES: readonly (readonly [sizes: [number, number, number, number], tb: boolean, shape: HopperShape])[] = [
  [[1, 300, 104, 72], false, { ...plain, m: 256, n: 128, mates: true }],
  [[2, 136, 40, 72], true, { ...plain, m: 128, n: 64, mates: true }],
  [[1, 140, 100, 72], true, { ...plain, m: 128, n: 96 }],
  [[1, 200, 200, 72], true, { ...plain, m: 192, n: 192 }],
  [[1, 400, 136, 72], false, { ...plain, m: 192, n: 128, mates: true }],
  [[1, 136, 72, 800], true, { ...plain, m: 192, n: 128, pieces: 2 }],
  [[1, 136, 128, 72], false, { ...plain, m: 128, n: 64, turns: true, mates: true }],
];

for (const [sizes, tb, shape] of CASES) {
  const { m, n, turns, mates } = shape;
  Deno.test({
    name: `tiles of ${m} × ${n}${turns ? " in turns" : ""}${mates ? " in pairs" : ""} multiply ${sizes.join(" × ")}`,
    ignore: !findToolchain().ok,
    fn: () => {
      const product = matmul(sizes, tb ? float16 : bfloat16, { tb, bias: true });
      run(product, {
        arch: 90,
        choose: (kernel, context) => {
          const text = emitHopperContraction(kernel, context, shape);
          assert.deepEqual(text?.cluster, mates ? [2, 1, 1] : undefined);
          // Weights, which nothing in the plan writes, are brought before the kernel waits for the ones ahead.
          assert.deepEqual(text?.early?.map(({ label }) => label), ["b"]);
          return text === null ? null : [text];
        },
      }, { relative: 1e-2, absolute: 3e-2 });
    },
  });
}

const ENDS = [
  {
    name: "a bias and a residual",
    sizes: [1, 200, 72, 72],
    options: { tb: true, bias: true, residual: true },
    staged: false,
  },
  {
    name: "results of another order",
    sizes: [1, 136, 72, 72],
    options: { tb: true, bias: true, turned: true },
    staged: false,
  },
  { name: "rows that make no vectors", sizes: [1, 136, 70, 72], options: { tb: true, bias: true }, staged: true },
  { name: "results of float32", sizes: [1, 136, 72, 72], options: { tb: true, result: float32 }, staged: true },
] as const;

for (const { name, sizes, options, staged } of ENDS) {
  Deno.test({
    name: `a tile with ${name} ends ${staged ? "in shared memory" : "in registers"}`,
    ignore: !findToolchain().ok,
    fn: () =>
      run(matmul(sizes, float16, options), {
        arch: 90,
        choose: (kernel, context) => {
          const text = emitHopperContraction(kernel, context, { ...plain, m: 128, n: 96 });
          assert.equal(text?.body.includes("tsr_wgmma_put"), staged);
          assert.equal(text?.body.includes("tsr_quad_store"), !staged);
          assert.equal(text?.body.includes("tsr_quad_load"), name.includes("residual"));
          return text === null ? null : [text];
        },
      }, { relative: 1e-2, absolute: 3e-2 }),
  });
}

Deno.test("blocks are pairs where rows straddle lines of memory in several rounds, and else alone", () => {
  const best = (k: number, m = 3000): HopperShape | null => {
    const context = candidateContext({ arch: 90, multiprocessors: 132 });
    const prepared = prepareHopper(kernelOf(matmul([1, m, m, k], float16, { tb: true })), context);
    return prepared === null ? null : bestShape(prepared, context);
  };
  assert.equal(best(1000)?.mates, true);
  assert.equal(best(1024)?.mates, false);
  // Measured: 12.4 us, in turns or not; in pairs of 128 × 96 in turns 14.4.
  const { m, n, mates } = best(1000, 1000) ?? {};
  assert.deepEqual({ m, n, mates }, { m: 128, n: 128, mates: false });
});

Deno.test("threads have at most 160 sums where other matrices are added, and few places of single elements at once beside many", () => {
  const context = candidateContext({ arch: 90, multiprocessors: 132 });
  const most = (residual: boolean): number => {
    const kernel = kernelOf(matmul([1, 6304, 768, 3072], float16, { tb: true, bias: true, residual }));
    const prepared = prepareHopper(kernel, context);
    assert.ok(prepared !== null);
    return Math.max(...shapesOf(prepared, context).map(({ shape }) => sumsOf(shape)));
  };
  assert.equal(most(false), 192);
  assert.equal(most(true), 160);
  const endOf = (n: number, bias: boolean): string => {
    const kernel = kernelOf(matmul([1, 2048, n, 768], bfloat16, { tb: true, bias }));
    const body = emitHopperContraction(kernel, context, { ...plain, m: 128, n: 192, turns: true })?.body ?? "";
    return body.slice(body.indexOf("tsr_wgmma_put"));
  };
  // 344 and 1,052 bytes went to memory and back where all 32 were unrolled.
  assert.match(endOf(50257, false), /#pragma unroll 8\n/);
  assert.match(endOf(50257, true), /#pragma unroll 1\n/);
});
