/**
 * Statements of the tile IR as C++ on vectors.
 *
 * {@linkcode CppFunction} writes statements into {@linkcode Scopes}. One axis of a kernel may have a block: of whole registers, so a value along
 * it is several vectors, its parts. The loop over that axis is written twice: for full blocks, and for the rest of the extent in steps of one register
 * with the lanes beyond it masked off. Pure statements go to the outermost loop in which their operands are known.
 */
import { bool, computeType, type DType, int64, InternalError } from "../../../core/mod.ts";
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
import {
  broadcast,
  castText,
  combineText,
  foldText,
  type Lane,
  laneOf,
  literal,
  memoryType,
  neutral,
  primitiveText,
  typeText,
} from "./types.ts";

interface Known {
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

interface Accumulator {
  readonly names: readonly string[];
  readonly vector: boolean;
  readonly lane: Lane;
}

/** Pieces into which a shared reduction is cut: the same for every number of threads, so that results are the same too. */
const SPLIT_PIECES = 32;

/** Writes the body of one function. */
export class CppFunction {
  readonly scopes: Scopes;
  readonly #lanes: number;
  readonly #ranges: ReadonlyMap<TileValue, Range>;
  readonly #values = new Map<TileValue, Known>();
  readonly #accumulators = new Map<TileValue, Accumulator>();
  readonly #laneSymbols = new Map<Sym, LaneSymbol>();
  readonly #laneCache = new Map<Expr, LaneSymbol>();
  readonly #written: ReadonlySet<BufferRef>;
  readonly #buffers: readonly BufferRef[];
  readonly #vectorAxis: Axis | null;
  /** Parts of a value along the vector axis in the loop that is being written. */
  #parts: number;
  /** Name of the number of lanes in use, in the loop over the rest of the vector axis. */
  #rest: string | null = null;

  constructor(kernel: KernelBase, bodies: readonly (readonly TileStatement[])[], axes: readonly Axis[], lanes: number) {
    this.#lanes = lanes;
    this.#ranges = findRanges(bodies, axes);
    this.#written = new Set(kernel.writes);
    this.#buffers = [...kernel.reads, ...kernel.writes];
    this.#vectorAxis = axes.find((axis) => axis.block > 1) ?? null;
    this.#parts = this.#vectorAxis === null ? 1 : this.#vectorAxis.block / lanes;
    this.scopes = new Scopes({
      declare: (name, value) => `const long ${name} = ${value};`,
      dialect: (symbol) => cDialect({ symbol, suffix: "l" }),
    });
    kernel.sizes.forEach((sym, i) => this.scopes.define(sym, `n${i}`, 0));
  }

  /** The name of a buffer's parameter. */
  pointer(buffer: BufferRef): string {
    const at = this.#buffers.indexOf(buffer);
    if (at < 0) throw new InternalError(`${buffer.label} is no parameter of the kernel`);
    return `p${at}`;
  }

  /** Lets a value be known as a scalar text. */
  assign(v: TileValue, text: string): void {
    this.#set(v, [text], false, this.scopes.depth);
  }

  /** Lets a value be known as one vector. */
  assignVector(v: TileValue, text: string): void {
    this.#set(v, [text], true, this.scopes.depth);
  }

  /** A value as a scalar. */
  scalar(v: TileValue): string {
    const known = this.#known(v);
    if (known.vector) throw new InternalError(`value ${v.id} is a vector where a scalar is needed`);
    return known.texts[0] ?? "";
  }

  /** A value as a vector of its own lane, part by part. */
  vector(v: TileValue, part = 0): string {
    return this.#operand(v, true, this.#known(v).lane, part);
  }

  /** The C++ type of a value. */
  typeOf(v: TileValue): string {
    const known = this.#known(v);
    return typeText(known.lane, known.vector);
  }

