/**
 * Rows that begin anywhere: where their length is no multiple of a vector, each has whole vectors in its middle and a few elements at its ends.
 *
 * Enters: a kernel whose rows lie one after the other, of a length that is no multiple of a vector. Leaves: how many vectors a row has, where they begin, and a place for each
 * element before and behind them, of which a thread has one at most. All buffers that are read or written along rows have their elements at the same places, so that
 * what is a vector in one is in all; what lies along columns alone (weights) is read element by element.
 */
import type { BufferRef } from "../../../loops/mod.ts";
import { constant, constantValue, dependsOn, type Expr, mod, sub, substitute, symbol } from "../../../symbolic/mod.ts";
import { walkStatements } from "../../tile/parameters.ts";
import type { Axis, TileKernel, TileStatement } from "../../tile/tile_ir.ts";
import type { CudaFunction } from "./function.ts";
import { memoryType } from "../cpp/types.ts";
import type { Pass } from "./nests.ts";
import type { LaneHooks } from "./kept_exps.ts";
import { scalarType } from "./texts.ts";
import { type CachedLoad, isAlignedRun } from "./vectors.ts";

/** Shorter rows have too many ends. */
const SHORTEST = 64;

/** What rows look like. */
export interface OddRows {
  /** Elements of a vector. */
  readonly lanes: number;
  readonly length: number;
  /** Where a row begins, by its position along these axes. */
  readonly phase: Expr;
  readonly grid: readonly Axis[];
  /** Whether blocks share a row. */
  readonly isShared: boolean;
}

/** Threads of a row that suffice for its ends. */
export const LEAST_THREADS = 16;

/** Decides; `lanes` is what accesses along a row would have without. `isShared`: blocks share a row. */
export function oddRows(
  kernel: TileKernel,
  passes: readonly Pass[],
  lanes: readonly number[],
  isShared = false,
): OddRows | null {
  const columns = passes.map((pass) => pass.axes[0] as Axis);
  const length = columns[0] === undefined ? null : constantValue(columns[0].extent);
  if (length === null || length < SHORTEST || passes.some((pass) => pass.axes.length > 1)) return null;
  if (columns.some((axis) => constantValue(axis.extent) !== length)) return null;
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const written = new Set<BufferRef>(kernel.writes);
  let phase: Expr | null = null;
  let bytes = 4;
  let besides = 0;
  let fits = true;
  for (const { axes, body } of passes) {
    walkStatements(body, (s) => {
      if (s.kind === "combine" || s.kind === "bind" || s.kind === "dot" || s.kind === "for") fits = false;
      if (s.kind !== "load" && s.kind !== "store") return;
      if (s.kind === "load" && written.has(s.buffer)) fits = false;
      if (!grid.some((axis) => dependsOn(s.index, axis.symbol))) {
        if (s.kind === "store") fits = false;
        besides++;
        return;
      }
      const own = sub(s.index, symbol((axes[0] as Axis).symbol));
      if (dependsOn(own, (axes[0] as Axis).symbol) || (phase !== null && phase !== own)) fits = false;
      if (s.kind === "load" && s.mask !== null) fits = false;
      phase = own;
      bytes = Math.min(bytes, s.buffer.dtype.bytes);
    });
  }
  // Words are fast enough where they are, and what lies along columns is faster read so (layer norm of 50257 float32 by one block: 0.202 ms, 0.228 as vectors; by eight: 0.191, 0.169).
  if (!fits || phase === null || (bytes === 4 && besides > 1 && !isShared)) return null;
  const own = Math.min(8, 16 / bytes);
  // Vectors of half the width are wide enough.
  if (Math.max(...lanes) * 4 > own || constantValue(mod(phase, own)) !== null) return null;
  return { lanes: own, length, phase, grid, isShared };
}

/** Writes where a row's vectors begin (`head`), how many they are (`whole`), its other elements (`ends`) and the thread's one of these (`end`). */
export function writeEnds(f: CudaFunction, { lanes, length, phase }: OddRows, valid: string | null): void {
  const s = f.scopes;
  const exists = (text: string): string => valid === null ? text : `${valid} ? ${text} : 0`;
  s.line(`const int head = (int)(-(${s.index(phase)}) & ${lanes - 1});`);
  s.line(`const int whole = ${exists(`(${length} - head) / ${lanes}`)};`);
  s.line(`const int ends = ${exists(`${length} - whole * ${lanes}`)};`);
  s.line(`const int end = tx < head ? tx : tx + whole * ${lanes};`);
}

