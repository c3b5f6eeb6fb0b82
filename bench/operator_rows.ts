/**
 * The rows of the table of operators: elementwise operators, reductions and scans, each on matrices of float32, or of int32 where it is one of whole numbers.
 *
 * Aliases (`special_expit`, `greater`), mutating forms and forms with a number for an operand are not repeated where the loop is the same.
 */
import { bfloat16, bool, float16, float32, float64, int64, type Tensor } from "../mod.ts";
import { getOp } from "../src/ops/mod.ts";
import { dispatch } from "../src/tensor/mod.ts";

const UNARY = [
  "abs",
  "acos",
  "acosh",
  "asin",
  "asinh",
  "atan",
  "atanh",
  "ceil",
  "cos",
  "cosh",
  "deg2rad",
  "digamma",
  "elu",
  "celu",
  "erf",
  "erfc",
  "erfinv",
  "exp",
  "exp2",
  "expm1",
  "floor",
  "frac",
  "gelu",
  "hardsigmoid",
  "hardswish",
  "hardtanh",
  "i0",
  "leaky_relu",
  "lgamma",
  "log",
  "log10",
  "log1p",
  "log2",
  "log_sigmoid",
  "logit",
  "mish",
  "nan_to_num",
  "neg",
  "reciprocal",
  "relu",
  "relu6",
  "round",
  "rsqrt",
  "selu",
  "sigmoid",
  "sign",
  "silu",
  "sin",
  "sinc",
  "sinh",
  "softplus",
  "softshrink",
  "hardshrink",
  "sqrt",
  "square",
  "tan",
  "tanh",
  "trunc",
  "isnan",
  "isfinite",
  "signbit",
  "logical_not",
  "angle",
  "sgn",
  "rad2deg",
  "isinf",
  "isposinf",
  "special_entr",
  "special_erfcx",
  "special_i0e",
  "special_i1",
  "special_i1e",
  "special_ndtr",
  "special_ndtri",
  "special_log_ndtr",
  "special_bessel_j0",
  "special_bessel_j1",
  "special_bessel_y0",
  "special_bessel_y1",
  "special_modified_bessel_k0",
  "special_modified_bessel_k1",
  "special_scaled_modified_bessel_k0",
  "special_scaled_modified_bessel_k1",
  "special_spherical_bessel_j0",
  "tril",
  "triu",
] as const;
const BINARY = [
  "add.Tensor",
  "sub.Tensor",
  "mul.Tensor",
  "div.Tensor",
  "maximum",
  "minimum",
  "fmax",
  "fmin",
  "pow.Tensor_Tensor",
  "atan2",
  "fmod.Tensor",
  "remainder.Tensor",
  "floor_divide",
  "hypot",
  "copysign.Tensor",
  "logaddexp",
  "xlogy.Tensor",
  "nextafter",
  "eq.Tensor",
  "lt.Tensor",
  "logical_and",
  "ne.Tensor",
  "ge.Tensor",
  "isclose",
  "logical_or",
  "logical_xor",
  "logaddexp2",
  "heaviside",
  "special_xlog1py",
  "clamp_min.Tensor",
  "rsub.Tensor",
  "tanh_backward",
  "sigmoid_backward",
  "silu_backward",
  "gelu_backward",
  "hardswish_backward",
] as const;
/** Of whole numbers, one operand and two. */
const WHOLE_UNARY = ["abs", "neg", "bitwise_not", "sign", "square"] as const;
const WHOLE_BINARY = [
  "add.Tensor",
  "mul.Tensor",
  "bitwise_and.Tensor",
  "bitwise_or.Tensor",
  "bitwise_xor.Tensor",
  "bitwise_left_shift.Tensor",
  "bitwise_right_shift.Tensor",
  "maximum",
  "floor_divide",
  "remainder.Tensor",
  "fmod.Tensor",
  "gcd",
  "lt.Tensor",
  "eq.Tensor",
] as const;

/** One row: what is run on two matrices, and the bytes that it has to move. */
export interface Row {
  readonly name: string;
  readonly run: (x: Tensor, y: Tensor) => Tensor;
  /** Operands of 4 bytes read whole. */
  readonly reads: 1 | 2;
  /** The matrices are of int32. */
  readonly isWhole?: boolean;
}

