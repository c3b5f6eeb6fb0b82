/**
 * The reference executor's translator: a loop, with all sizes known, becomes the text of one JavaScript function.
 *
 * The function is called with the raw arrays of its inputs, each starting at its tensor's first element, and the output's. Every value becomes one
 * variable, computed by the evaluators of `loops/numbers.ts` and rounded to its dtype, so this is the definition of primitives made executable and
 * shares no code with the real emitters. Sums of floats accumulate in float64. int64 values are numbers where that is exact, else bigints.
 */
import {
  bool,
  computeType,
  CONDITION_SIZE,
  type DType,
  float32,
  float64,
  indexErrorText,
  int64,
  InternalError,
  narrowFloat,
} from "../core/mod.ts";
import {
  asIndex,
  type BufferRef,
  castNumber,
  type CombineOp,
  evaluatePrimitive,
  extentOf,
  indirectPayload,
  type LoopNode,
  type LoopVar,
  pointwise,
  primitive,
  type PrimitiveName,
  roundToBfloat16,
  roundToDtype,
  type Value,
} from "../loops/mod.ts";
import { philoxWord } from "../loops/philox.ts";
import { type Expr, freeSymbols, javascriptDialect, printExpr, type Sym } from "../symbolic/mod.ts";
import { type RawArray, rawOver } from "./memory.ts";

type Num = number | bigint;
type Evaluate = (a: Num, b: Num, c: Num) => Num;

/** Functions and dtypes that the text refers to. */
const runtime = {
  fround: Math.fround,
  f16: Math.f16round,
  bf16: roundToBfloat16,
  philox: philoxWord,
  cast: castNumber,
  big: (v: Num): bigint => typeof v === "bigint" ? v : BigInt(v),
  num: (v: bigint): Num => {
    const n = Number(v);
    return Number.isSafeInteger(n) ? n : v;
  },
  /** Python's remainder. */
  mod: (a: number, b: number): number => a - Math.floor(a / b) * b,
  /** Resolves an index computed at run time. */
  at: (value: Num, size: number, fromEnd: boolean): number => {
    const v = Number(value);
    const at = v < 0 && fromEnd ? v + size : v;
    if (!(at >= 0 && at < size)) {
      throw new RangeError(
        size === CONDITION_SIZE
          ? indexErrorText(v, size)
          : `index ${v} is out of range for a dimension of size ${size}: use ${fromEnd ? -size : 0} to ${size - 1}`,
      );
    }
    return at;
  },
  isNaN: (v: Num): boolean => typeof v === "number" && Number.isNaN(v),
  logaddexp: (a: number, b: number): number =>
    a === b && !Number.isFinite(a) ? a : Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b))),
};

const evaluators = new Map<string, Evaluate>();

/** Operators whose result on safe integers can be had from plain numbers, if that is safe itself. */
const EXACT_ON_NUMBERS: ReadonlySet<PrimitiveName> = new Set(["add", "sub", "mul", "neg", "abs", "maximum", "minimum"]);

function evaluator(op: PrimitiveName, dtype: DType): Evaluate {
  const key = `${op}:${dtype.name}`;
  let made = evaluators.get(key);
  if (made === undefined) {
    const { evaluate } = primitive(op);
    const slow: Evaluate = (a, b, c) => evaluatePrimitive(op, [a, b, c], dtype);
    if (dtype.isIntegral && EXACT_ON_NUMBERS.has(op)) {
      made = (a, b, c) => {
        if (typeof a !== "number" || typeof b !== "number") return slow(a, b, c);
        const r = evaluate(a, b, 0);
        return Number.isSafeInteger(r) && r >= dtype.min && r <= dtype.max ? r + 0 : slow(a, b, c);
      };
    } else made = slow;
    evaluators.set(key, made);
  }
  return made;
}

/** The text of one loop under construction. */
class Writer {
  readonly lines: string[] = [];
  readonly constants: unknown[] = [];
  readonly #inputs: ReadonlyMap<BufferRef, number>;
  #names: Map<Value, string>[] = [new Map()];
  #vars = new Map<Sym, string>();
  #next = 0;

  constructor(inputs: ReadonlyMap<BufferRef, number>) {
    this.#inputs = inputs;
  }

  fresh(prefix = "v"): string {
    return `${prefix}${this.#next++}`;
  }

  /** The name under which the text knows a function or dtype. */
  constant(value: unknown): string {
    const at = this.constants.indexOf(value);
    return `k${at >= 0 ? at : this.constants.push(value) - 1}`;
  }

  /** Opens a loop; values computed inside are forgotten when it closes. */
  open(v: LoopVar): void {
    const extent = extentOf(v);
    if (extent.kind !== "const") throw new InternalError(`the reference executor needs known sizes, not ${v.name}`);
    const name = this.fresh("i");
    this.#vars.set(v, name);
    this.lines.push(`for (let ${name} = 0; ${name} < ${extent.value}; ${name}++) {`);
    this.#names.push(new Map());
  }

