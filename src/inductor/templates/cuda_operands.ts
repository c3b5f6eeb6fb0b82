/**
 * Operands of contractions on CUDA: along which axis they are read, whether their elements can be copied without touching them, and the loops
 * that bring a tile to shared memory.
 */
import { bfloat16, type DType, float16, int8, InternalError, isFloat8 } from "../../core/mod.ts";
import { constant, constantValue, type Expr, mul } from "../../symbolic/mod.ts";
import type { CudaFunction } from "../codegen/cuda/function.ts";
import { scalarType } from "../codegen/cuda/texts.ts";
import { isAlignedRun, isVectorAccess, varying } from "../codegen/cuda/vectors.ts";
import { newSym } from "../../symbolic/mod.ts";
import type { Axis, OperandProgram, TileStatement, TileValue } from "../tile/tile_ir.ts";

/** How a tile of an operand is read. */
export interface OperandPlan {
  readonly program: OperandProgram;
  /** Runs of neighbouring elements go along k, or along the operand's own rows. */
  readonly along: "k" | "rows";
  readonly lanes: number;
  /** The element as it is in memory, where the tensor cores can take it as it is. */
  readonly half: DType | null;
  /** The value to be put into shared memory. */
  readonly value: TileValue;
  /** A load that may be copied without passing through registers: the load, and what holds where it is not zero. */
  readonly copy: { readonly load: TileStatement & { readonly kind: "load" } } | null;
}

function definition(program: OperandProgram, v: TileValue): TileStatement | undefined {
  return program.body.find((s) => "out" in s && s.out === v);
}

/** The half type, or type of 8 bits, in which a value is exact: it was widened from there, or is zero where a mask does not hold. */
function exactIn(program: OperandProgram, v: TileValue): DType | null {
  const own = definition(program, v);
  if (own?.kind === "cast") {
    const { dtype } = own.arg;
    return dtype === float16 || dtype === bfloat16 || dtype === int8 || isFloat8(dtype) ? dtype : null;
  }
  if (own?.kind !== "pointwise" || own.op !== "where") return null;
  const [, body, other] = own.args;
  return body !== undefined && isZero(program, other) ? exactIn(program, body) : null;
}

function isZero(program: OperandProgram, v: TileValue | undefined): boolean {
  const own = v === undefined ? undefined : definition(program, v);
  return own?.kind === "constant" && Number(own.value) === 0;
}

/** The load that a value is, perhaps widened, or that it is where a mask holds, zero elsewhere. */
function copyable(program: OperandProgram, value: TileValue): OperandPlan["copy"] {
  const own = definition(program, value);
  if (own?.kind === "load") return { load: own };
  if (own?.kind === "cast") return copyable(program, own.arg);
  if (own?.kind !== "pointwise" || own.op !== "where") return null;
  const [mask, body, other] = own.args;
  const found = body === undefined ? null : copyable(program, body);
  return found !== null && found.load.mask === mask && isZero(program, other) ? found : null;
}

/** Decides how an operand is read; `widest` is the longest run, of 8 bits twice as long. `stored`: what the tensor cores take if nothing shorter. */
export function planOperand(
  program: OperandProgram,
  widest: number,
  tensorCores: boolean,
  stored: DType | null = null,
): OperandPlan {
  const half = (tensorCores ? exactIn(program, program.value) : null) ?? stored;
  const lanes = half?.bytes === 1 ? 2 * widest : widest;
  const { value } = program;
  const loads = program.body.filter((s): s is TileStatement & { readonly kind: "load" } => s.kind === "load");
  const fits = (axis: Axis | undefined, n: number): boolean => {
    if (axis === undefined) return false;
    const extent = constantValue(axis.extent);
    return extent !== null && extent % n === 0 && loads.length > 0 &&
      loads.some((s) => isAlignedRun(s.index, axis.symbol, n));
  };
  const k = program.k[program.k.length - 1];
  const row = program.rows[program.rows.length - 1];
  const base = { program, half, value };
  for (let n = lanes; n > 1; n /= 2) {
    for (const [along, axis] of [["k", k], ["rows", row]] as const) {
      if (!fits(axis, n) || axis === undefined) continue;
      const copy = copyable(program, value);
      const known = varying(program.body, axis.symbol);
      const plain = copy !== null && half !== null && n * half.bytes === 16 && copy.load.buffer.dtype === half &&
        isAlignedRun(copy.load.index, axis.symbol, n) &&
        (copy.load.mask === null || !known.values.has(copy.load.mask)) &&
        program.body.every((s) => s.kind !== "load" || s === copy.load || !known.has(s)) &&
        program.body.every((s) => s.kind !== "bind" || !known.has(s));
      return { ...base, along, lanes: n, copy: plain ? copy : null };
    }
  }
  const step = (axis: Axis | undefined): boolean =>
    axis !== undefined && loads.some((s) => isAlignedRun(s.index, axis.symbol, 1));
  return { ...base, along: step(k) || !step(row) ? "k" : "rows", lanes: 1, copy: null };
}

