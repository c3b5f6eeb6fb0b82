/**
 * Kernels that walk over a row several times: softmax, variances, norms.
 *
 * What an earlier walk computed at length and a later one computes again is kept in a row of the function's own memory. And while the walk that
 * computes most works on a row that is in the cache already, the next row is fetched, and where a later walk writes this row its lines are: else memory
 * idles during all walks but the first and the last. It takes nothing but seeing that walks load or compute the same; what comes out is the same to the
 * last bit.
 */
import { bool, float32 } from "../../../core/mod.ts";
import { type BufferRef, primitive } from "../../../loops/mod.ts";
import { coefficient, constantValue, type Expr } from "../../../symbolic/mod.ts";
import { isStreamed } from "../../tile/axes.ts";
import { operandsOf } from "../../tile/parameters.ts";
import type { Axis, KernelBase, TileStatement, TileValue } from "../../tile/tile_ir.ts";

/** Elements of a row, or of a block of columns, that is kept or fetched ahead, at most: with its neighbours it has to fit the second cache. */
const MOST_ELEMENTS = 16384;
/** Elements of what is fetched into the first cache, at most; into the second what is more. */
const NEAR_ELEMENTS = 6144;
/** Rows along columns are fetched so many ahead, where they are at least so many elements apart and so many instructions work on a register of one. */
const ROWS_AHEAD = 8, FAR_ROWS = 1024, MANY_INSTRUCTIONS = 3;
/** Elements that are fetched ahead along rows that are walked over once. */
const STREAM_AHEAD = 8192;
/** What computing a value takes at least, in additions, so that keeping it is worth a store and a load. */
const WORTH_KEEPING = 12;

/**
 * Instructions from which on a function writes past the caches what is more than they hold: values that leave the registers are stores as well, and wait in
 * line behind those whose lines are read from memory first.
 */
const LONG_FUNCTION = 60;

type Loop = TileStatement & { readonly kind: "for" };
type Load = TileStatement & { readonly kind: "load" };
type Store = TileStatement & { readonly kind: "store" };

/** What is done to values of a kernel's walks. */
export interface RowPlan {
  /** Loads after which the element so many further is fetched. */
  readonly fetched: ReadonlyMap<TileValue, number>;
  /** Stores of later walks whose places are fetched after a load. */
  readonly claimed: ReadonlyMap<TileValue, readonly Store[]>;
  /** Buffers whose lines are written past the caches, where they are more than caches hold: nothing is fetched for them. */
  readonly streamed: ReadonlySet<BufferRef>;
  /** Values that go to a kept row, by its number. */
  readonly kept: ReadonlyMap<TileValue, number>;
  /** Values that are read from a kept row instead of computed. */
  readonly again: ReadonlyMap<TileValue, number>;
  /** Elements of each kept row. */
  readonly elements: number;
  /** What is fetched fits the first cache beside what is worked on. */
  readonly isNear: boolean;
}

const NOTHING: RowPlan = {
  fetched: new Map(),
  claimed: new Map(),
  streamed: new Set(),
  kept: new Map(),
  again: new Map(),
  elements: 0,
  isNear: false,
};