  /** Whether a value is a vector. */
  isVector(v: TileValue): boolean {
    return this.#known(v).vector;
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
      this.#inLanes(axis, x, axis.block / this.#lanes, null, body);
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
      const lanes = `vset((int)${x}) + viota()${u > 0 ? ` + ${u} * VW` : ""}`;
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

  /** Writes statements into the innermost loop, what does not vary in it further out. */
  statements(body: readonly TileStatement[]): void {
    for (const s of body) this.#statement(s);
  }

  #known(v: TileValue): Known {
    const found = this.#values.get(v);
    if (found === undefined) throw new InternalError(`value ${v.id} is used before it is defined`);
    return found;
  }

  #isKnown(v: TileValue): boolean {
    const found = this.#values.get(v);
    return found !== undefined && this.scopes.isOpen(found.level, found.token);
  }

  #set(v: TileValue, texts: readonly string[], vector: boolean, level: number): void {
    const lane = laneOf(v.dtype, vector && this.#isNarrow(v));
    this.#values.set(v, { texts, vector, dtype: v.dtype, lane, level, token: this.scopes.token(level) });
  }

  #isNarrow(v: TileValue): boolean {
    if (v.dtype !== int64) return false;
    const { lower, upper } = this.#ranges.get(v) ?? rangeOfDtype(v.dtype);
    return lower >= -2147483648 && upper <= 2147483647;
  }

  #levelOf(operands: readonly (TileValue | null)[], exprs: readonly Expr[] = []): number {
    let level = 0;
    for (const v of operands) if (v !== null) level = Math.max(level, this.#known(v).level);
    for (const e of exprs) level = Math.max(level, this.#exprLevel(e));
    return level;
  }

  #exprLevel(e: Expr): number {
    return this.scopes.levelOf(e);
  }

  /** An operand as text, brought to a lane. */
  #operand(v: TileValue, vector: boolean, lane: Lane, part: number): string {
    const known = this.#known(v);
    const text = known.texts[known.vector ? Math.min(part, known.texts.length - 1) : 0] ?? "";
    if (!vector) return text;
    if (!known.vector) return broadcast(text, lane);
    if (known.lane === lane) return text;
    if (known.lane === "n64" && lane === "i64") return `tsr_i64(${text})`;
    if (known.lane === "i64" && lane === "n64") return `tsr_i32(${text})`;
    throw new InternalError(`value ${v.id} is ${known.lane}, not ${lane}`);
  }

  /** Defines a value, part by part. */
  #define(v: TileValue, vector: boolean, level: number, text: (part: number) => string): void {
    const lane = laneOf(v.dtype, vector && this.#isNarrow(v));
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

  #anyVector(values: readonly (TileValue | null)[]): boolean {
    return values.some((v) => v !== null && this.#known(v).vector);
  }

  #isLaneSymbol(sym: Sym): boolean {
    const found = this.#laneSymbols.get(sym);
    return found !== undefined && this.scopes.isOpen(found.level, found.token);
  }

  #varies(e: Expr): boolean {
    return variesOverLanes(e, this.#laneContext(0));
  }

  #laneContext(part: number): Parameters<typeof laneText>[1] {
    return {
      isVector: (sym) => this.#isLaneSymbol(sym),
      lanes: (sym) => this.#laneSymbols.get(sym)?.texts[part] ?? "",
      scalar: (e) => this.scopes.index(e),
    };
  }

  /** An index expression as lanes, named once. */
  #laneIndex(e: Expr, part: number): string {
    const known = this.#laneCache.get(e);
    if (known !== undefined && this.scopes.isOpen(known.level, known.token) && part < known.texts.length) {
      return known.texts[part] ?? "";
    }
    const level = this.#exprLevel(e);
    const name = this.scopes.fresh("j");
    const texts: string[] = [];
    for (let u = 0; u < this.#parts; u++) {
      texts.push(`${name}_${u}`);
      this.scopes.line(`const vi32 ${name}_${u} = ${laneText(e, this.#laneContext(u))};`, level);
    }
    this.#laneCache.set(e, { texts, level, token: this.scopes.token(level) });
    return texts[part] ?? "";
  }

  #statement(s: TileStatement): void {
    // Written for an earlier copy of the loop, at a level that is still open.
    if ("out" in s && s.kind !== "accumulator" && s.kind !== "finish" && this.#isKnown(s.out)) return;
    switch (s.kind) {
      case "constant": {
        const lane = laneOf(s.out.dtype, false);
        this.#values.set(s.out, {
          texts: [literal(s.value, lane)],
          vector: false,
          dtype: s.out.dtype,
          lane,
          level: 0,
          token: this.scopes.token(0),
        });
        return;
      }
      case "index":
        this.#index(s);
        return;
      case "bind":
        this.#bind(s);
        return;
      case "load": {
        const vector = this.#varies(s.index) || this.#anyVector([s.mask]);
        const own = this.#levelOf([s.mask], [s.index]);
        const level = this.#written.has(s.buffer) ? this.scopes.depth : own;
        this.#define(s.out, vector, level, (u) => this.#load(s.buffer, s.index, s.mask, vector, u));
        return;
      }
      case "store":
        this.#store(s.buffer, s.index, (u, vector) => this.#stored(s.value, s.buffer.dtype, vector, u));
        return;
      case "combine": {
        const dtype = computeType(s.buffer.dtype);
        const lane = laneOf(dtype, false);
        this.#store(s.buffer, s.index, (u, vector) => {
          const old = this.#load(s.buffer, s.index, null, vector, u);
          return combineText(s.op, old, this.#stored(s.value, s.buffer.dtype, vector, u), dtype, lane, vector);
        });
        return;
      }
      case "pointwise":
        this.#pointwise(s);
        return;
      case "cast": {
        const vector = this.#anyVector([s.arg]);
        const known = this.#known(s.arg);
        const lane = laneOf(s.out.dtype, vector && this.#isNarrow(s.out));
        this.#define(
          s.out,
          vector,
          this.#levelOf([s.arg]),
          (u) =>
            castText(this.#operand(s.arg, vector, known.lane, u), known.lane, known.dtype, s.out.dtype, lane, vector),
        );
        return;
      }
      case "bitcast": {
        const vector = this.#anyVector([s.arg]);
        this.#define(
          s.out,
          vector,
          this.#levelOf([s.arg]),
          (u) =>
            this.#bitcast(
              this.#operand(s.arg, vector, laneOf(s.arg.dtype, false), u),
              s.arg.dtype,
              s.out.dtype,
              vector,
            ),
        );
        return;
      }
      case "philox":
        this.#philox(s);
        return;
      case "accumulator":
        this.#accumulator(s.out, s.op);
        return;
      case "accumulate":
        this.#accumulate(s);
        return;
      case "dot": {
        const acc = this.#accumulators.get(s.accumulator);
        if (acc === undefined) throw new InternalError(`accumulator ${s.accumulator.id} is not defined`);
        this.#combine(acc, (u) => {
          const [a, b] = [s.a, s.b].map((v) => this.#operand(v, acc.vector, acc.lane, u));
          return `tsr_fma(${a}, ${b}, ${acc.names[u]})`;
        });
        return;
      }
      case "finish":
        this.#finish(s);
        return;
      case "for":
        if (s.split) this.#split(s);
        else this.overAxis(s.axis, () => this.statements(s.body));
        return;
      default:
        s satisfies never;
    }
  }

  #index(s: TileStatement & { readonly kind: "index" }): void {
    const vector = this.#varies(s.expr);
    const level = this.#exprLevel(s.expr);
    const lane = laneOf(s.out.dtype, vector && this.#isNarrow(s.out));
    if (!vector) {
      const text = this.scopes.index(s.expr);
      const own = lane === "mask"
        ? `(${text} != 0)`
        : lane === "i64"
        ? `(long)${text}`
        : castText(text, "i64", int64, s.out.dtype, lane, false);
      this.#set(s.out, [own], false, level);
      return;
    }
    const texts = Array.from({ length: this.#parts }, (_, u) => {
      const lanes = this.#laneIndex(s.expr, u);
      if (lane === "n64") return lanes;
      return lane === "mask" ? `(${lanes} != 0)` : castText(lanes, "i32", int64, s.out.dtype, lane, true);
    });
    this.#set(s.out, texts, true, level);
  }

  #bind(s: TileStatement & { readonly kind: "bind" }): void {
    const found = this.#laneSymbols.get(s.symbol);
    const vector = this.#anyVector([s.value, s.mask]);
    if (vector ? found !== undefined && this.scopes.isOpen(found.level, found.token) : this.scopes.has(s.symbol)) {
      return;
    }
    const level = this.#levelOf([s.value, s.mask], [s.size]);
    const size = this.scopes.index(s.size);
    const name = this.scopes.fresh("g");
    if (!vector) {
      const text = `tsr_bind((long)${this.scalar(s.value)}, ${size})`;
      const masked = s.mask === null ? text : `${this.scalar(s.mask)} ? ${text} : 0`;
      this.scopes.line(`const long ${name} = ${masked};`, level);
      this.scopes.define(s.symbol, name, level);
      return;
    }
    const lane = this.#known(s.value).lane;
    const texts: string[] = [];
    for (let u = 0; u < this.#parts; u++) {
      const own = `${name}_${u}`;
      const mask = s.mask === null ? "tsr_mask(1)" : this.#operand(s.mask, true, "mask", u);
      const value = this.#operand(s.value, true, lane, u);
      const lanes = lane === "u32" ? `tsr_i64(${value})` : value;
      this.scopes.line(`const vi32 ${own} = tsr_bind(${lanes}, ${size}, ${this.#inRest(mask)});`, level);
      texts.push(own);
    }
    this.scopes.define(s.symbol, `${name}_0`, level);
    this.#laneSymbols.set(s.symbol, { texts, level, token: this.scopes.token(level) });
  }

  /** A mask without the lanes beyond the extent. */
  #inRest(mask: string): string {
    return this.#rest === null ? mask : `(${mask} & ${this.#rest}m)`;
  }

  /** How an index moves from lane to lane: by a constant stride, or anyhow. */
  #stride(index: Expr): Expr | null {
    const axis = this.#vectorAxis;
    if (axis === null || !this.#isLaneSymbol(axis.symbol)) return null;
    for (const sym of freeSymbols(index)) if (sym !== axis.symbol && this.#isLaneSymbol(sym)) return null;
    const c = coefficient(index, axis.symbol);
    return c === null || freeSymbols(c).has(axis.symbol) ? null : c;
  }

  #at(index: Expr, stride: Expr, part: number): string {
    const base = this.scopes.index(index);
    if (part === 0) return base;
    const step = constantValue(stride);
    const jump = step === null ? `${part} * VW * ${this.scopes.index(stride)}` : `${step * part} * VW`;
    return `${base} + ${jump}`;
  }

  #load(buffer: BufferRef, index: Expr, mask: TileValue | null, vector: boolean, part: number): string {
    const p = this.pointer(buffer);
    const maskVector = mask !== null && this.#known(mask).vector;
    const type = typeText(laneOf(buffer.dtype, false), vector);
    const scalarMask = mask !== null && !maskVector ? this.scalar(mask) : null;
    const guarded = (text: string): string => scalarMask === null ? text : `(${scalarMask} ? ${text} : (${type}){})`;
    if (!this.#varies(index)) {
      const text = `tsr_get(${p} + ${this.scopes.index(index)})`;
      if (!vector) return guarded(text);
      const any = maskVector
        ? `(tsr_any(${this.#inRest(this.#operand(mask, true, "mask", part))}) ? ${text} : 0)`
        : text;
      return guarded(broadcast(any, laneOf(buffer.dtype, false)));
    }
    const stride = this.#stride(index);
    const m = maskVector ? this.#inRest(this.#operand(mask, true, "mask", part)) : null;
    if (stride !== null && constantValue(stride) === 1) {
      const at = `${p} + ${this.#at(index, stride, part)}`;
      if (m !== null) return `tsr_load_m(${at}, ${m})`;
      return guarded(this.#rest === null ? `tsr_load(${at})` : `tsr_load_n(${at}, ${this.#rest})`);
    }
    if (stride !== null && m === null) {
      const at = `${p} + ${this.#at(index, stride, part)}`;
      const step = this.scopes.index(stride);
      return guarded(
        this.#rest === null ? `tsr_strided(${at}, ${step})` : `tsr_strided(${at}, ${step}, ${this.#rest})`,
      );
    }
    // Lanes that are masked off read the first element, which exists.
    const lanes = this.#laneIndex(index, part);
    return guarded(`tsr_gather(${p}, ${m === null ? lanes : `(${lanes} & ${m})`})`);
  }

  /** A value as it goes to memory. */
  #stored(value: TileValue, dtype: DType, vector: boolean, part: number): string {
    return this.#operand(value, vector, laneOf(dtype, false), part);
  }

  #store(buffer: BufferRef, index: Expr, value: (part: number, vector: boolean) => string): void {
    const p = this.pointer(buffer);
    if (!this.#varies(index)) {
      this.scopes.line(`tsr_put(${p} + ${this.scopes.index(index)}, ${value(0, false)});`);
      return;
    }
    const stride = this.#stride(index);
    const count = this.#rest ?? "VW";
    // All parts are computed before the first is stored: memory may be read under another name.
    const texts = Array.from({ length: this.#parts }, (_, u) => value(u, true));
    for (let u = 0; u < this.#parts; u++) {
      if (stride === null) {
        this.scopes.line(`tsr_scatter(${p}, ${this.#laneIndex(index, u)}, ${texts[u]}, ${count});`);
        continue;
      }
      const at = `${p} + ${this.#at(index, stride, u)}`;
      if (constantValue(stride) !== 1) {
        this.scopes.line(`tsr_store_strided(${at}, ${this.scopes.index(stride)}, ${texts[u]}, ${count});`);
      } else if (this.#rest === null) this.scopes.line(`tsr_store(${at}, ${texts[u]});`);
      else this.scopes.line(`tsr_store_n(${at}, ${texts[u]}, ${this.#rest});`);
    }
  }

  #pointwise(s: TileStatement & { readonly kind: "pointwise" }): void {
    const vector = this.#anyVector(s.args);
    const operands = s.op === "where" ? s.args.slice(1) : s.args;
    const dtype = operands[0]?.dtype ?? s.out.dtype;
    const narrow = vector && dtype === int64 && operands.every((v) => this.#isNarrow(v)) &&
      (s.out.dtype === bool || this.#isNarrow(s.out));
    const lane = laneOf(dtype, narrow);
    const level = this.#levelOf(s.args);
    const back = vector && s.out.dtype === int64 && !narrow && this.#isNarrow(s.out);
    this.#define(s.out, vector, level, (u) => {
      const args = operands.map((v) => this.#operand(v, vector, lane, u));
      const [condition] = s.args;
      if (s.op === "where" && condition !== undefined) {
        const known = this.#known(condition);
        // A scalar condition chooses between whole vectors.
        args.unshift(known.vector ? this.#operand(condition, true, "mask", u) : known.texts[0] ?? "");
      }
      const text = primitiveText(s.op, args, dtype, lane, vector);
      return back ? `tsr_i32(${text})` : text;
    });
  }

  #bitcast(text: string, from: DType, to: DType, vector: boolean): string {
    if (from.isFloat) {
      if (from.bytes === 8) return `tsr_bits_i64(${text})`;
      if (from.bytes === 4) return to.kind === "uint" ? `tsr_u32(tsr_bits_i32(${text}))` : `tsr_bits_i32(${text})`;
      return `tsr_bits_of_${from.name === "float16" ? "f16" : "bf16"}(${text})`;
    }
    if (to.isFloat) {
      if (to.bytes === 8) return `tsr_bits_f64(${text})`;
      if (to.bytes === 4) return `tsr_bits_f32(${text})`;
      return `tsr_${to.name === "float16" ? "f16" : "bf16"}_of_bits(${text})`;
    }
    return castText(text, laneOf(from, false), from, to, laneOf(to, false), vector);
  }

  #philox(s: TileStatement & { readonly kind: "philox" }): void {
    const vector = this.#anyVector([s.seed, s.stream, s.position]);
    const level = this.#levelOf([s.seed, s.stream, s.position]);
    const keyVector = this.#anyVector([s.seed, s.stream]);
    const range = this.#ranges.get(s.position) ?? rangeOfDtype(s.position.dtype);
    const lane = this.#isNarrow(s.position) && range.lower >= 0 && !keyVector ? "n64" : "i64";
    this.#define(s.out, vector, level, (u) => {
      const position = this.#operand(s.position, vector, lane, u);
      const [seed, stream] = [s.seed, s.stream].map((v) => this.#operand(v, keyVector, "i64", u));
      return `tsr_philox(${seed}, ${stream}, ${position})`;
    });
  }

  #accumulator(v: TileValue, op: Parameters<typeof neutral>[0]): void {
    const vector = v.axes.length > 0;
    const axis = this.#vectorAxis;
    const parts = !vector ? 1 : axis !== null && axis.role === "grid" ? this.#parts : (axis?.block ?? 1) / this.#lanes;
    const lane = laneOf(v.dtype, vector && this.#isNarrow(v));
    const name = this.scopes.fresh("a");
    const start = neutral(op, lane === "n64" ? (vector ? "i32" : "i64") : lane);
    const names = Array.from({ length: parts }, (_, u) => parts > 1 ? `${name}_${u}` : name);
    const type = typeText(lane, vector);
    for (const own of names) {
      this.scopes.line(`${type} ${own} = ${vector ? broadcast(start, lane) : start};`);
      if (op === "argmax" || op === "argmin") {
        this.scopes.line(vector ? `vl2 ${own}p = tsr_set(TSR_NOWHERE);` : `long ${own}p = TSR_NOWHERE;`);
      }
    }
    this.#accumulators.set(v, { names, vector, lane });
  }

  /** Parts that the current loop combines into. */
  #combine(acc: Accumulator, text: (part: number) => string): void {
    const axis = this.#vectorAxis;
    const masked = acc.vector && this.#rest !== null && axis !== null && axis.role === "loop";
    const parts = acc.vector ? Math.min(acc.names.length, this.#isOpenAxis(axis) ? this.#parts : acc.names.length) : 1;
    for (let u = 0; u < parts; u++) {
      const name = acc.names[u];
      this.scopes.line(masked ? `${name} = tsr_where(${this.#rest}m, ${text(u)}, ${name});` : `${name} = ${text(u)};`);
    }
  }

  #isOpenAxis(axis: Axis | null): boolean {
    return axis !== null && this.#isLaneSymbol(axis.symbol);
  }

  #accumulate(s: TileStatement & { readonly kind: "accumulate" }): void {
    const acc = this.#accumulators.get(s.accumulator);
    if (acc === undefined) throw new InternalError(`accumulator ${s.accumulator.id} is not defined`);
    const { op } = s;
    if (op !== "argmax" && op !== "argmin") {
      const dtype = s.accumulator.dtype;
      this.#combine(
        acc,
        (u) =>
          combineText(
            op,
            acc.names[u] ?? "",
            this.#operand(s.value, acc.vector, acc.lane, u),
            dtype,
            acc.lane,
            acc.vector,
          ),
      );
      return;
    }
    const sign = op === "argmax" ? 1 : -1;
    if (s.position === null) throw new InternalError(`${op} needs a position`);
    if (!acc.vector) {
      const name = acc.names[0] ?? "";
      const position = this.scopes.index(s.position);
      this.scopes.line(`tsr_better(${name}, ${name}p, ${this.scalar(s.value)}, ${position}, ${sign});`);
      return;
    }
    const axis = this.#vectorAxis;
    const masked = this.#rest !== null && axis !== null && axis.role === "loop";
    const parts = Math.min(acc.names.length, this.#isOpenAxis(axis) ? this.#parts : acc.names.length);
    for (let u = 0; u < parts; u++) {
      const name = acc.names[u] ?? "";
      const value = this.#operand(s.value, true, acc.lane, u);
      const position = this.#varies(s.position)
        ? `tsr_i64(${this.#laneIndex(s.position, u)})`
        : `tsr_set((long)${this.scopes.index(s.position)})`;
      const b = this.scopes.fresh("b");
      const nan = acc.lane === "f32" || acc.lane === "f64" ? ` | ((${value} != ${value}) & (${name} == ${name}))` : "";
      const better = `(${value} ${sign > 0 ? ">" : "<"} ${name})${nan} | (${name}p == TSR_NOWHERE)`;
      this.scopes.line(`const vi32 ${b} = ${masked ? `(${better}) & ${this.#rest}m` : better};`);
      this.scopes.line(`${name} = tsr_where(${b}, ${value}, ${name});`);
      this.scopes.line(`${name}p = tsr_where(${b}, ${position}, ${name}p);`);
    }
  }

  #finish(s: TileStatement & { readonly kind: "finish" }): void {
    const acc = this.#accumulators.get(s.accumulator);
    if (acc === undefined) throw new InternalError(`accumulator ${s.accumulator.id} is not defined`);
    const folds = acc.vector && s.out.axes.length === 0;
    const isPosition = s.op === "argmax" || s.op === "argmin";
    const level = this.scopes.depth;
    if (!folds) {
      const parts = (u: number): string => {
        const name = acc.names[u] ?? "";
        if (isPosition) return acc.vector && this.#isNarrow(s.out) ? `tsr_i32(${name}p)` : `${name}p`;
        return this.#held(name, acc, s.out);
      };
      this.#define(s.out, acc.vector, level, parts);
      return;
    }
    const { op } = s;
    if (op === "argmax" || op === "argmin") {
      const name = this.scopes.fresh("f");
      const scalar = typeText(acc.lane, false);
      this.scopes.line(`${scalar} ${name} = ${neutral(op, acc.lane)}; long ${name}p = TSR_NOWHERE;`);
      for (const own of acc.names) {
        const values = acc.lane === "n64" ? `tsr_i64(${own})` : own;
        this.scopes.line(`tsr_better_lanes(${name}, ${name}p, ${values}, ${own}p, ${op === "argmax" ? 1 : -1});`);
      }
      this.#define(s.out, false, level, () => `${name}p`);
      return;
    }
    let names = [...acc.names];
    while (names.length > 1) {
      const half = names.length / 2;
      names = names.slice(0, half).map((a, i) =>
        combineText(op, a, names[i + half] ?? "", s.accumulator.dtype, acc.lane, true)
      );
    }
    this.#define(s.out, false, level, () => foldText(op, names[0] ?? "", acc.lane));
  }

  #held(name: string, acc: Accumulator, out: TileValue): string {
    if (!acc.vector) return name;
    const narrow = this.#isNarrow(out);
    if (acc.lane === "n64" && !narrow) return `tsr_i64(${name})`;
    return acc.lane === "i64" && narrow ? `tsr_i32(${name})` : name;
  }

  /** A loop whose iterations workers share: each piece has accumulators of its own, which are combined in order. */
  #split(s: TileStatement & { readonly kind: "for" }): void {
    const scopes = this.scopes;
    const used = new Set<TileValue>();
    const collect = (body: readonly TileStatement[]): void => {
      for (const inner of body) {
        if (inner.kind === "accumulate" || inner.kind === "dot") used.add(inner.accumulator);
        if (inner.kind === "for") collect(inner.body);
      }
    };
    collect(s.body);
    const outer = [...used].map((v) => ({ v, acc: this.#accumulators.get(v) as Accumulator }));
    const ops = new Map<TileValue, Parameters<typeof neutral>[0]>();
    const findOps = (body: readonly TileStatement[]): void => {
      for (const inner of body) {
        if (inner.kind === "accumulate") ops.set(inner.accumulator, inner.op);
        if (inner.kind === "dot") ops.set(inner.accumulator, "sum");
        if (inner.kind === "for") findOps(inner.body);
      }
    };
    findOps(s.body);
    const isArg = (v: TileValue): boolean => ops.get(v) === "argmax" || ops.get(v) === "argmin";
    const blocks = scopes.index(floorDiv(add(s.axis.extent, s.axis.block - 1), s.axis.block));
    const store = scopes.fresh("w");
    outer.forEach(({ v, acc }, i) => {
      acc.names.forEach((name, u) => {
        const type = typeText(acc.lane, acc.vector);
        scopes.line(`${type} ${store}_${i}_${u}[${SPLIT_PIECES}];`);
        if (isArg(v)) scopes.line(`${acc.vector ? "vl2" : "long"} ${store}_${i}_${u}p[${SPLIT_PIECES}];`);
        void name;
      });
    });
    const task = scopes.fresh("t");
    scopes.open(`auto ${task} = [&](long from, long to) {`, "};");
    scopes.open("for (long piece = from; piece < to; piece++) {");
    const saved = outer.map(({ v, acc }) => ({ v, acc }));
    for (const { v } of outer) this.#accumulator(v, ops.get(v) ?? "sum");
    scopes.line(
      `const long first = ${blocks} * piece / ${SPLIT_PIECES}, last = ${blocks} * (piece + 1) / ${SPLIT_PIECES};`,
    );
    this.overAxis(s.axis, () => this.statements(s.body), { from: "first", to: "last" });
    outer.forEach(({ v }, i) => {
      const own = this.#accumulators.get(v);
      own?.names.forEach((name, u) => {
        scopes.line(`${store}_${i}_${u}[piece] = ${name};`);
        if (isArg(v)) scopes.line(`${store}_${i}_${u}p[piece] = ${name}p;`);
      });
    });
    scopes.close();
    scopes.close();
    for (const { v, acc } of saved) this.#accumulators.set(v, acc);
    scopes.line(
      `runtime->parallel_for([](void* c, long from, long to, int) { (*(decltype(${task})*)c)(from, to); }, &${task}, ${SPLIT_PIECES}, 1);`,
    );
    scopes.open(`for (long piece = 0; piece < ${SPLIT_PIECES}; piece++) {`);
    outer.forEach(({ v, acc }, i) => {
      acc.names.forEach((name, u) => {
        const op = ops.get(v) ?? "sum";
        const from = `${store}_${i}_${u}`;
        if (op === "argmax" || op === "argmin") {
          const sign = op === "argmax" ? 1 : -1;
          if (acc.vector) {
            scopes.line(`tsr_better_vector(${name}, ${name}p, ${from}[piece], ${from}p[piece], ${sign});`);
          } else scopes.line(`tsr_better(${name}, ${name}p, ${from}[piece], ${from}p[piece], ${sign});`);
          return;
        }
        scopes.line(`${name} = ${combineText(op, name, `${from}[piece]`, v.dtype, acc.lane, acc.vector)};`);
      });
    });
    scopes.close();
  }
}

/** The parameter list of a kernel as the head of its function's text. */
export function parameterLines(kernel: KernelBase): string[] {
  const buffers = [...kernel.reads, ...kernel.writes];
  return [
    ...buffers.map((b, i) => `${memoryType(b.dtype)}* const p${i} = (${memoryType(b.dtype)}*)A[${i}];`),
    ...kernel.sizes.map((_, i) => `const long n${i} = (long)A[${buffers.length + i}];`),
    `const tessera_runtime* const runtime = (const tessera_runtime*)A[${buffers.length + kernel.sizes.length}];`,
  ];
}
