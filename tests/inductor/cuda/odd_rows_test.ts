/**
 * Rows whose length is no multiple of a vector: their vectors and their ends together are what the CPU computes, the last rows included.
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

/** In registers, with one vector a thread and several; the last, of two inputs, in shared memory. */
const SHAPES = [[70, 257], [34, 501], [7, 3003], [132, 16387]] as const;

for (const dtype of [float16, float32]) {
  for (const [rows, length] of dtype === float16 ? SHAPES.slice(0, 3) : SHAPES) {
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
        `${name} of ${rows} rows of ${length} ${dtype.name} has vectors and ends`,
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
          assert.ok(texts.some((text) => text.includes("if (tx < ends)")));
          if (name === "softmax" && length === 257) {
            // Exponentials are computed once, of vectors and of ends, and kept for the quotients.
            const kernels = texts.map((text) => text.slice(text.indexOf('extern "C" __global__'))).join("");
            assert.equal(kernels.match(/= tsr_(\w+_)?exp\(/g)?.length, 2);
          }
          const worst = farthest(got, want);
          const scale = name === "sum" ? length : 1;
          assert.ok(worst < (dtype === float16 ? 0.01 : 2e-5) * scale, `off by ${worst}`);
        },
      );
    }
  }
}
