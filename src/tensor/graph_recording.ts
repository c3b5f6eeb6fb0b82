/**
 * What dispatch modes that record graphs share: traced tensors of their own, and operators' arguments as nodes.
 *
 * Enters: nodes with their metadata. Leaves: tensors without data that stand for them. Invariant: a tensor is known to the recording that made it, and to no other.
 */
import { type Argument, Graph, type Node, type TensorMeta } from "../graph/mod.ts";
import type { ArgValue, NamedArgs, Operator } from "../ops/mod.ts";
import { autogradMeta, Storage, Tensor } from "./tensor.ts";

/** A graph in the making. */
export abstract class GraphRecording {
  readonly graph: Graph;
  readonly #owned = new WeakSet<Tensor>();

  constructor(graph: Graph = new Graph()) {
    this.graph = graph;
  }

  /** The node that a tensor stands for. */
  abstract nodeOf(t: Tensor): Node;

  /** A traced tensor for a node. */
  tensor(node: Node, meta: TensorMeta, requiresGrad = false): Tensor {
    const { shape, stride, storageOffset, dtype, device } = meta;
    const t = new Tensor({ shape, stride, storageOffset, dtype, device, storage: new Storage(null), node });
    if (requiresGrad) autogradMeta(t).requiresGrad = true;
    this.#owned.add(t);
    return t;
  }

  /** Declares an input. */
  placeholder(name: string, meta: TensorMeta, requiresGrad = false): Tensor {
    return this.tensor(this.graph.placeholder(name, meta), meta, requiresGrad);
  }

  /** Whether a tensor is a traced one of this recording. */
  owns(t: Tensor): boolean {
    return this.#owned.has(t);
  }

  /** What stands for an operator's arguments in the graph, in the order of its schema. */
  argumentsOf(op: Operator, args: NamedArgs<Tensor>): Argument[] {
    return op.schema.args.map((arg) => this.#argument(args[arg.key] ?? null));
  }

  #argument(value: ArgValue<Tensor>): Argument {
    if (value instanceof Tensor) return value.wrapped !== null ? value.wrapped : this.nodeOf(value);
    if (Array.isArray(value)) return value.map((v: ArgValue<Tensor>) => this.#argument(v));
    return value as Argument;
  }

  gradOwner(t: Tensor): Tensor {
    return t;
  }

  trackRead(_object: object, _key: PropertyKey, value: unknown): unknown {
    return value;
  }
}
