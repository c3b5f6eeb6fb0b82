/**
 * Attention for training: a forward that also gives the logarithm of each row's sum of exponentials, and its gradients, which compute the
 * probabilities again from that.
 *
 * What these operators mean is their decomposition; on CUDA templates take them whole, so that neither direction stores a score. Heads of keys and values that several
 * heads of queries share are expanded, and their gradients are summed by the caller. Mirrors ATen's `_scaled_dot_product_flash_attention` and its
 * backward, which are one kernel each with gradients by atomics (Dao, 2023).
 */
import { bool, computeType, float32 } from "../core/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import { attentionSpec, scoresOf } from "./attention.ts";
import { defineOp, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { SampleArg, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

interface Operands<T> {
  readonly query: T;
  readonly key: T;
  readonly value: T;
  readonly attnMask: T | null;
  readonly isCausal: boolean;
  readonly scale: number;
}

interface GradientOperands<T> extends Operands<T> {
  readonly grad: T;
  readonly lse: T;
  readonly delta: T;
}

/** Probabilities from saved logarithms; rows that see no key have none. */
function probabilities(args: GradientOperands<TensorValue>, F: Functional): TensorValue {
  const { lse, isCausal, scale } = args;
  const known = lse.maskedFill(lse.eq(-Infinity), 0).unsqueeze(-1);
  return scoresOf(args, isCausal, scale, F).sub(known).exp();
}

/** The gradient of scores, after scaling. */
function scoreGradient(args: GradientOperands<TensorValue>, F: Functional): TensorValue {
  const { grad, value, delta } = args;
  const compute = computeType(value.dtype);
  const byP = grad.to(compute).matmul(value.to(compute).transpose(-2, -1));
  return probabilities(args, F).mul(byP.sub(delta.unsqueeze(-1)));
}

function lengthOf(shape: readonly Size[], back: number): Size {
  return shape[shape.length - back] ?? 1;
}

defineOp({
  schema:
    "tessera::attention_forward(Tensor query, Tensor key, Tensor value, Tensor? attn_mask, bool is_causal, float scale) -> (Tensor, Tensor)",
  doc: "attention, and the logarithm of the sum of exponentials of each row of scores.",
  meta: (args): TensorSpec[] => {
    const out = attentionSpec("attention_forward", args, false);
    return [out, { shape: out.shape.slice(0, -1), dtype: computeType(out.dtype) }];
  },
  decompose: (args, F) => {
    const { query, value, isCausal, scale } = args;
    const scores = scoresOf(args, isCausal, scale, F);
    const p = scores._safeSoftmax(-1);
    const lse = scores.logsumexp([-1]);
    return query.device.type === "cpu"
      ? [p.matmul(value.to(p.dtype)).to(query.dtype), lse]
      : [p.to(query.dtype).matmul(value), lse];
  },
  vjp: (args, { grads, outs, F }) => {
    const { query, key, value, attnMask, isCausal, scale } = args;
    const [out, lse] = outs;
    if (out === undefined || lse === undefined) throw new TypeError("attention_forward: its results are missing");
    let made: { readonly grad: TensorValue; readonly delta: TensorValue } | null = null;
    const rows = (): { readonly grad: TensorValue; readonly delta: TensorValue } => {
      if (made !== null) return made;
      const grad = grads[0] ?? out.mul(0);
      const sums = grad.to(lse.dtype).mul(out.to(lse.dtype)).sum([-1]);
      const byLse = grads[1] ?? null;
      return made = { grad, delta: byLse === null ? sums : sums.sub(byLse) };
    };
    let pair: readonly TensorValue[] | null = null;
    const ofKeys = (i: 0 | 1): TensorValue => {
      const { grad, delta } = rows();
      pair ??= F.attentionKeyValueGrad(grad, query, key, value, lse, delta, attnMask, isCausal, scale);
      return pair[i] as TensorValue;
    };
    return {
      query: () => {
        const { grad, delta } = rows();
        return F.attentionQueryGrad(grad, query, key, value, lse, delta, attnMask, isCausal, scale)
          .sumToSize(query.shape);
      },
      key: () => ofKeys(0).sumToSize(key.shape),
      value: () => ofKeys(1).sumToSize(value.shape),
      attnMask: () => {
        if (attnMask === null || attnMask.dtype === bool) return null;
        const change = scoreGradient({ ...args, ...rows(), lse }, F);
        return change.sumToSize(attnMask.shape).to(attnMask.dtype);
      },
    };
  },
  samples: (g) => [
    { args: inputs(g, 5, false), name: "mask" },
    { args: inputs(g, 3, true), name: "causal" },
  ],
});

defineOp({
  schema:
    "tessera::attention_query_grad(Tensor grad, Tensor query, Tensor key, Tensor value, Tensor lse, Tensor delta, Tensor? attn_mask, bool is_causal, float scale) -> Tensor",
  doc: "The gradient of attention's query, before it is summed over dimensions that were broadcast.",
  meta: (args) => {
    const { shape, dtype } = attentionSpec("attention_query_grad", args, false);
    return { shape: [...shape.slice(0, -1), lengthOf(args.query.shape, 1)], dtype };
  },
  decompose: (args, F) => {
    const { query, key, scale } = args;
    return scoreGradient(args, F).to(query.dtype).matmul(key).mul(scale);
  },
  samples: (g) => [{ args: gradientInputs(g, 5, false) }, { name: "causal", args: gradientInputs(g, 3, true) }],
});

defineOp({
  schema:
    "tessera::attention_key_value_grad(Tensor grad, Tensor query, Tensor key, Tensor value, Tensor lse, Tensor delta, Tensor? attn_mask, bool is_causal, float scale) -> (Tensor, Tensor)",
  doc: "The gradients of attention's key and value, before they are summed over dimensions that were broadcast.",
  meta: (args): TensorSpec[] => {
    const { shape, dtype } = attentionSpec("attention_key_value_grad", args, false);
    const lead = [...shape.slice(0, -2), lengthOf(args.key.shape, 2)];
    return [
      { shape: [...lead, lengthOf(args.key.shape, 1)], dtype },
      { shape: [...lead, lengthOf(args.value.shape, 1)], dtype },
    ];
  },
  decompose: (args, F) => {
    const { grad, query, key, value, scale } = args;
    return [
      scoreGradient(args, F).to(key.dtype).transpose(-2, -1).matmul(query).mul(scale),
      probabilities(args, F).to(value.dtype).transpose(-2, -1).matmul(grad),
    ];
  },
  samples: (g) => [{ args: gradientInputs(g, 5, false) }, { name: "causal", args: gradientInputs(g, 3, true) }],
});

function inputs(g: SampleGenerator, keys: number, isCausal: boolean): Record<string, SampleArg> {
  return {
    query: g.tensor([2, 3, 4]),
    key: g.tensor([2, keys, 4]),
    value: g.tensor([2, keys, 2]),
    attnMask: isCausal ? null : g.tensor([3, keys]),
    isCausal,
    scale: 0.5,
  };
}

function gradientInputs(g: SampleGenerator, keys: number, isCausal: boolean): Record<string, SampleArg> {
  const row = (): SampleArg => g.tensor([2, 3], { dtype: computeType(g.dtype) ?? float32 });
  return { ...inputs(g, keys, isCausal), grad: g.tensor([2, 3, 2]), lse: row(), delta: row() };
}
