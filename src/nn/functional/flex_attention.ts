/**
 * Attention with functions of its scores, written in TypeScript: Dong et al. 2024 (FlexAttention).
 *
 * A function gets all scores at once, with positions that broadcast over them, so it is ordinary tensor code and differentiates as such. On CUDA in
 * half precision it is recorded and becomes part of the kernels of both directions, which store no scores and skip tiles that a block mask leaves
 * out; elsewhere it is fused with what stands around it. Mirrors `torch.nn.attention.flex_attention`.
 */
import { bfloat16, bool, type Device, float16, float32, int32, int64 } from "../../core/mod.ts";
import { arange, F, Tensor } from "../../tensor/mod.ts";
import {
  type MaskFunction,
  recordScores,
  type ScoreFunction,
  scorePositions,
  type ScoreShape,
} from "./score_program.ts";

export type { MaskFunction, ScoreFunction } from "./score_program.ts";

/** Options of {@linkcode flexAttention}. */
export interface FlexAttentionOptions {
  /** Changes scores: `(score, b, h, q, kv) => score`. May read other tensors, by indexing them with positions. */
  readonly scoreMod?: ScoreFunction | null;
  /** Which keys a query sees, by tiles: from {@linkcode createBlockMask}. */
  readonly blockMask?: BlockMask | null;
  /** Factor of the scores, before `scoreMod`. Default 1/√dim. */
  readonly scale?: number | null;
  /** Keys and values may have fewer heads, a divisor of the query's. */
  readonly enableGqa?: boolean;
}

/** Options of {@linkcode createBlockMask}. */
export interface BlockMaskOptions {
  /** Queries and keys of a tile. Default 128. */
  readonly blockSize?: number;
  /** Default: the CPU. */
  readonly device?: Device | string;
}

/** Tiles of one side that each tile of the other sees: how many in part, which, how many wholly, which. */
type TileLists = readonly [partialCount: Tensor, partial: Tensor, fullCount: Tensor, full: Tensor];

/** A mask as a function, and which tiles of scores it leaves any of. */
export class BlockMask {
  /** The function. */
  readonly maskMod: MaskFunction;
  /** [batch, heads, queries, keys]; batch or heads of 1 are for all. */
  readonly shape: ScoreShape;
  /** Queries and keys of a tile. */
  readonly blockSize: number;
  /** For each tile of queries, tiles of keys: int32 [batch, heads, tiles] and [batch, heads, tiles, tiles]. */
  readonly keys: TileLists;
  /** For each tile of keys, tiles of queries. */
  readonly queries: TileLists;

  /** Use {@linkcode createBlockMask}. */
  constructor(maskMod: MaskFunction, shape: ScoreShape, blockSize: number, keys: TileLists, queries: TileLists) {
    this.maskMod = maskMod;
    this.shape = shape;
    this.blockSize = blockSize;
    this.keys = keys;
    this.queries = queries;
  }

  /** The fraction of tiles that nobody needs. */
  sparsity(): number {
    const [partial, indices, full] = this.keys;
    const seen = Number(partial.sum().item()) + Number(full.sum().item());
    return 1 - seen / Number(indices.numel);
  }
}

const MASK = "createBlockMask: maskMod";
const SCORE = "flexAttention: scoreMod";

function positionsOf(shape: ScoreShape, device: Device): Tensor[] {
  return scorePositions(shape, (extent) => arange(0, extent, 1, { dtype: int64, device }));
}

function order(holds: Tensor): Tensor {
  const tiles = Number(holds.shape[holds.ndim - 1]);
  return arange(0, tiles, 1, { dtype: int64, device: holds.device }).add(holds.logicalNot().to(int64).mul(tiles));
}

/** Tiles in the order of their numbers, those that hold first: how many, and which. */
function listTiles(holds: Tensor): readonly [Tensor, Tensor] {
  return [
    holds.to(int32).sum([-1]).to(int32),
    // Keys that order tiles by whether they hold, then by number.
    order(holds).argsort(-1).to(int32).contiguous(),
  ];
}

