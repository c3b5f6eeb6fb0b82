/**
 * Rows whose length makes no vectors: what goes through shared memory is what the CPU computes, the last rows included.
 * Without a GPU they run on the emulated device.
 */
import assert from "node:assert/strict";
import {
  compile,
  CompiledGraph,
  device,
  type DType,
  float16,
  float32,
  nn,
  noGrad,
  onCompile,
  type Tensor,
} from "../../../mod.ts";
import { cudaTest, farthest } from "../../helpers/cuda_test.ts";
import { wave as waveOf } from "../../helpers/wave.ts";

const { layerNorm, softmax } = nn.functional;

const wave = (shape: readonly number[], step: number, dtype: DType): Tensor => waveOf(shape, step, dtype, 3);

const SHAPES = [[1070, 257], [1056, 99], [1059, 501]] as const;

for (const dtype of [float16, float32]) {
  for (const [rows, length] of dtype === float16 ? SHAPES : SHAPES.slice(0, 1)) {
    for (
      const [name, f] of [
        ["softmax", (x: Tensor): Tensor => softmax(x, 1)],
        [
          "layer norm with a residual",
          (x: Tensor, y: Tensor, w: Tensor): Tensor => layerNorm(x.add(y), [length], { weight: w }),
        ],
        ["sum", (x: Tensor, y: Tensor): Tensor => x.mul(y).sum([1])],
      ] as const
    ) {
      cudaTest(
        `${name} of ${rows} rows of ${length} ${dtype.name} ${
          dtype === float16 ? "goes through shared memory" : "is read where it is"
        }`,
        () => {
          const texts: string[] = [];
          using _ = onCompile(({ graph }) => {
            if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
            texts.push(...graph.cuda.modules.modules.map((m) => m.source));
          });
          const inputs = [
            wave([rows, length], 0.7, dtype),
            wave([rows, length], 1.3, dtype),
            wave([length], 0.9, dtype),
          ];
          const compiled = compile(f as (...args: Tensor[]) => Tensor);
          const [got, want] = ["cuda", "cpu"].map((where) =>
            noGrad(() => compiled(...inputs.map((t) => t.to(device(where))))).to(device("cpu"))
          ) as [Tensor, Tensor];
          assert.equal(texts.some((text) => /\n\s+tsr_copy_run<\d+>\(/.test(text)), dtype === float16);
          if (name === "softmax" && length === 257) {
            // Exponentials are computed once, and kept for the quotients.
            const kernels = texts.map((text) => text.slice(text.indexOf('extern "C" __global__'))).join("");
            assert.equal(kernels.match(/= tsr_(fast_)?exp\(/g)?.length, 1);
          }
          const worst = farthest(got, want);
          const scale = name === "sum" ? length : 1;
          assert.ok(worst < (dtype === float16 ? 0.01 : 2e-5) * scale, `off by ${worst}`);
        },
      );
    }
  }
}
