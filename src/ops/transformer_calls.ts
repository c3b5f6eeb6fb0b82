/**
 * Attention and whole encoder layers as single calls, as PyTorch's fast path of nn.MultiheadAttention and nn.TransformerEncoderLayer leaves them in programs of evaluation.
 *
 * Each is written with linear, attention's scores and layer_norm, so there is nothing to lower here. Nested tensors are not known. Mirrors
 * `native/transformers/attention.cpp` and `transformer.cpp` of ATen.
 */
import { bool, computeType, int8 } from "../core/mod.ts";
import { sameShape, shapeToText, type Size, sizeEq, sizeFloorDiv, sizeMul } from "../symbolic/mod.ts";
import { attentionSpec, groupedHeads, scoresOf } from "./attention.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

defineOp({
  schema:
    "aten::_scaled_dot_product_attention_math(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False, Tensor? dropout_mask=None, *, float? scale=None, bool enable_gqa=False) -> (Tensor, Tensor)",
  doc: "scaled_dot_product_attention, and its probabilities; dropout by a given mask only.",
  public: false,
  meta: (args) => {
    const where = "_scaled_dot_product_attention_math";
    const { query, key, attnMask, dropoutP, isCausal, dropoutMask, enableGqa } = args;
    if (attnMask !== null && isCausal) throw new TypeError(`${where}: give attn_mask or is_causal, not both`);
    if (!(dropoutP >= 0 && dropoutP <= 1)) {
      throw new RangeError(`${where}: dropout_p must be between 0 and 1, got ${dropoutP}`);
    }
    if (dropoutP > 0 && dropoutMask === null) {
      throw new TypeError(
        `${where}: dropout_p ${dropoutP} needs a dropout_mask here; or call scaled_dot_product_attention`,
      );
    }
    const out = attentionSpec(where, args, enableGqa);
    const length = key.shape[key.shape.length - 2] ?? 1;
    return [out, { shape: [...out.shape.slice(0, -1), length], dtype: query.dtype }];
  },
  decompose: (args, F) => {
    const { query, attnMask, isCausal, dropoutP, dropoutMask } = args;
    const { key, value } = args.enableGqa ? groupedHeads(args) : args;
    const scale = args.scale ?? 1 / Math.sqrt(Number(query.shape[query.ndim - 1]));
    // Called by this name, a mask of bool is added as 0 and 1, as ATen does; only scaled_dot_product_attention makes -inf of it.
    const mask = attnMask?.dtype === bool ? attnMask.to(query.dtype) : attnMask;
    const p = scoresOf({ query, key, value, attnMask: mask }, isCausal, scale, F)._safeSoftmax(-1);
    const kept = dropoutMask === null ? p : p.maskedFill(dropoutMask.logicalNot(), 0);
    const wide = value.to(kept.dtype);
    const out = kept.matmul(dropoutMask === null ? wide : wide.mul(1 / (1 - dropoutP)));
    return [out.to(query.dtype), kept.to(query.dtype)];
  },
  samples: () => [],
});

/** [batch, length, 3 × width] as three of [batch, heads, length, width of a head]. */
function headsShape(
  where: string,
  qkv: Pick<MetaInput, "shape">,
  bias: Pick<MetaInput, "shape">,
  heads: Size,
): readonly Size[] {
  const [batch = 1, length = 1, triple = 0] = qkv.shape;
  const width = sizeFloorDiv(triple, 3);
  const fits = qkv.shape.length === 3 && bias.shape.length === 1 && sizeEq(bias.shape[0] ?? 0, triple) &&
    Number(heads) > 0 && sizeEq(sizeMul(sizeFloorDiv(width, Number(heads)), 3 * Number(heads)), triple);
  if (!fits) {
    throw new TypeError(
      `${where}: needs qkv [batch, length, 3 × width] with a bias [3 × width] and a width that ${heads} heads divide, got ${
        shapeToText(qkv.shape)
      } and ${shapeToText(bias.shape)}`,
    );
  }
  return [batch, heads, length, sizeFloorDiv(width, Number(heads))];
}

