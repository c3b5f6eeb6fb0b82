/**
 * Attention: Vaswani et al. 2017.
 */
import { draw, F, type Tensor } from "../../tensor/mod.ts";

/** Options of {@linkcode scaledDotProductAttention}. */
export interface AttentionOptions {
  /** Bool (true: may attend) or a number that is added to the scores; broadcast to [..., queries, keys]. */
  readonly attnMask?: Tensor | null;
  /** Default 0. */
  readonly dropoutP?: number;
  /** A query sees no later key. Default false. */
  readonly isCausal?: boolean;
  /** Factor of the scores. Default 1/√dim. */
  readonly scale?: number | null;
}

/**
 * softmax(query·keyᵀ·scale + mask)·value.
 *
 * @param query [..., queries, dim]
 * @param key [..., keys, dim]
 * @param value [..., keys, valueDim]
 */
export function scaledDotProductAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {},
): Tensor {
  const { attnMask = null, dropoutP = 0, isCausal = false, scale = null } = options;
  if (isCausal && attnMask !== null) {
    throw new TypeError("scaledDotProductAttention: give either attnMask or isCausal");
  }
  if (dropoutP > 0) {
    const factor = scale ?? 1 / Math.sqrt(Number(query.shape[query.ndim - 1]));
    const args = { query, key, value, attnMask, dropoutP, isCausal, scale: factor };
    return draw("tessera.attention_with_dropout.default", args, { device: query.device });
  }
  return F.scaledDotProductAttention(query, key, value, attnMask, 0, isCausal, { scale });
}