  close(count = 1): void {
    for (let i = 0; i < count; i++) {
      this.lines.push("}");
      this.#names.pop();
    }
  }

  /** The text of an index expression; emits the values behind indirect symbols first. */
  expr(e: Expr): string {
    const indirect = new Map<Sym, string>();
    for (const sym of freeSymbols(e)) {
      if (sym.kind !== "indirect") continue;
      const { value, size, fromEnd } = indirectPayload(sym);
      const name = this.fresh();
      this.lines.push(`const ${name} = R.at(${this.value(value)}, ${this.expr(size)}, ${fromEnd});`);
      indirect.set(sym, name);
    }
    const symbol = (sym: Sym): string => {
      const name = indirect.get(sym) ?? this.#vars.get(sym);
      if (name === undefined) throw new InternalError(`the loop uses ${sym.name}, which is no index of it`);
      return name;
    };
    return printExpr(e, javascriptDialect({ symbol, mod: "R.mod" }));
  }

  /** The variable that holds a value; emits what it needs. */
  value(v: Value): string {
    for (const scope of this.#names) {
      const known = scope.get(v);
      if (known !== undefined) return known;
    }
    const name = v.kind === "masked" ? this.#masked(v) : this.#define(this.#text(v));
    this.#names.at(-1)?.set(v, name);
    return name;
  }

  #define(text: string): string {
    if (/^(-?[\d.]+n?|[a-z]\d+)$/.test(text)) return text;
    const name = this.fresh();
    this.lines.push(`const ${name} = ${text};`);
    return name;
  }

  #masked(v: Value & { readonly kind: "masked" }): string {
    const mask = this.value(v.mask);
    const name = this.fresh();
    this.lines.push(`let ${name} = ${numberText(roundToDtype(v.other, v.dtype))};`, `if (${mask} !== 0) {`);
    this.#names.push(new Map());
    const body = this.value(v.body);
    this.lines.push(`${name} = ${body};`);
    this.close();
    return name;
  }

  #text(v: Exclude<Value, { readonly kind: "masked" }>): string {
    switch (v.kind) {
      case "constant":
        return numberText(v.value);
      case "index":
        return roundText(this.expr(v.expr), v.dtype, this);
      case "load": {
        const slot = this.#inputs.get(v.buffer);
        if (slot === undefined) throw new InternalError(`the loop reads ${v.buffer.label}, which is no input`);
        return decode(`b${slot}[${this.expr(v.index)}]`, v.dtype, this);
      }
      case "pointwise":
        return this.apply(v.op, v.args.map((a) => this.value(a)), (v.args.at(-1) as Value).dtype);
      case "cast":
        return this.cast(this.value(v.arg), v.arg.dtype, v.dtype);
      case "bitcast":
        return `${this.constant(bitcaster(v.arg.dtype, v.dtype))}(${this.value(v.arg)})`;
      case "lookup":
        return `${this.constant(v.table)}[${this.value(v.at)} & ${v.table.length - 1}]`;
      case "philox":
        return `R.philox(${this.value(v.seed)}, ${this.value(v.stream)}, ${this.value(v.position)})`;
      default:
        return v satisfies never;
    }
  }

  apply(op: PrimitiveName, args: readonly string[], dtype: DType): string {
    const [a = "0", b = "0", c = "0"] = args;
    if (op === "where") return `(${a} !== 0 ? ${b} : ${c})`;
    if (dtype === float32 || dtype === float64) {
      const sign = ({ add: "+", sub: "-", mul: "*", div: "/" } as Partial<Record<PrimitiveName, string>>)[op];
      if (sign !== undefined) return dtype === float32 ? `R.fround(${a} ${sign} ${b})` : `${a} ${sign} ${b}`;
    }
    return `${this.constant(evaluator(op, dtype))}(${a}, ${b}, ${c})`;
  }

  cast(a: string, from: DType, to: DType): string {
    if (from === to) return a;
    if (to === bool) return `(${a} != 0 ? 1 : 0)`;
    if (to === float64) return `Number(${a})`;
    if (to === float32 && from !== int64) return `R.fround(${a})`;
    return `R.cast(${a}, ${this.constant(from)}, ${this.constant(to)})`;
  }

  store(index: string, value: string, dtype: DType): void {
    this.lines.push(`o[${index}] = ${encode(value, dtype, this)};`);
  }
}

function numberText(value: Num): string {
  if (typeof value === "bigint") return `${value}n`;
  return Object.is(value, -0) ? "-0" : String(value);
}

