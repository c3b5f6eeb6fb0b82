/**
 * The symbolic sizes of an exported program: symbols, ranges, example values, and their values in one run.
 *
 * Sizes of the file become `SymInt`s over this environment. A question about them that their ranges leave open is answered, as the exporter
 * did, for sizes that are neither 0 nor 1, else by the example's sizes, which then becomes a guard that every call checks.
 * Mirrors the part of PyTorch's `ShapeEnv` that `torch.export.load` rebuilds.
 */
import {
  and,
  type BoolExpr,
  evaluate,
  evaluateBool,
  type Expr,
  freeSymbols,
  le,
  newSym,
  not,
  type ShapeEnvLike,
  type Size,
  sizeOf,
  substituteBool,
  type Sym,
  symbol,
  toText,
  TRUE,
} from "../../symbolic/mod.ts";
import { FormatError, quoteName } from "../zip/archive.ts";
import type { RangeData } from "./schema.ts";
import { solve } from "./size_values.ts";
import { parseSympy, parseSympyBool, type SymbolFacts } from "./sympy_parser.ts";

/** A condition that every call must fulfil. */
export interface Constraint {
  readonly cond: BoolExpr;
  /** What an error says, without the values. */
  readonly text: string;
}

/** A range of an expression, as the exporter declared it. */
export interface SymbolRange {
  /** As the file writes it: `s77` or `2*s39`. */
  readonly text: string;
  readonly expr: Expr;
  readonly min: number;
  readonly max: number;
}

/** Bounds this large mean that there is none. */
const UNBOUNDED = 2 ** 53;

function bound(value: number | bigint | null, none: number): number {
  if (value === null) return none;
  const number = Number(value);
  return Math.abs(number) >= UNBOUNDED - 1 ? (number < 0 ? -Infinity : Infinity) : number;
}

/** Symbols of one program. */
export class ProgramShapes implements ShapeEnvLike {
  readonly #label: string;
  readonly #symbols = new Map<string, Sym>();
  readonly #declared: ReadonlyMap<string, readonly [number, number]>;
  readonly #ranges: readonly (readonly [string, RangeData])[];
  readonly #exprs = new Map<string, Expr>();
  readonly #hints = new Map<Sym, number>();
  /** Example values of expressions that did not give a symbol's value yet. */
  readonly #pending: { readonly expr: Expr; readonly value: number }[] = [];
  readonly #guards = new Map<BoolExpr, Constraint>();
  readonly #twins = new Map<Sym, Expr>();
  /** What the program asserts before it goes on: calls check it. */
  readonly #asserted = new Set<BoolExpr>();

