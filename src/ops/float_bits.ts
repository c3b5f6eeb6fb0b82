/**
 * Operators on the representation of floating point numbers: nextafter, frexp, ldexp.
 *
 * Half types are computed in float32, of whose bits theirs are a prefix (bfloat16) or a regular grid (float16), so that one body of integer arithmetic
 * serves all three. Mirrors `nextafter`, `frexp` and `ldexp` of ATen.
 */
import {
  bfloat16,
  bool,
  type DType,
  float16,
  float32,
  float64,
  getDefaultDtype,
  int32,
  int64,
  type PromotionOperand,
} from "../core/mod.ts";
import { type LoopInput, type LoopNode, ops, pointwise, type Value } from "../loops/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import { definePointwise, loadBroadcast, pointwiseSpec, promotedDtype } from "./combinators.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import { reduceGrad } from "./gradient.ts";
import { binarySamples, unarySamples } from "./sample_sets.ts";
import type { SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** The distance of neighbours in units of float32's last place, and the least positive number. */
const GRIDS = new Map<DType, { readonly unit: number; readonly least: number; readonly normal: number }>([
  [float32, { unit: 1, least: 2 ** -149, normal: 0 }],
  [bfloat16, { unit: 2 ** 16, least: 2 ** -133, normal: 0 }],
  [float16, { unit: 2 ** 13, least: 2 ** -24, normal: 2 ** -14 }],
]);

/** The neighbour of `a` towards `b`, both float32 values of `dtype`. */
function neighbour(a: Value, b: Value, dtype: DType): Value {
  const grid = GRIDS.get(dtype);
  if (grid === undefined) return ops.nextafter(a, b);
  const { unit, least, normal } = grid;
  const up = ops.lt(a, b);
  const bits = ops.bitcast(a, int32);
  // Away from zero the bits of the magnitude grow.
  const outward = ops.eq(up, ops.gt(a, 0));
  const stepped = ops.bitcast(ops.where(outward, ops.add(bits, unit), ops.sub(bits, unit)), float32);
  let next = stepped;
  if (normal > 0) {
    // Below the normal range numbers are evenly spaced; infinity steps back to the largest number.
    const small = ops.where(
      outward,
      ops.lt(ops.abs(a), normal),
      ops.le(ops.abs(a), normal),
    );
    const shifted = ops.where(up, ops.add(a, least), ops.sub(a, least));
    const largest = ops.where(ops.gt(a, 0), ops.constant(dtype.max, float32), ops.constant(-dtype.max, float32));
    next = ops.where(ops.isinf(a), largest, ops.where(small, shifted, stepped));
  }
  const fromZero = ops.where(up, ops.constant(least, float32), ops.constant(-least, float32));
  next = ops.where(ops.eq(a, 0), fromZero, next);
  return ops.where(ops.eq(a, b), b, ops.where(either(ops.isnan(a), ops.isnan(b)), ops.add(a, b), next));
}

function either(a: Value, b: Value): Value {
  return ops.bitwiseOr(a, b);
}

defineOp({
  schema: "aten::nextafter(Tensor self, Tensor other) -> Tensor",
  doc: "The number next to self in the direction of other.",
  inplace: true,
  meta: ({ self, other }): TensorSpec => {
    const spec = pointwiseSpec("nextafter", [self, other], "default");
    if (!spec.dtype.isFloat) throw new TypeError(`nextafter: needs floating point numbers, got ${spec.dtype.name}`);
    return spec;
  },
  loop: ({ self, other }, out: TensorMeta): LoopNode => {
    const compute = out.dtype === float64 ? float64 : float32;
    // Operands first take the result's grid.
    const read = (input: LoopInput, index: Parameters<LoopInput["load"]>[0]): Value =>
      ops.cast(ops.cast(loadBroadcast(input, index), out.dtype), compute);
    return pointwise(
      out.shape,
      (index) => ops.cast(neighbour(read(self, index), read(other, index), out.dtype), out.dtype),
    );
  },
  vjp: ({ self, other }, { grad, F }) => ({
    self: () => reduceGrad(F.where(self.ne(other), grad, 0), self),
    other: () => reduceGrad(F.where(self.eq(other), grad, 0), other),
  }),
  samples: (g: SampleGenerator) => g.dtype.isFloat ? binarySamples(g, { differentiate: false }) : [],
});

/** Exponent field and rest of a float's bits. */
interface Layout {
  readonly bits: DType;
  readonly shift: number;
  readonly mask: number;
  readonly bias: number;
  readonly scale: number;
}

const WIDE: Layout = { bits: int64, shift: 52, mask: 0x7ff, bias: 1022, scale: 64 };
const NARROW: Layout = { bits: int32, shift: 23, mask: 0xff, bias: 126, scale: 32 };

/** x = mantissa · 2^exponent with 0.5 ≤ |mantissa| < 1. */
function split(x: Value): { readonly mantissa: Value; readonly exponent: Value } {
  const layout = x.dtype === float64 ? WIDE : NARROW;
  const tiny = ops.lt(ops.abs(x), x.dtype === float64 ? 2 ** -1022 : 2 ** -126);
  const scaled = ops.where(tiny, ops.mul(x, 2 ** layout.scale), x);
  const bits = ops.bitcast(scaled, layout.bits);
  const field = ops.bitwiseAnd(ops.shiftRight(bits, layout.shift), layout.mask);
  const exponent = ops.sub(
    ops.sub(ops.cast(field, int32), layout.bias),
    ops.where(tiny, ops.constant(layout.scale, int32), 0),
  );
  const mantissaBits = ops.sub(
    bits,
    ops.shiftLeft(ops.sub(field, layout.bias), ops.constant(layout.shift, layout.bits)),
  );
  const special = either(ops.eq(x, 0), either(ops.isnan(x), ops.isinf(x)));
  return {
    mantissa: ops.where(special, x, ops.bitcast(mantissaBits, x.dtype)),
    exponent: ops.where(special, ops.constant(0, int32), exponent),
  };
}

function checkFloat(where: string, self: MetaInput): void {
  if (!self.dtype.isFloat) throw new TypeError(`${where}: needs floating point numbers, got ${self.dtype.name}`);
}

definePointwise({
  schema: "tessera::frexp_mantissa(Tensor self) -> Tensor",
  doc: "The mantissa of self, between 0.5 and 1 in magnitude.",
  check: ({ self }) => checkFloat("frexp", self),
  body: (_, { self }) => split(self).mantissa,
  vjp: ({ self }, { grad, F }) => ({
    self: () => grad.mul(F.frexpExponent(self).to(self.dtype).neg().exp2()),
  }),
  samples: (g) => g.dtype.isFloat ? unarySamples(g) : [],
});

definePointwise({
  schema: "tessera::frexp_exponent(Tensor self) -> Tensor",
  doc: "The exponent of self for a mantissa between 0.5 and 1.",
  check: ({ self }) => checkFloat("frexp", self),
  dtype: () => int32,
  body: (_, { self }) => split(self).exponent,
  samples: (g) => g.dtype.isFloat ? unarySamples(g, { differentiate: false }) : [],
});

defineOp({
  schema: "aten::frexp.Tensor(Tensor self) -> (Tensor mantissa, Tensor exponent)",
  doc: "self as mantissa · 2^exponent, the mantissa between 0.5 and 1 in magnitude.",
  meta: ({ self }) => {
    checkFloat("frexp", self);
    const { shape } = pointwiseSpec("frexp", [self], "default");
    const { stride } = pointwiseSpec("frexp", [self], "default");
    const layout = stride === undefined ? {} : { stride };
    return [{ shape, dtype: self.dtype, ...layout }, { shape, dtype: int32, ...layout }];
  },
  decompose: ({ self }, F) => [F.frexpMantissa(self), F.frexpExponent(self)],
  samples: (g) => g.dtype.isFloat ? [{ args: { self: g.tensor([3, 4]) } }] : [],
});

defineOp({
  schema: "aten::ldexp.Tensor(Tensor self, Tensor other) -> Tensor",
  doc: "self · 2^other.",
  meta: ({ self, other }) => {
    if (other.dtype.isComplex) throw new TypeError(`ldexp: other must be real, got ${other.dtype.name}`);
    return pointwiseSpec("ldexp", [self, other], "float");
  },
  decompose: ({ self, other }, F) => {
    const power = F.pow(2, other.dtype.isFloat ? other : other.to(getDefaultDtype()));
    const out = self.mul(power);
    const dtype = promotedDtype("ldexp", [rankOf(self), rankOf(other)], "float");
    return out.dtype === dtype ? out : out.to(dtype);
  },
  samples: (g) =>
    g.dtype === bool
      ? []
      : [{ args: { self: g.tensor([3, 4]), other: g.tensor([4], { dtype: int32, requiresGrad: false }) } }],
});

function rankOf(x: TensorValue): PromotionOperand {
  return { dtype: x.dtype, rank: x.ndim === 0 ? "zeroDim" : "tensor" };
}
