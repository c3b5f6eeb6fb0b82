/**
 * Reads the text that `toText` writes back into expressions and conditions; every node is built by its constructor, so
 * what comes out is canonical whatever was written. Names are looked up, never invented: text from a file is data.
 *
 * `Tokens` is independent of the grammar: readers of other notations (SymPy's, say) are further classes over it.
 */
import { add, asExpr, constant, max, min, mul, neg, symbol, where } from "./expr.ts";
import { floorDiv, mod } from "./divide.ts";
import type { BoolExpr, Expr, Sym } from "./nodes.ts";
import { and, asBool, eq, ge, gt, le, lt, ne, not, or } from "./relations.ts";

/** Nesting beyond this is refused, so that hostile text cannot exhaust the stack. */
const MAX_NESTING = 200;

const tokenPattern = /\s*(?:(\d+)|([A-Za-z_][\w.]*)|(\/\/|==|!=|<=|>=|[-+*%<>(),]))/y;

/** A text cut into numbers, names and signs. */
export class Tokens {
  readonly #text: string;
  readonly #tokens: { readonly text: string; readonly at: number }[] = [];
  #next = 0;

  constructor(text: string) {
    this.#text = text;
    tokenPattern.lastIndex = 0;
    const length = text.trimEnd().length;
    while (tokenPattern.lastIndex < length) {
      const at = tokenPattern.lastIndex;
      const match = tokenPattern.exec(text);
      if (match === null) throw this.error("an unexpected character", at);
      this.#tokens.push({ text: match[1] ?? match[2] ?? match[3] ?? "", at });
    }
  }

  peek(): string {
    return this.#tokens[this.#next]?.text ?? "";
  }

  take(): string {
    const text = this.peek();
    if (text === "") throw this.error("the end of the text");
    this.#next++;
    return text;
  }

  /** Takes the next token if it is this one. */
  accept(text: string): boolean {
    if (this.peek() !== text) return false;
    this.#next++;
    return true;
  }

  expect(text: string): void {
    if (!this.accept(text)) throw this.error(`${this.peek() || "the end"} instead of ${text}`);
  }

  error(found: string, at = this.#tokens[this.#next]?.at ?? this.#text.length): SyntaxError {
    return new SyntaxError(`symbolic expression ${JSON.stringify(this.#text)}: found ${found} at ${at}`);
  }
}

type Value = Expr | BoolExpr;

function isCondition(value: Value): value is BoolExpr {
  switch (value.kind) {
    case "bool":
    case "eq":
    case "ne":
    case "lt":
    case "le":
    case "and":
    case "or":
      return true;
    default:
      return false;
  }
}

const relations: Readonly<Record<string, (a: Expr, b: Expr) => BoolExpr>> = {
  "==": eq,
  "!=": ne,
  "<": lt,
  "<=": le,
  ">": gt,
  ">=": ge,
};

/** Recursive descent, loosest first: or, and, relation, sum, product, unary minus, atom. */
class Parser {
  readonly #tokens: Tokens;
  readonly #symbols: ReadonlyMap<string, Sym>;
  #nesting = 0;

  constructor(text: string, symbols: ReadonlyMap<string, Sym>) {
    this.#tokens = new Tokens(text);
    this.#symbols = symbols;
  }

