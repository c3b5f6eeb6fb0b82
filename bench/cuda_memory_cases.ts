/**
 * Functions that memory bounds, for `cuda_memory.ts`: at a size where they are timed, and at a small one where they are checked.
 *
 * `bench/peers/cuda_memory.py` has the same ones under the same names for PyTorch. Channels that lie innermost are written as views of tensors with the channels last.
 */
import { gradOf } from "../src/autograd/mod.ts";
import { bfloat16, bool, type DType, float16, float32, int64, int8 } from "../src/core/mod.ts";
import { F, type Tensor } from "../src/tensor/mod.ts";
import type { Case } from "./cuda_cases.ts";
import { IMAGE_CASES } from "./cuda_image_cases.ts";

type Shapes = Case["inputs"];
type Body = (...inputs: Tensor[]) => readonly Tensor[];

const list: Case[] = [];

/** Adds a case. */
function add(
  name: string,
  inputs: Shapes,
  small: Shapes,
  body: Body,
  tolerance = 1e-5,
  more: Partial<Case> = {},
): void {
  list.push({ name, inputs, small, body: (given) => body(...given), tolerance, ...more });
}

const near = (dtype: DType): number => dtype === float32 ? 1e-5 : 8e-3;
const rms = (x: Tensor, w: Tensor): Tensor => F.mul(F.mul(x, F.rsqrt(F.add(F.mean(F.mul(x, x), [1], true), 1e-6))), w);
const present = (list: readonly (Tensor | null)[]): Tensor[] => list.filter((t): t is Tensor => t !== null);

/** Rows of a width: as many as make `elements`. */
function rowsOf(dtype: DType, r: number, c: number, what = ["softmax", "layer norm", "rms norm"]): void {
  const size = `${dtype.short} ${r}x${c}`;
  const shapes = (
    n: number,
    weights: number,
  ): Shapes => [[[n, c], dtype], ...Array.from({ length: weights }, () => [[c], dtype] as const)];
  const t = near(dtype);
  if (what.includes("softmax")) {
    add(`softmax ${size}`, shapes(r, 0), shapes(7, 0), (x) => [F.softmax(x as Tensor, 1)], t);
  }
  if (what.includes("layer norm")) {
    add(`layer norm ${size}`, shapes(r, 2), shapes(9, 2), (x, w, b) => [F.layerNorm(x as Tensor, [c], w, b)], t);
  }
  if (what.includes("rms norm")) {
    add(`rms norm ${size}`, shapes(r, 1), shapes(9, 1), (x, w) => [rms(x as Tensor, w as Tensor)], t);
  }
}

