/**
 * Convolutions on Hopper whose channels fill steps: the copy engine brings the pixels of a tile, a place of the window at a time.
 * Without a GPU they run on the emulated device.
 */
import assert from "node:assert/strict";
import { compile, CompiledGraph, device, float16, nn, noGrad, onCompile, type Tensor } from "../../../mod.ts";
import { contractionOf, measureWays } from "../../../bench/contraction_ways.ts";
import { cudaContext } from "../../../src/runtime/cuda/mod.ts";
import { choiceToText } from "../../../src/inductor/templates/cuda_choices.ts";
import { F } from "../../../src/tensor/mod.ts";
import { cudaTest, farthest } from "../../helpers/cuda_test.ts";
import { wave as waveOf } from "../../helpers/wave.ts";

const { conv1d, conv2d, conv3d } = nn.functional;

interface Case {
  readonly name: string;
  /** Images, spatial sizes, channels. */
  readonly image: readonly number[];
  readonly outputs: number;
  readonly window: readonly number[];
  readonly stride?: number;
  readonly padding?: number;
  readonly dilation?: number;
  readonly groups?: number;
}

const CASES: readonly Case[] = [
  { name: "3×3 with padding", image: [29, 14, 14, 64], outputs: 16, window: [3, 3], padding: 1 },
  {
    name: "3×3 in steps of two, an odd size",
    image: [101, 15, 15, 64],
    outputs: 16,
    window: [3, 3],
    stride: 2,
    padding: 1,
  },
  { name: "3×2 with gaps", image: [44, 16, 13, 64], outputs: 16, window: [3, 2], dilation: 2 },
  { name: "1×1 in steps of two", image: [230, 9, 10, 128], outputs: 16, window: [1, 1], stride: 2 },
  { name: "5 along one dimension", image: [57, 100, 64], outputs: 16, window: [5], padding: 2 },
  {
    name: "3 along one dimension in steps of two, without padding",
    image: [57, 115, 64],
    outputs: 16,
    window: [3],
    stride: 2,
  },
  { name: "two groups", image: [15, 14, 14, 128], outputs: 32, window: [3, 3], padding: 1, groups: 2 },
  { name: "3×1×2 in three dimensions", image: [13, 6, 8, 9, 64], outputs: 16, window: [3, 1, 2], padding: 1 },
];

for (const c of CASES) {
  cudaTest(`the copy engine brings the pixels of a convolution: ${c.name}`, () => {
    const texts: string[] = [];
    using _ = onCompile(({ graph }) => {
      if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
      texts.push(...graph.cuda.modules.modules.map((m) => m.source));
    });
    const rank = c.window.length;
    const options = {
      stride: c.stride ?? 1,
      padding: c.padding ?? 0,
      dilation: c.dilation ?? 1,
      groups: c.groups ?? 1,
    };
    const spatial = Array.from({ length: rank }, (_, i) => i + 1);
    const convolution = [conv1d, conv2d, conv3d][rank - 1] as typeof conv2d;
    // Channels are innermost, and stay so.
    const first = (t: Tensor): Tensor => t.permute([0, rank + 1, ...spatial]);
    const f = compile((x: Tensor, w: Tensor): Tensor =>
      convolution(first(x), first(w), null, options).relu().permute([0, ...spatial.map((d) => d + 1), 1]).contiguous()
    );
    const channels = c.image.at(-1) ?? 1;
    const x = waveOf(c.image, 0.7, float16),
      w = waveOf([c.outputs, ...c.window, channels / (c.groups ?? 1)], 1.1, float16);
    const [got, want] = ["cuda", "cpu"].map((where) => noGrad(() => f(x.to(device(where)), w.to(device(where))))) as [
      Tensor,
      Tensor,
    ];
    assert.ok(texts.some((text) => /tsr_pixels\(to/.test(text)), "pixels are not brought by the copy engine");
    assert.ok(farthest(got, want) < 0.06, `off by ${farthest(got, want)}`);
  });
}

cudaTest("the copy engine brings the pixels of a convolution of as many images as there are", () => {
  const texts: string[] = [];
  using _ = onCompile(({ graph }) => {
    if (graph instanceof CompiledGraph && graph.cuda !== null) {
      texts.push(...graph.cuda.modules.modules.map((m) => m.source));
    }
  });
  const f = compile((x: Tensor, w: Tensor): Tensor =>
    conv2d(x.permute([0, 3, 1, 2]), w.permute([0, 3, 1, 2]), null, { padding: 1 }).permute([0, 2, 3, 1]).contiguous()
  );
  const w = waveOf([72, 3, 3, 64], 1.1, float16);
  for (const images of [3, 5]) {
    const x = waveOf([images, 14, 14, 64], 0.7, float16);
    const [got, want] = ["cuda", "cpu"].map((where) => noGrad(() => f(x.to(device(where)), w.to(device(where))))) as [
      Tensor,
      Tensor,
    ];
    assert.ok(farthest(got, want) < 0.06, `${images} images are off by ${farthest(got, want)}`);
  }
  const dynamic = texts.filter((text) => /size0/.test(text));
  assert.ok(dynamic.some((text) => /tsr_pixels\(to/.test(text)), "pixels are not brought by the copy engine");
});

for (
  const [what, size, step, channels, groups] of [["", 14, 1, 128, 1], [
    " in steps of two, of two groups",
    27,
    2,
    128,
    2,
  ]] as const
) {
  cudaTest(`the copy engine brings pixels for the gradient by the weight${what}`, () => {
    const texts: string[] = [];
    using _ = onCompile(({ graph }) => {
      if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
      texts.push(...graph.cuda.modules.modules.map((m) => m.source));
    });
    const two = (n: number): number[] => [n, n];
    const f = compile((x: Tensor, g: Tensor): Tensor =>
      F.convWeightGrad(x.permute([0, 3, 1, 2]), g.permute([0, 3, 1, 2]), two(3), two(step), two(1), two(1), groups)
    );
    // The last step has pixels beyond the last image.
    const x = waveOf([9, size, size, channels], 0.7, float16), g = waveOf([9, 14, 14, 16 * groups], 1.1, float16);
    const [got, want] = ["cuda", "cpu"].map((where) => noGrad(() => f(x.to(device(where)), g.to(device(where))))) as [
      Tensor,
      Tensor,
    ];
    assert.ok(texts.some((text) => /tsr_pixels\(to \+ /.test(text)), "pixels are not brought by the copy engine");
    assert.ok(farthest(got, want) < 0.1, `off by ${farthest(got, want)}`);
  });
}

cudaTest("what max-autotune measures of a convolution has its pixels brought by the copy engine", () => {
  const kernel = contractionOf("a convolution", float16, (input) => {
    const [x, w] = [input("x", [2, 64, 8, 8], [4096, 1, 512, 64]), input("w", [32, 64, 3, 3], [576, 1, 192, 64])];
    return F.permute(F.conv2d(x, w, null, [1, 1], [1, 1]), [0, 2, 3, 1]).contiguous();
  });
  const [ways = []] = measureWays(cudaContext(0), [kernel], { cublaslt: 0, cudnn: 0 }, 1);
  assert.deepEqual(ways.map(({ error }) => error), [null]);
  assert.ok(ways.every(({ choice }) => choiceToText(choice).startsWith("wgmma")), "warpgroups multiply");
});