/**
 * Ways to read an operand of a dtype as a matrix whose length is no multiple of a run: the copy engine fills with zeros what is beyond the end. Whether rows are
 * aligned is for the caller to see.
 */
export function ragged(plan: OperandPlan, dtype: DType | null = plan.half): OperandPlan[] {
  if (plan.copy !== null || dtype === null) return [];
  const copy = copyable(plan.program, plan.value);
  if (copy === null || copy.load.mask !== null || copy.load.buffer.dtype !== dtype) return [];
  return [{ ...plan, along: "k", lanes: 1, copy }, { ...plan, along: "rows", lanes: 1, copy }];
}

/** Where a tile goes. */
export interface TileRoom {
  readonly threads: number;
  /** Rows of the tile, and its length along k. */
  readonly rows: number;
  readonly k: number;
  /** Element distance from row to row (or from k to k, for tiles along their rows). */
  readonly pitch: number;
  /** Texts: the first row, the first k, the number of rows and where k ends. */
  readonly row0: string;
  readonly k0: string;
  readonly rowEnd: Expr;
  readonly kEnd: string;
  readonly kExact: boolean;
  /** The thread's number among those that read the tile. */
  readonly thread?: string;
  /** How the tile lies in shared memory, whichever way it is read. */
  readonly lies?: OperandPlan["along"];
  /** The line that copies one run, where it is not `tsr_copy16` to the plain layout. */
  readonly copy?: (slow: string, fast: string, from: string, there: string) => string;
}

/**
 * Writes the loop that reads one tile. `keep` is told the run's number, its place in the tile as text and its values' array, or, for copies, nothing is
 * kept: they go to `shared` directly.
 */
export function writeTileLoop(
  f: CudaFunction,
  plan: OperandPlan,
  room: TileRoom,
  name: string,
  shared: string,
): number {
  const s = f.scopes;
  const { program, lanes, along } = plan;
  const runs = room.rows * room.k / lanes;
  const each = Math.ceil(runs / room.threads);
  const type = plan.copy !== null ? "" : scalarType(plan.value.dtype);
  s.open(`#pragma unroll\nfor (int i = 0; i < ${each}; i++) {`);
  const c = s.fresh("c");
  s.line(`const int ${c} = i * ${room.threads} + ${room.thread ?? "(int)threadIdx.x"};`);
  if (runs % room.threads !== 0) s.open(`if (${c} < ${runs}) {`);
  const [lr, lk] = [s.fresh("r"), s.fresh("k")];
  const across = (along === "k" ? room.k : room.rows) / lanes;
  const [slow, fast] = along === "k" ? [lr, lk] : [lk, lr];
  s.line(`const int ${slow} = ${c} / ${across}, ${fast} = ${c} % ${across}${lanes > 1 ? ` * ${lanes}` : ""};`);
  const [row, k] = [s.fresh("r"), s.fresh("k")];
  s.line(`const ${f.index} ${row} = ${room.row0} + ${lr}, ${k} = ${room.k0} + ${lk};`);
  const isWhole = constantValue(room.rowEnd) !== null && (constantValue(room.rowEnd) ?? 0) % room.rows === 0;
  const rowIn = isWhole ? null : `${row} < ${f.extent(room.rowEnd)}`;
  const kIn = room.kExact ? null : `${k} < ${room.kEnd}`;
  const conditions = [rowIn, kIn].filter((c) => c !== null);
  const inside = conditions.length === 0 ? "true" : conditions.join(" && ");
  const axes = along === "k" ? program.k : program.rows;
  const inner = axes[axes.length - 1];
  const place = `${shared} + ${slow} * ${room.pitch} + ${fast}`;
  const [x, y] = [s.fresh("x"), s.fresh("x")];
  if (conditions.length > 0 && plan.copy !== null) {
    // A copy needs a valid address even where it copies nothing.
    s.line(`const bool in_${c} = ${inside};`);
    // Each by its own condition: what a row means does not change from step to step.
    const safe = (what: string, isIn: string | null): string => isIn === null ? what : `${isIn} ? ${what} : 0`;
    s.line(`const ${f.index} ${x} = ${safe(row, rowIn)}, ${y} = ${safe(k, kIn)};`);
  } else s.line(`const ${f.index} ${x} = ${row}, ${y} = ${k};`);
  if (plan.copy !== null) {
    const values = runAxes(f, program, along, x, y);
    const first = newSym("first", { kind: "index", lower: 0 });
    if (inner === undefined) throw new InternalError("a copy along no axis");
    s.define(first, values);
    const known = varying(program.body, inner.symbol);
    for (const st of program.body) if (!known.has(st)) f.statement(st);
    const { load } = plan.copy;
    const at = isVectorAccess(load.index, { symbol: inner.symbol, lanes }, first, known, f.knows);
    if (at === null) throw new InternalError("a copy that is no vector");
    const there = [
      ...(conditions.length > 0 ? [`in_${c}`] : []),
      ...(load.mask === null ? [] : [`${f.text(load.mask)}`]),
    ];
    const from = `${f.pointer(load.buffer)} + ${s.index(at)}`;
    const copy = room.copy ?? ((_slow, _fast, what, whether) => `tsr_copy16(${place}, ${what}, ${whether});`);
    if (load.mask === null) s.line(copy(slow, fast, from, there.join(" && ") || "true"));
    else {
      const ok = s.fresh("ok");
      s.line(`const bool ${ok} = ${there.join(" && ")};`);
      s.line(copy(slow, fast, `${ok} ? ${from} : ${f.pointer(load.buffer)}`, ok));
    }
  } else {
    s.line("#pragma unroll");
    s.line(`for (int u = 0; u < ${lanes}; u++) ${name}[i][u] = (${type})0;`);
    if (conditions.length > 0) s.open(`if (${inside}) {`);
    const base = runAxes(f, program, along, x, y);
    const symbol = inner?.symbol ?? newSym("none", { kind: "index", lower: 0 });
    f.chunk(program.body, {
      symbol,
      lanes,
      base: inner === undefined ? "0" : base,
      after: (u) => s.line(`${name}[i][${u}] = ${f.text(plan.value)};`),
    });
    if (conditions.length > 0) s.close();
  }
  if (runs % room.threads !== 0) s.close();
  s.close();
  return each;
}

