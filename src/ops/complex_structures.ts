/**
 * Complex meanings of operators that make, fill, write and pick: the same on real and imaginary parts, or with an imaginary part of zeros.
 *
 * Enters: operators of the table, by name. Leaves: their forms, known to dispatch. Products and powers of complex numbers that no other form has are here, too. Mirrors the complex
 * branches of ATen's kernels of creation, scattering and reduction.
 */
import { type Device, type DType, float32, normalizeAxis } from "../core/mod.ts";
import { type Size, sizeEq, sizeSub } from "../symbolic/mod.ts";
import { fromParts, type Parts, partsOf } from "./complex.ts";
import { bothParts, type ComplexForm, defineComplexForm, parts, tensor } from "./complex_forms.ts";
import type { NamedArgs } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

// What makes tensors.

/** A tensor of one real number; of another dtype if that is asked for. */
function filled(F: Functional, args: NamedArgs<TensorValue>, size: readonly Size[], value: number): TensorValue {
  const dtype = args["dtype"] as DType | null | undefined, self = args["self"] as TensorValue | undefined;
  const device = (args["device"] as Device | null | undefined) ?? self?.device ?? null;
  const to = dtype ?? self?.dtype ?? float32;
  if (!to.isComplex) return F.full(size, value, { dtype: to, device });
  const options = { dtype: float32, device };
  return fromParts(F.full(size, value, options), F.full(size, 0, options), F);
}

const VALUES = { zeros: 0, ones: 1, empty: 0 } as const;

for (const [name, value] of Object.entries(VALUES)) {
  const sized: ComplexForm = (args, F) => filled(F, args, args["size"] as readonly Size[], value);
  defineComplexForm(name === "empty" ? "aten.empty.memory_format" : `aten.${name}.default`, sized);
  defineComplexForm(`aten.new_${name}.default`, sized);
  if (name !== "zeros") {
    defineComplexForm(`aten.${name}_like.default`, (args, F) => filled(F, args, tensor(args, "self").shape, value));
  }
}
for (const name of ["full", "new_full", "full_like"]) {
  defineComplexForm(`aten.${name}.default`, (args, F) => {
    const size = (args["size"] ?? tensor(args, "self").shape) as readonly Size[];
    return filled(F, args, size, Number(args["fillValue"]));
  });
}
for (const overload of ["default", "m"]) {
  defineComplexForm(`aten.eye.${overload}`, (args, F) => {
    const n = args["n"] as Size, options = { dtype: float32, device: args["device"] as Device | null };
    return fromParts(F.eye(n, (args["m"] ?? n) as Size, options), null, F);
  });
}

// What fills and writes.

defineComplexForm("aten.zero.default", (args, F) => filled(F, args, tensor(args, "self").shape, 0));
defineComplexForm(
  "aten.fill.Scalar",
  (args, F) => filled(F, args, tensor(args, "self").shape, Number(args["value"])),
);
defineComplexForm("aten.fill.Tensor", (args, F) => {
  const { shape } = tensor(args, "self"), { re, im } = parts(tensor(args, "value"));
  return fromParts(re.expand(shape), im.expand(shape), F);
});
defineComplexForm("aten.index_add.default", (args, F) => {
  const dim = args["dim"] as Size, index = tensor(args, "index"), alpha = Number(args["alpha"] ?? 1);
  return bothParts(F, tensor(args, "self"), tensor(args, "source"), (a, b) => a.indexAdd(dim, index, b, { alpha }));
});
defineComplexForm("aten.index_copy.default", (args, F) => {
  const dim = args["dim"] as Size, index = tensor(args, "index");
  return bothParts(F, tensor(args, "self"), tensor(args, "source"), (a, b) => a.indexCopy(dim, index, b));
});
for (const [target, add] of [["aten.scatter.src", false], ["aten.scatter_add.default", true]] as const) {
  defineComplexForm(target, (args, F) => {
    const dim = args["dim"] as Size, index = tensor(args, "index");
    return bothParts(
      F,
      tensor(args, "self"),
      tensor(args, "src"),
      (a, b) => add ? a.scatterAdd(dim, index, b) : a.scatter(dim, index, b),
    );
  });
}

