/**
 * Functions of one number: roots, exponentials, trigonometry, rounding, special functions.
 *
 * Each is a primitive of the loop IR with its derivative; integers become the default float where the function leaves the integers.
 * Mirrors the unary kernels of ATen and their entries in `derivatives.yaml`.
 */
import { bool, type DType } from "../core/mod.ts";
import { type Ops, ops, type Value } from "../loops/mod.ts";
import { definePointwise, type Promotion } from "./combinators.ts";
import type { MetaInput } from "./define.ts";
import { type UnarySampleOptions, unarySamples } from "./sample_sets.ts";
import type { VjpContext } from "./define.ts";
import type { TensorValue } from "./value.ts";

interface UnaryDefinition<N extends string> {
  readonly name: N;
  readonly doc: string;
  readonly promotion?: Promotion;
  readonly body: (x: Value, ops: Ops, compute: DType) => Value;
  /** The gradient with respect to self; absent where it is 0 or there is none. */
  readonly vjp?: (context: VjpContext, self: TensorValue) => TensorValue;
  readonly samples?: UnarySampleOptions;
  readonly check?: (self: MetaInput) => void;
}

function defineUnary<const N extends string>(definition: UnaryDefinition<N>): void {
  const { name, doc, promotion = "float", body, vjp, samples, check } = definition;
  definePointwise({
    schema: `aten::${name}(Tensor self) -> Tensor`,
    doc,
    promotion,
    inplace: true,
    body: (_, { self }, compute) => body(self, ops, compute),
    ...(vjp === undefined ? {} : {
      vjp: ({ self }: { readonly self: TensorValue }, context: VjpContext) => ({ self: () => vjp(context, self) }),
    }),
    ...(check === undefined ? {} : { check: ({ self }: { readonly self: MetaInput }) => check(self) }),
    samples: (g) => unarySamples(g, samples),
  });
}

/** A rounding function: integers stay as they are, and its derivative is 0. */
function defineRounding(name: string, doc: string, body: (x: Value, ops: Ops) => Value): void {
  defineUnary({
    name,
    doc,
    promotion: "default",
    body: (x, _, compute) => compute.isFloat ? body(x, ops) : x,
    vjp: ({ grad, F }) => F.zerosLike(grad),
    samples: { edges: [0, -0, 0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, Infinity, -Infinity, NaN], differentiate: false },
  });
}

function refuseBool(where: string, instead: string): (self: MetaInput) => void {
  return (self) => {
    if (self.dtype === bool) throw new TypeError(`${where}: does not take a bool tensor; use ${instead} instead`);
  };
}

defineUnary({
  name: "neg",
  doc: "-self.",
  promotion: "default",
  check: refuseBool("neg", "logicalNot()"),
  body: (x) => ops.neg(x),
  vjp: ({ grad }) => grad.neg(),
});

defineUnary({
  name: "abs",
  doc: "The absolute value.",
  promotion: "default",
  body: (x, _, compute) => compute.kind === "bool" || compute.kind === "uint" ? x : ops.abs(x),
  vjp: ({ grad }, self) => grad.mul(self.sign()),
});

for (const name of ["sign", "sgn"] as const) {
  defineUnary({
    name,
    doc: "-1, 0 or 1 by the sign; 0 for NaN.",
    promotion: "default",
    body: (x, _, compute) => {
      if (compute === bool) return x;
      const positive = ops.cast(ops.gt(x, 0), compute);
      return compute.kind === "uint" ? positive : ops.sub(positive, ops.cast(ops.lt(x, 0), compute));
    },
    vjp: ({ grad, F }) => F.zerosLike(grad),
    samples: { differentiate: false },
  });
}

defineUnary({
  name: "positive",
  doc: "+self: the tensor itself.",
  promotion: "default",
  check: refuseBool("positive", "clone()"),
  body: (x) => x,
  vjp: ({ grad }) => grad,
});

defineUnary({
  name: "reciprocal",
  doc: "1 / self.",
  body: (x) => ops.reciprocal(x),
  vjp: ({ grad, out }) => grad.neg().mul(out.mul(out)),
  samples: { low: 0.5, high: 3 },
});

defineUnary({
  name: "sqrt",
  doc: "The square root; NaN for negative numbers.",
  body: (x) => ops.sqrt(x),
  vjp: ({ grad, out }) => grad.div(out.mul(2)),
  samples: { low: 0.5, high: 3 },
});

