/**
 * Reductions along contiguous axes: a warp, or part of one, or a block has a row.
 *
 * Threads take runs of the row by turns; accumulators are combined by shuffles, over a block through shared memory as well. If several passes read the
 * row and it fits, it stays in registers after the first. Few long rows are cut into pieces that blocks share: each writes its partial results, and
 * the block that comes last combines them in order, so results do not depend on timing.
 */
import { InternalError } from "../../../core/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import { ceilDiv, constant, constantValue, dependsOn, mul } from "../../../symbolic/mod.ts";
import { guess } from "../../tile/axes.ts";
import type { Axis, TileKernel, TileReduceOp, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { restOf } from "./emit_points.ts";
import { memoryType } from "../cpp/types.ts";
import { CudaFunction } from "./function.ts";
import { writesHalves } from "./halves.ts";
import { combineLambda, isArg, scalarType } from "./texts.ts";
import { type CudaKernelText, type EmitContext, line, signature } from "./kernel_text.ts";
import { accumulatorsOf, extentsOf, lanesFor, type Part, type Pass } from "./nests.ts";
import { exponentialHooks, keepExponential, type LaneHooks } from "./kept_exps.ts";
import { LEAST_THREADS, type OddRows, oddRows, writeEnds, writeOddLoads } from "./odd_rows.ts";
import { combineOnline, isOnline, joinOnline, writeOnline } from "./online.ts";
import { combineEach, combinePartials, partialsOf, splitParameters, type Splitting } from "./split.ts";
import type { CachedLoad, Chunk } from "./vectors.ts";

/** Registers of a thread that may hold parts of rows. */
const MOST_KEPT = 40;

/** Registers of a multiprocessor, and those of a thread that do not hold parts of rows. */
const REGISTERS = 65536;
const OTHER_REGISTERS = 40;
/** Registers that hold a row of which an online maximum is taken: with more, few blocks fit, and all wait at the same time. */
const ONLINE_KEPT = 24;
/** Exponentials that a thread keeps from one walk to the next at most. */
const MOST_EXPONENTIALS = 12;
/** Elements that an online maximum takes together. */
const ONLINE_ELEMENTS = 16;

/** How rows are taken by threads. */
export interface RowShape {
  /** Threads a row. */
  readonly threads: number;
  readonly rowsEach: number;
  readonly lanes: readonly number[];
  /** Runs a thread has, if the row stays in registers; -1 if it stays in shared memory; null if it is read again. */
  readonly kept: number | null;
  readonly sharedBytes: number;
  readonly pieces: number;
  /** Blocks that should fit a multiprocessor: the compiler reads a row far ahead, and takes the registers of a second block for that. */
  readonly blocksEach?: number | null;
  /** Rows that begin anywhere. */
  readonly odd?: OddRows | null;
}

function power(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, n)));
}

/** Loads that several passes repeat. */
function repeatedLoads(
  kernel: TileKernel,
  passes: readonly Pass[],
  rows: readonly Axis[] = [],
): Map<string, TileStatement[]> {
  const written = new Set<BufferRef>(kernel.writes);
  const found = new Map<string, { first: number; list: TileStatement[] }>();
  passes.forEach((pass, i) => {
    for (const s of pass.body) {
      if (s.kind !== "load" || s.mask !== null || written.has(s.buffer)) continue;
      if (!pass.axes.some((axis) => varies(s, axis))) continue;
      if (rows.length > 0 && !rows.some((axis) => varies(s, axis))) continue;
      const key = `${s.buffer.id}/${s.index.id}`;
      const entry = found.get(key);
      if (entry === undefined) found.set(key, { first: i, list: [s] });
      else entry.list.push(s);
    }
  });
  const result = new Map<string, TileStatement[]>();
  for (const [key, { list }] of found) if (list.length > 1) result.set(key, list);
  return result;
}

function varies(s: TileStatement & { readonly kind: "load" }, axis: Axis): boolean {
  return dependsOn(s.index, axis.symbol);
}

/** How rows are taken; those that begin anywhere as vectors and ends, if threads suffice. */
function chooseShape(kernel: TileKernel, parts: readonly Part[], context: EmitContext): RowShape {
  const passes = parts.flatMap((p) => p.kind === "pass" ? [p.pass] : []);
  const plain = shapeFor(kernel, passes, context, null);
  const odd = oddRows(kernel, passes, plain.lanes);
  const shape = odd === null ? plain : { ...shapeFor(kernel, passes, context, odd), odd };
  return shape.threads >= LEAST_THREADS && shape.pieces === 1 ? shape : plain;
}

