/** Loads of a transpose beside other loads: what is named for a square of registers belongs to its first step only. */
import assert from "node:assert/strict";
import { compile, F, noGrad, onCompile, randn, type Tensor } from "../../mod.ts";
import { float32, int32 } from "../../src/core/mod.ts";
import { emitCppTile } from "../../src/inductor/codegen/cpp/emit_tile.ts";
import { lowerGroup } from "../../src/inductor/tile/lower_group.ts";
import { cppTarget } from "../../src/inductor/tile/target.ts";
import { loopVar, ops } from "../../src/loops/mod.ts";
import { add, mul, symbol } from "../../src/symbolic/mod.ts";
import { findToolchain } from "../../src/runtime/cpu/toolchain.ts";
import { nativeTest } from "../runtime/support.ts";
import { base, buffer } from "./codegen/harness.ts";

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

/** The C++ of `out[x, y] = in[y, x] + 1`, of a matrix of so many rows of the result. */
function transposeText(rows: number, columns: number): string {
  const n = rows * columns;
  const [from, out] = [buffer("x", float32, n), buffer("out", float32, n)];
  const [x, y] = [loopVar(rows), loopVar(columns)];
  const value = ops.add(ops.load(from, add(mul(symbol(y), rows), symbol(x))), ops.constant(1, float32));
  const [kernel] = lowerGroup({
    kind: "loops",
    axes: [x, y],
    reduceAxes: [],
    stages: [{ kind: "pointwise", space: "outer", out, index: add(mul(symbol(x), columns), symbol(y)), value }],
    ...base([out]),
  }, cppTarget(16, 2));
  assert(kernel?.kind === "tile");
  return emitCppTile(kernel, 16).text;
}

Deno.test("a transpose writes whole lines past the caches where they are lines, and more than caches hold", () => {
  const text = transposeText(4096, 2048);
  assert.equal(text.match(/tsr_stream\(/g)?.length, 2);
  assert.match(text, /tsr_stream_end\(\)/);
  // Rows of the result that begin within a line; a result that fits the cache.
  assert.doesNotMatch(transposeText(4096, 2056), /tsr_stream/);
  assert.doesNotMatch(transposeText(1024, 2048), /tsr_stream/);
});

nativeTest("transposes of more than the caches hold are those of small ones", () => {
  // Rows beyond whole squares, and a result that begins in the middle of memory.
  for (const [rows, columns] of [[4100, 2048], [2048, 4100]] as const) {
    const x = randn([rows, columns]);
    const out = compile((a: Tensor) => a.t().contiguous().mul(2), { mode: "aot", fullgraph: true })(x).dataSync();
    const from = x.dataSync();
    for (let i = 0; i < rows; i++) {
      for (let j = i % 7; j < columns; j += 7) {
        if (out[j * rows + i] !== 2 * Number(from[i * columns + j])) assert.fail(`${rows} × ${columns} at ${i}, ${j}`);
      }
    }
  }
});

Deno.test({
  name: `positions of maxima of int32 are numbers of its lanes where channels lie innermost${noCompiler}`,
  ignore: noCompiler !== "",
  fn: () => {
    const tiers: string[] = [];
    using _ = onCompile(({ graph }) => tiers.push(graph.tier));
    const x = randn([2, 6, 6, 5, 2]).mul(100).to(int32).permute([0, 4, 1, 2, 3]);
    const pool = (a: Tensor): [Tensor, Tensor] => F.maxPool3dWithIndices(a, [3, 3, 3], [2, 2, 2], 0, 1, true);
    const [values, positions] = compile(pool, { mode: "aot" })(x), [wanted, at] = pool(x);
    assert.deepEqual(values.tolist(), wanted.tolist());
    assert.deepEqual(positions.tolist(), at.tolist());
    assert.deepEqual(tiers, ["cpp"]);
  },
});

Deno.test("pieces of nothing are an empty list, compiled too", () => {
  const pieces = (a: Tensor): number => F.unbindCopy(a, 1).length;
  assert.equal(compile(pieces, { backend: "eager" })(randn([3, 0])), 0);
});
