/**
 * Convolutions and their gradients as what tensor cores do well: convolutions with a step of 1 over channels in whole vectors, and products.
 *
 * Enters: a functional graph on a CUDA device; leaves: the same graph, rewritten in place. For elements that tensor cores multiply, and known sizes:
 * - what the caller has with channels outside of positions is copied once, so that pixels are read in vectors; a window of one pixel is a product that reads it as it is;
 * - few channels (a network's first) are filled up to vectors, or the windows are written out where that is less;
 * - narrow groups are joined, with zeros between them, until they fill a step of the tensor cores;
 * - the gradient by the input, and so the transposed convolution, is the convolution of the gradient with the weights mirrored and their channels exchanged. Steps
 *   make residues of positions further features, whose pixels are put between each other last (the sub-pixel form); where the window is one pixel, the product comes first and is spread out then;
 * - the gradient by the weight sums over pixels. Where channels do not fill steps, so that a tile cannot be read from the image, the windows are written out once and what is left is one long product.
 * Zeros that are multiplied yield no number beside what is not finite, as in other libraries' transforms. Mirrors what cuDNN does inside; TorchInductor calls it.
 */
import type { Graph } from "../../graph/mod.ts";
import { F, type Tensor } from "../../tensor/mod.ts";
import { type Size, sizeMul } from "../../symbolic/mod.ts";
import {
  area,
  type Call,
  callOf,
  channelsInnermost,
  filled,
  isAll,
  liesOtherwise,
  padded,
  Rewriter,
  sizesOf,
} from "./convolution_rewriter.ts";

/** Operations that take longer than copies without tensor cores that are fed in vectors. */
const LEAST_WORK = 1e8;
/** Elements of written windows at most: 2 GiB. */
const MOST_WINDOWS = 2 ** 30;
/** How many more elements windows may have than an image whose channels are filled up. */
const MORE = 1.3;
/** Channels of joined groups: what fills a step of the tensor cores. */
const STEP_CHANNELS = 64;

/** The windows of an image as pixels with more channels, in each group those of one place of the window together, filled up to whole vectors: [n, window · channels, ...positions]. */
function windowsOf(
  image: Tensor,
  { window, stride, padding, dilation, positions, vector, groups = 1 }: {
    readonly window: readonly number[];
    readonly stride: readonly number[];
    readonly padding: readonly number[];
    readonly dilation: readonly number[];
    readonly positions: readonly number[];
    readonly vector: number;
    readonly groups?: number;
  },
): Tensor {
  const [n = 1, c = 1, ...size] = image.shape;
  const rank = size.length;
  const reach = window.map((k, d) => (k - 1) * (dilation[d] ?? 1) + 1);
  const behind = size.map((s, d) =>
    ((positions[d] ?? 1) - 1) * (stride[d] ?? 1) + (reach[d] ?? 1) - Number(s) - (padding[d] ?? 0)
  );
  let cut = padded(image, 2, padding, behind);
  reach.forEach((r, d) => cut = cut.unfold(d + 2, r, stride[d] ?? 1));
  dilation.forEach((l, d) => {
    if (l > 1) cut = cut.slice(2 + rank + d, 0, reach[d] ?? 1, l);
  });
  const own = Number(c) / groups;
  const length = own * area(window);
  const places = positions.map((_, d) => 2 + d);
  const pixels = cut.unflatten(1, [groups, own])
    .permute([0, ...places.map((d) => d + 1), 1, ...places.map((d) => d + rank + 1), 2])
    .clone({ memoryFormat: "contiguous_format" }).view([n, ...positions, groups, length]);
  const wide = filled(length, vector);
  const whole = padded(pixels, rank + 2, [0], [wide - length]).view([n, ...positions, groups * wide]);
  return whole.permute([0, rank + 1, ...positions.map((_, d) => d + 1)]);
}

function ones(call: Call): number[] {
  return call.sizes.map(() => 1);
}

