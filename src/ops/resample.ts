/**
 * Resampling along one dimension: nearest, linear and cubic interpolation, and their gradient.
 *
 * Interpolation in several dimensions is one pass a dimension, and passes fuse, so that two-dimensional linear interpolation loads four
 * elements. The gradient scatters every output to the taps that it read, with one loop index for the tap. Positions are
 * computed in float32 (float64 for float64), as ATen does. Mirrors ATen's UpSample.h.
 */
import { computeType, type DType, float32, float64, int64, normalizeAxis } from "../core/mod.ts";
import { ops, pointwise, scatter, type Value } from "../loops/mod.ts";
import { asExpr, type Expr, exprOf, type Size, sub } from "../symbolic/mod.ts";
import { defineOp } from "./define.ts";
import { zerosInput } from "./embedding.ts";

/** How elements are blended. */
export type ResampleMode = "nearest" | "nearest-exact" | "linear" | "cubic";

/** An element of the input that an output reads, with its weight; null is 1. */
interface Tap {
  readonly position: Value;
  readonly weight: Value | null;
}

interface Geometry {
  readonly mode: string;
  readonly alignCorners: boolean;
  /** Output size / input size as the caller gave it, 0 if the sizes decide. */
  readonly factor: number;
}

const CUBIC = -0.75;

/** Cubic convolution for distances up to 1. */
function cubicNear(x: Value): Value {
  return ops.add(ops.mul(ops.mul(ops.sub(ops.mul(x, CUBIC + 2), CUBIC + 3), x), x), 1);
}

/** Cubic convolution for distances from 1 to 2. */
function cubicFar(x: Value): Value {
  const inner = ops.add(ops.mul(ops.sub(ops.mul(x, CUBIC), 5 * CUBIC), x), 8 * CUBIC);
  return ops.sub(ops.mul(inner, x), 4 * CUBIC);
}

/** Input step for one output step. */
function scaleOf(g: Geometry, input: Expr, output: Expr, type: DType): Value {
  if (g.alignCorners && (g.mode === "linear" || g.mode === "cubic")) {
    if (output.kind === "const" && output.value <= 1) return ops.constant(0, type);
    return ops.div(ops.index(sub(input, 1), type), ops.index(sub(output, 1), type));
  }
  if (g.factor > 0) return ops.constant(1 / g.factor, type);
  return ops.div(ops.index(input, type), ops.index(output, type));
}

function clampIndex(position: Value, size: Expr): Value {
  return ops.minimum(ops.maximum(position, 0), ops.index(sub(size, 1)));
}

/** The taps of output position `at`. */
function tapsOf(g: Geometry, at: Expr, input: Expr, output: Expr, dtype: DType): Tap[] {
  const type = dtype === float64 ? float64 : float32;
  const isNearest = g.mode === "nearest" || g.mode === "nearest-exact";
  const scale = scaleOf(g, input, output, isNearest ? float32 : type);
  if (isNearest) {
    const x = ops.index(at, float32);
    const source = ops.floor(ops.mul(g.mode === "nearest" ? x : ops.add(x, 0.5), scale));
    return [{ position: clampIndex(ops.cast(source, int64), input), weight: null }];
  }
  const x = ops.index(at, type);
  const half = ops.sub(ops.mul(scale, ops.add(x, 0.5)), 0.5);
  if (g.mode === "linear") {
    const source = g.alignCorners ? ops.mul(scale, x) : ops.maximum(half, 0);
    const first = clampIndex(ops.cast(source, int64), input);
    const lambda = ops.minimum(ops.maximum(ops.sub(source, ops.cast(first, type)), 0), 1);
    return [
      { position: first, weight: ops.sub(1, lambda) },
      { position: clampIndex(ops.add(first, 1), input), weight: lambda },
    ];
  }
  const source = g.alignCorners ? ops.mul(scale, x) : half;
  const floor = ops.floor(source);
  const t = ops.sub(source, floor);
  const base = ops.cast(floor, int64);
  const rest = ops.sub(1, t);
  return [cubicFar(ops.add(t, 1)), cubicNear(t), cubicNear(rest), cubicFar(ops.add(rest, 1))].map((weight, i) => ({
    position: clampIndex(ops.add(base, i - 1), input),
    weight,
  }));
}

const MODES: readonly string[] = ["nearest", "nearest-exact", "linear", "cubic"];

