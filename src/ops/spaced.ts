/**
 * Numbers at equal distances: linspace, logspace, with ends that are numbers or 0-dim tensors.
 *
 * Counting from the nearer end makes both ends exact. Integers take their ends truncated and are computed in float64. Without a dtype the result has the default float.
 * Mirrors `RangeFactories.cpp` of ATen.
 */
import { type DType, float32, float64, getDefaultDtype } from "../core/mod.ts";
import type { Scalar, TensorMeta } from "../graph/mod.ts";
import { type LoopInput, type LoopNode, ops, pointwise, type Value } from "../loops/mod.ts";
import { constant, shapeToText, sub } from "../symbolic/mod.ts";
import { fresh, OPTIONS } from "./creation.ts";
import { defineOp, type MetaInput } from "./define.ts";
import type { SampleGenerator, TensorSample } from "./samples.ts";
import { isScalar, scalarValue } from "./scalars.ts";

function checkEnds(where: string, ends: Readonly<Record<string, MetaInput | Scalar>>): void {
  for (const [name, end] of Object.entries(ends)) {
    if (isScalar(end)) continue;
    if (end.shape.length !== 0) {
      throw new TypeError(`${where}: ${name} must be a 0-dim tensor, got ${shapeToText(end.shape)}`);
    }
    if (end.dtype.isComplex) throw new TypeError(`${where}: ${name} must be real, got ${end.dtype.name}`);
  }
}

/** The type to compute in, and an end in it, as the result's dtype holds it. */
function endValue(end: LoopInput | Scalar, dtype: DType, compute: DType): Value {
  if (isScalar(end)) return scalarValue(dtype.isFloat ? end : Math.trunc(Number(end)), compute);
  return ops.cast(ops.cast(end.load([]), dtype), compute);
}

/** The i-th of `count` numbers from start to end, finished by `finish`. */
function spacedLoop(
  start: LoopInput | Scalar,
  end: LoopInput | Scalar,
  count: number,
  out: TensorMeta,
  finish: (x: Value, compute: DType) => Value,
): LoopNode {
  const compute = out.dtype.isFloat && out.dtype !== float64 ? float32 : float64;
  return pointwise(out.shape, ([i = constant(0)]) => {
    const from = endValue(start, out.dtype, compute);
    if (count === 1) return ops.cast(finish(from, compute), out.dtype);
    const to = endValue(end, out.dtype, compute);
    const step = ops.div(ops.sub(to, from), count - 1);
    const forward = ops.add(from, ops.mul(step, ops.cast(ops.index(i), compute)));
    const backward = ops.sub(to, ops.mul(step, ops.cast(ops.index(sub(count - 1, i)), compute)));
    const x = ops.where(ops.lt(ops.index(i), Math.floor(count / 2)), forward, backward);
    return ops.cast(finish(x, compute), out.dtype);
  });
}

/** Overloads by the kinds of their ends. */
const FORMS = [
  ["", false, false],
  [".Tensor_Tensor", true, true],
  [".Tensor_Scalar", true, false],
  [".Scalar_Tensor", false, true],
] as const;

type LinspaceSchema = `aten::linspace(Scalar start, Scalar end, int steps, *, ${typeof OPTIONS}) -> Tensor`;
type LogspaceSchema =
  `aten::logspace(Scalar start, Scalar end, int steps, float base=10.0, *, ${typeof OPTIONS}) -> Tensor`;

function endSample(g: SampleGenerator, isTensor: boolean, value: number): TensorSample | number {
  return isTensor ? g.tensor([], { values: [value], dtype: float32, requiresGrad: false }) : value;
}

for (const [overload, first, second] of FORMS) {
  const ends = `${first ? "Tensor" : "Scalar"} start, ${second ? "Tensor" : "Scalar"} end`;
  defineOp({
    schema: `aten::linspace${overload}(${ends}, int steps, *, ${OPTIONS}) -> Tensor` as LinspaceSchema,
    doc: "steps numbers from start to end (inclusive), equally spaced.",
    meta: ({ start, end, steps, dtype, device }) => {
      checkEnds("linspace", { start, end });
      return fresh("linspace", [steps], { dtype, device }, getDefaultDtype());
    },
    loop: ({ start, end, steps }, out) => spacedLoop(start, end, Number(steps), out, (x) => x),
    samples: (g) => [
      {
        args: {
          start: endSample(g, first, 0),
          end: endSample(g, second, 1),
          steps: 5,
          dtype: g.dtype.isFloat ? g.dtype : null,
        },
      },
      { name: "one", args: { start: endSample(g, first, 2), end: endSample(g, second, 9), steps: 1 } },
      { name: "down", args: { start: endSample(g, first, 3), end: endSample(g, second, -3), steps: 4 } },
    ],
  });
  defineOp({
    schema: `aten::logspace${overload}(${ends}, int steps, float base=10.0, *, ${OPTIONS}) -> Tensor` as LogspaceSchema,
    doc: "steps numbers from base^start to base^end (inclusive), whose logarithms are equally spaced.",
    meta: ({ start, end, steps, dtype, device }) => {
      checkEnds("logspace", { start, end });
      return fresh("logspace", [steps], { dtype, device }, getDefaultDtype());
    },
    loop: ({ start, end, steps, base }, out) => {
      // Integers are powers of an integer, but where there is one element alone.
      const radix = out.dtype.isFloat || Number(steps) === 1 ? base : Math.trunc(base);
      return spacedLoop(
        start,
        end,
        Number(steps),
        out,
        (x, compute) => ops.pow(ops.constant(radix, compute), x),
      );
    },
    samples: (g) => [
      {
        args: {
          start: endSample(g, first, 0),
          end: endSample(g, second, 2),
          steps: 5,
          base: 2,
          dtype: g.dtype.isFloat ? g.dtype : null,
        },
      },
      { name: "one", args: { start: endSample(g, first, 1), end: endSample(g, second, 9), steps: 1 } },
    ],
  });
}