/** Plans for the walks of a kernel's body. `inner` is the axis over which rows follow each other. */
export function planRows(
  kernel: KernelBase,
  body: readonly TileStatement[],
  inner: Axis | undefined,
  lanes: number,
): RowPlan {
  const walks = body.filter((s): s is Loop => s.kind === "for");
  const axis = walks[0]?.axis;
  const extent = axis === undefined ? null : constantValue(axis.extent);
  if (walks.length === 0 && inner !== undefined && instructionsOf({ body }) >= LONG_FUNCTION) {
    return { ...NOTHING, streamed: streamedBy([{ body }], inner, lanes) };
  }
  if (axis === undefined || extent === null) return NOTHING;
  if (walks.some((w) => w.axis !== axis || w.split || w.body.some((s) => s.kind === "for"))) return NOTHING;
  const [only] = walks;
  if (walks.length === 1 && only !== undefined) {
    const streamed = axis.block > 1 || inner === undefined ? NOTHING.streamed : streamedBy([only], inner, lanes);
    if (instructionsOf(only) < MANY_INSTRUCTIONS) return { ...NOTHING, streamed };
    if (axis.block > 1) return { ...NOTHING, fetched: planStream(kernel, only, axis), isNear: true };
    if (inner === undefined) return NOTHING;
    return { ...NOTHING, fetched: planJumps(kernel, only, axis, inner), streamed, isNear: true };
  }
  // Rows follow each other along an outer axis; so do blocks of columns, where the vector is the outer axis.
  const isRow = axis.block > 1;
  if (extent * (isRow ? 1 : inner?.block ?? 1) > MOST_ELEMENTS) return NOTHING;
  const { kept, again } = isRow ? planKept(walks) : { kept: NOTHING.kept, again: NOTHING.again };
  const fetches = inner === undefined || (inner.block > 1) === isRow
    ? NOTHING
    : planFetched(kernel, walks, again, axis, inner);
  const vector = isRow ? axis : inner;
  const streamed = vector === undefined ? NOTHING.streamed : streamedBy(walks.slice(1), vector, lanes);
  return {
    fetched: fetches.fetched,
    claimed: new Map([...fetches.claimed].map(([v, stores]) => [v, stores.filter((s) => !streamed.has(s.buffer))])),
    streamed,
    kept,
    again,
    elements: Math.ceil(extent / lanes) * lanes,
    isNear: isRow && extent <= NEAR_ELEMENTS,
  };
}

/** What walks write along a vector, and is more than caches hold. */
function streamedBy(walks: readonly Pick<Loop, "body">[], vector: Axis, lanes: number): ReadonlySet<BufferRef> {
  const stores = walks.flatMap((w) => w.body.filter((s): s is Store => s.kind === "store"));
  return new Set(stores.filter((s) => isStreamed(s.buffer, s.index, vector.symbol, lanes)).map((s) => s.buffer));
}

/** About how many instructions a walk has for a register beside its loads. */
function instructionsOf(walk: Pick<Loop, "body">): number {
  return walk.body.reduce((n, s) => {
    if (s.kind === "accumulate") return n + (s.position !== null ? 4 : s.op === "max" || s.op === "min" ? 2 : 1);
    return s.kind === "pointwise" ? n + (s.out.dtype === bool ? 2 : 1) : s.kind === "cast" ? n + 1 : n;
  }, 0);
}

/** Loads of the only walk along rows, which computes so much that the processor's own fetching is late. */
function planStream(kernel: KernelBase, walk: Loop, axis: Axis): Map<TileValue, number> {
  const fetched = new Map<TileValue, number>();
  for (const s of walk.body) {
    if (s.kind !== "load" || s.mask !== null || kernel.writes.includes(s.buffer)) continue;
    const step = coefficient(s.index, axis.symbol);
    if (step !== null && constantValue(step) === 1) fetched.set(s.out, STREAM_AHEAD);
  }
  return fetched;
}

/** Loads along columns, where the processor sees fewer rows ahead the more is done with each number, and fetches nothing by itself. */
function planJumps(kernel: KernelBase, walk: Loop, axis: Axis, inner: Axis): Map<TileValue, number> {
  const fetched = new Map<TileValue, number>();
  for (const s of walk.body) {
    if (s.kind !== "load" || s.mask !== null || kernel.writes.includes(s.buffer)) continue;
    const step = coefficient(s.index, axis.symbol), across = coefficient(s.index, inner.symbol);
    const jump = step === null ? null : constantValue(step);
    if (across === null || constantValue(across) !== 1 || jump === null || jump < FAR_ROWS) continue;
    fetched.set(s.out, jump * ROWS_AHEAD);
  }
  return fetched;
}

/** What a walk computes for an element, in additions. */
function workOf(walk: Loop, again: ReadonlyMap<TileValue, number>): number {
  return walk.body.reduce((n, s) => n + (s.kind === "pointwise" && !again.has(s.out) ? primitive(s.op).cost : 0), 0);
}

/** A load after which another row is fetched. */
interface Fetch {
  readonly load: Load;
  readonly walk: number;
  readonly work: number;
  readonly jump: number;
}

/** Numbers for things, the same for the same thing. */
export function numbering(): (x: unknown) => number {
  const ids = new Map<unknown, number>();
  return (x) => {
    const found = ids.get(x) ?? ids.size;
    ids.set(x, found);
    return found;
  };
}

