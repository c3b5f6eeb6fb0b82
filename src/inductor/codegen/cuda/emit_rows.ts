/**
 * Reductions along contiguous axes: a warp, or part of one, or a block has a row.
 *
 * Threads take runs of the row by turns; accumulators are combined by shuffles, over a block through shared memory as well. If several passes read the
 * row and it fits, it stays in registers after the first. Few long rows are cut into pieces that blocks share: each writes its partial results, and
 * the block that comes last combines them in order, so results do not depend on timing.
 */
import { InternalError } from "../../../core/mod.ts";
import { ceilDiv, constant, constantValue, type Expr, mul } from "../../../symbolic/mod.ts";
import type { Axis, TileKernel, TileReduceOp, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { restOf } from "./emit_points.ts";
import { memoryType } from "../cpp/types.ts";
import { CudaFunction } from "./function.ts";
import { writesHalves } from "./halves.ts";
import { combineLambda, isArg, scalarType } from "./texts.ts";
import { type CudaKernelText, type EmitContext, line, signature } from "./kernel_text.ts";
import { accumulatorsOf, extentsOf, type Part, type Pass } from "./nests.ts";
import { exponentialHooks, joinHooks, keepExponential, type LaneHooks } from "./kept_exps.ts";
import { writeEnds, writeOddLoads, writeShifted } from "./odd_rows.ts";
import { combineOnline, isOnline, writeOnline } from "./online.ts";
import { combineInCluster, writeCluster } from "./row_cluster.ts";
import { chooseShape, repeatedLoads, type RowShape } from "./row_shape.ts";
import { combineEach, combinePartials, partialsOf, splitParameters, type Splitting } from "./split.ts";
import type { CachedLoad, Chunk } from "./vectors.ts";

/** Exponentials that a thread keeps from one walk to the next at most. */
const MOST_EXPONENTIALS = 12;
/** Elements that an online maximum takes together. */
const ONLINE_ELEMENTS = 16;

/** Emits a kernel whose rows are reduced by neighbouring threads. */
export function emitRows(kernel: TileKernel, given: readonly Part[], context: EmitContext): CudaKernelText {
  const { shape, parts: joint } = chooseShape(kernel, given, context);
  const odd = shape.odd ?? null;
  const count = shape.kept ?? 0;
  const few = (shape.lanes[0] ?? 1) * count <= MOST_EXPONENTIALS && count > 0;
  const isOne = few && (odd !== null || shape.lanes.every((lanes) => lanes === 1));
  const { parts, kept: exponential } = isOne ? keepExponential(joint) : { parts: joint, kept: null };
  const passes = parts.flatMap((part) => part.kind === "pass" ? [part.pass] : []);
  const { threads, rowsEach, pieces } = shape;
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, { shared: context.shared });
  const s = f.scopes;
  const rows = extentsOf(grid);
  const cluster = shape.cluster ?? null;
  const valid = cluster === null ? writePlace(f, shape, rows) : null;
  if (cluster !== null) writeCluster(f, cluster);
  f.decompose(grid, "row", (axis) => f.extent(axis.extent));
  if (odd !== null) writeEnds(f, odd, valid);
  const slot: CacheSlot = { text: "0" };
  const cached = declareCaches(f, kernel, parts, shape, slot);
  const hooks = exponential === null ? null : exponentialHooks(f, exponential, count, shape.lanes[0] ?? 1, slot);
  // The ends are a row of their own, of which a thread has one element.
  const endShape: RowShape = { ...shape, lanes: passes.map(() => 1), kept: 1 };
  const one = { text: "0" };
  const endCached = odd === null || shape.kept === null ? new Map() : declareCaches(f, kernel, parts, endShape, one);
  const endHooks = odd === null || exponential === null ? null : exponentialHooks(f, exponential, 1, 1, one);
  if (odd !== null && count > 0) writeOddLoads(f, odd, { vectors: cached, ends: endCached }, count, threads);
  const splitting: Splitting | null = pieces > 1
    ? { pieces, outputs: rows, output: "row", id: context.scratchId(), tile: "blockIdx.x", tiles: rows, block: threads }
    : null;
  const leader = [...(threads > 1 ? ["tx == 0"] : []), ...(valid === null ? [] : [valid])].join(" && ");
  const isReused = splitting !== null;
  let p = 0;
  for (const part of parts) {
    if (part.kind === "statements") {
      guarded(f, part.body, leader);
      continue;
    }
    const exp = writesHalves(kernel) ? "tsr_short_exp" : "tsr_exp";
    writePass(f, part.pass, shape.lanes[p++] ?? 1, shape, cached, valid, slot, exp, hooks?.(part.pass));
    if (odd !== null) writeEndOf(f, part.pass, endCached, exp, endHooks?.(part.pass));
    if (isOnline(part.pass)) combineOnline(f, part.pass, exp, (v, op) => combineRow(f, v, op, threads, isReused));
    const own = [...accumulatorsOf(part.pass)];
    if (cluster === null) combineRows(f, own, threads, isReused);
    else for (const [v, op] of own) combineInCluster(f, cluster, v, op);
    if (splitting !== null) {
      combinePartials(
        f,
        partialsOf(f, accumulatorsOf(part.pass)),
        splitting,
        (list) => combineEach(f, list, (v, op) => combineRow(f, v, op, threads)),
        "tx == 0",
        "tx",
        threads,
      );
    }
  }
  const extra = splitting === null ? [] : splitParameters(accumulatorsOf(passOf(parts)).size, splitting);
  const { args, parameters } = signature(f, extra);
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(cluster === null ? ["collectives"] : ["collectives", "row_cluster"]),
    args,
    ...(cluster === null
      ? { block: [Math.max(threads, threads * rowsEach), 1, 1] }
      : { block: [cluster.threads, 1, 1], cluster: [cluster.blocks, 1, 1] }),
    grid: splitting !== null
      ? [rows, constant(pieces), constant(1)]
      : line(cluster === null ? ceilDiv(rows, rowsEach) : mul(rows, cluster.blocks)),
    sharedBytes: shape.sharedBytes,
    ...((shape.blocksEach ?? 1) > 1 ? { blocksEach: shape.blocksEach ?? 1 } : {}),
  };
}

