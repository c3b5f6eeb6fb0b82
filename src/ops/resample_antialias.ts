/**
 * Antialiased interpolation: bilinear and bicubic, with a filter that grows as the image shrinks.
 *
 * Each dimension is a product with a matrix of filter weights, [output, input], computed from index arithmetic; matmul's gradient is the gradient. Integer
 * images are computed in float32 and rounded. Mirrors ATen's `_upsample_bilinear2d_aa` and `_upsample_bicubic2d_aa` (after Pillow).
 */
import { computeType, type DType, float32, float64 } from "../core/mod.ts";
import { ops, pointwise, type Value } from "../loops/mod.ts";
import { exprOf, type Size } from "../symbolic/mod.ts";
import { defineOp } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { SampleArg, SampleGenerator } from "./samples.ts";
import { upsampledSize, upsampledSpec } from "./upsampled.ts";
import type { TensorValue } from "./value.ts";

/** Weight of an element at distance `x` (in units of the filter) from the centre. */
function filter(x: Value, cubic: boolean): Value {
  const d = ops.abs(x);
  if (!cubic) return ops.maximum(ops.sub(1, d), 0);
  const a = -0.5;
  const near = ops.add(ops.mul(ops.mul(ops.sub(ops.mul(d, a + 2), a + 3), d), d), 1);
  const far = ops.mul(ops.sub(ops.mul(ops.add(ops.mul(ops.sub(d, 5), d), 8), d), 4), a);
  return ops.where(ops.lt(d, 1), near, ops.where(ops.lt(d, 2), far, ops.constant(0, d.dtype)));
}

defineOp({
  schema:
    "tessera::antialias_weights(SymInt input, SymInt output, bool cubic, bool align_corners, float factor, *, ScalarType dtype, Device? device=None) -> Tensor",
  doc: "The filter of antialiased interpolation as a matrix [output, input]; rows are not normalised.",
  meta: ({ input, output, dtype, device }) => ({
    shape: [output, input],
    dtype,
    ...(device === null ? {} : { device }),
  }),
  loop: ({ input, output, cubic, alignCorners, factor }, out) => {
    const type = out.dtype === float64 ? float64 : float32;
    const size = (s: Size): Value => ops.index(exprOf(s), type);
    const scale = alignCorners
      ? ops.where(
        ops.gt(size(output), 1),
        ops.div(ops.sub(size(input), 1), ops.maximum(ops.sub(size(output), 1), 1)),
        ops.constant(0, type),
      )
      : factor > 0
      ? ops.constant(1 / factor, type)
      : ops.div(size(input), size(output));
    const reach = ops.maximum(scale, 1);
    const support = ops.mul(reach, cubic ? 2 : 1);
    return pointwise(out.shape, (index) => {
      const [o, i] = index;
      if (o === undefined || i === undefined) return ops.constant(0, out.dtype);
      const centre = ops.mul(scale, ops.add(ops.index(o, type), 0.5));
      const at = ops.index(i, type);
      const first = ops.maximum(ops.trunc(ops.add(ops.sub(centre, support), 0.5)), 0);
      const end = ops.minimum(ops.trunc(ops.add(ops.add(centre, support), 0.5)), size(input));
      const weight = filter(ops.div(ops.add(ops.sub(at, centre), 0.5), reach), cubic);
      const inside = ops.bitwiseAnd(ops.ge(at, first), ops.lt(at, end));
      return ops.cast(ops.where(inside, weight, 0), out.dtype);
    });
  },
  samples: () => [
    { args: { input: 7, output: 3, cubic: false, alignCorners: false, factor: 0, dtype: float32 } },
    { args: { input: 5, output: 8, cubic: true, alignCorners: true, factor: 0, dtype: float32 } },
  ],
});

/**
 * Weights [output, input] of integer images: of 15 bits, as Pillow and ATen store them, so that what lies half way between two values rounds as
 * there.
 */
export function fixedPointWeights(weights: TensorValue): TensorValue {
  const scale = weights.max().reciprocal().mul(2 ** 15 - 0.5).log2().ceil().sub(1).exp2();
  return weights.mul(scale).add(0.5).floor().div(scale);
}

/** Interpolates the last two dimensions with a matrix [output, input] each. Integer images are rounded after each dimension, as ATen stores them. */
export function applyWeights(wide: TensorValue, rows: TensorValue, columns: TensorValue, dtype: DType): TensorValue {
  const settle = (x: TensorValue): TensorValue => dtype.isFloat ? x : x.add(0.5).floor().clamp(dtype.min, dtype.max);
  const across = settle(wide.matmul(columns.transpose(0, 1)));
  return settle(across.transpose(2, 3).matmul(rows.transpose(0, 1)).transpose(2, 3)).contiguous();
}

interface Resize {
  readonly size: readonly Size[];
  readonly cubic: boolean;
  readonly alignCorners: boolean;
  readonly factors: readonly (number | null)[];
}

function resize(input: TensorValue, { size, cubic, alignCorners, factors }: Resize, F: Functional): TensorValue {
  const { dtype } = input;
  const compute = dtype.isFloat ? computeType(dtype) : float64;
  const matrix = (axis: number): TensorValue => {
    const w = F.antialiasWeights(
      input.shape[axis + 2] ?? 1,
      size[axis] ?? 1,
      cubic,
      alignCorners,
      factors[axis] ?? 0,
      { dtype: compute, device: input.device },
    );
    const normal = w.div(w.sum([1], true));
    return dtype.isFloat ? normal : fixedPointWeights(normal);
  };
  const wide = dtype === compute ? input : input.to(compute);
  const out = applyWeights(wide, matrix(0), matrix(1), dtype);
  return dtype === compute ? out : out.to(dtype);
}

const KINDS = [["_upsample_bilinear2d_aa", false], ["_upsample_bicubic2d_aa", true]] as const;

for (const [name, cubic] of KINDS) {
  const doc = `Antialiased ${cubic ? "bicubic" : "bilinear"} interpolation of images.`;
  const samples = (more: Readonly<Record<string, SampleArg>>, key: "self" | "input") => (g: SampleGenerator) =>
    g.dtype.isFloat ? [{ args: { [key]: g.tensor([1, 2, 6, 5]), outputSize: [3, 7], ...more } }] : [];
  defineOp({
    schema:
      `aten::${name}(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor`,
    doc,
    meta: ({ self, outputSize }) => upsampledSpec(name, 2, self, outputSize),
    decompose: ({ self, outputSize, alignCorners, scalesH, scalesW }, F) =>
      resize(self, { size: outputSize, cubic, alignCorners, factors: [scalesH, scalesW] }, F),
    samples: samples({ alignCorners: false }, "self"),
  });
  defineOp({
    schema:
      `aten::${name}.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor`,
    doc,
    meta: ({ input, outputSize, scaleFactors }) =>
      upsampledSpec(name, 2, input, upsampledSize(name, input, outputSize, scaleFactors)),
    decompose: ({ input, outputSize, alignCorners, scaleFactors }, F) =>
      resize(
        input,
        {
          size: upsampledSize(name, input, outputSize, scaleFactors),
          cubic,
          alignCorners,
          factors: scaleFactors ?? [],
        },
        F,
      ),
    samples: samples({ alignCorners: true, scaleFactors: null }, "input"),
  });
}
