/**
 * Cuts the axes of a loop group for a device: which is a vector, in which order they run, which run at once.
 *
 * Scalar targets only reorder (the axis along which most accesses are contiguous runs innermost). Vector targets give one axis a block of several
 * registers: the last reduced axis for reductions along rows, an outer axis for reductions along columns.
 */
import { foldValue, loadsOf, type LoopVar, primitive, type PrimitiveName } from "../../loops/mod.ts";
import { dependsOn, type Expr } from "../../symbolic/mod.ts";
import type { ScatterStage, Stage } from "../groups.ts";
import {
  type Access,
  exprsOf,
  extent,
  guess,
  guessProduct,
  isInjective,
  isStreamed,
  motion,
  vectorScore,
} from "./axes.ts";
import { type LoopSpace, workOf } from "./lower_loops.ts";
import { keptAxes } from "./passes.ts";
import { PHASED, type TileTarget } from "./target.ts";
import type { Axis } from "./tile_ir.ts";

/** Reductions over at least this many elements, with fewer results than workers, are shared by the workers. */
const SPLIT_ELEMENTS = 32768;

/** The axes of a kernel. */
export interface Cut {
  readonly grid: readonly Axis[];
  readonly loops: readonly Axis[];
  readonly parallelAxes: number;
  /** The outermost reduced axis is shared by workers. */
  readonly split: boolean;
}

/** Decides. */
export function cutAxes(space: LoopSpace, target: TileTarget): Cut {
  const scatters = space.stages.filter((s): s is ScatterStage => s.kind === "scatter");
  const accesses = accessesOf(space);
  const vector = target.vectorLanes > 1 ? chooseVector(space, scatters, accesses, target.vectorLanes) : null;
  const injective = space.axes.filter((v) => scatters.every((s) => isInjective(s.index, v)));
  const order = scatters.length > 0
    ? [...innermostLast(injective, vector), ...space.axes.filter((v) => !injective.includes(v))]
    : innermostLast(space.axes, vector ?? bestInnermost(space, accesses));
  const loops = innermostLast(space.reduceAxes, vector);
  const turned = vector === null || scatters.length > 0 || loops.length > 0
    ? null
    : turnedAxis(space, accesses, vector);
  const streams = vector !== null && turned !== null &&
    space.stages.some((s) => isStored(space, s) && isStreamed(s.out, s.index, vector, target.vectorLanes));
  const block = vector === null
    ? 1
    : streams
    ? STREAMED_REGISTERS * target.vectorLanes
    : blockOf(space, vector, target.vectorLanes, turned !== null);
  const axis = (v: LoopVar, role: Axis["role"]): Axis => ({
    symbol: v,
    extent: extent(v),
    block: v === vector ? block : 1,
    role,
  });
  const grid = innermostLast(order, turned).map((v) => axis(v, "grid"));
  const instances = grid.reduce((n, a) => n * Math.ceil(guess(a.extent) / a.block), 1);
  return {
    grid,
    loops: loops.map((v) => axis(v, "loop")),
    parallelAxes: scatters.length > 0 ? injective.length : turned === null ? grid.length : grid.length - 1,
    split: target.workers > 1 && scatters.length === 0 && loops.length > 0 && instances < target.workers &&
      guessProduct(space.axes) * guessProduct(space.reduceAxes) >= SPLIT_ELEMENTS,
  };
}

/** The axes of a kernel that carries reductions over its rows. */
export interface CrossCut {
  /** Over the outer axes, outermost first. */
  readonly rows: readonly Axis[];
  readonly loops: readonly Axis[];
  /** The outermost loop is shared by workers. */
  readonly split: boolean;
}

/** Rows from which on an axis is worth sharing. */
const SHARED_ROWS = 16;

/**
 * Decides for a group with cross reductions. Every axis is a loop. A vector along an outer axis must be kept by every array of accumulators: its lanes
 * go to accumulators of their own.
 */
