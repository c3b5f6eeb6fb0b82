/**
 * Reductions across rows whose results the same columns need: columns stay in registers, several side by side where elements are halves.
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

const layerNorm = (x: Tensor): Tensor => {
  const given = F.to(x, float32);
  const centred = F.sub(given, F.mean(given, [1], true));
  return F.mul(centred, F.rsqrt(F.add(F.mean(F.mul(centred, centred), [1], true), 1e-6)));
};

for (
  const [name, body, shape, dtype] of [
    ["softmax", (x: Tensor) => F.softmax(x, 1), [2, 21, 64, 80], float16],
    ["softmax", (x: Tensor) => F.softmax(x, 1), [1, 150, 70, 81], float32],
    ["layer norm", layerNorm, [2, 96, 48, 60], float16],
    ["layer norm", layerNorm, [1, 19, 101, 70], float32],
    ["log softmax", (x: Tensor) => F.logSoftmax(x, 1), [3, 5, 60, 50], float16],
  ] as const
) {
  cudaTest(`${name} over ${shape[1]} channels of ${dtype.name} reads them once`, () => {
    const texts: string[] = [];
    using _ = onCompile(({ graph }) => {
      if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
      texts.push(...graph.cuda.modules.modules.map((m) => m.source.slice(m.source.indexOf('extern "C"'))));
    });
    const compiled = compile((x: Tensor): Tensor => body(x));
    const count = shape.reduce<number>((n, size) => n * size, 1);
    const x = tensor(Array.from({ length: count }, (_, i) => 3 * Math.sin(i * 0.37) + i % 3)).view(shape).to(
      dtype as DType,
    );
    const [got, want] = ["cuda", "cpu"].map((where) =>
      noGrad(() => compiled(x.to(device(where)))).to(device("cpu")).to(float32).dataSync()
    );
    assert.ok(texts.some((text) => text.includes("c < ")), "a column stays in registers");
    const tolerance = dtype === float16 ? 4e-3 : 2e-5;
    for (let i = 0; i < count; i++) {
      const [a, b] = [Number(got?.[i]), Number(want?.[i])];
      assert.ok(Math.abs(a - b) <= tolerance * Math.max(0.1, Math.abs(b)), `${i}: ${a}, ${b}`);
    }
  });
}

for (
  const [shape, dim] of [[[300, 70], 0], [[2, 131, 64], 1], [[1, 2048, 33], 1]] as const
) {
  cudaTest(`running sums of ${shape} along dimension ${dim} are shared by threads`, () => {
    const texts: string[] = [];
    using _ = onCompile(({ graph }) => {
      if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
      texts.push(...graph.cuda.modules.modules.map((m) => m.source.slice(m.source.indexOf('extern "C"'))));
    });
    const compiled = compile((x: Tensor): Tensor => F.mul(F.cumsum(F.add(x, 1), dim), 2));
    const count = shape.reduce<number>((n, size) => n * size, 1);
    const x = tensor(Array.from({ length: count }, (_, i) => (i * 7 + 3) % 11)).view(shape).to(float32);
    const [got, want] = ["cuda", "cpu"].map((where) =>
      noGrad(() => compiled(x.to(device(where)))).to(device("cpu")).dataSync()
    );
    assert.ok(texts.some((text) => text.includes("tsr_column_scan")), "threads share columns");
    assert.deepEqual(got, want);
  });
}

cudaTest(
  "positions of the largest and smallest of columns and rows: the first of equals, and of what is no number",
  () => {
    const compiled = compile((x: Tensor): Tensor[] => [
      F.argmax(x, 0, false),
      F.argmin(x, 0, false),
      F.argmax(x, 1, false),
      F.argmin(x, 1, true),
    ]);
    const [rows, columns] = [300, 41];
    const values = Array.from({ length: rows * columns }, (_, i) => (i * 7 + 3) % 13);
    for (const i of [41 * 5 + 3, 41 * 200 + 3, 41 * 17 + 20, 41 * 17 + 30]) values[i] = NaN;
    for (let i = 0; i < rows; i++) values[i * columns + 9] = -Infinity;
    for (let i = 0; i < columns; i++) values[100 * columns + i] = Infinity;
    const x = tensor(values).view([rows, columns]);
    const [got, want] = ["cuda", "cpu"].map((where) =>
      noGrad(() => compiled(x.to(device(where)))).map((t) => t.to(device("cpu")).dataSync())
    );
    assert.deepEqual(got, want);
  },
);
