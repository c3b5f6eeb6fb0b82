/**
 * Operators on the bits of integers and on bools.
 *
 * Floats are refused. Shifts by negative counts or by the width and more yield 0 (-1 for a negative number shifted right). Mirrors
 * the bitwise kernels of ATen; `__and__` and the like are the names under which exported programs call them.
 */
import { ops, type Value } from "../loops/mod.ts";
import { definePointwise, defineScalarOverload } from "./combinators.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import { binarySamples, unarySamples } from "./sample_sets.ts";

const forIntegers = (g: SampleGenerator, low: number, bools: boolean): Sample[] =>
  g.dtype.isFloat || (!bools && g.dtype.kind === "bool")
    ? []
    : binarySamples(g, { low, high: 4, scalar: 1, differentiate: false });

definePointwise({
  schema: "aten::bitwise_not(Tensor self) -> Tensor",
  doc: "All bits inverted; logical negation of bools.",
  promotion: "integer",
  inplace: true,
  body: (_, { self }, compute) => compute.kind === "bool" ? ops.not(self) : ops.bitwiseNot(self),
  samples: (g) => g.dtype.isFloat ? [] : unarySamples(g, { differentiate: false }),
});

function defineBitwise(
  name: string,
  doc: string,
  body: (a: Value, b: Value) => Value,
  low: number,
  bools: boolean,
  scalarOverload: string,
  inplace: boolean,
): void {
  const op = definePointwise({
    schema: `aten::${name}.Tensor(Tensor self, Tensor other) -> Tensor`,
    doc,
    promotion: "integer",
    inplace,
    body: (_, { self, other }) => body(self, other),
    samples: (g) => forIntegers(g, low, bools),
  });
  defineScalarOverload(op, `aten::${name}.${scalarOverload}(Tensor self, Scalar other) -> Tensor`, { inplace });
  if (name.startsWith("bitwise")) {
    defineScalarOverload(op, `aten::${name}.Scalar_Tensor(Scalar self, Tensor other) -> Tensor`);
  }
}

const boolwise = [
  ["and", "Bits that are set in both.", ops.bitwiseAnd],
  ["or", "Bits that are set in at least one.", ops.bitwiseOr],
  ["xor", "Bits that are set in exactly one.", ops.bitwiseXor],
] as const;

for (const [name, doc, body] of boolwise) {
  defineBitwise(`bitwise_${name}`, doc, body, -3, true, "Scalar", true);
  defineBitwise(`__${name}__`, doc, body, -3, true, "Scalar", false);
}

const shifts = [
  ["bitwise_left_shift", "Tensor_Scalar", "Bits moved towards the high end.", ops.shiftLeft],
  ["bitwise_right_shift", "Tensor_Scalar", "Bits moved towards the low end, the sign kept.", ops.shiftRight],
  ["__lshift__", "Scalar", "Bits moved towards the high end.", ops.shiftLeft],
  ["__rshift__", "Scalar", "Bits moved towards the low end, the sign kept.", ops.shiftRight],
] as const;

for (const [name, overload, doc, body] of shifts) {
  defineBitwise(name, doc, body, 0, false, overload, name.startsWith("bitwise"));
}