defineUnary({
  name: "rsqrt",
  doc: "1 / sqrt(self).",
  body: (x) => ops.rsqrt(x),
  vjp: ({ grad, out }) => grad.mul(out.mul(out).mul(out)).mul(-0.5),
  samples: { low: 0.5, high: 3 },
});

defineUnary({
  name: "square",
  doc: "self × self.",
  promotion: "boolToInt",
  body: (x) => ops.mul(x, x),
  vjp: ({ grad }, self) => grad.mul(self.mul(2)),
});

defineUnary({
  name: "exp",
  doc: "e to the power of self.",
  body: (x) => ops.exp(x),
  vjp: ({ grad, out }) => grad.mul(out),
});

defineUnary({
  name: "exp2",
  doc: "2 to the power of self.",
  body: (x) => ops.exp2(x),
  vjp: ({ grad, out }) => grad.mul(out).mul(Math.LN2),
});

defineUnary({
  name: "expm1",
  doc: "exp(self) - 1, exact near 0.",
  body: (x) => ops.expm1(x),
  vjp: ({ grad, out }) => grad.mul(out.add(1)),
});

defineUnary({
  name: "log",
  doc: "The natural logarithm.",
  body: (x) => ops.log(x),
  vjp: ({ grad }, self) => grad.div(self),
  samples: { low: 0.3, high: 4 },
});

defineUnary({
  name: "log2",
  doc: "The logarithm to base 2.",
  body: (x) => ops.log2(x),
  vjp: ({ grad }, self) => grad.div(self.mul(Math.LN2)),
  samples: { low: 0.3, high: 4 },
});

defineUnary({
  name: "log10",
  doc: "The logarithm to base 10.",
  body: (x) => ops.log10(x),
  vjp: ({ grad }, self) => grad.div(self.mul(Math.LN10)),
  samples: { low: 0.3, high: 4 },
});

defineUnary({
  name: "log1p",
  doc: "log(1 + self), exact near 0.",
  body: (x) => ops.log1p(x),
  vjp: ({ grad }, self) => grad.div(self.add(1)),
  samples: { low: -0.6, high: 4 },
});

defineUnary({ name: "sin", doc: "The sine.", body: (x) => ops.sin(x), vjp: ({ grad }, self) => grad.mul(self.cos()) });

defineUnary({
  name: "cos",
  doc: "The cosine.",
  body: (x) => ops.cos(x),
  vjp: ({ grad }, self) => grad.mul(self.sin().neg()),
});

defineUnary({
  name: "tan",
  doc: "The tangent.",
  body: (x) => ops.tan(x),
  vjp: ({ grad, out }) => grad.mul(out.mul(out).add(1)),
  samples: { low: -1.2, high: 1.2 },
});

defineUnary({
  name: "asin",
  doc: "The inverse sine; NaN outside [-1, 1].",
  body: (x) => ops.asin(x),
  vjp: ({ grad }, self) => grad.mul(self.mul(self).neg().add(1).rsqrt()),
  samples: { low: -0.9, high: 0.9 },
});

defineUnary({
  name: "acos",
  doc: "The inverse cosine; NaN outside [-1, 1].",
  body: (x) => ops.acos(x),
  vjp: ({ grad }, self) => grad.mul(self.mul(self).neg().add(1).rsqrt().neg()),
  samples: { low: -0.9, high: 0.9 },
});

defineUnary({
  name: "atan",
  doc: "The inverse tangent.",
  body: (x) => ops.atan(x),
  vjp: ({ grad }, self) => grad.div(self.mul(self).add(1)),
});

defineUnary({
  name: "sinh",
  doc: "The hyperbolic sine.",
  body: (x) => ops.sinh(x),
  vjp: ({ grad }, self) => grad.mul(self.cosh()),
});

defineUnary({
  name: "cosh",
  doc: "The hyperbolic cosine.",
  body: (x) => ops.cosh(x),
  vjp: ({ grad }, self) => grad.mul(self.sinh()),
});

defineUnary({
  name: "asinh",
  doc: "The inverse hyperbolic sine.",
  body: (x) => ops.asinh(x),
  vjp: ({ grad }, self) => grad.mul(self.mul(self).add(1).rsqrt()),
});

defineUnary({
  name: "acosh",
  doc: "The inverse hyperbolic cosine; NaN below 1.",
  body: (x) => ops.acosh(x),
  vjp: ({ grad }, self) => grad.mul(self.mul(self).sub(1).rsqrt()),
  samples: { low: 1.2, high: 4 },
});

