/** Loads of a transpose beside other loads: what is named for a square of registers belongs to its first step only. */
import assert from "node:assert/strict";
import { compile, F, noGrad, onCompile, randn, type Tensor } from "../../mod.ts";
import { findToolchain } from "../../src/runtime/cpu/toolchain.ts";

const noCompiler = findToolchain().ok ? "" : " [skipped: no C++ compiler]";

Deno.test({
  name: `a depthwise convolution of channels-last memory reads its neighbours at each channel${noCompiler}`,
  ignore: noCompiler !== "",
  fn: () => {
    const tiers: string[] = [];
    using _ = onCompile(({ graph }) => tiers.push(graph.tier));
    // Wide enough for vectors of several registers, with channels beyond whole squares; and in one square.
    for (const [channels, width, kernel] of [[24, 56, 3], [24, 40, 5], [40, 33, 3], [16, 20, 3]] as const) {
      const x = randn([1, 20, width, channels + 8]).narrow(3, 8, channels).permute([0, 3, 1, 2]);
      const weight = randn([channels, 1, kernel, kernel]);
      const convolve = (a: Tensor, w: Tensor): Tensor => F.conv2d(a, w, null, 1, (kernel - 1) / 2, 1, channels);
      const worst = noGrad(() => {
        const got = compile(convolve, { mode: "aot" })(x, weight);
        return got.sub(convolve(x, weight)).abs().max().item() as number;
      });
      assert.ok(worst < 1e-4, `${channels} channels, ${width} wide: ${worst}`);
    }
    assert.deepEqual([...new Set(tiers)], ["cpp"]);
  },
});
