/**
 * Loaders: what an operator's loop body sees of its tensor arguments while a graph is lowered.
 *
 * A {@linkcode TrackedInput} remembers at how many indices it was loaded, so that lowering can store an input that would be recomputed too
 * often and build the loop again. Plain numbers in tensor slots load as constants.
 */
import { type DType, dtypeOfScalar, int64, InternalError } from "../core/mod.ts";
import { type Argument, type CallNode, isNode, type Node } from "../graph/mod.ts";
import type { LoopInput, Value } from "../loops/mod.ts";
import type { ArgValue, NamedArgs, Operator } from "../ops/mod.ts";
import { type Expr, isSymInt, type SymInt } from "../symbolic/mod.ts";
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
    return this.tensor.load(index);
  }
}

// One meaning of plain numbers for all executors: doubles stay doubles, whatever the tensor beside them is.
export { scalarInput } from "../ops/mod.ts";
