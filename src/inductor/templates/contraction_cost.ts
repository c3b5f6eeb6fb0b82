/**
 * How long a product should take on Hopper's tensor cores, by how it is cut: the cost model by which the default mode chooses tiles.
 *
 * Blocks take tiles in rounds. A round costs the steps along k and the tile's end (sums to memory), which the other warpgroup's products hide where warpgroups take tiles in turn.
 * Tiles that several blocks share cost a part of the steps, and adding the parts up; where the steps are shared evenly, every block
 * has as many as any other. The constants are fitted to measurements (`tools/fit_contractions.ts`).
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
  readonly bytesPerMicrosecond: number;
  /** For each width of a tile: a step along k, the end of a tile, and the end where it is hidden. */
  readonly widths: readonly {
    readonly width: number;
    readonly step: number;
    readonly end: number;
    readonly turn: number;
  }[];
}

/** What a way of cutting a product costs. */
export interface CostQuery {
  readonly width: number;
  readonly tiles: number;
  /** Steps of 128 bytes along k. */
  readonly steps: number;
  /** Blocks that share a tile of the last round, or all where there is no whole round; 0 for even runs of steps. */
  readonly pieces: number;
  readonly turns: boolean;
  /** Rows are gathered by threads instead of the copy engine. */
  readonly gathered: boolean;
  readonly multiprocessors: number;
  /** Bytes that have to be read and written. */
  readonly bytes: number;
}

/** Gathering keeps narrow tiles waiting. */
const GATHERED = 1.3;

/** Microseconds. */
export function contractionCost(costs: ContractionCosts, query: CostQuery): number {
  const { width, tiles, steps, pieces, turns, gathered, multiprocessors, bytes } = query;
  const own = costs.widths.find((w) => w.width === width);
  if (own === undefined) return Infinity;
  const step = own.step * (gathered && width <= 64 ? GATHERED : 1);
  const floor = costs.launch + bytes / costs.bytesPerMicrosecond;
  if (turns) {
    const rounds = Math.ceil(tiles / multiprocessors);
    return Math.max(floor, costs.launch + rounds * (steps * step + own.turn) + own.end);
  }
  if (pieces === 1) {
    return Math.max(floor, costs.launch + Math.ceil(tiles / multiprocessors) * (steps * step + own.end));
  }
  const whole = Math.floor(tiles / multiprocessors);
  const rest = tiles - whole * multiprocessors;
  if (pieces === 0) {
    const parts = Math.max(2, Math.ceil(multiprocessors / rest));
    const run = Math.ceil(rest * steps / multiprocessors) * step + own.end + costs.join + costs.stream;
    return Math.max(
      floor,
      costs.launch + whole * (steps * step + own.end) + run + parts * costs.piece * width / 128,
    );
  }
  const shared = Math.ceil(rest * pieces / multiprocessors) *
    (Math.ceil(steps / pieces) * step + own.end + costs.join + pieces * costs.piece * width / 128);
  return Math.max(floor, costs.launch + whole * (steps * step + own.end) + shared);
}