export function cutCross(space: LoopSpace, target: TileTarget): CrossCut {
  const kept = space.stages.filter((s) => s.kind === "cross").map(keptAxes).filter((set) => set.size > 0);
  const isAllowed = (v: LoopVar): boolean => space.reduceAxes.includes(v) || kept.every((set) => set.has(v));
  const accesses = accessesOf(space);
  const vector = target.vectorLanes > 1 ? chooseVector(space, [], accesses, target.vectorLanes, isAllowed) : null;
  const block = vector === null ? 1 : blockOf(space, vector, target.vectorLanes);
  const axis = (v: LoopVar): Axis => ({ symbol: v, extent: extent(v), block: v === vector ? block : 1, role: "loop" });
  const ordered = innermostLast(space.axes, vector);
  // Workers share the outermost loop: the first one that is long enough for all of them, or the longest.
  const longest = ordered.toSorted((x, y) => guess(extent(y)) - guess(extent(x)))[0];
  const shared = ordered.find((v) => guess(extent(v)) >= SHARED_ROWS) ?? longest;
  const rows = shared === undefined ? ordered : [shared, ...ordered.filter((v) => v !== shared)];
  return {
    rows: rows.map(axis),
    loops: innermostLast(space.reduceAxes, vector).map(axis),
    split: target.workers > 1 && guessProduct(space.axes) * guessProduct(space.reduceAxes) >= SPLIT_ELEMENTS,
  };
}

function innermostLast(vars: readonly LoopVar[], last: LoopVar | null): readonly LoopVar[] {
  return last === null || !vars.includes(last) ? vars : [...vars.filter((v) => v !== last), last];
}

/**
 * The axis to run inside of the vector's, for transposes: a load that strides along the vector touches a cache line a lane, and the
 * next step along the axis in which the load is contiguous finds all of them again.
 */
function turnedAxis(space: LoopSpace, accesses: readonly Access[], vector: LoopVar): LoopVar | null {
  for (const { index, write } of accesses) {
    if (write || motion(index, vector) !== "strided") continue;
    for (const v of space.axes) {
      if (v !== vector && guess(extent(v)) >= 8 && motion(index, v) === "contiguous") return v;
    }
  }
  return null;
}

function isStored(space: LoopSpace, stage: Stage): boolean {
  return stage.kind === "scatter" || space.stored.has(stage.out);
}

/** Accesses in the innermost loops: the others do not count there. */
function accessesOf(space: LoopSpace): Access[] {
  const all: Access[] = exprsOf(space.stages.map((s) => s.value)).loads;
  for (const stage of space.stages) {
    if (isStored(space, stage)) all.push({ buffer: stage.out, index: stage.index, write: true });
  }
  if (space.reduceAxes.length === 0) return all;
  const inner = all.filter(({ index }) =>
    space.reduceAxes.some((v) => dependsOn(index, v) || motion(index, v) === "irregular")
  );
  return inner.length > 0 ? inner : all;
}

/** The axis that should run innermost in scalar code, if that is clearly better than the last one. */
function bestInnermost(space: LoopSpace, accesses: readonly Access[]): LoopVar | null {
  const last = space.axes[space.axes.length - 1];
  if (last === undefined || space.reduceAxes.length > 0) return null;
  let best = last;
  let score = vectorScore(accesses, last) * 1.2;
  for (const v of space.axes) {
    const own = guess(extent(v)) < 4 ? 0 : vectorScore(accesses, v);
    if (own > score) {
      best = v;
      score = own;
    }
  }
  return best;
}

/** The axis to vectorise, or null where scalar code is as good. */
function chooseVector(
  space: LoopSpace,
  scatters: readonly ScatterStage[],
  accesses: readonly Access[],
  lanes: number,
  isAllowed: (v: LoopVar) => boolean = () => true,
): LoopVar | null {
  let best: LoopVar | null = null;
  let bestScore = 0;
  const consider = (v: LoopVar, factor: number): void => {
    if (!isAllowed(v) || scatters.some((s) => !isInjective(s.index, v)) || !fitsLanes(space, v)) return;
    const size = guess(extent(v));
    const blocks = Math.ceil(size / lanes);
    // Lanes that idle in the tail cost as much as the others.
    const score = vectorScore(accesses, v) * factor * size / (blocks * lanes);
    if (score > bestScore) {
      best = v;
      bestScore = score;
    }
  };
  // In order from the innermost: a tie goes to the inner axis.
  for (const v of [...space.reduceAxes].reverse()) consider(v, Math.min(1, 0.6 + 0.1 * guess(extent(v)) / lanes));
  for (const v of [...space.axes].reverse()) consider(v, 1);
  return bestScore > 1.2 / lanes ? best : null;
}

const LARGEST_LANE = 2 ** 31 - 1;