for (const dtype of [float32, bfloat16]) {
  const [s, t] = [dtype.short, near(dtype)];
  add(`copy+1 ${s} 2^27`, [[[1 << 27], dtype]], [[[1000], dtype]], (x) => [F.add(x as Tensor, 1)], t);
  add(`gelu(x)*x ${s} 16384x4096`, [[[16384, 4096], dtype]], [[[13, 40], dtype]], (x) => {
    return [F.mul(F.gelu(x as Tensor), x as Tensor)];
  }, t);
  for (const [r, c] of [[16384, 4096], [65536, 1024], [4096, 32768], [32768, 257]] as const) {
    rowsOf(dtype, r, c, ["softmax"]);
  }
  rowsOf(dtype, 16384, 4096, ["layer norm", "rms norm"]);
  add(`sum rows ${s} 16384x8192`, [[[16384, 8192], dtype]], [[[5, 8192], dtype]], (x) => [F.sum(x as Tensor, [1])], t);
  for (const [r, c, n] of [[16384, 8192, 136], [65536, 768, 768]] as const) {
    add(`sum columns ${s} ${r}x${c}`, [[[r, c], dtype]], [[[2000, n], dtype]], (x) => [F.sum(x as Tensor, [0])], t);
  }
  add(`sum all ${s} 2^27`, [[[1 << 27], dtype]], [[[100000], dtype]], (x) => [F.sum(x as Tensor)], t);
  add(`transpose ${s} 8192x8192`, [[[8192, 8192], dtype]], [[[70, 90], dtype]], (x) => {
    return [F.contiguous(F.add(F.transpose(x as Tensor, 0, 1), 1))];
  }, t);
}
for (const dtype of [float32, bfloat16]) {
  const shapes = (n: number): Shapes => [[[n, 50257], dtype], [[n], int64]];
  const name = `${dtype.short} 8192x50257`;
  add(
    `cross entropy ${name}`,
    shapes(8192),
    shapes(6),
    (x, y) => [F.crossEntropyLoss(x as Tensor, y as Tensor)],
    near(dtype),
  );
  add(`cross entropy gradient ${name}`, shapes(8192), shapes(6), (x, y) => {
    return present(gradOf([F.crossEntropyLoss(x as Tensor, y as Tensor)], [x as Tensor]));
  }, near(dtype));
}
for (
  const [rows, c, dtype] of [[16384, 4096, float32], [65536, 768, float32], [65536, 768, bfloat16], [
    16384,
    4096,
    bfloat16,
  ], [32768, 1024, bfloat16]] as const
) {
  const shapes = (n: number): Shapes => [[[n, c], dtype], [[c], dtype], [[c], dtype], [[n, c], dtype]];
  const t = dtype === float32 ? 2e-5 : 8e-3;
  add(`layer norm gradient ${dtype.short} ${rows}x${c}`, shapes(rows), shapes(40), (x, w, b, d) => {
    return present(
      gradOf([F.layerNorm(x as Tensor, [c], w, b)], [x, w, b] as Tensor[], { gradOutputs: [d as Tensor] }),
    );
  }, t);
}
add("rms norm gradient bf16 16384x4096", [[[16384, 4096], bfloat16], [[4096], bfloat16], [[16384, 4096], bfloat16]], [
  [[40, 4096], bfloat16],
  [[4096], bfloat16],
  [[40, 4096], bfloat16],
], (x, w, d) => {
  return present(gradOf([rms(x as Tensor, w as Tensor)], [x, w] as Tensor[], { gradOutputs: [d as Tensor] }));
}, 1.6e-2);
add("softmax gradient bf16 16384x4096", [[[16384, 4096], bfloat16], [[16384, 4096], bfloat16]], [
  [[9, 4096], bfloat16],
  [[9, 4096], bfloat16],
], (y, d) => {
  return [F._softmaxBackwardData(d as Tensor, y as Tensor, 1, bfloat16)];
}, 8e-3);
const gelus = (n: number): Shapes => [[[n, 3072], bfloat16], [[n, 3072], bfloat16]];
add("gelu gradient and sum bf16 25216x3072", gelus(25216), gelus(300), (x, d) => {
  const [g = null] = gradOf([F.gelu(x as Tensor)], [x as Tensor], { gradOutputs: [d as Tensor] });
  return g === null ? [] : [g, F.sum(g, [0])];
}, 8e-3);
const turns = (
  b: number,
  h: number,
  n: number,
): Shapes => [[[b, h, n, 128], bfloat16], [[n, 128], bfloat16], [[n, 128], bfloat16]];
add("rotary bf16 8x32x2048x128", turns(8, 32, 2048), turns(1, 2, 24), (q, cos, sin) => {
  const x = q as Tensor;
  const turned = F.cat([F.neg(F.narrow(x, 3, 64, 64)), F.narrow(x, 3, 0, 64)], 3);
  return [F.add(F.mul(x, cos as Tensor), F.mul(turned, sin as Tensor))];
}, 8e-3);
add("cumsum f32 8192x8192", [[[8192, 8192], float32]], [[[5, 8192], float32]], (x) => [F.cumsum(x as Tensor, 1)]);
const four = (n: number): Shapes => [0, 1, 2, 3].map(() => [[n], float32] as const);
add("adamw f32 2^26", four(1 << 26), four(1001), (p, g, m, v) => {
  const m2 = F.add(F.mul(m as Tensor, 0.9), F.mul(g as Tensor, 0.1));
  const v2 = F.add(F.mul(F.abs(v as Tensor), 0.999), F.mul(F.mul(g as Tensor, g as Tensor), 0.001));
  return [F.sub(F.mul(p as Tensor, 0.99), F.mul(F.div(m2, F.add(F.sqrt(v2), 1e-8)), 1e-3)), m2, v2];
});

