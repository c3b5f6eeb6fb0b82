/**
 * What operators of the table mean on complex tensors, written on real and imaginary parts.
 *
 * Dispatch asks {@linkcode complexFormOf} where a tensor argument is complex and runs the form in place of the operator. Operators on the layout (views)
 * need no form. An operator without one refuses complex tensors. Mirrors the complex branches of ATen's kernels.
 */
import { complex64, type DType, float32, normalizeAxes, normalizeAxis } from "../core/mod.ts";
import { broadcastShapes, type Size } from "../symbolic/mod.ts";
import { fromParts, type Parts, partsOf } from "./complex.ts";
import type { NamedArgs, Operator } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

/** Computes an operator on arguments of which at least one is complex. */
export type ComplexForm = (args: NamedArgs<TensorValue>, F: Functional) => TensorValue;

const forms = new Map<string, ComplexForm>();

/** The complex meaning of an operator (of the functional operator, for an in-place one), or null. */
export function complexFormOf(op: Operator): ComplexForm | null {
  const named = op.functional ?? op;
  return forms.get((named.aliasOf ?? named).target) ?? null;
}

/** Says what an operator means on complex tensors. */
export function defineComplexForm(target: string, form: ComplexForm): void {
  forms.set(target, form);
}

/** A tensor among the arguments. */
export function tensor(args: NamedArgs<TensorValue>, key: string): TensorValue {
  return args[key] as TensorValue;
}

function sum(a: TensorValue | null, b: TensorValue | null, sign: 1 | -1): TensorValue | null {
  if (a === null) return b === null ? null : sign === 1 ? b : b.neg();
  return b === null ? a : sign === 1 ? a.add(b) : a.sub(b);
}

function addParts(self: Parts, other: Parts, sign: 1 | -1, F: Functional): TensorValue {
  const re = sign === 1 ? self.re.add(other.re) : self.re.sub(other.re);
  return fromParts(re, sum(self.im, other.im, sign), F);
}

function scaled(x: Parts, factor: number): Parts {
  return factor === 1 ? x : { re: x.re.mul(factor), im: x.im === null ? null : x.im.mul(factor) };
}

function multiply(a: Parts, b: Parts, F: Functional): TensorValue {
  if (a.im === null) return fromParts(a.re.mul(b.re), b.im === null ? null : a.re.mul(b.im), F);
  if (b.im === null) return fromParts(a.re.mul(b.re), a.im.mul(b.re), F);
  return fromParts(a.re.mul(b.re).sub(a.im.mul(b.im)), a.re.mul(b.im).add(a.im.mul(b.re)), F);
}

function divide(a: Parts, b: Parts, F: Functional): TensorValue {
  if (b.im === null) return fromParts(a.re.div(b.re), a.im === null ? null : a.im.div(b.re), F);
  const norm = b.re.mul(b.re).add(b.im.mul(b.im));
  const re = a.im === null ? a.re.mul(b.re) : a.re.mul(b.re).add(a.im.mul(b.im));
  const im = a.im === null ? a.re.mul(b.im).neg() : a.im.mul(b.re).sub(a.re.mul(b.im));
  return fromParts(re.div(norm), im.div(norm), F);
}