function zeros(call: Call): number[] {
  return call.sizes.map(() => 0);
}

/** Windows of one pixel over images that lie with positions innermost: a product for each image. */
function isImageProduct({ first, sizes, stride, padding, groups, second, vector }: Call): boolean {
  const [, ...window] = sizesOf(second).slice(1) as [number, ...number[]];
  return groups === 1 && isAll(window, 1) && isAll(stride, 1) && isAll(padding, 0) && liesOtherwise(first) &&
    first.value.stride.at(-1) === 1 && area(sizes) % vector === 0;
}

/** Features below which sums would be made one by one, and to how many they are filled up. */
const FEW_FEATURES = 4;
const MORE_FEATURES = 8;

/** Depthwise weights with channels innermost, and images too where the graph does not lay them out. */
function rewriteDepthwise(rewriter: Rewriter, call: Call): void {
  const { first, second, sizes, stride, padding, dilation, groups } = call;
  const { shape, stride: lies } = second.value;
  const isWell = lies[0] === 1 || shape.slice(2).every((s) => s === 1);
  const rank = sizes.length;
  if (call.vector !== 8 || (isWell && !liesOtherwise(first))) return;
  rewriter.replace(call, (tensor) => {
    const order = [...sizes.map((_, d) => d + 2), 1, 0];
    const back = [rank + 1, rank, ...sizes.map((_, d) => d)];
    const w = isWell
      ? tensor(second)
      : tensor(second).permute(order).clone({ memoryFormat: "contiguous_format" }).permute(back);
    return F.conv(channelsInnermost(first, tensor(first)), w, sizes, stride, padding, dilation, groups);
  });
}

function rewriteForward(rewriter: Rewriter, call: Call): void {
  const { first, second, sizes, stride, padding, dilation, groups, vector } = call;
  const [n, channels = 1] = sizesOf(first);
  const [features, own = 1, ...window] = sizesOf(second) as [number, number, ...number[]];
  if (!rewriter.pays(call)) return;
  if (groups > 1) return groups === channels ? rewriteDepthwise(rewriter, call) : joinGroups(rewriter, call);
  if (isImageProduct(call)) {
    rewriter.replace(call, (tensor) => {
      const [x, w] = [tensor(first), tensor(second)];
      const flat = x.reshape([n, channels, area(sizes)]);
      return F.matmul(w.reshape([features, channels]), flat).reshape([n, features, ...sizes]);
    });
    return;
  }
  const length = own * area(window);
  if (length < vector) return;
  if (features < FEW_FEATURES && length >= STEP_CHANNELS) {
    rewriter.replace(call, (tensor) => {
      const w = padded(tensor(second), 0, [0], [MORE_FEATURES - features]);
      const x = channelsInnermost(first, tensor(first));
      return F.conv(x, w, sizes, stride, padding, dilation, 1).narrow(1, 0, features);
    });
    return;
  }
  if (channels % vector === 0) {
    if (![first, second].some(liesOtherwise)) return;
    rewriter.replace(call, (tensor) => {
      const [x, w] = [channelsInnermost(first, tensor(first)), channelsInnermost(second, tensor(second))];
      return F.conv(x, w, sizes, stride, padding, dilation, 1);
    });
    return;
  }
  const wide = filled(channels, vector);
  const image = sizesOf(first).slice(2).map(Number);
  const written = filled(length, vector) * area(sizes);
  const count = typeof n === "number" ? n : 1;
  // Threads gather halves only: pixels of tf32 come by the copy engine, which reads whole steps of channels, or as windows.
  const isLess = vector === 4 ? wide < STEP_CHANNELS / 2 : written <= MORE * wide * area(image);
  if (isLess && count * written <= MOST_WINDOWS) {
    rewriter.replace(call, (tensor) => {
      const windows = windowsOf(tensor(first), { window, stride, padding, dilation, positions: sizes, vector });
      const flat = tensor(second).permute([0, ...window.map((_, d) => d + 2), 1])
        .clone({ memoryFormat: "contiguous_format" }).view([features, length]);
      const weight = padded(flat, 1, [0], [filled(length, vector) - length])
        .view([features, filled(length, vector), ...ones(call)]);
      return F.conv(windows, weight, sizes, ones(call), zeros(call), ones(call), 1);
    });
    return;
  }
  const more = [wide - channels];
  rewriter.replace(call, (tensor) => {
    const [x, w] = [padded(tensor(first), 1, [0], more), padded(tensor(second), 1, [0], more)];
    return F.conv(x, w, sizes, stride, padding, dilation, 1);
  });
}

