/**
 * Scaled dot-product attention.
 *
 * `tessera::attention` is the operator that templates match. Its gradient recomputes the probabilities from the inputs and uses
 * sum(dP · P) = sum(dO · O), so that only inputs and result are kept, as in FlashAttention (Dao et al., 2022). Scores are
 * softmaxed in float32. Rows that see no key give zeros. Attention with dropout, which must be the same in both directions, is composed of ordinary
 * operators. Mirrors ATen's attention.cpp (`_scaled_dot_product_attention_math`).
 */
import { bfloat16, bool, computeType, float16, int64, normalizeAxis } from "../core/mod.ts";
import { ops, pointwise } from "../loops/mod.ts";
import { asExpr, broadcastShapes, shapeToText, type Size, sizeEq, sizeFloorDiv, sizeMod } from "../symbolic/mod.ts";
import { attentionByParts, attentionParts } from "./attention_split.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

function last(shape: readonly Size[], back: number): Size {
  return shape[shape.length - back] ?? 1;
}

interface Inputs<T> {
  readonly query: T;
  readonly key: T;
  readonly value: T;
  readonly attnMask: T | null;
}

export function attentionSpec(where: string, args: Inputs<MetaInput>, gqa: boolean): TensorSpec {
  const { query, key, value, attnMask } = args;
  const text = `query ${shapeToText(query.shape)}, key ${shapeToText(key.shape)}, value ${shapeToText(value.shape)}`;
  if (query.shape.length < 2 || key.shape.length < 2 || value.shape.length < 2) {
    throw new TypeError(`${where}: needs at least 2 dimensions [..., length, width]: ${text}`);
  }
  if (!sizeEq(last(query.shape, 1), last(key.shape, 1)) || !sizeEq(last(key.shape, 2), last(value.shape, 2))) {
    throw new TypeError(
      `${where}: query and key must have one width, key and value one length: ${text}`,
    );
  }
  if (query.dtype !== key.dtype || key.dtype !== value.dtype || !query.dtype.isFloat) {
    throw new TypeError(
      `${where}: query, key and value must have one floating point dtype, got ${query.dtype.name}, ${key.dtype.name}, ${value.dtype.name}`,
    );
  }
  let heads: readonly Size[];
  if (gqa) {
    const q = last(query.shape, 3), k = last(key.shape, 3);
    if (query.shape.length < 3 || !sizeEq(sizeMod(q, k), 0) || !sizeEq(k, last(value.shape, 3))) {
      throw new TypeError(`${where}: enable_gqa needs query heads that divide by the heads of key and value: ${text}`);
    }
    heads = query.shape.slice(0, -2);
  } else heads = broadcastShapes(where, query.shape.slice(0, -2), key.shape.slice(0, -2), value.shape.slice(0, -2));
  const scores = [...heads, last(query.shape, 2), last(key.shape, 2)];
  if (attnMask !== null) {
    if (broadcastShapes(where, scores, attnMask.shape).length !== scores.length) {
      throw new TypeError(
        `${where}: attn_mask ${shapeToText(attnMask.shape)} does not broadcast to ${shapeToText(scores)}`,
      );
    }
    if (attnMask.dtype !== bool && attnMask.dtype !== query.dtype && !attnMask.dtype.isFloat) {
      throw new TypeError(`${where}: attn_mask must be bool or ${query.dtype.name}, got ${attnMask.dtype.name}`);
    }
  }
  return { shape: [...heads, last(query.shape, 2), last(value.shape, 1)], dtype: query.dtype };
}

defineOp({
  schema: "tessera::causal_fill(Tensor input, float value) -> Tensor",
  doc: "Keeps elements at or below the diagonal of the last two dimensions and writes a number elsewhere.",
  meta: ({ input }) => ({ shape: input.shape, dtype: input.dtype }),
  loop: ({ input, value }, out) =>
    pointwise(out.shape, (index) => {
      const row = index[index.length - 2] ?? asExpr(0), column = index[index.length - 1] ?? asExpr(0);
      return ops.where(ops.le(ops.index(column), ops.index(row)), input.load(index), value);
    }),
  vjp: (_, { grad, F }) => ({ input: () => F.causalFill(grad, 0) }),
  samples: (g) => [{ args: { input: g.tensor([2, 3, 4]), value: 0 } }],
});