/** Declares which row a thread has (`row`), and its place in it (`tx`). Returns the condition under which the row exists, where it may not. */
function writePlace(f: CudaFunction, { threads, rowsEach }: RowShape, rows: Expr): string | null {
  const s = f.scopes;
  s.line(
    threads > 1 ? `const int tx = (int)threadIdx.x ${rowsEach > 1 ? `& ${threads - 1}` : ""};` : "const int tx = 0;",
  );
  if (rowsEach === 1) {
    s.line(`const ${f.index} row = (${f.index})blockIdx.x;`);
    return null;
  }
  const known = constantValue(rows);
  s.line(`const ${f.index} at = (${f.index})blockIdx.x * ${rowsEach} + (${f.index})(threadIdx.x / ${threads});`);
  if (known !== null && known % rowsEach === 0) {
    s.line(`const ${f.index} row = at;`);
    return null;
  }
  // Threads beyond the last row go along with it, for the shuffles, and store nothing.
  s.line(`const ${f.index} row = tsr_min(at, ${f.extent(rows)} - 1);`);
  s.line(`const bool valid = at < ${f.extent(rows)};`);
  return "valid";
}

function passOf(parts: readonly Part[]): Pass {
  for (const p of parts) if (p.kind === "pass") return p.pass;
  throw new InternalError("a kernel without a pass");
}

/** Statements outside of passes: all threads compute, one stores. */
export function guarded(f: CudaFunction, body: readonly TileStatement[], leader: string): void {
  for (const s of body) {
    if (leader !== "" && (s.kind === "store" || s.kind === "combine")) {
      f.scopes.open(`if (${leader}) {`);
      f.statement(s);
      f.scopes.close();
    } else f.statement(s);
  }
}

/** Where the current run of a row stands in its cache. */
export interface CacheSlot {
  text: string;
}

/** Declares what holds the loads that several passes repeat; where `rows` are walked, only what differs from row to row. */
export function declareCaches(
  f: CudaFunction,
  kernel: TileKernel,
  parts: readonly Part[],
  shape: RowShape,
  slot: CacheSlot,
  rows: readonly Axis[] = [],
): Map<TileStatement, CachedLoad> {
  const cached = new Map<TileStatement, CachedLoad>();
  if (shape.kept === null) return cached;
  const passes = parts.flatMap((p) => p.kind === "pass" ? [p.pass] : []);
  const lanes = shape.lanes[0] ?? 1;
  const units = constantValue(extentsOf(passes[0]?.axes ?? [])) ?? 0;
  let offset = 0;
  if (shape.kept < 0) f.scopes.line("TSR_DYNAMIC(room);");
  for (const list of repeatedLoads(kernel, passes, rows).values()) {
    const [first] = list;
    if (first?.kind !== "load") continue;
    const name = f.scopes.fresh("c");
    const type = `tsr_vec<${memoryType(first.buffer.dtype)}, ${lanes}>`;
    if (shape.kept < 0) f.scopes.line(`${type}* const ${name} = (${type}*)(room + ${offset});`);
    else f.scopes.line(`${type} ${name}[${shape.kept}];`);
    offset += Math.ceil(units * first.buffer.dtype.bytes / 16) * 16;
    let ready = false;
    const entry: CachedLoad = {
      name,
      get slot() {
        return slot.text;
      },
      get ready() {
        return ready;
      },
      fill: () => {
        ready = true;
      },
    };
    for (const s of list) cached.set(s, entry);
  }
  return cached;
}

