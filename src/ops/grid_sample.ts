/**
 * Sampling at given positions: grid_sampler in two and three dimensions.
 *
 * Positions become taps with weights by tensor arithmetic, elements are gathered, so that gradients by input (a scatter) and by grid follow
 * from those of the parts, and the forward pass fuses to one pointwise kernel. Mirrors ATen's GridSampler.cpp.
 */
import { int64 } from "../core/mod.ts";
import { shapeToText, type Size, sizeEq, sizeIsZero, sizeProd, sizeSub } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { SampleGenerator, TensorSample } from "./samples.ts";
import type { TensorValue } from "./value.ts";

const ZEROS = 0, REFLECTION = 2;
const BILINEAR = 0, NEAREST = 1, BICUBIC = 2;

/** One tap along one dimension: the position (a whole number, as float) and the weight (null: 1). */
interface Tap {
  readonly position: TensorValue;
  readonly weight: TensorValue | null;
}

/** Times half a size. */
function timesHalf(x: TensorValue, size: Size): TensorValue {
  return typeof size === "number" ? x.mul(size / 2) : x.mul(size).div(2);
}

/** From [-1, 1] to positions, with the operations in ATen's order, which is one in images and another in volumes: half types round after each. */
function unnormalize(x: TensorValue, size: Size, rank: number, alignCorners: boolean): TensorValue {
  if (rank === 2) return alignCorners ? timesHalf(x.add(1), sizeSub(size, 1)) : timesHalf(x.add(1), size).sub(0.5);
  return alignCorners ? x.add(1).div(2).mul(sizeSub(size, 1)) : x.add(1).mul(size).sub(1).div(2);
}

/** Reflects positions at a border and at another that is `span` further. */
function reflect(x: TensorValue, low: number, span: Size): TensorValue {
  if (sizeIsZero(span)) return x.mul(0);
  const distance = x.sub(low).abs();
  const extra = distance.fmod(span);
  const flips = distance.div(span).floor().detach();
  const isOdd = flips.remainder(2);
  // Even: extra + low; odd: span - extra + low.
  return extra.mul(isOdd.mul(-2).add(1)).add(isOdd.mul(span)).add(low);
}

/** Brings positions into the input, as the padding mode says. */
function pad(x: TensorValue, size: Size, padding: number, alignCorners: boolean): TensorValue {
  if (padding === ZEROS) return x;
  const last = sizeSub(size, 1);
  const inside = padding === REFLECTION ? alignCorners ? reflect(x, 0, last) : reflect(x, -0.5, size) : x;
  return inside.clamp(0, last);
}

function cubicWeights(t: TensorValue): TensorValue[] {
  const a = -0.75;
  const near = (x: TensorValue): TensorValue => x.mul(a + 2).sub(a + 3).mul(x).mul(x).add(1);
  const far = (x: TensorValue): TensorValue => x.mul(a).sub(5 * a).mul(x).add(8 * a).mul(x).sub(4 * a);
  return [far(t.add(1)), near(t), near(t.neg().add(1)), far(t.neg().add(2))];
}

/** The taps of one coordinate. */
function tapsOf(
  x: TensorValue,
  size: Size,
  rank: number,
  mode: number,
  padding: number,
  alignCorners: boolean,
): Tap[] {
  const raw = unnormalize(x, size, rank, alignCorners);
  if (mode === BICUBIC) {
    const floor = raw.floor().detach();
    return cubicWeights(raw.sub(floor)).map((weight, i) => ({
      position: pad(floor.add(i - 1), size, padding, alignCorners).round().detach(),
      weight,
    }));
  }
  const at = pad(raw, size, padding, alignCorners);
  if (mode === NEAREST) return [{ position: at.round().detach(), weight: null }];
  const floor = at.floor().detach();
  const upper = at.sub(floor);
  return [{ position: floor, weight: upper.neg().add(1) }, { position: floor.add(1), weight: upper }];
}

/** All combinations of one tap from each dimension. */
function corners(taps: readonly (readonly Tap[])[]): (readonly Tap[])[] {
  let out: (readonly Tap[])[] = [[]];
  for (const list of taps) out = out.flatMap((head) => list.map((tap) => [...head, tap]));
  return out;
}

/** Half types are sampled in half, as ATen does it: every operation below rounds. */
function sample(
  where: string,
  input: TensorValue,
  grid: TensorValue,
  mode: number,
  padding: number,
  alignCorners: boolean,
): TensorValue {
  const rank = input.ndim - 2;
  const sizes = input.shape.slice(2);
  const [n = 1, c = 1] = input.shape;
  const places = grid.shape.slice(1, -1);
  const count = sizeProd(places);
  // The grid's last dimension counts from the innermost: x, y, z.
  const taps = sizes.map((size, d) => tapsOf(grid.select(-1, rank - 1 - d), size, rank, mode, padding, alignCorners));
  const flat = input.reshape([n, c, sizeProd(sizes)]);
  /** The elements at one tap of each dimension; 0 outside. */
  const elementsAt = (corner: readonly Tap[]): TensorValue => {
    let index: TensorValue | null = null;
    let valid: TensorValue | null = null;
    corner.forEach(({ position }, d) => {
      const size = sizes[d] ?? 1;
      const clamped = position.clamp(0, sizeSub(size, 1)).to(int64);
      index = index === null ? clamped : index.mul(size).add(clamped);
      const inside = position.ge(0).logicalAnd(position.lt(size));
      valid = valid === null ? inside : valid.logicalAnd(inside);
    });
    const at = asTensor(where, index), mask = asTensor(where, valid);
    const picked = flat.gather(2, at.reshape([n, 1, count]).expand([n, c, count])).reshape([n, c, ...places]);
    return picked.maskedFill(mask.unsqueeze(1).logicalNot(), 0);
  };
  const weighted = (x: TensorValue, weight: TensorValue | null): TensorValue =>
    weight === null ? x : x.mul(weight.unsqueeze(1));
  const summed = (terms: readonly TensorValue[]): TensorValue =>
    asTensor(where, terms.reduce<TensorValue | null>((sum, term) => sum === null ? term : sum.add(term), null));
  if (mode === BICUBIC) {
    const [down = [], across = []] = taps;
    return summed(
      down.map((y) => weighted(summed(across.map((x) => weighted(elementsAt([y, x]), x.weight))), y.weight)),
    );
  }
  return summed(
    corners(taps).map((corner) => {
      // The innermost weight first.
      const weight = corner.reduceRight<TensorValue | null>(
        (product, tap) => product === null || tap.weight === null ? tap.weight : product.mul(tap.weight),
        null,
      );
      return weighted(elementsAt(corner), weight);
    }),
  );
}