/** How many groups are joined: as many as fill a step, or all that there are. */
function joined(channels: number, groups: number): number {
  const own = channels / groups;
  let count = 1;
  while (own * count < STEP_CHANNELS && groups % (2 * count) === 0) count *= 2;
  return count;
}

/** The weights of `count` groups each as those of one: zeros where an output does not read a channel. */
function joinedWeight(w: Tensor, groups: number, count: number): Tensor {
  const [features = 1, own = 1, ...window] = w.shape.map(Number);
  const each = features / groups;
  const wide = count * own;
  const rank = window.length;
  const places = window.map((_, d) => d + 2);
  // With `wide` zeros behind each, one long row of them all has those of group j at j · wide + j · own.
  const blocks = w.view([groups / count, count, each, own, ...window])
    .permute([0, 2, ...places.map((d) => d + 2), 1, 3]);
  const long = padded(blocks, rank + 3, [0], [wide]).reshape([groups / count, each, ...window, count * (wide + own)]);
  return long.narrow(rank + 2, 0, count * wide).reshape([groups / count, each, ...window, count, wide])
    .permute([0, rank + 2, 1, rank + 3, ...places]).reshape([features, wide, ...window]);
}

/** Groups of few channels are joined. */
function joinGroups(rewriter: Rewriter, call: Call): void {
  const { first, second, sizes, stride, padding, dilation, groups } = call;
  const [, channels = 1] = sizesOf(first);
  const count = joined(channels, groups);
  if (count === 1 && !liesOtherwise(first) && !liesOtherwise(second)) return;
  rewriter.replace(call, (tensor) => {
    const x = channelsInnermost(first, tensor(first));
    const w = joinedWeight(tensor(second), groups, count).clone();
    return F.conv(x, w, sizes, stride, padding, dilation, groups / count);
  });
}

/** The weights of a gradient by the input: mirrored, channels and features exchanged within each group. */
function mirrored(w: Tensor, groups: number): Tensor {
  const [features = 1, own = 1, ...window] = w.shape.map(Number);
  const turned = w.flip(window.map((_, d) => d + 2)).view([groups, features / groups, own, ...window]).transpose(1, 2);
  return turned.reshape([groups * own, features / groups, ...window]).clone();
}