  /** @param ranges The file's `range_constraints`. */
  constructor(ranges: readonly (readonly [string, RangeData])[], label: string) {
    this.#label = label;
    this.#ranges = ranges;
    this.#declared = new Map(ranges.map(([text, { min, max }]) => {
      const low = bound(min, -Infinity), high = bound(max, Infinity);
      if (low > high) {
        throw new FormatError(`${label}: range_constraints[${quoteName(text)}]: ${low} … ${high} is empty`);
      }
      return [text, [low, high]] as const;
    }));
  }

  /** All symbols met so far. */
  get symbols(): Sym[] {
    return [...this.#symbols.values()];
  }

  /** Conditions that calls check because the graph was read under them. */
  get guards(): Constraint[] {
    return [...this.#guards.values()];
  }

  /** The declared ranges, those of expressions included. */
  ranges(): SymbolRange[] {
    return this.#ranges.map(([text, { min, max }]) => ({
      text,
      expr: this.parse(text),
      min: bound(min, -Infinity),
      max: bound(max, Infinity),
    }));
  }

  /** The symbol of this name, made when first asked for. */
  #symbol(name: string, facts: SymbolFacts | null): Expr {
    let sym = this.#symbols.get(name);
    if (sym === undefined) {
      if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name)) {
        throw new FormatError(`${this.#label}: ${quoteName(name)} cannot be the name of a symbol`);
      }
      const [lower, upper] = this.#declared.get(name) ?? [facts?.positive === true ? 1 : -Infinity, Infinity];
      // PyTorch calls sizes known only at run time u0, u1, ….
      sym = newSym(name, { kind: name.startsWith("u") ? "unbacked" : "size", lower, upper });
      this.#symbols.set(name, sym);
    }
    return symbol(sym);
  }

  /** An integer expression; its example value, if given, teaches the symbols theirs. @throws {FormatError} */
  parse(text: string, hint: number | null = null): Expr {
    let expr = this.#exprs.get(text);
    if (expr === undefined) {
      expr = this.#guarded(() => parseSympy(text, (name, facts) => this.#symbol(name, facts)));
      this.#exprs.set(text, expr);
      if (hint !== null && Number.isSafeInteger(hint) && expr.kind !== "const") this.#learn(expr, hint);
    }
    return expr;
  }

  /** A condition. @throws {FormatError} */
  parseBool(text: string): BoolExpr {
    return this.#guarded(() => parseSympyBool(text, (name, facts) => this.#symbol(name, facts)));
  }

  #guarded<T>(body: () => T): T {
    try {
      return body();
    } catch (error) {
      if (error instanceof FormatError) throw error;
      throw new FormatError(`${this.#label}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }

  /** The expression as a size. */
  size(expr: Expr): Size {
    return sizeOf(expr, this);
  }

  /** A symbol as a size, even if its range is a single value. */
  sizeOfSymbol(sym: Sym): Size {
    return this.size(symbol(sym));
  }

  /** The constraint that an expression is at least, or at most, a number. */
  boundOf(expr: Expr, limit: number, least: boolean): Constraint {
    const text = `${toText(expr)} must be at ${least ? "least" : "most"} ${limit}`;
    return { cond: least ? le(limit, expr) : le(expr, limit), text };
  }

  #learn(expr: Expr, value: number): void {
    this.#pending.push({ expr, value });
    for (let progress = true; progress;) {
      progress = false;
      for (let i = this.#pending.length - 1; i >= 0; i--) {
        const entry = this.#pending[i];
        if (entry === undefined) continue;
        const solved = solve(entry.expr, entry.value, this.#hints);
        if (solved === "open") continue;
        this.#pending.splice(i, 1);
        if (typeof solved === "object") {
          this.#hints.set(solved.sym, solved.value);
          progress = true;
        }
      }
    }
  }

  /**
   * The value for the example inputs. Symbols without an example count as a size of 64, or, where they stand for data that may be an
   * index, as 1; within their range.
   */
  hint(e: Expr): number {
    return evaluate(e, (sym) => {
      const usual = sym.kind === "unbacked" ? 1 : 64;
      return this.#hints.get(sym) ?? Math.max(sym.lower, Math.min(sym.upper, usual));
    });
  }

  /** Takes a condition on data for granted: each call checks it when it is known. */
  assert(cond: BoolExpr): void {
    this.#asserted.add(cond);
  }

  evaluateBool(e: BoolExpr, reason: string): boolean {
    if (this.#asserted.has(e)) return true;
    const usual = substituteBool(e, this.#usual(e));
    if (usual.kind === "bool") return usual.value;
    const value = evaluateBool(e, (sym) => this.hint(symbol(sym)));
    this.#guard(e, value, reason);
    return value;
  }

  /** The call whose description asks; part of what a guard says. */
  asker: string | null = null;

  isSure(e: BoolExpr): boolean {
    if (this.#asserted.has(e)) return true;
    const usual = substituteBool(e, this.#usual(e));
    return usual.kind === "bool" && usual.value;
  }

  evaluateInt(e: Expr, reason: string): number {
    const value = this.hint(e);
    this.#guard(and(le(e, value), le(value, e)), true, reason);
    return value;
  }

  #guard(e: BoolExpr, value: boolean, reason: string): void {
    const cond = value ? e : not(e);
    if (cond === TRUE || this.#guards.has(cond)) return;
    const asker = this.asker === null ? reason : `${reason}, for ${this.asker}`;
    this.#guards.set(cond, { cond, text: `the program was read for sizes with ${toText(cond)} (asked by ${asker})` });
  }

  /** Each symbol as one that is neither 0 nor 1: what the exporter assumes when it asks such questions. */
  #usual(e: BoolExpr): ReadonlyMap<Sym, Expr> {
    const map = new Map<Sym, Expr>();
    for (const sym of freeSymbols(e)) {
      if (sym.lower >= 2 || sym.upper < 2) continue;
      let twin = this.#twins.get(sym);
      if (twin === undefined) {
        twin = symbol(newSym(sym.name, { kind: sym.kind, lower: 2, upper: sym.upper }));
        this.#twins.set(sym, twin);
      }
      map.set(sym, twin);
    }
    return map;
  }
}