function roundText(text: string, dtype: DType, w: Writer): string {
  return dtype === int64 || dtype === float64 ? text : `R.cast(${text}, ${w.constant(float64)}, ${w.constant(dtype)})`;
}

function decode(text: string, dtype: DType, w: Writer): string {
  if (dtype === int64) return `R.num(${text})`;
  return narrowFloat(dtype) !== null ? `${w.constant(narrowFloat(dtype))}.fromBits(${text})` : text;
}

function encode(text: string, dtype: DType, w: Writer): string {
  if (dtype === int64) return `R.big(${text})`;
  return narrowFloat(dtype) !== null ? `${w.constant(narrowFloat(dtype))}.toBits(${text})` : text;
}

function bitcaster(from: DType, to: DType): (v: Num) => Num {
  const bytes = new Uint8Array(8);
  const read = rawOver(to, bytes);
  const write = rawOver(from, bytes);
  const [source, target] = [narrowFloat(from), narrowFloat(to)];
  return (v) => {
    if (write instanceof BigInt64Array) write[0] = BigInt(v);
    else write[0] = source !== null ? source.toBits(Number(v)) : Number(v);
    const r = read[0] ?? 0;
    return typeof r === "bigint" ? runtime.num(r) : target !== null ? target.fromBits(r) : r;
  };
}

/** The position of an output element, from its index texts. */
function position(index: readonly string[], stride: readonly number[]): string {
  const terms = index.flatMap((text, d) =>
    stride[d] === 0 ? [] : [stride[d] === 1 ? `(${text})` : `(${text}) * ${stride[d]}`]
  );
  return terms.length === 0 ? "0" : terms.join(" + ");
}

/** A loop as a function of its input arrays and its output array. */
export type LoopFunction = (inputs: readonly RawArray[], out: RawArray) => void;

/** Translates a loop. `inputs` numbers the buffers it reads; `outStride` are the strides of the result. */
export function loopFunction(
  loop: LoopNode,
  inputs: ReadonlyMap<BufferRef, number>,
  outStride: readonly number[],
): LoopFunction {
  const w = new Writer(inputs);
  writeLoop(w, loop, outStride);
  const arrays = [...inputs.values()].map((slot) => `const b${slot} = inputs[${slot}];`).join("\n");
  const names = w.constants.map((_, i) => `k${i}`);
  const text = `"use strict";\n${arrays}\n${w.lines.join("\n")}`;
  const make = new Function("R", ...names, `return function reference(inputs, o) {\n${text}\n};`) as (
    ...constants: readonly unknown[]
  ) => LoopFunction;
  return make(runtime, ...w.constants);
}

function writeLoop(w: Writer, loop: LoopNode, stride: readonly number[]): void {
  switch (loop.kind) {
    case "pointwise":
    case "view": {
      for (const v of loop.vars) w.open(v);
      const value = loop.kind === "pointwise" ? loop.value : loop.input.load(loop.index);
      const at = asIndex(loop.vars).map((e) => w.expr(e));
      const result = w.cast(w.value(value), value.dtype, loop.dtype);
      w.store(position(at, stride), result, loop.dtype);
      w.close(loop.vars.length);
      return;
    }
    case "reduction":
      writeReduction(w, loop, stride);
      return;
    case "scan": {
      const lanes = loop.vars.filter((_, d) => d !== loop.axis);
      const axis = loop.vars[loop.axis];
      for (const v of lanes) w.open(v);
      const acc = w.fresh("a");
      w.lines.push(`let ${acc} = null;`);
      if (axis !== undefined) w.open(axis);
      const value = w.value(loop.value);
      const next = loop.op === "logaddexp"
        ? `R.logaddexp(${acc}, ${value})`
        : combine(w, loop.op, acc, value, loop.value.dtype);
      w.lines.push(`${acc} = ${acc} === null ? ${value} : ${next};`);
      const at = asIndex(loop.vars).map((e) => w.expr(e));
      w.store(position(at, stride), w.cast(acc, wide(loop.value.dtype), loop.dtype), loop.dtype);
      w.close(lanes.length + (axis === undefined ? 0 : 1));
      return;
    }
    case "scatter": {
      // The base is copied through its own loads: it may be any producer.
      const rank = loop.base.shape.length;
      const names: string[] = [];
      const copy = pointwiseCopy(loop);
      for (const v of copy.vars) w.open(v);
      for (const e of asIndex(copy.vars)) names.push(w.expr(e));
      w.store(position(names, stride), w.value(copy.value), loop.dtype);
      w.close(rank);
      for (const v of loop.vars) w.open(v);
      const value = w.cast(w.value(loop.value), loop.value.dtype, loop.dtype);
      const at = w.fresh("p");
      w.lines.push(`const ${at} = ${position(loop.target.map((e) => w.expr(e)), stride)};`);
      const old = w.fresh();
      w.lines.push(`const ${old} = ${decode(`o[${at}]`, loop.dtype, w)};`);
      w.store(
        at,
        loop.op === "set" ? value : w.cast(combine(w, loop.op, old, value, loop.dtype), wide(loop.dtype), loop.dtype),
        loop.dtype,
      );
      w.close(loop.vars.length);
      return;
    }
    case "contraction": {
      const outer = [...loop.batch, ...loop.m, ...loop.n];
      for (const v of outer) w.open(v);
      const acc = w.fresh("a");
      w.lines.push(`let ${acc} = 0;`);
      for (const v of loop.k) w.open(v);
      const exact = loop.accumulate.isIntegral;
      const a = w.value(loop.a);
      const b = w.value(loop.b);
      w.lines.push(
        exact
          ? `${acc} = ${w.apply("add", [acc, w.apply("mul", [a, b], loop.accumulate)], loop.accumulate)};`
          : `${acc} += ${a} * ${b};`,
      );
      w.close(loop.k.length);
      const at = loop.out.map((e) => w.expr(e));
      w.store(position(at, stride), w.cast(acc, exact ? loop.accumulate : float64, loop.dtype), loop.dtype);
      w.close(outer.length);
      return;
    }
    default:
      loop satisfies never;
  }
}