for (const [name, sign] of [["add", 1], ["sub", -1]] as const) {
  const form: ComplexForm = (args, F) =>
    addParts(
      partsOf(tensor(args, "self")),
      scaled(partsOf(tensor(args, "other")), Number(args["alpha"] ?? 1)),
      sign,
      F,
    );
  forms.set(`aten.${name}.Tensor`, form);
}
const product: ComplexForm = (args, F) => multiply(partsOf(tensor(args, "self")), partsOf(tensor(args, "other")), F);
const quotient: ComplexForm = (args, F) => divide(partsOf(tensor(args, "self")), partsOf(tensor(args, "other")), F);
forms.set("aten.mul.Tensor", product);
forms.set("aten.multiply.Tensor", product);
forms.set("aten.div.Tensor", quotient);
forms.set("aten.true_divide.Tensor", quotient);
/** Overloads with a plain number: the number has no imaginary part. */
for (const name of ["add", "sub", "mul", "div"] as const) {
  forms.set(`aten.${name}.Scalar`, (args, F) => {
    const { re, im } = partsOf(tensor(args, "self"));
    const by = Number(args["other"]) * Number(args["alpha"] ?? 1);
    if (name === "add") return fromParts(re.add(by), im, F);
    if (name === "sub") return fromParts(re.sub(by), im, F);
    const apply = (x: TensorValue): TensorValue => name === "mul" ? x.mul(by) : x.div(by);
    return fromParts(apply(re), im === null ? null : apply(im), F);
  });
}

/** Both parts; of a real tensor the imaginary one is zeros. */
export function parts(z: TensorValue): { readonly re: TensorValue; readonly im: TensorValue } {
  const { re, im } = partsOf(z);
  return { re, im: im ?? re.mul(0) };
}

/** The root in the right half of the plane; its imaginary part has the sign of the number's. */
function rootOf({ re, im }: { readonly re: TensorValue; readonly im: TensorValue }, F: Functional): TensorValue {
  const size = F.hypot(re, im);
  // The larger part is made by a sum, the smaller by a quotient, so that nothing cancels.
  const large = size.add(re.abs()).mul(0.5).sqrt();
  const small = F.where(large.eq(0), large, im.abs().div(large.mul(2)));
  const isRight = re.ge(0);
  return fromParts(F.where(isRight, large, small), F.copysign(F.where(isRight, small, large), im), F);
}

/** Functions of both parts. */
const UNARY: Readonly<
  Record<string, (p: { readonly re: TensorValue; readonly im: TensorValue }, F: Functional) => TensorValue>
> = {
  conj: ({ re, im }, F) => fromParts(re, im.neg(), F),
  conj_physical: ({ re, im }, F) => fromParts(re, im.neg(), F),
  abs: ({ re, im }, F) => F.hypot(re, im),
  angle: ({ re, im }, F) => F.atan2(im, re),
  exp: ({ re, im }, F) => fromParts(re.exp().mul(im.cos()), re.exp().mul(im.sin()), F),
  log: ({ re, im }, F) => fromParts(F.hypot(re, im).log(), F.atan2(im, re), F),
  reciprocal: ({ re, im }, F) => {
    const norm = re.mul(re).add(im.mul(im));
    return fromParts(re.div(norm), im.neg().div(norm), F);
  },
  square: ({ re, im }, F) => multiply({ re, im }, { re, im }, F),
  sqrt: (z, F) => rootOf(z, F),
  rsqrt: (z, F) => {
    const { re, im } = parts(rootOf(z, F));
    const norm = re.mul(re).add(im.mul(im));
    return fromParts(re.div(norm), im.neg().div(norm), F);
  },
  sin: ({ re, im }, F) => fromParts(re.sin().mul(im.cosh()), re.cos().mul(im.sinh()), F),
  cos: ({ re, im }, F) => fromParts(re.cos().mul(im.cosh()), re.sin().mul(im.sinh()).neg(), F),
  sinh: ({ re, im }, F) => fromParts(re.sinh().mul(im.cos()), re.cosh().mul(im.sin()), F),
  cosh: ({ re, im }, F) => fromParts(re.cosh().mul(im.cos()), re.sinh().mul(im.sin()), F),
  // Quotients of exponentials overflow where the result is 1: tanh of the real part bounds them.
  tanh: ({ re, im }, F) => {
    const t = re.tanh(), u = im.tan();
    const down = t.mul(t).mul(u.mul(u)).add(1);
    return fromParts(t.mul(u.mul(u).add(1)).div(down), u.mul(t.mul(t).neg().add(1)).div(down), F);
  },
  sgn: ({ re, im }, F) => {
    const size = F.hypot(re, im);
    const none = size.eq(0);
    return fromParts(F.where(none, re, re.div(size)), F.where(none, im, im.div(size)), F);
  },
  isnan: ({ re, im }) => re.isnan().logicalOr(im.isnan()),
  isinf: ({ re, im }) => re.isinf().logicalOr(im.isinf()),
  isfinite: ({ re, im }) => re.isfinite().logicalAnd(im.isfinite()),
  sigmoid: ({ re, im }, F) => {
    const down = re.neg().exp();
    return divide({ re: re.onesLike(), im: null }, { re: down.mul(im.cos()).add(1), im: down.mul(im.sin()).neg() }, F);
  },
};