/** The same of both parts of one tensor. */
function each(target: string, run: (x: TensorValue, args: NamedArgs<TensorValue>) => TensorValue): void {
  defineComplexForm(target, (args, F) => {
    const { re, im } = parts(tensor(args, "self"));
    return fromParts(run(re, args), run(im, args), F);
  });
}

each("aten.tril.default", (x, args) => x.tril(args["diagonal"] as Size));
each("aten.triu.default", (x, args) => x.triu(args["diagonal"] as Size));
each("aten.repeat.default", (x, args) => x.repeat(args["repeats"] as readonly Size[]));
each("tessera.repeat_elements.default", (x, args) => x.repeatInterleave(args["repeats"] as Size, args["dim"] as Size));
each(
  "aten.diag_embed.default",
  (x, args) => x.diagEmbed(args["offset"] as Size, args["dim1"] as Size, args["dim2"] as Size),
);

// Arithmetic.

const whole = (x: TensorValue, F: Functional): TensorValue => x.dtype.isComplex ? x : fromParts(x, null, F);

defineComplexForm(
  "aten.rsub.Tensor",
  (args, F) => whole(tensor(args, "other"), F).sub(tensor(args, "self").mul(Number(args["alpha"] ?? 1))),
);
defineComplexForm(
  "aten.rsub.Scalar",
  (args) => tensor(args, "self").mul(-Number(args["alpha"] ?? 1)).add(Number(args["other"])),
);
for (const name of ["addcmul", "addcdiv"] as const) {
  defineComplexForm(`aten.${name}.default`, (args, F) => {
    const a = whole(tensor(args, "tensor1"), F), b = whole(tensor(args, "tensor2"), F);
    const term = name === "addcmul" ? a.mul(b) : a.div(b);
    return whole(tensor(args, "self"), F).add(term.mul(Number(args["value"] ?? 1)));
  });
}
for (const overload of ["Scalar", "Tensor"]) {
  defineComplexForm(`aten.lerp.${overload}`, (args, F) => {
    const self = whole(tensor(args, "self"), F), weight = args["weight"] as TensorValue | number;
    return self.add(whole(tensor(args, "end"), F).sub(self).mul(weight));
  });
}
for (const overload of ["ScalarSelf", "ScalarOther"]) {
  defineComplexForm(`aten.where.${overload}`, (args, F) => {
    const tensorOf = (key: string): TensorValue => {
      const given = args[key] as TensorValue | number;
      return typeof given === "number" ? whole(F.full([], given, { dtype: float32 }), F) : given;
    };
    return F.where(tensor(args, "condition"), tensorOf("self"), tensorOf("other"));
  });
}
for (const name of ["eq", "ne"] as const) {
  defineComplexForm(`aten.${name}.Scalar`, (args) => {
    const { re, im } = parts(tensor(args, "self"));
    const same = re.eq(Number(args["other"])).logicalAnd(im.eq(0));
    return name === "eq" ? same : same.logicalNot();
  });
}
defineComplexForm("aten.isreal.default", (args) => parts(tensor(args, "self")).im.eq(0));
defineComplexForm("aten.tan.default", (args) => tensor(args, "self").sin().div(tensor(args, "self").cos()));
defineComplexForm("aten.expm1.default", (args) => tensor(args, "self").exp().sub(1));
defineComplexForm("aten.log1p.default", (args) => tensor(args, "self").add(1).log());

