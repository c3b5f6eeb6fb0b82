/**
 * Block programs as C++: one function over a range of instances; blocks are arrays on the stack in row-major order of their axes.
 *
 * Each statement is a loop nest over its block, in whole registers along the innermost axis where the block has that many positions. Memory that lies
 * together along that axis is read and written in registers, with a count where the tensor ends; everything else goes element by element under its
 * conditions. Programs that add to memory run on one worker, so that their results do not depend on the order.
 */
import {
  type BlockAxis,
  type BlockStatement,
  type BlockValue,
  gridOf,
  type Place,
  statementsOf,
} from "../../../blocks/mod.ts";
import { InternalError } from "../../../core/mod.ts";
import {
  cDialect,
  ceilDiv,
  coefficient,
  constant,
  constantValue,
  type Expr,
  freeSymbols,
  mul,
  printOperand,
  type Sym,
  symbol,
} from "../../../symbolic/mod.ts";
import type { BlocksKernel } from "../../tile/tile_ir.ts";
import { countOf, picoseconds } from "./block_costs.ts";
import type { CppFunctionText } from "./emit_tile.ts";
import { parameterLines } from "./emit_kernel.ts";
import {
  broadcast,
  castText,
  combineText,
  foldText,
  type Lane,
  laneOf,
  literal,
  neutral,
  primitiveText,
  typeText,
} from "./types.ts";

class Emitter {
  readonly #lines: string[] = [];
  readonly #kernel: BlocksKernel;
  readonly #lanes: number;
  readonly #names = new Map<BlockValue, string>();
  readonly #symbols = new Map<Sym, string>();
  #indent = "";
  #next = 0;

  constructor(kernel: BlocksKernel, lanes: number) {
    this.#kernel = kernel;
    this.#lanes = lanes;
    kernel.sizes.forEach((sym, i) => this.#symbols.set(sym, `n${i}`));
  }

  line(text: string): void {
    this.#lines.push(this.#indent + text);
  }
  open(head: string): void {
    this.line(`${head} {`);
    this.#indent += "  ";
  }
  close(): void {
    this.#indent = this.#indent.slice(2);
    this.line("}");
  }
  fresh(prefix: string): string {
    return `${prefix}${this.#next++}`;
  }
  get text(): string {
    return this.#lines.join("\n");
  }

  expr(e: Expr): string {
    const name = (sym: Sym): string => {
      const found = this.#symbols.get(sym);
      if (found === undefined) throw new InternalError(`the kernel uses ${sym.name}, which it does not define`);
      return found;
    };
    return printOperand(e, cDialect({ symbol: name, suffix: "l" }));
  }

  name(sym: Sym, text: string): void {
    this.#symbols.set(sym, text);
  }

  #name(v: BlockValue): string {
    const found = this.#names.get(v);
    if (found === undefined) throw new InternalError(`value ${v.id} is not computed`);
    return found;
  }