for (const [name, form] of Object.entries(UNARY)) {
  forms.set(`aten.${name}.default`, (args, F) => {
    const self = tensor(args, "self");
    const { re, im } = partsOf(self);
    return form({ re, im: im ?? re.mul(0) }, F);
  });
}

forms.set("aten.real.default", (args) => tensor(args, "self").viewAsReal().select(-1, 0));
for (const name of ["resolve_conj", "resolve_neg"]) forms.set(`aten.${name}.default`, (args) => tensor(args, "self"));

/** Operators that do the same to both parts, with dimensions counted without the pairs'. */
function onPairs(
  target: string,
  run: (pairs: TensorValue, args: NamedArgs<TensorValue>, rank: number) => TensorValue,
): void {
  forms.set(target, (args) => {
    const self = tensor(args, "self");
    return run(self.viewAsReal(), args, self.ndim).contiguous().viewAsComplex();
  });
}

function axesOf(dim: unknown, rank: number): number[] {
  const list = dim === null || dim === undefined ? [] : Array.isArray(dim) ? dim.map(Number) : [Number(dim)];
  return list.length === 0 ? Array.from({ length: rank }, (_, d) => d) : normalizeAxes(list, rank, "complex");
}

onPairs("aten.neg.default", (x) => x.neg());
onPairs("aten.clone.default", (x) => x.clone());
forms.set("aten.zeros_like.default", (args, F) => {
  const self = tensor(args, "self"), dtype = args["dtype"] as DType | null;
  if (dtype !== null && !dtype.isComplex) return F.zeros(self.shape, { dtype, device: self.device });
  return self.viewAsReal().zerosLike().contiguous().viewAsComplex();
});
onPairs("aten.sum.default", (x, _, rank) => rank === 0 ? x : x.sum(axesOf(null, rank)));
onPairs("aten.mean.default", (x, _, rank) => rank === 0 ? x : x.mean(axesOf(null, rank)));
for (const name of ["sum", "mean"] as const) {
  for (const overload of ["dim_IntList", "dim"]) {
    onPairs(`aten.${name}.${overload}`, (x, args, rank) => {
      const axes = axesOf(args["dim"], rank), keepdim = args["keepdim"] === true;
      return rank === 0 ? x : name === "sum" ? x.sum(axes, keepdim) : x.mean(axes, keepdim);
    });
  }
}
/** What writes a part of a tensor, or picks elements by positions in leading dimensions: the same for pairs. */
for (const name of ["select_scatter", "slice_scatter", "diagonal_scatter"] as const) {
  forms.set(`aten.${name}.default`, (args, F) => {
    const self = tensor(args, "self"), src = asComplex(tensor(args, "src"), F).viewAsReal();
    const x = asComplex(self, F).viewAsReal();
    const at = (key: string): number => normalizeAxis(Number(args[key]), self.ndim, name);
    const out = name === "select_scatter"
      ? x.selectScatter(src, at("dim"), args["index"] as Size)
      : name === "slice_scatter"
      ? x.sliceScatter(src, at("dim"), args["start"] as Size | null, args["end"] as Size | null, args["step"] as Size)
      : bothParts(F, self, tensor(args, "src"), (a, b) =>
        a.diagonalScatter(b, args["offset"] as Size, at("dim1"), at("dim2")));
    return out.dtype.isComplex ? out : out.viewAsComplex();
  });
}

