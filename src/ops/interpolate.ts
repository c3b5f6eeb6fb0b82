/**
 * Interpolation of images and volumes under ATen's names.
 *
 * Each is one `tessera::resample_axis` a dimension, the innermost first. The `vec` overloads, which exported programs call, take an output
 * size or scale factors. Mirrors ATen's UpSample operators.
 */
import { computeType, float32, float64, uint8 } from "../core/mod.ts";
import { shapeToText, type Size, sizeMul } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { ResampleMode } from "./resample.ts";
import { applyWeights, fixedPointWeights } from "./resample_antialias.ts";
import type { Sample, SampleArg, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

function checkedSpec(where: string, rank: number, input: MetaInput, size: readonly Size[]): TensorSpec {
  if (input.shape.length !== rank + 2 || size.length !== rank) {
    throw new TypeError(
      `${where}: needs an input with ${rank + 2} dimensions and ${rank} output sizes, got ${
        shapeToText(input.shape)
      } and ${shapeToText(size)}`,
    );
  }
  if (!where.includes("nearest") && !input.dtype.isFloat && input.dtype !== uint8) {
    throw new TypeError(
      `${where}: needs a floating point or uint8 input, got ${input.dtype.name}; convert with .to(float32)`,
    );
  }
  for (const s of size) {
    if (typeof s === "number" && s < 1) {
      throw new RangeError(`${where}: output sizes must be positive, got ${shapeToText(size)}`);
    }
  }
  return { shape: [...input.shape.slice(0, 2), ...size], dtype: input.dtype };
}

/** Output sizes of a `vec` overload: as given, or the input's times the factors, rounded down. */
function sizeFrom(
  where: string,
  input: { readonly shape: readonly Size[] },
  outputSize: readonly Size[] | null,
  factors: readonly number[] | null,
): readonly Size[] {
  if (outputSize !== null && factors === null) return outputSize;
  if (outputSize !== null || factors === null) {
    throw new TypeError(`${where}: give either output_size or scale_factors`);
  }
  return factors.map((f, d) => {
    const size = input.shape[d + 2] ?? 1;
    return Number.isInteger(f) ? sizeMul(size, f) : Math.floor(Number(size) * f);
  });
}

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

defineOp({
  schema: "aten::upsample_nearest1d(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor",
  doc: "The nearest element, by rounding positions down of the last dimension.",
  meta: ({ self, outputSize }) => checkedSpec("upsample_nearest1d", 1, self, outputSize),
  decompose: ({ self, outputSize, scales }, F) => resample(self, outputSize, "nearest", false, [scales], F),
  samples: (g) => samples(g, "self", 1, {}),
});

defineOp({
  schema: "aten::upsample_nearest1d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
  doc: "The nearest element, by rounding positions down of the last dimension, to a size or by factors.",
  meta: ({ input, outputSize, scaleFactors }) =>
    checkedSpec("upsample_nearest1d", 1, input, sizeFrom("upsample_nearest1d", input, outputSize, scaleFactors)),
  decompose: ({ input, outputSize, scaleFactors }, F) => {
    const size = sizeFrom("upsample_nearest1d", input, outputSize, scaleFactors);
    return resample(input, size, "nearest", false, scaleFactors ?? [], F);
  },
  samples: (g) => samples(g, "input", 1, {}),
});

defineOp({
  schema: "aten::_upsample_nearest_exact1d(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor",
  doc: "The nearest element, by pixel centres of the last dimension.",
  meta: ({ self, outputSize }) => checkedSpec("_upsample_nearest_exact1d", 1, self, outputSize),
  decompose: ({ self, outputSize, scales }, F) => resample(self, outputSize, "nearest-exact", false, [scales], F),
  samples: (g) => samples(g, "self", 1, {}),
});

defineOp({
  schema: "aten::_upsample_nearest_exact1d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
  doc: "The nearest element, by pixel centres of the last dimension, to a size or by factors.",
  meta: ({ input, outputSize, scaleFactors }) =>
    checkedSpec(
      "_upsample_nearest_exact1d",
      1,
      input,
      sizeFrom("_upsample_nearest_exact1d", input, outputSize, scaleFactors),
    ),
  decompose: ({ input, outputSize, scaleFactors }, F) => {
    const size = sizeFrom("_upsample_nearest_exact1d", input, outputSize, scaleFactors);
    return resample(input, size, "nearest-exact", false, scaleFactors ?? [], F);
  },
  samples: (g) => samples(g, "input", 1, {}),
});

defineOp({
  schema:
    "aten::upsample_nearest2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor",
  doc: "The nearest element, by rounding positions down of the last 2 dimensions.",
  meta: ({ self, outputSize }) => checkedSpec("upsample_nearest2d", 2, self, outputSize),
  decompose: ({ self, outputSize, scalesH, scalesW }, F) =>
    resample(self, outputSize, "nearest", false, [scalesH, scalesW], F),
  samples: (g) => samples(g, "self", 2, {}),
});

defineOp({
  schema: "aten::upsample_nearest2d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
  doc: "The nearest element, by rounding positions down of the last 2 dimensions, to a size or by factors.",
  meta: ({ input, outputSize, scaleFactors }) =>
    checkedSpec("upsample_nearest2d", 2, input, sizeFrom("upsample_nearest2d", input, outputSize, scaleFactors)),
  decompose: ({ input, outputSize, scaleFactors }, F) => {
    const size = sizeFrom("upsample_nearest2d", input, outputSize, scaleFactors);
    return resample(input, size, "nearest", false, scaleFactors ?? [], F);
  },
  samples: (g) => samples(g, "input", 2, {}),
});

defineOp({
  schema:
    "aten::_upsample_nearest_exact2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor",
  doc: "The nearest element, by pixel centres of the last 2 dimensions.",
  meta: ({ self, outputSize }) => checkedSpec("_upsample_nearest_exact2d", 2, self, outputSize),
  decompose: ({ self, outputSize, scalesH, scalesW }, F) =>
    resample(self, outputSize, "nearest-exact", false, [scalesH, scalesW], F),
  samples: (g) => samples(g, "self", 2, {}),
});

defineOp({
  schema: "aten::_upsample_nearest_exact2d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
  doc: "The nearest element, by pixel centres of the last 2 dimensions, to a size or by factors.",
  meta: ({ input, outputSize, scaleFactors }) =>
    checkedSpec(
      "_upsample_nearest_exact2d",
      2,
      input,
      sizeFrom("_upsample_nearest_exact2d", input, outputSize, scaleFactors),
    ),
  decompose: ({ input, outputSize, scaleFactors }, F) => {
    const size = sizeFrom("_upsample_nearest_exact2d", input, outputSize, scaleFactors);
    return resample(input, size, "nearest-exact", false, scaleFactors ?? [], F);
  },
  samples: (g) => samples(g, "input", 2, {}),
});

defineOp({
  schema:
    "aten::upsample_nearest3d(Tensor self, SymInt[3] output_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
  doc: "The nearest element, by rounding positions down of the last 3 dimensions.",
  meta: ({ self, outputSize }) => checkedSpec("upsample_nearest3d", 3, self, outputSize),
  decompose: ({ self, outputSize, scalesD, scalesH, scalesW }, F) =>
    resample(self, outputSize, "nearest", false, [scalesD, scalesH, scalesW], F),
  samples: (g) => samples(g, "self", 3, {}),
});

defineOp({
  schema: "aten::upsample_nearest3d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
  doc: "The nearest element, by rounding positions down of the last 3 dimensions, to a size or by factors.",
  meta: ({ input, outputSize, scaleFactors }) =>
    checkedSpec("upsample_nearest3d", 3, input, sizeFrom("upsample_nearest3d", input, outputSize, scaleFactors)),
  decompose: ({ input, outputSize, scaleFactors }, F) => {
    const size = sizeFrom("upsample_nearest3d", input, outputSize, scaleFactors);
    return resample(input, size, "nearest", false, scaleFactors ?? [], F);
  },
  samples: (g) => samples(g, "input", 3, {}),
});

defineOp({
  schema:
    "aten::_upsample_nearest_exact3d(Tensor self, SymInt[3] output_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
  doc: "The nearest element, by pixel centres of the last 3 dimensions.",
  meta: ({ self, outputSize }) => checkedSpec("_upsample_nearest_exact3d", 3, self, outputSize),
  decompose: ({ self, outputSize, scalesD, scalesH, scalesW }, F) =>
    resample(self, outputSize, "nearest-exact", false, [scalesD, scalesH, scalesW], F),
  samples: (g) => samples(g, "self", 3, {}),
});

defineOp({
  schema: "aten::_upsample_nearest_exact3d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
  doc: "The nearest element, by pixel centres of the last 3 dimensions, to a size or by factors.",
  meta: ({ input, outputSize, scaleFactors }) =>
    checkedSpec(
      "_upsample_nearest_exact3d",
      3,
      input,
      sizeFrom("_upsample_nearest_exact3d", input, outputSize, scaleFactors),
    ),
  decompose: ({ input, outputSize, scaleFactors }, F) => {
    const size = sizeFrom("_upsample_nearest_exact3d", input, outputSize, scaleFactors);
    return resample(input, size, "nearest-exact", false, scaleFactors ?? [], F);
  },
  samples: (g) => samples(g, "input", 3, {}),
});

defineOp({
  schema:
    "aten::upsample_linear1d(Tensor self, SymInt[1] output_size, bool align_corners, float? scales=None) -> Tensor",
  doc: "Linear interpolation of the last dimension.",
  meta: ({ self, outputSize }) => checkedSpec("upsample_linear1d", 1, self, outputSize),
  decompose: ({ self, outputSize, alignCorners, scales }, F) =>
    resample(self, outputSize, "linear", alignCorners, [scales], F),
  samples: (g) => samples(g, "self", 1, { alignCorners: true }),
});

defineOp({
  schema:
    "aten::upsample_linear1d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
  doc: "Linear interpolation of the last dimension, to a size or by factors.",
  meta: ({ input, outputSize, scaleFactors }) =>
    checkedSpec("upsample_linear1d", 1, input, sizeFrom("upsample_linear1d", input, outputSize, scaleFactors)),
  decompose: ({ input, outputSize, alignCorners, scaleFactors }, F) => {
    const size = sizeFrom("upsample_linear1d", input, outputSize, scaleFactors);
    return resample(input, size, "linear", alignCorners, scaleFactors ?? [], F);
  },
  samples: (g) => samples(g, "input", 1, { alignCorners: false }),
});

defineOp({
  schema:
    "aten::upsample_bilinear2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
  doc: "Bilinear interpolation of the last 2 dimensions.",
  meta: ({ self, outputSize }) => checkedSpec("upsample_bilinear2d", 2, self, outputSize),
  decompose: ({ self, outputSize, alignCorners, scalesH, scalesW }, F) =>
    resample(self, outputSize, "linear", alignCorners, [scalesH, scalesW], F),
  samples: (g) => samples(g, "self", 2, { alignCorners: true }),
});

defineOp({
  schema:
    "aten::upsample_bilinear2d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
  doc: "Bilinear interpolation of the last 2 dimensions, to a size or by factors.",
  meta: ({ input, outputSize, scaleFactors }) =>
    checkedSpec("upsample_bilinear2d", 2, input, sizeFrom("upsample_bilinear2d", input, outputSize, scaleFactors)),
  decompose: ({ input, outputSize, alignCorners, scaleFactors }, F) => {
    const size = sizeFrom("upsample_bilinear2d", input, outputSize, scaleFactors);
    return resample(input, size, "linear", alignCorners, scaleFactors ?? [], F);
  },
  samples: (g) => samples(g, "input", 2, { alignCorners: false }),
});

defineOp({
  schema:
    "aten::upsample_trilinear3d(Tensor self, SymInt[3] output_size, bool align_corners, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
  doc: "Trilinear interpolation of the last 3 dimensions.",
  meta: ({ self, outputSize }) => checkedSpec("upsample_trilinear3d", 3, self, outputSize),
  decompose: ({ self, outputSize, alignCorners, scalesD, scalesH, scalesW }, F) =>
    resample(self, outputSize, "linear", alignCorners, [scalesD, scalesH, scalesW], F),
  samples: (g) => samples(g, "self", 3, { alignCorners: true }),
});

defineOp({
  schema:
    "aten::upsample_trilinear3d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
  doc: "Trilinear interpolation of the last 3 dimensions, to a size or by factors.",
  meta: ({ input, outputSize, scaleFactors }) =>
    checkedSpec("upsample_trilinear3d", 3, input, sizeFrom("upsample_trilinear3d", input, outputSize, scaleFactors)),
  decompose: ({ input, outputSize, alignCorners, scaleFactors }, F) => {
    const size = sizeFrom("upsample_trilinear3d", input, outputSize, scaleFactors);
    return resample(input, size, "linear", alignCorners, scaleFactors ?? [], F);
  },
  samples: (g) => samples(g, "input", 3, { alignCorners: false }),
});

defineOp({
  schema:
    "aten::upsample_bicubic2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
  doc: "Bicubic interpolation of the last 2 dimensions.",
  meta: ({ self, outputSize }) => checkedSpec("upsample_bicubic2d", 2, self, outputSize),
  decompose: ({ self, outputSize, alignCorners, scalesH, scalesW }, F) =>
    resample(self, outputSize, "cubic", alignCorners, [scalesH, scalesW], F),
  samples: (g) => samples(g, "self", 2, { alignCorners: true }),
});

defineOp({
  schema:
    "aten::upsample_bicubic2d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
  doc: "Bicubic interpolation of the last 2 dimensions, to a size or by factors.",
  meta: ({ input, outputSize, scaleFactors }) =>
    checkedSpec("upsample_bicubic2d", 2, input, sizeFrom("upsample_bicubic2d", input, outputSize, scaleFactors)),
  decompose: ({ input, outputSize, alignCorners, scaleFactors }, F) => {
    const size = sizeFrom("upsample_bicubic2d", input, outputSize, scaleFactors);
    return resample(input, size, "cubic", alignCorners, scaleFactors ?? [], F);
  },
  samples: (g) => samples(g, "input", 2, { alignCorners: false }),
});
