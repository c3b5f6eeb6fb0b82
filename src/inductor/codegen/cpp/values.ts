/**
 * What a C++ function knows while it is written: values, the lanes of its vector axis, index expressions.
 *
 * One axis of a kernel may have a block: of whole registers, so a value along it is several vectors, its parts. The loop over that axis is written
 * twice: for full blocks, and for the rest of the extent in steps of one register with the lanes beyond it masked off.
 */
import { type DType, int64, InternalError } from "../../../core/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import {
  add,
  cDialect,
  coefficient,
  constantValue,
  type Expr,
  floorDiv,
  freeSymbols,
  mod,
  mul,
  type Sym,
} from "../../../symbolic/mod.ts";
import type { Axis, KernelBase, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { findRanges, type Range, rangeOfDtype } from "../ranges.ts";
import { Scopes } from "../scopes.ts";
import { laneText, variesOverLanes } from "./lanes.ts";
import { broadcast, type Lane, laneOf, typeText } from "./types.ts";

/** A value that has been written. */
export interface Known {
  /** One text a part; one if scalar. */
  readonly texts: readonly string[];
  readonly vector: boolean;
  readonly dtype: DType;
  readonly lane: Lane;
  readonly level: number;
  readonly token: object;
}

interface LaneSymbol {
  readonly texts: readonly string[];
  readonly level: number;
  readonly token: object;
}

/** Values and loops of one function. */
export class CppValues {
  readonly scopes: Scopes;
  readonly lanes: number;
  readonly #ranges: ReadonlyMap<TileValue, Range>;
  readonly #values = new Map<TileValue, Known>();
  readonly #laneSymbols = new Map<Sym, LaneSymbol>();
  readonly #laneCache = new Map<Expr, LaneSymbol>();
  readonly #buffers: readonly BufferRef[];
  readonly vectorAxis: Axis | null;
  /** Parts of a value along the vector axis in the loop that is being written. */
  #parts: number;
  /** The level of the branch that is being written, which nothing that stands in it may leave. */
  protected floor = 0;
  /** Buffers to which whole lines are written past the caches in the loop that is being written. */
  streamed: ReadonlySet<BufferRef> = new Set();
  /** Name of the number of lanes in use, in the loop over the rest of the vector axis. */
  #rest: string | null = null;

  constructor(kernel: KernelBase, bodies: readonly (readonly TileStatement[])[], axes: readonly Axis[], lanes: number) {
    this.lanes = lanes;
    this.#ranges = findRanges(bodies, axes);
    this.#buffers = [...kernel.reads, ...kernel.writes];
    this.vectorAxis = axes.find((axis) => axis.block > 1) ?? null;
    this.#parts = this.vectorAxis === null ? 1 : this.vectorAxis.block / lanes;
    this.scopes = new Scopes({
      declare: (name, value) => `const long ${name} = ${value};`,
      dialect: (symbol) => cDialect({ symbol, suffix: "l" }),
    });
    kernel.sizes.forEach((sym, i) => this.scopes.define(sym, `n${i}`, 0));
  }

  /** Parts of a value along the vector axis in the loop that is being written. */
  get parts(): number {
    return this.#parts;
  }

  /** Name of the number of lanes in use, in the loop over the rest of the vector axis; null where all are. */
  get rest(): string | null {
    return this.#rest;
  }

  /** The interval of an integer. */
  rangeOf(v: TileValue): Range {
    return this.#ranges.get(v) ?? rangeOfDtype(v.dtype);
  }

  /** The name of a buffer's parameter. */
  pointer(buffer: BufferRef): string {
    const at = this.#buffers.indexOf(buffer);
    if (at < 0) throw new InternalError(`${buffer.label} is no parameter of the kernel`);
    return `p${at}`;
  }

  /** Lets a value be known as a scalar text. */
  assign(v: TileValue, text: string): void {
    this.setTexts(v, [text], false, this.scopes.depth);
  }

  /** Lets a value be known as one vector. */
  assignVector(v: TileValue, text: string): void {
    this.setTexts(v, [text], true, this.scopes.depth);
  }

  /** A value as a scalar. */
  scalar(v: TileValue): string {
    const known = this.known(v);
    if (known.vector) throw new InternalError(`value ${v.id} is a vector where a scalar is needed`);
    return known.texts[0] ?? "";
  }

  /** A value as a vector of its own lane, part by part. */
  vector(v: TileValue, part = 0): string {
    return this.operand(v, true, this.known(v).lane, part);
  }

  /**
   * Writes a loop over an axis, `body` inside of it. `from` and `to` count blocks; without them the loop covers the whole extent.
   */
  overAxis(axis: Axis, body: () => void, range: { readonly from: string; readonly to: string } | null = null): void {
    const s = this.scopes;
    const x = s.fresh("x");
    if (axis.block === 1) {
      const limit = range?.to ?? s.index(axis.extent);
      s.open(`for (long ${x} = ${range?.from ?? 0}; ${x} < ${limit}; ${x}++) {`);
      s.define(axis.symbol, x);
      body();
      s.close();
      return;
    }
    const full = floorDiv(axis.extent, axis.block);
    const fullText = s.index(full);
    if (constantValue(full) !== 0) {
      const k = s.fresh("k");
      const limit = range === null ? fullText : `tsr_min(${range.to}, ${fullText})`;
      s.open(`for (long ${k} = ${range?.from ?? 0}, ${k}e = ${limit}; ${k} < ${k}e; ${k}++) {`);
      s.line(`const long ${x} = ${k} * ${axis.block};`);
      this.#inLanes(axis, x, axis.block / this.lanes, null, body);
      s.close();
    }
    if (constantValue(mod(axis.extent, axis.block)) === 0) return;
    const extent = s.index(axis.extent);
    const start = s.index(mul(full, axis.block));
    const rest = s.fresh("r");
    if (range !== null) s.open(`if (${range.to} > ${fullText}) {`);
    s.open(`for (long ${x} = ${start}; ${x} < ${extent}; ${x} += VW) {`);
    s.line(`const long ${rest} = tsr_min(VW, ${extent} - ${x});`);
    this.#inLanes(axis, x, 1, rest, body);
    s.close();
    if (range !== null) s.close();
  }

  #inLanes(axis: Axis, x: string, parts: number, rest: string | null, body: () => void): void {
    const s = this.scopes;
    const [oldParts, oldRest] = [this.#parts, this.#rest];
    this.#parts = parts;
    this.#rest = rest;
    s.define(axis.symbol, x);
    const texts: string[] = [];
    const last = rest === null ? "" : s.index(add(axis.extent, -1));
    for (let u = 0; u < parts; u++) {
      const name = `${x}v${u}`;
      const lanes = `vset((int)${x}) + ${u > 0 ? `(viota() + ${u} * VW)` : "viota()"}`;
      // Lanes beyond the extent repeat the last position: what they compute is valid, and dropped.
      s.line(`const vi32 ${name} = ${rest === null ? lanes : `vmin(${lanes}, vset((int)${last}))`};`);
      texts.push(name);
    }
    if (rest !== null) s.line(`const vi32 ${rest}m = vfirst(${rest});`);
    this.#laneSymbols.set(axis.symbol, { texts, level: s.depth, token: s.token(s.depth) });
    body();
    this.#laneSymbols.delete(axis.symbol);
    this.#parts = oldParts;
    this.#rest = oldRest;
  }

  /**
   * Writes `body` with an axis as one vector of lanes that start at position `x`; `rest` names how many of them count, null for all.
   */
  inLanes(axis: Axis, x: string, rest: string | null, body: () => void): void {
    this.#inLanes(axis, x, 1, rest, body);
  }

  /** What is known of a value that has been written. */
  known(v: TileValue): Known {
    const found = this.#values.get(v);
    if (found === undefined) throw new InternalError(`value ${v.id} is used before it is defined`);
    return found;
  }

  /** Whether a value has been written at a level that is still open. */
  isDefined(v: TileValue): boolean {
    const found = this.#values.get(v);
    return found !== undefined && this.scopes.isOpen(found.level, found.token);
  }

  /** Lets a value be known by texts. */
  setTexts(v: TileValue, texts: readonly string[], vector: boolean, level: number): void {
    const lane = laneOf(v.dtype, vector && this.isNarrow(v));
    this.#values.set(v, { texts, vector, dtype: v.dtype, lane, level, token: this.scopes.token(level) });
  }

  /** Whether an int64 fits a 32-bit lane. */
  isNarrow(v: TileValue): boolean {
    if (v.dtype !== int64) return false;
    const { lower, upper } = this.rangeOf(v);
    return lower >= -2147483648 && upper <= 2147483647;
  }

  /** The level at which operands and expressions are known. */
  levelOf(operands: readonly (TileValue | null)[], exprs: readonly Expr[] = []): number {
    let level = this.floor;
    for (const v of operands) if (v !== null) level = Math.max(level, this.known(v).level);
    for (const e of exprs) level = Math.max(level, this.scopes.levelOf(e));
    return level;
  }

  /** An operand as text, brought to a lane. */
  operand(v: TileValue, vector: boolean, lane: Lane, part: number): string {
    const known = this.known(v);
    const text = known.texts[known.vector ? Math.min(part, known.texts.length - 1) : 0] ?? "";
    if (!vector) return text;
    if (!known.vector) return broadcast(text, lane);
    if (known.lane === lane) return text;
    if (known.lane === "n64" && lane === "i64") return `tsr_i64(${text})`;
    if (known.lane === "i64" && lane === "n64") return `tsr_i32(${text})`;
    throw new InternalError(`value ${v.id} is ${known.lane}, not ${lane}`);
  }

  /** Defines a value, part by part. */
  define(v: TileValue, vector: boolean, level: number, text: (part: number) => string): void {
    const lane = laneOf(v.dtype, vector && this.isNarrow(v));
    const name = this.scopes.fresh("v");
    const type = typeText(lane, vector);
    const names: string[] = [];
    for (let u = 0; u < (vector ? this.#parts : 1); u++) {
      const own = vector && this.#parts > 1 ? `${name}_${u}` : name;
      this.scopes.line(`const ${type} ${own} = ${text(u)};`, level);
      names.push(own);
    }
    this.#values.set(v, { texts: names, vector, dtype: v.dtype, lane, level, token: this.scopes.token(level) });
  }

  /** Whether any of the values is a vector. */
  anyVector(values: readonly (TileValue | null)[]): boolean {
    return values.some((v) => v !== null && this.known(v).vector);
  }

  /** Whether a symbol differs from lane to lane. */
  isLaneSymbol(sym: Sym): boolean {
    const found = this.#laneSymbols.get(sym);
    return found !== undefined && this.scopes.isOpen(found.level, found.token);
  }

  /** Whether an expression differs from lane to lane. */
  varies(e: Expr): boolean {
    return variesOverLanes(e, this.#laneContext(0));
  }

  #laneContext(part: number): Parameters<typeof laneText>[1] {
    return {
      isVector: (sym) => this.isLaneSymbol(sym),
      lanes: (sym) => this.#laneSymbols.get(sym)?.texts[part] ?? "",
      scalar: (e) => this.scopes.index(e),
    };
  }

  /** An index expression as lanes, named once. */
  laneIndex(e: Expr, part: number): string {
    const known = this.#laneCache.get(e);
    if (known !== undefined && this.scopes.isOpen(known.level, known.token) && part < known.texts.length) {
      return known.texts[part] ?? "";
    }
    const level = this.scopes.levelOf(e);
    const name = this.scopes.fresh("j");
    const texts: string[] = [];
    for (let u = 0; u < this.#parts; u++) {
      texts.push(`${name}_${u}`);
      this.scopes.line(`const vi32 ${name}_${u} = ${laneText(e, this.#laneContext(u))};`, level);
    }
    this.#laneCache.set(e, { texts, level, token: this.scopes.token(level) });
    return texts[part] ?? "";
  }

  /** A mask without the lanes beyond the extent. */
  inRest(mask: string): string {
    return this.#rest === null ? mask : `(${mask} & ${this.#rest}m)`;
  }

  /** How an index moves from lane to lane: by a constant stride, or anyhow. */
  stride(index: Expr): Expr | null {
    const axis = this.vectorAxis;
    if (axis === null || !this.isLaneSymbol(axis.symbol)) return null;
    for (const sym of freeSymbols(index)) if (sym !== axis.symbol && this.isLaneSymbol(sym)) return null;
    const c = coefficient(index, axis.symbol);
    return c === null || freeSymbols(c).has(axis.symbol) ? null : c;
  }

  elementAt(index: Expr, stride: Expr, part: number): string {
    const base = this.scopes.index(index);
    if (part === 0) return base;
    const step = constantValue(stride);
    const jump = step === null ? `${part} * VW * ${this.scopes.index(stride)}` : `${step * part} * VW`;
    return `${base} + ${jump}`;
  }

  /** Makes a symbol known as lanes, a text a part. */
  bindLanes(sym: Sym, texts: readonly string[], level: number): void {
    this.scopes.define(sym, texts[0] ?? "", level);
    this.#laneSymbols.set(sym, { texts, level, token: this.scopes.token(level) });
  }
}
