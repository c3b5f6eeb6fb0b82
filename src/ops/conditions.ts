/**
 * Conditions on data inside of loop bodies: divisors that are not 0, probabilities between 0 and 1.
 *
 * A condition is an index that is 0 where it holds and out of range where not, so every executor checks it like any index, masks included, and stops before
 * anything is written in place. What is known when the body is recorded costs nothing. Mirrors the checks inside of ATen's kernels.
 */
import { type Condition, CONDITION_SIZE, conditionIndex, indexErrorText, int64 } from "../core/mod.ts";
import { ops, type Value } from "../loops/mod.ts";
import { asExpr } from "../symbolic/mod.ts";

/** 0, of int64, checked: where `holds` is false, the kernel reports the condition. */
function checked(holds: Value, condition: Condition): Value {
  const index = ops.where(holds, ops.constant(0, int64), ops.constant(conditionIndex(condition), int64));
  return ops.index(ops.indirect(index, asExpr(CONDITION_SIZE)));
}

/** An integer divisor that is not 0; floats as they are, since they have infinities. @throws {RangeError} for the number 0. */
export function divisor(b: Value): Value {
  if (b.dtype.isFloat) return b;
  if (b.kind === "constant") {
    if (Number(b.value) === 0) {
      throw new RangeError(indexErrorText(conditionIndex("divisor"), CONDITION_SIZE));
    }
    return b;
  }
  return ops.add(b, ops.cast(checked(ops.ne(b, 0), "divisor"), b.dtype));
}

/** A number that must lie in [0, 1]. */
export function unitInterval(x: Value, condition: Condition): Value {
  const holds = ops.bitwiseAnd(ops.ge(x, 0), ops.le(x, 1));
  return ops.where(ops.eq(checked(holds, condition), 0), x, 0);
}
