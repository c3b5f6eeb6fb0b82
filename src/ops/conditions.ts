/**
 * Conditions on data inside of loop bodies: divisors that are not 0, probabilities between 0 and 1.
 *
 * A condition is an index that is 0 where it holds and out of range where not, so every executor checks it like any index, masks included, and stops before
 * anything is written in place. What is known when the body is recorded costs nothing. Mirrors the checks inside of ATen's kernels.
 */
import { type Condition, CONDITION_SIZE, conditionIndex, indexErrorText, int64, InternalError } from "../core/mod.ts";
import { ops, type Value } from "../loops/mod.ts";
import { asExpr } from "../symbolic/mod.ts";
import { definePointwise } from "./combinators.ts";

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

/** What holds of elements under a condition. */
function holds(x: Value, condition: Condition): Value {
  switch (condition) {
    case "divisor":
      return ops.ne(x, 0);
    case "probability":
    case "target":
    case "quantile":
      return ops.bitwiseAnd(ops.ge(x, 0), ops.le(x, 1));
    case "standardDeviation":
      return ops.ge(x, 0);
    case "repeats":
      return ops.eq(x, 0);
    default:
      throw new InternalError(`conditions: ${condition satisfies never}`);
  }
}

/** A number that must meet a condition. */
export function required(x: Value, condition: Condition): Value {
  return ops.where(ops.eq(checked(holds(x, condition), condition), 0), x, 0);
}

definePointwise({
  schema: "tessera::require(Tensor self, str condition) -> Tensor",
  doc: "self, all of whose elements meet a condition.",
  body: (_, { self, condition }) => required(self, condition as Condition),
  vjp: (_, { grad }) => ({ self: () => grad }),
  samples: (g) =>
    g.dtype.isFloat ? [{ args: { self: g.tensor([3], { values: [0.25, 0.5, 0.75] }), condition: "quantile" } }] : [],
});
