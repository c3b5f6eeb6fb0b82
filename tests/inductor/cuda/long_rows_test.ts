/**
 * Rows too long for registers of one block: they are read once, whatever is in the row. Blocks share what their registers hold together; of longer ones maximum and sum of
 * exponentials come from one reading.
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
import { cudaTest, farthest } from "../../helpers/cuda_test.ts";
import { wave } from "../../helpers/wave.ts";

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

/** What says that the maximum and the sum come from one reading, and that blocks share a row that stays in their registers. */
const [ONLINE, SHARED] = ["-__builtin_inff() ? 0.0f", "= tsr_row_reduce<"] as const;
/** Of one block, in registers and in shared memory; in the registers of several: of whole vectors, and of rows that begin anywhere. */
const SHAPES = [
  [3, 20000, float16, ONLINE],
  [3, 16387, float32, ONLINE],
  [1, 40000, float32, SHARED],
  [3, 20485, float32, SHARED],
  [1, 50257, float16, ONLINE],
] as const;

for (
  const [name, f] of [["softmax", softmax], ["log_softmax", logSoftmax]] as const
) {
  for (const [count, length, dtype, way] of SHAPES) {
    cudaTest(`${name} of rows of ${length} ${dtype.name} reads them once`, () => {
      const texts: string[] = [];
      using _ = onCompile(({ graph }) => {
        if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
        texts.push(...graph.cuda.modules.modules.map((m) => m.source));
      });
      const compiled = compile((x: Tensor): Tensor => f(x, 1), { dynamic: false });
      const x = rows(count, length, dtype);
      const [got, want] = ["cuda", "cpu"].map((where) =>
        noGrad(() => compiled(x.to(device(where)))).to(device("cpu")).to(float32).dataSync()
      );
      const kernels = texts.map((text) => text.slice(text.indexOf('extern "C" __global__'))).join("");
      assert.ok(kernels.includes(way), way);
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

cudaTest("layer norm of rows that begin anywhere reads its weights as vectors where blocks share a row", () => {
  const texts: string[] = [];
  using _ = onCompile(({ graph }) => {
    if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
    texts.push(...graph.cuda.modules.modules.map((m) => m.source));
  });
  // Fewer rows would be several kernels.
  const [count, length] = [132, 41001];
  const f = compile(
    (x: Tensor, weight: Tensor, bias: Tensor): Tensor => nn.functional.layerNorm(x, [length], { weight, bias }),
    {
      dynamic: false,
    },
  );
  const weights = (step: number): Tensor => wave([length], step, float16, 2);
  const inputs = [wave([count, length], 0.7, float16, 2), weights(0.9), weights(1.1)] as const;
  const [got, want] = ["cuda", "cpu"].map((where) => {
    const [x, w, b] = inputs.map((t) => t.to(device(where))) as [Tensor, Tensor, Tensor];
    return noGrad(() => f(x, w, b)).to(device("cpu"));
  }) as [Tensor, Tensor];
  assert.ok(farthest(got, want) <= 2e-2, `off by ${farthest(got, want)}`);
  const kernels = texts.map((text) => text.slice(text.indexOf('extern "C" __global__'))).join("");
  assert.ok(kernels.includes("= tsr_row_reduce<") && kernels.includes("tsr_load_shifted<8>(l"));
});