function pointwiseCopy(loop: LoopNode & { readonly kind: "scatter" }): LoopNode & { readonly kind: "pointwise" } {
  return pointwise(loop.base.shape, (index) => loop.base.load(index));
}

/** The dtype of an accumulator: floats are summed in float64. */
function wide(dtype: DType): DType {
  return dtype.isFloat ? float64 : dtype;
}

function combine(w: Writer, op: CombineOp, acc: string, value: string, dtype: DType): string {
  switch (op) {
    case "sum":
      return w.apply("add", [acc, value], wide(dtype));
    case "prod":
      return w.apply("mul", [acc, value], wide(dtype));
    case "max":
      return w.apply("maximum", [acc, value], dtype);
    case "min":
      return w.apply("minimum", [acc, value], dtype);
    case "set":
      return value;
    default:
      return op satisfies never;
  }
}

function identity(op: "sum" | "prod" | "max" | "min", dtype: DType): string {
  switch (op) {
    case "sum":
      return "0";
    case "prod":
      return "1";
    case "max":
      return dtype.isFloat ? "-Infinity" : dtype === int64 ? "-9223372036854775808n" : String(dtype.min);
    case "min":
      return dtype.isFloat ? "Infinity" : dtype === int64 ? "9223372036854775807n" : String(dtype.max);
    default:
      return op satisfies never;
  }
}

function writeReduction(w: Writer, loop: LoopNode & { readonly kind: "reduction" }, stride: readonly number[]): void {
  for (const v of loop.vars) w.open(v);
  const at = position(asIndex(loop.vars).map((e) => w.expr(e)), stride);
  const acc = w.fresh("a");
  const dtype = loop.value.dtype;
  switch (loop.op) {
    case "argmax":
    case "argmin": {
      const count = w.fresh("n");
      const best = w.fresh("a");
      w.lines.push(`let ${acc} = 0, ${count} = 0, ${best} = null;`);
      for (const v of loop.reduceVars) w.open(v);
      const value = w.value(loop.value);
      const sign = loop.op === "argmax" ? ">" : "<";
      w.lines.push(
        `if (${best} === null || (!R.isNaN(${best}) && (${value} ${sign} ${best} || R.isNaN(${value})))) { ${best} = ${value}; ${acc} = ${count}; }`,
        `${count}++;`,
      );
      w.close(loop.reduceVars.length);
      w.store(at, acc, loop.dtype);
      break;
    }
    case "any": {
      w.lines.push(`let ${acc} = 0;`);
      for (const v of loop.reduceVars) w.open(v);
      w.lines.push(`if (${w.value(loop.value)} != 0) ${acc} = 1;`);
      w.close(loop.reduceVars.length);
      w.store(at, acc, loop.dtype);
      break;
    }
    case "sum":
    case "prod":
    case "max":
    case "min": {
      w.lines.push(`let ${acc} = ${identity(loop.op, dtype)};`);
      for (const v of loop.reduceVars) w.open(v);
      w.lines.push(`${acc} = ${combine(w, loop.op, acc, w.value(loop.value), dtype)};`);
      w.close(loop.reduceVars.length);
      // Halves accumulate in float32, so that is what the result passes through.
      const narrow = computeType(dtype);
      const rounded = w.cast(acc, wide(dtype), narrow);
      w.store(at, w.cast(rounded, narrow, loop.dtype), loop.dtype);
      break;
    }
    default:
      loop.op satisfies never;
  }
  w.close(loop.vars.length);
}
