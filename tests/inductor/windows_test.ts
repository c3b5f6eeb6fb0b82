/** Sums over windows that leave what they slide over: masks of lanes once, places outside skipped, whatever the window's sizes, steps and gaps. */
import assert from "node:assert/strict";
import { compile, F, noGrad, randn, type Tensor } from "../../mod.ts";
import { float32, int64 } from "../../src/core/mod.ts";
import { emitCppTile } from "../../src/inductor/codegen/cpp/emit_tile.ts";
import { lowerGroup } from "../../src/inductor/tile/lower_group.ts";
import { cppTarget } from "../../src/inductor/tile/target.ts";
import { loopVar, ops, type Value } from "../../src/loops/mod.ts";
import { add, type Expr, mul, sub, symbol } from "../../src/symbolic/mod.ts";
import { nativeTest } from "../runtime/support.ts";
import { base, buffer } from "./codegen/harness.ts";

type Fn = (...tensors: Tensor[]) => Tensor;

/** The largest difference of a compiled function to the reference. */
function worst(fn: Fn, ...args: Tensor[]): number {
  return noGrad(() => {
    const wanted = compile(fn, { backend: "reference" })(...args);
    return compile(fn, { mode: "aot", fullgraph: true })(...args).sub(wanted).abs().max().item() as number;
  });
}

nativeTest("depthwise convolutions of large windows are those of the reference", () => {
  // Widths of whole registers and not, a window wider than the image, steps and gaps.
  for (
    const [width, kernel, step, gap] of [[56, 7, 1, 1], [14, 5, 1, 1], [33, 5, 2, 1], [40, 7, 1, 2], [
      5,
      7,
      1,
      1,
    ]] as const
  ) {
    const x = randn([2, 3, 11, width]), weight = randn([3, 1, kernel, kernel]), bias = randn([3]);
    const pad = Math.floor(gap * (kernel - 1) / 2);
    const convolve: Fn = (a, w, b) => F.conv2d(a, w, b as Tensor, step, pad, gap, 3).relu();
    assert.ok(worst(convolve, x, weight, bias) < 1e-5, `${width} wide, window ${kernel}, step ${step}, gap ${gap}`);
  }
  const line: Fn = (a, w) => F.conv1d(a, w, null, 1, 15, 1, 4);
  assert.ok(worst(line, randn([2, 4, 70]), randn([4, 1, 31])) < 1e-5, "one dimension");
  const solid: Fn = (a, w) => F.conv3d(a, w, null, 1, 1, 1, 2);
  assert.ok(worst(solid, randn([1, 2, 5, 6, 18]), randn([2, 1, 3, 3, 3])) < 1e-5, "three dimensions");
});

nativeTest("averages over large windows, and windows of what is computed, are those of the reference", () => {
  const pool: Fn = (a) => F.avgPool2d(a, 7, 1, 3);
  assert.ok(worst(pool, randn([2, 3, 9, 35])) < 1e-5);
  // The sum's terms are not loads that are 0 outside of the image.
  const shifted: Fn = (a, w) => F.conv2d(F.pad(a, [3, 3, 3, 3], "constant", 0.5), w, null, 1, 0, 1, 3);
  assert.ok(worst(shifted, randn([2, 3, 9, 35]), randn([3, 1, 7, 7])) < 1e-5);
});

nativeTest("patches of four pixels are packed by shuffles, to the last pixel", () => {
  for (const width of [64, 36, 8, 4]) {
    const patches: Fn = (a, w) => F.conv2d(a, w, null, 4);
    assert.ok(worst(patches, randn([2, 3, 16, width]), randn([24, 3, 4, 4])) < 1e-4, `${width} wide`);
  }
});

/** The C++ of `out[y, x] = Σ_(j, k) inside ? in[y + j - 3, x + k - 3] · w[j, k] : other · w[j, k]`. */
function windowText(other: number): string {
  const n = 64, taps = 7;
  const [from, weight, out] = [
    buffer("x", float32, n * n),
    buffer("w", float32, taps * taps),
    buffer("out", float32, n * n),
  ];
  const [y, x, j, k] = [loopVar(n), loopVar(n), loopVar(taps), loopVar(taps)];
  const [row, column] = [sub(add(symbol(y), symbol(j)), 3), sub(add(symbol(x), symbol(k)), 3)];
  const within = (e: Expr): Value =>
    ops.bitwiseAnd(
      ops.ge(ops.index(e, int64), ops.constant(0, int64)),
      ops.lt(ops.index(e, int64), ops.constant(n, int64)),
    );
  const load = ops.load(from, add(mul(row, n), column));
  const term = ops.mul(
    ops.masked(ops.bitwiseAnd(within(row), within(column)), load, other),
    ops.load(weight, add(mul(symbol(j), taps), symbol(k))),
  );
  const [kernel] = lowerGroup({
    kind: "loops",
    axes: [y, x],
    reduceAxes: [j, k],
    stages: [{ kind: "reduction", out, op: "sum", index: add(mul(symbol(y), n), symbol(x)), value: term }],
    ...base([out]),
  }, cppTarget(16, 2));
  assert(kernel?.kind === "tile");
  return emitCppTile(kernel, 16).text;
}

Deno.test("masks of lanes are made once for all rows of a window, and rows outside are skipped", () => {
  const text = windowText(0);
  const skips = text.indexOf("continue");
  const begin = text.lastIndexOf("for (", skips);
  const inner = text.slice(begin, text.indexOf("}", begin));
  assert.match(inner, /continue;[^]*vfma\(tsr_load_m/);
  // Comparisons of lanes.
  assert.doesNotMatch(inner, /tsr_set\(\(int\)/);
  assert.match(text, /[<>]=? tsr_set\(\(int\)/);
  // What is put in the place of pixels outside counts: nothing is skipped.
  assert.doesNotMatch(windowText(1), /continue|vfma/);
});