/** Loads that several passes repeat, of vectors and of ends. */
export interface OddCaches {
  readonly vectors: ReadonlyMap<TileStatement, CachedLoad>;
  readonly ends: ReadonlyMap<TileStatement, CachedLoad>;
}

/** Asks for all of a row at once, vectors and ends, before anything waits for either: `kept` vectors a thread, of `threads` threads. */
export function writeOddLoads(f: CudaFunction, odd: OddRows, caches: OddCaches, kept: number, threads: number): void {
  const s = f.scopes;
  const { lanes, phase, grid } = odd;
  const done = new Set<CachedLoad>();
  for (const [st, vectors] of caches.vectors) {
    const ends = caches.ends.get(st);
    // What lies along columns has no such place.
    const isOfRow = st.kind === "load" && grid.some((axis) => dependsOn(st.index, axis.symbol));
    if (st.kind !== "load" || !isOfRow || ends === undefined || done.has(vectors)) continue;
    done.add(vectors);
    const [type, from] = [memoryType(st.buffer.dtype), `${f.pointer(st.buffer)} + ${s.index(phase)}`];
    s.open(`#pragma unroll\nfor (int c = 0; c < ${kept}; c++) {`);
    s.line(`const int q = c * ${threads} + tx;`);
    s.line(`if (q < whole) ${vectors.name}[c] = tsr_raw<${type}, ${lanes}>(${from} + (head + q * ${lanes}));`);
    s.close();
    s.line(`if (tx < ends) ${ends.name}[0] = tsr_raw<${type}, 1>(${from} + end);`);
    vectors.fill();
    ends.fill();
  }
}

type Load = TileStatement & { readonly kind: "load" };

/**
 * Whether a load has the same elements in every row, and those of a whole vector lie within two aligned ones. Words are read singly, which is as fast (layer norm of 50257 float32 0.169
 * ms, 0.174 so; bfloat16 0.113, 0.089 so).
 */
function isShifted(s: TileStatement, { grid, lanes, isShared }: OddRows, axis: Axis): s is Load {
  return isShared && s.kind === "load" && s.mask === null && s.buffer.dtype.bytes * lanes === 16 &&
    s.buffer.dtype.bytes < 4 &&
    dependsOn(s.index, axis.symbol) && !grid.some((other) => dependsOn(s.index, other.symbol)) &&
    isAlignedRun(s.index, axis.symbol, lanes);
}

/**
 * Reads what lies along columns (weights) for a vector of a row that begins anywhere, run number `q`: two aligned vectors, of which the elements are taken. Returns the statements that
 * remain, and what a lane is told of the others.
 */
export function writeShifted(
  f: CudaFunction,
  odd: OddRows,
  pass: Pass,
  q: string,
): { readonly body: readonly TileStatement[]; readonly hooks: LaneHooks } {
  const axis = pass.axes[0] as Axis;
  const { lanes, length } = odd;
  const loads = pass.body.filter((s) => isShifted(s, odd, axis));
  const names = loads.map((load) => {
    const name = f.scopes.fresh("l");
    const start = f.scopes.index(substitute(load.index, new Map([[axis.symbol, constant(0)]])));
    const from = `${f.pointer(load.buffer)} + (${start} + ${q} * ${lanes})`;
    f.scopes.line(`${scalarType(load.out.dtype)} ${name}[${lanes}];`);
    f.scopes.line(`tsr_load_shifted<${lanes}>(${name}, ${from}, head, (${q} + 2) * ${lanes} <= ${length});`);
    return name;
  });
  const outside = loads.map((load) => load.out);
  const before = (u: string): void => outside.forEach((v, i) => f.assign(v, `${names[i]}[${u}]`));
  return {
    body: pass.body.filter((s) => !isShifted(s, odd, axis)),
    hooks: loads.length === 0 ? {} : { outside, before },
  };
}