  /** Declares a value; a scalar is a variable, a block an array. */
  #declare(v: BlockValue): string {
    const name = this.fresh("v");
    this.#names.set(v, name);
    const type = typeText(laneOf(v.dtype, false), false);
    this.line(v.axes.length === 0 ? `${type} ${name};` : `alignas(64) ${type} ${name}[${countOf(v.axes)}];`);
    return name;
  }

  /** The position of a value's element in its array, where loops over axes are named. */
  #at(v: BlockValue, places: ReadonlyMap<BlockAxis, string>): string {
    const parts: string[] = [];
    let step = 1;
    for (const axis of [...v.axes].reverse()) {
      const place = places.get(axis);
      if (place === undefined) throw new InternalError("an axis without a loop");
      parts.unshift(step === 1 ? place : `${place} * ${step}`);
      step *= axis.block;
    }
    return parts.join(" + ");
  }

  /** An element as a scalar. */
  #element(v: BlockValue, places: ReadonlyMap<BlockAxis, string>): string {
    const name = this.#name(v);
    if (v.axes.length === 0) return name;
    const text = `${name}[${this.#at(v, places)}]`;
    return laneOf(v.dtype, false) === "mask" ? `(${text} & 1)` : text;
  }

  /** A register of elements along the innermost of `axes`. */
  #register(v: BlockValue, places: ReadonlyMap<BlockAxis, string>, innermost: BlockAxis): string {
    if (v.axes[v.axes.length - 1] !== innermost) return broadcast(this.#element(v, places), laneOf(v.dtype, false));
    return `tsr_load(${this.#name(v)} + ${this.#at(v, places)})`;
  }

  #put(v: BlockValue, places: ReadonlyMap<BlockAxis, string>, text: string): void {
    const name = this.#name(v);
    if (v.axes.length === 0) this.line(`${name} = ${text};`);
    else if (laneOf(v.dtype, false) === "mask") this.line(`${name}[${this.#at(v, places)}] = -(int)(${text});`);
    else this.line(`${name}[${this.#at(v, places)}] = ${text};`);
  }

  #isWide(axes: readonly BlockAxis[]): boolean {
    return (axes[axes.length - 1]?.block ?? 1) % this.#lanes === 0;
  }

  /** Loops over axes; the innermost in steps of a register if `wide`. Positions get names. */
  #over(
    axes: readonly BlockAxis[],
    wide: boolean,
    body: (places: ReadonlyMap<BlockAxis, string>) => void,
    limits?: ReadonlyMap<BlockAxis, string>,
  ): void {
    const places = new Map<BlockAxis, string>();
    axes.forEach((axis, i) => {
      const x = this.fresh("i");
      const step = wide && i === axes.length - 1 ? `${x} += VW` : `${x}++`;
      this.open(`for (long ${x} = 0; ${x} < ${limits?.get(axis) ?? axis.block}; ${step})`);
      places.set(axis, x);
      const origin = this.expr(symbol(axis.origin));
      this.#symbols.set(axis.symbol, `(${origin} + ${x})`);
    });
    body(places);
    axes.forEach(() => this.close());
  }

  /** A value from its operands, element by element or in registers. */
  #map(
    out: BlockValue,
    operands: readonly BlockValue[],
    build: (texts: readonly string[], vector: boolean) => string,
  ): void {
    this.#declare(out);
    const { axes } = out;
    const wide = this.#isWide(axes);
    const innermost = axes[axes.length - 1];
    this.#over(axes, wide, (places) => {
      if (!wide || innermost === undefined) {
        this.#put(out, places, build(operands.map((v) => this.#element(v, places)), false));
      } else {
        const text = build(operands.map((v) => this.#register(v, places, innermost)), true);
        this.line(`tsr_store(${this.#name(out)} + ${this.#at(out, places)}, ${text});`);
      }
    });
  }

  #pointer(place: Place): string {
    const at = [...this.#kernel.reads, ...this.#kernel.writes].indexOf(place.buffer);
    if (at < 0) throw new InternalError(`${place.buffer.label} is no parameter of the kernel`);
    return `p${at}`;
  }

  /** For accesses whose conditions are ends of axes and that step by 1 along the innermost: how far each axis goes. */
  #limits(place: Place, axes: readonly BlockAxis[], mask: BlockValue | null): Map<BlockAxis, string> | null {
    const innermost = axes[axes.length - 1];
    if (place.gathers.length > 0 || mask !== null || innermost === undefined || !this.#isWide(axes)) return null;
    const step = coefficient(place.index, innermost.symbol);
    if (step === null || constantValue(step) !== 1 || freeSymbols(step).size > 0) return null;
    const limits = new Map<BlockAxis, Expr[]>();
    for (const { expr, lower, upper } of place.conditions) {
      const axis = axes.find((a) => expr === symbol(a.symbol));
      if (axis === undefined || lower || upper === null) return null;
      const list = limits.get(axis) ?? [];
      list.push(upper);
      limits.set(axis, list);
    }
    const out = new Map<BlockAxis, string>();
    for (const [axis, ends] of limits) {
      const name = this.fresh("e");
      const origin = this.expr(symbol(axis.origin));
      const texts = ends.map((e) => `${this.expr(e)} - ${origin}`);
      this.line(`const long ${name} = ${texts.reduce((a, b) => `tsr_min(${a}, ${b})`, `${axis.block}l`)};`);
      out.set(axis, name);
    }
    return out;
  }

  /** The element's place in memory where its conditions hold: `body` stands inside of an `if`. */
  #guarded(
    place: Place,
    mask: BlockValue | null,
    places: ReadonlyMap<BlockAxis, string>,
    body: (at: string) => void,
  ): void {
    const conditions: string[] = [];
    if (mask !== null) conditions.push(this.#element(mask, places));
    let at = this.expr(place.index);
    for (const g of place.gathers) {
      const x = this.fresh("g");
      this.line(`const long ${x} = (long)${this.#element(g.value, places)};`);
      conditions.push(`${x} >= 0 && ${x} < ${this.expr(g.size)}`);
      at += ` + ${x} * ${this.expr(g.stride)}`;
    }
    for (const { expr, lower, upper } of place.conditions) {
      const text = this.expr(expr);
      if (lower) conditions.push(`${text} >= 0`);
      if (upper !== null) conditions.push(`${text} < ${this.expr(upper)}`);
    }
    if (conditions.length > 0) this.open(`if (${conditions.join(" && ")})`);
    body(`${this.#pointer(place)} + ${at}`);
    if (conditions.length > 0) this.close();
  }

  #load(s: BlockStatement & { readonly kind: "load" }): void {
    const { out, place, mask } = s;
    const lane = laneOf(out.dtype, false);
    const other = literal(s.other, lane);
    const name = this.#declare(out);
    const { axes } = out;
    const limits = place.axes.length === axes.length ? this.#limits(place, axes, mask) : null;
    const innermost = axes[axes.length - 1];
    if (limits !== null && innermost !== undefined) {
      const end = limits.get(innermost);
      if (limits.size > 0) {
        this.open(`for (long z = 0; z < ${countOf(axes)}; z += VW)`);
        this.line(`tsr_store(${name} + z, ${broadcast(other, lane)});`);
        this.close();
      }
      this.#over(axes, true, (places) => {
        const from = `${this.#pointer(place)} + ${this.expr(place.index)}`;
        const to = `${name} + ${this.#at(out, places)}`;
        if (end === undefined) {
          this.line(`tsr_store(${to}, tsr_load(${from}));`);
          return;
        }
        const left = `${end} - ${places.get(innermost)}`;
        this.line(`if (${left} >= VW) tsr_store(${to}, tsr_load(${from}));`);
        if (s.other === 0) this.line(`else tsr_store(${to}, tsr_load_n(${from}, ${left}));`);
        else {
          const type = typeText(lane, false);
          this.line(`else for (long u = 0; u < ${left}; u++) (${to})[u] = (${type})tsr_get(${from} + u);`);
        }
      }, limits);
      return;
    }
    this.#over(axes, false, (places) => {
      this.#put(out, places, other);
      this.#guarded(place, mask, places, (at) => this.#put(out, places, `tsr_get(${at})`));
    });
  }

  #store(s: BlockStatement & { readonly kind: "store" | "combine" }): void {
    const { place, value, mask } = s;
    const extra = s.kind === "combine" ? [...value.axes, ...(mask?.axes ?? [])] : [];
    const axes = this.#ordered([...place.axes, ...extra]);
    const limits = s.kind === "store" ? this.#limits(place, axes, mask) : null;
    const innermost = axes[axes.length - 1];
    this.open("");
    if (limits !== null && innermost !== undefined) {
      const end = limits.get(innermost);
      this.#over(axes, true, (places) => {
        const to = `${this.#pointer(place)} + ${this.expr(place.index)}`;
        const text = this.#register(value, places, innermost);
        if (end === undefined) this.line(`tsr_store(${to}, ${text});`);
        else {
          const left = `${end} - ${places.get(innermost)}`;
          this.line(`if (${left} >= VW) tsr_store(${to}, ${text}); else tsr_store_n(${to}, ${text}, ${left});`);
        }
      }, limits);
    } else {
      this.#over(axes, false, (places) => {
        this.#guarded(place, mask, places, (at) => {
          const x = this.#element(value, places);
          const lane = laneOf(value.dtype, false);
          this.line(
            `tsr_put(${at}, ${
              s.kind === "store" ? x : combineText(s.op, `tsr_get(${at})`, x, value.dtype, lane, false)
            });`,
          );
        });
      });
    }
    this.close();
  }

  #ordered(axes: readonly BlockAxis[]): BlockAxis[] {
    return this.#kernel.program.axes.filter((axis) => axes.includes(axis));
  }

  #reduce(s: BlockStatement & { readonly kind: "reduce" }): void {
    const { arg, out, axis, op } = s;
    const lane = laneOf(arg.dtype, false);
    const name = this.#declare(out);
    const type = typeText(lane, false);
    const wide = this.#isWide(arg.axes);
    const innermost = arg.axes[arg.axes.length - 1];
    const along = innermost === axis;
    const combine = (a: string, b: string, vector: boolean): string => combineText(op, a, b, arg.dtype, lane, vector);
    const start = neutral(op, lane);
    if (!along) {
      // The innermost axis stays: registers of results.
      this.#over(out.axes, wide, (places) => {
        const sum = this.fresh("a");
        this.line(`${typeText(lane, wide)} ${sum} = ${wide ? broadcast(start, lane) : start};`);
        const x = this.fresh("i");
        this.open(`for (long ${x} = 0; ${x} < ${axis.block}; ${x}++)`);
        const all = new Map([...places, [axis, x]]);
        const text = wide && innermost !== undefined ? this.#register(arg, all, innermost) : this.#element(arg, all);
        this.line(`${sum} = ${combine(sum, text, wide)};`);
        this.close();
        if (wide) this.line(`tsr_store(${name} + ${this.#at(out, places)}, ${sum});`);
        else this.#put(out, places, sum);
      });
      return;
    }
    this.#over(out.axes, false, (places) => {
      const sum = this.fresh("a");
      const x = this.fresh("i");
      this.line(`${typeText(lane, wide)} ${sum} = ${wide ? broadcast(start, lane) : start};`);
      this.open(`for (long ${x} = 0; ${x} < ${axis.block}; ${x} += ${wide ? "VW" : "1"})`);
      const all = new Map([...places, [axis, x]]);
      this.line(`${sum} = ${combine(sum, wide ? this.#register(arg, all, axis) : this.#element(arg, all), wide)};`);
      this.close();
      this.#put(out, places, wide ? `(${type})${foldText(op, sum, lane)}` : sum);
    });
  }

  #dot(s: BlockStatement & { readonly kind: "dot" }): void {
    const name = this.#declare(s.out);
    const count = countOf(s.out.axes);
    const [first, last] = s.out.axes;
    if (first === undefined || last === undefined) throw new InternalError("a product without rows and columns");
    const k = s.contract;
    // Whoever has the inner axis of the result stands right.
    const [left, right] = s.a.axes.includes(first) ? [s.a, s.b] : [s.b, s.a];
    const type = typeText(laneOf(s.out.dtype, false), false);
    if (s.add === null) this.line(`for (long z = 0; z < ${count}; z++) ${name}[z] = 0;`);
    else this.#spread(s.out, s.add);
    let rows = this.#name(right);
    if (right.axes[0] !== k) {
      const turned = this.fresh("t");
      this.line(`alignas(64) ${type} ${turned}[${countOf(right.axes)}];`);
      this.line(`tsr_block_turn(${turned}, ${rows}, ${last.block}, ${k.block});`);
      rows = turned;
    }
    const [am, ak] = left.axes[0] === k ? [1, first.block] : [k.block, 1];
    this.line(
      `tsr_block_dot(${name}, ${this.#name(left)}, ${am}, ${ak}, ${rows}, ${first.block}, ${last.block}, ${k.block});`,
    );
  }

  /** Copies a value over the axes of another. */
  #spread(to: BlockValue, from: BlockValue): void {
    const wide = this.#isWide(to.axes);
    const innermost = to.axes[to.axes.length - 1];
    this.#over(to.axes, wide, (places) => {
      if (!wide || innermost === undefined) this.#put(to, places, this.#element(from, places));
      else {this.line(
          `tsr_store(${this.#name(to)} + ${this.#at(to, places)}, ${this.#register(from, places, innermost)});`,
        );}
    });
  }

  statements(body: readonly BlockStatement[]): void {
    for (const s of body) this.#statement(s);
  }

  #statement(s: BlockStatement): void {
    switch (s.kind) {
      case "constant":
        this.#names.set(s.out, literal(s.value, laneOf(s.out.dtype, false)));
        return;
      case "index":
        this.#declare(s.out);
        this.#over(s.out.axes, false, (places) => this.#put(s.out, places, this.expr(s.expr)));
        return;
      case "load":
        return this.#load(s);
      case "store":
      case "combine":
        return this.#store(s);
      case "pointwise": {
        const numbers = s.op === "where" ? s.args.slice(1) : s.args;
        const dtype = numbers[0]?.dtype ?? s.out.dtype;
        this.#map(s.out, s.args, (texts, vector) => primitiveText(s.op, texts, dtype, laneOf(dtype, false), vector));
        return;
      }
      case "cast": {
        const [from, to]: [Lane, Lane] = [laneOf(s.arg.dtype, false), laneOf(s.out.dtype, false)];
        this.#map(s.out, [s.arg], ([text = ""], vector) => castText(text, from, s.arg.dtype, s.out.dtype, to, vector));
        return;
      }
      case "reduce":
        return this.#reduce(s);
      case "dot":
        return this.#dot(s);
      case "variable":
        this.#declare(s.out);
        return this.#spread(s.out, s.init);
      case "assign":
        return this.#spread(s.variable, s.value);
      case "snapshot":
        this.#declare(s.out);
        return this.#spread(s.out, s.variable);
      case "for": {
        const { axis } = s;
        const x = this.fresh("o");
        const none = new Map<BlockAxis, string>();
        const from = s.from === null
          ? "0"
          : `tsr_max(0l, ${this.#element(s.from, none)}) / ${axis.block} * ${axis.block}`;
        const extent = this.expr(axis.extent);
        const to = s.to === null ? extent : `tsr_min((long)${extent}, ${this.#element(s.to, none)})`;
        this.open(`for (long ${x} = ${from}, to = ${to}; ${x} < to; ${x} += ${axis.block})`);
        this.#symbols.set(axis.origin, x);
        this.#symbols.set(axis.symbol, x);
        this.statements(s.body);
        this.close();
        return;
      }
      default:
        s satisfies never;
    }
  }
}

