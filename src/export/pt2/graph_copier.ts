/**
 * Copying the nodes of an exported graph into a graph for a compiler.
 *
 * Enters: nodes of a graph that stays as it was read. Leaves: their counterparts in a new graph, with one float dtype put in the place of another if that is asked for.
 * Operators that write beside their results (running statistics, the state of a generator) are taken apart on the way, so that the writes are calls. Mirrors
 * `Interpreter`-based graph transforms of `torch.fx`.
 */
import { CompileError, complex64, type DType, InternalError } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  Graph,
  isNode,
  isTensorMeta,
  type Node,
  type NodeValue,
} from "../../graph/mod.ts";
import { GraphRecorder } from "../../aot_autograd/mod.ts";
import { castTo } from "./autocast.ts";
import { lacksHalves } from "./wide_calls.ts";
import { type ArgValue, complexFormOf, isOperator, type NamedArgs, type Operator } from "../../ops/mod.ts";
import { dispatchComplete, noGrad, type OpResult, Tensor, withMode } from "../../tensor/mod.ts";

/** Other dtypes than the program was exported in: what to put in the place of what. */
export interface DTypeChange {
  readonly from: DType;
  readonly to: DType;
}

/**
 * Records what an operator comes down to that writes beside its results: running statistics, the state of the generator. A compiler
 * wants to see these writes as calls.
 */
class WriteRecorder extends GraphRecorder {
  override dispatch(op: Operator, args: NamedArgs<Tensor>): OpResult {
    const mutated = op.schema.args.find((a) => a.mutated);
    if (mutated === undefined) return super.dispatch(op, args);
    const self = args[mutated.key];
    if (!(self instanceof Tensor)) throw new InternalError(`${op.target}: nothing to write to`);
    const argument = (value: ArgValue<Tensor>): Argument => {
      if (Array.isArray(value)) return value.map((v: ArgValue<Tensor>) => argument(v));
      if (!(value instanceof Tensor)) return value as Argument;
      return value.wrapped !== null ? value.wrapped : this.nodeOf(value);
    };
    const call = op.schema.args.map((arg) => argument(args[arg.key] ?? null));
    this.graph.call(op, call, this.nodeOf(self).value, this.location);
    return self;
  }
}

/** Whether a call computes complex numbers, which is written on their parts. */
export function takesComplexForm(op: Operator, node: CallNode): boolean {
  if (complexFormOf(op) === null) return false;
  const isComplex = (argument: Argument): boolean =>
    Array.isArray(argument)
      ? argument.some((a: Argument) => isComplex(a))
      : argument === complex64 || (isNode(argument) && isTensorMeta(argument.value) && argument.value.dtype.isComplex);
  return node.args.some(isComplex);
}

/** Copies nodes of one graph into another, in another float dtype if that is asked for. */
export class GraphCopier {
  readonly graph: Graph = new Graph();
  readonly #map = new Map<Node, Argument>();
  readonly #change: DTypeChange | null;
  /** Calls that stay in the dtype that they were exported in, as nodes of the new graph. */
  readonly #wide = new Set<Node>();

  constructor(change: DTypeChange | null) {
    this.#change = change;
  }

