/**
 * Operators on lists of tensors, as steps of optimisers hold them: _foreach_add, _foreach_sqrt, _foreach_addcdiv_, ….
 *
 * Each is its operator for every element of the lists, so that meta, kernels and gradients are those of the operator; the compiler fuses what it can. The in-place forms
 * write into self and yield nothing. Mirrors `ForeachOpsKernels.cpp` of ATen; the slow path there, the only one here.
 */
import type { Size } from "../symbolic/mod.ts";
import { callOperator } from "./call.ts";
import { defineOp, getOp, type MetaInput, type NamedArgs, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { Sample, SampleArg, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

type Given = Readonly<Record<string, unknown>>;
type Args<T> = Given & { readonly self: readonly T[] };

/** How one overload is made of an operator. */
interface Form {
  /** `add.List`, without the prefix. */
  readonly name: string;
  /** Parameters after self. */
  readonly parameters: string;
  /** The operator that each element goes through. */
  readonly target: string;
  /** Its arguments for element i. */
  readonly each: (args: Given, i: number) => Given;
  /** Arguments for a sample, beside self. */
  readonly sample?: (g: SampleGenerator) => Readonly<Record<string, SampleArg>>;
  readonly inplace?: boolean;
}

const UNARY =
  "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc zero"
    .split(" ");

const at = (list: unknown, i: number): unknown => (list as readonly unknown[])[i];

/** A 0-dim tensor for each element of a list. */
const nth = (tensor: unknown, i: number): unknown => {
  const t = tensor as TensorValue | MetaInput;
  return "select" in t ? t.select(0, i) : { ...t, shape: [], stride: [] };
};

const SHAPES = [[2, 3], [4]] as const;
const numbers = (g: SampleGenerator): SampleArg =>
  SHAPES.map((s) => g.tensor([...s], { values: "uniform", low: 0.5, high: 2 })) as unknown as SampleArg;

/** What a form of two operands comes down to, and what its parameters are called. */
interface Operands {
  readonly tensor: string;
  readonly scalar: string;
  /** The list of the second operands, and the operator's name for the second one. */
  readonly key: string;
  /** The operator's name for a number. */
  readonly scalarKey?: string;
  readonly number?: string;
  readonly numbers?: string;
}

/** The forms of an operator of two operands: with a list, a number, a list of numbers, and perhaps one tensor for all. */
function binary(name: string, of: Operands, more = "", one: string | null = null): Form[] {
  const { tensor, scalar, key, scalarKey = key, numbers: many = key, number = key } = of;
  const extra = (args: Given): Given => more === "" ? {} : { alpha: args["alpha"] };
  const forms: Form[] = [
    {
      name: `${name}.List`,
      parameters: `, Tensor[] ${key}${more}`,
      target: tensor,
      each: (a, i) => ({ [key]: at(a[key], i), ...extra(a) }),
      ...(name === "add" || name === "pow" ? { sample: (g: SampleGenerator) => ({ [key]: numbers(g) }) } : {}),
    },
    {
      name: `${name}.Scalar`,
      parameters: `, Scalar ${number}`,
      target: scalar,
      each: (a) => ({ [scalarKey]: a[number] }),
    },
    {
      name: `${name}.ScalarList`,
      parameters: `, Scalar[] ${many}`,
      target: scalar,
      each: (a, i) => ({ [scalarKey]: at(a[many], i) }),
      ...(name === "mul" ? { sample: () => ({ [many]: [2, 3] }) } : {}),
    },
  ];
  if (one === null) return forms;
  return [...forms, {
    name: `${name}.Tensor`,
    parameters: `, Tensor other${one}`,
    target: tensor,
    each: (a) => ({ other: a["other"], ...(one === "" ? {} : { alpha: a["alpha"] }) }),
  }];
}

/** An operator whose overloads end in Tensor and Scalar. */
const arithmetic = (name: string): Operands => ({
  tensor: `aten.${name}.Tensor`,
  scalar: `aten.${name}.Scalar`,
  key: "other",
  number: "scalar",
  numbers: "scalars",
});

/** A bound from below or above. */
const bound = (end: "min" | "max"): Operands => ({
  tensor: `aten.${end === "min" ? "maximum" : "minimum"}.default`,
  scalar: `aten.clamp_${end}.default`,
  key: "other",
  number: "scalar",
  numbers: "scalars",
  scalarKey: end,
});

/** The forms of addcmul and addcdiv: one factor, a list of them, a tensor of them. */
function pointwise(name: string): Form[] {
  const both = (a: Given, i: number): Given => ({
    tensor1: at(a["tensor1"], i),
    tensor2: at(a["tensor2"], i),
  });
  const lists = ", Tensor[] tensor1, Tensor[] tensor2";
  const sample = (g: SampleGenerator): Readonly<Record<string, SampleArg>> => ({
    tensor1: numbers(g),
    tensor2: numbers(g),
  });
  return [
    {
      name: `${name}.Scalar`,
      parameters: `${lists}, Scalar value=1`,
      target: `aten.${name}.default`,
      each: (a, i) => ({ ...both(a, i), value: a["value"] }),
      sample: (g) => ({ ...sample(g), value: 2 }),
    },
    {
      name: `${name}.ScalarList`,
      parameters: `${lists}, Scalar[] scalars`,
      target: `aten.${name}.default`,
      each: (a, i) => ({ ...both(a, i), value: at(a["scalars"], i) }),
    },
  ];
}

const FORMS: readonly Form[] = [
  ...UNARY.map((name): Form => ({
    name,
    parameters: "",
    target: `aten.${name}.default`,
    each: () => ({}),
    ...(name === "sqrt" ? { sample: () => ({}) } : {}),
  })),
  ...binary("add", arithmetic("add"), ", *, Scalar alpha=1", ", *, Scalar alpha=1"),
  ...binary("sub", arithmetic("sub"), ", *, Scalar alpha=1"),
  ...binary("mul", arithmetic("mul"), "", ""),
  ...binary("div", arithmetic("div"), "", ""),
  ...binary("maximum", bound("min")),
  ...binary("minimum", bound("max")),
  ...binary("clamp_max", bound("max")),
  ...binary("clamp_min", bound("min")),
  ...binary("pow", { tensor: "aten.pow.Tensor_Tensor", scalar: "aten.pow.Tensor_Scalar", key: "exponent" }),
  ...pointwise("addcmul"),
  ...pointwise("addcdiv"),
  {
    name: "lerp.List",
    parameters: ", Tensor[] tensors1, Tensor[] weights",
    target: "aten.lerp.Tensor",
    each: (a, i) => ({ end: at(a["tensors1"], i), weight: at(a["weights"], i) }),
  },
  {
    name: "lerp.Scalar",
    parameters: ", Tensor[] tensors1, Scalar weight",
    target: "aten.lerp.Scalar",
    each: (a, i) => ({ end: at(a["tensors1"], i), weight: a["weight"] }),
    sample: (g) => ({ tensors1: numbers(g), weight: 0.25 }),
  },
  {
    name: "lerp.ScalarList",
    parameters: ", Tensor[] tensors1, Scalar[] weight",
    target: "aten.lerp.Scalar",
    each: (a, i) => ({ end: at(a["tensors1"], i), weight: at(a["weight"], i) }),
  },
  {
    name: "copy",
    parameters: ", Tensor[] src, bool non_blocking=False",
    target: "aten.copy.default",
    each: (a, i) => ({ src: at(a["src"], i) }),
  },
  {
    name: "clone",
    parameters: ", *, MemoryFormat? memory_format=None",
    target: "aten.clone.default",
    each: (a) => ({ memoryFormat: a["memoryFormat"] }),
    inplace: false,
  },
  {
    name: "norm.Scalar",
    parameters: ", Scalar ord=2, ScalarType? dtype=None",
    target: "aten.linalg_vector_norm.default",
    each: (a) => ({ ord: a["ord"], dtype: a["dtype"] }),
    inplace: false,
  },
  { name: "max", parameters: "", target: "aten.max.default", each: () => ({}), inplace: false },
];

/** All arguments of an operator, what is missing by its defaults. */
function complete<T>(target: string, given: Given): NamedArgs<T> {
  const { args } = getOp(target).schema;
  return Object.fromEntries(args.map((a) => [a.key, given[a.key] ?? a.defaultValue])) as NamedArgs<T>;
}

function calls(where: string, form: Form, args: Args<unknown>): NamedArgs<TensorValue>[] {
  const { self } = args;
  for (const [key, list] of Object.entries(args)) {
    if (key !== "self" && Array.isArray(list) && list.length !== self.length) {
      throw new TypeError(
        `${where}: self has ${self.length} tensors, ${key} ${list.length}: lists must have one length`,
      );
    }
  }
  if (self.length === 0) throw new TypeError(`${where}: needs at least one tensor`);
  const first = getOp(form.target).schema.args[0]?.key ?? "self";
  return self.map((x, i) => complete(form.target, { [first]: x, ...form.each(args, i) }));
}

function describe(where: string, form: Form, args: Args<unknown>): TensorSpec[] {
  const op = getOp(form.target);
  return calls(where, form, args).map((call) => {
    const spec = op.meta(call as NamedArgs<MetaInput>);
    return "shape" in spec ? spec : spec[0] as TensorSpec;
  });
}

const results = (form: Form, args: Args<unknown>, F: Functional): TensorValue[] =>
  calls(`_foreach_${form.name}`, form, args).map((call) => callOperator(F, getOp(form.target), call) as TensorValue);

for (const form of FORMS) {
  const [base, overload] = form.name.split(".");
  const where = `_foreach_${base}`, doc = `${base} of each tensor of a list`;
  const suffix = overload === undefined ? "" : `.${overload}`;
  const parameters = form.parameters.trimEnd();
  defineOp({
    schema:
      `aten::${where}${suffix}(Tensor[] self${parameters}) -> Tensor[]` as "aten::_foreach_abs(Tensor[] self) -> Tensor[]",
    doc: `${doc}.`,
    public: false,
    meta: (args) => describe(where, form, args).map(({ shape, dtype }) => ({ shape, dtype })),
    decompose: (args, F) => results(form, args, F).map((t) => t.contiguous()),
    samples: (g): readonly Sample[] =>
      g.dtype.isFloat && form.sample !== undefined
        ? [{ args: { self: numbers(g), ...form.sample(g) }, differentiate: false }]
        : [],
  });
  if (form.inplace === false) continue;
  defineOp({
    schema:
      `aten::${where}_${suffix}(Tensor(a!)[] self${parameters}) -> ()` as "aten::_foreach_abs_(Tensor(a!)[] self) -> ()",
    doc: `${doc}, in place.`,
    public: false,
    // A graph shows the writes.
    writesArguments: () => true,
    meta: (args) => {
      describe(where, form, args);
      return [];
    },
    decompose: (args, F) => {
      const { self } = args as unknown as Args<TensorValue>;
      results(form, args, F).forEach((t, i) => void self[i]?.copy_(t));
      return [];
    },
    samples: () => [],
  });
}

// What the lists above have no room for: the number first, a tensor of factors, products, sums of powers.
defineOp({
  schema: "aten::_foreach_pow.ScalarAndTensor(Scalar self, Tensor[] exponent) -> Tensor[]",
  doc: "A number to the power of each tensor of a list.",
  public: false,
  meta: ({ self, exponent }) =>
    exponent.map((e) =>
      getOp("aten.pow.Scalar").meta(complete("aten.pow.Scalar", { self, exponent: e })) as TensorSpec
    ),
  decompose: ({ self, exponent }, F) => exponent.map((e) => F.pow(self, e)),
  samples: (g) => g.dtype.isFloat ? [{ args: { self: 2, exponent: numbers(g) }, differentiate: false }] : [],
});

for (const name of ["addcmul", "addcdiv"] as const) {
  const target = `aten.${name}.default`;
  const describeAll = (
    self: readonly MetaInput[],
    one: readonly MetaInput[],
    two: readonly MetaInput[],
  ): TensorSpec[] =>
    self.map((x, i) =>
      getOp(target).meta(complete(target, { self: x, tensor1: one[i], tensor2: two[i] })) as TensorSpec
    );
  const compute = (
    { self, tensor1, tensor2, scalars }: Readonly<
      Record<"self" | "tensor1" | "tensor2", readonly TensorValue[]> & { scalars: TensorValue }
    >,
  ): TensorValue[] =>
    self.map((x, i) => {
      const [one, two] = [tensor1[i] ?? x, tensor2[i] ?? x];
      const factor = nth(scalars, i) as TensorValue;
      return x.add((name === "addcmul" ? one.mul(two) : one.div(two)).mul(factor)).to(x.dtype);
    });
  const check = (self: readonly unknown[], lists: readonly (readonly unknown[])[], scalars: MetaInput): void => {
    const fits = lists.every((l) => l.length === self.length) && scalars.shape.length === 1 &&
      Number(scalars.shape[0]) === self.length;
    if (!fits) {
      throw new TypeError(
        `_foreach_${name}: needs lists of one length and as many factors, got ${
          [self, ...lists].map((l) => l.length).join(", ")
        } and scalars [${scalars.shape.map((s: Size) => String(s)).join(", ")}]`,
      );
    }
  };
  for (const inplace of [false, true]) {
    defineOp({
      schema: (inplace
        ? `aten::_foreach_${name}_.Tensor(Tensor(a!)[] self, Tensor[] tensor1, Tensor[] tensor2, Tensor scalars) -> ()`
        : `aten::_foreach_${name}.Tensor(Tensor[] self, Tensor[] tensor1, Tensor[] tensor2, Tensor scalars) -> Tensor[]`) as "aten::_foreach_addcmul.Tensor(Tensor[] self, Tensor[] tensor1, Tensor[] tensor2, Tensor scalars) -> Tensor[]",
      doc: `${name} of each tensor of a list, with factors that a tensor holds${inplace ? "; in place" : ""}.`,
      public: false,
      ...(inplace
        ? { writesArguments: () => true }
        : {}),
      meta: ({ self, tensor1, tensor2, scalars }) => {
        check(self, [tensor1, tensor2], scalars);
        const specs = describeAll(self, tensor1, tensor2);
        return inplace ? [] : specs.map(({ shape, dtype }) => ({ shape, dtype }));
      },
      decompose: (args) => {
        const all = compute(args);
        if (!inplace) return all.map((t) => t.contiguous());
        all.forEach((t, i) => void args.self[i]?.copy_(t));
        return [];
      },
      samples: () => [],
    });
  }
}

defineOp({
  schema: "aten::_foreach_mm(Tensor[] self, Tensor[] mat2) -> Tensor[]",
  doc: "mm of the matrices of two lists.",
  public: false,
  meta: ({ self, mat2 }) => {
    if (self.length !== mat2.length) {
      throw new TypeError(`_foreach_mm: ${self.length} matrices meet ${mat2.length}`);
    }
    return self.map((x, i) =>
      getOp("aten.mm.default").meta(complete("aten.mm.default", { self: x, mat2: mat2[i] })) as TensorSpec
    );
  },
  decompose: ({ self, mat2 }) => self.map((x, i) => x.mm(mat2[i] ?? x)),
  samples: () => [],
});
