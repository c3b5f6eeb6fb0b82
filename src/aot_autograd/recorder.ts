/**
 * Records operators on traced tensors into a functional graph.
 *
 * A dispatch mode for making one graph from another: inputs are declared, operators append calls, operators that a backend does not keep whole are replaced by their
 * decompositions on the way. Nothing may write: whoever records has functionalised before. Mirrors `make_fx`.
 */
import { currentStep } from "../autograd/mod.ts";
import { CompileError, InternalError } from "../core/mod.ts";
import { Graph, type Node, type SourceLocation, type TensorMeta } from "../graph/mod.ts";
import type { NamedArgs, Operator } from "../ops/mod.ts";
import type { SymInt } from "../symbolic/mod.ts";
import {
  decompose,
  type DispatchMode,
  GraphRecording,
  inferMeta,
  noGrad,
  type OpResult,
  Tensor,
  withMode,
} from "../tensor/mod.ts";

/** Tells which operators with a decomposition stay whole. */
export type KeepWhole = (op: Operator, args: NamedArgs<Tensor>) => boolean;

/** A mode that writes down what it is asked to run. */
export class GraphRecorder extends GraphRecording implements DispatchMode {
  readonly name = "graph recorder";
  /** The user's line for calls that are recorded now. */
  location: SourceLocation | null = null;
  /** Calls of a backward, by the step of the tape that made them. */
  readonly steps: Map<Node, string> = new Map();
  readonly #keeps: KeepWhole;
  readonly #constants = new Map<Tensor, Tensor>();
  readonly #paths = new Map<string, Tensor>();

  /** Records into a graph of its own, or into `graph` where that inserts. */
  constructor(keeps: KeepWhole = () => false, graph: Graph = new Graph()) {
    super(graph);
    this.#keeps = keeps;
  }

  /** Real tensors that decompositions and gradient rules brought in, by path. */
  get constants(): ReadonlyMap<string, Tensor> {
    return this.#paths;
  }

  /** Declares a size that is passed as a number. */
  sizeInput(name: string, size: SymInt): Node {
    return this.graph.placeholder(name, size);
  }

  /** Declares an attribute. */
  attribute(path: string, meta: TensorMeta, requiresGrad = false): Tensor {
    return this.tensor(this.graph.getAttr(path, meta), meta, requiresGrad);
  }

  /** The node of a tensor of this recorder. */
  override nodeOf(t: Tensor): Node {
    if (t.node === null || !this.owns(t)) throw new InternalError("a tensor of another graph met the recorder");
    return t.node;
  }

  wrapInput(t: Tensor): Tensor {
    if (t.wrapped !== null || this.owns(t)) return t;
    if (!t.isDense) throw new InternalError("a tensor without data of another graph met the recorder");
    let twin = this.#constants.get(t);
    if (twin === undefined) {
      const path = `constant_${this.#constants.size}`;
      const { shape, stride, dtype, device } = t;
      twin = this.attribute(path, { shape, stride, storageOffset: 0, dtype, device });
      this.#constants.set(t, twin);
      this.#paths.set(path, t);
    }
    return twin;
  }

  dispatch(op: Operator, args: NamedArgs<Tensor>): OpResult {
    if (op.schema.args.some((a) => a.mutated)) {
      throw new CompileError(`${op.target} writes to its argument inside of a decomposition or gradient rule`);
    }
    if (op.decompose !== null && !this.#keeps(op, args)) {
      // Recorded for the tape, if at all, as the operator itself.
      return noGrad(() => withMode(this, () => decompose(op, args)));
    }
    const metas = inferMeta(op, args);
    const first = metas[0];
    const { returns } = op.schema;
    const many = returns.length > 1 || returns[0]?.list === true;
    // A list of results may be empty (pieces of nothing): then there is nothing to record.
    if (first === undefined && many) return [];
    if (first === undefined) throw new InternalError(`${op.target}: meta gave no result`);
    const call = this.argumentsOf(op, args);
    const node = this.graph.call(op, call, many ? metas : first, this.location);
    const step = currentStep();
    if (step !== null) this.steps.set(node, step);
    const outs = metas.map((meta, i) => this.tensor(many ? this.graph.getItem(node, i, meta) : node, meta));
    return many ? outs : outs[0] as Tensor;
  }

  materialize(_: Tensor, reason: string): Tensor {
    throw new CompileError(`${reason}: a decomposition or gradient rule reads data, which a graph cannot`);
  }
}