/**
 * Evaluates a mask once, tile by tile.
 *
 * @param maskMod `(b, h, q, kv) => bool`: int64 positions that broadcast to [batch, heads, queries, keys].
 * @param batch Sequences, or null if the mask is the same for all.
 * @param heads Heads, or null if the mask is the same for all.
 * @throws {RangeError} if a length is not positive; {TypeError} if the mask is no function of tensors, or an option is none.
 *
 * @example
 * ```ts
 * import { nn } from "@tessera/tessera";
 * const window = nn.functional.createBlockMask(
 *   (_b, _h, q, kv) => q.ge(kv).logicalAnd(q.sub(kv).le(256)), null, null, 1024, 1024);
 * console.assert(window.sparsity() > 0.5);
 * ```
 */
export function createBlockMask(
  maskMod: MaskFunction,
  batch: number | null,
  heads: number | null,
  queries: number,
  keys: number,
  options: BlockMaskOptions = {},
): BlockMask {
  if (typeof maskMod !== "function") {
    throw new TypeError(`createBlockMask: maskMod is a ${typeof maskMod}: give a function (b, h, q, kv) => bool`);
  }
  for (const key of Object.keys(options)) {
    if (key !== "blockSize" && key !== "device") {
      throw new TypeError(`createBlockMask: there is no option "${key}"; there are blockSize, device`);
    }
  }
  const { blockSize: size = 128, device } = options;
  const shape: ScoreShape = [batch ?? 1, heads ?? 1, queries, keys];
  if (shape.some((s) => !(s >= 1)) || !(size >= 1) || !Number.isInteger(size)) {
    throw new RangeError(
      `createBlockMask: sizes must be positive and whole, got [${shape.join(", ")}] and tiles of ${size}`,
    );
  }
  const where = arange(0, 1, 1, device === undefined ? {} : { device }).device;
  const [b, h, q, kv] = positionsOf(shape, where);
  if (b === undefined || h === undefined || q === undefined || kv === undefined) throw new RangeError("no positions");
  const kept = resultOf(called(MASK, () => maskMod(b, h, q, kv)), MASK, shape).to(bool).broadcastTo([...shape]).to(
    float32,
  );
  const tiles = [queries, keys].map((length) => Math.ceil(length / size));
  const [m = 1, n = 1] = tiles;
  const padded = F.constantPadNd(kept, [0, n * size - keys, 0, m * size - queries]);
  const counts = padded.reshape([shape[0], shape[1], m, size, n, size]).sum([3, 5]);
  const full = counts.eq(size * size);
  const partial = counts.gt(0).logicalAnd(full.logicalNot());
  const lists = (turned: boolean): TileLists => {
    const side = (x: Tensor): Tensor => turned ? x.transpose(-2, -1).contiguous() : x;
    return [...listTiles(side(partial)), ...listTiles(side(full))];
  };
  return new BlockMask(maskMod, shape, size, lists(false), lists(true));
}

function staticShape(q: Tensor, k: Tensor): ScoreShape | null {
  const sizes = [q.shape[0], q.shape[1], q.shape[2], k.shape[2]];
  return sizes.every((s) => typeof s === "number") ? sizes as unknown as ScoreShape : null;
}

const OPTIONS: ReadonlySet<string> = new Set(["scoreMod", "blockMask", "scale", "enableGqa"]);

function checkOptions(options: FlexAttentionOptions): void {
  for (const key of Object.keys(options)) {
    if (!OPTIONS.has(key)) {
      throw new TypeError(`flexAttention: there is no option "${key}"; there are ${[...OPTIONS].join(", ")}`);
    }
  }
  const { scoreMod = null, blockMask = null } = options;
  if (scoreMod !== null && typeof scoreMod !== "function") {
    throw new TypeError(
      "flexAttention: scoreMod must be a function (score, b, h, q, kv) => score; a mask of tiles is the option blockMask",
    );
  }
  if (blockMask !== null && !(blockMask instanceof BlockMask)) {
    throw new TypeError(
      `flexAttention: blockMask is a ${typeof blockMask}: make it with createBlockMask(maskMod, batch, heads, queries, keys)`,
    );
  }
}