/** Loads of the walk with most work among those that repeat an earlier one's, and what later walks store. */
function planFetched(
  kernel: KernelBase,
  walks: readonly Loop[],
  again: ReadonlyMap<TileValue, number>,
  axis: Axis,
  inner: Axis,
): Pick<RowPlan, "fetched" | "claimed"> {
  const jumpOf = (index: Expr): number | null => {
    const along = coefficient(index, axis.symbol), step = coefficient(index, inner.symbol);
    const contiguous = axis.block > 1 ? along : step;
    if (contiguous === null || constantValue(contiguous) !== 1 || along === null || step === null) return null;
    const jump = constantValue(step);
    return constantValue(along) === 0 || jump === null || jump === 0 ? null : jump * inner.block;
  };
  const number = numbering();
  const first = new Map<string, number>(), best = new Map<string, Fetch>();
  walks.forEach((walk, at) => {
    const work = workOf(walk, again);
    for (const s of walk.body) {
      if (s.kind !== "load" || s.mask !== null || kernel.writes.includes(s.buffer)) continue;
      const jump = jumpOf(s.index);
      if (jump === null) continue;
      const place = `${number(s.buffer)} ${number(s.index)}`;
      const before = first.get(place) ?? at;
      first.set(place, before);
      if (before < at && work > (best.get(place)?.work ?? -1)) best.set(place, { load: s, walk: at, work, jump });
    }
  });
  const fetched = new Map<TileValue, number>(), claimed = new Map<TileValue, Store[]>();
  for (const { load, walk, jump } of best.values()) {
    fetched.set(load.out, jump);
    const stores = walks.slice(walk + 1).flatMap((w) => w.body.filter((s): s is Store => s.kind === "store"));
    if (claimed.size === 0) claimed.set(load.out, stores.filter((s) => jumpOf(s.index) !== null));
  }
  return { fetched, claimed };
}

/** What a value is computed from, as a text that equal values share, and how much work it is. */
interface Described {
  readonly key: string;
  readonly work: number;
}

function planKept(walks: readonly Loop[]): { kept: Map<TileValue, number>; again: Map<TileValue, number> } {
  const kept = new Map<TileValue, number>(), again = new Map<TileValue, number>();
  const idOf = numbering();
  const first = new Map<string, TileValue>();
  const numbers = new Map<TileValue, number>();
  for (const walk of walks) {
    const own = new Map<TileValue, Described>();
    const describe = (v: TileValue): Described => own.get(v) ?? { key: `#${idOf(v)}`, work: 0 };
    const repeated = new Set<TileValue>(), wanted = new Set<TileValue>();
    for (const s of walk.body) {
      if (s.kind === "load" && s.mask === null) {
        own.set(s.out, { key: `load ${idOf(s.buffer)} ${idOf(s.index)}`, work: 0 });
      } else if (s.kind === "constant") own.set(s.out, { key: `${s.out.dtype.name} ${s.value}`, work: 0 });
      else if (s.kind === "pointwise" || s.kind === "cast") {
        const args = (s.kind === "cast" ? [s.arg] : s.args).map(describe);
        const op = s.kind === "cast" ? s.out.dtype.name : s.op;
        const work = args.reduce((sum, a) => sum + a.work, s.kind === "cast" ? 1 : primitive(s.op).cost);
        // A long chain of cheap operations has a long text: numbers stand for what was met before.
        own.set(s.out, { key: `${op}(${args.map((a) => idOf(a.key)).join()})`, work });
      }
      const before = "out" in s ? first.get(own.get(s.out)?.key ?? "") : undefined;
      if ("out" in s && before !== undefined) repeated.add(s.out);
      else for (const v of operandsOf(s)) if (v !== null && repeated.has(v)) wanted.add(v);
    }
    for (const v of wanted) {
      const { key, work } = describe(v);
      const source = first.get(key);
      if (source === undefined || work < WORTH_KEEPING || v.dtype !== float32 || v.axes.length === 0) continue;
      const number = numbers.get(source) ?? numbers.size;
      numbers.set(source, number);
      kept.set(source, number);
      again.set(v, number);
    }
    for (const [v, { key }] of own) if (!first.has(key)) first.set(key, v);
  }
  return { kept, again };
}