/** Emits a block program. */
export function emitCppBlocks(kernel: BlocksKernel, lanes: number): CppFunctionText {
  const { program } = kernel;
  const emitter = new Emitter(kernel, lanes);
  const grid = gridOf(program);
  const ordered = [...statementsOf(program.body)].some((s) => s.kind === "combine");
  const counts = grid.map((axis) => ceilDiv(axis.extent, axis.block));
  const total = counts.reduce<Expr>((n, c) => mul(n, c), constant(1));
  for (const line of parameterLines(kernel)) emitter.line(line);
  for (const axis of program.axes) if (axis.role === "whole") emitter.name(axis.origin, "0l");
  const bounds = ordered ? `long at = 0; at < ${emitter.expr(total)}` : "long at = begin; at < end";
  emitter.open(`for (${bounds}; at++)`);
  let rest = "at";
  for (let d = grid.length - 1; d >= 0; d--) {
    const [axis, count] = [grid[d] as BlockAxis, counts[d] as Expr];
    const [x, q] = [emitter.fresh("o"), emitter.fresh("q")];
    emitter.line(
      `const long ${q} = ${rest} / ${emitter.expr(count)}, ${x} = (${rest} - ${q} * ${
        emitter.expr(count)
      }) * ${axis.block};`,
    );
    emitter.name(axis.origin, x);
    rest = q;
  }
  emitter.statements(program.body);
  emitter.close();
  const text = emitter.text.split("\n").map((l) => `  ${l}`).join("\n");
  const each = picoseconds(program.body, lanes);
  return ordered
    ? { text, count: constant(1), picoseconds: mul(total, each) }
    : { text, count: total, picoseconds: each };
}