defineOp({
  schema: "aten::_transform_bias_rescale_qkv(Tensor qkv, Tensor qkv_bias, int num_heads) -> (Tensor, Tensor, Tensor)",
  doc:
    "Queries, keys and values by heads out of one projection and its bias; queries are divided by the root of a head's width.",
  public: false,
  meta: ({ qkv, qkvBias, numHeads }) => {
    const spec = { shape: headsShape("_transform_bias_rescale_qkv", qkv, qkvBias, numHeads), dtype: qkv.dtype };
    return [spec, spec, spec];
  },
  decompose: ({ qkv, qkvBias, numHeads }) => {
    const [batch = 1, heads = 1, length = 1, width = 1] = headsShape(
      "_transform_bias_rescale_qkv",
      qkv,
      qkvBias,
      numHeads,
    );
    const split = qkv.add(qkvBias).reshape([batch, length, 3, heads, width]).permute([2, 0, 3, 1, 4]);
    return [0, 1, 2].map((i) => {
      const part = split.select(0, i);
      return (i === 0 ? part.div(Math.sqrt(Number(width))) : part).contiguous();
    });
  },
  samples: () => [],
});

interface Projections<T> {
  readonly qkvWeight: T;
  readonly qkvBias: T;
  readonly projWeight: T;
  readonly projBias: T;
}

interface Attention<T> extends Projections<T> {
  readonly query: T;
  readonly key: T;
  readonly value: T;
  readonly embedDim: Size;
  readonly numHead: Size;
  readonly mask: T | null;
  readonly maskType: Size | null;
}

/** @throws {TypeError} if inputs and projections do not fit each other. */
function checkAttention(where: string, args: Attention<MetaInput>): void {
  const { query, key, value, embedDim: d, numHead, qkvWeight, qkvBias, projWeight, projBias } = args;
  const wanted = [
    ["qkv_weight", qkvWeight, [sizeMul(d, 3), d]],
    ["qkv_bias", qkvBias, [sizeMul(d, 3)]],
    ["proj_weight", projWeight, [d, d]],
    ["proj_bias", projBias, [d]],
  ] as const;
  for (const [name, t, shape] of wanted) {
    if (!sameShape(t.shape, shape)) {
      throw new TypeError(`${where}: ${name} ${shapeToText(t.shape)} must be ${shapeToText(shape)}`);
    }
  }
  const shapes = [query, key, value].map((t) => t.shape);
  if (shapes.some((s) => s.length !== 3 || !sizeEq(s[2] ?? 0, d)) || !sameShape(key.shape, value.shape)) {
    throw new TypeError(
      `${where}: query, key and value must be [batch, length, ${d}], got ${shapes.map(shapeToText).join(", ")}`,
    );
  }
  if (!(Number(numHead) > 0) || Number(d) % Number(numHead) !== 0) {
    throw new RangeError(`${where}: embed_dim ${d} does not divide into ${numHead} heads`);
  }
}

/** The projected result and the probabilities [batch, heads, queries, keys]. */
function attend(args: Attention<TensorValue>, F: Functional): readonly [TensorValue, TensorValue] {
  const { query, key, value, embedDim, numHead, qkvWeight, qkvBias, projWeight, projBias, mask, maskType } = args;
  const d = Number(embedDim), heads = Number(numHead);
  const project = (x: TensorValue, i: number): TensorValue => {
    const [batch = 1, length = 1] = x.shape;
    return F.linear(x, qkvWeight.narrow(0, i * d, d), qkvBias.narrow(0, i * d, d)).reshape([
      batch,
      length,
      heads,
      d / heads,
    ]).transpose(1, 2);
  };
  const scores = project(query, 0).div(Math.sqrt(d / heads)).matmul(project(key, 1).transpose(-2, -1));
  const p = mask === null
    ? scores.softmax(-1)
    : F._maskedSoftmax(scores, mask.dtype === bool ? mask : mask.ne(0), -1, maskType);
  const [batch = 1, length = 1] = query.shape;
  const joined = p.matmul(project(value, 2)).transpose(1, 2).reshape([batch, length, d]);
  return [F.linear(joined, projWeight, projBias), p];
}

defineOp({
  schema:
    "aten::_native_multi_head_attention(Tensor query, Tensor key, Tensor value, int embed_dim, int num_head, Tensor qkv_weight, Tensor qkv_bias, Tensor proj_weight, Tensor proj_bias, Tensor? mask=None, bool need_weights=True, bool average_attn_weights=True, int? mask_type=None) -> (Tensor, Tensor)",
  doc:
    "Multi-head attention with its projections, and its probabilities (empty without need_weights). A mask hides where it is true.",
  public: false,
  meta: (args) => {
    checkAttention("_native_multi_head_attention", args);
    const { query, key, numHead, needWeights, averageAttnWeights } = args;
    const [batch = 1, length = 1] = query.shape;
    const pairs = [length, key.shape[1] ?? 1];
    const weights = !needWeights ? [0] : averageAttnWeights ? [batch, ...pairs] : [batch, numHead, ...pairs];
    return [{ shape: query.shape, dtype: query.dtype }, { shape: weights, dtype: query.dtype }];
  },
  decompose: (args, F) => {
    const [out, p] = attend(args, F);
    if (!args.needWeights) return [out, out.newEmpty([0])];
    return [out, args.averageAttnWeights ? p.sum([1]).div(Number(args.numHead)) : p];
  },
  samples: () => [],
});