function target(name: string): ReturnType<typeof getOp> {
  return getOp(`aten.${name.includes(".") ? name : `${name}.default`}`);
}

function both(name: string, ...given: readonly unknown[]): readonly [Tensor, Tensor] {
  const op = target(name);
  const args = Object.fromEntries(given.map((value, i) => [op.schema.args[i]?.key ?? "", value]));
  const result: unknown = dispatch(op, args);
  return (Array.isArray(result) ? result : [result, result]) as unknown as readonly [Tensor, Tensor];
}

function call(name: string, ...given: readonly unknown[]): Tensor {
  return both(name, ...given)[0];
}

/** A reduction or scan with its arguments after `self`. */
function axis(name: string, label: string, ...rest: readonly unknown[]): Row {
  return { name: `${name.split(".")[0]} ${label}`, reads: 1, run: (x) => call(name, x, ...rest) };
}

export const ROWS: readonly Row[] = [
  ...UNARY.map((name): Row => ({ name, reads: 1, run: (x) => call(name, x) })),
  { name: "clamp", reads: 1, run: (x) => call("clamp", x, 0.25, 0.75) },
  { name: "pow 3", reads: 1, run: (x) => call("pow.Tensor_Scalar", x, 3) },
  { name: "pow 2.5", reads: 1, run: (x) => call("pow.Tensor_Scalar", x, 2.5) },
  { name: "add number", reads: 1, run: (x) => x.add(1.5) },
  { name: "gelu tanh", reads: 1, run: (x) => call("gelu", x, "tanh") },
  { name: "to float16", reads: 1, run: (x) => x.to(float16) },
  { name: "to int64", reads: 1, run: (x) => x.to(int64) },
  ...BINARY.map((name): Row => ({ name: name.split(".")[0] ?? name, reads: 2, run: (x, y) => call(name, x, y) })),
  ...WHOLE_UNARY.map((name): Row => ({ name: `${name}, whole`, reads: 1, isWhole: true, run: (x) => call(name, x) })),
  ...WHOLE_BINARY.map((name): Row => ({
    name: `${name.split(".")[0]}, whole`,
    reads: 2,
    isWhole: true,
    run: (x, y) => call(name, x, y),
  })),
  ...["sum.dim_IntList", "amax"].flatMap((name) =>
    [1, 0].map((dim): Row => ({
      name: `${name.split(".")[0]}, whole, of ${dim === 1 ? "rows" : "columns"}`,
      reads: 1,
      isWhole: true,
      run: (x) => call(name, x, [dim]),
    }))
  ),
  { name: "cumsum, whole, of rows", reads: 1, isWhole: true, run: (x) => call("cumsum", x, 1) },
  { name: "to float32, whole", reads: 1, isWhole: true, run: (x) => x.to(float32) },
  { name: "to bool", reads: 1, run: (x) => x.to(bool) },
  { name: "to bfloat16", reads: 1, run: (x) => x.to(bfloat16) },
  { name: "to float64", reads: 1, run: (x) => x.to(float64) },
  { name: "pow 1.7", reads: 1, run: (x) => call("pow.Tensor_Scalar", x, 1.7) },
  { name: "2 to the pow", reads: 1, run: (x) => call("pow.Scalar", 2, x) },
  { name: "polygamma 1", reads: 1, run: (x) => call("polygamma", 1, x) },
  { name: "round to decimals", reads: 1, run: (x) => call("round.decimals", x, 2) },
  { name: "threshold", reads: 1, run: (x) => call("threshold", x, 0.5, 0) },
  { name: "div, rounded down", reads: 2, run: (x, y) => call("div.Tensor_mode", x, y, "floor") },
  { name: "div, truncated", reads: 2, run: (x, y) => call("div.Tensor_mode", x, y, "trunc") },
  { name: "addcmul", reads: 2, run: (x, y) => call("addcmul", x, y, y) },
  { name: "addcdiv", reads: 2, run: (x, y) => call("addcdiv", x, y, y) },
  { name: "lerp by a tensor", reads: 2, run: (x, y) => call("lerp.Tensor", x, y, x) },
  ...["mse_loss", "smooth_l1_loss", "huber_loss"].map((name): Row => ({
    name,
    reads: 2,
    run: (x, y) => call(name, x, y, 0),
  })),
  { name: "binary_cross_entropy", reads: 2, run: (x, y) => call("binary_cross_entropy", x, y, null, 0) },
  { name: "masked_fill", reads: 2, run: (x, y) => call("masked_fill.Scalar", x, y.gt(0.5), 0) },
  { name: "lerp", reads: 2, run: (x, y) => call("lerp.Scalar", x, y, 0.3) },
  { name: "where", reads: 2, run: (x, y) => call("where.self", x.gt(0.5), x, y) },
  { name: "transpose copy", reads: 1, run: (x) => x.t().clone() },
  ...[
    "sum",
    "mean",
    "amax",
    "amin",
    "prod.dim_int",
    "logsumexp",
    "var.correction",
    "argmax",
    "linalg_vector_norm",
    "any.dim",
    "count_nonzero.dim_IntList",
  ]
    .flatMap((name): Row[] => {
      const single = ["prod.dim_int", "argmax", "any.dim"].includes(name);
      const full = name === "sum" || name === "mean"
        ? `${name}.dim_IntList`.replace("mean.dim_IntList", "mean.dim")
        : name;
      const at = (dim: number): unknown[] => {
        if (full === "linalg_vector_norm") return [2, [dim]];
        return [single ? dim : [dim]];
      };
      return [axis(full, "of rows", ...at(1)), axis(full, "of columns", ...at(0))];
    }),
  axis("sum", "of all"),
  axis("mean", "of all"),
  axis("max", "of all"),
  axis("min", "of all"),
  axis("argmax", "of all"),
  axis("prod", "of all"),
  axis("std", "of all"),
  axis("norm.Scalar", "of all"),
  axis("any", "of all"),
  ...([["all.dim", 1], ["max.dim", 1], ["min.dim", 1], ["argmin", 1], ["nansum", 0], ["nanmean", 0], [
    "std.correction",
    0,
  ]] as const)
    .flatMap(([name, single]) => {
      const at = (dim: number): number | number[] => single === 1 ? dim : [dim];
      return [axis(name, "of rows", at(1)), axis(name, "of columns", at(0))];
    }),
  { name: "max, positions of rows", reads: 1, run: (x) => both("max.dim", x, 1)[1] },
  { name: "max, positions of columns", reads: 1, run: (x) => both("max.dim", x, 0)[1] },
  axis("linalg_vector_norm", "1 of rows", 1, [1]),
  axis("linalg_vector_norm", "3 of rows", 3, [1]),
  axis("linalg_vector_norm", "infinite of columns", Infinity, [0]),
  axis("all", "of all"),
  axis("nansum", "of all"),
  axis("logsumexp", "of all", [0, 1]),
  axis("count_nonzero", "of all"),
  { name: "mse_loss, mean", reads: 2, run: (x, y) => call("mse_loss", x, y) },
  { name: "l1_loss, mean", reads: 2, run: (x, y) => call("l1_loss", x, y) },
  axis("log_softmax.int", "of columns", 0),
  { name: "layer_norm of rows", reads: 1, run: (x) => call("layer_norm", x, [x.shape[1]]) },
  axis("cumprod", "of columns", 0),
  axis("cummin", "of rows", 1),
  axis("cummax", "of columns", 0),
  axis("logcumsumexp", "of columns", 0),
  axis("softmax.int", "of rows", 1),
  axis("softmax.int", "of columns", 0),
  axis("log_softmax.int", "of rows", 1),
  axis("cumsum", "of rows", 1),
  axis("cumsum", "of columns", 0),
  axis("cumprod", "of rows", 1),
  axis("logcumsumexp", "of rows", 1),
  axis("cummax", "of rows", 1),
  // Both results: the positions are made from the numbers.
  { name: "cummax, positions of rows", reads: 1, run: (x) => both("cummax", x, 1)[1] },
];
