/**
 * Comparisons and logic: results are bool, computed in the promoted type of the operands.
 *
 * NaN compares unequal to everything; logic reads any number that is not 0 as true, NaN included. None of them has a gradient.
 * Mirrors `CompareOps` and the logical kernels of ATen.
 */
import { bool, type DType, float32 } from "../core/mod.ts";
import { ops, type Value } from "../loops/mod.ts";
import { definePointwise, defineScalarOverload } from "./combinators.ts";
import { binarySamples, unarySamples } from "./sample_sets.ts";

const comparisons = {
  eq: ["equals", ops.eq],
  ne: ["differs from", ops.ne],
  lt: ["is less than", ops.lt],
  le: ["is at most", ops.le],
  gt: ["is greater than", ops.gt],
  ge: ["is at least", ops.ge],
} as const;

function defineComparison(name: string, kind: keyof typeof comparisons): void {
  const [words, compare] = comparisons[kind];
  const op = definePointwise({
    schema: `aten::${name}.Tensor(Tensor self, Tensor other) -> Tensor`,
    doc: `Whether self ${words} other, element by element.`,
    promotion: "bool",
    inplace: true,
    body: (_, { self, other }) => compare(self, other),
    samples: (g) => binarySamples(g, { differentiate: false }),
  });
  defineScalarOverload(op, `aten::${name}.Scalar(Tensor self, Scalar other) -> Tensor`, { inplace: true });
}

for (const kind of ["eq", "ne", "lt", "le", "gt", "ge"] as const) defineComparison(kind, kind);
defineComparison("not_equal", "ne");
defineComparison("less", "lt");
defineComparison("less_equal", "le");
defineComparison("greater", "gt");
defineComparison("greater_equal", "ge");

function defineTest(name: string, doc: string, body: (x: Value, compute: DType) => Value): void {
  definePointwise({
    schema: `aten::${name}(Tensor self) -> Tensor`,
    doc,
    promotion: "bool",
    body: (_, { self }, compute) => body(self, compute),
    samples: (g) => unarySamples(g, { differentiate: false }),
  });
}

const no = ops.constant(false, bool);
const yes = ops.constant(true, bool);

defineTest("isnan", "Whether an element is NaN.", (x, compute) => compute.isFloat ? ops.isnan(x) : no);
defineTest("isinf", "Whether an element is infinite.", (x, compute) => compute.isFloat ? ops.isinf(x) : no);
defineTest(
  "isfinite",
  "Whether an element is neither infinite nor NaN.",
  (x, compute) => compute.isFloat ? ops.not(ops.bitwiseOr(ops.isnan(x), ops.isinf(x))) : yes,
);
defineTest("isposinf", "Whether an element is +∞.", (x, compute) => compute.isFloat ? ops.eq(x, Infinity) : no);
defineTest("isneginf", "Whether an element is -∞.", (x, compute) => compute.isFloat ? ops.eq(x, -Infinity) : no);
defineTest("isreal", "Whether an element has no imaginary part: always, for real tensors.", () => yes);
defineTest(
  "signbit",
  "Whether an element is negative, -0 included.",
  (x, compute) => compute.isFloat ? ops.signbit(x) : compute === bool ? no : ops.lt(x, 0),
);

/** Reads a number as a truth value. */
function truth(x: Value): Value {
  return ops.cast(x, bool);
}

definePointwise({
  schema: "aten::logical_not(Tensor self) -> Tensor",
  doc: "Whether an element is 0.",
  promotion: "bool",
  inplace: true,
  body: (_, { self }) => ops.not(truth(self)),
  samples: (g) => unarySamples(g, { differentiate: false }),
});

const logic = {
  logical_and: ["Whether both are not 0.", ops.bitwiseAnd],
  logical_or: ["Whether at least one is not 0.", ops.bitwiseOr],
  logical_xor: ["Whether exactly one is not 0.", ops.ne],
} as const;

for (const name of ["logical_and", "logical_or", "logical_xor"] as const) {
  const [doc, combine] = logic[name];
  definePointwise({
    schema: `aten::${name}(Tensor self, Tensor other) -> Tensor`,
    doc,
    promotion: "bool",
    inplace: true,
    body: (_, { self, other }) => combine(truth(self), truth(other)),
    samples: (g) => binarySamples(g, { differentiate: false }),
  });
}

definePointwise({
  schema:
    "aten::isclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> Tensor",
  doc: "Whether |self - other| ≤ atol + rtol × |other|, or both are the same infinity.",
  promotion: "bool",
  check: ({ self, other, rtol, atol }) => {
    if (rtol < 0 || atol < 0) {
      throw new RangeError(`isclose: rtol and atol must be 0 or more, got ${rtol} and ${atol}`);
    }
    if (self.dtype !== other.dtype) {
      throw new TypeError(
        `isclose: self is ${self.dtype.name} and other ${other.dtype.name}; convert one to the other's dtype`,
      );
    }
  },
  body: (_, { self, other, rtol, atol, equalNan }, compute) => {
    const same = ops.eq(self, other);
    if (!compute.isFloat && rtol === 0 && atol === 0) return same;
    const real = compute.isFloat ? compute : float32;
    const a = ops.cast(self, real);
    const b = ops.cast(other, real);
    const distance = ops.abs(ops.sub(a, b));
    const finite = ops.not(ops.bitwiseOr(ops.isnan(distance), ops.isinf(distance)));
    const near = ops.le(distance, ops.add(ops.abs(ops.mul(b, rtol)), atol));
    const close = ops.bitwiseOr(same, ops.bitwiseAnd(finite, near));
    return equalNan && compute.isFloat ? ops.bitwiseOr(close, ops.bitwiseAnd(ops.isnan(a), ops.isnan(b))) : close;
  },
  samples: (g) => [
    ...binarySamples(g, { differentiate: false }).filter((s) => typeof s.args["other"] === "object"),
    {
      name: "near",
      args: { self: g.tensor([3], { values: [1, 2, 3] }), other: g.tensor([3], { values: [1, 2, 4] }), rtol: 0.3 },
      differentiate: false,
    },
  ],
});
