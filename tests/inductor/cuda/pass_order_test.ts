/** Sums over several axes step through memory as it lies. Without a GPU they run on the emulated device. */
import assert from "node:assert/strict";
import { compile, CompiledGraph, device, float16, nn, noGrad, onCompile, type Tensor } from "../../../mod.ts";
import { cudaTest, farthest } from "../../helpers/cuda_test.ts";
import { wave } from "../../helpers/wave.ts";

cudaTest("a convolution that sees its whole image reads weights with channels innermost in vectors", () => {
  const texts: string[] = [];
  using _ = onCompile(({ graph }) => {
    if (graph instanceof CompiledGraph && graph.cuda !== null) {
      texts.push(...graph.cuda.modules.modules.map((m) => m.source));
    }
  });
  const f = compile((x: Tensor, w: Tensor): Tensor =>
    nn.functional.conv2d(x.permute([0, 3, 1, 2]), w.permute([0, 3, 1, 2])).relu()
  );
  const x = wave([1, 3, 5, 128], 0.7, float16), w = wave([24, 3, 5, 128], 1.1, float16);
  const [got, want] = ["cuda", "cpu"].map((where) => noGrad(() => f(x.to(device(where)), w.to(device(where))))) as [
    Tensor,
    Tensor,
  ];
  assert.ok(farthest(got, want) < 0.06, `off by ${farthest(got, want)}`);
  assert.match(texts.at(-1)?.replace(/^[^]*extern "C"/, "") ?? "", /tsr_load<8>/);
});
