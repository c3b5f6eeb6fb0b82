/**
 * Reductions of rows that lie in short pieces side by side, as the groups of a group norm do where channels are innermost: a block has several rows.
 *
 * Enters: a kernel of one pass whose reduced axes hold a short contiguous one, the next piece of which belongs to the next row. Leaves: one kernel in which neighbouring threads walk
 * neighbouring pieces, whosever they are, so that whole lines are read once; threads of one row are then combined. Several blocks may share rows (`split.ts`).
 * A warp a row would fetch 32 bytes of memory for each piece of 8.
 */
import { ceilDiv, coefficient, constant, constantValue, type Expr } from "../../../symbolic/mod.ts";
import type { Axis, TileKernel, TileReduceOp, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { combineColumns, writeRoom } from "./emit_columns.ts";
import { guarded } from "./emit_rows.ts";
import { CudaFunction } from "./function.ts";
import { type CudaKernelText, type EmitContext, line, signature } from "./kernel_text.ts";
import { accessesIn, accumulatorsOf, extentsOf, lanesFor, type Part, type Pass } from "./nests.ts";
import { combineMoments, hasMoments, joinMoments, type ThreadMoments, writeMoments } from "./moments.ts";
import { combinePartials, type Partial, partialsOf, splitParameters, type Splitting } from "./split.ts";
import { combineLambda, isArg, scalarType } from "./texts.ts";
import { onlyAccumulates, writeWalk } from "./walk.ts";

/** Bytes of a piece from which on rows by themselves read whole lines, and bytes that a block's pieces side by side should have. */
const [WHOLE_BYTES, SIDE_BYTES] = [64, 128];
/** Threads of a block at most, and of a multiprocessor. */
const [MOST_THREADS, THREADS_EACH] = [512, 1024];
/** Steps that a thread should have at least where blocks share rows. */
const LEAST_STEPS = 8;

/** What such a kernel is. */
interface Groups {
  readonly parts: readonly Part[];
  readonly pass: Pass;
  /** The grid axis of the row beside, and the axis of a piece. */
  readonly row: Axis;
  readonly piece: Axis;
  readonly lanes: number;
}

/** The reduced axis that is contiguous, short, and followed by the next row's piece; null if reads are of another kind. */
export function shortPiece(
  accesses: readonly { readonly index: Expr; readonly bytes: number }[],
  rows: readonly Pick<Axis, "symbol" | "extent">[],
  reduced: readonly Pick<Axis, "symbol" | "extent">[],
): { readonly row: number; readonly piece: number } | null {
  for (const [piece, { symbol, extent }] of reduced.entries()) {
    const length = constantValue(extent);
    if (length === null || reduced.length < 2) continue;
    const own = accesses.filter(({ index }) => reduced.some((axis) => !isStill(index, axis)));
    if (
      own.length === 0 || own.some(({ bytes, index }) => stepOf(index, symbol) !== 1 || length * bytes >= WHOLE_BYTES)
    ) {
      continue;
    }
    const row = rows.findIndex((axis) => own.every(({ index }) => stepOf(index, axis.symbol) === length));
    if (row >= 0) return { row, piece };
  }
  return null;
}

function stepOf(index: Expr, symbol: Axis["symbol"]): number | null {
  const step = coefficient(index, symbol);
  return step === null ? null : constantValue(step);
}

function isStill(index: Expr, axis: Pick<Axis, "symbol">): boolean {
  return stepOf(index, axis.symbol) === 0;
}

function readGroups(kernel: TileKernel, given: readonly Part[]): Groups | null {
  const parts = joinMoments(given);
  const [pass, ...more] = parts.flatMap((p) => p.kind === "pass" ? [p.pass] : []);
  if (pass === undefined || more.length > 0 || pass.axes.some((axis) => constantValue(axis.extent) === null)) {
    return null;
  }
  if (!onlyAccumulates(pass.body)) return null;
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  if (grid.some((axis) => constantValue(axis.extent) === null)) return null;
  const accesses = accessesIn(pass.body).map(({ index, buffer }) => ({ index, bytes: buffer.dtype.bytes }));
  const found = shortPiece(accesses, grid, pass.axes);
  if (found === null) return null;
  const [row, piece] = [grid[found.row] as Axis, pass.axes[found.piece] as Axis];
  return { parts, pass, row, piece, lanes: lanesFor(pass.body, piece, false) };
}

/** How threads stand. */
interface Shape {
  /** Threads of a piece, rows side by side, threads down. */
  readonly across: number;
  readonly rows: number;
  readonly y: number;
  readonly pieces: number;
}

function chooseShape(kernel: TileKernel, { pass, row, piece, lanes }: Groups, context: EmitContext): Shape | null {
  const length = constantValue(piece.extent) ?? 1;
  const bytes = Math.max(...accessesIn(pass.body).map(({ buffer }) => buffer.dtype.bytes));
  const across = length / lanes;
  const wanted = Math.ceil(SIDE_BYTES / (length * bytes));
  const beside = constantValue(row.extent) ?? 1;
  // Of as many as are wanted, or a few more, so that blocks have whole sets of them.
  const rows = [0, 1, 2, 3, 4].map((more) => wanted + more).find((n) => beside % n === 0) ?? wanted;
  const x = across * rows;
  if (x > MOST_THREADS / 2) return null;
  const steps = (constantValue(extentsOf(pass.axes)) ?? 1) / length;
  let y = 2 ** Math.floor(Math.log2(MOST_THREADS / x));
  while (y > 1 && y > steps) y /= 2;
  const total = constantValue(extentsOf(kernel.axes.filter((axis) => axis.role === "grid"))) ?? 1;
  const blocks = Math.ceil(total / rows);
  const sharing = Math.floor(context.multiprocessors * Math.floor(THREADS_EACH / (x * y)) / blocks);
  return { across, rows, y, pieces: Math.max(1, Math.min(sharing, Math.floor(steps / (y * LEAST_STEPS)), 512)) };
}

/** Emits such a kernel; null if it is none. */
export function emitGroups(kernel: TileKernel, given: readonly Part[], context: EmitContext): CudaKernelText | null {
  const groups = readGroups(kernel, given);
  const shape = groups === null ? null : chooseShape(kernel, groups, context);
  if (groups === null || shape === null) return null;
  const { parts, pass, row, piece, lanes } = groups;
  const { across, rows, y, pieces } = shape;
  const x = across * rows;
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const total = constantValue(extentsOf(grid)) ?? 1;
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, { shared: context.shared });
  const s = f.scopes;
  s.line(`const int tx = (int)threadIdx.x % ${x}, ty = (int)threadIdx.x / ${x}, beside = tx % ${across};`);
  s.line(`const ${f.index} at = (${f.index})blockIdx.x * ${rows} + tx / ${across};`);
  const exact = total % rows === 0;
  s.line(`const ${f.index} row = ${exact ? "at" : `tsr_min(at, (${f.index})${total - 1})`};`);
  f.decompose([...grid.filter((axis) => axis !== row), row], "row", (axis) => f.extent(axis.extent));
  writeRoom(f, x, y, false);
  const leader = ["ty == 0", "beside == 0", ...(exact ? [] : [`at < ${total}`])].join(" && ");
  const tiles = ceilDiv(constant(total), rows);
  const outputs = constant(total);
  const splitting: Splitting | null = pieces > 1
    ? { pieces, outputs, output: "row", id: context.scratchId(), tile: "blockIdx.x", tiles, block: x * y }
    : null;
  const combine = (list: readonly Partial[]): void => combineGroup(f, list, x, y, across);
  let partials = 0;
  for (const part of parts) {
    if (part.kind === "statements") {
      guarded(f, part.body, leader);
      continue;
    }
    const walk = writePieces(f, pass, piece, lanes, shape);
    const sums: ReadonlyMap<TileValue, TileReduceOp> = hasMoments(pass)
      ? new Map([[pass.moments.sum, "sum"], [pass.moments.squares, "sum"]])
      : accumulatorsOf(pass);
    if (hasMoments(pass) && walk.moments !== null) {
      combineMoments(f, pass, [walk.moments], walk.own, walk.share("(int)blockIdx.y"), combine);
    } else combine(partialsOf(f, sums));
    partials = sums.size;
    if (splitting === null) continue;
    const counts = hasMoments(pass) ? { count: String(constantValue(extentsOf(pass.axes))), share: walk.share } : null;
    const first = `ty * ${across} + beside`;
    combinePartials(f, partialsOf(f, sums), splitting, combine, leader, first, y * across, counts);
  }
  const { args, parameters } = signature(f, splitting === null ? [] : splitParameters(partials, splitting));
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(["collectives"]),
    args,
    grid: splitting === null ? line(tiles) : [tiles, constant(pieces), constant(1)],
    block: [x * y, 1, 1],
    sharedBytes: 0,
  };
}