  all(): Value {
    const value = this.#or();
    if (this.#tokens.peek() !== "") throw this.#tokens.error(this.#tokens.peek());
    return value;
  }

  integer(value: Value): Expr {
    if (isCondition(value)) throw this.#tokens.error("a condition where an integer belongs, before the position");
    return value;
  }

  condition(value: Value): BoolExpr {
    if (!isCondition(value)) throw this.#tokens.error("an integer where a condition belongs, before the position");
    return value;
  }

  #or(): Value {
    if (++this.#nesting > MAX_NESTING) throw this.#tokens.error(`nesting deeper than ${MAX_NESTING}`);
    const first = this.#and();
    let result = first;
    if (this.#tokens.peek() === "or") {
      const args = [this.condition(first)];
      while (this.#tokens.accept("or")) args.push(this.condition(this.#and()));
      result = or(...args);
    }
    this.#nesting--;
    return result;
  }

  #and(): Value {
    const first = this.#relation();
    if (this.#tokens.peek() !== "and") return first;
    const args = [this.condition(first)];
    while (this.#tokens.accept("and")) args.push(this.condition(this.#relation()));
    return and(...args);
  }

  #relation(): Value {
    if (this.#tokens.accept("not")) return not(this.condition(this.#relation()));
    const left = this.#sum();
    const sign = this.#tokens.peek();
    if (!Object.hasOwn(relations, sign)) return left;
    const build = relations[this.#tokens.take()];
    const right = this.#sum();
    return build === undefined ? left : build(this.integer(left), this.integer(right));
  }

  #sum(): Value {
    const first = this.#product();
    if (this.#tokens.peek() !== "+" && this.#tokens.peek() !== "-") return first;
    // One call for the whole sum: partial sums must not be simplified in ways the whole is not.
    const terms = [this.integer(first)];
    for (;;) {
      if (this.#tokens.accept("+")) terms.push(this.integer(this.#product()));
      else if (this.#tokens.accept("-")) terms.push(neg(this.integer(this.#product())));
      else return add(...terms);
    }
  }

  #product(): Value {
    let left = this.#unary();
    for (;;) {
      if (this.#tokens.accept("*")) left = mul(this.integer(left), this.integer(this.#unary()));
      else if (this.#tokens.accept("//")) left = floorDiv(this.integer(left), this.integer(this.#unary()));
      else if (this.#tokens.accept("%")) left = mod(this.integer(left), this.integer(this.#unary()));
      else return left;
    }
  }

  #unary(): Value {
    let negative = false;
    while (this.#tokens.accept("-")) negative = !negative;
    const atom = this.#atom();
    return negative ? neg(this.integer(atom)) : atom;
  }

  #arguments(): Value[] {
    this.#tokens.expect("(");
    const args = [this.#or()];
    while (this.#tokens.accept(",")) args.push(this.#or());
    this.#tokens.expect(")");
    return args;
  }

  #atom(): Value {
    if (this.#tokens.accept("(")) {
      const inner = this.#or();
      this.#tokens.expect(")");
      return inner;
    }
    const name = this.#tokens.peek();
    if (/^\d/.test(name)) return constant(Number(this.#tokens.take()));
    if (!/^[A-Za-z_]/.test(name)) throw this.#tokens.error(name || "the end of the text");
    // A symbol wins over a function of the same name unless it is called.
    this.#tokens.take();
    if (this.#tokens.peek() === "(") return this.#call(name);
    const sym = this.#symbols.get(name);
    if (sym !== undefined) return symbol(sym);
    if (name === "true" || name === "false") return asBool(name === "true");
    throw this.#tokens.error(`the unknown symbol ${name}, before the position`);
  }

  #call(name: string): Value {
    const args = this.#arguments();
    if (name === "min") return min(...args.map((arg) => this.integer(arg)));
    if (name === "max") return max(...args.map((arg) => this.integer(arg)));
    const [cond, a, b] = args;
    if (name === "where" && cond !== undefined && a !== undefined && b !== undefined && args.length === 3) {
      return where(this.condition(cond), this.integer(a), this.integer(b));
    }
    throw this.#tokens.error(`a call of ${name} with ${args.length} arguments, before the position`);
  }
}

/** What parsing looks names up in. */
export type SymbolTable = Iterable<Sym> | ReadonlyMap<string, Sym>;

function tableOf(symbols: SymbolTable): ReadonlyMap<string, Sym> {
  if (symbols instanceof Map) return symbols as ReadonlyMap<string, Sym>;
  return new Map(Array.from(symbols as Iterable<Sym>, (sym) => [sym.name, sym]));
}

/**
 * Reads an integer expression. Throws SyntaxError for malformed text and unknown names, RangeError for numbers beyond
 * 2^53 and for division by the constant 0.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { newSym, parseExpr, toText } from "./mod.ts";
 * const s = newSym("s0");
 * assert.ok(toText(parseExpr("(s0*4 + 3)//4 + 1", [s])) === "s0 + 1");
 * ```
 */
export function parseExpr(text: string, symbols: SymbolTable): Expr {
  const parser = new Parser(text, tableOf(symbols));
  return asExpr(parser.integer(parser.all()));
}

/** Reads a condition; errors as in {@linkcode parseExpr}. */
export function parseBool(text: string, symbols: SymbolTable): BoolExpr {
  const parser = new Parser(text, tableOf(symbols));
  return parser.condition(parser.all());
}
