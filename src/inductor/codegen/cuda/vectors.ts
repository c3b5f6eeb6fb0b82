/**
 * Runs of neighbouring positions: which statements vary along one, and which accesses are one vector.
 */
import {
  add,
  constantValue,
  type Expr,
  freeSymbols,
  mod,
  mul,
  sub,
  substitute,
  type Sym,
  symbol as symbolExpr,
} from "../../../symbolic/mod.ts";
import { newSym } from "../../../symbolic/mod.ts";
import { operandsOf, statementExprs } from "../../tile/parameters.ts";
import type { TileStatement, TileValue } from "../../tile/tile_ir.ts";

export { operandsOf };

/** Elements that an earlier pass over the same positions has loaded, as they are in memory. */
export interface CachedLoad {
  /** An array of runs: `tsr_vec<T, lanes>`, in registers or in shared memory. */
  readonly name: string;
  /** The place of the current run in it. */
  readonly slot: string;
  /** Whether an earlier pass has filled it. */
  readonly ready: boolean;
  readonly fill: () => void;
}

/** Where a run of positions lies. */
interface Run {
  /** The axis. */
  readonly symbol: Sym;
  readonly lanes: number;
  /** Where a row begins whose first position is no multiple of `lanes`: only accesses at `phase` and the position are vectors, and are aligned at the base. */
  readonly phase?: Expr;
}

/** A run of positions. */
export interface Chunk extends Run {
  /** The first position, a multiple of `lanes`. */
  readonly base: string;
  /** The number of positions that exist, where it may be less than `lanes`. */
  readonly count?: string;
  readonly cached?: ReadonlyMap<TileStatement, CachedLoad>;
  /** Values from outside that differ from lane to lane, given by `before`. */
  readonly outside?: readonly TileValue[];
  /** Written before the statements of each lane; gets the lane's number. */
  readonly before?: (lane: string) => void;
  /** Written after the statements of each lane; gets the lane's number. */
  readonly after?: (lane: string) => void;
}

/** What varies along an axis. */
export interface Varying {
  readonly values: ReadonlySet<TileValue>;
  readonly symbols: ReadonlySet<Sym>;
  has(s: TileStatement): boolean;
}

/** A comparison that comes out the same for all positions of a run. */
export interface UniformMask {
  readonly out: TileValue;
  /** The position that is compared, at the run's first element. */
  readonly index: Expr;
  readonly sign: "<" | ">=";
  readonly bound: number;
}

/**
 * Comparisons of a position with a bound between runs: what is taken from one half of a row or the other, as rotary embeddings have it. Loads under such a
 * mask are vectors.
 */
export function uniformMasks(
  body: readonly TileStatement[],
  { symbol: axis, lanes, phase }: Run,
  first: Sym,
  constants: ReadonlyMap<TileValue, number>,
): Map<TileStatement, UniformMask> {
  const found = new Map<TileStatement, UniformMask>();
  if (lanes === 1 || phase !== undefined) return found;
  const positions = new Map<TileValue, Expr>();
  const own = new Map<TileValue, number>();
  for (const s of body) {
    if (s.kind === "constant") own.set(s.out, Number(s.value));
    if (s.kind === "index" && isAlignedRun(s.expr, axis, lanes)) positions.set(s.out, s.expr);
    if (s.kind !== "pointwise" || (s.op !== "lt" && s.op !== "ge")) continue;
    const [position, limit] = s.args;
    const index = position === undefined ? undefined : positions.get(position);
    const bound = limit === undefined ? undefined : own.get(limit) ?? constants.get(limit);
    if (index === undefined || bound === undefined || bound % lanes !== 0) continue;
    const at = substitute(index, new Map([[axis, symbolExpr(first)]]));
    found.set(s, { out: s.out, index: at, sign: s.op === "lt" ? "<" : ">=", bound });
  }
  return found;
}

/** The statements that differ along `axis`; what has an effect counts as differing. */
export function varying(
  body: readonly TileStatement[],
  axis: Sym,
  outside: readonly TileValue[] = [],
  uniform: ReadonlyMap<TileStatement, UniformMask> = new Map(),
): Varying {
  const values = new Set<TileValue>(outside);
  const symbols = new Set<Sym>([axis]);
  const statements = new Set<TileStatement>();
  for (const s of body) {
    if (uniform.has(s)) continue;
    const differs = s.kind === "store" || s.kind === "combine" || s.kind === "accumulate" || s.kind === "dot" ||
      s.kind === "finish" || s.kind === "for" || s.kind === "accumulateAt" || s.kind === "finishAt" ||
      operandsOf(s).some((v) => v !== null && values.has(v)) ||
      statementExprs(s).some((e) => [...freeSymbols(e)].some((sym) => symbols.has(sym)));
    if (!differs) continue;
    statements.add(s);
    if ("out" in s) values.add(s.out);
    if (s.kind === "bind") symbols.add(s.symbol);
  }
  return { values, symbols, has: (s) => statements.has(s) };
}

/**
 * The index of a run's first element, over `first` in place of `axis`, if the run is contiguous and aligned to its own length; else null. Of rows that begin
 * anywhere (`phase`) the caller has seen to that.
 */
export function isVectorAccess(
  index: Expr,
  { symbol: axis, lanes, phase }: Run,
  first: Sym,
  varies: Varying,
  knows: (e: Expr) => boolean,
): Expr | null {
  if (phase === undefined ? !isAlignedRun(index, axis, lanes) : sub(index, symbolExpr(axis)) !== phase) return null;
  for (const sym of freeSymbols(index)) if (sym !== axis && varies.symbols.has(sym)) return null;
  const at = substitute(index, new Map([[axis, symbolExpr(first)]]));
  return knows(at) ? at : null;
}

/** Whether `index` steps by one along `axis` within aligned runs of `lanes`, and each run begins at a multiple of `lanes`. */
export function isAlignedRun(index: Expr, axis: Sym, lanes: number): boolean {
  const chunk = newSym("chunk", { kind: "index", lower: 0 });
  const lane = newSym("lane", { kind: "index", lower: 0, upper: lanes - 1 });
  const base = mul(symbolExpr(chunk), lanes);
  const start = substitute(index, new Map([[axis, base]]));
  if (constantValue(mod(start, lanes)) !== 0) return false;
  const moved = substitute(index, new Map([[axis, add(base, symbolExpr(lane))]]));
  return sub(moved, start) === symbolExpr(lane);
}
