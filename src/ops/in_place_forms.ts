/**
 * In-place forms that have a schema of their own: other argument orders than the functional operator's, Python's operators, and forms that draw.
 *
 * What draws writes by `copy_`, since a graph must show the generator's step. The others write the result of their operator. Mirrors the `_` variants of
 * `native_functions.yaml`.
 */
import { sameShape, shapeToText, type Size, sizeSame } from "../symbolic/mod.ts";
import { type DType, int64 } from "../core/mod.ts";
import type { Scalar } from "../graph/mod.ts";
import { defineInplace, defineOp, getOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { drawing } from "./random_state.ts";
import type { TensorValue } from "./value.ts";

/** The operator, and the schema of its in-place form. */
const FORMS = [
  ["aten.i0.default", "i0_(Tensor(a!) self) -> Tensor(a!)"],
  ["aten.ldexp.Tensor", "ldexp_(Tensor(a!) self, Tensor other) -> Tensor(a!)"],
  ["aten.mvlgamma.default", "mvlgamma_(Tensor(a!) self, int p) -> Tensor(a!)"],
  ["aten.polygamma.default", "polygamma_(Tensor(a!) self, int n) -> Tensor(a!)"],
  ["aten.conj_physical.default", "conj_physical_(Tensor(a!) self) -> Tensor(a!)"],
  ["aten.float_power.Tensor_Tensor", "float_power_.Tensor(Tensor(a!) self, Tensor exponent) -> Tensor(a!)"],
  ["aten.float_power.Tensor_Scalar", "float_power_.Scalar(Tensor(a!) self, Scalar exponent) -> Tensor(a!)"],
  ...["and", "or", "xor", "lshift", "rshift"].flatMap((name) =>
    ["Tensor", "Scalar"].map((type): readonly [string, string] => [
      `aten.__${name}__.${type}`,
      `__i${name}__.${type}(Tensor(a!) self, ${type} other) -> Tensor(a!)`,
    ])
  ),
] as const;

for (const [target, schema] of FORMS) defineInplace(getOp(target), `aten::${schema}`);

/** Where the elements stay. */
const asItLies = ({ shape, stride, storageOffset, dtype }: MetaInput): TensorSpec => ({
  shape,
  stride,
  storageOffset,
  dtype,
});

const DROPOUTS = [["alpha_dropout", "alphaDropout"], ["feature_dropout", "featureDropout"], [
  "feature_alpha_dropout",
  "featureAlphaDropout",
]] as const;

for (const [name, key] of DROPOUTS) {
  const functional = getOp(`aten.${name}.default`);
  defineOp({
    schema: `aten::${name}_(Tensor(a!) self, float p, bool train) -> Tensor(a!)`,
    doc: `${name}, in place.`,
    random: true,
    meta: ({ self, p, train }) => {
      functional.meta({ input: self, p, train });
      return asItLies(self);
    },
    decompose: ({ self, p, train }, F) => train && p > 0 ? self.copy_(F[key](self, p, train)) : self,
    samples: () => [],
  });
}

const RRELU = "Scalar lower=0.125, Scalar upper=0.33333333333333331, bool training=False, Generator? generator=None";

defineOp({
  schema: `aten::rrelu_(Tensor(a!) self, ${RRELU}) -> Tensor(a!)`,
  doc: "rrelu, in place.",
  random: true,
  meta: (args) => {
    getOp("aten.rrelu.default").meta(args);
    return asItLies(args.self);
  },
  decompose: ({ self, lower, upper, training }, F) => self.copy_(F.rrelu(self, lower, upper, training)),
  samples: () => [],
});

function checkNoise(
  where: string,
  { self, noise, lower, upper, training }: {
    readonly self: MetaInput;
    readonly noise: MetaInput;
    readonly lower: Scalar;
    readonly upper: Scalar;
    readonly training: boolean;
  },
): void {
  getOp("aten.rrelu.default").meta({ self, lower, upper, training, generator: null });
  if (noise.dtype === self.dtype && sameShape(noise.shape, self.shape)) return;
  throw new TypeError(
    `${where}: noise ${noise.dtype.name}${shapeToText(noise.shape)} must be like self ${self.dtype.name}${
      shapeToText(self.shape)
    }`,
  );
}

/** Slopes between two numbers where self is negative, 1 elsewhere. */
function drawSlopes(F: Functional, self: TensorValue, low: number, high: number): TensorValue {
  const drawn = drawing(
    F,
    self.device,
    (state) => F.philoxUniform(state, self.shape, { dtype: self.dtype, device: self.device }),
  ).mul(high - low).add(low);
  return F.where(self.le(0), drawn, 1);
}

defineOp({
  schema: `aten::rrelu_with_noise_functional(Tensor self, Tensor noise, ${RRELU}) -> (Tensor, Tensor noise_out)`,
  doc: "rrelu, and the slopes that it drew; outside of training noise as it is.",
  random: true,
  public: false,
  meta: (args) => {
    checkNoise("rrelu_with_noise_functional", args);
    const { self, noise } = args;
    return [{ shape: self.shape, dtype: self.dtype }, { shape: noise.shape, dtype: noise.dtype }];
  },
  decompose: ({ self, noise, lower, upper, training }, F) => {
    const low = Number(lower), high = Number(upper);
    if (!training) return [F.leakyRelu(self, (low + high) / 2), noise.clone()];
    const slopes = drawSlopes(F, self, low, high);
    return [self.mul(slopes), slopes];
  },
  samples: () => [],
});

for (const inplace of [false, true]) {
  const where = inplace ? "rrelu_with_noise_" : "rrelu_with_noise";
  defineOp({
    schema: `aten::${where}(Tensor${inplace ? "(a!)" : ""} self, Tensor(b!) noise, ${RRELU}) -> Tensor${
      inplace ? "(a!)" : ""
    }` as `aten::rrelu_with_noise(Tensor self, Tensor(b!) noise, ${typeof RRELU}) -> Tensor`,
    doc: `rrelu${inplace ? ", in place," : ""} that keeps the slopes it drew in noise: 1 where self is positive.`,
    random: true,
    meta: (args) => {
      checkNoise(where, args);
      return inplace ? asItLies(args.self) : { shape: args.self.shape, dtype: args.self.dtype };
    },
    decompose: ({ self, noise, lower, upper, training }, F) => {
      const low = Number(lower), high = Number(upper);
      let out;
      if (training) {
        noise.copy_(drawSlopes(F, self, low, high));
        out = self.mul(noise);
      } else out = F.leakyRelu(self, (low + high) / 2);
      return inplace ? self.copy_(out) : out;
    },
    samples: () => [],
  });
}

const fillDiagonal = defineOp({
  schema: "tessera::fill_diagonal(Tensor self, Scalar fill_value, bool wrap=False) -> Tensor",
  doc: "self with a number on the main diagonal; with wrap, a tall matrix begins another diagonal after a row's pause.",
  meta: ({ self }) => {
    const rank = self.shape.length;
    if (rank < 2) throw new TypeError(`fill_diagonal_: needs at least 2 dimensions, got ${shapeToText(self.shape)}`);
    if (rank > 2 && !self.shape.every((s) => sizeSame(s, self.shape[0] ?? 1))) {
      throw new TypeError(`fill_diagonal_: all dimensions must be of one length, got ${shapeToText(self.shape)}`);
    }
    return { shape: self.shape, dtype: self.dtype };
  },
  decompose: ({ self, fillValue, wrap }, F) => {
    const { shape } = self;
    // A position is on the diagonal if all its coordinates are one; rows count anew after each square and the row that follows it.
    const at = (d: number, size: Size): TensorValue =>
      F.arange(size, { device: self.device }).view(shape.map((_, i) => i === d ? size : 1));
    const columns = shape[1] ?? 1;
    const first = at(0, shape[0] ?? 1);
    const row = wrap && shape.length === 2 ? first.remainder(Number(columns) + 1) : first;
    let on = row.eq(at(1, columns));
    for (let d = 2; d < shape.length; d++) on = on.logicalAnd(row.eq(at(d, shape[d] ?? 1)));
    return self.maskedFill(on, fillValue);
  },
  samples: (g) => [
    { args: { self: g.tensor([7, 3]), fillValue: 1, wrap: true } },
    { args: { self: g.tensor([3, 3, 3]), fillValue: 0 } },
  ],
});
defineInplace(fillDiagonal, "aten::fill_diagonal_(Tensor(a!) self, Scalar fill_value, bool wrap=False) -> Tensor(a!)");
/** What numbers of `random_` come from: floats get integers that they hold exactly, int64 what a number of JavaScript holds. */
function rangeOf(args: object, dtype: DType): readonly [number, number] {
  const { from = 0, to = null } = args as { readonly from?: Size; readonly to?: Size | null };
  const limit = dtype.isFloat ? 2 / dtype.eps + 1 : dtype === int64 ? 2 ** 53 : dtype.max + 1;
  return [Number(from), to === null ? limit : Number(to)];
}

for (const [overload, parameters] of [["", ""], [".to", "int to, "], [".from", "int from, int? to, "]] as const) {
  for (const inplace of [true, false]) {
    const where = inplace ? "random_" : "random";
    defineOp({
      schema: `aten::${where}${overload}(Tensor${
        inplace ? "(a!)" : ""
      } self, ${parameters}*, Generator? generator=None) -> Tensor${
        inplace ? "(a!)" : ""
      }` as "aten::random_(Tensor(a!) self, *, Generator? generator=None) -> Tensor(a!)",
      doc: `Integers from a range, in ${
        inplace ? "self" : "the shape of self"
      }: all that the dtype holds if none is given.`,
      random: true,
      meta: ({ self, ...rest }) => {
        const [from, to] = rangeOf(rest, self.dtype);
        if (!(from < to)) throw new RangeError(`${where}: the range [${from}, ${to}) is empty`);
        if (from < self.dtype.min || to - 1 > self.dtype.max) {
          throw new RangeError(`${where}: ${self.dtype.name} does not hold all of [${from}, ${to})`);
        }
        return inplace ? asItLies(self) : { shape: self.shape, dtype: self.dtype };
      },
      decompose: ({ self, ...rest }, F) => {
        const [from, to] = rangeOf(rest, self.dtype);
        const drawn = drawing(
          F,
          self.device,
          (state) => F.philoxRandint(state, from, to, self.shape, { device: self.device }),
        ).to(self.dtype);
        return inplace ? self.copy_(drawn) : drawn;
      },
      samples: () => [],
    });
  }
}