function withSize(shape: readonly Size[], dim: Size, size: Size, mode: string): Size[] {
  if (!MODES.includes(mode)) {
    throw new RangeError(`resample_axis: mode must be one of ${MODES.join(", ")}, got "${mode}"`);
  }
  const axis = normalizeAxis(Number(dim), shape.length, "resample_axis");
  return shape.map((s, d) => d === axis ? size : s);
}

defineOp({
  schema:
    "tessera::resample_axis(Tensor input, int dim, SymInt size, str mode, bool align_corners, float factor) -> Tensor",
  doc: "Interpolates one dimension to a size: nearest, nearest-exact, linear or cubic.",
  meta: ({ input, dim, size, mode }) => ({ shape: withSize(input.shape, dim, size, mode), dtype: input.dtype }),
  loop: ({ input, dim, ...g }, out) => {
    const axis = normalizeAxis(Number(dim), input.shape.length, "resample_axis");
    const inSize = input.shape[axis] ?? asExpr(1), outSize = exprOf(out.shape[axis] ?? 1);
    return pointwise(out.shape, (index) => {
      const taps = tapsOf(g, index[axis] ?? asExpr(0), inSize, outSize, out.dtype);
      const load = (tap: Tap): Value =>
        input.load(index.map((e, d) => d === axis ? ops.indirect(tap.position, inSize) : e));
      const [only] = taps;
      if (taps.length === 1 && only !== undefined) return load(only);
      const compute = out.dtype.isFloat ? computeType(out.dtype) : float32;
      const terms = taps.map((tap) =>
        ops.mul(ops.cast(load(tap), compute), ops.cast(tap.weight ?? ops.constant(1, compute), compute))
      );
      const sum = terms.reduce((a, b) => ops.add(a, b));
      return ops.cast(out.dtype.isFloat ? sum : ops.round(sum), out.dtype);
    });
  },
  vjp: ({ input, dim, mode, alignCorners, factor }, { grad, F }) => ({
    input: () => {
      const size = input.shape[normalizeAxis(Number(dim), input.ndim, "resample_axis")] ?? 1;
      const wide = grad.to(computeType(grad.dtype));
      return F.resampleAxisGrad(wide, dim, size, mode, alignCorners, factor).to(grad.dtype);
    },
  }),
  samples: (g) =>
    MODES.map((mode) => ({
      name: mode,
      args: { input: g.tensor([2, 5]), dim: 1, size: 8, mode, alignCorners: mode === "cubic", factor: 0 },
    })),
});

defineOp({
  schema:
    "tessera::resample_axis_grad(Tensor grad, int dim, SymInt size, str mode, bool align_corners, float factor) -> Tensor",
  doc: "The gradient of resample_axis: adds each element to the positions that its output read.",
  meta: ({ grad, dim, size, mode }) => ({ shape: withSize(grad.shape, dim, size, mode), dtype: grad.dtype }),
  loop: ({ grad, dim, ...g }, out) => {
    const axis = normalizeAxis(Number(dim), grad.shape.length, "resample_axis");
    const inSize = exprOf(out.shape[axis] ?? 1), outSize = grad.shape[axis] ?? asExpr(1);
    const count = tapsOf(g, asExpr(0), inSize, outSize, out.dtype).length;
    return scatter("sum", zerosInput(out.shape, out.dtype), [...grad.shape, count], (index) => {
      const at = index.slice(0, -1);
      const which = ops.index(index[index.length - 1] ?? asExpr(0));
      const taps = tapsOf(g, at[axis] ?? asExpr(0), inSize, outSize, out.dtype);
      const choose = (of: (tap: Tap) => Value): Value =>
        taps.map(of).reduceRight((later, here, i) => ops.where(ops.eq(which, i), here, later));
      const position = choose((tap) => tap.position);
      const value = grad.load(at);
      const weight = choose((tap) => ops.cast(tap.weight ?? ops.constant(1, value.dtype), value.dtype));
      return {
        target: at.map((e, d) => d === axis ? ops.indirect(position, inSize) : e),
        value: ops.mul(value, weight),
      };
    });
  },
  vjp: ({ grad: { shape }, dim, mode, alignCorners, factor }, { grad, F }) => ({
    grad: () => {
      const size = shape[normalizeAxis(Number(dim), shape.length, "resample_axis")] ?? 1;
      return F.resampleAxis(grad, dim, size, mode, alignCorners, factor);
    },
  }),
  samples: (g) =>
    MODES.map((mode) => ({
      name: mode,
      args: { grad: g.tensor([2, 8]), dim: 1, size: 5, mode, alignCorners: false, factor: 0 },
    })),
});