/** How many elements threads have had, as text, and where their moments are. */
interface Walk {
  readonly moments: ThreadMoments | null;
  readonly own: string;
  readonly share: (piece: string) => string;
}

function writePieces(f: CudaFunction, pass: Pass, piece: Axis, lanes: number, { y, pieces }: Shape): Walk {
  const s = f.scopes;
  const others = pass.axes.filter((axis) => axis !== piece);
  const steps = constantValue(extentsOf(others)) ?? 1;
  const length = constantValue(piece.extent) ?? 1;
  const [first, own, base] = [s.fresh("q"), s.fresh("n"), s.fresh("b")];
  const step = y * pieces;
  s.line(`const ${f.index} ${first} = ${pieces > 1 ? `(${f.index})blockIdx.y * ${y} + ` : ""}ty;`);
  s.line(`const ${f.index} ${base} = beside * ${lanes};`);
  const share = (at: string): string =>
    `(${length} * ${pieces === 1 ? steps : `tsr_share<int>(${steps}, ${y}, ${pieces}, ${at})`})`;
  const body = (at: string, list: readonly TileStatement[], after: (u: string) => void): void => {
    f.decompose(others, at, (axis) => f.extent(axis.extent));
    f.chunk(list, { symbol: piece.symbol, lanes, base, after });
  };
  const moments = hasMoments(pass) ? pass.moments : null;
  let thread: ThreadMoments | null = null;
  if (moments !== null) {
    const [shift, differences] = [s.fresh("k"), s.fresh("d")];
    thread = { sum: f.accumulator(moments.sum), squares: f.accumulator(moments.squares), shift, differences };
    s.line(
      `const int ${own} = ${first} < ${steps} ? ((int)(${steps} - ${first} + ${step - 1}) / ${step}) * ${lanes} : 0;`,
    );
    s.line(`float ${shift} = 0, ${differences} = 0;`);
    s.open(`if (${first} < ${steps}) {`);
    body(first, pass.body, (u) => s.line(`if (${u} == 0) ${shift} = ${f.text(moments.element)};`));
    s.close();
  }
  writeWalk(f, { first, end: String(steps), step, count: Math.ceil(steps / step) }, (at) =>
    body(at, pass.body, () => {
      if (moments !== null && thread !== null) writeMoments(f, thread, f.text(moments.element));
    }));
  return { moments: thread, own, share };
}

/** Combines variables over the threads of a row; all of them get the results. */
function combineGroup(f: CudaFunction, list: readonly Partial[], x: number, y: number, across: number): void {
  combineColumns(f, list, x, y);
  for (const { v, op, name } of across === 1 ? [] : list) {
    if (isArg(op)) continue;
    const [type, lambda] = [scalarType(v.dtype), combineLambda(op, v.dtype)];
    f.scopes.line(`${name} = tsr_beside_reduce<${x}, ${across}>(${name}, (${type}*)room, ${lambda});`);
  }
}
