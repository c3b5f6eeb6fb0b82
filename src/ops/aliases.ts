/**
 * Other names of operators: NumPy's (`absolute`, `arccos`, `clip`), those of `torch.special`, and ATen's internal ones.
 *
 * An alias is its operator under another schema name: the same meta, body and gradients. Exported programs keep the name that the program used. Mirrors
 * the aliases of `native_functions.yaml`.
 */
import { InternalError } from "../core/mod.ts";
import { elementwiseStride } from "./layout.ts";
import { defineAlias, defineOp, findOp, type Operator } from "./define.ts";

function base(target: string): Operator {
  const op = findOp(target);
  if (op === null) throw new InternalError(`aliases: there is no operator ${target} in the table`);
  return op;
}

/** Name, and the operator that it names. All overloads that the operator has under `name` follow, and the in-place forms. */
const SAME_OVERLOADS: readonly (readonly [string, string, readonly string[]])[] = [
  ["absolute", "abs", ["default"]],
  ["arccos", "acos", ["default"]],
  ["arccosh", "acosh", ["default"]],
  ["arcsin", "asin", ["default"]],
  ["arcsinh", "asinh", ["default"]],
  ["arctan", "atan", ["default"]],
  ["arctanh", "atanh", ["default"]],
  ["arctan2", "atan2", ["default"]],
  ["clip", "clamp", ["default", "Tensor"]],
  ["divide", "div", ["Tensor_mode", "Scalar_mode"]],
  ["negative", "neg", ["default"]],
  ["subtract", "sub", ["Tensor", "Scalar"]],
];

for (const [name, of, overloads] of SAME_OVERLOADS) {
  for (const overload of overloads) {
    defineAlias(base(`aten.${of}.${overload}`), name);
    const inplace = findOp(`aten.${of}_.${overload}`);
    if (inplace !== null) defineAlias(inplace, `${name}_`);
  }
}

/** Name and overload, and the target that it names. */
const ALIASES: readonly (readonly [name: string, overload: string, target: string])[] = [
  ["ger", "default", "aten.outer.default"],
  ["row_stack", "default", "aten.vstack.default"],
  ["_stack", "default", "aten.stack.default"],
  ["linalg_matmul", "default", "aten.matmul.default"],
  ["_conj", "default", "aten.conj.default"],
  ["_conj_physical", "default", "aten.conj_physical.default"],
  ["_unsafe_index", "Tensor", "aten.index.Tensor"],
  ["_unsafe_index_put", "default", "aten.index_put.default"],
  ["special_digamma", "default", "aten.digamma.default"],
  ["special_psi", "default", "aten.digamma.default"],
  ["special_erf", "default", "aten.erf.default"],
  ["special_erfc", "default", "aten.erfc.default"],
  ["special_erfinv", "default", "aten.erfinv.default"],
  ["special_exp2", "default", "aten.exp2.default"],
  ["special_expit", "default", "aten.sigmoid.default"],
  ["special_expm1", "default", "aten.expm1.default"],
  ["special_gammainc", "default", "aten.igamma.default"],
  ["special_gammaincc", "default", "aten.igammac.default"],
  ["special_gammaln", "default", "aten.lgamma.default"],
  ["special_log1p", "default", "aten.log1p.default"],
  ["special_logit", "default", "aten.logit.default"],
  ["special_logsumexp", "default", "aten.logsumexp.default"],
  ["special_log_softmax", "default", "aten.log_softmax.int"],
  ["special_softmax", "default", "aten.softmax.int"],
  ["special_sinc", "default", "aten.sinc.default"],
  ["special_xlogy", "default", "aten.xlogy.Tensor"],
  ["special_xlogy", "other_scalar", "aten.xlogy.Scalar_Other"],
  ["special_xlogy", "self_scalar", "aten.xlogy.Scalar_Self"],
];

for (const [name, overload, target] of ALIASES) defineAlias(base(target), name, overload);

defineOp({
  schema: "aten::special_round(Tensor self, *, int decimals=0) -> Tensor",
  doc: "The nearest number with so many decimals, ties to even.",
  meta: ({ self }) => ({ shape: self.shape, dtype: self.dtype, stride: elementwiseStride(self.shape, [self]) }),
  decompose: ({ self, decimals }, F) => F.round(self, { decimals }),
  samples: (g) => g.dtype.isFloat ? [{ args: { self: g.tensor([5]), decimals: 1 }, differentiate: false }] : [],
});
