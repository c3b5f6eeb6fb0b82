/**
 * How threads of a kernel without reductions stand over its axes, beyond a run along the innermost one each.
 *
 * Enters: a kernel, its axes and the length of a run. Two things leave. Where what is read is contiguous along other axes than what is written, as in a transposition, an order in which
 * a warp covers whole sectors of both: few runs side by side, and between the outer and the inner part of the runs' axis those other axes. And where runs are short, an axis along
 * which a thread takes several positions, so that what does not vary along it is computed once and more reads are on their way.
 */
import { coefficient, constant, constantValue, floorDiv, newSym } from "../../../symbolic/mod.ts";
import type { Axis, TileKernel, TileStatement } from "../../tile/tile_ir.ts";
import { accessesIn } from "./nests.ts";
import { varying } from "./vectors.ts";

/** Bytes that a warp should write, and read, side by side. */
const SECTOR = 32;
/** Bytes that axes should have together which are contiguous where something is read. */
const LINE = 128;
/** Bytes of a thread's runs, and how many positions it takes at most. */
const [RUN_BYTES, MOST_STEPS] = [16, 4];

function stepOf(index: Parameters<typeof coefficient>[0], axis: Axis): number | null {
  const step = coefficient(index, axis.symbol);
  return step === null ? null : constantValue(step);
}

/** An order of axes, the runs' axis in two parts. */
export interface ThreadOrder {
  readonly axes: readonly Axis[];
  /** Those of them that are contiguous neither where it is read nor where it is written. */
  readonly others: readonly Axis[];
  /** The outer and the inner part of the position among runs, and how many the inner part has. */
  readonly high: Axis;
  readonly low: Axis;
  readonly runs: number;
}

/** The order for a kernel that reads along others of its axes than it writes; null where all goes along `inner`. */
export function transposedOrder(
  kernel: TileKernel,
  outer: readonly Axis[],
  inner: Axis,
  lanes: number,
): ThreadOrder | null {
  const extent = constantValue(inner.extent);
  if (lanes === 1 || extent === null || extent % lanes !== 0) return null;
  const accesses = accessesIn(kernel.body);
  const writes = accesses.filter((a) => a.write);
  if (writes.length === 0 || writes.some(({ index }) => stepOf(index, inner) !== 1)) return null;
  const strided = accesses.filter(({ index, write }) => !write && ![0, 1].includes(stepOf(index, inner) ?? 0));
  const [read] = strided;
  if (read === undefined) return null;
  // The axes that are contiguous where it is read, innermost first.
  const chain: Axis[] = [];
  let next = 1;
  for (;;) {
    const axis = outer.find((a) => !chain.includes(a) && stepOf(read.index, a) === next);
    const own = axis === undefined ? null : constantValue(axis.extent);
    if (axis === undefined || own === null || own === 1) break;
    chain.push(axis);
    next *= own;
    if (next * read.buffer.dtype.bytes >= LINE) break;
  }
  if (chain.length === 0) return null;
  const bytes = Math.max(...writes.map(({ buffer }) => buffer.dtype.bytes));
  const across = extent / lanes;
  let runs = Math.max(1, Math.min(SECTOR / (lanes * bytes), across));
  while (across % runs !== 0) runs--;
  const symbol = (name: string): Axis["symbol"] => newSym(name, { kind: "index", lower: 0 });
  const high: Axis = { ...inner, symbol: symbol("high"), extent: floorDiv(inner.extent, lanes * runs) };
  const low: Axis = { ...inner, symbol: symbol("low"), extent: constant(runs) };
  const others = outer.filter((a) => !chain.includes(a));
  return { axes: [...others, high, ...chain.toReversed(), low], others, high, low, runs };
}

/** An axis and how many of its positions a thread takes. */
export interface Steps {
  readonly axis: Axis;
  readonly count: number;
}

/** Along which axis a thread takes several positions; null where runs are long, or threads few. */
export function steppedAxis(
  kernel: TileKernel,
  outer: readonly Axis[],
  lanes: number,
  threads: number,
  fewest: number,
): Steps | null {
  const bytes = Math.max(...accessesIn(kernel.body).map(({ buffer }) => buffer.dtype.bytes)) * lanes;
  const isPlain = (s: TileStatement): boolean => s.kind !== "combine" && s.kind !== "for" && s.kind !== "philox";
  if (bytes >= RUN_BYTES || !kernel.body.every(isPlain)) return null;
  let best: Steps | null = null;
  let most = -1;
  for (const axis of outer) {
    const extent = constantValue(axis.extent);
    const count = [MOST_STEPS, 2].find((n) =>
      n * bytes <= RUN_BYTES * 2 && extent !== null && extent % n === 0 && threads / n >= fewest
    );
    if (count === undefined) continue;
    const varies = varying(kernel.body, axis.symbol);
    const still = kernel.body.filter((s) => !varies.has(s)).length;
    if (still <= most) continue;
    best = { axis, count };
    most = still;
  }
  return best;
}
