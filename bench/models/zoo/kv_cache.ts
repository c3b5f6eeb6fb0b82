/**
 * Keys and values of what a decoder has read, in tensors of fixed size that are written in place.
 *
 * As no shape depends on how far a text has got, one compiled graph serves every step. Positions are a tensor: new entries go there, and the mask hides
 * what lies behind. Places beyond the last position may hold anything: they are written before they are seen.
 */
import { arange, type DeviceLike, type DType, nn, type Tensor, zeros } from "../../../mod.ts";

/** What a cache holds for one layer: [batch, heads, capacity, dim]. */
export interface LayerCache {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** Sizes of a cache. */
export interface KVCacheConfig {
  readonly layers: number;
  readonly heads: number;
  readonly headDim: number;
  /** How many tokens fit. */
  readonly capacity: number;
  /** Default 1. */
  readonly batch?: number;
  readonly dtype?: DType;
  readonly device?: DeviceLike;
}

/** An empty cache, one entry a layer. */
export function makeKVCache(config: KVCacheConfig): LayerCache[] {
  const { layers, heads, headDim, capacity, batch = 1, dtype, device } = config;
  const options = { ...(dtype === undefined ? {} : { dtype }), ...(device === undefined ? {} : { device }) };
  const make = (): Tensor => zeros([batch, heads, capacity, headDim], options);
  return Array.from({ length: layers }, () => ({ keys: make(), values: make() }));
}

/**
 * Causal attention over what was read before and what comes now; writes the latter into the cache.
 *
 * Several queries may share one head of keys and values (Ainslie et al. 2023): they are lined up behind each other, and nothing is repeated.
 *
 * @param q [batch, heads, n, dim]
 * @param k [batch, kvHeads, n, dim]; `v` likewise.
 * @param positions [n], where the new tokens stand.
 * @param cache Null: the new tokens are all there is, and stand at 0 … n−1.
 */
export function cachedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  positions: Tensor | null,
  cache: LayerCache | null,
): Tensor {
  const { scaledDotProductAttention } = nn.functional;
  const [batch = 0, heads = 0, n = 0, dim = 0] = q.shape;
  const kvHeads = k.shape[1] ?? 0;
  if (cache === null && kvHeads === heads) return scaledDotProductAttention(q, k, v, { isCausal: true });
  let [keys, values] = [k, v];
  if (cache !== null) {
    if (positions === null) throw new TypeError("cachedAttention: with a cache, say where the tokens stand");
    keys = cache.keys.indexCopy_(2, positions, k);
    values = cache.values.indexCopy_(2, positions, v);
  }
  const at = cache === null || positions === null ? arange(0, Number(n), { device: q.device }) : positions;
  const seen = arange(0, Number(keys.shape[2]), { device: q.device }).le(at.unsqueeze(1));
  const groups = Number(heads) / Number(kvHeads);
  if (groups === 1) return scaledDotProductAttention(q, keys, values, { attnMask: seen });
  const mask = seen.unsqueeze(0).expand([groups, ...seen.shape]).reshape([groups * Number(n), keys.shape[2] ?? 0]);
  const lined = q.reshape([batch, kvHeads, groups * Number(n), dim]);
  return scaledDotProductAttention(lined, keys, values, { attnMask: mask }).reshape([batch, heads, n, dim]);
}

/** What a decoder is, to who generates text with it. */
export interface Decoder extends nn.Module {
  /** Token ids [batch, n], standing at `positions` [n] → logits [batch, n, vocabulary]. */
  forward(ids: Tensor, positions?: Tensor | null, cache?: readonly LayerCache[] | null): Tensor;
  readonly vocabSize: number;
  /** The longest text that it can read. */
  readonly maxLength: number;
  /** A cache of this capacity. */
  makeCache(capacity: number, batch?: number): LayerCache[];
}
