/**
 * Loaders: what an operator's loop body sees of its tensor arguments while a graph is lowered.
 *
 * A {@linkcode TrackedInput} remembers at how many indices it was loaded, so that lowering can store an input that would be recomputed too
 * often and build the loop again. Plain numbers in tensor slots load as the operator table says.
 */
import { type DType, int64, InternalError } from "../core/mod.ts";
import { type Argument, type CallNode, isNode, type Node } from "../graph/mod.ts";
import { type LoopInput, ops, symbolsOf, type Value } from "../loops/mod.ts";
import { type ArgValue, type NamedArgs, type Operator, scalarInput } from "../ops/mod.ts";
import { type Expr, freeSymbols, isSymInt, symbol, type SymInt } from "../symbolic/mod.ts";
import type { LoweredTensor } from "./lowered.ts";

/** A tensor argument. */
export class TrackedInput implements LoopInput {
  readonly tensor: LoweredTensor;
  readonly #places = new Set<string>();

  constructor(tensor: LoweredTensor) {
    this.tensor = tensor;
  }

  get shape(): readonly Expr[] {
    return this.tensor.shape;
  }

  get dtype(): DType {
    return this.tensor.dtype;
  }

  /** Different indices at which the body has loaded. */
  get places(): number {
    return this.#places.size;
  }

  load(index: readonly Expr[]): Value {
    this.#places.add(index.map((e) => e.id).join(","));
    return stillChecked(this.tensor.load(index), index);
  }
}

/** The value with the checks of its computed indices, also of those on which it does not depend: a dimension of size 1, a constant. */
function stillChecked(value: Value, index: readonly Expr[]): Value {
  const computed = index.flatMap((e) => [...freeSymbols(e)].filter((sym) => sym.kind === "indirect"));
  if (computed.length === 0) return value;
  const seen = symbolsOf([value]);
  let out = value;
  for (const sym of computed) {
    if (seen.has(sym)) continue;
    const isThere = ops.ge(ops.index(symbol(sym), int64), ops.constant(0, int64));
    out = ops.masked(isThere, out, out.kind === "constant" && Number(out.value) === 0 ? 1 : 0);
  }
  return out;
}

/** The arguments of a call as its loop takes them; tensors are also put into `inputs`, in order. */
export function loopArguments(
  node: CallNode,
  op: Operator,
  tensorOf: (node: Node) => LoweredTensor | null,
  inputs: TrackedInput[],
): NamedArgs<LoopInput> {
  const out: Record<string, ArgValue<LoopInput>> = {};
  op.schema.args.forEach((arg, i) => {
    const given = node.args[i];
    if (given === undefined) throw new InternalError(`${node.name}: the argument ${arg.key} is missing`);
    out[arg.key] = loopArgument(node, given, arg.type === "Tensor", tensorOf, inputs);
  });
  return out;
}

function isNumber(value: unknown): value is number | bigint | boolean | SymInt {
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean" || isSymInt(value);
}

function loopArgument(
  node: CallNode,
  given: Argument,
  isTensor: boolean,
  tensorOf: (node: Node) => LoweredTensor | null,
  inputs: TrackedInput[],
): ArgValue<LoopInput> {
  if (Array.isArray(given)) {
    return (given as readonly Argument[]).map((item) => loopArgument(node, item, isTensor, tensorOf, inputs));
  }
  if (isNode(given)) {
    const tensor = tensorOf(given);
    if (tensor !== null) {
      const input = new TrackedInput(tensor);
      inputs.push(input);
      return input;
    }
    // One meaning of plain numbers for all executors: doubles stay doubles, whatever the tensor beside them is.
    if (isNumber(given.value)) return isTensor ? scalarInput(given.value) : given.value;
    throw new InternalError(`${node.name}: ${given.name} is neither a tensor nor a number`);
  }
  if (isTensor && isNumber(given)) return scalarInput(given);
  return given as ArgValue<LoopInput>;
}
