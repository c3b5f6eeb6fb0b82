/**
 * Runs an exported graph node by node through the tensors' dispatch.
 *
 * Enters: a graph, its attributes, values of its symbols. Leaves: its results. Symbolic sizes in arguments become numbers as their symbols are known;
 * symbols that stand for data (`item()`, `nonzero()`) get their value when the node that yields it has run. Under a dispatch mode (capture, fake
 * tensors) the same run is recorded instead of computed.
 */
import { InternalError } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  type ControlTarget,
  type Graph,
  Interpreter,
  isControl,
  isTensorMeta,
  type NodeValue,
  type PlaceholderNode,
  type RunArgument,
  runControl,
} from "../../graph/mod.ts";
import { getOp, isOperator } from "../../ops/mod.ts";
import { isSymInt } from "../../symbolic/mod.ts";
// The whole module: it also gives decompositions their operators.
import { dispatch, Tensor } from "../../tensor/mod.ts";
import type { Bindings } from "./bindings.ts";
import { isPart, type PartTarget } from "./parts.ts";
import { isItem } from "./targets.ts";

/** What flows through a graph. */
export type RunValue = Tensor | number | bigint | boolean | string | null;

type Attributes = ReadonlyMap<string, RunValue>;

function tensorOf(value: unknown, place: string): Tensor {
  if (value instanceof Tensor) return value;
  throw new TypeError(`${place}: needs a tensor, got ${typeof value}`);
}

function isTrue(value: unknown): boolean {
  return value instanceof Tensor ? value.item() !== 0 : Boolean(value);
}

/** An interpreter over tensors and plain values. */
class ProgramInterpreter extends Interpreter<RunValue> {
  readonly #bindings: Bindings;
  readonly #attributes: Attributes;

  constructor(graph: Graph, bindings: Bindings, attributes: Attributes) {
    super(graph, () => {
      throw new InternalError("calls are run by runCall");
    });
    this.#bindings = bindings;
    this.#attributes = attributes;
  }

  override argument(argument: Argument): RunArgument<RunValue> {
    return isSymInt(argument) ? this.#bindings.value(argument) : super.argument(argument);
  }

  override runPlaceholder(node: PlaceholderNode): RunValue {
    return super.runPlaceholder(node);
  }

  override runCall(node: CallNode): RunValue | readonly RunValue[] | void {
    const args = node.args.map((a) => this.argument(a));
    const result = this.#compute(node, args);
    this.#bind(node.value, result, node.name);
    return result;
  }

  #compute(node: CallNode, args: readonly unknown[]): RunValue | readonly RunValue[] {
    const { target } = node;
    if (isOperator(target)) {
      const named = Object.fromEntries(target.schema.args.map((arg, i) => [arg.key, args[i]]));
      try {
        return dispatch(target, named);
      } catch (error) {
        throw atLocation(error, node);
      }
    }
    if (isItem(target)) {
      const item = tensorOf(args[0], "item").item();
      if (target.assertion !== undefined && !item) throw atLocation(new RangeError(target.assertion), node);
      return typeof node.value === "boolean" ? Boolean(item) : item;
    }
    if (isControl(target)) return this.#control(target, args);
    if (isPart(target)) return this.#part(target, args);
    throw new InternalError(`${target.schema.target} cannot be run`);
  }

  /** A compiled part; node by node where a size is of a kind that exporters rule out. */
  #part(target: PartTarget, [inputs, sizes]: readonly unknown[]): readonly RunValue[] {
    const [tensors, numbers] = [inputs as readonly Tensor[], sizes as readonly number[]];
    const isUsual = target.dataSizes.every((size) => this.#bindings.value(size) > 1);
    return isUsual ? target.run(tensors, numbers, this.#bindings) : this.#run(target.part, [...tensors, ...numbers]);
  }

  /** Gives symbols that this node's value is the first to name their values. */
  #bind(meta: NodeValue, result: unknown, place: string): void {
    if (isTensorMeta(meta)) {
      if (meta.shape.some((s) => isSymInt(s) && !this.#bindings.knows(s.expr))) {
        this.#bindings.require(meta, result, place);
        this.#bindings.settle();
      }
    } else if (isSymInt(meta)) {
      if (this.#bindings.knows(meta.expr)) return;
      this.#bindings.require(meta, result, place);
      this.#bindings.settle();
    } else if (typeof meta === "boolean") this.#bindings.require(meta, result, place);
    else if (Array.isArray(meta) && Array.isArray(result)) {
      meta.forEach((m: NodeValue, i) => this.#bind(m, result[i], place));
    }
  }

  #run(graph: Graph, inputs: readonly RunValue[]): readonly RunValue[] {
    return runGraph(graph, inputs, this.#bindings.nested(), this.#attributes);
  }

  #control(target: ControlTarget, args: readonly unknown[]): readonly RunValue[] {
    return runControl<RunValue>(target, args, {
      run: (graph, inputs) => this.#run(graph, inputs),
      isTrue,
      slices: steps,
      stack: (rows) => stacked(rows),
    });
  }
}

/** The slices of tensors along their first dimension. */
function steps(xs: readonly RunValue[]): RunValue[][] {
  const tensors = xs.map((x) => tensorOf(x, "map or scan"));
  const count = Number(tensors[0]?.shape[0] ?? 0);
  if (count === 0) throw new RangeError("map or scan over no elements: the shapes of its results are not known");
  const select = getOp("aten.select.int");
  return Array.from(
    { length: count },
    (_, index) => tensors.map((self) => dispatch(select, { self, dim: 0, index }) as Tensor),
  );
}

function stacked(rows: readonly (readonly RunValue[])[]): RunValue[] {
  const stack = getOp("aten.stack.default");
  return (rows[0] ?? []).map((_, i) =>
    dispatch(stack, { tensors: rows.map((row) => tensorOf(row[i], "map or scan")), dim: 0 }) as Tensor
  );
}

/** The error with the line of the user's source that the node comes from. */
function atLocation(error: unknown, node: CallNode): unknown {
  if (!(error instanceof Error) || node.location === null) return error;
  const at = `(${node.target.schema.target} at ${node.location.file}:${node.location.line})`;
  if (!error.message.includes(at)) error.message += ` ${at}`;
  return error;
}

/** Runs a graph: checks inputs against placeholders, then computes. Results are in the order of the graph's output. */
export function runGraph(
  graph: Graph,
  inputs: readonly RunValue[],
  bindings: Bindings,
  attributes: Attributes,
): readonly RunValue[] {
  const { placeholders } = graph;
  if (placeholders.length !== inputs.length) {
    throw new TypeError(`the program takes ${placeholders.length} inputs, got ${inputs.length}`);
  }
  placeholders.forEach((node, i) => bindings.require(node.value, inputs[i], `input ${node.name}`));
  bindings.settle();
  return new ProgramInterpreter(graph, bindings, attributes).run(inputs, attributes) as readonly RunValue[];
}