  /** Whether a call stays in the dtype that it was exported in, since there are no kernels for the new one. */
  #staysWide(node: CallNode): boolean {
    return this.#change !== null && this.#change.to.bytes < 4 && this.#change.from.bytes >= 4 && lacksHalves(node);
  }

  /** An argument of such a call: what it reads is cast back. */
  #wideArgument(argument: Argument): Argument {
    if (Array.isArray(argument)) return argument.map((a: Argument) => this.#wideArgument(a));
    if (!isNode(argument)) return argument;
    const found = this.argument(argument);
    if (this.#change === null || !isNode(found) || !isTensorMeta(argument.value) || !isTensorMeta(found.value)) {
      return found;
    }
    const { from, to } = this.#change;
    return argument.value.dtype === from && found.value.dtype === to ? castTo(this.graph, found, from) : found;
  }

  /** What such a call yields, for calls in the new dtype. */
  #narrow(result: Argument): Argument {
    if (Array.isArray(result)) return result.map((r: Argument) => this.#narrow(r));
    if (!isNode(result) || this.#change === null) return result;
    const { value } = result;
    if (!isTensorMeta(value) || value.dtype !== this.#change.from) return result;
    return castTo(this.graph, result, this.#change.to);
  }

  /** Copies a call as it is, or in the new dtype. */
  call(node: CallNode): void {
    const isWide = this.#staysWide(node);
    if (isWide && isOperator(node.target) && node.target.schema.args.some((arg) => arg.mutated)) {
      const { name } = node.target.schema;
      throw new CompileError(`${name} has no kernels for ${this.#change?.to.name}, and would write to a copy`);
    }
    const args = node.args.map((a) => isWide ? this.#wideArgument(a) : this.argument(a));
    const made = this.graph.call(node.target, args, isWide ? node.value : this.value(node.value), node.location);
    if (isWide) this.#wide.add(made);
    this.set(node, isWide ? this.#narrow(made) : made);
  }

  dtype(dtype: DType): DType {
    return this.#change !== null && dtype === this.#change.from ? this.#change.to : dtype;
  }

  value(value: NodeValue): NodeValue {
    if (this.#change === null) return value;
    if (isTensorMeta(value)) return { ...value, dtype: this.dtype(value.dtype) };
    return Array.isArray(value) ? value.map((v: NodeValue) => this.value(v)) : value;
  }

  argument(argument: Argument): Argument {
    if (Array.isArray(argument)) return argument.map((a: Argument) => this.argument(a));
    if (isNode(argument)) {
      const found = this.#map.get(argument);
      if (found === undefined) throw new InternalError(`${argument.name} is used before it is defined`);
      return found;
    }
    if (this.#change !== null && argument === this.#change.from) return this.#change.to;
    return argument;
  }

  node(node: Node): Node {
    const found = this.#map.get(node);
    if (!isNode(found)) throw new InternalError(`${node.name} has no counterpart`);
    return found;
  }

  /** One result of a call. */
  item(source: Node, index: number, value: NodeValue): Argument {
    const found = this.#map.get(source);
    if (Array.isArray(found)) return found[index] ?? null;
    const made = this.node(source);
    if (!this.#wide.has(made)) return this.graph.getItem(made, index, this.value(value));
    return this.#narrow(this.graph.getItem(made, index, value));
  }

  /**
   * Puts what an operator comes down to in its place, if it writes beside its results or computes complex numbers; tells whether it did. `getAttr` makes attributes of the tensors
   * that it brings along: generators' states.
   */
  expand(node: CallNode, op: Operator, getAttr: (tensor: Tensor) => Node): boolean {
    const isComplex = takesComplexForm(op, node);
    if (!isComplex && (op.decompose === null || (!op.isRandom && op.writesArguments === null))) return false;
    const recorder = new WriteRecorder(() => true);
    recorder.location = node.location;
    const outer = new Map<Node, Node>();
    const twins = new Map<Node, Tensor>();
    const traced = (argument: Argument): ArgValue<Tensor> => {
      if (Array.isArray(argument)) return argument.map((a: Argument) => traced(a));
      if (!isNode(argument)) return argument as ArgValue<Tensor>;
      if (!isTensorMeta(argument.value)) throw new InternalError(`${argument.name} is no tensor`);
      const known = twins.get(argument);
      if (known !== undefined) return known;
      const tensor = recorder.placeholder(argument.name, argument.value);
      outer.set(recorder.nodeOf(tensor), argument);
      twins.set(argument, tensor);
      return tensor;
    };
    const isWide = this.#staysWide(node);
    const given = op.schema.args.map((arg, i) => {
      const value = node.args[i] ?? null;
      return [arg.key, traced(isWide ? this.#wideArgument(value) : this.argument(value))];
    });
    const args = Object.fromEntries(given) as NamedArgs<Tensor>;
    if (!isComplex && !op.isRandom && op.writesArguments?.(args) !== true) return false;
    const result = withMode(recorder, () => noGrad(() => dispatchComplete(op, args)));
    const inner = new Map<Node, Node>(outer);
    const place = (argument: Argument): Argument => {
      if (Array.isArray(argument)) return argument.map((a: Argument) => place(a));
      return isNode(argument) ? inner.get(argument) ?? null : argument;
    };
    for (const n of recorder.graph.nodes) {
      if (n.op === "getAttr") {
        const tensor = recorder.constants.get(n.path);
        if (tensor === undefined) throw new InternalError(`${op.target}: the constant ${n.path} is missing`);
        inner.set(n, getAttr(tensor));
      } else if (n.op === "call") {
        const made = this.graph.call(n.target, n.args.map(place), n.value, n.location);
        inner.set(n, made);
      } else if (n.op === "getItem") {
        const source = inner.get(n.source);
        if (source === undefined) throw new InternalError(`${op.target}: a result is missing`);
        inner.set(n, this.graph.getItem(source, n.index, n.value));
      }
    }
    const counterpart = (t: Tensor): Node => {
      const made = inner.get(recorder.nodeOf(t));
      if (made === undefined) throw new InternalError(`${op.target}: a result is missing`);
      return made;
    };
    const made: Argument = result instanceof Tensor ? counterpart(result) : result.map(counterpart);
    this.#map.set(node, isWide ? this.#narrow(made) : made);
    return true;
  }

  set(node: Node, counterpart: Argument): void {
    if (isNode(counterpart)) counterpart.location = node.location;
    this.#map.set(node, counterpart);
  }
}
