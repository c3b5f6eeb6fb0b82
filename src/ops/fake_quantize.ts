/**
 * Quantisation as programs state it: fake (numbers that stay floats, rounded to a grid), and to and from integers.
 *
 * All are decompositions: scale, round to even, move by the zero point, clamp. Gradients of fake quantisation pass where the number was inside of the grid. Mirrors
 * `fake_quantize_core.cpp` of ATen and `quantized_decomposed` of `torch.ao`, which exported models in PyTorch's quantised form call.
 */
import { bool, type DType, float32, float64, int16, int32, int64, int8, normalizeAxis, uint8 } from "../core/mod.ts";
import { shapeToText, type Size, sizeEq } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import { preservedStride } from "./layout.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

type Tensorlike = Pick<MetaInput, "shape" | "stride" | "dtype">;

function checkRange(where: string, self: Tensorlike, low: Size, high: Size): void {
  if (!self.dtype.isFloat) throw new TypeError(`${where}: needs a float tensor, got ${self.dtype.name}`);
  if (Number(low) > Number(high)) {
    throw new RangeError(`${where}: quant_min ${low} is greater than quant_max ${high}: exchange them`);
  }
}

function checkZeroPoint(where: string, zeroPoint: Size, low: Size, high: Size): void {
  const zero = Number(zeroPoint);
  if (zero < Number(low) || zero > Number(high)) {
    throw new RangeError(`${where}: zero_point ${zero} is not in [quant_min, quant_max] = [${low}, ${high}]`);
  }
}

function checkOne(where: string, name: string, t: Tensorlike): void {
  if (t.shape.some((s) => !sizeEq(s, 1))) {
    throw new TypeError(`${where}: ${name} must have one element, got ${shapeToText(t.shape)}`);
  }
}

/** Scale and zero point of each channel. */
function checkChannels(where: string, self: Tensorlike, scale: Tensorlike, zero: Tensorlike, axis: Size): void {
  const at = normalizeAxis(Number(axis), self.shape.length, where);
  const channels = self.shape[at] ?? 1;
  for (const [name, t] of [["scale", scale], ["zero_point", zero]] as const) {
    if (t.shape.length !== 1 || !sizeEq(t.shape[0] ?? 0, channels)) {
      throw new TypeError(
        `${where}: ${name} of ${shapeToText(t.shape)} must have one element for each of the ${channels} channels of ${
          shapeToText(self.shape)
        } along dimension ${at}`,
      );
    }
  }
}

function like(self: Tensorlike, dtype: DType = self.dtype): TensorSpec {
  return { shape: self.shape, dtype, stride: preservedStride(self) };
}

/** Scale or zero point: a number, or a tensor that broadcasts. */
type Parameter = TensorValue | number;

/** Places on the grid, as floats: round(x / scale) + zero, not clamped. */
function places(x: TensorValue, scale: Parameter, zero: Parameter): TensorValue {
  const scaled = typeof scale === "number" ? x.mul(Math.fround(1 / Math.fround(scale))) : x.mul(scale.reciprocal());
  const rounded = scaled.round();
  return rounded.add(zero);
}

function back(q: TensorValue, scale: Parameter, zero: Parameter): TensorValue {
  return q.sub(zero).mul(scale);
}

/** The rounded numbers and whether each was inside of the grid. */
function fake(self: TensorValue, scale: Parameter, zero: Parameter, low: Size, high: Size): TensorValue[] {
  const x = self.dtype === float32 ? self : self.to(float32);
  const q = places(x, scale, zero);
  const inside = q.ge(Number(low)).logicalAnd(q.le(Number(high)));
  // What is no number becomes the grid's first.
  const placed = q.nanToNum(Number(low), Infinity, -Infinity).clamp(Number(low), Number(high));
  const out = back(placed, scale, zero);
  return [out.dtype === self.dtype ? out : out.to(self.dtype), inside];
}

/** One parameter for each channel, laid along its dimension. */
function along(t: TensorValue, self: TensorValue, axis: Size): TensorValue {
  const at = normalizeAxis(Number(axis), self.ndim, "fake_quantize");
  return t.reshape(Array.from({ length: self.ndim }, (_, d) => d === at ? -1 : 1));
}

const first = (list: readonly TensorValue[]): TensorValue => list[0] as TensorValue;
type Samples = (g: SampleGenerator) => readonly Sample[];
const samples = (extra: (g: SampleGenerator) => Sample["args"]): Samples => (g) =>
  g.dtype === float32 ? [{ args: { self: g.tensor([3, 4]), ...extra(g) } }] : [];
