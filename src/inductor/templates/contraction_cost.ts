/**
 * How long a product should take on Hopper's tensor cores, by how it is cut: the cost model by which the default mode chooses tiles.
 *
 * Blocks take tiles in rounds. A round costs the steps along k and the tile's end, where sums go through the epilogue to memory: so much a tile, and more the more is done with each
 * element. Where warpgroups take tiles in turn the other one's products hide the end, as far as they take as long. A step costs what the tensor cores need, or what shared memory does: narrow
 * tiles read it more often than it can be read. Rows whose beginnings are no multiples of a line of 128 bytes cost two requests of the second cache each, which is what a step takes then if it is more.
 * Tiles that several blocks share cost a part of the steps, and adding the parts up; where the steps are shared evenly, every block has as many as any other. Memory works
 * beside all that: the longer of both counts, and a little of the shorter. The constants are fitted to measurements (`tools/fit_contractions.ts`).
 */

/** Constants of a device, in microseconds. */
export interface ContractionCosts {
  readonly device: string;
  /** What every launch costs. */
  readonly launch: number;
  /** What each further piece of a shared tile costs, and sharing at all. */
  readonly piece: number;
  readonly join: number;
  /** What it costs that blocks' runs of steps end anywhere. */
  readonly stream: number;
  /** What a row of a step takes that straddles lines, where all multiprocessors ask the second cache for such rows. */
  readonly straddle: number;
  /** What a step of blocks in pairs takes, as a multiple. */
  readonly pair: number;
  /** What an instruction for each element of a tile of 128 × 128 takes at the tile's end, by all warps of a block and by one warpgroup alone. */
  readonly work: number;
  readonly workAlone: number;
  readonly bytesPerMicrosecond: number;
  /** For each tile: a step along k, its end, and the end that one warpgroup writes while another multiplies. */
  readonly tiles: readonly {
    readonly height: number;
    readonly width: number;
    readonly step: number;
    readonly end: number;
    readonly turn: number;
  }[];
}

/** What a way of cutting a product costs. */
export interface CostQuery {
  readonly height: number;
  readonly width: number;
  readonly tiles: number;
  /** Steps of 128 bytes along k. */
  readonly steps: number;
  /** Blocks that share a tile of the last round, or all where there is no whole round; 0 for even runs of steps. */
  readonly pieces: number;
  readonly turns: boolean;
  /** Blocks are pairs that read columns for each other. */
  readonly mates: boolean;
  /** Rows begin anywhere in lines of 128 bytes. */
  readonly straddles: boolean;
  /** Rows are gathered by threads instead of the copy engine. */
  readonly gathered: boolean;
  readonly multiprocessors: number;
  /** Instructions for each element at a tile's end, about. */
  readonly work: number;
  /** Bytes that have to be read and written. */
  readonly bytes: number;
}

/** Gathering keeps narrow tiles waiting. */
const GATHERED = 1.3;

/** Microseconds. */
export function contractionCost(costs: ContractionCosts, query: CostQuery): number {
  const { height, width, tiles, steps, pieces, turns, mates, gathered, multiprocessors, work, bytes } = query;
  const own = costs.tiles.find((t) => t.height === height && t.width === width);
  if (own === undefined) return Infinity;
  const alone = own.step * (gathered && width <= 64 ? GATHERED : 1) * (mates ? costs.pair : 1);
  const rows = height + (mates ? width / 2 : width);
  const requests = rows * costs.straddle * Math.min(1, tiles / multiprocessors);
  const step = query.straddles ? Math.max(alone, requests) : alone;
  const area = height * width / 128 ** 2;
  const main = steps * step;
  const rounds = Math.ceil(tiles / multiprocessors);
  const memory = bytes / costs.bytesPerMicrosecond;
  const total = (busy: number): number => costs.launch + Math.cbrt(busy ** 3 + memory ** 3);
  if (turns) {
    const end = own.turn + costs.workAlone * work * area;
    return total((rounds - 1) * Math.max(main, (main + end) / 2) + main + end);
  }
  const end = own.end + costs.work * work * area;
  if (pieces === 1) return total(rounds * (main + end));
  const whole = Math.floor(tiles / multiprocessors);
  const rest = tiles - whole * multiprocessors;
  if (pieces === 0) {
    const parts = Math.max(2, Math.ceil(multiprocessors / rest));
    const run = Math.ceil(rest * steps / multiprocessors) * step + end + costs.join + costs.stream;
    return total(whole * (main + end) + run + parts * costs.piece * width / 128);
  }
  const shared = Math.ceil(rest * pieces / multiprocessors) *
    (Math.ceil(steps / pieces) * step + end + costs.join + pieces * costs.piece * width / 128);
  return total(whole * (main + end) + shared);
}
