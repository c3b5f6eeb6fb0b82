/**
 * Sums over rows beside reductions along them are one reading on CUDA, and what the CPU computes. Without a GPU they run on the emulated device.
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
  onCompile,
  type Tensor,
} from "../../../mod.ts";
import { crossShape } from "../../../src/inductor/codegen/cuda/emit_cross.ts";
import { cudaTest, farthest } from "../../helpers/cuda_test.ts";
import { wave as waveOf } from "../../helpers/wave.ts";

const { layerNorm, softmax } = nn.functional;

const wave = (shape: readonly number[], step: number, dtype: DType): Tensor => waveOf(shape, step, dtype, 2);

/** Gradients of a layer norm, its input's, its weight's and its bias's. */
function gradients(x: Tensor, w: Tensor, b: Tensor, d: Tensor): Tensor[] {
  const leaves = [x, w, b].map((t) => t.detach().requiresGrad_()) as [Tensor, Tensor, Tensor];
  const [own, weight, bias] = leaves;
  layerNorm(own, [Number(x.shape[1])], { weight, bias }).mul(d).sum().backward();
  return leaves.map((t) => t.grad as Tensor);
}

const CASES: readonly (readonly [string, (...inputs: Tensor[]) => Tensor[], readonly [number, number], DType])[] = [
  ["gradients of a layer norm", gradients as (...inputs: Tensor[]) => Tensor[], [1100, 128], float32],
  [
    "rows that the copy engine brings, their distances from their means and the largest of columns,",
    (x) => {
      const y = (x as Tensor).sub((x as Tensor).mean([1], true));
      return [y, y.amax([0])];
    },
    [1025, 2048],
    float32,
  ],
  ["gradients of a layer norm of odd length", gradients as (...inputs: Tensor[]) => Tensor[], [1061, 131], float16],
  [
    "the largest of columns and the sum of all beside softmax",
    (x) => {
      const y = softmax(x as Tensor, 1);
      return [y, y.amax([0]), y.mul(y).sum()];
    },
    [1030, 160],
    float32,
  ],
];

for (const [name, f, [rows, length], dtype] of CASES) {
  cudaTest(`${name} in ${dtype.name} read their rows once`, () => {
    const texts: string[] = [];
    let launches = 0;
    using _ = onCompile(({ graph }) => {
      if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
      const { modules, steps } = graph.cuda.modules;
      texts.push(...modules.map((m) => m.source));
      for (const step of steps) if (step.kind === "launches") launches += step.launches.length;
    });
    const inputs = [
      wave([rows, length], 0.7, dtype),
      wave([length], 0.9, dtype),
      wave([length], 1.1, dtype),
      wave([rows, length], 1.3, dtype),
    ];
    const compiled = compile(f);
    const [got, want] = ["cuda", "cpu"].map((where) =>
      compiled(...inputs.map((t) => t.to(device(where)))).map((t) => t.to(device("cpu")).to(float32))
    ) as [Tensor[], Tensor[]];
    assert.equal(launches, 2);
    assert.match(texts.join("\n"), /for \(int row = piece; row < \d+; row \+= \d+\)/);
    // What waits for the variance only as a factor is summed beside it.
    if (f === gradients) {
      const [kernel = ""] = texts.join("\n").split(/(?=extern "C" __global__)/).slice(1);
      assert.equal(kernel.split("for (int c = 0;").length - 1, 3 + 2, "three walks, and the sums of columns");
    }
    // Long rows are in shared memory before a block needs them.
    assert.equal(/tsr_run\(tsr_smem/.test(texts.join("\n")), length === 2048);
    want.forEach((t, i) => {
      const scale = Number(t.abs().max().item());
      const far = farthest(got[i] as Tensor, t);
      assert.ok(far <= (dtype === float16 ? 1e-2 : 2e-5) * scale, `result ${i}: ${far} of ${scale}`);
    });
  });
}

Deno.test("rows that do not fit registers have no shape, and few rows are shared by fewer pieces", () => {
  assert.equal(crossShape(16384, 50257, 3, 132), null);
  const [many, few] = [crossShape(65536, 768, 4, 132), crossShape(2048, 768, 4, 132)];
  assert.ok(many !== null && few !== null);
  assert.ok(many.pieces >= 132 && few.pieces <= 2048 / 8, `${many.pieces}, ${few.pieces}`);
  assert.equal(many.pieces % many.rowsEach, 0);
});