/** Writes a pass along the row. */
export function writePass(
  f: CudaFunction,
  pass: Pass,
  lanes: number,
  shape: RowShape,
  cached: ReadonlyMap<TileStatement, CachedLoad>,
  valid: string | null,
  slot: CacheSlot,
  exp: string,
  hooks: LaneHooks = {},
): void {
  const s = f.scopes;
  const { threads, kept, pieces } = shape;
  const inner = pass.axes[pass.axes.length - 1] as Axis;
  const across = ceilDiv(inner.extent, lanes);
  const units = mul(extentsOf(pass.axes.slice(0, -1)), across);
  const q = s.fresh("q");
  const unitsText = shape.odd === null || shape.odd === undefined ? f.extent(units) : "whole";
  const odd = shape.odd ?? null;
  let guard = 0;
  // What is read once is taken several runs at a time, where no registers hold the row.
  const runs = isOnline(pass) && !(kept !== null && kept > 0) ? Math.max(1, ONLINE_ELEMENTS / lanes) : 1;
  const xs = s.fresh("e");
  slot.text = kept === null || kept < 0 ? q : kept === 1 ? "0" : "c";
  if (kept !== null && kept > 0) {
    // Threads of rows beyond the last have nothing in their registers: what stands there must not become an index.
    if (valid !== null) {
      s.open(`if (${valid}) {`);
      guard++;
    }
    s.open(`#pragma unroll\nfor (int c = 0; c < ${kept}; c++) {`);
    s.line(`const ${f.index} ${q} = c * ${threads} + tx;`);
    guard++;
    if (odd !== null || constantValue(units) !== kept * threads) {
      s.open(`if (${q} < ${unitsText}) {`);
      guard++;
    }
  } else {
    let from = "tx";
    let to = valid === null ? unitsText : `(${valid} ? ${unitsText} : 0)`;
    if (pieces > 1) {
      const each = s.fresh("e");
      s.line(`const ${f.index} ${each} = (${unitsText} + ${pieces - 1}) / ${pieces};`);
      from = `(${f.index})blockIdx.y * ${each} + tx`;
      to = `tsr_min((${f.index})(blockIdx.y + 1) * ${each}, (${f.index})${unitsText})`;
    }
    const end = s.fresh("e");
    s.line(`const ${f.index} ${end} = ${to};`);
    if (isOnline(pass)) {
      const first = s.fresh("q");
      s.open(`for (${f.index} ${first} = ${from}; ${first} < ${end}; ${first} += ${threads * runs}) {`);
      s.line(`float ${xs}[${runs * lanes}];`);
      s.open(`#pragma unroll\nfor (int r = 0; r < ${runs}; r++) {`);
      s.line(`#pragma unroll\nfor (int u = 0; u < ${lanes}; u++) ${xs}[r * ${lanes} + u] = -__builtin_inff();`);
      s.line(`const ${f.index} ${q} = ${first} + r * ${threads};`);
      s.open(`if (${q} < ${end}) {`);
    } else {
      s.open(
        `#pragma unroll ${lanes >= 4 ? 4 : 8}\nfor (${f.index} ${q} = ${from}; ${q} < ${end}; ${q} += ${threads}) {`,
      );
      guard++;
    }
  }
  if (isOnline(pass) && kept !== null && kept > 0) {
    s.line(`float ${xs}[${lanes}];`);
    s.line(`#pragma unroll\nfor (int u = 0; u < ${lanes}; u++) ${xs}[u] = -__builtin_inff();`);
  }
  const base = s.fresh("b");
  const from = odd === null ? "" : "head + ";
  if (pass.axes.length === 1) s.line(`const ${f.index} ${base} = ${from}${q}${lanes > 1 ? ` * ${lanes}` : ""};`);
  else {
    const outer = s.fresh("o");
    const acrossText = f.extent(across);
    s.line(`const ${f.index} ${outer} = ${q} / ${acrossText};`);
    s.line(`const ${f.index} ${base} = (${q} - ${outer} * ${acrossText})${lanes > 1 ? ` * ${lanes}` : ""};`);
    f.decompose(pass.axes.slice(0, -1), outer, (axis) => f.extent(axis.extent));
  }
  const rest = odd !== null ? { phase: odd.phase } : lanes === 1 ? {} : restOf(f, inner, lanes, base);
  const shifted = odd === null ? { body: pass.body, hooks: {} } : writeShifted(f, odd, pass, q);
  const use = { ...(kept === null ? {} : { cached }), ...joinHooks(hooks, shifted.hooks) };
  if (!isOnline(pass)) f.chunk(shifted.body, { symbol: inner.symbol, lanes, base, ...rest, ...use });
  else {
    const at = kept !== null && kept > 0 ? "" : `r * ${lanes} + `;
    const after = (u: string): void => s.line(`${xs}[${at}${u}] = ${f.text(pass.online.element)};`);
    f.chunk(shifted.body, { symbol: inner.symbol, lanes, base, ...rest, ...use, after });
    if (at !== "") {
      s.close();
      s.close();
      guard++;
    }
    writeOnline(f, pass, xs, runs * lanes, exp);
  }
  for (let i = 0; i < guard; i++) s.close();
}

