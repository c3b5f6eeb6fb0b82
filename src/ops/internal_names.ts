/**
 * Operators under names that only PyTorch itself uses: helpers of kernels, functional forms of what writes, copies of views that are none here.
 *
 * Each is the public operator with its arguments in place, so there is nothing to differentiate or lower here. Mirrors the internal entries of
 * `native_functions.yaml` that decomposed and functionalised programs hold.
 */
import { bool, type DType, float32 } from "../core/mod.ts";
import { sameShape, shapeToText, type Size, sizeProd } from "../symbolic/mod.ts";
import { axisOf } from "./combinators.ts";
import { specOf } from "./decomposed_calls.ts";
import { defineAlias, defineInplace, defineOp, getOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { TensorValue } from "./value.ts";

/** Name and overload, and the target that it is. */
const SAME = [
  ["_grid_sampler_2d_cpu_fallback", "default", "aten.grid_sampler_2d.default"],
  ["convolution_overrideable", "default", "aten.convolution.default"],
  ["_linalg_eigvals", "default", "aten.linalg_eigvals.default"],
  ["lift", "default", "aten.lift_fresh.default"],
] as const;

for (const [name, overload, target] of SAME) {
  defineAlias(getOp(target), name, overload, false);
}

for (const type of ["Tensor", "Scalar"] as const) {
  defineInplace(
    getOp(`aten._add_relu.${type}`),
    `aten::_add_relu_.${type}(Tensor(a!) self, ${type} other, Scalar alpha=1) -> Tensor(a!)`,
  );
}

const asIs = ({ shape, dtype }: MetaInput): TensorSpec => ({ shape, dtype });

/** One tensor in, a copy of it or of what is made of it out. */
const COPIES: readonly (readonly [schema: string, doc: string, make: (t: TensorValue) => TensorValue])[] = [
  ["_conj_copy(Tensor self) -> Tensor", "The complex conjugate.", (t) => t.conj().clone()],
  ["_neg_view_copy(Tensor self) -> Tensor", "The negative.", (t) => t.neg()],
  ["_neg_view(Tensor self) -> Tensor", "The negative; computed, not a view.", (t) => t.neg()],
  ["_lazy_clone(Tensor self) -> Tensor", "A copy.", (t) => t.clone()],
  ["_fw_primal(Tensor self, int level) -> Tensor", "self, without tangents.", (t) => t.clone()],
  ["_fw_primal_copy(Tensor self, int level) -> Tensor", "self, without tangents.", (t) => t.clone()],
];

for (const [schema, doc, make] of COPIES) {
  defineOp({
    schema: `aten::${schema}` as "aten::_conj_copy(Tensor self) -> Tensor",
    doc,
    public: false,
    meta: ({ self }) => asIs(self),
    decompose: ({ self }) => make(self).contiguous(),
    samples: () => [],
  });
}

defineOp({
  schema: "aten::to_dense(Tensor self, ScalarType? dtype=None, *, bool? masked_grad=None) -> Tensor",
  doc: "self, which is dense already.",
  public: false,
  meta: ({ self, dtype }) => ({ shape: self.shape, dtype: dtype ?? self.dtype }),
  decompose: ({ self, dtype }) => self.to(dtype ?? self.dtype).contiguous(),
  samples: () => [],
});

for (const dims of [false, true]) {
  defineOp({
    schema: `aten::_aminmax${
      dims ? ".dim(Tensor self, int dim, bool keepdim=False)" : "(Tensor self)"
    } -> (Tensor, Tensor)` as "aten::_aminmax(Tensor self) -> (Tensor, Tensor)",
    doc: "The smallest and the largest element.",
    public: false,
    meta: (args) => {
      const { dim = null, keepdim = false } = args as { readonly dim?: Size; readonly keepdim?: boolean };
      return getOp("aten.aminmax.default").meta({ self: args.self, dim, keepdim });
    },
    decompose: (args, F) => {
      const { dim = null, keepdim = false } = args as { readonly dim?: Size; readonly keepdim?: boolean };
      return F.aminmax(args.self, { dim, keepdim });
    },
    samples: () => [],
  });
}

defineOp({
  schema: "aten::_cholesky_solve_helper(Tensor self, Tensor A, bool upper) -> Tensor",
  doc: "cholesky_solve.",
  public: false,
  meta: ({ self, A, upper }) => getOp("aten.cholesky_solve.default").meta({ self, input2: A, upper }),
  decompose: ({ self, A, upper }, F) => F.choleskySolve(self, A, upper),
  samples: () => [],
});

defineOp({
  schema:
    "aten::_index_put_impl(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False, bool unsafe=False) -> Tensor",
  doc: "index_put.",
  public: false,
  checksItself: true,
  meta: ({ self, indices, values, accumulate }) =>
    getOp("aten.index_put.default").meta({ self, indices, values, accumulate }),
  decompose: ({ self, indices, values, accumulate }) => self.indexPut(indices, values, accumulate),
  samples: () => [],
});

for (const copy of ["", "_copy"]) {
  defineOp({
    schema:
      `aten::_reshape_alias${copy}(Tensor self, SymInt[] size, SymInt[] stride) -> Tensor` as "aten::_reshape_alias(Tensor self, SymInt[] size, SymInt[] stride) -> Tensor",
    doc: "self in another shape; the strides are what reshape finds.",
    public: false,
    meta: ({ self, size, stride }) => {
      if (size.length !== stride.length) {
        throw new TypeError(
          `_reshape_alias: size ${shapeToText(size)} and stride ${shapeToText(stride)} differ in length`,
        );
      }
      return { shape: specOf("aten.reshape.default", { self, shape: size }).shape, dtype: self.dtype };
    },
    decompose: ({ self, size }) => self.reshape(size).contiguous(),
    samples: () => [],
  });
}

for (const name of ["resize", "resize_as"] as const) {
  const sizeIn = (args: object): readonly Size[] => {
    const { size, theTemplate } = args as { size?: readonly Size[]; theTemplate?: { readonly shape: readonly Size[] } };
    return size ?? theTemplate?.shape ?? [];
  };
  defineOp({
    schema: `aten::${name}(Tensor self, ${
      name === "resize" ? "SymInt[] size" : "Tensor the_template"
    }, *, MemoryFormat? memory_format=None) -> Tensor` as "aten::resize(Tensor self, SymInt[] size, *, MemoryFormat? memory_format=None) -> Tensor",
    doc: "The elements of self in another size, from its beginning; zeros beyond them.",
    public: false,
    meta: (args) => {
      const { shape, dtype } = getOp("aten.resize_.default").meta({
        self: args.self,
        size: sizeIn(args),
        memoryFormat: null,
      }) as TensorSpec;
      return { shape, dtype };
    },
    decompose: (args, F) => {
      const size = sizeIn(args), count = Number(sizeProd(size)), own = Number(sizeProd(args.self.shape));
      const flat = args.self.reshape([-1]);
      const enough = count <= own ? flat.narrow(0, 0, count) : F.cat([flat, flat.newZeros([count - own])]);
      return enough.reshape(size).contiguous();
    },
    samples: () => [],
  });
}

/** What a linear gate halves along `dim`. */
function halves(t: TensorValue, dim: Size): readonly [TensorValue, TensorValue] {
  const axis = axisOf("glu_jvp", dim, t.ndim), n = Number(t.shape[axis]) / 2;
  return [t.narrow(axis, 0, n), t.narrow(axis, n, n)];
}

defineOp({
  schema: "aten::glu_jvp(Tensor glu, Tensor x, Tensor dx, int dim) -> Tensor",
  doc: "The derivative of glu in the direction dx.",
  public: false,
  meta: ({ glu }) => asIs(glu),
  decompose: ({ glu, x, dx, dim }) => {
    const [, b] = halves(x, dim), [da, db] = halves(dx, dim);
    const s = b.sigmoid();
    return da.mul(s).add(db.sub(s.mul(db)).mul(glu));
  },
  samples: () => [],
});

defineOp({
  schema: "aten::infinitely_differentiable_gelu_backward(Tensor grad, Tensor self) -> Tensor",
  doc: "The gradient of gelu.",
  public: false,
  meta: ({ grad, self }) => {
    if (!sameShape(grad.shape, self.shape)) {
      throw new TypeError(
        `infinitely_differentiable_gelu_backward: grad ${shapeToText(grad.shape)} and self ${
          shapeToText(self.shape)
        } must have one shape`,
      );
    }
    return asIs(self);
  },
  decompose: ({ grad, self }, F) => F.geluBackward(grad, self),
  samples: () => [],
});

defineOp({
  schema:
    "aten::multilabel_margin_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction, Tensor is_target) -> Tensor",
  doc: "The gradient of multilabel_margin_loss.",
  public: false,
  meta: ({ self, target, reduction }) => {
    getOp("aten.multilabel_margin_loss.default").meta({ self, target, reduction });
    return asIs(self);
  },
  decompose: ({ gradOutput, self, target, reduction, isTarget }, F) => {
    const x = self.ndim === 2 ? self : self.reshape([1, -1]);
    const named = self.ndim === 2 ? target : target.reshape([1, -1]);
    const valid = named.lt(0).cumsum(1).eq(0), at = F.where(valid, named, 0);
    const others = isTarget.reshape(x.shape).eq(0).unsqueeze(1);
    // [rows, targets, classes]: pairs whose margin is not met.
    const open = x.unsqueeze(1).sub(x.gather(1, at).unsqueeze(2)).add(1).gt(0).logicalAnd(others)
      .logicalAnd(valid.unsqueeze(2)).to(x.dtype);
    const counts = open.sum([1]).sub(F.zerosLike(x).scatterAdd(1, at, open.sum([2])));
    const rows = Number(reduction) === 0 ? gradOutput.reshape([-1, 1]) : gradOutput;
    const share = Number(x.shape[1]) * (Number(reduction) === 1 ? Number(x.shape[0]) : 1);
    return counts.mul(rows).div(share).reshape(self.shape);
  },
  samples: () => [],
});

/** `_assert_async` and its kin read a number: as `_assert_scalar`, they are decided before anything is recorded. */
for (const [name, more] of [["_assert_async", ""], ["_assert_async.msg", ", str assert_msg"]] as const) {
  defineOp({
    schema: `aten::${name}(Tensor self${more}) -> ()` as "aten::_assert_async.msg(Tensor self, str assert_msg) -> ()",
    doc: "Raises if a tensor of one element is 0. Reads data, as item does.",
    public: false,
    checksItself: true,
    meta: () => [],
    decompose: ({ self, ...rest }) => {
      if (Number(self.item()) === 0) {
        throw new RangeError(
          `_assert_async: ${(rest as { readonly assertMsg?: string }).assertMsg ?? "it does not hold"}`,
        );
      }
      return [];
    },
    samples: () => [],
  });
}

/** Powers summed, each list's element for itself. */
defineOp({
  schema: "aten::_foreach_powsum.Scalar(Tensor[] self, Scalar ord=2, ScalarType? dtype=None) -> Tensor[]",
  doc: "The sums of the powers of the absolute values of each tensor of a list.",
  public: false,
  meta: ({ self, dtype }) => self.map((t) => ({ shape: [], dtype: dtype ?? floatOf(t.dtype) })),
  decompose: ({ self, ord, dtype }) => self.map((t) => t.to(dtype ?? floatOf(t.dtype)).abs().pow(ord).sum()),
  samples: () => [],
});

function floatOf(dtype: DType): DType {
  return dtype.isIntegral || dtype === bool ? float32 : dtype;
}
