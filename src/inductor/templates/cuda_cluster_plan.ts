/**
 * How products of few tiles are cut on Hopper, where blocks of a cluster share the sum of one tile.
 *
 * Enters: a product whose operands the copy engine reads. Leaves: the shapes of tiles, the best one by a cost model first. A block has 64 rows for each of its warpgroups, and a part of k;
 * there is one round of blocks. Nothing is written here.
 */
import { constantValue, type Expr, freeSymbols, mul } from "../../symbolic/mod.ts";
import type { EmitContext } from "../codegen/cuda/kernel_text.ts";
import { guess } from "../tile/axes.ts";
import type { Axis, ContractionKernel } from "../tile/tile_ir.ts";
import { tileCount } from "./cuda_contraction.ts";
import { LINE, type Matrix, type Prepared } from "./cuda_hopper_plan.ts";
import { productOf } from "./cuda_operands.ts";

/** Rows of a warpgroup. */
export const GROUP_ROWS = 64;
const SHARED_LIMIT = 227 * 1024;
/** Bytes of a warp's sums on their way to the epilogue. */
export const SLAB_BYTES = 16 * 64 * 4;
const MOST_STAGES = 12;

/** Rows and columns of a tile, and the blocks that share its sum. */
export interface ClusterShape {
  readonly m: number;
  readonly n: number;
  readonly pieces: number;
}

/** Both operands are matrices. */
export type ClusterPrepared = Prepared & { readonly rows: Matrix };

/** How many blocks of a cluster end a tile: each has so many columns, in runs of 8. */
export function ownersOf({ n, pieces }: ClusterShape): number {
  let owners = pieces;
  while (n % (8 * owners) !== 0) owners--;
  return owners;
}

/** Where things lie in shared memory. */
export interface ClusterRoom {
  readonly stages: number;
  /** Bytes of what this block sends, which lies where the ring was. */
  readonly staging: number;
  /** Bytes of the ring, of the parts that others send, and of all. */
  readonly ring: number;
  readonly parts: number;
  readonly bytes: number;
}

/** Registers that a thread needs beside its sums. */
const OTHER_REGISTERS = 46;

/** How many blocks a multiprocessor has for one round of so many: two where one each is too few, and where there are registers for both; 0 if that is too few as well. */
export function blocksEach({ m, n, pieces }: ClusterShape, blocks: number, multiprocessors: number): number {
  if (blocks <= blocksAtOnce(pieces, multiprocessors)) return 1;
  const registers = Math.floor(65536 / (2 * (2 * m + 32)) / 8) * 8;
  return blocks <= 2 * multiprocessors && pieces <= 2 && n / 2 + OTHER_REGISTERS <= registers ? 2 : 0;
}

/** Shared memory of a shape, `each` blocks of which share a multiprocessor; null where two stages do not fit. */
export function roomOf(shape: ClusterShape, steps: number, each: number): ClusterRoom | null {
  const { m, n, pieces } = shape;
  const owners = ownersOf(shape);
  const part = m * (n / owners) * 4;
  const parts = (pieces - 1) * part;
  const staging = pieces === 1 ? 0 : (owners === pieces ? owners - 1 : owners) * part;
  const stage = (m + n) * LINE;
  const limit = Math.floor((SHARED_LIMIT + 1024) / each / 1024) * 1024 - 1024;
  const free = limit - 1024 - 256 - parts;
  const stages = Math.min(MOST_STAGES, Math.floor(free / stage), Math.max(2, Math.ceil(steps / pieces)));
  const ring = Math.max(stages * stage, staging + m / 16 * SLAB_BYTES);
  const bytes = ring + parts + stages * 16 + 16 + 1024;
  return stages < 2 || bytes > limit ? null : { stages, staging, ring, parts, bytes };
}

/** Widest tile for so many warpgroups, which share the registers of a multiprocessor. */
const WIDEST: readonly number[] = [0, 256, 256, 192, 128];
const WIDTHS: readonly number[] = [256, 240, 224, 208, 192, 176, 160, 144, 128, 112, 104, 96, 88, 80, 72, 64, 48, 32];
const MOST_PIECES = 8;

/** Blocks that run at once in clusters of a size: clusters stay within groups of about 16 multiprocessors, of which large ones leave some idle (clusters of 5 ran in two rounds). */
function blocksAtOnce(pieces: number, multiprocessors: number): number {
  if (pieces <= 2) return Math.floor(multiprocessors / pieces) * pieces;
  return Math.floor(multiprocessors / 16) * Math.floor((pieces === 3 ? 16 : 14) / pieces) * pieces;
}

/** Constants of an H100, in microseconds unless said otherwise: `bench/cuda_contractions.ts`. */
const COSTS = {
  /** A launch, the first bytes of memory, and the end of a tile. */
  launch: 5.2,
  /** What a cluster costs, and each block of it. */
  cluster: 0.3,
  member: 0.1,
  /** Bytes that a block sends to others, and those of its results. */
  sent: 25e3,
  stored: 22e3,
  clock: 1700,
  /** Lines of 128 bytes that the second cache gives to all. */
  lines: 85e3,
  /** Bytes of memory, which writes out what was in the cache as it reads. */
  bytes: 2.2e6,
  /** What of the shorter of both, steps and memory, the longer one does not hide. */
  beside: 0.2,
} as const;
/** How much faster than the template whose blocks stay a product must be: both models err. That one's takes streams of weights for faster than they are (21.8 instead of 25.0 us of 64 × 4096 × 4096). */
const CAUTION = 1.05;
const STREAMS = 0.85;
/** What streams lose where half of the multiprocessors ask for nothing: 8 × 4096 × 4096 took 14.2 us in 64 blocks, 16 × 4096 × 4096 9.3 in 128, of weights in the second cache. */
const HALF = 1.03;
/** Columns up to which a product is a stream of weights. */
const FEW_COLUMNS = 64;
/** Cycles of a step at least. */
const LEAST_CYCLES = 230;