/** The same function of real and of imaginary parts. */
export function bothParts(
  F: Functional,
  a: TensorValue,
  b: TensorValue,
  run: (a: TensorValue, b: TensorValue) => TensorValue,
): TensorValue {
  const x = parts(a), y = parts(b);
  return fromParts(run(x.re, y.re), run(x.im, y.im), F);
}

forms.set("aten.index.Tensor", (args) => {
  const indices = args["indices"] as readonly (TensorValue | null)[];
  return tensor(args, "self").viewAsReal().index(indices).contiguous().viewAsComplex();
});
forms.set("aten.index_put.default", (args, F) => {
  const indices = args["indices"] as readonly (TensorValue | null)[], accumulate = args["accumulate"] === true;
  return bothParts(F, tensor(args, "self"), tensor(args, "values"), (a, b) => a.indexPut(indices, b, accumulate));
});
forms.set("aten.gather.default", (args, F) => {
  const { re, im } = parts(tensor(args, "self"));
  const dim = args["dim"] as Size, index = tensor(args, "index");
  return fromParts(re.gather(dim, index), im.gather(dim, index), F);
});
forms.set("aten.cumsum.default", (args, F) => {
  const { re, im } = parts(tensor(args, "self"));
  return fromParts(re.cumsum(args["dim"] as Size), im.cumsum(args["dim"] as Size), F);
});
for (const overload of ["Scalar", "Tensor"] as const) {
  forms.set(`aten.masked_fill.${overload}`, (args, F) => {
    const self = tensor(args, "self"), mask = tensor(args, "mask"), { re, im } = parts(self);
    if (!self.dtype.isComplex) {
      throw new TypeError(
        `masked_fill: a complex value does not fit into self of ${self.dtype.name}; convert self first`,
      );
    }
    const value = args["value"] as TensorValue | number;
    const by = typeof value === "number" || !value.dtype.isComplex ? null : parts(value);
    if (by !== null) return fromParts(F.where(mask, by.re, re), F.where(mask, by.im, im), F);
    return fromParts(re.maskedFill(mask, value as number), im.maskedFill(mask, 0), F);
  });
}
/** Powers with a real exponent: small whole ones by products, others by magnitude and angle. */
forms.set("aten.pow.Tensor_Scalar", (args, F) => {
  const z = tensor(args, "self"), exponent = Number(args["exponent"]);
  const { re, im } = parts(z);
  if (Number.isInteger(exponent) && exponent >= 1 && exponent <= 8) {
    let out = z;
    for (let i = 1; i < exponent; i++) out = multiply(partsOf(out), { re, im }, F);
    return out;
  }
  const size = F.hypot(re, im).pow(exponent), angle = F.atan2(im, re).mul(exponent);
  return fromParts(size.mul(angle.cos()), size.mul(angle.sin()), F);
});

onPairs(
  "aten.flip.default",
  (x, args, rank) => x.flip(normalizeAxes((args["dims"] as Size[]).map(Number), rank, "flip")),
);
onPairs("aten.index_select.default", (x, args, rank) => {
  const dim = normalizeAxis(Number(args["dim"]), rank, "index_select"), index = tensor(args, "index");
  return rank === 0 ? x.unsqueeze(0).indexSelect(0, index.reshape([1])).squeeze(0) : x.indexSelect(dim, index);
});
onPairs("aten.roll.default", (x, args, rank) => {
  const shifts = args["shifts"] as readonly Size[], dims = args["dims"] as readonly Size[];
  // Without dimensions, elements go around in row-major order.
  if (dims.length === 0) return x.reshape([-1, 2]).roll(shifts, [0]).reshape(x.shape);
  return x.roll(shifts, normalizeAxes(dims.map(Number), rank, "roll"));
});
forms.set("aten.constant_pad_nd.default", (args, F) => {
  const { re, im } = partsOf(tensor(args, "self"));
  const pad = args["pad"] as readonly Size[];
  return fromParts(re.constantPadNd(pad, Number(args["value"] ?? 0)), im?.constantPadNd(pad, 0) ?? null, F);
});

