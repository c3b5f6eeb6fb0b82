/**
 * Statements of the tile IR as C++.
 *
 * {@linkcode CppFunction} writes them into the loops that are open; pure statements go to the outermost loop in which their operands are known.
 * A statement that was written for the full blocks of an axis at a level outside of it serves the loop over the rest too.
 */
import { bool, computeType, int64 } from "../../../core/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import { add, symbol } from "../../../symbolic/mod.ts";
import { PHASED } from "../../tile/target.ts";
import type { Axis, KernelBase, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { CppArrays } from "./arrays.ts";
import { type Branch, type BranchPlan, NO_BRANCHES } from "./branches.ts";
import { conditionOf, writeCondition } from "./conditions.ts";
import { CppMemory } from "./memory.ts";
import { CppReductions } from "./reductions.ts";
import { termsOf } from "./origins.ts";
import { type Loop, type Pair, rowsAhead, writeRowPair } from "./pairs.ts";
import type { RowPlan } from "./rows.ts";
import { bitcastText, castText, combineText, laneOf, literal, memoryType, primitiveText, typeText } from "./types.ts";
import { CppValues } from "./values.ts";
import { planWindow, type Window, writeWindow } from "./windows.ts";

/** What is written anew in each copy of a loop, though it defines a value. */
const IMPURE: ReadonlySet<TileStatement["kind"]> = new Set(["accumulator", "finish", "accumulators", "finishAt"]);

/** Exponents of `vpow_half`, by what it is called with. */
const HALF_POWERS: ReadonlyMap<number | bigint, number> = new Map([[1.5, 1], [2.5, 2]]);

/** Exponents up to which a logarithm of fewer digits is enough. */
const MODERATE_POWER = 16;

type Pointwise = TileStatement & { readonly kind: "pointwise" };

/** Writes the body of one function. */
export class CppFunction extends CppValues {
  readonly #memory: CppMemory;
  readonly #reductions: CppReductions;
  readonly #arrays: CppArrays;
  readonly #kernel: KernelBase;
  readonly #written: ReadonlySet<BufferRef>;
  /** Loads whose values are at hand, as the text of each part. */
  readonly staged = new Map<TileValue, (part: number) => string>();
  #rows: RowPlan | null = null;
  #pair: Pair | null = null;
  /** The results of a pair, by their accumulators. */
  readonly #paired = new Map<TileValue, string>();
  #branches: BranchPlan = NO_BRANCHES;
  readonly #terms: ReadonlyMap<TileValue, string>;
  readonly #constants = new Map<TileValue, number | bigint>();
  /** Masks of loads: where they do not hold, the values are 0. */
  readonly #masks = new Map<TileValue, TileValue>();
  /** How pointwise values came about. */
  readonly #made = new Map<TileValue, Pointwise>();

  constructor(kernel: KernelBase, bodies: readonly (readonly TileStatement[])[], axes: readonly Axis[], lanes: number) {
    super(kernel, bodies, axes, lanes);
    this.#memory = new CppMemory(this);
    this.#reductions = new CppReductions(this, bodies);
    this.#arrays = new CppArrays(this, this.#memory, bodies, axes);
    this.#kernel = kernel;
    this.#written = new Set(kernel.writes);
    this.#terms = new Map(bodies.flatMap((body) => [...termsOf(body)]));
  }

  /** Writes what a plan says in branches. */
  useBranches(plan: BranchPlan): void {
    this.#branches = plan;
  }

  /** Keeps and fetches rows by a plan. Written where the memory of kept rows may be declared. */
  useRows(plan: RowPlan): void {
    this.#rows = plan;
    this.streamed = plan.streamed;
    for (let row = 0; row < new Set(plan.kept.values()).size; row++) {
      this.scopes.line(`float kept${row}[${plan.elements}] __attribute__((aligned(64)));`);
    }
  }

  /** Writes two walks along rows as one. */
  usePair(pair: Pair): void {
    this.#pair = pair;
    const nothing = { claimed: new Map(), streamed: new Set<BufferRef>(), kept: new Map(), again: new Map() };
    this.#rows = { ...nothing, fetched: rowsAhead(pair), elements: 0, isNear: false };
  }

  /** Writes what a pair takes the place of; false for all other statements. */
  #inPair(s: TileStatement): boolean {
    const pair = this.#pair;
    if (pair === null) return false;
    if (s === pair.first) {
      const texts = writeRowPair(this, pair);
      pair.accumulators.forEach((v, i) => this.#paired.set(v, texts[i] ?? ""));
      return true;
    }
    if (s.kind === "finish") {
      const text = this.#paired.get(s.accumulator);
      if (text !== undefined) this.assign(s.out, text);
      return text !== undefined;
    }
    return s === pair.second || (s.kind === "accumulator" && pair.accumulators.includes(s.out));
  }

  /** The place in a kept row of a part of the vector's axis. */
  #kept(row: number, part: number): string {
    return `kept${row} + ${this.scopes.index(symbol((this.vectorAxis as Axis).symbol))} + ${part} * VW`;
  }

  /** Reads a value from a kept row; false if it is in none. */
  #again(out: TileValue, args: readonly TileValue[]): boolean {
    const row = this.#rows?.again.get(out);
    if (row === undefined) return false;
    this.define(out, true, this.levelOf(args), (u) => `tsr_load(${this.#kept(row, u)})`);
    return true;
  }

  #keep(out: TileValue): void {
    const row = this.#rows?.kept.get(out);
    if (row === undefined) return;
    this.known(out).texts.forEach((text, u) => this.scopes.line(`tsr_store(${this.#kept(row, u)}, ${text});`));
  }

  /** Fetches what lies a row after a load, and what later walks write. */
  #fetch(s: TileStatement & { readonly kind: "load" }): void {
    const jump = this.#rows?.fetched.get(s.out);
    if (jump === undefined || this.rest !== null) return;
    const places = [{ buffer: s.buffer, index: add(s.index, jump) }, ...this.#rows?.claimed.get(s.out) ?? []];
    const fetch = this.#rows?.isNear ? "tsr_fetch_near" : "tsr_fetch";
    for (const { buffer, index } of places) {
      const stride = this.stride(index);
      if (stride === null) continue;
      for (let u = 0; u < this.parts; u++) {
        this.scopes.line(`${fetch}(${this.pointer(buffer)} + ${this.elementAt(index, stride, u)});`);
      }
    }
  }

  /** Writes statements into the innermost loop, what does not vary in it further out. */
  statements(body: readonly TileStatement[]): void {
    for (const s of body) this.#statement(s);
  }

  #statement(s: TileStatement): void {
    if (!this.#branches.inside.has(s)) this.#write(s);
  }

  #write(s: TileStatement): void {
    // Written for an earlier copy of the loop, at a level that is still open.
    if ("out" in s && !IMPURE.has(s.kind) && this.isDefined(s.out)) return;
    if (this.#inPair(s)) return;
    switch (s.kind) {
      case "constant": {
        const lane = laneOf(s.out.dtype, false);
        this.setTexts(s.out, [literal(s.value, lane)], false, 0);
        this.#constants.set(s.out, s.value);
        return;
      }
      case "index":
        this.#index(s);
        return;
      case "bind":
        this.#bind(s);
        return;
      case "load": {
        const vector = this.varies(s.index) || this.anyVector([s.mask]);
        const own = this.levelOf([s.mask], [s.index]);
        const level = this.#written.has(s.buffer) ? this.scopes.depth : own;
        const staged = this.staged.get(s.out);
        if (s.mask !== null && staged === undefined && this.#isZeroed(s, [s.mask])) this.#masks.set(s.out, s.mask);
        const load = (u: number): string => this.#memory.load(s.buffer, s.index, s.mask, vector, u);
        this.define(s.out, vector, level, staged ?? load);
        this.#fetch(s);
        return;
      }
      case "store":
        this.#memory.store(s.buffer, s.index, (u, vector) => this.#memory.stored(s.value, s.buffer.dtype, vector, u));
        return;
      case "combine": {
        const dtype = computeType(s.buffer.dtype);
        const lane = laneOf(dtype, false);
        this.#memory.store(s.buffer, s.index, (u, vector) => {
          const old = this.#memory.load(s.buffer, s.index, null, vector, u);
          return combineText(s.op, old, this.#memory.stored(s.value, s.buffer.dtype, vector, u), dtype, lane, vector);
        });
        return;
      }
      case "pointwise":
        if (!this.#again(s.out, s.args)) this.#pointwise(s);
        this.#keep(s.out);
        return;
      case "cast":
        if (!this.#again(s.out, [s.arg])) this.#cast(s);
        this.#keep(s.out);
        return;
      case "bitcast": {
        const vector = this.anyVector([s.arg]);
        this.define(
          s.out,
          vector,
          this.levelOf([s.arg]),
          (u) =>
            bitcastText(
              this.operand(s.arg, vector, laneOf(s.arg.dtype, false), u),
              s.arg.dtype,
              s.out.dtype,
              vector,
            ),
        );
        return;
      }
      case "lookup": {
        const vector = this.anyVector([s.at]);
        const name = this.scopes.fresh("t");
        const entries = s.table.map((c) => literal(c, "f32")).join(", ");
        this.scopes.line(`alignas(64) static const float ${name}[${s.table.length}] = {${entries}};`, 0);
        const text = (u: number): string => `tsr_lookup(${name}, ${this.operand(s.at, vector, "i32", u)})`;
        this.define(s.out, vector, this.levelOf([s.at]), text);
        return;
      }
      case "philox":
        this.#philox(s);
        return;
      case "accumulator":
        this.#reductions.declare(s.out, s.op);
        return;
      case "accumulate":
        this.#reductions.accumulate(s);
        return;
      case "dot":
        this.#reductions.dot(s);
        return;
      case "finish":
        this.#reductions.finish(s);
        return;
      case "accumulators":
        this.#arrays.declare(s);
        return;
      case "accumulateAt":
        this.#arrays.accumulate(s);
        return;
      case "finishAt":
        this.#arrays.finish(s);
        return;
      case "for":
        if (s.split) this.#reductions.split(s, this.#arrays, () => this.statements(s.body));
        else if (!this.#inWindow(s)) this.overAxis(s.axis, () => this.statements(s.body));
        return;
      default:
        s satisfies never;
    }
  }

  /** Writes a nest as a sum over a window; false where it is none. */
  #inWindow(nest: Loop): boolean {
    if (this.vectorAxis === null || this.#branches.inside.size > 0 || this.#rows?.isNear === true) return false;
    const window = planWindow(this.#kernel, nest, this.#constants);
    const sums = window === null ? null : this.#reductions.partsOf(window.accumulator);
    if (window === null || sums === null || sums.length !== this.parts) return false;
    if (
      this.staged.has(window.load.out) ||
      window.masks.length > 0 && !this.#memory.zeroes(window.load.buffer, window.load.index)
    ) {
      return false;
    }
    const load = (own: Window["load"], mask: TileValue | null, u: number): string =>
      this.#memory.load(own.buffer, own.index, mask, true, u);
    writeWindow(this, window, sums, load);
    return true;
  }

  #index(s: TileStatement & { readonly kind: "index" }): void {
    const vector = this.varies(s.expr);
    const level = this.scopes.levelOf(s.expr);
    const lane = laneOf(s.out.dtype, vector && this.isNarrow(s.out));
    if (!vector) {
      const text = this.scopes.index(s.expr);
      const own = lane === "mask"
        ? `(${text} != 0)`
        : lane === "i64"
        ? `(long)${text}`
        : castText(text, "i64", int64, s.out.dtype, lane, false);
      this.setTexts(s.out, [own], false, level);
      return;
    }
    const texts = Array.from({ length: this.parts }, (_, u) => {
      const lanes = this.laneIndex(s.expr, u);
      if (lane === "n64") return lanes;
      return lane === "mask" ? `(${lanes} != 0)` : castText(lanes, "i32", int64, s.out.dtype, lane, true);
    });
    this.setTexts(s.out, texts, true, level);
  }

  #bind(s: TileStatement & { readonly kind: "bind" }): void {
    const vector = this.anyVector([s.value, s.mask]);
    if (vector ? this.isLaneSymbol(s.symbol) : this.scopes.has(s.symbol)) return;
    const level = this.levelOf([s.value, s.mask], [s.size]);
    const size = this.scopes.index(s.size);
    const name = this.scopes.fresh("g");
    const bind = s.fromEnd ? "tsr_bind_from_end" : "tsr_bind";
    if (!vector) {
      const text = `${bind}((long)${this.scalar(s.value)}, ${size})`;
      const masked = s.mask === null ? text : `${this.scalar(s.mask)} ? ${text} : 0`;
      this.scopes.line(`const long ${name} = ${masked};`, level);
      this.scopes.define(s.symbol, name, level);
      return;
    }
    const condition = conditionOf(s, this.#made.get(s.value), this.#constants);
    if (condition !== null && this.known(condition.holds).vector) {
      writeCondition(this, condition, s.mask, size, level);
      this.bindLanes(s.symbol, Array.from({ length: this.parts }, () => "tsr_set(0)"), level);
      return;
    }
    const lane = this.known(s.value).lane;
    const texts: string[] = [];
    for (let u = 0; u < this.parts; u++) {
      const own = `${name}_${u}`;
      const mask = s.mask === null ? "tsr_mask(1)" : this.operand(s.mask, true, "mask", u);
      const value = this.operand(s.value, true, lane, u);
      const lanes = lane === "u32" ? `tsr_i64(${value})` : value;
      this.scopes.line(`const vi32 ${own} = ${bind}(${lanes}, ${size}, ${this.inRest(mask)});`, level);
      texts.push(own);
    }
    this.bindLanes(s.symbol, texts, level);
  }

  /** Writes a choice and, in branches, what only one of its sides needs. */
  #branch(s: Pointwise, { whenTrue, whenFalse }: Branch): void {
    const [condition, a, b] = s.args as readonly [TileValue, TileValue, TileValue];
    const parts = Array.from({ length: this.parts }, (_, u) => u);
    const lane = laneOf(s.out.dtype, false);
    const name = this.scopes.fresh("v");
    const mask = (u: number): string => this.operand(condition, true, "mask", u);
    const set = (text: (u: number) => string): void =>
      parts.forEach((u) => this.scopes.line(`${name}_${u} = ${text(u)};`));
    const either = (text: (u: number) => string): string => `tsr_any(${parts.map(text).join(" | ")})`;
    const within = (test: string, own: readonly TileStatement[], then: () => void): void => {
      if (own.length === 0) return then();
      const before = this.floor;
      this.scopes.open(`if (${test}) {`);
      this.floor = this.scopes.depth;
      for (const inner of own) this.#write(inner);
      then();
      this.floor = before;
      this.scopes.close();
    };
    for (const u of parts) this.scopes.line(`${typeText(lane, true)} ${name}_${u} = {};`);
    within(either(mask), whenTrue, () => set((u) => this.operand(a, true, lane, u)));
    within(
      either((u) => `~${mask(u)}`),
      whenFalse,
      () => set((u) => `tsr_where(${mask(u)}, ${name}_${u}, ${this.operand(b, true, lane, u)})`),
    );
    this.setTexts(s.out, parts.map((u) => `${name}_${u}`), true, this.scopes.depth);
  }

  #pointwise(s: Pointwise): void {
    const branch = this.#branches.branches.get(s);
    if (branch !== undefined) {
      if (s.args[0] !== undefined && this.known(s.args[0]).vector) return this.#branch(s, branch);
      for (const own of [...branch.whenTrue, ...branch.whenFalse]) this.#write(own);
    }
    if (s.op === "where" && this.#isMasked(s.args)) {
      const { texts, vector, level } = this.known(s.args[1] as TileValue);
      this.setTexts(s.out, texts, vector, level);
      return;
    }
    const vector = this.anyVector(s.args);
    const operands = s.op === "where" ? s.args.slice(1) : s.args;
    const dtype = operands[0]?.dtype ?? s.out.dtype;
    const narrow = vector && dtype === int64 && operands.every((v) => this.isNarrow(v)) &&
      (s.out.dtype === bool || this.isNarrow(s.out));
    const lane = laneOf(dtype, narrow);
    const level = this.levelOf(s.args);
    const back = vector && s.out.dtype === int64 && !narrow && this.isNarrow(s.out);
    const [angle] = s.args;
    this.#made.set(s.out, s);
    const minus = s.op === "log1p" && angle !== undefined && vector && lane === "f32" ? this.#softplusOf(angle) : null;
    if (minus !== null) {
      this.define(s.out, vector, level, (u) => `vlog1p_exp_minus(${this.operand(minus, vector, lane, u)})`);
      return;
    }
    const term = this.#terms.get(s.out);
    if (vector && lane === "f32" && term !== undefined && angle !== undefined) {
      this.define(s.out, vector, level, (u) => `${term}(${this.operand(angle, vector, lane, u)})`);
      return;
    }
    if (vector && lane === "f32" && this.#inParts(s, level)) return;
    if (vector && lane === "i32" && s.op === "gcd" && this.parts > 1) return this.#together(s, level);
    this.define(s.out, vector, level, (u) => {
      const args = operands.map((v) => this.operand(v, vector, lane, u));
      const [condition] = s.args;
      if (s.op === "where" && condition !== undefined) {
        const known = this.known(condition);
        // A scalar condition chooses between whole vectors.
        args.unshift(known.vector ? this.operand(condition, true, "mask", u) : known.texts[0] ?? "");
      }
      const text = primitiveText(s.op, args, dtype, lane, vector);
      return back ? `tsr_i32(${text})` : text;
    });
  }

  /** Whether a load is 0 where its mask does not hold. */
  #isZeroed(s: TileStatement & { readonly kind: "load" }, mask: readonly TileValue[]): boolean {
    return !this.anyVector(mask) || this.#memory.zeroes(s.buffer, s.index);
  }

  /** Whether a choice is between what a load yields where its mask holds, and 0: that is the load. */
  #isMasked([condition, value, other]: readonly TileValue[]): boolean {
    if (condition === undefined || value === undefined || other === undefined) return false;
    return this.#masks.get(value) === condition && Object.is(Number(this.#constants.get(other)), 0);
  }

  /** Functions of f32 that are written in another way than one call; false for all others. */
  #inParts(s: Pointwise, level: number): boolean {
    const [base, exponent] = s.args;
    const half = s.op === "pow" && exponent !== undefined
      ? HALF_POWERS.get(this.#constants.get(exponent) ?? 0)
      : undefined;
    if (half !== undefined && base !== undefined) {
      this.define(s.out, true, level, (u) => `vpow_half<${half}>(${this.operand(base, true, "f32", u)})`);
      return true;
    }
    if (!PHASED.has(s.op) || this.parts === 1) return false;
    const name = this.scopes.fresh("h");
    const args = Array.from({ length: this.parts }, (_, u) => s.args.map((v) => this.operand(v, true, "f32", u)));
    const power = s.op === "pow" && exponent !== undefined
      ? Number(this.#constants.get(exponent) ?? Infinity)
      : Infinity;
    const first = Math.abs(power) <= MODERATE_POWER ? `v${s.op}_first_moderate` : `v${s.op}_first`;
    args.forEach((own, u) => this.scopes.line(`const auto ${name}_${u} = ${first}(${own[0]});`, level));
    this.define(s.out, true, level, (u) => `v${s.op}_rest(${name}_${u}, ${args[u]?.join(", ")})`);
    return true;
  }

  /** A function of int32 that takes all parts at once. */
  #together(s: Pointwise, level: number): void {
    const name = this.scopes.fresh("g");
    const [a, b] = s.args.map((v) =>
      Array.from({ length: this.parts }, (_, u) => this.operand(v, true, "i32", u)).join(", ")
    );
    this.scopes.line(`vi32 ${name}[${this.parts}] = {${a}};`, level);
    this.scopes.line(`const vi32 ${name}b[${this.parts}] = {${b}};`, level);
    this.scopes.line(`tsr_${s.op}_all(${name}, ${name}b);`, level);
    this.define(s.out, true, level, (u) => `${name}[${u}]`);
  }

  /** The x of `exp(-|x|)`: log(1 + e^-|x|) is a function of its own, for an argument between 0 and 1. */
  #softplusOf(v: TileValue): TileValue | null {
    let at: TileValue | undefined = v;
    for (const op of ["exp", "neg", "abs"]) {
      const made: Pointwise | undefined = at === undefined ? undefined : this.#made.get(at);
      if (made?.op !== op) return null;
      at = made.args[0];
    }
    return at ?? null;
  }

  #cast(s: TileStatement & { readonly kind: "cast" }): void {
    const vector = this.anyVector([s.arg]);
    const known = this.known(s.arg);
    const lane = laneOf(s.out.dtype, vector && this.isNarrow(s.out));
    this.define(
      s.out,
      vector,
      this.levelOf([s.arg]),
      (u) => castText(this.operand(s.arg, vector, known.lane, u), known.lane, known.dtype, s.out.dtype, lane, vector),
    );
  }

  #philox(s: TileStatement & { readonly kind: "philox" }): void {
    const vector = this.anyVector([s.seed, s.stream, s.position]);
    const level = this.levelOf([s.seed, s.stream, s.position]);
    const keyVector = this.anyVector([s.seed, s.stream]);
    const range = this.rangeOf(s.position);
    const lane = this.isNarrow(s.position) && range.lower >= 0 && !keyVector ? "n64" : "i64";
    this.define(s.out, vector, level, (u) => {
      const position = this.operand(s.position, vector, lane, u);
      const [seed, stream] = [s.seed, s.stream].map((v) => this.operand(v, keyVector, "i64", u));
      return `tsr_philox(${seed}, ${stream}, ${position})`;
    });
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