/** What decides how long a product takes in a shape. */
export interface ClusterQuery {
  readonly shape: ClusterShape;
  readonly blocks: number;
  /** Blocks that share a multiprocessor. */
  readonly each: number;
  readonly steps: number;
  /** Rows begin anywhere in lines of 128 bytes. */
  readonly straddles: boolean;
  /** Bytes that have to be read and written. */
  readonly bytes: number;
}

/**
 * Microseconds of a product. A step takes what the tensor cores take, or what shared memory takes and gives at 128 bytes a cycle; all steps together take what the second cache needs for their
 * lines (two a row that straddles them), or the memory for what it has not. What is sent to others and what is stored comes on top.
 */
export function clusterCost({ shape, blocks, each, steps, straddles, bytes }: ClusterQuery): number {
  const { m, n, pieces } = shape;
  const own = m * n / ownersOf(shape);
  // Every warpgroup reads its rows and all columns of what was copied.
  const shared = (m + n + m + n * m / GROUP_ROWS) * LINE / 128;
  const cycles = Math.max(m * n / 32, shared, LEAST_CYCLES);
  const most = Math.ceil(steps / pieces);
  const loop = each * most * cycles / COSTS.clock;
  const lines = blocks * most * (m + n) * (straddles ? 2 : 1) / COSTS.lines;
  const together = pieces === 1 ? 0 : COSTS.cluster + COSTS.member * pieces;
  const sent = pieces === 1 ? 0 : COSTS.cluster + (m * n - (ownersOf(shape) === pieces ? own : 0)) * 4 / COSTS.sent;
  // The first steps wait for memory, of which later ones find a part in the second cache.
  const memory = bytes / COSTS.bytes;
  const run = Math.max(loop, lines, memory) + COSTS.beside * Math.min(loop, memory);
  return COSTS.launch + together + run + sent + own * 2 / COSTS.stored;
}

/** Bytes that the epilogue reads and writes for each place of the result. */
function bytesAt({ epilogue }: ContractionKernel): number {
  const within = (axes: readonly Axis[], index: Expr): boolean =>
    axes.some(({ symbol }) => freeSymbols(index).has(symbol));
  let sum = 0;
  for (const st of epilogue.body) {
    if (st.kind !== "load" && st.kind !== "store") continue;
    if (within(epilogue.m, st.index) && within(epilogue.n, st.index)) sum += st.buffer.dtype.bytes;
  }
  return sum;
}

/** The ways to cut a product for one round of blocks, the one that should be fastest first. */
export function clusterShapesOf(
  prepared: ClusterPrepared,
  context: EmitContext,
): { shape: ClusterShape; cost: number }[] {
  const { kernel, element, rows, columns } = prepared;
  const { bytes } = element.dtype;
  const k = productOf(kernel.k);
  const steps = Math.ceil(guess(k) * bytes / LINE);
  const isStatic = constantValue(mul(kernel.m, kernel.n, k)) !== null;
  const [height, width] = [guess(kernel.m), guess(kernel.n)];
  const straddles = [rows, columns].some(({ map }) => {
    const stride = map.strideBytes[0];
    return stride !== undefined && (constantValue(stride) ?? LINE) % LINE !== 0;
  });
  const batches = tileCount(kernel, height, width);
  const moved = batches * (bytes * (height + width) * guess(k) + height * width * bytesAt(kernel));
  // The shorter side may be one tile as wide as it is.
  const exact = Math.ceil(width / 8) * 8;
  const widths = exact < 256 && !WIDTHS.includes(exact) ? [exact, ...WIDTHS] : WIDTHS;
  const out: { shape: ClusterShape; cost: number }[] = [];
  for (const [groups, widest] of WIDEST.entries()) {
    const m = groups * GROUP_ROWS;
    if (groups === 0 || (groups > 1 && height <= m - GROUP_ROWS)) continue;
    for (const n of widths) {
      if (n > widest || (columns.along === "rows" && n % 64 !== 0)) continue;
      if (n > exact && n - exact >= 8 && n > 64) continue;
      // Weights are read once where all of few rows are one tile (64 × 4096 × 4096 took 24.0 us in two, 22.7 in one).
      if (exact <= FEW_COLUMNS && n < exact) continue;
      const add = (shape: ClusterShape, blocks: number): void => {
        const each = blocksEach(shape, blocks, context.multiprocessors);
        if (each === 0 || roomOf(shape, steps, each) === null) return;
        const cost = clusterCost({ shape, blocks, each, steps, straddles, bytes: moved });
        const idle = 2 * blocks <= context.multiprocessors ? HALF : 1;
        out.push({ shape, cost: cost * (width <= FEW_COLUMNS ? STREAMS * idle : CAUTION) });
      };
      for (let pieces = 1; pieces <= (isStatic ? Math.min(MOST_PIECES, steps >> 1) : 1); pieces++) {
        add({ m, n, pieces }, pieces * tileCount(kernel, m, n));
      }
    }
  }
  return out.sort((x, y) => x.cost - y.cost);
}