/** Contiguous copies only where needed. */
forms.set("aten.contiguous.default", (args) => {
  const self = tensor(args, "self");
  return self.viewAsReal().contiguous().viewAsComplex();
});

function asComplex(x: TensorValue, F: Functional): TensorValue {
  return x.dtype.isComplex ? x : fromParts(x, null, F);
}

for (const name of ["cat", "stack", "concat", "concatenate"] as const) {
  forms.set(`aten.${name}.default`, (args, F) => {
    const tensors = (args["tensors"] as readonly TensorValue[]).map((t) => asComplex(t, F).viewAsReal());
    const rank = (tensors[0]?.ndim ?? 1) - 1;
    const axis = normalizeAxis(Number(args["dim"]), name === "stack" ? rank + 1 : rank, name);
    return (name === "stack" ? F.stack(tensors, axis) : F.cat(tensors, axis)).viewAsComplex();
  });
}

function converted(self: TensorValue, dtype: unknown, F: Functional): TensorValue {
  const to = dtype as DType | null | undefined;
  if (to === null || to === undefined || to === complex64) return asComplex(self, F);
  // The imaginary part is dropped, as in PyTorch.
  const { re } = partsOf(self);
  return to === float32 ? re.clone() : re.to(to);
}

for (const target of ["aten.to.dtype", "aten._to_copy.default", "aten.to.dtype_layout", "aten.to.device"]) {
  forms.set(target, (args, F) => {
    const self = tensor(args, "self");
    const out = converted(self, args["dtype"], F);
    return out === self && target === "aten._to_copy.default" ? self.clone() : out;
  });
}

forms.set("aten.copy.default", (args, F) => {
  const self = tensor(args, "self"), src = asComplex(tensor(args, "src"), F);
  return src.viewAsReal().expand([...self.shape, 2]).clone({ memoryFormat: "contiguous_format" }).viewAsComplex();
});

forms.set("aten.where.self", (args, F) => {
  const a = asComplex(tensor(args, "self"), F), b = asComplex(tensor(args, "other"), F);
  return F.where(tensor(args, "condition").unsqueeze(-1), a.viewAsReal(), b.viewAsReal()).viewAsComplex();
});

/** Matrix products of complex tensors, by four real ones. */
for (const name of ["matmul", "mm", "bmm"] as const) {
  forms.set(`aten.${name}.default`, (args, F) => {
    const self = tensor(args, "self"), other = (args["other"] ?? args["mat2"]) as TensorValue;
    if (self.dtype !== other.dtype) {
      throw new TypeError(`${name}: dtypes ${self.dtype.name} and ${other.dtype.name} differ: convert one of them`);
    }
    const a = partsOf(self), b = partsOf(other);
    const times = (x: TensorValue | null, y: TensorValue | null): TensorValue | null =>
      x === null || y === null ? null : x.matmul(y);
    const re = times(a.re, b.re) ?? a.re;
    const cross = times(a.im, b.im);
    return fromParts(cross === null ? re : re.sub(cross), sum(times(a.re, b.im), times(a.im, b.re), 1), F);
  });
}

for (const [name, isEqual] of [["eq", true], ["ne", false]] as const) {
  forms.set(`aten.${name}.Tensor`, (args) => {
    const a = partsOf(tensor(args, "self")), b = partsOf(tensor(args, "other"));
    const shape = broadcastShapes(name, a.re.shape, b.re.shape);
    const same = a.re.eq(b.re).logicalAnd((a.im ?? a.re.mul(0)).eq(b.im ?? b.re.mul(0))).expand(shape);
    return isEqual ? same : same.logicalNot();
  });
}