// Rows of other widths.
for (
  const [r, c] of [[65536, 768], [32768, 1000], [32768, 1024], [16384, 2048], [8192, 5120], [8192, 8192], [
    1024,
    50257,
  ]] as const
) {
  rowsOf(bfloat16, r, c);
  if (c !== 1024 && c !== 2048) rowsOf(float32, r, c);
}
rowsOf(float16, 32768, 1000);
rowsOf(float16, 16384, 2048);

// Chains of pointwise operations.
const wide = (n: number, ...more: Shapes): Shapes => [[[n, 4096], bfloat16], ...more];
add("bias and gelu bf16 16384x4096", wide(16384, [[4096], bfloat16]), wide(9, [[4096], bfloat16]), (x, b) => {
  return [F.gelu(F.add(x as Tensor, b as Tensor))];
}, 8e-3);
add("scale of rows bf16 16384x4096", wide(16384, [[16384, 1], bfloat16]), wide(9, [[9, 1], bfloat16]), (x, b) => {
  return [F.mul(F.silu(x as Tensor), b as Tensor)];
}, 8e-3);
add("where of a mask bf16 16384x4096", wide(16384, [[16384, 4096], bool]), wide(9, [[9, 4096], bool]), (x, m) => {
  return [F.where(m as Tensor, F.mul(x as Tensor, 2), F.neg(x as Tensor))];
}, 8e-3);
add("compare bf16 16384x4096", wide(16384), wide(9), (x) => [F.gt(x as Tensor, 0)], 0);
add("dropout gradient bf16 16384x4096", wide(16384, [[16384, 4096], bool]), wide(9, [[9, 4096], bool]), (d, m) => {
  return [F.nativeDropoutBackward(d as Tensor, m as Tensor, 1.25)];
}, 8e-3);
add("cast f32 to bf16 2^27", [[[1 << 27], float32]], [[[1001], float32]], (x) => [F.to(x as Tensor, bfloat16)], 8e-3);
add("cast bf16 to f32 2^27", [[[1 << 27], bfloat16]], [[[1001], bfloat16]], (x) => [F.to(x as Tensor, float32)]);
add(
  "dequantise i8 16384x4096",
  [[[16384, 4096], int8], [[4096], bfloat16]],
  [[[9, 4096], int8], [[4096], bfloat16]],
  (x, w) => {
    return [F.mul(F.to(x as Tensor, bfloat16), w as Tensor)];
  },
  8e-3,
);
add("quantise to i8 bf16 16384x4096", wide(16384), wide(9), (x) => {
  return [F.to(F.clamp(F.round(F.mul(x as Tensor, 32)), -127, 127), int8)];
}, 8e-3);
const halves = (n: number): Shapes => [[[n, 8192], bfloat16]];
const gate = (x: Tensor): Tensor => F.mul(F.silu(F.narrow(x, 1, 0, 4096)), F.narrow(x, 1, 4096, 4096));
add("swiglu bf16 16384x8192", halves(16384), halves(9), (x) => [gate(x as Tensor)], 8e-3);
add("swiglu gradient bf16 16384x8192", [...halves(16384), [[16384, 4096], bfloat16]], [...halves(9), [
  [9, 4096],
  bfloat16,
]], (x, d) => {
  return present(gradOf([gate(x as Tensor)], [x as Tensor], { gradOutputs: [d as Tensor] }));
}, 1.6e-2);

// Tables.
add("embedding bf16 32768 of 50257x1024", [[[50257, 1024], bfloat16], [[32768], int64]], [[[1000, 1024], bfloat16], [[
  40,
], int64]], (w, i) => {
  return [F.embedding(w as Tensor, i as Tensor)];
}, 0);
add("embedding gradient f32 32768 of 50257x1024", [[[32768, 1024], float32], [[32768], int64]], [
  [[40, 1024], float32],
  [[40], int64],
], (d, i) => {
  return [F.embeddingDenseBackward(d as Tensor, i as Tensor, 50257, -1, false)];
}, 1e-5);

