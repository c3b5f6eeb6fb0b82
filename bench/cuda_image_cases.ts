/**
 * Functions of images that memory bounds, in both orders of memory, for `cuda_memory.ts`: what networks of convolutions do between these.
 *
 * Channels that lie innermost are written as views of tensors with the channels last; what they give is stored so too.
 */
import { gradOf } from "../src/autograd/mod.ts";
import { bfloat16, float32 } from "../src/core/mod.ts";
import { F, type Tensor } from "../src/tensor/mod.ts";
import type { Case } from "./cuda_cases.ts";

type Shapes = Case["inputs"];

const list: Case[] = [];

/** Adds a case. */
function add(name: string, inputs: Shapes, small: Shapes, body: (...given: Tensor[]) => readonly Tensor[]): void {
  list.push({ name, inputs, small, body: (given) => body(...given), tolerance: 1.6e-2 });
}

const planes = (n: number, c: number, side: number): Shapes[number] => [[n, c, side, side], bfloat16];
const last = (n: number, side: number, c: number): Shapes[number] => [[n, side, side, c], bfloat16];
const floats = (c: number): Shapes => [[[c], float32], [[c], float32]];
const halves = (c: number): Shapes => [[[c], bfloat16], [[c], bfloat16]];
/** The view with channels in the second dimension, and the other way round. */
const inner = (x: Tensor): Tensor => F.permute(x, [0, 3, 1, 2]);
const outer = (x: Tensor): Tensor => F.contiguous(F.permute(x, [0, 2, 3, 1]));
const gradient = (y: Tensor, x: Tensor, d: Tensor): Tensor[] =>
  gradOf([y], [x], { gradOutputs: [d] }).filter((t): t is Tensor => t !== null);

// Norms.
for (const [n, side, c] of [[32, 64, 128], [8, 64, 320], [2, 256, 128], [1, 512, 256]] as const) {
  add(`group norm and silu bf16 ${n}x${side}x${side}x${c}, channels last`, [last(n, side, c), ...halves(c)], [
    last(2, 9, c),
    ...halves(c),
  ], (x, w, b) => [outer(F.silu(F.groupNorm(inner(x as Tensor), 32, w, b)))]);
}
add("group norm bf16 2x128x256x256", [planes(2, 128, 256), ...halves(128)], [planes(1, 128, 40), ...halves(128)], (
  x,
  w,
  b,
) => [F.groupNorm(x as Tensor, 32, w, b)]);
add("instance norm bf16 32x64x128x128", [planes(32, 64, 128)], [planes(2, 8, 12)], (x) => [
  F.instanceNorm(x as Tensor, null, null, null, null, true, 0.1, 1e-5, false),
]);
const batchNorm = (x: Tensor, w: Tensor, b: Tensor): readonly Tensor[] =>
  F.nativeBatchNorm(x, w, b, null, null, true, 0.1, 1e-5);
add("batch norm bf16 32x64x112x112", [planes(32, 64, 112), ...floats(64)], [planes(3, 8, 12), ...floats(8)], (
  x,
  w,
  b,
) => batchNorm(x as Tensor, w as Tensor, b as Tensor));
add("batch norm and relu bf16 32x28x28x512, channels last", [last(32, 28, 512), ...floats(512)], [
  last(2, 6, 64),
  ...floats(64),
], (x, w, b) => {
  const [y, mean, rstd] = batchNorm(inner(x as Tensor), w as Tensor, b as Tensor) as [Tensor, Tensor, Tensor];
  return [F.permute(F.relu(y), [0, 2, 3, 1]), mean, rstd];
});
add("layer norm over channels bf16 64x192x56x56", [planes(64, 192, 56), ...floats(192)], [
  planes(2, 24, 9),
  ...floats(24),
], (x, w, b) => {
  const given = F.to(x as Tensor, float32);
  const centred = F.sub(given, F.mean(given, [1], true));
  const scaled = F.mul(centred, F.rsqrt(F.add(F.mean(F.mul(centred, centred), [1], true), 1e-6)));
  const wide = (t: Tensor): Tensor => F.reshape(t, [-1, 1, 1]);
  return [F.to(F.add(F.mul(scaled, wide(w as Tensor)), wide(b as Tensor)), bfloat16)];
});

