/**
 * One kernel as one JavaScript function: loops over typed arrays, scalar by scalar.
 *
 * {@linkcode JsFunction} writes statements into {@linkcode Scopes}; pure statements go to the outermost loop in which their operands are known.
 * Parameters are typed arrays, then sizes. int64 memory is seen as bigints or as pairs of 32-bit words, as the value needs it.
 */
import { bfloat16, bool, computeType, type DType, float32, int64, InternalError } from "../../../core/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import { constantValue, type Expr, freeSymbols, javascriptDialect } from "../../../symbolic/mod.ts";
import type { Axis, KernelBase, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { Scopes } from "../scopes.ts";
import type { JsHelper } from "./helpers.ts";
import { findBigints } from "./integers.ts";
import {
  asBigint,
  asNumber,
  castText,
  combineText,
  constantText,
  narrowName,
  neutralText,
  primitiveText,
  type Scalar,
} from "./scalar.ts";

/** Which view of a buffer a parameter is. */
export type JsView =
  | "bool"
  | "uint8"
  | "int8"
  | "int16"
  | "int32"
  | "int64"
  | "float16"
  | "bfloat16"
  | "float8_e4m3fn"
  | "float8_e5m2"
  | "float32"
  | "float64"
  | "uint32";

/** A parameter of a generated function. */
export interface JsParameter {
  readonly buffer: BufferRef;
  readonly view: JsView;
}

/** A function's text. */
export interface JsFunctionText {
  readonly parameters: readonly JsParameter[];
  /** Names of parameters and sizes, joined. */
  readonly head: string;
  readonly body: string;
}

interface Known {
  readonly scalar: Scalar;
  readonly level: number;
}

/** Writes one function. */
export class JsFunction {
  readonly scopes: Scopes;
  readonly #kernel: KernelBase;
  readonly #use: (name: JsHelper) => string;
  readonly #big: ReadonlySet<TileValue>;
  readonly #values = new Map<TileValue, Known>();
  readonly #parameters: JsParameter[] = [];
  readonly #names = new Map<BufferRef, Map<JsView, string>>();
  readonly #sizeNames: string[] = [];
  readonly #written: ReadonlySet<BufferRef>;
  readonly #accumulators = new Map<TileValue, string>();
  #parameterCount = 0;

  constructor(
    kernel: KernelBase,
    bodies: readonly (readonly TileStatement[])[],
    axes: readonly Axis[],
    use: (name: JsHelper) => string,
  ) {
    this.#kernel = kernel;
    this.#use = use;
    this.#big = findBigints(bodies, axes);
    this.#written = new Set(kernel.writes);
    this.scopes = new Scopes({
      declare: (name, value) => `const ${name} = ${value};`,
      dialect: (symbol) => javascriptDialect({ symbol }),
    });
    kernel.sizes.forEach((sym, i) => {
      this.scopes.define(sym, `n${i}`, 0);
      this.#sizeNames.push(`n${i}`);
    });
  }

  /** The finished function. */
  finish(): JsFunctionText {
    const names = this.#parameters.map(({ buffer, view }) => this.#names.get(buffer)?.get(view) ?? "");
    return {
      parameters: this.#parameters,
      head: [...names, ...this.#sizeNames].join(", "),
      body: this.scopes.text("  "),
    };
  }

  /** Opens a loop over an axis. */
  openAxis(axis: Axis): void {
    const name = this.scopes.fresh("x");
    const limit = this.#limit(axis.extent);
    this.scopes.open(`for (let ${name} = 0; ${name} < ${limit}; ${name}++) {`);
    this.scopes.define(axis.symbol, name);
  }

  #limit(extent: Expr): string {
    const number = constantValue(extent);
    return number !== null ? String(number) : this.scopes.index(extent);
  }

  /** The parameter's name for a view of a buffer. */
  parameter(buffer: BufferRef, view: JsView = viewOf(buffer.dtype)): string {
    let views = this.#names.get(buffer);
    if (views === undefined) this.#names.set(buffer, views = new Map());
    let name = views.get(view);
    if (name === undefined) {
      name = `p${this.#parameterCount++}`;
      views.set(view, name);
      this.#parameters.push({ buffer, view });
    }
    return name;
  }

  /** A value's expression. */
  scalar(v: TileValue): Scalar {
    const found = this.#values.get(v);
    if (found === undefined) throw new InternalError(`value ${v.id} is used before it is defined`);
    return found.scalar;
  }

  /** Gives a value a text from outside (a template's accumulator). */
  assign(v: TileValue, text: string): void {
    this.#values.set(v, { scalar: { text, dtype: v.dtype, big: this.#big.has(v) }, level: this.scopes.depth });
  }

  /** Writes statements into the innermost loop, what does not vary in it further out. */
  statements(body: readonly TileStatement[]): void {
    for (const s of body) this.#statement(s);
  }

  #levelOf(operands: readonly (TileValue | null)[], exprs: readonly Expr[] = []): number {
    let level = 0;
    for (const v of operands) if (v !== null) level = Math.max(level, this.#values.get(v)?.level ?? 0);
    for (const e of exprs) level = Math.max(level, this.scopes.levelOf(e));
    return level;
  }

  #define(v: TileValue, text: string, level: number): void {
    const name = this.scopes.fresh("v");
    this.scopes.line(`const ${name} = ${text};`, level);
    this.#values.set(v, { scalar: { text: name, dtype: v.dtype, big: this.#big.has(v) }, level });
  }

  #statement(s: TileStatement): void {
    switch (s.kind) {
      case "constant":
        this.#values.set(s.out, {
          scalar: {
            text: constantText(s.value, s.out.dtype, this.#big.has(s.out)),
            dtype: s.out.dtype,
            big: this.#big.has(s.out),
          },
          level: 0,
        });
        return;
      case "index": {
        const level = this.scopes.levelOf(s.expr);
        const text = this.scopes.index(s.expr);
        this.#values.set(s.out, {
          scalar: { text: s.out.dtype === bool ? `(${text} !== 0)` : text, dtype: s.out.dtype, big: false },
          level,
        });
        return;
      }
      case "bind":
        this.#bind(s);
        return;
      case "load": {
        const own = this.#levelOf([s.mask], [s.index]);
        const level = this.#written.has(s.buffer) ? this.scopes.depth : own;
        const text = this.#load(s.buffer, this.scopes.index(s.index), this.#big.has(s.out));
        this.#define(
          s.out,
          s.mask === null ? text : `${this.scalar(s.mask).text} ? ${text} : ${this.#zero(s.out)}`,
          level,
        );
        return;
      }
      case "store":
        this.#store(s.buffer, s.index, this.scalar(s.value));
        return;
      case "combine": {
        const value = this.scalar(s.value);
        const at = this.scopes.index(s.index);
        const big = s.buffer.dtype === int64;
        const old: Scalar = { text: this.#load(s.buffer, at, big), dtype: computeType(s.buffer.dtype), big };
        const own: Scalar = { text: big ? asBigint(value) : value.text, dtype: old.dtype, big };
        const text = combineText(s.op, old, own, this.#use);
        this.#store(s.buffer, s.index, { text, dtype: s.buffer.dtype, big });
        return;
      }
      case "pointwise": {
        const args = s.args.map((arg) => this.scalar(arg));
        const text = primitiveText(s.op, args, s.out.dtype, this.#big.has(s.out), this.#use);
        this.#define(s.out, text, this.#levelOf(s.args));
        return;
      }
      case "cast":
        this.#define(
          s.out,
          castText(this.scalar(s.arg), s.out.dtype, this.#big.has(s.out), this.#use),
          this.#levelOf([s.arg]),
        );
        return;
      case "bitcast":
        this.#define(s.out, this.#bitcast(this.scalar(s.arg), s.out.dtype), this.#levelOf([s.arg]));
        return;
      case "lookup": {
        const name = this.scopes.fresh("t");
        this.scopes.line(`const ${name} = [${s.table.map((c) => Object.is(c, -0) ? "-0" : String(c)).join(", ")}];`, 0);
        const text = `${name}[${this.scalar(s.at).text} & ${s.table.length - 1}]`;
        this.#define(s.out, text, this.#levelOf([s.at]));
        return;
      }
      case "philox": {
        const [seed, stream, position] = [this.scalar(s.seed), this.scalar(s.stream), this.scalar(s.position)];
        const text = `${this.#use("philoxWord")}(${seed.text}, ${stream.text}, ${asNumber(position)})`;
        this.#define(s.out, text, this.#levelOf([s.seed, s.stream, s.position]));
        return;
      }
      case "accumulator": {
        const name = this.scopes.fresh("a");
        this.#accumulators.set(s.out, name);
        this.scopes.line(`let ${name} = ${neutralText(s.op, s.out.dtype, this.#big.has(s.out))};`);
        if (s.op === "argmax" || s.op === "argmin") this.scopes.line(`let ${name}p = 0;`);
        return;
      }
      case "accumulate":
        this.#accumulate(s);
        return;
      case "dot": {
        const name = this.#accumulator(s.accumulator);
        const big = this.#big.has(s.accumulator);
        const [a, b] = [this.scalar(s.a), this.scalar(s.b)];
        const product: Scalar = {
          text: primitiveText("mul", [a, b], s.accumulator.dtype, big, this.#use),
          dtype: s.accumulator.dtype,
          big,
        };
        const old: Scalar = { text: name, dtype: s.accumulator.dtype, big };
        this.scopes.line(`${name} = ${combineText("sum", old, product, this.#use)};`);
        return;
      }
      case "finish": {
        const name = this.#accumulator(s.accumulator);
        const isPosition = s.op === "argmax" || s.op === "argmin";
        const big = this.#big.has(s.accumulator);
        const scalar: Scalar = isPosition
          ? { text: `${name}p`, dtype: s.out.dtype, big: false }
          : { text: name, dtype: s.out.dtype, big };
        this.#define(s.out, this.#big.has(s.out) ? asBigint(scalar) : asNumberOrBool(scalar), this.scopes.depth);
        return;
      }
      case "accumulators": {
        const name = this.scopes.fresh("a");
        const big = this.#big.has(s.out);
        this.#accumulators.set(s.out, name);
        const neutral = neutralText(s.op, s.out.dtype, big);
        const fill = neutral === (big ? "0n" : "0") ? "" : `.fill(${neutral})`;
        this.scopes.line(
          `const ${name} = new ${big ? "BigInt64Array" : "Float64Array"}(${this.#limit(s.size)})${fill};`,
        );
        return;
      }
      case "accumulateAt": {
        const big = this.#big.has(s.accumulators);
        const at = `${this.#accumulator(s.accumulators)}[${this.scopes.index(s.index)}]`;
        const value = this.scalar(s.value);
        const { dtype } = s.accumulators;
        const own: Scalar = { text: big ? asBigint(value) : value.text, dtype, big };
        this.scopes.line(`${at} = ${combineText(s.op, { text: at, dtype, big }, own, this.#use)};`);
        return;
      }
      case "finishAt": {
        const big = this.#big.has(s.accumulators);
        const text = `${this.#accumulator(s.accumulators)}[${this.scopes.index(s.index)}]`;
        const scalar: Scalar = { text, dtype: s.out.dtype, big };
        this.#define(s.out, this.#big.has(s.out) ? asBigint(scalar) : asNumber(scalar), this.scopes.depth);
        return;
      }
      case "for":
        this.openAxis(s.axis);
        this.statements(s.body);
        this.scopes.close();
        return;
      default:
        s satisfies never;
    }
  }

  #accumulator(v: TileValue): string {
    const name = this.#accumulators.get(v);
    if (name === undefined) throw new InternalError(`accumulator ${v.id} is used before it is defined`);
    return name;
  }

  #accumulate(s: TileStatement & { readonly kind: "accumulate" }): void {
    const name = this.#accumulator(s.accumulator);
    const value = this.scalar(s.value);
    if (s.op !== "argmax" && s.op !== "argmin") {
      const big = this.#big.has(s.accumulator);
      const old: Scalar = { text: name, dtype: s.accumulator.dtype, big };
      const own: Scalar = { text: big ? asBigint(value) : value.text, dtype: s.accumulator.dtype, big };
      this.scopes.line(`${name} = ${combineText(s.op, old, own, this.#use)};`);
      return;
    }
    // Elements that are equal in float32 must tie, so they are compared as if stored.
    let v = value.text;
    if (value.dtype === float32) {
      const name = this.scopes.fresh("q");
      this.scopes.line(`const ${name} = Math.fround(${v});`);
      v = name;
    }
    const better = `${v} ${s.op === "argmax" ? ">" : "<"} ${name}`;
    // The first NaN wins over everything.
    const nan = s.accumulator.dtype.isFloat ? ` || ${v} !== ${v} && ${name} === ${name}` : "";
    const position = s.position === null ? "0" : this.scopes.index(s.position);
    this.scopes.line(`if (${better}${nan}) { ${name} = ${v}; ${name}p = ${position}; }`);
  }

  #bind(s: TileStatement & { readonly kind: "bind" }): void {
    const value = this.scalar(s.value);
    const level = this.#levelOf([s.value, s.mask], [s.size]);
    const name = this.scopes.fresh("g");
    const size = this.#limit(s.size);
    const lines = [
      `${name} = ${asNumber(value)};`,
      ...(s.fromEnd ? [`if (${name} < 0) ${name} += ${size};`] : []),
      `if (!(${name} >= 0 && ${name} < ${size})) ${this.#use("indexError")}(${value.text}, ${size});`,
    ];
    this.scopes.line(`let ${name} = 0;`, level);
    if (s.mask !== null) this.scopes.line(`if (${this.scalar(s.mask).text}) {`, level);
    for (const text of lines) this.scopes.line(s.mask === null ? text : `  ${text}`, level);
    if (s.mask !== null) this.scopes.line("}", level);
    this.scopes.define(s.symbol, name, level);
  }

  #zero(v: TileValue): string {
    return constantText(0, v.dtype, this.#big.has(v));
  }

  #load(buffer: BufferRef, at: string, big: boolean): string {
    switch (buffer.dtype) {
      case bool:
        return `(${this.parameter(buffer)}[${at}] !== 0)`;
      case int64:
        if (big) return `${this.parameter(buffer)}[${at}]`;
        return `(${this.parameter(buffer, "int32")}[2 * ${at} + 1] * 4294967296 + ${
          this.parameter(buffer, "uint32")
        }[2 * ${at}])`;
      default: {
        const element = `${this.parameter(buffer)}[${at}]`;
        const narrow = narrowName(buffer.dtype);
        return narrow === null ? element : `${this.#use(`from${narrow}`)}(${element})`;
      }
    }
  }

  #store(buffer: BufferRef, index: Expr, value: Scalar): void {
    const at = this.scopes.index(index);
    if (buffer.dtype === int64 && !value.big) {
      const low = this.parameter(buffer, "uint32");
      const high = this.parameter(buffer, "int32");
      const number = asNumber(value);
      this.scopes.line(
        `${low}[2 * ${at}] = ${number}; ${high}[2 * ${at} + 1] = Math.floor(${number} / 4294967296);`,
      );
      return;
    }
    const narrow = narrowName(buffer.dtype);
    const text = buffer.dtype === bool
      ? `(${value.text} ? 1 : 0)`
      : narrow !== null
      ? `${this.#use(`to${narrow}`)}(${value.text})`
      : value.text;
    this.scopes.line(`${this.parameter(buffer)}[${at}] = ${text};`);
  }

  #bitcast(s: Scalar, to: DType): string {
    const from = s.dtype;
    if (from.isFloat && to.isFloat) throw new InternalError(`bitcast of ${from.name} to ${to.name}`);
    if (from.isFloat) {
      const bits = from.bytes === 4 ? "bitsOfFloat32" : from.bytes === 8 ? "bitsOfFloat64" : "bitsOfFloat16";
      const text = from === bfloat16
        ? `(${this.#use("toBfloat16")}(${s.text}) << 16 >> 16)`
        : `${this.#use(bits)}(${s.text})`;
      return to.kind === "uint" ? `(${text} >>> 0)` : text;
    }
    if (to.isFloat) {
      if (to === bfloat16) return `${this.#use("fromBfloat16")}(${s.text} & 65535)`;
      return `${
        this.#use(to.bytes === 4 ? "bitsToFloat32" : to.bytes === 8 ? "bitsToFloat64" : "bitsToFloat16")
      }(${s.text})`;
    }
    return castText(s, to, false, this.#use);
  }

  /** Sizes that are passed in order after the arrays. */
  get sizeCount(): number {
    return this.#kernel.sizes.length;
  }

  /** Whether an expression holds a symbol that has no name yet. */
  isKnown(e: Expr): boolean {
    for (const sym of freeSymbols(e)) if (!this.scopes.has(sym)) return false;
    return true;
  }
}

function asNumberOrBool(s: Scalar): string {
  return s.dtype === bool ? s.text : asNumber(s);
}

/** The view in which a dtype's elements are seen. */
export function viewOf(dtype: DType): JsView {
  // Complex numbers are only moved: 8 bytes at a time.
  return (dtype.isComplex ? "float64" : dtype.name) as JsView;
}