function rewriteInputGrad(rewriter: Rewriter, call: Call): void {
  const { first, second, sizes, stride, padding, dilation, vector } = call;
  const [n, features = 1, ...small] = sizesOf(first);
  const [, narrow = 1, ...window] = sizesOf(second) as [number, number, ...number[]];
  if (narrow === 1 && call.groups > 1) {
    const around = window.map((k, d) => (k - 1) * (dilation[d] ?? 1) - (padding[d] ?? 0));
    if (features !== call.groups || !isAll(stride, 1) || around.some((p) => p < 0)) return;
    rewriter.replace(
      call,
      (tensor) =>
        F.conv(
          tensor(first),
          tensor(second).flip(window.map((_, d) => d + 2)),
          sizes,
          ones(call),
          around,
          dilation,
          features,
        ),
    );
    return;
  }
  const count = call.groups === 1 ? 1 : joined(narrow * call.groups, call.groups);
  const groups = call.groups / count;
  const own = narrow * count;
  const weight = (w: Tensor): Tensor => count === 1 ? w : joinedWeight(w, call.groups, count);
  if (groups > 1 && (features / groups) % vector !== 0) return;
  if (isAll(stride, 1)) {
    const before = window.map((k, d) => (k - 1) * (dilation[d] ?? 1) - (padding[d] ?? 0));
    if (before.some((p) => p < 0) || (isAll(window, 1) && call.groups === 1 && !liesOtherwise(first))) return;
    rewriter.replace(
      call,
      (tensor) =>
        F.conv(tensor(first), mirrored(weight(tensor(second)), groups), sizes, ones(call), before, dilation, groups),
    );
    return;
  }
  if (!isAll(dilation, 1) || groups !== 1) return;
  if (isAll(window, 1)) {
    if (!isAll(padding, 0)) return;
    rewriter.replace(call, (tensor) => {
      const product = F.convInputGrad(
        tensor(first),
        weight(tensor(second)),
        small,
        ones(call),
        zeros(call),
        ones(call),
        1,
      );
      return spread(product, stride, sizes);
    });
    return;
  }
  // Position s·q + r comes from positions q + hi - t of the gradient, by place r + s·t of a window that begins `left` earlier.
  const hi = padding.map((p, d) => Math.ceil(p / (stride[d] ?? 1)));
  const left = hi.map((h, d) => h * (stride[d] ?? 1) - (padding[d] ?? 0));
  const places = window.map((k, d) => Math.ceil((k + (left[d] ?? 0)) / (stride[d] ?? 1)));
  const before = places.map((t, d) => t - 1 - (hi[d] ?? 0));
  if (before.some((p) => p < 0)) return;
  const rank = window.length;
  const steps = sizes.map((s, d) => Math.ceil(s / (stride[d] ?? 1)));
  const right = window.map((k, d) => (places[d] ?? 1) * (stride[d] ?? 1) - (left[d] ?? 0) - k);
  const dims = window.map((_, d) => d);
  rewriter.replace(call, (tensor) => {
    const wide = padded(weight(tensor(second)), 2, left, right)
      .reshape([features, own, ...dims.flatMap((d) => [places[d] ?? 1, stride[d] ?? 1])])
      .flip(dims.map((d) => 2 + 2 * d))
      .permute([...dims.map((d) => 3 + 2 * d), 1, 0, ...dims.map((d) => 2 + 2 * d)])
      .reshape([area(stride) * own, features, ...places]).clone();
    const all = F.conv(tensor(first), wide, steps, ones(call), before, ones(call), 1);
    const apart = all.reshape([n, ...stride, own, ...steps])
      .permute([0, ...dims.flatMap((d) => [2 + rank + d, 1 + d]), 1 + rank])
      .clone({ memoryFormat: "contiguous_format" })
      .view([n, ...steps.map((s, d) => s * (stride[d] ?? 1)), own])
      .permute([0, 1 + rank, ...dims.map((d) => 1 + d)]);
    return sizes.reduce((t, s, d) => s === Number(t.shape[2 + d]) ? t : t.narrow(2 + d, 0, s), apart);
  });
}

/** The image with zeros between its pixels: `stride` times as large, cut or filled to `size`. */
function spread(image: Tensor, stride: readonly number[], size: readonly number[]): Tensor {
  const [n = 1, c = 1, ...small] = image.shape;
  const apart = image.view([n, c, ...small.flatMap((s) => [s, 1])]);
  const wide = padded(apart, 2, [], stride.flatMap((s) => [0, s - 1]));
  const all = wide.reshape([n, c, ...small.map((s, d): Size => sizeMul(s, stride[d] ?? 1))]);
  return padded(all, 2, [], size.map((s, d) => s - Number(small[d]) * (stride[d] ?? 1)));
}

