/**
 * Operators that programs seldom call and that come down to one or two others: fused forms, older names, forms with a tensor where others take a number.
 *
 * Each states the shape of its result by the operator that it comes down to. Those that read numbers out of tensors end a captured graph. Mirrors functions of
 * `native_functions.yaml` that ATen implements by composition.
 */
import { float16, float32, float64, getDefaultDtype, int16, int32, int64, int8, uint8 } from "../core/mod.ts";
import { broadcastShapes, contiguousStride, shapeToText, type Size, sizeEq, sizeProd } from "../symbolic/mod.ts";
import { axisOf } from "./combinators.ts";
import { specOf } from "./decomposed_calls.ts";
import { defineAlias, defineOp, getOp, type MetaInput, type NamedArgs, type TensorSpec } from "./define.ts";
import { numbersIn } from "./device_selection.ts";
import { formatStride } from "./layout.ts";
import { isScalar, scalarMeta } from "./scalars.ts";
import type { SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

const floats = (g: SampleGenerator, args: Readonly<Record<string, unknown>>) =>
  g.dtype.isFloat ? [{ args: args as never }] : [];

defineAlias(getOp("aten.logcumsumexp.default"), "_logcumsumexp", "default", false);
defineAlias(getOp("aten.channel_shuffle.default"), "native_channel_shuffle", "default", false);
defineAlias(getOp("aten.norm.Scalar"), "native_norm", "default", false);
defineAlias(getOp("aten.index_put_.default"), "_index_put_impl_", "default", false);

const positions = getOp("aten.nonzero_numpy.default");

defineOp({
  schema: "aten::where(Tensor condition) -> Tensor[]",
  doc: "The positions of elements that are not 0, one vector a dimension.",
  public: false,
  dataDependent: true,
  meta: ({ condition }) => positions.meta({ self: condition }),
  decompose: ({ condition }, F) => F.nonzeroNumpy(condition),
  samples: () => [],
});

// Casts by the names of C types.
for (
  const [name, dtype] of [
    ["Byte", uint8],
    ["Char", int8],
    ["Short", int16],
    ["Int", int32],
    ["Long", int64],
    ["Half", float16],
    ["Float", float32],
    ["Double", float64],
  ] as const
) {
  defineOp({
    schema:
      `aten::_cast_${name}(Tensor self, bool non_blocking=False) -> Tensor` as "aten::_cast_Byte(Tensor self, bool non_blocking=False) -> Tensor",
    doc: `self as ${dtype.name}.`,
    public: false,
    meta: ({ self }) => ({ shape: self.shape, dtype, stride: formatStride("to", self, null) }),
    decompose: ({ self }) => self.to(dtype),
    samples: (g: SampleGenerator) => [{ args: { self: g.tensor([2, 3]) } }],
  });
}

for (const type of ["Tensor", "Scalar"] as const) {
  defineOp({
    schema:
      `aten::_add_relu.${type}(Tensor self, ${type} other, *, Scalar alpha=1) -> Tensor` as "aten::_add_relu.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
    doc: "relu(self + alpha × other).",
    meta: ({ self, other, alpha }) => specOf(`aten.add.${type}`, { self, other, alpha }),
    decompose: ({ self, other, alpha }, F) => F.relu(F.add(self, other, { alpha })),
    samples: (g: SampleGenerator) =>
      floats(g, { self: g.tensor([2, 3]), other: type === "Tensor" ? g.tensor([3]) : 2 }),
  });
}

defineOp({
  schema:
    "aten::_addmm_activation(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1, bool use_gelu=False) -> Tensor",
  doc: "relu, or gelu, of addmm.",
  meta: (args) => specOf("aten.addmm.default", args),
  decompose: ({ self, mat1, mat2, beta, alpha, useGelu }, F) => {
    const sum = F.addmm(self, mat1, mat2, { beta, alpha });
    return useGelu ? F.gelu(sum) : F.relu(sum);
  },
  samples: (g) => floats(g, { self: g.tensor([3]), mat1: g.tensor([2, 4]), mat2: g.tensor([4, 3]), useGelu: true }),
});

for (const [name, one, two] of [["addmm", "mat1", "mat2"], ["baddbmm", "batch1", "batch2"]] as const) {
  defineOp({
    schema:
      `aten::${name}.dtype(Tensor self, Tensor ${one}, Tensor ${two}, ScalarType out_dtype, *, Scalar beta=1, Scalar alpha=1) -> Tensor` as "aten::addmm.dtype(Tensor self, Tensor mat1, Tensor mat2, ScalarType out_dtype, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    doc: `${name} with a result in another floating point type, computed in it.`,
    meta: (args) => {
      const { outDtype } = args;
      const { [one]: a, [two]: b } = args as unknown as Readonly<Record<string, MetaInput>>;
      if (a === undefined || b === undefined || (outDtype !== a.dtype && outDtype !== float32)) {
        throw new TypeError(`${name}: out_dtype must be float32 or ${a?.dtype.name}, got ${outDtype.name}`);
      }
      const cast = (t: MetaInput): MetaInput => ({ ...t, dtype: outDtype });
      return specOf(`aten.${name}.default`, { ...args, self: cast(args.self), [one]: cast(a), [two]: cast(b) });
    },
    decompose: (args, F) => {
      const { self, outDtype, beta, alpha } = args;
      const { [one]: a, [two]: b } = args as unknown as NamedArgs<TensorValue>;
      const call = F[name];
      return call(self.to(outDtype), (a as TensorValue).to(outDtype), (b as TensorValue).to(outDtype), { beta, alpha });
    },
    samples: () => [],
  });
}

defineOp({
  schema: "aten::remainder.Scalar_Tensor(Scalar self, Tensor other) -> Tensor",
  doc: "The remainder of a number divided by each element, rounded down.",
  public: false,
  meta: ({ self, other }) => getOp("aten.remainder.Tensor").meta({ self: scalarMeta(self), other }),
  decompose: ({ self, other }, F) => {
    const dtype = specOf("aten.remainder.Tensor", { self: scalarMeta(self), other }).dtype;
    return F.remainder(F.full([], self, { dtype, device: other.device }), other);
  },
  samples: () => [],
});

defineOp({
  schema: "aten::bucketize.Scalar(Scalar self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
  doc: "The bucket of a number, between sorted boundaries.",
  public: false,
  meta: ({ self, boundaries, outInt32, right }) =>
    getOp("aten.bucketize.Tensor").meta({ self: scalarMeta(self), boundaries, outInt32, right }),
  decompose: ({ self, boundaries, outInt32, right }, F) => {
    const dtype = isScalar(self) && Number.isInteger(Number(self)) ? int64 : getDefaultDtype();
    return F.bucketize(F.full([], self, { dtype, device: boundaries.device }), boundaries, { outInt32, right });
  },
  samples: () => [],
});

// Norms under older names.
defineOp({
  schema: "aten::frobenius_norm.dim(Tensor self, int[1] dim, bool keepdim=False) -> Tensor",
  doc: "The root of the sum of squares over dimensions; over all if dim is empty.",
  meta: ({ self, dim, keepdim }) =>
    specOf("aten.linalg_vector_norm.default", { self, dim: dim.length === 0 ? null : dim, keepdim }),
  decompose: ({ self, dim, keepdim }, F) => F.linalgVectorNorm(self, 2, dim.length === 0 ? null : dim, keepdim),
  samples: (g) => floats(g, { self: g.tensor([3, 4]), dim: [1] }),
});

for (const [overload, parameters] of [["", ""], [".dim", "int[2] dim, "]] as const) {
  const dims = (args: object): readonly Size[] => (args as { readonly dim?: readonly Size[] }).dim ?? [-2, -1];
  defineOp({
    schema:
      `aten::nuclear_norm${overload}(Tensor self, ${parameters}bool keepdim=False) -> Tensor` as "aten::nuclear_norm(Tensor self, bool keepdim=False) -> Tensor",
    doc: "The sum of singular values.",
    meta: ({ self, keepdim, ...rest }) => {
      if (overload === "" && self.shape.length !== 2) {
        throw new TypeError(`nuclear_norm: needs a matrix, got ${shapeToText(self.shape)}; name two dimensions`);
      }
      return specOf("aten.linalg_matrix_norm.str_ord", { self, ord: "nuc", dim: dims(rest), keepdim });
    },
    decompose: ({ self, keepdim, ...rest }, F) => F.linalgMatrixNorm(self, "nuc", dims(rest), keepdim),
    samples: () => [],
  });
}

defineOp({
  schema: "aten::norm.ScalarOpt_dtype(Tensor self, Scalar? p, *, ScalarType dtype) -> Tensor",
  doc: "The vector norm of all elements, computed in a dtype.",
  meta: ({ self, p, dtype }) => specOf("aten.linalg_vector_norm.default", { self, ord: p ?? 2, dtype }),
  decompose: ({ self, p, dtype }, F) => F.linalgVectorNorm(self, p ?? 2, null, false, { dtype }),
  samples: () => [],
});

defineOp({
  schema:
    "aten::linalg__powsum(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
  doc: "The sum of powers of absolute values: the vector norm without its root.",
  meta: (args) => specOf("aten.linalg_vector_norm.default", args),
  decompose: ({ self, ord, dim, keepdim, dtype }, F) => {
    const powers = (dtype === null ? self : self.to(dtype)).abs().pow(Number(ord));
    return dim === null ? F.sum(powers, null, keepdim) : F.sum(powers, dim, keepdim);
  },
  samples: (g) => floats(g, { self: g.tensor([3, 4]), ord: 3, dim: [1] }),
});

// Tolerances as tensors.
defineOp({
  schema: "aten::linalg_pinv.rcond_tensor(Tensor self, Tensor rcond, bool hermitian=False) -> Tensor",
  doc: "The pseudo-inverse; singular values up to rcond times the largest count as 0.",
  public: false,
  meta: ({ self, hermitian }) => specOf("aten.linalg_pinv.atol_rtol_tensor", { self, hermitian }),
  decompose: ({ self, rcond, hermitian }, F) =>
    F.linalgPinv(self, { atol: F.zerosLike(rcond), rtol: rcond, hermitian }),
  samples: () => [],
});

defineOp({
  schema: "aten::linalg_matrix_rank.tol_tensor(Tensor input, Tensor tol, bool hermitian=False) -> Tensor",
  doc: "The number of singular values above tol.",
  public: false,
  meta: ({ input, tol, hermitian }) => {
    const spec = specOf("aten.linalg_matrix_rank.atol_rtol_tensor", { input, hermitian });
    return { shape: broadcastShapes("linalg_matrix_rank", spec.shape, tol.shape), dtype: spec.dtype };
  },
  decompose: ({ input, tol, hermitian }, F) =>
    F.linalgMatrixRank(input, { atol: tol, rtol: F.zerosLike(tol), hermitian }),
  samples: () => [],
});

// Shapes as data.
defineOp({
  schema: "aten::_shape_as_tensor(Tensor self) -> Tensor",
  doc: "The sizes as an int64 vector.",
  meta: ({ self }) => ({ shape: [self.shape.length], dtype: int64 }),
  decompose: ({ self }, F) =>
    self.ndim === 0 ? F.zeros([0], { dtype: int64 }) : F.stack(self.shape.map((s) => F.full([], s, { dtype: int64 }))),
  samples: (g) => [{ args: { self: g.tensor([2, 3]) } }],
});

defineOp({
  schema: "aten::_dim_arange(Tensor like, int dim) -> Tensor",
  doc: "0, 1, … up to the size of a dimension.",
  meta: ({ like, dim }) => ({ shape: [like.shape[axisOf("_dim_arange", dim, like.shape.length)] ?? 1], dtype: int64 }),
  decompose: ({ like, dim }, F) =>
    F.arange(like.shape[axisOf("_dim_arange", dim, like.ndim)] ?? 1, { dtype: int64, device: like.device }),
  samples: (g) => [{ args: { like: g.tensor([2, 3]), dim: 1 } }],
});

defineOp({
  schema: "aten::_reshape_copy(Tensor self, SymInt[] size) -> Tensor",
  doc: "A copy in another shape.",
  meta: ({ self, size }) => ({ shape: specOf("aten.reshape.default", { self, shape: size }).shape, dtype: self.dtype }),
  decompose: ({ self, size }) => self.reshape(size).clone({ memoryFormat: "contiguous_format" }),
  samples: (g) => [{ args: { self: g.tensor([2, 3]), size: [3, -1] } }],
});

defineOp({
  schema: "aten::flatten_dense_tensors(Tensor[] tensors) -> Tensor",
  doc: "All elements of tensors in one vector.",
  meta: ({ tensors }) => {
    const [first] = tensors;
    if (first === undefined) throw new TypeError("flatten_dense_tensors: needs at least one tensor");
    return specOf("aten.cat.default", {
      tensors: tensors.map((t): MetaInput => ({ ...t, shape: [sizeProd(t.shape)], stride: [1] })),
    });
  },
  decompose: ({ tensors }, F) => F.cat(tensors.map((t) => t.reshape([-1]))),
  samples: (g) => [{ args: { tensors: [g.tensor([2, 3]), g.tensor([4])] } }],
});

defineOp({
  schema: "aten::_pad_enum(Tensor self, SymInt[] pad, int mode, float? value=None) -> Tensor",
  doc: "pad, its mode by number: 0 reflect, 1 replicate, 2 circular, 3 constant.",
  meta: ({ self, pad, mode, value }) => specOf("aten.pad.default", { self, pad, mode: padMode(mode), value }),
  decompose: ({ self, pad, mode, value }, F) => F.pad(self, pad, padMode(mode), value),
  samples: (g) => floats(g, { self: g.tensor([1, 2, 4]), pad: [1, 2], mode: 1 }),
});

function padMode(mode: Size): string {
  const name = ["reflect", "replicate", "circular", "constant"][Number(mode)];
  if (name === undefined) throw new RangeError(`_pad_enum: mode ${mode} is not 0, 1, 2 or 3`);
  return name;
}

defineOp({
  schema: "aten::vander(Tensor x, int? N=None, bool increasing=False) -> Tensor",
  doc: "Powers of a vector as columns, the highest first unless increasing.",
  meta: ({ x, N }) => {
    if (x.shape.length !== 1) throw new TypeError(`vander: needs a vector, got ${shapeToText(x.shape)}`);
    return {
      shape: [x.shape[0] ?? 1, N ?? x.shape[0] ?? 1],
      dtype: x.dtype.isFloat || x.dtype.isComplex ? x.dtype : int64,
    };
  },
  decompose: ({ x, N, increasing }) => {
    const n = Number(N ?? x.shape[0]);
    const base = x.dtype.isFloat ? x : x.to(int64);
    if (n === 0) return base.unsqueeze(1).narrow(1, 0, 0).contiguous();
    // Powers as products that go on: that of 0 is 1, whatever the element.
    const ones = base.newOnes([x.shape[0] ?? 1, 1]);
    const powers = n === 1 ? ones : catColumns(ones, base.unsqueeze(1).expand([x.shape[0] ?? 1, n - 1]).cumprod(1));
    return increasing ? powers : powers.flip([1]);
  },
  samples: (g) => floats(g, { x: g.tensor([4]), N: 3 }),
});

function catColumns(a: TensorValue, b: TensorValue): TensorValue {
  return a.expand([a.shape[0] ?? 1, 1]).constantPadNd([0, Number(b.shape[1]), 0, 0]).add(b.constantPadNd([1, 0, 0, 0]));
}

// Forms that read numbers.
for (const target of ["_ctc_loss", "ctc_loss"] as const) {
  const tail = target === "_ctc_loss"
    ? "bool zero_infinity=False) -> (Tensor, Tensor)"
    : "int reduction=1, bool zero_infinity=False) -> Tensor";
  const base = `aten.${target}.${target === "_ctc_loss" ? "default" : "IntList"}`;
  const lengths = (t: MetaInput): number => Number(sizeProd(t.shape));
  defineOp({
    schema:
      `aten::${target}.Tensor(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, int blank=0, ${tail}` as "aten::_ctc_loss.Tensor(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, int blank=0, bool zero_infinity=False) -> (Tensor, Tensor)",
    doc: "ctc_loss with lengths in tensors.",
    dataDependent: true,
    public: false,
    meta: (args) => {
      for (const [name, t] of [["input_lengths", args.inputLengths], ["target_lengths", args.targetLengths]] as const) {
        if (!t.dtype.isIntegral) throw new TypeError(`${target}: ${name} must be integers, got ${t.dtype.name}`);
      }
      const { logProbs, inputLengths, targetLengths } = args;
      const steps = Number(logProbs.shape[0] ?? 1);
      // Data are not known here: the longest input, no targets.
      const known = {
        ...args,
        inputLengths: new Array<number>(lengths(inputLengths)).fill(steps),
        targetLengths: new Array<number>(lengths(targetLengths)).fill(0),
      };
      return getOp(base).meta(known as unknown as NamedArgs<MetaInput>);
    },
    decompose: ({ logProbs, targets, inputLengths, targetLengths, blank, zeroInfinity, ...rest }, F) => {
      const ins = numbersIn(inputLengths), outs = numbersIn(targetLengths);
      const { reduction = 1 } = rest as { readonly reduction?: Size };
      return target === "_ctc_loss"
        ? F._ctcLoss(logProbs, targets, ins, outs, blank, zeroInfinity)
        : [F.ctcLoss(logProbs, targets, ins, outs, blank, reduction, zeroInfinity)];
    },
    samples: () => [],
  });
}

defineOp({
  schema:
    "aten::unique_dim_consecutive(Tensor self, int dim, bool return_inverse=False, bool return_counts=False) -> (Tensor, Tensor, Tensor)",
  doc: "Runs of equal slices along a dimension, each once.",
  dataDependent: true,
  meta: ({ self, dim, returnInverse, returnCounts }) =>
    getOp("aten.unique_consecutive.default").meta({ self, dim, returnInverse, returnCounts }),
  decompose: ({ self, dim, returnInverse, returnCounts }, F) =>
    F.uniqueConsecutive(self, returnInverse, returnCounts, dim),
  samples: () => [],
});

defineOp({
  schema: "aten::_unique(Tensor self, bool sorted=True, bool return_inverse=False) -> (Tensor, Tensor)",
  doc: "The distinct elements, and for each element which of them it is.",
  dataDependent: true,
  meta: ({ self, sorted, returnInverse }) => {
    const specs = getOp("aten._unique2.default").meta({ self, sorted, returnInverse, returnCounts: false });
    return (specs as readonly TensorSpec[]).slice(0, 2);
  },
  decompose: ({ self, sorted, returnInverse }, F) => F._unique2(self, sorted, returnInverse, false).slice(0, 2),
  samples: () => [],
});

// Fused parts of layers.
defineOp({
  schema: "aten::_masked_scale(Tensor self, Tensor mask, float scale) -> Tensor",
  doc: "self × mask × scale.",
  meta: ({ self, mask }) => ({ shape: broadcastShapes("_masked_scale", self.shape, mask.shape), dtype: self.dtype }),
  decompose: ({ self, mask, scale }) => self.mul(mask.to(self.dtype)).mul(scale),
  samples: (g) => floats(g, { self: g.tensor([3]), mask: g.tensor([3], { requiresGrad: false }), scale: 2 }),
});

/** Masks of attention: of type 0 they are [queries, keys], of type 1 [batch, keys]. */
function isKeyMask(
  self: { readonly shape: readonly Size[] },
  mask: { readonly shape: readonly Size[] },
  maskType: Size | null,
): boolean {
  return maskType !== null && Number(maskType) === 1 && mask.shape.length === 2 && self.shape.length === 4;
}

defineOp({
  schema: "aten::_masked_softmax(Tensor self, Tensor mask, int? dim=None, int? mask_type=None) -> Tensor",
  doc: "softmax over elements whose mask is false; 0 at the others, also where all are masked.",
  meta: ({ self, mask, maskType }) => {
    const [batch = 1, length = 1] = mask.shape;
    const shape = isKeyMask(self, mask, maskType) ? [batch, 1, 1, length] : mask.shape;
    broadcastShapes("_masked_softmax", self.shape, shape);
    return { shape: self.shape, dtype: self.dtype };
  },
  decompose: ({ self, mask, dim, maskType }, F) => {
    const m = isKeyMask(self, mask, maskType) ? mask.unsqueeze(1).unsqueeze(1) : mask;
    const hidden = m.to(F.zeros([], { dtype: int64 }).eq(0).dtype);
    return F._safeSoftmax(self.maskedFill(hidden, -Infinity), dim ?? -1);
  },
  samples: () => [],
});

defineOp({
  schema: "aten::conv_tbc(Tensor self, Tensor weight, Tensor bias, int pad=0) -> Tensor",
  doc: "Convolution over time of [time, batch, channels] with weights [width, in, out].",
  meta: ({ self, weight, bias, pad }) => {
    if (
      self.shape.length !== 3 || weight.shape.length !== 3 || bias.shape.length !== 1 ||
      !sizeEq(self.shape[2] ?? 1, weight.shape[1] ?? 1) || !sizeEq(bias.shape[0] ?? 1, weight.shape[2] ?? 1)
    ) {
      throw new TypeError(
        `conv_tbc: needs [time, batch, in], weights [width, in, out] and a bias [out], got ${
          shapeToText(self.shape)
        }, ${shapeToText(weight.shape)} and ${shapeToText(bias.shape)}`,
      );
    }
    const swap = (t: MetaInput, order: readonly number[]): MetaInput => {
      const shape = order.map((d) => t.shape[d] ?? 1);
      return { ...t, shape, stride: contiguousStride(shape) };
    };
    const { shape, dtype } = specOf("aten.conv1d.default", {
      input: swap(self, [1, 2, 0]),
      weight: swap(weight, [2, 1, 0]),
      bias,
      stride: [1],
      padding: [pad],
      dilation: [1],
    });
    return { shape: [shape[2] ?? 1, shape[0] ?? 1, shape[1] ?? 1], dtype };
  },
  decompose: ({ self, weight, bias, pad }, F) =>
    F.conv1d(self.permute([1, 2, 0]), weight.permute([2, 1, 0]), bias, 1, [pad]).permute([2, 0, 1]).contiguous(),
  samples: (g) => floats(g, { self: g.tensor([5, 2, 3]), weight: g.tensor([2, 3, 4]), bias: g.tensor([4]), pad: 1 }),
});

defineOp({
  schema:
    "aten::_trilinear(Tensor i1, Tensor i2, Tensor i3, int[] expand1, int[] expand2, int[] expand3, int[] sumdim, int unroll_dim=1) -> Tensor",
  doc: "The product of three tensors, each with new dimensions at the places named, summed over dimensions.",
  meta: ({ i1, i2, i3, expand1, expand2, expand3, sumdim }) => {
    const grown = (t: MetaInput, at: readonly Size[]): Size[] => {
      const rank = t.shape.length + at.length;
      const places = new Set(at.map((d) => axisOf("_trilinear", d, rank)));
      let next = 0;
      return Array.from({ length: rank }, (_, d) => places.has(d) ? 1 : t.shape[next++] ?? 1);
    };
    const shape = broadcastShapes("_trilinear", grown(i1, expand1), grown(i2, expand2), grown(i3, expand3));
    const sums = new Set(sumdim.map((d) => axisOf("_trilinear", d, shape.length)));
    return { shape: shape.filter((_, d) => !sums.has(d)), dtype: i1.dtype };
  },
  decompose: ({ i1, i2, i3, expand1, expand2, expand3, sumdim }) => {
    const grown = (t: TensorValue, at: readonly Size[]): TensorValue =>
      [...at].map(Number).sort((a, b) => a - b).reduce((x, d) => x.unsqueeze(d), t);
    const product = grown(i1, expand1).mul(grown(i2, expand2)).mul(grown(i3, expand3));
    return sumdim.length === 0 ? product : product.sum(sumdim);
  },
  samples: (g) =>
    floats(g, {
      i1: g.tensor([2, 3]),
      i2: g.tensor([4, 3, 5]),
      i3: g.tensor([2, 5]),
      expand1: [1, 3],
      expand2: [0],
      expand3: [1, 2],
      sumdim: [2, 3],
    }),
});

defineOp({
  schema: "aten::_linalg_check_errors(Tensor info, str api_name, *, bool is_matrix) -> ()",
  doc: "Nothing: the operator that gave info has raised already.",
  public: false,
  meta: () => [],
  decompose: () => [],
  samples: () => [],
});
