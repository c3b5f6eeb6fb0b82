/**
 * Reductions across rows: neighbouring threads have neighbouring results, each walks its column, several share one.
 */
import { ceilDiv, constant, constantValue, dependsOn, type Expr, floorDiv, mul } from "../../../symbolic/mod.ts";
import { guess } from "../../tile/axes.ts";
import type { Axis, TileKernel, TileReduceOp, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { declareCaches, guarded } from "./emit_rows.ts";
import { CudaFunction } from "./function.ts";
import { combineLambda, isArg, scalarType } from "./texts.ts";
import { type CudaKernelText, type EmitContext, line, signature } from "./kernel_text.ts";
import { accessesIn, accumulatorsOf, extentsOf, lanesFor, type Part, type Pass } from "./nests.ts";
import {
  combineMoments,
  hasMoments,
  joinMoments,
  type MomentsPass,
  type ThreadMoments,
  writeMoments,
} from "./moments.ts";
import { combinePartials, type Partial, splitParameters, type Splitting } from "./split.ts";
import { type CachedLoad, operandsOf } from "./vectors.ts";
import { onlyAccumulates, writeWalk } from "./walk.ts";

interface Shape {
  /** Columns of a block, and threads that share each. */
  readonly x: number;
  readonly y: number;
  readonly pieces: number;
  /** Blocks that should fit a multiprocessor, where all are to run at once. */
  readonly blocksEach?: number;
}

/** Threads of a multiprocessor where blocks share columns: with few accumulators a thread, and with more. */
const [MOST_THREADS, SOME_THREADS, FEW_ACCUMULATORS] = [1536, 1024, 8];
/** Threads of a multiprocessor where elements are written as well, which takes longer: all that there are, if 32 registers hold what a thread reads and sums. */
const [ALL_THREADS, FEW_VALUES] = [2048, 4];

function chooseShape(parts: readonly Part[], columns: number, lanes: number, context: EmitContext): Shape {
  const passes = parts.flatMap((p) => p.kind === "pass" ? [p.pass] : []);
  const lengths = passes.map((p) => constantValue(extentsOf(p.axes)));
  const length = Math.max(...passes.map((p) => guess(extentsOf(p.axes))));
  // Enough columns to fill the device, or little to share: a column a thread.
  if (length <= 16 || columns >= context.multiprocessors * 2048) {
    return { x: columns < 128 * context.multiprocessors ? 64 : 256, y: 1, pieces: 1 };
  }
  const x = 32;
  let y = 8;
  while (y < 32 && length > y * 64 && columns / x < context.multiprocessors * 4) y *= 2;
  const blocks = Math.ceil(columns / x);
  let pieces = 1;
  const [only] = passes;
  if (passes.length === 1 && only !== undefined && lengths[0] !== null && blocks < context.multiprocessors * 2) {
    // As many as run at once: what is left for a second round keeps a part of the device waiting as long as the first.
    const writes = only.body.some((s) => s.kind === "store");
    // What threads have in registers while they read.
    const sums = ((hasMoments(only) ? 4 : accumulatorsOf(only).size) + parts.flatMap((_, i) =>
      carriedFrom(parts, i)
    ).length) * lanes;
    const reads = only.body.filter((s) => s.kind === "load").length * lanes;
    const all = writes && sums + reads <= FEW_VALUES;
    const threads = sums > FEW_ACCUMULATORS ? SOME_THREADS : all ? ALL_THREADS : MOST_THREADS;
    y = writes ? 16 : 8;
    // Of few columns fewer pieces with more threads: the block that comes last reads what all pieces have.
    if (!writes && blocks <= 4) y = 32;
    const blocksEach = Math.floor(threads / (x * y));
    const wanted = Math.floor(context.multiprocessors * blocksEach / blocks);
    pieces = Math.max(1, Math.min(wanted, Math.floor(length / (y * 8)), 512));
    if (pieces > 1) return { x, y, pieces, blocksEach };
  }
  return { x, y, pieces };
}

/** Registers of a thread that hold its part of a column, and threads of a block then. */
const [MOST_HELD, HELD_THREADS] = [24, 256];

/** The shape in which columns that several passes walk stay in registers after the first: as few threads a column as fill the device; null where they do not fit. */
function heldShape(
  kernel: TileKernel,
  parts: readonly Part[],
  columns: number,
  lanes: number,
  context: EmitContext,
): Shape & { readonly kept: number } | null {
  const passes = parts.flatMap((p) => p.kind === "pass" ? [p.pass] : []);
  if (!canRepeat(parts)) return null;
  const [first] = passes;
  const length = first === undefined ? null : constantValue(extentsOf(first.axes));
  if (first === undefined || length === null || passes.length < 2) return null;
  if (passes.some((p) => p.axes.length !== first.axes.length || p.axes.some((a, i) => a !== first.axes[i]))) {
    return null;
  }
  const seen = new Map<string, { count: number; registers: number }>();
  for (const s of passes.flatMap((p) => p.body)) {
    if (s.kind !== "load" || s.mask !== null || kernel.writes.includes(s.buffer)) continue;
    if (!first.axes.some((axis) => dependsOn(s.index, axis.symbol))) continue;
    const key = `${s.buffer.id}/${s.index.id}`;
    const { count } = seen.get(key) ?? { count: 0 };
    seen.set(key, { count: count + 1, registers: Math.max(1, lanes * s.buffer.dtype.bytes / 4) });
  }
  const each = [...seen.values()].reduce((n, { count, registers }) => n + (count > 1 ? registers : 0), 0);
  if (each === 0) return null;
  let best: Shape & { readonly kept: number } | null = null;
  for (let y = 1; y <= 32 && y <= length; y *= 2) {
    const kept = Math.ceil(length / y);
    const x = Math.max(32, HELD_THREADS / y);
    if (kept * each > MOST_HELD) continue;
    best = { x, y, pieces: 1, kept };
    if (columns / x >= context.multiprocessors * 2) break;
  }
  return best;
}

/** Columns that a thread has side by side: several where elements are small, and only accumulators and what stands between passes goes from part to part. */
function chooseLanes(parts: readonly Part[], column: Axis | null, columns: number): number {
  const extent = column === null ? null : constantValue(column.extent);
  if (column === null || extent === null) return 1;
  const passes = parts.flatMap((p) => p.kind === "pass" ? p.pass.body : []);
  let lanes = Math.min(4, lanesFor(passes, column, false));
  // Of few columns each thread of a warp should have some.
  while (lanes > 1 && (extent % lanes !== 0 || columns < 32 * lanes)) lanes /= 2;
  const along = accessesIn(passes).filter(({ index }) => dependsOn(index, column.symbol));
  const widest = along.reduce((n, { buffer }) => Math.max(n, buffer.dtype.bytes), 1);
  if (lanes === 1 || widest >= 4) return 1;
  return canRepeat(parts) ? lanes : 1;
}

/** Whether parts may be written lane by lane: what they bind (an index that is read) would be known in its own part alone. */
function canRepeat(parts: readonly Part[]): boolean {
  const isOther = (s: TileStatement): boolean =>
    s.kind === "combine" || s.kind === "bind" || ("op" in s && (s.op === "argmax" || s.op === "argmin"));
  return !parts.some((p) => (p.kind === "pass" ? p.pass.body : p.body).some(isOther));
}

/** What stands between passes and is read by later parts, in order. */
function carriedFrom(parts: readonly Part[], at: number): TileValue[] {
  const part = parts[at];
  if (part?.kind !== "statements") return [];
  const later = new Set<TileValue | null>();
  for (const p of parts.slice(at + 1)) {
    for (const s of p.kind === "pass" ? p.pass.body : p.body) for (const v of operandsOf(s)) later.add(v);
  }
  return part.body.flatMap((s) => "out" in s && s.kind !== "accumulator" && later.has(s.out) ? [s.out] : []);
}

/** Emits a kernel whose neighbouring results belong to neighbouring threads; `column` becomes the innermost grid axis. */
export function emitColumns(
  kernel: TileKernel,
  given: readonly Part[],
  column: Axis | null,
  context: EmitContext,
): CudaKernelText {
  const own = kernel.axes.filter((axis) => axis.role === "grid");
  const grid = column === null ? own : [...own.filter((axis) => axis !== column), column];
  const lanes = chooseLanes(given, column, guess(extentsOf(grid)));
  const columns = lanes === 1 || column === null
    ? extentsOf(grid)
    : mul(extentsOf(grid.slice(0, -1)), floorDiv(column.extent, lanes));
  const held = column === null ? null : heldShape(kernel, given, guess(columns), lanes, context);
  // A column that stays in registers may well be walked once more.
  const parts = held === null ? joinMoments(given) : given;
  const { x, y, pieces, blocksEach } = held ?? chooseShape(parts, guess(columns), lanes, context);
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, { shared: context.shared });
  const s = f.scopes;
  const known = constantValue(columns);
  const exact = known !== null && known % x === 0;
  s.line(`const int tx = (int)threadIdx.x % ${x}, ty = (int)threadIdx.x / ${x};`);
  s.line(`const ${f.index} at = (${f.index})blockIdx.x * ${x} + tx;`);
  if (exact) s.line(`const ${f.index} column = at;`);
  else {
    s.line(`const ${f.index} column = tsr_min(at, ${f.extent(columns)} - 1);`);
    s.line(`const bool valid = at < ${f.extent(columns)};`);
  }
  const ops = parts.flatMap((part) => part.kind === "pass" ? [...sumsOf(part.pass).values()] : []);
  writeRoom(f, x, y, ops.some(isArg));
  const isWide = held !== null || lanes > 1;
  const side: Side = { lanes, isWide, column, names: new Map(), carried: new Map(), held: null };
  if (!isWide || column === null) f.decompose(grid, "column", (axis) => f.extent(axis.extent));
  else {
    const across = f.extent(floorDiv(column.extent, lanes));
    s.line(`const ${f.index} others = column / ${across}, base = (column - others * ${across}) * ${lanes};`);
    f.decompose(grid.slice(0, -1), "others", (axis) => f.extent(axis.extent));
  }
  if (held !== null) {
    const slot = { text: "c" };
    const shape = { threads: y, rowsEach: 1, lanes: [lanes], kept: held.kept, sharedBytes: 0, pieces: 1 };
    side.held = { kept: held.kept, cached: declareCaches(f, kernel, parts, shape, slot) };
  }
  const tiles: Expr = ceilDiv(columns, x);
  const splitting: Splitting | null = pieces > 1
    ? { pieces, outputs: columns, output: "column", id: context.scratchId(), tile: "blockIdx.x", tiles, block: x * y }
    : null;
  const leader = [...(y > 1 ? ["ty == 0"] : []), ...(exact ? [] : ["valid"])].join(" && ");
  const combine = (list: readonly Partial[]): void => combineColumns(f, list, x, y);
  let partials = 0;
  for (const [i, part] of parts.entries()) {
    if (part.kind === "statements") {
      writeBetween(f, part.body, side, leader, carriedFrom(parts, i));
      continue;
    }
    const moments = hasMoments(part.pass) ? part.pass : null;
    const threads = writePass(f, part.pass, y, pieces, exact, side);
    const list = [...sumsOf(part.pass)].flatMap(([v, op]): Partial[] => {
      const name = side.names.get(v) ?? f.accumulator(v);
      return !isWide ? [{ v, op, name }] : Array.from({ length: lanes }, (_, u) => ({ v, op, name: `${name}[${u}]` }));
    });
    partials = Math.max(partials, list.length);
    if (moments !== null) combineThreads(f, moments, side, threads, combine);
    else combine(list);
    if (splitting !== null) {
      const total = f.extent(extentsOf(part.pass.axes));
      const share = (piece: string): string => shareText(f, total, y, pieces, piece);
      const counts = moments === null ? null : { count: total, share };
      combinePartials(f, list, splitting, combine, leader === "" ? "true" : leader, "ty", y, counts);
    }
  }
  const extra = splitting === null ? [] : splitParameters(partials, splitting);
  const { args, parameters } = signature(f, extra);
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(["collectives"]),
    args,
    grid: splitting === null ? line(tiles) : [tiles, constant(pieces), constant(1)],
    block: [x * y, 1, 1],
    sharedBytes: 0,
    ...(blocksEach === undefined ? {} : { blocksEach }),
  };
}