// Along other dimensions than the innermost.
add("softmax over channels bf16 16x21x512x512", [planes(16, 21, 512)], [planes(2, 21, 9)], (x) => [
  F.softmax(x as Tensor, 1),
]);
add("softmax over channels f32 32x150x128x128", [[[32, 150, 128, 128], float32]], [[[2, 150, 9, 9], float32]], (x) => [
  F.softmax(x as Tensor, 1),
]);
add("argmax over channels f32 16x21x512x512", [[[16, 21, 512, 512], float32]], [[[2, 21, 9, 9], float32]], (x) => [
  F.argmax(x as Tensor, 1, false),
]);
add("argmax of columns f32 16384x4096", [[[16384, 4096], float32]], [[[400, 64], float32]], (x) => [
  F.argmax(x as Tensor, 0, false),
]);
add("cumsum of columns f32 8192x8192", [[[8192, 8192], float32]], [[[60, 40], float32]], (x) => [
  F.cumsum(x as Tensor, 0),
]);
add("mean of images bf16 256x56x56x256, channels last", [last(256, 56, 256)], [last(2, 9, 64)], (x) => [
  F.mean(inner(x as Tensor), [2, 3], false),
]);
add("mean of images bf16 256x256x56x56", [planes(256, 256, 56)], [planes(2, 64, 9)], (x) => [
  F.mean(x as Tensor, [2, 3], false),
]);

// Windows.
add("max pool bf16 128x112x112x64, channels last", [last(128, 112, 64)], [last(2, 11, 16)], (x) => [
  outer(F.maxPool2d(inner(x as Tensor), [3, 3], [2, 2], [1, 1], [1, 1], false)),
]);
add("max pool bf16 128x64x112x112", [planes(128, 64, 112)], [planes(2, 8, 12)], (x) => [
  F.maxPool2d(x as Tensor, [3, 3], [2, 2], [1, 1], [1, 1], false),
]);
add("max pool gradient bf16 64x112x112x64, channels last", [last(64, 112, 64), last(64, 56, 64)], [
  last(2, 12, 16),
  last(2, 6, 16),
], (x, d) => {
  const given = inner(x as Tensor);
  const [g] = gradient(F.maxPool2d(given, [3, 3], [2, 2], [1, 1], [1, 1], false), given, inner(d as Tensor));
  return g === undefined ? [] : [outer(g)];
});
add("average pool bf16 128x64x112x112", [planes(128, 64, 112)], [planes(2, 8, 12)], (x) => [
  F.avgPool2d(x as Tensor, [2, 2], [2, 2]),
]);
add("nearest, twice as large bf16 32x64x64x256, channels last", [last(32, 64, 256)], [last(2, 6, 16)], (x) => [
  outer(F.upsampleNearest2d(inner(x as Tensor), [Number(x?.shape[1]) * 2, Number(x?.shape[2]) * 2])),
]);
add("nearest, twice as large bf16 32x256x64x64", [planes(32, 256, 64)], [planes(2, 6, 16)], (x) => [
  F.upsampleNearest2d(x as Tensor, [Number(x?.shape[2]) * 2, Number(x?.shape[3]) * 2]),
]);
add("bilinear, twice as large bf16 32x256x64x64", [planes(32, 256, 64)], [planes(2, 6, 16)], (x) => [
  F.upsampleBilinear2d(x as Tensor, [Number(x?.shape[2]) * 2, Number(x?.shape[3]) * 2], false),
]);

// Other places.
add("planes bf16 128x56x56x64", [last(128, 56, 64)], [last(2, 9, 16)], (x) => [F.contiguous(inner(x as Tensor))]);
add("pixel shuffle bf16 32x256x64x64", [planes(32, 256, 64)], [planes(2, 16, 6)], (x) => [
  F.pixelShuffle(x as Tensor, 2),
]);
add("patches of windows bf16 128x56x56x96", [last(128, 56, 96)], [last(1, 56, 96)], (x) => {
  const [n, h, w, c] = (x as Tensor).shape.map(Number) as [number, number, number, number];
  return [F.contiguous(F.permute(F.reshape(x as Tensor, [n, h / 7, 7, w / 7, 7, c]), [0, 1, 3, 2, 4, 5]))];
});

/** All cases in order. */
export const IMAGE_CASES: readonly Case[] = list;