/** Whether what lanes have to compute along `v`, positions and irregular indices, is known to fit 32 bits. A symbolic size counts as small. */
function fitsLanes(space: LoopSpace, v: LoopVar): boolean {
  const isLarge = (e: Expr): boolean =>
    (Number.isFinite(e.upper) && e.upper > LARGEST_LANE) || (Number.isFinite(e.lower) && e.lower < -LARGEST_LANE);
  const { exprs, loads } = exprsOf(space.stages.map((s) => s.value));
  const memory = new Set<Expr>(loads.map((l) => l.index));
  for (const e of exprs) if (!memory.has(e) && dependsOn(e, v) && isLarge(e)) return false;
  const stores = space.stages.map((s): Access => ({ buffer: s.out, index: s.index, write: true }));
  return [...loads, ...stores].every(({ buffer, index }) =>
    motion(index, v) !== "irregular" || !(isLarge(index) || isLarge(buffer.numel))
  );
}

/** Registers in a row from which on many columns are reduced at once. */
const WIDE_COLUMNS = 64;
/**
 * Bytes of each row that a step of a reduction along columns reads: two of the processor's fetched pairs of lines are half as fast as eight. An
 * accumulator of each column is in a register, of which there are 32 or 16, so shorter vectors and positions beside values halve it.
 */
const COLUMN_BYTES = 1024;
/** Registers that a transpose past the caches writes to each row: two lines. What is read should not be more than a set of the second cache holds. */
const STREAMED_REGISTERS = 2;
/** Registers for functions that take several at once, where little else is done. */
const PHASED_REGISTERS = 8, PHASED_WORK = 8;
/** Registers for long computations on elements of one buffer, whose operations then alternate; longer ones would leave the registers. */
const CHAIN_REGISTERS = 4, CHAIN_WORK = { least: 32, most: 1024 };
/** The cost from which on an operation is a function. */
const FUNCTION_COST = 6;

/** Whether a value takes registers of its own beside the accumulators: an exponential does, a product does not. */
function callsFunctions(space: LoopSpace): boolean {
  // What is done with results, a root of a sum, say, is done once.
  const walked = space.stages.filter((s) => s.kind === "reduction" || (s.kind !== "scatter" && s.space === "inner"));
  return calls(walked, (op) => primitive(op).cost >= FUNCTION_COST);
}

function calls(stages: readonly Stage[], isMeant: (op: PrimitiveName) => boolean): boolean {
  let found = false;
  foldValue(stages.map((s) => s.value), (value) => {
    if (value.kind === "pointwise" && isMeant(value.op)) found = true;
    return null;
  });
  return found;
}

function isChain(space: LoopSpace, work: number): boolean {
  if (work < CHAIN_WORK.least || work > CHAIN_WORK.most || space.stages.length !== 1) return false;
  return new Set(loadsOf(space.stages.map((s) => s.value)).map((load) => load.buffer)).size === 1;
}

/** How many reductions one walk makes at most: each has registers of its own. */
function reductionsAtOnce(space: LoopSpace): number {
  const count = new Map<number, number>();
  space.stages.forEach((stage, i) => {
    const pass = space.passes[i] ?? 0;
    if (stage.kind === "reduction") count.set(pass, (count.get(pass) ?? 0) + 1);
  });
  return Math.max(0, ...count.values());
}

/** Lanes times unrolling: small bodies get more registers, to hide the latency of accumulators, or to write more at each step of a transpose. */
function blockOf(space: LoopSpace, vector: LoopVar, lanes: number, isTurned = false): number {
  const work = workOf(space.stages.map((s) => s.value));
  const size = guess(extent(vector));
  if (!isTurned && !space.stages.some((s) => s.kind === "reduction" || s.kind === "cross")) {
    const isPhased = work <= PHASED_WORK && calls(space.stages, (op) => PHASED.has(op));
    let registers = isPhased ? PHASED_REGISTERS : isChain(space, work) ? CHAIN_REGISTERS : 1;
    while (registers > 1 && size < registers * lanes) registers /= 2;
    return registers * lanes;
  }
  const most = work <= 12 ? 4 : work <= 30 ? 2 : 1;
  // Reductions along columns jump from row to row: what they read there should be worth the jump.
  if (work <= 30 && !isTurned && space.axes.includes(vector) && size >= WIDE_COLUMNS * lanes) {
    const isWide = lanes >= 16 && work <= 12 && reductionsAtOnce(space) === 1 && !callsFunctions(space);
    return isWide ? COLUMN_BYTES / 4 : 8 * lanes;
  }
  for (let unroll = most; unroll > 1; unroll /= 2) if (size >= unroll * lanes) return unroll * lanes;
  return lanes;
}