/** Columns side by side, and the arrays of their accumulators and of other values. */
interface Side {
  readonly lanes: number;
  /** Whether there are such arrays. */
  readonly isWide: boolean;
  readonly column: Axis | null;
  readonly names: Map<TileValue, string>;
  readonly carried: Map<TileValue, string>;
  /** How many of a column's elements a thread has in registers, and where. */
  held: { readonly kept: number; readonly cached: ReadonlyMap<TileStatement, CachedLoad> } | null;
}

function inLanes(
  f: CudaFunction,
  body: readonly TileStatement[],
  side: Side,
  after: (u: string) => void = () => {},
  cached: ReadonlyMap<TileStatement, CachedLoad> | null = null,
): void {
  if (side.column === null) return;
  f.chunk(body, {
    ...(cached === null ? {} : { cached }),
    symbol: side.column.symbol,
    lanes: side.lanes,
    base: "base",
    outside: [...side.carried.keys()],
    before: (u) => {
      for (const [v, name] of side.names) f.renameAccumulator(v, `${name}[${u}]`);
      for (const [v, name] of side.carried) f.assign(v, `${name}[${u}]`);
    },
    after,
  });
}

function writeBetween(
  f: CudaFunction,
  body: readonly TileStatement[],
  side: Side,
  leader: string,
  carried: readonly TileValue[],
): void {
  if (!side.isWide) {
    guarded(f, body, leader);
    return;
  }
  const rest: TileStatement[] = [];
  for (const s of body) {
    if (s.kind !== "accumulator") {
      rest.push(s);
      continue;
    }
    f.statement(s);
    const scalar = f.accumulator(s.out);
    const name = f.scopes.fresh("a");
    f.scopes.line(`${scalarType(s.out.dtype)} ${name}[${side.lanes}];`);
    f.scopes.line(`for (int u = 0; u < ${side.lanes}; u++) ${name}[u] = ${scalar};`);
    side.names.set(s.out, name);
  }
  if (rest.length === 0) return;
  if (carried.length > 0) {
    // All threads go on with these, in arrays of their columns.
    const names = new Map(carried.map((v) => [v, f.scopes.fresh("k")]));
    for (const [v, name] of names) f.scopes.line(`${scalarType(v.dtype)} ${name}[${side.lanes}];`);
    inLanes(f, rest.filter((s) => s.kind !== "store"), side, (u) => {
      for (const [v, name] of names) f.scopes.line(`${name}[${u}] = ${f.text(v)};`);
    });
    for (const [v, name] of names) side.carried.set(v, name);
    if (rest.every((s) => s.kind !== "store")) return;
  }
  f.scopes.open(leader === "" ? "{" : `if (${leader}) {`);
  inLanes(f, rest, side);
  f.scopes.close();
}