const GRID = { quantMin: -8, quantMax: 7 } as const;
const NUMBERS = { scale: 0.25, zeroPoint: 1, ...GRID } as const;
const parameters = (g: SampleGenerator, n: number): Sample["args"] => ({
  scale: g.tensor([n], { low: 0.1, high: 0.5 }),
  zeroPoint: g.tensor([n], { dtype: int32, low: -2, high: 3 }),
  ...GRID,
});
/** The gradient passes where the number was inside of the grid. */
const passes = (grads: readonly (TensorValue | null)[], outs: readonly TensorValue[]): TensorValue | null =>
  grads[0]?.mul(outs[1] as TensorValue) ?? null;

const WHOLE = "fake_quantize_per_tensor_affine", CHANNELS = "fake_quantize_per_channel_affine";

defineOp({
  schema:
    "aten::fake_quantize_per_tensor_affine_cachemask(Tensor self, float scale, int zero_point, int quant_min, int quant_max) -> (Tensor output, Tensor mask)",
  doc: "fake_quantize_per_tensor_affine, and which elements were inside of the grid.",
  meta: ({ self, zeroPoint, quantMin, quantMax }) => {
    checkRange(WHOLE, self, quantMin, quantMax);
    checkZeroPoint(WHOLE, zeroPoint, quantMin, quantMax);
    return [like(self), like(self, bool)];
  },
  decompose: ({ self, scale, zeroPoint, quantMin, quantMax }) =>
    fake(self, Number(scale), Number(zeroPoint), quantMin, quantMax),
  vjp: (_, { grads, outs }) => ({ self: () => passes(grads, outs) }),
  samples: samples(() => NUMBERS),
});

defineOp({
  schema:
    "aten::fake_quantize_per_tensor_affine(Tensor self, float scale, int zero_point, int quant_min, int quant_max) -> Tensor",
  doc: "Rounds to the grid scale · (q - zero_point) of whole q from quant_min to quant_max; elements stay floats.",
  meta: ({ self, zeroPoint, quantMin, quantMax }) => {
    checkRange(WHOLE, self, quantMin, quantMax);
    checkZeroPoint(WHOLE, zeroPoint, quantMin, quantMax);
    return like(self);
  },
  decompose: ({ self, scale, zeroPoint, quantMin, quantMax }, F) =>
    first(F.fakeQuantizePerTensorAffineCachemask(self, Number(scale), zeroPoint, quantMin, quantMax)),
  samples: samples(() => NUMBERS),
});

function checkQparams(self: MetaInput, scale: MetaInput, zero: MetaInput, low: Size, high: Size): void {
  checkRange(WHOLE, self, low, high);
  checkOne(WHOLE, "scale", scale);
  checkOne(WHOLE, "zero_point", zero);
}

defineOp({
  schema:
    "aten::_fake_quantize_per_tensor_affine_cachemask_tensor_qparams(Tensor self, Tensor scale, Tensor zero_point, Tensor fake_quant_enabled, int quant_min, int quant_max) -> (Tensor output, Tensor mask)",
  doc:
    "As fake_quantize_per_tensor_affine_cachemask, by tensors of one element; an enabled of 0 leaves the numbers as they are.",
  meta: ({ self, scale, zeroPoint, fakeQuantEnabled, quantMin, quantMax }) => {
    checkQparams(self, scale, zeroPoint, quantMin, quantMax);
    checkOne(WHOLE, "fake_quant_enabled", fakeQuantEnabled);
    return [like(self), like(self, bool)];
  },
  decompose: ({ self, scale, zeroPoint, fakeQuantEnabled, quantMin, quantMax }, F) => {
    const [out, mask] = fake(self, scale.reshape([]), zeroPoint.reshape([]), quantMin, quantMax);
    const isOn = fakeQuantEnabled.reshape([]).ne(0);
    return [F.where(isOn, out as TensorValue, self), (mask as TensorValue).logicalOr(isOn.logicalNot())];
  },
  vjp: (_, { grads, outs }) => ({ self: () => passes(grads, outs) }),
  samples: samples((g) => ({ ...parameters(g, 1), fakeQuantEnabled: g.tensor([1], { low: 1, high: 2 }) })),
});

defineOp({
  schema:
    "aten::fake_quantize_per_tensor_affine.tensor_qparams(Tensor self, Tensor scale, Tensor zero_point, int quant_min, int quant_max) -> Tensor",
  doc: "As fake_quantize_per_tensor_affine, with scale and zero point in tensors of one element.",
  meta: ({ self, scale, zeroPoint, quantMin, quantMax }) => {
    checkQparams(self, scale, zeroPoint, quantMin, quantMax);
    return like(self);
  },
  decompose: ({ self, scale, zeroPoint, quantMin, quantMax }, F) =>
    first(
      F._fakeQuantizePerTensorAffineCachemaskTensorQparams(
        self,
        scale,
        zeroPoint,
        F.onesLike(zeroPoint),
        quantMin,
        quantMax,
      ),
    ),
  samples: samples((g) => parameters(g, 1)),
});

