/** Convolutions by Winograd's filtering: close to sums in float64 whatever the sizes, with what is before and behind them, and gradients by the input. */
import assert from "node:assert/strict";
import { compile, F, noGrad, randn, type Tensor } from "../../mod.ts";
import { float64 } from "../../src/core/mod.ts";
import type { Toolchain } from "../../src/runtime/cpu/mod.ts";
import { nativeTest } from "../runtime/support.ts";
import { checkConvolutions, errorOf, type Fn } from "./convolutions.ts";

/** Asserts that as many convolutions of a function are filtered (with registers of 512 bits; narrower ones are too few), and that all results are near to those in float64. */
function check(toolchain: Toolchain, filtered: number, fn: Fn, calls: readonly (readonly Tensor[])[]): void {
  checkConvolutions("tsr_filter_by<", toolchain.isa.vectorBytes === 64 ? filtered : 0, fn, calls);
}

nativeTest("filtered convolutions are as near to float64 as a few roundings", (toolchain) => {
  // Images whose tiles end at their border and do not, fewer channels than a block and more, groups; outputs that make no whole panel.
  const sizes = [
    [2, 32, 32, 25, 30, 1, 1],
    [1, 300, 36, 41, 36, 0, 1],
    [3, 48, 33, 8, 70, 2, 1],
    [2, 64, 96, 30, 31, 1, 2],
  ] as const;
  const args = sizes.flatMap(([n, from, to, height, width, , groups]) => [
    randn([n, from, height, width]),
    randn([to, from / groups, 3, 3]),
    randn([to]),
  ]);
  const convolve: Fn = (...tensors) =>
    sizes.map(([, , , , , padding, groups], i) => {
      const [x, w, b] = tensors.slice(3 * i);
      const y = F.conv2d(x as Tensor, w as Tensor, b as Tensor, 1, padding, 1, groups);
      return y.add(y.mean([1], true)).relu();
    });
  check(toolchain, sizes.length, convolve, [args]);
});

nativeTest("windows of 5 × 5, and those whose places are 2 apart, are filtered", (toolchain) => {
  // The window's side, how far its places are apart, padding; both phases of an image end in a tile, and do not.
  const sizes = [[21, 37, 5, 1, 2], [30, 19, 5, 1, 0], [21, 37, 3, 2, 2], [32, 30, 3, 2, 1]] as const;
  const args = sizes.flatMap(([height, width, side]) => [randn([3, 33, height, width]), randn([36, 33, side, side])]);
  const convolve: Fn = (...tensors) =>
    sizes.map(([, , , apart, padding], i) => {
      const [x, w] = tensors.slice(2 * i) as [Tensor, Tensor];
      const y = F.conv2d(x, w, null, 1, padding, apart);
      return y.add(y.mean([1], true)).relu();
    });
  check(toolchain, sizes.length, convolve, [args]);
});

nativeTest("gradients by the input are filtered with mirrored windows", (toolchain) => {
  const size = [18, 26];
  const back: Fn = (g, w) => [F.convInputGrad(g as Tensor, w as Tensor, size, [1, 1], [1, 1], [1, 1], 1)];
  check(toolchain, 1, back, [[randn([2, 40, ...size]), randn([40, 48, 3, 3])]]);
});

nativeTest("filtered convolutions take images of any size", (toolchain) => {
  const images = [[2, 32, 30], [3, 17, 45], [4, 5, 6]] as const;
  const w = randn([40, 32, 3, 3]);
  const convolve: Fn = (x) => [F.conv2d(x as Tensor, w.to((x as Tensor).dtype), null, 1, 1)];
  check(toolchain, 1, convolve, images.map(([n, height, width]) => [randn([n, 32, height, width])]));
});

nativeTest("what is infinite or NaN stays in the windows that see it", () => {
  // The window's side, how far its places are apart, and how many results see either pixel.
  for (const [side, apart, seen] of [[3, 1, [9, 4]], [5, 1, [25, 9]], [3, 2, [9, 4]]] as const) {
    const filters = randn([40, 32, side, side]);
    const [infinite, nan] = [randn([2, 32, 23, 29]), randn([2, 32, 23, 29])];
    infinite.select(0, 1).select(0, 7).select(0, 11).select(0, 13).fill_(Infinity);
    nan.select(0, 0).select(0, 3).select(0, 0).select(0, 28).fill_(NaN);
    noGrad(() => {
      const convolve = (x: Tensor): Tensor => F.conv2d(x, filters, null, 1, (side - 1) / 2 * apart, apart);
      const run = compile(convolve, { mode: "aot", fullgraph: true });
      for (const [x, count] of [[infinite, seen[0]], [nan, seen[1]]] as const) {
        const [result, wanted] = [run(x), convolve(x)];
        assert.equal(Number(wanted.isfinite().logicalNot().sum().item()), count * 40);
        assert.ok(result.isfinite().equal(wanted.isfinite()));
        assert.ok(result.isnan().equal(wanted.isnan()));
        const error = errorOf(result.nanToNum(0, 0, 0), wanted.to(float64).nanToNum(0, 0, 0));
        assert.ok(error < 2e-6, String(error));
      }
    });
  }
});
