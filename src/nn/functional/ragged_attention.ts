/**
 * Attention of sequences of several lengths without padding, and of queries over a cache of keys in pages.
 *
 * Lengths and tables are tensors, so a compiled function serves all batches of one total size. On CUDA in half precision it is one kernel that walks only
 * what each block of queries sees; elsewhere, and for gradients, attention with a mask. Mirrors `flash_attn_varlen_func` and
 * `flash_attn_with_kvcache` of FlashAttention (Dao, 2023) and the paged cache of vLLM (Kwon et al., 2023).
 */
import { sizeAdd } from "../../symbolic/mod.ts";
import { F, type Tensor } from "../../tensor/mod.ts";

/** What {@linkcode raggedAttention} and {@linkcode pagedAttention} take both. */
export interface SequenceAttentionOptions {
  /** Whether a query sees no key behind its place. The last query of a sequence stands at its last key. */
  readonly causal?: boolean;
  /** How many keys before its place, and how many behind it, a query sees; null for all. With `causal` none behind it. Tiles outside are skipped. */
  readonly window?: readonly [before: number | null, behind: number | null];
  /** Factor of the scores. Default 1/√width. */
  readonly scale?: number;
  /** About how many keys the longest sequence has: what few queries over many keys are cut by. No result depends on it. */
  readonly mostKeys?: number;
}

/** Options of {@linkcode raggedAttention}. */
export interface RaggedAttentionOptions extends SequenceAttentionOptions {
  /** Where sequences of queries begin, and where the last one ends: integers [sequences + 1]. */
  readonly queryOffsets: Tensor;
  /** The same of keys. Default: that of queries. */
  readonly keyOffsets?: Tensor;
}

/** Options of {@linkcode pagedAttention}. */
export interface PagedAttentionOptions extends SequenceAttentionOptions {
  /** The numbers of each sequence's pages, in order: integers [sequences, pages]. What stands behind the last page that `lengths` needs is not read. */
  readonly table: Tensor;
  /** How many keys each sequence has, those of its queries included: integers [sequences]. */
  readonly lengths: Tensor;
  /** Where sequences of queries begin, and where the last one ends. Default: one query a sequence. */
  readonly queryOffsets?: Tensor;
}

function bounds(where: string, { causal = false, window }: SequenceAttentionOptions): readonly [number, number] {
  const [before, behind] = window ?? [null, null];
  for (const n of [before, behind]) {
    if (n !== null && (!Number.isInteger(n) || n < 0)) {
      throw new RangeError(`${where}: window is [${before}, ${behind}]: needs counts of keys, null for all`);
    }
  }
  return [before ?? -1, causal ? 0 : behind ?? -1];
}

function scaleOf(query: Tensor, scale: number | undefined): number {
  return scale ?? 1 / Math.sqrt(Number(query.shape[query.ndim - 1] ?? 1));
}

/**
 * Attention of sequences that stand behind each other: queries [rows, heads, width], keys and values [rows, fewer or as many heads, width] →
 * [rows, heads, width]. No sequence sees another. Rows outside of all sequences are 0.
 *
 * @throws {TypeError} if shapes do not fit, naming them
 * @throws {RangeError} if the window is none
 *
 * @example Two sequences, of 3 and of 5 tokens
 * ```ts
 * import { nn, randn, tensor } from "@tessera/tessera";
 * const [q, k, v] = [randn([8, 4, 16]), randn([8, 2, 16]), randn([8, 2, 16])];
 * const out = nn.functional.raggedAttention(q, k, v, { queryOffsets: tensor([0, 3, 8]), causal: true });
 * console.assert(String(out.shape) === "8,4,16");
 * ```
 */
export function raggedAttention(query: Tensor, key: Tensor, value: Tensor, options: RaggedAttentionOptions): Tensor {
  const { queryOffsets, keyOffsets = queryOffsets, scale, mostKeys = 0 } = options;
  const [left, right] = bounds("raggedAttention", options);
  const factor = scaleOf(query, scale);
  return F.raggedAttention(query, key, value, queryOffsets, keyOffsets, null, factor, left, right, mostKeys);
}

/**
 * Attention over keys and values in pages [pages, keys a page, heads, width], as generation keeps them: queries [rows, heads, width] → the same. Each
 * sequence has its pages, and grows by naming one more; nothing is copied together. By default `causal`.
 *
 * @throws {TypeError} if shapes do not fit, naming them
 * @throws {RangeError} if the window is none, or the table names a page that there is not
 *
 * @example Two sequences of 5 and of 2 keys in pages of 4, one query each
 * ```ts
 * import { nn, randn, tensor } from "@tessera/tessera";
 * const [keys, values] = [randn([6, 4, 2, 16]), randn([6, 4, 2, 16])];
 * const out = nn.functional.pagedAttention(randn([2, 4, 16]), keys, values, {
 *   table: tensor([[3, 0], [5, 0]]),
 *   lengths: tensor([5, 2]),
 * });
 * console.assert(String(out.shape) === "2,4,16");
 * ```
 */
export function pagedAttention(query: Tensor, keys: Tensor, values: Tensor, options: PagedAttentionOptions): Tensor {
  const { table, lengths, queryOffsets, scale, mostKeys = 0, causal = true } = options;
  const [left, right] = bounds("pagedAttention", { ...options, causal });
  const count = sizeAdd(table.shape[0] ?? 1, 1);
  const offsets = queryOffsets ?? F.arange(count, { dtype: table.dtype, device: query.device });
  const factor = scaleOf(query, scale);
  return F.raggedAttention(query, keys, values, offsets, lengths, table, factor, left, right, mostKeys);
}