function shapeFor(kernel: TileKernel, passes: readonly Pass[], context: EmitContext, odd: OddRows | null): RowShape {
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const rows = grid.reduce((n, axis) => n * guess(axis.extent), 1);
  const same = passes.every((p) =>
    p.axes.length === passes[0]?.axes.length && p.axes.every((a, i) => a === passes[0]?.axes[i])
  );
  const all = passes.flatMap((p) => p.body);
  const lanes = passes.map((pass) => {
    const axis = pass.axes[pass.axes.length - 1] as Axis;
    return odd !== null ? odd.lanes : lanesFor(same ? all : pass.body, axis, pass.axes.length === 1);
  });
  const length = constantValue(extentsOf(passes[0]?.axes ?? []));
  const units = Math.max(
    ...passes.map((p, i) =>
      odd !== null
        ? Math.floor(odd.length / odd.lanes)
        : Math.ceil(extentsOf(p.axes).kind === "const" ? guess(extentsOf(p.axes)) / (lanes[i] ?? 1) : 64)
    ),
  );
  const repeated = [...repeatedLoads(kernel, passes).values()].flatMap(([s]) => s?.kind === "load" ? [s.buffer] : []);
  const width = lanes[0] ?? 1;
  const online = passes.some(isOnline);
  if (passes.length > 1 && same && length !== null && repeated.length > 0) {
    const run = repeated.reduce((n, b) => n + Math.max(1, width * b.dtype.bytes / 4), 0);
    const threads = keptThreads(units, run);
    const kept = threads === null ? 0 : Math.ceil(units / threads);
    if (threads !== null && (!online || (width >= 4 && kept * run <= ONLINE_KEPT))) {
      const blocksEach = threads < 256 ? null : Math.floor(REGISTERS / (threads * (kept * run + OTHER_REGISTERS)));
      return { threads, rowsEach: rowsOf(threads), lanes, kept, sharedBytes: 0, pieces: 1, blocksEach };
    }
    const bytes = repeated.reduce((n, b) => n + Math.ceil(units * width * b.dtype.bytes / 16) * 16, 0);
    if (bytes <= sharedLimit(context.arch)) {
      const fits = online ? Math.floor(sharedLimit(context.arch) / bytes) : 1;
      const threads = bytes > 50_000 && fits < 3 ? 1024 : 512;
      return { threads, rowsEach: 1, lanes, kept: -1, sharedBytes: bytes, pieces: 1, blocksEach: Math.min(3, fits) };
    }
  }
  const atOnce = units <= 32 ? 1 : units <= 256 ? 2 : 4;
  let threads = Math.min(rows < context.multiprocessors * 2 ? 1024 : 512, power(Math.ceil(units / atOnce)));
  let pieces = 1;
  if (passes.length === 1 && !online && length !== null && rows * 2 < context.multiprocessors * 2 && units >= 2048) {
    threads = 256;
    const wanted = Math.ceil(context.multiprocessors * 4 / rows);
    pieces = Math.max(1, Math.min(wanted, Math.floor(units / (threads * 2)), 1024));
  }
  return { threads, rowsEach: rowsOf(threads), lanes, kept: null, sharedBytes: 0, pieces };
}

/** Shared memory that a block may have for a row. */
function sharedLimit(arch: number): number {
  return arch === 90 || arch === 100 ? 220_000 : arch === 80 ? 160_000 : 96_000;
}

/** Threads for rows that stay in registers: little waste, few barriers, several blocks a multiprocessor. Null where a row is too long. */
function keptThreads(units: number, registersEach: number): number | null {
  let best: number | null = null;
  let lowest = Infinity;
  for (let threads = 1; threads <= 1024; threads *= 2) {
    const own = Math.ceil(units / threads);
    const registers = own * registersEach;
    if (registers > MOST_KEPT || (threads === 1024 && registers > 32)) continue;
    const steps = threads > 32 ? 1 + 0.03 * Math.log2(threads / 32) : 1 + 0.02 * Math.log2(32 / threads);
    const cost = own * threads / units * steps * (registers > 16 ? 1.05 : 1) * (own < 2 && threads > 32 ? 1.05 : 1) *
      (threads === 1024 ? 1.1 : 1);
    if (cost < lowest) {
      best = threads;
      lowest = cost;
    }
  }
  return best;
}

function rowsOf(threads: number): number {
  return threads > 32 ? 1 : 128 / threads;
}

/** Emits a kernel whose rows are reduced by neighbouring threads. */
export function emitRows(kernel: TileKernel, given: readonly Part[], context: EmitContext): CudaKernelText {
  const joint = joinOnline(given);
  const shape = chooseShape(kernel, joint, context);
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
  const block = Math.max(threads, threads * rowsEach);
  let valid: string | null = null;
  s.line(
    threads > 1 ? `const int tx = (int)threadIdx.x ${rowsEach > 1 ? `& ${threads - 1}` : ""};` : "const int tx = 0;",
  );
  if (rowsEach === 1) s.line(`const ${f.index} row = (${f.index})blockIdx.x;`);
  else {
    const known = constantValue(rows);
    s.line(`const ${f.index} at = (${f.index})blockIdx.x * ${rowsEach} + (${f.index})(threadIdx.x / ${threads});`);
    if (known !== null && known % rowsEach === 0) s.line(`const ${f.index} row = at;`);
    else {
      // Threads beyond the last row go along with it, for the shuffles, and store nothing.
      s.line(`const ${f.index} row = tsr_min(at, ${f.extent(rows)} - 1);`);
      s.line(`const bool valid = at < ${f.extent(rows)};`);
      valid = "valid";
    }
  }
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
    combineRows(f, [...accumulatorsOf(part.pass)], threads, isReused);
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
    includes: new Set(["collectives"]),
    args,
    grid: splitting === null ? line(ceilDiv(rows, rowsEach)) : [rows, constant(pieces), constant(1)],
    block: [block, 1, 1],
    sharedBytes: shape.sharedBytes,
    ...((shape.blocksEach ?? 1) > 1 ? { blocksEach: shape.blocksEach ?? 1 } : {}),
  };
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
  const use = { ...(kept === null ? {} : { cached }), ...hooks };
  if (!isOnline(pass)) f.chunk(pass.body, { symbol: inner.symbol, lanes, base, ...rest, ...use });
  else {
    const at = kept !== null && kept > 0 ? "" : `r * ${lanes} + `;
    const after = (u: string): void => s.line(`${xs}[${at}${u}] = ${f.text(pass.online.element)};`);
    f.chunk(pass.body, { symbol: inner.symbol, lanes, base, ...rest, ...use, after });
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
