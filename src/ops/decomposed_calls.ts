/**
 * Operators into which PyTorch's own decompositions and kernels split others, as decomposed exported programs call them.
 *
 * Each is written with the operator that it is a part of (`_cdist_forward` is cdist). What only a backward pass of PyTorch would read (saved buffers) is empty, as
 * in ATen's inference kernels. Mirrors the internal functions of `native_functions.yaml`.
 */
import { float32, int32, int64 } from "../core/mod.ts";
import { broadcastShapes, shapeToText, type Size, sizeEq, sizeMax, sizeSub } from "../symbolic/mod.ts";
import { defineAlias, defineOp, getOp, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import { regularMatrices, wide } from "./linalg.ts";
import { matrixShape, squareShape } from "./linalg_checks.ts";
import { elementwiseStride } from "./layout.ts";
import type { TensorValue } from "./value.ts";

/** The one result that the meta of another operator describes; arguments that are missing take their defaults. */
export function specOf(target: string, args: Readonly<Record<string, unknown>>): TensorSpec {
  const op = getOp(target);
  const complete = Object.fromEntries(op.schema.args.map((a) => [a.key, args[a.key] ?? a.defaultValue]));
  const specs = op.meta(complete as Parameters<typeof op.meta>[0]);
  return "shape" in specs ? specs : specs[0] ?? { shape: [], dtype: float32 };
}

defineOp({
  schema: "aten::_cdist_forward(Tensor x1, Tensor x2, float p, int? compute_mode) -> Tensor",
  doc: "cdist.",
  meta: (args) => specOf("aten.cdist.default", args),
  decompose: ({ x1, x2, p, computeMode }, F) => F.cdist(x1, x2, p, computeMode),
  samples: (g) =>
    g.dtype.isFloat ? [{ args: { x1: g.tensor([3, 4]), x2: g.tensor([2, 4]), p: 1, computeMode: null } }] : [],
});

defineOp({
  schema: "aten::_euclidean_dist(Tensor x1, Tensor x2) -> Tensor",
  doc: "cdist with p = 2.",
  meta: (args) => specOf("aten.cdist.default", args),
  decompose: ({ x1, x2 }, F) => F.cdist(x1, x2),
  samples: (g) => g.dtype.isFloat ? [{ args: { x1: g.tensor([3, 4]), x2: g.tensor([2, 4]) } }] : [],
});

defineAlias(getOp("aten.pdist.default"), "_pdist_forward");

defineOp({
  schema: "aten::_prelu_kernel(Tensor self, Tensor weight) -> Tensor",
  doc: "x where it is positive, else weight × x; the weight broadcasts.",
  meta: ({ self, weight }) => {
    const shape = broadcastShapes("_prelu_kernel", self.shape, weight.shape);
    if (self.dtype !== weight.dtype) {
      throw new TypeError(`_prelu_kernel: self is ${self.dtype.name} and weight ${weight.dtype.name}; convert one`);
    }
    return { shape, dtype: self.dtype, stride: elementwiseStride(shape, [self, weight]) };
  },
  decompose: ({ self, weight }, F) => F.where(self.gt(0), self, self.mul(weight)),
  samples: (g) => g.dtype.isFloat ? [{ args: { self: g.tensor([2, 3]), weight: g.tensor([3]) } }] : [],
});

defineOp({
  schema: "aten::log_sigmoid_forward(Tensor self) -> (Tensor output, Tensor buffer)",
  doc: "log_sigmoid, and an empty buffer.",
  meta: ({ self }) => [specOf("aten.log_sigmoid.default", { self }), { shape: [0], dtype: self.dtype }],
  decompose: ({ self }, F) => [F.logSigmoid(self), self.newEmpty([0])],
  samples: (g) => g.dtype.isFloat ? [{ args: { self: g.tensor([2, 3]) } }] : [],
});

defineAlias(getOp("aten.nll_loss_forward.default"), "nll_loss2d_forward");
defineAlias(getOp("aten.nll_loss_backward.default"), "nll_loss2d_backward");

defineOp({
  schema:
    "aten::_scaled_dot_product_flash_attention_for_cpu(Tensor query, Tensor key, Tensor value, float dropout_p=0.0, bool is_causal=False, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor output, Tensor logsumexp)",
  doc: "scaled_dot_product_attention, and the logarithm of the sum of exponentials of each row of scores.",
  meta: (args) => {
    const out = specOf("aten.scaled_dot_product_attention.default", args);
    return [out, { shape: out.shape.slice(0, -1), dtype: float32 }];
  },
  decompose: ({ query, key, value, dropoutP, isCausal, attnMask, scale }, F) => {
    const out = F.scaledDotProductAttention(query, key, value, attnMask, dropoutP, isCausal, { scale });
    const factor = scale ?? 1 / Math.sqrt(Number(query.shape[query.ndim - 1]));
    let scores = query.detach().to(float32).matmul(key.detach().to(float32).transpose(-2, -1)).mul(factor);
    if (isCausal) scores = F.causalFill(scores, -Infinity);
    if (attnMask !== null) {
      scores = attnMask.dtype.kind === "bool"
        ? scores.maskedFill(attnMask.logicalNot(), -Infinity)
        : scores.add(attnMask.detach());
    }
    return [out, scores.logsumexp([-1]).to(float32)];
  },
  samples: (g) =>
    g.dtype.isFloat
      ? [{
        args: {
          query: g.tensor([1, 2, 3, 4]),
          key: g.tensor([1, 2, 5, 4]),
          value: g.tensor([1, 2, 5, 4]),
          isCausal: true,
        },
        differentiate: false,
      }]
      : [],
});

for (const name of ["_embedding_bag", "_embedding_bag_forward_only", "embedding_bag"] as const) {
  const isPlain = name === "embedding_bag";
  defineOp({
    schema:
      `aten::${name}(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False${
        isPlain ? "" : ", int padding_idx=-1"
      }) -> (Tensor, Tensor, Tensor, Tensor)` as "aten::_embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False, int padding_idx=-1) -> (Tensor, Tensor, Tensor, Tensor)",
    doc: "embedding_bag: bags of rows of a table, with the bag of each index, sizes and winners.",
    meta: (args) => {
      const { paddingIdx } = args as { readonly paddingIdx?: Size };
      const op = getOp("aten.embedding_bag.padding_idx");
      const padding = paddingIdx === undefined || Number(paddingIdx) < 0 ? null : paddingIdx;
      return op.meta({ ...args, paddingIdx: padding } as Parameters<typeof op.meta>[0]);
    },
    decompose: (args, F) => {
      const { weight, indices, offsets, scaleGradByFreq, mode, sparse, perSampleWeights, includeLastOffset } = args;
      const { paddingIdx } = args as { readonly paddingIdx?: Size };
      const padding = paddingIdx === undefined || Number(paddingIdx) < 0 ? null : paddingIdx;
      return F.embeddingBag(
        weight,
        indices,
        offsets,
        scaleGradByFreq,
        mode,
        sparse,
        perSampleWeights,
        includeLastOffset,
        padding,
      );
    },
    samples: (g) =>
      g.dtype.isFloat
        ? [{
          args: {
            weight: g.tensor([5, 3]),
            indices: g.indices([6], 5),
            offsets: g.tensor([3], { dtype: int64, values: [0, 2, 3], requiresGrad: false }),
            mode: 1,
          },
        }]
        : [],
  });
}

defineOp({
  schema: "aten::_linalg_det(Tensor A) -> (Tensor result, Tensor LU, Tensor pivots)",
  doc: "det, and the LU factors that it comes from.",
  meta: ({ A }) => {
    const { batch, n } = squareShape("linalg_det", A);
    return [{ shape: batch, dtype: A.dtype }, { shape: A.shape, dtype: A.dtype }, {
      shape: [...batch, n],
      dtype: int32,
    }];
  },
  decompose: ({ A }, F) => [F.linalgDet(A), ...F.linalgLuFactorEx(A.detach()).slice(0, 2)],
  samples: (g) => wide(g, () => [{ args: { A: regularMatrices(g, 2, 3) }, differentiate: false }]),
});

defineOp({
  schema: "aten::_linalg_slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet, Tensor LU, Tensor pivots)",
  doc: "slogdet, and the LU factors that it comes from.",
  meta: ({ A }) => {
    const { batch, n } = squareShape("linalg_slogdet", A);
    const { dtype } = A;
    return [{ shape: batch, dtype }, { shape: batch, dtype }, { shape: A.shape, dtype }, {
      shape: [...batch, n],
      dtype: int32,
    }];
  },
  decompose: ({ A }, F) => [...F.linalgSlogdet(A), ...F.linalgLuFactorEx(A.detach()).slice(0, 2)],
  samples: (g) => wide(g, () => [{ args: { A: regularMatrices(g, 2, 3) }, differentiate: false }]),
});

defineOp({
  schema:
    "aten::_linalg_eigh(Tensor A, str UPLO='L', bool compute_v=True) -> (Tensor eigenvalues, Tensor eigenvectors)",
  doc: "linalg_eigh; without compute_v the eigenvectors are empty.",
  meta: ({ A, computeV }) => {
    const { batch, n } = squareShape("linalg_eigh", A);
    return [{ shape: [...batch, n], dtype: A.dtype }, { shape: computeV ? A.shape : [0], dtype: A.dtype }];
  },
  decompose: ({ A, UPLO, computeV }, F) => {
    const [values, vectors] = F.linalgEigh(A, { UPLO });
    return [values, computeV ? vectors : A.newEmpty([0])];
  },
  samples: (g) =>
    wide(g, () => [{
      args: { A: g.tensor([3, 3], { values: [2, 0, 0, 0.5, 3, 0, 1, -1, 5], requiresGrad: false }) },
      differentiate: false,
      tolerance: 1e-4,
    }]),
});

defineOp({
  schema:
    "aten::_linalg_svd(Tensor A, bool full_matrices=False, bool compute_uv=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)",
  doc: "linalg_svd; without compute_uv the singular vectors are empty.",
  meta: ({ A, fullMatrices, computeUv }) => {
    matrixShape("linalg_svd", A);
    const specs = getOp("aten.linalg_svd.default").meta({ A, fullMatrices, driver: null });
    const [u, s, vh] = specs as readonly [TensorSpec, TensorSpec, TensorSpec];
    const none = { shape: [0], dtype: A.dtype };
    return computeUv ? [u, s, vh] : [none, s, none];
  },
  decompose: ({ A, fullMatrices, computeUv }, F) =>
    computeUv ? F.linalgSvd(A, fullMatrices) : [A.newEmpty([0]), F.linalgSvdvals(A), A.newEmpty([0])],
  samples: (g) =>
    wide(g, () => [{
      args: { A: g.tensor([3, 2], { values: [3, 0.5, -0.25, 1, 0.5, 0.75], requiresGrad: false }), computeUv: false },
      differentiate: false,
      tolerance: 1e-4,
    }]),
});

defineOp({
  schema:
    "aten::_linalg_solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor result, Tensor LU, Tensor pivots, Tensor info)",
  doc: "linalg_solve_ex, and the LU factors that it comes from.",
  meta: ({ A, B, left, checkErrors }) => {
    const { batch, n } = squareShape("linalg_solve", A);
    const specs = getOp("aten.linalg_solve_ex.default").meta({ A, B, left, checkErrors });
    const [x, info] = specs as readonly [TensorSpec, TensorSpec];
    return [x, { shape: A.shape, dtype: A.dtype }, { shape: [...batch, n], dtype: int32 }, info];
  },
  decompose: ({ A, B, left, checkErrors }, F) => {
    const [x, info] = F.linalgSolveEx(A, B, { left, checkErrors });
    return [x, ...F.linalgLuFactorEx(A.detach()).slice(0, 2), info];
  },
  samples: (g) =>
    wide(g, () => [{ args: { A: regularMatrices(g, 2, 3), B: g.tensor([2, 3, 1]) }, differentiate: false }]),
});

defineOp({
  schema:
    "aten::_lu_with_info(Tensor self, bool pivot=True, bool check_errors=True) -> (Tensor LU, Tensor pivots, Tensor info)",
  doc: "linalg_lu_factor_ex.",
  meta: ({ self, pivot, checkErrors }) =>
    getOp("aten.linalg_lu_factor_ex.default").meta({ A: self, pivot, checkErrors }),
  decompose: ({ self, pivot, checkErrors }, F) => F.linalgLuFactorEx(self, { pivot, checkErrors }),
  samples: (g) => wide(g, () => [{ args: { self: regularMatrices(g, 2, 3) }, differentiate: false }]),
});

/** Rows of matrices with room for another dtype: products of half types kept in float32. */
for (const [name, args] of [["mm", "Tensor self, Tensor mat2"], ["bmm", "Tensor self, Tensor mat2"]] as const) {
  defineOp({
    schema:
      `aten::${name}.dtype(${args}, ScalarType out_dtype) -> Tensor` as "aten::mm.dtype(Tensor self, Tensor mat2, ScalarType out_dtype) -> Tensor",
    doc: `${name} with a result in another floating point type, computed in it.`,
    meta: ({ self, mat2, outDtype }) => {
      if (outDtype !== self.dtype && outDtype !== float32) {
        throw new TypeError(`${name}: out_dtype must be float32 or ${self.dtype.name}, got ${outDtype.name}`);
      }
      return { shape: specOf(`aten.${name}.default`, { self, mat2 }).shape, dtype: outDtype };
    },
    decompose: ({ self, mat2, outDtype }) => self.to(outDtype)[name](mat2.to(outDtype)),
    samples: (g) =>
      g.dtype.isFloat && g.dtype.bytes === 2
        ? [{
          args: {
            self: g.tensor(name === "mm" ? [2, 3] : [1, 2, 3]),
            mat2: g.tensor(name === "mm" ? [3, 2] : [1, 3, 2]),
            outDtype: float32,
          },
          differentiate: false,
        }]
        : [],
  });
}

/** The base grid of [-1, 1], whose ends are the centres of corner pixels (aligned) or their edges. */
function gridLine(F: Functional, theta: TensorValue, n: number, aligned: boolean): TensorValue {
  const options = { dtype: theta.dtype, device: theta.device };
  if (n <= 1) return F.zeros([n], options);
  const line = F.linspace(-1, 1, n, options);
  return aligned ? line : line.mul((n - 1) / n);
}

defineOp({
  schema: "aten::affine_grid_generator(Tensor theta, SymInt[] size, bool align_corners) -> Tensor",
  doc: "Sampling positions [n, h, w, 2] (or [n, d, h, w, 3]) of affine maps theta [n, 2, 3] (or [n, 3, 4]).",
  meta: ({ theta, size }) => {
    const rank = size.length - 2;
    const fits = (rank === 2 || rank === 3) && theta.shape.length === 3 && theta.dtype.isFloat &&
      sizeEq(theta.shape[1] ?? 0, rank) && sizeEq(theta.shape[2] ?? 0, rank + 1) &&
      sizeEq(theta.shape[0] ?? 0, size[0] ?? 0);
    if (!fits) {
      throw new TypeError(
        `affine_grid_generator: theta ${theta.dtype.name}${shapeToText(theta.shape)} does not map images of ${
          shapeToText(size)
        }; needs [n, 2, 3] for [n, c, h, w] or [n, 3, 4] for [n, c, d, h, w]`,
      );
    }
    return { shape: [size[0] ?? 1, ...size.slice(2), rank], dtype: theta.dtype };
  },
  decompose: ({ theta, size, alignCorners }, F) => {
    const spatial = size.slice(2).map(Number);
    const rank = spatial.length;
    // Coordinates come innermost first, then a 1.
    const parts = spatial.map((n, d) =>
      gridLine(F, theta, n, alignCorners).reshape(spatial.map((_, e) => e === d ? n : 1)).expand(spatial)
    ).toReversed();
    const ones = F.ones(spatial, { dtype: theta.dtype, device: theta.device });
    const count = spatial.reduce((a, b) => a * b, 1);
    const base = F.stack([...parts, ones], -1).reshape([1, count, rank + 1]).expand([size[0] ?? 1, count, rank + 1]);
    return theta.matmul(base.mT()).mT().reshape([size[0] ?? 1, ...spatial, rank]).contiguous();
  },
  samples: (g) =>
    g.dtype.isFloat && g.dtype.bytes >= 4
      ? [
        { args: { theta: g.tensor([2, 2, 3]), size: [2, 1, 3, 4], alignCorners: true } },
        { args: { theta: g.tensor([1, 3, 4]), size: [1, 2, 2, 3, 2], alignCorners: false } },
      ]
      : [],
});

function longestOf(sequences: readonly { readonly shape: readonly Size[] }[]): Size {
  return sequences.reduce<Size>((longest, s) => sizeMax(longest, s.shape[0] ?? 0), 0);
}

defineOp({
  schema:
    "aten::pad_sequence(Tensor[] sequences, bool batch_first=False, float padding_value=0.0, str padding_side='right') -> Tensor",
  doc: "Sequences of different length as one tensor, filled with padding_value behind (or before) them.",
  meta: ({ sequences, batchFirst, paddingSide }) => {
    const [first] = sequences;
    if (first === undefined) throw new TypeError("pad_sequence: needs at least one sequence");
    if (paddingSide !== "left" && paddingSide !== "right") {
      throw new RangeError(`pad_sequence: padding_side must be "left" or "right", got "${paddingSide}"`);
    }
    const rest = first.shape.slice(1);
    for (const s of sequences) {
      if (s.shape.length !== first.shape.length || !s.shape.slice(1).every((n, i) => sizeEq(n, rest[i] ?? 1))) {
        throw new TypeError(
          `pad_sequence: sequences ${shapeToText(first.shape)} and ${
            shapeToText(s.shape)
          } must be the same beyond their first dimension`,
        );
      }
    }
    const longest = longestOf(sequences);
    const lead = batchFirst ? [sequences.length, longest] : [longest, sequences.length];
    return { shape: [...lead, ...rest], dtype: first.dtype };
  },
  decompose: ({ sequences, batchFirst, paddingValue, paddingSide }, F) => {
    const longest = longestOf(sequences);
    const padded = sequences.map((s) => {
      const missing = sizeSub(longest, s.shape[0] ?? 0);
      const none = new Array<number>(2 * (s.ndim - 1)).fill(0);
      const ends = paddingSide === "right" ? [0, missing] : [missing, 0];
      return F.constantPadNd(s, [...none, ...ends], paddingValue);
    });
    return F.stack(padded, batchFirst ? 0 : 1);
  },
  samples: (g) => [{ args: { sequences: [g.tensor([2, 3]), g.tensor([4, 3])], batchFirst: true, paddingValue: 1 } }],
});
