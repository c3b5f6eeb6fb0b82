import { bfloat16, float16, float32, float64, int64 } from "../../../src/core/mod.ts";
import type { BufferRef } from "../../../src/loops/mod.ts";
import assert from "node:assert/strict";
import {
  type Case,
  checkAll,
  fromBuffer,
  type Numbers,
  planOf,
  randomNumbers,
  randomSource,
  toBuffer,
} from "../codegen/harness.ts";
import { eachTier } from "../codegen/tiers.ts";
import {
  type Contraction,
  convDepthwise,
  convForward,
  convInputGradient,
  type ConvSizes,
  convWeightGradient,
  matmul,
} from "./contractions.ts";

type Named = readonly [what: string, c: Case];

function caseOf(c: Contraction, what: string): Named {
  const next = randomSource(c.flops % 1000 + 1);
  const size = (b: BufferRef): number => b.numel.kind === "const" ? b.numel.value : 0;
  const data = new Map<BufferRef, Numbers>();
  for (const b of [c.a, c.b, ...c.extra]) data.set(b, randomNumbers(size(b), b.dtype, next));
  data.set(c.out, new Array(size(c.out)).fill(0));
  const half = c.out.dtype.bytes === 2;
  const tolerance = c.out.dtype === float64
    ? { relative: 1e-12, absolute: 1e-10 }
    : { relative: half ? 1e-2 : 2e-5, absolute: half ? 0.1 : 2e-3 };
  return [what, { groups: [c.group], data, outputs: [c.out], tolerance }];
}

const flags = [false, true];
const sizes = [[1, 1, 1], [1, 40, 33], [50, 1, 70], [3, 5, 7], [33, 65, 60], [13, 47, 100], [5, 20, 700]] as const;
const products = sizes.flatMap(([m, n, k]) =>
  flags.flatMap((ta) =>
    flags.map((tb) => {
      const options = { ta, tb, bias: ta, turned: ta !== tb };
      return caseOf(matmul([1, m, n, k], float32, options), `${m}x${n}x${k} ${ta} ${tb}`);
    })
  )
);

const others = [
  caseOf(matmul([3, 20, 37, 50], float32), "batch"),
  caseOf(matmul([5, 4, 4, 4], float32, { bias: true }), "small batch"),
  ...[float64, float16, bfloat16, int64].map((dtype) =>
    caseOf(matmul([2, 34, 45, 30], dtype, { bias: dtype !== int64 }), dtype.name)
  ),
];

const long = [
  caseOf(matmul([1, 8, 24, 9000], float32, { ta: true }), "pieces of k"),
  caseOf(matmul([1, 1, 1, 70000], float32), "dot product"),
];

const images: [string, ConvSizes][] = [
  ["pad 1", { n: 2, ci: 3, co: 10, h: 9, w: 11, kernel: 3, padding: 1, stride: 1 }],
  ["no pad", { n: 2, ci: 5, co: 33, h: 9, w: 9, kernel: 3, padding: 0, stride: 1 }],
  ["stride 2", { n: 2, ci: 4, co: 17, h: 15, w: 14, kernel: 3, padding: 1, stride: 2 }],
  ["stride 2, rows of several vectors", { n: 1, ci: 3, co: 20, h: 9, w: 70, kernel: 7, padding: 3, stride: 2 }],
  ["stride 2, windows of 5", { n: 2, ci: 2, co: 9, h: 31, w: 33, kernel: 5, padding: 2, stride: 2 }],
  ["stride 2, no pad", { n: 2, ci: 3, co: 8, h: 9, w: 41, kernel: 3, padding: 0, stride: 2 }],
  ["one channel", { n: 2, ci: 1, co: 32, h: 10, w: 10, kernel: 5, padding: 0, stride: 1 }],
  ["rows longer than a step", { n: 1, ci: 2, co: 6, h: 6, w: 40, kernel: 3, padding: 1, stride: 1 }],
  ["many pixels", { n: 1, ci: 1, co: 5, h: 25, w: 26, kernel: 3, padding: 1, stride: 1 }],
  ["1x1", { n: 2, ci: 16, co: 24, h: 7, w: 7, kernel: 1, padding: 0, stride: 1 }],
];
const convolutions = [
  ...images.flatMap(([what, s]) => [
    caseOf(convForward(s, float32), `forward ${what}`),
    caseOf(convWeightGradient(s, float32), `weight ${what}`),
    ...(s.stride === 1 ? [caseOf(convInputGradient(s, float32), `input ${what}`)] : []),
    caseOf(convDepthwise(s, float32), `depthwise ${what}`),
  ]),
  caseOf(convForward({ n: 1, ci: 8, co: 16, h: 8, w: 8, kernel: 3, padding: 1, stride: 1 }, bfloat16), "bf16"),
];

eachTier((test, tier) => {
  test("products of matrices of odd sizes, in every layout, with an epilogue", () => checkAll(products, tier));
  test("batches and other dtypes", () => checkAll(others, tier));
  test("a long k with few results", () => checkAll(long, tier));
  test("convolutions forward, by weight, by input, depthwise", () => checkAll(convolutions, tier));

  test("a product with blocks in every direction", () => {
    const [m, n, k] = [530, 700, 610];
    const c = matmul([1, m, n, k], float32, { tb: true });
    const next = randomSource(77);
    const a = Float32Array.from({ length: m * k }, () => next() - 0.5);
    const b = Float32Array.from({ length: n * k }, () => next() - 0.5);
    const executable = tier.compile(planOf([c.group], [c.a, c.b, c.out], []));
    const memory = [toBuffer(float32, []), toBuffer(float32, []), toBuffer(float32, [])];
    [a.byteLength, b.byteLength, m * n * 4].forEach((bytes, i) => {
      memory[i] = toBuffer(float32, new Array(bytes / 4).fill(0));
    });
    memory[0]?.float32.set(a);
    memory[1]?.float32.set(b);
    executable.run(memory, []);
    const out = memory[2];
    assert(out !== undefined);
    const actual = fromBuffer(float32, out, m * n);
    for (let i = 0; i < m; i += 7) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let x = 0; x < k; x++) sum += (a[i * k + x] ?? 0) * (b[j * k + x] ?? 0);
        assert(Math.abs(Number(actual[i * n + j]) - sum) < 1e-4, `element ${i}, ${j}`);
      }
    }
  });
});
