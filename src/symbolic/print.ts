/**
 * Text of expressions: `toText` for people, goldens and the parser; `printExpr` for the emitters of every backend.
 *
 * A dialect says how its language spells floor division, remainder, minimum and so on. It is told what is proven about
 * the operands, because C, WGSL and JavaScript truncate: only non-negative operands may use the plain operator.
 */
import { isNonNegative } from "./bounds.ts";
import type { BoolExpr, Expr, RelationExpr, Sym, Term } from "./nodes.ts";

/** What is proven about the two operands of a division. */
export interface OperandFacts {
  /** Both operands are ≥ 0 (and the divisor is, as everywhere, not 0). */
  readonly nonNegative: boolean;
  /** Both operands fit into a signed 32-bit integer. */
  readonly fits32: boolean;
}

/** How a language spells integer expressions. Operands arrive parenthesised where they need it. */
export interface Dialect {
  readonly const: (value: number) => string;
  readonly symbol: (sym: Sym) => string;
  readonly floorDiv: (a: string, b: string, facts: OperandFacts) => string;
  readonly mod: (a: string, b: string, facts: OperandFacts) => string;
  readonly min: (a: string, b: string) => string;
  readonly max: (a: string, b: string) => string;
  readonly where: (cond: string, a: string, b: string) => string;
  readonly relation: (kind: RelationExpr["kind"], a: string, b: string) => string;
  readonly junction: (kind: "and" | "or", args: readonly string[]) => string;
  readonly bool: (value: boolean) => string;
}

const relationSigns = { eq: "==", ne: "!=", lt: "<", le: "<=" } as const;

/** How tightly a text binds: a sum, a product, an atom. */
const SUM = 0, PRODUCT = 1, ATOM = 2;

interface Piece {
  readonly text: string;
  readonly binds: number;
}

