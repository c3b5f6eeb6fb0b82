/**
 * Complex tensors of a graph as pairs of real numbers, so that what stands between `view_as_complex` and `view_as_real` is loops.
 *
 * Enters: a functional graph, in which arithmetic on complex numbers is written on their parts already and complex tensors are only viewed, passed and taken apart.
 * Leaves: the same graph, rewritten in place: operators on the layout of complex tensors are done on pairs (one more dimension, of size 2), `view_as_real` of them is the
 * pairs. What needs complex tensors (Fourier transforms, results) still gets them, by a copy; of inputs only the pairs are read then. Invariant: results keep
 * the strides that the graph states. Mirrors what `aot_autograd` of PyTorch leaves to ATen's complex kernels.
 */
import { GraphRecorder } from "../../aot_autograd/recorder.ts";
import { normalizeAxes, normalizeAxis } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  rewriteDeadCode,
  type TensorMeta,
} from "../../graph/mod.ts";
import { type Size, sizeSame } from "../../symbolic/mod.ts";
import { F, type Tensor, withMode } from "../../tensor/mod.ts";

type TensorNode = Node & { readonly value: TensorMeta };

/** An operator on the layout: what it does to pairs, given the rank of the complex tensor. */
type OnPairs = (x: Tensor, args: Readonly<Record<string, Argument>>, rank: number) => Tensor;

const sizes = (value: Argument | undefined): Size[] => [...value as readonly Size[]];
const axis = (value: Argument | undefined, rank: number): number => normalizeAxis(Number(value), rank, "complex");
const axes = (value: Argument | undefined, rank: number): number[] =>
  normalizeAxes((value as readonly number[]).map(Number), rank, "complex");

/** Views and copies whose counterpart on pairs is known, by name. */
const LAYOUT: Readonly<Record<string, OnPairs>> = {
  view: (x, { size }) => x.view([...sizes(size), 2]),
  reshape: (x, { shape }) => x.reshape([...sizes(shape), 2]),
  _unsafe_view: (x, { size }) => x.reshape([...sizes(size), 2]),
  expand: (x, { size }) => x.expand([...sizes(size), 2]),
  permute: (x, { dims }, rank) => x.permute([...axes(dims, rank), rank]),
  transpose: (x, { dim0, dim1 }, rank) => x.transpose(axis(dim0, rank), axis(dim1, rank)),
  t: (x, _, rank) => rank < 2 ? x : x.transpose(0, 1),
  select: (x, { dim, index }, rank) => x.select(axis(dim, rank), index as Size),
  slice: (x, { dim, start, end, step }, rank) =>
    x.slice(axis(dim, rank), start as Size | null, end as Size | null, step as Size),
  unsqueeze: (x, { dim }, rank) => x.unsqueeze(axis(dim, rank + 1)),
  alias: (x) => x,
  detach: (x) => x,
};

function isComplex(argument: Argument | undefined): argument is TensorNode {
  return argument !== undefined && isNode(argument) && isTensorMeta(argument.value) && argument.value.dtype.isComplex;
}

function named(node: CallNode): Record<string, Argument> {
  return Object.fromEntries(node.target.schema.args.map((arg, i) => [arg.key, node.args[i] ?? null]));
}

const isCall = (node: Node, target: string): boolean => node.op === "call" && node.target.schema.target === target;
const TO_REAL = "aten.view_as_real.default", TO_COMPLEX = "aten.view_as_complex.default";

class Rewriter {
  readonly #graph: Graph;
  readonly #recorder: GraphRecorder;
  /** The pairs of complex nodes. */
  readonly #pairs = new Map<Node, TensorNode>();
  #count = 0;

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#recorder = new GraphRecorder(() => false, graph);
  }

  run(): number {
    for (const node of [...this.#graph.nodes]) {
      if (node.op === "call") this.#visit(node);
    }
    for (const node of this.#graph.nodes) {
      if ((node.op === "placeholder" || node.op === "getAttr") && isComplex(node)) this.#readPairsOnly(node);
    }
    if (this.#count > 0) rewriteDeadCode(this.#graph);
    return this.#count;
  }

  #visit(node: CallNode): void {
    const [first] = node.args;
    if (isCall(node, TO_COMPLEX)) {
      if (isNode(first) && isTensorMeta(first.value)) this.#pairs.set(node, first as TensorNode);
      return;
    }
    if (!isComplex(first)) return;
    if (isCall(node, TO_REAL)) {
      const pairs = this.#pairs.get(first);
      if (pairs === undefined) {
        this.#pairs.set(first, node as TensorNode);
      } else if (isTensorMeta(node.value) && sameStrides(pairs.value, node.value)) {
        this.#graph.replaceAllUses(node, pairs);
        this.#count++;
      }
      return;
    }
    const onPairs = node.target.schema.namespace === "aten" ? LAYOUT[node.target.schema.name] : undefined;
    if (onPairs === undefined || !isComplex(node)) return;
    const made = this.#record(node, () => onPairs(this.#pairsOf(first), named(node), first.value.shape.length));
    this.#pairs.set(node, made);
  }

  /** The pairs of a complex node as a tensor of the recorder; those of an input are asked for once. */
  #pairsOf(node: TensorNode): Tensor {
    const known = this.#pairs.get(node);
    if (known !== undefined) return this.#recorder.tensor(known, known.value);
    const pairs = F.viewAsReal(this.#recorder.tensor(node, node.value));
    this.#pairs.set(node, this.#recorder.nodeOf(pairs) as TensorNode);
    return pairs;
  }

  #record(before: Node, body: () => Tensor): TensorNode {
    const made = this.#graph.insertBefore(before, () =>
      withMode(this.#recorder, () => {
        this.#recorder.location = before.location;
        return body();
      }));
    return this.#recorder.nodeOf(made) as TensorNode;
  }

  /** An input is read as pairs everywhere, or nowhere: lowering gives its memory one dtype. Inputs that are results as they are stay complex. */
  #readPairsOnly(node: TensorNode): void {
    const users = [...node.users];
    const others = users.filter((user) => !isCall(user, TO_REAL));
    if (users.length === others.length || others.some((user) => user.op === "output")) return;
    const first = this.#graph.nodes.find((n) => users.includes(n));
    if (first === undefined) return;
    const again = this.#record(first, () => F.viewAsReal(this.#recorder.tensor(node, node.value)).viewAsComplex());
    this.#graph.replaceAllUses(node, again, (user) => isCall(user, TO_REAL));
    this.#count++;
  }
}

function sameStrides(a: TensorMeta, b: TensorMeta): boolean {
  return a.stride.length === b.stride.length &&
    a.stride.every((s, d) => sizeSame(s, b.stride[d] ?? -1) || sizeSame(a.shape[d] ?? -1, 1));
}

/** Whether only the pairs of this complex input are read. */
export function isReadAsPairs(node: Node): boolean {
  return isComplex(node) && node.users.size > 0 && [...node.users].every((user) => isCall(user, TO_REAL));
}

/** Rewrites in place; returns how many nodes were replaced. */
export function pairComplex(graph: Graph): number {
  return graph.nodes.some((node) => isComplex(node)) ? new Rewriter(graph).run() : 0;
}