/** Writes a pass over the thread's element before or behind the vectors of its row. */
function writeEndOf(
  f: CudaFunction,
  pass: Pass,
  cached: ReadonlyMap<TileStatement, CachedLoad>,
  exp: string,
  hooks: LaneHooks = {},
): void {
  const s = f.scopes;
  const { symbol } = pass.axes[pass.axes.length - 1] as Axis;
  const chunk: Chunk = { symbol, lanes: 1, base: "end", ...(cached.size > 0 ? { cached } : {}), ...hooks };
  s.open("if (tx < ends) {");
  if (!isOnline(pass)) f.chunk(pass.body, chunk);
  else {
    const xs = s.fresh("e");
    s.line(`float ${xs}[1];`);
    f.chunk(pass.body, { ...chunk, after: () => s.line(`${xs}[0] = ${f.text(pass.online.element)};`) });
    writeOnline(f, pass, xs, 1, exp);
  }
  s.close();
}

/**
 * Combines accumulators over the threads of a row; all get the results. Those that combine alike wait for each other once. `isReused` says that the text runs again before the block
 * waits anywhere else.
 */
export function combineRows(
  f: CudaFunction,
  list: readonly (readonly [TileValue, TileReduceOp])[],
  threads: number,
  isReused = true,
): void {
  const rest = [...list];
  for (let first = rest.shift(); first !== undefined; first = rest.shift()) {
    const [v, op] = first;
    const alike = rest.filter(([w, own]) => own === op && w.dtype === v.dtype);
    if (threads <= 32 || isArg(op) || alike.length === 0) {
      combineRow(f, v, op, threads, isReused);
      continue;
    }
    const names = [v, ...alike.map(([w]) => w)].map((w) => f.accumulator(w));
    const [type, n] = [scalarType(v.dtype), names.length];
    const s = f.scopes;
    s.line(`{ __shared__ ${type} room[${32 * n}]; ${type} m[${n}] = {${names.join(", ")}};`);
    s.line(`  tsr_block_reduce_all<${threads}${isReused ? "" : ", false"}>(m, room, ${combineLambda(op, v.dtype)});`);
    s.line(`  ${names.map((name, i) => `${name} = m[${i}];`).join(" ")} }`);
    for (const done of alike) rest.splice(rest.indexOf(done), 1);
  }
}

/** Combines an accumulator over the threads of a row; all get the result. */
export function combineRow(f: CudaFunction, v: TileValue, op: TileReduceOp, threads: number, isReused = true): void {
  if (threads === 1) return;
  const s = f.scopes;
  const name = f.accumulator(v);
  const type = scalarType(v.dtype);
  if (isArg(op)) {
    const sign = op === "argmax" ? 1 : -1;
    if (threads <= 32) s.line(`tsr_warp_best<${threads}>(${name}, ${name}p, ${sign});`);
    else {
      s.line(`{ __shared__ ${type} room[32]; __shared__ long places[32];`);
      s.line(`  tsr_block_best<${threads}>(${name}, ${name}p, room, places, ${sign}); }`);
    }
    return;
  }
  const lambda = combineLambda(op, v.dtype);
  if (threads <= 32) s.line(`${name} = tsr_warp_reduce<${threads}>(${name}, ${lambda});`);
  else {s.line(
      `{ __shared__ ${type} room[32]; ${name} = tsr_block_reduce<${threads}${
        isReused ? "" : ", false"
      }>(${name}, room, ${lambda}); }`,
    );}
}
