/**
 * Loaders: what an operator's loop body sees of its tensor arguments while a graph is lowered.
 *
 * A {@linkcode TrackedInput} remembers at how many indices it was loaded, so that lowering can store an input that would be recomputed too
 * often and build the loop again. Plain numbers in tensor slots load as constants.
 */
import { type DType, dtypeOfScalar, int64 } from "../core/mod.ts";
import { type LoopInput, ops, type Value } from "../loops/mod.ts";
import type { Expr, SymInt } from "../symbolic/mod.ts";
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

/** A plain number, or a size, in the place of a tensor. */
export function scalarInput(value: number | bigint | boolean | SymInt): LoopInput & { readonly isScalar: true } {
  const loaded = typeof value === "object" ? ops.index(value.expr, int64) : ops.constant(value, dtypeOfScalar(value));
  return { shape: [], dtype: loaded.dtype, isScalar: true, load: () => loaded };
}