/** What operands have in common. `k` and `v` may have fewer heads with `enableGqa`. */
function checkOperands(q: Tensor, k: Tensor, v: Tensor, enableGqa: boolean): void {
  const named = [["query", q], ["key", k], ["value", v]] as const;
  if (k.dtype !== q.dtype || v.dtype !== q.dtype) {
    throw new TypeError(
      `flexAttention: query, key and value are ${named.map(([, t]) => t.dtype.name).join(", ")}: give them one dtype`,
    );
  }
  if (!q.dtype.isFloat) throw new TypeError(`flexAttention: query is ${q.dtype.name}: use a floating point dtype`);
  if (k.device.type !== q.device.type || v.device.type !== q.device.type) {
    throw new TypeError(
      `flexAttention: query, key and value are on ${named.map(([, t]) => String(t.device)).join(", ")}: use one device`,
    );
  }
  if (named.some(([, t]) => t.ndim !== 4)) {
    const ranks = named.map(([, t]) => t.ndim).join(", ");
    throw new TypeError(
      `flexAttention: query, key and value are [batch, heads, length, width], got ${ranks} dimensions`,
    );
  }
  const size = (t: Tensor, d: number): number => Number(t.shape[d]);
  const fail = (what: string, d: number, remedy: string): never => {
    throw new TypeError(
      `flexAttention: ${what} are ${named.map(([name, t]) => `${size(t, d)} (${name})`).join(", ")}: ${remedy}`,
    );
  };
  if (size(k, 0) !== size(v, 0) || (size(k, 0) !== size(q, 0) && size(k, 0) !== 1)) {
    fail("batches", 0, "make them equal, or those of key and value 1");
  }
  if (size(k, 1) !== size(v, 1)) fail("heads", 1, "key and value must have equally many");
  if (size(k, 1) !== size(q, 1) && !enableGqa) fail("heads", 1, "make them equal, or share heads with enableGqa: true");
  if (size(k, 2) !== size(v, 2)) fail("lengths", 2, "key and value must be equally long");
  if (size(q, 3) !== size(k, 3)) fail("widths", 3, "query and key must be equally wide");
}

/** Calls a function of the program on tensors that stand for all scores. */
function called(where: string, fn: () => Tensor): unknown {
  try {
    return fn();
  } catch (error) {
    if (!(error instanceof TypeError) || !error.message.startsWith("item:")) throw error;
    throw new TypeError(`${where} uses a tensor as a number: ${COMPUTE}`, { cause: error });
  }
}

const COMPUTE = "JavaScript's own operators see no tensors; write q.ge(kv), a.logicalAnd(b), score.mul(2), …";

function checkShapes(q: Tensor, k: Tensor, mask: BlockMask | null): void {
  if (mask === null) return;
  // The mask is for these lengths only, so a compiled function is made anew for others.
  const own = [q.shape[0], q.shape[1], q.shape[2], k.shape[2]].map(Number);
  const fits = mask.shape.every((s, d) => s === own[d] || (d < 2 && s === 1));
  if (!fits) {
    throw new TypeError(
      `flexAttention: the block mask is for [${mask.shape.join(", ")}], and the scores are [${own.join(", ")}]`,
    );
  }
}

/** What a function of the program gave for scores of `shape`. */
function resultOf(result: unknown, where: string, shape: ScoreShape): Tensor {
  if (!(result instanceof Tensor)) {
    throw new TypeError(`${where} must return a tensor, got ${typeof result}: ${COMPUTE}`);
  }
  const { shape: own } = result;
  const skipped = shape.length - own.length;
  if (skipped < 0 || own.some((s, d) => Number(s) !== 1 && Number(s) !== shape[d + skipped])) {
    throw new TypeError(`${where} returned [${own.join(", ")}], which does not broadcast to [${shape.join(", ")}]`);
  }
  return result;
}

