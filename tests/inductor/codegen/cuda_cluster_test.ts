/**
 * Products whose tiles the blocks of a cluster share, on the emulated device. Blocks follow each other there: one that waits for parts of sums is begun again when all have sent theirs.
 */
import assert from "node:assert/strict";
import { bfloat16, float16 } from "../../../src/core/mod.ts";
import { candidateContext } from "../../../src/inductor/autotune/candidates.ts";
import { emitClusterContraction, emitFewTiles } from "../../../src/inductor/templates/cuda_cluster.ts";
import type { ClusterShape } from "../../../src/inductor/templates/cuda_cluster_plan.ts";
import { emitCudaContraction } from "../../../src/inductor/templates/cuda_contraction.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";
import { matmul } from "../templates/contractions.ts";
import { kernelOf, run } from "./cuda_products.ts";

const CASES: readonly (readonly [sizes: [number, number, number, number], tb: boolean, shape: ClusterShape])[] = [
  // Two owners of 64 columns, sums of three blocks.
  [[1, 140, 120, 200], true, { m: 128, n: 128, pieces: 3 }],
  // Rows and columns are exchanged: the side of 16 is short.
  [[1, 16, 130, 264], true, { m: 64, n: 16, pieces: 4 }],
  [[2, 72, 104, 136], false, { m: 64, n: 64, pieces: 2 }],
  [[1, 200, 80, 72], true, { m: 192, n: 96, pieces: 1 }],
];

for (const [sizes, tb, shape] of CASES) {
  const { m, n, pieces } = shape;
  Deno.test({
    name: `${pieces} blocks of a cluster multiply ${sizes.join(" × ")} in tiles of ${m} × ${n}`,
    ignore: !findToolchain().ok,
    fn: () => {
      const product = matmul(sizes, tb ? float16 : bfloat16, { tb, bias: true });
      run(product, {
        arch: 90,
        choose: (kernel, context) => {
          const text = emitClusterContraction(kernel, context, shape);
          assert.deepEqual(text?.cluster, pieces > 1 ? [pieces, 1, 1] : undefined);
          return text === null ? null : [text];
        },
      }, { relative: 1e-2, absolute: 3e-2 });
    },
  });
}

Deno.test("few tiles are one round of blocks by default, which share sums where that fills the device, and many tiles are not", () => {
  const emit = (m: number, n: number, k: number) => {
    const kernel = kernelOf(matmul([1, m, n, k], float16, { tb: true, bias: true }));
    const context = candidateContext({ arch: 90, multiprocessors: 132 });
    return { own: emitFewTiles(kernel, context), chosen: emitCudaContraction(kernel, context)[0] };
  };
  const shared = emit(32, 1000, 2048);
  assert.ok((shared.chosen?.cluster?.[0] ?? 1) > 1);
  assert.equal(shared.chosen?.body, shared.own?.body);
  const alone = emit(392, 256, 256);
  assert.equal(alone.chosen?.cluster, undefined);
  assert.equal(alone.chosen?.body, alone.own?.body);
  assert.equal(emit(4096, 4096, 4096).own, null);
});

Deno.test("weights are asked for before the kernels ahead have ended, and announced as such", () => {
  const kernel = kernelOf(matmul([1, 64, 128, 256], float16, { tb: true, bias: true }));
  const context = {
    ...candidateContext({ arch: 90, multiprocessors: 132 }),
    fixed: new Set(
      [kernel.b.body, kernel.a.body].flatMap((body) => body.flatMap((st) => st.kind === "load" ? [st.buffer] : []))
        .slice(0, 1),
    ),
  };
  const text = emitClusterContraction(kernel, context, { m: 64, n: 64, pieces: 1 });
  const [weights] = context.fixed;
  assert.deepEqual(text?.early, [weights]);
  const body = text?.body ?? "";
  assert.ok(body.indexOf("tsr_box(") < body.indexOf("tsr_wait_previous();"));
  const none = emitClusterContraction(kernel, { ...context, fixed: new Set() }, { m: 64, n: 64, pieces: 1 });
  assert.deepEqual(none?.early, []);
  assert.ok((none?.body ?? "").indexOf("tsr_box(") > (none?.body ?? "").indexOf("tsr_wait_previous();"));
});
