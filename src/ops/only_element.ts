/**
 * Indices into tensors of one element: no address depends on them, so that the check of their bounds must hang on the value.
 */
import { bool } from "../core/mod.ts";
import { ops, type Value } from "../loops/mod.ts";
import type { Expr } from "../symbolic/mod.ts";

/** `value`, which stands at `position` 0; a position that comes from data is checked where it is computed. */
export function onlyElement(value: Value, position: Expr): Value {
  return ops.where(ops.eq(ops.index(position), 0), value, ops.constant(value.dtype === bool ? false : 0, value.dtype));
}
