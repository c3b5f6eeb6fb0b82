/**
 * What rewrites of convolutions share: which calls may be touched, and how nodes take their place.
 */
import { GraphRecorder } from "../../aot_autograd/recorder.ts";
import { config, float32 } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type TensorMeta,
} from "../../graph/mod.ts";
import { isOperator } from "../../ops/mod.ts";
import { hintOf, type Size } from "../../symbolic/mod.ts";
import { F, restride, type Tensor, withMode } from "../../tensor/mod.ts";

const CONVOLUTIONS: ReadonlySet<string> = new Set(["conv", "conv_input_grad", "conv_weight_grad"]);

/** A node that is a tensor. */
export type TensorNode = Node & { readonly value: TensorMeta };

/** A convolution or a gradient of one, whose parts are known but perhaps for the number of images: both tensors, and the geometry, a number for each dimension of space. */
export interface Call {
  readonly node: CallNode & { readonly value: TensorMeta };
  readonly kind: "conv" | "conv_input_grad" | "conv_weight_grad";
  readonly first: TensorNode;
  readonly second: TensorNode;
  readonly sizes: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly groups: number;
  /** Elements in one vector of 16 bytes. */
  readonly vector: number;
}

function numbersOf(value: Argument | undefined): number[] | null {
  if (!Array.isArray(value) || !value.every((v) => typeof v === "number")) return null;
  return value as number[];
}

/** Elements that tensor cores multiply as they are: halves, and float32 where it may be rounded to tf32. */
function isPlain(value: Argument | undefined): value is TensorNode {
  if (value === undefined || !isNode(value) || !isTensorMeta(value.value)) return false;
  const { shape, dtype, device } = value.value;
  const isHalf = dtype.bytes === 2 && dtype.isFloat;
  if (device.type !== "cuda" || (!isHalf && (dtype !== float32 || config().float32MatmulPrecision === "highest"))) {
    return false;
  }
  return shape.length >= 3 && shape.slice(1).every((s) => typeof s === "number" && s > 0) && shape[0] !== 0;
}

/** The call that a node is, if it is one that may be touched. */
export function callOf(node: Node): Call | null {
  if (node.op !== "call" || !isTensorMeta(node.value)) return null;
  const { namespace, name } = node.target.schema;
  if (namespace !== "tessera" || !CONVOLUTIONS.has(name)) return null;
  const [first, second, ...rest] = node.args;
  const [sizes, stride, padding, dilation] = rest.slice(0, 4).map(numbersOf);
  const groups = rest[4];
  if (!isPlain(first) || !isPlain(second) || typeof groups !== "number") return null;
  if (!sizes || !stride || !padding || !dilation || padding.some((p) => p < 0)) return null;
  const kind = name as Call["kind"];
  if (kind !== "conv_weight_grad" && second.value.shape.some((s) => typeof s !== "number")) return null;
  const vector = 16 / first.value.dtype.bytes;
  const call = { node: node as Call["node"], kind, first, second, sizes, stride, padding, dilation, groups, vector };
  return call;
}

/** The number of images, and the other sizes. */
export function sizesOf({ value: { shape } }: TensorNode): readonly [Size, ...number[]] {
  const [first = 1, ...rest] = shape;
  return [first, ...rest.map(Number)];
}

/** Whether numbers are all the same. */
export function isAll(list: readonly number[], n: number): boolean {
  return list.every((v) => v === n);
}

/** The product of numbers. */
export function area(list: readonly number[]): number {
  return list.reduce((a, b) => a * b, 1);
}

/** The smallest multiple of `step` from `n` on. */
export function filled(n: number, step: number): number {
  return Math.ceil(n / step) * step;
}

/** The tensor with zeros before and behind its dimensions from `from` on. */
export function padded(t: Tensor, from: number, before: readonly number[], behind: readonly number[]): Tensor {
  if (isAll([...before, ...behind], 0)) return t;
  const pairs = Array.from({ length: t.shape.length - from }, (_, d) => [before[d] ?? 0, behind[d] ?? 0]);
  return F.constantPadNd(t, pairs.reverse().flat());
}

/** Writes nodes where a call stands. */
export class Rewriter {
  readonly #graph: Graph;
  readonly #recorder: GraphRecorder;
  readonly #least: number;

  /** @param least operations from which on copies are worth their launches */
  constructor(graph: Graph, least: number) {
    this.#graph = graph;
    this.#least = least;
    this.#recorder = new GraphRecorder(() => false, graph);
  }

  /** Whether a convolution is long enough for copies of what it reads. */
  pays({ first, second, sizes }: Call): boolean {
    const n = hintOf(first.value.shape[0] ?? 1);
    return 2 * n * area(sizes) * area(second.value.shape.map(hintOf)) >= this.#least;
  }

  /** The tensor of the body instead of the call's, with its strides where the caller gets it. */
  replace({ node }: Call, body: (tensor: (of: TensorNode) => Tensor) => Tensor): void {
    const isReturned = [...node.users].some((user) => user.op === "output");
    const made = this.#graph.insertBefore(node, () =>
      withMode(this.#recorder, () => {
        this.#recorder.location = node.location;
        const found = body((of) => this.#recorder.tensor(of, of.value));
        return isReturned ? restride("conv", found, node.value.stride) : found;
      }));
    this.#graph.replaceAllUses(node, this.#recorder.nodeOf(made));
    this.#graph.erase(node);
  }
}

/** The operand with channels innermost: what the caller or a view of it has otherwise is copied, all else is laid out so (`layouts.ts`). */
export function channelsInnermost(of: TensorNode, t: Tensor): Tensor {
  return liesOtherwise(of) ? t.clone() : t;
}

/** Whether memory that the graph does not lay out, or a view of it, has channels outside of positions. */
export function liesOtherwise(of: TensorNode): boolean {
  const { shape, stride } = of.value;
  let base: Node = of;
  while (base.op === "call" && isOperator(base.target) && base.target.view !== null) {
    const [source] = base.args;
    if (source === undefined || !isNode(source)) break;
    base = source;
  }
  return base.op !== "call" && shape.slice(2).some((s) => s !== 1) && shape[1] !== 1 && stride[1] !== 1;
}