/** What a pass accumulates, in lists of lanes: of joined moments the sum is first. */
function sumsOf(pass: Pass): Map<TileValue, TileReduceOp> {
  return hasMoments(pass) ? new Map([[pass.moments.sum, "sum"], [pass.moments.squares, "sum"]]) : accumulatorsOf(pass);
}

/** Rows that a piece has: pieces take as many as a block has at a time by turns, so that all of them together walk memory from one end to the other. */
function shareText(f: CudaFunction, total: string, y: number, pieces: number, piece: string): string {
  return pieces === 1 ? total : `tsr_share<${f.index}>(${total}, ${y}, ${pieces}, ${piece})`;
}

/** How many rows threads have, as text, and what moments are relative to. */
interface Threads {
  readonly own: string;
  readonly count: string;
  readonly shift: string;
  readonly differences: string;
}

/** The names of a lane's moments. */
function lane(
  f: CudaFunction,
  pass: MomentsPass,
  side: Side,
  { shift, differences }: Threads,
  u: string,
): ThreadMoments {
  const name = (v: TileValue): string => !side.isWide ? f.accumulator(v) : `${side.names.get(v)}[${u}]`;
  const { sum, squares } = pass.moments;
  return { sum: name(sum), squares: name(squares), shift: `${shift}[${u}]`, differences: `${differences}[${u}]` };
}