/** The same on all scores at once: what the function means, differentiable in everything. */
function composed(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  scale: number,
  scoreMod: ScoreFunction | null,
  mask: BlockMask | null,
): Tensor {
  const wide = q.dtype === float16 || q.dtype === bfloat16 ? float32 : q.dtype;
  const shape = [q.shape[0], q.shape[1], q.shape[2], k.shape[2]].map(Number) as unknown as ScoreShape;
  const [b, h, m, n] = positionsOf(shape, q.device);
  if (b === undefined || h === undefined || m === undefined || n === undefined) throw new TypeError("no positions");
  const plain = q.to(wide).matmul(k.to(wide).transpose(-2, -1)).mul(scale);
  let scores = scoreMod === null
    ? plain
    : resultOf(called(SCORE, () => scoreMod(plain, b, h, m, n)), SCORE, shape).to(wide).broadcastTo([...shape]);
  if (mask !== null) {
    scores = scores.maskedFill(
      resultOf(mask.maskMod(b, h, m, n), "flexAttention: maskMod", shape).to(bool).logicalNot(),
      -Infinity,
    );
  }
  return F._safeSoftmax(scores, -1).matmul(v.to(wide)).to(q.dtype);
}

/**
 * softmax(scoreMod(query·keyᵀ·scale))·value, for the keys that a block mask keeps. Queries that see no key give zeros.
 *
 * Differentiable, in tensors that `scoreMod` reads as well (then scores are stored). In half precision on CUDA, with sizes that are known, functions are recorded
 * and run inside of the attention kernels; there they may compute element by element only, and index other tensors by positions.
 *
 * @param query [batch, heads, queries, dim]
 * @param key [batch, heads, keys, dim]
 * @param value [batch, heads, keys, valueDim]
 * @throws {TypeError} if dtypes, devices, or shapes do not fit, for options that are none, or if a function for CUDA does more than computing element by element.
 *
 * @example
 * ```ts
 * import { nn, randn } from "@tessera/tessera";
 * const { createBlockMask, flexAttention } = nn.functional;
 * const [q, k, v] = [randn([1, 2, 64, 16]), randn([1, 2, 64, 16]), randn([1, 2, 64, 16])];
 * const blockMask = createBlockMask((_b, _h, q, kv) => q.ge(kv), null, null, 64, 64);
 * const y = flexAttention(q, k, v, { blockMask, scoreMod: (s) => s.div(20).tanh().mul(20) });
 * console.assert(y.shape[3] === 16);
 * ```
 */
export function flexAttention(query: Tensor, key: Tensor, value: Tensor, options: FlexAttentionOptions = {}): Tensor {
  checkOptions(options);
  const { scoreMod = null, blockMask = null, enableGqa = false } = options;
  checkOperands(query, key, value, enableGqa);
  const scale = options.scale ?? 1 / Math.sqrt(Number(query.shape[query.ndim - 1]));
  let [k, v] = [key, value];
  if (enableGqa) {
    const groups = Number(query.shape[1]) / Number(key.shape[1]);
    if (!Number.isInteger(groups)) {
      throw new TypeError(`flexAttention: ${query.shape[1]} heads of queries do not divide by ${key.shape[1]} of keys`);
    }
    [k, v] = [repeatHeads(key, groups), repeatHeads(value, groups)];
  }
  checkShapes(query, k, blockMask);
  const shape = staticShape(query, k);
  const isHalf = query.dtype === float16 || query.dtype === bfloat16;
  if (query.device.type !== "cuda" || !isHalf || shape === null) {
    return composed(query, k, v, scale, scoreMod, blockMask);
  }
  const mask = blockMask?.maskMod ?? null;
  const { text, captured } = recordScores(
    shape,
    query.device,
    scoreMod,
    mask,
    (device) => positionsOf(shape, device),
  );
  if (captured.some((t) => t.requiresGrad)) return composed(query, k, v, scale, scoreMod, blockMask);
  const blocks = blockMask === null || blockMask.blockSize !== 128
    ? []
    : [...blockMask.keys, ...blockMask.queries].map((t) => t.to(query.device));
  return F.flexForward(query, k, v, captured, blocks, text, scale)[0] as Tensor;
}

function repeatHeads(x: Tensor, groups: number): Tensor {
  const [b, h, n, d] = x.shape.map(Number) as [number, number, number, number];
  return groups === 1 ? x : x.unsqueeze(2).expand([b, h, groups, n, d]).reshape([b, h * groups, n, d]);
}