// Other places.
add(
  "cat of columns bf16 16384x4096",
  wide(16384, [[16384, 2048], bfloat16]),
  wide(9, [[9, 2048], bfloat16]),
  (x, y) => {
    return [F.cat([x as Tensor, y as Tensor], 1)];
  },
  0,
);
const images = (n: number): Shapes => [[[n, 64, 56, 56], bfloat16]];
add("pad bf16 128x64x56x56", images(128), images(2), (x) => [F.constantPadNd(x as Tensor, [1, 1, 1, 1], 0)], 0);
add("roll bf16 128x56x56x96", [[[128, 56, 56, 96], bfloat16]], [[[1, 56, 56, 96], bfloat16]], (x) => {
  return [F.roll(x as Tensor, [-3, -3], [1, 2])];
}, 0);
add(
  "channels last bf16 128x64x56x56",
  images(128),
  images(2),
  (x) => [F.contiguous(F.permute(x as Tensor, [0, 2, 3, 1]))],
  0,
);
add("heads bf16 16x1024x16x64", [[[16, 1024, 16, 64], bfloat16]], [[[1, 10, 16, 64], bfloat16]], (x) => {
  return [F.contiguous(F.transpose(x as Tensor, 1, 2))];
}, 0);

// Norms over channels.
const innermost = (x: Tensor): Tensor => F.permute(x, [0, 3, 1, 2]);
const last = (n: number, side: number, c: number): Shapes[number] => [[n, side, side, c], bfloat16];
const weights = (c: number): Shapes => [[[c], bfloat16], [[c], bfloat16]];
add("group norm bf16 32x128x64x64", [[[32, 128, 64, 64], bfloat16], ...weights(128)], [
  [[2, 128, 8, 8], bfloat16],
  ...weights(128),
], (x, w, b) => {
  return [F.groupNorm(x as Tensor, 32, w, b)];
}, 8e-3);
add("group norm bf16 32x64x64x128 (channels last)", [last(32, 64, 128), ...weights(128)], [
  last(2, 8, 128),
  ...weights(128),
], (x, w, b) => {
  return [F.permute(F.groupNorm(innermost(x as Tensor), 32, w, b), [0, 2, 3, 1])];
}, 8e-3);
const floats = (c: number): Shapes => [[[c], float32], [[c], float32]];
for (const [n, side, c] of [[32, 112, 64], [32, 56, 256]] as const) {
  add(`batch norm bf16 ${n}x${side}x${side}x${c} (channels last)`, [last(n, side, c), ...floats(c)], [
    last(2, 8, c),
    ...floats(c),
  ], (x, w, b) => {
    const [y, mean, rstd] = F.nativeBatchNorm(
      innermost(x as Tensor),
      w as Tensor,
      b as Tensor,
      null,
      null,
      true,
      0.1,
      1e-5,
    );
    return [F.permute(y, [0, 2, 3, 1]), mean, rstd];
  }, 8e-3);
  add(
    `batch norm gradient bf16 ${n}x${side}x${side}x${c} (channels last)`,
    [last(n, side, c), last(n, side, c), ...floats(c), [[c], float32]],
    [last(2, 8, c), last(2, 8, c), ...floats(c), [[c], float32]],
    (x, d, w, mean, rstd) => {
      const [g, gw, gb] = F.nativeBatchNormBackward(
        innermost(d as Tensor),
        innermost(x as Tensor),
        w as Tensor,
        null,
        null,
        mean as Tensor,
        rstd as Tensor,
        true,
        1e-5,
        [true, true, true],
      );
      return [F.permute(g, [0, 2, 3, 1]), gw, gb];
    },
    1.6e-2,
  );
}

/** All cases in order. */
export const MEMORY_CASES: readonly Case[] = [...list, ...IMAGE_CASES];
