/**
 * Values of symbolic sizes, found from equations and checked against what a program was exported for.
 *
 * An equation says what an expression over sizes is in this call: a dimension of an input, an input that is a number. Symbols are solved for until nothing new follows; then all equations,
 * declared ranges and constraints must hold, and an error names the one that does not, with its place. Knows no tensors, so that a process without the compiler checks sizes as any other
 * does. Mirrors the guards that `torch.export` leaves of its `ShapeEnv`.
 */
import {
  type BoolExpr,
  coefficient,
  constant,
  dependsOn,
  evaluate,
  evaluateBool,
  type Expr,
  freeSymbols,
  type Size,
  substitute,
  type Sym,
  toText,
  withoutSymbol,
} from "../../symbolic/mod.ts";
import type { Constraint, SymbolRange } from "./shape_env.ts";

interface Equation {
  readonly expr: Expr;
  readonly value: number;
  readonly place: string;
}

/** What calls check. */
export interface Conditions {
  readonly ranges: readonly SymbolRange[];
  readonly constraints: readonly Constraint[];
}

/** Values of symbols during one run. */
export class SizeValues {
  readonly #values: Map<Sym, number>;
  protected readonly conditions: Conditions;
  readonly #checked = new Set<unknown>();
  #equations: Equation[] = [];

  constructor(conditions: Conditions, values: ReadonlyMap<Sym, number> = new Map()) {
    this.conditions = conditions;
    this.#values = new Map(values);
  }

  /** What is known by now. */
  get known(): ReadonlyMap<Sym, number> {
    return this.#values;
  }

  /** Whether every symbol of an expression has a value. */
  knows(e: Expr | BoolExpr): boolean {
    for (const sym of freeSymbols(e)) if (!this.#values.has(sym)) return false;
    return true;
  }

  /** The value of a size. @throws {RangeError} if a symbol has none. */
  value(size: Size): number {
    if (typeof size === "number") return size;
    return evaluate(size.expr, (sym) => {
      const value = this.#values.get(sym);
      if (value === undefined) throw new RangeError(`the size ${size} is not known: nothing gave ${sym.name} a value`);
      return value;
    });
  }

  /** Notes what an expression is in this run; `place` is what errors call it. */
  equation(expr: Expr, value: number, place: string): void {
    this.#equations.push({ expr, value, place });
  }

  /** Solves for symbols, then checks all that is known by now. @throws {RangeError} naming the violated condition. */
  settle(): void {
    let open = this.#equations;
    for (let progress = true; progress;) {
      progress = false;
      const rest: Equation[] = [];
      for (const equation of open) {
        const solved = solve(equation.expr, equation.value, this.#values);
        if (solved === "open") rest.push(equation);
        else if (solved === "impossible") {
          throw new RangeError(
            `${equation.place} must be of the form ${toText(equation.expr)}, it is ${equation.value}`,
          );
        } else if (solved !== "known") {
          this.#values.set(solved.sym, solved.value);
          progress = true;
        }
      }
      open = rest;
    }
    this.#checkRanges();
    for (const { expr, value, place } of this.#equations) {
      if (!this.knows(expr)) continue;
      const wanted = evaluate(expr, (sym) => this.#values.get(sym) ?? 0);
      if (wanted !== value) {
        throw new RangeError(
          `${place} must be ${toText(expr)} = ${wanted}, it is ${value} (${this.#valuesText(expr)})`,
        );
      }
    }
    this.#equations = open;
    for (const constraint of this.conditions.constraints) {
      const { cond, text } = constraint;
      if (this.#checked.has(constraint) || !this.knows(cond)) continue;
      this.#checked.add(constraint);
      if (!evaluateBool(cond, (sym) => this.#values.get(sym) ?? 0)) {
        throw new RangeError(`a condition of the program does not hold: ${text} (${this.#valuesText(cond)})`);
      }
    }
  }

  #checkRanges(): void {
    for (const range of this.conditions.ranges) {
      if (this.#checked.has(range) || !this.knows(range.expr)) continue;
      this.#checked.add(range);
      const value = evaluate(range.expr, (sym) => this.#values.get(sym) ?? 0);
      if (value < range.min || value > range.max) {
        const from = this.#equations.find(({ expr }) => expr === range.expr)?.place;
        throw new RangeError(
          `${from ?? `the size ${range.text}`} must be ${
            rangeText(range)
          }, as the program was exported; it is ${value}` +
            (from === undefined ? "" : ` (${range.text})`),
        );
      }
    }
  }

  #valuesText(e: Expr | BoolExpr): string {
    return [...freeSymbols(e)].map((sym) => `${sym.name} = ${this.#values.get(sym)}`).join(", ");
  }
}

/** `2 to 64`, `at least 2`, `any size`. */
export function rangeText({ min, max }: { readonly min: number; readonly max: number }): string {
  if (min === max) return `${min}`;
  if (max === Infinity) return min <= 0 ? "any size" : `at least ${min}`;
  return min === -Infinity ? `at most ${max}` : `${min} to ${max}`;
}

/** What an equation says: nothing new, too little yet, or a symbol's value. */
export type Solution = "known" | "open" | "impossible" | { readonly sym: Sym; readonly value: number };

/** Solves `expr == value` for the one symbol that has no value, where it occurs as coefficient · symbol + rest. */
export function solve(expr: Expr, value: number, known: ReadonlyMap<Sym, number>): Solution {
  const unknown = [...freeSymbols(expr)].filter((sym) => !known.has(sym));
  const [sym] = unknown;
  if (sym === undefined) return "known";
  if (unknown.length > 1) return "open";
  const bound = new Map<Sym, Expr>();
  for (const other of freeSymbols(expr)) {
    const there = known.get(other);
    if (there !== undefined) bound.set(other, constant(there));
  }
  const left = substitute(expr, bound);
  // The symbol may vanish, as in s1 * s0 for s1 = 0: the equation says nothing of it then.
  const factor = coefficient(left, sym), rest = withoutSymbol(left, sym);
  if (!dependsOn(left, sym) || factor?.kind !== "const" || rest?.kind !== "const") return "open";
  const solution = (value - rest.value) / factor.value;
  return Number.isSafeInteger(solution) ? { sym, value: solution } : "impossible";
}
