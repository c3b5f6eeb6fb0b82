/**
 * Gradients of convolutions as what tensor cores do well: convolutions with a step of 1, and products.
 *
 * Enters: a functional graph on a CUDA device; leaves: the same graph, rewritten in place. For halves, one group, no dilation and known sizes:
 * - the gradient by the input is the convolution of the gradient, spread out by the step, with the weights mirrored and their channels exchanged, so its pixels are gathered like a
 *   forward convolution's; where the window is one pixel, the product comes first and is spread out then;
 * - the gradient by the weight sums over pixels, for which neither operand has neighbours in vectors. The windows are written out once (channels
 *   innermost), and what is left is one long product;
 * - a convolution of few channels (a network's first) is a product of its windows, too: three channels make no vectors, three times a window's pixels do.
 * Mirrors what cuDNN does inside; TorchInductor calls it.
 */
import { GraphRecorder } from "../../aot_autograd/recorder.ts";
import {
  type Argument,
  type CallNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type TensorMeta,
} from "../../graph/mod.ts";
import { F, type Tensor, withMode } from "../../tensor/mod.ts";

/** Elements of a half in one vector of 16 bytes. */
const VECTOR = 8;
/** Channels that are too few to be read by themselves. */
const FEW_CHANNELS = 4;
/** Elements of written windows at most: 2 GiB. */
const MOST_WINDOWS = 2 ** 30;

const CONV = "tessera.conv.default";
const INPUT_GRAD = "tessera.conv_input_grad.default";
const WEIGHT_GRAD = "tessera.conv_weight_grad.default";

/** A call whose parts are known: tensors by key, and the geometry as numbers. */
interface Call {
  readonly node: CallNode;
  readonly first: Node & { readonly value: TensorMeta };
  readonly second: Node & { readonly value: TensorMeta };
  readonly sizes: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
}

function numbersOf(value: Argument | undefined): number[] | null {
  if (!Array.isArray(value) || !value.every((v) => typeof v === "number")) return null;
  return value as number[];
}

function isPlain(value: Argument | undefined): value is Node & { readonly value: TensorMeta } {
  if (value === undefined || !isNode(value) || !isTensorMeta(value.value)) return false;
  const { shape, dtype, device } = value.value;
  return shape.length === 4 && shape.every((s) => typeof s === "number" && s > 0) && dtype.bytes === 2 &&
    dtype.isFloat && device.type === "cuda";
}

/** The call, if it is one that this pass may touch. */
function callOf(node: Node): Call | null {
  if (node.op !== "call") return null;
  const target = node.target.schema.namespace + "." + node.target.schema.name + ".default";
  if (target !== CONV && target !== INPUT_GRAD && target !== WEIGHT_GRAD) return null;
  const [first, second, sizes, stride, padding, dilation, groups] = node.args;
  if (!isPlain(first) || !isPlain(second) || groups !== 1) return null;
  const parts = [sizes, stride, padding, dilation].map(numbersOf);
  const [n, s, p, d] = parts;
  if (!n || !s || !p || !d || d.some((x) => x !== 1)) return null;
  // A result's strides are what its description states.
  if ([...node.users].some((u) => u.op === "output")) return null;
  return { node, first, second, sizes: n, stride: s, padding: p };
}

function shapeOf(node: Node & { readonly value: TensorMeta }): readonly [number, number, number, number] {
  return node.value.shape as unknown as readonly [number, number, number, number];
}

const isOne = (list: readonly number[]): boolean => list.every((x) => x === 1);

/** Writes nodes where the call stands. */
class Rewriter {
  readonly #graph: Graph;
  readonly #recorder: GraphRecorder;
  /** Windows that were written, by image and geometry. */
  readonly #windows = new Map<string, Tensor>();

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#recorder = new GraphRecorder(() => false, graph);
  }

  replace(node: CallNode, body: (tensor: (of: Node & { readonly value: TensorMeta }) => Tensor) => Tensor): void {
    const made = this.#graph.insertBefore(node, () =>
      withMode(this.#recorder, () => {
        this.#recorder.location = node.location;
        return body((of) => this.#recorder.tensor(of, of.value));
      }));
    this.#graph.replaceAllUses(node, this.#recorder.nodeOf(made));
    this.#graph.erase(node);
  }

  /**
   * The windows of an image as pixels with more channels: [n, height · width, window · channels] with channels of one pixel together, filled up to whole vectors,
   * as an image [n, window · channels, height, width].
   */
  windows(
    image: Tensor,
    key: string,
    window: readonly number[],
    stride: readonly number[],
    padding: readonly number[],
    out: readonly number[],
  ): Tensor {
    const name = [key, window, stride, padding, out].join("|");
    const known = this.#windows.get(name);
    if (known !== undefined) return known;
    const [n = 1, c = 1, ...size] = image.shape as readonly number[];
    const ends = size.map((s, d) => ((out[d] ?? 1) - 1) * (stride[d] ?? 1) + (window[d] ?? 1) - s - (padding[d] ?? 0));
    const [top = 0, left = 0] = padding;
    const [bottom = 0, right = 0] = ends;
    const padded = isZero([...padding, ...ends]) ? image : F.constantPadNd(image, [left, right, top, bottom]);
    const cut = padded.unfold(2, window[0] ?? 1, stride[0] ?? 1).unfold(3, window[1] ?? 1, stride[1] ?? 1);
    const width = c * (window[0] ?? 1) * (window[1] ?? 1);
    const [height = 1, across = 1] = out;
    const pixels = cut.permute([0, 2, 3, 4, 5, 1]).clone({ memoryFormat: "contiguous_format" })
      .view([n, height, across, width]);
    const whole = width % VECTOR === 0 ? pixels : F.constantPadNd(pixels, [0, VECTOR - width % VECTOR]);
    const found = whole.permute([0, 3, 1, 2]);
    this.#windows.set(name, found);
    return found;
  }
}