defineOp({
  schema: "aten::_safe_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
  doc: "softmax whose rows of nothing but -inf are zeros.",
  meta: ({ self, dim, dtype }) => {
    normalizeAxis(Number(dim), self.shape.length, "_safe_softmax");
    return { shape: self.shape, dtype: dtype ?? self.dtype };
  },
  decompose: ({ self, dim, dtype }) => {
    const result = dtype ?? self.dtype;
    const x = self.to(computeType(result));
    const axis = normalizeAxis(Number(dim), self.ndim, "_safe_softmax");
    if (self.shape[axis] === 0) return x.to(result);
    const top = x.amax([axis], true);
    const e = x.sub(top.maskedFill(top.eq(-Infinity), 0)).exp();
    const sum = e.sum([axis], true);
    return e.div(sum.maskedFill(sum.eq(0), 1)).to(result).contiguous();
  },
  vjp: ({ self, dim }, { grad, out, F }) => ({
    self: () => F._softmaxBackwardData(grad, out, dim, self.dtype),
  }),
  samples: (g) => [{ args: { self: g.tensor([3, 4]), dim: -1 } }],
});

/** Scaled and masked scores, in float32 for half types. */
export function scoresOf(args: Inputs<TensorValue>, isCausal: boolean, scale: number, F: Functional): TensorValue {
  const { query, key, attnMask } = args;
  const compute = computeType(query.dtype);
  let scores = query.to(compute).matmul(key.to(compute).transpose(-2, -1)).mul(scale);
  if (isCausal) scores = F.causalFill(scores, -Infinity);
  if (attnMask === null) return scores;
  return attnMask.dtype === bool ? scores.maskedFill(attnMask.logicalNot(), -Infinity) : scores.add(attnMask);
}

defineOp({
  schema:
    "tessera::attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask, bool is_causal, float scale) -> Tensor",
  doc: "softmax(query · keyᵀ · scale + mask) · value.",
  meta: (args) => attentionSpec("attention", args, false),
  decompose: (args, F) => {
    const p = scoresOf(args, args.isCausal, args.scale, F)._safeSoftmax(-1);
    const { query, value } = args;
    // Probabilities stay in float32, as the sums of a fused kernel do; tensor cores want them in the half type.
    if (query.device.type === "cpu") return p.matmul(value.to(p.dtype)).to(query.dtype);
    return p.to(query.dtype).matmul(value);
  },
  vjp: (args, { grad, out, F }) => {
    const { query, key, value, attnMask, isCausal, scale } = args;
    const compute = computeType(query.dtype);
    const probabilities = (): TensorValue => scoresOf(args, isCausal, scale, F)._safeSoftmax(-1);
    const scoreGrad = (): TensorValue => {
      const byP = grad.to(compute).matmul(value.to(compute).transpose(-2, -1));
      const rows = grad.to(compute).mul(out.to(compute)).sum([-1], true);
      return probabilities().mul(byP.sub(rows));
    };
    return {
      query: () => scoreGrad().to(query.dtype).matmul(key).mul(scale).sumToSize(query.shape),
      key: () => scoreGrad().to(key.dtype).transpose(-2, -1).matmul(query).mul(scale).sumToSize(key.shape),
      value: () => probabilities().to(value.dtype).transpose(-2, -1).matmul(grad).sumToSize(value.shape),
      attnMask: () =>
        attnMask === null || attnMask.dtype === bool ? null : scoreGrad().sumToSize(attnMask.shape).to(attnMask.dtype),
    };
  },
  samples: (g) => [
    {
      args: {
        query: g.tensor([2, 3, 4]),
        key: g.tensor([2, 5, 4]),
        value: g.tensor([2, 5, 2]),
        attnMask: g.tensor([3, 5]),
        isCausal: false,
        scale: 0.5,
      },
    },
    {
      name: "causal",
      args: {
        query: g.tensor([2, 4, 4]),
        key: g.tensor([1, 4, 4]),
        value: g.tensor([1, 4, 4]),
        attnMask: null,
        isCausal: true,
        scale: 0.5,
      },
    },
  ],
});

/** Repeats the heads of keys or values for groups of query heads. */
function repeatHeads(x: TensorValue, groups: Size): TensorValue {
  const lead = x.shape.slice(0, -2);
  const tail = x.shape.slice(-2);
  const heads = last(lead, 1);
  return x.unsqueeze(-3).expand([...lead, groups, ...tail]).reshape([
    ...lead.slice(0, -1),
    typeof heads === "number" && typeof groups === "number" ? heads * groups : -1,
    ...tail,
  ]);
}

