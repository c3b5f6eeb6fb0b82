/** Convolutions without written-out windows: near to float64 whatever windows, steps, distances, groups and sizes, with what is before and behind them, and gradients by the input. */
import assert from "node:assert/strict";
import { compile, F, noGrad, randn, type Tensor } from "../../mod.ts";
import type { Toolchain } from "../../src/runtime/cpu/mod.ts";
import { nativeTest } from "../runtime/support.ts";
import { checkConvolutions, type Fn } from "./convolutions.ts";

/** Asserts that as many sums are done directly (`narrow` of them with 256 bits, none with fewer), and that all results are near to those in float64. */
function check(
  { isa: { vectorBytes } }: Toolchain,
  count: number,
  fn: Fn,
  calls: readonly (readonly Tensor[])[],
  narrow = count,
): void {
  checkConvolutions("tsr_sum_directly<", { 64: count, 32: narrow, 16: 0 }[vectorBytes], fn, calls);
}

/** Samples, channels, results, height, width, the window's height and width, step, padding, distance, groups. */
const CASES = [
  // Rows that end in a tile, and do not; results that make no whole panel.
  [2, 16, 24, 13, 17, 3, 3, 2, 1, 1, 1],
  [1, 40, 48, 35, 33, 5, 5, 2, 2, 1, 1],
  [2, 32, 30, 20, 21, 3, 3, 1, 3, 3, 1],
  [2, 32, 60, 26, 30, 3, 3, 2, 1, 1, 2],
  // Rows of several units, and lines that a block of rows writes for itself.
  [1, 24, 32, 40, 260, 3, 3, 2, 0, 1, 1],
  [2, 160, 32, 50, 90, 3, 3, 2, 1, 1, 1],
  // One axis of windows.
  [2, 24, 33, 9, 12, 1, 7, 1, 0, 1, 1],
  [1, 24, 33, 9, 12, 7, 1, 2, 0, 1, 1],
  // Channels in several blocks, and steps wider than windows' places.
  [2, 500, 64, 14, 14, 3, 3, 2, 1, 1, 1],
  [1, 20, 32, 50, 47, 4, 3, 3, 2, 1, 1],
] as const;

nativeTest("direct convolutions are as near to float64 as sums in another order", (toolchain) => {
  const args = CASES.flatMap(([n, from, to, height, width, down, across, , , , groups]) => [
    randn([n, from, height, width]),
    randn([to, from / groups, down, across]),
    randn([to]),
  ]);
  const convolve: Fn = (...tensors) =>
    CASES.map(([, , , , , down, across, step, padding, apart, groups], i) => {
      const [x, w, b] = tensors.slice(3 * i) as [Tensor, Tensor, Tensor];
      const around: [number, number] = [down > 1 ? padding : 0, across > 1 ? padding : 0];
      const y = F.conv2d(x.mul(2).relu(), w, b, step, around, apart, groups);
      return y.add(y.mean([1], true)).relu();
    });
  // With half the registers, writing windows out costs less for three of them.
  check(toolchain, CASES.length, convolve, [args], CASES.length - 3);
});

nativeTest("direct convolutions take batches of any size, and windows of lines", (toolchain) => {
  const w = randn([48, 40, 3, 3]).mul(0.1), line = randn([48, 40, 9]).mul(0.1);
  const convolve: Fn = (x, y) => [
    F.conv2d(x as Tensor, w.to((x as Tensor).dtype), null, 2, 1),
    F.conv1d(y as Tensor, line.to((x as Tensor).dtype), null, 2, 4),
  ];
  check(toolchain, 2, convolve, [2, 5, 3].map((n) => [randn([n, 40, 28, 28]), randn([n, 40, 150])]));
});

nativeTest(
  "windows that see many lines of many channels are written out: each thread would hold all of them",
  (toolchain) => {
    const convolve = (channels: number): void => {
      const w = randn([64, channels, 3, 3]).mul(0.02);
      const apart: Fn = (t) => [F.conv2d(t as Tensor, w.to((t as Tensor).dtype), null, 2, 24, 24)];
      check(toolchain, channels < 2000 ? 1 : 0, apart, [[randn([1, channels, 12, 12])]]);
    };
    convolve(800);
    convolve(3000);
  },
);

nativeTest("gradients by the input are sums of mirrored windows", (toolchain) => {
  const size = [18, 26];
  const back: Fn = (g, w) => [F.convInputGrad(g as Tensor, w as Tensor, size, [1, 1], [1, 2], [1, 1], 1)];
  check(toolchain, 1, back, [[randn([2, 40, ...size]), randn([40, 48, 3, 5]).mul(0.1)]]);
});

nativeTest("what is infinite or NaN stays in the windows of direct convolutions that see it", () => {
  const filters = randn([48, 32, 3, 3]);
  const x = randn([2, 32, 23, 29]);
  x.select(0, 1).select(0, 7).select(0, 11).select(0, 13).fill_(Infinity);
  x.select(0, 0).select(0, 3).select(0, 0).select(0, 28).fill_(NaN);
  noGrad(() => {
    const convolve = compile((t: Tensor) => F.conv2d(t, filters, null, 2, 1), { mode: "aot", fullgraph: true });
    const [result, wanted] = [convolve(x), F.conv2d(x, filters, null, 2, 1)];
    assert.equal(Number(wanted.isfinite().logicalNot().sum().item()), 5 * 48);
    assert.ok(result.isfinite().equal(wanted.isfinite()));
    assert.ok(result.isnan().equal(wanted.isnan()));
  });
});
