/**
 * Convolutions of halves on Hopper's tensor cores: threads gather pixels for the products of warpgroups.
 * Without a GPU they run on the emulated device.
 */
import assert from "node:assert/strict";
import { compile, CompiledGraph, device, float16, nn, noGrad, onCompile, type Tensor } from "../../../mod.ts";
import { cudaTest, farthest } from "../../helpers/cuda_test.ts";
import { wave as waveOf } from "../../helpers/wave.ts";

const { conv2d, relu } = nn.functional;

const wave = (shape: readonly number[], step: number): Tensor => waveOf(shape, step, float16);

interface Case {
  readonly name: string;
  readonly image: readonly [number, number, number, number];
  readonly outputs: number;
  readonly window: number;
  readonly stride?: number;
}

const CASES: readonly Case[] = [
  { name: "3×3, sums that fill no whole step", image: [2, 24, 56, 56], outputs: 24, window: 3 },
  {
    name: "3×3 with a stride, rows that fill no whole tile",
    image: [7, 16, 57, 57],
    outputs: 16,
    window: 3,
    stride: 2,
  },
  { name: "5×5 in one image", image: [1, 8, 76, 76], outputs: 40, window: 5 },
];

for (const c of CASES) {
  cudaTest(`a convolution gathers its pixels: ${c.name}`, () => {
    const texts: string[] = [];
    using _ = onCompile(({ graph }) => {
      if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
      texts.push(...graph.cuda.modules.modules.map((m) => m.source));
    });
    const [, channels] = c.image;
    const options = { stride: c.stride ?? 1, padding: c.window >> 1 };
    // Channels are innermost, and stay so.
    const f = compile((x: Tensor, w: Tensor): Tensor =>
      relu(conv2d(x.permute([0, 3, 1, 2]), w.permute([0, 3, 1, 2]), null, options)).permute([0, 2, 3, 1]).contiguous()
    );
    const [n, , h, width] = c.image;
    const x = wave([n, h, width, channels], 0.7), w = wave([c.outputs, c.window, c.window, channels], 1.1);
    const [got, want] = ["cuda", "cpu"].map((where) => noGrad(() => f(x.to(device(where)), w.to(device(where))))) as [
      Tensor,
      Tensor,
    ];
    assert.ok(texts.some((text) => /tsr_gather16<\w+>\(to/.test(text)), "pixels are gathered");
    assert.ok(farthest(got, want) < 0.06, `off by ${farthest(got, want)}`);
  });
}