function combineThreads(
  f: CudaFunction,
  pass: MomentsPass,
  side: Side,
  threads: Threads,
  combine: (list: readonly Partial[]) => void,
): void {
  const lanes = Array.from({ length: side.lanes }, (_, u) => lane(f, pass, side, threads, String(u)));
  combineMoments(f, pass, lanes, threads.own, threads.count, combine);
}

function writePass(f: CudaFunction, pass: Pass, y: number, pieces: number, exact: boolean, side: Side): Threads {
  const s = f.scopes;
  const total = f.extent(extentsOf(pass.axes));
  const [q, end, first] = [s.fresh("q"), s.fresh("e"), s.fresh("q")];
  const step = y * pieces;
  const from = pieces > 1 ? `(${f.index})blockIdx.y * ${y} + ${y === 1 ? "0" : "ty"}` : y === 1 ? "0" : "ty";
  // Threads beyond the last column repeat it and store nothing; what they would combine with memory must not happen.
  s.line(`const ${f.index} ${first} = ${from}, ${end} = ${exact ? total : `valid ? ${total} : 0`};`);
  const threads: Threads = {
    own: s.fresh("n"),
    count: shareText(f, total, y, pieces, "(int)blockIdx.y"),
    shift: s.fresh("k"),
    differences: s.fresh("d"),
  };
  const body = (at: string, after: (u: string) => void): void => {
    f.decompose(pass.axes, at, (axis) => f.extent(axis.extent));
    if (side.isWide) {
      inLanes(f, pass.body, side, after, side.held?.cached);
      return;
    }
    f.statements(pass.body);
    after("0");
  };
  if (side.held !== null) {
    s.open(`#pragma unroll\nfor (int c = 0; c < ${side.held.kept}; c++) {`);
    s.line(`const ${f.index} ${q} = c * ${y}${y === 1 ? "" : " + ty"};`);
    s.open(`if (${q} < ${end}) {`);
    body(q, () => {});
    s.close();
    s.close();
    return threads;
  }
  const moments = hasMoments(pass) ? pass : null;
  if (moments !== null) {
    s.line(`const ${f.index} ${threads.own} = ${first} < ${end} ? (${end} - ${first} + ${step - 1}) / ${step} : 0;`);
    s.line(`float ${threads.shift}[${side.lanes}] = {}, ${threads.differences}[${side.lanes}] = {};`);
    s.open(`if (${first} < ${end}) {`);
    body(first, (u) => s.line(`${threads.shift}[${u}] = ${f.text(moments.moments.element)};`));
    s.close();
  }
  const inside = (at: string): void =>
    body(at, (u) => {
      if (moments !== null) writeMoments(f, lane(f, moments, side, threads, u), f.text(moments.moments.element));
    });
  if (onlyAccumulates(pass.body)) {
    const rows = constantValue(extentsOf(pass.axes));
    writeWalk(f, { first, end, step, count: rows === null ? null : Math.ceil(rows / step) }, inside);
    return threads;
  }
  s.open(`#pragma unroll 8\nfor (${f.index} ${q} = ${first}; ${q} < ${end}; ${q} += ${step}) {`);
  inside(q);
  s.close();
  return threads;
}

