/**
 * Interpolation of images and volumes under ATen's names.
 *
 * Each is one `tessera::resample_axis` a dimension, the innermost first. The `vec` overloads, which exported programs call, take an output
 * size or scale factors. Mirrors ATen's UpSample operators.
 */
import { computeType, float32, float64 } from "../core/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import { defineOp } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { ResampleMode } from "./resample.ts";
import { applyWeights, fixedPointWeights } from "./resample_antialias.ts";
import type { Sample, SampleArg, SampleGenerator } from "./samples.ts";
import { upsampledSize, upsampledSpec } from "./upsampled.ts";
import type { TensorValue } from "./value.ts";

/** Interpolates all spatial dimensions; a factor of 0 leaves the scale to the sizes. */
function resample(
  input: TensorValue,
  size: readonly Size[],
  mode: ResampleMode,
  alignCorners: boolean,
  factors: readonly (number | null)[],
  F: Functional,
): TensorValue {
  const isNearest = mode === "nearest" || mode === "nearest-exact";
  const { dtype } = input;
  if (!isNearest && !dtype.isFloat && size.length === 2) {
    // ATen interpolates bytes with integer weights. The weights are what interpolation makes of the unit matrix.
    const weights = (d: number): TensorValue => {
      const unit = F.eye(input.shape[d + 2] ?? 1, { dtype: float64, device: input.device });
      return fixedPointWeights(F.resampleAxis(unit, 0, size[d] ?? 1, mode, alignCorners, factors[d] ?? 0));
    };
    return applyWeights(input.to(float64), weights(0), weights(1), dtype).to(dtype);
  }
  let out = isNearest ? input : input.to(dtype.isFloat ? computeType(dtype) : float32);
  for (let d = size.length - 1; d >= 0; d--) {
    out = F.resampleAxis(out, d + 2, size[d] ?? 1, mode, alignCorners, factors[d] ?? 0);
  }
  if (isNearest) return out;
  return dtype.isFloat ? out.to(dtype) : out.round().clamp(dtype.min, dtype.max).to(dtype);
}

function samples(
  g: SampleGenerator,
  name: "self" | "input",
  rank: number,
  more: Readonly<Record<string, SampleArg>>,
): Sample[] {
  const shape = [1, 2, ...[3, 4, 2].slice(0, rank)];
  const outputSize = [5, 6, 3].slice(0, rank);
  const args = { [name]: g.tensor(shape), outputSize, ...more };
  if (name === "self") return [{ args }];
  const factors = new Array<number>(rank).fill(1.5);
  return [
    { args: { ...args, scaleFactors: null } },
    { name: "factors", args: { ...args, outputSize: null, scaleFactors: factors } },
  ];
}

/** Name, dimensions, how elements are blended, whether corners may be aligned, and words for it. */
const FORMS: readonly (readonly [name: string, rank: number, mode: ResampleMode, aligns: boolean, doc: string])[] = [
  ...[1, 2, 3].flatMap((rank) => [
    [`upsample_nearest${rank}d`, rank, "nearest", false, "The nearest element, by rounding positions down"] as const,
    [
      `_upsample_nearest_exact${rank}d`,
      rank,
      "nearest-exact",
      false,
      "The nearest element, by pixel centres",
    ] as const,
  ]),
  ["upsample_linear1d", 1, "linear", true, "Linear interpolation"],
  ["upsample_bilinear2d", 2, "linear", true, "Bilinear interpolation"],
  ["upsample_trilinear3d", 3, "linear", true, "Trilinear interpolation"],
  ["upsample_bicubic2d", 2, "cubic", true, "Bicubic interpolation"],
];

/** The names of scale factors by dimension, as ATen has them. */
const SCALES: Readonly<Record<number, readonly string[]>> = {
  1: ["scales"],
  2: ["scales_h", "scales_w"],
  3: ["scales_d", "scales_h", "scales_w"],
};

type PlainSchema =
  "aten::upsample_linear1d(Tensor self, SymInt[1] output_size, bool align_corners, float? scales=None) -> Tensor";
type VecSchema =
  "aten::upsample_linear1d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor";

for (const [name, rank, mode, aligns, words] of FORMS) {
  const corners = aligns ? ", bool align_corners" : "";
  const scales = SCALES[rank] ?? [];
  const keys = scales.map((scale) => scale.replace(/_(\w)/, (_, c: string) => c.toUpperCase()));
  const doc = `${words} of the last ${rank === 1 ? "dimension" : `${rank} dimensions`}`;
  const alignCornersOf = (args: { readonly alignCorners?: boolean }): boolean => args.alignCorners ?? false;
  defineOp({
    schema: `aten::${name}(Tensor self, SymInt[${rank}] output_size${corners}, ${
      scales.map((scale) => `float? ${scale}=None`).join(", ")
    }) -> Tensor` as PlainSchema,
    doc: `${doc}.`,
    meta: ({ self, outputSize }) => upsampledSpec(name, rank, self, outputSize),
    decompose: ({ self, outputSize, ...args }, F) => {
      const given = args as unknown as Readonly<Record<string, number | null>>;
      return resample(self, outputSize, mode, alignCornersOf(args), keys.map((key) => given[key] ?? null), F);
    },
    samples: (g) => samples(g, "self", rank, aligns ? { alignCorners: true } : {}),
  });
  defineOp({
    schema:
      `aten::${name}.vec(Tensor input, SymInt[]? output_size${corners}, float[]? scale_factors) -> Tensor` as VecSchema,
    doc: `${doc}, to a size or by factors.`,
    meta: ({ input, outputSize, scaleFactors }) =>
      upsampledSpec(name, rank, input, upsampledSize(name, input, outputSize, scaleFactors)),
    decompose: ({ input, outputSize, scaleFactors, ...args }, F) => {
      const size = upsampledSize(name, input, outputSize, scaleFactors);
      return resample(input, size, mode, alignCornersOf(args), scaleFactors ?? [], F);
    },
    samples: (g) => samples(g, "input", rank, aligns ? { alignCorners: false } : {}),
  });
}
