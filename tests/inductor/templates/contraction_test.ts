import { bfloat16, float16, float32, float64, int64 } from "../../../src/core/mod.ts";
import type { BufferRef } from "../../../src/loops/mod.ts";
import { check, type Numbers, randomNumbers, randomSource } from "../codegen/harness.ts";
import { TIERS } from "../codegen/tiers.ts";
import {
  type Contraction,
  convDepthwise,
  convForward,
  convInputGradient,
  type ConvSizes,
  convWeightGradient,
  matmul,
} from "./contractions.ts";

for (const tier of TIERS) {
  const test = (name: string, fn: () => void): void =>
    Deno.test({ name: `${tier.name}: ${name}`, ignore: tier.ignore, fn });

  const run = (c: Contraction, what: string): void => {
    const next = randomSource(c.flops % 1000 + 1);
    const size = (b: BufferRef): number => b.numel.kind === "const" ? b.numel.value : 0;
    const data = new Map<BufferRef, Numbers>();
    for (const b of [c.a, c.b, ...c.extra]) data.set(b, randomNumbers(size(b), b.dtype, next));
    data.set(c.out, new Array(size(c.out)).fill(0));
    const half = c.out.dtype.bytes === 2;
    const tolerance = c.out.dtype === float64
      ? { relative: 1e-12, absolute: 1e-10 }
      : { relative: half ? 1e-2 : 2e-5, absolute: half ? 0.1 : 2e-3 };
    check({ groups: [c.group], data, outputs: [c.out], tolerance }, tier, what);
  };

  test("products of matrices of odd sizes, in every layout, with an epilogue", () => {
    for (
      const [m, n, k] of [[1, 1, 1], [1, 40, 33], [50, 1, 70], [3, 5, 7], [16, 32, 8], [33, 65, 130], [70, 100, 20], [
        13,
        47,
        300,
      ]] as const
    ) {
      for (const ta of [false, true]) {
        for (const tb of [false, true]) {
          for (const bias of [false, true]) {
            run(
              matmul([1, m, n, k], float32, { ta, tb, bias, turned: ta !== tb }),
              `${m}x${n}x${k} ${ta} ${tb} ${bias}`,
            );
          }
        }
      }
    }
  });

  test("batches and other dtypes", () => {
    run(matmul([3, 20, 37, 50], float32), "batch");
    run(matmul([5, 4, 4, 4], float32, { bias: true }), "small batch");
    for (const dtype of [float64, float16, bfloat16, int64]) {
      run(matmul([2, 34, 45, 30], dtype, { bias: dtype !== int64 }), dtype.name);
    }
  });

  test("a long k with few results", () => {
    run(matmul([1, 8, 24, 9000], float32, { ta: true }), "split k");
    run(matmul([1, 1, 1, 70000], float32), "dot product");
  });

  const sizes: [string, ConvSizes][] = [
    ["pad 1", { n: 2, ci: 3, co: 10, h: 9, w: 11, kernel: 3, padding: 1, stride: 1 }],
    ["no pad", { n: 2, ci: 5, co: 33, h: 9, w: 9, kernel: 3, padding: 0, stride: 1 }],
    ["stride 2", { n: 2, ci: 4, co: 17, h: 15, w: 14, kernel: 3, padding: 1, stride: 2 }],
    ["one channel", { n: 2, ci: 1, co: 32, h: 10, w: 10, kernel: 5, padding: 0, stride: 1 }],
    ["1x1", { n: 2, ci: 16, co: 24, h: 7, w: 7, kernel: 1, padding: 0, stride: 1 }],
  ];
  test("convolutions forward, by weight, by input, depthwise", () => {
    for (const [what, s] of sizes) {
      run(convForward(s, float32), `forward ${what}`);
      run(convWeightGradient(s, float32), `weight ${what}`);
      if (s.stride === 1) run(convInputGradient(s, float32), `input ${what}`);
      run(convDepthwise(s, float32), `depthwise ${what}`);
    }
    run(convForward({ n: 1, ci: 8, co: 16, h: 8, w: 8, kernel: 3, padding: 1, stride: 1 }, bfloat16), "bf16");
  });
}