/** base ** exponent by magnitude and angle; 0 to any power but 0 is 0. */
function power(base: Parts, exponent: Parts, F: Functional): TensorValue {
  const { re: x, im: y } = { re: base.re, im: base.im ?? base.re.mul(0) };
  const size = F.hypot(x, y), isZero = size.eq(0);
  const log = F.where(isZero, 0, size.log()), angle = F.atan2(y, x);
  const { re: a, im: b } = exponent;
  const long = (b === null ? a.mul(log) : a.mul(log).sub(b.mul(angle))).exp();
  const turn = b === null ? a.mul(angle) : a.mul(angle).add(b.mul(log));
  const isOne = b === null ? a.eq(0) : a.eq(0).logicalAnd(b.eq(0));
  const ofZero = F.where(isOne, 1, a.mul(0));
  return fromParts(F.where(isZero, ofZero, long.mul(turn.cos())), F.where(isZero, 0, long.mul(turn.sin())), F);
}
defineComplexForm(
  "aten.pow.Tensor_Tensor",
  (args, F) => power(partsOf(tensor(args, "self")), partsOf(tensor(args, "exponent")), F),
);
defineComplexForm("aten.pow.Scalar", (args, F) => {
  const exponent = tensor(args, "exponent");
  return power(
    { re: F.full([], Number(args["self"]), { dtype: float32, device: exponent.device }), im: null },
    partsOf(exponent),
    F,
  );
});

// Reductions.

/** Halves are multiplied with each other until one element is left. */
function productAlong(z: TensorValue, dim: number, F: Functional): TensorValue {
  let rest = z;
  if (sizeEq(rest.shape[dim] ?? 1, 0)) return F.onesLike(rest.sum(dim)).unsqueeze(dim);
  for (let count = Number(rest.shape[dim] ?? 1); count > 1; count = Number(rest.shape[dim] ?? 1)) {
    const half = Math.floor(count / 2);
    const pairs = rest.slice(dim, 0, half, 1).mul(rest.slice(dim, half, 2 * half, 1));
    rest = count % 2 === 0 ? pairs : F.cat([pairs, rest.slice(dim, 2 * half, count, 1)], dim);
  }
  return rest;
}
defineComplexForm("aten.prod.dim_int", (args, F) => {
  const self = whole(tensor(args, "self"), F), dim = normalizeAxis(Number(args["dim"]), self.ndim, "prod");
  const out = productAlong(self, dim, F);
  return args["keepdim"] === true ? out : out.squeeze(dim);
});
/** Every step multiplies with what lies twice as far before. */
defineComplexForm("aten.cumprod.default", (args, F) => {
  let out = whole(tensor(args, "self"), F);
  const dim = normalizeAxis(Number(args["dim"]), out.ndim, "cumprod"), size = Number(out.shape[dim] ?? 1);
  for (let step = 1; step < size; step *= 2) {
    const later = out.slice(dim, step, size, 1).mul(out.slice(dim, 0, sizeSub(size, step), 1));
    out = F.cat([out.slice(dim, 0, step, 1), later], dim);
  }
  return out;
});
defineComplexForm("aten.linalg_vector_norm.default", (args, F) => {
  const self = tensor(args, "self"), dtype = args["dtype"] as DType | null;
  if (dtype !== null && dtype.isComplex !== self.dtype.isComplex) {
    const kind = self.dtype.isComplex ? "complex" : "real";
    throw new TypeError(
      `linalg_vector_norm: dtype must be ${kind} for ${kind} numbers, got ${dtype.name}; leave it out`,
    );
  }
  const sizes = dtype === null ? self.abs() : self.to(dtype).abs();
  return F.linalgVectorNorm(
    sizes,
    Number(args["ord"]),
    args["dim"] as readonly Size[] | null,
    args["keepdim"] as boolean,
  );
});

// Products.

defineComplexForm(
  "aten.mv.default",
  (args) => tensor(args, "self").matmul(tensor(args, "vec").unsqueeze(1)).squeeze(1),
);
defineComplexForm("aten.dot.default", (args) => tensor(args, "self").mul(tensor(args, "tensor")).sum());
defineComplexForm("aten.vdot.default", (args) => tensor(args, "self").conj().mul(tensor(args, "other")).sum());
