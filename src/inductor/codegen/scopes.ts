/**
 * Nested loops while their text is written.
 *
 * An emitter opens levels (the function, then one for each loop) and adds lines to any open level: a line of an outer level stands before the
 * inner loop, so what does not vary in a loop is computed before it. {@linkcode Scopes.index} splits an index expression by level: the
 * part that an outer level knows is named there, once, and the innermost loop is left with one addition.
 */
import { InternalError } from "../../core/mod.ts";
import {
  add,
  constant,
  constantTerm,
  type Dialect,
  type Expr,
  freeSymbols,
  mul,
  printExpr,
  printOperand,
  type Sym,
  termsOf,
} from "../../symbolic/mod.ts";

interface Level {
  readonly lines: string[];
  readonly close: string;
  readonly names: Map<Expr, string>;
}

/** How a language declares an integer. */
export interface ScopeSyntax {
  readonly declare: (name: string, value: string) => string;
  readonly dialect: (symbol: (sym: Sym) => string) => Dialect;
}

/** The open levels of a function's text. */
export class Scopes {
  readonly #levels: Level[] = [{ lines: [], close: "", names: new Map() }];
  readonly #symbols = new Map<Sym, { readonly name: string; readonly level: number }>();
  readonly #syntax: ScopeSyntax;
  readonly #dialect: Dialect;
  #counter = 0;

  constructor(syntax: ScopeSyntax) {
    this.#syntax = syntax;
    this.#dialect = syntax.dialect((sym) => {
      const found = this.#symbols.get(sym);
      if (found === undefined) throw new InternalError(`the kernel uses ${sym.name}, which it does not define`);
      return found.name;
    });
  }

  /** The number of the innermost level; the function is level 0. */
  get depth(): number {
    return this.#levels.length - 1;
  }

  /** A fresh identifier. */
  fresh(prefix: string): string {
    return `${prefix}${this.#counter++}`;
  }

  /** What identifies an open level: a level that is closed and opened again is another one. */
  token(level: number): object {
    return this.#level(level).lines;
  }

  /** Whether this very level is still open. */
  isOpen(level: number, token: object): boolean {
    return this.#levels[level]?.lines === token;
  }

  /** Adds a line; by default to the innermost level. */
  line(text: string, level: number = this.depth): void {
    this.#level(level).lines.push(text);
  }

  /** Opens a level: `head` ends with an opening brace. */
  open(head: string, close = "}"): void {
    this.#levels.push({ lines: [head], close, names: new Map() });
  }

  /** Closes the innermost level; its text goes to the level around it. */
  close(): void {
    const level = this.#levels.pop();
    if (level === undefined || this.#levels.length === 0) throw new InternalError("close() without open()");
    for (const [sym, { level: at }] of this.#symbols) if (at > this.depth) this.#symbols.delete(sym);
    const outer = this.#level(this.depth).lines;
    outer.push(level.lines[0] ?? "");
    for (let i = 1; i < level.lines.length; i++) outer.push("  " + level.lines[i]);
    if (level.close !== "") outer.push(level.close);
  }

  /** The text, when all levels but the function are closed. */
  text(indent = ""): string {
    if (this.#levels.length !== 1) throw new InternalError("text() with open levels");
    return this.#level(0).lines.map((l) => indent + l).join("\n");
  }

  /** Lets a symbol be known as `name` from a level on. */
  define(sym: Sym, name: string, level: number = this.depth): void {
    this.#symbols.set(sym, { name, level });
  }

  /** Whether a symbol has a name. */
  has(sym: Sym): boolean {
    return this.#symbols.has(sym);
  }

  /** Makes a symbol unknown again. */
  undefine(sym: Sym): void {
    this.#symbols.delete(sym);
  }

  /** The level at which all symbols of an expression are known. */
  levelOf(e: Expr): number {
    let level = 0;
    for (const sym of freeSymbols(e)) {
      const found = this.#symbols.get(sym);
      if (found === undefined) throw new InternalError(`the kernel uses ${sym.name}, which it does not define`);
      level = Math.max(level, found.level);
    }
    return level;
  }

  /** An expression's text as an operand, with the parts of outer levels named there. */
  index(e: Expr): string {
    const byLevel = new Map<number, Expr[]>();
    for (const { coefficient, factor } of termsOf(e)) {
      const level = this.levelOf(factor);
      const part = mul(coefficient, factor);
      const list = byLevel.get(level);
      if (list === undefined) byLevel.set(level, [part]);
      else list.push(part);
    }
    const levels = [...byLevel.keys()].sort((a, b) => a - b);
    const rest = constantTerm(e);
    let known: string | null = null;
    let sum: Expr = constant(0);
    for (const level of levels) {
      const part = add(...(byLevel.get(level) ?? []));
      sum = add(sum, part);
      const found = this.#named(sum, level);
      if (found !== undefined) {
        known = found;
        continue;
      }
      const text = printExpr(part, this.#dialect);
      const whole: string = known === null ? text : text.startsWith("-") ? `${known} ${text}` : `${known} + ${text}`;
      if (/^\w+$/.test(whole)) {
        known = whole;
        continue;
      }
      const name = this.fresh("i");
      this.line(this.#syntax.declare(name, whole), level);
      this.#level(level).names.set(sum, name);
      known = name;
    }
    if (known === null) return rest < 0 ? `(${rest})` : `${rest}`;
    return rest === 0 ? known : rest < 0 ? `(${known} - ${-rest})` : `(${known} + ${rest})`;
  }

  /** An expression's text as an operand, written in place. */
  inline(e: Expr): string {
    return printOperand(e, this.#dialect);
  }

  #named(e: Expr, level: number): string | undefined {
    for (let i = level; i >= 0; i--) {
      const found = this.#level(i).names.get(e);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #level(level: number): Level {
    const found = this.#levels[level];
    if (found === undefined) throw new InternalError(`there is no level ${level}`);
    return found;
  }
}
