/**
 * SymPy text → symbolic expressions.
 *
 * Reads both forms that exported programs hold: constructor calls as `srepr` writes them (`Add(Mul(Integer(2), Symbol('s0', positive=True)),
 * Integer(1))`) and infix as `str` does (`2*s0 + 1`, `s0//2`). A real parser: recursive descent over tokens, positions in errors, bounded nesting.
 * Quotients that SymPy keeps as rationals are carried exactly as numerator and denominator until something rounds them; what
 * stays a fraction, or has no meaning over the integers, is an error, never an approximation.
 */
import {
  add,
  and,
  type BoolExpr,
  ceilDiv,
  constant,
  eq,
  type Expr,
  floorDiv,
  isPositive,
  max,
  min,
  mod,
  mul,
  neg,
  not,
  or,
  where,
} from "../../symbolic/mod.ts";
import { quoted, textError, type Token, tokensOf } from "./sympy_tokens.ts";
import {
  boolean,
  exactFraction,
  exactQuotient,
  fraction,
  reduced,
  relations,
  rounded,
  sympyRelations,
  type Value,
  whole,
} from "./sympy_values.ts";

const MAX_NESTING = 150;

/** What a text says of a symbol: `Symbol('s0', positive=True, integer=True)`. */
export interface SymbolFacts {
  readonly positive: boolean;
  readonly nonnegative: boolean;
  readonly integer: boolean;
}

/** Yields the expression of a symbol; `facts` is null where only the name is given. Throws if the name is not wanted. */
export type SymbolLookup = (name: string, facts: SymbolFacts | null) => Expr;

class SympyParser {
  readonly #text: string;
  readonly #lookup: SymbolLookup;
  readonly #tokens: readonly Token[];
  #next = 0;
  #nesting = 0;

  constructor(text: string, lookup: SymbolLookup) {
    this.#text = text;
    this.#lookup = lookup;
    this.#tokens = tokensOf(text);
  }

  all(): Value {
    try {
      const value = this.#or();
      if (this.#peek().kind !== "end") throw this.#error(quoted(this.#peek()));
      return value;
    } catch (error) {
      if (error instanceof RangeError && !error.message.startsWith("symbolic expression")) {
        throw this.#error(error.message);
      }
      throw error;
    }
  }

  integer(value: Value): Expr {
    if (value.type === "int") return value.expr;
    if (value.type === "bool") throw this.#error("a condition where an integer belongs");
    const whole = exactQuotient(value);
    if (whole === null) throw this.#error("a fraction where an integer belongs");
    return whole;
  }

  condition(value: Value): BoolExpr {
    if (value.type !== "bool") throw this.#error("a number where a condition belongs");
    return value.cond;
  }

  #numeric(value: Value): Exclude<Value, { type: "bool" }> {
    if (value.type === "bool") throw this.#error("a condition where a number belongs");
    return value;
  }

  #error(found: string, at = this.#peek().at): SyntaxError {
    return textError(this.#text, found, at);
  }

