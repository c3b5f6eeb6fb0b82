/**
 * Images whose channels make no whole vectors get a few more: tensor cores read pixels in runs of eight.
 *
 * Enters: a graph of inference on a CUDA device, with batch norms folded. Where a convolution yields 18 channels of a half and another convolution reads them, perhaps
 * after operators that treat each channel by itself, all of these compute 24. The weights of the first have rows of zeros for the others, those of the second
 * columns of zeros, so what the others hold (some finite number) never counts; whoever else reads such an image reads a slice of it, which is a view.
 * Weights are laid out with channels innermost at once, as `pack_weights.ts` does. Mirrors the padding of channels in TensorRT's and cuDNN's kernels; TorchInductor has none.
 */
import {
  type Argument,
  type CallNode,
  type GetAttrNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type TensorMeta,
} from "../../graph/mod.ts";
import { getOp } from "../../ops/mod.ts";
import { type Tensor, tensorFrom } from "../../tensor/mod.ts";
import type { FrozenConstants, FrozenRecipe } from "./frozen.ts";
import { packed } from "./pack_weights.ts";

/** Elements of a half type that one access moves. */
const LANES = 8;
/** As many times the channels may be at most. */
const MOST_WASTE = 1.5;

const CONVOLUTIONS: ReadonlySet<string> = new Set(["aten.conv2d.default", "aten.convolution.default"]);
/** Operators that compute each channel from the same channel of their first argument, and something finite from something finite. */
const SINGLE: ReadonlySet<string> = new Set([
  ...["relu", "relu_", "relu6", "relu6_", "hardtanh", "hardtanh_", "hardswish", "hardswish_", "hardsigmoid", "sigmoid"],
  ...[
    "silu",
    "silu_",
    "gelu",
    "leaky_relu",
    "leaky_relu_",
    "tanh",
    "_to_copy",
    "upsample_nearest2d",
    "upsample_bilinear2d",
  ],
  ...["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"],
]);
const DOUBLE: ReadonlySet<string> = new Set(["add", "add_", "sub", "sub_", "mul", "mul_"]);

function argument(node: CallNode, key: string): Argument {
  const at = node.target.schema.args.findIndex((a) => a.key === key);
  return at < 0 ? null : node.args[at] ?? null;
}

/** Static images `[n, c, h, w]` whose channels may be filled up: their number; else null. */
function oddChannels(node: Node): number | null {
  if (!isTensorMeta(node.value)) return null;
  const { shape } = node.value;
  if (shape.length !== 4 || !shape.every((s) => typeof s === "number" && s > 0)) return null;
  const channels = Number(shape[1]);
  return channels % LANES !== 0 && filled(channels) <= channels * MOST_WASTE ? channels : null;
}

function filled(channels: number): number {
  return Math.ceil(channels / LANES) * LANES;
}

/** Widens images through a graph. */
class Widening {
  readonly #graph: Graph;
  readonly #constants: FrozenConstants;
  readonly #written: ReadonlySet<Node>;
  /** Images to widen, and their replacements. */
  #images = new Set<Node>();
  readonly #wide = new Map<Node, Node>();
  readonly #known = new Map<string, GetAttrNode>();

  constructor(graph: Graph, constants: FrozenConstants, written: ReadonlySet<Node>) {
    this.#graph = graph;
    this.#constants = constants;
    this.#written = written;
  }