class Printer {
  readonly #dialect: Dialect;
  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  print(e: Expr): Piece {
    const d = this.#dialect;
    switch (e.kind) {
      case "const":
        return { text: d.const(e.value), binds: e.value < 0 ? SUM : ATOM };
      case "symbol":
        return { text: d.symbol(e.symbol), binds: ATOM };
      case "add":
        return this.#sum(e.terms, e.constant);
      case "mul":
        return { text: e.factors.map((f) => this.#atom(f)).join("*"), binds: PRODUCT };
      case "floorDiv":
        return enclosed(d.floorDiv(this.#atom(e.a), this.#atom(e.b), factsOf(e.a, e.b)));
      case "mod":
        return enclosed(d.mod(this.#atom(e.a), this.#atom(e.b), factsOf(e.a, e.b)));
      case "min":
        return enclosed(e.args.map((arg) => this.print(arg).text).reduce((a, b) => d.min(a, b)));
      case "max":
        return enclosed(e.args.map((arg) => this.print(arg).text).reduce((a, b) => d.max(a, b)));
      case "where":
        return enclosed(d.where(this.printBool(e.cond), this.#atom(e.a), this.#atom(e.b)));
      default:
        return e satisfies never;
    }
  }

  #atom(e: Expr): string {
    const { text, binds } = this.print(e);
    return binds === ATOM ? text : `(${text})`;
  }

  #sum(terms: readonly Term[], constantPart: number): Piece {
    const d = this.#dialect;
    let text = "";
    for (const { coefficient, factor } of terms) {
      const size = Math.abs(coefficient);
      const { text: plain, binds } = this.print(factor);
      const body = size === 1 ? plain : `${binds === SUM ? `(${plain})` : plain}*${d.const(size)}`;
      if (text === "") text = coefficient < 0 ? `-${body}` : body;
      else text += coefficient < 0 ? ` - ${body}` : ` + ${body}`;
    }
    if (constantPart !== 0) text += `${constantPart < 0 ? " - " : " + "}${d.const(Math.abs(constantPart))}`;
    const single = terms.length === 1 && constantPart === 0 && (terms[0]?.coefficient ?? 0) > 0;
    return { text, binds: single ? PRODUCT : SUM };
  }

  printBool(e: BoolExpr): string {
    const d = this.#dialect;
    switch (e.kind) {
      case "bool":
        return d.bool(e.value);
      case "eq":
      case "ne":
      case "lt":
      case "le":
        return d.relation(e.kind, this.print(e.a).text, this.print(e.b).text);
      case "and":
      case "or":
        return d.junction(
          e.kind,
          e.args.map((arg) =>
            arg.kind === "and" || arg.kind === "or" ? `(${this.printBool(arg)})` : this.printBool(arg)
          ),
        );
      default:
        return e satisfies never;
    }
  }
}

/** A text that is one word, one call, or stands in parentheses binds like an atom; anything else gets parentheses. */
function enclosed(text: string): Piece {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "(" || c === "[") depth++;
    else if (c === ")" || c === "]") depth--;
    else if (depth === 0 && c !== undefined && !/[\w.]/.test(c)) return { text: `(${text})`, binds: ATOM };
  }
  return { text, binds: ATOM };
}

function factsOf(a: Expr, b: Expr): OperandFacts {
  const least = -2147483648, most = 2147483647;
  return {
    nonNegative: isNonNegative(a) && isNonNegative(b),
    fits32: a.lower >= least && a.upper <= most && b.lower >= least && b.upper <= most,
  };
}

/** Prints an expression in a dialect. */
export function printExpr(e: Expr, dialect: Dialect): string {
  return new Printer(dialect).print(e).text;
}

/** Prints an expression so that it may stand as an operand of any operator. */
export function printOperand(e: Expr, dialect: Dialect): string {
  const { text, binds } = new Printer(dialect).print(e);
  return binds === ATOM ? text : `(${text})`;
}

/** Prints a condition in a dialect. */
export function printBool(e: BoolExpr, dialect: Dialect): string {
  return new Printer(dialect).printBool(e);
}

const textDialect: Dialect = {
  const: String,
  symbol: (sym) => sym.name,
  floorDiv: (a, b) => `${a}//${b}`,
  mod: (a, b) => `${a} % ${b}`,
  min: (a, b) => `min(${a}, ${b})`,
  max: (a, b) => `max(${a}, ${b})`,
  where: (cond, a, b) => `where(${cond}, ${a}, ${b})`,
  relation: (kind, a, b) => `${a} ${relationSigns[kind]} ${b}`,
  junction: (kind, args) => args.join(` ${kind} `),
  bool: String,
};

/**
 * The stable text of an expression or condition; `parseExpr` and `parseBool` read it back.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { add, indexSymbol, mul, sizeSymbol, toText } from "./mod.ts";
 * const s = sizeSymbol("s0"), i = indexSymbol("i1", 8);
 * assert.ok(toText(add(mul(s, 4), i)) === "s0*4 + i1");
 * ```
 */
export function toText(e: Expr | BoolExpr): string {
  const printer = new Printer(textDialect);
  switch (e.kind) {
    case "bool":
    case "eq":
    case "ne":
    case "lt":
    case "le":
    case "and":
    case "or":
      return printer.printBool(e);
    default:
      return printer.print(e).text;
  }
}

/** What a C-like dialect still needs to know. */
export interface CLikeOptions {
  /** The emitted name of a symbol; names in a model file are data, so the caller makes this one safe. */
  readonly symbol: (sym: Sym) => string;
  /** Names of the helper functions for operands of either sign. */
  readonly floorDiv?: string;
  readonly mod?: string;
  readonly min?: string;
  readonly max?: string;
  /** The suffix of constants, for example "L" or "ll". */
  readonly suffix?: string;
}

function cLike(options: CLikeOptions, names: { floorDiv: string; mod: string; min: string; max: string }): Dialect {
  const { floorDiv, mod, min, max } = { ...names, ...options };
  return {
    const: (value) => `${value}${options.suffix ?? ""}`,
    symbol: options.symbol,
    floorDiv: (a, b, facts) => facts.nonNegative ? `${a} / ${b}` : `${floorDiv}(${a}, ${b})`,
    mod: (a, b, facts) => facts.nonNegative ? `${a} % ${b}` : `${mod}(${a}, ${b})`,
    min: (a, b) => `${min}(${a}, ${b})`,
    max: (a, b) => `${max}(${a}, ${b})`,
    where: (cond, a, b) => `(${cond}) ? ${a} : ${b}`,
    relation: (kind, a, b) => `${a} ${relationSigns[kind]} ${b}`,
    junction: (kind, args) => args.map((arg) => `(${arg})`).join(kind === "and" ? " && " : " || "),
    bool: String,
  };
}

/** C and C++; helpers `tsr_floor_div`, `tsr_floor_mod`, `tsr_min`, `tsr_max` on 64-bit integers come with the emitter. */
export function cDialect(options: CLikeOptions): Dialect {
  return cLike(options, { floorDiv: "tsr_floor_div", mod: "tsr_floor_mod", min: "tsr_min", max: "tsr_max" });
}

/** CUDA C++; `min` and `max` are built in. */
export function cudaDialect(options: CLikeOptions): Dialect {
  return cLike(options, { floorDiv: "tsr_floor_div", mod: "tsr_floor_mod", min: "min", max: "max" });
}

/** WGSL, on `i32`; it has no conditional operator, `select` evaluates both branches. */
export function wgslDialect(options: CLikeOptions): Dialect {
  const base = cLike(options, { floorDiv: "tsr_floor_div", mod: "tsr_floor_mod", min: "min", max: "max" });
  return { ...base, where: (cond, a, b) => `select(${b}, ${a}, ${cond})` };
}

/** JavaScript, on numbers that hold exact integers. */
export function javascriptDialect(options: { readonly symbol: (sym: Sym) => string; readonly mod?: string }): Dialect {
  return {
    ...cLike(options, { floorDiv: "", mod: options.mod ?? "", min: "Math.min", max: "Math.max" }),
    floorDiv: (a, b, facts) => facts.nonNegative && facts.fits32 ? `(${a} / ${b} | 0)` : `Math.floor(${a} / ${b})`,
    mod: (a, b, facts) => facts.nonNegative ? `${a} % ${b}` : `(${a} - ${b} * Math.floor(${a} / ${b}))`,
    relation: (kind, a, b) => `${a} ${kind === "eq" ? "===" : kind === "ne" ? "!==" : relationSigns[kind]} ${b}`,
  };
}