defineOp({
  schema:
    "aten::fake_quantize_per_channel_affine_cachemask(Tensor self, Tensor scale, Tensor zero_point, int axis, int quant_min, int quant_max) -> (Tensor output, Tensor mask)",
  doc: "fake_quantize_per_channel_affine, and which elements were inside of the grid.",
  meta: ({ self, scale, zeroPoint, axis, quantMin, quantMax }) => {
    checkRange(CHANNELS, self, quantMin, quantMax);
    checkChannels(CHANNELS, self, scale, zeroPoint, axis);
    return [like(self), like(self, bool)];
  },
  decompose: ({ self, scale, zeroPoint, axis, quantMin, quantMax }) =>
    fake(self, along(scale, self, axis), along(zeroPoint, self, axis), quantMin, quantMax),
  vjp: (_, { grads, outs }) => ({ self: () => passes(grads, outs) }),
  samples: samples((g) => ({ ...parameters(g, 4), axis: 1 })),
});

defineOp({
  schema:
    "aten::fake_quantize_per_channel_affine(Tensor self, Tensor scale, Tensor zero_point, int axis, int quant_min, int quant_max) -> Tensor",
  doc: "As fake_quantize_per_tensor_affine, with a scale and a zero point for each channel.",
  meta: ({ self, scale, zeroPoint, axis, quantMin, quantMax }) => {
    checkRange(CHANNELS, self, quantMin, quantMax);
    checkChannels(CHANNELS, self, scale, zeroPoint, axis);
    return like(self);
  },
  decompose: ({ self, scale, zeroPoint, axis, quantMin, quantMax }, F) =>
    first(F.fakeQuantizePerChannelAffineCachemask(self, scale, zeroPoint, axis, quantMin, quantMax)),
  samples: samples((g) => ({ ...parameters(g, 4), axis: 1 })),
});

// What `torch.ao` puts around the operators of a quantised model.

const INTEGERS: ReadonlySet<DType> = new Set([uint8, int8, int16, int32]);

function integers(where: string, dtype: DType): DType {
  if (!INTEGERS.has(dtype)) {
    throw new TypeError(`${where}: dtype ${dtype.name} is not one of uint8, int8, int16, int32`);
  }
  return dtype;
}

function stored(where: string, input: MetaInput, dtype: DType): void {
  if (input.dtype !== integers(where, dtype)) {
    throw new TypeError(`${where}: the input is ${input.dtype.name}, dtype says ${dtype.name}`);
  }
}

function quantized(x: TensorValue, scale: Parameter, zero: Parameter, low: Size, high: Size, to: DType): TensorValue {
  return places(x.dtype === float32 ? x : x.to(float32), scale, zero).clamp(Number(low), Number(high)).to(to);
}

const inputSamples = (dtype: DType, extra: (g: SampleGenerator) => Sample["args"]): Samples => (g) =>
  g.dtype === dtype
    ? [{
      args: { input: g.tensor([3, 4], dtype === int8 ? { dtype, low: -8, high: 8 } : {}), dtype: int8, ...extra(g) },
    }]
    : [];
const both = (g: SampleGenerator): Sample["args"] => {
  const { scale, zeroPoint, ...grid } = parameters(g, 4);
  return { scales: scale, zeroPoints: zeroPoint, axis: 1, ...grid } as Sample["args"];
};