/** The blocks of weights of joined groups that weights are: what {@linkcode joinedWeight} put between zeros. */
function apartWeight(w: Tensor, groups: number, count: number): Tensor {
  const [features = 1, wide = 1, ...window] = w.shape.map(Number);
  const [each, own, rank] = [features / groups, wide / count, window.length];
  const places = window.map((_, d) => d + 2);
  const long = w.reshape([groups / count, count, each, wide, ...window])
    .permute([0, 2, ...places.map((d) => d + 2), 1, 3]).reshape([groups / count, each, ...window, count * wide]);
  return padded(long, rank + 2, [0], [count * own]).view([groups / count, each, ...window, count, wide + own])
    .narrow(rank + 3, 0, own).permute([0, rank + 2, 1, rank + 3, ...places]).reshape([features, own, ...window]);
}

function rewriteWeightGrad(rewriter: Rewriter, call: Call, windows: Map<string, Tensor>): void {
  const { first, second, sizes, stride, padding, dilation, vector } = call;
  const [n, channels = 1] = sizesOf(first);
  const [, features = 1, ...positions] = sizesOf(second);
  if (channels === call.groups && call.groups > 1) return;
  const isMatrix = isAll(sizes, 1) && isAll(stride, 1) && isAll(padding, 0);
  if (isMatrix && call.groups === 1 && (vector !== 8 || ![first, second].some(liesOtherwise))) return;
  const count = call.groups === 1 ? 1 : joined(channels, call.groups);
  const groups = call.groups / count;
  // Tensor cores turn halves alone: other images are no rows.
  if (vector === 8 && channels / groups % STEP_CHANNELS === 0 && features / groups % vector === 0) {
    if (count === 1 && ![first, second].some(liesOtherwise)) return;
    rewriter.replace(call, (tensor) => {
      const [x, g] = [channelsInnermost(first, tensor(first)), channelsInnermost(second, tensor(second))];
      const joint = F.convWeightGrad(x, g, sizes, stride, padding, dilation, groups);
      return count === 1 ? joint : apartWeight(joint, call.groups, count);
    });
    return;
  }
  const more = groups === 1 ? filled(features, vector) - features : 0;
  if ((features / groups + more) % vector !== 0 || (groups > 1 && channels / groups % vector !== 0)) return;
  if (typeof n !== "number" || n * area(positions) * channels * area(sizes) > MOST_WINDOWS) return;
  const key = [first.name, sizes, stride, padding, dilation, positions, groups].join("|");
  rewriter.replace(call, (tensor) => {
    const geometry = { window: sizes, stride, padding, dilation, positions, vector, groups };
    const found = windows.get(key) ?? windowsOf(tensor(first), geometry);
    windows.set(key, found);
    const gradient = padded(channelsInnermost(second, tensor(second)), 1, [0], [more]);
    const all = F.convWeightGrad(found, gradient, ones(call), ones(call), zeros(call), ones(call), groups);
    const wide = channels / groups;
    const own = all.narrow(0, 0, features).narrow(1, 0, wide * area(sizes)).reshape([features, ...sizes, wide]);
    const weight = own.permute([0, sizes.length + 1, ...sizes.map((_, d) => d + 1)]);
    return count === 1 ? weight : apartWeight(weight, call.groups, count);
  });
}

/** Rewrites the convolutions of a graph and their gradients; of fewer than `least` operations forward ones stay as they are. */
export function rewriteConvolutions(graph: Graph, least: number = LEAST_WORK): void {
  const rewriter = new Rewriter(graph, least);
  const windows = new Map<string, Tensor>();
  for (const node of [...graph.nodes]) {
    const call = callOf(node);
    if (call?.kind === "conv_input_grad") rewriteInputGrad(rewriter, call);
    if (call?.kind === "conv_weight_grad") rewriteWeightGrad(rewriter, call, windows);
  }
  // Gradients may have become convolutions.
  for (const node of [...graph.nodes]) {
    const call = callOf(node);
    if (call?.kind === "conv") rewriteForward(rewriter, call);
  }
}