function asTensor(where: string, x: TensorValue | null): TensorValue {
  if (x === null) throw new TypeError(`${where}: the input has no spatial dimensions`);
  return x;
}

function gridSpec(
  where: string,
  rank: number,
  input: MetaInput,
  grid: MetaInput,
  mode: Size,
  padding: Size,
): TensorSpec {
  const text = `input ${shapeToText(input.shape)}, grid ${shapeToText(grid.shape)}`;
  if (
    input.shape.length !== rank + 2 || grid.shape.length !== rank + 2 ||
    !sizeEq(input.shape[0] ?? 1, grid.shape[0] ?? 1) || !sizeEq(grid.shape[rank + 1] ?? 0, rank)
  ) {
    throw new TypeError(`${where}: needs an input with ${rank} spatial dimensions and a grid [N, …, ${rank}]: ${text}`);
  }
  if (input.shape.slice(2).some(sizeIsZero)) throw new TypeError(`${where}: the input has no elements: ${text}`);
  if (input.dtype !== grid.dtype || !input.dtype.isFloat) {
    throw new TypeError(
      `${where}: input and grid must have one floating point dtype, got ${input.dtype.name} and ${grid.dtype.name}`,
    );
  }
  const modes = rank === 2 ? [BILINEAR, NEAREST, BICUBIC] : [BILINEAR, NEAREST];
  if (!modes.includes(Number(mode))) {
    throw new RangeError(`${where}: interpolation_mode must be one of ${modes.join(", ")}, got ${mode}`);
  }
  if (![0, 1, 2].includes(Number(padding))) {
    throw new RangeError(`${where}: padding_mode must be 0 (zeros), 1 (border) or 2 (reflection), got ${padding}`);
  }
  return { shape: [...input.shape.slice(0, 2), ...grid.shape.slice(1, -1)], dtype: input.dtype };
}

/** Positions inside, near borders and outside, away from whole numbers. */
function gridValues(g: SampleGenerator, shape: readonly number[]): TensorSample {
  const count = shape.reduce((a, b) => a * b, 1);
  return g.tensor(shape, { values: Array.from({ length: count }, (_, i) => (i * 7 % 23) / 10 - 1.13) });
}

defineOp({
  schema:
    "aten::grid_sampler_2d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
  doc: "Samples images at positions in [-1, 1]: bilinear (0), nearest (1) or bicubic (2).",
  meta: ({ input, grid, interpolationMode, paddingMode }) =>
    gridSpec("grid_sampler_2d", 2, input, grid, interpolationMode, paddingMode),
  decompose: ({ input, grid, interpolationMode, paddingMode, alignCorners }) =>
    sample("grid_sampler_2d", input, grid, Number(interpolationMode), Number(paddingMode), alignCorners),
  samples: (g) =>
    [[0, 0], [0, 1], [1, 0], [2, 2]].map(([interpolationMode = 0, paddingMode = 0]) => ({
      name: `mode ${interpolationMode}, padding ${paddingMode}`,
      args: {
        input: g.tensor([1, 2, 3, 4]),
        grid: gridValues(g, [1, 2, 3, 2]),
        interpolationMode,
        paddingMode,
        alignCorners: paddingMode === 1,
      },
    })),
});

defineOp({
  schema:
    "aten::grid_sampler_3d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
  doc: "Samples volumes at positions in [-1, 1]: trilinear (0) or nearest (1).",
  meta: ({ input, grid, interpolationMode, paddingMode }) =>
    gridSpec("grid_sampler_3d", 3, input, grid, interpolationMode, paddingMode),
  decompose: ({ input, grid, interpolationMode, paddingMode, alignCorners }) =>
    sample("grid_sampler_3d", input, grid, Number(interpolationMode), Number(paddingMode), alignCorners),
  samples: (g) => [
    {
      args: {
        input: g.tensor([1, 1, 2, 3, 2]),
        grid: gridValues(g, [1, 1, 2, 2, 3]),
        interpolationMode: 0,
        paddingMode: 0,
        alignCorners: false,
      },
    },
  ],
});

defineOp({
  schema:
    "aten::grid_sampler(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
  doc: "grid_sampler_2d or grid_sampler_3d, by the input's rank.",
  meta: ({ input, grid, interpolationMode, paddingMode }) =>
    gridSpec("grid_sampler", input.shape.length === 5 ? 3 : 2, input, grid, interpolationMode, paddingMode),
  decompose: ({ input, grid, interpolationMode, paddingMode, alignCorners }) =>
    sample("grid_sampler", input, grid, Number(interpolationMode), Number(paddingMode), alignCorners),
  samples: (g) => [
    {
      args: {
        input: g.tensor([1, 2, 3, 4]),
        grid: gridValues(g, [1, 2, 3, 2]),
        interpolationMode: 0,
        paddingMode: 0,
        alignCorners: false,
      },
    },
  ],
});
