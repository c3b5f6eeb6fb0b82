/**
 * Symbols for sizes as plain data: their names, ranges and values at capture, and expressions over them as text.
 *
 * Texts are read by the parser of symbolic expressions, which looks names up and never invents one. What is read back has symbols of its own, in an environment that knows the values
 * of the capture and takes no further assumptions: whoever relies on one checks it first.
 */
import { CompileError } from "../core/mod.ts";
import {
  type BoolExpr,
  constantValue,
  evaluate,
  evaluateBool,
  type Expr,
  exprOf,
  freeSymbols,
  isSymInt,
  newSym,
  parseBool,
  parseExpr,
  type ShapeEnvLike,
  type Size,
  type Sym,
  symbol,
  SymInt,
  toText,
} from "../symbolic/mod.ts";

/** A symbol: name, range (null is no bound), value at capture. */
export type StoredSymbol = readonly [name: string, lower: number, upper: number | null, hint: number];

/** A size or an expression: a number, or text over symbols. */
export type StoredExpr = number | string;

/** Writes expressions and collects their symbols. */
export class SizeWriter {
  readonly #symbols = new Map<Sym, ShapeEnvLike | null>();
  readonly #names = new Map<string, Sym>();

  /** The text of an expression. @throws {CompileError} if two symbols share a name. */
  expr(e: Expr, env: ShapeEnvLike | null = null): StoredExpr {
    const known = constantValue(e);
    if (known !== null) return known;
    for (const sym of freeSymbols(e)) this.#note(sym, env);
    return toText(e);
  }

  size(size: Size): StoredExpr {
    return isSymInt(size) ? this.expr(exprOf(size), size.env) : size;
  }

  condition(e: BoolExpr): string {
    for (const sym of freeSymbols(e)) this.#note(sym, null);
    return toText(e);
  }

  #note(sym: Sym, env: ShapeEnvLike | null): void {
    const other = this.#names.get(sym.name);
    if (other !== undefined && other !== sym) throw new CompileError(`two size symbols are called ${sym.name}`);
    this.#names.set(sym.name, sym);
    if (env !== null || !this.#symbols.has(sym)) this.#symbols.set(sym, env ?? this.#symbols.get(sym) ?? null);
  }

  /** The symbols of everything that was written. */
  get symbols(): StoredSymbol[] {
    return [...this.#symbols].map(([sym, env]) => [
      sym.name,
      sym.lower,
      Number.isFinite(sym.upper) ? sym.upper : null,
      env?.hint(symbol(sym)) ?? sym.lower,
    ]);
  }
}

/** An environment whose sizes have been checked already. */
class FixedSizes implements ShapeEnvLike {
  readonly #hints: ReadonlyMap<Sym, number>;

  constructor(hints: ReadonlyMap<Sym, number>) {
    this.#hints = hints;
  }

  hint(e: Expr): number {
    return evaluate(e, (s) => this.#hints.get(s) ?? s.lower);
  }

  evaluateBool(e: BoolExpr, reason: string): boolean {
    // What follows from the ranges was decided before; anything else would be an assumption that nobody checks.
    throw new CompileError(
      `a graph from the cache asks ${toText(e)} of its sizes (${reason}), ${this.#now(e)} at capture`,
    );
  }

  evaluateInt(e: Expr, reason: string): number {
    throw new CompileError(`a graph from the cache asks the size ${toText(e)} (${reason}), ${this.hint(e)} at capture`);
  }

  #now(e: BoolExpr): boolean {
    return evaluateBool(e, (s) => this.#hints.get(s) ?? s.lower);
  }
}

/** Reads expressions back. */
export class SizeReader {
  readonly symbols: ReadonlyMap<string, Sym>;
  readonly env: ShapeEnvLike;

  /** @throws {CompileError} if a symbol is not described as one. */
  constructor(stored: readonly StoredSymbol[]) {
    const symbols = new Map<string, Sym>();
    const hints = new Map<Sym, number>();
    for (const [name, lower, upper, hint] of stored) {
      const isNumber = [lower, upper ?? 0, hint].every((n) => typeof n === "number" && Number.isSafeInteger(n));
      if (typeof name !== "string" || !isNumber || symbols.has(name)) {
        throw new CompileError("a stored size symbol has no name or range");
      }
      const sym = newSym(name, { kind: "size", lower, ...(upper === null ? {} : { upper }) });
      symbols.set(name, sym);
      hints.set(sym, hint);
    }
    this.symbols = symbols;
    this.env = new FixedSizes(hints);
  }

  /** @throws {SyntaxError} if the text is none; {CompileError} if it is no size at all. */
  expr(stored: StoredExpr): Expr {
    if (typeof stored === "string") return parseExpr(stored, this.symbols);
    if (!Number.isSafeInteger(stored)) throw new CompileError(`${String(stored)} stands where a size belongs`);
    return exprOf(stored);
  }

  size(stored: StoredExpr): Size {
    const e = this.expr(stored);
    return constantValue(e) ?? new SymInt(e, this.env);
  }

  condition(stored: string): BoolExpr {
    return parseBool(stored, this.symbols);
  }
}
