/**
 * Depthwise convolutions on CUDA: the kernel whose windows slide gives what the CPU gives, whatever the window, the stride and what is fused around it.
 * Without a GPU they run on the emulated device.
 */
import assert from "node:assert/strict";
import {
  compile,
  CompiledGraph,
  device,
  float16,
  float32,
  nn,
  noGrad,
  onCompile,
  type Tensor,
  tensor,
} from "../../../mod.ts";
import { cudaTest, farthest } from "../../helpers/cuda_test.ts";

const { conv2d, gelu, hardswish, relu } = nn.functional;

/** Text of all modules that `body` compiles. */
function sources(body: () => void): string {
  const texts: string[] = [];
  using _ = onCompile(({ graph }) => {
    if (graph instanceof CompiledGraph && graph.cuda !== null) {
      texts.push(...graph.cuda.modules.modules.map((m) => m.source));
    }
  });
  body();
  return texts.join("\n");
}

interface Case {
  readonly name: string;
  readonly shape: readonly [number, number, number, number];
  readonly window: readonly [number, number];
  readonly stride?: number;
  readonly padding?: readonly [number, number];
  readonly dilation?: number;
  readonly around?: "gelu" | "residual" | "hardswish";
  readonly slides?: boolean;
}

const CASES: readonly Case[] = [
  { name: "7×7, 14 wide", shape: [2, 32, 14, 14], window: [7, 7], padding: [3, 3] },
  { name: "3×3, 7 wide, GELU behind it", shape: [1, 24, 7, 7], window: [3, 3], padding: [1, 1], around: "gelu" },
  { name: "5×5, stride 2", shape: [2, 16, 15, 15], window: [5, 5], stride: 2, padding: [2, 2], around: "hardswish" },
  { name: "3×3 without padding, 11 wide", shape: [1, 16, 13, 13], window: [3, 3], around: "gelu" },
  { name: "3×5, a sum before it", shape: [2, 40, 9, 12], window: [3, 5], padding: [1, 2], around: "residual" },
  {
    name: "3×3, dilation 2, an odd width",
    shape: [1, 16, 11, 11],
    window: [3, 3],
    padding: [2, 2],
    dilation: 2,
    slides: false,
  },
  { name: "5×5, dilation 2", shape: [1, 16, 14, 14], window: [5, 5], padding: [4, 4], dilation: 2 },
  {
    name: "3×3, dilation 3, GELU behind it",
    shape: [1, 16, 9, 9],
    window: [3, 3],
    padding: [3, 3],
    dilation: 3,
    around: "gelu",
  },
  { name: "9×9, narrow", shape: [1, 8, 5, 3], window: [9, 9], padding: [4, 4] },
];

function run(c: Case, dtype: typeof float16 | typeof float32, where: string): { got: Tensor; text: string } {
  const [, channels] = c.shape;
  const make = (shape: readonly number[], seed: number): Tensor => {
    const values = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 0.7 + seed));
    return tensor(values).view([...shape]).to(dtype).to(device(where));
  };
  const x = make(c.shape, 1), y = make(c.shape, 2), bias = make([channels], 4);
  const w = make([channels, 1, ...c.window], 3);
  const f = compile((x: Tensor, y: Tensor, w: Tensor, bias: Tensor): Tensor => {
    const input = c.around === "residual" ? relu(x.add(y)) : x;
    const out = conv2d(input, w, bias, {
      stride: c.stride ?? 1,
      padding: [...c.padding ?? [0, 0]],
      dilation: c.dilation ?? 1,
      groups: channels,
    });
    // Two cases keep the order of memory that the caller sees.
    if (c.around === "gelu") return gelu(out);
    return c.around === "hardswish" ? hardswish(out) : out.permute([0, 2, 3, 1]).contiguous();
  });
  // Channels innermost, as networks have it.
  const last = (t: Tensor): Tensor => t.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
  const packed = w.permute([2, 3, 1, 0]).contiguous().permute([3, 2, 0, 1]);
  let got = x;
  const text = sources(() => {
    got = noGrad(() => f(last(x), last(y), packed, bias));
  });
  return { got: got.to(device("cpu")).to(float32), text };
}

for (const dtype of [float16, float32] as const) {
  for (const c of CASES) {
    cudaTest(`a depthwise convolution on CUDA is that of the CPU: ${c.name}, ${dtype.name}`, () => {
      const { got, text } = run(c, dtype, "cuda");
      const { got: want } = run(c, dtype, "cpu");
      assert.deepEqual(got.shape, want.shape);
      const worst = farthest(got, want);
      assert.ok(worst < (dtype === float16 ? 0.02 : 1e-4), `off by ${worst}`);
      assert.equal(text.includes("weights[k]"), c.slides ?? true, "which kernel it is");
    });
  }
}
