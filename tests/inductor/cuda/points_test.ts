/**
 * Kernels without reductions: what is written along another axis than it is read, and short runs of which a thread has several.
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
  noGrad,
  onCompile,
  type Tensor,
  tensor,
} from "../../../mod.ts";
import { F } from "../../../src/tensor/mod.ts";
import { cudaTest } from "../../helpers/cuda_test.ts";

/** What a function of numbers gives on both devices, and the CUDA texts; both must be the same to the bit. */
function compare(shape: readonly number[], dtype: DType, body: (x: Tensor) => Tensor): string {
  const texts: string[] = [];
  using _ = onCompile(({ graph }) => {
    if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
    texts.push(...graph.cuda.modules.modules.map((m) => m.source.slice(m.source.indexOf('extern "C"'))));
  });
  const compiled = compile(body);
  const count = shape.reduce((n, size) => n * size, 1);
  const x = tensor(Array.from({ length: count }, (_, i) => (i * 7 + 3) % 2039)).view(shape).to(dtype);
  const [got, want] = ["cuda", "cpu"].map((where) =>
    noGrad(() => compiled(x.to(device(where)))).to(device("cpu")).to(float32).dataSync()
  );
  assert.deepEqual(got, want);
  return texts.join("\n");
}

for (
  const [shape, order, dtype] of [
    [[1, 96, 40, 40], [0, 2, 3, 1], float16],
    [[1, 40, 40, 96], [0, 3, 1, 2], float16],
    [[272, 600], [1, 0], float32],
    [[3, 24, 16, 5, 4], [0, 3, 4, 2, 1], float32],
    [[7, 130, 6, 44], [0, 3, 1, 2], float16],
  ] as const
) {
  cudaTest(`${shape.join("x")} ${dtype.name} in the order ${order} is a copy of whole sectors`, () => {
    compare(shape, dtype, (x) => F.contiguous(F.permute(x, order)));
  });
}

cudaTest("a large transposition has few runs of a column side by side, then the rows", () => {
  const text = compare([1024, 512], float16, (x) => F.contiguous(F.add(F.transpose(x, 0, 1), 1)));
  assert.match(text, /tsr_store<4>/);
  assert.match(text, /t \/ 4;/);
});

cudaTest("rows of short runs are taken several a thread", () => {
  const text = compare([1024, 26, 26], float16, (x) => F.constantPadNd(x, [1, 1, 1, 1], 0.5));
  assert.match(text, /tsr_store<2>|tsr_store<4>/);
});

cudaTest("pixels are shuffled several images a thread, read and written along different axes", () => {
  const text = compare([96, 16, 32, 32], float16, (x) => F.pixelShuffle(x, 2));
  assert.match(text, /j\d+ < [24];/);
});