  run(): number {
    const { nodes } = this.#graph;
    for (const node of nodes) if (this.#isCandidate(node)) this.#images.add(node);
    this.#dropUseless();
    if (this.#images.size === 0) return 0;
    let count = 0;
    const gone: Node[] = [];
    for (const node of [...nodes]) {
      if (node.op !== "call") continue;
      if (this.#images.has(node)) gone.push(this.#widen(node));
      else if (this.#readsWide(node)) gone.push(this.#narrowing(node));
      else continue;
      count++;
    }
    this.#graph.erase(...gone);
    return count;
  }

  /** Whether an image may be widened, if its inputs may that stand in `#images`: nodes come in order. */
  #isCandidate(node: Node): boolean {
    const channels = oddChannels(node);
    // What the caller gets has the strides that were promised.
    if (node.op !== "call" || channels === null || [...node.users].some((u) => u.op === "output")) return false;
    if (this.#isConvolution(node)) return isTensorMeta(node.value) && node.value.dtype.bytes === 2;
    const { name } = node.target.schema;
    const [first, second] = node.args;
    if (SINGLE.has(name)) return isNode(first ?? null) && this.#images.has(first as Node);
    if (!DOUBLE.has(name)) return false;
    const operands = [first, second].map((arg) =>
      isNode(arg ?? null) ? this.#operandKind(arg as Node, channels) : "same"
    );
    return operands.includes("image") && !operands.includes(null);
  }

  /** How an operand of an elementwise operator takes part: as an image, as a vector to be filled up, or as it is. */
  #operandKind(node: Node, channels: number): "image" | "vector" | "same" | null {
    if (this.#images.has(node)) return "image";
    if (!isTensorMeta(node.value)) return null;
    const { shape } = node.value;
    const at = shape.length - 3;
    if (at < 0 || shape[at] === 1) return shape.length <= 4 ? "same" : null;
    const isVector = shape[at] === channels && shape.every((s, d) => d === at || s === 1);
    return isVector && node.op === "getAttr" && !this.#written.has(node) ? "vector" : null;
  }

  #isConvolution(node: CallNode): boolean {
    if (!CONVOLUTIONS.has(node.target.schema.target) || argument(node, "transposed") === true) return false;
    const [weight, bias, input] = ["weight", "bias", "input"].map((key) => argument(node, key));
    const isParameter = (value: Argument | undefined): boolean =>
      value !== undefined && isNode(value) && value.op === "getAttr" && !this.#written.has(value);
    if (argument(node, "groups") !== 1 || !isParameter(weight) || (bias !== null && !isParameter(bias))) return false;
    return isNode(input ?? null) && isTensorMeta((input as Node).value);
  }

  /** Only what a convolution reads in the end is worth it. */
  #dropUseless(): void {
    const useful = new Set<Node>();
    for (const node of [...this.#graph.nodes].reverse()) {
      if (!this.#images.has(node)) continue;
      const serves = [...node.users].some((user) =>
        useful.has(user) || (user.op === "call" && this.#isConvolution(user) && argument(user, "input") === node)
      );
      if (serves) useful.add(node);
    }
    // What useless operators read may still serve others; what serves has inputs that serve.
    this.#images = useful;
  }

  #readsWide(node: CallNode): boolean {
    const input = argument(node, "input");
    return this.#isConvolution(node) && isNode(input) && this.#wide.has(input);
  }

  /** The image with all its channels, and a slice of it for those who know of its own only. */
  #widen(node: CallNode): Node {
    const value = node.value as TensorMeta;
    const [n, own, h, w] = value.shape as readonly number[] as [number, number, number, number];
    const channels = filled(own);
    const stride = [channels * h * w, h * w, w, 1];
    const meta: TensorMeta = { ...value, shape: [n, channels, h, w], stride, storageOffset: 0 };
    const isConvolution = this.#isConvolution(node);
    const wide = this.#graph.insertBefore(node, () => {
      const args = isConvolution ? this.#convolution(node, channels) : node.args.map((arg) => this.#operand(arg, own));
      return this.#graph.call(node.target, args, meta, node.location);
    });
    this.#wide.set(node, wide);
    const stays = (user: Node): boolean =>
      this.#images.has(user) || (user.op === "call" && this.#isConvolution(user) && argument(user, "input") === node);
    if ([...node.users].some((user) => !stays(user))) {
      const slice = this.#graph.insertBefore(
        node,
        () =>
          this.#graph.call(
            getOp("aten.slice.Tensor"),
            [wide, 1, 0, own, 1],
            { ...meta, shape: value.shape },
            node.location,
          ),
      );
      this.#graph.replaceAllUses(node, slice, stays);
    }
    return node;
  }

  /** A convolution that reads a wide image and yields what it did. */
  #narrowing(node: CallNode): Node {
    const outputs = Number((node.value as TensorMeta).shape[1]);
    const made = this.#graph.insertBefore(
      node,
      () => this.#graph.call(node.target, this.#convolution(node, outputs), node.value, node.location),
    );
    this.#graph.replaceAllUses(node, made);
    return node;
  }

  #operand(arg: Argument, own: number): Argument {
    if (!isNode(arg)) return arg;
    const wide = this.#wide.get(arg);
    if (wide !== undefined) return wide;
    return arg.op === "getAttr" && this.#operandKind(arg, own) === "vector" ? this.#vector(arg, filled(own)) : arg;
  }

  /** The arguments of a convolution of so many outputs. */
  #convolution(node: CallNode, outputs: number): Argument[] {
    const keys = node.target.schema.args.map((a) => a.key);
    return node.args.map((arg, i) => {
      if (!isNode(arg)) return arg;
      if (keys[i] === "input") return this.#wide.get(arg) ?? arg;
      if (arg.op !== "getAttr") return arg;
      if (keys[i] === "bias") {
        return (arg.value as TensorMeta).shape[0] === outputs ? arg : this.#vector(arg, outputs);
      }
      const input = argument(node, "input") as Node;
      const wide = this.#wide.get(input);
      return this.#weight(
        arg,
        Number((wide ?? input).value === null ? 0 : ((wide ?? input).value as TensorMeta).shape[1]),
        outputs,
      );
    });
  }

  #weight(weight: GetAttrNode, channels: number, outputs: number): Node {
    const { shape } = weight.value as TensorMeta;
    if (shape[0] === outputs && shape[1] === channels) return weight;
    const isPixel = shape[2] === 1 && shape[3] === 1;
    const order = isPixel || channels % LANES !== 0 ? [0, 1, 2, 3] : [0, 2, 3, 1];
    const source = weight.path;
    return this.#constant(`${source},${channels},${outputs}`, {
      sources: [source],
      compute: (read) => packed(read(source), order, channels, outputs),
      stored: { kind: "packed", source, order, channels, outputs },
    });
  }

  #vector(vector: GetAttrNode, channels: number): Node {
    const { path } = vector;
    const made = this.#constants.recipe(path);
    const stored = made === null
      ? { kind: "filled", source: path, channels } as const
      : made.stored?.kind === "norm"
      ? { ...made.stored, channels }
      : undefined;
    return this.#constant(`${path},${channels}`, {
      sources: made === null ? [path] : made.sources,
      compute: (read) => filledVector(made === null ? read(path) : made.compute(read), channels),
      ...(stored === undefined ? {} : { stored }),
    });
  }

  #constant(key: string, recipe: FrozenRecipe): GetAttrNode {
    const found = this.#known.get(key) ?? this.#constants.add(recipe);
    this.#known.set(key, found);
    return found;
  }
}

/** A vector of channels, other dimensions of one element around it, with zeros behind its own. */
export function filledVector(vector: Tensor, channels: number): Tensor {
  const { dtype, device } = vector;
  const values = vector.dataSync();
  const data = Array.from({ length: channels }, (_, i) => i < values.length ? Number(values[i]) : 0);
  const shape = vector.shape.map((s) => Number(s) === values.length ? channels : Number(s));
  return tensorFrom(shape, data, dtype).to(device);
}

/** Widens in place; returns how many operators it touched. `written` are nodes whose memory the graph writes. */
export function padChannels(graph: Graph, constants: FrozenConstants, written: ReadonlySet<Node>): number {
  return new Widening(graph, constants, written).run();
}