/** Bytes a thread of the room by way of which columns are combined. */
const ROOM_BYTES = 16;

/** Declares the `room` of {@linkcode combineColumns}, and `places` for positions. */
export function writeRoom(f: CudaFunction, x: number, y: number, hasPlaces: boolean): void {
  if (x * y === 1) return;
  f.scopes.line(`__shared__ uint4 room[${x * y * ROOM_BYTES / 16}];`);
  if (hasPlaces) f.scopes.line(`__shared__ long places[${x * y}];`);
}

/** Combines variables down the columns of a block, those that combine alike together: each time all threads wait four times. */
export function combineColumns(f: CudaFunction, list: readonly Partial[], x: number, y: number): void {
  const rest = y === 1 ? [] : [...list];
  for (let first = rest.shift(); first !== undefined; first = rest.shift()) {
    const { v, op, name } = first;
    const type = scalarType(v.dtype);
    if (isArg(op)) {
      const sign = op === "argmax" ? 1 : -1;
      f.scopes.line(`tsr_column_best<${x}, ${y}>(${name}, ${name}p, (${type}*)room, places, ${sign});`);
      continue;
    }
    const alike = [first, ...rest.filter((other) => other.op === op && other.v.dtype === v.dtype)];
    const most = Math.min(alike.length, y, ROOM_BYTES / Math.max(4, v.dtype.bytes));
    const together = alike.slice(0, 2 ** Math.floor(Math.log2(most)));
    for (const other of together.slice(1)) rest.splice(rest.indexOf(other), 1);
    const names = together.map((other) => other.name);
    f.scopes.line(`{ ${type} m[${names.length}] = {${names.join(", ")}};`);
    f.scopes.line(`  tsr_columns_reduce<${x}, ${y}>(m, (${type}*)room, ${combineLambda(op, v.dtype)});`);
    f.scopes.line(`  ${names.map((own, i) => `${own} = m[${i}];`).join(" ")} }`);
  }
}