  #peek(): Token {
    return this.#tokens[this.#next] ?? { kind: "end", text: "", at: this.#text.length };
  }

  #take(): Token {
    const token = this.#peek();
    this.#next++;
    return token;
  }

  #accept(sign: string): boolean {
    const token = this.#peek();
    if (token.kind !== "sign" || token.text !== sign) return false;
    this.#next++;
    return true;
  }

  #expect(sign: string): void {
    if (!this.#accept(sign)) throw this.#error(`${quoted(this.#peek())} instead of ${sign}`);
  }

  #nested<T>(body: () => T): T {
    if (++this.#nesting > MAX_NESTING) throw this.#error(`nesting deeper than ${MAX_NESTING}`);
    const value = body();
    this.#nesting--;
    return value;
  }

  #or(): Value {
    return this.#nested(() => {
      let left = this.#and();
      while (this.#accept("|")) left = boolean(or(this.condition(left), this.condition(this.#and())));
      return left;
    });
  }

  #and(): Value {
    let left = this.#not();
    while (this.#accept("&")) left = boolean(and(this.condition(left), this.condition(this.#not())));
    return left;
  }

  #not(): Value {
    if (!this.#accept("~")) return this.#relation();
    return this.#nested(() => boolean(not(this.condition(this.#not()))));
  }

  #relation(): Value {
    const left = this.#sum();
    const sign = this.#peek();
    const build = sign.kind === "sign" && Object.hasOwn(relations, sign.text) ? relations[sign.text] : undefined;
    if (build === undefined) return left;
    this.#next++;
    return this.#compare(build, left, this.#sum());
  }

  /** Compares fractions by cross-multiplying: denominators are positive. */
  #compare(build: (a: Expr, b: Expr) => BoolExpr, left: Value, right: Value): Value {
    if (left.type === "bool" || right.type === "bool") throw this.#error("a comparison of conditions");
    const a = fraction(left), b = fraction(right);
    return boolean(build(mul(a.num, b.den), mul(b.num, a.den)));
  }

  #sum(): Value {
    let left = this.#product();
    for (;;) {
      if (this.#accept("+")) left = this.#add([left, this.#product()]);
      else if (this.#accept("-")) left = this.#add([left, this.#negate(this.#product())]);
      else return left;
    }
  }

  #product(): Value {
    let left = this.#unary();
    for (;;) {
      if (this.#accept("*")) left = this.#multiply([left, this.#unary()]);
      else if (this.#accept("//")) left = whole(this.#floorDiv(left, this.#unary()));
      else if (this.#accept("/")) left = this.#divide(left, this.#unary());
      else if (this.#accept("%")) left = whole(mod(this.integer(left), this.integer(this.#unary())));
      else return left;
    }
  }

  #unary(): Value {
    if (this.#accept("-")) return this.#nested(() => this.#negate(this.#unary()));
    if (this.#accept("+")) return this.#nested(() => this.#unary());
    const base = this.#atom();
    return this.#accept("**") ? this.#nested(() => this.#power(base, this.#unary())) : base;
  }

  #add(values: readonly Value[]): Value {
    if (values.every((v) => v.type === "int")) return whole(add(...values.map((v) => this.integer(v))));
    return values.reduce((x, y) => {
      if (x.type === "bool" || y.type === "bool") throw this.#error("a sum of conditions");
      const a = fraction(x), b = fraction(y);
      return reduced(add(mul(a.num, b.den), mul(b.num, a.den)), mul(a.den, b.den));
    });
  }

  #multiply(values: readonly Value[]): Value {
    if (values.every((v) => v.type === "int")) return whole(mul(...values.map((v) => this.integer(v))));
    return values.reduce((x, y) => {
      if (x.type === "bool" || y.type === "bool") throw this.#error("a product of conditions");
      const a = fraction(x), b = fraction(y);
      return reduced(mul(a.num, b.num), mul(a.den, b.den));
    });
  }

  #negate(value: Value): Value {
    return this.#multiply([value, whole(constant(-1))]);
  }

  #divide(left: Value, right: Value): Value {
    return this.#multiply([left, this.#inverse(right)]);
  }

  #inverse(value: Value): Value {
    if (value.type === "bool") throw this.#error("a division by a condition");
    const { num, den } = fraction(value);
    if (isPositive(num)) return reduced(den, num);
    if (isPositive(neg(num))) return reduced(neg(den), neg(num));
    throw this.#error("a division by what may be 0 or of either sign");
  }

  #floorDiv(left: Value, right: Value): Expr {
    if (left.type === "int" && right.type === "int") return floorDiv(left.expr, right.expr);
    const { num, den } = fraction(this.#numeric(this.#divide(left, right)));
    return floorDiv(num, den);
  }

  #power(base: Value, exponent: Value): Value {
    const e = this.integer(exponent);
    if (e.kind !== "const" || Math.abs(e.value) > 64) throw this.#error("a power whose exponent is no small number");
    const factor = e.value < 0 ? this.#inverse(base) : base;
    const count = Math.abs(e.value);
    return count === 0 ? whole(constant(1)) : this.#multiply(new Array<Value>(count).fill(factor));
  }

  #atom(): Value {
    const token = this.#take();
    if (token.kind === "number") return this.#number(token);
    if (token.kind === "sign" && token.text === "(") {
      const inner = this.#or();
      this.#expect(")");
      return inner;
    }
    if (token.kind !== "name") throw this.#error(quoted(token), token.at);
    if (this.#peek().kind === "sign" && this.#peek().text === "(") return this.#nested(() => this.#call(token));
    if (token.text === "true" || token.text === "True") return boolean(eq(0, 0));
    if (token.text === "false" || token.text === "False") return boolean(eq(0, 1));
    return whole(this.#lookup(token.text, null));
  }

  #number(token: Token): Value {
    if (/^\d+$/.test(token.text)) return whole(constant(Number(token.text)));
    const exact = exactFraction(Number(token.text));
    if (exact === null) throw this.#error(`${token.text}, which is no short fraction`, token.at);
    return exact;
  }

  #call(name: Token): Value {
    this.#expect("(");
    if (name.text === "Symbol" || name.text === "Dummy") return whole(this.#symbol());
    if (name.text === "Float") {
      const digits = this.#take();
      while (this.#accept(",")) this.#keyword();
      this.#expect(")");
      return this.#number(digits);
    }
    if (name.text === "Piecewise") return this.#piecewise();
    const args: Value[] = [];
    if (!this.#accept(")")) {
      do {
        // `evaluate=False` and the like say nothing about the value.
        if (this.#peek().kind === "name" && this.#tokens[this.#next + 1]?.text === "=") this.#keyword();
        else args.push(this.#or());
      } while (this.#accept(","));
      this.#expect(")");
    }
    return this.#apply(name, args);
  }

  #keyword(): { readonly key: string; readonly value: string } {
    const key = this.#take();
    if (key.kind !== "name") throw this.#error(quoted(key), key.at);
    this.#expect("=");
    return { key: key.text, value: this.#take().text };
  }

  #symbol(): Expr {
    const name = this.#take();
    if (name.kind !== "text") throw this.#error(`${quoted(name)} instead of a quoted name`, name.at);
    const facts = new Map<string, string>();
    while (this.#accept(",")) {
      const { key, value } = this.#keyword();
      facts.set(key, value);
    }
    this.#expect(")");
    const is = (key: string): boolean => facts.get(key) === "True";
    return this.#lookup(name.text, {
      positive: is("positive"),
      nonnegative: is("nonnegative"),
      integer: is("integer"),
    });
  }

  /** `Piecewise((a, cond), (b, True))` or with `ExprCondPair(a, cond)`; the last condition must always hold. */
  #piecewise(): Value {
    const cases: { readonly value: Expr; readonly cond: BoolExpr }[] = [];
    do {
      if (this.#peek().text === "ExprCondPair") this.#next++;
      this.#expect("(");
      const value = this.integer(this.#or());
      this.#expect(",");
      const cond = this.condition(this.#or());
      this.#expect(")");
      cases.push({ value, cond });
    } while (this.#accept(","));
    this.#expect(")");
    const last = cases.pop();
    if (last === undefined || last.cond.kind !== "bool" || !last.cond.value) {
      throw this.#error("a Piecewise whose last case has a condition");
    }
    return whole(cases.reduceRight((rest, { value, cond }) => where(cond, value, rest), last.value));
  }

  #apply(name: Token, args: readonly Value[]): Value {
    const count = (n: number): readonly Value[] => {
      if (args.length !== n) throw this.#error(`${name.text} with ${args.length} arguments instead of ${n}`, name.at);
      return args;
    };
    const at = (i: number): Value => args[i] ?? whole(constant(0));
    const ints = (n: number): Expr[] => count(n).map((v) => this.integer(v));
    const many = (): readonly Value[] => {
      if (args.length === 0) throw this.#error(`${name.text} without arguments`, name.at);
      return args;
    };
    const relation = sympyRelations[name.text];
    if (relation !== undefined && Object.hasOwn(sympyRelations, name.text)) {
      count(2);
      return this.#compare(relation, at(0), at(1));
    }
    switch (name.text) {
      case "Integer":
      case "Identity":
      case "ToFloat":
        return count(1)[0] ?? at(0);
      case "Add":
        return this.#add(many());
      case "Mul":
        return this.#multiply(many());
      case "Pow":
      case "PowByNatural":
        count(2);
        return this.#power(at(0), at(1));
      case "Rational":
      case "IntTrueDiv":
      case "FloatTrueDiv":
        count(2);
        return this.#divide(at(0), at(1));
      case "FloorDiv":
      case "CleanDiv":
        count(2);
        return whole(this.#floorDiv(at(0), at(1)));
      case "CeilDiv": {
        const [a = constant(0), b = constant(1)] = ints(2);
        return whole(ceilDiv(a, b));
      }
      // PyTorch's Mod is only made for non-negative operands, where it is PythonMod.
      case "Mod":
      case "PythonMod": {
        const [a = constant(0), b = constant(1)] = ints(2);
        return whole(mod(a, b));
      }
      case "ModularIndexing": {
        const [a = constant(0), b = constant(1), m = constant(1)] = ints(3);
        return whole(mod(floorDiv(a, b), m));
      }
      case "Max":
        return whole(max(...many().map((v) => this.integer(v))));
      case "Min":
        return whole(min(...many().map((v) => this.integer(v))));
      case "Abs": {
        const [a = constant(0)] = ints(1);
        return whole(max(a, neg(a)));
      }
      case "floor":
      case "FloorToInt":
      case "ceiling":
      case "CeilToInt":
      case "TruncToInt":
      case "Trunc":
        return whole(rounded(name.text, this.#numeric(count(1)[0] ?? at(0))));
      case "Where":
        count(3);
        return whole(where(this.condition(at(0)), this.integer(at(1)), this.integer(at(2))));
      case "And":
        return boolean(and(...args.map((v) => this.condition(v))));
      case "Or":
        return boolean(or(...args.map((v) => this.condition(v))));
      case "Not":
        count(1);
        return boolean(not(this.condition(at(0))));
      case "LShift":
      case "RShift": {
        const [a = constant(0), b = constant(0)] = ints(2);
        if (b.kind !== "const" || b.value < 0 || b.value > 52) throw this.#error("a shift by no small number", name.at);
        return whole(name.text === "LShift" ? mul(a, 2 ** b.value) : floorDiv(a, 2 ** b.value));
      }
      default:
        throw this.#error(`the unknown function ${name.text}`, name.at);
    }
  }
}

/**
 * Reads a SymPy integer expression.
 *
 * @throws {SyntaxError} with the position, for malformed text, unknown functions, fractions, nesting beyond 150; and what `lookup` throws.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { newSym, symbol, toText } from "../../symbolic/mod.ts";
 * import { parseSympy } from "./sympy_parser.ts";
 * const s = symbol(newSym("s0"));
 * const read = (text: string): string => toText(parseSympy(text, () => s));
 * assert.equal(read("Add(Mul(Integer(2), Symbol('s0', positive=True, integer=True)), Integer(1))"), read("2*s0 + 1"));
 * ```
 */
export function parseSympy(text: string, lookup: SymbolLookup): Expr {
  const parser = new SympyParser(text, lookup);
  return parser.integer(parser.all());
}

/** Reads a SymPy condition; errors as in {@linkcode parseSympy}. */
export function parseSympyBool(text: string, lookup: SymbolLookup): BoolExpr {
  const parser = new SympyParser(text, lookup);
  return parser.condition(parser.all());
}