defineUnary({
  name: "atanh",
  doc: "The inverse hyperbolic tangent; NaN outside [-1, 1].",
  body: (x) => ops.atanh(x),
  vjp: ({ grad }, self) => grad.div(self.mul(self).neg().add(1)),
  samples: { low: -0.9, high: 0.9 },
});

defineUnary({
  name: "erf",
  doc: "The error function.",
  body: (x) => ops.erf(x),
  vjp: ({ grad }, self) => grad.mul(self.mul(self).neg().exp().mul(2 / Math.sqrt(Math.PI))),
});

defineUnary({
  name: "erfc",
  doc: "1 - erf(self), exact for large numbers.",
  body: (x) => ops.erfc(x),
  vjp: ({ grad }, self) => grad.mul(self.mul(self).neg().exp().mul(-2 / Math.sqrt(Math.PI))),
});

defineUnary({
  name: "erfinv",
  doc: "The inverse of erf.",
  body: (x) => ops.erfinv(x),
  vjp: ({ grad, out }) => grad.mul(out.mul(out).exp().mul(Math.sqrt(Math.PI) / 2)),
  samples: { low: -0.8, high: 0.8 },
});

defineUnary({
  name: "lgamma",
  doc: "The logarithm of the absolute value of the gamma function.",
  body: (x) => ops.lgamma(x),
  vjp: ({ grad }, self) => grad.mul(self.digamma()),
  samples: { low: 0.5, high: 4 },
});

defineUnary({
  name: "digamma",
  doc: "The derivative of lgamma.",
  body: (x) => ops.digamma(x),
  vjp: ({ grad, F }, self) => grad.mul(F.polygamma(1, self)),
  samples: { low: 0.5, high: 4 },
});

defineRounding("floor", "The largest integer not above self.", (x) => ops.floor(x));
defineRounding("ceil", "The smallest integer not below self.", (x) => ops.ceil(x));
defineRounding("trunc", "self without its fraction, rounded towards 0.", (x) => ops.trunc(x));
defineRounding("fix", "self without its fraction, rounded towards 0.", (x) => ops.trunc(x));
defineRounding("round", "The nearest integer, halves to even.", (x) => ops.round(x));

definePointwise({
  schema: "aten::round.decimals(Tensor self, *, int decimals) -> Tensor",
  doc: "self rounded to a number of decimals, halves to even; negative counts round to tens, hundreds and so on.",
  inplace: true,
  body: (_, { self, decimals }, compute) => {
    const count = Number(decimals);
    if (!compute.isFloat) return self;
    if (count === 0) return ops.round(self);
    const scale = 10 ** Math.abs(count);
    return count > 0
      ? ops.div(ops.round(ops.mul(self, scale)), scale)
      : ops.mul(ops.round(ops.div(self, scale)), scale);
  },
  vjp: (_, { grad, F }) => ({ self: () => F.zerosLike(grad) }),
  samples: (g) => [
    ...unarySamples(g, { args: { decimals: 1 }, differentiate: false }),
    ...unarySamples(g, { args: { decimals: -1 }, differentiate: false }),
  ],
});

defineUnary({
  name: "frac",
  doc: "The fraction: self - trunc(self).",
  promotion: "default",
  check: (self) => {
    if (!self.dtype.isFloat) throw new TypeError(`frac: needs floating point numbers, got ${self.dtype.name}`);
  },
  body: (x, _, compute) => compute.isFloat ? ops.sub(x, ops.trunc(x)) : ops.sub(x, x),
  vjp: ({ grad }) => grad,
  samples: { low: 0.1, high: 0.9 },
});

defineUnary({
  name: "deg2rad",
  doc: "Degrees to radians.",
  body: (x) => ops.mul(x, Math.PI / 180),
  vjp: ({ grad }) => grad.mul(Math.PI / 180),
});

defineUnary({
  name: "rad2deg",
  doc: "Radians to degrees.",
  body: (x) => ops.mul(x, 180 / Math.PI),
  vjp: ({ grad }) => grad.mul(180 / Math.PI),
});

defineUnary({
  name: "sinc",
  doc: "sin(πx) / (πx), 1 at 0.",
  body: (x) => {
    const p = ops.mul(x, Math.PI);
    return ops.where(ops.eq(x, 0), 1, ops.div(ops.sin(p), p));
  },
  vjp: ({ grad, F }, self) => {
    const p = self.mul(Math.PI);
    const slope = p.mul(p.cos()).sub(p.sin()).div(p.mul(self));
    return grad.mul(F.where(self.eq(0), 0, slope));
  },
  samples: { low: 0.2, high: 3 },
});
