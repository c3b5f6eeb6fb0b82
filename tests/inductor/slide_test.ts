/** Depthwise convolutions by images: right whatever the sizes, steps and windows, with what is computed before and behind them, by one call of the template each. */
import assert from "node:assert/strict";
import { compile, F, noGrad, randn, type Tensor } from "../../mod.ts";
import { withConfig } from "../../src/core/mod.ts";
import { type CompiledGraph, onCompile } from "../../src/inductor/mod.ts";
import { nativeTest } from "../runtime/support.ts";

/** Samples, channels, height, width, the window's height and width, steps down and across, outputs of a channel. */
const CASES = [
  [2, 3, 20, 56, 7, 7, 1, 1, 1],
  [1, 5, 7, 14, 5, 5, 1, 1, 1],
  [2, 4, 9, 33, 5, 5, 2, 2, 1],
  [1, 3, 12, 40, 3, 7, 1, 2, 2],
  [3, 2, 30, 5, 9, 3, 2, 1, 1],
  [1, 6, 4, 70, 5, 9, 1, 1, 1],
] as const;

/** Asserts that a function's results are the reference's, and how many of its sums are done by the template. */
function check(count: number, fn: (...tensors: Tensor[]) => Tensor[], args: readonly Tensor[]): void {
  using _config = withConfig({ disabled: new Set(["cache"]) });
  noGrad(() => {
    const wanted = compile(fn, { backend: "reference" })(...args);
    let graph: CompiledGraph | null = null;
    using _ = onCompile((record) => graph = record.graph);
    compile(fn, { mode: "aot", fullgraph: true })(...args).forEach((result, i) => {
      const off = Number(result.sub(wanted[i] ?? result).abs().max().item());
      assert.ok(off < 2e-5, `result ${i}: off by ${off}`);
    });
    const source: string = (graph as CompiledGraph | null)?.cpp?.source ?? "";
    assert.equal(source.split(/\btsr_slide<\d/).length - 1, count);
  });
}

nativeTest("depthwise convolutions of images are those of the reference", () => {
  const args = CASES.flatMap(([n, c, height, width, down, across, , , more]) => [
    randn([n, c, height, width]),
    randn([c * more, 1, down, across]),
    randn([c * more]),
  ]);
  const convolve = (...tensors: Tensor[]): Tensor[] =>
    CASES.map(([, c, , , down, across, stepDown, step], i) => {
      const [x, w, b] = tensors.slice(3 * i) as [Tensor, Tensor, Tensor];
      const padding = [(down - 1) >> 1, across >> 1] as [number, number];
      // What stands before is stored; what stands behind is part of the kernel.
      const y = F.conv2d(x.mul(2).relu(), w, b, [stepDown, step], padding, 1, c);
      return y.mul(y.sigmoid());
    });
  check(CASES.length, convolve, args);
});

nativeTest("channels may be innermost, on one side or on both", () => {
  const innermost = (x?: Tensor, w?: Tensor): Tensor[] => {
    const y = F.conv2d((x as Tensor).permute([0, 3, 1, 2]), w as Tensor, null, 1, 3, 1, 20);
    return [y.relu(), F.conv2d(y, w as Tensor, null, 2, 3, 1, 20).permute([0, 2, 3, 1]).contiguous()];
  };
  check(2, innermost, [randn([2, 12, 17, 20]), randn([20, 1, 7, 7]).div(7)]);
});

nativeTest("a mean over the image that stands behind is a kernel of its own", () => {
  const squeeze = (x?: Tensor, w?: Tensor): Tensor[] => {
    const y = F.silu(F.conv2d(x as Tensor, w as Tensor, null, 1, 2, 1, 24));
    return [y, y.mean([2, 3])];
  };
  check(1, squeeze, [randn([2, 24, 28, 28]), randn([24, 1, 5, 5])]);
});