for (const overload of ["", ".tensor"] as const) {
  const parameter = overload === "" ? "float scale, int zero_point" : "Tensor scale, Tensor zero_point";
  const of = (args: Readonly<Record<string, unknown>>): readonly [Parameter, Parameter] =>
    overload === ""
      ? [Number(args["scale"]), Number(args["zeroPoint"])]
      : [(args["scale"] as TensorValue).reshape([]), (args["zeroPoint"] as TensorValue).reshape([])];
  const check = (where: string, args: Readonly<Record<string, unknown>>): void => {
    if (overload === "") {
      return checkZeroPoint(where, args["zeroPoint"] as Size, args["quantMin"] as Size, args["quantMax"] as Size);
    }
    checkOne(where, "scale", args["scale"] as MetaInput);
    checkOne(where, "zero_point", args["zeroPoint"] as MetaInput);
  };
  const sample = (g: SampleGenerator): Sample["args"] => overload === "" ? NUMBERS : parameters(g, 1);
  defineOp({
    schema:
      `quantized_decomposed::quantize_per_tensor${overload}(Tensor input, ${parameter}, int quant_min, int quant_max, ScalarType dtype) -> Tensor`,
    doc: "Whole numbers clamp(round(input / scale) + zero_point), in an integer dtype.",
    public: false,
    meta: ({ input, quantMin, quantMax, dtype, ...args }) => {
      checkRange("quantize_per_tensor", input, quantMin, quantMax);
      check("quantize_per_tensor", { ...args, quantMin, quantMax });
      return like(input, integers("quantize_per_tensor", dtype));
    },
    decompose: ({ input, quantMin, quantMax, dtype, ...args }) => {
      const [scale, zero] = of(args);
      return quantized(input, scale, zero, quantMin, quantMax, dtype);
    },
    samples: inputSamples(float32, sample),
  });
  defineOp({
    schema:
      `quantized_decomposed::dequantize_per_tensor${overload}(Tensor input, ${parameter}, int quant_min, int quant_max, ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor`,
    doc: "The numbers (input - zero_point) · scale that stored integers stand for.",
    public: false,
    meta: ({ input, dtype, outDtype, quantMin, quantMax, ...args }) => {
      stored("dequantize_per_tensor", input, dtype);
      check("dequantize_per_tensor", { ...args, quantMin, quantMax });
      return like(input, outDtype ?? float32);
    },
    decompose: ({ input, outDtype, ...args }) => {
      const [scale, zero] = of(args);
      return back(input.to(outDtype ?? float32), scale, zero).to(outDtype ?? float32);
    },
    samples: inputSamples(int8, sample),
  });
}

defineOp({
  schema:
    "quantized_decomposed::quantize_per_channel(Tensor input, Tensor scales, Tensor zero_points, int axis, int quant_min, int quant_max, ScalarType dtype) -> Tensor",
  doc: "As quantize_per_tensor, with a scale and a zero point for each channel.",
  public: false,
  meta: ({ input, scales, zeroPoints, axis, quantMin, quantMax, dtype }) => {
    checkRange("quantize_per_channel", input, quantMin, quantMax);
    checkChannels("quantize_per_channel", input, scales, zeroPoints, axis);
    return like(input, integers("quantize_per_channel", dtype));
  },
  decompose: ({ input, scales, zeroPoints, axis, quantMin, quantMax, dtype }) =>
    quantized(input, along(scales, input, axis), along(zeroPoints, input, axis), quantMin, quantMax, dtype),
  samples: inputSamples(float32, both),
});

defineOp({
  schema:
    "quantized_decomposed::dequantize_per_channel(Tensor input, Tensor scales, Tensor? zero_points, int axis, int quant_min, int quant_max, ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor",
  doc: "As dequantize_per_tensor, with a scale and a zero point for each channel.",
  public: false,
  meta: ({ input, scales, zeroPoints, axis, dtype, outDtype }) => {
    stored("dequantize_per_channel", input, dtype);
    checkChannels("dequantize_per_channel", input, scales, zeroPoints ?? scales, axis);
    return like(input, outDtype ?? float32);
  },
  decompose: ({ input, scales, zeroPoints, axis, outDtype }) => {
    const x = input.to(outDtype ?? float32);
    const zero = zeroPoints === null ? 0 : along(zeroPoints, input, axis);
    return back(x, along(scales, input, axis), zero).to(outDtype ?? float32);
  },
  samples: inputSamples(int8, both),
});

defineOp({
  schema:
    "quantized_decomposed::choose_qparams.tensor(Tensor input, int quant_min, int quant_max, float eps, ScalarType dtype) -> (Tensor, Tensor)",
  doc: "Scale and zero point, of one element each, that lay all elements and 0 on a grid.",
  public: false,
  meta: ({ input, quantMin, quantMax, dtype }) => {
    checkRange("choose_qparams", input, quantMin, quantMax);
    integers("choose_qparams", dtype);
    return [float64, int64].map((dtype) => ({ shape: [1], dtype, device: input.device }));
  },
  decompose: ({ input, quantMin, quantMax, eps }) => {
    const low = input.amin().clampMax(0), high = input.amax().clampMin(0);
    const span = high.sub(low).div(Number(quantMax) - Number(quantMin));
    const scale = span.to(float32).clampMin(Math.fround(Number(eps)));
    const zero = low.to(float32).div(scale).round().neg().add(Number(quantMin));
    const placed = zero.clamp(Number(quantMin), Number(quantMax));
    return [scale.to(float64).reshape([1]), placed.to(int64).reshape([1])];
  },
  samples: inputSamples(float32, () => ({ quantMin: -8, quantMax: 7, eps: 1e-7 })),
});