/** Names the axes of a run's row and k; the innermost axis along the run is left to the run: the text of its first position returns. */
function runAxes(f: CudaFunction, program: OperandProgram, along: "k" | "rows", row: string, k: string): string {
  const extent = (axis: Axis): string => f.extent(axis.extent);
  f.decompose(program.rows, row, extent);
  f.decompose(program.k, k, extent);
  const axes = along === "k" ? program.k : program.rows;
  const inner = axes[axes.length - 1];
  return inner === undefined ? "0" : f.symbolText(inner.symbol);
}

/** Writes the loop that puts what was kept into shared memory. */
export function writePut(
  f: CudaFunction,
  plan: OperandPlan,
  room: TileRoom,
  name: string,
  shared: string,
  element: string,
): void {
  const s = f.scopes;
  const { lanes, along } = plan;
  const runs = room.rows * room.k / lanes;
  s.open(`#pragma unroll\nfor (int i = 0; i < ${Math.ceil(runs / room.threads)}; i++) {`);
  s.line(`const int c = i * ${room.threads} + (int)threadIdx.x;`);
  if (runs % room.threads !== 0) s.open(`if (c < ${runs}) {`);
  const across = (along === "k" ? room.k : room.rows) / lanes;
  const place = `${shared} + c / ${across} * ${room.pitch} + c % ${across}${lanes > 1 ? ` * ${lanes}` : ""}`;
  if ((room.lies ?? along) !== along) {
    const turned = `${shared} + (c % ${across}${lanes > 1 ? ` * ${lanes}` : ""}) * ${room.pitch} + c / ${across}`;
    s.line("#pragma unroll");
    s.line(`for (int u = 0; u < ${lanes}; u++) tsr_put(${turned} + u * ${room.pitch}, ${name}[i][u]);`);
  } else if (lanes > 1 && element !== "double") s.line(`tsr_store<${lanes}>(${place}, ${name}[i]);`);
  else {
    s.line("#pragma unroll");
    s.line(`for (int u = 0; u < ${lanes}; u++) tsr_put(${place} + u, ${name}[i][u]);`);
  }
  if (runs % room.threads !== 0) s.close();
  s.close();
}

/** The product of extents. */
export function productOf(list: readonly Expr[]): Expr {
  return list.reduce<Expr>((a, b) => mul(a, b), constant(1));
}