/** Keys and values with as many heads as queries, whose groups share them. */
export function groupedHeads(
  { query, key, value }: Pick<Inputs<TensorValue>, "query" | "key" | "value">,
): Pick<Inputs<TensorValue>, "key" | "value"> {
  const groups = sizeFloorDiv(last(query.shape, 3), last(key.shape, 3));
  return groups === 1 ? { key, value } : { key: repeatHeads(key, groups), value: repeatHeads(value, groups) };
}

defineOp({
  schema:
    "aten::scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
  doc: "softmax(query · keyᵀ / √width + mask) · value; a bool mask keeps what is true.",
  meta: (args) => {
    const { attnMask, isCausal, dropoutP, enableGqa } = args;
    const where = "scaled_dot_product_attention";
    if (attnMask !== null && isCausal) throw new TypeError(`${where}: give attn_mask or is_causal, not both`);
    if (!(dropoutP >= 0 && dropoutP <= 1)) {
      throw new RangeError(`${where}: dropout_p must be between 0 and 1, got ${dropoutP}`);
    }
    return attentionSpec(where, args, enableGqa);
  },
  decompose: (args, F) => {
    const { query, attnMask, isCausal, dropoutP, enableGqa } = args;
    const scale = args.scale ?? 1 / Math.sqrt(Number(last(query.shape, 1)));
    const { key, value } = enableGqa ? groupedHeads(args) : args;
    if (dropoutP > 0) {
      throw new TypeError(
        `scaled_dot_product_attention: dropout_p ${dropoutP} needs the state of a generator: use attention_with_dropout, or 0`,
      );
    }
    // Where templates compute gradients from the logarithms of sums, these are kept.
    const isHalf = query.dtype === float16 || query.dtype === bfloat16;
    const learns = query.requiresGrad || key.requiresGrad || value.requiresGrad;
    if (query.device.type === "cuda" && isHalf && learns) {
      return F.attentionForward(query, key, value, attnMask, isCausal, scale)[0];
    }
    const parts = isCausal ? 1 : attentionParts(query, key, value);
    if (parts > 1) return attentionByParts(parts, query, key, value, attnMask, scale, F);
    return F.attention(query, key, value, attnMask, isCausal, scale);
  },
  samples: (g) => [
    {
      args: {
        query: g.tensor([1, 2, 3, 4]),
        key: g.tensor([1, 2, 5, 4]),
        value: g.tensor([1, 2, 5, 4]),
        attnMask: g.tensor([3, 5], {
          dtype: bool,
          values: [1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0],
          requiresGrad: false,
        }),
      },
    },
    {
      name: "causal, grouped heads",
      args: {
        query: g.tensor([1, 4, 3, 2]),
        key: g.tensor([1, 2, 3, 2]),
        value: g.tensor([1, 2, 3, 2]),
        isCausal: true,
        enableGqa: true,
        scale: 1,
      },
    },
  ],
});

defineOp({
  schema:
    "tessera::attention_with_dropout(Tensor query, Tensor key, Tensor value, Tensor? attn_mask, Tensor state, float dropout_p, bool is_causal, float scale) -> Tensor",
  doc: "attention whose probabilities are dropped by numbers from a generator's state.",
  random: true,
  meta: ({ query, key, value, attnMask }) =>
    attentionSpec("attention_with_dropout", { query, key, value, attnMask }, false),
  decompose: ({ query, key, value, attnMask, state, dropoutP, isCausal, scale }, F) => {
    const p = scoresOf({ query, key, value, attnMask }, isCausal, scale, F)._safeSoftmax(-1);
    return F.dropoutWithState(p, state, dropoutP).to(query.dtype).matmul(value);
  },
  samples: (g) => [
    {
      args: {
        query: g.tensor([2, 3, 4]),
        key: g.tensor([2, 5, 4]),
        value: g.tensor([2, 5, 2]),
        attnMask: null,
        state: g.tensor([2], { dtype: int64, values: [7, 0], requiresGrad: false }),
        dropoutP: 0.5,
        isCausal: false,
        scale: 0.5,
      },
    },
  ],
});