defineOp({
  schema:
    "aten::_transformer_encoder_layer_fwd(Tensor src, int embed_dim, int num_heads, Tensor qkv_weight, Tensor qkv_bias, Tensor proj_weight, Tensor proj_bias, bool use_gelu, bool norm_first, float eps, Tensor norm_weight_1, Tensor norm_bias_1, Tensor norm_weight_2, Tensor norm_bias_2, Tensor ffn_weight_1, Tensor ffn_bias_1, Tensor ffn_weight_2, Tensor ffn_bias_2, Tensor? mask=None, int? mask_type=None) -> Tensor",
  doc: "A layer of a transformer's encoder in evaluation: attention, two normalisations, a feed-forward part.",
  public: false,
  meta: (args) => {
    const { src, ffnWeight1, ffnBias1, ffnWeight2, ffnBias2, embedDim: d } = args;
    const where = "_transformer_encoder_layer_fwd";
    checkAttention(where, { ...args, query: src, key: src, value: src, numHead: args.numHeads });
    const inner = ffnWeight1.shape[0] ?? 0;
    const wanted = [
      ["ffn_weight_1", ffnWeight1, [inner, d]],
      ["ffn_bias_1", ffnBias1, [inner]],
      ["ffn_weight_2", ffnWeight2, [d, inner]],
      ["ffn_bias_2", ffnBias2, [d]],
      ["norm_weight_1", args.normWeight1, [d]],
      ["norm_bias_1", args.normBias1, [d]],
      ["norm_weight_2", args.normWeight2, [d]],
      ["norm_bias_2", args.normBias2, [d]],
    ] as const;
    for (const [name, t, shape] of wanted) {
      if (!sameShape(t.shape, shape)) {
        throw new TypeError(`${where}: ${name} ${shapeToText(t.shape)} must be ${shapeToText(shape)}`);
      }
    }
    return { shape: src.shape, dtype: src.dtype };
  },
  decompose: (args, F) => {
    const { src, embedDim, numHeads, eps, normFirst, useGelu } = args;
    const norms = [[args.normWeight1, args.normBias1], [args.normWeight2, args.normBias2]] as const;
    const norm = (x: TensorValue, i: 0 | 1): TensorValue => F.layerNorm(x, [embedDim], norms[i][0], norms[i][1], eps);
    const enters = normFirst ? norm(src, 0) : src;
    const [attended] = attend({ ...args, query: enters, key: enters, value: enters, numHead: numHeads }, F);
    let x = src.add(attended);
    if (!normFirst) x = norm(x, 0);
    const hidden = F.linear(normFirst ? norm(x, 1) : x, args.ffnWeight1, args.ffnBias1);
    const out = x.add(F.linear(useGelu ? F.gelu(hidden) : F.relu(hidden), args.ffnWeight2, args.ffnBias2));
    return normFirst ? out : norm(out, 1);
  },
  samples: () => [],
});

const INT8 = "_weight_int8pack_mm";

defineOp({
  schema: "aten::_weight_int8pack_mm(Tensor self, Tensor mat2, Tensor scales) -> Tensor",
  doc: "self · mat2ᵀ × scales, for weights of int8 with a scale for each row.",
  public: false,
  meta: ({ self, mat2, scales }): TensorSpec => {
    const [rows = 1, inner = 1] = self.shape, [outer = 1] = mat2.shape;
    const fits = self.shape.length === 2 && mat2.shape.length === 2 && scales.shape.length === 1 &&
      sizeEq(inner, mat2.shape[1] ?? 0) && sizeEq(outer, scales.shape[0] ?? 0);
    if (!fits || !self.dtype.isFloat || mat2.dtype !== int8 || scales.dtype !== self.dtype) {
      throw new TypeError(
        `${INT8}: needs floating point [rows, in], int8 [out, in] and scales [out] of self's dtype, got ${
          [self, mat2, scales].map((t) => `${t.dtype.name}${shapeToText(t.shape)}`).join(", ")
        }`,
      );
    }
    return { shape: [rows, outer], dtype: self.dtype };
  },
  decompose: ({ self, mat2, scales }) => {
    const compute = computeType(self.dtype);
    const wide = (t: TensorValue): TensorValue => t.to(compute);
    return wide(self).matmul(wide(mat2).transpose(0, 1)).mul(wide(scales)).to(self.dtype);
  },
  samples: () => [],
});