function isZero(list: readonly number[]): boolean {
  return list.every((x) => x === 0);
}

/** The image with zeros between its pixels: `stride` times as large, cut or filled to `size`. */
function spread(image: Tensor, stride: readonly number[], size: readonly number[]): Tensor {
  const [n = 1, c = 1, h = 1, w = 1] = image.shape as readonly number[];
  const [down = 1, across = 1] = stride;
  const wide = F.constantPadNd(image.view([n, c, h, 1, w, 1]), [0, across - 1, 0, 0, 0, down - 1]);
  const [height = 1, width = 1] = size;
  const all = wide.reshape([n, c, h * down, w * across]);
  return height === h * down && width === w * across
    ? all
    : F.constantPadNd(all, [0, width - w * across, 0, height - h * down]);
}

function rewriteInputGrad(rewriter: Rewriter, { node, first, second, sizes, stride, padding }: Call): void {
  const [outChannels, inChannels, ...window] = shapeOf(second);
  if (outChannels % VECTOR !== 0 || inChannels % VECTOR !== 0) return;
  const small = shapeOf(first).slice(2);
  if (isOne(window)) {
    if (isOne(stride) || !isZero(padding)) return;
    rewriter.replace(node, (tensor) => {
      const ones = [1, 1];
      return spread(F.convInputGrad(tensor(first), tensor(second), small, ones, [0, 0], ones, 1), stride, sizes);
    });
    return;
  }
  const before = window.map((k, d) => k - 1 - (padding[d] ?? 0));
  if (before.some((p) => p < 0)) return;
  rewriter.replace(node, (tensor) => {
    const grad = tensor(first);
    const wide = isOne(stride)
      ? grad
      : spread(grad, stride, small.map((s, d) => (s - 1) * (stride[d] ?? 1) + 1)).clone();
    const mirrored = tensor(second).flip([2, 3]).transpose(0, 1).clone({ memoryFormat: "contiguous_format" });
    return F.conv(wide, mirrored, sizes, [1, 1], before, [1, 1], 1);
  });
}

function rewriteWeightGrad(rewriter: Rewriter, { node, first, second, sizes, stride, padding }: Call): void {
  const [n, channels] = shapeOf(first);
  const [, outChannels, ...out] = shapeOf(second);
  if (outChannels % VECTOR !== 0) return;
  if (isOne(sizes) && isOne(stride) && isZero(padding)) return;
  const [height = 1, width = 1] = sizes;
  if (n * (out[0] ?? 1) * (out[1] ?? 1) * channels * height * width > MOST_WINDOWS) return;
  rewriter.replace(node, (tensor) => {
    const windows = rewriter.windows(tensor(first), first.name, sizes, stride, padding, out);
    const grad = F.convWeightGrad(windows, tensor(second), [1, 1], [1, 1], [0, 0], [1, 1], 1);
    const used = grad.narrow(1, 0, channels * height * width);
    return used.view([outChannels, height, width, channels]).permute([0, 3, 1, 2]);
  });
}

function rewriteFewChannels(rewriter: Rewriter, { node, first, second, sizes, stride, padding }: Call): void {
  const [n, channels] = shapeOf(first);
  const [outChannels, , height, width] = shapeOf(second);
  const length = channels * height * width;
  if (channels > FEW_CHANNELS || length < 2 * VECTOR || outChannels % VECTOR !== 0) return;
  if (n * (sizes[0] ?? 1) * (sizes[1] ?? 1) * length > MOST_WINDOWS) return;
  rewriter.replace(node, (tensor) => {
    const windows = rewriter.windows(tensor(first), first.name, [height, width], stride, padding, sizes);
    const flat = tensor(second).permute([0, 2, 3, 1]).clone({ memoryFormat: "contiguous_format" })
      .view([outChannels, length, 1, 1]);
    const rest = (VECTOR - length % VECTOR) % VECTOR;
    const weight = rest === 0 ? flat : F.constantPadNd(flat, [0, 0, 0, 0, 0, rest]);
    return F.conv(windows, weight, sizes, [1, 1], [0, 0], [1, 1], 1);
  });
}

/** Rewrites the convolutions of a graph and their gradients. */
export function rewriteConvolutions(graph: Graph): void {
  const rewriter = new Rewriter(graph);
  for (const node of [...graph.nodes]) {
    const call = callOf(node);
    if (call === null) continue;
    const { name } = call.node.target.schema;
    if (name === "conv_input_grad") rewriteInputGrad(rewriter, call);
    else if (name === "conv_weight_grad") rewriteWeightGrad(rewriter, call);
    else rewriteFewChannels(rewriter, call);
  }
}
