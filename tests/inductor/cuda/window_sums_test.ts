/**
 * Gradients of depthwise convolutions by their weights on CUDA: sums over pixels for each place of the window are what the CPU gives, whatever the window, the step, its gaps and the
 * rank. Without a GPU they run on the emulated device.
 */
import assert from "node:assert/strict";
import {
  compile,
  CompiledGraph,
  device,
  float16,
  float32,
  noGrad,
  onCompile,
  type Tensor,
  tensor,
} from "../../../mod.ts";
import { F } from "../../../src/tensor/mod.ts";
import { cudaTest, farthest } from "../../helpers/cuda_test.ts";

interface Case {
  readonly name: string;
  readonly images: number;
  readonly channels: number;
  readonly size: readonly number[];
  readonly window: readonly number[];
  readonly stride?: readonly number[];
  readonly padding?: readonly number[];
  readonly dilation?: readonly number[];
  readonly relu?: boolean;
  readonly sums?: boolean;
}

const CASES: readonly Case[] = [
  { name: "3×3, an odd width", images: 9, channels: 24, size: [13, 13], window: [3, 3], padding: [1, 1] },
  { name: "7×7", images: 5, channels: 16, size: [14, 28], window: [7, 7], padding: [3, 3] },
  { name: "5×5 by 2", images: 20, channels: 8, size: [15, 15], window: [5, 5], stride: [2, 2], padding: [2, 2] },
  {
    name: "3×3 without padding, a ReLU before it",
    images: 8,
    channels: 16,
    size: [13, 11],
    window: [3, 3],
    relu: true,
  },
  {
    name: "3×3 with gaps",
    images: 9,
    channels: 16,
    size: [10, 12],
    window: [3, 3],
    padding: [2, 2],
    dilation: [2, 2],
  },
  { name: "a row of 3", images: 40, channels: 8, size: [31], window: [3], padding: [1] },
  { name: "a row of 9 by 3", images: 40, channels: 40, size: [50], window: [9], stride: [3], padding: [4] },
  { name: "3×3×3", images: 3, channels: 8, size: [6, 7, 8], window: [3, 3, 3], padding: [1, 1, 1] },
  { name: "few pixels", images: 2, channels: 8, size: [7, 7], window: [3, 3], padding: [1, 1], sums: false },
];

/** What `body` returns, and the text of all modules that it compiles. */
function withText(body: () => Tensor): { got: Tensor; text: string } {
  const texts: string[] = [];
  using _ = onCompile(({ graph }) => {
    if (graph instanceof CompiledGraph && graph.cuda !== null) {
      texts.push(...graph.cuda.modules.modules.map((m) => m.source));
    }
  });
  const got = body();
  return { got, text: texts.join("\n") };
}

/** What only the kernel in question has. */
const OWN_TEXT = "acc[k][u] = tsr_fma(x[u], g[t][u]";

function gradient(c: Case, dtype: typeof float16 | typeof float32, where: string): { got: Tensor; text: string } {
  const { images, channels, size, window, relu = false } = c;
  const of = (n: number): number[] => size.map(() => n);
  const { stride = of(1), padding = of(0), dilation = of(1) } = c;
  const out = size.map((n, d) =>
    Math.floor((n + 2 * (padding[d] ?? 0) - ((window[d] ?? 1) - 1) * (dilation[d] ?? 1) - 1) / (stride[d] ?? 1)) + 1
  );
  const places = size.map((_, d) => d + 1);
  const make = (shape: readonly number[], seed: number): Tensor => {
    const values = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * i * 0.7 + seed));
    const last = [shape[0] ?? 1, ...shape.slice(2), shape[1] ?? 1];
    return tensor(values).view(last).to(dtype).to(device(where)).permute([0, size.length + 1, ...places]);
  };
  const x = make([images, channels, ...size], 1), g = make([images, channels, ...out], 2);
  const f = compile((x: Tensor, g: Tensor): Tensor =>
    F.convWeightGrad(relu ? F.relu(x) : x, g, [...window], [...stride], [...padding], [...dilation], channels)
  );
  const { got, text } = withText(() => noGrad(() => f(x, g)));
  return { got: got.to(device("cpu")).to(float32), text };
}

for (const dtype of [float16, float32] as const) {
  for (const c of CASES) {
    cudaTest(`a depthwise gradient by the weight on CUDA is that of the CPU: ${c.name}, ${dtype.name}`, () => {
      const { got, text } = gradient(c, dtype, "cuda");
      const { got: want } = gradient(c, dtype, "cpu");
      assert.deepEqual(got.shape, want.shape);
      const terms = c.images * c.size.reduce((a, b) => a * b, 1);
      const worst = farthest(got, want) / Math.sqrt(terms);
      assert.ok(worst < (dtype === float16 ? 4e-3 : 1e-5), `off by ${worst}`);
      assert.equal(text.includes(OWN_TEXT), c.sums ?? true, "which kernel it is");
    });
  }
}

cudaTest("the number of images may change, and what is not finite stays in its channel", () => {
  const f = compile(
    (x: Tensor, g: Tensor): Tensor => F.convWeightGrad(x, g, [3, 3], [1, 1], [1, 1], [1, 1], 16),
  );
  const make = (images: number, seed: number, where: string): Tensor => {
    const values = Array.from({ length: images * 81 * 16 }, (_, i) => Math.sin(i * i * 0.3 + seed));
    if (seed === 1) values[16 * 40 + 5] = Infinity;
    return tensor(values).view([images, 9, 9, 16]).to(float32).to(device(where)).permute([0, 3, 1, 2]);
  };
  // The second number makes it a symbol.
  for (const images of [11, 13, 8]) {
    const [got, want] = ["cuda", "cpu"].map((where) => {
      const made = withText(() => noGrad(() => f(make(images, 1, where), make(images, 2, where))));
      if (where === "cuda" && made.text !== "") assert.ok(made.text.includes(OWN_TEXT), "which kernel it is");
      return made.got.cpu().view([16, 9]).toArray() as number[][];
    });
    got?.forEach((row, channel) =>
      row.forEach((value, i) => {
        const other = want?.[channel]?.[i] ?? NaN;
        if (channel === 5) assert.equal(value, other);
        else assert.ok(Math.abs(value - other) < 1e-3, `${images} images, ${channel}: ${value} and ${other}`);
      })
    );
  }
});
