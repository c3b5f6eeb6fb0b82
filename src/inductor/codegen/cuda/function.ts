/**
 * One CUDA function while it is written: what one thread computes, statement by statement.
 *
 * {@linkcode CudaFunction} writes scalar code into {@linkcode Scopes}; pure statements go to the outermost level in which their operands are known. A
 * {@linkcode CudaFunction.chunk} is a run of neighbouring positions along one axis: what does not vary along it is computed once, loads and stores that are
 * contiguous become vector accesses around an unrolled loop over the rest. Index arithmetic is in 32 bits where every bound is known to fit.
 */
import { bool, type DType, float32, int64, InternalError } from "../../../core/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import {
  constantValue,
  cudaDialect,
  type Expr,
  freeSymbols,
  newSym,
  type Sym,
  symbol as symbolExpr,
} from "../../../symbolic/mod.ts";
import type { Axis, KernelBase, TileReduceOp, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { bitcastText, castText, combineText, laneOf, literal, memoryType, primitiveText } from "../cpp/types.ts";
import { findRanges, type Range } from "../ranges.ts";
import { Scopes } from "../scopes.ts";
import type { FunctionOptions } from "./function_options.ts";
import { comparedHalves, FastForms, roundsOnce } from "./halves.ts";
import { fitsInt, isArg, neutralText, onlyIf, scalarType, sizeName, storeText, vectorStoreText } from "./texts.ts";
import { type Chunk, isVectorAccess, uniformMasks, varying } from "./vectors.ts";

interface Known {
  readonly text: string;
  readonly dtype: DType;
  readonly level: number;
}

/** Writes one function. */
export class CudaFunction {
  readonly scopes: Scopes;
  /** The type of positions. */
  readonly index: "int" | "long";
  /** Whether an index is checked, so that the function takes a pointer for errors. */
  usesErrors = false;
  /** The conditions under which anything is stored, and accumulated; null where it always is. */
  storeIf: string | null = null;
  accumulateIf: string | null = null;
  readonly kernel: KernelBase;
  readonly #options: FunctionOptions;
  readonly #ranges: ReadonlyMap<TileValue, Range>;
  readonly #values = new Map<TileValue, Known>();
  readonly #buffers: readonly BufferRef[];
  readonly #pointers = new Map<BufferRef, string>();
  readonly #written: ReadonlySet<BufferRef>;
  /**
   * Whether all results are of half types, so that functions need not be right to the last place of float,
   * nor what lies between be rounded, but for what is compared.
   */
  readonly #halves: boolean;
  readonly #compared: ReadonlySet<TileValue>;
  readonly #forms = new FastForms();
  readonly #constants = new Map<TileValue, number>();
  readonly #accumulators = new Map<TileValue, { readonly name: string; readonly op: TileReduceOp }>();

  constructor(
    kernel: KernelBase,
    bodies: readonly (readonly TileStatement[])[],
    axes: readonly Axis[],
    options: FunctionOptions = {},
  ) {
    this.kernel = kernel;
    this.#options = options;
    this.index = fitsInt(kernel, bodies, axes) ? "int" : "long";
    this.#ranges = findRanges(bodies, axes);
    this.#buffers = [...kernel.reads, ...kernel.writes];
    this.#written = new Set(kernel.writes);
    this.#halves = roundsOnce(kernel, bodies);
    this.#compared = this.#halves ? comparedHalves(bodies) : new Set();
    this.scopes = new Scopes({
      declare: (name, value) => `const ${this.index} ${name} = ${value};`,
      dialect: (symbol) =>
        cudaDialect({ symbol, min: "tsr_min", max: "tsr_max", suffix: this.index === "int" ? "" : "l" }),
    });
    kernel.sizes.forEach((sym, i) => this.scopes.define(sym, sizeName(i), 0));
  }

  /** Parameters of the kernel itself, in the order of its buffers and sizes. */
  parameters(): string[] {
    const shared = this.#options.shared;
    return [
      ...this.#buffers.map((b, i) => {
        const plain = shared?.has(b) === true ? "" : " __restrict__";
        return `${this.#written.has(b) ? "" : "const "}${memoryType(b.dtype)}*${plain} p${i}`;
      }),
      ...this.kernel.sizes.map((_, i) => `const ${this.index} ${sizeName(i)}`),
    ];
  }

  /** Lets accesses of a buffer go to another place: a pointer in shared memory, say, to which the same indices are added. */
  replacePointer(buffer: BufferRef, name: string): void {
    this.#pointers.set(buffer, name);
  }

  /** The name of a buffer's parameter. */
  pointer(buffer: BufferRef): string {
    const other = this.#pointers.get(buffer);
    if (other !== undefined) return other;
    const at = this.#buffers.indexOf(buffer);
    if (at < 0) throw new InternalError(`${buffer.label} is no parameter of the kernel`);
    return `p${at}`;
  }

  /** A value's text. */
  text(v: TileValue): string {
    const found = this.#values.get(v);
    if (found === undefined) throw new InternalError(`value ${v.id} is used before it is defined`);
    return found.text;
  }

  /** Gives a value a text from outside. */
  assign(v: TileValue, text: string, level: number = this.scopes.depth): void {
    this.#values.set(v, { text, dtype: v.dtype, level });
  }

  /** The variable of an accumulator; its position is that name and `p`. */
  accumulator(v: TileValue): string {
    const found = this.#accumulators.get(v);
    if (found === undefined) throw new InternalError(`accumulator ${v.id} is used before it is defined`);
    return found.name;
  }

  /** Lets an accumulator be another variable. */
  renameAccumulator(v: TileValue, name: string): void {
    const found = this.#accumulators.get(v);
    this.#accumulators.set(v, { name, op: found?.op ?? "sum" });
  }

  /** Names the positions along axes that a linear position stands for, innermost axis last; `unit` divides the innermost extent. */
  decompose(
    axes: readonly Axis[],
    linear: string,
    extentText: (axis: Axis) => string,
    level = this.scopes.depth,
  ): void {
    let rest = linear;
    for (let i = axes.length - 1; i >= 0; i--) {
      const axis = axes[i] as Axis;
      const x = this.scopes.fresh("x");
      if (i === 0) this.scopes.line(`const ${this.index} ${x} = ${rest};`, level);
      else {
        const extent = extentText(axis);
        const next = this.scopes.fresh("q");
        this.scopes.line(`const ${this.index} ${next} = ${rest} / ${extent};`, level);
        this.scopes.line(`const ${this.index} ${x} = ${rest} - ${next} * ${extent};`, level);
        rest = next;
      }
      this.scopes.define(axis.symbol, x, level);
    }
  }

  /** The name of a symbol. */
  symbolText(sym: Sym): string {
    return this.scopes.inline(symbolExpr(sym));
  }

  /** An extent as text. */
  extent(e: Expr): string {
    const number = constantValue(e);
    return number === null ? this.scopes.index(e) : String(number);
  }

  /** Writes statements into the innermost level, what does not vary in it further out. */
  statements(body: readonly TileStatement[]): void {
    for (const s of body) this.statement(s);
  }

  /**
   * Writes statements for a run of `chunk.lanes` positions of an axis from `chunk.base` on. Accumulators are combined lane by lane.
   */
  chunk(body: readonly TileStatement[], chunk: Chunk): void {
    const { symbol, lanes, base } = chunk;
    const s = this.scopes;
    if (lanes === 1 && chunk.cached === undefined) {
      s.define(symbol, base);
      if (chunk.count !== undefined) s.open(`if (${chunk.count} > 0) {`);
      chunk.before?.("0");
      this.statements(body);
      chunk.after?.("0");
      if (chunk.count !== undefined) s.close();
      s.undefine(symbol);
      return;
    }
    const first = newSym("first", { kind: "index", lower: 0 });
    s.define(first, base);
    const uniform = uniformMasks(body, chunk, first, this.#constants);
    const varies = varying(body, symbol, chunk.outside, uniform);
    const inner: TileStatement[] = [];
    const loaded = new Map<TileValue, (u: string) => string>();
    for (const st of body) {
      const mask = uniform.get(st);
      if (mask !== undefined) {
        this.#define(mask.out, `(${s.index(mask.index)} ${mask.sign} ${mask.bound})`, s.depth);
        continue;
      }
      if (!varies.has(st)) {
        this.statement(st);
        continue;
      }
      const cache = st.kind === "load" ? chunk.cached?.get(st) : undefined;
      if (st.kind === "load" && cache?.ready === true) {
        loaded.set(st.out, (u) => `tsr_get(&${cache.name}[${cache.slot}].v[${u}])`);
        continue;
      }
      const at = st.kind === "load" ? isVectorAccess(st.index, chunk, first, varies, this.knows) : null;
      const maskKnown = st.kind === "load" &&
        (st.mask === null || (this.#values.has(st.mask) && !varies.values.has(st.mask)));
      if (st.kind !== "load" || at === null || !maskKnown || lanes === 1 || this.#isStoredBefore(body, st)) {
        inner.push(st);
        continue;
      }
      const from = `${this.pointer(st.buffer)} + ${s.index(at)}`;
      if (cache !== undefined && chunk.count === undefined) {
        const whole = `${cache.name}[${cache.slot}]`;
        s.line(`${whole} = tsr_raw<${memoryType(st.buffer.dtype)}, ${lanes}>(${from});`);
        cache.fill();
        loaded.set(st.out, (u) => `tsr_get(&${whole}.v[${u}])`);
        continue;
      }
      const target = s.fresh("l");
      s.line(`${scalarType(st.out.dtype)} ${target}[${lanes}];`);
      const text = chunk.count === undefined
        ? `tsr_load<${lanes}>(${target}, ${from});`
        : `tsr_load_n<${lanes}>(${target}, ${from}, ${chunk.count});`;
      const zero = `for (int u = 0; u < ${lanes}; u++) ${target}[u] = 0;`;
      s.line(st.mask === null ? text : `if (${this.text(st.mask)}) ${text} else ${zero}`);
      loaded.set(st.out, (u) => `${target}[${u}]`);
    }
    this.#lanes(inner, chunk, first, varies, loaded);
  }

  /** Whether an index has only symbols that are known at this level. */
  readonly knows = (e: Expr): boolean => {
    for (const sym of freeSymbols(e)) if (!this.scopes.has(sym)) return false;
    return true;
  };

  #isStoredBefore(body: readonly TileStatement[], load: TileStatement & { readonly kind: "load" }): boolean {
    if (!this.#written.has(load.buffer)) return false;
    for (const s of body) {
      if (s === load) return false;
      if ((s.kind === "store" || s.kind === "combine") && s.buffer === load.buffer) return true;
    }
    return false;
  }

  #lanes(
    inner: readonly TileStatement[],
    chunk: Chunk,
    first: Sym,
    varies: ReturnType<typeof varying>,
    loaded: ReadonlyMap<TileValue, (u: string) => string>,
  ): void {
    const { symbol, lanes, base } = chunk;
    const s = this.scopes;
    const stores: string[] = [];
    const vectorStores = new Map<TileStatement, string>();
    for (const st of inner) {
      if (st.kind !== "store" || lanes === 1) continue;
      const at = isVectorAccess(st.index, chunk, first, varies, this.knows);
      if (at === null) continue;
      const name = s.fresh("s");
      s.line(`${scalarType(st.buffer.dtype)} ${name}[${lanes}];`);
      vectorStores.set(st, name);
      const to = `${this.pointer(st.buffer)} + ${s.index(at)}`;
      stores.push(
        chunk.count === undefined
          ? vectorStoreText(lanes, to, name, this.storeIf)
          : `tsr_store_n<${lanes}>(${to}, ${name}, ${chunk.count});`,
      );
    }
    const u = s.fresh("u");
    s.open(`#pragma unroll\nfor (int ${u} = 0; ${u} < ${lanes}; ${u}++) {`);
    const x = s.fresh("x");
    s.line(`const ${this.index} ${x} = ${base} + ${u};`);
    s.define(symbol, x);
    if (chunk.count !== undefined) s.open(`if (${u} < ${chunk.count}) {`);
    chunk.before?.(u);
    for (const [v, text] of loaded) this.#define(v, text(u), s.depth);
    for (const st of inner) {
      const array = vectorStores.get(st);
      if (array !== undefined && st.kind === "store") {
        s.line(`${array}[${u}] = ${this.text(st.value)};`);
        continue;
      }
      this.statement(st);
      const cache = st.kind === "load" ? chunk.cached?.get(st) : undefined;
      if (cache !== undefined && st.kind === "load") {
        s.line(`tsr_put(&${cache.name}[${cache.slot}].v[${u}], ${this.text(st.out)});`);
        cache.fill();
      }
    }
    chunk.after?.(u);
    if (chunk.count !== undefined) s.close();
    s.close();
    s.undefine(symbol);
    for (const line of stores) s.line(line);
  }

  /** The level at which operands and expressions are known. */
  levelOf(operands: readonly (TileValue | null)[], exprs: readonly Expr[] = []): number {
    let level = 0;
    for (const v of operands) {
      if (v === null) continue;
      const known = this.#values.get(v);
      if (known === undefined) throw new InternalError(`value ${v.id} is used before it is defined`);
      level = Math.max(level, known.level);
    }
    for (const e of exprs) level = Math.max(level, this.scopes.levelOf(e));
    return level;
  }

  #define(v: TileValue, text: string, level: number): void {
    const name = this.scopes.fresh("v");
    this.scopes.line(`const ${scalarType(v.dtype)} ${name} = ${text};`, level);
    this.#values.set(v, { text: name, dtype: v.dtype, level });
  }

  /** Writes one statement; loops run alone. */
  statement(s: TileStatement): void {
    switch (s.kind) {
      case "constant":
        this.#constants.set(s.out, Number(s.value));
        this.#values.set(s.out, { text: literal(s.value, laneOf(s.out.dtype, false)), dtype: s.out.dtype, level: 0 });
        return;
      case "index": {
        const level = this.scopes.levelOf(s.expr);
        const text = this.scopes.index(s.expr);
        const lane = laneOf(s.out.dtype, false);
        const own = lane === "mask"
          ? `(${text} != 0)`
          : castText(`(long)${text}`, "i64", int64, s.out.dtype, lane, false);
        this.#values.set(s.out, { text: lane === "i64" ? `((long)${text})` : own, dtype: s.out.dtype, level });
        return;
      }
      case "bind":
        this.#bind(s);
        return;
      case "load": {
        const own = this.levelOf([s.mask], [s.index]);
        const level = this.#written.has(s.buffer) ? this.scopes.depth : own;
        const text = `tsr_get(${this.pointer(s.buffer)} + ${this.scopes.index(s.index)})`;
        const zero = literal(0, laneOf(s.out.dtype, false));
        this.#define(s.out, s.mask === null ? text : `${this.text(s.mask)} ? ${text} : ${zero}`, level);
        return;
      }
      case "store":
        if (this.#options.lastWrite === "mark") return;
        this.scopes.line(
          storeText(this.pointer(s.buffer), this.scopes.index(s.index), this.text(s.value), this.storeIf),
        );
        return;
      case "combine":
        this.#combine(s);
        return;
      case "pointwise": {
        const operands = s.op === "where" ? s.args.slice(1) : s.args;
        const dtype = operands[0]?.dtype ?? s.out.dtype;
        // Comparisons of small integers take one instruction in 32 bits.
        const narrow = dtype === int64 && s.out.dtype === bool && s.args.every((arg) => this.#isSmall(arg));
        const texts = s.args.map((arg) => narrow ? `(int)${this.text(arg)}` : this.text(arg));
        const isShort = this.#halves && dtype === float32;
        const short = isShort ? this.#forms.text(s, texts, (v) => this.#constants.get(v) === 1) : null;
        const text = short ?? primitiveText(s.op, texts, dtype, laneOf(dtype, false), false);
        this.#define(s.out, text, this.levelOf(s.args));
        return;
      }
      case "cast": {
        const lane = laneOf(s.arg.dtype, false);
        // What is computed in float stays so until it is stored, where the store rounds it anyway. From 64 bits a conversion takes four times as long.
        const exact = this.#halves && s.arg.dtype === float32 && s.out.dtype.isFloat && s.out.dtype.bytes === 2 &&
          !this.#compared.has(s.out);
        const from = (s.out.dtype.isFloat && s.arg.dtype === int64 && this.#isSmall(s.arg) ? "(int)" : "") +
          this.text(s.arg);
        const text = exact ? from : castText(from, lane, s.arg.dtype, s.out.dtype, laneOf(s.out.dtype, false), false);
        this.#define(s.out, text, this.levelOf([s.arg]));
        return;
      }
      case "bitcast":
        this.#define(s.out, bitcastText(this.text(s.arg), s.arg.dtype, s.out.dtype, false), this.levelOf([s.arg]));
        return;
      case "lookup": {
        const name = this.scopes.fresh("t");
        const entries = s.table.map((c) => literal(c, "f32")).join(", ");
        this.scopes.line(`static const float ${name}[${s.table.length}] = {${entries}};`, 0);
        this.#define(s.out, `${name}[${this.text(s.at)} & ${s.table.length - 1}]`, this.levelOf([s.at]));
        return;
      }
      case "philox": {
        const [seed, stream, position] = [s.seed, s.stream, s.position].map((v) => `(long)${this.text(v)}`);
        const level = this.levelOf([s.seed, s.stream, s.position]);
        this.#define(s.out, `tsr_philox(${seed}, ${stream}, ${position})`, level);
        return;
      }
      case "accumulator": {
        const name = this.scopes.fresh("a");
        this.#accumulators.set(s.out, { name, op: s.op });
        this.scopes.line(`${scalarType(s.out.dtype)} ${name} = ${neutralText(s.op, s.out.dtype)};`);
        if (isArg(s.op)) this.scopes.line(`long ${name}p = TSR_NOWHERE;`);
        return;
      }
      case "accumulate": {
        const name = this.accumulator(s.accumulator);
        const value = this.text(s.value);
        if (isArg(s.op)) {
          const position = s.position === null ? "0" : this.scopes.index(s.position);
          this.scopes.line(`tsr_take(${name}, ${name}p, ${value}, (long)${position}, ${s.op === "argmax" ? 1 : -1});`);
          return;
        }
        const text = combineText(s.op, name, value, s.accumulator.dtype, laneOf(s.accumulator.dtype, false), false);
        this.scopes.line(`${name} = ${onlyIf(this.accumulateIf, text, name)};`);
        return;
      }
      case "dot": {
        const sum = this.accumulator(s.accumulator);
        this.scopes.line(`${sum} = tsr_fma(${this.text(s.a)}, ${this.text(s.b)}, ${sum});`);
        return;
      }
      case "finish": {
        const name = this.accumulator(s.accumulator);
        // A thread beyond the end has seen nothing; its position must not count as a wrong index.
        this.#define(s.out, isArg(s.op) ? `(${name}p == TSR_NOWHERE ? 0l : ${name}p)` : name, this.scopes.depth);
        return;
      }
      case "for": {
        const x = this.scopes.fresh("x");
        this.scopes.open(`for (${this.index} ${x} = 0; ${x} < ${this.extent(s.axis.extent)}; ${x}++) {`);
        this.scopes.define(s.axis.symbol, x);
        this.statements(s.body);
        this.scopes.close();
        return;
      }
      case "accumulateAt": {
        const { dtype } = s.accumulators;
        const at = this.#arrayOf(s.accumulators);
        this.scopes.line(`${at} = ${combineText(s.op, at, this.text(s.value), dtype, laneOf(dtype, false), false)};`);
        return;
      }
      case "finishAt":
        this.#define(s.out, this.#arrayOf(s.accumulators), this.scopes.depth);
        return;
      case "accumulators":
        throw new InternalError("arrays of accumulators are declared where they are laid out");
      default:
        s satisfies never;
    }
  }

  #arrayOf(accumulators: TileValue): string {
    const { arrays } = this.#options;
    if (arrays === undefined) throw new InternalError("this kernel has no arrays of accumulators");
    return arrays(accumulators);
  }

  #isSmall(v: TileValue): boolean {
    const range = this.#ranges.get(v);
    return range !== undefined && range.lower >= -(2 ** 31) && range.upper < 2 ** 31;
  }

  #bind(s: TileStatement & { readonly kind: "bind" }): void {
    this.usesErrors = true;
    const level = this.levelOf([s.value, s.mask], [s.size]);
    const name = this.scopes.fresh("g");
    const [bind, size] = [s.fromEnd ? "tsr_bind_from_end" : "tsr_bind", this.scopes.index(s.size)];
    const text = `${bind}<${this.index}>((long)${this.text(s.value)}, ${size}, error)`;
    const masked = s.mask === null ? text : `${this.text(s.mask)} ? ${text} : 0`;
    this.scopes.line(`const ${this.index} ${name} = ${masked};`, level);
    this.scopes.define(s.symbol, name, level);
  }

  #combine(s: TileStatement & { readonly kind: "combine" }): void {
    const place = this.scopes.index(s.index);
    const at = `${this.pointer(s.buffer)} + ${place}`;
    const phase = this.#options.lastWrite;
    if (phase === "mark") {
      if (s.op === "set") this.scopes.line(`atomicMax(last + ${place}, (int)t + 1);`);
      return;
    }
    if (phase === "write" && s.op === "set") {
      const own = `tsr_put(${at}, ${this.text(s.value)}); last[${place}] = 0;`;
      this.scopes.line(`if (last[${place}] == (int)t + 1) { ${own} }`);
      return;
    }
    const { dtype } = s.buffer;
    const [lane, value] = [laneOf(dtype, false), this.text(s.value)];
    if (s.op === "set") this.scopes.line(`tsr_put(${at}, ${value});`);
    else if (this.#options.ordered === true) {
      this.scopes.line(`tsr_put(${at}, ${combineText(s.op, `tsr_get(${at})`, value, dtype, lane, false)});`);
    } else if (this.#options.holds === true) this.scopes.line(`tsr_hold(heldAt, held, ${at}, ${value});`);
    else if (s.op === "sum" && dtype !== bool) this.scopes.line(`tsr_atomic_add(${at}, ${value});`);
    else {
      const body = combineText(s.op, "x", value, dtype, lane, false);
      this.scopes.line(`tsr_atomic(${at}, [=](${scalarType(dtype)} x) { return ${body}; });`);
    }
  }
}
