/**
 * Rows too long for registers: maximum and sum of exponentials come from one reading, whatever is in the row.
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
  tensor,
} from "../../../mod.ts";
import { cudaTest } from "../../helpers/cuda_test.ts";

const { logSoftmax, softmax } = nn.functional;

/** Rows whose largest element comes early, late and never: the second ends in minus infinity, the third is nothing else. */
function rows(count: number, length: number, dtype: DType): Tensor {
  const data = Array.from({ length: count * length }, (_, i) => {
    const [row, at] = [Math.floor(i / length), i % length];
    if (row === 2 || (row === 1 && at > length / 2)) return -Infinity;
    return 4 * Math.sin(i * 0.37) + (row === 0 ? 8 * at / length : -8 * at / length);
  });
  return tensor(data).view([count, length]).to(dtype);
}

/** In registers, in shared memory, and read again. */
const SHAPES = [[3, 20000, float16], [3, 16387, float32], [1, 60000, float32]] as const;

for (
  const [name, f] of [["softmax", softmax], ["log_softmax", logSoftmax]] as const
) {
  for (const [count, length, dtype] of SHAPES) {
    cudaTest(`${name} of rows of ${length} ${dtype.name} reads them online`, () => {
      const texts: string[] = [];
      using _ = onCompile(({ graph }) => {
        if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
        texts.push(...graph.cuda.modules.modules.map((m) => m.source));
      });
      const compiled = compile((x: Tensor): Tensor => f(x, 1));
      const x = rows(count, length, dtype);
      const [got, want] = ["cuda", "cpu"].map((where) =>
        noGrad(() => compiled(x.to(device(where)))).to(device("cpu")).to(float32).dataSync()
      );
      assert.ok(texts.some((text) => text.includes("-__builtin_inff() ? 0.0f")), "one pass has both");
      const tolerance = dtype === float16 ? 2e-3 : 2e-5;
      for (let i = 0; i < count * length; i++) {
        const [a, b] = [Number(got?.[i]), Number(want?.[i])];
        if (Object.is(a, b)) continue;
        assert.ok(
          Math.abs(a - b) <= tolerance * Math.max(name === "softmax" ? 1e-3 : 1, Math.abs(b)),
          `${i}: ${a}, ${b}`,
        );
      }
    });
  }
}
