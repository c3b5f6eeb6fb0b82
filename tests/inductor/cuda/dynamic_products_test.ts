/**
 * Products whose sizes are known when they are called: parameters of kernels have names that no template gives to positions of its own.
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
} from "../../../mod.ts";
import { cudaTest, farthest } from "../../helpers/cuda_test.ts";
import { wave } from "../../helpers/wave.ts";

const CASES: readonly [name: string, dtype: DType, template: RegExp, sum: number, columns: number][] = [
  ["warpgroups", float16, /tsr_wgmma_\d+_f16/, 64, 2824],
  ["warps", float16, /tsr_mma_tile</, 40, 72],
  ["plain arithmetic", float32, /tsr_plain_tile</, 40, 72],
];

for (const [name, dtype, template, sum, columns] of CASES) {
  cudaTest(`products of a dynamic number of rows by ${name} know how many rows there are`, () => {
    const texts: string[] = [];
    using _ = onCompile(({ graph }) => {
      if (graph instanceof CompiledGraph && graph.cuda !== null) {
        texts.push(...graph.cuda.modules.modules.map((m) => m.source));
      }
    });
    const f = compile((x: Tensor, w: Tensor, b: Tensor): Tensor => x.matmul(w).add(b).relu());
    const w = wave([sum, columns], 1.1, dtype), b = wave([columns], 0.3, dtype);
    // From the second size on the number of rows is a symbol.
    for (const rows of [200, 130]) {
      const x = wave([rows, sum], 0.7, dtype);
      const [got, want] = ["cuda", "cpu"].map((where) =>
        noGrad(() => f(x.to(device(where)), w.to(device(where)), b.to(device(where))))
      ) as [Tensor, Tensor];
      assert.ok(farthest(got, want) < 0.06, `${rows} rows are off by ${farthest(got, want)}`);
    }
    const of = texts.filter((t) => template.test(t) && /long size0|int size0/.test(t));
    assert.ok(of.length > 0, "another template, or sizes that are known");
  });
}
